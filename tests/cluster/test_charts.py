"""SCENARIOS.md 13 with sets of objects after the pattern of well-known charts (tests/fixtures/charts).

Each lives through what a release lives through, object by object: installed, its pods appearing late, upgraded with a
rollout that takes its time, uninstalled. Nothing in that is a mistake, so not a word may be said about it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from .control_plane import ControlPlane
from .installed_webhook import InstalledWebhook
from .objects import Object, collection, seen

CHARTS = Path(__file__).resolve().parents[1] / "fixtures" / "charts"
NAMES = sorted(folder.name for folder in CHARTS.iterdir())
# helm.sh/helm/v4 pkg/release/v1/util/kind_sorter.go InstallOrder; what is not in it comes last, in UninstallOrder, too.
INSTALL = [
    "Namespace", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "Secret", "ConfigMap", "ClusterRole",
    "ClusterRoleBinding", "Role", "Service", "DaemonSet", "Pod", "Deployment", "HorizontalPodAutoscaler", "StatefulSet",
    "Job", "CronJob", "IngressClass", "Ingress", "APIService", "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
]  # fmt: skip
UNKNOWN_TO_HELM = ["EndpointSlice"]
OTHERS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "IngressClass": "/apis/networking.k8s.io/v1/ingressclasses",
}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
# A policy with the port of a StatefulSet that follows it looks like a mistake, where Helm's labels do not tell why.
WITHOUT_HELM = ("ingress-nginx", "shop")
SENT = [
    *((chart, order) for chart in NAMES for order in ("Helm", "files that Helm rendered")),
    *((chart, "plain files") for chart in WITHOUT_HELM),
]
NEIGHBOURS = """
apiVersion: v1
kind: Pod
metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: dns, ports: [{name: dns, containerPort: 53, protocol: UDP}, {name: dns-tcp, containerPort: 53}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  selector: {k8s-app: kube-dns}
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]
---
apiVersion: v1
kind: Pod
metadata: {name: controller-1, namespace: ingress-nginx, labels: {app.kubernetes.io/name: ingress-nginx}}
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus-0, namespace: monitoring, labels: {app.kubernetes.io/name: prometheus}}
---
apiVersion: v1
kind: Pod
metadata: {name: reporter-1, namespace: reports, labels: {pg-client: "true"}}
"""  # noqa: E501 - a container's ports on its line


class Release:
    """One chart, its objects in an order, and whoever makes pods of them."""

    def __init__(self, webhook: InstalledWebhook, chart: str, order: str, namespace: str) -> None:
        self.webhook = webhook
        self.order = order
        self.namespace = namespace
        self.controllers = Controllers(webhook.plane)
        self._folder = CHARTS / chart

    def read(self, name: str) -> list[Object]:
        """A file's objects in the order in which they are sent; none where there is no such file."""
        file = self._folder / f"{name}.yaml"
        text = file.read_text().replace("NAMESPACE", self.namespace) if file.exists() else ""
        found = [d for d in yaml.safe_load_all(text) if d]
        for document in found:
            if document["kind"] not in ("Namespace", "ClusterRole", "IngressClass"):
                document["metadata"].setdefault("namespace", self.namespace)
            if not name.endswith("-made") and self.order != "plain files":
                labels = document["metadata"].setdefault("labels", {})
                labels |= {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": f"{self._folder.name}-{name}"}
        # A folder's files are read by name, and who writes one gives the namespaces the first.
        by_file = sorted(found, key=lambda d: (d["kind"] != "Namespace", d["kind"].lower(), d["metadata"]["name"]))
        return (
            by_file
            if self.order != "Helm"
            else sorted(found, key=lambda d: (INSTALL + UNKNOWN_TO_HELM).index(d["kind"]))
        )

    def install(self, version: str) -> list[str]:
        """Applies a version, hooks first where Helm does it; returns what was said."""
        documents = self.read(version)
        if self.order != "Helm":
            return self.send(documents)
        hooks = [d for d in documents if is_hook(d)]
        said = self.send(hooks)
        self.controllers.roll(hooks)
        self.controllers.finish(hooks)
        said += self.remove(hooks)
        return said + self.send([d for d in documents if not is_hook(d)])

    def upgrade(self, before: str, after: str) -> list[str]:
        """Installs another version; Helm then takes away what that has no more, kubectl does not."""
        said = self.install(after)
        if self.order == "Helm":
            kept = {(d["kind"], d["metadata"]["name"]) for d in self.read(after)}
            gone = [d for d in self.read(before) if (d["kind"], d["metadata"]["name"]) not in kept and not is_hook(d)]
            said += self.remove(gone)
        return said

    def send(self, documents: Iterable[Object]) -> list[str]:
        """Applies object by object, as a client that is as fast as it can be."""
        said: list[str] = []
        for document in documents:
            url = f"{path(document)}/{document['metadata']['name']}?fieldManager=helm&force=true"
            said += self.webhook.plane.request("PATCH", url, document, headers=APPLY).warnings
        return said

    def remove(self, documents: Iterable[Object]) -> list[str]:
        said: list[str] = []
        for document in documents:
            if document["kind"] != "Namespace":  # emptied at the end of the test
                url = f"{path(document)}/{document['metadata']['name']}"
                answer = self.webhook.plane.request("DELETE", url, {"propagationPolicy": "Background"}, check=False)
                assert answer.status in (200, 202, 404), answer
                said += answer.warnings
        return said

    def forget(self) -> None:
        """Takes away what no namespace takes with it, and the namespaces that came with the chart."""
        for document in self.read("v2"):
            if document["kind"] in ("ClusterRole", "IngressClass"):
                self.remove([document])
            elif document["kind"] == "Namespace":
                self.webhook.plane.delete_namespace(document["metadata"]["name"])


class Controllers:
    """Plays the controllers, the scheduler and the kubelets: pods of templates, when a test says so."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._made: dict[tuple[str, ...], tuple[str, list[str]]] = {}
        self._addresses = (f"10.{a}.{b}.{c}" for a, b, c in itertools.product(range(30, 99), range(250), range(1, 250)))

    def roll(self, documents: Iterable[Object], *, halfway: bool = False) -> None:
        """Makes pods of these workloads' templates, and takes away those of former ones.

        ``halfway``: stops at a moment when both are there.
        """
        for document in documents:
            kind, meta = document["kind"], document["metadata"]
            if kind == "CronJob":
                job = {"apiVersion": "batch/v1", "kind": "Job", "spec": document["spec"]["jobTemplate"]["spec"]}
                job["metadata"] = owned(f"{meta['name']}-29", meta["namespace"], "batch/v1", kind, meta["name"])
                if (meta["namespace"], "Job", job["metadata"]["name"]) not in self._made:
                    self._create(job)
                    self.roll([job])
            elif kind in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
                self._roll(document, halfway=halfway)

    def _roll(self, document: Object, *, halfway: bool) -> None:
        kind, meta, spec = document["kind"], document["metadata"], document["spec"]
        identity = meta["namespace"], kind, meta["name"]
        revision = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:6]
        before, old_pods = self._made.get(identity, ("", []))
        if before == revision:
            return
        labels = dict(spec["template"]["metadata"]["labels"])
        owner = meta["name"]
        if kind == "Deployment":
            labels["pod-template-hash"] = revision
            owner = f"{meta['name']}-{revision}"
            self._replica_set(document, owner, labels)
        number = spec.get("replicas", 1)
        names = [f"{owner}-{i}" for i in range(number)]
        if halfway and before:
            names = names[-1:]  # a StatefulSet begins with the last
        for name in names:
            added = {"statefulset.kubernetes.io/pod-name": name} if kind == "StatefulSet" else {}
            added |= {"batch.kubernetes.io/job-name": owner} if kind == "Job" else {}
            if name in old_pods:
                self._delete_pod(meta["namespace"], name)
            of = ("apps/v1", "ReplicaSet" if kind == "Deployment" else kind, owner)
            self._run(owned(name, meta["namespace"], *of), labels | added, spec["template"]["spec"])
        if halfway and before:
            self._made[identity] = f"{before} {revision}", [*old_pods, *(n for n in names if n not in old_pods)]
            return
        for name in old_pods:
            if name not in names:
                self._delete_pod(meta["namespace"], name)
        self._made[identity] = revision, names

    def _replica_set(self, document: Object, name: str, labels: Mapping[str, str]) -> None:
        meta, spec = document["metadata"], document["spec"]
        base = f"/apis/apps/v1/namespaces/{meta['namespace']}/replicasets"
        held = self._plane.request("GET", base).body["items"]
        for other in held:
            if other["metadata"]["name"].rpartition("-")[0] == meta["name"] and other["metadata"]["name"] != name:
                self._plane.request("PATCH", f"{base}/{other['metadata']['name']}", {"spec": {"replicas": 0}})
        template = {"metadata": {"labels": dict(labels)}, "spec": spec["template"]["spec"]}
        own = {**owned(name, meta["namespace"], "apps/v1", "Deployment", meta["name"]), "labels": dict(labels)}
        made = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": own}
        made["spec"] = {
            "replicas": spec.get("replicas", 1),
            "selector": {"matchLabels": dict(labels)},
            "template": template,
        }
        if name not in [other["metadata"]["name"] for other in held]:
            self._create(made)

    def _run(self, meta: Object, labels: Mapping[str, str], spec: Mapping[str, Any]) -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "labels": dict(labels)}, "spec": dict(spec)}
        self._create(pod)
        self._plane.set_pod_running(meta["namespace"], meta["name"], next(self._addresses))

    def _create(self, document: Object) -> None:
        self._plane.request("POST", path(document), document)

    def _delete_pod(self, namespace: str, name: str) -> None:
        url = f"/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0"
        self._plane.request("DELETE", url, check=False)

    def finish(self, documents: Iterable[Object]) -> None:
        """Lets Jobs come to their end."""
        for document in documents:
            if document["kind"] == "Job":
                namespace, name = document["metadata"]["namespace"], document["metadata"]["name"]
                for pod in self._made[namespace, "Job", name][1]:
                    url = f"/api/v1/namespaces/{namespace}/pods/{pod}/status"
                    self._plane.request("PATCH", url, {"status": {"phase": "Succeeded"}})


def owned(name: str, namespace: str, version: str, kind: str, owner: str) -> Object:
    reference = {"apiVersion": version, "kind": kind, "name": owner, "uid": "1", "controller": True}
    return {"name": name, "namespace": namespace, "ownerReferences": [reference]}


def path(document: Object) -> str:
    if document["kind"] in OTHERS:
        return OTHERS[document["kind"]].format(document["metadata"].get("namespace"))
    return collection(document)


def is_hook(document: Object) -> bool:
    return "helm.sh/hook" in document["metadata"].get("annotations", {})


def relabelled(documents: Sequence[Object]) -> list[Object]:
    """A release in which nothing has changed but the chart's number and a checksum."""
    made: list[Object] = json.loads(json.dumps(documents))
    for document in made:
        document["metadata"].setdefault("labels", {})["helm.sh/chart"] = "next"
        document["metadata"].setdefault("annotations", {})["checksum/config"] = "next"
    return made


@pytest.fixture
def release(webhook: InstalledWebhook, chart: str, order: str, namespace: str) -> Iterator[Release]:
    with seen(webhook, NEIGHBOURS):
        made = Release(webhook, chart, order, namespace)
        try:
            yield made
        finally:
            made.forget()
            webhook.plane.delete_namespace(namespace)


@pytest.mark.parametrize(("chart", "order"), SENT)
def test_13_a_chart_lives_and_dies_in_silence(webhook: InstalledWebhook, release: Release) -> None:
    installed, made = release.read("v1"), release.read("v1-made")
    lasting = [d for d in installed if release.order != "Helm" or not is_hook(d)]
    assert release.install("v1") == []
    assert release.send(made) == []
    release.controllers.roll([*lasting, *made])
    release.controllers.finish(lasting)
    webhook.catch_up()
    assert release.send(lasting) == []  # once more, with nothing changed

    assert release.upgrade("v1", "v2") == []
    upgraded, made = release.read("v2"), release.read("v2-made")
    lasting = [d for d in upgraded if release.order != "Helm" or not is_hook(d)]
    assert release.send(made) == []
    release.controllers.roll([*lasting, *made], halfway=True)
    assert release.send(lasting) == []  # while pods of both versions run
    release.controllers.roll([*lasting, *made])
    webhook.catch_up()
    assert release.send(relabelled(lasting)) == []

    if release.order == "Helm":  # workloads before policies; their pods still run, for nobody has collected them yet
        known = [d for d in lasting if d["kind"] in INSTALL]
        last = [d for d in lasting if d["kind"] in UNKNOWN_TO_HELM]
        assert release.remove([*known[::-1], *last]) == []
        spaces = {d["metadata"]["namespace"] for d in lasting if "namespace" in d["metadata"]}
        assert {d["message"] for space in spaces for d in webhook.decisions(space)} == {"allowed"}
    else:  # `kubectl delete -f` in the order of the files: for a moment pods are open, cut off, or miss their Service
        passing = {"[cuts-on-removal]", "[opens-on-removal]", "[service-still-referenced]"}
        assert {line.rpartition(" ")[2] for line in release.remove(lasting)} <= passing
