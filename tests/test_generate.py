"""What benchmarks measure is a cluster as people have them, the same one each time."""

from collections import Counter
from pathlib import Path

import pytest

from bench import repository
from bench.generate import SIZES, Size, objects, records, write
from webhook.audit import audit
from webhook.cli.check import judge_files
from webhook.model.cluster import Cluster
from webhook.model.objects import KINDS, NETWORK_POLICY, POD
from webhook.pipeline import Judge
from webhook.state.files import FileState
from webhook.verdict import Action


@pytest.mark.parametrize("name", ["S", "M"])
def test_it_has_the_size_that_was_asked_for(name: str) -> None:
    kinds = Counter(made["kind"] for made in objects(SIZES[name]))
    assert Size(kinds["Namespace"], kinds["Pod"], kinds["NetworkPolicy"]) == SIZES[name]


def test_a_seed_gives_the_same_cluster_and_another_one_another() -> None:
    assert list(objects(SIZES["S"], 7)) == list(objects(SIZES["S"], 7)) != list(objects(SIZES["S"], 8))


def test_no_two_pods_share_a_name_or_an_address() -> None:
    pods = list(Cluster.of(records(SIZES["M"])).pods)
    assert len(pods) == SIZES["M"].pods
    addresses = Counter(ip for pod in pods if not pod.host_network for ip in pod.ips)
    assert set(addresses.values()) == {1}


def test_files_hold_the_same_cluster(tmp_path: Path) -> None:
    write(tmp_path / "S", SIZES["S"])
    state = FileState()
    state.load([str(tmp_path / "S")])
    assert state.problems == []
    made = Cluster.of(records(SIZES["S"]), complete=True)
    for kind in KINDS:
        assert set(state.cluster.keys(kind)) == set(made.keys(kind))
        assert all(state.cluster.get(kind, key) == made.get(kind, key) for key in made.keys(kind))
        assert state.cluster.completeness(kind) is made.completeness(kind)
    assert len(state.cluster.keys(POD)) == 50
    assert len(state.cluster.keys(NETWORK_POLICY)) == 20


def test_nothing_in_it_is_a_mistake() -> None:
    cluster = Cluster.of(records(SIZES["S"]), complete=True)
    said = [ruling for judgement in audit(Judge(), cluster) for ruling in judgement.verdict.rulings]
    assert [ruling for ruling in said if ruling.action is not Action.IGNORE] == []


@pytest.mark.parametrize("per_file", [True, False])
def test_a_repository_has_so_many_files_and_nothing_in_it_is_a_mistake(tmp_path: Path, *, per_file: bool) -> None:
    repository.write(tmp_path / "manifests", 60, per_file=per_file)
    files = list((tmp_path / "manifests").rglob("*.yaml"))
    assert len(files) == 60
    state = FileState()
    reviewed = state.review([str(tmp_path / "manifests")])
    assert (len(reviewed) == 60) is per_file
    results = judge_files(Judge(), state, reviewed)
    assert results.objects > 25
    assert results.problems == ()
    assert [r.ruling.finding.line for r in results.results if r.ruling.action is not Action.IGNORE] == []
