"""Cluster state from files and folders, and the objects of files that are under review."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, Final

from msgspec import Struct

from webhook.model.cluster import Cluster, Completeness
from webhook.model.manifest import InputError, Manifest, parse_path
from webhook.model.objects import (
    ALIASES,
    CLUSTER_SCOPED,
    ENDPOINTS,
    KINDS,
    UNFOLLOWED,
    NetworkPolicy,
    Record,
    Service,
)
from webhook.model.parse import DecodeError, convert, convert_template
from webhook.model.review import JUDGED
from webhook.state.manifests import read_manifests

SNAPSHOT: Final = "netadmit.io/v1/Snapshot"
"""The header document that `netadmit snapshot` writes first (CONTRACT.md, completeness)."""
_KEPT: Final = frozenset({*KINDS, *UNFOLLOWED, ENDPOINTS})


class Reviewed(Struct, frozen=True):
    """An object of a file that `check` looks at; ``judged`` is None for other kinds and for what cannot be decoded."""

    manifest: Manifest
    judged: NetworkPolicy | Service | None
    error: DecodeError | None = None


class FileState:
    """The state that files hold.

    Args:
        complete: what is not found in the files is not there.

        shown: passes on what is read, and may show how far it is.
        cluster: a state to put the files on top of, read from a live cluster.

    ``problems`` lists what could not be read; what was, is used all the same. ``unknown`` says what is not known of a
    live cluster.
    """

    def __init__(
        self,
        *,
        complete: bool = False,
        cluster: Cluster | None = None,
        shown: Callable[[Iterable[Manifest | InputError]], Iterable[Manifest | InputError]] = iter,
    ) -> None:
        self.cluster = Cluster() if cluster is None else cluster
        self._given = cluster is not None
        self.problems: list[InputError] = []
        self.unknown: tuple[str, ...] = ()
        self.objects = 0
        self._shown = shown
        self._broken: set[str] = set()
        if complete:
            self._know(KINDS)

    @property
    def beside_files(self) -> bool:
        """Whether there is a state beside the files that are under review."""
        return self.objects > 0 or self._given

    def load(self, paths: Iterable[str], *, stdin: BinaryIO | None = None) -> None:
        """Reads state from files, folders and ``-`` (standard input)."""
        for manifest in self._manifests(paths, stdin):
            kind = _kind(manifest)
            if kind == SNAPSHOT:
                self._header(manifest)
                continue
            self.objects += 1
            try:
                record = self._record(kind, manifest)
            except DecodeError as error:
                self._spoil(kind, manifest, error)
                continue
            if record is not None:
                self.cluster.put(record)

    def unload(self, paths: Iterable[str], *, stdin: BinaryIO | None = None) -> None:
        """Takes the objects that files name out of the state; one that is not there is told as a problem."""
        for manifest in self._manifests(paths, stdin):
            kind = _kind(manifest)
            metadata = manifest.data.get("metadata")
            if kind not in KINDS or not isinstance(metadata, Mapping):
                continue
            placed = _placed(kind, manifest.data, metadata)["metadata"]
            key = (str(placed.get("namespace") or ""), str(placed.get("name") or ""))
            if self.cluster.get(kind, key) is None:
                self._report(manifest, f"{kind} {'/'.join(filter(None, key))} is not in the state", "metadata.name")
            self.cluster.remove(kind, key)

    def review(self, paths: Iterable[str], *, stdin: BinaryIO | None = None) -> list[Reviewed]:
        """Reads the files that are to be applied: their objects go on top of the state, and are returned in order.

        With no state beside them the files are the state: an object in a namespace then shows that it exists.
        """
        arriving = self.beside_files
        reviewed: list[Reviewed] = []
        for manifest in self._manifests(paths, stdin):
            kind = _kind(manifest)
            if kind == SNAPSHOT:
                self._header(manifest)
                continue
            error: DecodeError | None = None
            record: Record | None = None
            try:
                record = self._record(kind, manifest)
            except DecodeError as caught:
                error = caught
                if kind not in JUDGED:  # of what is judged, the checks tell better what is wrong
                    self._spoil(kind, manifest, error)
            if isinstance(record, NetworkPolicy):
                replaced = self.cluster.get(record.kind, record.key)
                known = replaced if isinstance(replaced, NetworkPolicy) else None
                self.cluster.arriving_policies.setdefault(record.key, known)
            if record is not None:
                self.cluster.put(record, arriving=arriving)
            judged = record if isinstance(record, NetworkPolicy | Service) else None
            reviewed.append(Reviewed(manifest, judged, error))
        return reviewed

    def _manifests(self, paths: Iterable[str], stdin: BinaryIO | None) -> Iterable[Manifest]:
        for item in self._shown(read_manifests(paths, stdin=stdin)):
            if isinstance(item, InputError):
                self.problems.append(item)
            else:
                yield item

    def _record(self, kind: str, manifest: Manifest) -> Record | None:
        """The record of a kind that is kept; of others only the namespace is noted."""
        metadata = manifest.data.get("metadata")
        if kind not in _KEPT:
            if not isinstance(metadata, dict) or not isinstance(metadata.get("namespace", ""), str):
                return None
            self.cluster.mention(metadata.get("namespace", ""))
            # A Rollout, a ReplicationController: what has a pod template stands for pods, whatever its kind.
            return convert_template(kind, _placed(kind, manifest.data, metadata)) if metadata.get("name") else None
        if not isinstance(metadata, dict):
            raise DecodeError("missing" if metadata is None else "expected a mapping", "metadata")
        if not metadata.get("name") and not metadata.get("generateName"):
            raise DecodeError("missing", "metadata.name")
        return convert(kind, _placed(kind, manifest.data, metadata))

    def _header(self, manifest: Manifest) -> None:
        kinds = manifest.data.get("kinds")
        if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
            self._report(manifest, 'expected a list as ["v1/Pod", …] or ["*"]', "kinds")
            return
        named = (ALIASES.get(kind, kind) for kind in kinds)
        self._know(KINDS if "*" in kinds else (kind for kind in named if kind in KINDS))

    def _know(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            if kind not in self._broken:
                self.cluster.know(kind, Completeness.COMPLETE)

    def _spoil(self, kind: str, manifest: Manifest, error: DecodeError) -> None:
        """An object that cannot be decoded: said, and from now on not everything of its kind is known."""
        self._report(manifest, f"{manifest.api_version}/{manifest.kind}: {error.message}", error.path)
        self._broken.add(kind)
        if self.cluster.completeness(kind) is Completeness.COMPLETE:
            self.cluster.know(kind, Completeness.PARTIAL)

    def _report(self, manifest: Manifest, message: str, path: str) -> None:
        self.problems.append(
            InputError(
                message=message,
                file=manifest.file,
                document=manifest.document,
                position=manifest.locate(parse_path(path)),
                path=path,
            )
        )


def _kind(manifest: Manifest) -> str:
    kind = f"{manifest.api_version}/{manifest.kind}"
    return ALIASES.get(kind, kind)


def _placed(kind: str, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object as the API server would place it: in ``default`` when it names no namespace, with a name."""
    name = metadata.get("name") or metadata.get("generateName")
    written = metadata.get("namespace")
    # What is neither absent nor a text (`namespace: no`) is left for the decoder to name.
    namespace = "" if kind in CLUSTER_SCOPED else "default" if written in (None, "") else written
    if metadata.get("name") == name and written == namespace:
        return data
    return {**data, "metadata": {**metadata, "name": name, "namespace": namespace}}
