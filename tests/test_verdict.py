"""What kubectl prints: within its lengths, without what drops a line or drives a terminal, and nothing lost unsaid."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.check import Finding, Level
from webhook.verdict import (
    BUDGET,
    LONGEST_LINE,
    SHORT_NAMES,
    Action,
    ObjectReference,
    Ruling,
    Verdict,
    clean,
    elide,
    within_budget,
)

NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x00\n\r\t\x1b\x7f\x85\u200b\u200e\u202a\u202e\u2028\u2029\u2066\ufeff\u00ad日…🙂"),
    ),
    max_size=700,
)
REFERENCES = st.builds(
    ObjectReference,
    st.just("networking.k8s.io/v1"),
    st.sampled_from(["NetworkPolicy", "Service"]),
    NASTY,
    NASTY,
)
RULINGS = st.builds(
    Ruling,
    st.sampled_from(["selector-matches-nothing", "peers-or-not-and", "selects-whole-namespace-by-accident"]),
    st.sampled_from(Level),
    st.sampled_from(Action),
    REFERENCES,
    st.builds(Finding, st.just("spec"), NASTY, NASTY),
)


def ruling(message: str, action: Action = Action.WARN, name: str = "np") -> Ruling:
    reference = ObjectReference("networking.k8s.io/v1", "NetworkPolicy", "shop", name)
    return Ruling("peers-or-not-and", Level.WARNING, action, reference, Finding("spec", message))


@given(RULINGS)
def test_a_line_fits_and_names_object_and_check(said: Ruling) -> None:
    line = said.line
    assert 0 < len(line) <= LONGEST_LINE
    assert line.startswith(f"{SHORT_NAMES.get(said.object.kind, said.object.kind)} ")
    assert line.endswith(f" [{said.check}]")
    assert not [c for c in line if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    line.encode()


@given(st.lists(RULINGS, max_size=60))
def test_all_warnings_fit_and_what_is_left_out_is_counted(rulings: list[Ruling]) -> None:
    verdict = Verdict(tuple(rulings))
    lines = [r.line for r in rulings if r.action is Action.WARN]
    warnings = verdict.warnings
    assert sum(map(len, warnings)) <= BUDGET
    left_out = re.match(r"netadmit: (\d+) more warnings? left out", warnings[-1]) if warnings else None
    if left_out:
        assert warnings[:-1] == lines[: len(warnings) - 1]
        assert len(warnings) - 1 + int(left_out[1]) == len(lines)
        assert sum(map(len, lines)) > BUDGET
    else:
        assert warnings == lines
    denials = [r.whole for r in rulings if r.action is Action.DENY]
    assert verdict.denied is bool(denials)
    assert verdict.denial.splitlines() == denials


@pytest.mark.parametrize(("lengths", "kept"), [([256] * 16, 16), ([256] * 17, 15), ([4096], 1), ([4000, 97], 1)])
def test_the_budget_to_the_character(lengths: list[int], kept: int) -> None:
    lines = ["x" * length for length in lengths]
    fitted = within_budget(lines)
    assert [line for line in fitted if line in lines] == lines[:kept]
    assert sum(map(len, fitted)) <= BUDGET
    if kept < len(lines):
        plural = "s" if len(lines) - kept > 1 else ""
        assert fitted[-1].startswith(f"netadmit: {len(lines) - kept} more warning{plural} left out")


def test_a_long_name_is_elided_in_the_middle() -> None:
    long = ruling("two items mean OR", name="begin" + "x" * 300 + "end").line
    assert long.startswith("netpol shop/beginx")
    assert "…" in long
    assert re.search(r"xend: two items mean OR \[peers-or-not-and\]$", long)


def test_a_long_message_is_elided_in_the_middle() -> None:
    line = ruling("begin " + "m" * 500 + " end").line
    assert len(line) == LONGEST_LINE
    assert re.fullmatch(r"netpol shop/np: begin m+…m+ end \[peers-or-not-and\]", line)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("app=web", "app=web"),
        ("日本 é 🙂", "日本 é 🙂"),
        ("a\nb\tc\rd\x1b[31me\x00f\x85", "a�b�c�d�[31me�f�"),
        ("evil\u202egnp.exe\u2066x\u200b\u2028\u2029", "evil�gnp.exe�x���"),
        ("\udcff", "�"),
    ],
)
def test_what_could_drive_a_terminal_is_replaced(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text(max_size=40), st.integers(-3, 50))
def test_eliding_keeps_both_ends(text: str, most: int) -> None:
    short = elide(text, most)
    assert len(short) <= max(most, 0) or short == text
    if len(text) > most > 1:
        assert short.count("…") >= 1
        assert len(short) == most
        head, _, tail = short.partition("…") if "…" not in text else ("", "", "")
        assert text.startswith(head)
        assert text.endswith(tail)


def test_nothing_to_say() -> None:
    assert not Verdict().denied
    assert Verdict().denial == ""
    assert Verdict().warnings == []


def test_a_kind_from_a_file_is_cleaned_too() -> None:
    shown = str(ObjectReference("v1", "Con\x1b[2Jfig" + "x" * 300, "shop\n", "a\u202e"))
    assert shown.isprintable()
    assert len(shown) < 200
