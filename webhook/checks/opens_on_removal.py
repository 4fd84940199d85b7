"""A policy that goes, or lets go of pods, which nothing else isolates: they become open to everyone."""

from collections.abc import Iterator, Sequence
from typing import Final

from webhook.check import DELETE, UPDATE, Check, Context, Example, Finding, Level
from webhook.concerned import neighbours
from webhook.impact import affected, impact
from webhook.model.cluster import PodClass
from webhook.model.objects import NETWORK_POLICY, POD, WORKLOADS, Direction, NetworkPolicy, Pod
from webhook.other_policies import May, other_policies
from webhook.parties import Parties
from webhook.reach.change import Change, reach_on
from webhook.reach.graph import Cell
from webhook.reach.ports import ALL_PORTS
from webhook.reach.relation import bits_of, minus, numbers
from webhook.removal import ends, nothing_to_lose

_MOST_CELLS: Final = 4
"""Kinds of pods of which it is looked up who is let in; the rest is as the first ones, mostly."""


def run(ctx: Context) -> Iterator[Finding]:
    before = ctx.policy if ctx.operation is DELETE else ctx.old
    if not isinstance(before, NetworkPolicy):
        return
    after = None if ctx.operation is DELETE else ctx.policy
    left_open: Sequence[Direction] = before.directions
    if after is not None and after.spec.pod_selector == before.spec.pod_selector:
        left_open = [d for d in before.directions if d not in after.directions]
    if not left_open or nothing_to_lose(ctx):
        return
    freed = {d: pods for d in left_open if (pods := _freed(ctx, before, after, d))}
    if not freed:
        return
    closes = ctx.enforcement.closes_unselected
    change = impact(ctx)
    if not closes:
        freed = {d: left for d, pods in freed.items() if (left := _opened(change, pods, d))}
    if not ctx.cluster.complete(NETWORK_POLICY):
        ctx.unknown.add(
            "policies: not all are known, so whether another one still isolates the same pods was not judged"
        )
    freed, doubt = _certain(ctx, freed, May.ALLOW if closes else May.CLOSE)
    level = Level.WARNING if ctx.cluster.complete(NETWORK_POLICY) and not doubt else Level.NOTE
    if after is None:
        path = "spec"
    else:
        path = "spec.policyTypes" if before.spec.pod_selector == after.spec.pod_selector else "spec.podSelector"
    for directions, pods in _together(freed):
        words = "/".join(d.lower() for d in directions)
        workloads = sorted({p.workload.partition("/")[2] for p in pods})
        who = affected(ctx, pods)
        if closes:
            seen, means, detail = f"closes {words} of {who}", "Cilium's enable-policy is always", who.in_full
        else:
            whom, new = _whom(ctx, change, pods, directions[0])
            seen, means = f"opens {words} of {who} to {whom}", ""
            detail = who.in_full + (f"; new: {new}" if new else "")
        remedy = "replace it first"
        yield Finding(path, seen, remedy, level, f"{words} {','.join(workloads)}", means=doubt or means, detail=detail)


def _certain(ctx: Context, freed: dict[Direction, list[Pod]], may: May) -> tuple[dict[Direction, list[Pod]], str]:
    """The pods about which no policy in an engine's own API may decide; all, and why none is certain, where it may."""
    others = other_policies(ctx)
    if not others.any:
        return freed, ""
    of = {d: [(pod, c) for pod in pods if (c := ctx.cluster.class_of(POD, pod.key))] for d, pods in freed.items()}
    sure = {d: [pod for pod, c in pods if not others.doubtful(c, d, may)] for d, pods in of.items()}
    if any(sure.values()):
        return {d: pods for d, pods in sure.items() if pods}, ""
    means = "may open them" if may is May.ALLOW else "may keep them closed"
    question = "whether pods are left open"
    told = (others.doubt([c for _, c in pods], d, may, means, question) for d, pods in of.items())
    return freed, next(filter(None, told), "")


def _freed(ctx: Context, before: NetworkPolicy, after: NetworkPolicy | None, direction: Direction) -> list[Pod]:
    """The running pods that were isolated in this direction by the old policy, and will be by none."""
    rules = before.spec.ingress if direction == "Ingress" else before.spec.egress
    if not rules if ctx.enforcement.closes_unselected else any(not rule.peers and not rule.ports for rule in rules):
        return []  # no rule: they were closed before; `- {}`: they were open before
    left: Sequence[PodClass] = ctx.selected
    if before is not ctx.judged:
        left = ctx.select(ctx.compile(before.spec.pod_selector), (ctx.namespace,))
    for policy in (*((after,) if after else ()), *neighbours(ctx)):
        if not left:
            return []
        if direction in policy.directions:
            selector = ctx.compile(policy.spec.pod_selector)
            ctx.spend(len(left) * (1 + len(selector.terms)))
            left = [c for c in left if not c.matched_by(selector)]
    return [p for c in left for p in c.pods.values() if not p.terminating and not p.host_network and not ends(ctx, p)]


def _opened(change: Change, pods: list[Pod], direction: Direction) -> list[Pod]:
    """Those of the pods to which more is let through than before: an administrator's policy may still hold it off."""
    planes = range(change.before.planes)
    known: dict[Cell, bool] = {}
    found = []
    for pod in pods:
        cell = change.graph.cell_of(POD, pod.key)
        if cell is None:
            continue
        if cell not in known:
            rows = ((change.after.row(cell, direction, p), change.before.row(cell, direction, p)) for p in planes)
            known[cell] = any(minus(after, before) for after, before in rows)
        if known[cell]:
            found.append(pod)
    return found


def _whom(ctx: Context, change: Change, pods: list[Pod], direction: Direction) -> tuple[str, str]:
    """To whom they are opened: ``everyone``, or whom administrators' policies leave; and who of them is new."""
    cells = dict.fromkeys(c for p in pods if (c := change.graph.cell_of(POD, p.key)) is not None)
    everyone = all(change.after.row(c, direction) == {ALL_PORTS: change.after.everyone()} for c in cells)
    new = 0
    for cell in list(cells)[:_MOST_CELLS]:
        ctx.spend(100 + len(change.graph.cells) // 8)
        gained = minus(change.partners_after(cell, direction), change.partners_before(cell, direction))
        new |= reach_on(gained, ALL_PORTS) & ~(1 << cell.number if len(cell.pods) <= 1 else 0)
    running = bits_of([n for n in numbers(new & ~change.graph.outside) if change.graph.cells[n].pods])
    told = running | new & change.graph.outside
    if not everyone:
        return Parties(ctx, change.graph).who(told, 2)[0] or "more than before", ""
    with ctx.aside():
        return "everyone", Parties(ctx, change.graph).who(told, 2)[0]


def _together(freed: dict[Direction, list[Pod]]) -> Iterator[tuple[Sequence[Direction], list[Pod]]]:
    """One statement for both directions where they lose the same pods."""
    if len(freed) == 2 and freed["Ingress"] == freed["Egress"]:
        yield ("Ingress", "Egress"), freed["Ingress"]
        return
    for direction, pods in freed.items():
        yield (direction,), pods


_CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {template: {metadata: {labels: {app: api}}}}
---
apiVersion: v1
kind: Pod
metadata:
  name: api-5d9f-x
  namespace: shop
  labels: {app: api, pod-template-hash: 5d9f}
  ownerReferences: [{kind: ReplicaSet, name: api-5d9f, controller: true}]
status: {phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
status: {phase: Running}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {selector}
  policyTypes: [{types}]
"""
_API = "{matchLabels: {app: api}}"
_CILIUM_ALWAYS = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: cilium}}
    spec: {hostNetwork: true, containers: [{name: cilium-agent, image: "quay.io/cilium/cilium:v1.18.4"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-policy: always}
"""

_CILIUM_CLOSES = """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: api}}, ingress: [{}]}
"""


def _policy(selector: str = _API, types: str = "Ingress", name: str = "api") -> str:
    return _POLICY.format(selector=selector, types=types, name=name)


CHECK = Check(
    id="opens-on-removal",
    level=Level.WARNING,
    summary="running workloads become open to everyone when this policy goes or lets go of them",
    rationale="A pod that no policy selects in a direction is open in it. So deleting the last policy that isolates a "
    "pod, or changing its podSelector or policyTypes, opens the pod to every other one and to the outside; kubectl says "
    "nothing. Under Cilium with enable-policy: always such a pod is closed instead.",
    remedy="Apply what shall isolate the pods from now on before this one goes; or delete the workload first.",
    run=run,
    judges=(NetworkPolicy.kind,),
    operations=(UPDATE, DELETE),
    rests_on=(NETWORK_POLICY, POD, *WORKLOADS),
    bad=(
        Example(
            title="a policy of Cilium's isolates the pods, too: only noted",
            cluster=_CLUSTER + _CILIUM_CLOSES,
            old=_policy(),
            object="",
            says="CiliumNetworkPolicy closed may keep them closed",
            level=Level.NOTE,
        ),
        Example(
            title="a policy of Cilium's isolates some of the pods: of the others it is certain",
            cluster=_CLUSTER + _CILIUM_CLOSES,
            old=_policy("{}"),
            object="",
            says="opens ingress of Pod/db-0 to everyone; replace it first",
        ),
        Example(
            title="a policy of Cilium's that allows, and isolates nothing",
            cluster=_CLUSTER
            + _CILIUM_CLOSES.replace("[{}]", "[{fromEntities: [host]}], enableDefaultDeny: {ingress: false}"),
            old=_policy(),
            object="",
            says="opens ingress of Deployment/api to everyone; replace it first",
        ),
        Example(
            title="a baseline of Antrea's takes over: only noted",
            cluster=_CLUSTER
            + """
---
apiVersion: crd.antrea.io/v1beta1
kind: ClusterNetworkPolicy
metadata: {name: default-deny}
spec: {tier: baseline, priority: 5, appliedTo: [{namespaceSelector: {}}], ingress: [{action: Drop}]}
""",
            old=_policy(),
            object="",
            says="Antrea ClusterNetworkPolicy default-deny may keep them closed",
            level=Level.NOTE,
        ),
        Example(
            title="the only policy of a workload",
            cluster=_CLUSTER,
            old=_policy(),
            object="",
            says="opens ingress of Deployment/api to everyone; replace it first (1 pod (Deployment/api); new: ",
        ),
        Example(
            title="the state still holds the policy",
            cluster=_CLUSTER + "---" + _policy("{}", "Ingress, Egress"),
            old=_policy("{}", "Ingress, Egress"),
            object="",
            says="opens ingress/egress of 2 workloads to everyone",
        ),
        Example(
            title="a podSelector that lets go of a workload",
            cluster=_CLUSTER,
            old=_policy("{}"),
            object=_policy(),
            says="opens ingress of Pod/db-0 to everyone",
        ),
        Example(
            title="a direction that is dropped",
            cluster=_CLUSTER,
            old=_policy(types="Ingress, Egress"),
            object=_policy(),
            says="opens egress of Deployment/api to everyone",
        ),
        Example(
            title="Cilium that closes what no policy selects",
            cluster=_CLUSTER + _CILIUM_ALWAYS,
            old=_policy() + "  ingress: [{}]",
            object="",
            says="closes ingress of Deployment/api: Cilium's enable-policy is always",
        ),
        Example(
            title="Cilium that closes what no policy selects, and one of its own that lets somebody in: only noted",
            cluster=_CLUSTER + _CILIUM_ALWAYS + _CILIUM_CLOSES.replace("[{}]", "[{fromEntities: [cluster]}]"),
            old=_policy() + "  ingress: [{}]",
            object="",
            says="closes ingress of Deployment/api: CiliumNetworkPolicy closed may open them",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="another policy still isolates them",
            cluster=_CLUSTER + "---" + _policy("{}", name="default-deny"),
            old=_policy(),
            object="",
        ),
        Example(
            title="it allowed everything",
            cluster=_CLUSTER,
            old=_policy() + "  ingress: [{}]",
            object="",
        ),
        Example(
            title="the workload was deleted just before, and its pods have not ended yet",
            cluster=_CLUSTER.replace("{name: api, namespace: shop}", "{name: other, namespace: shop}"),
            old=_policy(),
            object="",
        ),
        Example(
            title="its pods are terminating",
            cluster=_CLUSTER.replace(
                "  labels: {app: api", "  deletionTimestamp: 2026-01-01T00:00:00Z\n  labels: {app: api"
            ),
            old=_policy(),
            object="",
        ),
        Example(
            title="Cilium that closes what no policy selects, and a policy that allowed nothing",
            cluster=_CLUSTER + _CILIUM_ALWAYS,
            old=_policy(),
            object="",
        ),
        Example(title="no pod runs", cluster=_CLUSTER, old=_policy("{matchLabels: {app: cache}}"), object=""),
        Example(
            title="the namespace goes as a whole",
            cluster=_CLUSTER.replace("{name: shop}", '{name: shop, deletionTimestamp: "2026-01-01T00:00:00Z"}'),
            old=_policy(),
            object="",
        ),
        Example(
            title="an update of its rules",
            cluster=_CLUSTER,
            old=_policy(),
            object=_policy() + "  ingress: [{from: [{podSelector: {}}]}]",
        ),
        Example(
            title="not all policies are known",
            cluster=_CLUSTER,
            old=_policy(),
            object="",
            partial=True,
        ),
    ),
)
