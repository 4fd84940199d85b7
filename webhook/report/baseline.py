"""Findings that were there before: what ``-o json`` wrote once, and only what is new fails.

An entry stands for one finding. It is told by the check, the object, the offending value and the path, not by lines;
where rules were put in before, the path may differ in its indexes.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from webhook.report.results import Result, Results, without_indexes


class BaselineError(Exception):
    """What was given is no output of ``-o json``; the message says why."""


class _Object(Struct, frozen=True):
    kind: str
    name: str
    namespace: str = ""


class _Entry(Struct, frozen=True):
    check: str
    object: _Object
    path: str
    value: str = ""


class Baseline(Struct, frozen=True):
    """Findings of an earlier run: those that were new then, and those that were known then already."""

    findings: tuple[_Entry, ...]
    known: tuple[_Entry, ...] = ()


_Key: TypeAlias = Callable[[_Entry], Hashable]


def read_baseline(content: bytes) -> Baseline:
    """Reads what ``-o json`` wrote.

    Raises:
        BaselineError: it is something else.
    """
    try:
        return msgspec.json.decode(content, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BaselineError(f"{error}; write one with -o json") from None


def without_known(results: Results, baseline: Baseline) -> Results:
    """The results in which what the baseline has is marked as known; each of its entries marks one finding."""
    left = [*baseline.findings, *baseline.known]
    marked = list(results.results)
    for key in (_exact, _roughly):  # what did not move takes its entry before what did
        marked, left = _absorb(marked, left, key)
    return replace(results, results=tuple(marked), gone=len(left))


def _absorb(results: Sequence[Result], entries: Sequence[_Entry], key: _Key) -> tuple[list[Result], list[_Entry]]:
    """Marks each result that an entry stands for; also gives the entries that stand for none."""
    spare = Counter(map(key, entries))
    marked = []
    for result in results:
        its = key(_entry(result))
        if not result.known and not result.ruling.waived and spare[its] > 0:
            spare[its] -= 1
            marked.append(replace(result, known=True))
        else:
            marked.append(result)
    left = []
    for entry in entries:
        if spare[key(entry)] > 0:
            spare[key(entry)] -= 1
            left.append(entry)
    return marked, left


def _exact(entry: _Entry) -> Hashable:
    return entry


def _roughly(entry: _Entry) -> Hashable:
    return replace(entry, path=without_indexes(entry.path))


def _entry(result: Result) -> _Entry:
    ruling = result.ruling
    about = _Object(ruling.object.kind, ruling.object.name, ruling.object.namespace)
    return _Entry(ruling.check, about, ruling.finding.path, ruling.finding.value)
