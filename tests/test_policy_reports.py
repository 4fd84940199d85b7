"""Reports of namespaces: what they say, when they are written, and by whom."""

from __future__ import annotations

import logging

import pytest

from webhook.check import Finding, Level
from webhook.kube import Writer
from webhook.model.objects import NETWORK_POLICY
from webhook.policy_reports import (
    LOOK_SECONDS,
    MOST_RESULTS,
    OPEN_REPORT,
    POLICY_REPORT,
    PolicyReports,
    Standing,
    report,
)
from webhook.verdict import Action, ObjectReference, Ruling

from .fake_api import FakeAPI

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"
OWNER = f"{WEBHOOKS}/validatingwebhookconfigurations/netadmit"
OPEN, POLICY = "/apis/openreports.io/v1alpha1", "/apis/wgpolicyk8s.io/v1alpha2"


def ruling(
    name: str = "api",
    action: Action = Action.WARN,
    level: Level = Level.WARNING,
    message: str = "it matches no pod",
    waived: str = "",
    namespace: str = "shop",
) -> Ruling:
    reference = ObjectReference("networking.k8s.io/v1", "NetworkPolicy", namespace, name)
    return Ruling("a-check", level, action, reference, Finding("spec.podSelector", message), waived=waived)


# --- what they say


def test_a_report_as_both_apis_have_it() -> None:
    standing = [
        Standing(ruling("late", waived="it comes\nlater", action=Action.IGNORE), "u-3", 3.9),
        Standing(ruling("web"), "u-2", 2.0),
        Standing(ruling("api", Action.DENY, Level.ERROR), "", 1.0),
    ]
    made = report(OPEN_REPORT, "shop", standing)
    assert made == {
        "apiVersion": "openreports.io/v1alpha1",
        "kind": "Report",
        "metadata": {
            "name": "netadmit",
            "namespace": "shop",
            "labels": {"app.kubernetes.io/managed-by": "netadmit"},
        },
        "source": "netadmit",
        "scope": {"apiVersion": "v1", "kind": "Namespace", "name": "shop"},
        "summary": {"pass": 0, "fail": 1, "warn": 1, "error": 0, "skip": 1},
        "results": made["results"],
    }
    worst, middle, waived = made["results"]
    assert worst == {
        "source": "netadmit",
        "policy": "a-check",
        "rule": "spec.podSelector",
        "category": "NetworkPolicy",
        "severity": "high",
        "result": "fail",
        "scored": True,
        "message": "netpol shop/api: it matches no pod [a-check]",
        "resources": [
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "namespace": "shop",
                "name": "api",
            }
        ],
        "timestamp": {"seconds": 1, "nanos": 0},
    }
    assert (middle["result"], middle["severity"], middle["scored"]) == ("warn", "medium", False)
    assert middle["resources"][0]["uid"] == "u-2"
    assert (waived["result"], waived["properties"]) == ("skip", {"waived": "it comes�later"})
    other = report(POLICY_REPORT, "shop", standing)
    assert (other["apiVersion"], other["kind"]) == ("wgpolicyk8s.io/v1alpha2", "PolicyReport")
    assert "source" not in other, "a PolicyReport has none"
    assert other["results"] == made["results"]


def test_a_report_has_an_end_and_says_how_much_is_left_out() -> None:
    standing = [Standing(ruling(f"web-{n:04}"), "u", float(n)) for n in range(MOST_RESULTS + 10)]
    standing.append(Standing(ruling("worst", Action.DENY), "u", 5.0))
    made = report(OPEN_REPORT, "shop", standing)
    assert len(made["results"]) == MOST_RESULTS
    assert made["results"][0]["result"] == "fail"
    assert made["results"][-1] == {
        "source": "netadmit",
        "policy": "more-findings",
        "result": "warn",
        "message": "12 more findings are not listed here; netadmit audit prints all",
        "timestamp": {"seconds": MOST_RESULTS + 9, "nanos": 0},
    }
    assert made["summary"]["warn"] == MOST_RESULTS + 10
    whole = report(OPEN_REPORT, "shop", standing[:MOST_RESULTS])
    assert [r["policy"] for r in whole["results"]] == ["a-check"] * MOST_RESULTS


# --- when they are written


class World:
    """An API server, what writes to it, and a clock that only the test moves."""

    def __init__(self, *served: str, on: bool = True, webhook: str = "") -> None:
        self.api = FakeAPI(*served, WEBHOOKS)
        self.seconds = 1000.0
        self.leads = self.caught_up = True
        self.outcomes: list[str] = []
        self.reports = PolicyReports(
            Writer(self.api, "netadmit"),  # type: ignore[arg-type]
            lambda: self.leads,
            lambda: self.caught_up,
            self.outcomes.append,
            on=on,
            webhook=webhook,
            clock=lambda: self.seconds,
            now=lambda: self.seconds + 1e9,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    async def after(self, seconds: float) -> dict[str, list[str]]:
        """Lets time pass, and returns the objects that each report names."""
        until = self.seconds + seconds
        while True:
            await self.reports.step()
            if self.seconds >= until:
                break
            self.seconds = min(self.seconds + 1, until)
        made = [*self.api.of("reports"), *self.api.of("policyreports")]
        return {o["metadata"]["namespace"]: [r["resources"][0]["name"] for r in o.get("results", ())] for o in made}

    def stand(self, name: str, *rulings: Ruling, namespace: str = "shop") -> None:
        self.reports.changed((NETWORK_POLICY, namespace, name), f"u-{name}", rulings)

    @property
    def writes(self) -> list[str]:
        return [method for method, _ in self.api.asked if method in ("PATCH", "DELETE")]

    def leave(self, group: str, plural: str, namespace: str, name: str = "netadmit", by: str = "netadmit") -> str:
        """Puts a report there as if of a former run; returns its path."""
        metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": by}}
        path = f"{group}/namespaces/{namespace}/{plural}/{name}"
        self.api.objects[path] = {"metadata": {**metadata, "resourceVersion": "0"}}
        return path


@pytest.fixture
def world() -> World:
    return World(POLICY)


async def test_it_follows_what_stands(world: World) -> None:
    assert await world.after(1) == {}
    world.stand("api", ruling())
    assert await world.after(4) == {}, "changes come in flocks"
    world.stand("web", ruling("web"))
    assert await world.after(1) == {"shop": ["api", "web"]}
    assert len(world.writes) == 1
    world.stand("api")
    assert await world.after(6) == {"shop": ["web"]}
    world.stand("web", ruling("web"), ruling("web", message="another"))
    assert await world.after(6) == {"shop": ["web", "web"]}
    world.stand("web")
    assert await world.after(6) == {}
    assert world.outcomes == ["written"] * 3 + ["removed"]
    assert len(world.writes) == 4
    await world.after(200)
    assert len(world.writes) == 4


async def test_a_finding_keeps_the_time_at_which_it_was_found(world: World) -> None:
    world.stand("api", ruling())
    await world.after(10)
    world.stand("api", ruling(action=Action.DENY), ruling(message="another"))
    await world.after(10)
    [made] = world.api.of("policyreports")
    assert [r["timestamp"]["seconds"] - 1e9 for r in made["results"]] == [1000, 1010]


async def test_the_newer_api_is_preferred_and_the_other_cleared() -> None:
    world = World(OPEN, POLICY)
    world.leave(POLICY, "policyreports", "shop")
    foreign = world.leave(POLICY, "policyreports", "shop", "theirs", by="kyverno")
    world.stand("api", ruling())
    await world.after(6)
    assert sorted(world.api.objects) == [f"{OPEN}/namespaces/shop/reports/netadmit", foreign]


async def test_where_no_api_is_nothing_is_written_until_there_is_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    world.stand("api", ruling())
    await world.after(2 * LOOK_SECONDS + 1)
    assert world.writes == []
    assert len(world.api.asked) == 6, "asked for both, three times"
    assert caplog.messages == [
        "no reports are written: neither reports.openreports.io nor policyreports.wgpolicyk8s.io are served"
    ]
    world.api.served.add(POLICY)
    assert await world.after(LOOK_SECONDS) == {"shop": ["api"]}
    world.api.served = {"/api/v1", OPEN}
    world.api.objects.clear()
    assert await world.after(LOOK_SECONDS) == {"shop": ["api"]}


async def test_an_api_that_goes_is_noticed_by_the_next_write(world: World) -> None:
    world.stand("api", ruling())
    await world.after(6)
    world.api.served = {"/api/v1"}
    world.stand("web", ruling("web"))
    await world.after(7)
    assert world.reports._kind is None


async def test_leftovers_of_a_former_run_go_once_everything_was_judged(world: World) -> None:
    world.leave(POLICY, "policyreports", "shop")
    world.leave(POLICY, "policyreports", "gone")
    another = world.leave(POLICY, "policyreports", "gone", "copied-by-somebody")
    world.caught_up = False
    await world.after(60)
    assert len(world.api.objects) == 3
    world.stand("api", ruling())
    world.caught_up = True
    assert await world.after(6) == {"gone": [], "shop": ["api"]}
    assert another in world.api.objects


async def test_more_than_a_page_is_listed(world: World) -> None:
    for number in range(1203):
        world.leave(POLICY, "policyreports", f"ns-{number}")
    assert await world.after(1) == {}
    assert world.outcomes == ["removed"] * 1203


async def test_what_somebody_deletes_comes_back(world: World) -> None:
    world.stand("api", ruling())
    await world.after(6)
    world.api.objects.clear()
    assert await world.after(LOOK_SECONDS) == {"shop": ["api"]}


async def test_only_the_leader_writes_and_a_new_one_writes_all(world: World) -> None:
    world.leads = False
    for name in ("api", "web"):
        world.stand(name, ruling(name, namespace=name), namespace=name)
    await world.after(100)
    assert world.api.asked == []
    world.leads = True
    assert await world.after(1) == {"api": ["api"], "web": ["web"]}
    world.leads = False
    world.stand("web", namespace="web")
    await world.after(100)
    for path in world.api.objects:
        world.api.objects[path]["results"] = []  # another leader's
    world.leads = True
    assert await world.after(1) == {"api": ["api"]}


async def test_who_ceases_to_lead_stops_at_once(world: World) -> None:
    for number in range(10):
        world.stand("api", ruling(namespace=f"ns-{number}"), namespace=f"ns-{number}")

    def lose(method: str, _: str) -> None:
        world.leads = world.writes.count("PATCH") < 3 if method == "PATCH" else world.leads

    world.api.fails = lose
    assert len(await world.after(6)) == 3


@pytest.mark.parametrize("status", [403, 429, 500, 0])
async def test_failures_back_off_by_namespace_and_are_said_once(
    world: World, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(method: str, path: str) -> int | None:
        if method != "PATCH" or "/sick" not in path:
            return None
        if not status:
            raise ConnectionError("no route")
        return status

    world.api.fails = fail
    world.stand("api", ruling(namespace="sick-1"), namespace="sick-1")
    world.stand("api", ruling(namespace="sick-2"), namespace="sick-2")
    world.stand("api", ruling())
    assert await world.after(100) == {"shop": ["api"]}
    assert 8 <= world.outcomes.count("failed") <= 10, "after 5, 10, 20, 40 seconds"
    assert 1 <= len(caplog.messages) <= 2
    world.api.fails = lambda *_: None
    assert set(await world.after(80)) == {"shop", "sick-1", "sick-2"}
    assert world.reports._pauses == {}


async def test_a_list_that_fails_is_tried_again_ever_more_slowly(world: World) -> None:
    world.stand("api", ruling())
    world.api.fails = lambda method, path: 403 if "limit=" in path else None
    await world.after(100)
    assert sum("limit=" in path for _, path in world.api.asked) == 5
    assert world.writes == []
    world.api.fails = lambda *_: None
    assert await world.after(100) == {"shop": ["api"]}


async def test_what_changes_while_it_is_written_is_written_again(world: World) -> None:
    def meanwhile(method: str, _: str) -> None:
        if method == "PATCH":
            world.api.fails = lambda *_: None
            world.stand("web", ruling("web"))

    world.stand("api", ruling())
    world.api.fails = meanwhile
    assert await world.after(6) == {"shop": ["api"]}
    assert await world.after(6) == {"shop": ["api", "web"]}


# --- whose they are


def owners(world: World) -> list[tuple[str, str]]:
    """Name and uid of what each report belongs to."""
    made = [o["metadata"]["ownerReferences"] for o in world.api.of("policyreports")]
    assert all(set(one) == {"apiVersion", "kind", "name", "uid"} for [one] in made), "no right on finalizers is needed"
    return [(one["name"], one["uid"]) for [one] in made]


async def test_reports_belong_to_the_webhook_configuration_that_is_there_now() -> None:
    world = World(POLICY, webhook="netadmit")
    world.api.objects[OWNER] = {"metadata": {"uid": "u-1"}}
    world.stand("api", ruling())
    await world.after(6)
    assert owners(world) == [("netadmit", "u-1")]
    world.api.objects[OWNER] = {"metadata": {"uid": "u-2"}}
    await world.after(LOOK_SECONDS)
    assert owners(world) == [("netadmit", "u-2")], "of another one of that name the garbage collector knows nothing"
    assert world.outcomes == ["written"] * 2


async def test_while_it_is_uninstalled_none_is_written(caplog: pytest.LogCaptureFixture) -> None:
    """Helm 4 deletes the webhook configuration first, while the pods still run: what came then would stay for ever."""
    caplog.set_level(logging.INFO)
    world = World(POLICY, webhook="netadmit")
    world.leave(POLICY, "policyreports", "shop")
    world.stand("api", ruling())
    assert await world.after(2 * LOOK_SECONDS) == {}
    assert world.outcomes == ["removed"]
    assert caplog.messages == ["no reports are written: webhook configuration netadmit is not there"]
    world.api.objects[OWNER] = {"metadata": {"uid": "u-1"}}
    assert await world.after(LOOK_SECONDS) == {"shop": ["api"]}


async def test_switched_off_it_takes_its_own_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World(OPEN, POLICY, on=False)
    for group, plural in ((OPEN, "reports"), (POLICY, "policyreports")):
        world.leave(group, plural, "shop")
    foreign = world.leave(POLICY, "policyreports", "shop", "theirs", by="kyverno")
    world.caught_up = False
    world.stand("api", ruling())
    await world.after(1)
    assert list(world.api.objects) == [foreign]
    assert world.outcomes == ["removed"] * 2
    await world.after(LOOK_SECONDS)
    assert "PATCH" not in world.writes
    assert caplog.messages == []


async def test_switched_off_only_the_leader_looks_and_what_fails_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(POLICY, on=False)
    world.leads = False
    await world.after(10)
    assert world.api.asked == []
    world.leads = True
    world.api.fails = lambda *_: 403
    await world.after(100)
    [said] = caplog.messages
    assert said.startswith("cannot see whether reports are left from when they were on; trying again: ")
