"""The live state against a real API server."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.kube import load_credentials
from webhook.model.cluster import Completeness
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    ANTREA_CLUSTER_NETWORK_POLICY,
    ANTREA_NETWORK_POLICY,
    API_SERVICE,
    BASELINE_ADMIN_NETWORK_POLICY,
    CALICO_GLOBAL_NETWORK_POLICY,
    CALICO_NETWORK_POLICY,
    CILIUM_CLUSTERWIDE_NETWORK_POLICY,
    CILIUM_NETWORK_POLICY,
    CILIUM_NODE_CONFIG,
    CLUSTER_NETWORK,
    CLUSTER_NETWORK_POLICY,
    CLUSTER_ROLE_BINDING,
    CLUSTER_SCOPED,
    CONFIG_MAP,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_CLASS,
    JOB,
    KINDS,
    MUTATING_WEBHOOKS,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    NODE_CLASS,
    OPTIONAL,
    POD,
    REPLICA_SET,
    ROLE_BINDING,
    SERVICE,
    SERVICE_CIDR,
    STATEFUL_SET,
    VALIDATING_WEBHOOKS,
    APIService,
    Key,
    RoleBinding,
    ServiceCIDR,
)
from webhook.state import watch
from webhook.state.watch import RESOURCES, LiveState, Resource, Timing

from . import custom_resources
from .control_plane import ControlPlane

LABELS = {"app": "web"}
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": LABELS},
    "spec": {"containers": [{"name": "main", "image": "example/image", "ports": [{"containerPort": 80}]}]},
}
REPLICATED = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}
RUN_ONCE = {"template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "name": "nothing"}
ACCOUNT = {"kind": "ServiceAccount", "namespace": "default", "name": "web"}
WEBHOOK = {  # of objects that no test makes
    "name": "web.example.com",
    "clientConfig": {"service": {"namespace": "default", "name": "web"}},
    "rules": [{"apiGroups": ["example.com"], "apiVersions": ["*"], "operations": ["*"], "resources": ["none"]}],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
OBJECTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    POD: ("/api/v1/{ns}/pods", {"metadata": {"labels": LABELS}, "spec": TEMPLATE["spec"]}),
    SERVICE: ("/api/v1/{ns}/services", {"spec": {"selector": LABELS, "ports": [{"port": 80}]}}),
    ENDPOINT_SLICE: (
        "/apis/discovery.k8s.io/v1/{ns}/endpointslices",
        {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]},
    ),
    NETWORK_POLICY: (
        "/apis/networking.k8s.io/v1/{ns}/networkpolicies",
        {"spec": {"podSelector": {"matchLabels": LABELS}, "policyTypes": ["Ingress"]}},
    ),
    INGRESS: (
        "/apis/networking.k8s.io/v1/{ns}/ingresses",
        {"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}},
    ),
    DEPLOYMENT: ("/apis/apps/v1/{ns}/deployments", {"spec": REPLICATED}),
    REPLICA_SET: ("/apis/apps/v1/{ns}/replicasets", {"spec": REPLICATED}),
    STATEFUL_SET: ("/apis/apps/v1/{ns}/statefulsets", {"spec": {**REPLICATED, "serviceName": "web"}}),
    DAEMON_SET: ("/apis/apps/v1/{ns}/daemonsets", {"spec": REPLICATED}),
    JOB: ("/apis/batch/v1/{ns}/jobs", {"spec": RUN_ONCE}),
    CRON_JOB: (
        "/apis/batch/v1/{ns}/cronjobs",
        {"spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": RUN_ONCE}}},
    ),
    ROLE_BINDING: (
        "/apis/rbac.authorization.k8s.io/v1/{ns}/rolebindings",
        {"roleRef": {**ROLE, "kind": "Role"}, "subjects": [ACCOUNT]},
    ),
    CLUSTER_ROLE_BINDING: (
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {"roleRef": {**ROLE, "kind": "ClusterRole"}, "subjects": [ACCOUNT]},
    ),
    INGRESS_CLASS: ("/apis/networking.k8s.io/v1/ingressclasses", {"spec": {"controller": "example.com/ingress"}}),
    VALIDATING_WEBHOOKS: (
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        {"webhooks": [WEBHOOK]},
    ),
    MUTATING_WEBHOOKS: (
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        {"webhooks": [WEBHOOK]},
    ),
}
CUSTOM_OBJECTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    HTTP_ROUTE: (
        "/apis/gateway.networking.k8s.io/v1/{ns}/httproutes",
        {"spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}},
    ),
    ADMIN_NETWORK_POLICY: (
        "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies",
        {"spec": {"priority": 1, "subject": {"namespaces": {}}}},
    ),
    BASELINE_ADMIN_NETWORK_POLICY: (
        "/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies",
        {"spec": {"subject": {"namespaces": {}}}},
    ),
    CLUSTER_NETWORK_POLICY: (
        "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
        {"spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}}},
    ),
    CALICO_NETWORK_POLICY: (
        "/apis/crd.projectcalico.org/v1/{ns}/networkpolicies",
        {"spec": {"selector": "app == 'web'", "order": 10, "ingress": [{"action": "Allow"}]}},
    ),
    CALICO_GLOBAL_NETWORK_POLICY: (
        "/apis/crd.projectcalico.org/v1/globalnetworkpolicies",
        {"spec": {"namespaceSelector": "has(team)", "order": 10.5, "egress": [{"action": "Deny"}]}},
    ),
    CILIUM_NETWORK_POLICY: (
        "/apis/cilium.io/v2/{ns}/ciliumnetworkpolicies",
        {"specs": [{"endpointSelector": {}, "ingress": [{"fromEntities": ["cluster"]}]}]},
    ),
    CILIUM_CLUSTERWIDE_NETWORK_POLICY: (
        "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies",
        {"spec": {"endpointSelector": {}, "egress": [{"toEntities": ["world"]}]}},
    ),
    ANTREA_NETWORK_POLICY: (
        "/apis/crd.antrea.io/v1beta1/{ns}/networkpolicies",
        {"spec": {"priority": 5, "appliedTo": [{"podSelector": {}}], "ingress": [{"action": "Drop"}]}},
    ),
    ANTREA_CLUSTER_NETWORK_POLICY: (
        "/apis/crd.antrea.io/v1beta1/clusternetworkpolicies",
        {"spec": {"priority": 5, "tier": "baseline", "appliedTo": [{"namespaceSelector": {}}]}},
    ),
    CILIUM_NODE_CONFIG: (
        "/apis/cilium.io/v2/{ns}/ciliumnodeconfigs",
        {"spec": {"nodeSelector": {}, "defaults": {"policy-audit-mode": "true"}}},
    ),
    NODE_CLASS: ("/apis/eks.amazonaws.com/v1/nodeclasses", {"spec": {"networkPolicy": "DefaultDeny"}}),
    CLUSTER_NETWORK: (
        "/apis/network.openshift.io/v1/clusternetworks",
        {"pluginName": "redhat/openshift-ovs-networkpolicy"},
    ),
}


@asynccontextmanager
async def live(
    plane: ControlPlane, user: str = "admin", timing: Timing | None = None, resources: tuple[Resource, ...] = RESOURCES
) -> AsyncIterator[LiveState]:
    credentials = await asyncio.to_thread(load_credentials, str(plane.kubeconfig_of(user)))
    state = LiveState(credentials, timing=timing, resources=resources)
    task = asyncio.create_task(state.run())
    try:
        assert await state.wait_synced(20), state.unknown
        yield state
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


async def within(seconds: float, true: Callable[[], object]) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.005)


def gone(state: LiveState, kind: str, key: Key) -> bool:
    return state.cluster.get(kind, key) is None


def place(kind: str, namespace: str) -> tuple[str, Key]:
    """The collection that a test's object of a kind is in, and its key: outside namespaces the name is the test's."""
    path = {**OBJECTS, **CUSTOM_OBJECTS}[kind][0].format(ns=f"namespaces/{namespace}")
    return path, ("", f"web-{namespace}") if kind in CLUSTER_SCOPED else (namespace, "web")


def create(plane: ControlPlane, kind: str, namespace: str) -> None:
    path, (_, name) = place(kind, namespace)
    body = {**OBJECTS, **CUSTOM_OBJECTS}[kind][1]
    version, _, word = kind.rpartition("/")
    whole = {"apiVersion": version, "kind": word, **body, "metadata": {"name": name, **body.get("metadata", {})}}
    plane.request("POST", path, whole)


def delete(plane: ControlPlane, kind: str, namespace: str, *, check: bool = True) -> None:
    path, (_, name) = place(kind, namespace)
    url = f"{path}/{name}?gracePeriodSeconds=0"
    plane.request("DELETE", url, {"propagationPolicy": "Background"}, check=check)


def only(*kinds: str) -> tuple[Resource, ...]:
    return tuple(r for r in RESOURCES if r.kind in kinds)


async def test_every_kind_is_read_and_followed(control_plane: ControlPlane, namespace: str) -> None:
    node, before = f"node-{namespace}", list(OBJECTS)[::2]
    control_plane.request("POST", "/api/v1/nodes", {"metadata": {"name": node}})
    try:
        for kind in before:
            create(control_plane, kind, namespace)
        async with live(control_plane) as state:
            assert [status.kind for status in state.status()] == [r.kind for r in RESOURCES[: len(KINDS)]]
            assert state.unknown == {}
            assert all(state.cluster.completeness(kind) is Completeness.COMPLETE for kind in KINDS)
            assert state.cluster.get(NAMESPACE, ("", namespace))
            assert state.cluster.get(NODE, ("", node))
            for kind in before:
                assert state.cluster.get(kind, place(kind, namespace)[1]), kind
            for kind in set(OBJECTS) - set(before):
                await asyncio.to_thread(create, control_plane, kind, namespace)
                await within(1, partial(state.cluster.get, kind, place(kind, namespace)[1]))
            ages = {status.kind: status.age for status in state.status()}
            assert {kind for kind, age in ages.items() if age is None} == OPTIONAL - {SERVICE_CIDR}, "not served here"
            assert all(age is None or age < 60 for age in ages.values())
            assert sum(status.restarts for status in state.status()) == 0
            (chosen,) = (c for c in state.cluster.classes(namespace) if c.pods)
            assert chosen.labels == LABELS
            for kind in OBJECTS:
                await asyncio.to_thread(delete, control_plane, kind, namespace)
                await within(1, partial(gone, state, kind, place(kind, namespace)[1]))
    finally:
        control_plane.request("DELETE", f"/api/v1/nodes/{node}")
        for kind in OBJECTS.keys() & CLUSTER_SCOPED:
            delete(control_plane, kind, namespace, check=False)


async def test_what_every_cluster_has(control_plane: ControlPlane) -> None:
    """Objects that the API server makes itself, as it writes them."""
    async with live(control_plane, resources=only(API_SERVICE, SERVICE_CIDR, CLUSTER_ROLE_BINDING)) as state:
        cluster = state.cluster
        assert ServiceCIDR("kubernetes", (str(control_plane.service_cidr),)) in list(cluster.service_cidrs)
        apis = [cluster.get(API_SERVICE, key) for key in cluster.keys(API_SERVICE)]
        assert {api.name for api in apis if isinstance(api, APIService) and api.service is None} >= {"v1.", "v1.apps"}
        # Why `Cluster.bindings_of` leaves the groups out: every account of every cluster has these rights.
        of_all = {binding.role for binding in cluster.bindings_of("*", "*")}
        assert "system:service-account-issuer-discovery" in of_all
        masters = cluster.get(CLUSTER_ROLE_BINDING, ("", "cluster-admin"))
        assert masters == RoleBinding(CLUSTER_ROLE_BINDING, "", "cluster-admin", "cluster-admin", of_cluster=True)
        (binding,) = cluster.bindings_of("kube-system", "namespace-controller")
        assert binding.role == "system:controller:namespace-controller"


async def test_custom_resources_come_and_go(control_plane: ControlPlane, namespace: str) -> None:
    timing = Timing(unserved=(0.1,))
    resources = custom_resources.CUSTOM
    async with live(control_plane, timing=timing, resources=resources) as state:
        assert {s.kind: (s.completeness, s.objects, s.age) for s in state.status()} == {
            r.kind: (Completeness.COMPLETE, 0, None) for r in resources
        }
        with custom_resources.installed(control_plane):
            assert set(CUSTOM_OBJECTS) == {r.kind for r in resources}
            for kind in CUSTOM_OBJECTS:
                await asyncio.to_thread(create, control_plane, kind, namespace)
                await within(5, partial(state.cluster.get, kind, place(kind, namespace)[1]))
            assert all(status.age is not None for status in state.status())
            assert state.cluster.referrers_of(namespace, "web")
            async with live(control_plane, resources=resources) as another:
                for kind in CUSTOM_OBJECTS:
                    assert another.cluster.get(kind, place(kind, namespace)[1]), kind
            await asyncio.to_thread(delete, control_plane, HTTP_ROUTE, namespace)
            await within(1, partial(gone, state, *(HTTP_ROUTE, place(HTTP_ROUTE, namespace)[1])))
        await within(10, lambda: all(status.age is None and not status.objects for status in state.status()))
        assert state.unknown == {}
        assert all(state.cluster.complete(r.kind) for r in resources)


async def test_what_is_waited_for_arrives_in_time(control_plane: ControlPlane, namespace: str) -> None:
    """CHECKS.md, conduct 6: what was created just before a review is there within 150 ms."""
    async with live(control_plane) as state:
        loop, waited = asyncio.get_running_loop(), []
        for number in range(10):
            since = loop.time()
            path, body = OBJECTS[SERVICE]
            service = {**body, "metadata": {"name": f"web-{number}"}}
            waiter = asyncio.create_task(state.wait_newer(since, [SERVICE], 1))
            await asyncio.to_thread(control_plane.request, "POST", path.format(ns=f"namespaces/{namespace}"), service)
            assert await waiter
            await within(1, partial(state.cluster.get, SERVICE, (namespace, f"web-{number}")))
            waited.append(loop.time() - since)
        assert sorted(waited)[5] < 0.15


async def test_finished_pods_leave(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.run_pod(namespace, "web", "10.1.0.1", labels=LABELS)
    async with live(control_plane, resources=only(POD)) as state:
        (pod,) = (p for p in state.cluster.pods if p.namespace == namespace)
        assert (pod.ips, pod.ready, pod.phase) == (("10.1.0.1",), True, "Running")
        path = f"/api/v1/namespaces/{namespace}/pods/web/status"
        await asyncio.to_thread(control_plane.request, "PATCH", path, {"status": {"phase": "Succeeded"}})
        await within(1, lambda: not state.cluster.get(POD, (namespace, "web")))


async def test_a_user_without_rights_for_some_kinds(control_plane: ControlPlane, namespace: str) -> None:
    user = f"reader-{secrets.token_hex(3)}"
    control_plane.add_user(user)
    control_plane.grant(user, ["list", "watch"], ["namespaces", "pods"])
    async with live(control_plane, user) as state:
        assert state.cluster.complete(NAMESPACE, POD)
        assert set(state.unknown) == set(KINDS) - {NAMESPACE, POD}
        assert state.unknown[SERVICE] == (
            f'forbidden: 403: services is forbidden: User "{user}" cannot watch resource "services" in API group "" '
            "at the cluster scope"
        )
        assert state.unknown[CONFIG_MAP].endswith(" more)")
        assert state.cluster.namespace_exists(namespace)
        await asyncio.sleep(1)
        denied = [s for s in state.status() if s.kind in state.unknown]
        assert all(s.synced and s.completeness is Completeness.ABSENT for s in denied)
        assert all(s.age is None for s in denied)
        assert all(s.restarts == (1 if s.kind != CONFIG_MAP else len(RESOURCES) - len(KINDS) + 1) for s in denied)


async def test_rights_that_come_later(control_plane: ControlPlane) -> None:
    user = f"later-{secrets.token_hex(3)}"
    control_plane.add_user(user)
    async with live(control_plane, user, Timing(denied=(0.2,)), only(SERVICE)) as state:
        assert not state.cluster.complete(SERVICE)
        await asyncio.to_thread(control_plane.grant, user, ["list", "watch"], ["services"])
        await within(5, lambda: state.cluster.complete(SERVICE))
        assert state.cluster.get(SERVICE, ("default", "kubernetes"))
        assert state.unknown == {}


async def test_config_maps_need_rights_for_their_names_only(control_plane: ControlPlane) -> None:
    """The reason why each has a watch of its own."""
    user = f"names-{secrets.token_hex(3)}"
    namespaces: dict[str, list[str]] = {}
    control_plane.add_user(user)
    for resource in only(CONFIG_MAP):
        assert resource.key is not None
        namespaces.setdefault(resource.key[0], []).append(resource.key[1])
    made = [n for n in namespaces if control_plane.request("GET", f"/api/v1/namespaces/{n}", check=False).status == 404]
    for name in made:
        control_plane.create_namespace(name)
    try:
        for name, names in namespaces.items():
            prefix = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}"
            rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": names, "verbs": ["list", "watch"]}
            control_plane.request("POST", f"{prefix}/roles", {"metadata": {"name": user}, "rules": [rule]})
            binding = {
                "metadata": {"name": user},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            }
            control_plane.request("POST", f"{prefix}/rolebindings", binding)
        async with live(control_plane, user, Timing(denied=(0.2,)), only(CONFIG_MAP)) as state:
            await within(5, lambda: state.cluster.complete(CONFIG_MAP))
            path = "/api/v1/namespaces/kube-system/configmaps"
            body = {"metadata": {"name": "coredns"}, "data": {"Corefile": "."}}
            await asyncio.to_thread(control_plane.request, "POST", path, body)
            await within(1, lambda: state.cluster.config_map("kube-system", "coredns"))
            await asyncio.to_thread(control_plane.request, "DELETE", f"{path}/coredns")
            await within(1, lambda: not state.cluster.config_map("kube-system", "coredns"))
    finally:
        for name in made:
            control_plane.delete_namespace(name)


async def test_a_watch_that_the_server_ends_goes_on(control_plane: ControlPlane, namespace: str) -> None:
    path, body = OBJECTS[NETWORK_POLICY]
    url = path.format(ns=f"namespaces/{namespace}")
    async with live(control_plane, timing=Timing(watch=(1, 1)), resources=only(NETWORK_POLICY)) as state:
        end = time.monotonic() + 3.5
        number = 0
        while time.monotonic() < end:
            number += 1
            policy = {**body, "metadata": {"name": f"p-{number}"}}
            await asyncio.to_thread(control_plane.request, "POST", url, policy)
            await asyncio.sleep(0.05)
        await within(1, lambda: len([p for p in state.cluster.policies if p.key[0] == namespace]) == number)
        assert state.status()[0].restarts == 0


async def test_pages_where_lists_are_not_streamed(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This server streams; one that does not is played by never asking it to."""
    monkeypatch.setattr(watch, "_PAGE_SIZE", 3)
    monkeypatch.setattr(watch._Reflector, "_streams_lists", False, raising=False)
    path, body = OBJECTS[NETWORK_POLICY]
    url = path.format(ns=f"namespaces/{namespace}")

    def create(number: int) -> None:
        control_plane.request("POST", url, {**body, "metadata": {"name": f"p-{number}"}})

    for number in range(7):
        create(number)
    async with live(control_plane, resources=only(NETWORK_POLICY)) as state:
        assert {p.key for p in state.cluster.policies} >= {(namespace, f"p-{number}") for number in range(7)}
        await asyncio.to_thread(create, 7)
        await within(1, lambda: state.cluster.get(NETWORK_POLICY, (namespace, "p-7")))
        assert state.status()[0].restarts == 0


async def test_a_token_of_a_service_account(control_plane: ControlPlane, tmp_path: Path) -> None:
    name = f"netadmit-{secrets.token_hex(3)}"
    token = control_plane.service_account_token("default", name)
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    (tmp_path / "token").write_text(f"{token}\n")
    config["users"][0]["user"] = {"tokenFile": "token"}
    (tmp_path / "config").write_text(json.dumps(config))
    credentials = await asyncio.to_thread(load_credentials, str(tmp_path / "config"))
    state = LiveState(credentials, resources=only(POD))
    task = asyncio.create_task(state.run())
    assert await state.wait_synced(20)
    assert f"system:serviceaccount:default:{name}" in state.unknown[POD]  # known by name, and allowed nothing
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
