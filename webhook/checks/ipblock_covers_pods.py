"""An ipBlock for the addresses of pods or nodes, which engines do not treat alike."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_network
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from webhook.check import Check, Context, Example, Finding, Level, count
from webhook.enforcement import Feature
from webhook.model.cluster import Cluster
from webhook.model.objects import NODE, POD, IPBlock, NetworkPolicy

Network: TypeAlias = IPv4Network | IPv6Network
_NARROW: Final = {4: 16, 6: 48}
"""A range wider than this may well be a company's network, with the pods somewhere in it."""
_MANY: Final = 3
"""Pods that must all be in a range before it is taken for the pods' own."""


def run(ctx: Context) -> Iterator[Finding]:
    for path, peer in ctx.policy.peers():
        ctx.spend()
        direction = "Ingress" if path.startswith("spec.ingress") else "Egress"
        if peer.ip_block is None or direction not in ctx.policy.directions:
            continue
        ctx.spend(8 + 4 * len(peer.ip_block.excepted))  # reading an address is what takes the time
        if (found := _judge(ctx, f"{path}.ipBlock.cidr", peer.ip_block)) is not None:
            yield found


def _judge(ctx: Context, path: str, block: IPBlock) -> Finding | None:
    network = _network(block.cidr)
    if network is None or network.prefixlen == 0:
        return None
    known = _addresses(ctx)
    excepted = [n for text in block.excepted if (n := _network(text)) is not None and n.version == network.version]
    pods = known.pods.within(network, excepted)
    what = _of_pods(ctx, known, network, pods)
    if what:
        gap = ctx.enforcement.gap(Feature.POD_IP_BLOCK)
        if gap is not None:
            return Finding(path, f"{block.cidr} {what}", gap.remedy, value=block.cidr, means=f"{gap.who} {gap.effect}")
    single = network.prefixlen == network.max_prefixlen
    nodes = known.nodes.within(network, excepted)
    if single and nodes:
        gap = ctx.enforcement.gap(Feature.NODE_IP_BLOCK)
        seen = f"{block.cidr} is a node"
        if gap is not None:
            return Finding(path, seen, gap.remedy, value=block.cidr, means=f"{gap.who} {gap.effect}")
        return Finding(path, seen, "", Level.NOTE, block.cidr, means="what it masquerades comes from there")
    if not what and pods:
        what = f"covers {count(pods, 'pod')}"
    if what:
        means = "it changes with the pod" if single else "not every engine matches pods by it"
        return Finding(path, f"{block.cidr} {what}", "select by labels", Level.NOTE, block.cidr, means=means)
    if nodes and path.startswith("spec.ingress"):
        seen = f"{block.cidr} covers {count(nodes, 'node')}"
        return Finding(path, seen, "", Level.NOTE, block.cidr, means="what they masquerade comes from there")
    return None


def _of_pods(ctx: Context, known: "_Known", network: Network, pods: int) -> str:
    """Why a range is one of pods and of nothing else, as words that follow it; empty where it need not be."""
    if pods and network.prefixlen == network.max_prefixlen:
        return "is a pod"
    for node_range in known.ranges:
        inside = network.version == node_range.version and network.subnet_of(node_range)  # type: ignore[arg-type]
        # Some engines have ranges of their own, and leave what the node says aside.
        if inside and known.pods.within(node_range, ()):
            return "is a pod range"
    if (
        pods >= _MANY
        and pods == known.pods.number(network.version)
        and network.prefixlen >= _NARROW[network.version]
        and not known.nodes.within(network, ())
        and ctx.cluster.complete(POD, NODE)
    ):
        return "is the pod range"
    return ""


# --- where pods and nodes are


class _Addresses:
    """Addresses of both families, of which those within a range are counted without looking at each.

    Args:
        texts: the addresses; a node's host name among them is none.
        before: what was read before: most pods keep their addresses, and reading them is what takes the time.
    """

    def __init__(self, texts: Iterable[str], before: "_Addresses | None" = None) -> None:
        known: dict[str, int] = before.numbers if before is not None else {}
        every = [(text, known.get(text)) for text in texts]
        self.numbers: dict[str, int] = {text: _number(text) if number is None else number for text, number in every}
        self._sorted = {
            4: sorted(n for text, _ in every if ":" not in text and (n := self.numbers[text]) >= 0),
            6: sorted(n for text, _ in every if ":" in text and (n := self.numbers[text]) >= 0),
        }

    def number(self, version: int) -> int:
        return len(self._sorted[version])

    def within(self, network: Network, excepted: Sequence[Network]) -> int:
        """How many are in a range, and in none of those that are taken out of it."""
        left_out = collapse_addresses(excepted) if excepted else ()  # type: ignore[type-var]
        return self._count(network) - sum(self._count(e) for e in left_out)

    def _count(self, network: Network) -> int:
        numbers = self._sorted[network.version]
        first, last = int(network.network_address), int(network.broadcast_address)
        return bisect_left(numbers, last + 1) - bisect_left(numbers, first)


class _Known:
    """What is known of a cluster's addresses, as long as its pods, and its nodes, are the same."""

    __slots__ = ("_nodes_at", "_pods_at", "nodes", "pods", "ranges")

    def __init__(self) -> None:
        self.pods, self.nodes = _Addresses(()), _Addresses(())
        self.ranges: Sequence[Network] = ()
        """Those that nodes give addresses to their pods from."""
        self._pods_at = self._nodes_at = -1

    def update(self, ctx: Context) -> None:
        """Looks anew at what has changed."""
        cluster = ctx.cluster
        if self._pods_at != cluster.revision(POD):
            ctx.spend(len(cluster.keys(POD)))
            pods = (pod for pod in cluster.pods if not pod.host_network and not pod.finished)
            self.pods = _Addresses((ip for pod in pods for ip in pod.ips), self.pods)
            self._pods_at = cluster.revision(POD)
        if self._nodes_at != cluster.revision(NODE):
            ctx.spend(2 * len(cluster.keys(NODE)))
            self.nodes = _Addresses((address for node in cluster.nodes for address in node.addresses), self.nodes)
            ranges = (_network(text) for node in cluster.nodes for text in node.pod_cidrs)
            self.ranges = [network for network in ranges if network is not None]
            self._nodes_at = cluster.revision(NODE)


_memory: Final[WeakKeyDictionary[Cluster, _Known]] = WeakKeyDictionary()


def _addresses(ctx: Context) -> _Known:
    known = _memory.get(ctx.cluster)
    if known is None:
        known = _memory[ctx.cluster] = _Known()
    known.update(ctx)
    ctx.spend(len(known.ranges))
    return known


def _number(text: str) -> int:
    """The number of an address; less than nothing for a node's host name."""
    try:
        if ":" in text:
            return int(IPv6Address(text))
        a, b, c, d = map(int, text.split("."))  # `ipaddress` takes twice as long
    except ValueError:
        return -1
    return a << 24 | b << 16 | c << 8 | d


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)  # older API servers take host bits (facts 2.2)
    except ValueError:
        return None


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  policyTypes: [{types}]
  {rules}
"""


def _ingress(cidr: str, excepted: str = "") -> str:
    block = f"{{cidr: {cidr}{f', except: [{excepted}]' if excepted else ''}}}"
    return _POLICY.format(types="Ingress", rules=f"ingress: [{{from: [{{ipBlock: {block}}}]}}]")


def _egress(cidr: str) -> str:
    return _POLICY.format(types="Egress", rules=f"egress: [{{to: [{{ipBlock: {{cidr: {cidr}}}}}]}}]")


def _cluster(pod_cidrs: str = "") -> str:
    pods = "".join(
        f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: api-{i}, namespace: shop, labels: {{app: api}}}}
spec: {{nodeName: node-1}}
status: {{phase: Running, podIPs: [{{ip: 10.244.1.{i}}}]}}
"""
        for i in (5, 6, 7)
    )
    return f"""
apiVersion: v1
kind: Node
metadata: {{name: node-1, labels: {{kubernetes.io/os: linux}}}}
spec: {{podCIDRs: [{pod_cidrs}]}}
status: {{addresses: [{{type: InternalIP, address: 192.168.1.10}}, {{type: Hostname, address: node-1}}]}}
{pods}"""


def _cilium(settings: str = "enable-policy: default") -> str:
    return f"""
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: cilium, namespace: kube-system}}
spec:
  template:
    metadata: {{labels: {{k8s-app: cilium}}}}
    spec:
      hostNetwork: true
      containers: [{{name: cilium-agent, image: 'quay.io/cilium/cilium:v1.19.1', command: [cilium-agent]}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: cilium-config, namespace: kube-system}}
data: {{{settings}}}
"""


CHECK = Check(
    id="ipblock-covers-pods",
    level=Level.WARNING,
    summary="an ipBlock for the addresses of pods or nodes",
    rationale="An ipBlock is meant for what is outside of the cluster (API reference of IPBlock). Cilium matches no pod "
    "by its address, and no node unless policy-cidr-match-mode says so: a rule for the pods' range lets nobody in or out "
    "there. Most other engines do match them, and then by an address that changes with the pod; and what a node "
    "masquerades comes from the node's address, also when a pod sent it. A warning where the engine is known not to match "
    "and the range is one of pods (a pod's address, within a node's podCIDR, or all of the cluster's pods and no node), or "
    "a node's address; a note otherwise. Not said of 0.0.0.0/0 and ::/0.",
    remedy="Select pods by podSelector and namespaceSelector; leave ipBlock to what is outside.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="the cluster's pods by their range, on Cilium",
            cluster=_cluster() + _cilium(),
            object=_ingress("10.244.0.0/16"),
            says="10.244.0.0/16 is the pod range: Cilium matches no pod by IP; select by labels",
        ),
        Example(
            title="the range of a node's pods, on Cilium",
            cluster=_cluster("10.244.1.0/24") + _cilium(),
            object=_egress("10.244.1.64/26"),
            says="10.244.1.64/26 is a pod range: Cilium matches no pod by IP",
        ),
        Example(
            title="a pod's address, on Cilium",
            cluster=_cluster() + _cilium(),
            object=_egress("10.244.1.5/32"),
            says="10.244.1.5/32 is a pod: Cilium matches no pod by IP; select by labels",
        ),
        Example(
            title="a node's address, as for its API server, on Cilium",
            cluster=_cluster() + _cilium(),
            object=_egress("192.168.1.10/32"),
            says="192.168.1.10/32 is a node: Cilium matches no node by IP; set policy-cidr-match-mode to nodes",
        ),
        Example(
            title="a pod's address, on an engine that is not known",
            cluster=_cluster(),
            object=_egress("10.244.1.5/32"),
            says="10.244.1.5/32 is a pod: it changes with the pod",
            level=Level.NOTE,
        ),
        Example(
            title="a wide range with pods somewhere in it",
            cluster=_cluster() + _cilium(),
            object=_ingress("10.0.0.0/8", "10.244.1.7/32"),
            says="10.0.0.0/8 covers 2 pods",
            level=Level.NOTE,
        ),
        Example(
            title="the network of the nodes",
            cluster=_cluster() + _cilium(),
            object=_ingress("192.168.0.0/16"),
            says="192.168.0.0/16 covers 1 node: what they masquerade comes from there",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="everywhere", cluster=_cluster() + _cilium(), object=_ingress("0.0.0.0/0")),
        Example(
            title="everywhere but the pods",
            cluster=_cluster() + _cilium(),
            object=_ingress("0.0.0.0/0", "10.244.0.0/16"),
        ),
        Example(title="outside of the cluster", cluster=_cluster() + _cilium(), object=_egress("203.0.113.0/24")),
        Example(
            title="Cilium that was told to match pods",
            cluster=_cluster() + _cilium("policy-cidr-match-mode: 'nodes,pods'"),
            object=_ingress("10.244.0.0/16"),
        ),
        Example(
            title="a podCIDR that the engine does not give addresses from",
            cluster=_cluster("10.99.0.0/24") + _cilium(),
            object=_egress("10.99.0.0/25"),
        ),
        Example(
            title="a company's network around the pods'",
            cluster=_cluster() + _cilium(),
            object=_egress("10.240.0.0/12"),
        ),
        Example(
            title="a range that has all known pods, of which not all are known",
            cluster=_cluster() + _cilium(),
            object=_ingress("10.244.0.0/16"),
            partial=True,
        ),
    ),
)
