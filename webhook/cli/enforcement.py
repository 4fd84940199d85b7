"""Says whether this cluster enforces NetworkPolicies, who does, and from what it is told.

Live by default. What lies in a node's /etc/cni/net.d no API shows: where the API shows nothing, the answer is unknown.
"""

import argparse
import sys
from collections.abc import Iterator

import msgspec

from webhook.cli import OK, UNUSABLE
from webhook.cli.state_options import add_state_arguments, load_state_live_by_default, report_problems
from webhook.enforcement import Enforcement, State, enforcement_of
from webhook.report.text import Paint
from webhook.verdict import clean

EXAMPLE = """examples:
  netadmit enforcement
  netadmit enforcement --cluster snapshot.yaml -o json
"""
_COLOURS = {State.ENFORCED: "1;32", State.NOT_ENFORCED: "1;31", State.PARTIAL: "1;33", State.UNKNOWN: "1;36"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    state = load_state_live_by_default(args)
    found = enforcement_of(state.cluster)
    if args.output == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(msgspec.to_builtins(found))) + b"\n")
    else:
        for line in _lines(found):
            print(line)
    return UNUSABLE if report_problems(state.problems) else OK


def _lines(found: Enforcement) -> Iterator[str]:
    paint = Paint(sys.stdout)
    engine = f" by {found.engine}" if found.engine and found.state is State.ENFORCED else ""
    yield paint(_COLOURS[found.state], found.state.value) + engine + (f": {found.reason}" if found.reason else "")
    for clause in found.evidence:
        yield f"  seen: {clean(clause)}"
    if found.remedy:
        yield f"  help: {found.remedy}"
