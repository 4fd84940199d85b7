"""Says who can reach whom: what the policies of a state let through, by workload.

Without --cluster or --live it wants files as arguments. What nothing restricts is named once; --all writes every pair.
Exit code: 0 once answered, 2 some input could not be read.
"""

import argparse

from webhook.cli import OK, UNUSABLE, UsageError
from webhook.cli.flow_options import named_state, say_what_is_empty, say_what_is_not_counted, write_pieces
from webhook.cli.state_options import add_state_arguments, load_state, report_problems, wants_live

EXAMPLE = """examples:
  netadmit connectivity manifests/
  netadmit connectivity --live -o html > connectivity.html
  netadmit connectivity --cluster snapshot.yaml -o json --all
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files or folders of the state, as --cluster")
    parser.add_argument("-o", "--output", choices=("text", "json", "dot", "html"), default="text")
    parser.add_argument("--all", action="store_true", help="every pair, also of workloads that nothing restricts")
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from webhook.reach.connectivity import connectivity  # noqa: PLC0415 - `--help` does without
    from webhook.reach.graph import Graph  # noqa: PLC0415

    if args.paths and wants_live(args):
        raise UsageError("state comes from files or from a live cluster (--live …), not from both")
    args.cluster = [*args.cluster, *args.paths]
    if not args.cluster and not wants_live(args):
        raise UsageError("name files or folders, or a live cluster (--live …)")
    state = load_state(args)
    lost = report_problems(state.problems)
    say_what_is_empty(state.cluster)
    say_what_is_not_counted(state.cluster)
    found = connectivity(Graph(state.cluster), every=args.all)
    write_pieces(args.output, "connectivity", found, named_state(args))
    return UNUSABLE if lost else OK
