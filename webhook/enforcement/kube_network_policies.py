"""kube-network-policies of kubernetes-sigs: a DaemonSet of its own, an add-on, or flannel's ``netpol`` container.

It carries out all of NetworkPolicy, and by default lets everything pass while its agent is down (``--fail-open``). A
flavour of its image carries out policies of administrators as well.

Sources: kube-network-policies install.yaml, docs/user/flavors; kubernetes cluster/addons/kube-network-policies; flannel
Documentation/netpol.md (command ``/bin/netpol``).
"""

from collections.abc import Mapping
from typing import Final

from webhook.enforcement.containers import Clue, Image, parse_image, title, version_of, version_text
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    BASELINE_ADMIN_NETWORK_POLICY,
    CLUSTER_NETWORK_POLICY,
    Workload,
)

ENGINE: Final = "kube-network-policies"


def _recognises(clue: Clue) -> bool:
    return clue.image.name.startswith(ENGINE) or clue.container == ENGINE or clue.program == "netpol"


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    images = [parse_image(container.image) for container in daemon.containers]
    image = next((i for i in images if i.name.startswith(ENGINE)), Image("", "", ""))
    return Sighting(
        State.ENFORCED,
        ENGINE,
        f"{title(daemon)} runs {ENGINE}",
        f"{ENGINE} runs",
        version=version_text(version_of(image, (0, 1, 2))),
        admin_policies=_admin_policies(image.tag),
    )


def _admin_policies(tag: str) -> Mapping[str, bool]:
    """By the flavour that the tag names; without one it is not known what an older image does."""
    if "npa-v1alpha1" in tag:
        return {ADMIN_NETWORK_POLICY: True, BASELINE_ADMIN_NETWORK_POLICY: True, CLUSTER_NETWORK_POLICY: False}
    if "npa-v1alpha2" in tag:
        return {ADMIN_NETWORK_POLICY: False, BASELINE_ADMIN_NETWORK_POLICY: False, CLUSTER_NETWORK_POLICY: True}
    return {}


KUBE_NETWORK_POLICIES = Family(ENGINE, _recognises, _judge)
