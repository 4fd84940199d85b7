"""What an engine leaves undone of a NetworkPolicy, as data: a feature, what becomes of who uses it, how it is known.

A gap is listed when it is certain: by the engine, by its version, or by its settings. Where a version cannot be read
off an image nothing is listed, so nothing is said.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from webhook.model.objects import Direction

BOTH: Final[tuple[Direction, ...]] = ("Ingress", "Egress")


class Feature(StrEnum):
    """What a NetworkPolicy can say, and an engine may not carry out."""

    NAMED_PORT = "named port"
    END_PORT = "endPort"
    SCTP = "SCTP"
    MANY_PORTS = "more than 24 ports in a rule"
    EGRESS = "egress"
    IP_BLOCK = "ipBlock"
    EXCEPT = "ipBlock with except"
    IPV6 = "IPv6 ipBlock"
    POD_IP_BLOCK = "ipBlock for the addresses of pods"
    NODE_IP_BLOCK = "ipBlock for the addresses of nodes"
    PEER_SELECTOR = "selectors in from and to"
    BOTH_SELECTORS = "podSelector and namespaceSelector in one peer"
    NEGATIVE_SELECTOR = "NotIn and DoesNotExist"
    BARE_POD = "pods without an owner"


class Gap(Struct, frozen=True):
    """One feature that the engine found does not carry out.

    Args:
        feature: what is not carried out.
        who: who does not, with the version if that decides: ``Cilium 1.16``.
        effect: what it does instead, as words that follow ``who``.
        remedy: what to write instead; empty where nothing can be.
        evidence: what of the cluster shows it, and where the engine says so.
        directions: the directions of traffic it is true of.
        os: it is so on nodes of this operating system only; empty: on all.
    """

    feature: Feature
    who: str
    effect: str
    remedy: str
    evidence: str
    directions: tuple[Direction, ...] = BOTH
    os: str = ""
