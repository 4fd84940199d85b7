"""The chart installed by the real helm into a real API server, with netadmit run as its Deployment says.

What is missing is played: there is no kubelet, so the Deployment's command is run here, with its files laid where its
volumes would be mounted (below a folder of the test's own) and its service account's token; and no kube-proxy, so the
Service's address is listened to and passed on.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from certs.issue import issue_ca
from certs.store import CA
from tests.chart import CHART, rendered, run_helm
from webhook.policy_reports import POLICY_REPORT

from .control_plane import ControlPlane, _Process
from .custom_resources import served_reports
from .installed_webhook import ROOT, eventually
from .relay import Relay

RELEASE = "netadmit"
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{RELEASE}"
DEAD_RULES = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dead, namespace: %s}
spec: {podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 443}]}]}
"""
MISSPELT = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: %s}
spec: {podSelector: {matchLabels: {app: wep}}, policyTypes: [Ingress]}
"""


class Release:
    """An installed release, and the one pod of it that is played."""

    def __init__(self, plane: ControlPlane, folder: Path, major: int) -> None:
        self.plane = plane
        self.major = major
        self.namespace = "netadmit"
        self.folder = folder
        self.process: _Process | None = None
        self._starts = 0
        self.address = ""
        self.others: set[str] = set()
        """What has no namespace and was there before, of the webhook that other tests share."""

    def helm(self, *arguments: str, check: bool = True) -> str:
        done = run_helm(
            *arguments,
            f"--namespace={self.namespace}",
            major=self.major,
            env={"KUBECONFIG": str(self.plane.kubeconfig), "HOME": str(self.folder)},
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout + done.stderr

    def get(self, path: str) -> dict[str, Any]:
        return dict(self.plane.request("GET", path).body)

    @property
    def ca_bundle(self) -> bytes:
        """The one of all its webhooks."""
        [bundle] = {one["clientConfig"].get("caBundle", "") for one in self.get(CONFIGURATION)["webhooks"]}
        return base64.b64decode(bundle)

    @property
    def secret(self) -> Mapping[str, bytes]:
        data = self.get(f"/api/v1/namespaces/{self.namespace}/secrets/{RELEASE}-tls").get("data") or {}
        return {key: base64.b64decode(value) for key, value in data.items()}

    def start(self) -> None:
        """Runs the pod as the stored Deployment has it."""
        self._starts += 1
        root = self.folder / f"pod-{self._starts}"
        template = self.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{RELEASE}")["spec"]["template"]
        [container] = template["spec"]["containers"]
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        command = [*container["command"], *container["args"]]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        laid: dict[str, str] = {}
        for mount in container["volumeMounts"]:
            here = root / mount["mountPath"].lstrip("/")
            here.mkdir(parents=True)
            self._fill(here, volumes[mount["name"]])
            laid[mount["mountPath"]] = str(here)
            if mount["mountPath"] == "/tmp":
                environment["TMPDIR"] = str(here)
        for variable in container["env"]:
            assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"
            environment[variable["name"]] = self.namespace
        mounted = "|".join(map(re.escape, laid))
        command = [re.sub(f"=({mounted})(?=/|$)", lambda found: f"={laid[found[1]]}", one, count=1) for one in command]
        assert command[0] == "netadmit"
        command[:1] = [sys.executable, "-m", "webhook.cli"]
        command.append(f"--bind={self.address}")  # a pod has an address of its own; here that of the Service
        environment["KUBECONFIG"] = str(self._credentials(root, template["spec"]["serviceAccountName"]))
        self.process = _Process(command, self.folder / f"serve-{self._starts}.log", environment)
        eventually(self._ready, "netadmit is ready", 40)

    def _fill(self, folder: Path, volume: Mapping[str, Any]) -> None:
        if "configMap" in volume:
            path = f"/api/v1/namespaces/{self.namespace}/configmaps/{volume['configMap']['name']}"
            for name, content in self.get(path)["data"].items():
                (folder / name).write_text(content)
        else:
            assert "emptyDir" in volume, volume

    def _credentials(self, root: Path, account: str) -> Path:
        accounts = self.get(f"/api/v1/namespaces/{self.namespace}/serviceaccounts")["items"]
        assert account in [a["metadata"]["name"] for a in accounts], "the chart makes it"
        token = self.plane.service_account_token(self.namespace, account)
        config = yaml.safe_load(self.plane.kubeconfig.read_text())
        config["users"] = [{"name": "pod", "user": {"token": token}}]
        config["contexts"][0]["context"]["user"] = "pod"
        file = root / "kubeconfig"
        file.write_text(json.dumps(config))
        return file

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.running, self.process.tail()
        try:
            return bool(self.operations("/readyz"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def operations(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{self.address}:8080{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def log(self) -> list[dict[str, Any]]:
        assert self.process is not None
        lines = self.process.log.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def judged(self) -> int:
        return sum(entry["logger"] == "netadmit.decision" for entry in self.log())

    def stop(self) -> None:
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGINT)  # at once: after SIGTERM it would drain for 10 s
            eventually(lambda: self.process is None or not self.process.running, "it has ended")
            self.process.stop(patience=1)
            self.process = None

    def denies(self, namespace: str) -> bool:
        done = self.plane.kubectl("apply", "--dry-run=server", "-f-", stdin=DEAD_RULES % namespace, check=False)
        return "denied the request" in done.stderr


def _kinds(plane: ControlPlane, *, namespaced: str) -> str:
    listed = plane.kubectl("api-resources", "--verbs=list", f"--namespaced={namespaced}", "-o", "name").stdout.split()
    return ",".join(k for k in listed if not k.startswith(("events", "componentstatuses")))


def _cluster_scoped(plane: ControlPlane) -> set[str]:
    """What has no namespace and netadmit in its name."""
    found = plane.kubectl("get", _kinds(plane, namespaced="false"), "-o", "name").stdout.split()
    return {name for name in found if "netadmit" in name and not name.startswith("namespace/")}


def _left_behind(release: Release) -> list[str]:
    """What there is of the release: by its label anywhere, by its name among what has no namespace, and in its own."""
    plane, kinds = release.plane, _kinds(release.plane, namespaced="true")
    left = _cluster_scoped(plane) - release.others
    label = f"-lapp.kubernetes.io/instance={RELEASE}"
    left |= set(plane.kubectl("get", kinds, "-A", "-o", "name", label).stdout.split())
    left |= set(plane.kubectl("get", kinds, "-n", release.namespace, "-o", "name").stdout.split())
    return sorted(left)


@pytest.fixture(scope="module")
def release(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, helm_major: int
) -> Iterator[Release]:
    if sys.platform != "linux":
        pytest.skip("only Linux lets processes listen in all of 127.0.0.0/8")
    installed = Release(control_plane, tmp_path_factory.mktemp("helm"), helm_major)
    installed.others = _cluster_scoped(control_plane)
    proxy = None
    try:
        said = installed.helm("install", RELEASE, str(CHART), "--create-namespace", *_port())
        assert "STATUS: deployed" in said
        spec = installed.get(f"/api/v1/namespaces/{installed.namespace}/services/{RELEASE}")["spec"]
        installed.address = spec["clusterIP"]
        port = spec["ports"][0]["port"]
        if port != 8443:
            proxy = Relay(installed.address, port, 8443)
        assert installed.secret == {}
        assert installed.ca_bundle == b""
        installed.start()
        eventually(lambda: installed.ca_bundle == installed.secret[CA], "the CA is published")
        yield installed
    finally:
        installed.stop()
        if proxy:
            proxy.close()
        installed.helm("uninstall", RELEASE, "--ignore-not-found")
        control_plane.delete_namespace(installed.namespace)


def _bundles(release: Release) -> set[bytes]:
    return {base64.b64decode(w["clientConfig"].get("caBundle", "")) for w in release.get(CONFIGURATION)["webhooks"]}


def _port() -> list[str]:
    """The chart's own port; where that needs rights that we do not have, another one."""
    allowed = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    return [] if os.geteuid() == 0 or allowed <= 443 else ["--set=service.port=8443"]


@pytest.fixture
def shop(release: Release, namespace: str) -> str:
    """A namespace with a pod in it, known to netadmit."""
    release.plane.run_pod(namespace, "web-1", "10.9.0.1", labels={"app": "web"})
    eventually(lambda: release.denies(namespace), "the API server asks netadmit")
    return namespace


@pytest.mark.parametrize("values", [None, *sorted((CHART / "ci").glob("*.yaml"))], ids=lambda f: f.stem if f else "own")
def test_the_api_server_takes_every_object_and_field(
    release: Release, control_plane: ControlPlane, values: Path | None
) -> None:
    """In a namespace whose pods must be restricted; a wrong field is an error."""
    level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    namespace = control_plane.create_namespace(labels=level)
    try:
        arguments = [f"--values={values}"] if values else []
        objects = rendered(*arguments, release="tried", namespace=namespace, major=release.major)
        for found in objects:
            if found["kind"] == "ValidatingWebhookConfiguration":
                found["webhooks"][0]["clientConfig"].pop("caBundle", None)  # in ci/ it only looks like one
            if found["kind"] == "Service":
                found["spec"].pop("clusterIP", None)  # this cluster has other addresses
        foreign = ("cert-manager.io/v1", "monitoring.coreos.com/v1")  # custom resources that this cluster has not
        known = [found for found in objects if found["apiVersion"] not in foreign]
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": known})
        said = control_plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f-", stdin=given)
        assert len(said.stdout.splitlines()) == len(known)
        assert said.stderr == ""
    finally:
        control_plane.delete_namespace(namespace)


def test_kubectl_is_warned_and_denied(release: Release, shop: str) -> None:
    denied = release.plane.kubectl("apply", "-f-", stdin=DEAD_RULES % shop, check=False)
    assert denied.returncode == 1
    assert 'Error from server (Forbidden): error when creating "STDIN": admission webhook "validate.netadmit.io"' in (
        denied.stderr
    )
    assert "[rules-without-policy-type]" in denied.stderr
    eventually(
        lambda: "Warning: " in release.plane.kubectl("apply", "--dry-run=server", "-f-", stdin=MISSPELT % shop).stderr,
        "netadmit knows the pod",
    )
    warned = release.plane.kubectl("apply", "-f-", stdin=MISSPELT % shop)
    assert warned.stdout == "networkpolicy.networking.k8s.io/web created\n"
    assert f"Warning: netpol {shop}/web: " in warned.stderr
    assert "[selector-matches-nothing]" in warned.stderr


class Kubelet(threading.Thread):
    """Runs a pod once it is made, and says how it ended; names are looked up as the cluster's DNS would."""

    def __init__(self, release: Release, name: str) -> None:
        super().__init__(daemon=True)
        self._release = release
        self._path = f"/api/v1/namespaces/{release.namespace}/pods/{name}"
        self.said = ""

    def run(self) -> None:
        plane = self._release.plane
        eventually(lambda: plane.request("GET", self._path, check=False).status == 200, "the pod is made", 30)
        pod = plane.request("GET", self._path).body
        [container] = pod["spec"]["containers"]
        root = self._release.folder / "test-pod"
        environment = {one["name"]: one["value"] for one in container["env"]}
        for mount in container.get("volumeMounts", ()):
            here = root / mount["mountPath"].lstrip("/")
            here.mkdir(parents=True, exist_ok=True)
            (here / CA).write_bytes(self._release.secret[CA])
            environment = {k: v.replace(f"{mount['mountPath']}/", f"{here}/") for k, v in environment.items()}
        assert container["command"] == ["python", "-c"]
        [script] = container["args"]
        dns = (
            "import socket\n_ask = socket.getaddrinfo\n"
            f"socket.getaddrinfo = lambda host, *more, **kw: _ask({self._release.address!r}, *more, **kw)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", dns + script], env=environment, capture_output=True, text=True, check=False
        )
        self.said = done.stdout + done.stderr
        phase = "Failed" if done.returncode else "Succeeded"
        plane.request("PATCH", f"{self._path}/status", {"status": {"phase": phase}})


def test_helm_test(release: Release, shop: str) -> None:
    """As users run it, with its pod run here."""
    del shop  # it answers
    pod = f"{RELEASE}-test"
    kubelet = Kubelet(release, pod)
    kubelet.start()
    said = release.helm("test", RELEASE, "--timeout=60s")
    kubelet.join(60)
    assert re.search(r"Phase:\s+Succeeded", said), said + kubelet.said
    assert '"uid": "helm-test"' in kubelet.said
    found = release.plane.request("GET", f"/api/v1/namespaces/{release.namespace}/pods/{pod}", check=False)
    assert found.status == 404, "it takes its pod away"


def test_it_may_read_all_that_it_wants(release: Release) -> None:
    assert json.loads(release.operations("/readyz"))["unknown"] == {}
    assert not [entry for entry in release.log() if entry["level"] in ("warning", "error")]


def test_it_may_do_nothing_else(release: Release) -> None:
    account = f"--as=system:serviceaccount:{release.namespace}:{RELEASE}"
    for attempt in (
        ["get", "secrets", "-A"],
        ["get", "secrets", "-n", release.namespace],
        ["get", "configmaps", "-n", "kube-system"],
        ["get", "clusterroles"],
        ["get", "serviceaccounts", "-A"],
        ["create", "clusterrolebinding", "x", "--clusterrole=view", "--user=x"],
        ["label", "clusterrolebinding", "cluster-admin", "a=b"],
        ["label", "apiservice", "v1.apps", "a=b"],
        ["delete", "validatingwebhookconfiguration", RELEASE],
        ["create", "secret", "generic", "x", "-n", release.namespace],
        ["delete", "secret", f"{RELEASE}-tls", "-n", release.namespace],
        ["get", "leases", "-n", release.namespace],
        ["delete", "lease", RELEASE, "-n", release.namespace],
        ["get", "events", "-n", release.namespace],
        ["delete", "events", "--all", "-n", release.namespace],
    ):
        done = release.plane.kubectl(*attempt, account, check=False)
        assert "Forbidden" in done.stderr or "forbidden" in done.stderr, (attempt, done)


def test_what_is_not_judged(release: Release, shop: str) -> None:
    """The match conditions, tried by what reaches the process."""
    kubectl = release.plane.kubectl
    kubectl("apply", "-f-", stdin=MISSPELT % shop)
    before = release.judged()
    kubectl("label", "networkpolicy", "web", "-n", shop, "a=b")
    kubectl("annotate", "networkpolicy", "web", "-n", shop, "a=b")
    for spared in ("kube-system", release.namespace):
        kubectl("apply", "--dry-run=server", "-f-", stdin=DEAD_RULES % spared)
    controller = "--as=system:serviceaccount:kube-system:namespace-controller"
    kubectl("delete", "networkpolicy", "web", "-n", shop, controller, "--as-group=system:masters", "--dry-run=server")
    assert release.judged() == before
    kubectl("patch", "networkpolicy", "web", "-n", shop, "--type=merge", '-p={"spec":{"podSelector":null}}')
    kubectl("patch", "networkpolicy", "web", "-n", shop, "--type=merge", '-p={"spec":{"policyTypes":["Egress"]}}')
    kubectl("delete", "networkpolicy", "web", "-n", shop)
    eventually(lambda: release.judged() == before + 3, "a changed spec and a deletion are judged")


def test_an_upgrade_keeps_the_ca_and_brings_the_configuration(release: Release, shop: str) -> None:
    bundle, secret = release.ca_bundle, release.secret
    assert bundle
    said = release.helm("upgrade", RELEASE, str(CHART), *_port(), "--set=config.mode=warn", "--set=replicaCount=3")
    assert "STATUS: deployed" in said
    assert release.ca_bundle == bundle
    assert release.secret == secret
    assert release.denies(shop), "the process runs on with what it has read"
    release.stop()
    release.start()
    assert release.secret == secret, "another replica takes the certificate that is there"
    done = release.plane.kubectl("apply", "--dry-run=server", "-f-", stdin=DEAD_RULES % shop)
    assert "Warning: " in done.stderr
    assert release.ca_bundle == bundle
    release.helm("rollback", RELEASE, "1")
    assert release.ca_bundle == bundle
    assert release.secret == secret
    release.stop()
    release.start()
    eventually(lambda: release.denies(shop), "denials are back")


def test_a_ca_that_somebody_takes_away_is_put_back(release: Release, shop: str) -> None:
    """At once, not at the next look at it: the webhook configurations are followed anyway."""
    bundle = release.ca_bundle
    other = base64.b64encode(issue_ca(datetime.now(UTC)).certificate).decode()
    place = "/webhooks/0/clientConfig/caBundle"
    for change in ({"op": "remove", "path": place}, {"op": "replace", "path": place, "value": other}):
        patch = f"-p={json.dumps([change])}"
        before = release.get(CONFIGURATION)["metadata"]["generation"]
        release.plane.kubectl("patch", "validatingwebhookconfiguration", RELEASE, "--type=json", patch)
        eventually(
            lambda before=before: release.get(CONFIGURATION)["metadata"]["generation"] == before + 2, "twice", 15
        )
        eventually(lambda: release.ca_bundle == bundle, "it is put back", 15)
    eventually(lambda: release.denies(shop), "it is trusted")


def test_failing_closed_in_two_steps_refuses_nothing(release: Release, shop: str) -> None:
    """As the README has it: people who go on working while it is done."""
    for given in ("split=true", "failurePolicy=Ignore"):  # failing closed begins with what is there in either case
        release.helm("upgrade", RELEASE, str(CHART), *_port(), f"--set=webhook.{given}")
    release.helm("upgrade", RELEASE, str(CHART), *_port(), "--set=webhook.split=true")
    eventually(lambda: _bundles(release) == {release.secret[CA]}, "every webhook has the CA: the pods are ready", 20)
    eventually(lambda: release.denies(shop), "it is asked")
    refused: list[str] = []
    asked = 0
    done = threading.Event()

    def work() -> None:
        nonlocal asked
        service = {"metadata": {"generateName": "web-"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
        while not done.is_set():
            made = release.plane.request("POST", f"/api/v1/namespaces/{shop}/services?dryRun=All", service, check=False)
            asked += 1
            if made.status != 201:
                refused.append(str(made))

    people = threading.Thread(target=work)
    people.start()
    try:
        said = release.helm("upgrade", RELEASE, str(CHART), *_port(), "--set=webhook.failurePolicy=Fail")
        assert "STATUS: deployed" in said
        [policy] = [
            one["failurePolicy"] for one in release.get(CONFIGURATION)["webhooks"] if one["name"].startswith("enforce")
        ]
        assert policy == "Fail"
        time.sleep(3)  # the API server has heard of it
    finally:
        done.set()
        people.join()
    assert asked > 20
    assert refused == []


def test_failing_closed_holds_up_no_more_than_it_must(release: Release, shop: str) -> None:
    """From here on the webhook fails closed, and nobody answers."""
    bundle = release.ca_bundle
    for policy, names in (("Fail", {"enforce", "advise"}), ("Ignore", {"validate"}), ("Fail", {"enforce", "advise"})):
        said = release.helm("upgrade", RELEASE, str(CHART), *_port(), f"--set=webhook.failurePolicy={policy}")
        assert "STATUS: deployed" in said
        webhooks = release.get(CONFIGURATION)["webhooks"]
        assert {one["name"] for one in webhooks} == {f"{name}.netadmit.io" for name in names}
        eventually(lambda: _bundles(release) == {bundle}, "every webhook has the CA", 20)
    kubectl = release.plane.kubectl

    def refused() -> str:
        return kubectl("apply", "--dry-run=server", "-f-", stdin=DEAD_RULES % shop, check=False).stderr

    eventually(lambda: 'admission webhook "enforce.netadmit.io" denied the request' in refused(), "it is asked")
    done = kubectl("apply", "-f-", stdin=MISSPELT % shop)
    assert "[selector-matches-nothing]" in done.stderr, "what only advises is asked as well"
    finalizer = '{"metadata":{"finalizers":["example.com/load-balancer"]}}'
    service = ["service", "web", "-n", shop]
    kubectl("create", "service", "clusterip", "web", "--tcp=80", "-n", shop)
    kubectl("patch", *service, "--type=merge", f"-p={finalizer}")

    release.stop()
    for closed in (
        kubectl("create", "service", "clusterip", "new", "--tcp=80", "-n", shop, check=False),
        kubectl("patch", *service, "--type=merge", '-p={"spec":{"selector":{"a":"b"}}}', check=False),
        kubectl("apply", "-f-", stdin=DEAD_RULES % shop, check=False),
    ):
        assert 'failed calling webhook "enforce.netadmit.io"' in closed.stderr, closed
    spared = release.plane.create_namespace("calico-system")
    try:
        kubectl("apply", "-f-", stdin=DEAD_RULES % spared)
    finally:
        release.plane.delete_namespace(spared)
    kubectl("apply", "-f-", stdin=DEAD_RULES % "kube-system")
    kubectl("delete", "networkpolicy", "dead", "-n", "kube-system")
    # Metadata, as controllers write it; a deletion that waits for a finalizer; the API server's own Service.
    kubectl("label", "networkpolicy", "web", "-n", shop, "a=b")
    kubectl("delete", "networkpolicy", "web", "-n", shop)
    kubectl("delete", *service, "--wait=false")
    kubectl("patch", *service, "--type=json", '-p=[{"op":"replace","path":"/spec/selector","value":{"a":"b"}},'
            '{"op":"remove","path":"/metadata/finalizers"}]')  # fmt: skip
    assert "NotFound" in kubectl("get", *service, check=False).stderr
    affinity = '{"spec":{"sessionAffinity":"%s"}}'
    for value in ("ClientIP", "None"):
        kubectl("patch", "service", "kubernetes", "-n", "default", "--type=merge", f"-p={affinity % value}")
    release.plane.request("DELETE", "/api/v1/namespaces/default/services/kubernetes")
    path = "/api/v1/namespaces/default/services/kubernetes"
    eventually(lambda: release.plane.request("GET", path, check=False).status == 200, "it is made anew", 30)


def test_uninstalling_leaves_nothing_behind(release: Release, namespace: str) -> None:
    """The last one: the release is gone then. Nobody answers as it goes, and the webhook fails closed."""
    plane = release.plane
    release.helm("upgrade", RELEASE, str(CHART), *_port(), "--set=config.settle=0")
    release.stop()
    with served_reports(plane, POLICY_REPORT) as reports, plane.garbage_collector():
        plane.run_pod(namespace, "web-1", "10.9.0.1", labels={"app": "web"})
        release.start()
        plane.kubectl("apply", "-f-", stdin=MISSPELT % namespace)

        def reported() -> list[dict[str, Any]]:
            return [one for one in release.get(reports)["items"] if one["metadata"]["namespace"] == namespace]

        eventually(reported, "there is a report", 30)
        owner = release.get(CONFIGURATION)["metadata"]
        [[reference]] = [one["metadata"]["ownerReferences"] for one in reported()]
        assert (reference["kind"], reference["name"]) == ("ValidatingWebhookConfiguration", owner["name"])
        assert reference["uid"] == owner["uid"]
        off = "--set=config.settle=0,config.reports=off"
        for given, there in ((off, False), ("--set=config.settle=0,webhook.failurePolicy=Fail", True)):
            release.helm("upgrade", RELEASE, str(CHART), *_port(), given)
            release.stop()
            release.start()
            eventually(lambda there=there: bool(reported()) is there, "switched off, what was written goes", 30)
        release.stop()
        assert reported(), "nobody has taken it away"
        assert _left_behind(release), "or the search would find nothing"

        said = release.helm("uninstall", RELEASE)
        assert "uninstalled" in said
        assert "kept due to" not in said
        eventually(lambda: not reported(), "the garbage collector takes what the release has owned", 30)
    left = _left_behind(release)
    # The API server's own, in every namespace.
    assert [name for name in left if name not in ("configmap/kube-root-ca.crt", "serviceaccount/default")] == []
    plane.kubectl("apply", "-f-", stdin=DEAD_RULES % namespace)
