"""The index of the cluster: whatever was put and removed, it answers as one freshly built, and as plain search."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.model.cluster import Cluster, Completeness, open_keys
from webhook.model.objects import (
    ADMIN_POLICIES,
    BINDINGS,
    CLUSTER_ROLE_BINDING,
    CLUSTER_SCOPED,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    ENGINE_POLICIES,
    EVERY,
    JOB,
    KINDS,
    NAME_LABEL,
    NAMESPACE,
    NODE,
    POD,
    REPLICA_SET,
    STATEFUL_SET,
    WEBHOOK_CONFIGURATIONS,
    WORKLOADS,
    AdminPeer,
    AdminPolicy,
    AdmissionWebhook,
    APIService,
    EndpointSlice,
    EnginePolicy,
    HTTPRoute,
    Ingress,
    IngressClass,
    Key,
    LabelSelector,
    LabelSelectorRequirement,
    Namespace,
    NetworkPolicy,
    Node,
    ObjectMeta,
    Pod,
    Record,
    RoleBinding,
    Service,
    ServiceCIDR,
    ServiceReference,
    WebhookConfiguration,
    Workload,
)
from webhook.model.selectors import Selector, Term, compile_selector, equality_selector

NAMES = st.sampled_from(["a", "b"])
SPACES = st.sampled_from(["x", "y", "z"])
LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["1", "2"]), max_size=2)
PODS = st.builds(Pod, SPACES, NAMES, LABELS, phase=st.sampled_from(["Running", "Succeeded", "Pending"]))
TEMPLATES = st.builds(
    Workload,
    st.sampled_from(WORKLOADS),
    SPACES,
    NAMES,
    LABELS,
    owner=st.sampled_from([None, ("Deployment", "a")]),
    replicas=st.sampled_from([0, 1, 3]),
    finished=st.booleans(),
    service_name=st.sampled_from(["", "", "a", "b"]),
)
NAMESPACES = st.builds(
    lambda name, labels, going: Namespace(name, {**labels, NAME_LABEL: name}, terminating=going),
    SPACES,
    LABELS,
    st.booleans(),
)
SERVICES = st.builds(lambda ns, name: Service(ObjectMeta(name=name, namespace=ns)), SPACES, NAMES)
POLICIES = st.builds(lambda ns, name: NetworkPolicy(ObjectMeta(name=name, namespace=ns)), SPACES, NAMES)
SLICES = st.builds(EndpointSlice, SPACES, NAMES, service=st.sampled_from(["", "a", "b"]))
REFERENCES = st.builds(ServiceReference, SPACES, NAMES, st.sampled_from([80, 443]))
REFERRERS = st.one_of(
    st.builds(
        Ingress, SPACES, NAMES, st.lists(st.tuples(NAMES, st.sampled_from([None, 80, "http"])), max_size=3).map(tuple)
    ),
    st.builds(HTTPRoute, SPACES, NAMES, st.lists(REFERENCES, max_size=3).map(tuple)),
    st.builds(
        WebhookConfiguration,
        st.sampled_from(WEBHOOK_CONFIGURATIONS),
        NAMES,
        st.lists(st.builds(AdmissionWebhook, REFERENCES), max_size=3).map(tuple),
    ),
    st.builds(APIService, NAMES, st.one_of(st.none(), REFERENCES)),
)
ACCOUNTS = st.tuples(st.one_of(SPACES, st.just(EVERY)), st.one_of(NAMES, st.just(EVERY)))
ROLE_BINDINGS = st.builds(
    lambda kind, namespace, name, accounts: RoleBinding(
        kind, "" if kind == CLUSTER_ROLE_BINDING else namespace, name, accounts=tuple(accounts)
    ),
    st.sampled_from(BINDINGS),
    SPACES,
    NAMES,
    st.lists(ACCOUNTS, max_size=3),
)
OF_CLUSTER = st.one_of(
    st.builds(Node, NAMES),
    st.builds(IngressClass, NAMES),
    st.builds(ServiceCIDR, NAMES),
    st.builds(AdminPolicy, st.sampled_from(ADMIN_POLICIES), NAMES, st.just("Admin"), st.just(1), st.just(AdminPeer())),
)
ENGINE = st.one_of(
    st.builds(EnginePolicy, st.sampled_from([k for k in ENGINE_POLICIES if k in CLUSTER_SCOPED]), st.just(""), NAMES),
    st.builds(EnginePolicy, st.sampled_from([k for k in ENGINE_POLICIES if k not in CLUSTER_SCOPED]), SPACES, NAMES),
)
RECORDS = st.one_of(
    PODS, TEMPLATES, NAMESPACES, SERVICES, POLICIES, SLICES, REFERRERS, ROLE_BINDINGS, OF_CLUSTER, ENGINE
)
REMOVALS = st.tuples(st.sampled_from(KINDS), st.tuples(st.one_of(SPACES, st.just("")), st.one_of(NAMES, SPACES)))
STEPS = st.lists(st.one_of(RECORDS, RECORDS, REMOVALS), max_size=30)

TERM_KEYS = ["app", "tier", "pod-template-hash", "job-name", "statefulset.kubernetes.io/pod-name", NAME_LABEL]
TERM_VALUES = ["1", "2", "a", "a-0", "b-17", "x", "y"]
TERMS = st.builds(
    Term,
    st.sampled_from(TERM_KEYS),
    st.sampled_from(["In", "In", "NotIn", "Exists", "DoesNotExist"]),
    st.frozensets(st.sampled_from(TERM_VALUES), min_size=1, max_size=2),
)
SELECTORS = st.lists(TERMS, max_size=3).map(lambda terms: Selector(tuple(terms)))
WHERE = st.one_of(st.none(), st.frozensets(SPACES))

Objects: TypeAlias = dict[tuple[str, Key], Record]
Found: TypeAlias = set[tuple[str, Key]]


def after(steps: Iterable[Record | tuple[str, Key]]) -> tuple[Cluster, Objects]:
    """The cluster that was changed step by step, and what should be in it."""
    cluster, objects = Cluster(), Objects()
    for step in steps:
        if isinstance(step, tuple):
            cluster.remove(*step)
            objects.pop(step, None)
        else:
            cluster.put(step)
            objects[step.kind, step.key] = step
    return cluster, objects


def found(cluster: Cluster, selector: Selector, where: Iterable[str] | None) -> Found:
    classes = cluster.select(selector, None if where is None else frozenset(where))
    assert len(classes) == len(set(classes))
    pods = {(POD, (c.namespace, name)) for c in classes for name in c.pods}
    return pods | {(kind, (c.namespace, name)) for c in classes for kind, name in c.templates}


def searched(objects: Objects, selector: Selector, where: Iterable[str] | None) -> Found:
    """Every object in turn, as the API documents it."""
    hits: Found = set()
    nothing: Mapping[str, str] = {}
    for at, record in objects.items():
        if isinstance(record, Pod):
            labels, added = record.labels, nothing
            if record.phase in {"Succeeded", "Failed"}:
                continue
        elif isinstance(record, Workload):
            labels, added = record.labels, open_keys(record)
            if record.finished and record.kind != REPLICA_SET:
                continue
            if record.kind == REPLICA_SET and record.owner and not record.replicas:
                continue
        else:
            continue
        in_scope = where is None or record.namespace in where
        if in_scope and all(satisfied(term, labels, added) for term in selector.terms):
            hits.add(at)
    return hits


def satisfied(term: Term, labels: Mapping[str, str], added: Mapping[str, str]) -> bool:
    if term.key in labels or term.key not in added:
        return term.matches(labels)
    if term.operator == "In":
        return any(re.fullmatch(added[term.key], value) for value in term.values)
    return term.operator != "DoesNotExist"


@given(STEPS, st.lists(st.tuples(SELECTORS, WHERE), min_size=1, max_size=4))
@settings(max_examples=250, deadline=None)
def test_select_is_a_search(
    steps: list[Record | tuple[str, Key]], queries: list[tuple[Selector, frozenset[str] | None]]
) -> None:
    cluster, objects = after(steps)
    fresh = Cluster.of(objects.values())
    for selector, where in queries:
        expected = searched(objects, selector, where)
        assert found(cluster, selector, where) == expected
        assert found(fresh, selector, where) == expected


@given(STEPS, st.lists(SELECTORS, min_size=1, max_size=4))
@settings(max_examples=250, deadline=None)
def test_namespaces_are_a_search(steps: list[Record | tuple[str, Key]], selectors: list[Selector]) -> None:
    cluster, objects = after(steps)
    # A namespace of which some object is there exists (CONTRACT.md, words), with the label that every namespace has.
    known = {key[0]: {NAME_LABEL: key[0]} for _, key in objects if key[0]}
    known |= {r.name: dict(r.labels) for r in objects.values() if isinstance(r, Namespace)}
    assert cluster.namespace_names() == sorted(known)
    for name in ("x", "y", "z", "other"):
        assert cluster.namespace_exists(name) is (True if name in known else None)
    for selector in selectors:
        matching = sorted(name for name, labels in known.items() if selector.matches(labels))
        assert [n.name for n in cluster.namespaces_matching(selector)] == matching
        for namespace in cluster.namespaces_matching(selector):
            assert namespace.labels == known[namespace.name]


@given(STEPS)
@settings(max_examples=250, deadline=None)
def test_nothing_is_left_behind(steps: list[Record | tuple[str, Key]]) -> None:
    cluster, objects = after(steps)
    fresh = Cluster.of(objects.values())

    def shape(of: Cluster) -> set[tuple[object, ...]]:
        return {
            (
                c.namespace,
                frozenset(c.labels.items()),
                frozenset(c.open_keys.items()),
                frozenset(c.pods),
                frozenset(c.templates),
                c.workloads,
            )
            for c in of.classes()
        }

    assert shape(cluster) == shape(fresh)
    for where in ("x", "y", "z"):
        assert {id(c) for c in cluster.classes(where)} == {id(c) for c in cluster.classes() if c.namespace == where}
    for kind in KINDS:
        assert set(cluster.keys(kind)) == {key for of, key in objects if of == kind}
        assert cluster.completeness(kind) is (Completeness.PARTIAL if cluster.keys(kind) else Completeness.ABSENT)
    for (kind, key), record in objects.items():
        assert cluster.get(kind, key) is record
    for where in ("x", "y", "z"):
        here = [r for (_, key), r in objects.items() if key[0] == where]
        assert {p.key for p in cluster.policies_in(where)} == {r.key for r in here if isinstance(r, NetworkPolicy)}
        assert {s.key for s in cluster.services_in(where)} == {r.key for r in here if isinstance(r, Service)}
    indexes = {name for name, held in vars(cluster).items() if isinstance(held, dict)}
    indexes -= {"_objects", "_completeness", "_revisions"}
    assert {"_by_labels", "_class_of", "_population", "_policies_here", "_referrers_of"} <= indexes
    for kind, key in objects:
        cluster.remove(kind, key)
    assert not list(cluster.classes())
    assert cluster.namespace_names() == []
    assert {index: getattr(cluster, index) for index in indexes} == {index: {} for index in indexes}


@given(STEPS)
@settings(max_examples=250, deadline=None)
def test_what_names_a_service_or_an_account_is_found_by_it(steps: list[Record | tuple[str, Key]]) -> None:
    cluster, objects = after(steps)

    def names(record: Record, space: str, name: str) -> bool:
        match record:
            case Ingress():
                return record.namespace == space and any(service == name for service, _ in record.backends)
            case HTTPRoute():
                return any((b.namespace, b.name) == (space, name) for b in record.backends)
            case WebhookConfiguration():
                return any((w.service.namespace, w.service.name) == (space, name) for w in record.webhooks)
            case APIService():
                return record.service is not None and (record.service.namespace, record.service.name) == (space, name)
            case Workload():
                return (record.namespace, record.service_name) == (space, name)
            case _:
                return False

    for space in ("x", "y", "z", ""):
        of_engines = [r for r in objects.values() if isinstance(r, EnginePolicy) and r.namespace == space]
        assert same(cluster.engine_policies_in(space), of_engines)
    for space in ("x", "y", "z", EVERY):
        for name in ("a", "b", EVERY):
            referrers = [r for r in objects.values() if names(r, space, name)]
            bindings = [r for r in objects.values() if isinstance(r, RoleBinding) and (space, name) in r.accounts]
            slices = [
                r
                for r in objects.values()
                if isinstance(r, EndpointSlice) and (r.namespace, r.service) == (space, name)
            ]
            assert same(cluster.referrers_of(space, name), referrers)
            assert same(cluster.bindings_of(space, name), bindings)
            assert same(cluster.slices_of(space, name), slices)


@given(STEPS)
@settings(deadline=None)
def test_objects_by_kind(steps: list[Record | tuple[str, Key]]) -> None:
    cluster, objects = after(steps)
    for found, of in (
        (cluster.namespaces, Namespace),
        (cluster.pods, Pod),
        (cluster.services, Service),
        (cluster.policies, NetworkPolicy),
        (cluster.nodes, Node),
        (cluster.admin_policies, AdminPolicy),
        (cluster.ingresses, Ingress),
        (cluster.ingress_classes, IngressClass),
        (cluster.http_routes, HTTPRoute),
        (cluster.service_cidrs, ServiceCIDR),
        (cluster.workloads(), Workload),
    ):
        assert same(found, [record for record in objects.values() if isinstance(record, of)]), of


def same(found: Iterable[Record], expected: Iterable[Record]) -> bool:
    """Whether these are the very same objects, each once, in whatever order."""
    return sorted(map(id, found)) == sorted(map(id, expected))


@given(STEPS)
@settings(deadline=None)
def test_the_generation_grows_with_every_change(steps: list[Record | tuple[str, Key]]) -> None:
    cluster = Cluster()
    for step in steps:
        before, there = cluster.generation, {kind: set(cluster.keys(kind)) for kind in KINDS}
        if isinstance(step, tuple):
            cluster.remove(*step)
            assert (cluster.generation > before) == (step[1] in there[step[0]])
        else:
            cluster.put(step)
            assert cluster.generation > before


# --- labels that controllers add --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "labels", "matches"),
    [
        (STATEFUL_SET, {"app": "pg", "statefulset.kubernetes.io/pod-name": "pg-0"}, True),
        (STATEFUL_SET, {"statefulset.kubernetes.io/pod-name": "pg-12"}, True),
        (STATEFUL_SET, {"statefulset.kubernetes.io/pod-name": "pg-x"}, False),
        (STATEFUL_SET, {"statefulset.kubernetes.io/pod-name": "pgx-0"}, False),
        (STATEFUL_SET, {"statefulset.kubernetes.io/pod-name": "other-0"}, False),
        (STATEFUL_SET, {"apps.kubernetes.io/pod-index": "3"}, True),
        (STATEFUL_SET, {"apps.kubernetes.io/pod-index": "last"}, False),
        (STATEFUL_SET, {"app": "other", "statefulset.kubernetes.io/pod-name": "pg-0"}, False),
        (DEPLOYMENT, {"app": "pg", "pod-template-hash": "7d9f8c6b5"}, True),
        (DEPLOYMENT, {"statefulset.kubernetes.io/pod-name": "pg-0"}, False),
        (JOB, {"job-name": "pg"}, True),
        (JOB, {"batch.kubernetes.io/job-name": "pg"}, True),
        (JOB, {"job-name": "pg-1"}, False),
        (CRON_JOB, {"job-name": "pg-28512345"}, True),
        (CRON_JOB, {"job-name": "pg"}, False),
        (DAEMON_SET, {"controller-revision-hash": "abc", "pod-template-generation": "4"}, True),
        (REPLICA_SET, {"pod-template-hash": "abc"}, False),
    ],
)
def test_a_template_carries_what_its_controller_will_add(kind: str, labels: dict[str, str], matches: bool) -> None:
    cluster = Cluster.of([Workload(kind, "x", "pg", {"app": "pg"})])
    for where in ({"x"}, None):
        assert bool(cluster.select(equality_selector(labels), where)) is matches


def test_a_template_may_satisfy_negative_terms_about_what_is_added() -> None:
    cluster = Cluster.of([Workload(STATEFUL_SET, "x", "pg", {"app": "pg"})])

    def selects(operator: str, *values: str) -> bool:
        requirement = LabelSelectorRequirement("statefulset.kubernetes.io/pod-name", operator, values)
        return bool(cluster.select(compile_selector(LabelSelector({}, (requirement,))), {"x"}))

    assert selects("NotIn", "pg-0")
    assert selects("Exists")
    assert not selects("DoesNotExist")


def test_a_name_is_no_pattern() -> None:
    cluster = Cluster.of([Workload(STATEFUL_SET, "x", "a.b", {"app": "pg"})])
    label = "statefulset.kubernetes.io/pod-name"
    assert cluster.select(equality_selector({label: "a.b-0"}))
    assert not cluster.select(equality_selector({label: "axb-0"}))


def test_pods_that_no_selector_can_tell_apart_share_a_class() -> None:
    cluster = Cluster.of([Pod("x", f"p{i}", {"app": "web"}) for i in range(100)] + [Pod("y", "p0", {"app": "web"})])
    assert len(cluster.classes()) == 2
    assert len(next(iter(cluster.classes("x"))).pods) == 100


def test_a_replica_set_is_its_deployment() -> None:
    pod = Pod("x", "web-5d8-abc", {"app": "web", "pod-template-hash": "5d8"}, owner=("ReplicaSet", "web-5d8"))
    cluster = Cluster.of(
        [
            pod,
            Workload(DEPLOYMENT, "x", "web", {"app": "web"}),
            Workload(REPLICA_SET, "x", "web-5d8", dict(pod.labels), owner=("Deployment", "web")),
            Workload(REPLICA_SET, "x", "alone", {"app": "alone"}),
        ]
    )
    named = {w for c in cluster.select(equality_selector({"app": "web"})) for w in c.workloads}
    assert named == {"x/Deployment/web"}
    assert {w for c in cluster.select(equality_selector({"app": "alone"})) for w in c.workloads} == {
        "x/ReplicaSet/alone"
    }


# --- how much is known ------------------------------------------------------------------------------------------------


def test_completeness() -> None:
    cluster = Cluster()
    assert cluster.completeness(POD) is Completeness.ABSENT
    assert {cluster.pods_known} == {False}
    cluster.put(Pod("x", "a", {}))
    assert cluster.completeness(POD) is Completeness.PARTIAL
    assert cluster.namespace_exists("x") is True
    assert cluster.namespace_exists("y") is None
    cluster.know(NAMESPACE, Completeness.COMPLETE)
    assert cluster.namespace_exists("y") is False
    for kind in (POD, *WORKLOADS):
        assert {kind: cluster.pods_known} == {kind: False}
        cluster.know(kind, Completeness.COMPLETE)
    assert {cluster.pods_known} == {True}
    cluster.know(JOB, Completeness.PARTIAL)
    assert {cluster.pods_known} == {False}
    assert Cluster.of([], complete=True).complete(*KINDS)


def test_what_arrives_is_state_but_does_not_prove_that_its_namespace_exists() -> None:
    cluster = Cluster.of([], complete=True)
    cluster.put(Pod("shpo", "a", {"app": "web"}), arriving=True)
    assert cluster.select(equality_selector({"app": "web"}), {"shpo"})
    assert not cluster.namespace_exists("shpo")
    cluster.put(Namespace("shpo", {NAME_LABEL: "shpo"}), arriving=True)
    assert cluster.namespace_exists("shpo")


def test_an_object_of_a_kind_that_is_not_kept_shows_its_namespace() -> None:
    cluster = Cluster.of([], complete=True)
    before = cluster.generation
    cluster.mention("shop")
    assert cluster.generation > before
    assert cluster.namespace_exists("shop") is True
    assert [n.name for n in cluster.namespaces_matching(equality_selector({NAME_LABEL: "shop"}))] == ["shop"]
    cluster.mention("")
    assert cluster.namespace_names() == ["shop"]


def test_a_revision_is_of_some_kinds_and_of_changes_alone() -> None:
    cluster = Cluster()
    node, pod = Node("a", {"zone": "1"}), Pod("x", "p", {})
    seen = [cluster.revision(NODE)]

    def now() -> int:
        seen.append(cluster.revision(NODE))
        return seen[-1] - seen[-2]

    cluster.put(node)
    assert now() > 0
    cluster.put(Node("a", {"zone": "1"}))  # a heartbeat: the record is the same
    cluster.put(pod)
    cluster.remove(NODE, ("", "b"))
    assert now() == 0
    cluster.put(Node("a", {"zone": "2"}))
    assert now() > 0
    cluster.know(NODE, Completeness.COMPLETE)
    assert now() > 0
    cluster.know(NODE, Completeness.COMPLETE)
    assert now() == 0
    cluster.remove(NODE, ("", "a"))
    assert now() > 0
    assert cluster.revision(NODE, POD) == cluster.revision(NODE) + cluster.revision(POD) > cluster.revision(POD) > 0
