"""What a change of policies does: to whom each touched cell's traffic goes and from whom it comes, before and after.

Only the rows of cells whose policies change are looked at, however large the cluster is.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from webhook.model.objects import Direction, Key, NetworkPolicy
from webhook.reach.graph import Cell, Graph, Stack
from webhook.reach.ports import ALL_PORTS, Ports, intersection
from webhook.reach.relation import Relation, add, bits_of, join, minus, numbers, within
from webhook.reach.scenario import One, Scenario, for_nothing, row, weight

_OPPOSITE: Mapping[Direction, Direction] = {"Ingress": "Egress", "Egress": "Ingress"}


class Partners:
    """Who can really reach a cell, or whom it can reach: where both sides let it through.

    What the policies of others say of a cell is looked up once, for as long as the graph stays as it is.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._ones: dict[tuple[Cell, int], One] = {}
        self._known: dict[tuple[object, ...], Ports] = {}
        self.spend: Callable[[int], None] = for_nothing
        """As `Scenario.spend`."""

    def of(self, scenario: Scenario, cell: Cell, direction: Direction, among: int | None = None) -> Relation:
        """Who can reach a cell (Ingress), or whom it can reach (Egress).

        The outside is among them; a cell with several pods may be its own partner. Own nodes are not looked at.

        Args:
            scenario: the policies.
            cell: the cell.
            direction: of the cell's traffic.
            among: only these others; None for all.
        """
        found = self._of(scenario, cell, direction, 0, among)
        if scenario.planes > 1:
            apart = self._graph.without_common_ipv4(cell)
            if apart:
                found = within(found, ~apart)
            if cell.has_second_family:
                join(found, self._of(scenario, cell, direction, 1, among))
        return found

    def _of(self, scenario: Scenario, cell: Cell, direction: Direction, plane: int, among: int | None) -> Relation:
        own = scenario.row(cell, direction, plane)
        if among is not None:
            own = within(own, among)
        theirs = _OPPOSITE[direction]
        restricted = scenario.bound(theirs)
        found: Relation = {}
        bound = 0
        for ports, others in own.items():
            add(found, ports, others & ~restricted)
            bound |= others & restricted
        if bound:
            most = 4 * bound.bit_count() > restricted.bit_count()
            sides = self._all_sides if most else self._sides
            for allowed, cells in sides(scenario, bound, theirs, cell, plane).items():
                for ports, others in own.items():
                    add(found, intersection(ports, allowed), others & cells)
        return found

    def _sides(
        self, scenario: Scenario, bound: int, direction: Direction, other: Cell, plane: int
    ) -> Mapping[Ports, int]:
        """What cells that are under policies let through of one other: those that say the same together."""
        found: dict[Ports, list[int]] = {}
        cells = self._graph.cells
        for number in numbers(bound):
            cell = cells[number]
            allowed = self._allowed(scenario.stack(cell, direction), cell, direction, other, plane)
            found.setdefault(allowed, []).append(number)
        return {allowed: bits_of(every) for allowed, every in found.items()}

    def _all_sides(
        self, scenario: Scenario, bound: int, direction: Direction, other: Cell, plane: int
    ) -> Mapping[Ports, int]:
        """The same, where it is about many of them: quicker by their policies than one by one.

        Those that let nothing through are left out.
        """
        found: dict[Ports, int] = {}
        one = self._one(other, plane)
        for group in scenario.groups_about(other.namespace, direction):
            if (group.peers is None or any(map(one.of, group.peers))) and bound & group.cells:
                allowed = self._allowed(group.stack, group.cell, direction, other, plane)
                found[allowed] = found.get(allowed, 0) | group.cells
        return found

    def _allowed(self, stack: Stack, cell: Cell, direction: Direction, other: Cell, plane: int) -> Ports:
        """What the policies on a cell let through of one other."""
        key = (stack, direction, other, plane, cell.named if direction == "Ingress" else None)
        found = self._known.get(key)
        if found is None:
            if steps := weight(stack, direction):
                self.spend(steps)
            found = self._known[key] = next(iter(row(stack, cell, direction, self._one(other, plane))), ())
        return found

    def _one(self, other: Cell, plane: int) -> One:
        found = self._ones.get((other, plane))
        if found is None:
            found = self._ones[other, plane] = One(self._graph, plane, other)
        return found


def let_through(scenario: Scenario, cell: Cell, direction: Direction, ports: Ports) -> int:
    """Whom a cell's own policies let it reach (Egress), or let reach it (Ingress), on any of these ports.

    Addresses of either family count; what the policies on the other side say does not.
    """
    found = 0
    for plane in range(scenario.planes):
        found |= reach_on(scenario.row(cell, direction, plane), ports)
    return found


class Change:
    """What is so before, and what after, some NetworkPolicies change.

    Args:
        graph: all else.
        before, after: the policies that differ from those in the state, by namespace and name; None for one that is
            not there.
    """

    def __init__(
        self,
        graph: Graph,
        before: Mapping[Key, NetworkPolicy | None],
        after: Mapping[Key, NetworkPolicy | None],
    ) -> None:
        graph.refresh()
        self.graph = graph
        self.before = Scenario(graph, before)
        self.after = Scenario(graph, after)
        self._policies: dict[str, dict[str, None]] = {}
        for namespace, name in (*before, *after):
            self._policies.setdefault(namespace, {})[name] = None
        self._near: dict[str, Collection[Cell]] = {}
        self._partners = Partners(graph)
        self._kept: dict[tuple[bool, Cell, Direction], Relation] = {}
        self._touched: dict[tuple[str, Direction], Sequence[Cell]] = {}
        self._lost: dict[tuple[Cell, Direction], Sequence[Relation]] = {}
        self._compared: dict[tuple[int, int], tuple[Relation, Relation, Relation]] = {}
        self._running: dict[str, int] = {}
        self._under: dict[tuple[str, Direction], dict[str, list[Cell]]] = {}

    def charge(self, spend: Callable[[int], None]) -> None:
        """Has what follows charged for.

        Args:
            spend: is told the steps; what it raises ends the question, and leaves what was found before.
        """
        self.before.spend = self.after.spend = self._partners.spend = spend

    @property
    def near(self) -> Iterator[Cell]:
        """The cells that a policy which changes selects, before or after: no others' rows do change."""
        for namespace in sorted(self._policies):
            yield from self.near_in(namespace)

    def near_in(self, namespace: str) -> Collection[Cell]:
        """Those of one namespace."""
        found = self._near.get(namespace)
        if found is None:
            names = self._policies.get(namespace, ())
            policies = [p for s in (self.before, self.after) for name in names if (p := s.policy(namespace, name))]
            subjects = {policy.subject.pods.terms: policy.subject.pods for policy in policies}.values()
            classes = {c: None for pods in subjects for c in self.graph.cluster.select(pods, (namespace,))}
            found = self._near[namespace] = self.graph.cells_of(classes)
        return found

    def running_in(self, namespace: str) -> int:
        """The cells of a namespace in which pods run."""
        found = self._running.get(namespace)
        if found is None:
            found = self._running[namespace] = _bits(cell for cell in self.graph.cells_in(namespace) if cell.pods)
        return found

    def touched(self, direction: Direction) -> list[Cell]:
        """The cells whose row changes in a direction."""
        return [cell for namespace in sorted(self._policies) for cell in self.touched_in(namespace, direction)]

    def touched_in(self, namespace: str, direction: Direction) -> Sequence[Cell]:
        """Those of one namespace."""
        found = self._touched.get((namespace, direction))
        if found is None:
            planes = range(self.before.planes)
            found = self._touched[namespace, direction] = [
                cell
                for cell in self.near_in(namespace)
                if self.before.stack(cell, direction) != self.after.stack(cell, direction)
                and any(self.before.row(cell, direction, p) != self.after.row(cell, direction, p) for p in planes)
            ]
        return found

    def touched_under(self, policy: Key, direction: Direction) -> Sequence[Cell]:
        """Those that are under one policy, before or after."""
        namespace, name = policy
        found = self._under.get((namespace, direction))
        if found is None:
            found = self._under[namespace, direction] = {}
            for cell in self.touched_in(namespace, direction):
                stacks = (scenario.stack(cell, direction) for scenario in (self.before, self.after))
                for under in dict.fromkeys(policy.name for stack in stacks for policy in stack.own):
                    found.setdefault(under, []).append(cell)
        return found.get(f"{namespace}/{name}", ())

    def lost(self, cell: Cell, direction: Direction) -> Sequence[Relation]:
        """With whom, and on which ports, a cell's own policies no longer allow what they did; by family of addresses.

        What is lost alike is one object.
        """
        found = self._lost.get((cell, direction))
        if found is None:
            rows = [
                tuple(scenario.row(cell, direction, plane) for scenario in (self.before, self.after))
                for plane in range(self.before.planes)
            ]
            found = self._lost[cell, direction] = [self._between(was, will) for was, will in rows]
        return found

    def _between(self, was: Relation, will: Relation) -> Relation:
        pair = id(was), id(will)
        known = self._compared.get(pair)
        if known is None:
            # The rows are kept beside what is known of them: the id of one that is gone may become another's.
            known = self._compared[pair] = was, will, minus(was, will)
        return known[2]

    def isolated(self, direction: Direction) -> list[Cell]:
        """The cells that no NetworkPolicy isolated before, and some does after."""
        return [c for c in self.near if self.after.stack(c, direction).own and not self.before.stack(c, direction).own]

    def freed(self, direction: Direction) -> list[Cell]:
        """The cells that some NetworkPolicy isolated before, and none does after."""
        return [c for c in self.near if self.before.stack(c, direction).own and not self.after.stack(c, direction).own]

    def partners_before(self, cell: Cell, direction: Direction, among: int | None = None) -> Relation:
        """Who could reach a cell, or whom it could reach (`Partners.of`)."""
        return self._partners_of(self.before, cell, direction, among)

    def partners_after(self, cell: Cell, direction: Direction, among: int | None = None) -> Relation:
        """Who can reach a cell, or whom it can reach (`Partners.of`)."""
        return self._partners_of(self.after, cell, direction, among)

    def _partners_of(self, scenario: Scenario, cell: Cell, direction: Direction, among: int | None) -> Relation:
        if among is not None:
            return self._partners.of(scenario, cell, direction, among)
        key = (scenario is self.after, cell, direction)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._partners.of(scenario, cell, direction)
        return found

    def cut(self, direction: Direction) -> Iterator[tuple[Cell, Relation]]:
        """For each touched cell the partners, with ports, that it loses; flows between two touched cells once."""
        return ((cell, lost) for cell, lost, _ in self._flows[direction] if lost)

    def opened(self, direction: Direction) -> Iterator[tuple[Cell, Relation]]:
        """For each touched cell the partners, with ports, that it gains; flows between two touched cells once."""
        return ((cell, gained) for cell, _, gained in self._flows[direction] if gained)

    @cached_property
    def _flows(self) -> Mapping[Direction, Sequence[tuple[Cell, Relation, Relation]]]:
        """For each touched cell what it loses and what it gains."""
        # What changes at both ends is told at the destination.
        told = _bits(self.touched("Ingress"))
        ends: Mapping[Direction, tuple[int, int]] = {
            "Ingress": (_bits(self.touched("Egress")), -1),
            "Egress": (0, ~told),
        }
        return {d: [self._flow(cell, d, *ends[d]) for cell in self.touched(d)] for d in ends}

    def _flow(self, cell: Cell, direction: Direction, also: int, only: int) -> tuple[Cell, Relation, Relation]:
        among = also
        for plane in range(self.before.planes):
            was, will = (scenario.row(cell, direction, plane) for scenario in (self.before, self.after))
            for relation in (minus(was, will), minus(will, was)):
                for others in relation.values():
                    among |= others
        before = self._partners.of(self.before, cell, direction, among & only)
        after = self._partners.of(self.after, cell, direction, among & only)
        return cell, minus(before, after), minus(after, before)


def _bits(cells: Iterable[Cell]) -> int:
    return bits_of([cell.number for cell in cells])


def reach_on(relation: Relation, ports: Ports) -> int:
    """The others of a relation that have any of these ports."""
    found = 0
    for have, others in relation.items():
        if ports == ALL_PORTS or intersection(have, ports):
            found |= others
    return found
