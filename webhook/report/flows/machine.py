"""What a program reads: one JSON object, a flow a line (CONTRACT.md, names and shapes)."""

import json
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

from webhook.report.flows import Connectivity, Difference, Flow

_CHUNK: Final = 4096
"""Flows that are written at once."""

_K = TypeVar("_K", bound=Hashable)


class Encoded(dict[_K, str]):
    """The JSON of each name or list of ports: a thousand of them make a million flows."""

    def __missing__(self, key: _K) -> str:
        text = self[key] = json.dumps(key)
        return text


def connectivity(found: Connectivity) -> Iterator[str]:
    """``{"flows": [FLOW…], "open": [WORKLOAD…]}``."""
    yield '{"flows": ['
    yield from _flows(found.flows)
    yield '], "open": ['
    yield ", ".join(map(json.dumps, found.open))
    yield "]}\n"


def difference(found: Difference) -> Iterator[str]:
    """``{"added": [FLOW…], "removed": [FLOW…]}``."""
    yield '{"added": ['
    yield from _flows(found.added)
    yield '], "removed": ['
    yield from _flows(found.removed)
    yield "]}\n"


def _flows(flows: Iterable[Flow]) -> Iterator[str]:
    names, ports = Encoded[str](), Encoded[tuple[str, ...]]()
    rest = iter(flows)
    before = "\n"
    while chunk := [
        f'{{"src": {names[f.src]}, "dst": {names[f.dst]}, "ports": {ports[f.ports]}}}' for f in islice(rest, _CHUNK)
    ]:
        yield before
        yield ",\n".join(chunk)
        before = ",\n"
    yield "\n" if before != "\n" else ""
