"""Romana: a listener, a Deployment, reads policies, agents carry them out; nobody has worked on it since 2018.

It reads the API extensions/v1beta1, which Kubernetes v1.16 dropped: what it does in a newer cluster is not known.

Source: romana docs/kubernetes/specs (romana-agent, romana-listener).
"""

from typing import Final

from webhook.enforcement.containers import Clue, title
from webhook.enforcement.sighting import NO_ADMIN_POLICIES, Confidence, Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import DEPLOYMENT, Workload

_ENGINE: Final = "Romana"


def _recognises(clue: Clue) -> bool:
    return clue.container == "romana-agent" or (clue.image.name == "agent" and "/romana/" in clue.image.path)


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    for deployment in cluster.workloads(DEPLOYMENT):
        if any("romana-listener" in (c.name, c.image.rpartition("/")[2]) for c in deployment.containers):
            return Sighting(
                State.ENFORCED,
                _ENGINE,
                f"{title(daemon)} and {title(deployment)} run Romana",
                "Romana runs",
                confidence=Confidence.LIKELY,
                admin_policies=NO_ADMIN_POLICIES,
                nuance="Romana reads policies of extensions/v1beta1, which Kubernetes v1.16 dropped",
            )
    clause = "Romana's listener was not found"
    return Sighting(State.UNKNOWN, _ENGINE, f"{title(daemon)} runs Romana; its listener was not found", clause)


ROMANA = Family(_ENGINE, _recognises, _judge)
