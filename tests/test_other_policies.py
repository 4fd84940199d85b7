"""Policies in engines' own APIs: whom they may be about, what they may do, and what is not certain any more then."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.command import Command
from tests.test_enforcement import cluster, said, without
from webhook.check import Context, Disclosure, Finding, Level, Operation
from webhook.checks.cni_does_not_enforce import CHECK as DOES_NOT_ENFORCE
from webhook.checks.dns_blocked import CHECK as DNS_BLOCKED
from webhook.checks.opens_on_removal import CHECK as OPENS_ON_REMOVAL
from webhook.checks.other_policy_apis import CHECK as OTHER_POLICY_APIS
from webhook.effects import effect_lines
from webhook.enforcement import Pin, enforcement_of
from webhook.enforcement.own_policies import Effects, effects_of, selections_of
from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    ALIASES,
    ANTREA_CLUSTER_NETWORK_POLICY,
    ANTREA_NETWORK_POLICY,
    ANTREA_POLICIES,
    CALICO_GLOBAL_NETWORK_POLICY,
    CALICO_NETWORK_POLICY,
    CALICO_POLICIES,
    CILIUM_CLUSTERWIDE_NETWORK_POLICY,
    CILIUM_NETWORK_POLICY,
    CILIUM_POLICIES,
    CLUSTER_SCOPED,
    ENGINE_POLICIES,
    KINDS,
    EnginePolicy,
    Namespace,
    NetworkPolicy,
    Pod,
    Record,
)
from webhook.model.parse import DecodeError, convert, decode
from webhook.other_policies import May, other_policies

POLICY = """
metadata: {name: api, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]
"""
SHOP = (
    Namespace("shop", {"kubernetes.io/metadata.name": "shop", "team": "shop"}),
    Pod("shop", "api-1", {"app": "api", "tier": "back"}, phase="Running"),
    Pod("shop", "web-1", {"app": "web"}, phase="Running"),
)


def network_policy(text: str = POLICY) -> NetworkPolicy:
    record = convert(NetworkPolicy.kind, yaml.safe_load(text))
    assert isinstance(record, NetworkPolicy)
    return record


def engine_policy(kind: str, spec: str, name: str = "other", **more: Any) -> EnginePolicy:
    namespace = "" if kind in CLUSTER_SCOPED else "shop"
    written = {"metadata": {"name": name, "namespace": namespace}, "spec": yaml.safe_load(spec), **more}
    record = convert(kind, written)
    assert isinstance(record, EnginePolicy)
    assert decode(kind, json.dumps(written).encode()) == record, "as the API server sends it"
    return record


def context(
    *more: Record,
    operation: Operation = Operation.CREATE,
    policy: NetworkPolicy | None = None,
    disclosure: Disclosure = Disclosure.CLUSTER,
) -> Context:
    return Context(
        operation, policy or network_policy(), Cluster.of([*SHOP, *more], complete=True), disclosure=disclosure
    )


def about(policy: EnginePolicy, *more: Record) -> str:
    """Whether it is about the pod api-1: for certain, maybe or not."""
    ctx = context(policy, *more)
    others = other_policies(ctx)
    (of,) = (c for c in ctx.cluster.classes("shop") if c.labels["app"] == "api")
    if not any(others.about(of, d) for d in ("Ingress", "Egress")):  # type: ignore[arg-type]
        return "no"
    return "yes" if others.surely_about(policy, [of]) else "maybe"


# --- whom they are about

LABELS = "ingress: [{fromEntities: [world]}]"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("{}", "yes"),
        ("{matchLabels: {app: api}}", "yes"),
        ("{matchLabels: {'k8s:app': api, 'any:tier': back}}", "yes"),
        ("{matchLabels: {app: web}}", "no"),
        ("{matchExpressions: [{key: 'k8s:app', operator: In, values: [api, web]}]}", "yes"),
        ("{matchExpressions: [{key: app, operator: NotIn, values: [api]}]}", "no"),
        ("{matchExpressions: [{key: app, operator: Exists}, {key: tier, operator: DoesNotExist}]}", "no"),
        ("{matchLabels: {'k8s:io.kubernetes.pod.namespace': shop}}", "yes"),
        ("{matchLabels: {io.kubernetes.pod.namespace: kube-system}}", "no"),
        ("{matchLabels: {io.cilium.k8s.namespace.labels.team: shop}}", "yes"),
        ("{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.team': ops}}", "no"),
        ("{matchLabels: {io.cilium.k8s.policy.serviceaccount: api}}", "maybe"),
        ("{matchLabels: {io.cilium.k8s.policy.serviceaccount: api, app: web}}", "no"),
        ("{matchLabels: {'reserved:host': ''}}", "no"),
        ("{matchExpressions: [{key: 'reserved:host', operator: DoesNotExist}]}", "maybe"),
        ("{matchExpressions: [{key: app, operator: Contains, values: [a]}]}", "no"),
    ],
)
@pytest.mark.parametrize("kind", CILIUM_POLICIES)
def test_whom_cilium_selects(kind: str, selector: str, expected: str) -> None:
    assert about(engine_policy(kind, f"{{endpointSelector: {selector}, {LABELS}}}")) == expected


def test_cilium_s_other_shapes() -> None:
    nodes = "{nodeSelector: {}, ingress: [{fromEntities: [world]}]}"
    assert about(engine_policy(CILIUM_CLUSTERWIDE_NETWORK_POLICY, nodes)) == "no", "nodes are no pods"
    specs = yaml.safe_load(f"[{{endpointSelector: {{matchLabels: {{app: web}}}}, {LABELS}}}, {nodes}]")
    ours = yaml.safe_load(f"{{endpointSelector: {{}}, {LABELS}}}")
    kind = CILIUM_NETWORK_POLICY
    assert about(engine_policy(kind, "null", specs=specs)) == "no"
    assert about(engine_policy(kind, "null", specs=[*specs, ours])) == "yes"
    assert about(engine_policy(kind, nodes, specs=[ours])) == "yes"


CALICO_SELECTORS = [
    ("all()", "yes"),
    ("", "yes"),
    ("app == 'api'", "yes"),
    ('app == "api" && tier == "back"', "yes"),
    ("app=='web'", "no"),
    ("app != 'api'", "no"),
    ("role != 'db'", "yes"),
    ("has(app) && !has(role)", "yes"),
    ("! has(tier)", "no"),
    ("app in { 'api', \"web\" }", "yes"),
    ("app in {'web'}", "no"),
    ("app not in {'api','web'}", "no"),
    ("projectcalico.org/namespace == 'shop'", "yes"),
    ("projectcalico.org/namespace != 'shop' && app == 'api'", "no"),
    ("pcns.team == 'shop' && projectcalico.org/orchestrator == 'k8s'", "maybe"),
    ("pcns.team == 'ops'", "no"),
    ("pcsa.role == 'api' && app == 'web'", "no"),
    ("app starts with 'ap'", "maybe"),
    ("app contains 'x' && tier == 'front'", "no"),
    ("app == 'web' || app == 'api'", "maybe"),
    ("(app == 'web')", "maybe"),
    ("!(has(x) && app == 'web' && has(y))", "maybe"),
    ("!(app == 'web')", "maybe"),
    ("global()", "no"),
    ("has(host-endpoint)", "no"),
    ("app == 'a && b", "maybe"),
    ("&&", "maybe"),
    ("x" * 5000, "maybe"),
]


@pytest.mark.parametrize(("selector", "expected"), CALICO_SELECTORS)
def test_whom_calico_s_expressions_select(selector: str, expected: str) -> None:
    spec = json.dumps({"selector": selector, "types": ["Ingress"]})
    assert about(engine_policy(CALICO_GLOBAL_NETWORK_POLICY, spec)) == expected
    assert about(engine_policy(CALICO_NETWORK_POLICY, spec)) == expected


Expression: TypeAlias = tuple[str, Callable[[Mapping[str, str]], bool]]
"""As it is written, and what it says of labels."""
_KEYS, _VALUES = st.sampled_from(["a", "b", "example.com/c"]), st.sampled_from(["x", "y"])
_QUOTES, _SPACE = st.sampled_from(["'", '"']), st.sampled_from(["", " "])


def _among(key: str, values: list[str], quote: str, space: str, *, isin: bool) -> Expression:
    listed = f",{space}".join(f"{quote}{value}{quote}" for value in values)
    word = "in" if isin else "not in"
    return f"{key} {word} {{{listed}}}", lambda labels: (labels.get(key) in values) == isin


def _equal(key: str, value: str, quote: str, space: str, *, isin: bool) -> Expression:
    operator = "==" if isin else "!="
    return f"{key}{space}{operator}{space}{quote}{value}{quote}", lambda labels: (labels.get(key) == value) == isin


def _has(key: str, space: str, *, isin: bool) -> Expression:
    return ("" if isin else f"!{space}") + f"has({key})", lambda labels: (key in labels) == isin


def _all(space: str) -> Expression:
    return f"all({space})", lambda _: True


def _joined(parts: list[Expression], space: str, *, every: bool) -> Expression:
    operator, combine = ("&&", all) if every else ("||", any)
    said = [says for _, says in parts]
    return f"{space}{operator}{space}".join(text for text, _ in parts), lambda labels: combine(s(labels) for s in said)


def _grouped(inner: Expression, *, negated: bool) -> Expression:
    text, says = inner
    return f"{'!' if negated else ''}({text})", lambda labels: says(labels) != negated


TERMS = st.one_of(
    st.builds(_equal, _KEYS, _VALUES, _QUOTES, _SPACE, isin=st.booleans()),
    st.builds(_among, _KEYS, st.lists(_VALUES, min_size=1, max_size=2), _QUOTES, _SPACE, isin=st.booleans()),
    st.builds(_has, _KEYS, _SPACE, isin=st.booleans()),
    st.builds(_all, _SPACE),
)
GROUPS = st.recursive(
    TERMS,
    lambda inner: st.builds(
        _grouped,
        st.builds(_joined, st.lists(inner, min_size=2, max_size=4), _SPACE, every=st.booleans()),
        negated=st.booleans(),
    ),
    max_leaves=6,
)
EXPRESSIONS = st.one_of(
    st.builds(_joined, st.lists(TERMS, min_size=1, max_size=3), _SPACE, every=st.just(value=True)),
    # What binds stronger stands in parentheses, but for the terms themselves: && before ||.
    st.builds(_joined, st.lists(GROUPS, min_size=1, max_size=3), _SPACE, every=st.booleans()),
)


@given(EXPRESSIONS, st.dictionaries(_KEYS, _VALUES))
@settings(max_examples=400, deadline=None)
def test_no_pod_of_an_expression_is_missed(expression: Expression, labels: dict[str, str]) -> None:
    """Rather too many than too few: and just those where nothing was left out."""
    text, says = expression
    policy = engine_policy(CALICO_GLOBAL_NETWORK_POLICY, json.dumps({"selector": text, "types": ["Ingress"]}))
    (selection,) = selections_of(policy, policy.rules[0])
    selected = selection.pods.matches(labels)
    assert selected or not says(labels)
    assert not selection.exact or selected == says(labels)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{namespaceSelector: team == 'shop'}", "yes"),
        ("{namespaceSelector: team == 'ops'}", "no"),
        ("{namespaceSelector: projectcalico.org/name == 'shop'}", "yes"),
        ("{namespaceSelector: \"projectcalico.org/name in {'a'}\"}", "no"),
        ("{namespaceSelector: global()}", "no"),
        ("{namespaceSelector: '!global()'}", "maybe"),
        ("{namespaceSelector: has(team) || has(x)}", "maybe"),
        ("{serviceAccountSelector: role == 'api'}", "maybe"),
        ("{serviceAccountSelector: role == 'api', selector: app == 'web'}", "no"),
        ("{preDNAT: true, applyOnForward: true, ingress: [{action: Deny}]}", "no"),
        ("{doNotTrack: true, applyOnForward: true, ingress: [{action: Deny}]}", "no"),
        ("{applyOnForward: true, ingress: [{action: Deny}]}", "yes"),
    ],
)
def test_whom_calico_s_global_policies_select(spec: str, expected: str) -> None:
    assert about(engine_policy(CALICO_GLOBAL_NETWORK_POLICY, spec)) == expected


@pytest.mark.parametrize("name", ["knp.default.api", "kanp.adminnetworkpolicy.x", "kcnp.kube-admin.x"])
def test_what_calico_shows_of_kubernetes_own_policies_does_not_count_twice(name: str) -> None:
    assert about(engine_policy(CALICO_NETWORK_POLICY, "{selector: all()}", name)) == "no"


@pytest.mark.parametrize(
    ("applied", "expected"),
    [
        ("{podSelector: {matchLabels: {app: api}}}", "yes"),
        ("{podSelector: {matchLabels: {app: web}}}", "no"),
        ("{namespaceSelector: {matchLabels: {team: shop}}}", "yes"),
        ("{namespaceSelector: {matchLabels: {team: ops}}}", "no"),
        ("{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}", "no"),
        ("{group: db}", "maybe"),
        ("{service: {name: api, namespace: shop}}", "maybe"),
        ("{serviceAccount: {name: api, namespace: shop}}", "maybe"),
        ("{nodeSelector: {}}", "no"),
        ("{externalEntitySelector: {}}", "no"),
    ],
)
def test_whom_antrea_s_policies_are_applied_to(applied: str, expected: str) -> None:
    kind = ANTREA_CLUSTER_NETWORK_POLICY
    assert about(engine_policy(kind, f"{{appliedTo: [{applied}], ingress: [{{action: Drop}}]}}")) == expected
    each = (
        f"{{egress: [{{action: Drop, appliedTo: [{{nodeSelector: {{}}}}]}}, {{action: Drop, appliedTo: [{applied}]}}]}}"
    )
    assert about(engine_policy(kind, each)) == expected
    assert about(engine_policy(ANTREA_NETWORK_POLICY, "{ingress: [{action: Drop}]}")) == "no", "applied to nothing"


def test_a_namespace_of_which_only_the_name_is_known_may_have_any_labels() -> None:
    spec = "{namespaceSelector: NS == 'a', types: [Ingress]}"
    for key, expected in (("team", ["policy"]), ("projectcalico.org/name", [])):
        policy = engine_policy(CALICO_GLOBAL_NETWORK_POLICY, spec.replace("NS", key), "policy")
        state = Cluster.of([*SHOP[1:], policy])
        ctx = Context(Operation.CREATE, network_policy(), state)
        others = other_policies(ctx)
        found = others.about_any(state.classes("shop"), ("Ingress",))
        assert [p.name for p in found] == expected
        assert not others.surely_about(policy, state.classes("shop"))


def test_a_policy_of_one_namespace_is_about_no_other() -> None:
    elsewhere = convert(
        CILIUM_NETWORK_POLICY,
        {
            "metadata": {"name": "x", "namespace": "ops"},
            "spec": {"endpointSelector": {}, "ingress": [{"fromEntities": ["all"]}]},
        },
    )
    ctx = context(elsewhere)
    others = other_policies(ctx)
    assert others.any
    assert others.about_any(ctx.cluster.classes("shop"), ("Ingress", "Egress")) == []
    ctx.cluster.remove(CILIUM_NETWORK_POLICY, ("ops", "x"))
    without_any = context()
    assert not other_policies(without_any).any


# --- what they may do

NOTHING = Effects(allows=False, denies=False, isolates=False)
A, D, I = ("allows", "denies", "isolates")  # noqa: E741


@pytest.mark.parametrize(
    ("kind", "spec", "ingress", "egress"),
    [
        (CILIUM_NETWORK_POLICY, "ingress: [{fromEntities: [all]}]", {A, I}, set()),
        (CILIUM_NETWORK_POLICY, "ingress: [{}]", {I}, set()),
        (CILIUM_NETWORK_POLICY, "ingress: []", set(), set()),
        (CILIUM_NETWORK_POLICY, "egressDeny: [{toEntities: [world]}]", set(), {D, I}),
        (CILIUM_NETWORK_POLICY, "egress: [{toFQDNs: []}], enableDefaultDeny: {egress: false}", set(), {A}),
        (CILIUM_NETWORK_POLICY, "enableDefaultDeny: {ingress: true}", {I}, set()),
        (CALICO_NETWORK_POLICY, "ingress: [{action: Allow}]", {A, I}, set()),
        (CALICO_NETWORK_POLICY, "egress: [{action: Allow}]", set(), {A, I}),
        (CALICO_NETWORK_POLICY, "ingress: [{action: Log}], egress: [{action: Pass}]", {I}, {A, I}),
        (CALICO_NETWORK_POLICY, "types: [Egress], ingress: [{action: Allow}]", set(), {I}),
        (CALICO_NETWORK_POLICY, "order: 10, ingress: [{action: Deny}]", {D, I}, set()),
        (CALICO_NETWORK_POLICY, "order: 1000, tier: default, ingress: [{action: Deny}]", {D, I}, set()),
        (CALICO_NETWORK_POLICY, "order: 1000.5, ingress: [{action: Deny}]", {I}, set()),
        (CALICO_NETWORK_POLICY, "ingress: [{action: Deny}]", {I}, set()),
        (CALICO_NETWORK_POLICY, "{}", {I}, set()),
        (CALICO_NETWORK_POLICY, "tier: security, types: [Ingress, Egress]", {D, I}, {D, I}),
        (ANTREA_NETWORK_POLICY, "ingress: [{action: Allow}], egress: [{action: Drop}]", {A}, {D, I}),
        (ANTREA_NETWORK_POLICY, "ingress: [{action: Reject}, {action: Pass}]", {D, I}, set()),
        (ANTREA_NETWORK_POLICY, "tier: Baseline, ingress: [{action: Drop}, {action: Allow}]", {I}, set()),
        (ANTREA_NETWORK_POLICY, "tier: application, ingress: [{action: Pass}]", set(), set()),
    ],
)
def test_what_rules_may_do(kind: str, spec: str, ingress: set[str], egress: set[str]) -> None:
    whom = {
        CILIUM_NETWORK_POLICY: "endpointSelector: {}",
        CALICO_NETWORK_POLICY: "selector: all()",
        ANTREA_NETWORK_POLICY: "appliedTo: [{podSelector: {}}]",
    }[kind]
    policy = engine_policy(kind, f"{{{whom}}}" if spec == "{}" else f"{{{whom}, {spec}}}")
    (rules,) = policy.rules
    assert {k for k, v in effects_of(policy, rules, "Ingress")._asdict().items() if v} == ingress
    assert {k for k, v in effects_of(policy, rules, "Egress")._asdict().items() if v} == egress


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        (CILIUM_NETWORK_POLICY, {"spec": {"endpointSelector": {"matchLabels": {"a": 1}}}}, "spec.endpointSelector"),
        (CALICO_NETWORK_POLICY, {"spec": {"order": "first"}}, "spec.order"),
        (ANTREA_NETWORK_POLICY, {"spec": {"appliedTo": {}}}, "spec.appliedTo"),
        (CALICO_GLOBAL_NETWORK_POLICY, {"spec": []}, "spec"),
    ],
)
def test_what_has_not_its_kind_s_shape_is_told(kind: str, body: dict[str, Any], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        convert(kind, {"metadata": {"name": "x"}, **body})
    assert caught.value.path.startswith(path)


def test_nulls_and_unknown_fields_do_not_matter() -> None:
    written = {
        "metadata": {"name": "x", "namespace": "shop"},
        "spec": {
            "endpointSelector": {},
            "ingress": None,
            "egress": [None],
            "somethingNew": {"a": [1]},
            "egressDeny": None,
        },
        "status": {"conditions": [{"type": "Valid", "status": "True"}]},
    }
    record = decode(CILIUM_NETWORK_POLICY, json.dumps(written).encode())
    assert isinstance(record, EnginePolicy)
    (rules,) = record.rules
    assert effects_of(record, rules, "Ingress") == NOTHING
    assert effects_of(record, rules, "Egress") == Effects(allows=False, denies=False, isolates=True)


# --- where their engine is there


@pytest.mark.parametrize(
    ("fixture", "calico", "cilium", "antrea"),
    [
        ("cilium", False, True, False),
        ("gke-dataplane-v2", False, True, False),
        ("cilium-never", False, False, False),
        ("cilium-audit", False, False, False),
        ("cilium-without-networkpolicy", False, True, False),
        ("cilium-never-node-config", None, None, None),
        ("cilium-chained-aws", False, True, False),
        ("calico-manifest", True, False, False),
        ("canal", True, False, False),
        ("flannel-calico-policy-only", True, False, False),
        ("antrea", False, False, True),
        ("antrea-without-controller", None, None, None),
        ("k3s", False, False, False),
        ("k3s-disabled-cilium", False, True, False),
        ("flannel", False, False, False),
        ("unknown-cni-reads-policies", None, None, None),
        ("nothing", None, None, None),
        ("contrail", None, None, None),
    ],
)
def test_whose_policies_are_carried_out(
    fixture: str, calico: bool | None, cilium: bool | None, antrea: bool | None
) -> None:
    told = said(fixture).engine_policies
    for kinds, expected in ((CALICO_POLICIES, calico), (CILIUM_POLICIES, cilium), (ANTREA_POLICIES, antrea)):
        assert {told.get(kind) for kind in kinds} == {expected}, kinds


def test_without_all_daemonsets_nobody_is_certainly_not_there() -> None:
    from webhook.model.objects import DAEMON_SET  # noqa: PLC0415

    assert enforcement_of(without(DAEMON_SET, "k3s")).engine_policies == {}
    pinned = enforcement_of(cluster("cilium-without-networkpolicy"), Pin.ENFORCED)
    assert pinned.engine_policies[CILIUM_NETWORK_POLICY] is True


def test_cilium_is_not_certainly_off_while_its_settings_of_single_nodes_are_not_known() -> None:
    from webhook.enforcement import State  # noqa: PLC0415
    from webhook.model.objects import CILIUM_NODE_CONFIG  # noqa: PLC0415

    for fixture in ("cilium-never", "cilium-audit", "cilium-without-networkpolicy"):
        assert said(fixture).state is State.NOT_ENFORCED
        found = enforcement_of(without(CILIUM_NODE_CONFIG, fixture))
        assert found.state is State.UNKNOWN
        assert "CiliumNodeConfigs could not be read" in found.reason
    assert enforcement_of(without(CILIUM_NODE_CONFIG, "cilium")).state is State.ENFORCED


# --- what is not certain then

BOTH = "CiliumClusterwideNetworkPolicies and CiliumNetworkPolicies"
NOT_JUDGED = (
    "CiliumClusterwideNetworkPolicies: what they let through is not counted, "
    "so whether pods may ask for names was not judged"
)
DNS = """
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}
---
apiVersion: v1
kind: Pod
metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 5432}]}
"""


def world(*more: Record, unread: Iterable[str] = ()) -> Cluster:
    """The shop and a cluster DNS; all is known but these kinds."""
    dns = [convert(f"{d['apiVersion']}/{d['kind']}", d) for d in yaml.safe_load_all(DNS)]
    state = Cluster({kind: Completeness.COMPLETE for kind in KINDS if kind not in unread})
    for record in (*SHOP, *dns, *more):
        state.put(record)
    return state


def judged(run: Any, state: Cluster, **more: Any) -> tuple[Finding, set[str]]:
    ctx = Context(Operation.CREATE, network_policy(), state, **more)
    (finding,) = run(ctx)
    return finding, ctx.unknown


def test_policies_that_the_engine_carries_out_and_nobody_may_read() -> None:
    agent = [
        record for kind in KINDS for key in cluster("cilium").keys(kind) if (record := cluster("cilium").get(kind, key))
    ]
    finding, unknown = judged(DNS_BLOCKED.run, world(*agent))
    assert finding.level is Level.WARNING
    assert unknown == set()
    finding, unknown = judged(DNS_BLOCKED.run, world(*agent, unread=CILIUM_POLICIES))
    assert finding.level is Level.NOTE
    assert finding.means == f"{BOTH}, which are not known, may let it ask"
    assert unknown == {f"{BOTH}: not all are known, so whether pods may ask for names was not judged"}
    finding, unknown = judged(DNS_BLOCKED.run, world(*agent, unread=CALICO_POLICIES))
    assert finding.level is Level.WARNING, "Calico does not run"
    assert unknown == set()
    state = world(*agent, unread=CILIUM_POLICIES)
    ctx = Context(Operation.CREATE, network_policy(), state)
    assert list(OTHER_POLICY_APIS.run(ctx)) == []
    assert ctx.unknown == {f"{BOTH}: not all are known, so what they let through is not"}


def test_a_file_without_them_is_taken_at_its_word_where_nobody_knows_who_enforces() -> None:
    finding, unknown = judged(DNS_BLOCKED.run, world(unread=ENGINE_POLICIES))
    assert (finding.level, unknown) == (Level.WARNING, set())


def test_pods_about_which_nothing_else_is_are_told_of_alone() -> None:
    both = network_policy(POLICY.replace("{matchLabels: {app: api}}", "{}"))
    dns = engine_policy(
        CILIUM_NETWORK_POLICY, "{endpointSelector: {matchLabels: {app: api}}, egress: [{toEntities: [cluster]}]}"
    )
    (finding,) = DNS_BLOCKED.run(Context(Operation.CREATE, both, world(dns)))
    assert finding.level is Level.WARNING
    assert "api-1" not in finding.story
    assert "web-1" in finding.story


def test_what_is_unknown_is_said() -> None:
    dns = engine_policy(CILIUM_CLUSTERWIDE_NETWORK_POLICY, "{endpointSelector: {}, egress: [{toEntities: [cluster]}]}")
    finding, unknown = judged(DNS_BLOCKED.run, world(dns))
    assert finding.level is Level.NOTE
    assert unknown == {NOT_JUDGED}


def test_whom_the_applicant_may_not_know_is_counted() -> None:
    dns = "{endpointSelector: {}, egress: [{toEntities: [cluster]}]}"
    own = engine_policy(CILIUM_NETWORK_POLICY, dns, "own")
    wide = [engine_policy(CILIUM_CLUSTERWIDE_NETWORK_POLICY, dns, name) for name in ("secret-a", "secret-b")]
    finding, _ = judged(DNS_BLOCKED.run, world(own, *wide), disclosure=Disclosure.NAMESPACE)
    assert finding.means == "CiliumNetworkPolicy own, 2 other policies of Cilium may let it ask"
    finding, _ = judged(OTHER_POLICY_APIS.run, world(wide[0]), disclosure=Disclosure.NAMESPACE)
    assert finding.story == "1 other policy of Cilium selects its pods, too: may let more through (if Cilium runs here)"


def test_cilium_told_to_carry_out_its_own_policies_alone() -> None:
    closed = engine_policy(CILIUM_NETWORK_POLICY, "{endpointSelector: {}, ingress: [{fromEntities: [cluster]}]}")
    for policies, means in (((closed,), "only Cilium's own policies are enforced"), ((), "all traffic passes")):
        ctx = Context(Operation.CREATE, network_policy(), cluster("cilium-without-networkpolicy", *SHOP, *policies))
        (finding,) = DOES_NOT_ENFORCE.run(ctx)
        assert (finding.level, finding.means) == (None, means)


def test_what_cilium_closes_otherwise_does_not_open() -> None:
    """Not where it is about another direction, and where only unknown pods are left."""
    old = network_policy()
    for direction, level in (("ingress", Level.NOTE), ("egress", Level.WARNING)):
        peers = "fromEntities" if direction == "ingress" else "toEntities"
        spec = f"{{endpointSelector: {{}}, {direction}: [{{{peers}: [cluster]}}]}}"
        ingress_alone = network_policy(POLICY.replace("policyTypes: [Ingress, Egress]", "policyTypes: [Ingress]"))
        ctx = Context(Operation.DELETE, ingress_alone, world(engine_policy(CILIUM_NETWORK_POLICY, spec)))
        (finding,) = OPENS_ON_REMOVAL.run(ctx)
        assert finding.level is level, direction
    spec = "{endpointSelector: {}, ingress: [{fromEntities: [cluster]}]}"
    (finding,) = OPENS_ON_REMOVAL.run(Context(Operation.DELETE, old, world(engine_policy(CILIUM_NETWORK_POLICY, spec))))
    assert finding.level is Level.WARNING
    assert "opens egress of" in finding.message, "what is certain is said"


def test_lines_about_traffic_say_first_what_is_not_counted() -> None:
    spec = "{endpointSelector: {}, egress: [{toEntities: [cluster]}]}"
    plain = effect_lines(Context(Operation.CREATE, network_policy(), world()))
    assert plain
    told = effect_lines(Context(Operation.CREATE, network_policy(), world(engine_policy(CILIUM_NETWORK_POLICY, spec))))
    assert told == ["by NetworkPolicies alone: CiliumNetworkPolicy other not counted", *plain]
    elsewhere = spec.replace("{}", "{matchLabels: {app: prometheus}}")
    ctx = Context(Operation.CREATE, network_policy(), world(engine_policy(CILIUM_NETWORK_POLICY, elsewhere)))
    assert effect_lines(ctx) == plain


def test_may() -> None:
    state = world(engine_policy(CILIUM_NETWORK_POLICY, "{endpointSelector: {}, ingress: [{fromEntities: [all]}]}"))
    ctx = Context(Operation.CREATE, network_policy(), state)
    others = other_policies(ctx)
    classes = state.classes("shop")
    found = {may: len(others.about_any(classes, ("Ingress",), may)) for may in May}
    assert found == {May.ALLOW: 1, May.DENY: 0, May.CLOSE: 1, May.EITHER: 1}


def test_every_alias_is_of_a_kind_that_is_kept() -> None:
    assert ALIASES["projectcalico.org/v3/GlobalNetworkPolicy"] == CALICO_GLOBAL_NETWORK_POLICY
    assert set(ENGINE_POLICIES) <= set(KINDS)


# --- the command line


@pytest.fixture
def netadmit(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capfd, monkeypatch)


APPLIED = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy" + POLICY
STATE = f"""apiVersion: v1
kind: Namespace
metadata: {{name: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: kube-system}}
---
apiVersion: v1
kind: Pod
metadata: {{name: api-1, namespace: shop, labels: {{app: api}}}}
status: {{phase: Running, podIP: 10.0.0.1}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web-1, namespace: shop, labels: {{app: web}}}}
status: {{phase: Running, podIP: 10.0.0.2}}
---{DNS}"""
CCNP = """apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: dns}
spec:
  endpointSelector: {}
  egress:
    - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
"""
STAGED = """apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: staged}
spec: {selector: all(), ingress: [{action: Allow}], egress: [{action: Allow}]}
"""


def findings(netadmit: Command, *state: str) -> tuple[int, dict[str, str], list[str]]:
    policy, cluster_ = netadmit.write("policy.yaml", APPLIED), netadmit.write("cluster.yaml", *state)
    outcome = netadmit("check", policy, "--cluster", cluster_, "--complete", "-o", "json", "--fail-on", "warning")
    return (
        outcome.code,
        {f["check"]: f["level"] for f in outcome.json["findings"]},
        outcome.json["summary"]["unknown"],
    )


def test_check_says_no_more_than_it_knows(netadmit: Command) -> None:
    code, found, unknown = findings(netadmit, STATE)
    assert (code, found.get("dns-blocked"), found.get("other-policy-apis")) == (1, "warning", None)
    assert not any("Cilium" in question for question in unknown)
    code, found, unknown = findings(netadmit, STATE, CCNP)
    assert (code, found.get("dns-blocked"), found.get("other-policy-apis")) == (0, "note", "note")
    assert [q for q in unknown if "Cilium" in q] == [NOT_JUDGED]


def test_check_does_not_count_what_is_staged(netadmit: Command) -> None:
    code, found, unknown = findings(netadmit, STATE, STAGED)
    assert (code, found.get("dns-blocked"), found.get("other-policy-apis")) == (1, "warning", None)
    assert not any("Calico" in question for question in unknown)


def test_calico_s_policies_count_in_either_of_its_apis(netadmit: Command) -> None:
    for version in ("projectcalico.org/v3", "crd.projectcalico.org/v1"):
        policy = STAGED.replace("Staged", "").replace("projectcalico.org/v3", version)
        code, found, _ = findings(netadmit, STATE, policy)
        assert (code, found.get("dns-blocked"), found.get("other-policy-apis")) == (0, "note", "note"), version


def test_answers_about_flows_say_what_is_not_counted(netadmit: Command) -> None:
    more = CCNP.replace("name: dns", "name: more")
    state = netadmit.write("cluster.yaml", STATE, APPLIED, CCNP, more)
    them = "CiliumClusterwideNetworkPolicies dns, more"
    said_ = f"netadmit: not counted: {them}; what they allow or deny is not in the answer\n"
    for command in (
        ("explain", "shop/api-1", "shop/web-1", "--cluster", state),
        ("connectivity", state),
        ("diff", state, "--delete", netadmit.write("policy.yaml", APPLIED)),
    ):
        outcome = netadmit(*command)
        assert outcome.code == 0
        assert said_ in outcome.err, command
        assert "not counted" not in outcome.out
    after = netadmit.write("after.yaml", STATE, APPLIED)
    assert said_ in netadmit("diff", after, state).err, "in either state"
    outcome = netadmit("connectivity", after)
    assert "not counted" not in outcome.err


def test_effects_say_what_is_not_counted(netadmit: Command) -> None:
    """To people as the first line of them, to programs, which get flows alone, on standard error."""
    policy, state = netadmit.write("policy.yaml", APPLIED), netadmit.write("cluster.yaml", STATE, CCNP)
    people = netadmit("check", policy, "--cluster", state)
    assert "by NetworkPolicies alone: CiliumClusterwideNetworkPolicy dns not counted" in people.out
    programs = netadmit("check", policy, "--cluster", state, "-o", "json")
    assert programs.json["effects"]
    assert programs.err.startswith("netadmit: not counted: CiliumClusterwideNetworkPolicy dns; ")
    plain = netadmit.write("plain.yaml", STATE)
    for form in ("text", "json"):
        outcome = netadmit("check", policy, "--cluster", plain, "-o", form)
        assert "not counted" not in outcome.out + outcome.err


def test_long_names_of_what_is_not_counted_give_way_to_their_number() -> None:
    spec = "{endpointSelector: {}, egress: [{toEntities: [cluster]}]}"
    state = world(*(engine_policy(CILIUM_NETWORK_POLICY, spec, f"{letter * 60}") for letter in "ab"))
    ctx = Context(Operation.CREATE, network_policy(), state)
    assert effect_lines(ctx, 100)[0] == "by NetworkPolicies alone: 2 others not counted"


def test_what_is_not_counted_where_its_engine_does_not_run(netadmit: Command) -> None:
    calico = (
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: calico-node, namespace: kube-system}\nspec: "
        "{template: {metadata: {labels: {k8s-app: calico-node}}, spec: {hostNetwork: true, containers: "
        "[{name: calico-node, image: 'quay.io/calico/node:v3.31.0'}]}}}\n"
    )
    state = netadmit.write("cluster.yaml", STATE, APPLIED, CCNP, calico)
    assert "not counted" not in netadmit("connectivity", state, "--complete").err
    assert "not counted" in netadmit("connectivity", state).err, "not all DaemonSets are known"
    err = netadmit("connectivity", netadmit.write("plain.yaml", STATE, APPLIED, calico)).err
    assert "netadmit: Calico GlobalNetworkPolicies are not known: none is counted\n" in err


def test_enforcement_tells_who_else_decides(netadmit: Command) -> None:
    out = netadmit("enforcement", "--cluster", netadmit.write("cluster.yaml", STATE, CCNP)).out
    assert "  beside: 1 CiliumClusterwideNetworkPolicy decides, too, and is not counted\n" in out
    two = netadmit.write("cluster.yaml", STATE, CCNP, CCNP.replace("name: dns", "name: more"))
    out = netadmit("enforcement", "--cluster", two).out
    assert "  beside: 2 CiliumClusterwideNetworkPolicies decide, too, and are not counted\n" in out
    fixture = Path(__file__).parent / "fixtures" / "enforcement" / "cilium-without-networkpolicy.yaml"
    told = netadmit("enforcement", "--cluster", str(fixture), "--complete", "-o", "json").json
    assert told["enginePolicies"][CILIUM_NETWORK_POLICY] is True


def test_a_snapshot_keeps_them(netadmit: Command) -> None:
    state = netadmit.write("cluster.yaml", STATE, CCNP, STAGED.replace("Staged", ""))
    written = netadmit("snapshot", "--cluster", state).out
    assert "kind: CiliumClusterwideNetworkPolicy" in written
    code, found, _ = findings(netadmit, written)
    assert (code, found.get("dns-blocked"), found.get("other-policy-apis")) == (0, "note", "note")


def test_one_that_cannot_be_read_is_named_with_its_place(netadmit: Command) -> None:
    broken = CCNP.replace("endpointSelector: {}", "endpointSelector: {matchLabels: {app: 5}}")
    state = netadmit.write("cluster.yaml", STATE, APPLIED, broken)
    outcome = netadmit("connectivity", state)
    assert outcome.code == 2
    assert "cilium.io/v2/CiliumClusterwideNetworkPolicy" in outcome.err
    assert "spec.endpointSelector.matchLabels" in outcome.err
