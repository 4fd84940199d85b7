"""Who serves an Ingress: its class's controller, and the pods that carry the traffic, told from what runs.

No field of the API leads from a class to pods. So the controllers in wide use are known by what their own manifests
and charts say: the class's ``controller``, the labels of the pods, images, ServiceAccounts. Anything else is unknown.

Sources: the manifests and charts of kubernetes/ingress-nginx, nginx/kubernetes-ingress, traefik/traefik-helm-chart,
haproxytech/kubernetes-ingress, jcmoraisjr/haproxy-ingress, projectcontour/contour, Kong/charts, istio/istio,
openshift/cluster-ingress-operator; kubernetes-sigs/aws-load-balancer-controller, kubernetes/ingress-gce,
Azure/application-gateway-kubernetes-ingress, Azure/aks-app-routing-operator.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from webhook.check import Context
from webhook.enforcement.containers import parse_image
from webhook.model.cluster import PodClass
from webhook.model.objects import DAEMON_SET, DEPLOYMENT, INGRESS_CLASS, POD, Ingress, IngressClass, Labels
from webhook.reach.graph import Graph

_NAME: Final = "app.kubernetes.io/name"
_COMPONENT: Final = "app.kubernetes.io/component"
_OTHER_PARTS: Final = frozenset({"admission-webhook", "default-backend", "defaultbackend", "metrics", "migrations"})
"""Values of that label on pods that carry no traffic of Ingresses."""


class _Family(Struct, frozen=True):
    """Controllers of one make.

    Args:
        name: what it is called.
        controllers: what stands in an IngressClass's ``controller``.
        classes: names of classes that need no IngressClass: those of the older annotation.
        labels: of its pods, any of them.
        images: what the path of its image ends in.
        accounts: ServiceAccounts that its own manifests run it under.
        outside: it is a load balancer outside the cluster.
    """

    name: str
    controllers: tuple[str, ...]
    classes: tuple[str, ...] = ()
    labels: tuple[Labels, ...] = ()
    images: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    outside: bool = False


_FAMILIES: Final = (
    _Family(
        "AKS application routing",
        ("webapprouting.kubernetes.azure.com/nginx",),
        ("webapprouting.kubernetes.azure.com",),
        ({"app.kubernetes.io/managed-by": "aks-app-routing-operator", _COMPONENT: "ingress-controller"},),
    ),
    _Family(
        "ingress-nginx",
        ("ingress-nginx",),
        ("nginx",),
        ({_NAME: "ingress-nginx"}, {_NAME: "rke2-ingress-nginx"}, {"name": "nginx-ingress-microk8s"}),
        ("ingress-nginx/controller", "nginx-ingress-controller"),
        ("ingress-nginx",),
    ),
    _Family(
        "NGINX Ingress Controller",
        ("nginx.org/ingress-controller",),
        (),
        ({_NAME: "nginx-ingress"}, {"app": "nginx-ingress"}),
        ("nginx/nginx-ingress", "nginx-ic/nginx-plus-ingress"),
        ("nginx-ingress",),
    ),
    _Family("Traefik", ("traefik.io/ingress-controller",), ("traefik",), ({_NAME: "traefik"},), ("traefik",)),
    _Family(
        "HAProxy",
        ("haproxy.org/ingress-controller",),
        ("haproxy",),
        ({_NAME: "kubernetes-ingress"}, {"run": "haproxy-ingress"}),
        ("haproxytech/kubernetes-ingress",),
    ),
    _Family(
        "HAProxy Ingress",
        ("haproxy-ingress.github.io/controller",),
        (),
        ({_NAME: "haproxy-ingress"}, {"run": "haproxy-ingress"}),
        ("jcmoraisjr/haproxy-ingress",),
    ),
    _Family(
        "Contour",
        ("projectcontour.io/",),
        ("contour",),
        ({"app": "envoy"}, {_NAME: "contour", _COMPONENT: "envoy"}),
        (),
        ("contour-envoy",),
    ),
    _Family(
        "Kong",
        ("ingress-controllers.konghq.com/kong",),
        ("kong",),
        ({_NAME: "kong", _COMPONENT: "app"}, {_NAME: "gateway", _COMPONENT: "app"}, {"app": "proxy-kong"}),
        ("kong/kong-gateway",),
    ),
    _Family("Istio", ("istio.io/ingress-controller",), ("istio",), ({"istio": "ingressgateway"},)),
    _Family(
        "the OpenShift router",
        ("openshift.io/ingress-to-route",),
        (),
        ({"ingresscontroller.operator.openshift.io/deployment-ingresscontroller": "default"},),
    ),
    _Family("the AWS load balancer", ("ingress.k8s.aws/alb",), ("alb",), outside=True),
    _Family("the Google load balancer", ("networking.gke.io/ingress",), ("gce", "gce-internal"), outside=True),
    _Family(
        "the Azure application gateway",
        ("azure/application-gateway",),
        ("azure/application-gateway", "azure-application-gateway"),
        outside=True,
    ),
)


_BY_LABEL: Final = tuple(dict.fromkeys(next(iter(labels.items())) for f in _FAMILIES for labels in f.labels))


def may_run_in(ctx: Context, namespace: str) -> bool:
    """Whether any pod of a namespace looks like a controller's, by its labels: cheap to ask before looking for one."""
    ctx.spend(len(ctx.cluster.classes(namespace)))
    return any(ctx.cluster.carried(namespace, key, value) for key, value in _BY_LABEL)


class Controller(Struct, frozen=True):
    """Who serves an Ingress.

    Args:
        name: what it is called.
        sources: where its traffic comes from: its running pods, or the outside.
        nodes: the nodes whose own network its pods are on: what runs there they reach whatever policies say.
        namespaces: of its pods; none where it is outside.
        outside: it is a load balancer outside the cluster.
    """

    name: str
    sources: int
    nodes: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    outside: bool = False


class Controllers:
    """The controllers of a cluster, each looked for once.

    Args:
        ctx: the context.
        graph: what the sources are numbers of.
    """

    def __init__(self, ctx: Context, graph: Graph) -> None:
        self._ctx = ctx
        self._graph = graph
        self._known: dict[str, Controller | None] = {}
        self._made: dict[str, Controller | None] = {}

    def of(self, ingress: Ingress) -> Controller | None:
        """Who serves an Ingress; None where that is not known."""
        name = ingress.class_name
        if name not in self._known:
            family = self._family(name)
            if family is not None and family.name not in self._made:
                self._made[family.name] = self._find(family)
            self._known[name] = None if family is None else self._made[family.name]
        return self._known[name]

    def _family(self, class_name: str) -> _Family | None:
        cluster = self._ctx.cluster
        found = cluster.get(INGRESS_CLASS, ("", class_name))
        if not class_name and cluster.complete(INGRESS_CLASS):
            self._ctx.spend(len(cluster.keys(INGRESS_CLASS)))
            defaults = [c for c in cluster.ingress_classes if c.default]
            found = defaults[0] if len(defaults) == 1 else None
        if isinstance(found, IngressClass):
            written = found.controller
            return next((f for f in _FAMILIES if any(c in written for c in f.controllers)), None)
        return next((f for f in _FAMILIES if class_name in f.classes), None)

    def _find(self, family: _Family) -> Controller | None:
        if family.outside:
            return Controller(family.name, self._graph.outside, outside=True)
        classes = [c for labels in family.labels for c in self._labelled(labels)]
        if not any(c.pods for c in classes):
            classes = list(self._by_workload(family))
        sources = 0
        nodes: set[str] = set()
        namespaces: set[str] = set()
        for cell in self._graph.cells_of(dict.fromkeys(classes)):
            self._ctx.spend(1 + len(cell.pods))
            if not cell.pods:
                continue
            if cell.host_network:
                if not any(cell.atoms):
                    return None  # its address, by which policies know it, is not known
                nodes.update(p.node for p in cell.of.pods.values() if p.host_network)
            sources |= 1 << cell.number
            namespaces.add(cell.namespace)
        return Controller(family.name, sources, frozenset(nodes), frozenset(namespaces)) if sources else None

    def _labelled(self, labels: Labels) -> Sequence[PodClass]:
        found = self._ctx.select(self._ctx.compile_labels(labels))
        return [c for c in found if c.labels.get(_COMPONENT) not in _OTHER_PARTS]

    def _by_workload(self, family: _Family) -> Iterator[PodClass]:
        """By image or ServiceAccount, where the labels are others."""
        for workload in self._ctx.cluster.workloads(DEPLOYMENT, DAEMON_SET):
            self._ctx.spend(2 + 2 * len(workload.containers))
            images = [parse_image(c.image).path for c in workload.containers]
            if workload.service_account in family.accounts or any(
                path == end or path.endswith(f"/{end}") for path in images for end in family.images
            ):
                yield from self._ctx.select(self._ctx.compile_labels(workload.labels), {workload.namespace})


def where(ctx: Context, controller: Controller) -> str:
    """A controller, and where it runs as far as may be told: ``ingress-nginx in another namespace``."""
    if controller.outside:
        return controller.name
    return f"{controller.name} in {ctx.name_namespaces(controller.namespaces, POD)}"
