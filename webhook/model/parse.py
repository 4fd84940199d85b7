"""Decodes the API's JSON, or parsed YAML, into the records of `webhook.model.objects`; errors name the field.

The structs named ``_Wire…`` declare only the fields that a record keeps: msgspec skips the rest without making Python
objects of it, which is what keeps 5,000 pods at 5 MiB (facts/production.md 4).
"""

from collections.abc import Iterable, Mapping
from sys import intern
from typing import Any, Final, Literal

import msgspec
from msgspec import field

from webhook.model.engine_policies import WireAntreaPolicy, WireCalicoPolicy, WireCiliumPolicy
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    ANTREA_POLICIES,
    API_SERVICE,
    BASELINE_ADMIN_NETWORK_POLICY,
    CALICO_POLICIES,
    CILIUM_NODE_CONFIG,
    CILIUM_POLICIES,
    CLASS_ANNOTATION,
    CLUSTER_NETWORK,
    CLUSTER_NETWORK_POLICY,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    CRON_JOB,
    DAEMON_SET,
    DEFAULT_ACCOUNT,
    DEFAULT_CLASS,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    ENDPOINTS,
    EVERY,
    HTTP_ROUTE,
    IDENTITY_LABELS,
    INGRESS,
    INGRESS_CLASS,
    JOB,
    MUTATING_WEBHOOKS,
    NAME_LABEL,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    NODE_CLASS,
    POD,
    REPLICA_SET,
    ROLE_BINDING,
    SERVICE,
    SERVICE_CIDR,
    STATEFUL_SET,
    VALIDATING_WEBHOOKS,
    WAIVER_PREFIX,
    AdminPeer,
    AdminPolicy,
    AdminPort,
    AdminRule,
    AdmissionWebhook,
    APIService,
    APIStruct,
    ClusterRole,
    ConfigMap,
    Container,
    ContainerPort,
    EndpointSlice,
    EngineSetting,
    HTTPRoute,
    Ingress,
    IngressClass,
    Key,
    Labels,
    LabelSelector,
    Namespace,
    NetworkPolicy,
    Node,
    ObjectMeta,
    OwnerReference,
    Pod,
    Protocol,
    Record,
    RoleBinding,
    Service,
    ServiceCIDR,
    ServiceReference,
    ServiceSpec,
    WebhookConfiguration,
    Workload,
)

_NODE_ANNOTATIONS: Final = ("k3s.io/node-args", "rke2.io/node-args")
"""The only node annotations that a check reads (which engine runs, and with what switches)."""
_CNI_VARIABLES: Final = ("DISABLE_POLICY", "EXPECT_NPC", "NETWORK_POLICY_ENFORCING_MODE")
"""The only environment variables that are ever kept: they switch a CNI's policy engine."""


_KEPT_FLAGS: Final = frozenset(
    {
        "enable-anp",
        "enable-k8s-cluster-network-policy",
        "enable-k8s-networkpolicy",
        "enable-network-policy",
        "enable-np",
        "enable-policy",
        "enable-sctp",
        "localip",
        "network-policy",
        "policy-audit-mode",
        "policy-cidr-match-mode",
        "run-firewall",
    }
)
"""The only command line flags that are ever kept: a CNI's switches of policies, and NodeLocal DNSCache's addresses."""


class DecodeError(ValueError):
    """An object that is not of the shape that the API gives its kind.

    ``path`` is the field, as ``spec.podSelector.matchLabels``; ``message`` says what was expected.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path


class _WireMeta(APIStruct, frozen=True):
    """`ObjectMeta` for kinds whose annotations nobody reads: they are most of a pod's weight."""

    name: str = ""
    namespace: str = ""
    labels: Labels = {}
    owner_references: tuple[OwnerReference, ...] = ()
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class _WirePort(APIStruct, frozen=True):
    container_port: int
    name: str = ""
    protocol: Protocol = "TCP"


class _WireVariable(APIStruct, frozen=True):
    name: str
    value: str = ""


class _WireContainer(APIStruct, frozen=True):
    name: str = ""
    ports: tuple[_WirePort, ...] = ()
    restart_policy: str = ""


class _WireSystemContainer(_WireContainer, frozen=True):
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[_WireVariable, ...] = ()


class _WirePodSpec(APIStruct, frozen=True):
    containers: tuple[_WireContainer, ...] = ()
    init_containers: tuple[_WireContainer, ...] = ()
    host_network: bool = False
    node_name: str = ""
    service_account_name: str = ""
    service_account: str = ""


class _WireSystemPodSpec(APIStruct, frozen=True):
    containers: tuple[_WireSystemContainer, ...] = ()
    init_containers: tuple[_WireSystemContainer, ...] = ()
    node_selector: Labels = {}
    host_network: bool = False
    node_name: str = ""
    service_account_name: str = ""
    service_account: str = ""


class _WireIP(APIStruct, frozen=True):
    ip: str


class _WireCondition(APIStruct, frozen=True):
    type: str
    status: str


class _WirePodStatus(APIStruct, frozen=True):
    phase: str = ""
    pod_ip: str = field(default="", name="podIP")
    pod_ips: tuple[_WireIP, ...] = field(default=(), name="podIPs")
    conditions: tuple[_WireCondition, ...] = ()


def _ports(spec: _WirePodSpec | _WireSystemPodSpec) -> tuple[ContainerPort, ...]:
    """Declared ports of containers, then of sidecars (init containers that restart always), as FindPort reads them.

    Source: k8s.io/endpointslice utils.go FindPort.
    """
    sidecars = [c for c in spec.init_containers if c.restart_policy == "Always"]
    return tuple(
        [
            ContainerPort(p.container_port, p.name, p.protocol)
            for container in (*spec.containers, *sidecars)
            for p in container.ports
        ]
    )


def _containers(spec: _WireSystemPodSpec) -> tuple[Container, ...]:
    """Containers and sidecars: an agent that enforces may run as either."""
    return tuple(
        Container(
            c.name,
            c.image,
            _arguments(c.command, c.args),
            {v.name: v.value for v in c.env if v.name in _CNI_VARIABLES},
        )
        for c in (*spec.containers, *(c for c in spec.init_containers if c.restart_policy == "Always"))
    )


def _arguments(command: tuple[str, ...], args: tuple[str, ...]) -> tuple[str, ...]:
    """The program, empty when the image decides, and a few flags: nothing else of a command line is kept."""
    kept = [command[0] if command else ""]
    words = [word.strip("'\"") for argument in (*command, *args) for word in argument.split()]
    for i, word in enumerate(words):
        switch, equals, _ = word.lstrip("-").partition("=")
        if word.startswith("-") and switch in _KEPT_FLAGS:
            kept += [word] if equals else [word, *words[i + 1 : i + 2]]
    return tuple(kept) if len(kept) > 1 or kept[0] else ()


def _account(spec: _WirePodSpec | _WireSystemPodSpec) -> str:
    """The ServiceAccount by its field or the older one; empty for ``default``."""
    name = spec.service_account_name or spec.service_account
    return "" if name == DEFAULT_ACCOUNT else intern(name)


def _controller(meta: _WireMeta) -> Key | None:
    """The owner by name; a controller before any other; Nodes (mirror pods) do not count."""
    owners = [o for o in meta.owner_references if o.kind != "Node"]
    for owner in owners:
        if owner.controller:
            return owner.kind, owner.name
    return (owners[0].kind, owners[0].name) if owners else None


class _WirePod(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WirePodSpec = _WirePodSpec()
    status: _WirePodStatus = _WirePodStatus()

    def reduce(self, kind: str) -> Pod:
        del kind
        meta, status = self.metadata, self.status
        ips = tuple(i.ip for i in status.pod_ips) or ((status.pod_ip,) if status.pod_ip else ())
        return Pod(
            namespace=intern(meta.namespace),
            name=meta.name,
            labels=meta.labels,
            owner=_controller(meta),
            phase=status.phase,
            node=intern(self.spec.node_name),
            ips=ips,
            ports=_ports(self.spec),
            host_network=self.spec.host_network,
            ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions),
            terminating=meta.deletion_timestamp is not None,
            service_account=_account(self.spec),
        )


class _WireTemplate(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WirePodSpec = _WirePodSpec()


class _WireSystemTemplate(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WireSystemPodSpec = _WireSystemPodSpec()


class _WireWorkloadSpec(APIStruct, frozen=True):
    template: _WireTemplate = _WireTemplate()
    replicas: int | None = None
    service_name: str = ""


class _WireWorkloadStatus(APIStruct, frozen=True):
    conditions: tuple[_WireCondition, ...] = ()


class _WireWorkload(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WireWorkloadSpec = _WireWorkloadSpec()
    status: _WireWorkloadStatus = _WireWorkloadStatus()

    def reduce(self, kind: str) -> Workload:
        template = self.spec.template
        return Workload(
            kind=kind,
            namespace=self.metadata.namespace,
            name=self.metadata.name,
            labels=template.metadata.labels,
            own_labels=self.metadata.labels,
            owner=_controller(self.metadata),
            replicas=1 if self.spec.replicas is None else self.spec.replicas,
            finished=kind == JOB
            and any(c.type in {"Complete", "Failed"} and c.status == "True" for c in self.status.conditions),
            ports=_ports(template.spec),
            host_network=template.spec.host_network,
            service_account=_account(template.spec),
            service_name=self.spec.service_name if kind == STATEFUL_SET else "",
            terminating=self.metadata.deletion_timestamp is not None,
        )


class _WireCronJobSpec(APIStruct, frozen=True):
    job_template: _WireWorkload = _WireWorkload()


class _WireCronJob(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WireCronJobSpec = _WireCronJobSpec()

    def reduce(self, kind: str) -> Workload:
        job = self.spec.job_template.reduce(kind)
        return msgspec.structs.replace(
            job, namespace=self.metadata.namespace, name=self.metadata.name, own_labels=self.metadata.labels, owner=None
        )


class _WireSystemWorkloadSpec(APIStruct, frozen=True):
    template: _WireSystemTemplate = _WireSystemTemplate()
    replicas: int | None = None


class _WireSystemWorkloadStatus(APIStruct, frozen=True):
    desired_number_scheduled: int | None = None
    number_ready: int | None = None
    replicas: int | None = None
    ready_replicas: int | None = None


class _WireSystemWorkload(APIStruct, frozen=True):
    """A DaemonSet or Deployment: what a CNI and its controllers are deployed as."""

    metadata: _WireMeta = _WireMeta()
    spec: _WireSystemWorkloadSpec = _WireSystemWorkloadSpec()
    status: _WireSystemWorkloadStatus = _WireSystemWorkloadStatus()

    def reduce(self, kind: str) -> Workload:
        template, status = self.spec.template, self.status
        daemon = kind == DAEMON_SET
        return Workload(
            kind=kind,
            namespace=self.metadata.namespace,
            name=self.metadata.name,
            labels=template.metadata.labels,
            own_labels=self.metadata.labels,
            owner=_controller(self.metadata),
            replicas=1 if self.spec.replicas is None else self.spec.replicas,
            ports=_ports(template.spec),
            host_network=template.spec.host_network,
            containers=_containers(template.spec),
            desired=status.desired_number_scheduled if daemon else status.replicas,
            ready=status.number_ready if daemon else status.ready_replicas,
            service_account=_account(template.spec),
            terminating=self.metadata.deletion_timestamp is not None,
            node_selector=template.spec.node_selector if daemon else {},
        )


class _WireNamespace(APIStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()

    def reduce(self, kind: str) -> Namespace:
        del kind
        meta = self.metadata
        return Namespace(
            name=meta.name,
            labels={**meta.labels, NAME_LABEL: meta.name},
            annotations={k: v for k, v in meta.annotations.items() if k.startswith(WAIVER_PREFIX)},
            created=meta.creation_timestamp,
            terminating=meta.deletion_timestamp is not None,
        )


class _WireAddress(APIStruct, frozen=True):
    address: str = ""


class _WireNodeInfo(APIStruct, frozen=True):
    kubelet_version: str = ""


class _WireNodeStatus(APIStruct, frozen=True):
    addresses: tuple[_WireAddress, ...] = ()
    node_info: _WireNodeInfo = _WireNodeInfo()


class _WireNodeSpec(APIStruct, frozen=True):
    provider_id: str = field(default="", name="providerID")
    pod_cidr: str = field(default="", name="podCIDR")
    pod_cidrs: tuple[str, ...] = field(default=(), name="podCIDRs")


class _WireNode(APIStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: _WireNodeSpec = _WireNodeSpec()
    status: _WireNodeStatus = _WireNodeStatus()

    def reduce(self, kind: str) -> Node:
        del kind
        return Node(
            name=self.metadata.name,
            labels=self.metadata.labels,
            annotations={k: v for k, v in self.metadata.annotations.items() if k in _NODE_ANNOTATIONS},
            addresses=tuple(a.address for a in self.status.addresses),
            kubelet_version=self.status.node_info.kubelet_version,
            provider_id=self.spec.provider_id,
            pod_cidrs=self.spec.pod_cidrs or ((self.spec.pod_cidr,) if self.spec.pod_cidr else ()),
        )


class _WireConfigMap(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    data: Labels = {}

    def reduce(self, kind: str) -> ConfigMap:
        del kind
        return ConfigMap(self.metadata.namespace, self.metadata.name, self.data)


class _WireLoadBalancerIngress(APIStruct, frozen=True):
    ip: str = ""
    hostname: str = ""


class _WireLoadBalancer(APIStruct, frozen=True):
    ingress: tuple[_WireLoadBalancerIngress, ...] = ()


class _WireServiceStatus(APIStruct, frozen=True):
    load_balancer: _WireLoadBalancer = _WireLoadBalancer()


class _WireService(APIStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: ServiceSpec = ServiceSpec()
    status: _WireServiceStatus = _WireServiceStatus()

    def reduce(self, kind: str) -> Service:
        del kind
        given = self.status.load_balancer.ingress
        return Service(self.metadata, self.spec, tuple(i.ip or i.hostname for i in given if i.ip or i.hostname))


class _WireEndpointConditions(APIStruct, frozen=True):
    ready: bool = True


class _WireEndpoint(APIStruct, frozen=True):
    addresses: tuple[str, ...] = ()
    conditions: _WireEndpointConditions = _WireEndpointConditions()
    node_name: str = ""


class _WireSlicePort(APIStruct, frozen=True):
    name: str = ""
    port: int | None = None
    protocol: Protocol = "TCP"


class _WireEndpointSlice(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    endpoints: tuple[_WireEndpoint, ...] | None = None
    ports: tuple[_WireSlicePort, ...] | None = None

    def reduce(self, kind: str) -> EndpointSlice:
        del kind
        return _slice(
            self.metadata.namespace,
            self.metadata.name,
            self.metadata.labels.get("kubernetes.io/service-name", ""),
            [(a, e.node_name, e.conditions.ready) for e in self.endpoints or () for a in e.addresses],
            self.ports or (),
        )


def _slice(
    namespace: str, name: str, service: str, endpoints: list[tuple[str, str, bool]], ports: Iterable[_WireSlicePort]
) -> EndpointSlice:
    """The record of a slice with these endpoints, each of them address, node and whether it is ready."""
    unready = tuple(dict.fromkeys(address for address, _, ready in endpoints if not ready))
    if unready:
        ready_too = {address for address, _, ready in endpoints if ready}
        unready = tuple(address for address in unready if address not in ready_too)
    nodes = tuple(intern(node) for _, node, _ in endpoints)
    return EndpointSlice(
        namespace=intern(namespace),
        name=name,
        service=service,
        addresses=tuple(address for address, _, _ in endpoints),
        ports=tuple(ContainerPort(p.port, p.name, p.protocol) for p in ports if p.port is not None),
        unready=unready,
        nodes=nodes if any(nodes) else (),
    )


class _WireEndpointAddress(_WireIP, frozen=True):
    node_name: str = ""


class _WireSubset(APIStruct, frozen=True):
    addresses: tuple[_WireEndpointAddress, ...] = ()
    not_ready_addresses: tuple[_WireEndpointAddress, ...] = ()
    ports: tuple[_WireSlicePort, ...] = ()


class _WireEndpoints(APIStruct, frozen=True):
    """The slice that mirrors it: a Service without a selector may be filled in the old way.

    Source: k8s.io/kubernetes pkg/controller/endpointslicemirroring.
    """

    metadata: _WireMeta = _WireMeta()
    subsets: tuple[_WireSubset, ...] = ()

    def reduce(self, kind: str) -> EndpointSlice:
        del kind
        return _slice(
            self.metadata.namespace,
            f"{self.metadata.name}-endpoints",
            self.metadata.name,
            [
                (address.ip, address.node_name, ready)
                for subset in self.subsets
                for ready, addresses in ((True, subset.addresses), (False, subset.not_ready_addresses))
                for address in addresses
            ],
            (port for subset in self.subsets for port in subset.ports),
        )


class _WireBackendPort(APIStruct, frozen=True):
    number: int | None = None
    name: str = ""


class _WireIngressService(APIStruct, frozen=True):
    name: str = ""
    port: _WireBackendPort = _WireBackendPort()


class _WireIngressBackend(APIStruct, frozen=True):
    service: _WireIngressService = _WireIngressService()


class _WireIngressPath(APIStruct, frozen=True):
    backend: _WireIngressBackend = _WireIngressBackend()


class _WireIngressHTTP(APIStruct, frozen=True):
    paths: tuple[_WireIngressPath, ...] = ()


class _WireIngressRule(APIStruct, frozen=True):
    host: str = ""
    http: _WireIngressHTTP = _WireIngressHTTP()


class _WireIngressSpec(APIStruct, frozen=True):
    default_backend: _WireIngressBackend = _WireIngressBackend()
    rules: tuple[_WireIngressRule, ...] = ()
    ingress_class_name: str = ""


class _WireIngressAnnotations(APIStruct, frozen=True):
    class_name: str = field(default="", name=CLASS_ANNOTATION)


class _WireIngressMeta(APIStruct, frozen=True):
    name: str = ""
    namespace: str = ""
    labels: Labels = {}
    deletion_timestamp: str | None = None
    annotations: _WireIngressAnnotations = _WireIngressAnnotations()


class _WireIngress(APIStruct, frozen=True):
    metadata: _WireIngressMeta = _WireIngressMeta()
    spec: _WireIngressSpec = _WireIngressSpec()

    def reduce(self, kind: str) -> Ingress:
        del kind
        backends = [self.spec.default_backend, *(p.backend for r in self.spec.rules for p in r.http.paths)]
        services = [b.service for b in backends if b.service.name]
        return Ingress(
            namespace=self.metadata.namespace,
            name=self.metadata.name,
            backends=tuple(dict.fromkeys((s.name, s.port.number or s.port.name or None) for s in services)),
            class_name=self.spec.ingress_class_name or self.metadata.annotations.class_name,
            hosts=_of_two_labels(rule.host for rule in self.spec.rules),
            terminating=self.metadata.deletion_timestamp is not None,
            own_labels=_identity(self.metadata.labels),
        )


def _identity(labels: Labels) -> Labels:
    return {key: labels[key] for key in IDENTITY_LABELS if key in labels}


def _of_two_labels(hosts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(host.lower() for host in hosts if host.count(".") == 1))


class _WireClassAnnotations(APIStruct, frozen=True):
    default: str = field(default="", name=DEFAULT_CLASS)


class _WireClassMeta(APIStruct, frozen=True):
    name: str = ""
    annotations: _WireClassAnnotations = _WireClassAnnotations()


class _WireClassSpec(APIStruct, frozen=True):
    controller: str = ""


class _WireIngressClass(APIStruct, frozen=True):
    metadata: _WireClassMeta = _WireClassMeta()
    spec: _WireClassSpec = _WireClassSpec()

    def reduce(self, kind: str) -> IngressClass:
        del kind
        default = self.metadata.annotations.default == "true"
        return IngressClass(self.metadata.name, self.spec.controller, default)


class _WireBackendRef(APIStruct, frozen=True):
    name: str
    namespace: str = ""
    group: str = ""
    kind: str = "Service"
    port: int | None = None


class _WireRouteRule(APIStruct, frozen=True):
    backend_refs: tuple[_WireBackendRef, ...] = ()


class _WireRouteSpec(APIStruct, frozen=True):
    hostnames: tuple[str, ...] = ()
    rules: tuple[_WireRouteRule, ...] = ()


class _WireHTTPRoute(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WireRouteSpec = _WireRouteSpec()

    def reduce(self, kind: str) -> HTTPRoute:
        del kind
        own = self.metadata.namespace
        backends = (
            ServiceReference(b.namespace or own, b.name, b.port)
            for rule in self.spec.rules
            for b in rule.backend_refs
            if (b.group, b.kind) == ("", "Service")
        )
        terminating = self.metadata.deletion_timestamp is not None
        hosts = _of_two_labels(self.spec.hostnames)
        return HTTPRoute(own, self.metadata.name, tuple(dict.fromkeys(backends)), hosts, terminating)


class _WireServiceCIDRSpec(APIStruct, frozen=True):
    cidrs: tuple[str, ...] = ()


class _WireServiceCIDR(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WireServiceCIDRSpec = _WireServiceCIDRSpec()

    def reduce(self, kind: str) -> ServiceCIDR:
        del kind
        return ServiceCIDR(self.metadata.name, self.spec.cidrs)


# --- what the API server itself calls, and who may call it


class _WireServiceReference(APIStruct, frozen=True):
    namespace: str = ""
    name: str = ""
    port: int = 443

    def reduce(self) -> ServiceReference:
        return ServiceReference(self.namespace, self.name, self.port)


class _WireClientConfig(APIStruct, frozen=True):
    service: _WireServiceReference | None = None


class _WireWebhook(APIStruct, frozen=True):
    client_config: _WireClientConfig = _WireClientConfig()
    failure_policy: str = "Fail"


class _WireWebhooks(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    webhooks: tuple[_WireWebhook, ...] = ()

    def reduce(self, kind: str) -> WebhookConfiguration:
        return WebhookConfiguration(
            kind,
            self.metadata.name,
            tuple(
                AdmissionWebhook(w.client_config.service.reduce(), w.failure_policy)
                for w in self.webhooks
                if w.client_config.service is not None
            ),
            self.metadata.deletion_timestamp is not None,
        )


class _WireAPIServiceSpec(APIStruct, frozen=True):
    service: _WireServiceReference | None = None


class _WireAPIService(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WireAPIServiceSpec = _WireAPIServiceSpec()

    def reduce(self, kind: str) -> APIService:
        del kind
        service = self.spec.service.reduce() if self.spec.service else None
        meta = self.metadata
        return APIService(meta.name, service, meta.deletion_timestamp is not None, _identity(meta.labels))


class _WireRoleRef(APIStruct, frozen=True):
    kind: str = ""
    name: str = ""


class _WireSubject(APIStruct, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""

    def accounts(self, own_namespace: str) -> Key | None:
        """The ServiceAccounts that it stands for; None for other users.

        Source: k8s.io/apiserver pkg/authentication/serviceaccount util.go: accounts as users and groups.
        """
        if self.kind == "ServiceAccount":
            return intern(self.namespace or own_namespace), intern(self.name)
        prefix, _, rest = self.name.partition(":serviceaccount")
        if prefix != "system" or self.kind not in ("User", "Group"):
            return None
        match self.kind, rest.split(":"):
            case "User", ["", namespace, name]:
                return intern(namespace), intern(name)
            case "Group", ["s"]:
                return EVERY, EVERY
            case "Group", ["s", namespace]:
                return intern(namespace), EVERY
            case _:
                return None


class _WireBinding(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    role_ref: _WireRoleRef = _WireRoleRef()
    subjects: tuple[_WireSubject, ...] = ()

    def reduce(self, kind: str) -> RoleBinding:
        accounts = (s.accounts(self.metadata.namespace) for s in self.subjects)
        return RoleBinding(
            kind,
            self.metadata.namespace,
            self.metadata.name,
            intern(self.role_ref.name),
            self.role_ref.kind == "ClusterRole",
            tuple(dict.fromkeys(a for a in accounts if a is not None)),
        )


class _WirePolicyRule(APIStruct, frozen=True):
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def reads_policies(self) -> bool:
        return (
            "networking.k8s.io" in self.api_groups
            and "networkpolicies" in self.resources
            and not {"list", "watch"}.isdisjoint(self.verbs)
        )


class _WireClusterRole(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    rules: tuple[_WirePolicyRule, ...] = ()

    def reduce(self, kind: str) -> ClusterRole:
        del kind
        return ClusterRole(self.metadata.name, any(rule.reads_policies for rule in self.rules))


# --- what a CNI keeps in a kind of its own


class _WireNodeConfigSpec(APIStruct, frozen=True):
    defaults: Labels = {}


class _WireCiliumNodeConfig(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WireNodeConfigSpec = _WireNodeConfigSpec()

    def reduce(self, kind: str) -> EngineSetting:
        return EngineSetting(kind, self.metadata.namespace, self.metadata.name, self.spec.defaults)


class _WireNodeClassSpec(APIStruct, frozen=True):
    network_policy: str = ""


class _WireNodeClass(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WireNodeClassSpec = _WireNodeClassSpec()

    def reduce(self, kind: str) -> EngineSetting:
        data = {"networkPolicy": self.spec.network_policy} if self.spec.network_policy else {}
        return EngineSetting(kind, "", self.metadata.name, data)


class _WireClusterNetwork(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    plugin_name: str = ""

    def reduce(self, kind: str) -> EngineSetting:
        data = {"pluginName": self.plugin_name} if self.plugin_name else {}
        return EngineSetting(kind, "", self.metadata.name, data)


# --- policies of administrators


class _WirePods(APIStruct, frozen=True):
    namespace_selector: LabelSelector = LabelSelector()
    pod_selector: LabelSelector = LabelSelector()


class _WireAdminPeer(APIStruct, frozen=True):
    namespaces: LabelSelector | None = None
    pods: _WirePods | None = None
    nodes: LabelSelector | None = None
    networks: tuple[str, ...] = ()
    domain_names: tuple[str, ...] = ()

    def reduce(self) -> AdminPeer:
        if self.pods is not None:
            return AdminPeer(namespaces=self.pods.namespace_selector, pods=self.pods.pod_selector)
        return AdminPeer(self.namespaces, None, self.nodes, self.networks, self.domain_names)


class _WirePortNumber(APIStruct, frozen=True):
    port: int
    protocol: Protocol = "TCP"


class _WirePortRange(APIStruct, frozen=True):
    start: int
    end: int
    protocol: Protocol = "TCP"


class _WireAdminPort(APIStruct, frozen=True):
    port_number: _WirePortNumber | None = None
    port_range: _WirePortRange | None = None
    named_port: str = ""

    def reduce(self) -> AdminPort:
        if self.port_number is not None:
            return AdminPort(self.port_number.protocol, self.port_number.port, self.port_number.port)
        if self.port_range is not None:
            return AdminPort(self.port_range.protocol, self.port_range.start, self.port_range.end)
        return AdminPort(name=self.named_port)


class _WireAdminRule(APIStruct, frozen=True):
    action: Literal["Allow", "Deny", "Pass"]
    sources: tuple[_WireAdminPeer, ...] = field(default=(), name="from")
    destinations: tuple[_WireAdminPeer, ...] = field(default=(), name="to")
    ports: tuple[_WireAdminPort, ...] = ()

    def reduce(self) -> AdminRule:
        return AdminRule(
            "Accept" if self.action == "Allow" else self.action,
            tuple(p.reduce() for p in (*self.sources, *self.destinations)),
            tuple(p.reduce() for p in self.ports),
        )


class _WireAdminSpec(APIStruct, frozen=True):
    subject: _WireAdminPeer = _WireAdminPeer()
    priority: int = 0
    ingress: tuple[_WireAdminRule, ...] = ()
    egress: tuple[_WireAdminRule, ...] = ()


class _WireAdminPolicy(APIStruct, frozen=True):
    metadata: _WireMeta = _WireMeta()
    spec: _WireAdminSpec = _WireAdminSpec()

    def reduce(self, kind: str) -> AdminPolicy:
        return AdminPolicy(
            kind,
            self.metadata.name,
            "Baseline" if kind == BASELINE_ADMIN_NETWORK_POLICY else "Admin",
            self.spec.priority,
            self.spec.subject.reduce(),
            tuple(r.reduce() for r in self.spec.ingress),
            tuple(r.reduce() for r in self.spec.egress),
        )


class _WireRange(APIStruct, frozen=True):
    start: int
    end: int


class _WireDestination(APIStruct, frozen=True):
    number: int = 0
    range: _WireRange | None = None


class _WireMatch(APIStruct, frozen=True):
    destination_port: _WireDestination = _WireDestination()

    def reduce(self, protocol: Protocol) -> AdminPort:
        port = self.destination_port
        if port.range is not None:
            return AdminPort(protocol, port.range.start, port.range.end)
        return AdminPort(protocol, port.number or 1, port.number or 65535)


class _WireClusterProtocol(APIStruct, frozen=True):
    tcp: _WireMatch | None = None
    udp: _WireMatch | None = None
    sctp: _WireMatch | None = None
    destination_named_port: str = ""

    def reduce(self) -> AdminPort:
        for protocol, match in (("TCP", self.tcp), ("UDP", self.udp), ("SCTP", self.sctp)):
            if match is not None:
                return match.reduce(protocol)
        return AdminPort(name=self.destination_named_port)


class _WireClusterRule(APIStruct, frozen=True):
    action: Literal["Accept", "Deny", "Pass"]
    sources: tuple[_WireAdminPeer, ...] = field(default=(), name="from")
    destinations: tuple[_WireAdminPeer, ...] = field(default=(), name="to")
    protocols: tuple[_WireClusterProtocol, ...] = ()

    def reduce(self) -> AdminRule:
        return AdminRule(
            self.action,
            tuple(p.reduce() for p in (*self.sources, *self.destinations)),
            tuple(p.reduce() for p in self.protocols),
        )


class _WireClusterSpec(APIStruct, frozen=True):
    tier: Literal["Admin", "Baseline"]
    priority: int
    subject: _WireAdminPeer = _WireAdminPeer()
    ingress: tuple[_WireClusterRule, ...] = ()
    egress: tuple[_WireClusterRule, ...] = ()


class _WireClusterPolicy(APIStruct, frozen=True):
    spec: _WireClusterSpec
    metadata: _WireMeta = _WireMeta()

    def reduce(self, kind: str) -> AdminPolicy:
        return AdminPolicy(
            kind,
            self.metadata.name,
            self.spec.tier,
            self.spec.priority,
            self.spec.subject.reduce(),
            tuple(r.reduce() for r in self.spec.ingress),
            tuple(r.reduce() for r in self.spec.egress),
        )


_SHAPES: Final[dict[str, type[Any]]] = {
    NAMESPACE: _WireNamespace,
    POD: _WirePod,
    SERVICE: _WireService,
    NODE: _WireNode,
    CONFIG_MAP: _WireConfigMap,
    ENDPOINT_SLICE: _WireEndpointSlice,
    ENDPOINTS: _WireEndpoints,
    NETWORK_POLICY: NetworkPolicy,
    INGRESS: _WireIngress,
    INGRESS_CLASS: _WireIngressClass,
    HTTP_ROUTE: _WireHTTPRoute,
    SERVICE_CIDR: _WireServiceCIDR,
    VALIDATING_WEBHOOKS: _WireWebhooks,
    MUTATING_WEBHOOKS: _WireWebhooks,
    API_SERVICE: _WireAPIService,
    ROLE_BINDING: _WireBinding,
    CLUSTER_ROLE_BINDING: _WireBinding,
    CLUSTER_ROLE: _WireClusterRole,
    CILIUM_NODE_CONFIG: _WireCiliumNodeConfig,
    NODE_CLASS: _WireNodeClass,
    CLUSTER_NETWORK: _WireClusterNetwork,
    ADMIN_NETWORK_POLICY: _WireAdminPolicy,
    BASELINE_ADMIN_NETWORK_POLICY: _WireAdminPolicy,
    CLUSTER_NETWORK_POLICY: _WireClusterPolicy,
    **dict.fromkeys(CALICO_POLICIES, WireCalicoPolicy),
    **dict.fromkeys(CILIUM_POLICIES, WireCiliumPolicy),
    **dict.fromkeys(ANTREA_POLICIES, WireAntreaPolicy),
    DEPLOYMENT: _WireSystemWorkload,
    DAEMON_SET: _WireSystemWorkload,
    REPLICA_SET: _WireWorkload,
    STATEFUL_SET: _WireWorkload,
    JOB: _WireWorkload,
    CRON_JOB: _WireCronJob,
}
_DECODERS: Final = {kind: msgspec.json.Decoder(shape) for kind, shape in _SHAPES.items()}


def decode(kind: str, raw: bytes | msgspec.Raw) -> Record:
    """Decodes one object of a kind (`KINDS`) from the API's JSON.

    Raises:
        DecodeError: not JSON, or not of the kind's shape.
    """
    try:
        decoded = _DECODERS[kind].decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # null where the API means "absent" is legal and rare: the slow way accepts it, and names what is wrong.
        try:
            data = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"not JSON: {error}") from None
        return convert(kind, data)
    return _reduce(kind, decoded)


def convert(kind: str, data: Mapping[str, Any]) -> Record:
    """Makes the record of an object of a kind (`KINDS`) from parsed YAML or JSON.

    Raises:
        DecodeError: not of the kind's shape; with the field's path.
    """
    shape = _SHAPES[kind]
    try:
        # Nearly no object has nulls where the shape has none: looking for them first would cost more than all the rest.
        return _reduce(kind, msgspec.convert(data, shape))
    except (msgspec.ValidationError, RecursionError):
        pass
    try:
        return _reduce(kind, msgspec.convert(without_nulls(data), shape))
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise DecodeError(message, path.rstrip("`").removeprefix("$.").removeprefix("$")) from None
    except RecursionError:
        raise DecodeError("nested too deeply") from None


def convert_template(kind: str, data: Mapping[str, Any]) -> Workload | None:
    """The workload that an object of any other kind is when it has a pod template with labels; else None."""
    spec = data.get("spec")
    template = spec.get("template") if isinstance(spec, Mapping) else None
    metadata = template.get("metadata") if isinstance(template, Mapping) else None
    if not isinstance(metadata, Mapping) or not metadata.get("labels"):
        return None
    try:
        return msgspec.convert(without_nulls(data), _WireWorkload).reduce(kind)
    except (msgspec.ValidationError, RecursionError):
        return None  # it looks like a workload, and is none


def without_nulls(value: Any) -> Any:
    """Drops null fields, as Go's decoder does; null in a list is the empty object (facts 2.1.6)."""
    if isinstance(value, Mapping):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [{} if v is None else without_nulls(v) for v in value]
    return value


def _reduce(kind: str, decoded: Any) -> Record:
    record: Record = decoded if isinstance(decoded, NetworkPolicy) else decoded.reduce(kind)
    return record
