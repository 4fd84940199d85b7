"""The webhook: answers AdmissionReviews of kube-apiserver over HTTPS on /validate.

The state comes from the live cluster (in-cluster, or the current context) unless files are named. Health (/healthz),
readiness (/readyz, once the state is read) and Prometheus metrics (/metrics) are on a second, plain port. SIGTERM ends
it without losing a request.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from certs.store import provide
from webhook.cli import OK, UNUSABLE, UsageError
from webhook.cli.check import configuration
from webhook.cli.state_options import add_state_arguments, credentials, load_state, report_problems, wants_live
from webhook.pipeline import Deletions, Judge
from webhook.server import FixedState, Listeners, Service, State, server_tls
from webhook.state.watch import LiveState

EXAMPLE = """examples:
  netadmit serve --cert-dir /etc/netadmit/tls
  netadmit serve --bind 127.0.0.1 --port 8443 --metrics-port 0 --cluster snapshot.yaml
"""
_log: Final = logging.getLogger("netadmit")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bind", metavar="ADDRESS", default="0.0.0.0", help="the address to listen on (default: all)")
    parser.add_argument(
        "--port", type=_port, default=8443, help="for the API server, HTTPS (default: 8443; 0: any free)"
    )
    parser.add_argument(
        "--metrics-port", type=_port, default=8080, help="health and metrics (default: 8080; 0: any free)"
    )
    parser.add_argument("--config", metavar="FILE", help="the configuration")
    parser.add_argument(
        "--cert-dir", metavar="DIR", help="tls.crt and tls.key; issued into it, with ca.crt, when they are not there"
    )
    parser.add_argument(
        "--dns-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address for an issued certificate, besides netadmit.NAMESPACE.svc and localhost; repeatable",
    )
    parser.add_argument(
        "--drain-seconds",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="after SIGTERM, go on answering for so long while clients move elsewhere (default: 3)",
    )
    add_state_arguments(parser)


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return number


def run(args: argparse.Namespace) -> int:
    judge = Judge(configuration(args), deletions=Deletions(time.monotonic))
    _log_as_json()
    if args.cluster or args.complete:
        wants_live(args)
        files = load_state(args)
        if report_problems(files.problems):
            return UNUSABLE
        return asyncio.run(_serve(args, judge, FixedState(files.cluster)))
    return asyncio.run(_serve(args, judge, LiveState(credentials(args))))


async def _serve(args: argparse.Namespace, judge: Judge, state: State) -> int:
    with tempfile.TemporaryDirectory(prefix="netadmit-") as scratch:
        folder = Path(args.cert_dir or scratch)
        try:
            files = provide(folder, names(args.bind, args.dns_name), datetime.now(UTC))
            tls = server_tls(str(files.certificate), str(files.key))
        except OSError as error:
            raise UsageError(f"--cert-dir {folder}: {error.strerror or error}") from None
        if files.issued:
            _log.info("issued a certificate", extra={"fields": {"folder": str(folder), "ca": str(files.ca)}})
        listeners = Listeners(Service(judge, state), tls)
        try:
            ports = await listeners.open(args.bind, args.port, args.metrics_port)
        except OSError as error:
            await listeners.close()
            raise UsageError(f"cannot listen on {args.bind}: {error.strerror or error}") from None
        fields = {"address": args.bind, "port": ports[0], "metricsPort": ports[1]}
        _log.info("listening", extra={"fields": fields})
        await _until_told(listeners, state, args.drain_seconds)
    return OK


async def _until_told(listeners: Listeners, state: State, drain_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[signal.Signals] = loop.create_future()

    def tell(number: signal.Signals) -> None:
        if not told.done():
            told.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, number)
    watching = asyncio.create_task(_follow(state)) if isinstance(state, LiveState) else None
    try:
        received = await told
        _log.info("stopping", extra={"fields": {"signal": received.name}})
        await listeners.close(drain_seconds if received is signal.SIGTERM else 0.0)
    finally:
        if watching:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _follow(state: LiveState) -> None:
    """Runs the watches, and says once when everything was read."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(state.run())
        await state.wait_synced()
        known = {status.kind: status.objects for status in state.status() if not status.reason}
        _log.info("synced", extra={"fields": {"objects": known, "unknown": state.unknown}})


def names(bind: str, more: list[str]) -> list[str]:
    """The names for an issued certificate: the Service's in this pod's namespace, this machine's, the given ones."""
    namespace = os.environ.get("POD_NAMESPACE", "netadmit")
    service = f"netadmit.{namespace}"
    local = [] if bind in {"", "0.0.0.0", "::"} else [bind]
    every = [f"{service}.svc", f"{service}.svc.cluster.local", service, "localhost", "127.0.0.1", "::1", *local, *more]
    return list(dict.fromkeys(every))


class _JSONFormatter(logging.Formatter):
    """One JSON object a line: safe whatever a name or a user agent holds."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
