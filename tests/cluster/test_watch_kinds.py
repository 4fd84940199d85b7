"""Namespaces and workloads whose changes break a policy or a Service: real kubectl, and the chart's own conditions."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.chart import rendered
from webhook.model.objects import DEPLOYMENT, NAMESPACE, NETWORK_POLICY, POD, SERVICE

from . import test_charts
from .installed_webhook import _CONFIGURATIONS, PORT, InstalledWebhook, eventually
from .objects import seen, whole
from .test_kubectl import Said

_NAME = "netadmit-watch"
CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: SHOP}
---
apiVersion: v1
kind: Namespace
metadata: {name: CLIENTS, labels: {team: a}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: SHOP}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, tier: front}}
    spec: {containers: [{name: main, image: example/image, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-5d9f-x
  namespace: SHOP
  labels: {app: web, tier: front, pod-template-hash: 5d9f}
  ownerReferences: [{kind: ReplicaSet, name: web-5d9f, controller: true}]
spec: {containers: [{name: main, image: example/image, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: CLIENTS, labels: {app: caller}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: SHOP}
spec: {selector: {tier: front}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: SHOP}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}}], ports: [{port: http}]}]
"""
NOBODY = "1 policy in another namespace lets it in no more"
NO_POD = "svc web selects no pod; keep it, or change the selector [service-selects-nothing]"
Kubectl = Callable[..., Said]


def _switch_on(webhook: InstalledWebhook) -> None:
    """The webhook as the chart renders it, led to the one that is installed here."""
    (configuration,) = (
        o
        for o in rendered("--set=config.watchKinds={Namespace,workloads}")
        if o["kind"] == "ValidatingWebhookConfiguration"
    )
    (watch,) = (one for one in configuration["webhooks"] if one["name"] == "watch.netadmit.io")
    watch["clientConfig"]["service"] |= {"namespace": webhook.namespace, "port": PORT}
    watch["clientConfig"]["caBundle"] = base64.b64encode((webhook._folder / "tls" / "ca.crt").read_bytes()).decode()
    webhook.plane.request("POST", _CONFIGURATIONS, {"metadata": {"name": _NAME}, "webhooks": [watch]})


@pytest.fixture(scope="module")
def watching(webhook: InstalledWebhook) -> Iterator[InstalledWebhook]:
    """netadmit with everything watched that can be, and with the checks that speak here set to deny."""
    enforced = ["namespace-not-found", "service-selects-nothing", "target-port-unresolved", "named-port-unresolved"]
    with webhook.configured(watchKinds=["namespaces", "workloads"], enforce=enforced):
        _switch_on(webhook)
        try:
            probe = webhook.plane.create_namespace()
            eventually(lambda: _asked(webhook, probe), "the API server asks about Namespaces")
            webhook.plane.delete_namespace(probe)
            yield webhook
        finally:
            webhook.plane.request("DELETE", f"{_CONFIGURATIONS}/{_NAME}", check=False)


def _asked(webhook: InstalledWebhook, namespace: str) -> bool:
    patch = {"metadata": {"labels": {"probe": secrets.token_hex(3)}}}
    webhook.plane.request("PATCH", f"/api/v1/namespaces/{namespace}", patch)
    return bool(_decisions(webhook, namespace))


def _decisions(webhook: InstalledWebhook, name: str) -> list[str]:
    return [
        f"{entry['operation']} {entry['kind']}"
        for entry in webhook.log()
        if entry["logger"] == "netadmit.decision" and entry["name"] == name and entry["kind"] in (NAMESPACE, DEPLOYMENT)
    ]


@pytest.fixture
def place(watching: InstalledWebhook) -> Iterator[tuple[str, str]]:
    """A shop, and a namespace of clients that its policy lets in by a label."""
    suffix = secrets.token_hex(3)
    shop, clients = f"shop-{suffix}", f"clients-{suffix}"
    with seen(watching, CLUSTER.replace("SHOP", shop).replace("CLIENTS", clients)):
        watching.catch_up((DEPLOYMENT, NAMESPACE, NETWORK_POLICY, POD, SERVICE))
        yield shop, clients


@pytest.fixture
def kubectl(watching: InstalledWebhook) -> Kubectl:
    def run(*arguments: str, stdin: str | None = None) -> Said:
        file = () if stdin is None else ("-f", "-")
        done = watching.plane.kubectl(*arguments, *file, stdin=stdin, check=False)
        return Said(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())

    return run


def apply(kubectl: Kubectl, manifest: str) -> Said:
    return kubectl("apply", "--server-side", "--force-conflicts", stdin=manifest)


def test_a_namespace_loses_a_label(place: tuple[str, str], kubectl: Kubectl, watching: InstalledWebhook) -> None:
    _, clients = place
    assert kubectl("label", "namespace", clients, "stage=test") == (0, [f"namespace/{clients} labeled"], [])
    tried = kubectl("label", "namespace", clients, "team-", "--dry-run=server")
    assert tried.err[1:] == [f"Warning: ns {clients}: cuts Pod/caller -> another namespace [effect]"]
    said = kubectl("label", "namespace", clients, "team-")
    assert tried.err[:1] == said.err
    assert said == (
        0,
        [f"namespace/{clients} unlabeled"],
        [f"Warning: ns {clients}: without team=a, {NOBODY}; keep it, or ask there [namespace-not-found]"],
    )
    before = _decisions(watching, clients)
    assert before == [f"UPDATE {NAMESPACE}"] * 3
    assert kubectl("annotate", "namespace", clients, "a=b").err == []
    assert _decisions(watching, clients) == before, "the API server asks about labels only"


def test_a_namespace_is_deleted(place: tuple[str, str], kubectl: Kubectl) -> None:
    shop, clients = place
    said = kubectl("delete", "namespace", clients, "--dry-run=server")
    line = f"Warning: ns {clients}: without it, {NOBODY}; ask there [namespace-not-found]"
    assert said.err == [line]
    assert said.code == 0
    # What an application has, its own policies among them, goes with it.
    assert kubectl("delete", "namespace", shop, "--dry-run=server").err == []
    real = kubectl("delete", "namespace", clients, "--wait=false")
    assert real.err == said.err
    assert real.out == [f'namespace "{clients}" deleted']
    assert kubectl("label", "namespace", clients, "team-").err == [], "it is being deleted"


def deployment(shop: str, *, labels: str = "app: web, tier: front", port: str = "http", image: str = "image") -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {shop}}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{{labels}}}}}
    spec: {{containers: [{{name: main, image: example/{image}, ports: [{{name: {port}, containerPort: 8080}}]}}]}}
"""


def test_a_template_loses_a_label(place: tuple[str, str], kubectl: Kubectl) -> None:
    shop, _ = place
    assert apply(kubectl, deployment(shop)).err == []
    said = apply(kubectl, deployment(shop, labels="app: web, tier: frontend"))
    assert said == (
        0,
        ["deployment.apps/web serverside-applied"],
        [f"Warning: deploy {shop}/web: without tier=front, {NO_POD}"],
    )


def test_a_port_is_renamed(place: tuple[str, str], kubectl: Kubectl) -> None:
    shop, _ = place
    assert apply(kubectl, deployment(shop)).err == []
    said = apply(kubectl, deployment(shop, port="web"))
    assert said.code == 0
    assert [line.rpartition(" ")[2] for line in said.err] == ["[named-port-unresolved]", "[target-port-unresolved]"]
    assert said.err[1].startswith(f"Warning: deploy {shop}/web: breaks svc web: ")


def test_the_service_goes_first(place: tuple[str, str], kubectl: Kubectl) -> None:
    """In Helm's order, with the Service sent a moment before: it may not have been seen yet."""
    shop, _ = place
    service = f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {shop}}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""
    policy = '[{"op": "replace", "path": "/spec/ingress/0/ports/0/port", "value": 8080}]'
    assert kubectl("patch", "networkpolicy", "web", "-n", shop, "--type=json", f"-p={policy}").err == []
    assert apply(kubectl, service).err == []
    changed = deployment(shop, labels="app: web, tier: frontend", port="web")
    assert apply(kubectl, changed).err == []


def test_what_changes_no_label_and_no_port_is_not_asked_about(
    place: tuple[str, str], kubectl: Kubectl, watching: InstalledWebhook
) -> None:
    shop, _ = place
    sent = len(_decisions(watching, "web"))
    for arguments in (
        ("rollout", "restart", "deployment/web"),
        ("set", "image", "deployment/web", "main=example/other"),
        ("set", "env", "deployment/web", "A=b"),
        ("scale", "deployment/web", "--replicas=3"),
        ("annotate", "deployment/web", "a=b"),
        ("label", "deployment/web", "a=b"),
        ("delete", "deployment/web", "--dry-run=server"),
    ):
        said = kubectl(*arguments, "-n", shop)
        assert (said.code, said.err) == (0, []), arguments
    assert len(_decisions(watching, "web")) == sent
    kubectl("patch", "deployment", "web", "-n", shop, '-p={"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}')
    assert len(_decisions(watching, "web")) == sent + 1


def test_what_a_controller_owns_is_not_asked_about(
    place: tuple[str, str], kubectl: Kubectl, watching: InstalledWebhook
) -> None:
    shop, _ = place
    owner = {"apiVersion": "example.com/v1", "kind": "Shop", "name": "s", "uid": "1", "controller": True}
    made = whole(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "owned", "namespace": shop, "ownerReferences": [owner]},
            "spec": {"template": {"metadata": {"labels": {"app": "owned"}}}},
        }
    )
    path = f"/apis/apps/v1/namespaces/{shop}/statefulsets"
    watching.plane.request("POST", path, made)
    kubectl("patch", "statefulset", "owned", "-n", shop, '-p={"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}')
    assert not [e for e in watching.log() if e["logger"] == "netadmit.decision" and e["name"] == "owned"]
    watching.plane.request("DELETE", f"{path}/owned")


def test_what_is_not_watched_is_not_looked_at(watching: InstalledWebhook) -> None:
    """Metrics tell the kinds apart that are watched, and no others."""
    kinds = {
        line.split('kind="')[1].split('"')[0] for line in watching.metrics().splitlines() if "reviews_total{" in line
    }
    assert kinds <= {NAMESPACE, DEPLOYMENT, NETWORK_POLICY, SERVICE}


# Its next version renames a port, and a folder's Deployment is sent before the Service and the policy that follow it.
MOVES = [sent for sent in test_charts.SENT if sent[0] == "ingress-nginx" and sent[1] != "Helm"]


@pytest.fixture
def release(watching: InstalledWebhook, chart: str, order: str, namespace: str) -> Iterator[test_charts.Release]:
    with seen(watching, test_charts.NEIGHBOURS):
        made = test_charts.Release(watching, chart, order, namespace)
        try:
            yield made
        finally:
            made.forget()
            watching.plane.delete_namespace(namespace)


@pytest.mark.parametrize(("chart", "order"), [sent for sent in test_charts.SENT if sent not in MOVES])
def test_a_chart_lives_and_dies_in_silence(watching: InstalledWebhook, release: test_charts.Release) -> None:
    """SCENARIOS.md 13 once more: installed, upgraded, rolled and uninstalled while its workloads are watched, too."""
    test_charts.test_13_a_chart_lives_and_dies_in_silence(watching, release)


@pytest.mark.parametrize(("chart", "order"), MOVES)
def test_in_the_order_of_files_a_workload_is_ahead_of_what_follows_it(
    watching: InstalledWebhook, release: test_charts.Release
) -> None:
    """What is told is so until the next files have been sent, and nobody knows whether they will be."""
    assert release.install("v1") == []
    release.controllers.roll(release.read("v1"))
    watching.catch_up()
    said = release.upgrade("v1", "v2")
    assert {line.split(": ")[0] for line in said} == {f"deploy {release.namespace}/edge-controller"}
    assert {line.rpartition(" ")[2] for line in said} == {"[named-port-unresolved]", "[target-port-unresolved]"}
    release.controllers.roll(release.read("v2"))
    watching.catch_up()
    assert release.send(release.read("v2")) == []
