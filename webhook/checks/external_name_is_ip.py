"""An ExternalName that is an IPv4 address."""

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from webhook.backends import served_by_proxy
from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.dns import dns_of
from webhook.model.objects import HTTP_ROUTE, INGRESS, Service

_LONGEST: Final = 16


def run(ctx: Context) -> Iterator[Finding]:
    spec = ctx.service.spec
    if spec.type != "ExternalName" or not _is_address(spec.external_name):
        return
    # kube-dns answers such a name with the address.
    if dns_of(ctx.cluster).is_core_dns is False or served_by_proxy(ctx):
        return
    message = f"externalName {spec.external_name} is no name"
    yield Finding(
        "spec.externalName", message, "use an EndpointSlice", value=spec.external_name, means="CoreDNS answers NXDOMAIN"
    )


def _is_address(name: str) -> bool:
    if len(name) > _LONGEST:
        return False
    try:
        IPv4Address(name.rstrip("."))
    except AddressValueError:
        return False
    return True


_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {type: ExternalName, externalName: 192.0.2.7}
"""
_KUBE_DNS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: kube-dns, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec: {containers: [{name: kubedns, image: "registry.k8s.io/dns/k8s-dns-kube-dns:1.26.4"}]}
"""

CHECK = Check(
    id="external-name-is-ip",
    level=Level.WARNING,
    summary="an ExternalName is an IPv4 address",
    rationale="An ExternalName Service is a CNAME record, whose target must be a name. The API server accepts an IPv4 "
    "address, because it looks like one; CoreDNS answers NXDOMAIN (its kubernetes plugin serves CNAMEs only from such "
    "Services). kube-dns answers with the address, and ingress controllers take it without asking DNS.",
    remedy="For an address outside the cluster: a Service without a selector, and an EndpointSlice that holds the "
    "address, labelled kubernetes.io/service-name.",
    run=run,
    judges=(Service.kind,),
    rests_on=(INGRESS, HTTP_ROUTE),
    bad=(
        Example(
            title="an address", object=_SERVICE, says="externalName 192.0.2.7 is no name: CoreDNS answers NXDOMAIN"
        ),
        Example(
            title="an address, with CoreDNS under kube-dns' name",
            cluster=_KUBE_DNS.replace(
                "registry.k8s.io/dns/k8s-dns-kube-dns:1.26.4", "registry.k8s.io/coredns/coredns:v1.12.1"
            ),
            object=_SERVICE,
            view=View.CHECK,
        ),
    ),
    good=(
        Example(title="a name", object=_SERVICE.replace("192.0.2.7", "db.example.com")),
        Example(title="a name of digits", object=_SERVICE.replace("192.0.2.7", "7.example.com")),
        Example(title="the cluster's DNS is kube-dns", cluster=_KUBE_DNS, object=_SERVICE),
        Example(
            title="an Ingress leads to it",
            cluster="""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: db, namespace: shop}
spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: db, port: {number: 80}}}}]}}]}
""",
            object=_SERVICE,
        ),
    ),
)
