"""Judges files as if all of them were applied together on top of the cluster's state.

Only NetworkPolicies and Services are judged; other objects in the files are state that arrives with them. Without a
state the files alone are looked at. Exit code: 0 fine, 1 something is denied or at or above --fail-on, 2 some input
could not be read.
"""

import argparse
import sys
import time
from pathlib import Path

import msgspec

from webhook.check import Level, TooLargeError
from webhook.cli import DENIED, OK, UNUSABLE, UsageError
from webhook.cli.flow_options import say_what_is_not_counted
from webhook.cli.state_options import add_state_arguments, load_state, report_problems, standard_input
from webhook.config import Config, ConfigError, load_config
from webhook.effects import effect_lines_of_files, effects_of_files
from webhook.model.manifest import InputError, parse_path
from webhook.model.review import JUDGED
from webhook.pipeline import Crash, Judge
from webhook.report.baseline import Baseline, BaselineError, read_baseline, without_known
from webhook.report.results import Result, Results
from webhook.state.files import FileState, Reviewed

EXAMPLE = """examples:
  netadmit check policy.yaml
  netadmit check manifests/ --cluster snapshot.yaml
  helm template my-chart | netadmit check - --live
  netadmit check manifests/ -o json > baseline.json; netadmit check manifests/ --baseline baseline.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files or folders to judge; - is standard input")
    parser.add_argument(
        "--allow-empty",
        action="store_true",
        help="exit code 0, not 2, where no file has a Kubernetes object: for lists of files that tools put together",
    )
    add_output_arguments(parser)
    add_state_arguments(parser)


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--output``, ``--notes``, ``--baseline``, ``--fail-on`` and ``--config``."""
    parser.add_argument("-o", "--output", choices=("text", "json", "sarif", "github"), default="text")
    parser.add_argument("--notes", action="store_true", help="show notes in the text, not only their number")
    parser.add_argument(
        "--baseline", metavar="FILE", help="findings that this earlier output of -o json has do not fail"
    )
    add_verdict_arguments(parser)


def add_verdict_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--fail-on`` and ``--config``."""
    parser.add_argument(
        "--fail-on",
        choices=[str(level) for level in sorted(Level, reverse=True)],
        default=str(Level.ERROR),
        help="the lowest level that makes the exit code 1 (default: error)",
    )
    parser.add_argument("--config", metavar="FILE", help="the configuration, as `netadmit serve` takes it")


def run(args: argparse.Namespace) -> int:
    if "-" in args.paths and "-" in args.cluster:
        raise UsageError("standard input can be the files or the state, not both")
    judge = Judge(configuration(args), on_crash=report_crash, clock=time.time)
    baseline = known_findings(args)
    state = load_state(args, judge.config)
    reviewed = state.review(args.paths, stdin=standard_input())
    results = judge_files(judge, state, reviewed)
    # Without a state all that the policies do is new: that is for programs, and `connectivity` says it to people.
    if args.output == "json":
        results = msgspec.structs.replace(results, effects=effects_of_files(state.cluster))
        if state.cluster.arriving_policies:
            say_what_is_not_counted(state.cluster)
    elif args.output == "text" and state.beside_files:
        results = _with_told_effects(results, state, judge.config)
    if baseline:
        results = without_known(results, baseline)
    lost = report_problems(state.problems)
    print_results(results, args)
    if not reviewed:
        sys.stderr.write("netadmit: there was no Kubernetes object to judge\n")
    if lost or not (reviewed or args.allow_empty):
        return UNUSABLE
    return DENIED if results.fails(Level[args.fail_on.upper()]) else OK


def _with_told_effects(results: Results, state: FileState, config: Config) -> Results:
    try:
        told = effect_lines_of_files(state.cluster, config.enforcement)
    except TooLargeError:
        unknown = "effects: the policies are too large to say here what they do to traffic; netadmit diff does"
        return msgspec.structs.replace(results, unknown=(*results.unknown, unknown))
    return msgspec.structs.replace(results, told_effects=told)


def report_crash(crash: Crash) -> None:
    """Says that a check failed: the rest was judged."""
    sys.stderr.write(f"netadmit: check {crash.check} failed ({crash.error!r}); the rest was judged, please report it\n")


def print_results(results: Results, args: argparse.Namespace) -> None:
    """Prints what was found in the form that was asked for."""
    if args.output == "json":
        from webhook.report.machine import as_json  # noqa: PLC0415

        for piece in as_json(results):
            sys.stdout.buffer.write(piece.encode())
    elif args.output == "sarif":
        from webhook.checks import all_checks  # noqa: PLC0415
        from webhook.report.sarif import as_sarif  # noqa: PLC0415

        sys.stdout.buffer.write(as_sarif(results, all_checks()))
    elif args.output == "github":
        from webhook.report.github import annotations  # noqa: PLC0415

        for line in annotations(results, notes=args.notes):
            print(line)
    else:
        from webhook.report.text import lines  # noqa: PLC0415

        for line in lines(results, notes=args.notes):
            print(line)


def known_findings(args: argparse.Namespace) -> Baseline | None:
    """The findings that ``--baseline`` names.

    Raises:
        UsageError: the file cannot be read.
    """
    if not args.baseline:
        return None
    try:
        return read_baseline(Path(args.baseline).read_bytes())
    except OSError as error:
        raise UsageError(f"{args.baseline}: {error.strerror}") from None
    except BaselineError as error:
        raise UsageError(f"{args.baseline}: {error}") from None


def configuration(args: argparse.Namespace) -> Config:
    """The configuration that ``--config`` names, or the default one.

    Raises:
        UsageError: it cannot be used.
    """
    try:
        return load_config(args.config) if args.config else Config()
    except ConfigError as error:
        raise UsageError(str(error)) from None


def judge_files(judge: Judge, state: FileState, reviewed: list[Reviewed]) -> Results:
    """Judges every object of the files; what cannot even be decoded, and about which no check speaks, is a problem."""
    results: list[Result] = []
    unknown: set[str] = set(state.unknown)
    objects = 0
    for item in reviewed:
        manifest = item.manifest
        objects += f"{manifest.api_version}/{manifest.kind}" in JUDGED
        judgement = judge.check(manifest, item.judged, state.cluster)
        results += [Result(ruling, manifest) for ruling in judgement.verdict.rulings]
        unknown.update(judgement.unknown)
        told = any(r.level is Level.ERROR for r in judgement.verdict.rulings)
        if item.error and not told and f"{manifest.api_version}/{manifest.kind}" in JUDGED:
            state.problems.append(
                InputError(
                    message=item.error.message,
                    file=manifest.file,
                    document=manifest.document,
                    position=manifest.locate(parse_path(item.error.path)),
                    path=item.error.path,
                )
            )
    return Results(objects, tuple(results), tuple(sorted(unknown)), problems=tuple(state.problems))
