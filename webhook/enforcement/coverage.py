"""On which nodes an engine enforces: where its agents run, and where none can.

No DaemonSet runs on Fargate and on virtual nodes; a Linux agent runs on no Windows node; a node selector leaves nodes
out (GKE's Calico runs on nodes labelled ``projectcalico.org/ds-ready=true`` only). How many agents there should be, and
are, the DaemonSet's status tells.

Sources: facts 1.0.6; docs.aws.amazon.com/eks fargate and hybrid nodes; virtual-kubelet.io (label ``type``);
kubernetes.io/docs/reference/labels-annotations-taints (kubernetes.io/os).
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from webhook.enforcement import k3s
from webhook.model.cluster import Cluster
from webhook.model.objects import DAEMON_SET, NODE, POD, Key, Labels, Node, Workload
from webhook.model.selectors import equality_selector

WINDOWS: Final = "windows"
LINUX: Final = "linux"
_OS: Final = ("kubernetes.io/os", "beta.kubernetes.io/os")
_COMPUTE: Final = "eks.amazonaws.com/compute-type"
_NOT_FOR_AWS_NODE: Final = frozenset({"auto", "hybrid"})
"""The compute types that aws-node's affinity leaves out: Auto Mode has its own agent, hybrid nodes another CNI."""
_ALIBABA: Final = "alibabacloud.com/virtual-node"


class Where(StrEnum):
    """What runs the agent."""

    DAEMON_SET = "DaemonSet"
    K3S = "k3s"
    AUTO_MODE = "EKS Auto Mode"


class Agent(Struct, frozen=True):
    """What carries policies out on some nodes.

    Args:
        engine: of which engine.
        runs: as what.
        name: the DaemonSet's namespace and name.
        labels: of its pods.
        os: the operating system that it is for.
        node_selector: the labels of the nodes that it runs on.
        skips: the compute types of EKS that it does not run on.
        desired: how many there should be; None when no status tells.
        ready: how many are.
    """

    engine: str
    runs: Where = Where.DAEMON_SET
    name: Key = ("", "")
    labels: Labels = {}
    os: str = LINUX
    node_selector: Labels = {}
    skips: frozenset[str] = frozenset()
    desired: int | None = None
    ready: int | None = None

    @classmethod
    def of(cls, engine: str, daemon: Workload) -> "Agent":
        """The agents of a DaemonSet."""
        return cls(
            engine,
            Where.DAEMON_SET,
            daemon.key,
            daemon.labels,
            os_of_daemon(daemon),
            {k: v for k, v in daemon.node_selector.items() if k not in _OS},
            _NOT_FOR_AWS_NODE if engine == "AWS VPC CNI" else frozenset(),
            daemon.desired,
            daemon.ready,
        )

    def covers(self, node: Node) -> bool:
        """Whether a node is one that it runs on, as far as labels tell."""
        compute = node.labels.get(_COMPUTE)
        if self.runs is Where.K3S:
            return k3s.is_k3s(node) and os_of(node) == LINUX
        if self.runs is Where.AUTO_MODE:
            return compute == "auto"
        return (
            not _without_daemons(node)
            and os_of(node) == self.os
            and compute not in self.skips
            and all(node.labels.get(key) == value for key, value in self.node_selector.items())
        )


class Uncovered(Struct, frozen=True):
    """Nodes without an agent: which they are, as words that follow "run on", and their names."""

    where: str
    nodes: tuple[str, ...]


class Coverage(Struct, frozen=True):
    """How far an engine reaches.

    Args:
        nodes: how many nodes are known.
        complete: whether that is all.
        uncovered: those on which certainly no agent can run.
        undecided: those of which it is not known: something else may enforce there.
        agents: what enforces.
        missing: how many nodes have no agent though they could have one; `agentless` tells which.
        unready: how many agents are not ready.
    """

    nodes: int = 0
    complete: bool = False
    uncovered: tuple[Uncovered, ...] = ()
    undecided: tuple[str, ...] = ()
    agents: tuple[Agent, ...] = ()
    missing: int = 0
    unready: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing speaks against every node being covered."""
        return not (self.uncovered or self.missing or self.unready)


def os_of(node: Node) -> str:
    """A node's operating system; a file may leave the label out, and then it is Linux."""
    return next((node.labels[key] for key in _OS if key in node.labels), LINUX)


def os_of_daemon(daemon: Workload) -> str:
    """The operating system that a DaemonSet's pods are for."""
    chosen = next((daemon.node_selector[key] for key in _OS if key in daemon.node_selector), "")
    if chosen:
        return chosen
    return WINDOWS if any(WINDOWS in c.image or WINDOWS in c.name for c in daemon.containers) else LINUX


def is_auto_mode(node: Node) -> bool:
    """Whether a node is one of EKS Auto Mode, with an agent of its own."""
    return node.labels.get(_COMPUTE) == "auto"


def _without_daemons(node: Node) -> bool:
    """Whether no DaemonSet runs there: Fargate, and what a virtual kubelet only pretends to be a node."""
    return node.labels.get(_COMPUTE) == "fargate" or _is_virtual(node)


def _is_virtual(node: Node) -> bool:
    return node.labels.get("type") == "virtual-kubelet" or "-vk-" in node.kubelet_version


def _where(node: Node, agents: Sequence[Agent]) -> str:
    """What a node without an agent is, as words that follow "run on"; empty when something else may enforce there."""
    compute = node.labels.get(_COMPUTE)
    if compute == "fargate":
        return "Fargate"
    if _is_virtual(node):
        return "" if _ALIBABA in node.labels else "virtual nodes"
    if os_of(node) == WINDOWS:
        return "Windows nodes"
    if compute == "hybrid":
        return "EKS hybrid nodes"
    lacking = next(
        (
            f"{key}={value}"
            for agent in agents
            for key, value in agent.node_selector.items()
            if node.labels.get(key) != value
        ),
        "",
    )
    return f"nodes without the label {lacking}" if lacking else "nodes without an agent"


def coverage_of(cluster: Cluster, agents: Sequence[Agent], doubtful_os: Collection[str] = ()) -> Coverage:
    """How far these agents reach.

    Args:
        cluster: the state; its Nodes are looked at.
        agents: what enforces.
        doubtful_os: operating systems for which something unknown runs that may enforce, too.
    """
    groups: dict[str, list[str]] = {}
    undecided: list[str] = []
    reached = dict.fromkeys(range(len(agents)), 0)
    nodes = 0
    for node in cluster.nodes:
        nodes += 1
        covering = [i for i, agent in enumerate(agents) if agent.covers(node)]
        for i in covering:
            reached[i] += 1
        if covering:
            continue
        where = "" if os_of(node) in doubtful_os else _where(node, agents)
        if where:
            groups.setdefault(where, []).append(node.name)
        else:
            undecided.append(node.name)
    complete = cluster.complete(NODE)
    return Coverage(
        nodes,
        complete,
        tuple(Uncovered(where, tuple(sorted(names))) for where, names in groups.items()),
        tuple(sorted(undecided)),
        tuple(agents),
        sum(_missing(agents, i, reached[i]) for i in reached) if complete else 0,
        sum(max(0, a.desired - a.ready) for a in agents if a.desired is not None and a.ready is not None),
    )


def _missing(agents: Sequence[Agent], i: int, reached: int) -> int:
    """How many nodes that an agent could run on have none: only where no other agent shares its nodes with it."""
    agent = agents[i]
    alone = sum(other.os == agent.os for other in agents) == 1
    return max(0, reached - agent.desired) if alone and agent.desired is not None else 0


def agentless(cluster: Cluster, coverage: Coverage) -> frozenset[str]:
    """The nodes that could have an agent and have none; empty where that cannot be told for certain.

    The DaemonSet itself must want fewer than there are nodes for it: an agent that is being replaced is only missing
    for a moment.
    """
    if not coverage.missing or not cluster.complete(POD):
        return frozenset()
    lacking: set[str] = set()
    for agent in coverage.agents:
        if agent.runs is not Where.DAEMON_SET:
            continue
        namespace, name = agent.name
        owner = (DAEMON_SET.rpartition("/")[2], name)
        there = {
            pod.node
            for pod_class in cluster.select(equality_selector(agent.labels), (namespace,))
            for pod in pod_class.pods.values()
            if pod.owner == owner
        }
        if there:
            lacking |= {node.name for node in cluster.nodes if agent.covers(node)} - there
    return frozenset(lacking) if len(lacking) == coverage.missing else frozenset()


def uncovered_nodes(cluster: Cluster, coverage: Coverage) -> Mapping[str, str]:
    """Every node that certainly has no agent, and what it is, as words that follow "run on": ``Windows nodes``."""
    found = {node: group.where for group in coverage.uncovered for node in group.nodes}
    return found | dict.fromkeys(agentless(cluster, coverage), "nodes without an agent")
