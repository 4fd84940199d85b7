"""The workflows of GitHub Actions: what may publish is pinned, and nothing that a request brings becomes shell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(file.read_text())["jobs"])


def steps(file: Path) -> Iterator[dict[str, Any]]:
    for job in jobs(file).values():
        yield from job.get("steps", ())


def test_there_are_two() -> None:
    assert [file.name for file in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_by_commit_and_say_their_version(file: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.*)$", file.read_text(), re.MULTILINE)
    assert used
    assert [use for use in used if not use.startswith("./.github/workflows/") and not PINNED.match(use)] == []


def test_an_action_has_one_version_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for file in WORKFLOWS:
        for action, pin in re.findall(r"uses: ([\w./-]+)@(.*)$", file.read_text(), re.MULTILINE):
            pins.setdefault(action, set()).add(pin)
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_rights_are_given_job_by_job(file: Path) -> None:
    assert yaml.safe_load(file.read_text())["permissions"] == {}
    for name, job in jobs(file).items():
        writes = {right for right, level in job["permissions"].items() if level != "read"}
        assert not writes or (file.name, name) == ("release.yml", "publish"), name
        assert "uses" in job or job["timeout-minutes"], name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_expression_becomes_shell_and_no_token_stays_in_the_checkout(file: Path) -> None:
    for step in steps(file):
        assert "${{" not in step.get("run", ""), step
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_a_release_is_tested_first_signed_and_attested() -> None:
    [release] = [file for file in WORKFLOWS if file.name == "release.yml"]
    publish = jobs(release)["publish"]
    assert publish["needs"] == "test"
    assert jobs(release)["test"]["uses"] == "./.github/workflows/ci.yml"
    scripts = "\n".join(step.get("run", "") for step in publish["steps"])
    for done in ("cosign sign", "cosign attest", "helm push"):
        assert done in scripts
    assert sum(step.get("uses", "").startswith("actions/attest-build-provenance@") for step in publish["steps"]) == 2
    [build] = [
        step["with"] for step in publish["steps"] if step.get("uses", "").startswith("docker/build-push-action@")
    ]
    assert (build["sbom"], build["provenance"], build["platforms"]) == (True, "mode=max", "linux/amd64,linux/arm64")


def test_what_the_release_edits_is_where_it_looks_for_it() -> None:
    """Its sed and grep stop the release when they find nothing: rather here than there."""
    values = (ROOT / "helm" / "netadmit" / "values.yaml").read_text().splitlines()
    assert sum(line.startswith("  repository: ") for line in values) == 1
    assert values.count('  digest: ""') == 1
    version = re.search(r'^__version__ = "(.*)"$', (ROOT / "webhook" / "__init__.py").read_text(), re.MULTILINE)
    assert version
    assert f"version: {version[1]}" in (ROOT / "helm" / "netadmit" / "Chart.yaml").read_text().splitlines()
    assert f"image: ghcr.io/netadmit/netadmit:{version[1]}\n" in (ROOT / "deploy" / "netadmit.yaml").read_text()


def test_ci_runs_what_developers_run() -> None:
    [ci] = [file for file in WORKFLOWS if file.name == "ci.yml"]
    assert [step["run"] for step in steps(ci) if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
