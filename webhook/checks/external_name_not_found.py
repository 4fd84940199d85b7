"""An ExternalName that is the name of a Service of this cluster, and leads to none."""

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.dns import CLUSTER_SET_DOMAIN, DEFAULT_DOMAIN, ClusterDNS, ServiceName, dns_of, service_name
from webhook.model.objects import NAMESPACE, SERVICE, Key, Service
from webhook.model.selectors import looks_misspelt, nearest

_PATH: Final = "spec.externalName"
_CNAME: Final = "it is answered as a CNAME, and a CNAME gets no search path"
_LONGEST_CHAIN: Final = 8
"""CoreDNS follows no more CNAMEs than this within the cluster (plugin/backend_lookup.go)."""
_ALWAYS_THERE: Final[frozenset[Key]] = frozenset({("default", "kubernetes")})
"""The API server makes it itself (k8s.io/kubernetes pkg/controlplane/controller/kubernetesservice)."""
_NAMESPACES_ALWAYS_THERE: Final = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})


def run(ctx: Context) -> Iterator[Finding]:
    spec = ctx.service.spec
    if spec.type != "ExternalName":
        return
    name = service_name(spec.external_name)
    if name is None:
        return
    dns = dns_of(ctx.cluster)
    if not name.full:
        yield from _short(ctx, dns, name)
    elif name.domain and name.domain not in dns.domains:
        yield from _elsewhere(ctx, dns, name)
    elif _leads_back(ctx, dns, name):
        message = f"{spec.external_name} leads back here"
        yield Finding(_PATH, message, "name another", value=spec.external_name, means="it does not resolve")
    else:
        yield from _missing(ctx, dns, name)


def _short(ctx: Context, dns: ClusterDNS, name: ServiceName) -> Iterator[Finding]:
    """``svc.ns``: most such names are of the outside (example.com), so only one that is both is spoken of."""
    if name.key == ctx.service.key or not _found(ctx, name.key):
        return
    written = ctx.service.spec.external_name
    yield Finding(_PATH, f"{written} is no full name", _full(dns, name), value=written, detail=_CNAME)


def _full(dns: ClusterDNS, name: ServiceName) -> str:
    return f"write {dns.full_name(name)}" + (" (if that is the cluster domain)" if dns.assumed else "")


def _elsewhere(ctx: Context, dns: ClusterDNS, name: ServiceName) -> Iterator[Finding]:
    """The name of a Service under another domain: of another cluster, unless something speaks for a mistake."""
    if dns.assumed or name.domain == CLUSTER_SET_DOMAIN or dns.mentions(name.domain):
        return
    slip = name.domain == DEFAULT_DOMAIN or any(looks_misspelt(name.domain, d) for d in dns.domains)
    if not slip and not (name.key != ctx.service.key and _found(ctx, name.key)):
        return
    yield Finding(
        _PATH,
        f"the domain is {dns.domain}",
        f"write {dns.full_name(name)}",
        value=ctx.service.spec.external_name,
        detail=f"{name.domain} does not resolve in this cluster",
    )


def _missing(ctx: Context, dns: ClusterDNS, name: ServiceName) -> Iterator[Finding]:
    written = ctx.service.spec.external_name
    namespace = name.namespace
    if _found(ctx, name.key):
        if not name.domain:
            # Proxies that resolve it themselves with a search path, as ingress-nginx does, get along with it.
            message = f"{written} has no cluster domain"
            yield Finding(_PATH, message, _full(dns, name), Level.NOTE, written, detail=_CNAME)
        return
    if ctx.cluster.namespace_exists(namespace) is False and namespace not in _NAMESPACES_ALWAYS_THERE:
        what = f"no namespace {namespace}"
        near = nearest(namespace, (n for n in ctx.cluster.namespace_names() if _has(ctx, n, name.service)))
        # One that is there under that name, and of all namespaces the nearest, is told only to who may know it.
        if near and ctx.may_name(SERVICE, near):
            yield _finding(ctx, what, f"write {_like(name, namespace=near)}", certain=True)
        else:
            yield _finding(ctx, what, "create it, or mend the name", certain=bool(near))
        return
    if not ctx.cluster.complete(SERVICE):
        ctx.unknown.add("services: not all are known, so ExternalNames that lead to none of the known were not judged")
        return
    what = f"no Service {namespace}/{name.service}"
    near = nearest(
        name.service, (s.metadata.name for s in ctx.cluster.services_in(namespace) if s.key != ctx.service.key)
    )
    if near and ctx.may_name(SERVICE, namespace):
        yield _finding(ctx, what, f"write {_like(name, service=near)}", certain=True)
    else:
        yield _finding(ctx, what, "create it, or mend the name", certain=bool(near))


def _finding(ctx: Context, message: str, remedy: str, *, certain: bool) -> Finding:
    """A Service that is not there may come later: on CREATE it takes a sign that the name is misspelt."""
    level = Level.WARNING if certain or ctx.sees_whole else Level.NOTE
    return Finding(_PATH, message, remedy, level, ctx.service.spec.external_name)


def _like(name: ServiceName, *, service: str = "", namespace: str = "") -> str:
    """The name as it was written, with another Service or namespace."""
    return str(structs.replace(name, service=service or name.service, namespace=namespace or name.namespace))


def _found(ctx: Context, key: Key) -> bool:
    return key in _ALWAYS_THERE or ctx.cluster.get(SERVICE, key) is not None


def _has(ctx: Context, namespace: str, service: str) -> bool:
    return (namespace, service) != ctx.service.key and _found(ctx, (namespace, service))


def _leads_back(ctx: Context, dns: ClusterDNS, name: ServiceName) -> bool:
    """Whether it is this Service's own name, or that of an ExternalName that ends up here."""
    following: ServiceName | None = name
    for _ in range(_LONGEST_CHAIN):
        if following is None or not following.full or (following.domain and following.domain not in dns.domains):
            return False
        if following.key == ctx.service.key:
            return True
        found = ctx.cluster.get(SERVICE, following.key)
        if not isinstance(found, Service) or found.spec.type != "ExternalName":
            return False
        following = service_name(found.spec.external_name)
    return False


_CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: data}
---
apiVersion: v1
kind: Service
metadata: {name: postgres, namespace: data}
spec: {ports: [{port: 5432}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data:
  Corefile: |
    .:53 {
        errors
        kubernetes cluster.local in-addr.arpa ip6.arpa {
           pods insecure
           fallthrough in-addr.arpa ip6.arpa
        }
        forward . /etc/resolv.conf
    }
"""
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: db, namespace: shop}}
spec: {{type: ExternalName, externalName: {name}}}
"""

CHECK = Check(
    id="external-name-not-found",
    level=Level.WARNING,
    summary="an ExternalName names a Service that this cluster does not have",
    rationale="An ExternalName Service is a CNAME record. Where its target is a name within the cluster, "
    "<service>.<namespace>.svc.<cluster domain>, it resolves only if that Service exists, and the domain is the "
    "cluster's (the kubernetes plugin's zones in CoreDNS' Corefile; cluster.local unless it was changed). A CNAME's "
    "target gets no search path: shorter forms do not resolve.",
    remedy="Write the full name of a Service that exists: <service>.<namespace>.svc.<cluster domain>.",
    run=run,
    judges=(Service.kind,),
    rests_on=(SERVICE, NAMESPACE),
    bad=(
        Example(
            title="no such Service",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="mysql.data.svc.cluster.local"),
            view=View.CHECK,
            says="no Service data/mysql; create it, or mend the name",
        ),
        Example(
            title="no such namespace",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="postgres.storage.svc.cluster.local"),
            view=View.CHECK,
            says="no namespace storage; create it, or mend the name",
        ),
        Example(
            title="a misspelt Service",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="postgress.data.svc.cluster.local"),
            says="write postgres.data.svc.cluster.local",
        ),
        Example(
            title="a misspelt namespace",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="postgres.daata.svc"),
            says="no namespace daata; write postgres.data.svc",
        ),
        Example(
            title="the cluster's domain is another",
            cluster=_CLUSTER.replace("cluster.local", "example.org"),
            object=_SERVICE.format(name="postgres.data.svc.cluster.local"),
            says="the domain is example.org; write postgres.data.svc.example.org (cluster.local does not resolve ",
        ),
        Example(
            title="itself",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="db.shop.svc.cluster.local"),
            says="leads back here: it does not resolve",
        ),
        Example(
            title="no full name",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="postgres.data"),
            says="postgres.data is no full name; write postgres.data.svc.cluster.local",
        ),
        Example(
            title="a Service that may come later: a note",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="mysql.data.svc.cluster.local"),
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="a Service that is there",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="postgres.data.svc.cluster.local"),
            view=View.CHECK,
        ),
        Example(
            title="a name of the outside",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="db.example.com"),
            view=View.CHECK,
        ),
        Example(
            title="another cluster's Service",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="orders.shop.svc.west.example.com"),
            view=View.CHECK,
        ),
        Example(
            title="not all Services are known",
            cluster=_CLUSTER,
            object=_SERVICE.format(name="mysql.data.svc.cluster.local"),
            view=View.CHECK,
            partial=True,
        ),
    ),
)
