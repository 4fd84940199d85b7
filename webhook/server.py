"""The HTTPS server: ``/validate`` for the API server; health and metrics on a plain port of their own.

Its limits follow from what kube-apiserver does (facts/admission-contract.md 4, facts/production.md 1 and 5).
"""

import asyncio
import json
import logging
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from webhook.check import Listing
from webhook.enforcement import enforcement_of
from webhook.fair_share import FairShare
from webhook.metrics import CONTENT_TYPE, Metrics
from webhook.model.cluster import Cluster
from webhook.model.review import JUDGED, Request, Requester, ReviewError, encode_answer, open_review
from webhook.pipeline import Crash, Judge, Judgement
from webhook.state.watch import KindStatus
from webhook.terminal import elide
from webhook.verdict import Action, Verdict

LARGEST_BODY: Final = 8 << 20
"""Bytes. An UPDATE carries the object twice: a 2.3 MB policy gave a review of 4.6 MB (facts/production.md 1.3)."""
KEEP_ALIVE_SECONDS: Final = 3630.0
"""Go's client keeps idle connections for 90 s and does not send a POST again: the server must not close first."""
PATIENCE_SECONDS: Final = 0.15
"""How long a warning that rests on absence waits for newer state (CHECKS.md, conduct 6)."""
_ASKING_SECONDS: Final = 1.0
"""The longest that an answer waits to know what the requester may be told; half of what is left, where that is less."""
_ASKING_ROUNDS: Final = 3
"""What may be named decides what else would be; mostly one round is all."""
_HANDSHAKE_SECONDS: Final = 2.0
_REACHED: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where what listens on all addresses is found."""
_DEFAULT_TIMEOUT: Final = 10.0
_MARGIN: Final = 0.2
"""Seconds before the API server's timeout at which an answer must be on its way."""
_LONGEST_FIELD: Final = 1024
"""Characters of a field of a log line; what the API server sends is shorter."""
_MOST_LOGGED: Final = 100
"""Findings of one object in its log line."""
_SPEAKS: Final = {
    "/validate": frozenset({Action.DENY, Action.WARN}),
    "/enforce": frozenset({Action.DENY}),
    "/advise": frozenset({Action.WARN}),
}
"""What each path says; one judge stands behind all three (CONTRACT.md, webhook)."""
_Made = TypeVar("_Made")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}

_log = logging.getLogger("netadmit")
_decisions = logging.getLogger("netadmit.decision")
_http_log = logging.getLogger("netadmit.http")


def _without_traces_of_rubbish(record: logging.LogRecord) -> bool:
    """Whoever sends something else than HTTP is worth one line; aiohttp says it as an error, with a trace."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        record.msg, record.args = "a connection was refused: %s", (type(error).__name__,)
        record.exc_info = None
    return True


_http_log.addFilter(_without_traces_of_rubbish)


class State(Protocol):
    """The cluster's state as the server needs it: `webhook.state.watch.LiveState`, or files."""

    @property
    def cluster(self) -> Cluster:
        """The indexed state; changed only between reviews."""

    @property
    def synced(self) -> bool:
        """Whether everything was read once, or is known to be unreadable."""

    def status(self) -> list[KindStatus]:
        """How much is known, per kind."""

    async def wait_newer(self, since: float, kinds: Iterable[str], timeout: float) -> bool:  # noqa: ASYNC109
        """Waits for an event or bookmark about one of these kinds that came after ``since``."""


class Rights(Protocol):
    """What users may list: `webhook.access_reviews.AccessReviews`."""

    @property
    def reason(self) -> str:
        """Why that cannot be asked; empty when it can."""

    async def granted(
        self,
        requester: Requester,
        wished: Collection[Listing],
        near: str,
        timeout: float,  # noqa: ASYNC109
    ) -> frozenset[Listing]:
        """What of this a user may list, as far as it is known in time; never raises."""


class FixedState:
    """State that never changes: files."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.synced = True

    def status(self) -> list[KindStatus]:
        return []

    async def wait_newer(self, since: float, kinds: Iterable[str], timeout: float) -> bool:  # noqa: ASYNC109
        del since, kinds, timeout
        return False


class Service:
    """Answers admission reviews.

    Args:
        judge: decides.
        state: the cluster.
        clock: seconds; the one that the state compares its events with.
        client_names: who may ask, by the common name of a client certificate that `server_tls` asked for; empty: all.

    Attributes:
        awaited: what else must hold before it is ready, by what it is called.
        servable: says why no TLS connection can be made to it; nothing when one can.
        rights: what those who ask may be told of other namespaces; None where that is nobody's business.
    """

    def __init__(
        self,
        judge: Judge,
        state: State,
        *,
        clock: Callable[[], float] = time.monotonic,
        client_names: Collection[str] = (),
    ) -> None:
        self.judge = judge
        self.state = state
        self.metrics = Metrics(state.status, sorted(judge.check_ids))
        self.draining = False
        self.awaited: dict[str, Callable[[], bool]] = {}
        self.servable: Callable[[], Awaitable[str]] | None = None
        self.rights: Rights | None = None
        self.denied: Callable[[Request, Verdict], None] = lambda *_: None
        """Called with each request that was denied, but for dry runs; must not wait.

        Others than who asked will read of it: the verdict names nothing that only they may know.
        """
        self._clock = clock
        self._client_names = frozenset(client_names)
        self._share = FairShare(clock=clock)
        self._crashed: set[str] = set()
        if judge.deletions is not None:
            state.cluster.on_removed = judge.deletions.remember

    # --- the two applications

    def admission(self) -> web.Application:
        """What the API server talks to."""
        app = web.Application(client_max_size=LARGEST_BODY)
        for path, speaks in _SPEAKS.items():
            app.router.add_post(path, partial(self._answer, speaks=speaks))
        return app

    def operations(self) -> web.Application:
        """Health, readiness and metrics."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _answer(self, http: web.Request, speaks: frozenset[Action]) -> web.Response:
        """Answers one AdmissionReview with what may be said on this path; 400 with the reason when the body is none,
        403 when the client's certificate bears none of the names that may ask.
        """
        if self._client_names and (name := common_name(http.get_extra_info("peercert"))) not in self._client_names:
            self.metrics.reviews.labels("", "", "refused").inc()
            _log.warning("a client was refused: its certificate names %r", elide(name, _LONGEST_FIELD))
            return self._respond(web.Response(status=403, text="netadmit: this client may not ask\n"))
        body = await http.read()
        start = self._clock()
        deadline = start + max(parse_timeout(http.query.get("timeout", "")) - _MARGIN, 0.0)
        try:
            envelope = open_review(body)
            if not await self._share.wait(envelope.namespace, len(body), deadline):
                return self._too_busy(envelope.namespace)
            request = self._charged(envelope.namespace, lambda: envelope.decode(self.judge.config.watched))
        except ReviewError as error:
            self.metrics.reviews.labels("", "", "refused").inc()
            _log.warning("a request was refused: %s", error)
            return self._respond(web.Response(status=400, text=f"netadmit: {error}\n"))
        judgement = await self._judge(request, start, deadline)
        for_all = judgement = saying(judgement, speaks)
        if judgement.wished and self.rights is not None:
            told = await self._told_to(request, self.rights, judgement, deadline)
            if told is not judgement:  # both of the state as it is now
                judgement = saying(told, speaks)
                for_all = saying(self._admit(request), speaks) if judgement.verdict.denied else judgement
        self._record(request, judgement, self._clock() - start)
        if judgement.verdict.denied and not request.dry_run:
            self.denied(request, for_all.verdict)
        return self._respond(web.Response(body=answer(request, judgement), content_type="application/json"))

    def _respond(self, response: web.Response) -> web.Response:
        if self.draining:  # the client takes its next request elsewhere (facts/production.md 1.5)
            response.force_close()
            response.headers["Connection"] = "close"
        return response

    async def _judge(self, request: Request, start: float, deadline: float) -> Judgement:
        """Judges, and again while newer state comes in, as long as a warning rests on something not being there."""
        seen = self._clock()
        judgement = self._admit(request)
        until = min(start + PATIENCE_SECONDS, deadline)
        while judgement.rests_on and (left := until - self._clock()) > 0:
            if not await self.state.wait_newer(seen, judgement.rests_on, left):
                break
            seen = self._clock()
            judgement = self._admit(request)
        return judgement

    async def _told_to(self, request: Request, rights: Rights, judgement: Judgement, deadline: float) -> Judgement:
        """The judgement with the names that the requester may know; without them where nobody says so in time."""
        now = self._clock()
        until = now + min(_ASKING_SECONDS, (deadline - now) / 2)
        listable: frozenset[Listing] = frozenset()
        for _ in range(_ASKING_ROUNDS):
            left = until - self._clock()
            if not judgement.wished or left <= 0:
                break
            granted = await rights.granted(request.requester, judgement.wished, request.namespace, left)
            if granted <= listable:
                break
            listable |= granted
            judgement = self._admit(request, listable)
        return judgement

    def _admit(self, request: Request, listable: Collection[Listing] = frozenset()) -> Judgement:
        judge = partial(self.judge.admit, request, self.state.cluster, synced=self.state.synced, listable=listable)
        return self._charged(request.namespace, judge)

    def _charged(self, namespace: str, work: Callable[[], _Made]) -> _Made:
        """Does something at a stretch, for which its namespace makes room for others."""
        begun, spent = self._clock(), time.thread_time()
        try:
            return work()
        finally:
            self._share.charge(namespace, self._clock() - begun, time.thread_time() - spent)

    def _too_busy(self, namespace: str) -> web.Response:
        """No answer in time: what happens then is for failurePolicy to say; only this namespace is held up."""
        self.metrics.reviews.labels("", "", "refused").inc()
        said = f"what else is asked about namespace {elide(namespace, _LONGEST_FIELD)} takes too long"
        _log.warning("a request was not judged: %s", said)
        return self._respond(web.Response(status=503, text=f"netadmit: {said}\n"))

    def _record(self, request: Request, judgement: Judgement, seconds: float) -> None:
        verdict = judgement.verdict
        for ruling in verdict.rulings:
            self.metrics.findings.labels(ruling.check, ruling.action.value).inc()
            if ruling.waived:
                self.metrics.waived.labels(ruling.check).inc()
        for crash in judgement.crashes:
            self._crash(crash)
        decision = "denied" if verdict.denied else "warned" if verdict.warned else "allowed"
        kind = request.kind if request.kind in JUDGED or request.kind in self.judge.config.watched else "other"
        self.metrics.reviews.labels(kind, request.operation, decision).inc()
        self.metrics.duration.observe(seconds)
        if not _decisions.isEnabledFor(logging.INFO):
            return
        _decisions.info(
            decision,
            extra={
                "fields": {
                    "uid": elide(request.uid, _LONGEST_FIELD),
                    "operation": request.operation,
                    "kind": elide(request.kind, _LONGEST_FIELD),
                    "namespace": elide(request.namespace, _LONGEST_FIELD),
                    "name": elide(request.name, _LONGEST_FIELD),
                    "user": elide(request.user, _LONGEST_FIELD),
                    "dryRun": request.dry_run,
                    "findings": [
                        {
                            "check": r.check,
                            "level": str(r.level),
                            "action": r.action.value,
                            "path": elide(r.finding.path, _LONGEST_FIELD),
                        }
                        | ({"waived": elide(r.waived, _LONGEST_FIELD)} if r.waived else {})
                        for r in verdict.rulings[:_MOST_LOGGED]
                    ],
                    **({"findingsInAll": len(verdict.rulings)} if len(verdict.rulings) > _MOST_LOGGED else {}),
                    "unknown": judgement.unknown,
                    "synced": self.state.synced,
                    "milliseconds": round(seconds * 1000, 3),
                }
            },
        )

    def _crash(self, crash: Crash) -> None:
        self.metrics.crashes.labels(crash.check).inc()
        # The whole trace once a check: the same object may come again every few seconds.
        trace = None if crash.check in self._crashed else crash.error
        self._crashed.add(crash.check)
        _log.error("check %s crashed: %r; the object was judged without it", crash.check, crash.error, exc_info=trace)

    # --- operations

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        lacking = [what for what, holds in self.awaited.items() if not holds()]
        if self.servable is not None and (problem := await self.servable()):
            lacking.append(problem)
        ready = self.state.synced and not self.draining and not lacking
        found = enforcement_of(self.state.cluster, self.judge.config.enforcement)
        body = {
            "ready": ready,
            "lacking": lacking,
            "waiting": [s.kind for s in self.state.status() if not s.synced],
            "unknown": {s.kind: s.reason for s in self.state.status() if s.reason and s.synced}
            | ({"SubjectAccessReview": self.rights.reason} if self.rights and self.rights.reason else {}),
            "enforcement": {"state": found.state.value, "engine": found.engine, "reason": found.reason},
        }
        return web.json_response(body, status=200 if ready else 503, dumps=lambda o: json.dumps(o, indent=1) + "\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})


def saying(judgement: Judgement, speaks: frozenset[Action]) -> Judgement:
    """The judgement without what another path says."""
    kept = tuple(r for r in judgement.verdict.rulings if r.action in speaks or r.action is Action.IGNORE)
    effects = judgement.verdict.effects if Action.WARN in speaks else ()
    return msgspec.structs.replace(judgement, verdict=Verdict(kept, effects))


def answer(request: Request, judgement: Judgement) -> bytes:
    """The answered AdmissionReview."""
    verdict = judgement.verdict
    spoken = [r.check for r in verdict.rulings if r.action is not Action.IGNORE]
    audit = {"findings": ",".join(dict.fromkeys(spoken))} if spoken else {}
    if judgement.unknown:
        audit["unknown"] = "; ".join(judgement.unknown)
    return encode_answer(request.uid, verdict.denial, verdict.warnings, audit)


def parse_timeout(text: str) -> float:
    """Seconds of a duration as the API server writes it: ``3s``, ``1m30s``, ``500ms``; its default where none is."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return _DEFAULT_TIMEOUT
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def common_name(certificate: Mapping[str, Any] | None) -> str:
    """The common name of a peer's certificate as `ssl.SSLSocket.getpeercert` tells of it; empty when it has none."""
    subject = (certificate or {}).get("subject", ())
    return next((str(value) for part in subject for key, value in part if key == "commonName"), "")


def server_tls(certificate: str, key: str, *, client_ca: str = "") -> ssl.SSLContext:
    """The TLS settings to serve with.

    Args:
        certificate: a PEM file, with its chain.
        key: a PEM file.
        client_ca: certificates, PEM; a client must show one that one of them signed. Empty: clients need none,
            as an API server has none unless its AdmissionConfiguration names one.

    Raises:
        OSError: they cannot be read, or do not belong together.
        ValueError: client_ca holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # the API server never resumes a session; tickets cost a third of the handshake
    # A password, though there is none: OpenSSL would ask the terminal for that of an encrypted key, for ever.
    context.load_cert_chain(certificate, key, password="")
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca)
    return context


async def handshake(host: str, port: int) -> str:
    """Makes a TLS connection, as the API server would but for trusting anybody; says why there is none."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=trusting)
    except (OSError, TimeoutError) as error:
        return f"a TLS connection to itself: {' '.join(str(error).split()) or type(error).__name__}"
    writer.transport.abort()
    return ""


class Listeners:
    """The open ports of a `Service`.

    Args:
        service: what answers.
        tls: for the admission port; None serves plain HTTP (tests).
    """

    def __init__(self, service: Service, tls: ssl.SSLContext | None) -> None:
        self.service = service
        self._tls = tls
        self._runners: list[web.AppRunner] = []

    async def open(self, bind: str, port: int, metrics_port: int) -> tuple[int, int]:
        """Listens; port 0 takes any free one. Returns the ports of admission and operations.

        Raises:
            OSError: a port is taken, or the address is not this machine's.
        """
        taken = await self._listen(self.service.admission(), bind, port, self._tls)
        if self._tls is not None:
            self.service.servable = partial(handshake, _REACHED.get(bind, bind), taken)
        return taken, await self._listen(self.service.operations(), bind, metrics_port, None)

    async def _listen(self, app: web.Application, bind: str, port: int, tls: ssl.SSLContext | None) -> int:
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_http_log,
            handler_cancellation=True,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            shutdown_timeout=10.0,
        )
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, bind, port, ssl_context=tls, backlog=1024).start()
        return int(runner.addresses[0][1])

    async def close(self, drain_seconds: float = 0.0) -> None:
        """Closes the ports; before, goes on answering for so many seconds, telling clients to go elsewhere."""
        self.service.draining = True
        if drain_seconds:
            await asyncio.sleep(drain_seconds)
        for runner in self._runners:
            await runner.cleanup()
