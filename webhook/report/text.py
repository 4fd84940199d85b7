"""What a person reads: the finding, the line of YAML with a caret under it, what to write instead, a summary."""

import sys
from collections.abc import Iterator, Sequence
from typing import Final

from webhook.check import Level, count
from webhook.effects import MOST_LINES
from webhook.model.manifest import Position
from webhook.report.paint import Paint
from webhook.report.results import Result, Results, in_file_order
from webhook.terminal import clean, elide
from webhook.verdict import Action

_LONGEST: Final = 1000
"""Characters of a message: a selector may list thousands of values."""
_SHOWN: Final = (60, 140)
"""Characters of a long line of the file that are shown before and after the field: JSON may be all in one."""
_COLOURS: Final = {Level.ERROR: "1;31", Level.WARNING: "1;33", Level.NOTE: "1;36"}

_COLOURS_OF_CHANGES: Final = {"cuts": "1;31", "opens": "1;33", "frees": "1;33", "isolates": "1;36"}


def lines(results: Results, *, notes: bool = False) -> Iterator[str]:
    """The report, line by line.

    Args:
        results: what was found.
        notes: show notes as well; else they are only counted.
    """
    paint = Paint(sys.stdout)
    for result in in_file_order(results.findings, Level.NOTE if notes else Level.WARNING):
        yield from _finding(result, paint)
        yield ""
    yield summary(results, notes=notes)
    yield from _effects(results.told_effects, paint)


def _finding(result: Result, paint: Paint) -> Iterator[str]:
    ruling = result.ruling
    colour = _COLOURS[ruling.level]
    denied = " (denied)" if ruling.action is Action.DENY and ruling.level < Level.ERROR else ""
    head = paint(colour, f"{ruling.level}[{ruling.check}]") + denied
    if result.manifest and (position := result.position):
        where = f"{clean(result.manifest.file)}:{position.line}:{position.column}"
        yield f"{paint('1', where)}: {head} {ruling.object}"
        yield f"  {_text(ruling.finding.told)}"
        yield from _caret(result.manifest.line_text(position.line), position, paint, colour)
    else:
        yield f"{head} {paint('1', str(ruling.object))}: {_text(ruling.finding.path)}"
        yield f"  {_text(ruling.finding.told)}"
    if ruling.finding.remedy:
        yield paint("34", "   = ") + paint("1;32", "help") + f": {_text(ruling.finding.remedy)}"
    if ruling.finding.detail:
        yield paint("34", "   = ") + f"more: {_text(ruling.finding.detail)}"
    if ruling.also:
        yield paint("34", "   = ") + f"also: {', '.join(ruling.also)}"


def _text(text: str) -> str:
    return clean(elide(text, _LONGEST))


def _caret(text: str, position: Position, paint: Paint, colour: str) -> Iterator[str]:
    """The line of the file, with a caret under the field."""
    if not text.strip():
        return
    number = str(position.line)
    margin = " " * len(number)
    yield paint("34", f" {margin} |")
    before, after = text[: position.column - 1], text[position.column - 1 :]
    length = max(len(_word(after[: _SHOWN[1]])), 1)
    if len(text) > sum(_SHOWN):
        before = before if len(before) <= _SHOWN[0] else f"…{before[-_SHOWN[0] :]}"
        after = after if len(after) <= _SHOWN[1] else f"{after[: _SHOWN[1]]}…"
    yield paint("34", f" {number} | ") + clean(before + after)
    yield paint("34", f" {margin} | ") + " " * len(before) + paint(colour, "^" * length)


def _word(text: str) -> str:
    """What the caret underlines: the key, or the scalar."""
    text = text.removeprefix("- ").rstrip()
    key = text.partition(":")[0]
    return key if key and not key.startswith(("{", "[")) else text[:1]


def _effects(effects: Sequence[str], paint: Paint) -> Iterator[str]:
    """What is cut and opened, as kubectl tells it on a dry run; a few lines, the rest is counted."""
    for effect in effects[:MOST_LINES]:
        verb, space, rest = _text(effect).partition(" ")
        yield f"effect: {paint(_COLOURS_OF_CHANGES[verb], verb) if verb in _COLOURS_OF_CHANGES else verb}{space}{rest}"
    if len(effects) > MOST_LINES:
        yield paint("2", f"effect: and {len(effects) - MOST_LINES} more: netadmit diff --apply shows them")


def summary(results: Results, *, notes: bool) -> str:
    """How many objects were judged and what was found, and a line for each question that could not be answered."""
    paint = Paint(sys.stdout)
    judged = count(results.objects, "object")
    parts = [
        paint(_COLOURS[level], count(number, str(level))) if level > Level.NOTE else count(number, str(level))
        for level in sorted(Level, reverse=True)
        if (number := results.count(level))
    ]
    if results.count(Level.NOTE) and not notes:
        parts[-1] += " (--notes shows them)" if results.count(Level.NOTE) > 1 else " (--notes shows it)"
    if results.waived:
        parts.append(f"{len(results.waived)} waived")
    if results.gone is not None:
        parts.append(f"{len(results.known)} in the baseline" + (f" ({results.gone} gone)" if results.gone else ""))
    found = ", ".join(parts) if parts else paint("1;32", "nothing to say")
    text = f"{judged}: {found}"
    for question in results.unknown:
        text += "\n" + paint("2", f"not known: {_text(question)}")
    return text
