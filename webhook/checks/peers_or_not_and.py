"""Two list items where one was meant: a lone namespaceSelector beside a lone podSelector."""

from collections.abc import Iterator, Sequence
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, count
from webhook.evidence import rendered_by_helm
from webhook.impact import impact
from webhook.model.cluster import PodClass
from webhook.model.objects import POD, WORKLOADS, Direction, NetworkPolicy, NetworkPolicyPeer
from webhook.model.selectors import Selector
from webhook.parties import Parties
from webhook.reach.change import reach_on
from webhook.reach.ports import ALL_PORTS
from webhook.reach.relation import numbers

_MOST_CELLS: Final = 8
"""Kinds of selected pods of which it is looked up who reaches them."""


def run(ctx: Context) -> Iterator[Finding]:
    for path, rule in ctx.policy.rules():
        word = "from" if path.startswith("spec.ingress") else "to"
        for i in range(len(rule.peers) - 1):
            ctx.spend()
            yield from _judge(ctx, f"{path}.{word}", i, rule.peers)


def _judge(ctx: Context, path: str, first: int, peers: Sequence[NetworkPolicyPeer]) -> Iterator[Finding]:
    lone = _lone_selectors(ctx, peers[first], peers[first + 1])
    if lone is None:
        return
    namespace_selector, pod_selector = lone
    if pod_selector.empty or _lets_in_somebody(ctx, pod_selector):
        return
    if not ctx.sees_whole and ctx.judged and rendered_by_helm(ctx.judged.metadata):
        return  # its own pods are yet to come; another release's pods prove nothing
    namespaces = {n.name for n in ctx.namespaces_matching(namespace_selector)}
    together = ctx.select(pod_selector, namespaces) if namespaces else ()
    if not _pods(together):
        return
    everybody = [c for name in namespaces for c in ctx.cluster.classes(name)]
    ctx.spend(len(everybody))
    direction: Direction = "Ingress" if path.endswith("from") else "Egress"
    written, meant = _LetThrough(ctx, direction, everybody), _LetThrough(ctx, direction, together)
    one = written.pods == 1
    done = ("gets in" if one else "get in") if direction == "Ingress" else f"{'is' if one else 'are'} reached"
    too = written.cells & ~meant.cells
    with ctx.aside():
        where = ctx.name_namespaces(namespaces, POD)
        may_name = ctx.may_name_all((POD, namespace) for namespace in namespaces)
        named = f" (also {Parties(ctx, impact(ctx).graph).who(too, 2)[0]})" if too and may_name else ""
    pods = count(written.pods, "pod")
    message = f"two dashes mean OR: {pods} {done}, not {meant.pods}"
    # The second of the two items carries the dash too many.
    yield Finding(
        f"{path}[{first + 1}]",
        message,
        "drop the second",
        value=f"{namespace_selector} or {pod_selector}",
        detail=f"{pods} of {where}{named}, not just the {meant.pods} with {pod_selector}",
    )


class _LetThrough:
    """Those of some classes that the policies really let through to, or from, the pods that are selected.

    Where no selected pod is there yet, those that could be: all that are on the pod network.
    """

    def __init__(self, ctx: Context, direction: Direction, classes: Sequence[PodClass]) -> None:
        change = impact(ctx)
        graph = change.graph
        among = 0
        for cell in graph.cells_of(classes):
            ctx.spend()
            if cell.pods and not cell.host_network:
                among |= 1 << cell.number
        selector = ctx.compile(ctx.policy.spec.pod_selector)
        selected = [c for c in graph.cells_of(ctx.select(selector, {ctx.namespace})) if not c.host_network]
        found = 0
        for cell in selected[:_MOST_CELLS]:
            ctx.spend(40 + among.bit_count() // 2)
            found |= reach_on(change.partners_after(cell, direction, among), ALL_PORTS)
        self.cells = found or among
        self.pods = sum(len(graph.cells[number].pods) for number in numbers(self.cells))


def _lone_selectors(ctx: Context, one: NetworkPolicyPeer, other: NetworkPolicyPeer) -> tuple[Selector, Selector] | None:
    """The namespaceSelector and the podSelector of two peers that have just one of them each."""
    for namespaced, podded in ((one, other), (other, one)):
        if (
            namespaced.namespace_selector is not None
            and namespaced.pod_selector is None
            and podded.pod_selector is not None
            and podded.namespace_selector is None
        ):
            return ctx.compile(namespaced.namespace_selector), ctx.compile(podded.pod_selector)
    return None


def _lets_in_somebody(ctx: Context, pod_selector: Selector) -> bool:
    """Whether the podSelector alone matches anybody of the own namespace but the one selected pod itself."""
    found = ctx.select(pod_selector, {ctx.namespace})
    if not found:
        return not ctx.cluster.pods_known and not _known_here(ctx)
    selected = {id(c) for c in ctx.select(ctx.compile(ctx.policy.spec.pod_selector), {ctx.namespace})}
    if any(id(c) not in selected for c in found):
        return True
    if any(template.replicas > 1 for c in found for template in c.templates.values()):
        return True  # its other pods are yet to come
    workloads = frozenset().union(*(c.workloads for c in found))
    return _pods(found) != 1 or len(workloads) != 1


def _known_here(ctx: Context) -> bool:
    """Whether any pod or template of the policy's namespace is known: then the state at hand does cover it."""
    return bool(ctx.cluster.classes(ctx.namespace))


def _pods(classes: Sequence[PodClass]) -> int:
    return sum(len(c.pods) for c in classes)


_CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: restricted}
---
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Pod
metadata: {name: lab9server, namespace: restricted, labels: {app: lab9server}}
---
apiVersion: v1
kind: Pod
metadata: {name: sleepybox1, namespace: default, labels: {access: "yes"}}
---
apiVersion: v1
kind: Pod
metadata: {name: sleepybox2, namespace: default, labels: {access: noway}}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mynp, namespace: restricted}
spec:
  podSelector: {matchLabels: {app: lab9server}}
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}
        - podSelector: {matchLabels: {access: "yes"}}
"""
_CLIENT_HERE = """
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: restricted, labels: {access: "yes"}}
"""

CHECK = Check(
    id="peers-or-not-and",
    level=Level.WARNING,
    summary="two list items mean OR where AND was meant",
    rationale="`- namespaceSelector` and `- podSelector` as two list items let in every pod of those namespaces, and "
    "besides these pods of the policy's own namespace. As one item (one dash) they let in those pods of those "
    "namespaces. When the podSelector alone lets in nobody and both together match running pods, one dash is too many.",
    remedy="Drop the dash before the second selector, so that both stand in one list item.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(POD, *WORKLOADS),
    bad=(
        Example(
            title="every pod of the namespace gets in",
            cluster=_CLUSTER,
            object=_POLICY,
            says="two dashes mean OR: 2 pods get in, not 1; drop the second (2 pods of namespace default (also "
            "default/Pod/sleepybox2), not just the 1 with access=yes)",
        ),
        Example(
            title="the podSelector first",
            cluster=_CLUSTER,
            object="""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mynp, namespace: restricted}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - podSelector: {matchLabels: {access: "yes"}}
        - namespaceSelector: {}
""",
            says="(also Pod/lab9server, default/Pod/sleepybox2), not just the 1 with access=yes",
        ),
    ),
    good=(
        Example(
            title="both in one item",
            cluster=_CLUSTER,
            object=_POLICY.replace("        - podSelector", "          podSelector"),
        ),
        Example(
            title="the podSelector lets in another pod of the own namespace: OR is meant",
            cluster=_CLUSTER + _CLIENT_HERE,
            object=_POLICY,
        ),
        Example(
            title="nothing matches both together",
            cluster=_CLUSTER,
            object=_POLICY.replace('access: "yes"', "role: client"),
        ),
        Example(
            title="every pod of the own namespace, and another namespace",
            cluster=_CLUSTER,
            object=_POLICY.replace('{matchLabels: {access: "yes"}}', "{}"),
        ),
    ),
)
