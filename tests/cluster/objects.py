"""Puts objects that are written as briefly as in the checks' examples into a real API server, and takes them away."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from webhook.model.objects import CONFIG_MAP, CRON_JOB, JOB, NAMESPACE, NODE, POD, STATEFUL_SET, WORKLOADS
from webhook.state.watch import RESOURCES

from .control_plane import ControlPlane
from .installed_webhook import InstalledWebhook

Object = dict[str, Any]
_PATHS = {r.kind: r.path for r in RESOURCES if r.key is None} | {CONFIG_MAP: "/api/v1/configmaps"}
_CLUSTER_SCOPED = (NAMESPACE, NODE)
_CONTAINER = {"name": "main", "image": "example/image"}
_addresses = itertools.count(1)


def read(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document and document["kind"] != "Snapshot"]


def kind_of(document: Mapping[str, Any]) -> str:
    return f"{document['apiVersion']}/{document['kind']}"


def collection(document: Mapping[str, Any]) -> str:
    """The URL of the collection that an object is of."""
    path = _PATHS[kind_of(document)]
    if kind_of(document) in _CLUSTER_SCOPED:
        return path
    base, _, plural = path.rpartition("/")
    return f"{base}/namespaces/{document['metadata'].get('namespace', 'default')}/{plural}"


def whole(document: Mapping[str, Any]) -> Object:
    """The object with what the API server insists on and no check reads."""
    made: Object = copy.deepcopy(dict(document))
    kind = kind_of(made)
    if kind == POD:
        _fill_pod(made.setdefault("spec", {}))
    elif kind in WORKLOADS:
        spec = made.setdefault("spec", {})
        if kind == CRON_JOB:
            spec.setdefault("schedule", "0 0 * * *")
            spec = spec["jobTemplate"]["spec"]
        template = spec["template"]
        _fill_pod(template.setdefault("spec", {}))
        if kind in (JOB, CRON_JOB):
            template["spec"].setdefault("restartPolicy", "Never")
        else:
            spec.setdefault("selector", {"matchLabels": template["metadata"]["labels"]})
        if kind == STATEFUL_SET:
            spec.setdefault("serviceName", made["metadata"]["name"])
    for owner in made["metadata"].get("ownerReferences", []):
        owner.setdefault("uid", "1")
        owner.setdefault("apiVersion", "apps/v1")
    return made


def _fill_pod(spec: Object) -> None:
    for number, container in enumerate(spec.setdefault("containers", [dict(_CONTAINER)])):
        container.setdefault("name", f"c{number}")
        container.setdefault("image", _CONTAINER["image"])


def create(plane: ControlPlane, document: Mapping[str, Any]) -> None:
    """Creates an object with the status that it was written with; a pod runs unless its status says otherwise."""
    made = whole(document)
    status = made.pop("status", {}) if kind_of(made) != NODE else {}
    if kind_of(made) == POD:
        namespace, name = made["metadata"].get("namespace", "default"), made["metadata"]["name"]
        plane.request("POST", collection(made), made)
        number = next(_addresses)
        plane.set_pod_running(namespace, name, status.get("podIP", f"10.200.{number // 250}.{number % 250 + 1}"))
        if status.get("phase", "Running") != "Running":
            plane.request("PATCH", f"{collection(made)}/{name}/status", {"status": {"phase": status["phase"]}})
        return
    plane.request("POST", collection(made), made)
    if status:
        needed = {"currentNumberScheduled": 0, "numberMisscheduled": 0} if made["kind"] == "DaemonSet" else {}
        plane.request("PATCH", f"{collection(made)}/{made['metadata']['name']}/status", {"status": needed | status})


def delete(plane: ControlPlane, document: Mapping[str, Any]) -> None:
    url = f"{collection(document)}/{document['metadata']['name']}?gracePeriodSeconds=0&propagationPolicy=Background"
    plane.request("DELETE", url, check=False)


@contextlib.contextmanager
def present(plane: ControlPlane, documents: Iterable[Object], namespaces: Iterable[str] = ()) -> Iterator[list[str]]:
    """Creates objects, and the namespaces that they and `namespaces` speak of; yields the kinds that were touched.

    At the end the namespaces that it made are gone with all that was put into them since.
    """
    every = list(documents)
    own = {d["metadata"]["name"] for d in every if kind_of(d) == NAMESPACE}
    spoken_of = {d["metadata"].get("namespace", "default") for d in every if kind_of(d) not in _CLUSTER_SCOPED}
    every = [
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in {*spoken_of, *namespaces} - own),
        *(d for d in every if kind_of(d) == NAMESPACE),
        *(d for d in every if kind_of(d) != NAMESPACE),
    ]
    made: list[Object] = []
    try:
        for document in every:
            there = plane.request("GET", f"{collection(document)}/{document['metadata']['name']}", check=False)
            if kind_of(document) == NAMESPACE and there.status == 200:
                continue  # default and kube-system
            create(plane, document)
            made.append(document)
        yield [kind_of(document) for document in every]
    finally:
        for document in reversed(made):
            if kind_of(document) == NAMESPACE:
                _delete_namespace(plane, document["metadata"]["name"])
            else:
                delete(plane, document)


def _delete_namespace(plane: ControlPlane, name: str) -> None:
    """As `ControlPlane.delete_namespace`, but only of what these tests put into one: a quarter of its requests."""
    path = f"/api/v1/namespaces/{name}"
    plane.request("DELETE", path)
    for kind in _PATHS.keys() - _CLUSTER_SCOPED:
        url = collection(
            {"apiVersion": kind.rpartition("/")[0], "kind": kind.rpartition("/")[2], "metadata": {"namespace": name}}
        )
        plane.request("DELETE", f"{url}?gracePeriodSeconds=0&propagationPolicy=Background")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}}
    plane.request("PUT", f"{path}/finalize", body)


@contextlib.contextmanager
def seen(webhook: InstalledWebhook, documents: str | Iterable[Object] = (), *namespaces: str) -> Iterator[None]:
    """Objects that are there and that netadmit has seen; afterwards it has seen them go."""
    kinds: set[str] = set()
    try:
        with present(
            webhook.plane, read(documents) if isinstance(documents, str) else documents, namespaces
        ) as touched:
            kinds.update(touched)
            webhook.catch_up(kinds)
            yield
    finally:
        webhook.catch_up(kinds)
