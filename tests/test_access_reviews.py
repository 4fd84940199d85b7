"""What users may list: SubjectAccessReviews over HTTP, and the server above, from an API server that does as told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from webhook import access_reviews
from webhook.access_reviews import ALLOWED_SECONDS, DENIED_SECONDS, MOST_ASKING, MOST_NAMESPACES, AccessReviews
from webhook.check import Disclosure, Listing
from webhook.cli.serve import _rights
from webhook.config import Config
from webhook.events import Events
from webhook.model.objects import DEPLOYMENT, ENDPOINT_SLICE, HTTP_ROUTE, NAMESPACE, POD, SERVICE
from webhook.model.review import Requester
from webhook.pipeline import Judge
from webhook.server import _ASKING_SECONDS, FixedState, Service
from webhook.state.watch import LiveState

from .command import Command
from .fake_api import FakeAPI
from .test_disclosure import ISOLATES, SELECTS_FAR, VAULT, policy, world
from .test_server import DEAD_RULES, Server, Start, files, review, start  # noqa: F401 - fixtures
from .test_watch import Token

ALICE = Requester("alice", "u-1", ("dev", "system:authenticated"), (("scopes", ("a", "b")),))
BOB = Requester("bob")
PODS_OF_A = Listing(POD, "a")
PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
Attributes = dict[str, str]


class Authorizer:
    """Answers SubjectAccessReviews: with yes what ``allows`` says, once ``answering`` is set.

    Attributes:
        specs: what was asked, without the question whether anything may be asked.
        refuses: the status to refuse with; 0 to answer.
        most: how many questions it had to answer at the same time.
    """

    def __init__(self) -> None:
        self.specs: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.probes = 0
        self.allows: Callable[[str, Attributes], bool] = lambda *_: False
        self.refuses = 0
        self.answer: Any = None
        self.answering = asyncio.Event()
        self.answering.set()
        self.most = 0
        self._now = 0
        self.url = ""

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Resources and namespaces."""
        return [(s["resourceAttributes"]["resource"], s["resourceAttributes"]["namespace"]) for s in self.specs]

    async def handle(self, request: web.Request) -> web.Response:
        assert request.method == "POST"
        assert request.path == PATH
        body = await request.json()
        assert (body["apiVersion"], body["kind"]) == ("authorization.k8s.io/v1", "SubjectAccessReview")
        spec = body["spec"]
        if spec["user"] == "system:anonymous":
            self.probes += 1
        else:
            self.specs.append(spec)
        self.authorizations.append(request.headers.get("Authorization"))
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await self.answering.wait()
        finally:
            self._now -= 1
        if self.refuses:
            return web.json_response({"kind": "Status", "message": "you may not"}, status=self.refuses)
        if self.answer is not None:
            return web.Response(body=self.answer, content_type="application/json")
        allowed = self.allows(spec["user"], spec["resourceAttributes"])
        return web.json_response({**body, "status": {"allowed": allowed, "reason": "RBAC: x"}}, status=201)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def api() -> AsyncIterator[Authorizer]:
    authorizer = Authorizer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", authorizer.handle)
    async with TestServer(app) as server:
        authorizer.url = str(server.make_url("")).rstrip("/")
        yield authorizer
        authorizer.answering.set()


class Asking:
    """Access reviews that run, and what they counted."""

    def __init__(self, api: Authorizer) -> None:
        self.clock = Clock()
        self.token = Token(api.url)
        self.outcomes: list[str] = []
        self.seconds: list[float] = []
        self.naps: asyncio.Queue[None] = asyncio.Queue()
        self.reviews = AccessReviews(
            self.token, self.outcomes.append, self.seconds.append, clock=self.clock, sleep=self._sleep
        )

    async def _sleep(self, seconds: float) -> None:
        assert seconds > 0
        await self.naps.get()

    def wake(self) -> None:
        """Lets the background look again."""
        self.naps.put_nowait(None)

    async def granted(self, who: Requester, *wished: Listing, within: float = 5) -> set[Listing]:
        return set(await self.reviews.granted(who, wished, "shop", within))


@pytest.fixture
async def asking(api: Authorizer) -> AsyncIterator[Asking]:
    made = Asking(api)
    task = asyncio.create_task(made.reviews.run())
    await until(lambda: api.probes == 1 and made.outcomes)
    made.outcomes.clear()
    made.seconds.clear()
    yield made
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.reviews._session is None
    assert not made.reviews._asking


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - it is true of what is not ours
            await asyncio.sleep(0.005)


def allow(*rights: tuple[str, str, str]) -> Callable[[str, Attributes], bool]:
    """Allows (user, resource, namespace), an empty namespace for all of them."""

    def allows(user: str, of: Attributes) -> bool:
        return {(user, of["resource"], of["namespace"]), (user, of["resource"], "")} & set(rights) != set()

    return allows


# --- questions


async def test_the_question_is_about_who_asked_with_all_that_is_known_of_them(api: Authorizer, asking: Asking) -> None:
    await asking.granted(ALICE, Listing(DEPLOYMENT, "a"))
    everywhere, there = api.specs
    assert {k: v for k, v in there.items() if k != "resourceAttributes"} == {
        "user": "alice",
        "uid": "u-1",
        "groups": ["dev", "system:authenticated"],
        "extra": {"scopes": ["a", "b"]},
    }
    attributes = {"verb": "list", "group": "apps", "version": "v1", "resource": "deployments"}
    assert everywhere["resourceAttributes"] == {**attributes, "namespace": ""}
    assert there["resourceAttributes"] == {**attributes, "namespace": "a"}
    assert api.authorizations[-1] == "Bearer t0"


async def test_who_may_list_everywhere_is_asked_about_once(api: Authorizer, asking: Asking) -> None:
    api.allows = allow(("alice", "pods", ""))
    assert await asking.granted(ALICE, PODS_OF_A, Listing(POD, "b"), Listing(POD, "c")) == {Listing(POD, "")}
    assert api.asked == [("pods", "")]


async def test_each_kind_and_namespace_is_asked_about(api: Authorizer, asking: Asking) -> None:
    api.allows = allow(("alice", "pods", "a"), ("alice", "services", ""), ("bob", "pods", ""))
    wished = (PODS_OF_A, Listing(POD, "b"), Listing(SERVICE, "b"), Listing(NAMESPACE, ""))
    assert await asking.granted(ALICE, *wished) == {PODS_OF_A, Listing(SERVICE, "")}
    assert sorted(api.asked) == [("namespaces", ""), ("pods", ""), ("pods", "a"), ("pods", "b"), ("services", "")]


async def test_of_many_namespaces_those_named_alike_are_asked_about_and_no_more(
    api: Authorizer, asking: Asking
) -> None:
    api.allows = lambda _, of: bool(of["namespace"])
    many = [Listing(POD, f"n{number:03}") for number in range(300)]
    alike = [Listing(POD, name) for name in ("shop-web", "shed", "shop-db")]
    granted = await asking.granted(ALICE, *many, *alike)
    assert len(granted) == MOST_NAMESPACES
    assert {*alike, *many[:17]} == granted
    assert len(api.specs) == MOST_NAMESPACES + 1
    assert api.most <= access_reviews._CONNECTIONS
    assert await asking.granted(ALICE, *reversed(many), *alike) == granted, "always the same ones"


async def test_nobody_is_not_asked_about_nor_what_has_no_name_in_the_api(api: Authorizer, asking: Asking) -> None:
    assert await asking.granted(Requester(), PODS_OF_A) == set()
    assert await asking.granted(ALICE, Listing("example.com/v1/Rollout", "a")) == set()
    huge = Requester("alice", groups=tuple(f"group-{number}" for number in range(10_000)))
    assert await asking.granted(huge, PODS_OF_A) == set()
    assert not api.specs
    await asking.granted(ALICE, Listing(HTTP_ROUTE, "a"), Listing(ENDPOINT_SLICE, "a"))
    assert {s["resourceAttributes"]["group"] for s in api.specs} == {"gateway.networking.k8s.io", "discovery.k8s.io"}


# --- answers that are kept


async def test_answers_hold_for_a_while(api: Authorizer, asking: Asking) -> None:
    api.allows = allow(("alice", "pods", "a"))
    wished = PODS_OF_A, Listing(POD, "b")
    assert await asking.granted(ALICE, *wished) == {PODS_OF_A}
    assert asking.outcomes == ["denied", "allowed", "denied"]
    assert len(asking.seconds) == 3
    asking.outcomes.clear()
    asking.clock.now += DENIED_SECONDS - 1
    assert await asking.granted(ALICE, *wished) == {PODS_OF_A}
    assert asking.outcomes == ["cached"] * 3
    asking.clock.now += 1
    api.allows = allow(("alice", "pods", "b"))  # what was no is asked again; what was yes still holds
    assert await asking.granted(ALICE, *wished) == {PODS_OF_A, Listing(POD, "b")}
    asking.clock.now += ALLOWED_SECONDS - DENIED_SECONDS
    assert await asking.granted(ALICE, *wished) == {Listing(POD, "b")}


async def test_answers_hold_for_whom_they_are_about(api: Authorizer, asking: Asking) -> None:
    api.allows = lambda *_: api.specs[-1]["groups"] == ["admins"]
    for who in (
        Requester("alice", groups=("admins",)),
        Requester("alice"),
        Requester("alice", "2", ("admins",)),
        Requester("alice", "2", ("admins",), (("scopes", ("read",)),)),
        Requester("alice", "2", ("admins",), (("scopes", ("read", "write")),)),
    ):
        before = len(api.specs)
        assert await asking.granted(who, Listing(NAMESPACE, "")) == ({Listing(NAMESPACE, "")} if who.groups else set())
        assert len(api.specs) == before + 1


async def test_not_more_than_some_answers_are_kept(
    api: Authorizer, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_reviews, "MOST_KNOWN", 3)
    for name in ("a", "b", "c", "d"):
        await asking.granted(Requester(name), Listing(NAMESPACE, ""))
    assert len(asking.reviews._known) == 3
    await asking.granted(Requester("d"), Listing(NAMESPACE, ""))
    assert len(api.specs) == 4
    await asking.granted(Requester("a"), Listing(NAMESPACE, ""))
    assert len(api.specs) == 5


# --- time


async def test_nobody_waits_longer_than_they_can_and_what_comes_late_is_for_the_next(
    api: Authorizer, asking: Asking
) -> None:
    api.allows = lambda *_: True
    api.answering.clear()
    assert await asking.granted(ALICE, PODS_OF_A, within=0.05) == set()
    assert await asking.granted(ALICE, PODS_OF_A, within=0.05) == set()
    assert api.asked == [("pods", "")], "the one that is on its way is waited for, not asked again"
    api.answering.set()
    await until(lambda: asking.outcomes == ["allowed"])
    assert await asking.granted(ALICE, PODS_OF_A, within=0.0) == {Listing(POD, "")}


async def test_reviews_at_the_same_time_ask_once(api: Authorizer, asking: Asking) -> None:
    api.allows = allow(("alice", "pods", "a"))
    every = await asyncio.gather(*(asking.granted(ALICE, PODS_OF_A) for _ in range(20)))
    assert every == [{PODS_OF_A}] * 20
    assert api.asked == [("pods", ""), ("pods", "a")]


async def test_not_more_than_some_questions_are_on_their_way(api: Authorizer, asking: Asking) -> None:
    api.answering.clear()
    users = [Requester(f"user-{number}") for number in range(MOST_ASKING + 10)]
    every = await asyncio.gather(*(asking.granted(user, Listing(NAMESPACE, ""), within=0.2) for user in users))
    assert not any(every)
    assert asking.outcomes.count("skipped") == 10
    assert len(asking.reviews._asking) == MOST_ASKING
    assert api.most <= access_reviews._CONNECTIONS


async def test_an_answer_that_never_comes_is_given_up(
    api: Authorizer, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_reviews, "_SECONDS", 0.05)
    api.answering.clear()
    assert await asking.granted(ALICE, PODS_OF_A) == set()
    assert asking.outcomes == ["failed"]
    assert asking.reviews.reason == "TimeoutError"


# --- no answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "an answer without status"),
        (b'{"status": {}}', ""),
        (b'{"status": {"allowed": "true"}}', ""),
        (b'{"status": {"allowed": false, "evaluationError": "no such role"}}', ""),
    ],
)
async def test_only_a_yes_is_a_yes(api: Authorizer, asking: Asking, answer: bytes, reason: str) -> None:
    api.answer = answer
    assert await asking.granted(ALICE, PODS_OF_A) == set()
    assert asking.reviews.reason == reason


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
async def test_after_a_refusal_it_pauses_and_says_so_once(
    api: Authorizer, asking: Asking, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "netadmit.access")
    api.refuses = status
    for _ in range(3):
        assert await asking.granted(ALICE, PODS_OF_A) == set()
    assert len(api.specs) == 1
    assert asking.outcomes == ["failed", "skipped", "skipped"]
    assert asking.reviews.reason == f"{status}: you may not"
    [line] = [r.getMessage() for r in caplog.records]
    failing = "access reviews fail, so nothing of other namespaces is named, as with disclose: namespace"
    assert line == f"{failing}: {status}: you may not"
    asking.clock.now += 60.0 if status in (403, 404) else 1.0
    api.refuses = 0
    api.allows = lambda *_: True
    assert await asking.granted(ALICE, PODS_OF_A) == {Listing(POD, "")}
    assert asking.reviews.reason == ""
    assert caplog.records[-1].getMessage().startswith("access reviews are answered again")


async def test_pauses_grow(api: Authorizer, asking: Asking) -> None:
    api.refuses = 500
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        before = len(api.specs)
        await asking.granted(ALICE, PODS_OF_A)
        asking.clock.now += pause - 0.5
        await asking.granted(ALICE, PODS_OF_A)
        assert len(api.specs) == before + 1
        asking.clock.now += 0.5


async def test_the_background_finds_out_at_the_start_and_when_it_is_over(api: Authorizer) -> None:
    api.refuses = 403
    made = Asking(api)
    assert await made.granted(ALICE, PODS_OF_A) == set(), "before it runs nothing can be asked"
    task = asyncio.create_task(made.reviews.run())
    await until(lambda: made.reviews.reason)
    assert made.reviews.reason == "403: you may not"
    made.clock.now += 60
    made.wake()
    await until(lambda: api.probes == 2)
    api.refuses = 0
    made.clock.now += 60
    made.wake()
    await until(lambda: not made.reviews.reason)
    made.wake()
    await asyncio.sleep(0.02)
    assert api.probes == 3, "what is well is left alone"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_credentials_are_renewed_when_they_are_refused(api: Authorizer, asking: Asking) -> None:
    api.refuses = 401
    assert await asking.granted(ALICE, PODS_OF_A) == set()
    assert api.authorizations[-2:] == ["Bearer t0", "Bearer t1"]
    assert asking.reviews.reason == "401: you may not"
    asking.token.broken = "the plugin failed"
    asking.clock.now += 60
    assert await asking.granted(ALICE, PODS_OF_A) == set()
    assert asking.reviews.reason == "the plugin failed"


async def test_no_server_and_mistakes_of_ours_are_no_answer(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asking.token.server = "http://127.0.0.1:1"
    assert await asking.granted(ALICE, PODS_OF_A) == set()
    assert "127.0.0.1" in asking.reviews.reason
    asking.clock.now += 60
    monkeypatch.setattr(access_reviews, "_review", lambda *_: 1 / 0)
    assert await asking.granted(ALICE, PODS_OF_A) == set()
    assert "division by zero" in asking.reviews.reason
    assert any(r.exc_info for r in caplog.records)


# --- the server above


USER = {"username": "alice", "uid": "u-1", "groups": ["dev"], "extra": {"scopes": ["a"]}}
NAMED, COUNTED = (
    f"netpol shop/np: podSelector tier=front: no pod here, 1 in {where} [selector-matches-nothing]"
    for where in ("namespace public; use -n public", "another namespace; check -n")
)


async def serve(start: Start, asking: Asking | None, **config: Any) -> Server:  # noqa: F811
    server = await start(FixedState(world()), config=Config(disclose=Disclosure.REQUESTER, **config))
    server.service.rights = asking.reviews if asking is not None else None
    return server


async def test_over_https_who_may_list_is_told_the_name(
    start: Start,  # noqa: F811
    api: Authorizer,
    asking: Asking,
) -> None:
    server = await serve(start, asking)
    api.allows = allow(("admin", "pods", ""), ("alice", "pods", "public"))
    said = {}
    for user in ("admin", "alice", "mallory", ""):
        response = await server.ask(review(SELECTS_FAR, userInfo=USER | {"username": user}))
        [said[user]] = response["warnings"]
        assert response["allowed"] is True
    assert said == {"admin": NAMED, "alice": NAMED, "mallory": COUNTED, "": COUNTED}
    assert api.specs[0]["extra"] == {"scopes": ["a"]}
    assert (await server.ask(review(SELECTS_FAR, userInfo=None)))["warnings"] == [COUNTED]


async def test_of_traffic_is_told_what_may_be(start: Start, api: Authorizer, asking: Asking) -> None:  # noqa: F811
    server = await serve(start, asking)
    api.allows = allow(("alice", "pods", "public"))
    response = await server.ask(review(ISOLATES, userInfo=USER, dryRun=True))
    assert "cuts public/StatefulSet/client, public/StatefulSet/web and 1 workload in another" in response["warnings"][0]
    assert api.asked == [("pods", ""), ("pods", "public"), ("pods", VAULT.namespace)]


async def test_what_names_nothing_asks_nothing(start: Start, api: Authorizer, asking: Asking) -> None:  # noqa: F811
    server = await serve(start, asking)
    await server.ask(review(policy(podSelector={}, ingress=[{}]), userInfo=USER, dryRun=True))
    await server.ask(review(DEAD_RULES, userInfo=USER))
    await server.ask(review(ISOLATES, userInfo=USER))
    assert not api.specs
    for config in (Config(), Config(disclose=Disclosure.CLUSTER)):
        other = await start(FixedState(world()), config=config)
        other.service.rights = asking.reviews
        assert (await other.ask(review(SELECTS_FAR, userInfo=USER)))["warnings"]
    assert not api.specs


async def test_an_authorizer_that_hangs_costs_its_share_of_the_time_and_no_more(
    start: Start,  # noqa: F811
    api: Authorizer,
    asking: Asking,
) -> None:
    asking.reviews._clock = asyncio.get_running_loop().time
    server = await serve(start, asking)
    api.answering.clear()
    clock = asyncio.get_running_loop().time
    for timeout, most in (("10s", _ASKING_SECONDS), ("1s", 0.4)):
        began = clock()
        response = await server.ask(review(SELECTS_FAR, userInfo=USER), f"?timeout={timeout}")
        took = clock() - began
        assert response["warnings"] == [COUNTED]
        assert most <= took < most + 0.7  # a busy machine
    api.answering.set()
    api.allows = lambda *_: True
    asking.reviews._again = 0.0
    await until(lambda: not asking.reviews._asking)
    assert (await server.ask(review(SELECTS_FAR, userInfo=USER)))["warnings"] == [NAMED]


async def test_readyz_says_that_nothing_can_be_asked_and_stays_ready(
    start: Start,  # noqa: F811
    api: Authorizer,
    asking: Asking,
) -> None:
    server = await serve(start, asking)
    assert "SubjectAccessReview" not in (await server.get("/readyz"))[1]
    api.refuses = 403
    assert (await server.ask(review(SELECTS_FAR, userInfo=USER)))["warnings"] == [COUNTED]
    status, text = await server.get("/readyz")
    assert status == 200
    assert json.loads(text)["unknown"] == {"SubjectAccessReview": "403: you may not"}


async def test_without_anybody_to_ask_it_is_as_with_namespace(start: Start) -> None:  # noqa: F811
    server = await serve(start, None)
    assert (await server.ask(review(SELECTS_FAR, userInfo=USER)))["warnings"] == [COUNTED]


async def test_an_event_about_a_denial_names_no_more_than_the_namespace_may_know(
    start: Start,  # noqa: F811
    api: Authorizer,
    asking: Asking,
) -> None:
    server = await serve(start, asking, profile="strict")
    api.allows = lambda *_: True
    kept = FakeAPI()

    class Writer:
        async def create_event(self, namespace: str, event: dict[str, Any]) -> bool:
            status, _ = await kept.send("POST", f"/api/v1/namespaces/{namespace}/events", event)
            return status == 201

        async def patch_event(self, namespace: str, name: str, change: dict[str, Any]) -> bool:
            raise AssertionError

    events = Events(Writer(), "me")
    server.service.denied = lambda _, verdict: events.denied("", verdict.rulings)
    response = await server.ask(review(SELECTS_FAR, userInfo=USER))
    assert response["allowed"] is False
    assert response["status"]["message"] == NAMED
    assert await events.step()
    [event] = kept.of("events")
    assert event["message"] == f"Denied: {COUNTED}"


# --- who asks, and who need not


def test_serve_asks_a_live_cluster_and_warns_where_anybody_can_say_to_be_anybody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    live = LiveState(Token("https://127.0.0.1:1"))
    for state, clients, asks, said in (
        (live, "a CA", True, ""),
        (live, "", True, "disclose: requester without --client-ca: whoever reaches the port can say to be anybody"),
        (FixedState(world()), "a CA", False, "disclose: requester needs a live cluster: nothing of other namespaces"),
    ):
        caplog.clear()
        service = Service(Judge(), state)
        assert (list(_rights(service, state, clients)) == ["access reviews"]) is asks
        assert (service.rights is not None) is asks
        assert [r.getMessage().startswith(said) for r in caplog.records] == ([True] if said else [])


def test_the_command_line_names_what_the_state_has(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads the state has listed it; only with disclose: namespace they want to see what others would."""
    netadmit = Command(tmp_path, capfd, monkeypatch)
    metadata = {"name": "web", "namespace": "public", "labels": {"tier": "front"}}
    here = {"name": "api", "namespace": "shop"}
    pods = [json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": m}) for m in (metadata, here)]
    netadmit.write("cluster.yaml", *pods)
    netadmit.write("request.json", json.dumps(review(SELECTS_FAR, userInfo=USER)))
    for disclose, line in (("requester", NAMED), ("namespace", COUNTED)):
        netadmit.write("config.yaml", f"apiVersion: netadmit.io/v1\nkind: Config\ndisclose: {disclose}\n")
        run = netadmit("review", "request.json", "--cluster=cluster.yaml", "--complete", "--config=config.yaml")
        assert run.json["response"]["warnings"] == [line]
