"""A Service whose short name, service.namespace, is a host name of the outside: pods are led to it instead."""

from collections.abc import Iterator
from itertools import chain
from typing import Final
from weakref import WeakKeyDictionary

from webhook.check import CREATE, Check, Context, Example, Finding, Level, View
from webhook.dns import dns_of
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    ADMIN_POLICIES,
    HTTP_ROUTE,
    INGRESS,
    SERVICE,
    HTTPRoute,
    Ingress,
    Service,
)

_TOP_LEVEL: Final = frozenset({"com", "net", "org", "io"})
"""Top-level domains under which names of the outside are looked up everywhere, and that nobody uses for anything else:
``dev``, ``app`` or ``shop`` are domains, too, and good names for a namespace.
"""
_SEARCH: Final = "a pod looks a name up with its search path first, which has the Services' domain"


def run(ctx: Context) -> Iterator[Finding]:
    namespace, name = ctx.service.key
    short = f"{name}.{namespace}"
    dns = dns_of(ctx.cluster)
    path, remedy = "metadata.namespace", "use another namespace"
    if namespace in _TOP_LEVEL:
        message = f"pods that ask for {short} get this Service"
        yield Finding(path, message, remedy, value=short, detail=f"not the host of that name outside: {_SEARCH}")
    elif namespace == "svc" or any(namespace == domain.partition(".")[0] for domain in dns.domains):
        level = Level.NOTE if dns.assumed and namespace != "svc" else Level.WARNING
        message = f"names ending in .{namespace} lead here first"
        yield Finding(path, message, remedy, level, short, detail=_SEARCH)
    elif where := _used_as_host(ctx, short):
        message = f"pods that ask for {short} get this Service"
        detail = f"a host of that name is in use ({where}): {_SEARCH}"
        yield Finding("metadata.name", message, "use another name", value=short, detail=detail)
    elif ctx.view is not View.ADMISSION and _is_external_name(ctx, short):  # the webhook shows no note
        # Mostly that is what people write who mean the Service; that it does not resolve, external-name-not-found tells.
        message = f"{short} is the externalName of a Service, and leads to this one"
        yield Finding("metadata.name", message, level=Level.NOTE, value=short)


class _Names:
    """The host names of the outside that objects of a cluster have, each looked for once."""

    def __init__(self) -> None:
        self.hosts_at = self.names_at = -1
        self.hosts: dict[str, str] = {}
        """With the kind of the first object that has it."""
        self.names: set[str] = set()
        """Those of Services of the type ExternalName."""


_memory: Final[WeakKeyDictionary[Cluster, _Names]] = WeakKeyDictionary()


def _names_of(cluster: Cluster) -> _Names:
    return _memory.setdefault(cluster, _Names())


def _used_as_host(ctx: Context, short: str) -> str:
    """The kind of an object that has this host name; empty where none is known."""
    cluster, kept = ctx.cluster, _names_of(ctx.cluster)
    now = cluster.revision(INGRESS, HTTP_ROUTE, *ADMIN_POLICIES)
    if kept.hosts_at != now:
        kept.hosts_at, kept.hosts = now, {}
        routing: Iterator[Ingress | HTTPRoute] = chain(cluster.ingresses, cluster.http_routes)
        for record in routing:
            for host in record.hosts:
                kept.hosts.setdefault(host, record.kind.rpartition("/")[2])
        for policy in cluster.admin_policies:
            for name in (n for rule in policy.egress for peer in rule.peers for n in peer.domain_names):
                kept.hosts.setdefault(name, policy.kind.rpartition("/")[2])
    ctx.spend()
    return kept.hosts.get(short, "")


def _is_external_name(ctx: Context, short: str) -> bool:
    cluster, kept = ctx.cluster, _names_of(ctx.cluster)
    now = cluster.revision(SERVICE)
    if kept.names_at != now:
        kept.names_at = now
        specs = (service.spec for service in cluster.services)
        kept.names = {spec.external_name.rstrip(".") for spec in specs if spec.type == "ExternalName"}
    ctx.spend()
    return short in kept.names


_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: web}}, ports: [{{port: 443}}]}}
"""
_CORE_DNS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data: {Corefile: ".:53 {\\n  kubernetes corp.example in-addr.arpa\\n}\\n"}
"""
_POLICY = """
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: partners}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {}}
  egress: [{action: Accept, to: [{domainNames: [partner.app]}]}]
"""


def _service(name: str, namespace: str) -> str:
    return _SERVICE.format(name=name, namespace=namespace)


CHECK = Check(
    id="hijacks-external-name",
    level=Level.WARNING,
    summary="a Service's short name is a host name of the outside",
    rationale="A pod's resolver tries a name with fewer than five dots within the cluster first: example.com is asked for "
    "as example.com.svc.<cluster domain>, which is Service example in namespace com (search path and ndots: "
    "k8s.io/kubernetes pkg/kubelet/network/dns). If that exists, every pod that means the outside gets it instead. The "
    "API server accepts namespaces named com, io or svc.",
    remedy="Do not name a namespace after a top-level domain that is in use, after svc, or after the cluster's domain.",
    run=run,
    judges=(Service.kind,),
    operations=(CREATE,),
    bad=(
        Example(
            title="a namespace named com",
            object=_service("example", "com"),
            says="pods that ask for example.com get this Service; use another namespace",
        ),
        Example(
            title="a namespace named svc",
            object=_service("web", "svc"),
            view=View.CHECK,
            says="names ending in .svc lead here first",
        ),
        Example(
            title="a namespace named as the cluster's domain begins",
            cluster=_CORE_DNS,
            object=_service("web", "corp"),
            says="names ending in .corp",
        ),
        Example(
            title="a host name that an Ingress serves",
            cluster="""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: edge}
spec: {rules: [{host: shop.dev}]}
""",
            object=_service("shop", "dev"),
            says="pods that ask for shop.dev get this Service; use another name (a host of that name is in use (Ingress)",
        ),
        Example(
            title="a host name that a policy knows",
            cluster=_POLICY,
            object=_service("partner", "app"),
            says="(a host of that name is in use (ClusterNetworkPolicy)",
        ),
        Example(
            title="the cluster's domain is not known, and may be cluster.local: a note",
            object=_service("web", "cluster"),
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="a namespace that happens to be a top-level domain", object=_service("web", "dev")),
        Example(title="a Service named com", object=_service("com", "shop")),
        Example(title="another host of the same domain", cluster=_POLICY, object=_service("web", "app")),
    ),
)
