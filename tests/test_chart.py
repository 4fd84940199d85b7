"""The chart as the real helm renders it; tests/cluster/test_helm.py installs it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from certs.issue import LEAF_LIFETIME
from webhook import __version__
from webhook.cli import main
from webhook.config import WATCHED, parse_config
from webhook.model.objects import CONFIG_MAP
from webhook.state.watch import CONFIG_MAPS, RESOURCES, ROLES

from . import chart
from .chart import CHART, DEPLOY, ROOT, render, rendered, run_helm
from .cluster.control_plane import HELM3
from .conftest import need_helm

CI = sorted((CHART / "ci").glob("*.yaml"))
ALL = [None, *CI]


@pytest.fixture(scope="module", autouse=True)
def _helm(request: pytest.FixtureRequest) -> None:
    for major in chart.MAJORS:
        need_helm(request.config, major)


def with_values(file: Path | None) -> list[str]:
    return [f"--values={file}"] if file else []


def only(objects: list[dict[str, Any]], kind: str, **metadata: str) -> dict[str, Any]:
    [found] = [o for o in objects if o["kind"] == kind and metadata.items() <= o["metadata"].items()]
    return found


def container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    [one] = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(one)


# --- what is made of the chart


def test_deploy_is_the_rendered_chart() -> None:
    assert (DEPLOY / "netadmit.yaml").read_text() == chart.manifests(), "run `make manifests`"


def test_the_table_in_the_readme_is_that_of_the_values() -> None:
    assert (CHART / "README.md").read_text() == chart.readme(), "run `make manifests`"


def test_versions_are_those_of_the_program() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == about["version"] == __version__


def test_netadmit_has_nothing_to_say_about_itself(capsys: pytest.CaptureFixture[str]) -> None:
    # That its ports are open to everyone, as those of whatever the API server asks must be, is a note.
    assert main(["check", str(DEPLOY / "netadmit.yaml"), "--fail-on=warning"]) == 0, capsys.readouterr()


# --- helm


def test_both_are_there(helm_major: int) -> None:
    """The version is the stamped one: nothing else is kept in its place."""
    expected = {3: f"v{HELM3.version}", 4: f"v{chart.HELM_VERSION}"}
    assert run_helm("version", "--template={{.Version}}", major=helm_major).stdout == expected[helm_major]


@pytest.mark.parametrize("values", ALL)
def test_lint(values: Path | None, helm_major: int) -> None:
    done = run_helm("lint", "--strict", str(CHART), *with_values(values), major=helm_major)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("values", ALL)
def test_helm_3_renders_the_same(values: Path | None) -> None:
    """In another order."""
    by_major = [rendered(*with_values(values), major=major) for major in (3, 4)]
    assert sorted(by_major[0], key=_place) == sorted(by_major[1], key=_place)


def _place(found: dict[str, Any]) -> tuple[str, str, str]:
    return found["kind"], found["metadata"].get("namespace", ""), found["metadata"]["name"]


@pytest.mark.parametrize("values", ALL)
def test_every_object_has_its_place_and_labels(values: Path | None) -> None:
    for found in rendered(*with_values(values), release="r", namespace="elsewhere"):
        metadata = found["metadata"]
        assert metadata["labels"]["app.kubernetes.io/instance"] == "r", metadata
        cluster_scoped = found["kind"].startswith(("Cluster", "Validating"))
        assert metadata.get("namespace") in ((None,) if cluster_scoped else ("elsewhere", "kube-system")), metadata


@pytest.mark.parametrize("values", ALL)
def test_the_configuration_is_one_that_netadmit_takes(values: Path | None) -> None:
    maps = [o["data"] for o in rendered(*with_values(values)) if o["kind"] == "ConfigMap"]
    [data] = [data["config.yaml"] for data in maps if "config.yaml" in data]
    parse_config(yaml.safe_load(data))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("replicaCount=many", "at '/replicaCount': got string, want integer"),
        ("replicaCount=0", "at '/replicaCount'"),
        ("replicas=3", "additional properties 'replicas' not allowed"),
        ("webhook.failurePolicy=ignore", "at '/webhook/failurePolicy': value must be one of 'Ignore', 'Fail'"),
        ("webhook.timeout=3", "additional properties 'timeout' not allowed"),
        ("webhook.timeoutSeconds=31", "at '/webhook/timeoutSeconds'"),
        ("webhook.exemptUsers[0]=o'hara", "at '/webhook/exemptUsers/0'"),
        ("image.tag=a:b", "at '/image/tag'"),
        ("certificates.source=secret", "at '/certificates/secretName'"),
        ("certificates.secretName=mine", "at '/certificates/secretName'"),
        ("certificates.source=cert-manager", "at '/certificates/issuerRef/name'"),
        ("config.kind=Config", "at '/config'"),
        ("resources.limits.memmory=1Gi", "additional properties 'memmory' not allowed"),
        ("networkPolicy.apiServerCIDRs[0]=10.0.0.1", "at '/networkPolicy/apiServerCIDRs/0'"),
        ("rbac.readBindings=nobody", "at '/rbac/readBindings'"),
        ("config.watchKinds=Namespace", "at '/config/watchKinds': got string, want array"),
        ("webhook.watchKinds[0]=7", "at '/webhook/watchKinds/0': got number, want string"),
        (
            "webhook.watchKinds={Namespace,Deploymnt}",
            'watchKinds: "Deploymnt" cannot be watched; these can: Namespace, ',
        ),
        ("config.watchKinds={pods}", 'watchKinds: "pods" cannot be watched'),
        ("webhook.failurePolicy=Fail,replicaCount=1", "webhook.failurePolicy: Fail needs a replicaCount of at least 2"),
        ("webhook.exemptNamespacesFromFail[0]=Cilium", "at '/webhook/exemptNamespacesFromFail/0'"),
        ("serviceAccount.create=false", "serviceAccount.name: needed when serviceAccount.create is false"),
    ],
)
def test_what_the_values_refuse(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        render(f"--set={given}")


# --- rights


def _rules(objects: list[dict[str, Any]]) -> Iterator[tuple[str, str, str, frozenset[str], frozenset[str]]]:
    """(namespace, group, resource, names, verbs) of every role; the namespace is * for a ClusterRole."""
    for role in objects:
        if role["kind"] not in ("Role", "ClusterRole"):
            continue
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    names, verbs = frozenset(rule.get("resourceNames", ())), frozenset(rule["verbs"])
                    yield role["metadata"].get("namespace", "*"), group, resource, names, verbs


def test_it_may_read_exactly_what_it_follows_and_write_what_it_must() -> None:
    read = frozenset({"get", "list", "watch"})
    expected: set[tuple[str, str, str, frozenset[str], frozenset[str]]] = set()
    for resource in RESOURCES:
        if resource.kind != CONFIG_MAP:
            for path in (resource.path, *resource.others):
                _, root, group, *_, plural = path.split("/")
                expected.add(("*", group if root == "apis" else "", plural, frozenset(), read))
    in_kube_system = frozenset(name for namespace, name in CONFIG_MAPS if namespace == "kube-system")
    elsewhere = frozenset(name for namespace, name in CONFIG_MAPS if namespace != "kube-system")
    expected.add(("kube-system", "", "configmaps", in_kube_system, read))
    expected.add(("*", "", "configmaps", elsewhere, read))
    expected.add(("netadmit", "coordination.k8s.io", "leases", frozenset({"netadmit"}), frozenset({"get", "patch"})))
    expected.add(("*", "", "events", frozenset(), frozenset({"create", "patch"})))
    for group, plural in (("openreports.io", "reports"), ("wgpolicyk8s.io", "policyreports")):
        expected.add(("*", group, plural, frozenset(), frozenset({"list"})))
        expected.add(("*", group, plural, frozenset({"netadmit"}), frozenset({"create", "delete", "patch"})))
    configuration = ("admissionregistration.k8s.io", "validatingwebhookconfigurations")
    own = {
        ("*", *configuration, frozenset({"netadmit"}), frozenset({"get", "patch"})),
        ("netadmit", "", "secrets", frozenset({"netadmit-tls"}), frozenset({"get", "update"})),
    }
    assert set(_rules(rendered())) == expected | own
    for values in ("cert-manager", "secret"):
        assert set(_rules(rendered(f"--values={CHART}/ci/{values}-values.yaml"))) == expected, values
    roles = ("*", "rbac.authorization.k8s.io", ROLES.path.rpartition("/")[2], frozenset[str](), read)
    assert set(_rules(rendered("--set=config.rbacHint=true"))) == expected | own | {roles}


def test_it_may_ask_what_others_may_list_where_that_is_disclosed() -> None:
    asking = ("*", "authorization.k8s.io", "subjectaccessreviews", frozenset[str](), frozenset({"create"}))
    before = set(_rules(rendered()))
    for disclose, more in (("requester", {asking}), ("cluster", set()), ("namespace", set())):
        assert set(_rules(rendered(f"--set=config.disclose={disclose}"))) == before | more
    component = DEPLOY / "disclose-requester"
    objects = [*yaml.safe_load_all((component / "role.yaml").read_text())]
    assert set(_rules(objects)) == {asking}
    assert only(objects, "ClusterRoleBinding")["subjects"] == only(rendered(), "ClusterRoleBinding")["subjects"]


def test_role_bindings_need_not_be_readable() -> None:
    both = {("*", "rbac.authorization.k8s.io", f"{word}s") for word in ("rolebinding", "clusterrolebinding")}
    with_them, without = (
        {rule[:3] for rule in _rules(rendered(*arguments))} for arguments in ([], ["--set=rbac.readBindings=false"])
    )
    assert with_them - without == both
    assert without < with_them


@pytest.mark.parametrize("word", ["off", '"off"'])
def test_what_is_switched_off_may_not_be_written(word: str, tmp_path: Path) -> None:
    """As YAML has it: `off` is false. Reports of before may be taken away."""
    values = tmp_path / "values.yaml"
    groups = {"openreports.io", "wgpolicyk8s.io"}

    def may(file: Path | None) -> set[tuple[str, str]]:
        rules = _rules(rendered(*with_values(file)))
        return {(group, verb) for _, group, resource, _, verbs in rules for verb in verbs if resource != "configmaps"}

    for switch, given_up in (
        ("events", {("", "create"), ("", "patch")}),
        ("reports", {(group, verb) for group in groups for verb in ("create", "patch")}),
    ):
        values.write_text(f"config: {{{switch}: {word}}}\n")
        assert may(None) - may(values) == given_up
        assert may(values) < may(None)


def test_reports_belong_to_the_webhook_configuration() -> None:
    for release in ("netadmit", "r"):
        objects = rendered(release=release)
        [named] = [a for a in container(objects)["args"] if a.startswith("--webhook=")]
        assert named.removeprefix("--webhook=") == only(objects, "ValidatingWebhookConfiguration")["metadata"]["name"]


def test_the_replicas_share_a_lease_of_which_the_chart_says_nothing() -> None:
    for release in ("netadmit", "r"):
        objects = rendered(release=release)
        lease = only(objects, "Lease")
        assert "spec" not in lease, "an upgrade must not take it away from its holder"
        assert f"--lease={lease['metadata']['name']}" in container(objects)["args"]


def test_roles_are_bound_to_its_service_account_alone() -> None:
    objects = rendered()
    roles = {(o["kind"], o["metadata"].get("namespace")) for o in objects if o["kind"] in ("Role", "ClusterRole")}
    bindings = [o for o in objects if o["kind"].endswith("Binding")]
    assert {(o["roleRef"]["kind"], o["metadata"].get("namespace")) for o in bindings} == roles
    account = {"kind": "ServiceAccount", "name": "netadmit", "namespace": "netadmit"}
    assert all(o["subjects"] == [account] for o in bindings)


# --- the webhook


def test_the_webhook_fails_open_and_spares_what_it_must() -> None:
    [webhook] = only(rendered("--set=webhook.exemptNamespaces={bootstrap}"), "ValidatingWebhookConfiguration")[
        "webhooks"
    ]
    assert webhook["name"] == "validate.netadmit.io"
    assert (webhook["failurePolicy"], webhook["timeoutSeconds"], webhook["sideEffects"]) == (
        "Ignore",
        3,
        "NoneOnDryRun",
    )
    assert webhook["matchPolicy"] == "Equivalent"
    assert webhook["admissionReviewVersions"] == ["v1"]
    assert webhook["clientConfig"] == {
        "service": {"namespace": "netadmit", "name": "netadmit", "path": "/validate", "port": 443}
    }, "a caBundle is never rendered: it would take away the one that was published"
    assert {(*rule["apiGroups"], *rule["resources"]) for rule in webhook["rules"]} == {
        ("networking.k8s.io", "networkpolicies"),
        ("", "services"),
    }
    assert all(rule["operations"] == ["CREATE", "UPDATE", "DELETE"] for rule in webhook["rules"])
    [names] = webhook["namespaceSelector"]["matchExpressions"]
    assert (names["key"], names["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
    assert names["values"] == ["kube-system", "netadmit", "bootstrap"]
    assert [c["name"] for c in webhook["matchConditions"]] == [
        "spec-changes",
        "not-being-deleted",
        "not-the-api-server",
        "not-the-control-plane",
    ]


def test_what_fails_closed_is_apart_from_what_advises() -> None:
    arguments = ["--set=webhook.failurePolicy=Fail", "--set=webhook.exemptNamespaces={bootstrap}"]
    open_one = only(rendered(arguments[1]), "ValidatingWebhookConfiguration")["webhooks"][0]
    enforce, advise = only(rendered(*arguments), "ValidatingWebhookConfiguration")["webhooks"]
    assert (enforce["name"], enforce["failurePolicy"]) == ("enforce.netadmit.io", "Fail")
    assert (advise["name"], advise["failurePolicy"]) == ("advise.netadmit.io", "Ignore")
    assert [one["clientConfig"]["service"]["path"] for one in (enforce, advise)] == ["/enforce", "/advise"]
    for rule in enforce["rules"]:
        assert rule["operations"] == ["CREATE", "UPDATE"], "no deletion, and so no uninstall, ever waits for it"
    for same in ("rules", "namespaceSelector", "matchConditions", "timeoutSeconds", "sideEffects"):
        assert advise[same] == open_one[same], "what advises is asked what the only one is asked otherwise"
    assert enforce["matchConditions"] == advise["matchConditions"]
    assert enforce["timeoutSeconds"] == 3
    [spared] = enforce["namespaceSelector"]["matchExpressions"]
    assert spared["values"][:3] == ["kube-system", "netadmit", "bootstrap"]
    assert {"calico-system", "tigera-operator", "kube-flannel", "cert-manager"} < set(spared["values"])
    assert "system:apiserver" in enforce["matchConditions"][3]["expression"]


WATCH_ALL = "--set=webhook.watchKinds={Namespace,workloads}"
BOTH_PROFILES = pytest.mark.parametrize("profile", [[], ["--set=webhook.failurePolicy=Fail"]], ids=["Ignore", "Fail"])


def webhooks(*arguments: str) -> dict[str, dict[str, Any]]:
    found = only(rendered(*arguments), "ValidatingWebhookConfiguration")["webhooks"]
    return {one["name"]: one for one in found}


@BOTH_PROFILES
def test_what_is_watched_never_waits(profile: list[str]) -> None:
    before, found = webhooks(*profile), webhooks(WATCH_ALL, *profile)
    watch = found.pop("watch.netadmit.io")
    assert found == before, "all else stays as it was"
    assert watch["failurePolicy"] == "Ignore"
    assert watch["clientConfig"]["service"]["path"] == "/advise", "where nothing is denied"
    assert watch["timeoutSeconds"] == 3
    assert watch["sideEffects"] == "NoneOnDryRun"
    advising = before.get("validate.netadmit.io") or before["advise.netadmit.io"]
    assert watch["namespaceSelector"] == advising["namespaceSelector"]
    assert watch["matchConditions"][-1] == advising["matchConditions"][-1], "nor what the control plane does"
    assert watch["rules"] == [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["UPDATE", "DELETE"],
            "resources": ["namespaces"],
            "scope": "Cluster",
        },
        {
            "apiGroups": ["apps"],
            "apiVersions": ["v1"],
            "operations": ["UPDATE"],
            "resources": ["deployments", "statefulsets", "daemonsets"],
            "scope": "Namespaced",
        },
    ]


@pytest.mark.parametrize(
    ("given", "resources", "conditions"),
    [
        ("config.watchKinds={Namespace}", [["namespaces"]], ["labels-change", "not-being-deleted"]),
        ("webhook.watchKinds={ns}", [["namespaces"]], ["labels-change", "not-being-deleted"]),
        (
            "watchKinds={deployments.apps},config.watchKinds={apps/v1/Deployment}",
            [["deployments"]],
            ["template-changes", "not-of-a-controller", "not-being-deleted"],
        ),
        (
            "config.watchKinds={StatefulSet},webhook.watchKinds={ds,namespaces}",
            [["namespaces"], ["statefulsets", "daemonsets"]],
            ["labels-change", "template-changes", "not-of-a-controller", "not-being-deleted"],
        ),
    ],
)
def test_it_may_be_said_in_either_place(given: str, resources: list[list[str]], conditions: list[str]) -> None:
    watch = webhooks(f"--set={given}")["watch.netadmit.io"]
    assert [rule["resources"] for rule in watch["rules"]] == resources
    assert [c["name"] for c in watch["matchConditions"]] == [*conditions, "not-the-control-plane"]
    [config] = [o["data"]["config.yaml"] for o in rendered(f"--set={given}") if o["kind"] == "ConfigMap"]
    watched = parse_config(yaml.safe_load(config)).watched
    assert sorted(f"{k.rpartition('/')[2].lower()}s" for k in watched) == sorted(r for rs in resources for r in rs)


def test_every_spelling_that_the_configuration_takes_the_chart_takes() -> None:
    for word, kind in WATCHED.items():
        group = kind.partition("/")[0] if kind.count("/") == 2 else ""
        plural = f"{word.lower()}s"
        names = [
            word,
            word.upper(),
            plural,
            kind,
            f"v1/{word}",
            *([f"{plural}.{group}", f"{group}/{word}"] if group else []),
        ]
        for name in names:
            assert parse_config({**_EMPTY, "watchKinds": [name]}).watched == {kind}
            [rule] = webhooks(f"--set=config.watchKinds={{{name}}}")["watch.netadmit.io"]["rules"]
            assert rule["resources"] == [plural], name


_EMPTY = {"apiVersion": "netadmit.io/v1", "kind": "Config"}


def test_values_of_an_older_release_watch_nothing() -> None:
    """As `helm upgrade --reuse-values` leaves them: without what has come since."""
    assert webhooks("--set=webhook.watchKinds=null") == webhooks()


def test_watching_takes_no_further_rights() -> None:
    assert set(_rules(rendered(WATCH_ALL))) == set(_rules(rendered()))


def test_the_component_is_what_the_value_adds() -> None:
    text = (DEPLOY / "watch-kinds" / "kustomization.yaml").read_text()
    assert text == chart.watch_component(), "run `make manifests`"


def test_the_step_before_failing_closed_is_the_same_but_for_that() -> None:
    """So that failing closed begins with webhooks that are trusted already."""
    before, after = (
        only(rendered(f"--set=webhook.{given}"), "ValidatingWebhookConfiguration")
        for given in ("split=true", "failurePolicy=Fail")
    )
    assert [one.pop("failurePolicy") for one in before["webhooks"]] == ["Ignore", "Ignore"]
    assert [one.pop("failurePolicy") for one in after["webhooks"]] == ["Fail", "Ignore"]
    assert before == after


def test_the_namespace_of_every_engine_outside_kube_system_is_spared() -> None:
    """Where the fixtures of the engines' own manifests have their DaemonSets: netadmit must not hold those up."""
    used = set()
    for file in (ROOT / "tests" / "fixtures" / "enforcement").glob("*.yaml"):
        for found in yaml.safe_load_all(file.read_text()):
            if found and found["kind"] == "DaemonSet":
                used.add(found["metadata"]["namespace"])
    assert used > {"calico-system", "kube-flannel"}, used
    spared = yaml.safe_load((CHART / "values.yaml").read_text())["webhook"]["exemptNamespacesFromFail"]
    others = {"monitoring", "acme", "sysdig"}  # a node exporter, an agent nobody knows, one that only looks on
    assert used - {*spared, "kube-system"} == others


@pytest.mark.parametrize(
    "profile", [["--set=webhook.failurePolicy=Fail"], ["--set=webhook.failurePolicy=Fail,replicaCount=3"]]
)
def test_failing_closed_has_enough_replicas(profile: list[str]) -> None:
    assert only(rendered(*profile), "Deployment")["spec"]["replicas"] >= 2
    assert only(rendered(*profile), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_how_the_ca_gets_to_the_api_server() -> None:
    for name, bundle, injected in (
        ("cert-manager", False, True),
        ("secret", True, False),
        ("everything", False, False),
    ):
        objects = rendered(f"--values={CHART}/ci/{name}-values.yaml")
        configuration = only(objects, "ValidatingWebhookConfiguration")
        assert all(("caBundle" in one["clientConfig"]) is bundle for one in configuration["webhooks"]), name
        annotations = configuration["metadata"].get("annotations", {})
        assert (annotations.get("cert-manager.io/inject-ca-from") == "netadmit/netadmit") is injected, name
        publishes = any(a.startswith("--publish-ca=") for a in container(objects)["args"])
        assert publishes is not (bundle or injected), name
    assert "data" not in only(rendered(), "Secret")


# --- the pods


@pytest.mark.parametrize("values", ALL)
def test_pods_are_restricted(values: Path | None) -> None:
    objects = rendered(*with_values(values))
    specs = [only(objects, "Deployment")["spec"]["template"]["spec"], only(objects, "Pod")["spec"]]
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] >= 10000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for one in spec["containers"]:
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert one["resources"]["requests"]
            assert one["resources"]["limits"]["memory"]
    assert specs[0]["automountServiceAccountToken"] is True
    assert specs[1]["automountServiceAccountToken"] is False


def test_a_pod_has_time_to_drain_and_is_replaced_before_it_goes() -> None:
    for seconds in (0, 10, 120):
        objects = rendered(f"--set=drainSeconds={seconds}")
        assert only(objects, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > seconds + 10
        assert f"--drain-seconds={seconds}" in container(objects)["args"]
    assert only(rendered(), "Deployment")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_changed_configuration_makes_new_pods() -> None:
    def checksum(*arguments: str) -> str:
        template = only(rendered(*arguments), "Deployment")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum("--set=replicaCount=5")
    assert checksum() != checksum("--set=config.mode=warn")


def test_probes_ask_the_port_without_tls() -> None:
    one = container(rendered())
    ports = {p["name"]: p["containerPort"] for p in one["ports"]}
    assert ports == {"https": 8443, "metrics": 8080}, "the defaults of netadmit serve"
    assert {one[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        "metrics"
    }
    assert one["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert one["livenessProbe"]["httpGet"]["path"] == "/healthz", "a pod that waits for state must not be restarted"


def test_a_budget_only_where_a_pod_can_be_spared() -> None:
    def budgets(count: int) -> int:
        return sum(o["kind"] == "PodDisruptionBudget" for o in rendered(f"--set=replicaCount={count}"))

    assert (budgets(1), budgets(2)) == (0, 1)


def test_what_the_notes_and_the_readme_say_of_a_certificates_life() -> None:
    assert LEAF_LIFETIME.days == 365
    assert "when a third of its year is left" in (CHART / "README.md").read_text()
