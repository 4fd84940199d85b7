"""kube-ovn: its controller, a Deployment, decides; the DaemonSets only carry out.

Source: kube-ovn pkg/controller/config.go (``--enable-np``, true by default; ``--enable-anp``, false by default).
"""

from collections.abc import Mapping
from typing import Final

from webhook.enforcement.containers import Clue, parse_image, switch, title, truth, version_of, version_text
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    BASELINE_ADMIN_NETWORK_POLICY,
    DEPLOYMENT,
    Container,
    Workload,
)

_ENGINE: Final = "kube-ovn"


def _recognises(clue: Clue) -> bool:
    return clue.image.name.startswith(_ENGINE)


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    for deployment in cluster.workloads(DEPLOYMENT):
        for container in deployment.containers:
            if container.name == "kube-ovn-controller":
                return _judge_controller(deployment, container)
    reason = "kube-ovn's controller was not found"
    return Sighting(State.UNKNOWN, _ENGINE, f"{title(daemon)} runs kube-ovn; its controller was not found", reason)


def _judge_controller(deployment: Workload, container: Container) -> Sighting:
    enabled = truth(switch((container,), "enable-np") or "true")
    if enabled is None:
        clause = "kube-ovn's --enable-np is not understood"
        return Sighting(State.UNKNOWN, _ENGINE, f"{title(deployment)}: {clause}", clause)
    if not enabled:
        clause = "runs with --enable-np=false"
        return Sighting(
            State.NOT_ENFORCED, _ENGINE, f"{title(deployment)} {clause}", f"kube-ovn {clause}", "set it to true"
        )
    return Sighting(
        State.ENFORCED,
        _ENGINE,
        f"{title(deployment)} runs kube-ovn's controller",
        "kube-ovn enforces",
        version=version_text(version_of(parse_image(container.image), (0, 1, 2))),
        admin_policies=_admin_policies(container),
    )


def _admin_policies(container: Container) -> Mapping[str, bool]:
    enabled = truth(switch((container,), "enable-anp") or "false")
    return {} if enabled is None else dict.fromkeys((ADMIN_NETWORK_POLICY, BASELINE_ADMIN_NETWORK_POLICY), enabled)


KUBE_OVN = Family(_ENGINE, _recognises, _judge)
