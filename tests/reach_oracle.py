"""Who may talk to whom, once more: so slow and plain that it is obviously right.

Pod by pod, rule by rule, port by port, from the words of the API reference. It shares no code with what judges, only
the records: no selector is compiled, no index asked, nothing grouped. `webhook.reach` is compared with it.

Sources: k8s.io/api networking/v1 types.go; the Kubernetes documentation page on network policies; test/e2e/network/
netpol of Kubernetes; sigs.k8s.io/network-policy-api apis/v1alpha2; the names are those of `netadmit connectivity`.
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from webhook.model.objects import (
    DAEMON_SET,
    JOB,
    NAME_LABEL,
    REPLICA_SET,
    AdminPeer,
    AdminPolicy,
    AdminPort,
    AdminRule,
    ContainerPort,
    Key,
    Labels,
    LabelSelector,
    LabelSelectorRequirement,
    Namespace,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
    Node,
    Pod,
    Record,
    Workload,
)

Way: TypeAlias = Literal["Ingress", "Egress"]
IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
LAST_PORT: Final = 65535
LAST_ADDRESS: Final = {4: 2**32 - 1, 6: 2**128 - 1}


class Party:
    """One end of a connection: a pod, a template that stands for a pod, or an address outside."""

    def __init__(self, record: Pod | Workload | None, address: IP | None = None) -> None:
        self.record = record
        self.address = address

    @property
    def host_network(self) -> bool:
        return self.record is not None and self.record.host_network

    @property
    def ports(self) -> tuple[ContainerPort, ...]:
        """The ports it declares: an address declares none, nor does a hostNetwork pod, which is one to policies."""
        return self.record.ports if self.record is not None and not self.record.host_network else ()

    @property
    def node(self) -> str:
        return self.record.node if isinstance(self.record, Pod) else ""

    def __repr__(self) -> str:
        if self.record is None:
            return f"ip:{self.address}"
        return f"{self.record.namespace}/{self.record.kind.rpartition('/')[2]}/{self.record.name}"


class End(NamedTuple):
    """What a connection uses of a party: one of its addresses. A pod without any has an unknown one of each family."""

    family: int
    address: IP | None


class PolicyAnswer(NamedTuple):
    """What one policy says to a connection, in one direction: the first rule that matches it, or None."""

    name: str
    kind: str
    rule: int | None


class DirectionAnswer(NamedTuple):
    """What all policies of one side say to a connection.

    ``isolated``: whether any is about that side at all; ``policies``: those that are.
    """

    allowed: bool
    isolated: bool
    policies: tuple[PolicyAnswer, ...]


# --- selectors


def selects(selector: LabelSelector, labels: Labels) -> bool:
    """Whether a selector matches labels; the empty one matches all. (apimachinery, LabelSelector)"""
    for key, value in selector.match_labels.items():
        if key not in labels or labels[key] != value:
            return False
    return all(meets(wanted, labels) for wanted in selector.match_expressions)


def meets(wanted: LabelSelectorRequirement, labels: Labels) -> bool:
    """NotIn and DoesNotExist are also met by what lacks the key."""
    if wanted.operator == "In":
        return wanted.key in labels and labels[wanted.key] in wanted.values
    if wanted.operator == "NotIn":
        return wanted.key not in labels or labels[wanted.key] not in wanted.values
    if wanted.operator == "Exists":
        return wanted.key in labels
    assert wanted.operator == "DoesNotExist", wanted
    return wanted.key not in labels


# --- addresses


def address_of(text: str) -> IP | None:
    """An address; None for what is none (a Node's addresses hold host names, too)."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def within(address: IP | None, cidr: str) -> bool:
    """Whether an address is in a range; an unknown address is in none. Older API servers let host bits pass."""
    network = ipaddress.ip_network(cidr, strict=False)
    return address is not None and address.version == network.version and address in network


# --- policies


def isolates(policy: NetworkPolicy) -> set[str]:
    """The directions that a policy is about: Ingress always, Egress when it has rules, unless it says which."""
    if policy.spec.policy_types:
        return set(policy.spec.policy_types)
    return {"Ingress", "Egress"} if policy.spec.egress else {"Ingress"}


def rules_of(policy: NetworkPolicy, way: str) -> Sequence[NetworkPolicyRule]:
    return policy.spec.ingress if way == "Ingress" else policy.spec.egress


def lists_port(entry: NetworkPolicyPort, protocol: str, port: int, named: tuple[ContainerPort, ...]) -> bool:
    """Whether an entry of a rule's ports has this port.

    Args:
        entry: the entry.
        protocol: of the connection.
        port: of the connection.
        named: the ports that the destination declares: a name is looked up there, with the protocol.
    """
    if entry.protocol != protocol:
        return False
    if entry.port is None:
        return True
    if isinstance(entry.port, str):
        return any(p.name == entry.port and p.protocol == protocol and p.number == port for p in named)
    if entry.end_port is not None:
        return entry.port <= port <= entry.end_port
    return entry.port == port


def lists_admin_port(entry: AdminPort, protocol: str, port: int, named: tuple[ContainerPort, ...]) -> bool:
    """The same for a rule of an administrator, where a name is of any protocol."""
    if entry.name:
        return any(p.name == entry.name and p.protocol == protocol and p.number == port for p in named)
    return entry.protocol == protocol and entry.first <= port <= entry.last


class Oracle:
    """Answers about one state of a cluster.

    Args:
        records: the state.
        families: of outside addresses that are spoken of; those in use if left out.
    """

    def __init__(self, records: Iterable[Record], families: tuple[int, ...] = ()) -> None:
        self.records = list(records)
        self.nodes = {r.name: r for r in self.records if isinstance(r, Node)}
        self.namespaces = {r.name: r for r in self.records if isinstance(r, Namespace)}
        self.policies = [r for r in self.records if isinstance(r, NetworkPolicy)]
        self.admin = sorted(
            (r for r in self.records if isinstance(r, AdminPolicy)), key=lambda p: (p.priority, p.name, p.kind)
        )
        self.controllers = {
            (r.kind.rpartition("/")[2], r.namespace, r.name): r for r in self.records if isinstance(r, Workload)
        }
        pods = [r for r in self.records if isinstance(r, Pod) and r.phase not in {"Succeeded", "Failed"}]
        with_pods = {self.workload(pod) for pod in pods}
        templates = [
            r for r in self.records if isinstance(r, Workload) and makes_pods(r) and self.workload(r) not in with_pods
        ]
        self.parties = [*map(Party, pods)]
        for template in templates:  # two of a kind show how it treats its own
            self.parties += [Party(template) for _ in range(2 if self.is_several(template) else 1)]
        self._ends: dict[Party, list[End]] = {}
        self.families = families or self.families_in_use()
        self.starts = self.port_starts()
        self._ports: dict[tuple[Party, Party], tuple[str, ...]] = {}

    def is_several(self, template: Workload) -> bool:
        return template.replicas > 1 or (template.kind == DAEMON_SET and len(self.nodes) > 1)

    # --- names

    def workload(self, record: Pod | Workload) -> str:
        """The top controller as ``ns/Kind/name``, by names alone as far as owners are not in the state."""
        kind, name = record.kind.rpartition("/")[2], record.name
        seen: set[Key] = set()
        owner = record.owner
        while owner is not None and owner not in seen:
            kind, name = owner
            seen.add(owner)
            known = self.controllers.get((kind, record.namespace, name))
            stem, dash, suffix = name.rpartition("-")
            if known is not None and known.owner is not None:
                owner = known.owner
            elif kind == "ReplicaSet" and dash and suffix == record.labels.get("pod-template-hash"):
                owner = "Deployment", stem
            else:
                owner = None
        return f"{record.namespace}/{kind}/{name}"

    def party(self, at: Pod | Workload | str) -> Party:
        """The party that a record or an address is."""
        if isinstance(at, str):
            address = address_of(at)
            assert address is not None, at
            return Party(None, address)
        for party in self.parties:
            if party.record is not None and party.record.kind == at.kind and party.record.key == at.key:
                return party
        raise LookupError(f"{at.namespace}/{at.name} is no party: it is gone, or stands for no pod")

    # --- one connection

    def allowed(self, src: Party, dst: Party, protocol: str, port: int) -> bool:
        """Whether src may open a connection to dst."""
        assert src.record is not None or dst.record is not None, "address to address is nobody's to say"
        return self.never_stopped(src, dst) or self.allowed_by_policies(src, dst, protocol, port)

    def allowed_by_policies(self, src: Party, dst: Party, protocol: str, port: int) -> bool:
        """Whether policies let it through: a connection is of one family, and both sides must allow it there."""
        return any(
            self.one_side("Egress", src, dst, there, dst, protocol, port)
            and self.one_side("Ingress", dst, src, here, dst, protocol, port)
            for here, there in self.ends(src, dst)
        )

    def direction(self, way: Way, src: Party, dst: Party, protocol: str, port: int) -> DirectionAnswer:
        """What the policies of one side say, each with the first rule that matches in any family that both ends have.

        Args:
            way: Egress for the side of src, Ingress for that of dst.
            src: who opens the connection.
            dst: to whom.
            protocol: of the connection.
            port: of the connection, at dst.
        """
        pod, peer = (src, dst) if way == "Egress" else (dst, src)
        ends = [there if way == "Egress" else here for here, there in self.ends(src, dst)]
        allowed = self.never_stopped(src, dst) or any(
            self.one_side(way, pod, peer, at, dst, protocol, port) for at in ends
        )
        answers: list[PolicyAnswer] = []
        policies: list[NetworkPolicy | AdminPolicy] = [*self.admin_of(pod, "Admin", way)]
        policies += self.isolating(pod, way)
        policies += self.admin_of(pod, "Baseline", way)
        for policy in policies:
            rules = [self.first_rule(policy, way, peer, at, dst, protocol, port) for at in ends]
            first = min((i for i in rules if i is not None), default=None)
            name = policy.name if isinstance(policy, AdminPolicy) else "/".join(policy.key)
            answers.append(PolicyAnswer(name, policy.kind.rpartition("/")[2], first))
        return DirectionAnswer(allowed, bool(answers), tuple(answers))

    def never_stopped(self, src: Party, dst: Party) -> bool:
        """A pod reaches itself, and a pod and its own node reach each other, whatever policies say."""
        return src is dst or self.is_node_of(src, dst) or self.is_node_of(dst, src)

    def is_node_of(self, party: Party, pod: Party) -> bool:
        """Whether a party is the node that a pod runs on: a hostNetwork pod there, or one of the Node's addresses."""
        if not pod.node:
            return False
        if party.record is not None:
            return party.host_network and party.node == pod.node
        return pod.node in self.nodes and party.address in self.addresses_of_node(self.nodes[pod.node])

    @staticmethod
    def addresses_of_node(node: Node) -> list[IP]:
        return [address for text in node.addresses if (address := address_of(text)) is not None]

    def addresses(self, party: Party) -> list[IP]:
        """A party's addresses; those of its node for a hostNetwork pod that says none."""
        if party.address is not None:
            return [party.address]
        own = [address_of(ip) for ip in party.record.ips] if isinstance(party.record, Pod) else []
        if not own and party.host_network and party.node in self.nodes:
            return self.addresses_of_node(self.nodes[party.node])
        return [address for address in own if address is not None]

    def ends(self, src: Party, dst: Party) -> list[tuple[End, End]]:
        """The pairs of addresses that a connection can use: both of one family."""
        return [(a, b) for a in self.own_ends(src) for b in self.own_ends(dst) if a.family == b.family]

    def own_ends(self, party: Party) -> list[End]:
        if party not in self._ends:
            self._ends[party] = [End(a.version, a) for a in self.addresses(party)] or [End(4, None), End(6, None)]
        return self._ends[party]

    def one_side(self, way: Way, pod: Party, peer: Party, at: End, dst: Party, protocol: str, port: int) -> bool:
        """Whether the policies of a pod let through a connection with a peer, at one of the peer's addresses.

        The Admin tier decides first, then NetworkPolicies for the pods that they isolate, then the Baseline tier.
        """
        does = self.tier("Admin", way, pod, peer, at, dst, protocol, port)
        if does in {"Accept", "Deny"}:
            return does == "Accept"
        isolating = self.isolating(pod, way)
        if isolating:
            return any(self.first_rule(p, way, peer, at, dst, protocol, port) is not None for p in isolating)
        return self.tier("Baseline", way, pod, peer, at, dst, protocol, port) != "Deny"

    def first_rule(
        self,
        policy: NetworkPolicy | AdminPolicy,
        way: Way,
        peer: Party,
        at: End,
        dst: Party,
        protocol: str,
        port: int,
    ) -> int | None:
        """The index of the first rule of a policy that matches a connection."""
        if isinstance(policy, AdminPolicy):
            for i, admin_rule in enumerate(policy.ingress if way == "Ingress" else policy.egress):
                if self.admin_rule(admin_rule, peer, at, dst, protocol, port) is not None:
                    return i
            return None
        for i, rule in enumerate(rules_of(policy, way)):
            if self.rule_matches(policy.metadata.namespace, rule, way, peer, at, dst, protocol, port):
                return i
        return None

    # --- NetworkPolicies

    def isolating(self, pod: Party, way: Way) -> list[NetworkPolicy]:
        """The NetworkPolicies that isolate a pod in a direction; they do not bind hostNetwork pods."""
        record = pod.record
        if record is None or pod.host_network:
            return []
        return [
            policy
            for policy in self.policies
            if record.namespace == policy.metadata.namespace
            and way in isolates(policy)
            and selects(policy.spec.pod_selector, record.labels)
        ]

    def rule_matches(
        self, own: str, rule: NetworkPolicyRule, way: Way, peer: Party, at: End, dst: Party, protocol: str, port: int
    ) -> bool:
        """Whether a rule has the peer and the port; each list, empty or absent, means anything."""
        if not rule.peers:
            return not rule.ports or any(lists_port(entry, protocol, port, dst.ports) for entry in rule.ports)
        for wanted in rule.peers:
            if not self.peer_matches(own, wanted, peer, at):
                continue
            if not rule.ports:
                return True
            # A name is looked up on the pod that is selected as a peer: addresses declare no ports.
            named = () if way == "Egress" and wanted.ip_block is not None else dst.ports
            if any(lists_port(entry, protocol, port, named) for entry in rule.ports):
                return True
        return False

    def peer_matches(self, own: str, wanted: NetworkPolicyPeer, peer: Party, at: End) -> bool:
        if wanted.ip_block is not None:
            block = wanted.ip_block
            return within(at.address, block.cidr) and not any(within(at.address, cidr) for cidr in block.excepted)
        if peer.record is None or peer.host_network:
            return False
        if wanted.namespace_selector is None:
            in_namespace = peer.record.namespace == own
        else:
            in_namespace = selects(wanted.namespace_selector, self.namespace_labels(peer.record.namespace))
        if wanted.pod_selector is None:
            return wanted.namespace_selector is not None and in_namespace
        return in_namespace and selects(wanted.pod_selector, peer.record.labels)

    def namespace_labels(self, name: str) -> Labels:
        """Every namespace has the label of its name, also when only an object in it is known."""
        known = self.namespaces.get(name)
        return {**(known.labels if known is not None else {}), NAME_LABEL: name}

    # --- the tiers of administrators

    def admin_of(self, pod: Party, tier: str, way: Way) -> list[AdminPolicy]:
        """The policies of a tier that are about a pod in a direction, in the order in which they are asked."""
        return [
            policy
            for policy in self.admin
            if policy.tier == tier
            and (policy.ingress if way == "Ingress" else policy.egress)
            and self.selects_pod(policy.subject, pod)
        ]

    def tier(
        self, tier: str, way: Way, pod: Party, peer: Party, at: End, dst: Party, protocol: str, port: int
    ) -> str | None:
        """What the first rule of a tier that matches does; None when none does."""
        for policy in self.admin_of(pod, tier, way):
            for rule in policy.ingress if way == "Ingress" else policy.egress:
                does = self.admin_rule(rule, peer, at, dst, protocol, port)
                if does is not None:
                    return does
        return None

    def admin_rule(self, rule: AdminRule, peer: Party, at: End, dst: Party, protocol: str, port: int) -> str | None:
        """What a rule does to a connection.

        A peer with nothing set is of a kind that was not heard of: fail closed, which means that the rule matches
        nothing when it accepts, and denies all otherwise (ClusterNetworkPolicyIngressPeer).
        """
        if AdminPeer() in rule.peers:
            return None if rule.action == "Accept" else "Deny"
        if not any(self.admin_peer(wanted, peer, at) for wanted in rule.peers):
            return None
        if rule.ports and not any(lists_admin_port(entry, protocol, port, dst.ports) for entry in rule.ports):
            return None
        return rule.action

    def admin_peer(self, wanted: AdminPeer, peer: Party, at: End) -> bool:
        if wanted.namespaces is not None:
            return self.selects_pod(wanted, peer)
        if wanted.nodes is not None:
            chosen = [node for node in self.nodes.values() if selects(wanted.nodes, node.labels)]
            return any(at.address in self.addresses_of_node(node) for node in chosen)
        return any(within(at.address, cidr) for cidr in wanted.networks)  # a domain name is nobody that is known

    def selects_pod(self, wanted: AdminPeer, party: Party) -> bool:
        record = party.record
        return (
            wanted.namespaces is not None
            and record is not None
            and not party.host_network
            and selects(wanted.namespaces, self.namespace_labels(record.namespace))
            and (wanted.pods is None or selects(wanted.pods, record.labels))
        )

    # --- everything

    def port_starts(self) -> list[int]:
        """Ports at which an answer can change: those mentioned anywhere, and the ones after them."""
        numbers: set[int] = set()
        for record in self.records:
            if isinstance(record, Pod | Workload):
                numbers |= {p.number for p in record.ports}
            elif isinstance(record, NetworkPolicy):
                for _, rule in record.rules():
                    numbers |= {n for p in rule.ports for n in (p.port, p.end_port) if isinstance(n, int)}
            elif isinstance(record, AdminPolicy):
                numbers |= {n for r in (*record.ingress, *record.egress) for p in r.ports for n in (p.first, p.last)}
        return sorted({1} | {start for n in numbers for start in (n, n + 1) if 1 <= start <= LAST_PORT})

    def address_starts(self, family: int) -> list[int]:
        """Addresses at which an answer can change: ends of ranges, those of pods and nodes, and the ones after them."""
        starts = {0}
        for cidr in self.ranges():
            network = ipaddress.ip_network(cidr, strict=False)
            if network.version == family:
                starts |= {int(network.network_address), int(network.broadcast_address) + 1}
        for texts in (r.ips if isinstance(r, Pod) else r.addresses for r in self.records if isinstance(r, Pod | Node)):
            for address in map(address_of, texts):
                if address is not None and address.version == family:
                    starts |= {int(address), int(address) + 1}
        return sorted(start for start in starts if start <= LAST_ADDRESS[family])

    def ends_outside(self, family: int) -> list[End]:
        """One address of each stretch in which no answer changes."""
        return [End(family, make_address(family, start)) for start in self.address_starts(family)]

    def ranges(self) -> Iterator[str]:
        """Every range that a policy mentions in a rule that is not dead."""
        for record in self.records:
            if isinstance(record, NetworkPolicy):
                for way in isolates(record):
                    for rule in rules_of(record, way):
                        yield from (c for p in rule.peers if (b := p.ip_block) for c in (b.cidr, *b.excepted))
            elif isinstance(record, AdminPolicy):
                for admin_rule in (*record.ingress, *record.egress):
                    for wanted in admin_rule.peers:
                        yield from wanted.networks

    def families_in_use(self) -> tuple[int, ...]:
        """IPv6 is spoken of only where a pod or a range has it."""
        addresses = [address for party in self.parties for address in self.addresses(party)]
        return (4, 6) if any(a.version == 6 for a in addresses) or any(":" in r for r in self.ranges()) else (4,)

    def ports(self, src: Party, dst: Party) -> tuple[str, ...]:
        """The ports that a party may reach another on, as ``TCP 80``, ``TCP 8000-8100``, ``UDP``, ``all``."""
        return ("all",) if self.never_stopped(src, dst) else self.ports_by_policies(src, dst)

    def ports_by_policies(self, src: Party, dst: Party) -> tuple[str, ...]:
        if (src, dst) not in self._ports:
            self._ports[src, dst] = self.tried(lambda *at: self.allowed_by_policies(src, dst, *at))
        return self._ports[src, dst]

    def tried(self, let_through: Callable[[str, int], bool]) -> tuple[str, ...]:
        """The ports that are let through, found by trying all at which the answer can change."""
        starts = self.starts
        written: list[str] = []
        for protocol in PROTOCOLS:
            ranges: list[tuple[int, int]] = []
            for start, after in zip(starts, (*starts[1:], LAST_PORT + 1), strict=True):
                if not let_through(protocol, start):
                    continue
                if ranges and ranges[-1][1] + 1 == start:
                    ranges[-1] = (ranges[-1][0], after - 1)
                else:
                    ranges.append((start, after - 1))
            if ranges == [(1, LAST_PORT)]:
                written.append(protocol)
            else:
                written += [f"{protocol} {a}" if a == b else f"{protocol} {a}-{b}" for a, b in ranges]
        return ("all",) if written == list(PROTOCOLS) else tuple(written)

    def outside(self, pod: Party, way: Way) -> dict[str, tuple[str, ...]]:
        """What of the outside a pod may reach, or is reached by: the widest ranges that have the same ports.

        That a pod and its own node always reach each other is not said here, where addresses are nobody's.
        """
        found: dict[str, tuple[str, ...]] = {}
        for family in self.families:
            starts = self.address_starts(family)
            rows: list[tuple[int, int, tuple[str, ...]]] = []
            for start, after in zip(starts, (*starts[1:], LAST_ADDRESS[family] + 1), strict=True):
                address = Party(None, make_address(family, start))
                src, dst = (pod, address) if way == "Egress" else (address, pod)
                ports = self.tried(lambda *at, src=src, dst=dst: self.allowed_by_policies(src, dst, *at))
                if rows and rows[-1][2] == ports:
                    rows[-1] = (rows[-1][0], after - 1, ports)
                else:
                    rows.append((start, after - 1, ports))
            found |= {range_name(family, a, b): ports for a, b, ports in rows if ports}
        return found

    # --- by name

    def workloads(self) -> dict[str, list[Party]]:
        """The pods, and templates that stand for pods, of each workload."""
        found: dict[str, list[Party]] = {}
        for party in self.parties:
            assert party.record is not None
            found.setdefault(self.workload(party.record), []).append(party)
        return found

    def names(self) -> dict[Party, str]:
        """How each party is written: as its workload, or as itself where policies do not treat all its pods alike."""
        names: dict[Party, str] = {}
        for name, group in self.workloads().items():
            alike = self.alike(group)
            for party in group:
                names[party] = name if alike else repr(party)
        return names

    def alike(self, group: list[Party]) -> bool:
        """Whether policies let through the same to and from each of these."""
        others = [party for party in self.parties if party not in group]
        return (
            len(
                {
                    (
                        *(self.ports_by_policies(party, other) for other in others),
                        *(self.ports_by_policies(other, party) for other in others),
                        *self.outside(party, "Egress").items(),
                        *self.outside(party, "Ingress").items(),
                    )
                    for party in group
                }
            )
            == 1
            and len({self.ports_by_policies(a, b) for a in group for b in group if a is not b}) <= 1
        )

    def connectivity(self, names: Mapping[Party, str] | None = None) -> dict[tuple[str, str], tuple[str, ...]]:
        """Every pair with what is let through: between workloads, within those of several pods, and the outside.

        Pods of one name are alike but for the nodes that they run on, so what counts is what all of them can do.

        Args:
            names: how to write the parties, `names` if left out.
        """
        names = self.names() if names is None else names
        found: dict[tuple[str, str], set[tuple[str, ...]]] = {}
        for src in self.parties:
            for dst in self.parties:
                if src is not dst:
                    found.setdefault((names[src], names[dst]), set()).add(self.ports(src, dst))
            for name, ports in self.outside(src, "Egress").items():
                found.setdefault((names[src], name), set()).add(ports)
            for name, ports in self.outside(src, "Ingress").items():
                found.setdefault((name, names[src]), set()).add(ports)
        common: dict[tuple[str, str], tuple[str, ...]] = {}
        for pair, several in found.items():
            if len(several) > 1:  # some run on the node of the others
                several.discard(("all",))
            assert len(several) == 1, (pair, several)
            (common[pair],) = several
        return {pair: ports for pair, ports in common.items() if ports}

    def is_restricted(self, pod: Party) -> bool:
        """Whether policies of a pod keep anything from it, whatever those of the others say."""
        ways: tuple[Way, ...] = ("Ingress", "Egress")
        everybody = [(party, end) for party in self.parties for end in self.own_ends(party)]
        everybody += [(Party(None, end.address), end) for family in self.families for end in self.ends_outside(family)]
        return any(self.side(way, pod, peer, at) != ("all",) for way in ways for peer, at in everybody)

    def side(self, way: Way, pod: Party, peer: Party, at: End) -> tuple[str, ...]:
        """The ports that the policies of a pod let through in one direction, with a peer at one of its addresses."""
        dst = peer if way == "Egress" else pod
        return self.tried(lambda *port: self.one_side(way, pod, peer, at, dst, *port))


def makes_pods(workload: Workload) -> bool:
    """An old ReplicaSet that a Deployment keeps for rollback and a finished Job make no pods any more."""
    if workload.kind == REPLICA_SET and workload.owner is not None:
        return workload.replicas > 0
    return not (workload.kind == JOB and workload.finished)


def make_address(family: int, number: int) -> IP:
    return ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address(number)


def range_name(family: int, first: int, last: int) -> str:
    """A range of addresses: ``ip:CIDR`` where it is one, else ``ip:first-last``."""
    a, b = make_address(family, first), make_address(family, last)
    for length in range(129 if family == 6 else 33):
        network = ipaddress.ip_network((a, length), strict=False)
        if (network.network_address, network.broadcast_address) == (a, b):
            return f"ip:{network}"
    return f"ip:{a}-{b}"


def allowed(
    records: Iterable[Record], src: Pod | Workload | str, dst: Pod | Workload | str, protocol: str, port: int
) -> bool:
    """Whether a pod, a template or an address may open a connection to another; one of them is no address."""
    oracle = Oracle(records)
    return oracle.allowed(oracle.party(src), oracle.party(dst), protocol, port)
