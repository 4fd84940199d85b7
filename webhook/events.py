"""Events on what was denied and on what findings stand against: for people whose tools hide kubectl's warnings.

They are core/v1 Events with a count: `kubectl describe`, `kubectl events --for` and Argo CD show them beside the object
(by its uid), and old consoles know no others. (kubectl 1.37 describes a NetworkPolicy without its Events:
k8s.io/kubectl pkg/describe NetworkPolicyDescriber.) The API server forgets them after an hour by default.

Telling never waits: what is told is noted, and written in the background, no faster than the API server should bear,
and of one namespace neither so fast nor so much that others would have to wait for it.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from webhook.kube import RefusedError
from webhook.terminal import elide
from webhook.verdict import Action, ObjectReference, Ruling

COMPONENT: Final = "netadmit"
AGAIN_SECONDS: Final = 3600.0
"""The same line about the same object is one Event for so long."""
COUNT_SECONDS: Final = 60.0
"""A count is written no more often: Flux and Argo CD try a denied object again every few seconds."""
MOST_KNOWN: Final = 4096
MOST_WAITING: Final = 1000
MOST_OF_A_NAMESPACE: Final = MOST_WAITING // 2
_OBJECT_BURST: Final = 25
_OBJECT_RATE: Final = 1 / 300
"""New lines about one object, as client-go's EventSourceObjectSpamFilter."""
_BURST: Final = 50
_RATE: Final = 1.0
"""Writes in all: within an hour at most so many Events lie in etcd as their time to live has seconds."""
_NAMESPACE_BURST: Final = 20
_NAMESPACE_RATE: Final = 0.25
"""Writes about one namespace, for denials and for findings: together half of all."""
_LONGEST_MESSAGE: Final = 1024
"""k8s.io/kubernetes pkg/apis/core/validation NoteLengthLimit."""
_LONGEST_NAME: Final = 200
_LONGEST_PAUSE: Final = 60.0
_TICK: Final = 1.0
_FOR_NOW: Final = frozenset({429, 500, 502, 503, 504})
"""What is answered to a request that may be sent again as it is."""

ObjectKey: TypeAlias = tuple[str, str, str]
"""Kind (``apiVersion/kind``), namespace and name."""

_log: Final = logging.getLogger("netadmit.events")


class API(Protocol):
    """The part of the Kubernetes API that is needed; `webhook.kube.Writer` is one."""

    async def create_event(self, namespace: str, event: dict[str, Any]) -> bool:
        """Says whether there was none of this name. Raises OSError."""

    async def patch_event(self, namespace: str, name: str, change: dict[str, Any]) -> bool:
        """Says whether there still is one of this name. Raises OSError."""


class Occurrence(Struct, frozen=True):
    """What an Event says, and about what; two that are equal are one Event that is counted.

    Args:
        object: the object.
        uid: of the object; empty when there is none, because its creation was denied.
        check: the id of the check.
        line: the ruling's line, within what may be disclosed.
        denied: somebody was denied; otherwise it stands against what is there.
    """

    object: ObjectReference
    uid: str
    check: str
    line: str
    denied: bool


class TokenBucket:
    """Lets through a burst, and then so many a second.

    Args:
        burst: tokens at most, and at the start.
        rate: new tokens a second.
        now: the time of the start.
    """

    def __init__(self, burst: float, rate: float, now: float) -> None:
        self._burst, self._rate = burst, rate
        self._tokens, self._at = burst, now

    def holds(self, now: float) -> bool:
        """Whether there is a token."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return self._tokens >= 1

    def take(self, now: float) -> bool:
        """Takes a token, if there is one."""
        if not self.holds(now):
            return False
        self._tokens -= 1
        return True


class _Entry(Struct):
    """An Event that is or will be written."""

    name: str
    since: float
    first: datetime
    last: datetime
    due: float
    count: int = 1
    written: int = 0
    """The count that the API server knows; 0 before the Event is made."""


class Events:
    """Writes Events.

    Args:
        api: takes them.
        instance: which process says so: the pod's name.
        outcome: called with ``written``, ``counted``, ``dropped`` or ``failed`` for each thing told.
        clock: seconds, only ever compared with each other.
        now: the time of day, an aware one.
        sleep: waits.
    """

    def __init__(
        self,
        api: API,
        instance: str,
        outcome: Callable[[str], object] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._instance = instance
        self._outcome = outcome
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._known: OrderedDict[Occurrence, _Entry] = OrderedDict()
        self._waiting: dict[Occurrence, None] = {}
        self._bucket = TokenBucket(_BURST, _RATE, clock())
        self._buckets: OrderedDict[tuple[ObjectReference, bool], TokenBucket] = OrderedDict()
        self._shares: OrderedDict[tuple[str, bool], TokenBucket] = OrderedDict()
        """Of each namespace, for denials and for findings; who was served last is the last."""
        self._pause = 0.0
        self._said: int | None = None

    # --- telling: never waits

    def denied(self, uid: str, rulings: Sequence[Ruling]) -> None:
        """Tells of a request that was denied; of the rulings those that denied it.

        Args:
            uid: of the object that stays as it was; empty when it was to be made.
            rulings: what was decided about it.
        """
        for ruling in rulings:
            if ruling.action is Action.DENY:
                self._note(Occurrence(ruling.object, uid, ruling.check, ruling.whole, denied=True))

    def found(self, key: ObjectKey, uid: str, rulings: Sequence[Ruling]) -> None:
        """Tells what stands against an object that is there; what stood and was not written yet is left out.

        Args:
            key: names the object.
            uid: of the object.
            rulings: all that stands against it; empty when nothing does. Of what is waived nothing is told.
        """
        kind, namespace, name = key
        api_version, _, word = kind.rpartition("/")
        reference = ObjectReference(api_version, word, namespace, name)
        told = [
            Occurrence(reference, uid, ruling.check, ruling.whole, denied=False)
            for ruling in rulings
            if ruling.action is not Action.IGNORE
        ]
        for gone in [o for o in self._waiting if o.object == reference and not o.denied and o not in told]:
            del self._waiting[gone]
            if not self._known[gone].written:
                del self._known[gone]
        for occurrence in told:
            self._note(occurrence)

    def _note(self, occurrence: Occurrence) -> None:
        now, time_of_day = self._clock(), self._now()
        entry = self._known.get(occurrence)
        if entry is not None and now - entry.since < AGAIN_SECONDS:
            if occurrence.denied:  # a finding that stands has not happened again
                entry.count += 1
                entry.last = time_of_day
                self._waiting.setdefault(occurrence)
            return
        if self._crowded(occurrence.object.namespace) or not self._allowed(occurrence, now):
            self._outcome("dropped")
            return
        name = _name(occurrence, f"{self._instance} {time_of_day.isoformat()}" if occurrence.denied else "")
        self._known[occurrence] = _Entry(name, now, time_of_day, time_of_day, now)
        self._known.move_to_end(occurrence)
        self._waiting.setdefault(occurrence)
        while len(self._known) > MOST_KNOWN:
            self._forget(next(iter(self._known)))

    def _crowded(self, namespace: str) -> bool:
        """Whether enough waits to be written: in all, or of one namespace."""
        if len(self._waiting) < MOST_OF_A_NAMESPACE:
            return False
        of_it = sum(waiting.object.namespace == namespace for waiting in self._waiting)
        return len(self._waiting) >= MOST_WAITING or of_it >= MOST_OF_A_NAMESPACE

    def _allowed(self, occurrence: Occurrence, now: float) -> bool:
        """Whether there may be another line about this object; of denials and findings neither takes the other's."""
        of = occurrence.object, occurrence.denied
        bucket = self._buckets.setdefault(of, TokenBucket(_OBJECT_BURST, _OBJECT_RATE, now))
        self._buckets.move_to_end(of)
        while len(self._buckets) > MOST_KNOWN:
            self._buckets.popitem(last=False)
        return bucket.take(now)

    def _forget(self, occurrence: Occurrence) -> None:
        del self._known[occurrence]
        if occurrence in self._waiting:
            del self._waiting[occurrence]
            self._outcome("dropped")

    # --- writing

    async def run(self) -> None:
        """Writes what was told until it is cancelled."""
        while True:
            if not await self.step():
                await self._sleep(self._pause or _TICK)

    async def step(self) -> bool:
        """Writes one thing, if one is due and the rate allows it; says whether it went well."""
        now = self._clock()
        occurrence = self._next(now)
        if occurrence is None:
            return False
        entry, count = self._known[occurrence], self._known[occurrence].count
        del self._waiting[occurrence]
        try:
            done = await self._write(occurrence, entry, count)
        except OSError as error:
            self._failed(occurrence, error)
            return False
        self._pause, self._said = 0.0, None
        entry.written, entry.due = count, now + COUNT_SECONDS
        self._outcome(done)
        if entry.count > count and occurrence in self._known:  # more of it while it was written
            self._waiting.setdefault(occurrence)
        return True

    def _next(self, now: float) -> Occurrence | None:
        """What is written now: of what is due and within its namespace's share the denials, for whose reason somebody
        waits, and of these that of the namespace that has waited longest for its turn.
        """
        if not self._bucket.holds(now):
            return None
        first: dict[tuple[str, bool], Occurrence] = {}
        for occurrence in self._waiting:
            if self._known[occurrence].due <= now:
                first.setdefault((occurrence.object.namespace, occurrence.denied), occurrence)
        for share in first:
            if share not in self._shares:
                self._shares[share] = TokenBucket(_NAMESPACE_BURST, _NAMESPACE_RATE, now)
                self._shares.move_to_end(share, last=False)
        order = [share for share in self._shares if share in first and self._shares[share].holds(now)]
        if not order:
            return None
        chosen = min(order, key=lambda share: not share[1])
        self._shares[chosen].take(now)
        self._shares.move_to_end(chosen)
        self._bucket.take(now)
        while len(self._shares) > MOST_KNOWN:
            self._shares.popitem(last=False)
        return first[chosen]

    async def _write(self, occurrence: Occurrence, entry: _Entry, count: int) -> str:
        namespace = occurrence.object.namespace
        if entry.written:
            change = {"count": count, "lastTimestamp": _timestamp(entry.last)}
            if await self._api.patch_event(namespace, entry.name, change):
                return "counted"
            # The API server has forgotten it meanwhile.
            entry.first, entry.since = entry.last, self._clock()
        # One of this name that is there already is the same finding, written by the leader before.
        made = await self._api.create_event(namespace, self._event(occurrence, entry, count))
        return "written" if made else "counted"

    def _event(self, occurrence: Occurrence, entry: _Entry, count: int) -> dict[str, Any]:
        reference = occurrence.object
        involved = {
            "apiVersion": reference.api_version,
            "kind": reference.kind,
            "namespace": reference.namespace,
            "name": reference.name,
        }
        line = f"Denied: {occurrence.line}" if occurrence.denied else occurrence.line
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": entry.name, "namespace": reference.namespace},
            "involvedObject": involved | ({"uid": occurrence.uid} if occurrence.uid else {}),
            "type": "Warning",
            "reason": reason(occurrence.check),
            "action": "Deny" if occurrence.denied else "Audit",
            "message": elide(line, _LONGEST_MESSAGE),
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": elide(self._instance, 128),
            "firstTimestamp": _timestamp(entry.first),
            "lastTimestamp": _timestamp(entry.last),
            "count": count,
        }

    def _failed(self, occurrence: Occurrence, error: OSError) -> None:
        """Waits before the next one is tried; this one is given up where it would be refused again."""
        if isinstance(error, RefusedError) and error.namespace_ends:
            self._outcome("dropped")
            self._known.pop(occurrence, None)
            self._waiting.pop(occurrence, None)
            return
        status = error.status if isinstance(error, RefusedError) else 0
        self._outcome("failed")
        self._pause = min(max(2 * self._pause, _TICK), _LONGEST_PAUSE)
        if status and status not in _FOR_NOW:
            self._known.pop(occurrence, None)
            self._waiting.pop(occurrence, None)
        elif occurrence in self._known:
            self._waiting.setdefault(occurrence)
        if status != self._said:
            _log.warning("cannot write an Event: %s", error)
        self._said = status


def reason(check: str) -> str:
    """A check's id in the way of an Event's reason: ``SelectorMatchesNothing``."""
    return "".join(word[:1].upper() + word[1:] for word in check.split("-"))


def _name(occurrence: Occurrence, which: str) -> str:
    """A name for the Event: of a finding the same whoever writes it, so that a new leader does not write it again."""
    reference = occurrence.object
    parts = [reference.api_version, reference.kind, reference.namespace, reference.name]
    content = json.dumps([*parts, occurrence.uid, occurrence.check, occurrence.line, which])
    head = reference.name[:_LONGEST_NAME].rstrip("-.")  # of an object with a generated name it may be a prefix
    return f"{head or 'netadmit'}.{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
