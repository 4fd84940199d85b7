"""OVN-Kubernetes, on OpenShift and elsewhere, and OpenShift SDN, which is gone since OpenShift 4.17.

Of OpenShift SDN's three plug-ins one enforces. Which one runs is told by the object ClusterNetwork alone.

Sources: ovn-kubernetes dist/templates; cluster-network-operator bindata (ovn-kubernetes, openshift-sdn with
cni-features.yaml: the ConfigMap openshift-network-features); library-go pkg/network/networkutils (plug-ins).
"""

from collections.abc import Iterator
from typing import Final

from webhook.enforcement.containers import Clue, title, truth
from webhook.enforcement.gaps import Feature, Gap
from webhook.enforcement.sighting import NO_ADMIN_POLICIES, Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    BASELINE_ADMIN_NETWORK_POLICY,
    CLUSTER_NETWORK,
    Key,
    Workload,
)

FEATURES: Final[Key] = ("openshift-config-managed", "openshift-network-features")
_SDN: Final = "OpenShift SDN"
_PLUGINS: Final = {
    "redhat/openshift-ovs-networkpolicy": State.ENFORCED,
    "redhat/openshift-ovs-subnet": State.NOT_ENFORCED,
    "redhat/openshift-ovs-multitenant": State.NOT_ENFORCED,
}


def _is_ovn_kubernetes(clue: Clue) -> bool:
    # OpenShift's images are digests of one repository: there only the containers' names tell.
    return clue.container in {"ovnkube-node", "ovnkube-controller"} or clue.image.name.startswith("ovn-kube")


def _judge_ovn_kubernetes(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    engine = "OVN-Kubernetes"
    implemented = dict.fromkeys((ADMIN_NETWORK_POLICY, BASELINE_ADMIN_NETWORK_POLICY), True)
    return Sighting(
        State.ENFORCED, engine, f"{title(daemon)} runs {engine}", f"{engine} runs", admin_policies=implemented
    )


def _is_openshift_sdn(clue: Clue) -> bool:
    return clue.container == "sdn" and clue.app == "sdn"


def _judge_openshift_sdn(daemon: Workload, cluster: Cluster) -> Sighting:
    for network in cluster.engine_settings(CLUSTER_NETWORK):
        plugin = network.data.get("pluginName", "")
        state = _PLUGINS.get(plugin)
        if state is not None:
            return Sighting(
                state,
                _SDN,
                f"ClusterNetwork {network.name}: pluginName is {plugin}",
                f"OpenShift SDN runs {plugin.rpartition('/')[2]}",
                "" if state is State.ENFORCED else "use OVN-Kubernetes",
                gaps=tuple(_gaps(cluster)) if state is State.ENFORCED else (),
                admin_policies=NO_ADMIN_POLICIES,
            )
    clause = "OpenShift SDN's plug-in is not visible"
    return Sighting(State.UNKNOWN, _SDN, f"{title(daemon)}: {clause}", clause)


def _gaps(cluster: Cluster) -> Iterator[Gap]:
    yield Gap(
        Feature.NAMED_PORT,
        _SDN,
        "ignores named ports: they stay closed",
        "write the number",
        "sdn node/networkpolicy.go",
    )
    yield Gap(Feature.IPV6, _SDN, "is IPv4 only", "", "sdn node/networkpolicy.go")
    features = cluster.config_map(*FEATURES)
    if features is None:
        return
    where = f"ConfigMap {'/'.join(FEATURES)}"
    if truth(features.data.get("policy_egress")) is False:
        yield Gap(
            Feature.EGRESS, _SDN, "knows no egress: it stays open", "", f"{where}: policy_egress is false", ("Egress",)
        )
    if truth(features.data.get("policy_peer_ipblock_exceptions")) is False:
        yield Gap(Feature.EXCEPT, _SDN, "does not read except", "", f"{where}: policy_peer_ipblock_exceptions is false")


OVN_KUBERNETES = Family("OVN-Kubernetes", _is_ovn_kubernetes, _judge_ovn_kubernetes)
OPENSHIFT_SDN = Family(_SDN, _is_openshift_sdn, _judge_openshift_sdn)
