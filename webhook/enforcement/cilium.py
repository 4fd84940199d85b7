"""Cilium, alone or chained behind another CNI, on AKS beside azure-cns, and GKE's Dataplane V2 (DaemonSet ``anetd``).

Its policy engine is switched by the ConfigMap ``cilium-config`` beside the DaemonSet; a flag of the agent goes before,
and a CiliumNodeConfig may set otherwise on some nodes: while these are not known, "not enforced" is not certain.

Sources: cilium install/kubernetes/cilium/templates/cilium-configmap.yaml, Documentation/security/policy-creation.rst,
configuration/per-node-config.rst, configuration/sctp.rst, pkg/k8s/network_policy.go (ports before v1.17);
cloud.google.com dataplane-v2 ("Network policy is always on"); learn.microsoft.com aks migrate-from-npm-to-cilium.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from webhook.enforcement.containers import (
    Clue,
    Version,
    minor_text,
    option,
    parse_image,
    settings_of,
    switch,
    title,
    truth,
    version_of,
    version_text,
)
from webhook.enforcement.gaps import Feature, Gap
from webhook.enforcement.sighting import Confidence, Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    BASELINE_ADMIN_NETWORK_POLICY,
    CILIUM_NODE_CONFIG,
    CLUSTER_NETWORK_POLICY,
    Labels,
    Workload,
)

CONFIG: Final = "cilium-config"
_MAJORS: Final = (1,)
_ALWAYS_ON: Final = "anetd"
_OWN_ALONE: Final = "enable-k8s-networkpolicy is false"
"""Of the three switches the one that leaves Cilium's own policies in force."""
_ALWAYS: Final = "enable-policy is always"
"""What closes pods that no policy selects."""
_KNOWN_UP_TO: Final = (1, 20, 999)
"""The newest minor version whose defaults are known here: v1.20.2 was read."""


def _is_cilium(container: str, image_name: str) -> bool:
    # rancher/mirrored-cilium-cilium
    return container == "cilium-agent" or image_name == "cilium" or image_name.endswith("cilium-cilium")


def _recognises(clue: Clue) -> bool:
    return _is_cilium(clue.container, clue.image.name) or clue.app == "cilium"


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    settings = settings_of(cluster, daemon.namespace, CONFIG)
    where = f"ConfigMap {daemon.namespace}/{CONFIG}" if settings else title(daemon)
    state, clause, remedy = _switches(daemon, settings or {})
    if state is State.ENFORCED and settings is None and daemon.name != _ALWAYS_ON:
        state, clause = State.UNKNOWN, "cilium-config ConfigMap could not be read"
    odd = _odd_nodes(cluster, daemon, settings or {})
    if odd and state is State.NOT_ENFORCED:
        state, clause, remedy = State.UNKNOWN, "CiliumNodeConfigs set the policy switches otherwise on some nodes", ""
    elif state is State.NOT_ENFORCED and not cluster.complete(CILIUM_NODE_CONFIG):
        state, clause, remedy = State.UNKNOWN, f"{clause}, but its CiliumNodeConfigs could not be read", ""
    version = _version(daemon)
    chained = (settings or {}).get("cni-chaining-mode", "none")
    return Sighting(
        state,
        "Cilium",
        f"{where}: Cilium's {clause}",
        f"Cilium's {clause}",
        remedy,
        Confidence.LIKELY if chained != "none" else Confidence.CERTAIN,
        version=version_text(version),
        gaps=tuple(_gaps(daemon, settings, version)) if state is State.ENFORCED else (),
        admin_policies=_admin_policies(daemon, settings, version),
        nuance=odd
        or (
            f"chained behind {chained}: pods from before its installation are not covered" if chained != "none" else ""
        ),
        partly=bool(odd) and state is State.ENFORCED,
        own_policies=None if odd or state is not State.NOT_ENFORCED else clause == _OWN_ALONE,
        closes_unselected=clause == _ALWAYS,
    )


def _version(daemon: Workload) -> Version | None:
    images = (parse_image(c.image) for c in daemon.containers if _is_cilium(c.name, parse_image(c.image).name))
    return next((v for image in images if (v := version_of(image, _MAJORS))), None)


def _switches(daemon: Workload, data: Labels) -> tuple[State, str, str]:
    """What the switches make of the engine: the state, the deciding clause, and what makes it enforce."""
    enable = (option(daemon.containers, "enable-policy") or data.get("enable-policy") or "default").strip().lower()
    if enable == "never":
        return State.NOT_ENFORCED, "enable-policy is never", "set it to default"
    audit = truth(switch(daemon.containers, "policy-audit-mode") or data.get("policy-audit-mode") or "false")
    if audit:
        return State.NOT_ENFORCED, "policy-audit-mode is true", "set it to false"
    standard = truth(
        switch(daemon.containers, "enable-k8s-networkpolicy") or data.get("enable-k8s-networkpolicy") or "true"
    )
    if standard is False:
        return State.NOT_ENFORCED, _OWN_ALONE, "set it to true"
    if enable not in {"default", "always"} or audit is None or standard is None:
        return State.UNKNOWN, "policy settings are not understood", ""
    return State.ENFORCED, _ALWAYS if enable == "always" else "enable-policy is default", ""


def _odd_nodes(cluster: Cluster, daemon: Workload, settings: Labels) -> str:
    """What says that on some nodes the switches make something else of the engine; empty when nothing is known to."""
    state = _switches(daemon, settings)[0]
    for setting in cluster.engine_settings(CILIUM_NODE_CONFIG):
        switches = {k: v for k, v in setting.data.items() if k in _SWITCHES}
        if switches and _switches(daemon, {**settings, **switches})[0] is not state:
            (key, value), *_ = switches.items()
            return f"CiliumNodeConfig {setting.namespace}/{setting.name} sets {key}: {value} on the nodes it selects"
    return ""


_SWITCHES: Final = frozenset({"enable-policy", "policy-audit-mode", "enable-k8s-networkpolicy"})


def _gaps(daemon: Workload, settings: Labels | None, version: Version | None) -> Iterator[Gap]:
    if version is not None and version < (1, 17, 0):
        yield Gap(
            Feature.END_PORT,
            f"Cilium {minor_text(version)}",
            "ignores endPort: the rest of the range stays closed",
            "list the ports",
            f"image version {version_text(version)}; endPort came with Cilium 1.17",
        )
    if settings is None:
        return
    sctp = switch(daemon.containers, "enable-sctp") or settings.get("enable-sctp")
    defaults_known = version is not None and version <= _KNOWN_UP_TO
    if truth(sctp) is False or (sctp is None and defaults_known):
        yield Gap(
            Feature.SCTP,
            "Cilium",
            "has enable-sctp off: SCTP does not get through",
            "have it enabled",
            "enable-sctp is off; Cilium's Documentation/configuration/sctp.rst",
        )
    mode = option(daemon.containers, "policy-cidr-match-mode") or settings.get("policy-cidr-match-mode") or ""
    matched = {word.strip(" []\"'").lower() for word in mode.replace(",", " ").split()}
    for feature, word in ((Feature.POD_IP_BLOCK, "pods"), (Feature.NODE_IP_BLOCK, "nodes")):
        if word not in matched:
            yield Gap(
                feature,
                "Cilium",
                f"matches no {word.removesuffix('s')} by IP",
                "select by labels" if word == "pods" else f"set policy-cidr-match-mode to {word}",
                f"policy-cidr-match-mode lacks {word}; Cilium's Documentation/security/policy/language.rst",
            )


def _admin_policies(daemon: Workload, settings: Labels | None, version: Version | None) -> Mapping[str, bool]:
    """Source: cilium v1.20 cilium-configmap.yaml; network-policy-api site-src/implementations.md (2026-04)."""
    told = {ADMIN_NETWORK_POLICY: False, BASELINE_ADMIN_NETWORK_POLICY: False}
    if version is None or settings is None:
        return told
    name = "enable-k8s-cluster-network-policy"
    enabled = truth(switch(daemon.containers, name) or settings.get(name) or "false")
    if enabled is None:
        return told
    return {**told, CLUSTER_NETWORK_POLICY: enabled and version >= (1, 20, 0)}


CILIUM = Family("Cilium", _recognises, _judge)
