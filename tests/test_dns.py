"""The cluster's DNS, told from its objects: Corefiles as distributions ship them, and names taken apart."""

import msgspec
import pytest

from webhook.dns import COREFILES, ClusterDNS, ServiceName, cluster_zones, dns_of, service_name
from webhook.model.cluster import Cluster
from webhook.model.objects import DAEMON_SET, DEPLOYMENT, ConfigMap, Container, Record, Workload
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
