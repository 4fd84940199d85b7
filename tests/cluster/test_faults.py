"""What goes wrong in production, tried behind a real API server: admissions go on, and none is lost or judged wrongly.

Two replicas behind their Service's address, a webhook that fails closed so that every lost admission is seen, and
people who apply policies without a pause, each answer compared with what it has to be. The lines of docs/reliability.md
are these tests; `NETADMIT_FAULTS=5000` (`make faults`) has each go on for that many admissions, and writes the page;
without it they are not collected, because on a machine that does something else a fault is easily another one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import statistics
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509

from certs.inspect import issued
from certs.issue import KeyPair, issue_ca, issue_leaf
from certs.plan import OVERLAP
from certs.publish import NEXT_CERTIFICATE
from certs.store import CA, CERTIFICATE, KEY, place, write

from .control_plane import ControlPlane, _Process
from .installed_webhook import _CONFIGURATIONS, _RBAC, PORT, ROOT, InstalledWebhook, eventually, served
from .launched import CLOCK, CRASHING
from .load import Appliers, Expected, policies, policy
from .relay import FaultyAPI, Relay

ADMISSIONS = int(os.environ.get("NETADMIT_FAULTS", "0"))
FEW = 250
PAGE = ROOT / "docs" / "reliability.md"
SECRET = "netadmit-tls"
DRAIN = 3.0
_NONE = timedelta()


class Line(NamedTuple):
    """One line of the page."""

    fault: str
    admissions: int
    failed: int
    misjudged: int
    remark: str


LINES: list[Line] = []


class Replica:
    """One process, with an address and a folder of its own."""

    def __init__(self, address: str, folder: Path, command: Sequence[str], environment: dict[str, str]) -> None:
        self.address = address
        self.certificates = folder / "tls"
        self._folder = folder
        self._command = [*command, f"--bind={address}", f"--cert-dir={self.certificates}"]
        self._environment = environment
        self.process: _Process | None = None
        self._starts = 0

    def start(self) -> None:
        self._starts += 1
        self.process = _Process(self._command, self._folder / f"serve-{self._starts}.log", self._environment)

    def kill(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def gone(self) -> bool:
        return self.process is None or not self.process.running

    def stop(self) -> None:
        if self.process is not None:
            if self.process.running:
                os.kill(self.process.pid, signal.SIGINT)  # without draining
            self.process.stop(patience=5)

    def log(self) -> list[dict[str, object]]:
        assert self.process is not None
        lines = self.process.log.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def read(self, path: str) -> tuple[int, str]:
        """What its other port answers; 0 before it listens."""
        assert self.process is not None
        assert self.process.running, self.process.tail()
        ports = [entry["metricsPort"] for entry in self.log() if entry["message"] == "listening"]
        if not ports:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://{self.address}:{ports[-1]}{path}", timeout=10) as answer:
                return int(answer.status), str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ready(self) -> bool:
        return self.read("/readyz")[0] == 200

    def knows_all(self) -> bool:
        """Whether it is ready, and there is nothing that it may not read, or has not heard of for long."""
        status, text = self.read("/readyz")
        return status == 200 and json.loads(text)["unknown"] == {}

    def unknown(self) -> set[str]:
        """The kinds of which it knows that it cannot know them."""
        return set(json.loads(self.read("/readyz")[1])["unknown"])

    def reviews(self) -> float:
        """How many it has answered."""
        return self.metric("netadmit_admission_reviews_total")

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all samples that have these labels."""
        found = re.findall(rf"^{re.escape(name)}(\{{.*\}})? (\S+)$", self.read("/metrics")[1], re.MULTILINE)
        return sum(float(value) for had, value in found if all(f'{k}="{v}"' in had for k, v in labels.items()))


class Replicated(InstalledWebhook):
    """netadmit with two replicas behind the Service's address, as kube-proxy has it.

    Args:
        shared: whether it issues its certificates itself, into a Secret. Otherwise the test lays them into each
            replica's folder.
        began: when the first CA and certificate were issued, from now.
        ahead: of the machine's clock, that of the replicas.
    """

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        *,
        shared: bool = False,
        began: timedelta = timedelta(),
        ahead: timedelta = timedelta(),
    ) -> None:
        super().__init__(plane, folder)
        self.shared = shared
        self.relay = Relay(self.address, PORT, PORT)
        self.api = FaultyAPI(plane.url, plane.ssl_context)
        self.clock = folder / "clock"
        self.turn_clock(ahead)
        self.began = datetime.now(UTC) + began
        self.authority = issue_ca(self.began)
        self.replicas: list[Replica] = []
        self.serving: Sequence[Replica] = ()

    # -- installing

    def _let_read(self) -> None:
        super()._let_read()
        config = json.loads(self.kubeconfig.read_text())
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self.api.port}"}
        self.kubeconfig.write_text(json.dumps(config))
        # 40 days: with 30 of them gone, less than a third is left.
        leaf = self.issue(days=40)
        write(self._folder / "tls", leaf, self.authority.certificate)
        if self.shared:
            self._let_write()
            data = {CERTIFICATE: leaf.certificate, KEY: leaf.key, CA: self.authority.certificate}
            encoded = {"stringData": {name: content.decode() for name, content in data.items()}}
            path = f"/api/v1/namespaces/{self.namespace}/secrets"
            self.plane.request("POST", path, {"metadata": {"name": SECRET}} | encoded)
        self.configure()
        command = [sys.executable, "-m", "tests.cluster.launched", "serve", f"--port={PORT}", "--metrics-port=0"]
        command += [f"--kubeconfig={self.kubeconfig}", f"--drain-seconds={DRAIN}"]
        command += [f"--cert-secret={SECRET}", f"--publish-ca={self.namespace}"] if self.shared else []
        environment = {**self.plane._environment(), "PYTHONPATH": str(ROOT), "POD_NAMESPACE": self.namespace}
        environment[CLOCK] = str(self.clock)
        for number in range(2):
            folder = self._folder / f"replica-{number}"
            folder.mkdir()
            self.replicas.append(Replica(self.plane.next_service_ip(), folder, command, environment))
            if not self.shared:
                write(self.replicas[-1].certificates, leaf, self.authority.certificate)

    def _let_write(self) -> None:
        """The chart's two rights to write."""
        meta = {"name": f"{self.namespace}-own"}
        hooks = {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["validatingwebhookconfigurations"]}
        secrets = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": ["get", "update"]}
        subjects = [{"kind": "ServiceAccount", "name": "netadmit", "namespace": self.namespace}]
        for kind, prefix, rule in (
            ("ClusterRole", _RBAC, {**hooks, "resourceNames": [self.namespace], "verbs": ["get", "patch"]}),
            ("Role", f"{_RBAC}/namespaces/{self.namespace}", secrets),
        ):
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": meta["name"]}
            self.plane.request("POST", f"{prefix}/{kind.lower()}s", {"metadata": meta, "rules": [rule]})
            binding = {"metadata": meta, "roleRef": reference, "subjects": subjects}
            self.plane.request("POST", f"{prefix}/{kind.lower()}bindings", binding)

    def start(self, config: object = None) -> None:
        """Starts both, and waits until they are asked."""
        assert config is None
        for replica in self.replicas:
            replica.start()
        self.heal()
        eventually(lambda: self._asked() is True, "the API server asks netadmit")

    def stop(self) -> None:
        for replica in self.replicas:
            replica.stop()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for kind in ("clusterroles", "clusterrolebindings"):
            self.plane.request("DELETE", f"{_RBAC}/{kind}/{self.namespace}-own", check=False)
        self.relay.close()
        self.api.close()

    # -- what the test, and the cluster's controllers, do

    def heal(self) -> None:
        """What the Deployment's and the Service's controllers do: both run, and are the Service's endpoints."""
        for replica in self.replicas:
            if replica.gone():
                replica.start()
        for replica in self.replicas:
            eventually(replica.knows_all, "a replica is ready and knows all", 120)
        self.endpoints(*self.replicas)

    def endpoints(self, *replicas: Replica) -> None:
        self.serving = replicas
        self.relay.pass_on_to(*((replica.address, PORT) for replica in replicas))

    def spread(self) -> None:
        """Has the API server connect anew, and waits until each of the Service's endpoints is asked.

        It keeps its connections: a replica that has come back may not be asked for long, and its end would be no fault.
        """
        before = [replica.reviews() for replica in self.serving]
        self.reconnect()
        eventually(
            lambda: all(r.reviews() >= b + 5 for r, b in zip(self.serving, before, strict=True)),
            "each endpoint is asked",
            60,
        )

    def turn_clock(self, ahead: timedelta) -> None:
        draft = self.clock.with_suffix(".new")
        draft.write_text(str(ahead.total_seconds()))
        draft.replace(self.clock)

    def issue(self, days: int = 90) -> KeyPair:
        names = [f"netadmit.{self.namespace}.svc"]
        return issue_leaf(self.authority, names, self.began, timedelta(days=days))

    def trusted(self) -> list[x509.Certificate]:
        """What the webhook configuration says that the API server is to trust."""
        path = f"{_CONFIGURATIONS}/{self.namespace}"
        bundle = self.plane.request("GET", path).body["webhooks"][0]["clientConfig"]["caBundle"]
        return x509.load_pem_x509_certificates(base64.b64decode(bundle))

    @property
    def timeout(self) -> int:
        """Seconds that the API server waits for an answer."""
        configuration = self.plane.request("GET", f"{_CONFIGURATIONS}/{self.namespace}").body
        return int(configuration["webhooks"][0]["timeoutSeconds"])

    @property
    def secret(self) -> dict[str, bytes]:
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{SECRET}"
        return {key: base64.b64decode(value) for key, value in self.plane.request("GET", path).body["data"].items()}

    def shown(self) -> set[int]:
        """The numbers of the certificates that the replicas show to new connections, and that are trusted."""
        bundle = self.secret[CA]
        return {served(replica.address, bundle) for replica in self.replicas}

    def pod(self, namespace: str) -> None:
        """A pod that policies select; both replicas know it, and its namespace."""
        self.plane.run_pod(namespace, "web-1", "10.9.0.1", labels={"app": "web"})
        for kind, path in (("v1/Namespace", "/api/v1/namespaces"), ("v1/Pod", "/api/v1/pods")):
            number = len(self.plane.request("GET", path).body["items"])
            for replica in self.replicas:
                eventually(
                    lambda replica=replica, kind=kind, number=number: (
                        replica.metric("netadmit_state_objects", kind=kind) == number
                    ),
                    f"{replica.address} knows {number} of {kind}",
                    30,
                )


@pytest.fixture(scope="module")
def replicated(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    if sys.platform != "linux":
        pytest.skip("only Linux lets processes listen in all of 127.0.0.0/8")
    with Replicated(control_plane, tmp_path_factory.mktemp("faults")) as installed:
        yield installed


@pytest.fixture
def healthy(replicated: Replicated, namespace: str) -> Iterator[Replicated]:
    """Both replicas run and are asked; the test's namespace has a pod."""
    replicated.heal()
    replicated.pod(namespace)
    yield replicated
    replicated.heal()


class Trial:
    """A fault, while admissions go on."""

    def __init__(self, installed: Replicated, appliers: Appliers) -> None:
        self.installed = installed
        self.appliers = appliers
        self.remark = ""


@contextlib.contextmanager
def trial(
    installed: Replicated,
    namespace: str,
    fault: str,
    *,
    threads: int = 4,
    accepted: bool = False,
    prefix: str = "p",
    expected: Expected = Expected(),  # noqa: B008 - it cannot be changed
    away: bool = False,
) -> Iterator[Trial]:
    """Has people apply policies while the block does harm, and after it until there are enough; records the line.

    Args:
        accepted: whether failures are counted only; the line's remark then explains them.
        prefix, expected, away, threads: as `Appliers` has them.
    """
    appliers = Appliers(installed.plane, namespace, threads=threads, prefix=prefix, expected=expected, away=away)
    running = Trial(installed, appliers)
    try:
        installed.spread()
        before = [replica.reviews() for replica in installed.serving]
        appliers.go_on(20)
        assert all(r.reviews() > b for r, b in zip(installed.serving, before, strict=True)), "each is asked"
        yield running
        appliers.go_on(max(20, (ADMISSIONS or FEW) - appliers.done), 900)
    finally:
        appliers.end()
    remark = running.remark
    if appliers.unanswered:
        remark += f" {appliers.unanswered} requests found no API server, or one that was starting: not counted."
    LINES.append(Line(fault, appliers.done, len(appliers.failures), len(appliers.misjudged), remark.strip()))
    assert appliers.misjudged == []
    if not accepted:
        assert appliers.failures == []


# --- the lines --------------------------------------------------------------------------------------------------------


def test_nothing(healthy: Replicated, namespace: str) -> None:
    with trial(healthy, namespace, "none") as running:
        running.remark = "Both replicas are asked in turn."
        before = [replica.reviews() for replica in healthy.replicas]
    shares = [r.reviews() - b for r, b in zip(healthy.replicas, before, strict=True)]
    assert min(shares) > sum(shares) / 10, "both are asked, all the time"


def test_leaf_rotated_twice(healthy: Replicated, namespace: str) -> None:
    with trial(healthy, namespace, "certificate replaced twice, same CA") as running:
        for _ in range(2):
            leaf = healthy.issue()
            for replica in healthy.replicas:
                write(replica.certificates, leaf, healthy.authority.certificate)
            for replica in healthy.replicas:
                eventually(
                    lambda replica=replica, leaf=leaf: _shows(replica, healthy.authority, leaf), "it is served", 30
                )
            healthy.reconnect()
            running.appliers.go_on(20)
        running.remark = "Files are replaced under the running processes; the API server connects anew."


def _shows(replica: Replica, authority: KeyPair, leaf: KeyPair) -> bool:
    return served(replica.address, authority.certificate) == leaf.x509.serial_number


def test_mismatched_pair_on_disk(healthy: Replicated, namespace: str) -> None:
    before = healthy.issue()
    for replica in healthy.replicas:
        write(replica.certificates, before, healthy.authority.certificate)
        eventually(lambda replica=replica: _shows(replica, healthy.authority, before), "a good one is served", 30)
    with trial(healthy, namespace, "certificate and key that do not belong together, on disk") as running:
        for replica in healthy.replicas:
            place(replica.certificates, {KEY: healthy.issue().key, CERTIFICATE: healthy.issue().certificate})
        counted = "netadmit_certificate_reload_failures_total"
        for replica in healthy.replicas:
            eventually(lambda replica=replica: replica.metric(counted) > 0, "it is found out, and counted", 30)
        healthy.reconnect()
        running.appliers.go_on(40)
        for replica in healthy.replicas:
            assert _shows(replica, healthy.authority, before), "the former one is served on"
            assert replica.ready()
        running.remark = f"The former pair is served on; `{counted}` counts."
    after = healthy.issue()
    for replica in healthy.replicas:
        write(replica.certificates, after, healthy.authority.certificate)
        eventually(lambda replica=replica: _shows(replica, healthy.authority, after), "a good one is taken up", 30)


def test_one_of_two_is_told_to_end(healthy: Replicated, namespace: str) -> None:
    first, second = healthy.replicas
    with trial(healthy, namespace, "one of two replicas gets SIGTERM") as running:
        first.kill(signal.SIGTERM)
        time.sleep(0.5)  # kube-proxy hears of it later than the process
        healthy.endpoints(second)
        eventually(first.gone, "it has ended", DRAIN + 30)
        running.appliers.go_on(20)
        healthy.heal()
        running.remark = f"It goes on answering for {DRAIN:.0f} s, with `Connection: close`; then comes back."


def test_one_of_two_is_killed(healthy: Replicated, namespace: str) -> None:
    first, second = healthy.replicas
    with trial(healthy, namespace, "one of two replicas gets SIGKILL", accepted=True) as running:
        first.kill(signal.SIGKILL)
        eventually(first.gone, "it is dead")
        time.sleep(1.0)  # kubelet and the EndpointSlice controller notice
        healthy.endpoints(second)
        time.sleep(0.5)
        lost = len(running.appliers.failures)
        running.appliers.go_on(100)
        assert len(running.appliers.failures) == lost, "none is lost once the Service has only the living one"
        healthy.heal()
        running.remark = (
            f"{lost} lost: what it was answering, and what was sent to it in the second until the Service had only the "
            "other one. Refused under `Fail`, let through unjudged under `Ignore`. None is lost afterwards."
        )


def test_the_api_server_restarts(healthy: Replicated, namespace: str) -> None:
    with trial(healthy, namespace, "the API server restarts", away=True) as running:
        # Before it has read its own roles it answers 403: what may not be read is unknown, until it is asked again.
        running.appliers.expected = Expected(warned=None)
        healthy.plane.restart_api_server()
        running.appliers.go_on(20)
        running.remark = (
            "For up to 15 s afterwards replicas may know too little to warn; they deny what they have to, and nothing "
            "else. After that every answer is the right one."
        )
        for replica in healthy.replicas:
            eventually(replica.knows_all, "it follows the cluster again", 90)
        running.appliers.expected = Expected()


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ("all watches of both replicas are cut", 0, ""),
        ("the API server has forgotten where watches were (410)", 410, "Expired"),
        ("the API server is too busy for watches (429)", 429, "TooManyRequests"),
        ("nothing may be read any more (403), for a while", 403, "Forbidden"),
    ],
)
def test_watches(healthy: Replicated, namespace: str, fault: str, code: int, reason: str) -> None:
    def restarts() -> list[float]:
        return [replica.metric("netadmit_watch_restarts_total") for replica in healthy.replicas]

    forbidden = code == 403
    with trial(healthy, namespace, fault) as running:
        before = restarts()
        if code:
            running.appliers.expected = Expected(warned=None if forbidden else True)
            with healthy.api.refusing(code, reason):
                eventually(lambda: all(a > b for a, b in zip(restarts(), before, strict=True)), "it was noticed", 30)
                if forbidden:
                    for replica in healthy.replicas:
                        eventually(lambda replica=replica: "v1/Pod" in replica.unknown(), "pods are unknown", 60)
                    # What may not be read is unknown: nothing is said that rests on it, all else is.
                    running.appliers.expected = Expected(warned=False)
                running.appliers.go_on(40)
                running.appliers.expected = Expected(warned=None if forbidden else True)
            for replica in healthy.replicas:
                eventually(replica.knows_all, "it knows all again", 90)
            running.appliers.expected = Expected()
        else:
            assert healthy.api.cut() > 20
            eventually(lambda: all(a > b for a, b in zip(restarts(), before, strict=True)), "it was noticed", 30)
        if forbidden:
            running.remark = (
                "Meanwhile nothing is said that rests on what cannot be read, and what needs none of it is denied on; "
                "replicas stay ready."
            )
            assert all(replica.ready() for replica in healthy.replicas)


def test_watches_are_late(healthy: Replicated, namespace: str) -> None:
    with trial(healthy, namespace, "all watches are 5 s late") as running, healthy.api.late(5):
        running.appliers.go_on(500)
        running.remark = "A warning that rests on what may have just come waits for 150 ms, and is given."


def test_lists_are_not_streamed(healthy: Replicated, namespace: str) -> None:
    def restarts() -> list[float]:
        return [replica.metric("netadmit_watch_restarts_total") for replica in healthy.replicas]

    with trial(healthy, namespace, "an etcd without streamed lists: all is read anew, in pages") as running:
        before = restarts()
        with healthy.api.without_streamed_lists():
            with healthy.api.refusing(410, "Expired"):
                eventually(
                    lambda: all(a - b > 20 for a, b in zip(restarts(), before, strict=True)),
                    "each kind is asked for anew",
                    60,
                )
            eventually(lambda: healthy.api.unstreamed > 0, "lists are asked for as streams", 60)
            for replica in healthy.replicas:
                eventually(replica.knows_all, "it knows all again", 90)
            running.appliers.go_on(500)


def test_a_large_object_is_updated(healthy: Replicated, namespace: str) -> None:
    """A review holds the object twice; who limits bodies to 1 MiB can have a policy created that nobody can change.

    Others apply policies in another namespace, and wait no longer than the chart's 3 s.
    """
    tenant = healthy.plane.create_namespace()
    peers = [{"ipBlock": {"cidr": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32"}} for n in range(100_000, 160_000)]
    large = policy("large", tenant, "web")
    large["spec"] = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]}
    path = f"{policies(tenant)}/large"
    number = max(6, ADMISSIONS // 500)  # the API server itself takes seconds for each
    try:
        healthy.plane.request("POST", policies(tenant), large)
        size = 2 * len(json.dumps(healthy.plane.request("GET", path).body, separators=(",", ":")))
        assert size > 4_400_000
        with trial(healthy, namespace, "an object updated in a review of 4.6 MB") as running:
            updated = 0
            for _ in range(number):
                change = {"spec": {"policyTypes": ["Ingress", "Egress"]}}
                answer = healthy.plane.request("PATCH", f"{path}?dryRun=All", change, check=False, timeout=120)
                updated += answer.status == 200
                if answer.status != 200 and "webhook" in str(
                    answer.body
                ):  # else it took the API server itself too long
                    running.appliers.failures.append(str(answer))
            took = [
                float(str(entry["milliseconds"])) / 1000
                for replica in healthy.replicas
                for entry in replica.log()
                if (entry.get("name"), entry.get("operation")) == ("large", "UPDATE")
            ]
            assert len(took) >= updated > number / 2
            running.remark = (
                f"{updated} such updates by a tenant, {size / 1e6:.1f} MB each, among others' of another namespace; "
                f"netadmit took {statistics.median(took):.1f} s for each (median; at most {max(took):.1f}), the API "
                f"server itself much longer. `timeoutSeconds` is {healthy.timeout}, as in the chart."
            )
    finally:
        healthy.plane.delete_namespace(tenant)


def test_64_at_a_time(healthy: Replicated, namespace: str) -> None:
    with trial(healthy, namespace, "64 clients at a time", threads=64) as running:
        running.remark = "The API server keeps 25 idle connections: above that it opens new ones all the time."


def test_asked_before_the_state_is_read(healthy: Replicated, namespace: str) -> None:
    first, second = healthy.replicas
    healthy.endpoints(second)
    first.stop()
    with healthy.api.keeping_waiting():
        first.start()
        eventually(lambda: first.read("/readyz")[0] == 503, "it listens, and is not ready", 30)
        healthy.endpoints(first)
        fault, either = "asked before the cluster's state is read", Expected(denied=None, warned=None)
        with trial(healthy, namespace, fault, expected=either) as running:
            # From here on; of the first the other one, which knows all, may have been asked over an old connection.
            running.appliers.expected = Expected(denied=False, warned=False)
            running.remark = (
                "Nothing is denied or held up: what needs no state is warned of, of all else nothing is said. "
                "`/readyz` keeps such a replica out of the Service."
            )
        assert not first.ready()
        assert json.loads(first.read("/readyz")[1])["waiting"]
        decisions = {e["message"] for e in first.log() if e["logger"] == "netadmit.decision" and not e["synced"]}
        assert decisions, "it was asked"
        assert "denied" not in decisions


def test_a_check_crashes(healthy: Replicated, namespace: str) -> None:
    with trial(healthy, namespace, "a check crashes on every object", prefix="crash-p") as running:
        running.remark = "Each object is judged without it, by all the others; `netadmit_check_crashes_total` counts."
    # The API server may have all its connections to one of them.
    assert sum(replica.metric("netadmit_check_crashes_total", check=CRASHING) for replica in healthy.replicas) > 100
    for replica in healthy.replicas:
        traces = [entry for entry in replica.log() if "made to crash" in str(entry.get("trace", ""))]
        crashed = replica.metric("netadmit_check_crashes_total", check=CRASHING) > 0
        assert len(traces) == crashed, "its trace is logged once"


# --- certificates that netadmit issues itself


class Observer:
    """Looks all the time whether the API server is told to trust what replicas have to serve."""

    def __init__(self, installed: Replicated) -> None:
        self._installed = installed
        self._ending = threading.Event()
        self.looks = 0
        self.found: list[str] = []
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._ending.wait(0.05):
            for replica in self._installed.replicas:
                leaf = x509.load_pem_x509_certificate((replica.certificates / CERTIFICATE).read_bytes())
                if not any(issued(authority, leaf) for authority in self._installed.trusted()):
                    self.found.append(f"{replica.address} has {leaf.serial_number}, which is not trusted")
                self.looks += 1

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


@pytest.mark.parametrize(
    ("fault", "from_day", "to_day"),
    [
        # Of 40 days; the API server has the machine's own clock, so that of netadmit is behind it, not ahead.
        ("CA and certificate rotated, with overlap", 26, 27),
        ("the clock jumps 30 days ahead", 0, 30),
    ],
)
def test_rotation(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, fault: str, from_day: int, to_day: int
) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux lets processes listen in all of 127.0.0.0/8")
    began, day = timedelta(days=-30), timedelta(days=1)
    with Replicated(control_plane, tmp_path, shared=True, began=began, ahead=began + from_day * day) as installed:
        installed.pod(namespace)
        former = installed.secret
        observer = Observer(installed)
        try:
            with trial(installed, namespace, fault) as running:
                now = began + to_day * day
                installed.turn_clock(now)
                eventually(lambda: NEXT_CERTIFICATE in installed.secret, "a successor is staged", 30)
                eventually(lambda: len(installed.trusted()) == 2, "both CAs are published", 30)
                running.appliers.go_on(40)
                assert installed.secret[CERTIFICATE] == former[CERTIFICATE], "nobody serves it yet"
                assert installed.shown() == {x509.load_pem_x509_certificate(former[CERTIFICATE]).serial_number}
                successor = x509.load_pem_x509_certificate(installed.secret[NEXT_CERTIFICATE])
                installed.turn_clock(now + OVERLAP + timedelta(minutes=1))
                eventually(lambda: installed.shown() == {successor.serial_number}, "both serve it", 40)
                installed.reconnect()  # which also is a change of the caBundle that somebody makes
                eventually(lambda: len(installed.trusted()) == 2, "it is put back", 20)
                running.appliers.go_on(20)
                running.remark = (
                    "Two replicas share a Secret; the new CA is trusted before the first certificate of it is served, "
                    "the old one after the last. Somebody else changes the `caBundle` meanwhile."
                )
        finally:
            observer.end()
        assert observer.found == []
        assert observer.looks > 20
        assert len([e for r in installed.replicas for e in r.log() if e["message"] == "certificate: stage"]) == 1
        assert len([e for r in installed.replicas for e in r.log() if e["message"] == "certificate: promote"]) == 1


def test_no_check_crashed_on_its_own(replicated: Replicated) -> None:
    for replica in replicated.replicas:
        traces = [entry["trace"] for entry in replica.log() if "trace" in entry]
        assert [trace for trace in traces if "made to crash" not in str(trace)] == []


# --- the page


_HEAD = """# Reliability

Each line is a test (`tests/cluster/test_faults.py`): two replicas of netadmit behind a Service, a real kube-apiserver,
a webhook with `failurePolicy: Fail`, so that every admission that is lost is seen, and people who apply policies
without a pause. Two in five of the policies warn, one in five is denied, and every answer is compared with what it has
to be. The page is written by `make faults`, which takes half an hour of a machine that does nothing else.

| what goes wrong | admissions | lost | wrongly answered | |
|---|---:|---:|---:|---|
"""


def _page(lines: Sequence[Line]) -> str:
    return _HEAD + "".join(map(_row, lines))


def _row(line: Line) -> str:
    return f"| {line.fault} | {line.admissions:,} | {line.failed} | {line.misjudged} | {line.remark} |\n"


def _replaced(text: str, lines: Sequence[Line]) -> str:
    """The page with these lines instead of the former ones of the same faults."""
    for line in lines:
        text = re.sub(
            rf"^\| {re.escape(line.fault)} \| .*\n", lambda _, line=line: _row(line), text, flags=re.MULTILINE
        )
    return text


def test_the_page_has_these_lines(request: pytest.FixtureRequest) -> None:
    of_this_file = [item for item in request.session.items if item.path == Path(__file__)]
    all_asked = any(item.name == test_no_check_crashed_on_its_own.__name__ for item in of_this_file)
    whole = all_asked and len(LINES) == len(of_this_file) - 2
    text = PAGE.read_text()
    if ADMISSIONS:  # of some of the lines, these alone are written anew
        PAGE.write_text(_page(LINES) if whole else _replaced(text, LINES))
        text = PAGE.read_text()
    assert text.startswith(_HEAD)
    rows = [row.strip("|\n ").split(" | ") for row in text.removeprefix(_HEAD).splitlines()]
    assert {line.fault for line in LINES} <= {row[0] for row in rows}
    if whole:
        assert [row[0] for row in rows] == [line.fault for line in LINES], "run it with NETADMIT_FAULTS=5000"
    for fault, admissions, lost, misjudged, *_ in rows:
        assert int(admissions.replace(",", "")) >= 5000, fault
        assert int(misjudged) == 0, fault
        assert int(lost) == 0 or "SIGKILL" in fault, fault
