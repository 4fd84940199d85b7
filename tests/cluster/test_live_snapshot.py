"""A snapshot of a live cluster and the live cluster give the same answers, and the snapshot tells no secrets."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.model.objects import KINDS, NODE, POD
from webhook.state.watch import RESOURCES

from . import custom_resources
from .control_plane import ControlPlane
from .installed_webhook import InstalledWebhook
from .objects import present, read

SECRET = "hunter2"
SECRETS = f"""
apiVersion: v1
kind: Secret
metadata: {{name: api, namespace: snap-shop}}
stringData: {{password: {SECRET}-secret}}
"""
STATE = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: snap-shop, labels: {{team: shop}}, annotations: {{netadmit.io/ignore.port-not-declared: "undeclared on purpose", note: {SECRET}-ns}}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: snap-data, labels: {{team: data}}}}
---
apiVersion: v1
kind: Node
metadata: {{name: snap-node, annotations: {{k3s.io/node-args: '["server"]', note: {SECRET}-node}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: cilium, namespace: kube-system}}
spec:
  template:
    metadata: {{labels: {{k8s-app: cilium}}}}
    spec:
      hostNetwork: true
      containers:
        - name: cilium-agent
          image: quay.io/cilium/cilium:v1.18.4
          command: [cilium-agent]
          args: ["--config-dir=/tmp/cilium/config-map", "--token={SECRET}-agent"]
          env: [{{name: TOKEN, value: {SECRET}-agent-env}}]
status: {{desiredNumberScheduled: 2, numberReady: 2}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: cilium-config, namespace: kube-system, annotations: {{note: {SECRET}-map}}}}
data: {{enable-policy: default}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: coredns, namespace: kube-system}}
data: {{Corefile: ".:53 {{\\n  kubernetes snap.example in-addr.arpa\\n}}\\n"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: api, namespace: snap-shop}}
data: {{password: {SECRET}-config}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api, namespace: snap-shop, annotations: {{note: {SECRET}-deployment}}}}
spec:
  replicas: 2
  template:
    metadata: {{labels: {{app: api, tier: back}}, annotations: {{note: {SECRET}-template}}}}
    spec:
      initContainers:
        - {{name: proxy, restartPolicy: Always, ports: [{{name: metrics, containerPort: 9901}}]}}
      containers:
        - name: api
          command: [/bin/api, --password={SECRET}-command]
          args: [--token, {SECRET}-argument]
          env: [{{name: PASSWORD, value: {SECRET}-env}}]
          ports: [{{name: http, containerPort: 8080}}, {{name: dns, containerPort: 5353, protocol: UDP}}]
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: api-5d9f
  namespace: snap-shop
  ownerReferences: [{{kind: Deployment, name: api, controller: true}}]
spec:
  replicas: 2
  template:
    metadata: {{labels: {{app: api, tier: back, pod-template-hash: 5d9f}}}}
    spec: {{containers: [{{name: api, ports: [{{name: http, containerPort: 8080}}]}}]}}
---
apiVersion: v1
kind: Pod
metadata:
  name: api-5d9f-x
  namespace: snap-shop
  labels: {{app: api, tier: back, pod-template-hash: 5d9f}}
  annotations: {{note: {SECRET}-pod}}
  ownerReferences: [{{kind: ReplicaSet, name: api-5d9f, controller: true}}]
spec:
  containers: [{{name: api, env: [{{name: PASSWORD, value: {SECRET}-pod-env}}], args: [{SECRET}-pod-argument], ports: [{{name: http, containerPort: 8080}}]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: stuck, namespace: snap-shop, labels: {{app: stuck}}}}
status: {{phase: Pending, conditions: []}}
---
apiVersion: v1
kind: Pod
metadata: {{name: finished, namespace: snap-shop, labels: {{app: finished}}}}
status: {{phase: Succeeded}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db, namespace: snap-data}}
spec:
  template:
    metadata: {{labels: {{app: db}}}}
    spec: {{containers: [{{name: db, ports: [{{name: postgres, containerPort: 5432}}]}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: batch, namespace: snap-data}}
spec:
  replicas: 0
  template:
    metadata: {{labels: {{app: batch, tier: back}}}}
    spec: {{containers: [{{name: batch, ports: [{{containerPort: 7000}}]}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: db-0, namespace: snap-data, labels: {{app: db, statefulset.kubernetes.io/pod-name: db-0}}, ownerReferences: [{{kind: StatefulSet, name: db, controller: true}}]}}
spec: {{containers: [{{name: db, ports: [{{name: postgres, containerPort: 5432}}]}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: lone, namespace: snap-data, labels: {{app: lone}}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: report, namespace: snap-data}}
spec: {{jobTemplate: {{spec: {{template: {{metadata: {{labels: {{app: report}}}}}}}}}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: migrate, namespace: snap-data}}
spec: {{template: {{metadata: {{labels: {{app: migrate}}}}}}}}
status: {{active: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: api, namespace: snap-shop, annotations: {{note: {SECRET}-service}}}}
spec: {{selector: {{app: api}}, ports: [{{name: web, port: 80, targetPort: http}}, {{name: gone, port: 81, targetPort: grpc}}, {{name: other, port: 82, targetPort: 1234}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: slip, namespace: snap-shop}}
spec: {{selector: {{app: apii}}, ports: [{{port: 80}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: elsewhere, namespace: snap-shop}}
spec: {{selector: {{app: lone}}, ports: [{{port: 80}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: of-helm, namespace: snap-shop, annotations: {{meta.helm.sh/release-name: shop}}}}
spec: {{selector: {{app: lone}}, ports: [{{port: 80}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: of-an-operator, namespace: snap-shop, ownerReferences: [{{apiVersion: example.com/v1, kind: Database, name: db, controller: true}}]}}
spec: {{selector: {{app: lone}}, ports: [{{port: 80}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: both, namespace: snap-data}}
spec: {{selector: {{tier: back}}, ports: [{{port: 80, targetPort: 7000}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: legacy, namespace: snap-data}}
spec: {{ports: [{{port: 5432}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: global, namespace: snap-data, annotations: {{service.cilium.io/global: "true"}}}}
spec: {{ports: [{{port: 5432}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: sliced, namespace: snap-data}}
spec: {{ports: [{{port: 5432}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: sliced-1, namespace: snap-data, labels: {{kubernetes.io/service-name: sliced}}, annotations: {{note: {SECRET}-slice}}}}
addressType: IPv6
endpoints: [{{addresses: ["2001:db8::7"]}}]
ports: [{{port: 5432, name: "", protocol: TCP}}]
---
apiVersion: v1
kind: Service
metadata: {{name: alias, namespace: snap-shop}}
spec: {{type: ExternalName, externalName: db.snap-data.svc.cluster.local}}
---
apiVersion: v1
kind: Service
metadata: {{name: address, namespace: snap-shop}}
spec: {{type: ExternalName, externalName: 192.0.2.7}}
---
apiVersion: v1
kind: Service
metadata: {{name: routed-address, namespace: snap-shop}}
spec: {{type: ExternalName, externalName: 192.0.2.8}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: routed, namespace: snap-shop, annotations: {{note: {SECRET}-ingress}}}}
spec:
  rules: [{{host: a.example, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: routed-address, port: {{number: 80}}}}}}}}]}}}}]
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: snap-class, annotations: {{ingressclass.kubernetes.io/is-default-class: "true", note: {SECRET}-class}}}}
spec: {{controller: example.com/ingress, parameters: {{apiGroup: example.com, kind: Secret, name: {SECRET}-parameters}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: routed, namespace: snap-data, annotations: {{note: {SECRET}-route}}}}
spec:
  rules:
    - matches: [{{headers: [{{name: Authorization, value: {SECRET}-header}}]}}]
      backendRefs: [{{name: both, port: 80}}, {{name: api, namespace: snap-shop, port: 81}}, {{group: example.com, kind: Bucket, name: {SECRET}-bucket}}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {{name: snap-admin, annotations: {{note: {SECRET}-admin}}}}
spec:
  priority: 7
  subject: {{pods: {{namespaceSelector: {{matchLabels: {{team: shop}}}}, podSelector: {{}}}}}}
  ingress: [{{name: a, action: Pass, from: [{{namespaces: {{}}}}], ports: [{{portNumber: {{protocol: TCP, port: 80}}}}, {{portRange: {{protocol: UDP, start: 5, end: 9}}}}]}}]
  egress: [{{action: Deny, to: [{{networks: [10.99.0.0/16]}}, {{nodes: {{}}}}], ports: [{{namedPort: metrics}}]}}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {{name: default}}
spec: {{subject: {{namespaces: {{matchLabels: {{team: none}}}}}}, egress: [{{action: Allow, to: [{{namespaces: {{}}}}]}}]}}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: snap-cluster, annotations: {{note: {SECRET}-cluster}}}}
spec:
  tier: Baseline
  priority: 3
  subject: {{namespaces: {{matchLabels: {{team: none}}}}}}
  egress: [{{action: Accept, to: [{{domainNames: [example.com]}}], protocols: [{{tcp: {{destinationPort: {{number: 443}}}}}}]}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: http, namespace: snap-shop, annotations: {{note: {SECRET}-cilium}}}}
specs:
  - description: {SECRET}-description
    endpointSelector: {{matchLabels: {{"k8s:app": nobody}}}}
    ingress: [{{fromEntities: [cluster], toPorts: [{{ports: [{{port: "80"}}], rules: {{http: [{{path: /{SECRET}-path}}]}}}}]}}]
    egressDeny: [{{toFQDNs: [{{matchName: {SECRET}-name.example.com}}]}}]
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {{name: snap-host}}
spec: {{nodeSelector: {{}}, ingress: [{{fromEntities: [world]}}], enableDefaultDeny: {{ingress: false}}}}
---
apiVersion: cilium.io/v2
kind: CiliumNodeConfig
metadata: {{name: edge, namespace: kube-system, annotations: {{note: {SECRET}-node-config}}}}
spec: {{nodeSelector: {{matchLabels: {{edge: "true"}}}}, defaults: {{mtu: "1400"}}}}
---
apiVersion: crd.projectcalico.org/v1
kind: NetworkPolicy
metadata: {{name: default.first, namespace: snap-shop}}
spec: {{order: 10.5, selector: app == 'nobody' && has(tier), ingress: [{{action: Allow, source: {{selector: role == '{SECRET}-role'}}}}]}}
---
apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkPolicy
metadata: {{name: platform.last, annotations: {{note: {SECRET}-calico}}}}
spec: {{tier: platform, namespaceSelector: has(nobody), serviceAccountSelector: role == '{SECRET}-role', types: [Egress]}}
---
apiVersion: crd.antrea.io/v1beta1
kind: NetworkPolicy
metadata: {{name: antrea, namespace: snap-shop}}
spec: {{priority: 5, ingress: [{{action: Drop, name: {SECRET}-rule, appliedTo: [{{podSelector: {{}}}}, {{group: {SECRET}-group}}]}}, {{action: Allow}}]}}
---
apiVersion: crd.antrea.io/v1beta1
kind: ClusterNetworkPolicy
metadata: {{name: snap-antrea}}
spec: {{priority: 5, tier: baseline, appliedTo: [{{namespaceSelector: {{}}}}], egress: [{{action: Reject, to: [{{fqdn: {SECRET}-name.example.com}}]}}]}}
---
apiVersion: eks.amazonaws.com/v1
kind: NodeClass
metadata: {{name: default}}
spec: {{networkPolicy: DefaultDeny, role: {SECRET}-role}}
---
apiVersion: network.openshift.io/v1
kind: ClusterNetwork
metadata: {{name: default, annotations: {{note: {SECRET}-network}}}}
pluginName: redhat/openshift-ovs-networkpolicy
hostsubnetlength: 9
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: snap-validating, annotations: {{note: {SECRET}-validating}}}}
webhooks:
  - name: a.example.com
    clientConfig: {{service: {{namespace: snap-shop, name: api, path: /{SECRET}-path, port: 81}}}}
    rules: [{{apiGroups: [example.com], apiVersions: ["*"], operations: ["*"], resources: [none]}}]
    failurePolicy: Ignore
    sideEffects: None
    admissionReviewVersions: [v1]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {{name: snap-mutating}}
webhooks:
  - name: a.example.com
    clientConfig: {{url: "https://{SECRET}-url.example.com"}}
    rules: [{{apiGroups: [example.com], apiVersions: ["*"], operations: ["*"], resources: [none]}}]
    sideEffects: None
    admissionReviewVersions: [v1]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {{name: v1.snap.example.com, annotations: {{note: {SECRET}-api}}}}
spec: {{group: snap.example.com, version: v1, service: {{namespace: snap-shop, name: api}}, insecureSkipTLSVerify: true, groupPriorityMinimum: 1000, versionPriority: 10}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: api, namespace: snap-shop, annotations: {{note: {SECRET}-binding}}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: api}}
subjects:
  - {{kind: ServiceAccount, namespace: snap-shop, name: api}}
  - {{apiGroup: rbac.authorization.k8s.io, kind: User, name: {SECRET}-user}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: snap-accounts}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: snap}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:serviceaccounts:snap-shop"}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: sound, namespace: snap-shop, annotations: {{note: {SECRET}-policy}}}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{team: data}}}}, podSelector: {{matchLabels: {{app: db}}}}}}], ports: [{{port: http}}, {{port: 8080}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: ports, namespace: snap-shop}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  ingress: [{{ports: [{{port: grpc}}, {{port: 80}}, {{port: 5353}}, {{port: 4711}}, {{port: 8080, protocol: UDP}}, {{port: 9000, endPort: 9010}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: dead, namespace: snap-shop}}
spec: {{podSelector: {{}}, policyTypes: [Ingress], egress: [{{ports: [{{port: 443}}]}}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: never, namespace: snap-shop}}
spec: {{podSelector: {{matchExpressions: [{{key: app, operator: In, values: [a]}}, {{key: app, operator: NotIn, values: [a]}}]}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: peers, namespace: snap-shop}}
spec:
  podSelector: {{matchLabels: {{app: stuck}}}}
  ingress:
    - from: [{{namespaceSelector: {{matchLabels: {{name: snap-data}}}}}}]
    - from: [{{namespaceSelector: {{matchLabels: {{team: data}}}}}}, {{podSelector: {{matchLabels: {{app: db}}}}}}]
    - from: [{{podSelector: {{matchLabels: {{app: apy}}}}}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: nobody, namespace: snap-shop, annotations: {{netadmit.io/ignore.selector-matches-nothing: "comes on Monday", note: {SECRET}-waived}}}}
spec: {{podSelector: {{matchLabels: {{app: finished}}}}, policyTypes: [Ingress, Egress]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: nobody-else, namespace: snap-shop, labels: {{heritage: Helm}}}}
spec: {{podSelector: {{matchLabels: {{app: lone}}}}}}
"""  # noqa: E501 - an object a line where it can be
DROPPED = f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: dropped, namespace: snap-shop, annotations: {{note: {SECRET}-applied}}}}
spec: {{podSelector: {{app: api}}, policyTypes: [Ingress]}}
"""
SPEAKING = {
    "external-name-is-ip",
    "external-name-not-found",
    "named-port-unresolved",
    "namespace-not-found",
    "peer-matches-nothing",
    "peers-or-not-and",
    "protocol-mismatch",
    "rules-without-policy-type",
    "selector-can-never-match",
    "selector-matches-nothing",
    "selects-whole-namespace-by-accident",
    "service-port-not-pod-port",
    "service-selects-nothing",
    "service-without-endpoints",
    "target-port-not-declared",
    "target-port-unresolved",
}
"""The checks that have something to say about it."""
FILES = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: new, namespace: snap-shop}
spec:
  podSelector: {matchLabels: {app: apj}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {name: snap-data}}}], ports: [{port: https}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: lost, namespace: snap-shp}
spec: {podSelector: {}}
---
apiVersion: v1
kind: Service
metadata: {name: new, namespace: snap-data}
spec: {selector: {app: db}, ports: [{port: 80, targetPort: https}]}
---
apiVersion: v1
kind: Service
metadata: {name: new-alias, namespace: snap-data}
spec: {type: ExternalName, externalName: apii.snap-shop.svc.snap.example}
"""


class Views:
    """What `netadmit` answers from the live cluster and from a snapshot of it, as some user."""

    def __init__(self, webhook: InstalledWebhook, kubeconfig: Path, folder: Path) -> None:
        self._webhook = webhook
        self._live = f"--kubeconfig={kubeconfig}"
        taken = webhook.netadmit("snapshot", self._live)
        assert taken.returncode == 0, taken.stderr
        self.snapshot, self.said = taken.stdout, taken.stderr
        self._file = folder / "snapshot.yaml"
        self._file.write_text(self.snapshot)

    @property
    def kinds(self) -> list[str]:
        """The kinds that the snapshot calls complete."""
        return list(next(iter(yaml.safe_load_all(self.snapshot)))["kinds"])

    def live(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        return self._ask(*arguments, self._live)

    def later(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        return self._ask(*arguments, f"--cluster={self._file}")

    def _ask(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = self._webhook.netadmit(*arguments, "-o", "json")
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)


def assert_same(later: tuple[int, dict[str, Any]], live: tuple[int, dict[str, Any]]) -> None:
    for part in ("findings", "waived"):
        for finding in live[1][part]:
            assert finding in later[1][part], "only the live cluster tells it"
        for finding in later[1][part]:
            assert finding in live[1][part], "only the snapshot tells it"
    assert later == live


@pytest.fixture(scope="module")
def state(control_plane: ControlPlane) -> Iterator[None]:
    with custom_resources.installed(control_plane), present(control_plane, read(STATE)):
        control_plane.kubectl("apply", "-f-", stdin=SECRETS)
        control_plane.kubectl("apply", "--validate=false", "-f-", stdin=DROPPED)
        yield
        control_plane.kubectl("delete", "-f-", stdin=SECRETS)


@pytest.fixture(scope="module")
def views(state: None, installed_webhook: InstalledWebhook, tmp_path_factory: pytest.TempPathFactory) -> Views:
    return Views(installed_webhook, installed_webhook.kubeconfig, tmp_path_factory.mktemp("snapshot"))


def test_audit(views: Views) -> None:
    code, live = views.live("audit")
    assert code == 1
    assert live["summary"]["unknown"] == []
    found = {finding["check"] for finding in live["findings"] if finding["object"]["namespace"].startswith("snap-")}
    assert found >= SPEAKING
    assert {finding["check"] for finding in live["waived"]} == {"port-not-declared", "selector-matches-nothing"}
    assert_same(views.later("audit"), (code, live))


def test_check(views: Views, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(FILES)
    code, live = views.live("check", str(file))
    assert {(f["object"]["name"], f["check"]) for f in live["findings"] if f["level"] != "note"} >= {
        ("new", "selector-matches-nothing"),
        ("new", "target-port-unresolved"),
        ("new-alias", "external-name-not-found"),
        ("lost", "namespace-not-found"),
    }
    assert_same(views.later("check", str(file)), (code, live))


def test_enforcement(views: Views) -> None:
    code, live = views.live("enforcement")
    assert (code, live["engine"]) == (0, "Cilium")
    assert views.later("enforcement") == (code, live)


def test_the_snapshot_names_what_is_complete(views: Views) -> None:
    assert views.kinds == list(KINDS)
    assert "not in the snapshot" not in views.said
    written = list(yaml.safe_load_all(views.snapshot))
    names = {f"{d['apiVersion']}/{d['kind']}" for d in written}
    assert names - {"netadmit.io/v1/Snapshot"} == set(KINDS), "there is an object of each kind to be compared"
    [route] = [d for d in written if d["kind"] == "HTTPRoute"]
    assert route["spec"]["rules"] == [
        {
            "backendRefs": [
                {"namespace": "snap-data", "name": "both", "port": 80},
                {"namespace": "snap-shop", "name": "api", "port": 81},
            ]
        }
    ]
    assert {"kind": "Group", "name": "system:serviceaccounts:snap-shop"} in [
        subject for d in written if d["kind"] == "ClusterRoleBinding" for subject in d.get("subjects", ())
    ]


def test_the_snapshot_tells_no_secret(views: Views) -> None:
    assert [line for line in views.snapshot.splitlines() if SECRET in line] == []
    assert "app: api" in views.snapshot


def test_what_may_not_be_read_is_not_called_complete(
    state: None, installed_webhook: InstalledWebhook, control_plane: ControlPlane, tmp_path: Path
) -> None:
    user = f"part-{secrets.token_hex(3)}"
    control_plane.add_user(user)
    plurals: dict[str, list[str]] = {}
    for resource in RESOURCES:
        if resource.kind not in (POD, NODE):
            group = resource.kind.rpartition("/")[0].rpartition("/")[0]
            plurals.setdefault(group, []).append(resource.path.rpartition("/")[2])
    for group, names in plurals.items():
        control_plane.grant(user, ["get", "list", "watch"], names, api_groups=[group])
    views = Views(installed_webhook, control_plane.kubeconfig_of(user), tmp_path)
    assert views.kinds == [kind for kind in KINDS if kind not in (POD, NODE)]
    for kind in (POD, NODE):
        assert f"netadmit: not in the snapshot: {kind}: forbidden: " in views.said
    code, live = views.live("audit")
    told = live["summary"].pop("unknown")
    assert {line.partition(":")[0] for line in told} >= {POD, NODE}
    later_code, later = views.later("audit")
    assert set(later["summary"].pop("unknown")) == {line for line in told if not line.startswith((POD, NODE))}
    assert_same((later_code, later), (code, live))
    assert views.live("enforcement") == views.later("enforcement")
