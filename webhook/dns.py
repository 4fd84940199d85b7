"""What the cluster's DNS answers for: its domains, which program serves it, where queries for names really arrive, and
which names are names of Services.

Sources: facts 3.5; coredns.io/manual/configuration (the Corefile) and coredns.io/plugins/kubernetes (zones).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from webhook.backends import Member, find_port, headless
from webhook.model.cluster import Cluster, PodClass
from webhook.model.objects import (
    DAEMON_SET,
    DEPLOYMENT,
    SERVICE,
    Key,
    Protocol,
    Service,
    Workload,
)
from webhook.model.selectors import equality_selector

DEFAULT_DOMAIN: Final = "cluster.local"
"""kubeadm's, and what nearly every cluster has (kubeadm.k8s.io/v1beta4 Networking.dnsDomain)."""
CLUSTER_SET_DOMAIN: Final = "clusterset.local"
"""Services of several clusters have their names here (KEP-1645, Multi-Cluster Services)."""
COREFILES: Final[Sequence[Key]] = (
    ("kube-system", "coredns"),
    ("kube-system", "coredns-custom"),
    ("kube-system", "rke2-coredns-rke2-coredns"),
    ("openshift-dns", "dns-default"),
)
"""Where distributions keep what CoreDNS is told: kubeadm, EKS, AKS, k3s; k3s, AKS; RKE2; OpenShift."""
_NAMESPACES: Final = frozenset(key[0] for key in COREFILES)
DNS_PORT: Final = 53
"""What resolv.conf gives no port for: a Service that pods ask has this one (resolv.conf(5))."""
NODE_LOCAL_ADDRESS: Final = "169.254.20.10"
"""Where NodeLocal DNSCache listens unless it is told otherwise (k8s.io/kubernetes cluster/addons/dns/nodelocaldns)."""
_SERVICE_NAMES: Final = ("kube-dns", "coredns")
_UPSTREAM: Final = "kube-dns-upstream"
"""What NodeLocal DNSCache itself asks: the same pods under another address, which pods do not ask."""
_CACHE_NAMES: Final = frozenset({"node-local-dns", "nodelocaldns"})
"""What the add-on and kubespray call NodeLocal DNSCache."""
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LONGEST_NAME: Final = 254
"""Of a name, with its last dot (RFC 1035 2.3.4)."""


class ServiceName(Struct, frozen=True):
    """A host name taken apart that may be the name of a Service of a cluster.

    Args:
        service, namespace: the Service.
        domain: what follows ``svc``; empty when nothing does.
        full: whether ``svc`` is part of the name.
        host: the name of one of its pods, before the Service's.
    """

    service: str
    namespace: str
    domain: str = ""
    full: bool = True
    host: str = ""

    def __str__(self) -> str:
        labels = (self.host, self.service, self.namespace, "svc" if self.full else "", self.domain)
        return ".".join(filter(None, labels))

    @property
    def key(self) -> Key:
        return self.namespace, self.service


class ClusterDNS(Struct, frozen=True):
    """The cluster's DNS.

    Args:
        domains: the cluster domains, the first being the one to write; `DEFAULT_DOMAIN` when none is known.
        assumed: no domain was found in the cluster's objects: nothing may be concluded from a name's domain.
        is_core_dns: whether CoreDNS serves it, and nothing else; None when that is not known.
        written: all that its configuration says, in lower case.
    """

    domains: tuple[str, ...] = (DEFAULT_DOMAIN,)
    assumed: bool = True
    is_core_dns: bool | None = None
    written: str = ""

    @property
    def domain(self) -> str:
        """The cluster domain to write."""
        return self.domains[0]

    def full_name(self, name: ServiceName) -> str:
        """The name that resolves from every namespace, and without a search path."""
        return str(msgspec.structs.replace(name, full=True, domain=self.domain))

    def mentions(self, domain: str) -> bool:
        """Whether its configuration says anything of a domain: it may be rewritten, forwarded or served by a file.

        A parent counts as well: what is forwarded for ``example.com`` is forwarded for ``west.example.com``.
        """
        labels = domain.lower().split(".")
        if re.search(rf"(?<![a-z0-9-]){_exactly(domain)}", self.written):
            return True
        parents = {".".join(labels[i:]) for i in range(1, len(labels) - 1)}.difference(self.domains)
        return any(re.search(rf"(?<![a-z0-9-])(?<![a-z0-9-]\.){_exactly(p)}", self.written) for p in parents)


def _exactly(domain: str) -> str:
    """A pattern for a domain that ends here."""
    return rf"{re.escape(domain.lower())}(?!\.?[a-z0-9-])"


_memory: WeakKeyDictionary[Cluster, tuple[int, ClusterDNS]] = WeakKeyDictionary()


def dns_of(cluster: Cluster) -> ClusterDNS:
    """Says what the cluster's DNS is, from its ConfigMaps and workloads; kept until the state changes."""
    kept = _memory.get(cluster)
    if kept is None or kept[0] != cluster.generation:
        kept = _memory[cluster] = cluster.generation, _look(cluster)
    return kept[1]


def _look(cluster: Cluster) -> ClusterDNS:
    maps = [found for key in COREFILES if (found := cluster.config_map(*key)) is not None]
    domains: list[str] = []
    doubtful = False
    for config_map in maps:
        for key, text in config_map.data.items():
            for zone in _zones_of(key, text):
                if zone is None:
                    doubtful = True
                elif zone not in domains:
                    domains.append(zone)
    written = "\n".join(text for m in maps for text in m.data.values()).lower().replace("\\", "")
    known = bool(domains) and not doubtful
    return ClusterDNS(
        domains=tuple(domains) or (DEFAULT_DOMAIN,), assumed=not known, is_core_dns=_program(cluster), written=written
    )


def _program(cluster: Cluster) -> bool | None:
    """Told by images: a Deployment named kube-dns may well run CoreDNS."""
    programs = {
        _serves(workload)
        for kind in (DEPLOYMENT, DAEMON_SET)
        for key in cluster.keys(kind)
        if key[0] in _NAMESPACES
        and isinstance(workload := cluster.get(kind, key), Workload)
        and (workload.kind == DAEMON_SET or workload.replicas > 0)
    } - {None}
    if not programs:
        return None
    return programs == {True}


def _serves(workload: Workload) -> bool | None:
    """Whether a workload serves the cluster's DNS as CoreDNS (True) or as another program (False)."""
    images = [c.image.rpartition("/")[2].partition("@")[0].partition(":")[0].lower() for c in workload.containers]
    if any("coredns" in image for image in images) or (
        workload.labels.get("dns.operator.openshift.io/daemonset-dns") == "default"
    ):
        return True
    if any("kube-dns" in image or "kubedns" in image for image in images):
        return False
    if workload.labels.get("k8s-app") == "kube-dns":
        # An image under another name (a mirror): the workload's own name is what is left.
        return True if "coredns" in workload.name else False if "kube-dns" in workload.name else None
    return None


# --- where queries arrive ---------------------------------------------------------------------------------------------


class NameServer(Struct, frozen=True):
    """One of those who answer, where policies see the query: behind the Service, at the port that it listens on.

    Args:
        at: the pod, or the template of pods to come; an address where no pod is known to have it.
        udp, tcp: the number of its port (53, OpenShift 5353, Gardener 8053); None where it has none of the protocol.
    """

    at: Member | str
    udp: int | None
    tcp: int | None

    def number(self, protocol: Protocol) -> int | None:
        return self.udp if protocol == "UDP" else self.tcp


class DNSService(Struct, frozen=True):
    """A Service that pods ask for names, and those who answer behind it; none where they are not known."""

    service: Service
    servers: tuple[NameServer, ...] = ()

    @property
    def key(self) -> Key:
        return self.service.key

    @property
    def addresses(self) -> tuple[str, ...]:
        """What pods' resolv.conf names."""
        return addresses_of(self.service)


class NodeCache(Struct, frozen=True):
    """NodeLocal DNSCache: a DNS server on every node that answers in place of the Service's pods.

    Where it is in its node's network, no selector finds it, and only an ipBlock of one of its addresses lets a query
    through for certain (facts 3.5).

    Args:
        name: of the DaemonSet.
        addresses: where it listens: its own, and the DNS Service's where it takes that over.
        host_network: whether it is in its node's network; else a redirection of the CNI's leads to its pods.
    """

    name: Key
    addresses: tuple[str, ...]
    host_network: bool = True


class NameServers(Struct, frozen=True):
    """Who answers the queries of pods.

    Args:
        services: the Services that pods may be told to ask; nearly always one. Which of several the kubelets name, no
            object tells: a pod that reaches the servers of any one of them may well have names.
        cache: what stands before them on every node; None where nothing is known of one.
    """

    services: tuple[DNSService, ...] = ()
    cache: NodeCache | None = None

    @property
    def known(self) -> bool:
        """Whether it is known where queries arrive; without, nothing may be concluded."""
        return self.cache is not None or any(s.servers for s in self.services)


_servers_memory: WeakKeyDictionary[Cluster, tuple[int, NameServers]] = WeakKeyDictionary()


def name_servers(cluster: Cluster) -> NameServers:
    """Says who answers the queries of pods, from Services, pods and workloads; kept until the state changes."""
    kept = _servers_memory.get(cluster)
    if kept is None or kept[0] != cluster.generation:
        services = _dns_services(cluster)
        asked = tuple(DNSService(service, tuple(_servers_behind(cluster, service))) for service in services)
        kept = _servers_memory[cluster] = cluster.generation, NameServers(asked, _node_cache(cluster, services))
    return kept[1]


def _dns_services(cluster: Cluster) -> Sequence[Service]:
    """The Services that pods ask, by what is surest: name and label, then what runs behind, then being the only one.

    Beyond the namespaces of the cluster's own DNS a Service only counts when there is certainly none in these: others
    run CoreDNS for their own zones.
    """
    here = [s for namespace in sorted(_NAMESPACES) for s in cluster.services_in(namespace) if _takes_queries(s)]
    found = [s for s in here if s.metadata.name != _UPSTREAM] or here
    for surest in (
        [s for s in found if _named_as_dns(s)],
        [s for s in found if _runs_dns(cluster, s)],
        found if len(found) == 1 else [],
    ):
        if surest:
            return surest
    if cluster.complete(SERVICE):
        elsewhere = [s for s in cluster.services if _takes_queries(s) and _runs_dns(cluster, s)]
        return elsewhere if len(elsewhere) == 1 else []
    return []


def addresses_of(service: Service) -> tuple[str, ...]:
    """The addresses at which a Service answers within the cluster; none where it is headless, or nobody said."""
    spec = service.spec
    if spec.type == "ExternalName" or headless(spec):
        return ()
    return tuple(dict.fromkeys(filter(None, (spec.cluster_ip, *spec.cluster_ips))))


def _takes_queries(service: Service) -> bool:
    """Whether it can stand in a resolv.conf: it has an address, and UDP 53."""
    spec = service.spec
    if spec.type == "ExternalName" or headless(spec):
        return False
    return any(p.port == DNS_PORT and p.protocol == "UDP" for p in spec.ports)


def _named_as_dns(service: Service) -> bool:
    """kubeadm, EKS, GKE, AKS, k3s, kops: kube-dns; RKE2: rke2-coredns-rke2-coredns; OpenShift: dns-default."""
    meta = service.metadata
    return (
        meta.labels.get("k8s-app") in _SERVICE_NAMES
        or any(name in meta.name for name in _SERVICE_NAMES)
        or (meta.namespace, meta.name) == ("openshift-dns", "dns-default")
    )


def _runs_dns(cluster: Cluster, service: Service) -> bool:
    return any(_serves(template) is not None for c in _selected(cluster, service) for template in c.templates.values())


def _selected(cluster: Cluster, service: Service) -> Collection[PodClass]:
    """The pods and templates that the Service's selector matches."""
    if not service.spec.selector:
        return ()
    return cluster.select(equality_selector(service.spec.selector), {service.metadata.namespace})


def _servers_behind(cluster: Cluster, service: Service) -> Iterable[NameServer]:
    """The pods behind a DNS Service, ready or not; the templates where no pod is known, and then the EndpointSlices."""
    classes = _selected(cluster, service)
    members: list[Member] = [p for c in classes for p in c.pods.values() if not p.terminating]
    members = members or [t for c in classes for t in c.templates.values() if t.owner is None]
    for member in members:
        udp, tcp = (_target(service, member, protocol) for protocol in ("UDP", "TCP"))
        if udp or tcp:
            yield NameServer(member, udp, tcp)
    if members:
        return
    names = {p.name for p in service.spec.ports if p.port == DNS_PORT}
    for found in cluster.slices_of(*service.key):
        # A slice gives each port of the Service by its name, with the number behind it.
        numbers = {p.protocol: p.number for p in found.ports if p.name in names}
        for address in dict.fromkeys(found.addresses):
            yield NameServer(address, numbers.get("UDP"), numbers.get("TCP"))


def _target(service: Service, member: Member, protocol: Protocol) -> int | None:
    """The port that a query on port 53 arrives at."""
    port = next((p for p in service.spec.ports if p.port == DNS_PORT and p.protocol == protocol), None)
    if port is None:
        return None
    if isinstance(port.target_port, str):
        found = find_port(member, port.target_port, protocol)
        return found.number if found else None
    return port.target_port or port.port


def _node_cache(cluster: Cluster, services: Sequence[Service]) -> NodeCache | None:
    """NodeLocal DNSCache, by the image or name of its DaemonSet."""
    for key in cluster.keys(DAEMON_SET):
        workload = cluster.get(DAEMON_SET, key)
        if key[0] not in _NAMESPACES or not isinstance(workload, Workload):
            continue
        cache = next((c for c in workload.containers if "node-cache" in c.image.rpartition("/")[2]), None)
        if cache is None and not {workload.name, workload.labels.get("k8s-app")} & _CACHE_NAMES:
            continue
        told = [a for c in workload.containers for a in _local_addresses(c.args)]
        asked = [address for s in services for address in addresses_of(s)]
        # Untold, it may or may not take over the Service's address: that depends on kube-proxy's mode.
        addresses = tuple(dict.fromkeys(told or (NODE_LOCAL_ADDRESS, *asked)))
        return NodeCache(key, addresses, workload.host_network)
    return None


def _local_addresses(args: Sequence[str]) -> Iterator[str]:
    """The addresses of ``-localip 169.254.20.10,10.96.0.10``; placeholders that nobody filled in are none."""
    for i, word in enumerate(args):
        switch, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or switch != "localip":
            continue
        for address in (value if equals else "".join(args[i + 1 : i + 2])).split(","):
            try:
                yield str(ip_address(address.strip()))
            except ValueError:
                continue


# --- the Corefile ----------------------------------------------------------------------------------------------------


def _zones_of(key: str, text: str) -> Iterator[str | None]:
    """The zones in which one text of a ConfigMap has CoreDNS serve cluster names; None for one that is unclear."""
    if key.endswith(".override"):
        # Lines that the default server block imports (k3s, AKS).
        yield from cluster_zones(f". {{\n{text}\n}}")
    elif key == "Corefile" or key.endswith(".server"):
        yield from cluster_zones(text)


def cluster_zones(corefile: str) -> Iterator[str | None]:
    """The zones of every ``kubernetes`` plugin of a Corefile that are no reverse zones, as they are written.

    A plugin without zones serves those of its server block; a zone that a variable decides, or the root zone, is
    unclear (None).

    Source: coredns.io/plugins/kubernetes (ZONES), coredns.io/manual/configuration (server blocks, snippets).
    """
    served: list[str] = []
    depth = 0
    for line in _lines(corefile):
        words = line
        if depth == 0:
            served += [word for word in words if word != "{"]
        elif depth == 1 and words[0] == "kubernetes":
            zones = [word for word in words[1:] if word not in ("{", "}")]
            forward = [zone for zone in map(_zone, zones or served) if zone is None or not zone.endswith(".arpa")]
            yield from forward
        depth += words.count("{") - words.count("}")
        if depth <= 0:
            depth = 0
            if words[-1] == "}":
                served = []


def _lines(corefile: str) -> Iterator[list[str]]:
    """The words of each line; a brace is a word of its own where it stands alone or ends a word."""
    for line in corefile.splitlines():
        code = re.sub(r"(^|\s)#.*", "", line).replace(",", " ").replace('"', " ")
        # Placeholders ({$VARIABLE}, {{ .Name }}) are no blocks.
        words = [w for word in code.split() for w in _split_braces(word)]
        if words:
            yield words


def _split_braces(word: str) -> list[str]:
    if word in ("{", "}"):
        return [word]
    if word.endswith("{") and not word.startswith("{"):
        return [word[:-1], "{"]
    return [word]


def _zone(address: str) -> str | None:
    """The zone of a server block's address (``dns://cluster.local.:53``); None when it is unclear."""
    zone = address.lower().rpartition("://")[2]
    if "/" in zone:  # a range of addresses, which stands for its reverse zone
        return "in-addr.arpa"
    zone = re.sub(r":\d+$", "", zone).rstrip(".")
    return zone if zone and all(_LABEL.fullmatch(label) for label in zone.split(".")) else None


# --- names -----------------------------------------------------------------------------------------------------------


def service_name(host: str) -> ServiceName | None:
    """Takes ``service.namespace.svc[.domain]``, or such a name of one of its pods, apart; None for other names.

    Source: github.com/kubernetes/dns docs/specification.md 2.3, 2.4.
    """
    if len(host) > _LONGEST_NAME:
        return None
    labels = host.lower().rstrip(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return None
    for i in (2, 3):
        if len(labels) > i and labels[i] == "svc":
            return ServiceName(labels[i - 2], labels[i - 1], ".".join(labels[i + 1 :]), host=".".join(labels[: i - 2]))
    if len(labels) == 2:
        return ServiceName(labels[0], labels[1], full=False)
    return None
