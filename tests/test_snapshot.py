"""A snapshot holds what checks read and nothing else, and reads back as the same state."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    ANTREA_CLUSTER_NETWORK_POLICY,
    ANTREA_NETWORK_POLICY,
    API_SERVICE,
    CALICO_GLOBAL_NETWORK_POLICY,
    CALICO_NETWORK_POLICY,
    CILIUM_CLUSTERWIDE_NETWORK_POLICY,
    CILIUM_NETWORK_POLICY,
    CLUSTER_ROLE_BINDING,
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_CLASS,
    KINDS,
    LAST_APPLIED,
    MUTATING_WEBHOOKS,
    NAMESPACE,
    POD,
    ROLE_BINDING,
    SERVICE_CIDR,
    STATEFUL_SET,
    UNFOLLOWED,
    VALIDATING_WEBHOOKS,
    AdmissionWebhook,
    APIService,
    ConfigMap,
    EndpointSlice,
    EnginePolicy,
    EngineRules,
    EngineSubject,
    HTTPRoute,
    Ingress,
    IngressClass,
    LabelSelector,
    Namespace,
    NetworkPolicy,
    Pod,
    Record,
    RoleBinding,
    Service,
    ServiceCIDR,
    ServiceReference,
    WebhookConfiguration,
    Workload,
)
from webhook.model.parse import convert
from webhook.state.files import FileState
from webhook.state.snapshot import write_snapshot

FIXTURES = sorted((Path(__file__).parent / "fixtures" / "enforcement").glob("*.yaml"))
EXAMPLE = Path(__file__).parents[1] / "webhook" / "cli" / "example"


RECORDS: list[Record] = [
    EndpointSlice("shop", "empty", "web"),
    EndpointSlice("shop", "bare", addresses=("10.0.0.1", "10.0.0.2")),
    EndpointSlice(
        "shop",
        "whole",
        "web",
        ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"),
        unready=("10.0.0.2", "10.0.0.4"),
        nodes=("a", "a", "b", "", "b"),
    ),
    Ingress("shop", "none"),
    Ingress("shop", "web", (("web", 80), ("web", "http"), ("bare", None)), "nginx"),
    Ingress("shop", "leaving", hosts=("shop.dev", "api.dev"), terminating=True),
    Ingress("shop", "labelled", own_labels={"app": "web"}),
    IngressClass("plain", "example.com/ingress"),
    IngressClass("nginx", "k8s.io/ingress-nginx", default=True),
    HTTPRoute("shop", "none"),
    HTTPRoute("shop", "web", (ServiceReference("shop", "web", 80), ServiceReference("other", "api"))),
    HTTPRoute("shop", "leaving", hosts=("shop.dev",), terminating=True),
    Workload(kind=STATEFUL_SET, namespace="shop", name="db", labels={}, service_name="db", terminating=True),
    EnginePolicy(CILIUM_CLUSTERWIDE_NETWORK_POLICY, "", "nodes", (EngineRules((), ("Allow",), (), ("Ingress",)),)),
    EnginePolicy(
        CILIUM_NETWORK_POLICY,
        "shop",
        "several",
        (
            EngineRules(
                (EngineSubject(pods=LabelSelector({"k8s:app": "web"})),), ("Allow", "Deny"), ("Allow",), ("Egress",)
            ),
            EngineRules((EngineSubject(pods=LabelSelector()),), (), ("Deny",), ("Ingress", "Egress")),
            EngineRules((EngineSubject(pods=LabelSelector()),)),
        ),
    ),
    EnginePolicy(CALICO_GLOBAL_NETWORK_POLICY, "", "default.hosts"),
    EnginePolicy(
        CALICO_GLOBAL_NETWORK_POLICY,
        "",
        "first",
        (
            EngineRules(
                (EngineSubject("has(team)", "app == 'web'", ("serviceAccountSelector",)),),
                ("Allow", "Deny"),
                ("Pass",),
                ("Ingress", "Egress"),
            ),
        ),
        "first",
        0.0,
    ),
    EnginePolicy(
        CALICO_NETWORK_POLICY, "shop", "default.all", (EngineRules((EngineSubject(),), (), (), ("Ingress",)),), "", 10.5
    ),
    EnginePolicy(ANTREA_NETWORK_POLICY, "shop", "nobody"),
    EnginePolicy(
        ANTREA_CLUSTER_NETWORK_POLICY,
        "",
        "one-for-all",
        (
            EngineRules(
                (
                    EngineSubject(LabelSelector(), LabelSelector({"app": "web"})),
                    EngineSubject(others=("serviceAccount", "group")),
                ),
                ("Allow", "Drop"),
                ("Reject",),
            ),
        ),
        "baseline",
    ),
    EnginePolicy(
        ANTREA_CLUSTER_NETWORK_POLICY,
        "",
        "each-its-own",
        (
            EngineRules((EngineSubject(pods=LabelSelector()),), ("Allow",)),
            EngineRules((EngineSubject(others=("nodeSelector",)),), ("Drop",)),
            EngineRules((EngineSubject(LabelSelector()),), (), ("Pass",)),
        ),
        "securityops",
    ),
    ServiceCIDR("kubernetes", ("10.96.0.0/12", "fd00::/108")),
    WebhookConfiguration(VALIDATING_WEBHOOKS, "none"),
    WebhookConfiguration(
        MUTATING_WEBHOOKS,
        "mesh",
        (
            AdmissionWebhook(ServiceReference("mesh", "inject", 443), "Ignore"),
            AdmissionWebhook(ServiceReference("mesh", "inject", 8443)),
        ),
    ),
    WebhookConfiguration(MUTATING_WEBHOOKS, "leaving", terminating=True),
    APIService("v1.apps"),
    APIService("v1.leaving", terminating=True),
    APIService("v1beta1.metrics.k8s.io", ServiceReference("kube-system", "metrics-server", 443)),
    RoleBinding(ROLE_BINDING, "shop", "nobody", "view", of_cluster=True),
    RoleBinding(ROLE_BINDING, "shop", "web", "web", accounts=(("shop", "web"), ("other", "default"), ("shop", "*"))),
    RoleBinding(CLUSTER_ROLE_BINDING, "", "all", "discovery", of_cluster=True, accounts=(("*", "*"),)),
]


def written(cluster: Cluster) -> str:
    out = io.StringIO()
    write_snapshot(cluster, out)
    return out.getvalue()


def read_back(text: str) -> FileState:
    state = FileState()
    state.load(["-"], stdin=io.BytesIO(text.encode()))
    assert state.problems == []
    return state


def assert_same(one: Cluster, other: Cluster) -> None:
    for kind in (*KINDS, *UNFOLLOWED):
        assert set(one.keys(kind)) == set(other.keys(kind))
        for key in one.keys(kind):
            assert one.get(kind, key) == other.get(kind, key)


@pytest.mark.parametrize("path", [*FIXTURES, EXAMPLE], ids=lambda path: path.stem)
def test_reads_back_as_the_same_state(path: Path) -> None:
    state = FileState(complete=True)
    state.load([str(path)])
    back = read_back(written(state.cluster))
    assert_same(state.cluster, back.cluster)
    assert all(back.cluster.completeness(kind) is Completeness.COMPLETE for kind in KINDS)


def test_everything_a_policy_and_a_service_can_say() -> None:
    policy = {
        "metadata": {
            "name": "p",
            "namespace": "shop",
            "labels": {"empty": ""},
            "annotations": {"netadmit.io/ignore.peer-matches-nothing": "later", "secret": "s3cret"},
        },
        "spec": {
            "podSelector": {"matchLabels": {"app": ""}, "matchExpressions": [{"key": "a", "operator": "Exists"}]},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {},
                {
                    "from": [
                        {"podSelector": {}},
                        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"access": "yes"}}},
                        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                    ],
                    "ports": [{"port": 80, "endPort": 90}, {"port": "http", "protocol": "UDP"}, {"protocol": "SCTP"}],
                },
            ],
            "egress": [{"to": [{"podSelector": {}}]}],
        },
    }
    service = {
        "metadata": {"name": "s", "namespace": "shop"},
        "spec": {
            "type": "NodePort",
            "selector": {"app": ""},
            "clusterIP": "None",
            "ports": [{"name": "a", "port": 80, "targetPort": "http", "nodePort": 30080}, {"name": "b", "port": 81}],
            "publishNotReadyAddresses": True,
            "clusterIPs": ["None"],
            "externalIPs": ["192.0.2.9"],
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Cluster",
            "loadBalancerClass": "example.com/lb",
        },
        "status": {
            "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}, {"ip": "fd00::1"}]}
        },
    }
    records = [convert(NetworkPolicy.kind, policy), convert(Service.kind, service)]
    text = written(Cluster.of(records, complete=True))
    assert "s3cret" not in text
    back = read_back(text).cluster
    kept, one = back.get(NetworkPolicy.kind, ("shop", "p")), records[0]
    assert isinstance(kept, NetworkPolicy)
    assert isinstance(one, NetworkPolicy)
    assert kept.spec == one.spec
    assert kept.metadata.annotations == {"netadmit.io/ignore.peer-matches-nothing": "later"}
    assert back.get(Service.kind, ("shop", "s")) == records[1]
    assert isinstance(records[1], Service)
    assert records[1].addresses == ("192.0.2.1", "lb.example.com", "fd00::1")


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.kind.rpartition("/")[2])
def test_everything_that_is_kept_of_other_kinds(record: Record) -> None:
    cluster = Cluster.of([record])
    assert_same(cluster, read_back(written(cluster)).cluster)


def test_annotations_that_checks_read_and_no_others() -> None:
    """A Service of a mesh, what Helm rendered, and the text of a policy that the API server did not take whole."""
    read = {"meta.helm.sh/release-name": "shop", "service.cilium.io/global": "true"}
    applied = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "shop", "annotations": {"note": "s3cret"}},
        "spec": {"podSelector": {"app": "api"}},
    }
    taken = applied | {"spec": {"podSelector": {"matchLabels": {"app": "api"}}}}
    odd = [
        "",
        "{",
        "[]",
        "[" * 100_000,
        json.dumps(taken),
        json.dumps(taken | {"spec": [1]}),
        json.dumps(applied | {"x": "y" * 70_000}),
    ]
    records = [
        convert(Service.kind, {"metadata": {"name": "s", "namespace": "shop", "annotations": read | {"n": "s3cret"}}}),
        *(
            convert(NetworkPolicy.kind, {"metadata": {"name": f"p{i}", "namespace": "shop", "annotations": note}})
            for i, note in enumerate({LAST_APPLIED: text} for text in [json.dumps(applied), *odd])
        ),
    ]
    text = written(Cluster.of(records))
    assert "s3cret" not in text
    back = read_back(text).cluster
    service, policy = back.get(Service.kind, ("shop", "s")), back.get(NetworkPolicy.kind, ("shop", "p0"))
    assert isinstance(service, Service)
    assert isinstance(policy, NetworkPolicy)
    assert service.metadata.annotations == read
    assert json.loads(policy.metadata.annotations[LAST_APPLIED])["spec"] == applied["spec"]
    for i in range(1, len(odd) + 1):
        other = back.get(NetworkPolicy.kind, ("shop", f"p{i}"))
        assert isinstance(other, NetworkPolicy)
        assert other.metadata.annotations == {}, odd[i - 1][:80]


@pytest.mark.parametrize("rule", [{"from": []}, {"from": None, "ports": [{"port": 80}]}])
def test_what_was_written_of_an_empty_list_of_peers(rule: object) -> None:
    """The object itself shows no trace of it, and opens-to-everyone asks."""
    spec = {"podSelector": {}, "ingress": [rule]}
    applied = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": spec}
    metadata = {"name": "p", "namespace": "shop", "annotations": {LAST_APPLIED: json.dumps(applied)}}
    record = convert(NetworkPolicy.kind, {"metadata": metadata, "spec": {"podSelector": {}, "ingress": [{}]}})
    back = read_back(written(Cluster.of([record]))).cluster.get(NetworkPolicy.kind, ("shop", "p"))
    assert isinstance(back, NetworkPolicy)
    assert json.loads(back.metadata.annotations[LAST_APPLIED])["spec"] == spec


@pytest.mark.parametrize(
    "value",
    "yes n on null ~ 1e3 010 0o10 1_000 12:30 2001-01-01 = .inf <<".split(),  # noqa: SIM905 - as people write them
)
def test_texts_that_yaml_reads_as_something_else(value: str) -> None:
    pod = Pod(namespace="shop", name="p", labels={"v": value})
    assert_same(Cluster.of([pod]), read_back(written(Cluster.of([pod]))).cluster)


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=4))
def test_any_text_of_a_config_map(data: dict[str, str]) -> None:
    cluster = Cluster.of([ConfigMap("kube-system", "coredns", data)])
    text = written(cluster)
    if all(c.isprintable() or c in "\n\t" for entry in data.items() for part in entry for c in part):
        assert_same(cluster, read_back(text).cluster)


def test_nothing_private_is_in_it() -> None:
    template = {
        "metadata": {"labels": {"app": "web"}, "annotations": {"vault": "s3cret-annotation"}},
        "spec": {
            "containers": [
                {
                    "name": "web",
                    "image": "registry.example/web",
                    "command": ["/bin/web", "--token=s3cret-command"],
                    "args": ["--password", "s3cret-argument", "s3cret-word"],
                    "env": [{"name": "PASSWORD", "value": "s3cret-env"}],
                }
            ]
        },
    }
    metadata = {"name": "w", "namespace": "shop"}
    objects = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"p": "s3cret"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | template["metadata"], "spec": template["spec"]},
        *(
            {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": {"template": template}}
            for kind in ("Deployment", "DaemonSet", "StatefulSet")
        ),
    ]
    state = FileState()
    state.load(["-"], stdin=io.BytesIO(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()))
    assert state.problems == []
    text = written(state.cluster)
    assert "s3cret" not in text
    assert text.count("app: web") == 4


def test_nothing_private_of_the_kinds_that_name_services_and_accounts() -> None:
    metadata = {"name": "x", "namespace": "shop", "annotations": {"note": "s3cret"}, "labels": {"note": "s3cret"}}
    service = {"namespace": "shop", "name": "web", "path": "/s3cret"}
    users = [{"kind": "User", "name": "s3cret@example.com"}, {"kind": "Group", "name": "s3cret:serviceaccounts"}]
    account = {"kind": "ServiceAccount", "namespace": "shop", "name": "web"}
    match = [{"headers": [{"name": "Authorization", "value": "s3cret"}]}]
    objects = {
        INGRESS: {"spec": {"tls": [{"secretName": "s3cret"}], "rules": [{"host": "s3cret.example.com"}]}},
        INGRESS_CLASS: {"spec": {"controller": "x.io/y", "parameters": {"kind": "Secret", "name": "s3cret"}}},
        HTTP_ROUTE: {"spec": {"rules": [{"matches": match, "backendRefs": [{"name": "web", "port": 80}]}]}},
        SERVICE_CIDR: {"spec": {"cidrs": ["10.0.0.0/8"]}},
        VALIDATING_WEBHOOKS: {"webhooks": [{"name": "a", "clientConfig": {"service": service, "caBundle": "s3cret"}}]},
        MUTATING_WEBHOOKS: {"webhooks": [{"name": "a", "clientConfig": {"url": "https://s3cret.example.com"}}]},
        API_SERVICE: {"spec": {"service": service, "caBundle": "s3cret"}},
        ROLE_BINDING: {"roleRef": {"kind": "Role", "name": "edit"}, "subjects": [*users, account]},
        CLUSTER_ROLE_BINDING: {"roleRef": {"kind": "ClusterRole", "name": "edit"}, "subjects": users},
        ENDPOINT_SLICE: {"endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "s3cret"}}]},
    }
    text = written(Cluster.of(convert(kind, {"metadata": metadata, **body}) for kind, body in objects.items()))
    assert text.count("name: x\n") == len(objects)
    assert "s3cret" not in text
    assert "name: web" in text


def test_nothing_private_of_policies_in_engines_own_apis() -> None:
    metadata = {"name": "x", "namespace": "shop", "annotations": {"note": "s3cret"}, "labels": {"note": "s3cret"}}
    http = {"http": [{"path": "/s3cret", "headerMatches": [{"name": "token", "value": "s3cret"}]}]}
    ports = [{"ports": [{"port": "80"}], "rules": http}]
    rule = {"fromEndpoints": [{"matchLabels": {"app": "s3cret"}}], "toPorts": ports}
    spec = {"endpointSelector": {"matchLabels": {"app": "web"}}, "description": "s3cret", "ingress": [rule]}
    calico = {"selector": "app == 'web'", "ingress": [{"action": "Allow", "http": {"paths": [{"exact": "/s3cret"}]}}]}
    antrea = {
        "appliedTo": [{"podSelector": {}}],
        "egress": [{"action": "Drop", "to": [{"fqdn": "s3cret.example.com"}]}],
    }
    objects = {CILIUM_NETWORK_POLICY: spec, CALICO_NETWORK_POLICY: calico, ANTREA_NETWORK_POLICY: antrea}
    text = written(Cluster.of(convert(kind, {"metadata": metadata, "spec": body}) for kind, body in objects.items()))
    assert text.count("name: x\n") == len(objects)
    assert "s3cret" not in text
    assert text.count("web") == 2


def test_only_what_is_complete_is_called_complete() -> None:
    cluster = Cluster({POD: Completeness.COMPLETE})
    cluster.put(Namespace("shop", {}))
    back = read_back(written(cluster)).cluster
    assert back.completeness(POD) is Completeness.COMPLETE
    assert back.completeness(NAMESPACE) is Completeness.PARTIAL
