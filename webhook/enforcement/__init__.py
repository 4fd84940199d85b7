"""Which engine enforces NetworkPolicies in a cluster, told from what the API shows; pure.

No field of the API says it (facts 1.0.8), so it is told from what runs: DaemonSets by what their containers are, never
by their own names; the switches and ConfigMaps that turn an engine off; k3s' nodes. "Not enforced" is said only when
every DaemonSet and Node is known and nothing among them may be an enforcer; a doubt makes it unknown.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from msgspec import Struct

from webhook.enforcement import aws_vpc_cni, cilium, others
from webhook.enforcement.aws_vpc_cni import AWS_VPC_CNI, judge_auto_mode
from webhook.enforcement.calico import CALICO
from webhook.enforcement.cilium import CILIUM
from webhook.enforcement.containers import Clue, app_of, parse_image, program_of, running, title
from webhook.enforcement.flannel import FLANNEL
from webhook.enforcement.k3s import judge_k3s
from webhook.enforcement.kindnet import KINDNET
from webhook.enforcement.kube_network_policies import KUBE_NETWORK_POLICIES
from webhook.enforcement.kube_router import KUBE_ROUTER
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.enforcement.suspicion import is_harmless, sounds_like_an_enforcer, sounds_like_one, stray_agent
from webhook.enforcement.weave import WEAVE
from webhook.model.cluster import Cluster
from webhook.model.objects import DAEMON_SET, DEPLOYMENT, NODE, Node, Workload

__all__ = ["CONFIG_MAPS", "FAMILIES", "UNKNOWN", "Enforcement", "State", "enforcement_of"]

_T = TypeVar("_T")
_R = TypeVar("_R")

FAMILIES: Final = (
    CALICO,
    CILIUM,
    others.ANTREA,
    others.OVN_KUBERNETES,
    others.KUBE_OVN,
    WEAVE,
    KUBE_NETWORK_POLICIES,
    KUBE_ROUTER,
    KINDNET,
    AWS_VPC_CNI,
    others.AZURE_NPM,
    others.TERWAY,
    others.OPENSHIFT_SDN,
    others.GKE_NETD,
    FLANNEL,
)
"""Every family that runs as a DaemonSet; when several enforce, the first one here is named."""
NODE_JUDGES: Final = (judge_k3s, judge_auto_mode)
"""The engines that run within the node and show in no DaemonSet."""
CONFIG_MAPS: Final = frozenset({cilium.CONFIG, aws_vpc_cni.CONFIG, others.TERWAY_CONFIG, others.NETD_CONFIG})
"""The names of the ConfigMaps that switch an engine; each lies in its DaemonSet's namespace."""


class Enforcement(Struct, frozen=True):
    """What was found out.

    Args:
        state: whether policies are enforced.
        engine: who enforces, or would: ``Calico``, ``flannel``; empty when nothing was recognised.
        evidence: what was seen, one short clause each, the deciding one first; names objects of any namespace.
        reason: the deciding clause without the name of any object, for readers who may not know other namespaces.
        remedy: what makes the engine enforce; only when it does not.
    """

    state: State
    engine: str = ""
    evidence: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""


UNKNOWN: Final = Enforcement(State.UNKNOWN)


def enforcement_of(cluster: Cluster) -> Enforcement:
    """Says which engine enforces NetworkPolicies in this cluster.

    An enforcer beats a non-enforcer; a doubt beats a non-enforcer; nothing found is unknown (facts 1.0).

    Args:
        cluster: the state. Its DaemonSets, Nodes, Deployments and ConfigMaps are looked at; the answer is kept until
            the state changes.
    """
    memory = _memories.get(cluster)
    if memory is None:
        memory = _memories[cluster] = _Memory()
    if memory.generation != cluster.generation:
        memory.answer = _judge(cluster, memory)
        memory.generation = cluster.generation
    return memory.answer


def _judge(cluster: Cluster, memory: "_Memory") -> Enforcement:
    daemons = memory.daemons.of(cluster.workloads(DAEMON_SET))
    recognised = [(family, daemon.workload) for daemon in daemons for family in daemon.families]
    recognised.sort(key=lambda pair: FAMILIES.index(pair[0]))
    sightings: list[Sighting] = []
    idle: list[Sighting] = []
    for family, daemon in recognised:
        sighting = family.judge(daemon, cluster)
        if running(daemon):
            sightings.append(sighting)
        elif sighting.state is State.NOT_ENFORCED:
            # flannel's manifest once had a DaemonSet for each processor architecture: most of them run nowhere
            idle.append(_not_ready(sighting, daemon))
        else:
            sightings.append(_not_ready(sighting, daemon))
    if not any(s.state is State.ENFORCED for s in sightings):
        sightings += memory.nodes.of(cluster.nodes)
    if enforcing := [s for s in sightings if s.state is State.ENFORCED]:
        return _answer(enforcing + [s for s in sightings if s.state is not State.ENFORCED])
    if doubtful := [s for s in sightings if s.state is State.UNKNOWN]:
        return _answer(doubtful + [s for s in sightings if s.state is not State.UNKNOWN])
    if not sightings:
        return _answer(idle) if idle else _nothing_found(cluster, len(daemons))
    deployments = memory.deployments.of(cluster.workloads(DEPLOYMENT))
    if doubt := next(_doubts(cluster, [*daemons, *deployments], {family for family, _ in recognised}), None):
        return _answer([doubt, *sightings])
    return _answer(sightings)


def _answer(sightings: list[Sighting]) -> Enforcement:
    first = sightings[0]
    evidence = tuple(dict.fromkeys(sighting.evidence for sighting in sightings))
    return Enforcement(first.state, first.engine, evidence, first.reason, first.remedy)


def _not_ready(sighting: Sighting, daemon: Workload) -> Sighting:
    counts = f"{daemon.ready or 0} of {daemon.desired or 0} pods ready"
    return Sighting(
        State.UNKNOWN,
        sighting.engine,
        f"{title(daemon)} ({sighting.engine}) has {counts}",
        f"{sighting.engine} has {counts}",
    )


def _nothing_found(cluster: Cluster, daemons: int) -> Enforcement:
    looked = f"looked at {daemons} DaemonSets and {len(cluster.keys(NODE))} Nodes"
    unread = _unread(cluster)
    reason = unread or "no known engine was found"
    return Enforcement(State.UNKNOWN, evidence=(f"{reason}; {looked}",), reason=reason)


def _unread(cluster: Cluster) -> str:
    partial = [kind.rpartition("/")[2] + "s" for kind in (DAEMON_SET, NODE) if not cluster.complete(kind)]
    return f"{' and '.join(partial)} are only partly known" if partial else ""


# --- what keeps "not enforced" from being said


def _doubts(cluster: Cluster, agents: Sequence["_Agent"], judged: Collection[Family]) -> Iterator[Sighting]:
    """Every reason for which something else may enforce after all, the plainest first.

    Deployments count too: a few engines decide in one, and an operator is there before its agents.
    """
    if unread := _unread(cluster):
        yield Sighting(State.UNKNOWN, "", unread, unread)
    for agent in agents:
        if agent.may_enforce or any(family not in judged for family in agent.families):
            yield _unrecognised(agent.workload)
    if stray := stray_agent(cluster):
        reason = "pods labelled as a policy agent run outside any DaemonSet"
        yield Sighting(State.UNKNOWN, "", f"{stray} is labelled as a policy agent", reason)


def _unrecognised(workload: Workload) -> Sighting:
    kind = workload.kind.rpartition("/")[2]
    return Sighting(
        State.UNKNOWN, "", f"{title(workload)} is not known and may enforce", f"a {kind} that is not known may enforce"
    )


class _Trait(Struct, frozen=True):
    """What one container is: of which families, or else a possible enforcer, or known to be none."""

    families: tuple[Family, ...] = ()
    suspicious: bool = False
    harmless: bool = False


class _Agent(Struct, frozen=True):
    """What a workload is: of which families, or a possible enforcer that none of them knows."""

    workload: Workload
    families: tuple[Family, ...]
    may_enforce: bool


@lru_cache(maxsize=4096)
def _trait(container: str, image: str, program: str, app: str) -> _Trait:
    clue = Clue(container, parse_image(image), program, app)
    families = tuple(family for family in FAMILIES if family.recognises(clue))
    harmless = is_harmless(clue)
    return _Trait(families, not families and not harmless and sounds_like_an_enforcer(clue), harmless)


def _agent(workload: Workload) -> _Agent:
    app = app_of(workload)
    traits = [_trait(c.name, c.image, program_of(c), app) for c in workload.containers]
    families = tuple(dict.fromkeys(family for trait in traits for family in trait.families))
    return _Agent(workload, families, _may_enforce(workload, traits))


def _may_enforce(workload: Workload, traits: Sequence[_Trait]) -> bool:
    """Whether a workload, or a container that no family knows in one that a family knows, may be an enforcer."""
    if any(trait.suspicious for trait in traits):
        return workload.host_network or any(trait.families for trait in traits)
    if not workload.host_network or any(trait.families or trait.harmless for trait in traits):
        return False
    return sounds_like_one(workload.name)


# --- what is kept from one answer to the next


class _Kept(Generic[_T, _R]):
    """What was derived from a kind's records, kept while they are the same: comparing them is the cheap part.

    A cluster's pods and policies change with every other review, its DaemonSets and Nodes hardly ever.
    """

    __slots__ = ("_derive", "_records", "_result")

    def __init__(self, derive: Callable[[Sequence[_T]], _R]) -> None:
        self._derive = derive
        self._records: list[_T] = []
        self._result = derive(())

    def of(self, records: Iterable[_T]) -> _R:
        current = list(records)
        if current != self._records:
            self._result = self._derive(current)
            self._records = current
        return self._result


class _Memory:
    """What was found out about one cluster."""

    __slots__ = ("answer", "daemons", "deployments", "generation", "nodes")

    def __init__(self) -> None:
        self.generation = -1
        self.answer = UNKNOWN
        self.daemons = _Kept(_agents)
        self.deployments = _Kept(_host_network_agents)
        self.nodes = _Kept(_judge_nodes)


def _agents(workloads: Sequence[Workload]) -> Sequence[_Agent]:
    return [_agent(workload) for workload in workloads]


def _host_network_agents(workloads: Sequence[Workload]) -> Sequence[_Agent]:
    return _agents([workload for workload in workloads if workload.host_network])


def _judge_nodes(nodes: Sequence[Node]) -> Sequence[Sighting]:
    return [sighting for judge in NODE_JUDGES if (sighting := judge(nodes)) is not None]


_memories: Final[WeakKeyDictionary[Cluster, _Memory]] = WeakKeyDictionary()
