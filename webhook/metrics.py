"""What the service counts, for Prometheus; labels are bounded: check, kind, operation, decision, never names."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from webhook.state.watch import KindStatus

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """One service's metrics, in a registry of its own, so that tests and the demo can have several.

    Args:
        status: tells how much of the cluster's state is known; asked whenever the metrics are read.
        checks: the ids of the checks that may crash: Prometheus sees no increase of a counter that begins with 1.
    """

    def __init__(self, status: Callable[[], Iterable[KindStatus]], checks: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._standing: set[tuple[str, str]] = set()
        self.reviews = Counter(
            "netadmit_admission_reviews",
            "Admission reviews answered; decision: allowed, warned, denied, or refused when the request cannot be read",
            ["kind", "operation", "decision"],
            registry=self.registry,
        )
        self.duration = Histogram(
            "netadmit_admission_review_duration_seconds",
            "Time from the whole request being read to the answer, waiting for newer state included",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.findings = Counter(
            "netadmit_findings", "Findings, and what was done about them", ["check", "action"], registry=self.registry
        )
        self.waived = Counter("netadmit_waived", "Findings silenced by a waiver", ["check"], registry=self.registry)
        self.crashes = Counter(
            "netadmit_check_crashes",
            "Checks that raised: the object was judged without them",
            ["check"],
            registry=self.registry,
        )
        for check in checks:
            self.crashes.labels(check)
        self.access_reviews = Counter(
            "netadmit_access_reviews",
            "Questions what a requester may list; outcome: cached, allowed, denied, failed, skipped (too many at once, "
            "or just after a failure)",
            ["outcome"],
            registry=self.registry,
        )
        self.access_review_duration = Histogram(
            "netadmit_access_review_duration_seconds",
            "Time that the API server took to answer such a question",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.standing = Gauge(
            "netadmit_audit_findings",
            "Findings that stand against what is in the cluster, once it has settled",
            ["check", "level"],
            registry=self.registry,
        )
        self.events = Counter(
            "netadmit_events",
            "Events; outcome: written, counted (there was one already), dropped (too many), failed (tries that did)",
            ["outcome"],
            registry=self.registry,
        )
        self.report_writes = Counter(
            "netadmit_report_writes",
            "Reports of namespaces; outcome: written, removed, failed",
            ["outcome"],
            registry=self.registry,
        )
        self.leader = Gauge(
            "netadmit_leader",
            "1 while this process holds the Lease: it alone tells of findings, in Events and reports",
            registry=self.registry,
        )
        self.certificate_expiry = Gauge(
            "netadmit_certificate_expiry_seconds",
            "When the certificate in use ends, in seconds since 1970; NaN without one",
            registry=self.registry,
        )
        self.certificate_expiry.set(math.nan)
        self.certificate_reload_failures = Counter(
            "netadmit_certificate_reload_failures",
            "Certificate files that were found not to be usable, each time they were; the former ones are served on",
            registry=self.registry,
        )
        self.registry.register(_StateCollector(status))

    def tell_standing(self, count: Mapping[tuple[str, str], int]) -> None:
        """Takes over how many findings of each check and level stand."""
        for check, level in self._standing.difference(count):
            self.standing.remove(check, level)
        for (check, level), number in count.items():
            self.standing.labels(check, level).set(number)
        self._standing = set(count)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _StateCollector(Collector):
    def __init__(self, status: Callable[[], Iterable[KindStatus]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        synced = GaugeMetricFamily(
            "netadmit_state_synced", "1 once a kind was read, or is known to be unreadable", labels=["kind"]
        )
        complete = GaugeMetricFamily(
            "netadmit_state_complete", "1 while everything of a kind is known", labels=["kind"]
        )
        objects = GaugeMetricFamily("netadmit_state_objects", "Objects held", labels=["kind"])
        age = GaugeMetricFamily(
            "netadmit_state_age_seconds", "Seconds since the API server last said anything of a kind", labels=["kind"]
        )
        restarts = CounterMetricFamily("netadmit_watch_restarts", "Lists and watches that failed", labels=["kind"])
        for status in self._status():
            synced.add_metric([status.kind], status.synced)
            complete.add_metric([status.kind], not status.reason)
            objects.add_metric([status.kind], status.objects)
            restarts.add_metric([status.kind], status.restarts)
            if status.age is not None:
                age.add_metric([status.kind], status.age)
        return [synced, complete, objects, age, restarts]
