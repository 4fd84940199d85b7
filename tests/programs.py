"""Programs that tests need and that no Python package brings; `.ci/run` installs them."""

import os
import shutil

import pytest


def program(*names: str) -> str:
    """The path of the first of these programs that is there; without any, the test is skipped, and in CI it fails."""
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"there is no {' or '.join(names)} here; see .ci/run"
    if os.environ.get("NETADMIT_REQUIRE_CLUSTER") == "1" or os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
