"""Spiderpool: hands out addresses for Underlay CNIs through Multus, and enforces nothing by itself.

Policies on such pods need Cilium chained behind it, which is seen as Cilium.

Source: spiderpool README.md (its matrix of features).
"""

from typing import Final

from webhook.enforcement.containers import Clue, title
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload

_ENGINE: Final = "Spiderpool"


def _recognises(clue: Clue) -> bool:
    return clue.image.name == "spiderpool-agent" or clue.container == "spiderpool-agent"


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    del cluster
    return Sighting(
        State.NOT_ENFORCED,
        _ENGINE,
        f"{title(daemon)} runs Spiderpool and nothing enforces beside it",
        "Spiderpool runs without a policy engine",
        "chain Cilium behind it",
    )


SPIDERPOOL = Family(_ENGINE, _recognises, _judge, can_enforce=False)
