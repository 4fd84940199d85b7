"""A policy that cuts an Ingress or HTTPRoute off its backend: its controller no longer reaches the Service's pods."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from webhook.check import Check, Context, Example, Finding, Level, View, count, enumerate_some
from webhook.ingress_controllers import Controller, Controllers, may_run_in, where
from webhook.losses import Losing, Losses, losses, path_of, routes_to
from webhook.model.objects import (
    HTTP_ROUTE,
    INGRESS,
    NETWORK_POLICY,
    POD,
    SERVICE,
    Direction,
    HTTPRoute,
    Ingress,
    NetworkPolicy,
)
from webhook.model.objects import Service as ServiceRecord
from webhook.removal import nothing_to_lose

_MOST_ELSEWHERE: Final = 500
"""Ingresses of other namespaces that are looked at when their controller's own egress changes."""


class _Cut(Struct, frozen=True):
    """One route that loses its backend.

    Args:
        route: the route.
        losing: the backend.
        controller: who serves it; None where that is not known.
        level: how sure it is.
    """

    route: Ingress | HTTPRoute
    losing: Losing
    controller: Controller | None
    level: Level


def run(ctx: Context) -> Iterator[Finding]:
    if ctx.view is View.AUDIT:
        return
    found = losses(ctx)
    edge = may_run_in(ctx, ctx.namespace)
    if not found.services and not edge:
        return
    controllers = Controllers(ctx, found.change.graph)
    cut = [c for losing in found.services for c in _cuts(ctx, found, controllers, losing)]
    if edge and found.takes_from_clients:
        cut += _elsewhere(ctx, found, controllers)
    if not cut or nothing_to_lose(ctx):
        return
    alike: dict[tuple[str, Level, Direction, str, tuple[str, ...]], list[_Cut]] = {}
    for each in cut:
        sources = each.controller.sources if each.controller else _unknown_sources(found)
        level = min(each.level, found.level(each.losing, sources))
        who = where(ctx, each.controller) if each.controller else ""
        doubt, causes = found.doubt(each.losing, sources), each.losing.due_to(ctx)
        alike.setdefault((who, level, each.losing.direction, doubt, causes), []).append(each)
    for (who, level, direction, doubt, causes), every in alike.items():
        routes = _routes(ctx, [c.route for c in every])
        yield Finding(
            path_of(ctx.policy, direction),
            f"{'cuts' if who else 'may cut'} {routes} off {_services(every)}",
            _remedy(ctx, every[0].controller, direction),
            level,
            f"{direction} {','.join(sorted({c.losing.service.metadata.name for c in every}))}",
            means=doubt or (_loss(who, direction) if who else "who serves it is not known"),
            causes=causes,
            lost=tuple(dict.fromkeys(c.losing.lost for c in every)),
        )


def _cuts(ctx: Context, found: Losses, controllers: Controllers, losing: Losing) -> Iterator[_Cut]:
    for route in routes_to(ctx, losing.service):
        ctx.spend(4)
        controller = controllers.of(route) if isinstance(route, Ingress) else None
        ports = set(_ports(route, losing.service))
        if controller is None:
            if any(_loses_all(found, losing, _unknown_sources(found), port) for port in ports):
                yield _Cut(route, losing, None, Level.NOTE)
            continue
        at_home = any(p.node and p.node in controller.nodes for _, p in losing.backends)
        if not at_home and any(_loses_all(found, losing, controller.sources, port) for port in ports):
            # Load balancers reach pods themselves, or through a node: then a pod's own node always gets through.
            sure = not controller.outside or losing.service.spec.type == "ClusterIP"
            yield _Cut(route, losing, controller, Level.WARNING if sure else Level.NOTE)


def _loses_all(found: Losses, losing: Losing, sources: int, port: int | str | None) -> bool:
    return not found.reached(losing, sources, port) and found.was_reached(losing, sources, port)


def _unknown_sources(found: Losses) -> int:
    """Where a controller's traffic may come from: other namespaces, nodes, the outside."""
    return found.change.graph.everyone & ~found.own_namespace


def _ports(route: Ingress | HTTPRoute, service: ServiceRecord) -> Iterable[int | str | None]:
    if isinstance(route, Ingress):
        return (port for name, port in route.backends if name == service.metadata.name)
    return (backend.port for backend in route.backends if backend.key == service.key)


def _elsewhere(ctx: Context, found: Losses, controllers: Controllers) -> Iterator[_Cut]:
    """What controllers in the policy's namespace may no longer reach in others."""
    looked = 0
    ctx.spend(len(ctx.cluster.keys(INGRESS)))
    for ingress in ctx.cluster.ingresses:
        controller = controllers.of(ingress)
        if controller is None or ingress.namespace == ctx.namespace or ctx.namespace not in controller.namespaces:
            continue
        looked += 1
        if looked > _MOST_ELSEWHERE:
            ctx.unknown.add(f"ingresses: beyond {_MOST_ELSEWHERE}, whether they lose their backends was not judged")
            return
        for name in ingress.services:
            service = ctx.cluster.get(SERVICE, (ingress.namespace, name))
            losing = found.losing(service) if isinstance(service, ServiceRecord) else None
            if losing is None:
                continue
            at_home = any(p.node and p.node in controller.nodes for _, p in losing.backends)
            ports = [port for backend, port in ingress.backends if backend == name]
            if not at_home and any(_loses_all(found, losing, controller.sources, port) for port in ports):
                yield _Cut(ingress, losing, controller, Level.WARNING)


def _loss(who: str, direction: Direction) -> str:
    return f"{who} is let in no more" if direction == "Ingress" else f"{who} is let out to it no more"


def _remedy(ctx: Context, controller: Controller | None, direction: Direction) -> str:
    """``let in namespace ingress-nginx``, as far as may be told."""
    if controller is None:
        return "let in its controller"
    if direction == "Egress":
        return "allow it"
    (namespace,) = controller.namespaces if len(controller.namespaces) == 1 else ("",)
    if controller.outside or not namespace or not ctx.may_name(POD, namespace):
        return f"let in {controller.name}"
    return f"let in namespace {namespace}"


def _routes(ctx: Context, routes: Sequence[Ingress | HTTPRoute]) -> str:
    """``Ingress web``; of other namespaces as far as may be told."""
    kinds = {"Ingress" if isinstance(r, Ingress) else "HTTPRoute" for r in routes}
    kind = kinds.pop() if len(kinds) == 1 else "route"
    every = {(r.namespace, r.name) for r in routes}
    namespaces = {namespace for namespace, _ in every}
    noun = kind if len(every) == 1 else "Ingresses" if kind == "Ingress" else f"{kind}s"
    of_kinds = {INGRESS if isinstance(r, Ingress) else HTTP_ROUTE for r in routes}
    if not ctx.may_name_all((of, namespace) for of in of_kinds for namespace in namespaces):
        return f"{count(len(every), kind, noun)} of {ctx.name_namespaces(namespaces, *of_kinds)}"
    names = sorted(name if namespace == ctx.namespace else f"{namespace}/{name}" for namespace, name in every)
    return f"{noun} {enumerate_some(names, 2)}"


def _services(every: Sequence[_Cut]) -> str:
    """``Service api``: that of a route of another namespace goes without its name, as the route may."""
    names = sorted({c.losing.service.metadata.name for c in every})
    own = len({c.losing.service.metadata.namespace for c in every} | {c.route.namespace for c in every}) == 1
    if len(every) == 1 and own and every[0].losing.direction == "Ingress":
        return f"Service {names[0]}"
    return "its Service" if len(names) == 1 and len(every) == 1 else "their Services"


_SHOP = """
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: ClusterIP, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  ingressClassName: public
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
"""
_CLASS = """
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: public}
spec: {controller: CONTROLLER}
"""
_NGINX = (
    _SHOP
    + _CLASS.replace("CONTROLLER", "k8s.io/ingress-nginx")
    + """
---
apiVersion: v1
kind: Pod
metadata:
  name: controller-0
  namespace: ingress-nginx
  labels: {app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}
status: {phase: Running, podIP: 10.0.1.1}
---
apiVersion: v1
kind: Namespace
metadata: {name: ingress-nginx, labels: {role: edge}}
"""
)
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [FROM]}]
"""
_SAME_NAMESPACE = _POLICY.replace("FROM", "{podSelector: {}}")
_DENY_ALL = _POLICY.replace("  ingress: [{from: [FROM]}]", "  policyTypes: [Ingress]")
_ROUTE = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec: {rules: [{backendRefs: [{name: web, port: 80}]}]}
"""
_CONTROLLERS_EGRESS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: controller, namespace: ingress-nginx}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{ports: [{port: 53, protocol: UDP}]}]
"""

CHECK = Check(
    id="cuts-ingress-backend",
    level=Level.WARNING,
    summary="an Ingress or HTTPRoute loses the way from its controller to its backend",
    rationale="A policy that lets in the pods of the own namespace is soon written, and the traffic from outside comes "
    "from the pods of the Ingress controller, which run in another: browsers get 502 or 504 from then on. The "
    "controller is found by the IngressClass and by the labels, images and ServiceAccounts of the controllers in wide "
    "use; load balancers of clouds come from outside. Where it is not found, and for routes of the Gateway API, it is a "
    "note.",
    remedy="Add a rule for the controller's namespace, on the target port of the Service.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(NETWORK_POLICY, POD),
    bad=(
        Example(
            title="a policy of Antrea's lets the controller in, it may be: only noted",
            cluster=_NGINX
            + """
---
apiVersion: crd.antrea.io/v1beta1
kind: NetworkPolicy
metadata: {name: ingress, namespace: shop}
spec: {priority: 5, appliedTo: [{podSelector: {}}], ingress: [{action: Allow, from: [{namespaceSelector: {}}]}]}
""",
            object=_SAME_NAMESPACE,
            says="Antrea NetworkPolicy ingress may decide otherwise",
            level=Level.NOTE,
        ),
        Example(
            title="only the own namespace is let in",
            cluster=_NGINX,
            object=_SAME_NAMESPACE,
            says="cuts Ingress shop off Service web: ingress-nginx in namespace ingress-nginx is let in no more; let in "
            "namespace ingress-nginx",
        ),
        Example(
            title="the controller is no longer let out",
            cluster=_NGINX,
            object=_CONTROLLERS_EGRESS,
            says="cuts Ingress shop/shop off its Service: ingress-nginx in namespace ingress-nginx is let out to it no",
        ),
        Example(
            title="a load balancer outside",
            cluster=_SHOP + _CLASS.replace("CONTROLLER", "ingress.k8s.aws/alb"),
            object=_SAME_NAMESPACE,
            says="cuts Ingress shop off Service web: the AWS load balancer is let in no more; let in the AWS load balancer",
        ),
        Example(
            title="deny all: stated, so only noted",
            cluster=_NGINX,
            object=_DENY_ALL,
            says="cuts Ingress shop off Service web",
            level=Level.NOTE,
        ),
        Example(
            title="a controller that is not known",
            cluster=_NGINX.replace("k8s.io/ingress-nginx", "example.com/own"),
            object=_SAME_NAMESPACE,
            says="may cut Ingress shop off Service web: who serves it is not known",
            level=Level.NOTE,
        ),
        Example(
            title="a route of the Gateway API",
            cluster=_NGINX.partition("---\napiVersion: networking.k8s.io/v1\nkind: Ingress\n")[0] + _ROUTE[1:],
            object=_SAME_NAMESPACE,
            says="may cut HTTPRoute shop off Service web",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="the controller's namespace is let in",
            cluster=_NGINX,
            object=_POLICY.replace("FROM", "{podSelector: {}}, {namespaceSelector: {matchLabels: {role: edge}}}"),
        ),
        Example(
            title="another policy lets it in",
            cluster=_NGINX
            + "---"
            + _POLICY.replace("FROM", "{namespaceSelector: {matchLabels: {role: edge}}}").replace(
                "name: web", "name: e"
            ),
            object=_SAME_NAMESPACE,
        ),
        Example(
            title="it was let in by none before",
            cluster=_NGINX + "---" + _DENY_ALL.replace("name: web, namespace", "name: default-deny, namespace"),
            object=_SAME_NAMESPACE,
        ),
        Example(
            title="outside addresses are let in",
            cluster=_SHOP + _CLASS.replace("CONTROLLER", "ingress.k8s.aws/alb"),
            object=_POLICY.replace("FROM", "{ipBlock: {cidr: 172.16.0.0/16}}"),
        ),
    ),
)
