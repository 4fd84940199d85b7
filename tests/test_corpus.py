"""Not a word about what is sound: the corpus, judged as files (tests/cluster/test_corpus.py sends it to a cluster)."""

import json
from pathlib import Path

import pytest
import yaml

from . import configurations
from .command import Command


@pytest.fixture
def netadmit(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capfd, monkeypatch)


def said(netadmit: Command, *arguments: str) -> list[str]:
    """The warnings and errors of `check`; its exit code must agree."""
    outcome = netadmit("check", "--fail-on=warning", "-o", "json", *arguments)
    assert outcome.code < 2, outcome.err
    found = [f for f in outcome.json["findings"] if f["level"] != "note"]
    assert outcome.code == bool(found)
    assert outcome.json["summary"]["objects"], "nothing was judged"
    return [f"{f['object']['namespace']}/{f['object']['name']}: {f['message']} [{f['check']}]" for f in found]


@pytest.mark.parametrize("name", configurations.NAMES)
def test_a_sound_configuration_is_silent_alone(netadmit: Command, name: str) -> None:
    folder = configurations.FOLDER / name
    files = [str(file) for file in sorted(folder.glob("*.yaml"))]
    assert said(netadmit, *files) == []


@pytest.mark.parametrize("name", configurations.NAMES)
def test_a_sound_configuration_is_silent_in_its_cluster(netadmit: Command, name: str) -> None:
    """What operators make of it is there: `check` sees the whole, and a policy for pods to come would be told."""
    folder = configurations.FOLDER / name
    files = [str(file) for file in sorted(folder.glob("*.yaml"))]
    state = [f"--cluster={path}" for path in (configurations.CLUSTER, folder / "made") if path.exists()]
    assert said(netadmit, *state, *files) == []


@pytest.mark.parametrize("name", configurations.NAMES)
def test_the_next_version_is_silent_where_this_one_runs(netadmit: Command, name: str) -> None:
    folder = configurations.FOLDER / name
    netadmit.write("next.yaml", *(json.dumps(d) for d in configurations.upgraded(name)))
    state = [configurations.CLUSTER, folder / "made", *sorted(folder.glob("*.yaml"))]
    assert said(netadmit, *(f"--cluster={path}" for path in state if path.exists()), "next.yaml") == []


def test_all_of_them_are_silent_together(netadmit: Command) -> None:
    """One cluster with every configuration in it: labels of one are no evidence against another."""
    parts = [configurations.FOLDER / name / "made" for name in configurations.NAMES]
    state = [f"--cluster={path}" for path in (configurations.CLUSTER, *parts) if path.exists()]
    files = [str(f) for name in configurations.NAMES for f in sorted((configurations.FOLDER / name).glob("*.yaml"))]
    assert said(netadmit, *state, *files) == []


def test_the_corpus_is_large_and_in_an_order_that_is_not_helm_s() -> None:
    assert len(configurations.NAMES) >= 30
    for name in configurations.NAMES:
        kinds = [d["kind"] for d in configurations.read(name)]
        if {"Deployment", "NetworkPolicy"} <= set(kinds):
            assert kinds.index("Deployment") < kinds.index("NetworkPolicy"), name


def test_a_mistake_in_any_of_them_is_told(netadmit: Command) -> None:
    """That silence is no deafness: the same files with one letter too many in every podSelector that has a label."""
    for name in configurations.NAMES:
        folder = configurations.FOLDER / name
        documents = configurations.read(name)
        policies = [d for d in documents if d["kind"] == "NetworkPolicy"]
        labels = [d["spec"]["podSelector"].get("matchLabels", {}) for d in policies]
        if not any(labels):
            continue
        for chosen in filter(None, labels):
            key = next(iter(chosen))
            chosen[key] += "x"
        (netadmit.folder / "wrong.yaml").write_text(yaml.safe_dump_all(documents))
        state = [f"--cluster={path}" for path in (configurations.CLUSTER, folder / "made") if path.exists()]
        assert "[selector-matches-nothing]" in " ".join(said(netadmit, *state, "wrong.yaml")), name
