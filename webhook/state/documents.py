"""Decodes one YAML or JSON document as kubectl does, and finds afterwards where each field stands in it.

Documents in the plain block style are decoded by `webhook.state.block_style`. For others the first pass builds the data
straight from libyaml's events: no nodes, no recursion, positions thrown away, because a snapshot of ten thousand pods
is read for its data. Only a document that something is said about is read a second time for positions.
"""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from webhook.model.manifest import FieldPath
from webhook.state import scalars
from webhook.state.block_style import block_places, decode_block_style
from webhook.state.places import Decoded, DocumentError, OpenPlace, Place, Repeat, Text, deepest

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_JSON_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[dD][89a-fA-F]..|.)", re.DOTALL)
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]|[^\s{}\[\],:"]+', re.DOTALL)
_JSON_SPACE = re.compile(r"[ \t\r\n]*")


def decode_yaml(raw: bytes, text: Text) -> Decoded | None:
    """Decodes the first document of a chunk; None when there is none (nothing but comments).

    Raises DocumentError. Sources: go.yaml.in/yaml/v2 decode.go, sigs.k8s.io/yaml yaml.go.
    """
    data = decode_block_style(raw)
    if data is not None:
        return Decoded(data, False, lambda: (block_places(raw), []))
    from webhook.state.yaml_events import decode_events  # noqa: PLC0415 - importing yaml takes a tenth of a small state

    return decode_events(raw, text)


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


class _Key(NamedTuple):
    """A key of JSON, as `webhook.state.places.Scalar`: always a text."""

    value: str
    tag: str | None = None
    implicit: tuple[bool, bool] = (False, True)


def _json_places(source: str, start: int, end: int) -> tuple[Place, list[Repeat]]:
    repeats: dict[FieldPath, Repeat] = {}
    stack: list[OpenPlace] = []
    for found in _JSON_TOKEN.finditer(source, start, end):
        word = found[0]
        if word in ("{", "["):
            stack.append(OpenPlace(found.start(), {} if word == "{" else []))
            continue
        scalar: _Key | None = None
        if word in ("}", "]"):
            place = stack.pop().place
        else:
            place = Place(found.start())
            if stack and isinstance(stack[-1].fields, dict) and stack[-1].key is None:
                scalar = _Key(json.loads(word, strict=False))
        if not stack:
            return place, list(repeats.values())
        stack[-1].add(place, scalar, False, stack, repeats)
    return Place(start), []
