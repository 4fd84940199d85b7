"""Relations: for one endpoint, which ports it has to (or admits from) each of the others.

A `Relation` maps a set of ports to the others, a set of numbers kept as the bits of an int. No other is in two of its
sets, and one that is in none has no port.
"""

from collections.abc import Iterator
from itertools import compress, count
from typing import Final, TypeAlias

from webhook.reach.ports import Ports, intersection, subtraction, union

_SPARSE: Final = 16
"""In a set with fewer than one of so many numbers it is quicker to jump from one to the next."""
_FLAGS: Final = bytes.maketrans(b"01", b"\0\1")

Relation: TypeAlias = dict[Ports, int]


def add(relation: Relation, ports: Ports, others: int) -> None:
    """Adds ports to those that these others have already."""
    if not ports or not others:
        return
    for have, there in list(relation.items()):
        both = there & others
        if not both:
            continue
        wider = union(have, ports)
        if wider != have:
            left = relation[have] & ~both
            if left:
                relation[have] = left
            else:
                del relation[have]
            relation[wider] = relation.get(wider, 0) | both
        others &= ~both
        if not others:
            return
    if others:
        relation[ports] = relation.get(ports, 0) | others


def join(relation: Relation, other: Relation) -> None:
    """Adds all of another relation."""
    for ports, others in other.items():
        add(relation, ports, others)


def meet(one: Relation, other: Relation) -> Relation:
    """What is in both."""
    found: Relation = {}
    for ports, here in one.items():
        for others_ports, there in other.items():
            both = here & there
            if both and (shared := intersection(ports, others_ports)):
                found[shared] = found.get(shared, 0) | both
    return found


def minus(one: Relation, other: Relation) -> Relation:
    """What is in the first and not in the second."""
    found: Relation = {}
    for ports, here in one.items():
        left = here
        for others_ports, there in other.items():
            both = here & there
            if both:
                left &= ~there
                if rest := subtraction(ports, others_ports):
                    found[rest] = found.get(rest, 0) | both
        if left:
            found[ports] = found.get(ports, 0) | left
    return found


def within(relation: Relation, others: int) -> Relation:
    """The relation as far as these others are concerned."""
    return {ports: both for ports, there in relation.items() if (both := there & others)}


def ports_of(relation: Relation, number: int) -> Ports:
    """The ports of one of the others."""
    for ports, there in relation.items():
        if there >> number & 1:
            return ports
    return ()


def numbers(bits: int) -> Iterator[int]:
    """The numbers in a set, ascending."""
    if bits.bit_length() <= 64 or bits.bit_count() <= 4:
        while bits:
            low = bits & -bits
            yield low.bit_length() - 1
            bits ^= low
        return
    if bits.bit_count() * _SPARSE > bits.bit_length():
        flags = bin(bits)[:1:-1].encode().translate(_FLAGS)
        yield from compress(count(), flags)
        return
    digits = bin(bits)[:1:-1]  # twenty times as fast as shifting where the set is large
    at = digits.find("1")
    while at >= 0:
        yield at
        at = digits.find("1", at + 1)


def bits_of(every: list[int]) -> int:
    """The set of these numbers."""
    if len(every) <= 8:
        found = 0
        for number in every:
            found |= 1 << number
        return found
    found_bytes = bytearray((max(every) >> 3) + 1)
    for number in every:
        found_bytes[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(found_bytes, "little")
