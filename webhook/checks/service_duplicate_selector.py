"""A second Service for the same pods on the same ports."""

from collections.abc import Iterator

from webhook.backends import VARIANTS, headless
from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.model.objects import Protocol, Service, ServiceSpec


def run(ctx: Context) -> Iterator[Finding]:
    service = ctx.service
    spec = service.spec
    if not spec.selector or spec.type in {"ExternalName", "LoadBalancer"} or service.metadata.owner_references:
        return
    ports = _ports(spec)
    same: list[str] = []
    for other in ctx.cluster.services_alike(service):
        ctx.spend(2)
        if other.metadata.name == service.metadata.name:
            continue
        ctx.spend(4 * len(other.spec.ports))
        if _serves_alike(spec, other.spec) and _ports(other.spec) == ports and not _meant(service, other):
            same.append(other.metadata.name)
    if not same:
        return
    words = ("Service", "has") if len(same) == 1 else ("Services", "have")
    message = f"{words[0]} {enumerate_some(sorted(same))} {words[1]} the same selector and ports"
    selector = ctx.compile_labels(spec.selector)
    yield Finding("spec.selector", message, "keep one of them", value=str(selector))


def _ports(spec: ServiceSpec) -> frozenset[tuple[int, Protocol, int | str]]:
    """What the ports do; names are for people, and for those who look ports up by them."""
    return frozenset((p.port, p.protocol, p.target_port or p.port) for p in spec.ports)


def _serves_alike(one: ServiceSpec, other: ServiceSpec) -> bool:
    """Whether both are reached in the same way: a headless twin, or one for clients outside, is there on purpose.

    LoadBalancers are never compared: two of them are two addresses, told apart by their provider's annotations.
    """
    return (
        one.type == other.type
        and headless(one) == headless(other)
        and one.publish_not_ready_addresses == other.publish_not_ready_addresses
    )


def _meant(one: Service, other: Service) -> bool:
    """Whether somebody else's controller tells them apart later, as their names say, or as it made one itself.

    Sources: argo-rollouts docs/features/canary.md (stableService, canaryService: the controller adds the hash of the
    ReplicaSet to the selectors), flagger.app docs (the apex Service and that of the primary).
    """
    if other.metadata.owner_references:
        return True
    return not VARIANTS.isdisjoint(set(one.metadata.name.split("-")) ^ set(other.metadata.name.split("-")))


_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{{selector}}}, ports: [{{{port}}}]{more}}}
"""


def _service(name: str, selector: str = "app: web", port: str = "port: 80, targetPort: 8080", more: str = "") -> str:
    return _SERVICE.format(name=name, selector=selector, port=port, more=more)


CHECK = Check(
    id="service-duplicate-selector",
    level=Level.NOTE,
    summary="another Service of the namespace has the same selector and ports",
    rationale="Two Services for the same pods on the same ports are two names and two addresses for one thing. That may "
    "be meant (an old name that is kept for its clients); often it is a copy whose selector was not changed, and then "
    "the second name leads to the wrong pods. Pairs that differ in kind (a headless Service beside one with an address, "
    "a NodePort beside a ClusterIP), and those that Argo Rollouts or Flagger tell apart, are meant so.",
    remedy="If the second was copied, select the pods that it is for; else keep one.",
    run=run,
    judges=(Service.kind,),
    bad=(
        Example(
            title="a copy whose selector was not changed",
            cluster=_service("web"),
            object=_service("worker"),
            says="Service web has the same selector and ports; keep one of them",
        ),
        Example(
            title="the default targetPort, written out",
            cluster=_service("web", port="port: 80"),
            object=_service("worker", port="name: http, port: 80, targetPort: 80"),
            view=View.CHECK,
            says="Service web has the same selector and ports",
        ),
    ),
    good=(
        Example(title="other ports", cluster=_service("web"), object=_service("metrics", port="port: 9090")),
        Example(title="other pods", cluster=_service("web"), object=_service("worker", "app: web, tier: worker")),
        Example(
            title="a headless Service beside one with an address",
            cluster=_service("pg"),
            object=_service("pg-hl", more=", clusterIP: None"),
        ),
        Example(
            title="a port on the nodes beside an address within the cluster",
            cluster=_service("web"),
            object=_service("web-outside", more=", type: NodePort"),
        ),
        Example(
            title="stable and canary, which Argo Rollouts tells apart",
            cluster=_service("web-stable"),
            object=_service("web-canary"),
        ),
        Example(
            title="what Flagger made of a Service",
            cluster=_service("web").replace(
                "namespace: shop", "namespace: shop, ownerReferences: [{kind: Canary, name: web, controller: true}]"
            ),
            object=_service("web-copy"),
        ),
    ),
)
