"""Where the fields of one document stand, and what decoding it gives."""

import bisect
import functools
import re
from array import array
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from webhook.model.manifest import FieldPath, Position
from webhook.state import scalars

deepest = 500
"""Nesting beyond this is refused: no manifest has it, and what walks the data later may use the call stack."""

_LINE_END = re.compile(r"\r\n|\n|\r")


class DocumentError(Exception):
    """A document that kubectl could not decode, and where that shows (an index into the document's text)."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index


class Text:
    """The text of one document as it stands in its file, decoded when somebody asks for a place in it."""

    def __init__(self, raw: bytes, first_line: int) -> None:
        self._raw = raw
        self.first_line = first_line

    @functools.cached_property
    def decoded(self) -> str:
        return self._raw.decode(errors="replace")

    @functools.cached_property
    def _starts(self) -> "array[int]":
        starts = array("Q", (0,))  # a fifth of a list's size: a file may have a line for every other byte
        starts.extend(found.end() for found in _LINE_END.finditer(self.decoded))
        return starts

    def position(self, index: int) -> Position:
        """The line and column, counted from 1, of a character."""
        line = bisect.bisect_right(self._starts, index) - 1
        return Position(self.first_line + line, index - self._starts[line] + 1)

    def line(self, number: int) -> str:
        """The text of a line of the file, without its end; empty when it is not of this document."""
        at = number - self.first_line
        if not 0 <= at < len(self._starts):
            return ""
        end = self._starts[at + 1] if at + 1 < len(self._starts) else len(self.decoded)
        return self.decoded[self._starts[at] : end].rstrip("\r\n")


class Place(NamedTuple):
    """Where a field or item starts, and the places of what it contains."""

    start: int
    fields: "dict[str, Place] | list[Place] | None" = None


class Repeat(NamedTuple):
    """A key that a mapping has twice: the indexes of the first and of the last one."""

    path: FieldPath
    first: int
    last: int


class Decoded(NamedTuple):
    """The data of one document; `places` reads the text again."""

    data: Any
    repeats: bool
    places: Callable[[], tuple[Place, list[Repeat]]]
    ignored_from: int | None = None
    """Where text starts that kubectl does not look at: what follows the end of the document."""


class Scalar(Protocol):
    """What a parser says of a key: YAML's events, or a name of JSON."""

    @property
    def tag(self) -> str | None: ...
    @property
    def implicit(self) -> tuple[bool, bool]: ...
    @property
    def value(self) -> str: ...


class OpenPlace:
    """A mapping or sequence of which not everything has been seen."""

    __slots__ = ("at", "fields", "key", "merged", "place")

    def __init__(self, start: int, fields: dict[str, Place] | list[Place]) -> None:
        self.place = Place(start, fields)
        self.fields = fields
        self.key: str | None = None
        self.at = 0
        self.merged: set[str] = set()

    def step(self) -> str | int:
        return len(self.fields) if isinstance(self.fields, list) else self.key or ""

    def add(
        self,
        place: Place,
        scalar: Scalar | None,
        by_alias: bool,
        stack: "list[OpenPlace]",
        repeats: dict[FieldPath, Repeat],
    ) -> None:
        fields = self.fields
        if isinstance(fields, list):
            fields.append(place)
        elif self.key is None:
            self.at = place.start
            if scalar is not None and scalar.value == "<<" and not by_alias and _is_merge(scalar):
                self.key = "<<"
                self.at = -1
                return
            self.key = key_of(scalar) if scalar is not None else ""
            if self.key in fields and self.key not in self.merged:
                path = (*(frame.step() for frame in stack[:-1]), self.key)
                first = repeats[path].first if path in repeats else fields[self.key].start
                repeats[path] = Repeat(path, first, place.start)
        elif self.at < 0:
            sources = place.fields[::-1] if isinstance(place.fields, list) else [place]
            for source in sources:
                if isinstance(source.fields, dict):
                    fields.update(source.fields)
                    self.merged.update(source.fields)
            self.key = None
        else:
            fields[self.key] = Place(self.at, place.fields)
            self.merged.discard(self.key)
            self.key = None


def _is_merge(event: Scalar) -> bool:
    return bool(event.implicit[0]) or event.tag == scalars.MERGE


def key_of(scalar: Scalar) -> str:
    """The JSON key that a YAML scalar becomes."""
    if scalar.tag is None and not scalar.implicit[0]:
        return str(scalar.value)
    return scalars.as_key(scalars.resolve(scalar.tag, scalar.value))


def places_along(place: Place, path: Iterable[str | int]) -> Place:
    """The place of the last part of a path that the text has."""
    for part in path:
        inner = _inside(place.fields, part)
        if inner is None:
            break
        place = inner
    return place


def _inside(fields: dict[str, Place] | list[Place] | None, part: str | int) -> Place | None:
    found: Place | None = None
    if isinstance(fields, dict) and isinstance(part, str):
        found = fields.get(part)
    elif isinstance(fields, list) and isinstance(part, int) and 0 <= part < len(fields):
        found = fields[part]
    return found
