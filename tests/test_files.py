"""State from files, and files under review: what counts as being there, and what is read of it."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import inspect

from webhook.check import Level
from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    API_SERVICE,
    CLUSTER_NETWORK_POLICY,
    CLUSTER_ROLE_BINDING,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_CLASS,
    MUTATING_WEBHOOKS,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    ROLE_BINDING,
    SERVICE_CIDR,
    STATEFUL_SET,
    VALIDATING_WEBHOOKS,
    AdminPolicy,
    AdmissionWebhook,
    APIService,
    EndpointSlice,
    HTTPRoute,
    Ingress,
    IngressClass,
    Record,
    RoleBinding,
    Service,
    ServiceCIDR,
    ServiceReference,
    WebhookConfiguration,
    Workload,
)
from webhook.model.parse import _SHAPES, convert
from webhook.pipeline import Judge
from webhook.state.files import FileState

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
"""
TEMPLATE = """
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
"""


def said(text: str, cluster: str = "", *, complete: bool = True) -> dict[str, Level]:
    state = FileState(complete=complete)
    state.load(["-"] if cluster else [], stdin=io.BytesIO(cluster.encode()))
    reviewed = state.review(["-"], stdin=io.BytesIO(text.encode()))
    assert state.problems == []
    rulings = [r for item in reviewed for r in Judge().check(item.manifest, item.judged, state.cluster).verdict.rulings]
    return {r.check: r.level for r in rulings if r.level > Level.NOTE}


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("argoproj.io/v1alpha1", "Rollout"),
        ("v1", "ReplicationController"),
        ("apps.openshift.io/v1", "DeploymentConfig"),
    ],
)
def test_whatever_has_a_pod_template_stands_for_pods(api_version: str, kind: str) -> None:
    workload = f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: web, namespace: shop}}{TEMPLATE}"
    assert said(f"{workload}---{SERVICE}") == {}
    assert said(SERVICE) == {"service-selects-nothing": Level.WARNING}


def test_a_template_that_is_none_is_no_error() -> None:
    head = "apiVersion: example.org/v1\nkind: Odd\nmetadata: {name: a, namespace: shop}\n"
    odd = head + "spec: {template: {metadata: {labels: 3}}}\n"
    assert said(f"{odd}---{SERVICE}") == {"service-selects-nothing": Level.WARNING}


def test_files_alone_declared_complete_need_no_namespace_object() -> None:
    workload = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}{TEMPLATE}"
    assert said(f"{workload}---{SERVICE}") == {}


def test_beside_a_complete_state_a_missing_namespace_is_said() -> None:
    cluster = "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n"
    assert said(SERVICE, cluster) == {"namespace-not-found": Level.WARNING}
    assert said(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---{SERVICE}", cluster) == {
        "service-selects-nothing": Level.WARNING
    }


def test_an_object_that_cannot_be_decoded_makes_its_kind_partial() -> None:
    state = FileState(complete=True)
    state.load(["-"], stdin=io.BytesIO(b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: 3}\n"))
    assert [str(problem) for problem in state.problems] == [
        "<stdin>:4:8 (document 1): spec.containers: v1/Pod: Expected `array`, got `int`"
    ]
    assert state.cluster.completeness(POD) is Completeness.PARTIAL
    assert state.cluster.completeness(NAMESPACE) is Completeness.COMPLETE


@pytest.mark.parametrize("namespace", ["no", "[]", "{}", "0"])
def test_a_namespace_that_is_no_text_is_not_the_default_one(namespace: str) -> None:
    state = FileState()
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a, namespace: {namespace}}}\n"
    state.load(["-"], stdin=io.BytesIO(text.encode()))
    (problem,) = map(str, state.problems)
    assert problem.startswith("<stdin>:3:21 (document 1): metadata.namespace: v1/Pod: Expected `str`, got ")
    assert state.cluster.namespace_names() == []


# --- what is kept of each kind


def read(*objects: dict[str, Any]) -> Cluster:
    state = FileState()
    text = "---\n".join(json.dumps(one) + "\n" for one in objects)
    state.load(["-"], stdin=io.BytesIO(text.encode()))
    assert state.problems == []
    return state.cluster


def made(kind: str, name: str = "x", *, namespace: str = "shop", **fields: Any) -> dict[str, Any]:
    version, _, word = kind.rpartition("/")
    metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
    return {"apiVersion": version, "kind": word, "metadata": metadata, **fields}


def one(kind: str, **fields: Any) -> Record:
    """What is kept of an object: of cluster-scoped kinds, a namespace that somebody wrote is not."""
    cluster = read(made(kind, **fields))
    (key,) = cluster.keys(kind)
    found = cluster.get(kind, key)
    assert found is not None
    return found


WEB = {"namespace": "shop", "name": "web"}


@pytest.mark.parametrize("kind", [VALIDATING_WEBHOOKS, MUTATING_WEBHOOKS])
def test_webhook_configurations(kind: str) -> None:
    webhooks = [
        {
            "name": "a",
            "clientConfig": {"service": {**WEB, "port": 8443}, "caBundle": "eA=="},
            "failurePolicy": "Ignore",
        },
        {"name": "b", "clientConfig": {"url": "https://example.com"}},
        {"name": "c", "clientConfig": {"service": WEB}},
    ]
    assert one(kind, webhooks=webhooks) == WebhookConfiguration(
        kind,
        "x",
        (
            AdmissionWebhook(ServiceReference("shop", "web", 8443), "Ignore"),
            AdmissionWebhook(ServiceReference("shop", "web", 443), "Fail"),
        ),
    )
    assert one(kind) == WebhookConfiguration(kind, "x")


def test_api_services() -> None:
    assert one(API_SERVICE, spec={"service": WEB}) == APIService("x", ServiceReference("shop", "web", 443))
    assert one(API_SERVICE, spec={"group": "apps", "service": None}) == APIService("x")


@pytest.mark.parametrize(
    ("subject", "accounts"),
    [
        ({"kind": "ServiceAccount", "name": "web", "namespace": "other"}, (("other", "web"),)),
        ({"kind": "ServiceAccount", "name": "web"}, (("shop", "web"),)),
        ({"kind": "User", "name": "system:serviceaccount:other:web"}, (("other", "web"),)),
        ({"kind": "Group", "name": "system:serviceaccounts"}, (("*", "*"),)),
        ({"kind": "Group", "name": "system:serviceaccounts:other"}, (("other", "*"),)),
        ({"kind": "Group", "name": "system:authenticated"}, ()),
        ({"kind": "Group", "name": "system:serviceaccount:other:web"}, ()),
        ({"kind": "User", "name": "system:serviceaccounts"}, ()),
        ({"kind": "User", "name": "system:serviceaccount:web"}, ()),
        ({"kind": "User", "name": "eve"}, ()),
    ],
)
def test_the_service_accounts_of_a_binding(subject: dict[str, str], accounts: tuple[tuple[str, str], ...]) -> None:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    bound = one(ROLE_BINDING, roleRef=role, subjects=[subject, subject])
    assert bound == RoleBinding(ROLE_BINDING, "shop", "x", "edit", True, accounts)
    of_cluster = one(CLUSTER_ROLE_BINDING, roleRef=role, subjects=[{"namespace": "shop", **subject}])
    assert of_cluster == RoleBinding(CLUSTER_ROLE_BINDING, "", "x", "edit", True, accounts)


def test_ingresses_and_their_classes() -> None:
    def path(service: str, **port: Any) -> dict[str, Any]:
        return {"backend": {"service": {"name": service, "port": port}}}

    spec = {
        "defaultBackend": {"service": {"name": "fallback", "port": {"number": 80}}},
        "rules": [
            {"host": "a.example.com", "http": {"paths": [path("web", name="http"), path("web", number=80)]}},
            {"http": {"paths": [path("web", name="http"), path("bare"), {"backend": {"resource": {"kind": "X"}}}]}},
            {"host": "b.example.com"},
        ],
    }
    old = {"annotations": {"kubernetes.io/ingress.class": "old", "note": "x"}}
    backends = (("fallback", 80), ("web", "http"), ("web", 80), ("bare", None))
    found = one(INGRESS, spec={**spec, "ingressClassName": "nginx"}, metadata=old)
    assert found == Ingress("shop", "x", backends, "nginx")
    assert found.services == ("fallback", "web", "bare")
    assert one(INGRESS, spec=spec, metadata=old) == Ingress("shop", "x", backends, "old")
    assert one(INGRESS, spec=spec) == Ingress("shop", "x", backends)
    for value, default in (("true", True), ("false", False)):
        marked = {"annotations": {"ingressclass.kubernetes.io/is-default-class": value}}
        assert one(INGRESS_CLASS, metadata=marked, spec={"controller": "k8s.io/ingress-nginx"}) == IngressClass(
            "x", "k8s.io/ingress-nginx", default
        )


def test_host_names_of_two_labels_and_who_is_leaving() -> None:
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    hosts = ["Shop.dev", "www.shop.dev", "shop.dev", "localhost", "api.dev"]
    ingress = one(INGRESS, spec={"rules": [{"host": host} for host in hosts]}, metadata=gone)
    assert ingress == Ingress("shop", "x", hosts=("shop.dev", "api.dev"), terminating=True)
    route = one(HTTP_ROUTE, spec={"hostnames": hosts}, metadata=gone)
    assert route == HTTPRoute("shop", "x", hosts=("shop.dev", "api.dev"), terminating=True)
    for kind in (VALIDATING_WEBHOOKS, API_SERVICE, STATEFUL_SET, DEPLOYMENT):
        for metadata in (gone, {}):
            found = one(kind, metadata=metadata)
            assert isinstance(found, WebhookConfiguration | APIService | Workload)
            assert found.terminating == bool(metadata)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_routes(version: str) -> None:
    refs = [
        {"name": "web", "port": 80, "weight": 1},
        {"name": "api", "namespace": "other", "group": "", "kind": "Service", "port": 443},
        {"name": "bucket", "group": "storage.example.com", "kind": "Bucket"},
        {"name": "nearby", "group": "multicluster.x-k8s.io", "kind": "ServiceImport"},
    ]
    route = made(HTTP_ROUTE, spec={"rules": [{"backendRefs": refs}, {"backendRefs": refs[:1]}, {}]})
    cluster = read({**route, "apiVersion": f"gateway.networking.k8s.io/{version}"})
    backends = (ServiceReference("shop", "web", 80), ServiceReference("other", "api", 443))
    assert list(cluster.http_routes) == [HTTPRoute("shop", "x", backends)]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_ranges_of_service_addresses(version: str) -> None:
    made_so = made(SERVICE_CIDR, spec={"cidrs": ["10.96.0.0/12", "fd00::/108"]})
    cluster = read({**made_so, "apiVersion": f"networking.k8s.io/{version}"})
    assert list(cluster.service_cidrs) == [ServiceCIDR("x", ("10.96.0.0/12", "fd00::/108"))]


def test_a_newer_cluster_network_policy_is_read_like_its_elder() -> None:
    spec = {
        "tier": "Baseline",
        "priority": 7,
        "subject": {"namespaces": {}},
        "egress": [{"action": "Deny", "to": [{"networks": ["10.0.0.0/8"]}], "protocols": [{"udp": {}}]}],
    }
    policies = [
        made(CLUSTER_NETWORK_POLICY, spec=spec) | {"apiVersion": f"policy.networking.k8s.io/{version}"}
        for version in ("v1alpha2", "v1beta1")
    ]
    elder, newer = (list(read(policy).admin_policies) for policy in policies)
    assert elder == newer
    assert isinstance(newer[0], AdminPolicy)
    assert newer[0].egress[0].ports[0].last == 65535


def test_a_header_and_a_message_may_name_a_newer_version() -> None:
    state = FileState()
    text = b"""
apiVersion: netadmit.io/v1
kind: Snapshot
kinds: [policy.networking.k8s.io/v1beta1/ClusterNetworkPolicy, gateway.networking.k8s.io/v1/HTTPRoute]
---
apiVersion: policy.networking.k8s.io/v1beta1
kind: ClusterNetworkPolicy
metadata: {name: c}
spec: {tier: Top, priority: 1}
"""
    state.load(["-"], stdin=io.BytesIO(text))
    (problem,) = map(str, state.problems)
    said = "spec.tier: policy.networking.k8s.io/v1beta1/ClusterNetworkPolicy: Invalid enum value 'Top'"
    assert problem == f"<stdin>:9:8 (document 2): {said}"
    assert state.cluster.completeness(CLUSTER_NETWORK_POLICY) is Completeness.PARTIAL
    assert state.cluster.completeness(HTTP_ROUTE) is Completeness.COMPLETE


@pytest.mark.parametrize(
    ("spec", "account"),
    [
        ({}, "default"),
        ({"serviceAccountName": "default"}, "default"),
        ({"serviceAccountName": "web", "serviceAccount": "web"}, "web"),
        ({"serviceAccount": "web"}, "web"),
    ],
)
def test_the_service_account_of_pods_and_templates(spec: dict[str, str], account: str) -> None:
    containers = {"containers": [{"name": "c"}], **spec}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": containers}
    cron = {"jobTemplate": {"spec": {"template": template}}}
    kinds = ["apps/v1/Deployment", "apps/v1/DaemonSet", "apps/v1/StatefulSet", "apps/v1/ReplicaSet", "batch/v1/Job"]
    cluster = read(
        made(POD, spec=containers),
        *(made(kind, spec={"template": template}) for kind in kinds),
        made("batch/v1/CronJob", spec=cron),
    )
    assert {pod.account for pod in cluster.pods} == {("shop", account)}
    assert {w.kind: w.account for w in cluster.workloads()} == dict.fromkeys(
        [*kinds, "batch/v1/CronJob"], ("shop", account)
    )
    bound = RoleBinding(ROLE_BINDING, "shop", "b", accounts=(("shop", account),))
    cluster.put(bound)
    assert [*cluster.bindings_of(*next(cluster.pods).account)] == [bound]


def test_the_service_that_a_stateful_set_names() -> None:
    template = {"metadata": {"labels": {"app": "web"}}}
    cluster = read(
        made(STATEFUL_SET, spec={"serviceName": "web", "template": template}),
        made("apps/v1/ReplicaSet", spec={"serviceName": "web", "template": template}),
    )
    (found,) = cluster.referrers_of("shop", "web")
    assert (found.kind, found.key) == (STATEFUL_SET, ("shop", "x"))


def test_how_a_service_takes_traffic() -> None:
    spec = {
        "type": "LoadBalancer",
        "clusterIP": "10.96.0.9",
        "clusterIPs": ["10.96.0.9", "fd00::9"],
        "externalIPs": ["192.0.2.9"],
        "externalTrafficPolicy": "Local",
        "internalTrafficPolicy": "Cluster",
        "loadBalancerClass": "example.com/lb",
        "ports": [{"port": 80}],
    }
    waiting = one(Service.kind, spec=spec, status={"loadBalancer": {}})
    assert isinstance(waiting, Service)
    assert not waiting.has_address
    assert waiting.spec.cluster_ips == ("10.96.0.9", "fd00::9")
    assert waiting.spec.external_ips == ("192.0.2.9",)
    assert (waiting.spec.external_traffic_policy, waiting.spec.internal_traffic_policy) == ("Local", "Cluster")
    assert waiting.spec.load_balancer_class == "example.com/lb"
    for ingress in ({"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}):
        served = one(Service.kind, spec=spec, status={"loadBalancer": {"ingress": [ingress]}})
        assert isinstance(served, Service)
        assert served.has_address
        assert served.spec == waiting.spec


def test_endpoints_are_ready_unless_somebody_says_otherwise() -> None:
    endpoints = [
        {"addresses": ["10.0.0.1"], "nodeName": "a"},
        {"addresses": ["10.0.0.2", "10.0.0.3"], "conditions": {"ready": False, "serving": True}, "nodeName": "b"},
        {"addresses": ["10.0.0.4"], "conditions": {"ready": None}},
        {"addresses": ["10.0.0.5"], "conditions": {"ready": True}},
    ]
    addresses = tuple(f"10.0.0.{number}" for number in range(1, 6))
    labels = {"labels": {"kubernetes.io/service-name": "web"}}
    slice_ = EndpointSlice("shop", "x", "web", addresses, (), ("10.0.0.2", "10.0.0.3"), ("a", "b", "b", "", ""))
    assert one(ENDPOINT_SLICE, metadata=labels, endpoints=endpoints) == slice_
    anywhere = [{"addresses": ["10.0.0.1"]}]
    assert one(ENDPOINT_SLICE, endpoints=anywhere) == EndpointSlice("shop", "x", "", ("10.0.0.1",))


def test_an_endpoints_object_is_read_as_the_slice_that_mirrors_it() -> None:
    subsets = [
        {"addresses": [{"ip": "10.0.0.1", "nodeName": "a"}], "notReadyAddresses": [{"ip": "10.0.0.2"}]},
        {"notReadyAddresses": [{"ip": "10.0.0.1", "nodeName": "a"}]},  # on other ports only
    ]
    cluster = read(made("v1/Endpoints", "web", subsets=subsets))
    assert list(cluster.slices_of("shop", "web")) == [
        EndpointSlice(
            "shop",
            "web-endpoints",
            "web",
            ("10.0.0.1", "10.0.0.2", "10.0.0.1"),
            unready=("10.0.0.2",),
            nodes=("a", "", "a"),
        )
    ]


def fields_that_may_be_null(of: Any, path: str, seen: set[Any]) -> Iterator[tuple[str, bool]]:
    """Every field of a shape that takes null, and whether null then says what an absent field says."""
    match of:
        case inspect.StructType() if of.cls not in seen:
            seen.add(of.cls)
            for found in of.fields:
                if isinstance(found.type, inspect.UnionType) and found.type.includes_none:
                    yield f"{path}.{found.encode_name}", found.default is None
                yield from fields_that_may_be_null(found.type, f"{path}.{found.encode_name}", seen)
        case inspect.UnionType():
            for one in of.types:
                yield from fields_that_may_be_null(one, path, seen)
        case inspect.VarTupleType():
            yield from fields_that_may_be_null(of.item_type, f"{path}[]", seen)
        case inspect.DictType():
            yield from fields_that_may_be_null(of.value_type, f"{path}{{}}", seen)


def test_where_null_is_taken_it_says_what_an_absent_field_says() -> None:
    """So an object that can be decoded with its nulls need not be searched for them."""
    found = dict(
        each
        for kind, shape in _SHAPES.items()
        for each in fields_that_may_be_null(inspect.type_info(shape), kind, set())
    )
    assert len(found) > 20
    assert all(found.values()), found


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("metadata: {name: a, labels: null, creationTimestamp: null}", {"metadata": {"name": "a"}}),
        ("metadata: {name: a, labels: {a: b, c: null}}", {"metadata": {"name": "a", "labels": {"a": "b"}}}),
        ("metadata: {name: a}\nspec: {ingress: [null]}", {"metadata": {"name": "a"}, "spec": {"ingress": [{}]}}),
        (
            "metadata: {name: a}\nspec: {ingress: [{from: [{podSelector: null}]}]}",
            {"metadata": {"name": "a"}, "spec": {"ingress": [{"from": [{}]}]}},
        ),
    ],
)
def test_nulls(written: str, meant: dict[str, Any]) -> None:
    state = FileState()
    state.load(["-"], stdin=io.BytesIO(f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n{written}\n".encode()))
    assert state.problems == []
    meant["metadata"]["namespace"] = "default"
    assert list(state.cluster.policies) == [convert(NETWORK_POLICY, meant)]
