"""Decodes documents in the plain block style, a line at a time, several times faster than by libyaml's events.

Nearly every manifest and every snapshot is written so: `key: value` and `- item` lines, indented with spaces. Most of a
snapshot's lines are there a thousand times, so what a line says is remembered. Whatever is not certainly of this style
(anchors, tags, merges, tabs, keys that are there twice, all that is wrong) is left to `webhook.state.documents`, which
alone decides what is an error and where. For what is decoded here both give the same data; a test compares them.

Source of the style's rules: YAML 1.1 as libyaml's scanner.c reads it.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn, TypeAlias

from webhook.state import scalars
from webhook.state.places import Place

_remembered = 10_000
"""Lines whose meaning is kept; beyond that they are taken apart anew (memory stays bounded)."""
_LONGEST_REMEMBERED: Final = 128
_LONGEST: Final = 1 << 16
"""Characters of a line that is taken apart: a longer one is for the other decoder."""
_SEPARATOR: Final = b"---\n"
_BLOCK: Final = 1 << 16
"""Bytes that are taken apart into lines at once: lines weigh much more than their text."""

_Line: TypeAlias = tuple[int, int, str | None, Any, int]
"""Of a line: its column, the column of what follows its dash (0: it has none), its key, its value, and its sort."""
_SCALAR: Final = 0
_OPEN: Final = 1
"""`key:`, whose value is what is indented below, or null."""
_FLOW: Final = 2
"""The value is a mapping or sequence in braces: a new one each time."""
_NOTHING: Final = 3
"""An empty line or a comment: its column is -1."""
_LITERAL: Final = 4
"""`|` or `|-`: the lines below are the value."""
_UNFINISHED: Final = 5
"""A quoted text that goes on in the next line."""
_TEXT: Final = 6
"""Words alone: may be the rest of a plain text that began in the line before."""

# Columns are bounded, and with them the depth: what is deeper is refused by the other decoder.
_PARTS: Final = re.compile(
    r"( {0,200})"
    r"(- {1,9}(?! ))?"
    r"(?:([A-Za-z0-9_./](?:[!-9;-~]|:(?=[!-~])){0,300}):(?:$| +))?"
    r"(.*)"
)
_USUAL: Final = re.compile(r"( {0,200})(- )?([A-Za-z][\w./-]*):(?: ([A-Za-z][\w./-]*))?", re.ASCII)
_PLAIN_START: Final = frozenset("_./+~$(<=;\\^")
"""Signs that may begin a plain text, beside letters and digits; a dash may before anything but a space."""
_COMMENT: Final = re.compile(r"(?: +#.*)?")
_SINGLE: Final = re.compile(rf"'([^']*(?:''[^']*)*)'{_COMMENT.pattern}")
_DOUBLE: Final = re.compile(rf'"([^"\\]*(?:\\["\\nt][^"\\]*)*)"{_COMMENT.pattern}')
_ESCAPE: Final = re.compile(r"\\(.)")
_MEANT: Final = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_REST: Final = {
    "'": re.compile(rf"([^']*(?:''[^']*)*)('{_COMMENT.pattern})?"),
    '"': re.compile(rf'([^"\\]*)("{_COMMENT.pattern})?'),
}
"""What follows an opening quote: text, and the closing quote if it is in this line."""
_FLOW_SCALAR: Final = re.compile(
    r"""'([^']*(?:''[^']*)*)'|"([^"\\]*)"|(-{0,2}[A-Za-z0-9_./$][A-Za-z0-9_./@%+=*$()-]*)"""
)
_FLOW_DEPTH: Final = 20


class _Other(Exception):  # noqa: N818 - no error: the document is for the other decoder
    """The document is not, or not certainly, in the plain block style."""


class _Lines(dict[bytes, _Line]):
    """What each line says."""

    def __missing__(self, line: bytes) -> _Line:
        text = line.decode()
        parts = _parse_usual(text) or _parse(text)
        if len(line) <= _LONGEST_REMEMBERED:
            if len(self) >= _remembered:
                self.clear()  # names fill it, what is said often is soon there again
            self[line] = parts
        return parts


_lines = _Lines()


def decode_block_style(raw: bytes) -> dict[str, Any] | None:
    """The data of a document, a mapping in the plain block style without repeated keys; None for every other one."""
    try:
        return _build(_split(raw))
    except (_Other, scalars.ScalarError, UnicodeDecodeError):
        return None


def _other() -> NoReturn:
    raise _Other


def _split(raw: bytes) -> Iterator[bytes]:
    """The document's lines; the last one is empty when its line is ended."""
    raw = raw.removeprefix(_SEPARATOR)  # what stands behind a separator is for the other decoder
    if len(raw) <= _BLOCK:
        return iter(raw.split(b"\n"))
    return itertools.chain.from_iterable(_split_by_blocks(raw))


def _split_by_blocks(raw: bytes) -> Iterator[list[bytes]]:
    start = 0
    while (end := raw.find(b"\n", start + _BLOCK)) >= 0:
        yield raw[start:end].split(b"\n")
        start = end + 1
    yield raw[start:].split(b"\n")


def _build(lines: Iterator[bytes]) -> dict[str, Any]:  # noqa: C901, PLR0912, PLR0915 - calls would cost half of the speed
    """The speed of reading files is this loop's: four fifths of all lines take its shortest way."""
    root: dict[str, Any] = {}
    node: Any = root
    at = 0  # the column in which the keys of this mapping, or the dashes of this sequence, stand
    pending: str | None = None  # the key whose value may be below
    above: list[tuple[int, Any]] = []
    known = _lines
    before = b""
    while True:
        for line in lines:
            column, inner, key, value, sort = known[line]
            if column != at:
                if column > at:
                    if pending is None:
                        break
                    above.append((at, node))
                    child: Any = [] if inner else {}
                    node[pending] = child
                    node = child
                    at = column
                elif column >= 0:
                    while column < at:
                        at, node = above.pop()
                    if column != at:
                        raise _Other
                    pending = None
                else:
                    before = b""
                    continue
            if inner:
                if node.__class__ is dict:
                    if pending is None:
                        raise _Other
                    above.append((at, node))  # a sequence that is indented no further than its key
                    node[pending] = node = []
                if key is None:
                    if sort:
                        if sort != _FLOW:
                            break
                        value = _new(value)
                    node.append(value)
                    pending = None
                    before = line
                    continue
                above.append((at, node))
                child = {}
                node.append(child)
                node = child
                at = inner
            else:
                if node.__class__ is list:
                    at, node = above.pop()
                    if at != column:
                        raise _Other
                if key in node:
                    raise _Other
            if not sort:
                node[key] = value
                pending = None
            elif sort == _OPEN:
                node[key] = None
                pending = key
            elif sort == _FLOW:
                node[key] = _new(value)
                pending = None
            else:
                break
            before = line
        else:
            if not root:
                raise _Other
            return root
        # The line does not stand alone: what it says goes on in those that follow.
        if (column > at) != (sort == _TEXT):
            raise _Other
        if sort == _TEXT:
            key = None if node.__class__ is list else next(reversed(node), None)
            value, line = _continue_plain(before, line, at, lines)
            if key is None:
                node[-1] = value
        elif sort == _LITERAL:
            value, line = _read_literal(value, at, lines)
        else:
            value, line = _continue_quoted(value, at, lines)
        if key is not None:
            node[key] = value
        elif sort != _TEXT:
            node.append(value)
        pending, before = None, b""
        lines = itertools.chain((line,), lines)


def _new(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _new(inner) for key, inner in value.items()}
    return [_new(inner) for inner in value] if isinstance(value, list) else value


# --- one line


def _parse_usual(text: str) -> _Line | None:
    """Takes apart the lines that most lines are: a key, and a word that begins with a letter or nothing at all."""
    found = _USUAL.fullmatch(text)
    if found is None:
        return None
    margin, dash, key, value = found.groups()
    column = len(margin)
    key = scalars.plain_keys[key]
    if value is None:
        return column, column + 2 if dash else 0, key, None, _OPEN
    return column, column + 2 if dash else 0, key, scalars.WORDS.get(value, value), _SCALAR


def _parse(text: str) -> _Line:
    """Takes a line apart."""
    if len(text) > _LONGEST:
        raise _Other
    found = _PARTS.fullmatch(text)
    if found is None or not text.isprintable():  # Python's idea of printable is narrower than YAML's
        raise _Other
    margin, dash, key, value = found.groups()
    column = len(margin)
    inner = column + len(dash) if dash else 0
    if key is not None:
        key = scalars.plain_keys[key]
    value = value.rstrip(" ")
    if dash or key is not None:
        return column, inner, key, *_parse_value(key, value)
    if not value or value[0] == "#":
        return -1, 0, None, None, _NOTHING
    return column, 0, None, _plain_text(value, commented=False), _TEXT


def _parse_value(key: str | None, value: str) -> tuple[Any, int]:
    """What stands behind a key or a dash, and of what sort it is."""
    first = value[:1]
    if first in ("", "#"):
        return None, _OPEN if key is not None else _other()
    if first in "{[":
        data, end = _parse_flow(value, 0, _FLOW_DEPTH)
        return data, _FLOW if _COMMENT.fullmatch(value, end) else _other()
    if first in "'\"":
        closed = (_SINGLE if first == "'" else _DOUBLE).fullmatch(value)
        return (_unescape(first, closed[1]), _SCALAR) if closed else (value, _UNFINISHED)
    if first == "|":
        return value, _LITERAL if value in ("|", "|-") else _other()
    return scalars.plain_values[_plain_text(value)], _SCALAR


def _plain_text(value: str, *, commented: bool = True) -> str:
    """A plain text, without the comment behind it."""
    comment = value.find(" #")
    if comment >= 0:
        if not commented:
            raise _Other
        value = value[:comment].rstrip(" ")
    first = value[0]
    if not first.isalnum() and first not in _PLAIN_START and (first != "-" or value[1:2] in ("", " ")):
        raise _Other
    if ": " in value or value[-1] == ":":
        raise _Other
    return value


def _unescape(quote: str, text: str) -> str:
    if quote == "'":
        return text.replace("''", "'")
    return _ESCAPE.sub(lambda found: _MEANT[found[1]], text) if "\\" in text else text


def _parse_flow(text: str, at: int, depth: int) -> tuple[Any, int]:
    """A value inside braces that begins here, and where it ends."""
    if text[at : at + 1] == "{":
        return _parse_flow_mapping(text, at, depth)
    if text[at : at + 1] != "[":
        return _parse_flow_scalar(text, at, scalars.plain_values)
    items: list[Any] = []
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]" or items:
        item, at = _parse_flow(text, at, depth - 1 if depth else _other())
        items.append(item)
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            break
        at = _skip(text, _expect(text, at, ","))
    return items, at + 1


def _parse_flow_mapping(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    fields: dict[str, Any] = {}
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}" or fields:
        key, at = _parse_flow_scalar(text, at, scalars.plain_keys)
        at = _skip(text, _expect(text, at, ": "))
        if key in fields:
            raise _Other
        fields[key], at = _parse_flow(text, at, depth - 1 if depth else _other())
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            break
        at = _skip(text, _expect(text, at, ","))
    return fields, at + 1


def _parse_flow_scalar(text: str, at: int, meaning: Mapping[str, Any]) -> tuple[Any, int]:
    found = _FLOW_SCALAR.match(text, at)
    if found is None:
        raise _Other
    single, double, plain = found.groups()
    if plain is not None:
        return meaning[plain], found.end()
    return (double if single is None else _unescape("'", single)), found.end()


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] == " ":
        at += 1
    return at


def _expect(text: str, at: int, sign: str) -> int:
    if not text.startswith(sign, at):
        raise _Other
    return at + len(sign)


# --- values of several lines


def _continue_plain(before: bytes, line: bytes, at: int, lines: Iterator[bytes]) -> tuple[Any, bytes]:
    """A plain text that began in the line before and goes on in this one; and the first line behind it."""
    found = _PARTS.fullmatch(before.decode())
    if found is None or not found[4]:
        raise _Other
    words = [_plain_text(found[4].rstrip(" "), commented=False)]
    column, _, _, text, sort = _lines[line]
    while sort == _TEXT and column > at:
        words.append(text)
        line = next(lines, b"")
        column, _, _, text, sort = _lines[line]
    return scalars.plain_values[" ".join(words)], line


def _continue_quoted(value: str, at: int, lines: Iterator[bytes]) -> tuple[str, bytes]:
    """A quoted text that is not closed in its first line; and the first line behind it."""
    quote, rest = value[0], value[1:]
    words: list[str] = []
    while True:
        found = _REST[quote].fullmatch(rest)
        if found is None:
            raise _Other
        if found[2]:
            words.append(found[1])
            return _unescape(quote, " ".join(words)), next(lines, b"")
        words.append(rest.rstrip(" "))
        line = next(lines, b"").decode()
        rest = line.lstrip(" ")
        if not rest or len(line) - len(rest) <= at or len(line) > _LONGEST or not line.isprintable():
            raise _Other


def _read_literal(header: str, at: int, lines: Iterator[bytes]) -> tuple[str, bytes]:
    """The lines below `|`; and the first line that is none of them."""
    line = next(lines, b"")
    margin = len(line) - len(line.lstrip(b" "))
    if margin <= at or margin == len(line) or line[margin : margin + 1] == b"\t":
        raise _Other
    indent = line[:margin]
    words: list[str] = []
    last = line
    for last in itertools.chain((line,), lines):
        if not last.startswith(indent):
            if last.strip(b" "):
                break
            words.append("")
            continue
        text = last[margin:].decode()
        if not text.replace("\t", "").isprintable() or text.isspace():
            raise _Other
        words.append(text)
    else:
        if last.strip(b" "):  # the text ends without the end of a line
            raise _Other
        last = b""
    while words and not words[-1]:
        words.pop()
    return "\n".join(words) + ("\n" if header == "|" else ""), last


# --- places


class _Counted:
    """Lines, and at which character of the document the one begins that was taken last."""

    def __init__(self, raw: bytes) -> None:
        self._lines = _split(raw)
        self._next = len(_SEPARATOR) if raw.startswith(_SEPARATOR) else 0
        self.start = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = next(self._lines)
        self.start = self._next
        self._next += 1 + (len(line) if line.isascii() else len(line.decode()))
        return line


def block_places(raw: bytes) -> Place:  # noqa: C901, PLR0912 - the steps of `_build`, side by side with it
    """Where the fields stand of a document that `decode_block_style` decodes: as libyaml's events say, but sooner."""
    lines = _Counted(raw)
    root: dict[str, Place] = {}
    first = -1
    node: Any = root
    at = 0
    pending: str | None = None
    above: list[tuple[int, Any]] = []
    before = b""
    line = next(lines, None)
    while line is not None:
        column, inner, key, value, sort = _lines[line]
        if column < 0 or sort == _TEXT:
            line = next(lines, None) if column < 0 else _continue_plain(before, line, at, lines)[1]
            before = b""
            continue
        start = lines.start
        if first < 0:
            first = start + column
        if column > at and pending is not None:
            above.append((at, node))
            node = _open(node, pending, [] if inner else {})
            at = column
        while column < at:
            at, node = above.pop()
        if inner and isinstance(node, dict) and pending is not None:
            above.append((at, node))  # a sequence that is indented no further than its key
            node = _open(node, pending, [])
        elif not inner and isinstance(node, list):
            at, node = above.pop()
        place = Place(start + (inner or column), _fields_in_braces(line, start) if sort == _FLOW else None)
        if key is None:
            node.append(place)
        else:
            if inner:
                above.append((at, node))
                node.append(Place(place.start, {}))
                node, at = node[-1].fields, inner
            node[key] = place
        pending = key if sort == _OPEN else None
        before = line
        if sort == _LITERAL:
            line = _read_literal(value, at, lines)[1]
        elif sort == _UNFINISHED:
            line = _continue_quoted(value, at, lines)[1]
        else:
            line = next(lines, None)
    return Place(first, root)


def _open(node: dict[str, Place], key: str, below: Any) -> Any:
    """Says that what is below a key begins here."""
    node[key] = Place(node[key].start, below)
    return below


def _fields_in_braces(line: bytes, start: int) -> Any:
    text = line.decode()
    found = _PARTS.fullmatch(text)
    return _place_in_braces(text, found.start(4) if found else 0, start)[0].fields


def _place_in_braces(text: str, at: int, start: int) -> tuple[Place, int]:
    """The place of a value inside braces that begins here, and where it ends."""
    begin, sign = start + at, text[at]
    if sign not in "{[":
        return Place(begin), _parse_flow_scalar(text, at, scalars.plain_values)[1]
    fields: dict[str, Place] = {}
    items: list[Place] = []
    at = _skip(text, at + 1)
    while text[at] not in "}]":
        key, key_at = None, at
        if sign == "{":
            key, at = _parse_flow_scalar(text, at, scalars.plain_keys)
            at = _skip(text, _expect(text, at, ": "))
        place, at = _place_in_braces(text, at, start)
        if key is None:
            items.append(place)
        else:
            fields[key] = Place(start + key_at, place.fields)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return Place(begin, fields if sign == "{" else items), at + 1
