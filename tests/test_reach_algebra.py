"""The algebra under the reachability engine, against sets that spell everything out."""

import operator
import sys
from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.objects import IPBlock
from webhook.reach import cidr, relation
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

# --- ports

RANGES = st.tuples(st.sampled_from(["TCP", "UDP", "SCTP"]), st.integers(1, 30), st.integers(0, 6))
PORTS = st.lists(RANGES, max_size=5).map(
    lambda ranges: joined(r for protocol, first, more in ranges for r in port_range(protocol, first, first + more))
)


def spelt_out(ports: Ports) -> set[int]:
    return {number for first, last in ports for number in range(first, last + 1)}


@given(PORTS, PORTS)
def test_ports_are_sets(one: Ports, other: Ports) -> None:
    assert spelt_out(union(one, other)) == spelt_out(one) | spelt_out(other)
    assert spelt_out(intersection(one, other)) == spelt_out(one) & spelt_out(other)
    assert spelt_out(subtraction(one, other)) == spelt_out(one) - spelt_out(other)


@given(PORTS, PORTS)
def test_equal_sets_of_ports_are_equal_tuples(one: Ports, other: Ports) -> None:
    assert union(subtraction(one, other), intersection(one, other)) == one
    assert subtraction(ALL_PORTS, subtraction(ALL_PORTS, one)) == one
    assert union(one, ALL_PORTS) == ALL_PORTS
    assert intersection(one, ALL_PORTS) == one


def contains(ports: Ports, protocol: str, number: int) -> bool:
    return bool(intersection(ports, port_range(protocol, number, number)))


@given(PORTS)
def test_the_complement_holds_no_port_0_and_none_above_65535(ports: Ports) -> None:
    rest = subtraction(ALL_PORTS, ports)
    assert all(number & 0xFFFF >= 1 for first, last in rest for number in (first, last))
    assert all(contains(ports, "UDP", n) != contains(rest, "UDP", n) for n in (1, 7, 30, 36, 65535))


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        (ALL_PORTS, ("all",)),
        (NO_PORTS, ()),
        (port_range("TCP"), ("TCP",)),
        (port_range("TCP", 80, 80), ("TCP 80",)),
        (port_range("SCTP", 8000, 8100), ("SCTP 8000-8100",)),
        (joined((*port_range("UDP"), *port_range("TCP", 81, 90), *port_range("TCP", 80, 80))), ("TCP 80-90", "UDP")),
        (port_range("TCP", 5, 4), ()),
        (port_range("ICMP"), ()),
    ],
)
def test_ports_are_written_as_promised(ports: Ports, words: tuple[str, ...]) -> None:
    assert describe(ports) == words


# --- addresses

IPV4 = st.integers(0, 2**32 - 1)
IPV6 = st.integers(0, 2**128 - 1)


@given(IPV4)
def test_an_ipv4_address_is_its_number(number: int) -> None:
    text = str(ip_address(number))
    assert cidr.parse_address(text) == number
    assert cidr.format_address(number) == text


@given(IPV6)
def test_an_ipv6_address_stands_behind_all_ipv4(number: int) -> None:
    address = ip_address(f"{ip_address(number | 1 << 127)}")
    parsed = cidr.parse_address(str(address))
    assert parsed == cidr.IPV6 + int(address)
    assert cidr.format_address(parsed) == str(address)


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.x", "::g", "1.2.3.4/8", "host", "1.2.3.²"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert cidr.parse_address(text) is None


@given(IPV4, st.integers(0, 32))
def test_a_cidr_is_its_first_and_last_address(number: int, length: int) -> None:
    network = ip_network((number, length), strict=False)
    first, last = int(network[0]), int(network[-1])
    assert cidr.parse_cidr(str(network)) == (first, last)
    assert cidr.format_range((first, last)) == str(network)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("10.1.2.3/8", "10.0.0.0/8"),  # host bits, which old API servers let in
        ("010.001.0.0/16", "10.1.0.0/16"),  # leading zeros, likewise
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("fd00::1/8", "fd00::/8"),
    ],
)
def test_grandfathered_cidrs_are_read(text: str, same: str) -> None:
    assert cidr.parse_cidr(text) == cidr.parse_cidr(same)


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "x/8", "::/129", "10.0.0.0/", "10.0.0.0/-1"])
def test_what_is_no_cidr_is_none(text: str) -> None:
    assert cidr.parse_cidr(text) is None


SMALL = st.tuples(st.integers(0, 200), st.integers(0, 60)).map(lambda r: (r[0], r[0] + r[1]))


@given(st.lists(SMALL, max_size=4), st.lists(SMALL, max_size=4))
def test_ranges_without_others(ranges: list[cidr.Range], gone: list[cidr.Range]) -> None:
    def every(these: list[cidr.Range] | tuple[cidr.Range, ...]) -> set[int]:
        return {n for first, last in these for n in range(first, last + 1)}

    whole = tuple(cidr.merged(ranges))
    left = cidr.without(whole, gone)
    assert every(left) == every(ranges) - every(gone)
    assert list(left) == cidr.merged(left)


def test_ipv4_and_ipv6_never_become_one_range() -> None:
    both = [cidr.WHOLE_IPV4, cidr.WHOLE_IPV6]
    assert cidr.merged(both) == both
    assert [cidr.format_range(r) for r in both] == ["0.0.0.0/0", "::/0"]


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("10.0.0.0", "10.0.0.0", "10.0.0.0/32"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.1-10.0.0.2"),  # two addresses, and no block
        ("0.0.0.0", "9.255.255.255", "0.0.0.0-9.255.255.255"),
        ("fd00::", "fd00::ff", "fd00::/120"),
        ("fd00::", "fd00::fe", "fd00::-fd00::fe"),
    ],
)
def test_a_range_is_a_block_where_it_is_one(first: str, last: str, text: str) -> None:
    low, high = cidr.parse_address(first), cidr.parse_address(last)
    assert low is not None
    assert high is not None
    assert cidr.format_range((low, high)) == text


def test_what_is_excepted_is_not_in_the_block() -> None:
    block = IPBlock("10.0.0.0/8", ("10.1.0.0/16", "10.1.2.0/24", "192.168.0.0/16", "rubbish"))
    assert [cidr.format_range(r) for r in cidr.ranges_of(block)] == ["10.0.0.0/16", "10.2.0.0-10.255.255.255"]
    assert cidr.ranges_of(IPBlock("10.0.0.0/8", ("10.0.0.0/8",))) == ()
    assert cidr.ranges_of(IPBlock("rubbish")) == ()


# --- relations

RELATIONS = st.lists(st.tuples(PORTS, st.integers(0, 255)), max_size=4)


def built(entries: list[tuple[Ports, int]]) -> relation.Relation:
    found: relation.Relation = {}
    for ports, others in entries:
        relation.add(found, ports, others)
    return found


def pairs(found: relation.Relation) -> set[tuple[int, int]]:
    return {(n, port) for ports, others in found.items() for n in relation.numbers(others) for port in spelt_out(ports)}


@given(RELATIONS, RELATIONS)
def test_relations_are_sets_of_pairs(one: list[tuple[Ports, int]], other: list[tuple[Ports, int]]) -> None:
    here, there = built(one), built(other)
    assert pairs(here) == {(n, p) for ports, others in one for n in relation.numbers(others) for p in spelt_out(ports)}
    assert pairs(relation.meet(here, there)) == pairs(here) & pairs(there)
    assert pairs(relation.minus(here, there)) == pairs(here) - pairs(there)
    joined_up = dict(here)
    relation.join(joined_up, there)
    assert pairs(joined_up) == pairs(here) | pairs(there)
    assert pairs(relation.within(here, 0b1111)) == {(n, p) for n, p in pairs(here) if n < 4}


@given(RELATIONS, RELATIONS)
def test_nobody_is_in_two_sets_of_a_relation(one: list[tuple[Ports, int]], other: list[tuple[Ports, int]]) -> None:
    here, there = built(one), built(other)
    for found in (here, relation.meet(here, there), relation.minus(here, there)):
        seen = 0
        for ports, others in found.items():
            assert ports
            assert others
            assert not seen & others
            seen |= others


@given(st.sets(st.integers(0, 500)))
def test_bits_are_sets_of_numbers(every: set[int]) -> None:
    bits = relation.bits_of(sorted(every))
    assert list(relation.numbers(bits)) == sorted(every)
    assert bits == sum(1 << n for n in every)


@pytest.mark.parametrize(
    ("work", "of_sets"), [(union, operator.or_), (intersection, operator.and_), (subtraction, operator.sub)]
)
def test_large_sets_are_not_kept_for_ever(
    work: Callable[[Ports, Ports], Ports], of_sets: Callable[[set[int], set[int]], set[int]]
) -> None:
    """Whoever writes thousands of ports in policy after policy must not fill the memory."""

    def every_third(first: int) -> Ports:
        return tuple((number, number) for number in range(first, 40_000, 3))

    one, other = every_third(1), (*every_third(2)[:6_000], *every_third(19_000)[:-1])
    before = sys.getrefcount(one)
    said = work(one, other)
    assert spelt_out(said) == of_sets(spelt_out(one), spelt_out(other))
    assert work(one, other) == said
    assert sys.getrefcount(one) > before, "the next question about the same is answered at once"
    for first in range(2, 32):
        work(every_third(first), other)
    assert sys.getrefcount(one) == before
    assert work(one, other) == said
