"""What a change opens and cuts, for a pull request's comment.

GitHub takes comments of 65,536 characters (GitLab a million); a comment that is refused says nothing at all.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from webhook.report.flows import Difference, Flow, sort_key
from webhook.report.flows.grouped import by_destination, shown, told, told_names, told_ports
from webhook.report.flows.text import summary

_IN_SIGHT: Final = 20
"""Rows that are shown without a click."""
_ONE_BY_ONE: Final = 100
"""Flows that get a row each; more are put together."""
_LONGEST: Final = 60_000
_NAMES: Final = 5


def difference(found: Difference) -> Iterator[str]:
    """A line that sums up, and a table; long ones are folded, and what does not fit is counted."""
    told_summary = summary(found)
    yield f"**{told_summary[0].upper()}{told_summary[1:]}.**\n"
    if not found.added and not found.removed:
        return
    opens, cuts = [*_rows("opens", found.added)], [*_rows("cuts", found.removed)]
    first = max(_IN_SIGHT - len(cuts), _IN_SIGHT // 2)
    in_sight = [*opens[:first], *cuts[: _IN_SIGHT - len(opens[:first])]]
    yield from _table(in_sight)
    folded = [*opens[first:], *cuts[_IN_SIGHT - len(opens[:first]) :]]
    if not folded:
        return
    left = _LONGEST - sum(map(len, in_sight))
    fitting = 0
    for row in folded:
        left -= len(row) + 1
        if left < 0:
            break
        fitting += 1
    yield f"\n<details><summary>and {len(folded):,} more</summary>\n"
    yield from _table(folded[:fitting])
    if fitting < len(folded):
        yield f"\nand {len(folded) - fitting:,} more: `netadmit diff -o json`\n"
    yield "\n</details>\n"


def _table(rows: Collection[str]) -> Iterator[str]:
    yield "\n| | from | to | ports |\n|---|---|---|---|\n"
    for row in rows:
        yield f"{row}\n"


def _rows(sign: str, flows: Collection[Flow]) -> Iterator[str]:
    """A row a flow, or a row for flows that are alike, what is reached in the order of names."""
    mark = {"opens": "🟢", "cuts": "🔴"}[sign]
    if len(flows) <= _ONE_BY_ONE:
        for flow in sorted(flows, key=lambda f: (sort_key(f.dst), sort_key(f.src))):
            yield _row(mark, sign, shown(flow.src), shown(flow.dst), flow.ports)
        return
    for destinations in by_destination(flows, Counter()):
        target = told_names(destinations.names, _NAMES)
        for ports, members in destinations.sources:
            for line in told(members, _NAMES):
                yield _row(mark, sign, line, target, ports)


def _row(mark: str, sign: str, src: str, dst: str, ports: tuple[str, ...]) -> str:
    return f"| {mark} {sign} | {_code(src)} | {_code(dst)} | {told_ports(ports)} |"


def _code(text: str) -> str:
    """Text that no name can get out of: a code span, whose fence is longer than any in it, within a table's cell."""
    fence = "`"
    while fence in text:
        fence += "`"
    padding = " " if len(fence) > 1 else ""
    return f"{fence}{padding}{text}{padding}{fence}".replace("|", "\\|")
