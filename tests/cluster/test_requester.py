"""``disclose: requester``: two people, and what the real API server says of each of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from .control_plane import ControlPlane
from .installed_webhook import InstalledWebhook, eventually
from .objects import seen

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PODS = """
apiVersion: v1
kind: Pod
metadata: {name: api-0, namespace: HOME, labels: {app: api}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: PUBLIC, labels: {app: web, tier: front}}
---
apiVersion: v1
kind: Pod
metadata: {name: topsecret-0, namespace: VAULT, labels: {app: topsecret, tier: front}}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np, namespace: HOME}
spec: SPEC
"""
ISOLATES = "{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}"
SELECTS_FAR = "{podSelector: {matchLabels: {tier: front}}, policyTypes: [Ingress]}"


class World(NamedTuple):
    """Three namespaces; the tenant may write policies in the first, and list pods in the second."""

    webhook: InstalledWebhook
    home: str
    public: str
    vault: str
    tenant: str

    def ask(self, *arguments: str, spec: str = ISOLATES, user: str | None = None) -> tuple[int, list[str]]:
        """The code and the lines of a server dry run, without the name of the policy, and without what is the same."""
        text = _POLICY.replace("HOME", self.home).replace("SPEC", spec)
        command = ("create", "--dry-run=server", "-f", "-", *arguments)
        done = self.webhook.plane.kubectl(*command, stdin=text, user=user, check=False)
        about = f"netpol {self.home}/np: "
        lines = [line.partition(about)[2] for line in done.stderr.splitlines() if about in line]
        return done.returncode, [line for line in lines if not line.startswith("isolates ")]


@pytest.fixture(scope="module")
def unable(webhook: InstalledWebhook) -> Iterator[World]:
    """netadmit that was told to ask, and may not."""
    plane, suffix = webhook.plane, secrets.token_hex(3)
    home, public, vault, tenant = (f"{word}-{suffix}" for word in ("home", "public", "vault", "tenant"))
    pods = _PODS.replace("HOME", home).replace("PUBLIC", public).replace("VAULT", vault)
    with seen(webhook, pods), webhook.configured(disclose="requester"):
        webhook.catch_up()
        plane.add_user(tenant, "tenants")
        plane.grant(tenant, ["create"], ["networkpolicies"], api_groups=["networking.k8s.io"], namespace=home)
        plane.grant(tenant, ["list"], ["pods"], namespace=public)
        yield World(webhook, home, public, vault, tenant)


@pytest.fixture(scope="module")
def world(unable: World) -> Iterator[World]:
    """The same, which may ask."""
    webhook, plane = unable.webhook, unable.webhook.plane
    meta = {"name": f"{webhook.namespace}-access"}
    rules = [{"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}]
    plane.request("POST", f"{_RBAC}/clusterroles", {"metadata": meta, "rules": rules})
    binding = {
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": meta["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": "netadmit", "namespace": webhook.namespace}],
    }
    plane.request("POST", f"{_RBAC}/clusterrolebindings", binding)
    with webhook.configured(disclose="requester"):
        webhook.catch_up()
        eventually(lambda: webhook.metric("netadmit_access_reviews_total", outcome="denied") == 1, "it may ask")
        yield unable
    for kind in ("clusterroles", "clusterrolebindings"):
        plane.request("DELETE", f"{_RBAC}/{kind}/{meta['name']}")


COUNTED = "cuts 2 workloads in 2 other namespaces and the outside -> Pod/api-0 [effect]"


def test_what_may_not_ask_says_so_and_counts(unable: World) -> None:
    code, lines = unable.ask()
    assert (code, lines) == (0, [COUNTED])
    refused = [line for line in unable.webhook.log() if line["logger"] == "netadmit.access"]
    assert len(refused) == 1
    assert refused[0]["message"].startswith("access reviews fail, so nothing of other namespaces is named")
    assert 'cannot create resource "subjectaccessreviews"' in refused[0]["message"]
    assert "subjectaccessreviews" in unable.webhook._operations("/readyz")


def test_an_administrator_is_told_the_names(world: World) -> None:
    names = f"{world.public}/Pod/web-0, {world.vault}/Pod/topsecret-0"
    assert world.ask() == (0, [f"cuts {names} and the outside -> Pod/api-0 [effect]"])
    [line] = world.ask(spec=SELECTS_FAR)[1]
    assert f"2 in namespaces {world.public}, {world.vault};" in line


@pytest.mark.parametrize("way", ["certificate", "impersonation"])
def test_a_tenant_is_told_the_names_of_what_they_may_list(world: World, way: str) -> None:
    arguments = ("--as", world.tenant, "--as-group", "tenants") if way == "impersonation" else ()
    user = world.tenant if way == "certificate" else None
    assert world.ask(*arguments, user=user) == (
        0,
        [f"cuts {world.public}/Pod/web-0 and 1 workload in another namespace and the outside -> Pod/api-0 [effect]"],
    )
    [line] = world.ask(*arguments, spec=SELECTS_FAR, user=user)[1]
    assert f"2 in namespace {world.public} and another namespace;" in line


def test_a_stranger_is_told_how_many(world: World, control_plane: ControlPlane) -> None:
    stranger = f"stranger-{secrets.token_hex(3)}"
    control_plane.add_user(stranger)
    control_plane.grant(
        stranger, ["create"], ["networkpolicies"], api_groups=["networking.k8s.io"], namespace=world.home
    )
    assert world.ask(user=stranger) == (0, [COUNTED])


def test_what_is_known_is_not_asked_again(world: World) -> None:
    world.ask()
    asked = {
        o: world.webhook.metric("netadmit_access_reviews_total", outcome=o) for o in ("allowed", "denied", "failed")
    }
    cached = world.webhook.metric("netadmit_access_reviews_total", outcome="cached")
    world.ask()
    assert {o: world.webhook.metric("netadmit_access_reviews_total", outcome=o) for o in asked} == asked
    assert asked["failed"] == 0
    assert world.webhook.metric("netadmit_access_reviews_total", outcome="cached") == cached + 1
