"""The oracle itself against truth tables written by hand, modelled on what Kubernetes' own e2e tests assert.

Source of most cases: k8s.io/kubernetes test/e2e/network/netpol/network_policy.go; for the tiers of administrators
sigs.k8s.io/network-policy-api conformance/tests. As there, a table starts with everything allowed.
"""

import ipaddress
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Final

import pytest
import yaml
from msgspec import Struct
from msgspec.structs import replace

from tests.reach_oracle import Oracle, PolicyAnswer, allowed, range_name
from webhook.model.objects import (
    CLUSTER_NETWORK_POLICY,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    NAME_LABEL,
    NETWORK_POLICY,
    REPLICA_SET,
    AdminPeer,
    AdminPolicy,
    AdminPort,
    AdminRule,
    ContainerPort,
    LabelSelector,
    Namespace,
    NetworkPolicy,
    Node,
    Pod,
    Record,
    Workload,
)
from webhook.model.parse import convert

E2E_PORTS: Final = (
    ContainerPort(80, "serve-80-tcp"),
    ContainerPort(81, "serve-81-tcp"),
    ContainerPort(80, "serve-80-udp", "UDP"),
    ContainerPort(81, "serve-81-sctp", "SCTP"),
)


def pods(names: str) -> list[Record]:
    """``x/a y/b``: pods labelled ``pod: a`` in namespaces labelled ``ns: x``, as the e2e tests have them."""
    made: list[Record] = []
    for i, name in enumerate(names.split(), 1):
        namespace, pod = name.split("/")
        made.append(Namespace(namespace, {"ns": namespace, NAME_LABEL: namespace}))
        made.append(Pod(namespace, pod, {"pod": pod}, phase="Running", ips=(f"10.0.0.{i}",), ports=E2E_PORTS))
    return made


def policy(namespace: str, spec: str, name: str = "np") -> NetworkPolicy:
    """A NetworkPolicy whose spec is written as in a manifest."""
    made = convert(
        NETWORK_POLICY, {"metadata": {"namespace": namespace, "name": name}, "spec": yaml.safe_load(spec) or {}}
    )
    assert isinstance(made, NetworkPolicy)
    return made


def changed(records: Iterable[Record], name: str, **fields: Any) -> list[Record]:
    """The same, but one pod has other fields."""
    return [replace(r, **fields) if isinstance(r, Pod) and f"{r.namespace}/{r.name}" == name else r for r in records]


def reached(records: Iterable[Record], probe: str) -> set[tuple[str, str]]:
    """The pairs of different pods that get through on ``TCP 80``."""
    oracle, (protocol, port) = Oracle(records), probe.split()
    names = {p: f"{p.record.namespace}/{p.record.name}" for p in oracle.parties if p.record is not None}
    return {
        (names[a], names[b])
        for a in oracle.parties
        for b in oracle.parties
        if a is not b and oracle.allowed(a, b, protocol, int(port))
    }


def expected(records: Iterable[Record], changes: str) -> set[tuple[str, str]]:
    """The pairs that are left of all: ``-*>x/*`` takes some away, ``+y/a>x/a`` gives some back, in this order."""
    names = [f"{r.namespace}/{r.name}" for r in records if isinstance(r, Pod)]
    pairs = [(a, b) for a in names for b in names if a != b]
    left = set(pairs)
    for change in changes.split():
        src, dst = change[1:].split(">")
        hit = {(a, b) for a, b in pairs if fnmatchcase(a, src) and fnmatchcase(b, dst)}
        assert hit, change
        left = left | hit if change[0] == "+" else left - hit
    return left


class Case(Struct):
    """Pods, the policies of namespace x, and for each probe how the table differs from all allowed."""

    title: str
    pods: str
    policies: tuple[str, ...]
    probes: dict[str, str]


CASES: Final = [
    Case("without a policy everybody reaches everybody", "x/a x/b y/a", (), {"TCP 80": "", "SCTP 7": ""}),
    Case(
        "deny all ingress",
        "x/a x/b y/a y/b",
        ("podSelector: {}",),
        {"TCP 80": "-*>x/*", "UDP 80": "-*>x/*", "SCTP 80": "-*>x/*"},
    ),
    Case("an empty spec denies all ingress", "x/a x/b y/a", ("{}",), {"TCP 80": "-*>x/*"}),
    Case("no podSelector selects all", "x/a x/b y/a", ("podSelector: null",), {"TCP 80": "-*>x/*"}),
    Case("deny all", "x/a x/b y/a", ("policyTypes: [Ingress, Egress]",), {"TCP 80": "-*>x/* -x/*>*"}),
    Case("deny all egress", "x/a x/b y/a", ("policyTypes: [Egress]",), {"TCP 80": "-x/*>*"}),
    Case(
        "deny the egress of one pod",
        "x/a x/b y/a",
        ("{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress]}",),
        {"TCP 80": "-x/a>*"},
    ),
    Case(
        "from pods of the own namespace by podSelector",
        "x/a x/b x/c y/a y/b",
        ("{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}",),
        {"TCP 80": "-*>x/a +x/b>x/a"},
    ),
    Case(
        "an empty podSelector as peer is the own namespace",
        "x/a x/b y/a z/a",
        ("ingress: [{from: [{podSelector: {}}]}]",),
        {"TCP 80": "-y/*>x/* -z/*>x/*"},
    ),
    Case(
        "deny all and allow to one: the union",
        "x/a x/b y/a",
        (
            "{}",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}, namespaceSelector: {}}]}]}",
        ),
        {"TCP 80": "-*>x/b"},
    ),
    Case(
        "an empty namespaceSelector is every namespace, the own too",
        "x/a x/b y/a z/a",
        ("{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {}}]}]}",),
        {"TCP 80": ""},
    ),
    Case(
        "only from another namespace",
        "x/a x/b y/a z/a",
        ("{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}",),
        {"TCP 80": "-*>x/a +y/a>x/a"},
    ),
    Case(
        "podSelector by expression",
        "x/a x/b y/a",
        (
            (
                "{podSelector: {matchExpressions: [{key: pod, operator: In, values: [a]}]},"
                " ingress: [{from: [{podSelector: {matchExpressions: [{key: pod, operator: In, values: [b]}]}}]}]}"
            ),
        ),
        {"TCP 80": "-*>x/a +x/b>x/a"},
    ),
    Case(
        "NotIn and DoesNotExist match what lacks the key",
        "x/a x/b y/a",
        (
            (
                "ingress: [{from: [{podSelector: {matchExpressions: ["
                "{key: tier, operator: NotIn, values: [db]}, {key: gone, operator: DoesNotExist}]}}]}]"
            ),
        ),
        {"TCP 80": "-*>x/* +x/*>x/*"},
    ),
    Case(
        "In and Exists do not match what lacks the key",
        "x/a x/b y/a",
        (
            (
                "ingress: [{from: [{podSelector: {matchExpressions: [{key: tier, operator: In, values: [db]}]}},"
                " {podSelector: {matchExpressions: [{key: tier, operator: Exists}]}}]}]"
            ),
        ),
        {"TCP 80": "-*>x/*"},
    ),
    Case(
        "the label of a namespace's name is always there",
        "x/a x/b y/a z/a",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector:"
                " {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [y]}]}}]}]}"
            ),
        ),
        {"TCP 80": "-*>x/a +y/a>x/a"},
    ),
    Case(
        "egress to all namespaces but one",
        "x/a x/b y/a z/a",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector:"
                " {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [y]}]}}]}]}"
            ),
        ),
        {"TCP 80": "-x/a>y/*"},
    ),
    Case(
        "two peers: or",
        "x/a x/b x/c y/a y/b",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{from:"
                " [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}},"
                " {podSelector: {matchLabels: {pod: b}}}]}]}"
            ),
        ),
        {"TCP 80": "-x/c>x/a"},
    ),
    Case(
        "one peer with two selectors: and",
        "x/a x/b y/a y/b z/b",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{from:"
                " [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]},"
                " podSelector: {matchLabels: {pod: b}}}]}]}"
            ),
        ),
        {"TCP 80": "-*>x/a +y/b>x/a +z/b>x/a"},
    ),
    Case(
        "one of two podSelectors",
        "x/a x/b x/c x/d",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{from:"
                " [{podSelector: {matchLabels: {pod: b}}}, {podSelector: {matchLabels: {pod: c}}}]}]}"
            ),
        ),
        {"TCP 80": "-*>x/a +x/b>x/a +x/c>x/a"},
    ),
    Case(
        "a port and a namespace",
        "x/a x/b y/a y/b z/a",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, ingress:"
                " [{from: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: 81, protocol: TCP}]}]}"
            ),
        ),
        {"TCP 81": "-*>x/a +y/*>x/a", "TCP 80": "-*>x/a", "UDP 81": "-*>x/a"},
    ),
    Case(
        "stacked policies add their ports",
        "x/a x/b y/a",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, ingress:"
                " [{from: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: 81}]}]}"
            ),
            (
                "{podSelector: {matchLabels: {pod: a}}, ingress:"
                " [{from: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: 80}]}]}"
            ),
        ),
        {"TCP 81": "-*>x/a +y/*>x/a", "TCP 80": "-*>x/a +y/*>x/a", "TCP 82": "-*>x/a"},
    ),
    Case(
        "ports of one rule do not go with peers of another",
        "x/a x/b y/a",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, ingress: ["
                "{from: [{podSelector: {matchLabels: {pod: b}}}], ports: [{port: 80}]},"
                "{from: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: 81}]}]}"
            ),
        ),
        {"TCP 80": "-*>x/a +x/b>x/a", "TCP 81": "-*>x/a +y/a>x/a"},
    ),
    Case("allow all: one empty rule", "x/a x/b y/a", ("ingress: [{}]",), {"TCP 80": "", "UDP 81": ""}),
    Case("null in a list is the empty rule", "x/a x/b y/a", ("ingress: [null]",), {"TCP 80": "", "UDP 81": ""}),
    Case("an empty from, like none, is everybody", "x/a y/a", ("ingress: [{from: [], ports: []}]",), {"TCP 80": ""}),
    Case(
        "allow all on top of a narrow one wins",
        "x/a y/a",
        ("ingress: [{ports: [{port: 80}]}]", "ingress: [{}]"),
        {"TCP 81": "", "TCP 80": ""},
    ),
    Case(
        "the narrow one alone, for egress",
        "x/a y/a",
        ("{policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}",),
        {"TCP 81": "-x/*>*", "TCP 80": ""},
    ),
    Case(
        "a named port of the selected pods",
        "x/a x/b y/a",
        ("ingress: [{ports: [{port: serve-81-tcp}]}]",),
        {"TCP 81": "", "TCP 80": "-*>x/*", "SCTP 81": "-*>x/*"},
    ),
    Case(
        "a named port with another protocol matches nothing",
        "x/a x/b y/a",
        ("ingress: [{ports: [{port: serve-81-tcp, protocol: UDP}, {port: nowhere}]}]",),
        {"TCP 81": "-*>x/*", "UDP 81": "-*>x/*"},
    ),
    Case(
        "a named port from a namespace",
        "x/a x/b y/a z/a",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{from:"
                " [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: serve-80-tcp, protocol: TCP}]}]}"
            ),
        ),
        {"TCP 80": "-*>x/a +y/a>x/a", "TCP 81": "-*>x/a"},
    ),
    Case(
        "a named port outwards is the other pod's",
        "x/a y/a",
        ("{policyTypes: [Egress], egress: [{ports: [{port: serve-80-tcp}]}]}",),
        {"TCP 80": "", "TCP 81": "-x/*>*"},
    ),
    Case(
        "ingress and egress in one policy",
        "x/a x/b x/c y/a",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress, Ingress],"
                " ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}], egress: [{ports: [{port: 80}]}]}"
            ),
        ),
        {"TCP 80": "-*>x/a +x/b>x/a", "TCP 81": "-*>x/a -x/a>* +x/b>x/a"},
    ),
    Case(
        "egress rules isolate even where policyTypes is not written",
        "x/a y/a y/b",
        ("egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}]}]",),
        {"TCP 80": "-*>x/* -x/*>* +x/a>y/b"},
    ),
    Case("an empty egress does not isolate", "x/a y/a", ("{ingress: [{}], egress: []}",), {"TCP 80": ""}),
    Case(
        "rules of a direction that policyTypes leaves out are dead",
        "x/a y/a",
        (
            "{policyTypes: [Egress], ingress: [{from: [{podSelector: {matchLabels: {pod: none}}}]}], egress: [{}]}",
            "{policyTypes: [Ingress], ingress: [{}], egress: [{ports: [{port: 1}]}]}",
        ),
        {"TCP 80": ""},
    ),
    Case(
        "any port of one protocol",
        "x/a y/a",
        ("{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{protocol: TCP}]}]}",),
        {"TCP 80": "", "TCP 65535": "", "UDP 80": "-*>x/a"},
    ),
    Case("an empty port entry is TCP", "x/a y/a", ("ingress: [{ports: [{}]}]",), {"TCP 7": "", "UDP 53": "-*>x/a"}),
    Case(
        "SCTP is not TCP, and isolates",
        "x/a y/a",
        ("{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 80, protocol: SCTP}]}]}",),
        {"TCP 80": "-*>x/a", "TCP 81": "-*>x/a", "SCTP 80": "", "SCTP 81": "-*>x/a"},
    ),
    Case(
        "UDP is not TCP",
        "x/a y/a",
        ("ingress: [{ports: [{port: 81, protocol: UDP}]}]",),
        {"TCP 81": "-*>x/a", "UDP 81": ""},
    ),
    Case(
        "endPort is within the range",
        "x/a y/a",
        ("ingress: [{ports: [{port: 80, endPort: 82}]}]",),
        {"TCP 79": "-*>x/a", "TCP 80": "", "TCP 82": "", "TCP 83": "-*>x/a", "UDP 81": "-*>x/a"},
    ),
    Case(
        "egress to one address",
        "x/a y/a y/b",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress],"
                " egress: [{to: [{ipBlock: {cidr: 10.0.0.3/32}}]}]}"
            ),
        ),
        {"TCP 80": "-x/a>* +x/a>y/b"},
    ),
    Case(
        "egress to a range except one address",
        "x/a x/b x/c",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress],"
                " egress: [{to: [{ipBlock: {cidr: 10.0.0.0/24, except: [10.0.0.2/32]}}]}]}"
            ),
        ),
        {"TCP 80": "-x/a>x/b"},
    ),
    Case(
        "what one rule excepts, another lets in",
        "x/a x/b x/c",
        (
            (
                "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress],"
                " egress: [{to: [{ipBlock: {cidr: 10.0.0.0/24, except: [10.0.0.2/32, 10.0.0.3/32]}}]},"
                " {to: [{ipBlock: {cidr: 10.0.0.2/32}}]}]}"
            ),
        ),
        {"TCP 80": "-x/a>x/c"},
    ),
    Case(
        "excepting everything leaves nothing",
        "x/a y/a",
        ("ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [0.0.0.0/1, 128.0.0.0/1]}}]}]",),
        {"TCP 80": "-*>x/a"},
    ),
    Case(
        "an address has no named ports, even where a pod is",
        "x/a y/a",
        ("{policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: serve-80-tcp}]}]}",),
        {"TCP 80": "-x/a>*"},
    ),
    Case(
        "but inwards the name is the selected pod's",
        "x/a y/a",
        ("ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: serve-80-tcp}]}]",),
        {"TCP 80": "", "TCP 81": "-*>x/a"},
    ),
    Case(
        "ingress and egress are apart",
        "x/a x/b y/a",
        (
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{}]}",
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress]}",
        ),
        {"TCP 80": "-*>x/a"},
    ),
    Case(
        "a selector that contradicts itself matches nobody",
        "x/a y/a",
        (
            (
                "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y},"
                " matchExpressions: [{key: ns, operator: DoesNotExist}]}}]}]"
            ),
        ),
        {"TCP 80": "-*>x/a"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_truth_table(case: Case) -> None:
    records = pods(case.pods)
    policies = [policy("x", spec, f"np{i}") for i, spec in enumerate(case.policies)]
    for probe, changes in case.probes.items():
        assert reached([*records, *policies], probe) == expected(records, changes), probe
        assert reached([*reversed(policies), *records], probe) == expected(records, changes), probe


def test_egress_and_ingress_must_both_allow() -> None:
    """e2e: deny egress on the client's side even if the server allows."""
    records = pods("x/a y/a y/b")
    to_a = policy(
        "x", "{policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}]}]}"
    )
    from_x = policy("y", "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: x}}}]}]")
    assert reached([*records, to_a, from_x], "TCP 80") == expected(records, "-x/a>y/b -y/*>y/*")


def test_a_policy_is_of_its_namespace() -> None:
    records = pods("x/a y/a")
    assert reached([*records, policy("y", "podSelector: {}")], "TCP 80") == expected(records, "-*>y/a")
    assert reached([*records, policy("nobody-is-here", "podSelector: {}")], "TCP 80") == expected(records, "")


def test_labels_of_a_namespace_and_of_a_pod_decide() -> None:
    """e2e: ingress access from an updated namespace, from an updated pod, to an updated pod."""
    allow = policy("x", "ingress: [{from: [{namespaceSelector: {matchLabels: {ns2: updated}}}]}]")
    records = pods("x/a y/a")
    assert reached([*records, allow], "TCP 80") == expected(records, "-*>x/a")
    labelled = [*records, Namespace("y", {"ns2": "updated"})]
    assert reached([*labelled, allow], "TCP 80") == expected(records, "")

    deny = policy("x", "podSelector: {matchLabels: {target: isolated}}")
    assert reached([*records, deny], "TCP 80") == expected(records, "")
    isolated = changed(records, "x/a", labels={"target": "isolated"})
    assert reached([*isolated, deny], "TCP 80") == expected(records, "-*>x/a")


def test_a_namespace_of_which_only_a_pod_is_known_has_its_name() -> None:
    a, b, c = Pod("x", "a", {}), Pod("y", "b", {}), Pod("z", "c", {})
    by_name = policy("x", "ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}]}]")
    records: list[Record] = [a, b, c, by_name]
    assert allowed(records, b, a, "TCP", 80)
    assert not allowed(records, c, a, "TCP", 80)


def test_a_pod_always_reaches_itself() -> None:
    pod = Pod("x", "a", {})
    other = Pod("x", "b", {})
    records: list[Record] = [pod, other, policy("x", "policyTypes: [Ingress, Egress]")]
    assert allowed(records, pod, pod, "TCP", 80)
    assert not allowed(records, pod, other, "TCP", 80)


def test_a_finished_pod_is_gone_and_a_terminating_one_is_not() -> None:
    records = changed(changed(pods("x/a y/a y/b"), "y/a", phase="Succeeded"), "y/b", terminating=True, phase="Pending")
    assert reached(records, "TCP 80") == {("x/a", "y/b"), ("y/b", "x/a")}
    with pytest.raises(LookupError):
        allowed(records, Pod("y", "a", {}), Pod("x", "a", {}), "TCP", 80)


def test_a_name_declared_twice_is_each_of_its_numbers() -> None:
    twice = (ContainerPort(80, "web"), ContainerPort(8080, "web"), ContainerPort(81, "web", "UDP"))
    records = changed(pods("x/a y/a"), "x/a", ports=twice)
    only_web = policy("x", "ingress: [{ports: [{port: web}]}]")
    for probe, changes in {"TCP 80": "", "TCP 8080": "", "UDP 81": "-*>x/a", "TCP 81": "-*>x/a"}.items():
        assert reached([*records, only_web], probe) == expected(records, changes)


# --- addresses


def outside(records: Iterable[Record], pod: Pod, way: Any) -> dict[str, tuple[str, ...]]:
    oracle = Oracle(records)
    return oracle.outside(oracle.party(pod), way)


def test_addresses_outside() -> None:
    pod = Pod("x", "a", {}, ips=("10.0.0.1",))
    records: list[Record] = [
        pod,
        policy(
            "x",
            "{policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {}}]}, {ports: [{port: 22}]}],"
            " egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.4/30]}}], ports: [{port: 443}]},"
            " {to: [{ipBlock: {cidr: 203.0.114.0/24}}], ports: [{port: 443}, {protocol: UDP}]}]}",
        ),
    ]
    assert not allowed(records, pod, "203.0.113.5", "TCP", 443)
    assert allowed(records, pod, "203.0.113.8", "TCP", 443)
    assert not allowed(records, pod, "203.0.113.8", "TCP", 444)
    assert not allowed(records, "10.0.0.1", pod, "TCP", 80), "to an address no selector matters"
    assert outside(records, pod, "Ingress") == {"ip:0.0.0.0/0": ("TCP 22",)}
    assert outside(records, pod, "Egress") == {
        "ip:203.0.113.0/30": ("TCP 443",),
        "ip:203.0.113.8-203.0.113.255": ("TCP 443",),
        "ip:203.0.114.0/24": ("TCP 443", "UDP"),
    }


def test_ranges_are_the_widest_and_families_apart() -> None:
    pod = Pod("x", "a", {}, ips=("10.0.0.1", "fd00::1"))
    rule = (
        "ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/1}}, {ipBlock: {cidr: 128.0.0.0/1}}, {ipBlock: {cidr: fd00::/8}}]}]"
    )
    assert outside([pod, policy("x", rule)], pod, "Ingress") == {"ip:0.0.0.0/0": ("all",), "ip:fd00::/8": ("all",)}
    assert outside([Pod("x", "a", {})], pod, "Ingress") == {"ip:0.0.0.0/0": ("all",)}, "nobody has IPv6"
    assert range_name(4, 1, 2) == "ip:0.0.0.1-0.0.0.2"
    assert range_name(6, 0, 2**128 - 1) == "ip:::/0"
    assert range_name(4, *[int(ipaddress.ip_address("10.0.0.1"))] * 2) == "ip:10.0.0.1/32"


def test_a_connection_is_of_one_family() -> None:
    four, six = Pod("x", "four", {}, ips=("10.0.0.1",)), Pod("x", "six", {}, ips=("fd00::2",))
    both, none = Pod("x", "both", {}, ips=("10.0.0.3", "fd00::3")), Pod("x", "none", {})
    records: list[Record] = [four, six, both, none]
    apart = {("x/four", "x/six"), ("x/six", "x/four")}
    assert reached(records, "TCP 80") == expected(records, "") - apart
    only_six = policy("x", "ingress: [{from: [{ipBlock: {cidr: '::/0'}}]}]")
    from_six = {(a, b) for a in ("x/six", "x/both") for b in ("x/six", "x/both", "x/none") if a != b}
    assert reached([*records, only_six], "TCP 80") == from_six
    # egress by one family, ingress by the other: no connection is both
    out_by_four = policy("x", "{policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}", "out")
    assert reached([*records, only_six, out_by_four], "TCP 80") == set()
    by_selector = policy("x", "ingress: [{from: [{podSelector: {}}]}]", "in")
    assert reached([*records, by_selector, out_by_four], "TCP 80") == {
        (a, b) for a in ("x/four", "x/both", "x/none") for b in ("x/four", "x/both") if a != b
    }
    assert not allowed(records, "fd00::9", four, "TCP", 80)
    assert allowed(records, "fd00::9", none, "TCP", 80)


def test_host_network() -> None:
    """Policies do not bind it, selectors do not match it; it is its node's address, and the node of its neighbours."""
    near, far = (
        Pod("x", "near", {"app": "x"}, node="n1", ips=("10.0.0.1",)),
        Pod("x", "far", {}, node="n2", ips=("10.0.0.2",)),
    )
    host = Pod("x", "host", {"app": "x"}, node="n1", host_network=True)
    node = Node("n1", {}, addresses=("host-1", "192.168.0.1"))
    records: list[Record] = [near, far, host, node]

    def pairs(spec: str) -> set[tuple[str, str]]:
        return reached([*records, policy("x", spec)], "TCP 80")

    assert pairs("policyTypes: [Ingress, Egress]") == {("x/near", "x/host"), ("x/host", "x/near")}
    own_node = {("x/host", "x/near"), ("x/near", "x/host"), ("x/far", "x/host")}
    assert pairs("ingress: [{from: [{podSelector: {matchLabels: {app: x}}}]}]") == own_node | {("x/near", "x/far")}
    assert ("x/host", "x/far") in pairs("ingress: [{from: [{ipBlock: {cidr: 192.168.0.1/32}}]}]")
    assert ("x/host", "x/far") not in pairs("ingress: [{from: [{ipBlock: {cidr: 192.168.0.2/32}}]}]")
    assert ("x/host", "x/far") in pairs("ingress: [{}]")
    denied = [*records, policy("x", "policyTypes: [Ingress, Egress]")]
    assert allowed(denied, "192.168.0.1", near, "TCP", 80), "the node itself"
    assert allowed(denied, near, "192.168.0.1", "TCP", 80)
    assert not allowed(denied, "192.168.0.1", far, "TCP", 80)


def test_a_host_network_pod_has_no_named_ports() -> None:
    """It is an address to policies, and to an address a name says nothing."""
    web = (ContainerPort(80, "web"),)
    pod, host = Pod("x", "a", {}, ports=web), Pod("y", "host", {}, host_network=True, ports=web)
    other = Pod("y", "b", {}, ports=web)
    records: list[Record] = [pod, host, other, policy("x", "{policyTypes: [Egress], egress: [{ports: [{port: web}]}]}")]
    assert allowed(records, pod, other, "TCP", 80)
    assert not allowed(records, pod, host, "TCP", 80)


def test_a_node_is_known_by_name_only() -> None:
    pod, host = Pod("x", "a", {}), Pod("x", "host", {}, host_network=True)
    deny = policy("x", "podSelector: {}")
    assert not allowed([pod, host, deny], host, pod, "TCP", 80), "two pods that say no node share none"


# --- the tiers of administrators

ALL: Final = AdminPeer(namespaces=LabelSelector())
ANYWHERE: Final = AdminPeer(networks=("0.0.0.0/0", "::/0"))


def in_namespace(name: str) -> AdminPeer:
    return AdminPeer(namespaces=LabelSelector({"ns": name}))


def cnp(
    *ingress: AdminRule, egress: tuple[AdminRule, ...] = (), name: str = "p", tier: Any = "Admin", priority: int = 5
) -> AdminPolicy:
    return AdminPolicy(CLUSTER_NETWORK_POLICY, name, tier, priority, in_namespace("x"), ingress, egress)


ADMIN_PODS: Final = "x/a x/b y/a z/b"
ADMIN_CASES: Final[dict[str, tuple[list[Record], str]]] = {
    "deny from a namespace": ([cnp(AdminRule("Deny", (in_namespace("y"),)))], "-y/*>x/*"),
    "accept is final, whatever NetworkPolicies say": (
        [cnp(AdminRule("Accept", (in_namespace("y"),))), policy("x", "{}")],
        "-*>x/* +y/*>x/*",
    ),
    "the first rule decides": (
        [cnp(AdminRule("Accept", (in_namespace("y"),)), AdminRule("Deny", (ALL,)))],
        "-*>x/* +y/*>x/*",
    ),
    "the lower priority comes first": (
        [
            cnp(AdminRule("Deny", (ALL,)), name="late", priority=10),
            cnp(AdminRule("Accept", (ALL,)), name="soon", priority=9),
        ],
        "",
    ),
    "then the name": ([cnp(AdminRule("Deny", (ALL,)), name="b"), cnp(AdminRule("Accept", (ALL,)), name="a")], ""),
    "pass leaves the rest of the tier out": (
        [cnp(AdminRule("Pass", (in_namespace("y"),)), AdminRule("Deny", (ALL,)))],
        "-*>x/* +y/*>x/*",
    ),
    "pass, then NetworkPolicies": (
        [cnp(AdminRule("Pass", (ALL,)), AdminRule("Accept", (ALL,))), policy("x", "{}")],
        "-*>x/*",
    ),
    "pass, then the baseline": (
        [cnp(AdminRule("Pass", (ALL,))), cnp(AdminRule("Deny", (in_namespace("y"),)), tier="Baseline", name="default")],
        "-y/*>x/*",
    ),
    "NetworkPolicies come before the baseline": (
        [cnp(AdminRule("Deny", (ALL,)), tier="Baseline"), policy("x", "ingress: [{from: [{namespaceSelector: {}}]}]")],
        "",
    ),
    "but only for the pods and the direction that they isolate": (
        [
            cnp(AdminRule("Deny", (ALL,)), tier="Baseline"),
            policy("x", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{}]}"),
        ],
        "-*>x/*",
    ),
    "a baseline that passes leaves all open": (
        [cnp(AdminRule("Pass", (ALL,)), AdminRule("Deny", (ALL,)), tier="Baseline")],
        "",
    ),
    "egress by address, pods too": ([cnp(egress=(AdminRule("Deny", (ANYWHERE,)),))], "-x/*>*"),
    "egress, and the other side still decides": (
        [cnp(egress=(AdminRule("Accept", (ALL,)),)), policy("y", "{}")],
        "-*>y/*",
    ),
    "a port that is another is not hit": ([cnp(AdminRule("Deny", (ALL,), (AdminPort("TCP", 81, 90),)))], ""),
    "a range is hit": ([cnp(AdminRule("Deny", (ALL,), (AdminPort("TCP", 79, 80),)))], "-*>x/*"),
    "another protocol is not hit": ([cnp(AdminRule("Deny", (ALL,), (AdminPort("UDP", 80, 80),)))], ""),
    "a name is hit": ([cnp(AdminRule("Deny", (ALL,), (AdminPort(name="serve-80-tcp"),)))], "-*>x/*"),
    "a domain name is nobody": (
        [cnp(egress=(AdminRule("Deny", (AdminPeer(domain_names=("example.com.",)),)),))],
        "",
    ),
    "accepting what is unheard of accepts nothing": (
        [cnp(AdminRule("Accept", (AdminPeer(), ALL)), AdminRule("Deny", (in_namespace("y"),)))],
        "-y/*>x/*",
    ),
    "denying what is unheard of denies all": (
        [cnp(AdminRule("Deny", (AdminPeer(),), (AdminPort("UDP", 1, 1),)))],
        "-*>x/*",
    ),
    "passing what is unheard of denies all": ([cnp(AdminRule("Pass", (AdminPeer(),)))], "-*>x/*"),
    "pods of namespaces": (
        [cnp(AdminRule("Deny", (AdminPeer(namespaces=LabelSelector(), pods=LabelSelector({"pod": "a"})),)))],
        "-*/a>x/*",
    ),
}  # fmt: skip


@pytest.mark.parametrize("title", ADMIN_CASES)
def test_admin_truth_table(title: str) -> None:
    policies, changes = ADMIN_CASES[title]
    records = pods(ADMIN_PODS)
    assert reached([*records, *policies], "TCP 80") == expected(records, changes)


def test_a_named_admin_port_is_of_any_protocol() -> None:
    both = (ContainerPort(80, "dns"), ContainerPort(53, "dns", "UDP"))
    records = changed(pods("x/a y/a"), "x/a", ports=both)
    deny = cnp(AdminRule("Deny", (ALL,), (AdminPort(name="dns"),)))
    for probe, changes in {"TCP 80": "-*>x/a", "UDP 53": "-*>x/a", "UDP 80": "", "TCP 53": ""}.items():
        assert reached([*records, deny], probe) == expected(records, changes), probe


def test_nodes_as_peers() -> None:
    pod = Pod("x", "a", {}, ips=("10.0.0.1",))
    on_1 = Pod("y", "on-1", {}, node="n1", host_network=True)
    on_2 = Pod("y", "on-2", {}, node="n2", host_network=True)
    records: list[Record] = [
        Namespace("x", {"ns": "x"}), pod, on_1, on_2, Pod("y", "b", {}, node="n1", ips=("10.0.0.2",)),
        Node("n1", {"zone": "1"}, addresses=("192.168.0.1",)), Node("n2", {}, addresses=("192.168.0.2",)),
        cnp(egress=(AdminRule("Deny", (AdminPeer(nodes=LabelSelector({"zone": "1"})),)),)),
    ]  # fmt: skip
    assert {b for a, b in reached(records, "TCP 80") if a == "x/a"} == {"y/on-2", "y/b"}
    assert not allowed(records, pod, "192.168.0.1", "TCP", 80)
    assert allowed(records, pod, "192.168.0.2", "TCP", 80)
    no_selector_hits = cnp(egress=(AdminRule("Deny", (ALL,)),))
    assert {b for a, b in reached([*records[:-1], no_selector_hits], "TCP 80") if a == "x/a"} == {"y/on-1", "y/on-2"}


# --- what is told


def test_each_side_says_who_isolates_and_which_rule_lets_through() -> None:
    records = pods("x/a y/a")
    records += [
        policy("x", "ingress: [{ports: [{port: 1}]}, {ports: [{port: 80}]}, {}]", "some"),
        policy("x", "podSelector: {}", "none"),
        policy("x", "{policyTypes: [Egress], egress: [{}]}", "out"),
        policy("x", "podSelector: {matchLabels: {pod: other}}", "other"),
    ]
    oracle = Oracle(records)
    x, y = oracle.parties
    ingress = oracle.direction("Ingress", y, x, "TCP", 80)
    assert (ingress.allowed, ingress.isolated) == (True, True)
    assert ingress.policies == (
        PolicyAnswer("x/some", "NetworkPolicy", 1),
        PolicyAnswer("x/none", "NetworkPolicy", None),
    )
    egress = oracle.direction("Egress", y, x, "TCP", 80)
    assert (egress.allowed, egress.isolated, egress.policies) == (True, False, ())
    back = oracle.direction("Egress", x, y, "SCTP", 9)
    assert back.policies == (PolicyAnswer("x/out", "NetworkPolicy", 0),)
    records.append(cnp(AdminRule("Pass", (in_namespace("z"),)), AdminRule("Deny", (ALL,)), name="all"))
    ingress = Oracle(records).direction("Ingress", y, x, "TCP", 80)
    assert not ingress.allowed
    assert ingress.policies[0] == PolicyAnswer("all", "ClusterNetworkPolicy", 1)
    assert len(ingress.policies) == 3


def test_workloads_and_templates() -> None:
    replica = {"pod-template-hash": "5d8"}
    records: list[Record] = [
        Pod("x", "web-1", replica, owner=("ReplicaSet", "web-5d8")),
        Pod("x", "web-2", replica, owner=("ReplicaSet", "web-5d8"), phase="Failed"),
        Pod("x", "set", {}, owner=("ReplicaSet", "set-5d8")),
        Pod("x", "j-1", {}, owner=("Job", "j")),
        Pod("x", "lone", {}, owner=("Job", "unknown")),
        Pod("x", "ro", {}, owner=("ReplicaSet", "ro-1")),
        Pod("x", "gone", {}, owner=("Job", "done"), phase="Succeeded"),
        Workload(DEPLOYMENT, "x", "web", {}),
        Workload(JOB, "x", "j", {}, owner=("CronJob", "cj")),
        Workload(CRON_JOB, "x", "cj", {}),
        Workload(REPLICA_SET, "x", "ro-1", {}, owner=("Rollout", "ro")),
        Workload(DEPLOYMENT, "x", "api", {}),
        Workload(REPLICA_SET, "x", "api-old", {}, owner=("Deployment", "api"), replicas=0),
        Workload(JOB, "x", "done", {}, finished=True),
        Workload(JOB, "x", "next", {}),
    ]
    assert set(Oracle(records).names().values()) == {
        "x/Deployment/web",
        "x/ReplicaSet/set-5d8",
        "x/CronJob/cj",
        "x/Job/unknown",
        "x/Rollout/ro",
        "x/Deployment/api",
        "x/Job/next",
    }


def test_a_template_is_a_pod_without_an_address() -> None:
    api = Workload(DEPLOYMENT, "x", "api", {"app": "api"}, ports=(ContainerPort(8080, "web"),))
    pod = Pod("y", "a", {}, ips=("10.0.0.1",))
    by_name = policy("x", "{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: web}]}]}")
    assert Oracle([api, pod, by_name]).connectivity()["y/Pod/a", "x/Deployment/api"] == ("TCP 8080",)
    by_address = policy("y", "ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]")
    assert not allowed([api, pod, by_address], api, pod, "TCP", 80)
    assert ("x/Deployment/api", "x/Deployment/api") not in Oracle([api, pod]).connectivity()
    three = replace(api, replicas=3)
    assert Oracle([three, pod]).connectivity()["x/Deployment/api", "x/Deployment/api"] == ("all",)
    assert Oracle([three, pod, by_name]).connectivity()["x/Deployment/api", "x/Deployment/api"] == ("TCP 8080",)


def test_pods_of_one_workload_that_differ_are_written_each() -> None:
    owner = ("StatefulSet", "db")
    records: list[Record] = [
        Pod("x", "db-0", {"pod": "db-0"}, owner=owner, ips=("10.0.0.1",)),
        Pod("x", "db-1", {"pod": "db-1"}, owner=owner, ips=("10.0.0.2",)),
        Pod("y", "a", {}, ips=("10.0.0.3",)),
    ]
    every = ("all",)
    assert Oracle(records).connectivity() == {
        ("x/StatefulSet/db", "x/StatefulSet/db"): every,
        ("x/StatefulSet/db", "y/Pod/a"): every,
        ("y/Pod/a", "x/StatefulSet/db"): every,
        ("x/StatefulSet/db", "ip:0.0.0.0/0"): every,
        ("ip:0.0.0.0/0", "x/StatefulSet/db"): every,
        ("y/Pod/a", "ip:0.0.0.0/0"): every,
        ("ip:0.0.0.0/0", "y/Pod/a"): every,
    }
    assert not any(map(Oracle(records).is_restricted, Oracle(records).parties))
    first = policy(
        "x", "{podSelector: {matchLabels: {pod: db-0}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 5432}]}]}"
    )
    oracle = Oracle([*records, first])
    assert [p for p in oracle.parties if oracle.is_restricted(p)] == oracle.parties[:1]
    assert {pair: ports for pair, ports in oracle.connectivity().items() if not pair[0].startswith("ip:")} == {
        ("x/Pod/db-1", "x/Pod/db-0"): ("TCP 5432",),
        ("x/Pod/db-0", "x/Pod/db-1"): every,
        ("x/Pod/db-0", "y/Pod/a"): every,
        ("x/Pod/db-1", "y/Pod/a"): every,
        ("y/Pod/a", "x/Pod/db-1"): every,
        ("x/Pod/db-0", "ip:0.0.0.0/0"): every,
        ("x/Pod/db-1", "ip:0.0.0.0/0"): every,
        ("y/Pod/a", "ip:0.0.0.0/0"): every,
    }


def test_ports_are_written_as_ranges() -> None:
    records = pods("x/a y/a")
    rules = (
        "ingress: [{ports: [{port: 80}, {port: 81}, {port: 8000, endPort: 8100}, {port: 8101}, {protocol: UDP},"
        " {port: 1, endPort: 65535, protocol: SCTP}]}]"
    )
    oracle = Oracle([*records, policy("x", rules)])
    x, y = oracle.parties
    assert oracle.ports(y, x) == ("TCP 80-81", "TCP 8000-8101", "UDP", "SCTP")
    assert oracle.ports(x, y) == ("all",)
