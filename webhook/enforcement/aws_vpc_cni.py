"""AWS VPC CNI: enforces when its agent's switch and the policy controller's ConfigMap are both on; both default to off.

Sources: amazon-vpc-cni-k8s charts/aws-vpc-cni (values.yaml, daemonset.yaml); aws-network-policy-agent
pkg/config/controller_config.go; amazon-network-policy-controller-k8s pkg/config.
"""

from collections.abc import Sequence
from typing import Final

from webhook.enforcement.containers import Clue, parse_image, settings_of, switch, title, truth
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import DEPLOYMENT, Container, Node, Workload

CONFIG: Final = "amazon-vpc-cni"
_ENGINE: Final = "AWS VPC CNI"
_KEY: Final = "enable-network-policy-controller"
_AGENTS: Final = frozenset({"aws-eks-nodeagent", "aws-network-policy-agent"})
_REMEDY: Final = "set enableNetworkPolicy"


def _recognises(clue: Clue) -> bool:
    return clue.image.name.endswith(("amazon-k8s-cni", "aws-network-policy-agent")) or clue.container in _AGENTS


def _is_agent(container: Container) -> bool:
    return container.name in _AGENTS or parse_image(container.image).name.endswith("aws-network-policy-agent")


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    agents = tuple(filter(_is_agent, daemon.containers))
    if not agents:
        return _off(f"{title(daemon)} has no policy agent", "aws-node has no policy agent")
    enabled = truth(switch(agents, "enable-network-policy") or "false")
    if enabled is None:
        clause = "the agent's --enable-network-policy is not understood"
        return Sighting(State.UNKNOWN, _ENGINE, f"{title(daemon)}: {clause}", f"aws-node: {clause}")
    if not enabled:
        return _off(f"{title(daemon)}: its policy agent is off", "aws-node policy agent is off")
    return _judge_controller(daemon, cluster)


def _judge_controller(daemon: Workload, cluster: Cluster) -> Sighting:
    settings = settings_of(cluster, daemon.namespace, CONFIG)
    if settings is None:
        clause = f"ConfigMap {CONFIG} could not be read"
        return Sighting(State.UNKNOWN, _ENGINE, f"{title(daemon)}: {clause}", clause)
    if truth(settings.get(_KEY)):
        clause = "policy agent and controller are on"
        return Sighting(State.ENFORCED, _ENGINE, f"{title(daemon)}: {clause}", f"aws-node's {clause}")
    # A self-managed controller can be told not to look at the ConfigMap; the one that EKS hosts always does.
    if not cluster.complete(DEPLOYMENT) or any(map(_is_controller, cluster.workloads(DEPLOYMENT))):
        clause = f"{_KEY} is off, but a controller may run without it"
        return Sighting(State.UNKNOWN, _ENGINE, f"ConfigMap {daemon.namespace}/{CONFIG}: {clause}", clause)
    return _off(f"ConfigMap {daemon.namespace}/{CONFIG}: {_KEY} is off", f"{CONFIG}: {_KEY} is off")


def _off(evidence: str, reason: str) -> Sighting:
    return Sighting(State.NOT_ENFORCED, _ENGINE, evidence, reason, _REMEDY)


def _is_controller(deployment: Workload) -> bool:
    return any("network-policy-controller" in container.image for container in deployment.containers)


def judge_auto_mode(nodes: Sequence[Node]) -> Sighting | None:
    """EKS Auto Mode enforces within the node, by settings (a NodeClass) that the state does not hold."""
    for node in nodes:
        if node.labels.get("eks.amazonaws.com/compute-type") == "auto":
            reason = "EKS Auto Mode nodes do not show whether they enforce"
            return Sighting(State.UNKNOWN, "EKS Auto Mode", f"Node {node.name} is of EKS Auto Mode", reason)
    return None


AWS_VPC_CNI = Family(_ENGINE, _recognises, _judge)
