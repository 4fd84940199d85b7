"""Corner cases of the checks on Services, beyond the examples that document them."""

import msgspec
import pytest

from tests.test_checks import NOW, judged, rulings
from webhook.backends import group
from webhook.check import Context, Disclosure, Example, Level, Operation, View
from webhook.checks import all_checks
from webhook.config import Config
from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    JOB,
    KINDS,
    NODE,
    POD,
    REPLICA_SET,
    SERVICE,
    STATEFUL_SET,
    VALIDATING_WEBHOOKS,
    AdmissionWebhook,
    APIService,
    ConfigMap,
    Container,
    ContainerPort,
    EndpointSlice,
    HTTPRoute,
    Ingress,
    Namespace,
    Node,
    ObjectMeta,
    Pod,
    Record,
    Service,
    ServiceReference,
    WebhookConfiguration,
    Workload,
)
from webhook.model.review import Request
from webhook.pipeline import Judge

HTTP = ContainerPort(8080, "http")
METRICS = ContainerPort(9090, "metrics")
CHECKS = {check.id: check for check in all_checks()}


def workload(name: str, kind: str = DEPLOYMENT, *ports: ContainerPort, **fields: object) -> Workload:
    labels = fields.pop("labels", {"app": "shop"})
    return Workload(kind=kind, namespace="shop", name=name, labels=labels, ports=ports, **fields)  # type: ignore[arg-type]


def pod(name: str, *ports: ContainerPort, **fields: object) -> Pod:
    labels = fields.pop("labels", {"app": "shop"})
    ready = fields.pop("ready", True)
    return Pod(namespace="shop", name=name, labels=labels, ports=ports, ready=ready, phase="Running", **fields)  # type: ignore[arg-type]


def replica(deployment: str, suffix: str, *ports: ContainerPort, **fields: object) -> Pod:
    """A pod as a Deployment's ReplicaSet makes it."""
    labels = {"app": "shop", "pod-template-hash": suffix}
    owner = ("ReplicaSet", f"{deployment}-{suffix}")
    return pod(f"{deployment}-{suffix}-x", *ports, labels=labels, owner=owner, **fields)


def service(ports: str, more: str = "", selector: str = "selector: {app: shop}, ") -> Service:
    found = judged(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"
        f"spec: {{{selector}ports: [{ports}]{more}}}"
    )
    assert isinstance(found, Service)
    return found


def named(name: str, namespace: str = "shop", *, own: str = "db") -> Service:
    """An ExternalName Service."""
    found = judged(
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {own}, namespace: {namespace}}}\n"
        f"spec: {{type: ExternalName, externalName: {name}}}"
    )
    assert isinstance(found, Service)
    return found


def say(
    check: str,
    new: Service,
    *records: Record,
    old: Service | None = None,
    view: View = View.ADMISSION,
    incomplete: tuple[str, ...] = (),
    disclosure: Disclosure = Disclosure.CLUSTER,
    delete: bool = False,
    now: float | None = NOW,
) -> list[tuple[Level, str]]:
    """What one check says, as levels and lines."""
    cluster = Cluster({kind: Completeness.COMPLETE for kind in KINDS if kind not in incomplete})
    for record in records:
        cluster.put(record)
    operation = Operation.DELETE if delete else Operation.UPDATE if old else Operation.CREATE
    ctx = Context(operation, new, cluster, old=old, view=view, disclosure=disclosure, now=now)
    found = CHECKS[check]
    return [(f.level or found.level, f.story) for f in found.run(ctx)]


def levels(said: list[tuple[Level, str]]) -> list[Level]:
    return [level for level, _ in said]


# --- the workloads behind a Service ----------------------------------------------------------------------------------


def test_replica_sets_belong_to_their_deployment() -> None:
    records = [
        workload("web", DEPLOYMENT, HTTP),
        workload("web-1a2b", REPLICA_SET, METRICS, owner=("Deployment", "web")),
        replica("web", "1a2b"),
        replica("web", "3c4d"),
        pod("by-hand"),
        pod("stray", labels={"app": "shop", "debug": "yes"}),
    ]
    cluster = Cluster.of(records)
    found = group(cluster, cluster.classes("shop"))
    assert [str(b) for b in found] == ["Deployment web", "Pod stray"]
    assert len(found[0].pods) == 3
    assert found[0].declared == {HTTP}, "an old ReplicaSet does not decide"


def test_controllers_of_controllers_are_one() -> None:
    cluster = Cluster.of(
        [
            workload("es-master", STATEFUL_SET, HTTP, owner=("Elasticsearch", "es")),
            workload("es-data", STATEFUL_SET, owner=("Elasticsearch", "es")),
            workload("nightly", CRON_JOB),
            workload("nightly-1", JOB, owner=("CronJob", "nightly")),
            pod("nightly-1-x", owner=("Job", "nightly-1")),
            workload("ro-1a", REPLICA_SET, owner=("Rollout", "ro")),
            pod("ro-1a-x", owner=("ReplicaSet", "ro-1a"), labels={"app": "shop", "rollouts-pod-template-hash": "1a"}),
        ]
    )
    found = group(cluster, cluster.classes("shop"))
    assert [str(b) for b in found] == ["CronJob nightly", "Elasticsearch es", "Rollout ro"]


# --- target-port-unresolved ------------------------------------------------------------------------------------------

UNRESOLVED = "target-port-unresolved"
BY_NAME = "{port: 80, targetPort: http}"


def test_a_rollout_is_a_note_whichever_side_lacks_the_port() -> None:
    new_has = say(UNRESOLVED, service(BY_NAME), workload("web", DEPLOYMENT, HTTP), replica("web", "1a", METRICS))
    assert levels(new_has) == [Level.NOTE]
    old_has = say(UNRESOLVED, service(BY_NAME), workload("web", DEPLOYMENT, METRICS), replica("web", "1a", HTTP))
    assert levels(old_has) == [Level.NOTE]
    assert "the template of Deployment web has no TCP port http" in old_has[0][1]
    nobody = say(UNRESOLVED, service(BY_NAME), workload("web", DEPLOYMENT, METRICS), replica("web", "1a", METRICS))
    assert levels(nobody) == [Level.WARNING]


def test_a_canary_that_lacks_the_port_is_a_warning() -> None:
    said = say(UNRESOLVED, service(BY_NAME), workload("a", DEPLOYMENT, HTTP), workload("b", DEPLOYMENT, METRICS))
    assert said == [(Level.WARNING, "Deployment b has no TCP port http: no traffic to it; write targetPort: metrics")]


@pytest.mark.parametrize("other", [workload("job", JOB), workload("cron", CRON_JOB), pod("debug")])
def test_what_is_left_out_as_it_should_be_is_a_note(other: Record) -> None:
    assert levels(say(UNRESOLVED, service(BY_NAME), workload("web", DEPLOYMENT, HTTP), other)) in ([Level.NOTE], [])


def test_one_service_over_two_workloads_by_names() -> None:
    both = service("{name: a, port: 80, targetPort: http}, {name: b, port: 81, targetPort: metrics}")
    records = [workload("a", DEPLOYMENT, HTTP), workload("b", DEPLOYMENT, METRICS)]
    assert set(levels(say(UNRESOLVED, both, *records))) == {Level.NOTE}
    assert say("service-spans-workloads", both, *records) == []


@pytest.mark.parametrize(
    "new",
    [
        service("{port: 80, targetPort: 8081}"),
        service("{port: 80}"),
        service("{port: 80, targetPort: '8080'}"),
        service(BY_NAME, selector=""),
        service(BY_NAME, selector="selector: {app: other}, "),
        service(BY_NAME, ", type: ExternalName, externalName: a.example.com"),
    ],
)
def test_nothing_is_looked_up(new: Service) -> None:
    assert say(UNRESOLVED, new, workload("web", DEPLOYMENT, METRICS)) == []


def test_a_headless_service_leads_to_the_pods_all_the_same() -> None:
    new = service(BY_NAME, ", clusterIP: None")
    assert levels(say(UNRESOLVED, new, workload("web", DEPLOYMENT, METRICS))) == [Level.NOTE]


def test_a_chart_that_is_upgraded_sends_the_service_first() -> None:
    text = """
apiVersion: v1
kind: Service
metadata: {name: web-metrics, namespace: shop, labels: {app.kubernetes.io/managed-by: Helm}}
spec: {selector: {app: shop}, ports: [{port: 9090, targetPort: %s}]}
"""
    early, slip = judged(text % "metrics"), judged(text % "htpp")
    assert isinstance(early, Service)
    assert isinstance(slip, Service)
    web = workload("web", DEPLOYMENT, HTTP)
    assert levels(say(UNRESOLVED, early, web)) == [Level.NOTE]
    assert levels(say(UNRESOLVED, early, web, view=View.AUDIT)) == [Level.WARNING]
    assert levels(say(UNRESOLVED, slip, web)) == [Level.WARNING]


@pytest.mark.parametrize(
    ("labels", "before", "now", "level"),
    [
        ("{app.kubernetes.io/managed-by: Helm}", "http", "web", Level.NOTE),
        ("{app.kubernetes.io/managed-by: Helm}", "http", "https", Level.NOTE),
        ("{app.kubernetes.io/managed-by: Helm}", "http", "htpp", Level.NOTE),
        ("{app.kubernetes.io/managed-by: Helm}", "web", "web", Level.WARNING),
        ("{app.kubernetes.io/managed-by: Helm}", "", "https", Level.NOTE),
        ("{app: web}", "http", "web", Level.WARNING),
    ],
)
def test_a_port_that_changes_in_a_release_of_helm(labels: str, before: str, now: str, level: Level) -> None:
    def written(target: str) -> str:
        return f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop, labels: {labels}}}
spec: {{selector: {{app: shop}}, ports: [{{port: 80, targetPort: {target}}}]}}
"""

    new, old = judged(written(now)), judged(written(before)) if before else None
    assert isinstance(new, Service)
    assert isinstance(old, Service | None)
    web = workload("web", DEPLOYMENT, HTTP)
    assert levels(say(UNRESOLVED, new, web, old=old)) == [level]


def test_the_same_name_twice_under_two_protocols() -> None:
    both = workload("dns", DEPLOYMENT, ContainerPort(53, "dns", "UDP"), ContainerPort(53, "dns", "TCP"))
    assert (
        say(UNRESOLVED, service("{port: 53, protocol: UDP, targetPort: dns}, {port: 53, targetPort: dns}"), both) == []
    )


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_numbers_are_judged_by_the_template_not_by_injected_sidecars() -> None:
    sidecar = ContainerPort(15090, "envoy-prom")
    new = service("{port: 80, targetPort: 8080}")
    assert say("target-port-not-declared", new, workload("web"), replica("web", "1a", sidecar)) == []
    assert levels(say("target-port-not-declared", new, replica("web", "1a", sidecar))) == [Level.NOTE]


def test_another_service_takes_the_other_protocol() -> None:
    udp = workload("dns", DEPLOYMENT, ContainerPort(53, "dns", "UDP"))
    tcp_only = service("{port: 53}")
    assert levels(say("service-protocol-mismatch", tcp_only, udp)) == [Level.WARNING]
    assert levels(say("service-protocol-mismatch", service("{port: 53}", ", clusterIP: None"), udp)) == [Level.NOTE]
    itself_before = service("{port: 53, protocol: UDP}")
    assert levels(say("service-protocol-mismatch", tcp_only, udp, itself_before)) == [Level.WARNING]
    assert say("service-protocol-mismatch", service("{port: 53, targetPort: dns}"), udp) == []


# --- service-spans-workloads -----------------------------------------------------------------------------------------

SPANS = "service-spans-workloads"
NUMBER = "{port: 80, targetPort: 8080}"


def part(name: str, *ports: ContainerPort, kind: str = DEPLOYMENT, **labels: str) -> Workload:
    return workload(name, kind, *ports, labels={"app": "shop", **{k.replace("_", "-"): v for k, v in labels.items()}})


@pytest.mark.parametrize(
    "records",
    [
        [part("web", HTTP), part("web-canary", HTTP)],
        [part("web", HTTP, track="stable"), part("web-canary", track="canary")],
        [part("web", HTTP, tier="web"), part("web-canary", HTTP, tier="web-canary")],
        [part("web", HTTP, tier="web-v1"), part("web2", tier="web-v2")],
        [part("web", HTTP), part("same-labels-nothing-declared")],
        [part("web"), part("worker", tier="worker")],
        [part("web", HTTP), part("gone", METRICS), workload("web", DEPLOYMENT, HTTP)][:1],
        [part("web", HTTP), workload("idle", DEPLOYMENT, METRICS, replicas=0)],
        [part("web", HTTP), workload("done", JOB, finished=True)],
        [part("web", HTTP), pod("leaving", METRICS, owner=("StatefulSet", "old"), terminating=True)],
        [part("web", HTTP), replica("web", "1a", METRICS), replica("web", "2b", HTTP)],
        [part("web", HTTP), workload("web-1a", REPLICA_SET, METRICS, owner=("Deployment", "web"))],
        [part("web", HTTP), pod("web-0")],
        [
            workload("es-master", STATEFUL_SET, HTTP, owner=("Elasticsearch", "es")),
            workload("es-data", STATEFUL_SET, METRICS, owner=("Elasticsearch", "es")),
        ],
        [part("primary", HTTP, component="primary"), part("read", HTTP, component="read")],
        [part("gateway", HTTP, kind="apps/v1/DaemonSet"), part("gateway-extra", HTTP)],
    ],
)
def test_spanning_that_is_meant(records: list[Record]) -> None:
    assert say(SPANS, service(NUMBER), *records) == []


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([part("web", HTTP), part("cache", METRICS)], "Deployment cache, too: no port 8080 there"),
        ([part("web", HTTP), part("worker", role="worker")], "Deployment worker, too: no port 8080 there"),
        ([part("web", HTTP), part("nightly", kind=CRON_JOB)], "CronJob nightly, too"),
        ([part("web", HTTP), pod("debug", METRICS, labels={"app": "shop", "x": "y"})], "Pod debug, too"),
        (
            [part("web", HTTP, tier="web"), part("a", tier="a1x"), part("b", METRICS, tier="queue")],
            "matches Deployment a, Deployment b, too: no port 8080 there; add tier: web",
        ),
    ],
)
def test_spanning_that_breaks(records: list[Record], says: str) -> None:
    said = say(SPANS, service(NUMBER), *records)
    assert levels(said) == [Level.WARNING]
    assert says in said[0][1]


def test_a_name_that_stands_for_two_numbers() -> None:
    new = service(BY_NAME)
    web, admin = part("web", HTTP, tier="web"), part("admin", ContainerPort(9000, "http"), tier="admin")
    assert "http is" in say(SPANS, new, web, admin)[0][1]
    moved = part("web-canary", ContainerPort(9000, "http"), track="canary")
    assert say(SPANS, new, part("web", HTTP, track="stable"), moved) == []


def test_two_applications_are_told_by_what_they_are_called() -> None:
    def one(of: str, **labels: str) -> Workload:
        return workload(of, DEPLOYMENT, HTTP, labels={"team": "blue", **labels})

    new = service(NUMBER, selector="selector: {team: blue}, ")
    assert levels(say(SPANS, new, one("a", app="orders"), one("b", app="billing"))) == [Level.WARNING]
    assert say(SPANS, new, one("a", app="orders"), one("b", name="billing")) == []
    assert say(SPANS, new, one("a", app="orders-v1"), one("b", app="orders-v2")) == []
    assert say(SPANS, new, one("a", app="x", name="orders"), one("b", app="x", name="billing")) == []
    assert say(SPANS, new, one("a"), one("b")) == []


# --- endpoints -------------------------------------------------------------------------------------------------------

EMPTIES = "empties-service"
OLD = service("{port: 80}")
RUNNING = pod("web-0", ips=("10.0.0.1",))


def test_the_selector_may_go_when_others_fill_the_service() -> None:
    bare = service("{port: 80}", selector="")
    own = EndpointSlice("shop", "web-1", "web", ("10.0.0.1",))
    others = EndpointSlice("shop", "web-1", "web", ("192.0.2.1",))
    foreign = EndpointSlice("shop", "api-1", "api", ("192.0.2.1",))
    assert levels(say(EMPTIES, bare, RUNNING, own, foreign, old=OLD)) == [Level.WARNING]
    assert say(EMPTIES, bare, RUNNING, others, old=OLD) == []


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        service("{port: 80}", ", type: ExternalName, externalName: a.example.com"),
        service("{port: 81}"),
    ],
)
def test_updates_that_take_nothing_away(new: Service) -> None:
    assert say(EMPTIES, new, RUNNING, old=OLD) == []


def test_the_new_selector_matches_a_template_only() -> None:
    new = service("{port: 80}", selector="selector: {app: next}, ")
    said = say(EMPTIES, new, RUNNING, workload("next", labels={"app": "next"}), old=OLD)
    assert said == [
        (
            Level.WARNING,
            "no pod with app=next runs yet: it loses its 1 endpoint; keep app: shop",
        )
    ]
    assert say(EMPTIES, new, RUNNING, old=OLD, incomplete=(POD,)) == []
    assert say(EMPTIES, new, pod("leaving", terminating=True), old=OLD) == []


def test_services_that_somebody_else_fills() -> None:
    bare = service("{port: 80}", selector="")
    check = "service-without-endpoints"
    assert levels(say(check, bare, view=View.AUDIT)) == [Level.WARNING]
    assert levels(say(check, bare)) == [Level.NOTE]
    assert levels(say(check, bare, old=bare)) == [Level.WARNING]
    assert say(check, bare, view=View.AUDIT, incomplete=(ENDPOINT_SLICE,)) == []
    assert levels(say(check, service("{port: 80}", ", clusterIP: None", ""), old=bare)) == [Level.NOTE]
    assert say(check, service("{port: 80}"), view=View.AUDIT) == []
    for more in (
        "ownerReferences: [{kind: ServerlessService, name: x}]",
        "annotations: {service.cilium.io/global: 'true'}",
    ):
        made = judged(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop, {more}}}\n"
            "spec: {ports: [{port: 80}]}"
        )
        assert isinstance(made, Service)
        assert Level.WARNING not in levels(say(check, made, view=View.AUDIT))


def test_an_empty_selector_is_none() -> None:
    empty = service("{port: 80}", selector="selector: {}, ")
    assert levels(say("service-without-endpoints", empty, view=View.AUDIT)) == [Level.WARNING]


# --- ExternalName ----------------------------------------------------------------------------------------------------


def test_an_address_that_a_proxy_takes_without_dns() -> None:
    check, address = "external-name-is-ip", named("192.0.2.7")
    by_route = HTTPRoute("gateway", "db", (ServiceReference("shop", "db", 80),))
    by_ingress = Ingress("shop", "db", (("db", 80),))
    claims = Workload(STATEFUL_SET, "shop", "db", {}, service_name="db")
    others = [Ingress("other", "db", (("db", 80),)), HTTPRoute("gateway", "x", (ServiceReference("gateway", "db"),))]
    assert levels(say(check, address, claims, *others)) == [Level.WARNING]
    assert say(check, address, by_ingress) == []
    assert say(check, address, by_route) == []


NOT_FOUND = "external-name-not-found"
POSTGRES = service("{port: 5432}")
CORE_DNS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data: {Corefile: ".:53 {\\n  kubernetes %s in-addr.arpa\\n%s}\\n"}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
"""


def applied(name: str, domain: str = "example.org", more: str = "", view: View = View.CHECK) -> list[str]:
    example = Example(
        title="",
        cluster=CORE_DNS % (domain, more),
        object=f"apiVersion: v1\nkind: Service\nmetadata: {{name: db, namespace: shop}}\n"
        f"spec: {{type: ExternalName, externalName: {name}}}",
        view=view,
    )
    return [r.finding.line for r in rulings(example) if r.check == NOT_FOUND and r.level > Level.NOTE]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("web.shop.svc.example.org", ""),
        ("web.shop.svc.example.org.", ""),
        ("web-0.web.shop.svc.example.org", ""),
        ("kubernetes.default.svc.example.org", ""),
        ("web.shop.svc", ""),
        ("web.shop.svc.clusterset.local", ""),
        ("db.shop.svc.west.example.com", ""),
        ("api.shop.svc.west.example.com", ""),
        ("web.shop.svc.west.example.com", "write web.shop.svc.example.org"),
        ("db.shop.svc.exmple.org", "write db.shop.svc.example.org"),
        ("web.shop.svc.cluster.local", "the domain is example.org"),
        ("x.y.svc.cluster.local", "the domain is example.org"),
        ("web.shop", "write web.shop.svc.example.org"),
        ("db.shop", ""),
        ("example.com", ""),
        ("web", ""),
        ("db.shop.svc", "leads back"),
        ("api.kube-system.svc.example.org", "no Service kube-system/api"),
        ("wbe.shop.svc.example.org", "write web.shop.svc.example.org"),
    ],
)
def test_external_names(name: str, says: str) -> None:
    said = applied(name)
    assert bool(said) == bool(says), said
    assert all(says in line for line in said)


def test_a_domain_that_the_corefile_speaks_of_may_be_served() -> None:
    assert applied("web.shop.svc.cluster.local", more="  rewrite name suffix .cluster.local .example.org\\n") == []
    assert applied("web.shop.svc.west.example.com", more="  forward example.com 10.0.0.2\\n") == []
    assert applied("web.shop.svc.cluster.local", domain="$CLUSTERDOMAIN") == []
    assert applied("web.shop.svc.west.example.com", domain="$CLUSTERDOMAIN") == []


def test_absence_is_no_evidence_on_create() -> None:
    assert applied("api.shop.svc.example.org", view=View.ADMISSION) == []
    assert applied("wbe.shop.svc.example.org", view=View.ADMISSION)
    assert levels(say(NOT_FOUND, named("api.shop.svc"))) == [Level.NOTE]
    assert levels(say(NOT_FOUND, named("api.shop.svc"), old=named("api.shop.svc"))) == [Level.WARNING]


def test_names_that_lead_in_a_circle() -> None:
    there = named("db.shop.svc", "data", own="there")
    assert "leads back" in say(NOT_FOUND, named("there.data.svc"), there)[0][1]
    outside = named("db.example.com", "data", own="there")
    assert levels(say(NOT_FOUND, named("there.data.svc"), outside)) == [Level.NOTE]
    a, b = named("b.data.svc", "data", own="a"), named("a.data.svc", "data", own="b")
    assert levels(say(NOT_FOUND, named("a.data.svc"), a, b)) == [Level.NOTE], "somebody else's circle ends"


def test_other_namespaces_are_not_told() -> None:
    other = judged(
        "apiVersion: v1\nkind: Service\nmetadata: {name: postgres, namespace: vault}\nspec: {ports: [{port: 1}]}"
    )
    assert isinstance(other, Service)
    for name in ("postgers.vault.svc", "postgres.vaullt.svc"):
        for old in (None, named(name)):
            told = say(NOT_FOUND, named(name), other, old=old)
            quiet = say(NOT_FOUND, named(name), other, old=old, disclosure=Disclosure.NAMESPACE)
            assert levels(told) == levels(quiet) == [Level.WARNING]
            assert "write postgres.vault.svc" in told[0][1]
            assert "postgres.vault" not in quiet[0][1]


@pytest.mark.parametrize("name", ["192.0.2.7", "192.0.2.7."])
def test_addresses(name: str) -> None:
    assert levels(say("external-name-is-ip", named(name))) == [Level.WARNING]


@pytest.mark.parametrize("name", ["1.2.3", "1.2.3.4.example.com", "01.2.3.4x", "256.0.0.1"])
def test_what_is_no_address(name: str) -> None:
    assert say("external-name-is-ip", named(name)) == []


# --- through the whole judge -----------------------------------------------------------------------------------------


def test_external_name_services_have_one_voice_and_fit_the_line() -> None:
    long = named("a" * 63 + "." + "b" * 63 + ".svc.cluster.local", "n" * 63, own="s" * 63)
    cluster = Cluster.of([], complete=True)
    request = Request(
        uid="1", operation="UPDATE", kind=long.kind, namespace="n" * 63, name="s" * 63, new=long, old=long
    )
    said = Judge(Config()).admit(request, cluster).verdict.rulings
    assert [r.check for r in said] == [NOT_FOUND]
    assert all(len(r.line) <= 256 for r in said)


# --- service-duplicate-selector --------------------------------------------------------------------------------------

DUPLICATE = "service-duplicate-selector"


def another(
    name: str, more: str = "", ports: str = "{port: 80}", selector: str = "app: shop", meta: str = ""
) -> Service:
    found = judged(
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop{meta}}}\n"
        f"spec: {{selector: {{{selector}}}, ports: [{ports}]{more}}}"
    )
    assert isinstance(found, Service)
    return found


@pytest.mark.parametrize(
    "other",
    [
        another("web-canary"),
        another("web-stable"),
        another("internal-web"),
        another("web-hl", ", clusterIP: None"),
        another("web-np", ", type: NodePort"),
        another("web-lb", ", type: LoadBalancer"),
        another("web-discovery", ", publishNotReadyAddresses: true"),
        another("web-primary", meta=", ownerReferences: [{kind: Canary, name: web, controller: true}]"),
        another("metrics", ports="{port: 9090}"),
        another("udp", ports="{port: 80, protocol: UDP}"),
        another("direct", ports="{port: 80, targetPort: 8080}"),
        another("both", ports="{name: a, port: 80}, {name: b, port: 81}"),
        another("narrow", selector="app: shop, tier: web"),
        another("web"),
    ],
    ids=lambda other: other.metadata.name,
)
def test_pairs_that_are_meant(other: Service) -> None:
    assert say(DUPLICATE, another("web"), other, view=View.CHECK) == []


def test_a_second_service_for_the_same_pods_is_a_note_and_never_more() -> None:
    named_port = another("copy", ports="{name: http, port: 80, targetPort: 80}")
    elsewhere = judged(
        "apiVersion: v1\nkind: Service\nmetadata: {name: copy, namespace: other}\nspec: {selector: {app: shop}}"
    )
    assert isinstance(elsewhere, Service)
    for view in View:
        assert say(DUPLICATE, another("web"), named_port, elsewhere, view=view) == [
            (Level.NOTE, "Service copy has the same selector and ports; keep one of them")
        ]
    many = [another(f"copy{i}") for i in range(5)]
    assert "Services copy0, copy1, copy2 and 2 more have" in say(DUPLICATE, another("web"), *many)[0][1]
    assert (
        say(DUPLICATE, another("web", selector="app: shop", meta=", ownerReferences: [{kind: X, name: owner}]"), *many)
        == []
    )
    assert say(DUPLICATE, another("web", ", type: LoadBalancer"), another("api", ", type: LoadBalancer")) == []
    without = service("{port: 80}", selector="")
    assert say(DUPLICATE, without, another("copy", selector="")) == []


# --- external-name-fields-ignored ------------------------------------------------------------------------------------

IGNORED = "external-name-fields-ignored"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("type: ExternalName, externalName: a.example.com", []),
        ("type: ExternalName, externalName: a.example.com, selector: {}", []),
        ("type: ExternalName, externalName: a.example.com, selector: {app: x}", ["ignores its selector app=x"]),
        ("type: ExternalName, externalName: a.example.com, ports: [{port: 80}]", ["ignores its ports"]),
        ("type: ExternalName, externalName: a.example.com, ports: [{port: 80, targetPort: 80}]", ["ignores its ports"]),
        (
            "type: ExternalName, externalName: a.example.com, ports: [{port: 80}, {name: b, port: 81, targetPort: x}]",
            ["81 does not lead to x"],
        ),
        ("clusterIP: None, selector: {app: shop}, ports: [{port: 8080, targetPort: http}]", []),
        ("clusterIP: None, selector: {app: shop}, ports: [{port: 80, targetPort: nowhere}]", []),
        ("clusterIP: None, selector: {app: shop}, ports: [{port: 80, targetPort: http}]", ["ask for 8080"]),
        ("clusterIP: None, ports: [{port: 80, targetPort: 8080}]", ["ask for 8080; write port: 8080"]),
        ("clusterIP: None, selector: {app: shop}", []),
        ("selector: {app: shop}, ports: [{port: 80, targetPort: http}]", []),
        ("selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]", []),
    ],
)
def test_fields_that_nothing_reads(spec: str, says: list[str]) -> None:
    new = judged(f"apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\nspec: {{{spec}}}")
    assert isinstance(new, Service)
    said = say(IGNORED, new, workload("web", DEPLOYMENT, HTTP))
    assert levels(said) == [Level.NOTE] * len(says)
    assert all(part in line for part, (_, line) in zip(says, said, strict=True))


def test_a_proxy_reads_the_ports_of_an_external_name() -> None:
    new = another("web", ", type: ExternalName", selector="")
    assert say(IGNORED, new, Ingress("shop", "web", (("web", 80),))) == []
    assert say(IGNORED, new, HTTPRoute("edge", "web", (ServiceReference("shop", "web", 80),))) == []
    assert say(IGNORED, new, HTTPRoute("edge", "web", (ServiceReference("edge", "web", 80),)))
    assert say(IGNORED, new, workload("web", STATEFUL_SET, service_name="web")), "a StatefulSet is no proxy"


# --- hijacks-external-name -------------------------------------------------------------------------------------------

HIJACKS = "hijacks-external-name"


def plain(name: str, namespace: str) -> Service:
    found = judged(f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{}}")
    assert isinstance(found, Service)
    return found


@pytest.mark.parametrize("namespace", ["com", "net", "org", "io", "svc"])
def test_namespaces_named_after_the_outside(namespace: str) -> None:
    for view in View:
        assert levels(say(HIJACKS, plain("example", namespace), view=view)) == [Level.WARNING]
    assert Operation.UPDATE not in CHECKS[HIJACKS].operations, "neither name can change in an update"


@pytest.mark.parametrize("namespace", ["dev", "app", "shop", "cloud", "ai", "info", "local", "example-com", "default"])
def test_good_names_for_a_namespace(namespace: str) -> None:
    assert say(HIJACKS, plain("example", namespace), plain("com", namespace)) == []


def test_the_domain_of_the_cluster() -> None:
    corefile = ConfigMap("kube-system", "coredns", {"Corefile": ".:53 {\n kubernetes corp.example in-addr.arpa\n}"})
    assert levels(say(HIJACKS, plain("web", "corp"), corefile)) == [Level.WARNING]
    assert say(HIJACKS, plain("web", "example"), corefile) == []
    assert say(HIJACKS, plain("web", "cluster"), corefile) == []
    assert levels(say(HIJACKS, plain("web", "cluster"))) == [Level.NOTE], "nobody knows the domain"


def test_host_names_in_use() -> None:
    new = plain("partner", "dev")
    assert levels(say(HIJACKS, new, Ingress("edge", "x", hosts=("partner.dev",)))) == [Level.WARNING]
    assert levels(say(HIJACKS, new, HTTPRoute("edge", "x", hosts=("partner.dev",)))) == [Level.WARNING]
    assert say(HIJACKS, new, Ingress("edge", "x", hosts=("web.dev",))) == []
    for name, level in (("partner.dev", [Level.NOTE]), ("partner.dev.", [Level.NOTE]), ("www.partner.dev", [])):
        alias = named(name, own="alias")
        assert levels(say(HIJACKS, new, alias, view=View.AUDIT)) == level, "whoever wrote it meant the Service, mostly"


# --- local-traffic-black-hole ----------------------------------------------------------------------------------------

BLACK_HOLE = "local-traffic-black-hole"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
CONTROL, WORKER = Node("control", {EXCLUDED: ""}), Node("worker")
TO_OUTSIDE = service("{port: 80}", ", type: LoadBalancer, externalTrafficPolicy: Local")
WITHIN = service("{port: 80}", ", internalTrafficPolicy: Local")


def test_a_load_balancer_that_reaches_no_endpoint() -> None:
    edge = pod("edge-1", node="control")
    assert levels(say(BLACK_HOLE, TO_OUTSIDE, CONTROL, WORKER, edge)) == [Level.WARNING]
    assert levels(say(BLACK_HOLE, TO_OUTSIDE, CONTROL, WORKER, edge, old=TO_OUTSIDE)) == [Level.WARNING]
    for provider, level in (("gce://p/z/n", Level.WARNING), ("aws:///eu/i-1", Level.NOTE)):
        node = Node("worker", provider_id=provider)
        assert levels(say(BLACK_HOLE, TO_OUTSIDE, CONTROL, node, edge)) == [level], (
            "AWS may lead to the pods themselves"
        )


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([CONTROL, WORKER], id="no pod"),
        pytest.param([CONTROL, WORKER, workload("edge")], id="a template"),
        pytest.param([CONTROL, WORKER, pod("a", node="control", ready=False)], id="none is ready: a rollout"),
        pytest.param([CONTROL, WORKER, pod("a", node="control"), pod("b", ready=False)], id="one is not placed yet"),
        pytest.param([CONTROL, WORKER, pod("a", node="control"), workload("edge", replicas=2)], id="one is to come"),
        pytest.param(
            [CONTROL, WORKER, pod("a", node="control"), workload("edge", DAEMON_SET, desired=2)],
            id="a DaemonSet that is not done",
        ),
        pytest.param(
            [CONTROL, WORKER, pod("a", node="control"), pod("b", node="worker")], id="one where traffic comes"
        ),
        pytest.param([CONTROL, WORKER, pod("a", node="control"), pod("b", node="unheard-of")], id="a node not known"),
        pytest.param([CONTROL, pod("a", node="control")], id="every node is left out: that is no question of policy"),
        pytest.param([WORKER, pod("a", node="worker")], id="no node is left out"),
        pytest.param([CONTROL, WORKER, pod("a")], id="nobody knows where"),
    ],
)
def test_load_balancers_that_may_reach_one(records: list[Record]) -> None:
    for view in View:
        assert say(BLACK_HOLE, TO_OUTSIDE, *records, view=view) == []


@pytest.mark.parametrize(
    "more",
    [
        ", type: LoadBalancer",
        ", type: LoadBalancer, externalTrafficPolicy: Cluster",
        ", type: NodePort, externalTrafficPolicy: Local",
        ", internalTrafficPolicy: Cluster",
    ],
)
def test_traffic_that_is_passed_on(more: str) -> None:
    assert say(BLACK_HOLE, service("{port: 80}", more), CONTROL, WORKER, pod("a", node="control")) == []
    assert say(BLACK_HOLE, service("{port: 80}", more, ""), CONTROL, WORKER, pod("a", node="control")) == []


def test_traffic_within_that_finds_nobody() -> None:
    agent = pod("agent", node="control")
    client = Pod(namespace="other", name="web", labels={}, node="worker", phase="Running")
    assert levels(say(BLACK_HOLE, WITHIN, CONTROL, WORKER, agent, client)) == [Level.WARNING]
    daemon = msgspec.structs.replace(client, owner=("DaemonSet", "log"))
    for no_client in (
        daemon,
        msgspec.structs.replace(client, host_network=True),
        msgspec.structs.replace(client, phase="Succeeded"),
        msgspec.structs.replace(client, node="control"),
    ):
        assert say(BLACK_HOLE, WITHIN, CONTROL, WORKER, agent, no_client) == []
    beside = msgspec.structs.replace(client, name="api", node="control")
    assert say(BLACK_HOLE, WITHIN, CONTROL, WORKER, agent, client, beside) == []


def test_what_is_not_known_is_no_black_hole() -> None:
    for kind in (POD, NODE, DEPLOYMENT):
        assert say(BLACK_HOLE, TO_OUTSIDE, CONTROL, WORKER, pod("a", node="control"), incomplete=(kind,)) == []


def test_a_release_that_brings_the_policy_may_move_the_pods_as_well() -> None:
    text = (
        "apiVersion: v1\nkind: Service\n"
        "metadata: {name: web, namespace: shop, labels: {app.kubernetes.io/managed-by: Helm}}\n"
        "spec: {type: LoadBalancer, selector: {app: shop}, externalTrafficPolicy: %s}"
    )
    cluster, local = judged(text % "Cluster"), judged(text % "Local")
    assert isinstance(cluster, Service)
    assert isinstance(local, Service)
    records = (CONTROL, WORKER, pod("a", node="control"))
    assert levels(say(BLACK_HOLE, local, *records, old=cluster)) == [Level.NOTE]
    assert levels(say(BLACK_HOLE, local, *records, old=local)) == [Level.WARNING]
    assert levels(say(BLACK_HOLE, local, *records, view=View.AUDIT)) == [Level.WARNING]


# --- load-balancer-without-controller --------------------------------------------------------------------------------

PENDING = "load-balancer-without-controller"
BALANCER = another("web", ", type: LoadBalancer")


def balancer(name: str, created: str, more: str = "", *addresses: str) -> Service:
    found = another(name, ", type: LoadBalancer" + more, meta=f", creationTimestamp: '{created}'")
    return msgspec.structs.replace(found, addresses=addresses)


HOUR, MINUTE = "2025-12-31T23:00:00Z", "2025-12-31T23:59:00Z"


def controller(kind: str, name: str, image: str = "", **fields: object) -> Workload:
    containers = (Container("c", image),) if image else ()
    return Workload(kind=kind, namespace="x", name=name, labels={}, containers=containers, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "record",
    [
        Node("n", provider_id="aws:///eu-west-1a/i-0"),
        Node("n", provider_id="azure:///subscriptions/x"),
        Node("n", provider_id="gce://p/z/n"),
        Node("n", provider_id="openstack:///x"),
        Node("n", provider_id="digitalocean://1"),
        Node("n", provider_id="hcloud://1"),
        Node("n", provider_id="ocid1.instance.oc1.phx.x"),
        Node("n", provider_id="vsphere://x"),
        Node("n", annotations={"k3s.io/node-args": '["server","--flannel-backend","none"]'}, kubelet_version="v1+k3s1"),
        Node("n", annotations={"k3s.io/node-args": '["agent"]'}, kubelet_version="v1+k3s1"),
        Node("n", annotations={"k3s.io/node-args": "?"}, kubelet_version="v1+k3s1"),
        Node("n", annotations={"rke2.io/node-args": '["server","--enable-servicelb"]'}, kubelet_version="v1+rke2r1"),
        controller(DEPLOYMENT, "controller", "quay.io/metallb/controller:v0.15.2"),
        controller(DAEMON_SET, "kube-vip-ds", "mirror.example/kube-vip/kube-vip:v1"),
        controller(STATEFUL_SET, "kube-vip-cloud-provider"),
        controller(DAEMON_SET, "svclb-traefik-1a2b", "rancher/klipper-lb:v0.4.9"),
        controller(DEPLOYMENT, "aws-load-balancer-controller"),
        controller(DEPLOYMENT, "hcloud-cloud-controller-manager"),
        controller(DAEMON_SET, "cilium", "quay.io/cilium/cilium:v1.18.4"),
        controller(DAEMON_SET, "calico-node", "quay.io/calico/node:v3.32.0"),
        controller(DAEMON_SET, "kube-router", "cloudnativelabs/kube-router"),
        controller(DEPLOYMENT, "ako-0"),
        Pod(namespace="kube-system", name="kube-vip-control-1", labels={}, host_network=True),
        balancer("old", HOUR, "", "192.0.2.1"),
    ],
    ids=str,
)
def test_somebody_may_provide_load_balancers(record: Record) -> None:
    for view in View:
        assert say(PENDING, BALANCER, record, view=view) == []


@pytest.mark.parametrize(
    "record",
    [
        Node("n"),
        Node("n", provider_id="kind://docker/kind/kind-worker"),
        Node("n", provider_id="metal3://x"),
        Node("n", provider_id="k3s://n", annotations={"k3s.io/node-args": '["server","--disable=servicelb"]'}),
        Node(
            "n",
            annotations={"k3s.io/node-args": '["server","--disable","servicelb,traefik"]'},
            kubelet_version="v1+k3s1",
        ),
        Node("n", provider_id="rke2://n", annotations={"rke2.io/node-args": '["server"]'}),
        controller(DEPLOYMENT, "web", "registry.example/shop/web"),
        controller(DEPLOYMENT, "incparser", "registry.example/sako"),
        Pod(namespace="shop", name="kube-vip-like", labels={}),
        balancer("other-class", HOUR, ", loadBalancerClass: example.com/lb", "192.0.2.1"),
        balancer("new", MINUTE),
    ],
    ids=str,
)
def test_nobody_is_seen(record: Record) -> None:
    assert levels(say(PENDING, BALANCER, record)) == [Level.NOTE]
    for kind in (NODE, DAEMON_SET, DEPLOYMENT, STATEFUL_SET, POD):
        assert say(PENDING, BALANCER, record, incomplete=(kind,)) == []


def test_others_wait_in_vain() -> None:
    said = say(PENDING, BALANCER, balancer("api", HOUR))
    assert levels(said) == [Level.WARNING]
    assert "Service api got no address" in said[0][1]
    assert levels(say(PENDING, BALANCER, balancer("api", HOUR), controller(DAEMON_SET, "cilium"))) == [Level.WARNING]
    metallb = controller(DEPLOYMENT, "metallb-controller")
    assert say(PENDING, BALANCER, balancer("api", HOUR), metallb) == [], (
        "one may be as it should not be, the next is not"
    )
    assert say(PENDING, BALANCER, balancer("api", HOUR), balancer("old", HOUR, "", "lb.example.com")) == []
    assert levels(say(PENDING, BALANCER, balancer("api", HOUR), incomplete=(SERVICE,))) == [Level.NOTE]
    assert levels(say(PENDING, BALANCER, balancer("api", HOUR), now=None)) == [Level.NOTE]
    assert levels(say(PENDING, BALANCER, balancer("api", "yesterday"))) == [Level.NOTE]
    leaving = another("api", ", type: LoadBalancer", meta=f", creationTimestamp: '{HOUR}', deletionTimestamp: '{HOUR}'")
    assert levels(say(PENDING, BALANCER, leaving)) == [Level.NOTE]


def test_a_class_is_known_by_its_services_only() -> None:
    of_class = ", loadBalancerClass: example.com/lb"
    wanted = another("web", ", type: LoadBalancer" + of_class)
    metallb = controller(DEPLOYMENT, "metallb-controller")
    assert say(PENDING, wanted, metallb) == []
    assert levels(say(PENDING, wanted, metallb, balancer("api", HOUR, of_class))) == [Level.WARNING]
    assert say(PENDING, wanted, metallb, balancer("api", HOUR)) == []
    assert say(PENDING, wanted, metallb, balancer("api", HOUR, of_class, "192.0.2.1")) == []


def test_who_waits_elsewhere_is_not_told() -> None:
    elsewhere = msgspec.structs.replace(
        balancer("api", HOUR), metadata=ObjectMeta("api", "vault", creation_timestamp=HOUR)
    )
    assert "Service vault/api got no" in say(PENDING, BALANCER, elsewhere)[0][1]
    quiet = say(PENDING, BALANCER, elsewhere, disclosure=Disclosure.NAMESPACE)
    assert levels(quiet) == [Level.WARNING]
    assert "vault" not in quiet[0][1]


@pytest.mark.parametrize(
    "new", [another("web"), another("web", ", type: NodePort"), balancer("web", HOUR, "", "192.0.2.1")]
)
def test_services_that_wait_for_nothing(new: Service) -> None:
    assert say(PENDING, new, balancer("api", HOUR)) == []


# --- service-still-referenced ----------------------------------------------------------------------------------------

REFERENCED = "service-still-referenced"
WEB = ServiceReference("shop", "web", 443)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (Ingress("shop", "edge", (("web", 80),)), "Ingress edge still names it"),
        (HTTPRoute("shop", "edge", (WEB,)), "HTTPRoute edge still names it"),
        (workload("web", STATEFUL_SET, service_name="web"), "StatefulSet web still names it"),
        (WebhookConfiguration(VALIDATING_WEBHOOKS, "rules", (AdmissionWebhook(WEB),)), "Configuration rules still"),
        (APIService("v1.x", WEB), "APIService v1.x still names it"),
        (named("web.shop.svc", own="alias"), "ExternalName alias still names it"),
        (named("web.shop.svc.cluster.local.", "other", own="alias"), "ExternalName other/alias still names it"),
        (named("web-0.web.shop.svc.cluster.local", own="alias"), "ExternalName alias still names it"),
    ],
)
def test_a_service_that_is_named(record: Record, says: str) -> None:
    said = say(REFERENCED, another("web"), record, delete=True)
    assert levels(said) == [Level.WARNING]
    assert says in said[0][1]
    if isinstance(record, Ingress | HTTPRoute | WebhookConfiguration | APIService | Workload):
        assert say(REFERENCED, another("web"), msgspec.structs.replace(record, terminating=True), delete=True) == []


@pytest.mark.parametrize(
    "record",
    [
        Ingress("shop", "edge", (("api", 80),)),
        Ingress("other", "edge", (("web", 80),)),
        HTTPRoute("shop", "edge", (ServiceReference("other", "web"),)),
        Workload(kind=STATEFUL_SET, namespace="other", name="web", labels={}, service_name="web"),
        workload("web", STATEFUL_SET),
        workload("web", STATEFUL_SET, service_name="web", replicas=0),
        APIService("v1.x"),
        named("web.shop", own="alias"),
        named("web.shop.svc.west.example.com", own="alias"),
        named("api.shop.svc", own="alias"),
    ],
)
def test_a_service_that_nobody_names(record: Record) -> None:
    assert say(REFERENCED, another("web"), record, delete=True) == []


def test_helm_uninstall_deletes_some_after_services() -> None:
    helm = ", labels: {app.kubernetes.io/managed-by: Helm, app.kubernetes.io/instance: one}"
    own = {"app.kubernetes.io/instance": "one"}
    other = {"app.kubernetes.io/instance": "two"}

    def loudest(record: Record) -> Level:
        return max(levels(say(REFERENCED, another("web", meta=helm), record, delete=True)))

    assert loudest(workload("web", STATEFUL_SET, service_name="web", own_labels=own)) is Level.NOTE
    assert loudest(workload("web", STATEFUL_SET, service_name="web")) is Level.NOTE
    assert loudest(workload("web", STATEFUL_SET, service_name="web", own_labels=other)) is Level.WARNING
    assert loudest(HTTPRoute("shop", "edge", (WEB,))) is Level.NOTE
    assert loudest(WebhookConfiguration(VALIDATING_WEBHOOKS, "rules", (AdmissionWebhook(WEB),))) is Level.NOTE
    assert loudest(Ingress("shop", "edge", (("web", 80),))) is Level.WARNING, "that goes before"
    assert loudest(Ingress("shop", "edge", (("web", 80),), own_labels=own)) is Level.NOTE, "kubectl delete -f"
    assert loudest(Ingress("shop", "edge", (("web", 80),), own_labels=other)) is Level.WARNING
    assert loudest(APIService("v1.x", WEB)) is Level.WARNING, "that goes before"
    assert loudest(APIService("v1.x", WEB, own_labels=own)) is Level.NOTE
    assert loudest(named("web.shop.svc", own="alias")) is Level.WARNING, "that is no chart's"

    def alias(release: str) -> Service:
        text = (
            "apiVersion: v1\nkind: Service\nmetadata: {name: alias, namespace: shop,"
            f" annotations: {{meta.helm.sh/release-name: {release}}}}}\n"
            "spec: {type: ExternalName, externalName: web.shop.svc}"
        )
        found = judged(text)
        assert isinstance(found, Service)
        return found

    annotated = another("web", meta=", annotations: {meta.helm.sh/release-name: one}")
    assert levels(say(REFERENCED, annotated, alias("one"), delete=True)) == [Level.NOTE]
    assert levels(say(REFERENCED, annotated, alias("two"), delete=True)) == [Level.WARNING]


def test_a_note_beside_a_warning_is_not_told() -> None:
    new = another("web", meta=", labels: {app.kubernetes.io/managed-by: Helm}")
    said = say(REFERENCED, new, Ingress("shop", "edge", (("web", 80),)), HTTPRoute("shop", "x", (WEB,)), delete=True)
    assert said == [(Level.WARNING, "Ingress edge still names it; change that first")]


def test_who_names_it_elsewhere_is_not_told() -> None:
    records = [
        HTTPRoute("vault", "edge", (WEB,)),
        HTTPRoute("vault", "edge2", (WEB,)),
        WebhookConfiguration(VALIDATING_WEBHOOKS, "vault-rules", (AdmissionWebhook(WEB),)),
        named("web.shop.svc", "vault", own="alias"),
    ]
    said = say(REFERENCED, another("web"), *records, delete=True, disclosure=Disclosure.NAMESPACE)
    assert levels(said) == [Level.WARNING]
    assert "vault" not in said[0][1]
    assert said[0][1].startswith("an HTTPRoute of another namespace and 2 more still name it; change those first")
    assert "HTTPRoute of another namespace, a ValidatingWebhookConfiguration, an ExternalName" in said[0][1]


def test_where_all_goes_nothing_is_left_behind() -> None:
    ingress = Ingress("shop", "edge", (("web", 80),))
    leaving = Namespace("shop", {}, terminating=True)
    assert say(REFERENCED, another("web"), ingress, leaving, delete=True) == []
    assert (
        say(REFERENCED, another("web", meta=", ownerReferences: [{kind: X, name: owner}]"), ingress, delete=True) == []
    )
