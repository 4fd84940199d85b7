"""Label selectors: what they match, why they cannot match, and by which term they miss.

Source: k8s.io/apimachinery pkg/labels/selector.go and pkg/apis/meta/v1/helpers.go (LabelSelectorAsSelector): terms are
ANDed; an empty selector matches everything; NotIn and DoesNotExist also match objects without the key.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from webhook.model.manifest import format_path
from webhook.model.objects import Labels, LabelSelector, LabelSelectorRequirement


class Term(Struct, frozen=True):
    """One ANDed condition; ``path`` is its place in the selector: ``matchLabels.app``, ``matchExpressions[0]``."""

    key: str
    operator: str
    values: frozenset[str]
    path: str = ""

    def matches(self, labels: Labels) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:  # the API server accepts no other operator; matching nothing is the cautious reading
                return False

    @property
    def positive(self) -> bool:
        """Whether the key must be there."""
        return self.operator in {"In", "Exists"}

    def __str__(self) -> str:
        """As kubectl writes selectors: ``app=web``, ``env in (dev, test)``, ``!tier``."""
        values = ", ".join(sorted(self.values))
        match self.operator:
            case "In":
                return f"{self.key}={values}" if len(self.values) == 1 else f"{self.key} in ({values})"
            case "NotIn":
                return f"{self.key}!={values}" if len(self.values) == 1 else f"{self.key} notin ({values})"
            case "Exists":
                return self.key
            case _:
                return f"!{self.key}"


class Selector(Struct, frozen=True):
    """A compiled selector: terms in the order in which they are written."""

    terms: tuple[Term, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it matches everything."""
        return not self.terms

    def matches(self, labels: Labels) -> bool:
        for term in self.terms:  # noqa: SIM110 - all() over a generator takes twice as long
            if not term.matches(labels):
                return False
        return True

    def misses(self, labels: Labels) -> list[Term]:
        """The terms that these labels do not satisfy."""
        return [term for term in self.terms if not term.matches(labels)]

    def __str__(self) -> str:
        return ",".join(map(str, self.terms)) or "everything"


_MOST_REMEMBERED: Final = 16
"""Labels, or values, of a selector that is kept compiled; people write fewer."""


def compile_selector(selector: LabelSelector) -> Selector:
    """Compiles a LabelSelector of the API (a nil selector, which matches nothing, is the caller's to know)."""
    labels, expressions = selector.match_labels, selector.match_expressions
    terms = len(labels) + len(expressions)
    if expressions:
        terms += sum([len(e.values) for e in expressions])
    if terms <= _MOST_REMEMBERED:
        return _compiled(tuple(labels.items()), expressions)  # every check asks for the same few
    return _compile(labels.items(), expressions)


def _compile(labels: Iterable[tuple[str, str]], expressions: Sequence[LabelSelectorRequirement]) -> Selector:
    terms = [Term(k, "In", frozenset((v,)), format_path(("matchLabels", k))) for k, v in labels]
    terms += [Term(e.key, e.operator, frozenset(e.values), f"matchExpressions[{i}]") for i, e in enumerate(expressions)]
    return Selector(tuple(terms))


_compiled = lru_cache(maxsize=4096)(_compile)


def equality_selector(labels: Labels) -> Selector:
    """Compiles a Service's selector, a plain map of labels."""
    return _equal(tuple(labels.items())) if len(labels) <= _MOST_REMEMBERED else _equality(labels.items())


def _equality(labels: Iterable[tuple[str, str]]) -> Selector:
    return Selector(tuple(Term(k, "In", frozenset((v,)), format_path((k,))) for k, v in labels))


_equal = lru_cache(maxsize=4096)(_equality)


_MOST_COMPARED: Final = 100
"""Terms of one key that are compared with each other; people write two."""


def contradiction(selector: Selector, always: Labels | None = None) -> tuple[Term, ...]:
    """The terms that no labels can satisfy together; empty when some labels do.

    Args:
        selector: the selector.
        always: labels that every object has under exactly this key with some value the user cannot remove
            (a Namespace's ``kubernetes.io/metadata.name``): a term that forbids such a key contradicts alone.
    """
    by_key: dict[str, list[Term]] = {}
    for term in selector.terms:
        by_key.setdefault(term.key, []).append(term)
    for key, terms in by_key.items():
        required = [t for t in terms if t.positive]
        absent = [t for t in terms if t.operator == "DoesNotExist"]
        if absent and (required or (always and key in always)):
            return (*required[:1], absent[0])
        allowed = [t for t in terms if t.operator == "In"]
        if not allowed:
            continue
        left = frozenset.intersection(*(t.values for t in allowed))
        if not left:
            return _disjoint(allowed)
        refused = [t for t in terms if t.operator == "NotIn"]
        if not left - frozenset().union(*(t.values for t in refused)):
            return (*allowed, *refused)
    return ()


def _disjoint(terms: list[Term]) -> tuple[Term, ...]:
    """Two terms that already exclude each other where there are such among the first hundred, else all."""
    first = terms[:_MOST_COMPARED]
    for i, one in enumerate(first):
        for other in first[i + 1 :]:
            if not one.values & other.values:
                return one, other
    return tuple(terms)


# --- misses ----------------------------------------------------------------------------------------------------------

_CHOSEN_PER_RELEASE = frozenset(
    {
        "app.kubernetes.io/instance",
        "app.kubernetes.io/version",
        "helm.sh/chart",
        "chart",
        "heritage",
        "release",
        "version",
        "pod-template-hash",
        "controller-revision-hash",
    }
)
"""Keys whose values differ between releases by design: a near value is a sibling there, not a slip."""


_SAYS_NOTHING = frozenset(
    {
        *("true", "false", "yes", "no", "on", "off", "enabled", "disabled", "allow", "allowed", "deny", "denied"),
        *("all", "any", "none", "default", "latest", "privileged", "baseline", "restricted"),
    }
)
"""Values that any key may carry (``istio-injection: enabled``): under another key they prove nothing."""
_COUNTERPARTS = (
    ("internal", "external"),
    ("import", "export"),
    ("ingress", "egress"),
    ("encode", "decode"),
    ("north", "south"),
    ("east", "west"),
    ("https", "http"),
    ("async", "sync"),
    ("broker", "worker"),
    ("leader", "reader"),
    ("api", "app"),
)
"""Words within two edits of each other that name two different things on purpose."""


_SHORT: Final = 6
"""Letters of a word that counts as short."""


class NearMiss(Struct, frozen=True):
    """Labels that satisfy all of a selector but one term, by what looks like a slip of the pen."""

    term: Term
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


def near_miss(selector: Selector, labels: Labels, compare: Callable[[str, str], bool] | None = None) -> NearMiss | None:
    """How labels miss a selector by one term: a value within two edits, or the same value under another key.

    Values that differ as siblings do (``web-1`` and ``web-2``, ``team-a`` and ``team-b``, release names) are no slips.
    ``compare`` stands in for `looks_misspelt`.
    """
    compare = compare or looks_misspelt
    missed = selector.misses(labels)
    if len(missed) != 1 or missed[0].operator != "In":
        return None
    term = missed[0]
    have = labels.get(term.key)
    if have is not None:
        if term.key not in _CHOSEN_PER_RELEASE and any(compare(value, have) for value in sorted(term.values)):
            return NearMiss(term, term.key, have)
        return None
    # A key that the selector names as well cannot be the one that was meant: with name=api and instance=api the value
    # api under "name" is what the selector asked for there.
    named = {other.key for other in selector.terms}
    free = [(key, value) for key, value in labels.items() if value in term.values and key not in named]
    for key, value in free:
        if len(value) > 1 and value.lower() not in _SAYS_NOTHING:  # the value must carry the meaning
            return NearMiss(term, key, value)
    for key, value in free:
        if compare(term.key, key):
            return NearMiss(term, key, value)
    return None


@lru_cache(maxsize=4096)
def looks_misspelt(written: str, existing: str) -> bool:
    """Whether one text is likely a misspelling of the other: within edit distance 2, and not a sibling by numbering.

    Two edits make another word of a short one (``minio``, ``mimir``; ``ceph-mon``, ``ceph-mgr``): there it is one.
    """
    if written == existing or abs(len(written) - len(existing)) > 2:
        return False
    if written.lower() == existing.lower():
        return True
    if max(len(written), len(existing)) <= 2 or _siblings(written, existing):
        return False
    here, there = _words(written), _words(existing)
    apart = [pair for pair in zip(here, there, strict=False) if pair[0] != pair[1]]
    if len(here) == len(there) and len(apart) == 1:
        written, existing = apart[0]
    return edit_distance(written, existing) <= (1 if max(len(written), len(existing)) <= _SHORT else 2)


def _siblings(one: str, other: str) -> bool:
    """``web-1``/``web-2``, ``app``/``app2``, ``team-a``/``team-b``: names that people number or letter on purpose."""

    def letters(text: str) -> str:
        return "".join(c for c in text if not c.isdigit()).strip("-._/")

    if letters(one) == letters(other) or _counterparts(one.lower(), other.lower()):
        return True
    here, there = _words(one), _words(other)
    if len(here) < 2 or len(here) != len(there):
        return False
    return all(a == b or max(len(a), len(b)) <= 2 for a, b in zip(here, there, strict=True))


def _counterparts(one: str, other: str) -> bool:
    """``api-internal``/``api-external``, ``ingressgateway``/``egressgateway``."""
    return any(
        (a in one and one.replace(a, b) == other) or (a in other and other.replace(a, b) == one)
        for a, b in _COUNTERPARTS
    )


def _words(text: str) -> list[str]:
    return text.replace(".", "-").replace("_", "-").replace("/", "-").split("-")


def edit_distance(one: str, other: str, most: int = 2) -> int:
    """The number of insertions, deletions, substitutions and neighbour swaps between two texts; ``most + 1`` if more.

    Source: the optimal string alignment distance (Damerau-Levenshtein without overlapping edits).
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def nearest(written: str, existing: Iterable[str]) -> str | None:
    """The existing text that one most likely meant, or None; the closest, then the alphabetically first."""
    close = [(edit_distance(written.lower(), e.lower()), e) for e in existing if looks_misspelt(written, e)]
    return min(close)[1] if close else None


def describe(labels: Mapping[str, str]) -> str:
    """Writes labels as kubectl does: ``app=web,tier=front``."""
    return ",".join(f"{k}={v}" for k, v in labels.items())
