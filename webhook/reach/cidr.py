"""Addresses as numbers, blocks of them as ranges, and ranges as people write them.

IPv4 and IPv6 stand on one line of numbers: IPv4 first, IPv6 from `IPV6` on.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

from webhook.model.objects import IPBlock

Range: TypeAlias = tuple[int, int]
"""The first and the last address."""

IPV6: Final = 1 << 32
"""Where IPv6 begins on the line."""
END: Final = IPV6 + (1 << 128)
WHOLE_IPV4: Final[Range] = (0, IPV6 - 1)
WHOLE_IPV6: Final[Range] = (IPV6, END - 1)
_MAPPED: Final = 96
"""The length of the prefix of IPv4 addresses that are written as IPv6 (RFC 4291 2.5.5.2)."""


def parse_address(text: str) -> int | None:
    """The number of an address; None for what is none."""
    if ":" not in text:
        parts = text.split(".")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts):
            return None
        a, b, c, d = map(int, parts)
        return a << 24 | b << 16 | c << 8 | d if max(a, b, c, d) <= 255 else None
    try:
        address = IPv6Address(text)
    except ValueError:
        return None
    return int(address.ipv4_mapped) if address.ipv4_mapped else IPV6 + int(address)


@lru_cache(maxsize=1 << 12)
def parse_cidr(text: str) -> Range | None:
    """The range of a CIDR; None for what is none.

    Host bits and leading zeros, which old API servers let in and still keep, are read as these did
    (k8s.io/utils/net ParseCIDRSloppy).
    """
    address, slash, length = text.partition("/")
    if not slash or not (length.isascii() and length.isdigit() and len(length) <= 3):
        return None
    if ":" not in address:
        first, bits = parse_address(address), 32 - int(length)
        if first is None or bits < 0:
            return None
        first = first >> bits << bits
        return first, first + (1 << bits) - 1
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is not None and network.prefixlen >= _MAPPED:
        return parse_cidr(f"{mapped}/{network.prefixlen - _MAPPED}")
    return IPV6 + int(network.network_address), IPV6 + int(network.broadcast_address)


def ranges_of(block: IPBlock) -> tuple[Range, ...]:
    """The addresses of a block without those excepted, as sorted ranges."""
    whole = parse_cidr(block.cidr)
    if whole is None:
        return ()
    if not block.excepted:
        return (whole,)
    return without((whole,), (r for e in block.excepted if (r := parse_cidr(e)) is not None))


def without(ranges: Sequence[Range], gone: Iterable[Range]) -> tuple[Range, ...]:
    """Sorted ranges without the addresses of others, which may overlap."""
    left: list[Range] = []
    holes = merged(gone)
    for first, last in ranges:
        start = first
        for hole_first, hole_last in holes:
            if hole_last < start or hole_first > last:
                continue
            if start < hole_first:
                left.append((start, hole_first - 1))
            start = hole_last + 1
        if start <= last:
            left.append((start, last))
    return tuple(left)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Ranges in any order as maximal ones; IPv4 and IPv6 stay apart."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1 and first != IPV6:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def format_address(number: int) -> str:
    """The address as the API server writes it."""
    return str(IPv6Address(number - IPV6) if number >= IPV6 else IPv4Address(number))


@lru_cache(maxsize=1 << 12)
def format_range(addresses: Range) -> str:
    """``10.0.0.0/8`` where the range is one block, else ``10.0.0.0-10.0.0.9`` (CONTRACT.md, addresses)."""
    first, last = addresses
    size = last - first + 1
    if size & (size - 1) == 0 and (first - (IPV6 if first >= IPV6 else 0)) % size == 0:
        bits = 128 if first >= IPV6 else 32
        return f"{format_address(first)}/{bits - size.bit_length() + 1}"
    return f"{format_address(first)}-{format_address(last)}"
