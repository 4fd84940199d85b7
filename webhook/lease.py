"""One of several replicas does what only one should do: it holds a Lease (coordination.k8s.io/v1).

As k8s.io/client-go tools/leaderelection: the times that are written into the Lease are for people. No two machines'
clocks are compared: a Lease has run out when its record has not changed for its duration by our own monotonic clock;
and its holder stops in good time before, by its own clock, counted from before it sent what was accepted.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Final, Protocol

import msgspec

from webhook.kube import LeaseRecord

DURATION: Final = 15
"""Seconds, as client-go's components have it; the record's own duration holds for a record of somebody else."""
PERIOD: Final = DURATION / 3
DEADLINE: Final = 10.0
"""Seconds without a renewal after which the holder no longer acts: others may take over after `DURATION`."""
_PATIENCE: Final = 3.0
_AGAIN: Final = 1.0
"""Seconds before what failed is tried again: with `_PATIENCE`, twice more between `PERIOD` and `DEADLINE`."""

_log: Final = logging.getLogger("netadmit.lease")


class API(Protocol):
    """The part of the Kubernetes API that is needed; `webhook.kube.Writer` is one."""

    async def read_lease(self, name: str) -> LeaseRecord | None:
        """None when it is not there. Raises OSError."""

    async def write_lease(self, name: str, record: LeaseRecord) -> LeaseRecord | None:
        """Writes if it is still of the record's version, or, without one, not there; None if not. Raises OSError."""


class Step(Enum):
    """What to do about a Lease."""

    CREATE = "create"
    RENEW = "renew"
    TAKE = "take"
    WAIT = "wait"


def plan(record: LeaseRecord | None, unchanged: float, me: str) -> Step:
    """Decides what to do.

    Args:
        record: what the Lease says; None when there is none.
        unchanged: for how many seconds, by our own clock, it has been seen to say just that.
        me: our name.
    """
    if record is None:
        return Step.CREATE
    if record.holder == me:
        return Step.RENEW
    if not record.holder or unchanged >= (record.duration if record.duration > 0 else DURATION):
        return Step.TAKE
    return Step.WAIT


class Elector:
    """Tries to hold a Lease, again and again.

    Args:
        api: has the Lease.
        name: of the Lease.
        me: our name, which no other process has or will have.
        changed: called when we have begun or ceased to lead.
        clock: seconds, only ever compared with each other.
        now: the time of day, an aware one.
        sleep: waits.
    """

    def __init__(
        self,
        api: API,
        name: str,
        me: str,
        changed: Callable[[bool], object] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._name = name
        self._me = me
        self._changed = changed
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._seen: LeaseRecord | None = None
        self._seen_at = clock()
        self._until = float("-inf")
        self._led = False
        self._said = ""

    @property
    def leading(self) -> bool:
        """Whether we may act, at this very moment."""
        return self._clock() < self._until

    async def run(self) -> None:
        """Tries until it is cancelled, and then gives the Lease up."""
        try:
            while True:
                answered = await self.step()
                await self._sleep(_AGAIN if self._led and not answered else PERIOD)
        finally:
            await self.release()

    async def step(self) -> bool:
        """Looks at the Lease, and takes or renews it where that is ours to do; says whether the API answered."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._try()
        except OSError as error:  # TimeoutError is one
            problem = " ".join(str(error).split()) or "no answer in time"
            if problem != self._said:
                _log.warning("cannot use the Lease %s; trying again: %s", self._name, problem)
            self._said = problem
        else:
            self._said = ""
        self._notice()
        return not self._said

    async def _try(self) -> None:
        record = await self._api.read_lease(self._name)
        now = self._clock()
        if record != self._seen:
            self._seen, self._seen_at = record, now
        step = plan(record, now - self._seen_at, self._me)
        if step is Step.WAIT:
            self._until = float("-inf")
            return
        written = await self._api.write_lease(self._name, self._mine(record, step))
        if written is None:  # somebody else was first
            self._until = float("-inf")
            return
        self._seen, self._seen_at = written, self._clock()
        self._until = now + DEADLINE

    def _mine(self, record: LeaseRecord | None, step: Step) -> LeaseRecord:
        at = timestamp(self._now())
        record = record or LeaseRecord()
        if step is Step.RENEW:
            return msgspec.structs.replace(record, duration=DURATION, renewed=at)
        changes = record.transitions + (step is Step.TAKE)
        return LeaseRecord(self._me, DURATION, acquired=at, renewed=at, transitions=changes, version=record.version)

    def _notice(self) -> None:
        leading = self.leading
        if leading != self._led:
            self._led = leading
            _log.info("leading" if leading else "no longer leading", extra={"fields": {"lease": self._name}})
            self._changed(leading)

    async def release(self) -> None:
        """Gives the Lease up, so that another takes it at once; what goes wrong with that is no matter."""
        self._until = float("-inf")
        if self._seen is not None and self._seen.holder == self._me:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._free()
            except OSError as error:
                _log.info("the Lease %s was not given up: %s", self._name, " ".join(str(error).split()) or "no answer")
        self._notice()

    async def _free(self) -> None:
        for _ in range(2):  # a renewal that was cut off may still arrive in between
            record = await self._api.read_lease(self._name)
            if record is None or record.holder != self._me:
                return
            at = timestamp(self._now())
            free = LeaseRecord("", 1, at, at, record.transitions, record.version)
            self._seen = await self._api.write_lease(self._name, free)
            if self._seen is not None:
                return


def timestamp(moment: datetime) -> str:
    """A MicroTime of the API."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
