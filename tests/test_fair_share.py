"""Who waits for whom when objects take long to judge: counted in judgements, by a clock that only the test moves."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Any

import pytest

from webhook.check import Disclosure
from webhook.config import Config
from webhook.fair_share import LONGEST_REST, MOST_BYTES, NOTICEABLE_SECONDS, FairShare
from webhook.pipeline import Judge, Judgement
from webhook.server import FixedState

from .test_server import Start, cluster, files, policy, review, start

__all__ = ["files", "start"]


class World:
    """Reviews that take time of a clock, and leave it to others only while they wait."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.judged: list[tuple[str, float]] = []
        self.share = FairShare(clock=lambda: self.seconds, sleep=self.sleep)
        self._counter = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._counter), woken))
        await woken.wait()

    async def judge(self, namespace: str, cost: float, until: float = float("inf"), size: int = 0) -> bool:
        if not await self.share.wait(namespace, size, until):
            return False
        self.judged.append((namespace, self.seconds))
        self.seconds += cost
        self.share.charge(namespace, cost, cost)
        return True

    async def settle(self) -> None:
        """Lets everything run that can."""
        for _ in range(100):
            await asyncio.sleep(0)

    async def until(self, moment: float) -> None:
        """Moves the clock, waking whoever waits for what passes."""
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= moment:
            at, _, woken = heapq.heappop(self._sleepers)
            self.seconds = max(self.seconds, at)
            woken.set()
            await self.settle()
        self.seconds = max(self.seconds, moment)


async def test_another_namespace_finds_one_long_judgement_before_it_however_many_wait() -> None:
    world = World()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(50):
            tasks.create_task(world.judge("noisy", 0.25))
        for n in range(20):
            await world.until(n * 0.51)
            before = len(world.judged)
            tasks.create_task(world.judge("quiet", 0.001))
            await world.settle()
            since = [namespace for namespace, _ in world.judged[before:]]
            assert since.index("quiet") <= 1, "at most one that is long comes first"
        await world.until(60)
    noisy = [at for namespace, at in world.judged if namespace == "noisy"]
    assert len(noisy) == 50
    assert all(b - a >= 0.5 for a, b in itertools.pairwise(noisy)), "as long for others as for itself"


async def test_what_is_small_never_waits_for_its_own() -> None:
    world = World()
    for _ in range(1000):
        assert await world.judge("busy", NOTICEABLE_SECONDS / 2)
    assert [at for _, at in world.judged] == pytest.approx([n * NOTICEABLE_SECONDS / 2 for n in range(1000)])
    assert world.share._free_at == {}


async def test_who_would_wait_too_long_is_told_at_once() -> None:
    world = World()
    assert await world.judge("noisy", 10)
    assert not await world.judge("noisy", 10, until=world.seconds + LONGEST_REST)
    assert await world.judge("quiet", 0.001, until=world.seconds + 0.1)
    waiting = asyncio.create_task(world.judge("noisy", 0.1, until=world.seconds + LONGEST_REST + 0.1))
    await world.until(12)
    assert await waiting, "a rest is half a second at most"


async def test_what_takes_long_for_want_of_a_processor_costs_nothing() -> None:
    world = World()
    world.share.charge("busy", 3.0, NOTICEABLE_SECONDS / 2)
    assert await world.judge("busy", 0.001, until=world.seconds)


async def test_what_waits_has_room_in_memory() -> None:
    world = World()
    assert await world.judge("noisy", 1)
    large = [asyncio.create_task(world.judge("noisy", 0, size=MOST_BYTES // 4)) for _ in range(5)]
    await world.settle()
    assert [task.done() for task in large] == [False] * 4 + [True]
    assert not large[4].result()
    small = asyncio.create_task(world.judge("noisy", 0))
    await world.until(2)
    assert await small
    assert all([await task for task in large[:4]])
    assert world.share._waiting == 0


async def test_namespaces_that_are_done_are_forgotten() -> None:
    world = World()
    for n in range(1000):
        world.share.charge(f"ns-{n}", 1.0, 1.0)
        world.seconds += 1
    assert len(world.share._free_at) <= 256


class Slow(Judge):
    """Takes much of a processor for what is in the namespace noisy."""

    def __init__(self) -> None:
        super().__init__(Config(disclose=Disclosure.NAMESPACE))
        self.judged: list[str] = []
        self.begun = asyncio.Event()

    def admit(self, request: Any, *arguments: Any, **options: Any) -> Judgement:
        self.judged.append(request.namespace)
        self.begun.set()
        if request.namespace == "noisy":
            until = time.thread_time() + 0.05
            while time.thread_time() < until:
                pass
        return super().admit(request, *arguments, **options)


async def test_the_server_keeps_to_it(start: Start) -> None:
    server = await start(FixedState(cluster()))
    judge = Slow()
    server.service.judge = judge
    large, small = review(policy(namespace="noisy")), review(policy())
    noisy = [asyncio.create_task(server.post(large)) for _ in range(8)]
    await judge.begun.wait()
    status, _ = await server.post(small)
    assert status == 200
    assert judge.judged.index("shop") <= 2, "and not after all eight"
    status, text = await server.post(large, query="?timeout=200ms")
    assert (status, text) == (503, "netadmit: what else is asked about namespace noisy takes too long\n")
    assert [status for status, _ in await asyncio.gather(*noisy)] == [200] * 8
