"""Shows what netadmit does, on an example cluster that is part of it; needs nothing.

Starts the webhook's HTTPS server on free ports of this machine with a freshly issued certificate, sends it the
AdmissionReviews that an API server would send for four manifests, and prints what kubectl would print. Nothing is
stored anywhere.
"""

import argparse
import asyncio
import ssl
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from certs.store import provide
from webhook.cli import OK
from webhook.config import Config
from webhook.model.manifest import Manifest
from webhook.pipeline import Judge
from webhook.report.paint import Paint
from webhook.server import FixedState, Listeners, Service, server_tls
from webhook.state.files import FileState
from webhook.state.manifests import read_manifests

EXAMPLE = """example:
  netadmit demo
"""
_WEBHOOK: Final = "validate.netadmit.io"
_FOLDER: Final = Path(__file__).parent / "example"
_RESOURCES: Final = {"NetworkPolicy": "networkpolicies", "Service": "services"}
_NAMES: Final = {"NetworkPolicy": "networkpolicy.networking.k8s.io", "Service": "service"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(args: argparse.Namespace) -> int:
    del args
    with tempfile.TemporaryDirectory(prefix="netadmit-demo-") as folder:
        asyncio.run(_demonstrate(Path(folder)))
    return OK


async def _demonstrate(folder: Path) -> None:
    state = FileState()
    state.load([str(_FOLDER / "cluster.yaml")])
    manifests = [m for m in read_manifests(map(str, sorted(_FOLDER.glob("[0-9]*")))) if isinstance(m, Manifest)]
    files = provide(folder, ["localhost", "127.0.0.1"], datetime.now(UTC))
    service = Service(Judge(Config()), FixedState(state.cluster))
    listeners = Listeners(service, server_tls(str(files.certificate), str(files.key)))
    port, metrics_port = await listeners.open("127.0.0.1", 0, 0)
    trusted = ssl.create_default_context(cafile=files.ca)
    try:
        print(f"netadmit serves https://127.0.0.1:{port}/validate, metrics on port {metrics_port}; nothing is stored.")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session:
            for manifest in manifests:
                await _apply(session, port, manifest)
    finally:
        await listeners.close()


async def _apply(session: aiohttp.ClientSession, port: int, manifest: Manifest) -> None:
    paint = Paint(sys.stdout)
    file = Path(manifest.file).name
    print()
    print(paint("2", manifest.line_text(1)))
    print(paint("1", f"$ kubectl apply -f {file}"))
    url = f"https://127.0.0.1:{port}/validate?timeout=3s"
    async with session.post(url, json=_review(manifest.data)) as http:
        http.raise_for_status()
        response = (await http.json())["response"]
    for line in as_kubectl(response, file, manifest):
        head, separator, rest = line.partition(":")
        print(paint("1;33" if head == "Warning" else "1;31", head + separator) + rest if separator else line)


def _review(data: Mapping[str, Any]) -> dict[str, Any]:
    """The AdmissionReview that the API server would send for a new object."""
    group, _, version = data["apiVersion"].rpartition("/")
    kind = data["kind"]
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": str(uuid.uuid4()),
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": _RESOURCES[kind]},
            "name": data["metadata"]["name"],
            "namespace": data["metadata"]["namespace"],
            "operation": "CREATE",
            "userInfo": {"username": "demo"},
            "object": data,
            "dryRun": False,
        },
    }


def as_kubectl(response: Mapping[str, Any], file: str, manifest: Manifest) -> Iterator[str]:
    """What kubectl prints for an answer (facts/admission-contract.md 4.1 and 4.2)."""
    for warning in response.get("warnings", ()):
        yield f"Warning: {warning}"
    if response["allowed"]:
        yield f"{_NAMES[manifest.kind]}/{manifest.data['metadata']['name']} created"
        return
    status = response["status"]
    yield (
        f'Error from server ({status["reason"]}): error when creating "{file}": '
        f'admission webhook "{_WEBHOOK}" denied the request: {status["message"]}'
    )
