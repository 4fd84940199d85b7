"""kindnet: the one that kind ships, told apart by its image's date, and aojea's own, told by a switch.

Where the image tells no date, the right to read NetworkPolicies does, if it is known: kind gave it when it implemented
them.

Sources: kind commit e7903573 (2024-07-19, policies implemented); kind v0.23.0 ships v20240513 without them, v0.24.0
ships v20240813 with them; aojea/kindnet cmd/kindnetd/main.go (``--network-policy``, true by default).
"""

import re
from typing import Final

from webhook.enforcement.containers import Clue, Image, parse_image, switch, title, truth
from webhook.enforcement.rbac import policy_readers, readers_known
from webhook.enforcement.sighting import Family, Sighting, State
from webhook.model.cluster import Cluster
from webhook.model.objects import Container, Workload

_DATE: Final = re.compile(r"v?(20\d{6})(?:-|$)")
_IMPLEMENTED: Final = "20240719"
_SHIPPED: Final = "20240813"


def _is_kindnet(container: str, image: Image) -> bool:
    return image.name.endswith("kindnetd") or container == "kindnet-cni"


def _recognises(clue: Clue) -> bool:
    return _is_kindnet(clue.container, clue.image)


def _judge(daemon: Workload, cluster: Cluster) -> Sighting:
    agent = next(c for c in daemon.containers if _is_kindnet(c.name, parse_image(c.image)))
    image = parse_image(agent.image)
    return _judge_switch(daemon, agent) if "aojea" in image.path else _judge_date(daemon, image.tag, cluster)


def _judge_date(daemon: Workload, tag: str, cluster: Cluster) -> Sighting:
    dated = _DATE.match(tag)
    date = dated[1] if dated else ""
    if date >= _SHIPPED:
        return Sighting(
            State.ENFORCED, "kindnet", f"{title(daemon)} runs kindnetd v{date}", f"kindnet is v{date}", version=date
        )
    undecided = not date or date >= _IMPLEMENTED
    if undecided and daemon.account in policy_readers(cluster):
        clause = "may watch NetworkPolicies"
        return Sighting(State.ENFORCED, "kindnet", f"{title(daemon)} {clause}", f"kindnet {clause}", version=date)
    if undecided and readers_known(cluster):
        clause = "may not watch NetworkPolicies"
        return Sighting(
            State.NOT_ENFORCED, "kindnet", f"{title(daemon)} {clause}", f"kindnet {clause}", "use kind v0.24+"
        )
    if undecided:
        # without a date, or built between the feature's commit and its release: either answer may be true
        return Sighting(
            State.UNKNOWN,
            "kindnet",
            f"{title(daemon)} runs kindnetd of an unknown date",
            "kindnet's image does not tell whether it has policies",
        )
    return Sighting(
        State.NOT_ENFORCED,
        "kindnet",
        f"{title(daemon)} runs kindnetd v{date}, before v{_SHIPPED}",
        f"kindnet v{date} has no policies",
        "use kind v0.24+",
    )


def _judge_switch(daemon: Workload, container: Container) -> Sighting:
    enabled = truth(switch((container,), "network-policy") or "true")
    if enabled is None:
        clause = "kindnetd's --network-policy is not understood"
        return Sighting(State.UNKNOWN, "kindnet", f"{title(daemon)}: {clause}", clause)
    if enabled:
        clause = "kindnetd with policies on"
        return Sighting(State.ENFORCED, "kindnet", f"{title(daemon)} runs {clause}", f"kindnet runs {clause}")
    return Sighting(
        State.NOT_ENFORCED,
        "kindnet",
        f"{title(daemon)} runs kindnetd with --network-policy=false",
        "kindnetd has --network-policy=false",
        "set it to true",
    )


KINDNET = Family("kindnet", _recognises, _judge)
