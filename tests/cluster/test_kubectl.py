"""What people see: the real kubectl, a real API server, and netadmit as its webhook."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.test_checks import rulings
from webhook.check import Check, Example, View
from webhook.checks import all_checks
from webhook.model.objects import NAMESPACE, NETWORK_POLICY, SERVICE
from webhook.verdict import Action, Verdict

from . import custom_resources
from .control_plane import ControlPlane
from .installed_webhook import WEBHOOK, InstalledWebhook
from .objects import Object, collection, create, delete, findings, kind_of, read, seen, whole
from .playing import as_here, documents, let_go

DENIED = f'admission webhook "{WEBHOOK}" denied the request: '


class Said(NamedTuple):
    """What a command printed."""

    code: int
    out: list[str]
    err: list[str]


Kubectl = Callable[..., Said]


@pytest.fixture
def kubectl(webhook: InstalledWebhook, shop: str) -> Kubectl:
    """Runs kubectl in the test's namespace, `stdin` (YAML) with ``-f -``; what dry runs say of traffic is left out."""

    def run(*arguments: str, stdin: str | None = None) -> Said:
        file = () if stdin is None else ("-f", "-")
        done = webhook.plane.kubectl(*arguments, *file, "-n", shop, stdin=stdin, check=False)
        return Said(done.returncode, done.stdout.splitlines(), findings(done.stderr))

    return run


@pytest.fixture
def shop(webhook: InstalledWebhook) -> Iterator[str]:
    """A namespace with one Deployment and one running pod, which netadmit has seen."""
    name = f"shop-{secrets.token_hex(3)}"
    with seen(webhook, SHOP.replace("NAMESPACE", name)):
        yield name


SHOP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: NAMESPACE}
spec: {template: {metadata: {labels: {app: api, tier: back}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: storefront-1, namespace: NAMESPACE, labels: {app: storefront}}
"""
SOUND = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: storefront}}}]}]
"""
MISSPELT = SOUND.replace("app: api", "app: apj")
DEAD_RULES = SOUND + "  egress: [{ports: [{port: 443}]}]\n"
IMPOSSIBLE = SOUND.replace(
    "{matchLabels: {app: api}}",
    "{matchLabels: {app: api}, matchExpressions: [{key: app, operator: In, values: [web]}]}",
)
SERVICE_SOUND = """
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}
"""
SERVICE_LOST = SERVICE_SOUND.replace("app: api", "app: apj")


def misspelt(shop: str) -> str:
    return f"Warning: netpol {shop}/api: podSelector app=apj matches no pod; write app: api [selector-matches-nothing]"


def lost(shop: str) -> str:
    return f"Warning: svc {shop}/api: selector app=apj matches no pod; write app: api [service-selects-nothing]"


def dead_rules(shop: str) -> str:
    return (
        f"netpol {shop}/api: policyTypes lacks Egress: its egress rule does nothing; add Egress "
        "[rules-without-policy-type]"
    )


def impossible(shop: str) -> str:
    return (
        f"netpol {shop}/api: podSelector app=api and app=web never match; write app In [api, web] "
        "[selector-can-never-match]"
    )


# --- what is fine passes without a word


@pytest.mark.parametrize("way", ["create", "apply", "apply --server-side"])
@pytest.mark.parametrize("dry", [(), ("--dry-run=server",)], ids=["", "dry run"])
def test_sound_objects_pass_in_silence(kubectl: Kubectl, way: str, dry: tuple[str, ...]) -> None:
    done = {"create": "created", "apply": "created", "apply --server-side": "serverside-applied"}[way]
    done += " (server dry run)" if dry else ""
    said = kubectl(*way.split(), *dry, stdin=f"{SOUND}---{SERVICE_SOUND}")
    assert said == (0, [f"networkpolicy.networking.k8s.io/api {done}", f"service/api {done}"], [])


def test_the_life_of_sound_objects_is_silent(kubectl: Kubectl) -> None:
    both = f"{SOUND}---{SERVICE_SOUND}"
    kubectl("apply", stdin=both)
    changed = both.replace("app: storefront", "app: api").replace("targetPort: 8080", "targetPort: 8081")
    for arguments, text in (
        (("diff",), changed),
        (("apply",), changed),
        (("apply", "--server-side", "--force-conflicts"), both),
        (("replace",), changed),
        (("replace", "--force"), both),
        (("label", "networkpolicy/api", "service/api", "team=a"), None),
        (("annotate", "networkpolicy/api", "service/api", "why=because"), None),
        (("patch", "service/api", "-p", '{"spec": {"type": "NodePort"}}'), None),
        (("patch", "networkpolicy/api", "--type=json", "-p", '[{"op": "remove", "path": "/spec/ingress"}]'), None),
        (("delete", "--dry-run=server"), both),
        (("delete",), both),
    ):
        said = kubectl(*arguments, stdin=text)
        assert (said.code, said.err) == (1 if arguments == ("diff",) else 0, []), arguments
        assert said.out, arguments


def test_other_kinds_never_reach_it(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=a=b")
    kubectl("create", stdin=SOUND)
    assert [(d["operation"], d["kind"], d["name"]) for d in webhook.decisions(shop)] == [
        ("CREATE", NETWORK_POLICY, "api")
    ]


# --- what is probably wrong is said, and done


@pytest.mark.parametrize(
    ("way", "done"),
    [
        ("create", "created"),
        ("create --dry-run=server", "created (server dry run)"),
        ("apply", "created"),
        ("apply --dry-run=server", "created (server dry run)"),
        ("apply --server-side", "serverside-applied"),
        ("apply --server-side --dry-run=server", "serverside-applied (server dry run)"),
    ],
)
def test_a_warning_and_the_object_is_there(kubectl: Kubectl, shop: str, way: str, done: str) -> None:
    said = kubectl(*way.split(), stdin=f"{MISSPELT}---{SERVICE_LOST}")
    assert said.code == 0
    assert said.out == [f"networkpolicy.networking.k8s.io/api {done}", f"service/api {done}"]
    assert said.err == [misspelt(shop), lost(shop)]


def test_a_warning_on_every_way_to_change_an_object(kubectl: Kubectl, shop: str) -> None:
    kubectl("apply", stdin=f"{SOUND}---{SERVICE_SOUND}")
    both = f"{MISSPELT}---{SERVICE_LOST}"
    to = '"app": "apj"'
    for arguments, text in (
        (("diff",), both),
        (("apply", "--dry-run=server"), both),
        (("replace", "--dry-run=server"), both),
        (("apply",), both),
        (("replace", "--force"), both),
        (("label", "networkpolicy/api", "service/api", "team=a"), None),
    ):
        said = kubectl(*arguments, stdin=text)
        assert said.err == [misspelt(shop), lost(shop)], arguments
        assert said.code == (1 if arguments == ("diff",) else 0), arguments
    kubectl("replace", stdin=f"{SOUND}---{SERVICE_SOUND}")
    patch = f'{{"spec": {{"podSelector": {{"matchLabels": {{{to}}}}}}}}}'
    said = kubectl("patch", "networkpolicy/api", "-p", patch)
    assert said == (0, ["networkpolicy.networking.k8s.io/api patched"], [misspelt(shop)])
    said = kubectl("patch", "service/api", "-p", f'{{"spec": {{"selector": {{{to}}}}}}}')
    assert said == (0, ["service/api patched"], [lost(shop)])
    assert kubectl("delete", stdin=both).err == []


def test_server_side_apply_of_a_change_warns_again_and_again(kubectl: Kubectl, shop: str) -> None:
    kubectl("apply", "--server-side", stdin=f"{SOUND}---{SERVICE_SOUND}")
    for _ in range(2):
        said = kubectl("apply", "--server-side", stdin=f"{MISSPELT}---{SERVICE_LOST}")
        assert (said.code, said.err) == (0, [misspelt(shop), lost(shop)])


def test_what_was_applied_and_is_unchanged_is_not_sent_again(kubectl: Kubectl, shop: str) -> None:
    assert kubectl("apply", stdin=MISSPELT).err == [misspelt(shop)]
    assert kubectl("apply", stdin=MISSPELT) == (0, ["networkpolicy.networking.k8s.io/api unchanged"], [])


def test_warnings_as_errors(kubectl: Kubectl, shop: str) -> None:
    said = kubectl("create", "--warnings-as-errors", stdin=MISSPELT)
    assert said.code == 1
    assert said.err == [misspelt(shop), "error: 1 warning received"]


PEERS = SOUND.replace("{podSelector: {matchLabels: {app: storefront}}}", "PEER")


@pytest.mark.parametrize(
    ("peer", "says"),
    [
        (
            "{podSelector: {matchLabels: {app: storefrond}}}",
            ("from app=storefrond matches no pod; write app: storefront [peer-matches-nothing]"),
        ),
        (
            "{podSelector: {matchLabels: {app: prometheus}}}",
            ("from app=prometheus matches no pod here; add a namespaceSelector [peer-matches-nothing]"),
        ),
        (
            "{namespaceSelector: {matchLabels: {name: OTHER}}}",
            ("no namespace has name=OTHER; write kubernetes.io/metadata.name: OTHER [namespace-not-found]"),
        ),
        (
            (
                "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: OTHER}}}, "
                "{podSelector: {matchLabels: {app: prometheus}}}"
            ),
            ("two dashes mean OR: 2 pods get in, not 1; drop the second [peers-or-not-and]"),
        ),
        (
            "{podSelector: {matchExpressions: [{key: app, operator: Exists}, {key: app, operator: DoesNotExist}]}}",
            "podSelector app and !app never match; remove !app [selector-can-never-match]",
        ),
    ],
)
def test_what_each_check_says_of_a_peer(
    kubectl: Kubectl, webhook: InstalledWebhook, shop: str, peer: str, says: str
) -> None:
    """Other namespaces are counted, never named, but where the policy itself names them."""
    other = f"elsewhere-{secrets.token_hex(3)}"
    pods = [pod("prometheus-0", other, app="prometheus"), pod("grafana-0", other, app="grafana")]
    with seen(webhook, pods):
        said = kubectl("create", stdin=PEERS.replace("PEER", peer.replace("OTHER", other)))
    expected = says.replace("SHOP", shop).replace("OTHER", other)
    assert said == (
        0,
        ["networkpolicy.networking.k8s.io/api created"],
        [f"Warning: netpol {shop}/api: {expected}"],
    )


def pod(name: str, namespace: str, **labels: str) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


# --- what can never do what it says is denied


@pytest.mark.parametrize(
    ("text", "reason"), [(DEAD_RULES, dead_rules), (IMPOSSIBLE, impossible)], ids=["dead", "never"]
)
def test_a_denial(
    kubectl: Kubectl, webhook: InstalledWebhook, shop: str, text: str, reason: Callable[[str], str]
) -> None:
    because = f"{DENIED}{reason(shop)}"
    creating = f'Error from server (Forbidden): error when creating "STDIN": {because}'
    for arguments in (("create",), ("apply",), ("create", "--dry-run=server"), ("apply", "--dry-run=server")):
        assert kubectl(*arguments, stdin=text) == (1, [], [creating]), arguments
    assert kubectl("apply", "--server-side", stdin=text) == (1, [], [f"Error from server (Forbidden): {because}"])
    assert kubectl("get", "networkpolicies") == (0, [], [f"No resources found in {shop} namespace."])
    assert {d["message"] for d in webhook.decisions(shop)} == {"denied"}


def test_a_change_for_the_worse_is_denied(kubectl: Kubectl, shop: str) -> None:
    kubectl("apply", stdin=SOUND)
    for arguments in (("apply",), ("replace",), ("replace", "--dry-run=server")):
        said = kubectl(*arguments, stdin=DEAD_RULES)
        assert (said.code, said.out) == (1, [])
        assert said.err[-1].endswith(f'"STDIN": {DENIED}{dead_rules(shop)}'), said.err
    patch = '{"spec": {"egress": [{"ports": [{"port": 443}]}]}}'
    assert kubectl("patch", "networkpolicy/api", "-p", patch) == (
        1,
        [],
        [f"Error from server (Forbidden): {DENIED}{dead_rules(shop)}"],
    )
    # kubectl shows nothing of a diff that is denied but the denial
    said = kubectl("diff", stdin=DEAD_RULES)
    assert said.code > 1
    assert said.err[-1].endswith(f"{DENIED}{dead_rules(shop)}")
    assert kubectl("diff", stdin=SOUND) == (0, [], [])


def test_warnings_come_with_a_denial(kubectl: Kubectl, shop: str) -> None:
    said = kubectl("create", stdin=DEAD_RULES.replace("app: storefront", "app: storefrond"))
    assert said.code == 1
    assert [line.rpartition(" ")[2] for line in said.err] == ["[peer-matches-nothing]", "[rules-without-policy-type]"]
    assert said.err[1] == f'Error from server (Forbidden): error when creating "STDIN": {DENIED}{dead_rules(shop)}'


def test_one_bad_object_does_not_hold_up_the_others(kubectl: Kubectl) -> None:
    said = kubectl("apply", stdin=f"{DEAD_RULES}---{SERVICE_SOUND}")
    assert (said.code, said.out) == (1, ["service/api created"])


def test_deleting_is_never_judged(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    with webhook.switched_off():
        assert kubectl("create", stdin=f"{DEAD_RULES}---{SERVICE_LOST}").code == 0
        assert kubectl("create", stdin=IMPOSSIBLE.replace("name: api", "name: never")).code == 0
    assert kubectl("delete", "--dry-run=server", stdin=DEAD_RULES).err == []
    said = kubectl("delete", "networkpolicies,services", "--all")
    assert (said.code, len(said.out), said.err) == (0, 3, [])
    decisions = [d for d in webhook.decisions(shop) if d["operation"] == "DELETE"]
    assert {d["message"] for d in decisions} == {"allowed"}
    assert len(decisions) == 4


# --- the ratchet: what is there already can be changed


def test_an_old_defect_can_be_changed_and_mended(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    with webhook.switched_off():
        kubectl("apply", stdin=DEAD_RULES)
    warned = [f"Warning: {dead_rules(shop)}"]
    assert kubectl("label", "networkpolicy/api", "team=a").err == warned
    assert kubectl("apply", stdin=DEAD_RULES.replace("app: storefront", "app: api")).err == warned
    assert kubectl("replace", stdin=DEAD_RULES).err == warned
    worse = '{"spec": {"podSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}}}'
    said = kubectl("patch", "networkpolicy/api", "-p", worse)
    assert said.code == 1
    assert said.err[0] == warned[0]
    assert said.err[1].endswith("[selector-can-never-match]")
    assert dead_rules(shop) not in said.err[1]
    assert kubectl("replace", stdin=SOUND).err == []


def test_replace_force_does_not_lose_an_old_defect(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    with webhook.switched_off():
        kubectl("create", stdin=DEAD_RULES)
    said = kubectl("replace", "--force", stdin=DEAD_RULES)
    assert (said.code, said.err) == (0, [f"Warning: {dead_rules(shop)}"])


# --- modes and waivers


def test_a_namespace_can_choose_its_mode(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    assert kubectl("create", stdin=DEAD_RULES).code == 1
    label(webhook, shop, "warn")
    said = kubectl("create", stdin=f"{DEAD_RULES}---{SERVICE_LOST}")
    assert (said.code, said.err) == (0, [f"Warning: {dead_rules(shop)}", lost(shop)])
    label(webhook, shop, "off")
    assert kubectl("replace", "--force", stdin=f"{DEAD_RULES}---{SERVICE_LOST}").err == []
    label(webhook, shop, "enforce")
    assert kubectl("label", "networkpolicy/api", "team=a") == (
        0,
        ["networkpolicy.networking.k8s.io/api labeled"],
        [f"Warning: {dead_rules(shop)}"],
    )
    assert kubectl("create", stdin=DEAD_RULES.replace("name: api", "name: other")).code == 1


def label(webhook: InstalledWebhook, namespace: str, mode: str) -> None:
    body = {"metadata": {"labels": {"netadmit.io/mode": mode}}}
    webhook.plane.request("PATCH", f"/api/v1/namespaces/{namespace}", body)
    ready = {"warn": (True, True), "off": (True, False), "enforce": (False, False)}[mode]

    def answered() -> bool:
        answer = dry_run(webhook, namespace, DEAD_RULES)
        return (answer.status == 201, bool(answer.warnings)) == ready

    within(1, answered)


def dry_run(webhook: InstalledWebhook, namespace: str, text: str):
    (document,) = read(text)
    document["metadata"] |= {"namespace": namespace, "name": f"dry-{secrets.token_hex(3)}"}
    return webhook.plane.request("POST", f"{collection(document)}?dryRun=All", document, check=False)


def warned(webhook: InstalledWebhook, namespace: str, text: str) -> bool:
    """Whether a dry run warns of anything; that traffic would change is no warning."""
    return bool(findings("\n".join(dry_run(webhook, namespace, text).warnings)))


def within(seconds: float, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"


def test_a_waiver_on_the_object(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    def waived(text: str, check: str, reason: str) -> str:
        return text.replace("{name: api}", f"{{name: api, annotations: {{netadmit.io/ignore.{check}: '{reason}'}}}}")

    counted = webhook.metric("netadmit_waived_total", check="selector-matches-nothing")
    said = kubectl("create", "--dry-run=server", stdin=waived(MISSPELT, "selector-matches-nothing", "comes later"))
    assert (said.code, said.err) == (0, [])
    (decision,) = webhook.decisions(shop)
    assert [f["waived"] for f in decision["findings"]] == ["comes later"]
    assert webhook.metric("netadmit_waived_total", check="selector-matches-nothing") == counted + 1
    for check, reason in (("selector-matches-nothing", " "), ("peer-matches-nothing", "of another check")):
        said = kubectl("create", "--dry-run=server", stdin=waived(MISSPELT, check, reason))
        assert said.err == [misspelt(shop)], (check, reason)
    # whoever writes the object cannot waive what denies it
    said = kubectl("create", stdin=waived(DEAD_RULES, "rules-without-policy-type", "please"))
    assert (said.code, said.err[0].endswith(dead_rules(shop))) == (1, True)


def test_a_waiver_on_the_namespace(webhook: InstalledWebhook, kubectl: Kubectl, shop: str) -> None:
    metadata = {
        "annotations": {
            "netadmit.io/ignore.rules-without-policy-type": "egress is the firewall's",
            "netadmit.io/ignore.service-selects-nothing": "",
        }
    }
    webhook.plane.request("PATCH", f"/api/v1/namespaces/{shop}", {"metadata": metadata})
    within(1, lambda: dry_run(webhook, shop, DEAD_RULES).status == 201)
    assert kubectl("create", stdin=f"{DEAD_RULES}---{SERVICE_LOST}") == (
        0,
        ["networkpolicy.networking.k8s.io/api created", "service/api created"],
        [lost(shop)],
    )


# --- the state is live


def test_a_warning_ends_when_the_namespace_is_there(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    right, wrong = "monitoring", "monitorin"
    text = PEERS.replace("PEER", f"{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {wrong}}}}}}}")
    with seen(webhook, (), right):
        assert kubectl("create", "--dry-run=server", stdin=text).err == [
            (
                f"Warning: netpol {shop}/api: there is no namespace {wrong}: one has nearly that; look at its spelling "
                "[namespace-not-found]"
            )
        ]
        webhook.plane.create_namespace(wrong)
        try:
            within(1, lambda: not warned(webhook, shop, text))
            assert kubectl("create", stdin=text).err == []
        finally:
            webhook.plane.delete_namespace(wrong)
            webhook.catch_up([NAMESPACE])


@pytest.mark.parametrize(
    ("text", "warning", "missing"),
    [
        (MISSPELT, misspelt, "kind: Pod, metadata: {name: apj-1, namespace: SHOP, labels: {app: apj}}"),
        (
            SERVICE_LOST,
            lost,
            (
                "kind: Deployment, metadata: {name: apj, namespace: SHOP}, "
                "spec: {template: {metadata: {labels: {app: apj}}}}"
            ),
        ),
    ],
    ids=["a pod", "a Deployment"],
)
def test_a_warning_ends_when_what_is_selected_is_there(
    kubectl: Kubectl,
    webhook: InstalledWebhook,
    shop: str,
    text: str,
    warning: Callable[[str], str],
    missing: str,
) -> None:
    assert kubectl("create", "--dry-run=server", stdin=text).err == [warning(shop)]
    version = "v1" if "Pod" in missing else "apps/v1"
    (document,) = read(f"{{apiVersion: {version}, {missing.replace('SHOP', shop)}}}")
    create(webhook.plane, document)
    within(1, lambda: not warned(webhook, shop, text))
    assert kubectl("create", "--dry-run=server", stdin=text).err == []
    delete(webhook.plane, document)
    within(1, lambda: warned(webhook, shop, text))
    assert kubectl("create", "--dry-run=server", stdin=text).err == [warning(shop)]


def test_a_label_on_a_pod_is_enough(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    text = PEERS.replace("PEER", "{podSelector: {matchLabels: {app: storefrond}}}")
    assert len(kubectl("create", "--dry-run=server", stdin=text).err) == 1
    kubectl("label", "pod/storefront-1", "app=storefrond", "--overwrite")
    within(1, lambda: not warned(webhook, shop, text))


def test_one_file_with_everything_is_silent(kubectl: Kubectl, webhook: InstalledWebhook) -> None:
    """Each Service follows right behind its Deployment, and pods with the same labels run elsewhere."""
    name = f"new-{secrets.token_hex(3)}"
    documents = [f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}"]
    for number in range(10):
        app = f"shop-{'abcdefghij'[number]}"
        documents.append(f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {app}, namespace: {name}}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  template: {{metadata: {{labels: {{app: {app}}}}}, spec: {{containers: [{{name: main, image: example/image}}]}}}}
""")
        documents.append(
            SERVICE_SOUND.replace("{name: api}", f"{{name: {app}, namespace: {name}}}").replace(
                "app: api", f"app: {app}"
            )
        )
    elsewhere = [pod(f"{letter}-1", f"old-{name}", app=f"shop-{letter}") for letter in "abcdefghij"]
    try:
        with seen(webhook, elsewhere):
            done = webhook.plane.kubectl("apply", "-f", "-", stdin="\n---\n".join(documents))
            assert (len(done.stdout.splitlines()), done.stderr) == (21, "")
            assert len(webhook.decisions(name)) == 10
    finally:
        webhook.plane.delete_namespace(name)
        webhook.catch_up()


# --- who may know what


def test_messages_name_nothing_of_other_namespaces(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    secret = f"secret-{secrets.token_hex(3)}"
    elsewhere = [pod("payroll-0", secret, app="payroll", tier="hidden"), pod("audit-0", secret, app="auditor")]
    labels = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": secret, "labels": {"team": "finances"}}}
    peers = (
        "{podSelector: {matchLabels: {app: payroll}}}",
        "{namespaceSelector: {matchLabels: {team: finance}}}",
        "{namespaceSelector: {matchLabels: {team: finances}}, podSelector: {matchLabels: {app: auditors}}}",
        "{namespaceSelector: {matchLabels: {team: finances}}}, {podSelector: {matchLabels: {app: payroll}}}",
    )
    policies = [PEERS.replace("PEER", peer).replace("name: api", f"name: p{i}") for i, peer in enumerate(peers)]
    policies.append(SOUND.replace("app: api", "app: payroll"))
    service = SERVICE_SOUND.replace("app: api", "app: payroll")
    with seen(webhook, [labels, *elsewhere]):
        said = kubectl("create", stdin="---".join([*policies, service]))
    assert said.code == 0
    assert len(said.err) == 6, said.err
    for line in said.err:
        assert line.startswith("Warning: ")
        for word in (secret, "payroll-0", "audit-0", "hidden"):
            assert word not in line
    assert "team=finances" not in said.err[1]
    assert "app=auditor " not in said.err[2]


# --- configurations


def test_strict(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    text = PEERS.replace("PEER", "{namespaceSelector: {matchLabels: {name: default}}}")
    checks = {"namespace-not-found": {"action": "ignore"}}
    with webhook.configured(profile="strict", checks=checks):
        said = kubectl("create", stdin=f"{MISSPELT}---{SERVICE_LOST}")
        assert (said.code, said.out) == (1, [])
        creating = f'Error from server (Forbidden): error when creating "STDIN": {DENIED}'
        # In a denial there is room for what was left out of the warning.
        because, near = "matches no pod; ", "matches no pod: 1 pod template has app=api; "
        reasons = [line(shop).removeprefix("Warning: ").replace(because, near) for line in (misspelt, lost)]
        assert said.err == [creating + reason for reason in reasons]
        assert kubectl("create", stdin=text).err == []
        assert kubectl("delete", stdin=text).code == 0
        enforced = kubectl("create", stdin=f"{SOUND}---{SERVICE_SOUND}")
        assert (enforced.code, enforced.err) == (0, [])
    assert "[namespace-not-found]" in kubectl("create", "--dry-run=server", stdin=text).err[0]


def test_warn_everywhere(kubectl: Kubectl, webhook: InstalledWebhook, shop: str) -> None:
    with webhook.configured(mode="warn"):
        said = kubectl("create", stdin=DEAD_RULES)
    assert (said.code, said.err) == (0, [f"Warning: {dead_rules(shop)}"])


def test_it_is_not_silently_dead(kubectl: Kubectl, webhook: InstalledWebhook) -> None:
    """failurePolicy Fail here: so the silence in all the other tests is netadmit's."""
    webhook.stop()
    try:
        said = kubectl("create", stdin=SOUND)
    finally:
        webhook.start()
    assert said.code == 1
    assert f'failed calling webhook "{WEBHOOK}"' in said.err[0]
    assert kubectl("create", stdin=SOUND).code == 0


# --- every example of every check


OF_AGE = ("dns-blocked", "cuts-api-server", "service-reachable-by-nobody")
"""What they say on CREATE they say in namespaces that have been there for a while."""


def examples(good: bool) -> list[object]:
    return [
        pytest.param(check, example, id=f"{check.id}: {example.title}")
        for check in all_checks()
        if not check.files_only
        for example in (check.good if good else check.bad)
        if example.view is View.ADMISSION and not example.partial  # all of a live state can be read
    ]


@pytest.fixture(scope="class")
def disclosing(webhook: InstalledWebhook) -> Iterator[None]:
    with custom_resources.installed(webhook.plane), webhook.configured(disclose="cluster"):
        yield


@pytest.mark.usefixtures("disclosing")
class TestExamples:
    """What stands in the documentation is what kubectl prints; as the examples do, it names other namespaces."""

    def send(self, webhook: InstalledWebhook, check: Check, example: Example) -> tuple[int, list[str], str]:
        """The status, the warnings and the message; without kubectl, which would take two minutes for all of them."""
        new, old = read(example.object), read(example.old)
        shown = whole((new or old)[0])
        url = f"{collection(shown)}/{shown['metadata']['name']}"
        namespace = shown["metadata"].get("namespace", "default")
        listed = documents(example, namespace, of_age=check.id in OF_AGE)
        with seen(webhook, listed, namespace, tidy=True):
            if old and webhook.plane.request("GET", url, check=False).status == 404:
                create(webhook.plane, old[0])
                webhook.catch_up([kind_of(shown)])
            let_go(webhook, listed)
            try:
                if not new:
                    answer = webhook.plane.request("DELETE", url, check=False)
                elif not old:
                    answer = webhook.plane.request("POST", collection(shown), shown, check=False)
                else:
                    there = webhook.plane.request("GET", url).body
                    shown["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
                    answer = webhook.plane.request("PUT", url, shown, check=False)
                return answer.status, list(answer.warnings), answer.body.get("message", "")
            finally:
                delete(webhook.plane, shown)
                webhook.catch_up([kind_of(shown)])

    @pytest.mark.parametrize(("check", "example"), examples(good=False))
    def test_bad(self, webhook: InstalledWebhook, check: Check, example: Example) -> None:
        here = as_here(webhook.plane, example)
        status, warnings, message = self.send(webhook, check, here)
        expected = rulings(here)
        if denial := Verdict(tuple(expected)).denial:
            assert (status, message) == (403, DENIED + denial)
        else:
            assert status in (200, 201), message
        said = [line for line in warnings if line.endswith(f"[{check.id}]")]
        assert said == [r.line for r in expected if r.check == check.id and r.action is Action.WARN]

    @pytest.mark.parametrize(("check", "example"), examples(good=True))
    def test_good(self, webhook: InstalledWebhook, check: Check, example: Example) -> None:
        status, warnings, message = self.send(webhook, check, as_here(webhook.plane, example))
        assert status in (200, 201), message
        assert not [line for line in warnings if line.endswith(f"[{check.id}]")]


def test_nothing_crashed_and_nothing_is_left(webhook: InstalledWebhook, control_plane: ControlPlane) -> None:
    crashes = [line for line in webhook.metrics().splitlines() if line.startswith("netadmit_check_crashes_total{")]
    assert [line for line in crashes if not line.endswith(" 0.0")] == []
    assert [line for line in webhook.log() if line["level"] in ("error", "critical")] == []
    for kind, most in ((NETWORK_POLICY, 0), (SERVICE, 2)):
        webhook.catch_up([kind])
        assert webhook.metric("netadmit_state_objects", kind=kind) <= most
