"""What the dependents of a Namespace's labels, or of a workload's template, lose by a change of these.

Each is looked at twice: what the policies let through as the state is, and what is left of that in the state as it will
be (`Cluster.supposing`). What another policy makes up for is not lost.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from webhook.check import Context, Finding, Judged, Level, count, enumerate_some
from webhook.dependents import Change, Dependent, Outlook, class_of, direction_of, referrers
from webhook.model.cluster import Cluster, open_keys
from webhook.model.objects import (
    NETWORK_POLICY,
    POD,
    SERVICE,
    Direction,
    Key,
    Namespace,
    NetworkPolicy,
    NetworkPolicyPeer,
    Pod,
    Record,
    Service,
    Workload,
)
from webhook.model.selectors import Selector
from webhook.other_policies import May, other_policies
from webhook.reach.endpoints import Names
from webhook.reach.graph import Atom, Cell, Graph, graph_of
from webhook.reach.policy import EGRESS, INGRESS
from webhook.reach.ports import Ports, describe, intersection, joined, port_range, subtraction
from webhook.reach.relation import numbers
from webhook.reach.scenario import Scenario
from webhook.removal import nothing_to_lose
from webhook.verdict import ObjectReference

REVEALED: Final = frozenset(
    {
        "ambient-mesh-port",
        "dns-blocked",
        "external-name-not-found",
        "host-network-selected",
        "local-traffic-black-hole",
        "named-port-unresolved",
        "protocol-mismatch",
        "service-port-not-pod-port",
        "service-protocol-mismatch",
        "service-reachable-by-nobody",
        "service-spans-workloads",
        "target-port-unresolved",
        "tcp-only-port",
    }
)
"""The checks that labels and templates may make speak against what nobody touched.

That a selector matches nothing any more, and what is opened or cut by it, `Survey` says: what matched before is the
evidence, which nobody has who looks at the state afterwards.
"""
_MOST_CELLS: Final = 8
"""Kinds of pods on either side that are looked at: mostly a workload's pods are all alike."""
_MOST_PARTNERS: Final = 16
_STEPS_OF_A_PAIR: Final = 40
"""What it costs to find out whether one reaches another, beside what it costs to read their policies' rules."""


class Loss(Finding, frozen=True):
    """What a policy or Service loses; the message goes on where its name stands.

    Args:
        cause: ``without team=a``.
        elsewhere: the same about one object, and about several, that may not be named.
    """

    cause: str = ""
    elsewhere: tuple[str, str] | None = None


_End: TypeAlias = Key | Atom
"""A pod, or outside addresses."""


class Flow(NamedTuple):
    """A connection, from a pod or the outside to another."""

    source: _End
    destination: _End
    ports: Ports


class Connections:
    """Which ports connect two pods, or a pod and the outside; looked up once, however many policies are about them.

    Args:
        cluster: the state, which stays as it is for as long as this is asked.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.graph = graph_of(cluster)
        self.scenario = Scenario(self.graph)
        self._known: dict[tuple[Cell | Atom, Cell | Atom], Ports] = {}

    def between(self, ctx: Context, source: Cell | Atom, destination: Cell | Atom) -> Ports:
        """The ports on which one reaches another.

        Raises:
            TooLargeError: it takes more steps than are left.
        """
        found = self._known.get((source, destination))
        if found is None:
            for end, direction in ((source, EGRESS), (destination, INGRESS)):
                stack = self.scenario.stack(end, direction).own if isinstance(end, Cell) else ()
                ctx.spend(_STEPS_OF_A_PAIR + 4 * sum(1 + len(policy.rules(direction) or ()) for policy in stack))
            found = self._known[source, destination] = self.scenario.between(source, destination)
        return found


class Survey:
    """Looks at one dependent before the change, and afterwards says what it has lost.

    Args:
        ctx: the dependent, in the state as it is.
        change: the change.
        will: what will be otherwise.
        dependent: the dependent.
        now: the connections in that state.

    Raises:
        TooLargeError: it takes more steps than are left.
    """

    def __init__(self, ctx: Context, change: Change, will: Outlook, dependent: Dependent, now: Connections) -> None:
        self._change = change
        self._moved = frozenset(will.pods)
        self.dependent = dependent
        self._flows: dict[str, list[Flow]] = {}
        self._own: dict[Direction, list[Flow]] = {}
        self._stacks: dict[Direction, dict[Key, frozenset[str]]] = {}
        self._names = Names(ctx.cluster)
        self._referrers = [_told(ctx, record) for record in self._named_by(ctx)]
        self.wished = tuple(ctx.wished)
        """What would have been named to a requester who may list it (`Context.wished`)."""
        self.lost: list[Flow] = []
        """The connections that there are no more; known once `losses` has been asked."""
        self.freed: list[Direction] = []
        """The directions in which pods are isolated by no policy any more; likewise."""
        policy = dependent.judged
        if not isinstance(policy, NetworkPolicy) or change.after is None or nothing_to_lose(ctx):
            return
        if dependent.peers or dependent.lets_go:
            self._look(ctx, policy, now)

    def _named_by(self, ctx: Context) -> Iterator[Record]:
        service = self.dependent.judged
        if self._change.after is None and isinstance(service, Service) and self.dependent.lets_go:
            yield from sorted(referrers(ctx, service), key=lambda record: (record.kind, record.key))

    def explains(self, finding: Finding) -> bool:
        """Whether a finding is only about those that are left where some are lost: what is lost is told of instead."""
        if isinstance(self.dependent.judged, Service):
            return False
        inward = finding.path.startswith("spec.ingress")
        return (self.dependent.lets_go and inward) or any(
            finding.path.startswith(f"{path.rpartition('.')[0]}.") for path, _ in self.dependent.peers
        )

    # --- before

    def _look(self, ctx: Context, policy: NetworkPolicy, now: Connections) -> None:
        subject = ctx.compile(policy.spec.pod_selector)
        cells = list(self._cells(ctx, now.graph))
        selected = (
            _running(ctx, now.graph.cells_of(ctx.select(subject, (ctx.namespace,)))) if self.dependent.peers else ()
        )
        for path, peer in self.dependent.peers:
            pods = ctx.compile(peer.pod_selector)
            ctx.spend(len(cells) * len(pods.terms))
            others = _running(ctx, [cell for cell in cells if cell.of.matched_by(pods)], self._moved)
            pairs = ((own, other) for own in selected for other in others)
            self._flows[path] = [*_flows(ctx, now, pairs, direction_of(path))]
        if not self.dependent.lets_go:
            return
        isolated = _running(ctx, [cell for cell in cells if cell.of.matched_by(subject)], self._moved)
        for direction in policy.directions:
            stacks = self._stacks[direction] = {}
            flows = self._own[direction] = []
            for pod, cell in isolated:
                stacks[pod] = frozenset(p.name for p in now.scenario.stack(cell, direction).own)
                partners = (((pod, cell), other) for other in self._allowed(ctx, now.scenario, policy, cell, direction))
                flows += _flows(ctx, now, partners, direction)

    def _cells(self, ctx: Context, graph: Graph) -> Iterator[Cell]:
        """The cells of what changes, but those of the host network: no policy binds them, no selector finds them."""
        for cell in graph.cells_in(self._change.namespace):
            ctx.spend(2)
            if not cell.host_network and (
                isinstance(self._change.before, Namespace) or not self._moved.isdisjoint(cell.pods)
            ):
                yield cell

    def _allowed(
        self, ctx: Context, scenario: Scenario, policy: NetworkPolicy, cell: Cell, direction: Direction
    ) -> Iterator[tuple[_End, Cell | Atom]]:
        """Some of those whom one policy lets a cell talk to, or lets talk to it."""
        compiled = scenario.policy(*policy.key)
        if compiled is None:
            return
        graph = scenario.graph
        others = 0
        for there in scenario.allowed_by((compiled,), cell, direction).values():
            others |= there
        ctx.spend(_MOST_PARTNERS + len(policy.spec.ingress) + len(policy.spec.egress))
        left = _MOST_PARTNERS
        for number in numbers(others):
            atom = graph.atom(number)
            if atom is not None:
                yield atom, atom
                left -= 1
            elif number != cell.number:
                ctx.spend()
                for found in _running(ctx, (graph.cells[number],)):
                    yield found
                    left -= 1
            if not left:
                return

    # --- after

    def losses(self, ctx: Context, then: Connections) -> Iterator[tuple[str, Loss]]:
        """What is lost, each with the id of the check whose finding it is.

        Args:
            ctx: the dependent, in the state as it will be.
            then: the connections in that state.

        Raises:
            TooLargeError: it takes more steps than are left.
        """
        judged = self.dependent.judged
        if isinstance(judged, NetworkPolicy):
            yield from self._of_policy(ctx, judged, then)
        elif self._referrers:
            message = f"is still named by {enumerate_some(self._referrers, 2)}"
            yield "service-still-referenced", Loss("metadata.name", message, "change or delete that first", cause=_ITS)
        elif self.dependent.lets_go:
            yield from self._of_service(ctx, judged)

    def _of_service(self, ctx: Context, service: Service) -> Iterator[tuple[str, Loss]]:
        selector = ctx.compile_labels(service.spec.selector)
        if ctx.select(selector, (ctx.namespace,)) or self._has_new_service(ctx):
            return
        cause = self._cause(selector)
        yield "service-selects-nothing", Loss("spec.selector", "selects no pod", _keep("selector"), cause=cause)

    def _of_policy(self, ctx: Context, policy: NetworkPolicy, then: Connections) -> Iterator[tuple[str, Loss]]:
        for path, peer in self.dependent.peers:
            yield from self._of_peer(ctx, policy, path, peer, then)
        if not self.dependent.lets_go:
            return
        selector = ctx.compile(policy.spec.pod_selector)
        cause, path, remedy = self._cause(selector), "spec.podSelector", _keep("selector")
        held = [d for d in policy.directions if not self._taken_over(ctx, d)]
        freed = [d for d in held if self._frees(ctx, policy, d, then)]
        number = count(sum(1 for key in self._moved if not _terminating(ctx.cluster, key)), "pod")
        open_now = " and ".join(d.lower() for d in freed) if freed and _sure(ctx) is Level.WARNING else ""
        self.freed += freed if open_now else ()
        if held and not ctx.select(selector, (ctx.namespace,)):
            means = f"no policy isolates {open_now} of {number} then" if open_now else "it isolates nothing"
            yield "selector-matches-nothing", Loss(path, "selects no pod", remedy, cause=cause, means=means)
        elif open_now:
            means = f"no policy isolates {open_now} of {number} then"
            yield "opens-on-removal", Loss(path, "no longer selects it", remedy, cause=cause, means=means)
        for direction in held:
            cut = self._cut(ctx, self._own.get(direction, ()), then) if direction not in freed else []
            if cut:
                yield "cuts-on-removal", self._cuts(ctx, Loss(path, "no longer selects it", remedy, cause=cause), cut)

    @staticmethod
    def _cuts(ctx: Context, loss: Loss, cut: Sequence[str]) -> Loss:
        return msgspec.structs.replace(loss, means=f"cuts {enumerate_some(cut, 1)}", level=_sure(ctx))

    def _of_peer(
        self, ctx: Context, policy: NetworkPolicy, path: str, peer: NetworkPolicyPeer, then: Connections
    ) -> Iterator[tuple[str, Loss]]:
        flows = self._flows.get(path, [])
        cut = self._cut(ctx, flows, then)
        if flows and not cut:
            return  # another rule, or another policy, lets them through
        namespaces: Collection[str] = (ctx.namespace,)
        where = ctx.compile(peer.namespace_selector)
        if peer.namespace_selector is not None:
            namespaces = [n.name for n in ctx.namespaces_matching(where)]
        pods = ctx.compile(peer.pod_selector)
        own = isinstance(self._change.before, Namespace)
        cause = self._cause(where if own else pods)
        inward = direction_of(path) == INGRESS
        what = f"{'lets nobody in' if inward else 'lets nothing out'}{_by(policy, path)}"
        remedy = "change or delete that rule" if self._change.after is None else _keep("rule")
        elsewhere = (
            ("lets it in no more", "let it in no more")
            if inward
            else ("lets nothing out to it", "let nothing out to it")
        )
        loss = Loss(f"{path}.podSelector", what, remedy, cause=cause, elsewhere=elsewhere)
        if own and not namespaces:
            yield "namespace-not-found", msgspec.structs.replace(loss, path=f"{path}.namespaceSelector")
        elif not own and not pods.empty and not ctx.select(pods, namespaces) and not self._let_in(ctx, policy, path):
            yield "peer-matches-nothing", loss
        elif cut:
            loss = msgspec.structs.replace(loss, path=path, message=elsewhere[0])
            yield "cuts-on-removal", self._cuts(ctx, loss, cut)

    def _let_in(self, ctx: Context, policy: NetworkPolicy, lost: str) -> bool:
        """Whether another peer of the same direction matches the workload as it will be: the policy went ahead."""
        after = self._change.after
        if not isinstance(after, Workload):
            return False
        will, home = class_of(after), ctx.cluster.namespace(after.namespace)
        for path, peer in policy.peers():
            ctx.spend()
            if path == lost or peer.ip_block is not None or direction_of(path) != direction_of(lost):
                continue
            if peer.namespace_selector is None:
                if after.namespace != ctx.namespace:
                    continue
            elif home is None or not ctx.compile(peer.namespace_selector).matches(home.labels):
                continue
            if will.matched_by(ctx.compile(peer.pod_selector)):
                return True
        return False

    def _frees(self, ctx: Context, policy: NetworkPolicy, direction: Direction, then: Connections) -> bool:
        """Whether pods that it isolated are isolated by none then; of several policies it is told of one."""
        rules = policy.spec.ingress if direction == INGRESS else policy.spec.egress
        if any(not rule.peers and not rule.ports for rule in rules) or ctx.enforcement.closes_unselected:
            return False
        name = "/".join(policy.key)
        for key, before in self._stacks.get(direction, {}).items():
            cell = then.graph.cell_of(POD, key)
            if cell is not None and not then.scenario.stack(cell, direction).own and min(before, default=name) == name:
                return not _doubtful(ctx, cell, direction, May.CLOSE)
        return False

    def _has_new_service(self, ctx: Context) -> bool:
        """Whether a Service selects the workload that did not before: the new one is there, and the old one may go."""
        selectors = (ctx.compile_labels(s.spec.selector) for s in ctx.cluster.services_in(ctx.namespace))
        return self._comes_under(selector for selector in selectors if not selector.empty)

    def _taken_over(self, ctx: Context, direction: Direction) -> bool:
        """Whether another policy than before selects the workload: it was relabelled to be under that one."""
        policies = (p for p in ctx.cluster.policies_in(ctx.namespace) if direction in p.directions)
        return self._comes_under(ctx.compile(policy.spec.pod_selector) for policy in policies)

    def _comes_under(self, selectors: Iterable[Selector]) -> bool:
        """Whether any of these selects the workload that did not before.

        Helm, and all that prunes, deletes what a release no longer has last of all.
        """
        before, after = self._change.before, self._change.after
        if not isinstance(before, Workload) or not isinstance(after, Workload):
            return False
        was, will = class_of(before), class_of(after)
        return any(will.matched_by(selector) and not was.matched_by(selector) for selector in selectors)

    def _cut(self, ctx: Context, flows: Sequence[Flow], then: Connections) -> list[str]:
        """The flows that there are no more, in words."""
        found: dict[str, None] = {}
        for flow in flows:
            source, destination = (_place(then.graph, end) for end in (flow.source, flow.destination))
            if source is None or destination is None:
                continue
            lost = subtraction(flow.ports, then.between(ctx, source, destination))
            listens = _declared(ctx.cluster, flow.destination)
            if lost and listens:
                lost = intersection(lost, listens)
            if lost and not _uncertain(ctx, source, destination):
                self.lost.append(flow._replace(ports=lost))
                ends = " -> ".join(
                    _name(ctx, self._names, end, self._change)[0] for end in (flow.source, flow.destination)
                )
                found[f"{ends}{_on(lost)}"] = None
        return list(found)

    def _cause(self, selector: Selector) -> str:
        """``without team=a``: by what of the change a selector misses.

        In the labels' own words: what else a policy of another namespace selects by is not told.
        """
        before, after = self._change.before, self._change.after
        if after is None:
            return _GONE
        added = open_keys(after) if isinstance(after, Workload) else {}
        missed = [term for term in selector.misses(after.labels) if term.key not in added]
        had = before.labels
        lacking = [f"{t.key}={had[t.key]}" if t.values and t.key in had else t.key for t in missed if t.positive]
        having = [f"{term.key}={after.labels.get(term.key, '')}" for term in missed if not term.positive]
        words = [f"{word} {' and '.join(terms)}" for word, terms in (("without", lacking), ("with", having)) if terms]
        return f"{' and '.join(words) or 'then'},"


_GONE: Final = "without it,"
_ITS: Final = "its"


def _keep(what: str) -> str:
    return f"keep it, or change the {what}"


def _sure(ctx: Context) -> Level:
    """Whether no policy that is not known may make up for it."""
    if ctx.cluster.complete(NETWORK_POLICY):
        return Level.WARNING
    ctx.unknown.add("policies: not all are known, so whether another one makes up for a lost label was not judged")
    return Level.NOTE


def _by(policy: NetworkPolicy, path: str) -> str:
    """Which of a policy's rules, and of its peers, is meant; nothing where it has just one."""
    rule, _, _ = path.rpartition(".")
    rules = policy.spec.ingress if direction_of(path) == INGRESS else policy.spec.egress
    peers = next(len(r.peers) for where, r in policy.rules() if where == rule)
    if peers > 1:
        return f" by {path.removeprefix('spec.')}"
    return f" by {rule.removeprefix('spec.')}" if len(rules) > 1 else ""


def _flows(
    ctx: Context,
    now: Connections,
    pairs: Iterable[tuple[tuple[_End, Cell | Atom], tuple[_End, Cell | Atom]]],
    direction: Direction,
) -> Iterator[Flow]:
    """The connections of some to others: from these (Ingress), or to them."""
    for own, other in pairs:
        source, destination = (other, own) if direction == INGRESS else (own, other)
        if source[0] == destination[0]:
            continue
        ports = now.between(ctx, source[1], destination[1])
        if ports and not _uncertain(ctx, source[1], destination[1]):
            yield Flow(source[0], destination[0], ports)


def _uncertain(ctx: Context, source: Cell | Atom, destination: Cell | Atom) -> bool:
    """Whether a policy in an engine's own API may decide about the connection, whatever NetworkPolicies say."""
    return _doubtful(ctx, source, EGRESS, May.EITHER) or _doubtful(ctx, destination, INGRESS, May.EITHER)


def _doubtful(ctx: Context, end: Cell | Atom, direction: Direction, may: May) -> bool:
    if isinstance(end, Atom):
        return False
    return bool(other_policies(ctx).doubt((end.of,), direction, may, "", "whether a lost label opens or cuts anything"))


def _running(ctx: Context, cells: Collection[Cell], among: Collection[Key] = ()) -> list[tuple[Key, Cell]]:
    """A running pod of each of the first cells; of those among these, where there are any."""
    found: list[tuple[Key, Cell]] = []
    for cell in cells:
        if cell.host_network:
            continue
        for key in cell.pods:
            ctx.spend()
            if (not among or key in among) and not _terminating(ctx.cluster, key):
                found.append((key, cell))
                break
        if len(found) == _MOST_CELLS:
            break
    return found


def _terminating(cluster: Cluster, key: Key) -> bool:
    pod = cluster.get(POD, key)
    return not isinstance(pod, Pod) or pod.terminating


def _place(graph: Graph, end: _End) -> Cell | Atom | None:
    return end if isinstance(end, Atom) else graph.cell_of(POD, end)


def _declared(cluster: Cluster, end: _End) -> Ports:
    """The ports on which a pod says that it listens; none where it says nothing."""
    pod = None if isinstance(end, Atom) else cluster.get(POD, end)
    if not isinstance(pod, Pod):
        return ()
    return joined(r for port in pod.ports for r in port_range(port.protocol, port.number, port.number))


def _name(ctx: Context, names: Names, end: _End, change: Change) -> tuple[str, bool]:
    """``Deployment/web``, with its namespace where that is another one; and whether that much may be told."""
    pod = None if isinstance(end, Atom) else ctx.cluster.get(POD, end)
    if not isinstance(pod, Pod):
        return "the outside", True
    name = names.of_pod(pod)
    if pod.namespace == change.namespace:
        return name.partition("/")[2], True
    return (name, True) if ctx.may_name(POD, pod.namespace) else ("another namespace", False)


def _on(ports: Ports) -> str:
    words = describe(ports)
    return "" if words == ("all",) else f" on {enumerate_some(words)}"


def _told(ctx: Context, record: Record) -> str:
    """As `webhook.checks.service_still_referenced` names them."""
    kind = record.kind.rpartition("/")[2]
    namespace, name = record.key
    if ctx.may_name(record.kind, namespace):
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
    article = "an" if kind[0] in "AEIO" or kind.startswith("HTTP") else "a"
    return f"{article} {kind} of another namespace" if namespace else f"{article} {kind}"


# --- in words


def traffic_lines(ctx: Context, change: Change, surveys: Iterable[Survey]) -> list[str]:
    """What is cut, and who is isolated no more, as lines; as far as whoever makes the change may be told.

    Args:
        ctx: of whoever makes the change.
        change: the change.
        surveys: what was asked for its losses.
    """
    names, found = Names(ctx.cluster), dict[str, None]()

    for survey in surveys:
        for flow in survey.lost:
            (source, _), (destination, named) = (
                _name(ctx, names, end, change) for end in (flow.source, flow.destination)
            )
            on = _on(flow.ports) if named else ""  # nor is told on what unnamed pods listen
            found[f"cuts {source} -> {destination}{on}"] = None
    for direction in dict.fromkeys(d for survey in surveys for d in survey.freed):
        found[f"frees {direction.lower()} of {str(change).partition(' ')[0]}/{change.before.name}"] = None
    return list(found)


def in_words(dependent: Dependent, finding: Finding, *, own: str) -> Finding:
    """A finding about a dependent, as it is told to whoever makes the change.

    Args:
        dependent: the dependent, which may be named.
        finding: what will stand against it.
        own: the namespace in which the change is made: what is in it goes without it.
    """
    kind, (namespace, name) = dependent.judged.kind.rpartition("/")[2], dependent.judged.key
    who = ObjectReference("", kind, "" if namespace == own else namespace, name).short
    lead = f"{finding.cause} {who} " if isinstance(finding, Loss) else f"breaks {who}: "
    return Finding(
        finding.path,
        f"{lead}{finding.message}",
        finding.remedy,
        finding.level,
        finding.value,
        means=finding.means,
        detail=finding.detail,
    )


def alike_in_numbers(finding: Finding) -> tuple[str, ...]:
    """What must be the same of two findings of a check for `in_numbers` to count them together."""
    return (finding.cause, *(finding.elsewhere or ())) if isinstance(finding, Loss) else ()


def in_numbers(finding: Finding, about: Sequence[Judged], summary: str) -> Finding:
    """A finding about dependents that may not be named: how many there are.

    Args:
        finding: what will stand against one of them, and the like against the others.
        about: objects of other namespaces; at least one.
        summary: of the check.
    """
    kinds = Counter(judged.kind for judged in about)
    who = " and ".join(count(number, *_NOUNS[kind]) for kind, number in sorted(kinds.items()))
    namespaces = {judged.metadata.namespace for judged in about}
    where = "another namespace" if len(namespaces) == 1 else f"{len(namespaces)} other namespaces"
    if isinstance(finding, Loss) and finding.elsewhere:
        remedy = "ask there" if finding.cause == _GONE else "keep it, or ask there"
        return Finding(finding.path, f"{finding.cause} {who} in {where} {finding.elsewhere[len(about) > 1]}", remedy)
    return Finding(finding.path, f"breaks {who} in {where}: {summary}")


_NOUNS: Final = {NETWORK_POLICY: ("policy", "policies"), SERVICE: ("Service",)}
