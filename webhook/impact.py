"""What the policy under review changes: who may talk to whom without it (or with the old one), and with it.

In files all policies arrive together: what they change is measured from the state plus every object of the files that
is no policy (CONTRACT.md, ``check``).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary, ref

from msgspec import Struct

from webhook.check import DELETE, Context, View, count, enumerate_some
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    NAMESPACE,
    POD,
    Direction,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPort,
    Pod,
    Workload,
)
from webhook.reach.change import Change
from webhook.reach.endpoints import Names
from webhook.reach.graph import Cell, Stack, graph_of
from webhook.reach.policy import EGRESS, INGRESS, Policy
from webhook.reach.ports import NO_PORTS, Ports, numbers_of
from webhook.reach.scenario import Scenario

_MOST_WORKLOADS: Final = 5
_STEPS_OF_A_RULE: Final = 8
_STEPS_OF_A_PEER: Final = 8
_STEPS_OF_A_ROW: Final = 20
_STEPS_OF_A_STACK: Final = 4
_memory: Final[WeakKeyDictionary[Context, Change]] = WeakKeyDictionary()
_isolated: Final[WeakKeyDictionary[Context, dict[Direction, Mapping[Stack, Sequence[Cell]]]]] = WeakKeyDictionary()


def impact(ctx: Context) -> Change:
    """What the policy under review changes; all checks of one review share it.

    Raises:
        TooLargeError: it takes more steps than are left.
    """
    found = _memory.get(ctx)
    if found is None:
        found = _memory[ctx] = _under_way(ctx) if ctx.view is View.ADMISSION else _of_all(ctx)
        found.charge(_charging(ctx))
    return found


def _charging(ctx: Context) -> Callable[[int], None]:
    review = ref(ctx)  # what is found is kept for as long as the review is there: it must not keep the review

    def spend(steps: int) -> None:
        charged = review()
        if charged is not None:
            charged.spend(steps)

    return spend


def _under_way(ctx: Context) -> Change:
    policy = ctx.policy
    old = ctx.old if isinstance(ctx.old, NetworkPolicy) else None
    before, after = (policy, None) if ctx.operation is DELETE else (old, policy)
    for one in (before, after):
        if one is not None:
            _weigh(ctx, one)
    found = Change(graph_of(ctx.cluster), {policy.key: before}, {policy.key: after})
    ctx.spend(_STEPS_OF_A_ROW * sum(1 for _ in found.near))
    return found


def _of_all(ctx: Context) -> Change:
    """What is the same for every policy that is judged: the files' together change the state, what is there nothing."""
    _weigh(ctx, ctx.policy)
    return _of_files_or_state(ctx)


def _of_files_or_state(ctx: Context) -> Change:
    cluster, graph = ctx.cluster, graph_of(ctx.cluster)
    generation, found = graph.kept.get(ctx.view, (-1, None))
    if generation != cluster.generation or not isinstance(found, Change):
        before = dict(cluster.arriving_policies) if ctx.view is View.CHECK else {}
        found = Change(graph, before, {})
        graph.kept[ctx.view] = cluster.generation, found
    return found


def in_force(ctx: Context) -> Scenario:
    """The policies of the state as they are; those of files count, too."""
    if ctx.view is View.ADMISSION:
        return Scenario(graph_of(ctx.cluster))
    return _of_files_or_state(ctx).after  # what it knows of rows, it knows for all objects of the run


def prepare(cluster: Cluster) -> None:
    """Looks up what reviews need of a whole cluster, so that the first one does not pay for it."""
    scenario = Scenario(graph_of(cluster))
    for direction in (INGRESS, EGRESS):
        scenario.bound(direction)


def isolated_by(ctx: Context, direction: Direction) -> Mapping[Stack, Sequence[Cell]]:
    """The cells that the policy under review isolates in a direction, by the policies that they are under.

    All checks of one review share them.
    """
    known = _isolated.setdefault(ctx, {})
    found = known.get(direction)
    if found is None:
        change = impact(ctx)
        by_stack: dict[Stack, list[Cell]] = {}
        for cell in change.graph.cells_of(ctx.selected) if direction in ctx.policy.directions else ():
            if not cell.host_network:
                ctx.spend(_STEPS_OF_A_STACK)
                by_stack.setdefault(change.after.stack(cell, direction), []).append(cell)
        found = known[direction] = by_stack
    return found


def under_review(ctx: Context, stack: Stack) -> Policy:
    """The policy under review as the engine reads it, in a stack of `isolated_by`."""
    name = "/".join(ctx.policy.key)
    return next(policy for policy in stack.own if policy.name == name)


class Affected(Struct, frozen=True):
    """Pods of the policy's own namespace; templates, where none of theirs runs yet."""

    number: int
    noun: str
    workloads: tuple[str, ...]
    """``Deployment/api``, sorted."""

    def __str__(self) -> str:
        """``Deployment/api``, or how many they are: ``2 workloads``; `in_full` has pods and names."""
        return self.workloads[0] if len(self.workloads) == 1 else count(len(self.workloads), "workload")

    @property
    def in_full(self) -> str:
        """``5 pods (Deployment/api, StatefulSet/db)``."""
        return f"{count(self.number, self.noun)} ({enumerate_some(self.workloads, _MOST_WORKLOADS)})"


def members(ctx: Context, cells: Iterable[Cell]) -> Sequence[Pod | Workload]:
    """The pods in these cells; the templates of pods to come, where none runs yet."""
    cluster = ctx.cluster
    pods: list[Pod] = []
    templates: list[Workload] = []
    for cell in cells:
        ctx.spend(1 + len(cell.pods) + len(cell.templates))
        pods += (pod for key in cell.pods if isinstance(pod := cluster.get(POD, key), Pod))
        made = (cluster.get(*identity) for identity in cell.templates)
        templates += (template for template in made if isinstance(template, Workload))
    return pods or templates


def affected(ctx: Context, bearers: Sequence[Pod | Workload]) -> Affected:
    """Says who these pods are, or templates where none runs yet."""
    names = Names(ctx.cluster)
    ctx.spend(len(bearers))
    pods = [names.of_pod(bearer) for bearer in bearers if isinstance(bearer, Pod)]
    every = pods or [names.of_template(bearer) for bearer in bearers if isinstance(bearer, Workload)]
    workloads = tuple(sorted({name.partition("/")[2] for name in every}))
    return Affected(len(pods), "pod", workloads) if pods else Affected(len(workloads), "pod template", workloads)


def rules_about(
    ctx: Context, direction: Direction, numbers: Collection[int], ports: Ports = NO_PORTS
) -> tuple[str, ...]:
    """The rules of the policy under review in which a mistake may be why these ports are cut (`Finding.causes`).

    A rule is about them if it names one of them, under whatever protocol, or a port by its name, or no port at all; so
    are those of a direction that policyTypes leaves out.

    Args:
        ctx: the context.
        direction: in which they are cut.
        numbers: the ports, and those that people write in their place: a Service's.
        ports: more of them.
    """
    prefix = f"spec.{direction.lower()}"
    found: list[str] = []
    for path, rule in ctx.policy.rules():
        if path.startswith(prefix):
            ctx.spend(_STEPS_OF_A_RULE + len(rule.ports) * (1 + len(ports)))
            if not rule.ports or any(_is_about(port, numbers, ports) for port in rule.ports):
                found.append(path)
    return tuple(found)


def _is_about(written: NetworkPolicyPort, numbers: Collection[int], ports: Ports) -> bool:
    first = written.port
    if not isinstance(first, int):
        return True
    last = first if written.end_port is None else written.end_port
    return any(first <= number <= last for number in numbers) or any(
        first <= high and low <= last for low, high in numbers_of(ports)
    )


def _weigh(ctx: Context, policy: NetworkPolicy) -> None:
    """Spends what it costs to look up whom a policy's rules are about.

    The index answers selectors with a value; others are tried on every pod, or namespace, there is.
    """
    blocks = sum(len(peer.ip_block.excepted) for _, peer in policy.peers() if peer.ip_block)
    ctx.spend(_STEPS_OF_A_PEER * (1 + blocks + sum(1 + len(r.peers) + len(r.ports) for _, r in policy.rules())))
    pods, namespaces = len(ctx.cluster.classes()), len(ctx.cluster.keys(NAMESPACE))
    for _, peer in policy.peers():
        if peer.namespace_selector is not None:
            ctx.spend(_tried(peer.namespace_selector, namespaces))
            if peer.pod_selector is not None:
                ctx.spend(_tried(peer.pod_selector, pods))


def _tried(selector: LabelSelector, every: int) -> int:
    """What it costs to try a selector without a value on all there are; nothing where the index answers."""
    terms = selector.match_expressions
    if selector.match_labels or not terms or any(e.operator == "In" for e in terms):
        return 0
    return every * (1 + len(terms))
