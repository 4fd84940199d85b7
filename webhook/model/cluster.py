"""The cluster's state, indexed for selectors, and how much of it is known.

Pods and templates that no selector can tell apart (same namespace, same labels) share one `PodClass`; a selector is
answered by looking at classes, through an index from ``key=value`` to the classes that carry it, never at pods one by
one. `put` and `remove` keep the index in place, so the watch and the files fill it in the same way. Pure: one thread
mutates it between reviews, a review sees one consistent state.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Final, TypeAlias, TypeVar

from webhook.model.objects import (
    ADMIN_POLICIES,
    CONFIG_MAP,
    CRON_JOB,
    DAEMON_SET,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_CLASS,
    JOB,
    KINDS,
    NAME_LABEL,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_CIDR,
    STATEFUL_SET,
    WORKLOADS,
    AdminPolicy,
    APIService,
    ConfigMap,
    EndpointSlice,
    EnginePolicy,
    EngineSetting,
    HTTPRoute,
    Ingress,
    IngressClass,
    Key,
    Labels,
    Namespace,
    NetworkPolicy,
    Node,
    Pod,
    Record,
    RoleBinding,
    Service,
    ServiceCIDR,
    WebhookConfiguration,
    Workload,
)
from webhook.model.selectors import Selector, Term, equality_selector

_R = TypeVar("_R", bound=Record)
_K = TypeVar("_K")
_V = TypeVar("_V")
_E = TypeVar("_E")
_Links: TypeAlias = dict[Key, dict[tuple[str, Key], Record]]
"""From what objects name to these objects, by kind and key."""


class Completeness(Enum):
    """What may be concluded from not finding an object of a kind (CONTRACT.md, words)."""

    COMPLETE = "complete"
    """Live and synced, or declared complete: what is not found is not there."""
    PARTIAL = "partial"
    """What is found counts, what is not found is unknown."""
    ABSENT = "absent"
    """Nothing is known of the kind: never read, or not readable."""


class PodClass:
    """Pods and templates of one namespace with the same labels: no selector can tell them apart.

    ``open_keys`` are label keys that a controller will add with values nobody knows yet (``pod-template-hash``), each
    with the pattern of those values.
    """

    __slots__ = ("labels", "namespace", "open_keys", "pods", "templates")

    def __init__(self, namespace: str, labels: Labels, open_keys: Mapping[str, str]) -> None:
        self.namespace = namespace
        self.labels = labels
        self.open_keys = open_keys
        self.pods: dict[str, Pod] = {}
        self.templates: dict[Key, Workload] = {}

    def matched_by(self, selector: Selector) -> bool:
        if not self.open_keys:
            return selector.matches(self.labels)
        for term in selector.terms:
            pattern = None if term.key in self.labels else self.open_keys.get(term.key)
            if not (term.matches(self.labels) if pattern is None else self._may_satisfy(term, pattern)):
                return False
        return True

    @staticmethod
    def _may_satisfy(term: Term, pattern: str) -> bool:
        match term.operator:
            case "In":
                return any(re.fullmatch(pattern, value) for value in term.values)
            case "DoesNotExist":
                return False
            case _:
                return True

    @property
    def workloads(self) -> frozenset[str]:
        """The workloads behind the class, as ``ns/Kind/name``."""
        return frozenset(p.workload for p in self.pods.values()) | frozenset(
            t.workload for t in self.templates.values()
        )


_ANY_HASH: Final = r"[a-z0-9]+"
_JOB_LABELS: Final[Mapping[str, str]] = {
    "controller-uid": r".+",
    "batch.kubernetes.io/controller-uid": r".+",
    "batch.kubernetes.io/job-completion-index": r"\d+",
}
_CONTROLLER_LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "apps/v1/Deployment": {"pod-template-hash": _ANY_HASH},
    DAEMON_SET: {"controller-revision-hash": r".+", "pod-template-generation": r"\d+"},
    STATEFUL_SET: {"controller-revision-hash": r".+", "apps.kubernetes.io/pod-index": r"\d+"},
    JOB: _JOB_LABELS,
    CRON_JOB: _JOB_LABELS,
}
"""The labels that controllers add to the pods they make, with the pattern of their values.

Source: k8s.io/api apps/v1 types.go and batch/v1 types.go (StatefulSetPodNameLabel, PodIndexLabel, JobNameLabel, …).
"""


def open_keys(workload: Workload) -> Mapping[str, str]:
    """The labels that a workload's controller will add, each with the pattern of its values."""
    name = re.escape(workload.name)
    added = dict(_CONTROLLER_LABELS.get(workload.kind, {}))
    if workload.kind == STATEFUL_SET:
        added["statefulset.kubernetes.io/pod-name"] = rf"{name}-\d+"
    elif workload.kind == JOB:
        added["job-name"] = added["batch.kubernetes.io/job-name"] = name
    elif workload.kind == CRON_JOB:
        added["job-name"] = added["batch.kubernetes.io/job-name"] = rf"{name}-\d+"
    return added


def services_named_by(record: Record) -> Iterable[Key]:
    """The Services that an object names: an Ingress's, a webhook configuration's, a StatefulSet's …"""
    match record:
        case Ingress():
            return [(record.namespace, name) for name in record.services]
        case HTTPRoute():
            return dict.fromkeys(backend.key for backend in record.backends)
        case WebhookConfiguration():
            return dict.fromkeys(webhook.service.key for webhook in record.webhooks)
        case APIService():
            return [record.service.key] if record.service is not None else ()
        case Workload():
            return [(record.namespace, record.service_name)] if record.service_name else ()
        case _:
            return ()


class Cluster:
    """What is known of a cluster.

    Args:
        completeness: per kind (`webhook.model.objects.KINDS`); kinds left out are absent until an object of them is
            put, then partial.
    """

    def __init__(self, completeness: Mapping[str, Completeness] | None = None) -> None:
        self._completeness = dict(completeness or {})
        self._objects: defaultdict[str, dict[Key, Record]] = defaultdict(dict, {kind: {} for kind in KINDS})
        self._population: Counter[str] = Counter()
        self._by_labels: dict[tuple[object, ...], PodClass] = {}
        self._by_namespace: dict[str, dict[PodClass, None]] = {}
        self._by_value: dict[tuple[str, str], dict[PodClass, None]] = {}
        self._by_value_here: dict[tuple[str, str, str], dict[PodClass, None]] = {}
        self._namespaces_by_value: dict[tuple[str, str], dict[str, None]] = {}
        self._class_of: dict[tuple[str, Key], PodClass] = {}
        self._policies_here: dict[str, dict[str, NetworkPolicy]] = {}
        self._services_here: dict[str, dict[str, Service]] = {}
        self._engine_policies_here: dict[str, dict[tuple[str, str], EnginePolicy]] = {}
        self._services_by_label: dict[tuple[str, str, str], dict[str, Service]] = {}
        self.arriving_policies: dict[Key, NetworkPolicy | None] = {}
        """The policies of files that are under review, each with the one of the state that it replaces."""
        self._slices_of: _Links = {}
        self._bindings_of: _Links = {}
        self._referrers_of: _Links = {}
        self.on_removed: Callable[[Record], None] = lambda _: None
        """Called with every object that is removed."""
        self.followers: list[Callable[[Record], None]] = []
        """Called with every object that is put or removed."""
        self.hypothetical = False
        """Whether it is, for a moment, as it would be (`supposing`): nothing has really changed."""
        self.generation = 0
        """Grows with every change: what is derived from the state may be kept until it does."""
        self._revisions: Counter[str] = Counter()
        self._names: tuple[int, Sequence[str]] = (-1, ())

    @classmethod
    def of(cls, records: Iterable[Record], *, complete: bool = False) -> "Cluster":
        """A cluster of these objects, partial or complete in every kind."""
        cluster = cls(dict.fromkeys(KINDS, Completeness.COMPLETE) if complete else None)
        for record in records:
            cluster.put(record)
        return cluster

    def copy(self) -> "Cluster":
        """Another cluster of the same objects, to be changed on its own."""
        found = Cluster(self._completeness)
        for records in self._objects.values():
            for record in records.values():
                found.put(record)
        for namespace, number in self._population.items():
            found._population[namespace] = number  # what is only mentioned, too
        return found

    # --- change

    def put(self, record: Record, *, arriving: bool = False) -> None:
        """Adds an object, or replaces the one of its kind, namespace and name.

        ``arriving``: it is only about to be applied, so it does not prove that its namespace exists. Such an object is
        not meant to be removed again.
        """
        kind, key = record.kind, record.key
        objects = self._objects[kind]
        if key not in objects and not arriving:
            self._population[key[0]] += 1
        before = objects.get(key)
        if before != record:
            self._revisions[kind] += 1
        objects[key] = record
        self.generation += 1
        if isinstance(record, NetworkPolicy):
            self._policies_here.setdefault(key[0], {})[key[1]] = record
        elif isinstance(record, Service):
            self._services_here.setdefault(key[0], {})[key[1]] = record
            self._index_service(before, record)
        elif isinstance(record, EnginePolicy):
            self._engine_policies_here.setdefault(key[0], {})[kind, key[1]] = record
        elif isinstance(record, Pod):
            self._classify(kind, key, record, None if record.finished else (record.namespace, record.labels, {}))
        elif isinstance(record, Namespace):
            self._index_namespace(before, record)
        else:
            self._relink(before, record)
        if isinstance(record, Workload):
            self._classify(
                kind,
                key,
                record,
                (record.namespace, record.labels, open_keys(record)) if self._stands_for_pods(record) else None,
            )
        for follow in self.followers:
            follow(record)

    def remove(self, kind: str, key: Key) -> None:
        """Removes an object; one that is not there is no error."""
        gone = self._objects[kind].pop(key, None)
        if gone is None:
            return
        self.generation += 1
        self._revisions[kind] += 1
        if not self.hypothetical:
            self.on_removed(gone)
        if isinstance(gone, Namespace):
            self._index_namespace(gone, None)
        elif isinstance(gone, NetworkPolicy):
            _discard(self._policies_here, *key)
        elif isinstance(gone, Service):
            _discard(self._services_here, *key)
            self._index_service(gone, None)
        elif isinstance(gone, EnginePolicy):
            _discard(self._engine_policies_here, key[0], (kind, key[1]))
        else:
            self._relink(gone, None)
        self._population[key[0]] -= 1
        if not self._population[key[0]]:
            del self._population[key[0]]
        if isinstance(gone, Pod | Workload):
            self._declassify(kind, key)
        for follow in self.followers:
            follow(gone)

    @contextmanager
    def supposing(
        self, puts: Iterable[Record] = (), removals: Iterable[tuple[str, Key]] = (), *, without: str = ""
    ) -> Iterator[None]:
        """The state as it would be, while the ``with`` lasts; afterwards it is as it was, whatever happened in between.

        In place, because a copy of a large cluster, and its graph, would hold up all other admissions. What follows the
        state to tell of news looks at `hypothetical`.

        Args:
            puts: objects that are added, or replace those of their kind and name.
            removals: kinds and keys of objects that are gone.
            without: a namespace that is gone, with all that is in it.
        """
        gone = [*removals]
        if without:
            gone += ((kind, key) for kind, held in self._objects.items() for key in held if key[0] == without)
            gone.append((NAMESPACE, ("", without)))
        replaced = [record for record in puts if self.get(record.kind, record.key) != record]
        before = {identity: self.get(*identity) for identity in (*gone, *((r.kind, r.key) for r in replaced))}
        population, nested = self._population.copy(), self.hypothetical
        self.hypothetical = True
        try:
            for kind, key in gone:
                self.remove(kind, key)
            for record in replaced:
                self.put(record)
            if without:
                self._population.pop(without, None)  # of what is only mentioned there
                self.generation += 1
            yield
        finally:
            for (kind, key), was in before.items():
                if was is None:
                    self.remove(kind, key)
                else:
                    self.put(was)
            self._population = population
            self.generation += 1
            self.hypothetical = nested

    def mention(self, namespace: str) -> None:
        """Says that an object of a kind that is not kept is in this namespace: so the namespace exists."""
        if namespace and not self._population[namespace]:
            self.generation += 1
        self._population[namespace] += 1

    def know(self, kind: str, completeness: Completeness) -> None:
        """Says how much of a kind is known from now on."""
        if self._completeness.get(kind) is not completeness:
            self._completeness[kind] = completeness
            self.generation += 1
            self._revisions[kind] += 1

    def _index_namespace(self, before: Record | None, after: Namespace | None) -> None:
        if isinstance(before, Namespace):
            for label in before.labels.items():
                _discard(self._namespaces_by_value, label, before.name)
        if after is not None:
            for label in after.labels.items():
                self._namespaces_by_value.setdefault(label, {})[after.name] = None

    def _index_service(self, before: Record | None, after: Service | None) -> None:
        if isinstance(before, Service):
            _discard(self._services_by_label, _place_of(before), before.metadata.name)
        if after is not None:
            self._services_by_label.setdefault(_place_of(after), {})[after.metadata.name] = after

    def _relink(self, before: Record | None, after: Record | None) -> None:
        """Keeps the indexes from what an object names to the object."""
        if before is not None:
            for index, named in self._links(before):
                _discard(index, named, (before.kind, before.key))
        if after is not None:
            for index, named in self._links(after):
                index.setdefault(named, {})[after.kind, after.key] = after

    def _links(self, record: Record) -> Iterator[tuple[_Links, Key]]:
        match record:
            case EndpointSlice():
                if record.service:
                    yield self._slices_of, (record.namespace, record.service)
            case RoleBinding():
                for account in dict.fromkeys(record.accounts):
                    yield self._bindings_of, account
            case _:
                for service in services_named_by(record):
                    yield self._referrers_of, service

    @staticmethod
    def _stands_for_pods(workload: Workload) -> bool:
        """An old ReplicaSet kept for rollback and a finished Job make no pods any more."""
        if workload.kind == REPLICA_SET:
            return workload.owner is None or workload.replicas > 0
        return not workload.finished

    def _classify(
        self, kind: str, key: Key, record: Pod | Workload, as_class: tuple[str, Labels, Mapping[str, str]] | None
    ) -> None:
        identity: tuple[object, ...] | None = None
        if as_class is not None:
            namespace, labels, added = as_class
            identity = (namespace, frozenset(labels.items()), frozenset(added.items()))
        before = self._class_of.get((kind, key))
        found = self._by_labels.get(identity) if identity is not None else None
        if before is not None and before is not found:
            self._declassify(kind, key)
        if as_class is None or identity is None:
            return
        if found is None:
            found = self._by_labels[identity] = PodClass(*as_class)
            self._by_namespace.setdefault(found.namespace, {})[found] = None
            for label in found.labels.items():
                self._by_value.setdefault(label, {})[found] = None
                self._by_value_here.setdefault((found.namespace, *label), {})[found] = None
        if isinstance(record, Pod):
            found.pods[record.name] = record
        else:
            found.templates[record.kind, record.name] = record
        self._class_of[kind, key] = found

    def _declassify(self, kind: str, key: Key) -> None:
        left = self._class_of.pop((kind, key), None)
        if left is None:
            return
        if kind == POD:
            left.pods.pop(key[1], None)
        else:
            left.templates.pop((kind, key[1]), None)
        if left.pods or left.templates:
            return
        del self._by_labels[left.namespace, frozenset(left.labels.items()), frozenset(left.open_keys.items())]
        _discard(self._by_namespace, left.namespace, left)
        for label in left.labels.items():
            _discard(self._by_value, label, left)
            _discard(self._by_value_here, (left.namespace, *label), left)

    def revision(self, *kinds: str) -> int:
        """Grows when what is known of one of these kinds changes; a heartbeat that changes no record is none."""
        return sum(self._revisions[kind] for kind in kinds)

    # --- how much is known

    def completeness(self, kind: str) -> Completeness:
        known = self._completeness.get(kind, Completeness.ABSENT)
        if known is Completeness.ABSENT and self._objects.get(kind):
            return Completeness.PARTIAL
        return known

    def complete(self, *kinds: str) -> bool:
        """Whether what is not found among all these kinds is certainly not there."""
        return all(self._completeness.get(kind) is Completeness.COMPLETE for kind in kinds)

    @property
    def pods_known(self) -> bool:
        """Whether every pod and every template is known: a selector that matches none then really matches none."""
        return self.complete(POD, *WORKLOADS)

    # --- objects

    def get(self, kind: str, key: Key) -> Record | None:
        return self._objects[kind].get(key)

    def keys(self, kind: str) -> Collection[Key]:
        return self._objects[kind].keys()

    def _all(self, kind: str, of: type[_R]) -> Iterator[_R]:
        for record in self._objects[kind].values():
            if isinstance(record, of):
                yield record

    @property
    def namespaces(self) -> Iterator[Namespace]:
        return self._all(NAMESPACE, Namespace)

    @property
    def pods(self) -> Iterator[Pod]:
        return self._all(POD, Pod)

    @property
    def services(self) -> Iterator[Service]:
        return self._all(SERVICE, Service)

    @property
    def policies(self) -> Iterator[NetworkPolicy]:
        return self._all(NETWORK_POLICY, NetworkPolicy)

    @property
    def nodes(self) -> Iterator[Node]:
        return self._all(NODE, Node)

    @property
    def admin_policies(self) -> Iterator[AdminPolicy]:
        for kind in ADMIN_POLICIES:
            yield from self._all(kind, AdminPolicy)

    @property
    def ingresses(self) -> Iterator[Ingress]:
        return self._all(INGRESS, Ingress)

    @property
    def ingress_classes(self) -> Iterator[IngressClass]:
        return self._all(INGRESS_CLASS, IngressClass)

    @property
    def http_routes(self) -> Iterator[HTTPRoute]:
        return self._all(HTTP_ROUTE, HTTPRoute)

    @property
    def service_cidrs(self) -> Iterator[ServiceCIDR]:
        return self._all(SERVICE_CIDR, ServiceCIDR)

    def policies_in(self, namespace: str) -> Collection[NetworkPolicy]:
        """The NetworkPolicies of a namespace."""
        return self._policies_here.get(namespace, {}).values()

    @property
    def policies_across(self) -> Iterator[NetworkPolicy]:
        """The NetworkPolicies that speak of other namespaces than their own."""
        return (policy for policy in self.policies if any(p.namespace_selector is not None for _, p in policy.peers()))

    def engine_policies_in(self, namespace: str) -> Collection[EnginePolicy]:
        """The policies in engines' own APIs of a namespace; with an empty name, those of the whole cluster."""
        return self._engine_policies_here.get(namespace, {}).values()

    def services_in(self, namespace: str) -> Collection[Service]:
        """The Services of a namespace."""
        return self._services_here.get(namespace, {}).values()

    def services_behind(self, of: PodClass) -> Iterator[Service]:
        """The Services that select these pods, or the pods of these templates."""
        for label in (*of.labels.items(), NO_LABEL):
            for service in self._services_by_label.get((of.namespace, *label), {}).values():
                if of.matched_by(equality_selector(service.spec.selector)):
                    yield service

    def services_without_selector(self, namespace: str) -> Collection[Service]:
        """The Services of a namespace whose endpoints others name."""
        return self._services_by_label.get((namespace, *_NO_SELECTOR), {}).values()

    def services_alike(self, service: Service) -> list[Service]:
        """The Services of a namespace with the selector of this one, which has some; itself among them."""
        here = self._services_by_label.get(_place_of(service), {}).values()
        return [other for other in here if other.spec.selector == service.spec.selector]

    def slices_of(self, namespace: str, service: str) -> Collection[EndpointSlice]:
        """The EndpointSlices that are labelled for a Service."""
        return _only(EndpointSlice, self._slices_of.get((namespace, service), {}))

    def referrers_of(self, namespace: str, service: str) -> Collection[Record]:
        """What names a Service: Ingresses, HTTPRoutes, webhook configurations, APIServices and StatefulSets."""
        return self._referrers_of.get((namespace, service), {}).values()

    def bindings_of(self, namespace: str, account: str) -> Collection[RoleBinding]:
        """The bindings that name a ServiceAccount (`Pod.account`).

        Those of the group of all accounts of its namespace, or of the cluster, are not among them: every cluster has
        one, OpenShift one in every namespace, so they say nothing about an account in particular. They are found with
        `EVERY` in place of the account, or of both.
        """
        return _only(RoleBinding, self._bindings_of.get((namespace, account), {}))

    def engine_settings(self, kind: str) -> Iterator[EngineSetting]:
        """The objects of a kind in which a CNI keeps its settings (`ENGINE_SETTINGS`)."""
        return self._all(kind, EngineSetting)

    def workloads(self, *kinds: str) -> Iterator[Workload]:
        for kind in kinds or WORKLOADS:
            yield from self._all(kind, Workload)

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        found = self._objects[CONFIG_MAP].get((namespace, name))
        return found if isinstance(found, ConfigMap) else None

    # --- namespaces

    def namespace(self, name: str) -> Namespace | None:
        """The namespace, also when only an object in it is known: then with the one label every namespace has."""
        found = self._objects[NAMESPACE].get(("", name))
        if isinstance(found, Namespace):
            return found
        return Namespace(name, {NAME_LABEL: name}) if self._population.get(name) else None

    def namespace_exists(self, name: str) -> bool | None:
        """Whether a namespace is there; None when that is not known."""
        if self.namespace(name) is not None:
            return True
        return False if self.complete(NAMESPACE) else None

    def namespace_names(self) -> Sequence[str]:
        """The names of all namespaces of which anything is known, sorted."""
        if self._names[0] != self.generation:
            names = {key[1] for key in self._objects[NAMESPACE]} | {name for name in self._population if name}
            self._names = self.generation, sorted(names)
        return self._names[1]

    def namespaces_matching(self, selector: Selector) -> list[Namespace]:
        """The namespaces that a namespaceSelector matches, by name."""
        names: Iterable[str] | None = None
        for term in selector.terms:
            if term.operator != "In":
                continue
            if term.key == NAME_LABEL:  # true of namespaces of which only an object is known, too
                names = sorted(term.values)
                break
            names = sorted({n for value in term.values for n in self._namespaces_by_value.get((term.key, value), ())})
        found = (self.namespace(name) for name in (self.namespace_names() if names is None else names))
        return [namespace for namespace in found if namespace is not None and selector.matches(namespace.labels)]

    # --- pods and templates

    def classes(self, namespace: str | None = None) -> Collection[PodClass]:
        """All classes, or those of a namespace."""
        if namespace is None:
            return self._by_labels.values()
        return self._by_namespace.get(namespace, {})

    def carried(self, namespace: str, key: str, value: str) -> bool:
        """Whether any pod or template of a namespace has this label."""
        return (namespace, key, value) in self._by_value_here

    def class_of(self, kind: str, key: Key) -> PodClass | None:
        """The class of a pod or template; None for one that is not there, or stands for no pods."""
        return self._class_of.get((kind, key))

    def addresses_of(self, node: str) -> Sequence[str]:
        """A node's addresses; host names among them, as the API has it."""
        found = self._objects[NODE].get(("", node))
        return found.addresses if isinstance(found, Node) else ()

    def select(self, selector: Selector, namespaces: Collection[str] | None = None) -> list[PodClass]:
        """The classes that a podSelector matches, in these namespaces or in all.

        Costs about as many steps as the rarest ``key=value`` of the selector has classes.
        """
        return self.matching(self.candidates(selector, namespaces), selector, namespaces)

    def candidates(self, selector: Selector, namespaces: Collection[str] | None = None) -> Collection[PodClass]:
        """The classes among which a podSelector's must be looked for: those of its rarest ``key=value``."""
        here = next(iter(namespaces)) if namespaces is not None and len(namespaces) == 1 else None
        candidates: Collection[PodClass] | None = None
        for term in selector.terms:
            if term.operator != "In" or len(term.values) != 1 or term.key in _OPEN_KEYS:
                continue
            value = next(iter(term.values))
            if here is None:
                carriers = self._by_value.get((term.key, value), _NONE)
            else:
                carriers = self._by_value_here.get((here, term.key, value), _NONE)
            if candidates is None or len(carriers) < len(candidates):
                candidates = carriers
        if candidates is None:
            candidates = self.classes(here)
        return candidates

    @staticmethod
    def matching(
        candidates: Iterable[PodClass], selector: Selector, namespaces: Collection[str] | None
    ) -> list[PodClass]:
        """Those of these classes that a podSelector matches, in these namespaces or in all."""
        return [c for c in candidates if (namespaces is None or c.namespace in namespaces) and c.matched_by(selector)]


def _only(of: type[_R], links: Mapping[tuple[str, Key], Record]) -> list[_R]:
    return [record for record in links.values() if isinstance(record, of)]


_NONE: Final[Mapping[PodClass, None]] = {}
_OPEN_KEYS: Final = frozenset(
    key for kind in WORKLOADS for key in open_keys(Workload(kind=kind, namespace="", name="", labels={}))
)


NO_LABEL: Final = ("", "")


def sure_label(selector: Selector) -> tuple[str, str]:
    """A label that whatever the selector matches certainly has: the place of what has a selector in an index.

    `NO_LABEL` where there is none.
    """
    sure = (
        (term.key, next(iter(term.values)))
        for term in selector.terms
        if term.operator == "In" and len(term.values) == 1 and term.key not in _OPEN_KEYS
    )
    return min(sure, default=NO_LABEL)


_NO_SELECTOR: Final = ("", "no selector")


def _place_of(service: Service) -> tuple[str, str, str]:
    selector = service.spec.selector
    return (service.metadata.namespace, *(sure_label(equality_selector(selector)) if selector else _NO_SELECTOR))


def _discard(index: dict[_K, dict[_V, _E]], key: _K, left: _V) -> None:
    entry = index[key]
    del entry[left]
    if not entry:
        del index[key]
