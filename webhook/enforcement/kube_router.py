"""kube-router: enforces unless its firewall is switched off, as in its proxy-only manifests.

Source: kube-router pkg/options/options.go (``--run-firewall``, true by default) and its daemonset manifests.
"""

from typing import Final

from webhook.enforcement.containers import Clue, parse_image, switch, title, truth, version_of, version_text
from webhook.enforcement.sighting import NO_ADMIN_POLICIES, Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload

_ENGINE: Final = "kube-router"


def _recognises(clue: Clue) -> bool:
    return clue.image.name.endswith(_ENGINE) or clue.app == _ENGINE


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    firewall = truth(switch(daemon.containers, "run-firewall") or "true")
    if firewall is None:
        clause = "kube-router's --run-firewall is not understood"
        return Sighting(State.UNKNOWN, _ENGINE, f"{title(daemon)}: {clause}", clause)
    if firewall:
        clause = "runs with its firewall on"
        images = (parse_image(container.image) for container in daemon.containers)
        version = next((v for i in images if i.name.endswith(_ENGINE) and (v := version_of(i, (0, 1, 2)))), None)
        return Sighting(
            State.ENFORCED,
            _ENGINE,
            f"{title(daemon)} {clause}",
            f"{_ENGINE} {clause}",
            version=version_text(version),
            admin_policies=NO_ADMIN_POLICIES,
        )
    return Sighting(
        State.NOT_ENFORCED,
        _ENGINE,
        f"{title(daemon)} runs kube-router with --run-firewall=false",
        "kube-router has --run-firewall=false",
        "set it to true",
    )


KUBE_ROUTER = Family(_ENGINE, _recognises, _judge)
