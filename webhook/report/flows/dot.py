r"""A graph for people's own documents, in the language of Graphviz: ``netadmit diff … -o dot | dot -Tsvg``.

Each workload is a node in the box of its namespace. Where that would be a ball of wool, each namespace is a node, and
of the edges between them the heaviest are drawn. What is told by a colour is told by the line or a sign, too.

Source of the quoting: graphviz.org/doc/info/lang.html (in a quoted string only ``\"`` is an escape), and
graphviz.org/docs/attr-types/escString (labels have more escapes, and character entities).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from webhook.report.flows import OUTSIDE, Connectivity, Difference, Flow, sort_key, split
from webhook.report.flows.grouped import namespace_sizes, shown, told_ports
from webhook.report.flows.text import summary
from webhook.terminal import count

_MOST: Final = 60
"""Edges that a graph may have: more cannot be followed with the eye."""
_FEW: Final = 6
"""Edges of a namespace that are always drawn; more, if they lead to most others, are told in words."""
_OUTSIDE_TITLE: Final = "outside addresses"


class _Look(NamedTuple):
    """How the edges of one kind are drawn: ``sign`` stands before their ports."""

    sign: str
    colour: str
    style: str


_PLAIN: Final = _Look("", "#57606a", "solid")
_OPENED: Final = _Look("+ ", "#1a7f37", "solid")
_CUT: Final = _Look("- ", "#cf222e", "dashed")


def connectivity(found: Connectivity) -> Iterator[str]:
    """The flows of a state; what no policy restricts has a dashed border, and its flows are not drawn."""
    graph = _Graph(found.workloads, found.open)
    graph.add(found.flows, _PLAIN)
    title = f"{count(len(found.workloads), 'workload')}, {count(graph.flows, 'flow')}"
    if found.open:
        title += "\ndashed border: no policy restricts it; these reach each other and any address"
    yield from graph.lines(title)


def difference(found: Difference) -> Iterator[str]:
    """What a change opens (green, ``+``) and what it cuts (red, dashed, ``-``)."""
    graph = _Graph()
    graph.add(found.added, _OPENED)
    graph.add(found.removed, _CUT)
    yield from graph.lines(summary(found))


class _Edge(NamedTuple):
    """The flows between two namespaces, or within one."""

    src: str
    dst: str
    look: _Look


class _Graph:
    """Gathers flows; few are kept one by one, of more only what each namespace comes to."""

    def __init__(self, workloads: Collection[str] = (), unrestricted: Collection[str] = ()) -> None:
        self.flows = 0
        self._workloads = workloads
        self._unrestricted = frozenset(unrestricted)
        self._single: list[tuple[Flow, _Look]] = []
        self._between: Counter[_Edge] = Counter()
        self._ports: defaultdict[_Edge, set[tuple[str, ...]]] = defaultdict(set)

    def add(self, flows: Iterable[Flow], look: _Look) -> None:
        for flow in flows:
            self.flows += 1
            if self.flows <= _MOST:
                self._single.append((flow, look))
            edge = _Edge(_group(flow.src), _group(flow.dst), look)
            self._between[edge] += 1
            self._ports[edge].add(flow.ports)

    def lines(self, title: str) -> Iterator[str]:
        if self.flows <= _MOST:
            body = list(self._by_workload())
        else:
            title += "\neach namespace is one node"
            edges, told, left_out = self._edges()
            if left_out:
                title += f"; the {_MOST} edges with the most flows are drawn, {left_out:,} more are not"
            body = list(self._by_namespace(edges, told))
        yield "digraph netadmit {\n"
        yield f"  graph [{_attributes(label=title)}, labelloc=t, labeljust=l, rankdir=LR, ranksep=1.2, nodesep=0.25,\n"
        yield '    fontname="Helvetica,Arial,sans-serif", fontsize=12, bgcolor="#ffffff"];\n'
        yield '  node [shape=box, style="rounded,filled", color="#8c959f", fillcolor="#ffffff", height=0.3,\n'
        yield '    fontname="Helvetica,Arial,sans-serif", fontsize=11];\n'
        yield '  edge [fontname="Helvetica,Arial,sans-serif", fontsize=9, arrowsize=0.7];\n'
        yield from body
        yield "}\n"

    def _edges(self) -> tuple[list[_Edge], defaultdict[str, list[str]], int]:
        """The edges between namespaces that are drawn, the heaviest first; what is told of a namespace in words
        instead, where it reaches or is reached by most others; and how many edges are left out.
        """
        edges = [edge for edge, _ in self._between.most_common() if edge.src != edge.dst]
        others = len({name for edge in edges for name in (edge.src, edge.dst)}) - 1
        words: defaultdict[str, list[str]] = defaultdict(list)
        for end, verb in (("dst", "reached by"), ("src", "reaches")):
            degree = Counter((getattr(edge, end), edge.look) for edge in edges)
            many = {key for key, number in degree.items() if number >= _FEW and number * 2 > others}
            for name, look in sorted(many):
                words[name].append(f"{look.sign}{verb} {degree[name, look]:,} of {others:,} others")
            edges = [edge for edge in edges if (getattr(edge, end), edge.look) not in many]
        return edges[:_MOST], words, max(len(edges) - _MOST, 0)

    def _by_workload(self) -> Iterator[str]:
        drawn = {name for flow, _ in self._single for name in (flow.src, flow.dst)}
        others = [name for name in self._workloads if name not in drawn]
        if len(drawn) + len(others) <= _MOST:
            drawn.update(others)
            others = []
        spare = namespace_sizes(others)
        boxes: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(drawn, key=sort_key):
            boxes[_group(name)].append(name)
        for number, (group, names) in enumerate(boxes.items()):
            label = group + (f"\nand {count(spare[group], 'more workload')}" if spare[group] else "")
            yield f"  subgraph cluster_{number} {{\n"
            yield f'    {_attributes(label=label)}; style="rounded,filled"; color="#d0d7de"; fillcolor="#f6f8fa";\n'
            for name in names:
                kind, _, own = split(name).own.rpartition("/") if not name.startswith(OUTSIDE) else ("", "", name)
                label = f"{own}\n{kind}" if kind else own
                yield f"    {_quoted(name)} [{_attributes(label=label)}{self._border(name in self._unrestricted)}];\n"
            yield "  }\n"
        for flow, look in sorted(self._single, key=lambda e: (sort_key(e[0].src), sort_key(e[0].dst), e[1])):
            yield _edge(flow.src, flow.dst, f"{look.sign}{told_ports(flow.ports)}", look)

    def _by_namespace(self, edges: Iterable[_Edge], words: Mapping[str, Sequence[str]]) -> Iterator[str]:
        sizes = namespace_sizes(self._workloads)
        unrestricted = namespace_sizes(self._unrestricted)
        names = {name for edge in self._between for name in (edge.src, edge.dst)} | set(sizes)
        within: defaultdict[str, list[str]] = defaultdict(list)
        for edge, number in self._between.items():
            if edge.src == edge.dst:
                within[edge.src].append(f"{edge.look.sign}{count(number, 'flow')} within")
        for name in sorted(names, key=lambda group: (group == _OUTSIDE_TITLE, group)):
            label = name
            if sizes[name]:
                label += f"\n{count(sizes[name], 'workload')}"
            if 0 < unrestricted[name] < sizes[name]:
                label += f", {unrestricted[name]:,} unrestricted"
            label = "\n".join([label, *within[name], *words.get(name, ())])
            border = self._border(0 < sizes[name] == unrestricted[name])
            yield f"  {_quoted(name)} [{_attributes(label=label)}{border}];\n"
        for edge in edges:
            ports = self._ports[edge]
            label = f"{edge.look.sign}{count(self._between[edge], 'flow')}"
            if len(ports) == 1:
                label += f"\n{told_ports(next(iter(ports)))}"
            yield _edge(edge.src, edge.dst, label, edge.look)

    @staticmethod
    def _border(unrestricted: bool) -> str:
        return ', style="rounded,filled,dashed"' if unrestricted else ""


def _group(name: str) -> str:
    return _OUTSIDE_TITLE if name.startswith(OUTSIDE) else split(name).namespace


def _edge(src: str, dst: str, label: str, look: _Look) -> str:
    drawn = f'color="{look.colour}", fontcolor="{look.colour}", style={look.style}'
    return f"  {_quoted(src)} -> {_quoted(dst)} [{_attributes(label=label)}, {drawn}];\n"


def _quoted(name: str) -> str:
    """A node's name as a quoted string."""
    return '"' + shown(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _attributes(*, label: str) -> str:
    """A label, which has more escapes than other strings; its line breaks stay."""
    lines = [shown(line).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') for line in label.split("\n")]
    return 'label="' + "\\n".join(lines) + '"'
