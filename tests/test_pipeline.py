"""From findings to rulings: levels, actions, mode, waivers, precedence, the ratchet, and what is never denied."""

import gc
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from webhook.check import Check, Context, Disclosure, Finding, Level, Operation, View
from webhook.checks import all_checks, check_ids
from webhook.config import STRICT, CheckSettings, Config, ConfigError, Effects, Mode, load_config, parse_config
from webhook.model.cluster import Cluster
from webhook.model.objects import (
    NETWORK_POLICY,
    POD,
    SERVICE,
    Namespace,
    NetworkPolicy,
    ObjectMeta,
    Pod,
    Record,
    Service,
    Workload,
)
from webhook.model.parse import convert
from webhook.model.review import Request
from webhook.pipeline import Judge, Judgement
from webhook.reach.graph import graph_of
from webhook.state.files import FileState
from webhook.verdict import Action, Ruling

from .test_checks import rulings

CHECKS = {check.id: check for check in all_checks()}
API = Pod("shop", "api-1", {"app": "api"}, phase="Running")


def namespace(
    labels: dict[str, str] | None = None, *, name: str = "shop", terminating: bool = False, **annotations: str
) -> Namespace:
    waivers = {f"netadmit.io/ignore.{check.replace('_', '-')}": reason for check, reason in annotations.items()}
    return Namespace(
        name, {"kubernetes.io/metadata.name": name, **(labels or {})}, annotations=waivers, terminating=terminating
    )


def cluster(*records: Record, complete: bool = True) -> Cluster:
    return Cluster.of([namespace(), API, *records], complete=complete)


def policy(spec: dict[str, Any], annotations: dict[str, str] | None = None, **metadata: Any) -> NetworkPolicy:
    meta = {"name": "np", "namespace": "shop", "annotations": annotations or {}} | metadata
    record = convert(NETWORK_POLICY, {"metadata": meta, "spec": spec})
    assert isinstance(record, NetworkPolicy)
    return record


def service(spec: dict[str, Any], **metadata: Any) -> Service:
    record = convert(SERVICE, {"metadata": {"name": "svc", "namespace": "shop"} | metadata, "spec": spec})
    assert isinstance(record, Service)
    return record


def request(new: NetworkPolicy | Service | None, old: NetworkPolicy | Service | None = None, **more: Any) -> Request:
    shown = new or old
    assert shown
    operation = "UPDATE" if new and old else "CREATE" if new else "DELETE"
    return Request(
        **{
            "uid": "1",
            "operation": operation,
            "kind": shown.kind,
            "namespace": shown.metadata.namespace,
            "name": shown.metadata.name,
            "new": new,
            "old": old,
            "metadata_only": bool(new and old and new.spec == old.spec),
        }
        | more
    )


SELECTS_API = {"podSelector": {"matchLabels": {"app": "api"}}}
MISSPELT = policy({"podSelector": {"matchLabels": {"app": "apii"}}})
UNPROVEN = policy({"podSelector": {"matchLabels": {"app": "storefront"}}})
DEAD = policy({**SELECTS_API, "policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 443}]}]})
SOUND = policy(SELECTS_API)
NEVER = policy(
    {"podSelector": {"matchLabels": {"app": "api"}, "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}}
)


def contradicting(key: str) -> dict[str, Any]:
    terms = [{"key": key, "operator": "Exists"}, {"key": key, "operator": "DoesNotExist"}]
    return {"podSelector": {"matchExpressions": terms}}


def said(judgement: Judgement) -> dict[str, str]:
    return {r.check: r.action.value for r in judgement.verdict.rulings}


def admit(request: Request, state: Cluster | None = None, config: Config | None = None, **more: Any) -> Judgement:
    return Judge(config).admit(request, cluster() if state is None else state, **more)


def only(judgement: Judgement) -> Ruling:
    [ruling] = judgement.verdict.rulings
    return ruling


# --- what is done about a level ---------------------------------------------------------------------------------------


def test_levels_become_actions() -> None:
    assert said(admit(request(MISSPELT))) == {"selector-matches-nothing": "warn"}
    assert said(admit(request(UNPROVEN))) == {"selector-matches-nothing": "ignore"}
    assert said(admit(request(DEAD))) == {"rules-without-policy-type": "deny"}
    assert said(admit(request(NEVER)))["selector-can-never-match"] == "deny"
    assert said(admit(request(SOUND))) == {}


def test_denied_by_default_are_two_checks_only() -> None:
    """CONTRACT.md, action: over every example of every check that is seen by the webhook."""
    examples = [e for c in all_checks() for e in (*c.bad, *c.good) if e.view is View.ADMISSION]
    denied = {r.check for example in examples for r in rulings(example) if r.action is Action.DENY}
    assert denied == {"selector-can-never-match", "rules-without-policy-type"}


def test_a_peer_that_can_never_match_is_not_denied() -> None:
    peer = contradicting("a")
    judgement = admit(request(policy({**SELECTS_API, "ingress": [{"from": [peer]}]})))
    assert said(judgement) == {"selector-can-never-match": "warn"}
    assert not judgement.verdict.denied


def test_enforce_raises_warnings_but_never_notes() -> None:
    config = Config(enforce=("selector-matches-nothing",))
    assert said(admit(request(MISSPELT), config=config)) == {"selector-matches-nothing": "deny"}
    assert said(admit(request(UNPROVEN), config=config)) == {"selector-matches-nothing": "ignore"}


def test_an_action_set_for_a_check_is_about_what_it_can_prove() -> None:
    config = Config(checks={"selector-matches-nothing": CheckSettings(action=Action.DENY)})
    assert said(admit(request(MISSPELT), config=config)) == {"selector-matches-nothing": "deny"}
    assert said(admit(request(UNPROVEN), config=config)) == {"selector-matches-nothing": "ignore"}, (
        "a policy that arrives before its pods would be denied"
    )


@pytest.mark.parametrize(
    ("settings", "action"),
    [
        (CheckSettings(level="error"), "deny"),
        (CheckSettings(level="note"), "ignore"),
        (CheckSettings(action=Action.IGNORE), "ignore"),
        (CheckSettings(level="error", action=Action.WARN), "warn"),
    ],
)
def test_settings_of_one_check(settings: CheckSettings, action: str) -> None:
    config = Config(checks={"selector-matches-nothing": settings})
    assert said(admit(request(MISSPELT), config=config)) == {"selector-matches-nothing": action}
    assert said(admit(request(UNPROVEN), config=config)) == {"selector-matches-nothing": "ignore"}


def test_a_denial_can_be_lowered() -> None:
    config = Config(checks={"rules-without-policy-type": CheckSettings(level="warning")})
    assert said(admit(request(DEAD), config=config)) == {"rules-without-policy-type": "warn"}


def test_the_strict_profile_raises_what_rests_on_proof() -> None:
    strict = Config(profile="strict")
    assert {"cni-does-not-enforce", "peers-or-not-and"} <= STRICT & check_ids()
    assert said(admit(request(MISSPELT), config=strict)) == {"selector-matches-nothing": "deny"}
    assert said(admit(request(UNPROVEN), config=strict)) == {"selector-matches-nothing": "ignore"}
    lost = service({"selector": {"app": "apii"}})
    assert said(admit(request(lost), config=strict)) == {"service-selects-nothing": "deny"}
    nowhere = policy({**SELECTS_API, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"name": "shop"}}}]}]})
    assert said(admit(request(nowhere), config=strict)) == {"namespace-not-found": "warn"}


@pytest.mark.parametrize(("mode", "action"), [(Mode.ENFORCE, "deny"), (Mode.WARN, "warn"), (Mode.OFF, "ignore")])
def test_mode(mode: Mode, action: str) -> None:
    assert said(admit(request(DEAD), config=Config(mode=mode))) == {"rules-without-policy-type": action}
    labelled = Cluster.of([namespace({"netadmit.io/mode": mode.value}), API], complete=True)
    for other in Mode:
        assert said(admit(request(DEAD), labelled, Config(mode=other))) == {"rules-without-policy-type": action}


def test_a_mode_that_is_none_changes_nothing() -> None:
    labelled = Cluster.of([namespace({"netadmit.io/mode": "audit"}), API], complete=True)
    assert said(admit(request(DEAD), labelled)) == {"rules-without-policy-type": "deny"}


def test_warnings_come_most_severe_first() -> None:
    bad = policy(
        {
            **SELECTS_API,
            "policyTypes": ["Ingress"],
            "egress": [{"ports": [{"port": 443}]}],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "apii"}}}]}],
        }
    )
    judgement = admit(request(bad), config=Config(mode=Mode.WARN))
    assert [r.check for r in judgement.verdict.rulings] == ["rules-without-policy-type", "peer-matches-nothing"]
    assert len(judgement.verdict.warnings) == 2


# --- configuration ----------------------------------------------------------------------------------------------------

HEADER = "apiVersion: netadmit.io/v1\nkind: Config\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a mapping with apiVersion: netadmit.io/v1"),
        ("- a", "expected a mapping"),
        ("mode: warn", "apiVersion: None, expected 'netadmit.io/v1'"),
        ("apiVersion: netadmit.io/v2\nkind: Config", "apiVersion: 'netadmit.io/v2', expected"),
        ("apiVersion: netadmit.io/v1\nkind: Konfig", "kind: 'Konfig', expected 'Config'"),
        (HEADER + "mode: warm", "mode: Invalid enum value 'warm'"),
        (HEADER + "mode: 7", "mode: Expected `str`, got `int`"),
        (HEADER + "profile: stricter", "profile: Invalid enum value 'stricter'"),
        (HEADER + "modes: warn", "the file: Object contains unknown field `modes`"),
        (HEADER + "1: warn", "the file: "),
        (HEADER + "enforce: selector-matches-nothing", "enforce: Expected `array`, got `str`"),
        (HEADER + "enforce: [a, selector-matches-nothin]", "enforce[0]: there is no check 'a'"),
        (
            HEADER + "enforce: [selector-matches-nothing, selector-matches-nothin]",
            "enforce[1]: there is no check 'selector-matches-nothin', did you mean 'selector-matches-nothing'?",
        ),
        (HEADER + "checks: {peers-or-not: {level: note}}", "checks.peers-or-not: there is no check 'peers-or-not'"),
        (HEADER + "checks: {peers-or-not-and: {level: fatal}}", "checks[...].level: Invalid enum value 'fatal'"),
        (HEADER + "checks: {peers-or-not-and: {action: block}}", "checks[...].action: Invalid enum value 'block'"),
        (HEADER + "checks: {peers-or-not-and: {levels: note}}", "checks[...]: Object contains unknown field `levels`"),
        (HEADER + "disclose: everything", "disclose: Invalid enum value 'everything'"),
        (HEADER + "mode: [", "expected the node content"),
        (HEADER + "mode: 2001-99-99", "month must be in 1..12"),
        ("[" * 5000, "recursion"),
        ("\x00", "special characters are not allowed"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_where(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(str(file))
    assert str(error.value).startswith(f"{file}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_configuration_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match=str(path)):
            load_config(str(path))


def test_a_whole_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        HEADER
        + """
mode: warn
profile: strict
enforce: [peers-or-not-and]
disclose: cluster
checks:
  peer-matches-nothing: {level: error}
  namespace-not-found: {action: ignore}
"""
    )
    assert load_config(str(file)) == Config(
        mode=Mode.WARN,
        profile="strict",
        enforce=("peers-or-not-and",),
        disclose=Disclosure.CLUSTER,
        checks={
            "peer-matches-nothing": CheckSettings(level="error"),
            "namespace-not-found": CheckSettings(action=Action.IGNORE),
        },
    )


def test_off_is_a_mode_though_yaml_reads_it_as_false(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for text, (events, reports) in {
        "": ("on", "auto"),
        "events: off\nreports: off\n": ("off", "off"),
        "events: on\nreports: auto\n": ("on", "auto"),
        'events: "off"\n': ("off", "auto"),
    }.items():
        file.write_text(HEADER + text)
        assert (load_config(str(file)).events.value, load_config(str(file)).reports.value) == (events, reports)
    file.write_text(HEADER + "reports: on\n")
    with pytest.raises(ConfigError, match=r"reports: Invalid enum value 'on'"):
        load_config(str(file))
    file.write_text(HEADER + "mode: off\n")
    assert load_config(str(file)).mode is Mode.OFF
    assert parse_config({"apiVersion": "netadmit.io/v1", "kind": "Config", "mode": "off"}).mode is Mode.OFF


# --- precedence -------------------------------------------------------------------------------------------------------


def check(manifests: str, state: str = "", *, complete: bool = True) -> list[Ruling]:
    """What `netadmit check` says of YAML on top of a complete state, most severe first."""
    files = FileState(complete=complete and bool(state))
    files.load(["-"], stdin=io.BytesIO(state.encode()))
    reviewed = files.review(["-"], stdin=io.BytesIO(manifests.encode()))
    assert not files.problems
    return [r for item in reviewed for r in Judge().check(item.manifest, item.judged, files.cluster).verdict.rulings]


STATE = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: clients}
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: clients, labels: {access: "yes"}}
---
apiVersion: v1
kind: Pod
metadata: {name: two, namespace: clients, labels: {access: "no"}}
"""


def written(spec: str, namespace: str = "shop", more: str = "") -> str:
    return f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: np, namespace: {namespace}{more}}}
spec: {spec}
"""


BY_NAME = "{kubernetes.io/metadata.name: clients}"
CONTRADICTION = "matchExpressions: [{key: app, operator: Exists}, {key: app, operator: DoesNotExist}]"


@pytest.mark.parametrize(
    ("text", "cause", "also"),
    [
        pytest.param(
            written("{podSelector: {matchLabels: {app: api}, matchLabels: {app: apii}}}"),
            "yaml-duplicate-key",
            ["selector-matches-nothing"],
            id="a key written twice explains what the text with one of them does",
        ),
        pytest.param(
            written("{podSelector: {matchLables: {app: api}, " + CONTRADICTION + "}}"),
            "unknown-field",
            ["selector-can-never-match", "selector-matches-nothing"],
            id="an unknown field explains a selector",
        ),
        pytest.param(
            written("{podSelector: {" + CONTRADICTION + "}}"),
            "selector-can-never-match",
            ["selector-matches-nothing"],
            id="what can never match matches nothing",
        ),
        pytest.param(
            written(
                "{podSelector: {matchLabels: {app: apii}},"
                " ingress: [{from: [{podSelector: {matchLabels: {app: ap}}}]}]}"
            ),
            "selector-matches-nothing",
            ["peer-matches-nothing"],
            id="a policy that selects nothing: its rules do not matter",
        ),
        pytest.param(
            written(
                "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: clients}}},"
                " {podSelector: {matchLabels: {app: apii}}}]}]}"
            ),
            "namespace-not-found",
            ["peer-matches-nothing"],
            id="a namespace that is not there, in the same rule",
        ),
        pytest.param(
            written(
                "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: " + BY_NAME + "}},"
                " {podSelector: {matchLabels: {access: 'yes'}}}]}]}"
            ),
            "peers-or-not-and",
            ["peer-matches-nothing"],
            id="two dashes explain that the lone podSelector matches nothing",
        ),
        pytest.param(
            written("{podSelector: {matchLabels: {app: apii}}}", "shpo"),
            "namespace-not-found",
            ["selector-matches-nothing"],
            id="nothing can match in a namespace that is not there",
        ),
    ],
)
def test_one_defect_has_one_voice(text: str, cause: str, also: list[str]) -> None:
    spoken = [r for r in check(text, STATE) if r.level > Level.NOTE]
    assert [r.check for r in spoken] == [cause]
    assert list(spoken[0].also) == also


def test_a_cause_in_one_rule_leaves_the_others_alone() -> None:
    text = written(
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: clients}}}]},"
        " {from: [{podSelector: {matchLabels: {app: apii}}}]}]}"
    )
    assert {(r.check, r.finding.path) for r in check(text, STATE)} == {
        ("namespace-not-found", "spec.ingress[0].from[0].namespaceSelector.matchLabels.name"),
        ("peer-matches-nothing", "spec.ingress[1].from[0].podSelector.matchLabels.app"),
    }


def test_dead_rules_and_a_missing_own_namespace_are_never_silenced() -> None:
    text = written(
        "{podSelector: {" + CONTRADICTION + "}, policyTypes: [Ingress], egress: [{ports: [{port: 1}]}]}", "shpo"
    )
    assert {r.check for r in check(text, STATE) if r.level > Level.NOTE} == {
        "selector-can-never-match",
        "rules-without-policy-type",
        "namespace-not-found",
    }


def test_a_finding_silences_none_above_its_level() -> None:
    never = Check(
        id="selector-matches-nothing",
        level=Level.WARNING,
        summary="s",
        rationale="r.",
        remedy="r.",
        run=lambda _: iter([Finding("spec.podSelector", "a warning")]),
        judges=(NETWORK_POLICY,),
    )
    louder = msgspec.structs.replace(
        never, id="louder", level=Level.ERROR, run=lambda _: iter([Finding("spec.podSelector", "an error")])
    )
    quieter = msgspec.structs.replace(
        never, id="quieter", level=Level.NOTE, run=lambda _: iter([Finding("spec.podSelector", "a note")])
    )
    judgement = Judge(checks=[never, louder, quieter]).admit(request(SOUND), cluster())
    assert said(judgement) == {"louder": "deny", "selector-matches-nothing": "warn"}
    assert judgement.verdict.rulings[1].also == ("quieter",)


def consequence(level: Level, *causes: str, of: str = "cuts-service", path: str = "spec.policyTypes") -> Check:
    return Check(
        id=of,
        level=level,
        summary="s",
        rationale="r.",
        remedy="r.",
        run=lambda _: iter([Finding(path, "traffic is cut", causes=causes or None)]),
        judges=(NETWORK_POLICY,),
    )


NOT_FOUND = policy(
    {
        **SELECTS_API,
        "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": 1}]}, {"to": [{"namespaceSelector": {"matchLabels": {"name": "shop"}}}]}],
    }
)


@pytest.mark.parametrize(
    "due",
    [
        "spec.egress",
        "spec.egress[1]",
        "spec.egress[1].to",
        "spec.egress[1].to[0]",
        "spec.egress[1].to[0].namespaceSelector.matchLabels.name",
        "spec.egress[1].to[0].namespaceSelector.matchLabels.name.x",
    ],
)
def test_a_mistake_in_a_rule_silences_what_it_leads_to(due: str) -> None:
    ruling = only(
        Judge(checks=[*all_checks(), consequence(Level.WARNING, "spec.egress[9]", due)]).admit(
            request(NOT_FOUND), cluster()
        )
    )
    assert (ruling.check, ruling.also) == ("namespace-not-found", ("cuts-service",))


@pytest.mark.parametrize(
    "due", ["spec.egress[0]", "spec.egress[10]", "spec.egress[1].ports", "spec.egress[1].t", "spec.ingress"]
)
def test_a_mistake_elsewhere_leaves_a_consequence_alone(due: str) -> None:
    judge = Judge(checks=[*all_checks(), consequence(Level.WARNING, due)])
    judgement = judge.admit(request(NOT_FOUND), cluster())
    assert said(judgement) == {"namespace-not-found": "warn", "cuts-service": "warn"}
    assert [r.also for r in judgement.verdict.rulings] == [(), ()]


def test_a_mistake_silences_no_consequence_above_its_level_and_none_that_is_its_own() -> None:
    louder = Judge(checks=[*all_checks(), consequence(Level.ERROR, "spec.egress[1]")])
    assert said(louder.admit(request(NOT_FOUND), cluster())) == {
        "cuts-service": "deny",
        "namespace-not-found": "warn",
    }
    unexplained = Judge(checks=[*all_checks(), consequence(Level.WARNING)])
    assert said(unexplained.admit(request(NOT_FOUND), cluster())) == {
        "cuts-service": "warn",
        "namespace-not-found": "warn",
    }


@pytest.mark.parametrize(
    ("path", "explained"),
    [("spec.egress", True), ("spec.egress[1]", True), ("spec.egress[0]", False), ("spec.ingress", False)],
)
def test_a_consequence_that_names_no_rules_is_due_to_those_of_its_path(path: str, explained: bool) -> None:
    judge = Judge(checks=[*all_checks(), consequence(Level.WARNING, path=path)])
    assert (said(judge.admit(request(NOT_FOUND), cluster())) == {"namespace-not-found": "warn"}) is explained


@pytest.mark.parametrize("of", ["dns-blocked", "cuts-api-server", "cuts-webhook", "policy-redundant", "except-undone"])
def test_what_is_a_consequence(of: str) -> None:
    judge = Judge(checks=[CHECKS["namespace-not-found"], consequence(Level.WARNING, "spec.egress[1]", of=of)])
    expected = {"namespace-not-found": "warn"} | ({of: "warn"} if of == "except-undone" else {})
    assert said(judge.admit(request(NOT_FOUND), cluster())) == expected


def test_rules_that_a_policy_type_is_missing_for_explain_what_is_cut() -> None:
    judge = Judge(checks=[*all_checks(), consequence(Level.WARNING, "spec.egress[0]")])
    ruling = only(judge.admit(request(DEAD), cluster()))
    assert (ruling.check, ruling.also) == ("rules-without-policy-type", ("cuts-service",))


@pytest.mark.parametrize(
    ("spec", "also"),
    [
        pytest.param('{podSelector: {matchLabels: {app: "a pi"}}}', ["selector-matches-nothing"], id="a label"),
        pytest.param(
            "{podSelector: {matchExpressions: [{key: app, operator: Equals, values: [api]}]}}",
            ["selector-matches-nothing"],
            id="a part of a selector",
        ),
        pytest.param(
            "{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchExpressions: "
            "[{key: app, operator: In}]}}]}]}",
            ["peer-matches-nothing", "selector-can-never-match"],
            id="no values",
        ),
        pytest.param("{podSelector: {}, policyTypes: [ingress], ingress: [{ports: [{port: 1}]}]}", [], id="a type"),
    ],
)
def test_what_the_api_server_refuses_explains_what_is_said_of_the_field(spec: str, also: list[str]) -> None:
    (ruling,) = [r for r in check(written(spec), STATE) if r.level > Level.NOTE]
    assert (ruling.check, sorted(ruling.also)) == ("refused-by-api", also)


@pytest.mark.parametrize(("due", "explained"), [("spec.ingress[1]", True), ("spec.ingress[0]", False)])
def test_what_the_api_server_refuses_explains_what_is_cut_by_it_alone(due: str, explained: bool) -> None:
    text = written("{podSelector: {matchLabels: {app: api}}, ingress: [{}, {ports: [{port: 80, protocol: tcp}]}]}")
    judge = Judge(checks=[*all_checks(), consequence(Level.WARNING, due)])
    files = FileState(complete=True)
    files.load(["-"], stdin=io.BytesIO(STATE.encode()))
    (item,) = files.review(["-"], stdin=io.BytesIO(text.encode()))
    rulings = judge.check(item.manifest, item.judged, files.cluster).verdict.rulings
    said_of = {r.check: r.also for r in rulings if r.level > Level.NOTE}
    assert said_of == (
        {"refused-by-api": ("cuts-service",)} if explained else {"refused-by-api": (), "cuts-service": ()}
    )


def test_what_is_no_cause_of_a_cut_explains_none() -> None:
    other = Check(
        id="opens-to-everyone",
        level=Level.WARNING,
        summary="s",
        rationale="r.",
        remedy="r.",
        run=lambda _: iter([Finding("spec.egress[1]", "no peers")]),
        judges=(NETWORK_POLICY,),
    )
    judgement = Judge(checks=[other, consequence(Level.WARNING, "spec.egress[1]")]).admit(request(NOT_FOUND), cluster())
    assert said(judgement) == {"opens-to-everyone": "warn", "cuts-service": "warn"}


# --- waivers ----------------------------------------------------------------------------------------------------------

WAIVER = {"netadmit.io/ignore.selector-matches-nothing": "made on demand"}


def test_an_object_waives_a_warning() -> None:
    waived = policy({"podSelector": {"matchLabels": {"app": "apii"}}}, WAIVER)
    ruling = only(admit(request(waived)))
    assert (ruling.action, ruling.waived) == (Action.IGNORE, "made on demand")


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_waiver_without_a_reason_waives_nothing(reason: str) -> None:
    waived = policy({"podSelector": {"matchLabels": {"app": "apii"}}}, dict.fromkeys(WAIVER, reason))
    assert said(admit(request(waived))) == {"selector-matches-nothing": "warn"}


def test_a_denial_is_waived_by_the_namespace_only() -> None:
    annotations = {"netadmit.io/ignore.rules-without-policy-type": "known"}
    dead = policy({**SELECTS_API, "policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 443}]}]}, annotations)
    assert said(admit(request(dead))) == {"rules-without-policy-type": "deny"}
    known = Cluster.of([namespace(rules_without_policy_type="known"), API], complete=True)
    assert said(admit(request(DEAD), known)) == {"rules-without-policy-type": "ignore"}
    assert only(admit(request(DEAD), known)).waived == "known"


def test_a_raised_warning_is_a_denial_and_waived_by_the_namespace_only() -> None:
    config = Config(enforce=("selector-matches-nothing",))
    waived = policy({"podSelector": {"matchLabels": {"app": "apii"}}}, WAIVER)
    assert said(admit(request(waived), config=config)) == {"selector-matches-nothing": "deny"}


def test_the_namespace_waives_a_warning_of_its_objects_and_of_no_others() -> None:
    there = Cluster.of([namespace(selector_matches_nothing="yes"), namespace(name="default"), API], complete=True)
    assert said(admit(request(MISSPELT), there)) == {"selector-matches-nothing": "ignore"}
    elsewhere = policy({"podSelector": {"matchLabels": {"app": "api"}}}, namespace="default")
    assert said(admit(request(elsewhere), there)) == {"selector-matches-nothing": "warn"}


def test_a_waiver_waives_its_own_check_only() -> None:
    lost = service({"selector": {"app": "apii"}}, annotations=WAIVER)
    assert said(admit(request(lost))) == {"service-selects-nothing": "warn"}


# --- the ratchet ------------------------------------------------------------------------------------------------------


def test_an_update_that_makes_it_no_worse_is_warned_about() -> None:
    more = policy({**SELECTS_API, "policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 80}]}], "ingress": [{}]})
    assert said(admit(request(more, DEAD))) == {"rules-without-policy-type": "warn"}


def test_an_update_that_makes_it_worse_is_denied() -> None:
    assert said(admit(request(DEAD, SOUND))) == {"rules-without-policy-type": "deny"}
    worse = policy(
        {
            "podSelector": {"matchLabels": {"app": "api"}},
            "policyTypes": ["Ingress"],
            "egress": [{"ports": [{"port": 443}]}],
        }
        | contradicting("a")
    )
    assert said(admit(request(worse, DEAD))) == {
        "selector-can-never-match": "deny",
        "rules-without-policy-type": "warn",
    }


def test_another_offending_value_is_a_new_finding() -> None:
    other = policy(contradicting("b"))
    assert said(admit(request(other, NEVER)))["selector-can-never-match"] == "deny"
    assert said(admit(request(NEVER, NEVER, metadata_only=False)))["selector-can-never-match"] == "warn"


def test_without_the_old_object_an_update_is_judged_as_it_is() -> None:
    undecodable = request(DEAD, operation="UPDATE")
    assert said(admit(undecodable)) == {"rules-without-policy-type": "deny"}


def test_the_ratchet_judges_the_old_object_by_todays_state() -> None:
    """It selected something when it was written; today it is as lost as the new one, by the same value."""
    old = policy({"podSelector": {"matchLabels": {"app": "apii"}}})
    new = policy({"podSelector": {"matchLabels": {"app": "apii"}}, "policyTypes": ["Ingress"]})
    config = Config(enforce=("selector-matches-nothing",))
    assert said(admit(request(new, old), config=config)) == {"selector-matches-nothing": "warn"}
    assert said(admit(request(new, SOUND), config=config)) == {"selector-matches-nothing": "deny"}


def crashing_on(name: str) -> Callable[[Context], Iterator[Finding]]:
    def run(ctx: Context) -> Iterator[Finding]:
        if ctx.policy.metadata.name == name:
            raise RuntimeError("a bug")
        yield Finding("spec", "bad", value="v")

    return run


def fragile(run: Callable[[Context], Iterator[Finding]]) -> Check:
    return Check(
        id="fragile", level=Level.ERROR, summary="s", rationale="r.", remedy="r.", run=run, judges=(NETWORK_POLICY,)
    )


def test_a_crash_on_the_old_object_denies_nothing() -> None:
    judge = Judge(checks=[fragile(crashing_on("old"))])
    old = policy(SELECTS_API, name="old")
    judgement = judge.admit(request(policy(SELECTS_API), old, metadata_only=False), cluster())
    assert said(judgement) == {"fragile": "warn"}
    assert not judgement.verdict.denied


def test_a_crash_is_told_and_the_others_speak() -> None:
    told: list[str] = []
    judge = Judge(
        checks=[fragile(crashing_on("np")), *all_checks()], on_crash=lambda crash: told.append(str(crash.error))
    )
    judgement = judge.admit(request(DEAD), cluster())
    assert said(judgement) == {"rules-without-policy-type": "deny"}
    assert [c.check for c in judgement.crashes] == ["fragile"]
    assert told == ["a bug"]


# --- never denied -----------------------------------------------------------------------------------------------------

EVERYTHING = Config(
    profile="strict",
    enforce=tuple(check_ids()),
    checks={check: CheckSettings(level="error", action=Action.DENY) for check in check_ids()},
)


@pytest.mark.parametrize(
    ("asked", "state", "more"),
    [
        pytest.param(request(None, DEAD), cluster(), {}, id="DELETE"),
        pytest.param(request(None, NEVER, name=""), cluster(), {}, id="DELETE of a collection"),
        pytest.param(request(DEAD, SOUND, deleting=True), cluster(), {}, id="deletionTimestamp"),
        pytest.param(request(DEAD, DEAD), cluster(), {}, id="only metadata changed"),
        pytest.param(
            request(DEAD), Cluster.of([namespace(terminating=True), API], complete=True), {}, id="terminating namespace"
        ),
        pytest.param(request(DEAD), cluster(), {"synced": False}, id="nothing read yet"),
        pytest.param(request(DEAD, operation="CONNECT"), cluster(), {}, id="CONNECT"),
        pytest.param(msgspec.structs.replace(request(DEAD), new=None), cluster(), {}, id="a kind that is not judged"),
    ],
)
def test_never_denied_whatever_is_configured(asked: Request, state: Cluster, more: dict[str, Any]) -> None:
    for config in (Config(), EVERYTHING):
        judgement = admit(asked, state, config, **more)
        assert not judgement.verdict.denied
        assert not judgement.verdict.denial


def test_a_check_for_delete_that_would_deny_warns() -> None:
    loud = Check(
        id="loud",
        level=Level.ERROR,
        summary="s",
        rationale="r.",
        remedy="r.",
        run=lambda _: iter([Finding("spec", "it opens")]),
        judges=(NETWORK_POLICY,),
        operations=tuple(Operation),
    )
    assert said(Judge(checks=[loud]).admit(request(None, DEAD), cluster())) == {"loud": "warn"}


# --- state that is only partly known ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        UNPROVEN,
        service({"selector": {"app": "storefront"}}),
        policy({**SELECTS_API, "ingress": [{"from": [{"podSelector": {"matchLabels": {"role": "client"}}}]}]}),
        policy({**SELECTS_API, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "ops"}}}]}]}),
    ],
)
def test_what_is_not_found_in_a_part_is_unknown_and_no_finding(bad: NetworkPolicy | Service) -> None:
    for old in (None, bad):
        judgement = admit(request(bad, old, metadata_only=False), cluster(complete=False), EVERYTHING)
        assert said(judgement) == {}
        assert any("not all are known" in question for question in judgement.unknown)
        assert not judgement.rests_on


def test_rests_on_names_the_kinds_of_a_warning_on_create_only() -> None:
    assert POD in admit(request(MISSPELT)).rests_on
    assert not admit(request(UNPROVEN)).rests_on
    assert not admit(request(MISSPELT, SOUND)).rests_on
    assert not admit(request(DEAD)).rests_on


# --- early is not wrong, and staging stands beside production --------------------------------------------------------


def test_the_same_manifests_in_a_second_namespace_are_no_slip() -> None:
    production = Pod("prod", "web-1", {"app": "web"})
    new = service({"selector": {"app": "web"}, "ports": [{"port": 80}]}, name="web", namespace="shop")
    lost = cluster(production)
    assert said(admit(request(new), lost)) == {"service-selects-nothing": "warn"}, "applied without -n"
    both = cluster(production, service({"selector": {"app": "web"}}, name="web", namespace="prod"))
    assert said(admit(request(new), both)) == {"service-selects-nothing": "ignore"}


def test_a_deployment_of_several_pods_lets_in_its_own_siblings() -> None:
    clients: list[Record] = [
        namespace(name="clients"),
        Pod("clients", "one", {"app": "api"}),
        Pod("clients", "two", {"app": "other"}),
    ]
    two_dashes = policy(
        {
            **SELECTS_API,
            "ingress": [
                {
                    "from": [
                        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "clients"}}},
                        {"podSelector": {"matchLabels": {"app": "api"}}},
                    ]
                }
            ],
        }
    )

    def with_replicas(number: int) -> Iterable[Record]:
        owned = Pod("shop", "api-1", {"app": "api", "pod-template-hash": "5d8"}, owner=("ReplicaSet", "api-5d8"))
        yield from (namespace(), *clients, owned)
        yield Workload("apps/v1/Deployment", "shop", "api", {"app": "api"}, replicas=number)
        yield Workload(
            "apps/v1/ReplicaSet", "shop", "api-5d8", dict(owned.labels), owner=("Deployment", "api"), replicas=number
        )

    assert said(admit(request(two_dashes), Cluster.of(with_replicas(1), complete=True))) == {"peers-or-not-and": "warn"}
    assert said(admit(request(two_dashes), Cluster.of(with_replicas(2), complete=True))) == {}


@pytest.mark.parametrize("rules", [[{}], [{}, {"ports": [{"port": 443}]}], [{"ports": [{"port": 443}]}, {}]])
def test_dead_rules_that_allow_everything_lose_nothing(rules: list[Any]) -> None:
    assert said(admit(request(policy({**SELECTS_API, "policyTypes": ["Ingress"], "egress": rules})))) == {}


def test_the_term_that_fails_is_the_one_told() -> None:
    teams = [namespace({"team": "ops"}, name="monitoring"), namespace(name="ops")]
    selector = {"namespaceSelector": {"matchLabels": {"team": "ops", "env": "payments"}}}
    judgement = admit(request(policy({**SELECTS_API, "ingress": [{"from": [selector]}]})), cluster(*teams))
    assert said(judgement) == {"namespace-not-found": "ignore"}


# --- disclosure -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disclose", list(Disclosure))
def test_other_namespaces_are_named_only_where_they_may_be(disclose: Disclosure) -> None:
    secret: list[Record] = [
        namespace({"team": "operations"}, name="secret-1"),
        Pod("secret-1", "vault-pod", {"app": "vault", "tier": "hidden-tier"}),
        Pod("secret-1", "vault-pod-2", {"app": "vault2"}),
    ]
    peer = {"podSelector": {"matchLabels": {"app": "vault"}}}
    asked: list[NetworkPolicy | Service] = [
        policy({"podSelector": {"matchLabels": {"app": "vault"}}}),
        service({"selector": {"app": "vault"}}),
        policy({**SELECTS_API, "ingress": [{"from": [peer]}]}),
        policy({**SELECTS_API, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "operation"}}}]}]}),
        policy(
            {
                **SELECTS_API,
                "ingress": [
                    {"from": [{"namespaceSelector": {"matchLabels": {"team": "operations"}}}, peer]},
                    {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "vaultt"}}}]},
                ],
            }
        ),
        policy(
            {
                **SELECTS_API,
                "ingress": [
                    {
                        "from": [
                            {
                                "namespaceSelector": {
                                    "matchExpressions": [
                                        {
                                            "key": "kubernetes.io/metadata.name",
                                            "operator": "In",
                                            "values": ["shop", "secrett-1"],
                                        }
                                    ]
                                }
                            }
                        ]
                    }
                ],
            }
        ),
    ]
    lines: list[str] = []
    for bad in asked:
        warnings = admit(request(bad), cluster(*secret), Config(disclose=disclose)).verdict.warnings
        assert warnings
        lines += warnings
    told = [line for line in lines if "secret-1" in line or "hidden" in line or "vault-pod" in line]
    assert bool(told) == (disclose is Disclosure.CLUSTER), told


def test_an_object_of_another_kind_is_looked_at_as_text_only() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\ndata: {a: one, a: two}\n"
    assert [r.check for r in check(text, STATE)] == ["yaml-duplicate-key"]


def test_object_metadata_is_optional() -> None:
    assert said(admit(request(NetworkPolicy(metadata=ObjectMeta(name="a", namespace="shop"))))) == {}


def test_what_was_judged_is_forgotten() -> None:
    def known() -> int:
        gc.collect()
        return sum(type(one) is Context for one in gc.get_objects())

    clients = {"podSelector": {"matchLabels": {"app": "db"}}}
    closed = policy(
        {
            "podSelector": {"matchLabels": {"app": "api"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [clients]}],
            "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}],
        }
    )
    behind = service({"selector": {"app": "api"}, "ports": [{"port": 80}]})
    state = cluster(Pod("shop", "web-1", {"app": "web"}, phase="Running"), behind)
    judge, before = Judge(config=Config(effects=Effects.ALWAYS)), known()
    for asked in (
        request(closed),
        request(closed, policy({"podSelector": {}})),
        request(None, closed),
        request(behind),
    ):
        assert judge.admit(asked, state).crashes == ()
        assert known() == before, asked.operation


def test_addresses_that_only_dry_runs_named_are_forgotten() -> None:
    """Else every review after many of them would take longer, until something changes in the cluster."""
    stands = policy({"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Egress"]}, name="stands")
    state, judge = cluster(stands), Judge()
    told = judge.audit(stands, state)
    for number in range(4):
        peers = [{"ipBlock": {"cidr": f"10.{number}.{i // 256}.{i % 256}/32"}} for i in range(0, 6_000, 2)]
        spec = {"podSelector": {"matchLabels": {"app": "api"}}, "ingress": [{"from": peers}]}
        assert judge.admit(request(policy(spec), dry_run=True), state).crashes == ()
    judge.admit(request(policy({"podSelector": {}})), state)
    assert len(graph_of(state).atoms) < 12_000
    assert judge.audit(stands, state) == told
