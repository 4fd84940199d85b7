"""Pods that may talk to what they find by name, and may not ask for names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from webhook.backends import target_ports
from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.checks.service_port_not_pod_port import sees_service_addresses
from webhook.dns import DNS_PORT, NameServers, name_servers
from webhook.evidence import comes_before_other_policies
from webhook.impact import Affected, affected, impact, isolated_by, members, rules_about, under_review
from webhook.model.objects import (
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    SERVICE,
    WORKLOADS,
    NetworkPolicy,
    NetworkPolicyRule,
    Pod,
    Protocol,
    Service,
)
from webhook.model.selectors import describe
from webhook.other_policies import May, other_policies
from webhook.reach.cidr import WHOLE_IPV4, Range, merged, parse_address, parse_cidr
from webhook.reach.graph import Atom, Cell, Stack
from webhook.reach.policy import EGRESS, BlockPeer, Policy
from webhook.reach.ports import Ports, intersection, port_range
from webhook.reach.relation import Relation, bits_of, join, meet, numbers
from webhook.reach.scenario import One, row
from webhook.removal import nothing_to_lose

_UDP: Final = "UDP"
_TCP: Final = "TCP"
_ASKED: Final[Mapping[Protocol, Ports]] = {p: port_range(p, DNS_PORT, DNS_PORT) for p in (_UDP, _TCP)}
_SHORT_SELECTOR: Final = 30
_STEPS_OF_A_STACK: Final = 40


def run(ctx: Context) -> Iterator[Finding]:
    policy = ctx.policy
    if EGRESS not in policy.directions or not ctx.selected or nothing_to_lose(ctx):
        return
    ctx.spend(sum(1 + len(rule.ports) for rule in policy.spec.egress))
    if any(not rule.peers and not rule.ports for rule in policy.spec.egress):
        return  # whomever they ask, they may
    if not name_servers(ctx.cluster).known:
        if policy.spec.egress and not any(map(_may_be_for_names, policy.spec.egress)):
            ctx.unknown.add("cluster DNS: not found, so whether pods may ask it was not judged")
        return
    judge = _Judge(ctx)
    found: dict[str, list[Cell]] = {}
    for stack, cells in isolated_by(ctx, EGRESS).items():
        asking = [cell for cell in cells if cell not in judge.resolvers.pods]
        if asking:  # but for those who are the cluster DNS
            found.setdefault(judge.verdict(asking[0], stack), []).extend(asking)
    others = other_policies(ctx)
    sure = {
        verdict: [cell for cell in cells if not others.doubtful(cell.of, EGRESS, May.ALLOW)]
        for verdict, cells in found.items()
        if verdict != _FINE
    }
    if blocked := sure.get(_BLOCKED) or found.get(_BLOCKED):
        yield _finding(ctx, judge, blocked, sure=bool(sure[_BLOCKED]))
    elif sure.get(_UDP_ALONE):
        who = affected(ctx, members(ctx, sure[_UDP_ALONE]))
        yield Finding(
            "spec.egress",
            f"{who} may ask the DNS over UDP only",
            f"allow TCP {judge.resolvers.port}, too",
            Level.NOTE,
            _value(who),
            means="large answers fail",
            detail=who.in_full,
        )


def _finding(ctx: Context, judge: "_Judge", blocked: Sequence[Cell], *, sure: bool) -> Finding:
    """What is said of pods that may not ask; `sure` where no policy in an engine's own API may let them."""
    resolvers, who = judge.resolvers, affected(ctx, members(ctx, blocked))
    question = "whether pods may ask for names"
    of = [] if sure else [cell.of for cell in blocked]
    doubt = other_policies(ctx).doubt(of, EGRESS, May.ALLOW, "may let it ask", question) if of else ""
    level = Level.NOTE if doubt else Level.WARNING
    if not ctx.policy.spec.egress:
        level = Level.NOTE  # "deny all", in so many words (CHECKS.md, conduct 2)
    elif comes_before_other_policies(ctx, said_before=all(map(judge.blocked_before, blocked))):
        level = Level.NOTE
    elif not ctx.cluster.complete(NETWORK_POLICY):
        ctx.unknown.add("policies: not all are known, so whether another one lets pods ask for names was not judged")
        level = Level.NOTE
    elif not resolvers.namespaces_known:
        ctx.unknown.add("namespaces: the labels of the cluster DNS' are not known, so who may ask it was not judged")
        level = Level.NOTE
    return Finding(
        "spec.egress" if ctx.policy.spec.egress else "spec.policyTypes",
        f"DNS fails in {who}",
        f"allow UDP/TCP {resolvers.port} to {resolvers.where}",
        level,
        _value(who),
        causes=rules_about(ctx, EGRESS, resolvers.numbers),
        means=doubt,
        detail=f"{who.in_full} cannot ask the cluster DNS",
    )


def _may_be_for_names(rule: NetworkPolicyRule) -> bool:
    """Whether a rule may be the one for DNS."""
    return not rule.ports or any(
        port.protocol == _UDP
        and (not isinstance(port.port, int) or port.port <= DNS_PORT <= (port.end_port or port.port))
        for port in rule.ports
    )


def _value(who: Affected) -> str:
    return ",".join(who.workloads)


# --- where queries arrive


class _Target(NamedTuple):
    """Somewhere queries arrive: pods, or an address; and at which ports."""

    at: Cell | Atom
    ports: Ports


class _Resolvers:
    """The cluster DNS on the graph, as it is for the policy under review."""

    def __init__(self, ctx: Context) -> None:
        change = impact(ctx)
        self._graph = change.graph
        self._planes = range(change.after.planes)
        self._found = found = name_servers(ctx.cluster)
        self.pods: set[Cell] = set()
        """The pods that answer."""
        self.numbers = {DNS_PORT}
        """Every port that a rule for it may name."""
        ctx.spend(8 * sum(len(s.servers) for s in found.services))
        self._targets = {p: dict.fromkeys(self._behind(found, p)) for p in _ASKED}
        self._ones: dict[Cell | Atom, Sequence[One]] = {}
        addresses = [n for s in found.services for a in s.addresses if (n := parse_address(a)) is not None]
        self._service_atoms = [self._graph.atom_at(n) for n in addresses]
        cidrs = [r for s in ctx.cluster.service_cidrs for c in s.cidrs if (r := parse_cidr(c)) is not None]
        self._of_services: Sequence[Range] = merged((*((n, n) for n in addresses), *cidrs))
        self._sees_services = sees_service_addresses(ctx)
        self.services = frozenset(s.key for s in found.services)
        self.namespaces_known = ctx.cluster.complete(NAMESPACE) or all(
            ctx.cluster.get(NAMESPACE, ("", namespace)) is not None for namespace, _ in self.services
        )

    def _behind(self, found: NameServers, protocol: Protocol) -> Iterator[_Target]:
        for server in (server for service in found.services for server in service.servers):
            number = server.number(protocol)
            if number is None:
                continue
            self.numbers.add(number)
            if isinstance(server.at, str):
                at: Cell | Atom | None = self._atom(server.at)
            else:
                at = self._graph.cell_of(POD if isinstance(server.at, Pod) else server.at.kind, server.at.key)
            if isinstance(at, Cell):
                self.pods.add(at)
            if at is not None:
                yield _Target(at, port_range(protocol, number, number))
        for address in found.cache.addresses if found.cache else ():
            if (atom := self._atom(address)) is not None:
                yield _Target(atom, _ASKED[protocol])

    def _atom(self, address: str) -> Atom | None:
        number = parse_address(address)
        return None if number is None else self._graph.atom_at(number)

    @property
    def number(self) -> int:
        """In how many places queries may arrive."""
        return len(self._service_atoms) + sum(map(len, self._targets.values()))

    # --- what to write

    @property
    def port(self) -> int:
        """Where most likely all of them are asked."""
        if self._by_address:
            return DNS_PORT
        return next((n.udp for s in self._found.services for n in s.servers if n.udp), DNS_PORT)

    @property
    def where(self) -> str:
        """The peer; of a long selector the namespace alone."""
        if self._by_address:
            return f"ipBlock {self._by_address}/32 (NodeLocal DNSCache)"
        for found in self._found.services:
            namespace, selector = found.service.metadata.namespace, found.service.spec.selector
            shown = describe(selector)
            return f"{namespace} {shown}" if 0 < len(shown) <= _SHORT_SELECTOR else f"namespace {namespace}"
        return "the cluster DNS"

    @property
    def _by_address(self) -> str:
        """The address of what no selector finds."""
        cache = self._found.cache
        return cache.addresses[0] if cache is not None and cache.host_network and cache.addresses else ""

    # --- the way to them

    def asked(self, stack: Stack, cell: Cell, protocol: Protocol) -> bool | None:
        """Whether a cell under these policies may ask anybody for names; None where engines differ on it.

        What administrators deny no rule of a NetworkPolicy mends, so that counts as asked.
        """
        if any(self._lets_through(stack, cell, target) for target in self._targets[protocol]):
            return True
        if stack.admin:
            return self.asked(Stack(own=stack.own), cell, protocol)
        if self._resolver_of_its_own(stack, protocol):
            return True
        by_service = (_Target(atom, _ASKED[protocol]) for atom in self._service_atoms)
        if self._sees_services is not False and any(self._lets_through(stack, cell, target) for target in by_service):
            return self._sees_services
        # No selector finds what is in its node's network, in most engines (facts 2.3.26).
        return None if any(at.host_network for at in self.pods) else False

    def _lets_through(self, stack: Stack, cell: Cell, target: _Target) -> bool:
        ones = self._ones.get(target.at)
        if ones is None:
            ones = self._ones[target.at] = [One(self._graph, plane, target.at) for plane in self._planes]
        return any(intersection(ports, target.ports) for one in ones for ports in row(stack, cell, EGRESS, one))

    def _resolver_of_its_own(self, stack: Stack, protocol: Protocol) -> bool:
        """Whether it may ask at addresses outside, but for those of Services, where nobody is (facts 2.3.29)."""
        for rule in (rule for policy in stack.own for rule in policy.egress or ()):
            if not intersection(rule.ports, _ASKED[protocol]):
                continue
            blocks = [peer for peer in rule.peers or () if isinstance(peer, BlockPeer)]
            ranges = (WHOLE_IPV4,) if rule.peers is None else (r for block in blocks for r in block.ranges)
            if any(not any(low <= first and last <= high for low, high in self._of_services) for first, last in ranges):
                return True
        return False


def _weight(policies: Iterable[Policy]) -> int:
    """How much there is to look at."""
    peers = (peer for policy in policies for rule in policy.egress or () for peer in (None, *(rule.peers or ())))
    return sum(len(peer.ranges) if isinstance(peer, BlockPeer) else 1 for peer in peers)


# --- who needs names, and who gets them

_FINE: Final = "fine"
_BLOCKED: Final = "blocked"
_UDP_ALONE: Final = "UDP alone"


class _Judge:
    """Says of a cell whether it needs names, and whether it gets them."""

    def __init__(self, ctx: Context) -> None:
        change = impact(ctx)
        self._ctx = ctx
        self._graph = change.graph
        self._before = change.before
        self._after = change.after
        self.resolvers = _Resolvers(ctx)

    def verdict(self, cell: Cell, stack: Stack) -> str:
        """What becomes of the queries of a cell, as of any other under these policies."""
        self._ctx.spend(_STEPS_OF_A_STACK + (1 + self.resolvers.number) * _weight(stack.own))
        own = under_review(self._ctx, stack)
        asked = self.resolvers.asked(stack, cell, _UDP)
        if asked:
            lacks_tcp = self.resolvers.asked(stack, cell, _TCP) is False
            return _UDP_ALONE if lacks_tcp and self._lets_ask(own, cell) else _FINE
        if own.egress:
            # Told to the policy that allows what needs names, or that did allow to ask for them until now.
            was = self._as_it_was(cell)
            took = was is not None and self._lets_ask(was, cell)
            if not self._needs_names(cell, stack, stack.own if took else (own,)):
                return _FINE
        if asked is None:
            self._ctx.unknown.add("cluster DNS: whether pods may ask it depends on an engine that is not known")
            return _FINE
        return _BLOCKED

    def blocked_before(self, cell: Cell) -> bool:
        """Whether the policy as it was isolated the cell, and nothing let it ask."""
        stack = self._before.stack(cell, EGRESS)
        return self._as_it_was(cell) is not None and self.resolvers.asked(stack, cell, _UDP) is False

    def _as_it_was(self, cell: Cell) -> Policy | None:
        """The policy under review before, where it isolated the cell."""
        name = "/".join(self._ctx.policy.key)
        return next((p for p in self._before.stack(cell, EGRESS).own if p.name == name), None)

    def _lets_ask(self, policy: Policy, cell: Cell) -> bool:
        return self.resolvers.asked(Stack(own=(policy,)), cell, _UDP) is True

    def _needs_names(self, cell: Cell, stack: Stack, policies: Sequence[Policy]) -> bool:
        """Whether they let it reach outside addresses by the range, or pods that a Service fronts."""
        relation: Relation = {}
        for plane in range(self._after.planes):
            allowed = self._after.allowed_by(policies, cell, EGRESS, plane)
            join(relation, meet(allowed, self._after.row(cell, EGRESS, plane)) if stack.admin else allowed)
        if not relation:
            return False
        wide = 0
        for rule in (rule for policy in policies for rule in policy.egress or ()):
            self._ctx.spend(1 + len(rule.peers or ()))
            if not rule.ports:
                continue  # an address has no named ports (facts 2.3.17)
            if rule.peers is None:
                wide = self._graph.outside
                break
            for peer in rule.peers:
                if isinstance(peer, BlockPeer) and any(first < last for first, last in peer.ranges):
                    wide |= self._graph.bits(peer, 0)
        if any(others & wide & self._graph.outside for others in relation.values()):
            return True
        return any(self._fronted(others, ports) for ports, others in relation.items())

    def _fronted(self, others: int, ports: Ports) -> bool:
        """Whether a Service leads to one of these pods, at one of these ports."""
        graph = self._graph
        left = others & ~graph.outside & ~bits_of([cell.number for cell in self.resolvers.pods])
        while left:
            namespace = graph.cells[next(numbers(left))].namespace
            here = bits_of([cell.number for cell in graph.cells_in(namespace)])
            self._ctx.spend(2 * len(graph.cells_in(namespace)))
            if any(self._leads_to(service, left & here, ports) for service in self._ctx.cluster.services_in(namespace)):
                return True
            left &= ~here
        return False

    def _leads_to(self, service: Service, others: int, ports: Ports) -> bool:
        spec = service.spec
        if spec.type == "ExternalName" or not spec.selector or service.key in self.resolvers.services:
            return False
        classes = self._ctx.select(self._ctx.compile_labels(spec.selector), (service.metadata.namespace,))
        for cell in self._graph.cells_of(classes):
            self._ctx.spend(1 + len(spec.ports))
            if others >> cell.number & 1 and intersection(target_ports(service, cell.named), ports):
                return True
        return False


_DNS = """
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  selector: {k8s-app: kube-dns}
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]
---
apiVersion: v1
kind: Pod
metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}
status: {phase: Running, podIP: 10.244.0.2}
"""
_SHOP = """
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
status: {phase: Running, podIP: 10.244.1.2}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
status: {phase: Running, podIP: 10.244.1.3}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 5432}]}
"""
_CLUSTER = _DNS + _SHOP
_WITH_ADDRESS = _CLUSTER.replace("spec:\n  selector: {k8s-app", "spec:\n  clusterIP: 10.96.0.10\n  selector: {k8s-app")
_OPENSHIFT = """
apiVersion: v1
kind: Namespace
metadata: {name: openshift-dns}
---
apiVersion: v1
kind: Service
metadata: {name: dns-default, namespace: openshift-dns}
spec:
  selector: {dns.operator.openshift.io/daemonset-dns: default}
  ports: [{name: dns, port: 53, protocol: UDP, targetPort: dns}, {name: dns-tcp, port: 53, targetPort: dns-tcp}]
---
apiVersion: v1
kind: Pod
metadata: {name: dns-default-1, namespace: openshift-dns, labels: {dns.operator.openshift.io/daemonset-dns: default}}
spec:
  containers:
    - name: dns
      ports: [{containerPort: 5353, name: dns, protocol: UDP}, {containerPort: 5353, name: dns-tcp}]
"""
_NODE_LOCAL = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-local-dns, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: node-local-dns}}
    spec:
      hostNetwork: true
      containers:
        - name: node-cache
          image: registry.k8s.io/dns/k8s-dns-node-cache:1.26.4
          args: [-localip, "169.254.20.10,10.96.0.10"]
"""
_AWS = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: aws-node, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: aws-node}}
    spec:
      hostNetwork: true
      containers:
        - {name: aws-node, image: 602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.20.0}
        - name: aws-eks-nodeagent
          image: 602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon/aws-network-policy-agent:v1.2.0
          args: [--enable-network-policy=true]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: amazon-vpc-cni, namespace: kube-system}
data: {enable-network-policy-controller: "true"}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  policyTypes: [Egress]
  egress: [{rules}]
"""
_TO_DB = "{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}"
_TO_DNS = (
    "{{to: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: kube-system}}}}, "
    "podSelector: {{matchLabels: {{k8s-app: kube-dns}}}}}}], ports: [{ports}]}}"
)
_BOTH = _TO_DNS.format(ports="{port: 53, protocol: UDP}, {port: 53}")

_CILIUM_DNS = """
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: dns}
spec:
  endpointSelector: {}
  egress:
    - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
"""
_CALICO = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: calico-node}}
    spec: {hostNetwork: true, containers: [{name: calico-node, image: 'quay.io/calico/node:v3.31.0'}]}
"""


def _policy(*rules: str, name: str = "api") -> str:
    return _POLICY.format(name=name, rules=", ".join(rules))


def _to(block: str, port: int, protocol: str = "UDP") -> str:
    return f"{{to: [{{ipBlock: {{cidr: {block}}}}}], ports: [{{port: {port}, protocol: {protocol}}}]}}"


CHECK = Check(
    id="dns-blocked",
    level=Level.WARNING,
    summary="selected pods may talk to what they find by name, but may not ask the cluster DNS",
    rationale="A pod whose egress is isolated needs a rule for DNS, too: without one it looks up no name, so nothing that "
    "it is allowed to reach is found. Policies see queries where they arrive: at the DNS pods' own port (53, on OpenShift "
    "5353, on Gardener 8053) or at NodeLocal DNSCache, which no selector finds; not at the Service's address. All "
    "policies of the pod count together. Total denial of egress, which says so, is a note, and so is DNS over UDP alone.",
    remedy="Add a rule for UDP and TCP to the DNS pods on the port that they listen on; one policy for all pods of the "
    "namespace will do. With NodeLocal DNSCache add an ipBlock with its address.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(NETWORK_POLICY, NAMESPACE, SERVICE, POD, *WORKLOADS),
    bad=(
        Example(
            title="a policy of Cilium's lets every pod ask: only noted",
            cluster=_CLUSTER + _CILIUM_DNS,
            object=_policy(_TO_DB),
            says="DNS fails in Pod/api-1: CiliumClusterwideNetworkPolicy dns may let it ask",
            level=Level.NOTE,
        ),
        Example(
            title="a policy of Cilium's for other pods",
            cluster=_CLUSTER
            + _CILIUM_DNS.replace("endpointSelector: {}", "endpointSelector: {matchLabels: {app: web}}"),
            object=_policy(_TO_DB),
            says="DNS fails in Pod/api-1; allow UDP/TCP 53",
        ),
        Example(
            title="a policy of Cilium's that only denies",
            cluster=_CLUSTER + _CILIUM_DNS.replace("egress:", "egressDeny:"),
            object=_policy(_TO_DB),
            says="DNS fails in Pod/api-1; allow UDP/TCP 53",
        ),
        Example(
            title="Calico runs, and what is Cilium's was left behind",
            cluster=_CLUSTER + _CILIUM_DNS + _CALICO,
            object=_policy(_TO_DB),
            says="DNS fails in Pod/api-1; allow UDP/TCP 53",
        ),
        Example(
            title="egress to a database, and the rule for DNS forgotten",
            cluster=_CLUSTER,
            object=_policy(_TO_DB),
            says="DNS fails in Pod/api-1; allow UDP/TCP 53 to kube-system k8s-app=kube-dns",
        ),
        Example(
            title="the outside, but HTTPS only",
            cluster=_CLUSTER,
            object=_policy("{ports: [{port: 443}]}"),
            says="(1 pod (Pod/api-1) cannot ask the cluster DNS",
        ),
        Example(
            title="a wide range of addresses",
            cluster=_CLUSTER,
            object=_policy(_to("203.0.113.0/24", 443, "TCP")),
            says="(1 pod (Pod/api-1) cannot ask the cluster DNS",
        ),
        Example(
            title="53 is allowed, and the DNS pods listen on 5353",
            cluster=_OPENSHIFT + _SHOP,
            object=_policy(_TO_DB, "{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}]}"),
            says="allow UDP/TCP 5353 to namespace openshift-dns",
        ),
        Example(
            title="an update that loses the rule for DNS, while another policy still allows the database",
            cluster=_CLUSTER + "---" + _policy(_TO_DB, name="db"),
            old=_policy(_BOTH),
            object=_policy(_to("192.0.2.1/32", 443, "TCP")),
            says="(1 pod (Pod/api-1) cannot ask the cluster DNS",
        ),
        Example(
            title="all egress denied, in so many words: a note",
            cluster=_CLUSTER,
            object=_policy(),
            says="(1 pod (Pod/api-1) cannot ask the cluster DNS",
            level=Level.NOTE,
        ),
        Example(
            title="a namespace that is being filled: a note",
            cluster=_CLUSTER.replace("{name: shop}", '{name: shop, creationTimestamp: "2025-12-31T23:56:00Z"}'),
            object=_policy(_TO_DB),
            says="(1 pod (Pod/api-1) cannot ask the cluster DNS",
            level=Level.NOTE,
        ),
        Example(
            title="DNS over UDP alone: a note",
            cluster=_CLUSTER,
            object=_policy(_TO_DB, _TO_DNS.format(ports="{port: 53, protocol: UDP}")),
            says="Pod/api-1 may ask the DNS over UDP only: large answers fail; allow TCP 53, too",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="a rule for DNS", cluster=_CLUSTER, object=_policy(_TO_DB, _BOTH)),
        Example(
            title="another policy of the pods has it",
            cluster=_CLUSTER + "---" + _policy(_BOTH, name="dns").replace("{matchLabels: {app: api}}", "{}"),
            object=_policy(_TO_DB),
        ),
        Example(
            title="single addresses need no name",
            cluster=_CLUSTER,
            object=_policy(_to("192.0.2.1/32", 5432, "TCP"), _to("192.0.2.2/32", 5432, "TCP")),
        ),
        Example(
            title="a resolver of one's own",
            cluster=_CLUSTER,
            object=_policy(_TO_DB, _to("192.0.2.53/32", 53)),
        ),
        Example(
            title="NodeLocal DNSCache, by its address",
            cluster=_CLUSTER + _NODE_LOCAL,
            object=_policy(_TO_DB, _to("169.254.20.10/32", 53)),
        ),
        Example(
            title="NodeLocal DNSCache that takes over the DNS Service's address",
            cluster=_WITH_ADDRESS + _NODE_LOCAL,
            object=_policy(_TO_DB, _to("10.96.0.10/32", 53)),
        ),
        Example(
            title="an engine that sees the Service's address",
            cluster=_WITH_ADDRESS + _AWS,
            object=_policy(_TO_DB, _to("10.96.0.10/32", 53)),
        ),
        Example(title="the cluster DNS is not known", cluster=_SHOP, object=_policy(_TO_DB)),
        Example(title="not all policies are known", cluster=_CLUSTER, object=_policy(_TO_DB), partial=True),
        Example(
            title="no pod is selected",
            cluster=_CLUSTER,
            object=_policy(_TO_DB).replace("app: api", "app: cache"),
            view=View.CHECK,
        ),
    ),
)
