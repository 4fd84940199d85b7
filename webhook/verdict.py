"""From findings to what kubectl prints: allow, warn or deny; text that is sized and cleaned for a terminal.

Sources: facts/admission-contract.md 4.1 (what the API server cuts and drops, and that kubectl prints the same text
only once in a run, so that every line names its object), 4.2 (how a denial is printed).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from webhook.check import Finding, Level
from webhook.terminal import clean, elide

SHORT: Final = 120
"""Characters that the API asks of a warning (k8s.io/api admission/v1 types.go, AdmissionResponse.Warnings)."""
LONGEST_LINE: Final = 256
"""Longer warnings are cut by the API server, without a sign, once the budget is spent."""
BUDGET: Final = 4096
"""Characters of all warnings of a request together, shared with other webhooks."""
_LONGEST_NAME: Final = 80
_LONGEST_KIND: Final = 63
SHORT_NAMES: Final = {
    "DaemonSet": "ds",
    "Deployment": "deploy",
    "Namespace": "ns",
    "NetworkPolicy": "netpol",
    "Service": "svc",
    "StatefulSet": "sts",
}
"""As kubectl calls them (`kubectl api-resources`), where room is short."""


class Action(StrEnum):
    DENY = "deny"
    WARN = "warn"
    IGNORE = "ignore"


class ObjectReference(Struct, frozen=True):
    """The object that a ruling is about."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """``NetworkPolicy shop/api``."""
        # In files the kind, too, is whatever somebody wrote.
        return f"{clean(elide(self.kind, _LONGEST_KIND))} {self._shown}"

    @property
    def short(self) -> str:
        """``netpol shop/api``, as every line of kubectl's begins."""
        kind = SHORT_NAMES.get(self.kind)
        return f"{kind} {self._shown}" if kind else str(self)

    @property
    def _shown(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return clean(elide(name, _LONGEST_NAME))


class Ruling(Struct, frozen=True):
    """A finding with what is done about it.

    Args:
        check: the id of the check.
        level: the finding's level.
        action: what configuration, mode and waivers make of it.
        object: the object it is about.
        finding: what was said.
        also: the ids of findings that this one explains.
        waived: the reason of the waiver that silenced it; empty when none did.
    """

    check: str
    level: Level
    action: Action
    object: ObjectReference
    finding: Finding
    also: tuple[str, ...] = ()
    waived: str = ""

    @property
    def line(self) -> str:
        """``netpol shop/api: what was seen: what it means; what to write instead [check-id]``.

        What it means is left out where names are long and 120 characters would not do; it is never more than 256.
        """
        line = self.whole
        return line if len(line) <= SHORT else line_about(self.object, self.finding.brief, self.check)

    @property
    def whole(self) -> str:
        """The line with nothing left out, at most 256 characters: where a warning's 120 are not asked for."""
        return line_about(self.object, self.finding.line, self.check)


class Verdict(Struct, frozen=True):
    """What is answered to one admission request.

    Args:
        rulings: the most severe first.
        effects: what the change does to traffic, as lines.
    """

    rulings: tuple[Ruling, ...] = ()
    effects: tuple[str, ...] = ()

    @property
    def denied(self) -> bool:
        return any(r.action is Action.DENY for r in self.rulings)

    @property
    def warned(self) -> bool:
        """Whether there is a warning; without writing any line. That traffic changes is none."""
        return any(r.action is Action.WARN for r in self.rulings)

    @property
    def denial(self) -> str:
        """Every reason to deny, one a line; empty when nothing is denied."""
        return "\n".join(r.whole for r in self.rulings if r.action is Action.DENY)

    @property
    def warnings(self) -> list[str]:
        """One line a warning, within what the API server passes on; the last line says how many were left out."""
        return within_budget([*(r.line for r in self.rulings if r.action is Action.WARN), *self.effects])


def line_about(reference: ObjectReference, text: str, tag: str) -> str:
    """One line about an object, with the id of what says it, as long as the API server passes on."""
    head, tail = f"{reference.short}: ", f" [{tag}]"
    # `clean` keeps the length: cutting first spares it the megabytes that a selector may have.
    return head + clean(elide(text, LONGEST_LINE - len(head) - len(tail))) + tail


def within_budget(lines: Sequence[str], budget: int = BUDGET) -> list[str]:
    """The first lines that fit into the budget, and a line that counts the rest."""
    if sum(map(len, lines)) <= budget:
        return list(lines)
    kept: list[str] = []
    spare = budget - len(_left_out(len(lines)))
    for line in lines:
        if len(line) > spare:
            break
        spare -= len(line)
        kept.append(line)
    return [*kept, _left_out(len(lines) - len(kept))]


def _left_out(number: int) -> str:
    return f"netadmit: {number} more {'warning' if number == 1 else 'warnings'} left out; see: netadmit check"
