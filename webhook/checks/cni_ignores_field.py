"""A field that the network plug-in found in this cluster does not carry out."""

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from webhook.check import Check, Context, Example, Finding, Level
from webhook.enforcement import Feature, Gap
from webhook.enforcement.coverage import os_of
from webhook.model.objects import (
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
    Node,
    Pod,
)

_TOLD_ELSEWHERE: Final = frozenset({Feature.POD_IP_BLOCK, Feature.NODE_IP_BLOCK, Feature.BARE_POD})
"""By ipblock-covers-pods, and cni-covers-some-nodes."""
_MOST_PORTS: Final = 24
_NEGATIVE: Final = frozenset({"NotIn", "DoesNotExist"})
_Uses: TypeAlias = Iterator[tuple[Feature, str]]


def run(ctx: Context) -> Iterator[Finding]:
    gaps = {gap.feature: gap for gap in ctx.enforcement.gaps if gap.feature not in _TOLD_ELSEWHERE}
    if not gaps:
        return
    said: set[Feature] = set()
    for feature, path in _uses(ctx):
        gap = gaps.get(feature)
        if gap is None or feature in said:
            continue
        said.add(feature)
        if _applies(ctx, gap):
            effect, _, means = gap.effect.partition(": ")
            yield Finding(path, f"{gap.who} {effect}", gap.remedy, value=feature.value, means=means)


def _uses(ctx: Context) -> _Uses:
    """Every feature that the policy uses, with the field that does.

    A rule for a direction that policyTypes leaves out does nothing, whoever enforces; but its named port is looked at
    by Weave Net all the same, and the policy refused.
    """
    policy = ctx.policy
    if "Egress" in policy.directions:
        yield Feature.EGRESS, "spec.egress" if policy.spec.egress else "spec.policyTypes"
    yield from _of_selector(policy.spec.pod_selector, "spec.podSelector")
    for path, rule in policy.rules():
        direction = "Ingress" if path.startswith("spec.ingress") else "Egress"
        ctx.spend(1 + len(rule.ports) + len(rule.peers))
        if direction not in policy.directions:
            yield from (use for use in _of_ports(rule, path) if use[0] is Feature.NAMED_PORT)
            continue
        yield from _of_ports(rule, path)
        word = "from" if direction == "Ingress" else "to"
        for i, peer in enumerate(rule.peers):
            yield from _of_peer(peer, f"{path}.{word}[{i}]")


def _of_ports(rule: NetworkPolicyRule, path: str) -> _Uses:
    for i, written in enumerate(rule.ports):
        at = f"{path}.ports[{i}]"
        if isinstance(written.port, str):
            yield Feature.NAMED_PORT, f"{at}.port"
        if written.end_port is not None and written.end_port != written.port:
            yield Feature.END_PORT, f"{at}.endPort"
        if written.protocol == "SCTP":
            yield Feature.SCTP, f"{at}.protocol"
    if len(rule.ports) > _MOST_PORTS and len(set(map(_identity, rule.ports))) > _MOST_PORTS:
        yield Feature.MANY_PORTS, f"{path}.ports"


def _identity(written: NetworkPolicyPort) -> tuple[object, ...]:
    return written.protocol, written.port, written.end_port


def _of_peer(peer: NetworkPolicyPeer, at: str) -> _Uses:
    if peer.ip_block is not None:
        yield Feature.IP_BLOCK, f"{at}.ipBlock"
        if peer.ip_block.excepted:
            yield Feature.EXCEPT, f"{at}.ipBlock.except"
        if ":" in peer.ip_block.cidr:
            yield Feature.IPV6, f"{at}.ipBlock.cidr"
        return
    yield Feature.PEER_SELECTOR, at
    if peer.pod_selector is not None and peer.namespace_selector is not None:
        yield Feature.BOTH_SELECTORS, at
    yield from _of_selector(peer.pod_selector, f"{at}.podSelector")
    yield from _of_selector(peer.namespace_selector, f"{at}.namespaceSelector")


def _of_selector(selector: LabelSelector | None, at: str) -> _Uses:
    for i, expression in enumerate(selector.match_expressions if selector else ()):
        if expression.operator in _NEGATIVE:
            yield Feature.NEGATIVE_SELECTOR, f"{at}.matchExpressions[{i}]"


# --- whom it is true of


def _applies(ctx: Context, gap: Gap) -> bool:
    """Whether the gap is one for the pods that the policy selects; of pods that do not run yet no system is known."""
    if gap.feature is Feature.IPV6:
        return any(":" in ip for pod in _running(ctx) for ip in pod.ips)
    if not gap.os:
        return True
    pods = _running(ctx)
    nodes: Mapping[str, Node] = {node.name: node for node in ctx.cluster.nodes}
    return bool(pods) and all(pod.node in nodes and os_of(nodes[pod.node]) == gap.os for pod in pods)


def _running(ctx: Context) -> list[Pod]:
    classes = ctx.selected
    ctx.spend(sum(len(c.pods) for c in classes))
    return [pod for c in classes for pod in c.pods.values() if not pod.host_network and not pod.terminating]


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  policyTypes: [{types}]
  {rules}
"""
_POD = """
---
apiVersion: v1
kind: Pod
metadata: {{name: api-1, namespace: shop, labels: {{app: api}}}}
spec: {{nodeName: {node}, containers: [{{name: api, ports: [{{name: http, containerPort: 8080}}]}}]}}
status: {{phase: Running, podIPs: [{ips}]}}
"""


def _policy(rules: str, types: str = "Ingress") -> str:
    return _POLICY.format(rules=rules, types=types)


def _ports(*ports: str) -> str:
    return _policy(f"ingress: [{{ports: [{', '.join(ports)}]}}]")


def _pod(node: str = "node-1", ips: str = "{ip: 10.244.1.5}") -> str:
    return _POD.format(node=node, ips=ips)


def _weave(tag: str) -> str:
    return f"""
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: weave-net, namespace: kube-system}}
spec:
  template:
    metadata: {{labels: {{name: weave-net}}}}
    spec:
      hostNetwork: true
      containers:
        - {{name: weave, image: 'weaveworks/weave-kube:{tag}'}}
        - {{name: weave-npc, image: 'weaveworks/weave-npc:{tag}'}}
"""


def _cilium(tag: str, settings: str = "enable-policy: default") -> str:
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
      containers: [{{name: cilium-agent, image: 'quay.io/cilium/cilium:{tag}', command: [cilium-agent]}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: cilium-config, namespace: kube-system}}
data: {{{settings}}}
"""


_NPM = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: azure-npm, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: azure-npm}}
    spec:
      hostNetwork: true
      containers: [{name: azure-npm, image: 'mcr.microsoft.com/containernetworking/azure-npm:v1.5.45'}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: azure-npm-config, namespace: kube-system}
data: {azure-npm.json: '{"Toggles": {"EnableNPMLite": LITE}}'}
"""
_NODES = """
---
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {kubernetes.io/os: linux}}
---
apiVersion: v1
kind: Node
metadata: {name: win-1, labels: {kubernetes.io/os: windows}}
"""
_CALICO = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: calico-node}}
    spec: {hostNetwork: true, containers: [{name: calico-node, image: 'quay.io/calico/node:v3.31.0'}]}
"""
_AWS = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: aws-node, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: aws-node}}
    spec:
      hostNetwork: true
      containers:
        - {name: aws-node, image: 602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.20.0}
        - name: aws-eks-nodeagent
          image: 602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon/aws-network-policy-agent:v1.2.0
          args: [--enable-network-policy=true]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: amazon-vpc-cni, namespace: kube-system}
data: {enable-network-policy-controller: "true"}
"""

CHECK = Check(
    id="cni-ignores-field",
    level=Level.WARNING,
    summary="a field that this cluster's network plug-in does not carry out",
    rationale="The API server takes all of NetworkPolicy; the network plug-in carries out what it knows. Weave Net refuses "
    "a whole policy for one port by name: the policy isolates nothing then, and its pods stay open to everyone; it reads no "
    "endPort. Cilium reads endPort since 1.17 and lets SCTP through only with enable-sctp. Azure NPM Lite refuses what has "
    "selectors in from or to, Azure NPM on Windows named ports, SCTP, except, NotIn and DoesNotExist. AWS VPC CNI takes 24 "
    "ports in a rule. What is ignored is told by the engine's source and documents, by the version in its image's tag, and "
    "by its settings; an unknown engine or version is silence, and so are two engines side by side. `netadmit enforcement` "
    "lists the gaps with their sources. What ipBlock means for pods and nodes is ipblock-covers-pods' to tell.",
    remedy="Write it as the engine reads it (the number, each port on its own), switch the feature on, or upgrade.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="a named port on Weave Net: the policy is refused whole, and its pods stay open",
            cluster=_pod() + _weave("2.8.1"),
            object=_ports("{port: http}"),
            says="Weave Net refuses named ports: the whole policy does nothing; write the number",
        ),
        Example(
            title="so it is with a named port in a rule that policyTypes leaves out",
            cluster=_pod() + _weave("2.8.1"),
            object=_policy("egress: [{ports: [{port: http}]}]"),
            says="Weave Net refuses named ports",
        ),
        Example(
            title="a range of ports on Weave Net",
            cluster=_weave("2.8.1"),
            object=_ports("{port: 8000, endPort: 8100}"),
            says="Weave Net ignores endPort: the rest of the range stays closed",
        ),
        Example(
            title="egress before Weave Net knew it",
            cluster=_weave("2.3.0"),
            object=_policy("egress: [{to: [{podSelector: {}}]}]", "Egress"),
            says="Weave Net 2.3 knows no egress: it stays open; upgrade to 2.4",
        ),
        Example(
            title="a range of ports on a Cilium before 1.17, from a mirror",
            cluster=_cilium("v1.16.5-cee.1@sha256:0123"),
            object=_ports("{port: 8000, endPort: 8100}"),
            says="Cilium 1.16 ignores endPort: the rest of the range stays closed; list the ports",
        ),
        Example(
            title="SCTP on a Cilium that has it switched off",
            cluster=_cilium("v1.19.1", 'enable-policy: default, enable-sctp: "false"'),
            object=_ports("{port: 38412, protocol: SCTP}"),
            says="Cilium has enable-sctp off: SCTP does not get through",
        ),
        Example(
            title="selectors on Azure NPM Lite",
            cluster=_NPM.replace("LITE", "true"),
            object=_policy("ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]"),
            says="Azure NPM Lite reads no peer selectors: it refuses the policy; write ipBlock",
        ),
        Example(
            title="a named port for pods on Windows, on Azure NPM",
            cluster=_pod("win-1") + _NODES + _NPM.replace("LITE", "false"),
            object=_ports("{port: http}"),
            says="Azure NPM knows no named ports on Windows: it refuses the policy there",
        ),
        Example(
            title="more ports than AWS VPC CNI takes",
            cluster=_AWS,
            object=_ports(*(f"{{port: {port}}}" for port in range(8000, 8025))),
            says="AWS VPC CNI takes at most 24 ports in a rule; split the rule",
        ),
    ),
    good=(
        Example(
            title="an engine that carries out all of it",
            cluster=_pod() + _CALICO,
            object=_ports("{port: http}", "{port: 8000, endPort: 8100}", "{port: 9999, protocol: SCTP}"),
        ),
        Example(title="Weave Net, and the number", cluster=_pod() + _weave("2.8.1"), object=_ports("{port: 8080}")),
        Example(
            title="a Cilium that reads endPort",
            cluster=_cilium("v1.17.0"),
            object=_ports("{port: 8000, endPort: 8100}"),
        ),
        Example(
            title="a Cilium of a version that its image does not tell",
            cluster=_cilium("stable"),
            object=_ports("{port: 8000, endPort: 8100}", "{port: 38412, protocol: SCTP}"),
        ),
        Example(
            title="a Cilium of GKE's own build: its numbers are its own",
            cluster=_cilium("v1.14.7-gke.12"),
            object=_ports("{port: 8000, endPort: 8100}"),
        ),
        Example(
            title="SCTP on a Cilium that has it switched on",
            cluster=_cilium("v1.19.1", 'enable-policy: default, enable-sctp: "true"'),
            object=_ports("{port: 38412, protocol: SCTP}"),
        ),
        Example(
            title="a range of one port",
            cluster=_cilium("v1.16.5"),
            object=_ports("{port: 8000, endPort: 8000}"),
        ),
        Example(
            title="IPv6 beside IPv4, as charts write it, for pods that have no IPv6",
            cluster=_pod() + _weave("2.8.1"),
            object=_policy("ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]}]"),
        ),
        Example(
            title="a named port for pods on Linux, on Azure NPM",
            cluster=_pod() + _NODES + _NPM.replace("LITE", "false"),
            object=_ports("{port: http}"),
        ),
        Example(
            title="no engine that is known",
            cluster=_pod() + _NODES,
            object=_ports("{port: http}", "{port: 8000, endPort: 8100}"),
        ),
        Example(
            title="two engines side by side: what one leaves undone the other may do",
            cluster=_weave("2.8.1") + "---" + _CALICO,
            object=_ports("{port: http}"),
        ),
        Example(
            title="24 ports on AWS VPC CNI",
            cluster=_AWS,
            object=_ports(*(f"{{port: {port}}}" for port in range(8000, 8024))),
        ),
    ),
)
