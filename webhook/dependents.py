"""The policies and Services that depend on a Namespace's labels, or on a workload's template.

Nobody who relabels a Namespace looks at the NetworkPolicies of other namespaces, and kubectl says nothing. So a change
of these kinds, where it is watched (configuration: ``watchKinds``), is looked at for what it does to those that depend
on it: what stood against them before is no news, and what a label keeps up is lost with it.

A workload's pods follow its template, so they are taken to have the new one already: their labels and ports but for
what somebody else gave them. A Namespace that is deleted takes all that is in it along.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from webhook.check import Context, Judged, TooLargeError
from webhook.dns import dns_of, service_name
from webhook.model.cluster import PodClass, open_keys
from webhook.model.objects import (
    POD,
    REPLICA_SET,
    APIService,
    Direction,
    HTTPRoute,
    Key,
    Labels,
    LabelSelector,
    Namespace,
    NetworkPolicy,
    NetworkPolicyPeer,
    Pod,
    Record,
    Service,
    WebhookConfiguration,
    Workload,
)
from webhook.model.selectors import Selector

Watched: TypeAlias = Namespace | Workload

_DATAPLANE_MODE: Final = "istio.io/dataplane-mode"
"""The one label of a Namespace that decides how the policies in it work (webhook.checks.ambient_mesh_port)."""


class Change(Struct, frozen=True):
    """A Namespace or workload as it is, and as it will be; None when it is deleted."""

    before: Watched
    after: Watched | None

    @property
    def namespace(self) -> str:
        """Where it happens: of a Namespace, itself."""
        return self.before.name if isinstance(self.before, Namespace) else self.before.namespace

    def __str__(self) -> str:
        """``Deployment shop/web``."""
        return f"{self.before.kind.rpartition('/')[2]} {'/'.join(filter(None, self.before.key))}"


def change_of(before: Watched | None, after: Watched | None) -> Change | None:
    """The change, as far as any policy or Service may notice it; None where none can.

    A workload that is deleted is none: helm uninstall, and whoever else takes an application away, deletes workloads
    before Services and policies, so that what is said then would nearly always be wrong. Nor is what belongs to a
    controller: nobody reads what is said to it. What is being deleted only waits for its finalizers.
    """
    if before is None or before.terminating:
        return None
    if isinstance(before, Namespace):
        changed = not isinstance(after, Namespace) or (before.labels != after.labels and not after.terminating)
        return Change(before, after if isinstance(after, Namespace) else None) if changed else None
    if not isinstance(after, Workload) or after.terminating or after.owner is not None:
        return None
    return Change(before, after) if _template(before) != _template(after) else None


def _template(workload: Workload) -> tuple[object, ...]:
    return workload.labels, workload.ports, workload.host_network


class Outlook(Struct, frozen=True):
    """What of the state will be otherwise, as `Cluster.supposing` takes it."""

    puts: tuple[Record, ...] = ()
    removals: tuple[tuple[str, Key], ...] = ()
    without: str = ""
    pods: tuple[Key, ...] = ()
    """The pods that follow a template."""


def outlook(ctx: Context, change: Change) -> Outlook:
    """What will be otherwise once the change has done its work.

    Raises:
        TooLargeError: it takes more steps than are left.
    """
    before, after = change.before, change.after
    if after is None:
        ctx.spend(4 * sum(len(c.pods) + len(c.templates) for c in ctx.cluster.classes(before.name)))
        return Outlook(without=before.name)
    if not isinstance(before, Workload) or not isinstance(after, Workload):
        return Outlook((after,))
    replaced: list[tuple[str, Key]] = []
    pods: list[Pod] = []
    for pod_class in ctx.cluster.classes(before.namespace):
        ctx.spend(1 + len(pod_class.pods) + len(pod_class.templates))
        replaced += (
            (t.kind, t.key)
            for t in pod_class.templates.values()
            if t.kind == REPLICA_SET and t.workload == before.workload
        )
        pods += (pod for pod in pod_class.pods.values() if _made_by(pod, before))
    ctx.spend(8 * len(pods))
    return Outlook(
        (after, *(_follow(pod, before, after) for pod in pods)), tuple(replaced), pods=tuple(pod.key for pod in pods)
    )


def _made_by(pod: Pod, workload: Workload) -> bool:
    if pod.owner is not None:
        return pod.workload == workload.workload
    # In files written by hand, pods name no owner (`webhook.backends.group`).
    added = open_keys(workload)
    return {key: value for key, value in pod.labels.items() if key not in added} == workload.labels


def _follow(pod: Pod, before: Workload, after: Workload) -> Pod:
    """The pod that will stand in a pod's place: with what others gave it, labels and sidecars, too."""
    given = {key: value for key, value in pod.labels.items() if key not in before.labels}
    injected = tuple(port for port in pod.ports if port not in before.ports and port not in after.ports)
    return msgspec.structs.replace(
        pod, labels={**given, **after.labels}, ports=(*after.ports, *injected), host_network=after.host_network
    )


# --- who depends on it


class Dependent(Struct, frozen=True):
    """A policy or Service that the change may break.

    Args:
        judged: the policy or Service.
        lets_go: its podSelector, or its selector, no longer matches what changes.
        peers: those of its peers, with their paths, that no longer do.
    """

    judged: Judged
    lets_go: bool = False
    peers: tuple[tuple[str, NetworkPolicyPeer], ...] = ()

    def __str__(self) -> str:
        """``NetworkPolicy shop/api``."""
        return f"{self.judged.kind.rpartition('/')[2]} {'/'.join(self.judged.key)}"


class _Side(NamedTuple):
    """What selectors see of what changes, at one time."""

    namespace: str
    labels: Labels
    classes: Sequence[PodClass]

    def any_matched_by(self, selector: Selector) -> bool:
        return any(c.matched_by(selector) for c in self.classes)


def dependents(ctx: Context, change: Change, will: Outlook) -> list[Dependent]:
    """Whom the change may break; the namespace's own come first. Those that it takes too long to find are unknown."""
    found: list[Dependent] = []
    try:
        seeking = _Seeking(ctx, change, will)
        for dependent in itertools.chain(seeking.services(), seeking.policies()):
            found.append(dependent)  # noqa: PERF402 - what was found before it became too much counts
    except TooLargeError:
        ctx.unknown.add(f"not all was looked through for what depends on {change}")
    own = change.namespace
    found.sort(key=lambda d: (d.judged.key[0] != own, d.judged.kind, d.judged.key))
    return found


class _Seeking:
    def __init__(self, ctx: Context, change: Change, will: Outlook) -> None:
        self._ctx = ctx
        self._change = change
        cluster, name = ctx.cluster, change.namespace
        self._cluster = cluster
        home = cluster.namespace(name)
        labels = home.labels if home is not None else {}
        before, after = change.before, change.after
        if isinstance(before, Workload):
            identities = [(before.kind, before.key), *will.removals, *((POD, key) for key in will.pods)]
            here = dict.fromkeys(c for i in identities if (c := cluster.class_of(*i)) is not None)
            self._before = _Side(name, labels, list(here) or [class_of(before)])
            self._after: _Side | None = _Side(name, labels, [class_of(r) for r in will.puts])
            self._same = not isinstance(after, Workload) or (before.ports, before.host_network) == (
                after.ports,
                after.host_network,
            )
        else:
            classes = list(cluster.classes(name))
            self._before = _Side(name, before.labels, classes)
            self._after = _Side(name, after.labels, classes) if isinstance(after, Namespace) else None
            self._same = True
        self._keys = self._changing()

    def _changing(self) -> frozenset[str]:
        """The keys of labels that are others afterwards; of a namespace that goes, all that it has."""
        was, will = self._before, self._after
        if will is None:
            return frozenset(was.labels)
        if isinstance(self._change.before, Namespace):
            return frozenset(k for k, _ in was.labels.items() ^ will.labels.items())
        return frozenset(
            k for one in was.classes for other in will.classes for k, _ in one.labels.items() ^ other.labels.items()
        )

    def services(self) -> Iterator[Dependent]:
        change, name = self._change, self._change.namespace
        if isinstance(change.before, Workload):
            for service in self._cluster.services_in(name):
                if service.spec.type == "ExternalName" or not service.spec.selector:
                    continue
                matched = self._match(self._ctx.compile_labels(service.spec.selector))
                if self._concerns(matched):
                    yield Dependent(service, lets_go=matched == (True, False))
        elif change.after is None:
            yield from self._of_namespace(name)

    def _of_namespace(self, name: str) -> Iterator[Dependent]:
        """The Services that lead into a namespace, and those in it that others name."""
        for service in self._cluster.services:
            self._ctx.spend()
            if service.metadata.namespace == name:
                if any(referrers(self._ctx, service)):
                    yield Dependent(service, lets_go=True)
            elif service.spec.type == "ExternalName" and not self._ends(service.metadata.namespace):
                self._ctx.spend(8)
                target = service_name(service.spec.external_name)
                if (
                    target is not None
                    and target.namespace == name
                    and (not target.domain or target.domain in dns_of(self._cluster).domains)
                ):
                    yield Dependent(service)

    def policies(self) -> Iterator[Dependent]:
        change, name = self._change, self._change.namespace
        for policy in self._cluster.policies:
            self._ctx.spend()
            here = policy.metadata.namespace
            if change.after is None and here == name:
                continue
            selects = False, False
            if here == name and isinstance(change.before, Workload) and self._speaks(policy.spec.pod_selector):
                selects = self._match(self._ctx.compile(policy.spec.pod_selector))
            peers, about = self._peers(policy)
            if not (self._concerns(selects) or about or (here == name and self._works_otherwise)):
                continue
            if policy.metadata.deletion_timestamp is None and not self._ends(here):
                yield Dependent(policy, selects == (True, False), tuple(peers))

    def _speaks(self, selector: LabelSelector | None) -> bool:
        """Whether a selector may match otherwise than before: most have none of the keys that change."""
        if not self._same:
            return True
        return selector is not None and not (
            self._keys.isdisjoint(selector.match_labels)
            and all(e.key not in self._keys for e in selector.match_expressions)
        )

    def _peers(self, policy: NetworkPolicy) -> tuple[list[tuple[str, NetworkPolicyPeer]], bool]:
        """The peers that match no longer, and whether any is about what changes."""
        lost: list[tuple[str, NetworkPolicyPeer]] = []
        about = False
        of_namespace = isinstance(self._change.before, Namespace)
        for path, peer in policy.peers():
            self._ctx.spend()
            if not self._speaks(peer.namespace_selector if of_namespace else peer.pod_selector):
                continue
            if peer.ip_block is not None or direction_of(path) not in policy.directions:
                continue
            was = self._peer_matches(peer, policy, self._before)
            will = self._after is not None and self._peer_matches(peer, policy, self._after)
            if was and not will:
                lost.append((path, peer))
            about = about or was != will or (was and not self._same)
        return lost, about

    def _peer_matches(self, peer: NetworkPolicyPeer, policy: NetworkPolicy, side: _Side) -> bool:
        if peer.namespace_selector is None:
            if policy.metadata.namespace != side.namespace:
                return False
        elif not self._ctx.compile(peer.namespace_selector).matches(side.labels):
            return False
        if isinstance(self._change.before, Namespace):
            return peer.namespace_selector is not None
        return peer.pod_selector is None or self._any_matched(side, self._ctx.compile(peer.pod_selector))

    def _match(self, selector: Selector) -> tuple[bool, bool]:
        """Whether a selector matches what changes, before and after."""
        return self._any_matched(self._before, selector), self._after is not None and self._any_matched(
            self._after, selector
        )

    def _any_matched(self, side: _Side, selector: Selector) -> bool:
        self._ctx.spend(1 + len(side.classes) * len(selector.terms))
        return side.any_matched_by(selector)

    def _concerns(self, matched: tuple[bool, bool]) -> bool:
        return matched[0] != matched[1] or (matched[0] and not self._same)

    def _ends(self, namespace: str) -> bool:
        found = self._cluster.namespace(namespace)
        return found is not None and found.terminating

    @property
    def _works_otherwise(self) -> bool:
        """Whether the policies of the namespace itself mean something else afterwards."""
        before, after = self._change.before, self._change.after
        return (
            isinstance(before, Namespace)
            and isinstance(after, Namespace)
            and before.labels.get(_DATAPLANE_MODE) != after.labels.get(_DATAPLANE_MODE)
        )


def class_of(record: Record) -> PodClass:
    """The class that a pod or template would be in."""
    if isinstance(record, Workload):
        return PodClass(record.namespace, record.labels, open_keys(record))
    return PodClass(record.key[0], record.labels if isinstance(record, Pod) else {}, {})


def direction_of(path: str) -> Direction:
    """The direction of a rule by its path."""
    return "Ingress" if path.startswith("spec.ingress") else "Egress"


def referrers(ctx: Context, service: Service) -> Iterator[Record]:
    """What of other namespaces, or of the cluster, names a Service, and does not go either."""
    for record in ctx.cluster.referrers_of(*service.key):
        ctx.spend(4)
        if (
            isinstance(record, HTTPRoute | WebhookConfiguration | APIService)
            and record.key[0] != service.metadata.namespace
            and not record.terminating
        ):
            yield record
