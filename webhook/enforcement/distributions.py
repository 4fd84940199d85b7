"""What a node tells of its distribution, where no engine was found: what would be there, and where to look.

Such a clause decides nothing: that a DaemonSet was not found does not prove that nothing enforces (facts 1.0.3).

Sources: rke2 pkg/cli/cmds/server.go (``--cni``); microk8s microk8s-resources/default-args;
minikube.k8s.io/docs/handbook; learn.microsoft.com/azure/aks; facts 1.1.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from webhook.enforcement.k3s import arguments
from webhook.model.objects import Node

_RKE2_ARGS: Final = "rke2.io/node-args"


def clauses(nodes: Sequence[Node]) -> Iterator[str]:
    """What the nodes tell of what to expect, one clause a distribution."""
    for tell in (_rke2, _microk8s, _minikube, _aks, _eks):
        clause = next((said for node in nodes if (said := tell(node))), "")
        if clause:
            yield clause


def _rke2(node: Node) -> str:
    words = arguments(node.annotations.get(_RKE2_ARGS, "")) or []
    if words[:1] != ["server"]:
        return ""
    chosen = [_value(words, i) for i, word in enumerate(words) if word.lstrip("-").partition("=")[0] == "cni"]
    cni = ",".join(filter(None, chosen)) or "canal"
    return f"RKE2 server {node.name} has --cni {cni}, and none of its DaemonSets was found"


def _value(words: Sequence[str], i: int) -> str:
    _, equals, value = words[i].partition("=")
    return value if equals else words[i + 1] if i + 1 < len(words) else ""


def _label(key: str, clause: str) -> Callable[[Node], str]:
    return lambda node: clause if key in node.labels else ""


_microk8s: Final = _label(
    "microk8s.io/cluster",
    "MicroK8s without DaemonSet calico-node connects pods by flannel as a service of the host, which enforces nothing",
)
_minikube: Final = _label(
    "minikube.k8s.io/name", "minikube connects pods by a bridge, which enforces nothing, unless started with --cni"
)
_aks: Final = _label(
    "kubernetes.azure.com/cluster", "AKS enforces nothing unless --network-policy was chosen, and none was found"
)
_eks: Final = _label("eks.amazonaws.com/nodegroup", "EKS runs AWS VPC CNI as DaemonSet aws-node, which was not found")
