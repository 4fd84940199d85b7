"""A number that none of the pods concerned declares."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level, enumerate_some
from webhook.concerned import PortEntry, fronts, port_entries
from webhook.model.objects import POD, WORKLOADS, NetworkPolicy


def run(ctx: Context) -> Iterator[Finding]:
    for entry in port_entries(ctx):
        port = entry.port
        bearers = entry.concerned.bearers
        # Ports need not be declared: whoever declares none may listen anywhere.
        if not isinstance(port, int) or not bearers or not all(b.ports for b in bearers):
            continue
        if entry.concerned.protocols(port) or any(port in f.numbers for f in fronts(ctx, entry.concerned)):
            continue
        yield Finding(
            f"{entry.path}.port", f"{entry.who} {_declared(ctx, entry)} declared, not {port}", value=entry.value
        )


def _declared(ctx: Context, entry: PortEntry) -> str:
    numbers = {p.number for b in entry.concerned.bearers for p in b.ports}
    shown = enumerate_some([str(number) for number in sorted(numbers)])
    return shown if entry.told(ctx) else "other ports"


_CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
spec: {containers: [{name: api, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
"""
_SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8081}]}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: {app}}}}}
  ingress: [{{ports: [{{port: {port}}}]}}]
"""

CHECK = Check(
    id="port-not-declared",
    level=Level.NOTE,
    summary="none of the pods concerned declares the port",
    rationale="A container may listen on ports that it does not declare, so this proves nothing. But pods that declare "
    "their ports, and not this one, often listen on another.",
    remedy="Compare with the containers' ports, and declare the port if the pods listen on it.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(POD, *WORKLOADS),
    bad=(
        Example(
            title="they declare another number",
            cluster=_CLUSTER,
            object=_POLICY.format(app="api", port=8081),
            says="its pod has 8080 declared, not 8081",
        ),
    ),
    good=(
        Example(title="they declare it", cluster=_CLUSTER, object=_POLICY.format(app="api", port=8080)),
        Example(title="they declare none at all", cluster=_CLUSTER, object=_POLICY.format(app="web", port=8080)),
        Example(
            title="a Service leads to it",
            cluster=_CLUSTER + _SERVICE,
            object=_POLICY.format(app="api", port=8081),
        ),
    ),
)
