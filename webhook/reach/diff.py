"""What a change opens and cuts: the flows of two states, and only those that differ."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from webhook.reach.connectivity import Matrix, matrices, row_from, rows_to
from webhook.reach.flows import Flow, Row
from webhook.reach.graph import Graph
from webhook.reach.relation import Relation, minus, numbers
from webhook.reach.scenario import Scenario


class Difference(Struct, frozen=True):
    """The flows that one state has and the other has not; a pair is in both lists only with different ports."""

    added: Sequence[Flow]
    removed: Sequence[Flow]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


def difference(before: Graph, after: Graph) -> Difference:
    """The flows that a change from one state to another opens and cuts.

    A workload that is in one state only has no flows in the other.
    """
    return compare(*matrices(Scenario(before), Scenario(after)))


def compare(one: Matrix, other: Matrix) -> Difference:
    """The flows in which two states of one layout differ."""
    return Difference(added=_flows(rows_beyond(other, one)), removed=_flows(rows_beyond(one, other)))


def _flows(rows: Iterable[Row]) -> list[Flow]:
    return [Flow(source, destination, ports) for source, to in rows for destination, ports in to]


def rows_beyond(state: Matrix, base: Matrix) -> Iterator[Row]:
    """The flows that a state has beyond another's of the same layout."""
    layout = state.layout
    for at in numbers(state.present):
        had: Relation = base.row(at) if base.present >> at & 1 else {}
        has = state.row(at)
        if has != had:
            row = row_from(layout, layout.names[at], minus(has, had))
            if row.to:
                yield row
    for at in numbers(state.present):
        had = base.from_outside(at) if base.present >> at & 1 else {}
        has = state.from_outside(at)
        if has != had:
            yield from rows_to(layout, layout.names[at], minus(has, had))
