"""Corner cases of the checks on port entries, on removal, and on what decoding dropped."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from webhook.check import Context, Disclosure, Example, Finding, Level, Operation, View
from webhook.checks import all_checks
from webhook.concerned import port_entries
from webhook.model.cluster import Cluster
from webhook.model.objects import LAST_APPLIED, NETWORK_POLICY, NetworkPolicy
from webhook.model.parse import convert

from .test_checks import rulings

CHECKS = {check.id: check for check in all_checks()}
PORT_CHECKS = (
    "tcp-only-port",
    "named-port-unresolved",
    "protocol-mismatch",
    "service-port-not-pod-port",
    "port-not-declared",
)


def pod(name: str, *ports: dict[str, Any], namespace: str = "shop", app: str = "", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app or name.partition("-")[0]}},
        "spec": {"containers": [{"name": "c", "ports": list(ports)}], **spec},
        "status": {"phase": "Running"},
    }


def deployment(app: str, *ports: dict[str, Any], namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "c", "ports": list(ports)}], **spec},
    }
    meta = {"name": app, "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": template}}


def service(app: str, *ports: dict[str, Any], namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    meta = {"name": app, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"selector": {"app": app}, "ports": list(ports), **spec},
    }


def number(container_port: int, protocol: str = "TCP", name: str = "") -> dict[str, Any]:
    return {"containerPort": container_port, "protocol": protocol, **({"name": name} if name else {})}


def selecting(app: str) -> dict[str, Any]:
    return {"matchLabels": {"app": app}} if app else {}


def policy(app: str = "api", name: str = "np", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": {"podSelector": selecting(app), **spec},
    }


def ingress(*ports: dict[str, Any], app: str = "api", name: str = "np") -> dict[str, Any]:
    return policy(app, name, ingress=[{"ports": list(ports)}])


def egress(*ports: dict[str, Any], to: list[dict[str, Any]], app: str = "web", name: str = "np") -> dict[str, Any]:
    return policy(app, name, policyTypes=["Egress"], egress=[{"to": to, "ports": list(ports)}])


@dataclass
class Case:
    """A cluster, and what a check says in it."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = True
    disclosure: Disclosure = Disclosure.CLUSTER

    def context(
        self, new: dict[str, Any] | None, old: dict[str, Any] | None = None, view: View = View.ADMISSION
    ) -> Context:
        cluster = Cluster.of(
            [convert(f"{o['apiVersion']}/{o['kind']}", o) for o in self.objects], complete=self.complete
        )
        after, before = (convert(NETWORK_POLICY, o) if o else None for o in (new, old))
        shown = after or before
        assert isinstance(shown, NetworkPolicy)
        assert before is None or isinstance(before, NetworkPolicy)
        operation = Operation.DELETE if after is None else Operation.UPDATE if before else Operation.CREATE
        return Context(operation, shown, cluster, old=before, view=view, disclosure=self.disclosure)

    def says(
        self, check: str, new: dict[str, Any] | None, old: dict[str, Any] | None = None, view: View = View.ADMISSION
    ) -> list[Finding]:
        return list(CHECKS[check].run(self.context(new, old, view)))

    def lines(self, check: str, new: dict[str, Any] | None, old: dict[str, Any] | None = None) -> list[str]:
        return [finding.line for finding in self.says(check, new, old)]


# --- whom an entry concerns


@pytest.mark.parametrize("check", PORT_CHECKS)
@pytest.mark.parametrize(
    "new",
    [
        pytest.param(ingress({"port": 9}, {"port": "x"}, app="storefront"), id="no pod is selected"),
        pytest.param(egress({"port": 9}, {"port": "x"}, to=[]), id="no peers"),
        pytest.param(egress({"port": 9}, {"port": "x"}, to=[{"ipBlock": {"cidr": "10.0.0.0/8"}}]), id="an ipBlock"),
        pytest.param(egress({"port": 9}, {"port": "x"}, to=[{"namespaceSelector": {}}]), id="every pod there is"),
        pytest.param(
            egress({"port": 9}, {"port": "x"}, to=[{"podSelector": selecting("storefront")}]), id="peers to come"
        ),
        pytest.param(ingress({"port": 9000, "endPort": 9001}), id="a range"),
        pytest.param(ingress({"protocol": "TCP"}), id="every port of a protocol"),
        pytest.param(ingress(), id="every port"),
        pytest.param(policy(policyTypes=["Egress"], ingress=[{"ports": [{"port": 9}, {"port": 53}]}]), id="dead rules"),
        pytest.param(ingress({"port": 9}, {"port": "x"}, app="node-agent"), id="pods of the host network"),
        pytest.param(ingress({"port": 9}, {"port": "x"}, app="done"), id="finished pods"),
    ],
)
def test_no_pod_concerned_is_silence(check: str, new: dict[str, Any]) -> None:
    finished = pod("done-1", number(80))
    finished["status"]["phase"] = "Succeeded"
    case = Case(
        [pod("api-1", number(80)), finished, pod("n-1", number(80), app="node-agent", hostNetwork=True), pod("web-1")]
    )
    assert case.lines(check, new) == []


def test_an_entry_concerns_the_destination() -> None:
    case = Case(
        [
            pod("api-1", number(1, name="here")),
            pod("db-0", number(2, name="there")),
            pod("web-1", number(3, name="far"), namespace="ops"),
        ]
    )
    peers = [
        {"podSelector": selecting("db")},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}}},
    ]
    new = policy(
        policyTypes=["Ingress", "Egress"],
        ingress=[{"ports": [{"port": 1}]}],
        egress=[{"to": peers, "ports": [{"port": 2}]}],
    )
    ctx = case.context(new)
    inside, outside = port_entries(ctx)
    assert (inside.path, outside.path) == ("spec.ingress[0].ports[0]", "spec.egress[0].ports[0]")
    assert {p.name for b in inside.concerned.bearers for p in b.pods} == {"api-1"}
    assert {p.name for b in outside.concerned.bearers for p in b.pods} == {"db-0", "web-1"}
    assert all(a is b for a, b in zip(port_entries(ctx), (inside, outside), strict=True)), (
        "kept for the checks that come after"
    )


def test_peers_of_too_many_kinds_are_nobody_in_particular() -> None:
    crowd = [pod(f"p{i}-1", number(80)) for i in range(1001)]
    assert Case(crowd).lines("named-port-unresolved", egress({"port": "x"}, to=[{"podSelector": {}}], app="p1")) == []
    assert Case(crowd[:900]).lines("named-port-unresolved", egress({"port": "x"}, to=[{"podSelector": {}}], app="p1"))


# --- named-port-unresolved


def test_native_sidecars_count_and_init_containers_do_not() -> None:
    init = [
        {"name": "proxy", "restartPolicy": "Always", "ports": [number(15006, name="mesh")]},
        {"name": "migrate", "ports": [number(9, name="setup")]},
    ]
    case = Case([deployment("api", number(80, name="http"), initContainers=init)])
    assert case.lines("named-port-unresolved", ingress({"port": "mesh"})) == []
    assert case.lines("named-port-unresolved", ingress({"port": "setup"})) == [
        "its pod template has no TCP port setup: lets nothing in; write http or mesh"
    ]


def test_pods_and_templates_of_one_workload_are_told_as_its_pods() -> None:
    case = Case(
        [
            deployment("api", number(80, name="http")),
            pod("api-1", number(80, name="http")),
            pod("api-2", number(80, name="http")),
        ]
    )
    assert case.lines("named-port-unresolved", ingress({"port": "web"})) == [
        "its 2 pods have no TCP port web: lets nothing in; write http"
    ]


def test_some_lack_it_is_a_note_that_names_them() -> None:
    case = Case([pod("api-1", number(80, name="http")), pod("api-2"), pod("api-3")])
    [finding] = case.says("named-port-unresolved", ingress({"port": "http"}))
    assert finding.level is Level.NOTE
    assert finding.line == "2 pods (Pod/api-2, Pod/api-3) have no TCP port http: there lets nothing in"


def test_a_rollout_that_renames_a_port_is_no_warning() -> None:
    case = Case([deployment("api", number(80, name="web")), pod("api-1", number(80, name="http"))])
    for name in ("http", "web"):
        assert [f.level for f in case.says("named-port-unresolved", ingress({"port": name}))] == [Level.NOTE]


@pytest.mark.parametrize(
    ("app", "name", "level"),
    [("api", "grpc", Level.WARNING), ("", "grpc", Level.NOTE), ("", "htpp", Level.WARNING)],
    ids=["pods chosen by labels", "every pod", "every pod, and a near name"],
)
def test_of_pods_not_all_known_only_what_stands_is_said(app: str, name: str, level: Level) -> None:
    ctx = Case([pod("api-1", number(80, name="http"))], complete=False).context(ingress({"port": name}, app=app))
    assert [f.level for f in CHECKS["named-port-unresolved"].run(ctx)] == [level]
    assert bool(ctx.unknown) is (app == "")


# --- protocols


@pytest.mark.parametrize("check", ["tcp-only-port", "protocol-mismatch"])
@pytest.mark.parametrize(
    "others",
    [
        pytest.param([ingress({"port": 9000, "protocol": "UDP"}, app="", name="other")], id="a policy of every pod"),
        pytest.param([ingress({"port": 8000, "endPort": 9500, "protocol": "UDP"}, name="other")], id="a range"),
        pytest.param([ingress({"port": "media", "protocol": "UDP"}, name="other")], id="by name"),
        pytest.param([policy(name="other", ingress=[{}])], id="everything"),
    ],
)
def test_another_policy_that_admits_the_protocol_is_counted(check: str, others: list[dict[str, Any]]) -> None:
    pods = [pod("api-1", number(9000, "UDP", "media"))]
    assert Case(pods).lines(check, ingress({"port": 9000}))
    assert Case(pods + others).lines(check, ingress({"port": 9000})) == []


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(ingress({"port": 9000, "protocol": "UDP"}, app="db", name="other"), id="of other pods"),
        pytest.param(ingress({"port": 9000, "protocol": "UDP"}), id="itself, as the watch holds it"),
        pytest.param(ingress({"port": 9001, "protocol": "UDP"}, name="other"), id="another port"),
        pytest.param(policy(name="other", policyTypes=["Egress"], ingress=[{}]), id="a dead rule"),
        pytest.param(
            policy(
                name="other",
                ingress=[{"from": [{"podSelector": selecting("db")}], "ports": [{"port": 9000, "protocol": "UDP"}]}],
            ),
            id="for fewer peers",
        ),
    ],
)
def test_another_policy_that_does_not_admit_it_changes_nothing(other: dict[str, Any]) -> None:
    case = Case([pod("api-1", number(9000, "UDP")), other])
    assert case.lines("tcp-only-port", ingress({"port": 9000}))


def test_the_union_may_take_several_policies() -> None:
    pods = [pod("api-1", number(9000, "UDP"), app="a"), pod("api-2", number(9000, "UDP"), app="b")]
    halves = [ingress({"port": 9000, "protocol": "UDP"}, app=app, name=app) for app in ("a", "b")]
    for others, spoken in ((halves[:1], 1), (halves, 0)):
        assert len(Case(pods + others).lines("tcp-only-port", ingress({"port": 9000}, app=""))) == spoken


def test_dns_is_told_to_whomever_it_goes() -> None:
    dns = deployment("kube-dns", number(53, "UDP", "dns"), number(53, "TCP", "dns-tcp"), namespace="kube-system")
    there = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]
    for to in ([], there, [{"namespaceSelector": {}}], [{"ipBlock": {"cidr": "169.254.20.10/32"}}]):
        case = Case([pod("web-1"), dns])
        assert case.lines("tcp-only-port", egress({"port": 53}, to=to)) == [
            "port 53 without protocol is TCP only: DNS asks over UDP; add 53 with UDP"
        ]
        assert case.lines("tcp-only-port", egress({"port": 53}, {"port": 53, "protocol": "UDP"}, to=to)) == []
    assert Case([pod("web-1")]).lines("tcp-only-port", egress({"port": 5353}, to=[])) == []


def test_only_one_speaks_per_entry() -> None:
    text = "\n---\n".join(yaml.safe_dump(o) for o in [pod("api-1", number(9000, "UDP", "media"))])
    new = yaml.safe_dump(ingress({"port": 9000}, {"port": "media"}, {"port": 81}))
    loud = [r for r in rulings(Example(title="", cluster=text, object=new)) if r.check in PORT_CHECKS]
    assert sorted((r.check, r.finding.path.partition("].p")[0], r.also) for r in loud) == [
        ("port-not-declared", "spec.ingress[0", ()),
        ("tcp-only-port", "spec.ingress[0", ("named-port-unresolved",)),
        ("tcp-only-port", "spec.ingress[0", ("protocol-mismatch",)),
    ]


# --- Services


def test_targets_by_name_differ_between_pods() -> None:
    case = Case(
        [
            service("api", {"port": 80, "targetPort": "http"}),
            pod("api-1", number(8080, name="http")),
            pod("api-2", number(9090, name="http")),
        ]
    )
    assert case.lines("service-port-not-pod-port", ingress({"port": 80})) == [
        "80 is Service api's port: policies see its pods' 8080 and 9090; write 8080 and 9090"
    ]
    assert case.lines("service-port-not-pod-port", ingress({"port": 80}, {"port": "http"})) == []
    assert case.lines("service-port-not-pod-port", ingress({"port": 80}, {"port": 8000, "endPort": 9999})) == []
    assert case.lines("service-port-not-pod-port", ingress({"port": 80}, {"port": 8080})) == [
        "80 is Service api's port: policies see its pods' 9090; write 9090"
    ]


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([service("api", {"port": 80, "targetPort": "nowhere"})], id="a target that resolves to nothing"),
        pytest.param([service("api", {"port": 80, "targetPort": 8080, "protocol": "UDP"})], id="another protocol"),
        pytest.param(
            [
                service("api", {"port": 80, "targetPort": 8080}),
                service("b", {"port": 1, "targetPort": 80}, selector={"app": "api"}),
            ],
            id="another Service leads to it",
        ),
        pytest.param([service("api", {"port": 80, "targetPort": 8080}, selector={})], id="no selector"),
        pytest.param(
            [service("api", {"port": 80, "targetPort": 8080}, type="ExternalName", externalName="a.b")],
            id="ExternalName",
        ),
        pytest.param([service("api", {"port": 80, "targetPort": 8080}, namespace="ops")], id="in another namespace"),
    ],
)
def test_services_that_prove_nothing(objects: list[dict[str, Any]]) -> None:
    assert Case([pod("api-1", number(8080)), *objects]).lines("service-port-not-pod-port", ingress({"port": 80})) == []


def test_pods_beside_the_service_may_listen_on_its_number() -> None:
    objects = [service("api", {"port": 80, "targetPort": 8080}), pod("api-1", number(8080))]
    for other, level in ((pod("web-1"), Level.NOTE), (pod("web-1", number(3000)), Level.WARNING)):
        [finding] = Case([*objects, other]).says("service-port-not-pod-port", ingress({"port": 80}, app=""))
        assert finding.level is level


def test_a_number_is_undeclared_only_where_all_declare_some() -> None:
    declaring = pod("api-1", number(8080))
    assert Case([declaring]).lines("port-not-declared", ingress({"port": 81})) == ["its pod has 8080 declared, not 81"]
    assert Case([declaring, pod("api-2")]).lines("port-not-declared", ingress({"port": 81})) == []
    assert Case([pod("api-2")]).lines("port-not-declared", ingress({"port": 81})) == []
    leading = service("api", {"port": 80, "targetPort": 81})
    assert Case([declaring, leading]).lines("port-not-declared", ingress({"port": 81})) == []


# --- disclosure


def test_of_another_namespace_only_counts_are_told() -> None:
    far = [
        pod("vault-0", number(8200, name="secret-api"), number(8300, "UDP", "gossip"), namespace="sec"),
        service("vault", {"port": 80, "targetPort": 8200}, namespace="sec"),
    ]
    to = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "sec"}}}]
    new = egress(
        {"port": "secret-ap"},
        {"port": "gossip"},
        {"port": 80},
        {"port": 8300},
        {"port": 8301},
        {"port": 7},
        to=to,
    )
    case = Case([pod("web-1"), *far], disclosure=Disclosure.NAMESPACE)
    lines = [line for check in PORT_CHECKS for line in case.lines(check, new)]
    assert len(lines) >= 6
    for line in lines:
        for secret in ("vault", "secret-api", "as UDP", " sec ", "sec/", "8200"):
            assert secret not in line, line
    told = [line for check in PORT_CHECKS for line in Case([pod("web-1"), *far]).lines(check, new)]
    assert any("sec/vault" in line for line in told)


def by_helm(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "metadata": {**made["metadata"], "labels": {"app.kubernetes.io/managed-by": "Helm"}}}


def test_helm_sends_a_policy_before_the_port_that_it_is_for() -> None:
    case = Case([pod("api-1", number(8080, name="http")), pod("web-1")])

    def levels(new: dict[str, Any], old: dict[str, Any] | None = None) -> list[Level | None]:
        return [f.level for f in case.says("named-port-unresolved", new, old)]

    before = by_helm(ingress({"port": "http"}))
    for name in ("metrics", "https", "htpp"):
        assert levels(by_helm(ingress({"port": name})), before) == [Level.NOTE]
        assert levels(ingress({"port": name}), ingress({"port": "http"})) == [Level.WARNING], "not Helm's"
        again = by_helm(ingress({"port": name}, {"port": 1}))
        assert levels(again, by_helm(ingress({"port": name}))) == [Level.WARNING], "it had its time"
        assert levels(again, by_helm(ingress({"port": name}, app="web"))) == [Level.NOTE], "of other pods"
    assert levels(by_helm(ingress({"port": "metrics"}))) == [Level.NOTE]
    assert levels(by_helm(ingress({"port": "htpp"}))) == [Level.WARNING], "misspelt in what is new"
    to_api = [{"podSelector": {"matchLabels": {"app": "api"}}}]
    out = by_helm(egress({"port": "grpc"}, to=to_api))
    assert levels(out, by_helm(egress({"port": "grpc"}, to=to_api))) == [Level.WARNING]
    assert levels(out, by_helm(egress({"port": "http"}, to=to_api))) == [Level.NOTE]


# --- opens-on-removal


def owned(name: str, kind: str, owner: str, app: str = "api", template: str = "") -> dict[str, Any]:
    made = pod(name, app=app)
    made["metadata"]["ownerReferences"] = [{"kind": kind, "name": owner, "controller": True}]
    if template:
        made["metadata"]["labels"]["pod-template-hash"] = template
    return made


def deletes(*objects: dict[str, Any], old: dict[str, Any] | None = None, complete: bool = True) -> list[Finding]:
    return Case(list(objects), complete=complete).says("opens-on-removal", None, old or policy())


def test_the_deleted_policy_counts_neither_way() -> None:
    assert deletes(pod("api-1"), policy()) == deletes(pod("api-1"))
    assert [f.line for f in deletes(pod("api-1"))] == ["opens ingress of Pod/api-1 to everyone; replace it first"]


def test_each_direction_is_judged_for_itself() -> None:
    both = policy(policyTypes=["Ingress", "Egress"])
    assert [f.message for f in deletes(pod("api-1"), policy("", "deny"), old=both)] == [
        "opens egress of Pod/api-1 to everyone"
    ]
    inside = policy("db", "deny")
    assert [
        f.story for f in deletes(pod("api-1"), pod("db-0"), inside, old=policy("", policyTypes=["Ingress", "Egress"]))
    ] == [
        "opens ingress of Pod/api-1 to everyone; replace it first (1 pod (Pod/api-1); new: Pod/db-0 and the outside)",
        (
            "opens egress of 2 workloads to everyone; replace it first "
            "(2 pods (Pod/api-1, Pod/db-0); new: Pod/api-1 and the outside)"
        ),
    ]


def test_what_is_not_isolated_cannot_be_opened() -> None:
    host = pod("api-2", hostNetwork=True)
    finished = pod("api-3")
    finished["status"]["phase"] = "Failed"
    assert deletes(host, finished, deployment("api")) == []


def test_workloads_that_just_went_take_their_pods_with_them() -> None:
    there = deployment("web")
    of_api = owned("api-1", "ReplicaSet", "api-abc", template="abc")
    assert deletes(of_api, there) == []
    assert deletes(of_api) == [], "the last Deployment of a cluster can go, too"
    assert deletes(of_api, there, deployment("api"))
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "api-9", "namespace": "shop"},
        "spec": {"template": {}},
    }
    job["metadata"]["ownerReferences"] = [{"kind": "CronJob", "name": "api", "controller": True}]  # type: ignore[index]
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "other", "namespace": "shop"}, "spec": {}}
    assert deletes(owned("api-9-x", "Job", "api-9"), job, cron) == []
    assert deletes(owned("api-9-x", "Job", "api-9"), job) == []
    assert deletes(owned("api-9-x", "Rollout", "api-9"), there), "of a kind that is not kept nothing is known"


def test_what_an_operator_made_goes_after_the_policies_that_helm_made() -> None:
    made = deployment("api")
    made["kind"] = "StatefulSet"
    made["metadata"]["ownerReferences"] = [{"kind": "Prometheus", "name": "api", "controller": True}]
    of_it = owned("api-0", "StatefulSet", "api")
    assert deletes(of_it, made, old=by_helm(policy())) == []
    assert deletes(of_it, made), "deleted by hand"
    assert deletes(pod("api-1"), old=by_helm(policy())), "nobody's"
    moved = Case([of_it, made]).says("opens-on-removal", by_helm(policy("db")), by_helm(policy()))
    assert moved, "an update is no uninstall"


def test_where_policies_are_not_all_known_it_is_a_note() -> None:
    assert [f.level for f in deletes(pod("api-1"), complete=False)] == [Level.NOTE]


def test_where_nothing_enforces_nothing_opens() -> None:
    flannel = deployment("flannel", namespace="kube-flannel", hostNetwork=True)
    flannel["kind"] = "DaemonSet"
    flannel["spec"]["template"]["spec"]["containers"] = [{"name": "kube-flannel", "image": "flannel/flannel:v0.27.0"}]
    assert deletes(pod("api-1"), flannel) == []


def test_an_update_that_keeps_its_pods_is_silent() -> None:
    case = Case([pod("api-1")])
    assert case.lines("opens-on-removal", policy("", ingress=[{}]), policy()) == []
    moved = case.says("opens-on-removal", policy("db"), policy())
    assert [f.path for f in moved] == ["spec.podSelector"]
    dropped = case.says("opens-on-removal", policy(policyTypes=["Egress"]), policy())
    assert [(f.path, f.value) for f in dropped] == [("spec.policyTypes", "ingress Pod/api-1")]


# --- selects-whole-namespace-by-accident


def applied(text: Any, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    whole = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "np"}, "spec": text}
    made = policy()
    made["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(whole)}
    made["metadata"].update(metadata)
    made["spec"] = spec
    return made


ID = "selects-whole-namespace-by-accident"
EVERYTHING = {"podSelector": {}, "policyTypes": ["Ingress"]}


@pytest.mark.parametrize(
    ("text", "spec", "said"),
    [
        (
            {"podselector": {"matchLabels": {"app": "x"}}},
            EVERYTHING,
            "podselector is no field: every pod is selected; write podSelector",
        ),
        (
            {"podSelector": {"matchLabel": {"app": "x"}}},
            EVERYTHING,
            "podSelector.matchLabel is no field: every pod is selected; write matchLabels",
        ),
        (
            {"podSelector": {}, "egres": [{}]},
            EVERYTHING,
            "egres is no field: its rules are dropped; write egress",
        ),
        (
            {
                "podSelector": {"matchLabels": {"app": "x"}},
                "ingress": [{"from": [{"namespaceSelector": {"team": "a"}}]}],
            },
            {
                "podSelector": selecting("x"),
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"namespaceSelector": {}}]}],
            },
            "ingress[0].from[0].namespaceSelector.team is no field: it is dropped; write matchLabels",
        ),
    ],
)
def test_what_decoding_dropped_is_told(text: Any, spec: dict[str, Any], said: str) -> None:
    [finding] = Case().says(ID, applied(text, spec))
    assert finding.line.startswith(said)
    assert finding.level is Level.WARNING


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        pytest.param(
            {"podSelector": {"app": "x"}},
            {"podSelector": selecting("x"), "policyTypes": ["Ingress"]},
            id="not this text",
        ),
        pytest.param(
            {"podSelector": {"matchLabels": {"app": "x"}, "app": "x"}},
            {"podSelector": selecting("x")},
            id="the labels are there as well",
        ),
        pytest.param({"podSelector": {}, "comment": "all"}, EVERYTHING, id="a field without meaning"),
        pytest.param({"podSelector": {}}, EVERYTHING, id="nothing was dropped"),
        pytest.param({"podSelector": [], "app": "x"}, EVERYTHING, id="a wrong type"),
        pytest.param(None, {"podSelector": selecting("x")}, id="no spec, and another object"),
    ],
)
def test_other_texts_are_silent(text: Any, spec: dict[str, Any]) -> None:
    assert Case().lines(ID, applied(text, spec)) == []


def test_only_the_request_that_brought_the_text_is_told() -> None:
    bad = applied({"podSelector": {"app": "x"}}, EVERYTHING)
    assert Case().lines(ID, bad, applied({"podSelector": {}}, EVERYTHING))
    assert Case().lines(ID, bad, policy())
    assert Case().lines(ID, bad, bad) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\ud800", "[" * 30_000, '{"a":' * 9_000, " " * 70_000 + "{}"])
def test_a_text_that_is_none_is_silent(text: str) -> None:
    made = policy("")
    made["metadata"]["annotations"] = {LAST_APPLIED: text}
    assert Case().lines(ID, made) == []


@pytest.mark.parametrize("spec", [{}, None])
def test_an_empty_spec_in_so_many_words_is_a_note(spec: dict[str, Any] | None) -> None:
    assert [f.level for f in Case().says(ID, applied(spec, EVERYTHING))] == [Level.NOTE]
