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
from webhook.check import Check, Example, Level, View
from webhook.checks import all_checks
from webhook.model.objects import KINDS
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
