"""Decodes one YAML document of any style by libyaml's events, and finds where its fields stand."""

import functools
import re
from collections.abc import Callable
from typing import Any, NoReturn

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

from webhook.model.manifest import FieldPath
from webhook.state import scalars
from webhook.state.places import Decoded, DocumentError, OpenPlace, Place, Repeat, Text, deepest, key_of

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[dD][89a-fA-F]..|.)", re.DOTALL)


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


def decode_events(raw: bytes, text: Text) -> Decoded | None:
    """Decodes the first document of a chunk; None when there is none (nothing but comments).

    Raises DocumentError. Sources: go.yaml.in/yaml/v2 decode.go, sigs.k8s.io/yaml yaml.go.
    """
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
    return Decoded(data, repeats, functools.partial(places, raw), _end_of_document(next_event))


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
                            key = key_of(event)
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
                        key = key_of(anchor.scalar)
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


def places(raw: bytes) -> tuple[Place, list[Repeat]]:
    """The places of a document that decoded well: the second pass, by the same events."""
    next_event = _new_parser(raw).get_event
    while type(next_event()) is not DocumentStartEvent:
        pass
    anchors: dict[str, tuple[Place, ScalarEvent | None]] = {}
    repeats: dict[FieldPath, Repeat] = {}
    stack: list[OpenPlace] = []
    while True:
        event: Any = next_event()
        kind = type(event)
        index = event.start_mark.index
        top = stack[-1] if stack else None
        if kind is MappingStartEvent or kind is SequenceStartEvent:
            fields: dict[str, Place] | list[Place] = {} if kind is MappingStartEvent else []
            stack.append(OpenPlace(index, fields))
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
