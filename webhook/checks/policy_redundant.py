"""A policy that adds nothing to those which are there: the same pods are isolated, and all it allows is allowed."""

from collections.abc import Iterator, Sequence

from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.impact import impact, isolated_by, under_review
from webhook.model.objects import Direction, NetworkPolicy, NetworkPolicyRule
from webhook.reach.graph import Cell, graph_of
from webhook.reach.policy import INGRESS, PodPeer, Policy, ports_of
from webhook.reach.ports import ALL_PORTS, NO_PORTS, Ports, subtraction, union
from webhook.reach.relation import minus
from webhook.reach.scenario import Scenario


def run(ctx: Context) -> Iterator[Finding]:
    others = list(_of_at_least_the_same_pods(ctx)) if ctx.selected else []
    alike: dict[Direction, Sequence[Policy]] = {}
    for direction in ctx.policy.directions if others else ():
        rules = ctx.policy.spec.ingress if direction == INGRESS else ctx.policy.spec.egress
        # Beside policies that allow something, one that allows nothing is what isolates the pods to come.
        alike[direction] = [o for o in others if (r := o.rules(direction)) is not None and bool(r) == bool(rules)]
        if not alike[direction] or not _may_have_ports(ctx, rules, direction, alike[direction]):
            return
    if alike and all(_is_covered(ctx, direction, every) for direction, every in alike.items()):
        named = sorted({other.name.partition("/")[2] for every in alike.values() for other in every})
        several = len(named) > 1
        yield Finding(
            "spec",
            f"adds nothing to {'policies' if several else 'policy'} {enumerate_some(named, 2)}",
            "delete one",
            causes=("spec.ingress", "spec.egress"),
            means=f"{'they allow' if several else 'it allows'} all of this",
            detail="today they isolate the same pods" if several else "today it isolates the same pods",
        )


def _of_at_least_the_same_pods(ctx: Context) -> Iterator[Policy]:
    """The other policies of the namespace that certainly select every pod which this one selects, or ever will."""
    selector = ctx.compile(ctx.policy.spec.pod_selector)
    mine = frozenset(selector.terms)
    labels = [(t.key, v) for t in selector.terms if t.operator == "In" and len(t.values) == 1 for v in t.values]
    name = "/".join(ctx.policy.key)
    for other in graph_of(ctx.cluster).own_policies(ctx.namespace).among(dict.fromkeys(labels)):
        ctx.spend(1 + len(other.subject.pods.terms))
        if other.name != name and mine.issuperset(other.subject.pods.terms):
            yield other


def _may_have_ports(
    ctx: Context, rules: Sequence[NetworkPolicyRule], direction: Direction, others: Sequence[Policy]
) -> bool:
    """Whether each port that these rules let through may be one of others'; what names stand for is not looked at."""
    theirs: Ports = NO_PORTS
    for rule in (rule for policy in others for rule in policy.rules(direction) or ()):
        ctx.spend()
        if rule.names:
            return True
        theirs = union(theirs, rule.ports)
    for written in rules:
        ctx.spend(1 + 2 * len(written.ports))
        if theirs != ALL_PORTS and (not written.ports or any(subtraction(ports_of(p), theirs) for p in written.ports)):
            return False
    return True


def _is_covered(ctx: Context, direction: Direction, alike: Sequence[Policy]) -> bool:
    """Whether all that the policy lets through is let through by these others, and neither waits for pods to come."""
    isolated = isolated_by(ctx, direction)
    for stack, cells in isolated.items():
        own = under_review(ctx, stack)
        if not own.rules(direction):
            continue
        ctx.spend(4 * sum(1 + len(p.rules(direction) or ()) for p in (own, *alike)))
        scenario = impact(ctx).after
        if _waits_for_peers(scenario, own, direction):
            return False
        # Named ports are each destination's own; nothing else depends on the cell.
        for cell in {cell.named: cell for cell in cells}.values() if direction == INGRESS else cells[:1]:
            ctx.spend(20 * sum(1 + len(p.rules(direction) or ()) for p in (own, *alike)))
            if not _is_among(scenario, cell, direction, own, alike):
                return False
    return bool(isolated)


def _waits_for_peers(scenario: Scenario, own: Policy, direction: Direction) -> bool:
    """Whether one of its peers matches nobody: what that will allow nobody can know."""
    return any(
        isinstance(peer, PodPeer) and not scenario.graph.bits(peer, 0)
        for rule in own.rules(direction) or ()
        for peer in rule.peers or ()
    )


def _is_among(scenario: Scenario, cell: Cell, direction: Direction, own: Policy, others: Sequence[Policy]) -> bool:
    allowed = [scenario.allowed_by((own,), cell, direction, plane) for plane in range(scenario.planes)]
    return any(allowed) and not any(
        minus(relation, scenario.allowed_by(others, cell, direction, plane)) for plane, relation in enumerate(allowed)
    )


_CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {selector}
  policyTypes: [Ingress]
  ingress: [{rules}]
"""
_API = "{matchLabels: {app: api}}"
_FROM_WEB = "{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}"
_FROM_ALL = "{from: [{podSelector: {}}]}"


def _policy(*rules: str, name: str = "api", selector: str = _API) -> str:
    return _POLICY.format(name=name, selector=selector, rules=", ".join(rules))


def _others(*policies: str) -> str:
    return "---".join((_CLUSTER, *policies))


CHECK = Check(
    id="policy-redundant",
    level=Level.NOTE,
    summary="other policies isolate the same pods and allow all that this one does",
    rationale="Policies add up. One that isolates no pod which others do not isolate anyway, and allows nothing that they "
    "do not allow anyway, changes nothing: it is often left over, or the wider one beside it is the mistake, because "
    "somebody believed that the narrow one restricts it.",
    remedy="Delete it; or narrow the wider one, if this one was to restrict.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="a wider policy of all pods beside it",
            cluster=_others(_policy(_FROM_ALL, name="all", selector="{}")),
            object=_policy(_FROM_WEB),
            says="adds nothing to policy all: it allows all of this; delete one",
        ),
        Example(
            title="two that allow it together",
            cluster=_others(
                _policy("{ports: [{port: 8080}]}", name="clients"), _policy("{ports: [{port: 9090}]}", name="metrics")
            ),
            object=_policy("{ports: [{port: 8080}, {port: 9090}]}"),
            says="adds nothing to policies clients, metrics: they allow all of this",
        ),
        Example(
            title="denied twice",
            cluster=_others(_policy(name="deny-all", selector="{}")),
            object=_policy(name="default-deny", selector="{}"),
            says="adds nothing to policy deny-all: it allows all of this; delete one (today it isolates the same pods)",
        ),
    ),
    good=(
        Example(
            title="it allows more",
            cluster=_others(_policy(_FROM_WEB, name="web")),
            object=_policy("{from: [{podSelector: {matchLabels: {app: web}}}]}"),
        ),
        Example(
            title="default-deny, beside policies that allow something",
            cluster=_others(_policy(_FROM_WEB, name="web", selector="{}")),
            object=_policy(name="default-deny", selector="{}"),
        ),
        Example(
            title="what allows something, beside default-deny",
            cluster=_others(_policy(name="default-deny", selector="{}")),
            object=_policy(_FROM_WEB),
        ),
        Example(
            title="the wider policy is of some of the pods",
            cluster=_others(_policy(_FROM_ALL, name="api")),
            object=_policy(_FROM_ALL, name="all", selector="{}"),
        ),
        Example(
            title="its clients are yet to come",
            cluster=_others(_policy(_FROM_WEB, name="web")),
            object=_policy("{from: [{podSelector: {matchLabels: {db-client: 'true'}}}]}"),
        ),
        Example(
            title="no other policy",
            cluster=_CLUSTER,
            object=_policy(_FROM_WEB),
            view=View.CHECK,
        ),
    ),
)
