"""What the cluster's DNS answers for: its domains, which program serves it, and which names are names of Services.

Sources: facts 3.5; coredns.io/manual/configuration (the Corefile) and coredns.io/plugins/kubernetes (zones).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from webhook.model.cluster import Cluster
from webhook.model.objects import DAEMON_SET, DEPLOYMENT, Key, Workload

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
