"""An ipBlock with the addresses of Services, which engines never see."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

from msgspec import Struct

from webhook.backends import matched
from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.checks.peer_matches_nothing import peer_namespaces
from webhook.checks.service_port_not_pod_port import BEFORE_DNAT
from webhook.concerned import neighbours
from webhook.model.cluster import PodClass
from webhook.model.objects import (
    DAEMON_SET,
    SERVICE,
    Direction,
    IPBlock,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyRule,
    Protocol,
    Service,
)

Network: TypeAlias = IPv4Network | IPv6Network
_LINK_LOCAL: Final = ip_network("169.254.0.0/16")
_DNS: Final = 53


def run(ctx: Context) -> Iterator[Finding]:
    known = _Known(ctx)
    for path, rule in ctx.policy.rules():
        ctx.spend()
        direction: Direction = "Ingress" if path.startswith("spec.ingress") else "Egress"
        if direction not in ctx.policy.directions:
            continue
        ctx.spend(len(rule.peers))
        for i, peer in enumerate(rule.peers):
            if peer.ip_block is None or not known.worth_reading(peer.ip_block.cidr):
                continue
            ctx.spend(3)
            block = _network(peer.ip_block.cidr)
            if block is None or not (known.by_address(block) or known.within(block)):
                continue
            hit = _Hit(block, known.by_address(block), rule, direction)
            about_dns = _about_dns(hit)
            if about_dns and _dns_is_local(ctx):
                continue
            level = Level.NOTE if _OtherWays(ctx, hit, known).exist() else Level.WARNING
            if about_dns and level is Level.WARNING and not ctx.cluster.complete(DAEMON_SET):
                unknown = "NodeLocal DNSCache: not all DaemonSets are known, so the use of its address was not judged"
                ctx.unknown.add(unknown)
                level = Level.NOTE
            word = "from" if direction == "Ingress" else "to"
            yield _finding(ctx, f"{path}.{word}[{i}].ipBlock.cidr", hit, level)


class _Hit(Struct, frozen=True):
    """A block that holds only addresses of Services; the one Service, where it is known."""

    block: Network
    service: Service | None
    rule: NetworkPolicyRule
    direction: Direction


def _finding(ctx: Context, path: str, hit: _Hit, level: Level) -> Finding:
    own = hit.service is not None and hit.service.metadata.namespace == ctx.namespace
    if hit.service is None:
        what, whose = f"{hit.block} is for Services", "their pods'"
        if hit.block.num_addresses == 1:
            what = f"{hit.block} is of a Service"
    else:
        namespace, name = hit.service.key
        shown = f"Service {name if own else f'{namespace}/{name}'}"
        what = f"{hit.block} is {shown if ctx.may_name(SERVICE, namespace) else 'a Service elsewhere'}"
        whose = "its pods'" if hit.service.spec.selector else "its endpoints'"
    remedy = "select their pods" if hit.service is None else "select its pods"
    if hit.service is not None and not hit.service.spec.selector:
        remedy = "write its endpoints"
    if ctx.enforcement.engine in BEFORE_DNAT:
        means = f"{ctx.enforcement.engine} sees it, other engines see {whose}"
        return Finding(path, what, "", Level.NOTE, str(hit.block), means=means)
    return Finding(
        path,
        what,
        remedy,
        level,
        str(hit.block),
        means=f"lets nothing {'in' if hit.direction == 'Ingress' else 'out'}",
        detail=f"the address is translated before policies are asked: they see {whose}",
    )


# --- what is known of Services' addresses


def _network(cidr: str) -> Network | None:
    try:
        return ip_network(cidr, strict=False)
    except ValueError:
        return None


def _within(block: Network, known: Network) -> bool:
    if isinstance(block, IPv4Network):
        return isinstance(known, IPv4Network) and block.subnet_of(known)
    return isinstance(known, IPv6Network) and block.subnet_of(known)


class _Known:
    """The addresses of Services, and the ranges that they are taken from, looked up when a block asks for them."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def worth_reading(self, cidr: str) -> bool:
        """Whether a block may be a Service's address, or lie within a range of them: reading it costs more."""
        return bool(self._ranges) or cidr.endswith(("/32", "/128"))

    def within(self, block: Network) -> bool:
        """Whether a block lies within a range of Service addresses."""
        self._ctx.spend(2 * len(self._ranges))
        return any(_within(block, known) for known in self._ranges)

    def by_address(self, block: Network) -> Service | None:
        """The Service whose address a block is."""
        return self._services.get(str(block.network_address)) if block.num_addresses == 1 else None

    @cached_property
    def _ranges(self) -> Sequence[Network]:
        found: list[Network] = []
        for record in self._ctx.cluster.service_cidrs:
            self._ctx.spend(8 * len(record.cidrs))
            found += (network for cidr in record.cidrs if (network := _network(cidr)) is not None)
        return found

    @cached_property
    def _services(self) -> Mapping[str, Service]:
        """The API server writes addresses as they are printed here; IPv6 in files may be written otherwise."""
        found: dict[str, Service] = {}
        self._ctx.spend(2 * len(self._ctx.cluster.keys(SERVICE)))
        for service in self._ctx.cluster.services:
            for address in service.spec.cluster_ips or (service.spec.cluster_ip,):
                if ":" in address:
                    self._ctx.spend(4)
                    network = _network(address)
                    found[str(network.network_address) if network else address] = service
                else:
                    found[address] = service
        return found


# --- where such a block is of use


def _about_dns(hit: _Hit) -> bool:
    """Whether the block may be meant as the address of the cluster's DNS."""
    if hit.direction != "Egress" or hit.block.num_addresses != 1:
        return False
    if hit.service is not None:
        return _serves_dns(hit.service)
    return bool(hit.rule.ports) and all(p.port == _DNS for p in hit.rule.ports)


def _dns_is_local(ctx: Context) -> bool:
    """Whether NodeLocal DNSCache answers for the DNS Service's address on each node, or the policy is written for it.

    Source: k8s.io/kubernetes cluster/addons/dns/nodelocaldns/README.md (Network policy and DNS connectivity).
    """
    for rule in ctx.policy.spec.egress:
        ctx.spend(4 * len(rule.peers))
        for peer in rule.peers:
            network = _network(peer.ip_block.cidr) if peer.ip_block else None
            if network is not None and _within(network, _LINK_LOCAL):
                return True
    for daemon in ctx.cluster.workloads(DAEMON_SET):
        ctx.spend(2)
        if "node-local-dns" in (daemon.labels.get("k8s-app"), daemon.name) or any(
            "node-cache" in c.image for c in daemon.containers
        ):
            return True
    return False


def _serves_dns(service: Service) -> bool:
    return service.metadata.labels.get("k8s-app") == "kube-dns" or service.metadata.name in {"kube-dns", "dns-default"}


class _OtherWays:
    """Whether what a block is meant for has another way: then it is there for engines of which we do not know."""

    def __init__(self, ctx: Context, hit: _Hit, known: _Known) -> None:
        self._ctx = ctx
        self._hit = hit
        self._known = known
        self._classes: set[PodClass] = set()
        self._addresses: Sequence[Network] = ()
        self._ports: set[tuple[Protocol, int | str | None]] = {(e.protocol, e.port) for e in hit.rule.ports}
        if hit.service is not None:
            self._classes.update(matched(ctx, hit.service))
            self._addresses = _endpoints(ctx, hit.service, self._classes)
            self._ports |= {(p.protocol, p.target_port or p.port) for p in hit.service.spec.ports}

    def exist(self) -> bool:
        return any(
            self._opened_by(rule)
            for policy in _isolating(self._ctx, self._hit.direction)
            for rule in _rules(policy, self._hit.direction)
        )

    def _opened_by(self, rule: NetworkPolicyRule) -> bool:
        # A rule for everyone may be about another port: most are about DNS.
        about_it = not rule.ports or any((e.protocol, e.port) in self._ports for e in rule.ports)
        self._ctx.spend(4 * len(rule.peers))
        return any(
            self._addressed_by(peer.ip_block, rule, about_it=about_it)
            if peer.ip_block is not None
            else self._selected_by(peer, about_it=about_it)
            for peer in rule.peers
        ) or (about_it and not rule.peers)

    def _addressed_by(self, block: IPBlock, rule: NetworkPolicyRule, *, about_it: bool) -> bool:
        other = _network(block.cidr)
        if other is None or other == self._hit.block:
            return False
        self._ctx.spend(2 * len(self._addresses))
        if any(_within(address, other) for address in self._addresses) or (
            about_it and _within(self._hit.block, other)
        ):
            return True
        # The ranges of a cluster, one by one.
        return self._hit.service is None and rule is self._hit.rule and not self._known.within(other)

    def _selected_by(self, peer: NetworkPolicyPeer, *, about_it: bool) -> bool:
        pods = self._ctx.compile(peer.pod_selector)
        if pods.empty and not about_it:
            return False
        if pods.empty and peer.namespace_selector is not None and self._ctx.compile(peer.namespace_selector).empty:
            return True
        here = peer_namespaces(self._ctx, peer) if self._classes else ()
        return bool(self._classes) and not self._classes.isdisjoint(self._ctx.select(pods, here))


def _endpoints(ctx: Context, service: Service, classes: set[PodClass]) -> list[Network]:
    ips = [ip for c in classes for pod in c.pods.values() for ip in pod.ips]
    for found in ctx.cluster.slices_of(*service.key):
        ips += found.addresses
    ctx.spend(8 * len(ips))
    return [network for ip in ips if (network := _network(ip)) is not None]


def _isolating(ctx: Context, direction: Direction) -> Iterator[NetworkPolicy]:
    """The policy under review, and the others that select all of its pods in this direction."""
    yield ctx.policy
    selected = ctx.selected
    for policy in neighbours(ctx):
        selector = ctx.compile(policy.spec.pod_selector)
        ctx.spend(len(selected) * (1 + len(selector.terms)))
        if direction in policy.directions and all(c.matched_by(selector) for c in selected):
            yield policy


def _rules(policy: NetworkPolicy, direction: Direction) -> Sequence[NetworkPolicyRule]:
    return policy.spec.ingress if direction == "Ingress" else policy.spec.egress


_CLUSTER = """
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: kubernetes}
spec: {cidrs: [10.96.0.0/16, "fd00:96::/112"]}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.10]}]
ports: [{name: https, port: 6443}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.7.7, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  policyTypes: [Egress]
  egress: [{{to: [{peers}]{more}}}]
"""
_NODE_LOCAL = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-local-dns, namespace: kube-system}
spec: {template: {metadata: {labels: {k8s-app: node-local-dns}}, spec: {hostNetwork: true}}}
"""


def _policy(*cidrs: str, peers: str = "", more: str = "") -> str:
    blocks = ", ".join(f'{{ipBlock: {{cidr: "{cidr}"}}}}' for cidr in cidrs)
    return _POLICY.format(peers=blocks + peers, more=more)


CHECK = Check(
    id="ipblock-covers-service-ips",
    level=Level.WARNING,
    summary="an ipBlock with the address of a Service, where engines see those of its pods",
    rationale="The address of a Service is on no wire: before a connection leaves, the node translates it to one of the "
    "Service's endpoints, and that is what a NetworkPolicy is held against. A block that is a Service's address, or lies "
    "within the cluster's range of them (ServiceCIDR), matches nothing then; 10.96.0.1/32 does not open the way to the "
    "API server. Exceptions: AWS VPC CNI judges before the translation, and NodeLocal DNSCache answers on the DNS "
    "Service's own address.",
    remedy="Write a podSelector and namespaceSelector for the Service's pods; for a Service without pods, such as "
    "default/kubernetes, the addresses of its endpoints.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(SERVICE, DAEMON_SET),
    bad=(
        Example(
            title="a Service's address",
            cluster=_CLUSTER,
            object=_policy("10.96.7.7/32"),
            says="10.96.7.7/32 is Service db: lets nothing out; select its pods",
        ),
        Example(
            title="the API server's address",
            cluster=_CLUSTER,
            object=_policy("10.96.0.1/32"),
            says="is Service default/kubernetes: lets nothing out; write its endpoints (the address is translated "
            "before policies are asked: they see its endpoints')",
        ),
        Example(
            title="the range of all Services",
            cluster=_CLUSTER,
            object=_policy("10.96.0.0/16"),
            view=View.CHECK,
            says="10.96.0.0/16 is for Services: lets nothing out; select their pods",
        ),
        Example(
            title="an IPv6 range",
            cluster=_CLUSTER,
            object=_policy("fd00:96::/120"),
            says="fd00:96::/120 is for Services",
        ),
        Example(
            title="the DNS Service's address, without NodeLocal DNSCache",
            cluster=_CLUSTER,
            object=_policy("10.96.0.10/32", more=", ports: [{port: 53, protocol: UDP}]"),
            says="10.96.0.10/32 is Service kube-system/kube-dns",
        ),
        Example(
            title="beside a selector for the Service's pods: a note",
            cluster=_CLUSTER,
            object=_policy("10.96.7.7/32", peers=", {podSelector: {matchLabels: {app: db}}}"),
            level=Level.NOTE,
        ),
        Example(
            title="beside the endpoints' addresses: a note",
            cluster=_CLUSTER,
            object=_policy("10.96.0.1/32", "192.0.2.10/32"),
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="a range that is wider", cluster=_CLUSTER, object=_policy("10.0.0.0/8")),
        Example(title="addresses outside the cluster", cluster=_CLUSTER, object=_policy("192.0.2.0/24")),
        Example(
            title="Services are left out of a range",
            cluster=_CLUSTER,
            object=_POLICY.format(peers="{ipBlock: {cidr: 0.0.0.0/0, except: [10.96.0.0/16]}}", more=""),
        ),
        Example(
            title="NodeLocal DNSCache answers on the DNS Service's address",
            cluster=_CLUSTER + _NODE_LOCAL,
            object=_policy("10.96.0.10/32", more=", ports: [{port: 53, protocol: UDP}]"),
        ),
        Example(
            title="written for NodeLocal DNSCache, wherever it is installed",
            cluster=_CLUSTER,
            object=_policy("169.254.20.10/32", "10.96.0.10/32"),
        ),
    ),
)
