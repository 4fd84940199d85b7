"""kube-network-policies of kubernetes-sigs: a DaemonSet of its own, or flannel's ``netpol`` container.

Sources: kube-network-policies install.yaml; flannel Documentation/netpol.md (command ``/bin/netpol``).
"""

from webhook.enforcement.containers import Clue, title
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload

ENGINE = "kube-network-policies"


def _recognises(clue: Clue) -> bool:
    return clue.image.name.startswith(ENGINE) or clue.container == ENGINE or clue.program == "netpol"


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    return Sighting(State.ENFORCED, ENGINE, f"{title(daemon)} runs {ENGINE}", f"{ENGINE} runs")


KUBE_NETWORK_POLICIES = Family(ENGINE, _recognises, _judge)
