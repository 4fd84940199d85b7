"""Deterministic clusters as people have them: namespaces of workloads, a few policies each, pods to every workload."""

from collections.abc import Iterator
from random import Random
from typing import Any, Final, NamedTuple

TIERS: Final = ("frontend", "api", "worker", "cache", "db")


class Size(NamedTuple):
    namespaces: int
    pods: int
    policies: int


SIZES: Final = {"S": Size(5, 50, 20), "M": Size(50, 1_000, 300), "L": Size(200, 10_000, 2_000)}


def objects(size: Size, seed: int = 1) -> Iterator[dict[str, Any]]:
    """The objects of a cluster of this size, always the same ones for a seed."""
    random = Random(seed)  # noqa: S311 - a benchmark, not a secret
    names = [f"team-{i:03}" for i in range(size.namespaces)]
    yield from (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": {"team": n}}}
        for n in (*names, "kube-system")
    )
    yield _calico()
    for i in range(size.pods):
        namespace = names[i % len(names)]
        app = f"app-{random.randrange(4)}"
        yield _pod(namespace, f"{app}-{i}", app, random.choice(TIERS), i)
    for i in range(size.policies):
        yield policy(random, names[i % len(names)], f"policy-{i}", names)


def policy(random: Random, namespace: str, name: str, names: list[str]) -> dict[str, Any]:
    """A sound policy: its selectors match, or are opt-in."""
    peers: list[dict[str, Any]] = [{"podSelector": {"matchLabels": {"tier": random.choice(TIERS)}}}]
    if random.random() < 0.5:
        other = {"matchLabels": {"kubernetes.io/metadata.name": random.choice(names)}}
        peers.append({"namespaceSelector": other, "podSelector": {"matchLabels": {"tier": "api"}}})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "shop"}},
        "spec": {
            "podSelector": {"matchLabels": {"tier": random.choice(TIERS)}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": peers, "ports": [{"port": 8080, "protocol": "TCP"}]}],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}, {"ports": [{"port": 53, "protocol": "UDP"}]}],
        },
    }


def _pod(namespace: str, name: str, app: str, tier: str, number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": app, "tier": tier, "pod-template-hash": f"{number % 97:x}"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"{app}-{number % 97:x}", "controller": True}],
        },
        "spec": {"nodeName": f"node-{number % 50}", "containers": [{"name": "c", "ports": [{"containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"},
    }


def _calico() -> dict[str, Any]:
    container = {"name": "calico-node", "image": "quay.io/calico/node:v3.31.2"}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "calico-node", "namespace": "kube-system", "labels": {"k8s-app": "calico-node"}},
        "spec": {
            "template": {
                "metadata": {"labels": {"k8s-app": "calico-node"}},
                "spec": {"hostNetwork": True, "containers": [container]},
            }
        },
        "status": {"desiredNumberScheduled": 50, "numberReady": 50},
    }
