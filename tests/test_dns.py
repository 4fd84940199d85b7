"""The cluster's DNS, told from its objects: Corefiles as distributions ship them, and names taken apart."""

import io

import msgspec
import pytest

from webhook.dns import (
    COREFILES,
    ClusterDNS,
    NameServers,
    NodeCache,
    ServiceName,
    cluster_zones,
    dns_of,
    name_servers,
    service_name,
)
from webhook.model.cluster import Cluster
from webhook.model.objects import DAEMON_SET, DEPLOYMENT, POD, SERVICE, ConfigMap, Container, Record, Workload
from webhook.state.files import FileState
from webhook.state.watch import CONFIG_MAPS

KUBEADM = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""
K3S = """.:53 {
    errors
    health
    ready
    kubernetes k3s.example in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    hosts /etc/coredns/NodeHosts {
      ttl 60
      reload 15s
      fallthrough
    }
    prometheus :9153
    import /etc/coredns/custom/*.override
}
import /etc/coredns/custom/*.server
"""
RKE2 = """.:53 {
    errors
    health  {
        lameduck 10s
    }
    kubernetes   cluster.local  cluster.local in-addr.arpa ip6.arpa {
        pods insecure
    }
    forward  . /etc/resolv.conf
}"""
OPENSHIFT = """.:5353 {
    bufsize 1232
    errors
    log . {
        class error
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    policy sequential
}
hostname.bind:5353 {
    chaos
}
"""


def corefile(text: str, name: str = "coredns", key: str = "Corefile", namespace: str = "kube-system") -> ConfigMap:
    return ConfigMap(namespace, name, {key: text})


def dns(*records: Record) -> ClusterDNS:
    return dns_of(Cluster.of(records))


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        (KUBEADM, ["cluster.local"]),
        (K3S, ["k3s.example"]),
        (RKE2, ["cluster.local", "cluster.local"]),
        (OPENSHIFT, ["cluster.local"]),
        ("cluster.local:53 in-addr.arpa:53 {\n  kubernetes\n}", ["cluster.local"]),
        ("dns://Example.ORG.:53, 10.96.0.0/12 {\n  kubernetes {\n    pods disabled\n  }\n}", ["example.org"]),
        (".:53 {\n  kubernetes a.example b.example 10.0.0.0/8\n}", ["a.example", "b.example"]),
        (".:53 {\n  # kubernetes old.example\n  kubernetes new.example # was old.example\n}", ["new.example"]),
        ("a.example {\n kubernetes\n}\nb.example{\n kubernetes\n}", ["a.example", "b.example"]),
        ("a.example {\n forward . 1.1.1.1\n}\n. {\n kubernetes b.example\n}", ["b.example"]),
        (". {\n  forward . 1.1.1.1 {\n    kubernetes inside.example\n  }\n}", []),
        (". {\n  kubernetes\n}", [None]),
        (". {\n  kubernetes $CLUSTERDOMAIN in-addr.arpa\n}", [None]),
        (
            ". {\n  kubernetes {$DOMAIN} in-addr.arpa {\n  }\n  errors\n}\nx.example {\n  kubernetes\n}",
            [None, "x.example"],
        ),
        (". {\n  kubernetes {{ .Domain }}\n}", [None, None, None]),
        ("(common) {\n  kubernetes c.example\n}\n. {\n  import common\n}", ["c.example"]),
        ("}\n}\n. {\n  kubernetes c.example", ["c.example"]),
        ("", []),
    ],
)
def test_zones_of_a_corefile(text: str, zones: list[str | None]) -> None:
    assert list(cluster_zones(text)) == zones


def test_the_domain_is_the_corefile_s() -> None:
    found = dns(corefile(K3S))
    assert (found.domain, found.assumed) == ("k3s.example", False)
    assert dns(corefile(RKE2, "rke2-coredns-rke2-coredns")).domains == ("cluster.local",)
    assert not dns(corefile(OPENSHIFT, "dns-default", namespace="openshift-dns")).assumed


def test_nothing_known_is_an_assumption() -> None:
    assert dns() == ClusterDNS(("cluster.local",), assumed=True)
    unclear = dns(corefile(". {\n kubernetes $CLUSTERDOMAIN\n}"))
    assert (unclear.domain, unclear.assumed) == ("cluster.local", True)
    assert dns(corefile("stub", "coredns", "NodeHosts")).assumed
    assert dns(corefile(KUBEADM, "my-coredns")).assumed


def test_custom_blocks_and_lines_count() -> None:
    servers = corefile("second.example:53 {\n  kubernetes\n}", "coredns-custom", "second.server")
    assert dns(corefile(KUBEADM), servers).domains == ("cluster.local", "second.example")
    line = corefile("kubernetes third.example", "coredns-custom", "third.override")
    assert dns(corefile(KUBEADM), line).domains == ("cluster.local", "third.example")


def test_the_answer_follows_the_state() -> None:
    cluster = Cluster.of([corefile(KUBEADM)])
    assert dns_of(cluster) is dns_of(cluster)
    cluster.put(corefile(K3S))
    assert dns_of(cluster).domain == "k3s.example"


def test_what_is_looked_for_is_watched() -> None:
    assert set(COREFILES) <= set(CONFIG_MAPS)


@pytest.mark.parametrize(
    ("line", "domain", "mentioned"),
    [
        ("", "west.example.com", False),
        ("rewrite name suffix .west.example.com .cluster.local", "west.example.com", True),
        (r"rewrite name regex (.*)\.svc\.west\.example\.com {1}.svc.cluster.local", "west.example.com", True),
        ("forward example.com 10.0.0.2", "west.example.com", True),
        ("forward northwest.example.net 10.0.0.2", "west.example.net", False),
        ("forward other.com 10.0.0.2", "west.example.com", False),
        ("", "old.cluster.local", False),
    ],
)
def test_a_domain_that_the_configuration_speaks_of(line: str, domain: str, mentioned: bool) -> None:
    assert dns(corefile(KUBEADM.replace("ready", line))).mentions(domain) is mentioned


def server(name: str, image: str, label: str = "kube-dns", **fields: object) -> Workload:
    plain = Workload(kind=DEPLOYMENT, namespace="kube-system", name=name, labels={"k8s-app": label})
    return msgspec.structs.replace(plain, containers=(Container("dns", image),), **fields)


@pytest.mark.parametrize(
    ("servers", "core_dns"),
    [
        ([], None),
        ([server("coredns", "registry.k8s.io/coredns/coredns:v1.12.1")], True),
        ([server("kube-dns", "registry.example/coredns@sha256:0")], True),
        ([server("coredns", "registry.example/dns:1")], True),
        ([server("cluster-dns", "registry.example/dns:1")], None),
        ([server("kube-dns", "registry.k8s.io/dns/k8s-dns-kube-dns:1.26.4")], False),
        ([server("kube-dns", "mirror.example/dns:1")], False),
        ([server("coredns", "coredns"), server("kube-dns", "k8s-dns-kube-dns:1")], False),
        ([server("coredns", "coredns"), server("kube-dns", "k8s-dns-kube-dns:1", replicas=0)], True),
        ([server("coredns", "coredns", namespace="shop")], None),
        ([server("node-local-dns", "k8s-dns-node-cache:1.26.4", "node-local-dns", kind=DAEMON_SET)], None),
        ([server("dns-default", "x@sha256:0", namespace="openshift-dns", kind=DAEMON_SET,
                 labels={"dns.operator.openshift.io/daemonset-dns": "default"})], True),
    ],
)  # fmt: skip
def test_which_program_answers(servers: list[Workload], core_dns: bool | None) -> None:
    assert dns(*servers).is_core_dns is core_dns


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("db.shop.svc", ServiceName("db", "shop")),
        ("db.shop.svc.cluster.local", ServiceName("db", "shop", "cluster.local")),
        ("DB.shop.svc.Cluster.Local.", ServiceName("db", "shop", "cluster.local")),
        ("db-0.db.shop.svc.cluster.local", ServiceName("db", "shop", "cluster.local", host="db-0")),
        ("db.shop", ServiceName("db", "shop", full=False)),
        ("example.com", ServiceName("example", "com", full=False)),
        ("a.svc.b.example.com", None),
        ("www.example.com", None),
        ("db", None),
        ("svc", None),
        ("", None),
        ("db..svc", None),
        ("10-0-0-1.shop.pod.cluster.local", None),
        ("http://db.shop.svc", None),
    ],
)
def test_names_taken_apart(host: str, name: ServiceName | None) -> None:
    assert service_name(host) == name


def test_the_name_to_write() -> None:
    name = service_name("db-0.db.shop.svc.old.example")
    assert name is not None
    assert dns(corefile(K3S)).full_name(name) == "db-0.db.shop.svc.k3s.example"


# --- where queries arrive ---------------------------------------------------------------------------------------------

KUBE_DNS = """
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: kube-system, labels: {k8s-app: kube-dns, kubernetes.io/name: CoreDNS}}
spec:
  clusterIP: 10.96.0.10
  selector: {k8s-app: kube-dns}
  ports:
    - {name: dns, port: 53, protocol: UDP, targetPort: UDP}
    - {name: dns-tcp, port: 53, protocol: TCP, targetPort: TCP}
    - {name: metrics, port: 9153, protocol: TCP, targetPort: 9153}
"""
CORE_DNS = """
apiVersion: v1
kind: Pod
metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: coredns, ports: [PORTS]}]}
"""
OPENSHIFT_DNS = """
apiVersion: v1
kind: Service
metadata: {name: dns-default, namespace: openshift-dns, labels: {dns.operator.openshift.io/owning-dns: default}}
spec:
  clusterIP: 172.30.0.10
  selector: {dns.operator.openshift.io/daemonset-dns: default}
  ports:
    - {name: dns, port: 53, protocol: UDP, targetPort: dns}
    - {name: dns-tcp, port: 53, protocol: TCP, targetPort: dns-tcp}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: dns-default, namespace: openshift-dns}
spec:
  template:
    metadata: {labels: {dns.operator.openshift.io/daemonset-dns: default}}
    spec:
      containers:
        - name: dns
          ports: [{containerPort: 5353, name: dns, protocol: UDP}, {containerPort: 5353, name: dns-tcp, protocol: TCP}]
"""
NODE_LOCAL = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-local-dns, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: node-local-dns}}
    spec:
      hostNetwork: true
      containers: [{name: node-cache, image: "registry.k8s.io/dns/k8s-dns-node-cache:1.26.4", args: ARGS}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns-upstream, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {clusterIP: 10.96.9.9, selector: {k8s-app: kube-dns}, ports: [{port: 53, protocol: UDP}]}
"""


def kube_dns(udp: int | str = 53, tcp: int | str = 53, name: str = "kube-dns") -> str:
    return KUBE_DNS.replace("NAME", name).replace("t: UDP}", f"t: {udp}}}").replace("t: TCP}", f"t: {tcp}}}")


def core_dns(ports: str = "") -> str:
    return CORE_DNS.replace("PORTS", ports)


def servers(*documents: str, complete: bool = False) -> NameServers:
    state = FileState(complete=complete)
    state.load(["-"], stdin=io.BytesIO("---\n".join(documents).encode()))
    assert not state.problems
    return name_servers(state.cluster)


def summary(found: NameServers) -> list[tuple[str, list[tuple[str, int | None, int | None]]]]:
    return [
        ("/".join(s.key), [(m.at if isinstance(m.at, str) else m.at.name, m.udp, m.tcp) for m in s.servers])
        for s in found.services
    ]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        pytest.param([kube_dns(), core_dns()], [("kube-system/kube-dns", [("coredns-1", 53, 53)])], id="kubeadm"),
        pytest.param(
            [kube_dns(name="rke2-coredns-rke2-coredns").replace("k8s-app: kube-dns, k", "k"), core_dns()],
            [("kube-system/rke2-coredns-rke2-coredns", [("coredns-1", 53, 53)])],
            id="rke2",
        ),
        pytest.param([kube_dns(8053, 8053), core_dns()], [("kube-system/kube-dns", [("coredns-1", 8053, 8053)])],
                     id="gardener"),
        pytest.param([OPENSHIFT_DNS], [("openshift-dns/dns-default", [("dns-default", 5353, 5353)])], id="openshift"),
        pytest.param(
            [kube_dns("dns", "dns-tcp"), core_dns("{containerPort: 5300, name: dns, protocol: UDP}")],
            [("kube-system/kube-dns", [("coredns-1", 5300, None)])],
            id="named-port-of-one-protocol",
        ),
        pytest.param([kube_dns("dns", "dns"), core_dns()], [("kube-system/kube-dns", [])], id="named-port-nowhere"),
        pytest.param([kube_dns()], [("kube-system/kube-dns", [])], id="pods-not-known"),
        pytest.param([core_dns()], [], id="service-not-known"),
        pytest.param(
            [kube_dns(), core_dns(), NODE_LOCAL.replace("ARGS", "[]")],
            [("kube-system/kube-dns", [("coredns-1", 53, 53)])],
            id="what-the-cache-asks-pods-do-not",
        ),
        pytest.param(
            [kube_dns(name="cluster-dns").replace("k8s-app: kube-dns, k", "k"), core_dns()],
            [("kube-system/cluster-dns", [("coredns-1", 53, 53)])],
            id="the-only-one-there",
        ),
        pytest.param(
            [kube_dns().replace("53, protocol: UDP", "54, protocol: UDP"), core_dns()], [], id="not-on-port-53"
        ),
        pytest.param([kube_dns().replace("10.96.0.10", "None"), core_dns()], [], id="headless"),
        pytest.param(
            [
                kube_dns().replace("  selector: {k8s-app: kube-dns}\n", ""),
                """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.9]}]
ports: [{name: dns, port: 5353, protocol: UDP}, {name: dns-tcp, port: 5354, protocol: TCP}, {name: metrics, port: 9}]
""",
            ],
            [("kube-system/kube-dns", [("10.0.0.9", 5353, 5354)])],
            id="endpoints-that-somebody-wrote",
        ),
    ],
)  # fmt: skip
def test_where_queries_arrive(
    documents: list[str], expected: list[tuple[str, list[tuple[str, int | None, int | None]]]]
) -> None:
    assert summary(servers(*documents)) == expected


def test_dns_elsewhere_counts_only_where_there_is_none_in_its_place() -> None:
    other = kube_dns(name="dns").replace("kube-system", "dns").replace("k8s-app: kube-dns", "app: dns")
    pods = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: dns, namespace: dns}
spec:
  template:
    metadata: {labels: {app: dns}}
    spec: {containers: [{name: dns, image: "coredns/coredns:1.12"}]}
"""
    assert summary(servers(other, pods, complete=True)) == [("dns/dns", [("dns", 53, 53)])]
    assert summary(servers(other, pods)) == []
    assert summary(servers(other, pods, kube_dns(), core_dns(), complete=True)) == [
        ("kube-system/kube-dns", [("coredns-1", 53, 53)])
    ]


def test_two_that_pods_may_ask() -> None:
    found = servers(kube_dns(), kube_dns(name="coredns"), core_dns())
    assert sorted(s.key[1] for s in found.services) == ["coredns", "kube-dns"]


@pytest.mark.parametrize(
    ("args", "addresses"),
    [
        ("[-localip, '169.254.20.10,10.96.0.10', -conf, /etc/Corefile]", ("169.254.20.10", "10.96.0.10")),
        ("['-localip=169.254.20.25']", ("169.254.20.25",)),
        ("['--localip=169.254.20.25,__PILLAR__DNS__SERVER__']", ("169.254.20.25",)),
        ("[-localip, '__PILLAR__LOCAL__DNS__,__PILLAR__DNS__SERVER__']", ("169.254.20.10", "10.96.0.10")),
        ("[-conf, /etc/Corefile]", ("169.254.20.10", "10.96.0.10")),
        ("[-localip]", ("169.254.20.10", "10.96.0.10")),
    ],
)
def test_a_cache_on_every_node(args: str, addresses: tuple[str, ...]) -> None:
    cache = servers(kube_dns(), core_dns(), NODE_LOCAL.replace("ARGS", args)).cache
    assert cache == NodeCache(("kube-system", "node-local-dns"), addresses)


def test_a_cache_by_its_name_alone_and_outside_its_node_s_network() -> None:
    mirrored = NODE_LOCAL.replace("ARGS", "[]").replace("registry.k8s.io/dns/k8s-dns-node-cache", "mirror/dns")
    assert servers(kube_dns(), mirrored).cache is not None
    pods_own = servers(kube_dns(), mirrored.replace("hostNetwork: true", "hostNetwork: false")).cache
    assert pods_own is not None
    assert not pods_own.host_network
    assert servers(kube_dns(), mirrored.replace("node-local-dns", "other")).cache is None


def test_nothing_is_known_without_objects() -> None:
    assert not servers(kube_dns()).known
    assert not servers().known
    assert servers(kube_dns(), core_dns()).known


def test_the_servers_follow_the_state() -> None:
    cluster = Cluster.of([])
    assert name_servers(cluster) is name_servers(cluster)
    state = FileState()
    state.load(["-"], stdin=io.BytesIO(f"{kube_dns()}---{core_dns()}".encode()))
    for kind in (SERVICE, POD):
        for key in state.cluster.keys(kind):
            record = state.cluster.get(kind, key)
            assert record is not None
            cluster.put(record)
    assert name_servers(cluster).known
