"""Resident memory of `netadmit serve` with 5,000 pods that it reads from a real API server."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final

from bench import table
from bench.generate import Size, objects
from tests.cluster.control_plane import ADMIN, ControlPlane, is_built

_PODS: Final = 5_000
_THREADS: Final = 8
_MOST: Final = 100
"""MiB (DESIGN.md, budgets)."""


def main() -> None:
    """Prints the memory before and after; or why it was not measured."""
    table.title(f"`netadmit serve` on {_PODS:,} pods that it reads from a real API server")
    if not is_built():
        table.line("resident memory", "not measured: `make cluster` builds the API server")
        return
    with ControlPlane() as plane, tempfile.TemporaryDirectory() as folder:
        before = _served(plane, folder)
        _fill(plane)
        after = _served(plane, folder)
        # What an API server adds to a pod of its own accord is part of it: managedFields, tolerations, status.
        size = len(json.dumps(plane.request("GET", "/api/v1/namespaces/team-000/pods?limit=1").body["items"][0]))
    table.line("resident memory, empty cluster", f"{before:.0f} MiB")
    table.at_most(f"resident memory, pods of {size / 1024:.1f} KiB each", after, _MOST, "MiB")


def _fill(plane: ControlPlane) -> None:
    everything = list(objects(Size(50, _PODS, 300)))
    for namespace in (o for o in everything if o["kind"] == "Namespace" and o["metadata"]["name"] != "kube-system"):
        plane.request("POST", "/api/v1/namespaces", namespace)
    pods = [o for o in everything if o["kind"] == "Pod"]
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(lambda i: _create(plane, pods[i::_THREADS]), range(_THREADS)))


def _create(plane: ControlPlane, pods: list[dict[str, Any]]) -> None:
    connection = HTTPSConnection("127.0.0.1", plane.port, context=plane.ssl_context)
    headers = {"Authorization": f"Bearer {plane.user(ADMIN).token}", "Content-Type": "application/json"}
    for pod in pods:
        container = {"name": "c", "image": "nginx", "env": [{"name": f"V{i}", "value": "x" * 400} for i in range(15)]}
        body = {**pod, "spec": {"containers": [container]}}
        body["metadata"] = {k: v for k, v in pod["metadata"].items() if k != "ownerReferences"}
        connection.request("POST", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods", json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        if response.status != 201:
            raise RuntimeError(text.decode())
    connection.close()


def _served(plane: ControlPlane, folder: str) -> float:
    """Starts the webhook, waits until it has read everything, and gives its resident memory in MiB."""
    command = [
        sys.executable,
        "-m",
        "webhook.cli",
        "serve",
        "--bind",
        "127.0.0.1",
        "--port",
        "0",
        "--metrics-port",
        "0",
    ]
    command += ["--metrics-port", "0", "--cert-dir", folder, "--kubeconfig", str(plane.kubeconfig)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        for entry in _log(process):
            if entry.get("message") == "synced":
                break
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.kill()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _log(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    for line in process.stderr or ():
        if line.startswith("{"):
            yield json.loads(line)
