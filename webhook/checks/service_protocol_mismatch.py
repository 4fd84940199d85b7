"""A Service port whose number the pods declare under another protocol only."""

from collections.abc import Iterator

from webhook.backends import backends, headless
from webhook.check import Check, Context, Example, Finding, Level, enumerate_some
from webhook.model.objects import POD, WORKLOADS, Protocol, Service, ServicePort


def run(ctx: Context) -> Iterator[Finding]:
    spec = ctx.service.spec
    for i, port in enumerate(spec.ports):
        number = _number(port)
        ctx.spend(4 + 4 * len(backends(ctx)))
        if number is None:
            continue  # a name is looked up together with its protocol: target-port-unresolved
        declared = {p.protocol for b in backends(ctx) for p in b.declared if p.number == number}
        if not declared or port.protocol in declared or _also_led_to(ctx, number, declared):
            continue
        there = sorted(declared)
        who = enumerate_some((str(b) for b in backends(ctx) if any(p.number == number for p in b.declared)), 2)
        message = f"{who} has {number} as {' and '.join(there)}, not {port.protocol}"
        level = Level.NOTE if headless(spec) else Level.WARNING
        yield Finding(
            f"spec.ports[{i}].protocol", message, f"write protocol: {there[0]}", level, f"{number}/{port.protocol}"
        )


def _number(port: ServicePort) -> int | None:
    number = port.target_port or port.port
    return number if isinstance(number, int) else None


def _also_led_to(ctx: Context, number: int, protocols: set[Protocol]) -> bool:
    """Whether the Service, or another one of these pods, leads there under the declared protocol.

    Then both protocols are meant (DNS, HTTP/3), and a container port is only documentation. Load balancers long took
    one protocol each, so that the pair is often two Services.
    """
    services = [ctx.service, *(s for s in ctx.cluster.services_alike(ctx.service) if s.key != ctx.service.key)]
    ctx.spend(sum(len(s.spec.ports) for s in services))
    return any(_number(p) == number and p.protocol in protocols for s in services for p in s.spec.ports)


_DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: statsd, namespace: shop}
spec:
  template:
    metadata: {labels: {app: statsd}}
    spec: {containers: [{name: statsd, image: statsd, ports: [{containerPort: 8125, protocol: UDP}]}]}
"""
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: statsd, namespace: shop}}
spec: {{selector: {{app: statsd}}, ports: [{ports}]}}
"""

CHECK = Check(
    id="service-protocol-mismatch",
    level=Level.WARNING,
    summary="a Service port's protocol is not the one that its pods declare",
    rationale="A Service port is TCP unless it says otherwise. Where the pods declare its number for UDP only, what "
    "they listen for never arrives: clients' datagrams are sent to a port that the Service does not have.",
    remedy="Write the protocol that the containers declare, or list the port once for each protocol.",
    run=run,
    judges=(Service.kind,),
    rests_on=(POD, *WORKLOADS),
    bad=(
        Example(
            title="the default protocol before a UDP port",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(ports="{port: 8125}"),
            says="Deployment statsd has 8125 as UDP, not TCP; write protocol: UDP",
        ),
    ),
    good=(
        Example(
            title="the declared protocol",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(ports="{port: 8125, protocol: UDP}"),
        ),
        Example(
            title="both protocols are led there",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(ports="{port: 8125, protocol: UDP, name: udp}, {port: 8125, name: tcp}"),
        ),
        Example(
            title="both protocols, by two Services",
            cluster=_DEPLOYMENT
            + "---"
            + _SERVICE.format(ports="{port: 8125, protocol: UDP}").replace("name: statsd,", "name: statsd-udp,"),
            object=_SERVICE.format(ports="{port: 8125}"),
        ),
        Example(
            title="the pods declare another number",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(ports="{port: 80}"),
        ),
    ),
)
