"""What may be an enforcer that no family module knows: it turns "not enforced" into "unknown", never into a verdict."""

from typing import Final

from webhook.enforcement.containers import Clue
from webhook.model.cluster import Cluster
from webhook.model.selectors import equality_selector

_WORDS: Final = (
    *("cni", "netpol", "polic", "firewall", "sdn", "calico", "tigera", "canal", "felix", "cilium", "anetd", "antrea"),
    *("ovn", "kube-router", "kindnet", "romana", "azure-npm", "terway", "weave-net", "weave-npc", "weave-kube"),
    *("nuage", "nsx", "aci-containers", "opflex", "contrail", "tungsten", "vrouter", "juniper", "trireme", "aporeto"),
    *("illumio", "hybridnet", "galaxy", "everoute"),
)
"""Parts of the names of network policy agents and CNIs, and of vendors whose engines are not known here (facts 1.1)."""
_HARMLESS: Final = (
    *("multus", "cni-plugin", "install-cni", "flannel-cni", "cni-metrics", "sriov", "istio", "linkerd", "kuma"),
    *("ovs-cni", "macvtap-cni", "cni-dhcp", "whereabouts", "csi", "kube-proxy", "gatekeeper", "spiderpool"),
    *("cilium-envoy", "cilium/startup-script", "cilium-operator", "cilium/operator"),
)
"""Parts of images whose names sound like an enforcer's and which enforce no NetworkPolicy of a pod's first network."""
_AGENT_LABELS: Final = tuple(
    equality_selector({key: value})
    for key, value in (
        *(("k8s-app", app) for app in ("calico-node", "canal", "cilium", "kube-router", "azure-npm")),
        *(("app", app) for app in ("antrea", "kindnet", "ovnkube-node", "kube-network-policies")),
        ("name", "weave-net"),
    )
)


def is_harmless(clue: Clue) -> bool:
    """Whether a container is known to enforce nothing although its name sounds like it."""
    return any(part in clue.image.path for part in _HARMLESS)


def sounds_like_an_enforcer(clue: Clue) -> bool:
    """Whether a container's name or image is one that a CNI or a network policy agent would have."""
    return sounds_like_one(clue.image.path) or sounds_like_one(clue.container)


def sounds_like_one(name: str) -> bool:
    """Whether a name is one that a CNI or a network policy agent would have."""
    name = name.lower()
    return any(word in name for word in _WORDS)


def stray_agent(cluster: Cluster) -> str | None:
    """A workload whose pods are labelled as an enforcer's and that is no DaemonSet: static, bare or orphaned pods."""
    for selector in _AGENT_LABELS:
        for found in cluster.select(selector):
            for workload in found.workloads:
                if workload.split("/")[1] != "DaemonSet":
                    return workload
    return None
