"""Reviews per second and latency of the webhook, next to the same server saying yes to everything, in one run.

Both are aiohttp servers with the same limits over TLS on loopback, each in a process of its own; one client sends the
same AdmissionReviews to both, eight at a time.
"""

import asyncio
import json
import multiprocessing
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Final

from aiohttp import web

from bench import table
from bench.generate import SIZES, Size, policy, records, teams
from certs.store import provide
from webhook.model.cluster import Cluster
from webhook.model.objects import NETWORK_POLICY
from webhook.pipeline import Judge
from webhook.server import FixedState, Listeners, Service, server_tls
from webhook.verdict import Action

_PARALLEL: Final = 8
_REQUESTS: Final = 6_000
_ROUNDS: Final = 3
_LEAST_RATE: Final = 0.3
_MOST_LATENCY: Final = {"M": 10, "L": 25}
"""Milliseconds for 99 of 100 (DESIGN.md, budgets)."""
_HEAD: Final = "POST /validate?timeout=3s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class _YesService(Service):
    """The same server, saying yes to everything: what an empty webhook costs."""

    async def _answer(self, http: web.Request, speaks: frozenset[Action]) -> web.Response:
        del speaks
        uid = json.loads(await http.read())["request"]["uid"]
        response = {"uid": uid, "allowed": True}
        answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return web.json_response(answer)


def _cluster(size: Size) -> Cluster:
    return Cluster.of(records(size), complete=True)


def _serve(kind: type[Service], size: Size, folder: Path, tell: Connection) -> None:
    async def serve() -> None:
        service = kind(Judge(), FixedState(_cluster(size)))
        listeners = Listeners(service, server_tls(str(folder / "tls.crt"), str(folder / "tls.key")))
        port, _ = await listeners.open("127.0.0.1", 0, 0)
        tell.send(port)
        await asyncio.Event().wait()

    asyncio.run(serve())


def _requests(size: Size) -> list[bytes]:
    random = Random(2)  # noqa: S311
    names = teams(size)
    return [_http(_review(policy(random, names[i % len(names)], f"new-{i}", names), i)) for i in range(200)]


def _review(data: dict[str, Any], number: int) -> bytes:
    group, _, version = NETWORK_POLICY.rpartition("/")[0].partition("/")
    request = {
        "uid": f"00000000-0000-0000-0000-{number:012}",
        "kind": {"group": group, "version": version, "kind": "NetworkPolicy"},
        "operation": "CREATE",
        "namespace": data["metadata"]["namespace"],
        "name": data["metadata"]["name"],
        "userInfo": {"username": "bench"},
        "object": data,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def _http(body: bytes) -> bytes:
    return f"{_HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _load(port: int, trusted: ssl.SSLContext, requests: list[bytes], number: int) -> list[float]:
    """Sends so many requests over eight connections; returns their latencies in seconds."""
    latencies: list[float] = []

    async def client(share: Iterator[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname="localhost")
        for request in share:
            start = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - start)
        writer.close()

    shares = ((requests[j % len(requests)] for j in range(i, number, _PARALLEL)) for i in range(_PARALLEL))
    await asyncio.gather(*(client(share) for share in shares))
    return latencies


def _resident_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    for name in ("M", "L"):
        size = SIZES[name]
        with tempfile.TemporaryDirectory() as scratch:
            _compare(name, size, Path(scratch))


def _compare(name: str, size: Size, folder: Path) -> None:
    files = provide(folder, ["localhost"], datetime.now(UTC))
    trusted = ssl.create_default_context(cafile=files.ca)
    spawn = multiprocessing.get_context("spawn")
    ports: dict[type[Service], int] = {}
    servers = {}
    for kind in (Service, _YesService):
        hear, tell = spawn.Pipe(duplex=False)
        servers[kind] = spawn.Process(target=_serve, args=(kind, size, folder, tell), daemon=True)
        servers[kind].start()
        ports[kind] = hear.recv()
    requests = _requests(size)
    rates: dict[type[Service], list[float]] = {kind: [] for kind in ports}
    latencies: dict[type[Service], list[float]] = {kind: [] for kind in ports}
    for round_ in range(_ROUNDS + 1):
        for kind, port in ports.items():
            start = time.perf_counter()
            seen = asyncio.run(_load(port, trusted, requests, _REQUESTS))
            if round_:  # the first is for warming up
                rates[kind].append(len(seen) / (time.perf_counter() - start))
                latencies[kind] += seen
    resident = _resident_mib(servers[Service].pid or 0)
    for server in servers.values():
        server.terminate()
    ours, yes = statistics.median(rates[Service]), statistics.median(rates[_YesService])
    table.title(
        f"{name}: reviews, {size.namespaces} namespaces, {size.pods:,} pods, {size.policies:,} policies, "
        f"{_PARALLEL} at a time"
    )
    table.line("the same server saying yes to everything", f"{yes:,.0f}/s")
    table.at_least("reviews, all checks", ours / yes, _LEAST_RATE, beside=f"{ours:,.0f}/s  ")
    for kind, label, most in ((_YesService, "saying yes", 0), (Service, "reviews", _MOST_LATENCY[name])):
        cuts = statistics.quantiles((one * 1000 for one in latencies[kind]), n=100)
        beside = f"half {cuts[49]:.2f} ms, p99 "
        if most:
            table.at_most(f"latency of {label}", cuts[98], most, "ms", beside=beside)
        else:
            table.line(f"latency of {label}", f"{beside}{cuts[98]:.2f} ms")
    table.line("resident", f"{resident:.0f} MiB")
