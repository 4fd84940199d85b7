"""Says what a change opens and cuts: the flows that one state has and another has not.

BEFORE and AFTER are files or folders of a whole state each. With --apply or --delete there is one state, named by
BEFORE, --cluster or --live, and a change to it. Exit code: 0 once answered, 1 with --exit-code when flows differ, 2
some input could not be read.
"""

import argparse

from webhook.cli import DENIED, OK, UNUSABLE, UsageError
from webhook.cli.flow_options import FORMS, named_state, say_what_is_empty, say_what_is_not_counted, write_pieces
from webhook.cli.state_options import add_state_arguments, load_state, report_problems, standard_input, wants_live
from webhook.state.files import FileState

EXAMPLE = """examples:
  netadmit diff before/ after/
  netadmit diff snapshot.yaml --apply policy.yaml
  netadmit diff --live --delete policy.yaml -o markdown
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", nargs="?", metavar="BEFORE", help="the state before; - is standard input")
    parser.add_argument("after", nargs="?", metavar="AFTER", help="the state after")
    parser.add_argument(
        "--apply", action="append", default=[], metavar="FILE", help="objects that are added or changed; repeatable"
    )
    parser.add_argument("--delete", action="append", default=[], metavar="FILE", help="objects that go; repeatable")
    parser.add_argument("-o", "--output", choices=tuple(FORMS), default="text")
    parser.add_argument("--exit-code", action="store_true", help="exit code 1 when any flow differs")
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from webhook.reach.diff import difference  # noqa: PLC0415 - `--help` does without
    from webhook.reach.graph import Graph  # noqa: PLC0415

    before, after = _states(args)
    lost = report_problems([*before.problems, *after.problems])
    say_what_is_empty(before.cluster)
    say_what_is_not_counted(before.cluster, after.cluster)
    found = difference(Graph(before.cluster), Graph(after.cluster))
    change = [
        f"after {args.after}" if args.after else "",
        *(f"+ {f}" for f in args.apply),
        *(f"- {f}" for f in args.delete),
    ]
    write_pieces(args.output, "difference", found, " ".join([named_state(args), *filter(None, change)]))
    if lost:
        return UNUSABLE
    return DENIED if args.exit_code and found else OK


def _states(args: argparse.Namespace) -> tuple[FileState, FileState]:
    """The state before and the state after.

    Raises:
        UsageError: the arguments name too few or too many.
    """
    elsewhere = bool(args.cluster) or wants_live(args)
    changes = [*args.apply, *args.delete]
    if [args.before, args.after, *args.cluster, *changes].count("-") > 1:
        raise UsageError("standard input can be read once only")
    if args.before and elsewhere:
        raise UsageError("the state is named by BEFORE or by --cluster and --live …, not by both")
    if changes and args.after:
        raise UsageError("a state and --apply or --delete, or BEFORE and AFTER")
    if not changes and not (args.before and args.after):
        raise UsageError("name the states BEFORE and AFTER, or a change by --apply or --delete")
    if changes and not args.before and not elsewhere:
        raise UsageError("name the state that is changed: BEFORE, --cluster or --live …")
    if args.before:
        args.cluster = [args.before]
    before = load_state(args)
    if args.after:
        after = FileState(complete=args.complete)
        after.load([args.after], stdin=standard_input())
        return before, after
    after = FileState(cluster=before.cluster.copy())
    after.load(args.apply, stdin=standard_input())
    after.unload(args.delete, stdin=standard_input())
    return before, after
