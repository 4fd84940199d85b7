"""Fields of a Service that nothing reads: what DNS alone serves has no selector and translates no port."""

from collections.abc import Iterator
from typing import Final

from webhook.backends import backends, headless, served_by_proxy
from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.model.objects import Service, ServicePort

_IN_DNS: Final = "the type is an alias in DNS: nothing else of it is read"


def run(ctx: Context) -> Iterator[Finding]:
    spec = ctx.service.spec
    if spec.type == "ExternalName":
        yield from _alias(ctx)
    elif headless(spec):
        for i, port in enumerate(spec.ports):
            ctx.spend(4)
            if numbers := _other_numbers(ctx, port):
                meant = enumerate_some(map(str, numbers))
                yield Finding(
                    f"spec.ports[{i}].targetPort",
                    f"headless: clients must ask for {meant}",
                    f"write port: {meant}" if len(numbers) == 1 else "",
                    value=f"{port.port}:{port.target_port}",
                    detail=f"its name leads to the pods themselves: {port.port} is not translated",
                )


def _alias(ctx: Context) -> Iterator[Finding]:
    spec = ctx.service.spec
    if spec.selector:
        selector = ctx.compile_labels(spec.selector)
        message = f"ExternalName ignores its selector {selector}"
        yield Finding("spec.selector", message, "drop it", value=str(selector), detail=_IN_DNS)
    # Proxies that an Ingress or a route configures do read the ports.
    if not spec.ports or served_by_proxy(ctx):
        return
    ctx.spend(len(spec.ports))
    translated = next((i for i, p in enumerate(spec.ports) if p.target_port not in (None, p.port)), None)
    if translated is not None:
        port = spec.ports[translated]
        path, means = f"spec.ports[{translated}].targetPort", f"{port.port} does not lead to {port.target_port}"
        message, value = "ExternalName translates no port", f"{port.port}:{port.target_port}"
        yield Finding(path, message, "drop targetPort", value=value, means=means, detail=_IN_DNS)
        return
    message, means = "ExternalName ignores its ports", "clients get the one they ask for"
    value = ",".join(str(p.port) for p in spec.ports[:8])
    yield Finding("spec.ports", message, value=value, means=means, detail=_IN_DNS)


def _other_numbers(ctx: Context, port: ServicePort) -> list[int]:
    """The ports of the pods, where they are known and none of them is the Service's."""
    target = port.target_port or port.port
    numbers = {target} if isinstance(target, int) else set[int]()
    if isinstance(target, str):
        behind = backends(ctx)
        ctx.spend(4 * len(behind))
        numbers = {number for backend in behind for number in backend.numbers(target, port.protocol)}
    return [] if port.port in numbers else sorted(numbers)


_ALIAS = """
apiVersion: v1
kind: Service
metadata: {{name: db, namespace: shop}}
spec: {{type: ExternalName, externalName: db.example.com{more}}}
"""
_HEADLESS = """
apiVersion: v1
kind: Service
metadata: {{name: db, namespace: shop}}
spec: {{clusterIP: None, selector: {{app: db}}, ports: [{{{port}}}]}}
"""
_PODS = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, ports: [{name: postgres, containerPort: 5432}]}]}
"""
_INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: db, namespace: shop}
spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: db, port: {number: 443}}}}]}}]}
"""

CHECK = Check(
    id="external-name-fields-ignored",
    level=Level.NOTE,
    summary="a selector, ports or a targetPort that nothing reads, because DNS alone serves this Service",
    rationale="An ExternalName Service is a CNAME record and nothing else: no endpoints are made of its selector "
    "(endpointslice_controller.go syncService), and no port is known to DNS, let alone translated. A headless Service "
    "gives its clients the addresses of the pods: they connect to the port that they ask for, which must be the pods' "
    "own, and targetPort only tells those who read EndpointSlices or SRV records. The API server accepts all of it. "
    "Ingress controllers, gateways and meshes may read the ports of an ExternalName.",
    remedy="On an ExternalName, drop selector and ports; on a headless Service write the port of the pods as port.",
    run=run,
    judges=(Service.kind,),
    bad=(
        Example(
            title="an ExternalName with a selector",
            object=_ALIAS.format(more=", selector: {app: db}"),
            says="ExternalName ignores its selector app=db; drop it",
        ),
        Example(
            title="an ExternalName that shall translate a port",
            object=_ALIAS.format(more=", ports: [{port: 80, targetPort: 8080}]"),
            says="ExternalName translates no port: 80 does not lead to 8080; drop targetPort",
        ),
        Example(
            title="an ExternalName with ports",
            object=_ALIAS.format(more=", ports: [{port: 5432}]"),
            view=View.CHECK,
            says="ignores its ports",
        ),
        Example(
            title="a headless Service that shall translate a port",
            object=_HEADLESS.format(port="port: 80, targetPort: 5432"),
            says="headless: clients must ask for 5432; write port: 5432",
        ),
        Example(
            title="the same by the port's name",
            cluster=_PODS,
            object=_HEADLESS.format(port="port: 80, targetPort: postgres"),
            says="headless: clients must ask for 5432; write port: 5432 (its name leads to the pods themselves: 80 is not ",
        ),
    ),
    good=(
        Example(title="an alias and nothing else", object=_ALIAS.format(more="")),
        Example(
            title="an Ingress needs the port", cluster=_INGRESS, object=_ALIAS.format(more=", ports: [{port: 443}]")
        ),
        Example(
            title="a headless Service with the port of its pods, by name",
            cluster=_PODS,
            object=_HEADLESS.format(port="port: 5432, targetPort: postgres"),
        ),
        Example(
            title="a Service with an address translates",
            cluster=_PODS,
            object=_HEADLESS.format(port="port: 80, targetPort: 5432").replace("clusterIP: None, ", ""),
        ),
    ),
)
