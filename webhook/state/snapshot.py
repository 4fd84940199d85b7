"""Writes the state as plain Kubernetes objects: what checks read, and nothing else.

The records never held Secrets, environment values, users' command lines or foreign annotations, so none can get out;
reading the documents back gives the same records.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from itertools import groupby
from typing import Any, Final, TextIO

import msgspec
import yaml

from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    BASELINE_ADMIN_NETWORK_POLICY,
    CALICO_POLICIES,
    CILIUM_GLOBAL,
    CILIUM_NODE_CONFIG,
    CILIUM_POLICIES,
    CLUSTER_NETWORK_POLICY,
    CRON_JOB,
    DEFAULT_CLASS,
    EVERY,
    HELM_RELEASE,
    KINDS,
    LAST_APPLIED,
    LONGEST_APPLIED,
    NAME_LABEL,
    NODE_CLASS,
    UNFOLLOWED,
    WAIVER_PREFIX,
    AdminPeer,
    AdminPolicy,
    AdminPort,
    AdminRule,
    APIService,
    ClusterRole,
    ConfigMap,
    Container,
    ContainerPort,
    EndpointSlice,
    EnginePolicy,
    EngineRules,
    EngineSetting,
    EngineSubject,
    HTTPRoute,
    Ingress,
    IngressClass,
    Key,
    LabelSelector,
    Namespace,
    NetworkPolicy,
    Node,
    Pod,
    Record,
    RoleBinding,
    Service,
    ServiceCIDR,
    ServiceReference,
    WebhookConfiguration,
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
    for kind in (*KINDS, *UNFOLLOWED):
        for key in sorted(cluster.keys(kind)):
            record = cluster.get(kind, key)
            if record is not None:
                yield document(record)


def document(record: Record) -> dict[str, Any]:
    """One record as a Kubernetes object, without empty fields."""
    api_version, _, kind = record.kind.rpartition("/")
    return {"apiVersion": api_version, "kind": kind, **_BODIES[type(record)](record)}


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


def _namespace(namespace: Namespace) -> dict[str, Any]:
    labels = {k: v for k, v in namespace.labels.items() if (k, v) != (NAME_LABEL, namespace.name)}
    metadata = _metadata(namespace.key, labels, terminating=namespace.terminating)
    metadata |= _filled(annotations=dict(namespace.annotations), creationTimestamp=namespace.created)
    return {"metadata": metadata}


def _node(node: Node) -> dict[str, Any]:
    metadata = _metadata(node.key, node.labels) | _filled(annotations=dict(node.annotations))
    status = _filled(
        addresses=[{"type": "InternalIP", "address": a} for a in node.addresses],
        nodeInfo=_filled(kubeletVersion=node.kubelet_version),
    )
    spec = _filled(podCIDRs=list(node.pod_cidrs), providerID=node.provider_id)
    return {"metadata": metadata, **_filled(spec=spec, status=status)}


def _config_map(config_map: ConfigMap) -> dict[str, Any]:
    return {"metadata": _metadata(config_map.key), **_filled(data=dict(config_map.data))}


def _pod_spec(pod: Pod | Workload, containers: tuple[Container, ...] = ()) -> Any:
    """A pod's spec; all ports stand at the first container, where they keep their order."""
    ports = pod.ports
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
    return _filled(
        hostNetwork=pod.host_network,
        nodeSelector=dict(pod.node_selector) if isinstance(pod, Workload) else {},
        serviceAccountName=pod.service_account,
        containers=shown,
    )


def _pod(pod: Pod) -> dict[str, Any]:
    ready = [{"type": "Ready", "status": "True"}] if pod.ready else []
    return {
        "metadata": _metadata(pod.key, pod.labels, terminating=pod.terminating) | _owner(pod.owner),
        **_filled(
            spec=_filled(nodeName=pod.node) | _pod_spec(pod),
            status=_filled(phase=pod.phase, podIPs=[{"ip": ip} for ip in pod.ips], conditions=ready),
        ),
    }


def _workload(workload: Workload) -> dict[str, Any]:
    spec = _pod_spec(workload, workload.containers)
    template = _filled(metadata=_filled(labels=dict(workload.labels)), spec=spec)
    metadata = _metadata(workload.key, workload.own_labels, terminating=workload.terminating) | _owner(workload.owner)
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
    spec_fields: dict[str, Any] = {"template": template, **_filled(serviceName=workload.service_name)}
    if workload.replicas != 1:
        spec_fields["replicas"] = workload.replicas
    return {"metadata": metadata, "spec": spec_fields, **_filled(status=status)}


def _endpoint_slice(slice_: EndpointSlice) -> dict[str, Any]:
    """Neighbouring endpoints of which the same is known stand as one."""
    nodes, unready = slice_.nodes or ("",) * len(slice_.addresses), frozenset(slice_.unready)
    known = ((address, node, address in unready) for address, node in zip(slice_.addresses, nodes, strict=True))
    return {
        "metadata": _metadata(slice_.key, _filled(**{"kubernetes.io/service-name": slice_.service})),
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [address for address, _, _ in group]}
            | _filled(nodeName=node, conditions={"ready": False} if out else None)
            for (node, out), group in groupby(known, key=lambda one: one[1:])
        ],
        "ports": [_filled(name=p.name, port=p.number, protocol=p.protocol) for p in slice_.ports],
    }


def _ingress(ingress: Ingress) -> dict[str, Any]:
    paths = [
        {"backend": {"service": _filled(name=name, port=_filled(**{_port_word(port): port}))}}
        for name, port in ingress.backends
    ]
    rules: list[dict[str, Any]] = [{"http": {"paths": paths}}] if paths else []
    rules += ({"host": host} for host in ingress.hosts)
    made = _with_spec(ingress.key, ingressClassName=ingress.class_name, rules=rules)
    return _terminating(made, ingress.own_labels, terminating=ingress.terminating)


def _port_word(port: int | str | None) -> str:
    return "number" if isinstance(port, int) else "name"


def _ingress_class(ingress_class: IngressClass) -> dict[str, Any]:
    made = _with_spec(ingress_class.key, controller=ingress_class.controller)
    if ingress_class.default:
        made["metadata"]["annotations"] = {DEFAULT_CLASS: "true"}
    return made


def _http_route(route: HTTPRoute) -> dict[str, Any]:
    backends = [_reference(backend) for backend in route.backends]
    rules = [{"backendRefs": backends}] if backends else []
    return _terminating(_with_spec(route.key, hostnames=list(route.hosts), rules=rules), terminating=route.terminating)


def _service_cidr(service_cidr: ServiceCIDR) -> dict[str, Any]:
    return _with_spec(service_cidr.key, cidrs=list(service_cidr.cidrs))


def _webhooks(configuration: WebhookConfiguration) -> dict[str, Any]:
    webhooks = [
        {"clientConfig": {"service": _reference(webhook.service)}, "failurePolicy": webhook.failure_policy}
        for webhook in configuration.webhooks
    ]
    metadata = _metadata(configuration.key, terminating=configuration.terminating)
    return {"metadata": metadata, **_filled(webhooks=webhooks)}


def _api_service(api_service: APIService) -> dict[str, Any]:
    made = _with_spec(api_service.key, service=_reference(api_service.service) if api_service.service else None)
    return _terminating(made, api_service.own_labels, terminating=api_service.terminating)


def _reference(service: ServiceReference) -> dict[str, Any]:
    return _filled(namespace=service.namespace, name=service.name, port=service.port)


def _binding(binding: RoleBinding) -> dict[str, Any]:
    role = {"kind": "ClusterRole" if binding.of_cluster else "Role", "name": binding.role}
    subjects = [_subject(account) for account in binding.accounts]
    return {"metadata": _metadata(binding.key), "roleRef": role, **_filled(subjects=subjects)}


def _subject(account: Key) -> dict[str, Any]:
    namespace, name = account
    if name != EVERY:
        return {"kind": "ServiceAccount", "namespace": namespace, "name": name}
    return {"kind": "Group", "name": "system:serviceaccounts" + (f":{namespace}" if namespace != EVERY else "")}


def _cluster_role(role: ClusterRole) -> dict[str, Any]:
    reads = {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]}
    return {"metadata": _metadata(role.key), "rules": [reads] if role.reads_policies else []}


def _engine_setting(setting: EngineSetting) -> dict[str, Any]:
    if setting.kind == CILIUM_NODE_CONFIG:
        return _with_spec(setting.key, defaults=dict(setting.data))
    if setting.kind == NODE_CLASS:
        return _with_spec(setting.key, **setting.data)
    return {"metadata": _metadata(setting.key), **setting.data}


def _with_spec(key: Key, **spec: Any) -> dict[str, Any]:
    return {"metadata": _metadata(key), **_filled(spec=_filled(**spec))}


def _terminating(made: dict[str, Any], labels: Mapping[str, str] | None = None, *, terminating: bool) -> dict[str, Any]:
    made["metadata"] |= _filled(labels=dict(labels or {}), deletionTimestamp=_GONE if terminating else None)
    return made


def _engine_policy(policy: EnginePolicy) -> dict[str, Any]:
    """A policy in an engine's own API without peers and ports, which nobody reads."""
    if policy.kind in CILIUM_POLICIES:
        rules = [_cilium_rule(rules) for rules in policy.rules]
        body: dict[str, Any] = {"spec": rules[0]} if len(rules) == 1 else {"specs": rules}
    elif policy.kind in CALICO_POLICIES:
        body = {"spec": _calico_spec(policy)}
    else:
        body = {"spec": _filled(tier=policy.tier) | _antrea_rules(policy.rules)}
    return {"metadata": _metadata(policy.key), **body}


def _cilium_rule(rules: EngineRules) -> dict[str, Any]:
    subject = next(iter(rules.subjects), None)
    found: dict[str, Any] = {"nodeSelector": {}} if subject is None else {"endpointSelector": _selector(subject.pods)}
    for direction, word, peers in (("Ingress", "ingress", "fromEndpoints"), ("Egress", "egress", "toEndpoints")):
        actions = rules.ingress if direction == "Ingress" else rules.egress
        for action, name in (("Allow", word), ("Deny", f"{word}Deny")):
            if action in actions:
                found[name] = [{peers: []}]
    found["enableDefaultDeny"] = {d.lower(): d in rules.isolates for d in ("Ingress", "Egress")}
    return found


def _calico_spec(policy: EnginePolicy) -> dict[str, Any]:
    found: dict[str, Any] = _filled(tier=policy.tier, order=policy.order)
    if policy.order == 0:
        found["order"] = policy.order
    for rules in policy.rules:
        for subject in rules.subjects:
            narrowed = "all()" if "serviceAccountSelector" in subject.others else None
            found |= _filled(
                namespaceSelector=subject.namespaces, selector=subject.pods, serviceAccountSelector=narrowed
            )
        found["types"] = list(rules.isolates)
        found |= _filled(ingress=_actions(rules.ingress), egress=_actions(rules.egress))
    return found if policy.rules else found | {"doNotTrack": True}


def _actions(actions: Iterable[str]) -> list[dict[str, Any]]:
    return [{"action": action} for action in actions]


def _antrea_rules(every: Sequence[EngineRules]) -> dict[str, Any]:
    """One ``appliedTo`` for all rules, or one for each, as they came."""
    if len(every) == 1:
        [rules] = every
        subjects = [_applied_to(s) for s in rules.subjects]
        return _filled(appliedTo=subjects, ingress=_actions(rules.ingress), egress=_actions(rules.egress))
    found: dict[str, Any] = {"ingress": [], "egress": []}
    for rules in every:
        subjects = [_applied_to(s) for s in rules.subjects]
        for word, actions in (("ingress", rules.ingress), ("egress", rules.egress)):
            found[word] += [{**rule, **_filled(appliedTo=subjects)} for rule in _actions(actions)]
    return _filled(**found)


def _applied_to(subject: EngineSubject) -> dict[str, Any]:
    found = {"namespaceSelector": _selector(subject.namespaces), "podSelector": _selector(subject.pods)}
    named: dict[str, Any] = {name: "group" if name == "group" else {} for name in subject.others}
    return {name: selector for name, selector in found.items() if selector is not None} | named


def _selector(written: LabelSelector | str | None) -> Any:
    return None if written is None else _without_empty(msgspec.to_builtins(written))


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


def _network_policy(policy: NetworkPolicy) -> dict[str, Any]:
    shown = _api_shape(policy)
    if applied := _applied(policy.metadata.annotations.get(LAST_APPLIED, "")):
        shown["metadata"].setdefault("annotations", {})[LAST_APPLIED] = applied
    return shown


def _service(service: Service) -> dict[str, Any]:
    ingress = [_load_balancer(address) for address in service.addresses]
    return _api_shape(service) | _filled(status=_filled(loadBalancer=_filled(ingress=ingress)))


def _load_balancer(address: str) -> dict[str, str]:
    try:
        ip_address(address)
    except ValueError:
        return {"hostname": address}
    return {"ip": address}


def _api_shape(record: NetworkPolicy | Service) -> dict[str, Any]:
    """Metadata and spec, which are kept in the API's shape; of the annotations what checks read."""
    metadata = _without_empty(msgspec.to_builtins(record.metadata))
    for unread in ("annotations", "uid"):
        metadata.pop(unread, None)
    kept = {k: v for k, v in record.metadata.annotations.items() if k.startswith(WAIVER_PREFIX) or k in _READ}
    spec = _without_empty(msgspec.to_builtins(record.spec))
    return {"metadata": metadata | _filled(annotations=kept), "spec": spec}


def _applied(written: str) -> str:
    """What kubectl apply recorded of a policy, where the object does not show all of it; else empty.

    That is what the API server did not take, and whether a list of peers was written empty or not at all.

    The metadata, with all its annotations, is left out.
    """
    if not written or len(written) > LONGEST_APPLIED:
        return ""
    try:
        text = msgspec.json.decode(written)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    decoding = decode(text) if isinstance(text, dict) else None
    if decoding is None:
        return ""
    dropped = any(problem.path[0] == "spec" for problem in decoding.unknown)
    if text.get("spec") and not dropped and not _writes_no_peers(text["spec"]):
        return ""
    return msgspec.json.encode({k: text[k] for k in ("apiVersion", "kind", "spec") if k in text}).decode()


def _writes_no_peers(spec: Any) -> bool:
    """Whether a rule has an empty list of peers, in so many words."""
    if not isinstance(spec, dict):
        return False
    return any(
        isinstance(rule, dict) and word in rule and not rule[word]
        for direction, word in (("ingress", "from"), ("egress", "to"))
        if isinstance(rules := spec.get(direction), list)
        for rule in rules
    )


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


_BODIES: Final[Mapping[type[Record], Callable[[Any], dict[str, Any]]]] = {
    Namespace: _namespace,
    Pod: _pod,
    Workload: _workload,
    Service: _service,
    EndpointSlice: _endpoint_slice,
    NetworkPolicy: _network_policy,
    AdminPolicy: _admin_policy,
    EnginePolicy: _engine_policy,
    Node: _node,
    ConfigMap: _config_map,
    Ingress: _ingress,
    IngressClass: _ingress_class,
    HTTPRoute: _http_route,
    ServiceCIDR: _service_cidr,
    WebhookConfiguration: _webhooks,
    APIService: _api_service,
    RoleBinding: _binding,
    ClusterRole: _cluster_role,
    EngineSetting: _engine_setting,
}
"""How to write each record; a test writes an object of every kind."""


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
