"""GKE's netd: enforces nothing; its ConfigMap says whether Calico is to. What enforces there is another DaemonSet.

Sources: GoogleCloudPlatform/netd netd.yaml (``netd-config``).
"""

from typing import Final

from webhook.enforcement.containers import Clue, title, truth
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload

NETD_CONFIG: Final = "netd-config"


def _is_netd(clue: Clue) -> bool:
    return clue.container == "netd" and clue.image.name.startswith("netd")


def _judge_netd(daemon: Workload, cluster: Cluster) -> Sighting:
    config = cluster.config_map(daemon.namespace, NETD_CONFIG)
    calico = truth(config.data.get("enable_calico_network_policy")) if config is not None else None
    if calico is None:
        reason = "GKE's netd is there; whether network policy is enabled was not found"
        return Sighting(State.UNKNOWN, "GKE", f"{title(daemon)}: {reason}", reason)
    clause = f"enable_calico_network_policy is {str(calico).lower()}"
    if calico:
        where = f"ConfigMap {daemon.namespace}/{NETD_CONFIG}"
        return Sighting(State.UNKNOWN, "GKE", f"{where}: {clause}", f"GKE's {clause}, which wants an agent to enforce")
    return Sighting(
        State.NOT_ENFORCED,
        "GKE",
        f"ConfigMap {daemon.namespace}/{NETD_CONFIG}: {clause}",
        f"GKE's {clause}",
        "enable GKE's network policy",
    )


GKE_NETD = Family("GKE", _is_netd, _judge_netd, can_enforce=False)
