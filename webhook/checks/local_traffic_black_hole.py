"""A Service that keeps traffic on the node where it comes in, and has endpoints only on nodes where none comes in."""

from collections.abc import Collection, Iterator

from webhook.backends import Backend, backends, endpoints, matched
from webhook.check import Check, Context, Example, Finding, Level, View, count
from webhook.evidence import comes_before_its_pods
from webhook.load_balancers import EXCLUDED, providers_of
from webhook.model.objects import DAEMON_SET, JOB, NODE, POD, REPLICA_SET, WORKLOADS, Pod, Service


def run(ctx: Context) -> Iterator[Finding]:
    spec = ctx.service.spec
    outside = spec.external_traffic_policy == "Local" and spec.type == "LoadBalancer"
    inside = spec.internal_traffic_policy == "Local" and spec.type != "ExternalName"
    classes = matched(ctx, ctx.service) if outside or inside else ()
    ready = endpoints(ctx.service, classes)
    # Without any endpoint nobody is served, whatever the policy: that is no black hole of this kind.
    if not ready or any(not p.node for p in ready):
        return
    staying = [p for c in classes for p in c.pods.values() if not p.terminating]
    ctx.spend(len(staying))
    if not ctx.cluster.complete(POD, NODE, *WORKLOADS):
        ctx.unknown.add(
            "nodes and pods: not all are known, so where a Service with local traffic is served was not judged"
        )
        return
    nodes = {p.node for p in staying}
    if "" in nodes or any(map(_makes_more, backends(ctx))):
        return  # the next pod may run elsewhere
    served = f"{count(len(ready), 'endpoint')} {'is' if len(ready) == 1 else 'are'}"
    if outside and (excluded := _excluded(ctx)) is not None and nodes <= excluded:
        message = "externalTrafficPolicy Local: load balancers skip its nodes"
        detail = f"its {served} only on nodes that load balancers leave out"
        level = _level(ctx, said_before=_said(ctx.old, "external_traffic_policy"))
        if not all(p.cloud for p in providers_of(ctx)):
            level = Level.NOTE  # whether that provider leaves them out is a setting of its own
        yield Finding("spec.externalTrafficPolicy", message, "write Cluster", level, "Local", detail=detail)
    if inside and (clients := _clients(ctx, {p.key for p in staying})) and nodes.isdisjoint(clients):
        message = "internalTrafficPolicy Local: no client runs on its nodes"
        detail = f"its {served} only on nodes where no client runs; or run it on each node"
        level = _level(ctx, said_before=_said(ctx.old, "internal_traffic_policy"))
        yield Finding("spec.internalTrafficPolicy", message, "write Cluster", level, "Local", detail=detail)


def _said(old: object, field: str) -> bool:
    return isinstance(old, Service) and getattr(old.spec, field) == "Local"


def _level(ctx: Context, *, said_before: bool) -> Level:
    """A note where a release of Helm brings the policy: the pods may be about to move, too."""
    return Level.NOTE if comes_before_its_pods(ctx, said_before=said_before) else Level.WARNING


def _makes_more(backend: Backend) -> bool:
    """Whether a workload is about to make more pods than it has."""
    there = sum(not p.terminating for p in backend.pods)
    wanted = 0
    for template in backend.templates:
        if template.kind == DAEMON_SET:
            wanted += template.desired or 0
        elif template.kind not in (REPLICA_SET, JOB) or template.owner is None:
            wanted += template.replicas
    return wanted > there


def _excluded(ctx: Context) -> set[str] | None:
    """The nodes that load balancers leave out; None where they leave out none, or all: then it is not this policy."""
    ctx.spend(len(ctx.cluster.keys(NODE)))
    out = {node.name for node in ctx.cluster.nodes if EXCLUDED in node.labels}
    return out if 0 < len(out) < len(ctx.cluster.keys(NODE)) else None


def _clients(ctx: Context, backing: Collection[tuple[str, str]]) -> set[str]:
    """The nodes on which pods run that may be its clients: others than its own and than those that run on each node."""
    ctx.spend(len(ctx.cluster.keys(POD)))
    return {p.node for p in ctx.cluster.pods if p.node and p.key not in backing and _may_ask(p)}


def _may_ask(pod: Pod) -> bool:
    on_each_node = pod.host_network or (pod.owner is not None and pod.owner[0] == "DaemonSet")
    return not on_each_node and not pod.finished and not pod.terminating


def _node(name: str, labels: str = "") -> str:
    return f"""
apiVersion: v1
kind: Node
metadata: {{name: {name}, labels: {{{labels}}}}}
---"""


def _pod(name: str, node: str, app: str = "edge", ready: str = "True") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: {app}}}}}
spec: {{nodeName: {node}}}
status: {{phase: Running, podIP: 10.0.0.1, conditions: [{{type: Ready, status: "{ready}"}}]}}
---"""


_NODES = _node("control-1", f'{EXCLUDED}: ""') + _node("worker-1") + _node("worker-2")
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: edge, namespace: shop}}
spec: {{selector: {{app: edge}}, ports: [{{port: 443}}], {more}}}
"""
_METALLB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller, namespace: metallb-system}
spec:
  template:
    metadata: {labels: {app: metallb}}
    spec: {containers: [{name: controller, image: "quay.io/metallb/controller:v0.15.2"}]}
---"""
_DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge, namespace: shop}
spec: {replicas: 2, template: {metadata: {labels: {app: edge}}}}
---"""


def _outside(policy: str = "Local") -> str:
    return _SERVICE.format(more=f"type: LoadBalancer, externalTrafficPolicy: {policy}")


def _inside(policy: str = "Local") -> str:
    return _SERVICE.format(more=f"internalTrafficPolicy: {policy}")


CHECK = Check(
    id="local-traffic-black-hole",
    level=Level.WARNING,
    summary="a Service keeps traffic on the node where it comes in, and has no endpoint on any such node",
    rationale="With externalTrafficPolicy Local a node passes traffic from outside only to endpoints of its own, with "
    "internalTrafficPolicy Local that of its pods; on a node without one it is dropped. Clouds leave out nodes labelled "
    f"{EXCLUDED}, as kubeadm labels the control plane: a Service whose pods run only there gets nothing. In the same "
    "way pods on a node of their own serve nobody within the cluster "
    "(kubernetes.io/docs/reference/networking/virtual-ips, traffic policies).",
    remedy="Run endpoints on the nodes where traffic comes in (a DaemonSet runs on each), or write Cluster.",
    run=run,
    judges=(Service.kind,),
    rests_on=(POD, NODE, *WORKLOADS),
    bad=(
        Example(
            title="a load balancer for pods of the control plane",
            cluster=_NODES + _pod("edge-1", "control-1"),
            object=_outside(),
            says="externalTrafficPolicy Local: load balancers skip its nodes; write Cluster",
        ),
        Example(
            title="an update that keeps traffic local",
            cluster=_NODES + _pod("edge-1", "control-1"),
            old=_outside("Cluster"),
            object=_outside(),
            says="(its 1 endpoint is only on nodes that load balancers leave out)",
        ),
        Example(
            title="pods on a node where nothing else runs",
            cluster=_NODES + _pod("edge-1", "worker-1") + _pod("web-1", "worker-2", "web"),
            object=_inside(),
            view=View.CHECK,
            says="internalTrafficPolicy Local: no client runs on its nodes; write Cluster",
        ),
        Example(
            title="MetalLB can be told not to leave nodes out: a note",
            cluster=_NODES + _METALLB + _pod("edge-1", "control-1"),
            object=_outside(),
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="an endpoint where traffic comes in",
            cluster=_NODES + _pod("edge-1", "control-1") + _pod("edge-2", "worker-1"),
            object=_outside(),
        ),
        Example(
            title="one that is not ready yet",
            cluster=_NODES + _pod("edge-1", "control-1") + _pod("edge-2", "worker-1", ready="False"),
            object=_outside(),
        ),
        Example(
            title="one is yet to be made",
            cluster=_NODES + _DEPLOYMENT + _pod("edge-1", "control-1"),
            object=_outside(),
        ),
        Example(
            title="traffic is passed on to other nodes",
            cluster=_NODES + _pod("edge-1", "control-1"),
            object=_outside("Cluster"),
        ),
        Example(title="its pods are yet to come", cluster=_NODES, object=_outside(), view=View.CHECK),
        Example(
            title="a cluster of one node",
            cluster=_node("control-1", f'{EXCLUDED}: ""') + _pod("edge-1", "control-1"),
            object=_outside(),
        ),
        Example(
            title="clients beside an endpoint",
            cluster=_NODES + _pod("edge-1", "worker-1") + _pod("web-1", "worker-1", "web"),
            object=_inside(),
        ),
        Example(
            title="not all pods are known",
            cluster=_NODES + _pod("edge-1", "control-1"),
            object=_outside(),
            partial=True,
        ),
    ),
)
