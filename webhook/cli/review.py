"""Answers one AdmissionReview as `netadmit serve` would: one in, the answered one out.

Exit code: 0 allowed, 1 denied or a finding at or above --fail-on, 2 the request or the state could not be read.
"""

import argparse
import sys
import time
from pathlib import Path

import msgspec

from webhook.check import Disclosure, Level
from webhook.cli import DENIED, OK, UNUSABLE, UsageError
from webhook.cli.check import add_verdict_arguments, configuration, report_crash
from webhook.cli.state_options import add_state_arguments, load_state, report_problems
from webhook.config import Config
from webhook.model.review import ReviewError, decode_review
from webhook.pipeline import Judge
from webhook.report.results import fails
from webhook.server import answer

EXAMPLE = """example:
  netadmit review request.json --cluster snapshot.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="the AdmissionReview, JSON (default: -)")
    add_verdict_arguments(parser)
    add_state_arguments(parser)


def _config(args: argparse.Namespace) -> Config:
    """The configuration; whoever runs the command was allowed to read the state, and may read of it."""
    config = configuration(args)
    if config.disclose is Disclosure.REQUESTER:
        return msgspec.structs.replace(config, disclose=Disclosure.CLUSTER)
    return config


def run(args: argparse.Namespace) -> int:
    if args.file == "-" and "-" in args.cluster:
        raise UsageError("standard input can be the request or the state, not both")
    try:
        body = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
        judge = Judge(_config(args), on_crash=report_crash, clock=time.time)
        request = decode_review(body, judge.config.watched)
    except OSError as error:
        raise UsageError(f"{args.file}: {error.strerror}") from None
    except ReviewError as error:
        raise UsageError(f"{'<stdin>' if args.file == '-' else args.file}: {error}") from None
    state = load_state(args, judge.config)
    judgement = judge.admit(request, state.cluster)
    sys.stdout.buffer.write(answer(request, judgement) + b"\n")
    if report_problems(state.problems):
        return UNUSABLE
    return DENIED if fails(judgement.verdict.rulings, Level[args.fail_on.upper()]) else OK
