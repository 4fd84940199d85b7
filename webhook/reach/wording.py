"""Rules in words: whom they are about, why they are not about somebody, and what would have to be written for him."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from webhook.model.objects import NAME_LABEL, Direction, Labels
from webhook.model.selectors import Selector, Term, describe
from webhook.reach.cidr import IPV6, Range, format_range
from webhook.reach.explain import Place
from webhook.reach.graph import Atom, Cell, Graph
from webhook.reach.policy import BlockPeer, Peer, PodPeer, Rule
from webhook.reach.ports import ALL_PORTS, Ports, intersection
from webhook.reach.ports import describe as describe_ports

_GENERATED: Final = frozenset(
    {
        "pod-template-hash",
        "pod-template-generation",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "apps.kubernetes.io/pod-index",
        "statefulset.kubernetes.io/pod-name",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/job-name",
        "helm.sh/chart",
        "app.kubernetes.io/version",
        "app.kubernetes.io/managed-by",
    }
)
"""Labels that differ from pod to pod, or from release to release: not to be selected by."""
_TELLING: Final[tuple[str, ...]] = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "app",
    "component",
    "k8s-app",
    "name",
    "run",
)
"""Labels that people select by, where pods have them."""
_MOST: Final = 4
"""Peers, ports and ranges of addresses that are named in one line."""


def rule_text(rule: Rule, direction: Direction) -> str:
    """``from pods access=yes of namespace default, on TCP 80``."""
    word = "from" if direction == "Ingress" else "to"
    who = "everybody" if rule.peers is None else _some(map(_peer_text, rule.peers), " or ") or "nobody"
    return f"{word} {who}, on {_ports_text(rule)}"


def _ports_text(rule: Rule) -> str:
    if rule.ports == ALL_PORTS:
        return "all ports"
    names = [f"{protocol} {name}" for name, protocol in rule.names]
    return _some((*describe_ports(rule.ports), *names), ", ") or "no port"


def ports_text(ports: Ports) -> str:
    """``TCP 80``, ``TCP 8000-8100, UDP``; ``all ports``."""
    return "all ports" if ports == ALL_PORTS else _some(describe_ports(ports), ", ")


def _some(words: Iterable[str], between: str) -> str:
    every = list(words)
    more = len(every) - _MOST
    return between.join(every[:_MOST]) + (f" and {more} more" if more > 0 else "")


def _peer_text(peer: Peer) -> str:
    if isinstance(peer, PodPeer):
        pods = "every pod" if peer.pods.empty else f"pods {peer.pods}"
        if peer.namespaces is None:
            return f"{pods} of namespace {peer.home}"
        return pods if peer.namespaces.empty else f"{pods} of {_namespaces_text(peer.namespaces)}"
    if isinstance(peer, BlockPeer):
        return ranges_text(peer.ranges)
    return "nodes"


def _namespaces_text(selector: Selector) -> str:
    if len(selector.terms) == 1 and selector.terms[0].key == NAME_LABEL and selector.terms[0].operator == "In":
        values = sorted(selector.terms[0].values)
        return f"namespace {values[0]}" if len(values) == 1 else f"namespaces {_some(values, ', ')}"
    return f"namespaces {selector}"


def ranges_text(ranges: Sequence[Range]) -> str:
    """``10.0.0.0/8``; ``0.0.0.0/0 except 10.0.0.0/8``."""
    if not ranges:
        return "no address"
    whole = format_range((ranges[0][0], ranges[-1][1]))
    if len(ranges) == 1 or "/" not in whole or (ranges[0][0] < IPV6 <= ranges[-1][1]):
        return _some(map(format_range, ranges), ", ")
    gaps = [(one[1] + 1, other[0] - 1) for one, other in pairwise(ranges)]
    return f"{whole} except {_some(map(format_range, gaps), ', ')}"


# --- why not ----------------------------------------------------------------------------------------------------------


def why_not(graph: Graph, rule: Rule, own: Cell, other: Place, asked: Ports, direction: Direction) -> str:
    """Why a rule of a policy on one cell does not let a connection with another place through."""
    misses = [_missed_by(graph, peer, other) for peer in rule.peers or ()]
    if rule.peers is not None and all(misses):
        return _some(dict.fromkeys(misses), "; ") or "it names nobody"
    bearer = own if direction == "Ingress" else other.where
    named = bearer.named if isinstance(bearer, Cell) else ()
    numbers = [n for name, protocol, n in named if (name, protocol) in rule.names]
    if rule.names and not numbers and not intersection(rule.ports, asked):
        lost = _some((f"{protocol} port named {name}" for name, protocol in rule.names), ", ")
        return f"not on {ports_text(asked)}: there is no {lost}"
    return f"not on {ports_text(asked)}"


def _missed_by(graph: Graph, peer: Peer, other: Place) -> str:
    """Why a peer is not about a place; empty where it is."""
    where = other.where
    if isinstance(where, Atom):
        if graph.holds(peer, where):
            return ""
        return "selectors find no outside address" if isinstance(peer, PodPeer) else f"{_own_name(other)} is not in it"
    if any(graph.matches(peer, where, plane) for plane in (0, 1)):
        return ""
    if not isinstance(peer, PodPeer):
        return f"{', '.join(other.pod.ips) if other.pod and other.pod.ips else other.name} is not in it"
    if where.host_network:
        return f"{other.name} is in its node's network, where no selector finds it"
    if peer.namespaces is None and peer.home != where.namespace:
        return f"without a namespaceSelector only pods of namespace {peer.home} are meant"
    if peer.namespaces is not None:
        labels = graph.labels_of(where.namespace)
        if missed := peer.namespaces.misses(labels):
            return _missing(f"namespace {where.namespace}", missed, labels)
    return _missing(other.name, peer.pods.misses(where.of.labels), where.of.labels)


def _missing(who: str, terms: Sequence[Term], labels: Labels) -> str:
    if len(terms) == 1 and terms[0].key == NAME_LABEL:
        return f"{who} is another one"
    return f"{who} " + " and ".join(_has(term, labels) for term in terms[:2])


def _has(term: Term, labels: Labels) -> str:
    value = labels.get(term.key)
    if value is None:
        return f"lacks the label {term}" if term.operator == "In" else f"lacks the label {term.key}"
    return f"has {term.key}={value}"


def _own_name(place: Place) -> str:
    return place.name.removeprefix("ip:")


# --- what to write ----------------------------------------------------------------------------------------------------


def peer_to_write(place: Place, home: str) -> str:
    """What a list item of ``from`` or ``to`` must say to be about a place.

    Args:
        place: whom it shall be about.
        home: the namespace of the policy.
    """
    where = place.where
    if isinstance(where, Atom):
        return f"ipBlock {block_of(_own_name(place))}"
    if where.host_network:
        address = place.pod.ips[0] if place.pod is not None and place.pod.ips else ""
        return f"ipBlock {block_of(address)}" if address else "an ipBlock of its node's address"
    labels = telling_labels(where.of.labels)
    pods = f"podSelector {describe(labels)}" if labels else "podSelector {}"
    if where.namespace == home:
        return pods
    return f"namespaceSelector {NAME_LABEL}={where.namespace}" + (f" with {pods}" if labels else "")


def telling_labels(labels: Labels) -> Labels:
    """Those of a pod's labels that people select by; all that nobody generates where there are none of these."""
    own = {k: v for k, v in labels.items() if k not in _GENERATED}
    telling = {k: own[k] for k in _TELLING if k in own}
    return telling or own


def block_of(address: str) -> str:
    """The block of a single address, as an ipBlock takes it."""
    return f"{address}/{128 if ':' in address else 32}"
