"""Who the cells of a graph are to people: workloads by name as far as may be told, with the ports they listen on."""

from collections.abc import Iterable, Iterator
from typing import Final

from webhook.check import Context, count, enumerate_some
from webhook.model.cluster import Cluster
from webhook.model.objects import POD, ContainerPort, Direction, Pod, Workload
from webhook.reach.endpoints import Names
from webhook.reach.graph import Cell, Graph
from webhook.reach.ports import (
    ALL_PORTS,
    NO_PORTS,
    Ports,
    describe,
    intersection,
    joined,
    port_range,
    subtraction,
    union,
)
from webhook.reach.relation import Relation, numbers

MOST_NAMES: Final = 3
_MOST_PORTS: Final = 3


class Parties:
    """Puts sets of others into words, within the disclosure rule.

    Args:
        ctx: says what may be told, and what it costs.
        graph: what the sets are about.
    """

    def __init__(self, ctx: Context, graph: Graph) -> None:
        self._ctx = ctx
        self._graph = graph
        self._names = Names(graph.cluster)
        self._known: dict[int, tuple[str, ...]] = {}

    def workloads(self, cell: Cell) -> tuple[str, ...]:
        """The workloads behind a cell: mostly one, whose pods are all alike."""
        found = self._known.get(cell.number)
        if found is None:
            self._ctx.spend(2)
            found = self._known[cell.number] = tuple(dict.fromkeys(self._find(cell)))
        return found

    def _find(self, cell: Cell) -> Iterator[str]:
        cluster = self._graph.cluster
        for key in cell.pods:
            pod = cluster.get(POD, key)
            if isinstance(pod, Pod):
                yield self._names.of_pod(pod)
                if pod.owner is not None:
                    return
        if not cell.pods:
            for kind, key in cell.templates:
                template = cluster.get(kind, key)
                if isinstance(template, Workload):
                    yield self._names.of_template(template)

    def of_pod(self, pod: Pod) -> str:
        """The workload of one pod, without the namespace of the object under review."""
        return self.own(self._names.of_pod(pod))

    def own(self, name: str) -> str:
        """A name without the namespace of the object under review."""
        return name.removeprefix(f"{self._ctx.namespace}/")

    def who(self, others: int, most: int = MOST_NAMES) -> tuple[str, int]:
        """Who the others are, as far as may be told, and how many workloads that is."""
        here, elsewhere, untold = self._sorted_out(others & ~self._graph.outside)
        told = sorted(self.own(n) for n in here) + sorted(elsewhere)
        parts = [enumerate_some(told, most)] if told else []
        if untold:
            namespaces = {name.partition("/")[0] for name in untold}
            where = "another namespace" if len(namespaces) == 1 else f"{len(namespaces)} other namespaces"
            parts.append(f"{count(len(untold), 'workload')} in {where}")
        if outside := others & self._graph.outside:
            parts.append("the outside" if outside == self._graph.outside else "some outside addresses")
        return " and ".join(parts), len(told) + len(untold)

    def _sorted_out(self, others: int) -> tuple[set[str], set[str], set[str]]:
        """The workloads of the own namespace, those of others that may be named, and those that may not."""
        here: set[str] = set()
        told: set[str] = set()
        untold: set[str] = set()
        templates: list[Cell] = []
        for number in numbers(others):
            cell = self._graph.cells[number]
            if cell.namespace == self._ctx.namespace:
                here.update(self.workloads(cell))
            elif cell.pods:
                (told if self._may_name(cell) else untold).update(self.workloads(cell))
            else:
                templates.append(cell)
        for cell in templates:
            names = set(self.workloads(cell)) - told - untold  # a workload whose pods run is known by these
            if names:
                (told if self._may_name(cell) else untold).update(names)
        return here, told, untold - told

    def _may_name(self, cell: Cell) -> bool:
        kinds = {POD} if cell.pods else {kind for kind, _ in cell.templates}
        return self._ctx.may_name_all((kind, cell.namespace) for kind in kinds)

    def tellable(self, others: int) -> int:
        """Those of the others who may be named; the outside is one of them."""
        told = others & self._graph.outside
        for number in numbers(others & ~self._graph.outside):
            if self._may_name(self._graph.cells[number]):
                told |= 1 << number
        return told

    # --- ports that matter

    def of_interest(self, cell: Cell, relation: Relation, kept: Relation, direction: Direction) -> Relation:
        """The flows of a cell without those that keep, or had, all ports that anything listens on.

        Args:
            cell: the cell.
            relation: the flows.
            kept: what it has with the same others beside them.
            direction: of the cell's traffic.
        """
        found: Relation = {}
        for ports, others in relation.items():
            for rest, same in _split(others, kept):
                # Where all was open and some ports are kept, those are meant to be the ones that are used.
                undeclared = NO_PORTS if union(ports, rest) == ALL_PORTS else ports
                if rest == NO_PORTS:
                    found[ports] = found.get(ports, 0) | same
                elif direction == "Ingress":
                    self._add_listened(found, ports, same, cell, undeclared)
                else:
                    for number in numbers(same):
                        self._add_listened(found, ports, 1 << number, self._graph.cells.get(number), undeclared)
        return found

    def _add_listened(
        self, relation: Relation, ports: Ports, others: int, destination: Cell | None, undeclared: Ports
    ) -> None:
        """Adds of these ports those that the destination declares; ``undeclared`` where it declares none."""
        declared = self._declared(destination) if destination is not None else NO_PORTS
        if told := intersection(ports, declared) if declared else undeclared:
            relation[told] = relation.get(told, 0) | others

    def _declared(self, cell: Cell) -> Ports:
        """The container ports of a cell's pods; none where they declare none."""
        return joined(
            r for p in _ports_of_cell(self._graph.cluster, cell) for r in port_range(p.protocol, p.number, p.number)
        )


def describe_ports(ports: Ports) -> str:
    """``TCP 80, UDP 53``: a few of them, or those that are missing where these are fewer."""
    words = describe(ports)
    if len(words) > _MOST_PORTS:
        missing = describe(subtraction(ALL_PORTS, ports))
        if len(missing) <= _MOST_PORTS:
            return f"all ports but {', '.join(missing)}"
    return enumerate_some(words, _MOST_PORTS)


def _split(others: int, kept: Relation) -> Iterator[tuple[Ports, int]]:
    """The others by the ports that they have in another relation."""
    for ports, there in kept.items():
        if same := others & there:
            others &= ~there
            yield ports, same
    if others:
        yield NO_PORTS, others


def _ports_of_cell(cluster: Cluster, cell: Cell) -> Iterable[ContainerPort]:
    for key in cell.pods:
        pod = cluster.get(POD, key)
        if isinstance(pod, Pod):
            return pod.ports
    for kind, key in cell.templates:
        template = cluster.get(kind, key)
        if isinstance(template, Workload):
            return template.ports
    return ()
