"""What people read: every bad example of every check, asked as the API server asks, told as kubectl tells it."""

import io
import json
import re
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.command import Command
from tests.test_checks import NOW, rulings
from webhook.check import Check, Disclosure, Example, Level, View
from webhook.checks import all_checks
from webhook.model.objects import KINDS, NAMESPACE
from webhook.state.files import FileState
from webhook.verdict import SHORT

_API_WORDS = "says what the API server says, in its words"
TOO_LONG = {"refused-by-api": _API_WORDS}
"""Checks whose lines may be longer, and why. They look at text, so `check` tells them and kubectl does not."""
USUAL = 25
"""Characters of all names of objects in a line together."""
TOO_LONG_THEN = {
    "local-traffic-black-hole": "externalTrafficPolicy and what it must be are long words",
    "namespace-not-found": "kubernetes.io/metadata.name is the label to write",
    "selector-can-never-match": "repeats both terms as they were written",
    "selects-whole-namespace-by-accident": "repeats the labels as they must be written",
}


@pytest.fixture
def netadmit(tmp_path: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr("webhook.cli.review.time", SimpleNamespace(time=lambda: NOW))
    return Command(tmp_path, capfd, monkeypatch)


def _bad(*views: View) -> list[Any]:
    return [
        pytest.param(check, example, id=f"{check.id}: {example.title}")
        for check in all_checks()
        for example in check.bad
        if example.view in views
    ]


def _object(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    (found,) = FileState().review(["-"], stdin=io.BytesIO(text.encode()))
    data = json.loads(json.dumps(found.manifest.data))
    data["metadata"].setdefault("namespace", "default")
    return dict(data)


def _review(example: Example) -> str:
    new, old = _object(example.object), _object(example.old)
    shown = new or old
    assert shown is not None
    group, _, version = shown["apiVersion"].rpartition("/")
    kind = {"group": group, "version": version, "kind": shown["kind"]}
    request = {
        "uid": "1",
        "kind": kind,
        "requestKind": kind,
        "operation": "DELETE" if new is None else "UPDATE" if old else "CREATE",
        "namespace": shown["metadata"]["namespace"],
        "name": shown["metadata"]["name"],
        "userInfo": {"username": "ada"},
        "object": new,
        "oldObject": old,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def _told(netadmit: Command, example: Example, disclose: str) -> list[str]:
    """The lines that kubectl prints: behind ``Warning:``, and of the denial."""
    netadmit.write("config.yaml", f"apiVersion: netadmit.io/v1\nkind: Config\ndisclose: {disclose}")
    state = ["--cluster", netadmit.write("cluster.yaml", example.cluster)] if example.cluster.strip() else []
    complete = [] if example.partial else ["--complete"]
    outcome = netadmit("review", "--config", "config.yaml", *state, *complete, stdin=_review(example))
    assert outcome.code in (0, 1), outcome.err
    response = outcome.json["response"]
    return [*response.get("warnings", ()), *response.get("status", {}).get("message", "").splitlines()]


@pytest.mark.parametrize("disclose", ["cluster", "namespace"])
@pytest.mark.parametrize(("check", "example"), _bad(View.ADMISSION))
def test_what_kubectl_prints_is_short(netadmit: Command, check: Check, example: Example, disclose: str) -> None:
    lines = _told(netadmit, example, disclose)
    if (example.level or check.level) > Level.NOTE and disclose == "cluster":
        assert [line for line in lines if line.endswith(f" [{check.id}]")], lines
    shown = _object(example.object) or _object(example.old)
    assert shown is not None
    kind = {"NetworkPolicy": "netpol", "Service": "svc"}[shown["kind"]]
    head = f"{kind} {shown['metadata']['namespace']}/{shown['metadata']['name']}: "
    for line in lines:
        assert line.startswith(head)
        assert len(line) <= SHORT, line


@pytest.mark.parametrize(("check", "example"), _bad(*View))
def test_every_line_is_short(check: Check, example: Example) -> None:
    """Notes too, and what only `check` sees."""
    for ruling in rulings(example):
        assert len(ruling.line) <= SHORT or ruling.check in TOO_LONG, ruling.line
    assert not [id_ for id_ in TOO_LONG if id_ not in {c.id for c in all_checks() if c.files_only}]


def _names(text: str) -> set[str]:
    """The names of all objects of some YAML, and of their namespaces."""
    state = FileState()
    state.load(["-"], stdin=io.BytesIO(text.encode()))
    keys = [key for kind in KINDS for key in state.cluster.keys(kind)]
    return {name for key in keys for name in key if name}


@pytest.mark.parametrize(("check", "example"), _bad(View.ADMISSION))
def test_a_line_about_a_longer_name_is_short(check: Check, example: Example) -> None:
    names = _names(example.cluster) | _names(example.object or example.old)
    for ruling in (r for r in rulings(example) if r.check == check.id and r.check not in TOO_LONG_THEN):
        about = ruling.object
        others = sum(len(word) for word in re.findall(r"[\w-]+", ruling.finding.brief) if word in names)
        name = about.name.ljust(USUAL - others - len(about.namespace), "x")
        longer = msgspec.structs.replace(ruling, object=msgspec.structs.replace(about, name=name))
        assert len(longer.line) <= SHORT, longer.line


@pytest.mark.parametrize(("check", "example"), _bad(*View))
def test_every_finding_is_said_in_the_same_way(check: Check, example: Example) -> None:
    """One clause for each of what was seen, what it means and what to write; none of them has the next within it."""
    for ruling in (r for r in rulings(example) if r.check == check.id):
        finding = ruling.finding
        for part in (finding.message, finding.means, finding.remedy, finding.detail):
            assert part == part.strip()
            assert not part.endswith((".", "!", ":", ";"))
            assert "\n" not in part
        assert "; " not in finding.message + finding.means + finding.remedy or check.files_only
        assert finding.detail != finding.means or not finding.detail
        if check.id not in TOO_LONG and finding.level is not Level.NOTE and (example.level or check.level) > Level.NOTE:
            assert finding.remedy or finding.means, "a warning without a way out"


def test_the_line_leaves_out_what_it_means_before_it_grows_long() -> None:
    (ruling,) = [r for r in rulings(_of("selector-matches-nothing")) if r.check == "selector-matches-nothing"]
    assert ruling.finding.means in ruling.line
    name = "checkout-".ljust(40, "x")
    longer = msgspec.structs.replace(ruling, object=msgspec.structs.replace(ruling.object, name=name))
    assert ruling.finding.means not in longer.line
    assert ruling.finding.remedy in longer.line
    assert longer.line.endswith(f" [{ruling.check}]")


def _of(check: str) -> Example:
    return next(c.bad[0] for c in all_checks() if c.id == check)


# --- what a change does to traffic: one telling

_PODS = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec: {{containers: [{{name: c, ports: [{{containerPort: 8080}}]}}]}}
status: {{phase: Running, podIP: 10.0.0.{number}}}
"""
_ONLY_WEB = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec: {podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}
"""


def _pods(*names: str) -> str:
    made = (name.rpartition("/")[::2] for name in names)
    return "---".join(
        _PODS.format(name=name, namespace=namespace, number=number + 1) for number, (namespace, name) in enumerate(made)
    )


def _both(netadmit: Command, cluster: str) -> tuple[list[str], list[str]]:
    """The effects that `check` tells, and those that kubectl tells."""
    netadmit.write("config.yaml", "apiVersion: netadmit.io/v1\nkind: Config\ndisclose: cluster\neffects: always")
    netadmit.write("cluster.yaml", cluster)
    netadmit.write("policy.yaml", _ONLY_WEB)
    checked = netadmit("check", "policy.yaml", "--cluster", "cluster.yaml", "--complete")
    review = _review(Example(title="", object=_ONLY_WEB))
    asked = netadmit("review", "--config", "config.yaml", "--cluster", "cluster.yaml", "--complete", stdin=review)
    return (
        [line.removeprefix("effect: ") for line in checked.out.splitlines() if line.startswith("effect: ")],
        [line for line in asked.json["response"]["warnings"] if line.endswith(" [effect]")],
    )


def test_check_tells_effects_as_kubectl_does(netadmit: Command) -> None:
    checked, asked = _both(netadmit, _pods("shop/web", "shop/api", "shop/job", "ops/scan"))
    assert checked == [
        "cuts ops/Pod/scan, shop/Pod/job and the outside -> shop/Pod/api",
        "isolates ingress of shop/Pod/api",
    ]
    assert asked == [
        "netpol shop/api: cuts Pod/job, ops/Pod/scan and the outside -> Pod/api [effect]",
        "netpol shop/api: isolates ingress of Pod/api [effect]",
    ]


def test_an_effect_names_as_many_as_fit_into_the_line(netadmit: Command) -> None:
    names = [f"shop/{name}-with-a-long-name" for name in ("crawler", "importer", "scanner")]
    checked, asked = _both(netadmit, _pods("shop/web", "shop/api", *names))
    assert "Pod/crawler-with-a-long-name, shop/Pod/importer-with-a-long-name, shop/Pod/scanner" in checked[0]
    assert "cuts Pod/crawler-with-a-long-name and 2 more and the outside -> Pod/api" in asked[0]
    assert len(asked[0]) <= SHORT


def test_files_too_large_to_tell_effects_say_so(netadmit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.effects.MOST_STEPS_OF_FILES", 1)
    netadmit.write("cluster.yaml", _pods("shop/web", "shop/api"))
    netadmit.write("policy.yaml", _ONLY_WEB)
    outcome = netadmit("check", "policy.yaml", "--cluster", "cluster.yaml", "--complete")
    assert outcome.code == 0
    assert "effect: " not in outcome.out
    assert "not known: effects: the policies are too large to say here what they do to traffic" in outcome.out


# --- what is told of other namespaces

_KNOWN_TO_ALL = {"kube-system", "default", "openshift-dns", "ingress-nginx"}
"""Where the cluster DNS and the API server are; and what a product is called like, as its namespace mostly is."""


@pytest.mark.parametrize(("check", "example"), _bad(View.ADMISSION))
def test_no_part_of_a_finding_names_another_namespace_to_a_tenant(check: Check, example: Example) -> None:
    own = example.object + example.old
    others = [name for name in _namespaces(example.cluster) - _KNOWN_TO_ALL if not re.search(rf"\b{name}\b", own)]
    for ruling in rulings(example, Disclosure.NAMESPACE):
        words = re.findall(r"[\w-]+", ruling.finding.story)
        assert not [name for name in others if name in words], ruling.finding.story


def _namespaces(text: str) -> set[str]:
    state = FileState()
    state.load(["-"], stdin=io.BytesIO(text.encode()))
    return {key[0] or key[1] for kind in KINDS for key in state.cluster.keys(kind) if key[0] or kind == NAMESPACE}


def test_the_page_of_a_check_says_what_it_says(netadmit: Command) -> None:
    outcome = netadmit("checks", "peers-or-not-and")
    said = "netpol restricted/mynp: two dashes mean OR: 2 pods get in, not 1; drop the second [peers-or-not-and]"
    assert f"Says: {said}\n    (2 pods of namespace default (also " in outcome.out
    assert said in netadmit("checks", "peers-or-not-and", "-o", "json").json["bad"][0]["says"]
    assert f"```text\n{said}\n  = more: 2 pods of namespace default" in netadmit("checks", "-o", "markdown").out
