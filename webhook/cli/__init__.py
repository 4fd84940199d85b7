"""The command `netadmit`: finds the command's module, and turns what goes wrong into one line and exit code 2.

Modules of commands are imported only when their command runs: ``--version`` must not wait for a web server's imports.
"""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from webhook import __version__

COMMANDS: Final = {
    "demo": "shows what it does on an example cluster; needs nothing",
    "serve": "the webhook: answers the API server",
    "review": "answers one AdmissionReview",
    "check": "judges files as if they were applied together",
    "checks": "lists the checks, or explains one",
    "connectivity": "says who can reach whom, by workload",
    "explain": "says whether one may reach another, and which policy and rule on each side says so",
    "diff": "says what a change opens and cuts",
    "audit": "judges what is in the cluster already",
    "enforcement": "says whether this cluster enforces NetworkPolicies, who does, and from what it is told",
    "snapshot": "writes the live state that checks read, as YAML",
    "certs": "issues, inspects and rotates serving certificates in a folder",
    "healthz": "asks the netadmit that runs beside it whether it lives",
}
OK: Final = 0
DENIED: Final = 1
UNUSABLE: Final = 2
_INTERRUPTED: Final = 130


class _CommandParser(argparse.ArgumentParser):
    """Takes paths and options in any order, as people write them; argparse alone wants all paths side by side."""

    _in_turn = False

    def parse_known_args(  # type: ignore[override]  # the overloads are for namespaces of other classes
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Options first, then what is left: argparse's own way of doing that comes back here for each of the two."""
        has_actions = any(action.nargs == argparse.PARSER for action in self._get_positional_actions())
        # What follows `--` is no option, which that way forgets.
        if self._in_turn or has_actions or "--" in (args or ()):
            return super().parse_known_args(args, namespace)
        self._in_turn = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._in_turn = False


class UsageError(Exception):
    """What the user gave cannot be used; the message says what and why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `netadmit`; returns the exit code (CONTRACT.md, commands)."""
    _prepare_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(arguments)
    args = parser.parse_args(arguments)
    if not args.command:
        parser.print_help()
        return UNUSABLE
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except UsageError as error:
        _complain(error)
        return UNUSABLE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough of it
        _drop_output()
        return OK
    except OSError as error:  # the disk is full, most likely: whatever else may go wrong is told by the commands
        _drop_output()
        _complain(error)
        return UNUSABLE
    return code


def _complain(error: Exception) -> None:
    """Says what is wrong; names of files, too, may hold what drives a terminal."""
    from webhook.terminal import clean  # noqa: PLC0415 - costs more than `netadmit --version` may

    sys.stderr.write("netadmit: " + "\n".join(map(clean, str(error).split("\n"))) + "\n")


def _prepare_streams() -> None:
    """A closed standard stream is an empty one, and what the terminal's encoding lacks is written as an escape."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Python would try to write what is left, and complain, once more at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="netadmit",
        description="Says what a NetworkPolicy or a Service really does, when it is applied.",
        epilog="netadmit COMMAND --help has an example for each command.",
    )
    parser.add_argument("--version", action="version", version=f"netadmit {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=_CommandParser)
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    for name, summary in COMMANDS.items():
        if name != wanted:
            commands.add_parser(name, help=summary)
            continue
        module = import_module(f"webhook.cli.{name}")
        command = commands.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            epilog=module.EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser
