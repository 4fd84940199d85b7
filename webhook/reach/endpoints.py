"""Endpoints: what answers call by one name, a workload whose pods all policies treat alike, or a single pod.

The names are those of CONTRACT.md: ``namespace/Kind/name`` of the topmost controller that is known.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from webhook.model.cluster import Cluster
from webhook.model.objects import (
    CONTROLLERS,
    DAEMON_SET,
    OTHER_CONTROLLERS,
    POD,
    Direction,
    Key,
    Labels,
    Pod,
    Workload,
)
from webhook.reach.graph import Cell, Graph
from webhook.reach.relation import Relation, bits_of, numbers
from webhook.reach.scenario import Scenario

_OWNERS: Final = CONTROLLERS | {kind.rpartition("/")[2]: kind for kind in OTHER_CONTROLLERS}
_MOST_OWNERS: Final = 6
"""Longer than any chain of owners in use: Pod, ReplicaSet, Deployment, a custom resource, its parent."""
_BOTH: Final[tuple[Direction, ...]] = ("Ingress", "Egress")


class Names:
    """The names of workloads, by ownerReferences; every owner is looked up once.

    Args:
        cluster: an owner need not be in it: its name alone will do.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[tuple[str, Key], str] = {}

    def of_pod(self, pod: Pod) -> str:
        """The workload of a pod; the pod itself where it has no owner."""
        if pod.owner is None:
            return f"{pod.namespace}/Pod/{pod.name}"
        return self._top(pod.namespace, _deployment(pod.owner, pod.labels))

    def of_template(self, template: Workload) -> str:
        return self._top(template.namespace, (template.kind.rpartition("/")[2], template.name))

    def _top(self, namespace: str, owner: Key) -> str:
        found = self._known.get((namespace, owner))
        if found is None:
            kind, name = owner
            for _ in range(_MOST_OWNERS):
                record = self._cluster.get(_OWNERS.get(kind, ""), (namespace, name))
                if not isinstance(record, Workload) or record.owner is None:
                    break
                kind, name = record.owner
            found = self._known[namespace, owner] = f"{namespace}/{kind}/{name}"
        return found


def _deployment(owner: Key, labels: Labels) -> Key:
    """By name alone: a ReplicaSet whose name ends in its pods' hash is a Deployment's."""
    kind, name = owner
    suffix = labels.get("pod-template-hash")
    if kind == "ReplicaSet" and suffix and name.endswith(f"-{suffix}"):
        return "Deployment", name.removesuffix(f"-{suffix}")
    return owner


class Endpoint:
    """What has one name in answers.

    Args:
        name: ``namespace/Kind/name``.
        cell: all of its pods are as those of this cell, as far as any policy is concerned.
        pods: the running pods; none where a template stands for pods to come.
        node: the node that all of them run on; empty where they are spread, or it is not known.
        several: whether it is, or will be, more than one pod.
    """

    __slots__ = ("cell", "name", "node", "pods", "several")

    def __init__(self, name: str, cell: Cell, pods: Sequence[Key] = (), node: str = "", *, several: bool) -> None:
        self.name = name
        self.cell = cell
        self.pods = pods
        self.node = node
        self.several = several


class Population:
    """The pods and templates of a graph, by workload."""

    def __init__(self, graph: Graph, names: Names | None = None) -> None:
        self.graph = graph
        self.pods: dict[str, list[tuple[Cell, Pod]]] = {}
        self.templates: dict[str, list[tuple[Cell, Workload]]] = {}
        cluster = graph.cluster
        names = names or Names(cluster)
        for cell in graph.cells.values():
            for key in cell.pods:
                pod = cluster.get(POD, key)
                if isinstance(pod, Pod):
                    self.pods.setdefault(names.of_pod(pod), []).append((cell, pod))
        for cell in graph.cells.values():
            for kind, key in cell.templates:
                template = cluster.get(kind, key)
                if isinstance(template, Workload) and (name := names.of_template(template)) not in self.pods:
                    self.templates.setdefault(name, []).append((cell, template))
        for name, made in self.templates.items():
            # What makes pods through others' templates (a Deployment, a CronJob) says itself what they will be.
            own = [(cell, t) for cell, t in made if t.owner is None]
            self.templates[name] = own or made

    def cells(self, name: str) -> set[Cell]:
        """The cells that a workload's pods are in."""
        return {cell for cell, _ in self.pods.get(name, ())} or {cell for cell, _ in self.templates.get(name, ())}

    @property
    def names(self) -> Iterable[str]:
        return (*self.pods, *self.templates)

    def endpoints(self, split: set[str]) -> dict[str, Endpoint]:
        """All endpoints by name.

        Args:
            split: the workloads whose pods are named one by one.
        """
        found: dict[str, Endpoint] = {}
        for name, pods in self.pods.items():
            if name in split:
                for cell, pod in pods:
                    own = f"{pod.namespace}/Pod/{pod.name}"
                    found[own] = Endpoint(own, cell, (pod.key,), pod.node, several=False)
                continue
            # In the middle of a rollout some may be in their node's network and others not: no node is said, then.
            nodes = {(pod.node, pod.host_network) for _, pod in pods}
            node = pods[0][1].node if len(nodes) == 1 else ""
            found[name] = Endpoint(name, pods[0][0], [pod.key for _, pod in pods], node, several=len(pods) > 1)
        for name, templates in self.templates.items():
            cell, template = templates[0]
            found[name] = Endpoint(name, cell, several=self.is_several(template))
        return found

    def is_several(self, template: Workload) -> bool:
        """Whether a template stands for more than one pod."""
        if template.kind == DAEMON_SET:
            return sum(1 for _ in self.graph.cluster.nodes) > 1
        return template.replicas > 1


def treated_differently(population: Population, scenario: Scenario) -> set[str]:
    """The workloads of which not all pods are treated alike: each of their pods goes by its own name (CONTRACT.md)."""
    mixed = {name: cells for name in population.pods if len(cells := population.cells(name)) > 1}
    if not mixed:
        return set()
    rows = {cell: rows_of(scenario, cell) for cells in mixed.values() for cell in cells}
    of_interest = bits_of([cell.number for cell in rows])
    marks: dict[int, list[int]] = {cell.number: [] for cell in rows}
    for i, others in enumerate(distinct_sets(scenario)):
        here = others & of_interest
        if here and here != of_interest:
            for number in numbers(here):
                marks[number].append(i)
    found: set[str] = set()
    for name, cells in mixed.items():
        first, *rest = cells
        if any(rows[c] != rows[first] or marks[c.number] != marks[first.number] for c in rest):
            found.add(name)
    return found


def rows_of(scenario: Scenario, cell: Cell) -> Sequence[Relation]:
    """All that the policies on one cell say."""
    return [scenario.row(cell, d, plane) for plane in range(scenario.planes) for d in _BOTH]


def distinct_sets(scenario: Scenario) -> Iterable[int]:
    """Every set of others that some policy tells from the rest."""
    seen: set[int] = set()
    relations: dict[int, Relation] = {}
    for cell in scenario.graph.cells.values():
        for relation in rows_of(scenario, cell):
            relations[id(relation)] = relation
    for relation in relations.values():
        seen.update(relation.values())
    return seen


def by_short_name(names: Iterable[str]) -> Mapping[str, list[str]]:
    """The names that ``namespace/name`` may stand for."""
    found: dict[str, list[str]] = {}
    for name in names:
        namespace, _, own = name.split("/", 2)
        found.setdefault(f"{namespace}/{own}", []).append(name)
    return found
