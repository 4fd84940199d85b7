"""Which Services lose clients by the policy under review: who could reach their ready backends, and who still can.

Policies act where the pods are, on their own ports (facts 3.3.12): so what a Service loses is what its backends lose on
its target ports. The Services of the policy's own namespace are looked at: no other backends' ingress changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from webhook.backends import endpoints, find_port, headless
from webhook.check import UPDATE, Context, Level, OfReview, View
from webhook.evidence import rendered_by_helm
from webhook.impact import impact, rules_about
from webhook.model.cluster import PodClass
from webhook.model.objects import (
    NETWORK_POLICY,
    POD,
    Direction,
    HTTPRoute,
    Ingress,
    Key,
    NetworkPolicy,
    Pod,
    Service,
    ServicePort,
)
from webhook.other_policies import May, other_policies
from webhook.reach.change import Change, reach_on
from webhook.reach.graph import Cell
from webhook.reach.policy import EGRESS, INGRESS
from webhook.reach.ports import ALL_PORTS, NO_PORTS, Ports, intersection, joined, port_range, union
from webhook.reach.relation import Relation, bits_of, join, numbers, ports_of
from webhook.reach.scenario import Scenario

_STEPS_OF_A_SERVICE: Final = 10
_STEPS_OF_A_LOOK: Final = 40
"""What it costs to find out who reaches a cell."""
_PLACES: Final = ("NodePort", "LoadBalancer")
_MOST_CLIENTS: Final = 200
"""Clients of which it is looked up whether an engine's own policy may be about them; all others, it may."""


class Losing:
    """A Service whose ready backends lose somebody on its target ports.

    Args:
        service: the Service.
        direction: at whose end it is lost: Ingress by the backends' policies, Egress by those of the clients.
        backends: its ready endpoints, each with the cell that it is in; those that run where none is ready.
        own: cells that are no clients: the backend itself, where it is just one pod.
    """

    __slots__ = ("_targets", "backends", "direction", "own", "service")

    def __init__(self, service: Service, direction: Direction, backends: Sequence[tuple[Cell, Pod]], own: int) -> None:
        self.service = service
        self.direction = direction
        self.backends = backends
        self.own = own
        self._targets: dict[int | str | None, Sequence[tuple[Cell, Ports]]] = {}

    @property
    def behind(self) -> int:
        """The cells of its backends."""
        return bits_of([cell.number for cell, _ in self.backends])

    def targets(self, port: int | str | None = None) -> Iterator[tuple[Cell, Ports]]:
        """The cells of its backends with their ports that it leads to; those alike once.

        Args:
            port: of one of its ports, by number or name; of all where it has no such port.
        """
        found = self._targets.get(port)
        if found is None:
            chosen = [p for p in self.service.spec.ports if port in (p.port, p.name)]
            every = ((c, target_ports(self.service, p, chosen)) for c, p in self.backends)
            found = self._targets[port] = tuple(dict.fromkeys(every))
        return iter(found)

    def due_to(self, ctx: Context, port: int | str | None = None) -> tuple[str, ...]:
        """The rules of the policy under review in which a mistake may be why it is lost (`rules_about`).

        Args:
            ctx: the context.
            port: of one of its ports, as in `targets`.
        """
        written = {p.port for p in self.service.spec.ports}
        ports = joined(r for _, targets in self.targets(port) for r in targets)
        return rules_about(ctx, self.direction, written, ports)

    @property
    def lost(self) -> str:
        """``Ingress shop/web`` (`Finding.lost`)."""
        return f"{self.direction} {'/'.join(self.service.key)}"

    @property
    def exposed(self) -> bool:
        """Whether clients outside the cluster reach it without any further object."""
        spec = self.service.spec
        return spec.type in _PLACES or bool(spec.external_ips)


def target_ports(service: Service, pod: Pod, only: Sequence[ServicePort] = ()) -> Ports:
    """The ports of a pod that a Service leads to.

    Nothing translates the port of a headless Service: its clients use the pods' own, whatever it says.

    Args:
        service: the Service.
        pod: one of its pods.
        only: these of its ports; all where there is none.
    """
    ports = only or service.spec.ports
    direct = headless(service.spec)
    if direct and not ports:
        return ALL_PORTS
    found: list[tuple[int, int]] = []
    for port in ports:
        target = port.port if port.target_port is None else port.target_port
        if isinstance(target, str):
            named = find_port(pod, target, port.protocol)
            found += port_range(port.protocol, named.number, named.number) if named else ()
        else:
            found += port_range(port.protocol, target, target)
        if direct:
            found += port_range(port.protocol, port.port, port.port)
    return joined(found)


class _Behind:
    """The backends of a Service, and on which ports it leads to their cells."""

    __slots__ = ("backends", "own", "steps", "targets")

    def __init__(
        self, backends: Sequence[tuple[Cell, Pod]], own: int, targets: Sequence[tuple[Cell, Ports]], steps: int = 0
    ) -> None:
        self.backends = backends
        self.own = own
        self.targets = targets
        self.steps = steps
        """What it cost to look."""


class Losses(OfReview):
    """What the Services of the policy's namespace lose.

    Args:
        ctx: the policy under review.
    """

    @cached_property
    def change(self) -> Change:
        """What the policy under review changes."""
        return impact(self._ctx)

    # --- whom it is about

    @cached_property
    def services(self) -> Sequence[Losing]:
        """The Services with backends that lose somebody, by name."""
        ctx, graph = self._ctx, self.change.graph
        if not ctx.cluster.services_in(ctx.namespace) or not (self._lost_in or self._lost_out):
            return ()
        lost = 0
        for others in self._lost_out.values():
            lost |= others
        lost &= self.change.running_in(ctx.namespace) if lost else 0
        lose = {c.of: None for c in (*self._lost_in, *map(graph.cells.__getitem__, numbers(lost))) if c.pods}
        ctx.spend(len(lose))
        found = {s.metadata.name: s for of in lose for s in ctx.cluster.services_behind(of)}
        found.update((s.metadata.name, s) for s in ctx.cluster.services_without_selector(ctx.namespace))
        by_name = (found[name] for name in sorted(found))
        return [losing for service in by_name if (losing := self.losing(service)) is not None]

    def losing(self, service: Service) -> Losing | None:
        """What a Service loses, of whatever namespace; None where no ready backend loses anybody."""
        known = self._known.get(service.key)
        if known is None:
            before = self._ctx.steps
            known = self._known[service.key] = self._look_behind(service)
            known.steps = before - self._ctx.steps
        else:
            self._ctx.spend(known.steps)  # as if it were looked at anew: what one policy costs depends on no other
        for cell, ports in known.targets:
            direction = self._loses(cell, ports)
            if direction is not None:
                return Losing(service, direction, known.backends, known.own)
        return None

    @cached_property
    def _known(self) -> "dict[Key, _Behind]":
        """What is behind Services, which is the same for all policies of a change: those of files are one."""
        return _behind.setdefault(self.change, {})

    def _look_behind(self, service: Service) -> "_Behind":
        ctx, graph = self._ctx, self.change.graph
        ctx.spend(_STEPS_OF_A_SERVICE)
        if service.spec.type == "ExternalName":
            return _Behind((), 0, ())
        classes: Sequence[PodClass] = ()
        if service.spec.selector:
            classes = ctx.select(ctx.compile_labels(service.spec.selector), {service.metadata.namespace})
            pods = _serving(service, classes)
        else:
            pods = self._by_address(service)
        ctx.spend(len(pods))
        backends = [(c, p) for p in pods if (c := graph.cell_of(POD, p.key)) is not None]
        own = 0
        if len(backends) == 1:  # it reaches itself; and a template of more is no other client
            own = bits_of([backends[0][0].number, *(other.number for other in graph.cells_of(classes))])
        return _Behind(backends, own, tuple(dict.fromkeys((c, target_ports(service, p)) for c, p in backends)))

    def _by_address(self, service: Service) -> Sequence[Pod]:
        """The pods behind a Service that others fill; none where somebody else is behind it, too."""
        ready: set[str] = set()
        for found in self._ctx.cluster.slices_of(*service.key):
            self._ctx.spend(len(found.addresses))
            ready.update(a for a in found.addresses if a not in found.unready)
        if not ready:
            return ()
        pods: list[Pod] = []
        for cell in self.change.graph.cells_in(service.metadata.namespace):
            self._ctx.spend(1 + len(cell.pods))
            for key in cell.pods:
                pod = self._ctx.cluster.get(POD, key)
                if isinstance(pod, Pod) and not cell.host_network and not ready.isdisjoint(pod.ips):
                    pods.append(pod)
        left = ready.difference(*(pod.ips for pod in pods))
        return () if left else pods

    def _loses(self, cell: Cell, ports: Ports) -> Direction | None:
        """At whose end a cell loses somebody on these ports."""
        if intersection(self._lost_in.get(cell, NO_PORTS), ports):
            return INGRESS
        if self._lost_out and intersection(ports_of(self._lost_out, cell.number), ports):
            return EGRESS
        return None

    @cached_property
    def _lost_in(self) -> Mapping[Cell, Ports]:
        """On which ports cells let fewer in than before."""
        found: dict[Cell, Ports] = {}
        known: dict[int, Ports] = {}  # by the relation, which the change keeps
        for cell in self._to_blame(INGRESS):
            lost = NO_PORTS
            for relation in self.change.lost(cell, INGRESS):
                ports = known.get(id(relation))
                if ports is None:
                    ports = known[id(relation)] = joined(r for each in relation for r in each)
                lost = union(lost, ports) if lost else ports
            if lost:
                found[cell] = lost
        return found

    @cached_property
    def _lost_out(self) -> Relation:
        """Whom cells may no longer reach."""
        found: Relation = {}
        every = {id(relation): relation for c in self._to_blame(EGRESS) for relation in self.change.lost(c, EGRESS)}
        for relation in every.values():
            join(found, relation)
        return found

    def _to_blame(self, direction: Direction) -> Sequence[Cell]:
        """The cells whose row the policy under review may have changed: of all that arrive in files it is just one."""
        touched = self.change.touched_in(self._ctx.namespace, direction)
        self._ctx.spend(2 * len(touched))
        return self.change.touched_under(self._ctx.policy.key, direction) if self._ctx.view is View.CHECK else touched

    def stated(self, losing: Losing) -> bool:
        """Whether it is said in so many words: a direction listed, and no rule at all for it (CHECKS.md, conduct 2)."""
        if self._ctx.view is not View.CHECK:
            return says_deny_all(self._ctx.policy, losing.direction)
        if losing.direction == EGRESS:
            cells: Sequence[Cell] = self.change.touched_in(self._ctx.namespace, EGRESS)
        else:
            cells = [cell for cell, _ in losing.backends]
        names = {
            policy.name
            for cell in dict.fromkeys(cells)
            for policy in self.change.after.stack(cell, losing.direction).own
            if policy.rules(losing.direction) == ()
        }
        return any(_key(name) in self._ctx.cluster.arriving_policies for name in names)

    @cached_property
    def known(self) -> bool:
        """Whether all is known that may still let somebody through: other policies, and other pods."""
        if self._ctx.cluster.complete(NETWORK_POLICY, POD):
            return True
        self._ctx.unknown.add(
            "policies and pods: not all are known, so whether a Service loses its clients was not judged"
        )
        return False

    # --- whether it may be about to follow

    def level(self, losing: Losing, among: int) -> Level:
        """How sure it is that what these lose is lost: a note where it is stated, not all is known, or it is moving.

        So it is where an engine's own policies may decide (`doubt`).
        """
        if self.stated(losing) or not self.known or self._moves(losing, among) or self.doubt(losing, among):
            return Level.NOTE
        return Level.WARNING

    def doubt(self, losing: Losing, among: int) -> str:
        """Why it is not certain that these lose what they had, to go behind it; empty where it is.

        A policy in an engine's own API may still let them through, or have held them back before: at the end where they
        are lost, or at the other one, where that is true of all of them.
        """
        others = other_policies(self._ctx)
        if not others.any:
            return ""
        backends = [cell for cell, _ in losing.backends]
        question = "whether a Service loses its clients"
        means = "may decide otherwise"
        here = backends if losing.direction == INGRESS else self.change.touched_in(self._ctx.namespace, EGRESS)
        told = others.doubt([c.of for c in here], losing.direction, May.EITHER, means, question)
        if told:
            return told
        if losing.direction == INGRESS:
            across, there, held_back = EGRESS, *self._clients_around(losing, among)
        else:
            across, there, held_back = INGRESS, backends, backends
        if there and all(others.doubtful(c.of, across, May.CLOSE) for c in there):
            return others.doubt([c.of for c in there], across, May.CLOSE, means, question)
        return others.doubt([c.of for c in held_back], across, May.ALLOW, means, question)

    def _clients_around(self, losing: Losing, among: int) -> tuple[Sequence[Cell], Sequence[Cell]]:
        """Some of the pods that could reach it, if nothing else could; and some that its own policies would let in.

        Nobody comes from outside to what is not exposed, whatever policies let in.
        """
        graph = self.change.graph
        before = self.clients_before(losing, among)
        if not losing.exposed and not routes_to(self._ctx, losing.service):
            before &= ~graph.outside
        let_in = 0
        for cell, ports in losing.targets():
            let_in |= _admitted(self.change.after, cell, ports)
        let_in &= among & self._bound_after & graph.selectable & ~losing.own
        return () if before & ~graph.selectable else self._some(before), self._some(let_in)

    def _some(self, cells: int) -> Sequence[Cell]:
        found = [self.change.graph.cells[number] for number in islice(numbers(cells), _MOST_CLIENTS)]
        self._ctx.spend(len(found))
        return found

    def _moves(self, losing: Losing, among: int) -> bool:
        """Whether a rule still lets through any of those who lose, on other ports: then the pods' ports may follow.

        A release that renames a port, or gives it another number, sends its policies before its workloads: for a moment
        what a policy says is ahead of the pods. What is wrong with a port, the checks on port entries say.
        """
        moving = moving_ports(self._ctx)
        if moving is None:
            return False
        if losing.direction == INGRESS:
            before = self.clients_before(losing, among)
            return any(before & _admitted(moving, cell, ALL_PORTS) for cell, _ in losing.backends)
        return any(
            losing.behind & reach_on(moving.row(cell, EGRESS), ALL_PORTS)
            for cell in self.change.touched_in(self._ctx.namespace, EGRESS)
        )

    # --- who reaches it

    def reached(self, losing: Losing, among: int, port: int | str | None = None) -> bool:
        """Whether any of these still reaches any of its backends."""
        return self._reached(self.change.after, losing, among, port)

    def was_reached(self, losing: Losing, among: int, port: int | str | None = None) -> bool:
        """Whether any of these could reach any of its backends."""
        return self._reached(self.change.before, losing, among, port)

    def _reached(self, scenario: Scenario, losing: Losing, among: int, port: int | str | None) -> bool:
        among &= ~losing.own
        for cell, ports in losing.targets(port):
            admitted = _admitted(scenario, cell, ports) & among & ~_itself(cell)
            if not admitted:
                continue
            if scenario.planes == 1 and admitted & ~self._bound(scenario):
                return True  # nothing restricts them: no need to look at them
            if self._look(scenario, cell, ports, admitted):
                return True
        return False

    def clients_before(self, losing: Losing, among: int, port: int | str | None = None) -> int:
        """Those of these that could reach any of its backends."""
        return self._clients(self.change.before, losing, among, port)

    def lets_fewer_in(self, losing: Losing, among: int, port: int | str | None = None) -> bool:
        """Whether any of these could reach any of its backends, and reaches none any more."""
        before = self._clients(self.change.before, losing, among, port)
        return bool(before & ~self._clients(self.change.after, losing, before, port))

    def _clients(self, scenario: Scenario, losing: Losing, among: int, port: int | str | None) -> int:
        found = 0
        for cell, ports in losing.targets(port):
            admitted = _admitted(scenario, cell, ports) & among & ~losing.own & ~_itself(cell)
            if admitted:
                found |= self._look(scenario, cell, ports, admitted)
        return found

    def _look(self, scenario: Scenario, cell: Cell, ports: Ports, among: int) -> int:
        self._ctx.spend(_STEPS_OF_A_LOOK + among.bit_count() // 4)
        look = self.change.partners_before if scenario is self.change.before else self.change.partners_after
        return reach_on(look(cell, INGRESS, among), ports)

    def _bound(self, scenario: Scenario) -> int:
        return self._bound_before if scenario is self.change.before else self._bound_after

    @cached_property
    def _bound_before(self) -> int:
        return self.change.before.bound(EGRESS)

    @cached_property
    def _bound_after(self) -> int:
        return self.change.after.bound(EGRESS)

    # --- sets of others

    @cached_property
    def own_namespace(self) -> int:
        """The pods and templates of the policy's namespace."""
        return bits_of([cell.number for cell in self.change.graph.cells_in(self._ctx.namespace)])

    def were_restricted(self, losing: Losing) -> bool:
        """Whether policies said before, too, who may reach its backends: then whoever could was meant to."""
        return any(self.change.before.stack(cell, INGRESS).restricts for cell, _ in losing.backends)

    @property
    def takes_from_clients(self) -> bool:
        """Whether pods of the policy's namespace may reach fewer others than before."""
        return bool(self._lost_out)

    @property
    def host_network(self) -> int:
        """The pods on their node's network."""
        graph = self.change.graph
        return graph.everyone & ~graph.selectable & ~graph.outside

    def somebody_running(self, losing: Losing, among: int) -> bool:
        """Whether any running pod of these but its own could reach any of its backends; those of the host network are
        on every node and prove nothing.
        """
        among &= self.change.graph.selectable & ~losing.own & ~losing.behind
        bound = self._bound(self.change.before)
        for cell, ports in losing.targets():
            admitted = _admitted(self.change.before, cell, ports) & among
            sure = admitted & ~bound if self.change.before.planes == 1 else 0
            if self._runs(sure) or self._runs(self._look(self.change.before, cell, ports, admitted & ~sure)):
                return True
        return False

    def _runs(self, cells: int) -> bool:
        for number in numbers(cells):
            self._ctx.spend()
            if self.change.graph.cells[number].pods:
                return True
        return False


def _key(name: str) -> Key:
    namespace, _, own = name.partition("/")
    return namespace, own


def says_deny_all(policy: NetworkPolicy, direction: Direction) -> bool:
    """Whether a policy lists a direction and has no rule for it."""
    return direction in policy.directions and not (policy.spec.ingress if direction == INGRESS else policy.spec.egress)


def path_of(policy: NetworkPolicy, direction: Direction) -> str:
    """Where a policy says whom it lets through: its one rule, or all of them."""
    rules = policy.spec.ingress if direction == INGRESS else policy.spec.egress
    return f"spec.{direction.lower()}" + ("[0]" if len(rules) == 1 else "")


def _serving(service: Service, classes: Sequence[PodClass]) -> Sequence[Pod]:
    """A Service's ready endpoints; where none is ready, those of its pods that run."""
    found = endpoints(service, classes)
    if found:
        return found
    return [p for c in classes for p in c.pods.values() if not p.terminating and p.phase != "Pending"]


def _admitted(scenario: Scenario, cell: Cell, ports: Ports) -> int:
    """Whom a cell's own policies let in on any of these ports."""
    found = 0
    for plane in range(scenario.planes):
        found |= reach_on(scenario.row(cell, INGRESS, plane), ports)
    return found


def _itself(cell: Cell) -> int:
    return 1 << cell.number if len(cell.pods) <= 1 else 0


def routes_to(ctx: Context, service: Service) -> Sequence[Ingress | HTTPRoute]:
    """The Ingresses and HTTPRoutes that send traffic to a Service."""
    return [r for r in ctx.cluster.referrers_of(*service.key) if isinstance(r, Ingress | HTTPRoute)]


def moving_ports(ctx: Context) -> Scenario | None:
    """The policies with the one under review on every port: whom it means to let through, whatever becomes of ports.

    None where the pods have had their time to follow, or nothing says that they will: all but an update, or an object
    of a release.
    """
    policy = ctx.policy
    if ctx.view is not View.ADMISSION or not (ctx.operation is UPDATE or rendered_by_helm(policy.metadata)):
        return None
    ctx.spend(_STEPS_OF_A_LOOK * (1 + len(policy.spec.ingress) + len(policy.spec.egress)))
    spec = msgspec.structs.replace(
        policy.spec,
        ingress=tuple(msgspec.structs.replace(rule, ports=()) for rule in policy.spec.ingress),
        egress=tuple(msgspec.structs.replace(rule, ports=()) for rule in policy.spec.egress),
    )
    return Scenario(impact(ctx).graph, {policy.key: msgspec.structs.replace(policy, spec=spec)})


_memory: Final[WeakKeyDictionary[Context, Losses]] = WeakKeyDictionary()
_behind: Final[WeakKeyDictionary[Change, dict[Key, _Behind]]] = WeakKeyDictionary()


def losses(ctx: Context) -> Losses:
    """What the policy under review takes from Services; all checks of one review share it.

    Raises:
        TooLargeError: it takes more steps than are left.
    """
    found = _memory.get(ctx)
    if found is None:
        found = _memory[ctx] = Losses(ctx)
    return found
