"""A policy that takes every client from a Service: nobody who could reach its ready backends still can."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.losses import Losing, Losses, losses, path_of, routes_to
from webhook.model.objects import NETWORK_POLICY, POD, WORKLOADS, Direction, NetworkPolicy, Workload
from webhook.parties import Parties, describe_ports
from webhook.reach.ports import NO_PORTS, union
from webhook.removal import nothing_to_lose

_EVERYBODY = -1


def run(ctx: Context) -> Iterator[Finding]:
    if ctx.view is View.AUDIT:
        return
    found = losses(ctx)
    cut = [losing for losing in found.services if _cut(ctx, found, losing)]
    if not cut or nothing_to_lose(ctx):
        return
    alike: dict[tuple[Level, Direction, str, tuple[str, ...], bool], list[Losing]] = {}
    for losing in cut:
        # Of one that an Ingress or the API server uses another check may speak.
        used = any(not isinstance(r, Workload) for r in ctx.cluster.referrers_of(*losing.service.key))
        doubt = found.doubt(losing, _EVERYBODY)
        key = (_level(found, losing), losing.direction, doubt, losing.due_to(ctx), used)
        alike.setdefault(key, []).append(losing)
    for (level, direction, doubt, causes, _), every in alike.items():
        names = [losing.service.metadata.name for losing in every]
        which = f"Service{'s' if len(names) > 1 else ''} {enumerate_some(names)}"
        yield Finding(
            path_of(ctx.policy, direction),
            f"cuts every client off {which}{_on(every)}",
            "allow those it needs" if direction == "Ingress" else "allow the way to it",
            level,
            f"{direction} {','.join(names)}",
            means=doubt,
            causes=causes,
            lost=tuple(losing.lost for losing in every),
            detail=f"until now {_who(ctx, found, every[0])} could reach {_it(every)}",
        )


def _cut(ctx: Context, found: Losses, losing: Losing) -> bool:
    """Whether it had clients, and has none left; others that may come count as left."""
    if found.reached(losing, _EVERYBODY):
        return False
    if found.somebody_running(losing, _EVERYBODY):
        return True
    outside = found.change.graph.outside
    return (losing.exposed or bool(routes_to(ctx, losing.service))) and found.was_reached(losing, outside)


def _level(found: Losses, losing: Losing) -> Level:
    """A note where all who could reach it are pods of other namespaces, because nothing kept them out: any pod could.

    That is what "only from this namespace" is for, or what a policy does that is there before those it lets in.
    """
    level = found.level(losing, _EVERYBODY)
    if level is Level.NOTE or losing.exposed or found.were_restricted(losing):
        return level
    return level if found.somebody_running(losing, found.own_namespace) else Level.NOTE


def _on(every: list[Losing]) -> str:
    if len(every) > 1:
        return ""
    ports = NO_PORTS
    for _, targets in every[0].targets():
        ports = union(ports, targets)
    return f" on {describe_ports(ports)}"


def _it(every: list[Losing]) -> str:
    return "it" if len(every) == 1 else "the first"


def _who(ctx: Context, found: Losses, losing: Losing) -> str:
    """Some of those who could reach it: those of the own namespace, by name."""
    here = found.clients_before(losing, found.own_namespace)
    for cell, _ in losing.backends:
        here &= ~(1 << cell.number)
    graph = found.change.graph
    elsewhere = graph.selectable & ~found.own_namespace
    parts = [Parties(ctx, graph).who(here, 2)[0]] if here else []
    if found.was_reached(losing, elsewhere):
        parts.append("pods of other namespaces")
    elif not parts:
        parts.append("the outside")
    return " and ".join(parts)


_CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: api-0, namespace: shop, labels: {app: api}}
spec: {containers: [{name: api, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
status: {phase: Running, podIP: 10.0.0.2, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: http}]}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: {app}}}}}
  policyTypes: [{types}]
{rules}
"""
_NOBODY = "  ingress: [{from: [{podSelector: {matchLabels: {role: partner}}}]}]"
_WRONG_PORT = "  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 9000}]}]"
_WEB = "  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]"
_PORTS_FOR_WEB = _WEB.replace("}]}]", "}], ports: [{port: http}]}]")

_CALICO_FIRST = """
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: platform.web}
spec: {tier: platform, selector: app == 'web', types: [Egress], egress: [{action: Pass}]}
"""


def _policy(rules: str = "", name: str = "api", app: str = "api", types: str = "Ingress") -> str:
    return _POLICY.format(name=name, app=app, types=types, rules=rules)


CHECK = Check(
    id="cuts-service",
    level=Level.WARNING,
    summary="a Service loses every client",
    rationale="Policies act on the pods behind a Service, on their own ports. When no pod, and for what is exposed "
    "nothing outside, that could reach its ready endpoints before is let through any more, the Service is dead, though "
    "its endpoints are ready and its health checks pass: the kubelet is on the pods' own node, which policies always "
    "let in. All other policies count, and so do pods that templates will make.",
    remedy="Add a rule for the clients that it needs, on the target port. A policy that shall deny everything lists the "
    "direction and has no rule for it: about that nothing is said.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(NETWORK_POLICY, POD, *WORKLOADS),
    bad=(
        Example(
            title="a policy of Calico's lets somebody in, too: only noted",
            cluster=_CLUSTER
            + _CALICO_FIRST.replace("'web'", "'api'").replace("Egress", "Ingress").replace("egress", "ingress"),
            object=_policy(_WEB.replace("web", "api")),
            says="Calico GlobalNetworkPolicy platform.web may decide",
            level=Level.NOTE,
        ),
        Example(
            title="a policy of Calico's may have held back the only client before: only noted",
            cluster=_CLUSTER + _CALICO_FIRST,
            object=_policy(_WEB.replace("web", "api")),
            says="Calico GlobalNetworkPolicy platform.web may decide otherwise",
            level=Level.NOTE,
        ),
        Example(
            title="a policy of Calico's for another direction of the pods behind it",
            cluster=_CLUSTER + _CALICO_FIRST.replace("'web'", "'api'"),
            object=_policy(_NOBODY),
            says="cuts every client off Service api on TCP 8080; allow those it needs",
        ),
        Example(
            title="a rule that lets in nobody who is there",
            cluster=_CLUSTER,
            object=_policy(_NOBODY),
            says="cuts every client off Service api on TCP 8080; allow those it needs",
        ),
        Example(
            title="a rule for another port",
            cluster=_CLUSTER,
            object=_policy(_WRONG_PORT),
            says="cuts every client off Service api on TCP 8080",
        ),
        Example(
            title="the only client is no longer let out",
            cluster=_CLUSTER + "---" + _policy(_WEB),
            object=_policy("  egress: [{ports: [{port: 53, protocol: UDP}]}]", "web", "web", "Egress"),
            says="cuts every client off Service api on TCP 8080; allow the way to it",
        ),
        Example(
            title="an update that lets go of the last client",
            cluster=_CLUSTER,
            old=_policy(_WEB),
            object=_policy(_WEB.replace("app: web", "app: api")),
            says="(until now Pod/web-0 could reach it)",
        ),
        Example(
            title="deny all: stated, so only noted",
            cluster=_CLUSTER,
            object=_policy(),
            says="cuts every client off Service api",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="a client is let in", cluster=_CLUSTER, object=_policy(_PORTS_FOR_WEB)),
        Example(
            title="another policy lets one in",
            cluster=_CLUSTER + "---" + _policy(_WEB, "web"),
            object=_policy(_NOBODY),
        ),
        Example(
            title="nobody could reach it before",
            cluster=_CLUSTER + "---" + _policy("", "default-deny"),
            object=_policy(_NOBODY),
        ),
        Example(
            title="its clients are yet to come, and their template is there",
            cluster=_CLUSTER
            + """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: partner, namespace: shop}
spec: {template: {metadata: {labels: {role: partner}}}}
""",
            object=_policy(_NOBODY),
        ),
        Example(
            title="a policy that comes before its workload",
            cluster=_CLUSTER.replace("phase: Running", "phase: Pending").replace('"True"', '"False"'),
            object=_policy(_NOBODY),
        ),
    ),
)
