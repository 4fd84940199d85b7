"""Policies of other APIs that are about the same pods: what this policy says is not the last word."""

from collections.abc import Collection, Iterator, Sequence

from webhook.check import Check, Context, Example, Finding, Level, count, enumerate_some
from webhook.enforcement.own_policies import ENGINES
from webhook.model.cluster import PodClass
from webhook.model.objects import ADMIN_POLICIES, AdminPolicy, EnginePolicy, NetworkPolicy
from webhook.other_policies import May, other_policies, plural


def run(ctx: Context) -> Iterator[Finding]:
    yield from _of_administrators(ctx)
    yield from _of_engines(ctx)


def _of_engines(ctx: Context) -> Iterator[Finding]:
    """One statement for each engine, and what its policies may do to the pods in the directions of this one."""
    others = other_policies(ctx)
    if others.unread:
        ctx.unknown.add(f"{plural(others.unread)}: not all are known, so what they let through is not")
    if not others.any:
        return
    classes, directions = ctx.selected, ctx.policy.directions
    found: dict[str, list[EnginePolicy]] = {}
    for policy in others.about_any(classes, directions):
        found.setdefault(ENGINES[policy.kind], []).append(policy)
    may = {effect: others.about_any(classes, directions, effect) for effect in (May.ALLOW, May.DENY)}
    carried_out = ctx.enforcement.engine_policies
    for engine, policies in found.items():
        verb = "selects" if len(policies) == 1 else "select"
        if not all(others.surely_about(policy, classes) for policy in policies):
            verb = "may select"
        means = _means({effect for effect, doing in may.items() if any(p in doing for p in policies)}, len(policies))
        unsure = "" if all(carried_out.get(policy.kind) for policy in policies) else f"if {engine} runs here"
        seen = f"{others.name(policies)} {verb} its pods, too"
        names = ",".join(sorted("/".join(policy.key) for policy in policies))
        yield Finding("spec.podSelector", seen, value=f"{engine} {names}", means=means, detail=unsure)


def _means(may: Collection[May], number: int) -> str:
    """What other policies may make of what this one says."""
    if May.ALLOW in may:
        return "may let more through, or less" if May.DENY in may else "may let more through"
    if May.DENY in may:
        return "may let less through"
    return f"{'closes' if number == 1 else 'close'} them without it, too"


def _of_administrators(ctx: Context) -> Iterator[Finding]:
    policies = [
        policy
        for kind in ADMIN_POLICIES
        for key in ctx.cluster.keys(kind)
        if isinstance(policy := ctx.cluster.get(kind, key), AdminPolicy)
    ]
    if not policies:
        return
    classes = ctx.selected
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
    if ctx.may_name_all((policy.kind, "") for policy in policies):
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

_CILIUM = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: cilium}}
    spec: {hostNetwork: true, containers: [{name: cilium-agent, image: 'quay.io/cilium/cilium:v1.19.1'}]}
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
_ANTREA = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: antrea-agent, namespace: kube-system}
spec:
  template:
    metadata: {labels: {component: antrea-agent}}
    spec: {hostNetwork: true, containers: [{name: antrea-agent, image: 'antrea/antrea-agent-ubuntu:v2.4.0'}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: antrea-controller, namespace: kube-system}
spec:
  template:
    metadata: {labels: {component: antrea-controller}}
    spec: {hostNetwork: true, containers: [{name: antrea-controller, image: 'antrea/antrea-controller-ubuntu:v2.4.0'}]}
"""


def _cilium(rules: str, selector: str = "{matchLabels: {app: api}}") -> str:
    return f"""
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: http, namespace: shop}}
spec: {{endpointSelector: {selector}, {rules}}}
"""


def _calico(spec: str) -> str:
    return f"""
---
apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkPolicy
metadata: {{name: default.guard}}
spec: {{{spec}}}
"""


def _antrea(spec: str) -> str:
    return f"""
---
apiVersion: crd.antrea.io/v1beta1
kind: ClusterNetworkPolicy
metadata: {{name: guard}}
spec: {{priority: 5, {spec}}}
"""


CHECK = Check(
    id="other-policy-apis",
    level=Level.NOTE,
    summary="policies of other APIs are about the same pods",
    rationale="AdminNetworkPolicy and ClusterNetworkPolicy of the tier Admin decide before a NetworkPolicy; "
    "BaselineAdminNetworkPolicy and the tier Baseline decide only for pods that no NetworkPolicy selects, so one more "
    "NetworkPolicy ends what they say of its pods (network-policy-api.sigs.k8s.io). Not every engine carries them out. "
    "Three engines have policies of their own. Cilium joins them with NetworkPolicies: what either allows passes, but for "
    "what a deny rule is about, and a pod that one selects is closed without any NetworkPolicy. Calico goes by tier and "
    "order, NetworkPolicies at 1000 in the tier default: an Allow lets more through, a Deny less if it comes before, and "
    "another tier may end with a denial. Antrea's tiers decide before NetworkPolicies, but for the tier baseline, which is "
    "about pods alone that none selects. Of pods that such a policy may be about nothing is certain: what other checks "
    "conclude from NetworkPolicies alone (dns-blocked, cuts-*, opens-on-removal, service-reachable-by-nobody) is a note "
    "then, with that reason.",
    remedy="Ask whoever administers the cluster; `kubectl get adminnetworkpolicies,clusternetworkpolicies` lists them, and "
    "so do `ciliumnetworkpolicies,ciliumclusterwidenetworkpolicies`, `networkpolicies.crd.projectcalico.org,"
    "globalnetworkpolicies.crd.projectcalico.org` and `networkpolicies.crd.antrea.io,clusternetworkpolicies.crd.antrea.io`.",
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
        Example(
            title="a policy of Cilium's, which it joins with this one",
            cluster=_CLUSTER + _cilium("ingress: [{fromEndpoints: [{matchLabels: {app: admin}}]}]") + _CILIUM,
            object=_POLICY,
            says="CiliumNetworkPolicy http selects its pods, too: may let more through",
        ),
        Example(
            title="a policy of Cilium's that denies, and is told by whose ServiceAccount the pods run under",
            cluster=_CLUSTER
            + _cilium(
                "ingressDeny: [{fromEntities: [world]}]",
                "{matchLabels: {'k8s:app': api, io.cilium.k8s.policy.serviceaccount: api}}",
            )
            + _CILIUM,
            object=_POLICY,
            says="CiliumNetworkPolicy http may select its pods, too: may let less through",
        ),
        Example(
            title="a global policy of Calico's that comes before NetworkPolicies",
            cluster=_CLUSTER
            + _calico(
                """order: 10, selector: app == "api", types: [Ingress], ingress: [{action: Allow}, {action: Deny}]"""
            )
            + _CALICO,
            object=_POLICY,
            says="Calico GlobalNetworkPolicy default.guard selects its pods, too: may let more through, or less",
        ),
        Example(
            title="one that comes after, and only isolates",
            cluster=_CLUSTER
            + _calico("""order: 2000, namespaceSelector: has(team), types: [Ingress, Egress]""")
            + _CALICO,
            object=_POLICY,
            says="Calico GlobalNetworkPolicy default.guard selects its pods, too: closes them without it, too",
        ),
        Example(
            title="a tier of Antrea's before NetworkPolicies",
            cluster=_CLUSTER
            + _antrea("tier: securityops, appliedTo: [{namespaceSelector: {}}], ingress: [{action: Drop}]")
            + _ANTREA,
            object=_POLICY,
            says="Antrea ClusterNetworkPolicy guard selects its pods, too: may let less through",
        ),
        Example(
            title="nobody knows whether Cilium runs here",
            cluster=_CLUSTER + _cilium("ingress: [{fromEntities: [cluster]}]"),
            object=_POLICY,
            says="CiliumNetworkPolicy http selects its pods, too: may let more through (if Cilium runs here)",
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
        Example(
            title="a policy of Cilium's about other pods, and one about their egress alone",
            cluster=_CLUSTER
            + _cilium("ingress: [{fromEntities: [world]}]", "{matchLabels: {app: web}}")
            + _cilium("egress: [{toEntities: [world]}]").replace("http", "egress")
            + _CILIUM,
            object=_POLICY,
        ),
        Example(
            title="policies of Cilium's that were left behind where Calico runs",
            cluster=_CLUSTER + _cilium("ingress: [{fromEntities: [world]}]") + _CALICO,
            object=_POLICY,
        ),
        Example(
            title="policies of Calico's for other namespaces, for hosts, and a staged one, which changes nothing",
            cluster=_CLUSTER
            + _calico("""selector: projectcalico.org/namespace != "shop", ingress: [{action: Deny}]""")
            + _calico("preDNAT: true, applyOnForward: true, ingress: [{action: Deny}]").replace("guard", "hosts")
            + _calico("ingress: [{action: Deny}]").replace("kind: Global", "kind: StagedGlobal")
            + _CALICO,
            object=_POLICY,
        ),
    ),
)
