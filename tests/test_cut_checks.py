"""Corner cases of the checks on what a policy cuts: Services, Ingress backends, webhooks, and what goes with a rule."""

from typing import Any

import pytest
import yaml

from webhook.check import Disclosure, Finding, Level, TooLargeError, View
from webhook.checks import all_checks
from webhook.config import Config
from webhook.model.cluster import Cluster
from webhook.model.objects import NETWORK_POLICY, NetworkPolicy
from webhook.model.parse import convert
from webhook.model.review import Request
from webhook.pipeline import Judge

from .test_port_checks import Case, deployment, number, pod, policy, selecting, service

CUTS = ("cuts-ingress-backend", "cuts-on-removal", "cuts-service", "cuts-webhook")


def running(name: str, *ports: dict[str, Any], ready: bool = True, ip: str = "", **more: Any) -> dict[str, Any]:
    made = pod(name, *ports, **more)
    made["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
    made["status"] |= {"podIP": ip} if ip else {}
    return made


def owned(made: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    made["metadata"]["ownerReferences"] = [{"kind": kind, "name": name, "controller": True}]
    return made


def terminating(made: dict[str, Any]) -> dict[str, Any]:
    made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return made


def objects(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def levels(found: list[Finding]) -> list[Level | None]:
    return [finding.level for finding in found]


API = running("api-0", number(8080, name="http"))
WEB = running("web-0")
TO_API = service("api", {"port": 80, "targetPort": "http"})
ONLY_WEB = policy(ingress=[{"from": [{"podSelector": selecting("web")}]}])
NOBODY = policy(ingress=[{"from": [{"podSelector": selecting("nobody")}]}])
DENY = policy("", "default-deny", policyTypes=["Ingress"])


# --- cuts-service


@pytest.mark.parametrize(
    ("cluster", "speaks"),
    [
        pytest.param([API, WEB, TO_API], True, id="a named targetPort"),
        pytest.param([API, WEB, service("api", {"port": 8080})], True, id="no targetPort"),
        pytest.param(
            [API, WEB, service("api", {"port": 80, "targetPort": 8080}, clusterIP="None")], True, id="headless"
        ),
        pytest.param([API, WEB, service("api", clusterIP="None")], True, id="headless without ports"),
        pytest.param([API, WEB, service("api", {"port": 80, "targetPort": "htpt"})], False, id="a port of no pod"),
        pytest.param([API, WEB, service("api", type="ExternalName")], False, id="ExternalName"),
        pytest.param([API, WEB, service("other", {"port": 80})], False, id="another's Service"),
        pytest.param([API, TO_API], False, id="nobody was there"),
        pytest.param([API, TO_API, running("proxy-0", hostNetwork=True)], False, id="only nodes were there"),
        pytest.param([API, TO_API, deployment("web")], False, id="clients yet to come, of which it is not known"),
        pytest.param([API, service("api", {"port": 8080}, type="NodePort")], True, id="only the outside was there"),
        pytest.param([API, WEB, running("api-1"), service("api", {"port": 8080})], True, id="two backends"),
        pytest.param(
            [API, WEB, running("api-1", hostNetwork=True), service("api", {"port": 8080})], False, id="one is a node"
        ),
        pytest.param([running("api-0", ready=False), WEB, service("api", {"port": 80})], True, id="none is ready yet"),
        pytest.param(
            [running("api-0", ready=False), running("api-1", app="api"), WEB, service("api", {"port": 80})],
            True,
            id="those that are not ready do not count",
        ),
        pytest.param([terminating(running("api-0")), WEB, service("api", {"port": 80})], False, id="on their way out"),
        pytest.param([deployment("api"), WEB, service("api", {"port": 80})], False, id="before its workload"),
    ],
)
def test_which_services_are_cut(cluster: list[dict[str, Any]], speaks: bool) -> None:
    assert bool(Case(cluster).says("cuts-service", NOBODY)) is speaks


def test_pods_of_one_service_may_be_its_clients() -> None:
    ring = policy(ingress=[{"from": [{"podSelector": selecting("api")}]}])
    assert Case([API, running("api-1", number(8080, name="http")), WEB, TO_API]).says("cuts-service", ring) == []
    assert Case([API, WEB, TO_API]).says("cuts-service", ring), "a single pod is no client of its own"
    assert Case([API, deployment("api"), WEB, TO_API]).says("cuts-service", ring), "nor is its template"


def test_the_outside_is_a_client_while_it_is_let_in() -> None:
    outside = policy(ingress=[{"from": [{"ipBlock": {"cidr": "172.16.0.0/12"}}]}])
    assert Case([API, WEB, TO_API]).says("cuts-service", outside) == []


def test_clients_of_other_namespaces_are_not_named() -> None:
    there = running("web-0", namespace="front")
    for disclosure in Disclosure:
        (finding,) = Case([API, there, TO_API], disclosure=disclosure).says("cuts-service", NOBODY)
        assert "pods of other namespaces could reach it" in finding.detail
        assert "front" not in finding.line


def test_pods_of_other_namespaces_that_nothing_kept_out_are_no_clients_yet() -> None:
    """ "Only from this namespace", and a policy that is there before those it lets in: both are often meant."""
    there = running("web-0", namespace="front")
    from_there = policy(ingress=[{"from": [{"namespaceSelector": {}}]}])
    within = policy(ingress=[{"from": [{"podSelector": {}}]}])
    port = {"port": 8080}
    for new in (within, NOBODY):
        assert levels(Case([API, there, TO_API]).says("cuts-service", new)) == [Level.NOTE]
        assert levels(Case([API, there, service("api", port, type="NodePort")]).says("cuts-service", new)) == [
            Level.WARNING
        ]
        assert levels(Case([API, there, TO_API]).says("cuts-service", new, from_there)) == [Level.WARNING]
    assert levels(Case([API, WEB, there, TO_API]).says("cuts-service", NOBODY)) == [Level.WARNING]


def test_a_service_that_others_fill() -> None:
    bare = service("api", {"port": 80, "targetPort": 8080})
    del bare["spec"]["selector"]
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "api-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "api"}},
        "endpoints": [{"addresses": ["10.0.0.1"]}],
    }
    api = running("api-0", number(8080, name="http"), ip="10.0.0.1")
    assert Case([api, WEB, bare, slice_]).says("cuts-service", NOBODY)
    elsewhere = {**slice_, "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["192.0.2.1"]}]}
    assert Case([api, WEB, bare, elsewhere]).says("cuts-service", NOBODY) == [], "one of them is no pod of ours"
    assert Case([api, WEB, bare]).says("cuts-service", NOBODY) == []


def test_several_services_are_one_finding() -> None:
    many = [service(f"api-{i}", {"port": 8080}, selector={"app": "api"}) for i in range(5)]
    (finding,) = Case([API, WEB, *many]).says("cuts-service", NOBODY)
    assert "Services api-0, api-1, api-2 and 2 more; allow those it needs (until now Pod/web-0 could" in finding.story


@pytest.mark.parametrize(
    ("new", "level"),
    [
        pytest.param(policy(policyTypes=["Ingress"]), Level.NOTE, id="no rule"),
        pytest.param(policy(), Level.NOTE, id="nothing at all"),
        pytest.param(policy(policyTypes=["Ingress", "Egress"], egress=[{}]), Level.NOTE, id="no rule for ingress"),
        pytest.param(NOBODY, Level.WARNING, id="a rule"),
    ],
)
def test_what_is_stated_is_a_note(new: dict[str, Any], level: Level) -> None:
    assert levels(Case([API, WEB, TO_API]).says("cuts-service", new)) == [level]


def test_what_is_not_known_is_a_note() -> None:
    case = Case([API, WEB, TO_API], complete=False)
    ctx = case.context(NOBODY)
    check = next(c for c in all_checks() if c.id == "cuts-service")
    assert levels(list(check.run(ctx))) == [Level.NOTE]
    assert ctx.unknown == {
        "policies and pods: not all are known, so whether a Service loses its clients was not judged"
    }


def test_an_administrator_may_have_cut_it_already() -> None:
    (tier,) = objects("""
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: deny}
spec:
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
""")
    assert Case([API, WEB, TO_API, tier]).says("cuts-service", NOBODY) == []


@pytest.mark.parametrize("check", CUTS)
def test_where_nothing_is_enforced_nothing_is_cut(check: str) -> None:
    (flannel,) = objects("""
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-flannel-ds, namespace: kube-flannel}
spec:
  template:
    metadata: {labels: {app: flannel}}
    spec: {containers: [{name: kube-flannel, image: "docker.io/flannel/flannel:v0.26.0"}]}
""")
    state = [*guarded(), *fronted(), DENY]
    old = {**ONLY_WEB, "metadata": {"name": "np", "namespace": "shop"}}
    new, before = (None, old) if check == "cuts-on-removal" else (NOBODY, None)
    cluster = state if check == "cuts-on-removal" else state[:-1]
    assert Case(cluster).says(check, new, before)
    assert Case([*cluster, flannel]).says(check, new, before) == []


@pytest.mark.parametrize("check", CUTS)
def test_an_audit_changes_nothing(check: str) -> None:
    assert Case([*guarded(), *fronted(), NOBODY]).says(check, NOBODY, view=View.AUDIT) == []


# --- files: all policies arrive together


def checked(cluster: list[dict[str, Any]], *arriving: dict[str, Any], check: str) -> dict[str, list[Level | None]]:
    """What is said of each policy of some files that are applied on top of a cluster."""
    case = Case([*cluster, *arriving])
    found = {}
    for each in arriving:
        ctx = case.context(each, view=View.CHECK)
        for other in arriving:
            record = convert(NETWORK_POLICY, other)
            assert isinstance(record, NetworkPolicy)
            ctx.cluster.arriving_policies[record.key] = None
        found[each["metadata"]["name"]] = levels(list(next(c for c in all_checks() if c.id == check).run(ctx)))
    return found


def test_in_files_the_policies_count_together() -> None:
    cluster = [API, WEB, TO_API]
    assert checked(cluster, DENY, ONLY_WEB, check="cuts-service") == {"default-deny": [], "np": []}
    assert checked(cluster, NOBODY, check="cuts-service") == {"np": [Level.WARNING]}
    other = policy("web", "other", ingress=[{}])
    assert checked(cluster, NOBODY, other, check="cuts-service") == {"np": [Level.WARNING], "other": []}
    assert checked(cluster, DENY, NOBODY, check="cuts-service") == {
        "default-deny": [Level.NOTE],
        "np": [Level.NOTE],
    }, "deny all is stated: what is let in may come later"


# --- cuts-ingress-backend


def fronted(controller: str = "k8s.io/ingress-nginx", *, class_name: str = "public") -> list[dict[str, Any]]:
    return [
        API,
        WEB,
        TO_API,
        *objects(f"""
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: public}}
spec: {{controller: {controller}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: site, namespace: shop}}
spec:
  ingressClassName: "{class_name}"
  defaultBackend: {{service: {{name: api, port: {{number: 80}}}}}}
"""),
        controlling("ingress-nginx"),
    ]


def controlling(name: str, namespace: str = "edge", **more: Any) -> dict[str, Any]:
    made = running("controller-0", namespace=namespace, **more)
    made["metadata"]["labels"] = {"app.kubernetes.io/name": name}
    return made


def said_of_ingress(cluster: list[dict[str, Any]], new: dict[str, Any] = ONLY_WEB, **how: Any) -> list[Finding]:
    return Case(cluster, **how).says("cuts-ingress-backend", new)


def test_the_controller_of_a_class() -> None:
    (finding,) = said_of_ingress(fronted())
    assert finding.level is Level.WARNING
    assert "ingress-nginx in namespace edge is let in no more" in finding.means
    (finding,) = said_of_ingress(fronted(), disclosure=Disclosure.NAMESPACE)
    assert "ingress-nginx in another namespace is let in no more" in finding.means


@pytest.mark.parametrize(
    ("controller", "app"),
    [
        ("traefik.io/ingress-controller", "traefik"),
        ("haproxy.org/ingress-controller/public", "kubernetes-ingress"),
        ("haproxy-ingress.github.io/controller", "haproxy-ingress"),
        ("nginx.org/ingress-controller", "nginx-ingress"),
        ("k8s.io/internal-ingress-nginx", "ingress-nginx"),
    ],
)
def test_controllers_by_their_charts(controller: str, app: str) -> None:
    cluster = fronted(controller)
    cluster[-1] = controlling(app)
    assert levels(said_of_ingress(cluster)) == [Level.WARNING]


def test_a_controller_by_its_image_and_by_its_account() -> None:
    for spec in (
        {"containers": [{"name": "c", "image": "registry.example.com/ingress-nginx/controller:v1.13.0"}]},
        {"containers": [{"name": "c"}], "serviceAccountName": "ingress-nginx"},
    ):
        workload = deployment("edge-proxy", namespace="edge")
        workload["spec"]["template"]["spec"] = spec
        cluster = [*fronted()[:-1], running("edge-proxy-0", namespace="edge", app="edge-proxy"), workload]
        assert levels(said_of_ingress(cluster)) == [Level.WARNING]


def test_no_evidence_of_a_controller_is_a_note() -> None:
    assert levels(said_of_ingress(fronted()[:-1])) == [Level.NOTE]
    assert levels(said_of_ingress(fronted("example.com/mine"))) == [Level.NOTE]
    assert levels(said_of_ingress(fronted(class_name="gone"))) == [Level.NOTE]
    assert levels(said_of_ingress(fronted(class_name=""))) == [Level.NOTE], "no class is the default"
    default = fronted(class_name="")
    default[3]["metadata"]["annotations"] = {"ingressclass.kubernetes.io/is-default-class": "true"}
    assert levels(said_of_ingress(default)) == [Level.WARNING]


def test_the_older_annotation_names_a_class_without_an_object() -> None:
    assert levels(said_of_ingress(fronted("example.com/mine", class_name="nginx"))) == [Level.WARNING]


def test_one_of_several_controllers_is_enough() -> None:
    second = controlling("ingress-nginx", namespace="shop")
    assert said_of_ingress([*fronted(), second], policy(ingress=[{"from": [{"podSelector": {}}]}])) == []


def test_a_controller_on_its_nodes_network() -> None:
    block = policy(ingress=[{"from": [{"ipBlock": {"cidr": "192.168.0.0/16"}}]}])
    cluster = fronted()
    cluster[-1] = controlling("ingress-nginx", hostNetwork=True, ip="192.168.0.7")
    assert levels(said_of_ingress(cluster)) == [Level.WARNING]
    assert said_of_ingress(cluster, block) == []
    cluster[-1] = controlling("ingress-nginx", hostNetwork=True)
    assert levels(said_of_ingress(cluster)) == [Level.NOTE], "its address is not known"
    cluster[-1] = controlling("ingress-nginx", hostNetwork=True, ip="192.168.0.7", nodeName="n1")
    cluster[0] = running("api-0", number(8080, name="http"), nodeName="n1")
    assert said_of_ingress(cluster) == [], "a node always reaches its own pods"


def test_the_admission_webhook_of_a_controller_is_not_the_controller() -> None:
    cluster = fronted()
    cluster[-1]["metadata"]["labels"]["app.kubernetes.io/component"] = "admission-webhook"
    assert levels(said_of_ingress(cluster)) == [Level.NOTE]


def test_a_load_balancer_that_may_come_through_a_node_is_a_note() -> None:
    cluster = fronted("ingress.k8s.aws/alb")
    assert levels(said_of_ingress(cluster)) == [Level.WARNING]
    cluster[2] = service("api", {"port": 80, "targetPort": "http"}, type="NodePort")
    assert levels(said_of_ingress(cluster)) == [Level.NOTE]


def test_what_the_controller_is_no_longer_let_out_to() -> None:
    new = policy("", "np", policyTypes=["Egress"], egress=[{"to": [{"podSelector": {}}]}])
    new["metadata"]["namespace"] = "edge"
    (finding,) = said_of_ingress(fronted(), new, disclosure=Disclosure.NAMESPACE)
    assert finding.line.startswith(
        "cuts 1 Ingress of another namespace off its Service: ingress-nginx in namespace edge"
    )
    assert "api" not in finding.line
    new["spec"]["egress"] = []
    assert levels(said_of_ingress(fronted(), new)) == [Level.NOTE], "stated"
    assert said_of_ingress(fronted(), {**new, "spec": {**new["spec"], "egress": [{}]}}) == []


# --- cuts-webhook


def guarded(**spec: Any) -> list[dict[str, Any]]:
    return [
        running("api-0", number(8443, name="https"), **spec),
        WEB,
        service("api", {"port": 443, "targetPort": "https"}, {"port": 80, "targetPort": 8080}),
        *objects("""
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: secret-name}
webhooks: [{name: a.b.c, failurePolicy: Ignore, clientConfig: {service: {name: api, namespace: shop}}}]
"""),
    ]


def said_of_webhook(cluster: list[dict[str, Any]], new: dict[str, Any] = ONLY_WEB, **how: Any) -> list[Finding]:
    return Case(cluster, **how).says("cuts-webhook", new)


def test_a_webhook_is_named_only_where_others_may_be() -> None:
    (finding,) = said_of_webhook(guarded())
    assert "MutatingWebhookConfiguration secret-name sends it there, on TCP 8443" in finding.detail
    (finding,) = said_of_webhook(guarded(), disclosure=Disclosure.NAMESPACE)
    assert finding.detail.startswith("a MutatingWebhookConfiguration sends it there, on TCP 8443")


def test_only_the_webhooks_own_port_matters() -> None:
    assert said_of_webhook(guarded(), policy(ingress=[{"ports": [{"port": "https"}]}])) == []
    assert levels(said_of_webhook(guarded(), policy(ingress=[{"ports": [{"port": 8080}]}]))) == [Level.WARNING]


def test_a_tunnel_of_the_control_plane_may_still_get_through() -> None:
    agent = running("konnectivity-agent-0", namespace="kube-system", app="konnectivity-agent")
    named = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    new = policy(ingress=[{"from": [named]}])
    assert levels(said_of_webhook([*guarded(), agent], new)) == [Level.NOTE]
    assert levels(said_of_webhook([*guarded(), agent])) == [Level.WARNING]


def test_an_api_server_beside_the_pods_gets_through() -> None:
    server = running("kube-apiserver-n1", namespace="kube-system", hostNetwork=True, nodeName="n1", ip="192.168.0.1")
    server["metadata"]["labels"] = {"component": "kube-apiserver"}
    assert levels(said_of_webhook([*guarded(nodeName="n1"), server])) == [Level.NOTE]
    assert levels(said_of_webhook([*guarded(nodeName="n2"), server])) == [Level.WARNING]


# --- cuts-on-removal


def removed(
    *cluster: dict[str, Any], old: dict[str, Any] = ONLY_WEB, new: dict[str, Any] | None = None, **how: Any
) -> list[str]:
    return [f.message for f in Case([*cluster, old], **how).says("cuts-on-removal", new, old)]


def test_the_only_rule_for_a_flow() -> None:
    assert removed(API, WEB, DENY) == ["cuts Pod/web-0 -> Pod/api-0"]
    assert removed(API, WEB) == [], "nothing else isolates them"
    assert removed(API, WEB, DENY, {**ONLY_WEB, "metadata": {"name": "same", "namespace": "shop"}}) == []
    assert removed(API, WEB, DENY, complete=False) == ["cuts Pod/web-0 -> Pod/api-0"]


def test_who_does_not_run_loses_nothing() -> None:
    assert removed(API, deployment("web"), DENY) == []
    assert removed(terminating(pod("api-0")), WEB, DENY) == []
    assert removed(API, terminating(pod("web-0")), DENY) == []
    assert removed(owned(pod("api-0"), "StatefulSet", "api"), WEB, DENY) == [], "its workload is gone"
    assert removed(API, owned(pod("web-0"), "StatefulSet", "web"), DENY) == []


def test_what_an_operator_made_of_a_release_that_goes() -> None:
    old = {**ONLY_WEB, "metadata": {**ONLY_WEB["metadata"], "labels": {"app.kubernetes.io/managed-by": "Helm"}}}
    assert removed(owned(pod("api-0"), "Postgresql", "api"), WEB, DENY, old=old) == []
    assert removed(owned(pod("api-0"), "Postgresql", "api"), WEB, DENY)
    there = policy(ingress=[{"from": [{"namespaceSelector": {}}]}])
    there["metadata"] = old["metadata"]
    client = owned(pod("web-0", namespace="front"), "Rollout", "web")
    assert removed(API, client, DENY, old=there), "what is of another namespace is not of the release, as far as known"


def test_an_update() -> None:
    for new, level in ((NOBODY, Level.WARNING), (policy(policyTypes=["Ingress"]), Level.NOTE)):
        found = Case([API, WEB, ONLY_WEB]).says("cuts-on-removal", new, ONLY_WEB)
        assert levels(found) == [level]
    assert removed(API, WEB, new={**ONLY_WEB, "metadata": {**ONLY_WEB["metadata"], "labels": {"a": "b"}}}) == []
    wider = policy(ingress=[{"from": [{"podSelector": {}}]}])
    assert removed(API, WEB, new=wider) == []
    both = policy(policyTypes=["Ingress", "Egress"], ingress=ONLY_WEB["spec"]["ingress"])
    assert removed(API, WEB, new=both) == [], "what a new direction isolates, no rule had allowed"


def test_ports_that_nobody_listens_on_are_no_loss() -> None:
    narrowed = policy(ingress=[{"from": [{"podSelector": selecting("web")}], "ports": [{"port": 8080}]}])
    assert removed(API, WEB, new=narrowed) == []
    others = {**narrowed, "metadata": {"name": "narrow", "namespace": "shop"}}
    others["spec"] = {**others["spec"], "ingress": [{"ports": [{"port": 9090}]}]}
    assert removed(API, WEB, others) == ["cuts Pod/web-0 -> Pod/api-0 on TCP 8080"]


def test_ports_that_move_are_no_loss_yet() -> None:
    """A release that renames a port, or gives it another number, sends its policies first."""
    old = policy(ingress=[{"from": [{"podSelector": selecting("web")}], "ports": [{"port": "http"}]}])
    for port in ("http-web", 9090):
        new = policy(ingress=[{"from": [{"podSelector": selecting("web")}], "ports": [{"port": port}]}])
        assert removed(API, WEB, old=old, new=new) == []
        case = Case([*fronted(), *guarded()[3:], old])
        assert levels(case.says("cuts-service", new, old)) == [Level.NOTE]
        created = {**new, "metadata": {**new["metadata"], "labels": {"app.kubernetes.io/managed-by": "Helm"}}}
        assert levels(Case([API, WEB, TO_API]).says("cuts-service", created)) == [Level.NOTE]
        assert levels(Case([API, WEB, TO_API]).says("cuts-service", new)) == [Level.WARNING], "nobody says that they do"
    egress = [{"to": [{"podSelector": selecting("api")}], "ports": [{"port": 8080}]}]
    out = policy("web", "out", policyTypes=["Egress"], egress=egress)
    moved = policy("web", "out", policyTypes=["Egress"], egress=[{**egress[0], "ports": [{"port": 9090}]}])
    assert removed(API, WEB, old=out, new=moved) == []
    assert levels(Case([API, WEB, TO_API, ONLY_WEB, out]).says("cuts-service", moved, out)) == [Level.NOTE]


def test_a_flow_with_both_ends_in_the_policy_is_told_once() -> None:
    peer = [{"podSelector": {}}]
    both = policy("", policyTypes=["Ingress", "Egress"], ingress=[{"from": peer}], egress=[{"to": peer}])
    deny = policy("", "deny", policyTypes=["Ingress", "Egress"])
    found = removed(API, WEB, deny, old=both)
    assert found == ["cuts Pod/web-0 -> Pod/api-0 and 1 more"]


def test_others_workloads_are_counted() -> None:
    from_all = policy(ingress=[{"from": [{"namespaceSelector": {}}]}])
    there = [owned(pod(f"web-{i}", namespace="front"), "Rollout", "web") for i in range(3)]
    assert removed(API, *there, DENY, old=from_all, disclosure=Disclosure.NAMESPACE) == [
        "cuts 1 workload in another namespace -> Pod/api-0"
    ]


# --- through the whole judge


def test_a_chart_that_comes_before_its_workloads_is_not_spoken_of() -> None:
    cluster = Cluster.of([convert(f"{o['apiVersion']}/{o['kind']}", o) for o in [WEB, TO_API]], complete=True)
    new = convert(NETWORK_POLICY, NOBODY)
    assert isinstance(new, NetworkPolicy)
    request = Request(uid="1", operation="CREATE", kind=NETWORK_POLICY, namespace="shop", name="np", new=new)
    judgement = Judge(Config()).admit(request, cluster)
    assert [r.check for r in judgement.verdict.rulings if r.check in CUTS] == []


@pytest.mark.parametrize("check", ["cuts-service", "cuts-ingress-backend", "cuts-webhook"])
def test_what_is_too_much_is_paid_for(check: str) -> None:
    ctx = Case([*guarded(), *fronted()]).context(NOBODY)
    ctx.steps = 60
    with pytest.raises(TooLargeError):
        list(next(c for c in all_checks() if c.id == check).run(ctx))


# --- whom opens-on-removal and peers-or-not-and let in


def test_an_administrators_policy_still_holds() -> None:
    (tier,) = objects("""
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
""")
    old = policy(policyTypes=["Ingress"])
    (finding,) = Case([API, WEB, tier]).says("opens-on-removal", None, old)
    assert "opens ingress of Pod/api-0 to the outside; replace" in finding.line


def test_two_dashes_let_in_whom_the_policies_of_all_sides_do() -> None:
    here, there = pod("api-0"), [pod("web-0", namespace="front"), pod("job-0", namespace="front")]
    closed = policy("job", "closed", policyTypes=["Egress"])
    closed["metadata"]["namespace"] = "front"
    named = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "front"}}}
    new = policy(ingress=[{"from": [named, {"podSelector": selecting("web")}]}])
    (finding,) = Case([here, *there]).says("peers-or-not-and", new)
    assert "2 pods of namespace front (also front/Pod/job-0), not just the 1 with app=web" in finding.detail
    (finding,) = Case([here, *there, closed]).says("peers-or-not-and", new)
    assert "two dashes mean OR: 1 pod gets in, not" in finding.message


# --- one defect, one voice


def admitted(
    cluster: list[dict[str, Any]], new: dict[str, Any], old: dict[str, Any] | None = None
) -> dict[str, list[str]]:
    """The checks that warn of a policy, each with those that it explains."""
    state = Cluster.of(map(_record, cluster), complete=True)
    request = Request(
        uid="1",
        operation="UPDATE" if old else "CREATE",
        kind=NETWORK_POLICY,
        namespace="shop",
        name="np",
        new=_policy(new),
        old=_policy(old) if old else None,
    )
    rulings = Judge(Config(disclose=Disclosure.CLUSTER)).admit(request, state).verdict.rulings
    return {r.check: sorted(r.also) for r in rulings if r.level > Level.NOTE}


def _record(data: dict[str, Any]) -> Any:
    return convert(f"{data['apiVersion']}/{data['kind']}", data)


def _policy(data: dict[str, Any]) -> NetworkPolicy:
    made = _record(data)
    assert isinstance(made, NetworkPolicy)
    return made


def namespace(name: str) -> dict[str, Any]:
    labels = {"kubernetes.io/metadata.name": name}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def from_namespace(name: str, *ports: int) -> dict[str, Any]:
    """A rule with the label that nobody sets in place of ``kubernetes.io/metadata.name``."""
    return {
        "from": [{"namespaceSelector": {"matchLabels": {"name": name}}}],
        "ports": [{"port": port} for port in ports],
    }


OTHER = running("db-0", number(5432))
TO_DB = service("db", {"port": 5432})
NAMESPACES = [namespace("shop"), namespace("edge"), namespace("clients")]


def test_an_ingress_that_loses_its_service_has_the_voice_for_it() -> None:
    assert admitted(fronted(), NOBODY) == {"cuts-ingress-backend": ["cuts-service"]}
    assert admitted([API, WEB, TO_API], NOBODY) == {"cuts-service": []}, "without an Ingress nobody else speaks"


def test_a_second_service_that_no_ingress_names_is_still_told() -> None:
    both = service("plain", {"port": 80, "targetPort": "http"}, selector={"app": "api"})
    assert admitted([*fronted(), both], NOBODY) == {"cuts-ingress-backend": ["cuts-service"], "cuts-service": []}


def test_an_ingress_whose_controller_is_not_known_leaves_the_service_its_voice() -> None:
    assert admitted(fronted("example.com/unknown"), NOBODY) == {"cuts-service": []}


def test_the_webhook_that_the_api_server_loses_has_the_voice_for_its_service() -> None:
    assert admitted([*guarded(), WEB], NOBODY) == {"cuts-webhook": ["cuts-service"]}


def test_a_namespace_label_that_nobody_sets_is_told_once() -> None:
    cluster = [*fronted(), *NAMESPACES]
    assert admitted(cluster, policy(ingress=[from_namespace("edge", 8080)])) == {
        "namespace-not-found": ["cuts-ingress-backend", "cuts-service"]
    }
    beside = policy(ingress=[from_namespace("edge", 8080), {"ports": [{"port": 9090}]}])
    assert admitted(cluster, beside) == {"namespace-not-found": ["cuts-ingress-backend", "cuts-service"]}


def test_a_mistake_in_a_rule_for_another_port_explains_nothing() -> None:
    cluster = [*fronted(), *NAMESPACES]
    metrics = policy(ingress=[from_namespace("clients", 9090), {"from": [{"podSelector": selecting("no")}]}])
    assert admitted(cluster, metrics) == {"namespace-not-found": [], "cuts-ingress-backend": ["cuts-service"]}


def test_a_mistake_explains_the_service_on_its_port_and_no_other() -> None:
    cluster = [API, WEB, OTHER, TO_API, TO_DB, *NAMESPACES]
    new = policy("", ingress=[from_namespace("clients", 5432), {"ports": [{"port": 1}]}])
    assert admitted(cluster, new) == {"namespace-not-found": ["cuts-service"], "cuts-service": []}


def test_one_wrong_label_in_both_directions_is_told_where_it_stands() -> None:
    dns = [
        namespace("kube-system"),
        service("kube-dns", {"port": 53, "protocol": "UDP"}, namespace="kube-system", selector={"app": "dns"}),
        running("dns-0", number(53, "UDP"), namespace="kube-system", ip="10.0.0.53"),
    ]
    to_dns = {
        "to": [{"namespaceSelector": {"matchLabels": {"name": "kube-system"}}}],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}],
    }
    new = policy(
        ingress=[from_namespace("clients", 8080)],
        egress=[to_dns, {"ports": [{"port": 443}]}],
        policyTypes=["Ingress", "Egress"],
    )
    told = admitted([API, WEB, TO_API, *NAMESPACES, *dns], new)
    assert set(told) == {"namespace-not-found"}


def test_a_rule_that_goes_is_not_put_down_to_a_mistake_in_one_that_stays() -> None:
    stays = from_namespace("clients", 9090)
    goes = {"from": [{"podSelector": selecting("web")}], "ports": [{"port": 8080}]}
    cluster = [API, WEB, *NAMESPACES]
    assert admitted(cluster, policy(ingress=[stays]), old=policy(ingress=[goes, stays])) == {
        "namespace-not-found": [],
        "cuts-on-removal": [],
    }
    misspelt = {"from": [{"namespaceSelector": {"matchLabels": {"name": "shop"}}}], "ports": [{"port": 8080}]}
    assert admitted(cluster, policy(ingress=[misspelt]), old=policy(ingress=[goes])) == {
        "namespace-not-found": ["cuts-on-removal"]
    }
