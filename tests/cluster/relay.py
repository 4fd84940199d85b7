"""Connections passed on: what kube-proxy does for a Service, and a wire that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from typing import Any

import aiohttp
from aiohttp import web


class Relay:
    """Passes connections on from an address and port to others.

    Args:
        address: where it listens, and of what it passes on to.
        port: where it listens; 0 takes any free one.
        target: the port it passes on to.
    """

    def __init__(self, address: str, port: int, target: int) -> None:
        self._to: Sequence[tuple[str, int]] = [(address, target)]
        self._turn = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, address, port, backlog=1024))

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._open)

    def pass_on_to(self, *targets: tuple[str, int]) -> None:
        """New connections go to these, one after the other: the endpoints of a Service. The others are left alone."""
        self._to = targets

    def cut(self) -> int:
        """Ends every connection at once; returns how many there were."""

        async def end() -> int:
            every = list(self._open)
            for task in every:
                task.cancel()
            return len(every)

        return int(self._run(end()))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        ends = [writer]
        try:
            targets = self._to
            if not targets:
                raise ConnectionRefusedError  # as kube-proxy has it
            there, back = await asyncio.open_connection(*targets[next(self._turn) % len(targets)])
            ends.append(back)
            pumps = [asyncio.create_task(self._pump(reader, back)), asyncio.create_task(self._pump(there, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # nobody listens there now, or the test is over
        finally:
            for end in ends:
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()
            self._open.discard(task)

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    async def _end(self) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        while self._open:  # noqa: ASYNC110 - they take themselves out
            await asyncio.sleep(0.01)
        await self._server.wait_closed()

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class FaultyAPI:
    """Stands before an API server, in plain HTTP, and refuses, cuts or keeps waiting what is asked through it.

    Args:
        url: the API server's.
        trust: of its certificate.
    """

    def __init__(self, url: str, trust: ssl.SSLContext) -> None:
        self._url, self._trust = url, trust
        self._refusal: tuple[int, str] | None = None
        self._waiting = False
        self._late = 0.0
        self._streams_lists = True
        self.unstreamed = 0
        """How many were refused that asked for a list as a stream."""
        self._open: set[asyncio.Task[object]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port: int = self._run(self._start())

    async def _start(self) -> int:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def _pass_on(self, asked: web.Request) -> web.StreamResponse:
        while self._waiting:  # noqa: ASYNC110 - a test sets it from its own thread
            await asyncio.sleep(0.05)
        if self._refusal is not None and asked.method == "GET":
            code, reason = self._refusal
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
            headers = {"Retry-After": "1"} if code == 429 else {}
            return web.json_response(status | {"message": "by a test"}, status=code, headers=headers)
        if not self._streams_lists and "sendInitialEvents" in asked.query:
            self.unstreamed += 1
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422, "reason": "Invalid"}
            message = "sendInitialEvents: Forbidden: the WatchList feature gate is not enabled"
            return web.json_response(status | {"message": message}, status=422)
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        dropped = {"Host", "Content-Length", "Transfer-Encoding", "Connection"}
        kept = {name: value for name, value in asked.headers.items() if name not in dropped}
        try:
            async with self._session.request(
                asked.method, self._url + asked.path_qs, headers=kept, data=await asked.read(), ssl=self._trust
            ) as answer:
                passed = web.StreamResponse(status=answer.status)
                passed.headers.update({n: v for n, v in answer.headers.items() if n not in dropped})
                await passed.prepare(asked)
                parts = self._parts_in_time(answer.content) if "watch" in asked.query else answer.content.iter_any()
                async for data in parts:
                    await passed.write(data)
            await passed.write_eof()
        except aiohttp.ClientError:
            if asked.transport is not None:
                asked.transport.abort()
            raise
        else:
            return passed
        finally:
            self._open.discard(task)

    async def _parts_in_time(self, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        """What comes, as late as it is to be: each part by itself, so that they do not add up."""
        came: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def read() -> None:
            try:
                async for data in content.iter_any():
                    came.put_nowait((self._loop.time() + self._late, data))
            finally:
                came.put_nowait((0, b""))

        reading = asyncio.create_task(read())
        try:
            while True:
                due, data = await came.get()
                if not data:
                    break
                await asyncio.sleep(max(0, due - self._loop.time()))
                yield data
            await reading
        finally:
            reading.cancel()

    @contextlib.contextmanager
    def refusing(self, code: int, reason: str) -> Iterator[None]:
        """Ends every answer under way, and answers this to all that is read."""
        self._refusal = code, reason
        self.cut()
        try:
            yield
        finally:
            self._refusal = None

    @contextlib.contextmanager
    def keeping_waiting(self) -> Iterator[None]:
        """Answers nothing that is asked from now on."""
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False

    @contextlib.contextmanager
    def late(self, seconds: float) -> Iterator[None]:
        """Passes each part of a watch on so many seconds later."""
        self._late = seconds
        try:
            yield
        finally:
            self._late = 0.0

    @contextlib.contextmanager
    def without_streamed_lists(self) -> Iterator[None]:
        """Refuses lists as streams, as API servers do whose etcd cannot tell how far it is.

        Source: k8s.io/apimachinery pkg/apis/meta/internalversion/validation (ValidateListOptions).
        """
        self._streams_lists = False
        try:
            yield
        finally:
            self._streams_lists = True

    def cut(self) -> int:
        """Ends every answer under way; returns how many there were."""

        async def end() -> int:
            every = list(self._open)
            for task in every:
                task.cancel()
            return len(every)

        return int(self._run(end()))

    @property
    def open(self) -> int:
        """How many answers are under way: watches, mostly."""
        return len(self._open)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _end(self) -> None:
        self._waiting = False
        for task in list(self._open):
            task.cancel()
        await self._runner.cleanup()
        await self._session.close()

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
