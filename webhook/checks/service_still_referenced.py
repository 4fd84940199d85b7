"""A Service is deleted that other objects still name."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from webhook.check import DELETE, Check, Context, Example, Finding, Level, enumerate_some
from webhook.dns import dns_of, service_name
from webhook.evidence import rendered_by_helm
from webhook.model.objects import (
    API_SERVICE,
    HELM_RELEASE,
    HTTP_ROUTE,
    INGRESS,
    SERVICE,
    STATEFUL_SET,
    WEBHOOK_CONFIGURATIONS,
    APIService,
    HTTPRoute,
    Ingress,
    Labels,
    Record,
    Service,
    WebhookConfiguration,
    Workload,
)

_REFERRERS: Final = (INGRESS, HTTP_ROUTE, STATEFUL_SET, *WEBHOOK_CONFIGURATIONS, API_SERVICE)
_GO_BEFORE: Final = frozenset({INGRESS, API_SERVICE})
"""What helm uninstall deletes before Services (pkg/release/v1/util/kind_sorter.go UninstallOrder of Helm 3 and 4)."""
_MOST_NAMED: Final = 8
_INSTANCE: Final = "app.kubernetes.io/instance"


def run(ctx: Context) -> Iterator[Finding]:
    namespace = ctx.cluster.namespace(ctx.namespace)
    # Whoever made it for a controller deletes it with what it belongs to; and where all goes, nothing is left behind.
    if ctx.service.metadata.owner_references or (namespace is not None and namespace.terminating):
        return
    found = list(_referrers(ctx))
    if not found:
        if not ctx.cluster.complete(*_REFERRERS, SERVICE):
            ctx.unknown.add("references: not all objects that may name a Service are known")
        return
    # Helm deletes some of these after Services, `kubectl delete -f` all in the order of the file: they go in a moment.
    left = [r for r in found if not r.goes_too]
    level = Level.WARNING if left else Level.NOTE
    shown = list(dict.fromkeys(r.told for r in (left or found)))
    one = len(shown) == 1
    message = f"{enumerate_some(shown, 1)} still {'names' if one else 'name'} it"
    remedy = f"change {'that' if one else 'those'} first"
    named = "" if one else f"in all: {enumerate_some(shown, _MOST_NAMED)}"
    yield Finding("metadata.name", message, remedy, level, detail=named)


class _Referrer(Struct, frozen=True):
    """An object that names the Service; ``told`` as far as it may be."""

    told: str
    goes_too: bool


def _referrers(ctx: Context) -> Iterator[_Referrer]:
    records = ctx.cluster.referrers_of(*ctx.service.key)
    ctx.spend(4 * len(records))
    for record in sorted(records, key=lambda r: (_REFERRERS.index(r.kind), r.key)):
        if not _leaves(record):
            yield _Referrer(_told(ctx, record), _goes_too(ctx, record))
    for service in ctx.cluster.services:
        ctx.spend()
        if service.spec.type == "ExternalName" and service.metadata.deletion_timestamp is None:
            ctx.spend(8)
            name = service_name(service.spec.external_name)
            if name is None or name.key != ctx.service.key:
                continue
            # Without `svc` it does not resolve; under another domain it is another cluster's.
            if name.full and (not name.domain or name.domain in dns_of(ctx.cluster).domains):
                yield _Referrer(_told(ctx, service), _of_same_release(ctx, service))


def _leaves(record: Record) -> bool:
    """Whether it is being deleted as well, or has nothing left that could miss the Service."""
    match record:
        case Workload():
            return record.terminating or record.replicas == 0
        case Ingress() | HTTPRoute() | WebhookConfiguration() | APIService():
            return record.terminating
        case _:
            return False


def _told(ctx: Context, record: Record) -> str:
    kind = "ExternalName" if isinstance(record, Service) else record.kind.rpartition("/")[2]
    namespace, name = record.key
    if namespace == ctx.namespace:
        return f"{kind} {name}"
    if ctx.may_name(record.kind, namespace):
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
    article = "an" if kind[0] in "AEIO" or kind.startswith("HTTP") else "a"
    return f"{article} {kind} of another namespace" if namespace else f"{article} {kind}"


def _goes_too(ctx: Context, record: Record) -> bool:
    """Whether it likely comes and goes with the Service: of one Helm release, or labelled alike."""
    if isinstance(record, Workload | Ingress | APIService):
        ctx.spend(1 + len(record.own_labels))
        if not ctx.service.metadata.labels.items().isdisjoint(record.own_labels.items()):
            return True
    return record.kind not in _GO_BEFORE and _of_same_release(ctx, record)


def _of_same_release(ctx: Context, record: Record) -> bool:
    """Whether it may be of the same Helm release as the Service; for most kinds that cannot be told."""
    metadata = ctx.service.metadata
    if not rendered_by_helm(metadata):
        return False
    theirs: Labels = {}
    if isinstance(record, Workload):
        theirs = record.own_labels
    elif isinstance(record, Service):
        if not rendered_by_helm(record.metadata):
            return False
        theirs = record.metadata.labels
        releases = metadata.annotations.get(HELM_RELEASE), record.metadata.annotations.get(HELM_RELEASE)
        if None not in releases and releases[0] != releases[1]:
            return False
    ours = metadata.labels.get(_INSTANCE)
    return ours is None or theirs.get(_INSTANCE, ours) == ours


_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop{more}}}
spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}
"""
_INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
"""
_STATEFUL_SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web, namespace: shop, labels: {app.kubernetes.io/managed-by: Helm}}
spec: {serviceName: web, template: {metadata: {labels: {app: web}}}}
"""
_WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: shop-rules}
webhooks: [{name: rules.shop.example, clientConfig: {service: {name: web, namespace: shop}}}]
"""


def _service(more: str = "") -> str:
    return _SERVICE.format(more=more)


CHECK = Check(
    id="service-still-referenced",
    level=Level.WARNING,
    summary="a Service is deleted that other objects still name",
    rationale="Nothing keeps a Service that is in use from being deleted. An Ingress or HTTPRoute then answers 503; a "
    "webhook configuration whose failurePolicy is Fail (the default) refuses whatever it matches; an APIService whose "
    "Service is gone makes its group unavailable, and no namespace finishes terminating while one is; a StatefulSet's "
    "pods lose their names in DNS; an ExternalName no longer resolves.",
    remedy="Change or delete what names the Service first.",
    run=run,
    judges=(Service.kind,),
    operations=(DELETE,),
    rests_on=(*_REFERRERS, SERVICE),
    bad=(
        Example(
            title="an Ingress sends traffic to it",
            cluster=_INGRESS,
            old=_service(),
            object="",
            says="Ingress shop still names it; change that first",
        ),
        Example(
            title="a webhook is answered by it",
            cluster=_WEBHOOK + "---" + _INGRESS,
            old=_service(),
            object="",
            says="Ingress shop and 1 more still name it; change those first (in all: Ingress shop, "
            "ValidatingWebhookConfiguration shop-rules)",
        ),
        Example(
            title="a route of another namespace",
            cluster="""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: edge}
spec: {rules: [{backendRefs: [{name: web, namespace: shop, port: 80}]}]}
""",
            old=_service(),
            object="",
            says="HTTPRoute edge/shop still names it",
        ),
        Example(
            title="it answers for a group of the API",
            cluster="""
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.shop.example}
spec: {group: shop.example, version: v1, service: {name: web, namespace: shop}}
""",
            old=_service(),
            object="",
            says="APIService v1.shop.example still names it",
        ),
        Example(
            title="it names the pods of a StatefulSet",
            cluster=_STATEFUL_SET,
            old=_service(),
            object="",
            says="StatefulSet web still names it",
        ),
        Example(
            title="an ExternalName leads to it",
            cluster="""
apiVersion: v1
kind: Service
metadata: {name: web, namespace: clients}
spec: {type: ExternalName, externalName: web.shop.svc.cluster.local}
""",
            old=_service(),
            object="",
            says="ExternalName clients/web still names it",
        ),
        Example(
            title="a StatefulSet labelled as the Service is, which goes a moment later: a note",
            cluster=_STATEFUL_SET.replace("app.kubernetes.io/managed-by: Helm", "app: web"),
            old=_SERVICE.format(more=", labels: {app: web}"),
            object="",
            level=Level.NOTE,
        ),
        Example(
            title="an Ingress of the same chart, which kubectl delete deletes a moment later: a note",
            cluster=_INGRESS.replace("namespace: shop}", "namespace: shop, labels: {app.kubernetes.io/instance: web}}"),
            old=_service(", labels: {app.kubernetes.io/instance: web}"),
            object="",
            level=Level.NOTE,
        ),
        Example(
            title="helm uninstall deletes a StatefulSet after its Service: a note",
            cluster=_STATEFUL_SET,
            old=_service(", labels: {app.kubernetes.io/managed-by: Helm}"),
            object="",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="an Ingress that names another",
            cluster=_INGRESS.replace("name: web", "name: api"),
            old=_service(),
            object="",
        ),
        Example(
            title="the namespace goes as a whole",
            cluster=_INGRESS
            + """
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, deletionTimestamp: "2026-01-01T00:00:00Z"}
""",
            old=_service(),
            object="",
        ),
        Example(
            title="what names it is being deleted, too",
            cluster=_INGRESS.replace("namespace: shop}", 'namespace: shop, deletionTimestamp: "2026-01-01T00:00:00Z"}'),
            old=_service(),
            object="",
        ),
        Example(
            title="a controller made it, and takes it away",
            cluster=_STATEFUL_SET,
            old=_service(", ownerReferences: [{kind: Shop, name: shop, controller: true}]"),
            object="",
        ),
    ),
)
