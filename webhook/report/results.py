"""The outcome of judging files, as every output form needs it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct

from webhook.check import Level
from webhook.effects import EffectsOfFiles
from webhook.model.manifest import InputError, Manifest, Position, parse_path
from webhook.verdict import Action, Ruling

STDIN: Final = "<stdin>"
"""What is a manifest's file when it came from standard input: no place that can be opened."""
_INDEX: Final = re.compile(r"\[\d+\]")


class Result(Struct, frozen=True):
    """A ruling, with the text that it is about; there is none where a live cluster is judged.

    ``known`` says that a baseline has it already.
    """

    ruling: Ruling
    manifest: Manifest | None = None
    known: bool = False

    @property
    def position(self) -> Position | None:
        """Where the offending field stands; the nearest field above it where the text does not have it."""
        return self.manifest.locate(parse_path(self.ruling.finding.path)) if self.manifest else None


class Results(Struct, frozen=True):
    """Everything that was found.

    Args:
        objects: how many NetworkPolicies and Services were judged.
        results: in the order of the files.
        unknown: kinds and questions that could not be known.
        effects: what the policies of the files do to traffic; None where there is nothing to tell, or nobody asked.
        told_effects: the same as people read it, a line each.
        problems: what could not be read, and what was skipped.
        gone: how many findings of the baseline are no longer there; None without a baseline.
    """

    objects: int
    results: tuple[Result, ...]
    unknown: tuple[str, ...] = ()
    effects: EffectsOfFiles | None = None
    told_effects: Sequence[str] = ()
    problems: tuple[InputError, ...] = ()
    gone: int | None = None

    @property
    def findings(self) -> list[Result]:
        """What was not waived, and is in no baseline."""
        return [r for r in self.results if not r.ruling.waived and not r.known]

    @property
    def known(self) -> list[Result]:
        """What was not waived, but is in the baseline."""
        return [r for r in self.results if not r.ruling.waived and r.known]

    @property
    def waived(self) -> list[Result]:
        return [r for r in self.results if r.ruling.waived]

    def count(self, level: Level) -> int:
        return sum(r.ruling.level is level for r in self.findings)

    def fails(self, fail_on: Level) -> bool:
        """Whether something is denied, or is at or above this level, that no baseline has."""
        return fails((r.ruling for r in self.results if not r.known), fail_on)


def fails(rulings: Iterable[Ruling], fail_on: Level) -> bool:
    """Whether something is denied, or a finding that is not waived is at or above this level."""
    return any(r.action is Action.DENY or (not r.waived and r.level >= fail_on) for r in rulings)


def words_of(problem: InputError) -> str:
    """What could not be read, without the file, which has a place of its own in most forms."""
    return ": ".join(part for part in (problem.path, problem.message) if part)


def in_file_order(results: Sequence[Result], least: Level = Level.NOTE) -> Sequence[Result]:
    """Results by their place in the text; files stay in the order in which they were read, and what has no text.

    Args:
        results: in the order of the files.
        least: those below it are left out, and not even looked for: the text is read anew for places.
    """
    files = {file: i for i, file in enumerate(dict.fromkeys(map(_file, results)))}

    def place(result: Result) -> tuple[int, int, int]:
        at = result.position
        return (files[_file(result)], at.line, at.column) if at else (files[_file(result)], 0, 0)

    return sorted((result for result in results if result.ruling.level >= least), key=place)


def _file(result: Result) -> str:
    return result.manifest.file if result.manifest else ""


def without_indexes(path: str) -> str:
    """``spec.ingress[].from[]``: a path that stays when a rule is put in before."""
    return _INDEX.sub("[]", path)


def with_fingerprints(results: Iterable[Result]) -> Iterator[tuple[Result, str]]:
    """Results with what tells each from the others, and is the same when lines move or rules are put in before.

    It is made of the check, the object, and the offending value; of several that are alike the later are numbered.
    """
    seen: Counter[str] = Counter()
    for result in results:
        ruling = result.ruling
        finding, about = ruling.finding, ruling.object
        parts = (ruling.check, about.kind, about.namespace, about.name, without_indexes(finding.path), finding.value)
        digest = sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]
        seen[digest] += 1
        yield result, f"{digest}:{seen[digest]}"
