"""May one reach another, and which policy and rule on each side says so.

Questions come by the hundred thousand, about a few hundred workloads: whatever an answer is made of is made once, by
the cells that the names stand for, and looked at through the rows of whole policies (`Scenario.row`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from webhook.model.objects import POD, Direction, Key, Pod, Workload
from webhook.model.selectors import nearest
from webhook.reach.cidr import parse_address
from webhook.reach.endpoints import Names, Population, by_short_name
from webhook.reach.graph import Atom, Cell, Graph
from webhook.reach.policy import Policy, Rule
from webhook.reach.ports import (
    ALL_PORTS,
    HIGHEST,
    NO_PORTS,
    PROTOCOLS,
    Ports,
    describe,
    intersection,
    port_range,
    union,
)
from webhook.reach.relation import Relation, ports_of
from webhook.reach.scenario import Scenario


class Query(Struct, frozen=True, gc=False):
    """A question.

    Args:
        src, dst: ``namespace/Kind/name``, ``namespace/name``, or ``ip:ADDRESS``.
        protocol: TCP, UDP or SCTP.
        port: a number; None asks for all ports.
    """

    src: str
    dst: str
    protocol: str = "TCP"
    port: int | None = None


class Reason(Struct, frozen=True, gc=False, omit_defaults=True):
    """A policy that isolates one side.

    Args:
        name: ``namespace/name``, or the name alone of an administrator's policy.
        kind: NetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy or ClusterNetworkPolicy.
        rule: the index of its first rule that lets the connection through (of an administrator's policy: that is about
            it); None where no rule does.
        action: of an administrator's policy, what that rule does: Accept, Deny or Pass.
    """

    name: str
    kind: str
    rule: int | None
    action: str = ""


class Side(Struct, frozen=True, gc=False):
    """What the policies on one side say.

    Args:
        allowed: whether they let all of it through.
        isolated: whether any policy selects this side in this direction.
        policies: all that do.
    """

    allowed: bool = True
    isolated: bool = False
    policies: tuple[Reason, ...] = ()


class Verdict(Struct, frozen=True, gc=False):
    """What becomes of connections between what two names stand for.

    Args:
        allowed: whether all asked ports are let through, between all of them.
        partly: the ports differ between some of them; where a port was asked for: only some are let through.
        ports: on which all of them can connect, whatever was asked.
        egress, ingress: what each side says.
        node: the pods run on one node, which policies do not part from its own pods.
    """

    allowed: bool
    partly: bool = False
    ports: Ports = ALL_PORTS
    egress: Side = Side()
    ingress: Side = Side()
    node: str = ""


class Answer(Struct, frozen=True, gc=False):
    """An answer.

    Args:
        query: the question.
        allowed: whether the connection is let through, between all pods that the names stand for.
        partly: between some of them only.
        ports: where no port was asked for: those on which all of them can connect.
        egress, ingress: what each side says.
        node: the pods run on one node, which policies do not part from its own pods.
        error: why there is no answer; then nothing else counts.
    """

    query: Query
    allowed: bool = False
    partly: bool = False
    ports: tuple[str, ...] | None = None
    egress: Side = Side()
    ingress: Side = Side()
    node: str = ""
    error: str = ""


class UnknownNameError(ValueError):
    """A name that stands for nothing here, or for several things; the message names it.

    ``absent`` is the name where there is nothing; another one may have been meant.
    """

    def __init__(self, message: str, absent: str = "") -> None:
        super().__init__(message)
        self.absent = absent


class Place:
    """A pod, a template of pods to come, or outside addresses: one end of a connection.

    Args:
        name: ``namespace/Kind/name`` or ``ip:ADDRESS``.
        where: its cell, or the outside.
        pod: the pod.
        node: of a pod, its node; of an address, the node that has it.
        several: whether a template makes more than one pod.
    """

    __slots__ = ("name", "node", "pod", "several", "where")

    def __init__(
        self, name: str, where: Cell | Atom, pod: Pod | None = None, node: str = "", *, several: bool = False
    ) -> None:
        self.name = name
        self.where = where
        self.pod = pod
        self.node = node
        self.several = several

    @property
    def on_host(self) -> bool:
        """Whether it is in its node's network: the node itself is, too."""
        return isinstance(self.where, Atom) or self.where.host_network

    @property
    def outside(self) -> bool:
        return isinstance(self.where, Atom)

    @property
    def namespace(self) -> str:
        """Empty for the outside."""
        return "" if isinstance(self.where, Atom) else self.where.namespace


class Party:
    """All that one name stands for."""

    __slots__ = ("cells", "kinds", "near_nodes", "places", "shown")

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places
        self.near_nodes = any(place.on_host and place.node for place in places)
        """Whether it matters on which nodes others are."""
        alike: dict[tuple[Cell | Atom, str], list[Place]] = {}
        for place in places:
            alike.setdefault((place.where, place.node), []).append(place)
        self.kinds = tuple(alike)
        self.cells = tuple(dict.fromkeys(where for where, _ in self.kinds))
        # Two of each kind say all that more of them would: one to be another one's counterpart.
        self.shown = [place for same in alike.values() for place in same[:2]]

    def shares(self, other: "Party") -> bool:
        """Whether anything is in both."""
        if len(self.places) == 1:
            return self.places[0] in other.places
        return not frozenset(self.places).isdisjoint(other.places)


_Rules: TypeAlias = tuple[tuple[int, str, Ports], ...]
"""Rules that are about a pair: index, action, and the ports."""


class View:
    """What one cell's policies say of one other, in one direction.

    Args:
        by_plane: the ports that they let through, by addresses of each family.
        policies: all that are on the cell, each with its rules that are about the other.
        restricted: whether there are any.
    """

    __slots__ = ("_sides", "by_plane", "policies", "ports", "restricted")

    def __init__(self, by_plane: Mapping[int, Ports], policies: Sequence[tuple[Policy, _Rules]]) -> None:
        self.by_plane = by_plane
        self.policies = policies
        self.restricted = bool(policies)
        self.ports = NO_PORTS
        for ports in by_plane.values():
            self.ports = union(self.ports, ports)
        self._sides: dict[Ports, Side] = {}

    def side(self, asked: Ports) -> Side:
        """What they say of these ports."""
        found = self._sides.get(asked)
        if found is None:
            reasons = tuple(_reason(policy, rules, asked) for policy, rules in self.policies)
            found = self._sides[asked] = Side(intersection(asked, self.ports) == asked, self.restricted, reasons)
        return found


_ONE: Final = (0,)
_NO_POLICIES: Final = View({0: ALL_PORTS}, ())
"""Of the outside."""


def _reason(policy: Policy, rules: _Rules, asked: Ports) -> Reason:
    for i, action, ports in rules:
        if intersection(ports, asked):
            return Reason(policy.name, policy.kind, i, "" if policy.tier == "NetworkPolicy" else action)
    return Reason(policy.name, policy.kind, None)


def _through_both(out: View, back: View) -> Ports:
    """The ports that both sides let through, by addresses of some family."""
    if len(out.by_plane) == len(back.by_plane) == 1 or out is _NO_POLICIES or back is _NO_POLICIES:
        return intersection(out.ports, back.ports)
    ports = NO_PORTS
    for plane, there in out.by_plane.items():
        ports = union(ports, intersection(there, back.by_plane[plane]))
    return ports


class _Block:
    """What the policies on one cell say in one direction, of everybody: those of whom they say the same share a view.

    Args:
        rows: what they let through, by addresses of each family.
        policies: each with its rules in the order in which they are asked, and whom each is about.
        everyone: all that they may be about.
    """

    __slots__ = ("_policies", "_rows", "_sets", "_views")

    def __init__(
        self,
        rows: Mapping[int, Relation],
        policies: Sequence[tuple[Policy, Sequence[tuple[int, Rule, Relation]]]],
        everyone: int,
    ) -> None:
        self._rows = rows
        self._policies = policies
        # By which rules are about somebody it is settled what all policies let him do.
        relations = [relation for _, rules in policies for _, _, relation in rules]
        distinct = dict.fromkeys(others for relation in relations for others in relation.values())
        distinct.pop(everyone, None)
        longest = everyone.bit_length() // 8 + 1
        self._sets = [(1 << i, others.to_bytes(longest, "little")) for i, others in enumerate(distinct)]
        self._views: dict[int, View] = {}

    def view(self, other: Cell | Atom) -> View:
        at, bit = other.number >> 3, 1 << (other.number & 7)
        kind = 0
        for mark, others in self._sets:
            if others[at] & bit:
                kind |= mark
        found = self._views.get(kind)
        if found is None:
            found = self._views[kind] = self._look(other.number)
        return found

    def _look(self, number: int) -> View:
        by_plane = {plane: ports_of(row, number) for plane, row in self._rows.items()}
        policies: list[tuple[Policy, _Rules]] = []
        for policy, rules in self._policies:
            about = [(i, rule.action, ports) for i, rule, r in rules if (ports := ports_of(r, number))]
            # The first rule is the first in either family of addresses.
            policies.append((policy, tuple(sorted(about) if len(self._rows) > 1 else about)))
        return View(by_plane, policies)


class Explainer:
    """Answers questions about one state; what it looked up for one serves the next.

    Args:
        graph: the state; must not change meanwhile.
        scenario: other policies than those in the state.
    """

    def __init__(self, graph: Graph, scenario: Scenario | None = None) -> None:
        graph.refresh()
        self.graph = graph
        self._scenario = scenario or Scenario(graph)
        self._names = Names(graph.cluster)
        self._population = Population(graph, self._names)
        self._short = by_short_name(self._population.names)
        self._parties: dict[str, Party] = {}
        self._pods: dict[Key, Place] = {}
        self._templates: dict[tuple[str, Key], Place] = {}
        self._by_address: dict[int, Place] | None = None
        self._blocks: dict[tuple[Direction, Sequence[int]], dict[Cell, _Block]] = {}
        self._one_plane = self._scenario.planes == 1
        self._alike: dict[tuple[object, ...], _Block] = {}
        self._known: dict[tuple[object, object, Ports], Verdict] = {}
        self._asked: dict[tuple[str, int | None], Ports] = {}
        for pods in self._population.pods.values():
            for cell, pod in pods:
                self._pods[pod.key] = Place(f"{pod.namespace}/Pod/{pod.name}", cell, pod, pod.node)

    # --- names

    def party(self, name: str) -> Party:
        """All that a name stands for.

        Raises:
            UnknownNameError: nothing, or several things.
        """
        found = self._parties.get(name)
        if found is None:
            found = self._parties[name] = Party(self._named(name))
        return found

    def _named(self, name: str) -> Sequence[Place]:
        if name.startswith("ip:"):
            return (self.address(name.removeprefix("ip:")),)
        parts = name.split("/")
        if len(parts) == 2:
            pod = self._pods.get((parts[0], parts[1]))
            if pod is not None:
                return (pod,)
            found = self._short.get(name, [])
            if len(found) > 1:
                raise UnknownNameError(f"{name} is ambiguous: {', '.join(sorted(found))}")
            if found:
                return self._of_workload(found[0])
        elif len(parts) == 3:
            namespace, kind, own = parts
            if kind == "Pod" and (pod := self._pods.get((namespace, own))) is not None:
                return (pod,)
            if places := self._of_workload(name):
                return places
        else:
            raise UnknownNameError(f"{name}: expected namespace/name, namespace/Kind/name or ip:ADDRESS", name)
        raise UnknownNameError(f"{name} is not there", name)

    def _of_workload(self, name: str) -> Sequence[Place]:
        pods = self._population.pods.get(name)
        if pods:
            return [self._pods[pod.key] for _, pod in pods]
        return [self._place_of(template, cell) for cell, template in self._population.templates.get(name, ())[:1]]

    def _place_of(self, template: Workload, cell: Cell) -> Place:
        identity = (template.kind, template.key)
        found = self._templates.get(identity)
        if found is None:
            several = self._population.is_several(template)
            found = Place(self._names.of_template(template), cell, several=several)
            self._templates[identity] = found
        return found

    def member(self, record: Pod | Workload) -> Place | None:
        """A pod of the state, or a template that stands for pods to come; None for what has finished."""
        if isinstance(record, Pod):
            return self._pods.get(record.key)
        cell = self.graph.cell_of(record.kind, record.key)
        return None if cell is None else self._place_of(record, cell)

    def address(self, text: str) -> Place:
        """What has an address: a pod, a node, or nobody that is known.

        Raises:
            UnknownNameError: it is none.
        """
        number = parse_address(text)
        if number is None:
            raise UnknownNameError(f"ip:{text} is no address")
        if self._by_address is None:
            self._by_address = {
                n: place
                for place in self._pods.values()
                if place.pod is not None and not place.pod.host_network
                for address in place.pod.ips
                if (n := parse_address(address)) is not None
            }
        found = self._by_address.get(number)
        if found is not None:
            return found
        nodes = self.graph.cluster.nodes
        node = next((n.name for n in nodes if any(parse_address(a) == number for a in n.addresses)), "")
        return Place(f"ip:{text}", self.graph.atom_at(number), None, node)

    def near(self, name: str) -> str | None:
        """The name that was most likely meant: the same one of another namespace, or another spelling."""
        own = name.rpartition("/")[2]
        known = {*self._short, *(f"{namespace}/{pod}" for namespace, pod in self._pods)}
        same = [n for n in known if n.rpartition("/")[2] == own]
        if same:
            return same[0] if len(same) == 1 else None
        return nearest(name, self._population.names if name.count("/") == 2 else known)

    def has_finished(self, name: str) -> bool:
        """Whether a name is that of a pod that has run to its end: it has no network any more."""
        parts = name.split("/")
        if len(parts) < 2 or (len(parts) == 3 and parts[1] != "Pod"):
            return False
        pod = self.graph.cluster.get(POD, (parts[0], parts[-1]))
        return isinstance(pod, Pod) and pod.finished

    # --- answers

    def answer(self, query: Query) -> Answer:
        """Answers one question; a name or port that is none comes back as the answer's ``error``."""
        try:
            asked = self.asked(query.protocol, query.port)
            sources, destinations = self.party(query.src), self.party(query.dst)
        except UnknownNameError as error:
            return Answer(query, error=str(error))
        if query.src.startswith("ip:") and query.dst.startswith("ip:"):
            return Answer(query, error="from address to address no policy of this cluster decides")
        found = self.judge(sources, destinations, asked)
        ports = describe(found.ports) if query.port is None else None
        return Answer(query, found.allowed, found.partly, ports, found.egress, found.ingress, found.node)

    def asked(self, protocol: str, port: int | None) -> Ports:
        """The ports that a question is about; all there are where it names none.

        Raises:
            UnknownNameError: no protocol, or no port.
        """
        found = self._asked.get((protocol, port))
        if found is None:
            if protocol not in PROTOCOLS:
                raise UnknownNameError(f"protocol {protocol}: expected {', '.join(PROTOCOLS)}")
            if port is None:
                found = ALL_PORTS
            elif not 1 <= port <= HIGHEST:
                raise UnknownNameError(f"port {port}: must be between 1 and {HIGHEST}")
            else:
                found = port_range(protocol, port, port)
            self._asked[protocol, port] = found
        return found

    def judge(self, sources: Party, destinations: Party, asked: Ports) -> Verdict:
        """What becomes of connections on these ports from each source to each destination."""
        # What policies say is answered alike for all of a cell, unless the pods themselves matter, or their nodes.
        if sources.shares(destinations):
            key: tuple[object, object, Ports] = (sources, destinations, asked)
        elif sources.near_nodes or destinations.near_nodes:
            key = (sources.kinds, destinations.kinds, asked)
        elif len(sources.cells) == 1 and len(destinations.cells) == 1:
            return self._judge_cells(sources.cells[0], destinations.cells[0], asked)
        else:
            key = (sources.cells, destinations.cells, asked)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._judge(_pairs(sources.shown, destinations.shown), asked)
        return found

    def _judge_cells(self, source: Cell | Atom, destination: Cell | Atom, asked: Ports) -> Verdict:
        """`judge` for a single pair that no node and no identity brings together: nearly every question is one."""
        out, back = self._view(source, destination, "Egress"), self._view(destination, source, "Ingress")
        ports = _through_both(out, back)
        return Verdict(intersection(asked, ports) == asked, False, ports, out.side(asked), back.side(asked))

    def _judge(self, pairs: Sequence[tuple[Place, Place]], asked: Ports) -> Verdict:
        shared: Ports = ALL_PORTS
        some: Ports = NO_PORTS
        seen: set[tuple[Cell | Atom, Cell | Atom]] = set()
        for source, destination in pairs:
            if _unparted(source, destination):
                some = ALL_PORTS
                continue
            if (pair := (source.where, destination.where)) in seen:
                continue
            seen.add(pair)
            out, back = self._view(*pair, "Egress"), self._view(destination.where, source.where, "Ingress")
            ports = _through_both(out, back)
            shared, some = intersection(shared, ports), union(some, ports)
        egress = self._side(pairs, "Egress", asked)
        ingress = self._side([(d, s) for s, d in pairs], "Ingress", asked)
        allowed = intersection(asked, shared) == asked
        partly = shared != some if asked == ALL_PORTS else not allowed and intersection(asked, some) == asked
        return Verdict(allowed, partly, shared, egress, ingress, _common_node(pairs))

    def _side(self, pairs: Iterable[tuple[Place, Place]], direction: Direction, asked: Ports) -> Side:
        allowed, isolated = True, False
        reasons: dict[tuple[str, str], Reason] = {}
        sides: list[Side] = []
        seen: set[tuple[Cell | Atom, Cell | Atom, bool]] = set()
        for own, other in pairs:
            free = _unparted(own, other)
            if (own.where, other.where, free) in seen or isinstance(own.where, Atom):
                continue
            seen.add((own.where, other.where, free))
            side = self._view(own.where, other.where, direction).side(asked)
            sides.append(side)
            allowed = allowed and (free or side.allowed)
            isolated = isolated or side.isolated
        if len(sides) == 1 and sides[0].allowed == allowed:
            return sides[0]
        for side in sides:
            for reason in side.policies:
                known = reasons.get((reason.kind, reason.name))
                if known is None or (known.rule is None and reason.rule is not None):
                    reasons[reason.kind, reason.name] = reason
        return Side(allowed, isolated, tuple(reasons.values()))

    def view(self, own: Place, other: Place, direction: Direction) -> View | None:
        """What the policies on one place say of another; None where it is outside, or nothing parts the two."""
        if isinstance(own.where, Atom) or _unparted(own, other):
            return None
        return self._view(own.where, other.where, direction)

    def policies_on(self, place: Place, direction: Direction) -> Sequence[Policy]:
        """The policies that select a place in a direction, in the order in which they are asked."""
        if isinstance(place.where, Atom):
            return ()
        stack = self._scenario.stack(place.where, direction)
        return (*stack.admin, *stack.own, *stack.baseline)

    def _view(self, own: Cell | Atom, other: Cell | Atom, direction: Direction) -> View:
        if isinstance(own, Atom):
            return _NO_POLICIES
        planes = _ONE if self._one_plane else _planes(own, other)
        blocks = self._blocks.setdefault((direction, planes), {})
        found = blocks.get(own)
        if found is None:
            found = blocks[own] = self._block(own, direction, planes)
        return found.view(other)

    def _block(self, own: Cell, direction: Direction, planes: Sequence[int]) -> _Block:
        scenario = self._scenario
        stack = scenario.stack(own, direction)
        # Named ports are each destination's own; nothing else depends on the cell.
        key = (stack, direction, planes, own.named if direction == "Ingress" else None)
        found = self._alike.get(key)
        if found is None:
            policies = [
                (
                    policy,
                    [
                        (i, rule, relation)
                        for plane in planes
                        for i, (rule, relation) in enumerate(scenario.rows_by_rule(policy, own, direction, plane))
                    ],
                )
                for policy in (*stack.admin, *stack.own, *stack.baseline)
            ]
            rows = {plane: scenario.row(own, direction, plane) for plane in planes}
            found = _Block(rows, policies, scenario.everyone())
            self._alike[key] = found
        return found


def explain(graph: Graph, query: Query) -> Answer:
    """Answers one question; for many, ask one `Explainer`."""
    return Explainer(graph).answer(query)


def _pairs(sources: Sequence[Place], destinations: Sequence[Place]) -> Sequence[tuple[Place, Place]]:
    """Each source with each destination, but no pod with itself unless there is nothing else."""
    pairs = [(s, d) for s in sources for d in destinations]
    return [(s, d) for s, d in pairs if s is not d or s.several] or pairs


def _unparted(one: Place, other: Place) -> bool:
    """Whether no policy parts them: a pod from itself, or from its own node (facts 2.3.23, 2.3.25)."""
    if one is other:
        return not one.several
    return bool(one.node) and one.node == other.node and (one.on_host or other.on_host)


def _common_node(pairs: Sequence[tuple[Place, Place]]) -> str:
    one, other = pairs[0]
    if not one.node or one is other or not all(_unparted(s, d) for s, d in pairs):
        return ""
    return one.node


def _planes(own: Cell, other: Cell | Atom) -> Sequence[int]:
    """The families of addresses in which a side is to be looked at, where some pods have both."""
    if isinstance(other, Atom):
        return _ONE
    if (own.dual and other.of_ipv6_alone) or (own.of_ipv6_alone and other.dual):
        return (1,)
    return (0, 1) if own.has_second_family and other.has_second_family else _ONE
