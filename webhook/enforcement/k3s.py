"""k3s: enforces from within its own process, so nothing but its nodes tells.

Where the program ipset is missing on a node its controller does not start there, and only k3s' log says so.

Sources: k3s pkg/nodeconfig/nodeconfig.go (the annotation: flags of command line and configuration file, ``--x=y``
split into two items), pkg/agent/netpol/netpol.go; agents take the setting from their server and show only ``agent``.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from webhook.enforcement.containers import truth
from webhook.enforcement.sighting import NO_ADMIN_POLICIES, Confidence, Sighting, State
from webhook.model.objects import Node

ENGINE: Final = "k3s"
_NODE_ARGS: Final = "k3s.io/node-args"
_FLAG: Final = "disable-network-policy"


def is_k3s(node: Node) -> bool:
    """Whether a node is run by k3s."""
    return "+k3s" in node.kubelet_version or _NODE_ARGS in node.annotations


def judge_k3s(nodes: Sequence[Node]) -> Sighting | None:
    """What the k3s nodes among these say; None when there is none."""
    answers: dict[bool | None, Node] = {}
    for node in nodes:
        if node.annotations and (annotation := node.annotations.get(_NODE_ARGS)):
            words = arguments(annotation)
            if words is None or words[:1] == ["server"]:
                answers.setdefault(_disabled(words), node)
    if len(answers) != 1 or None in answers:
        if not answers and not any(map(is_k3s, nodes)):
            return None
        reason = "k3s servers differ in their settings" if answers else "no k3s server node shows its settings"
        return Sighting(State.UNKNOWN, ENGINE, reason, reason)
    disabled, node = next(iter(answers.items()))
    if disabled:
        return Sighting(
            State.NOT_ENFORCED,
            ENGINE,
            f"k3s server {node.name} runs with --{_FLAG}",
            f"k3s runs with --{_FLAG}",
            "drop the flag",
        )
    return Sighting(
        State.ENFORCED,
        ENGINE,
        f"k3s server {node.name} runs its network policy controller",
        "k3s enforces by itself",
        confidence=Confidence.LIKELY,
        version=node.kubelet_version.removeprefix("v"),
        admin_policies=NO_ADMIN_POLICIES,
        nuance="on a node without the program ipset k3s does not enforce, and only its log says so",
    )


def arguments(annotation: str) -> list[str] | None:
    """The words of a ``node-args`` annotation; None when it is not understood."""
    try:
        return msgspec.json.decode(annotation, type=list[str])
    except msgspec.DecodeError:
        return None


def _disabled(words: Sequence[str] | None) -> bool | None:
    """Whether the server's policy controller is switched off; None when that cannot be told."""
    disabled: bool | None = False
    if words is None:
        return None
    for i, argument in enumerate(words):
        flag, equals, value = argument.lstrip("-").partition("=")
        if flag != _FLAG or not argument.startswith("-"):
            continue
        following = words[i + 1] if i + 1 < len(words) else "-"
        if not equals:
            value = "true" if following.startswith("-") else following
        disabled = truth(value)
    return disabled
