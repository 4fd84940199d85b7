"""A policy, or a rule of one, that goes although nothing else allows what it did: running workloads lose each other."""

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Final

from webhook.check import DELETE, UPDATE, Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.impact import impact, rules_about
from webhook.losses import moving_ports, path_of, says_deny_all
from webhook.model.objects import NETWORK_POLICY, POD, WORKLOADS, Direction, NetworkPolicy, Pod
from webhook.other_policies import May, other_policies
from webhook.parties import Parties, describe_ports
from webhook.reach.change import Change, reach_on
from webhook.reach.graph import Cell
from webhook.reach.policy import EGRESS, INGRESS
from webhook.reach.ports import ALL_PORTS, Ports, joined
from webhook.reach.relation import bits_of, minus, numbers
from webhook.reach.scenario import Scenario
from webhook.removal import ends, nothing_to_lose

_MOST_FLOWS: Final = 5
_MOST_PARTNERS: Final = 200


def run(ctx: Context) -> Iterator[Finding]:
    before = ctx.policy if ctx.operation is DELETE else ctx.old
    if not isinstance(before, NetworkPolicy) or ctx.view is not View.ADMISSION:
        return
    if ctx.operation is UPDATE and before.spec == ctx.policy.spec:
        return
    allowed: list[Direction] = [d for d in (INGRESS, EGRESS) if d in before.directions and _rules(before, d)]
    removal = _Removal(ctx, impact(ctx)) if allowed else None
    if removal is None or not removal.cuts_something(allowed) or nothing_to_lose(ctx):
        return
    for direction in allowed:
        ended, doubt = removal.flows(direction, sure=True), ""
        if not ended and other_policies(ctx).any:
            ended = removal.flows(direction, sure=False)
            doubt = removal.doubt(direction) if ended else ""
        if not ended:
            continue
        flows = list(ended)
        level = Level.NOTE if doubt else Level.WARNING
        if not ctx.cluster.complete(NETWORK_POLICY):
            ctx.unknown.add("policies: not all are known, so whether another one allows the same flows was not judged")
            level = Level.NOTE
        elif ctx.operation is UPDATE and says_deny_all(ctx.policy, direction):
            level = Level.NOTE
        more = f" and {len(flows) - 1} more" if len(flows) > 1 else ""
        message = f"cuts {flows[0]}{more}"
        path = "spec" if ctx.operation is DELETE else path_of(ctx.policy, direction)
        yield Finding(
            path,
            message,
            "replace it first",
            level,
            f"{direction} {'; '.join(flows)}",
            means=doubt or "no other rule allows it",
            causes=rules_about(ctx, direction, (), joined(r for ports in ended.values() for r in ports)),
            detail=f"in all: {'; '.join(flows[:_MOST_FLOWS])}" if more else "",
        )


def _rules(policy: NetworkPolicy, direction: Direction) -> bool:
    return bool(policy.spec.ingress if direction == INGRESS else policy.spec.egress)


class _Removal:
    """The flows that end with what is removed."""

    def __init__(self, ctx: Context, change: Change) -> None:
        self._ctx = ctx
        self._change = change
        self._parties = Parties(ctx, change.graph)
        self._running: dict[int, bool] = {}
        self._told: dict[int, int] = {}
        """For each destination the sources that are said to lose it: at the other end it need not be said again."""

    def cuts_something(self, directions: list[Direction]) -> bool:
        """Whether any pod that stays isolated is let through to fewer: a short look."""
        return any(self._lost(cell, d) for d in directions for cell in self._isolated(d))

    def _isolated(self, direction: Direction) -> Iterator[Cell]:
        """The cells that were isolated, and are: what others lose by isolating no rule had allowed."""
        for cell in self._change.touched(direction):
            self._ctx.spend(2)
            if all(s.stack(cell, direction).own for s in (self._change.before, self._change.after)):
                yield cell

    def _lost(self, cell: Cell, direction: Direction) -> int:
        """Pods that the cell's own policies let through no more, or on fewer ports."""
        found = 0
        for plane in range(self._change.before.planes):
            was, will = (s.row(cell, direction, plane) for s in (self._change.before, self._change.after))
            for others in minus(was, will).values():
                found |= others
        if found and self._ctx.operation is UPDATE:
            found &= ~self._meant(cell, direction)
        return found & self._change.graph.selectable

    def _meant(self, cell: Cell, direction: Direction) -> int:
        """Those whom a rule still is about, on other ports: that rule was not removed, and the pods may follow it."""
        moving = self._moving
        if moving is None:
            return 0
        found = 0
        for plane in range(moving.planes):
            found |= reach_on(moving.row(cell, direction, plane), ALL_PORTS)
        return found

    @cached_property
    def _moving(self) -> Scenario | None:
        return moving_ports(self._ctx)

    def doubt(self, direction: Direction) -> str:
        """Why it is not certain that the flows end, or ever were: policies in an engine's own API decide, too."""
        others, question = other_policies(self._ctx), "whether flows end"
        means = "may decide otherwise"
        near = [cell for cell in self._isolated(direction) if self._lost(cell, direction)]
        told = others.doubt([cell.of for cell in near], direction, May.EITHER, means, question)
        if told:
            return told
        cells = self._change.graph.cells
        far = [cells[n].of for cell in near for n in islice(numbers(self._lost(cell, direction)), _MOST_PARTNERS)]
        return others.doubt(far, EGRESS if direction == INGRESS else INGRESS, May.CLOSE, means, question)

    def _certain(self, cell: Cell, among: int, direction: Direction) -> int:
        """Those of the others of which it is certain that the cell could reach them, and can no more."""
        others = other_policies(self._ctx)
        if not others.any:
            return among
        if others.doubtful(cell.of, direction):
            return 0
        across = EGRESS if direction == INGRESS else INGRESS
        cells = self._change.graph.cells
        return bits_of([n for n in numbers(among) if not others.doubtful(cells[n].of, across, May.CLOSE)])

    def flows(self, direction: Direction, *, sure: bool) -> dict[str, Ports]:
        """``Deployment/web -> Deployment/api on TCP 8080``: the flows between running workloads that end, by ports.

        Args:
            direction: at whose end.
            sure: only those of which no policy in an engine's own API may decide.
        """
        alike: dict[tuple[Ports, int], list[str]] = {}
        for cell in self._isolated(direction):
            among = bits_of([n for n in numbers(self._lost(cell, direction)) if self._runs(n)])
            if len(cell.pods) <= 1:
                among &= ~(1 << cell.number)
            if sure:
                among = self._certain(cell, among, direction)
            if not among or not self._runs(cell.number):
                continue
            self._ctx.spend(80 + among.bit_count())
            kept = self._change.partners_after(cell, direction, among)
            lost = minus(self._change.partners_before(cell, direction, among), kept)
            for ports, others in self._parties.of_interest(cell, lost, kept, direction).items():
                left = self._not_told(cell, others, direction)
                if left:
                    names = [self._parties.own(name) for name in self._parties.workloads(cell)]
                    alike.setdefault((ports, left), []).extend(names)
        found: dict[str, Ports] = {}
        for (ports, others), names in sorted(alike.items(), key=lambda each: -each[0][1].bit_count()):
            subject, (who, _) = enumerate_some(sorted(set(names)), 2), self._parties.who(others, 2)
            source, destination = (who, subject) if direction == INGRESS else (subject, who)
            on = "" if ports == ALL_PORTS else f" on {describe_ports(ports)}"
            found[f"{source} -> {destination}{on}"] = ports
        return found

    def _not_told(self, cell: Cell, others: int, direction: Direction) -> int:
        if direction == INGRESS:
            self._told[cell.number] = self._told.get(cell.number, 0) | others
            return others
        return bits_of([n for n in numbers(others) if not self._told.get(n, 0) >> cell.number & 1])

    def _runs(self, number: int) -> bool:
        """Whether any pod of a cell runs, and is not about to end."""
        found = self._running.get(number)
        if found is None:
            cell = self._change.graph.cells[number]
            self._ctx.spend(2)
            found = self._running[number] = any(self._stays(key) for key in cell.pods)
        return found

    def _stays(self, key: tuple[str, str]) -> bool:
        self._ctx.spend()
        pod = self._ctx.cluster.get(POD, key)
        return isinstance(pod, Pod) and not pod.terminating and not ends(self._ctx, pod)


_CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: api-0, namespace: shop, labels: {app: api}}
spec: {containers: [{name: api, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
status: {phase: Running}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  ingress: [{rules}]
"""
_FROM_WEB = "{from: [{podSelector: {matchLabels: {app: web}}}]}"

_CILIUM = """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: web}}, egress: [{toEntities: [world]}]}
"""


def _policy(rules: str = _FROM_WEB, name: str = "api") -> str:
    return _POLICY.format(name=name, rules=rules)


CHECK = Check(
    id="cuts-on-removal",
    level=Level.WARNING,
    summary="running workloads lose each other when this policy, or a rule of it, goes",
    rationale="Where pods are isolated, as by a default-deny policy, what lets two workloads talk is one rule. When the "
    "policy with that rule is deleted, or the rule is taken out or narrowed, the traffic stops at once, and nothing says "
    "so: connections time out. Only ports that the destination declares count, where it declares any.",
    remedy="Apply what shall allow the traffic from now on first; or take the workloads away first.",
    run=run,
    judges=(NetworkPolicy.kind,),
    operations=(UPDATE, DELETE),
    rests_on=(NETWORK_POLICY, POD, *WORKLOADS),
    bad=(
        Example(
            title="a policy of Cilium's holds the client back anyway, it may be: only noted",
            cluster=_CLUSTER + _CILIUM,
            old=_policy(),
            object="",
            says="cuts Pod/web-0 -> Pod/api-0: CiliumNetworkPolicy web may decide otherwise; replace it first",
            level=Level.NOTE,
        ),
        Example(
            title="a policy of Cilium's lets the client in, it may be: only noted",
            cluster=_CLUSTER
            + _CILIUM.replace("app: web", "app: api").replace("egress", "ingress").replace("toE", "fromE"),
            old=_policy(),
            object="",
            says="cuts Pod/web-0 -> Pod/api-0: CiliumNetworkPolicy web may decide otherwise",
            level=Level.NOTE,
        ),
        Example(
            title="a policy of Cilium's about the other direction of the client",
            cluster=_CLUSTER + _CILIUM.replace("egress", "ingress").replace("toE", "fromE"),
            old=_policy(),
            object="",
            says="cuts Pod/web-0 -> Pod/api-0: no other rule allows it; replace it first",
        ),
        Example(
            title="the only rule for a flow",
            cluster=_CLUSTER,
            old=_policy(),
            object="",
            says="cuts Pod/web-0 -> Pod/api-0: no other rule allows it; replace it first",
        ),
        Example(
            title="a rule that is narrowed",
            cluster=_CLUSTER,
            old=_policy(),
            object=_policy("{from: [{podSelector: {matchLabels: {app: api}}}]}"),
            says="cuts Pod/web-0 -> Pod/api-0: no other rule allows it",
        ),
        Example(
            title="egress",
            cluster=_CLUSTER.replace("policyTypes: [Ingress]", "policyTypes: [Egress]"),
            old=_policy().replace("ingress", "policyTypes: [Egress]\n  egress").replace("from", "to"),
            object="",
            says="cuts Pod/api-0 -> Pod/web-0: no other rule allows it",
        ),
    ),
    good=(
        Example(
            title="another policy allows the same",
            cluster=_CLUSTER + "---" + _policy(name="other"),
            old=_policy(),
            object="",
        ),
        Example(
            title="nothing else isolates the pods: they become open",
            cluster=_CLUSTER.replace("podSelector: {}", "podSelector: {matchLabels: {app: web}}"),
            old=_policy(),
            object="",
        ),
        Example(
            title="only ports go that nobody listens on",
            cluster=_CLUSTER,
            old=_policy(),
            object=_policy(_FROM_WEB.replace("}}}]}", "}}}], ports: [{port: http}]}")),
        ),
        Example(
            title="its pods are terminating",
            cluster=_CLUSTER.replace("name: api-0,", "name: api-0, deletionTimestamp: 2026-01-01T00:00:00Z,"),
            old=_policy(),
            object="",
        ),
        Example(
            title="the client's workload was deleted just before, and its pods have not ended yet",
            cluster=_CLUSTER.replace(
                "labels: {app: web}",
                "labels: {app: web}, ownerReferences: [{kind: StatefulSet, name: web, controller: true}]",
            ),
            old=_policy(),
            object="",
        ),
        Example(
            title="the namespace goes as a whole",
            cluster=_CLUSTER.replace("{name: shop}", '{name: shop, deletionTimestamp: "2026-01-01T00:00:00Z"}'),
            old=_policy(),
            object="",
        ),
    ),
)
