"""Fixtures for tests against a real kube-apiserver. Every test in this folder has the marker `cluster`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from .control_plane import CannotBuildHereError, ControlPlane, build, is_built
from .installed_webhook import InstalledWebhook

collect_ignore = [] if "NETADMIT_FAULTS" in os.environ else ["test_faults.py"]


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for all tests: keep to your own `namespace`, and take cluster-scoped objects away again."""
    if not is_built():
        try:
            capture = request.config.pluginmanager.getplugin("capturemanager")
            with capture.global_and_fixture_disabled():  # a quarter of an hour without a word looks like a hang
                build()
        except CannotBuildHereError as error:
            reason = f"no control plane: {error}"
            if os.environ.get("NETADMIT_REQUIRE_CLUSTER") == "1":
                pytest.fail(f"{reason} (NETADMIT_REQUIRE_CLUSTER=1: it must be there)", pytrace=False)
            pytest.skip(reason)
    with ControlPlane(build(), folder=tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own, gone with all that is in it afterwards."""
    name = control_plane.create_namespace()
    yield name
    control_plane.delete_namespace(name)


@pytest.fixture(scope="session")
def installed_webhook(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InstalledWebhook]:
    """netadmit, running beside the control plane and not asked yet."""
    if sys.platform != "linux":
        pytest.skip("only Linux lets processes listen in all of 127.0.0.0/8")
    with InstalledWebhook(control_plane, tmp_path_factory.mktemp("netadmit")) as installed:
        yield installed


@pytest.fixture(scope="module")
def webhook(installed_webhook: InstalledWebhook) -> Iterator[InstalledWebhook]:
    """netadmit as the API server's webhook while the tests of one module run; the other modules never meet it."""
    installed_webhook.switch_on()
    yield installed_webhook
    installed_webhook.switch_off()
