"""What the policy under review changes: who may talk to whom without it (or with the old one), and with it.

In files all policies arrive together: what they change is measured from the state plus every object of the files that
is no policy (CONTRACT.md, ``check``).
"""

from collections.abc import Mapping
from typing import Final
from weakref import WeakKeyDictionary

from webhook.check import DELETE, Context, View
from webhook.model.cluster import Cluster
from webhook.model.objects import Key, NetworkPolicy
from webhook.reach.change import Change
from webhook.reach.graph import graph_of
from webhook.reach.policy import EGRESS, INGRESS
from webhook.reach.scenario import Scenario

_STEPS_OF_A_PEER: Final = 20
_STEPS_OF_A_ROW: Final = 20
_memory: Final[WeakKeyDictionary[Context, Change]] = WeakKeyDictionary()
_of_files: Final[WeakKeyDictionary[Cluster, tuple[tuple[int, int], Change]]] = WeakKeyDictionary()


def impact(ctx: Context) -> Change:
    """What the policy under review changes; all checks of one review share it.

    Raises:
        TooLargeError: it takes more steps than are left.
    """
    if ctx.view is View.CHECK:
        return _impact_of_files(ctx.cluster)
    found = _memory.get(ctx)
    if found is None:
        before, after = _policies(ctx)
        for policy in (*before.values(), *after.values()):
            if policy is not None:
                ctx.spend(_weight(policy))
        graph = graph_of(ctx.cluster)
        found = Change(graph, before, after)
        for cell in found.near:
            ctx.spend(_STEPS_OF_A_ROW)
            del cell
        _memory[ctx] = found
    return found


def _impact_of_files(cluster: Cluster) -> Change:
    """What all policies of the files change: the same for each of them, so that it is worked out once."""
    key = cluster.generation, len(cluster.arriving_policies)
    known = _of_files.get(cluster)
    if known is None or known[0] != key:
        known = _of_files[cluster] = key, Change(graph_of(cluster), dict(cluster.arriving_policies), {})
    return known[1]


def prepare(cluster: Cluster) -> None:
    """Looks up what reviews need of a whole cluster, so that the first one does not pay for it."""
    scenario = Scenario(graph_of(cluster))
    for direction in (INGRESS, EGRESS):
        scenario.bound(direction)


def _policies(ctx: Context) -> tuple[Mapping[Key, NetworkPolicy | None], Mapping[Key, NetworkPolicy | None]]:
    """The policies that differ from those in the state, before and after."""
    policy = ctx.policy
    if ctx.view is View.AUDIT:
        return {}, {}
    if ctx.operation is DELETE:
        return {policy.key: policy}, {policy.key: None}
    old = ctx.old if isinstance(ctx.old, NetworkPolicy) else None
    return {policy.key: old}, {policy.key: policy}


def _weight(policy: NetworkPolicy) -> int:
    blocks = sum(len(peer.ip_block.excepted) for _, peer in policy.peers() if peer.ip_block)
    return _STEPS_OF_A_PEER * (1 + blocks + sum(1 + len(r.peers) + len(r.ports) for _, r in policy.rules()))
