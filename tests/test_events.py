"""Events about denials and findings: what they say, how often, and what happens when they are refused."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webhook.check import Finding, Level
from webhook.config import Config
from webhook.events import MOST_OF_A_NAMESPACE, MOST_WAITING, Events, TokenBucket, reason
from webhook.kube import RefusedError, Writer
from webhook.model.objects import NETWORK_POLICY, Pod
from webhook.model.review import Request
from webhook.server import FixedState
from webhook.verdict import Action, ObjectReference, Ruling, Verdict

from .fake_api import FakeAPI
from .test_server import DEAD_RULES, MISSPELT, Start, cluster, files, review, start  # noqa: F401 - fixtures

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ruling(
    name: str = "api",
    action: Action = Action.WARN,
    message: str = "it matches no pod",
    check: str = "a-check",
    namespace: str = "shop",
) -> Ruling:
    reference = ObjectReference("networking.k8s.io/v1", "NetworkPolicy", namespace, name)
    return Ruling(check, Level.WARNING, action, reference, Finding("spec", message))


class World:
    """An API server, what writes to it, and a clock that only the test moves."""

    def __init__(self, instance: str = "pod-1", api: FakeAPI | None = None) -> None:
        self.api = api or FakeAPI()
        self.seconds = 1000.0
        self.outcomes: list[str] = []
        self.events = Events(
            Writer(self.api, "netadmit"),  # type: ignore[arg-type]
            instance,
            self.outcomes.append,
            clock=lambda: self.seconds,
            now=lambda: START + timedelta(seconds=self.seconds - 1000),
            sleep=self.sleep,
        )
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    async def after(self, seconds: float) -> list[dict[str, Any]]:
        """Lets time pass, writes all that may be written then, and returns the Events there are."""
        self.seconds += seconds
        while await self.events.step():
            pass
        return self.api.of("events")

    def deny(self, *rulings: Ruling, uid: str = "") -> None:
        self.events.denied(uid, rulings)

    def find(self, *rulings: Ruling, name: str = "api", uid: str = "u-1", namespace: str = "shop") -> None:
        self.events.found((NETWORK_POLICY, namespace, name), uid, rulings)


@pytest.fixture
def world() -> World:
    return World()


async def test_what_an_event_of_a_denial_says(world: World) -> None:
    world.deny(ruling(action=Action.DENY), ruling(action=Action.WARN, message="only a warning"), uid="u-1")
    [event] = await world.after(0)
    name = event["metadata"].pop("name")
    assert name.startswith("api.")
    event["metadata"].pop("resourceVersion")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "shop"},
        "involvedObject": {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "namespace": "shop",
            "name": "api",
            "uid": "u-1",
        },
        "type": "Warning",
        "reason": "ACheck",
        "action": "Deny",
        "message": "Denied: netpol shop/api: it matches no pod [a-check]",
        "source": {"component": "netadmit"},
        "reportingComponent": "netadmit",
        "reportingInstance": "pod-1",
        "firstTimestamp": "2026-01-01T12:00:00Z",
        "lastTimestamp": "2026-01-01T12:00:00Z",
        "count": 1,
    }


async def test_what_an_event_of_a_finding_says(world: World) -> None:
    world.find(ruling(), ruling(action=Action.IGNORE, message="waived"), ruling(action=Action.DENY, message="worse"))
    first, second = sorted(await world.after(0), key=lambda e: str(e["message"]))
    assert first["message"] == "netpol shop/api: it matches no pod [a-check]"
    assert second["message"] == "netpol shop/api: worse [a-check]"
    assert first["action"] == second["action"] == "Audit"


async def test_what_is_not_there_has_no_uid(world: World) -> None:
    world.deny(ruling("web-", action=Action.DENY))  # a generated name
    [event] = await world.after(0)
    assert "uid" not in event["involvedObject"]
    assert event["metadata"]["name"].startswith("web."), "a name must not have - before the dot"


@pytest.mark.parametrize(("check", "said"), [("dns-blocked", "DnsBlocked"), ("yaml-duplicate-key", "YamlDuplicateKey")])
def test_reasons_are_the_checks(check: str, said: str) -> None:
    assert reason(check) == said


async def test_a_denial_again_and_again_is_one_event_that_is_counted_once_a_minute(world: World) -> None:
    for _ in range(12):  # every ten seconds, as a tool that tries again
        world.deny(ruling(action=Action.DENY))
        events = await world.after(10)
    [event] = events
    assert event["count"] == 7, "written at once, and at 60 s"
    [event] = await world.after(60)
    assert event["count"] == 12
    assert event["firstTimestamp"] == "2026-01-01T12:00:00Z"
    assert event["lastTimestamp"] == "2026-01-01T12:01:50Z"
    assert world.outcomes == ["written", "counted", "counted"]


async def test_an_hour_later_it_is_a_new_event(world: World) -> None:
    world.deny(ruling(action=Action.DENY))
    await world.after(0)
    world.seconds += 3599
    world.deny(ruling(action=Action.DENY))
    assert [e["count"] for e in await world.after(0)] == [2]
    world.seconds += 2
    world.deny(ruling(action=Action.DENY))
    assert sorted(e["count"] for e in await world.after(0)) == [1, 2]


async def test_an_event_that_the_api_server_has_forgotten_is_made_anew(world: World) -> None:
    world.deny(ruling(action=Action.DENY))
    await world.after(0)
    world.api.objects.clear()
    world.deny(ruling(action=Action.DENY))
    [event] = await world.after(60)
    assert (event["count"], event["firstTimestamp"]) == (2, "2026-01-01T12:00:00Z")


async def test_a_finding_that_stands_is_told_once(world: World) -> None:
    for _ in range(3):
        world.find(ruling())
        await world.after(100)
    assert [e["count"] for e in world.api.of("events")] == [1]
    assert world.outcomes == ["written"]


async def test_a_new_leader_does_not_say_again_what_was_said(world: World) -> None:
    world.find(ruling())
    await world.after(0)
    other = World("pod-2", world.api)
    other.find(ruling())
    [event] = await other.after(0)
    assert event["reportingInstance"] == "pod-1"
    assert other.outcomes == ["counted"]


async def test_two_that_deny_count_each_their_own(world: World) -> None:
    other = World("pod-2", world.api)
    for one in (world, other, other):
        one.deny(ruling(action=Action.DENY))
    await world.after(0)
    assert sorted((e["reportingInstance"], e["count"]) for e in await other.after(0)) == [("pod-1", 1), ("pod-2", 2)]


async def test_what_was_mended_before_it_was_told_is_not(world: World) -> None:
    world.find(ruling(), ruling(message="another"))
    world.find(ruling(message="another"))
    assert [e["message"] for e in await world.after(0)] == ["netpol shop/api: another [a-check]"]
    world.find()
    world.find(ruling())
    assert len(await world.after(0)) == 2, "and when it is back it is told"


async def test_an_object_may_not_fill_the_namespace(world: World) -> None:
    for number in range(40):
        world.deny(ruling(action=Action.DENY, message=f"reason {number}"))
    assert world.outcomes.count("dropped") == 15
    assert len(await world.after(0)) == 20
    world.find(ruling())
    world.deny(ruling("other", action=Action.DENY))
    assert len(await world.after(0)) == 21, "findings do not pay for it"
    assert len(await world.after(24)) == 27, "nor other objects"
    world.seconds += 300
    for number in range(2):
        world.deny(ruling(action=Action.DENY, message=f"later reason {number}"))
    assert len(await world.after(0)) == 28


async def test_a_flood_is_written_slowly_and_denials_first(world: World) -> None:
    for number in range(200):
        world.find(ruling(f"api-{number}"), name=f"api-{number}")
    assert len(await world.after(0)) == 20
    world.deny(ruling("denied", action=Action.DENY))
    events = await world.after(0)
    assert len(events) == 21
    assert [e["action"] for e in events if e["involvedObject"]["name"] == "denied"] == ["Deny"]
    for _ in range(20):
        await world.after(1)
    assert len(world.api.of("events")) == 26


def written(world: World) -> dict[str, int]:
    """How many Events there are of each namespace."""
    return dict(Counter(e["metadata"]["namespace"] for e in world.api.of("events")))


async def test_a_noisy_namespace_leaves_the_rate_to_others(world: World) -> None:
    for number in range(300):
        world.find(ruling(f"api-{number}", namespace="noisy"), name=f"api-{number}", namespace="noisy")
    await world.after(0)
    assert written(world) == {"noisy": 20}
    for _ in range(60):
        await world.after(1)
    assert written(world) == {"noisy": 35}, "a quarter of the rate, although nobody else wants it"
    for number in range(20):
        world.find(ruling(f"web-{number}", namespace="quiet"), name=f"web-{number}", namespace="quiet")
    await world.after(0)
    assert written(world) == {"noisy": 35, "quiet": 20}, "at once: what noisy could not take was kept"


async def test_namespaces_take_turns(world: World) -> None:
    names = [f"ns-{number}" for number in range(10)]
    for name in names:
        for number in range(30):
            world.find(ruling(f"api-{number}", namespace=name), name=f"api-{number}", namespace=name)
    await world.after(0)
    assert written(world) == dict.fromkeys(names, 5)
    for _ in range(20):
        await world.after(1)
    assert written(world) == dict.fromkeys(names, 7)
    world.deny(ruling(action=Action.DENY, namespace="ns-3"))
    await world.after(1)
    assert written(world) == dict.fromkeys(names, 7) | {"ns-3": 8}, "denials first"
    world.find(ruling(namespace="late"), namespace="late")
    await world.after(1)
    assert written(world)["late"] == 1, "who has not been served yet is next"


async def test_a_noisy_namespace_leaves_room_in_the_queue(world: World) -> None:
    for number in range(MOST_WAITING):
        world.deny(ruling(f"api-{number}", action=Action.DENY, namespace="noisy"))
    assert world.outcomes == ["dropped"] * (MOST_WAITING - MOST_OF_A_NAMESPACE)
    for number in range(MOST_WAITING):
        world.deny(ruling(f"api-{number}", action=Action.DENY, namespace=f"ns-{number}"))
    assert len(world.events._waiting) == MOST_WAITING


async def test_a_queue_and_a_memory_have_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.events.MOST_WAITING", 60)
    monkeypatch.setattr("webhook.events.MOST_OF_A_NAMESPACE", 60)
    monkeypatch.setattr("webhook.events.MOST_KNOWN", 100)
    for number in range(67):
        world.deny(ruling(f"api-{number}", action=Action.DENY))
    assert world.outcomes == ["dropped"] * 7
    for number in range(200):
        world.deny(ruling(f"web-{number}", action=Action.DENY))
        await world.after(1)
    assert len(world.events._known) == 100
    assert len(world.events._buckets) == 100
    assert set(world.events._waiting) <= set(world.events._known)


@pytest.mark.parametrize("status", [429, 503, 0])
async def test_what_is_refused_for_now_is_tried_again_ever_more_slowly(
    world: World, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: str) -> int:
        if not status:
            raise ConnectionError("no route")
        return status

    world.api.fails = fail
    world.deny(ruling(action=Action.DENY))
    for _ in range(8):
        assert not await world.events.step()
        await world.sleep(world.events._pause)
    assert world.slept == [1, 2, 4, 8, 16, 32, 60, 60]
    assert world.outcomes == ["failed"] * 8
    assert len(caplog.messages) == 1, "said once"
    world.api.fails = lambda *_: None
    assert len(await world.after(0)) == 1
    assert world.events._pause == 0


@pytest.mark.parametrize("status", [400, 403, 404, 422])
async def test_what_will_never_be_taken_is_given_up(world: World, status: int) -> None:
    world.api.fails = lambda _, path: status if "shop" in path else None
    world.deny(ruling(action=Action.DENY))
    assert await world.after(0) == []
    world.api.fails = lambda *_: None
    assert await world.after(1000) == []
    assert world.outcomes == ["failed"]
    world.deny(ruling(action=Action.DENY))
    assert len(await world.after(0)) == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "unable to create new content in namespace shop because it is being terminated"),
        (404, 'POST /api/v1/namespaces/shop/events: 404: namespaces "shop" not found'),
    ],
)
async def test_a_namespace_that_ends_needs_no_event_and_no_line_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    async def ends(*_: object, **__: object) -> None:
        raise RefusedError(message, status)

    monkeypatch.setattr(world.api, "send", ends)
    world.deny(ruling(action=Action.DENY))
    assert await world.after(0) == []
    assert world.outcomes == ["dropped"]
    assert caplog.records == []
    assert world.events._pause == 0


async def test_what_happens_while_it_is_written_is_not_lost(world: World) -> None:
    def meanwhile(*_: str) -> None:
        world.api.fails = lambda *_: None
        world.deny(ruling(action=Action.DENY))

    world.deny(ruling(action=Action.DENY))
    world.api.fails = meanwhile
    assert [e["count"] for e in await world.after(0)] == [1]
    assert [e["count"] for e in await world.after(60)] == [2]

    def given_up(*_: str) -> int:
        meanwhile()
        return 403

    world.deny(ruling("other", action=Action.DENY))
    world.api.fails = given_up
    await world.after(60)
    await world.after(60)


def test_a_bucket_fills_again() -> None:
    bucket = TokenBucket(2, 0.5, 0.0)
    assert [bucket.take(now) for now in (0, 0, 0, 1, 2, 2, 100, 100, 100)] == [
        True, True, False, False, True, False, True, True, False,
    ]  # fmt: skip


# --- whom the server tells


async def test_the_server_tells_of_denials_but_not_of_dry_runs(start: Start) -> None:  # noqa: F811
    server = await start()
    told: list[tuple[Request, Verdict]] = []
    server.service.denied = lambda *denial: told.append(denial)
    await server.ask(review(MISSPELT))
    await server.ask({**review(DEAD_RULES), "request": {**review(DEAD_RULES)["request"], "dryRun": True}})
    assert not told
    for path in ("/validate", "/enforce", "/advise"):
        await server.post(review(DEAD_RULES), path=path)
    assert [[r.check for r in verdict.rulings if r.action is Action.DENY] for _, verdict in told] == [
        ["rules-without-policy-type"]
    ] * 2


async def test_a_denied_tenant_reads_nothing_of_other_namespaces(start: Start, world: World) -> None:  # noqa: F811
    pod = Pod("secret-team", "p", {"app": "apii"}, phase="Running")
    config = Config(enforce=("selector-matches-nothing",))
    server = await start(FixedState(cluster(pod, Pod("shop", "web", {"app": "web"}, phase="Running"))), config=config)
    server.service.denied = lambda request, verdict: world.events.denied("", verdict.rulings)
    await server.ask(review(MISSPELT))
    [event] = await world.after(0)
    assert "another namespace" in event["message"]
    assert "secret-team" not in json.dumps(event)
