"""What a person reads in a terminal: who reaches each workload, or a line with + or - a flow."""

import sys
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from webhook.report.flows import Connectivity, Difference, Flow, sort_key
from webhook.report.flows.grouped import (
    by_destination,
    by_namespace,
    namespace_sizes,
    shown,
    told,
    told_names,
    told_ports,
)
from webhook.report.paint import Paint
from webhook.terminal import count

_MOST: Final = 8
"""Names that are listed of one namespace."""
_ONE_BY_ONE: Final = 200
"""Flows of a difference that get a line each; more are put together."""
_WIDEST: Final = 24
"""Characters of the column of ports."""


def connectivity(found: Connectivity, *, most: int = _MOST) -> Iterator[str]:
    """Every workload that something reaches, with who does on which ports; then what nothing reaches, and what nothing
    restricts.

    Args:
        found: what a state lets through.
        most: names, and namespaces, that are listed in one place; the others are counted.
    """
    paint = Paint(sys.stdout)
    sizes = namespace_sizes(found.workloads)
    unrestricted = frozenset(found.open)
    number = 0
    said = False

    def flows() -> Iterator[Flow]:
        nonlocal number, said
        for flow in found.flows:
            number += 1
            said = said or (flow.dst in unrestricted and flow.src in unrestricted)
            yield flow

    reached = set(unrestricted)
    for destinations in by_destination(flows(), sizes, apart=unrestricted):
        reached.update(destinations.names)
        are = "is reached on" if len(destinations.names) == 1 else "are each reached on"
        yield f"{paint('1', told_names(destinations.names, most))} {are}\n"
        rows = [
            (told_ports(ports), line)
            for ports, members in destinations.sources
            for line in told(members, most, len(sizes))
        ]
        if destinations.names[0] in unrestricted and not said:
            rows.insert(0, ("all ports", "whatever no policy restricts (below), and any address"))
        width = min(max(len(ports) for ports, _ in rows), _WIDEST)
        before = ""
        for ports, line in rows:
            yield f"  {'' if ports == before else ports:{width}}  from {line}\n"
            before = ports
        yield "\n"
    unreached = [name for name in found.workloads if name not in reached]
    yield from _listed(paint("1", "nothing reaches:"), unreached, sizes, most)
    title = "no policy restricts (they reach each other, and any address reaches them and is reached):"
    yield from _listed(paint("1", title), found.open, sizes, most)
    yield (
        f"{count(len(found.workloads), 'workload')} in {count(len(sizes), 'namespace')}: {count(number, 'flow')}, "
        f"{len(unrestricted):,} unrestricted\n"
    )


def _listed(title: str, names: Collection[str], sizes: Counter[str], most: int) -> Iterator[str]:
    """Names by namespace under a title; nothing where there are none."""
    if names:
        yield f"{title}\n"
        for line in told(by_namespace(names, sizes), most, len(sizes)):
            yield f"  {line}\n"
        yield "\n"


def difference(found: Difference, *, most: int = _MOST) -> Iterator[str]:
    """A line a flow, ``+`` opened and ``-`` cut; of a large difference a line for all that are alike.

    Args:
        found: what a change opens and cuts.
        most: names that are listed in one place where flows are put together; the others are counted.
    """
    paint = Paint(sys.stdout)
    marked = ((found.removed, "-", "31"), (found.added, "+", "32"))
    if len(found.added) + len(found.removed) <= _ONE_BY_ONE:
        width = max((len(_pair(flow)) for flows, _, _ in marked for flow in flows), default=0)
        every = [(flow, sign, colour) for flows, sign, colour in marked for flow in flows]
        # What a pair loses stands right above what it gets.
        for flow, sign, colour in sorted(every, key=lambda e: (sort_key(e[0].dst), sort_key(e[0].src), e[1] == "+")):
            yield paint(colour, f"{sign} {_pair(flow):{width}}  {told_ports(flow.ports)}") + "\n"
    else:
        for flows, sign, colour in marked:
            for destinations in by_destination(flows, Counter()):
                target = told_names(destinations.names, most)
                for ports, members in destinations.sources:
                    for line in told(members, most):
                        yield paint(colour, f"{sign} {line} -> {target}  {told_ports(ports)}") + "\n"
    if found.added or found.removed:
        yield "\n"
    yield f"{summary(found)}\n"


def summary(found: Difference) -> str:
    """``12 flows opened, 1 flow cut``."""
    if not found.added and not found.removed:
        return "no flow is opened or cut"
    return f"{count(len(found.added), 'flow')} opened, {count(len(found.removed), 'flow')} cut"


def _pair(flow: Flow) -> str:
    return f"{shown(flow.src)} -> {shown(flow.dst)}"
