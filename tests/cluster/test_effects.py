"""SCENARIOS.md 6, 8, 10, 11: what a policy would do to traffic, as kubectl prints it at a dry run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .control_plane import ControlPlane
from .installed_webhook import InstalledWebhook
from .objects import seen

Effects = Callable[..., list[str]]
_CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: nginx, namespace: effects, labels: {app: nginx}}
spec: {containers: [{name: nginx, image: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: busybox, namespace: effects, labels: {app: busybox}}
---
apiVersion: v1
kind: Pod
metadata: {name: friend, namespace: effects, labels: {access: "true"}}
---
apiVersion: v1
kind: Pod
metadata: {name: nwp-busybox, namespace: elsewhere, labels: {app: nwp-busybox, access: "true"}}
"""
_ACCESS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: access-nginx, namespace: effects}
spec:
  podSelector: {matchLabels: {app: nginx}}
  ingress:
    - from: [{podSelector: {matchLabels: {access: "true"}}}]
"""
_DENY_ALL = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: effects}
spec: {podSelector: {matchLabels: {app: busybox}}, policyTypes: [Ingress, Egress]}
"""


@pytest.fixture(scope="module", autouse=True)
def cluster(webhook: InstalledWebhook) -> Iterator[None]:
    with seen(webhook, _CLUSTER):
        yield


@pytest.fixture
def effects(control_plane: ControlPlane) -> Effects:
    """Runs kubectl and returns the lines about traffic, without their common beginning and end."""

    def run(*arguments: str, stdin: str | None = None) -> list[str]:
        file = () if stdin is None else ("-f", "-")
        done = control_plane.kubectl(*arguments, *file, stdin=stdin, check=False)
        lines = [line for line in done.stderr.splitlines() if line.endswith(" [effect]")]
        return [line.removeprefix("Warning: netpol effects/").removesuffix(" [effect]") for line in lines]

    return run


def test_6_and_10_only_those_with_the_label_get_in(effects: Effects) -> None:
    assert effects("apply", "--dry-run=server", stdin=_ACCESS) == [
        "access-nginx: cuts Pod/busybox and 1 workload in another namespace and the outside -> Pod/nginx",
        "access-nginx: isolates ingress of Pod/nginx",
    ]


def test_8_no_egress_at_all(effects: Effects) -> None:
    others = "Pod/friend, Pod/nginx and 1 workload in another namespace and the outside"
    assert effects("create", "--dry-run=server", stdin=_DENY_ALL) == [
        f"deny-all: cuts {others} -> Pod/busybox",
        f"deny-all: cuts Pod/busybox -> {others}",
        "deny-all: isolates ingress of Pod/busybox",
        "deny-all: isolates egress of Pod/busybox",
    ]


def test_11_a_port_is_opened_and_another_cut(effects: Effects, control_plane: ControlPlane) -> None:
    on_80 = _ACCESS + "      ports: [{port: 80}]\n"
    control_plane.kubectl("apply", "-f", "-", stdin=on_80)
    try:
        wider = on_80.replace('{access: "true"}', "{}")
        assert effects("apply", "--dry-run=server", stdin=wider) == [
            "access-nginx: opens Pod/busybox -> Pod/nginx on TCP 80"
        ]
        # that port 8080, on which nobody listens, is open now is no news
        assert effects("apply", "--dry-run=server", stdin=on_80.replace("port: 80", "port: 8080")) == [
            "access-nginx: cuts Pod/friend -> Pod/nginx on TCP 80"
        ]
        assert effects("delete", "--dry-run=server", stdin=on_80)[-1] == "access-nginx: frees ingress of Pod/nginx"
    finally:
        control_plane.kubectl("delete", "-f", "-", stdin=on_80)


def test_what_really_happens_is_not_told_again(effects: Effects, control_plane: ControlPlane) -> None:
    try:
        assert effects("apply", stdin=_ACCESS) == []
        assert effects("label", "networkpolicy/access-nginx", "-n", "effects", "team=a", "--dry-run=server") == []
    finally:
        control_plane.kubectl("delete", "-f", "-", stdin=_ACCESS)


def test_no_more_than_five_lines(effects: Effects) -> None:
    rules = "".join(
        f"    - {{from: [{{podSelector: {{matchLabels: {{access: 'true'}}}}}}], ports: [{{port: {port}}}]}}\n"
        for port in range(1, 3)
    )
    policy = _ACCESS.partition("  ingress:")[0].replace("{matchLabels: {app: nginx}}", "{}")
    said = effects("apply", "--dry-run=server", stdin=f"{policy}  policyTypes: [Ingress, Egress]\n  ingress:\n{rules}")
    assert len(said) <= 6
    assert len(said) < 6 or said[-1].startswith("access-nginx: and ")
