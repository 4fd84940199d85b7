"""`netadmit healthz` against a service that really listens, and what it must not wait for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from webhook.model.cluster import Cluster
from webhook.pipeline import Judge
from webhook.server import FixedState, Listeners, Service

ROOT = Path(__file__).resolve().parents[1]


async def ask(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "webhook.cli", "healthz", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_it_tells_alive_from_ready_and_both_from_nobody_there() -> None:
    state = FixedState(Cluster.of([], complete=True))
    listeners = Listeners(Service(Judge(), state), None)
    _, port = await listeners.open("127.0.0.1", 0, 0)
    at = f"--metrics-port={port}"
    try:
        assert await ask(at) == (0, "ok\n", "")
        assert (await ask(at, "--ready"))[0] == 0
        state.synced = False
        assert (await ask(at))[0] == 0, "who waits for state must not be restarted"
        code, out, _ = await ask(at, "--ready")
        assert code == 1
        assert '"ready": false' in out
    finally:
        await listeners.close()
    code, out, err = await ask(at)
    assert (code, out) == (1, "")
    assert err == f"netadmit: nothing healthy at 127.0.0.1:{port}: Connection refused\n"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
async def test_somebody_else_is_not_healthy(answer: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        code, out, err = await ask(f"--metrics-port={port}")
    finally:
        server.close()
        await server.wait_closed()
    assert (code, out) == (1, "")
    assert err.startswith(f"netadmit: nothing healthy at 127.0.0.1:{port}: ")


async def test_what_is_no_port_is_refused() -> None:
    for given in ("0", "65536", "-1", "http"):
        code, _, err = await ask(f"--metrics-port={given}")
        assert code == 2
        assert f"{given!r} is no port: 1 to 65535" in err


def test_it_waits_for_no_heavy_import() -> None:
    """It starts every half minute, beside the process that needs the CPU."""
    code = (
        "import sys; from webhook.cli import main\n"
        "main(['healthz', '--metrics-port=1'])\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & "
        "{'aiohttp', 'asyncio', 'cryptography', 'kubernetes', 'msgspec', 'prometheus_client', 'yaml'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert done.stdout == b"[]\n"
