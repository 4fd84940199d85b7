"""Scenarios: whom the policies of a graph let talk to whom, and whom they would if some policy came, changed or went.

A row is what the policies on one cell say in one direction, as a relation to all others; the connection of two is what
the egress row of one and the ingress row of the other both let through.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from webhook.model.objects import Direction, Key, NetworkPolicy
from webhook.reach.graph import Atom, Bound, Cell, Graph, Stack, together
from webhook.reach.policy import INGRESS, Peer, PodPeer, Policy, PolicyIndex, Rule, compile_policy
from webhook.reach.ports import ALL_PORTS, Ports, intersection, port_range, union
from webhook.reach.relation import Relation, add, bits_of, join, meet, minus, ports_of

_UNBOUND: Final = Stack()
_USUAL_RANGES: Final = 256
_MOST_ROWS: Final = 20_000
"""Rows that a scenario keeps."""


class Universe(Protocol):
    """The others that a row is about: all of the graph, or a single one."""

    everyone: int

    def of(self, peer: Peer) -> int:
        """Those that a peer matches."""

    def named(self, name: str, protocol: str) -> Iterable[tuple[int, int]]:
        """The numbers that a named port has on them, each with those that have it."""


class _Whole:
    """All of a graph, by addresses of one family."""

    def __init__(self, graph: Graph, plane: int) -> None:
        self._graph = graph
        self._plane = plane
        self.everyone = graph.everyone
        if plane:
            self.everyone = bits_of([c.number for c in graph.cells.values() if c.has_second_family])

    def of(self, peer: Peer) -> int:
        return self._graph.bits(peer, self._plane) & self.everyone

    def named(self, name: str, protocol: str) -> Iterable[tuple[int, int]]:
        return self._graph.named(name, protocol)


class One:
    """A single cell, or the outside addresses of one atom: its bit is 1."""

    def __init__(self, graph: Graph, plane: int, other: Cell | Atom) -> None:
        self._graph = graph
        self._plane = plane
        self._other = other
        self._known: dict[Peer, int] = {}
        self.everyone = 1

    def of(self, peer: Peer) -> int:
        found = self._known.get(peer)
        if found is None:
            other = self._other
            if isinstance(other, Cell):
                found = int(self._graph.matches(peer, other, self._plane))
            else:
                found = int(not isinstance(peer, PodPeer) and self._graph.holds(peer, other))
            self._known[peer] = found
        return found

    def named(self, name: str, protocol: str) -> Iterable[tuple[int, int]]:
        if isinstance(self._other, Cell) and not self._other.host_network:
            for port_name, port_protocol, number in self._other.named:
                if (port_name, port_protocol) == (name, protocol):
                    yield number, 1


def relation_of(rules: Iterable[Rule], cell: Cell, direction: Direction, universe: Universe) -> Relation:
    """Whom rules are about, and on which ports: of one cell's ingress, or of its egress."""
    found: Relation = {}
    for rule in rules:
        selected, addressed = universe.everyone, 0
        if rule.peers is not None:
            selected = 0
            for peer in rule.peers:
                if isinstance(peer, PodPeer):
                    selected |= universe.of(peer)
                else:
                    addressed |= universe.of(peer)
        if direction == INGRESS:
            add(found, union(rule.ports, _own_numbers(rule, cell)), selected | addressed)
            continue
        add(found, rule.ports, selected | addressed)
        for name, protocol in rule.names:  # an address has no named ports (facts 2.3.17)
            for number, having in universe.named(name, protocol):
                add(found, port_range(protocol, number, number), having & selected)
    return found


def weight(stack: Stack, direction: Direction) -> int:
    """The steps that a row costs where policies name very many ports; nothing where they do not, as nearly all.

    Ports are merged rule by rule, so it grows with both.
    """
    ranges = sum(policy.ranges(direction) for policy in stack.own)
    if ranges <= _USUAL_RANGES:
        return 0
    return ranges * sum(len(policy.rules(direction) or ()) for policy in stack.own) // 8


def for_nothing(_steps: int) -> None:
    """Spends nothing: where only one person waits, however long it takes."""


def _own_numbers(rule: Rule, cell: Cell) -> Ports:
    """What the named ports of an ingress rule are on the pods that it protects."""
    found: Ports = ()
    if rule.names:
        for name, protocol, number in cell.named:
            if (name, protocol) in rule.names:
                found = union(found, port_range(protocol, number, number))
    return found


def row(stack: Stack, cell: Cell, direction: Direction, universe: Universe) -> Relation:
    """From whom, or to whom, and on which ports a cell's policies let traffic through.

    Source: sigs.k8s.io/network-policy-api apis/v1alpha2 (Tier): the Admin tier's first rule that matches decides, or
    passes on; NetworkPolicies decide for the pods that they isolate; then the Baseline tier; else all is let through.
    """
    undecided: Relation = {ALL_PORTS: universe.everyone}
    accepted: Relation = {}
    if stack.admin:
        passed: Relation = {}
        undecided = _decide(stack.admin, cell, direction, universe, undecided, accepted, passed)
        join(undecided, passed)
    if stack.own:
        rules = (rule for policy in stack.own for rule in policy.rules(direction) or ())
        allowed = relation_of(rules, cell, direction, universe)
        undecided = meet(undecided, allowed) if stack.admin else allowed
    elif stack.baseline:
        undecided = _decide(stack.baseline, cell, direction, universe, undecided, accepted, accepted)
    if accepted:
        join(accepted, undecided)
        return accepted
    return undecided


def _decide(
    tier: Iterable[Policy],
    cell: Cell,
    direction: Direction,
    universe: Universe,
    undecided: Relation,
    accepted: Relation,
    passed: Relation,
) -> Relation:
    """Lets each rule of a tier decide on what those before it left; returns what none of them matched."""
    for policy in tier:
        for rule in policy.rules(direction) or ():
            hit = meet(undecided, relation_of((rule,), cell, direction, universe))
            if hit:
                undecided = minus(undecided, hit)
                if rule.action != "Deny":
                    join(accepted if rule.action == "Accept" else passed, hit)
    return undecided


class Scenario:
    """Who may talk to whom in a graph, if some NetworkPolicies were others than those in the state.

    Args:
        graph: as it is when a question is asked.
        changed: by namespace and name; None for a policy that is not there.
    """

    def __init__(self, graph: Graph, changed: Mapping[Key, NetworkPolicy | None] | None = None) -> None:
        self.graph = graph
        self._changed: dict[str, dict[str, Policy | None]] = {}
        self._added: dict[str, PolicyIndex] = {}
        for (namespace, name), policy in (changed or {}).items():
            compiled = None
            if policy is not None:
                compiled = compile_policy(policy, graph.peers)
                graph.draw_for(compiled)
                self._added.setdefault(namespace, PolicyIndex()).put(compiled)
            self._changed.setdefault(namespace, {})[f"{namespace}/{name}"] = compiled
        self._rows: dict[tuple[object, ...], Relation] = {}
        self._rule_rows: dict[tuple[object, ...], Sequence[tuple[Rule, Relation]]] = {}
        self._known_stacks: dict[tuple[object, ...], Stack] = {}
        self._grouped: dict[Direction, tuple[tuple[int, int], Sequence[Bound]]] = {}
        self._wholes: list[_Whole] = []
        self._version = -1
        self.spend: Callable[[int], None] = for_nothing
        """Is told what a row costs before it is looked up, where that is much; what it raises ends the question."""

    @property
    def planes(self) -> int:
        """How many families of addresses must be told apart: where no pod has both, one look is enough."""
        return 2 if self.graph.dual else 1

    # --- the policies on a cell

    def policy(self, namespace: str, name: str) -> Policy | None:
        """A NetworkPolicy of this scenario."""
        full = f"{namespace}/{name}"
        changed = self._changed.get(namespace, {})
        return changed[full] if full in changed else self.graph.own_policies(namespace).by_name.get(full)

    def stack(self, cell: Cell, direction: Direction) -> Stack:
        """The policies that a cell is under in one direction."""
        found = self._stack_of_state(cell, direction)
        changed = self._changed.get(cell.namespace)
        return self._altered(cell, direction, found, changed) if changed and not cell.host_network else found

    def _stack_of_state(self, cell: Cell, direction: Direction) -> Stack:
        """The same of the state as it is: what the graph keeps must not depend on who asks first."""
        if cell.host_network:
            return _UNBOUND
        stamp = self.graph.stamp(cell.namespace)
        if cell.stamp != stamp:
            cell.stacks = {"Ingress": self._stack(cell, "Ingress"), "Egress": self._stack(cell, "Egress")}
            cell.stamp = stamp
        return cell.stacks[direction]

    def _stack(self, cell: Cell, direction: Direction) -> Stack:
        here = self.graph.own_policies(cell.namespace)
        own = tuple(policy for policy in here.on(cell.of) if policy.rules(direction) is not None)
        tiers: dict[str, list[Policy]] = {"Admin": [], "Baseline": []}
        for policy in self.graph.admin_policies():
            if policy.rules(direction) is not None and self.graph.matches(policy.subject, cell, 0):
                tiers[policy.tier].append(policy)
        if not own and not tiers["Admin"] and not tiers["Baseline"]:
            return _UNBOUND
        return Stack(tuple(tiers["Admin"]), own, tuple(tiers["Baseline"]))

    def _altered(self, cell: Cell, direction: Direction, stack: Stack, changed: Mapping[str, Policy | None]) -> Stack:
        """The policies on a cell of the state, with those that this scenario changes."""
        key = (stack, cell.of, direction)
        found = self._known_stacks.get(key)
        if found is None:
            own = [policy for policy in stack.own if policy.name not in changed]
            kept = len(own)
            added = self._added.get(cell.namespace)
            own += [p for p in added.on(cell.of) if p.rules(direction) is not None] if added else ()
            if kept == len(own) == len(stack.own):
                found = stack
            else:
                own.sort(key=lambda policy: policy.name)
                found = Stack(stack.admin, tuple(own), stack.baseline)
            self._known_stacks[key] = found
        return found

    def bound(self, direction: Direction) -> int:
        """The cells that some policy selects in a direction."""
        found = self.graph.bound(direction, self._stack_of_state, except_in=self._changed)
        for group in self._own_groups(direction):
            found |= group.cells
        return found

    def groups_about(self, namespace: str, direction: Direction) -> Iterator[Bound]:
        """The cells that some policy selects in a direction, those under the same policies together.

        Those are left out whose policies let through no pod of a namespace.
        """
        graph = self.graph
        yield from graph.groups_about(namespace, direction, self._stack_of_state, except_in=self._changed)
        labels = graph.labels_of(namespace)
        yield from (group for group in self._own_groups(direction) if group.may_be_about(namespace, labels))

    def _own_groups(self, direction: Direction) -> Sequence[Bound]:
        """Those of the namespaces whose policies are other ones than in the state."""
        if not self._changed:
            return ()
        key = (self.graph.version, self.graph.policies_version)
        known = self._grouped.get(direction)
        if known is None or known[0] != key:
            cells = (together(self.graph.cells_in(n), direction, self.stack) for n in self._changed)
            known = self._grouped[direction] = key, [group for groups in cells for group in groups]
        return known[1]

    # --- rows

    def row(self, cell: Cell, direction: Direction, plane: int = 0) -> Relation:
        """From whom, or to whom, and on which ports a cell's policies let traffic through; not to be changed."""
        whole = self._whole(plane)
        stack = self.stack(cell, direction)
        # Named ports are each destination's own; nothing else of a row depends on the cell.
        key = (stack, direction, plane, cell.named if direction == INGRESS else None)
        found = self._rows.get(key)
        if found is None:
            if steps := weight(stack, direction):
                self.spend(steps)
            found = self._rows[key] = row(stack, cell, direction, whole)
        return found

    def rows_by_rule(
        self, policy: Policy, cell: Cell, direction: Direction, plane: int = 0
    ) -> Sequence[tuple[Rule, Relation]]:
        """Whom each rule of a policy is about, and on which ports, where the policy is on this cell."""
        whole = self._whole(plane)
        key = (policy, direction, plane, cell.named if direction == INGRESS else None)
        found = self._rule_rows.get(key)
        if found is None:
            rules = policy.rules(direction) or ()
            found = self._rule_rows[key] = [(rule, relation_of((rule,), cell, direction, whole)) for rule in rules]
        return found

    def allowed_by(self, policies: Iterable[Policy], cell: Cell, direction: Direction, plane: int = 0) -> Relation:
        """What some of the NetworkPolicies on a cell let through by themselves."""
        rules = (rule for policy in policies for rule in policy.rules(direction) or ())
        return relation_of(rules, cell, direction, self._whole(plane))

    def everyone(self, plane: int = 0) -> int:
        """All that a row may be about."""
        return self._whole(plane).everyone

    def _whole(self, plane: int) -> _Whole:
        graph = self.graph
        if self._version != graph.version or len(self._rows) + len(self._rule_rows) > _MOST_ROWS:
            self._version = graph.version
            self._rows.clear()
            self._rule_rows.clear()
            self._wholes = [_Whole(graph, p) for p in range(self.planes)]
        return self._wholes[plane]

    def between(self, source: Cell | Atom, destination: Cell | Atom) -> Ports:
        """The ports on which one reaches another; of one's own pods and node nothing is known here."""
        if isinstance(source, Atom) or isinstance(destination, Atom) or self.planes == 1:
            return self._between(source, destination, 0)
        found: Ports = ()
        if not (source.dual and destination.of_ipv6_alone) and not (source.of_ipv6_alone and destination.dual):
            found = self._between(source, destination, 0)
        if source.has_second_family and destination.has_second_family:
            found = union(found, self._between(source, destination, 1))
        return found

    def _between(self, source: Cell | Atom, destination: Cell | Atom, plane: int) -> Ports:
        out = self.side(source, destination, "Egress", plane)
        return intersection(out, self.side(destination, source, "Ingress", plane)) if out else out

    def side(self, own: Cell | Atom, other: Cell | Atom, direction: Direction, plane: int = 0) -> Ports:
        """The ports that one side's policies allow between two: the outside has none."""
        if isinstance(own, Atom):
            return ALL_PORTS
        stack = self.stack(own, direction)
        if not stack.restricts:
            return ALL_PORTS
        return ports_of(row(stack, own, direction, One(self.graph, plane, other)), 0)
