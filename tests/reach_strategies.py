"""Small clusters as nasty as they come, for comparing `webhook.reach` with the oracle.

Few names, labels, ports and ranges, so that they hit each other; every field in every legal combination. Whatever is
drawn first is the simplest, so that what fails shrinks to something a person can read.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from hypothesis import strategies as st

from tests.reach_oracle import Oracle, makes_pods
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    BASELINE_ADMIN_NETWORK_POLICY,
    CLUSTER_NETWORK_POLICY,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    NAME_LABEL,
    REPLICA_SET,
    STATEFUL_SET,
    AdminPeer,
    AdminPolicy,
    AdminPort,
    AdminRule,
    ContainerPort,
    IPBlock,
    Key,
    Labels,
    LabelSelector,
    LabelSelectorRequirement,
    Namespace,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
    Node,
    ObjectMeta,
    Pod,
    Record,
    Workload,
)

Step: TypeAlias = Record | tuple[str, Key]
"""A record that is put, or the kind and key of one that is removed."""

SPACES: Final = ("a", "b", "c", "d")
NODES: Final = ("n0", "n1")
PODS: Final = ("p0", "p1", "p2", "p3", "p4", "p5")
KEYS: Final = ("app", "tier")
VALUES: Final = ("x", "y")
NUMBERS: Final = (80, 81, 8080, 1, 65535)

spaces = st.sampled_from(["a", "a", "a", "a", "b", "b", "c", "d"])
protocols = st.sampled_from(["TCP", "TCP", "TCP", "UDP", "SCTP"])
pod_labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)


# --- what there is

namespaces = st.builds(
    lambda name, labels: Namespace(name, {**labels, NAME_LABEL: name}),
    spaces,
    st.dictionaries(st.just("team"), st.sampled_from(VALUES)),
)

FAMILIES: Final = ("4", "6", "46", "64")
"""The networks that there are: of one family, or of both, where some pods still have only the first.

Pods of IPv4 alone beside pods of IPv6 alone are in no cluster.
"""


def addressed(families: str, four: str, six: str) -> list[tuple[str, ...]]:
    """The addresses that something may have in such a network; the usual ones first."""
    return {
        "4": [(four,), ()],
        "6": [(six,), ()],
        "46": [(four, six), (four,), ()],
        "64": [(six, four), (six,), ()],
    }[families]


def nodes(families: str = "46") -> st.SearchStrategy[Node]:
    return st.integers(0, len(NODES) - 1).flatmap(
        lambda i: st.builds(
            Node,
            st.just(NODES[i]),
            st.dictionaries(st.just("zone"), st.sampled_from(VALUES)),
            addresses=st.sampled_from([(*ips, f"host-{i}") for ips in node_addresses(families, i)]),
        )
    )


def node_addresses(families: str, i: int) -> list[tuple[str, ...]]:
    return addressed(families, f"192.168.0.{i + 1}", f"fd01::{i + 1}")


container_ports = st.lists(
    st.builds(ContainerPort, st.sampled_from(NUMBERS), st.sampled_from(["web", "web", "dns", ""]), protocols),
    max_size=3,
).map(tuple)

OWNERS: Final[tuple[tuple[Key | None, Labels], ...]] = (
    (None, {}),
    (("StatefulSet", "db"), {}),
    (("ReplicaSet", "web-1"), {"pod-template-hash": "1"}),
    (("ReplicaSet", "web-1"), {}),
    (("ReplicaSet", "web-2"), {"pod-template-hash": "2"}),
    (("Job", "j"), {}),
    (("Rollout", "r"), {}),
)


@st.composite
def pods(draw: st.DrawFn, families: str = "46") -> Pod:
    """A pod, whose addresses follow from its name, so that no two share one and ranges can split them."""
    namespace, name = draw(spaces), draw(st.sampled_from(PODS))
    labels = draw(pod_labels)
    owner, added = draw(st.sampled_from(OWNERS))
    host_network = draw(st.booleans()) and draw(st.booleans())
    node = draw(st.sampled_from(["", *NODES, "unknown"]))
    number = 1 + SPACES.index(namespace) * 16 + PODS.index(name)
    ips: tuple[str, ...] = ()
    if not host_network:
        ips = draw(st.sampled_from(addressed(families, f"10.0.0.{number}", f"fd00::{number:x}")))
    elif node in NODES:
        ips = draw(st.sampled_from(node_addresses(families, NODES.index(node))[::-1]))
    return Pod(
        namespace=namespace,
        name=name,
        labels={**labels, **added},
        owner=owner,
        phase=draw(st.sampled_from(["Running", "Running", "Running", "Running", "Pending", "", "Succeeded", "Failed"])),
        node=node,
        ips=ips,
        ports=draw(container_ports),
        host_network=host_network,
        terminating=draw(st.booleans()) and draw(st.booleans()),
    )


TEMPLATES: Final[tuple[tuple[str, str, tuple[Key | None, ...]], ...]] = (
    (DEPLOYMENT, "api", (None,)),
    (DEPLOYMENT, "web", (None,)),
    (REPLICA_SET, "web-1", (("Deployment", "web"),)),
    (REPLICA_SET, "alone", (None, ("Rollout", "r"))),
    (STATEFUL_SET, "db", (None,)),
    (DAEMON_SET, "agent", (None,)),
    (JOB, "j", (None, ("CronJob", "cj"))),
    (CRON_JOB, "cj", (None,)),
)
templates = st.sampled_from(TEMPLATES).flatmap(
    lambda one: st.builds(
        Workload,
        st.just(one[0]),
        spaces,
        st.just(one[1]),
        pod_labels,
        owner=st.sampled_from(one[2]),
        replicas=st.just(1) if one[0] in {DAEMON_SET, JOB, CRON_JOB} else st.sampled_from([1, 0, 3]),
        finished=st.booleans() if one[0] == JOB else st.just(False),
        ports=container_ports,
        host_network=st.booleans() if one[0] == DAEMON_SET else st.just(False),
    )
)


# --- selectors


def selectors(keys: Sequence[str], values: Sequence[str]) -> st.SearchStrategy[LabelSelector]:
    """Selectors that are empty, hit, miss and contradict themselves."""
    requirement = st.one_of(
        st.builds(LabelSelectorRequirement, st.sampled_from(keys), st.sampled_from(["DoesNotExist", "Exists"])),
        st.builds(
            LabelSelectorRequirement,
            st.sampled_from(keys),
            st.sampled_from(["NotIn", "In"]),
            st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple),
        ),
    )
    labels = st.dictionaries(st.sampled_from(keys), st.sampled_from(values), max_size=1)
    return st.one_of(
        st.just(LabelSelector()),
        st.builds(LabelSelector, labels),
        st.builds(LabelSelector, st.just({}), requirement.map(lambda one: (one,))),
        st.builds(LabelSelector, labels, st.lists(requirement, min_size=1, max_size=2).map(tuple)),
    )


pod_selectors = selectors(KEYS, VALUES)
namespace_selectors = st.one_of(selectors(["team"], VALUES), selectors([NAME_LABEL, "team"], SPACES))
node_selectors = selectors(["zone"], VALUES)


# --- NetworkPolicies

RANGES: Final[dict[str, tuple[str, ...]]] = {
    "0.0.0.0/0": ("10.0.0.0/8", "192.168.0.1/32", "10.0.0.1/32", "0.0.0.0/1", "128.0.0.0/1", "203.0.113.0/25"),
    "10.0.0.0/24": ("10.0.0.1/32", "10.0.0.0/28", "10.0.0.16/28", "10.0.0.0/25", "10.0.0.128/25"),
    "10.0.0.1/32": (),
    "10.0.0.16/28": ("10.0.0.17/32",),
    "192.168.0.0/24": ("192.168.0.1/32",),
    "203.0.113.0/24": ("203.0.113.128/25",),
    "255.255.255.255/32": (),
    "10.0.0.9/28": (),  # host bits, as servers before 1.36 let pass
    "::/0": ("fd00::/64", "fd01::1/128", "8000::/1"),
    "fd00::/64": ("fd00::1/128",),
    "fd01::/64": (),
}
assert all(
    ipaddress.ip_network(inner).subnet_of(ipaddress.ip_network(outer))  # type: ignore[arg-type]
    for outer, excepts in RANGES.items()
    for inner in excepts
)
ip_blocks = st.sampled_from(list(RANGES)).flatmap(
    lambda cidr: st.builds(
        IPBlock,
        st.just(cidr),
        st.lists(st.sampled_from(RANGES[cidr]), max_size=2).map(tuple) if RANGES[cidr] else st.just(()),
    )
)

peers = st.one_of(
    st.builds(NetworkPolicyPeer, pod_selector=pod_selectors),
    st.builds(NetworkPolicyPeer, namespace_selector=namespace_selectors),
    st.builds(NetworkPolicyPeer, pod_selector=pod_selectors, namespace_selector=namespace_selectors),
    st.builds(NetworkPolicyPeer, ip_block=ip_blocks),
)

policy_ports = st.one_of(
    st.builds(NetworkPolicyPort, protocols, st.sampled_from([None, *NUMBERS])),
    st.builds(NetworkPolicyPort, protocols, st.sampled_from(["web", "web", "dns", "nowhere"])),
    st.builds(
        lambda protocol, a, b: NetworkPolicyPort(protocol, min(a, b), max(a, b)),
        protocols,
        st.sampled_from([*NUMBERS, 79, 8081]),
        st.sampled_from([*NUMBERS, 79, 8081]),
    ),
)


def rules() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"peers": few(peers), "ports": few(policy_ports)})


def few(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Often none, which means anything."""
    some = st.lists(of, min_size=1, max_size=3).map(tuple)
    return st.one_of(st.just(()), some, some)


def policy(
    namespace: str,
    name: str,
    selector: LabelSelector,
    types: tuple[str, ...],
    ingress: Iterable[dict[str, Any]],
    egress: Iterable[dict[str, Any]],
) -> NetworkPolicy:
    """A NetworkPolicy; rules as ``peers`` and ``ports``."""
    spec = {"podSelector": selector, "policyTypes": types}
    spec["ingress"] = [{"from": rule["peers"], "ports": rule["ports"]} for rule in ingress]
    spec["egress"] = [{"to": rule["peers"], "ports": rule["ports"]} for rule in egress]
    return NetworkPolicy(
        ObjectMeta(name=name, namespace=namespace), msgspec.convert(msgspec.to_builtins(spec), NetworkPolicySpec)
    )


policy_types: st.SearchStrategy[tuple[str, ...]] = st.sampled_from(
    [(), ("Ingress",), ("Egress",), ("Ingress", "Egress"), ("Egress", "Ingress"), ("Ingress", "Ingress")]
)
policies = st.builds(
    policy,
    spaces,
    st.sampled_from(["np0", "np1", "np2", "np3", "np4"]),
    pod_selectors,
    policy_types,
    few(rules()),
    few(rules()),
)


# --- policies of administrators

everybody = st.just(AdminPeer(namespaces=LabelSelector()))
subjects = st.one_of(
    everybody,
    everybody,
    st.builds(AdminPeer, namespaces=namespace_selectors),
    st.builds(AdminPeer, namespaces=namespace_selectors, pods=pod_selectors),
)
networks = st.lists(
    st.sampled_from([cidr for cidr in RANGES if cidr != "10.0.0.9/28"]), min_size=1, max_size=2, unique=True
).map(tuple)
outside_peers = st.one_of(
    st.builds(AdminPeer, networks=networks),
    st.builds(AdminPeer, nodes=node_selectors),
    st.just(AdminPeer(domain_names=("example.com.",))),
)
unheard_of = st.just(AdminPeer())
admin_numbers = st.one_of(
    st.sampled_from(NUMBERS).flatmap(lambda n: st.builds(AdminPort, protocols, st.just(n), st.just(n))),
    st.builds(
        lambda protocol, a, b: AdminPort(protocol, min(a, b), max(a, b)),
        protocols,
        st.sampled_from([*NUMBERS, 79, 8081]),
        st.sampled_from([*NUMBERS, 79, 8081]),
    ),
)
admin_ports = st.one_of(
    admin_numbers, st.builds(lambda name: AdminPort(name=name), st.sampled_from(["web", "dns", "nowhere"]))
)
actions = st.sampled_from(["Accept", "Deny", "Pass"])


def admin_rules(egress: bool) -> st.SearchStrategy[AdminRule]:
    """Rules as their API allows them: addresses only outwards, and never together with named ports."""
    by_selector = st.builds(
        AdminRule,
        actions,
        st.lists(st.one_of(subjects, subjects, subjects, unheard_of), min_size=1, max_size=2).map(tuple),
        few(admin_ports),
    )
    if not egress:
        return by_selector
    by_address = st.builds(
        AdminRule,
        actions,
        st.lists(st.one_of(outside_peers, outside_peers, subjects), min_size=1, max_size=2).map(tuple),
        few(admin_numbers),
    )
    return st.one_of(by_selector, by_address)


admin_policies = st.builds(
    AdminPolicy,
    st.just(CLUSTER_NETWORK_POLICY),
    st.sampled_from(["cnp0", "cnp1", "cnp2"]),
    st.sampled_from(["Admin", "Baseline"]),
    st.sampled_from([0, 1]),
    subjects,
    few(admin_rules(egress=False)),
    few(admin_rules(egress=True)),
)
old_admin_policies = st.builds(
    lambda of, kind, name: msgspec.structs.replace(
        of,
        kind=kind,
        name="default" if kind == BASELINE_ADMIN_NETWORK_POLICY else name,
        tier="Baseline" if kind == BASELINE_ADMIN_NETWORK_POLICY else "Admin",
    ),
    admin_policies,
    st.sampled_from([ADMIN_NETWORK_POLICY, BASELINE_ADMIN_NETWORK_POLICY]),
    st.sampled_from(["anp0", "anp1"]),
)


tiers = st.one_of(admin_policies, admin_policies, old_admin_policies)


# --- clusters


def one_each(records: Iterable[Record]) -> list[Record]:
    """The last of each kind, namespace and name; and of the templates of one workload only the first."""
    kept = {(record.kind, record.key): record for record in records}
    oracle = Oracle(kept.values())
    stands_for: set[str] = set()
    for at, record in list(kept.items()):
        if isinstance(record, Workload) and makes_pods(record):
            if oracle.workload(record) in stands_for:
                del kept[at]
            stands_for.add(oracle.workload(record))
    return list(kept.values())


def clusters(*, admin: bool = False, families: Sequence[str] = FAMILIES) -> st.SearchStrategy[list[Record]]:
    """Clusters of up to 7 pods in up to 4 namespaces; with ``admin`` also the tiers around NetworkPolicies."""
    return st.sampled_from(families).flatmap(
        lambda of: st.tuples(
            st.lists(pods(of), min_size=2, max_size=7),
            st.lists(policies, min_size=1, max_size=8),
            st.lists(namespaces, max_size=4),
            st.lists(templates, max_size=3),
            st.lists(nodes(of), max_size=2),
            st.one_of(st.just([]), *[st.lists(tiers, min_size=2, max_size=5)] * 2) if admin else st.just([]),
        ).map(lambda lists: one_each(record for part in lists for record in part))
    )


broad_rules = st.builds(
    AdminRule,
    actions,
    st.one_of(everybody, st.builds(AdminPeer, networks=networks), subjects).map(lambda peer: (peer,)),
    st.one_of(st.just(()), admin_numbers.map(lambda port: (port,))),
)
broad_policies = st.builds(
    AdminPolicy,
    st.just(CLUSTER_NETWORK_POLICY),
    st.sampled_from(["cnp0", "cnp1", "cnp2", "cnp3", "cnp4"]),
    st.sampled_from(["Admin", "Admin", "Baseline"]),
    st.sampled_from([0, 1, 2]),
    everybody,
    egress=st.lists(broad_rules, min_size=1, max_size=3).map(tuple),
)


def tiered_clusters() -> st.SearchStrategy[list[Record]]:
    """Two pods, and policies of administrators that are about the same connections, so that their order counts."""
    return st.tuples(
        st.just([Pod("a", name, {}, ips=(ip,)) for name, ip in (("p0", "10.0.0.1"), ("p1", "10.0.0.17"))]),
        st.lists(broad_policies, min_size=2, max_size=5),
        st.lists(policies, max_size=1),
    ).map(lambda lists: one_each(record for part in lists for record in part))


records = st.one_of(pods(), policies, namespaces, templates, nodes(), admin_policies)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Record], list[Step]]:
    """A cluster, and steps that change it: records put anew, replaced, and removed."""
    before = draw(clusters(admin=True))
    there = [(record.kind, record.key) for record in before]
    steps = draw(st.lists(st.one_of(records, st.sampled_from(there), records), min_size=1, max_size=12))
    return before, steps
