"""Terway, Alibaba's CNI: a container ``policy`` runs Felix or Cilium, unless the ConfigMap ``eni-config`` forbids it.

Sources: AliyunContainerService/terway policy/policyinit.sh (``DISABLE_POLICY``: empty, false and 0 mean on) and chart.
"""

from typing import Final

from webhook.enforcement.containers import Clue, settings_of, title
from webhook.enforcement.sighting import NO_ADMIN_POLICIES, Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload

CONFIG: Final = "eni-config"
_ENGINE: Final = "Terway"
_KEY: Final = "disable_network_policy"
_ON: Final = frozenset({"false", "0"})


def _recognises(clue: Clue) -> bool:
    return clue.image.name == "terway" or clue.container == "terway" or clue.app.startswith("terway")


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    agent = next((container for container in daemon.containers if container.name == "policy"), None)
    settings = settings_of(cluster, daemon.namespace, CONFIG)
    disabled = agent.env.get("DISABLE_POLICY") if agent is not None else None
    where, key = (title(daemon), "DISABLE_POLICY") if disabled else (f"ConfigMap {daemon.namespace}/{CONFIG}", _KEY)
    if not disabled and settings is not None:
        disabled = settings.get(_KEY)
    if agent is None or not disabled:
        clause = "settings do not prove that it enforces"
        return Sighting(State.UNKNOWN, _ENGINE, f"{title(daemon)}: Terway's {clause}", f"Terway's {clause}")
    clause = f"{key} is {disabled}"
    if disabled.strip().lower() in _ON:
        return Sighting(
            State.ENFORCED, _ENGINE, f"{where}: {clause}", f"Terway's {clause}", admin_policies=NO_ADMIN_POLICIES
        )
    return Sighting(State.NOT_ENFORCED, _ENGINE, f"{where}: {clause}", f"Terway's {clause}", 'set it to "false"')


TERWAY = Family(_ENGINE, _recognises, _judge)
