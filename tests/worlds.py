"""Made-up connectivity, for the tests of what is written about it: any size, always the same."""

import random
from collections.abc import Collection, Iterable
from typing import NamedTuple

_NAMESPACES = (  # noqa: SIM905 - a word a namespace
    "shop payments orders monitoring ingress kube-system vault identity ledger search catalog analytics mail media "
    "ci staging data kafka redis postgres loyalty pricing risk fraud support crm hr docs wiki chat video push sms geo "
    "maps tax invoices shipping returns stock warehouse suppliers partners gatekeeper registry backup logging "
    "tracing metrics edge"
).split()
_APPS = "web api worker db cache queue search auth mailer scheduler gateway billing ledger reports exporter".split()  # noqa: SIM905
_KINDS = {"db": "StatefulSet", "cache": "StatefulSet", "queue": "StatefulSet", "exporter": "DaemonSet"}
_PORTS = (("TCP 8080",), ("TCP 80", "TCP 443"), ("all",), ("TCP 5432",), ("TCP 8000-8100", "UDP 53"))


class Flow(NamedTuple):
    src: str
    dst: str
    ports: tuple[str, ...]


class Connectivity(NamedTuple):
    flows: Iterable[Flow]
    open: Collection[str] = ()
    workloads: Collection[str] = ()


class Difference(NamedTuple):
    added: Collection[Flow] = ()
    removed: Collection[Flow] = ()


def world(namespaces: int, *, workloads: int = 5, strict: float = 0.1, seed: int = 1) -> Connectivity:
    """A cluster.

    Args:
        namespaces: up to 50.
        workloads: of each namespace, more or less.
        strict: the share of namespaces that few others reach.
        seed: another one gives another cluster.
    """
    chance = random.Random(seed)
    by_namespace: dict[str, list[str]] = {}
    for namespace in _NAMESPACES[:namespaces]:
        apps = chance.sample(_APPS, k=min(len(_APPS), max(1, workloads + chance.randint(-2, 2))))
        by_namespace[namespace] = sorted(f"{namespace}/{_KINDS.get(app, 'Deployment')}/{app}" for app in apps)
    unrestricted = {name for names in by_namespace.values() if chance.random() < 0.15 for name in names}
    flows = _within(by_namespace, unrestricted, strict, chance) | _outside(by_namespace, unrestricted, chance)
    return Connectivity(
        [Flow(src, dst, ports) for (src, dst), ports in sorted(flows.items())],
        sorted(unrestricted),
        [name for names in by_namespace.values() for name in names],
    )


def _within(
    by_namespace: dict[str, list[str]], unrestricted: set[str], strict: float, chance: random.Random
) -> dict[tuple[str, str], tuple[str, ...]]:
    flows = {}
    for namespace, names in by_namespace.items():
        wide = 0.08 if chance.random() < strict else 0.97
        peers = [n for n in by_namespace if n in {namespace, "monitoring", "ingress"} or chance.random() < wide]
        for dst in names:
            ports = chance.choice(_PORTS)
            for peer in peers:
                for src in set(by_namespace[peer]) - (unrestricted if dst in unrestricted else {dst}):
                    if src != dst:
                        flows[src, dst] = ("TCP 9090",) if peer == "monitoring" else ports
    return flows


def _outside(
    by_namespace: dict[str, list[str]], unrestricted: set[str], chance: random.Random
) -> dict[tuple[str, str], tuple[str, ...]]:
    flows = {}
    for names in by_namespace.values():
        for src in sorted(set(names) - unrestricted):
            if chance.random() < 0.5:
                flows[src, "ip:10.20.0.0/16"] = ("TCP 443",)
            if chance.random() < 0.2:
                flows[src, "ip:0.0.0.0-9.255.255.255"] = flows[src, "ip:11.0.0.0-255.255.255.255"] = ("all",)
    for dst in set(by_namespace.get("ingress", ())) - unrestricted:
        flows["ip:0.0.0.0/0", dst] = ("TCP 443",)
    return flows


def change(found: Connectivity, *, added: int, removed: int, seed: int = 2) -> Difference:
    """A change of a world; three of the flows that it cuts get another port instead."""
    chance = random.Random(seed)
    flows = list(found.flows)
    cut = chance.sample(flows, removed)
    there = {(flow.src, flow.dst) for flow in flows}
    workloads = list(found.workloads)
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < added:
        src, dst = chance.sample(workloads, 2)
        if (src, dst) not in there or chance.random() < 0.01:  # dense worlds have few pairs left
            pairs[src, dst] = None
    return Difference(
        [Flow(src, dst, ("TCP 8080",)) for src, dst in pairs]
        + [Flow(flow.src, flow.dst, ("TCP 8443",)) for flow in cut[:3] if (flow.src, flow.dst) not in pairs],
        cut,
    )
