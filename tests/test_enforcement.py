"""Which engine enforces, told from clusters modelled on what real manifests make (SCENARIOS 12)."""

from functools import cache
from pathlib import Path

import msgspec
import pytest
import yaml

from webhook.check import Context, Disclosure, Operation, View
from webhook.checks.cni_does_not_enforce import CHECK
from webhook.enforcement import Enforcement, State, enforcement_of
from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    KINDS,
    NODE,
    ConfigMap,
    Container,
    NetworkPolicy,
    Node,
    ObjectMeta,
    Pod,
    Record,
    Workload,
)
from webhook.model.parse import convert

FIXTURES = Path(__file__).parent / "fixtures" / "enforcement"
YES, NO, PART, UNKNOWN = State.ENFORCED, State.NOT_ENFORCED, State.PARTIAL, State.UNKNOWN

CASES = [
    ("calico-manifest", YES, "Calico"),
    ("calico-operator", YES, "Calico"),
    ("calico-windows", YES, "Calico"),
    ("calico-without-windows", PART, "Calico"),
    ("calico-virtual-node", PART, "Calico"),
    ("canal", YES, "Canal"),
    ("rke2-canal", YES, "Canal"),
    ("rke2-calico", YES, "Calico"),
    ("rke2-cilium", YES, "Cilium"),
    ("rke2-none", UNKNOWN, ""),
    ("rke2-default-missing", UNKNOWN, ""),
    ("cilium", YES, "Cilium"),
    ("cilium-1.16", YES, "Cilium"),
    ("cilium-never", NO, "Cilium"),
    ("cilium-audit", NO, "Cilium"),
    ("cilium-without-networkpolicy", NO, "Cilium"),
    ("cilium-chained-aws", YES, "Cilium"),
    ("cilium-kube-router", YES, "Cilium"),
    ("cilium-node-config", PART, "Cilium"),
    ("cilium-node-config-same", YES, "Cilium"),
    ("cilium-never-node-config", UNKNOWN, "Cilium"),
    ("gke-dataplane-v2", YES, "Cilium"),
    ("weave", YES, "Weave Net"),
    ("weave-2.3", YES, "Weave Net"),
    ("weave-fork", YES, "Weave Net"),
    ("weave-without-npc", NO, "Weave Net"),
    ("weave-npc-not-expected", YES, "Weave Net"),
    ("flannel", NO, "flannel"),
    ("flannel-netpol", YES, "kube-network-policies"),
    ("flannel-per-architecture", NO, "flannel"),
    ("flannel-windows", NO, "flannel"),
    ("rke2-flannel", NO, "flannel"),
    ("flannel-calico-policy-only", YES, "Calico"),
    ("flannel-kube-router", YES, "kube-router"),
    ("flannel-nuage", UNKNOWN, "Nuage"),
    ("flannel-nsx", UNKNOWN, "NSX NCP"),
    ("flannel-scanner-reads-policies", UNKNOWN, ""),
    ("aci", UNKNOWN, "Cisco ACI"),
    ("contrail", UNKNOWN, "Contrail"),
    ("kube-network-policies", YES, "kube-network-policies"),
    ("kube-router", YES, "kube-router"),
    ("kube-router-proxy-only", NO, "kube-router"),
    ("kindnet-v20240202", NO, "kindnet"),
    ("kindnet-v20240513", NO, "kindnet"),
    ("kindnet-v20240813", YES, "kindnet"),
    ("kindnet-undated", UNKNOWN, "kindnet"),
    ("kindnet-undated-reads-policies", YES, "kindnet"),
    ("kindnet-aojea", YES, "kindnet"),
    ("kindnet-aojea-off", NO, "kindnet"),
    ("k3s", YES, "k3s"),
    ("k3s-disabled", NO, "k3s"),
    ("k3s-disabled-by-file", NO, "k3s"),
    ("k3s-enabled-by-file", YES, "k3s"),
    ("k3s-servers-differ", UNKNOWN, "k3s"),
    ("k3s-agents-only", UNKNOWN, "k3s"),
    ("k3s-disabled-cilium", YES, "Cilium"),
    ("microk8s", YES, "Calico"),
    ("microk8s-flannel", UNKNOWN, ""),
    ("minikube", UNKNOWN, ""),
    ("aws-on", YES, "AWS VPC CNI"),
    ("aws-on-fargate", PART, "AWS VPC CNI"),
    ("aws-off", NO, "AWS VPC CNI"),
    ("aws-controller-off", NO, "AWS VPC CNI"),
    ("aws-before-agent", NO, "AWS VPC CNI"),
    ("aws-off-calico", YES, "Calico"),
    ("aws-off-fargate", NO, "AWS VPC CNI"),
    ("aws-off-auto-mode", NO, "AWS VPC CNI"),
    ("auto-mode-on", YES, "EKS Auto Mode"),
    ("auto-mode-on-aws-off", PART, "EKS Auto Mode"),
    ("auto-mode-off", NO, "EKS Auto Mode"),
    ("auto-mode-untold", UNKNOWN, "EKS Auto Mode"),
    ("eks-without-aws-node", UNKNOWN, ""),
    ("antrea", YES, "Antrea"),
    ("antrea-policy-only", YES, "Antrea"),
    ("antrea-windows", YES, "Antrea"),
    ("antrea-without-controller", UNKNOWN, "Antrea"),
    ("ovn-kubernetes", YES, "OVN-Kubernetes"),
    ("kube-ovn", YES, "kube-ovn"),
    ("kube-ovn-off", NO, "kube-ovn"),
    ("azure-npm", YES, "Azure NPM"),
    ("azure-npm-lite", YES, "Azure NPM Lite"),
    ("azure-npm-windows", YES, "Azure NPM"),
    ("aks-cilium", YES, "Cilium"),
    ("aks-azure-cni", NO, "Azure CNI"),
    ("aks-kubenet", UNKNOWN, ""),
    ("terway", YES, "Terway"),
    ("terway-off", NO, "Terway"),
    ("terway-off-by-variable", NO, "Terway"),
    ("terway-untold", UNKNOWN, "Terway"),
    ("openshift-sdn", UNKNOWN, "OpenShift SDN"),
    ("openshift-sdn-networkpolicy", YES, "OpenShift SDN"),
    ("openshift-sdn-subnet", NO, "OpenShift SDN"),
    ("openshift-sdn-multitenant", NO, "OpenShift SDN"),
    ("romana", YES, "Romana"),
    ("romana-without-listener", UNKNOWN, "Romana"),
    ("spiderpool", NO, "Spiderpool"),
    ("spiderpool-calico", YES, "Calico"),
    ("gke-legacy-calico", PART, "Calico"),
    ("gke-netd", NO, "GKE"),
    ("gke-netd-calico-expected", UNKNOWN, "GKE"),
    ("unknown-cni-reads-policies", YES, "acme-cni"),
    ("nothing", UNKNOWN, ""),
]
"""Every row of the table of engines (facts 1.1), and what turns its answer round."""
ALONE = ("k3s", "auto-mode-on", "auto-mode-off", "auto-mode-untold")
"""Clusters whose nodes are all of one make: without those that the others have."""


ASSUMED = {"antrea-without-controller"}
"""Whether a Deployment that was not found is not there only complete state tells: then it is taken to be there."""


@cache
def records(name: str) -> tuple[Record, ...]:
    if name != "base" and name not in ALONE and not name.startswith("k3s"):
        return *records("base"), *_read(name)
    return _read(name)


def _read(name: str) -> tuple[Record, ...]:
    documents = [d for d in yaml.safe_load_all((FIXTURES / f"{name}.yaml").read_text()) if d]
    return tuple(convert(f"{d['apiVersion']}/{d['kind']}", d) for d in documents)


def cluster(name: str, *more: Record) -> Cluster:
    return Cluster.of([*records(name), *more], complete=True)


def said(name: str, *more: Record) -> Enforcement:
    return enforcement_of(cluster(name, *more))


def daemon(
    name: str,
    *containers: Container,
    labels: dict[str, str] | None = None,
    host_network: bool = True,
    desired: int | None = 2,
    ready: int | None = 2,
    kind: str = DAEMON_SET,
) -> Workload:
    return Workload(
        kind=kind,
        namespace="net",
        name=name,
        labels=labels or {},
        containers=containers,
        host_network=host_network,
        desired=desired,
        ready=ready,
    )


def without(kind: str, name: str) -> Cluster:
    """The fixture's cluster in which a kind could not be read at all."""
    state = Cluster(dict.fromkeys((k for k in KINDS if k != kind), Completeness.COMPLETE))
    for record in records(name):
        if record.kind != kind:
            state.put(record)
    return state


def scaled(name: str, engine: str, **counts: int) -> Enforcement:
    """The fixture's answer with other counts for the DaemonSet of this name."""
    state = cluster(name)
    for workload in list(state.workloads(DAEMON_SET)):
        if workload.name == engine:
            state.put(msgspec.structs.replace(workload, **counts))
    return enforcement_of(state)


@pytest.mark.parametrize(("name", "state", "engine"), CASES, ids=[case[0] for case in CASES])
def test_every_cluster_is_told(name: str, state: State, engine: str) -> None:
    found = said(name)
    assert (found.state, found.engine) == (state, engine)
    assert found.evidence
    assert found.reason
    assert bool(found.remedy) == (state is NO)
    assert all(len(clause) <= 120 for clause in found.evidence)


def test_every_fixture_is_in_the_table() -> None:
    assert {path.stem for path in FIXTURES.glob("*.yaml")} - {"base"} == {case[0] for case in CASES}


@pytest.mark.parametrize("name", [case[0] for case in CASES if case[1] in {NO, UNKNOWN} and case[0] not in ASSUMED])
def test_partial_state_never_says_not_enforced(name: str) -> None:
    assert enforcement_of(Cluster.of(records(name))).state is UNKNOWN


@pytest.mark.parametrize("kind", [DAEMON_SET, NODE])
@pytest.mark.parametrize("name", [case[0] for case in CASES if case[1] is NO])
def test_not_enforced_needs_all_daemonsets_and_nodes(name: str, kind: str) -> None:
    state = cluster(name)
    state.know(kind, Completeness.PARTIAL)
    found = enforcement_of(state)
    assert found.state is UNKNOWN
    assert found.reason == f"{kind.rpartition('/')[2]}s are only partly known"
    assert len(found.evidence) > 1, "what was seen is still told"


@pytest.mark.parametrize("name", [case[0] for case in CASES if case[1] is YES and "cilium" not in case[0]])
def test_an_enforcer_that_was_found_is_one_in_partial_state_too(name: str) -> None:
    assert enforcement_of(Cluster.of(records(name))).state is YES


ONE_OF_A_KIND = ("k3s", "auto-mode", "openshift-sdn", "kube-ovn")
"""Engines of which a cluster has only the one."""


@pytest.mark.parametrize("enforcer", [case[0] for case in CASES if case[1] is YES])
def test_an_enforcer_beats_every_non_enforcer(enforcer: str) -> None:
    for name, state, _ in CASES:
        if state is NO and not any(name.startswith(one) and enforcer.startswith(one) for one in ONE_OF_A_KIND):
            both = Cluster.of([*map(_moved, records(name)), *records(enforcer)], complete=True)
            assert enforcement_of(both).enforces, name


def _moved(record: Record) -> Record:
    """The same in a namespace of its own."""
    return (
        msgspec.structs.replace(record, namespace="elsewhere")
        if isinstance(record, Workload | ConfigMap) and record.namespace == "kube-system"
        else record
    )


# --- never by name


def test_a_daemonset_is_not_judged_by_its_name() -> None:
    for name in ("calico-node", "cilium", "kindnet", "aws-node", "kube-router", "canal"):
        impostor = daemon(name, Container("pause", "registry.k8s.io/pause:3.10"))
        assert said("nothing", impostor).state is UNKNOWN
    plain = daemon("kube-flannel-ds", Container("pause", "registry.k8s.io/pause:3.10"))
    assert said("nothing", plain).engine == ""


@pytest.mark.parametrize(
    ("container", "state", "engine"),
    [
        (Container("calico-node", "registry.corp:5000/mirror/Calico/Node:v3.31.0"), YES, "Calico"),
        (Container("node", "quay.io/tigera/cnx-node:v3.20"), YES, "Calico"),
        (Container("node", "rancher/mirrored-calico-node@sha256:ab12"), YES, "Calico"),
        (Container("cilium-agent", "registry.corp/net@sha256:ab12", ("cilium-agent",)), YES, "Cilium"),
        (Container("agent", "rancher/mirrored-cilium-cilium:v1.19.1"), YES, "Cilium"),
        (Container("x", "registry.corp:5000/kindest/kindnetd:v20240513-cbc04a1e@sha256:ab"), NO, "kindnet"),
        (Container("x", "registry.corp/kindest/kindnetd:V20240813-c6f155d6"), YES, "kindnet"),
        (Container("x", "registry.corp/kindest/kindnetd:v20240801-1a2b3c4d"), UNKNOWN, "kindnet"),
        (Container("kindnet-cni", "registry.corp/kindest/kindnetd"), UNKNOWN, "kindnet"),
        (Container("net", "registry.corp/network:1", ("/opt/bin/flanneld", "--ip-masq")), NO, "flannel"),
        (Container("npc", "registry.corp/weave-npc:2.8.1"), YES, "Weave Net"),
        (Container("kr", "quay.io/k0sproject/kube-router:v2.5.0"), YES, "kube-router"),
        (Container("kr", "x/kube-router", ("sh", "-c", "kube-router '--run-firewall=F'")), NO, "kube-router"),
        (Container("kr", "cloudnativelabs/kube-router", ("--run-firewall=$(FIREWALL)",)), UNKNOWN, "kube-router"),
        (Container("k", "ghcr.io/aojea/kindnetd:v1", ("/bin/kindnetd", "--network-policy=$(NP)")), UNKNOWN, "kindnet"),
        (Container("cni-server", "docker.io/kubeovn/kube-ovn:v1.14.10"), UNKNOWN, "kube-ovn"),
        (Container("policies", "registry.corp/np:1", ("/bin/netpol",)), YES, "kube-network-policies"),
    ],
)  # fmt: skip
def test_images_are_known_wherever_they_are_mirrored(container: Container, state: State, engine: str) -> None:
    found = said("nothing", ConfigMap("net", "cilium-config"), daemon("renamed", container))
    assert (found.state, found.engine) == (state, engine)


def test_kube_router_is_known_by_its_label_when_its_image_is_renamed() -> None:
    renamed = Container("kr", "registry.corp/kr:1", ("--run-router", "--run-firewall=false"))
    sidecar = Container("exporter", "registry.corp/exporter:1")
    assert said("nothing", daemon("kr", renamed, sidecar, labels={"k8s-app": "kube-router"})).state is NO


def test_scope_is_not_weave_net() -> None:
    scope = daemon("weave-scope-agent", Container("scope-agent", "docker.io/weaveworks/scope:1.13.2"))
    assert said("flannel", scope).state is NO


# --- coverage


def test_an_enforcer_without_a_ready_pod_is_not_certain() -> None:
    found = scaled("calico-manifest", "calico-node", ready=0)
    assert (found.state, found.engine, found.reason) == (UNKNOWN, "Calico", "Calico has 0 of 2 pods ready")
    assert scaled("calico-manifest", "calico-node", desired=0, ready=0).state is UNKNOWN
    assert scaled("calico-manifest", "calico-node", desired=2, ready=1).state is PART
    assert scaled("calico-manifest", "calico-node", desired=1, ready=1).state is PART, "one of two nodes has no agent"
    assert scaled("flannel-kube-router", "kube-router", desired=2, ready=0).state is UNKNOWN
    assert scaled("flannel-kube-router", "kube-router", desired=2, ready=1).state is PART


def test_a_non_enforcer_without_a_ready_pod_proves_nothing() -> None:
    found = scaled("flannel", "kube-flannel-ds", desired=2, ready=0)
    assert (found.state, found.engine) == (UNKNOWN, "flannel")


def test_a_daemonset_without_status_is_taken_at_its_word() -> None:
    for desired, ready in ((None, None), (2, None)):
        flanneld = Container("kube-flannel", "flannel/flannel:v0.27.4")
        assert said("nothing", daemon("x", flanneld, desired=desired, ready=ready)).state is NO


# --- ConfigMaps


def test_a_configmap_that_may_not_be_read_leaves_its_engine_unknown() -> None:
    assert enforcement_of(without(CONFIG_MAP, "cilium-never")).state is UNKNOWN
    assert enforcement_of(without(CONFIG_MAP, "cilium")).state is UNKNOWN
    assert enforcement_of(without(CONFIG_MAP, "aws-on")).state is UNKNOWN
    assert enforcement_of(without(CONFIG_MAP, "gke-netd")).state is UNKNOWN
    assert enforcement_of(without(CONFIG_MAP, "aws-off")).state is NO, "the agent's own switch decides"
    assert enforcement_of(without(CONFIG_MAP, "gke-dataplane-v2")).state is YES, "always on"


def test_an_absent_configmap_means_the_defaults() -> None:
    state = cluster("cilium-never")
    state.remove(CONFIG_MAP, ("kube-system", "cilium-config"))
    assert enforcement_of(state).state is YES
    state = cluster("aws-on")
    state.remove(CONFIG_MAP, ("kube-system", "amazon-vpc-cni"))
    assert enforcement_of(state).state is NO


def test_a_configmap_outside_kube_system_may_just_not_be_watched() -> None:
    agent = daemon("cilium", Container("cilium-agent", "quay.io/cilium/cilium:v1.19.1"))
    assert said("nothing", agent).state is UNKNOWN
    assert said("nothing", agent, ConfigMap("net", "cilium-config", {"enable-policy": "Never"})).state is NO


@pytest.mark.parametrize(
    ("data", "arguments", "state"),
    [
        ({}, (), YES),
        ({"enable-policy": "always"}, (), YES),
        ({"enable-policy": "default"}, ("--enable-policy=never",), NO),
        ({"enable-policy": "never"}, ("--enable-policy", "default"), YES),
        ({"policy-audit-mode": "True"}, (), NO),
        ({"policy-audit-mode": "true"}, ("--policy-audit-mode=false",), YES),
        ({}, ("--policy-audit-mode",), NO),
        ({"policy-audit-mode": "maybe"}, (), UNKNOWN),
        ({"enable-k8s-networkpolicy": "0"}, (), NO),
        ({"enable-policy": "sometimes"}, (), UNKNOWN),
    ],
)
def test_cilium_flags_go_before_the_configmap(data: dict[str, str], arguments: tuple[str, ...], state: State) -> None:
    agent = daemon("cilium", Container("cilium-agent", "quay.io/cilium/cilium:v1.19.1", ("cilium-agent", *arguments)))
    assert said("nothing", agent, ConfigMap("net", "cilium-config", data)).state is state


def test_the_controller_of_aws_may_run_in_the_cluster_and_not_look_at_its_configmap() -> None:
    controller = Container("controller", "public.ecr.aws/eks/amazon-network-policy-controller-k8s:v1.0.9")
    deployment = daemon("amazon-network-policy-controller-k8s", controller, kind=DEPLOYMENT, host_network=False)
    assert said("aws-controller-off", deployment).state is UNKNOWN
    assert enforcement_of(without(DEPLOYMENT, "aws-controller-off")).state is UNKNOWN


def test_aws_agents_are_off_by_default_and_unknown_when_templated() -> None:
    cni = Container("aws-node", "registry.corp/amazon-k8s-cni:v1.20.4")
    for arguments, state in (((), NO), (("--enable-network-policy=$(ON)",), UNKNOWN)):
        agent = Container("aws-network-policy-agent", "registry.corp/agent:1", arguments)
        assert said("nothing", daemon("aws-node", cni, agent)).state is state


def test_kube_ovn_is_switched_at_its_controller() -> None:
    controller = Container("kube-ovn-controller", "docker.io/kubeovn/kube-ovn:v1.14.10", ("--enable-np=$(NP)",))
    assert said("kube-ovn", daemon("a", controller, kind=DEPLOYMENT)).state is YES, "the first controller decides"
    state = cluster("kube-ovn")
    state.remove(DEPLOYMENT, ("kube-system", "kube-ovn-controller"))
    state.put(daemon("a", controller, kind=DEPLOYMENT))
    assert enforcement_of(state).state is UNKNOWN


# --- what may enforce after all


@pytest.mark.parametrize(
    "suspect",
    [
        daemon("agent", Container("agent", "registry.corp/acme/cni-agent:1")),
        daemon("agent", Container("netpol", "registry.corp/acme/agent:1")),
        daemon("acme-network-policy", Container("agent", "registry.corp/acme/agent:1")),
        daemon("contrail-vrouter", Container("agent", "registry.corp/agent:1")),
        daemon("aci-containers-host", Container("aci-containers-host", "registry.corp/agent:1")),
        daemon("calico-node-windows", Container("felix", "docker.io/calico/node-windows:v3.31.0")),
        daemon("tigera-operator", Container("tigera-operator", "quay.io/tigera/operator:v1.40.0"), kind=DEPLOYMENT),
        daemon("controller", Container("controller", "antrea/antrea-controller-ubuntu:v2.4"), kind=DEPLOYMENT),
        daemon("x", Container("a", "flannel/flannel:v1"), Container("netpol", "corp/agent:1"), host_network=False),
        Pod("kube-system", "calico-node-static", {"k8s-app": "calico-node"}, phase="Running"),
        Pod("kube-system", "kube-router-1", {"k8s-app": "kube-router"}, owner=("ReplicaSet", "kube-router-1")),
    ],
    ids=lambda record: record.name,
)
def test_what_may_enforce_makes_it_unknown(suspect: Record) -> None:
    found = said("flannel", suspect)
    assert found.state is UNKNOWN
    assert "enforce" in found.reason or "policy agent" in found.reason
    assert suspect.key[1] not in found.reason
    assert suspect.key[1] in found.evidence[0]


@pytest.mark.parametrize(
    "harmless",
    [
        daemon("acme-cni-viewer", Container("viewer", "registry.corp/cni-viewer:1"), host_network=False),
        daemon("datadog", Container("agent", "gcr.io/datadoghq/agent:7.70.0")),
        daemon("kube-vip-ds", Container("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.0.1")),
        daemon("whereabouts", Container("whereabouts", "ghcr.io/k8snetworkplumbingwg/whereabouts:v0.9.2")),
        daemon("cni-metrics-helper", Container("cni-metrics-helper", "corp/cni-metrics-helper:v1"), kind=DEPLOYMENT),
        daemon("gatekeeper", Container("manager", "openpolicyagent/gatekeeper:v3.20.1"), kind=DEPLOYMENT),
        daemon("ebs-csi-node", Container("ebs-plugin", "public.ecr.aws/ebs-csi-driver/aws-ebs-csi-driver:v1.50.0")),
        Pod("kube-system", "kube-flannel-ds-x", {"app": "flannel"}, owner=("DaemonSet", "kube-flannel-ds")),
        Pod("kube-system", "calico-node-x", {"k8s-app": "calico-node"}, owner=("DaemonSet", "calico-node")),
    ],
    ids=lambda record: record.name,
)
def test_what_cannot_enforce_changes_nothing(harmless: Record) -> None:
    assert said("flannel", harmless).state is NO


def test_calico_kube_controllers_left_behind_enforce_nothing() -> None:
    left = Container("calico-kube-controllers", "docker.io/calico/kube-controllers:v3.31.0")
    assert said("flannel", daemon("left", left, kind=DEPLOYMENT, host_network=False)).state is NO


def test_a_sidecar_is_a_container_too() -> None:
    flannel = next(d for d in yaml.safe_load_all((FIXTURES / "flannel.yaml").read_text()) if d["kind"] == "DaemonSet")
    flannel["spec"]["template"]["spec"]["initContainers"].append(
        {"name": "kube-network-policies", "image": "corp/np:1", "command": ["/bin/netpol"], "restartPolicy": "Always"}
    )
    assert enforcement_of(Cluster.of([convert(DAEMON_SET, flannel)], complete=True)).state is YES


# --- k3s


@pytest.mark.parametrize(
    ("annotation", "state"),
    [
        ('["server"]', YES),
        ('["server","--disable","traefik","--disable-network-policy"]', NO),
        ('["server","--disable-network-policy","--node-name","a"]', NO),
        ('["server","-disable-network-policy=true"]', NO),
        ('["server","--disable-network-policy","true","--disable-network-policy","false"]', YES),
        ('["server","--disable-network-policy","maybe"]', UNKNOWN),
        ('["agent","--disable-network-policy"]', UNKNOWN),
        ("not JSON", UNKNOWN),
        ("[1]", UNKNOWN),
    ],
)
def test_k3s_servers_show_their_switch(annotation: str, state: State) -> None:
    node = Node("a", annotations={"k3s.io/node-args": annotation}, kubelet_version="v1.34.1+k3s1")
    assert enforcement_of(Cluster.of([node], complete=True)).state is state


def test_k3s_without_annotations_is_unknown() -> None:
    found = said("nothing", Node("a", kubelet_version="v1.34.1+k3s1"))
    assert (found.state, found.engine) == (UNKNOWN, "k3s")


def test_what_rke2_says_of_network_policy_is_a_dropped_flag() -> None:
    node = Node("a", annotations={"rke2.io/node-args": '["server","--disable-network-policy"]'})
    assert said("rke2-canal", node).enforces


# --- the answer is kept


def test_the_answer_follows_the_state() -> None:
    state = cluster("flannel")
    assert enforcement_of(state) is enforcement_of(state)
    for record in records("calico-manifest"):
        state.put(record)
    assert enforcement_of(state).engine == "Calico"
    state.remove(DAEMON_SET, ("kube-system", "calico-node"))
    assert enforcement_of(state).state is NO


# --- the check


def _context(name: str, **how: object) -> Context:
    policy = NetworkPolicy(ObjectMeta(name="api", namespace="shop"))
    return Context(Operation.CREATE, policy, cluster(name), **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [case[0] for case in CASES if case[1] is NO])
def test_the_warning_is_short_and_tells_no_object_of_another_namespace(name: str) -> None:
    (short,) = CHECK.run(_context(name, disclosure=Disclosure.NAMESPACE))
    assert "all traffic passes; " in short.line
    assert len(short.line) <= 100
    for kind in (DAEMON_SET, NODE, DEPLOYMENT):
        for namespace, known in cluster(name).keys(kind):
            assert f"{namespace}/{known}" not in short.line
    (report,) = CHECK.run(_context(name, view=View.AUDIT))
    assert report.line == short.line
    assert report.detail == enforcement_of(cluster(name)).evidence[0]
    (closed,) = CHECK.run(_context(name, view=View.AUDIT, disclosure=Disclosure.NAMESPACE))
    assert closed.story == short.line


def test_a_report_with_very_long_names_is_still_one_line() -> None:
    state = Cluster.of(records("nothing"), complete=True)
    state.put(daemon("d" * 200, Container("kube-flannel", "flannel/flannel:v0.27.4")))
    policy = NetworkPolicy(ObjectMeta(name="api", namespace="shop"))
    (finding,) = CHECK.run(Context(Operation.CREATE, policy, state, view=View.AUDIT))
    assert finding.line == "flannel runs without netpol: all traffic passes; set netpol.enabled"


@pytest.mark.parametrize("name", [case[0] for case in CASES if case[1] is not NO])
def test_the_check_is_silent_unless_it_is_certain(name: str) -> None:
    ctx = _context(name)
    assert list(CHECK.run(ctx)) == []
    reason = ctx.enforcement.reason
    assert ctx.unknown == ({f"enforcement: {reason}"} if ctx.enforcement.state is UNKNOWN else set())
