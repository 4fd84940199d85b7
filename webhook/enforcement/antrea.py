"""Antrea: its controller, a Deployment, decides, its agents carry out; alone, or for policies only beside another CNI.

Sources: antrea build/yamls/antrea.yml, antrea-windows-with-ovs.yml; docs/policy-only.md (``trafficEncapMode``).
"""

import re
from typing import Final

from webhook.enforcement.containers import Clue, parse_image, title, version_of, version_text
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import DEPLOYMENT, Container, Workload

CONFIG: Final = "antrea-config"
_ENGINE: Final = "Antrea"
_POLICY_ONLY: Final = re.compile(r"^\s*trafficEncapMode:\s*[\"']?networkPolicyOnly\b", re.MULTILINE | re.IGNORECASE)
"""In the agent's settings; a line that is commented out does not match."""


def _is_windows(clue: Clue) -> bool:
    return "antrea" in clue.image.path and "windows" in clue.image.name


def _recognises(clue: Clue) -> bool:
    name = clue.image.name
    return not _is_windows(clue) and (clue.container == "antrea-agent" or name.startswith("antrea-"))


def _is_controller(container: Container) -> bool:
    return container.name == "antrea-controller" or parse_image(container.image).name.startswith("antrea-controller")


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    if cluster.complete(DEPLOYMENT) and not any(
        _is_controller(container) for d in cluster.workloads(DEPLOYMENT) for container in d.containers
    ):
        clause = "Antrea's controller was not found"
        return Sighting(State.UNKNOWN, _ENGINE, f"{title(daemon)} runs Antrea; its controller was not found", clause)
    images = (parse_image(container.image) for container in daemon.containers)
    version = next((v for image in images if "antrea" in image.name and (v := version_of(image, (0, 1, 2)))), None)
    config = cluster.config_map(daemon.namespace, CONFIG)
    alone = config is None or not any(_POLICY_ONLY.search(text) for text in config.data.values())
    return Sighting(
        State.ENFORCED,
        _ENGINE,
        f"{title(daemon)} runs Antrea",
        "Antrea runs",
        version=version_text(version),
        nuance="" if alone else f"ConfigMap {daemon.namespace}/{CONFIG}: networkPolicyOnly, beside another CNI",
    )


ANTREA = Family(_ENGINE, _recognises, _judge, windows=_is_windows)
