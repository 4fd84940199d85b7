"""Vendors' networks of which it is known what they are called, and not whether they enforce here: unknown, by name.

Sources: facts 1.1: Nuage ``nuage-*``, VMware NSX ``nsx-node-agent``, Cisco ACI ``aci-containers-host``, Contrail.
"""

from collections.abc import Callable
from typing import Final

from webhook.enforcement.containers import Clue, title
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload

_VENDORS: Final = {
    "Nuage": ("nuage",),
    "NSX NCP": ("nsx-ncp", "nsx-node-agent", "nsx-ovs", "nsx-kube-proxy"),
    "Cisco ACI": ("aci-containers", "opflex", "noiro/"),
    "Contrail": ("contrail", "tungsten", "vrouter"),
}
"""Parts of the names of their containers and images."""


def _family(vendor: str, parts: tuple[str, ...]) -> Family:
    def recognises(clue: Clue) -> bool:
        return any(part in clue.image.path or part in clue.container for part in parts)

    return Family(vendor, recognises, _judge(vendor))


def _judge(vendor: str) -> Callable[[Workload, Cluster], Sighting]:
    def judge(daemon: Workload, cluster: Cluster) -> Sighting:
        del cluster
        reason = f"whether {vendor} enforces is not known here"
        return Sighting(State.UNKNOWN, vendor, f"{title(daemon)} is {vendor}'s: {reason}", reason)

    return judge


VENDORS: Final = tuple(_family(vendor, parts) for vendor, parts in _VENDORS.items())
