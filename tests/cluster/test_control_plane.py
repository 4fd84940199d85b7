"""The control plane itself does what the other tests in this folder count on."""

from __future__ import annotations

import base64
import http.server
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from . import control_plane as module
from .control_plane import KUBERNETES, CannotBuildHereError, ControlPlane, ControlPlaneError, User

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets processes listen in all of 127.0.0.0/8")


def eventually(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not true after {seconds} s"
        time.sleep(0.05)


def test_runs_the_pinned_version(control_plane: ControlPlane) -> None:
    version = json.loads(control_plane.kubectl("version", "-o", "json").stdout)
    assert version["serverVersion"]["gitVersion"] == f"v{KUBERNETES.version}"
    assert version["clientVersion"]["gitVersion"] == f"v{KUBERNETES.version}"
    assert version["serverVersion"]["minor"] == KUBERNETES.version.split(".")[1]


def test_listens_on_loopback_only(control_plane: ControlPlane) -> None:
    listening = [addresses_of(pid) for pid in control_plane.pids.values()]
    assert [len(addresses) for addresses in listening] == [2, 1]  # etcd's clients and peers; the API server
    assert {address for addresses in listening for address in addresses} == {"127.0.0.1"}


def addresses_of(pid: int) -> list[str]:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            local, _, state, *_, inode = line.split()[1:10]
            if state == "0A" and f"socket:[{inode}]" in inodes:
                packed = bytes.fromhex(local.split(":")[0])
                found.append(str(ipaddress.ip_address(packed[::-1] if len(packed) == 4 else packed)))
    return found


def test_service_gets_the_address_it_asks_for(control_plane: ControlPlane, namespace: str) -> None:
    address = control_plane.next_service_ip()
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "webhook", "namespace": namespace},
        "spec": {"clusterIP": address, "ports": [{"port": 443}]},
    }
    control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(service))
    shown = control_plane.kubectl("get", "service", "webhook", "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")
    assert shown.stdout == address
    assert control_plane.next_service_ip() != address


@linux
def test_a_webhook_behind_a_service_is_called(control_plane: ControlPlane, namespace: str) -> None:
    """The production path: clientConfig.service, the Service's address, its DNS name in the certificate."""
    address, name = control_plane.next_service_ip(), f"webhook.{namespace}.svc"
    requests: list[str] = []

    class Deny(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(self.request_version)
            response = {
                "uid": review["request"]["uid"],
                "allowed": False,
                "status": {"message": "because"},
                "warnings": ['says "no"'],
            }
            body = json.dumps({**review, "request": None, "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    certificate, key = control_plane._authority.issue("webhook", name, names=[x509.DNSName(name)])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.HTTPServer((address, 0), Deny) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        control_plane.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/services",
            {"metadata": {"name": "webhook"}, "spec": {"clusterIP": address, "ports": [{"port": port}]}},
        )
        webhook = {
            "name": "deny.netadmit.io",
            "clientConfig": {
                "service": {"name": "webhook", "namespace": namespace, "port": port},
                "caBundle": base64.b64encode(control_plane.ca_file.read_bytes()).decode(),
            },
            "rules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
            ],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
        }
        configurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        control_plane.request("POST", configurations, {"metadata": {"name": namespace}, "webhooks": [webhook]})
        try:
            path = f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All"

            def answer() -> module.Answer:
                return control_plane.request("POST", path, {"metadata": {"name": "x"}}, check=False)

            eventually(lambda: answer().status != 201)
            said = answer()
        finally:
            control_plane.request("DELETE", f"{configurations}/{namespace}")
            server.shutdown()
    assert said.status == 400
    assert said.body["message"] == 'admission webhook "deny.netadmit.io" denied the request: because'
    assert said.warnings == ('says "no"',)
    assert set(requests) == {"HTTP/1.1"}


def test_pod_runs_once_its_status_says_so(control_plane: ControlPlane, namespace: str) -> None:
    pod = control_plane.run_pod(namespace, "api", "10.1.2.3", labels={"app": "api"})
    assert pod["status"]["podIPs"] == [{"ip": "10.1.2.3"}]
    shown = control_plane.kubectl("get", "pods", "-n", namespace, "-l", "app=api", "--no-headers")
    assert shown.stdout.split()[:3] == ["api", "0/1", "Running"]
    control_plane.kubectl("wait", "--for=condition=Ready", "pod/api", "-n", namespace, "--timeout=5s")
    control_plane.set_pod_running(namespace, "api", "10.1.2.3", ready=False)
    waited = control_plane.kubectl("wait", "--for=condition=Ready=False", "pod/api", "-n", namespace, "--timeout=5s")
    assert waited.returncode == 0


def test_users_may_do_what_they_were_granted(control_plane: ControlPlane, namespace: str) -> None:
    late = f"late-{namespace}"
    control_plane.add_user(late, "tenants")
    for user in ("tenant", "restricted", late):
        refused = control_plane.kubectl("get", "pods", "-n", namespace, user=user, check=False)
        assert refused.returncode == 1
        assert f'User "{user}" cannot list resource "pods"' in refused.stderr
    for user in ("tenant", late):
        control_plane.grant(user, ["get", "list"], ["pods"], namespace=namespace)
        assert "No resources found" in control_plane.kubectl("get", "pods", "-n", namespace, user=user).stderr
        assert control_plane.request("GET", f"/api/v1/namespaces/{namespace}/pods", user=user).status == 200
    assert control_plane.request("GET", "/api/v1/pods", user="tenant", check=False).status == 403
    whoami = control_plane.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.groups}", user=late)
    assert json.loads(whoami.stdout) == ["tenants", "system:authenticated"]
    with pytest.raises(ControlPlaneError, match="no user 'nobody'"):
        control_plane.kubectl("get", "pods", user="nobody")


def test_service_account_token_is_one_of_that_account(control_plane: ControlPlane, namespace: str) -> None:
    token = control_plane.service_account_token(namespace, "netadmit")
    review = {"spec": {"token": token}}
    answer = control_plane.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    assert answer.body["status"]["user"]["username"] == f"system:serviceaccount:{namespace}:netadmit"


def test_namespace_goes_away_with_all_that_is_in_it(control_plane: ControlPlane) -> None:
    name = control_plane.create_namespace(labels={"team": "a"})
    control_plane.run_pod(name, "scheduled", "10.1.2.4", spec={"nodeName": "node-1"})
    control_plane.kubectl("create", "deployment", "web", "--image=example/image", "-n", name)
    control_plane.delete_namespace(name)
    assert control_plane.kubectl("get", "namespace", name, check=False).returncode == 1
    assert (
        control_plane.kubectl(
            "get", "pods,deployments", "-A", "-o", "name", f"--field-selector=metadata.namespace={name}"
        ).stdout
        == ""
    )
    control_plane.delete_namespace(name)


def test_a_failing_kubectl_raises_with_what_it_said(control_plane: ControlPlane) -> None:
    with pytest.raises(ControlPlaneError, match=r'(?s)kubectl get pod nothing exited with 1:.*"nothing" not found'):
        control_plane.kubectl("get", "pod", "nothing")
    with pytest.raises(ControlPlaneError, match="GET /api/v1/nothing: 404"):
        control_plane.request("GET", "/api/v1/nothing")


def test_a_second_one_runs_beside_it_and_leaves_nothing(control_plane: ControlPlane) -> None:
    with ControlPlane(control_plane.binaries, users=[User("early", ("people",))]) as second:
        assert second.service_cidr != control_plane.service_cidr
        assert second.kubectl("auth", "whoami", "-o", "name", user="early").returncode == 0
        pids = [*second.pids.values()]
        assert second.running
    assert second.pids == {}
    assert not second.folder.exists()
    assert not any(alive(pid) for pid in pids)
    second.stop()


def test_a_failed_start_shows_why(control_plane: ControlPlane, tmp_path: Path) -> None:
    plane = ControlPlane(control_plane.binaries, folder=tmp_path, api_server_args=["--no-such-flag"])
    with pytest.raises(ControlPlaneError, match=r"(?s)kube-apiserver ended while it started.*unknown flag: --no-such-"):
        plane.start()
    assert not plane.running
    assert plane.logs["kube-apiserver"].exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process when its parent is gone")
def test_it_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    folder = Path(module.__file__).parent
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not alive(pid))


PARENT = """
import os, pathlib, sys, time
sys.path.insert(0, sys.argv[1])
import control_plane
process = control_plane._Process(["/bin/sleep", "60"], pathlib.Path(sys.argv[2]), dict(os.environ))
print(process.pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_without_go_it_says_what_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETADMIT_CONTROL_PLANE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module.cache_folder().parent == tmp_path
    assert not module.is_built()
    with pytest.raises(
        CannotBuildHereError, match=r"needs Go >= 1\.26\.0, and there is no `go` on PATH: install Go >= 1\.26 "
    ):
        module.build()
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go1.24.4\n")
    go.chmod(0o755)
    with pytest.raises(CannotBuildHereError, match=r"needs Go >= 1\.26\.0, and .* is 1\.24\.4: install Go"):
        module.build()


def test_build_is_atomic_and_happens_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache, tools, calls = tmp_path / "cache", tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    go = tools / "go"
    go.write_text(f"""#!/bin/sh
echo "$@" >> {calls}
case "$1 $2" in
  "env GOVERSION") echo go1.26.8 ;;
  "build "*) while [ "$1" != -o ]; do shift; done
    [ -z "$BROKEN" ] || {{ echo "it does not compile" >&2; exit 1; }}
    echo program > "$2"; chmod +x "$2" ;;
esac
""")
    go.chmod(0o755)
    monkeypatch.setenv("NETADMIT_CONTROL_PLANE_CACHE", str(cache))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    said: list[str] = []
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(ControlPlaneError, match=r"(?s)go build .* failed:\nit does not compile"):
        module.build(said.append)
    assert not module.cache_folder().exists()
    monkeypatch.delenv("BROKEN")
    folder = module.build(said.append)
    assert sorted(file.name for file in folder.iterdir()) == ["etcd", "kube-apiserver", "kubectl"]
    assert "-X k8s.io/component-base/version.gitVersion=v" in calls.read_text()
    assert any("built the control plane" in line for line in said)
    before = calls.read_text()
    assert module.build() == folder
    assert calls.read_text() == before
    assert [file.name for file in cache.iterdir() if file != folder] == [f".{folder.name}.lock"]


@linux
def test_two_claims_never_get_the_same_range() -> None:
    claims = [module._claim_service_cidr() for _ in range(50)]
    for claim, _ in claims:
        assert isinstance(claim, socket.socket)
        claim.close()
    assert len({network for _, network in claims}) == 50
