"""The reachability engine in memory: the whole of a cluster, what one policy changes, one question, one watch event.

Each size runs in a process of its own, so that its memory is its own. The cluster is made of records, as the watch
makes it. Times are processor time; of many short ones the median is shown, and the slowest of a hundred.
"""

import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from bench import table
from bench.generate import SIZES, Size, policy, records, teams
from webhook.model.cluster import Cluster
from webhook.model.objects import NETWORK_POLICY, POD, Key, NetworkPolicy, Pod
from webhook.model.parse import convert
from webhook.reach.change import Change
from webhook.reach.connectivity import connectivity, matrices
from webhook.reach.diff import compare
from webhook.reach.explain import Explainer, Query, explain
from webhook.reach.graph import Graph
from webhook.reach.scenario import Scenario

_NUMBER: Final = 200
_NUMBER_OF_LARGE: Final = 40
"""Of each change and event; fewer changes where each may take a second."""
_CHANGES: Final = (
    "what a policy that goes cuts and opens",
    "  one that comes and lets out to every pod",
    "  one that goes, right after a pod with new labels came",
)
_EVENTS: Final = (
    "a watch event taken up: a pod is ready",
    "  a pod comes or goes",
    "  a pod with new labels comes or goes",
    "  a policy comes or goes",
)
_WHOLE: Final = ("M", "L")
"""The sizes of which every flow is told; a cluster of 150,000 pods is asked about single policies and pairs only."""
_MOST_CHANGE: Final = {"M": 10, "L": 25}
"""Milliseconds for 99 of 100: a review, of which this is a part, has no more (DESIGN.md, budgets)."""

_Policies: TypeAlias = Mapping[Key, NetworkPolicy | None]


class _Short(NamedTuple):
    """Many short times, in seconds."""

    median: float
    p99: float


def main() -> None:
    spawn = multiprocessing.get_context("spawn")
    for name, size in SIZES.items():
        if name == "S":
            continue
        hear, tell = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_measure, args=(name, size, tell))
        process.start()
        tell.close()
        _print(name, size, hear.recv())
        process.join()


def _print(name: str, size: Size, found: dict[str, Any]) -> None:
    table.title(
        f"{name}: the engine in memory, {size.namespaces:,} namespaces, {size.pods:,} pods, {size.policies:,} policies"
    )
    table.line("the graph of the cluster, made anew", f"{found['graph']:.3f} s")
    if name in _WHOLE:
        table.line(f"the whole connectivity, {found['flows']:,} flows", f"{found['whole']:.3f} s")
        table.line("the difference of two whole states, one policy changed", f"{found['difference']:.3f} s")
    for label in _CHANGES:
        change: _Short = found[label]
        beside = f"half {change.median * 1000:.1f} ms, p99 "
        if name in _MOST_CHANGE:
            table.at_most(label, change.p99 * 1000, _MOST_CHANGE[name], "ms", beside=beside)
        else:
            table.line(label, f"{beside}{change.p99 * 1000:.1f} ms")
    table.line("one explain, the names looked up anew", f"{found['explain'] * 1000:.1f} ms")
    table.line("  each one after it", f"{found['answer'].median * 1000:.2f} ms")
    for label in _EVENTS:
        event: _Short = found[label]
        table.line(label, f"half {event.median * 1e6:,.0f} µs, p99 {event.p99 * 1e6:,.0f} µs")
    if name == "XL":
        table.at_most("resident, with records, index and graph", found["resident"], 600, "MiB")
    else:
        table.line("resident, with records, index and graph", f"{found['resident']:.0f} MiB")
    table.line("  of which the graph", f"{found['resident'] - found['records']:.0f} MiB")


# --- measuring


def _measure(name: str, size: Size, tell: Connection) -> None:
    random = Random(3)  # noqa: S311 - a benchmark, not a secret
    cluster = Cluster.of(records(size), complete=True)
    found: dict[str, Any] = {"records": _resident()}
    graph = Graph(cluster)
    found["graph"], _ = _time(graph.refresh)
    gc.collect()
    found["resident"] = _resident()
    if name in _WHOLE:
        found["whole"], found["flows"] = _time(lambda: sum(1 for _ in connectivity(graph).flows))
        some = next(iter(cluster.policies))
        scenarios = Scenario(graph, {some.key: None}), Scenario(graph)
        found["difference"], _ = _time(lambda: compare(*matrices(*scenarios)))
    found |= _changes(random, size, cluster, graph)
    names = [f"{pod.namespace}/{pod.name}" for pod in cluster.pods if not pod.finished]
    queries = [Query(random.choice(names), random.choice(names), "TCP", 8080) for _ in range(_NUMBER)]
    found["explain"], _ = _time(lambda: explain(graph, queries[0]))
    answer = Explainer(graph).answer
    found["answer"] = _short(_time(partial(answer, query))[0] for query in queries)
    found |= _events(random, size, cluster, graph)
    tell.send(found)


def _changes(random: Random, size: Size, cluster: Cluster, graph: Graph) -> dict[str, _Short]:
    number = _NUMBER if size.pods <= SIZES["L"].pods else _NUMBER_OF_LARGE
    old = random.sample(list(cluster.policies), number)
    new = _policies(random, size)[:number]
    pods = [pod for pod in islice(cluster.pods, 10 * _NUMBER) if not pod.finished]

    def after_a_pod(gone: NetworkPolicy) -> float:
        _come_and_go(random.choice(pods), cluster, labels="new")
        return _change(graph, {}, {gone.key: None})

    every = (
        (_change(graph, {}, {one.key: None}) for one in old),
        (_change(graph, {one.key: None}, {one.key: one}) for one in new),
        map(after_a_pod, old),
    )
    return dict(zip(_CHANGES, map(_short, every), strict=True))


def _change(graph: Graph, before: _Policies, after: _Policies) -> float:
    """The seconds that all flows that some policies cut and open take."""

    def told() -> int:
        change = Change(graph, before, after)
        return sum(len(list(of)) for d in ("Ingress", "Egress") for of in (change.cut(d), change.opened(d)))

    return _time(told)[0]


def _come_and_go(pod: Pod, cluster: Cluster, *, labels: str = "") -> None:
    """Puts a pod that is not there yet, or takes it away."""
    key = (pod.namespace, f"{pod.name}-{labels}-new")
    if cluster.get(POD, key) is not None:
        cluster.remove(POD, key)
        return
    own = {**pod.labels, "pod-template-hash": labels} if labels else pod.labels
    cluster.put(replace(pod, name=key[1], labels=own))


def _events(random: Random, size: Size, cluster: Cluster, graph: Graph) -> dict[str, _Short]:
    pods = [pod for pod in islice(cluster.pods, 10 * _NUMBER) if not pod.finished]
    twice = [pod for pod in random.choices(pods, k=_NUMBER) for _ in range(2)]

    def after(change: Callable[[], None]) -> float:
        def both() -> None:
            change()
            graph.refresh()

        return _time(both)[0]

    def policy_comes_or_goes(new: NetworkPolicy) -> None:
        if cluster.get(NETWORK_POLICY, new.key) is None:
            cluster.put(new)
        else:
            cluster.remove(NETWORK_POLICY, new.key)

    every: tuple[Iterable[Callable[[], None]], ...] = (
        (partial(cluster.put, replace(pod, ready=not pod.ready)) for pod in twice),
        (partial(_come_and_go, pod, cluster) for pod in twice),
        (partial(_come_and_go, pod, cluster, labels=f"new{i // 2}") for i, pod in enumerate(twice)),
        (partial(policy_comes_or_goes, new) for new in _policies(random, size) for _ in range(2)),
    )
    return dict(zip(_EVENTS, (_short(map(after, changes)) for changes in every), strict=True))


def _policies(random: Random, size: Size) -> list[NetworkPolicy]:
    names = teams(size)
    made = (convert(NETWORK_POLICY, policy(random, random.choice(names), f"new-{i}", names)) for i in range(_NUMBER))
    return [one for one in made if isinstance(one, NetworkPolicy)]


def _short(seconds: Iterable[float]) -> _Short:
    every = list(seconds)
    # Inclusive: of few, the slowest that was seen, and none that was not.
    return _Short(statistics.median(every), statistics.quantiles(every, n=100, method="inclusive")[98])


def _time(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = run()
    return time.process_time() - start, found


def _resident() -> float:
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024
