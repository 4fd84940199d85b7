"""The command line as a user meets it: output, exit codes, and never a traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webhook import __version__
from webhook.checks import all_checks
from webhook.cli import COMMANDS

from .command import Command, Outcome

HERE = Path(__file__).parents[1]

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
"""
SOUND = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  podSelector:
    matchLabels:
      app: api
  policyTypes: [Ingress]
"""
MISSPELT = SOUND.replace("app: api", "app: apii")
DEAD = SOUND + "  egress:\n    - ports: [{port: 443}]\n"
STATE = f"{NAMESPACE}---{POD}"
SNAPSHOT = f"apiVersion: netadmit.io/v1\nkind: Snapshot\nkinds: ['*']\n---{STATE}"
BROKEN = "kind: [\n"
ALL_OF_PODS = (
    "kinds: [v1/Namespace, v1/Pod, apps/v1/Deployment, apps/v1/ReplicaSet, apps/v1/StatefulSet, apps/v1/DaemonSet,"
    " batch/v1/Job, batch/v1/CronJob]"
)


Run = Callable[..., Outcome]
Write = Callable[..., str]


@pytest.fixture(autouse=True)
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Command(tmp_path, capfd, monkeypatch)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def file(name: str, *documents: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\n".join(documents))
        return name

    return file


def process(*arguments: str, **more: Any) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "webhook.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(HERE)} | more.pop("env", {})
    options: dict[str, Any] = {"capture_output": True, "stdin": subprocess.DEVNULL, "env": environment} | more
    done: subprocess.CompletedProcess[bytes] = subprocess.run(command, check=False, timeout=60, text=False, **options)
    return done


# --- check: exit codes ------------------------------------------------------------------------------------------------


def test_fine_is_0(run: Run, write: Write) -> None:
    outcome = run("check", write("p.yaml", SOUND), "--cluster", write("s.yaml", SNAPSHOT))
    assert outcome.code == 0
    assert outcome.out.startswith(
        "1 object: nothing to say\nnot known: enforcement: no known engine was found\neffect: "
    )
    assert outcome.err == ""


def test_denied_is_1(run: Run, write: Write) -> None:
    outcome = run("check", write("p.yaml", DEAD))
    assert outcome.code == 1
    assert "error[rules-without-policy-type]" in outcome.out


def test_a_warning_is_0_and_what_fail_on_says(run: Run, write: Write) -> None:
    arguments = ("check", write("p.yaml", MISSPELT), "--cluster", write("s.yaml", SNAPSHOT))
    assert run(*arguments).code == 0
    assert run(*arguments, "--fail-on", "error").code == 0
    assert run(*arguments, "--fail-on", "warning").code == 1
    assert run(*arguments, "--fail-on", "note").code == 1


def test_a_note_is_0_and_what_fail_on_says(run: Run, write: Write) -> None:
    opt_in = SOUND + "  ingress: [{from: [{podSelector: {matchLabels: {api-client: 'true'}}}]}]\n"
    arguments = ("check", write("p.yaml", opt_in), "--cluster", write("s.yaml", SNAPSHOT))
    outcome = run(*arguments, "--fail-on", "warning")
    assert outcome.code == 0
    assert outcome.out.startswith("1 object: 1 note (--notes shows it)")
    assert "note[peer-matches-nothing]" in run(*arguments, "--notes").out
    assert run(*arguments, "--fail-on", "note").code == 1


def test_what_is_waived_fails_nothing(run: Run, write: Write) -> None:
    waiver = "annotations: {netadmit.io/ignore.selector-matches-nothing: made on demand}}"
    waived = write("p.yaml", MISSPELT.replace("namespace: shop}", f"namespace: shop, {waiver}"))
    outcome = run("check", waived, "--cluster", write("s.yaml", SNAPSHOT), "--fail-on", "note", "-o", "json")
    assert outcome.code == 0
    assert outcome.json["summary"]["waived"] == 1
    assert outcome.json["waived"][0]["reason"] == "made on demand"
    assert outcome.json["findings"] == []


def test_fail_on_counts_whatever_mode_says(run: Run, write: Write) -> None:
    config = write("c.yaml", "apiVersion: netadmit.io/v1\nkind: Config\nmode: off\n")
    outcome = run("check", write("p.yaml", DEAD), "--config", config, "-o", "json")
    assert outcome.json["findings"][0]["action"] == "ignore"
    assert outcome.code == 1


def test_a_warning_that_is_enforced_is_denied(run: Run, write: Write) -> None:
    config = write("c.yaml", "apiVersion: netadmit.io/v1\nkind: Config\nenforce: [selector-matches-nothing]\n")
    outcome = run("check", write("p.yaml", MISSPELT), "--cluster", write("s.yaml", SNAPSHOT), "--config", config)
    assert outcome.code == 1
    assert "warning[selector-matches-nothing] (denied) NetworkPolicy shop/api" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "none.yaml"], "none.yaml: cannot be read: No such file or directory"),
        (["check", "empty"], "empty: there is no .yaml, .yml or .json file in this folder"),
        (["check", "broken.yaml"], "broken.yaml:2:1 (document 1): not valid YAML: "),
        (["check", "nothing.yaml"], "there was no Kubernetes object to judge"),
        (["check", "words.yaml"], "words.yaml:1:1 (document 1): not a Kubernetes object (not a mapping), skipped"),
        (["check", "-"], "there was no Kubernetes object to judge"),
        (["check", "p.yaml", "none.yaml"], "none.yaml: cannot be read"),
        (["check", "p.yaml", "--cluster", "none.yaml"], "none.yaml: cannot be read"),
        (["check", "p.yaml", "--cluster", "broken.yaml"], "broken.yaml:2:1"),
        (["check", "p.yaml", "--cluster", "pod.yaml"], "pod.yaml:3:35 (document 1): metadata.labels: v1/Pod: "),
        (["check", "p.yaml", "--cluster", "header.yaml"], 'kinds: expected a list as ["v1/Pod", …] or ["*"]'),
        (["check", "p.yaml", "--config", "none.yaml"], "none.yaml: No such file or directory"),
        (["check", "p.yaml", "--config", "p.yaml"], "p.yaml: apiVersion: 'networking.k8s.io/v1', expected"),
        (["check", "-", "--cluster", "-"], "standard input can be the files or the state, not both"),
        (["check", "p.yaml", "--live", "--cluster", "p.yaml"], "not from both"),
        (["check", "p.yaml", "--kubeconfig", "none"], "none"),
        (["check"], "the following arguments are required: PATH"),
        (["check", "p.yaml", "--fail-on", "fatal"], "invalid choice: 'fatal'"),
        (["check", "p.yaml", "-o", "xml"], "invalid choice: 'xml'"),
        (["check", "p.yaml", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["chekc", "p.yaml"], "invalid choice: 'chekc'"),
        (["review", "none.json"], "none.json: No such file or directory"),
        (["review", "p.yaml"], "p.yaml: not JSON"),
        (["review", "review.json"], "review.json: request: missing"),
        (["review", "-", "--cluster", "-"], "standard input can be the request or the state, not both"),
        (["checks", "selector-matches-nothin"], "did you mean 'selector-matches-nothing'?"),
        (["checks", "zzz"], "there is no check 'zzz'"),
        (["serve", "--port", "70000"], "'70000' is no port"),
        (["serve", "--cluster", "broken.yaml", "--port", "0"], "broken.yaml:2:1"),
        (["serve", "--config", "none.yaml"], "none.yaml: No such file or directory"),
    ],
)
def test_unusable_is_2_said_on_standard_error(run: Run, write: Write, arguments: list[str], says: str) -> None:
    write("p.yaml", SOUND)
    write("broken.yaml", BROKEN)
    write("nothing.yaml", "# nothing\n")
    write("words.yaml", "just words\n")
    write("pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b, labels: [a]}\n")
    write("header.yaml", "apiVersion: netadmit.io/v1\nkind: Snapshot\nkinds: all\n")
    write("review.json", '{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}')
    write("empty/notes.txt", "")
    outcome = run(*arguments)
    assert outcome.code == 2
    assert says in outcome.err
    assert all(line.startswith(("netadmit", "usage: ", " ")) for line in outcome.err.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "p.yaml", "-o", "json", "q.yaml"],
        ["check", "-o", "json", "p.yaml", "--notes", "q.yaml", "--fail-on", "note"],
        ["check", "-o", "json", "--", "p.yaml", "-q.yaml"],
        ["diff", "p.yaml", "-o", "json", "q.yaml"],
    ],
)
def test_paths_and_options_come_in_any_order(run: Run, write: Write, arguments: list[str]) -> None:
    for name in ("p.yaml", "q.yaml", "-q.yaml"):
        write(name, SOUND.replace("name: api", f"name: {name[-6]}"))
    outcome = run(*arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.json.get("summary", {"objects": 2})["objects"] == 2


def test_a_folder_that_cannot_be_read(run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("locked/p.yaml", SOUND)

    def refuse(path: str) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, whom nothing is locked to
    outcome = run("check", "locked")
    assert outcome.code == 2
    assert "locked: cannot be read: Permission denied" in outcome.err


def test_no_command_is_bad_usage_with_the_help(run: Run) -> None:
    outcome = run()
    assert outcome.code == 2
    assert "usage: netadmit" in outcome.out + outcome.err


# --- check: what is read ----------------------------------------------------------------------------------------------


def test_good_documents_between_broken_ones_are_judged(run: Run, write: Write) -> None:
    mixed = write("m.yaml", BROKEN, DEAD, "just words\n", "a: b\n", BROKEN, MISSPELT.replace("name: api", "name: b"))
    outcome = run("check", mixed, "--cluster", write("s.yaml", SNAPSHOT))
    assert outcome.code == 2, "what could not be read may have been worse"
    assert "m.yaml:11:3: error[rules-without-policy-type] NetworkPolicy shop/api" in outcome.out
    assert "warning[selector-matches-nothing] NetworkPolicy shop/b" in outcome.out
    assert "2 objects: 1 error, 1 warning" in outcome.out
    assert outcome.err.startswith("netadmit: m.yaml:2:1 (document 1): not valid YAML")
    assert "(document 3): not a Kubernetes object (not a mapping), skipped" in outcome.err
    assert "(document 4): not a Kubernetes object (no apiVersion and no kind), skipped" in outcome.err
    assert "(document 5): not valid YAML" in outcome.err


def test_what_is_no_kubernetes_object_is_named_and_skipped(run: Run, write: Write) -> None:
    outcome = run("check", write("m.yaml", "a: b\n", SOUND), "--cluster", write("s.yaml", SNAPSHOT))
    assert outcome.code == 0
    assert "m.yaml:1:1 (document 1): not a Kubernetes object" in outcome.err


def test_files_folders_and_standard_input_together(run: Run, write: Write) -> None:
    write("folder/b/deep.yml", DEAD.replace("name: api", "name: deep"))
    write(
        "folder/a.json",
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "s", "namespace": "shop"},
                "spec": {"selector": {"app": "apii"}, "ports": [{"port": 80}]},
            }
        ),
    )
    write("folder/.hidden.yaml", BROKEN)
    write("folder/readme.md", "# no")
    one = write("one.yaml", SOUND.replace("name: api", "name: one").replace("Ingress", "Egress"))
    outcome = run("check", one, "folder", "-", "-o", "json", "--cluster", write("s.yaml", SNAPSHOT), stdin=DEAD)
    assert outcome.err == ""
    assert outcome.json["summary"]["objects"] == 4
    assert [(f["source"]["file"], f["check"]) for f in outcome.json["findings"]] == [
        ("folder/a.json", "service-selects-nothing"),
        ("folder/b/deep.yml", "rules-without-policy-type"),
        ("<stdin>", "rules-without-policy-type"),
    ]


def test_files_are_judged_as_if_applied_together(run: Run, write: Write) -> None:
    pod = POD.replace("app: api", "app: apii")
    assert run("check", write("p.yaml", MISSPELT, pod), "--cluster", write("s.yaml", SNAPSHOT)).out.startswith(
        "1 object: nothing to say"
    )


def test_lists_are_taken_apart(run: Run, write: Write) -> None:
    items = "".join("- " + document.strip().replace("\n", "\n  ") + "\n" for document in (DEAD, POD, SOUND))
    outcome = run("check", write("l.yaml", f"apiVersion: v1\nkind: List\nitems:\n{items}"), "-o", "json")
    assert outcome.json["summary"]["objects"] == 2
    assert outcome.json["findings"][0]["source"] == {"file": "l.yaml", "document": 1, "line": 12, "column": 5}


# --- check: state -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "unknown"),
    [
        ("kinds: ['*']", False),
        ("kinds: [v1/Namespace, v1/Pod]", True),
        (
            ALL_OF_PODS,
            False,
        ),
        ("kinds: []", True),
        (None, True),
    ],
)
def test_completeness_decides_whether_absence_is_told(
    run: Run, write: Write, header: str | None, unknown: bool
) -> None:
    lost = SOUND.replace("app: api", "app: storefront")
    state = STATE if header is None else f"apiVersion: netadmit.io/v1\nkind: Snapshot\n{header}\n---{STATE}"
    arguments = ("check", write("p.yaml", lost), "--cluster", write("s.yaml", state), "-o", "json")
    outcome = run(*arguments)
    assert [f["check"] for f in outcome.json["findings"]] == ([] if unknown else ["selector-matches-nothing"])
    assert any(q.startswith("pods: not all are known") for q in outcome.json["summary"]["unknown"]) is unknown
    if header is None:
        declared = run(*arguments, "--complete")
        assert [f["check"] for f in declared.json["findings"]] == ["selector-matches-nothing"]


def test_an_object_of_the_state_that_cannot_be_decoded_makes_its_kind_partial(run: Run, write: Write) -> None:
    broken = "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: shop, labels: {a: [1]}}\n"
    lost = write("p.yaml", SOUND.replace("app: api", "app: storefront"))
    for documents in ((SNAPSHOT, broken), (broken, SNAPSHOT)):
        outcome = run("check", lost, "--cluster", write("s.yaml", *documents), "-o", "json")
        assert outcome.code == 2
        assert outcome.json["findings"] == []


def test_state_from_standard_input_and_from_several_places(run: Run, write: Write) -> None:
    arguments = ("check", write("p.yaml", SOUND), "-o", "json", "--complete")
    assert run(*arguments, "--cluster", "-", stdin=STATE).json["findings"] == []
    two = run(*arguments, "--cluster", write("ns.yaml", NAMESPACE), "--cluster", write("pod.yaml", POD))
    assert two.json["findings"] == []


def test_without_a_state_the_files_alone_are_looked_at(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "trap"))
    (tmp_path / "trap").write_text("this must never be opened: [")
    outcome = run("check", write("p.yaml", MISSPELT))
    assert outcome.code == 0
    assert outcome.out.startswith("1 object: nothing to say\n")
    assert "context" not in outcome.err


# --- check: what is printed -------------------------------------------------------------------------------------------


def test_the_text_points_at_the_place(run: Run, write: Write) -> None:
    outcome = run("check", write("p.yaml", MISSPELT, DEAD), "--cluster", write("s.yaml", SNAPSHOT))
    assert (
        outcome.out
        == """\
p.yaml:7:7: warning[selector-matches-nothing] NetworkPolicy shop/api
  podSelector app=apii matches no pod: 1 pod has app=api
   |
 7 |       app: apii
   |       ^^^
   = help: write app: api

p.yaml:18:3: error[rules-without-policy-type] NetworkPolicy shop/api
  policyTypes lacks Egress: its egress rule does nothing
    |
 18 |   egress:
    |   ^^^^^^
   = help: add Egress
   = more: egress stays as open as without this policy

2 objects: 1 error, 1 warning
not known: enforcement: no known engine was found
effect: cuts the outside -> shop/Pod/api-1
effect: isolates ingress of shop/Pod/api-1
"""
    )


def test_the_json_has_the_promised_shape(run: Run, write: Write) -> None:
    outcome = run("check", write("p.yaml", MISSPELT), "--cluster", write("s.yaml", SNAPSHOT), "-o", "json")
    document = outcome.json
    assert set(document) >= {"findings", "effects", "summary"}
    [finding] = document["findings"]
    message = finding.pop("message")
    assert finding.pop("remedy") == "write app: api"
    assert finding.pop("detail") == ""
    assert message.startswith("podSelector app=apii matches no pod: 1 pod has app=api")
    assert finding == {
        "check": "selector-matches-nothing",
        "level": "warning",
        "action": "warn",
        "object": {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "namespace": "shop",
            "name": "api",
        },
        "path": "spec.podSelector.matchLabels.app",
        "value": "app=apii",
        "also": [],
        "source": {"file": "p.yaml", "document": 1, "line": 7, "column": 7},
    }
    assert document["summary"] == {
        "objects": 1,
        "error": 0,
        "warning": 1,
        "note": 0,
        "waived": 0,
        "unknown": ["enforcement: no known engine was found"],
    }


def test_the_place_of_a_label_with_dots(run: Run, write: Write) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec:\n  ports: [{port: 80}]\n"
    service += "  selector:\n    app.kubernetes.io/name: apii\n"
    state = write("s.yaml", SNAPSHOT.replace("labels: {app: api}", "labels: {app.kubernetes.io/name: api}"))
    [finding] = run("check", write("p.yaml", service), "--cluster", state, "-o", "json").json["findings"]
    assert finding["path"] == "spec.selector[app.kubernetes.io/name]"
    assert (finding["source"]["line"], finding["source"]["column"]) == (7, 5)


def test_what_a_file_holds_cannot_drive_the_terminal(run: Run, write: Write) -> None:
    hostile = '"e\\e[2J\\u202e\\u2028v"'
    text = f"apiVersion: v1\nkind: {hostile}\nmetadata: {{name: {hostile}, namespace: {hostile}}}\n"
    text += f"{hostile}: 1\n{hostile}: 2\n"
    labels = f"apiVersion: v1\nkind: Service\nmetadata: {{name: {hostile}, namespace: a, {hostile}: [}}\n"
    outcome = run("check", write("p.yaml", text, labels))
    assert "yaml-duplicate-key" in outcome.out
    for line in (outcome.out + outcome.err).splitlines():
        assert line.isprintable(), ascii(line)
    pod = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a, namespace: a, labels: {{{hostile}: [1]}}}}\n"
    errors = run("check", write("q.yaml", pod)).err
    assert all(line.isprintable() for line in errors.splitlines()), ascii(errors)


def test_colours_are_as_the_environment_wants_them(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("check", write("p.yaml", DEAD))
    assert "\x1b" not in run(*arguments).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31merror[rules-without-policy-type]\x1b[0m" in run(*arguments).out
    assert "\x1b" not in run(*arguments, "-o", "json").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run(*arguments).out
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b" in run(*arguments).out


# --- review -----------------------------------------------------------------------------------------------------------


def review(egress: bool = False, app: str = "api") -> str:
    new: dict[str, Any] = {
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"]},
    }
    if egress:
        new["spec"]["egress"] = [{"ports": [{"port": 443}]}]
    request = {
        "uid": "u-1",
        "operation": "CREATE",
        "kind": {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
        "name": "api",
        "namespace": "shop",
        "object": new,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def test_review_answers_as_serve_does(run: Run, write: Write) -> None:
    state = ("--cluster", write("s.yaml", SNAPSHOT))
    allowed = run("review", write("r.json", review()), *state)
    assert allowed.code == 0
    assert allowed.json["response"]["uid"] == "u-1"
    assert allowed.json["response"]["allowed"] is True
    denied = run("review", *state, stdin=review(egress=True))
    assert denied.code == 1
    assert denied.json["response"]["status"]["reason"] == "Forbidden"
    warned = run("review", "-", *state, stdin=review(app="apii"))
    assert warned.code == 0
    assert "selector-matches-nothing" in warned.json["response"]["warnings"][0]
    assert run("review", "-", *state, "--fail-on", "warning", stdin=review(app="apii")).code == 1


# --- checks -----------------------------------------------------------------------------------------------------------


def test_checks_lists_every_check(run: Run) -> None:
    outcome = run("checks")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == [check.id for check in all_checks()]
    assert {c["id"] for c in run("checks", "-o", "json").json} == {check.id for check in all_checks()}


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.id)
def test_checks_explains_every_check(run: Run, check: Any) -> None:
    outcome = run("checks", check.id)
    assert outcome.code == 0
    for part in (check.rationale, f"What to do: {check.remedy}", f"Bad: {check.bad[0].title}", "Good: "):
        assert part in outcome.out
    described = run("checks", check.id, "-o", "json").json
    assert described["id"] == check.id
    assert len(described["bad"]) == len(check.bad)


# --- demo, help, version, pipes ---------------------------------------------------------------------------------------


def test_the_demo_needs_nothing_and_shows_all_three_answers() -> None:
    done = process("demo")
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode()
    assert out.startswith("netadmit serves https://127.0.0.1:")
    assert "\nnetworkpolicy.networking.k8s.io/orders-db created\n" in out
    assert "\nWarning: netpol shop/orders-db-metrics: two dashes mean OR" in out
    assert '\nError from server (Forbidden): error when creating "3-dead-rules.yaml": admission webhook "' in out
    assert "\nWarning: svc shop/frontend: selector app=frontends matches no pod" in out
    assert out.endswith("\nservice/frontend created\n")


def test_the_help_lists_the_commands_and_each_has_an_example(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    assert all(name in outcome.out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_has_an_example(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0
    head, _, examples = outcome.out.partition("example")
    assert f"usage: netadmit {command}" in head
    assert f"\n  netadmit {command}" in examples


def test_the_version_waits_for_no_heavy_import() -> None:
    code = (
        "import sys; from webhook.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & "
        "{'aiohttp', 'asyncio', 'cryptography', 'kubernetes', 'msgspec', 'prometheus_client', 'ssl', 'yaml'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().splitlines() == [f"netadmit {__version__}", "[]"]


def test_check_needs_no_web_server(write: Write, tmp_path: Path) -> None:
    file = write("p.yaml", SOUND)
    code = (
        f"import sys; from webhook.cli import main\nmain(['check', {file!r}])\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'aiohttp', 'cryptography', 'kubernetes'}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=True, timeout=60
    )
    assert done.stdout.decode().splitlines()[-1] == "[]"


def test_a_closed_pipe_is_no_error(write: Write, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = process("checks", "-o", "json", stdout=writing, stderr=subprocess.PIPE, capture_output=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_a_full_disk_is_a_line(write: Write, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = process(
            "check", str(tmp_path / write("p.yaml", SOUND)), stdout=full, stderr=subprocess.PIPE, capture_output=False
        )
    assert done.returncode == 2
    assert done.stderr.decode() == "netadmit: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(("closing", "code"), [("<&-", 1), ("2>&-", 1), (">&-", 1)])
def test_closed_standard_streams(write: Write, tmp_path: Path, closing: str, code: int) -> None:
    write("p.yaml", DEAD)
    command = f'exec "$0" -m webhook.cli check p.yaml {closing}'
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_the_terminal_will_do(write: Write, tmp_path: Path, encoding: str) -> None:
    write("p.yaml", DEAD.replace("  egress:", "  egress: # ü 日本 🙂"))
    done = process("check", "p.yaml", cwd=tmp_path, env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 1, done.stderr
    assert b"error[rules-without-policy-type]" in done.stdout
    done.stdout.decode(encoding)


def test_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml"))).write_text(DEAD)
    for output in ("text", "json"):
        done = process("check", str(tmp_path), "-o", output)
        assert done.returncode == 1, done.stderr
        assert b"rules-without-policy-type" in done.stdout
        done.stdout.decode()
