"""Flows put together so that people can read them: what is let in alike is said once.

A cluster of 250 workloads has up to 60,000 flows, and most of them are of a kind: the whole of a namespace may reach
the whole of another one.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from webhook.report.flows import Flow, sort_key, split
from webhook.terminal import clean, count, elide

_LONGEST = 120
"""Characters of a name that are shown: Kubernetes' names are shorter, what stands in files need not be."""


class Members(NamedTuple):
    """Workloads of one namespace, or addresses, which have none."""

    namespace: str
    whole: int
    """How many workloads the namespace has, if these are all of them; else 0."""
    names: tuple[str, ...]
    """Empty where they are the whole of a larger namespace."""


class Sources(NamedTuple):
    """What reaches a destination on the same ports."""

    ports: tuple[str, ...]
    members: tuple[Members, ...]


class Destinations(NamedTuple):
    """Destinations of one namespace that the same sources reach on the same ports."""

    names: tuple[str, ...]
    sources: tuple[Sources, ...]


def namespace_sizes(workloads: Iterable[str]) -> Counter[str]:
    """How many workloads each namespace has."""
    return Counter(split(name).namespace for name in workloads)


def by_destination(flows: Iterable[Flow], sizes: Counter[str], *, apart: Collection[str] = ()) -> list[Destinations]:
    """Flows by destination, in the order of `sort_key`; every flow is in exactly one of the answer's parts.

    Args:
        flows: read once.
        sizes: `namespace_sizes`, to tell where sources are a whole namespace.
        apart: destinations that are never put together with others than these.
    """
    into: defaultdict[str, defaultdict[tuple[str, ...], list[str]]] = defaultdict(lambda: defaultdict(list))
    for flow in flows:
        into[flow.dst][flow.ports].append(flow.src)
    alike: dict[tuple[str, bool, tuple[Sources, ...]], list[str]] = {}
    for name in sorted(into, key=sort_key):
        sources = tuple(
            Sources(ports, by_namespace(names, sizes, but_for=name)) for ports, names in sorted(into.pop(name).items())
        )
        alike.setdefault((split(name).namespace, name in apart, sources), []).append(name)
    return [Destinations(tuple(names), sources) for (_, _, sources), names in alike.items()]


def by_namespace(names: Iterable[str], sizes: Counter[str], *, but_for: str = "") -> tuple[Members, ...]:
    """Names by namespace, addresses last.

    Args:
        names: in any order.
        sizes: `namespace_sizes`.
        but_for: a workload that need not be among the names for its namespace to be whole: that a pod reaches itself
            is no flow.
    """
    namespaces: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names, key=sort_key):
        namespaces[split(name).namespace].append(name)
    own = split(but_for).namespace
    found = []
    for namespace, members in namespaces.items():
        spare = namespace == own and but_for not in members
        whole = sizes[namespace] if namespace and len(members) + spare == sizes[namespace] else 0
        found.append(Members(namespace, whole, () if whole > 1 else tuple(members)))
    return tuple(found)


def told(members: Collection[Members], most: int, namespaces: int = 0) -> Iterator[str]:
    """Says who they are, a piece for each line: ``shop/Deployment/web``; ``shop: Deployment/web, Deployment/api and 4
    more``; ``shop: all 12 workloads``; ``all of crm, docs and 9 more namespaces``; ``every workload``.

    Args:
        members: whom to name.
        most: names, and namespaces, that are listed; the others are counted.
        namespaces: how many there are; 0 where that is not known.
    """
    whole = [m for m in members if m.whole]
    if len(whole) == namespaces > 1:
        yield "every workload"
    elif len(many := [m for m in whole if m.whole > 1]) > 1:
        names = ", ".join(shown(m.namespace) for m in many[:most])
        more = len(many) - most
        yield f"all of {names}" + (f" and {count(more, 'more namespace')}" if more > 0 else "")
        whole = many
    else:
        whole = []
    for part in members:
        if part in whole:
            continue
        if part.whole > 1:
            yield f"{shown(part.namespace)}: all {part.whole:,} workloads"
        else:
            yield told_names(part.names, most)


def told_names(names: Collection[str], most: int) -> str:
    """Names of one namespace, or addresses: one in full, several with what they share said once."""
    first, *others = names
    if not others:
        return shown(first)
    namespace = split(first).namespace
    listed = ", ".join(shown(split(name).own if namespace else name) for name in [first, *others][:most])
    more = len(names) - most
    return (f"{shown(namespace)}: " if namespace else "") + listed + (f" and {more:,} more" if more > 0 else "")


def told_ports(ports: tuple[str, ...], most: int = 6) -> str:
    """``TCP 80, TCP 443``, ``all ports``."""
    if ports == ("all",):
        return "all ports"
    more = len(ports) - most
    return ", ".join(ports[:most]) + (f" and {more:,} more" if more > 0 else "")


def shown(text: str) -> str:
    """A name as it may be shown to people: within a line, and without what drives a terminal."""
    return clean(elide(text, _LONGEST))
