"""SCENARIOS.md 9, 11 and 13: small clusters and the commands that people really type, with a real API server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .installed_webhook import WEBHOOK, InstalledWebhook
from .objects import Object, collection, create, findings, seen

DENIED = f'admission webhook "{WEBHOOK}" denied the request: '


def apply(webhook: InstalledWebhook, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    done = webhook.plane.kubectl("apply", "-f", "-", *arguments, stdin=stdin, check=False)
    return done.returncode, done.stdout, "".join(f"{line}\n" for line in findings(done.stderr))


# --- 9: a policy without -n

WITHOUT_NAMESPACE = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api-only-from-web}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
WHERE_THEY_ARE = """
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
"""


def test_9_a_policy_without_n(webhook: InstalledWebhook, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(WITHOUT_NAMESPACE)
    with seen(webhook, WHERE_THEY_ARE):
        assert apply(webhook, "--dry-run=server", stdin=WITHOUT_NAMESPACE) == (
            0,
            "networkpolicy.networking.k8s.io/api-only-from-web created (server dry run)\n",
            (
                "Warning: netpol default/api-only-from-web: podSelector app=api: no pod here, 1 in another namespace; "
                "check -n [selector-matches-nothing]\n"
            ),
        )
        assert apply(webhook, "--dry-run=server", "-n", "shop", stdin=WITHOUT_NAMESPACE)[::2] == (0, "")
        # the command line reads with the user's own rights and names what it sees
        said = webhook.netadmit("check", str(file), "--live")
        assert (said.returncode, "1 in namespace shop" in said.stdout) == (0, True), said
        assert f"{file}:6" in said.stdout


# --- 11: the lab

LAB = """
apiVersion: v1
kind: Pod
metadata: {name: lab9server, namespace: restricted, labels: {app: lab9server}}
spec: {containers: [{name: nginx, image: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: lab9server, namespace: restricted}
spec: {selector: {app: lab9server}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: sleepybox1, namespace: default, labels: {access: "yes"}}
---
apiVersion: v1
kind: Pod
metadata: {name: sleepybox2, namespace: default, labels: {access: noway}}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: third, labels: {access: "yes"}}
"""
MYNP = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: mynp
  namespace: restricted
spec:
  podSelector:
    matchLabels:
      app: lab9server
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: default
          podSelector:
            matchLabels:
              access: "yes"
      ports:
        - port: 80
  egress: [{}]
"""


@pytest.fixture(scope="module")
def lab(webhook: InstalledWebhook) -> Iterator[None]:
    with seen(webhook, LAB):
        yield


@pytest.mark.usefixtures("lab")
def test_11_the_lab_as_it_should_be(webhook: InstalledWebhook, tmp_path: Path) -> None:
    said = apply(webhook, "--dry-run=server", stdin=MYNP)
    assert said == (0, "networkpolicy.networking.k8s.io/mynp created (server dry run)\n", "")
    (tmp_path / "mynp.yaml").write_text(MYNP)
    checked = webhook.netadmit("check", str(tmp_path), "--live", "--fail-on=warning")
    assert checked.returncode == 0, checked


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("right", "wrong", "says", "line"),
    [
        (
            "          podSelector:\n            matchLabels:\n              access",
            "        - podSelector:\n            matchLabels:\n              access",
            ("two dashes mean OR: 2 pods get in, not 1; drop the second [peers-or-not-and]"),
            16,
        ),
        (
            "kubernetes.io/metadata.name: default",
            "name: default",
            ("no namespace has name=default; write kubernetes.io/metadata.name: default [namespace-not-found]"),
            15,
        ),
    ],
    ids=["two list items", "name: default"],
)
def test_11_a_variant_is_warned_about(
    webhook: InstalledWebhook, tmp_path: Path, right: str, wrong: str, says: str, line: int
) -> None:
    text = MYNP.replace(right, wrong)
    assert text != MYNP
    assert apply(webhook, "--dry-run=server", stdin=text) == (
        0,
        "networkpolicy.networking.k8s.io/mynp created (server dry run)\n",
        f"Warning: netpol restricted/mynp: {says}\n",
    )
    file = tmp_path / "mynp.yaml"
    file.write_text(text)
    checked = webhook.netadmit("check", str(file), "--live", "--fail-on=warning", "-o", "json")
    (finding,) = [f for f in json.loads(checked.stdout)["findings"] if f["level"] != "note"]
    assert checked.returncode == 1
    assert finding["check"] == says.rpartition("[")[2].rstrip("]")
    assert (finding["source"]["file"], finding["source"]["line"]) == (str(file), line)


@pytest.mark.usefixtures("lab")
def test_11_yes_is_a_boolean(webhook: InstalledWebhook, tmp_path: Path) -> None:
    text = MYNP.replace('access: "yes"', "access: yes")
    code, out, err = apply(webhook, stdin=text)
    assert (code, out) == (1, "")
    assert "BadRequest" in err
    assert "cannot unmarshal bool into Go struct field" in err
    file = tmp_path / "mynp.yaml"
    file.write_text(text)
    checked = webhook.netadmit("check", str(file))
    assert checked.returncode == 1
    said = checked.stdout + checked.stderr
    assert f"{file}:18" in said, said
    assert "cannot unmarshal bool" in said


# --- 13: a chart

CHART = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: r1-default-deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: r1-dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
          podSelector: {matchLabels: {k8s-app: kube-dns}}
      ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: r1-web}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: blog, app.kubernetes.io/component: web}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]
      ports: [{port: http}]
  egress:
    - to: [{podSelector: {matchLabels: {app.kubernetes.io/name: blog, app.kubernetes.io/component: db}}}]
      ports: [{port: 5432}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: r1-db}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: blog, app.kubernetes.io/component: db}}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector: {matchLabels: {r1-db-client: "true"}}
        - podSelector: {matchLabels: {app.kubernetes.io/name: blog, app.kubernetes.io/component: web}}
      ports: [{port: 5432}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: r1}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: r1}
data: {LOG_LEVEL: info}
---
apiVersion: v1
kind: Service
metadata: {name: r1-db}
spec:
  selector: {app.kubernetes.io/name: blog, app.kubernetes.io/component: db}
  ports: [{name: postgres, port: 5432, targetPort: postgres}]
---
apiVersion: v1
kind: Service
metadata: {name: r1-db-hl}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {app.kubernetes.io/name: blog, app.kubernetes.io/component: db}
  ports: [{name: postgres, port: 5432, targetPort: postgres}]
---
apiVersion: v1
kind: Service
metadata: {name: r1-web}
spec:
  selector: {app.kubernetes.io/name: blog, app.kubernetes.io/component: web}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: r1-web}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: blog, app.kubernetes.io/component: web}}
  template:
    metadata: {labels: {app.kubernetes.io/name: blog, app.kubernetes.io/component: web}}
    spec: {containers: [{name: web, image: blog, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: r1-db}
spec:
  serviceName: r1-db-hl
  selector: {matchLabels: {app.kubernetes.io/name: blog, app.kubernetes.io/component: db}}
  template:
    metadata: {labels: {app.kubernetes.io/name: blog, app.kubernetes.io/component: db}}
    spec: {containers: [{name: postgres, image: postgres, ports: [{name: postgres, containerPort: 5432}]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: r1-backup}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app.kubernetes.io/name: blog, app.kubernetes.io/component: backup, r1-db-client: "true"}}
        spec: {restartPolicy: Never, containers: [{name: backup, image: postgres}]}
"""
# helm.sh/helm/v4 pkg/release/v1/util/kind_sorter.go
HELM = ["NetworkPolicy", "ServiceAccount", "ConfigMap", "Service", "Deployment", "StatefulSet", "CronJob"]
COMMON = {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "blog-1.0.0"}


def chart(release: str = "r1", *, helm: bool = True) -> list[Object]:
    """The rendered chart, in Helm's order."""
    documents = list(yaml.safe_load_all(CHART.replace("r1", release)))
    for document in documents:
        document["metadata"]["labels"] = {"app.kubernetes.io/instance": release} | (COMMON if helm else {})
    return sorted(documents, key=lambda d: HELM.index(d["kind"]))


def by_file_name(documents: list[Object]) -> list[Object]:
    """As kubectl reads a folder with a file an object."""
    return sorted(documents, key=lambda d: (d["kind"].lower(), d["metadata"]["name"]))


ORDERS = {
    "Helm": chart(),
    "a folder of files": by_file_name(chart(helm=False)),
    "the reverse": chart(helm=False)[::-1],
}


@pytest.fixture
def there(webhook: InstalledWebhook) -> Iterator[str]:
    """A namespace in a cluster in which others live too: the same chart as another release, and its like."""
    name = f"blog-{secrets.token_hex(3)}"
    neighbours = """
apiVersion: v1
kind: Pod
metadata:
  name: other-web-1
  namespace: other-blog
  labels: {app.kubernetes.io/name: wiki, app.kubernetes.io/component: web}
---
apiVersion: v1
kind: Pod
metadata: {name: controller-1, namespace: ingress-nginx, labels: {app.kubernetes.io/name: ingress-nginx}}
---
apiVersion: v1
kind: Pod
metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}
"""
    with seen(webhook, neighbours, name):
        yield name


def send(webhook: InstalledWebhook, verb: str, documents: list[Object], namespace: str) -> list[str]:
    """Sends object by object, as a client that is as fast as it can be; returns all that was said."""
    said: list[str] = []
    for document in documents:
        path = _path(document, namespace)
        name = document["metadata"]["name"]
        if verb == "create":
            answer = webhook.plane.request("POST", path, document)
        elif verb == "delete":
            answer = webhook.plane.request("DELETE", f"{path}/{name}", {"propagationPolicy": "Background"})
        else:
            url = f"{path}/{name}?fieldManager=helm&force=true"
            kind = {"Content-Type": "application/apply-patch+yaml"}
            answer = webhook.plane.request("PATCH", url, document, headers=kind)
        said += answer.warnings
    return said


def _path(document: Object, namespace: str) -> str:
    if document["kind"] == "ServiceAccount":
        return f"/api/v1/namespaces/{namespace}/serviceaccounts"
    return collection({**document, "metadata": {**document["metadata"], "namespace": namespace}})


def pods_of(documents: list[Object], namespace: str) -> Iterator[Object]:
    """What controllers, scheduler and kubelets would make of the chart: running pods, and their ReplicaSets."""
    for document in documents:
        if document["kind"] not in ("Deployment", "StatefulSet"):
            continue
        spec, name, kind = document["spec"], document["metadata"]["name"], document["kind"]
        labels = dict(spec["template"]["metadata"]["labels"])
        if kind == "Deployment":
            labels["pod-template-hash"] = "5d8c7f"
            template = {"metadata": {"labels": labels}, "spec": spec["template"]["spec"]}
            owned = {**metadata(f"{name}-5d8c7f", namespace, kind, name), "labels": labels}
            selector = {"matchLabels": labels}
            made = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": owned}
            yield {**made, "spec": {"selector": selector, "template": template}}
            owned = metadata(f"{name}-5d8c7f-abcde", namespace, "ReplicaSet", f"{name}-5d8c7f")
        else:
            labels["statefulset.kubernetes.io/pod-name"] = f"{name}-0"
            owned = metadata(f"{name}-0", namespace, kind, name)
        owned["labels"] = labels
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": owned, "spec": spec["template"]["spec"]}


def metadata(name: str, namespace: str, kind: str, owner: str) -> Object:
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": f"uid-of-{owner}", "controller": True}
    return {"name": name, "namespace": namespace, "ownerReferences": [reference]}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("gone", ["helm uninstall", "policies first"])
def test_13_a_chart_lives_and_dies_in_silence(webhook: InstalledWebhook, there: str, order: str, gone: str) -> None:
    documents = ORDERS[order]
    assert send(webhook, "create", documents, there) == []
    for made in pods_of(documents, there):  # they come when the scheduler and the kubelets have had their time
        create(webhook.plane, made)
    assert send(webhook, "apply", upgraded(documents), there) == []
    assert send(webhook, "apply", upgraded(documents, version="2.0.1"), there) == []
    last = sorted(documents, key=lambda d: HELM.index(d["kind"]))
    webhook.catch_up()
    if gone == "helm uninstall":  # workloads before policies; their pods still run, for nobody has collected them yet
        assert send(webhook, "delete", last[::-1], there) == []
        assert {d["message"] for d in webhook.decisions(there)} == {"allowed"}
    else:  # as `kubectl delete -f` sends a rendered chart: for a moment its pods are open or cut off, and that is said
        ids = {line.rpartition(" ")[2] for line in send(webhook, "delete", last, there)}
        assert "[opens-on-removal]" in ids
        assert ids <= {"[cuts-on-removal]", "[opens-on-removal]", "[service-still-referenced]"}
    judged = sum(d["kind"] in ("NetworkPolicy", "Service") for d in documents)
    assert len(webhook.decisions(there)) >= judged * 4  # created, upgraded twice, deleted


def upgraded(documents: list[Object], version: str = "2.0.0") -> list[Object]:
    """The chart's next version: other labels and annotations, another port, one more rule."""
    made: list[Object] = yaml.safe_load(yaml.safe_dump(documents))
    for document in made:
        document["metadata"]["labels"]["helm.sh/chart"] = f"blog-{version}"
        document["metadata"]["annotations"] = {"checksum/config": version}
        if document["kind"] == "Service":
            document["spec"]["ports"].append({"name": "metrics", "port": 9187, "targetPort": 9187})
        if document["kind"] == "NetworkPolicy" and document["metadata"]["name"].endswith("-web"):
            peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other-blog"}}}
            document["spec"]["ingress"].append({"from": [peer], "ports": [{"port": "http"}]})
    return made


@pytest.mark.parametrize("helm", [True, False], ids=["labelled by Helm", "plain"])
def test_13_the_same_with_kubectl(webhook: InstalledWebhook, there: str, helm: bool) -> None:
    """One file, in Helm's order, as `helm template | kubectl apply -f -` sends it."""
    documents = chart(helm=helm)

    def kubectl(*arguments: str, text: list[Object]) -> tuple[int, int, str]:
        stdin = yaml.safe_dump_all(text)
        done = webhook.plane.kubectl(*arguments, "-n", there, "-f", "-", stdin=stdin, check=False)
        return done.returncode, len(done.stdout.splitlines()), "\n".join(findings(done.stderr))

    everything = len(documents)
    assert kubectl("apply", "--dry-run=server", text=documents) == (0, everything, "")
    assert kubectl("apply", text=documents) == (0, everything, "")
    assert kubectl("apply", text=by_file_name(documents)) == (0, everything, "")
    assert kubectl("apply", text=upgraded(documents)) == (0, everything, "")
    assert kubectl("replace", "--force", text=upgraded(documents)) == (0, everything * 2, "")
    assert kubectl("delete", "--wait=false", text=documents) == (0, everything, "")


def test_13_a_second_release_beside_it(webhook: InstalledWebhook, there: str) -> None:
    """The same chart twice in one namespace, and once more in another: labels that others have are no mistake."""
    first = chart("r1")
    assert send(webhook, "create", first, there) == []
    for made in pods_of(first, there):
        create(webhook.plane, made)
    webhook.catch_up()
    assert send(webhook, "create", chart("blue"), there) == []
    with seen(webhook, (), f"second-{there}"):
        assert send(webhook, "create", chart("r1"), f"second-{there}") == []


def test_13_the_same_manifests_in_a_second_namespace(webhook: InstalledWebhook, there: str) -> None:
    """Staging beside production, without Helm's labels: what tells them from a policy without -n is the first one."""
    first = chart(helm=False)
    send(webhook, "create", first, there)
    for made in pods_of(first, there):
        create(webhook.plane, made)
    webhook.catch_up()
    with seen(webhook, (), f"second-{there}"):
        assert send(webhook, "create", first, f"second-{there}") == []
