"""What a change of policies does to traffic, as people and programs read it (CONTRACT.md, effects).

A flow that only loses ports which its destination does not even declare is no news to a person, and is left out of the
lines; programs get every flow.
"""

import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Final, NamedTuple

from webhook.check import MOST_STEPS, Context, Disclosure, Listing, Operation, View, count, enumerate_some
from webhook.enforcement import Pin, State
from webhook.impact import impact
from webhook.model.cluster import Cluster
from webhook.model.objects import Direction, NetworkPolicy
from webhook.other_policies import other_policies
from webhook.parties import MOST_NAMES, Parties, describe_ports
from webhook.reach.change import Change
from webhook.reach.connectivity import matrices
from webhook.reach.diff import rows_beyond
from webhook.reach.flows import Row
from webhook.reach.graph import graph_of
from webhook.reach.policy import ports_of
from webhook.reach.ports import ALL_PORTS, NO_PORTS, Ports, joined, subtraction
from webhook.reach.relation import bits_of
from webhook.reach.scenario import Scenario

MOST_LINES: Final = 5
MOST_STEPS_OF_FILES: Final = 20 * MOST_STEPS
"""Nobody else waits for the command line."""
_NAMES: Final = range(MOST_NAMES, 0, -1)
"""How many are named on each side: as many as there is room for."""
_BOTH: Final[tuple[Direction, ...]] = ("Ingress", "Egress")


# --- for programs


class EffectsOfFiles:
    """What the policies that arrive in files change, measured from the state plus every other object of the files.

    It is worked out while it is read: of a whole cluster's policies it is millions of flows.

    Args:
        cluster: the state with the files' objects in it.
    """

    def __init__(self, cluster: Cluster) -> None:
        graph = graph_of(cluster)
        self._before, self._after = Scenario(graph, cluster.arriving_policies), Scenario(graph)
        self._was, self._will = matrices(self._before, self._after)

    @property
    def flows(self) -> Iterator[tuple[str, Row]]:
        """What is cut, then what is opened."""
        for change, state, base in (("cut", self._was, self._will), ("opened", self._will, self._was)):
            for row in rows_beyond(state, base):
                yield change, row

    @property
    def workloads(self) -> Iterator[tuple[str, str, str]]:
        """Who is isolated or freed, each with its name and the direction."""
        for endpoint in self._will.endpoints.values():
            for direction in _BOTH:
                was, now = (bool(s.stack(endpoint.cell, direction).own) for s in (self._before, self._after))
                if was != now:
                    yield "isolated" if now else "freed", endpoint.name, direction.lower()


def effects_of_files(cluster: Cluster) -> EffectsOfFiles | None:
    """What the policies of files change; None where there are none."""
    return EffectsOfFiles(cluster) if cluster.arriving_policies else None


# --- for people


def effect_lines_of_files(cluster: Cluster, pin: Pin = Pin.AUTO) -> list[str]:
    """What the policies that arrive in files do together, as `effect_lines` says it of one; with all namespaces.

    Args:
        cluster: the state with the files in it.
        pin: what the configuration says of enforcement.

    Raises:
        TooLargeError: it takes more steps than are left.
    """
    ctx = Context(Operation.CREATE, None, cluster, view=View.CHECK, disclosure=Disclosure.CLUSTER, pin=pin)
    if not cluster.arriving_policies or ctx.enforcement.state is State.NOT_ENFORCED:
        return []
    ctx.steps = MOST_STEPS_OF_FILES
    return _told(ctx, _Telling(ctx, Change(graph_of(cluster), dict(cluster.arriving_policies), {})))


class _Line(NamedTuple):
    """A line, how much it matters, and what it would have named (`Context.wished`)."""

    weight: tuple[int, int]
    text: str
    wished: Mapping[Listing, None]


def effect_lines(ctx: Context, room: int = sys.maxsize) -> list[str]:
    """What the policy under review does, most important first, all of it; nothing where no engine enforces it.

    Where policies in an engine's own API may be about the same pods, it is said first that they are not counted. In
    `Context.wished` is afterwards what the first `MOST_LINES` would have named: the others nobody reads.

    Args:
        ctx: the policy under review.
        room: so long a line should be at most: where it would be longer, fewer are named.

    Raises:
        TooLargeError: it takes more steps than are left.
    """
    if not isinstance(ctx.judged, NetworkPolicy) or ctx.enforcement.state is State.NOT_ENFORCED:
        return []
    return _told(ctx, _Telling(ctx, impact(ctx), room))


def _told(ctx: Context, found: "_Telling") -> list[str]:
    lines = sorted([*found.flows(), *found.isolations()], key=lambda line: line.weight, reverse=True)
    ctx.wished = {}
    not_counted = found.not_counted() if lines else []
    for line in lines[: MOST_LINES - len(not_counted)]:
        ctx.wished |= line.wished
    return [*not_counted, *(line.text for line in lines)]


class _Telling:
    """Puts a change into lines about workloads, within the disclosure rule."""

    def __init__(self, ctx: Context, change: Change, room: int = sys.maxsize) -> None:
        self._ctx = ctx
        self._change = change
        self._room = room
        self._parties = Parties(ctx, change.graph)

    def not_counted(self) -> list[str]:
        """What else decides about the pods whose traffic changes."""
        others = other_policies(self._ctx)
        near = ((direction, [c.of for c in self._change.touched(direction)]) for direction in _BOTH)
        policies = {(p.kind, p.key): p for d, classes in near for p in others.about_any(classes, (d,))}
        if not policies:
            return []
        told = f"by NetworkPolicies alone: {others.name(list(policies.values()))} not counted"
        return [
            told
            if len(told) <= self._room
            else f"by NetworkPolicies alone: {count(len(policies), 'other')} not counted"
        ]

    def flows(self) -> Iterator[_Line]:
        """What is cut, then what is opened; whole connections before single ports."""
        for severity, verb, opened in ((4, "cuts", False), (2, "opens", True)):
            for direction in _BOTH:
                for subjects, on, others, wished in self._with_ports(direction, opened=opened):
                    self._ctx.wished = wished
                    yield self._fitting(
                        _Line((severity + (not on), number), f"{verb} {' -> '.join(ends)}{on}", wished)
                        for ends, number in self._ends(direction, subjects, others)
                    )

    def isolations(self) -> Iterator[_Line]:
        """Who becomes restricted, or open, in a direction: a policy that lets everything through does neither."""
        change = self._change
        everyone = {ALL_PORTS: change.after.everyone()}
        for direction in _BOTH:
            isolated = [c for c in change.isolated(direction) if change.after.row(c, direction) != everyone]
            freed = [c for c in change.freed(direction) if change.before.row(c, direction) != everyone]
            for verb, cells in (("isolates", isolated), ("frees", freed)):
                names = sorted({name for cell in cells for name in self._parties.workloads(cell)})
                told = [self._parties.own(n) for n in names]
                if told:
                    what = f"{verb} {direction.lower()} of"
                    yield self._fitting(_Line((1, len(told)), f"{what} {enumerate_some(told, n)}", {}) for n in _NAMES)

    def _with_ports(
        self, direction: Direction, *, opened: bool
    ) -> Iterator[tuple[Sequence[str], str, int, dict[Listing, None]]]:
        """The flows with the ports as far as may be told, and what would have been named beside.

        On which ports pods of other namespaces listen is theirs: of those who may not be named only such are told as
        the policy itself gives by number.
        """
        elsewhere: dict[tuple[str, ...], tuple[int, dict[Listing, None]]] = {}
        for subjects, ports, others in self._flows(direction, opened=opened):
            wished: dict[Listing, None] = {}
            if ports == ALL_PORTS:
                yield subjects, "", others, wished
                continue
            told = others
            if direction == "Egress" and not self._are_given(ports):
                self._ctx.wished = wished
                told = self._parties.tellable(others)
            if told:
                yield subjects, f" on {describe_ports(ports)}", told, wished
            if untold := others & ~told:
                before, wished_before = elsewhere.get(tuple(subjects), (0, {}))
                elsewhere[tuple(subjects)] = before | untold, wished_before | wished
        for subjects, (untold, wished) in elsewhere.items():
            yield subjects, " on some ports", untold, wished

    def _are_given(self, ports: Ports) -> bool:
        """Whether the policy, or what it replaces, gives these ports by number, or all but these."""
        others = subtraction(ALL_PORTS, ports)
        return NO_PORTS in (subtraction(ports, self._given), subtraction(others, self._given))

    @cached_property
    def _given(self) -> Ports:
        found: list[tuple[int, int]] = []
        for policy in (self._ctx.judged, self._ctx.old):
            for path, rule in policy.rules() if isinstance(policy, NetworkPolicy) else ():
                self._ctx.spend(1 + len(rule.ports))
                for port in rule.ports if path.startswith("spec.egress") else ():
                    found += ports_of(port)
        return joined(found)

    def _ends(
        self, direction: Direction, subjects: Sequence[str], others: int
    ) -> Iterator[tuple[tuple[str, str], int]]:
        """Source and destination, with ever fewer names, and how many the others are."""
        for most in _NAMES:
            subject, (who, number) = enumerate_some(subjects, most), self._parties.who(others, most)
            yield ((who, subject) if direction == "Ingress" else (subject, who)), number

    def _fitting(self, lines: Iterator[_Line]) -> _Line:
        """The first of these that there is room for; where there is none, the names are worth a long line."""
        first = next(lines)
        return next((line for line in chain((first,), lines) if len(line.text) <= self._room), first)

    def _flows(self, direction: Direction, *, opened: bool) -> Iterator[tuple[Sequence[str], Ports, int]]:
        """Subjects, ports, and the others: what matters of the flows, the subjects that lose alike put together."""
        change = self._change
        alike: dict[tuple[Ports, int], list[str]] = {}
        flows = change.opened(direction) if opened else change.cut(direction)
        for cell, relation in flows:
            names = self._parties.workloads(cell)
            if not cell.pods and any(self._running[name] for name in names):
                continue  # a template whose pods are told of
            itself = 0
            if all(self._running[name] <= 1 for name in names) and len(cell.pods) == len(names):
                itself = self._same(names)  # a pod reaches itself whatever is said
            kept = change.partners_before(cell, direction) if opened else change.partners_after(cell, direction)
            for ports, others in self._parties.of_interest(cell, relation, kept, direction).items():
                self._ctx.spend(4)
                if left := others & ~itself:
                    alike.setdefault((ports, left), []).extend(map(self._parties.own, names))
        for (ports, others), names_alike in alike.items():
            yield sorted(set(names_alike)), ports, others

    @cached_property
    def _running(self) -> Counter[str]:
        """How many pods the touched workloads have."""
        found: Counter[str] = Counter()
        for cell in self._change.near:
            names = self._parties.workloads(cell)
            if len(names) == 1:
                found[names[0]] += len(cell.pods)
            else:
                found.update(names)
        return found

    def _same(self, names: Collection[str]) -> int:
        """The touched cells of the same single workload."""
        if len(names) != 1:
            return 0
        return bits_of([c.number for c in self._change.near if self._parties.workloads(c) == tuple(names)])
