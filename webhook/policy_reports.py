"""Reports of what stands, one a namespace, in the form that dashboards and GitOps tools read: for people whose tools
hide kubectl's warnings, and who come later than an Event lives.

``openreports.io/v1alpha1 Report`` where that API is served, else ``wgpolicyk8s.io/v1alpha2 PolicyReport``; where
neither is, nothing is written, and it is asked for again every few minutes. Reports belong to the webhook configuration
of their netadmit: when that is uninstalled, the cluster's garbage collector takes them away. Shapes:
openreports/reports-api apis/openreports.io/v1alpha1/report_types.go; kubernetes-sigs/wg-policy-prototypes
policy-report/apis/wgpolicyk8s.io/v1alpha2/policyreport_types.go.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from webhook.check import Level
from webhook.kube import RefusedError
from webhook.terminal import clean, elide
from webhook.verdict import Action, Ruling

NAME: Final = "netadmit"
"""Of each report, and of who manages it."""
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MOST_RESULTS: Final = 500
"""In one report: with the longest lines it has 700 kB, where etcd takes 1.5 MB."""
DEBOUNCE_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 300.0
"""How often is asked which API is served, and which reports are there."""
_LONGEST_PAUSE: Final = 300.0
_TICK: Final = 1.0
_REST: Final = 0.05
"""Seconds between two writes: a thousand namespaces are written in a minute."""
_LONGEST_TEXT: Final = 256
_SEVERITY: Final = {Level.ERROR: "high", Level.WARNING: "medium", Level.NOTE: "info"}
_WORST_FIRST: Final = ("fail", "warn", "skip")

_log: Final = logging.getLogger("netadmit.reports")

ObjectKey: TypeAlias = tuple[str, str, str]
"""Kind, namespace and name."""


class ReportKind(Struct, frozen=True):
    """One of the two APIs for reports."""

    group_version: str
    kind: str
    plural: str


OPEN_REPORT: Final = ReportKind("openreports.io/v1alpha1", "Report", "reports")
POLICY_REPORT: Final = ReportKind("wgpolicyk8s.io/v1alpha2", "PolicyReport", "policyreports")
KINDS: Final = (OPEN_REPORT, POLICY_REPORT)
"""The one preferred first: of the other its own group says that it is the successor."""


class API(Protocol):
    """The part of the Kubernetes API that is needed; `webhook.kube.Writer` is one."""

    async def serves(self, group_version: str, plural: str) -> bool:
        """Whether there is such a resource. Raises OSError."""

    async def list_managed(self, group_version: str, plural: str, manager: str) -> list[tuple[str, str]]:
        """Namespaces and names of what carries the manager's label. Raises OSError."""

    async def apply(self, plural: str, body: dict[str, Any]) -> None:
        """Makes an object be so. Raises OSError."""

    async def delete(self, group_version: str, plural: str, namespace: str, name: str) -> None:
        """Sees to it that an object is not there. Raises OSError."""

    async def webhook_uid(self, name: str) -> str:
        """Of a ValidatingWebhookConfiguration; empty when there is none of this name. Raises OSError."""


class Owner(Struct, frozen=True):
    """The ValidatingWebhookConfiguration that reports belong to: it has no namespace, so it may own what has one.

    Args:
        name: its name.
        uid: its uid; what is owned by another one of that name has lost its owner.
    """

    name: str
    uid: str

    @property
    def reference(self) -> dict[str, Any]:
        """An entry of ownerReferences. It does not ask the owner to wait: that would take a right on its finalizers."""
        kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
        return {**kind, "name": self.name, "uid": self.uid}


class Standing(Struct, frozen=True):
    """A ruling about an object that is there.

    Args:
        ruling: what stands against it, or was waived.
        uid: of the object.
        since: when it was found, in seconds since 1970.
    """

    ruling: Ruling
    uid: str
    since: float


def report(
    kind: ReportKind, namespace: str, standing: Iterable[Standing], owner: Owner | None = None
) -> dict[str, Any]:
    """The report of one namespace: the worst first, at most `MOST_RESULTS`, with the rest counted in the last.

    Args:
        kind: the API to write it for.
        namespace: the namespace.
        standing: what stands in it.
        owner: with which it goes.
    """
    every = sorted(standing, key=_order)
    results = [_result(one) for one in every]
    counted = Counter(result["result"] for result in results)
    if len(results) > MOST_RESULTS:
        rest = results[MOST_RESULTS - 1 :]
        last = {
            "source": NAME,
            "policy": "more-findings",
            "result": rest[0]["result"],
            "message": f"{len(rest)} more findings are not listed here; netadmit audit prints all",
            "timestamp": max((one["timestamp"] for one in rest), key=lambda t: (t["seconds"], t["nanos"])),
        }
        results[MOST_RESULTS - 1 :] = [last]
    return {
        "apiVersion": kind.group_version,
        "kind": kind.kind,
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {MANAGED_BY: NAME},
            **({"ownerReferences": [owner.reference]} if owner else {}),
        },
        **({"source": NAME} if kind is OPEN_REPORT else {}),
        "scope": {"apiVersion": "v1", "kind": "Namespace", "name": namespace},
        "summary": {word: counted[word] for word in ("pass", "fail", "warn", "error", "skip")},
        "results": results,
    }


def _order(standing: Standing) -> tuple[int, int, str, str, str]:
    ruling = standing.ruling
    return _WORST_FIRST.index(_outcome(ruling)), -ruling.level, ruling.object.kind, ruling.object.name, ruling.whole


def _outcome(ruling: Ruling) -> str:
    """``fail``: it would be denied; ``warn``; ``skip``: it is waived."""
    return {Action.DENY: "fail", Action.WARN: "warn", Action.IGNORE: "skip"}[ruling.action]


def _result(standing: Standing) -> dict[str, Any]:
    ruling, reference = standing.ruling, standing.ruling.object
    resource = {
        "apiVersion": reference.api_version,
        "kind": reference.kind,
        "namespace": reference.namespace,
        "name": reference.name,
    }
    made = {
        "source": NAME,
        "policy": ruling.check,
        "category": reference.kind,
        "severity": _SEVERITY[ruling.level],
        "result": _outcome(ruling),
        "scored": ruling.action is Action.DENY,
        "message": ruling.whole,
        "resources": [resource | ({"uid": standing.uid} if standing.uid else {})],
        "timestamp": {"seconds": int(standing.since), "nanos": 0},
    }
    if ruling.finding.path:
        made["rule"] = elide(clean(ruling.finding.path), _LONGEST_TEXT)
    properties = {"detail": ruling.finding.detail, "waived": ruling.waived}
    if told := {name: clean(elide(text, _LONGEST_TEXT)) for name, text in properties.items() if text}:
        made["properties"] = told
    return made


class PolicyReports:
    """Keeps the reports of all namespaces, while it leads.

    Args:
        api: takes them.
        leading: whether this process is the one that writes them, at this moment.
        ready: whether all that is there has been judged once: until then no report is called a leftover.
        outcome: called with ``written``, ``removed`` or ``failed`` for each try.
        on: off, none is written, and those that were are taken away.
        webhook: the ValidatingWebhookConfiguration that they belong to; none is written where it is not there, as that
            is how an uninstallation begins. Without, they belong to nobody.
        clock: seconds, only ever compared with each other.
        now: seconds since 1970.
        sleep: waits.
    """

    def __init__(
        self,
        api: API,
        leading: Callable[[], bool],
        ready: Callable[[], bool],
        outcome: Callable[[str], object] = lambda _: None,
        *,
        on: bool = True,
        webhook: str = "",
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._leading = leading
        self._ready = ready
        self._outcome = outcome
        self._on = on
        self._webhook = webhook
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._held: dict[str, dict[ObjectKey, tuple[Standing, ...]]] = {}
        """What stands, by namespace."""
        self._due: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        """Of namespaces whose report could not be written."""
        self._there: set[str] = set()
        """Namespaces with a report of ours."""
        self._kind: ReportKind | None = None
        """None: none is to be written."""
        self._owner: Owner | None = None
        self._led = False
        self._look_at = 0.0
        self._look_pause = 0.0
        self._said: object = None

    def changed(self, key: ObjectKey, uid: str, rulings: Sequence[Ruling]) -> None:
        """Takes note of what stands against an object now, or is waived; of nothing, when nothing is."""
        if not self._on:
            return
        namespace = key[1]
        held = self._held.setdefault(namespace, {})
        known = {one.ruling.whole: one.since for one in held.pop(key, ())}
        if rulings:
            now = self._now()
            held[key] = tuple(Standing(ruling, uid, known.get(ruling.whole, now)) for ruling in rulings)
        if not held:
            del self._held[namespace]
        self._due.setdefault(namespace, self._clock() + DEBOUNCE_SECONDS)

    async def run(self) -> None:
        """Writes until it is cancelled."""
        while True:
            await self.step()
            await self._sleep(_TICK)

    async def step(self) -> None:
        """Writes the reports that are due, if that is this process' to do."""
        if not self._leading():
            self._led = False
            return
        if self._on and not self._ready():
            return
        if not self._led or self._clock() >= self._look_at:
            await self._look()
        for namespace in [n for n, at in self._due.items() if at <= self._clock()]:
            if self._kind is None or not self._led or not self._leading():
                return
            await self._bring(self._kind, namespace)
            await self._sleep(_REST)

    # --- what is there

    async def _look(self) -> None:
        """Asks which API is served and which reports are there, and takes leftovers away."""
        now = self._clock()
        if not self._led and now < self._look_at and self._look_pause:
            return
        try:
            served = [kind for kind in KINDS if await self._api.serves(kind.group_version, kind.plural)]
            owner = Owner(self._webhook, await self._api.webhook_uid(self._webhook)) if self._webhook else None
            orphaned = owner is not None and not owner.uid
            kind = served[0] if served and self._on and not orphaned else None
            await self._take_stock(served, kind)
        except OSError as error:
            self._look_pause = min(max(2 * self._look_pause, DEBOUNCE_SECONDS), _LONGEST_PAUSE)
            self._look_at = now + self._look_pause
            self._complain(error)
            return
        everything = not self._led or kind is not self._kind or owner != self._owner
        for namespace in self._held:
            if everything or namespace not in self._there:
                self._due.setdefault(namespace, now)
        if self._on and kind is None and (everything or self._kind is not None):
            either = " nor ".join(f"{one.plural}.{one.group_version.partition('/')[0]}" for one in KINDS)
            why = f"webhook configuration {self._webhook} is not there" if served else f"neither {either} are served"
            _log.info("no reports are written: %s", why)
        self._kind, self._owner, self._led = kind, owner, True
        self._look_at, self._look_pause = now + LOOK_SECONDS, 0.0

    async def _take_stock(self, served: Iterable[ReportKind], kept: ReportKind | None) -> None:
        """Notes which reports of ours are there, and takes away those that are of no use."""
        there: set[str] = set()
        for kind in served:
            for namespace, name in await self._api.list_managed(kind.group_version, kind.plural, NAME):
                if name != NAME:  # we may not touch it
                    continue
                if kind is kept and namespace in self._held:
                    there.add(namespace)
                else:
                    await self._api.delete(kind.group_version, kind.plural, namespace, name)
                    self._outcome("removed")
        self._there = there

    # --- writing

    async def _bring(self, kind: ReportKind, namespace: str) -> None:
        """Makes the report of a namespace say what stands there now."""
        del self._due[namespace]  # what changes from here on makes it due again
        standing = [one for each in self._held.get(namespace, {}).values() for one in each]
        try:
            if standing:
                await self._api.apply(kind.plural, report(kind, namespace, standing, self._owner))
                self._there.add(namespace)
                self._outcome("written")
            elif namespace in self._there:
                await self._api.delete(kind.group_version, kind.plural, namespace, NAME)
                self._there.discard(namespace)
                self._outcome("removed")
        except OSError as error:
            if isinstance(error, RefusedError) and error.namespace_ends:
                return  # what is in it goes with it, one by one, and is told of when it has gone
            self._outcome("failed")
            pause = min(max(2 * self._pauses.get(namespace, 0.0), DEBOUNCE_SECONDS), _LONGEST_PAUSE)
            self._pauses[namespace] = pause
            self._due[namespace] = self._clock() + pause
            if isinstance(error, RefusedError) and error.status == 404:
                self._look_at = self._clock()  # perhaps the API is no longer served
            self._complain(error)
        else:
            self._pauses.pop(namespace, None)
            self._said = None

    def _complain(self, error: OSError) -> None:
        """Logs a failure, but not the same for each namespace."""
        status = error.status if isinstance(error, RefusedError) else type(error)
        if status != self._said:
            what = "write reports" if self._on else "see whether reports are left from when they were on"
            _log.warning("cannot %s; trying again: %s", what, error)
        self._said = status
