"""An API server that shows a certificate to its webhooks, and netadmit that answers nobody else.

The two files are those of docs/threat-model.md; the control plane is one of its own, as the API server reads them at
its start.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .control_plane import ControlPlane, build
from .installed_webhook import PORT, ROOT, InstalledWebhook, eventually

NAME = "api-server-of-webhooks"


@pytest.fixture(scope="module")
def files() -> tuple[dict[str, object], dict[str, object]]:
    """The AdmissionConfiguration and the kubeconfig that people are told to write."""
    text = (ROOT / "docs" / "threat-model.md").read_text()
    [block] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    configuration, kubeconfig = yaml.safe_load_all(block)
    return configuration, kubeconfig


@pytest.fixture(scope="module")
def showing(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, files: tuple[dict[str, object], ...]
) -> Iterator[ControlPlane]:
    """A control plane whose API server shows a certificate to webhooks of every name."""
    if sys.platform != "linux":
        pytest.skip("only Linux lets processes listen in all of 127.0.0.0/8")
    del control_plane  # it is built, or this is skipped
    folder = tmp_path_factory.mktemp("showing")
    admission, kubeconfig = folder / "admission.yaml", folder / "webhooks.kubeconfig"
    plane = ControlPlane(build(), folder=folder, api_server_args=[f"--admission-control-config-file={admission}"])
    certificate, key = plane._authority.issue("webhooks", NAME)
    configuration, users = files
    [plugin] = configuration["plugins"]  # type: ignore[misc]
    plugin["configuration"]["kubeConfigFile"] = str(kubeconfig)
    [user] = users["users"]  # type: ignore[misc]
    assert user["name"] == "netadmit.netadmit.svc"
    user["name"] = "*"  # here its namespace has another name with every run
    user["user"] = {"client-certificate": str(certificate), "client-key": str(key)}
    admission.write_text(json.dumps(configuration))
    kubeconfig.write_text(json.dumps(users))
    with plane:
        yield plane


def asked_by(webhook: InstalledWebhook, certificate: tuple[Path, Path] | None) -> int:
    """The status of a review that somebody else asks for; 0 where the connection was closed."""
    trust = ssl.create_default_context(cafile=str(webhook._folder / "tls" / "ca.crt"))
    if certificate is not None:
        trust.load_cert_chain(*certificate)
    connection = http.client.HTTPSConnection(f"{webhook.address}", PORT, timeout=10, context=trust)
    trust.check_hostname = False
    try:
        connection.request("POST", "/validate", b"{}")
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
        return 0
    finally:
        connection.close()


def test_only_the_api_server_is_answered(showing: ControlPlane, tmp_path: Path) -> None:
    options = [f"--client-ca={showing.ca_file}", f"--client-name={NAME}"]
    with InstalledWebhook(showing, tmp_path, *options) as webhook:
        webhook.switch_on()  # and waits until a policy is denied that has to be
        assert webhook.decisions("default"), "the API server was answered"
        assert asked_by(webhook, None) == 0
        assert asked_by(webhook, showing._authority.issue("other", "kubelet")) == 403
        assert asked_by(webhook, showing._authority.issue("same", NAME)) == 400, "it is heard; {} is no review"
        webhook.switch_off()


def test_an_api_server_that_shows_none_is_refused(control_plane: ControlPlane, tmp_path: Path) -> None:
    """What people see who switch it on without the API server's configuration."""
    if sys.platform != "linux":
        pytest.skip("only Linux lets processes listen in all of 127.0.0.0/8")
    options = [f"--client-ca={control_plane.ca_file}", f"--client-name={NAME}"]
    namespace = control_plane.create_namespace()
    try:
        with InstalledWebhook(control_plane, tmp_path, *options) as webhook:
            webhook.configure()
            policy = (
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}}"
            )
            dry_run = ("apply", "--dry-run=server", "-n", namespace, "-f-")

            def said() -> str:
                return control_plane.kubectl(*dry_run, stdin=policy, check=False).stderr

            eventually(lambda: "failed calling webhook" in said(), "it is called", 20)
            assert re.search(r"EOF|certificate required|connection reset|broken pipe", said())
            assert not webhook.decisions(namespace)
            webhook.plane.request(
                "DELETE",
                f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{webhook.namespace}",
            )
    finally:
        control_plane.delete_namespace(namespace)
