"""Sets of ports, of all three protocols together.

A `Ports` is a sorted tuple of ranges that neither touch nor overlap, on one line of numbers: TCP from 1 to 65535, UDP
and SCTP each 65536 further on. So a union of whole protocols is just another set, and two equal sets are equal tuples.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, wraps
from typing import Final, TypeAlias

from webhook.model.objects import Protocol

Ports: TypeAlias = tuple[tuple[int, int], ...]

PROTOCOLS: Final[tuple[Protocol, ...]] = ("TCP", "UDP", "SCTP")
HIGHEST: Final = 65535
_OFFSET: Final = {protocol: i << 16 for i, protocol in enumerate(PROTOCOLS)}
NO_PORTS: Final[Ports] = ()
ALL_PORTS: Final[Ports] = tuple((offset + 1, offset + HIGHEST) for offset in _OFFSET.values())
_FEW: Final = 32
"""Ranges of two sets together; people write fewer."""
_MOST_RANGES: Final = 200_000
"""Ranges of larger sets of which is kept what comes of them: whoever writes thousands of ports again and again must not
fill the memory."""


def _remembered(work: Callable[[Ports, Ports], Ports]) -> Callable[[Ports, Ports], Ports]:
    of_few = lru_cache(maxsize=1 << 14)(work)
    of_many: dict[tuple[int, int], tuple[Ports, Ports, Ports]] = {}
    held = 0

    @wraps(work)
    def asked(one: Ports, other: Ports) -> Ports:
        nonlocal held
        if len(one) + len(other) <= _FEW:
            return of_few(one, other)
        pair = id(one), id(other)  # to hash thousands of ranges takes as long as the work; what is kept keeps its id
        known = of_many.get(pair)
        if known is None:
            found = work(one, other)
            held += len(one) + len(other) + len(found)
            if held > _MOST_RANGES:
                of_many.clear()
                held = len(one) + len(other) + len(found)
            known = of_many[pair] = one, other, found
        return known[2]

    return asked


def port_range(protocol: Protocol, first: int = 1, last: int = HIGHEST) -> Ports:
    """The ports of one protocol from ``first`` to ``last``; none where the range is empty."""
    offset = _OFFSET.get(protocol)
    first, last = max(first, 1), min(last, HIGHEST)
    if offset is None or first > last:
        return NO_PORTS
    return ((offset + first, offset + last),)


def joined(ranges: Iterable[tuple[int, int]]) -> Ports:
    """The set of ports of any ranges, in any order, however they overlap."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:  # protocols never touch: their ranges end at 65535 and start at 1
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return tuple(found)


@_remembered
def union(one: Ports, other: Ports) -> Ports:
    """What is in either."""
    if one == other or not other:
        return one
    return joined((*one, *other)) if one else other


@_remembered
def intersection(one: Ports, other: Ports) -> Ports:
    """What is in both."""
    if other in (one, ALL_PORTS):
        return one
    if one == ALL_PORTS:
        return other
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(one) and j < len(other):
        first, last = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if first <= last:
            found.append((first, last))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


@_remembered
def subtraction(one: Ports, other: Ports) -> Ports:
    """What is in the first and not in the second."""
    if not one or not other:
        return one
    found: list[tuple[int, int]] = []
    j = 0
    for first, last in one:
        start = first
        while j < len(other) and other[j][1] < start:
            j += 1
        k = j
        while k < len(other) and other[k][0] <= last:
            if start < other[k][0]:
                found.append((start, other[k][0] - 1))
            start = other[k][1] + 1
            k += 1
        if start <= last:
            found.append((start, last))
    return tuple(found)


def numbers_of(ports: Ports) -> Iterator[tuple[int, int]]:
    """The first and the last of each range, whatever its protocol."""
    return ((first & 0xFFFF, last & 0xFFFF) for first, last in ports)


def describe(ports: Ports) -> tuple[str, ...]:
    """As CONTRACT.md writes ports: ``all``; ``TCP``, ``TCP 80``, ``TCP 8000-8100``, sorted."""
    return _described(ports) if len(ports) <= _FEW else _in_words(ports)


def _in_words(ports: Ports) -> tuple[str, ...]:
    if ports == ALL_PORTS:
        return ("all",)
    words: list[str] = []
    for first, last in ports:
        protocol, low, high = PROTOCOLS[first >> 16], first & 0xFFFF, last & 0xFFFF
        if (low, high) == (1, HIGHEST):
            words.append(protocol)
        else:
            words.append(f"{protocol} {low}" if low == high else f"{protocol} {low}-{high}")
    return tuple(words)


_described = lru_cache(maxsize=1 << 12)(_in_words)
