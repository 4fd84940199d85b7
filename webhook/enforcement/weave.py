"""Weave Net: its policy controller is a container of its own, weave-npc.

Whether EXPECT_NPC is set does not matter: without weave-npc nothing enforces, with it something does.

Source: weave prog/weave-kube/weave-daemonset-k8s-1.11.yaml, launch.sh (EXPECT_NPC); facts 1.5.
"""

from webhook.enforcement.containers import Clue, parse_image, title
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Container, Workload


def _is_policy_controller(container: str, image_name: str) -> bool:
    return container == "weave-npc" or image_name.endswith("weave-npc")


def _recognises(clue: Clue) -> bool:
    return (
        _is_policy_controller(clue.container, clue.image.name)
        or clue.image.name.endswith("weave-kube")
        or (clue.container == "weave" and clue.app == "weave-net")
    )


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster

    def enforces(container: Container) -> bool:
        return _is_policy_controller(container.name, parse_image(container.image).name)

    if any(map(enforces, daemon.containers)):
        return Sighting(State.ENFORCED, "Weave Net", f"{title(daemon)} runs weave-npc", "Weave Net runs weave-npc")
    return Sighting(
        State.NOT_ENFORCED,
        "Weave Net",
        f"{title(daemon)} runs Weave Net without weave-npc",
        "Weave Net runs without weave-npc",
        "add that container",
    )


WEAVE = Family("Weave Net", _recognises, _judge)
