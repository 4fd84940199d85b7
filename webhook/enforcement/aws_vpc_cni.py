"""AWS VPC CNI: enforces when its agent's switch and the policy controller's ConfigMap are both on; both default to off.

EKS Auto Mode has its agent in the node, always on; there the ConfigMap of the controller alone decides.

Sources: amazon-vpc-cni-k8s charts/aws-vpc-cni (values.yaml, daemonset.yaml); aws-network-policy-agent
pkg/config/controller_config.go; amazon-network-policy-controller-k8s pkg/config; amazon-eks-user-guide
networking/cni-network-policy.adoc ("Considerations") and automode/auto-net-pol.adoc.
"""

from typing import Final

from webhook.enforcement.containers import (
    Clue,
    parse_image,
    settings_of,
    switch,
    title,
    truth,
    version_of,
    version_text,
)
from webhook.enforcement.gaps import Feature, Gap
from webhook.enforcement.sighting import NO_ADMIN_POLICIES, Confidence, Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import DEPLOYMENT, NODE_CLASS, Container, Workload

CONFIG: Final = "amazon-vpc-cni"
AUTO_MODE: Final = "EKS Auto Mode"
_ENGINE: Final = "AWS VPC CNI"
_NAMESPACE: Final = "kube-system"
_CONSIDERATIONS: Final = "amazon-eks-user-guide cni-network-policy.adoc"
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
        images = (parse_image(c.image) for c in daemon.containers if not _is_agent(c))
        version = next((v for i in images if i.name.endswith("amazon-k8s-cni") and (v := version_of(i, (1,)))), None)
        return Sighting(
            State.ENFORCED,
            _ENGINE,
            f"{title(daemon)}: {clause}",
            f"aws-node's {clause}",
            version=version_text(version),
            gaps=_gaps(_ENGINE),
            admin_policies=NO_ADMIN_POLICIES,
        )
    # A self-managed controller can be told not to look at the ConfigMap; the one that EKS hosts always does.
    if not cluster.complete(DEPLOYMENT) or any(map(_is_controller, cluster.workloads(DEPLOYMENT))):
        clause = f"{_KEY} is off, but a controller may run without it"
        return Sighting(State.UNKNOWN, _ENGINE, f"ConfigMap {daemon.namespace}/{CONFIG}: {clause}", clause)
    return _off(f"ConfigMap {daemon.namespace}/{CONFIG}: {_KEY} is off", f"{CONFIG}: {_KEY} is off")


def _off(evidence: str, reason: str) -> Sighting:
    return Sighting(State.NOT_ENFORCED, _ENGINE, evidence, reason, _REMEDY)


def _is_controller(deployment: Workload) -> bool:
    return any("network-policy-controller" in container.image for container in deployment.containers)


def _gaps(who: str) -> tuple[Gap, ...]:
    return (
        Gap(Feature.BARE_POD, who, "covers no pod without an owner", "make them by a Deployment", _CONSIDERATIONS),
        Gap(
            Feature.MANY_PORTS,
            who,
            "takes at most 24 ports in a rule",
            "split the rule",
            f"{_CONSIDERATIONS}; aws-network-policy-agent MAX_PORT_PROTOCOL",
        ),
    )


def judge_auto_mode(cluster: Cluster) -> Sighting:
    """What EKS Auto Mode's nodes, when there are any, do: as the controller's ConfigMap says."""
    settings = settings_of(cluster, _NAMESPACE, CONFIG)
    where = f"ConfigMap {_NAMESPACE}/{CONFIG}"
    enabled = None if settings is None else truth(settings.get(_KEY))
    if enabled is None:
        clause = f"{_KEY} of {CONFIG} was not found"
        return Sighting(State.UNKNOWN, AUTO_MODE, f"EKS Auto Mode's nodes: {clause}", f"EKS Auto Mode: {clause}")
    if not enabled:
        clause = f"{_KEY} is off"
        return Sighting(State.NOT_ENFORCED, AUTO_MODE, f"{where}: {clause}", clause, "set it to true")
    classes = {s.data.get("networkPolicy", "DefaultAllow") for s in cluster.engine_settings(NODE_CLASS)}
    return Sighting(
        State.ENFORCED,
        AUTO_MODE,
        f"{where}: {_KEY} is on",
        f"EKS Auto Mode: {_KEY} is on",
        confidence=Confidence.CERTAIN if classes else Confidence.LIKELY,
        gaps=_gaps(AUTO_MODE),
        admin_policies=NO_ADMIN_POLICIES,
        nuance="a NodeClass is DefaultDeny: its new pods start closed" if "DefaultDeny" in classes else "",
    )


AWS_VPC_CNI = Family(_ENGINE, _recognises, _judge)
