"""Weave Net: its policy controller is a container of its own, weave-npc.

Whether EXPECT_NPC is set does not matter: without weave-npc nothing enforces, with it something does.

Sources: weave prog/weave-kube/weave-daemonset-k8s-1.11.yaml, launch.sh (EXPECT_NPC); npc/analyser.go (named ports;
endPort: only ``Port`` is ever read), pull request 3375 (before v2.5.0 a named port crashed weave-npc); CHANGELOG.md;
facts 1.5.
"""

from collections.abc import Iterator
from typing import Final

from webhook.enforcement.containers import (
    Clue,
    Version,
    minor_text,
    parse_image,
    title,
    version_of,
    version_text,
)
from webhook.enforcement.gaps import Feature, Gap
from webhook.enforcement.sighting import NO_ADMIN_POLICIES, Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Container, Workload

_MAJORS: Final = (1, 2)
_UNMAINTAINED: Final = "Weaveworks ended in 2024: the fork rajch/weave is what is maintained"


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

    controller = next(filter(enforces, daemon.containers), None)
    if controller is None:
        return Sighting(
            State.NOT_ENFORCED,
            "Weave Net",
            f"{title(daemon)} runs Weave Net without weave-npc",
            "Weave Net runs without weave-npc",
            "add that container",
        )
    image = parse_image(controller.image)
    version = version_of(image, _MAJORS)
    return Sighting(
        State.ENFORCED,
        "Weave Net",
        f"{title(daemon)} runs weave-npc",
        "Weave Net runs weave-npc",
        version=version_text(version),
        gaps=tuple(_gaps(version)),
        admin_policies=NO_ADMIN_POLICIES,
        nuance=_UNMAINTAINED if "weaveworks/" in image.path else "",
    )


def _gaps(version: Version | None) -> Iterator[Gap]:
    yield Gap(
        Feature.NAMED_PORT,
        "Weave Net",
        "refuses named ports: the whole policy does nothing",
        "write the number",
        "weave npc/analyser.go checkForNamedPorts",
    )
    yield Gap(
        Feature.END_PORT,
        "Weave Net",
        "ignores endPort: the rest of the range stays closed",
        "list the ports",
        "weave npc/analyser.go withNormalisedProtoAndPort",
    )
    yield Gap(
        Feature.IPV6,
        "Weave Net",
        "is IPv4 only",
        "",
        "weave npc: ipsets of family inet",
    )
    if version is None:
        return
    who = f"Weave Net {minor_text(version)}"
    came = f"image version {version_text(version)}; weave CHANGELOG.md"
    if version < (2, 4, 0):
        yield Gap(Feature.EGRESS, who, "knows no egress: it stays open", "upgrade to 2.4", came, ("Egress",))
    if version < (2, 5, 0):
        yield Gap(Feature.IP_BLOCK, who, "does not read ipBlock", "upgrade to 2.5", came)
    if version < (2, 6, 0):
        yield Gap(
            Feature.BOTH_SELECTORS,
            who,
            "cannot combine podSelector and namespaceSelector",
            "upgrade to 2.6",
            came,
        )


WEAVE = Family("Weave Net", _recognises, _judge)
