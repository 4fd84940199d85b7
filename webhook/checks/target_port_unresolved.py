"""A Service whose named targetPort none of the containers behind it has."""

from collections.abc import Iterator, Sequence

from webhook.backends import Backend, backends, find_port, headless
from webhook.check import Check, Context, Example, Finding, Level, View, count, enumerate_some
from webhook.evidence import comes_before_its_pods, is_slip
from webhook.model.objects import POD, WORKLOADS, Protocol, Service, ServicePort
from webhook.model.selectors import nearest


def run(ctx: Context) -> Iterator[Finding]:
    ports = ctx.service.spec.ports
    for i, port in enumerate(ports):
        ctx.spend()
        # A number is used as it is, declared or not; digits in quotes the API server refuses.
        if isinstance(port.target_port, str) and not port.target_port.isdigit():
            yield from _judge(ctx, f"spec.ports[{i}].targetPort", port, port.target_port)


def _judge(ctx: Context, path: str, port: ServicePort, name: str) -> Iterator[Finding]:
    protocol = port.protocol
    value = f"{name}/{protocol}"
    behind = backends(ctx)
    ctx.spend(4 * sum(1 + len(b.members) for b in behind))
    lacking = [b for b in behind if all(find_port(m, name, protocol) is None for m in b.members)]
    partly = [b for b in behind if b not in lacking and any(find_port(m, name, protocol) is None for m in b.members)]
    if len(lacking) < len(behind):
        ctx.spend(2 * len(lacking) * len(ctx.service.spec.ports))
        # Whoever has the port is served. A Job, or a workload that serves another port of this Service by its name,
        # is left out of this one as it should be.
        harmless = [b for b in lacking if b.passing or _serves_another(b, ctx.service.spec.ports, port)]
        lacking = [b for b in lacking if b not in harmless]
        partly += harmless
    if lacking:
        seen, remedy, certain = _instead(lacking, port, name)
        what = f"{enumerate_some(map(str, lacking), 2)} {'has' if len(lacking) == 1 else 'have'}"
        outcome = "no endpoints" if len(lacking) == len(behind) else "no traffic to it"
        early = comes_before_its_pods(ctx, said_before=_said_before(ctx, port)) and not (certain and ctx.old is None)
        # A headless Service leads to the pods all the same; only SRV records and what reads the port go without.
        level = Level.NOTE if early or headless(ctx.service.spec) else Level.WARNING
        seen = f"{what} {name} as {seen}, not {protocol}" if seen else f"{what} no {protocol} port {name}"
        yield Finding(path, seen, remedy, level, value, means=outcome)
    elif partly:
        pods = [p for b in partly for p in b.pods]
        without = sum(find_port(p, name, protocol) is None for p in pods)
        who = enumerate_some(map(str, partly), 2)
        what = f"{without} of {count(len(pods), 'pod')} of {who}" if without else f"the template of {who}"
        message = f"{what} {'has' if without < 2 else 'have'} no {protocol} port {name}"
        means = "no traffic there, fine in a rollout"
        yield Finding(path, message, level=Level.NOTE, value=value, means=means)


def _said_before(ctx: Context, port: ServicePort) -> bool:
    """Whether the Service had this port before, of the same pods."""
    if not isinstance(ctx.old, Service) or ctx.old.spec.selector != ctx.service.spec.selector:
        return False
    ctx.spend(len(ctx.old.spec.ports))
    return any((p.target_port, p.protocol) == (port.target_port, port.protocol) for p in ctx.old.spec.ports)


def _serves_another(backend: Backend, ports: Sequence[ServicePort], judged: ServicePort) -> bool:
    return any(
        isinstance(port.target_port, str)
        and port is not judged
        and port.target_port != judged.target_port
        and backend.numbers(port.target_port, port.protocol)
        for port in ports
    )


def _instead(lacking: Sequence[Backend], port: ServicePort, name: str) -> tuple[str, str, bool]:
    """What is there in its place, as a clause; what to write; whether that speaks for a slip of the pen."""
    declared = frozenset[tuple[int, str, Protocol]].union(
        *(frozenset((p.number, p.name, p.protocol) for p in b.declared) for b in lacking)
    )
    if other := sorted({protocol for _, named, protocol in declared if named == name}):
        return " and ".join(other), f"write protocol: {other[0]}", True
    fitting = sorted((named, number) for number, named, protocol in declared if protocol == port.protocol)
    if close := nearest(name, (named for named, _ in fitting if named)):
        return "", f"write targetPort: {close}", is_slip(name, close)
    if not fitting:
        return "", "write the number", False
    same = [(named, number) for named, number in fitting if number == port.port]
    if len(fitting) == 1 or len(same) == 1:
        named, number = (same or fitting)[0]
        return "", f"write targetPort: {named or number}", False
    there = enumerate_some((named or str(number) for named, number in fitting), 4)
    return "", f"write one of {there}", False


_DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: api, ports: [{name: web, containerPort: 8080}, {name: dns, containerPort: 5353, protocol: UDP}]}]}
"""
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: api, namespace: shop}}
spec: {{selector: {{app: api}}, ports: [{{port: 80, {port}}}]}}
"""
_ROLLOUT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: api, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: api-6d4cf56db6-x7k2p
  namespace: shop
  labels: {app: api, pod-template-hash: 6d4cf56db6}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: api-6d4cf56db6, uid: "1", controller: true}]
spec: {containers: [{name: api, image: api, ports: [{name: web, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.0.0.7}
"""

CHECK = Check(
    id="target-port-unresolved",
    level=Level.WARNING,
    summary="a Service's named targetPort stands for no port of its pods",
    rationale="A targetPort that is a name is looked up in each pod: the first container port of that name and that "
    "protocol, of containers, then of sidecars (k8s.io/endpointslice utils.go FindPort). A pod without one is silently "
    "left out, so that the port has no endpoint there and connections are refused. A number is used as it is, whatever "
    "the containers declare. While Helm upgrades a release, a port that is new in the Service is a note: the workloads "
    "come last.",
    remedy="Write the name that the container gives its port, under the same protocol, or its number.",
    run=run,
    judges=(Service.kind,),
    rests_on=(POD, *WORKLOADS),
    bad=(
        Example(
            title="another name",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(port="targetPort: http"),
            says="Deployment api has no TCP port http: no endpoints; write targetPort: web",
        ),
        Example(
            title="a misspelt name",
            cluster=_DEPLOYMENT.replace("name: web", "name: metrics"),
            object=_SERVICE.format(port="targetPort: metrcs"),
            says="write targetPort: metrics",
        ),
        Example(
            title="the name is there under another protocol",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(port="targetPort: dns"),
            says="Deployment api has dns as UDP, not TCP: no endpoints; write protocol: UDP",
        ),
        Example(
            title="the containers declare nothing",
            cluster=_DEPLOYMENT.replace(
                "ports: [{name: web, containerPort: 8080}, {name: dns, containerPort: 5353, protocol: UDP}]",
                "ports: []",
            ),
            object=_SERVICE.format(port="targetPort: http"),
            view=View.CHECK,
            says="no endpoints; write the number",
        ),
        Example(
            title="pods of one workload differ, as in a rollout: a note",
            cluster=_ROLLOUT,
            object=_SERVICE.format(port="targetPort: http"),
            says="1 of 1 pod of Deployment api has no TCP port http",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="by name", cluster=_DEPLOYMENT, object=_SERVICE.format(port="targetPort: web")),
        Example(
            title="by name, over UDP",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(port="targetPort: dns, protocol: UDP"),
        ),
        Example(
            title="the name is a sidecar's",
            cluster="""
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  template:
    metadata: {labels: {app: api}}
    spec:
      initContainers: [{name: proxy, image: proxy, restartPolicy: Always, ports: [{name: http, containerPort: 8080}]}]
      containers: [{name: api, image: api}]
""",
            object=_SERVICE.format(port="targetPort: http"),
        ),
        Example(
            title="a number needs no declaration",
            cluster=_DEPLOYMENT,
            object=_SERVICE.format(port="targetPort: 9999"),
        ),
        Example(
            title="an old ReplicaSet's pods during a rollout",
            cluster=_ROLLOUT,
            object=_SERVICE.format(port="targetPort: http"),
        ),
    ),
)
