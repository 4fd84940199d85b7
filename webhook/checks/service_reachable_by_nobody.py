"""A Service whose pods no policy lets anybody reach on any of its ports."""

from collections.abc import Iterator, Sequence
from typing import Final

from webhook.backends import matched, target_ports
from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.evidence import comes_before_other_policies
from webhook.impact import affected, in_force, members
from webhook.model.objects import NETWORK_POLICY, NODE, POD, WORKLOADS, Service
from webhook.other_policies import May, other_policies
from webhook.reach.change import let_through
from webhook.reach.cidr import parse_address, parse_cidr
from webhook.reach.graph import Cell
from webhook.reach.policy import EGRESS, INGRESS, BlockPeer, Peer, Policy
from webhook.reach.ports import NO_PORTS, Ports, describe, intersection, port_range, union
from webhook.reach.relation import bits_of, numbers
from webhook.reach.scenario import Scenario
from webhook.removal import nothing_to_lose

_FROM_OUTSIDE: Final = frozenset({"NodePort", "LoadBalancer"})
_STEPS_OF_A_CELL: Final = 40
_OF_NODES: Final = "addresses of nodes"
"""Under what they are kept beside the graph: many Services are asked about in one state."""
_OF_PODS: Final = tuple(
    found
    for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
    if (found := parse_cidr(cidr)) is not None
)
"""Private addresses (RFC 1918, 6598 and 4193)."""


def run(ctx: Context) -> Iterator[Finding]:
    if nothing_to_lose(ctx) or not matched(ctx, ctx.service):
        return
    scenario = in_force(ctx)
    behind = _unreached(ctx, ctx.service, scenario)
    if behind:
        yield _finding(ctx, scenario, behind)


def _unreached(ctx: Context, service: Service, scenario: Scenario) -> Sequence[Cell]:
    """The cells behind a Service, if nobody may reach any of them on any of its ports; else none."""
    cells = scenario.graph.cells_of(matched(ctx, service))
    ctx.spend(2 * len(cells))
    if not all(scenario.stack(cell, INGRESS).restricts for cell in cells):
        return ()  # somebody answers whoever asks
    clients = _Clients(ctx, service, scenario)
    behind: list[Cell] = []
    for cell in cells:
        # One that lacks the name of a port is no endpoint to this Service.
        if targets := target_ports(service, cell.named):
            if clients.reach(cell, targets):
                return ()
            behind.append(cell)
    return behind


def _finding(ctx: Context, scenario: Scenario, behind: Sequence[Cell]) -> Finding:
    admitting = list({p: None for cell in behind for p in scenario.stack(cell, INGRESS).own if p.ingress})
    admitted = any(intersection(_admitted(cell, admitting), target_ports(ctx.service, cell.named)) for cell in behind)
    level = Level.WARNING
    # "Deny all" in so many words; the port is admitted, and its clients are yet to come; or this is not its doing.
    if not admitting or admitted or _is_on_the_way(ctx, scenario, behind, admitting):
        level = Level.NOTE
    elif not ctx.cluster.complete(NETWORK_POLICY, POD):
        ctx.unknown.add("policies: not all policies and pods are known, so who may reach a Service was not judged")
        level = Level.NOTE
    question = "who may reach a Service"
    of = [cell.of for cell in behind]
    doubt = other_policies(ctx).doubt(of, INGRESS, May.ALLOW, "may let somebody in", question)
    if doubt:
        level = Level.NOTE
    ports: Ports = NO_PORTS
    for cell in behind:
        ports = union(ports, target_ports(ctx.service, cell.named))
    who, shown = affected(ctx, members(ctx, behind)), enumerate_some(describe(ports), 2)
    if not admitting:
        seen, remedy = "its pods' policies let nobody in", "add one for its clients"
    elif admitted:
        seen, remedy = "its pods' policies let in no pod that is there", ""
    else:
        names = enumerate_some(sorted(p.name.partition("/")[2] for p in admitting), 2)
        nobody = "nobody" if ctx.service.spec.type in _FROM_OUTSIDE else "no pod"
        seen, remedy = f"its pods' policies let {nobody} in on {shown}", f"allow it in {names}"
    return Finding("spec.ports", seen, remedy, level, shown, means=doubt, detail=f"behind it: {who.in_full}")


def _is_on_the_way(ctx: Context, scenario: Scenario, behind: Sequence[Cell], admitting: Sequence[Policy]) -> bool:
    """Whether pods or policies may be about to follow: a release sends policies, then Services, then workloads."""
    if comes_before_other_policies(ctx, said_before=False):
        return True
    if isinstance(ctx.old, Service) and _unreached(ctx, ctx.old, scenario):
        return True  # it was so before this update
    # The policies are ahead of the pods where they admit a port by a name that these do not have.
    named = {(name, protocol) for cell in behind for name, protocol, _ in cell.named}
    return any(not named.issuperset(rule.names) for policy in admitting for rule in policy.ingress or ())


def _admitted(cell: Cell, policies: Sequence[Policy]) -> Ports:
    """The ports that their rules admit to pods, be they there or not."""
    found: Ports = NO_PORTS
    for rule in (rule for policy in policies for rule in policy.ingress or ()):
        if not any(_may_be_pods(peer) for peer in rule.peers or ()):
            continue
        found = union(found, rule.ports)
        for name, protocol, number in cell.named:
            if (name, protocol) in rule.names:
                found = union(found, port_range(protocol, number, number))
    return found


def _may_be_pods(peer: Peer) -> bool:
    """Whether pods may match a peer some day: an ipBlock only where it holds addresses that clusters give to pods."""
    if not isinstance(peer, BlockPeer):
        return True
    return any(first <= high and low <= last for first, last in peer.ranges for low, high in _OF_PODS)


class _Clients:
    """Who may come to the pods of a Service."""

    def __init__(self, ctx: Context, service: Service, scenario: Scenario) -> None:
        self._ctx = ctx
        self._scenario = scenario
        self._graph = scenario.graph
        spec = service.spec
        self._from_outside = self._graph.outside
        if spec.type not in _FROM_OUTSIDE and not spec.external_ips and ctx.cluster.complete(NODE):
            self._from_outside = self._of_nodes()

    def _of_nodes(self) -> int:
        """The addresses outside that nodes have: what runs in their network is a client like any pod."""
        cluster = self._ctx.cluster
        self._ctx.spend(4 * len(cluster.keys(NODE)))
        generation, known = self._graph.kept.get(_OF_NODES, (-1, None))
        if generation == cluster.generation and isinstance(known, tuple) and known[0] == self._graph.version:
            return int(known[1])
        addresses = [a for node in cluster.nodes for a in node.addresses]
        addresses += (a for found in cluster.slices_of("default", "kubernetes") for a in found.addresses)
        found = bits_of([self._graph.atom_at(n).number for a in addresses if (n := parse_address(a)) is not None])
        self._graph.kept[_OF_NODES] = cluster.generation, (self._graph.version, found)
        return found

    def reach(self, cell: Cell, ports: Ports) -> bool:
        """Whether anybody may reach a cell on any of these ports."""
        self._ctx.spend(_STEPS_OF_A_CELL)
        let_in = let_through(self._scenario, cell, INGRESS, ports)
        if let_in & self._from_outside:
            return True
        pods = let_in & ~self._graph.outside
        if not self._is_several(cell):
            pods &= ~(1 << cell.number)
        if pods & ~self._scenario.bound(EGRESS):
            return True
        for number in numbers(pods):
            self._ctx.spend(_STEPS_OF_A_CELL)
            if intersection(self._scenario.between(self._graph.cells[number], cell), ports):
                return True
        return False

    def _is_several(self, cell: Cell) -> bool:
        """Whether its pods are, or will be, clients of each other."""
        return len(cell.pods) > 1 or any(
            getattr(self._ctx.cluster.get(*identity), "replicas", 1) > 1 for identity in cell.templates
        )


_CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
spec: {containers: [{name: api, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}
"""
_POLICY = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {selector}
  ingress: [{rules}]
"""
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: api, namespace: shop}}
spec: {{type: {type}, selector: {{app: api}}, ports: [{ports}]}}
"""
_FROM_WEB = "{{from: [{{podSelector: {{matchLabels: {{app: web}}}}}}], ports: [{{port: {port}}}]}}"
_FROM_BLOCK = "{{from: [{{ipBlock: {{cidr: {cidr}}}}}]}}"


def _policy(*rules: str, name: str = "api", selector: str = "{matchLabels: {app: api}}") -> str:
    return _POLICY.format(name=name, selector=selector, rules=", ".join(rules))


def _service(ports: str = "{port: 80, targetPort: 8080}", type_: str = "ClusterIP") -> str:
    return _SERVICE.format(type=type_, ports=ports)


CHECK = Check(
    id="service-reachable-by-nobody",
    level=Level.WARNING,
    summary="policies isolate every pod of a Service, and admit nobody on any of its ports",
    rationale="The Service has endpoints, resolves and answers nobody: every pod behind it is isolated, and no rule admits "
    "the port that the Service leads to. Policies see the pods' port (targetPort), not the Service's. For NodePort and "
    "LoadBalancer clients outside count as well. Where all is denied on purpose, or the port is admitted and only its "
    "clients are not there yet, it is a note.",
    remedy="Admit the Service's targetPort in the policy of its pods, or lead the Service to a port that is admitted.",
    run=run,
    judges=(Service.kind,),
    rests_on=(NETWORK_POLICY, POD, *WORKLOADS),
    bad=(
        Example(
            title="a policy of Calico's lets somebody in, it may be: only noted",
            cluster=_CLUSTER
            + _policy(_FROM_WEB.format(port=80))
            + """
---
apiVersion: crd.projectcalico.org/v1
kind: NetworkPolicy
metadata: {name: default.api, namespace: shop}
spec: {selector: app == 'api', types: [Ingress], ingress: [{action: Allow, protocol: TCP}]}
""",
            object=_service(),
            says="let no pod in on TCP 8080: Calico NetworkPolicy default.api may let somebody in",
            level=Level.NOTE,
        ),
        Example(
            title="the policy admits the Service's port, and the pods listen on another",
            cluster=_CLUSTER + _policy(_FROM_WEB.format(port=80)),
            object=_service(),
            says="its pods' policies let no pod in on TCP 8080; allow it in api (behind it: 1 pod (Pod/api-1))",
        ),
        Example(
            title="a LoadBalancer, and another port admitted from everywhere",
            cluster=_CLUSTER + _policy("{ports: [{port: 9090}]}"),
            object=_service(type_="LoadBalancer"),
            says="its pods' policies let nobody in on TCP 8080",
        ),
        Example(
            title="clients outside only, and no way in from there",
            cluster=_CLUSTER + _policy(_FROM_BLOCK.format(cidr="203.0.113.0/24")),
            object=_service(),
            says="let no pod in on TCP 8080",
        ),
        Example(
            title="an update that leads it to a port that is not admitted",
            cluster=_CLUSTER + _policy(_FROM_WEB.format(port=8080)),
            old=_service(),
            object=_service("{port: 80, targetPort: 9090}"),
            says="let no pod in on TCP 9090",
        ),
        Example(
            title="all denied, in so many words: a note",
            cluster=_CLUSTER + _policy(name="default-deny", selector="{}"),
            object=_service(),
            says="its pods' policies let nobody in",
            level=Level.NOTE,
        ),
        Example(
            title="clients that are yet to come: a note",
            cluster=_CLUSTER + _policy(_FROM_WEB.format(port=8080).replace("app: web", "api-client: 'true'")),
            object=_service(),
            says="let in no pod that is there",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="the pods' port is admitted",
            cluster=_CLUSTER + _policy(_FROM_WEB.format(port=8080)),
            object=_service(),
        ),
        Example(
            title="by name",
            cluster=_CLUSTER + _policy(_FROM_WEB.format(port="http")),
            object=_service("{port: 80, targetPort: http}"),
        ),
        Example(
            title="one of its ports is admitted",
            cluster=_CLUSTER + _policy(_FROM_WEB.format(port=9090)),
            object=_service("{name: http, port: 80, targetPort: 8080}, {name: metrics, port: 9090}"),
        ),
        Example(title="no policy selects its pods", cluster=_CLUSTER, object=_service()),
        Example(
            title="a NodePort Service with clients outside",
            cluster=_CLUSTER + _policy(_FROM_BLOCK.format(cidr="203.0.113.0/24")),
            object=_service(type_="NodePort"),
        ),
        Example(
            title="nodes are let in: what runs in their network, an ingress controller or the API server",
            cluster=_CLUSTER + _policy(_FROM_BLOCK.format(cidr="172.18.0.0/24")),
            object=_service(),
        ),
        Example(
            title="not all policies are known",
            cluster=_CLUSTER + _policy(_FROM_WEB.format(port=80)),
            object=_service(),
            partial=True,
        ),
        Example(
            title="it selects nothing",
            cluster=_CLUSTER + _policy(_FROM_WEB.format(port=80)),
            object=_service().replace("app: api", "app: cache"),
            view=View.CHECK,
        ),
    ),
)
