"""A podSelector that matches no pod and no template."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.evidence import nothing_selected, slip_in_selector
from webhook.model.objects import POD, WORKLOADS, NetworkPolicy


def run(ctx: Context) -> Iterator[Finding]:
    selector = ctx.compile(ctx.policy.spec.pod_selector)
    if ctx.select(selector, {ctx.namespace}):
        return
    if selector.empty:
        if ctx.cluster.pods_known:
            message = f"namespace {ctx.namespace} has no pod yet"
            yield Finding("spec.podSelector", message, level=Level.NOTE, means="the policy waits for the first one")
        return
    if slip := slip_in_selector(ctx, selector, "spec.podSelector"):
        yield slip
    elif isinstance(ctx.old, NetworkPolicy) and selected_before(ctx, ctx.old):
        yield Finding(
            "spec.podSelector",
            f"podSelector {selector} matches no pod",
            "compare labels",
            value=str(selector),
            means="isolates nothing",
            detail="those that it selected until now are no longer isolated by it",
        )
    elif nothing := nothing_selected(ctx, selector, "spec.podSelector", "isolates nothing"):
        yield nothing


def selected_before(ctx: Context, old: NetworkPolicy) -> bool:
    before = ctx.compile(old.spec.pod_selector)
    return not before.empty and bool(ctx.select(before, {ctx.namespace}))


_PODS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api, tier: back}}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: {namespace}}}
spec:
  podSelector: {{matchLabels: {{{labels}}}}}
  policyTypes: [Ingress]
"""
_LABELLED = _POLICY.replace("metadata: {{", "metadata: {{labels: {{app.kubernetes.io/managed-by: Helm}}, ")

CHECK = Check(
    id="selector-matches-nothing",
    level=Level.WARNING,
    summary="podSelector matches no pod and no pod template",
    rationale="A NetworkPolicy isolates only the pods that its podSelector matches in its own namespace. The API server "
    "accepts a selector with a misspelt label, or a policy that landed in the wrong namespace, without a word, and every "
    "pod stays open. While a chart is being installed, policies arrive before their pods: so on CREATE this needs "
    "evidence of a mistake, and so does an UPDATE that leaves the spec alone, or the selector of what Helm rendered.",
    remedy="Compare the selector with the labels of the pods (kubectl get pods --show-labels) and the policy's namespace "
    "with theirs.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(POD, *WORKLOADS),
    bad=(
        Example(
            title="a misspelt value",
            cluster=_PODS,
            object=_POLICY.format(namespace="shop", labels="app: apj"),
            says="podSelector app=apj matches no pod: 1 pod has app=api; write app: api",
        ),
        Example(
            title="the right value under the wrong key",
            cluster=_PODS,
            object=_POLICY.format(namespace="shop", labels="name: api"),
            says="write app: api",
        ),
        Example(
            title="applied without -n",
            cluster=_PODS,
            object=_POLICY.format(namespace="default", labels="app: api"),
            says="podSelector app=api: no pod here, 1 in namespace shop; use -n shop",
        ),
        Example(
            title="an update that loses its pods",
            cluster=_PODS,
            old=_POLICY.format(namespace="shop", labels="app: api"),
            object=_POLICY.format(namespace="shop", labels="app: storefront"),
            says="matches no pod: isolates nothing; compare labels (those that it selected",
        ),
        Example(
            title="a complete state in which nothing matches",
            cluster=_PODS,
            object=_POLICY.format(namespace="shop", labels="app: storefront"),
            view=View.CHECK,
            says="isolates nothing",
        ),
        Example(
            title="an update of its rules, while it matches nothing",
            cluster=_PODS,
            old=_POLICY.format(namespace="shop", labels="app: storefront"),
            object=_POLICY.format(namespace="shop", labels="app: storefront").replace("[Ingress]", "[Ingress, Egress]"),
            says="isolates nothing",
        ),
        Example(
            title="an update of its labels alone, while it matches nothing: a note",
            cluster=_PODS,
            old=_POLICY.format(namespace="shop", labels="app: storefront"),
            object=_LABELLED.format(namespace="shop", labels="app: storefront"),
            level=Level.NOTE,
        ),
        Example(
            title="Helm updates the rules of what a hook left behind: a note",
            cluster=_PODS,
            old=_LABELLED.format(namespace="shop", labels="app: migration"),
            object=_LABELLED.format(namespace="shop", labels="app: migration").replace(
                "[Ingress]", "[Ingress, Egress]"
            ),
            level=Level.NOTE,
        ),
        Example(
            title="sent before its pods: a note, judged again later",
            cluster=_PODS,
            object=_POLICY.format(namespace="shop", labels="app: storefront"),
            level=Level.NOTE,
        ),
        Example(
            title="every pod of a namespace that has none yet",
            object="""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec: {podSelector: {}}
""",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="the first thing in a namespace of its own, with a label that others use as well",
            cluster=_PODS
            + """
---
apiVersion: v1
kind: Namespace
metadata: {name: bakery}
""",
            object=_POLICY.format(namespace="bakery", labels="app: api"),
        ),
        Example(
            title="a pod matches",
            cluster=_PODS,
            object=_POLICY.format(namespace="shop", labels="app: api, tier: back"),
        ),
        Example(
            title="only the template matches: its pods are yet to come",
            cluster="""
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: pg, namespace: shop}
spec: {template: {metadata: {labels: {app: pg}}}}
""",
            object=_POLICY.format(namespace="shop", labels="app: pg, statefulset.kubernetes.io/pod-name: pg-0"),
        ),
        Example(
            title="not all pods are known",
            cluster=_PODS,
            object=_POLICY.format(namespace="shop", labels="app: storefront"),
            view=View.CHECK,
            partial=True,
        ),
    ),
)
