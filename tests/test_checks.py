"""Every example of every check: what stands in the documentation is what the judge says."""

import io
import json
from pathlib import Path

import pytest

from webhook.check import Check, Disclosure, Example, Level
from webhook.checks import all_checks
from webhook.config import json_schema
from webhook.model.objects import NetworkPolicy, Service
from webhook.model.review import JUDGED
from webhook.report.markdown import reference
from webhook.report.played import WHEN, played
from webhook.state.files import FileState, Reviewed
from webhook.verdict import LONGEST_LINE, Ruling

SHORT = 120
"""Characters of what was seen, what it means and what to write, where names are short."""
NEEDS_MORE = {"cuts-webhook": 160, "peers-or-not-and": 140}
"""Who loses whom by what, and two readings of one rule, do not fit into that."""
NOW = WHEN


def read(text: str, state: FileState) -> list[Reviewed]:
    reviewed = state.review(["-"], stdin=io.BytesIO(text.encode()))
    assert not state.problems, state.problems
    return reviewed


def judged(text: str) -> NetworkPolicy | Service | None:
    return read(text, FileState())[0].judged if text else None


def rulings(example: Example, disclose: Disclosure = Disclosure.CLUSTER) -> list[Ruling]:
    """What the whole judge, not the check alone, says of an example."""
    judgements = played(example, disclose)
    assert not [crash for judgement in judgements for crash in judgement.crashes]
    return [ruling for judgement in judgements for ruling in judgement.verdict.rulings]


def examples(kind: str) -> list[object]:
    return [
        pytest.param(check, example, id=f"{check.id}: {example.title}")
        for check in all_checks()
        for example in getattr(check, kind)
    ]


@pytest.mark.parametrize(("check", "example"), examples("bad"))
def test_speaks_on_the_bad_example(check: Check, example: Example) -> None:
    said = [r for r in rulings(example) if r.check == check.id]
    assert said, f"silent; others said {[r.line for r in rulings(example)]}"
    assert any(example.says in r.finding.story for r in said), [r.finding.story for r in said]
    assert {r.level for r in said} == {example.level or check.level}
    for ruling in said:
        assert len(ruling.line) <= LONGEST_LINE
        assert check.files_only or "…" not in ruling.line, "an ordinary object's message must fit into kubectl's line"
        assert ruling.line.isprintable()


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.id)
def test_every_line_fits(check: Check) -> None:
    """Whoever says it: at most what the API server passes on; and what a check says of short names is short."""
    said = [ruling for example in (*check.bad, *check.good) for ruling in rulings(example)]
    assert max(len(ruling.line) for ruling in said) <= LONGEST_LINE
    assert min(len(ruling.finding.line) for ruling in said if ruling.check == check.id) <= NEEDS_MORE.get(
        check.id, SHORT
    )


@pytest.mark.parametrize(("check", "example"), examples("good"))
def test_is_silent_on_the_good_example(check: Check, example: Example) -> None:
    assert [r.line for r in rulings(example) if r.check == check.id and r.level > Level.NOTE] == []


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.id)
def test_every_check_is_whole(check: Check) -> None:
    assert check.bad
    assert check.good
    assert check.files_only or set(check.judges) <= set(JUDGED)
    assert check.summary[0].islower() or check.summary.startswith("podSelector")
    assert not check.summary.endswith(".")
    for text in (check.rationale, check.remedy):
        assert text.endswith((".", "?"))
    assert any(e.says for e in check.bad), "one bad example must pin what is said"


def test_the_reference_is_made_of_the_checks() -> None:
    made = "".join(f"{line}\n" for line in reference(all_checks()))
    kept = (Path(__file__).parents[1] / "docs" / "checks.md").read_text()
    assert kept == made, "run make docs"


def test_the_published_schema_is_the_configuration_s() -> None:
    kept = (Path(__file__).parents[1] / "docs" / "config.schema.json").read_text()
    assert json.loads(kept) == json.loads(json.dumps(json_schema())), "run make docs"
