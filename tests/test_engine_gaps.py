"""What the engines leave undone, on which nodes they run, and what the configuration says instead of what is found."""

import json
from ipaddress import ip_address, ip_network
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_enforcement import CASES, FIXTURES, NO, YES, cluster, daemon, said, scaled, without
from webhook.check import Context, Disclosure, Level, Operation
from webhook.checks.cni_covers_some_nodes import CHECK as COVERS_SOME_NODES
from webhook.checks.cni_does_not_enforce import CHECK as DOES_NOT_ENFORCE
from webhook.checks.cni_ignores_field import CHECK as IGNORES_FIELD
from webhook.checks.ipblock_covers_pods import CHECK as COVERS_PODS
from webhook.checks.ipblock_covers_pods import _Addresses, _network
from webhook.checks.opens_on_removal import CHECK as OPENS_ON_REMOVAL
from webhook.checks.other_policy_apis import CHECK as OTHER_POLICY_APIS
from webhook.cli import main
from webhook.config import Config, ConfigError, load_config
from webhook.enforcement import (
    CONFIG_MAPS,
    FAMILIES,
    Confidence,
    Enforcement,
    Feature,
    Pin,
    State,
    agentless,
    enforcement_of,
    uncovered_nodes,
)
from webhook.enforcement.containers import parse_image, version_of, version_text
from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    ADMIN_POLICIES,
    CILIUM_NODE_CONFIG,
    CLUSTER_NETWORK,
    CLUSTER_NETWORK_POLICY,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    DAEMON_SET,
    NODE,
    POD,
    AdminPeer,
    AdminPolicy,
    ConfigMap,
    Container,
    EngineSetting,
    LabelSelector,
    Namespace,
    NetworkPolicy,
    Node,
    ObjectMeta,
    Pod,
)
from webhook.model.parse import convert
from webhook.pipeline import Judge
from webhook.state import watch

POLICY = NetworkPolicy(ObjectMeta(name="api", namespace="shop"))


# --- versions


@pytest.mark.parametrize(
    ("image", "majors", "version"),
    [
        ("quay.io/cilium/cilium:v1.16.5", (1,), "1.16.5"),
        ("quay.io/cilium/cilium:v1.16.5@sha256:0123456789abcdef", (1,), "1.16.5"),
        ("registry.corp:5000/mirror/cilium:1.16", (1,), "1.16.0"),
        ("quay.io/isovalent/cilium:v1.16.5-cee.1", (1,), "1.16.5"),
        ("mcr.microsoft.com/oss/cilium/cilium:v1.17.4-250610", (1,), "1.17.4"),
        ("rancher/hardened-calico:v3.30.3-build20250909", (3,), "3.30.3"),
        ("602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.20.4-eksbuild.1", (1,), "1.20.4"),
        ("mcr.microsoft.com/containernetworking/azure-npm:v1.4.45.3", (1,), "1.4.45"),
        ("quay.io/cilium/cilium:V1.18.0-RC.1", (1,), "1.18.0"),
        ("quay.io/cilium/cilium@sha256:0123456789abcdef", (1,), ""),
        ("registry.corp:5000/cilium", (1,), ""),
        ("quay.io/cilium/cilium:latest", (1,), ""),
        ("quay.io/cilium/cilium:v1", (1,), ""),
        ("registry.corp/cilium:2024.3", (1,), ""),
        ("registry.corp/cilium:5.1.0", (1,), ""),
        ("registry.corp/cilium:20240813-c6f155d6", (1,), ""),
        ("registry.corp/cilium:1.2a", (1,), ""),
        ("gke.gcr.io/cilium/cilium:v1.14.7", (1,), ""),
        ("registry.corp/cilium:v1.14.7-gke.12", (1,), ""),
    ],
)
def test_versions_are_read_off_tags_or_not_at_all(image: str, majors: tuple[int, ...], version: str) -> None:
    assert version_text(version_of(parse_image(image), majors)) == version


@pytest.mark.parametrize(
    ("fixture", "version"),
    [
        ("calico-manifest", "3.31.0"),
        ("canal", "3.31.0"),
        ("rke2-canal", "3.30.3"),
        ("gke-legacy-calico", ""),
        ("cilium", "1.19.1"),
        ("gke-dataplane-v2", ""),
        ("aks-cilium", "1.17.4"),
        ("weave", "2.8.1"),
        ("kindnet-v20240813", "20240813"),
        ("aws-on", "1.20.4"),
        ("kube-ovn", "1.14.10"),
        ("antrea-policy-only", "2.7.0"),
        ("azure-npm", "1.5.45"),
        ("ovn-kubernetes", ""),
        ("k3s", "1.33.5+k3s1"),
        ("kube-network-policies", "1.0.0"),
        ("flannel", ""),
    ],
)
def test_which_version_runs(fixture: str, version: str) -> None:
    assert said(fixture).version == version


# --- gaps


def features(found: Enforcement) -> set[Feature]:
    return {gap.feature for gap in found.gaps}


WEAVE = {Feature.NAMED_PORT, Feature.END_PORT, Feature.IPV6}
NPM = {Feature.NAMED_PORT, Feature.SCTP, Feature.NEGATIVE_SELECTOR, Feature.EXCEPT, Feature.IPV6}
CIDR = {Feature.POD_IP_BLOCK, Feature.NODE_IP_BLOCK}
GAPS = {
    "weave": WEAVE,
    "weave-fork": WEAVE,
    "weave-npc-not-expected": WEAVE,
    "weave-2.3": WEAVE | {Feature.EGRESS, Feature.IP_BLOCK, Feature.BOTH_SELECTORS},
    "cilium": CIDR | {Feature.SCTP},
    "cilium-1.16": {Feature.END_PORT, Feature.POD_IP_BLOCK},
    "cilium-chained-aws": CIDR | {Feature.SCTP},
    "cilium-node-config": CIDR | {Feature.SCTP},
    "cilium-node-config-same": CIDR | {Feature.SCTP},
    "rke2-cilium": CIDR | {Feature.SCTP},
    "aks-cilium": CIDR | {Feature.SCTP},
    "gke-dataplane-v2": CIDR,
    "k3s-disabled-cilium": CIDR | {Feature.SCTP},
    "aws-on": {Feature.BARE_POD, Feature.MANY_PORTS},
    "aws-on-fargate": {Feature.BARE_POD, Feature.MANY_PORTS},
    "auto-mode-on": {Feature.BARE_POD, Feature.MANY_PORTS},
    "auto-mode-on-aws-off": {Feature.BARE_POD, Feature.MANY_PORTS},
    "azure-npm": NPM,
    "azure-npm-windows": NPM,
    "azure-npm-lite": NPM | {Feature.PEER_SELECTOR},
    "openshift-sdn-networkpolicy": {Feature.NAMED_PORT, Feature.IPV6, Feature.EGRESS, Feature.EXCEPT},
}
"""What each engine leaves undone (facts 1.2); the others, and all that do not enforce, have no gap that is certain."""


@pytest.mark.parametrize("fixture", [case[0] for case in CASES])
def test_the_gaps_of_every_engine(fixture: str) -> None:
    found = said(fixture)
    assert features(found) == GAPS.get(fixture, set())
    assert len(found.gaps) == len(features(found))
    for gap in found.gaps:
        assert gap.evidence
        assert len(f"{gap.who} {gap.effect}; {gap.remedy}") <= 140
        assert not gap.effect.endswith(".")
        assert f"{gap.who} {gap.effect}{gap.remedy}".isascii()


def test_a_gap_says_in_which_direction_and_where() -> None:
    egress = said("weave-2.3").gap(Feature.EGRESS)
    assert egress is not None
    assert egress.directions == ("Egress",)
    assert {gap.os for gap in said("azure-npm").gaps} == {"", "windows"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"enable-sctp": "true"}, CIDR),
        ({"enable-sctp": "maybe"}, CIDR),
        ({"enable-sctp": "false", "policy-cidr-match-mode": "nodes"}, {Feature.SCTP, Feature.POD_IP_BLOCK}),
        ({"policy-cidr-match-mode": '["nodes", "pods"]', "enable-sctp": "true"}, set()),
        ({"policy-cidr-match-mode": "pods nodes", "enable-sctp": "true"}, set()),
    ],
)
def test_settings_of_cilium_close_its_gaps(data: dict[str, str], expected: set[Feature]) -> None:
    agent = daemon("cilium", Container("cilium-agent", "quay.io/cilium/cilium:v1.19.1", ("cilium-agent",)))
    assert features(said("nothing", agent, ConfigMap("net", "cilium-config", data))) == expected


def test_flags_of_cilium_go_before_its_settings() -> None:
    flags = ("cilium-agent", "--enable-sctp", "--policy-cidr-match-mode=nodes,pods")
    agent = daemon("cilium", Container("cilium-agent", "quay.io/cilium/cilium:v1.19.1", flags))
    data = {"enable-sctp": "false", "policy-cidr-match-mode": ""}
    assert features(said("nothing", agent, ConfigMap("net", "cilium-config", data))) == set()


def test_what_a_newer_cilium_does_by_default_is_not_known() -> None:
    agent = daemon("cilium", Container("cilium-agent", "quay.io/cilium/cilium:v1.21.0", ("cilium-agent",)))
    assert Feature.SCTP not in features(said("nothing", agent, ConfigMap("net", "cilium-config", {"a": "b"})))


def test_settings_that_cannot_be_read_leave_their_gaps_open() -> None:
    assert enforcement_of(without(CONFIG_MAP, "gke-dataplane-v2")).gaps == ()
    found = enforcement_of(without(CONFIG_MAP, "azure-npm-lite"))
    assert (found.engine, found.confidence) == ("Azure NPM", Confidence.LIKELY)
    assert Feature.PEER_SELECTOR not in features(found)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"Toggles": [1]}', "[" * 100_000, '{"Toggles": {}}', '"\\ud800"']
)
def test_a_configmap_that_is_no_json_is_no_lite(text: str) -> None:
    npm = daemon("azure-npm", Container("azure-npm", "mcr.microsoft.com/containernetworking/azure-npm:v1.5.45"))
    assert said("nothing", npm, ConfigMap("net", "azure-npm-config", {"azure-npm.json": text})).engine == "Azure NPM"


@pytest.mark.parametrize(
    ("config", "node", "state"),
    [
        ({}, {"mtu": "1400"}, YES),
        ({}, {"enable-policy": "always"}, YES),
        ({}, {"policy-audit-mode": "true"}, State.PARTIAL),
        ({"policy-audit-mode": "true"}, {"enable-policy": "default"}, NO),
        ({"policy-audit-mode": "true"}, {"policy-audit-mode": "false"}, State.UNKNOWN),
        ({"enable-policy": "never"}, {"enable-policy": "never", "policy-audit-mode": "true"}, NO),
    ],
)
def test_settings_of_single_nodes_go_on_top_of_the_others(
    config: dict[str, str], node: dict[str, str], state: State
) -> None:
    agent = daemon("cilium", Container("cilium-agent", "quay.io/cilium/cilium:v1.19.1", ("cilium-agent",)))
    per_node = EngineSetting(CILIUM_NODE_CONFIG, "net", "edge", node)
    found = said("nothing", agent, ConfigMap("net", "cilium-config", {"debug": "false", **config}), per_node)
    assert found.state is state
    assert ("CiliumNodeConfig net/edge" in " ".join(found.evidence)) == (state not in {YES, NO})


def test_openshift_sdn_without_its_list_of_features() -> None:
    state = cluster("openshift-sdn-networkpolicy")
    state.remove(CONFIG_MAP, ("openshift-config-managed", "openshift-network-features"))
    assert features(enforcement_of(state)) == {Feature.NAMED_PORT, Feature.IPV6}
    able = {"policy_egress": "true", "policy_peer_ipblock_exceptions": "true"}
    state.put(ConfigMap("openshift-config-managed", "openshift-network-features", able))
    assert features(enforcement_of(state)) == {Feature.NAMED_PORT, Feature.IPV6}
    state.put(EngineSetting(CLUSTER_NETWORK, "", "default", {"pluginName": "example.com/other"}))
    assert enforcement_of(state).state is State.UNKNOWN


def test_weave_of_an_untold_version_has_the_gaps_of_all_versions() -> None:
    weave = daemon("weave-net", Container("weave-npc", "registry.corp/weave-npc@sha256:0123"))
    assert features(said("nothing", weave)) == WEAVE


def test_fields_that_only_some_engines_leave_undone() -> None:
    """Two selectors in one peer, NotIn for Windows: told where, and once."""
    both = {"podSelector": {"matchLabels": {"a": "b"}}, "namespaceSelector": {"matchLabels": {"c": "d"}}}
    negative = {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}
    spec = {"podSelector": negative, "ingress": [{"from": [both, both, {"podSelector": negative}]}]}
    policy = convert(NetworkPolicy.kind, {"metadata": {"name": "api", "namespace": "shop"}, "spec": spec})
    assert isinstance(policy, NetworkPolicy)
    (finding,) = IGNORES_FIELD.run(Context(Operation.CREATE, policy, cluster("weave-2.3")))
    assert finding.path == "spec.ingress[0].from[0]"
    assert finding.line == ("Weave Net 2.3 cannot combine podSelector and namespaceSelector; upgrade to 2.6")
    windows = Pod("shop", "api-1", {}, owner=("ReplicaSet", "api-5d9f"), node="win-1")
    (finding,) = IGNORES_FIELD.run(Context(Operation.CREATE, policy, cluster("azure-npm-windows", windows)))
    assert finding.path == "spec.podSelector.matchExpressions[0]"
    elsewhere = Pod("shop", "api-2", {}, owner=("ReplicaSet", "api-5d9f"), node="nobody-knows")
    assert not list(IGNORES_FIELD.run(Context(Operation.CREATE, policy, cluster("azure-npm-windows", elsewhere))))


# --- policies of administrators


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("quay.io/calico/node:v3.28.0", {"anp": False, "cnp": False}),
        ("quay.io/calico/node:v3.30.1", {"anp": True, "cnp": False}),
        ("quay.io/calico/node:v3.32.0", {"anp": False, "cnp": True}),
        ("quay.io/calico/node:master", {}),
        ("quay.io/tigera/cnx-node:v3.20.0", {}),
        ("registry.k8s.io/networking/kube-network-policies:v1.0.0-npa-v1alpha2", {"anp": False, "cnp": True}),
        ("registry.k8s.io/networking/kube-network-policies:v0.7.0-npa-v1alpha1", {"anp": True, "cnp": False}),
        ("registry.k8s.io/networking/kube-network-policies:v0.7.0", {}),
        ("cloudnativelabs/kube-router:v2.6.1", {"anp": False, "cnp": False}),
    ],
)
def test_which_engine_carries_out_what_administrators_say(image: str, expected: dict[str, bool]) -> None:
    told = said("nothing", daemon("agent", Container("node", image))).admin_policies
    kinds = {"anp": ADMIN_NETWORK_POLICY, "cnp": CLUSTER_NETWORK_POLICY}
    assert {short: told[kind] for short, kind in kinds.items() if kind in told} == expected


def test_cilium_needs_its_switch_for_cluster_network_policies() -> None:
    for tag, data, expected in (
        ("v1.20.0", {"enable-k8s-cluster-network-policy": "true"}, True),
        ("v1.20.0", {"enable-policy": "default"}, False),
        ("v1.19.0", {"enable-k8s-cluster-network-policy": "true"}, False),
        ("main", {"enable-k8s-cluster-network-policy": "true"}, None),
    ):
        agent = daemon("cilium", Container("cilium-agent", f"quay.io/cilium/cilium:{tag}"))
        told = said("nothing", agent, ConfigMap("net", "cilium-config", data)).admin_policies
        assert told.get(CLUSTER_NETWORK_POLICY) is expected


def test_kube_ovn_is_told_to() -> None:
    assert said("kube-ovn").admin_policies[ADMIN_NETWORK_POLICY] is False
    assert set(said("weave").admin_policies) == set(ADMIN_POLICIES)
    assert said("cilium-kube-router").admin_policies == {}, "two engines: each may"


def test_a_subject_that_nobody_understands_is_about_nobody() -> None:
    odd = AdminPolicy(ADMIN_NETWORK_POLICY, "odd", "Admin", 10, AdminPeer())
    whole = AdminPolicy(ADMIN_NETWORK_POLICY, "whole", "Admin", 10, AdminPeer(namespaces=LabelSelector()))
    assert not list(OTHER_POLICY_APIS.run(Context(Operation.CREATE, POLICY, Cluster.of([odd], complete=True))))
    assert not list(OTHER_POLICY_APIS.run(Context(Operation.CREATE, POLICY, Cluster.of([whole], complete=True))))


def test_other_policies_are_counted_where_they_may_not_be_named() -> None:
    admin = [
        AdminPolicy(ADMIN_NETWORK_POLICY, name, "Admin", 10, AdminPeer(namespaces=LabelSelector())) for name in "ab"
    ]
    state = Cluster.of([Namespace("shop", {}), Pod("shop", "api-1", {"app": "api"}), *admin], complete=True)
    ctx = Context(Operation.CREATE, POLICY, state, disclosure=Disclosure.NAMESPACE)
    (finding,) = OTHER_POLICY_APIS.run(ctx)
    assert finding.story == (
        "2 policies of administrators select its pods, too: they decide first (if the network plug-in knows such)"
    )


# --- on which nodes


@pytest.mark.parametrize(
    ("fixture", "expected"),
    [
        ("calico-manifest", {}),
        ("calico-windows", {}),
        ("antrea-windows", {}),
        ("azure-npm-windows", {}),
        ("calico-without-windows", {"win-1": "Windows nodes"}),
        ("calico-virtual-node", {"virtual-node-aci-linux": "virtual nodes"}),
        (
            "aws-on-fargate",
            {"fargate-ip-10-0-1-2": "Fargate", "win-1": "Windows nodes", "mi-0f": "EKS hybrid nodes"},
        ),
        ("auto-mode-on-aws-off", dict.fromkeys(("node-1", "node-2"), "nodes without an agent")),
        (
            "gke-legacy-calico",
            dict.fromkeys(("node-1", "node-2"), "nodes without the label projectcalico.org/ds-ready=true"),
        ),
    ],
)
def test_nodes_that_an_engine_leaves_out(fixture: str, expected: dict[str, str]) -> None:
    state = cluster(fixture)
    found = enforcement_of(state)
    assert uncovered_nodes(state, found.coverage) == expected
    assert found.coverage.nodes == len(state.keys(NODE))
    assert (found.state is State.PARTIAL) == bool(expected)


def test_what_may_enforce_on_the_other_nodes_leaves_them_undecided() -> None:
    agent = msgspec.structs.replace(
        daemon("acme", Container("agent", "registry.corp/acme/cni-agent-windows:1")),
        node_selector={"kubernetes.io/os": "windows"},
    )
    found = said("calico-without-windows", agent)
    assert (found.state, found.coverage.undecided, found.coverage.uncovered) == (YES, ("win-1",), ())


def test_a_virtual_node_of_alibaba_may_enforce() -> None:
    node = Node("eci", {"type": "virtual-kubelet", "alibabacloud.com/virtual-node": "true"})
    found = said("calico-manifest", node)
    assert (found.state, found.coverage.undecided) == (YES, ("eci",))


def test_agents_are_counted() -> None:
    coverage = scaled("calico-manifest", "calico-node", desired=2, ready=1).coverage
    assert (coverage.missing, coverage.unready, coverage.whole) == (0, 1, False)
    coverage = scaled("calico-manifest", "calico-node", desired=1, ready=1).coverage
    assert (coverage.missing, coverage.unready) == (1, 0)


def _agent_pod(node: str) -> Pod:
    return Pod(
        "kube-system", f"calico-node-{node}", {"k8s-app": "calico-node"}, owner=("DaemonSet", "calico-node"), node=node
    )


def test_which_node_lacks_an_agent_is_told_by_the_agents_pods() -> None:
    state = cluster("calico-manifest", _agent_pod("node-1"))
    assert agentless(state, enforcement_of(state).coverage) == frozenset(), "the DaemonSet wants two: one is to come"
    for workload in list(state.workloads(DAEMON_SET)):
        if workload.name == "calico-node":
            state.put(msgspec.structs.replace(workload, desired=1, ready=1))
    assert agentless(state, enforcement_of(state).coverage) == {"node-2"}
    state.put(_agent_pod("node-2"))
    assert agentless(state, enforcement_of(state).coverage) == frozenset(), "more pods than it says: nothing is certain"
    state.remove(POD, ("kube-system", "calico-node-node-2"))
    state.know(POD, Completeness.PARTIAL)
    assert agentless(state, enforcement_of(state).coverage) == frozenset()


def test_where_not_all_nodes_are_known_none_is_missed() -> None:
    state = cluster("calico-manifest")
    state.know(NODE, Completeness.PARTIAL)
    for workload in list(state.workloads(DAEMON_SET)):
        state.put(msgspec.structs.replace(workload, desired=1, ready=1))
    found = enforcement_of(state)
    assert (found.state, found.coverage.missing, found.coverage.complete) == (YES, 0, False)


def test_pods_on_uncovered_nodes_are_told_without_names_of_nodes() -> None:
    labels = {"app": "api"}
    pods = [Pod("shop", f"api-{i}", labels, owner=("ReplicaSet", "api-1"), node="win-1") for i in range(3)]
    going = Pod("shop", "api-9", labels, owner=("ReplicaSet", "api-1"), node="node-1", terminating=True)
    ctx = Context(Operation.CREATE, POLICY, cluster("calico-without-windows", *pods, going))
    (finding,) = COVERS_SOME_NODES.run(ctx)
    assert finding.level is Level.WARNING
    assert finding.line == ("its 3 pods run on Windows nodes, without Calico: all traffic passes; move them")
    hosted = Pod("shop", "api-8", labels, node="node-1", host_network=True)
    waiting = Pod("shop", "api-7", labels, owner=("ReplicaSet", "api-1"))
    ctx = Context(Operation.CREATE, POLICY, cluster("calico-without-windows", *pods, hosted, waiting))
    (finding,) = COVERS_SOME_NODES.run(ctx)
    assert finding.level is Level.NOTE, "where the fourth will run is not known"
    assert finding.message.startswith("3 of its 4 pods run on Windows nodes")


# --- what the configuration says


@pytest.mark.parametrize("fixture", [case[0] for case in CASES])
def test_the_configuration_goes_before_what_is_found(fixture: str) -> None:
    state = cluster(fixture)
    found, enforced, none = (enforcement_of(state, pin) for pin in Pin)
    assert found is enforcement_of(state)
    assert enforced.enforces
    assert enforced.pinned
    assert enforced.evidence == ("the configuration says that it is enforced", *found.evidence)
    if found.enforces:
        assert enforced == msgspec.structs.replace(found, pinned=True, evidence=enforced.evidence)
    elif found.state is NO:
        assert enforced.engine == "", "what was found enforces nothing: something else does"
    assert (none.state, none.engine, none.gaps, none.confidence) == (NO, "", (), Confidence.CERTAIN)
    assert none.reason == "the configuration says that nothing enforces"


def _judged(state: Cluster, pin: Pin) -> dict[str, str]:
    judge = Judge(Config(enforcement=pin))
    return {r.check: r.finding.line for r in judge.audit(POLICY, state).verdict.rulings}


def test_a_pin_reaches_the_checks() -> None:
    says = "the configuration says that nothing enforces: all traffic passes"
    assert _judged(cluster("calico-manifest"), Pin.NONE)["cni-does-not-enforce"] == says
    assert _judged(cluster("nothing"), Pin.NONE)["cni-does-not-enforce"] == says
    assert _judged(Cluster(), Pin.NONE)["cni-does-not-enforce"] == says, "also where hardly anything is known"
    assert "cni-does-not-enforce" in _judged(cluster("flannel"), Pin.AUTO)
    assert "cni-does-not-enforce" not in _judged(cluster("flannel"), Pin.ENFORCED)
    unknown = Judge(Config(enforcement=Pin.ENFORCED)).audit(POLICY, cluster("nothing")).unknown
    assert unknown == (), "what was said is known"


def test_where_nothing_enforces_nothing_is_opened() -> None:
    pod = Pod("shop", "api-1", {"app": "api"}, phase="Running")
    state = Cluster.of([Namespace("shop", {}), pod], complete=True)
    for pin, findings in ((Pin.AUTO, 1), (Pin.ENFORCED, 1), (Pin.NONE, 0)):
        ctx = Context(Operation.DELETE, POLICY, state, old=POLICY, pin=pin)
        assert len(list(OPENS_ON_REMOVAL.run(ctx))) == findings


def test_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("apiVersion: netadmit.io/v1\nkind: Config\nenforcement: none\nrbacHint: true\n")
    config = load_config(str(file))
    assert (config.enforcement, config.rbac_hint) == (Pin.NONE, True)
    assert (Config().enforcement, Config().rbac_hint) == (Pin.AUTO, False)
    file.write_text("apiVersion: netadmit.io/v1\nkind: Config\nenforcement: nothing\n")
    with pytest.raises(ConfigError, match="enforcement: Invalid enum value 'nothing'"):
        load_config(str(file))


# --- who may read policies


def _roles(*, verbs: list[str], resources: list[str], group: str = "networking.k8s.io", kind: str = "ClusterRole"):  # type: ignore[no-untyped-def]
    role = convert(
        CLUSTER_ROLE,
        {"metadata": {"name": "r"}, "rules": [{"apiGroups": [group], "resources": resources, "verbs": verbs}]},
    )
    binding = convert(
        CLUSTER_ROLE_BINDING,
        {
            "metadata": {"name": "b"},
            "roleRef": {"kind": kind, "name": "r"},
            "subjects": [
                {"kind": "ServiceAccount", "namespace": "net", "name": "agent"},
                {"kind": "Group", "name": "system:serviceaccounts:elsewhere"},
            ],
        },
    )
    return role, binding


def _unknown_agent(name: str = "acme-cni", **fields: object):  # type: ignore[no-untyped-def]
    agent = daemon(name, Container("agent", f"registry.corp/acme/{name}:1"))
    return msgspec.structs.replace(agent, **{"service_account": "agent", **fields})


@pytest.mark.parametrize(
    ("verbs", "resources", "group", "reads"),
    [
        (["list", "watch"], ["networkpolicies"], "networking.k8s.io", True),
        (["watch"], ["pods", "networkpolicies"], "networking.k8s.io", True),
        (["get"], ["networkpolicies"], "networking.k8s.io", False),
        (["*"], ["networkpolicies"], "networking.k8s.io", False),
        (["list"], ["*"], "networking.k8s.io", False),
        (["list"], ["networkpolicies"], "crd.projectcalico.org", False),
    ],
)
def test_only_rights_by_name_tell_of_an_agent(verbs: list[str], resources: list[str], group: str, reads: bool) -> None:
    roles = _roles(verbs=verbs, resources=resources, group=group)
    found = said("flannel", _unknown_agent(), *roles)
    assert (found.state, found.confidence) == ((YES, Confidence.LIKELY) if reads else (State.UNKNOWN, Confidence.NONE))
    quiet = said("flannel", _unknown_agent("scanner"), *roles)
    assert quiet.state is (State.UNKNOWN if reads else NO), "an agent of another name only makes it unknown"


def test_a_binding_to_a_role_of_a_namespace_gives_nothing() -> None:
    roles = _roles(verbs=["list"], resources=["networkpolicies"], kind="Role")
    assert said("flannel", _unknown_agent("scanner"), *roles).state is NO
    assert said("flannel", _unknown_agent("scanner", service_account="other"), *roles).state is NO
    on_pod_network = _unknown_agent("scanner", host_network=False)
    roles = _roles(verbs=["list"], resources=["networkpolicies"])
    assert said("flannel", on_pod_network, *roles).state is NO


def test_an_agent_that_reads_policies_and_does_not_run_enforces_nothing() -> None:
    roles = _roles(verbs=["list"], resources=["networkpolicies"])
    assert said("flannel", _unknown_agent(desired=2, ready=0), *roles).state is State.UNKNOWN


def test_kindnet_without_a_date_is_told_by_its_rights() -> None:
    state = cluster("kindnet-undated")
    assert enforcement_of(state).state is State.UNKNOWN
    state.know(CLUSTER_ROLE, Completeness.COMPLETE)
    found = enforcement_of(state)
    assert (found.state, found.reason) == (NO, "kindnet may not watch NetworkPolicies")
    state.know(CLUSTER_ROLE_BINDING, Completeness.PARTIAL)
    assert enforcement_of(state).state is State.UNKNOWN
    between = cluster("kindnet-undated-reads-policies")
    kindnet = next(w for w in between.workloads(DAEMON_SET) if w.name == "kindnet")
    old = Container("kindnet-cni", "docker.io/kindest/kindnetd:v20240513-cbc04a1e")
    between.put(msgspec.structs.replace(kindnet, containers=(old,)))
    assert enforcement_of(between).state is State.UNKNOWN, "too old to, and may: one of both is not true"


# --- what is followed


def test_what_decides_is_followed() -> None:
    assert set(CONFIG_MAPS) <= set(watch.CONFIG_MAPS)
    assert watch.ROLES.path == "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    assert watch.ROLES not in watch.RESOURCES, "only where it is asked for"


def test_nothing_is_judged_anew_while_only_pods_change(monkeypatch: pytest.MonkeyPatch) -> None:
    state = cluster("calico-manifest")
    before = enforcement_of(state)
    monkeypatch.setattr("webhook.enforcement._judge", lambda *_: pytest.fail("judged anew"))
    state.put(Pod("shop", "api-1", {"app": "api"}))
    for node in list(state.nodes):
        state.put(msgspec.structs.replace(node))  # a heartbeat
    assert enforcement_of(state) is before


def test_nodes_are_looked_at_anew_only_when_they_change() -> None:
    state = cluster("calico-manifest")
    coverage = enforcement_of(state).coverage
    state.put(daemon("other", Container("a", "corp/a:1"), host_network=False))
    assert enforcement_of(state).coverage is coverage
    state.put(Node("win-1", {"kubernetes.io/os": "windows"}))
    assert enforcement_of(state).state is State.PARTIAL
    state.remove(NODE, ("", "win-1"))
    assert enforcement_of(state).state is YES


def test_a_static_pod_of_an_agent_makes_it_unknown_and_its_end_certain_again() -> None:
    state = cluster("flannel")
    assert enforcement_of(state).state is NO
    state.put(Pod("kube-system", "calico-node-1", {"k8s-app": "calico-node"}))
    assert enforcement_of(state).state is State.UNKNOWN
    state.remove(POD, ("kube-system", "calico-node-1"))
    assert enforcement_of(state).state is NO


# --- addresses


def test_addresses_are_counted_as_the_library_counts_them() -> None:
    known = _Addresses(["10.0.0.1", "10.0.0.1", "10.0.0.7", "node-1", "fd00::1", "ip-10-0-0-1.internal", "1.2.3"])
    assert (known.number(4), known.number(6)) == (3, 1)


_V4 = st.integers(0, 2**32 - 1).map(lambda n: str(ip_address(n)))
_FEW = st.integers(0, 63).map(lambda n: f"10.0.0.{n}")
_RANGES = st.builds(lambda address, prefix: f"{address}/{prefix}", st.one_of(_FEW, _V4), st.integers(0, 32))


@settings(max_examples=150, deadline=None)
@given(addresses=st.lists(st.one_of(_FEW, _V4), max_size=20), cidr=_RANGES, excepted=st.lists(_RANGES, max_size=4))
def test_how_many_addresses_are_in_a_range(addresses: list[str], cidr: str, excepted: list[str]) -> None:
    network = ip_network(cidr, strict=False)
    inner = [e for e in excepted if ip_network(e, strict=False).subnet_of(network)]  # type: ignore[arg-type]
    left_out = [ip_network(e, strict=False) for e in inner]
    expected = sum(ip_address(a) in network and not any(ip_address(a) in e for e in left_out) for a in addresses)
    ours = [n for e in inner if (n := _network(e)) is not None]
    whole = _network(cidr)
    assert whole is not None
    assert _Addresses(addresses).within(whole, ours) == expected


def _policy(cidr: str, excepted: list[str] | None = None) -> NetworkPolicy:
    block = {"cidr": cidr, "except": excepted or []}
    made = convert(
        NetworkPolicy.kind,
        {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"ingress": [{"from": [{"ipBlock": block}]}]}},
    )
    assert isinstance(made, NetworkPolicy)
    return made


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "::/0", "0.0.0.0/00", "nonsense", "10.244.1.300/32", "fd00::/8"])
def test_ranges_that_are_nobody_s(cidr: str) -> None:
    pods = [Pod("shop", f"api-{i}", {}, ips=(f"10.244.1.{i}",)) for i in range(5)]
    assert list(COVERS_PODS.run(Context(Operation.CREATE, _policy(cidr), cluster("cilium", *pods)))) == []


def test_pods_of_the_host_network_are_at_their_node_s_address() -> None:
    hosted = Pod("kube-system", "proxy", {}, ips=("192.168.1.10",), host_network=True)
    done = Pod("shop", "job", {}, ips=("10.244.1.9",), phase="Succeeded")
    node = Node("node-9", {}, addresses=("192.168.1.10", "node-9"))
    state = cluster("cilium", hosted, done, node)
    (finding,) = COVERS_PODS.run(Context(Operation.CREATE, _policy("192.168.1.10/32"), state))
    assert "is a node" in finding.line
    assert list(COVERS_PODS.run(Context(Operation.CREATE, _policy("10.244.1.9/32"), state))) == []


def test_a_node_s_address_where_the_engine_matches_nodes() -> None:
    node = Node("node-9", {}, addresses=("192.168.1.10",))
    (finding,) = COVERS_PODS.run(Context(Operation.CREATE, _policy("192.168.1.10/32"), cluster("cilium-1.16", node)))
    assert (finding.level, finding.line) == (
        Level.NOTE,
        "192.168.1.10/32 is a node: what it masquerades comes from there",
    )


def test_dual_stack_ranges_of_pods() -> None:
    pods = [Pod("shop", f"api-{i}", {}, ips=(f"10.244.1.{i}", f"fd00:10:244::{i}")) for i in range(5)]
    state = cluster("cilium", *pods, Node("node-9", {}, pod_cidrs=("10.244.1.0/24", "fd00:10:244::/64")))
    for cidr in ("fd00:10:244::/80", "fd00:10:244::/48", "10.244.1.0/25"):
        (finding,) = COVERS_PODS.run(Context(Operation.CREATE, _policy(cidr), state))
        assert finding.level is None, cidr
    (finding,) = COVERS_PODS.run(Context(Operation.CREATE, _policy("fd00::/8"), state))
    assert finding.level is Level.NOTE


# --- the command


def run_command(capsys: pytest.CaptureFixture[str], *fixtures: str, more: tuple[str, ...] = ()) -> str:
    paths = [word for name in fixtures for word in ("--cluster", str(FIXTURES / f"{name}.yaml"))]
    assert main(["enforcement", "--complete", *paths, *more]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("fixtures", "expected"),
    [
        (
            ("base", "calico-manifest"),
            """\
enforced by Calico 3.31.0: Calico runs calico-node
  seen: DaemonSet kube-system/calico-node runs calico-node
  agents: DaemonSet kube-system/calico-node: 2 of 2 ready
  covers: all nodes
""",
        ),
        (
            ("base", "aws-on-fargate"),
            """\
partial: enforced by AWS VPC CNI 1.20.4 on 2 of 5 nodes
  seen: DaemonSet kube-system/aws-node: policy agent and controller are on
  agents: DaemonSet kube-system/aws-node: 2 of 2 ready
  not on: Fargate: fargate-ip-10-0-1-2
  not on: Windows nodes: win-1
  not on: EKS hybrid nodes: mi-0f
  gap: pods without an owner: AWS VPC CNI covers no pod without an owner; make them by a Deployment
       (amazon-eks-user-guide cni-network-policy.adoc)
  gap: more than 24 ports in a rule: AWS VPC CNI takes at most 24 ports in a rule; split the rule
       (amazon-eks-user-guide cni-network-policy.adoc; aws-network-policy-agent MAX_PORT_PROTOCOL)
""",
        ),
        (
            ("k3s",),
            """\
enforced by k3s 1.33.5+k3s1 (likely): k3s enforces by itself
  seen: k3s server k3s-0 runs its network policy controller
  seen: on a node without the program ipset k3s does not enforce, and only its log says so
  agents: within the nodes of k3s
  covers: all nodes
""",
        ),
        (
            ("base", "flannel"),
            """\
not-enforced: flannel runs without netpol
  seen: DaemonSet kube-flannel/kube-flannel-ds runs flannel without its netpol container
  help: set netpol.enabled
""",
        ),
        (
            ("base", "rke2-none"),
            """\
unknown: no known engine was found
  seen: no known engine was found; looked at 6 DaemonSets and 3 Nodes
  seen: RKE2 server rke2-server has --cni none, and none of its DaemonSets was found
  looked for: Calico, Cilium, Antrea, OVN-Kubernetes, kube-ovn, Weave Net, kube-network-policies, kube-router, kindnet,
              AWS VPC CNI, Azure NPM, Terway, OpenShift SDN, Romana, Nuage, NSX NCP, Cisco ACI, Contrail, k3s, EKS Auto
              Mode
  help: if you know it, say so in the configuration: `enforcement: enforced` or `enforcement: none`
""",
        ),
    ],
)  # fmt: skip
def test_what_the_command_prints(fixtures: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(capsys, *fixtures) == expected


def test_gaps_of_windows_are_shown_where_there_is_windows(capsys: pytest.CaptureFixture[str]) -> None:
    assert "on windows nodes" not in run_command(capsys, "base", "azure-npm")
    assert "gap: SCTP (on windows nodes): Azure NPM knows no SCTP on Windows" in run_command(
        capsys, "base", "azure-npm-windows"
    )


def test_a_node_that_lacks_an_agent_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (FIXTURES / "calico-manifest.yaml").read_text()
    file = tmp_path / "cluster.yaml"
    file.write_text(
        text.replace("desiredNumberScheduled: 2, numberReady: 2", "desiredNumberScheduled: 1, numberReady: 1")
    )
    out = run_command(capsys, "base", more=("--cluster", str(file)))
    assert out.startswith("partial: enforced by Calico 3.31.0 on 1 of 2 nodes\n")
    assert "  not on: 1 node without an agent, which cannot be told\n" in out
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "calico-node-a",
            "namespace": "kube-system",
            "labels": {"k8s-app": "calico-node"},
            "ownerReferences": [{"kind": "DaemonSet", "name": "calico-node", "controller": True}],
        },
        "spec": {"nodeName": "node-1", "hostNetwork": True},
    }
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
    out = run_command(capsys, "base", more=("--cluster", str(tmp_path)))
    assert "  not on: 1 node without an agent: node-2\n" in out


@pytest.mark.parametrize("fixture", [case[0] for case in CASES])
def test_the_command_speaks_json_for_every_cluster(fixture: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(run_command(capsys, "base", fixture, more=("-o", "json")))
    assert list(told) == [
        *("state", "engine", "version", "confidence", "pinned", "reason", "remedy", "evidence", "gaps", "coverage"),
        *("adminPolicies", "enginePolicies", "looked"),
    ]
    assert told["state"] in {"enforced", "not-enforced", "partial", "unknown"}
    assert (told["confidence"] == "none") == (told["state"] == "unknown")
    assert {gap["feature"] for gap in told["gaps"]} <= {feature.value for feature in Feature}
    left_out = {node for group in told["coverage"]["uncovered"] for node in group["nodes"]}
    undecided = len(told["coverage"]["undecided"])
    if told["state"] in {"enforced", "partial"}:
        missing = told["coverage"]["missing"]
        assert told["coverage"]["covered"] == told["coverage"]["nodes"] - len(left_out) - undecided - missing
    assert told["looked"]["daemonSets"] > 0
    assert set(told["looked"]["for"]) <= {*(family.name for family in FAMILIES), "k3s", "EKS Auto Mode"}
    text = run_command(capsys, "base", fixture)
    assert text.startswith(told["state"])
    assert text.isprintable() or all(line.isprintable() for line in text.splitlines())


def test_nodes_of_which_nothing_is_known_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = '{name: eci, labels: {type: virtual-kubelet, alibabacloud.com/virtual-node: "true"}}'
    (tmp_path / "node.yaml").write_text(f"apiVersion: v1\nkind: Node\nmetadata: {node}\n")
    out = run_command(capsys, "base", "calico-manifest", more=("--cluster", str(tmp_path)))
    assert "  covers: 2 of 3 nodes\n  unclear: on eci: something else may enforce there\n" in out


def test_the_command_takes_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("apiVersion: netadmit.io/v1\nkind: Config\nenforcement: enforced\n")
    out = run_command(capsys, "base", "flannel", more=("--config", str(file)))
    assert out.startswith("enforced: the configuration says that it is enforced\n")
    assert "seen: DaemonSet kube-flannel/kube-flannel-ds runs flannel" in out
    told = json.loads(run_command(capsys, "base", "flannel", more=("--config", str(file), "-o", "json")))
    assert (told["state"], told["pinned"]) == ("enforced", True)


def test_hostile_names_drive_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (FIXTURES / "rke2-none.yaml").read_text().replace("none", "\\u001b[31mnone", 1)
    (tmp_path / "node.yaml").write_text(text)
    assert "\x1b" not in run_command(capsys, "base", more=("--cluster", str(tmp_path)))


# --- the checks, on clusters as they are


@pytest.mark.parametrize("fixture", [case[0] for case in CASES])
def test_an_ordinary_policy_is_no_matter_for_any_engine(fixture: str) -> None:
    """What a policy of labels and a number gets to hear is only whether it is enforced."""
    pods = [
        Pod("shop", f"{app}-1", {"app": app}, owner=("ReplicaSet", f"{app}-5d9f"), node="node-1", ips=("10.244.1.5",))
        for app in ("api", "web")
    ]
    state = cluster(fixture, *pods)
    policy = convert(
        NetworkPolicy.kind,
        {
            "metadata": {"name": "api", "namespace": "shop"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "api"}},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 8080}]}],
                "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]}],
            },
        },
    )
    assert isinstance(policy, NetworkPolicy)
    ctx = Context(Operation.CREATE, policy, state)
    expected = {
        "azure-npm-lite": {"Azure NPM Lite reads no peer selectors"},
        "weave-2.3": {"Weave Net 2.3 knows no egress", "Weave Net 2.3 does not read ipBlock"},
        "openshift-sdn-networkpolicy": {"OpenShift SDN knows no egress", "OpenShift SDN does not read except"},
    }.get(fixture, set())
    heard = [f.line for f in IGNORES_FIELD.run(ctx)]
    assert {says for says in expected if any(line.startswith(says) for line in heard)} == expected
    assert len(heard) == len(expected)
    assert list(COVERS_PODS.run(ctx)) == []
    on_uncovered = [f for f in COVERS_SOME_NODES.run(ctx) if state.nodes and f.level is Level.WARNING]
    assert bool(on_uncovered) == (fixture in {"gke-legacy-calico", "auto-mode-on-aws-off"})
    assert bool(list(DOES_NOT_ENFORCE.run(ctx))) == ({case[0]: case[1] for case in CASES}[fixture] is NO)
