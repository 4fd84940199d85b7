"""A snapshot holds what checks read and nothing else, and reads back as the same state."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import KINDS, LAST_APPLIED, NAMESPACE, POD, ConfigMap, Namespace, NetworkPolicy, Pod, Service
from webhook.model.parse import convert
from webhook.state.files import FileState
from webhook.state.snapshot import write_snapshot

FIXTURES = sorted((Path(__file__).parent / "fixtures" / "enforcement").glob("*.yaml"))
EXAMPLE = Path(__file__).parents[1] / "webhook" / "cli" / "example"


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
    for kind in KINDS:
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
    odd = ["", "{", "[]", "[" * 100_000, json.dumps(taken), json.dumps(applied | {"x": "y" * 70_000})]
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


def test_only_what_is_complete_is_called_complete() -> None:
    cluster = Cluster({POD: Completeness.COMPLETE})
    cluster.put(Namespace("shop", {}))
    back = read_back(written(cluster)).cluster
    assert back.completeness(POD) is Completeness.COMPLETE
    assert back.completeness(NAMESPACE) is Completeness.PARTIAL
