"""Engines that this project knows only enough of to stay silent: they enforce, or it cannot be told.

Sources: antrea build/yamls; ovn-kubernetes and cluster-network-operator bindata; kube-ovn pkg/controller/config.go
(``--enable-np``, true by default); azure-npm.yaml; terway chart (``eni-config``); kubernetes cluster/addons and
netd.yaml (``netd-config``).
"""

from collections.abc import Callable
from typing import Final

from webhook.enforcement.containers import Clue, switch, title, truth
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import DEPLOYMENT, Container, Workload

TERWAY_CONFIG: Final = "eni-config"
NETD_CONFIG: Final = "netd-config"


def _always(engine: str) -> Callable[[Workload, Cluster], Sighting]:
    def judge(daemon: Workload, cluster: Cluster) -> Sighting:
        del cluster
        return Sighting(State.ENFORCED, engine, f"{title(daemon)} runs {engine}", f"{engine} runs")

    return judge


def _is_antrea(clue: Clue) -> bool:
    name = clue.image.name
    return clue.container == "antrea-agent" or (name.startswith("antrea-") and "windows" not in name)


def _is_ovn_kubernetes(clue: Clue) -> bool:
    # OpenShift's images are digests of one repository: there only the containers' names tell.
    return clue.container in {"ovnkube-node", "ovnkube-controller"} or clue.image.name.startswith("ovn-kube")


def _is_azure_npm(clue: Clue) -> bool:
    return clue.image.name == "azure-npm" or clue.app == "azure-npm"


def _is_kube_ovn(clue: Clue) -> bool:
    return clue.image.name.startswith("kube-ovn")


def _judge_kube_ovn(daemon: Workload, cluster: Cluster) -> Sighting:
    """The controller, a Deployment, decides; the DaemonSets only carry out."""
    for deployment in cluster.workloads(DEPLOYMENT):
        for container in deployment.containers:
            if container.name == "kube-ovn-controller":
                return _kube_ovn_by_switch(deployment, container)
    reason = "kube-ovn's controller was not found"
    return Sighting(State.UNKNOWN, "kube-ovn", f"{title(daemon)} runs kube-ovn; its controller was not found", reason)


def _kube_ovn_by_switch(deployment: Workload, container: Container) -> Sighting:
    enabled = truth(switch((container,), "enable-np") or "true")
    if enabled is None:
        clause = "kube-ovn's --enable-np is not understood"
        return Sighting(State.UNKNOWN, "kube-ovn", f"{title(deployment)}: {clause}", clause)
    if enabled:
        return Sighting(
            State.ENFORCED, "kube-ovn", f"{title(deployment)} runs kube-ovn's controller", "kube-ovn enforces"
        )
    clause = "runs with --enable-np=false"
    return Sighting(
        State.NOT_ENFORCED, "kube-ovn", f"{title(deployment)} {clause}", f"kube-ovn {clause}", "set it to true"
    )


def _is_terway(clue: Clue) -> bool:
    return clue.image.name == "terway" or clue.container == "terway" or clue.app.startswith("terway")


def _judge_terway(daemon: Workload, cluster: Cluster) -> Sighting:
    config = cluster.config_map(daemon.namespace, TERWAY_CONFIG)
    disabled = truth(config.data.get("disable_network_policy")) if config is not None else None
    if disabled is False and any(container.name == "policy" for container in daemon.containers):
        clause = "disable_network_policy is false"
        return Sighting(
            State.ENFORCED, "Terway", f"ConfigMap {daemon.namespace}/{TERWAY_CONFIG}: {clause}", f"Terway's {clause}"
        )
    clause = "settings do not prove that it enforces"
    return Sighting(State.UNKNOWN, "Terway", f"{title(daemon)}: Terway's {clause}", f"Terway's {clause}")


def _is_openshift_sdn(clue: Clue) -> bool:
    return clue.container == "sdn" and clue.app == "sdn"


def _judge_openshift_sdn(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    clause = "OpenShift SDN's plug-in is not visible"  # only redhat/openshift-ovs-networkpolicy enforces
    return Sighting(State.UNKNOWN, "OpenShift SDN", f"{title(daemon)}: {clause}", clause)


def _is_netd(clue: Clue) -> bool:
    return clue.container == "netd" and clue.image.name.startswith("netd")


def _judge_netd(daemon: Workload, cluster: Cluster) -> Sighting:
    """GKE's netd enforces nothing; its ConfigMap says whether Calico is to. What enforces there is a DaemonSet."""
    config = cluster.config_map(daemon.namespace, NETD_CONFIG)
    calico = truth(config.data.get("enable_calico_network_policy")) if config is not None else None
    if calico is not False:
        reason = "GKE's netd is there; whether network policy is enabled was not found"
        return Sighting(State.UNKNOWN, "GKE", f"{title(daemon)}: {reason}", reason)
    clause = "enable_calico_network_policy is false"
    return Sighting(
        State.NOT_ENFORCED,
        "GKE",
        f"ConfigMap {daemon.namespace}/{NETD_CONFIG}: {clause}",
        f"GKE's {clause}",
        "enable GKE's network policy",
    )


ANTREA = Family("Antrea", _is_antrea, _always("Antrea"))
OVN_KUBERNETES = Family("OVN-Kubernetes", _is_ovn_kubernetes, _always("OVN-Kubernetes"))
AZURE_NPM = Family("Azure NPM", _is_azure_npm, _always("Azure NPM"))
KUBE_OVN = Family("kube-ovn", _is_kube_ovn, _judge_kube_ovn)
TERWAY = Family("Terway", _is_terway, _judge_terway)
OPENSHIFT_SDN = Family("OpenShift SDN", _is_openshift_sdn, _judge_openshift_sdn)
GKE_NETD = Family("GKE", _is_netd, _judge_netd)
