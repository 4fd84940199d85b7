"""Cilium, alone or chained behind another CNI, and GKE's Dataplane V2 (DaemonSet ``anetd``).

Its policy engine is switched by the ConfigMap ``cilium-config`` beside the DaemonSet; a flag of the agent goes before.

Sources: cilium install/kubernetes/cilium/templates/cilium-configmap.yaml, Documentation/security/policy-creation.rst;
cloud.google.com dataplane-v2 ("Network policy is always on").
"""

from webhook.enforcement.containers import Clue, option, settings_of, switch, title, truth
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Workload

CONFIG = "cilium-config"


def _recognises(clue: Clue) -> bool:
    name = clue.image.name
    return (
        clue.container == "cilium-agent"
        or clue.app == "cilium"
        or name == "cilium"
        or name.endswith("cilium-cilium")  # rancher/mirrored-cilium-cilium
    )


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    settings = settings_of(cluster, daemon.namespace, CONFIG)
    data = settings or {}

    def sighting(state: State, clause: str, remedy: str = "") -> Sighting:
        where = f"ConfigMap {daemon.namespace}/{CONFIG}" if settings else title(daemon)
        return Sighting(state, "Cilium", f"{where}: Cilium's {clause}", f"Cilium's {clause}", remedy)

    enable = (option(daemon.containers, "enable-policy") or data.get("enable-policy") or "default").strip().lower()
    if enable == "never":
        return sighting(State.NOT_ENFORCED, "enable-policy is never", "set it to default")
    audit = truth(switch(daemon.containers, "policy-audit-mode") or data.get("policy-audit-mode") or "false")
    if audit:
        return sighting(State.NOT_ENFORCED, "policy-audit-mode is true", "set it to false")
    standard = truth(
        switch(daemon.containers, "enable-k8s-networkpolicy") or data.get("enable-k8s-networkpolicy") or "true"
    )
    if standard is False:
        return sighting(State.NOT_ENFORCED, "enable-k8s-networkpolicy is false", "set it to true")
    if enable not in {"default", "always"} or audit is None or standard is None:
        return sighting(State.UNKNOWN, "policy settings are not understood")
    if settings is None and daemon.name != "anetd":
        return sighting(State.UNKNOWN, "cilium-config ConfigMap could not be read")
    return sighting(State.ENFORCED, f"enable-policy is {enable}")


CILIUM = Family("Cilium", _recognises, _judge)
