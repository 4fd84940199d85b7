"""One Kubernetes object as a person wrote it: its data, and where each field stands in the file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

FieldPath = tuple[str | int, ...]
"""Keys and list indexes from the object's root: ``("spec", "ingress", 0, "from")``."""


class Position(Struct, frozen=True):
    """A place in a file; line and column count from 1, as editors do."""

    line: int
    column: int


class DuplicateKey(Struct, frozen=True):
    """A mapping key written twice: decoders keep the last value and drop the first silently."""

    path: FieldPath
    first: Position
    last: Position


def _no_text(_line: int) -> str:
    return ""


class Manifest(Struct, frozen=True):
    """One object of one document of a file.

    ``document`` counts from 1; the items of a ``List`` share their document's number. ``locate`` gives the position
    of a field (of its key, where it has one), or of the nearest field above it that the text has; ``line_text`` gives
    a line of the document by its number in the file, to point a caret at.
    """

    file: str
    document: int
    data: dict[str, Any]
    locate: Callable[[FieldPath], Position]
    duplicate_keys: tuple[DuplicateKey, ...] = ()
    line_text: Callable[[int], str] = _no_text

    @property
    def api_version(self) -> str:
        return str(self.data.get("apiVersion", ""))

    @property
    def kind(self) -> str:
        return str(self.data.get("kind", ""))


class InputError(Struct, frozen=True):
    """What could not be read, and where; the rest of the input is still used.

    A ``notice`` is no failure: something was skipped that was not meant for Kubernetes. ``line_text`` is the line that
    ``position`` names.
    """

    message: str
    file: str = ""
    document: int = 0
    position: Position | None = None
    path: str = ""
    notice: bool = False
    line_text: str = ""

    def __str__(self) -> str:
        where = self.file
        if self.position:
            where += f":{self.position.line}:{self.position.column}"
        where += f" (document {self.document})" if self.document else ""
        return ": ".join(part for part in (where, self.path, self.message) if part)


def format_path(path: Sequence[str | int]) -> str:
    """Writes a path as the API server does: ``spec.ingress[0].from``, keys with dots as ``labels[a.b/c]``."""
    text = ""
    for part in path:
        if isinstance(part, int) or "." in part or "/" in part:
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def parse_path(text: str) -> FieldPath:
    """Reads what `format_path` writes."""
    parts: list[str | int] = []
    rest = text
    while rest:
        if rest[0] == "[":
            inner, _, rest = rest[1:].partition("]")
            parts.append(int(inner) if inner.isdecimal() else inner)
        else:
            rest = rest.removeprefix(".")
            end = min((i for i in (rest.find("."), rest.find("[")) if i >= 0), default=len(rest))
            parts.append(rest[:end])
            rest = rest[end:]
    return tuple(parts)


def value_at(data: Mapping[str, Any], path: FieldPath) -> Any:
    """The value at a path, or None where the path leads nowhere."""
    value: Any = data
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value
