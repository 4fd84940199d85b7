"""What a Service leads to: its endpoints and, for each of its ports, the number behind it."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from webhook.backends import Member, find_port
from webhook.model.cluster import Cluster
from webhook.model.objects import ENDPOINT_SLICE, ContainerPort, Pod, Service, ServicePort
from webhook.model.selectors import equality_selector


class Endpoint(Struct, frozen=True):
    """One endpoint of a Service.

    Args:
        at: the pod, or the template of pods to come; the address where an EndpointSlice says so.
        ports: of its EndpointSlice; None where the pod's own ports decide.
    """

    at: Member | str
    ports: tuple[ContainerPort, ...] | None = None

    def number(self, port: ServicePort) -> int | None:
        """The port that a connection to a port of the Service arrives at; None where it has no such port.

        Source: k8s.io/endpointslice utils.go FindPort.
        """
        if self.ports is not None:
            return next((p.number for p in self.ports if (p.name, p.protocol) == (port.name, port.protocol)), None)
        if isinstance(port.target_port, str) and not isinstance(self.at, str):
            found = find_port(self.at, port.target_port, port.protocol)
            return found.number if found else None
        return port.target_port if isinstance(port.target_port, int) and port.target_port else port.port


class Behind(Struct, frozen=True):
    """The endpoints of a Service.

    Args:
        endpoints: those that get traffic.
        unready: how many more there are that are not ready.
        known: whether anything tells what they are.
    """

    endpoints: Sequence[Endpoint] = ()
    unready: int = 0
    known: bool = True


def behind(cluster: Cluster, service: Service) -> Behind:
    """The endpoints of a Service: its EndpointSlices where there are any, else the pods that its selector matches.

    Source: k8s.io/kubernetes pkg/controller/endpointslice; facts 3.2.
    """
    slices = cluster.slices_of(*service.key)
    if slices:
        found = [
            Endpoint(address, s.ports)
            for s in slices
            for address in dict.fromkeys(s.addresses)
            if address not in s.unready
        ]
        return Behind(found, sum(len(set(s.unready)) for s in slices))
    if not service.spec.selector:
        # Somebody else writes them. The API server's own are in every cluster; else they count where slices are known.
        return Behind(known=bool(cluster.keys(ENDPOINT_SLICE)) and service.key != ("default", "kubernetes"))
    classes = cluster.select(equality_selector(service.spec.selector), {service.metadata.namespace})
    pods = [p for c in classes for p in c.pods.values() if not p.terminating]
    if pods:
        chosen = list(pods if service.spec.publish_not_ready_addresses else _ready(pods))
        return Behind([Endpoint(pod) for pod in chosen], len(pods) - len(chosen))
    templates = [t for c in classes for t in c.templates.values() if t.replicas > 0]
    return Behind([Endpoint(t) for t in [t for t in templates if t.owner is None] or templates])


def _ready(pods: Sequence[Pod]) -> Iterable[Pod]:
    """The ready ones. Where none is, nobody may have said so: files written by hand have no status."""
    return [pod for pod in pods if pod.ready] or pods
