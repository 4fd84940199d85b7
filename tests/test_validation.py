"""What the API server refuses, by the table in tests/refusals.py (tests/cluster holds the real server to it)."""

from typing import Any

import pytest

from webhook.model.schema import decode, schema_of
from webhook.model.validation import refused

from .refusals import ACCEPTED, POLICY, REFUSED, SERVICE, UNKNOWN, decoded, one_port, policy, port, read


@pytest.mark.parametrize("name", [*REFUSED])
def test_refused(name: str) -> None:
    text, begins = REFUSED[name]
    said = [str(problem) for problem in refused(read(text))]
    assert len(said) == len(begins), said
    for line, start in zip(sorted(said), sorted(begins), strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize("name", [*ACCEPTED])
def test_accepted(name: str) -> None:
    data = read(ACCEPTED[name])
    assert refused(data) == []
    assert decoded(data).unknown == ()


@pytest.mark.parametrize("name", [*UNKNOWN])
def test_unknown(name: str) -> None:
    text, paths = UNKNOWN[name]
    assert [problem.message for problem in decoded(read(text)).unknown] == [f'unknown field "{path}"' for path in paths]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (policy("{podSelector: {}, ingres: []}"), "write ingress"),
        (policy("{podselector: {}}"), "write podSelector"),
        (policy("{podSelector: {app: x}}"), "write matchLabels: {app: …}"),
        (policy("{podSelector: {matchLabel: {a: b}}}"), "write matchLabels"),
        (policy("{from: []}"), "from is a field of spec.ingress[]"),
        (policy("{podSelector: {}, ports: []}"), "ports is a field of spec.ingress[] and spec.egress[]"),
        (one_port("{port: 1, targetport: 2}"), "write targetPort"),
        (f"{POLICY}whatever: 1\n", ""),
    ],
)
def test_what_was_meant(text: str, remedy: str) -> None:
    (problem,) = decoded(read(text)).unknown
    assert problem.remedy == remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (policy("{podSelector: {matchLabels: {access: yes}}}"), "put the value in quotes"),
        (port("{protocol: udp}"), "write UDP"),
        (port("{port: '80'}"), "write the number without quotes"),
        (one_port("{port: '80'}"), "write the value without quotes"),
        (policy("{podSelector: {}, ingress: {}}"), 'write a list: "- " before each element'),
        (f"{POLICY}spec: []\n", 'write one mapping, without "- "'),
        (policy("{ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]}"), "write 10.0.0.1/32"),
        (policy("{ingress: [{from: [{ipBlock: {cidr: 10.0.0.1/8}}]}]}"), "write 10.0.0.0/8 or 10.0.0.1/32"),
        (policy("{ingress: [{from: [{ipBlock: {cidr: 10.01.0.0/16}}]}]}"), "write 10.1.0.0/16"),
        (POLICY.replace("networking.k8s.io/v1", "extensions/v1beta1"), "write networking.k8s.io/v1"),
        (SERVICE.replace("v1", "core/v1"), "write v1"),
    ],
)
def test_remedies(text: str, remedy: str) -> None:
    (problem,) = refused(read(text))
    assert problem.remedy == remedy


@pytest.mark.parametrize(
    "data",
    [
        {"apiVersion": "v1", "kind": "Pod"},
        {"apiVersion": "crd.projectcalico.org/v1", "kind": "NetworkPolicy", "spec": 1},
        {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": {"template": {}}},
        {"apiVersion": 1, "kind": None},
        {},
    ],
)
def test_other_kinds_are_not_judged(data: dict[str, Any]) -> None:
    assert schema_of(data) is None
    assert decode(data) is None
    assert refused(data) == []


def test_an_old_version_is_refused() -> None:
    (problem,) = refused(read(POLICY.replace("networking.k8s.io/v1", "extensions/v1beta1")))
    assert str(problem) == 'apiVersion: no matches for kind "NetworkPolicy" in version "extensions/v1beta1"'


def test_everything_is_reported_at_once() -> None:
    data = read(port("{port: 0, protocol: tcp}, {port: 'x y'}").replace("name: a", "name: A, labels: {a: true}"))
    assert len(refused(data)) == 5
    assert len(decoded(data).mistyped) == 1


def test_what_follows_from_a_mistyped_field_is_not_reported() -> None:
    assert len(refused(read(one_port("80")))) == 1
    assert len(refused(read(f"{SERVICE}spec: {{ports: {{port: 80}}}}\n"))) == 1
    assert len(refused(read(SERVICE.replace("{name: a}", "[]")))) == 2  # metadata, and no ports


def test_node_ports_that_no_cluster_has() -> None:
    said = [str(one) for one in refused(read(one_port("{port: 1, nodePort: 70000}", "type: NodePort")))]
    assert said == ["spec.ports[0].nodePort: Invalid value: 70000: provided port is not in the valid range"]


def test_names_that_are_made_up_later() -> None:
    (problem,) = refused(read(POLICY.replace("name: a", "generateName: A-")))
    assert str(problem).startswith('metadata.generateName: Invalid value: "A-": a lowercase RFC 1123 subdomain')


def test_the_namespace_is_looked_at_when_it_is_there() -> None:
    (problem,) = refused(read(POLICY.replace("name: a", "name: a, namespace: a.b")))
    assert str(problem) == 'metadata.namespace: Invalid value: "a.b": must not contain dots'


def test_the_health_check_of_a_local_load_balancer() -> None:
    spec = "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: "
    assert refused(read(one_port("{port: 1}", f"{spec}30200"))) == []
    (problem,) = refused(read(one_port("{port: 1}", f"{spec}70000")))
    assert str(problem).startswith("spec.healthCheckNodePort: Invalid value: 70000: must be between")
