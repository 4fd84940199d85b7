"""Corner cases of the checks on what peers and selectors mean to an engine, and on what a text says of them."""

import json
from typing import Any

import pytest

from webhook.check import Check, Disclosure, Finding, Level, View
from webhook.checks import all_checks
from webhook.config import Config
from webhook.model.cluster import Cluster
from webhook.model.objects import LAST_APPLIED, NETWORK_POLICY, NetworkPolicy
from webhook.model.parse import convert
from webhook.model.review import Request
from webhook.pipeline import Judge

from .test_port_checks import Case, deployment, ingress, number, pod, policy, selecting, service

CHECKS = {check.id: check for check in all_checks()}


def level(check: str, finding: Finding) -> Level:
    return finding.level or CHECKS[check].level


def levels(check: str, found: list[Finding]) -> list[Level]:
    return [level(check, finding) for finding in found]


def named(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def block(cidr: str, *excepted: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, **({"except": list(excepted)} if excepted else {})}}


def letting(direction: str, *peers: dict[str, Any], name: str = "np", app: str = "api", **rule: Any) -> dict[str, Any]:
    """A policy with one rule for these peers; without any, for everyone."""
    word = {"Ingress": "from", "Egress": "to"}[direction]
    rule |= {word: list(peers)} if peers else {}
    return policy(app, name, policyTypes=[direction], **{direction.lower(): [rule]})


# --- namespace-not-found ---------------------------------------------------------------------------------------------

NOT_FOUND = "namespace-not-found"


def test_a_label_of_pods_is_no_label_of_namespaces() -> None:
    """Only where all namespaces are known, pods run, and a person wrote it."""
    by_label = letting("Ingress", {"namespaceSelector": selecting("web")})
    helm = {**by_label, "metadata": {**by_label["metadata"], "labels": {"app.kubernetes.io/managed-by": "Helm"}}}
    assert levels(NOT_FOUND, Case([pod("web-1")]).says(NOT_FOUND, by_label)) == [Level.WARNING]
    assert levels(NOT_FOUND, Case([pod("web-1", namespace="front")]).says(NOT_FOUND, by_label)) == [Level.WARNING]
    assert Case([pod("web-1")], complete=False).says(NOT_FOUND, by_label) == []
    for of, new in (([deployment("web")], by_label), ([pod("web-1")], helm)):
        assert levels(NOT_FOUND, Case(of).says(NOT_FOUND, new)) == [Level.NOTE]


# --- opens-to-everyone -----------------------------------------------------------------------------------------------

EVERYONE = "opens-to-everyone"
PORTS = [{"port": 80}]


def applied(spec: Any, stored: dict[str, Any] | None = None) -> dict[str, Any]:
    """A policy as the API server stores it, with the text that kubectl apply recorded."""
    new = policy("api", **(stored or {"ingress": [{"ports": PORTS}]}))
    text = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "np"}, "spec": spec}
    new["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(text)}
    return new


def spec(*rules: object, direction: str = "ingress") -> dict[str, Any]:
    return {"podSelector": selecting("api"), direction: list(rules)}


@pytest.mark.parametrize("written", [[], None])
def test_what_kubectl_recorded_tells_an_empty_list_from_none(written: object) -> None:
    found = Case().says(EVERYONE, applied(spec({"from": written, "ports": PORTS})))
    assert levels(EVERYONE, found) == [Level.WARNING]
    assert found[0].path == "spec.ingress[0].from"
    absent = Case().says(EVERYONE, applied(spec({"ports": PORTS})))
    assert levels(EVERYONE, absent) == [Level.NOTE]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([{}], []),
        ([{"from": [{"podSelector": {}}], "ports": PORTS}], []),
        ([{"from": [{"podSelector": {}}]}, {"ports": PORTS}], ["spec.ingress[1].from"]),
        (
            [{"ports": PORTS}, {"ports": [{"port": "http", "protocol": "UDP"}]}],
            ["spec.ingress[0].from", "spec.ingress[1].from"],
        ),
    ],
)
def test_rules_with_ports_and_no_peers(rules: list[Any], says: list[str]) -> None:
    found = Case().says(EVERYONE, policy("api", ingress=rules))
    assert [f.path for f in found] == says
    assert set(levels(EVERYONE, found)) <= {Level.NOTE}


def test_an_empty_list_without_ports_is_said_in_so_many_words() -> None:
    assert Case().says(EVERYONE, applied(spec({"from": []}), {"ingress": [{}]})) == []


def test_egress_to_everywhere_is_a_note_where_it_is_written() -> None:
    stored = {"policyTypes": ["Egress"], "egress": [{"ports": PORTS}]}
    text = {**spec({"to": [], "ports": PORTS}, direction="egress"), "policyTypes": ["Egress"]}
    found = Case().says(EVERYONE, applied(text, stored))
    assert levels(EVERYONE, found) == [Level.NOTE]
    assert "out to everywhere" in found[0].message
    assert Case().says(EVERYONE, policy("api", **stored)) == []


def test_dead_rules_open_nothing() -> None:
    text = {**spec({"from": [], "ports": PORTS}), "policyTypes": ["Egress"]}
    assert Case().says(EVERYONE, applied(text, {"policyTypes": ["Egress"], "ingress": [{"ports": PORTS}]})) == []


@pytest.mark.parametrize(
    "recorded",
    [
        pytest.param("no JSON", id="no JSON"),
        pytest.param(json.dumps([]), id="no object"),
        pytest.param(json.dumps({"kind": "Service"}), id="another kind"),
        pytest.param("[" * 50_000, id="nested too deeply"),
        pytest.param("x" * 70_000, id="too long"),
    ],
)
def test_a_text_that_tells_nothing(recorded: str) -> None:
    new = policy("api", ingress=[{"ports": PORTS}])
    new["metadata"]["annotations"] = {LAST_APPLIED: recorded}
    assert levels(EVERYONE, Case().says(EVERYONE, new)) == [Level.NOTE]


def test_a_text_that_is_not_what_was_decoded() -> None:
    changed = applied(spec({"from": [], "ports": [{"port": 81}]}))
    assert levels(EVERYONE, Case().says(EVERYONE, changed)) == [Level.NOTE]
    mistyped = applied(spec({"from": [], "ports": 80}))
    assert levels(EVERYONE, Case().says(EVERYONE, mistyped)) == [Level.NOTE]
    same = applied(spec({"from": [], "ports": PORTS}))
    earlier = levels(EVERYONE, Case().says(EVERYONE, same, same))
    assert earlier == [Level.NOTE], "an earlier kubectl apply recorded it"
    assert levels(EVERYONE, Case().says(EVERYONE, same, same, View.AUDIT)) == [Level.WARNING]


def test_a_range_of_ports_is_told_as_one() -> None:
    (found,) = Case().says(EVERYONE, ingress({"port": 80, "endPort": 90}, {"protocol": "UDP"}))
    assert "lets TCP 80-90, UDP any in" in found.means


# --- host-network-selected -------------------------------------------------------------------------------------------

HOST = "host-network-selected"
EXPORTER = pod("exporter-1", hostNetwork=True)
EDGE = pod("edge-1", namespace="edge", hostNetwork=True)
API = pod("api-1")


def test_every_pod_or_some() -> None:
    case = Case([EXPORTER, pod("exporter-2", hostNetwork=True), API])
    all_ = case.says(HOST, policy("exporter"))
    assert [f.line for f in all_] == ["its 2 pods run in the host network: no policy binds them; restrict their nodes"]
    assert levels(HOST, all_) == [Level.WARNING]
    some = case.says(HOST, policy(""))
    assert [f.line for f in some] == ["2 of its 3 pods run in the host network: no policy binds them"]
    assert levels(HOST, some) == [Level.NOTE]
    assert case.says(HOST, policy("api")) == []
    assert case.says(HOST, policy("storefront")) == []


def test_a_template_that_differs_from_its_pods_is_a_change_under_way() -> None:
    leaving = Case([EXPORTER, deployment("exporter")])
    assert levels(HOST, leaving.says(HOST, policy("exporter"))) == [Level.NOTE]
    coming = Case([pod("exporter-1"), deployment("exporter", hostNetwork=True)])
    assert coming.says(HOST, policy("exporter")) == []
    agreed = Case([EXPORTER, deployment("exporter", hostNetwork=True)])
    assert levels(HOST, agreed.says(HOST, policy("exporter"))) == [Level.WARNING]
    made = Case([deployment("exporter", hostNetwork=True)])
    assert "its pod template runs" in made.says(HOST, policy("exporter"))[0].message


def test_finished_pods_never_count() -> None:
    done = pod("exporter-1", hostNetwork=True)
    done["status"]["phase"] = "Failed"
    assert Case([done]).says(HOST, policy("exporter")) == []


@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_a_peer_of_the_host_network(direction: str) -> None:
    case = Case([API, EDGE, EXPORTER])
    by_pod = case.says(HOST, letting(direction, {**named("edge"), "podSelector": selecting("edge")}))
    by_namespace = case.says(HOST, letting(direction, named("edge")))
    for found in (by_pod, by_namespace):
        assert levels(HOST, found) == [Level.WARNING]
        word = "from" if direction == "Ingress" else "to"
        assert found[0].path == f"spec.{direction.lower()}[0].{word}[0]"
        assert found[0].line.startswith("its peer pod runs in the host network: no selector matches it")
    own = case.says(HOST, letting(direction, {"podSelector": selecting("exporter")}))
    assert levels(HOST, own) == [Level.WARNING]


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        pytest.param([{"namespaceSelector": {}}], [], id="every pod of the cluster"),
        pytest.param([{"podSelector": {}}], [], id="every pod of the namespace"),
        pytest.param([named("mixed")], [], id="a namespace with others as well"),
        pytest.param([{**named("mixed"), "podSelector": selecting("both")}], [Level.NOTE], id="some of those selected"),
        pytest.param([named("nowhere")], [], id="nobody"),
        pytest.param([named("edge"), block("192.0.2.0/24")], [Level.NOTE], id="their nodes, in the same rule"),
        pytest.param([block("192.0.2.0/24")], [], id="addresses alone"),
    ],
)
def test_peers_and_what_stands_beside_them(peers: list[dict[str, Any]], expected: list[Level]) -> None:
    both = [
        pod("both-1", namespace="mixed", hostNetwork=True),
        pod("both-2", namespace="mixed"),
        pod("other-1", namespace="mixed"),
    ]
    case = Case([API, EDGE, EXPORTER, *both])
    assert levels(HOST, case.says(HOST, letting("Ingress", *peers))) == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (letting("Ingress", block("192.0.2.0/24"), name="nodes"), Level.NOTE),
        (letting("Ingress", block("192.0.2.0/24"), name="nodes", app=""), Level.NOTE),
        (letting("Ingress", name="all"), Level.NOTE),
        (letting("Egress", block("192.0.2.0/24"), name="nodes"), Level.WARNING),
        (letting("Ingress", block("192.0.2.0/24"), name="nodes", app="web"), Level.WARNING),
        (letting("Ingress", block("192.0.2.0/24"), name="np"), Level.WARNING),
    ],
)
def test_another_policy_may_let_the_nodes_in(other: dict[str, Any], expected: Level) -> None:
    case = Case([API, EDGE, other])
    assert levels(HOST, case.says(HOST, letting("Ingress", named("edge")))) == [expected]


@pytest.mark.parametrize(
    ("ports", "expected"), [([], Level.NOTE), ([{"port": 80}], Level.NOTE), ([{"port": 53}], Level.WARNING)]
)
def test_a_rule_for_everyone_on_another_port_lets_no_node_in(ports: list[dict[str, Any]], expected: Level) -> None:
    for everyone in ({"ports": ports}, {"from": [block("192.0.2.0/24")], "ports": ports}):
        new = policy("api", ingress=[{"from": [named("edge")], "ports": [{"port": 80}]}, everyone])
        assert levels(HOST, Case([API, EDGE]).says(HOST, new)) == [expected]


def test_dead_rules_and_partial_states() -> None:
    dead = policy("api", policyTypes=["Egress"], ingress=[{"from": [named("edge")]}])
    assert Case([API, EDGE]).says(HOST, dead) == []
    partial = Case([API, EDGE], complete=False)
    ctx = partial.context(letting("Ingress", named("edge")))
    assert levels(HOST, list(CHECKS[HOST].run(ctx))) == [Level.NOTE]
    assert ctx.unknown


def engine(name: str, app: str, image: str) -> dict[str, Any]:
    agent = {"name": name, "image": image}
    template = {"metadata": {"labels": {"k8s-app": app}}, "spec": {"hostNetwork": True, "containers": [agent]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"template": template},
    }


CILIUM = engine("cilium-agent", "cilium", "quay.io/cilium/cilium:v1.18.4")
OVN = engine("ovnkube-node", "ovnkube-node", "ghcr.io/ovn-kubernetes/ovn-kubernetes/ovn-kube-ubuntu:master")


def test_what_the_engine_makes_of_it() -> None:
    peer = letting("Ingress", named("edge"))
    (found,) = Case([API, EDGE, CILIUM]).says(HOST, peer)
    assert found.remedy == "write a CiliumNetworkPolicy for the entity remote-node"
    ovn = Case([API, EDGE, OVN])
    assert ovn.context(peer).enforcement.engine == "OVN-Kubernetes"
    assert ovn.says(HOST, peer) == [], "there, a whole namespace may stand for the host network"
    by_pod = letting("Ingress", {**named("edge"), "podSelector": selecting("edge")})
    assert levels(HOST, ovn.says(HOST, by_pod)) == [Level.WARNING]


# --- ambient-mesh-port -----------------------------------------------------------------------------------------------

AMBIENT = "ambient-mesh-port"


def space(name: str, **labels: str) -> dict[str, Any]:
    given = {k.replace("__", "/").replace("_", "."): v for k, v in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": given}}


def labelled(name: str, namespace: str = "shop", **labels: str) -> dict[str, Any]:
    made = pod(name, namespace=namespace)
    made["metadata"]["labels"] |= {k.replace("__", "/").replace("_", "."): v for k, v in labels.items()}
    return made


MODE = {"istio_io__dataplane-mode": "ambient"}
MESH = [space("shop", **MODE), pod("api-1"), pod("web-1"), pod("job-1")]
HTTP = [{"port": 8080}]
BOTH = [{"port": 8080}, {"port": 15008}]
WEB = {"podSelector": selecting("web")}


@pytest.mark.parametrize(
    "ports",
    [
        pytest.param(BOTH, id="both"),
        pytest.param([], id="all ports"),
        pytest.param([{"protocol": "TCP"}], id="all TCP"),
        pytest.param([{"port": 15000, "endPort": 15010}], id="a range"),
        pytest.param([{"port": 53, "protocol": "UDP"}], id="UDP only"),
    ],
)
def test_rules_that_let_the_mesh_in(ports: list[dict[str, Any]]) -> None:
    assert Case(MESH).says(AMBIENT, letting("Ingress", WEB, ports=ports)) == []
    assert Case(MESH).says(AMBIENT, letting("Ingress", ports=ports)) == []


@pytest.mark.parametrize(
    "ports",
    [HTTP, [{"port": "http"}], [{"port": 15008, "protocol": "UDP"}, {"port": 1}], [{"port": 15000, "endPort": 15007}]],
)
def test_rules_that_cut_the_mesh(ports: list[dict[str, Any]]) -> None:
    for peers in ([], [WEB], [{"podSelector": {}}], [{"namespaceSelector": {}}], [WEB, block("192.0.2.0/24")]):
        found = Case(MESH).says(AMBIENT, letting("Ingress", *peers, ports=ports))
        assert levels(AMBIENT, found) == [Level.WARNING]
        assert found[0].path == "spec.ingress[0].ports"


def test_egress_is_not_asked() -> None:
    assert Case(MESH).says(AMBIENT, letting("Egress", WEB, ports=HTTP)) == []


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([space("shop"), pod("api-1")], id="no mesh"),
        pytest.param(
            [space("shop", **MODE), labelled("api-1", **{"istio_io__dataplane-mode": "none"})], id="a pod out of it"
        ),
        pytest.param(
            [space("shop", **MODE), labelled("api-1", security_istio_io__tlsMode="istio")], id="with a sidecar"
        ),
        pytest.param(
            [space("shop", **MODE, **{"istio-injection": "enabled"}), pod("api-1")], id="perhaps with a sidecar"
        ),
        pytest.param([space("shop", **MODE), pod("api-1", hostNetwork=True)], id="of the host network"),
        pytest.param([space("shop", **{"istio_io__dataplane-mode": "none"}), pod("api-1")], id="a namespace out of it"),
        pytest.param([space("shop", **MODE), pod("web-1")], id="nobody is selected"),
    ],
)
def test_pods_that_are_in_no_ambient_mesh(objects: list[dict[str, Any]]) -> None:
    assert Case(objects).says(AMBIENT, letting("Ingress", ports=HTTP)) == []


def test_a_single_pod_and_a_template_may_be_in_the_mesh() -> None:
    own = Case([space("shop"), labelled("api-1", **MODE)])
    assert levels(AMBIENT, own.says(AMBIENT, letting("Ingress", ports=HTTP))) == [Level.WARNING]
    template = Case([space("shop", **MODE, **{"istio-injection": "disabled"}), deployment("api")])
    (found,) = template.says(AMBIENT, letting("Ingress", ports=HTTP))
    assert found.detail.startswith("its pod template is in the mesh")


@pytest.mark.parametrize(
    ("peer", "cut"),
    [
        (named("outside"), False),
        (named("inside"), True),
        (block("192.0.2.0/24"), False),
        ({"podSelector": selecting("nobody")}, False),
    ],
)
def test_only_clients_within_the_mesh_are_cut(peer: dict[str, Any], cut: bool) -> None:
    more = [space("outside"), pod("a-1", namespace="outside"), space("inside", **MODE), pod("b-1", namespace="inside")]
    assert bool(Case([*MESH, *more]).says(AMBIENT, letting("Ingress", peer, ports=HTTP))) == cut


@pytest.mark.parametrize(
    ("other", "cut"),
    [
        (letting("Ingress", name="mesh", app="", ports=[{"port": 15008}]), False),
        (letting("Ingress", {"namespaceSelector": {}}, name="mesh", app="", ports=[{"port": 15008}]), False),
        (letting("Ingress", WEB, name="mesh", ports=[{"port": 15008}]), False),
        (letting("Ingress", WEB, name="mesh"), False),
        (letting("Ingress", {"podSelector": selecting("job")}, name="mesh", ports=[{"port": 15008}]), True),
        (letting("Ingress", name="mesh", app="web", ports=[{"port": 15008}]), True),
        (letting("Egress", name="mesh", ports=[{"port": 15008}]), True),
        (letting("Ingress", WEB, name="np", ports=[{"port": 15008}]), True),
    ],
)
def test_another_policy_may_let_the_mesh_in(other: dict[str, Any], cut: bool) -> None:
    assert bool(Case([*MESH, other]).says(AMBIENT, letting("Ingress", WEB, ports=HTTP))) == cut


def test_one_rule_of_several() -> None:
    new = policy(
        "api", ingress=[{"from": [WEB], "ports": BOTH}, {"from": [{"podSelector": selecting("job")}], "ports": HTTP}]
    )
    assert [f.path for f in Case(MESH).says(AMBIENT, new)] == ["spec.ingress[1].ports"]
    covered = policy(
        "api", ingress=[{"from": [WEB], "ports": HTTP}, {"from": [{"podSelector": {}}], "ports": [{"port": 15008}]}]
    )
    assert Case(MESH).says(AMBIENT, covered) == []


def test_not_all_policies_are_known() -> None:
    ctx = Case(MESH, complete=False).context(letting("Ingress", WEB, ports=HTTP))
    assert levels(AMBIENT, list(CHECKS[AMBIENT].run(ctx))) == [Level.NOTE]
    assert ctx.unknown


# --- ipblock-covers-service-ips --------------------------------------------------------------------------------------

SERVICE_IPS = "ipblock-covers-service-ips"
CIDR = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "ServiceCIDR",
    "metadata": {"name": "kubernetes"},
    "spec": {"cidrs": ["10.96.0.0/16", "fd00:96::/112"]},
}
DB = service("db", {"port": 5432}, clusterIP="10.96.7.7", clusterIPs=["10.96.7.7", "fd00:96::7"])
DNS = service("kube-dns", {"port": 53}, namespace="kube-system", clusterIP="10.96.0.10")
ELSEWHERE = service("vault", {"port": 443}, namespace="vault", clusterIP="10.96.9.9")
WORLD = [CIDR, DB, DNS, ELSEWHERE, pod("db-0"), API]
NODE_LOCAL = engine("node-cache", "node-local-dns", "registry.k8s.io/dns/k8s-dns-node-cache:1.26.4")
AWS = [
    engine("aws-node", "aws-node", "602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.20.0"),
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "amazon-vpc-cni", "namespace": "kube-system"},
        "data": {"enable-network-policy-controller": "true"},
    },
]


@pytest.mark.parametrize(
    ("cidr", "says"),
    [
        ("10.96.7.7/32", "10.96.7.7/32 is Service db"),
        ("fd00:96::7/128", "fd00:96::7/128 is Service db"),
        ("fd00:0096:0::0007/128", "fd00:96::7/128 is Service db"),
        ("10.96.9.9/32", "is Service vault/vault"),
        ("10.96.1.1/32", "10.96.1.1/32 is of a Service"),
        ("10.96.0.0/16", "10.96.0.0/16 is for Services"),
        ("10.96.128.0/20", "10.96.128.0/20 is for Services"),
        ("fd00:96::/120", "fd00:96::/120 is for Services"),
        ("10.96.0.0/12", ""),
        ("0.0.0.0/0", ""),
        ("::/0", ""),
        ("10.97.0.0/16", ""),
        ("nonsense", ""),
    ],
)
def test_blocks_of_service_addresses(cidr: str, says: str) -> None:
    for direction, effect in (("Ingress", "lets nothing in"), ("Egress", "lets nothing out")):
        found = Case(WORLD).says(SERVICE_IPS, letting(direction, block(cidr)))
        assert levels(SERVICE_IPS, found) == [Level.WARNING] * bool(says)
        assert all(says in f.message and effect in f.means for f in found)
        assert [f.path.rpartition("].")[2] for f in found] == ["ipBlock.cidr"] * len(found)


def test_what_a_block_leaves_out_is_no_mistake() -> None:
    new = letting("Egress", block("0.0.0.0/0", "10.96.0.0/16"), block("10.0.0.0/8", "10.96.7.7/32"))
    assert Case(WORLD).says(SERVICE_IPS, new) == []


def test_without_ranges_a_service_is_known_all_the_same() -> None:
    bare = [DB, DNS, ELSEWHERE, pod("db-0"), API]
    assert levels(SERVICE_IPS, Case(bare).says(SERVICE_IPS, letting("Egress", block("10.96.7.7/32")))) == [
        Level.WARNING
    ]
    assert Case(bare).says(SERVICE_IPS, letting("Egress", block("10.96.0.0/16"))) == []
    headless = [service("db", {"port": 5432}, clusterIP="None", clusterIPs=["None"])]
    assert Case(headless).says(SERVICE_IPS, letting("Egress", block("10.96.7.7/32"))) == []


def test_services_elsewhere_are_not_named() -> None:
    case = Case(WORLD, disclosure=Disclosure.NAMESPACE)
    (found,) = case.says(SERVICE_IPS, letting("Egress", block("10.96.9.9/32")))
    assert "vault" not in found.line
    assert "is a Service elsewhere" in found.line


@pytest.mark.parametrize(
    "more",
    [
        pytest.param([{"podSelector": selecting("db")}], id="its pods"),
        pytest.param([{"podSelector": {}}], id="all pods here"),
        pytest.param([{"namespaceSelector": {}}], id="all pods there are"),
        pytest.param([block("10.0.0.0/8")], id="a wider block"),
    ],
)
def test_what_has_another_way_is_a_note(more: list[dict[str, Any]]) -> None:
    own_rule = letting("Egress", block("10.96.7.7/32"), *more)
    assert levels(SERVICE_IPS, Case(WORLD).says(SERVICE_IPS, own_rule)) == [Level.NOTE]
    other = Case([*WORLD, letting("Egress", *more, name="other", app="")])
    assert levels(SERVICE_IPS, other.says(SERVICE_IPS, letting("Egress", block("10.96.7.7/32")))) == [Level.NOTE]
    of_others = Case([*WORLD, letting("Egress", *more, name="other", app="web"), letting("Ingress", *more, name="in")])
    assert levels(SERVICE_IPS, of_others.says(SERVICE_IPS, letting("Egress", block("10.96.7.7/32")))) == [Level.WARNING]


def test_other_ways_that_are_none() -> None:
    for more in ([{"podSelector": selecting("web")}], [block("192.0.2.0/24")], [block("10.96.7.7/32")]):
        found = Case(WORLD).says(SERVICE_IPS, letting("Egress", block("10.96.7.7/32"), *more))
        assert set(levels(SERVICE_IPS, found)) == {Level.WARNING}
    beside = Case(WORLD).says(SERVICE_IPS, letting("Egress", block("10.96.0.0/16"), block("10.244.0.0/16")))
    assert levels(SERVICE_IPS, beside) == [Level.NOTE], "the ranges of a cluster, one by one"
    both = Case(WORLD).says(SERVICE_IPS, letting("Egress", block("10.96.0.0/16"), block("fd00:96::/112")))
    assert levels(SERVICE_IPS, both) == [Level.WARNING, Level.WARNING]


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([], Level.NOTE),
        ([{"port": 5432}], Level.NOTE),
        ([{"port": 53, "protocol": "UDP"}, {"port": 53}], Level.WARNING),
    ],
)
def test_a_rule_for_everyone_on_another_port_is_no_other_way(ports: list[dict[str, Any]], expected: Level) -> None:
    for peers in ([], [{"namespaceSelector": {}}], [{"podSelector": {}}], [block("10.0.0.0/8")]):
        everyone = {"ports": ports, **({"to": peers} if peers else {})}
        new = policy("api", policyTypes=["Egress"], egress=[{"to": [block("10.96.7.7/32")]}, everyone])
        assert levels(SERVICE_IPS, Case(WORLD).says(SERVICE_IPS, new)) == [expected]


def test_the_api_server_by_its_endpoints() -> None:
    api = service("x", {"port": 443}, namespace="default", clusterIP="10.96.0.1")
    api["metadata"]["name"] = "kubernetes"
    del api["spec"]["selector"]
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "k", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": ["192.0.2.10"]}],
    }
    case = Case([*WORLD, api, endpoints])
    (found,) = case.says(SERVICE_IPS, letting("Egress", block("10.96.0.1/32")))
    assert found.line.endswith("lets nothing out; write its endpoints")
    assert level(SERVICE_IPS, found) is Level.WARNING
    both = case.says(SERVICE_IPS, letting("Egress", block("10.96.0.1/32"), block("192.0.2.0/28")))
    assert levels(SERVICE_IPS, both) == [Level.NOTE]


@pytest.mark.parametrize(
    ("new", "local"),
    [
        (letting("Egress", block("10.96.0.10/32")), True),
        (letting("Egress", block("10.96.0.10/32"), ports=[{"port": 53, "protocol": "UDP"}]), True),
        (letting("Egress", block("10.96.0.99/32"), ports=[{"port": 53, "protocol": "UDP"}]), True),
        (letting("Egress", block("10.96.0.99/32"), ports=[{"port": 53}, {"port": 443}]), False),
        (letting("Egress", block("10.96.7.7/32"), ports=[{"port": 53}]), False),
        (letting("Egress", block("10.96.0.0/16"), ports=[{"port": 53}]), False),
        (letting("Ingress", block("10.96.0.10/32")), False),
    ],
)
def test_node_local_dns_answers_for_the_address_of_the_dns_service(new: dict[str, Any], local: bool) -> None:
    assert levels(SERVICE_IPS, Case(WORLD).says(SERVICE_IPS, new)) == [Level.WARNING]
    assert bool(Case([*WORLD, NODE_LOCAL]).says(SERVICE_IPS, new)) != local


def test_a_policy_written_for_node_local_dns() -> None:
    new = letting("Egress", block("169.254.20.10/32"), block("10.96.0.10/32"))
    assert Case(WORLD).says(SERVICE_IPS, new) == []
    ctx = Case(WORLD, complete=False).context(letting("Egress", block("10.96.0.10/32")))
    assert levels(SERVICE_IPS, list(CHECKS[SERVICE_IPS].run(ctx))) == [Level.NOTE]
    assert ctx.unknown


def test_an_engine_that_judges_before_the_translation() -> None:
    node_agent = {
        "name": "aws-eks-nodeagent",
        "image": "x/amazon/aws-network-policy-agent:v1",
        "args": ["--enable-network-policy=true"],
    }
    daemon, settings = json.loads(json.dumps(AWS))
    daemon["spec"]["template"]["spec"]["containers"].append(node_agent)
    case = Case([*WORLD, daemon, settings])
    (found,) = case.says(SERVICE_IPS, letting("Egress", block("10.96.7.7/32")))
    assert level(SERVICE_IPS, found) is Level.NOTE
    assert found.line == "10.96.7.7/32 is Service db: AWS VPC CNI sees it, other engines see its pods'"


def test_dead_rules_name_no_service() -> None:
    dead = policy("api", policyTypes=["Ingress"], egress=[{"to": [block("10.96.7.7/32")]}])
    assert Case(WORLD).says(SERVICE_IPS, dead) == []


# --- through the whole judge -----------------------------------------------------------------------------------------


def test_a_block_of_service_addresses_explains_what_is_cut_by_it() -> None:
    """CHECKS.md: a cause in a rule before its consequence in the same rule."""

    def consequence(path: str) -> Check:
        run = lambda _: iter([Finding(path, "cut")])  # noqa: E731
        return Check(
            id="dns-blocked",
            level=Level.WARNING,
            summary="s",
            rationale="r.",
            remedy="r.",
            run=run,
            judges=(NETWORK_POLICY,),
        )

    new = convert(NETWORK_POLICY, letting("Egress", block("10.96.7.7/32")))
    assert isinstance(new, NetworkPolicy)
    cluster = Cluster.of([convert(f"{o['apiVersion']}/{o['kind']}", o) for o in WORLD], complete=True)
    request = Request(uid="1", operation="CREATE", kind=NETWORK_POLICY, namespace="shop", name="np", new=new)

    def said(path: str) -> dict[str, tuple[str, ...]]:
        judge = Judge(Config(), checks=[CHECKS[SERVICE_IPS], consequence(path)])
        return {r.check: r.also for r in judge.admit(request, cluster).verdict.rulings}

    assert said("spec.egress[0]") == {SERVICE_IPS: ("dns-blocked",)}
    assert said("spec.egress[1]") == {SERVICE_IPS: (), "dns-blocked": ()}


def test_an_ordinary_policy_of_a_chart_is_told_nothing() -> None:
    """What these checks have to say of a policy after the pattern of well-known charts."""
    new = policy(
        "api",
        policyTypes=["Ingress", "Egress"],
        ingress=[{"from": [WEB, named("ingress-nginx")], "ports": HTTP}],
        egress=[
            {"to": [{**named("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}]},
            {"to": [block("0.0.0.0/0", "10.0.0.0/8", "169.254.169.254/32")], "ports": [{"port": 443}]},
            {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]},
        ],
    )
    case = Case([*WORLD, pod("web-1"), pod("controller-1", namespace="ingress-nginx"), pod("api-2", number(8080))])
    for check in (EVERYONE, HOST, AMBIENT, SERVICE_IPS):
        assert case.says(check, new) == []
