"""The cluster's objects as small records that hold what a check reads and no more.

NetworkPolicy and Service keep the API's shape, because their field paths are what findings point at.

Sources: the API reference of Kubernetes v1.37 (core/v1, apps/v1, batch/v1, networking.k8s.io/v1, discovery.k8s.io/v1,
rbac.authorization.k8s.io/v1, admissionregistration.k8s.io/v1, apiregistration.k8s.io/v1) and of the Gateway API v1.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final, Literal, TypeAlias

from msgspec import Struct, field

Labels: TypeAlias = Mapping[str, str]
Protocol: TypeAlias = str
"""``TCP``, ``UDP`` or ``SCTP``."""
Direction: TypeAlias = Literal["Ingress", "Egress"]
_DIRECTIONS: Final[tuple[Direction, ...]] = ("Ingress", "Egress")
Key: TypeAlias = tuple[str, str]
"""Namespace and name; the namespace is empty for cluster-scoped objects."""

NAMESPACE: Final = "v1/Namespace"
POD: Final = "v1/Pod"
SERVICE: Final = "v1/Service"
NODE: Final = "v1/Node"
CONFIG_MAP: Final = "v1/ConfigMap"
ENDPOINT_SLICE: Final = "discovery.k8s.io/v1/EndpointSlice"
NETWORK_POLICY: Final = "networking.k8s.io/v1/NetworkPolicy"
INGRESS: Final = "networking.k8s.io/v1/Ingress"
INGRESS_CLASS: Final = "networking.k8s.io/v1/IngressClass"
HTTP_ROUTE: Final = "gateway.networking.k8s.io/v1/HTTPRoute"
SERVICE_CIDR: Final = "networking.k8s.io/v1/ServiceCIDR"
VALIDATING_WEBHOOKS: Final = "admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration"
MUTATING_WEBHOOKS: Final = "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration"
API_SERVICE: Final = "apiregistration.k8s.io/v1/APIService"
ROLE_BINDING: Final = "rbac.authorization.k8s.io/v1/RoleBinding"
CLUSTER_ROLE_BINDING: Final = "rbac.authorization.k8s.io/v1/ClusterRoleBinding"
CLUSTER_ROLE: Final = "rbac.authorization.k8s.io/v1/ClusterRole"
CILIUM_NODE_CONFIG: Final = "cilium.io/v2/CiliumNodeConfig"
NODE_CLASS: Final = "eks.amazonaws.com/v1/NodeClass"
CLUSTER_NETWORK: Final = "network.openshift.io/v1/ClusterNetwork"
DEPLOYMENT: Final = "apps/v1/Deployment"
REPLICA_SET: Final = "apps/v1/ReplicaSet"
STATEFUL_SET: Final = "apps/v1/StatefulSet"
DAEMON_SET: Final = "apps/v1/DaemonSet"
JOB: Final = "batch/v1/Job"
CRON_JOB: Final = "batch/v1/CronJob"
ADMIN_NETWORK_POLICY: Final = "policy.networking.k8s.io/v1alpha1/AdminNetworkPolicy"
BASELINE_ADMIN_NETWORK_POLICY: Final = "policy.networking.k8s.io/v1alpha1/BaselineAdminNetworkPolicy"
CLUSTER_NETWORK_POLICY: Final = "policy.networking.k8s.io/v1alpha2/ClusterNetworkPolicy"
CALICO_NETWORK_POLICY: Final = "crd.projectcalico.org/v1/NetworkPolicy"
CALICO_GLOBAL_NETWORK_POLICY: Final = "crd.projectcalico.org/v1/GlobalNetworkPolicy"
CILIUM_NETWORK_POLICY: Final = "cilium.io/v2/CiliumNetworkPolicy"
CILIUM_CLUSTERWIDE_NETWORK_POLICY: Final = "cilium.io/v2/CiliumClusterwideNetworkPolicy"
ANTREA_NETWORK_POLICY: Final = "crd.antrea.io/v1beta1/NetworkPolicy"
ANTREA_CLUSTER_NETWORK_POLICY: Final = "crd.antrea.io/v1beta1/ClusterNetworkPolicy"

WORKLOADS: Final = (DEPLOYMENT, REPLICA_SET, STATEFUL_SET, DAEMON_SET, JOB, CRON_JOB)
CONTROLLERS: Final = {kind.rpartition("/")[2]: kind for kind in WORKLOADS}
"""The same by the word that ownerReferences use."""
OTHER_CONTROLLERS: Final = (
    "v1/ReplicationController",
    "apps.openshift.io/v1/DeploymentConfig",
    "argoproj.io/v1alpha1/Rollout",
)
"""Controllers that files may hold and nobody follows live, where their pods and ReplicaSets tell of them."""
ADMIN_POLICIES: Final = (ADMIN_NETWORK_POLICY, BASELINE_ADMIN_NETWORK_POLICY, CLUSTER_NETWORK_POLICY)
CALICO_POLICIES: Final = (CALICO_NETWORK_POLICY, CALICO_GLOBAL_NETWORK_POLICY)
CILIUM_POLICIES: Final = (CILIUM_NETWORK_POLICY, CILIUM_CLUSTERWIDE_NETWORK_POLICY)
ANTREA_POLICIES: Final = (ANTREA_NETWORK_POLICY, ANTREA_CLUSTER_NETWORK_POLICY)
ENGINE_POLICIES: Final = (*CALICO_POLICIES, *CILIUM_POLICIES, *ANTREA_POLICIES)
"""Policies in an engine's own API. Calico's staged ones are no such kinds: they change nothing."""
ENGINE_SETTINGS: Final = (CILIUM_NODE_CONFIG, NODE_CLASS, CLUSTER_NETWORK)
"""Where an engine keeps its settings in a kind of its own."""
WEBHOOK_CONFIGURATIONS: Final = (VALIDATING_WEBHOOKS, MUTATING_WEBHOOKS)
BINDINGS: Final = (ROLE_BINDING, CLUSTER_ROLE_BINDING)
KINDS: Final = (
    NAMESPACE,
    NODE,
    CONFIG_MAP,
    SERVICE,
    POD,
    *WORKLOADS,
    ENDPOINT_SLICE,
    NETWORK_POLICY,
    INGRESS,
    INGRESS_CLASS,
    HTTP_ROUTE,
    SERVICE_CIDR,
    *ADMIN_POLICIES,
    *ENGINE_POLICIES,
    *ENGINE_SETTINGS,
    *WEBHOOK_CONFIGURATIONS,
    API_SERVICE,
    *BINDINGS,
)
"""Every kind that the state holds, as ``apiVersion/kind``."""
UNFOLLOWED: Final = (CLUSTER_ROLE,)
"""Kinds that are read where files have them, and followed live only where the configuration asks for it.

What is not found of them says nothing, whatever is complete: hardly any dump of a cluster holds them.
"""
CLUSTER_SCOPED: Final = frozenset(
    {
        NAMESPACE,
        NODE,
        INGRESS_CLASS,
        SERVICE_CIDR,
        *ADMIN_POLICIES,
        CALICO_GLOBAL_NETWORK_POLICY,
        CILIUM_CLUSTERWIDE_NETWORK_POLICY,
        ANTREA_CLUSTER_NETWORK_POLICY,
        *WEBHOOK_CONFIGURATIONS,
        API_SERVICE,
        CLUSTER_ROLE_BINDING,
        CLUSTER_ROLE,
        NODE_CLASS,
        CLUSTER_NETWORK,
    }
)
OPTIONAL: Final = frozenset({HTTP_ROUTE, SERVICE_CIDR, *ADMIN_POLICIES, *ENGINE_POLICIES, *ENGINE_SETTINGS})
"""Kinds that are there only where somebody installed them, or since a release: not being served means there is none."""
ALIASES: Final[Mapping[str, str]] = {
    "policy.networking.k8s.io/v1beta1/ClusterNetworkPolicy": CLUSTER_NETWORK_POLICY,
    "gateway.networking.k8s.io/v1beta1/HTTPRoute": HTTP_ROUTE,
    "networking.k8s.io/v1beta1/ServiceCIDR": SERVICE_CIDR,
    "cilium.io/v2alpha1/CiliumNodeConfig": CILIUM_NODE_CONFIG,
    "projectcalico.org/v3/NetworkPolicy": CALICO_NETWORK_POLICY,
    "projectcalico.org/v3/GlobalNetworkPolicy": CALICO_GLOBAL_NETWORK_POLICY,
    "crd.antrea.io/v1alpha1/NetworkPolicy": ANTREA_NETWORK_POLICY,
    "crd.antrea.io/v1alpha1/ClusterNetworkPolicy": ANTREA_CLUSTER_NETWORK_POLICY,
}
"""Other versions of a kind, of the same shape as far as it is kept: one of them is read as the kind itself.

Calico's API server shows the same objects as its custom resources, which are read first: they do not depend on it.

Sources: apis/v1beta1 of sigs.k8s.io/network-policy-api and of sigs.k8s.io/gateway-api, k8s.io/api networking/v1beta1,
projectcalico/calico api/pkg/apis/projectcalico/v3, antrea-io/antrea pkg/apis/crd.
"""

ENDPOINTS: Final = "v1/Endpoints"
"""No kind of its own here: files are read as if the control plane had made its EndpointSlice (mirroring)."""

NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""The label that the API server forces to a Namespace's name (KEP-2161)."""
WAIVER_PREFIX: Final = "netadmit.io/ignore."
MODE_LABEL: Final = "netadmit.io/mode"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
LONGEST_APPLIED: Final = 64 * 1024
"""Characters of that annotation that are read: a policy of a thousand rules is shorter."""
HELM_RELEASE: Final = "meta.helm.sh/release-name"
IDENTITY_LABELS: Final = ("app.kubernetes.io/instance", "app.kubernetes.io/name", "release", "app", "k8s-app")
"""What says which release or application an object is of, by today's names and by those before."""
CILIUM_GLOBAL: Final = "service.cilium.io/global"
CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
DEFAULT_CLASS: Final = "ingressclass.kubernetes.io/is-default-class"
DEFAULT_ACCOUNT: Final = "default"
"""The ServiceAccount of pods that name none: the API server fills it in (k8s.io/kubernetes plugin serviceaccount)."""
EVERY: Final = "*"
"""In place of a name; none can be spelled so."""


class APIStruct(Struct, rename="camel", frozen=True, gc=False):
    """A struct in the API's own shape and spelling."""


class OwnerReference(APIStruct, frozen=True):
    kind: str
    name: str
    api_version: str = ""
    controller: bool | None = None


class ObjectMeta(APIStruct, frozen=True):
    """What of an object's metadata any check reads."""

    name: str = ""
    namespace: str = ""
    generate_name: str = ""
    labels: Labels = {}
    annotations: Labels = {}
    owner_references: tuple[OwnerReference, ...] = ()
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    uid: str = ""
    """No check reads it: Events and reports name the object by it."""


class LabelSelectorRequirement(APIStruct, frozen=True):
    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(APIStruct, frozen=True):
    match_labels: Labels = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class IPBlock(APIStruct, frozen=True):
    cidr: str
    excepted: tuple[str, ...] = field(default=(), name="except")


class NetworkPolicyPeer(APIStruct, frozen=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class NetworkPolicyPort(APIStruct, frozen=True):
    protocol: Protocol = "TCP"
    port: int | str | None = None
    end_port: int | None = None


class _IngressRule(APIStruct, frozen=True):
    ports: tuple[NetworkPolicyPort, ...] = ()
    peers: tuple[NetworkPolicyPeer, ...] = field(default=(), name="from")


class _EgressRule(APIStruct, frozen=True):
    ports: tuple[NetworkPolicyPort, ...] = ()
    peers: tuple[NetworkPolicyPeer, ...] = field(default=(), name="to")


NetworkPolicyRule: TypeAlias = _IngressRule | _EgressRule


class NetworkPolicySpec(APIStruct, frozen=True):
    pod_selector: LabelSelector = LabelSelector()
    policy_types: tuple[str, ...] = ()
    ingress: tuple[_IngressRule, ...] = ()
    egress: tuple[_EgressRule, ...] = ()


class NetworkPolicy(APIStruct, frozen=True):
    kind: ClassVar[str] = NETWORK_POLICY
    metadata: ObjectMeta = ObjectMeta()
    spec: NetworkPolicySpec = NetworkPolicySpec()

    @property
    def key(self) -> Key:
        return self.metadata.namespace, self.metadata.name

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions in which the policy isolates, with the API's defaulting.

        Source: k8s.io/kubernetes pkg/apis/networking/v1/defaults.go: Ingress always, Egress when it has rules.
        """
        if self.spec.policy_types:
            return tuple(d for d in _DIRECTIONS if d in self.spec.policy_types)
        return ("Ingress", "Egress") if self.spec.egress else ("Ingress",)

    def rules(self) -> Iterator[tuple[str, NetworkPolicyRule]]:
        """Every rule with its field path, ``spec.ingress[0]``: dead ones (facts 2.1.3) too."""
        for i, ingress in enumerate(self.spec.ingress):
            yield f"spec.ingress[{i}]", ingress
        for i, egress in enumerate(self.spec.egress):
            yield f"spec.egress[{i}]", egress

    def peers(self) -> Iterator[tuple[str, NetworkPolicyPeer]]:
        """Every peer with its field path, ``spec.ingress[0].from[1]``."""
        for path, rule in self.rules():
            word = "from" if isinstance(rule, _IngressRule) else "to"
            for i, peer in enumerate(rule.peers):
                yield f"{path}.{word}[{i}]", peer


class AdminPeer(Struct, frozen=True, gc=False):
    """What an administrator's rule is about; just one of the fields is set, none where it is something unheard of.

    Pods are those of the namespaces that ``namespaces`` selects; with ``pods`` only those that it selects there.
    """

    namespaces: LabelSelector | None = None
    pods: LabelSelector | None = None
    nodes: LabelSelector | None = None
    networks: tuple[str, ...] = ()
    domain_names: tuple[str, ...] = ()


class AdminPort(Struct, frozen=True, gc=False):
    """A range of ports of one protocol, or a port by its name under any protocol."""

    protocol: Protocol = ""
    first: int = 0
    last: int = 0
    name: str = ""


class AdminRule(Struct, frozen=True, gc=False):
    action: Literal["Accept", "Deny", "Pass"]
    peers: tuple[AdminPeer, ...] = ()
    ports: tuple[AdminPort, ...] = ()
    """Empty: all ports of all protocols."""


class AdminPolicy(Struct, frozen=True, gc=False):
    """An AdminNetworkPolicy, BaselineAdminNetworkPolicy or ClusterNetworkPolicy.

    Source: sigs.k8s.io/network-policy-api apis/v1alpha1 and apis/v1alpha2 (``Allow`` is the former's ``Accept``).
    """

    kind: str
    name: str
    tier: Literal["Admin", "Baseline"]
    priority: int
    subject: AdminPeer
    """Only ``namespaces`` and ``pods``."""
    ingress: tuple[AdminRule, ...] = ()
    egress: tuple[AdminRule, ...] = ()

    @property
    def key(self) -> Key:
        return "", self.name


class EngineSubject(Struct, frozen=True, gc=False):
    """Whom a policy in an engine's own API is about, in that API's words: pods that all of this is true of.

    Selectors are Calico's expressions, or label selectors; Cilium's keys say more than a label's name. What they mean
    `webhook.enforcement.own_policies` knows.
    """

    namespaces: LabelSelector | str | None = None
    pods: LabelSelector | str | None = None
    others: tuple[str, ...] = ()
    """The names of further fields that narrow it, or make it about something else than pods; not what they say."""


class EngineRules(Struct, frozen=True, gc=False):
    """Rules of a policy in an engine's own API: whom they are about, and what they do; not from whom and on what port.

    Args:
        subjects: any of these.
        ingress, egress: the actions that occur: ``Allow``, ``Deny``, ``Drop``, ``Reject``, ``Pass``.
        isolates: the directions in which a pod that they are about is closed but for what is allowed.
    """

    subjects: tuple[EngineSubject, ...] = ()
    ingress: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    isolates: tuple[Direction, ...] = ()

    def actions(self, direction: Direction) -> tuple[str, ...]:
        return self.ingress if direction == "Ingress" else self.egress


class EnginePolicy(Struct, frozen=True, gc=False):
    """A policy in an engine's own API: Calico's, Cilium's or Antrea's.

    Sources: calico api/pkg/apis/projectcalico/v3, cilium pkg/policy/api, antrea pkg/apis/crd/v1beta1.
    """

    kind: str
    namespace: str
    """Empty for one of the whole cluster."""
    name: str
    rules: tuple[EngineRules, ...] = ()
    tier: str = ""
    order: float | None = None
    """Of Calico's: where it comes in its tier; None: last."""

    @property
    def key(self) -> Key:
        return self.namespace, self.name


class ServicePort(APIStruct, frozen=True):
    port: int
    name: str = ""
    protocol: Protocol = "TCP"
    target_port: int | str | None = None
    node_port: int = 0


class ServiceSpec(APIStruct, frozen=True):
    type: str = "ClusterIP"
    selector: Labels = {}
    ports: tuple[ServicePort, ...] = ()
    cluster_ip: str = field(default="", name="clusterIP")
    external_name: str = ""
    publish_not_ready_addresses: bool = False
    cluster_ips: tuple[str, ...] = field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = field(default=(), name="externalIPs")
    external_traffic_policy: str = ""
    """``Cluster`` or ``Local``; empty, where the API server did not default it, means ``Cluster``."""
    internal_traffic_policy: str = ""
    load_balancer_class: str = ""


class Service(Struct, frozen=True, gc=False):
    kind: ClassVar[str] = SERVICE
    metadata: ObjectMeta = ObjectMeta()
    spec: ServiceSpec = ServiceSpec()
    addresses: tuple[str, ...] = ()
    """Where a load balancer takes its traffic: the addresses and host names of status.loadBalancer."""

    @property
    def key(self) -> Key:
        return self.metadata.namespace, self.metadata.name

    @property
    def has_address(self) -> bool:
        """Whether somebody has provided its load balancer."""
        return bool(self.addresses)


class ServiceReference(Struct, frozen=True, gc=False):
    """A Service as another object names it."""

    namespace: str
    name: str
    port: int | None = None

    @property
    def key(self) -> Key:
        return self.namespace, self.name


class Namespace(Struct, frozen=True, gc=False):
    """``labels`` always holds `NAME_LABEL`: the API server forces it, files need not say it."""

    kind: ClassVar[str] = NAMESPACE
    name: str
    labels: Labels
    annotations: Labels = {}
    created: str | None = None
    terminating: bool = False

    @property
    def key(self) -> Key:
        return "", self.name


class ContainerPort(Struct, frozen=True, gc=False):
    number: int
    name: str = ""
    protocol: Protocol = "TCP"


class Pod(Struct, frozen=True, gc=False):
    kind: ClassVar[str] = POD
    namespace: str
    name: str
    labels: Labels
    owner: Key | None = None
    """The controller's kind and name; cluster-scoped owners (the Node of a mirror pod) do not count."""
    phase: str = ""
    node: str = ""
    ips: tuple[str, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    host_network: bool = False
    ready: bool = False
    terminating: bool = False
    service_account: str = ""
    """Empty for the ServiceAccount ``default``: most pods run under it."""

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def account(self) -> Key:
        """The ServiceAccount that it runs under."""
        return self.namespace, self.service_account or DEFAULT_ACCOUNT

    @property
    def finished(self) -> bool:
        """Succeeded and Failed pods have no network: no engine and no Service counts them."""
        return self.phase in {"Succeeded", "Failed"}

    @property
    def workload(self) -> str:
        """The pod's workload as ``ns/Kind/name`` (CONTRACT.md, names and shapes)."""
        if self.owner is None:
            return f"{self.namespace}/Pod/{self.name}"
        kind, name = self.owner
        suffix = self.labels.get("pod-template-hash")
        if kind == "ReplicaSet" and suffix and name.endswith(f"-{suffix}"):
            kind, name = "Deployment", name.removesuffix(f"-{suffix}")
        return f"{self.namespace}/{kind}/{name}"


class Container(Struct, frozen=True, gc=False):
    """What of a system container tells how it enforces; never kept for a user's pod."""

    name: str
    image: str = ""
    args: tuple[str, ...] = ()
    """The program, empty where the image decides; of its flags only those that switch a CNI's policy engine, and
    NodeLocal DNSCache's ``-localip``.
    """
    env: Labels = {}
    """Only the variables that switch a CNI's policy engine."""


class Workload(Struct, frozen=True, gc=False):
    """A Deployment, ReplicaSet, StatefulSet, DaemonSet, Job or CronJob, with its pod template."""

    kind: str
    namespace: str
    name: str
    labels: Labels
    """The pod template's labels; those that the controller adds are not here."""
    own_labels: Labels = {}
    """The labels of the workload object itself."""
    owner: Key | None = None
    replicas: int = 1
    finished: bool = False
    """A Job that completed or failed: it will make no more pods."""
    ports: tuple[ContainerPort, ...] = ()
    host_network: bool = False
    containers: tuple[Container, ...] = ()
    """For DaemonSets and Deployments: what tells which engine enforces."""
    desired: int | None = None
    ready: int | None = None
    service_account: str = ""
    """Of its pods; empty for ``default``."""
    service_name: str = ""
    """The Service that names a StatefulSet's pods."""
    terminating: bool = False
    node_selector: Labels = {}
    """Of a DaemonSet's pods: on which nodes an agent runs."""

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def account(self) -> Key:
        """The ServiceAccount that its pods run under."""
        return self.namespace, self.service_account or DEFAULT_ACCOUNT

    @property
    def workload(self) -> str:
        """As its pods say it: a Deployment's ReplicaSet is the Deployment (CONTRACT.md, names and shapes)."""
        if self.kind == REPLICA_SET and self.owner is not None and self.owner[0] == "Deployment":
            return f"{self.namespace}/Deployment/{self.owner[1]}"
        return f"{self.namespace}/{self.kind.rpartition('/')[2]}/{self.name}"


class Node(Struct, frozen=True, gc=False):
    kind: ClassVar[str] = NODE
    name: str
    labels: Labels = {}
    annotations: Labels = {}
    """Only those that tell which engine runs, and with what switches."""
    addresses: tuple[str, ...] = ()
    kubelet_version: str = ""
    provider_id: str = ""
    pod_cidrs: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return "", self.name


class ConfigMap(Struct, frozen=True, gc=False):
    kind: ClassVar[str] = CONFIG_MAP
    namespace: str
    name: str
    data: Labels = {}

    @property
    def key(self) -> Key:
        return self.namespace, self.name


class EndpointSlice(Struct, frozen=True, gc=False):
    """``unready`` are those of the addresses that are not ready; the others are, also where nobody says so.

    ``nodes`` has the node of every address, in their order, empty where none is named; it is empty itself where no
    endpoint names one. Which pods they are, the pods' own addresses tell.
    """

    kind: ClassVar[str] = ENDPOINT_SLICE
    namespace: str
    name: str
    service: str = ""
    """The label ``kubernetes.io/service-name``."""
    addresses: tuple[str, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    unready: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.namespace, self.name


class Ingress(Struct, frozen=True, gc=False):
    kind: ClassVar[str] = INGRESS
    namespace: str
    name: str
    backends: tuple[tuple[str, int | str | None], ...] = ()
    """The Services that it sends traffic to, each with the port's number or name; None where it gives none."""
    class_name: str = ""
    """The IngressClass, by field or by the older annotation; empty: whichever is the default."""
    hosts: tuple[str, ...] = ()
    """Of the host names it serves those of two labels: no other can be the short name of a Service."""
    terminating: bool = False
    own_labels: Labels = {}
    """Only those of `IDENTITY_LABELS`."""

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the Services that it sends traffic to."""
        return tuple(dict.fromkeys(name for name, _ in self.backends))


class IngressClass(Struct, frozen=True, gc=False):
    kind: ClassVar[str] = INGRESS_CLASS
    name: str
    controller: str = ""
    default: bool = False
    """Marked as the class of Ingresses that name none."""

    @property
    def key(self) -> Key:
        return "", self.name


class HTTPRoute(Struct, frozen=True, gc=False):
    kind: ClassVar[str] = HTTP_ROUTE
    namespace: str
    name: str
    backends: tuple[ServiceReference, ...] = ()
    """The Services that it sends traffic to, maybe of other namespaces."""
    hosts: tuple[str, ...] = ()
    """As an Ingress's."""
    terminating: bool = False

    @property
    def key(self) -> Key:
        return self.namespace, self.name


class ServiceCIDR(Struct, frozen=True, gc=False):
    """A range of Service addresses. A cluster older than v1.33 has ranges, too, and no object that tells them."""

    kind: ClassVar[str] = SERVICE_CIDR
    name: str
    cidrs: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return "", self.name


class AdmissionWebhook(Struct, frozen=True, gc=False):
    service: ServiceReference
    failure_policy: str = "Fail"


class WebhookConfiguration(Struct, frozen=True, gc=False):
    """A ValidatingWebhookConfiguration or MutatingWebhookConfiguration: its webhooks that a Service answers."""

    kind: str
    name: str
    webhooks: tuple[AdmissionWebhook, ...] = ()
    terminating: bool = False

    @property
    def key(self) -> Key:
        return "", self.name


class APIService(Struct, frozen=True, gc=False):
    """``service`` answers for the group and version; None where the API server itself does."""

    kind: ClassVar[str] = API_SERVICE
    name: str
    service: ServiceReference | None = None
    terminating: bool = False
    own_labels: Labels = {}
    """Only those of `IDENTITY_LABELS`."""

    @property
    def key(self) -> Key:
        return "", self.name


class RoleBinding(Struct, frozen=True, gc=False):
    """A RoleBinding or ClusterRoleBinding, and the ServiceAccounts that it gives rights to; its users are not kept."""

    kind: str
    namespace: str
    """Empty for a ClusterRoleBinding."""
    name: str
    role: str = ""
    """The name of the Role or ClusterRole."""
    of_cluster: bool = False
    """It is a ClusterRole."""
    accounts: tuple[Key, ...] = ()
    """Namespace and name; `EVERY` as name for all accounts of a namespace, as both for all of the cluster."""

    @property
    def key(self) -> Key:
        return self.namespace, self.name


class ClusterRole(Struct, frozen=True, gc=False):
    kind: ClassVar[str] = CLUSTER_ROLE
    name: str
    reads_policies: bool = False
    """It names NetworkPolicies as what may be listed or watched: with ``*`` it would name nothing in particular."""

    @property
    def key(self) -> Key:
        return "", self.name


class EngineSetting(Struct, frozen=True, gc=False):
    """A CiliumNodeConfig, a NodeClass of EKS or OpenShift's ClusterNetwork: what it sets, by name."""

    kind: str
    namespace: str
    name: str
    data: Labels = {}

    @property
    def key(self) -> Key:
        return self.namespace, self.name


Record: TypeAlias = (
    Namespace
    | Pod
    | Workload
    | Service
    | EndpointSlice
    | NetworkPolicy
    | AdminPolicy
    | EnginePolicy
    | Node
    | ConfigMap
    | Ingress
    | IngressClass
    | HTTPRoute
    | ServiceCIDR
    | WebhookConfiguration
    | APIService
    | RoleBinding
    | ClusterRole
    | EngineSetting
)
