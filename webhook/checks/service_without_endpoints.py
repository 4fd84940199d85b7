"""A Service without a selector that nobody gives endpoints."""

from collections.abc import Iterator

from webhook.backends import endpoints, headless, matched
from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.evidence import rendered_by_helm
from webhook.model.objects import CILIUM_GLOBAL, ENDPOINT_SLICE, Service


def run(ctx: Context) -> Iterator[Finding]:
    service = ctx.service
    # The API server fills default/kubernetes itself (k8s.io/kubernetes pkg/controlplane/reconcilers).
    if service.spec.selector or service.spec.type == "ExternalName" or service.key == ("default", "kubernetes"):
        return
    if service.metadata.annotations.get(CILIUM_GLOBAL, "").lower() == "true":
        return  # its endpoints are in other clusters (docs.cilium.io, Cluster Mesh)
    if ctx.cluster.slices_of(*service.key):  # also without addresses: somebody keeps it for the Service
        return
    if isinstance(ctx.old, Service) and endpoints(ctx.old, matched(ctx, ctx.old)):
        return  # what this update takes away is empties-service's to say
    if not ctx.cluster.complete(ENDPOINT_SLICE):
        ctx.unknown.add("endpoints: not all slices are known, so Services without a selector were not judged")
        return
    # Who made it for a controller fills it, when there is something to fill it with; a headless one may be a name only,
    # whose Endpoints are kept for their annotations and are not mirrored (leader elections, Patroni).
    somebody_elses = bool(service.metadata.owner_references) or headless(service.spec)
    # A release that brings labels says nothing anew of what its own Endpoints, or another chart's, may fill by now.
    as_before = ctx.leaves_spec_alone and rendered_by_helm(service.metadata)
    level = Level.WARNING if ctx.sees_whole and not somebody_elses and not as_before else Level.NOTE
    yield Finding(
        "spec.selector",
        "no selector, no EndpointSlice",
        "add one of them",
        level,
        means="leads nowhere",
        detail=f"a slice for it has the label kubernetes.io/service-name: {service.metadata.name}",
    )


_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: shop}
spec: {ports: [{port: 5432}]}
"""
_SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: legacy-1, namespace: shop, labels: {kubernetes.io/service-name: legacy}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.7]}]
ports: [{port: 5432}]
"""

CHECK = Check(
    id="service-without-endpoints",
    level=Level.WARNING,
    summary="a Service has no selector, and nobody gives it endpoints",
    rationale="Without a selector, a Service leads to what EndpointSlices say that carry its name in the label "
    "kubernetes.io/service-name (older: an Endpoints object of its name, which the control plane mirrors). Without any, "
    "connections are refused. On CREATE that is a note, for the slices come after their Service, and so it is where a "
    "release brings labels alone.",
    remedy="Add the selector that was forgotten, or an EndpointSlice with the label kubernetes.io/service-name.",
    run=run,
    judges=(Service.kind,),
    rests_on=(ENDPOINT_SLICE,),
    bad=(
        Example(
            title="nothing beside it",
            object=_SERVICE,
            view=View.CHECK,
            says="no EndpointSlice: leads nowhere; add one of them (a slice for it has the label kubernetes.io/service-",
        ),
        Example(title="on an update", old=_SERVICE, object=_SERVICE, says="leads nowhere"),
        Example(
            title="a release that brings labels alone: a note",
            old=_SERVICE,
            object=_SERVICE.replace("metadata: {", "metadata: {labels: {app.kubernetes.io/managed-by: Helm}, "),
            level=Level.NOTE,
        ),
        Example(
            title="a slice that names another Service",
            cluster=_SLICE.replace("service-name: legacy", "service-name: legacydb"),
            object=_SERVICE,
            view=View.CHECK,
        ),
        Example(title="its slices may come after it: a note", object=_SERVICE, level=Level.NOTE),
    ),
    good=(
        Example(title="a slice", cluster=_SLICE, object=_SERVICE, view=View.CHECK),
        Example(
            title="an Endpoints object of its name",
            cluster="""
apiVersion: v1
kind: Endpoints
metadata: {name: legacy, namespace: shop}
subsets: [{addresses: [{ip: 192.0.2.7}], ports: [{port: 5432}]}]
""",
            object=_SERVICE,
            view=View.CHECK,
        ),
        Example(title="not all slices are known", object=_SERVICE, view=View.CHECK, partial=True),
        Example(
            title="the API server's own Service",
            object=_SERVICE.replace("name: legacy, namespace: shop", "name: kubernetes, namespace: default"),
            view=View.CHECK,
        ),
    ),
)
