"""netadmit as it is installed in production, beside the control plane of `control_plane.py`.

A ServiceAccount that may read exactly what the checks read, `netadmit serve` in a process of its own with a certificate
that it issued itself, a Service with the address it listens on, and a ValidatingWebhookConfiguration. There is no
kube-proxy, so the API server connects to the Service's own address and port; all else is as in a cluster.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml
from cryptography import x509

from certs.issue import issue_ca
from webhook.model.objects import CONFIG_MAP
from webhook.state.watch import CONFIG_MAPS, RESOURCES

from .control_plane import ControlPlane, _Process

WEBHOOK = "validate.netadmit.io"
PORT = 8443
LEASE = "netadmit"
ROOT = Path(__file__).resolve().parents[2]
_COLLECTIONS = {r.kind: r for r in RESOURCES if r.key is None}
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PROBE = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"generateName": "probe-"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 443}]}]},
}


def eventually(true: Callable[[], object], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        time.sleep(0.01)


def served(address: str, ca: bytes) -> int:
    """The number of the certificate that a new connection there is shown; one of these CAs has to have signed it."""
    context = ssl.create_default_context(cadata=ca.decode())
    context.check_hostname = False
    with (
        socket.create_connection((address, PORT), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=address) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


class InstalledWebhook:
    """netadmit beside a control plane; a context manager that leaves nothing behind."""

    def __init__(self, plane: ControlPlane, folder: Path, *options: str) -> None:
        self.plane = plane
        self.options = options
        """Of `netadmit serve`, besides what it always has."""
        self.namespace = f"netadmit-{secrets.token_hex(3)}"
        self.address = plane.next_service_ip()
        self.kubeconfig = folder / "kubeconfig"
        self._folder = folder
        self._process: _Process | None = None
        self._starts = 0
        self._metrics = ""

    # -- installing

    def __enter__(self) -> Self:
        request = self.plane.request
        try:
            self.plane.create_namespace(self.namespace)
            self._let_read()
            request(
                "POST",
                f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases",
                {"metadata": {"name": LEASE}},
            )
            spec = {"clusterIP": self.address, "selector": {"app": "netadmit"}, "ports": [{"port": PORT}]}
            request(
                "POST",
                f"/api/v1/namespaces/{self.namespace}/services",
                {"metadata": {"name": "netadmit"}, "spec": spec},
            )
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.plane.request("DELETE", f"{_CONFIGURATIONS}/{self.namespace}", check=False)
        self.stop()
        for kind in ("clusterroles", "clusterrolebindings"):
            self.plane.request("DELETE", f"{_RBAC}/{kind}/{self.namespace}", check=False)
        self.plane.delete_namespace(self.namespace)

    def _let_read(self) -> None:
        """What the chart grants: reading what `webhook.state.watch` follows, and writing what tells people of it."""
        groups: dict[str, list[str]] = {}
        for resource in _COLLECTIONS.values():
            for path in (resource.path, *resource.others):  # another version's group may have another name
                _, root, group, *_, plural = path.split("/")
                groups.setdefault(group if root == "apis" else "", []).append(plural)
        verbs = ["get", "list", "watch"]
        rules: list[dict[str, Any]] = [
            {"apiGroups": [group], "resources": plurals, "verbs": verbs} for group, plurals in groups.items()
        ]
        names = sorted({name for _, name in CONFIG_MAPS})
        rules.append({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": names, "verbs": verbs})
        rules.append({"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]})
        for group, plural in (("openreports.io", "reports"), ("wgpolicyk8s.io", "policyreports")):
            ours = {"apiGroups": [group], "resources": [plural]}
            rules.append({**ours, "verbs": ["list"]})
            rules.append({**ours, "resourceNames": ["netadmit"], "verbs": ["create", "delete", "patch"]})
        lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [LEASE]}
        rules.append({**lease, "verbs": ["get", "patch"]})
        meta = {"name": self.namespace}
        self.plane.request("POST", f"{_RBAC}/clusterroles", {"metadata": meta, "rules": rules})
        token = self.plane.service_account_token(self.namespace, "netadmit")
        binding = {
            "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.namespace},
            "subjects": [{"kind": "ServiceAccount", "name": "netadmit", "namespace": self.namespace}],
        }
        self.plane.request("POST", f"{_RBAC}/clusterrolebindings", binding)
        config = yaml.safe_load(self.plane.kubeconfig.read_text())
        config["users"] = [{"name": "netadmit", "user": {"token": token}}]
        config["contexts"][0]["context"]["user"] = "netadmit"
        self.kubeconfig.write_text(json.dumps(config))

    # -- the process

    def start(self, config: Mapping[str, object] | None = None) -> None:
        """Starts it, with this configuration, and waits until it is ready."""
        assert self._process is None
        self._starts += 1
        command = [sys.executable, "-m", "webhook.cli", "serve", f"--bind={self.address}", f"--port={PORT}"]
        command += ["--metrics-port=0", f"--cert-dir={self._folder / 'tls'}", f"--kubeconfig={self.kubeconfig}"]
        command += [
            f"--lease={LEASE}",
            *self.options,
            "--drain-seconds=0",
        ]  # nothing sends requests while it is stopped
        if config is not None:
            file = self._folder / f"config-{self._starts}.yaml"
            file.write_text(json.dumps({"apiVersion": "netadmit.io/v1", "kind": "Config", **config}))
            command.append(f"--config={file}")
        environment = {**self.plane._environment(), "PYTHONPATH": str(ROOT), "POD_NAMESPACE": self.namespace}
        self._process = _Process(command, self._folder / f"serve-{self._starts}.log", environment)
        eventually(self._ready, "netadmit serve is ready", 30)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(patience=10)
            self._process = None

    @contextlib.contextmanager
    def configured(self, **config: object) -> Iterator[None]:
        """Runs with another configuration for a while (1.5 s each way)."""
        self.stop()
        self.start(config)
        try:
            yield
        finally:
            self.stop()
            self.start()

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.running, self._process.tail()
        listening = [line for line in self.log() if line["message"] == "listening"]
        if not listening:
            return False
        self._metrics = f"http://{self.address}:{listening[-1]['metricsPort']}"
        try:
            return bool(self._operations("/readyz"))
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            return False

    def _operations(self, path: str) -> str:
        with urllib.request.urlopen(self._metrics + path, timeout=10) as answer:
            return str(answer.read().decode())

    # -- what it says of itself

    def log(self) -> list[dict[str, Any]]:
        """Its log since its last start; what is no JSON is left out."""
        assert self._process is not None
        lines = self._process.log.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def decisions(self, namespace: str, name: str = "") -> list[dict[str, Any]]:
        """The log of decisions about a namespace, or about one name in it."""
        return [
            entry
            for entry in self.log()
            if entry["logger"] == "netadmit.decision"
            and entry["namespace"] == namespace
            and name in ("", entry["name"])
        ]

    def metrics(self) -> str:
        return self._operations("/metrics")

    def metric(self, name: str, **labels: str) -> float:
        """One sample; 0 when it is not there yet."""
        written = ",".join(f'{key}="{labels[key]}"' for key in labels)
        sample = f"{name}{{{written}}}" if labels else name
        found = re.search(rf"^{re.escape(sample)} (\S+)$", self.metrics(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def catch_up(self, kinds: Iterable[str] = tuple(_COLLECTIONS)) -> None:
        """Waits until it holds as many objects of each kind as the API server."""
        for kind in dict.fromkeys(kinds):
            if kind == CONFIG_MAP:  # each has a watch of its own, and few are followed
                held = [key for key in CONFIG_MAPS if self._exists(*key)]
            else:
                resource = _COLLECTIONS[kind]
                path = f"{resource.path}?fieldSelector={resource.fields}" if resource.fields else resource.path
                answer = self.plane.request("GET", path, check=not resource.optional)
                held = answer.body["items"] if answer.status == 200 else []
            expected = len(held)
            eventually(
                lambda kind=kind, expected=expected: self.metric("netadmit_state_objects", kind=kind) == expected,
                f"netadmit holds {expected} objects of {kind}",
            )

    def _exists(self, namespace: str, name: str) -> bool:
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        return self.plane.request("GET", path, check=False).status == 200

    # -- the webhook configuration

    def switch_on(self) -> None:
        """Makes the API server ask it, and waits until it does."""
        self.configure()
        eventually(lambda: self._asked() is True, "the API server asks netadmit")

    def configure(self) -> None:
        """Makes the webhook configuration."""
        selected = [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [self.namespace, "kube-system"]}
        ]
        webhook = {
            "name": WEBHOOK,
            "clientConfig": {
                "service": {"namespace": self.namespace, "name": "netadmit", "path": "/validate", "port": PORT},
                "caBundle": base64.b64encode((self._folder / "tls" / "ca.crt").read_bytes()).decode(),
            },
            "rules": [
                {
                    "apiGroups": [group],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": [plural],
                }
                for group, plural in (("networking.k8s.io", "networkpolicies"), ("", "services"))
            ],
            "namespaceSelector": {"matchExpressions": selected},
            "sideEffects": "NoneOnDryRun",
            "failurePolicy": "Fail",  # a webhook that is dead must not look like one that is content
            "timeoutSeconds": 3,
            "admissionReviewVersions": ["v1"],
        }
        self.plane.request("POST", _CONFIGURATIONS, {"metadata": {"name": self.namespace}, "webhooks": [webhook]})

    def reconnect(self) -> None:
        """Makes the API server forget its connections to the webhook: it keeps them for each bundle of CAs."""
        url = f"{_CONFIGURATIONS}/{self.namespace}"
        webhook = self.plane.request("GET", url).body["webhooks"][0]
        bundle = base64.b64decode(webhook["clientConfig"]["caBundle"]) + issue_ca(datetime.now(UTC)).certificate
        webhook["clientConfig"]["caBundle"] = base64.b64encode(bundle).decode()
        self.plane.request("PATCH", url, {"webhooks": [webhook]})

    def switch_off(self) -> None:
        """Makes the API server forget it, and waits until it has."""
        self.plane.request("DELETE", f"{_CONFIGURATIONS}/{self.namespace}")
        eventually(lambda: self._asked() is False, "the API server asks netadmit no more")

    @contextlib.contextmanager
    def switched_off(self) -> Iterator[None]:
        self.switch_off()
        try:
            yield
        finally:
            self.switch_on()

    def _asked(self) -> bool:
        path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies?dryRun=All"
        answer = self.plane.request("POST", path, _PROBE, check=False)
        assert answer.status in (201, 403), answer
        return answer.status == 403

    # -- the command line, as a person with the same rights would use it

    def netadmit(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs `netadmit` against this cluster."""
        return subprocess.run(
            [sys.executable, "-m", "webhook.cli", *arguments],
            input=stdin,
            env={**self.plane._environment(), "PYTHONPATH": str(ROOT), "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
