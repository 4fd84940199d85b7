"""People whose tools hide warnings: Events and reports, as kubectl shows them, written by one of two replicas."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from webhook.policy_reports import OPEN_REPORT, POLICY_REPORT, ReportKind

from .control_plane import ControlPlane
from .custom_resources import served_reports
from .installed_webhook import LEASE, InstalledWebhook, eventually

CONFIG = {"settle": 0, "enforce": ["service-selects-nothing"]}
LOST = {"podSelector": {"matchLabels": {"app": "wep"}}, "policyTypes": ["Ingress"]}
DEAD = {"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 443}]}]}
Event = dict[str, Any]


class Replica(InstalledWebhook):
    """Another process of the same installation."""

    def __init__(self, first: InstalledWebhook, folder: Path) -> None:
        super().__init__(first.plane, folder)
        self.namespace, self.kubeconfig = first.namespace, first.kubeconfig

    def __enter__(self) -> Self:
        self.start(CONFIG)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@pytest.fixture(scope="module")
def told(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstalledWebhook]:
    """netadmit, asked by the API server, for which everything has settled at once."""
    if sys.platform != "linux":
        pytest.skip("only Linux lets processes listen in all of 127.0.0.0/8")
    with InstalledWebhook(control_plane, tmp_path_factory.mktemp("telling")) as installed:
        installed.stop()
        installed.start(CONFIG)
        installed.switch_on()
        yield installed
        installed.switch_off()


@pytest.fixture
def shop(told: InstalledWebhook, namespace: str) -> str:
    """A namespace with a pod in it."""
    told.plane.run_pod(namespace, "web-1", "10.9.0.1", labels={"app": "web"})
    told.catch_up(["v1/Pod"])
    eventually(lambda: leading(told), "the only replica leads", 20)
    return namespace


@pytest.fixture
def quiet(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace with nothing in it."""
    name = control_plane.create_namespace()
    yield name
    control_plane.delete_namespace(name)


def leading(replica: InstalledWebhook) -> bool:
    return replica.metric("netadmit_leader") == 1


def events(plane: ControlPlane, namespace: str) -> list[Event]:
    found = plane.request("GET", f"/api/v1/namespaces/{namespace}/events").body["items"]
    return [event for event in found if event["source"]["component"] == "netadmit"]


def policy(namespace: str, spec: dict[str, Any], name: str = "web") -> str:
    metadata = {"name": name, "namespace": namespace}
    return json.dumps(
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    )


def service(namespace: str, app: str) -> str:
    spec = {"selector": {"app": app}, "ports": [{"port": 80}]}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}, "spec": spec}
    )


# --- Events


def test_a_denied_change_is_described_with_the_object(told: InstalledWebhook, shop: str) -> None:
    kubectl = told.plane.kubectl
    kubectl("apply", "-f-", stdin=service(shop, "web"))
    for _ in range(3):
        denied = kubectl("apply", "-f-", stdin=service(shop, "wep"), check=False)
        assert "[service-selects-nothing]" in denied.stderr
    eventually(lambda: events(told.plane, shop), "there is an Event")
    described = kubectl("describe", "service", "web", "-n", shop).stdout
    [line] = [line for line in described.splitlines() if "netadmit" in line]
    assert line.split()[:2] == ["Warning", "ServiceSelectsNothing"]
    assert f"Denied: svc {shop}/web: " in line
    [event] = events(told.plane, shop)
    uid = told.plane.request("GET", f"/api/v1/namespaces/{shop}/services/web").body["metadata"]["uid"]
    assert event["involvedObject"]["uid"] == uid
    assert event["message"].removeprefix("Denied: ") in denied.stderr


def test_a_denied_creation_is_among_the_events_of_the_namespace(told: InstalledWebhook, shop: str) -> None:
    kubectl = told.plane.kubectl
    tried = kubectl("apply", "--dry-run=server", "-f-", stdin=policy(shop, DEAD, "tried"), check=False)
    denied = kubectl("apply", "-f-", stdin=policy(shop, DEAD), check=False)
    generated = json.loads(policy(shop, DEAD))
    generated["metadata"] = {"generateName": "made-", "namespace": shop}
    kubectl("create", "-f-", stdin=json.dumps(generated), check=False)
    assert "denied the request" in tried.stderr
    assert "denied the request" in denied.stderr
    eventually(lambda: len(events(told.plane, shop)) == 2, "two Events: none of the dry run")
    shown = kubectl("events", "-n", shop, "--for=networkpolicy/web", "--types=Warning").stdout
    assert f"Denied: netpol {shop}/web: " in shown
    assert all("uid" not in event["involvedObject"] for event in events(told.plane, shop))


def test_a_finding_is_told_and_audit_says_the_same(told: InstalledWebhook, shop: str) -> None:
    told.plane.kubectl("apply", "-f-", stdin=policy(shop, LOST))
    eventually(lambda: events(told.plane, shop), "there is an Event")
    [event] = events(told.plane, shop)
    assert (event["reason"], event["action"], event["type"]) == ("SelectorMatchesNothing", "Audit", "Warning")
    assert audited(told, shop) == {"selector-matches-nothing"}
    found = [entry for entry in told.log() if entry["message"] == "finding" and shop in entry["line"]]
    assert [entry["line"] for entry in found] == [event["message"]]


def audited(told: InstalledWebhook, namespace: str) -> set[str]:
    """The checks whose findings `netadmit audit` prints of a namespace, as warnings or worse."""
    findings = json.loads(told.netadmit("audit", "-o", "json").stdout)["findings"]
    return {f["check"] for f in findings if f["object"]["namespace"] == namespace and f["level"] != "note"}


def test_a_tenant_reads_nothing_of_other_namespaces(told: InstalledWebhook, shop: str) -> None:
    other = told.plane.create_namespace()
    try:
        told.plane.run_pod(other, "secret-1", "10.9.0.2", labels={"app": "vault"})
        told.catch_up(["v1/Pod", "v1/Namespace"])
        spec = {"podSelector": {"matchLabels": {"app": "vault"}}, "policyTypes": ["Ingress"]}
        told.plane.kubectl("apply", "-f-", stdin=policy(shop, spec))
        eventually(lambda: events(told.plane, shop), "there is an Event")
        [event] = events(told.plane, shop)
        assert "another namespace" in event["message"]
        assert other not in json.dumps(event)
    finally:
        told.plane.delete_namespace(other)


# --- the Lease


def test_of_two_one_leads_and_the_other_takes_over(told: InstalledWebhook, shop: str, tmp_path: Path) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{told.namespace}/leases/{LEASE}"
    with told.switched_off(), Replica(told, tmp_path) as other:  # it fails closed, and is stopped
        before = told.plane.request("GET", path).body["spec"]
        assert leading(told)
        assert not leading(other)
        told.plane.kubectl("apply", "-f-", stdin=policy(shop, LOST))
        eventually(lambda: events(told.plane, shop), "the leader tells of it")
        told.stop()
        eventually(lambda: leading(other), "the other takes over, before the Lease would have run out", 8)
        after = told.plane.request("GET", path).body["spec"]
        assert after["holderIdentity"] not in ("", before["holderIdentity"])
        assert after["leaseTransitions"] == before["leaseTransitions"] + 1
        told.plane.kubectl("apply", "-f-", stdin=policy(shop, LOST, "later"))
        eventually(lambda: len(events(told.plane, shop)) == 2, "now it tells, and not again what was told", 20)
        told.start(CONFIG)
        assert not leading(told)
        assert not [entry for entry in other.log() if entry["message"].startswith("cannot")]
    eventually(lambda: leading(told), "and back", 20)


# --- reports


def restarted(told: InstalledWebhook) -> None:
    """So that it asks at once which API is served, not some minutes later."""
    told.stop()
    told.start(CONFIG)
    eventually(lambda: leading(told), "it leads again", 20)


@pytest.mark.parametrize("kind", [POLICY_REPORT, OPEN_REPORT], ids=lambda kind: kind.plural)
def test_a_report_follows_what_stands(told: InstalledWebhook, shop: str, quiet: str, kind: ReportKind) -> None:
    kubectl, request = told.plane.kubectl, told.plane.request
    with served_reports(told.plane, kind) as reports:

        def results() -> list[dict[str, Any]]:
            found = request("GET", reports).body["items"]
            return [result for one in found if one["metadata"]["namespace"] == shop for result in one["results"]]

        leftover = {
            "apiVersion": kind.group_version,
            "kind": kind.kind,
            "metadata": {"name": "netadmit", "labels": {"app.kubernetes.io/managed-by": "netadmit"}},
        }
        request("POST", f"/apis/{kind.group_version}/namespaces/{quiet}/{kind.plural}", leftover)
        with told.switched_off():
            restarted(told)
        waived = json.loads(policy(shop, {"podSelector": {"matchLabels": {"app": "wop"}}}, "waived"))
        waived["metadata"]["annotations"] = {"netadmit.io/ignore.selector-matches-nothing": "its pods come at night"}
        kubectl("apply", "-f-", stdin=json.dumps(waived))
        kubectl("apply", "-f-", stdin=policy(shop, LOST))
        eventually(lambda: len(results()) == 2, "there is a report of both", 30)
        lost, skipped = results()
        uid = request("GET", f"/apis/networking.k8s.io/v1/namespaces/{shop}/networkpolicies/web").body["metadata"][
            "uid"
        ]
        assert (lost["policy"], lost["result"], lost["source"]) == ("selector-matches-nothing", "warn", "netadmit")
        assert [(r["name"], r["uid"]) for r in lost["resources"]] == [("web", uid)]
        assert (skipped["result"], skipped["properties"]) == ("skip", {"waived": "its pods come at night"})
        eventually(lambda: events(told.plane, shop), "there is an Event")
        assert [event["message"] for event in events(told.plane, shop)] == [lost["message"]], "and none of the waived"
        assert audited(told, shop) == {"selector-matches-nothing"}
        shown = kubectl("get", kind.plural, "-n", shop, "--no-headers").stdout
        assert shown.split() == ["netadmit", "0", "0", "1", "0", "1"]
        left = {item["metadata"]["namespace"] for item in request("GET", reports).body["items"]}
        assert quiet not in left, "what is left of a former run goes"
        kubectl("apply", "-f-", stdin=policy(shop, {"podSelector": {"matchLabels": {"app": "web"}}}))
        eventually(lambda: [r["result"] for r in results()] == ["skip"], "what is mended is in no report", 30)
        kubectl("delete", "networkpolicy", "waived", "-n", shop)
        eventually(lambda: not results(), "a report of nothing is none", 30)
        assert shop not in {one["metadata"]["namespace"] for one in request("GET", reports).body["items"]}
        assert told.metric("netadmit_report_writes_total", outcome="failed") == 0
        assert told.metric("netadmit_events_total", outcome="failed") == 0
