"""Puts objects that are written as briefly as in the checks' examples into a real API server, and takes them away."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import yaml

from webhook.model.objects import (
    ALIASES,
    API_SERVICE,
    CLUSTER_SCOPED,
    CONFIG_MAP,
    CRON_JOB,
    DAEMON_SET,
    JOB,
    NAMESPACE,
    NODE,
    OPTIONAL,
    POD,
    SERVICE,
    STATEFUL_SET,
    WEBHOOK_CONFIGURATIONS,
    WORKLOADS,
)
from webhook.state.watch import RESOURCES

from .control_plane import ControlPlane
from .installed_webhook import InstalledWebhook

Object = dict[str, Any]
_PATHS = {r.kind: r.path for r in RESOURCES if r.key is None} | {CONFIG_MAP: "/api/v1/configmaps"}
_CONTAINER = {"name": "main", "image": "example/image"}
_KEPT = "netadmit.io/by-a-test"
"""The finalizer of what is being deleted for as long as a test lasts."""
_addresses = itertools.count(1)


def findings(stderr: str) -> list[str]:
    """What kubectl printed, without the lines about traffic (test_effects.py is about those)."""
    return [line for line in stderr.splitlines() if not line.endswith("[effect]")]


def read(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document and document["kind"] != "Snapshot"]


def kind_of(document: Mapping[str, Any]) -> str:
    kind = f"{document['apiVersion']}/{document['kind']}"
    return ALIASES.get(kind, kind)


def is_read(document: Mapping[str, Any]) -> bool:
    """Whether it is of a kind that netadmit reads: only such are served here."""
    return kind_of(document) in _PATHS


def collection(document: Mapping[str, Any]) -> str:
    """The URL of the collection that an object is of."""
    path = _PATHS[kind_of(document)]
    if kind_of(document) in CLUSTER_SCOPED:
        return path
    base, _, plural = path.rpartition("/")
    return f"{base}/namespaces/{document['metadata'].get('namespace', 'default')}/{plural}"


def whole(document: Mapping[str, Any]) -> Object:
    """The object with what the API server insists on and no check reads."""
    made: Object = copy.deepcopy(dict(document))
    kind = kind_of(made)
    made["apiVersion"] = kind.rpartition("/")[0]
    for stamped in ("creationTimestamp", "deletionTimestamp"):
        made["metadata"].pop(stamped, None)
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
    elif kind == SERVICE and len(ports := made["spec"].get("ports", [])) > 1:
        for number, port in enumerate(ports):
            port.setdefault("name", f"p{number}")
    _fill_registration(kind, made)
    for owner in made["metadata"].get("ownerReferences", []):
        owner.setdefault("uid", "1")
        owner.setdefault("apiVersion", "apps/v1")
    return made


def _fill_registration(kind: str, made: Object) -> None:
    for webhook in made["webhooks"] if kind in WEBHOOK_CONFIGURATIONS else ():
        webhook |= {"sideEffects": "None", "admissionReviewVersions": ["v1"]}
        webhook.pop("rules", None)  # what no check reads: so the API server asks nobody
    if kind == API_SERVICE:
        version, _, group = made["metadata"]["name"].partition(".")
        given = {"group": group, "version": version, "groupPriorityMinimum": 1000, "versionPriority": 10}
        made["spec"] = {**given, "insecureSkipTLSVerify": True, **made["spec"]}


def _fill_pod(spec: Object) -> None:
    containers = [*spec.setdefault("containers", [dict(_CONTAINER)]), *spec.get("initContainers", [])]
    for number, container in enumerate(containers):
        container.setdefault("name", f"c{number}")
        container.setdefault("image", _CONTAINER["image"])


def create(plane: ControlPlane, document: Mapping[str, Any]) -> None:
    """Creates an object with the status that it was written with, as old as it says.

    Unless its status says otherwise, a pod runs, and a DaemonSet has one that does. What is being deleted stays so.
    """
    made = whole(document)
    metadata = document["metadata"]
    if "deletionTimestamp" in metadata and kind_of(made) != NAMESPACE:
        made["metadata"]["finalizers"] = [_KEPT]
    _create(plane, made)
    url = f"{collection(made)}/{metadata['name']}"
    if "creationTimestamp" in metadata:
        plane.date(url, datetime.fromisoformat(metadata["creationTimestamp"]))
    if "finalizers" in made["metadata"]:
        plane.request("DELETE", f"{url}?gracePeriodSeconds=0&propagationPolicy=Background")


def _create(plane: ControlPlane, made: Object) -> None:
    status = made.pop("status", {}) if kind_of(made) != NODE else {}
    if kind_of(made) == DAEMON_SET and not status:
        status = {"desiredNumberScheduled": 1, "numberReady": 1}
    if kind_of(made) == POD:
        namespace, name = made["metadata"].get("namespace", "default"), made["metadata"]["name"]
        plane.request("POST", collection(made), made)
        number = next(_addresses)
        addresses = [status[k] for k in ("podIP",) if k in status] or [each["ip"] for each in status.get("podIPs", ())]
        own = addresses[0] if addresses else f"10.200.{number // 250}.{number % 250 + 1}"
        plane.set_pod_running(namespace, name, own)
        if status.keys() - {"podIP"}:
            plane.request("PATCH", f"{collection(made)}/{name}/status", {"status": status})
        return
    plane.request("POST", collection(made), made)
    if status:
        needed = {"currentNumberScheduled": 0, "numberMisscheduled": 0} if made["kind"] == "DaemonSet" else {}
        plane.request("PATCH", f"{collection(made)}/{made['metadata']['name']}/status", {"status": needed | status})


def delete(plane: ControlPlane, document: Mapping[str, Any]) -> None:
    url = f"{collection(document)}/{document['metadata']['name']}"
    plane.request("DELETE", f"{url}?gracePeriodSeconds=0&propagationPolicy=Background", check=False)
    if "deletionTimestamp" in document["metadata"] and kind_of(document) != NAMESPACE:
        plane.request("PATCH", url, {"metadata": {"finalizers": None}}, check=False)


@contextlib.contextmanager
def present(
    plane: ControlPlane, documents: Iterable[Object], namespaces: Iterable[str] = (), *, tidy: bool = False
) -> Iterator[list[str]]:
    """Creates objects, and the namespaces that they and `namespaces` speak of; yields the kinds that were touched.

    At the end the namespaces that it made are gone with all that was put into them since; with `tidy`, which is
    faster, whoever puts something into them takes it away again.
    """
    every = list(documents)
    spaces = {d["metadata"]["name"]: d for d in every if kind_of(d) == NAMESPACE}
    spoken_of = {d["metadata"].get("namespace", "default") for d in every if kind_of(d) not in CLUSTER_SCOPED}
    for name in {*spoken_of, *namespaces} - spaces.keys():
        spaces[name] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    made: set[str] = set()
    created: list[Object] = []
    try:
        for name, space in spaces.items():
            body = {k: v for k, v in whole(space).items() if k != "status"}
            answer = plane.request("POST", collection(space), body, check=False)
            if answer.status == 201:
                made.add(name)
                if "creationTimestamp" in space["metadata"]:
                    plane.date(
                        f"{collection(space)}/{name}", datetime.fromisoformat(space["metadata"]["creationTimestamp"])
                    )
            else:
                assert answer.status == 409, answer  # default and kube-system are always there
        for document in every:
            if kind_of(document) != NAMESPACE:
                created.append(document)
                create(plane, document)
        yield [*map(kind_of, every), NAMESPACE]
    finally:
        for document in reversed(created):
            if tidy or document["metadata"].get("namespace", "default") not in made:
                delete(plane, document)
        for name in made:
            _delete_namespace(plane, name, empty=tidy)


def _delete_namespace(plane: ControlPlane, name: str, *, empty: bool) -> None:
    """As `ControlPlane.delete_namespace`, but only of what these tests put into one: a quarter of its requests."""
    path = f"/api/v1/namespaces/{name}"
    plane.request("DELETE", path, check=False)  # it may be on its way out already
    for kind in () if empty else _PATHS.keys() - CLUSTER_SCOPED:
        version, _, word = kind.rpartition("/")
        url = collection({"apiVersion": version, "kind": word, "metadata": {"namespace": name}})
        url = f"{url}?gracePeriodSeconds=0&propagationPolicy=Background"
        plane.request("DELETE", url, check=kind not in OPTIONAL)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}}
    plane.request("PUT", f"{path}/finalize", body)


@contextlib.contextmanager
def seen(
    webhook: InstalledWebhook, documents: str | Iterable[Object] = (), *namespaces: str, tidy: bool = False
) -> Iterator[None]:
    """Objects that are there and that netadmit has seen; afterwards it has seen them go (see `present`)."""
    listed = read(documents) if isinstance(documents, str) else [*documents]
    kinds = {POD}  # those that a test made itself would speak for a mistake in another namespace
    try:
        with present(webhook.plane, listed, namespaces, tidy=tidy) as touched:
            kinds.update(touched)
            webhook.catch_up(kinds)
            yield
    finally:
        webhook.catch_up(kinds)
