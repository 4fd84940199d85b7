"""A Service's port where the port of its pods is needed."""

from collections.abc import Iterator, Sequence
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level
from webhook.concerned import Front, PortEntry, admitted_otherwise, fronts, port_entries
from webhook.enforcement import State
from webhook.model.objects import POD, SERVICE, WORKLOADS, NetworkPolicy

BEFORE_DNAT: Final = frozenset({"AWS VPC CNI", "EKS Auto Mode"})
"""The engines that see a connection to a Service before it is translated: the Service's port belongs there."""


def sees_service_addresses(ctx: Context) -> bool | None:
    """Whether egress to a Service's address can be allowed by that address; None where the engine is not known."""
    found = ctx.enforcement
    return found.engine in BEFORE_DNAT if found.engine and found.state is not State.UNKNOWN else None


def run(ctx: Context) -> Iterator[Finding]:
    for entry in port_entries(ctx):
        port = entry.port
        if not isinstance(port, int) or entry.concerned.protocols(port):
            continue
        every = [f for f in fronts(ctx, entry.concerned) if f.port.protocol == entry.protocol]
        # A target is a port of the pods, and so is what clients of a headless Service connect to.
        if any(port in f.numbers or (f.headless and f.port.port == port) for f in every):
            continue
        hit = [f for f in every if f.port.port == port and f.numbers and not f.headless]
        if hit and ctx.enforcement.engine not in BEFORE_DNAT:
            yield from _judge(ctx, entry, port, hit)


def _judge(ctx: Context, entry: PortEntry, port: int, hit: Sequence[Front]) -> Iterator[Finding]:
    targets = sorted(frozenset().union(*(f.numbers for f in hit)))
    left = [t for t in targets if not admitted_otherwise(ctx, entry, t, (entry.protocol,))]
    if not left:
        return  # charts list both on purpose
    behind = {id(b.of) for f in hit for b in f.bearers}
    # Pods that no such Service fronts and that declare nothing may listen on that number.
    open_question = any(not b.ports and id(b.of) not in behind for b in entry.concerned.bearers)
    service = hit[0].service.metadata
    # The numbers are those of all of them, and the pods' own.
    if ctx.may_name_all((kind, f.service.metadata.namespace) for f in hit for kind in (SERVICE, POD)):
        name = service.name if service.namespace == ctx.namespace else f"{service.namespace}/{service.name}"
        numbers = " and ".join(map(str, left))
        seen, means = f"{port} is Service {name}'s port", f"policies see its pods' {numbers}"
        remedy = f"write {numbers}"
    else:
        seen, means = f"{port} is a Service's port in another namespace", "policies see its pods'"
        remedy = "write its targetPort"
    level = Level.NOTE if open_question else Level.WARNING
    yield Finding(f"{entry.path}.port", seen, remedy, level, entry.value, means=means)


_CLUSTER = """
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: http}, {port: 9000, name: plain}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
spec: {containers: [{name: api, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  ingress: [{{ports: [{ports}]}}]
"""
_EGRESS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: web, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  policyTypes: [Egress]
  egress: [{{to: [{{podSelector: {{matchLabels: {{app: api}}}}}}], ports: [{{port: 80}}]}}{more}]
"""
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

CHECK = Check(
    id="service-port-not-pod-port",
    level=Level.WARNING,
    summary="a Service's port where policies see the pods' port",
    rationale="For a NetworkPolicy there are no Services: a connection to Service port 80 is judged after it was "
    "translated to the pod's port, 8080. A rule for 80 admits nothing then (API reference of NetworkPolicyPort; e2e "
    "network_policy.go). Only AWS VPC CNI judges before the translation.",
    remedy="Write the targetPort: the number on which the pods listen, or its name.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(POD, *WORKLOADS, SERVICE),
    bad=(
        Example(
            title="ingress to the Service's port",
            cluster=_CLUSTER,
            object=_POLICY.format(ports="{port: 80}"),
            says="80 is Service api's port: policies see its pods' 8080; write 8080",
        ),
        Example(
            title="egress to the Service's port",
            cluster=_CLUSTER,
            object=_EGRESS.format(more=""),
            says="80 is Service api's port: policies see its pods' 8080; write 8080",
        ),
    ),
    good=(
        Example(title="the pods' port", cluster=_CLUSTER, object=_POLICY.format(ports="{port: 8080}")),
        Example(
            title="both are listed, as some charts do",
            cluster=_CLUSTER,
            object=_POLICY.format(ports="{port: 80}, {port: http}"),
        ),
        Example(
            title="another rule of the policy has the pods' port",
            cluster=_CLUSTER,
            object=_EGRESS.format(more=", {to: [{podSelector: {}}, {podSelector: {matchLabels: {app: api}}}]}"),
        ),
        Example(
            title="port and targetPort are the same",
            cluster=_CLUSTER,
            object=_POLICY.format(ports="{port: 9000}"),
        ),
        Example(
            title="the pods declare that number too",
            cluster=_CLUSTER.replace("containerPort: 8080}", "containerPort: 8080}, {containerPort: 80}"),
            object=_POLICY.format(ports="{port: 80}"),
        ),
        Example(
            title="a headless Service translates nothing",
            cluster=_CLUSTER.replace("spec: {selector", "spec: {clusterIP: None, selector"),
            object=_POLICY.format(ports="{port: 80}"),
        ),
        Example(
            title="AWS VPC CNI judges before the translation",
            cluster=_CLUSTER + _AWS,
            object=_EGRESS.format(more=""),
        ),
    ),
)
