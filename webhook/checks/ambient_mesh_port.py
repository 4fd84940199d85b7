"""A rule by ports for pods of an Istio ambient mesh, without the port on which the mesh's traffic comes in."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, View, count
from webhook.checks.peer_matches_nothing import peer_namespaces
from webhook.concerned import neighbours
from webhook.model.cluster import PodClass
from webhook.model.objects import NETWORK_POLICY, NetworkPolicy, NetworkPolicyRule
from webhook.other_policies import May, other_policies

_HBONE: Final = 15008
"""Where ztunnel takes the mesh's traffic in (istio.io/latest/docs/ambient/usage/networkpolicy)."""
_MODE: Final = "istio.io/dataplane-mode"
_SIDECAR_LABELS: Final = ("security.istio.io/tlsMode", "sidecar.istio.io/inject")
"""Istio's injection adds the first; with a sidecar a pod is not captured by ambient mode."""
_INJECTION: Final = ("istio-injection", "istio.io/rev")


def run(ctx: Context) -> Iterator[Finding]:
    if "Ingress" not in ctx.policy.directions:
        return
    captured = [c for c in ctx.selected if _in_mesh(ctx, c)]
    lacking = list(_lacking(ctx)) if captured else ()
    if not lacking:
        return
    let_in = _let_in(ctx, captured)
    if let_in is None:
        return
    question = "whether the mesh's traffic is let in"
    doubt = other_policies(ctx).doubt(captured, "Ingress", May.ALLOW, "may let it in", question)
    level = Level.NOTE if doubt else Level.WARNING
    if not ctx.cluster.complete(NETWORK_POLICY):
        level = Level.NOTE
        ctx.unknown.add("policies: not all are known, so whether another lets the mesh's traffic in was not judged")
    pods = sum(len(c.pods) for c in captured)
    number, noun = (pods, "pod") if pods else (sum(len(c.templates) for c in captured), "pod template")
    who = f"its {noun} is" if number == 1 else f"its {count(number, noun)} are"
    for path, rule in lacking:
        if _cuts(ctx, rule, let_in):
            yield Finding(
                f"{path}.ports",
                f"Istio's ambient mesh delivers to TCP {_HBONE}",
                f"add port {_HBONE}",
                level,
                _ports(rule),
                means=doubt or "this rule lets none in",
                detail=f"{who} in the mesh: what comes from within it comes to that port, whatever the client asked for",
            )


def _lacking(ctx: Context) -> Iterator[tuple[str, NetworkPolicyRule]]:
    """The rules by ports, with their paths, that leave the mesh's out."""
    for path, rule in ctx.policy.rules():
        ctx.spend(1 + len(rule.ports))
        if path.startswith("spec.ingress") and any(p.protocol == "TCP" for p in rule.ports) and not _admits(rule):
            yield path, rule


def _in_mesh(ctx: Context, pod_class: PodClass) -> bool:
    """Whether these pods are captured by ambient mode: by their own label, or else by their namespace's.

    Source: istio.io/latest/docs/ambient/usage/add-workloads; istio cni/pkg/util podutil.go.
    """
    ctx.spend(2)
    labels = pod_class.labels
    mode = labels.get(_MODE)
    if mode is None:
        namespace = ctx.cluster.namespace(pod_class.namespace)
        if namespace is None or namespace.labels.get(_MODE) != "ambient":
            return False
        # With injection as well, it depends on the pod which of both comes about.
        if any(namespace.labels.get(key, "disabled") != "disabled" for key in _INJECTION):
            return False
    elif mode != "ambient":
        return False
    if any(labels.get(key, "false") != "false" for key in _SIDECAR_LABELS):
        return False
    ctx.spend(len(pod_class.pods) + len(pod_class.templates))
    own_network = any(not p.host_network for p in pod_class.pods.values())
    return own_network or any(not t.host_network for t in pod_class.templates.values())


def _admits(rule: NetworkPolicyRule) -> bool:
    """Whether a rule's ports have the mesh's."""
    return not rule.ports or any(
        e.protocol == "TCP"
        and (e.port is None or (isinstance(e.port, int) and e.port <= _HBONE <= (e.end_port or e.port)))
        for e in rule.ports
    )


def _let_in(ctx: Context, captured: Collection[PodClass]) -> Collection[PodClass] | None:
    """Who is let in to the mesh's port by the policies that isolate these pods; None where it is everyone."""
    found: set[PodClass] = set()
    for policy in (ctx.policy, *neighbours(ctx)):
        rules = [r for r in policy.spec.ingress if _admits(r)]
        ctx.spend(1 + len(policy.spec.ingress))
        if not rules or not _isolates(ctx, policy, captured):
            continue
        for rule in rules:
            clients = _clients(ctx, rule)
            if clients is None:
                return None
            found.update(clients)
    return found


def _isolates(ctx: Context, policy: NetworkPolicy, captured: Collection[PodClass]) -> bool:
    if "Ingress" not in policy.directions:
        return False
    selector = ctx.compile(policy.spec.pod_selector)
    ctx.spend(len(captured) * (1 + len(selector.terms)))
    return all(c.matched_by(selector) for c in captured)


def _clients(ctx: Context, rule: NetworkPolicyRule) -> Sequence[PodClass] | None:
    """The pods that a rule lets in by selectors; None where it is every pod."""
    found: list[PodClass] = []
    for peer in rule.peers:
        ctx.spend()
        if peer.ip_block is not None:
            continue  # the mesh's traffic comes from pods
        pods = ctx.compile(peer.pod_selector)
        if pods.empty and peer.namespace_selector is not None and ctx.compile(peer.namespace_selector).empty:
            return None
        found += ctx.select(pods, peer_namespaces(ctx, peer))
    return found if rule.peers else None


def _cuts(ctx: Context, rule: NetworkPolicyRule, let_in: Collection[PodClass]) -> bool:
    """Whether some client within the mesh loses its way: one that this rule lets in and none lets in to the mesh's."""
    clients = _clients(ctx, rule)
    if clients is None:
        return not let_in  # meant for everyone; then whom a rule for the mesh's port names are those who need it
    return any(c not in let_in and _in_mesh(ctx, c) for c in clients)


def _ports(rule: NetworkPolicyRule) -> str:
    return ",".join(f"{e.protocol} {e.port}" for e in rule.ports[:8])


_CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus-0, namespace: monitoring, labels: {app: prometheus}}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  podSelector: {selector}
  ingress: [{{{rule}}}]
"""
_WEB = "from: [{podSelector: {matchLabels: {app: web}}}], "


def _policy(rule: str, selector: str = "{matchLabels: {app: api}}", name: str = "api") -> str:
    return _POLICY.format(rule=rule, selector=selector, name=name)


CHECK = Check(
    id="ambient-mesh-port",
    level=Level.WARNING,
    summary="a rule for pods of an Istio ambient mesh leaves out port 15008, on which the mesh's traffic comes in",
    rationale="Between pods of an ambient mesh (label istio.io/dataplane-mode: ambient on the namespace or the pod) "
    "ztunnel carries all TCP through a tunnel to port 15008; only within the pod it is passed on to the port that was "
    "asked for. A NetworkPolicy is enforced outside the pod and sees 15008: a rule for port 8080 alone cuts everything "
    "that comes from within the mesh (istio.io/latest/docs/ambient/usage/networkpolicy). Clients outside the mesh still "
    "come to 8080.",
    remedy="Add port 15008 (TCP) to the rule, beside the port of the application.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(NETWORK_POLICY,),
    bad=(
        Example(
            title="a policy of Cilium's lets the mesh's traffic in, it may be: only noted",
            cluster=_CLUSTER
            + """
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: mesh}
spec: {endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "15008", protocol: TCP}]}]}]}
""",
            object=_policy("ports: [{port: 8080}]"),
            says="CiliumClusterwideNetworkPolicy mesh may let it in",
            level=Level.NOTE,
        ),
        Example(
            title="only the application's port",
            cluster=_CLUSTER,
            object=_policy("ports: [{port: 8080}]"),
            says="Istio's ambient mesh delivers to TCP 15008: this rule lets none in; add port 15008",
        ),
        Example(
            title="a client within the mesh",
            cluster=_CLUSTER,
            object=_policy(_WEB + "ports: [{port: 8080}]"),
            view=View.CHECK,
            says="add port 15008",
        ),
        Example(
            title="another policy lets the mesh's traffic in, but from others",
            cluster=_CLUSTER
            + "---"
            + _policy("from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 15008}]", "{}", "mesh"),
            object=_policy(_WEB + "ports: [{port: 8080}]"),
        ),
        Example(
            title="not all policies are known: a note",
            cluster=_CLUSTER,
            object=_policy("ports: [{port: 8080}]"),
            level=Level.NOTE,
            partial=True,
        ),
    ),
    good=(
        Example(title="both ports", cluster=_CLUSTER, object=_policy(_WEB + "ports: [{port: 8080}, {port: 15008}]")),
        Example(
            title="another policy lets the mesh's traffic in",
            cluster=_CLUSTER + "---" + _policy("ports: [{port: 15008}]", "{}", "mesh"),
            object=_policy(_WEB + "ports: [{port: 8080}]"),
        ),
        Example(title="all ports", cluster=_CLUSTER, object=_policy("from: [{podSelector: {}}]")),
        Example(
            title="clients outside the mesh",
            cluster=_CLUSTER,
            object=_policy(
                "from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}, "
                "{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 8080}]"
            ),
        ),
        Example(
            title="a pod that keeps out of the mesh",
            cluster=_CLUSTER.replace("{app: api}", "{app: api, istio.io/dataplane-mode: none}"),
            object=_policy("ports: [{port: 8080}]"),
        ),
        Example(
            title="UDP, which the mesh leaves alone",
            cluster=_CLUSTER,
            object=_policy("ports: [{port: 53, protocol: UDP}]"),
        ),
    ),
)
