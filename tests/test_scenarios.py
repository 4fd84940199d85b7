"""The scenarios of SCENARIOS.md, 1 to 11: what people who learn Kubernetes networking really type."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.command import Command, Outcome

Explain: TypeAlias = Callable[..., Any]


@pytest.fixture
def netadmit(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capfd, monkeypatch)


@pytest.fixture
def explain(netadmit: Command) -> Explain:
    """Asks for JSON, over a state of these documents."""

    def ask(src: str, dst: str, *documents: str) -> Any:
        outcome = netadmit("explain", src, dst, "-o", "json", "--cluster", netadmit.write("cluster.yaml", *documents))
        assert outcome.code == 0
        return outcome.json

    return ask


def steps(answer: Any) -> dict[str, Any]:
    return {step["step"]: step["ok"] for step in answer["steps"]}


def first_failing(answer: Any) -> Any:
    return next(step for step in answer["steps"] if step["ok"] is False)


def pod(name: str, namespace: str = "default", labels: str = "{}", ports: str = "[]", more: str = "") -> str:
    return f"""apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {labels}}}
spec: {{{more}containers: [{{name: main, image: nginx, ports: {ports}}}]}}
"""


def service(name: str, namespace: str = "default", selector: str = "", port: int = 80, target: int = 80) -> str:
    return f"""apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {selector or f"{{run: {name}}}"}, ports: [{{port: {port}, targetPort: {target}}}]}}
"""


def namespace(name: str, labels: str = "{}") -> str:
    return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}\n"


def policy(name: str, spec: str, namespace: str = "default") -> str:
    return f"""apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


def node(name: str, address: str) -> str:
    status = f"{{addresses: [{{type: InternalIP, address: {address}}}]}}"
    return f"apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nstatus: {status}\n"


def corefile(domain: str) -> str:
    return f"""apiVersion: v1
kind: ConfigMap
metadata: {{name: coredns, namespace: kube-system}}
data:
  Corefile: |
    .:53 {{
        errors
        kubernetes {domain} in-addr.arpa ip6.arpa {{
           pods insecure
        }}
        forward . /etc/resolv.conf
    }}
"""


KUBE_DNS = """apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: 10.96.0.10
  selector: {k8s-app: kube-dns}
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
"""
CORE_DNS = pod("coredns-1", "kube-system", "{k8s-app: kube-dns}")
DNS = (KUBE_DNS, CORE_DNS, corefile("cluster.local"))

WEBSERVER = (
    pod("webserver", labels="{run: webserver}", ports="[{containerPort: 80}]"),
    service("webserver"),
    pod("testpod"),
)
INTERGINX = (
    pod("interginx", labels="{run: interginx}"),
    service("interginx"),
    pod("remotebox", "remote", "{run: remotebox}"),
)


# --- names


@pytest.mark.parametrize("more", [(), DNS], ids=["dns-not-known", "dns"])
def test_1_a_service_of_the_own_namespace(explain: Explain, more: tuple[str, ...]) -> None:
    answer = explain("default/testpod", "webserver:80", *WEBSERVER, *more)
    assert answer["allowed"] is True
    assert answer["port"] == 80
    assert steps(answer) == {"lookup": True, "service": True, "egress": True, "ingress": True}


@pytest.mark.parametrize("more", [(), DNS], ids=["dns-not-known", "dns"])
def test_2_a_short_name_from_another_namespace(explain: Explain, more: tuple[str, ...]) -> None:
    answer = explain("remote/remotebox", "interginx:80", *INTERGINX, *more)
    assert answer["allowed"] is False
    failing = first_failing(answer)
    assert failing["step"] == "lookup"
    assert failing["says"] == (
        "interginx does not resolve: looked up as interginx.remote.svc.cluster.local, which is not there; "
        "Service interginx is in default"
    )
    assert failing["needed"] == "write interginx.default, or in full interginx.default.svc.cluster.local"
    assert answer["egress"] is answer["ingress"] is None


@pytest.mark.parametrize(
    "name",
    [
        "interginx.default",
        "interginx.default.svc",
        "interginx.default.svc.cluster.local",
        "InterGinx.default.svc.cluster.local.",
    ],
)
def test_2_the_name_with_its_namespace(explain: Explain, name: str) -> None:
    assert explain("remote/remotebox", f"{name}:80", *INTERGINX, *DNS)["allowed"] is True


def test_2_with_a_dot_at_the_end_no_search_path_is_tried(explain: Explain) -> None:
    answer = explain("remote/remotebox", "interginx.default.", *INTERGINX, *DNS)
    assert answer["allowed"] is None
    assert answer["steps"][0]["needed"] == "write interginx.default"
    assert first_failing(explain("default/interginx", "interginx.", *INTERGINX, *DNS))["needed"] == "write interginx"


def test_2_another_cluster_domain(explain: Explain) -> None:
    other = (KUBE_DNS, CORE_DNS, corefile("example.org"))
    old = explain("remote/remotebox", "interginx.default.svc.cluster.local", *INTERGINX, *other)
    assert old["allowed"] is False
    assert "cluster.local is not this cluster's domain, which is example.org" in first_failing(old)["says"]
    assert first_failing(old)["needed"] == "write interginx.default.svc.example.org"
    assert explain("remote/remotebox", "interginx.default.svc.example.org:80", *INTERGINX, *other)["allowed"] is True
    short = first_failing(explain("remote/remotebox", "interginx", *INTERGINX, *other))
    assert "interginx.remote.svc.example.org" in short["says"]
    assert "interginx.default.svc.example.org" in short["needed"]


def test_2_an_external_name_at_the_old_domain(netadmit: Command, explain: Explain) -> None:
    alias = """apiVersion: v1
kind: Service
metadata: {name: alias, namespace: remote}
spec: {type: ExternalName, externalName: interginx.default.svc.cluster.local}
"""
    state = (*INTERGINX, KUBE_DNS, CORE_DNS, corefile("example.org"))
    netadmit.write("alias.yaml", alias)
    netadmit.write("cluster.yaml", *state)
    checked = netadmit("check", "alias.yaml", "--cluster", "cluster.yaml", "--complete", "-o", "json")
    assert [f["check"] for f in checked.json["findings"]] == ["external-name-not-found"]
    failing = first_failing(explain("remote/remotebox", "alias:80", *state, alias))
    assert failing["step"] == "lookup"
    assert "an ExternalName for interginx.default.svc.cluster.local" in failing["says"]
    assert "cluster.local is not this cluster's domain" in failing["says"]


def test_3_the_dns_service_is_found_by_its_objects(explain: Explain) -> None:
    """Other labels, another number behind port 53: what the Service selects decides."""
    renamed = (
        KUBE_DNS.replace(", labels: {k8s-app: kube-dns}", "").replace("{k8s-app: kube-dns}", "{app: names}")
        .replace("protocol: UDP}", "protocol: UDP, targetPort: 5353}")
        .replace("protocol: TCP}", "protocol: TCP, targetPort: 5353}")
        .replace("name: kube-dns", "name: cluster-dns"),
        pod("names-1", "kube-system", "{app: names}"),
    )  # fmt: skip
    egress = policy(
        "egress",
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]},"
        " {to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: names}}}],"
        " ports: [{port: NUMBER, protocol: UDP}]}]}",
    )
    right = explain("default/testpod", "webserver:80", *WEBSERVER, *renamed, egress.replace("NUMBER", "5353"))
    assert right["allowed"] is True
    assert right["steps"][0]["ok"] is True
    wrong = explain("default/testpod", "webserver:80", *WEBSERVER, *renamed, egress.replace("NUMBER", "53"))
    assert first_failing(wrong)["step"] == "lookup"
    assert "kube-system/cluster-dns, UDP 5353 of its pods" in first_failing(wrong)["says"]
    assert first_failing(wrong)["needed"].endswith("podSelector app=names on UDP 5353 and TCP 5353")


# --- no policy, and what a policy does


def test_4_without_policies_every_pod_reaches_every_pod(explain: Explain) -> None:
    pods = [("default", "a"), ("default", "b"), ("other", "c")]
    documents = [pod(name, namespace) for namespace, name in pods]
    for src in pods:
        for dst in pods:
            answer = explain("/".join(src), "/".join(dst), *documents)
            assert answer["allowed"] is True
            assert answer["ports"] == ["all"]


def test_5_selected_and_matched_by_no_rule(explain: Explain) -> None:
    documents = [
        pod("db", labels="{app: db}"),
        pod("web", labels="{app: web}"),
        pod("job", labels="{app: job}"),
        pod("other", labels="{app: other}"),
    ]
    nobody = policy("nobody", "{podSelector: {matchLabels: {app: db}}}")
    assert explain("default/web", "default/db", *documents, nobody)["allowed"] is False
    assert explain("default/web", "default/other", *documents, nobody)["allowed"] is True
    # What a policy says of ingress leaves egress as it was.
    assert explain("default/db", "default/web", *documents, nobody)["allowed"] is True


def test_5_two_policies_are_their_union_in_any_order(explain: Explain) -> None:
    documents = [pod(name, labels=f"{{app: {name}}}") for name in ("db", "web", "job", "other")]
    each = [
        policy(name, f"{{podSelector: {{matchLabels: {{app: db}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: "
                     f"{{app: {name}}}}}}}]}}]}}")
        for name in ("web", "job")
    ]  # fmt: skip
    for policies in (each, each[::-1]):
        allowed = {name: explain(f"default/{name}", "default/db", *documents, *policies) for name in ("web", "job")}
        assert all(answer["allowed"] for answer in allowed.values())
        rules = {r["name"]: r["rule"] for r in allowed["web"]["ingress"]["policies"]}
        assert rules == {"default/web": 0, "default/job": None}
        assert explain("default/other", "default/db", *documents, *policies)["allowed"] is False


def test_6_a_label_that_opens_the_way(netadmit: Command, explain: Explain) -> None:
    access = policy(
        "access",
        "{podSelector: {matchLabels: {run: nginx}},"
        " ingress: [{from: [{podSelector: {matchLabels: {access: 'true'}}}]}]}",
    )
    nginx = (pod("nginx", labels="{run: nginx}"), service("nginx"), access)
    before = (*nginx, pod("busybox", labels="{run: busybox}"))
    after = (*nginx, pod("busybox", labels="{run: busybox, access: 'true'}"))
    refused = explain("default/busybox", "nginx:80", *before)
    assert refused["allowed"] is False
    assert first_failing(refused)["step"] == "ingress"
    assert "default/Pod/busybox lacks the label access=true" in first_failing(refused)["details"][0]
    assert explain("default/busybox", "nginx:80", *after)["allowed"] is True
    changed = netadmit(
        "diff", netadmit.write("before.yaml", *before), netadmit.write("after.yaml", *after), "-o", "json"
    )
    assert changed.json == {
        "added": [{"src": "default/Pod/busybox", "dst": "default/Pod/nginx", "ports": ["all"]}],
        "removed": [],
    }


def test_7_a_pod_reaches_itself_and_its_own_node(explain: Explain) -> None:
    alone = policy(
        "alone",
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}",
    )
    documents = (
        pod("web", labels="{run: web}", more="nodeName: node-1, "),
        service("web"),
        pod("other", more="nodeName: node-2, "),
        alone,
        node("node-1", "10.0.0.1"),
        node("node-2", "10.0.0.2"),
    )
    assert explain("default/web", "default/web", *documents)["allowed"] is True
    assert explain("default/web", "default/Service/web", *documents)["allowed"] is True
    assert explain("ip:10.0.0.1", "default/web", *documents)["allowed"] is True
    assert explain("default/web", "ip:10.0.0.1", *documents)["allowed"] is True
    assert explain("ip:10.0.0.2", "default/web", *documents)["allowed"] is False
    assert explain("default/other", "default/web", *documents)["allowed"] is False


def test_8_egress_without_rules_cuts_dns_first(explain: Explain) -> None:
    deny = policy("deny-all", "{podSelector: {matchLabels: {run: client}}, policyTypes: [Ingress, Egress]}")
    client = pod("client", labels="{run: client}")
    answer = explain("default/client", "webserver:80", *WEBSERVER, client, *DNS, deny)
    assert answer["allowed"] is False
    failing = first_failing(answer)
    assert failing["step"] == "lookup"
    assert failing["says"] == (
        "default/client cannot ask the cluster's DNS (Service kube-system/kube-dns, UDP 53 of its pods): "
        "NetworkPolicy default/deny-all cuts its egress there"
    )
    assert failing["needed"] == (
        "an egress rule to namespaceSelector kubernetes.io/metadata.name=kube-system with podSelector k8s-app=kube-dns "
        "on UDP 53 and TCP 53"
    )
    # Without the name it is egress that fails.
    assert (
        first_failing(explain("default/client", "default/webserver", *WEBSERVER, client, *DNS, deny))["step"]
        == "egress"
    )


def test_9_a_policy_that_lands_in_default(netadmit: Command) -> None:
    elsewhere = policy("api", "{podSelector: {matchLabels: {app: api}}}").replace(", namespace: default", "")
    state = netadmit.write("cluster.yaml", pod("api", "shop", "{app: api}"), namespace("shop"), namespace("default"))
    checked = netadmit("check", netadmit.write("p.yaml", elsewhere), "--cluster", state, "--complete", "-o", "json")
    (finding,) = checked.json["findings"]
    assert finding["check"] == "selector-matches-nothing"
    assert "namespace shop" in finding["message"]


# --- between namespaces


def test_10_a_lone_pod_selector_means_the_own_namespace(explain: Explain) -> None:
    documents = (
        pod("nwp-nginx", labels="{run: nwp-nginx}"),
        service("nwp-nginx"),
        pod("nwp-busybox", "nwp-namespace", "{app: nwp-busybox}"),
        pod("labelled", labels="{app: nwp-busybox}"),
    )
    admits = policy(
        "access-nginx",
        "{podSelector: {matchLabels: {run: nwp-nginx}},"
        " ingress: [{from: [{podSelector: {matchLabels: {app: nwp-busybox}}}]}]}",
    )
    short = explain("nwp-namespace/nwp-busybox", "nwp-nginx", *documents)
    assert first_failing(short)["step"] == "lookup"
    full = "nwp-nginx.default.svc.cluster.local:80"
    assert explain("nwp-namespace/nwp-busybox", full, *documents)["allowed"] is True
    refused = explain("nwp-namespace/nwp-busybox", full, *documents, admits)
    assert refused["allowed"] is False
    assert first_failing(refused)["step"] == "ingress"
    assert first_failing(refused)["details"][0].endswith(
        "; without a namespaceSelector only pods of namespace default are meant"
    )
    assert explain("default/labelled", "nwp-nginx:80", *documents, admits)["allowed"] is True


LAB = (
    namespace("default"),
    namespace("restricted"),
    namespace("third"),
    pod("lab9server", "restricted", "{run: lab9server}", "[{containerPort: 80}]"),
    service("lab9server", "restricted"),
    pod("sleepybox1", labels="{access: 'yes'}"),
    pod("sleepybox2", labels="{access: noway}"),
    pod("sleepybox3", "third", "{access: 'yes'}"),
)
MYNP = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mynp, namespace: restricted}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: default
          podSelector:
            matchLabels:
              access: "yes"
      ports:
        - port: 80
  egress:
    - {}
"""
NAME = "lab9server.restricted:80"


def test_11_the_lab(explain: Explain) -> None:
    documents = (*LAB, *DNS, MYNP)
    allowed = {
        s: explain(s, NAME, *documents) for s in ("default/sleepybox1", "default/sleepybox2", "third/sleepybox3")
    }
    assert {src: answer["allowed"] for src, answer in allowed.items()} == {
        "default/sleepybox1": True,
        "default/sleepybox2": False,
        "third/sleepybox3": False,
    }
    assert first_failing(allowed["default/sleepybox2"])["step"] == "ingress"
    assert "has access=noway" in first_failing(allowed["default/sleepybox2"])["details"][0]
    assert explain("restricted/lab9server", "https://example.com", *documents)["allowed"] is True


def check(netadmit: Command, text: str) -> Outcome:
    """Applies a variant of the policy to the lab."""
    state = netadmit.write("lab.yaml", *LAB, *DNS)
    return netadmit(
        "check", netadmit.write("mynp.yaml", text), "--cluster", state, "--complete", "--notes", "-o", "json"
    )


def test_11_the_selectors_as_two_items(netadmit: Command, explain: Explain) -> None:
    twice = MYNP.replace("          podSelector:\n", "        - podSelector:\n")
    assert "peers-or-not-and" in [f["check"] for f in check(netadmit, twice).json["findings"]]
    assert explain("default/sleepybox2", NAME, *LAB, twice)["allowed"] is True


def test_11_a_label_that_no_namespace_has(netadmit: Command, explain: Explain) -> None:
    named = MYNP.replace("kubernetes.io/metadata.name: default", "name: default")
    (finding,) = check(netadmit, named).json["findings"]
    assert finding["check"] == "namespace-not-found"
    assert "kubernetes.io/metadata.name" in finding["message"] + finding["remedy"]
    refused = first_failing(explain("default/sleepybox1", NAME, *LAB, named))
    assert refused["details"][0].endswith("namespace default lacks the label name=default")


def test_11_another_port(netadmit: Command, explain: Explain) -> None:
    other = MYNP.replace("port: 80", "port: 8080")
    found = {f["check"] for f in check(netadmit, other).json["findings"]}
    assert found & {"port-not-declared", "service-port-not-pod-port"}
    refused = first_failing(explain("default/sleepybox1", NAME, *LAB, other))
    assert refused["details"][0].endswith("on TCP 8080; not on TCP 80")


def test_11_a_service_of_another_port_than_its_pods(explain: Explain) -> None:
    moved = tuple(d.replace("port: 80, targetPort: 80", "port: 8080, targetPort: 80") for d in LAB)
    answer = explain("default/sleepybox1", "lab9server.restricted:8080", *moved, MYNP)
    assert answer["allowed"] is True
    assert answer["steps"][1]["says"] == (
        "Service restricted/lab9server sends TCP 8080 to port 80 of restricted/Pod/lab9server"
    )
    wrong = explain("default/sleepybox1", NAME, *moved, MYNP)
    assert first_failing(wrong) == {
        "step": "service",
        "ok": False,
        "says": "Service restricted/lab9server has no port TCP 80; it has TCP 8080, which leads to 80",
        "needed": "write lab9server.restricted:8080",
    }


def test_11_egress_without_rules(explain: Explain) -> None:
    closed = MYNP.replace("  egress:\n    - {}\n", "")
    outside = explain("restricted/lab9server", "https://example.com", *LAB, *DNS, closed)
    assert first_failing(outside)["step"] == "lookup"
    assert explain("default/sleepybox1", NAME, *LAB, *DNS, closed)["allowed"] is True


def test_11_a_boolean_for_a_text(netadmit: Command) -> None:
    outcome = check(netadmit, MYNP.replace('"yes"', "yes"))
    assert outcome.code == 1
    (finding,) = [f for f in outcome.json["findings"] if f["level"] == "error"]
    assert finding["check"] == "refused-by-api"
    assert (finding["source"]["file"], finding["source"]["line"]) == ("mynp.yaml", 14)
