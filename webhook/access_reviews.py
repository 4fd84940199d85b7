"""What users may list, as the API server's authorizers say: SubjectAccessReviews, for ``disclose: requester``.

Asked only when an answer would name something of another namespace, for no longer than the answer can wait, and never
by what judges. Whatever is not answered with yes counts as no: then the message says how many, as with
``disclose: namespace``.

Sources: k8s.io/api authorization/v1 types.go; for how long answers hold: the API server's own cache of a webhook
authorizer, 5 minutes yes and 30 seconds no (k8s.io/apiserver plugin/pkg/authorizer/webhook, and its flags' defaults).
"""

import asyncio
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from itertools import takewhile
from typing import Any, Final, TypeAlias

import aiohttp

from webhook import __version__
from webhook.check import Listing
from webhook.kube import CredentialsError
from webhook.model.objects import POD
from webhook.model.review import Requester
from webhook.state.watch import PLURALS, Access

ALLOWED_SECONDS: Final = 300.0
DENIED_SECONDS: Final = 30.0
MOST_KNOWN: Final = 4096
"""Answers that are kept."""
MOST_NAMESPACES: Final = 20
"""Namespaces that one answer asks about; all at once is asked first, which settles it for administrators."""
MOST_ASKING: Final = 64
"""Questions that wait for their answers, of all reviews together: more are not asked."""
_CONNECTIONS: Final = 4
_SECONDS: Final = 5.0
"""After which an answer that does not come is given up; the review that asked has long been answered."""
_PAUSES: Final = (1.0, 60.0)
"""Seconds in which nothing is asked after a failure: the first, doubled with each failure in a row, and the longest."""
_LARGEST: Final = 64 * 1024
"""Bytes of who asks. A token of hundreds of groups has 20,000; what is larger was not made by an authenticator."""
_PATH: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_NOBODY: Final = Requester(user="system:anonymous", groups=("system:unauthenticated",))
"""About whom it is asked whether it may be asked at all."""

_Question: TypeAlias = tuple[bytes, Listing]
"""Who (a digest), and what."""

_log: Final = logging.getLogger("netadmit.access")


class _NoAnswerError(Exception):
    """The API server did not say."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting
        """Whether to ask again soon is of no use."""


class AccessReviews:
    """Asks what users may list, and remembers the answers for a while.

    Args:
        access: how to reach the API server.
        outcome: called for each question that an answer gave rise to: with ``cached``, ``allowed``, ``denied``,
            ``failed`` (no answer, or an error), or ``skipped`` (not asked: too many, or after a failure).
        took: called with the seconds that the API server took to answer a question.
        clock: seconds, only ever compared with each other.
        sleep: waits.

    Attributes:
        reason: why nothing can be asked; empty when it can, or that is not known yet.
    """

    def __init__(
        self,
        access: Access,
        outcome: Callable[[str], object] = lambda _: None,
        took: Callable[[float], object] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._access = access
        self._outcome = outcome
        self._took = took
        self._clock = clock
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._known: OrderedDict[_Question, tuple[bool, float]] = OrderedDict()
        self._asking: dict[_Question, asyncio.Task[bool | None]] = {}
        self._pause = 0.0
        self._again = float("-inf")
        self._answered = False
        self.reason = ""

    async def run(self) -> None:
        """Lets questions be asked until it is cancelled; says in the log when none can be, and when they can again."""
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=60.0)
        headers = {"Accept": "application/json", "User-Agent": f"netadmit/{__version__}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            self._session = session
            try:
                while True:
                    if self.reason or not self._answered:
                        await self._ask(_NOBODY, (_digest(_NOBODY) or b"", Listing(POD, "")))
                    await self._sleep(_PAUSES[1])
            finally:
                self._session = None
                for task in self._asking.values():
                    task.cancel()
                await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def granted(
        self,
        requester: Requester,
        wished: Collection[Listing],
        near: str,
        timeout: float,  # noqa: ASYNC109 - what is known by then is returned
    ) -> frozenset[Listing]:
        """What of this a user may list; of a kind that may be listed everywhere, just that.

        Args:
            requester: who.
            wished: what; the objects of kinds that the API server is not known to have may not be listed.
            near: the namespace of the object under review: of more than `MOST_NAMESPACES` those are asked about whose
                names begin most like it.
            timeout: seconds.
        """
        until = self._clock() + timeout
        digest = _digest(requester)
        if digest is None:
            return frozenset()
        kinds = dict.fromkeys(wish.kind for wish in wished if wish.kind in PLURALS)
        everywhere = await self._answers(requester, digest, [Listing(kind, "") for kind in kinds], until)
        namespaces = sorted(
            {w.namespace for w in wished if w.namespace and everywhere.get(Listing(w.kind, "")) is False},
            key=lambda name: (-_alike(name, near), name),
        )[:MOST_NAMESPACES]
        single = [w for w in wished if w.namespace in namespaces and everywhere.get(Listing(w.kind, "")) is False]
        answers = everywhere | await self._answers(requester, digest, single, until)
        return frozenset(listing for listing, allowed in answers.items() if allowed)

    async def _answers(
        self, requester: Requester, digest: bytes, listings: Iterable[Listing], until: float
    ) -> dict[Listing, bool]:
        """What is known, or is answered in time."""
        found: dict[Listing, bool] = {}
        asking: dict[Listing, asyncio.Task[bool | None]] = {}
        for listing in listings:
            question = digest, listing
            known = self._recall(question)
            if known is not None:
                self._outcome("cached")
                found[listing] = known
            elif (task := self._asked(requester, question)) is not None:
                asking[listing] = task
            else:
                self._outcome("skipped")
        if asking and (left := until - self._clock()) > 0:
            # What comes too late for this answer is there for the next: the tasks go on.
            await asyncio.wait(asking.values(), timeout=left)
        for listing, task in asking.items():
            if task.done() and not task.cancelled() and (answer := task.result()) is not None:
                found[listing] = answer
        return found

    # --- what is known

    def _recall(self, question: _Question) -> bool | None:
        allowed, until = self._known.get(question, (False, float("-inf")))
        if self._clock() >= until:
            self._known.pop(question, None)
            return None
        self._known.move_to_end(question)
        return allowed

    def _remember(self, question: _Question, *, allowed: bool) -> None:
        self._known[question] = allowed, self._clock() + (ALLOWED_SECONDS if allowed else DENIED_SECONDS)
        self._known.move_to_end(question)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    # --- asking

    def _asked(self, requester: Requester, question: _Question) -> asyncio.Task[bool | None] | None:
        """The task that asks: one for all reviews that want to know the same; None when it is not to be asked."""
        found = self._asking.get(question)
        if found is None and self._may_ask():
            found = self._asking[question] = asyncio.create_task(self._ask(requester, question), name="access review")
            found.add_done_callback(lambda _: self._asking.pop(question, None))
        return found

    def _may_ask(self) -> bool:
        return self._session is not None and len(self._asking) < MOST_ASKING and self._clock() >= self._again

    async def _ask(self, requester: Requester, question: _Question) -> bool | None:
        """Asks one question; None where there is no answer."""
        began = self._clock()
        try:
            async with asyncio.timeout(_SECONDS):
                allowed = await self._post(_review(requester, question[1]))
        except (_NoAnswerError, CredentialsError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self._failed(error)
            return None
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not cost the review its answer
            _log.exception("access review: unexpected")
            self._failed(error)
            return None
        self._took(self._clock() - began)
        self._outcome("allowed" if allowed else "denied")
        self._remember(question, allowed=allowed)
        if self.reason:
            _log.info("access reviews are answered again: what requesters may list is named to them")
        self._answered, self._pause, self.reason = True, 0.0, ""
        return allowed

    async def _post(self, body: bytes) -> bool:
        status, answer = await self._send(body)
        if status == 401:
            await self._access.refresh()
            status, answer = await self._send(body)
        if status >= 400:
            said = answer.get("message") if isinstance(answer, dict) else ""
            raise _NoAnswerError(f"{status}: {said}" if said else str(status), lasting=status in (401, 403, 404))
        result = answer.get("status") if isinstance(answer, dict) else None
        if not isinstance(result, dict):
            raise _NoAnswerError("an answer without status")
        return result.get("allowed") is True

    async def _send(self, body: bytes) -> tuple[int, Any]:
        if self._session is None:
            raise _NoAnswerError("shutting down")
        access = self._access
        headers = {**await access.headers(), "Content-Type": "application/json"}
        async with self._session.post(
            f"{access.server}{_PATH}",
            data=body,
            headers=headers,
            ssl=access.ssl_context(),
            server_hostname=access.server_hostname,
            proxy=access.proxy,
            allow_redirects=False,
        ) as response:
            content = await response.content.read(_LARGEST)
            try:
                return response.status, json.loads(content)
            except ValueError:
                if response.status < 400:
                    raise
                return response.status, None

    def _failed(self, error: Exception) -> None:
        """Lets the API server be for a while, and says so once."""
        self._outcome("failed")
        lasting = isinstance(error, _NoAnswerError) and error.lasting
        shortest, longest = _PAUSES
        self._pause = longest if lasting else min(max(2 * self._pause, shortest), longest)
        self._again = self._clock() + self._pause
        known, self.reason = self.reason, _line(error)
        if not known:
            _log.warning(
                "access reviews fail, so nothing of other namespaces is named, as with disclose: namespace: %s",
                self.reason,
            )


def _alike(one: str, other: str) -> int:
    """With how many characters two names begin alike: ``shop-web`` and ``shop-api`` are likely the same people's."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _digest(requester: Requester) -> bytes | None:
    """Who asks, in a few bytes; None for nobody, and for what is too large to be true."""
    if not requester.user and not requester.groups:
        return None  # the API server wants either
    text = json.dumps([requester.user, requester.uid, requester.groups, sorted(requester.extra)]).encode()
    return hashlib.sha256(text).digest() if len(text) <= _LARGEST else None


def _review(requester: Requester, listing: Listing) -> bytes:
    group_version, _, _ = listing.kind.rpartition("/")
    group, _, version = group_version.rpartition("/")
    attributes: Mapping[str, str] = {
        "verb": "list",
        "group": group,
        "version": version,
        "resource": PLURALS[listing.kind],
        "namespace": listing.namespace,
    }
    spec = {
        "user": requester.user,
        "uid": requester.uid,
        "groups": requester.groups,
        "extra": dict(requester.extra),
        "resourceAttributes": attributes,
    }
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return json.dumps(body).encode()


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
