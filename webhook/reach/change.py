"""What a change of policies does: to whom each touched cell's traffic goes and from whom it comes, before and after.

Only the rows of cells whose policies change are looked at, however large the cluster is.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from webhook.model.objects import Direction, Key, NetworkPolicy
from webhook.reach.graph import Cell, Graph, Stack
from webhook.reach.ports import ALL_PORTS, Ports, intersection
from webhook.reach.relation import Relation, add, join, minus, numbers, within
from webhook.reach.scenario import One, Scenario, row

_OPPOSITE: Mapping[Direction, Direction] = {"Ingress": "Egress", "Egress": "Ingress"}


def partners(scenario: Scenario, cell: Cell, direction: Direction) -> Relation:
    """Who can really reach a cell (Ingress), or whom it can reach (Egress): where both sides let it through.

    The outside is among them; a cell with several pods may be its own partner. Own nodes are not looked at.
    """
    found = _partners(scenario, cell, direction, 0)
    if scenario.planes > 1:
        apart = scenario.graph.without_common_ipv4(cell)
        if apart:
            found = within(found, ~apart)
        if cell.has_second_family:
            join(found, _partners(scenario, cell, direction, 1))
    return found


def _partners(scenario: Scenario, cell: Cell, direction: Direction, plane: int) -> Relation:
    own = scenario.row(cell, direction, plane)
    theirs = _OPPOSITE[direction]
    restricted = scenario.restricted(theirs)
    found: Relation = {}
    one = One(scenario.graph, plane, cell)
    cells = scenario.graph.cells
    known: dict[tuple[Stack, object], Ports] = {}
    for ports, others in own.items():
        if free := others & ~restricted:
            add(found, ports, free)
        for number in numbers(others & restricted):
            other = cells[number]
            stack = scenario.stack(other, theirs)
            key = stack, other.named if theirs == "Ingress" else None
            allowed = known.get(key)
            if allowed is None:
                allowed = known[key] = next(iter(row(stack, other, theirs, one)), ())
            add(found, intersection(ports, allowed), 1 << number)
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
        self._namespaces = {key[0] for key in (*before, *after)}
        self._partners: dict[tuple[bool, Cell, Direction], Relation] = {}

    @property
    def near(self) -> Iterator[Cell]:
        """The cells whose policies may change: no others' rows do."""
        for namespace in sorted(self._namespaces):
            yield from self.graph.cells_in(namespace)

    @cached_property
    def _touched(self) -> Mapping[Direction, list[Cell]]:
        found: dict[Direction, list[Cell]] = {"Ingress": [], "Egress": []}
        planes = range(self.before.planes)
        for cell in self.near:
            for direction, cells in found.items():
                if self.before.stack(cell, direction) != self.after.stack(cell, direction) and any(
                    self.before.row(cell, direction, p) != self.after.row(cell, direction, p) for p in planes
                ):
                    cells.append(cell)
        return found

    def touched(self, direction: Direction) -> list[Cell]:
        """The cells whose row changes in a direction."""
        return self._touched[direction]

    def isolated(self, direction: Direction) -> list[Cell]:
        """The cells that no NetworkPolicy isolated before, and some does after."""
        return [c for c in self.near if self.after.stack(c, direction).own and not self.before.stack(c, direction).own]

    def freed(self, direction: Direction) -> list[Cell]:
        """The cells that some NetworkPolicy isolated before, and none does after."""
        return [c for c in self.near if self.before.stack(c, direction).own and not self.after.stack(c, direction).own]

    def partners_before(self, cell: Cell, direction: Direction) -> Relation:
        """`partners`, kept."""
        return self._kept(cell, direction, after=False)

    def partners_after(self, cell: Cell, direction: Direction) -> Relation:
        """`partners`, kept."""
        return self._kept(cell, direction, after=True)

    def _kept(self, cell: Cell, direction: Direction, *, after: bool) -> Relation:
        key = (after, cell, direction)
        found = self._partners.get(key)
        if found is None:
            scenario = self.after if after else self.before
            found = self._partners[key] = partners(scenario, cell, direction)
        return found

    def cut(self, direction: Direction) -> Iterator[tuple[Cell, Relation]]:
        """For each touched cell the partners, with ports, that it loses; flows between two touched cells once."""
        yield from self._flows(direction, opened=False)

    def opened(self, direction: Direction) -> Iterator[tuple[Cell, Relation]]:
        """For each touched cell the partners, with ports, that it gains; flows between two touched cells once."""
        yield from self._flows(direction, opened=True)

    def _flows(self, direction: Direction, *, opened: bool) -> Iterator[tuple[Cell, Relation]]:
        # What changes at both ends is told at the destination.
        told = _bits(self.touched("Ingress")) if direction == "Egress" else 0
        for cell in self.touched(direction):
            before, after = self.partners_before(cell, direction), self.partners_after(cell, direction)
            relation = within(minus(after, before) if opened else minus(before, after), ~told)
            if relation:
                yield cell, relation


def _bits(cells: Iterable[Cell]) -> int:
    found = 0
    for cell in cells:
        found |= 1 << cell.number
    return found


def reach_on(relation: Relation, ports: Ports) -> int:
    """The others of a relation that have any of these ports."""
    found = 0
    for have, others in relation.items():
        if ports == ALL_PORTS or intersection(have, ports):
            found |= others
    return found
