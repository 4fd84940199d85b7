"""What a program reads: JSON (CONTRACT.md, `check`)."""

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from webhook.check import Level
from webhook.effects import EffectsOfFiles
from webhook.report.flows.machine import Encoded
from webhook.report.results import Result, Results, in_file_order

_NO_EFFECTS: Final = '\n  "effects": []'
"""Where the effects go; within a text there is no line break."""


def as_json(results: Results) -> Iterator[str]:
    """The results as one JSON document, piece by piece: the effects, one a line, may be millions."""
    document: dict[str, Any] = {
        "findings": [_finding(r) for r in in_file_order(results.findings)],
        "effects": [],
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
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    before, here, after = text.partition(_NO_EFFECTS)
    yield before + here.removesuffix("]")
    start, end = "", "]"
    for piece in _effects(results.effects) if results.effects is not None else ():
        yield f"{start}\n    {piece}"
        start, end = ",", "\n  ]"
    yield f"{end}{after}\n"


class _Ends(dict[tuple[str, ...], str]):
    """How a flow on these ports ends."""

    def __missing__(self, ports: tuple[str, ...]) -> str:
        text = self[ports] = f', "ports": {json.dumps(ports)}}}'
        return text


def _effects(effects: EffectsOfFiles) -> Iterator[str]:
    """The effects, those that come from one workload together."""
    names, ends = Encoded[str](), _Ends()
    for change, (source, to) in effects.flows:
        start = f'{{"change": "{change}", "src": {names[source]}, "dst": '
        yield ",\n    ".join([start + names[destination] + ends[ports] for destination, ports in to])
    for change, name, direction in effects.workloads:
        yield f'{{"change": "{change}", "workload": {names[name]}, "direction": "{direction}"}}'


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
