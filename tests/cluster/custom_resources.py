"""Installs the custom resources that netadmit reads where they are there, with schemas that let everything through,
and those that it writes, with the fields that they have.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from webhook.model.objects import CLUSTER_SCOPED, OPTIONAL, SERVICE_CIDR
from webhook.policy_reports import OPEN_REPORT, ReportKind
from webhook.state.watch import RESOURCES

from .control_plane import ControlPlane

CUSTOM = tuple(r for r in RESOURCES if r.kind in OPTIONAL - {SERVICE_CIDR})  # ServiceCIDR comes with the API server
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

_OUTCOMES = ("pass", "fail", "warn", "error", "skip")


@contextlib.contextmanager
def installed(plane: ControlPlane) -> Iterator[None]:
    """They are served while this context lasts; afterwards they are not, and their objects are gone."""
    made = [_definition(*_parts(resource.kind, resource.path)) for resource in CUSTOM]
    urls = [f"{_DEFINITIONS}/{definition['metadata']['name']}" for definition in made]
    paths = [resource.path for resource in CUSTOM]
    try:
        for definition in made:
            plane.request("POST", _DEFINITIONS, definition)
        _until(plane, paths, 200)
        yield
    finally:
        for url in urls:
            plane.request("DELETE", url, check=False)
        _until(plane, [*urls, *paths], 404)


@contextlib.contextmanager
def served_reports(plane: ControlPlane, kind: ReportKind) -> Iterator[str]:
    """Reports of this kind can be written while this context lasts; gives the path of them all.

    The fields, which of them must be there, and what they may say are those of the two projects' definitions
    (webhook/policy_reports.py says where they are); a field that is not among them is lost.
    """
    group, _, version = kind.group_version.partition("/")
    definition = _definition(group, version, kind.kind, kind.plural, "Namespaced")
    [served] = definition["spec"]["versions"]
    served["schema"] = {"openAPIV3Schema": _report_schema()}
    if kind is OPEN_REPORT:
        served["schema"]["openAPIV3Schema"]["properties"]["source"] = {"type": "string"}
    served["additionalPrinterColumns"] = [
        {"name": word.capitalize(), "type": "integer", "jsonPath": f".summary.{word}"} for word in _OUTCOMES
    ]
    url = f"{_DEFINITIONS}/{definition['metadata']['name']}"
    path = f"/apis/{kind.group_version}/{kind.plural}"
    plane.request("POST", _DEFINITIONS, definition)
    try:
        _until(plane, [path], 200)
        yield path
    finally:
        plane.request("DELETE", url, check=False)
        _until(plane, [url, path], 404)


def _report_schema() -> dict[str, Any]:
    text, number, switch = ({"type": word} for word in ("string", "integer", "boolean"))
    fields = ("apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid")
    reference = {"type": "object", "properties": dict.fromkeys(fields, text), "x-kubernetes-map-type": "atomic"}
    timestamp = {
        "type": "object",
        "required": ["nanos", "seconds"],
        "properties": {"nanos": number | {"format": "int32"}, "seconds": number | {"format": "int64"}},
    }
    result = {
        **dict.fromkeys(("category", "message", "policy", "rule", "source"), text),
        "properties": {"type": "object", "additionalProperties": text},
        "resources": {"type": "array", "items": reference},
        "result": text | {"enum": list(_OUTCOMES)},
        "scored": switch,
        "severity": text | {"enum": ["critical", "high", "low", "medium", "info"]},
        "timestamp": timestamp,
    }
    results = {"type": "array", "items": {"type": "object", "required": ["policy"], "properties": result}}
    summary = {"type": "object", "properties": dict.fromkeys(_OUTCOMES, number)}
    return {"type": "object", "properties": {"scope": reference, "summary": summary, "results": results}}


def _parts(kind: str, path: str) -> tuple[str, str, str, str, str]:
    group, version, word = kind.split("/")
    scope = "Cluster" if kind in CLUSTER_SCOPED else "Namespaced"
    return group, version, word, path.rpartition("/")[2], scope


def _definition(group: str, version: str, kind: str, plural: str, scope: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{plural}.{group}",
            # Without it, nothing that is not Kubernetes' own may live under k8s.io (KEP-1111).
            "annotations": {"api-approved.kubernetes.io": "unapproved, installed by a test"},
        },
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": scope,
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }


def _until(plane: ControlPlane, paths: list[str], status: int) -> None:
    deadline = time.monotonic() + 30
    while wrong := {path: found for path in paths if (found := _status(plane, path)) != status}:
        assert time.monotonic() < deadline, wrong
        time.sleep(0.05)


def _status(plane: ControlPlane, path: str) -> int:
    return plane.request("GET", path, check=False).status
