"""What the checks of traffic share: the change under review, and which of its rules may be to blame."""

from typing import Any

import pytest

from webhook.check import MOST_STEPS, Context, Operation, TooLargeError, View
from webhook.impact import affected, impact, isolated_by, members, rules_about, under_review
from webhook.model.cluster import Cluster
from webhook.model.objects import DEPLOYMENT, NETWORK_POLICY, POD, NetworkPolicy, Pod, Workload
from webhook.model.parse import convert
from webhook.reach.change import Change, Partners, let_through
from webhook.reach.graph import graph_of
from webhook.reach.ports import ALL_PORTS, port_range
from webhook.reach.scenario import Scenario


def policy(spec: dict[str, Any], name: str = "np") -> NetworkPolicy:
    found = convert(NETWORK_POLICY, {"metadata": {"name": name, "namespace": "shop"}, "spec": spec})
    assert isinstance(found, NetworkPolicy)
    return found


def context(spec: dict[str, Any], cluster: Cluster | None = None, view: View = View.ADMISSION) -> Context:
    return Context(Operation.CREATE, policy(spec), cluster or Cluster(), view=view)


@pytest.mark.parametrize(
    ("ports", "about"),
    [
        pytest.param(None, True, id="every port"),
        pytest.param([{"port": 53}], True, id="the port, under another protocol"),
        pytest.param([{"port": 80}, {"port": 53, "protocol": "UDP"}], True, id="one of several"),
        pytest.param([{"port": 50, "endPort": 60}], True, id="a range"),
        pytest.param([{"port": "dns"}], True, id="a name, which may be the one that is wrong"),
        pytest.param([{"protocol": "TCP"}], True, id="every port of a protocol"),
        pytest.param([{"port": 5353}], True, id="a port that is written in its place"),
        pytest.param([{"port": 80}, {"port": 54, "endPort": 60}], False, id="other ports"),
    ],
)
def test_the_rules_that_may_be_to_blame_for_what_is_cut(ports: list[dict[str, Any]] | None, about: bool) -> None:
    rule = {} if ports is None else {"ports": ports}
    spec = {"ingress": [rule], "egress": [{"ports": [{"port": 443}]}, rule]}
    expected = ("spec.egress[1]",) if about else ()
    assert rules_about(context(spec), "Egress", (53, 5353)) == expected
    assert rules_about(context({**spec, "policyTypes": ["Ingress"]}), "Egress", (53, 5353)) == expected, (
        "dead ones, too"
    )
    assert rules_about(context(spec), "Ingress", (53, 5353)) == (("spec.ingress[0]",) if about else ())


def test_looking_for_them_is_paid_for() -> None:
    with pytest.raises(TooLargeError):
        rules_about(context({"egress": [{"ports": [{"port": 1}] * 10}] * (MOST_STEPS // 15)}), "Egress", (53,))


# --- whom the policy under review isolates

API = Pod(
    "shop",
    "api-1",
    {"app": "api", "pod-template-hash": "5d9f"},
    owner=("ReplicaSet", "api-5d9f"),
    phase="Running",
    ips=("10.0.0.1",),
)
WEB = Pod("shop", "web-1", {"app": "web"}, phase="Running", ips=("10.0.0.2", "fd00::2"))
ON_HOST = Pod("shop", "agent-1", {"app": "agent"}, phase="Running", host_network=True)
TEMPLATE = Workload(kind=DEPLOYMENT, namespace="shop", name="api", labels={"app": "api"})


def test_cells_are_isolated_in_the_directions_that_are_listed() -> None:
    other = policy({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}, "other")
    ctx = context({"podSelector": {}, "policyTypes": ["Egress"]}, Cluster.of([API, WEB, ON_HOST, other]))
    isolated = isolated_by(ctx, "Egress")
    assert isolated_by(ctx, "Ingress") == {}
    assert isolated_by(ctx, "Egress") is isolated
    found = {
        tuple(p.name for p in stack.own): [key[1] for cell in cells for key in cell.pods]
        for stack, cells in isolated.items()
    }
    assert found == {("shop/np",): ["api-1"], ("shop/np", "shop/other"): ["web-1"]}
    assert {under_review(ctx, stack).name for stack in isolated} == {"shop/np"}


@pytest.mark.parametrize("view", [View.CHECK, View.AUDIT])
def test_what_is_the_same_for_all_policies_is_worked_out_once(view: View) -> None:
    cluster = Cluster.of([API])
    one, other = context({}, cluster, view), context({"podSelector": {}}, cluster, view)
    assert impact(one) is impact(other)
    cluster.put(WEB)
    assert impact(context({}, cluster, view)) is not impact(one)
    assert impact(context({}, cluster)) is not impact(context({}, cluster))


def test_pods_are_named_by_their_workloads_and_templates_where_no_pod_runs() -> None:
    ctx = context({}, Cluster.of([API, WEB, TEMPLATE]))
    cells = graph_of(ctx.cluster).cells_in("shop")
    assert affected(ctx, members(ctx, cells)).in_full == "2 pods (Deployment/api, Pod/web-1)"
    assert str(affected(ctx, members(ctx, cells))) == "2 workloads"
    assert str(affected(ctx, [TEMPLATE, TEMPLATE])) == "Deployment/api"
    assert str(affected(ctx, [TEMPLATE, WEB])) == "Pod/web-1"


# --- what the engine is asked


def test_whom_the_policies_on_a_cell_let_through_by_any_family_of_addresses() -> None:
    spec = {
        "podSelector": {"matchLabels": {"app": "web"}},
        "egress": [
            {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 80}]},
            {"to": [{"ipBlock": {"cidr": "fd00::1/128"}}], "ports": [{"port": 443}]},
        ],
    }
    both = Pod("shop", "db-0", {"app": "db"}, phase="Running", ips=("10.0.0.9", "fd00::1"))
    graph = graph_of(Cluster.of([API, WEB, both, policy(spec)]))
    scenario = Scenario(graph)
    web, api, db = (graph.cell_of("v1/Pod", ("shop", name)) for name in ("web-1", "api-1", "db-0"))
    assert web is not None
    assert api is not None
    assert db is not None
    outside = graph.outside

    def reached(port: int) -> int:
        return let_through(scenario, web, "Egress", port_range("TCP", port, port)) & ~outside

    assert (reached(80), reached(443), reached(22)) == (1 << api.number, 1 << db.number, 0)
    assert let_through(scenario, api, "Egress", ALL_PORTS) == graph.everyone


def test_what_some_of_the_policies_on_a_cell_let_through() -> None:
    to_web = policy({"podSelector": {}, "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]}, "web")
    to_api = policy({"podSelector": {}, "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "api"}}}]}]}, "api")
    graph = graph_of(Cluster.of([API, WEB, to_web, to_api]))
    scenario = Scenario(graph)
    web, api = (graph.cell_of("v1/Pod", ("shop", name)) for name in ("web-1", "api-1"))
    assert web is not None
    assert api is not None
    by_name = {p.name: p for p in scenario.stack(api, "Egress").own}
    assert scenario.allowed_by((by_name["shop/web"],), api, "Egress") == {ALL_PORTS: 1 << web.number}
    assert scenario.allowed_by(by_name.values(), api, "Egress") == scenario.row(api, "Egress")
    assert scenario.allowed_by((), api, "Egress") == {}


@pytest.mark.parametrize("kept", [pytest.param(True, id="a dry run of its deletion"), pytest.param(False, id="of it")])
def test_what_one_review_supposes_the_next_one_does_not_believe(kept: bool) -> None:
    closed = policy({"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Ingress"]}, "closed")
    other = policy({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}, "other")
    client = Pod("lab", "client-1", {"app": "client"}, phase="Running", ips=("10.0.0.9",))
    graph = graph_of(Cluster.of([API, WEB, client, other, *([closed] if kept else [])]))
    before, after = (closed, None) if kept else (None, closed)
    supposed = Change(graph, {closed.key: before}, {closed.key: after})
    asked = {key: graph.cell_of(POD, key) for key in (API.key, client.key)}
    api, here = asked[API.key], asked[client.key]
    assert api is not None
    assert here is not None

    def reached(scenario: Scenario) -> bool:
        return any(others >> api.number & 1 for others in Partners(graph).of(scenario, here, "Egress").values())

    assert reached(supposed.after) is kept
    assert reached(Scenario(graph)) is not kept
