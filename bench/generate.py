"""Deterministic clusters as people have them, of four sizes: as objects, as records, and as files.

Teams have applications of a few tiers (Deployments with their ReplicaSets, StatefulSets, CronJobs) with Services; most
namespaces deny by default and then allow: DNS, scraping, the ingress controller, the tier in front, clients that opt in
by a label, the outside without private ranges. Nodes have pod ranges and run agents on the host network.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from webhook.model.objects import KINDS, Record
from webhook.model.parse import convert
from webhook.state import scalars

TIERS: Final = ("frontend", "api", "worker", "cache", "db")
_SYSTEM: Final = ("kube-system", "monitoring", "ingress-nginx")
_APPS: Final = ("shop", "billing", "search", "mail", "auth", "reports", "media", "chat")
_HASH: Final = "bcdfghjklmnpqrstvwxz2456789"
_PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.169.254/32")
_NODES: Final = "192.168.0.0/16"
_PARTNERS: Final = ("198.51.100.0/24", "203.0.113.0/25", "203.0.113.128/26", "192.0.2.10/32")

Object = dict[str, Any]


class Size(NamedTuple):
    """How much of a cluster: all namespaces, all pods and all policies, those of the system among them."""

    namespaces: int
    pods: int
    policies: int

    @property
    def nodes(self) -> int:
        return max(3, self.pods // 30)


SIZES: Final = {
    "S": Size(5, 50, 20),
    "M": Size(50, 1_000, 300),
    "L": Size(200, 10_000, 2_000),
    "XL": Size(1_000, 150_000, 10_000),
}


def teams(size: Size) -> list[str]:
    """The namespaces that are not the system's."""
    return [f"team-{i:03}" for i in range(size.namespaces - len(_SYSTEM))]


def objects(size: Size, seed: int = 1) -> Iterator[Object]:
    """The objects of a cluster of this size, always the same ones for a seed."""
    cluster = _Generator(size, seed)
    yield from cluster.shared()
    for namespace in (*_SYSTEM, *teams(size)):
        yield from cluster.inside(namespace)


def records(size: Size, seed: int = 1) -> Iterator[Record]:
    """`objects` as records: no file and no list of objects is ever in memory."""
    return (convert(f"{o['apiVersion']}/{o['kind']}", o) for o in objects(size, seed))


def write(folder: Path, size: Size, seed: int = 1) -> None:
    """Writes `objects` as a snapshot kept in files: a folder a namespace, a file for each sort of objects in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cluster = _Generator(size, seed)
    header = {"apiVersion": "netadmit.io/v1", "kind": "Snapshot", "kinds": list(KINDS)}
    _write(folder / "cluster.yaml", [header, *cluster.shared()])
    for namespace in (*_SYSTEM, *teams(size)):
        (folder / namespace).mkdir()
        inside = list(cluster.inside(namespace))
        for name in dict.fromkeys(map(_file_of, inside)):
            _write(folder / namespace / name, [o for o in inside if _file_of(o) == name])


def policy(random: Random, namespace: str, name: str, names: list[str]) -> Object:
    """A sound policy to be reviewed: its selectors match, or are opt-in."""
    peers: list[Object] = [_pods(tier=random.choice(TIERS))]
    if random.random() < 0.5:
        other = {"matchLabels": {"kubernetes.io/metadata.name": random.choice(names)}}
        peers.append({"namespaceSelector": other, **_pods(tier="api")})
    return _policy(
        namespace,
        name,
        {"tier": random.choice(TIERS)},
        ingress=[{"from": peers, "ports": [{"port": 8080, "protocol": "TCP"}]}],
        egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}, {"ports": [{"port": 53, "protocol": "UDP"}]}],
    )


# --- the cluster


class _Node(NamedTuple):
    name: str
    address: str
    pods: str
    """What the addresses of its pods begin with."""


class _Workload(NamedTuple):
    """Something that makes pods."""

    kind: str
    name: str
    labels: dict[str, str]
    ports: tuple[tuple[str, int], ...] = ()
    host_network: bool = False
    image: str = "registry.example.com/app:1.0"
    own_labels: dict[str, str] = {}


class _Generator:
    """Makes one cluster, part by part: what comes first must not depend on what is asked for later."""

    def __init__(self, size: Size, seed: int) -> None:
        self._size = size
        self._random = Random(seed)  # noqa: S311 - a benchmark, not a secret
        self._nodes = [
            _Node(f"node-{i:04}", f"192.168.{i >> 8}.{i & 255}", f"10.{i >> 8}.{i & 255}") for i in range(size.nodes)
        ]
        self._addresses = Counter[_Node]()
        self._services = 0
        self._teams = teams(size)
        system = 2 * size.nodes + 2 + 1 + max(1, size.pods // 500)
        self._pods = dict(zip(self._teams, self._shares(size.pods - system, [1.0] * len(self._teams)), strict=True))
        # Every sixth namespace has no policies at all; monitoring's own two count as well.
        guarded = [name for i, name in enumerate(self._teams) if i % 6 != 5]
        self._policies = dict(
            zip(guarded, self._shares(max(0, size.policies - 2), [1.0] * len(guarded), spread=0.3), strict=True)
        )

    def shared(self) -> Iterator[Object]:
        """What is in no namespace: the namespaces and the nodes."""
        for name in _SYSTEM:
            yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for i, name in enumerate(self._teams):
            labels = {"team": name, "env": ("prod", "staging", "dev")[i % 3]}
            yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for i, node in enumerate(self._nodes):
            labels = {"kubernetes.io/hostname": node.name, "topology.kubernetes.io/zone": f"zone-{i % 3}"}
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": node.name, "labels": labels},
                "spec": {"podCIDR": f"{node.pods}.0/24"},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": node.address}],
                    "nodeInfo": {"kubeletVersion": "v1.37.2"},
                },
            }

    def inside(self, namespace: str) -> Iterator[Object]:
        """What is in a namespace."""
        if namespace == "kube-system":
            yield from self._kube_system()
        elif namespace == "monitoring":
            yield from self._monitoring()
        elif namespace == "ingress-nginx":
            yield from self._ingress_controller()
        else:
            yield from self._team(namespace)

    def _kube_system(self) -> Iterator[Object]:
        labels = {"k8s-app": "kube-dns"}
        ports = (("dns", 53), ("dns-tcp", 53), ("metrics", 9153))
        yield from self._running("kube-system", _Workload("Deployment", "coredns", labels, ports), 2)
        yield self._service("kube-system", "kube-dns", labels, (("dns", 53, 53), ("dns-tcp", 53, 53)))
        yield from self._agent("kube-system", "calico-node", "quay.io/calico/node:v3.31.2", (("felix-metrics", 9091),))

    def _monitoring(self) -> Iterator[Object]:
        labels = {"app.kubernetes.io/name": "prometheus"}
        yield from self._running("monitoring", _Workload("StatefulSet", "prometheus", labels, (("web", 9090),)), 1)
        yield self._service("monitoring", "prometheus", labels, (("web", 9090, "web"),))
        yield from self._agent("monitoring", "node-exporter", "quay.io/node-exporter:v1.9.1", (("metrics", 9100),))
        yield _policy("monitoring", "default-deny", {}, ingress=[])
        admins = {"namespaceSelector": {"matchLabels": {"env": "prod"}}, **_pods(tier="frontend")}
        yield _policy("monitoring", "prometheus", labels, ingress=[{"from": [admins], "ports": [{"port": "web"}]}])

    def _ingress_controller(self) -> Iterator[Object]:
        labels = {"app.kubernetes.io/name": "ingress-nginx"}
        ports = (("http", 80), ("https", 443), ("metrics", 10254))
        number = max(1, self._size.pods // 500)
        yield from self._running("ingress-nginx", _Workload("Deployment", "controller", labels, ports), number)
        yield self._service("ingress-nginx", "controller", labels, (("http", 80, "http"), ("https", 443, "https")))

    def _agent(self, namespace: str, name: str, image: str, ports: tuple[tuple[str, int], ...]) -> Iterator[Object]:
        labels = {"k8s-app": name}
        agent = _Workload("DaemonSet", name, labels, ports, host_network=True, image=image, own_labels=labels)
        yield from self._running(namespace, agent, len(self._nodes), self._nodes)

    def _team(self, namespace: str) -> Iterator[Object]:
        random, pods = self._random, self._pods[namespace]
        apps = random.sample(_APPS, min(len(_APPS), max(1, pods // 12), 1 + random.randrange(4)))
        workloads = [w for app in apps for w in self._application(app)][: max(1, pods)]
        shares = self._shares(pods, [3.0 if w.kind == "Deployment" else 1.0 for w in workloads])
        for workload, number in zip(workloads, shares, strict=True):
            yield from self._running(namespace, workload, number)
            if workload.kind != "CronJob" and workload.labels["tier"] != "worker":
                ports = tuple((name, 80 if name == "http" else number, name) for name, number in workload.ports)
                service = {k: workload.labels[k] for k in ("app", "tier")}
                yield self._service(namespace, workload.name, service, ports, headless=workload.kind == "StatefulSet")
        if namespace in self._policies:
            yield from self._policies_of(namespace, workloads, self._policies[namespace])

    def _application(self, app: str) -> Iterator[_Workload]:
        scraped = ("metrics", 9090)
        opted = {f"{app}-db-client": "true"}
        for tier, more in (("frontend", {}), ("api", opted), ("worker", opted)):
            labels = {"app": app, "tier": tier, **more}
            ports = (scraped,) if tier == "worker" else (("http", 8080), scraped)
            yield _Workload("Deployment", f"{app}-{tier}", labels, ports)
        yield _Workload("StatefulSet", f"{app}-db", {"app": app, "tier": "db"}, (("postgres", 5432), scraped))
        yield _Workload("StatefulSet", f"{app}-cache", {"app": app, "tier": "cache"}, (("redis", 6379), scraped))
        yield _Workload("CronJob", f"{app}-cleanup", {"app": app, "tier": "worker", **opted})

    def _shares(self, total: int, weights: list[float], spread: float = 0.6) -> list[int]:
        """So many things, dealt out unevenly: at least one to each as long as there are enough."""
        drawn = [w * (1 - spread + 2 * spread * self._random.random()) for w in weights]
        least = 1 if total >= len(drawn) else 0
        left = total - least * len(drawn)
        shares = [least + int(left * w / sum(drawn)) for w in drawn]
        for i in range(total - sum(shares)):
            shares[i % len(shares)] += 1
        return shares

    # --- workloads and their pods

    def _running(
        self, namespace: str, workload: _Workload, number: int, nodes: list[_Node] | None = None
    ) -> Iterator[Object]:
        """A workload with so many pods: on these nodes, one each, or anywhere."""
        digest = self._word(10)
        yield self._object_of(namespace, workload, number)
        if workload.kind == "Deployment":
            yield _replica_set(namespace, workload, digest, number)
        for i in range(number):
            node = nodes[i] if nodes else self._random.choice(self._nodes)
            yield self._pod(namespace, workload, digest, i, node)

    def _object_of(self, namespace: str, workload: _Workload, number: int) -> Object:
        labels = workload.own_labels or {k: v for k, v in workload.labels.items() if k == "app"}
        template = {"metadata": {"labels": workload.labels}, "spec": _pod_spec(workload)}
        meta = _filled({"name": workload.name, "namespace": namespace, "labels": labels})
        selected = {k: v for k, v in workload.labels.items() if not k.endswith("-client")}
        if workload.kind == "CronJob":
            spec: Object = {"schedule": "*/15 * * * *", "jobTemplate": {"spec": {"template": template}}}
            return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec}
        spec = {"selector": {"matchLabels": selected}, "template": template}
        if workload.kind == "DaemonSet":
            status = {"desiredNumberScheduled": number, "numberReady": number}
        else:
            spec = {"replicas": number, **spec}
            status = {"replicas": number, "readyReplicas": number}
        return {"apiVersion": "apps/v1", "kind": workload.kind, "metadata": meta, "spec": spec, "status": status}

    def _pod(self, namespace: str, workload: _Workload, digest: str, i: int, node: _Node) -> Object:
        name, phase = f"{workload.name}-{self._word(5)}", "Running"
        match workload.kind:
            case "Deployment":
                owner = ("ReplicaSet", f"{workload.name}-{digest}")
                name = f"{workload.name}-{digest}-{self._word(5)}"
                added = {"pod-template-hash": digest}
            case "StatefulSet":
                owner, name = ("StatefulSet", workload.name), f"{workload.name}-{i}"
                added = {
                    "apps.kubernetes.io/pod-index": str(i),
                    "controller-revision-hash": f"{workload.name}-{digest}",
                    "statefulset.kubernetes.io/pod-name": name,
                }
            case "DaemonSet":
                owner = ("DaemonSet", workload.name)
                added = {"controller-revision-hash": digest, "pod-template-generation": "1"}
            case _:  # of a CronJob: the last one still runs
                job = f"{workload.name}-{29_000_000 + 15 * i}"
                owner, name = ("Job", job), f"{job}-{self._word(5)}"
                added = {"batch.kubernetes.io/job-name": job, "job-name": job}
                phase = "Running" if i % 4 == 3 else "Succeeded"
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {**workload.labels, **added},
                "ownerReferences": [{"kind": owner[0], "name": owner[1], "controller": True}],
            },
            "spec": {"nodeName": node.name, **_pod_spec(workload)},
            "status": {
                "phase": phase,
                "podIPs": [{"ip": node.address if workload.host_network else self._address(node)}],
                "conditions": [{"type": "Ready", "status": "True" if phase == "Running" else "False"}],
            },
        }

    def _address(self, node: _Node) -> str:
        self._addresses[node] += 1
        number = self._addresses[node] + 1
        if number > 254:
            raise ValueError(f"{node.name} has no address left")
        return f"{node.pods}.{number}"

    def _service(
        self,
        namespace: str,
        name: str,
        selector: dict[str, str],
        ports: Iterable[tuple[str, int, int | str]],
        *,
        headless: bool = False,
    ) -> Object:
        self._services += 1
        shown = [
            {"name": n, "port": port, "protocol": "UDP" if n == "dns" else "TCP", "targetPort": target}
            for n, port, target in ports
        ]
        address = "None" if headless else f"172.30.{self._services >> 8}.{self._services & 255}"
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "labels": dict(selector)},
            "spec": {"clusterIP": address, "ports": shown, "selector": dict(selector), "type": "ClusterIP"},
        }

    def _word(self, length: int) -> str:
        return "".join(self._random.choices(_HASH, k=length))

    # --- policies

    def _policies_of(self, namespace: str, workloads: list[_Workload], number: int) -> Iterator[Object]:
        dns = {"namespaceSelector": _named("kube-system"), **_pods(**{"k8s-app": "kube-dns"})}
        ports = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
        prometheus = {"namespaceSelector": _named("monitoring"), **_pods(**{"app.kubernetes.io/name": "prometheus"})}
        usual = [
            _policy(namespace, "default-deny", {}, ingress=[], egress=[]),
            _policy(namespace, "allow-dns", {}, egress=[{"to": [dns], "ports": ports}]),
            _policy(
                namespace,
                "allow-scraping",
                {},
                ingress=[{"from": [prometheus], "ports": [{"port": "metrics", "protocol": "TCP"}]}],
            ),
        ]
        yield from usual[:number]
        makers: tuple[Callable[[str, _Workload, str], Object], ...] = (
            self._from_the_tier_in_front,
            self._from_clients,
            self._to_the_tiers_behind,
            self._to_the_outside,
            self._from_another_team,
            self._from_partners,
        )
        for i in range(number - len(usual)):
            workload = workloads[i % len(workloads)]
            make = makers[(i // len(workloads) + i) % len(makers)]
            yield make(namespace, workload, f"{workload.name}-{i}")

    def _from_the_tier_in_front(self, namespace: str, to: _Workload, name: str) -> Object:
        app, tier = to.labels["app"], to.labels["tier"]
        if tier == "frontend":
            peers = [{"namespaceSelector": _named("ingress-nginx")}]
        else:
            front = {"api": ["frontend"], "worker": ["api"]}.get(tier, ["api", "worker"])
            expression = {"key": "tier", "operator": "In", "values": front}
            peers = [{"podSelector": {"matchLabels": {"app": app}, "matchExpressions": [expression]}}]
        return _policy(
            namespace, name, {"app": app, "tier": tier}, ingress=[{"from": peers, "ports": _of_first_port(to)}]
        )

    def _from_clients(self, namespace: str, to: _Workload, name: str) -> Object:
        app = to.labels["app"]
        peers = [_pods(**{f"{app}-db-client": "true"})]
        rule = {"from": peers, "ports": [{"port": 5432, "protocol": "TCP"}, {"port": 6379, "protocol": "TCP"}]}
        expression = {"key": "tier", "operator": "In", "values": ["db", "cache"]}
        made = _policy(namespace, name, {"app": app}, ingress=[rule])
        made["spec"]["podSelector"]["matchExpressions"] = [expression]
        return made

    def _to_the_tiers_behind(self, namespace: str, of: _Workload, name: str) -> Object:
        app = of.labels["app"]
        behind = [_pods(app=app, tier=tier) for tier in ("api", "cache", "db")]
        ports = [{"port": 8000, "endPort": 8100, "protocol": "TCP"}, {"port": "postgres"}, {"port": 6379}]
        return _policy(namespace, name, {"app": app}, egress=[{"to": behind, "ports": ports}])

    def _to_the_outside(self, namespace: str, of: _Workload, name: str) -> Object:
        labels = {k: of.labels[k] for k in ("app", "tier")}
        rule: Object = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(_PRIVATE)}}]}
        if self._random.random() < 0.7:
            rule["ports"] = [{"port": 443, "protocol": "TCP"}]
        return _policy(namespace, name, labels, egress=[rule])

    def _from_another_team(self, namespace: str, to: _Workload, name: str) -> Object:
        labels = {k: to.labels[k] for k in ("app", "tier")}
        if self._random.random() < 0.2:
            peer = {"namespaceSelector": {"matchLabels": {"env": "prod"}}, **_pods(tier="api")}
        else:
            peer = {"namespaceSelector": _named(self._random.choice(self._teams)), **_pods(tier="api")}
        return _policy(namespace, name, labels, ingress=[{"from": [peer], "ports": _of_first_port(to)}])

    def _from_partners(self, namespace: str, to: _Workload, name: str) -> Object:
        labels = {k: to.labels[k] for k in ("app", "tier")}
        block = {"ipBlock": {"cidr": self._random.choice(_PARTNERS)}}
        nodes = {"ipBlock": {"cidr": _NODES}}
        return _policy(namespace, name, labels, ingress=[{"from": [block, nodes], "ports": _of_first_port(to)}])


def _pod_spec(workload: _Workload) -> Object:
    container: Object = {"name": workload.name, "image": workload.image}
    if workload.ports:
        container["ports"] = [
            {"name": name, "containerPort": number, "protocol": "UDP" if name == "dns" else "TCP"}
            for name, number in workload.ports
        ]
    host = {"hostNetwork": True} if workload.host_network else {}
    return {**host, "containers": [container]}


def _replica_set(namespace: str, workload: _Workload, digest: str, number: int) -> Object:
    labels = {**workload.labels, "pod-template-hash": digest}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{workload.name}-{digest}",
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [{"kind": "Deployment", "name": workload.name, "controller": True}],
        },
        "spec": {
            "replicas": number,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod_spec(workload)},
        },
    }


def _policy(
    namespace: str,
    name: str,
    labels: dict[str, str],
    *,
    ingress: list[Object] | None = None,
    egress: list[Object] | None = None,
) -> Object:
    rules = {"ingress": ingress, "egress": egress}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": {"managed-by": "gitops"}},
        "spec": {
            "podSelector": {"matchLabels": dict(labels)} if labels else {},
            "policyTypes": [word.capitalize() for word, given in rules.items() if given is not None],
            **_filled(rules),
        },
    }


def _of_first_port(workload: _Workload) -> list[Object]:
    """By name where it is usual, by number elsewhere; a workload without ports is asked on 8080."""
    if not workload.ports:
        return [{"port": 8080, "protocol": "TCP"}]
    name, number = workload.ports[0]
    return [{"port": name if name == "http" else number, "protocol": "TCP"}]


def _pods(**labels: str) -> Object:
    return {"podSelector": {"matchLabels": labels}}


def _named(namespace: str) -> Object:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def _filled(fields: Object) -> Object:
    return {name: value for name, value in fields.items() if value}


# --- files


def _file_of(made: Object) -> str:
    return {
        "Pod": "pods.yaml",
        "Service": "services.yaml",
        "NetworkPolicy": "networkpolicies.yaml",
    }.get(made["kind"], "workloads.yaml")


def _write(file: Path, documents: Iterable[Object]) -> None:
    file.write_text("---\n".join("".join(_lines(document, "")) for document in documents))


def _lines(value: Any, margin: str) -> Iterator[str]:
    """Block style, sequences not indented, as kubectl and `netadmit snapshot` write it."""
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield f"{margin}{key}:\n"
            yield from _lines(inner, margin + "  ")
        elif isinstance(inner, list) and inner:
            yield f"{margin}{key}:\n"
            for item in inner:
                if isinstance(item, dict):
                    first, *rest = _lines(item, margin + "  ")
                    yield f"{margin}- {first.lstrip()}"
                    yield from rest
                else:
                    yield f"{margin}- {_scalar(item)}\n"
        else:
            yield f"{margin}{key}: {_scalar(inner)}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    plain = value[0].isalnum() and ": " not in value and scalars.resolve(None, value) == value
    return value if plain else f'"{value}"'
