"""AKS: Azure NPM, which enforces, whole or in its Lite form, and Azure CNI's azure-cns, which hands out addresses only.

On AKS with Cilium, azure-cns runs beside Cilium's agents; with Azure CNI alone no DaemonSet but azure-cns tells of it.

Sources: azure-container-networking npm/azure-npm.yaml, npm/pkg/controlplane/translation/translatePolicy.go (NPM Lite:
what is no CIDR is refused) and translatePolicy_windows.go; learn.microsoft.com/azure/aks/use-network-policies.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from webhook.enforcement.containers import Clue, parse_image, settings_of, title, version_of, version_text
from webhook.enforcement.gaps import Feature, Gap
from webhook.enforcement.sighting import NO_ADMIN_POLICIES, Confidence, Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Labels, Workload

NPM_CONFIG: Final = "azure-npm-config"
_NPM: Final = "Azure NPM"


def _is_npm(clue: Clue) -> bool:
    return clue.image.name == "azure-npm" or clue.app == "azure-npm"


def _judge_npm(daemon: Workload, cluster: Cluster) -> Sighting:
    settings = settings_of(cluster, daemon.namespace, NPM_CONFIG)
    lite = None if settings is None else _is_lite(settings)
    images = (parse_image(container.image) for container in daemon.containers)
    version = next((v for i in images if i.name == "azure-npm" and (v := version_of(i, (1,)))), None)
    engine = "Azure NPM Lite" if lite else _NPM
    return Sighting(
        State.ENFORCED,
        engine,
        f"{title(daemon)} runs {engine}",
        f"{engine} runs",
        confidence=Confidence.LIKELY if lite is None else Confidence.CERTAIN,
        version=version_text(version),
        gaps=tuple(_gaps(lite=bool(lite))),
        admin_policies=NO_ADMIN_POLICIES,
        nuance="" if lite is not None else f"ConfigMap {NPM_CONFIG} could not be read: it may be NPM Lite",
    )


def _is_lite(settings: Labels) -> bool:
    """Whether a setting switches to NPM Lite; the ConfigMap holds one text of JSON."""
    for text in settings.values():
        try:
            decoded: Any = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
        toggles = decoded.get("Toggles", decoded) if isinstance(decoded, dict) else None
        if isinstance(toggles, dict) and toggles.get("EnableNPMLite") is True:
            return True
    return False


def _gaps(*, lite: bool) -> Iterator[Gap]:
    if lite:
        yield Gap(
            Feature.PEER_SELECTOR,
            "Azure NPM Lite",
            "reads no peer selectors: it refuses the policy",
            "write ipBlock",
            f"ConfigMap {NPM_CONFIG}: EnableNPMLite; npm translatePolicy.go",
        )
    yield Gap(Feature.IPV6, _NPM, "knows no IPv6", "", "learn.microsoft.com aks use-network-policies")
    for feature, what in (
        (Feature.NAMED_PORT, "named ports"),
        (Feature.SCTP, "SCTP"),
        (Feature.NEGATIVE_SELECTOR, "NotIn and DoesNotExist"),
        (Feature.EXCEPT, "except"),
    ):
        yield Gap(
            feature,
            _NPM,
            f"knows no {what} on Windows: it refuses the policy there",
            "",
            "npm translatePolicy_windows.go",
            os="windows",
        )


def _is_cns(clue: Clue) -> bool:
    return "azure-cns" in (clue.image.name, clue.app, clue.container)


def _judge_cns(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    return Sighting(
        State.NOT_ENFORCED,
        "Azure CNI",
        f"{title(daemon)} runs azure-cns and nothing enforces beside it",
        "Azure CNI has no policy engine",
        "set --network-policy",
    )


AZURE_NPM = Family(_NPM, _is_npm, _judge_npm)
AZURE_CNI = Family("Azure CNI", _is_cns, _judge_cns, can_enforce=False)
