"""What a change opens and cuts: the flows of two states, and only those that differ."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from webhook.reach.connectivity import Matrix, flows_from, flows_to, matrices
from webhook.reach.flows import Flow
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
    return Difference(added=list(_beyond(other, one)), removed=list(_beyond(one, other)))


def _beyond(state: Matrix, base: Matrix) -> Iterator[Flow]:
    """The flows that a state has beyond another's."""
    layout = state.layout
    for at in numbers(state.present):
        had: Relation = base.row(at) if base.present >> at & 1 else {}
        has = state.row(at)
        if has != had:
            yield from flows_from(layout, layout.names[at], minus(has, had))
    for at in numbers(state.present):
        had = base.from_outside(at) if base.present >> at & 1 else {}
        has = state.from_outside(at)
        if has != had:
            yield from flows_to(layout, layout.names[at], minus(has, had))
