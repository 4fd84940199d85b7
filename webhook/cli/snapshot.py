"""Writes the live state that checks read, as YAML, for `--cluster`.

It holds no Secrets, no environment values, no commands or arguments of users' pods, no annotations but those that
checks read, and of role bindings only the role and the ServiceAccounts. The same answers come from it as from the live
cluster.
"""

import argparse
import io
import sys
from pathlib import Path

from webhook.cli import OK, UNUSABLE, UsageError
from webhook.cli.state_options import add_state_arguments, load_state_live_by_default, report_problems
from webhook.state.snapshot import write_snapshot

EXAMPLE = """examples:
  netadmit snapshot > snapshot.yaml
  netadmit snapshot --context staging --output staging.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", metavar="FILE", help="where to write it (default: standard output)")
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    state = load_state_live_by_default(args)
    text = io.StringIO()
    number = write_snapshot(state.cluster, text)
    try:
        if args.output:
            Path(args.output).write_text(text.getvalue())
        else:
            sys.stdout.write(text.getvalue())
    except OSError as error:
        raise UsageError(f"{args.output}: {error.strerror}") from None
    for question in state.unknown:
        sys.stderr.write(f"netadmit: not in the snapshot: {question}\n")
    sys.stderr.write(f"netadmit: {number} objects\n")
    return UNUSABLE if report_problems(state.problems) else OK
