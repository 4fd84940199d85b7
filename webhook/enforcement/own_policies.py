"""What policies in engines' own APIs mean beside NetworkPolicies: which pods they may be about, and what they may do.

Whom they are about is told as far as labels tell it, and rather too many than too few; from whom and on what port is
not looked at: what such a policy *may* do is enough to know that nothing is certain about a pod.

- Cilium joins its policies with NetworkPolicies: what either allows passes, but for what a deny rule is about. A pod
  that one selects is closed but for that, as by a NetworkPolicy.
- Calico goes through tiers, and within a tier by ``order``; NetworkPolicies are in the tier ``default`` at 1000 and
  only allow. The first rule that matches decides. What no rule of a tier matches is dropped at its end, for the pods
  that any policy of that tier selects. So an Allow may let through more, whatever its order, and a Deny less if it
  comes before.
- Antrea goes through its tiers before NetworkPolicies, but for the tier ``baseline``, which decides about pods alone
  that no NetworkPolicy selects. Only what a Drop or Reject matches is closed.

Sources: cilium Documentation/security/policy, pkg/policy/api/rule_validation.go; docs.tigera.io
reference/resources/tier ("How policy is evaluated") and globalnetworkpolicy, calico libcalico-go
lib/backend/k8s/conversion (order, ``knp.``) and lib/selector; antrea docs/antrea-network-policy.md.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from webhook.model.objects import (
    ANTREA_POLICIES,
    CALICO_POLICIES,
    CILIUM_POLICIES,
    NAME_LABEL,
    Direction,
    EnginePolicy,
    EngineRules,
    EngineSubject,
    LabelSelector,
)
from webhook.model.selectors import Selector, Term, compile_selector

ENGINES: Final = {
    **dict.fromkeys(CALICO_POLICIES, "Calico"),
    **dict.fromkeys(CILIUM_POLICIES, "Cilium"),
    **dict.fromkeys(ANTREA_POLICIES, "Antrea"),
}
"""Whose API each kind is."""
_DEFAULT_TIER: Final = "default"
_OF_NETWORK_POLICIES: Final = 1000.0
"""Their order in Calico's tier ``default`` (conversion.go K8sNetworkPolicyToCalico)."""
_CONVERTED: Final = ("knp.", "kanp.", "kbanp.", "kcnp.")
"""How Calico's API server names what it shows of Kubernetes' own policies; nobody may make one of such a name."""
_BASELINE: Final = "baseline"


class Effects(NamedTuple):
    """What rules may do in a direction to pods that they are about, beside NetworkPolicies.

    Args:
        allows: let through what no NetworkPolicy does.
        denies: hold back what NetworkPolicies let through.
        isolates: close, in part at least, a pod that no NetworkPolicy selects.
    """

    allows: bool
    denies: bool
    isolates: bool


class Selection(NamedTuple):
    """The pods that a subject is about.

    Args:
        namespaces: of the namespaces' labels.
        pods: of the pods' labels.
        exact: False where they may be fewer.
    """

    namespaces: Selector
    pods: Selector
    exact: bool


def effects_of(policy: EnginePolicy, rules: EngineRules, direction: Direction) -> Effects:
    """What rules of a policy may change for their pods."""
    actions, isolates = rules.actions(direction), direction in rules.isolates
    if policy.kind in CILIUM_POLICIES:
        return Effects("Allow" in actions, "Deny" in actions, isolates)
    if policy.kind in CALICO_POLICIES:
        if not isolates:
            return Effects(allows=False, denies=False, isolates=False)
        elsewhere = policy.tier not in {"", _DEFAULT_TIER}
        early = elsewhere or (policy.order is not None and policy.order <= _OF_NETWORK_POLICIES)
        return Effects(
            not {"Allow", "Pass"}.isdisjoint(actions), elsewhere or (early and "Deny" in actions), isolates=True
        )
    baseline, closes = policy.tier.lower() == _BASELINE, not {"Drop", "Reject"}.isdisjoint(actions)
    return Effects("Allow" in actions and not baseline, closes and not baseline, closes)


def selections_of(policy: EnginePolicy, rules: EngineRules) -> Iterator[Selection]:
    """The pods that rules of a policy may be about; in its own namespace alone, where it has one."""
    if policy.kind in CALICO_POLICIES and policy.name.startswith(_CONVERTED):
        return
    for subject in rules.subjects:
        if policy.kind in CILIUM_POLICIES:
            found = _of_cilium(subject)
        elif policy.kind in CALICO_POLICIES:
            found = _of_calico(subject)
        else:
            found = _of_antrea(subject)
        if found is not None:
            yield found


# --- Antrea


def _of_antrea(subject: EngineSubject) -> Selection | None:
    if not {"externalEntitySelector", "nodeSelector"}.isdisjoint(subject.others):
        return None
    return Selection(_compiled(subject.namespaces), _compiled(subject.pods), exact=not subject.others)


def _compiled(written: LabelSelector | str | None) -> Selector:
    return compile_selector(written) if isinstance(written, LabelSelector) else Selector()


# --- Cilium

_SOURCES: Final = ("k8s:", "any:")
_NAMESPACE_KEY: Final = "io.kubernetes.pod.namespace"
_NAMESPACE_LABELS: Final = "io.cilium.k8s.namespace.labels."
_IDENTITY: Final = "io.cilium.k8s."
"""ServiceAccount and cluster: labels of the pod's identity, not of the pod."""


def _of_cilium(subject: EngineSubject) -> Selection | None:
    namespaces: list[Term] = []
    pods: list[Term] = []
    exact = True
    for term in _compiled(subject.pods).terms:
        key = term.key
        for source in _SOURCES:
            key = key.removeprefix(source)
        if ":" in key:
            if term.positive:
                return None  # reserved:host and the like are no pods
            exact = False
        elif key == _NAMESPACE_KEY:
            namespaces.append(Term(NAME_LABEL, term.operator, term.values))
        elif key.startswith(_NAMESPACE_LABELS):
            namespaces.append(Term(key.removeprefix(_NAMESPACE_LABELS), term.operator, term.values))
        elif key.startswith(_IDENTITY):
            exact = False
        else:
            pods.append(Term(key, term.operator, term.values))
    return Selection(Selector(tuple(namespaces)), Selector(tuple(pods)), exact)


# --- Calico

_KEY: Final = r"(?P<key>[\w./-]+)"
_VALUE: Final = r"(?:\"[^\"]*\"|'[^']*')"
_EQUALITY: Final = re.compile(rf"{_KEY}\s*(?P<operator>==|!=)\s*(?P<value>{_VALUE})")
_AMONG: Final = re.compile(rf"{_KEY}\s+(?P<operator>in|not\s+in)\s*\{{(?P<values>\s*(?:{_VALUE}\s*,?\s*)*)\}}")
_HAS: Final = re.compile(rf"(?P<operator>!?)\s*has\(\s*{_KEY}\s*\)")
_ALL: Final = re.compile(r"all\(\s*\)")
_GLOBAL: Final = re.compile(r"global\(\s*\)")
_CALLS: Final = re.compile(r"(?:all|global)\(\s*\)|has\(\s*[\w./-]+\s*\)")
_NAMESPACE_OF_POD: Final = "projectcalico.org/namespace"
_NAME_OF_NAMESPACE: Final = "projectcalico.org/name"
_INHERITED: Final = "pcns."
_OF_IDENTITY: Final = ("projectcalico.org/", "pcsa.")


class _Terms(NamedTuple):
    """What an expression wants; without what was not understood, so that it is true of too many then."""

    terms: tuple[Term, ...]
    exact: bool
    nobody: bool = False


def _of_calico(subject: EngineSubject) -> Selection | None:
    wanted, there = _expression(subject.pods), _expression(subject.namespaces)
    if wanted.nobody or there.nobody:
        return None
    exact = wanted.exact and there.exact and not subject.others
    namespaces: list[Term] = [
        Term(NAME_LABEL if term.key == _NAME_OF_NAMESPACE else term.key, term.operator, term.values)
        for term in there.terms
    ]
    pods: list[Term] = []
    for term in wanted.terms:
        if term.key == _NAMESPACE_OF_POD:
            namespaces.append(Term(NAME_LABEL, term.operator, term.values))
        elif term.key.startswith(_INHERITED):
            namespaces.append(Term(term.key.removeprefix(_INHERITED), term.operator, term.values))
        elif term.key.startswith(_OF_IDENTITY):
            exact = False
        else:
            pods.append(term)
    return Selection(Selector(tuple(namespaces)), Selector(tuple(pods)), exact)


def _expression(written: LabelSelector | str | None) -> _Terms:
    """Terms that are joined by ``&&``; anything else is taken to be true of everything."""
    text = written.strip() if isinstance(written, str) else ""
    if not text:
        return _Terms((), exact=True)
    # Only where no parentheses are left does ``&&`` separate what must all be true.
    if "||" in text or re.search(r"[()]", _CALLS.sub("", text)):
        return _Terms((), exact=False)
    terms: list[Term] = []
    exact = True
    for part in (part.strip() for part in text.split("&&")):
        if _GLOBAL.fullmatch(part):
            return _Terms((), exact=True, nobody=True)
        if _ALL.fullmatch(part):
            continue
        term = _term(part)
        if term is None:
            exact = False
        else:
            terms.append(term)
    return _Terms(tuple(terms), exact)


def _term(part: str) -> Term | None:
    if found := _EQUALITY.fullmatch(part):
        values = frozenset((found["value"][1:-1],))
        return Term(found["key"], "In" if found["operator"] == "==" else "NotIn", values)
    if found := _AMONG.fullmatch(part):
        values = frozenset(value[1:-1] for value in re.findall(_VALUE, found["values"]))
        return Term(found["key"], "In" if found["operator"] == "in" else "NotIn", values)
    if found := _HAS.fullmatch(part):
        return Term(found["key"], "DoesNotExist" if found["operator"] else "Exists", frozenset())
    return None
