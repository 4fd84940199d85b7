"""A page that shows who can reach whom, or what a change opens and cuts: one file that needs nothing else.

The page holds the flows as data, not as text: workloads are numbered in the order of their names, and the destinations
that a source reaches on the same ports are runs of numbers, which many sources share. 60,000 flows of 250 workloads are
some 50 kB so. What is looked at is made when it is looked at (``page/*.js``).

A policy in the page itself forbids it to load or send anything and lets only this script and these styles run, so that
a name that got out of its string would be text all the same.
"""

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, TypeVar

from webhook import __version__
from webhook.report.flows import OUTSIDE, Connectivity, Difference, Flow, sort_key, split

_SCRIPTS: Final = (
    "model", "names", "elements", "lists", "pictures", "map", "matrix", "river", "views", "search", "main"
)  # fmt: skip
"""The parts of the page's script, in the order in which they run as one."""
_CHUNK: Final = 1 << 16

_K = TypeVar("_K", bound=Hashable)


def connectivity(found: Connectivity, *, about: str = "") -> Iterator[str]:
    """The page of a state.

    Args:
        found: what a state lets through.
        about: which state it is: stands under the title.
    """
    numbered = _Numbered()
    for name in found.workloads:
        _ = numbered.names[name]
    numbered.add("", found.flows)
    return _page("Who can reach whom", "Who can reach&#8230;", numbered.data("connectivity", about, found.open))


def difference(found: Difference, *, about: str = "") -> Iterator[str]:
    """The page of a change.

    Args:
        found: what a change opens and cuts.
        about: which change it is: stands under the title.
    """
    numbered = _Numbered()
    numbered.add("+", found.added)
    numbered.add("-", found.removed)
    return _page("What this change opens and cuts", "Find", numbered.data("difference", about, ()))


class _Numbers(dict[_K, int]):
    """Numbers things as they come."""

    def __missing__(self, key: _K) -> int:
        number = self[key] = len(self)
        return number


class _Numbered:
    """Flows as numbers: of names, of lists of ports, and of sets of destinations."""

    def __init__(self) -> None:
        self.names = _Numbers[str]()
        self._ports = _Numbers[tuple[str, ...]]()
        self._layers: list[tuple[str, dict[tuple[int, int], list[int]]]] = []

    def add(self, sign: str, flows: Iterable[Flow]) -> None:
        """Adds flows; they are told apart by their sign."""
        rows: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        names, ports = self.names, self._ports
        for flow in flows:
            rows[names[flow.src], ports[flow.ports]].append(names[flow.dst])
        self._layers.append((sign, rows))

    def data(self, form: str, about: str, unrestricted: Collection[str]) -> dict[str, Any]:
        """What ``page/model.js`` reads; its head says what each part means."""
        free = {self.names[name] for name in unrestricted}
        names = sorted(self.names, key=sort_key)
        place = {self.names[name]: at for at, name in enumerate(names)}
        groups: dict[str | None, list[str]] = {}
        for name in names:
            namespace, own = split(name)
            groups.setdefault(None if name.startswith(OUTSIDE) else namespace, []).append(own)
        sets: dict[tuple[int, ...], int] = {}
        layers = []
        for sign, rows in self._layers:
            by_source: defaultdict[int, list[int]] = defaultdict(list)
            for (src, ports), destinations in sorted(rows.items()):
                destinations_set = tuple(_runs(sorted(place[dst] for dst in destinations)))
                by_source[place[src]] += [ports, sets.setdefault(destinations_set, len(sets))]
            layers.append({"sign": sign, "rows": [[src, *row] for src, row in sorted(by_source.items())]})
        return {
            "form": form,
            "about": about,
            "version": __version__,
            "groups": list(groups.items()),
            "ports": [list(ports) for ports in self._ports],
            "layers": layers,
            "sets": list(sets),
            "open": _runs(sorted(place[number] for number in free)),
            "implied": bool(free) and not self._says_all(free),
        }

    def _says_all(self, unrestricted: set[int]) -> bool:
        """Whether flows between what nothing restricts are among the flows (``--all``)."""
        return any(
            src in unrestricted and not unrestricted.isdisjoint(destinations)
            for _, rows in self._layers
            for (src, _), destinations in rows.items()
        )


def _runs(numbers: Sequence[int]) -> list[int]:
    """Sorted numbers as runs: the first, and how many follow each other."""
    runs: list[int] = []
    for number in numbers:
        if runs and number == runs[-2] + runs[-1]:
            runs[-1] += 1
        elif not runs or number >= runs[-2] + runs[-1]:
            runs += [number, 1]
    return runs


def _page(title: str, label: str, data: dict[str, Any]) -> Iterator[str]:
    folder = files("webhook.report.flows") / "page"
    style = (folder / "page.css").read_text("ascii")
    script = "".join((folder / f"{name}.js").read_text("ascii") for name in _SCRIPTS)
    parts = {
        "TITLE": title,
        "LABEL": label,
        "POLICY": f"default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src {_hash(style)}; script-src {_hash(script)}",
        "STYLE": style,
        "SCRIPT": script,
    }
    rest = (folder / "page.html").read_text("ascii")
    while rest:
        text, _, rest = rest.partition("{{")
        yield text
        part, _, rest = rest.partition("}}")
        if part == "DATA":
            yield from _embedded(data)
        elif part:
            yield parts[part]


def _hash(text: str) -> str:
    """How a policy names the one script that may run. Source: w3.org/TR/CSP3, hash-source."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _embedded(data: dict[str, Any]) -> Iterator[str]:
    """JSON that can end no element and open no comment: in it ``<`` only stands in strings."""
    buffer: list[str] = []
    size = 0
    for piece in json.JSONEncoder(separators=(",", ":")).iterencode(data):
        buffer.append(piece)
        size += len(piece)
        if size > _CHUNK:
            yield "".join(buffer).replace("<", "\\u003c")
            buffer.clear()
            size = 0
    yield "".join(buffer).replace("<", "\\u003c")
