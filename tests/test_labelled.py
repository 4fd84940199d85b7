"""Mistakes as people make them, and sound objects that look like them: which finding each must get, and no other.

A case (tests/labelled) says what is applied to a book shop's cluster, with more state where it needs some, and the
checks that must speak: ``says`` as warnings or errors, none but these; ``notes`` and ``explains`` among others. With
``before`` it is an update, or a deletion where nothing is applied. What is said, tests/test_messages.py looks at.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.checks import all_checks

from .command import Command

FOLDER = Path(__file__).parent / "labelled"
CLUSTER = FOLDER / "cluster.yaml"
CASES = [
    pytest.param(case, id=f"{file.stem}: {case['case']}")
    for file in sorted(FOLDER.glob("*.yaml"))
    if file != CLUSTER
    for case in yaml.safe_load(file.read_text())
]
CREATED = [param for param in CASES if "before" not in param.values[0]]
SOUND = [param for param in CREATED if not param.values[0]["says"]]
CHANGED = [param for param in CASES if "before" in param.values[0]]
RESOURCES = {"NetworkPolicy": "networkpolicies", "Service": "services"}


@pytest.fixture
def netadmit(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capfd, monkeypatch)


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def ids(findings: list[dict[str, Any]], *levels: str) -> set[str]:
    return {finding["check"] for finding in findings if finding["level"] in levels}


def admitted(netadmit: Command, new: Any, old: Any, *state: str) -> list[str]:
    """The ids of what the webhook says of a request, warnings and denials."""
    shown = new or old
    group, _, version = shown["apiVersion"].rpartition("/")
    kind = {"group": group, "version": version, "kind": shown["kind"]}
    resource = {"group": group, "version": version, "resource": RESOURCES[shown["kind"]]}
    request = {
        "uid": "1",
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "namespace": shown["metadata"].setdefault("namespace", "default"),
        "name": shown["metadata"]["name"],
        "operation": "UPDATE" if new and old else "CREATE" if new else "DELETE",
        "userInfo": {"username": "ann"},
        "object": new,
        "oldObject": old,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    netadmit.write("state.yaml", *state)
    netadmit.write("review.json", json.dumps(review))
    outcome = netadmit("review", "review.json", f"--cluster={CLUSTER}", "--cluster=state.yaml", "--complete")
    assert outcome.code < 2, outcome.err
    response = outcome.json["response"]
    lines = [*response.get("warnings", ()), *response.get("status", {}).get("message", "").splitlines()]
    return [line.rpartition("[")[2].rstrip("]") for line in lines]


@pytest.mark.parametrize("case", CREATED)
def test_check_says_what_is_wrong_and_nothing_else(netadmit: Command, case: dict[str, Any]) -> None:
    netadmit.write("applied.yaml", case["applied"])
    netadmit.write("state.yaml", case.get("state", ""))
    outcome = netadmit(
        "check", "applied.yaml", "-o", "json", f"--cluster={CLUSTER}", "--cluster=state.yaml", "--complete"
    )
    found = outcome.json["findings"]
    assert ids(found, "warning", "error") == set(case["says"]), found
    assert set(case.get("notes", ())) <= ids(found, "note"), found
    assert set(case.get("explains", ())) <= {id_ for finding in found for id_ in finding["also"]}, found


@pytest.mark.parametrize("case", SOUND)
def test_what_is_sound_is_silent_alone_too_and_one_by_one(netadmit: Command, case: dict[str, Any]) -> None:
    alone = netadmit("check", netadmit.write("applied.yaml", case["applied"]), "-o", "json").json["findings"]
    assert ids(alone, "warning", "error") == set()
    every = documents(case["applied"])
    for new in every:
        if new["kind"] in RESOURCES:
            others = [json.dumps(other) for other in every if other is not new]
            assert admitted(netadmit, new, None, case.get("state", ""), *others) == []


@pytest.mark.parametrize("case", CHANGED)
def test_the_webhook_says_what_a_change_does(netadmit: Command, case: dict[str, Any]) -> None:
    new = next(iter(documents(case.get("applied", ""))), None)
    said = admitted(netadmit, new, *documents(case["before"]), case.get("state", ""), case["before"])
    assert set(said) == set(case["says"])


def test_every_check_has_a_case_and_so_does_silence() -> None:
    expected = {id_ for param in CASES for key in ("says", "notes", "explains") for id_ in param.values[0].get(key, ())}
    assert expected == {check.id for check in all_checks()}
    assert len(SOUND) >= 40
