"""What every test may rely on."""

import logging
import os
from collections.abc import Iterator

import pytest

from .chart import MAJORS, NoHelmError, helm


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """``netadmit serve`` sets up its process' logging; here many commands share one."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def need_helm(config: pytest.Config, major: int) -> None:
    """Sees to it that this helm is there, or skips; fails where it must be there."""
    try:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():  # building it takes minutes: without a word it looks like a hang
            helm(major)
    except NoHelmError as error:
        if os.environ.get("NETADMIT_REQUIRE_CLUSTER") == "1":
            pytest.fail(f"no helm: {error}", pytrace=False)
        pytest.skip(f"no helm: {error}")


@pytest.fixture(scope="module", params=MAJORS, ids=lambda major: f"helm{major}")
def helm_major(request: pytest.FixtureRequest) -> int:
    """Each Helm that the chart is for, one after the other."""
    major = int(request.param)
    need_helm(request.config, major)
    return major
