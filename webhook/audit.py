"""Judges what is in the cluster already: once for a command, or on and on beside the webhook.

What was only a note when an object was created, because its pods were yet to come, is a finding once it has had its
time (CHECKS.md, conduct 1, settle). And an object that nobody touches becomes wrong when what it relies on changes. For
people whose tools hide kubectl's warnings this is where they are told.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

from webhook.check import MOST_STEPS, Judged, Level
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    ADMIN_POLICIES,
    ANTREA_CLUSTER_NETWORK_POLICY,
    CALICO_GLOBAL_NETWORK_POLICY,
    CILIUM_CLUSTERWIDE_NETWORK_POLICY,
    CONFIG_MAP,
    ENDPOINT_SLICE,
    ENGINE_SETTINGS,
    NAMESPACE,
    NODE,
    POD,
    WORKLOADS,
    Key,
    NetworkPolicy,
    Record,
    Service,
)
from webhook.pipeline import Judge, Judgement
from webhook.verdict import Action, Ruling

Identity: TypeAlias = tuple[str, Key]
"""Kind, and namespace with name."""
Told: TypeAlias = Callable[[Identity, tuple[Ruling, ...]], None]
"""Takes an object, what stands against it, and what is waived of it."""

_DELAY: Final = 5.0
"""Seconds after a change before what may depend on it is judged: changes come in flocks."""
_PERIOD: Final = 60.0
"""Seconds before the same object is judged again, however much changes around it; when it changes itself, `_DELAY`."""
_SLICE: Final = 0.005
"""Seconds of judging at a stretch: admissions wait meanwhile."""
_REST: Final = 0.02
_TICK: Final = 1.0
_EVERYWHERE: Final = frozenset(
    {
        NAMESPACE,
        NODE,
        CONFIG_MAP,
        *ADMIN_POLICIES,
        ANTREA_CLUSTER_NETWORK_POLICY,
        CALICO_GLOBAL_NETWORK_POLICY,
        CILIUM_CLUSTERWIDE_NETWORK_POLICY,
        *ENGINE_SETTINGS,
    }
)
"""Kinds whose change may matter in every namespace."""
_OF_PODS: Final = frozenset({POD, *WORKLOADS, ENDPOINT_SLICE})

_log = logging.getLogger("netadmit.audit")


def audit(judge: Judge, cluster: Cluster) -> list[Judgement]:
    """Judges every NetworkPolicy and Service of the state, by kind, namespace and name."""
    every: list[Judged] = [*cluster.policies, *cluster.services]
    every.sort(key=lambda judged: (judged.kind, judged.key))
    return [judge.audit(judged, cluster) for judged in every]


class State(Protocol):
    """The cluster's state as the audit needs it."""

    @property
    def cluster(self) -> Cluster: ...

    @property
    def synced(self) -> bool: ...


class Auditor:
    """Keeps what is there judged.

    Args:
        judge: decides.
        state: the cluster.
        told: called with an object, what stands against it and what is waived of it, whenever that has changed.
        clock: seconds, only ever compared with each other.
        now: the time of day, to tell the age of what was there at the start.
    """

    def __init__(
        self,
        judge: Judge,
        state: State,
        told: Told = lambda *_: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._judge = judge
        self._state = state
        self._told = told
        self._settle = judge.config.settle
        self._clock = clock
        self._now = now
        self._started = False
        self._due: dict[Identity, float] = {}
        self._stirred: dict[str, bool] = {}
        """Namespaces in which something has changed, and whether that was about pods."""
        self._stirred_everywhere = False
        self._judged: dict[Identity, float] = {}
        self._first: set[Identity] = set()
        """What was due at the start and has not been judged yet."""
        self.standing: dict[Identity, tuple[Ruling, ...]] = {}
        """What stands against each object."""
        self.waived: dict[Identity, tuple[Ruling, ...]] = {}
        """What would stand against each object, had it not been waived."""

    @property
    def count(self) -> Counter[tuple[str, str]]:
        """How many findings stand, by check and level."""
        return Counter((r.check, str(r.level)) for rulings in self.standing.values() for r in rulings)

    @property
    def caught_up(self) -> bool:
        """Whether all that had settled at the start has been judged: what does not stand now, does not."""
        return self._started and not self._first

    async def run(self) -> None:
        """Judges until it is cancelled."""
        while True:
            begun = self._clock()
            more = self._state.synced and self.step()
            # As long for admissions as for this, also where a single object takes longer than a slice.
            await asyncio.sleep(max(_REST, self._clock() - begun) if more else _TICK)

    # --- what is due

    def _start(self) -> None:
        """Begins with all that is there."""
        cluster = self._state.cluster
        now, clock = self._now(), self._clock()
        every: list[Judged] = [*cluster.policies, *cluster.services]
        for judged in every:
            self._due[judged.kind, judged.key] = clock + max(self._settle - _age(judged, now), 0.0)
        self._first = {identity for identity, at in self._due.items() if at <= clock}
        cluster.followers.append(self._note)
        self._started = True

    def _note(self, record: Record) -> None:
        """Takes note of a change; what depends on it is worked out once a step, not with every event."""
        if self._state.cluster.hypothetical:
            return
        kind, key = record.kind, record.key
        if isinstance(record, NetworkPolicy | Service):
            identity = kind, key
            if self._state.cluster.get(kind, key) is None:
                self._forget(identity)
            elif identity not in self._judged:
                self._due.setdefault(identity, self._clock() + self._settle)
            else:  # whoever has mended it wants to see that
                self._due[identity] = min(self._due.get(identity, math.inf), self._clock() + _DELAY)
        if kind in _EVERYWHERE:
            self._stirred_everywhere = True
        else:
            self._stirred.setdefault(key[0], False)
            self._stirred[key[0]] |= kind in _OF_PODS

    def _work_out(self) -> None:
        """Says of all that may depend on what has changed that it is to be judged again."""
        cluster = self._state.cluster
        every: list[Judged] = []
        if self._stirred_everywhere:
            every += [*cluster.policies, *cluster.services]
        else:
            for namespace in self._stirred:
                every += [*cluster.policies_in(namespace), *cluster.services_in(namespace)]
            if any(self._stirred.values()):  # their peers may be those pods
                every += cluster.policies_across
        self._stirred.clear()
        self._stirred_everywhere = False
        for judged in every:
            self._soon((judged.kind, judged.key))

    def _soon(self, identity: Identity) -> None:
        """An object that has been judged is due again; one that has not is due when it has settled."""
        last = self._judged.get(identity)
        if last is not None and identity not in self._due:
            self._due[identity] = max(self._clock() + _DELAY, last + _PERIOD)

    def _forget(self, identity: Identity) -> None:
        self._due.pop(identity, None)
        self._judged.pop(identity, None)
        self._first.discard(identity)
        if [*self.standing.pop(identity, ()), *self.waived.pop(identity, ())]:
            self._told(identity, ())

    # --- judging

    def step(self) -> bool:
        """Judges for a moment what is due; says whether anything is left that is."""
        if not self._started:
            self._start()
        if self._stirred or self._stirred_everywhere:
            self._work_out()
        until = self._clock() + _SLICE
        due = [identity for identity, at in self._due.items() if at <= self._clock()]
        for identity in due:
            if self._clock() >= until:
                return True
            del self._due[identity]
            self._look_at(identity)
        return False

    def _look_at(self, identity: Identity) -> None:
        record = self._state.cluster.get(*identity)
        if not isinstance(record, NetworkPolicy | Service):
            self._forget(identity)
            return
        first = identity not in self._judged
        self._judged[identity] = self._clock()
        disclosure = self._judge.config.disclose
        # No more than an admission may cost: admissions wait meanwhile.
        judgement = self._judge.audit(record, self._state.cluster, disclosure=disclosure, most=MOST_STEPS)
        rulings = tuple(r for r in judgement.verdict.rulings if r.action is not Action.IGNORE)
        waived = tuple(r for r in judgement.verdict.rulings if r.waived and r.level > Level.NOTE)
        self._first.discard(identity)
        before = self.standing.get(identity, ())
        if _said((*rulings, *waived)) == _said((*before, *self.waived.get(identity, ()))):
            return
        for held, now in ((self.standing, rulings), (self.waived, waived)):
            held.pop(identity, None)
            if now:
                held[identity] = now
        known = {r.whole for r in before}
        for ruling in rulings:
            if ruling.whole not in known:
                level = str(ruling.level)  # `level` alone is the log line's own
                fields = {"check": ruling.check, "findingLevel": level, "line": ruling.whole, "settled": first}
                _log.info("finding", extra={"fields": fields})
        self._told(identity, (*rulings, *waived))


def _said(rulings: tuple[Ruling, ...]) -> list[tuple[str, Action, str]]:
    return [(r.whole, r.action, r.waived) for r in rulings]


def _age(judged: Judged, now: datetime) -> float:
    """Seconds since an object was created; very old where it does not say."""
    try:
        created = datetime.fromisoformat(judged.metadata.creation_timestamp or "")
    except ValueError:
        return float("inf")
    return (now - created).total_seconds() if created.tzinfo else float("inf")
