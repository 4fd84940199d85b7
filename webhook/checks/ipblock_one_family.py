"""ipBlocks of one address family for pods that have addresses of both."""

from collections.abc import Iterable, Iterator, Sequence

from webhook.check import Check, Context, Example, Finding, Level
from webhook.concerned import neighbours
from webhook.model.objects import Direction, NetworkPolicy, NetworkPolicyRule


def run(ctx: Context) -> Iterator[Finding]:
    policy = ctx.policy
    told = {d: found for d in policy.directions if (found := _one_family(ctx, _rules(policy, d))) is not None}
    if not told or not _dual_stack(ctx):
        return
    for direction, (version, (rule, peer)) in told.items():
        if any(_admits(ctx, neighbour, direction, other_than=version) for neighbour in neighbours(ctx)):
            continue
        word, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
        other = 10 - version
        yield Finding(
            f"spec.{word}[{rule}].{peers}[{peer}].ipBlock.cidr",
            f"its {word} ipBlocks are all IPv{version}",
            f"add the IPv{other} range",
            value=f"{direction} IPv{version}",
            means=f"its pods have IPv{other}, too",
            detail=f"by IPv{other} nothing outside gets {'in' if direction == 'Ingress' else 'through'}",
        )


def _rules(policy: NetworkPolicy, direction: Direction) -> Sequence[NetworkPolicyRule]:
    return policy.spec.ingress if direction == "Ingress" else policy.spec.egress


def _versions(ctx: Context, rules: Iterable[NetworkPolicyRule]) -> Iterator[tuple[int, tuple[int, int]]]:
    """The family of every ipBlock with the places of its rule and peer; both families for a rule without peers."""
    for i, rule in enumerate(rules):
        ctx.spend(1 + len(rule.peers))
        if not rule.peers:
            yield 4, (i, 0)
            yield 6, (i, 0)
        for j, peer in enumerate(rule.peers):
            if peer.ip_block is not None:
                yield (6 if ":" in peer.ip_block.cidr else 4), (i, j)


def _one_family(ctx: Context, rules: Iterable[NetworkPolicyRule]) -> tuple[int, tuple[int, int]] | None:
    """The one family that the ipBlocks of these rules have, and the place of the first; None for both, or none."""
    first: dict[int, tuple[int, int]] = {}
    for version, place in _versions(ctx, rules):
        first.setdefault(version, place)
    return next(iter(first.items())) if len(first) == 1 else None


def _admits(ctx: Context, policy: NetworkPolicy, direction: Direction, *, other_than: int) -> bool:
    """Whether another policy lets something of the other family through: maybe for the same pods."""
    return direction in policy.directions and any(v != other_than for v, _ in _versions(ctx, _rules(policy, direction)))


def _dual_stack(ctx: Context) -> bool:
    classes = ctx.selected
    ctx.spend(sum(len(c.pods) for c in classes))
    return any(
        any(":" in ip for ip in pod.ips) and any(":" not in ip for ip in pod.ips)
        for c in classes
        for pod in c.pods.values()
        if not pod.host_network
    )


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  policyTypes: [{types}]
  {rules}
"""
_POD = """
apiVersion: v1
kind: Pod
metadata: {{name: api-1, namespace: shop, labels: {{app: api}}}}
status: {{phase: Running, podIPs: [{ips}]}}
"""
_DUAL = _POD.format(ips="{ip: 10.244.1.5}, {ip: 'fd00:10:244:1::5'}")


def _ingress(*cidrs: str, name: str = "api") -> str:
    peers = ", ".join(f"{{ipBlock: {{cidr: '{cidr}'}}}}" for cidr in cidrs)
    return _POLICY.format(name=name, types="Ingress", rules=f"ingress: [{{from: [{peers}]}}]")


CHECK = Check(
    id="ipblock-one-family",
    level=Level.NOTE,
    summary="ipBlocks of one address family for dual-stack pods",
    rationale="An ipBlock is of IPv4 or of IPv6, and says nothing about the other: 0.0.0.0/0 lets in nobody who comes by "
    "IPv6 (facts 2.3.33; kubernetes.io/docs/concepts/services-networking/dual-stack). Pods of a dual-stack cluster have "
    "addresses of both, and their clients take either. Selectors cover both.",
    remedy="Name a range of each family, as 0.0.0.0/0 and ::/0.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="everybody, but by IPv4 only",
            cluster=_DUAL,
            object=_ingress("0.0.0.0/0"),
            says="its ingress ipBlocks are all IPv4: its pods have IPv6, too; add the IPv6 range",
        ),
        Example(
            title="egress by IPv6 only",
            cluster=_DUAL,
            object=_POLICY.format(
                name="api",
                types="Egress",
                rules="egress: [{to: [{podSelector: {}}, {ipBlock: {cidr: '2001:db8::/32'}}]}]",
            ),
            says="its egress ipBlocks are all IPv6: its pods have IPv4, too",
        ),
    ),
    good=(
        Example(title="both families", cluster=_DUAL, object=_ingress("0.0.0.0/0", "::/0")),
        Example(title="pods of one family", cluster=_POD.format(ips="{ip: 10.244.1.5}"), object=_ingress("0.0.0.0/0")),
        Example(
            title="another policy names the other family",
            cluster=_DUAL + "---" + _ingress("::/0", name="api-6"),
            object=_ingress("0.0.0.0/0"),
        ),
        Example(
            title="another rule lets everybody in",
            cluster=_DUAL,
            object=_POLICY.format(
                name="api",
                types="Ingress",
                rules="ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}, {ports: [{port: 80}]}]",
            ),
        ),
    ),
)
