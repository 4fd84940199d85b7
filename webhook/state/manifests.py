"""Reads files, folders and standard input into manifests: one Kubernetes object each, and where its fields stand.

Documents are split, decoded and refused as kubectl does it (k8s.io/apimachinery pkg/util/yaml); unlike kubectl, what
cannot be read does not stop the reading of what follows.
"""

import bisect
import functools
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from webhook.model.manifest import DuplicateKey, FieldPath, InputError, Manifest, Position, format_path
from webhook.state.documents import decode_json, decode_yaml
from webhook.state.places import Decoded, DocumentError, Place, Repeat, Text, places_along

STDIN = "-"
suffixes = (".yaml", ".yml", ".json")
_largest = 512 << 20
"""Bytes of one document: an API server takes 3 MiB, a list of 100,000 pods has 400 MiB; endless input ends here."""

_longest_block = 1 << 16
_COMMENTS = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*(?:#[^\n]*)?")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NEXT_JSON = re.compile(r"\n(?=\{)")


def read_manifests(paths: Iterable[str], *, stdin: BinaryIO | None = None) -> Iterator[Manifest | InputError]:
    """Reads the Kubernetes objects of files, folders and standard input, in order, one document at a time.

    ``paths``: a file (whatever its name ends in), a folder (all .yaml, .yml and .json files in it and below, sorted,
    without hidden ones), or ``-``, which reads ``stdin``. The items of lists come one by one, with their list's
    document number.

    Nothing is raised: what cannot be read comes as an InputError in its place, and reading goes on with the next
    document, or file; what is no Kubernetes object comes as one whose ``notice`` is true. Manifests may share data
    (YAML aliases): do not change it.
    """
    for path in paths:
        if path == STDIN:
            if stdin is None:
                yield InputError("there is no standard input to read", file="<stdin>")
            else:
                yield from _read_stream("<stdin>", stdin)
            continue
        try:
            files = list(_files_of(path))
        except OSError as error:
            yield InputError(_reason(error), file=error.filename or path)
            continue
        if not files:
            yield InputError("there is no .yaml, .yml or .json file in this folder", file=path)
        for file in files:
            yield from _read_file(file)


def _files_of(path: str) -> Iterator[str]:
    if not Path(path).is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(suffixes) and not name.startswith("."):
                yield os.path.join(folder, name)  # noqa: PTH118 - Path would drop the ./ the user wrote


def _raise(error: OSError) -> None:
    raise error


def _reason(error: Exception) -> str:
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _read_file(file: str) -> Iterator[Manifest | InputError]:
    shown = os.fsencode(file).decode(errors="replace")  # a name that is not UTF-8 fits into no report
    try:
        stream = open(file, "rb")  # noqa: PTH123, SIM115 - closed below; the reading goes on between
    except (OSError, ValueError) as error:
        yield InputError(_reason(error), file=shown)
        return
    with stream:
        yield from _read_stream(shown, stream)


def _read_stream(file: str, stream: BinaryIO) -> Iterator[Manifest | InputError]:
    pieces = _split(stream)
    numbers = itertools.count(1)
    is_json: bool | None = None  # the first document decides, as in YAMLOrJSONDecoder
    while True:
        try:
            piece = next(pieces, None)
        except (OSError, ValueError, MemoryError) as error:
            yield InputError(_reason(error), file=file)
            return
        if piece is None:
            return
        in_braces = piece.raw.lstrip()[:1] == b"{"
        is_json = in_braces if is_json is None else is_json
        yield from _Chunk(file, piece, numbers).read(is_json=is_json and in_braces)


# --- splitting --------------------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """What stands between two lines that start with ``---``."""

    first_line: int
    raw: bytes
    problem: str = ""


def _split(stream: BinaryIO) -> Iterator[_Piece]:
    """Splits as YAMLReader does (apimachinery pkg/util/yaml/decoder.go), by the text alone.

    A separator with nothing above it stays in its document, as there. What stands above the first separator counts as
    a document only if it is more than comments.
    """
    kept: bytes | bytearray = b""  # lines one by one would weigh forty times as much where they are short
    first_line = line_number = 1
    problem = ""
    separated, at_start = False, True
    for block in _blocks(stream):
        start = 0
        while start < len(block):
            if at_start and block.startswith(b"---", start):
                end = block.find(b"\n", start) + 1 or len(block)
                if problem or separated or not _COMMENTS.fullmatch(kept):
                    yield _Piece(first_line, bytes(kept), problem)
                line = block[start:end]
                rest = line[3:].strip()
                problem = ""
                if rest and not rest.startswith(b"#"):
                    problem = f"invalid Yaml document separator: {rest.decode(errors='replace')[:80]}"
                keep = problem or not kept
                kept, first_line = (line, line_number) if keep else (b"", line_number + 1)
                separated = True
            else:
                end = block.find(b"\n---", start) + 1 or len(block)
                if len(kept) + end - start > _largest:
                    problem = problem or f"larger than {_largest >> 20} MiB"
                    kept = kept or block[start : block.find(b"\n", start, start + _largest) + 1]
                    kept = kept[: kept.find(b"\n") + 1]
                elif not problem and kept:
                    kept = kept if isinstance(kept, bytearray) else bytearray(kept)
                    kept += block[start:end]
                elif not problem:
                    kept = block[start:end]
            at_start = block.endswith(b"\n", start, end)
            line_number += block.count(b"\n", start, end)
            start = end
    if kept or problem:
        yield _Piece(first_line, bytes(kept), problem)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """What is there to read, as it comes in: whole lines, and pieces of lines that are longer than `_longest_block`."""
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)  # read waits for more than there is yet
    block = b""
    while len(block) < 3 and (more := read(_longest_block)):
        block += more
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raw = block + stream.read(_largest)
        if len(raw) > _largest:
            raise ValueError(f"UTF-16, and larger than {_largest >> 20} MiB")
        block, read = raw.decode("utf-16").encode(), lambda _: b""
    block = block.removeprefix(b"\xef\xbb\xbf")
    unfinished = b""
    while block:
        end = block.rfind(b"\n") + 1
        if not end and len(unfinished) <= _longest_block:
            unfinished += block
        else:
            yield unfinished + block[:end]
            unfinished = block[end:]
        block = read(_longest_block)
    if unfinished:
        yield unfinished


# --- one piece of a file ----------------------------------------------------------------------------------------------


class _Chunk:
    """A piece of a file: one YAML document, or any number of JSON values."""

    def __init__(self, file: str, piece: _Piece, numbers: Iterator[int]) -> None:
        self.file = file
        self.piece = piece
        self.text = Text(piece.raw, piece.first_line)
        self.numbers = numbers
        self.number = 0

    def read(self, *, is_json: bool) -> Iterable[Manifest | InputError]:
        if self.piece.problem:
            self.number = next(self.numbers)
            return (self._error(self.piece.problem, 0),)
        if is_json and _is_utf8(self.piece.raw):
            return self._read_json()
        return self._read_yaml()

    def _read_yaml(self) -> Iterable[Manifest | InputError]:
        self.number = next(self.numbers)
        try:
            decoded = decode_yaml(self.piece.raw, self.text)
        except DocumentError as error:
            return (self._error(str(error), error.index),)
        if decoded is None:
            return ()
        objects = self._objects(decoded)
        if decoded.ignored_from is None:
            return objects
        ignored = "kubectl does not read what follows the end of this document: separate documents with ---"
        return itertools.chain(objects, (self._error(ignored, decoded.ignored_from, notice=True),))

    def _read_json(self) -> Iterator[Manifest | InputError]:
        """JSON first, then YAML in braces, then the complaint that came further: the order of YAMLOrJSONDecoder."""
        start: int | None = 0
        while start is not None:
            values = 0
            try:
                for decoded in decode_json(self.text, start):
                    values += 1
                    self.number = next(self.numbers)
                    yield from self._objects(decoded)
            except DocumentError as error:
                problem = error
            else:
                return
            if start == values == 0:
                try:
                    decode_yaml(self.piece.raw, self.text)
                except DocumentError as error:
                    problem = max(problem, error, key=lambda one: one.index)
                else:
                    yield from self._read_yaml()
                    return
            self.number = next(self.numbers)
            yield self._error(str(problem), problem.index)
            following = _NEXT_JSON.search(self.text.decoded, problem.index)
            start = following.end() if following else None

    def _objects(self, decoded: Decoded) -> Iterable[Manifest | InputError]:
        return () if decoded.data is None else _Document(self, decoded).flatten(decoded.data, ())

    def _error(self, message: str, index: int, *, notice: bool = False, path: FieldPath = ()) -> InputError:
        position = self.text.position(index)
        line_text = self.text.line(position.line)
        if "{{" in line_text and not notice:
            message += "; a Helm template must be rendered first (helm template)"
        return InputError(
            _printable(message),
            file=self.file,
            document=self.number,
            position=position,
            path=_printable(format_path(path)),
            notice=notice,
            line_text=line_text,
        )


def _printable(text: str) -> str:
    """What is quoted from a file must not break the line or drive the terminal."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Document:
    """One decoded document: takes lists apart, and reads the text again when a place is asked for."""

    def __init__(self, chunk: _Chunk, decoded: Decoded) -> None:
        self._chunk = chunk
        self._number = chunk.number
        self._decoded = decoded

    @functools.cached_property
    def _places(self) -> tuple[Place, list[Repeat]]:
        return self._decoded.places()

    def locate(self, prefix: FieldPath, path: FieldPath) -> Position:
        return self._chunk.text.position(self._index((*prefix, *path)))

    def _index(self, path: FieldPath) -> int:
        return places_along(self._places[0], path).start

    def flatten(
        self, data: Any, path: FieldPath, api_version: Any = "", kind: Any = ""
    ) -> Iterable[Manifest | InputError]:
        """The object, or the objects of a list; typed lists leave apiVersion and kind out of their items."""
        if not isinstance(data, dict):
            return (self._notice("not a Kubernetes object (not a mapping), skipped", path),)
        if kind and not data.get("kind") and not data.get("apiVersion"):
            data = {"apiVersion": api_version, "kind": kind, **_without_empty(data)}
        api_version, kind = data.get("apiVersion", ""), data.get("kind", "")
        if not (isinstance(api_version, str) and api_version and isinstance(kind, str) and kind):
            missing = [name for name in ("apiVersion", "kind") if not isinstance(data.get(name), str) or not data[name]]
            return (self._notice(f"not a Kubernetes object (no {' and no '.join(missing)}), skipped", path),)
        if kind.endswith("List") and (isinstance(data.get("items"), list) or kind == "List"):
            return self._flatten_list(data, path, api_version, kind)
        manifest = Manifest(
            file=self._chunk.file,
            document=self._number,
            data=data,
            locate=functools.partial(self.locate, path),
            duplicate_keys=tuple(self._repeats_below(path)) if self._decoded.repeats else (),
            line_text=self._chunk.text.line,
        )
        return (manifest,)

    def _flatten_list(
        self, data: dict[str, Any], path: FieldPath, api_version: str, kind: str
    ) -> Iterator[Manifest | InputError]:
        yield from self._repeats_of_list(path)
        items = data.get("items")
        for number, item in enumerate(items if isinstance(items, list) else ()):
            yield from self.flatten(item, (*path, "items", number), api_version, kind.removesuffix("List"))

    @functools.cached_property
    def _repeats(self) -> list[Repeat]:
        """By path, so that those of one item of a long list stand together."""
        return sorted(self._places[1])

    def _repeats_below(self, path: FieldPath) -> Iterator[DuplicateKey]:
        if self._decoded.repeats:
            position = self._chunk.text.position
            start = bisect.bisect_left(self._repeats, path, key=lambda repeat: repeat.path)
            below = itertools.takewhile(
                lambda repeat: repeat.path[: len(path)] == path, itertools.islice(self._repeats, start, None)
            )
            for repeat in sorted(below, key=lambda repeat: repeat.last):
                yield DuplicateKey(repeat.path[len(path) :], position(repeat.first), position(repeat.last))

    def _repeats_of_list(self, path: FieldPath) -> Iterator[InputError]:
        """A list's own keys belong to none of its items, and a second `items` drops objects."""
        for repeat in self._repeats_below(path):
            if len(repeat.path) < 3 or repeat.path[0] != "items":
                message = f"the key is here twice (first in line {repeat.first.line}); kubectl silently keeps the last"
                full = (*path, *repeat.path)
                yield InputError(
                    message,
                    file=self._chunk.file,
                    document=self._number,
                    position=repeat.last,
                    path=_printable(format_path(full)),
                    line_text=self._chunk.text.line(repeat.last.line),
                )

    def _notice(self, message: str, path: FieldPath) -> InputError:
        position = self.locate(path, ())
        return InputError(
            message,
            file=self._chunk.file,
            document=self._number,
            position=position,
            path=format_path(path),
            notice=True,
            line_text=self._chunk.text.line(position.line),
        )


def _without_empty(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in ("apiVersion", "kind")}
