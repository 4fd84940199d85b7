"""May one reach another, and which policy and rule on each side says so."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from webhook.model.objects import Direction, Pod
from webhook.reach.cidr import parse_address
from webhook.reach.endpoints import Population, by_short_name
from webhook.reach.graph import Atom, Cell, Graph
from webhook.reach.policy import Policy
from webhook.reach.ports import (
    ALL_PORTS,
    HIGHEST,
    PROTOCOLS,
    Ports,
    contains,
    describe,
    intersection,
    port_range,
    union,
)
from webhook.reach.relation import ports_of
from webhook.reach.scenario import One, Scenario, relation_of


class Query(Struct, frozen=True):
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


class Reason(Struct, frozen=True):
    """A policy that isolates one side.

    Args:
        name: ``namespace/name``, or the name alone of an administrator's policy.
        kind: NetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy or ClusterNetworkPolicy.
        rule: the index of its first rule that lets the connection through (of an administrator's policy: that is about
            it); None where no rule does.
        action: what that rule does: Accept, Deny or Pass.
    """

    name: str
    kind: str
    rule: int | None
    action: str = "Accept"


class Side(Struct, frozen=True):
    """What the policies on one side say.

    Args:
        allowed: whether they let all of it through.
        isolated: whether any policy selects this side in this direction.
        policies: all that do.
    """

    allowed: bool = True
    isolated: bool = False
    policies: tuple[Reason, ...] = ()


class Answer(Struct, frozen=True):
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
    """A name that stands for nothing here, or for several things; the message names it."""


class _Place(Struct, frozen=True):
    """A pod, a template, or outside addresses: one end of a connection."""

    where: Cell | Atom
    pod: Pod | None = None
    node: str = ""
    """Of a pod, its node; of an address, the node that has it."""
    alone: str = ""
    """Of a template that stands for a single pod, its workload."""

    @property
    def on_host(self) -> bool:
        """Whether it is in its node's network: the node itself is, too."""
        return isinstance(self.where, Atom) or self.where.host_network


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
        self._population = Population(graph)
        self._short = by_short_name(self._population.names)
        self._pods: dict[str, _Place] = {}
        self._by_address: dict[int, _Place] | None = None
        self._between: dict[tuple[Cell | Atom, Cell | Atom], Ports] = {}
        self._sides: dict[tuple[Cell | Atom, Cell | Atom, Direction], Ports] = {}
        for pods in self._population.pods.values():
            for cell, pod in pods:
                self._pods[f"{pod.namespace}/{pod.name}"] = _Place(cell, pod, pod.node)

    # --- names

    def places(self, name: str) -> Sequence[_Place]:
        """All that a name stands for.

        Raises:
            UnknownNameError: nothing, or several things.
        """
        if name.startswith("ip:"):
            return (self._address(name),)
        parts = name.split("/")
        if len(parts) == 2:
            if name in self._pods:
                return (self._pods[name],)
            found = self._short.get(name, [])
            if len(found) > 1:
                raise UnknownNameError(f"{name} is ambiguous: {', '.join(sorted(found))}")
            if found:
                return self._of_workload(found[0])
        elif len(parts) == 3:
            namespace, kind, own = parts
            if kind == "Pod" and (pod := self._pods.get(f"{namespace}/{own}")) is not None:
                return (pod,)
            if places := self._of_workload(name):
                return places
        else:
            raise UnknownNameError(f"{name}: expected namespace/name, namespace/Kind/name or ip:ADDRESS")
        raise UnknownNameError(f"{name} is not there")

    def _of_workload(self, name: str) -> Sequence[_Place]:
        pods = self._population.pods.get(name)
        if pods:
            return [_Place(cell, pod, pod.node) for cell, pod in pods]
        return [
            _Place(cell, alone="" if self._population.is_several(template) else name)
            for cell, template in self._population.templates.get(name, ())[:1]
        ]

    def _address(self, name: str) -> _Place:
        number = parse_address(name.removeprefix("ip:"))
        if number is None:
            raise UnknownNameError(f"{name} is no address")
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
        return _Place(self.graph.atom_at(number), None, node)

    # --- answers

    def answer(self, query: Query) -> Answer:
        """Answers one question; a name or port that is none comes back as the answer's ``error``."""
        try:
            protocol, asked = _asked(query)
            sources, destinations = self.places(query.src), self.places(query.dst)
        except UnknownNameError as error:
            return Answer(query, error=str(error))
        if query.src.startswith("ip:") and query.dst.startswith("ip:"):
            return Answer(query, error="from address to address no policy of this cluster decides")
        shared: Ports = ALL_PORTS
        some: Ports = ()
        pairs = list(_pairs(sources, destinations))
        for source, destination in pairs:
            ports = self._ports(source, destination)
            shared, some = intersection(shared, ports), union(some, ports)
        at_home = _common_node(pairs)
        egress = self._side(pairs, "Egress", asked)
        ingress = self._side([(d, s) for s, d in pairs], "Ingress", asked)
        if query.port is None:
            return Answer(query, shared == ALL_PORTS, shared != some, describe(shared), egress, ingress, node=at_home)
        allowed = contains(shared, protocol, query.port)
        partly = not allowed and contains(some, protocol, query.port)
        return Answer(query, allowed, partly, None, egress, ingress, node=at_home)

    def _ports(self, source: _Place, destination: _Place) -> Ports:
        if _unparted(source, destination):
            return ALL_PORTS
        key = source.where, destination.where
        found = self._between.get(key)
        if found is None:
            found = self._between[key] = self._scenario.between(*key)
        return found

    def _side(self, pairs: Iterable[tuple[_Place, _Place]], direction: Direction, asked: Ports) -> Side:
        allowed, isolated = True, False
        reasons: dict[tuple[str, str], Reason] = {}
        seen: set[tuple[Cell | Atom, Cell | Atom]] = set()
        for own, other in pairs:
            free = _unparted(own, other)
            if (own.where, other.where) in seen and not free:
                continue
            seen.add((own.where, other.where))
            if isinstance(own.where, Atom):
                continue
            stack = self._scenario.stack(own.where, direction)
            isolated = isolated or stack.restricts
            for policy in (*stack.admin, *stack.own, *stack.baseline):
                found = self._reason(policy, own.where, other.where, direction, asked)
                known = reasons.get((policy.kind, policy.name))
                if known is None or (known.rule is None and found.rule is not None):
                    reasons[policy.kind, policy.name] = found
            if not free and allowed:
                ports = self._side_ports(own.where, other.where, direction)
                allowed = intersection(asked, ports) == asked
        return Side(allowed, isolated, tuple(reasons.values()))

    def _side_ports(self, own: Cell, other: Cell | Atom, direction: Direction) -> Ports:
        key = (own, other, direction)
        found = self._sides.get(key)
        if found is None:
            found = ()
            for plane in _planes(self._scenario, own, other):
                found = union(found, self._scenario.side(own, other, direction, plane))
            self._sides[key] = found
        return found

    def _reason(self, policy: Policy, own: Cell, other: Cell | Atom, direction: Direction, asked: Ports) -> Reason:
        first = Reason(policy.name, policy.kind, None)
        rules = policy.rules(direction) or ()
        for plane in _planes(self._scenario, own, other):
            one = One(self.graph, plane, other)
            for i, rule in enumerate(rules if first.rule is None else rules[: first.rule]):
                ports = ports_of(relation_of((rule,), own, direction, one), 0)
                if intersection(ports, asked):
                    first = Reason(policy.name, policy.kind, i, rule.action)
                    break
        return first


def explain(graph: Graph, query: Query) -> Answer:
    """Answers one question; for many, ask one `Explainer`."""
    return Explainer(graph).answer(query)


def _asked(query: Query) -> tuple[str, Ports]:
    if query.protocol not in PROTOCOLS:
        raise UnknownNameError(f"protocol {query.protocol}: expected {', '.join(PROTOCOLS)}")
    if query.port is None:
        return query.protocol, ALL_PORTS
    if not 1 <= query.port <= HIGHEST:
        raise UnknownNameError(f"port {query.port}: must be between 1 and {HIGHEST}")
    return query.protocol, port_range(query.protocol, query.port, query.port)


def _pairs(sources: Sequence[_Place], destinations: Sequence[_Place]) -> Iterable[tuple[_Place, _Place]]:
    """Each source with each destination, but no pod with itself unless there is nothing else."""
    pairs = [(s, d) for s in sources for d in destinations]
    return [(s, d) for s, d in pairs if s.pod is None or s.pod is not d.pod] or pairs


def _unparted(one: _Place, other: _Place) -> bool:
    """Whether no policy parts them: a pod from itself, or from its own node (facts 2.3.23, 2.3.25)."""
    if one.pod is not None and one.pod is other.pod:
        return True
    if one.alone and one.alone == other.alone:
        return True
    return bool(one.node) and one.node == other.node and (one.on_host or other.on_host)


def _common_node(pairs: Sequence[tuple[_Place, _Place]]) -> str:
    one, other = pairs[0]
    if one.pod is other.pod or not all(_unparted(s, d) for s, d in pairs):
        return ""
    return one.node


def _planes(scenario: Scenario, own: Cell, other: Cell | Atom) -> Iterable[int]:
    """The families of addresses in which a side is to be looked at."""
    if scenario.planes == 1 or isinstance(other, Atom):
        return (0,)
    if (own.dual and other.of_ipv6_alone) or (own.of_ipv6_alone and other.dual):
        return (1,)
    return (0, 1) if own.has_second_family and other.has_second_family else (0,)
