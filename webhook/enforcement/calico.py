"""Calico: from its manifests, from the Tigera operator, and as Canal beside flannel.

Sources: calico manifests/calico.yaml, canal.yaml, calico-policy-only.yaml; operator pkg/common/common.go; rke2-charts
packages/rke2-canal and rke2-calico (images ``rancher/hardened-calico``).
"""

from webhook.enforcement.containers import Clue, title
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload


def _recognises(clue: Clue) -> bool:
    image = clue.image
    if "windows" in image.name or "windows" in clue.container:
        return False  # beside a Linux agent it adds nothing, and alone it covers no Linux pod
    if clue.container == "calico-node" or image.name.endswith("calico-node"):
        return True
    return image.name in {"node", "cnx-node"} and ("calico" in image.path or "tigera" in image.path)


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    if any("flannel" in container.name or "flannel" in container.image for container in daemon.containers):
        return Sighting(
            State.ENFORCED, "Canal", f"{title(daemon)} runs calico-node beside flannel", "Canal runs calico-node"
        )
    return Sighting(State.ENFORCED, "Calico", f"{title(daemon)} runs calico-node", "Calico runs calico-node")


CALICO = Family("Calico", _recognises, _judge)
