"""Policies of administrators that are about the same pods: what this policy says is not the last word."""

from collections.abc import Iterator, Sequence

from webhook.check import Check, Context, Example, Finding, Level, count, enumerate_some
from webhook.concerned import selected_classes
from webhook.model.cluster import PodClass
from webhook.model.objects import ADMIN_POLICIES, AdminPolicy, NetworkPolicy


def run(ctx: Context) -> Iterator[Finding]:
    policies = [
        policy
        for kind in ADMIN_POLICIES
        for key in ctx.cluster.keys(kind)
        if isinstance(policy := ctx.cluster.get(kind, key), AdminPolicy)
    ]
    if not policies:
        return
    classes = selected_classes(ctx, ctx.policy)
    concerned = [policy for policy in policies if _is_about(ctx, policy, classes)]
    carried_out, engine = ctx.enforcement.admin_policies, ctx.enforcement.engine
    for tier in ("Admin", "Baseline"):
        of_tier = [policy for policy in concerned if policy.tier == tier]
        ignored = [policy for policy in of_tier if carried_out.get(policy.kind) is False]
        read = [policy for policy in of_tier if policy not in ignored]
        if ignored:
            them = "it" if len(ignored) == 1 else "them"
            yield _finding(ctx, ignored, f"{engine} does not carry {them} out")
        if read:
            means = "this policy ends that"
            if tier == "Admin":
                means = "it decides first" if len(read) == 1 else "they decide first"
            unsure = not all(carried_out.get(policy.kind) for policy in read)
            yield _finding(ctx, read, means, "if the network plug-in knows such" if unsure else "")


def _finding(ctx: Context, policies: Sequence[AdminPolicy], means: str, unsure: str = "") -> Finding:
    who = count(len(policies), "policy", "policies") + " of administrators"
    named = ""
    if ctx.may_name_others:
        names = [f"{policy.kind.rpartition('/')[2]} {policy.name}" for policy in policies]
        who, named = (names[0], "") if len(names) == 1 else (who, enumerate_some(names, 5))
    return Finding(
        "spec.podSelector",
        f"{who} {'selects' if len(policies) == 1 else 'select'} its pods, too",
        value=",".join(sorted(policy.name for policy in policies)),
        means=means,
        detail=", ".join(filter(None, (named, unsure))),
    )


def _is_about(ctx: Context, policy: AdminPolicy, classes: Sequence[PodClass]) -> bool:
    """Whether its subject has any of these pods among it."""
    namespace = ctx.cluster.namespace(ctx.namespace)
    if policy.subject.namespaces is None or namespace is None:
        return False
    if not ctx.compile(policy.subject.namespaces).matches(namespace.labels):
        return False
    if policy.subject.pods is None:
        return True
    pods = ctx.compile(policy.subject.pods)
    ctx.spend(len(classes) * (1 + len(pods.terms)))
    return any(c.matched_by(pods) for c in classes)


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
_CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
status: {phase: Running}
"""


def _admin(subject: str, name: str = "isolate-tenants") -> str:
    return f"""
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {{name: {name}}}
spec:
  priority: 10
  subject: {subject}
  ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]
"""


_BASELINE = """
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: default-deny}
spec:
  tier: Baseline
  priority: 10
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
"""
_OVN = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ovnkube-node, namespace: ovn-kubernetes}
spec:
  template:
    metadata: {labels: {app: ovnkube-node}}
    spec: {hostNetwork: true, containers: [{name: ovnkube-controller, image: 'ghcr.io/ovn-kubernetes/ovn-kube-ubuntu:master'}]}
"""
_KUBE_ROUTER = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-router, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: kube-router}}
    spec: {hostNetwork: true, containers: [{name: kube-router, image: 'cloudnativelabs/kube-router:v2.6.1'}]}
"""

CHECK = Check(
    id="other-policy-apis",
    level=Level.NOTE,
    summary="policies of administrators are about the same pods",
    rationale="AdminNetworkPolicy and ClusterNetworkPolicy of the tier Admin decide before a NetworkPolicy; "
    "BaselineAdminNetworkPolicy and the tier Baseline decide only for pods that no NetworkPolicy selects, so one more "
    "NetworkPolicy ends what they say of its pods (network-policy-api.sigs.k8s.io). Not every engine carries them out. "
    "What a check predicts is by NetworkPolicy alone.",
    remedy="Ask whoever administers the cluster; `kubectl get adminnetworkpolicies,clusternetworkpolicies` lists them.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="a policy of the tier Admin for the namespace",
            cluster=_CLUSTER + _admin("{namespaces: {matchLabels: {team: shop}}}") + _OVN,
            object=_POLICY,
            says="AdminNetworkPolicy isolate-tenants selects its pods, too: it decides first",
        ),
        Example(
            title="two, by labels of pods, and an engine that is not known",
            cluster=_CLUSTER
            + _admin("{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}")
            + _admin("{namespaces: {}}", "b"),
            object=_POLICY,
            says="2 policies of administrators select its pods, too: they decide first (AdminNetworkPolicy isolate-tenants, "
            "AdminNetworkPolicy b, if the network plug-in knows such)",
        ),
        Example(
            title="a baseline, which this policy ends for its pods",
            cluster=_CLUSTER + _BASELINE,
            object=_POLICY,
            says="ClusterNetworkPolicy default-deny selects its pods, too: this policy ends that",
        ),
        Example(
            title="an engine that carries none of them out",
            cluster=_CLUSTER + _admin("{namespaces: {}}") + _KUBE_ROUTER,
            object=_POLICY,
            says="AdminNetworkPolicy isolate-tenants selects its pods, too: kube-router does not carry it out",
        ),
    ),
    good=(
        Example(title="there are none", cluster=_CLUSTER, object=_POLICY),
        Example(
            title="it is about other namespaces",
            cluster=_CLUSTER + _admin("{namespaces: {matchLabels: {team: ops}}}"),
            object=_POLICY,
        ),
        Example(
            title="it is about other pods",
            cluster=_CLUSTER + _admin("{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}"),
            object=_POLICY,
        ),
    ),
)
