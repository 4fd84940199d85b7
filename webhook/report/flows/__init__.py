"""Who can reach whom, and what a change makes of it, in every form that it is written in.

A form is a module (`text`, `markdown`, `machine`, `dot`, `html`) with up to two functions: ``connectivity`` writes what
a state lets through, ``difference`` what a change opens and cuts. Both yield pieces of text, line ends included, so
that a million flows never stand in memory as text. `machine` and `html` are plain ASCII, whatever names hold: they come
out right in any encoding.
"""

import ipaddress
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple, Protocol

OUTSIDE: Final = "ip:"
"""What the name of an address range outside the cluster begins with (CONTRACT.md, addresses)."""


class Flow(Protocol):
    """What policies let through from one workload or address range to another (CONTRACT.md, names and shapes)."""

    @property
    def src(self) -> str: ...
    @property
    def dst(self) -> str: ...
    @property
    def ports(self) -> tuple[str, ...]: ...


class Connectivity(Protocol):
    """What a state lets through.

    ``flows`` may be read once only. Between two workloads in ``open``, which no policy restricts, and between these and
    addresses outside, everything passes though no flow says so. ``workloads`` are all there are.
    """

    @property
    def flows(self) -> Iterable[Flow]: ...
    @property
    def open(self) -> Collection[str]: ...
    @property
    def workloads(self) -> Collection[str]: ...


class Difference(Protocol):
    """What a change opens and what it cuts."""

    @property
    def added(self) -> Collection[Flow]: ...
    @property
    def removed(self) -> Collection[Flow]: ...


class Name(NamedTuple):
    """A workload's name in its parts; an address range has no namespace."""

    namespace: str
    own: str


def split(name: str) -> Name:
    """``shop/Deployment/web`` is ``Deployment/web`` of ``shop``; an address range loses its ``ip:``."""
    if name.startswith(OUTSIDE):
        return Name("", name.removeprefix(OUTSIDE))
    namespace, _, own = name.rpartition("/") if name.count("/") < 2 else name.partition("/")
    return Name(namespace, own)


def sort_key(name: str) -> tuple[bool, str, int, int, str]:
    """Workloads by namespace, kind and name; then addresses as numbers, IPv4 first."""
    namespace, own = split(name)
    if not name.startswith(OUTSIDE):
        return (False, namespace, 0, 0, own)
    try:
        first = ipaddress.ip_address(own.partition("/")[0].partition("-")[0])
    except ValueError:
        return (True, "", 99, 0, own)
    return (True, "", first.version, int(first), own)
