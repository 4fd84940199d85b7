"""Examples of checks, played: what the whole judge, not the check alone, says of them."""

import io
from collections.abc import Sequence
from typing import Final

from webhook.check import Check, Disclosure, Example, Judged, Operation, View
from webhook.config import Config
from webhook.model.review import Request
from webhook.pipeline import Judge, Judgement
from webhook.state.files import FileState, Reviewed
from webhook.verdict import Ruling

WHEN: Final = 1767225600.0
"""2026-01-01T00:00:00Z, when every example takes place."""


def played(example: Example, disclose: Disclosure = Disclosure.CLUSTER) -> list[Judgement]:
    """What is said of an example: once where it is a request, of each object where it is a file.

    Args:
        example: the example.
        disclose: what may be said of other namespaces.

    Raises:
        ValueError: its YAML holds no NetworkPolicy and no Service, or nothing that can be read.
    """
    state = FileState(complete=not example.partial)
    state.load(["-"], stdin=io.BytesIO(example.cluster.encode()))
    judge = Judge(Config(disclose=disclose), clock=lambda: WHEN)
    if example.view is View.CHECK:
        return [judge.check(r.manifest, r.judged, state.cluster) for r in _read(example.object, state)]
    new, old = _judged(example.object), _judged(example.old)
    shown = new or old
    if shown is None:
        raise ValueError(f"{example.title}: neither a NetworkPolicy nor a Service")
    request = Request(
        uid="1",
        operation=Operation.DELETE if new is None else Operation.UPDATE if old else Operation.CREATE,
        kind=shown.kind,
        namespace=shown.metadata.namespace,
        name=shown.metadata.name,
        new=new,
        old=old,
    )
    return [judge.admit(request, state.cluster)]


def said_by(check: Check, example: Example) -> Sequence[Ruling]:
    """What one check says of an example, in the order in which it is told."""
    return [r for judgement in played(example) for r in judgement.verdict.rulings if r.check == check.id]


def _read(text: str, state: FileState) -> list[Reviewed]:
    reviewed = state.review(["-"], stdin=io.BytesIO(text.encode()))
    if state.problems:
        raise ValueError(str(state.problems[0]))
    return reviewed


def _judged(text: str) -> Judged | None:
    return _read(text, FileState())[0].judged if text else None
