"""Pods that the policy selects and that run where nothing enforces, though the cluster has an engine that does."""

from collections.abc import Iterator
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, count
from webhook.enforcement import Feature, uncovered_nodes
from webhook.model.objects import NODE, NetworkPolicy, Pod

_SHORT_PLACE: Final = len("Windows nodes")
"""Longer ones are told where there is room."""


def run(ctx: Context) -> Iterator[Finding]:
    found = ctx.enforcement
    owner_needed = found.gap(Feature.BARE_POD) is not None
    if not found.enforces or not (found.coverage.uncovered or found.coverage.missing or owner_needed):
        return
    pods = _running(ctx)
    if not pods:
        return
    ctx.spend(len(ctx.cluster.keys(NODE)))
    where = uncovered_nodes(ctx.cluster, found.coverage)
    on_nodes = [pod for pod in pods if pod.node in where]
    bare = [pod for pod in pods if owner_needed and pod.owner is None and pod.node not in where]
    number = len(on_nodes) + len(bare)
    if not number:
        return
    one, engine = number == 1, found.engine or "the engine"
    places = sorted({where[pod.node] for pod in on_nodes})
    shown = " or ".join(places)
    who = f"{number} of its {len(pods)} pods"
    if number == len(pods):
        who = "its pod" if one else f"its {number} pods"
    if not on_nodes:
        seen, remedy = f"{engine} skips {count(number, 'pod')} without an owner", "use a Deployment"
    else:
        runs, remedy = ("runs", "move it") if one else ("run", "move them")
        on = f"on {shown}, without {engine}" if len(shown) <= _SHORT_PLACE else f"where {engine} does not"
        seen = f"{who} {runs} {on}"
    reasons = [f"{len(on_nodes)} on {shown}"] if on_nodes else []
    reasons += [f"{len(bare)} without an owner"] if bare else []
    yield Finding(
        "spec.podSelector",
        seen,
        remedy,
        Level.WARNING if len(on_nodes) == len(pods) else Level.NOTE,
        value=shown or "no owner",
        means="all traffic passes",
        detail=f"of {count(len(pods), 'selected pod')} {engine} leaves out {' and '.join(reasons)}",
    )


def _running(ctx: Context) -> list[Pod]:
    """The selected pods but those of the host network, which no policy binds, and those that are about to go."""
    classes = ctx.selected
    ctx.spend(sum(len(c.pods) for c in classes))
    return [pod for c in classes for pod in c.pods.values() if not pod.host_network and not pod.terminating]


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
_WEB = """
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {nodeName: node-1}
"""


def _pods(*nodes: str, owner: bool = True) -> str:
    owners = "ownerReferences: [{kind: ReplicaSet, name: api-5d9f, controller: true}]" if owner else ""
    return _WEB + "".join(
        f"""
---
apiVersion: v1
kind: Pod
metadata:
  name: api-{i}
  namespace: shop
  labels: {{app: api}}
  {owners}
spec: {{nodeName: {node}}}
status: {{phase: Running}}
"""
        for i, node in enumerate(nodes)
    )


def _node(name: str, labels: str) -> str:
    return f"""
---
apiVersion: v1
kind: Node
metadata: {{name: {name}, labels: {{{labels}}}}}
"""


def _calico(desired: int = 1, selector: str = "kubernetes.io/os: linux") -> str:
    return f"""
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: calico-node, namespace: kube-system}}
spec:
  template:
    metadata: {{labels: {{k8s-app: calico-node}}}}
    spec:
      hostNetwork: true
      nodeSelector: {{{selector}}}
      containers: [{{name: calico-node, image: 'quay.io/calico/node:v3.31.0'}}]
status: {{desiredNumberScheduled: {desired}, numberReady: {desired}}}
"""


def _agent(node: str) -> str:
    return f"""
---
apiVersion: v1
kind: Pod
metadata:
  name: calico-node-{node}
  namespace: kube-system
  labels: {{k8s-app: calico-node}}
  ownerReferences: [{{kind: DaemonSet, name: calico-node, controller: true}}]
spec: {{nodeName: {node}, hostNetwork: true}}
"""


_LINUX = _node("node-1", "kubernetes.io/os: linux")
_WINDOWS = _node("win-1", "kubernetes.io/os: windows")
_AWS = """
---
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
_FARGATE = _node("fargate-1", "kubernetes.io/os: linux, eks.amazonaws.com/compute-type: fargate")

CHECK = Check(
    id="cni-covers-some-nodes",
    level=Level.WARNING,
    summary="selected pods run where no agent enforces",
    rationale="An engine enforces on the nodes that its agent runs on. No DaemonSet runs on Fargate or on a virtual node, a "
    "Linux agent runs on no Windows node, aws-node on no hybrid node of EKS, GKE's Calico only on nodes with the label "
    "projectcalico.org/ds-ready=true, and a DaemonSet that wants fewer pods than there are nodes leaves some out. There "
    "a policy is stored and all traffic passes. AWS VPC CNI, too, covers no pod without an owner (amazon-eks-user-guide "
    "cni-network-policy.adoc). A warning when all selected pods run on such nodes; an agent that is only not ready, or "
    "being replaced, is no matter. `netadmit enforcement` lists the nodes.",
    remedy="Keep these pods on nodes that the engine covers, with a node selector; on Fargate use security groups for pods.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="all pods on Windows, and an agent for Linux alone",
            cluster=_pods("win-1", "win-1") + _LINUX + _WINDOWS + _calico(),
            object=_POLICY,
            says="its 2 pods run on Windows nodes, without Calico: all traffic passes; move them",
        ),
        Example(
            title="the only pod on Fargate",
            cluster=_pods("fargate-1") + _LINUX + _FARGATE + _AWS,
            object=_POLICY,
            says="its pod runs on Fargate, without AWS VPC CNI: all traffic passes; move it",
        ),
        Example(
            title="some of them",
            cluster=_pods("node-1", "win-1", "fargate-1") + _LINUX + _WINDOWS + _FARGATE + _calico(),
            object=_POLICY,
            says="2 of its 3 pods run where Calico does not: all traffic passes; move them (of 3 selected pods Calico "
            "leaves out 2 on Fargate or Windows nodes)",
            level=Level.NOTE,
        ),
        Example(
            title="GKE's Calico, whose label the node lacks",
            cluster=_pods("node-1")
            + _LINUX
            + _node("node-2", 'kubernetes.io/os: linux, projectcalico.org/ds-ready: "true"')
            + _calico(1, 'projectcalico.org/ds-ready: "true"'),
            object=_POLICY,
            says="(of 1 selected pod Calico leaves out 1 on nodes without the label projectcalico.org/ds-ready=true",
        ),
        Example(
            title="a DaemonSet that wants no pod on a node, by a taint or an affinity",
            cluster=_pods("node-2")
            + _LINUX
            + _node("node-2", "kubernetes.io/os: linux")
            + _calico(1)
            + _agent("node-1"),
            object=_POLICY,
            says="its pod runs where Calico does not: all traffic passes",
        ),
        Example(
            title="pods that nothing owns, on AWS VPC CNI",
            cluster=_pods("node-1", "node-1", owner=False) + _LINUX + _AWS,
            object=_POLICY,
            says="AWS VPC CNI skips 2 pods without an owner: all traffic passes; use a Deployment",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="the agent runs there", cluster=_pods("node-1") + _LINUX + _WINDOWS + _calico(), object=_POLICY),
        Example(
            title="no pod runs yet",
            cluster=_pods() + _LINUX + _WINDOWS + _calico(),
            object=_POLICY,
        ),
        Example(
            title="an agent that is being replaced: the DaemonSet wants it there",
            cluster=_pods("node-2")
            + _LINUX
            + _node("node-2", "kubernetes.io/os: linux")
            + _calico(2)
            + _agent("node-1"),
            object=_POLICY,
        ),
        Example(
            title="Calico's agent for Windows runs as well",
            cluster=_pods("win-1")
            + _LINUX
            + _WINDOWS
            + _calico()
            + """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node-windows, namespace: calico-system}
spec:
  template:
    metadata: {labels: {k8s-app: calico-node-windows}}
    spec:
      hostNetwork: true
      nodeSelector: {kubernetes.io/os: windows}
      containers: [{name: felix, image: 'quay.io/calico/node-windows:v3.31.0'}]
status: {desiredNumberScheduled: 1, numberReady: 1}
""",
            object=_POLICY,
        ),
        Example(title="nothing is known to enforce", cluster=_pods("win-1") + _LINUX + _WINDOWS, object=_POLICY),
        Example(
            title="the agents' pods are not known, so nobody knows which node lacks one",
            cluster=_pods("node-2") + _LINUX + _node("node-2", "kubernetes.io/os: linux") + _calico(1),
            object=_POLICY,
        ),
    ),
)
