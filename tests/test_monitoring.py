"""What Prometheus and Grafana are given: every metric and label they ask for is one that the service exposes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from webhook.metrics import Metrics
from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import POD
from webhook.pipeline import Judge
from webhook.server import FixedState, Service
from webhook.state.watch import KindStatus

from .chart import CHART, render, rendered
from .test_chart import _helm, only

__all__ = ["_helm"]  # without helm, the module is skipped as test_chart.py is

MONITORED = f"--values={CHART}/ci/monitoring-values.yaml"
APISERVER = {
    # k8s.io/apiserver, pkg/admission/metrics/metrics.go
    "apiserver_admission_webhook_admission_duration_seconds": {"name", "type", "operation", "rejected"},
    "apiserver_admission_webhook_fail_open_count": {"name", "type"},
    "apiserver_admission_webhook_rejection_count": {"name", "type", "operation", "error_type", "rejection_code"},
}
TARGET = {"job", "namespace", "pod"}
"""Labels that Prometheus adds to what it scrapes."""
_SELECTION = re.compile(r"\b((?:netadmit|apiserver)_\w+|up)\b(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


def exposed() -> dict[str, set[str]]:
    """Every sample that /metrics can have, with its labels."""
    metrics = Metrics(lambda: [KindStatus(POD, Completeness.COMPLETE, True, 1, 0.5, 0)], ["some-check"])
    found: dict[str, set[str]] = {"up": set()}
    for name, collector in metrics.registry._names_to_collectors.items():
        labels = set(getattr(collector, "_labelnames", ()))
        found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    for name in [n for n in found if n + "_total" in found or n + "_bucket" in found]:
        del found[name]  # the name of the family alone is no sample
    for name, labels in APISERVER.items():
        found[name] = set(labels)
        found[f"{name}_bucket"] = labels | {"le"}
    return found


def unknown(expression: str, known: Mapping[str, set[str]]) -> list[str]:
    """Metrics and labels of a query that nothing has."""
    wrong: list[str] = []
    having: set[str] = set()
    for name, matchers in _SELECTION.findall(expression):
        if name not in known:
            wrong.append(name)
            continue
        labels = known[name] | TARGET
        having |= labels
        wrong += [
            f"{name}{{{label}}}" for label in _LABEL.findall(re.sub(r'"[^"]*"', '""', matchers)) if label not in labels
        ]
    for grouped in _GROUPED.findall(expression):
        wrong += [f"by ({label})" for label in grouped.split(", ") if label not in having]
    return wrong


def alerts() -> list[dict[str, Any]]:
    [group] = only(rendered(MONITORED), "PrometheusRule")["spec"]["groups"]
    return list(group["rules"])


def dashboard() -> dict[str, Any]:
    data = only(rendered(MONITORED), "ConfigMap", name="netadmit-dashboard")["data"]
    return dict(json.loads(data["netadmit.json"]))


def queries() -> Iterator[tuple[str, str]]:
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    shown = dashboard()
    for panel in shown["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in shown["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]


def test_what_is_asked_for_is_there() -> None:
    known = exposed()
    asked = list(queries())
    assert len(asked) > 20
    assert {where: wrong for where, query in asked if (wrong := unknown(query, known))} == {}
    assert all(_SELECTION.search(query) for _, query in asked)


def test_that_test_sees_a_metric_or_a_label_that_is_not_there() -> None:
    known = exposed()
    assert unknown("netadmit_reviews_total", known) == ["netadmit_reviews_total"]
    assert unknown("netadmit_findings", known) == ["netadmit_findings"]
    assert unknown('sum(netadmit_findings_total{level="error"})', known) == ["netadmit_findings_total{level}"]
    assert unknown("sum by (kind) (netadmit_findings_total)", known) == ["by (kind)"]
    assert unknown('sum by (check) (netadmit_findings_total{job="x=y"})', known) == []


def test_every_metric_is_on_the_dashboard() -> None:
    """A metric that nobody looks at is not worth its place, or its panel was forgotten."""
    own = {name for name in exposed() if name.startswith("netadmit_") and not name.endswith("_created")}
    shown = {
        name for panel in dashboard()["panels"] for t in panel["targets"] for name, _ in _SELECTION.findall(t["expr"])
    }
    families = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in own}
    assert families == {re.sub(r"_(total|bucket|count|sum)$", "", n) for n in shown if n.startswith("netadmit_")}


def test_panels_have_their_places() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_alerts_say_what_to_do_and_of_whom() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["annotations"]["description"].count("{{") == 0, rule["alert"]
        if "netadmit_" in rule["expr"]:
            assert 'job="netadmit", namespace="netadmit"' in rule["expr"], rule["alert"]
    text = render(MONITORED, "--set=fullnameOverride=judge", namespace="elsewhere")
    assert 'absent(up{job="judge", namespace="elsewhere"} == 1)' in text
    assert 'name=~"[a-z]+\\\\.netadmit\\\\.io"' in text, "PromQL's own escape of a point"
    webhooks = only(rendered(), "ValidatingWebhookConfiguration")["webhooks"]
    assert all(re.fullmatch(r"[a-z]+\.netadmit\.io", webhook["name"]) for webhook in webhooks)


def test_denials_are_told_only_where_asked_for() -> None:
    rule = "--set=monitoring.prometheusRule.enabled=true"
    assert "NetadmitDeniesMuch" not in render(rule)
    assert "NetadmitDeniesMuch" in render(rule, "--set=monitoring.prometheusRule.denialsPerHour=5")


def test_nothing_of_the_operators_by_default() -> None:
    assert {o["kind"] for o in rendered()} & {"ServiceMonitor", "PrometheusRule"} == set()
    assert [o["metadata"]["name"] for o in rendered() if o["kind"] == "ConfigMap"] == ["netadmit"]


def test_the_service_monitor_finds_the_service_and_its_port() -> None:
    objects = rendered(MONITORED)
    monitor, service = only(objects, "ServiceMonitor")["spec"], only(objects, "Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint] = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert (endpoint["path"], endpoint["interval"]) == ("/metrics", "1m")


@pytest.mark.parametrize(
    "given", ["dashbord.enabled=true", "serviceMonitor.interval=soon", "prometheusRule.denialsPerHour=-1"]
)
def test_what_the_values_refuse(given: str) -> None:
    with pytest.raises(ValueError, match="at '/monitoring"):
        render(f"--set=monitoring.{given}")


def test_the_first_crash_of_a_check_is_an_increase() -> None:
    service = Service(Judge(), FixedState(Cluster.of([], complete=True)))
    lines = service.metrics.exposition().decode().splitlines()
    for check in service.judge.check_ids:
        assert f'netadmit_check_crashes_total{{check="{check}"}} 0.0' in lines


def test_the_dashboard_in_the_chart_is_the_file() -> None:
    assert dashboard() == json.loads((CHART / "dashboards" / "netadmit.json").read_text())
    assert (
        only(rendered(MONITORED), "ConfigMap", name="netadmit-dashboard")["metadata"]["labels"]["grafana_dashboard"]
        == "1"
    )
    assert yaml.safe_load((CHART / "values.yaml").read_text())["monitoring"]["dashboard"]["enabled"] is False
