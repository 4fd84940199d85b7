"""A selector that matches pods of the host network: to policies they are no pods but their nodes."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from msgspec import Struct

from webhook.check import Check, Context, Example, Finding, Level, View, count
from webhook.concerned import neighbours
from webhook.evidence import rendered_by_helm
from webhook.model.cluster import PodClass
from webhook.model.objects import (
    NAMESPACE,
    POD,
    WORKLOADS,
    Direction,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyRule,
)
from webhook.model.selectors import Selector

_SELECTS_HOSTS: Final = frozenset({"OVN-Kubernetes", "OpenShift SDN"})
"""The engines where a namespaceSelector alone may stand for the host network (facts 1.2; OpenShift's documentation)."""
_OPENSHIFT_GROUP: Final = "policy-group.network.openshift.io/"


def run(ctx: Context) -> Iterator[Finding]:
    policy = ctx.policy
    selected = ctx.selected
    tally = _tally(ctx, selected)
    if tally.hosted:
        seen = f"{tally.told()} in the host network"
        remedy = f"restrict {'its node' if tally.hosted == 1 else 'their nodes'}" if tally.all else ""
        level, value = _level(ctx, tally, POD, *WORKLOADS), str(ctx.compile(policy.spec.pod_selector))
        # A chart ships its policy for either value of its hostNetwork; a release that brings labels says nothing anew.
        if rendered_by_helm(policy.metadata) or ctx.leaves_spec_alone:
            level = Level.NOTE
        yield Finding("spec.podSelector", seen, remedy, level, value, means=f"no policy binds {tally.them}")
    for path, rule in policy.rules():
        ctx.spend()
        direction: Direction = "Ingress" if path.startswith("spec.ingress") else "Egress"
        if direction not in policy.directions:
            continue
        word = "from" if direction == "Ingress" else "to"
        ctx.spend(len(rule.peers))
        for i, peer in enumerate(rule.peers):
            if peer.ip_block is None:
                yield from _judge(ctx, f"{path}.{word}[{i}]", peer, rule, direction, selected)


class _Tally(Struct, frozen=True):
    """How many of some pods, or of the templates where no pod runs yet, are of the host network."""

    hosted: int
    total: int
    noun: str
    all: bool
    """Every one of them, and every pod that their templates will make."""

    def told(self, peer: str = "") -> str:
        """``its 3 pods run``, ``1 of its 5 peer pods runs``."""
        every = f"its {peer}{self.noun}" if self.total == 1 else f"its {count(self.total, peer + self.noun)}"
        verb = "runs" if self.hosted == 1 else "run"
        return f"{every} {verb}" if self.hosted == self.total else f"{self.hosted} of {every} {verb}"

    @property
    def them(self) -> str:
        return "it" if self.hosted == 1 else "them"


def _tally(ctx: Context, classes: Collection[PodClass]) -> _Tally:
    ctx.spend(2 * sum(1 + len(c.pods) + len(c.templates) for c in classes))
    pods = [p.host_network for c in classes for p in c.pods.values()]
    templates = [t.host_network for c in classes for t in c.templates.values()]
    counted = pods or templates
    return _Tally(sum(counted), len(counted), "pod" if pods else "pod template", all(pods) and all(templates))


def _has_others(pod_class: PodClass) -> bool:
    """Whether pods with a network of their own are among these."""
    return any(not p.host_network for p in pod_class.pods.values()) or any(
        not t.host_network for t in pod_class.templates.values()
    )


def _level(ctx: Context, tally: _Tally, *kinds: str) -> Level:
    """A warning where all are of the host network, and there are no others that are not known."""
    if not tally.all:
        return Level.NOTE
    if not ctx.cluster.complete(*kinds):
        ctx.unknown.add("pods: not all are known, so whether all that match are of the host network was not judged")
        return Level.NOTE
    return Level.WARNING


def _judge(
    ctx: Context,
    path: str,
    peer: NetworkPolicyPeer,
    rule: NetworkPolicyRule,
    direction: Direction,
    selected: Sequence[PodClass],
) -> Iterator[Finding]:
    pods = ctx.compile(peer.pod_selector)
    if peer.namespace_selector is None:
        if pods.empty:
            return  # every pod of the namespace, which the policy's own selector is about
        namespaces, where = Selector(), {ctx.namespace}
    else:
        namespaces = ctx.compile(peer.namespace_selector)
        if pods.empty and (namespaces.empty or _selects_hosts(ctx, peer.namespace_selector)):
            return
        where = {namespace.name for namespace in ctx.namespaces_matching(namespaces)}
    # Namespaces are named as a whole: that some of their pods are of the host network is nothing to tell.
    if pods.empty and any(_has_others(c) for name in where for c in ctx.cluster.classes(name)):
        return
    tally = _tally(ctx, ctx.select(pods, where))
    if not tally.hosted:
        return
    level = _level(ctx, tally, POD, *WORKLOADS, *((NAMESPACE,) if peer.namespace_selector is not None else ()))
    if level is Level.WARNING and _by_address(ctx, rule, direction, selected):
        level = Level.NOTE
    nodes = "its node's address" if tally.hosted == 1 else "their nodes' addresses"
    remedy = "write an ipBlock" if tally.all else "add an ipBlock"
    if ctx.enforcement.engine == "Cilium":  # its ipBlocks match no node (facts 1.2)
        remedy = "write a CiliumNetworkPolicy for the entity remote-node"
    yield Finding(
        path,
        f"{tally.told('peer ')} in the host network",
        remedy,
        level,
        f"{pods} {namespaces}",
        means=f"no selector matches {tally.them}",
        detail=f"to policies such a pod is {nodes}",
    )


def _selects_hosts(ctx: Context, selector: LabelSelector) -> bool:
    keys = (*selector.match_labels, *(e.key for e in selector.match_expressions))
    ctx.spend(len(keys))
    return any(key.startswith(_OPENSHIFT_GROUP) for key in keys) or ctx.enforcement.engine in _SELECTS_HOSTS


def _by_address(ctx: Context, rule: NetworkPolicyRule, direction: Direction, selected: Sequence[PodClass]) -> bool:
    """Whether the same rule has an ipBlock as well, or another rule of these pods may let them through without."""

    def admits(policy: NetworkPolicy) -> bool:
        rules = policy.spec.ingress if direction == "Ingress" else policy.spec.egress
        ctx.spend(sum(1 + len(r.peers) + len(r.ports) * (1 + len(rule.ports)) for r in rules))
        return any(
            (not r.peers or any(p.ip_block for p in r.peers))
            # A rule for everyone may be about another port: most are about DNS.
            and (not r.ports or any(e in rule.ports for e in r.ports))
            for r in rules
        )

    ctx.spend(len(rule.peers))
    if any(p.ip_block for p in rule.peers) or admits(ctx.policy):
        return True
    for policy in neighbours(ctx):
        if direction in policy.directions and admits(policy):
            selector = ctx.compile(policy.spec.pod_selector)
            ctx.spend(len(selected) * (1 + len(selector.terms)))
            if any(c.matched_by(selector) for c in selected):
                return True
    return False


def _pod(name: str, app: str, namespace: str = "shop", host: str = "true") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}}}}}
spec: {{hostNetwork: {host}, nodeName: node-1}}
status: {{phase: Running, podIP: 192.0.2.11}}
---"""


_CLUSTER = (
    _pod("exporter-1", "exporter")
    + _pod("api-1", "api", host="false")
    + _pod("edge-1", "edge", "ingress")
    + """
apiVersion: v1
kind: Namespace
metadata: {name: ingress}
"""
)
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: np, namespace: shop}}
spec:
  podSelector: {selector}
  policyTypes: [Ingress]
  ingress:
    - from:
        - {peer}
"""
_EDGE = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}"


def _policy(selector: str = "{matchLabels: {app: api}}", peer: str = "{podSelector: {matchLabels: {app: api}}}") -> str:
    return _POLICY.format(selector=selector, peer=peer)


_BY_HELM = "labels: {app.kubernetes.io/managed-by: Helm}"

CHECK = Check(
    id="host-network-selected",
    level=Level.WARNING,
    summary="a selector matches pods of the host network, which policies do not see as pods",
    rationale="A pod with hostNetwork: true has its node's address, and engines cannot tell its traffic from the "
    "node's: no policy that selects it binds it, and no podSelector or namespaceSelector of a rule matches it; only an "
    "ipBlock with its node's address does (kubernetes.io/docs/concepts/services-networking/network-policies, hostNetwork "
    "pods). Ingress controllers and node agents often run so. Of the pods that a chart's own policy selects it is a note: "
    "the chart leaves it to its user whether they run so.",
    remedy="In a rule, write an ipBlock of the nodes (on Cilium, whose ipBlocks match no node, a CiliumNetworkPolicy); to restrict such a pod itself, use a firewall of the host (Calico "
    "host endpoints, Cilium host firewall), or run it without hostNetwork.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(POD, *WORKLOADS, NAMESPACE),
    bad=(
        Example(
            title="a policy for pods of the host network",
            cluster=_CLUSTER,
            object=_policy("{matchLabels: {app: exporter}}"),
            says="its pod runs in the host network: no policy binds it; restrict its node",
        ),
        Example(
            title="a chart's policy, which is there for pods without hostNetwork, too: a note",
            cluster=_CLUSTER,
            object=_policy("{matchLabels: {app: exporter}}").replace("metadata: {", f"metadata: {{{_BY_HELM}, "),
            level=Level.NOTE,
        ),
        Example(
            title="an ingress controller of the host network shall be let in",
            cluster=_CLUSTER,
            object=_policy(peer=_EDGE + ", podSelector: {matchLabels: {app: edge}}}"),
            says="its peer pod runs in the host network: no selector matches it; write an ipBlock",
        ),
        Example(
            title="a namespace in which all pods are of the host network",
            cluster=_CLUSTER,
            object=_policy(peer=_EDGE + "}"),
            view=View.CHECK,
            says="its peer pod runs in the host network",
        ),
        Example(
            title="the template of a DaemonSet tells it, too",
            cluster="""
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: exporter, namespace: shop}
spec:
  template:
    metadata: {labels: {app: exporter}}
    spec: {hostNetwork: true}
""",
            object=_policy("{matchLabels: {app: exporter}}"),
            view=View.CHECK,
            says="its pod template runs in the host network",
        ),
        Example(
            title="some of the pods of a namespace: a note",
            cluster=_CLUSTER,
            object=_policy("{}"),
            level=Level.NOTE,
            says="1 of its 2 pods runs in the host network: no policy binds it",
        ),
        Example(
            title="not all pods are known: a note",
            cluster=_CLUSTER,
            object=_policy("{matchLabels: {app: exporter}}"),
            level=Level.NOTE,
            partial=True,
        ),
        Example(
            title="their nodes are let in as well: a note",
            cluster=_CLUSTER,
            object=_policy(peer=_EDGE + "}\n        - {ipBlock: {cidr: 192.0.2.0/24}}"),
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="pods with a network of their own", cluster=_CLUSTER, object=_policy()),
        Example(
            title="OpenShift's name for the host network",
            cluster=_CLUSTER.replace(
                "{name: ingress}", '{name: ingress, labels: {policy-group.network.openshift.io/host-network: ""}}'
            ),
            object=_policy(
                peer='{namespaceSelector: {matchLabels: {policy-group.network.openshift.io/host-network: ""}}}'
            ),
        ),
    ),
)
