"""`netadmit connectivity` and `netadmit diff` as a user meets them: answers, exit codes, and never a traceback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .command import Command

PODS = """
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Pod
metadata: {name: nginx, namespace: default, labels: {run: nginx}}
spec: {containers: [{name: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: busybox, namespace: default, labels: {run: busybox}}
"""
LABELLED = PODS.replace("{run: busybox}", '{run: busybox, access: "true"}')
ACCESS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: access-nginx}
spec:
  podSelector: {matchLabels: {run: nginx}}
  ingress: [{from: [{podSelector: {matchLabels: {access: "true"}}}], ports: [{port: 80}]}]
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec: {replicas: 2, template: {metadata: {labels: {run: web}}}}
"""


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capfd, monkeypatch)


@pytest.fixture
def file(run: Command) -> Callable[..., str]:
    return run.write


def flow(src: str, dst: str, *ports: str) -> dict[str, Any]:
    return {"src": src, "dst": dst, "ports": list(ports)}


# --- connectivity


def test_what_nothing_restricts_is_named_once(run: Command, file: Callable[..., str]) -> None:
    said = run("connectivity", file("s.yaml", LABELLED, ACCESS), "-o", "json")
    assert said.code == 0
    assert said.json == {
        "flows": [
            flow("default/Pod/busybox", "default/Pod/nginx", "TCP 80"),
            flow("default/Pod/nginx", "default/Pod/busybox", "all"),
            flow("default/Pod/nginx", "ip:0.0.0.0/0", "all"),
        ],
        "open": ["default/Pod/busybox"],
    }


def test_all_writes_every_pair(run: Command, file: Callable[..., str]) -> None:
    said = run("connectivity", "--cluster", file("s.yaml", PODS, DEPLOYMENT), "-o", "json", "--all")
    names = ["default/Deployment/web", "default/Pod/busybox", "default/Pod/nginx"]
    assert said.json["open"] == names
    pairs = {(f["src"], f["dst"]) for f in said.json["flows"]}
    inside = {(a, b) for a in names for b in names if a != b}
    outside = {(n, "ip:0.0.0.0/0") for n in names} | {("ip:0.0.0.0/0", n) for n in names}
    assert pairs == inside | outside | {("default/Deployment/web", "default/Deployment/web")}


@pytest.mark.parametrize("form", ["text", "json", "dot", "html"])
def test_every_form_names_everybody(run: Command, file: Callable[..., str], form: str) -> None:
    said = run("connectivity", file("s.yaml", LABELLED, ACCESS), "-o", form)
    assert said.code == 0
    assert "nginx" in said.out
    assert "busybox" in said.out


def test_kinds_that_are_taken_as_empty_are_said(run: Command, file: Callable[..., str]) -> None:
    said = run("connectivity", file("s.yaml", ACCESS))
    assert said.code == 0
    assert "there are no pods and workloads in this state" in said.err
    assert "there are no Namespaces" in said.err
    assert run("connectivity", file("p.yaml", PODS)).err == "netadmit: there are no NetworkPolicies in this state\n"


@pytest.mark.parametrize(
    "kind", ["v1/ReplicationController", "apps.openshift.io/v1/DeploymentConfig", "argoproj.io/v1alpha1/Rollout"]
)
def test_other_controllers_stand_for_their_pods(run: Command, file: Callable[..., str], kind: str) -> None:
    api_version, _, word = kind.rpartition("/")
    other = DEPLOYMENT.replace("kind: Deployment", f"kind: {word}").replace("apps/v1", api_version)
    said = run("connectivity", file("s.yaml", PODS, other, ACCESS.replace("run: nginx", "run: web")), "-o", "json")
    assert flow("default/Pod/nginx", f"default/{word}/web", "TCP 80") not in said.json["flows"]
    assert flow(f"default/{word}/web", "default/Pod/nginx", "all") in said.json["flows"]
    assert "there are no pods" not in run("connectivity", file("t.yaml", other)).err
    made = other.replace(
        "web, namespace", f"web-1, ownerReferences: [{{kind: {word}, name: web, controller: true}}], namespace"
    )
    owned = made.replace(api_version, "apps/v1", 1).replace(word, "ReplicaSet", 1)
    assert run("connectivity", file("u.yaml", other, owned), "-o", "json").json["open"] == [f"default/{word}/web"]


def test_connectivity_reads_standard_input(run: Command) -> None:
    assert run("connectivity", "-", "-o", "json", stdin=PODS).json["flows"] == []


def test_what_cannot_be_read_is_2_and_the_rest_is_answered(run: Command, file: Callable[..., str]) -> None:
    said = run("connectivity", file("s.yaml", PODS), file("broken.yaml", "a: ["), "-o", "json")
    assert said.code == 2
    assert len(said.json["open"]) == 2
    assert "broken.yaml" in said.err


# --- diff


def test_6_a_label_opens_exactly_one_flow(run: Command, file: Callable[..., str]) -> None:
    before, after = file("before.yaml", PODS, ACCESS), file("after.yaml", LABELLED, ACCESS)
    said = run("diff", before, after, "-o", "json")
    opened = [flow("default/Pod/busybox", "default/Pod/nginx", "TCP 80")]
    assert (said.code, said.json) == (0, {"added": opened, "removed": []})
    assert run("diff", after, before, "-o", "json").json == {"added": [], "removed": opened}
    assert run("diff", before, after, "--exit-code").code == 1
    assert run("diff", before, before, "--exit-code") == (0, "no flow is opened or cut\n", "")


def test_a_pair_loses_only_the_ports_that_differ(run: Command, file: Callable[..., str]) -> None:
    said = run("diff", file("s.yaml", LABELLED), "--apply", file("p.yaml", ACCESS), "-o", "json")
    assert (
        flow("default/Pod/busybox", "default/Pod/nginx", "TCP 1-79", "TCP 81-65535", "UDP", "SCTP")
        in (said.json["removed"])
    )
    assert said.json["added"] == []


def test_apply_and_delete_undo_each_other(run: Command, file: Callable[..., str]) -> None:
    state, policy = file("s.yaml", PODS), file("p.yaml", ACCESS)
    both = file("both.yaml", PODS, ACCESS)
    applied = run("diff", "--cluster", state, "--apply", policy, "-o", "json").json
    deleted = run("diff", both, "--delete", policy, "-o", "json").json
    assert applied["removed"] == deleted["added"] != []
    assert applied == run("diff", state, both, "-o", "json").json


def test_a_workload_in_one_state_only_has_no_flows_in_the_other(run: Command, file: Callable[..., str]) -> None:
    said = run("diff", file("a.yaml", PODS), file("b.yaml", PODS, DEPLOYMENT), "-o", "json").json
    assert said["removed"] == []
    assert {f["src"] for f in said["added"]} | {f["dst"] for f in said["added"]} == {
        "default/Deployment/web",
        "default/Pod/busybox",
        "default/Pod/nginx",
        "ip:0.0.0.0/0",
    }
    assert all("default/Deployment/web" in (f["src"], f["dst"]) for f in said["added"])


def test_pods_that_a_change_parts_go_by_their_own_names_on_both_sides(run: Command, file: Callable[..., str]) -> None:
    pods = "---".join(
        f"""
apiVersion: v1
kind: Pod
metadata:
  name: web-{n}
  namespace: default
  labels: {{run: web, n: "{n}"}}
  ownerReferences: [{{kind: StatefulSet, name: web, controller: true}}]
"""
        for n in range(2)
    )
    policy = ACCESS.replace("{run: nginx}", '{n: "0"}').replace("access: ", "run: ").replace('"true"', "busybox")
    said = run("diff", file("s.yaml", PODS, pods), "--apply", file("p.yaml", policy), "-o", "json").json
    assert said["added"] == []
    assert {f["dst"] for f in said["removed"]} == {"default/Pod/web-0"}
    assert flow("default/Pod/web-1", "default/Pod/web-0", "all") in said["removed"]


@pytest.mark.parametrize("form", ["text", "json", "markdown", "dot", "html"])
def test_every_form_of_a_difference(run: Command, file: Callable[..., str], form: str) -> None:
    said = run("diff", file("s.yaml", PODS), "--apply", file("p.yaml", ACCESS), "-o", form)
    assert said.code == 0
    assert "nginx" in said.out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["diff"], "name the states BEFORE and AFTER, or a change"),
        (["diff", "a"], "name the states BEFORE and AFTER, or a change"),
        (["diff", "--apply", "p"], "name the state that is changed"),
        (["diff", "a", "b", "--apply", "p"], "a state and --apply or --delete, or BEFORE and AFTER"),
        (["diff", "a", "b", "--cluster", "c"], "not by both"),
        (["diff", "a", "--live", "--apply", "p"], "not by both"),
        (["diff", "-", "--apply", "-"], "standard input can be read once only"),
        (["connectivity"], "name files or folders, or a live cluster"),
        (["connectivity", "a", "--live"], "not from both"),
    ],
)
def test_bad_usage_is_2_and_says_what_is_missing(run: Command, argv: list[str], says: str) -> None:
    said = run(*argv)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert len(said.err.splitlines()) == 1


def test_what_is_not_there_cannot_be_deleted(run: Command, file: Callable[..., str]) -> None:
    said = run("diff", file("s.yaml", PODS), "--delete", file("p.yaml", ACCESS))
    assert said.code == 2
    assert "NetworkPolicy default/access-nginx is not in the state" in said.err
