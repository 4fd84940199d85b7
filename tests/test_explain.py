"""`netadmit explain` beyond the scenarios: exact names, many questions at once, DNS and Services as they are."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.command import Command
from tests.test_scenarios import (
    CORE_DNS,
    INTERGINX,
    KUBE_DNS,
    corefile,
    first_failing,
    node,
    pod,
    policy,
    service,
    steps,
)
from webhook.cli.explain import EXAMPLE
from webhook.lookup.traffic import Guide
from webhook.lookup.typed import SCHEMES, Typed, TypedError, is_exact, parse_port, parse_typed
from webhook.model.cluster import Cluster
from webhook.model.objects import DEPLOYMENT, NetworkPolicy, ObjectMeta, Workload
from webhook.reach.explain import Explainer, Query
from webhook.reach.graph import graph_of
from webhook.state.files import FileState

Explain: TypeAlias = Callable[..., Any]


@pytest.fixture
def netadmit(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capfd, monkeypatch)


@pytest.fixture
def explain(netadmit: Command) -> Explain:
    def ask(src: str, dst: str, *documents: str, port: str = "") -> Any:
        more = ["--port", port] if port else []
        state = netadmit.write("cluster.yaml", *documents)
        outcome = netadmit("explain", src, dst, "-o", "json", "--cluster", state, *more)
        assert outcome.code == 0, outcome.err
        return outcome.json

    return ask


def owned(name: str, labels: str, replica_set: str = "api-5d8c7") -> str:
    owner = f"ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {replica_set}, controller: true}}]"
    return pod(name, "shop", f"{labels}, {owner}")


WEB = pod("web", "shop", "{app: web}")
API = (
    owned("api-5d8c7-a", "{app: api, pod-template-hash: 5d8c7}"),
    owned("api-5d8c7-b", "{app: api, pod-template-hash: 5d8c7, canary: 'yes'}"),
)
ONLY_CANARY = policy(
    "canary",
    "{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: job}}}]},"
    " {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]}",
    "shop",
)
CLOSED = policy("closed", "{podSelector: {matchExpressions: [{key: canary, operator: DoesNotExist}]}}", "shop")


# --- many questions ---------------------------------------------------------------------------------------------------


def ask_all(netadmit: Command, queries: Any, *documents: str) -> Any:
    (netadmit.folder / "queries.json").write_text(json.dumps(queries))
    state = netadmit.write("cluster.yaml", *documents)
    outcome = netadmit("explain", "--queries", "queries.json", "-o", "json", "--cluster", state)
    assert outcome.code == 0, outcome.err
    return outcome.json


def test_an_array_as_the_contract_has_it(netadmit: Command) -> None:
    queries = [
        {"src": "shop/web", "dst": "shop/Deployment/api", "protocol": "TCP", "port": 8080},
        {"src": "shop/web", "dst": "shop/Pod/api-5d8c7-a", "port": 80, "note": "kept"},
        {"src": "shop/api", "dst": "shop/web"},
        {"src": "ip:192.0.2.1", "dst": "shop/api", "protocol": "UDP", "port": 53},
    ]
    answers = ask_all(netadmit, queries, WEB, *API, ONLY_CANARY)
    lets = {
        "allowed": True,
        "isolated": True,
        "policies": [{"name": "shop/canary", "kind": "NetworkPolicy", "rule": 1}],
    }
    stops = {
        "allowed": False,
        "isolated": True,
        "policies": [{"name": "shop/canary", "kind": "NetworkPolicy", "rule": None}],
    }
    free = {"allowed": True, "isolated": False, "policies": []}
    assert answers == [
        {**queries[0], "allowed": True, "egress": free, "ingress": lets},
        {**queries[1], "protocol": "TCP", "allowed": False, "egress": free, "ingress": stops},
        {**queries[2], "protocol": "TCP", "allowed": True, "ports": ["all"], "egress": free, "ingress": free},
        {**queries[3], "allowed": False, "egress": free, "ingress": stops},
    ]


def test_what_is_wrong_is_told_in_its_place(netadmit: Command) -> None:
    fine = {"src": "shop/web", "dst": "shop/web", "port": 80}
    bad: list[tuple[Any, str]] = [
        ("shop/web", "expected an object with src and dst"),
        (None, "expected an object with src and dst"),
        ([], "expected an object with src and dst"),
        ({}, "src: missing"),
        ({"src": "shop/web"}, "dst: missing"),
        ({"src": 7, "dst": "shop/web"}, "src: expected a text"),
        ({**fine, "protocol": None}, "protocol: expected a text"),
        ({**fine, "protocol": "ICMP"}, "protocol ICMP: expected TCP, UDP, SCTP"),
        ({**fine, "protocol": "tcp"}, "protocol tcp: expected TCP, UDP, SCTP"),
        ({**fine, "port": 0}, "port 0: must be between 1 and 65535"),
        ({**fine, "port": 65536}, "port 65536: must be between 1 and 65535"),
        ({**fine, "port": -(10**30)}, f"port {-(10**30)}: must be between 1 and 65535"),
        ({**fine, "port": "80"}, "port: expected a number"),
        ({**fine, "port": 80.5}, "port: expected a number"),
        ({**fine, "port": True}, "port: expected a number"),
        ({**fine, "dst": "shop/nobody"}, "shop/nobody is not there"),
        ({**fine, "dst": "shop/Deployment/web"}, "shop/Deployment/web is not there"),
        ({**fine, "dst": "web"}, "web: expected namespace/name, namespace/Kind/name or ip:ADDRESS"),
        ({**fine, "dst": "a/b/c/d"}, "a/b/c/d: expected namespace/name, namespace/Kind/name or ip:ADDRESS"),
        ({**fine, "dst": ""}, ": expected namespace/name, namespace/Kind/name or ip:ADDRESS"),
        ({**fine, "src": "ip:10.0.0.256"}, "ip:10.0.0.256 is no address"),
        (
            {"src": "ip:10.0.0.1", "dst": "ip:10.0.0.2"},
            "from address to address no policy of this cluster decides",
        ),
        ({**fine, "dst": "shop/twice"}, "shop/twice is ambiguous: shop/Deployment/twice, shop/StatefulSet/twice"),
    ]
    twice = [
        f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: twice, namespace: shop}}\n"
        "spec: {template: {metadata: {labels: {app: twice}}}}"
        for kind in ("Deployment", "StatefulSet")
    ]
    queries = [entry for broken, _ in bad for entry in (broken, fine)]
    answers = ask_all(netadmit, queries, WEB, *twice)
    assert answers[0::2] == [{"error": message} for _, message in bad]
    assert all(answer["allowed"] is True for answer in answers[1::2])


def test_a_workload_whose_pods_differ(netadmit: Command) -> None:
    queries = [
        {"src": "shop/web", "dst": "shop/Deployment/api", "port": 80},
        {"src": "shop/web", "dst": "shop/Deployment/api"},
        {"src": "shop/web", "dst": "shop/api-5d8c7-b", "port": 80},
    ]
    answers = ask_all(netadmit, queries, WEB, *API, CLOSED)
    assert [(a["allowed"], a.get("partly")) for a in answers] == [(False, True), (False, True), (True, None)]
    assert answers[1]["ports"] == []


def test_an_administrator_s_rule_says_what_it_does(netadmit: Command) -> None:
    admin = """apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: quarantine}
spec:
  priority: 5
  subject: {namespaces: {}}
  egress: [{action: Deny, to: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}]}]
"""
    (answer,) = ask_all(netadmit, [{"src": "shop/web", "dst": "shop/api", "port": 80}], WEB, *API, admin)
    assert answer["allowed"] is False
    assert answer["egress"]["policies"] == [
        {"name": "quarantine", "kind": "AdminNetworkPolicy", "rule": 0, "action": "Deny"}
    ]


def test_questions_on_standard_input_and_in_words(netadmit: Command) -> None:
    state = netadmit.write("cluster.yaml", WEB, *API, CLOSED)
    queries = [
        {"src": "shop/web", "dst": "shop/api-5d8c7-a", "port": 80},
        {"src": "shop/web", "dst": "shop/api-5d8c7-b"},
        {"src": "shop/web", "dst": "shop/api"},
        {"src": "shop/web", "dst": "x"},
    ]
    outcome = netadmit("explain", "--queries", "-", "--cluster", state, stdin=json.dumps(queries))
    assert outcome.out.splitlines() == [
        "denied: shop/web -> shop/api-5d8c7-a TCP 80, at ingress",
        "allowed: shop/web -> shop/api-5d8c7-b",
        "partly: shop/web -> shop/api, not between all pods",
        "error: x: expected namespace/name, namespace/Kind/name or ip:ADDRESS",
    ]


@pytest.mark.parametrize("number", [0, 1, 2_000, 2_001])
def test_order_and_length_are_kept(netadmit: Command, number: int) -> None:
    answers = ask_all(netadmit, [{"src": "shop/web", "dst": "shop/web", "port": i + 1} for i in range(number)], WEB)
    assert [answer["port"] for answer in answers] == list(range(1, number + 1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "expected an array"),
        ("[", "not JSON"),
        ("", "not JSON"),
        ("\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_file_of_questions_that_is_none(netadmit: Command, text: str, says: str) -> None:
    state = netadmit.write("cluster.yaml", WEB)
    (netadmit.folder / "queries.json").write_bytes(text.encode("latin-1"))
    outcome = netadmit("explain", "--queries", "queries.json", "--cluster", state)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"netadmit: queries.json: {says}" in outcome.err


# --- what is expected -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dst", "more", "allow", "deny"),
    [
        ("shop/api-5d8c7-b", ["--port", "80"], 0, 1),
        ("shop/api-5d8c7-a", ["--port", "80"], 1, 0),
        ("shop/api", ["--port", "80"], 1, 1),  # some pods of it
        ("shop/web", [], 0, 1),
        ("nowhere", [], 1, 0),
        ("kubernetes.default", [], 1, 1),  # not known
    ],
)
def test_expectations(netadmit: Command, dst: str, more: list[str], allow: int, deny: int) -> None:
    state = netadmit.write("cluster.yaml", WEB, *API, CLOSED)
    for expected, code in (("allow", allow), ("deny", deny)):
        outcome = netadmit("explain", "shop/web", dst, *more, "--cluster", state, "--expect", expected)
        assert outcome.code == code, outcome.out


def test_a_part_of_the_ports_is_neither(netadmit: Command) -> None:
    state = netadmit.write("cluster.yaml", WEB, *API, ONLY_CANARY)
    for expected in ("allow", "deny"):
        outcome = netadmit("explain", "shop/web", "shop/api", "--cluster", state, "--expect", expected)
        assert outcome.code == 1
        assert outcome.out.startswith("partly: shop/web -> shop/api, on TCP 8080 only\n")


def test_expectations_of_many(netadmit: Command) -> None:
    state = netadmit.write("cluster.yaml", WEB, *API, CLOSED)
    open_, closed = ({"src": "shop/web", "dst": f"shop/api-5d8c7-{x}", "port": 80} for x in "ba")
    for queries, expected, code in [
        ([open_, open_], "allow", 0),
        ([open_, closed], "allow", 1),
        ([closed], "deny", 0),
        ([closed, {"src": "shop/web"}], "deny", 1),
        ([], "deny", 0),
    ]:
        arguments = ["--queries", "-", "--cluster", state, "--expect", expected]
        assert netadmit("explain", *arguments, stdin=json.dumps(queries)).code == code


# --- one question in words --------------------------------------------------------------------------------------------


def test_the_answer_in_words(netadmit: Command) -> None:
    outcome = netadmit(
        "explain", "shop/web", "shop/api", "--port", "80", "--cluster", netadmit.write("c.yaml", WEB, *API, ONLY_CANARY)
    )
    assert outcome.code == 0
    assert outcome.out == (
        "denied: shop/web -> shop/api TCP 80, at ingress\n"
        "  egress   ok     no policy selects shop/web for egress\n"
        "  ingress  fails  NetworkPolicy shop/canary isolates shop/Pod/api-5d8c7-a, and lets no TCP 80 in "
        "from shop/web\n"
        "                  NetworkPolicy shop/canary, rule 0: from pods app=job of namespace shop, on all ports; "
        "shop/Pod/web has app=web\n"
        "                  NetworkPolicy shop/canary, rule 1: from pods app=web of namespace shop, on TCP 8080; "
        "not on TCP 80\n"
        "  = needed: an ingress rule from podSelector app=web on TCP 80, in shop/canary or another policy\n"
    )
    assert outcome.err == (
        "netadmit: there are no Namespaces (each is taken to have its name as its only label) in this state\n"
    )


def test_the_example_of_the_help_is_what_is_printed(netadmit: Command) -> None:
    state = netadmit.write("cluster.yaml", *INTERGINX)
    command, printed = EXAMPLE.partition("$ netadmit ")[2].split("\n", 1)
    assert netadmit(*command.split()).out == printed
    assert command.endswith(state)


def test_the_example_of_the_readme_is_what_is_printed(netadmit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.chdir(root)
    text = (root / "README.md").read_text()
    command, printed = text.partition("$ netadmit explain ")[2].partition("```")[0].split("\n", 1)
    assert netadmit("explain", *command.split()).out == printed


def test_colours_where_they_are_wanted(netadmit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = netadmit("explain", "shop/web", "shop/web", "--cluster", netadmit.write("c.yaml", WEB)).out
    assert out.startswith("\x1b[1;32mallowed\x1b[0m: \x1b[1mshop/web -> shop/web\x1b[0m\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name SRC and DST, or --queries FILE"),
        (["shop/web"], "name SRC and DST, or --queries FILE"),
        (["shop/web", "--queries", "q.json"], "--queries has the questions: SRC, DST and --port go without it"),
        (["--port", "80", "--queries", "q.json"], "--queries has the questions: SRC, DST and --port go without it"),
        (["--queries", "none.json"], "none.json: No such file or directory"),
        (["shop/web", "shop/wbe"], "shop/wbe is not there, did you mean shop/web?"),
        (
            ["web", "shop/web"],
            "web: expected namespace/name, namespace/Kind/name or ip:ADDRESS, did you mean shop/web?",
        ),
        (["other/web", "shop/web"], "other/web is not there, did you mean shop/web?"),
        (["shop/web", "shop/zzz"], "shop/zzz is not there"),
        (["shop/done", "shop/web"], "shop/done has finished: it has no network any more"),
        (["shop/web", "shop/db"], "shop/db is not there; for the Service write shop/Service/db, as DST"),
        (["shop/web", "shop/Service/none"], "shop/Service/none is not there"),
        (
            ["ip:1.2.3.4", "ip:1.2.3.5"],
            "from address to address no policy of this cluster decides: ip:1.2.3.4, ip:1.2.3.5",
        ),
        (["ip:1.2.3.4", "1.2.3.5"], "from address to address no policy of this cluster decides: ip:1.2.3.4, 1.2.3.5"),
        (["ip:1.2.3.4", "db"], "ip:1.2.3.4 is no pod, which alone can look db up: write namespace/name for DST"),
        (["ip:1.2.3", "db"], "ip:1.2.3 is no address"),
        (["shop/web", "db", "--port", "http"], "http: port http: expected a number between 1 and 65535"),
        (["shop/web", "db", "--port", "80/ICMP"], "80/ICMP: protocol ICMP: expected TCP, UDP, SCTP, as in 53/UDP"),
        (["shop/web", "db", "--port", "0"], "0: port 0: expected a number between 1 and 65535"),
        (["shop/web", "db:80", "--port", "81"], "db:80 says port 80, --port 81"),
        (["shop/web", "gopher://db"], "gopher://db: which port gopher:// means is not known; write gopher://db:PORT"),
        (["shop/web", "\x1b[31m"], "�[31m is no host name"),
    ],
)
def test_questions_that_cannot_be_asked(netadmit: Command, arguments: list[str], says: str) -> None:
    done = pod("done", "shop") + "status: {phase: Succeeded}\n"
    state = netadmit.write("c.yaml", WEB, done, service("db", "shop"), policy("p", "{podSelector: {}}", "shop"))
    outcome = netadmit("explain", *arguments, "--cluster", state)
    assert (outcome.code, outcome.out) == (2, "")
    assert [line for line in outcome.err.splitlines() if "there are no" not in line] == [f"netadmit: {says}"]


def test_without_a_state_there_is_nothing_to_ask(netadmit: Command) -> None:
    outcome = netadmit("explain", "shop/web", "shop/api")
    assert (outcome.code, outcome.err) == (
        2,
        "netadmit: name the cluster's state: --cluster PATH, or a live cluster (--live …)\n",
    )


def test_what_could_not_be_read_is_exit_code_2_all_the_same(netadmit: Command) -> None:
    state = netadmit.write("c.yaml", WEB, "kind: [")
    outcome = netadmit("explain", "shop/web", "shop/web", "--cluster", state)
    assert outcome.code == 2
    assert outcome.out.startswith("allowed")
    assert "c.yaml" in outcome.err


# --- a workload and itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("replicas", "allowed"), [(1, True), (2, False)])
def test_a_workload_of_one_pod_to_come_reaches_itself(replicas: int, allowed: bool) -> None:
    workload = Workload(kind=DEPLOYMENT, namespace="shop", name="web", labels={"app": "web"}, replicas=replicas)
    closed = NetworkPolicy(metadata=ObjectMeta(name="closed", namespace="shop"))
    explainer = Explainer(graph_of(Cluster.of([workload, closed])))
    assert explainer.answer(Query("shop/web", "shop/web")).allowed is allowed


# --- what is typed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("web", Typed("web")),
        ("Web.Shop", Typed("web.shop")),
        ("web.shop.svc.cluster.local.", Typed("web.shop.svc.cluster.local.")),
        ("web:8080", Typed("web", 8080)),
        ("web:8080/healthz", Typed("web", 8080)),
        ("dns:53/UDP", Typed("dns", 53, "UDP")),
        ("dns:53/udp", Typed("dns", 53, "UDP")),
        ("10.0.0.1", Typed("10.0.0.1")),
        ("10.0.0.1:80", Typed("10.0.0.1", 80)),
        ("fd00::1", Typed("fd00::1")),
        ("[fd00::1]", Typed("fd00::1")),
        ("[fd00::1]:443", Typed("fd00::1", 443)),
        ("http://web", Typed("web", 80)),
        ("HTTPS://web/x?y=http://z:1#f", Typed("web", 443)),
        ("http://user:pw@web.shop:8080/", Typed("web.shop", 8080)),
        ("ws://web", Typed("web", 80)),
        ("wss://web", Typed("web", 443)),
        ("grpc://web", Typed("web", 443)),
        ("redis://web/0", Typed("web", 6379)),
        ("gopher://web:70", Typed("web", 70)),
        ("https://[fd00::1]/", Typed("fd00::1", 443)),
        ("_x._tcp.web", Typed("_x._tcp.web")),
    ],
)
def test_what_is_typed(text: str, typed: Typed) -> None:
    assert parse_typed(text) == typed


@pytest.mark.parametrize(
    "text",
    [
        "", ":80", "web:", "web:x", "web:0", "web:65536", "web:\uff18\uff10", "web:+80",
        "a b", "a..b", ".a", "-a", "a-", "ä",
        "10.0.0.300", "1.2.3", "[web]:80", "[fd00::1", "http://", "http://:80", "http:///x", "gopher://web", "1x://web",
        "a:b:c", f"{'a' * 260}", "web@shop",
    ],
)  # fmt: skip
def test_what_leads_nowhere(text: str) -> None:
    with pytest.raises(TypedError):
        parse_typed(text)


def test_schemes_are_ports() -> None:
    assert all(0 < port < 65536 and scheme == scheme.lower() for scheme, port in SCHEMES.items())


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("shop/web", True),
        ("shop/Deployment/web", True),
        ("ip:10.0.0.1", True),
        ("ip:fd00::1", True),
        ("web", False),
        ("web:80/x", False),
        ("http://shop/web", False),
        ("10.0.0.1", False),
    ],
)
def test_the_exact_forms(text: str, exact: bool) -> None:
    assert is_exact(text) is exact


def test_ports_as_they_are_given() -> None:
    assert parse_port("8080") == (8080, "TCP")
    assert parse_port("53/udp") == (53, "UDP")
    with pytest.raises(TypedError):
        parse_port("53/")


# --- DNS --------------------------------------------------------------------------------------------------------------

CLIENT = (WEB, pod("api", "shop", "{app: api}"), service("api", "shop", "{app: api}"))
DNS = (KUBE_DNS, CORE_DNS, corefile("cluster.local"))
TO_PODS = "{to: [{podSelector: {}}]}"


def egress(*rules: str) -> str:
    return policy(
        "egress", f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{', '.join((TO_PODS, *rules))}]}}", "shop"
    )


def to_dns(*ports: str) -> str:
    return (
        "{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}],"
        f" ports: [{', '.join(ports)}]}}"
    )


UDP, TCP = "{port: 53, protocol: UDP}", "{port: 53}"
TO_CLUSTER_IP = "{to: [{ipBlock: {cidr: 10.96.0.10/32}}]}"
OPENSHIFT = (
    """apiVersion: v1
kind: Service
metadata: {name: dns-default, namespace: openshift-dns}
spec:
  clusterIP: 172.30.0.10
  selector: {dns.operator.openshift.io/daemonset-dns: default}
  ports:
    - {name: dns, port: 53, protocol: UDP, targetPort: dns}
    - {name: dns-tcp, port: 53, protocol: TCP, targetPort: dns-tcp}
""",
    pod(
        "dns-default-x",
        "openshift-dns",
        "{dns.operator.openshift.io/daemonset-dns: default}",
        "[{name: dns, containerPort: 5353, protocol: UDP}, {name: dns-tcp, containerPort: 5353}]",
    ),
)
NODE_LOCAL = """apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-local-dns, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: node-local-dns}}
    spec:
      hostNetwork: true
      containers: [{name: node-cache, image: k8s-dns-node-cache:1.26.4, args: [-localip, "169.254.20.10,10.96.0.10"]}]
"""


@pytest.mark.parametrize(
    ("state", "ok", "says"),
    [
        pytest.param((*DNS, egress(to_dns(UDP, TCP))), True, "can be asked", id="both"),
        pytest.param((*DNS, egress(to_dns(UDP))), True, "can be asked, but not over TCP", id="udp"),
        pytest.param((*DNS, egress(to_dns(TCP))), False, "UDP 53 of its pods", id="tcp-alone"),
        pytest.param((*DNS, egress()), False, "NetworkPolicy shop/egress cuts its egress there", id="none"),
        pytest.param((*DNS, egress(TO_CLUSTER_IP)), False, "cuts its egress", id="clusterIP"),
        pytest.param((*OPENSHIFT, egress("{ports: [" + UDP + "]}")), False, "UDP 5353 of its pods", id="openshift-53"),
        pytest.param(
            (*OPENSHIFT, egress("{ports: [{port: 5353, protocol: UDP}]}")), True, "but not over TCP", id="openshift"
        ),
        pytest.param((KUBE_DNS, egress()), None, "is not known: nothing is known behind Service", id="no-pods-of-it"),
        pytest.param((egress(),), None, "whether the cluster's DNS can be asked is not known", id="no-objects"),
        pytest.param((), True, "no policy keeps shop/web from asking", id="no-objects-no-policy"),
        pytest.param(
            (*DNS, policy("closed", "{podSelector: {}}", "kube-system")),
            False,
            "NetworkPolicy kube-system/closed cuts their ingress there",
            id="the-pods-of-the-dns-are-closed",
        ),
        pytest.param(
            (*DNS, NODE_LOCAL, egress("{to: [{ipBlock: {cidr: 169.254.20.10/32}}], ports: [" + UDP + "]}")),
            True,
            "NodeLocal DNSCache at 169.254.20.10 can be asked",
            id="cache-by-its-address",
        ),
        pytest.param(
            (*DNS, NODE_LOCAL, egress(TO_CLUSTER_IP)),
            True,
            "NodeLocal DNSCache at 10.96.0.10 can be asked",
            id="cache-by-the-service-s-address",
        ),
        pytest.param(
            (*DNS, NODE_LOCAL, egress(to_dns(UDP, TCP))), None, "depends on the engine", id="cache-beside-pods"
        ),
        pytest.param((*DNS, NODE_LOCAL, egress()), False, "cannot ask NodeLocal DNSCache, 169.254.20.10", id="cut-off"),
        pytest.param(
            (NODE_LOCAL.replace("hostNetwork: true", "hostNetwork: false"), *DNS, egress(to_dns(UDP, TCP))),
            True,
            "the cluster's DNS (Service kube-system/kube-dns) can be asked",
            id="cache-with-pods-of-its-own",
        ),
        pytest.param(
            (*DNS, KUBE_DNS.replace("name: kube-dns", "name: coredns").replace("{k8s-app: kube-dns}", "{app: x}", 1)
             .replace("selector: {k8s-app: kube-dns}", "selector: {app: x}"),
             pod("x", "kube-system", "{app: x}"), egress(to_dns(UDP, TCP))),
            True,
            "can be asked",
            id="one-of-two-is-enough",
        ),
    ],
)  # fmt: skip
def test_whether_the_dns_can_be_asked(explain: Explain, state: tuple[str, ...], ok: bool | None, says: str) -> None:
    answer = explain("shop/web", "api:80", *CLIENT, *state)
    step = answer["steps"][0]
    assert step["step"] == "lookup"
    assert step["ok"] is ok
    assert says in " ".join((step["says"], *step.get("details", ())))
    assert answer["allowed"] is (ok is not False)


def test_not_all_pods_of_the_dns_can_be_asked(explain: Explain) -> None:
    other = pod("coredns-2", "kube-system", "{k8s-app: kube-dns, new: 'yes'}")
    rule = to_dns(UDP).replace("{k8s-app: kube-dns}", "{new: 'yes'}")
    step = explain("shop/web", "api:80", *CLIENT, *DNS, other, egress(rule))["steps"][0]
    assert step["ok"] is None
    assert "not all of shop/web can ask all pods of the cluster's DNS" in " ".join(step["details"])


def test_what_to_write_for_the_cache(explain: Explain) -> None:
    failing = first_failing(explain("shop/web", "api:80", *CLIENT, *DNS, NODE_LOCAL, egress()))
    assert failing["needed"] == "an egress rule to ipBlock 169.254.20.10/32 on UDP 53 and TCP 53"


def test_a_pod_of_the_host_network_has_its_node_s_resolver(explain: Explain) -> None:
    host = pod("host", "shop", more="hostNetwork: true, ")
    answer = explain(
        "shop/host", "api:80", host, *CLIENT, *DNS, policy("closed", "{podSelector: {}, policyTypes: [Egress]}", "shop")
    )
    assert answer["steps"][0]["ok"] is None
    assert "unless its dnsPolicy is ClusterFirstWithHostNet" in answer["steps"][0]["details"][0]
    assert answer["steps"][2]["says"] == "shop/host is in its node's network: policies do not bind it"
    assert answer["allowed"] is True


# --- names ------------------------------------------------------------------------------------------------------------

STATEFUL = """apiVersion: apps/v1
kind: StatefulSet
metadata: {name: pg, namespace: shop}
spec: {serviceName: pg, replicas: 2, template: {metadata: {labels: {app: pg}}, spec: {containers: [{name: c}]}}}
"""
PG_0 = """apiVersion: v1
kind: Pod
metadata:
  name: pg-0
  namespace: shop
  labels: {app: pg}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: pg, controller: true}]
spec: {containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.7, conditions: [{type: Ready, status: "True"}]}
"""
HEADLESS = """apiVersion: v1
kind: Service
metadata: {name: pg, namespace: shop}
spec: {clusterIP: None, selector: {app: pg}, ports: [{port: 5432}]}
"""


def alias(name: str, target: str) -> str:
    return (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n"
        f"spec: {{type: ExternalName, externalName: {target}}}\n"
    )


@pytest.mark.parametrize(
    ("typed", "state", "ok", "says"),
    [
        ("api.shop", (), True, "api.shop is Service shop/api (api.shop.svc.cluster.local)"),
        ("api.shop.svc", (), True, "api.shop.svc is Service shop/api (api.shop.svc.cluster.local)"),
        ("apii", (), False, "looked up as apii.shop.svc.cluster.local, which is not there"),
        ("api.shopp", (), False, "looked up as api.shopp.svc.cluster.local, but there is no namespace shopp"),
        ("db.shop", (), None, "db.shop.svc.cluster.local, which is not there; whether the outside knows it"),
        ("db.prod", (pod("x", "prod"),), False, "looked up as db.prod.svc.cluster.local, which is not there"),
        ("x.shop", (service("shop", "shop", "{app: api}"),), None, "whether the outside knows it"),
        ("x.api", (), False, "no ready pod behind Service shop/api has the hostname x"),
        ("api.none.svc", (), False, "but there is no namespace none; Service api is in shop"),
        ("api.shop.cluster.local", (), False, "Services are under svc.cluster.local"),
        ("nothing.svc.cluster.local", (), False, "it is no name of a Service or pod of this cluster"),
        ("x.y.z.shop.svc.cluster.local", (), False, "it is no name of a Service or pod of this cluster"),
        ("example.com", (), None, "example.com is no name of this cluster: only the outside can answer it"),
        ("api.elsewhere", (), None, "api.elsewhere is no name of this cluster; Service api is in shop"),
        ("api.shop.svc.clusterset.local", (), None, "clusterset.local is not the cluster's own domain"),
        ("kubernetes.default", (), None, "Service default/kubernetes is in every cluster, but not in this state"),
        ("kubernetes", (), False, "Service kubernetes is in default"),
        ("api.shop.svc.old.example", (), None, "whether cluster.local is this cluster's domain is not known"),
        ("pg-0.pg", (HEADLESS, STATEFUL, PG_0), True, "pg-0.pg is shop/pg-0 (pg-0.pg.shop.svc.cluster.local)"),
        ("pg-0.pg.shop.svc.cluster.local", (HEADLESS, STATEFUL, PG_0), True, "is shop/pg-0"),
        ("pg-1.pg", (HEADLESS, STATEFUL), True, "pg-1.pg is shop/pg"),
        ("pg-2.pg", (HEADLESS, STATEFUL), False, "no ready pod behind Service shop/pg has the hostname pg-2"),
        ("10-0-0-7.pg", (HEADLESS, STATEFUL, PG_0), True, "10-0-0-7.pg is shop/pg-0"),
        ("10-0-0-8.pg", (HEADLESS, STATEFUL, PG_0), False, "no ready pod behind Service shop/pg has the hostname"),
        ("pg-0.pg", (HEADLESS, STATEFUL.replace("serviceName: pg", "serviceName: other"), PG_0), False,
         "no ready pod behind Service shop/pg has the hostname pg-0"),
        ("api.api", (), None, "whether pod shop/api has the hostname api and the subdomain api is not known"),
        ("pg", (HEADLESS,), False, "Service shop/pg has no endpoints, and being headless no address"),
        ("pg", (HEADLESS, STATEFUL, PG_0), True, "pg is Service shop/pg, headless"),
        ("10-0-0-7.shop.pod.cluster.local", (PG_0,), None, "whether the cluster's DNS answers for names of pods"),
        ("10-0-0-7.shop.pod", (PG_0, corefile("cluster.local")), True, "is 10.0.0.7 (10-0-0-7.shop.pod.cluster.local)"),
        ("10-0-0-7.none.pod", (PG_0, corefile("cluster.local")), None, "only the outside"),
        ("ext", (alias("ext", "db.example.com"),), None,
         "ext is Service shop/ext, an ExternalName for db.example.com; only the outside can answer db.example.com"),
        ("ext", (alias("ext", "api.shop.svc.cluster.local"),), True,
         "Service shop/ext, an ExternalName for api.shop.svc.cluster.local; Service shop/api"),
        ("ext", (alias("ext", "api.shop"),), False, "no search path is tried for the target api.shop"),
        ("ext", (alias("ext", "api"),), False, "no search path is tried for the target api"),
        ("ext", (alias("ext", "one.shop.svc.cluster.local"), alias("one", "ext.shop.svc.cluster.local")), False,
         "the ExternalNames go round in a circle"),
        ("ext", (alias("ext", "none.shop.svc.cluster.local"),), False, "there is no Service none in namespace shop"),
        ("ext", (alias("ext", "192.0.2.1"),), None, "what the DNS makes of an ExternalName 192.0.2.1 is not known"),
        ("x.ext", (alias("ext", "db.example.com"),), None, "x.ext is no name of this cluster"),
        ("db", (alias("db", "x.y"), service("db", "other"), pod("p", "other")), None, "Service shop/db"),
        ("api", (corefile("example.org").replace("errors", "ignore empty_service"),), True, "Service shop/api"),
        ("empty", (service("empty", "shop"), corefile("x.example").replace("errors", "ignore empty_service")), False,
         "Service shop/empty has no endpoints: the Corefile says ignore empty_service"),
    ],
)  # fmt: skip
def test_names(explain: Explain, typed: str, state: tuple[str, ...], ok: bool | None, says: str) -> None:
    step = explain("shop/web", typed, *CLIENT, *state)["steps"][0]
    assert (step["step"], step["ok"]) == ("lookup", ok), step
    assert says in step["says"]


def test_the_search_path_goes_on_where_a_pod_has_not_the_name(explain: Explain) -> None:
    """``db.api`` is first a pod of Service api here, then Service db of namespace api."""
    answer = explain("shop/web", "db.api:80", *CLIENT, pod("db", "api", "{run: db}"), service("db", "api"))
    assert answer["steps"][0]["says"] == "db.api is Service api/db (db.api.svc.cluster.local)"


def test_a_namespace_called_like_a_domain_takes_the_name(explain: Explain) -> None:
    taken = (pod("e", "com", "{run: example}"), service("example", "com"))
    assert explain("shop/web", "example.com:80", *CLIENT, *taken)["steps"][0]["says"].startswith(
        "example.com is Service com/example"
    )
    assert explain("shop/web", "example.com.:80", *CLIENT, *taken)["steps"][0]["ok"] is None


@pytest.mark.parametrize(
    ("typed", "needed"),
    [
        ("apii:80", "write api"),
        ("api.shopp", "write api.shop, or in full api.shop.svc.cluster.local"),
        ("api.shop.cluster.local", "write api.shop.svc.cluster.local"),
        ("web", "Pod shop/web is there, but only Services have names in DNS: kubectl expose pod web -n shop --port=…"),
        ("pg", "StatefulSet shop/pg is there, but only Services have names in DNS: make one"),
        ("zzz", None),
    ],
)
def test_the_name_to_write(explain: Explain, typed: str, needed: str | None) -> None:
    assert first_failing(explain("shop/web", typed, *CLIENT, STATEFUL)).get("needed") == needed


# --- Services ---------------------------------------------------------------------------------------------------------


def slices(addresses: str, ports: str, service: str = "api", conditions: str = "{}") -> str:
    return f"""apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service}-x, namespace: shop, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
endpoints: [{{addresses: [{addresses}], conditions: {conditions}}}]
ports: [{ports}]
"""


SELECTORLESS = """apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {ports: [{port: 80}, {name: dns, port: 53, protocol: UDP}]}
"""
NAMED = (
    WEB,
    pod("a", "shop", "{app: api}", "[{name: http, containerPort: 8080}]"),
    pod("b", "shop", "{app: api}", "[{name: http, containerPort: 9090}]"),
    pod("c", "shop", "{app: api}"),
    service("api", "shop", "{app: api}").replace("targetPort: 80", "targetPort: http"),
)
READY = "status: {phase: Running, podIP: 10.0.0.5, conditions: [{type: Ready, status: 'True'}]}\n"
STARTING = "status: {phase: Running, podIP: 10.0.0.6}\n"


@pytest.mark.parametrize(
    ("typed", "state", "ok", "says", "needed"),
    [
        ("api:80", CLIENT, True, "Service shop/api sends TCP 80 to shop/Pod/api", None),
        ("api", CLIENT, True, "Service shop/api sends TCP 80 to shop/Pod/api", None),
        ("api:81", CLIENT, False, "Service shop/api has no port TCP 81; it has TCP 80", "write api:80"),
        ("api:53", (WEB, SELECTORLESS), False, "has no port TCP 53; it has TCP 80, UDP 53", "write api:53/UDP"),
        ("shop/Service/api", CLIENT, True, "Service shop/api sends TCP 80 to shop/Pod/api", None),
        ("api:80", NAMED, True,
         "sends TCP 80 to port 8080 of shop/Pod/a, TCP 80 to port 9090 of shop/Pod/b (1 more without the port)", None),
        ("api:80", (*NAMED[:1], NAMED[3], NAMED[4]), False, "no pod behind it has a TCP port named http",
         "write the name or number of the container's port as targetPort"),
        ("api:80", (WEB, pod("x", "shop", "{app: other}"), service("api", "shop", "{app: api}")), False,
         "Service shop/api has no endpoints: no pod of shop has app=api", None),
        ("api:80", (WEB, pod("x", "shop", "{app: backend}"), service("api", "shop", "{app: bakcend}")), False,
         "no pod of shop has app=bakcend", "write app: backend in its selector"),
        ("api:80", (WEB, SELECTORLESS), None, "the endpoints of Service shop/api are not known", None),
        ("api:80", (WEB, SELECTORLESS, slices("10.0.0.9", "{port: 80}", "other")), False,
         "Service shop/api has no selector, and no EndpointSlice has endpoints for it", None),
        ("api:80", (WEB, SELECTORLESS, slices("192.0.2.7", "{port: 8443}")), True,
         "Service shop/api sends TCP 80 to port 8443 of ip:192.0.2.7", None),
        ("api:80", (*CLIENT, slices("10.0.0.9", "{port: 80}", conditions="{ready: false}")), False,
         "Service shop/api has 1 endpoint, and none is ready", None),
        ("api:80", (*CLIENT[:1], pod("r", "shop", "{app: api}") + READY, pod("s", "shop", "{app: api}") + STARTING,
                    CLIENT[2]), True, "sends TCP 80 to shop/Pod/r (1 more not ready)", None),
        ("pg:5432", (WEB, HEADLESS, PG_0), True, "is headless: the client connects to shop/Pod/pg-0 itself", None),
        ("pg:9999", (WEB, HEADLESS, PG_0), True, "is headless: the client connects to shop/Pod/pg-0 itself", None),
        ("pg:5432", (WEB, HEADLESS.replace("port: 5432", "port: 5432, targetPort: 15432"), PG_0), None,
         "targetPort 15432 counts for nothing, 5432 is asked for",
         "the pods' own port, which targetPort says is 15432"),
        ("10.96.0.77:80", (*CLIENT[:2], CLIENT[2].replace("spec: {", "spec: {clusterIP: 10.96.0.77, ")), True,
         "Service shop/api sends TCP 80 to shop/Pod/api", None),
        ("ext:80", (*CLIENT, alias("ext", "api.shop.svc.cluster.local")), True, "Service shop/api sends TCP 80", None),
        ("shop/Service/ext", (*CLIENT, alias("ext", "api.shop.svc.cluster.local")), True, "shop/api sends", None),
    ],
)  # fmt: skip
def test_where_a_service_leads(
    explain: Explain, typed: str, state: tuple[str, ...], ok: bool | None, says: str, needed: str | None
) -> None:
    answer = explain("shop/web", typed, *state)
    step = next(step for step in answer["steps"] if step["step"] == "service")
    assert step["ok"] is ok, step
    assert says in step["says"]
    assert step.get("needed") == needed


def test_policies_are_about_the_pods_own_ports(explain: Explain) -> None:
    allowed = policy("p", "{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: PORT}]}]}", "shop")
    state = (*CLIENT[:2], service("api", "shop", "{app: api}", 80, 8080))
    assert explain("shop/web", "api:80", *state, allowed.replace("PORT", "8080"))["allowed"] is True
    assert explain("shop/web", "api:80", *state, allowed.replace("PORT", "80"))["allowed"] is False


def test_a_service_of_which_one_pod_is_closed(explain: Explain) -> None:
    answer = explain("shop/web", "api:80", WEB, *API, service("api", "shop", "{app: api}"), CLOSED)
    assert (answer["allowed"], answer["partly"]) == (False, True)
    assert first_failing(answer)["says"] == (
        "NetworkPolicy shop/closed isolates shop/Pod/api-5d8c7-a, and lets no TCP 80 in from shop/web; "
        "shop/Pod/api-5d8c7-b and shop/Pod/web can connect"
    )


def test_a_service_of_several_ports_asked_for_without_one(explain: Explain) -> None:
    two = service("api", "shop", "{app: api}").replace("targetPort: 80}", "name: a}, {port: 81, name: b}")
    only = policy("p", "{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 81}]}]}", "shop")
    answer = explain("shop/web", "api", *CLIENT[:2], two, only)
    assert (answer["allowed"], answer["ports"]) == (False, ["TCP 81"])


def test_a_template_stands_for_the_pods_behind_a_service(explain: Explain) -> None:
    deployment = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: shop}\n"
        "spec: {template: {metadata: {labels: {app: api}}, spec: {containers: [{name: c}]}}}\n"
    )
    answer = explain("shop/web", "api:80", WEB, deployment, service("api", "shop", "{app: api}"))
    assert answer["steps"][1]["says"] == "Service shop/api sends TCP 80 to shop/Deployment/api"
    scaled_down = deployment.replace("spec: {t", "spec: {replicas: 0, t")
    assert (
        steps(explain("shop/web", "api:80", WEB, scaled_down, service("api", "shop", "{app: api}")))["service"] is False
    )


# --- addresses and the outside ----------------------------------------------------------------------------------------


def test_an_address_of_a_pod_is_the_pod(explain: Explain) -> None:
    answer = explain("shop/web", "10.0.0.7:5432", WEB, PG_0, policy("closed", "{podSelector: {}}", "shop"))
    assert answer["allowed"] is False
    assert [step["step"] for step in answer["steps"]] == ["egress", "ingress"]


def test_a_node_s_address(explain: Explain) -> None:
    closed = policy("closed", "{podSelector: {}, policyTypes: [Egress]}", "shop")
    web = pod("web", "shop", "{app: web}", more="nodeName: node-1, ")
    own = explain("shop/web", "192.168.0.1:10250", web, node("node-1", "192.168.0.1"), closed)
    assert own["allowed"] is True
    assert "policies do not part pods from their own node, node-1" in own["steps"][0]["says"]
    assert explain("shop/web", "192.168.0.2:10250", web, node("node-2", "192.168.0.2"), closed)["allowed"] is False


@pytest.mark.parametrize("typed", ["localhost:80", "127.0.0.1", "127.1.2.3:80", "::1", "http://[::1]:80/"])
def test_nothing_leaves_the_pod(explain: Explain, typed: str) -> None:
    closed = policy("closed", "{podSelector: {}, policyTypes: [Ingress, Egress]}", "shop")
    assert explain("shop/web", typed, WEB, closed)["allowed"] is True


@pytest.mark.parametrize(
    ("rules", "allowed", "says"),
    [
        ("", True, "shop/web may reach any address of the outside on TCP 443"),
        ("{}", True, "shop/web may reach any address of the outside on TCP 443"),
        ("{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}", True, "may reach any address of the outside"),
        ("{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}", None,
         "shop/web may reach 0.0.0.0/0 except 10.0.0.0/8 on TCP 443: whether its address is there is not known"),
        ("{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}", None, "may reach 203.0.113.0/24 on TCP 443"),
        ("{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 80}]}", False,
         "shop/web is isolated by NetworkPolicy shop/egress: nothing goes out to addresses of the outside on TCP 443"),
        ("{to: [{namespaceSelector: {}}]}", False, "nothing goes out to addresses of the outside"),
    ],
)  # fmt: skip
def test_names_of_the_outside(explain: Explain, rules: str, allowed: bool | None, says: str) -> None:
    spec = f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{rules}]}}"
    state = (WEB, policy("egress", spec, "shop")) if rules else (WEB,)
    answer = explain("shop/web", "https://example.com/x", *state)
    assert answer["allowed"] is allowed
    assert says in answer["steps"][1]["says"]
    assert answer["egress"]["allowed"] is (allowed is True)


def test_a_service_s_outside_endpoints_are_judged_by_their_address(explain: Explain) -> None:
    out = policy(
        "egress", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.0.2.7/32}}]}]}", "shop"
    )
    state = (WEB, SELECTORLESS, out)
    assert (
        explain("shop/web", "shop/Service/api", *state, slices("192.0.2.7", "{port: 80}"), port="80")["allowed"] is True
    )
    assert (
        explain("shop/web", "shop/Service/api", *state, slices("192.0.2.8", "{port: 80}"), port="80")["allowed"]
        is False
    )


# --- policies in words ------------------------------------------------------------------------------------------------


def admits(*rules: str) -> str:
    return policy("p", f"{{podSelector: {{matchLabels: {{app: api}}}}, ingress: [{', '.join(rules)}]}}", "shop")


NAMED_API = pod("api", "shop", "{app: api}", "[{name: http, containerPort: 8080}]")


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("{from: [{podSelector: {matchLabels: {app: job}}}]}",
         "from pods app=job of namespace shop, on all ports; shop/Pod/web has app=web"),
        ("{from: [{podSelector: {matchLabels: {a: b, c: d, e: f}}}]}",
         "shop/Pod/web lacks the label a=b and lacks the label c=d"),
        ("{from: [{podSelector: {matchExpressions: [{key: a, operator: Exists}]}}]}", "lacks the label a"),
        ("{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}]}",
         "from pods app!=web of namespace shop, on all ports; shop/Pod/web has app=web"),
        ("{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}}]}",
         "from every pod of namespace ops, on all ports; namespace shop is another one"),
        ("{from: [{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: web}}}]}",
         "from pods app=web of namespaces team=a, on all ports; namespace shop lacks the label team=a"),
        ("{from: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 80, endPort: 90}, {protocol: UDP}]}",
         "from 192.0.2.0/24, on TCP 80-90, UDP; 10.0.0.1 is not in it"),
        ("{from: [{ipBlock: {cidr: 192.0.2.0/24}}, {podSelector: {matchLabels: {app: job}}}]}",
         "; 10.0.0.1 is not in it; shop/Pod/web has app=web"),
        ("{ports: [{port: 81}]}", "from everybody, on TCP 81; not on TCP 80"),
        ("{ports: [{port: htp}]}", "from everybody, on TCP htp; not on TCP 80: there is no TCP port named htp"),
        ("{ports: [{port: http}]}", "from everybody, on TCP http; not on TCP 80"),
    ],
)  # fmt: skip
def test_why_a_rule_does_not_fit(explain: Explain, rule: str, says: str) -> None:
    web = WEB + "status: {phase: Running, podIP: 10.0.0.1}\n"
    answer = explain("shop/web", "shop/api", web, NAMED_API, admits(rule), port="80")
    (detail,) = first_failing(answer)["details"]
    assert detail.startswith("NetworkPolicy shop/p, rule 0: ")
    assert says in detail


def test_many_rules_are_counted(explain: Explain) -> None:
    rules = [f"{{ports: [{{port: {number}}}]}}" for number in range(1000, 1010)]
    details = first_failing(explain("shop/web", "shop/api", WEB, NAMED_API, admits(*rules), port="80"))["details"]
    assert len(details) == 7
    assert details[-1] == "NetworkPolicy shop/p: 4 more rules"


def test_who_is_in_its_node_s_network_is_found_by_its_address_alone(explain: Explain) -> None:
    host = pod("host", "shop", "{app: web}", more="hostNetwork: true, ") + "status: {podIP: 10.0.0.9}\n"
    rule = "{from: [{podSelector: {matchLabels: {app: web}}}]}"
    failing = first_failing(explain("shop/host", "shop/api", host, NAMED_API, admits(rule), port="80"))
    assert failing["details"][0].endswith("shop/Pod/host is in its node's network, where no selector finds it")
    assert failing["needed"].startswith("an ingress rule from ipBlock 10.0.0.9/32 on TCP 80")
    outside = first_failing(explain("ip:fd00::7", "shop/api", NAMED_API, admits(rule), port="80"))
    assert outside["details"][0].endswith("selectors find no outside address")
    assert outside["needed"].startswith("an ingress rule from ipBlock fd00::7/128 on TCP 80")


ADMIN = """apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: admin}
spec:
  priority: 5
  subject: {namespaces: {}}
  ingress:
    - {action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 81}}]}
    - {action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 82}}]}
    - {action: Pass, from: [{namespaces: {}}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 83}}]}]
"""


@pytest.mark.parametrize(
    ("port", "more", "says", "needed"),
    [
        ("81", (), "AdminNetworkPolicy admin, rule 0, denies TCP 81 in from shop/web",
         "only a change of AdminNetworkPolicy admin helps: it goes before every NetworkPolicy"),
        ("81", (admits("{}"),), "AdminNetworkPolicy admin, rule 0, denies TCP 81 in from shop/web",
         "only a change of AdminNetworkPolicy admin helps: it goes before every NetworkPolicy"),
        ("82", (), "AdminNetworkPolicy admin, rule 1, lets it through: from every pod, on TCP 82", None),
        ("82", (admits(),), "AdminNetworkPolicy admin, rule 1, lets it through: from every pod, on TCP 82", None),
        ("83", (), "BaselineAdminNetworkPolicy default, rule 0, denies TCP 83 in from shop/web",
         "a NetworkPolicy that lets it through goes before BaselineAdminNetworkPolicy default"),
        ("83", (admits("{}"),), "NetworkPolicy shop/p, rule 0, lets it through: from everybody, on all ports", None),
        ("83", (admits(),), "NetworkPolicy shop/p isolates shop/api, and lets no TCP 83 in from shop/web",
         "an ingress rule from podSelector app=web on TCP 83, in shop/p or another policy"),
        ("84", (), "AdminNetworkPolicy admin, BaselineAdminNetworkPolicy default: no rule denies it", None),
    ],
)  # fmt: skip
def test_administrators_in_words(
    explain: Explain, port: str, more: tuple[str, ...], says: str, needed: str | None
) -> None:
    answer = explain("shop/web", "shop/api", WEB, NAMED_API, ADMIN, *more, port=port)
    assert answer["allowed"] is (needed is None)
    assert answer["steps"][1]["says"] == says
    assert answer["steps"][1].get("needed") == needed


def test_two_policies_of_which_one_lets_it_through(explain: Explain) -> None:
    closed = policy("closed", "{podSelector: {}}", "shop")
    ingress = explain("shop/web", "shop/api", WEB, NAMED_API, admits("{}"), closed, port="80")["steps"][1]
    assert ingress["says"] == "NetworkPolicy shop/p, rule 0, lets it through: from everybody, on all ports"
    assert ingress["details"] == ["NetworkPolicy shop/closed isolates it as well, without a rule for this"]


def test_each_side_by_another_family_of_addresses(explain: Explain) -> None:
    def dual(name: str, number: int) -> str:
        return (
            pod(name, "shop", f"{{app: {name}}}")
            + f"status: {{podIPs: [{{ip: 10.0.0.{number}}}, {{ip: 'fd00::{number}'}}]}}\n"
        )

    out = policy(
        "out",
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress],"
        " egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}",
        "shop",
    )
    into = admits("{from: [{ipBlock: {cidr: 'fd00::/8'}}]}")
    answer = explain("shop/web", "shop/api", dual("web", 1), dual("api", 2), out, into, port="80")
    assert answer["allowed"] is False
    assert first_failing(answer)["says"] == (
        "each side lets it through by addresses of one family, but not both by those of the same"
    )


# --- what is not known ------------------------------------------------------------------------------------------------


def guide(*documents: str, services_known: bool) -> Guide:
    state = FileState()
    state.load(["-"], stdin=io.BytesIO("\n---\n".join(documents).encode()))
    return Guide(Explainer(graph_of(state.cluster)), services_known=services_known)


@pytest.mark.parametrize(
    ("typed", "service"),
    [("api", "shop/api"), ("api.shop", "shop/shop"), ("api.shop.svc.cluster.local", "shop/api")],
)
def test_services_that_may_not_be_read(typed: str, service: str) -> None:
    answer = guide(WEB, services_known=False).typed("shop/web", typed, parse_typed(typed))
    assert (answer.allowed, answer.steps[0].ok) == (None, None)
    assert answer.steps[0].says.endswith(f"whether there is a Service {service} is not known")
    assert guide(WEB, services_known=True).typed("shop/web", typed, parse_typed(typed)).allowed is not True


def test_an_external_name_that_is_an_address_where_core_dns_answers(explain: Explain) -> None:
    core_dns = """apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec: {template: {metadata: {labels: {k8s-app: kube-dns}}, spec: {containers: [{name: coredns, image: coredns}]}}}
"""
    failing = first_failing(explain("shop/web", "ext", *CLIENT, KUBE_DNS, core_dns, alias("ext", "192.0.2.1")))
    assert failing["says"].endswith("CoreDNS has no answer for an ExternalName 192.0.2.1")


def test_an_endpoint_slice_of_host_names(explain: Explain) -> None:
    answer = explain("shop/web", "api:80", WEB, SELECTORLESS, slices("db.example.com", "{port: 80}"))
    assert steps(answer)["service"] is False
