"""What an engine family's module says: who was seen, and whether it enforces NetworkPolicies."""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from webhook.enforcement.containers import Clue
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload


class State(StrEnum):
    """Whether NetworkPolicies are enforced; ``unknown`` never lowers or raises a verdict."""

    ENFORCED = "enforced"
    NOT_ENFORCED = "not-enforced"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class Sighting(Struct, frozen=True):
    """One engine seen in the cluster.

    Args:
        state: whether this engine enforces; unknown when what decides it cannot be read.
        engine: the name people know it by.
        evidence: what was seen, naming objects.
        reason: the same without the name of any object, for readers who may not know other namespaces.
        remedy: what makes it enforce; only for engines that do not.
    """

    state: State
    engine: str
    evidence: str
    reason: str
    remedy: str = ""


class Family(Struct, frozen=True):
    """One engine family.

    Args:
        name: the family, for lists.
        recognises: whether a container is the family's, told by what it runs.
        judge: what a DaemonSet with such a container says.
    """

    name: str
    recognises: Callable[[Clue], bool]
    judge: Callable[[Workload, Cluster], Sighting]
