"""Calico: from its manifests, from the Tigera operator, and as Canal beside flannel.

It carries out all of NetworkPolicy on Linux (facts 1.2). Beside another CNI (``calico-policy-only.yaml``, GKE's add-on
with its node selector) it is the same agent; on which nodes it runs, coverage tells.

Sources: calico manifests/calico.yaml, canal.yaml, calico-policy-only.yaml; operator pkg/common/common.go; rke2-charts
packages/rke2-canal and rke2-calico (images ``rancher/hardened-calico``); kubernetes
cluster/addons/calico-policy-controller; docs.tigera.io calico windows-calico/limitations.
"""

from collections.abc import Mapping
from typing import Final

from webhook.enforcement.containers import Clue, Version, parse_image, title, version_of, version_text
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    BASELINE_ADMIN_NETWORK_POLICY,
    CLUSTER_NETWORK_POLICY,
    Container,
    Workload,
)

_MAJORS: Final = (3,)


def _is_windows(clue: Clue) -> bool:
    return "windows" in clue.image.name or "windows" in clue.container


def _is_calico_windows(clue: Clue) -> bool:
    return _is_windows(clue) and ("calico" in clue.image.path or "tigera" in clue.image.path or "calico" in clue.app)


def _recognises(clue: Clue) -> bool:
    image = clue.image
    if _is_windows(clue):
        return False  # beside a Linux agent it covers more nodes, and alone it covers no Linux pod
    if clue.container == "calico-node" or image.name.endswith(("calico-node", "hardened-calico")):
        return True
    return image.name in {"node", "cnx-node"} and ("calico" in image.path or "tigera" in image.path)


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    version = next((v for c in daemon.containers if (v := _version(c))), None)
    canal = any("flannel" in container.name or "flannel" in container.image for container in daemon.containers)
    return Sighting(
        State.ENFORCED,
        "Canal" if canal else "Calico",
        f"{title(daemon)} runs calico-node" + (" beside flannel" if canal else ""),
        "Canal runs calico-node" if canal else "Calico runs calico-node",
        version=version_text(version),
        admin_policies=_admin_policies(version),
    )


def _version(container: Container) -> Version | None:
    image = parse_image(container.image)
    if "flannel" in image.name or image.name == "cnx-node":
        return None  # flannel counts its own way, and so does Calico Enterprise
    return version_of(image, _MAJORS)


def _admin_policies(version: Version | None) -> Mapping[str, bool]:
    """Source: sigs.k8s.io/network-policy-api site-src/implementations.md (2026-04)."""
    if version is None:
        return {}
    early = (3, 29, 0) <= version < (3, 32, 0)
    return {
        ADMIN_NETWORK_POLICY: early,
        BASELINE_ADMIN_NETWORK_POLICY: early,
        CLUSTER_NETWORK_POLICY: version >= (3, 32, 0),
    }


CALICO = Family("Calico", _recognises, _judge, windows=_is_calico_windows)
