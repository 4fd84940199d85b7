"""Pods that have rights in the API server, and lose the way to it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.checks.service_port_not_pod_port import sees_service_addresses
from webhook.evidence import comes_before_other_policies
from webhook.impact import affected, impact, isolated_by, members, rules_about
from webhook.model.cluster import PodClass
from webhook.model.objects import (
    BINDINGS,
    DEFAULT_ACCOUNT,
    ENDPOINT_SLICE,
    NETWORK_POLICY,
    NODE,
    POD,
    SERVICE,
    WORKLOADS,
    Key,
    NetworkPolicy,
    Pod,
    Service,
    Workload,
)
from webhook.other_policies import May, other_policies
from webhook.reach.change import let_through
from webhook.reach.cidr import format_range, parse_address
from webhook.reach.graph import Cell
from webhook.reach.policy import EGRESS
from webhook.reach.ports import joined, port_range
from webhook.reach.relation import bits_of
from webhook.reach.scenario import Scenario
from webhook.removal import nothing_to_lose

_API_SERVER: Final[Key] = ("default", "kubernetes")
"""The Service whose endpoints the API servers keep themselves (k8s.io/kubernetes pkg/controlplane/reconcilers)."""
_STEPS_OF_A_STACK: Final = 20
_HTTPS: Final = 443
_HTTPS_PORTS: Final = port_range("TCP", _HTTPS, _HTTPS)
_NO_CALLS: Final = re.compile(
    r"system:openshift:scc:.*|(.*[-:.])?(psp|podsecuritypolicy|pod-security-policy)([-:.].*)?"
)
"""Roles that say what pods of an account may be made like, and let it call nothing."""


def run(ctx: Context) -> Iterator[Finding]:
    policy = ctx.policy
    if EGRESS not in policy.directions or nothing_to_lose(ctx):
        return
    ctx.spend(len(policy.spec.egress))
    entitled = _Accounts(ctx)
    if any(not rule.peers and not rule.ports for rule in policy.spec.egress) or not entitled.any_of(ctx.selected):
        return
    server = _Server(ctx)
    if not server.known:
        ctx.unknown.add("API server: its endpoints are not known, so who may reach it was not judged")
        return
    before, after = _scenarios(ctx)
    others = other_policies(ctx)
    cut: list[Pod | Workload] = []
    doubtful: list[Cell] = []
    for cells in isolated_by(ctx, EGRESS).values():
        ctx.spend(_STEPS_OF_A_STACK)
        # One of them stands for all that are under the same policies, but before these may have been others.
        if server.reached(after, cells[0]) is False:
            lost = [cell for cell in cells if server.reached(before, cell)]
            sure = [cell for cell in lost if not others.doubtful(cell.of, EGRESS)]
            doubtful += (cell for cell in lost if cell not in sure)
            cut += (m for m in entitled.members(sure) if not _on_its_node(ctx, m, server))
    if cut:
        yield _finding(ctx, cut, server, entitled)
        return
    cut = [m for m in entitled.members(doubtful) if not _on_its_node(ctx, m, server)]
    if cut:
        question = "whether pods lose the API server"
        of = [cell.of for cell in doubtful]
        doubt = others.doubt(of, EGRESS, May.EITHER, "may decide otherwise", question)
        yield _finding(ctx, cut, server, entitled, doubt)


def _finding(
    ctx: Context, cut: Sequence[Pod | Workload], server: "_Server", entitled: "_Accounts", doubt: str = ""
) -> Finding:
    certain = [m for m in cut if entitled.certainly(m.account)]
    level = Level.WARNING
    if doubt or not ctx.policy.spec.egress:
        level = Level.NOTE  # "deny all", in so many words (CHECKS.md, conduct 2), or others may decide
    elif comes_before_other_policies(ctx, said_before=False) or not certain:
        level = Level.NOTE
    elif not ctx.cluster.complete(NETWORK_POLICY):
        ctx.unknown.add("policies: not all are known, so whether another one leads to the API server was not judged")
        level = Level.NOTE
    who = affected(ctx, certain or cut)
    accounts = enumerate_some(sorted({m.account[1] for m in certain or cut}), 2)
    rights = f"ServiceAccount {accounts} {'has' if certain else 'may have'} rights there"
    where, lookup = server.where, ""
    if not ctx.may_name(ENDPOINT_SLICE, _API_SERVER[0]):
        where, lookup = "its endpoints", "; kubectl get endpointslices -n default has them"
    return Finding(
        "spec.egress" if ctx.policy.spec.egress else "spec.policyTypes",
        f"cuts {who} off the API server",
        f"allow TCP {', '.join(map(str, sorted(server.numbers)))} to {where}",
        level,
        ",".join(who.workloads),
        causes=rules_about(ctx, EGRESS, {*server.numbers, _HTTPS}),
        means=doubt,
        detail=f"{rights}, and runs {who.in_full}{lookup}",
    )


# --- who calls the API server


class _Accounts:
    """Which ServiceAccounts have rights of their own in the API server."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._known: dict[Key, bool] = {}
        self._all_bindings_known = ctx.cluster.complete(*BINDINGS)

    def any_of(self, classes: Iterable[PodClass]) -> bool:
        """Whether any pod or template of these classes runs under an account with such rights, or may."""
        accounts: set[Key] = set()
        for pod_class in classes:
            self._ctx.spend(1 + len(pod_class.pods) + len(pod_class.templates))
            accounts.update(pod.account for pod in pod_class.pods.values())
            accounts.update(template.account for template in pod_class.templates.values())
        return any(map(self._may_call, accounts))

    def members(self, cells: Iterable[Cell]) -> list[Pod | Workload]:
        """The pods of these cells, or templates where none runs, whose account has such rights, or may have."""
        return [m for m in members(self._ctx, cells) if self._may_call(m.account)]

    def _may_call(self, account: Key) -> bool:
        if self.certainly(account):
            return True
        return not self._all_bindings_known and account[1] != DEFAULT_ACCOUNT

    def certainly(self, account: Key) -> bool:
        """Whether a binding that is known gives it such rights."""
        found = self._known.get(account)
        if found is None:
            bindings = self._ctx.cluster.bindings_of(*account)
            self._ctx.spend(1 + 2 * len(bindings))
            found = self._known[account] = any(not _NO_CALLS.fullmatch(b.role) for b in bindings)
        return found


# --- the way to it


class _Server:
    """The API server on the graph: the outside addresses of its endpoints, and its Service's."""

    def __init__(self, ctx: Context) -> None:
        self._graph = impact(ctx).graph
        listed: dict[int, None] = {}
        self.numbers: set[int] = set()
        """The ports of its endpoints."""
        for found in ctx.cluster.slices_of(*_API_SERVER):
            ctx.spend(2 * len(found.addresses))
            listed.update((n, None) for a in found.addresses if (n := parse_address(a)) is not None)
            self.numbers |= {p.number for p in found.ports if p.protocol == "TCP"}
        self._listed = tuple(listed)
        self._ports = joined(r for n in self.numbers for r in port_range("TCP", n, n))
        self._bits = bits_of([self._graph.atom_at(n).number for n in listed])
        self._ctx = ctx

    @cached_property
    def _sees_services(self) -> bool | None:
        return sees_service_addresses(self._ctx)

    @cached_property
    def _service_bits(self) -> int:
        if self._sees_services is False:
            return 0
        service = self._ctx.cluster.get(SERVICE, _API_SERVER)
        own = [service.spec.cluster_ip, *service.spec.cluster_ips] if isinstance(service, Service) else []
        atoms = [self._graph.atom_at(n) for a in own if (n := parse_address(a)) is not None]
        if self._sees_services is None:
            # Who writes just this address knows, it may be, an engine that sees it.
            atoms = [atom for atom in atoms if atom.first == atom.last]
        return bits_of([atom.number for atom in atoms])

    @property
    def known(self) -> bool:
        return bool(self._bits and self._ports)

    @property
    def where(self) -> str:
        """What to write as ipBlocks."""
        return enumerate_some([format_range((n, n)) for n in self._listed], 2)

    def reached(self, scenario: Scenario, cell: Cell) -> bool | None:
        """Whether a cell's policies let it reach an API server; None where engines differ on it."""
        if let_through(scenario, cell, EGRESS, self._ports) & self._bits:
            return True
        by_service = let_through(scenario, cell, EGRESS, _HTTPS_PORTS) & self._service_bits
        return self._sees_services if by_service else False

    def is_at(self, addresses: Iterable[str]) -> bool:
        """Whether one of these addresses of a node is an endpoint's."""
        return any(parse_address(a) in self._listed for a in addresses)


def _scenarios(ctx: Context) -> tuple[Scenario, Scenario]:
    """Without the policy, or with the old one, and with it; what is there already is measured by its going."""
    change = impact(ctx)
    if ctx.view is View.AUDIT:
        return Scenario(change.graph, {ctx.policy.key: None}), change.after
    return change.before, change.after


def _on_its_node(ctx: Context, member: Pod | Workload, server: _Server) -> bool:
    """Whether an API server runs on the pod's own node, from which no policy parts it (facts 2.3.23)."""
    if isinstance(member, Pod) and member.node:
        ctx.spend(2)
        return server.is_at(ctx.cluster.addresses_of(member.node))
    nodes = ctx.cluster.keys(NODE)
    ctx.spend(4 * len(nodes))
    return bool(nodes) and all(server.is_at(node.addresses) for node in ctx.cluster.nodes)


_CLUSTER = """
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [172.18.0.2]}]
ports: [{name: https, port: 6443}]
---
apiVersion: v1
kind: Node
metadata: {name: control-plane}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}
---
apiVersion: v1
kind: Node
metadata: {name: worker}
status: {addresses: [{type: InternalIP, address: 172.18.0.3}]}
---
apiVersion: v1
kind: Pod
metadata: {name: operator-1, namespace: ops, labels: {app: operator}}
spec: {serviceAccountName: operator, nodeName: worker}
status: {phase: Running, podIP: 10.244.1.2}
"""
_BINDING = """
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: operator}
subjects: [{kind: ServiceAccount, name: operator, namespace: ops}]
"""
_OPERATOR = _CLUSTER + _BINDING
_HELM = "labels: {app.kubernetes.io/managed-by: Helm}"
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: ops}}
spec:
  podSelector: {{matchLabels: {{app: operator}}}}
  policyTypes: [Egress]
  egress: [{rules}]
"""
_DNS = "{ports: [{port: 53, protocol: UDP}, {port: 53}]}"


def _policy(*rules: str, name: str = "operator") -> str:
    return _POLICY.format(name=name, rules=", ".join(rules))


def _to(cidr: str, port: int) -> str:
    return f"{{to: [{{ipBlock: {{cidr: {cidr}}}}}], ports: [{{port: {port}}}]}}"


CHECK = Check(
    id="cuts-api-server",
    level=Level.WARNING,
    summary="pods whose ServiceAccount has rights in the API server lose the way to it",
    rationale="Controllers and operators live on the API server: cut off from it they stop, often without a sign but "
    "timeouts in their log. It is no pod that a selector finds: policies see its endpoints, those of Service "
    "default/kubernetes, at the control plane's addresses and port (mostly 6443), not the Service's address and 443. "
    "Pods are asked about whose ServiceAccount a RoleBinding or ClusterRoleBinding names.",
    remedy="Allow TCP to the addresses and port of `kubectl get endpointslice kubernetes`, or to the port alone where the "
    "addresses change.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(NETWORK_POLICY, POD, *WORKLOADS),
    bad=(
        Example(
            title="a policy of Cilium's lets every pod reach the API server: only noted",
            cluster=_OPERATOR
            + """
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: api-server}
spec: {endpointSelector: {}, egress: [{toEntities: [kube-apiserver]}]}
""",
            object=_policy(_DNS),
            says="CiliumClusterwideNetworkPolicy api-server may decide otherwise",
            level=Level.NOTE,
        ),
        Example(
            title="an operator that may only ask for names",
            cluster=_OPERATOR,
            object=_policy(_DNS),
            says="cuts Pod/operator-1 off the API server; allow TCP 6443 to 172.18.0.2/32",
        ),
        Example(
            title="the Service's port, and the API server listens on 6443",
            cluster=_OPERATOR,
            object=_policy(_DNS, "{ports: [{port: 443}]}"),
            says="allow TCP 6443 to 172.18.0.2/32",
        ),
        Example(
            title="an update that narrows the port",
            cluster=_OPERATOR,
            old=_policy(_to("172.18.0.0/24", 6443)),
            object=_policy(_to("172.18.0.0/24", 8443)),
            says="(ServiceAccount operator has rights there, and runs 1 pod (Pod/operator-1)",
        ),
        Example(
            title="all egress denied, in so many words: a note",
            cluster=_OPERATOR,
            object=_policy(),
            says="cuts Pod/operator-1",
            level=Level.NOTE,
        ),
        Example(
            title="role bindings are not known: a note",
            cluster="apiVersion: netadmit.io/v1\nkind: Snapshot\n"
            "kinds: [v1/Pod, networking.k8s.io/v1/NetworkPolicy]\n---" + _CLUSTER,
            object=_policy(_DNS),
            says="(ServiceAccount operator may have rights there",
            level=Level.NOTE,
            partial=True,
        ),
    ),
    good=(
        Example(title="a rule for its endpoints", cluster=_OPERATOR, object=_policy(_to("172.18.0.0/24", 6443))),
        Example(title="a rule for its port", cluster=_OPERATOR, object=_policy(_DNS, "{ports: [{port: 6443}]}")),
        Example(
            title="another policy of the pods has it",
            cluster=_OPERATOR + "---" + _policy(_to("172.18.0.2/32", 6443), name="api-server"),
            object=_policy(_DNS),
        ),
        Example(
            title="it was cut off before: a policy that denies all egress is there",
            cluster=_OPERATOR + "---" + _policy(name="default-deny"),
            object=_policy(_DNS),
        ),
        Example(
            title="an API server on the pod's own node",
            cluster=_OPERATOR.replace("nodeName: worker", "nodeName: control-plane"),
            object=_policy(_DNS),
        ),
        Example(title="an account without rights", cluster=_CLUSTER, object=_policy(_DNS)),
        Example(
            title="a binding that only says what its pods may be like",
            cluster=_OPERATOR.replace("name: operator}\nsubjects", "name: system:openshift:scc:anyuid}\nsubjects"),
            object=_policy(_DNS),
        ),
        Example(
            title="Helm sends the policies of a release one by one",
            cluster=_OPERATOR,
            object=_policy(_DNS).replace("namespace: ops", f"namespace: ops, {_HELM}"),
        ),
    ),
)
