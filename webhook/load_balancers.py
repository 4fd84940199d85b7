"""Who gives Services of type LoadBalancer their addresses here, told from what runs: no field of the API says it.

A doubt counts as somebody: what is said on the strength of this is that nobody is there.

Sources: facts 3.3.10; k8s.io/cloud-provider (node.spec.providerID); docs.k3s.io/networking/networking-services;
docs.cilium.io (LB IPAM); docs.tigera.io (IPAM); kube-router.io (load-balancer-allocator); metallb.io; kube-vip.io.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from webhook.check import Context
from webhook.enforcement.containers import app_of, parse_image
from webhook.model.objects import DAEMON_SET, DEPLOYMENT, NODE, POD, STATEFUL_SET, Node, Workload

WITHOUT: Final = frozenset({"baremetalhost", "k3s", "kind", "metal3", "rke2"})
"""Schemes of providerIDs that name no cloud: kind and metal3 give no addresses, k3s and RKE2 say themselves whether."""
EXCLUDED: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
"""A label of nodes that load balancers leave out, whatever its value (k8s.io/api core/v1 well_known_labels.go)."""


class Provider(Struct, frozen=True):
    """Somebody who provides load balancers.

    Args:
        name: what it is called.
        certain: it does; else it has the feature, and whether it is switched on does not show.
        cloud: a cloud's load balancer outside the cluster: it leaves `EXCLUDED` nodes out.
    """

    name: str
    certain: bool = True
    cloud: bool = False


_CLOUD: Final = Provider("a cloud provider", cloud=True)
_SERVICE_LB: Final = Provider("ServiceLB")
_SIGNS: Final = (
    ("metallb", Provider("MetalLB")),
    ("kube-vip", Provider("kube-vip")),
    ("svclb-", _SERVICE_LB),
    ("klipper-lb", _SERVICE_LB),
    ("purelb", Provider("PureLB")),
    ("openelb", Provider("OpenELB")),
    ("loxilb", Provider("LoxiLB")),
    ("aws-load-balancer-controller", Provider("AWS Load Balancer Controller")),
    ("cloud-controller-manager", _CLOUD),
    ("cloud-provider", _CLOUD),
    ("-ccm", _CLOUD),
    ("inlets", Provider("inlets")),
    ("tailscale", Provider("Tailscale")),
    ("yawol", Provider("yawol")),
    ("bigip", Provider("F5 BIG-IP")),
    ("ako", Provider("Avi", certain=False)),
    ("ncp", Provider("NSX", certain=False)),
    ("cilium", Provider("Cilium", certain=False)),
    ("calico", Provider("Calico", certain=False)),
    ("antrea", Provider("Antrea", certain=False)),
    ("kube-router", Provider("kube-router", certain=False)),
    ("kube-ovn", Provider("kube-ovn", certain=False)),
    ("load-balancer", Provider("a load balancer", certain=False)),
    ("loadbalancer", Provider("a load balancer", certain=False)),
)
"""What stands in the names, labels or images of those who do, the plainest first; short words must stand alone."""
_SHORTEST_PART: Final = 4


def providers_of(ctx: Context) -> Sequence[Provider]:
    """Everybody who may provide load balancers; each once."""
    return tuple(dict.fromkeys((*_of_nodes(ctx), *_of_workloads(ctx))))


def known(ctx: Context) -> bool:
    """Whether all is known from which `providers_of` is told."""
    return ctx.cluster.complete(NODE, POD, DAEMON_SET, DEPLOYMENT, STATEFUL_SET)


def _of_nodes(ctx: Context) -> Iterator[Provider]:
    serving: set[bool] = set()
    of_k3s = False
    for node in ctx.cluster.nodes:
        ctx.spend(2)
        scheme = node.provider_id.partition("://")[0]
        if scheme and scheme not in WITHOUT:
            # AWS' may lead to the pods themselves, and then know no nodes.
            yield Provider("AWS") if scheme == "aws" else _CLOUD
        of_k3s = of_k3s or "+k3s" in node.kubelet_version
        if (own := _serves_itself(node)) is not None:
            serving.add(own)
    if True in serving:
        yield _SERVICE_LB
    elif of_k3s and not serving:  # its servers decide, and show themselves as nodes only where they run an agent
        yield Provider("ServiceLB", certain=False)


def _serves_itself(node: Node) -> bool | None:
    """Whether a k3s or RKE2 server runs ServiceLB: k3s unless it is disabled, RKE2 if it is enabled; else None."""
    for key in ("k3s.io/node-args", "rke2.io/node-args"):
        written = node.annotations.get(key)
        if written is None:
            continue
        try:
            arguments = msgspec.json.decode(written, type=list[str])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        if arguments[:1] != ["server"]:
            continue
        words = {part for argument in arguments for word in argument.split(",") for part in word.split("=")}
        return "--enable-servicelb" in words if key.startswith("rke2") else "servicelb" not in words
    return None


def _of_workloads(ctx: Context) -> Iterator[Provider]:
    for workload in ctx.cluster.workloads(DEPLOYMENT, DAEMON_SET, STATEFUL_SET):
        ctx.spend(8 * (1 + len(workload.containers)))
        if (found := _sign(workload)) is not None:
            yield found
    # A static pod has no workload.
    for pod_class in ctx.cluster.classes("kube-system"):
        ctx.spend(2 * len(pod_class.pods))
        for pod in pod_class.pods.values():
            if pod.owner is None and pod.name.startswith("kube-vip"):
                yield Provider("kube-vip")


def _sign(workload: Workload) -> Provider | None:
    words = [workload.name, app_of(workload), *(parse_image(c.image).path for c in workload.containers)]
    for sign, provider in _SIGNS:
        for word in words:
            if sign in (word if len(sign) >= _SHORTEST_PART else word.replace("/", "-").split("-")):
                return provider
    return None
