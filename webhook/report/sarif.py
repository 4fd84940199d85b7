"""What code scanning reads: SARIF 2.1.0.

Source: docs.oasis-open.org/sarif/sarif/v2.1.0; docs.github.com, SARIF support for code scanning (which results it
shows, and that it keeps one apart from others by its fingerprint).
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from webhook import __version__
from webhook.check import Check
from webhook.model.manifest import InputError, Position
from webhook.report.markdown import explained
from webhook.report.results import STDIN, Result, Results, in_file_order, with_fingerprints, words_of
from webhook.terminal import clean

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FINGERPRINT: Final = "netadmit/v1"
_SEVERITIES: Final = {"error": "error", "warning": "warning", "note": "recommendation"}


def as_sarif(results: Results, checks: Sequence[Check]) -> bytes:
    """The results as one SARIF log with one run.

    What was waived is suppressed in the source, with its reason; against a baseline, results are new or unchanged. What
    could not be read or known is a notification.

    Args:
        results: what was found.
        checks: all there are; those that spoke are the log's rules.
    """
    ordered = in_file_order(results.results)
    spoke = {result.ruling.check for result in ordered}
    rules = [check for check in checks if check.id in spoke]
    numbers = {check.id: number for number, check in enumerate(rules)}
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "netadmit", "version": __version__, "rules": [_rule(check) for check in rules]}},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": all(problem.notice for problem in results.problems),
                "toolExecutionNotifications": list(_notifications(results)),
            }
        ],
        "results": [
            _result(result, fingerprint, numbers, against_baseline=results.gone is not None)
            for result, fingerprint in with_fingerprints(ordered)
        ],
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _rule(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "shortDescription": {"text": check.summary},
        "fullDescription": {"text": check.rationale},
        "help": {
            "text": f"{check.rationale}\n\nWhat to do: {check.remedy}",
            "markdown": "\n".join(explained(check)),
        },
        "defaultConfiguration": {"level": str(check.level)},
        "properties": {"tags": ["kubernetes", *check.judges], "problem.severity": _SEVERITIES[str(check.level)]},
    }


def _result(result: Result, fingerprint: str, numbers: dict[str, int], *, against_baseline: bool) -> dict[str, Any]:
    ruling = result.ruling
    said: dict[str, Any] = {
        "ruleId": ruling.check,
        "ruleIndex": numbers[ruling.check],
        "level": str(ruling.level),
        "message": {"text": clean(f"{ruling.object}: {ruling.finding.story}")},
        "locations": [_location(result)],
        "partialFingerprints": {_FINGERPRINT: fingerprint},
        # A log in which some results have suppressions must tell of the others that they have none (3.27.23).
        "suppressions": [],
        "properties": {"action": ruling.action.value, "also": list(ruling.also)},
    }
    if ruling.waived:
        said["suppressions"] = [{"kind": "inSource", "status": "accepted", "justification": clean(ruling.waived)}]
    if against_baseline:
        said["baselineState"] = "unchanged" if result.known else "new"
    return said


def _location(result: Result) -> dict[str, Any]:
    about, path = result.ruling.object, result.ruling.finding.path
    name = "/".join(part for part in (about.kind, about.namespace, about.name) if part)
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": clean(f"{name}/{path}"), "name": clean(path), "kind": "member"}]
    }
    if result.manifest and (position := result.position):
        location |= _physical(result.manifest.file, position)
    return location


def _physical(file: str, position: Position | None) -> dict[str, Any]:
    """Where it stands; standard input has no place."""
    if file in {"", STDIN}:
        return {}
    place: dict[str, Any] = {"artifactLocation": _artifact(file)}
    if position:
        place["region"] = {"startLine": position.line, "startColumn": position.column}
    return {"physicalLocation": place}


def _artifact(file: str) -> dict[str, str]:
    """A path as a URI: relative to the root of the source where it is relative."""
    path = Path(file)
    uri = quote(os.fsencode(path.as_posix()))
    return {"uri": f"file://{uri}"} if path.is_absolute() else {"uri": uri, "uriBaseId": "%SRCROOT%"}


def _notifications(results: Results) -> Iterator[dict[str, Any]]:
    for problem in results.problems:
        yield _problem(problem)
    for question in results.unknown:
        yield {"level": "note", "message": {"text": clean(f"not known: {question}")}}


def _problem(problem: InputError) -> dict[str, Any]:
    said: dict[str, Any] = {
        "level": "note" if problem.notice else "error",
        "message": {"text": clean(words_of(problem))},
    }
    if location := _physical(problem.file, problem.position):
        said["locations"] = [location]
    return said
