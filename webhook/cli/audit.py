"""Judges every NetworkPolicy and Service that is in the cluster.

Live by default: the cluster of the current context, or the one that this pod runs in. Exit code: 0 fine, 1 something
would be denied or is at or above --fail-on, 2 the state could not be read.
"""

import argparse
import sys
import time

from webhook.audit import audit
from webhook.check import Level
from webhook.cli import DENIED, OK, UNUSABLE
from webhook.cli.check import add_output_arguments, configuration, known_findings, print_results, report_crash
from webhook.cli.state_options import add_state_arguments, load_state_live_by_default, report_problems
from webhook.pipeline import Judge
from webhook.report.baseline import without_known
from webhook.report.results import Result, Results
from webhook.terminal import clean

EXAMPLE = """examples:
  netadmit audit
  netadmit audit --context staging -o json
  netadmit audit --cluster snapshot.yaml --fail-on warning --baseline known.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output_arguments(parser)
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    judge = Judge(configuration(args), on_crash=report_crash, clock=time.time)
    baseline = known_findings(args)
    state = load_state_live_by_default(args, judge.config)
    judgements = audit(judge, state.cluster)
    results = Results(
        objects=len(judgements),
        results=tuple(Result(ruling) for judgement in judgements for ruling in judgement.verdict.rulings),
        unknown=tuple(sorted({*state.unknown, *(q for judgement in judgements for q in judgement.unknown)})),
        problems=tuple(state.problems),
    )
    if baseline:
        results = without_known(results, baseline)
    print_results(results, args)
    for result in results.waived if args.output == "text" else ():
        sys.stdout.write(f"waived[{result.ruling.check}] {result.ruling.object}: {clean(result.ruling.waived)}\n")
    if report_problems(state.problems):
        return UNUSABLE
    return DENIED if results.fails(Level[args.fail_on.upper()]) else OK
