"""A NetworkPolicy for a cluster in which nothing enforces NetworkPolicies."""

from collections.abc import Iterator

from webhook.check import CREATE, Check, Context, Disclosure, Example, Finding, Level, View
from webhook.enforcement import State
from webhook.enforcement.own_policies import ENGINES
from webhook.model.objects import DAEMON_SET, NetworkPolicy
from webhook.other_policies import May, other_policies

"""Longer evidence (long names) gives way to the reason, which names no object."""


def run(ctx: Context) -> Iterator[Finding]:
    found = ctx.enforcement
    if found.state is State.UNKNOWN:
        ctx.unknown.add(f"enforcement: {found.reason}")
    if found.state is not State.NOT_ENFORCED:
        return
    # Whoever applies knows what runs; a report is read by those who mend it.
    evidence = found.evidence[0] if ctx.disclosure is Disclosure.CLUSTER else ""
    means = "all traffic passes"
    others = other_policies(ctx).about_any(ctx.selected, ctx.policy.directions, May.CLOSE)
    if others:
        means = f"only {ENGINES[others[0].kind]}'s own policies are enforced"
    yield Finding("spec", found.reason, found.remedy, value=found.engine, means=means, detail=evidence)


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress:
    - from:
        - podSelector: {matchLabels: {app: web}}
"""
_NODE = """
---
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {kubernetes.io/os: linux}}
"""
_KUBE_PROXY = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-proxy, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: kube-proxy}}
    spec:
      hostNetwork: true
      containers:
        - {name: kube-proxy, image: registry.k8s.io/kube-proxy:v1.34.1}
"""


def _daemon(name: str, label: str, *containers: str, namespace: str = "kube-system") -> str:
    """A CNI's DaemonSet on one node; ``label`` and the containers are YAML in flow style."""
    listed = "".join(f"\n        - {container}" for container in containers)
    return f"""
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  template:
    metadata: {{labels: {{{label}}}}}
    spec:
      hostNetwork: true
      containers:{listed}
status: {{desiredNumberScheduled: 1, numberReady: 1}}
{_NODE}{_KUBE_PROXY}"""


def _config(name: str, data: str) -> str:
    return f"""
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: kube-system}}
data: {{{data}}}
"""


def _k3s(arguments: str) -> str:
    return f"""
apiVersion: v1
kind: Node
metadata:
  name: server-1
  annotations: {{k3s.io/node-args: '{arguments}'}}
status: {{nodeInfo: {{kubeletVersion: v1.34.1+k3s1}}}}
---
apiVersion: v1
kind: Node
metadata:
  name: agent-1
  annotations: {{k3s.io/node-args: '["agent"]'}}
status: {{nodeInfo: {{kubeletVersion: v1.34.1+k3s1}}}}
"""


_FLANNELD = (
    "{name: kube-flannel, image: 'ghcr.io/flannel-io/flannel:v0.27.4', command: [/opt/bin/flanneld], "
    "args: [--ip-masq, --kube-subnet-mgr]}"
)
_NETPOL = (
    "{name: kube-network-policies, image: 'registry.k8s.io/networking/kube-network-policies:v0.7.0', "
    "command: [/bin/netpol]}"
)
_FLANNEL = _daemon("kube-flannel-ds", "app: flannel", _FLANNELD, namespace="kube-flannel")
_CALICO_NODE = "{name: calico-node, image: 'quay.io/calico/node:v3.31.0'}"
_CALICO = _daemon("calico-node", "k8s-app: calico-node", _CALICO_NODE)
_WEAVE = "{name: weave, image: 'weaveworks/weave-kube:2.8.1', command: [/home/weave/launch.sh]}"
_WEAVE_NPC = "{name: weave-npc, image: 'weaveworks/weave-npc:2.8.1'}"
_AZURE_CNS = "{name: cns-container, image: 'mcr.microsoft.com/containernetworking/azure-cns:v1.6.20'}"
_CILIUM = _daemon(
    "cilium",
    "k8s-app: cilium",
    "{name: cilium-agent, image: 'quay.io/cilium/cilium:v1.19.1', command: [cilium-agent], "
    "args: [--config-dir=/tmp/cilium/config-map]}",
)
_NODE_CONFIG = """
---
apiVersion: cilium.io/v2
kind: CiliumNodeConfig
metadata: {name: edge, namespace: kube-system}
spec: {nodeSelector: {matchLabels: {edge: "true"}}, defaults: {enable-policy: default}}
"""
_CILIUM_POLICY = """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api-0, namespace: shop, labels: {app: api}}
"""
_OPENSHIFT_SDN = _daemon(
    "sdn", "app: sdn", "{name: sdn, image: quay.io/openshift/origin-sdn}", namespace="openshift-sdn"
)


def _plugin(name: str) -> str:
    return f"""
---
apiVersion: network.openshift.io/v1
kind: ClusterNetwork
metadata: {{name: default}}
pluginName: redhat/openshift-ovs-{name}
"""


def _kindnet(tag: str) -> str:
    return _daemon("kindnet", "app: kindnet", f"{{name: kindnet-cni, image: 'docker.io/kindest/kindnetd:{tag}'}}")


def _kube_router(arguments: str) -> str:
    return _daemon(
        "kube-router",
        "k8s-app: kube-router",
        f"{{name: kube-router, image: docker.io/cloudnativelabs/kube-router, args: [{arguments}]}}",
    )


def _aws_node(enabled: str) -> str:
    registry = "602401143452.dkr.ecr.eu-west-1.amazonaws.com"
    return _daemon(
        "aws-node",
        "k8s-app: aws-node",
        f"{{name: aws-node, image: '{registry}/amazon-k8s-cni:v1.20.4'}}",
        f"{{name: aws-eks-nodeagent, image: '{registry}/amazon/aws-network-policy-agent:v1.2.7', "
        f"args: [--enable-ipv6=false, --enable-network-policy={enabled}]}}",
    )


CHECK = Check(
    id="cni-does-not-enforce",
    level=Level.WARNING,
    summary="nothing in this cluster enforces NetworkPolicies",
    rationale="A NetworkPolicy is carried out by the network plug-in, if at all: the API server accepts and stores it "
    "just the same where nothing does, and all traffic passes. Flannel alone connects pods and no more; Weave Net "
    "without weave-npc, kindnet before v20240813, Cilium with enable-policy never or in audit mode, k3s with "
    "--disable-network-policy, kube-router with --run-firewall=false, AWS VPC CNI with its agent off (the default), EKS "
    "Auto Mode without its controller, Azure CNI without a policy engine and Terway with disable_network_policy enforce "
    "nothing. It is told from DaemonSets by what their containers are, from the ConfigMaps and switches of the "
    "engines, and from nodes; said only when all DaemonSets and nodes are known and none of them may be another "
    "enforcer. `enforcement: enforced` in the configuration silences it, `enforcement: none` makes it certain. kubernetes.io/docs/concepts/services-networking/network-policies: creating a NetworkPolicy resource "
    "without a controller that implements it will have no effect.",
    remedy="Switch the engine's policies on, or run an enforcer beside it (Calico policy-only, kube-router, "
    "kube-network-policies). Until then rely on no NetworkPolicy of this cluster.",
    run=run,
    judges=(NetworkPolicy.kind,),
    operations=(CREATE,),
    rests_on=(DAEMON_SET,),
    bad=(
        Example(
            title="flannel alone",
            cluster=_FLANNEL,
            object=_POLICY,
            says="flannel runs without netpol: all traffic passes; set netpol.enabled",
        ),
        Example(
            title="flannel alone, in a report: it names what it saw",
            cluster=_FLANNEL,
            object=_POLICY,
            view=View.CHECK,
            says="(DaemonSet kube-flannel/kube-flannel-ds runs flannel without its netpol container)",
        ),
        Example(
            title="Weave Net without its weave-npc container",
            cluster=_daemon("weave-net", "name: weave-net", _WEAVE),
            object=_POLICY,
            says="Weave Net runs without weave-npc",
        ),
        Example(
            title="Cilium told never to enforce",
            cluster=_CILIUM + _config("cilium-config", "enable-policy: never"),
            object=_POLICY,
            says="Cilium's enable-policy is never: all traffic passes; set it to default",
        ),
        Example(
            title="Cilium in audit mode",
            cluster=_CILIUM + _config("cilium-config", 'enable-policy: default, policy-audit-mode: "true"'),
            object=_POLICY,
            says="Cilium's policy-audit-mode is true",
        ),
        Example(
            title="Cilium told to carry out its own policies only",
            cluster=_CILIUM + _config("cilium-config", 'enable-k8s-networkpolicy: "false"') + _CILIUM_POLICY,
            object=_POLICY,
            says="Cilium's enable-k8s-networkpolicy is false: only Cilium's own policies are enforced; set it to true",
        ),
        Example(
            title="OpenShift SDN with a plug-in that knows no policies",
            cluster=_OPENSHIFT_SDN + _plugin("subnet"),
            object=_POLICY,
            says="OpenShift SDN runs openshift-ovs-subnet: all traffic passes; use OVN-Kubernetes",
        ),
        Example(
            title="kindnet as kind v0.23 ships it",
            cluster=_kindnet("v20240513-cbc04a1e"),
            object=_POLICY,
            says="kindnet v20240513 has no policies: all traffic passes",
        ),
        Example(
            title="k3s with its controller switched off",
            cluster=_k3s('["server","--disable-network-policy","--disable","traefik"]'),
            object=_POLICY,
            says="k3s runs with --disable-network-policy",
        ),
        Example(
            title="kube-router as a proxy only",
            cluster=_kube_router("--run-router=true, --run-firewall=false, --run-service-proxy=true"),
            object=_POLICY,
            says="kube-router has --run-firewall=false",
        ),
        Example(
            title="AWS VPC CNI with its policy agent off",
            cluster=_aws_node("false"),
            object=_POLICY,
            says="aws-node policy agent is off",
        ),
        Example(
            title="EKS Auto Mode with its policy controller off",
            cluster=_NODE.replace("kubernetes.io/os: linux", "eks.amazonaws.com/compute-type: auto")
            + _KUBE_PROXY
            + _config("amazon-vpc-cni", 'enable-network-policy-controller: "false"'),
            object=_POLICY,
            says="enable-network-policy-controller is off: all traffic passes",
        ),
        Example(
            title="Azure CNI without a policy engine",
            cluster=_daemon("azure-cns", "k8s-app: azure-cns", _AZURE_CNS),
            object=_POLICY,
            says="Azure CNI has no policy engine: all traffic passes; set --network-policy",
        ),
    ),
    good=(
        Example(title="Calico by its manifest", cluster=_CALICO, object=_POLICY),
        Example(
            title="Calico by its operator",
            cluster=_daemon("calico-node", "k8s-app: calico-node", _CALICO_NODE, namespace="calico-system"),
            object=_POLICY,
        ),
        Example(
            title="Canal: Calico's agent beside flannel in one DaemonSet",
            cluster=_daemon("canal", "k8s-app: canal", _CALICO_NODE, _FLANNELD),
            object=_POLICY,
        ),
        Example(
            title="Weave Net with weave-npc",
            cluster=_daemon("weave-net", "name: weave-net", _WEAVE, _WEAVE_NPC),
            object=_POLICY,
        ),
        Example(
            title="flannel with netpol",
            cluster=_daemon("kube-flannel-ds", "app: flannel", _FLANNELD, _NETPOL, namespace="kube-flannel"),
            object=_POLICY,
        ),
        Example(
            title="Cilium as installed by default",
            cluster=_CILIUM + _config("cilium-config", 'enable-policy: default, policy-audit-mode: "false"'),
            object=_POLICY,
        ),
        Example(
            title="Cilium told never to enforce, but on some nodes",
            cluster=_CILIUM + _config("cilium-config", "enable-policy: never") + _NODE_CONFIG,
            object=_POLICY,
        ),
        Example(
            title="OpenShift SDN with the plug-in that enforces",
            cluster=_OPENSHIFT_SDN + _plugin("networkpolicy"),
            object=_POLICY,
        ),
        Example(title="OpenShift SDN with a plug-in that nobody can see", cluster=_OPENSHIFT_SDN, object=_POLICY),
        Example(title="kindnet as kind v0.24 ships it", cluster=_kindnet("v20240813-c6f155d6"), object=_POLICY),
        Example(title="k3s", cluster=_k3s('["server","--disable","traefik"]'), object=_POLICY),
        Example(title="flannel beside Calico's policy-only agent", cluster=_FLANNEL + _CALICO, object=_POLICY),
        Example(
            title="flannel beside kube-router",
            cluster=_FLANNEL + _kube_router("--run-router=false, --run-firewall=true, --run-service-proxy=false"),
            object=_POLICY,
        ),
        Example(
            title="AWS VPC CNI with agent and controller on",
            cluster=_aws_node("true") + _config("amazon-vpc-cni", 'enable-network-policy-controller: "true"'),
            object=_POLICY,
        ),
        Example(
            title="Cilium on AKS, beside azure-cns",
            cluster=_CILIUM
            + _config("cilium-config", "enable-policy: default")
            + _daemon("azure-cns", "k8s-app: azure-cns", _AZURE_CNS),
            object=_POLICY,
        ),
        Example(title="nothing that is known: cannot be told", cluster=_KUBE_PROXY + _NODE, object=_POLICY),
        Example(title="flannel, in a state that is not complete", cluster=_FLANNEL, object=_POLICY, partial=True),
        Example(
            title="flannel beside a DaemonSet that may enforce",
            cluster=_FLANNEL
            + _daemon("acme-network-policy", "app: acme", "{name: agent, image: registry.example/acme/netpol-agent}"),
            object=_POLICY,
        ),
        Example(
            title="an update: it was said when the policy was created", cluster=_FLANNEL, object=_POLICY, old=_POLICY
        ),
    ),
)
