"""Policies in engines' own APIs beside what is under review: which pods they may be about, and what is uncertain then.

What is concluded from NetworkPolicies alone, that nothing else lets pods through or that nothing else isolates them, is
not certain of pods that Calico's, Cilium's or Antrea's policies may be about: it is a note then, and said to be unknown
(CHECKS.md, conduct 7). Policies count where their engine is there, or nobody knows; what exactly they let through is
not worked out.
"""

from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from functools import cached_property
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from webhook.check import Context, OfReview, count, enumerate_some
from webhook.enforcement.own_policies import ENGINES, Effects, effects_of, selections_of
from webhook.model.cluster import PodClass
from webhook.model.objects import CILIUM_POLICIES, ENGINE_POLICIES, NAME_LABEL, NAMESPACE, Direction, EnginePolicy
from webhook.model.objects import Namespace as NamespaceRecord
from webhook.model.selectors import Selector

_STEPS_OF_A_POLICY: Final = 10


class May(Enum):
    """What of the effects of another policy matters to a conclusion."""

    ALLOW = "allow"
    """It may let through what NetworkPolicies do not: nothing is certainly cut."""
    DENY = "deny"
    """It may hold back what NetworkPolicies let through."""
    CLOSE = "close"
    """So it may, or isolate on its own: nothing is certainly open."""
    EITHER = "either"


class _Part(NamedTuple):
    """Rules that may be about pods of a namespace; ``pods`` says of which."""

    policy: EnginePolicy
    effects: dict[Direction, Effects]
    pods: Selector
    exact: bool


class OtherPolicies(OfReview):
    """The engines' own policies that count for one review.

    Args:
        ctx: the review.
    """

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        carried_out = ctx.enforcement.engine_policies
        self._counted = frozenset(kind for kind in ENGINE_POLICIES if carried_out.get(kind) is not False)
        self.unread = tuple(
            kind for kind in ENGINE_POLICIES if carried_out.get(kind) is True and not ctx.cluster.complete(kind)
        )
        """The kinds that the engine carries out, and of which not all is known."""
        self._parts: dict[str, Sequence[_Part]] = {}

    @cached_property
    def any(self) -> bool:
        """Whether anything is there that may matter, for a short look."""
        return bool(self.unread) or self._there

    @cached_property
    def _there(self) -> bool:
        """Whether there are any of these policies."""
        return any(self._ctx.cluster.keys(kind) for kind in self._counted)

    def about(self, of: PodClass, direction: Direction, may: May = May.EITHER) -> list[EnginePolicy]:
        """The policies that may be about these pods, and do such a thing in this direction."""
        parts = self._of(of.namespace)
        self._ctx.spend(len(parts))
        found: dict[tuple[str, tuple[str, str]], EnginePolicy] = {}
        for part in parts:
            if _does(part.effects[direction], may):
                self._ctx.spend(len(part.pods.terms))
                if of.matched_by(part.pods):
                    found[part.policy.kind, part.policy.key] = part.policy
        return list(found.values())

    def about_any(
        self, classes: Iterable[PodClass], directions: Iterable[Direction], may: May = May.EITHER
    ) -> list[EnginePolicy]:
        """The same of any of these pods in any of these directions."""
        found: dict[tuple[str, tuple[str, str]], EnginePolicy] = {}
        if self._there:
            every = tuple(directions)
            for of in classes:
                for direction in every:
                    found.update(((p.kind, p.key), p) for p in self.about(of, direction, may))
        return list(found.values())

    def doubtful(self, of: PodClass, direction: Direction, may: May = May.EITHER) -> bool:
        """Whether of these pods nothing is certain that NetworkPolicies alone say."""
        return bool(self.unread) or bool(self.about(of, direction, may))

    def surely_about(self, policy: EnginePolicy, classes: Iterable[PodClass]) -> bool:
        """Whether a policy is certainly about some of these pods: its selectors are of labels alone."""
        return any(
            part.policy is policy and part.exact and of.matched_by(part.pods)
            for of in classes
            for part in self._of(of.namespace)
        )

    def _of(self, namespace: str) -> Sequence[_Part]:
        found = self._parts.get(namespace)
        if found is None:
            found = self._parts[namespace] = list(self._find(namespace))
        return found

    def _find(self, namespace: str) -> Iterable[_Part]:
        cluster = self._ctx.cluster
        every = [*cluster.engine_policies_in(namespace), *(cluster.engine_policies_in("") if namespace else ())]
        for policy in every:
            if policy.kind not in self._counted:
                continue
            self._ctx.spend(_STEPS_OF_A_POLICY * (1 + sum(len(rules.subjects) for rules in policy.rules)))
            for rules in policy.rules:
                effects: dict[Direction, Effects] = {
                    "Ingress": effects_of(policy, rules, "Ingress"),
                    "Egress": effects_of(policy, rules, "Egress"),
                }
                for selection in selections_of(policy, rules):
                    here = self._selects(selection.namespaces, namespace)
                    if here is not False:
                        yield _Part(policy, effects, selection.pods, selection.exact and here is True)

    def _selects(self, selector: Selector, namespace: str) -> bool | None:
        """Whether a namespace has such labels; None where they are not known."""
        self._ctx.spend(len(selector.terms))
        known = isinstance(self._ctx.cluster.get(NAMESPACE, ("", namespace)), NamespaceRecord)
        found = self._ctx.cluster.namespace(namespace)
        labels = {NAME_LABEL: namespace} if found is None else found.labels
        told = [term for term in selector.terms if known or term.key == NAME_LABEL]
        if not all(term.matches(labels) for term in told):
            return False
        return True if len(told) == len(selector.terms) else None

    # --- words

    def doubt(self, classes: Iterable[PodClass], direction: Direction, may: May, means: str, question: str) -> str:
        """Why a conclusion about these pods is not certain, in place of what it means; also noted as unknown.

        Args:
            classes: the pods.
            direction: of their traffic.
            may: what would make the conclusion wrong.
            means: what such a policy may do, ``may allow it``.
            question: what was not judged, ``whether pods may ask for names``.

        Returns:
            ``CiliumNetworkPolicy dns may allow it``; empty where nothing speaks against it.
        """
        found = self.about_any(classes, (direction,), may)
        if found:
            them = plural({policy.kind for policy in found})
            self._ctx.unknown.add(f"{them}: what they let through is not counted, so {question} was not judged")
            return f"{self.name(found)} {means}"
        if self.unread:
            them = plural(self.unread)
            self._ctx.unknown.add(f"{them}: not all are known, so {question} was not judged")
            return f"{them}, which are not known, {means}"
        return ""

    def name(self, policies: Collection[EnginePolicy]) -> str:
        """``CiliumNetworkPolicy dns``; those of others are counted where they may not be named."""
        ctx = self._ctx
        told = [p for p in policies if ctx.may_name(p.kind, p.namespace)]
        names = sorted(
            f"{title(p.kind)} {p.name if p.namespace in {'', ctx.namespace} else '/'.join(p.key)}" for p in told
        )
        if len(told) == len(policies):
            return enumerate_some(names, 2)
        rest = [p for p in policies if p not in told]
        engine = ENGINES[rest[0].kind]
        return enumerate_some([*names, count(len(rest), f"other policy of {engine}", f"other policies of {engine}")], 2)


def title(kind: str) -> str:
    """``CiliumNetworkPolicy``, ``Calico GlobalNetworkPolicy``: two engines call theirs as others do."""
    word = kind.rpartition("/")[2]
    return word if kind in CILIUM_POLICIES else f"{ENGINES[kind]} {word}"


def plural(kinds: Collection[str]) -> str:
    """``CiliumNetworkPolicies and Calico GlobalNetworkPolicies``."""
    return " and ".join(sorted(f"{title(kind).removesuffix('y')}ies" for kind in kinds))


def _does(effects: Effects, may: May) -> bool:
    closes = effects.denies or effects.isolates
    match may:
        case May.ALLOW:
            return effects.allows
        case May.DENY:
            return effects.denies
        case May.CLOSE:
            return closes
        case _:
            return effects.allows or closes


_memory: Final[WeakKeyDictionary[Context, OtherPolicies]] = WeakKeyDictionary()


def other_policies(ctx: Context) -> OtherPolicies:
    """The engines' own policies that count for a review; all its checks share them."""
    found = _memory.get(ctx)
    if found is None:
        found = _memory[ctx] = OtherPolicies(ctx)
    return found
