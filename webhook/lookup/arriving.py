"""The step from a Service to its endpoints: which ports lead where, and why some lead nowhere."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from webhook.backends import headless
from webhook.check import count
from webhook.lookup.behind import Behind, Endpoint, behind
from webhook.lookup.sides import Step, Target, place_of
from webhook.lookup.typed import Typed
from webhook.model.cluster import Cluster
from webhook.model.objects import Service, ServicePort
from webhook.model.selectors import describe as describe_labels
from webhook.model.selectors import nearest
from webhook.reach.explain import Explainer, Party, Place
from webhook.reach.ports import ALL_PORTS, describe, port_range


class Arrival(Struct, frozen=True):
    """Where connections to one port arrive.

    Args:
        port: of a Service, as ``TCP 80``; empty where no Service is between.
        target: who takes them, and on which port.
    """

    target: Target
    port: str = ""


def arrivals(explainer: Explainer, service: Service, typed: Typed) -> tuple[Step, Sequence[Arrival]]:
    """Follows connections to a Service; where there are no arrivals, the step says why."""
    name = f"Service {'/'.join(service.key)}"
    ports = _ports_asked(service, typed)
    if not ports:
        return _no_port(name, service, typed), ()
    endpoints = behind(explainer.graph.cluster, service)
    if not endpoints.known:
        return Step("service", None, f"the endpoints of {name} are not known"), ()
    if not endpoints.endpoints:
        return _no_endpoints(explainer.graph.cluster, name, service, endpoints.unready), ()
    found = [
        arrival
        for port in ports
        for arrival in _arrivals(explainer, port, endpoints.endpoints, direct=headless(service.spec))
    ]
    if not found:
        return _no_target(name, ports[0], endpoints.endpoints), ()
    lead = _connects if headless(service.spec) else _sends
    return lead(name, ports, found, endpoints), found


def _ports_asked(service: Service, typed: Typed) -> Sequence[ServicePort]:
    direct = headless(service.spec)
    if typed.port is None:
        return service.spec.ports or ([ServicePort(0)] if direct else [])
    found = [p for p in service.spec.ports if (p.port, p.protocol) == (typed.port, typed.protocol)]
    # Clients of a headless Service have the pods' addresses: whatever port they take.
    return found or ([ServicePort(typed.port, protocol=typed.protocol)] if direct else [])


def _arrivals(
    explainer: Explainer, port: ServicePort, endpoints: Sequence[Endpoint], *, direct: bool
) -> Iterator[Arrival]:
    """Where connections to one port arrive: as many as there are numbers behind it. Without a port, on all of them."""
    by_number: dict[int, list[Place]] = {}
    for endpoint in endpoints:
        number = port.port if direct else endpoint.number(port)
        place = place_of(explainer, endpoint)
        if place is not None and number is not None:
            by_number.setdefault(number, []).append(place)
    for number, places in by_number.items():
        party = Party(tuple(dict.fromkeys(places)))  # a pod of both families is in two EndpointSlices
        if number:
            yield Arrival(Target(party, port_range(port.protocol, number, number)), f"{port.protocol} {port.port}")
        else:
            yield Arrival(Target(party, ALL_PORTS))


# --- in words ---------------------------------------------------------------------------------------------------------


def _sends(name: str, ports: Sequence[ServicePort], found: Sequence[Arrival], endpoints: Behind) -> Step:
    told = ", ".join(dict.fromkeys(map(_sent, found)))
    lacking = sum(all(endpoint.number(port) is None for port in ports) for endpoint in endpoints.endpoints)
    more = [f"{lacking} more without the port"] if lacking else []
    return Step("service", True, f"{name} sends {told}{_left_out(endpoints, more)}")


def _sent(arrival: Arrival) -> str:
    """``TCP 80 to port 8080 of shop/Pod/api-1``."""
    who = _who(arrival.target.party.places)
    arrived = describe(arrival.target.asked)[0]
    at = "" if arrived == arrival.port else f"port {arrived.partition(' ')[2]} of "
    return f"{arrival.port} to {at}{who}"


def _connects(name: str, ports: Sequence[ServicePort], found: Sequence[Arrival], endpoints: Behind) -> Step:
    """A headless Service: DNS gives the addresses of the pods, and nobody translates the port."""
    for port in ports:
        number = next((n for e in endpoints.endpoints if (n := e.number(port)) not in (None, port.port)), None)
        if port.port and number is not None:
            says = f"{name} is headless: targetPort {port.target_port} counts for nothing, {port.port} is asked for"
            return Step("service", None, says, needed=f"the pods' own port, which targetPort says is {number}")
    who = _who({place: None for arrival in found for place in arrival.target.party.places})
    return Step("service", True, f"{name} is headless: the client connects to {who} itself{_left_out(endpoints)}")


def _left_out(endpoints: Behind, more: Sequence[str] = ()) -> str:
    words = [f"{endpoints.unready} more not ready"] if endpoints.unready else []
    return f" ({', '.join((*words, *more))})" if words or more else ""


def _who(places: Iterable[Place]) -> str:
    every = list(places)
    return f"{len(every)} endpoints" if len(every) > 1 else every[0].name


def _no_port(name: str, service: Service, typed: Typed) -> Step:
    every = service.spec.ports
    if not every:
        return Step("service", False, f"{name} has no ports")
    says = (
        f"{name} has no port {typed.protocol} {typed.port}; it has {', '.join(f'{p.protocol} {p.port}' for p in every)}"
    )
    leading = next((p for p in every if p.target_port == typed.port), None)
    if leading is not None:
        says += f", which leads to {typed.port}" if len(every) == 1 else f"; {leading.port} leads to {typed.port}"
    only = every[0] if len(every) == 1 else None
    meant = next((p for p in every if p.port == typed.port), None) or leading or only
    if meant is None:
        return Step("service", False, says)
    port = str(meant.port) if meant.protocol == "TCP" else f"{meant.port}/{meant.protocol}"
    return Step("service", False, says, needed=f"write {typed.host}:{port}" if typed.host else f"--port {port}")


def _no_endpoints(cluster: Cluster, name: str, service: Service, unready: int) -> Step:
    if unready:
        return Step("service", False, f"{name} has {count(unready, 'endpoint')}, and none is ready")
    selector = service.spec.selector
    if not selector:
        return Step("service", False, f"{name} has no selector, and no EndpointSlice has endpoints for it")
    namespace = service.metadata.namespace
    needed = ""
    for c in cluster.classes(namespace):
        missed = [(key, value) for key, value in selector.items() if c.labels.get(key) != value]
        if len(missed) == 1 and (there := c.labels.get(missed[0][0])) and nearest(missed[0][1], [there]):
            needed = f"write {missed[0][0]}: {there} in its selector"
    says = f"{name} has no endpoints: no pod of {namespace} has {describe_labels(selector)}"
    return Step("service", False, says, needed=needed)


def _no_target(name: str, port: ServicePort, endpoints: Sequence[Endpoint]) -> Step:
    members = [e.at for e in endpoints if not isinstance(e.at, str)]
    named = sorted({f"{p.name} ({p.protocol} {p.number})" for m in members for p in m.ports if p.name})
    says = f"{name}: no pod behind it has a {port.protocol} port named {port.target_port}"
    if named:
        says += f"; they have {', '.join(named[:4])}"
    return Step("service", False, says, needed="write the name or number of the container's port as targetPort")
