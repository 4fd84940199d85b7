"""Writes the state as plain Kubernetes objects: what checks read, and nothing else.

The records never held Secrets, environment values, users' command lines or foreign annotations, so none can get out;
reading the documents back gives the same records.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TextIO

import msgspec
import yaml

from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    BASELINE_ADMIN_NETWORK_POLICY,
    CILIUM_GLOBAL,
    CLUSTER_NETWORK_POLICY,
    CRON_JOB,
    HELM_RELEASE,
    KINDS,
    LAST_APPLIED,
    LONGEST_APPLIED,
    NAME_LABEL,
    WAIVER_PREFIX,
    AdminPeer,
    AdminPolicy,
    AdminPort,
    AdminRule,
    ConfigMap,
    Container,
    ContainerPort,
    EndpointSlice,
    Ingress,
    Key,
    Namespace,
    NetworkPolicy,
    Node,
    Pod,
    Record,
    Service,
    Workload,
)
from webhook.model.schema import decode
from webhook.state import scalars

_READ: Final = (HELM_RELEASE, CILIUM_GLOBAL)
_GONE: Final = "1970-01-01T00:00:00Z"
"""A deletionTimestamp: a record knows only that there is one."""


def write_snapshot(cluster: Cluster, stream: TextIO) -> int:
    """Writes the header document and every object; returns how many objects."""
    number = 0
    yaml.dump(header(cluster), stream, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    for document in documents(cluster):
        stream.write("---\n")
        yaml.dump(document, stream, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        number += 1
    return number


def header(cluster: Cluster) -> dict[str, Any]:
    """The document that says which kinds are complete (CONTRACT.md, completeness)."""
    complete = [kind for kind in KINDS if cluster.completeness(kind) is Completeness.COMPLETE]
    return {"apiVersion": "netadmit.io/v1", "kind": "Snapshot", "kinds": complete}


def documents(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Every object of the state as the API would show it, by kind, namespace and name."""
    for kind in KINDS:
        for key in sorted(cluster.keys(kind)):
            record = cluster.get(kind, key)
            if record is not None:
                yield document(record)


def document(record: Record) -> dict[str, Any]:
    """One record as a Kubernetes object, without empty fields."""
    api_version, _, kind = record.kind.rpartition("/")
    return {"apiVersion": api_version, "kind": kind, **_body(record)}


def _body(record: Record) -> dict[str, Any]:
    match record:
        case NetworkPolicy() | Service():
            return _api_shape(record)
        case Namespace():
            labels = {k: v for k, v in record.labels.items() if (k, v) != (NAME_LABEL, record.name)}
            metadata = _metadata(record.key, labels, terminating=record.terminating)
            metadata |= _filled(annotations=dict(record.annotations), creationTimestamp=record.created)
            return {"metadata": metadata}
        case Pod():
            return _pod(record)
        case Workload():
            return _workload(record)
        case Node():
            metadata = _metadata(record.key, record.labels) | _filled(annotations=dict(record.annotations))
            status = _filled(
                addresses=[{"type": "InternalIP", "address": a} for a in record.addresses],
                nodeInfo=_filled(kubeletVersion=record.kubelet_version),
            )
            return {"metadata": metadata, **_filled(spec=_filled(providerID=record.provider_id), status=status)}
        case ConfigMap():
            return {"metadata": _metadata(record.key), **_filled(data=dict(record.data))}
        case EndpointSlice():
            labels = _filled(**{"kubernetes.io/service-name": record.service})
            return {
                "metadata": _metadata(record.key, labels),
                "addressType": "IPv4",
                "endpoints": [{"addresses": list(record.addresses)}] if record.addresses else [],
                "ports": [_filled(name=p.name, port=p.number, protocol=p.protocol) for p in record.ports],
            }
        case Ingress():
            paths = [{"backend": {"service": {"name": name}}} for name in record.services]
            return {"metadata": _metadata(record.key), **_filled(spec=_filled(rules=[{"http": {"paths": paths}}]))}
        case AdminPolicy():
            return _admin_policy(record)


def _filled(**fields: Any) -> dict[str, Any]:
    """The fields that say anything."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, False)}


def _metadata(key: Key, labels: Mapping[str, str] | None = None, *, terminating: bool = False) -> dict[str, Any]:
    namespace, name = key
    return _filled(
        name=name, namespace=namespace, labels=dict(labels or {}), deletionTimestamp=_GONE if terminating else None
    )


def _owner(owner: Key | None) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": owner[0], "name": owner[1], "controller": True}]} if owner else {}


def _ports(ports: tuple[ContainerPort, ...]) -> list[dict[str, Any]]:
    return [_filled(containerPort=p.number, name=p.name, protocol=p.protocol) for p in ports]


def _pod_spec(ports: tuple[ContainerPort, ...], *, host_network: bool, containers: tuple[Container, ...] = ()) -> Any:
    """A pod's spec; all ports stand at the first container, where they keep their order."""
    shown = [
        _filled(
            name=c.name,
            image=c.image,
            command=[c.args[0]] if c.args and c.args[0] else [],
            args=list(c.args[1:]),
            env=[{"name": k, "value": v} for k, v in c.env.items()],
        )
        for c in containers
    ] or ([{"name": "container"}] if ports else [])
    if ports:
        shown[0]["ports"] = _ports(ports)
    return _filled(hostNetwork=host_network, containers=shown)


def _pod(pod: Pod) -> dict[str, Any]:
    ready = [{"type": "Ready", "status": "True"}] if pod.ready else []
    return {
        "metadata": _metadata(pod.key, pod.labels, terminating=pod.terminating) | _owner(pod.owner),
        **_filled(
            spec=_filled(nodeName=pod.node) | _pod_spec(pod.ports, host_network=pod.host_network),
            status=_filled(phase=pod.phase, podIPs=[{"ip": ip} for ip in pod.ips], conditions=ready),
        ),
    }


def _workload(workload: Workload) -> dict[str, Any]:
    spec = _pod_spec(workload.ports, host_network=workload.host_network, containers=workload.containers)
    template = _filled(metadata=_filled(labels=dict(workload.labels)), spec=spec)
    metadata = _metadata(workload.key, workload.own_labels) | _owner(workload.owner)
    if workload.kind == CRON_JOB:
        return {"metadata": metadata, "spec": {"jobTemplate": {"spec": {"template": template}}}}
    daemon = workload.kind.endswith("/DaemonSet")
    status = (
        {"desiredNumberScheduled": workload.desired, "numberReady": workload.ready}
        if daemon
        else {"replicas": workload.desired, "readyReplicas": workload.ready}
    )
    status = {name: number for name, number in status.items() if number is not None}
    if workload.finished:
        status["conditions"] = [{"type": "Complete", "status": "True"}]  # type: ignore[assignment]
    spec_fields: dict[str, Any] = {"template": template}
    if workload.replicas != 1:
        spec_fields["replicas"] = workload.replicas
    return {"metadata": metadata, "spec": spec_fields, **_filled(status=status)}


def _admin_policy(policy: AdminPolicy) -> dict[str, Any]:
    of_cluster = policy.kind == CLUSTER_NETWORK_POLICY
    spec: dict[str, Any] = {"subject": _admin_peer(policy.subject)}
    if policy.kind != BASELINE_ADMIN_NETWORK_POLICY:
        spec["priority"] = policy.priority
    if of_cluster:
        spec["tier"] = policy.tier
    for direction, word, rules in (("ingress", "from", policy.ingress), ("egress", "to", policy.egress)):
        if rules:
            spec[direction] = [_admin_rule(rule, word, of_cluster=of_cluster) for rule in rules]
    return {"metadata": _metadata(policy.key), "spec": spec}


def _admin_rule(rule: AdminRule, word: str, *, of_cluster: bool) -> dict[str, Any]:
    ports = [_cluster_protocol(p) if of_cluster else _admin_port(p) for p in rule.ports]
    return {
        "action": rule.action if of_cluster or rule.action != "Accept" else "Allow",
        word: [_admin_peer(peer) for peer in rule.peers],
        **_filled(**{"protocols" if of_cluster else "ports": ports}),
    }


def _admin_peer(peer: AdminPeer) -> dict[str, Any]:
    namespaces = None if peer.namespaces is None else _without_empty(msgspec.to_builtins(peer.namespaces))
    if peer.pods is not None:
        pods = _without_empty(msgspec.to_builtins(peer.pods))
        return {"pods": {"namespaceSelector": namespaces, "podSelector": pods}}
    if namespaces is not None:
        return {"namespaces": namespaces}
    if peer.nodes is not None:
        return {"nodes": _without_empty(msgspec.to_builtins(peer.nodes))}
    return _filled(networks=list(peer.networks), domainNames=list(peer.domain_names))


def _admin_port(port: AdminPort) -> dict[str, Any]:
    if port.name:
        return {"namedPort": port.name}
    if port.first == port.last:
        return {"portNumber": {"protocol": port.protocol, "port": port.first}}
    return {"portRange": {"protocol": port.protocol, "start": port.first, "end": port.last}}


def _cluster_protocol(port: AdminPort) -> dict[str, Any]:
    if port.name:
        return {"destinationNamedPort": port.name}
    single = port.first == port.last
    numbers = {"number": port.first} if single else {"range": {"start": port.first, "end": port.last}}
    return {port.protocol.lower(): {"destinationPort": numbers}}


def _api_shape(record: NetworkPolicy | Service) -> dict[str, Any]:
    """NetworkPolicies and Services, which are kept in the API's shape; of their annotations what checks read."""
    data = _without_empty(msgspec.to_builtins(record))
    metadata, every = data["metadata"], record.metadata.annotations
    metadata.pop("annotations", None)
    kept = {k: v for k, v in every.items() if k.startswith(WAIVER_PREFIX) or k in _READ}
    if isinstance(record, NetworkPolicy) and (applied := _applied(every.get(LAST_APPLIED, ""))):
        kept[LAST_APPLIED] = applied
    return {"metadata": metadata | _filled(annotations=kept), "spec": data.get("spec", {})}


def _applied(written: str) -> str:
    """What kubectl apply recorded of a policy, as far as the API server did not take it; else empty.

    The metadata, with all its annotations, is left out.
    """
    if not written or len(written) > LONGEST_APPLIED:
        return ""
    try:
        text = msgspec.json.decode(written)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    decoding = decode(text) if isinstance(text, dict) else None
    if decoding is None or (text.get("spec") and all(problem.path[0] != "spec" for problem in decoding.unknown)):
        return ""
    return msgspec.json.encode({k: text[k] for k in ("apiVersion", "kind", "spec") if k in text}).decode()


_MEANT_WHEN_EMPTY: Final = frozenset({"podSelector", "namespaceSelector", "metadata", "spec"})
"""An empty selector matches everything, an absent one nothing, or is none at all."""
_OF_LABELS: Final = frozenset({"labels", "annotations", "matchLabels", "selector"})
"""Maps of texts, in which an empty text is a value."""


def _without_empty(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_empty(v) for v in value]
    if not isinstance(value, dict):
        return value
    kept = {k: v if k in _OF_LABELS else _without_empty(v) for k, v in value.items()}
    return {k: v for k, v in kept.items() if _says(v) or (k in _MEANT_WHEN_EMPTY and v is not None)}


def _says(value: Any) -> bool:
    return value not in (None, "", [], {}, 0, False)


class _Dumper(yaml.CSafeDumper):
    """Quotes every text that kubectl would read as something else than text (YAML 1.1 as yaml.v2 knows it)."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    try:
        plain = scalars.resolve(None, text) == text
    except scalars.ScalarError:
        plain = False
    style = "|" if plain and "\n" in text else None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
