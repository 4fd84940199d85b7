"""Policies compiled: whom they select, and per direction their rules as sets of ports and peers.

NetworkPolicies and the policies of administrators have one form here; where they differ is their tier and what a rule's
action may be. A `Peer` keeps what it matches in the graph that it belongs to.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, TypeAlias
from weakref import WeakValueDictionary

from webhook.model.cluster import NO_LABEL, PodClass, sure_label
from webhook.model.objects import (
    AdminPeer,
    AdminPolicy,
    AdminPort,
    AdminRule,
    Direction,
    IPBlock,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    Protocol,
)
from webhook.model.selectors import Selector, compile_selector
from webhook.reach.cidr import Range, parse_cidr, ranges_of
from webhook.reach.ports import ALL_PORTS, NO_PORTS, PROTOCOLS, Ports, joined, port_range

Action: TypeAlias = Literal["Accept", "Deny", "Pass"]
Tier: TypeAlias = Literal["Admin", "NetworkPolicy", "Baseline"]
NamedPort: TypeAlias = tuple[str, Protocol]
_EVERYTHING: Final = Selector()
INGRESS: Final[Direction] = "Ingress"
EGRESS: Final[Direction] = "Egress"


class Peer:
    """What one list item of ``from`` or ``to`` matches.

    ``kept`` and ``version`` are the graph's: what it matched, per plane, and when that was.
    """

    __slots__ = ("__weakref__", "kept", "version")

    def __init__(self) -> None:
        self.kept: dict[int, int] = {}
        self.version = -1


class PodPeer(Peer):
    """Pods by labels: of the namespace ``home``, or of those whose labels ``namespaces`` matches."""

    __slots__ = ("home", "namespaces", "pods")

    def __init__(self, home: str, namespaces: Selector | None, pods: Selector) -> None:
        super().__init__()
        self.home = home
        self.namespaces = namespaces
        self.pods = pods


class BlockPeer(Peer):
    """Addresses, in sorted ranges: outside ones and those of pods (facts 2.3.22)."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: tuple[Range, ...]) -> None:
        super().__init__()
        self.ranges = ranges


class NodePeer(Peer):
    """The addresses of nodes (network-policy-api ``nodes``)."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: Selector) -> None:
        super().__init__()
        self.nodes = nodes


class Rule:
    """One rule.

    Args:
        action: Accept for every rule of a NetworkPolicy.
        peers: None for everybody, the outside included.
        ports: those given by number.
        names: those given by name, which each destination resolves for itself (facts 2.3.17).
    """

    __slots__ = ("action", "names", "peers", "ports")

    def __init__(
        self, action: Action, peers: tuple[Peer, ...] | None, ports: Ports, names: tuple[NamedPort, ...] = ()
    ) -> None:
        self.action = action
        self.peers = peers
        self.ports = ports
        self.names = names


class Policy:
    """One policy.

    Args:
        kind: as the API names it.
        name: ``namespace/name``, or the name alone of what is cluster-scoped.
        subject: the pods that it selects.
        ingress, egress: the rules; None where the policy says nothing about the direction.
        tier: when it is asked.
        priority: within the Admin and Baseline tiers, the lower first.
    """

    __slots__ = ("_ranges", "egress", "ingress", "kind", "name", "priority", "subject", "tier")

    def __init__(
        self,
        kind: str,
        name: str,
        subject: PodPeer,
        ingress: tuple[Rule, ...] | None,
        egress: tuple[Rule, ...] | None,
        tier: Tier = "NetworkPolicy",
        priority: int = 0,
    ) -> None:
        self.kind = kind
        self.name = name
        self.subject = subject
        self.ingress = ingress
        self.egress = egress
        self.tier = tier
        self.priority = priority
        self._ranges = tuple(sum(len(rule.ports) for rule in rules or ()) for rules in (ingress, egress))

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        return self.ingress if direction == INGRESS else self.egress

    def ranges(self, direction: Direction) -> int:
        """How many ranges of ports its rules name, all together."""
        return self._ranges[direction != INGRESS]

    def blocks(self) -> Iterable[BlockPeer]:
        """The blocks of addresses that its rules name."""
        for rule in (*(self.ingress or ()), *(self.egress or ())):
            for peer in rule.peers or ():
                if isinstance(peer, BlockPeer):
                    yield peer


class PolicyIndex:
    """NetworkPolicies of one namespace, found by a label that the pods which they select must have."""

    __slots__ = ("_by_label", "by_name")

    def __init__(self) -> None:
        self.by_name: dict[str, Policy] = {}
        self._by_label: dict[tuple[str, str], dict[str, Policy]] = {}

    def put(self, policy: Policy) -> None:
        """Adds a policy, or replaces the one of its name."""
        self.remove(policy.name)
        self.by_name[policy.name] = policy
        self._by_label.setdefault(sure_label(policy.subject.pods), {})[policy.name] = policy

    def remove(self, name: str) -> None:
        """Removes a policy by its full name; one that is not there is no error."""
        gone = self.by_name.pop(name, None)
        if gone is not None:
            label = sure_label(gone.subject.pods)
            del self._by_label[label][name]
            if not self._by_label[label]:
                del self._by_label[label]

    def among(self, labels: Iterable[tuple[str, str]]) -> Iterator[Policy]:
        """Those that select pods which have one of these labels, and those that any pod might be selected by."""
        for label in (*labels, NO_LABEL):
            yield from self._by_label.get(label, {}).values()

    def on(self, pods: PodClass) -> list[Policy]:
        """Those that select these pods, by name."""
        found = [policy for policy in self.among(pods.labels.items()) if pods.matched_by(policy.subject.pods)]
        return sorted(found, key=lambda policy: policy.name) if len(found) > 1 else found


class PeerTable:
    """Makes peers, so that those which say the same are one object and are looked up once."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[object, Peer] = WeakValueDictionary()

    def pods(self, home: str, namespaces: LabelSelector | None, pods: LabelSelector | None) -> PodPeer:
        """Pods by labels; a namespace selector that is left out means ``home``."""
        there = None if namespaces is None else _selector(namespaces)
        which = _selector(pods)
        key = (home if there is None else None, there and there.terms, which.terms)
        found = self._known.get(key)
        if not isinstance(found, PodPeer):
            found = self._known[key] = PodPeer(home, there, which)
        return found

    def block(self, block: IPBlock) -> BlockPeer:
        return self.ranges(block, ranges_of(block))

    def networks(self, cidrs: tuple[str, ...]) -> BlockPeer:
        return self.ranges(cidrs, tuple(sorted(r for c in cidrs if (r := parse_cidr(c)) is not None)))

    def ranges(self, key: object, ranges: tuple[Range, ...]) -> BlockPeer:
        found = self._known.get(key)
        if not isinstance(found, BlockPeer):
            found = self._known[key] = BlockPeer(ranges)
        return found

    def nodes(self, selector: LabelSelector) -> NodePeer:
        which = _selector(selector)
        key = ("nodes", which.terms)
        found = self._known.get(key)
        if not isinstance(found, NodePeer):
            found = self._known[key] = NodePeer(which)
        return found


def _selector(selector: LabelSelector | None) -> Selector:
    if selector is None or not (selector.match_labels or selector.match_expressions):
        return _EVERYTHING
    return compile_selector(selector)


# --- NetworkPolicy


def compile_policy(policy: NetworkPolicy, table: PeerTable) -> Policy:
    """Compiles a NetworkPolicy; rules for a direction that policyTypes leaves out are dead (facts 2.1.3)."""
    home = policy.metadata.namespace
    directions = policy.directions
    return Policy(
        "NetworkPolicy",
        f"{home}/{policy.metadata.name}",
        table.pods(home, None, policy.spec.pod_selector),
        tuple(_rule(r.peers, r.ports, home, table) for r in policy.spec.ingress) if INGRESS in directions else None,
        tuple(_rule(r.peers, r.ports, home, table) for r in policy.spec.egress) if EGRESS in directions else None,
    )


def _rule(peers: Sequence[NetworkPolicyPeer], ports: Sequence[NetworkPolicyPort], home: str, table: PeerTable) -> Rule:
    compiled = tuple(_peer(peer, home, table) for peer in peers) if peers else None
    if not ports:
        return Rule("Accept", compiled, ALL_PORTS)
    numbers = [r for port in ports for r in ports_of(port)]
    names = tuple(dict.fromkeys((p.port, p.protocol) for p in ports if isinstance(p.port, str)))
    return Rule("Accept", compiled, joined(numbers) if numbers else NO_PORTS, names)


def ports_of(port: NetworkPolicyPort) -> Ports:
    """The ports that one entry gives by number: without a port, all of its protocol."""
    if port.port is None:
        return port_range(port.protocol)
    if isinstance(port.port, str):
        return NO_PORTS
    return port_range(port.protocol, port.port, port.port if port.end_port is None else port.end_port)


def _peer(peer: NetworkPolicyPeer, home: str, table: PeerTable) -> Peer:
    if peer.ip_block is not None:
        return table.block(peer.ip_block)
    if peer.pod_selector is None and peer.namespace_selector is None:
        return table.ranges("nobody", ())  # the API refuses it, files may have it: no selector matches nothing
    return table.pods(home, peer.namespace_selector, peer.pod_selector)


# --- the policies of administrators


def compile_admin_policy(policy: AdminPolicy, table: PeerTable) -> Policy:
    """Compiles a policy of an administrator; a direction without rules is not affected."""
    return Policy(
        policy.kind.rpartition("/")[2],
        policy.name,
        table.pods("", policy.subject.namespaces or LabelSelector(), policy.subject.pods),
        tuple(_admin_rule(r, table) for r in policy.ingress) or None,
        tuple(_admin_rule(r, table) for r in policy.egress) or None,
        policy.tier,
        policy.priority,
    )


def _admin_rule(rule: AdminRule, table: PeerTable) -> Rule:
    """A peer of a kind that is unheard of fails closed: an Accept rule matches nothing, Deny and Pass deny everything.

    Source: sigs.k8s.io/network-policy-api apis/v1alpha2, ClusterNetworkPolicyIngressPeer.
    """
    peers: list[Peer] = []
    for peer in rule.peers:
        compiled = _admin_peer(peer, table)
        if compiled is not None:
            peers += compiled
        elif rule.action == "Accept":
            return Rule("Accept", (), NO_PORTS)
        else:
            return Rule("Deny", None, ALL_PORTS)
    if not rule.ports:
        return Rule(rule.action, tuple(peers), ALL_PORTS)
    numbers = joined(r for p in rule.ports if not p.name for r in port_range(p.protocol, p.first, p.last))
    return Rule(rule.action, tuple(peers), numbers, tuple(n for p in rule.ports for n in _names(p)))


def _names(port: AdminPort) -> Iterable[NamedPort]:
    """A name is looked for under every protocol."""
    return [(port.name, protocol) for protocol in PROTOCOLS] if port.name else ()


def _admin_peer(peer: AdminPeer, table: PeerTable) -> Sequence[Peer] | None:
    if peer.namespaces is not None:
        return (table.pods("", peer.namespaces, peer.pods),)
    if peer.nodes is not None:
        return (table.nodes(peer.nodes),)
    if peer.networks:
        return (table.networks(peer.networks),)
    return () if peer.domain_names else None  # names of hosts: which addresses those are nobody can know here
