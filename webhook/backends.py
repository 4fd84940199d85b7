"""The workloads behind a Service: the pods and templates that its selector matches, grouped by who makes them.

What a Service does with a port is settled pod by pod (k8s.io/endpointslice utils.go FindPort), but people think, and
mend, in workloads: so checks of Services ask a `Backend`.
"""

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from webhook.check import Context
from webhook.model.cluster import Cluster, PodClass
from webhook.model.objects import (
    CONTROLLERS,
    DAEMON_SET,
    JOB,
    REPLICA_SET,
    ContainerPort,
    HTTPRoute,
    Ingress,
    Key,
    Labels,
    Pod,
    Protocol,
    Service,
    ServiceSpec,
    Workload,
)
from webhook.reach.graph import NamedPorts
from webhook.reach.ports import Ports, port_range, union

Member: TypeAlias = Pod | Workload
"""A pod, or a template that stands for pods to come."""

_PASSING: Final = frozenset({"Job", "CronJob", "Pod"})
VARIANTS: Final = frozenset(
    {
        *("canary", "stable", "baseline", "primary", "preview", "active", "blue", "green", "old", "new", "current"),
        *("next", "previous", "alpha", "beta", "rc", "internal", "external", "public", "private"),
    }
)
"""Words by which people tell two versions of one thing apart."""
_MOST_OWNERS: Final = 4
"""Longer than any chain of owners in use: Pod, ReplicaSet, Deployment, a custom resource, its parent."""


class Backend:
    """One workload behind a Service.

    Args:
        kind: of its topmost controller that is known: Deployment, Rollout …; Pod for a pod without one.
        name: of that controller.
    """

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.pods: list[Pod] = []
        self.templates: list[Workload] = []

    def __str__(self) -> str:
        """``Deployment api``: it is in the Service's own namespace."""
        return f"{self.kind} {self.name}"

    @property
    def passing(self) -> bool:
        """Whether its pods come and go, or nobody replaces them: what such a one lacks may well be meant so."""
        return self.kind in _PASSING

    @cached_property
    def members(self) -> Sequence[Member]:
        """The templates that make its next pods, and its pods."""
        return (*self._current, *self.pods)

    @cached_property
    def _current(self) -> Sequence[Workload]:
        """Without a Deployment's ReplicaSets, of which all but the newest are on their way out."""
        deciding = [t for t in self.templates if t.kind not in (REPLICA_SET, JOB) or t.owner is None]
        return deciding or self.templates

    @cached_property
    def declared(self) -> frozenset[ContainerPort]:
        """What its templates declare; without one, what its pods do (which may be more than anybody wrote: sidecars
        are injected into pods).
        """
        return frozenset(p for m in self._current or self.pods for p in m.ports)

    def declares(self, number: int, protocol: Protocol) -> bool:
        return any(p.number == number and p.protocol == protocol for p in self.declared)

    def numbers(self, name: str, protocol: Protocol) -> frozenset[int]:
        """What a named port stands for on its templates or pods."""
        return frozenset(p.number for p in self.declared if p.name == name and p.protocol == protocol)

    @cached_property
    def labels(self) -> Labels:
        """The labels that all of it carries."""
        common: dict[str, str] | None = None
        for member in self._current or self.pods:
            if common is None:
                common = dict(member.labels)
            else:
                common = {k: v for k, v in common.items() if member.labels.get(k) == v}
        return common or {}

    @property
    def takes_traffic(self) -> bool:
        """Whether it has pods that stay, or is about to make some."""
        if self.pods:
            return any(not p.terminating for p in self.pods)
        return any(t.replicas > 0 or t.kind == DAEMON_SET for t in self._current)


_memory: WeakKeyDictionary[Context, Sequence[Backend]] = WeakKeyDictionary()


def backends(ctx: Context) -> Sequence[Backend]:
    """The workloads behind the Service under review, by kind and name; none where it takes no endpoints from pods.

    Source: k8s.io/kubernetes pkg/controller/endpointslice/endpointslice_controller.go syncService.
    """
    found = _memory.get(ctx)
    if found is None:
        classes = matched(ctx, ctx.service)
        ctx.spend(8 * sum(len(c.pods) + len(c.templates) for c in classes))
        found = _memory[ctx] = group(ctx.cluster, classes)
    return found


def matched(ctx: Context, service: Service) -> Collection[PodClass]:
    """The pods and templates that a Service's selector matches."""
    if service.spec.type == "ExternalName" or not service.spec.selector:
        return ()
    return ctx.select(ctx.compile_labels(service.spec.selector), {service.metadata.namespace})


def endpoints(service: Service, classes: Collection[PodClass]) -> list[Pod]:
    """The pods that get traffic through a Service.

    Source: k8s.io/endpointslice utils.go podToEndpoint, k8s.io/kubernetes pkg/controller/util/endpoint.
    """
    unready = service.spec.publish_not_ready_addresses
    return [p for c in classes for p in c.pods.values() if (unready and p.ips) or (p.ready and not p.terminating)]


def headless(spec: ServiceSpec) -> bool:
    """Whether clients get the addresses of the pods from DNS, and so use the pods' own ports."""
    return spec.cluster_ip == "None"


def served_by_proxy(ctx: Context) -> bool:
    """Whether an Ingress or HTTPRoute leads to the Service under review: proxies read what it says, without DNS."""
    return any(isinstance(found, Ingress | HTTPRoute) for found in ctx.cluster.referrers_of(*ctx.service.key))


def find_port(member: Member, name: str, protocol: Protocol) -> ContainerPort | None:
    """The container port that a named targetPort stands for.

    Source: k8s.io/endpointslice utils.go FindPort: the first of that name and protocol, sidecars last.
    """
    return next((p for p in member.ports if p.name == name and p.protocol == protocol), None)


def target_ports(service: Service, named: NamedPorts) -> Ports:
    """The ports of a pod that a Service leads to, where the pod has these named ports (`find_port`).

    Clients of a headless Service connect to the pods themselves, mostly at the port that the Service gives.
    """
    found: Ports = ()
    for port in service.spec.ports:
        target = port.port if port.target_port is None else port.target_port
        if isinstance(target, int):
            reached = [target]
        else:
            reached = [number for name, protocol, number in named if (name, protocol) == (target, port.protocol)]
        if reached and headless(service.spec):
            reached.append(port.port)
        for number in reached:
            found = union(found, port_range(port.protocol, number, number))
    return found


def group(cluster: Cluster, classes: Collection[PodClass]) -> Sequence[Backend]:
    """The workloads of these classes, by kind and name."""
    found: dict[Key, Backend] = {}
    tops: dict[Key, Key] = {}
    strays: list[Pod] = []

    def of(namespace: str, owner: Key) -> Backend:
        top = tops.get(owner)
        if top is None:
            top = tops[owner] = _topmost(cluster, namespace, owner)
        backend = found.get(top)
        if backend is None:
            backend = found[top] = Backend(*top)
        return backend

    for pod_class in classes:
        for template in pod_class.templates.values():
            of(template.namespace, (template.kind.rpartition("/")[2], template.name)).templates.append(template)
        suffix = f"-{hashed}" if (hashed := pod_class.labels.get("pod-template-hash")) else ""
        for pod in pod_class.pods.values():
            if pod.owner is None:
                strays.append(pod)
                continue
            kind, name = pod.owner
            # By name alone, so that a ReplicaSet that is not known leads to its Deployment, too.
            made = kind == "ReplicaSet" and suffix and name.endswith(suffix)
            owner = ("Deployment", name.removesuffix(suffix)) if made else pod.owner
            of(pod.namespace, owner).pods.append(pod)
    for pod in strays:
        # In files written by hand, pods name no owner: one with all the labels of a template is one of its pods.
        likely = (b for b in found.values() if any(t.labels == pod.labels for t in b.templates))
        (next(likely, None) or of(pod.namespace, ("Pod", pod.name))).pods.append(pod)
    return [found[key] for key in sorted(found)]


def _topmost(cluster: Cluster, namespace: str, owner: Key) -> Key:
    """The controller's controller, as far as it is known: a Job's CronJob, the custom resource behind StatefulSets."""
    for _ in range(_MOST_OWNERS):
        kind = CONTROLLERS.get(owner[0])
        record = cluster.get(kind, (namespace, owner[1])) if kind else None
        if not isinstance(record, Workload) or record.owner is None:
            break
        owner = record.owner
    return owner
