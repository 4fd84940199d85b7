"""The Lease: who holds it, when another may take it, and what clocks that are wrong do not change."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webhook.kube import LeaseRecord, Writer
from webhook.lease import DEADLINE, DURATION, PERIOD, Elector, Step, plan

from .fake_api import FakeAPI

PATH = "/apis/coordination.k8s.io/v1/namespaces/netadmit/leases/netadmit"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


# --- what to do


@pytest.mark.parametrize(
    ("record", "unchanged", "step"),
    [
        (None, 0, Step.CREATE),
        (LeaseRecord(), 0, Step.TAKE),  # as the chart makes it
        (LeaseRecord("", 1, "a", "b", 7, "1"), 0, Step.TAKE),  # given up
        (LeaseRecord("me", 15), 0, Step.RENEW),
        (LeaseRecord("me", 15), 1000, Step.RENEW),  # nobody else wanted it
        (LeaseRecord("other", 15), 0, Step.WAIT),
        (LeaseRecord("other", 15), 14.9, Step.WAIT),
        (LeaseRecord("other", 15), 15, Step.TAKE),
        (LeaseRecord("other", 60), 15, Step.WAIT),  # theirs, not ours
        (LeaseRecord("other", 0), 14.9, Step.WAIT),
        (LeaseRecord("other", -5), 15, Step.TAKE),
        (LeaseRecord("other", 15, renewed="1970-01-01T00:00:00.000000Z"), 1, Step.WAIT),  # whatever its clock says
        (LeaseRecord("other", 15, renewed="2999-01-01T00:00:00.000000Z"), 15, Step.TAKE),
    ],
)
def test_what_to_do(record: LeaseRecord | None, unchanged: float, step: Step) -> None:
    assert plan(record, unchanged, "me") is step


# --- over time


class Clock:
    """Of all machines: monotonic seconds, and a time of day that may be wrong by a machine's own error."""

    def __init__(self) -> None:
        self.seconds = 0.0


class Replica:
    def __init__(self, api: FakeAPI, clock: Clock, me: str, wrong_by: float = 0.0) -> None:
        self.api = api
        self.told: list[bool] = []
        self.up = True
        self.elector = Elector(
            Writer(self, "netadmit"),  # type: ignore[arg-type]
            "netadmit",
            me,
            self.told.append,
            clock=lambda: clock.seconds + len(me) * 1000,  # monotonic clocks begin anywhere
            now=lambda: START + timedelta(seconds=clock.seconds + wrong_by),
        )

    async def send(self, *request: Any, **options: Any) -> tuple[int, Any]:
        if not self.up:
            raise ConnectionError("no route")
        return await self.api.send(*request, **options)

    async def step(self) -> bool:
        await self.elector.step()
        return self.elector.leading


@pytest.fixture
def api() -> FakeAPI:
    return FakeAPI()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_the_first_makes_it_and_keeps_it(api: FakeAPI, clock: Clock) -> None:
    one, two = Replica(api, clock, "pod-1"), Replica(api, clock, "pod-22")
    for _ in range(20):
        assert await one.step()
        assert not await two.step()
        clock.seconds += PERIOD
    assert one.told == [True]
    assert two.told == []
    assert api.objects[PATH] == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "netadmit", "resourceVersion": "20"},
        "spec": {
            "holderIdentity": "pod-1",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T12:00:00.000000Z",
            "renewTime": "2026-01-01T12:01:35.000000Z",
            "leaseTransitions": 0,
        },
    }


async def test_an_empty_one_is_taken_and_its_labels_stay(api: FakeAPI, clock: Clock) -> None:
    metadata = {"name": "netadmit", "resourceVersion": "x", "labels": {"a": "b"}}
    api.objects[PATH] = {"metadata": metadata, "spec": {}}
    assert await Replica(api, clock, "pod-1").step()
    assert api.objects[PATH]["metadata"]["labels"] == {"a": "b"}
    assert api.objects[PATH]["spec"]["holderIdentity"] == "pod-1"


@pytest.mark.parametrize("wrong_by", [-1e6, 0, 1e6])
async def test_another_takes_it_when_the_holder_is_gone_and_there_never_are_two(
    api: FakeAPI, clock: Clock, wrong_by: float
) -> None:
    one, two = Replica(api, clock, "pod-1"), Replica(api, clock, "pod-22", wrong_by)
    assert await one.step()
    assert not await two.step()
    one.up = False
    ceased = took = 0.0
    while not two.elector.leading:
        clock.seconds += 0.5
        await one.step()
        ceased = ceased or (0.0 if one.elector.leading else clock.seconds)
        await two.step()
        assert not (one.elector.leading and two.elector.leading)
        took = clock.seconds
    assert ceased == DEADLINE
    assert took == DURATION
    assert (one.told, two.told) == ([True, False], [True])
    one.up = True
    assert not await one.step(), "back, it waits its turn"
    assert api.objects[PATH]["spec"]["leaseTransitions"] == 1


async def test_a_process_that_slept_does_not_act_before_it_has_asked(api: FakeAPI, clock: Clock) -> None:
    one, two = Replica(api, clock, "pod-1"), Replica(api, clock, "pod-22")
    await one.step()
    await two.step()
    clock.seconds += 60  # the machine of the first stood still
    assert not one.elector.leading
    assert await two.step()
    assert not await one.step()


async def test_of_two_at_once_one_is_first(api: FakeAPI, clock: Clock) -> None:
    one, two = Replica(api, clock, "pod-1"), Replica(api, clock, "pod-22")
    for given_up in (False, True):
        if given_up:
            api.objects[PATH]["spec"] = {"holderIdentity": ""}
            api.objects[PATH]["metadata"]["resourceVersion"] = "freed"
        gate = asyncio.Barrier(2)

        async def read_together(name: str, writer: Any, gate: asyncio.Barrier = gate) -> Any:
            record = await type(writer).read_lease(writer, name)
            await gate.wait()
            return record

        for replica in (one, two):
            writer = replica.elector._api
            writer.read_lease = lambda name, writer=writer: read_together(name, writer)  # type: ignore[method-assign]
        assert sorted(await asyncio.gather(one.step(), two.step())) == [False, True]


async def test_failures_are_said_once_and_leadership_outlives_a_short_one(
    api: FakeAPI, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    one = Replica(api, clock, "pod-1")
    await one.step()
    one.up = False
    for _ in range(3):
        clock.seconds += 3
        assert await one.step()
    one.up = True
    assert await one.step()
    assert one.told == [True]
    assert caplog.messages == ["cannot use the Lease netadmit; trying again: no route"]
    api.fails = lambda *_: 403
    await one.step()
    assert "403: refused with 403" in caplog.messages[1]


async def test_who_has_no_answer_gives_up_waiting(api: FakeAPI, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.lease._PATIENCE", 0.01)
    one = Replica(api, clock, "pod-1")

    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    one.api.send = never  # type: ignore[method-assign]
    assert not await one.step()
    assert one.elector._said == "no answer in time"


async def test_how_long_is_waited(api: FakeAPI, clock: Clock) -> None:
    one = Replica(api, clock, "pod-1")
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.seconds += seconds
        one.up = len(slept) not in (2, 3)
        if len(slept) == 6:
            raise asyncio.CancelledError

    one.elector._sleep = sleep
    with pytest.raises(asyncio.CancelledError):
        await one.elector.run()
    assert slept == [5, 5, 1, 1, 5, 5]
    assert one.told == [True, False]


# --- giving it up


async def test_it_is_given_up_at_the_end_and_another_has_it_at_once(api: FakeAPI, clock: Clock) -> None:
    one, two = Replica(api, clock, "pod-1"), Replica(api, clock, "pod-22")
    running = asyncio.create_task(one.elector.run())
    async with asyncio.timeout(5):
        while not one.elector.leading:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert not await two.step()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert one.told == [True, False]
    assert api.objects[PATH]["spec"]["holderIdentity"] == ""
    assert await two.step()
    await one.elector.release()
    assert two.elector.leading
    assert api.objects[PATH]["spec"]["holderIdentity"] == "pod-22", "what is another's is left alone"


async def test_a_renewal_that_comes_in_between_does_not_keep_it(api: FakeAPI, clock: Clock) -> None:
    one = Replica(api, clock, "pod-1")
    await one.step()
    writes = iter([True])

    def meanwhile(method: str, _: str) -> None:
        if method == "PATCH" and next(writes, False):
            api.objects[PATH]["metadata"]["resourceVersion"] = "a late renewal"

    api.fails = meanwhile
    await one.elector.release()
    assert api.objects[PATH]["spec"]["holderIdentity"] == ""


async def test_an_end_without_an_api_is_an_end_too(
    api: FakeAPI, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = Replica(api, clock, "pod-1")
    await one.step()
    one.up = False
    await one.elector.release()
    assert not one.elector.leading
    assert "the Lease netadmit was not given up: no route" in caplog.messages
