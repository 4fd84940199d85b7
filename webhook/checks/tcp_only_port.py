"""A port whose protocol was left to the default, TCP, where the traffic is UDP or SCTP."""

from collections.abc import Iterator
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.concerned import PortEntry, admitted_otherwise, port_entries
from webhook.model.manifest import parse_path, value_at
from webhook.model.objects import POD, WORKLOADS, NetworkPolicy

_DNS: Final = 53


def run(ctx: Context) -> Iterator[Finding]:
    for entry in port_entries(ctx):
        port = entry.port
        if entry.protocol != "TCP" or port is None or _written(ctx, entry):
            continue
        declared = entry.concerned.protocols(port)
        if "TCP" in declared:
            # They do take TCP there: then only DNS lacks something, where they take both.
            if port != _DNS or "UDP" not in declared:
                continue
        elif port != _DNS and not (declared and all(b.declares(port) for b in entry.concerned.bearers)):
            continue
        # Whoever admits the other protocol, to whomever, has thought of it.
        if admitted_otherwise(ctx, entry, port, declared - {"TCP"} or {"UDP"}, whomever=port == _DNS):
            continue
        yield _finding(ctx, entry, port, sorted(declared - {"TCP"}))


def _written(ctx: Context, entry: PortEntry) -> bool:
    """Whether the text says TCP: of an object that the API server sends nobody knows, it fills the default in."""
    return ctx.manifest is not None and bool(value_at(ctx.manifest.data, (*parse_path(entry.path), "protocol")))


def _finding(ctx: Context, entry: PortEntry, port: int | str, others: list[str]) -> Finding:
    other = " and ".join(others)
    if port == _DNS:
        seen, means = "port 53 without protocol is TCP only", "DNS asks over UDP"
        remedy = "add 53 with UDP"
    elif entry.told(ctx):
        seen, means = f"port {port} without protocol is TCP", f"{entry.who} {other}"
        remedy = f"write protocol: {other}"
    else:
        seen, means = f"port {port} without protocol is TCP", f"{entry.who} it, but not as TCP"
        remedy = "write its protocol"
    return Finding(f"{entry.path}.protocol", seen, remedy, value=entry.value, means=means)


_CLUSTER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: statsd, namespace: ops}
spec:
  template:
    metadata: {labels: {app: statsd}}
    spec: {containers: [{name: statsd, ports: [{name: statsd, containerPort: 8125, protocol: UDP}, {containerPort: 9102}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: tcp-resolver, namespace: ops, labels: {app: tcp-resolver}}
spec: {containers: [{name: dns, ports: [{containerPort: 53}]}]}
"""
_EGRESS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: dns, namespace: ops}}
spec:
  podSelector: {{}}
  policyTypes: [Egress]
  egress: [{{ports: [{ports}]}}]
"""
_INGRESS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: statsd, namespace: ops}}
spec:
  podSelector: {{matchLabels: {{app: {app}}}}}
  ingress: [{{from: [{{podSelector: {{}}}}], ports: [{ports}]}}]
"""
_ALLOW_DNS = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-dns, namespace: ops}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}]}]
"""

CHECK = Check(
    id="tcp-only-port",
    level=Level.WARNING,
    summary="a port without protocol is TCP only, and the traffic is UDP or SCTP",
    rationale="An entry of ports without protocol means TCP, not every protocol. So `- port: 53` lets DNS time out: "
    "resolvers ask over UDP and fall back to TCP for large answers only. The same happens to every port that the pods "
    "declare as UDP or SCTP.",
    remedy="Write the protocol; for DNS list port 53 twice, with UDP and with TCP.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(POD, *WORKLOADS),
    bad=(
        Example(
            title="DNS without protocol",
            cluster=_CLUSTER,
            object=_EGRESS.format(ports="{port: 53}"),
            says="port 53 without protocol is TCP only: DNS asks over UDP; add 53 with UDP",
        ),
        Example(
            title="a port that the pods declare as UDP",
            cluster=_CLUSTER,
            object=_INGRESS.format(app="statsd", ports="{port: 8125}"),
            says="port 8125 without protocol is TCP: its pod template has UDP; write protocol: UDP",
        ),
        Example(
            title="the same by name",
            cluster=_CLUSTER,
            object=_INGRESS.format(app="statsd", ports="{port: statsd}"),
            says="port statsd without protocol is TCP: its pod template has UDP",
        ),
    ),
    good=(
        Example(
            title="DNS over both",
            cluster=_CLUSTER,
            object=_EGRESS.format(ports="{port: 53}, {port: 53, protocol: UDP}"),
        ),
        Example(
            title="every UDP port is open anyway",
            cluster=_CLUSTER,
            object=_EGRESS.format(ports="{port: 53}, {protocol: UDP}"),
        ),
        Example(
            title="another policy of the same pods lets UDP through",
            cluster=_CLUSTER + _ALLOW_DNS,
            object=_EGRESS.format(ports="{port: 53}").replace("name: dns", "name: dns-tcp"),
        ),
        Example(
            title="the pods speak DNS over TCP only",
            cluster=_CLUSTER,
            object=_INGRESS.format(app="tcp-resolver", ports="{port: 53}"),
        ),
        Example(
            title="they declare it as TCP",
            cluster=_CLUSTER,
            object=_INGRESS.format(app="statsd", ports="{port: 9102}"),
        ),
        Example(
            title="the text says TCP",
            cluster=_CLUSTER,
            object=_EGRESS.format(ports="{port: 53, protocol: TCP}"),
            view=View.CHECK,
        ),
    ),
)
