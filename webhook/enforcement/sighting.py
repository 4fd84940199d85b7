"""What an engine family's module says: who was seen, and whether it enforces NetworkPolicies."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from webhook.enforcement.containers import Clue
from webhook.enforcement.gaps import Gap
from webhook.model.cluster import Cluster
from webhook.model.objects import ADMIN_POLICIES, Workload


class State(StrEnum):
    """Whether NetworkPolicies are enforced; ``unknown`` never lowers or raises a verdict."""

    ENFORCED = "enforced"
    NOT_ENFORCED = "not-enforced"
    PARTIAL = "partial"
    """An engine enforces, but not on every node."""
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    """How sure the answer is; "not enforced" is only said when it is certain."""

    CERTAIN = "certain"
    LIKELY = "likely"
    """All that can be seen speaks for it, and something that cannot be seen may speak against it."""
    NONE = "none"


class Sighting(Struct, frozen=True):
    """One engine seen in the cluster.

    Args:
        state: whether this engine enforces; unknown when what decides it cannot be read.
        engine: the name people know it by.
        evidence: what was seen, naming objects.
        reason: the same without the name of any object, for readers who may not know other namespaces.
        remedy: what makes it enforce; only for engines that do not.
        confidence: of an engine that enforces.
        version: as its image's tag tells; empty where it does not.
        gaps: what it does not carry out of policies.
        admin_policies: the kinds of administrators' policies that it certainly carries out, or certainly does not.
        nuance: what else one should know, naming objects.
        partly: on some nodes its settings differ, so that it does not enforce there.
        own_policies: whether it carries out the policies of its own API although it enforces no NetworkPolicy; None
            where that is not known.
        closes_unselected: whether it closes pods that no policy selects.
    """

    state: State
    engine: str
    evidence: str
    reason: str
    remedy: str = ""
    confidence: Confidence = Confidence.CERTAIN
    version: str = ""
    gaps: tuple[Gap, ...] = ()
    admin_policies: Mapping[str, bool] = {}
    nuance: str = ""
    partly: bool = False
    own_policies: bool | None = None
    closes_unselected: bool = False


NO_ADMIN_POLICIES: Final[Mapping[str, bool]] = dict.fromkeys(ADMIN_POLICIES, False)
"""Of an engine that carries out none of them (sigs.k8s.io/network-policy-api site-src/implementations.md)."""


def _nothing(_: Clue) -> bool:
    return False


class Family(Struct, frozen=True):
    """One engine family.

    Args:
        name: the family, for lists.
        recognises: whether a container is the family's, told by what it runs.
        judge: what a DaemonSet with such a container says.
        can_enforce: False for what connects pods, or hands out addresses, and no more.
        windows: whether a container is the family's agent for Windows nodes, where that is another one.
    """

    name: str
    recognises: Callable[[Clue], bool]
    judge: Callable[[Workload, Cluster], Sighting]
    can_enforce: bool = True
    windows: Callable[[Clue], bool] = _nothing
