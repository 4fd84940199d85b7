"""Decodes one YAML or JSON document as kubectl does, and finds afterwards where each field stands in it.

Documents in the plain block style are decoded by `webhook.state.block_style`. For others the first pass builds the data
straight from libyaml's events: no nodes, no recursion, positions thrown away, because a snapshot of ten thousand pods
is read for its data. Only a document that something is said about is read a second time for positions.
"""

import bisect
import functools
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from webhook.model.manifest import FieldPath, Position
from webhook.state import scalars
from webhook.state.block_style import decode_block_style

deepest = 500
"""Nesting beyond this is refused: no manifest has it, and what walks the data later may use the call stack."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_JSON_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[dD][89a-fA-F]..|.)", re.DOTALL)
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]|[^\s{}\[\],:"]+', re.DOTALL)
_JSON_SPACE = re.compile(r"[ \t\r\n]*")


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


# --- YAML -------------------------------------------------------------------------------------------------------------


class _PurePythonParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """PyYAML's parser without libyaml: the same events, some ten times slower."""

    def __init__(self, stream: bytes) -> None:
        yaml.reader.Reader.__init__(self, stream)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined] # typeshed lists the loaders only
except ImportError:  # pragma: no cover - PyYAML was built without libyaml
    _new_parser: Callable[[bytes], Any] = _PurePythonParser
else:
    _new_parser = CParser

_NOT_A_KEY = "invalid map key: a mapping or a sequence"
_NO_KEYS: frozenset[str] = frozenset()
_EXPECTED: Any = object()
_MERGE: Any = object()


class _Anchor:
    """What an alias stands for: a scalar, or a value that is complete once its size (in decoding steps) is positive."""

    __slots__ = ("scalar", "size", "value")

    def __init__(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> None:
        self.scalar = event if isinstance(event, ScalarEvent) else None
        self.size = 1
        self.value: Any = None


def decode_yaml(raw: bytes, text: Text) -> Decoded | None:
    """Decodes the first document of a chunk; None when there is none (nothing but comments).

    Raises DocumentError. Sources: go.yaml.in/yaml/v2 decode.go, sigs.k8s.io/yaml yaml.go.
    """
    data = decode_block_style(raw)
    if data is None:
        return _decode_events(raw, text)
    return Decoded(data, False, functools.partial(_yaml_places, raw))


def _decode_events(raw: bytes, text: Text) -> Decoded | None:
    """`decode_yaml` for every style: by libyaml's events."""
    try:
        parser = _new_parser(raw)
        next_event = parser.get_event
        next_event()
        if type(next_event()) is StreamEndEvent:
            return None
        data, repeats = _Builder(next_event).build()
        next_event()  # the end of the document
        if b"\\/" in raw:
            _check_escapes(raw, text)
    except yaml.YAMLError as error:
        raise _syntax_error(error, raw, text) from None
    except scalars.ScalarError as error:  # pragma: no cover - the builder adds the place
        raise DocumentError(str(error), 0) from None
    return Decoded(data, repeats, functools.partial(_yaml_places, raw), _end_of_document(next_event))


class _Builder:
    """One document's events → its data. Aliases share one object, so that expanding them costs nothing here."""

    def __init__(self, next_event: Callable[[], Event]) -> None:
        self._next_event = next_event
        self._anchors: dict[str, _Anchor] = {}
        self._decoded = 1
        self._aliased = 0

    def build(self) -> tuple[Any, bool]:  # noqa: C901, PLR0912, PLR0915 - calls would cost a third of the speed
        """The data, and whether a key is there twice. The speed of reading is this loop's."""
        next_event, anchors = self._next_event, self._anchors
        plain, keys = scalars.plain_values, scalars.plain_keys
        stack: list[tuple[Any, Any, _Anchor | None, frozenset[str]]] = []
        node: Any = None
        key: Any = None
        open_anchor: _Anchor | None = None
        merged = _NO_KEYS  # keys of this mapping that only came from a merge so far
        repeats = False
        event: Any = None
        try:
            while True:
                event = next_event()
                kind = type(event)
                if kind is ScalarEvent:
                    self._decoded += 1
                    text = event.value
                    if key is _EXPECTED:  # a key, the most frequent event of all
                        if event.tag is None and event.anchor is None:
                            if not event.implicit[0]:
                                key = text
                            elif text == "<<":
                                key = _MERGE
                                continue
                            else:
                                key = keys[text]
                        elif event.tag == scalars.MERGE and text == "<<":
                            key = _MERGE
                            continue
                        else:
                            if event.anchor is not None:
                                anchors[event.anchor] = _Anchor(event)
                            if event.implicit[0] and text == "<<":
                                key = _MERGE
                                continue
                            key = _key(event)
                        if key in node:
                            repeats = repeats or key not in merged
                            merged -= {key}
                        continue
                    value = (plain[text] if event.implicit[0] else text) if event.tag is None else _value(event)
                    if event.anchor is not None:
                        anchors[event.anchor] = _Anchor(event)
                elif kind is MappingStartEvent or kind is SequenceStartEvent:
                    self._decoded += 1
                    if key is _EXPECTED:
                        _refuse(_NOT_A_KEY)
                    if len(stack) >= deepest:
                        _refuse(f"nested deeper than {deepest} levels")
                    stack.append((node, key, open_anchor, merged))
                    open_anchor, merged = None, _NO_KEYS
                    if event.anchor is not None:
                        open_anchor = anchors[event.anchor] = _Anchor(event)
                        open_anchor.size = 1 - self._decoded
                    if kind is MappingStartEvent:
                        node, key = {}, _EXPECTED
                    else:
                        node, key = [], None
                    continue
                elif kind is MappingEndEvent or kind is SequenceEndEvent:
                    value = node
                    if open_anchor is not None:
                        open_anchor.value = value
                        open_anchor.size += self._decoded
                    node, key, open_anchor, merged = stack.pop()
                else:  # an alias: the rest cannot come here
                    anchor = self._alias(event)
                    if key is _EXPECTED:
                        if anchor.scalar is None:
                            _refuse(_NOT_A_KEY)
                        key = _key(anchor.scalar)
                        if key in node:
                            repeats = repeats or key not in merged
                            merged -= {key}
                        continue
                    value = anchor.value if anchor.scalar is None else _value(anchor.scalar)
                if not stack:
                    return value, repeats
                if key is None:
                    node.append(value)
                elif key is _MERGE:
                    merged |= _merge(node, value, by_alias=kind is AliasEvent)
                    key = _EXPECTED
                else:
                    node[key] = value
                    key = _EXPECTED
        except scalars.ScalarError as error:
            raise DocumentError(str(error), event.start_mark.index) from None

    def _alias(self, event: AliasEvent) -> _Anchor:
        anchor = self._anchors.get(event.anchor or "")
        if anchor is None:
            raise scalars.ScalarError(f"unknown anchor '{event.anchor}' referenced")
        if anchor.size <= 0:
            raise scalars.ScalarError(f"anchor '{event.anchor}' value contains itself")
        self._decoded += 1 + anchor.size
        self._aliased += anchor.size
        allowed = _allowed_alias_ratio(self._decoded)
        if self._aliased > 100 and self._decoded > 1000 and self._aliased / self._decoded > allowed:
            raise scalars.ScalarError("document contains excessive aliasing")
        return anchor


def _allowed_alias_ratio(decoded: int) -> float:
    """How much of a document may come from aliases: yaml.v2 decode.go's bound against billions of laughs."""
    return min(0.99, max(0.10, 0.99 - 0.89 * (decoded - 400_000) / 3_600_000))


def _key(event: ScalarEvent) -> str:
    if event.tag is None and not event.implicit[0]:
        return str(event.value)
    return scalars.as_key(scalars.resolve(event.tag, event.value))


def _value(event: ScalarEvent) -> scalars.Scalar:
    if event.tag is None and not event.implicit[0]:
        return str(event.value)
    return scalars.as_json(scalars.resolve(event.tag, event.value))


def _merge(node: dict[str, Any], value: Any, *, by_alias: bool) -> set[str]:
    """`<<`, and the keys it brought: as in yaml.v2 what comes later wins, so a merge below a key replaces it."""
    keys: set[str] = set()
    for source in value[::-1] if isinstance(value, list) and not by_alias else [value]:
        if not isinstance(source, dict):
            raise scalars.ScalarError("map merge requires map or sequence of maps as the value")
        keys.update(source)
        node.update(source)
    return keys


def _refuse(message: str) -> NoReturn:
    raise scalars.ScalarError(message)


def _end_of_document(next_event: Callable[[], Event]) -> int | None:
    """Decoding takes the first document of what stands between two `---`; kubectl never looks further."""
    try:
        event = next_event()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return int(mark.index) if mark else 0
    return None if type(event) is StreamEndEvent else int(event.start_mark.index)  # type: ignore[union-attr] # events of text have marks


def _check_escapes(raw: bytes, text: Text) -> None:
    r"""Libyaml reads `\/` in double quotes (YAML 1.2), yaml.v2 does not."""
    next_event = _new_parser(raw).get_event
    kind: type[Event] = DocumentStartEvent
    while kind is not DocumentEndEvent:
        event: Any = next_event()
        kind = type(event)
        if kind is ScalarEvent and event.style == '"':
            for found in _ESCAPE.finditer(text.decoded, event.start_mark.index, event.end_mark.index):
                if found[0] == r"\/":
                    raise DocumentError("not valid YAML: found unknown escape character \\/", found.start())


def _syntax_error(error: yaml.YAMLError, raw: bytes, text: Text) -> DocumentError:
    try:
        raw.decode()
    except UnicodeDecodeError as broken:
        return DocumentError(f"not UTF-8: byte 0x{raw[broken.start]:02x}", len(raw[: broken.start].decode()))
    if isinstance(error, yaml.MarkedYAMLError):
        problem = error.problem or "cannot be read"
        mark = error.problem_mark or error.context_mark
        index = min(mark.index, len(text.decoded)) if mark else 0
        if problem.startswith("found character that cannot start") and text.decoded[index : index + 1] == "\t":
            problem += " (a tab: YAML is indented with spaces)"
        context = f" ({error.context})" if error.context else ""
        return DocumentError(f"not valid YAML: {problem}{context}", index)
    control = _CONTROL.search(text.decoded)
    if control:
        name = f"U+{ord(control[0]):04X}"
        return DocumentError(f"not valid YAML: control characters are not allowed: {name}", control.start())
    return DocumentError(f"not valid YAML: {error}", 0)


def _yaml_places(raw: bytes) -> tuple[Place, list[Repeat]]:
    """The places of a document that decoded well: the second pass, by the same events."""
    next_event = _new_parser(raw).get_event
    while type(next_event()) is not DocumentStartEvent:
        pass
    anchors: dict[str, tuple[Place, ScalarEvent | None]] = {}
    repeats: dict[FieldPath, Repeat] = {}
    stack: list[_Open] = []
    while True:
        event: Any = next_event()
        kind = type(event)
        index = event.start_mark.index
        top = stack[-1] if stack else None
        if kind is MappingStartEvent or kind is SequenceStartEvent:
            fields: dict[str, Place] | list[Place] = {} if kind is MappingStartEvent else []
            stack.append(_Open(index, fields))
            if event.anchor is not None:
                anchors[event.anchor] = stack[-1].place, None
            continue
        scalar: ScalarEvent | None = None
        if kind is ScalarEvent:
            place, scalar = Place(index), event
            if event.anchor is not None:
                anchors[event.anchor] = place, scalar
        elif kind is AliasEvent:
            target, scalar = anchors[event.anchor]
            place = Place(index, target.fields)
        else:
            place = stack.pop().place
            top = stack[-1] if stack else None
        if top is None:
            return place, list(repeats.values())
        top.add(place, scalar, kind is AliasEvent, stack, repeats)


class _Open:
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
        scalar: ScalarEvent | None,
        by_alias: bool,
        stack: "list[_Open]",
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
            self.key = _key(scalar) if scalar is not None else ""
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


def _is_merge(event: ScalarEvent) -> bool:
    return bool(event.implicit[0]) or event.tag == scalars.MERGE


# --- JSON -------------------------------------------------------------------------------------------------------------


def decode_json(text: Text, start: int = 0) -> Iterator[Decoded]:
    """Decodes the JSON values of a chunk, one after the other, as Go's decoder reads a stream of them.

    Raises DocumentError at the first that is broken; what follows can be read on from the index it names.
    """
    source = text.decoded
    if _ESCAPED_SURROGATE.search(source):
        source = _JSON_ESCAPE.sub(_without_surrogates, source)
    index = _JSON_SPACE.match(source, start).end()  # type: ignore[union-attr] # matches the empty string
    while index < len(source):
        mappings = _Mappings()
        decoder = json.JSONDecoder(
            object_pairs_hook=mappings.build,
            parse_int=_json_number,
            parse_float=_json_number,
            parse_constant=_no_constant,
        )
        try:
            data, end = decoder.raw_decode(source, index)
        except json.JSONDecodeError as error:
            raise DocumentError(f"not valid JSON: {error.msg}", error.pos) from None
        except scalars.ScalarError as error:
            raise DocumentError(f"not valid JSON: {error}", index) from None
        except RecursionError:
            raise DocumentError(f"nested deeper than {deepest} levels", index) from None
        if _too_deep(source, index, end, data):
            raise DocumentError(f"nested deeper than {deepest} levels", index)
        yield Decoded(data, mappings.repeats, functools.partial(_json_places, source, index, end))
        index = _JSON_SPACE.match(source, end).end()  # type: ignore[union-attr]


class _Mappings:
    """Builds JSON objects, and notices keys that are there twice."""

    def __init__(self) -> None:
        self.repeats = False

    def build(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) != len(pairs):
            self.repeats = True
        return mapping


def _json_number(literal: str) -> Any:
    """A whole number stays one up to 64 bits, as in sigs.k8s.io/json; what is sent for 1.0 is 1."""
    if len(literal) <= 20 and "." not in literal and "e" not in literal and "E" not in literal:
        number = int(literal)
        if -(1 << 63) <= number < (1 << 63):
            return number
    return scalars.as_json(float(literal))


def _no_constant(name: str) -> Any:
    raise scalars.ScalarError(f"{name} is not JSON")


def _without_surrogates(found: re.Match[str]) -> str:
    escape = found[0]
    return r"\ufffd" if len(escape) == 6 and escape[1] == "u" else escape


def _too_deep(source: str, start: int, end: int, data: Any) -> bool:
    if source.count("{", start, end) + source.count("[", start, end) <= deepest:
        return False
    level = [data]
    for _ in range(deepest + 1):
        values = [
            value.values() if isinstance(value, dict) else value for value in level if isinstance(value, (dict, list))
        ]
        if not values:
            return False
        level = [child for children in values for child in children]
    return True


def _json_places(source: str, start: int, end: int) -> tuple[Place, list[Repeat]]:
    repeats: dict[FieldPath, Repeat] = {}
    stack: list[_Open] = []
    for found in _JSON_TOKEN.finditer(source, start, end):
        word = found[0]
        if word in ("{", "["):
            stack.append(_Open(found.start(), {} if word == "{" else []))
            continue
        scalar: ScalarEvent | None = None
        if word in ("}", "]"):
            place = stack.pop().place
        else:
            place = Place(found.start())
            if stack and isinstance(stack[-1].fields, dict) and stack[-1].key is None:
                scalar = ScalarEvent(None, None, (False, True), json.loads(word, strict=False))
        if not stack:
            return place, list(repeats.values())
        stack[-1].add(place, scalar, False, stack, repeats)
    return Place(start), []


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
