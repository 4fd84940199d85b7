"""kube-router: enforces unless its firewall is switched off, as in its proxy-only manifests.

Source: kube-router pkg/options/options.go (``--run-firewall``, true by default) and its daemonset manifests.
"""

from webhook.enforcement.containers import Clue, switch, title, truth
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload


def _recognises(clue: Clue) -> bool:
    return clue.image.name.endswith("kube-router") or clue.app == "kube-router"


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    firewall = truth(switch(daemon.containers, "run-firewall") or "true")
    if firewall is None:
        clause = "kube-router's --run-firewall is not understood"
        return Sighting(State.UNKNOWN, "kube-router", f"{title(daemon)}: {clause}", clause)
    if firewall:
        clause = "runs with its firewall on"
        return Sighting(State.ENFORCED, "kube-router", f"{title(daemon)} {clause}", f"kube-router {clause}")
    return Sighting(
        State.NOT_ENFORCED,
        "kube-router",
        f"{title(daemon)} runs kube-router with --run-firewall=false",
        "kube-router has --run-firewall=false",
        "set it to true",
    )


KUBE_ROUTER = Family("kube-router", _recognises, _judge)
