"""The audit beside the webhook: what settles, what is judged again, and when; with a clock of the test's own."""

import asyncio
import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from webhook.audit import Auditor, Identity
from webhook.check import MOST_STEPS, Context, Disclosure
from webhook.cli.serve import _JSONFormatter
from webhook.config import Config, Mode
from webhook.metrics import Metrics
from webhook.model.cluster import Cluster
from webhook.model.objects import KINDS, NETWORK_POLICY, POD
from webhook.model.parse import convert
from webhook.pipeline import Judge
from webhook.verdict import Ruling

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


def policy(app: str, name: str = "api", *, created: str = "", peer: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop"} | ({"creationTimestamp": created} if created else {})
    spec: dict[str, Any] = {"podSelector": {"matchLabels": {"app": app}}}
    if peer is not None:
        spec["ingress"] = [{"from": [peer]}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def pod(app: str, namespace: str = "shop", name: str = "") -> dict[str, Any]:
    metadata = {"name": name or f"{app}-1", "namespace": namespace, "labels": {"app": app}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": "Running"}}


class World:
    """A cluster, an auditor, and a clock that only the test moves."""

    def __init__(self, config: Config | None = None) -> None:
        self.cluster = Cluster.of([], complete=True)
        self.synced = True
        self.seconds = 1000.0
        self.told: list[tuple[Identity, list[str]]] = []
        self.put(SHOP)
        self.auditor = Auditor(Judge(config or Config()), self, self._tell, clock=lambda: self.seconds, now=lambda: NOW)

    def _tell(self, identity: Identity, rulings: tuple[Ruling, ...]) -> None:
        self.told.append((identity, [r.check for r in rulings]))

    def put(self, *objects: dict[str, Any]) -> None:
        for o in objects:
            self.cluster.put(convert(f"{o['apiVersion']}/{o['kind']}", o))

    def remove(self, o: dict[str, Any]) -> None:
        self.cluster.remove(
            f"{o['apiVersion']}/{o['kind']}", (o["metadata"].get("namespace", ""), o["metadata"]["name"])
        )

    def after(self, seconds: float) -> list[list[str]]:
        """Lets time pass, and returns what is told meanwhile."""
        self.told.clear()
        for moment in (0.0, seconds):  # what has changed is noted within a second
            self.seconds += moment
            while self.auditor.step():
                pass
        return [checks for _, checks in self.told]


@pytest.fixture
def world() -> World:
    return World()


def test_what_is_old_is_judged_at_once(world: World) -> None:
    world.put(policy("apj"), pod("api"))
    assert world.after(0) == [["selector-matches-nothing"]]
    assert world.auditor.count == {("selector-matches-nothing", "warning"): 1}


def test_the_log_tells_a_finding_s_level_apart_from_the_line_s(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "netadmit")
    world.put(policy("apj"), pod("api"))
    world.after(0)
    (entry,) = [json.loads(_JSONFormatter().format(record)) for record in caplog.records]
    assert entry["level"] == "info"
    assert entry["message"] == "finding"
    assert entry["findingLevel"] == "warning"
    assert entry["check"] == "selector-matches-nothing"


def test_no_field_takes_the_place_of_what_every_log_line_has() -> None:
    record = logging.LogRecord("netadmit", logging.INFO, __file__, 1, "synced", (), None)
    record.fields = {"level": "warning", "message": "other", "time": 0, "logger": "", "objects": 7}
    entry = json.loads(_JSONFormatter().format(record))
    assert (entry["level"], entry["message"], entry["logger"]) == ("info", "synced", "netadmit")
    assert entry["time"].startswith("20")
    assert entry["objects"] == 7


def test_what_is_new_has_its_time_to_settle(world: World) -> None:
    world.put(policy("api", created="2026-01-01T11:58:00Z"))  # two minutes old
    assert world.after(0) == []
    assert world.after(170) == []
    assert world.after(20) == [["selector-matches-nothing"]]


def test_what_comes_later_settles_too_and_its_pods_silence_it(world: World) -> None:
    world.after(0)
    world.put(policy("api"), policy("cache", "cache"))
    assert world.after(200) == []
    world.put(pod("api"))
    assert world.after(101) == [["selector-matches-nothing"]]
    assert world.told[0][0] == (NETWORK_POLICY, ("shop", "cache"))


def test_a_finding_goes_when_its_cause_does_and_comes_back_with_it(world: World) -> None:
    world.put(policy("api"), pod("api"))
    assert world.after(0) == []
    world.remove(pod("api"))
    assert world.after(6) == []  # not twice within a minute
    assert world.after(60) == [["selector-matches-nothing"]]
    world.put(pod("api"))
    assert world.after(70) == [[]]
    assert not world.auditor.standing


def test_a_peer_in_another_namespace_counts(world: World) -> None:
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "web"}},
        "podSelector": {"matchLabels": {"app": "front"}},
    }
    world.put({**SHOP, "metadata": {"name": "web"}}, policy("api", peer=peer), pod("api"), pod("front", "web"))
    assert world.after(0) == []
    world.remove(pod("front", "web"))
    world.put(pod("frontt", "web"))
    assert world.after(70) == [["peer-matches-nothing"]]


def test_what_is_mended_is_judged_soon_and_an_object_that_never_rests_is_judged_all_the_same(world: World) -> None:
    world.put(policy("apj"), pod("api"))
    world.after(0)
    world.put(policy("api"))
    assert world.after(4) == []
    world.put(policy("api"))
    assert world.after(1) == [[]]


def test_what_is_deleted_has_nothing_against_it(world: World) -> None:
    world.put(policy("apj"), pod("api"))
    world.after(0)
    world.remove(policy("apj"))
    assert world.told[-1] == ((NETWORK_POLICY, ("shop", "api")), [])
    assert not world.auditor.standing
    assert world.after(1000) == []


def test_churn_is_judged_once_a_minute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(policy("api"), pod("api"))
    world.after(0)
    judged: list[float] = []
    judge = world.auditor._judge
    real = judge.audit
    monkeypatch.setattr(judge, "audit", lambda *a, **k: judged.append(world.seconds) or real(*a, **k))
    for number in range(300):
        world.put(pod("api", name=f"api-{number}"))
        world.after(1)
    assert 4 <= len(judged) <= 6


def test_a_tenant_reads_nothing_of_other_namespaces() -> None:
    world = World(Config(disclose=Disclosure.NAMESPACE))
    world.put(policy("api"), {**SHOP, "metadata": {"name": "secret-team"}}, pod("api", "secret-team"))
    world.after(0)
    (rulings,) = world.auditor.standing.values()
    assert "secret-team" not in rulings[0].line
    assert "another namespace" in rulings[0].line


def test_a_waived_or_ignored_finding_does_not_stand() -> None:
    world = World(Config(mode=Mode.OFF))
    world.put(policy("apj"), pod("api"))
    assert world.after(0) == []


def test_what_is_waived_is_told_but_does_not_stand(world: World) -> None:
    waived = policy("apj")
    waived["metadata"]["annotations"] = {"netadmit.io/ignore.selector-matches-nothing": "its pods come at night"}
    world.put(waived, pod("api"))
    assert world.after(0) == [["selector-matches-nothing"]]
    assert not world.auditor.standing
    assert not world.auditor.count
    assert [r.waived for r in world.auditor.waived[NETWORK_POLICY, ("shop", "api")]] == ["its pods come at night"]
    world.put(policy("apj"))
    assert world.after(6) == [["selector-matches-nothing"]]
    assert world.auditor.standing
    assert not world.auditor.waived
    world.put(waived)
    world.after(6)
    world.remove(waived)
    assert world.told[-1] == ((NETWORK_POLICY, ("shop", "api")), [])


def test_it_has_caught_up_when_all_that_was_old_at_the_start_is_judged(world: World) -> None:
    world.put(*(policy("api", f"np-{number}") for number in range(3)), pod("api"))
    world.put(policy("api", "young", created="2026-01-01T11:58:00Z"))
    assert not world.auditor.caught_up
    world.auditor._start()
    world.remove(policy("api", "np-0"))
    assert not world.auditor.caught_up
    world.after(0)
    assert world.auditor.caught_up
    assert (NETWORK_POLICY, ("shop", "young")) in world.auditor._due


def test_the_metric_counts_what_stands() -> None:
    metrics = Metrics(list)
    metrics.tell_standing({("dns-blocked", "warning"): 2})
    assert b'netadmit_audit_findings{check="dns-blocked",level="warning"} 2.0' in metrics.exposition()
    metrics.tell_standing({})
    assert b"dns-blocked" not in metrics.exposition()


def test_every_kind_may_change(world: World) -> None:
    """No event of any kind is too strange for the audit."""
    world.after(0)
    for kind in KINDS:
        world.cluster.remove(kind, ("shop", "nothing"))
    world.put(pod("api"))
    assert world.after(1) == []
    assert world.cluster.keys(POD)


def test_what_is_large_costs_no_more_than_an_admission(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Admissions wait while it is audited; a person who waits for `netadmit audit` is told more."""
    spent: list[int] = []
    spend = Context.spend

    def counted(ctx: Context, steps: int = 1) -> None:
        spent.append(min(steps, max(ctx.steps, 0)))
        spend(ctx, steps)

    large = policy("api")
    large["spec"]["ingress"] = [{"from": [{"podSelector": {"matchLabels": {"app": f"a{n}"}}} for n in range(20_000)]}]
    world.put(pod("api"), large)
    monkeypatch.setattr(Context, "spend", counted)
    world.auditor.step()
    world.seconds += 1000
    while world.auditor.step():
        pass
    assert MOST_STEPS / 2 < sum(spent) <= MOST_STEPS
    spent.clear()
    [judged] = world.cluster.policies
    Judge(Config()).audit(judged, world.cluster)
    assert sum(spent) > MOST_STEPS


async def test_an_audit_leaves_as_much_time_as_it_takes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            raise asyncio.CancelledError

    takes = iter([0.001, 0.3, 0.3, 0.3])

    def step() -> bool:
        world.seconds += next(takes)
        return len(slept) < 3

    monkeypatch.setattr(world.auditor, "step", step)
    monkeypatch.setattr("webhook.audit.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await world.auditor.run()
    assert slept == pytest.approx([0.02, 0.3, 0.3, 1.0])
