"""The corpus (tests/corpus): sound configurations after the patterns of well-known charts and recipes.

A folder a configuration: its files; ``upgrade/`` has what its next version has otherwise; ``made/`` has what operators
make of it, and what pods make of themselves, once it runs. ``cluster.yaml`` is the cluster that they are for.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
FOLDER = Path(__file__).parent / "corpus"
CLUSTER = FOLDER / "cluster.yaml"
NAMES = sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())


def read(name: str, part: str = "") -> list[Object]:
    """The objects of a configuration, or of its part ``upgrade`` or ``made``, in the order of its files."""
    files = sorted((FOLDER / name / part).glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]


def upgraded(name: str) -> list[Object]:
    """Its next version: new images, a replica more, labels of a version, and what ``upgrade`` has otherwise."""
    other = {(d["kind"], d["metadata"]["name"]): d for d in read(name, "upgrade")}
    return [_next(other.get((d["kind"], d["metadata"]["name"]), d)) for d in read(name)]


def _next(document: Object) -> Object:
    made = copy.deepcopy(document)
    labels = made["metadata"].get("labels", {})
    if "helm.sh/chart" in labels:
        labels["helm.sh/chart"] += "-next"
    spec = made.get("spec", {})
    if "template" in spec and document["kind"] != "Job":  # a Job's is immutable
        spec["template"]["metadata"].setdefault("annotations", {})["checksum/config"] = "next"
        for container in spec["template"]["spec"]["containers"]:
            container["image"] += "-next"
    if "replicas" in spec and document["kind"] in ("Deployment", "StatefulSet"):
        spec["replicas"] += 1
    return made
