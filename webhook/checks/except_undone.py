"""Addresses that an ipBlock excepts, and that another rule or policy of the same pods lets through."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from webhook.check import Check, Context, Example, Finding, Level
from webhook.concerned import neighbours
from webhook.model.objects import Direction, NetworkPolicy, NetworkPolicyRule
from webhook.model.selectors import Selector
from webhook.reach.cidr import Range, parse_cidr, ranges_of, without
from webhook.reach.policy import EGRESS, INGRESS, NamedPort, ports_of
from webhook.reach.ports import ALL_PORTS, Ports, intersection, joined, subtraction

_EVERYWHERE: None = None
"""In place of ranges: a rule without peers."""


class _Admission(Struct, frozen=True):
    """What one peer, or a rule without peers, lets through.

    Args:
        at: where it stands: a path, or the policy that it is in.
        ports: those given by number.
        names: those given by name.
        ranges: the addresses; None for all.
    """

    at: str
    ports: Ports
    names: frozenset[NamedPort]
    ranges: tuple[Range, ...] | None

    def lets_through(self, excepted: Range) -> bool:
        """Whether these are all among its addresses."""
        return self.ranges is _EVERYWHERE or not without((excepted,), self.ranges)


def run(ctx: Context) -> Iterator[Finding]:
    for direction in ctx.policy.directions:
        ctx.spend(sum(1 + len(rule.peers) for rule in _rules(ctx.policy, direction)))
        if any(
            peer.ip_block and peer.ip_block.excepted for rule in _rules(ctx.policy, direction) for peer in rule.peers
        ):
            yield from _judge(ctx, direction)


def _judge(ctx: Context, direction: Direction) -> Iterator[Finding]:
    every = [*_admissions(ctx, ctx.policy, direction, own=True), *_of_others(ctx, direction)]
    by_path = {admission.at: admission for admission in every}
    word = "from" if direction == INGRESS else "to"
    for i, rule in enumerate(_rules(ctx.policy, direction)):
        for j, peer in enumerate(rule.peers):
            block = peer.ip_block
            if block is None or not block.excepted:
                continue
            path = f"spec.{direction.lower()}[{i}].{word}[{j}]"
            own = by_path[path]
            others = [a for a in every if a is not own]
            for k, cidr in enumerate(block.excepted):
                ctx.spend(8 * (1 + len(others)))
                excepted = parse_cidr(cidr)
                if excepted is not None and (undone_by := _undoing(ctx, own, others, excepted)):
                    message = f"except {cidr} is undone by {undone_by.removeprefix('spec.')}"
                    yield Finding(f"{path}.ipBlock.except[{k}]", message, "except it there", value=cidr)


def _undoing(ctx: Context, own: _Admission, others: Sequence[_Admission], excepted: Range) -> str:
    """What lets all of the excepted addresses through on all ports of the rule, as a clause; empty where nothing does."""
    if not own.ports and not own.names:
        return ""
    letting = [a for a in others if a.ranges is _EVERYWHERE or _overlap(a.ranges, excepted)]
    for other in letting:
        if _has_ports(other, own) and other.lets_through(excepted):
            return other.at
    if own.names - frozenset().union(*(a.names for a in letting)):
        return ""
    pieces = [own.ports]
    for other in letting:
        ctx.spend(4 * len(pieces))
        pieces = [
            p for piece in pieces for p in (intersection(piece, other.ports), subtraction(piece, other.ports)) if p
        ]
    for piece in pieces:
        there = [a for a in letting if not subtraction(piece, a.ports)]
        ctx.spend(4 * len(there))
        if not any(a.ranges is _EVERYWHERE for a in there) and without(
            (excepted,), (r for a in there for r in a.ranges or ())
        ):
            return ""
    return "other rules together"


def _has_ports(other: _Admission, own: _Admission) -> bool:
    return other.ports == ALL_PORTS or (not subtraction(own.ports, other.ports) and own.names <= other.names)


def _overlap(ranges: Sequence[Range], excepted: Range) -> bool:
    return any(first <= excepted[1] and excepted[0] <= last for first, last in ranges)


# --- what lets addresses through


def _rules(policy: NetworkPolicy, direction: Direction) -> Sequence[NetworkPolicyRule]:
    return policy.spec.ingress if direction == INGRESS else policy.spec.egress


def _admissions(ctx: Context, policy: NetworkPolicy, direction: Direction, *, own: bool) -> Iterator[_Admission]:
    word = "from" if direction == INGRESS else "to"
    for i, rule in enumerate(_rules(policy, direction)):
        ctx.spend(2 + 2 * len(rule.ports) + len(rule.peers))
        ports = joined(r for port in rule.ports for r in ports_of(port)) if rule.ports else ALL_PORTS
        names = frozenset((p.port, p.protocol) for p in rule.ports if isinstance(p.port, str))
        if direction == EGRESS:
            names = frozenset()  # an address has no named ports (facts 2.3.17)
        path = f"spec.{direction.lower()}[{i}]"
        other = f"policy {policy.metadata.name}"
        if not rule.peers:
            yield _Admission(path if own else other, ports, names, _EVERYWHERE)
        for j, peer in enumerate(rule.peers):
            if peer.ip_block is not None:
                ctx.spend(8 * (1 + len(peer.ip_block.excepted)))
                yield _Admission(f"{path}.{word}[{j}]" if own else other, ports, names, ranges_of(peer.ip_block))


def _of_others(ctx: Context, direction: Direction) -> Iterator[_Admission]:
    """What the other policies of at least the same pods let through."""
    mine = ctx.compile(ctx.policy.spec.pod_selector)
    selected = None
    for policy in neighbours(ctx):
        ctx.spend(2)
        if direction not in policy.directions or not _rules(policy, direction):
            continue
        selector = ctx.compile(policy.spec.pod_selector)
        if not _wider(selector, mine):
            if selected is None:
                selected = ctx.selected
            ctx.spend(len(selected) * (1 + len(selector.terms)))
            if not selected or not all(c.matched_by(selector) for c in selected):
                continue
        yield from _admissions(ctx, policy, direction, own=False)


def _wider(selector: Selector, than: Selector) -> bool:
    """Whether it certainly matches all that another one matches."""
    return set(selector.terms) <= set(than.terms)


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {selector}
  policyTypes: [Egress]
  egress: [{rules}]
"""
_ALL_BUT_METADATA = "{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}"
_ALL_BUT_PRIVATE = "{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 192.168.0.0/16]}}]}"
_API = "{matchLabels: {app: api}}"


def _policy(*rules: str, selector: str = "{}", name: str = "outside") -> str:
    return _POLICY.format(name=name, selector=selector, rules=", ".join(rules))


CHECK = Check(
    id="except-undone",
    level=Level.WARNING,
    summary="what an ipBlock excepts is let through by another rule or policy of the same pods",
    rationale="`except` takes addresses out of its own ipBlock, and denies nothing: rules and policies only ever add up. "
    "Any other peer, rule or policy of the same pods that has those addresses lets them through all the same, so the "
    "cloud's metadata service or the private networks that were to be kept out are open (e2e network_policy.go, "
    '"ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed").',
    remedy="Put the same except into the wider rule, or narrow that rule.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="a rule that lets everything through on the same port",
            object=_policy(_ALL_BUT_METADATA.replace("}}]}", "}}], ports: [{port: 80}]}"), "{ports: [{port: 80}]}"),
            says="except 169.254.169.254/32 is undone by egress[1]; except it there",
        ),
        Example(
            title="another policy of the namespace",
            cluster=_policy("{}", name="allow-all"),
            object=_policy(_ALL_BUT_METADATA, selector=_API),
            says="except 169.254.169.254/32 is undone by policy allow-all",
        ),
        Example(
            title="a second peer of the same rule",
            object=_policy(_ALL_BUT_PRIVATE.replace("}}]}", "}}, {ipBlock: {cidr: 10.0.0.0/8}}]}")),
            says="except 10.0.0.0/8 is undone by egress[0].to[1]",
        ),
        Example(
            title="two rules that together have all of it",
            object=_policy(
                _ALL_BUT_PRIVATE,
                "{to: [{ipBlock: {cidr: 10.0.0.0/9}}]}",
                "{to: [{ipBlock: {cidr: 10.128.0.0/9}}]}",
            ),
            says="except 10.0.0.0/8 is undone by other rules together",
        ),
    ),
    good=(
        Example(
            title="a part of it is let through",
            object=_policy(_ALL_BUT_PRIVATE, "{to: [{ipBlock: {cidr: 10.1.0.0/16}}]}"),
        ),
        Example(
            title="all of it, on some ports",
            object=_policy(_ALL_BUT_PRIVATE, "{ports: [{port: 53, protocol: UDP}, {port: 53}]}"),
        ),
        Example(
            title="the same addresses are excepted again",
            cluster=_policy(_ALL_BUT_METADATA, name="all"),
            object=_policy(_ALL_BUT_METADATA),
        ),
        Example(
            title="pods of the cluster, by label",
            object=_policy(_ALL_BUT_PRIVATE, "{to: [{namespaceSelector: {}}]}"),
        ),
        Example(
            title="a policy of other pods",
            cluster=_policy("{}", selector=_API, name="api"),
            object=_policy(_ALL_BUT_METADATA),
        ),
        Example(
            title="another direction",
            object=_policy(_ALL_BUT_METADATA).replace("[Egress]", "[Ingress, Egress]") + "  ingress: [{}]",
        ),
    ),
)
