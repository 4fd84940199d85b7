"""A namespaceSelector that matches no namespace; in ``check``, also a policy or Service for a namespace that is not."""

from collections.abc import Iterator
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, Operation, View
from webhook.evidence import of_near_namespace, of_pods_instead
from webhook.model.objects import NAME_LABEL, NAMESPACE, NetworkPolicy, NetworkPolicyPeer, Service
from webhook.model.selectors import Selector, contradiction, nearest

_ALWAYS_THERE: Final = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
"""The API server makes these itself (k8s.io/kubernetes pkg/controlplane SystemNamespaces)."""
_NEARLY: Final = "one has nearly that name"
_STEPS_OF_NEAREST: Final = 20
"""What it costs to compare two names."""


def run(ctx: Context) -> Iterator[Finding]:
    yield from _own_namespace(ctx)
    if not isinstance(ctx.judged, NetworkPolicy):
        return
    before: dict[str, NetworkPolicyPeer] = {}
    for path, peer in ctx.old.peers() if isinstance(ctx.old, NetworkPolicy) else ():
        ctx.spend()
        before[path] = peer
    for path, peer in ctx.judged.peers():
        ctx.spend()
        if peer.namespace_selector is None:
            continue
        selector = ctx.compile(peer.namespace_selector)
        if selector.empty or contradiction(selector, {NAME_LABEL: ""}):
            continue
        if ctx.namespaces_matching(selector):
            yield from _missing_names(ctx, f"{path}.namespaceSelector", selector)
        else:
            yield from _judge(ctx, f"{path}.namespaceSelector", selector, before.get(path))


def _own_namespace(ctx: Context) -> Iterator[Finding]:
    if ctx.view is not View.CHECK or ctx.namespace in _ALWAYS_THERE:
        return
    if ctx.cluster.namespace_exists(ctx.namespace) is False:
        message = f"namespace {ctx.namespace} is not there"
        near = nearest(ctx.namespace, ctx.cluster.namespace_names())
        remedy = f"write namespace: {near}" if near else "create it first"
        means = "the API server refuses this"
        yield Finding("metadata.namespace", message, remedy, value=ctx.namespace, means=means)


def _judge(ctx: Context, path: str, selector: Selector, before: NetworkPolicyPeer | None) -> Iterator[Finding]:
    what = _nowhere(selector)
    value = str(selector)
    if near := of_near_namespace(ctx, selector):
        yield Finding(f"{path}.{near.path}", what, near.remedy, value=value, means=near.seen)
        return
    if pods := of_pods_instead(ctx, selector):
        yield Finding(path, what, pods.remedy, value=value, means=pods.seen)
        return
    if before and before.namespace_selector is not None:
        was = ctx.compile(before.namespace_selector)
        if was != selector and ctx.namespaces_matching(was):
            yield Finding(path, what, "compare labels", value=value, means=f"the old {was} did")
            return
    if not ctx.cluster.complete(NAMESPACE):
        ctx.unknown.add("namespaces: not all are known, so a selector that matches none of the known was not judged")
        return
    names = [t for t in selector.terms if t.key == NAME_LABEL and t.operator == "In"]
    if ctx.view is View.CHECK and names:
        message = f"there is no namespace {', '.join(sorted(names[0].values))}"
        yield Finding(
            f"{path}.{names[0].path}", message, "create it, or mend the name", value=value, means=_effect(path)
        )
        return
    yield Finding(path, what, "compare labels", Level.NOTE, value)


def _nowhere(selector: Selector) -> str:
    """``no namespace has team=web``; ``there is no namespace web`` for the name label."""
    term = selector.terms[0]
    if len(selector.terms) == 1 and term.key == NAME_LABEL and term.operator == "In":
        return f"there is no namespace {' or '.join(sorted(term.values))}"
    return f"no namespace has {selector}"


def _effect(path: str) -> str:
    return "nobody gets in by it" if path.startswith("spec.ingress") else "nothing gets out by it"


def _missing_names(ctx: Context, path: str, selector: Selector) -> Iterator[Finding]:
    """Single names of a list of several of which some are there."""
    for term in selector.terms:
        if term.key != NAME_LABEL or term.operator != "In":
            continue
        for name in sorted(term.values):
            if ctx.cluster.namespace_exists(name) or (name in _ALWAYS_THERE):
                continue
            ctx.spend(len(term.values) + _STEPS_OF_NEAREST * len(ctx.cluster.keys(NAMESPACE)))
            near = nearest(name, set(ctx.cluster.namespace_names()) - term.values)
            message = f"there is no namespace {name}"
            if near and ctx.may_name(NAMESPACE, ""):
                yield Finding(f"{path}.{term.path}", message, f"write {near}", value=name)
            elif near:
                yield Finding(f"{path}.{term.path}", message, "look at its spelling", value=name, means=_NEARLY)
            elif ctx.cluster.complete(NAMESPACE):
                level = Level.WARNING if ctx.view is View.CHECK else Level.NOTE
                yield Finding(f"{path}.{term.path}", message, "create it, or remove the name", level, name)


_CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: monitoring, labels: {team: operations}}
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus-0, namespace: monitoring, labels: {app: prometheus}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: db, namespace: shop}}
spec:
  podSelector: {{}}
  ingress:
    - from:
        - namespaceSelector: {selector}
"""

CHECK = Check(
    id="namespace-not-found",
    level=Level.WARNING,
    summary="a namespaceSelector matches no namespace",
    rationale="A namespaceSelector matches labels of Namespaces, not their names, and nobody labels a Namespace `name: x` "
    "by default: such a peer lets in nobody. The one label that every Namespace has, and that always is its name, is "
    "`kubernetes.io/metadata.name` (KEP-2161).",
    remedy="Write `kubernetes.io/metadata.name: <name>`, or compare with `kubectl get ns --show-labels`.",
    run=run,
    judges=(NetworkPolicy.kind, Service.kind),
    operations=(Operation.CREATE, Operation.UPDATE),
    rests_on=(NAMESPACE,),
    bad=(
        Example(
            title="the label that nobody sets",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{matchLabels: {name: monitoring}}"),
            says="no namespace has name=monitoring; write kubernetes.io/metadata.name: monitoring",
        ),
        Example(
            title="a misspelt name",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{matchLabels: {kubernetes.io/metadata.name: monitorng}}"),
            says="there is no namespace monitorng; write monitoring",
        ),
        Example(
            title="a misspelt label",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{matchLabels: {team: operation}}"),
            says="no namespace has team=operation; write team: operations",
        ),
        Example(
            title="a label of pods",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{matchLabels: {app: prometheus}}"),
            says="no namespace has app=prometheus: 1 pod has it; write podSelector",
        ),
        Example(
            title="an update that loses its namespace",
            cluster=_CLUSTER,
            old=_POLICY.format(selector="{matchLabels: {team: operations}}"),
            object=_POLICY.format(selector="{matchLabels: {team: payments}}"),
            says="the old team=operations did",
        ),
        Example(
            title="a name that is not there, where all are known",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{matchLabels: {kubernetes.io/metadata.name: payments}}"),
            view=View.CHECK,
            says="there is no namespace payments",
        ),
        Example(
            title="one missing name of two",
            cluster=_CLUSTER,
            object=_POLICY.format(
                selector="{matchExpressions: [{key: kubernetes.io/metadata.name, operator: In,"
                " values: [monitoring, payments]}]}"
            ),
            view=View.CHECK,
            says="there is no namespace payments",
        ),
        Example(
            title="the object's own namespace",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{}").replace("namespace: shop", "namespace: shpo"),
            view=View.CHECK,
            says="write namespace: shop",
        ),
        Example(
            title="a namespace that may come later: a note",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{matchLabels: {kubernetes.io/metadata.name: payments}}"),
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="by name",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{matchLabels: {kubernetes.io/metadata.name: monitoring}}"),
        ),
        Example(
            title="by label",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{matchLabels: {team: operations}}"),
        ),
        Example(
            title="every namespace",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{}"),
        ),
        Example(
            title="not all namespaces are known",
            cluster=_CLUSTER,
            object=_POLICY.format(selector="{matchLabels: {kubernetes.io/metadata.name: payments}}"),
            view=View.CHECK,
            partial=True,
        ),
    ),
)
