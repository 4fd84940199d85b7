"""Connections passed on: what kube-proxy does for a Service, and a wire that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Coroutine, Sequence
from typing import Any


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
