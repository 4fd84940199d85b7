"""Wires what tells people, beside the webhook's answers, of denials and of findings: for `serve`."""

import secrets
import socket
from collections.abc import Callable, Coroutine

from webhook import config
from webhook.audit import Auditor, Identity
from webhook.events import Events
from webhook.kube import Writer
from webhook.lease import Elector
from webhook.model.objects import NetworkPolicy, Service
from webhook.model.review import Request
from webhook.policy_reports import PolicyReports
from webhook.server import Service as Webhook
from webhook.state.watch import LiveState
from webhook.verdict import Ruling, Verdict


class Telling:
    """The audit, Events and reports: of a denial tells who denied, of findings the holder of the Lease.

    Args:
        webhook: denies; its metrics count.
        state: the cluster.
        writer: writes.
        lease: the name of the Lease; without one, findings are in metrics and log alone.
        configuration: the webhook configuration that reports belong to.
    """

    def __init__(
        self, webhook: Webhook, state: LiveState, writer: Writer, lease: str | None, configuration: str | None
    ) -> None:
        settings, metrics = webhook.judge.config, webhook.metrics
        me = f"{socket.gethostname()}_{secrets.token_hex(4)}"  # the pod's name, and which of its processes
        self._state = state
        self._metrics = metrics
        self._auditor = Auditor(webhook.judge, state, self._judged)
        self._elector = Elector(writer, lease, me, self._elected) if lease else None
        self._events: Events | None = None
        if settings.events is config.Events.ON:
            self._events = Events(writer, me, lambda outcome: metrics.events.labels(outcome).inc())
            webhook.denied = self._denied
        self._reports: PolicyReports | None = None
        if self._elector is not None:
            self._reports = PolicyReports(
                writer,
                self._leading,
                lambda: self._auditor.caught_up,
                lambda outcome: metrics.report_writes.labels(outcome).inc(),
                on=settings.reports is config.Reports.AUTO,
                webhook=configuration or "",
            )
        metrics.leader.set_function(self._leading)

    @property
    def background(self) -> dict[str, Callable[[], Coroutine[None, None, object]]]:
        """What is to be run until the end, by name."""
        named = {"audit": self._auditor, "events": self._events, "lease": self._elector, "reports": self._reports}
        return {name: work.run for name, work in named.items() if work is not None}

    def _leading(self) -> bool:
        return self._elector is not None and self._elector.leading

    def _denied(self, request: Request, verdict: Verdict) -> None:
        if self._events is not None:
            # The uid that the API server has made up for a new object is never that of any.
            self._events.denied(request.old.metadata.uid if request.old else "", verdict.rulings)

    def _judged(self, identity: Identity, rulings: tuple[Ruling, ...]) -> None:
        self._metrics.tell_standing(self._auditor.count)
        if self._reports is not None:
            self._reports.changed((identity[0], *identity[1]), self._uid(identity), rulings)
        if self._leading():
            self._found(identity, rulings)

    def _elected(self, leading: bool) -> None:
        """Tells all that stands: the leader before may have gone without having done so."""
        for identity, rulings in self._auditor.standing.items() if leading else ():
            self._found(identity, rulings)

    def _found(self, identity: Identity, rulings: tuple[Ruling, ...]) -> None:
        if self._events is not None:
            self._events.found((identity[0], *identity[1]), self._uid(identity), rulings)

    def _uid(self, identity: Identity) -> str:
        record = self._state.cluster.get(*identity)
        return record.metadata.uid if isinstance(record, NetworkPolicy | Service) else ""
