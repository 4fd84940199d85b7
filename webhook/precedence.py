"""Who speaks when several could: one defect, one voice (CHECKS.md).

What a finding explains is silenced and named in its ``also``: of the same object, direction and rule the one that says
most, and of a mistake and what comes of it the mistake.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from webhook.check import Check, Finding, Level, Listing

EVERYTHING_ELSE: Final = "*"
_WHOLE_OBJECT: Final = (
    frozenset({"yaml-duplicate-key", "unknown-field"}),
    frozenset({"selector-can-never-match"}),
    frozenset({"selects-whole-namespace-by-accident"}),
    frozenset({"selector-matches-nothing"}),
    frozenset({EVERYTHING_ELSE}),
)
_ONE_RULE: Final = (
    frozenset({"namespace-not-found"}),
    frozenset({"peers-or-not-and"}),
    frozenset({"peer-matches-nothing"}),
)
_ONE_PORT: Final = (
    frozenset({"tcp-only-port"}),
    frozenset({"named-port-unresolved"}),
    frozenset({"protocol-mismatch"}),
    frozenset({"service-port-not-pod-port"}),
    frozenset({"port-not-declared"}),
)
_SERVICE: Final = (
    frozenset({"service-selects-nothing"}),
    frozenset({"empties-service"}),
    frozenset({"service-spans-workloads"}),
    frozenset({"target-port-unresolved"}),
    frozenset({"service-protocol-mismatch"}),
    frozenset({"target-port-not-declared"}),
)
"""Who speaks when several could: left silences right for the same object, direction and rule (CHECKS.md)."""
_OWN_NAMESPACE: Final = (
    frozenset({"namespace-not-found"}),
    frozenset({"selector-matches-nothing", "service-selects-nothing"}),
)
"""In a namespace that is not there nothing can match."""
_CAUSES: Final = frozenset(
    {
        "yaml-duplicate-key",
        "unknown-field",
        "refused-by-api",
        "selector-can-never-match",
        "rules-without-policy-type",
        "ipblock-covers-service-ips",
        "host-network-selected",
        "ambient-mesh-port",
        *frozenset().union(*_ONE_RULE, *_ONE_PORT),
    }
)
_CONSEQUENCES: Final = frozenset(
    {
        "dns-blocked",
        "cuts-api-server",
        "cuts-ingress-backend",
        "cuts-on-removal",
        "cuts-service",
        "cuts-webhook",
        "policy-redundant",
    }
)
"""What is cut, or adds nothing, and the mistakes in rules that explain it (`Finding.causes`)."""
_SAME_LOSS: Final = (frozenset({"cuts-ingress-backend", "cuts-webhook"}), frozenset({"cuts-service"}))
"""Who says best what it means that a Service loses its clients (`Finding.lost`)."""
_NEVER_SILENCED: Final = frozenset(
    {"rules-without-policy-type", "refused-by-api", "waiver-unknown", "cni-does-not-enforce"}
)
"""``cni-does-not-enforce`` is about the cluster: mending the policy mends nothing, and it is said on CREATE only."""
_OF_THE_TEXT: Final = frozenset({"yaml-duplicate-key", "unknown-field", "refused-by-api", "waiver-unknown"})
"""What is said of the text alone, whatever becomes of it."""
_RULE: Final = re.compile(r"spec\.(?:ingress|egress)\[\d+\]")
_PORT: Final = re.compile(r"spec\.(?:(?:ingress|egress)\[\d+\]\.)?ports\[\d+\]")


class Statement(Struct):
    """A finding on its way to a ruling."""

    check: Check
    finding: Finding
    level: Level
    also: list[str]
    rule: str
    """The rule it is about, as a path; empty when it is about the whole object."""
    port: str
    """The port entry it is about, as a path; empty when it is about none."""
    silenced: bool = False
    wished: tuple[Listing, ...] = ()
    """What it, or what its check said before it, would have named."""

    @classmethod
    def of(cls, check: Check, finding: Finding, level: Level, wished: tuple[Listing, ...] = ()) -> "Statement":
        rule, port = _RULE.match(finding.path), _PORT.match(finding.path)
        return cls(check, finding, level, [], rule.group() if rule else "", port.group() if port else "", wished=wished)


def silence(statements: list[Statement]) -> None:
    """Puts what another finding explains into that finding's ``also``."""
    if len(statements) < 2:
        return
    _silence_of_refused(statements)
    _silence_along(_OWN_NAMESPACE, statements, lambda s: s.finding.path == "metadata.namespace", lambda _: "")
    _silence_along(_WHOLE_OBJECT, statements, lambda s: not s.rule, lambda s: s.rule)
    _silence_along(_ONE_RULE, statements, lambda _: False, lambda s: s.rule)
    _silence_along(_ONE_PORT, statements, lambda _: False, lambda s: s.port)
    _silence_along(_SERVICE, statements, lambda s: not s.port, lambda s: s.port)
    _silence_same_losses(statements)
    _silence_consequences(statements)


def _silence_of_refused(statements: Sequence[Statement]) -> None:
    """Lets what the API server refuses silence what is said of the same field: nothing will ever come of it."""
    by_path: dict[str, Statement] = {}
    """Of a field that is refused, and of what it is part of, the first that is."""
    refused: dict[str, Statement] = {}
    for cause in statements:
        if cause.check.id == "refused-by-api":
            refused.setdefault(cause.finding.path, cause)
            for path in (cause.finding.path, *_outer_paths(cause.finding.path)):
                by_path.setdefault(path, cause)
    if not refused:
        return
    for other in statements:
        if other.check.id in _OF_THE_TEXT or other.check.id in _NEVER_SILENCED:
            continue
        outer = (refused[p] for p in _outer_paths(other.finding.path) if p in refused)
        found = by_path.get(other.finding.path) or next(outer, None)
        if found is not None and other.level <= found.level:
            _explain(found, other)


def _silence_along(
    chain: Sequence[frozenset[str]],
    statements: list[Statement],
    explains_all: Callable[[Statement], bool],
    part: Callable[[Statement], str],
) -> None:
    """Lets what stands further left in a chain silence what stands right of it.

    Args:
        chain: ids of checks.
        statements: all that was said of one object.
        explains_all: whether a statement is about the whole object: then it explains the others wherever they stand.
        part: the part of the object that a statement is about; it explains others about the same; empty for none.
    """
    for i, causes in enumerate(chain[:-1]):
        later = frozenset().union(*chain[i + 1 :])
        earlier = frozenset().union(*chain[: i + 1])
        by_part: dict[str, list[tuple[int, Statement]]] = {}
        for number, cause in enumerate(statements):
            if cause.silenced or cause.check.id not in causes:
                continue
            key = EVERYTHING_ELSE if explains_all(cause) else part(cause)
            known = by_part.setdefault(key, []) if key else []
            if not known or known[-1][1].level < cause.level:  # the first of its level will do
                known.append((number, cause))
        if not by_part:
            continue
        for other in statements:
            if not (other.check.id in later or (EVERYTHING_ELSE in later and other.check.id not in earlier)):
                continue
            if other.silenced or other.check.id in _NEVER_SILENCED or other.finding.path == "metadata.namespace":
                continue
            near = (*by_part.get(EVERYTHING_ELSE, ()), *by_part.get(part(other) or EVERYTHING_ELSE, ()))
            explaining = min(((n, c) for n, c in near if other.level <= c.level), default=None, key=lambda c: c[0])
            if explaining is not None:
                _explain(explaining[1], other)


def _silence_same_losses(statements: Sequence[Statement]) -> None:
    """Lets who says what becomes of a lost Service silence who says that it is lost."""
    specific, general = _SAME_LOSS
    for other in statements:
        if other.silenced or other.check.id not in general or not other.finding.lost:
            continue
        lost = frozenset(other.finding.lost)
        telling = [
            s
            for s in statements
            if s.check.id in specific
            and not s.silenced
            and s.level >= other.level
            and not lost.isdisjoint(s.finding.lost)
        ]
        if telling and lost <= frozenset().union(*(s.finding.lost for s in telling)):
            _explain(telling[0], other)


def _silence_consequences(statements: Sequence[Statement]) -> None:
    """Lets a mistake in a rule silence what is only its consequence."""
    causes = [s for s in statements if s.check.id in _CAUSES and not s.silenced]
    for other in statements:
        if other.silenced or not causes or other.check.id not in _CONSEQUENCES:
            continue
        due = frozenset((other.finding.path,) if other.finding.causes is None else other.finding.causes)
        around = frozenset(outer for path in due for outer in _outer_paths(path))
        for cause in causes:
            path = cause.finding.path
            if cause.level >= other.level and (path in around or not due.isdisjoint((path, *_outer_paths(path)))):
                _explain(cause, other)
                break


def _outer_paths(path: str) -> Iterator[str]:
    """The paths of what a field is part of, from the inside out."""
    for i in range(len(path) - 1, 0, -1):
        if path[i] in ".[":
            yield path[:i]


def _explain(cause: Statement, other: Statement) -> None:
    """Puts a statement, and what it explained, into the ``also`` of another."""
    other.silenced = True
    cause.also += [explained for explained in (other.check.id, *other.also) if explained not in cause.also]
