"""The steps egress and ingress in words: which policies isolate, which rule lets a connection through, or why none."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from webhook.lookup.behind import Endpoint
from webhook.model.objects import Direction
from webhook.reach.cidr import WHOLE_IPV4, Range, merged
from webhook.reach.explain import Explainer, Party, Place, Reason, Side, UnknownNameError, Verdict, View
from webhook.reach.graph import Cell
from webhook.reach.policy import Policy, Rule
from webhook.reach.ports import ALL_PORTS, NO_PORTS, Ports, intersection, union
from webhook.reach.wording import peer_to_write, ports_text, ranges_text, rule_text, why_not

StepName: TypeAlias = Literal["lookup", "service", "egress", "ingress"]
_MOST_RULES: Final = 6
"""Rules of which it is said why they do not fit."""
_MOST_NAMED: Final = 3
"""Policies that are named in one line."""


class Step(Struct, frozen=True):
    """One step on the way, in the order of the traffic.

    Args:
        step: which one.
        ok: whether it works; None where that cannot be told.
        says: what was seen and what it means; no full stop.
        details: policies and rules, one a line.
        needed: what to write instead, where the step fails.
    """

    step: StepName
    ok: bool | None
    says: str
    details: tuple[str, ...] = ()
    needed: str = ""


class Target(Struct, frozen=True):
    """Where a connection arrives: who takes it, and on which port."""

    party: Party
    asked: Ports


def place_of(explainer: Explainer, endpoint: Endpoint) -> Place | None:
    """Where an endpoint is; None for a pod that has finished meanwhile, or a host name in an EndpointSlice."""
    if not isinstance(endpoint.at, str):
        return explainer.member(endpoint.at)
    try:
        return explainer.address(endpoint.at)
    except UnknownNameError:
        return None


class Passage(Struct, frozen=True):
    """What the policies on both sides make of connections to all of several targets.

    Args:
        allowed: whether all of them are let through.
        partly: whether some are, and not all.
        ports: where all ports are asked for: those on which all can connect.
        egress, ingress: what each side says.
        steps: the same in words.
    """

    allowed: bool
    partly: bool
    ports: Ports
    egress: Side
    ingress: Side
    steps: tuple[Step, ...]


def passage(explainer: Explainer, sources: Party, targets: Sequence[Target], src: str, dst: str) -> Passage:
    """Judges both sides of connections.

    Args:
        explainer: the state.
        sources: who connects.
        targets: where to; at least one.
        src: how the sources are called.
        dst: how the targets are.
    """
    verdicts = [explainer.judge(sources, target.party, target.asked) for target in targets]
    every = all(v.allowed for v in verdicts)
    some = any(v.allowed or v.partly for v in verdicts)
    ports: Ports = ALL_PORTS
    for verdict in verdicts:
        ports = intersection(ports, verdict.ports)
    words = _Words(explainer, sources, targets, src, dst, verdicts)
    egress, ingress = _merged(v.egress for v in verdicts), _merged(v.ingress for v in verdicts)
    steps = words.step("Egress", egress), words.step("Ingress", ingress)
    if not every and all(step.ok for step in steps) and targets[0].asked != ALL_PORTS:
        told = "each side lets it through by addresses of one family, but not both by those of the same"
        steps = steps[0], Step("ingress", ok=False, says=told)
    return Passage(every, some and not every, ports, egress, ingress, steps)


def _merged(sides: Iterable[Side]) -> Side:
    """What several sides say together: of each policy, that it lets something through if it does so anywhere."""
    every = list(dict.fromkeys(sides))
    if len(every) == 1:
        return every[0]
    reasons: dict[tuple[str, str], Reason] = {}
    for side in every:
        for reason in side.policies:
            known = reasons.get((reason.kind, reason.name))
            if known is None or known.rule is None:
                reasons[reason.kind, reason.name] = reason
    return Side(all(s.allowed for s in every), any(s.isolated for s in every), tuple(reasons.values()))


class _Pair(Struct, frozen=True):
    """One end, the other, what the policies on the first say of the second, and on which ports it is asked."""

    own: Place
    other: Place
    view: View
    asked: Ports


class _Words:
    def __init__(
        self,
        explainer: Explainer,
        sources: Party,
        targets: Sequence[Target],
        src: str,
        dst: str,
        verdicts: Sequence[Verdict],
    ) -> None:
        self._explainer = explainer
        self._sources = sources
        self._targets = targets
        self._names: dict[Direction, str] = {"Egress": src, "Ingress": dst}
        self._verdicts = verdicts

    def step(self, direction: Direction, side: Side) -> Step:
        name: StepName = "egress" if direction == "Egress" else "ingress"
        who = self._names[direction]
        own = self._own(direction)
        if all(place.outside for place in own):
            return Step(name, ok=True, says=f"{who} is outside: no policy of this cluster is there")
        if all(isinstance(p.where, Cell) and p.where.host_network for p in own):
            return Step(name, ok=True, says=f"{who} is in its node's network: policies do not bind it")
        pairs = list(self._pairs(direction))
        restricted = [pair for pair in pairs if pair.view.restricted]
        if not pairs:
            node = next((v.node for v in self._verdicts if v.node), "")
            told = f"policies do not part pods from their own node, {node}" if node else "a pod always reaches itself"
            return Step(name, ok=True, says=told)
        if not restricted:
            return Step(name, ok=True, says=f"no policy selects {who} for {name}")
        if side.allowed:  # all pairs: the first stands for the others
            first = restricted[0]
            return Step(name, ok=True, says=_let_through(first, direction), details=tuple(_others(first)))
        stopped = next(pair for pair in restricted if intersection(pair.asked, pair.view.ports) != pair.asked)
        return self._stopped(name, stopped, pairs, direction)

    def _own(self, direction: Direction) -> Sequence[Place]:
        if direction == "Egress":
            return self._sources.shown
        return [place for target in self._targets for place in target.party.shown]

    def _pairs(self, direction: Direction) -> Iterator[_Pair]:
        """The pairs that policies can part, one of each kind."""
        for target in self._targets:
            for source in self._sources.shown:
                for destination in target.party.shown:
                    ends = (source, destination) if direction == "Egress" else (destination, source)
                    view = self._explainer.view(*ends, direction)
                    if view is not None:
                        yield _Pair(*ends, view, target.asked)

    def _stopped(self, name: StepName, pair: _Pair, pairs: Sequence[_Pair], direction: Direction) -> Step:
        view, asked = pair.view, pair.asked
        through = intersection(asked, view.ports)
        who = self._called(pair.own, direction)
        other = self._called(pair.other, "Ingress" if direction == "Egress" else "Egress")
        way = f"out to {other}" if direction == "Egress" else f"in from {other}"
        denying = _denying(view, asked)
        if denying is not None:
            policy, i = denying
            says = f"{policy.kind} {policy.name}, rule {i}, denies {ports_text(asked)} {way}"
        else:
            # Where there are NetworkPolicies, they decide what administrators' rules have not decided before.
            own = [p for p, _ in view.policies if p.tier == "NetworkPolicy"]
            names = [f"{p.kind} {p.name}" for p in own or [p for p, _ in view.policies]]
            isolate, let = ("isolates", "lets") if len(names) == 1 else ("isolate", "let")
            what = (
                f"only {ports_text(through)}"
                if through
                else "nothing"
                if asked == ALL_PORTS
                else f"no {ports_text(asked)}"
            )
            says = f"{_listed(names)} {isolate} {who}, and {let} {what} {way}"
        better = next((p for p in pairs if intersection(p.asked, p.view.ports) == p.asked), None)
        if better is not None:
            says += f"; {better.own.name} and {better.other.name} can connect"
        details = tuple(self._why(pair, direction))
        if asked == ALL_PORTS and through:
            return Step(name, ok=True, says=says, details=details)
        return Step(name, ok=False, says=says, details=details, needed=self._needed(pair, direction))

    def _called(self, place: Place, direction: Direction) -> str:
        """As the user calls it, where the name stands for just this one."""
        return self._names[direction] if len(self._own(direction)) == 1 else place.name

    def _why(self, pair: _Pair, direction: Direction) -> Iterator[str]:
        """Each policy with the rule that fits, or why its rules do not."""
        left = _MOST_RULES
        for policy, seen in pair.view.policies:
            fitting = [i for i, _, ports in seen if intersection(ports, pair.asked)]
            rules = policy.rules(direction) or ()
            if fitting:
                yield _rule_line(policy, fitting[0], rules[fitting[0]], direction)
                continue
            if not rules:
                yield f"{policy.kind} {policy.name} has no {direction.lower()} rule"
            for i, rule in enumerate(rules[:left]):
                yield f"{_rule_line(policy, i, rule, direction)}; {self._why_not(rule, pair, direction)}"
            if len(rules) > left:
                yield f"{policy.kind} {policy.name}: {len(rules) - left} more rules"
            left = max(left - len(rules), 0)

    def _why_not(self, rule: Rule, pair: _Pair, direction: Direction) -> str:
        assert isinstance(pair.own.where, Cell)  # noqa: S101 - only these have policies
        return why_not(self._explainer.graph, rule, pair.own.where, pair.other, pair.asked, direction)

    def _needed(self, pair: _Pair, direction: Direction) -> str:
        denying = _denying(pair.view, pair.asked)
        if denying is not None:
            policy, _ = denying
            if policy.tier == "Baseline":
                return f"a NetworkPolicy that lets it through goes before {policy.kind} {policy.name}"
            return f"only a change of {policy.kind} {policy.name} helps: it goes before every NetworkPolicy"
        own = next((p for p, _ in pair.view.policies if p.tier == "NetworkPolicy"), None)
        if own is None:
            return ""
        assert isinstance(pair.own.where, Cell)  # noqa: S101
        who = peer_to_write(pair.other, pair.own.where.namespace)
        word = "from" if direction == "Ingress" else "to"
        ports = "" if pair.asked == ALL_PORTS else f" on {ports_text(pair.asked)}"
        return f"an {direction.lower()} rule {word} {who}{ports}, in {own.name} or another policy"


def _let_through(pair: _Pair, direction: Direction) -> str:
    """Which rule lets a connection through."""
    for policy, rules in pair.view.policies:
        decides = next((i for i, _, ports in rules if intersection(ports, pair.asked)), None)
        if decides is not None:
            rule = (policy.rules(direction) or ())[decides]
            if rule.action != "Pass":
                return f"{policy.kind} {policy.name}, rule {decides}, lets it through: {rule_text(rule, direction)}"
    return f"{_listed(f'{p.kind} {p.name}' for p, _ in pair.view.policies)}: no rule denies it"


def _others(pair: _Pair) -> Iterator[str]:
    """The NetworkPolicies that isolate as well, and do not let it through where others do."""
    own = [(policy, rules) for policy, rules in pair.view.policies if policy.tier == "NetworkPolicy"]
    silent = [policy for policy, rules in own if not any(intersection(ports, pair.asked) for _, _, ports in rules)]
    if silent and len(silent) < len(own):
        isolate = "isolates" if len(silent) == 1 else "isolate"
        yield f"{_listed(f'{p.kind} {p.name}' for p in silent)} {isolate} it as well, without a rule for this"


def _rule_line(policy: Policy, i: int, rule: Rule, direction: Direction) -> str:
    action = "" if policy.tier == "NetworkPolicy" else f"{rule.action} "
    return f"{policy.kind} {policy.name}, rule {i}: {action}{rule_text(rule, direction)}"


def _denying(view: View, asked: Ports) -> tuple[Policy, int] | None:
    """The administrator's rule that denies, where that is what decides."""
    left = asked
    tiers = [[(p, r) for p, r in view.policies if p.tier == tier] for tier in ("Admin", "Baseline")]
    isolated = any(p.tier == "NetworkPolicy" for p, _ in view.policies)
    for policies in tiers[:1] if isolated else tiers:
        passed: Ports = NO_PORTS
        for policy, rules in policies:
            for i, action, ports in rules:
                hit = intersection(left, ports)
                if not hit:
                    continue
                if action == "Deny":
                    return policy, i
                if hit == left:
                    if action == "Accept":
                        return None
                    passed = union(passed, hit)
                    left = NO_PORTS
        left = passed or left
    return None


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _MOST_NAMED
    return ", ".join(every[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


# --- the outside ------------------------------------------------------------------------------------------------------


def to_outside(explainer: Explainer, sources: Party, asked: Ports, src: str) -> tuple[Step, Side]:
    """What egress lets out to addresses of the outside that nobody knows: all, none, or some (then it is not known)."""
    reached = [_reached(explainer, source, asked) for source in sources.shown]
    least = min(reached, key=lambda ranges: sum(last - first for first, last in ranges))
    address = least[0][0] if least else 0
    place = Place("", explainer.graph.atom_at(address))
    egress = explainer.judge(sources, Party((place,)), asked).egress
    ports = "" if asked == ALL_PORTS else f" on {ports_text(asked)}"
    if least and least[0][0] == WHOLE_IPV4[0] and least[0][1] >= WHOLE_IPV4[1]:
        return Step("egress", ok=True, says=f"{src} may reach any address of the outside{ports}"), egress
    egress = Side(False, egress.isolated, egress.policies)
    if any(reached):
        says = f"{src} may reach {ranges_text(least)}{ports}: whether its address is there is not known"
        return Step("egress", ok=None, says=says), egress
    names = _listed(f"{r.kind} {r.name}" for r in egress.policies)
    says = f"{src} is isolated by {names}: nothing goes out to addresses of the outside{ports}"
    return Step(
        "egress", ok=False, says=says, needed=f"an egress rule to an ipBlock that holds the address{ports}"
    ), egress


def _reached(explainer: Explainer, source: Place, asked: Ports) -> list[Range]:
    """The outside addresses that the policies on one place let it reach."""
    found: list[Range] = []
    for atom in explainer.graph.atoms:
        view = explainer.view(source, Place("", atom), "Egress")
        if view is None or intersection(asked, view.ports) == asked:
            found.append((atom.first, atom.last))
    return merged(found)
