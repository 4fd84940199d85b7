"""A selector whose terms contradict each other."""

from collections.abc import Iterator
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level
from webhook.model.objects import NAME_LABEL, LabelSelector, NetworkPolicy
from webhook.model.selectors import contradiction

_SHORT_TERM: Final = 12


def run(ctx: Context) -> Iterator[Finding]:
    yield from _judge(ctx, "spec.podSelector", "podSelector", ctx.policy.spec.pod_selector, Level.ERROR)
    for path, peer in ctx.policy.peers():
        ctx.spend()
        for word, selector in (("podSelector", peer.pod_selector), ("namespaceSelector", peer.namespace_selector)):
            yield from _judge(ctx, f"{path}.{word}", word, selector, Level.WARNING)


def _judge(ctx: Context, path: str, word: str, selector: LabelSelector | None, level: Level) -> Iterator[Finding]:
    if selector is None:
        return
    # Every Namespace has its name label, and nobody can remove it (KEP-2161): forbidding it forbids them all.
    always = {NAME_LABEL: ""} if word == "namespaceSelector" else {}
    compiled = ctx.compile(selector)
    ctx.spend(4 * len(compiled.terms))
    terms = contradiction(compiled, always)
    if not terms:
        return
    together = " and ".join(map(str, terms))
    seen = f"{word} {together} never match"
    consequence = "it selects nothing" if level is Level.ERROR else "it lets nobody in"
    if path.startswith("spec.egress"):
        consequence = "it lets nothing out"
    remedy = f"remove {terms[-1]}" if len(str(terms[-1])) <= _SHORT_TERM else "remove the last"
    if len(terms) == 1:
        seen, remedy = f"{terms[0]} matches no namespace, ever", "remove it"
    elif len(terms) > 2:
        remedy = "keep one of them"
    if all(t.operator == "In" for t in terms) and len(terms) > 1:
        values = sorted(frozenset().union(*(t.values for t in terms)))
        remedy = f"write {terms[0].key} In [{', '.join(values)}]"
    yield Finding(
        f"{path}.{terms[-1].path}", seen, remedy, level, together, detail=f"{consequence}, whatever is deployed"
    )


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {selector}
  policyTypes: [Ingress]
"""
_PEER = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {{}}
  ingress:
    - from:
        - {peer}
"""

CHECK = Check(
    id="selector-can-never-match",
    level=Level.ERROR,
    summary="a selector's terms contradict each other",
    rationale="The terms of a selector are ANDed. `app=web` together with `app in (api)` or with `!app` is accepted by "
    "the API server and matches no object that could ever exist.",
    remedy="Remove one of the terms. To match one value or another, write one matchExpressions entry with operator In.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="two values at once",
            object=_POLICY.format(
                selector="{matchLabels: {app: web}, matchExpressions: [{key: app, operator: In, values: [api]}]}"
            ),
            says="app In [api, web]",
        ),
        Example(
            title="present and absent at once",
            object=_POLICY.format(
                selector="{matchLabels: {app: web}, matchExpressions: [{key: app, operator: DoesNotExist}]}"
            ),
            says="app=web and !app",
        ),
        Example(
            title="every allowed value is refused",
            object=_POLICY.format(
                selector="{matchExpressions: [{key: env, operator: In, values: [a, b]},"
                " {key: env, operator: NotIn, values: [b, a]}]}"
            ),
            says="env in (a, b) and env notin (a, b)",
        ),
        Example(
            title="a peer",
            object=_PEER.format(
                peer="{podSelector: {matchLabels: {app: web},"
                " matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}"
            ),
            says="podSelector app=web and app!=web never match; remove app!=web (it lets nobody in, whatever is deployed)",
            level=Level.WARNING,
        ),
        Example(
            title="a namespace without its name label",
            object=_PEER.format(
                peer="{namespaceSelector: {matchExpressions:"
                " [{key: kubernetes.io/metadata.name, operator: DoesNotExist}]}}"
            ),
            says="!kubernetes.io/metadata.name matches no namespace, ever; remove it (it lets nobody in",
            level=Level.WARNING,
        ),
    ),
    good=(
        Example(
            title="one value or another",
            object=_POLICY.format(selector="{matchExpressions: [{key: app, operator: In, values: [web, api]}]}"),
        ),
        Example(
            title="one value of several refused",
            object=_POLICY.format(
                selector="{matchExpressions: [{key: app, operator: In, values: [web, api]},"
                " {key: app, operator: NotIn, values: [api]}, {key: tier, operator: DoesNotExist}]}"
            ),
        ),
        Example(
            title="not in, which an object without the key satisfies",
            object=_POLICY.format(
                selector="{matchExpressions: [{key: app, operator: NotIn, values: [web]},"
                " {key: app, operator: DoesNotExist}]}"
            ),
        ),
    ),
)
