"""The live state against an API server that misbehaves as told."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from webhook.kube import CredentialsError
from webhook.model.cluster import Completeness
from webhook.model.objects import (
    ALIASES,
    CALICO_GLOBAL_NETWORK_POLICY,
    CLUSTER_NETWORK_POLICY,
    CONFIG_MAP,
    HTTP_ROUTE,
    KINDS,
    NAMESPACE,
    NETWORK_POLICY,
    OPTIONAL,
    POD,
    UNFOLLOWED,
)
from webhook.state import watch
from webhook.state.watch import RESOURCES, LiveState, Resource, Timing

Script = Callable[[web.Request], Awaitable[web.StreamResponse]]
NAMESPACES = next(r for r in RESOURCES if r.kind == NAMESPACE)
POLICIES = next(r for r in RESOURCES if r.kind == NETWORK_POLICY)
PODS = next(r for r in RESOURCES if r.kind == POD)
ROUTES = next(r for r in RESOURCES if r.kind == HTTP_ROUTE)
CLUSTER_POLICIES = next(r for r in RESOURCES if r.kind == CLUSTER_NETWORK_POLICY)
CALICO = next(r for r in RESOURCES if r.kind == CALICO_GLOBAL_NETWORK_POLICY)


class Clock:
    """Time that only passes by being slept; remembers the pauses."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class API:
    """An API server that answers the requests of each path with its scripts, in order, and then with silence."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Script]] = {}
        self.asked: list[Mapping[str, str]] = []
        self.authorizations: list[str | None] = []
        self.headers: Mapping[str, str] = {}
        self.url = ""
        self.closing = asyncio.Event()

    def will(self, *scripts: Script, path: str = NAMESPACES.path) -> None:
        self.scripts.setdefault(path, []).extend(scripts)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({"path": request.path, **request.query})
        self.authorizations.append(request.headers.get("Authorization"))
        self.headers = request.headers
        waiting = self.scripts.get(request.path, [])
        script = waiting.pop(0) if waiting else stream()
        return await script(request)


class Token:
    """Credentials with a token that may have to be renewed."""

    server_hostname = None
    proxy = None

    def __init__(self, server: str) -> None:
        self.server = server
        self.renewals = 0
        self.broken = ""
        self._ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def ssl_context(self) -> ssl.SSLContext:
        return self._ssl

    async def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer t{self.renewals}"}

    async def refresh(self) -> None:
        self.renewals += 1
        if self.broken:
            raise CredentialsError(self.broken)


# --- what a server may do


def namespace(name: str, version: int, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version), "labels": labels}}


def added(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "ADDED", "object": item}


def modified(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "MODIFIED", "object": item}


def deleted(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "DELETED", "object": item}


def bookmark(version: int, *, end: bool = False) -> dict[str, Any]:
    meta: dict[str, Any] = {"resourceVersion": str(version)}
    if end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"type": "BOOKMARK", "object": {"kind": "Namespace", "apiVersion": "v1", "metadata": meta}}


def error(code: int, message: str) -> dict[str, Any]:
    return {"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": code, "message": message}}


def stream(*events: dict[str, Any] | bytes | Callable[[], Awaitable[object]], then: str = "hold") -> Script:
    """A watch: events, bytes as they are, things to wait for; then it is held open, ended, or cut."""

    async def run(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for event in events:
            if callable(event):
                await event()
            else:
                await response.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
        if then == "hold":
            await request.app[CLOSING].wait()
        elif then == "cut":
            assert request.transport is not None
            request.transport.close()
        return response

    return run


def refuse(code: int, message: str = "", **headers: str) -> Script:
    async def run(request: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "status": "Failure", "code": code, "message": message}
        return web.json_response(body, status=code, headers=headers)

    return run


def page(version: int, *items: dict[str, Any], more: str = "") -> Script:
    async def run(request: web.Request) -> web.StreamResponse:
        meta = {"resourceVersion": str(version), "continue": more}
        return web.json_response({"kind": "NamespaceList", "metadata": meta, "items": items})

    return run


CLOSING = web.AppKey("closing", asyncio.Event)


@pytest.fixture
async def api() -> AsyncIterator[API]:
    fake = API()
    app = web.Application()
    app[CLOSING] = fake.closing
    app.router.add_get("/{path:.*}", fake.handle)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("")).rstrip("/")
        yield fake
        fake.closing.set()


class Run:
    def __init__(self, api: API, resources: tuple[Resource, ...], timing: Timing | None) -> None:
        self.clock = Clock()
        self.access = Token(api.url)
        self.state = LiveState(
            self.access, resources=resources, timing=timing, clock=self.clock, sleep=self.clock.sleep
        )

    @property
    def names(self) -> list[str]:
        return sorted(n.name for n in self.state.cluster.namespaces)

    def labels(self, name: str) -> Mapping[str, str]:
        found = self.state.cluster.namespace(name)
        assert found is not None
        return {k: v for k, v in found.labels.items() if k != "kubernetes.io/metadata.name"}


@asynccontextmanager
async def running(
    api: API, *resources: Resource, timing: Timing | None = None, synced: bool = True
) -> AsyncIterator[Run]:
    """A live state that follows namespaces (or what is named), from its first sync to its clean end."""
    run = Run(api, resources or (NAMESPACES,), timing)
    before = asyncio.all_tasks()
    task = asyncio.create_task(run.state.run())
    try:
        if synced:
            assert await run.state.wait_synced(2), run.state.unknown
        yield run
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        left = {t for t in asyncio.all_tasks() - before if "watch" in t.get_name()}
        assert not left


async def eventually(true: Callable[[], object]) -> None:
    async with asyncio.timeout(2):
        while not true():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.002)


# --- lists


async def test_a_streamed_list_is_followed_in_the_same_request(api: API) -> None:
    more = asyncio.Event()
    api.will(
        stream(
            added(namespace("a", 3)),
            added(namespace("b", 1)),
            bookmark(5, end=True),
            more.wait,
            modified(namespace("a", 6, team="x")),
            deleted(namespace("b", 7)),
            added(namespace("c", 8)),
        )
    )
    async with running(api) as run:
        assert run.names == ["a", "b"]
        more.set()
        await eventually(lambda: run.names == ["a", "c"])
        assert run.labels("a") == {"team": "x"}
    assert len(api.asked) == 1
    asked = dict(api.asked[0])
    assert 240 <= int(asked.pop("timeoutSeconds")) <= 300
    assert asked == {
        "path": "/api/v1/namespaces",
        "watch": "true",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
    assert api.headers["Accept-Encoding"] == "gzip"
    assert api.headers["User-Agent"].startswith("netadmit/")


@pytest.mark.parametrize(
    "refusal",
    [
        refuse(422, "sendInitialEvents: Forbidden: unless the WatchList feature gate is enabled"),
        refuse(400, "resourceVersionMatch is forbidden for watch"),
        stream(error(500, "required storage feature RequestWatchProgress is disabled")),
        stream(added(namespace("a", 1)), then="end"),
    ],
    ids=["422", "400", "ERROR in the stream", "ends before the list does"],
)
async def test_without_streamed_lists_it_reads_pages_and_remembers(api: API, refusal: Script) -> None:
    api.will(
        refusal,
        page(9, namespace("a", 1), more="there"),
        page(9, namespace("b", 2)),
        stream(added(namespace("c", 10)), error(410, "too old resource version")),
        page(20, namespace("a", 1)),
        stream(added(namespace("d", 21))),
    )
    async with running(api) as run:
        await eventually(lambda: run.names == ["a", "d"])
    kinds = [
        "streamed" if "sendInitialEvents" in q else f"watch {q['resourceVersion']}" if "watch" in q else "page"
        for q in api.asked
    ]
    assert kinds == ["streamed", "page", "page", "watch 9", "page", "watch 20"]
    first, second = api.asked[1:3]
    assert first == {"path": "/api/v1/namespaces", "limit": "500"}
    assert second == {"path": "/api/v1/namespaces", "limit": "500", "continue": "there"}


async def test_a_page_that_expired_starts_the_list_again(api: API) -> None:
    api.will(
        refuse(422),
        page(9, namespace("a", 1), more="there"),
        refuse(410, "the provided continue parameter is too old"),
        page(12, namespace("b", 2)),
    )
    async with running(api) as run:
        assert run.names == ["b"]


async def test_a_long_list_in_pages_and_in_a_stream_with_bookmarks_within(api: API) -> None:
    many = [namespace(f"n{i}", i) for i in range(250)]
    api.will(
        stream(
            *map(added, many), bookmark(250), added(namespace("last", 251)), bookmark(252, end=True), error(410, "")
        ),
        refuse(422),
        page(300, *many),
    )
    async with running(api) as run:
        assert len(run.names) == 251
        await eventually(lambda: len(run.names) == 250)


async def test_a_list_in_gzip(api: API) -> None:
    async def packed(request: web.Request) -> web.StreamResponse:
        body = json.dumps({"metadata": {"resourceVersion": "4"}, "items": [namespace("a", 1)]}).encode()
        return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})

    api.will(refuse(422), packed)
    async with running(api) as run:
        assert run.names == ["a"]


async def test_a_list_without_version_is_no_list(api: API) -> None:
    async def portal(request: web.Request) -> web.StreamResponse:
        return web.json_response({"hello": "you"})

    api.will(refuse(422), portal, page(3, namespace("a", 1)))
    async with running(api) as run:
        assert run.names == ["a"]
        assert run.clock.pauses


async def test_a_later_list_replaces_at_once_what_there_was(api: API) -> None:
    gate, done = asyncio.Event(), asyncio.Event()
    api.will(
        stream(added(namespace("gone", 1)), added(namespace("kept", 2)), bookmark(3, end=True), error(410, "expired")),
        stream(added(namespace("kept", 2)), added(namespace("new", 4)), gate.wait, bookmark(5, end=True), done.wait),
    )
    async with running(api) as run:
        kept = run.state.cluster.namespace("kept")
        await eventually(lambda: len(api.asked) == 2)
        await asyncio.sleep(0.02)
        assert run.names == ["gone", "kept"]  # nothing is taken away, nothing is added before the list is whole
        gate.set()
        await eventually(lambda: run.names == ["kept", "new"])
        assert run.state.cluster.namespace("kept") is kept
        done.set()


async def test_the_first_list_is_partial_until_it_is_whole(api: API) -> None:
    gate = asyncio.Event()
    api.will(stream(added(namespace("a", 1)), gate.wait, bookmark(2, end=True)))
    async with running(api, synced=False) as run:
        assert run.state.cluster.completeness(NAMESPACE) is Completeness.ABSENT
        await eventually(lambda: run.names == ["a"])
        assert run.state.cluster.completeness(NAMESPACE) is Completeness.PARTIAL
        assert run.state.unknown == {NAMESPACE: "not synced yet"}
        assert not run.state.synced
        assert not await run.state.wait_synced(0.01)
        gate.set()
        assert await run.state.wait_synced(2)
        assert run.state.cluster.complete(NAMESPACE)


async def test_a_first_list_that_breaks_leaves_nothing_that_vanished(api: API) -> None:
    api.will(
        stream(added(namespace("gone", 1)), added(namespace("kept", 2)), then="cut"),
        stream(added(namespace("kept", 2)), bookmark(5, end=True)),
    )
    async with running(api) as run:
        assert run.names == ["kept"]


async def test_an_object_deleted_while_the_list_streams(api: API) -> None:
    api.will(
        stream(
            added(namespace("a", 1)),
            added({"metadata": {"name": "odd", "labels": 1}}),
            deleted(namespace("a", 2)),
            deleted(namespace("odd", 3)),
            bookmark(3, end=True),
        )
    )
    async with running(api) as run:
        assert run.names == []
        assert run.state.unknown == {}


# --- watches


async def test_a_watch_goes_on_where_the_last_event_or_bookmark_was(api: API) -> None:
    api.will(
        stream(bookmark(5, end=True), added(namespace("a", 7)), then="end"),
        stream(bookmark(90), then="end"),
        stream(deleted(namespace("a", 91)), then="cut"),
        stream(added(namespace("b", 92))),
    )
    async with running(api) as run:
        await eventually(lambda: run.names == ["b"])
        assert len(run.clock.pauses) == 1  # the cut; an end in good order needs none
        assert run.state.status()[0].restarts == 1
    assert [q.get("resourceVersion") for q in api.asked] == [None, "7", "90", "91"]


async def test_a_cut_within_a_line_loses_nothing(api: API) -> None:
    half = json.dumps(added(namespace("b", 8))).encode()
    api.will(
        stream(bookmark(5, end=True), added(namespace("a", 7)), half[:30], then="cut"),
        stream(added(namespace("b", 8))),
    )
    async with running(api) as run:
        await eventually(lambda: run.names == ["a", "b"])
    assert api.asked[1]["resourceVersion"] == "7"


async def test_lines_longer_than_any_buffer_and_cut_anywhere(api: API) -> None:
    big = namespace("big", 7)
    big["metadata"]["managedFields"] = [{"x": "y" * 1_000_000}]
    text = json.dumps(added(big)).encode() + b"\n" + json.dumps(added(namespace("b", 8))).encode() + b"\n\n"
    pieces = [text[:17], text[17:300_000], text[300_000:-20], text[-20:-1], text[-1:]]
    api.will(stream(bookmark(5, end=True), *pieces, added(namespace("c", 9))))
    async with running(api) as run:
        await eventually(lambda: run.names == ["b", "big", "c"])


async def test_a_line_without_end_is_given_up(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_LONGEST_LINE", 100_000)
    api.will(stream(bookmark(5, end=True), b"x" * 200_000), stream(added(namespace("a", 6))))
    async with running(api) as run:
        await eventually(lambda: run.names == ["a"])


async def test_what_is_not_json_breaks_the_watch_only(api: API) -> None:
    api.will(stream(bookmark(5, end=True), b"<html>\n"), stream(added(namespace("a", 6))))
    async with running(api) as run:
        await eventually(lambda: run.names == ["a"])
        assert len(run.clock.pauses) == 1
        assert run.state.unknown == {}


async def test_events_that_nobody_knows_and_that_change_nothing(api: API) -> None:
    same = asyncio.Event()
    api.will(
        stream(
            added(namespace("a", 1, team="x")),
            bookmark(5, end=True),
            same.wait,
            modified({**namespace("a", 6, team="x"), "status": {"phase": "Active"}}),
            {"type": "SOMETHING", "object": namespace("b", 7)},
            bookmark(8),
        )
    )
    async with running(api) as run:
        generation = run.state.cluster.generation
        before = run.clock.now
        run.clock.now += 1
        same.set()
        assert await run.state.wait_newer(before, [NAMESPACE], 2)
        await asyncio.sleep(0.02)
        assert run.state.cluster.generation == generation


@pytest.mark.parametrize("how", ["in the stream", "on connect"])
async def test_410_lists_again(api: API, how: str) -> None:
    lost = (
        [stream(bookmark(5, end=True), error(410, "too old"))]
        if how == "in the stream"
        else [stream(added(namespace("a", 1)), bookmark(5, end=True), then="end"), refuse(410, "too old")]
    )
    api.will(*lost, stream(added(namespace("b", 6)), bookmark(7, end=True)))
    async with running(api) as run:
        await eventually(lambda: run.names == ["b"])
        assert all(0.5 <= pause <= 1 for pause in run.clock.pauses)
    assert "sendInitialEvents" in api.asked[-1]


async def test_a_place_that_no_server_knows_is_left(api: API) -> None:
    """After etcd was restored from an older state the version lies in the future, and no answer says so."""
    wrong = refuse(504, "Too large resource version: 900, current: 12")
    api.will(stream(bookmark(900, end=True), then="end"), wrong, wrong, wrong, stream(bookmark(12, end=True)))
    async with running(api):
        await eventually(lambda: len(api.asked) == 5)
    assert [q.get("resourceVersion") for q in api.asked] == [None, "900", "900", "900", None]


# --- failures


async def test_pauses_grow_to_a_cap_are_jittered_and_start_over(api: API, caplog: pytest.LogCaptureFixture) -> None:
    api.will(
        *[refuse(500, "boom")] * 8,
        stream(bookmark(5, end=True), then="end"),
        refuse(500, "boom"),
        stream(added(namespace("a", 6))),
    )
    caplog.set_level(logging.INFO, "netadmit.state")
    async with running(api) as run:
        await eventually(lambda: run.names == ["a"])
        pauses = run.clock.pauses
    for pause, longest in zip(pauses, [1, 2, 4, 8, 16, 30, 30, 30, 1], strict=True):
        assert longest / 2 <= pause <= longest
    assert len({round(p / q, 3) for p, q in zip(pauses, [1, 2, 4, 8, 16, 30, 30, 30, 1], strict=True)}) > 1
    assert caplog.messages == ["watch v1/Namespace: failure 3: 500: boom"]


async def test_a_watch_that_was_healthy_starts_the_pauses_over(api: API) -> None:
    passed = asyncio.Event()
    api.will(
        *[refuse(500)] * 5,
        stream(bookmark(5, end=True), passed.wait, then="cut"),
        stream(added(namespace("a", 6))),
    )
    async with running(api) as run:
        run.clock.now += 1800
        passed.set()
        await eventually(lambda: run.names == ["a"])
        assert run.clock.pauses[4] > 1
        assert run.clock.pauses[5] <= 1


async def test_an_outage_is_said_once_not_by_each_watch(api: API, caplog: pytest.LogCaptureFixture) -> None:
    for resource in (NAMESPACES, PODS, POLICIES):
        api.will(*[refuse(503, "no leader")] * 4, stream(bookmark(5, end=True)), path=resource.path)
    caplog.set_level(logging.INFO, "netadmit.state")
    async with running(api, NAMESPACES, PODS, POLICIES):
        assert len(caplog.messages) == 1


@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_is_honoured(api: API, code: int) -> None:
    api.will(
        refuse(code, "slow down", **{"Retry-After": "17"}),
        refuse(code, "slow down", **{"Retry-After": "Sun, 22 Nov 2026 00:00:00 GMT"}),
        refuse(code, "slow down", **{"Retry-After": "99999"}),
        stream(bookmark(5, end=True)),
    )
    async with running(api) as run:
        first, second, third = run.clock.pauses
        assert first == 17
        assert 1 <= second <= 2
        assert third == 300
    assert all("sendInitialEvents" in q for q in api.asked)


async def test_401_renews_the_credentials_and_goes_on_at_once(api: API) -> None:
    api.will(refuse(401, "Unauthorized"), stream(bookmark(5, end=True), then="end"))
    async with running(api) as run:
        assert run.access.renewals == 1
        assert run.clock.pauses == []
        await eventually(lambda: len(api.asked) == 3)
    assert api.authorizations == ["Bearer t0", "Bearer t1", "Bearer t1"]


async def test_401_again_and_again_is_a_failure_like_others(api: API) -> None:
    api.will(*[refuse(401, "Unauthorized")] * 4, stream(bookmark(5, end=True)))
    async with running(api) as run:
        assert run.access.renewals == 4
        assert len(run.clock.pauses) == 3


async def test_credentials_that_cannot_be_renewed_are_the_reason(api: API) -> None:
    gate = asyncio.Event()

    async def wait_then_refuse(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await refuse(401)(request)

    api.will(refuse(401, "Unauthorized"), wait_then_refuse)
    async with running(api, synced=False) as run:
        run.access.broken = "the plugin aws: no session"
        await eventually(lambda: run.state.unknown == {NAMESPACE: "not synced yet: the plugin aws: no session"})
        gate.set()


async def test_no_server_at_all(api: API) -> None:
    state = LiveState(Token("http://127.0.0.1:1"), resources=(NAMESPACES,), timing=Timing(backoff=(0.001, 0.002)))
    task = asyncio.create_task(state.run())
    await eventually(lambda: state.status()[0].restarts > 5)
    assert state.unknown[NAMESPACE].startswith("not synced yet: Cannot connect to host 127.0.0.1:1 [")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_page_of_html_is_a_short_reason(api: API) -> None:
    async def html(request: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>" + "x" * 5000)

    gate = asyncio.Event()
    api.will(html, stream(gate.wait, bookmark(5, end=True)))
    async with running(api, synced=False) as run:
        await eventually(lambda: "502" in run.state.unknown.get(NAMESPACE, ""))
        assert run.state.unknown == {NAMESPACE: "not synced yet: 502: Bad Gateway"}
        gate.set()


@pytest.mark.parametrize(("code", "word"), [(403, "forbidden"), (404, "not served")])
async def test_what_may_not_be_read_is_unknown_said_once_and_asked_for_rarely(
    api: API, caplog: pytest.LogCaptureFixture, code: int, word: str
) -> None:
    api.will(*[refuse(code, "no such luck")] * 5, stream(added(namespace("a", 1)), bookmark(5, end=True)))
    caplog.set_level(logging.INFO, "netadmit.state")
    async with running(api) as run:
        assert run.state.synced
        assert not run.state.cluster.complete(NAMESPACE)
        await eventually(lambda: run.names == ["a"])
        await eventually(lambda: run.state.cluster.complete(NAMESPACE))
        for pause, about in zip(run.clock.pauses, [15, 60, 300, 300, 300], strict=True):
            assert about * 0.8 <= pause <= about * 1.2
    assert caplog.messages == [
        f"v1/Namespace cannot be read and counts as unknown: {word}: {code}: no such luck",
        "v1/Namespace can be read again",
    ]


def route(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": str(version)}, "spec": {}}


async def test_of_an_optional_kind_that_is_not_served_there_is_none(api: API, caplog: pytest.LogCaptureFixture) -> None:
    for path in (ROUTES.path, *ROUTES.others):
        api.will(*[refuse(404, "the server could not find the requested resource")] * 4, path=path)
    api.will(stream(added(route("web", 1)), bookmark(5, end=True), then="end"), path=ROUTES.path)
    caplog.set_level(logging.INFO, "netadmit.state")
    async with running(api, ROUTES) as run:
        state = run.state
        assert state.cluster.complete(HTTP_ROUTE)
        assert state.unknown == {}
        (status,) = state.status()
        assert (status.synced, status.objects, status.age, status.restarts, status.reason) == (True, 0, None, 0, "")
        await eventually(lambda: state.cluster.keys(HTTP_ROUTE))  # somebody has installed the Gateway API
        for pause, about in zip(run.clock.pauses, [15, 60, 240, 240], strict=True):
            assert about * 0.8 <= pause <= about * 1.2
        assert state.status()[0].age is not None
        assert state.status()[0].restarts == 0
    assert caplog.messages == []


async def test_an_optional_kind_is_followed_where_it_is_served(api: API) -> None:
    more = asyncio.Event()
    policy = {
        "metadata": {"name": "deny", "resourceVersion": "3"},
        "spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}},
    }
    api.will(refuse(404), path=CLUSTER_POLICIES.path)
    (newer,) = CLUSTER_POLICIES.others
    api.will(stream(added(policy), bookmark(5, end=True), more.wait, then="end"), refuse(404), path=newer)
    api.will(stream(bookmark(9, end=True)), path=CLUSTER_POLICIES.path)
    async with running(api, CLUSTER_POLICIES) as run:
        assert [p.name for p in run.state.cluster.admin_policies] == ["deny"]
        assert run.clock.pauses == []
        more.set()  # and then only the other version is served, and holds none
        await eventually(lambda: not run.state.cluster.keys(CLUSTER_NETWORK_POLICY))
        assert run.state.cluster.complete(CLUSTER_NETWORK_POLICY)
        assert run.clock.pauses == []
    assert [q["path"] for q in api.asked] == [
        "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
        *["/apis/policy.networking.k8s.io/v1beta1/clusternetworkpolicies"] * 2,
        "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
    ]


async def test_what_is_uninstalled_takes_its_objects_with_it(api: API) -> None:
    gate, hold = asyncio.Event(), asyncio.Event()
    api.will(stream(added(route("web", 1)), bookmark(5, end=True), gate.wait, then="end"), path=ROUTES.path)
    for path in (ROUTES.path, *ROUTES.others):
        api.will(refuse(404), path=path)
    async with running(api, ROUTES) as run:
        assert run.state.cluster.keys(HTTP_ROUTE)
        run.state.sleep = lambda _: hold.wait()
        since = run.clock()
        gate.set()
        await eventually(lambda: not run.state.cluster.keys(HTTP_ROUTE))
        assert run.state.cluster.complete(HTTP_ROUTE)
        async with asyncio.timeout(1):  # nobody waits for news of what is not there
            assert not await run.state.wait_newer(since, [HTTP_ROUTE], 60)


@pytest.mark.parametrize("code", [403, 404])
async def test_an_optional_kind_that_may_not_be_read_is_unknown(api: API, code: int) -> None:
    """Who may not read a kind is told so whether it is served or not; that it is not served says more."""
    hold = asyncio.Event()
    api.will(refuse(403, "httproutes is forbidden"), refuse(code, "again"), path=ROUTES.path)
    for path in ROUTES.others:
        api.will(refuse(code), path=path)
    api.will(stream(added(namespace("a", 1)), bookmark(5, end=True)))
    run = Run(api, (ROUTES, NAMESPACES), None)
    pauses = iter([asyncio.sleep(0), hold.wait()])
    run.state.sleep = lambda _: next(pauses)
    task = asyncio.create_task(run.state.run())
    assert await run.state.wait_synced(2)
    assert run.names == ["a"]
    await eventually(lambda: len(api.asked) > 2)
    if code == 403:
        await eventually(lambda: run.state.unknown == {HTTP_ROUTE: "forbidden: 403: again"})
        assert run.state.cluster.completeness(HTTP_ROUTE) is Completeness.ABSENT
    else:
        await eventually(lambda: run.state.unknown == {})
        assert run.state.cluster.complete(HTTP_ROUTE)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_optional_kind_that_cannot_be_asked_for_any_more_is_doubted(api: API) -> None:
    """Somebody may have installed it while the API server does not answer."""
    for path in (ROUTES.path, *ROUTES.others):
        api.will(refuse(404), path=path)
    back = asyncio.Event()

    async def other(request: web.Request) -> web.StreamResponse:
        await back.wait()
        return await refuse(404)(request)

    api.will(*[refuse(503, "no leader")] * 20, other, path=ROUTES.path)
    for path in ROUTES.others:
        api.will(refuse(404), path=path)
    async with running(api, ROUTES) as run:
        assert run.state.cluster.complete(HTTP_ROUTE)
        await eventually(lambda: len(api.asked) == 23)
        assert run.state.cluster.completeness(HTTP_ROUTE) is Completeness.PARTIAL
        assert run.state.unknown[HTTP_ROUTE].endswith("503: no leader")
        back.set()
        await eventually(lambda: run.state.cluster.complete(HTTP_ROUTE))
        assert run.state.unknown == {}


async def test_calicos_policies_are_followed_in_the_api_that_is_served(api: API) -> None:
    """Its custom resources first: they do not depend on its own API server, which shows the same objects."""
    written = {
        "apiVersion": "projectcalico.org/v3",
        "metadata": {"name": "default.guard", "resourceVersion": "3"},
        "spec": {"selector": "all()", "order": 10, "types": ["Egress"], "egress": [{"action": "Allow"}]},
    }
    (newer,) = CALICO.others
    api.will(refuse(404), path=CALICO.path)
    api.will(stream(added(written), bookmark(5, end=True)), path=newer)
    async with running(api, CALICO) as run:
        (policy,) = run.state.cluster.engine_policies_in("")
        assert (policy.kind, policy.name, policy.order) == (CALICO.kind, "default.guard", 10.0)
        (rules,) = policy.rules
        assert (rules.egress, rules.isolates) == (("Allow",), ("Egress",))
        assert run.state.cluster.complete(CALICO.kind)
    assert [q["path"] for q in api.asked] == [
        "/apis/crd.projectcalico.org/v1/globalnetworkpolicies",
        "/apis/projectcalico.org/v3/globalnetworkpolicies",
    ]


async def test_an_optional_kind_whose_own_api_server_is_down_holds_up_nothing(
    api: API, caplog: pytest.LogCaptureFixture
) -> None:
    """Calico's is an aggregated API: 503 for as long as its server is away, whatever else is served."""
    (newer,) = CALICO.others
    api.will(refuse(404), path=CALICO.path)
    back = asyncio.Event()

    async def again(request: web.Request) -> web.StreamResponse:
        await back.wait()
        return await stream(bookmark(9, end=True))(request)

    api.will(*[refuse(503, "service unavailable")] * 3, again, path=newer)
    api.will(stream(added(namespace("a", 1)), bookmark(5, end=True)))
    caplog.set_level(logging.INFO, "netadmit.state")
    run = Run(api, (CALICO, NAMESPACES), None)
    task = asyncio.create_task(run.state.run())
    assert await run.state.wait_synced(2)
    assert run.names == ["a"]
    assert run.state.unknown == {CALICO.kind: "not available: 503: service unavailable"}
    assert run.state.cluster.completeness(CALICO.kind) is Completeness.ABSENT
    back.set()
    await eventually(lambda: run.state.cluster.complete(CALICO.kind))
    assert run.state.unknown == {}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert caplog.messages == [
        f"{CALICO.kind} cannot be read and counts as unknown: not available: 503: service unavailable",
        f"{CALICO.kind} can be read again",
    ]


async def test_a_denied_kind_does_not_hold_up_the_others(api: API) -> None:
    hold = asyncio.Event()
    api.will(stream(added(namespace("a", 1)), bookmark(5, end=True)))
    api.will(refuse(403, "policies is forbidden"), path=POLICIES.path)
    async with running(api, NAMESPACES, POLICIES, timing=Timing(denied=(3600.0,))) as run:
        run.state.sleep = lambda _: hold.wait()
        assert run.names == ["a"]
        assert run.state.unknown == {NETWORK_POLICY: "forbidden: 403: policies is forbidden"}
        assert run.state.cluster.completeness(NETWORK_POLICY) is Completeness.ABSENT
        assert run.state.cluster.completeness(NAMESPACE) is Completeness.COMPLETE


async def test_a_right_that_is_taken_away_takes_the_objects_with_it(api: API) -> None:
    gate = asyncio.Event()

    async def revoked(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await refuse(403, "forbidden now")(request)

    api.will(stream(added(namespace("a", 1)), bookmark(5, end=True), then="end"), revoked, stream())
    async with running(api) as run:
        assert run.names == ["a"]
        gate.set()
        await eventually(lambda: run.names == [])
        assert run.state.cluster.completeness(NAMESPACE) is Completeness.ABSENT
        assert run.state.synced


async def test_a_broken_watch_keeps_its_objects_and_grows_stale(api: API, caplog: pytest.LogCaptureFixture) -> None:
    gate = asyncio.Event()

    async def back(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await stream(added(namespace("b", 6)))(request)

    api.will(
        stream(added(namespace("a", 1)), bookmark(5, end=True), then="end"), *[refuse(503, "no leader")] * 20, back
    )
    caplog.set_level(logging.INFO, "netadmit.state")
    async with running(api) as run:
        await eventually(lambda: len(api.asked) == 22)
        assert run.names == ["a"]
        assert run.state.cluster.completeness(NAMESPACE) is Completeness.PARTIAL
        status = run.state.status()[0]
        assert status.age is not None
        assert status.age > 300
        assert status.reason.endswith("503: no leader")
        assert status.synced
        assert status.restarts == 20
        gate.set()
        await eventually(lambda: run.names == ["a", "b"])
        assert run.state.cluster.complete(NAMESPACE)
        assert run.state.unknown == {}
    assert [m.split(":")[0] for m in caplog.messages] == [
        "watch v1/Namespace",
        "v1/Namespace is stale",
        "v1/Namespace is fresh again",
    ]


async def test_a_connection_that_has_died_is_given_up(api: API) -> None:
    api.will(stream(bookmark(5, end=True)), stream(added(namespace("a", 6))))
    async with running(api, timing=Timing(watch=(0, 0), grace=0.05)) as run:
        await eventually(lambda: run.names == ["a"])
        assert run.state.status()[0].restarts


async def test_a_watch_that_ends_at_once_is_no_reason_to_hurry(api: API) -> None:
    api.will(stream(bookmark(5, end=True), then="end"), *[stream(then="end")] * 3, stream(added(namespace("a", 6))))
    async with running(api) as run:
        await eventually(lambda: run.names == ["a"])
        assert len(run.clock.pauses) == 3


async def test_a_mistake_of_ours_ends_nothing(
    api: API, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def trip(kind: str, raw: object) -> None:
        raise ZeroDivisionError

    api.will(stream(bookmark(5, end=True), added(namespace("a", 6))), stream(bookmark(7, end=True)))
    with monkeypatch.context() as patch:
        patch.setattr(watch, "decode", trip)
        async with running(api) as run:
            await eventually(lambda: len(api.asked) == 2)
            assert len(run.clock.pauses) == 1
    assert "unexpected" in caplog.text
    assert "ZeroDivisionError" in caplog.text


# --- objects that are not understood


async def test_an_object_of_the_wrong_shape_makes_its_kind_partial_while_it_is_there(
    api: API, caplog: pytest.LogCaptureFixture
) -> None:
    odd = {"metadata": {"name": "odd", "resourceVersion": "6", "labels": ["not", "a", "map"]}}
    steps = [asyncio.Event() for _ in range(4)]
    api.will(
        stream(
            added(namespace("a", 1)),
            added(odd),
            bookmark(5, end=True),
            steps[0].wait,
            deleted(odd),
            steps[1].wait,
            modified({**odd, "metadata": {**odd["metadata"], "name": "a", "resourceVersion": "7"}}),
            steps[2].wait,
            modified(odd),
            modified(odd),
            modified(namespace("a", 8)),
            steps[3].wait,
            modified(namespace("odd", 9)),
        )
    )

    def completeness() -> Completeness:
        return run.state.cluster.completeness(NAMESPACE)

    async with running(api) as run:
        assert run.names == ["a"]
        assert completeness() is Completeness.PARTIAL
        assert run.state.synced
        assert run.state.unknown[NAMESPACE].startswith("1 not understood, as odd: metadata.labels: Expected `object`")
        steps[0].set()
        await eventually(lambda: completeness() is Completeness.COMPLETE)
        steps[1].set()
        await eventually(lambda: completeness() is Completeness.PARTIAL)
        assert run.names == []  # what it was is not what it is
        steps[2].set()
        await eventually(lambda: run.names == ["a"])
        assert completeness() is Completeness.PARTIAL
        steps[3].set()
        await eventually(lambda: completeness() is Completeness.COMPLETE)
        assert run.names == ["a", "odd"]
    assert len([m for m in caplog.messages if "is not understood" in m]) == 3  # odd, a, odd: once while it is there


async def test_nulls_are_no_wrong_shape(api: API) -> None:
    policy = {
        "metadata": {"namespace": "shop", "name": "p", "resourceVersion": "3", "annotations": None},
        "spec": {"podSelector": {"matchLabels": None}, "ingress": None},
    }
    api.will(stream(added(policy), bookmark(5, end=True)), path=POLICIES.path)
    async with running(api, POLICIES) as run:
        assert [p.key for p in run.state.cluster.policies] == [("shop", "p")]
        assert run.state.unknown == {}


# --- more than one resource


async def test_finished_pods_are_not_asked_for(api: API) -> None:
    pod = {"metadata": {"namespace": "shop", "name": "web-1", "labels": {"app": "web"}, "resourceVersion": "1"}}
    api.will(stream(added(pod), bookmark(5, end=True)), path=PODS.path)
    async with running(api, PODS) as run:
        assert [p.key for p in run.state.cluster.pods] == [("shop", "web-1")]
    assert api.asked[0]["fieldSelector"] == "status.phase!=Succeeded,status.phase!=Failed"


def config_map(name: str, version: int, **data: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "kube-system", "name": name, "resourceVersion": str(version)}, "data": data}


async def test_config_maps_are_watched_by_name_and_known_when_all_are(api: API) -> None:
    path = "/api/v1/namespaces/kube-system/configmaps"
    two = tuple(
        Resource(CONFIG_MAP, path, f"metadata.name={name}", key=("kube-system", name)) for name in ("coredns", "cilium")
    )
    allowed = asyncio.Event()

    async def by_name(request: web.Request) -> web.StreamResponse:
        if request.query["fieldSelector"] == "metadata.name=coredns":
            return await stream(added(config_map("coredns", 1, Corefile="x")), bookmark(5, end=True))(request)
        if allowed.is_set():
            return await stream(bookmark(5, end=True))(request)
        return await refuse(403, "cilium is forbidden")(request)

    api.will(*[by_name] * 9, path=path)
    async with running(api, *two) as run:
        held = run.state.cluster.config_map("kube-system", "coredns")
        assert held is not None
        assert held.data == {"Corefile": "x"}
        await eventually(lambda: run.state.cluster.completeness(CONFIG_MAP) is Completeness.PARTIAL)
        assert run.state.unknown == {CONFIG_MAP: "kube-system/cilium: forbidden: 403: cilium is forbidden"}
        allowed.set()
        await eventually(lambda: run.state.cluster.complete(CONFIG_MAP))
        assert run.state.cluster.config_map("kube-system", "coredns") is held  # a list of one takes none of the others


def test_everything_the_checks_read_is_followed() -> None:
    assert {r.kind for r in RESOURCES} == set(KINDS)
    paths = {r.kind: r.path for r in RESOURCES if r.key is None}
    assert paths["v1/Pod"] == "/api/v1/pods"
    assert paths["batch/v1/CronJob"] == "/apis/batch/v1/cronjobs"
    assert paths["discovery.k8s.io/v1/EndpointSlice"] == "/apis/discovery.k8s.io/v1/endpointslices"
    assert paths["policy.networking.k8s.io/v1alpha1/AdminNetworkPolicy"] == (
        "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies"
    )
    assert {r.kind for r in RESOURCES if r.others} == set(ALIASES.values()) - set(UNFOLLOWED)
    assert {r.kind for r in RESOURCES if r.optional} == OPTIONAL
    assert {r.title for r in RESOURCES if r.kind == CONFIG_MAP} >= {"v1/ConfigMap openshift-dns/dns-default"}


async def test_status(api: API) -> None:
    api.will(stream(added(namespace("a", 1)), bookmark(5, end=True)))
    gate = asyncio.Event()
    api.will(stream(gate.wait), path=PODS.path)
    async with running(api, NAMESPACES, PODS, synced=False) as run:
        await eventually(lambda: run.state.status()[0].synced)
        run.clock.now += 7
        namespaces, pods = run.state.status()
        assert (namespaces.kind, namespaces.objects, namespaces.age, namespaces.restarts) == (NAMESPACE, 1, 7, 0)
        assert (namespaces.completeness, namespaces.reason) == (Completeness.COMPLETE, "")
        assert (pods.kind, pods.synced, pods.completeness) == (POD, False, Completeness.ABSENT)
        gate.set()


# --- waiting for news (CHECKS.md, conduct 6)


async def test_waiting_for_something_newer(api: API) -> None:
    news, more = asyncio.Event(), asyncio.Event()
    api.will(stream(bookmark(5, end=True), news.wait, added(namespace("a", 6)), more.wait, bookmark(9)))
    async with running(api) as run:
        state, since = run.state, run.clock()
        assert await state.wait_newer(since - 1, [NAMESPACE], 0)  # the end of the list is later than that
        assert not await state.wait_newer(since, [NAMESPACE], 0.01)
        waiters = [asyncio.create_task(state.wait_newer(since, [NAMESPACE, POD], 2)) for _ in range(500)]
        await asyncio.sleep(0)
        run.clock.now += 1
        news.set()
        assert all(await asyncio.gather(*waiters))
        assert run.names == ["a"]
        assert not any(state._waiting.values())
        waiter = asyncio.create_task(state.wait_newer(run.clock(), [NAMESPACE], 2))
        await asyncio.sleep(0)
        run.clock.now += 1
        more.set()
        assert await waiter
        gone = asyncio.create_task(state.wait_newer(run.clock(), [NAMESPACE], 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert not any(state._waiting.values())


async def test_nobody_waits_for_what_cannot_be_read(api: API) -> None:
    api.will(*[refuse(403)] * 2)
    hold = asyncio.Event()
    run = Run(api, (NAMESPACES,), None)
    run.state.sleep = lambda _: hold.wait()
    task = asyncio.create_task(run.state.run())
    assert await run.state.wait_synced(2)
    async with asyncio.timeout(1):
        assert not await run.state.wait_newer(run.clock(), [NAMESPACE, POD], 60)
        assert not await run.state.wait_newer(run.clock(), [], 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_age_counts_from_any_word_of_the_server(api: API) -> None:
    word = asyncio.Event()
    api.will(stream(bookmark(5, end=True), word.wait, bookmark(6)))
    async with running(api) as run:
        run.clock.now += 50
        assert run.state.status()[0].age == 50
        word.set()
        await eventually(lambda: run.state.status()[0].age == 0)
