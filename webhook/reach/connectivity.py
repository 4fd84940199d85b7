"""The whole connectivity of a cluster, by workload.

All rows are turned from cells into endpoints first: few sets are different, so each is turned once. Then an endpoint's
flows are what its egress row shares with the ingress rows that admit it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from webhook.reach.cidr import END, IPV6, Range, format_range
from webhook.reach.endpoints import Endpoint, Population, treated_differently
from webhook.reach.flows import Flow, Row
from webhook.reach.graph import Graph
from webhook.reach.ports import ALL_PORTS, Ports, describe, intersection
from webhook.reach.relation import Relation, add, bits_of, join, numbers, within
from webhook.reach.scenario import Scenario


class Layout:
    """The order in which endpoints and outside addresses stand in sets; states that are compared share one.

    Args:
        names: of all endpoints.
        starts: where the outside is cut.
        ipv6: whether IPv6 is in use: some pod or policy has it.
    """

    def __init__(self, names: Iterable[str], starts: Iterable[int], *, ipv6: bool) -> None:
        self.names = sorted(names)
        self.position = {name: i for i, name in enumerate(self.names)}
        kept = [start for start in sorted(starts) if ipv6 or start < IPV6]
        self.ranges: Sequence[Range] = [
            (first, after - 1) for first, after in zip(kept, (*kept[1:], END if ipv6 else IPV6), strict=True)
        ]
        self.inside = (1 << len(self.names)) - 1
        self.outside = (1 << (len(self.names) + len(self.ranges))) - 1 ^ self.inside
        self._outside_names: dict[int, tuple[str, ...]] = {}

    def outside_names(self, bits: int) -> tuple[str, ...]:
        """The outside addresses of a set as maximal ranges."""
        bits >>= len(self.names)
        found = self._outside_names.get(bits)
        if found is None:
            ranges: list[Range] = []
            for i in numbers(bits):
                first, last = self.ranges[i]
                if ranges and ranges[-1][1] + 1 == first and first != IPV6:
                    ranges[-1] = ranges[-1][0], last
                else:
                    ranges.append((first, last))
            found = self._outside_names[bits] = tuple(f"ip:{format_range(r)}" for r in ranges)
        return found


class _Plane:
    """The rows of all endpoints by addresses of one family."""

    def __init__(self) -> None:
        self.egress: dict[int, Relation] = {}
        self.ingress: dict[int, Relation] = {}
        self.open_to_all = 0
        """Those whose ingress nothing restricts; the outside is among them."""
        self.admitted: dict[int, list[tuple[int, Ports]]] = {}
        """For each source the sets of others that admit it, with the ports; no destination is in two of them."""

    def take_ingress(self, everyone: int) -> None:
        """Says for each source who admits it."""
        behind: dict[int, tuple[Relation, list[int]]] = {}
        open_to_all: list[int] = []
        for at, relation in self.ingress.items():
            if relation.get(ALL_PORTS) == everyone:
                open_to_all.append(at)
            else:
                behind.setdefault(id(relation), (relation, []))[1].append(at)
        self.open_to_all = bits_of(open_to_all)
        for relation, places in behind.values():
            there = bits_of(places)
            for ports, sources in relation.items():
                entry = there, ports
                for source in numbers(sources):
                    self.admitted.setdefault(source, []).append(entry)

    def row(self, at: int) -> Relation:
        """Whom one endpoint can reach."""
        found: Relation = {}
        for ports, others in self.egress[at].items():
            if there := others & self.open_to_all:
                found[ports] = found.get(ports, 0) | there
            for admitting, admitted in self.admitted.get(at, ()):
                if (there := others & admitting) and (shared := intersection(ports, admitted)):
                    found[shared] = found.get(shared, 0) | there
        return found


class Matrix:
    """Who may talk to whom in one state, in the order of a layout.

    Args:
        scenario: the policies.
        endpoints: by name.
        layout: where each stands.
    """

    def __init__(self, scenario: Scenario, endpoints: Mapping[str, Endpoint], layout: Layout) -> None:
        self.layout = layout
        self.endpoints = {layout.position[name]: endpoint for name, endpoint in endpoints.items()}
        self.present = bits_of(list(self.endpoints))
        self._places = self._places_in(scenario.graph)
        self._turned: dict[int, int] = {}
        self._relations: dict[int, tuple[Relation, Relation]] = {}
        self._planes = [self._plane(scenario, plane) for plane in range(scenario.planes)]
        everyone = self._turn_set(scenario.everyone(0))
        first = self._planes[0]
        self.open = bits_of(
            [at for at in numbers(first.open_to_all & self.present) if first.egress[at].get(ALL_PORTS) == everyone]
        )
        """The endpoints that nothing restricts."""
        self._of_ipv6_alone = self._of_both = 0
        if scenario.planes > 1:
            self._of_ipv6_alone = bits_of([at for at, e in self.endpoints.items() if e.cell.of_ipv6_alone])
            self._of_both = bits_of([at for at, e in self.endpoints.items() if e.cell.dual])
        self._hosts: dict[str, int] = {}
        self._guests: dict[str, int] = {}
        for at, endpoint in self.endpoints.items():
            if endpoint.node:
                side = self._hosts if endpoint.cell.host_network else self._guests
                side[endpoint.node] = side.get(endpoint.node, 0) | 1 << at

    def _places_in(self, graph: Graph) -> Mapping[int, Sequence[int]]:
        """Where in the layout each cell and atom of the graph stands."""
        places: dict[int, list[int]] = {}
        for at, endpoint in self.endpoints.items():
            places.setdefault(endpoint.cell.number, []).append(at)
        base, ranges, i = len(self.layout.names), self.layout.ranges, 0
        for atom in graph.atoms:
            here = places[atom.number] = []
            while i < len(ranges) and ranges[i][1] <= atom.last:
                here.append(base + i)
                i += 1
        return places

    def _plane(self, scenario: Scenario, number: int) -> _Plane:
        plane = _Plane()
        for at, endpoint in self.endpoints.items():
            plane.egress[at] = self._turn(scenario.row(endpoint.cell, "Egress", number))
            plane.ingress[at] = self._turn(scenario.row(endpoint.cell, "Ingress", number))
        everyone = self._turn_set(scenario.everyone(number))
        plane.take_ingress(everyone)
        plane.open_to_all |= everyone & self.layout.outside
        return plane

    def _turn(self, relation: Relation) -> Relation:
        known = self._relations.get(id(relation))
        if known is None:
            found: Relation = {}
            for ports, others in relation.items():
                if turned := self._turn_set(others):
                    found[ports] = turned
            known = self._relations[id(relation)] = relation, found  # the relation, too: its id must stay its own
        return known[1]

    def _turn_set(self, others: int) -> int:
        found = self._turned.get(others)
        if found is None:
            places = self._places
            found = self._turned[others] = bits_of([at for n in numbers(others) for at in places.get(n, ())])
        return found

    # --- asking

    def row(self, at: int) -> Relation:
        """Whom an endpoint reaches and on which ports, the outside included; a pod never itself."""
        endpoint = self.endpoints[at]
        found = self._planes[0].row(at)
        if len(self._planes) > 1:
            # IPv4 leads nowhere between one that has both families and one that has IPv6 alone.
            if endpoint.cell.dual:
                found = within(found, ~self._of_ipv6_alone)
            elif endpoint.cell.of_ipv6_alone:
                found = within(found, ~self._of_both)
            if endpoint.cell.has_second_family:
                join(found, self._planes[1].row(at))
        if endpoint.node:
            # "Traffic to and from the node where a Pod is running is always allowed" (facts 2.3.23).
            side = self._guests if endpoint.cell.host_network else self._hosts
            add(found, ALL_PORTS, side.get(endpoint.node, 0))
        return found if endpoint.several else within(found, ~(1 << at))

    def from_outside(self, at: int) -> Relation:
        """From which outside addresses an endpoint can be reached, and on which ports."""
        return within(self._planes[0].ingress[at], self.layout.outside)


class Connectivity:
    """The flows of one state.

    Args:
        matrix: the state.
        every: those between what nothing restricts, too.

    ``open`` names what nothing restricts, ``workloads`` all endpoints.
    """

    def __init__(self, matrix: Matrix, *, every: bool = False) -> None:
        self._matrix = matrix
        self._every = every
        names = matrix.layout.names
        self.workloads: Sequence[str] = [names[at] for at in numbers(matrix.present)]
        self.open: Sequence[str] = [names[at] for at in numbers(matrix.open)]

    @property
    def flows(self) -> Iterator[Flow]:
        """Every flow: from workloads by name, then from the outside by destination."""
        matrix, layout = self._matrix, self._matrix.layout
        unsaid = 0 if self._every else matrix.open
        for at in numbers(matrix.present):
            relation = matrix.row(at)
            if unsaid >> at & 1:
                relation = within(relation, layout.inside & ~unsaid)
            source, to = row_from(layout, layout.names[at], relation)
            for destination, ports in to:
                yield Flow(source, destination, ports)
        for at in numbers(matrix.present & ~unsaid):
            for source, to in rows_to(layout, layout.names[at], matrix.from_outside(at)):
                for destination, ports in to:
                    yield Flow(source, destination, ports)


def row_from(layout: Layout, source: str, relation: Relation) -> Row:
    """The flows from an endpoint, by destination; the outside last."""
    inside: list[tuple[int, tuple[str, ...]]] = []
    for ports, others in relation.items():
        words = describe(ports)
        inside += [(at, words) for at in numbers(others & layout.inside)]
    names = layout.names
    to = [(names[at], words) for at, words in sorted(inside)]
    for ports, others in relation.items():
        if beyond := others & layout.outside:
            words = describe(ports)
            to += [(name, words) for name in layout.outside_names(beyond)]
    return Row(source, to)


def rows_to(layout: Layout, destination: str, relation: Relation) -> Iterator[Row]:
    """The flows from outside addresses to one endpoint."""
    for ports, others in relation.items():
        to = ((destination, describe(ports)),)
        for name in layout.outside_names(others & layout.outside):
            yield Row(name, to)


def matrices(*scenarios: Scenario) -> list[Matrix]:
    """The matrices of states that are to be compared: in one layout, with the same workloads taken apart."""
    graphs = {id(s.graph): s.graph for s in scenarios}
    for graph in graphs.values():
        graph.refresh()
    populations = {key: Population(graph) for key, graph in graphs.items()}
    split: set[str] = set()
    for scenario in scenarios:
        split |= treated_differently(populations[id(scenario.graph)], scenario)
    endpoints = {key: population.endpoints(split) for key, population in populations.items()}
    layout = Layout(
        {name for each in endpoints.values() for name in each},
        {atom.first for graph in graphs.values() for atom in graph.atoms},
        ipv6=any(graph.has_ipv6 for graph in graphs.values()),
    )
    return [Matrix(scenario, endpoints[id(scenario.graph)], layout) for scenario in scenarios]


def connectivity(graph: Graph, *, every: bool = False) -> Connectivity:
    """Who may talk to whom in a cluster.

    Args:
        graph: the cluster.
        every: say the flows between what nothing restricts, too; without, these are named once as ``open``.
    """
    return Connectivity(matrices(Scenario(graph))[0], every=every)
