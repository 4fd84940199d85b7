"""Which engine enforces NetworkPolicies in a cluster, told from what the API shows; pure.

No field of the API says it (facts 1.0.8), so it is told from what runs: DaemonSets by what their containers are, never
by their own names; the switches and ConfigMaps that turn an engine off; nodes whose agent is no pod. "Not enforced" is
said only when every DaemonSet and Node is known and nothing among them may be an enforcer; a doubt makes it unknown.
What an operator knows better goes before: `Pin`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from webhook.enforcement import antrea, aws_vpc_cni, azure, cilium, gke, openshift, terway
from webhook.enforcement.antrea import ANTREA
from webhook.enforcement.aws_vpc_cni import AUTO_MODE, AWS_VPC_CNI, judge_auto_mode
from webhook.enforcement.azure import AZURE_CNI, AZURE_NPM
from webhook.enforcement.calico import CALICO
from webhook.enforcement.cilium import CILIUM
from webhook.enforcement.containers import Clue, app_of, parse_image, program_of, running, title
from webhook.enforcement.coverage import (
    WINDOWS,
    Agent,
    Coverage,
    Uncovered,
    Where,
    agentless,
    coverage_of,
    is_auto_mode,
    os_of_daemon,
    uncovered_nodes,
)
from webhook.enforcement.distributions import clauses
from webhook.enforcement.flannel import FLANNEL
from webhook.enforcement.gaps import Feature, Gap
from webhook.enforcement.gke import GKE_NETD
from webhook.enforcement.k3s import ENGINE as K3S
from webhook.enforcement.k3s import judge_k3s
from webhook.enforcement.kindnet import KINDNET
from webhook.enforcement.kube_network_policies import KUBE_NETWORK_POLICIES
from webhook.enforcement.kube_ovn import KUBE_OVN
from webhook.enforcement.kube_router import KUBE_ROUTER
from webhook.enforcement.openshift import OPENSHIFT_SDN, OVN_KUBERNETES
from webhook.enforcement.own_policies import ENGINES
from webhook.enforcement.rbac import policy_readers
from webhook.enforcement.romana import ROMANA
from webhook.enforcement.sighting import Confidence, Family, Sighting, State
from webhook.enforcement.spiderpool import SPIDERPOOL
from webhook.enforcement.suspicion import is_harmless, sounds_like_an_enforcer, sounds_like_one, stray_agent
from webhook.enforcement.terway import TERWAY
from webhook.enforcement.vendors import VENDORS
from webhook.enforcement.weave import WEAVE
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    ENGINE_SETTINGS,
    NODE,
    UNFOLLOWED,
    Key,
    Workload,
)

__all__ = [
    "CONFIG_MAPS",
    "FAMILIES",
    "UNKNOWN",
    "Agent",
    "Confidence",
    "Coverage",
    "Enforcement",
    "Feature",
    "Gap",
    "Pin",
    "State",
    "Uncovered",
    "Where",
    "agentless",
    "enforcement_of",
    "uncovered_nodes",
]

FAMILIES: Final = (
    CALICO,
    CILIUM,
    ANTREA,
    OVN_KUBERNETES,
    KUBE_OVN,
    WEAVE,
    KUBE_NETWORK_POLICIES,
    KUBE_ROUTER,
    KINDNET,
    AWS_VPC_CNI,
    AZURE_NPM,
    TERWAY,
    OPENSHIFT_SDN,
    ROMANA,
    *VENDORS,
    GKE_NETD,
    AZURE_CNI,
    SPIDERPOOL,
    FLANNEL,
)
"""Every family that runs as a DaemonSet; when several enforce, the first one here is named."""
IN_NODES: Final = (K3S, AUTO_MODE)
"""The engines that run within the node and show in no DaemonSet."""
CONFIG_MAPS: Final[tuple[Key, ...]] = (
    *(
        ("kube-system", name)
        for name in (
            cilium.CONFIG,
            antrea.CONFIG,
            aws_vpc_cni.CONFIG,
            azure.NPM_CONFIG,
            terway.CONFIG,
            gke.NETD_CONFIG,
        )
    ),
    openshift.FEATURES,
)
"""The ConfigMaps that switch an engine, or tell what it leaves undone."""
_LOOKED_AT: Final = (DAEMON_SET, NODE, DEPLOYMENT, CONFIG_MAP, CLUSTER_ROLE_BINDING, *ENGINE_SETTINGS, *UNFOLLOWED)


class Pin(StrEnum):
    """What the configuration says of enforcement: to find it out, or what it is."""

    AUTO = "auto"
    ENFORCED = "enforced"
    NONE = "none"


class Enforcement(Struct, frozen=True):
    """What was found out.

    Args:
        state: whether policies are enforced.
        engine: who enforces, or would: ``Calico``, ``flannel``; empty when nothing was recognised.
        evidence: what was seen, one short clause each, the deciding one first; names objects of any namespace.
        reason: the deciding clause without the name of any object, for readers who may not know other namespaces.
        remedy: what makes the engine enforce; only when it does not.
        confidence: how sure it is.
        version: of the engine, as its image's tag tells; empty where it tells none.
        gaps: what the engine does not carry out of policies; none where several engines enforce side by side.
        coverage: on which nodes it enforces; only when it does.
        admin_policies: the kinds of administrators' policies that it certainly carries out, or certainly does not.
        engine_policies: the kinds of engines' own policies that certainly are carried out, or certainly are not.
        closes_unselected: pods that no policy selects are closed to everyone.
        pinned: the configuration says it.
    """

    state: State
    engine: str = ""
    evidence: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""
    confidence: Confidence = Confidence.NONE
    version: str = ""
    gaps: tuple[Gap, ...] = ()
    coverage: Coverage = Coverage()
    admin_policies: Mapping[str, bool] = {}
    engine_policies: Mapping[str, bool] = {}
    closes_unselected: bool = False
    pinned: bool = False

    @property
    def enforces(self) -> bool:
        """Whether an engine enforces, everywhere or on a part of the nodes."""
        return self.state in {State.ENFORCED, State.PARTIAL}

    def gap(self, feature: Feature) -> Gap | None:
        """The gap of this feature; None where there is none, or it is not known."""
        return next((gap for gap in self.gaps if gap.feature is feature), None)


UNKNOWN: Final = Enforcement(State.UNKNOWN)


def enforcement_of(cluster: Cluster, pin: Pin = Pin.AUTO) -> Enforcement:
    """Says which engine enforces NetworkPolicies in this cluster.

    An enforcer beats a non-enforcer; a doubt beats a non-enforcer; nothing found is unknown (facts 1.0).

    Args:
        cluster: the state. Its DaemonSets, Nodes, Deployments and ConfigMaps are looked at; the answer is kept until
            one of them changes.
        pin: what the configuration says.
    """
    memory = _memories.get(cluster)
    if memory is None:
        memory = _memories[cluster] = _Memory()
    if memory.generation != cluster.generation:
        revision = cluster.revision(*_LOOKED_AT)
        if memory.revision != revision:
            memory.told = _judge(cluster, memory)
            memory.revision = revision
        memory.answer = _unless_stray(memory.told, cluster)
        memory.generation = cluster.generation
    return memory.answer if pin is Pin.AUTO else _pinned(memory.answer, pin)


class _NodeFacts(Struct, frozen=True):
    """What the nodes alone tell."""

    revision: int = -1
    k3s: Sighting | None = None
    auto_mode: bool = False
    expected: tuple[str, ...] = ()


class _Reached(Struct, frozen=True):
    """How far some agents reach, as long as the nodes are the same."""

    revision: int = -1
    agents: tuple[Agent, ...] = ()
    doubtful: frozenset[str] = frozenset()
    coverage: Coverage = Coverage()


class _Memory:
    """What was found out about one cluster, with and without its pods, which change with every other review.

    What takes a look at every node is kept apart: there are thousands, and Deployments change all the time.
    """

    __slots__ = ("answer", "generation", "nodes", "reached", "revision", "told")

    def __init__(self) -> None:
        self.generation = -1
        self.revision = -1
        self.told = self.answer = UNKNOWN
        self.nodes = _NodeFacts()
        self.reached = _Reached()

    def node_facts(self, cluster: Cluster) -> _NodeFacts:
        revision = cluster.revision(NODE)
        if self.nodes.revision != revision:
            nodes = list(cluster.nodes)
            self.nodes = _NodeFacts(revision, judge_k3s(nodes), any(map(is_auto_mode, nodes)), tuple(clauses(nodes)))
        return self.nodes

    def coverage(self, cluster: Cluster, agents: Sequence[Agent], doubtful: frozenset[str]) -> Coverage:
        asked = (cluster.revision(NODE), tuple(agents), doubtful)
        known = self.reached
        if (known.revision, known.agents, known.doubtful) != asked:
            self.reached = _Reached(*asked, coverage_of(cluster, agents, doubtful))
        return self.reached.coverage


_memories: Final[WeakKeyDictionary[Cluster, _Memory]] = WeakKeyDictionary()


def _pinned(found: Enforcement, pin: Pin) -> Enforcement:
    if pin is Pin.NONE:
        reason = "the configuration says that nothing enforces"
        return Enforcement(
            State.NOT_ENFORCED, "", (reason, *found.evidence), reason, confidence=Confidence.CERTAIN, pinned=True
        )
    clause = "the configuration says that it is enforced"
    if found.enforces:
        return msgspec.structs.replace(found, evidence=(clause, *found.evidence), pinned=True)
    # Who it is that enforces was not found: certainly not what was found to enforce nothing.
    engine = found.engine if found.state is State.UNKNOWN else ""
    return Enforcement(
        State.ENFORCED,
        engine,
        (clause, *found.evidence),
        clause,
        confidence=Confidence.CERTAIN,
        engine_policies=found.engine_policies,
        pinned=True,
    )


# --- what is found


class _Seen(Struct, frozen=True):
    """An engine that was seen, where its agents run, and its family if it is known."""

    sighting: Sighting
    agent: Agent
    family: Family | None = None

    @property
    def enforces(self) -> bool:
        return self.sighting.state is State.ENFORCED


def _judge(cluster: Cluster, memory: _Memory) -> Enforcement:
    daemons = [_recognise(workload) for workload in cluster.workloads(DAEMON_SET)]
    found = _found(cluster, memory, daemons)
    return msgspec.structs.replace(found, engine_policies=_engine_policies(cluster, daemons, found.state))


def _engine_policies(cluster: Cluster, daemons: Sequence["_Recognised"], state: State) -> Mapping[str, bool]:
    """Which kinds of engines' own policies are carried out: where the engine is there, and not switched off.

    It is certainly not there where every DaemonSet is known, who enforces is known, and it is none of them.
    """
    told: dict[str, bool] = {}
    sure = state is not State.UNKNOWN and cluster.complete(DAEMON_SET) and not any(d.may_enforce for d in daemons)
    for family in (CALICO, CILIUM, ANTREA):
        here = [d.workload for d in daemons if family in d.families and running(d.workload)]
        sightings = [family.judge(workload, cluster) for workload in here]
        carried_out: bool | None = None
        if any(s.state is State.ENFORCED or s.own_policies for s in sightings):
            carried_out = True
        elif sightings:
            carried_out = False if all(s.own_policies is False for s in sightings) else None
        elif sure and not any(family in (*d.families, *d.for_windows) for d in daemons):
            carried_out = False
        if carried_out is not None:
            told |= {kind: carried_out for kind, engine in ENGINES.items() if engine == family.name}
    return told


def _found(cluster: Cluster, memory: _Memory, daemons: Sequence["_Recognised"]) -> Enforcement:
    recognised = [(family, d.workload) for d in daemons for family in d.families]
    recognised.sort(key=lambda pair: FAMILIES.index(pair[0]))
    readers = policy_readers(cluster)
    seen: list[_Seen] = []
    idle: list[Sighting] = []
    for family, daemon in recognised:
        sighting = family.judge(daemon, cluster)
        if not running(daemon):
            if sighting.state is State.NOT_ENFORCED:
                # flannel's manifest once had a DaemonSet for each processor architecture: most of them run nowhere
                idle.append(_not_ready(sighting, daemon))
                continue
            sighting = _not_ready(sighting, daemon)
        seen.append(_Seen(sighting, Agent.of(sighting.engine, daemon), family))
    nodes = memory.node_facts(cluster)
    seen += _in_nodes(cluster, nodes)
    seen += _readers(daemons, readers)
    if any(one.enforces for one in seen):
        return _enforced(cluster, memory, seen, daemons)
    sightings = [one.sighting for one in seen]
    if doubtful := [s for s in sightings if s.state is State.UNKNOWN]:
        return _answer(doubtful + [s for s in sightings if s.state is not State.UNKNOWN])
    if not sightings:
        return _answer(idle) if idle else _nothing_found(cluster, nodes, len(daemons))
    deployments = [_recognise(w) for w in cluster.workloads(DEPLOYMENT) if w.host_network]
    judged = {family for family, _ in recognised}
    if doubt := next(_doubts(cluster, [*daemons, *deployments], judged, readers), None):
        return _answer([doubt, *sightings])
    return _answer(sightings)


def _in_nodes(cluster: Cluster, nodes: _NodeFacts) -> Iterator[_Seen]:
    """The engines that run within nodes."""
    if nodes.k3s is not None:
        yield _Seen(nodes.k3s, Agent(K3S, Where.K3S))
    if nodes.auto_mode:
        yield _Seen(judge_auto_mode(cluster), Agent(AUTO_MODE, Where.AUTO_MODE))


def _readers(daemons: Sequence["_Recognised"], readers: Collection[Key]) -> Iterator[_Seen]:
    """Agents that no family knows, named like a CNI, which may watch NetworkPolicies (`webhook.enforcement.rbac`)."""
    for daemon in daemons:
        workload = daemon.workload
        if daemon.families or not daemon.may_enforce or workload.account not in readers or not running(workload):
            continue
        sighting = Sighting(
            State.ENFORCED,
            workload.name,
            f"{title(workload)} is not known here, and may watch NetworkPolicies",
            "an agent that may watch NetworkPolicies runs",
            confidence=Confidence.LIKELY,
        )
        yield _Seen(sighting, Agent.of(workload.name, workload))


def _enforced(
    cluster: Cluster, memory: _Memory, seen: Sequence[_Seen], daemons: Sequence["_Recognised"]
) -> Enforcement:
    """The answer where at least one engine enforces: the first is named, and where they reach together is told."""
    enforcing = [one for one in seen if one.enforces]
    first = enforcing[0].sighting
    agents = [one.agent for one in enforcing]
    engines = {agent.engine for agent in agents}
    families = {one.family for one in enforcing}
    agents += [
        Agent.of(first.engine, daemon.workload)
        for daemon in daemons
        if running(daemon.workload) and not families.isdisjoint(daemon.for_windows)
    ]
    doubtful = frozenset(
        os_of_daemon(d.workload) for d in daemons if d.may_enforce and families.isdisjoint(d.for_windows)
    )
    coverage = memory.coverage(cluster, agents, doubtful)
    partly = any(one.sighting.partly for one in enforcing)
    return Enforcement(
        State.ENFORCED if coverage.whole and not partly else State.PARTIAL,
        first.engine,
        _evidence([one.sighting for one in sorted(seen, key=lambda one: not one.enforces)]),
        first.reason,
        confidence=first.confidence,
        version=first.version,
        # What one engine leaves open another one may close: then nothing is certain.
        gaps=first.gaps if len(engines) == 1 else (),
        coverage=coverage,
        admin_policies=first.admin_policies if len(engines) == 1 else {},
        closes_unselected=first.closes_unselected,
    )


def _answer(sightings: Sequence[Sighting]) -> Enforcement:
    first = sightings[0]
    certain = Confidence.CERTAIN if first.state is State.NOT_ENFORCED else Confidence.NONE
    return Enforcement(
        first.state,
        first.engine,
        _evidence(sightings),
        first.reason,
        first.remedy,
        certain,
        first.version,
    )


def _evidence(sightings: Sequence[Sighting]) -> tuple[str, ...]:
    told = [s.evidence for s in sightings] + [s.nuance for s in sightings if s.nuance]
    return tuple(dict.fromkeys(told))


def _not_ready(sighting: Sighting, daemon: Workload) -> Sighting:
    counts = f"{daemon.ready or 0} of {daemon.desired or 0} pods ready"
    return Sighting(
        State.UNKNOWN,
        sighting.engine,
        f"{title(daemon)} ({sighting.engine}) has {counts}",
        f"{sighting.engine} has {counts}",
    )


def _nothing_found(cluster: Cluster, nodes: _NodeFacts, daemons: int) -> Enforcement:
    looked = f"looked at {daemons} DaemonSets and {len(cluster.keys(NODE))} Nodes"
    unread = _unread(cluster)
    reason = unread or "no known engine was found"
    return Enforcement(State.UNKNOWN, evidence=(f"{reason}; {looked}", *nodes.expected), reason=reason)


def _unread(cluster: Cluster) -> str:
    partial = [kind.rpartition("/")[2] + "s" for kind in (DAEMON_SET, NODE) if not cluster.complete(kind)]
    return f"{' and '.join(partial)} are only partly known" if partial else ""


# --- what keeps "not enforced" from being said


def _doubts(
    cluster: Cluster, workloads: Sequence["_Recognised"], judged: Collection[Family], readers: Collection[Key]
) -> Iterator[Sighting]:
    """Every reason for which something else may enforce after all, the plainest first.

    Deployments count too: a few engines decide in one, and an operator is there before its agents.
    """
    if unread := _unread(cluster):
        yield Sighting(State.UNKNOWN, "", unread, unread)
    for one in workloads:
        workload = one.workload
        if one.may_enforce or any(family.can_enforce and family not in judged for family in one.families):
            kind = workload.kind.rpartition("/")[2]
            reason = f"a {kind} that is not known may enforce"
            yield Sighting(State.UNKNOWN, "", f"{title(workload)} is not known and may enforce", reason)
        elif workload.kind == DAEMON_SET and workload.host_network and workload.account in readers:
            reason = "a DaemonSet may watch NetworkPolicies, so it may enforce"
            yield Sighting(State.UNKNOWN, "", f"{title(workload)} may watch NetworkPolicies, so it may enforce", reason)


def _unless_stray(told: Enforcement, cluster: Cluster) -> Enforcement:
    """The same, but unknown where pods of an enforcer run outside any DaemonSet: static, bare or orphaned ones."""
    if told.state is not State.NOT_ENFORCED:
        return told
    stray = stray_agent(cluster)
    if stray is None:
        return told
    reason = "pods labelled as a policy agent run outside any DaemonSet"
    evidence = (f"{stray} is labelled as a policy agent", *told.evidence)
    return Enforcement(State.UNKNOWN, evidence=evidence, reason=reason)


class _Trait(Struct, frozen=True):
    """What one container is: of which families, for which system, or else a possible enforcer, or known to be none."""

    families: tuple[Family, ...] = ()
    for_windows: tuple[Family, ...] = ()
    suspicious: bool = False
    harmless: bool = False


class _Recognised(Struct, frozen=True):
    """What a workload is: of which families, or a possible enforcer that none of them knows.

    An agent for Windows nodes alone is in ``for_windows``: it adds to its family's agents for Linux, and alone it does
    not tell what happens to pods on Linux.
    """

    workload: Workload
    families: tuple[Family, ...]
    for_windows: tuple[Family, ...]
    may_enforce: bool


@lru_cache(maxsize=4096)
def _trait(container: str, image: str, program: str, app: str) -> _Trait:
    clue = Clue(container, parse_image(image), program, app)
    families = tuple(family for family in FAMILIES if family.recognises(clue))
    for_windows = tuple(family for family in FAMILIES if family.windows(clue))
    harmless = is_harmless(clue)
    return _Trait(families, for_windows, not families and not harmless and sounds_like_an_enforcer(clue), harmless)


def _recognise(workload: Workload) -> _Recognised:
    app = app_of(workload)
    traits = [_trait(c.name, c.image, program_of(c), app) for c in workload.containers]
    families = tuple(dict.fromkeys(family for trait in traits for family in trait.families))
    for_windows = tuple(dict.fromkeys(family for trait in traits for family in trait.for_windows))
    if families and not for_windows and os_of_daemon(workload) == WINDOWS:
        families, for_windows = (), families
    if for_windows:
        return _Recognised(workload, (), for_windows, any(family.can_enforce for family in for_windows))
    return _Recognised(workload, families, (), _may_enforce(workload, traits))


def _may_enforce(workload: Workload, traits: Sequence[_Trait]) -> bool:
    """Whether a workload, or a container that no family knows in one that a family knows, may be an enforcer."""
    if any(trait.suspicious for trait in traits):
        return workload.host_network or any(trait.families for trait in traits)
    if not workload.host_network or any(trait.families or trait.harmless for trait in traits):
        return False
    return sounds_like_one(workload.name)
