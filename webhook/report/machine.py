"""What a program reads: JSON (CONTRACT.md, `check`)."""

from typing import Any

import msgspec

from webhook.check import Level
from webhook.report.results import Result, Results, in_file_order


def as_json(results: Results) -> bytes:
    """The results as one JSON document."""
    document: dict[str, Any] = {
        "findings": [_finding(r) for r in in_file_order(results.findings)],
        "effects": list(results.effects),
        "waived": [{**_finding(r), "reason": r.ruling.waived} for r in results.waived],
        "summary": {
            "objects": results.objects,
            **{str(level): results.count(level) for level in sorted(Level, reverse=True)},
            "waived": len(results.waived),
            "unknown": list(results.unknown),
        },
    }
    if results.gone is not None:
        document["known"] = [_finding(r) for r in in_file_order(results.known)]
        document["summary"] |= {"known": len(results.known), "gone": results.gone}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _finding(result: Result) -> dict[str, Any]:
    ruling = result.ruling
    finding: dict[str, Any] = {
        "check": ruling.check,
        "level": str(ruling.level),
        "action": ruling.action.value,
        "object": {
            "apiVersion": ruling.object.api_version,
            "kind": ruling.object.kind,
            "namespace": ruling.object.namespace,
            "name": ruling.object.name,
        },
        "path": ruling.finding.path,
        "value": ruling.finding.value,
        "message": ruling.finding.line,
        "remedy": ruling.finding.remedy,
        "detail": ruling.finding.detail,
        "also": list(ruling.also),
    }
    if result.manifest and (position := result.position):
        finding["source"] = {
            "file": result.manifest.file,
            "document": result.manifest.document,
            "line": position.line,
            "column": position.column,
        }
    return finding
