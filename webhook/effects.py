"""What a change of policies does to traffic, as people and programs read it (CONTRACT.md, effects).

A flow that only loses ports which its destination does not even declare is no news to a person, and is left out of the
lines; programs get every flow.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from webhook.check import Context, count, enumerate_some
from webhook.enforcement import State
from webhook.impact import impact
from webhook.model.cluster import Cluster
from webhook.model.objects import POD, ContainerPort, Direction, NetworkPolicy, Pod, Workload
from webhook.reach.change import Change
from webhook.reach.connectivity import matrices
from webhook.reach.diff import compare
from webhook.reach.endpoints import Names
from webhook.reach.graph import Cell, graph_of
from webhook.reach.ports import ALL_PORTS, NO_PORTS, Ports, describe, intersection, joined, port_range, subtraction
from webhook.reach.relation import Relation, numbers
from webhook.reach.scenario import Scenario

MOST_LINES: Final = 5
_MOST_NAMES: Final = 3
_MOST_PORTS: Final = 3
_BOTH: Final[tuple[Direction, ...]] = ("Ingress", "Egress")


# --- for programs


def effects_of_files(cluster: Cluster) -> list[dict[str, Any]]:
    """What the policies that arrive in files change, measured from the state plus every other object of the files.

    Flows come first, then the workloads that are isolated and freed.
    """
    if not cluster.arriving_policies:
        return []
    graph = graph_of(cluster)
    before, after = Scenario(graph, cluster.arriving_policies), Scenario(graph)
    one, other = matrices(before, after)
    found = compare(one, other)
    effects: list[dict[str, Any]] = []
    for change, flows in (("cut", found.removed), ("opened", found.added)):
        effects += [{"change": change, "src": f.src, "dst": f.dst, "ports": list(f.ports)} for f in flows]
    for endpoint in other.endpoints.values():
        for direction in _BOTH:
            was, now = (bool(s.stack(endpoint.cell, direction).own) for s in (before, after))
            if was != now:
                change = "isolated" if now else "freed"
                effects.append({"change": change, "workload": endpoint.name, "direction": direction.lower()})
    return effects


# --- for people


class _Line(NamedTuple):
    """A line, and how much it matters."""

    weight: tuple[int, int]
    text: str


def effect_lines(ctx: Context) -> list[str]:
    """What the policy under review does, most important first, all of it; nothing where no engine enforces it.

    Raises:
        TooLargeError: it takes more steps than are left.
    """
    if not isinstance(ctx.judged, NetworkPolicy) or ctx.enforcement.state is State.NOT_ENFORCED:
        return []
    found = _Telling(ctx, impact(ctx))
    lines = [*found.flows(), *found.isolations()]
    return [line.text for line in sorted(lines, key=lambda line: line.weight, reverse=True)]


class _Telling:
    """Puts a change into lines about workloads, within the disclosure rule."""

    def __init__(self, ctx: Context, change: Change) -> None:
        self._ctx = ctx
        self._change = change
        self._graph = change.graph
        self._names = Names(change.graph.cluster)
        self._known: dict[int, tuple[str, ...]] = {}

    def flows(self) -> Iterator[_Line]:
        """What is cut, then what is opened; whole connections before single ports."""
        for severity, verb, opened in ((4, "cuts", False), (2, "opens", True)):
            for direction in _BOTH:
                for subject, ports, others in self._flows(direction, opened=opened):
                    who, number = self._who(others)
                    source, destination = (who, subject) if direction == "Ingress" else (subject, who)
                    on = "" if ports == ALL_PORTS else f" on {_ports(ports)}"
                    weight = severity + (ports == ALL_PORTS), number
                    yield _Line(weight, f"{verb} {source} -> {destination}{on}")

    def isolations(self) -> Iterator[_Line]:
        """Who becomes restricted, or open, in a direction: a policy that lets everything through does neither."""
        change = self._change
        everyone = {ALL_PORTS: change.after.everyone()}
        for direction in _BOTH:
            isolated = [c for c in change.isolated(direction) if change.after.row(c, direction) != everyone]
            freed = [c for c in change.freed(direction) if change.before.row(c, direction) != everyone]
            for verb, cells in (("isolates", isolated), ("frees", freed)):
                names = sorted({name for cell in cells for name in self._workloads(cell)})
                if names:
                    shown = enumerate_some([self._own(n) for n in names], _MOST_NAMES)
                    yield _Line((1, len(names)), f"{verb} {direction.lower()} of {shown}")

    def _flows(self, direction: Direction, *, opened: bool) -> Iterator[tuple[str, Ports, int]]:
        """Subject, ports, and the others: what matters of the flows, the subjects that lose alike put together."""
        change = self._change
        alike: dict[tuple[Ports, int], list[str]] = {}
        flows = change.opened(direction) if opened else change.cut(direction)
        for cell, relation in flows:
            itself = 1 << cell.number if len(cell.pods) <= 1 else 0
            kept = change.partners_before(cell, direction) if opened else change.partners_after(cell, direction)
            for ports, others in self._of_interest(cell, relation, kept, direction).items():
                self._ctx.spend(4)
                if left := others & ~itself:
                    names = [self._own(n) for n in self._workloads(cell)]
                    alike.setdefault((ports, left), []).extend(names)
        for (ports, others), names in alike.items():
            yield enumerate_some(sorted(set(names)), _MOST_NAMES), ports, others

    def _of_interest(self, cell: Cell, relation: Relation, kept: Relation, direction: Direction) -> Relation:
        """The flows without those that keep, or had, all ports that anything listens on."""
        found: Relation = {}
        for ports, others in relation.items():
            for rest, same in _split(others, kept):
                if rest == NO_PORTS:
                    found[ports] = found.get(ports, 0) | same
                elif direction == "Ingress":
                    self._add_listened(found, ports, same, cell)
                else:
                    for number in numbers(same):
                        self._add_listened(found, ports, 1 << number, self._graph.cells.get(number))
        return found

    def _add_listened(self, relation: Relation, ports: Ports, others: int, destination: Cell | None) -> None:
        """Adds of these ports those that the destination declares; all where it declares none."""
        declared = self._declared(destination) if destination is not None else NO_PORTS
        if told := intersection(ports, declared) if declared else ports:
            relation[told] = relation.get(told, 0) | others

    def _declared(self, cell: Cell) -> Ports:
        """The container ports of a cell's pods; none where they declare none."""
        return joined(
            r for p in _ports_of_cell(self._graph.cluster, cell) for r in port_range(p.protocol, p.number, p.number)
        )

    # --- names

    def _workloads(self, cell: Cell) -> tuple[str, ...]:
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

    def _own(self, name: str) -> str:
        """A name without the namespace of the object under review."""
        return name.removeprefix(f"{self._ctx.namespace}/")

    def _who(self, others: int) -> tuple[str, int]:
        """Who the others are, as far as may be told, and how many workloads that is."""
        here: set[str] = set()
        elsewhere: set[str] = set()
        for number in numbers(others & ~self._graph.outside):
            cell = self._graph.cells[number]
            (here if cell.namespace == self._ctx.namespace else elsewhere).update(self._workloads(cell))
        told = sorted(self._own(n) for n in here)
        if self._ctx.may_name_others:
            told += sorted(elsewhere)
            elsewhere = set()
        parts = [enumerate_some(told, _MOST_NAMES)] if told else []
        if elsewhere:
            namespaces = {name.partition("/")[0] for name in elsewhere}
            where = "another namespace" if len(namespaces) == 1 else f"{len(namespaces)} other namespaces"
            parts.append(f"{count(len(elsewhere), 'workload')} in {where}")
        if outside := others & self._graph.outside:
            parts.append("the outside" if outside == self._graph.outside else "some outside addresses")
        return " and ".join(parts), len(here) + len(elsewhere) + len(told)


def _split(others: int, kept: Relation) -> Iterator[tuple[Ports, int]]:
    """The others by the ports that they have in another relation."""
    for ports, there in kept.items():
        if same := others & there:
            others &= ~there
            yield ports, same
    if others:
        yield NO_PORTS, others


def _ports(ports: Ports) -> str:
    words = describe(ports)
    if len(words) > _MOST_PORTS:
        missing = describe(subtraction(ALL_PORTS, ports))
        if len(missing) <= _MOST_PORTS:
            return f"all ports but {', '.join(missing)}"
    return enumerate_some(words, _MOST_PORTS)


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
