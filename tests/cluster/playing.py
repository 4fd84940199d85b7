"""Makes of the examples of checks what this control plane can hold: its own addresses, its own time, all of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from tests.test_checks import NOW
from webhook.check import Example
from webhook.model.objects import DAEMON_SET, NAMESPACE, SERVICE_CIDR

from .control_plane import ControlPlane
from .installed_webhook import InstalledWebhook
from .objects import Object, create, delete, is_read, kind_of, read

_API_SERVERS = ("172.18.0.", "192.0.2.10")
"""Where examples say that the API servers are; here there is one, at 192.0.2.1."""
_SINCE_LONG = timedelta(hours=1)
_BEHIND = "zzz-behind"
"""Created behind all others: whoever has seen it has seen what happened to those of its kind before."""


def as_here(plane: ControlPlane, example: Example) -> Example:
    """The example in this control plane's terms: where its API server is, and what addresses its Services have."""
    octets = ".".join(str(plane.service_cidr.network_address).split(".")[:2])
    words = {"10.96.0.10": f"{octets}.0.253"}  # the next ones are this control plane's own servers'
    words |= {"10.96.": f"{octets}.", "172.18.0.2": "192.0.2.1", "172.18.0.": "192.0.2.", "192.0.2.10": "192.0.2.1"}
    if any(word in example.cluster for word in _API_SERVERS):
        words["6443"] = str(plane.port)

    def there(text: str) -> str:
        for written, here in words.items():
            text = text.replace(written, here)
        return text

    given = {field: there(getattr(example, field)) for field in ("cluster", "object", "old", "says")}
    return msgspec.structs.replace(example, **given)


def documents(example: Example, namespace: str, *, of_age: bool) -> list[Object]:
    """The objects of the example's state, dated by this day's clock.

    Args:
        example: the example (`as_here`).
        namespace: of the object that it is about.
        of_age: its namespaces have been there for an hour, unless they say otherwise.
    """
    every = [_of_its_own(document) for document in read(example.cluster) if is_read(document)]
    # Of one that is written twice the last holds.
    by_name = {(kind_of(d), d["metadata"].get("namespace"), d["metadata"]["name"]): d for d in every}
    found = [document for document in by_name.values() if not _is_the_api_server_s(document)]
    for document in found:
        if "creationTimestamp" in document["metadata"]:
            _date(document, NOW - datetime.fromisoformat(document["metadata"]["creationTimestamp"]).timestamp())
    if of_age:
        names = {d["metadata"]["name"] for d in found if kind_of(d) == NAMESPACE}
        spoken_of = {d["metadata"].get("namespace") for d in found} | {namespace}
        found += (_namespace(name) for name in sorted(filter(None, spoken_of - names)))
        for document in found:
            if kind_of(document) == NAMESPACE and "creationTimestamp" not in document["metadata"]:
                _date(document, _SINCE_LONG.total_seconds())
    kinds = {kind_of(document) for document in found}
    if any("creationTimestamp" in d["metadata"] for d in found if kind_of(d) == NAMESPACE):
        found.append(_namespace(_BEHIND))
    if DAEMON_SET in kinds:
        template = {"metadata": {"labels": {"app": _BEHIND}}}
        metadata = {"name": _BEHIND, "namespace": "kube-system"}
        found.append(
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": {"template": template}}
        )
    return found


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _date(document: Object, ago: float) -> None:
    made = datetime.now(UTC) - timedelta(seconds=ago)
    document["metadata"]["creationTimestamp"] = made.isoformat()


def _of_its_own(document: Object) -> Object:
    """A ServiceCIDR beside the API server's own, which has the example's first range."""
    if kind_of(document) != SERVICE_CIDR:
        return document
    cidrs = [cidr for cidr in document["spec"]["cidrs"] if ":" in cidr]
    return {**document, "metadata": {"name": "example"}, "spec": {"cidrs": cidrs}}


def _is_the_api_server_s(document: Mapping[str, object]) -> bool:
    """Whether the API server has made it itself."""
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    if kind_of(document) == SERVICE_CIDR:
        return not document["spec"]["cidrs"]  # type: ignore[index]
    return (metadata.get("namespace"), metadata["name"]) == ("default", "kubernetes")


def let_go(webhook: InstalledWebhook, listed: list[Object]) -> None:
    """Puts what the example deletes on its way out, and waits until netadmit has seen that."""
    gone = [document for document in listed if "deletionTimestamp" in document["metadata"]]
    for document in gone:
        if kind_of(document) == NAMESPACE:
            webhook.plane.request("DELETE", f"/api/v1/namespaces/{document['metadata']['name']}")
    for kind, document in {kind_of(document): document for document in gone}.items():
        behind = copy.deepcopy(document)
        behind["metadata"] = {"name": _BEHIND, **({} if kind == NAMESPACE else {"namespace": "default"})}
        create(webhook.plane, behind)
        webhook.catch_up([kind])
        delete(webhook.plane, behind)
        if kind == NAMESPACE:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _BEHIND}, "spec": {"finalizers": []}}
            webhook.plane.request("PUT", f"/api/v1/namespaces/{_BEHIND}/finalize", body)
        webhook.catch_up([kind])
