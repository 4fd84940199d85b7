"""The webhook: answers AdmissionReviews of kube-apiserver over HTTPS on /validate.

The state comes from the live cluster (in-cluster, or the current context) unless files are named. Health (/healthz),
readiness (/readyz: the state is read, the CA published, TLS can be served) and Prometheus metrics (/metrics) are on a
second, plain port. SIGTERM ends it without losing a request.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from certs.publish import PublishedCA, SharedCertificate, achieve, ca_of_folder, ca_of_secret, keep
from certs.source import LiveCertificate
from certs.store import provide
from webhook.access_reviews import AccessReviews
from webhook.check import Disclosure
from webhook.cli import OK, UNUSABLE, UsageError
from webhook.cli.check import configuration
from webhook.cli.state_options import (
    add_state_arguments,
    credentials,
    load_state,
    report_problems,
    resources_for,
    wants_live,
)
from webhook.cli.telling import Telling
from webhook.impact import prepare
from webhook.kube import Writer
from webhook.model.objects import VALIDATING_WEBHOOKS
from webhook.pipeline import Deletions, Judge
from webhook.server import FixedState, Listeners, Service, State, server_tls
from webhook.state.watch import LiveState

EXAMPLE = """examples:
  netadmit serve --cert-dir /etc/netadmit/tls
  netadmit serve --bind 127.0.0.1 --port 8443 --metrics-port 0 --cluster snapshot.yaml
"""
Background: TypeAlias = Callable[[], Coroutine[None, None, object]]
_AGAIN_SECONDS: Final = 30.0
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
        "--cert-secret",
        metavar="NAME",
        help="keep the certificate in --cert-dir as in this Secret of this pod's namespace, shared by all replicas; "
        "issued into it when it is empty or grows old",
    )
    parser.add_argument(
        "--publish-ca",
        metavar="NAME",
        help="write the CA of --cert-dir into this ValidatingWebhookConfiguration, now and whenever it changes",
    )
    parser.add_argument(
        "--lease",
        metavar="NAME",
        help="of all that use this Lease of this pod's namespace, one tells of what stands against what is there",
    )
    parser.add_argument(
        "--webhook",
        metavar="NAME",
        help="the ValidatingWebhookConfiguration of this netadmit: reports belong to it, and go when it is deleted",
    )
    parser.add_argument(
        "--client-ca",
        metavar="FILE",
        help="answer only clients whose certificate one of these signed (PEM, read at the start); the API server shows "
        "one when its AdmissionConfiguration says so (docs/threat-model.md)",
    )
    parser.add_argument(
        "--client-name",
        action="append",
        default=[],
        metavar="NAME",
        help="with --client-ca: answer only certificates with this common name; repeatable (default: any)",
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
    judge = Judge(configuration(args), deletions=Deletions(time.monotonic), clock=time.time)
    clients = client_ca(args)
    _log_as_json()
    if args.cluster or args.complete:
        wants_live(args)
        if args.cert_secret or args.publish_ca or args.lease or args.webhook:
            raise UsageError("--cert-secret, --publish-ca, --lease and --webhook need a live cluster, not --cluster")
        files = load_state(args)
        if report_problems(files.problems):
            return UNUSABLE
        return asyncio.run(_serve(args, judge, FixedState(files.cluster), None, clients))
    access = credentials(args)
    live = LiveState(access, resources=resources_for(judge.config))
    return asyncio.run(_serve(args, judge, live, Writer(access, _namespace()), clients))


async def _serve(args: argparse.Namespace, judge: Judge, state: State, writer: Writer | None, clients: str) -> int:
    with tempfile.TemporaryDirectory(prefix="netadmit-") as scratch:
        folder = Path(args.cert_dir or scratch)
        service = Service(judge, state, client_names=args.client_name)
        background: dict[str, Background] = {}
        announce = None
        until_news = _UntilNews(state)
        if writer and args.publish_ca:
            secret = args.cert_secret
            ca = partial(ca_of_secret, writer, secret) if secret else partial(ca_of_folder, folder)
            published = PublishedCA(writer, args.publish_ca, ca)
            announce = published.publish
            service.awaited["the CA to be published"] = lambda: published.done
            background["certificates"] = partial(keep, "cannot publish the CA", announce, sleep=until_news)
        if writer and args.cert_secret:
            named = names(args.bind, args.dns_name)
            shared = SharedCertificate(writer, args.cert_secret, folder, named, announce=announce)
            announce = shared.confirm
            await achieve("cannot get the certificate", shared.fetch)
            background["certificates"] = partial(keep, "cannot tend the certificate", shared.tend, sleep=until_news)
        try:
            files = provide(folder, names(args.bind, args.dns_name), datetime.now(UTC))
            certificate = LiveCertificate(
                files.certificate,
                files.key,
                partial(server_tls, client_ca=clients),
                failed=service.metrics.certificate_reload_failures.inc,
                announce=announce,
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"--cert-dir {folder}: {getattr(error, 'strerror', '') or error}") from None
        service.metrics.certificate_expiry.set_function(certificate.expiry)
        service.awaited["a certificate that has not expired"] = lambda: certificate.expiry() > time.time()
        background["certificate"] = certificate.follow
        if isinstance(state, LiveState) and writer:
            background["state"] = partial(_follow, state)
            background |= Telling(service, state, writer, args.lease, args.webhook).background
        if judge.config.disclose is Disclosure.REQUESTER:
            background |= _rights(service, state, clients)
        if files.issued:
            _log.info("issued a certificate", extra={"fields": {"folder": str(folder), "ca": str(files.ca)}})
        listeners = Listeners(service, certificate.context)
        try:
            ports = await listeners.open(args.bind, args.port, args.metrics_port)
        except OSError as error:
            await listeners.close()
            raise UsageError(f"cannot listen on {args.bind}: {error.strerror or error}") from None
        fields = {"address": args.bind, "port": ports[0], "metricsPort": ports[1]}
        _log.info("listening", extra={"fields": fields})
        await _until_told(listeners, background, args.drain_seconds)
    return OK


def _rights(service: Service, state: State, clients: str) -> dict[str, Background]:
    """Lets the service know what those who ask may list; returns what is to be run for that."""
    if not isinstance(state, LiveState):
        _log.warning("disclose: requester needs a live cluster: nothing of other namespaces is named")
        return {}
    if not clients:
        _log.warning(
            "disclose: requester without --client-ca: whoever reaches the port can say to be anybody, "
            "and is told what they may list (docs/threat-model.md)"
        )
    metrics = service.metrics
    asking = AccessReviews(
        state.access,
        lambda outcome: metrics.access_reviews.labels(outcome).inc(),
        metrics.access_review_duration.observe,
    )
    service.rights = asking
    return {"access reviews": asking.run}


def client_ca(args: argparse.Namespace) -> str:
    """The content of ``--client-ca``; empty without.

    Raises:
        UsageError: it cannot be read or holds no certificate, or ``--client-name`` stands alone.
    """
    if not args.client_ca:
        if args.client_name:
            raise UsageError("--client-name needs --client-ca: a name that nobody vouches for proves nothing")
        return ""
    try:
        content = Path(args.client_ca).read_text("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=content)
    except (ssl.SSLError, ValueError):
        raise UsageError(f"--client-ca {args.client_ca}: holds no certificate in PEM") from None
    except OSError as error:
        raise UsageError(f"--client-ca {args.client_ca}: {error.strerror or error}") from None
    return content


async def _until_told(listeners: Listeners, background: Mapping[str, Background], drain_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[signal.Signals] = loop.create_future()

    def tell(number: signal.Signals) -> None:
        if not told.done():
            told.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, number)
    running = [asyncio.create_task(persist(name, work), name=name) for name, work in background.items()]
    try:
        received = await told
        _log.info("stopping", extra={"fields": {"signal": received.name}})
        await listeners.close(drain_seconds if received is signal.SIGTERM else 0.0)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def persist(
    name: str, work: Background, *, sleep: Callable[[float], Coroutine[None, None, object]] = asyncio.sleep
) -> None:
    """Does what is to be done in the background; what crashes is told of and begun anew: answers do not stop for it.

    Args:
        name: of the work, for the log.
        work: returns when there is no more to do.
        sleep: waits.
    """
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - whatever it is, it must not end without a word
            _log.exception("%s crashed in the background; it is begun anew in %d s", name, _AGAIN_SECONDS)
        else:
            return
        await sleep(_AGAIN_SECONDS)


class _UntilNews:
    """Waits, but only until a webhook configuration has changed: somebody may have taken the CA out of ours.

    What came since the last wait ended counts: it may have come after the configuration was looked at.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._since = float("-inf")

    async def __call__(self, seconds: float) -> None:
        """Waits for so many seconds, and one at least: another one who insists must not keep both of us busy."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        await asyncio.sleep(min(seconds, 1.0))
        left = until - clock()
        if left > 0 and not await self._state.wait_newer(self._since, [VALIDATING_WEBHOOKS], left):
            await asyncio.sleep(max(until - clock(), 0.0))  # nothing is followed: it did not wait
        self._since = clock()


async def _follow(state: LiveState) -> None:
    """Runs the watches, and says once when everything was read."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(state.run())
        await state.wait_synced()
        known = {status.kind: status.objects for status in state.status() if not status.reason}
        prepare(state.cluster)
        _log.info("synced", extra={"fields": {"objects": known, "unknown": state.unknown}})


def names(bind: str, more: list[str]) -> list[str]:
    """The names for an issued certificate: the Service's in this pod's namespace, this machine's, the given ones."""
    service = f"netadmit.{_namespace()}"
    local = [] if bind in {"", "0.0.0.0", "::"} else [bind]
    every = [f"{service}.svc", f"{service}.svc.cluster.local", service, "localhost", "127.0.0.1", "::1", *local, *more]
    return list(dict.fromkeys(every))


def _namespace() -> str:
    return os.environ.get("POD_NAMESPACE", "netadmit")


class _JSONFormatter(logging.Formatter):
    """One JSON object a line: safe whatever a name or a user agent holds.

    What every line has (``time``, ``level``, ``logger``, ``message``) no field of its own takes the place of.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry = {**entry, **getattr(record, "fields", {}), **entry}
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
