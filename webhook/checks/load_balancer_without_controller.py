"""A LoadBalancer Service in a cluster where nobody provides load balancers."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, View, count
from webhook.load_balancers import known, providers_of
from webhook.model.objects import DAEMON_SET, DEPLOYMENT, NODE, SERVICE, STATEFUL_SET, Service

_LONG: Final = 600.0
"""Seconds; the slowest clouds take five minutes for a load balancer."""


def run(ctx: Context) -> Iterator[Finding]:
    service = ctx.service
    wanted = service.spec.load_balancer_class
    if not _wants_one(service, wanted) or service.has_address:
        return
    ctx.spend(2 * len(ctx.cluster.keys(SERVICE)))
    others = [s for s in ctx.cluster.services if _wants_one(s, wanted) and s.key != service.key]
    if any(s.has_address for s in others):
        return
    providers = providers_of(ctx)
    # Of a class nobody can say who serves it: others of the class tell.
    if not wanted and any(p.certain for p in providers):
        return
    of_class = f" of class {wanted}" if wanted else ""
    ctx.spend(8 * len(others))
    waiting = [s for s in others if _waits_long(ctx, s)]
    if waiting and ctx.cluster.complete(SERVICE):
        own = next((s for s in waiting if s.metadata.namespace == ctx.namespace), None)
        named = own or next((s for s in waiting if ctx.may_name(SERVICE, s.metadata.namespace)), None)
        who = f"Service {named.metadata.name if own else '/'.join(named.key)}" if named else "another Service"
        detail = f"none of {count(len(others), 'other LoadBalancer')}{of_class} has one: nobody provides them here"
        message = f"{who} got no address in 10 minutes"
        yield Finding(
            "spec.type",
            message,
            "write NodePort",
            value=wanted,
            detail=f"{detail}, as a cloud's controller or MetalLB would",
        )
        return
    if providers:
        return
    if not known(ctx):
        ctx.unknown.add("load balancers: not all nodes and workloads are known, so who provides them was not judged")
        return
    yield Finding(
        "spec.type",
        "nobody is seen to provide load balancers",
        level=Level.NOTE,
        value=wanted,
        means="it stays pending",
        detail="looked for: a cloud's controller, MetalLB, kube-vip, ServiceLB",
    )


def _wants_one(service: Service, wanted: str) -> bool:
    return service.spec.type == "LoadBalancer" and service.spec.load_balancer_class == wanted


def _waits_long(ctx: Context, service: Service) -> bool:
    if (
        ctx.now is None
        or service.metadata.creation_timestamp is None
        or service.metadata.deletion_timestamp is not None
    ):
        return False
    try:
        created = datetime.fromisoformat(service.metadata.creation_timestamp)
    except ValueError:
        return False
    return created.tzinfo is not None and ctx.now - created.timestamp() > _LONG


_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop{more}}}
spec: {{type: LoadBalancer, selector: {{app: web}}, ports: [{{port: 80}}]{spec}}}
---"""
_NODE = """
apiVersion: v1
kind: Node
metadata: {{name: node-1{more}}}
spec: {{providerID: "{provider}"}}
status: {{nodeInfo: {{kubeletVersion: {version}}}}}
"""


def _service(name: str = "web", more: str = "", spec: str = "") -> str:
    return _SERVICE.format(name=name, more=more, spec=spec)


def _node(provider: str = "", more: str = "", version: str = "v1.34.1") -> str:
    return _NODE.format(provider=provider, more=more, version=version)


_SINCE_AN_HOUR = ', creationTimestamp: "2025-12-31T23:00:00Z"'
_SINCE_A_MINUTE = ', creationTimestamp: "2025-12-31T23:59:00Z"'
_METALLB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller, namespace: metallb-system}
spec:
  template:
    metadata: {labels: {app: metallb}}
    spec: {containers: [{name: controller, image: "quay.io/metallb/controller:v0.15.2"}]}
---"""
_CILIUM = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: cilium}}
    spec: {hostNetwork: true, containers: [{name: cilium-agent, image: "quay.io/cilium/cilium:v1.18.4"}]}
---"""

CHECK = Check(
    id="load-balancer-without-controller",
    level=Level.WARNING,
    summary="a LoadBalancer Service where nobody provides load balancers",
    rationale="Kubernetes itself gives a Service of type LoadBalancer no load balancer: a cloud's controller does, or "
    "MetalLB, kube-vip, k3s' ServiceLB, Cilium's LB IPAM and others, where they are installed. Without one the Service "
    "stays pending for ever; it can be reached on its cluster address and its node ports. That nobody is seen is a note; "
    "that others of the same class wait in vain is a warning.",
    remedy="Install a provider of load balancers (kind: cloud-provider-kind, minikube: minikube tunnel), set "
    "loadBalancerClass to one that is there, or use NodePort or an Ingress.",
    run=run,
    judges=(Service.kind,),
    rests_on=(SERVICE, NODE, DAEMON_SET, DEPLOYMENT, STATEFUL_SET),
    bad=(
        Example(
            title="another one has waited for an hour",
            cluster=_service("api", _SINCE_AN_HOUR) + _node(),
            object=_service(),
            says="Service api got no address in 10 minutes; write NodePort",
        ),
        Example(
            title="Cilium is there, and has no addresses to give",
            cluster=_service("api", _SINCE_AN_HOUR) + _service("old", _SINCE_AN_HOUR) + _CILIUM,
            object=_service(),
            view=View.CHECK,
            says="(none of 2 other LoadBalancers has one: nobody provides them here",
        ),
        Example(
            title="a class that nobody serves",
            cluster=_service("api", _SINCE_AN_HOUR, ", loadBalancerClass: example.com/lb") + _METALLB,
            object=_service(spec=", loadBalancerClass: example.com/lb"),
            says="(none of 1 other LoadBalancer of class example.com/lb has one",
        ),
        Example(
            title="nobody is seen who provides any: a note",
            cluster=_node("kind://docker/kind/kind-worker"),
            object=_service(),
            level=Level.NOTE,
            says="nobody is seen to provide load balancers: it stays pending",
        ),
        Example(
            title="k3s without ServiceLB: a note",
            cluster=_node(
                "k3s://node-1",
                """, annotations: {k3s.io/node-args: '["server","--disable","traefik,servicelb"]'}""",
                "v1.34.1+k3s1",
            ),
            object=_service(),
            level=Level.NOTE,
        ),
        Example(
            title="another one has waited for a minute: a note",
            cluster=_service("api", _SINCE_A_MINUTE) + _node(),
            object=_service(),
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="a cloud",
            cluster=_service("api", _SINCE_AN_HOUR) + _node("gce://project/zone/node-1"),
            object=_service(),
        ),
        Example(title="MetalLB", cluster=_service("api", _SINCE_AN_HOUR) + _METALLB, object=_service()),
        Example(
            title="k3s with its ServiceLB",
            cluster=_node("k3s://node-1", """, annotations: {k3s.io/node-args: '["server"]'}""", "v1.34.1+k3s1"),
            object=_service(),
        ),
        Example(
            title="another one has an address",
            cluster=_service("api", _SINCE_AN_HOUR)
            + _service("old", _SINCE_AN_HOUR).replace(
                "---", "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}\n---"
            ),
            object=_service(),
        ),
        Example(
            title="another class has waited",
            cluster=_service("api", _SINCE_AN_HOUR, ", loadBalancerClass: example.com/lb") + _node(),
            object=_service(),
        ),
        Example(title="not all nodes are known", cluster=_node(), object=_service(), partial=True),
    ),
)
