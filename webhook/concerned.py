"""The pods and templates that a policy's port entries are about, and the container ports that these declare.

For ingress an entry is about the pods that the policy selects, for egress about the pods that the rule's peers match:
a port belongs to the destination (facts 2.3.17). Pods of the host network are not among them: no policy binds them and
no selector matches them as a peer. An entry whose rule is about nobody in particular (no peers, an ipBlock, every pod
of every namespace) concerns no pod.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final
from weakref import WeakKeyDictionary

from msgspec import Struct

from webhook.check import Context, count, enumerate_some
from webhook.model.cluster import PodClass
from webhook.model.objects import (
    ContainerPort,
    Direction,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
    Pod,
    Protocol,
    Service,
    ServicePort,
    Workload,
)

_MOST_CLASSES: Final = 1000
"""A peer that may be any of more kinds of pods than this is about nobody in particular, and costs too much to read."""


class Bearers(Struct, frozen=True):
    """Pods and templates of one class that declare the same ports."""

    of: PodClass
    ports: tuple[ContainerPort, ...]
    pods: list[Pod]
    templates: list[Workload]

    def declares(self, port: int | str, protocol: Protocol = "") -> bool:
        """Whether they declare a number, or a name, under a protocol or under any."""
        return any(
            port == (p.number if isinstance(port, int) else p.name) and protocol in ("", p.protocol) for p in self.ports
        )

    @property
    def workloads(self) -> frozenset[str]:
        return frozenset(p.workload for p in self.pods) | frozenset(t.workload for t in self.templates)


class Concerned:
    """All pods and templates that one rule's port entries are about."""

    def __init__(self, bearers: Sequence[Bearers] = ()) -> None:
        self.bearers = bearers
        self.fronts: Sequence[Front] | None = None
        """Kept for `fronts`."""

    def protocols(self, port: int | str) -> frozenset[Protocol]:
        """The protocols under which any of them declares a number or a name."""
        return frozenset(p.protocol for p in self._declared.get(port, ()))

    def numbers(self, port: int | str, protocol: Protocol) -> frozenset[int]:
        """The numbers that a port stands for on these pods (FindPort's rule)."""
        if isinstance(port, int):
            return frozenset((port,))
        return frozenset(p.number for p in self._declared.get(port, ()) if p.protocol == protocol)

    @cached_property
    def weight(self) -> int:
        """The steps that it takes to look at what each of them declares; most questions are answered by an index."""
        return 1 + sum(1 + len(b.ports) for b in self.bearers) // 2

    @cached_property
    def whereabouts(self) -> frozenset[tuple[str, str]]:
        """The kinds and namespaces of what they are known by: a template only where no pod of its workload runs."""
        running = frozenset(pod.workload for b in self.bearers for pod in b.pods)
        known: list[Pod | Workload] = [pod for b in self.bearers for pod in b.pods[:1]]
        known += [t for b in self.bearers for t in b.templates if t.workload not in running]
        return frozenset((record.kind, record.namespace) for record in known)

    @cached_property
    def _declared(self) -> Mapping[int | str, Sequence[ContainerPort]]:
        """Every declared port, by number and by name."""
        found: dict[int | str, list[ContainerPort]] = {}
        seen: set[tuple[int, str, str]] = set()
        for bearers in self.bearers:
            for port in bearers.ports:
                identity = port.number, port.name, port.protocol
                if identity not in seen:
                    seen.add(identity)
                    found.setdefault(port.number, []).append(port)
                    if port.name:
                        found.setdefault(port.name, []).append(port)
        return found


class PortEntry(Struct, frozen=True):
    """One entry of a rule's ``ports``.

    Args:
        path: its field path, ``spec.ingress[0].ports[1]``.
        direction: of its rule, which is one that policyTypes lists.
        rule: the rule it stands in.
        written: the entry itself.
        concerned: the pods and templates it is about.
    """

    path: str
    direction: Direction
    rule: NetworkPolicyRule
    written: NetworkPolicyPort
    concerned: Concerned

    @property
    def port(self) -> int | str | None:
        """The one port it names; None where it is every port, or a range."""
        return None if self.written.end_port is not None else self.written.port

    @property
    def protocol(self) -> Protocol:
        return self.written.protocol

    @property
    def value(self) -> str:
        """What it says, as text that stays the same when rules are moved."""
        return f"{self.direction} {self.written.port}/{self.written.protocol}"

    @property
    def who(self) -> str:
        """``its 3 pods have``, ``its peer pod template has``: subject and verb of a sentence."""
        number, noun = _number(self.concerned.bearers)
        noun = noun if self.direction == "Ingress" else f"peer {noun}"
        return f"its {noun} has" if number == 1 else f"its {count(number, noun)} have"

    def told(self, ctx: Context) -> bool:
        """Whether those pods may be described: they are all of the policy's own namespace, or all may be."""
        return ctx.may_name_all(self.concerned.whereabouts)

    def some(self, ctx: Context, bearers: Sequence[Bearers]) -> str:
        """``Deployment/web has``: the same about a part of them, by name as far as may be told."""
        number, noun = _number(bearers)
        named = ""
        if self.told(ctx):
            namespaces = {b.of.namespace for b in self.concerned.bearers}
            names = sorted(frozenset().union(*(b.workloads for b in bearers)))
            shown = names if len(namespaces) > 1 else [name.partition("/")[2] for name in names]
            if len(shown) == 1:
                return f"{shown[0]} has"
            named = f" ({enumerate_some(shown, 2)})"
        return f"{count(number, noun)}{named} {'has' if number == 1 else 'have'}"

    @property
    def effect(self) -> str:
        """What an entry does that means no port of these pods."""
        return f"lets nothing {'in' if self.direction == 'Ingress' else 'out'}"


def _number(bearers: Sequence[Bearers]) -> tuple[int, str]:
    """How many they are: pods, or workloads with a template where no pod runs yet."""
    pods = sum(len(b.pods) for b in bearers)
    return (pods, "pod") if pods else (len({t.workload for b in bearers for t in b.templates}), "pod template")


# --- the entries of a policy


def port_entries(ctx: Context) -> Iterator[PortEntry]:
    """Every port entry of the policy under review; dead rules (facts 2.1.3) have none.

    All port checks ask for them in one review: they are kept as long as the context is.
    """
    found = _entries.get(ctx)
    if found is None:
        found = _entries[ctx] = list(_port_entries(ctx))
    for entry in found:
        ctx.spend(4 + entry.concerned.weight)
        yield entry


def _port_entries(ctx: Context) -> Iterator[PortEntry]:
    policy = ctx.policy
    directions = policy.directions
    selected: Concerned | None = None
    for path, rule in policy.rules():
        direction: Direction = "Ingress" if path.startswith("spec.ingress") else "Egress"
        ctx.spend()
        if direction not in directions or not rule.ports:
            continue
        if direction == "Egress":
            concerned = concerned_by(ctx, _peer_classes(ctx, rule.peers))
        elif selected is None:
            concerned = selected = concerned_by(ctx, ctx.selected)
        else:
            concerned = selected
        for i, written in enumerate(rule.ports):
            ctx.spend(4)
            yield PortEntry(f"{path}.ports[{i}]", direction, rule, written, concerned)


def concerned_by(ctx: Context, classes: Collection[PodClass]) -> Concerned:
    """The pods and templates of these classes but those of the host network, by what they declare."""
    ctx.spend(2 * sum(1 + len(c.pods) + len(c.templates) for c in classes))
    return Concerned([bearers for pod_class in classes for bearers in _bearers(pod_class)])


def _bearers(pod_class: PodClass) -> Sequence[Bearers]:
    found: list[Bearers] = []
    records: list[Pod | Workload] = [*pod_class.pods.values(), *pod_class.templates.values()]
    for record in records:
        if record.host_network:
            continue
        # A class is mostly the pods of one workload: the first comparison is the only one.
        bearers = next((b for b in found if b.ports == record.ports), None)
        if bearers is None:
            bearers = Bearers(pod_class, record.ports, [], [])
            found.append(bearers)
        if isinstance(record, Pod):
            bearers.pods.append(record)
        else:
            bearers.templates.append(record)
    return found


def _peer_classes(ctx: Context, peers: Sequence[NetworkPolicyPeer]) -> Collection[PodClass]:
    """The classes that the peers match; none where one of them is about nobody in particular."""
    found: dict[PodClass, None] = {}
    for peer in peers:
        if peer.ip_block is not None:
            return ()
        pods = ctx.compile(peer.pod_selector)
        namespaces: Collection[str] = (ctx.namespace,)
        if peer.namespace_selector is not None:
            there = ctx.compile(peer.namespace_selector)
            if there.empty and pods.empty:
                return ()
            namespaces = {n.name for n in ctx.namespaces_matching(there)}
        ctx.spend(4 * len(namespaces))
        if pods.empty:
            if sum(len(ctx.cluster.classes(name)) for name in namespaces) > _MOST_CLASSES:
                return ()
            found.update((c, None) for name in namespaces for c in ctx.cluster.classes(name))
        else:
            found.update((c, None) for c in ctx.select(pods, namespaces))
    return found if len(found) <= _MOST_CLASSES else ()


_entries: Final[WeakKeyDictionary[Context, list[PortEntry]]] = WeakKeyDictionary()


# --- the union with other rules and policies (CHECKS.md, conduct 4)


def admitted_otherwise(
    ctx: Context, entry: PortEntry, port: int | str, protocols: Collection[Protocol], *, whomever: bool = False
) -> bool:
    """Whether the same pods have a port, under one of these protocols, from another entry, rule or policy.

    Args:
        ctx: the context.
        entry: an entry of the policy under review; it does not count itself.
        port: the port that is looked for.
        protocols: those that will do.
        whomever: any peers will do; else only a rule for at least the same peers.
    """

    def admits(rule: NetworkPolicyRule) -> bool:
        ctx.spend(2 + len(rule.ports) + (0 if whomever else len(rule.peers) * len(entry.rule.peers)))
        if not whomever and rule.peers and not (entry.rule.peers and all(p in rule.peers for p in entry.rule.peers)):
            return False
        return not rule.ports or any(
            e.protocol in protocols and e is not entry.written and _covers(entry.concerned, e, port) for e in rule.ports
        )

    if any(admits(rule) for rule in _rules(ctx.policy, entry.direction)):
        return True
    mine = ctx.compile(ctx.policy.spec.pod_selector)
    left = selected = ctx.selected
    for policy in neighbours(ctx):
        if entry.direction not in policy.directions or not any(map(admits, _rules(policy, entry.direction))):
            continue
        selector = ctx.compile(policy.spec.pod_selector)
        ctx.spend(len(left) * (1 + len(selector.terms)))
        if selector.empty or selector == mine:
            return True
        left = [c for c in left if not c.matched_by(selector)]
        if selected and not left:
            return True
    return False


def neighbours(ctx: Context) -> Iterator[NetworkPolicy]:
    """The other policies of the namespace: the one under review is none, even if the watch already holds it."""
    assert ctx.judged is not None  # noqa: S101 - only asked about a policy
    return (p for p in ctx.cluster.policies_in(ctx.namespace) if p.metadata.name != ctx.judged.metadata.name)


def _rules(policy: NetworkPolicy, direction: Direction) -> Sequence[NetworkPolicyRule]:
    return policy.spec.ingress if direction == "Ingress" else policy.spec.egress


def _covers(concerned: Concerned, written: NetworkPolicyPort, port: int | str) -> bool:
    if written.port is None or written.port == port:
        return True
    numbers = concerned.numbers(port, written.protocol)
    if isinstance(written.port, str):
        return bool(numbers) and numbers <= concerned.numbers(written.port, written.protocol)
    last = written.port if written.end_port is None else written.end_port
    return bool(numbers) and all(written.port <= n <= last for n in numbers)


# --- the Services before these pods


class Front(Struct, frozen=True):
    """A Service's port before pods that an entry is about: ``numbers`` are their ports that it leads to."""

    service: Service
    port: ServicePort
    numbers: frozenset[int]
    bearers: tuple[Bearers, ...]

    @property
    def headless(self) -> bool:
        """Nothing translates the port of a headless Service: its clients connect to the pods' own ports."""
        return self.service.spec.cluster_ip == "None"


def fronts(ctx: Context, concerned: Concerned) -> Sequence[Front]:
    """Every port of every Service that selects any of these pods, as its endpoints are formed (facts 3.2).

    Entries of one rule concern the same pods: they are kept as long as what is concerned.
    """
    if concerned.fronts is None:
        concerned.fronts = list(_fronts(ctx, concerned))
    ctx.spend(2 * len(concerned.fronts))
    return concerned.fronts


def _fronts(ctx: Context, concerned: Concerned) -> Iterator[Front]:
    by_namespace: dict[str, list[Bearers]] = {}
    for bearers in concerned.bearers:
        by_namespace.setdefault(bearers.of.namespace, []).append(bearers)
    for namespace, there in by_namespace.items():
        ctx.spend(len(there))
        known = {s.metadata.name for of in dict.fromkeys(b.of for b in there) for s in ctx.cluster.services_behind(of)}
        for service in ctx.cluster.services_in(namespace) if known else ():
            spec = service.spec
            if spec.type == "ExternalName" or service.metadata.name not in known:
                continue
            selector = ctx.compile_labels(spec.selector)
            ctx.spend(len(there) * len(selector.terms) + len(spec.ports))
            behind = tuple(b for b in there if b.of.matched_by(selector))
            if not behind:
                continue
            part = Concerned(behind)
            for port in spec.ports:
                target = port.port if port.target_port is None else port.target_port
                yield Front(service, port, part.numbers(target, port.protocol), behind)
