"""Whether pods can ask the cluster's DNS at all: what policies make of their queries, where these really arrive."""

from collections.abc import Sequence
from typing import Final

from webhook.dns import DNS_PORT, DNSService, NameServer, NodeCache, name_servers
from webhook.lookup.behind import Endpoint
from webhook.lookup.sides import Passage, Step, Target, passage, place_of
from webhook.model.objects import NAME_LABEL, Protocol
from webhook.model.selectors import describe
from webhook.reach.explain import Explainer, Party, Place, UnknownNameError
from webhook.reach.ports import port_range
from webhook.reach.wording import block_of

_UDP_AND_TCP: Final[tuple[Protocol, ...]] = ("UDP", "TCP")


def can_ask(explainer: Explainer, sources: Party, src: str) -> Step:
    """The first half of a lookup: dnsPolicy ClusterFirst is taken for granted, records of pods do not tell it.

    Args:
        explainer: the state.
        sources: who asks.
        src: how they are called.
    """
    if all(place.on_host for place in sources.places):
        says = f"{src} asks its node's resolver, unless its dnsPolicy is ClusterFirstWithHostNet, which is not known"
        return Step("lookup", None, says)
    known = name_servers(explainer.graph.cluster)
    if not known.known:
        if not any(explainer.policies_on(place, "Egress") for place in sources.shown):
            return Step("lookup", True, f"no policy keeps {src} from asking the cluster's DNS")
        there = f": nothing is known behind Service {'/'.join(known.services[0].key)}" if known.services else ""
        return Step("lookup", None, f"whether the cluster's DNS can be asked is not known{there}")
    # Which of several Services the kubelets name, nobody says: one that can be asked is enough.
    tried = [_servers(explainer, sources, src, service) for service in known.services if service.servers]
    best = min(tried, key=_badness, default=None)
    cache = None
    if known.cache is not None and known.cache.host_network:
        cache = _cache(explainer, sources, src, known.cache)
    if cache is None or cache.ok or best is None:
        return cache or best or Step("lookup", None, "whether the cluster's DNS can be asked is not known")
    if best.ok is False:
        return cache
    # Selectors find the DNS pods, but the cache answers in their place: engines differ in what they make of that.
    says = f"{cache.says}; whether the way to the DNS pods is enough depends on the engine"
    return Step("lookup", None, says, cache.details, cache.needed)


def _badness(step: Step) -> int:
    return (True, None, False).index(step.ok)


def _cache(explainer: Explainer, sources: Party, src: str, cache: NodeCache) -> Step | None:
    """Whether NodeLocal DNSCache can be asked, at one of its addresses; None where they are none."""
    failed: Step | None = None
    for address in cache.addresses:
        try:
            party = Party((explainer.address(address),))
        except UnknownNameError:
            continue
        through = passage(explainer, sources, [Target(party, port_range("UDP", DNS_PORT, DNS_PORT))], src, address)
        if through.allowed:
            return Step("lookup", True, f"NodeLocal DNSCache at {address} can be asked")
        if failed is None:
            egress = through.steps[0]
            says = f"{src} cannot ask NodeLocal DNSCache, {address} UDP {DNS_PORT}: {egress.says}"
            needed = f"an egress rule to ipBlock {block_of(address)} on UDP {DNS_PORT} and TCP {DNS_PORT}"
            failed = Step("lookup", False, says, egress.details, needed)
    return failed


def _servers(explainer: Explainer, sources: Party, src: str, asked: DNSService) -> Step:
    """Whether the pods behind a DNS Service can be asked."""
    name = f"Service {'/'.join(asked.key)}"
    over_udp = _over(explainer, sources, src, asked.servers, "UDP")
    if over_udp is None:
        return Step("lookup", None, f"{name} has no pod that takes queries over UDP")
    if over_udp.allowed:
        over_tcp = _over(explainer, sources, src, asked.servers, "TCP")
        # Only answers that are too large for a datagram are asked for again over TCP (RFC 7766 5).
        lost = ", but not over TCP" if over_tcp is not None and not over_tcp.allowed else ""
        return Step("lookup", True, f"the cluster's DNS ({name}) can be asked{lost}")
    failing = next((step for step in over_udp.steps if not step.ok), over_udp.steps[0])
    if over_udp.partly:
        says = f"not all of {src} can ask all pods of the cluster's DNS ({name}): {failing.says}"
        return Step("lookup", None, says, failing.details, failing.needed)
    leaving = failing.step == "egress"
    policies = (over_udp.egress if leaving else over_udp.ingress).policies
    cut = f"{', '.join(f'{p.kind} {p.name}' for p in policies[:3])} cuts {'its egress' if leaving else 'their ingress'}"
    numbers = ", ".join(sorted({str(s.udp) for s in asked.servers if s.udp}))
    says = f"{src} cannot ask the cluster's DNS ({name}, UDP {numbers} of its pods): {cut} there"
    needed = _rule_to_write(sources, asked) if leaving else failing.needed
    return Step("lookup", False, says, failing.details, needed or failing.needed)


def _over(
    explainer: Explainer, sources: Party, src: str, servers: Sequence[NameServer], protocol: Protocol
) -> Passage | None:
    """What becomes of queries over a protocol to all servers; None where none takes any."""
    by_number: dict[int, list[Place]] = {}
    for server in servers:
        number = server.number(protocol)
        place = place_of(explainer, Endpoint(server.at, ()))
        if number is not None and place is not None:
            by_number.setdefault(number, []).append(place)
    targets = [Target(Party(places), port_range(protocol, n, n)) for n, places in by_number.items()]
    return passage(explainer, sources, targets, src, "the cluster's DNS") if targets else None


def _rule_to_write(sources: Party, asked: DNSService) -> str:
    """The egress rule that lets queries through: as the Service selects its pods, on all of their ports."""
    if not asked.service.spec.selector:
        return ""
    who = f"podSelector {describe(asked.service.spec.selector)}"
    home = asked.service.metadata.namespace
    if any(place.namespace != home for place in sources.places):
        who = f"namespaceSelector {NAME_LABEL}={home} with {who}"
    ports = [f"{p} {n}" for p in _UDP_AND_TCP for n in sorted({s.number(p) or 0 for s in asked.servers}) if n]
    return f"an egress rule to {who} on {' and '.join(ports)}"
