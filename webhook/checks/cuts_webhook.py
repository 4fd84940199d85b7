"""A policy that cuts the control plane off an admission webhook or an aggregated API: requests to it begin to fail."""

from collections.abc import Iterator
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.losses import Losing, Losses, losses, path_of
from webhook.model.objects import (
    NETWORK_POLICY,
    NODE,
    POD,
    APIService,
    NetworkPolicy,
    Node,
    Pod,
    Record,
    WebhookConfiguration,
)
from webhook.parties import describe_ports
from webhook.reach.ports import NO_PORTS, union
from webhook.removal import nothing_to_lose

_SYSTEM: Final = "kube-system"
_PORT: Final = 443
"""Of a Service whose reference gives none (k8s.io/api admissionregistration/v1 and apiregistration/v1)."""
_CONTROL_PLANE: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_API_SERVER: Final = "kube-apiserver"


def run(ctx: Context) -> Iterator[Finding]:
    if ctx.view is View.AUDIT:
        return
    found = losses(ctx)
    for losing in found.services:
        by_level: dict[Level, list[Record]] = {}
        for record in ctx.cluster.referrers_of(*losing.service.key):
            ctx.spend(2)
            levels = [_level(ctx, found, losing, port) for port in _ports(record, losing)]
            if any(levels):
                by_level.setdefault(max(level for level in levels if level), []).append(record)
        if not by_level or nothing_to_lose(ctx):
            continue
        doubt = found.doubt(losing, found.change.graph.outside | found.host_network)
        for level, records in by_level.items():
            name = losing.service.metadata.name
            certain = level is Level.WARNING
            ports = _ports_behind(losing, records)
            with ctx.aside():
                kinds = _kinds(ctx, records)
            yield Finding(
                path_of(ctx.policy, losing.direction),
                f"{'cuts' if certain else 'may cut'} the API server off Service {name}",
                f"let all in on {ports}",
                level,
                f"{losing.direction} {name}",
                means=_consequence(records) if certain else doubt or "it is no pod",
                causes=losing.due_to(ctx),
                lost=(losing.lost,),
                detail=f"{kinds} sends it there, on {ports}; a rule for the API server's addresses will do",
            )


def _level(ctx: Context, found: Losses, losing: Losing, port: int | None) -> Level | None:
    """How sure it is that the API server loses a Service; None where nothing outside the pods does.

    From where it connects no object tells. So it is known to be cut only where nothing is let in from outside, from
    the nodes, or from the system's pods, through which some clouds tunnel (konnectivity-agent).
    """
    graph = found.change.graph
    system = 0
    for cell in graph.cells_in(_SYSTEM):
        system |= 1 << cell.number
    ctx.spend(len(graph.cells_in(_SYSTEM)))
    nodes = found.host_network
    if not found.lets_fewer_in(losing, graph.outside | nodes, port):
        return None
    if found.reached(losing, graph.outside | nodes | system, port):
        return Level.NOTE
    if found.level(losing, graph.outside | nodes) is Level.NOTE:
        return Level.NOTE
    return Level.NOTE if any(_beside_api_server(ctx, pod) for _, pod in losing.backends) else Level.WARNING


def _beside_api_server(ctx: Context, pod: Pod) -> bool:
    """Whether an API server may run on a pod's own node: that always gets through."""
    if not pod.node:
        return False
    node = ctx.cluster.get(NODE, ("", pod.node))
    if isinstance(node, Node) and any(label in node.labels for label in _CONTROL_PLANE):
        return True
    servers = ctx.select(ctx.compile_labels({"component": _API_SERVER}), {_SYSTEM})
    return any(server.node == pod.node for of in servers for server in of.pods.values())


def _ports(record: Record, losing: Losing) -> Iterator[int | None]:
    """The ports of a Service that the API server connects to for an object."""
    if isinstance(record, WebhookConfiguration):
        for webhook in record.webhooks:
            if webhook.service.key == losing.service.key:
                yield webhook.service.port or _PORT
    elif isinstance(record, APIService) and record.service is not None:
        yield record.service.port or _PORT


def _ports_behind(losing: Losing, records: list[Record]) -> str:
    """The ports of the pods behind them, as policies see them."""
    ports = NO_PORTS
    for port in {p for record in records for p in _ports(record, losing)}:
        for _, targets in losing.targets(port):
            ports = union(ports, targets)
    return describe_ports(ports)


def _kinds(ctx: Context, records: list[Record]) -> str:
    """``ValidatingWebhookConfiguration policies``: the name, too, where others' objects may be named."""
    if ctx.may_name_all((record.kind, "") for record in records):
        return enumerate_some([f"{record.kind.rpartition('/')[2]} {record.key[1]}" for record in records], 2)
    kinds = sorted({record.kind.rpartition("/")[2] for record in records})
    return " and ".join(("an " if kind[0] in "AEIOU" else "a ") + kind for kind in kinds)


def _consequence(records: list[Record]) -> str:
    if all(isinstance(record, APIService) for record in records):
        return "its API answers no more"
    policies = {w.failure_policy for r in records if isinstance(r, WebhookConfiguration) for w in r.webhooks}
    return "what it judges fails" if "Fail" in policies else "it is asked no more"


_CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: guard-0, namespace: guard, labels: {app: guard}}
spec: {containers: [{name: guard, ports: [{name: https, containerPort: 8443}]}]}
status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata: {name: guard, namespace: guard}
spec: {selector: {app: guard}, ports: [{port: 443, targetPort: https}]}
"""
_VALIDATING = """
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard}
webhooks:
  - name: guard.example.com
    clientConfig: {service: {name: guard, namespace: guard}}
    failurePolicy: FAIL
    sideEffects: None
    admissionReviewVersions: [v1]
"""
_WEBHOOK = _CLUSTER + _VALIDATING.replace("FAIL", "Fail")
_API = (
    _CLUSTER
    + """
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.guard.example.com}
spec:
  group: guard.example.com
  version: v1
  groupPriorityMinimum: 1000
  versionPriority: 10
  insecureSkipTLSVerify: true
  service: {name: guard, namespace: guard, port: 443}
"""
)
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guard, namespace: guard}
spec:
  podSelector: {matchLabels: {app: guard}}
  ingress: [RULE]
"""
_SAME_NAMESPACE = _POLICY.replace("RULE", "{from: [{podSelector: {}}]}")

CHECK = Check(
    id="cuts-webhook",
    level=Level.WARNING,
    summary="the API server no longer reaches an admission webhook or an aggregated API",
    rationale="The API server calls webhooks and aggregated APIs itself, from its own address or a node's: no selector "
    "matches it. A policy that lets in only pods makes a webhook with failurePolicy Fail refuse all that it is asked "
    "about, and one with Ignore miss it. From which address the control plane comes no object says: so it is a warning "
    "only where nothing outside the pods is let in and no API server runs on the pods' own node, and a note where only "
    "a part of the outside is.",
    remedy="Leave out `from` on the target port, or name the control plane's addresses in an ipBlock.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(NETWORK_POLICY, POD),
    bad=(
        Example(
            title="a policy of Cilium's lets the API server in, it may be: only noted",
            cluster=_WEBHOOK
            + """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api-server, namespace: guard}
spec: {endpointSelector: {}, ingress: [{fromEntities: [kube-apiserver]}]}
""",
            object=_SAME_NAMESPACE,
            says="CiliumNetworkPolicy api-server may decide otherwise",
            level=Level.NOTE,
        ),
        Example(
            title="only pods are let in",
            cluster=_WEBHOOK,
            object=_SAME_NAMESPACE,
            says="cuts the API server off Service guard: what it judges fails; let all in on TCP 8443 "
            "(ValidatingWebhookConfiguration guard sends it there",
        ),
        Example(
            title="an aggregated API",
            cluster=_API,
            object=_SAME_NAMESPACE,
            says="cuts the API server off Service guard: its API answers no more; let all in on TCP 8443 (APIService v1.guard.",
        ),
        Example(
            title="another port",
            cluster=_WEBHOOK,
            object=_POLICY.replace("RULE", "{ports: [{port: 9443}]}"),
            says="on TCP 8443",
        ),
        Example(
            title="some addresses: whether the control plane's are among them is not known",
            cluster=_WEBHOOK,
            object=_POLICY.replace("RULE", "{from: [{ipBlock: {cidr: 172.16.0.0/28}}]}"),
            says="may cut the API server off Service guard",
            level=Level.NOTE,
        ),
        Example(
            title="pods on a node of the control plane, which always gets through",
            cluster=_WEBHOOK.replace("spec: {containers", "spec: {nodeName: cp-1, containers")
            + """
---
apiVersion: v1
kind: Node
metadata: {name: cp-1, labels: {node-role.kubernetes.io/control-plane: ""}}
""",
            object=_SAME_NAMESPACE,
            says="may cut the API server off Service guard",
            level=Level.NOTE,
        ),
        Example(
            title="deny all: stated, so only noted",
            cluster=_WEBHOOK,
            object=_POLICY.replace("  ingress: [RULE]", "  policyTypes: [Ingress]"),
            says="may cut the API server off Service guard",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="everybody is let in on its port",
            cluster=_WEBHOOK,
            object=_POLICY.replace("RULE", "{ports: [{port: https}]}"),
        ),
        Example(
            title="another policy lets everybody in",
            cluster=_WEBHOOK
            + "---"
            + _POLICY.replace("RULE", "{ports: [{port: 8443}]}").replace("name: guard, n", "name: w, n"),
            object=_SAME_NAMESPACE,
        ),
        Example(title="no webhook", cluster=_CLUSTER, object=_SAME_NAMESPACE),
        Example(
            title="a webhook whose pods run on their node's network",
            cluster=_WEBHOOK.replace("spec: {containers", "spec: {hostNetwork: true, containers"),
            object=_SAME_NAMESPACE,
        ),
    ),
)
