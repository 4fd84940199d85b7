"""A from/to selector that matches no pod, though the namespaces it looks in exist."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, View, count
from webhook.evidence import failing_term, of_another_namespace, of_misspelling
from webhook.model.objects import NAME_LABEL, NAMESPACE, POD, WORKLOADS, NetworkPolicy, NetworkPolicyPeer
from webhook.model.selectors import Selector, Term

_MANY_NAMESPACES: Final = 4
"""So many are counted, not named."""


def run(ctx: Context) -> Iterator[Finding]:
    before = peers_before(ctx)
    for path, peer in ctx.policy.peers():
        ctx.spend()
        if peer.pod_selector is None:
            continue
        selector = ctx.compile(peer.pod_selector)
        if selector.empty:
            continue
        namespaces = peer_namespaces(ctx, peer)
        # A namespaceSelector that matches none is namespace-not-found's to tell.
        if namespaces and not ctx.select(selector, namespaces):
            yield from _judge(ctx, path, peer, selector, namespaces, before.get(path))


def peers_before(ctx: Context) -> Mapping[str, NetworkPolicyPeer]:
    """The peers of the policy as it was, by their paths; none where there was none."""
    found: dict[str, NetworkPolicyPeer] = {}
    for path, peer in ctx.old.peers() if isinstance(ctx.old, NetworkPolicy) else ():
        ctx.spend()
        found[path] = peer
    return found


def peer_namespaces(ctx: Context, peer: NetworkPolicyPeer) -> Collection[str]:
    """The namespaces in which a peer looks for pods: the policy's own where it has no namespaceSelector."""
    if peer.namespace_selector is None:
        return {ctx.namespace}
    return {n.name for n in ctx.namespaces_matching(ctx.compile(peer.namespace_selector))}


def _judge(
    ctx: Context,
    path: str,
    peer: NetworkPolicyPeer,
    selector: Selector,
    namespaces: Collection[str],
    before: NetworkPolicyPeer | None,
) -> Iterator[Finding]:
    at = f"{path}.podSelector"
    word = path.rpartition(".")[2].partition("[")[0]
    if namespaces == {ctx.namespace}:
        where = ""
    else:
        many = count(len(namespaces), "namespace")
        told = ctx.name_namespaces(namespaces, POD) if len(namespaces) < _MANY_NAMESPACES else many
        where = f" in {told.removeprefix('namespace ')}"
    if term := _label_of_namespaces(selector):
        yield Finding(f"{at}.{term.path}", f"pods lack {NAME_LABEL}", "write namespaceSelector", value=str(selector))
        return
    what = f"{word} {selector} matches no pod{where}"
    if near := of_misspelling(ctx, selector, namespaces):
        yield Finding(f"{at}.{near.path}", what, near.remedy, value=str(selector), means=near.seen)
        return
    # With a namespaceSelector beside it the author said where to look; alike pods elsewhere prove nothing then.
    if peer.namespace_selector is None and (elsewhere := of_another_namespace(ctx, selector, namespaces)):
        remedy = f"add namespace {elsewhere.namespace}" if elsewhere.namespace else "add a namespaceSelector"
        yield Finding(at, f"{what} here", remedy, value=str(selector), means=elsewhere.seen)
        return
    if before and before != peer and before.pod_selector is not None:
        was = ctx.compile(before.pod_selector)
        if not was.empty and ctx.select(was, peer_namespaces(ctx, before)):
            yield Finding(at, what, "compare labels", value=str(selector), means=f"the old {was} did")
            return
    if not ctx.cluster.complete(POD, *WORKLOADS, NAMESPACE):
        ctx.unknown.add("pods: not all are known, so a peer that matches none of the known ones was not judged")
        return
    failing = failing_term(ctx, selector, namespaces)
    yield Finding(at, what, "compare labels", Level.NOTE, str(selector), means=failing)


def _label_of_namespaces(selector: Selector) -> Term | None:
    """The term by the label that every Namespace has, and no pod: meant is a namespaceSelector."""
    return next((t for t in selector.terms if t.key == NAME_LABEL and t.operator == "In"), None)


_CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: monitoring, labels: {team: ops}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: frontend}}
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus-0, namespace: monitoring, labels: {app: prometheus}}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: db, namespace: shop{more}}}
spec:
  podSelector: {{matchLabels: {{app: db}}}}
  ingress:
    - from:
        - {peer}
"""


def _policy(peer: str, more: str = "") -> str:
    return _POLICY.format(peer=peer, more=more)


CHECK = Check(
    id="peer-matches-nothing",
    level=Level.WARNING,
    summary="a from/to selector matches no pod where it looks",
    rationale="A peer with only a podSelector looks in the policy's own namespace, one with a namespaceSelector in the "
    "namespaces that it matches. A misspelt label or a forgotten namespaceSelector lets in nobody. Clients that carry "
    "an opt-in label often come later, so without evidence of a mistake this is a note.",
    remedy="Compare the peer with the labels of the pods that shall connect; for pods of another namespace put a "
    "namespaceSelector beside the podSelector, in the same list item.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(POD, *WORKLOADS, NAMESPACE),
    bad=(
        Example(
            title="a misspelt label",
            cluster=_CLUSTER,
            object=_policy("{podSelector: {matchLabels: {app: fronted}}}"),
            says="from app=fronted matches no pod: 1 pod has app=frontend; write app: frontend",
        ),
        Example(
            title="pods of another namespace, without a namespaceSelector",
            cluster=_CLUSTER,
            object=_policy("{podSelector: {matchLabels: {app: prometheus}}}"),
            says="from app=prometheus matches no pod here: 1 in namespace monitoring; add namespace monitoring",
        ),
        Example(
            title="a namespace's label",
            cluster=_CLUSTER,
            object=_policy("{podSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}"),
            says="pods lack kubernetes.io/metadata.name; write namespaceSelector",
        ),
        Example(
            title="a misspelt label in another namespace",
            cluster=_CLUSTER,
            object=_policy(
                "{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchLabels: {app: promethues}}}"
            ),
            says="from app=promethues matches no pod in monitoring: 1 pod has app=prometheus",
        ),
        Example(
            title="an update that loses its clients",
            cluster=_CLUSTER,
            old=_policy("{podSelector: {matchLabels: {app: frontend}}}"),
            object=_policy("{podSelector: {matchLabels: {role: client}}}"),
            says="the old app=frontend did",
        ),
        Example(
            title="opt-in clients that may come later: a note",
            cluster=_CLUSTER,
            object=_policy("{podSelector: {matchLabels: {db-client: 'true'}}}"),
            view=View.CHECK,
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="the pods are there",
            cluster=_CLUSTER,
            object=_policy("{podSelector: {matchLabels: {app: frontend}}}"),
        ),
        Example(
            title="all pods of a namespace",
            cluster=_CLUSTER,
            object=_policy("{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {}}"),
        ),
        Example(
            title="not all pods are known",
            cluster=_CLUSTER,
            object=_policy("{podSelector: {matchLabels: {db-client: 'true'}}}"),
            view=View.CHECK,
            partial=True,
        ),
    ),
)
