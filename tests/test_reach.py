"""The engine against the oracle, pair by pair and port by port; and the laws that hold whatever the cluster."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.reach_oracle import PROTOCOLS, Oracle, Party, Way, address_of, range_name
from tests.reach_strategies import NUMBERS, Step, clusters, histories, policies, policy, protocols, tiered_clusters
from tests.test_reach_oracle import ADMIN_CASES, ADMIN_PODS, CASES, Case, expected, pods
from tests.test_reach_oracle import policy as policy_of
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    CLUSTER_NETWORK_POLICY,
    DEPLOYMENT,
    JOB,
    NAME_LABEL,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD,
    STATEFUL_SET,
    AdminPeer,
    AdminPolicy,
    AdminRule,
    ContainerPort,
    Direction,
    IPBlock,
    Key,
    LabelSelector,
    LabelSelectorRequirement,
    Namespace,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    Node,
    Pod,
    Record,
    Workload,
)
from webhook.reach.change import Change, Partners
from webhook.reach.connectivity import Connectivity, connectivity
from webhook.reach.diff import difference
from webhook.reach.explain import Answer, Explainer, Query, Side, explain
from webhook.reach.flows import Flow
from webhook.reach.graph import Atom, Cell, Graph
from webhook.reach.ports import Ports, subtraction
from webhook.reach.relation import Relation, numbers, ports_of
from webhook.reach.scenario import Scenario

Table: TypeAlias = dict[tuple[str, str], tuple[str, ...]]
ports_of_interest = st.sampled_from(sorted({m for n in NUMBERS for m in (n - 1, n, n + 1) if 1 <= m <= 65535}))


def graph_of(records: Iterable[Record]) -> Graph:
    return Graph(Cluster.of(records, complete=True))


def table(flows: Iterable[Flow]) -> Table:
    """Flows by pair: no pair comes twice, none without ports."""
    found: Table = {}
    for flow in flows:
        assert (flow.src, flow.dst) not in found, flow
        assert flow.ports, flow
        found[flow.src, flow.dst] = flow.ports
    return found


def names_in(oracle: Oracle, workloads: Iterable[str]) -> dict[Party, str]:
    """How the engine names each party, and that it names nobody else."""
    names: dict[Party, str] = {}
    for name, group in oracle.workloads().items():
        for party in group:
            names[party] = name if name in workloads else repr(party)
    assert set(names.values()) == set(workloads)
    return names


def families_of(oracle: Oracle, names: Mapping[Party, str]) -> dict[str, set[int]]:
    """The families of addresses that what has a name can use."""
    found: dict[str, set[int]] = {}
    for party, name in names.items():
        families = {end.family for end in oracle.own_ends(party)}
        found[name] = found.get(name, families) & families
    return found


def without_other_families(flows: Table, families: Mapping[str, set[int]]) -> Table:
    """The flows with outside addresses of families that the pod has; for others the engine says what policies say."""
    return {
        (src, dst): ports
        for (src, dst), ports in flows.items()
        if not (src.startswith("ip:") and family_of(src) not in families[dst])
        and not (dst.startswith("ip:") and family_of(dst) not in families[src])
    }


def family_of(name: str) -> int:
    return 6 if ":" in name.removeprefix("ip:") else 4


# --- against the oracle


@given(st.one_of(clusters(), clusters(admin=True), tiered_clusters()))
@settings(max_examples=150, deadline=None)
def test_connectivity_is_the_oracles(records: list[Record]) -> None:
    oracle, answered = Oracle(records), connectivity(graph_of(records), every=True)
    names = names_in(oracle, answered.workloads)
    families = families_of(oracle, names)
    expected = without_other_families(oracle.connectivity(names), families)
    assert without_other_families(table(answered.flows), families) == expected


@given(clusters(admin=True))
@settings(max_examples=40, deadline=None)
def test_what_nothing_restricts_is_named_once(records: list[Record]) -> None:
    oracle, graph = Oracle(records), graph_of(records)
    everything, answered = connectivity(graph, every=True), connectivity(graph)
    names = names_in(oracle, answered.workloads)
    restricted = {names[party] for party in oracle.parties if oracle.is_restricted(party)}
    assert list(answered.open) == sorted(set(names.values()) - restricted)
    assert answered.open == everything.open
    assert table(answered.flows) == {
        pair: ports for pair, ports in table(everything.flows).items() if restricted.intersection(pair)
    }
    said = [(f.src.startswith("ip:"), f.src if not f.src.startswith("ip:") else f.dst) for f in answered.flows]
    assert said == sorted(said), "workloads by name, then the outside"


@given(clusters(admin=True))
@settings(max_examples=40, deadline=None)
def test_pods_go_by_their_own_names_only_where_policies_tell_them_apart(records: list[Record]) -> None:
    oracle, answered = Oracle(records), connectivity(graph_of(records))
    for name, group in oracle.workloads().items():
        if name in answered.workloads:
            one_network = len({tuple(end.family for end in oracle.own_ends(party)) for party in group}) == 1
            assert oracle.alike(group) or not one_network
        else:
            assert len(group) > 1 or name == repr(group[0])
            assert any(tells_apart(oracle, group[0], other) for other in group[1:])


def tells_apart(oracle: Oracle, one: Party, other: Party) -> bool:
    """Whether any policy on any side, or the families of their addresses, make a difference between two pods."""
    ways: tuple[Way, ...] = ("Ingress", "Egress")
    if {end.family for end in oracle.own_ends(one)} != {end.family for end in oracle.own_ends(other)}:
        return True
    everybody = [(party, end) for party in oracle.parties for end in oracle.own_ends(party)]
    outside = [(Party(None, end.address), end) for family in oracle.families for end in oracle.ends_outside(family)]
    if any(
        oracle.side(way, one, peer, at) != oracle.side(way, other, peer, at)
        for way in ways
        for peer, at in (*everybody, *outside)
    ):
        return True
    here, there = ({end.family: end for end in oracle.own_ends(party)} for party in (one, other))
    return any(
        oracle.side(way, party, one, here[family]) != oracle.side(way, party, other, there[family])
        for way in ways
        for party in oracle.parties
        for family in here
    )


@given(st.one_of(clusters(), clusters(admin=True), tiered_clusters()), protocols, ports_of_interest)
@settings(max_examples=150, deadline=None)
def test_explain_is_the_oracles(records: list[Record], protocol: str, port: int) -> None:
    oracle, explainer = Oracle(records), Explainer(graph_of(records))
    pods = [party for party in oracle.parties if isinstance(party.record, Pod)]
    for src in pods:
        for dst in pods:
            answer = explainer.answer(Query(repr(src), repr(dst), protocol, port))
            assert not answer.error
            assert answer.allowed == oracle.allowed(src, dst, protocol, port), answer
            assert not answer.partly
            assert_side(answer.egress, oracle, "Egress", src, dst, protocol, port)
            assert_side(answer.ingress, oracle, "Ingress", src, dst, protocol, port)
            if not oracle.never_stopped(src, dst):
                one_family = len(oracle.ends(src, dst)) == 1
                assert answer.allowed <= (answer.egress.allowed and answer.ingress.allowed)
                assert not one_family or answer.allowed == (answer.egress.allowed and answer.ingress.allowed)


def assert_side(side: Side, oracle: Oracle, way: Way, src: Party, dst: Party, protocol: str, port: int) -> None:
    expected = oracle.direction(way, src, dst, protocol, port)
    assert side.allowed == expected.allowed, (way, src, dst, side, expected)
    assert side.isolated == expected.isolated, (way, src, dst, side, expected)
    got = {(reason.kind, reason.name): reason.rule for reason in side.policies}
    assert len(got) == len(side.policies)
    assert got == {(answer.kind, answer.name): answer.rule for answer in expected.policies}, (way, src, dst)


@given(clusters(admin=True), protocols, ports_of_interest)
@settings(max_examples=50, deadline=None)
def test_explain_of_workloads_is_the_oracles(records: list[Record], protocol: str, port: int) -> None:
    oracle, explainer = Oracle(records), Explainer(graph_of(records))
    for src, sources in oracle.workloads().items():
        for dst, destinations in oracle.workloads().items():
            pairs = [(s, d) for s in sources for d in destinations]
            pairs = [(s, d) for s, d in pairs if s is not d] or pairs
            answers = [oracle.allowed(s, d, protocol, port) for s, d in pairs]
            answer = explainer.answer(Query(src, dst, protocol, port))
            assert (answer.allowed, answer.partly) == (all(answers), any(answers) and not all(answers)), (src, dst)


@given(clusters(admin=True), protocols, ports_of_interest)
@settings(max_examples=50, deadline=None)
def test_explain_of_addresses_is_the_oracles(records: list[Record], protocol: str, port: int) -> None:
    oracle, explainer = Oracle(records), Explainer(graph_of(records))
    taken = {address for party in oracle.parties if not party.host_network for address in oracle.addresses(party)}
    for party in oracle.parties:
        families = {end.family for end in oracle.own_ends(party)}
        for end in (end for family in sorted(families) for end in oracle.ends_outside(family)):
            if end.address in taken:
                continue
            outside, name = Party(None, end.address), f"ip:{end.address}"
            pod = repr(party) if isinstance(party.record, Pod) else oracle.workload(party.record)  # type: ignore[arg-type]
            out = explainer.answer(Query(pod, name, protocol, port))
            assert out.allowed == oracle.allowed(party, outside, protocol, port), (out, party)
            back = explainer.answer(Query(name, pod, protocol, port))
            assert back.allowed == oracle.allowed(outside, party, protocol, port), (back, party)
            if isinstance(party.record, Pod):
                assert_side(out.egress, oracle, "Egress", party, outside, protocol, port)
                assert_side(back.ingress, oracle, "Ingress", outside, party, protocol, port)


@given(clusters(admin=True))
@settings(max_examples=50, deadline=None)
def test_explain_agrees_with_connectivity(records: list[Record]) -> None:
    graph = graph_of(records)
    answered = connectivity(graph, every=True)
    flows, explainer = table(answered.flows), Explainer(graph)
    pods = {f"{pod.namespace}/Pod/{pod.name}": pod for pod in graph.cluster.pods}
    for src in answered.workloads:
        for dst in answered.workloads:
            answer = explainer.answer(Query(src, dst))
            assert not answer.error
            if src != dst:
                assert answer.ports == flows.get((src, dst), ()), (src, dst)
            elif src in pods:
                assert answer.ports == ("all",)
                assert (src, dst) not in flows
            assert answer.allowed == (answer.ports == ("all",))
    homes = {address_of(ip) for pod in graph.cluster.pods for ip in pod.ips}
    homes |= {address_of(ip) for node in graph.cluster.nodes for ip in node.addresses}
    for (src, dst), ports in flows.items():
        outside = next((name for name in (src, dst) if name.startswith("ip:")), None)
        if outside is not None and (first := first_address(outside)) not in homes:
            query = Query(f"ip:{first}", dst) if outside == src else Query(src, f"ip:{first}")
            assert explain(graph, query).ports == ports, (src, dst)


def first_address(name: str) -> Any:
    text = name.removeprefix("ip:")
    if "/" in text:
        return ipaddress.ip_network(text).network_address
    return ipaddress.ip_address(text.partition("-")[0])


# --- the difference of two states


@given(
    st.sampled_from(["4", "6", "46", "64"]).flatmap(lambda f: st.tuples(clusters(families=[f]), clusters(families=[f])))
)
@settings(max_examples=40, deadline=None)
def test_the_difference_of_two_clusters_is_the_oracles(both: tuple[list[Record], list[Record]]) -> None:
    assert_difference(*both)


@given(clusters(admin=True), st.lists(policies, max_size=4), st.data())
@settings(max_examples=40, deadline=None)
def test_the_difference_that_policies_make_is_the_oracles(
    before: list[Record], new: list[NetworkPolicy], data: st.DataObject
) -> None:
    old = [record for record in before if isinstance(record, NetworkPolicy | AdminPolicy)]
    gone = data.draw(st.lists(st.sampled_from(old), unique_by=id)) if old else []
    after = {(record.kind, record.key): record for record in before if not any(record is g for g in gone)}
    after |= {(record.kind, record.key): record for record in new}
    assert_difference(before, list(after.values()))


def assert_difference(before: list[Record], after: list[Record]) -> None:
    one, other = graph_of(before), graph_of(after)
    found, back = difference(one, other), difference(other, one)
    assert (found.added, found.removed) == (back.removed, back.added)
    assert not difference(one, one)
    assert not difference(one, graph_of(before))
    assert bool(found) == bool(found.added or found.removed)

    in_use = tuple(sorted({*Oracle(before).families, *Oracle(after).families}))
    oracles = Oracle(before, in_use), Oracle(after, in_use)
    mentioned = {name for flow in (*found.added, *found.removed) for name in (flow.src, flow.dst)}
    workloads = {name for oracle in oracles for name in oracle.workloads()}
    split = {name for name in workloads if is_split(name, oracles, mentioned, mentioned - workloads)}
    assert not split & mentioned - {repr(party) for oracle in oracles for party in oracle.parties}
    expected: list[Table] = []
    usable: dict[str, set[int]] = {}
    for oracle in oracles:
        names = {
            party: repr(party) if name in split else name
            for name, group in oracle.workloads().items()
            for party in group
        }
        expected.append(oracle.connectivity(names))
        for name, families in families_of(oracle, names).items():
            usable[name] = usable.get(name, families) & families
    points = sorted({start for oracle in oracles for start in oracle.port_starts()})
    addresses = {f: sorted({s for o in oracles for s in o.address_starts(f)}) for f in (4, 6)}
    had, has = (sampled(t, points, addresses, usable) for t in expected)
    added, removed = (sampled(table(t), points, addresses, usable) for t in (found.added, found.removed))
    assert added == has - had
    assert removed == had - has


def is_split(name: str, oracles: tuple[Oracle, Oracle], mentioned: set[str], pods: set[str]) -> bool:
    """Whether the pods of a workload go by their own names: as the engine does where it speaks of them."""
    groups = [group for oracle in oracles if (group := oracle.workloads().get(name))]
    if name in mentioned:
        return False
    if any(repr(party) in pods for group in groups for party in group):
        return True
    return not all(oracle.alike(group) for oracle in oracles if (group := oracle.workloads().get(name)))


def sampled(
    flows: Table, points: list[int], addresses: dict[int, list[int]], families: Mapping[str, set[int]]
) -> set[tuple[str, str, str, int]]:
    """The ports and addresses among these that flows have."""
    found: set[tuple[str, str, str, int]] = set()
    for (src, dst), ports in without_other_families(flows, families).items():
        for source in addresses_in(src, addresses):
            for destination in addresses_in(dst, addresses):
                found |= {(source, destination, *point) for point in points_in(ports, points)}
    return found


def addresses_in(name: str, addresses: dict[int, list[int]]) -> Iterable[str]:
    if not name.startswith("ip:"):
        return (name,)
    first, text = first_address(name), name.removeprefix("ip:")
    last = ipaddress.ip_network(text)[-1] if "/" in text else ipaddress.ip_address(text.partition("-")[2])
    assert range_name(first.version, int(first), int(last)) == name
    return [f"{first.version} {a}" for a in addresses[first.version] if int(first) <= a <= int(last)]


def points_in(ports: tuple[str, ...], points: list[int]) -> set[tuple[str, int]]:
    if ports == ("all",):
        return {(protocol, point) for protocol in PROTOCOLS for point in points}
    found: set[tuple[str, int]] = set()
    for entry in ports:
        protocol, _, numbers = entry.partition(" ")
        first, _, last = numbers.partition("-")
        low, high = (int(first), int(last or first)) if numbers else (1, 65535)
        found |= {(protocol, point) for point in points if low <= point <= high}
    return found


# --- laws


def everything(graph: Graph) -> tuple[list[Flow], list[str], list[str]]:
    answered: Connectivity = connectivity(graph, every=True)
    return list(answered.flows), list(answered.workloads), list(answered.open)


@given(clusters(admin=True), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_never_matters(records: list[Record], random: Random) -> None:
    shuffled = [shuffle(r, random) if isinstance(r, NetworkPolicy) else r for r in records]
    random.shuffle(shuffled)
    assert table(everything(graph_of(shuffled))[0]) == table(everything(graph_of(records))[0])


def shuffle(policy: NetworkPolicy, random: Random) -> NetworkPolicy:
    """The same policy with its rules, peers and ports in another order."""

    def some_order(of: Any) -> Any:
        return tuple(random.sample(of, len(of)))

    def reordered(rules: Any) -> Any:
        return some_order(
            [msgspec.structs.replace(r, peers=some_order(r.peers), ports=some_order(r.ports)) for r in rules]
        )

    spec = msgspec.structs.replace(
        policy.spec, ingress=reordered(policy.spec.ingress), egress=reordered(policy.spec.egress)
    )
    return msgspec.structs.replace(policy, spec=spec)


@given(clusters(admin=True), policies, st.data())
@settings(max_examples=50, deadline=None)
def test_another_policy_on_isolated_pods_never_takes_a_flow_away(
    records: list[Record], more: NetworkPolicy, data: st.DataObject
) -> None:
    isolating = [r for r in records if isinstance(r, NetworkPolicy)]
    by = data.draw(st.sampled_from(isolating))
    meta = msgspec.structs.replace(more.metadata, namespace=by.metadata.namespace, name="more")
    spec = msgspec.structs.replace(more.spec, pod_selector=by.spec.pod_selector, policy_types=tuple(by.directions))
    assume(spec.policy_types)
    after = [*records, NetworkPolicy(meta, spec)]
    assert not difference(graph_of(records), graph_of(after)).removed


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_a_graph_that_follows_its_cluster_is_one_built_anew(
    history: tuple[list[Record], list[Step]], random: Random
) -> None:
    before, steps = history
    cluster = Cluster.of(before)
    graph = Graph(cluster)
    now = {(record.kind, record.key): record for record in before}
    for step in steps:
        if isinstance(step, tuple):
            cluster.remove(*step)
            now.pop(step, None)
        else:
            cluster.put(step)
            now[step.kind, step.key] = step
        if random.random() < 0.5:
            assert everything(graph) == everything(Graph(Cluster.of(now.values())))
    assert everything(graph) == everything(Graph(Cluster.of(now.values())))
    for kind, key in now:
        cluster.remove(kind, key)
    assert everything(graph) == ([], [], [])
    assert not graph.cells


Changes: TypeAlias = dict[Key, NetworkPolicy | None]


@st.composite
def changes(draw: st.DrawFn) -> tuple[list[Record], Changes]:
    """A cluster, and policies of it that are to come, to change and to go."""
    records = draw(clusters(admin=True))
    changed: Changes = {policy.key: policy for policy in draw(st.lists(policies, max_size=3))}
    there = [r.key for r in records if isinstance(r, NetworkPolicy)]
    return records, changed | dict.fromkeys(draw(st.lists(st.sampled_from(there), max_size=2)))


@given(changes())
@settings(max_examples=50, deadline=None)
def test_a_scenario_is_what_would_be(change: tuple[list[Record], Changes]) -> None:
    records, changed = change
    graph = graph_of(records)
    before = everything(graph)
    after = {(r.kind, r.key): r for r in records}
    for key, record in changed.items():
        after.pop((NETWORK_POLICY, key), None)
        if record is not None:
            after[NETWORK_POLICY, key] = record
    would, is_so = Explainer(graph, Scenario(graph, changed)), Explainer(graph_of(after.values()))
    names = [*connectivity(graph).workloads, "ip:10.0.0.200", "ip:203.0.113.130"]

    def answers(explainer: Explainer) -> list[Answer]:
        return [explainer.answer(Query(src, dst)) for src in names for dst in names]

    assert answers(would) == answers(is_so)
    assert everything(graph) == before, "a question changes nothing"


@given(changes())
@settings(max_examples=60, deadline=None)
def test_a_change_is_the_difference_of_its_scenarios(of: tuple[list[Record], Changes]) -> None:
    """What the webhook asks, from the rows of the touched pods, is what a look at every pair finds."""
    records, after = of
    graph = graph_of(records)
    there = {r.key: r for r in records if isinstance(r, NetworkPolicy)}
    change = Change(graph, {key: there.get(key) for key in after}, after)
    cells = list(graph.cells.values())
    others: list[Cell | Atom] = [*cells, *graph.atoms]
    lost: dict[tuple[int, int], Ports] = {}
    gained: dict[tuple[int, int], Ports] = {}
    for cell in cells:
        for other in others:
            had, has = change.before.between(cell, other), change.after.between(cell, other)
            assert had == ports_of(Partners(graph).of(change.before, cell, "Egress"), other.number)
            assert has == ports_of(Partners(graph).of(change.after, cell, "Egress"), other.number)
            lost[cell.number, other.number] = subtraction(had, has)
            gained[cell.number, other.number] = subtraction(has, had)
            had, has = change.before.between(other, cell), change.after.between(other, cell)
            assert had == ports_of(Partners(graph).of(change.before, cell, "Ingress"), other.number)
            assert has == ports_of(Partners(graph).of(change.after, cell, "Ingress"), other.number)
            lost[other.number, cell.number] = subtraction(had, has)
            gained[other.number, cell.number] = subtraction(has, had)
    assert told(change.cut) == {pair: ports for pair, ports in lost.items() if ports}
    assert told(change.opened) == {pair: ports for pair, ports in gained.items() if ports}


def told(flows: Callable[[Direction], Iterable[tuple[Cell, Relation]]]) -> dict[tuple[int, int], Ports]:
    """The flows of both directions from source to destination; each is told once."""
    found: dict[tuple[int, int], Ports] = {}
    directions: tuple[Direction, ...] = ("Ingress", "Egress")
    for direction in directions:
        for cell, relation in flows(direction):
            for ports, others in relation.items():
                for other in numbers(others):
                    pair = (cell.number, other) if direction == "Egress" else (other, cell.number)
                    assert pair not in found
                    found[pair] = ports
    return found


# --- by hand


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_truth_table(case: Case) -> None:
    """The tables that the oracle is tested with."""
    records = pods(case.pods)
    explainer = Explainer(
        graph_of([*records, *(policy_of("x", spec, f"np{i}") for i, spec in enumerate(case.policies))])
    )
    for probe, changes in case.probes.items():
        assert get_through(explainer, case.pods.split(), probe) == expected(records, changes), probe


@pytest.mark.parametrize("title", ADMIN_CASES)
def test_admin_truth_table(title: str) -> None:
    policies, changes = ADMIN_CASES[title]
    records = pods(ADMIN_PODS)
    explainer = Explainer(graph_of([*records, *policies]))
    assert get_through(explainer, ADMIN_PODS.split(), "TCP 80") == expected(records, changes)


def get_through(explainer: Explainer, names: list[str], probe: str) -> set[tuple[str, str]]:
    protocol, port = probe.split()
    return {
        (src, dst)
        for src in names
        for dst in names
        if src != dst and explainer.answer(Query(src, dst, protocol, int(port))).allowed
    }


def test_names_in_questions() -> None:
    graph = graph_of(
        [
            Pod("x", "web", {}, owner=("ReplicaSet", "web-1"), ips=("10.0.0.1",)),
            Pod("x", "db-0", {}, owner=("StatefulSet", "db"), ips=("10.0.0.2",)),
            Pod("x", "gone", {}, phase="Succeeded"),
            Workload(DEPLOYMENT, "x", "web", {}),
            Workload(DEPLOYMENT, "x", "api", {}),
            Workload(JOB, "x", "api", {}),
        ]
    )
    for name in (
        "x/web",
        "x/Pod/web",
        "x/ReplicaSet/web-1",
        "x/web-1",
        "x/db",
        "x/Deployment/web",
        "x/Job/api",
        "ip:::1",
    ):
        assert not explain(graph, Query(name, "x/db-0")).error, name
    errors = {
        "x/api": "x/api is ambiguous: x/Deployment/api, x/Job/api",
        "x/gone": "x/gone is not there",
        "y/web": "y/web is not there",
        "x/StatefulSet/web": "x/StatefulSet/web is not there",
        "web": "web: expected namespace/name, namespace/Kind/name or ip:ADDRESS",
        "ip:10.0.0": "ip:10.0.0 is no address",
    }
    for name, error in errors.items():
        assert explain(graph, Query(name, "x/web")).error == error
        assert explain(graph, Query("x/web", name)).error == error
    assert explain(graph, Query("ip:1.1.1.1", "ip:10.0.0.1")).error
    assert explain(graph, Query("x/web", "x/db-0", "ICMP")).error == "protocol ICMP: expected TCP, UDP, SCTP"
    assert explain(graph, Query("x/web", "x/db-0", "TCP", 65536)).error == "port 65536: must be between 1 and 65535"


UNREAL_PEERS = [
    NetworkPolicyPeer(),
    NetworkPolicyPeer(ip_block=IPBlock("nonsense")),
    NetworkPolicyPeer(ip_block=IPBlock("10.0.0.0/33")),
    NetworkPolicyPeer(pod_selector=LabelSelector({}, (LabelSelectorRequirement("app", "Matches"),))),
]
UNREAL_PORTS = [
    NetworkPolicyPort("ICMP"),
    NetworkPolicyPort("TCP", 0),
    NetworkPolicyPort("TCP", 70000),
    NetworkPolicyPort("TCP", 81, 80),
    NetworkPolicyPort("tcp", 80),
]


@pytest.mark.parametrize(
    "rule",
    [*({"peers": (p,), "ports": ()} for p in UNREAL_PEERS), *({"peers": (), "ports": (p,)} for p in UNREAL_PORTS)],
)
def test_what_the_api_refuses_matches_nothing(rule: dict[str, Any]) -> None:
    a, b = Pod("x", "a", {}, ips=("10.0.0.1",)), Pod("x", "b", {}, ips=("10.0.0.2",))
    graph = graph_of([a, b, policy("x", "np", LabelSelector(), ("Ingress", "Egress"), [rule], [rule])])
    assert list(connectivity(graph, every=True).flows) == []


def test_the_first_rule_is_the_first_of_either_family() -> None:
    a, b = Pod("x", "a", {}, ips=("10.0.0.1", "fd00::1")), Pod("x", "b", {}, ips=("10.0.0.2", "fd00::2"))
    by_six, by_four = ({"peers": (NetworkPolicyPeer(ip_block=IPBlock(c)),), "ports": ()} for c in ("::/0", "0.0.0.0/0"))
    for rules in ([by_six, by_four], [by_four, by_six]):
        answer = explain(graph_of([a, b, policy("x", "np", LabelSelector(), (), rules, [])]), Query("x/a", "x/b"))
        assert [reason.rule for reason in answer.ingress.policies] == [0]


@pytest.mark.parametrize(("replicas", "allowed"), [(1, True), (2, False)])
def test_a_template_of_one_pod_reaches_itself(replicas: int, allowed: bool) -> None:
    api = Workload(DEPLOYMENT, "x", "api", {}, replicas=replicas)
    graph = graph_of([api, policy("x", "np", LabelSelector(), (), [], [])])
    answer = explain(graph, Query("x/api", "x/api", "TCP", 80))
    assert (answer.allowed, answer.partly) == (allowed, False)


def test_a_node_of_several_addresses_is_all_of_them() -> None:
    node = Node("n0", {"zone": "x"}, addresses=("192.168.0.1", "203.0.113.1", "host-0"))
    deny = AdminRule("Deny", (AdminPeer(nodes=LabelSelector({"zone": "x"})),))
    everywhere = AdminPeer(namespaces=LabelSelector())
    pod, host = Pod("x", "a", {}, ips=("10.0.0.1",)), Pod("x", "h", {}, node="n0", host_network=True)
    admin = AdminPolicy(CLUSTER_NETWORK_POLICY, "cnp", "Admin", 0, everywhere, (), (deny,))
    graph = graph_of([node, pod, host, admin])
    for name, allowed in {
        "ip:192.168.0.1": False,
        "ip:203.0.113.1": False,
        "ip:203.0.113.2": True,
        "x/h": False,
    }.items():
        assert explain(graph, Query("x/a", name, "TCP", 80)).allowed is allowed, name
    assert [flow.dst for flow in connectivity(graph).flows if flow.src == "x/Pod/a"] == [
        "ip:0.0.0.0-192.168.0.0",
        "ip:192.168.0.2-203.0.113.0",
        "ip:203.0.113.2-255.255.255.255",
    ]


def test_pods_half_in_the_network_of_their_node_are_not_the_node() -> None:
    """A rollout that turns hostNetwork on: what only its new pods reach, the workload does not."""
    old, new = (
        Pod("x", name, {}, owner=("DaemonSet", "agent"), node="n0", host_network=name == "new")
        for name in ("old", "new")
    )
    closed: list[Record] = [Pod("y", "db", {}, node="n0"), policy("y", "np", LabelSelector(), (), [], [])]
    for running, ports in ([old, new], ()), ([old], ()), ([new], ("all",)):
        flows = table(connectivity(graph_of([*running, *closed]), every=True).flows)
        assert flows.get(("x/DaemonSet/agent", "y/Pod/db"), ()) == ports
        assert explain(graph_of([*running, *closed]), Query("x/agent", "y/db")).ports == ports


EVENTS: dict[str, Step] = {
    "a namespace is labelled": Namespace("y", {"team": "red", NAME_LABEL: "y"}),
    "a namespace goes": (NAMESPACE, ("", "z")),
    "a pod is labelled": Pod("y", "b", {"app": "api"}, ips=("10.0.0.2",), ports=(ContainerPort(80, "web"),)),
    "a pod gets another address": Pod("y", "b", {}, ips=("10.0.1.2",), ports=(ContainerPort(80, "web"),)),
    "a pod has another named port": Pod("y", "b", {}, ips=("10.0.0.2",), ports=(ContainerPort(81, "web"),)),
    "a pod finishes": Pod("y", "b", {}, phase="Succeeded", ips=("10.0.0.2",)),
    "a pod goes": (POD, ("y", "b")),
    "another pod comes": Pod("y", "c", {"app": "api"}, ips=("10.0.0.3",)),
    "a template becomes a pod": Pod("y", "later-0", {"app": "api"}, owner=("StatefulSet", "later")),
    "a template goes": (STATEFUL_SET, ("y", "later")),
    "a node gets an address": Node("n0", {}, addresses=("192.168.0.1",)),
    "a node goes": (NODE, ("", "n1")),
    "a policy comes": policy_of("y", "podSelector: {}", "deny"),
    "a policy changes": policy_of("x", "policyTypes: [Ingress, Egress]"),
    "a policy cuts the outside anew": policy_of("y", "ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]", "deny"),
    "a policy goes": (NETWORK_POLICY, ("x", "np")),
    "an administrator's policy comes": AdminPolicy(
        CLUSTER_NETWORK_POLICY,
        "deny",
        "Admin",
        0,
        AdminPeer(namespaces=LabelSelector()),
        (AdminRule("Deny", (AdminPeer(namespaces=LabelSelector({NAME_LABEL: "y"})),)),),
    ),
    "an administrator's policy goes": (CLUSTER_NETWORK_POLICY, ("", "nodes")),
}


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_followed(event: str) -> None:
    before: list[Record] = [
        Namespace("z", {"team": "red", NAME_LABEL: "z"}),
        Pod("x", "a", {}, ips=("10.0.0.1",)),
        Pod("y", "b", {}, ips=("10.0.0.2",), ports=(ContainerPort(80, "web"),)),
        Pod("z", "d", {}, ips=("10.0.0.4",)),
        Pod("y", "h0", {}, node="n0", host_network=True),
        Pod("y", "h1", {}, node="n1", host_network=True),
        Workload(STATEFUL_SET, "y", "later", {"app": "later"}),
        Node("n1", {}, addresses=("192.168.0.2",)),
        policy_of(
            "x",
            "{ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}}]},"
            " {from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}], ports: [{port: 443}]},"
            " {from: [{ipBlock: {cidr: 10.0.1.0/24}}, {ipBlock: {cidr: 192.168.0.0/24}}], ports: [{port: 5}]}],"
            " egress: [{ports: [{port: web}]}, {ports: [{port: 53, protocol: UDP}]}]}",
        ),
        AdminPolicy(
            CLUSTER_NETWORK_POLICY,
            "nodes",
            "Admin",
            0,
            AdminPeer(namespaces=LabelSelector()),
            egress=(AdminRule("Deny", (AdminPeer(nodes=LabelSelector()),)),),
        ),
    ]
    cluster = Cluster.of(before)
    graph = Graph(cluster)
    was = everything(graph)
    step = EVENTS[event]
    after = {(record.kind, record.key): record for record in before}
    if isinstance(step, tuple):
        cluster.remove(*step)
        del after[step]
    else:
        cluster.put(step)
        after[step.kind, step.key] = step
    assert everything(graph) == everything(Graph(Cluster.of(after.values())))
    assert everything(graph) != was
