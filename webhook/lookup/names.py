"""What the cluster's DNS answers to a name, asked from a pod of a namespace.

Sources: github.com/kubernetes/dns docs/specification.md; coredns.io/plugins/kubernetes and its source (ExternalName,
pods, ignore empty_service); k8s.io/kubernetes pkg/kubelet/network/dns (search path, ndots:5); facts 3.5.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from webhook.backends import headless
from webhook.dns import CLUSTER_SET_DOMAIN, DEFAULT_DOMAIN, ClusterDNS, dns_of, service_name
from webhook.lookup.behind import Endpoint, behind
from webhook.model.cluster import Cluster
from webhook.model.objects import DEPLOYMENT, POD, SERVICE, STATEFUL_SET, WORKLOADS, Key, Pod, Service, Workload
from webhook.model.selectors import nearest
from webhook.reach.cidr import IPV6, format_address, parse_address

NDOTS: Final = 5
"""A name with fewer dots is first looked up inside the cluster."""
_MOST_ALIASES: Final = 8
"""ExternalNames that are followed, one after the other: more than CoreDNS does."""
_TOP_LEVEL: Final = frozenset(
    {
        *(
            "ai",
            "app",
            "blog",
            "build",
            "business",
            "cloud",
            "co",
            "com",
            "community",
            "company",
            "computer",
            "consulting",
        ),
        *("date", "design", "dev", "digital", "domains", "edu", "email", "energy", "events", "finance", "foundation"),
        *(
            "games",
            "global",
            "gov",
            "group",
            "health",
            "host",
            "hosting",
            "info",
            "io",
            "live",
            "management",
            "marketing",
        ),
        *(
            "me",
            "media",
            "net",
            "network",
            "news",
            "one",
            "online",
            "org",
            "page",
            "photos",
            "pub",
            "report",
            "run",
            "sale",
        ),
        *(
            "search",
            "security",
            "services",
            "shop",
            "site",
            "social",
            "software",
            "solutions",
            "space",
            "storage",
            "store",
        ),
        *("studio", "support", "systems", "team", "tech", "technology", "tools", "trade", "video", "website", "wiki"),
        *("work", "works", "world", "zone"),
    }
)
"""Top-level domains that are called as people call namespaces: a name that ends so may exist outside.

Source: the IANA root zone database. Names that end otherwise, and are not in the cluster, are nowhere: nearly.
"""
API_SERVER: Final[Key] = ("default", "kubernetes")
"""The API server makes this Service itself: it is in every cluster."""


class Found(Struct, frozen=True):
    """What a name leads to: one of these, or nothing.

    Args:
        name: the full name that was answered.
        service: the Service whose address is the answer, or which has no address of its own (headless).
        endpoint: the one pod, or address, that is the answer.
        outside: the name that only the outside can answer.
        unknown: why it cannot be told what the answer is.
        nothing: why there is no answer.
        near: whether that tells more than that there is no such Service.
        aliases: the ExternalName Services on the way.
    """

    name: str = ""
    service: Service | None = None
    endpoint: Endpoint | None = None
    outside: str = ""
    unknown: str = ""
    nothing: str = ""
    near: bool = False
    aliases: tuple[Service, ...] = ()


class Answered(Struct, frozen=True):
    """How the lookup of a name ends.

    Args:
        ok: whether there is an answer; None where that cannot be told.
        says: what was looked up, and what came of it.
        remedy: the name to write instead; empty where there is nothing better.
        found: what it leads to.
    """

    ok: bool | None
    says: str
    remedy: str = ""
    found: Found = Found()


class Resolver:
    """The cluster's DNS as a pod of one namespace sees it.

    Args:
        cluster: the state.
        namespace: the pod's; empty for who has no search path.
        services_known: whether a Service that is not in the state is not there.
    """

    def __init__(self, cluster: Cluster, namespace: str, *, services_known: bool) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._known = services_known
        self.dns: ClusterDNS = dns_of(cluster)

    def search(self, host: str) -> Iterator[str]:
        """The names that are looked up for a name, in order (resolv.conf(5), search and ndots)."""
        if host.endswith("."):
            yield host[:-1]
            return
        domain = self.dns.domain
        inside = [f"{host}.{domain}", f"{host}.svc.{domain}"]
        if self._namespace:
            inside.append(f"{host}.{self._namespace}.svc.{domain}")
        if host.count(".") >= NDOTS:
            yield host
        yield from reversed(inside)
        if host.count(".") < NDOTS:
            yield host

    def lookup(self, host: str) -> Answered:
        """Looks a name up as the pod's resolver does."""
        failed: Found | None = None
        for name in self.search(host):
            found = self._ask(name)
            if found.nothing:
                # The next name is tried; what was nearly there tells more than that nothing was.
                failed = failed or (found if found.near or found.aliases else None)
            elif found.outside and not found.aliases:
                break
            else:
                return self._answered(host, found)
        if failed is not None and (failed.aliases or not _may_be_outside(host)):
            return self._answered(host, failed)
        return self._not_inside(host)

    # --- one full name

    def _ask(self, name: str, aliases: tuple[Service, ...] = ()) -> Found:
        """What the cluster's DNS answers to a full name."""
        zone = next((d for d in self.dns.domains if name == d or name.endswith(f".{d}")), None)
        if zone is None:
            return Found(name, outside=name, aliases=aliases)
        labels = name.removesuffix(zone).removesuffix(".").split(".")
        match labels:
            case [service, namespace, "svc"]:
                return self._service(name, (namespace, service), "", aliases)
            case [host, service, namespace, "svc"]:
                return self._service(name, (namespace, service), host, aliases)
            case [dashed, namespace, "pod"]:
                return self._pod_record(name, dashed, namespace, aliases)
        return Found(name, nothing=f"{name} is no name of a Service", aliases=aliases)

    def _service(self, name: str, key: Key, host: str, aliases: tuple[Service, ...]) -> Found:
        service = self._cluster.get(SERVICE, key)
        if not isinstance(service, Service):
            if not self._known:
                return Found(
                    name, unknown=f"whether there is a Service {key[0]}/{key[1]} is not known", aliases=aliases
                )
            if key == API_SERVER and not host:
                return Found(name, unknown="Service default/kubernetes is in every cluster, but not in this state")
            return Found(name, nothing=f"there is no Service {key[1]} in namespace {key[0]}", aliases=aliases)
        if service.spec.type == "ExternalName":
            if host:
                return Found(
                    name, nothing=f"Service {key[0]}/{key[1]} is an ExternalName, without pods", aliases=aliases
                )
            return self._alias(name, service, aliases)
        if host:
            return self._one_of(name, service, host, aliases)
        endpoints = behind(self._cluster, service)
        if endpoints.known and not endpoints.endpoints:
            told = f"Service {key[0]}/{key[1]} has no {'ready ' if endpoints.unready else ''}endpoints"
            if headless(service.spec):
                return Found(name, nothing=f"{told}, and being headless no address", near=True, aliases=aliases)
            if "ignore empty_service" in self.dns.written:
                return Found(
                    name, nothing=f"{told}: the Corefile says ignore empty_service", near=True, aliases=aliases
                )
        return Found(name, service=service, aliases=aliases)

    def _alias(self, name: str, service: Service, aliases: tuple[Service, ...]) -> Found:
        """An ExternalName's CNAME; no search path is tried for what it says."""
        target = service.spec.external_name.lower().removesuffix(".")
        way = (*aliases, service)
        if service in aliases or len(way) > _MOST_ALIASES:
            return Found(name, nothing="the ExternalNames go round in a circle", aliases=way)
        if parse_address(target) is not None:
            if self.dns.is_core_dns:
                return Found(name, nothing=f"CoreDNS has no answer for an ExternalName {target}", aliases=way)
            return Found(name, unknown=f"what the DNS makes of an ExternalName {target} is not known", aliases=way)
        named = service_name(target)
        short = (
            named is not None and not named.domain and (named.full or self._cluster.get(SERVICE, named.key) is not None)
        )
        if "." not in target or short:
            return Found(name, nothing=f"no search path is tried for the target {target}", aliases=way)
        return self._ask(target, way) if not self._wrong_domain(target) else self._elsewhere(target, way)

    def _elsewhere(self, target: str, aliases: tuple[Service, ...]) -> Found:
        reason = self._wrong_domain(target)
        if self.dns.assumed or reason is None:
            return Found(target, unknown=f"the cluster's domain is not known, {target} may be in it", aliases=aliases)
        return Found(target, nothing=reason, aliases=aliases)

    def _one_of(self, name: str, service: Service, host: str, aliases: tuple[Service, ...]) -> Found:
        """A pod behind a Service by its own name: spec.hostname, as StatefulSets give it, or its address in dashes."""
        namespace, own = service.key
        endpoints = behind(self._cluster, service)
        address = _undashed(host)
        for endpoint in endpoints.endpoints:
            at = endpoint.at
            if isinstance(at, str):
                if address is not None and parse_address(at) == parse_address(address):
                    return Found(name, endpoint=endpoint, aliases=aliases)
            elif isinstance(at, Pod):
                if address is not None and address in at.ips:
                    return Found(name, endpoint=endpoint, aliases=aliases)
                if at.name == host and self._names_its_pods(at, own):
                    return Found(name, endpoint=endpoint, aliases=aliases)
            elif self._is_template_of(at, host, own):
                return Found(name, endpoint=endpoint, aliases=aliases)
        pod = self._cluster.get(POD, (namespace, host))
        if isinstance(pod, Pod) and not pod.finished and (pod.owner is None or pod.owner[0] != "StatefulSet"):
            told = f"whether pod {namespace}/{host} has the hostname {host} and the subdomain {own} is not known"
            return Found(name, unknown=told, aliases=aliases)
        if not endpoints.known:
            return Found(name, unknown=f"the endpoints of Service {namespace}/{own} are not known", aliases=aliases)
        told = f"no ready pod behind Service {namespace}/{own} has the hostname {host}"
        return Found(name, nothing=told, near=True, aliases=aliases)

    def _names_its_pods(self, pod: Pod, service: str) -> bool:
        """Whether a pod goes by its own name under a Service: a StatefulSet's serviceName says under which."""
        if pod.owner is None or pod.owner[0] != "StatefulSet":
            return False
        owner = self._cluster.get(STATEFUL_SET, (pod.namespace, pod.owner[1]))
        return not isinstance(owner, Workload) or owner.service_name in ("", service)

    @staticmethod
    def _is_template_of(template: Workload, host: str, service: str) -> bool:
        number = host.removeprefix(f"{template.name}-")
        return (
            template.kind == STATEFUL_SET
            and template.service_name == service
            and number != host
            and number.isdigit()
            and int(number) < template.replicas
        )

    def _pod_record(self, name: str, dashed: str, namespace: str, aliases: tuple[Service, ...]) -> Found:
        """``10-0-0-1.namespace.pod.domain``: an address, where the Corefile has it answered."""
        address = _undashed(dashed)
        if address is None:
            return Found(name, nothing=f"{dashed} is no address", aliases=aliases)
        if self._known and self._cluster.namespace(namespace) is None:
            return Found(name, nothing=f"there is no namespace {namespace}", aliases=aliases)
        if not self.dns.written:
            return Found(name, unknown="whether the cluster's DNS answers for names of pods is not known")
        if not any(f"pods {mode}" in self.dns.written for mode in ("insecure", "verified")):
            return Found(name, nothing="the Corefile has no names of pods answered", aliases=aliases)
        return Found(name, endpoint=Endpoint(address, ()), aliases=aliases)

    # --- how it ends

    @staticmethod
    def _answered(host: str, found: Found) -> Answered:
        way = "".join(f"Service {'/'.join(s.key)}, an ExternalName for {s.spec.external_name}; " for s in found.aliases)
        if found.unknown:
            return Answered(None, f"{host}: {way}{found.unknown}", found=found)
        if found.nothing:
            return Answered(False, f"{host} does not resolve: {way}{found.nothing}", found=found)
        if found.outside:
            return Answered(None, f"{host} is {way}only the outside can answer {found.outside}", found=found)
        if found.endpoint is not None:
            at = found.endpoint.at
            who = at if isinstance(at, str) else f"{at.namespace}/{at.name}"
            return Answered(True, f"{host} is {way}{who} ({found.name})", found=found)
        service = found.service
        assert service is not None  # noqa: S101 - it is what is left
        kind = ", headless" if headless(service.spec) else ""
        return Answered(True, f"{host} is {way}Service {'/'.join(service.key)}{kind} ({found.name})", found=found)

    def _not_inside(self, host: str) -> Answered:
        """No name of the cluster: a slip, or a name of the outside."""
        name = host.removesuffix(".")
        if host != name and self.lookup(name).ok:
            # As a name of the outside it may exist: example.com. beside Service example of namespace com.
            told = f"{host}: with a dot at the end no search path is tried, only the outside can answer it"
            return Answered(None if "." in name else False, told, f"write {name}", Found(name, unknown=told))
        wrong = self._wrong_domain(name)
        if wrong is not None:
            return self._of_another_domain(host, name, wrong)
        labels = name.split(".")
        zone = next((d for d in self.dns.domains if name.endswith(f".{d}")), None)
        inner = name.removesuffix(f".{zone}").split(".") if zone else labels
        if zone and "svc" not in inner and len(inner) == 2:
            return Answered(
                False, f"{name} does not resolve: Services are under svc.{zone}", f"write {'.'.join(inner)}.svc.{zone}"
            )
        named = service_name(name)
        if named is not None and named.full and named.domain not in ("", *self.dns.domains):
            told = f"{host}: {named.domain} is not the cluster's own domain; who answers for it is not known"
            return Answered(None, told, found=Found(name, unknown=told))
        if len(labels) == 1:
            return self._no_service(host, self._namespace, name)
        if named is not None and (named.full or self._means_a_service(named.key)):
            lost = self._no_service(host, named.namespace, named.service)
            if lost.ok is None or not _may_be_outside(host):
                return lost
            told = f"{lost.says.replace(' does not resolve', '')}; whether the outside knows it, nobody here can tell"
            return Answered(None, told, lost.remedy, Found(name, unknown=told))
        if zone:
            return Answered(False, f"{name} does not resolve: it is no name of a Service or pod of this cluster")
        elsewhere = self._namespaces_with(labels[0]) if len(labels) == 2 else []
        seen = f"; Service {labels[0]} is in {_listed(elsewhere)}" if elsewhere else ""
        return Answered(
            None,
            f"{name} is no name of this cluster{seen}: only the outside can answer it",
            f"for that Service write {labels[0]}.{elsewhere[0]}" if elsewhere else "",
            Found(name, outside=name),
        )

    def _wrong_domain(self, name: str) -> str | None:
        """Why a name that looks like a Service's is in no domain of this cluster; None where it is, or is none."""
        named = service_name(name)
        if named is not None and named.full and named.domain:
            domain = named.domain
        elif name.endswith(f".{DEFAULT_DOMAIN}"):
            domain = DEFAULT_DOMAIN
        else:
            return None
        if domain in self.dns.domains or domain.endswith(CLUSTER_SET_DOMAIN) or self.dns.mentions(domain):
            return None
        return f"{domain} is not this cluster's domain, which is {self.dns.domain}"

    def _of_another_domain(self, host: str, name: str, wrong: str) -> Answered:
        named = service_name(name)
        full = self.dns.full_name(named) if named is not None and named.full else ""
        if self.dns.assumed:
            told = f"{host}: whether {self.dns.domain} is this cluster's domain is not known"
            return Answered(None, told, found=Found(name, unknown=told))
        there = named is not None and self._cluster.get(SERVICE, named.key) is not None
        return Answered(False, f"{name} does not resolve: {wrong}", f"write {full}" if there and full else "")

    def _means_a_service(self, key: Key) -> bool:
        """Whether ``name.namespace`` is meant to be in the cluster: the namespace is there, or nearly."""
        return self._cluster.namespace(key[0]) is not None or (
            bool(self._namespaces_with(key[1])) and nearest(key[0], self._cluster.namespace_names()) is not None
        )

    def _no_service(self, host: str, namespace: str, service: str) -> Answered:
        domain = self.dns.domain
        if not self._known:
            return Answered(None, f"{host}: whether there is a Service {namespace}/{service} is not known")
        absent = namespace and self._cluster.namespace(namespace) is None
        lost = f"but there is no namespace {namespace}" if absent else "which is not there"
        says = f"{host} does not resolve: looked up as {service}.{namespace}.svc.{domain}, {lost}"
        elsewhere = self._namespaces_with(service)
        if service == API_SERVER[1] and not elsewhere:
            elsewhere = [API_SERVER[0]]
        if elsewhere:
            there = elsewhere[0]
            says += f"; Service {service} is in {_listed(elsewhere)}"
            return Answered(False, says, f"write {service}.{there}, or in full {service}.{there}.svc.{domain}")
        names = [s.metadata.name for s in self._cluster.services_in(namespace)]
        if near := nearest(service, names):
            return Answered(False, says, f"write {host.replace(service, near, 1)}")
        if absent and (near := nearest(namespace, self._cluster.namespace_names())):
            return Answered(False, says, f"write {service}.{near}")
        return Answered(False, says, self._expose(namespace, service))

    def _expose(self, namespace: str, name: str) -> str:
        """What to do about a name that only a pod or a workload has: they have none in DNS."""
        for kind in (POD, *WORKLOADS):
            there = [key[0] for key in self._cluster.keys(kind) if key[1] == name]
            if not there:
                continue
            word = kind.rpartition("/")[2]
            where = namespace if namespace in there else min(there)
            told = f"{word} {where}/{name} is there, but only Services have names in DNS"
            if kind in (POD, DEPLOYMENT):
                return f"{told}: kubectl expose {word.lower()} {name} -n {where} --port=…"
            return f"{told}: make one"
        return ""

    def _namespaces_with(self, service: str) -> list[str]:
        return sorted(s.metadata.namespace for s in self._cluster.services if s.metadata.name == service)


def _may_be_outside(host: str) -> bool:
    """Whether the last name that is tried, as it was typed, may exist in the DNS of the world."""
    labels = host.removesuffix(".").split(".")
    return len(labels) > 1 and labels[-1] in _TOP_LEVEL


def _listed(names: Sequence[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _undashed(host: str) -> str | None:
    """``10-0-0-1`` as an address."""
    for separator in (".", ":"):
        number = parse_address(host.replace("-", separator))
        if number is not None and (separator == ":") == (number >= IPV6):
            return format_address(number)
    return None
