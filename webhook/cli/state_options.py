"""The options that say which cluster is meant (CONTRACT.md, commands)."""

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, Final

from webhook.cli import UsageError
from webhook.cli.progress import Progress, counted
from webhook.model.manifest import InputError
from webhook.state.files import FileState
from webhook.terminal import clean, elide

if TYPE_CHECKING:
    from webhook.config import Config
    from webhook.kube import Credentials
    from webhook.state.watch import Resource

_COLLECT_AFTER: Final = 10_000
"""New objects, after which garbage is looked for among them; Python's own number is 700."""
_SYNC_SECONDS: Final = 60.0
_LONGEST: Final = 2000
"""Characters of a problem that are printed: a file's name is shorter."""


def add_state_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--cluster``, ``--complete``, ``--live``, ``--kubeconfig`` and ``--context``."""
    group = parser.add_argument_group("the cluster's state")
    group.add_argument(
        "--cluster",
        action="append",
        default=[],
        metavar="PATH",
        help="files or a folder of Kubernetes objects, as `kubectl get -o yaml` writes them; - is standard input; "
        "may be repeated",
    )
    group.add_argument("--complete", action="store_true", help="what is not in these files is not in the cluster")
    group.add_argument("--live", action="store_true", help="ask the cluster of the current context")
    group.add_argument("--kubeconfig", metavar="FILE", help="ask the cluster of this kubeconfig")
    group.add_argument("--context", metavar="NAME", help="ask the cluster of this context")


def wants_live(args: argparse.Namespace) -> bool:
    """Whether a live cluster was asked for.

    Raises:
        UsageError: files were named as well.
    """
    live = bool(args.live or args.kubeconfig or args.context)
    if live and (args.cluster or args.complete):
        raise UsageError("state comes from files (--cluster) or from a live cluster (--live …), not from both")
    return live


def load_state(args: argparse.Namespace, config: "Config | None" = None) -> FileState:
    """The state that the options name: files, a live cluster read once, or nothing at all.

    Args:
        args: the options.
        config: what of a live cluster is read besides what always is.

    Raises:
        UsageError: the live cluster cannot be read.
    """
    # What is read is kept to the end: to look for garbage in it again and again takes a tenth of the time.
    gc.set_threshold(_COLLECT_AFTER)
    if wants_live(args):
        return _read_live(args, config)
    state = FileState(complete=args.complete, shown=lambda items: counted(items, "reading files"))
    state.load(args.cluster, stdin=standard_input())
    return state


def load_state_live_by_default(args: argparse.Namespace, config: "Config | None" = None) -> FileState:
    """`load_state` for commands about a cluster: without options the live one.

    Raises:
        UsageError: the live cluster cannot be read.
    """
    wants_live(args)
    return load_state(args, config) if args.cluster or args.complete else _read_live(args, config)


def resources_for(config: "Config | None") -> "tuple[Resource, ...]":
    """What of a live cluster is followed under a configuration."""
    from webhook.state.watch import RESOURCES, ROLES  # noqa: PLC0415

    return (*RESOURCES, ROLES) if config is not None and config.rbac_hint else RESOURCES


def credentials(args: argparse.Namespace) -> "Credentials":
    """Credentials for the live cluster; says on standard error which one it is.

    Raises:
        UsageError: there are none.
    """
    from webhook.kube import CredentialsError, load_credentials  # noqa: PLC0415 - costs a third of a second

    try:
        found = load_credentials(args.kubeconfig, args.context)
    except CredentialsError as error:
        raise UsageError(str(error)) from None
    sys.stderr.write(f"netadmit: using the live cluster of context {found.context}\n")
    return found


def _read_live(args: argparse.Namespace, config: "Config | None" = None) -> FileState:
    import asyncio  # noqa: PLC0415 - files alone are read without

    access = credentials(args)
    return asyncio.run(_read_once(access, resources_for(config)))


async def _read_once(access: "Credentials", resources: "tuple[Resource, ...]") -> FileState:
    import asyncio  # noqa: PLC0415

    from webhook.state.watch import LiveState  # noqa: PLC0415

    live = LiveState(access, resources=resources)
    task = asyncio.create_task(live.run())
    progress = Progress(f"reading the cluster of context {access.context}")
    started = time.monotonic()
    try:
        while not await live.wait_synced(0.1) and time.monotonic() - started < _SYNC_SECONDS:
            kinds = live.status()
            read = sum(kind.synced for kind in kinds)
            progress.show(f"{sum(kind.objects for kind in kinds):,} objects", read / len(kinds))
        if not live.synced:
            waiting = ", ".join(f"{s.kind} ({s.reason})" for s in live.status() if not s.synced)
            raise UsageError(f"the cluster of context {access.context} did not answer for {waiting}")
    finally:
        progress.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    state = FileState(cluster=live.cluster)
    state.unknown = tuple(f"{kind}: {reason}" for kind, reason in live.unknown.items())
    return state


def standard_input() -> BinaryIO:
    """Standard input as bytes."""
    return sys.stdin.buffer


def report_problems(problems: Sequence[InputError]) -> bool:
    """Prints what could not be read on standard error; says whether anything was lost by it (notices lose nothing)."""
    for problem in problems:
        sys.stderr.write(f"netadmit: {clean(elide(str(problem), _LONGEST))}\n")
    return any(not problem.notice for problem in problems)
