"""A port's number under a protocol that the pods concerned do not speak there."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level
from webhook.concerned import admitted_otherwise, port_entries
from webhook.model.objects import POD, WORKLOADS, NetworkPolicy


def run(ctx: Context) -> Iterator[Finding]:
    for entry in port_entries(ctx):
        port = entry.port
        if not isinstance(port, int):  # a name under another protocol is named-port-unresolved's to tell
            continue
        protocols = entry.concerned.protocols(port)
        # Who admits the right protocol as well lists several on purpose.
        if not protocols or entry.protocol in protocols or admitted_otherwise(ctx, entry, port, protocols):
            continue
        declaring = [b for b in entry.concerned.bearers if b.declares(port)]
        other = " and ".join(sorted(protocols))
        if len(declaring) < len(entry.concerned.bearers):
            # What the others listen on nobody knows: ports need not be declared.
            seen = f"{entry.some(ctx, declaring)} {port} as {other}, not {entry.protocol}"
            level, means = Level.NOTE, ""
        else:
            seen = f"{entry.who} {port} as {other}, not {entry.protocol}"
            level, means = Level.WARNING, entry.effect
        remedy = f"write protocol: {other}"
        if not entry.told(ctx):
            seen, remedy = f"{entry.who} {port}, but not as {entry.protocol}", "write its protocol"
        yield Finding(f"{entry.path}.protocol", seen, remedy, level, entry.value, means=means)


_CLUSTER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: syslog, namespace: ops}
spec:
  template:
    metadata: {labels: {app: syslog}}
    spec: {containers: [{name: syslog, ports: [{containerPort: 514, protocol: UDP}, {containerPort: 6514}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: ops, labels: {app: web}}
spec: {containers: [{name: web}]}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: syslog, namespace: ops}}
spec:
  podSelector: {selector}
  ingress: [{{ports: [{ports}]}}]
"""


def _policy(ports: str, selector: str = "{matchLabels: {app: syslog}}") -> str:
    return _POLICY.format(ports=ports, selector=selector)


CHECK = Check(
    id="protocol-mismatch",
    level=Level.WARNING,
    summary="the pods concerned declare the port under another protocol only",
    rationale="A port entry admits one protocol. When the pods say in their container ports that they speak UDP there, a "
    "TCP entry admits nothing that they answer, and the traffic that was meant stays out. What is left to the default, "
    "TCP, is tcp-only-port's to tell.",
    remedy="Write the protocol that the pods speak, or list both.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(POD, *WORKLOADS),
    bad=(
        Example(
            title="UDP where the pods speak TCP",
            cluster=_CLUSTER,
            object=_policy("{port: 6514, protocol: UDP}"),
            says="its pod template has 6514 as TCP, not UDP: lets nothing in; write protocol: TCP",
        ),
        Example(
            title="only some of the pods declare it: a note",
            cluster=_CLUSTER,
            object=_policy("{port: 6514, protocol: UDP}", "{}"),
            says="Deployment/syslog has 6514 as TCP, not UDP",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="as they declare it",
            cluster=_CLUSTER,
            object=_policy("{port: 514, protocol: UDP}, {port: 6514}"),
        ),
        Example(
            title="both protocols are listed",
            cluster=_CLUSTER,
            object=_policy("{port: 6514, protocol: UDP}, {port: 6514, protocol: TCP}"),
        ),
        Example(
            title="they do not declare the number at all",
            cluster=_CLUSTER,
            object=_policy("{port: 7000, protocol: UDP}"),
        ),
    ),
)
