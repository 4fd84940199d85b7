"""Flannel: connects pods and enforces nothing by itself; its netpol container is `kube_network_policies`' to judge.

That an enforcer beside it wins (Canal, Calico policy-only, kube-router, netpol) is the combination's rule.

Sources: flannel Documentation/kube-flannel.yml, Documentation/netpol.md; rke2-charts packages/rke2-flannel, whose
patches remove the netpol container.
"""

from webhook.enforcement.containers import Clue, title
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload


def _recognises(clue: Clue) -> bool:
    # flannel/flannel, coreos/flannel, rancher/hardened-flannel, rancher/mirrored-flannel-flannel
    return clue.image.name.endswith("flannel") or clue.program == "flanneld"


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    rke2 = any("hardened-flannel" in container.image for container in daemon.containers)
    return Sighting(
        State.NOT_ENFORCED,
        "flannel",
        f"{title(daemon)} runs flannel without its netpol container",
        "flannel runs without netpol",
        "use --cni canal" if rke2 else "set netpol.enabled",
    )


FLANNEL = Family("flannel", _recognises, _judge, can_enforce=False)
