"""A Service whose numeric targetPort its pods do not declare, though they declare others."""

from collections.abc import Iterator

from webhook.backends import backends
from webhook.check import Check, Context, Example, Finding, Level, enumerate_some
from webhook.model.objects import Service


def run(ctx: Context) -> Iterator[Finding]:
    for i, port in enumerate(ctx.service.spec.ports):
        ctx.spend(4 + 8 * len(backends(ctx)))
        number = port.target_port or port.port
        if not isinstance(number, int):
            continue
        behind = [b for b in backends(ctx) if b.declared]
        if not behind or any(p.number == number for b in behind for p in b.declared):
            continue
        there = sorted({(p.number, p.protocol) for b in behind for p in b.declared})
        shown = enumerate_some((f"{n}" if protocol == "TCP" else f"{n}/{protocol}" for n, protocol in there), 4)
        who = f"{enumerate_some(map(str, behind), 1)} {'declares' if len(behind) == 1 else 'declare'}"
        path = f"spec.ports[{i}].{'targetPort' if port.target_port else 'port'}"
        message = f"{who} {shown}, not {number}"
        yield Finding(path, message, "check it listens", value=f"{number}/{port.protocol}")


_DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: api, ports: [{containerPort: 8080}, {containerPort: 9090}]}]}
"""
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: api, namespace: shop}}
spec: {{selector: {{app: api}}, ports: [{{{port}}}]}}
"""

CHECK = Check(
    id="target-port-not-declared",
    level=Level.NOTE,
    summary="a Service's targetPort is a number that its pods do not declare",
    rationale="What a container declares as its ports is documentation: a process may listen on others. But where some "
    "are declared and the one that the Service leads to is not, one of the two numbers is often wrong; without a "
    "targetPort it is the Service's own port.",
    remedy="Compare targetPort with the containerPorts; declare the port where it is right.",
    run=run,
    judges=(Service.kind,),
    bad=(
        Example(
            title="another number",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(port="port: 80, targetPort: 8000"),
            says="Deployment api declares 8080, 9090, not 8000; check it listens",
        ),
        Example(
            title="no targetPort: it is the port",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(port="port: 80"),
            says="declares 8080, 9090, not 80",
        ),
    ),
    good=(
        Example(title="declared", cluster=_DEPLOYMENT, object=_SERVICE.format(port="port: 80, targetPort: 8080")),
        Example(
            title="the pods declare nothing",
            cluster=_DEPLOYMENT.replace("ports: [{containerPort: 8080}, {containerPort: 9090}]", "ports: []"),
            object=_SERVICE.format(port="port: 80"),
        ),
    ),
)
