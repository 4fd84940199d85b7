"""Says whether this cluster enforces NetworkPolicies, who does, on which nodes, with what gaps, from what evidence.

Live by default. What lies in a node's /etc/cni/net.d no API shows: where the API shows nothing, the answer is unknown.
"""

import argparse
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from webhook.check import count, enumerate_some
from webhook.cli import OK, UNUSABLE
from webhook.cli.check import configuration
from webhook.cli.state_options import add_state_arguments, load_state_live_by_default, report_problems
from webhook.enforcement import (
    CONFIG_MAPS,
    FAMILIES,
    IN_NODES,
    Agent,
    Confidence,
    Coverage,
    Enforcement,
    Gap,
    State,
    Where,
    agentless,
    enforcement_of,
)
from webhook.model.cluster import Cluster
from webhook.model.objects import DAEMON_SET, ENGINE_POLICIES, NODE
from webhook.other_policies import plural, title
from webhook.report.paint import Paint
from webhook.terminal import clean

EXAMPLE = """examples:
  netadmit enforcement
  netadmit enforcement --cluster snapshot.yaml -o json
"""
_COLOURS: Final = {State.ENFORCED: "1;32", State.NOT_ENFORCED: "1;31", State.PARTIAL: "1;33", State.UNKNOWN: "1;36"}
_MOST_NODES: Final = 5
_WIDTH: Final = 120
_PINNING: Final = "if you know it, say so in the configuration: `enforcement: enforced` or `enforcement: none`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.add_argument("--config", metavar="FILE", help="the configuration, as `netadmit serve` takes it")
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    config = configuration(args)
    state = load_state_live_by_default(args, config)
    found = enforcement_of(state.cluster, config.enforcement)
    if args.output == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(as_json(found, state.cluster))) + b"\n")
    else:
        for line in _lines(found, state.cluster):
            print(line)
    return UNUSABLE if report_problems(state.problems) else OK


# --- for people


def _lines(found: Enforcement, cluster: Cluster) -> Iterator[str]:
    yield _headline(found)
    for clause in found.evidence:
        yield _line("seen", clause)
    if found.enforces:
        yield from _coverage_lines(found.coverage, cluster)
        systems = {"", *(agent.os for agent in found.coverage.agents)}
        for gap in found.gaps:
            if gap.os in systems:
                yield from _gap_lines(gap)
    elif found.state is State.UNKNOWN:
        yield from textwrap.wrap(
            ", ".join(_engines()), _WIDTH, initial_indent="  looked for: ", subsequent_indent=" " * 14
        )
        config_maps = [f"{namespace}/{name}" for namespace, name in _config_maps(cluster)]
        if config_maps:
            yield _line("read", f"ConfigMaps {', '.join(config_maps)}")
        yield _line("help", _PINNING)
    for kind in ENGINE_POLICIES:
        number = len(cluster.keys(kind))
        if number and found.engine_policies.get(kind) is not False:
            told = count(number, title(kind), plural([kind]))
            decides = "decides" if number == 1 else "decide"
            yield _line("beside", f"{told} {decides}, too, and {'is' if number == 1 else 'are'} not counted")
    if found.remedy:
        yield _line("help", found.remedy)


def _headline(found: Enforcement) -> str:
    paint = Paint(sys.stdout)
    words = paint(_COLOURS[found.state], found.state.value)
    engine = clean(" ".join(filter(None, (found.engine, found.version))))
    if found.state is State.PARTIAL:
        words += f": enforced by {engine} on {_reached(found.coverage)}"
    elif found.state is State.ENFORCED and engine:
        words += f" by {engine}"
    if found.confidence is Confidence.LIKELY:
        words += " (likely)"
    return f"{words}: {clean(found.reason)}" if found.state is not State.PARTIAL else words


def _reached(coverage: Coverage) -> str:
    nodes = count(coverage.nodes, "node")
    return f"{_covered(coverage)} of {nodes}" if coverage.nodes else "some nodes"


def _covered(coverage: Coverage) -> int:
    left_out = sum(len(group.nodes) for group in coverage.uncovered)
    return max(0, coverage.nodes - left_out - len(coverage.undecided) - coverage.missing)


def _coverage_lines(coverage: Coverage, cluster: Cluster) -> Iterator[str]:
    for agent in coverage.agents:
        ready = "" if agent.desired is None else f": {agent.ready or 0} of {agent.desired} ready"
        yield _line("agents", f"{_runs_as(agent)}{ready}")
    if coverage.nodes and coverage.whole:
        every = "all nodes" if coverage.complete else "all nodes that are known"
        yield _line(
            "covers", f"{_covered(coverage)} of {count(coverage.nodes, 'node')}" if coverage.undecided else every
        )
    for group in coverage.uncovered:
        yield _line("not on", f"{group.where}: {enumerate_some(group.nodes, _MOST_NODES)}")
    if coverage.missing:
        names = sorted(agentless(cluster, coverage))
        told = f": {enumerate_some(names, _MOST_NODES)}" if names else ", which cannot be told"
        yield _line("not on", f"{count(coverage.missing, 'node')} without an agent{told}")
    if coverage.undecided:
        yield _line(
            "unclear", f"on {enumerate_some(coverage.undecided, _MOST_NODES)}: something else may enforce there"
        )


def _gap_lines(gap: Gap) -> Iterator[str]:
    where = f" (on {gap.os} nodes)" if gap.os else ""
    yield _line("gap", f"{gap.feature}{where}: {gap.who} {gap.effect}" + (f"; {gap.remedy}" if gap.remedy else ""))
    yield f"       ({clean(gap.evidence)})"


def _line(word: str, text: str) -> str:
    return f"  {word}: {clean(text)}"


def _runs_as(agent: Agent) -> str:
    if agent.runs is Where.DAEMON_SET:
        return f"DaemonSet {'/'.join(agent.name)}"
    return f"within the nodes of {agent.runs}"


def _engines() -> list[str]:
    return [*dict.fromkeys([family.name for family in FAMILIES if family.can_enforce] + list(IN_NODES))]


def _config_maps(cluster: Cluster) -> list[tuple[str, str]]:
    return [key for key in CONFIG_MAPS if cluster.config_map(*key) is not None]


# --- for programs


def as_json(found: Enforcement, cluster: Cluster) -> dict[str, Any]:
    """What was found out, as plain data.

    Args:
        found: what was found out.
        cluster: the state it was found in.
    """
    coverage = found.coverage
    return {
        "state": found.state.value,
        "engine": found.engine,
        "version": found.version,
        "confidence": found.confidence.value,
        "pinned": found.pinned,
        "reason": found.reason,
        "remedy": found.remedy,
        "evidence": list(found.evidence),
        "gaps": [msgspec.to_builtins(gap) for gap in found.gaps],
        "coverage": {
            "nodes": coverage.nodes,
            "covered": _covered(coverage),
            "complete": coverage.complete,
            "uncovered": [msgspec.to_builtins(group) for group in coverage.uncovered],
            "undecided": list(coverage.undecided),
            "missing": coverage.missing,
            "withoutAgent": sorted(agentless(cluster, coverage)),
            "agents": [
                {
                    "engine": agent.engine,
                    "runs": agent.runs.value,
                    "name": "/".join(filter(None, agent.name)),
                    "os": agent.os,
                    "desired": agent.desired,
                    "ready": agent.ready,
                }
                for agent in coverage.agents
            ],
        },
        "adminPolicies": dict(found.admin_policies),
        "enginePolicies": dict(found.engine_policies),
        "looked": {
            "for": _engines(),
            "daemonSets": len(cluster.keys(DAEMON_SET)),
            "nodes": len(cluster.keys(NODE)),
            "configMaps": ["/".join(key) for key in _config_maps(cluster)],
        },
    }
