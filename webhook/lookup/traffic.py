"""A connection, step by step as the traffic goes: the name, the Service, egress, ingress. The first step that fails is
the answer.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from webhook.dns import ServiceName, addresses_of, dns_of
from webhook.lookup.arriving import Arrival, arrivals
from webhook.lookup.asking import can_ask
from webhook.lookup.names import Answered, Resolver
from webhook.lookup.sides import Step, Target, passage, place_of, to_outside
from webhook.lookup.typed import Typed, TypedError
from webhook.model.objects import SERVICE, Protocol, Service
from webhook.reach.cidr import parse_address
from webhook.reach.explain import Explainer, Party, Side, UnknownNameError
from webhook.reach.ports import ALL_PORTS, describe


class Explanation(Struct, frozen=True):
    """An answer to one question.

    Args:
        src, dst: as they were asked for.
        protocol, port: as they were asked for, or typed; None for all ports.
        allowed: whether all of it is let through; None where that cannot be told.
        partly: whether it is between some pods, and not between others.
        ports: where no port was asked for: those on which all can connect; of a Service, its own ports.
        egress, ingress: what the policies on each side say; None where the traffic does not come that far.
        steps: in the order of the traffic; the first that fails is the answer. There are none beyond a name that does
            not resolve, or a Service that leads nowhere.
    """

    src: str
    dst: str
    protocol: Protocol
    port: int | None
    allowed: bool | None
    partly: bool = False
    ports: tuple[str, ...] | None = None
    egress: Side | None = None
    ingress: Side | None = None
    steps: tuple[Step, ...] = ()


class _Way(Struct, frozen=True):
    """A question, and the steps that are made already.

    Args:
        src, dst: as they were asked for.
        sources: what ``src`` stands for.
        typed: the port that is asked for, and what was typed.
        steps: so far.
    """

    src: str
    sources: Party
    dst: str
    typed: Typed
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> "_Way":
        return msgspec.structs.replace(self, steps=(*self.steps, step))

    def ends(self, *, allowed: bool | None, egress: Side | None = None, ingress: Side | None = None) -> Explanation:
        """The answer where the way ends, before policies on both sides have been asked."""
        typed = self.typed
        return Explanation(
            self.src, self.dst, typed.protocol, typed.port, allowed, egress=egress, ingress=ingress, steps=self.steps
        )


class Guide:
    """Follows connections through one state.

    Args:
        explainer: the state.
        services_known: whether a Service that is not in the state is not there.
    """

    def __init__(self, explainer: Explainer, *, services_known: bool = True) -> None:
        self._explainer = explainer
        self._cluster = explainer.graph.cluster
        self._services_known = services_known

    def exact(self, src: str, dst: str, protocol: Protocol = "TCP", port: int | None = None) -> Explanation:
        """A connection between what two exact names stand for; ``dst`` may be ``namespace/Service/name``, too.

        Raises:
            UnknownNameError: a name stands for nothing, or for several things.
            TypedError: both are addresses.
        """
        way = _Way(src, self._explainer.party(src), dst, Typed("", port, protocol))
        parts = dst.split("/")
        if len(parts) == 3 and parts[1] == "Service":
            service = self._cluster.get(SERVICE, (parts[0], parts[2]))
            if not isinstance(service, Service):
                raise UnknownNameError(f"{dst} is not there", dst)
            return self._to_service(way, service)
        destinations = self._explainer.party(dst)
        if src.startswith("ip:") and dst.startswith("ip:"):
            raise TypedError(f"from address to address no policy of this cluster decides: {src}, {dst}")
        return self._between(way, destinations, dst)

    def typed(self, src: str, dst: str, typed: Typed) -> Explanation:
        """A connection to what a person types in the pods of ``src``.

        Raises:
            UnknownNameError: ``src`` stands for nothing, or for several things.
            TypedError: ``src`` is an address: who is there has no names of the cluster.
        """
        way = _Way(src, self._explainer.party(src), dst, typed)
        if typed.is_loopback:
            step = Step("lookup", True, f"{typed.host} is the pod itself: nothing leaves it")
            return way.then(step).ends(allowed=True, egress=Side(), ingress=Side())
        if typed.is_address:
            return self._to_address(way)
        if any(place.outside for place in way.sources.places):
            raise TypedError(f"{src} is no pod, which alone can look {typed.host} up: write namespace/name for DST")
        reachable = can_ask(self._explainer, way.sources, src)
        if reachable.ok is False:
            return way.then(reachable).ends(allowed=False)
        namespace = way.sources.places[0].namespace
        answered = Resolver(self._cluster, namespace, services_known=self._services_known).lookup(typed.host)
        ok = None if answered.ok and reachable.ok is None else answered.ok
        # Beside a name that is wrong, it does not matter what is not known.
        details = () if reachable.ok is None and ok is False else (reachable.says, *reachable.details)
        return self._follow(way.then(Step("lookup", ok, answered.says, details, answered.remedy)), answered)

    def _follow(self, way: _Way, answered: Answered) -> Explanation:
        """Goes where a name leads."""
        found = answered.found
        if answered.ok is False:
            return way.ends(allowed=False)
        if found.service is not None:
            return self._to_service(way, found.service)
        if found.endpoint is not None and (place := place_of(self._explainer, found.endpoint)) is not None:
            return self._between(way, Party((place,)), place.name)
        if found.outside:
            asked = self._explainer.asked(way.typed.protocol, way.typed.port)
            step, egress = to_outside(self._explainer, way.sources, asked, way.src)
            return way.then(step).ends(allowed=step.ok, egress=egress, ingress=Side())
        return way.ends(allowed=None)

    def _to_address(self, way: _Way) -> Explanation:
        """To whoever has the address that was typed: a Service, a pod, a node, or nobody that is known."""
        number = parse_address(way.typed.host)
        for service in self._cluster.services:
            if any(parse_address(address) == number for address in addresses_of(service)):
                return self._to_service(way, service)
        place = self._explainer.address(way.typed.host)
        if place.outside and any(p.outside for p in way.sources.places):
            raise TypedError(f"from address to address no policy of this cluster decides: {way.src}, {way.dst}")
        return self._between(way, Party((place,)), place.name)

    def _to_service(self, way: _Way, service: Service) -> Explanation:
        if service.spec.type == "ExternalName":  # by its exact name: no lookup has followed it yet
            resolver = Resolver(self._cluster, "", services_known=self._services_known)
            full = dns_of(self._cluster).full_name(ServiceName(service.metadata.name, service.metadata.namespace))
            answered = resolver.lookup(f"{full}.")
            return self._follow(way.then(Step("lookup", answered.ok, answered.says, (), answered.remedy)), answered)
        step, found = arrivals(self._explainer, service, way.typed)
        if not found:
            return way.then(step).ends(allowed=step.ok)
        number = len({place for arrival in found for place in arrival.target.party.places})
        behind = f"{number} pods behind Service {'/'.join(service.key)}"
        return self._finish(way.then(step), found, behind if number > 1 else found[0].target.party.places[0].name)

    def _between(self, way: _Way, destinations: Party, name: str) -> Explanation:
        asked = self._explainer.asked(way.typed.protocol, way.typed.port)
        return self._finish(way, [Arrival(Target(destinations, asked))], name)

    def _finish(self, way: _Way, found: Sequence[Arrival], name: str) -> Explanation:
        """The policies on both sides, and the answer."""
        through = passage(self._explainer, way.sources, [a.target for a in found], way.src, name)
        return Explanation(
            way.src,
            way.dst,
            way.typed.protocol,
            way.typed.port,
            through.allowed,
            through.partly,
            self._ports(way.sources, found) if way.typed.port is None else None,
            through.egress,
            through.ingress,
            (*way.steps, *through.steps),
        )

    def _ports(self, sources: Party, found: Sequence[Arrival]) -> tuple[str, ...]:
        """The ports on which all can connect; of a Service, its own."""
        if not found[0].port:
            return describe(self._explainer.judge(sources, found[0].target.party, ALL_PORTS).ports)
        verdicts: dict[str, bool] = {}
        for arrival in found:
            allowed = self._explainer.judge(sources, arrival.target.party, arrival.target.asked).allowed
            verdicts[arrival.port] = verdicts.get(arrival.port, True) and allowed
        return tuple(port for port, allowed in verdicts.items() if allowed)
