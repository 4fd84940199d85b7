"""Corner cases of the checks on traffic: names, the API server, what is let through again, twice, or to nobody."""

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.check import MOST_STEPS, Context, Disclosure, Example, Level, Operation, View
from webhook.checks import all_checks
from webhook.config import Config
from webhook.impact import impact, isolated_by
from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import NETWORK_POLICY, NODE, Namespace, Service
from webhook.model.parse import convert
from webhook.model.review import Request
from webhook.pipeline import Judge, Judgement
from webhook.reach.cidr import parse_cidr
from webhook.reach.graph import graph_of
from webhook.reach.ports import subtraction
from webhook.reach.relation import ports_of
from webhook.reach.scenario import Scenario
from webhook.state.files import FileState
from webhook.verdict import Ruling

from .test_checks import rulings
from .test_port_checks import deployment, number, pod, policy, selecting, service

CHECKS = {check.id: check for check in all_checks()}
DNS, API, UNDONE, REDUNDANT, NOBODY = (
    "dns-blocked",
    "cuts-api-server",
    "except-undone",
    "policy-redundant",
    "service-reachable-by-nobody",
)
Object = dict[str, Any]
"""An object, or a part of one, as it is written."""


# --- a world to judge in


def record(data: Object) -> Any:
    return convert(f"{data['apiVersion']}/{data['kind']}", data)


class World:
    """A cluster, and what is said when objects are sent to it one after another."""

    def __init__(self, *objects: Object, complete: bool = True, disclose: Disclosure = Disclosure.CLUSTER) -> None:
        self.cluster = Cluster.of([record(o) for o in objects], complete=complete)
        self.judge = Judge(Config(disclose=disclose))

    def admit(self, new: Object | None, old: Object | None = None) -> Judgement:
        """What is answered to a request; nothing is stored."""
        after, before = (record(o) if o else None for o in (new, old))
        shown = after or before
        request = Request(
            uid="1",
            operation="DELETE" if after is None else "UPDATE" if before else "CREATE",
            kind=shown.kind,
            namespace=shown.metadata.namespace,
            name=shown.metadata.name,
            new=after,
            old=before,
        )
        judgement = self.judge.admit(request, self.cluster)
        assert not judgement.crashes
        return judgement

    def send(self, *objects: Object) -> list[str]:
        """Applies objects one after another; returns the warnings."""
        said: list[str] = []
        for data in objects:
            found = record(data)
            known = self.cluster.get(found.kind, found.key)
            before = data if known is not None else None
            said += (r.check for r in self.admit(data, before).verdict.rulings if r.level > Level.NOTE)
            self.cluster.put(found)
        return said

    def levels(self, check: str, new: Object | None, old: Object | None = None) -> list[str]:
        return [str(r.level) for r in self.admit(new, old).verdict.rulings if r.check == check]

    def lines(self, check: str, new: Object | None, old: Object | None = None) -> list[str]:
        return [r.finding.line for r in self.admit(new, old).verdict.rulings if r.check == check]

    def unknown(self, new: Object) -> str:
        return "; ".join(u for u in self.admit(new).unknown if not u.startswith("enforcement"))

    def audit(self, check: str, data: Object) -> list[str]:
        """What is said of an object that is there."""
        found = record(data)
        self.cluster.put(found)
        return [str(r.level) for r in self.judge.audit(found, self.cluster).verdict.rulings if r.check == check]


def checked(check: str, state: Sequence[Object], *files: Object) -> dict[str, str]:
    """What `netadmit check` says of files on top of a complete state: the level by the name of the object."""
    world = FileState(complete=True)
    world.load(["-"], stdin=io.BytesIO("\n---\n".join(map(json.dumps, state)).encode()))
    reviewed = world.review(["-"], stdin=io.BytesIO("\n---\n".join(map(json.dumps, files)).encode()))
    assert not world.problems
    said: list[Ruling] = []
    for item in reviewed:
        judgement = Judge().check(item.manifest, item.judged, world.cluster)
        assert not judgement.crashes
        said += judgement.verdict.rulings
    return {r.object.name: str(r.level) for r in said if r.check == check}


def namespace(name: str, created: str = "", **labels: str) -> Object:
    meta: Object = {"name": name, "labels": labels} | ({"creationTimestamp": created} if created else {})
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}


def node(name: str, *addresses: str) -> Object:
    listed = [{"type": "InternalIP", "address": a} for a in addresses]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": listed}}


def at(data: Object, *addresses: str, node: str = "", **meta: Any) -> Object:
    """A pod that runs, with addresses."""
    status = {"phase": "Running", "podIPs": [{"ip": a} for a in addresses]}
    spec = data["spec"] | ({"nodeName": node} if node else {})
    return {**data, "metadata": data["metadata"] | meta, "spec": spec, "status": status}


def block(cidr: str, *excepted: str) -> Object:
    return {"ipBlock": {"cidr": cidr, **({"except": list(excepted)} if excepted else {})}}


def udp(port: int | str = 53) -> Object:
    return {"port": port, "protocol": "UDP"}


def tcp(port: int | str = 53) -> Object:
    return {"port": port}


def rule(*peers: Object, ports: Sequence[Object] = (), word: str = "to") -> Object:
    found: Object = {}
    if peers:
        found[word] = list(peers)
    if ports:
        found["ports"] = list(ports)
    return found


def egress(*rules: Object, app: str = "api", name: str = "np", **meta: Any) -> Object:
    found = policy(app, name, policyTypes=["Egress"], egress=list(rules))
    return {**found, "metadata": found["metadata"] | meta}


def ingress(*rules: Object, app: str = "api", name: str = "np") -> Object:
    return policy(app, name, policyTypes=["Ingress"], ingress=list(rules))


def pods(app: str, namespace_name: str = "") -> Object:
    found: Object = {"podSelector": selecting(app)}
    if namespace_name:
        found["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace_name}}
    return found


HELM = {"labels": {"app.kubernetes.io/managed-by": "Helm"}}
CALICO: Object = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "calico-node", "namespace": "kube-system"},
    "spec": {
        "template": {
            "metadata": {"labels": {"k8s-app": "calico-node"}},
            "spec": {
                "hostNetwork": True,
                "containers": [{"name": "calico-node", "image": "quay.io/calico/node:v3.30.0"}],
            },
        }
    },
}
FLANNEL: Object = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "kube-flannel-ds", "namespace": "kube-flannel"},
    "spec": {
        "template": {
            "metadata": {"labels": {"app": "flannel"}},
            "spec": {
                "hostNetwork": True,
                "containers": [{"name": "kube-flannel", "image": "ghcr.io/flannel-io/flannel:v0.27.4"}],
            },
        }
    },
    "status": {"desiredNumberScheduled": 1, "numberReady": 1},
}


def admin(name: str, action: str, *ports: Object, direction: str = "egress") -> Object:
    """A ClusterNetworkPolicy over all pods, about all of them."""
    everyone: Object = {"namespaces": {}}
    protocols = [{port.get("protocol", "TCP"): {"destinationPort": {"number": port["port"]}}} for port in ports]
    listed = [{p.lower(): how} for each in protocols for p, how in each.items()]
    one: Object = {"action": action, {"egress": "to", "ingress": "from"}[direction]: [everyone]}
    if listed:
        one["protocols"] = listed
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, direction: [one]},
    }


# --- dns-blocked: sequences

KUBE_DNS: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
    "spec": {
        "clusterIP": "10.96.0.10",
        "selector": {"k8s-app": "kube-dns"},
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}],
    },
}
CORE_DNS = at(
    pod("coredns-1", number(53, "UDP", "dns"), number(53, "TCP", "dns-tcp"), namespace="kube-system"),
    "10.244.0.2",
    labels={"k8s-app": "kube-dns"},
)
CLUSTER_DNS = (namespace("kube-system"), KUBE_DNS, CORE_DNS)
SHOP = (
    namespace("shop"),
    at(pod("api-1"), "10.244.1.1"),
    at(pod("db-0"), "10.244.1.2"),
    service("db", {"port": 5432}),
)
WHOLE = (*CLUSTER_DNS, *SHOP)
TO_DNS = rule({"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}, ports=[udp(), tcp()])
TO_DB = rule(pods("db"), ports=[tcp(5432)])
PARTNER = block("192.0.2.1/32")
DENY = egress(app="", name="default-deny")
ALLOW_DNS = egress(TO_DNS, app="", name="allow-dns")
ALLOW_DB = egress(TO_DB, name="allow-db")


@pytest.mark.parametrize(
    ("sent", "warned"),
    [
        pytest.param([DENY], [], id="all denied, in so many words"),
        pytest.param([DENY, ALLOW_DNS, ALLOW_DB], [], id="closed, then opened as far as needed"),
        pytest.param([ALLOW_DNS, ALLOW_DB, DENY], [], id="in another order"),
        pytest.param([DENY, ALLOW_DB], [DNS], id="the rule for DNS forgotten"),
        pytest.param([ALLOW_DB, DENY], [DNS], id="told once: what denies all says so itself"),
        pytest.param([ALLOW_DNS, ALLOW_DB, ALLOW_DB, DENY, DENY], [], id="applied again"),
        pytest.param([egress({}, app="", name="all"), ALLOW_DB], [], id="everything is allowed by another one"),
    ],
)
def test_policies_sent_one_after_another(sent: list[Object], warned: list[str]) -> None:
    assert World(*WHOLE).send(*sent) == warned


@pytest.mark.parametrize("files", [(DENY, ALLOW_DNS, ALLOW_DB), (ALLOW_DB, DENY, ALLOW_DNS), (ALLOW_DB, ALLOW_DNS)])
def test_files_that_allow_it_together(files: Sequence[Object]) -> None:
    assert checked(DNS, WHOLE, *files) == {}


def test_files_that_forget_it() -> None:
    assert checked(DNS, WHOLE, DENY, ALLOW_DB) == {"default-deny": "note", "allow-db": "warning"}
    assert checked(DNS, (*WHOLE, DENY), ALLOW_DB) == {"allow-db": "warning"}
    assert checked(DNS, (*WHOLE, ALLOW_DNS), ALLOW_DB) == {}


def test_templates_stand_for_pods_to_come() -> None:
    files = (deployment("api"), deployment("db"), service("db", {"port": 5432}), ALLOW_DB)
    assert checked(DNS, CLUSTER_DNS, *files) == {"allow-db": "warning"}
    world = World(*CLUSTER_DNS, deployment("api"), deployment("db"), service("db", {"port": 5432}))
    [line] = world.lines(DNS, ALLOW_DB)
    assert line.startswith("DNS fails in Deployment/api; ")


def test_audit_says_what_is_there() -> None:
    assert World(*WHOLE, DENY).audit(DNS, ALLOW_DB) == ["warning"]
    assert World(*WHOLE, DENY, ALLOW_DNS).audit(DNS, ALLOW_DB) == []
    assert World(*WHOLE).audit(DNS, DENY) == ["note"]


def test_helm_sends_the_rule_for_dns_in_another_policy_after_it() -> None:
    world, new = World(*WHOLE), egress(TO_DB, **HELM)
    assert world.levels(DNS, new) == ["note"]
    assert world.levels(DNS, new, egress(TO_DNS, **HELM)) == ["note"]
    assert world.levels(DNS, new, egress(TO_DB, rule(PARTNER, ports=[tcp(443)]), **HELM)) == ["warning"], (
        "it had its time"
    )


@pytest.mark.parametrize(
    ("made", "sent", "level"),
    [
        ("2026-01-01T10:00:00Z", "2026-01-01T10:04:59Z", "note"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:05:00Z", "warning"),
        ("2026-01-01T10:00:00Z", "2026-01-01T09:59:59Z", "note"),
        ("2026-01-01T10:00:00Z", None, "warning"),
        ("", "2026-01-01T10:00:00Z", "warning"),
        ("2026-01-01", "2026-01-01", "warning"),
        ("yesterday", "today", "warning"),
    ],
)
def test_a_namespace_that_is_being_filled(made: str, sent: str | None, level: str) -> None:
    world = World(*CLUSTER_DNS, *SHOP[1:], namespace("shop", made))
    new = egress(TO_DB, **({"creationTimestamp": sent} if sent else {}))
    assert world.levels(DNS, new) == [level]
    assert world.levels(DNS, new, ALLOW_DNS) == ["warning"], "an update comes when it is filled"


def test_the_shell_s_clock_tells_the_age_where_the_object_has_none() -> None:
    world = World(*CLUSTER_DNS, *SHOP[1:], namespace("shop", "2026-01-01T10:00:00Z"))
    seconds = 1767261600.0  # then
    for later, level in ((299, "note"), (300, "warning")):
        world.judge = Judge(clock=lambda later=later: seconds + later)  # type: ignore[misc]
        assert world.levels(DNS, ALLOW_DB) == [level]


# --- dns-blocked: who is concerned, and by whose doing


def test_only_those_who_cannot_ask_are_counted() -> None:
    web = at(pod("web-1"), "10.244.1.3")
    world = World(*WHOLE, web, egress(TO_DNS, app="web", name="dns-web"))
    [line] = world.lines(DNS, egress(TO_DB, app=""))
    assert line.startswith("DNS fails in 2 workloads; ")


def test_the_policy_that_needs_names_is_told_not_every_other_one() -> None:
    world = World(*WHOLE, ALLOW_DB)
    assert world.levels(DNS, egress(rule(PARTNER, ports=[tcp(443)]), name="partner")) == []
    before = egress(TO_DNS, name="partner")
    assert world.levels(DNS, egress(rule(PARTNER, ports=[tcp(443)]), name="partner"), before) == ["warning"]


def test_the_cluster_dns_asks_nobody_in_the_cluster() -> None:
    own = egress(rule(pods("coredns"), ports=[tcp(9153)]), app="coredns")
    own["metadata"]["namespace"] = "kube-system"
    own["spec"]["podSelector"] = {"matchLabels": {"k8s-app": "kube-dns"}}
    world = World(*WHOLE, at(pod("coredns-x", namespace="kube-system"), "10.244.0.9"))
    assert world.levels(DNS, own) == []


def test_no_policy_binds_pods_of_the_host_network() -> None:
    world = World(*CLUSTER_DNS, namespace("shop"), pod("api-1", hostNetwork=True), *SHOP[2:])
    assert world.levels(DNS, ALLOW_DB) == []


def test_the_cluster_dns_may_be_named_to_tenants() -> None:
    [line] = World(*WHOLE, disclose=Disclosure.NAMESPACE).lines(DNS, ALLOW_DB)
    assert line.endswith("allow UDP/TCP 53 to kube-system k8s-app=kube-dns")


@pytest.mark.parametrize(
    ("allowed", "needed"),
    [
        pytest.param(rule(pods("db"), ports=[tcp(5432)]), True, id="a Service's port"),
        pytest.param(rule(pods("db")), True, id="every port"),
        pytest.param(rule(pods("db"), ports=[tcp(9187)]), False, id="a port that no Service leads to"),
        pytest.param(rule(pods("api")), False, id="pods that no Service fronts"),
        pytest.param(rule(pods("nobody")), False, id="nobody yet"),
        pytest.param(rule(PARTNER, ports=[tcp(443)]), False, id="one address"),
        pytest.param(rule(block("2001:db8::1/128"), ports=[tcp(443)]), False, id="one address of IPv6"),
        pytest.param(rule(block("192.0.2.0/31"), ports=[tcp(443)]), True, id="two addresses"),
        pytest.param(rule(block("0.0.0.0/0", "10.0.0.0/8"), ports=[tcp(443)]), True, id="the outside"),
        pytest.param(rule(ports=[tcp(443)]), True, id="everybody, on one port"),
        pytest.param(rule(ports=[tcp("https")]), False, id="a named port, which nobody has"),
        pytest.param(rule(block("10.244.1.0/24"), ports=[tcp(5432)]), True, id="pods by address"),
        pytest.param(rule({"namespaceSelector": {}}, ports=[tcp(5432)]), True, id="every namespace"),
    ],
)
def test_who_needs_names(allowed: Object, needed: bool) -> None:
    assert World(*WHOLE).levels(DNS, egress(allowed)) == (["warning"] if needed else [])


@pytest.mark.parametrize("kind", ["headless", "named", "ExternalName", "without selector"])
def test_which_services_count(kind: str) -> None:
    spec: Object = {
        "headless": {"clusterIP": "None"},
        "ExternalName": {"type": "ExternalName", "externalName": "db.example.com"},
        "without selector": {"selector": {}},
    }.get(kind, {})
    target: Object = {"port": 80, "targetPort": "sql"} if kind == "named" else {"port": 5432}
    found = service("db", target, **spec)
    world = World(*CLUSTER_DNS, namespace("shop"), pod("api-1"), pod("db-0", number(5432, "TCP", "sql")), found)
    assert world.levels(DNS, ALLOW_DB) == (["warning"] if kind in ("headless", "named") else [])


# --- dns-blocked: the ways to ask


@pytest.mark.parametrize(
    ("allowed", "asked"),
    [
        pytest.param(rule(pods("", "kube-system"), ports=[udp(), tcp()]), True, id="its namespace"),
        pytest.param(
            rule({"namespaceSelector": {}}, ports=[udp("dns"), tcp("dns-tcp")]), True, id="by the port's name"
        ),
        pytest.param(rule(ports=[{"port": 50, "endPort": 60, "protocol": "UDP"}, tcp()]), True, id="a range"),
        pytest.param(rule({"namespaceSelector": {}}, ports=[{"protocol": "UDP"}, tcp()]), True, id="all of UDP"),
        pytest.param(rule(block("10.244.0.2/32"), ports=[udp(), tcp()]), True, id="the pod's address"),
        pytest.param(rule(block("1.1.1.1/32"), ports=[udp(), tcp()]), True, id="another resolver"),
        pytest.param(rule(block("2606:4700:4700::1111/128"), ports=[udp(), tcp()]), True, id="one of IPv6"),
        pytest.param(rule(block("0.0.0.0/0", "10.0.0.0/8"), ports=[udp(), tcp()]), True, id="any other resolver"),
        pytest.param(rule(pods("", "shop"), ports=[udp(), tcp()]), False, id="another namespace"),
        pytest.param(rule(pods("kube-dns"), ports=[udp(), tcp()]), False, id="without a namespaceSelector"),
        pytest.param(rule({"namespaceSelector": {}}, ports=[tcp()]), False, id="TCP only"),
        pytest.param(rule({"namespaceSelector": {}}, ports=[udp(5353)]), False, id="another port"),
        pytest.param(rule({"namespaceSelector": {}}, ports=[udp("domain")]), False, id="another name"),
    ],
)
def test_who_may_ask(allowed: Object, asked: bool) -> None:
    """The check alone: what explains it is not asked."""
    found = list(CHECKS[DNS].run(context(World(*WHOLE), egress(TO_DB, allowed))))
    assert [f.level for f in found] == ([] if asked else [Level.WARNING])


def context(world: World, new: Object | None, old: Object | None = None, view: View = View.ADMISSION) -> Context:
    after, before = (record(o) if o else None for o in (new, old))
    operation = Operation.DELETE if after is None else Operation.UPDATE if before else Operation.CREATE
    return Context(operation, after or before, world.cluster, old=before, view=view)


def test_udp_alone_is_told_to_the_policy_that_lets_it() -> None:
    half = rule({"namespaceSelector": {}}, ports=[udp()])
    assert World(*WHOLE).levels(DNS, egress(TO_DB, half)) == ["note"]
    assert World(*WHOLE).levels(DNS, egress(rule(ports=[udp()]))) == ["note"], "to everybody"
    assert World(*WHOLE, egress(half, name="dns")).levels(DNS, ALLOW_DB) == []
    assert World(*WHOLE, egress(rule(ports=[tcp()]), name="tcp")).levels(DNS, egress(half)) == []


def test_of_two_dns_services_either_will_do() -> None:
    other = json.loads(json.dumps(KUBE_DNS).replace("kube-dns", "coredns").replace("10.96.0.10", "10.96.0.11"))
    server = at(pod("other-1", namespace="kube-system"), "10.244.0.3", labels={"k8s-app": "coredns"})
    allowed = rule(
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "coredns"}}}, ports=[udp(), tcp()]
    )
    assert World(*WHOLE, other, server).levels(DNS, egress(TO_DB, allowed)) == []
    assert World(*WHOLE, other, server).levels(DNS, ALLOW_DB) == ["warning"]


def test_servers_that_are_no_pods_are_reached_by_address() -> None:
    found: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-x",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["100.64.0.53"]}],
        "ports": [{"name": "dns", "port": 8053, "protocol": "UDP"}, {"name": "dns-tcp", "port": 8053}],
    }
    world = World(namespace("kube-system"), KUBE_DNS, found, *SHOP)
    assert world.levels(DNS, egress(TO_DB, rule(block("100.64.0.0/16"), ports=[udp(8053), tcp(8053)]))) == []
    [line] = world.lines(DNS, egress(TO_DB, rule(block("100.65.0.0/16"), ports=[udp(8053), tcp(8053)])))
    assert "allow UDP/TCP 8053 to kube-system" in line


def test_servers_of_both_families_are_reached_by_either() -> None:
    server = at(CORE_DNS, "10.244.0.2", "fd00::2")
    client = at(pod("api-1"), "10.244.1.1", "fd00::1:1")
    world = World(namespace("kube-system"), KUBE_DNS, server, namespace("shop"), client, *SHOP[2:])
    for address in ("10.244.0.2/32", "fd00::2/128"):
        assert world.levels(DNS, egress(TO_DB, rule(block(address), ports=[udp(), tcp()]))) == []
    assert world.levels(DNS, ALLOW_DB) == ["warning"]


def service_range(cidr: str) -> Object:
    meta = {"name": "kubernetes"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": meta, "spec": {"cidrs": [cidr]}}


@pytest.mark.parametrize("cidr", ["10.96.0.10/32", "10.96.0.0/16"])
def test_the_address_of_the_dns_service(cidr: str) -> None:
    """Most engines see what it stands for; some see it; of an engine that is not known nobody can tell."""
    new = egress(TO_DB, rule(block(cidr), ports=[udp(), tcp()]))
    known = (*WHOLE, service_range("10.96.0.0/12"))
    assert [f.level for f in CHECKS[DNS].run(context(World(*known, CALICO), new))] == [Level.WARNING]
    assert World(*known).levels(DNS, new) == []
    assert "depends on an engine" in World(*known).unknown(new)


def test_servers_in_the_host_network_are_no_certain_thing() -> None:
    server = at(
        pod("coredns-1", namespace="kube-system", hostNetwork=True), "172.18.0.2", labels={"k8s-app": "kube-dns"}
    )
    world = World(namespace("kube-system"), KUBE_DNS, server, *SHOP)
    assert world.levels(DNS, egress(TO_DB, TO_DNS)) == []
    assert "depends on an engine" in world.unknown(egress(TO_DB, TO_DNS))
    assert world.levels(DNS, egress(TO_DB, rule(block("172.18.0.0/16"), ports=[udp(), tcp()]))) == []


def node_local(*addresses: str, host_network: bool = True) -> Object:
    container = {"name": "node-cache", "image": "k8s-dns-node-cache:1", "args": ["-localip", ",".join(addresses)]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "node-local-dns", "namespace": "kube-system"},
        "spec": {
            "template": {
                "metadata": {"labels": {"k8s-app": "node-local-dns"}},
                "spec": {"hostNetwork": host_network, "containers": [container]},
            }
        },
    }


def test_node_local_dns_is_reached_by_its_address_or_as_ever() -> None:
    world = World(*WHOLE, node_local("169.254.20.10"), CALICO)
    by_address = rule(block("169.254.20.10/32"), ports=[udp(), tcp()])
    assert world.levels(DNS, egress(TO_DB, by_address)) == []
    assert world.levels(DNS, egress(TO_DB, TO_DNS)) == []
    [line] = world.lines(DNS, ALLOW_DB)
    assert line.endswith("allow UDP/TCP 53 to ipBlock 169.254.20.10/32 (NodeLocal DNSCache)")


def test_administrators_go_before() -> None:
    allows = World(*WHOLE, admin("names", "Accept", udp(), tcp()))
    assert allows.levels(DNS, ALLOW_DB) == []
    denies = World(*WHOLE, admin("no-names", "Deny", udp(), tcp()))
    assert denies.levels(DNS, egress(TO_DB, TO_DNS)) == [], "no rule of this policy mends that"
    assert denies.levels(DNS, ALLOW_DB) == ["warning"]
    assert World(*WHOLE, admin("no-db", "Deny", tcp(5432))).levels(DNS, ALLOW_DB) == [], "then it needs no name"


# --- dns-blocked: what is not known, and what explains it


def test_a_dns_that_is_not_found_is_said_once_it_matters() -> None:
    world = World(*SHOP)
    assert world.levels(DNS, ALLOW_DB) == []
    assert "cluster DNS: not found" in world.unknown(ALLOW_DB)
    for harmless in (egress(TO_DB, TO_DNS), egress(rule(pods("db"))), egress({}), egress(), egress(TO_DB, app="x")):
        assert world.unknown(harmless) == ""


def test_policies_or_labels_that_are_not_known_lower_it() -> None:
    world = World(*WHOLE)
    world.cluster.know(NETWORK_POLICY, Completeness.PARTIAL)
    assert world.levels(DNS, ALLOW_DB) == ["note"]
    assert "policies: not all are known" in world.unknown(ALLOW_DB)
    unlabelled = World(*CLUSTER_DNS[1:], *SHOP)
    assert unlabelled.levels(DNS, ALLOW_DB) == ["warning"], "then it is certainly not there"
    unlabelled.cluster.know("v1/Namespace", Completeness.PARTIAL)
    assert unlabelled.levels(DNS, ALLOW_DB) == ["note"]
    assert "namespaces: the labels" in unlabelled.unknown(ALLOW_DB)


@pytest.mark.parametrize("check", [DNS, API, NOBODY])
def test_nothing_is_cut_where_nothing_is_enforced(check: str) -> None:
    objects = (*WHOLE, *API_SERVER, BINDING, node("node-1"), FLANNEL, ingress(rule(ports=[tcp(1)]), app="db"))
    assert World(*objects).levels(check, service("db", {"port": 5432}) if check == NOBODY else egress(TO_DB)) == []


@pytest.mark.parametrize(
    ("new", "cause"),
    [
        pytest.param(
            egress(TO_DB, rule({"namespaceSelector": {"matchLabels": {"name": "kube-system"}}}, ports=[udp(), tcp()])),
            "namespace-not-found",
            id="a label that no namespace has",
        ),
        pytest.param(egress(TO_DB, rule({"namespaceSelector": {}}, ports=[tcp()])), "tcp-only-port", id="TCP only"),
        pytest.param(
            egress(
                TO_DB,
                rule(
                    {"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dsn"}}},
                    ports=[udp(), tcp()],
                ),
            ),
            "peer-matches-nothing",
            id="a label misspelt",
        ),
        pytest.param(
            egress(TO_DB, rule(pods("", "kube-system"), ports=[udp("dsn"), tcp("dns-tcp")])),
            "named-port-unresolved",
            id="a port's name misspelt",
        ),
    ],
)
def test_a_mistake_in_the_rule_for_dns_has_the_voice(new: Object, cause: str) -> None:
    said = [r for r in World(*WHOLE).admit(new).verdict.rulings if r.level > Level.NOTE]
    assert [(r.check, DNS in r.also) for r in said] == [(cause, True)]


def test_a_mistake_in_another_rule_has_another_voice() -> None:
    elsewhere = rule({"namespaceSelector": {"matchLabels": {"name": "kube-system"}}}, ports=[tcp(8443)])
    said = [r.check for r in World(*WHOLE).admit(egress(TO_DB, elsewhere)).verdict.rulings if r.level > Level.NOTE]
    assert sorted(said) == [DNS, "namespace-not-found"]


def test_rules_without_their_type_explain_what_they_do_not_let_through() -> None:
    dead = policy("api", "np", policyTypes=["Ingress"], egress=[TO_DNS])
    said = World(*WHOLE, egress(TO_DB, name="allow-db")).admit(dead, egress(TO_DNS)).verdict.rulings
    assert "rules-without-policy-type" in [r.check for r in said]
    assert DNS not in [r.check for r in said if r.level > Level.NOTE]


# --- cuts-api-server

API_SERVER: Sequence[Object] = (
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]},
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["172.18.0.2", "172.18.0.3"]}],
        "ports": [{"name": "https", "port": 6443}],
    },
    node("cp-1", "172.18.0.2"),
    node("cp-2", "172.18.0.3"),
    node("worker", "172.18.0.9"),
)


def binding(*subjects: Object, role: str = "operator", kind: str = "RoleBinding") -> Object:
    meta = {"name": "b"} | ({"namespace": "shop"} if kind == "RoleBinding" else {})
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": list(subjects),
    }


def account(name: str) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": "shop"}


def group(name: str) -> Object:
    return {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name}


BINDING = binding(account("api"))
CALLER = at(pod("api-1", serviceAccountName="api"), "10.244.1.1", node="worker")
OPS = (*API_SERVER, BINDING, CALLER)
NAMES_ONLY = egress(rule(ports=[udp(), tcp()]))


@pytest.mark.parametrize(
    ("found", "level"),
    [
        pytest.param(binding(account("api")), "warning", id="a RoleBinding"),
        pytest.param(binding(account("api"), kind="ClusterRoleBinding"), "warning", id="a ClusterRoleBinding"),
        pytest.param(binding(account("other")), "", id="another account's"),
        pytest.param(binding(group("system:serviceaccounts"), kind="ClusterRoleBinding"), "", id="all accounts'"),
        pytest.param(binding(group("system:serviceaccounts:shop")), "", id="all accounts' of the namespace"),
        pytest.param(binding(account("api"), role="system:openshift:scc:anyuid"), "", id="a security context"),
        pytest.param(binding(account("api"), role="prometheus-psp"), "", id="a pod security policy"),
        pytest.param(binding(account("api"), role="psp:restricted"), "", id="one by its usual name"),
        pytest.param(binding(account("api"), role="upsploader"), "warning", id="a role that only sounds so"),
    ],
)
def test_whose_pods_call_the_api_server(found: Object, level: str) -> None:
    assert World(*API_SERVER, CALLER, found).levels(API, NAMES_ONLY) == ([level] if level else [])


def test_the_default_account_counts_where_it_is_bound() -> None:
    plain = at(pod("api-1"), "10.244.1.1", node="worker")
    assert World(*API_SERVER, plain, binding(account("default"))).levels(API, NAMES_ONLY) == ["warning"]
    unread = World(*API_SERVER, plain)
    unread.cluster.know("rbac.authorization.k8s.io/v1/RoleBinding", Completeness.ABSENT)
    assert unread.levels(API, NAMES_ONLY) == [], "nobody knows, and hardly any pod of it calls"


def test_bindings_that_are_not_known_make_it_a_note() -> None:
    world = World(*API_SERVER, CALLER)
    world.cluster.know("rbac.authorization.k8s.io/v1/ClusterRoleBinding", Completeness.ABSENT)
    [finding] = CHECKS[API].run(context(world, NAMES_ONLY))
    assert finding.level is Level.NOTE
    assert "ServiceAccount api may have rights there" in finding.detail
    world.cluster.put(record(BINDING))
    assert world.levels(API, NAMES_ONLY) == ["warning"], "what is found counts"


@pytest.mark.parametrize(
    ("allowed", "cut"),
    [
        pytest.param(rule(block("172.18.0.3/32"), ports=[tcp(6443)]), False, id="one of its addresses"),
        pytest.param(rule(block("172.18.0.0/16")), False, id="its network"),
        pytest.param(rule(ports=[{"port": 6000, "endPort": 7000}]), False, id="its port, to everybody"),
        pytest.param(rule(block("0.0.0.0/0"), ports=[tcp(443)]), True, id="the Service's port, to everybody"),
        pytest.param(rule(block("10.96.0.0/12"), ports=[tcp(443)]), True, id="the range of Services"),
        pytest.param(rule({"namespaceSelector": {}}), True, id="every pod"),
        pytest.param(rule(block("172.18.0.0/16", "172.18.0.0/30")), True, id="its addresses excepted"),
        pytest.param(rule(block("172.18.0.2/32"), ports=[udp(6443)]), True, id="another protocol"),
    ],
)
def test_the_way_to_the_api_server(allowed: Object, cut: bool) -> None:
    found = list(CHECKS[API].run(context(World(*OPS), egress(allowed))))
    assert [f.level for f in found] == ([Level.WARNING] if cut else [])


def test_the_address_of_its_service() -> None:
    new = egress(rule(block("10.96.0.1/32"), ports=[tcp(443)]))
    assert World(*OPS).levels(API, new) == [], "of an engine that is not known nobody can tell"
    said = [r for r in World(*OPS, CALICO).admit(new).verdict.rulings if r.level > Level.NOTE]
    assert [(r.check, API in r.also) for r in said] == [("ipblock-covers-service-ips", True)]


def test_endpoints_that_are_not_known_are_said() -> None:
    world = World(BINDING, CALLER)
    assert world.levels(API, NAMES_ONLY) == []
    assert "API server: its endpoints are not known" in world.unknown(NAMES_ONLY)
    assert World(CALLER).unknown(NAMES_ONLY) == ""


def test_tenants_are_not_told_where_the_control_plane_is() -> None:
    told, untold = (
        World(*OPS, disclose=d).lines(API, NAMES_ONLY)[0] for d in (Disclosure.CLUSTER, Disclosure.NAMESPACE)
    )
    assert told.endswith("allow TCP 6443 to 172.18.0.2/32, 172.18.0.3/32")
    assert untold.endswith("allow TCP 6443 to its endpoints")


def test_where_every_node_is_a_control_plane_nobody_is_cut_off() -> None:
    single = [o for o in API_SERVER if o["metadata"]["name"] != "worker"]
    template = deployment("api", serviceAccountName="api")
    assert World(*single, BINDING, template).levels(API, NAMES_ONLY) == []
    assert World(*API_SERVER, BINDING, template).levels(API, NAMES_ONLY) == ["warning"]
    without_nodes = [o for o in API_SERVER if o["kind"] != "Node"]
    assert World(*without_nodes, BINDING, template).levels(API, NAMES_ONLY) == ["warning"]


def test_only_the_policy_that_cuts_is_told() -> None:
    other = egress(TO_DB, name="db")
    assert World(*OPS).send(NAMES_ONLY, other) == [API]
    assert World(*OPS).send(DENY, NAMES_ONLY) == [], "that was the one that says it denies all"
    assert World(*OPS).audit(API, NAMES_ONLY) == ["warning"]
    assert World(*OPS, DENY).audit(API, NAMES_ONLY) == [], "it would be cut off without it, too"
    assert checked(API, OPS, DENY, NAMES_ONLY) == {"default-deny": "note", "np": "warning"}
    assert checked(API, (*OPS, DENY), NAMES_ONLY) == {}


def test_a_policy_that_lets_go_of_the_others_cuts_off_these() -> None:
    wide = rule(block("172.18.0.0/16"), ports=[tcp(6443)])
    world = World(
        *OPS, egress(wide, app="web", name="other"), at(pod("web-1", serviceAccountName="api"), node="worker")
    )
    [line] = world.lines(API, egress(rule(ports=[tcp(53)]), app=""), egress(app="nobody"))
    assert line.startswith("cuts Pod/api-1 off the API server")


def test_policies_that_are_not_known_may_lead_there() -> None:
    world = World(*OPS)
    world.cluster.know(NETWORK_POLICY, Completeness.PARTIAL)
    assert world.levels(API, NAMES_ONLY) == ["note"]
    assert "policies: not all are known" in world.unknown(NAMES_ONLY)


def test_administrators_may_lead_there() -> None:
    assert World(*OPS, admin("x", "Deny", tcp(6443))).levels(API, NAMES_ONLY) == ["warning"], "pods, not addresses"


# --- except-undone


@pytest.mark.parametrize(
    ("rules", "undone"),
    [
        pytest.param([rule(block("10.0.0.0/8", "10.1.0.0/16"))], [], id="alone"),
        pytest.param([rule(block("10.0.0.0/8", "10.1.0.0/16"))] * 2, [], id="twice the same"),
        pytest.param(
            [rule(block("10.0.0.0/8", "10.1.0.0/16")), rule(block("10.1.0.0/16"))], ["10.1.0.0/16"], id="itself"
        ),
        pytest.param([rule(block("10.0.0.0/8", "10.1.0.0/16")), rule(block("10.1.0.0/17"))], [], id="a half of it"),
        pytest.param(
            [rule(block("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16")), rule(block("10.2.0.0/15"))],
            ["10.2.0.0/16"],
            id="one of two",
        ),
        pytest.param(
            [rule(block("10.0.0.0/8", "10.1.0.0/16"), ports=[tcp(80)]), rule(ports=[tcp(80), udp()])],
            ["10.1.0.0/16"],
            id="the same port, to everybody",
        ),
        pytest.param(
            [rule(block("10.0.0.0/8", "10.1.0.0/16"), ports=[tcp(80), tcp(443)]), rule(ports=[tcp(80)])],
            [],
            id="one of its ports",
        ),
        pytest.param(
            [
                rule(block("10.0.0.0/8", "10.1.0.0/16"), ports=[tcp(80), tcp(443)]),
                rule(ports=[tcp(80)]),
                rule(block("10.0.0.0/8"), ports=[{"port": 400, "endPort": 500}]),
            ],
            ["10.1.0.0/16"],
            id="its ports, by two rules",
        ),
        pytest.param(
            [rule(block("10.0.0.0/8", "10.1.0.0/16")), rule(block("10.1.0.0/16"), ports=[{"protocol": "TCP"}])],
            [],
            id="TCP only",
        ),
        pytest.param(
            [
                rule(block("10.0.0.0/8", "10.1.0.0/16")),
                rule(ports=[{"protocol": p} for p in ("TCP", "UDP", "SCTP")]),
            ],
            ["10.1.0.0/16"],
            id="all protocols",
        ),
        pytest.param([rule(block("2001:db8::/32", "2001:db8:1::/48")), rule(block("0.0.0.0/0"))], [], id="one family"),
        pytest.param(
            [rule(block("2001:db8::/32", "2001:db8:1::/48")), rule(block("::/0"))], ["2001:db8:1::/48"], id="IPv6"
        ),
        pytest.param([rule(block("10.0.0.0/8", "nonsense")), {}], [], id="no CIDR"),
        pytest.param(
            [rule(block("10.0.0.0/8", "10.1.0.0/16"), ports=[tcp("http")]), {}],
            [],
            id="egress by name: nobody is let out",
        ),
    ],
)
def test_what_is_excepted_and_let_through_again(rules: list[Object], undone: list[str]) -> None:
    found = list(CHECKS[UNDONE].run(context(World(), egress(*rules))))
    assert [f.value for f in found] == undone
    assert all(f.path.startswith("spec.egress[0].to[0].ipBlock.except[") for f in found)


def test_named_ports_of_ingress_are_the_same_only_by_name() -> None:
    def lines(*rules: Object) -> list[str]:
        return [f.line for f in CHECKS[UNDONE].run(context(World(), ingress(*rules)))]

    excepting = rule(block("10.0.0.0/8", "10.1.0.0/16"), ports=[tcp("http")], word="from")
    assert lines(excepting, rule(ports=[tcp("http"), tcp(1)])) == [
        "except 10.1.0.0/16 is undone by ingress[1]; except it there"
    ]
    assert lines(excepting, rule(ports=[tcp(80)])) == []
    assert len(lines(excepting, {})) == 1


@pytest.mark.parametrize(
    ("selector", "others", "undone"),
    [
        pytest.param("api", "", True, id="all pods"),
        pytest.param("api", "api", True, id="the same pods"),
        pytest.param("", "api", False, id="some of them"),
        pytest.param("api", "web", False, id="others"),
        pytest.param("", "web", True, id="all that there are"),
    ],
)
def test_other_policies_of_the_same_pods(selector: str, others: str, undone: bool) -> None:
    state = [egress({}, app=others, name="wide"), pod("web-1")]
    state += [pod("api-1")] if selector == "api" or others == "api" else []
    new = egress(rule(block("0.0.0.0/0", "169.254.169.254/32")), app=selector)
    assert bool(list(CHECKS[UNDONE].run(context(World(*state), new)))) is undone


def test_another_direction_lets_nothing_through() -> None:
    wide = policy("", "wide", policyTypes=["Ingress"], ingress=[{}], egress=[{}])
    new = egress(rule(block("0.0.0.0/0", "169.254.169.254/32")))
    assert not list(CHECKS[UNDONE].run(context(World(wide, pod("api-1")), new)))
    dead = policy("api", policyTypes=["Ingress"], egress=[rule(block("0.0.0.0/0", "169.254.169.254/32")), {}])
    assert not list(CHECKS[UNDONE].run(context(World(pod("api-1")), dead)))


BLOCKS = st.sampled_from(["10.0.0.0/28", "10.0.0.0/29", "10.0.0.8/29", "10.0.0.0/30", "10.0.0.4/30", "10.0.0.12/30"])
PORTS = st.lists(
    st.sampled_from([tcp(80), udp(53), {"protocol": "TCP"}, {"port": 70, "endPort": 90}, {"protocol": "UDP"}]),
    max_size=3,
)


@st.composite
def egress_rules(draw: st.DrawFn) -> list[Object]:
    found = []
    for _ in range(draw(st.integers(1, 4))):
        peers = [
            block(
                "10.0.0.0/28",
                *draw(st.lists(st.sampled_from(["10.0.0.0/30", "10.0.0.4/30", "10.0.0.8/29"]), max_size=2)),
            )
            if draw(st.booleans())
            else block(draw(BLOCKS))
            for _ in range(draw(st.integers(0, 2)))
        ]
        found.append(rule(*peers, ports=draw(PORTS)))
    return found


@settings(max_examples=150, deadline=None)
@given(egress_rules(), egress_rules())
def test_except_is_undone_just_when_the_engine_lets_it_all_through(own: list[Object], others: list[Object]) -> None:
    world = World(pod("api-1"), egress(*others, name="others"))
    new = egress(*own)
    said = {f.path for f in CHECKS[UNDONE].run(context(world, new))}
    world.cluster.put(record(new))
    graph = graph_of(world.cluster)
    [cell] = graph.cells_in("shop")
    row = Scenario(graph).row(cell, "Egress")
    expected = set()
    for i, written in enumerate(own):
        ports = ports_of(Scenario(graph).allowed_by((only(written),), cell, "Egress"), graph.atom_at(0).number)
        for j, peer in enumerate(written.get("to", [])):
            for k, cidr in enumerate(peer["ipBlock"].get("except", [])):
                first, last = parse_cidr(cidr) or (0, 0)
                atoms = {graph.atom_at(address).number for address in range(first, last + 1)}
                if all(not subtraction(ports, ports_of(row, atom)) for atom in atoms):
                    expected.add(f"spec.egress[{i}].to[{j}].ipBlock.except[{k}]")
    assert said == expected


def only(written: Object) -> Any:
    """A policy with the ports of a rule, to everybody."""
    from webhook.reach.policy import PeerTable, compile_policy  # noqa: PLC0415

    return compile_policy(record(egress({k: v for k, v in written.items() if k == "ports"})), PeerTable())


# --- policy-redundant


@pytest.mark.parametrize("example", CHECKS[REDUNDANT].good, ids=lambda e: e.title)
def test_the_good_examples_of_a_note_are_silent_altogether(example: Example) -> None:
    assert [r.line for r in rulings(example) if r.check == REDUNDANT] == []


FROM_WEB = rule(pods("web"), ports=[tcp(8080)], word="from")
FROM_ALL = rule({"podSelector": {}}, word="from")
TWO = (pod("api-1"), pod("web-1"))


@pytest.mark.parametrize(
    ("state", "new", "redundant"),
    [
        pytest.param([ingress(FROM_WEB, name="same")], ingress(FROM_WEB), True, id="the same twice"),
        pytest.param([ingress({}, name="open")], ingress(FROM_WEB), True, id="everything is allowed"),
        pytest.param([ingress(FROM_ALL, app="web", name="x")], ingress(FROM_WEB), False, id="other pods"),
        pytest.param(
            [ingress(FROM_ALL, app="", name="x")],
            policy("api", policyTypes=["Ingress", "Egress"], ingress=[FROM_WEB], egress=[{}]),
            False,
            id="it isolates egress, too",
        ),
        pytest.param(
            [ingress(FROM_ALL, app="", name="x"), egress({}, app="", name="y")],
            policy("api", policyTypes=["Ingress", "Egress"], ingress=[FROM_WEB], egress=[TO_DNS]),
            False,
            id="peers that are not there",
        ),
        pytest.param(
            [ingress(FROM_ALL, app="", name="x"), egress({}, app="", name="y")],
            policy("api", policyTypes=["Ingress", "Egress"], ingress=[FROM_WEB], egress=[rule(pods("web"))]),
            True,
            id="both directions, by two policies",
        ),
        pytest.param([ingress(name="deny", app="")], ingress(FROM_WEB), False, id="beside default-deny"),
        pytest.param([ingress(FROM_ALL, app="", name="x")], ingress(app=""), False, id="the only default-deny"),
        pytest.param([ingress(app="", name="x")], ingress(), True, id="denied again, for some"),
        pytest.param([ingress(name="x")], ingress(app=""), False, id="denied for more"),
        pytest.param(
            [ingress(FROM_WEB, name="x")],
            ingress(rule(word="from", ports=[tcp(8080)])),
            False,
            id="from the outside, too",
        ),
        pytest.param([ingress(FROM_WEB, name="x")], ingress(FROM_WEB, app="storefront"), False, id="no pods"),
    ],
)
def test_what_adds_nothing(state: list[Object], new: Object, redundant: bool) -> None:
    assert World(*TWO, *state).levels(REDUNDANT, new) == (["note"] if redundant else [])


def test_named_ports_are_what_they_stand_for_on_each_pod() -> None:
    both = (pod("api-1", number(8080, "TCP", "http")), pod("api-2", number(9090, "TCP", "http")), pod("web-1"))
    by_name = ingress(rule(pods("web"), ports=[tcp("http")], word="from"))
    assert World(*both, ingress(FROM_WEB, name="x")).levels(REDUNDANT, by_name) == []
    assert World(*both[::2], ingress(FROM_WEB, name="x")).levels(REDUNDANT, by_name) == ["note"]
    assert World(*both[::2], {**by_name, "metadata": {"name": "y", "namespace": "shop"}}).levels(
        REDUNDANT, ingress(FROM_WEB)
    ) == ["note"]


def test_a_mistake_in_a_rule_explains_why_it_adds_nothing() -> None:
    lost = rule({"podSelector": selecting("wbe")}, {"podSelector": selecting("web")}, ports=[tcp(8080)], word="from")
    wide = ingress(FROM_ALL, app="", name="x")
    said = World(pod("api-1"), pod("webs-1", app="web"), wide).admit(ingress(lost)).verdict.rulings
    assert REDUNDANT not in [r.check for r in said]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["api", "web", ""]), min_size=1, max_size=3), egress_rules(), egress_rules())
def test_what_is_called_redundant_changes_nothing_when_it_goes(
    apps: list[str], own: list[Object], others: list[Object]
) -> None:
    state = [egress(*others[i:], app=app, name=f"other-{i}") for i, app in enumerate(apps)]
    world, new = World(*TWO, *state), egress(*own)
    if world.levels(REDUNDANT, new):
        ctx = context(world, new)
        change = impact(ctx)
        assert isolated_by(ctx, "Egress")
        assert change.touched("Egress") == []
        assert change.isolated("Egress") == []


# --- service-reachable-by-nobody

BACKEND = at(pod("api-1", number(8080, "TCP", "http")), "10.244.1.1")
CLIENT = at(pod("web-1"), "10.244.1.2")
SERVED = service("api", {"port": 80, "targetPort": 8080})
WRONG = ingress(rule(pods("web"), ports=[tcp(80)], word="from"))


@pytest.mark.parametrize(
    ("state", "new", "level"),
    [
        pytest.param([WRONG], SERVED, "warning", id="a port that is not admitted"),
        pytest.param([WRONG, ingress(name="deny", app="")], SERVED, "warning", id="beside a policy that denies all"),
        pytest.param([WRONG, ingress(FROM_WEB, name="x")], SERVED, "", id="another policy admits it"),
        pytest.param([ingress(app="", name="deny")], SERVED, "note", id="all denied"),
        pytest.param([ingress(rule(pods("nobody"), word="from"))], SERVED, "note", id="clients to come"),
        pytest.param([ingress(rule(block("10.0.0.0/8"), word="from"))], SERVED, "", id="pods by address"),
        pytest.param(
            [ingress(rule(block("10.245.0.0/16"), word="from"))], SERVED, "note", id="pods to come, by address"
        ),
        pytest.param([ingress(rule(block("203.0.113.0/24"), word="from"))], SERVED, "warning", id="the outside only"),
        pytest.param(
            [ingress(FROM_WEB), egress(app="web", name="deny")], SERVED, "note", id="its clients may not go out"
        ),
        pytest.param([ingress(rule(pods("api"), word="from"))], SERVED, "note", id="itself alone"),
        pytest.param([WRONG], service("api", {"port": 80, "targetPort": "http"}), "warning", id="a named port"),
        pytest.param([WRONG], service("api", {"port": 80, "targetPort": "web"}), "", id="a name that they lack"),
        pytest.param(
            [ingress(rule(pods("web"), ports=[tcp("https")], word="from"))],
            SERVED,
            "note",
            id="admitted by a name to come",
        ),
        pytest.param(
            [WRONG],
            service("api", {"port": 81, "targetPort": "web"}, clusterIP="None"),
            "",
            id="headless, by a name that they lack",
        ),
        pytest.param([WRONG], service("api", {"port": 80}, clusterIP="None"), "", id="headless, at the Service's port"),
        pytest.param([WRONG], service("api", {"port": 81}, clusterIP="None"), "warning", id="headless, at another"),
        pytest.param([WRONG], service("api", {"port": 80, "protocol": "UDP"}), "warning", id="another protocol"),
        pytest.param(
            [WRONG], service("api", {"port": 1}, externalIPs=["192.0.2.1"]), "warning", id="external addresses"
        ),
        pytest.param(
            [ingress(rule(block("203.0.113.0/24"), word="from"))],
            service("api", {"port": 80, "targetPort": 8080}, externalIPs=["192.0.2.1"]),
            "",
            id="external addresses, and the outside is let in",
        ),
        pytest.param(
            [WRONG], service("api", {"port": 80}, type="ExternalName", externalName="x.y"), "", id="no endpoints"
        ),
    ],
)
def test_who_reaches_a_service(state: list[Object], new: Object, level: str) -> None:
    world = World(BACKEND, CLIENT, node("node-1", "172.18.0.2"), *state)
    assert world.levels(NOBODY, new) == ([level] if level else [])


def test_an_update_is_told_what_it_brings_about() -> None:
    world = World(BACKEND, CLIENT, ingress(FROM_WEB))
    elsewhere = service("api", {"port": 80, "targetPort": 9090})
    assert world.levels(NOBODY, elsewhere, SERVED) == ["warning"]
    assert world.levels(NOBODY, elsewhere, elsewhere) == ["note"]
    assert world.levels(NOBODY, elsewhere, service("api", {"port": 80, "targetPort": 7070})) == ["note"]


def test_one_pod_that_answers_will_do() -> None:
    other = at(pod("api-2", app="api"), "10.244.1.3", labels={"app": "api", "free": "yes"})
    narrow = json.loads(json.dumps(WRONG))
    narrow["spec"]["podSelector"]["matchExpressions"] = [{"key": "free", "operator": "DoesNotExist"}]
    assert World(BACKEND, CLIENT, other, narrow).levels(NOBODY, SERVED) == []
    assert World(BACKEND, CLIENT, narrow).levels(NOBODY, SERVED) == ["warning"]
    on_host = at(pod("api-2", app="api", hostNetwork=True), "172.18.0.2")
    assert World(BACKEND, CLIENT, on_host, WRONG).levels(NOBODY, SERVED) == []


def test_members_of_one_workload_reach_each_other() -> None:
    among = ingress(rule(pods("api"), word="from"))
    second = at(pod("api-2", number(8080, "TCP", "http"), app="api"), "10.244.1.3")
    assert World(BACKEND, second, CLIENT, among).levels(NOBODY, SERVED) == []
    template = deployment("api", number(8080))
    template["spec"]["replicas"] = 2
    assert World(template, CLIENT, among).levels(NOBODY, SERVED) == []


def test_nodes_that_are_not_known_may_be_clients() -> None:
    outside = ingress(rule(block("203.0.113.0/24"), word="from"))
    world = World(BACKEND, CLIENT, outside)
    assert world.levels(NOBODY, SERVED) == ["warning"]
    world.cluster.know(NODE, Completeness.PARTIAL)
    assert world.levels(NOBODY, SERVED) == []


def test_what_is_not_known_lowers_it() -> None:
    world = World(BACKEND, CLIENT, WRONG)
    world.cluster.know(NETWORK_POLICY, Completeness.PARTIAL)
    assert world.levels(NOBODY, SERVED) == ["note"]
    assert "who may reach a Service was not judged" in world.unknown(SERVED)


def test_helm_and_a_namespace_that_is_being_filled_make_it_a_note() -> None:
    helm = {**SERVED, "metadata": SERVED["metadata"] | HELM}
    assert World(BACKEND, CLIENT, WRONG).levels(NOBODY, helm) == ["note"]
    world = World(BACKEND, CLIENT, WRONG)
    world.cluster.put(Namespace("shop", {}, created="2026-01-01T10:00:00Z"))
    sent = {**SERVED, "metadata": SERVED["metadata"] | {"creationTimestamp": "2026-01-01T10:01:00Z"}}
    assert world.levels(NOBODY, sent) == ["note"]
    assert world.audit(NOBODY, sent) == ["warning"]


def test_administrators_may_let_clients_in_or_keep_them_out() -> None:
    assert (
        World(BACKEND, CLIENT, WRONG, admin("a", "Accept", tcp(8080), direction="ingress")).levels(NOBODY, SERVED) == []
    )
    closed = World(BACKEND, CLIENT, admin("a", "Deny", direction="ingress"))
    assert closed.levels(NOBODY, SERVED) == ["note"]


# --- what it costs


@pytest.mark.parametrize(
    ("check", "peers"),
    [
        (DNS, lambda i: [pods(f"x{i}"), block(f"192.0.2.{i}/32")]),
        (API, lambda i: [pods(f"x{i}"), block(f"192.0.2.{i}/32")]),
        (UNDONE, lambda i: [block("10.0.0.0/8", f"10.{i}.0.0/16")]),
        (REDUNDANT, lambda _: [pods("web")]),
    ],
)
def test_more_rules_cost_more_steps(check: str, peers: Callable[[int], list[Object]]) -> None:
    world = World(*WHOLE, *OPS, pod("web-1"), egress(rule({"podSelector": {}}), name="wide"))
    spent = []
    for many in (10, 100):
        ctx = context(world, egress(*[rule(*peers(i), ports=[tcp(i + 1)]) for i in range(many)]))
        list(CHECKS[check].run(ctx))
        spent.append(MOST_STEPS - ctx.steps)
    assert spent[1] - spent[0] > 90 * 4


def test_more_pods_cost_a_service_more_steps() -> None:
    spent = []
    for pods_behind in (5, 50):
        behind = [
            at(pod(f"api-{i}", app="api"), f"10.244.1.{i}", labels={"app": "api", "n": str(i)})
            for i in range(pods_behind)
        ]
        found = record(SERVED)
        assert isinstance(found, Service)
        ctx = Context(Operation.CREATE, found, World(*behind, WRONG).cluster)
        assert [f.level for f in CHECKS[NOBODY].run(ctx)] == [Level.WARNING]
        spent.append(MOST_STEPS - ctx.steps)
    assert spent[1] > 5 * spent[0]
