"""The fast decoder of the plain block style says what libyaml's events say, or nothing at all."""
# ruff: noqa: E501 - tables with a case a line

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webhook.state import block_style, places, yaml_events
from webhook.state.block_style import block_places, decode_block_style
from webhook.state.files import FileState
from webhook.state.manifests import _split
from webhook.state.snapshot import write_snapshot

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "webhook" / "cli" / "example"


def by_events(raw: bytes) -> Any:
    """What libyaml says, when it is a mapping that raises no questions; else a reason."""
    try:
        decoded = yaml_events.decode_events(raw, places.Text(raw, 1))
    except places.DocumentError as error:
        return f"error: {error}"
    if decoded is None:
        return "nothing"
    if decoded.repeats:
        return "a key is there twice"
    return decoded.data if decoded.ignored_from is None else "two documents"


def typed(value: Any) -> Any:
    """With the types, and the order of the keys: 1 is not true."""
    if isinstance(value, dict):
        return [(key, typed(inner)) for key, inner in value.items()]
    return [typed(inner) for inner in value] if isinstance(value, list) else (type(value), value)


def assert_same(text: str | bytes) -> bool:
    """Says whether the fast decoder took it."""
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    fast = decode_block_style(raw)
    if fast is not None:
        assert typed(fast) == typed(by_events(raw)), raw
        assert block_places(raw) == yaml_events.places(raw)[0], raw
    return fast is not None


FAST = {
    "scalars": "a: b\nc: 1\nd: yes\ne: ~\nf: 0x1F\ng: 1e3\nh: 12:30\ni: -1\nj: +1\nk: .5\nl: null\nm:\nn: 2001-01-01\n",
    "keys": 'yes: 1\n010: 2\n1.5: 3\na.b/c-d: 4\nf:b: 5\nk:{"a":"b"}: 6\na#b: 7\n.: {}\n',
    "signs in plain text": "a: b#c\nd: e:f\ng: http://h/i?j=k&l=m#n\no: p, q [r] {s} 't' \"u\" * & ! | > % @ `\nv: -w\nx: --y=z\n",
    "quoted": "a: 'b'\nc: \"d\"\ne: ''\nf: \"\"\ng: 'h''i'\nj: \"k\\\"l\\\\m\\nn\\to\"\np: ' q '\nr: \"# s: {t}\"\n",
    "sequences not indented": "a:\n- b\n- c: d\n  e: f\n- g:\n  - h\n  i: j\n- {}\nk: l\n",
    "sequences indented": "a:\n  - b\n  -   c: d\n      e: f\n  - g:\n      - h\n    i: j\nk: l\n",
    "dashes": "a:\n- --b\n- -c\n- -1\n- 'd: e'\n- f:g\n- http://h\n",
    "nothing below": "a:\n  b:\n  c:\nd:\ne:\n- f:\n- g:\n  h:\ni:\n",
    "empty and short": "a: {}\nb: []\nc: [d, 1, yes, 'e', \"f\", [], {}]\ng: {h: i, j: {k: [l]}, 'm': 2, \"n\": {}}\n",
    "comments": "# a\n\nb: c # d\n  # e\nf: # g\n  h: 'i' # j\n  # k\n  l: \"m\"  # n\no: {p: q} # r\ns:\n# t\n- u # v\n   \n- w\n",
    "spaces at the end": "a: b  \nc:  \n  d: 'e'  \n  f: {}  \n",
    "after a separator": "---\na: b\n",
    "no end of line": "a:\n  b: c",
    "literals": "a: |\n  b\n    c\n\n  d: e\n  # f\ng: |-\n    h\n\n\ni:\n- |\n  j\n- |-\n  k\nl: |\n  m\tn\n  \to\n\n# p\n",
    "long plain text": "a: b c\n  d e\n  f\ng:\n- h\n  i\n- j: k\n    l\nm: 1\n  2\n# n\no: p\n",
    "long quoted text": "a: 'b c\n  d ''e\n\n'\n".replace("\n\n", "\n  ") + "f: \"g\n  h\n  i\" # j\nk:\n- 'l\n  m'\n- n: 'o\n    p'\n",
    "letters": "a: é\nb: 'ü 😀'\nc: ж\n- d\n".replace("- d\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("text", FAST.values(), ids=FAST)
def test_what_is_decoded_fast(text: str) -> None:
    assert assert_same(text), "left to libyaml"


SLOW = {
    "an anchor": "a: &b c\n",
    "an alias": "a: *b\n",
    "a tag": "a: !!str 1\n",
    "a merge": "a:\n  <<: {b: c}\n",
    "a key twice": "a: 1\nb: 2\na: 3\n",
    "a key twice in braces": "a: {b: 1, b: 2}\n",
    "a key twice by its meaning": "y: 1\ntrue: 2\n",
    "a key that is none": "null: 1\n",
    "infinity": "a: .inf\n",
    "a tab": "a:\tb\n",
    "a tab in front": "a:\n\tb: c\n",
    "a folded text": "a: >\n  b\n",
    "a literal with an indentation": "a: |2\n   b\n",
    "a literal that keeps lines": "a: |+\n  b\n\n",
    "a literal without end": "a: |\n  b",
    "a literal that begins with a tab": "a: |\n  \tb\n",
    "an empty literal": "a: |\nb: c\n",
    "a literal that begins with nothing": "a: |\n\n  b\n",
    "an escape": 'a: "\\u00e9"\n',
    "an escape that YAML 1.1 lacks": 'a: "\\/"\n',
    "a quote that is not closed": "a: 'b\nc: d\n",
    "text behind a quote": "a: 'b' c\n",
    "an empty line in a text": "a: b\n\n  c\n",
    "a comment in a text": "a: b\n  # c\n  d\n",
    "a mapping in a text": "a: b\n  c: d\n",
    "a sequence in a text": "a: b\n- c\n",
    "two colons": "a: b: c\n",
    "a colon at the end": "a: b:\n",
    "a dash for a value": "a: - b\n",
    "a dash alone": "a:\n-\n- b\n",
    "dashes in a row": "a:\n- - b\n",
    "indented too little": "a:\n    b: c\n  d: e\n",
    "a key in a sequence": "a:\n  - b\n  c: d\n",
    "a sequence": "- a\n",
    "a scalar": "a\n",
    "nothing": "# a\n\n",
    "a first line that is indented": "  a: b\n",
    "a separator with more": "--- # a\nb: c\n",
    "an end of the document": "a: b\n...\n",
    "a question mark": "? a\n: b\n",
    "carriage returns": "a: b\r\nc: d\r\n",
    "a byte order mark": "\ufeffa: b\n",
    "a line separator": "a: b\u2028c\n",
    "a control character": "a: b\x7f\n",
    "a null byte": "a: b\x00\n",
    "braces over two lines": "a: {b: c,\n  d: e}\n",
    "a pair in a sequence": "a: [b: c]\n",
    "braces without a value": "a: {b}\n",
    "braces around braces": "a: {{ .Values.x }}\n",
    "a comma too much": "a: [b, ]\n",
    "deep": "".join(" " * i + "a:\n" for i in range(300)),
    "deep in braces": f"a: {'[' * 60}{']' * 60}\n",
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_what_is_left_to_libyaml(text: str) -> None:
    assert not assert_same(text)


def test_what_is_not_utf_8_is_left_to_libyaml() -> None:
    assert decode_block_style(b"a: \xff\n") is None


INDENTS = ["", "", "  ", "  ", "    ", " ", "      "]
STARTS = ["", "", "", "- ", "- ", "-   "]
KEYS = ["a: ", "b: ", "c:", "d:", "f:x: ", "yes: ", "1: ", "'q': ", "<<: ", "? "]
VALUES = [
    "", "", "x", "x y", "1", "no", "~", "'x'", '"x"', "''", "'x", 'x"', "x'", '"x', "{}", "[]", "{a: b}", "[a, {b: c}]",
    "{a: 'x', b: [", "]", "}", "|", "|-", "|+", ">", "# c", "x # c", "x#c", "x:y", "x: y", "x:", "-", "--", "- x", "&a x",
    "*a", "!!str 1", "%x", "@x", "`x`", ".inf", "x  ", "\\", '"\\n"', "x\ty", "é", "\ufeff", "---", "...", ",", "x, y", "::",
]  # fmt: skip
line = st.tuples(*map(st.sampled_from, (INDENTS, STARTS, ["", *KEYS, *KEYS], VALUES))).map("".join)


@settings(max_examples=1500, deadline=None)
@given(st.lists(line, max_size=9), st.sampled_from(["\n", ""]))
@example(["a: 'x", "  '"], "\n")
@example(["a: '", "  x'"], "\n")
@example(["a: |", "  x", "   ", "b: 1"], "\n")
@example(["c:", "- a: ", "  x"], "\n")
@example(["c:", "- x", "  y", "d:", "- z", " y"], "\n")
@example(["c:", "  - d:", "    - x", "   y"], "\n")
def test_lines_in_any_order(lines: list[str], end: str) -> None:
    assert_same("\n".join(lines) + end)


@st.composite
def blocks(draw: st.DrawFn, depth: int = 3) -> list[str]:
    """Lines of a mapping that mostly is one, so that what comes behind deep nesting is seen as well."""
    lines: list[str] = []
    for key in draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4, unique=True)):
        sort = draw(st.sampled_from(["value", "value", "mapping", "items", "scalars"])) if depth else "value"
        step = draw(st.sampled_from(["  ", "  ", "    ", ""]))
        if sort == "value":
            lines.append(f"{key}: {draw(st.sampled_from(VALUES))}")
            lines += draw(
                st.sampled_from([[]] * 6 + [["    x"], ["  x'"], ['  x"'], ["# x"], [""], ["  x", "", "  y"]])
            )
        elif sort == "mapping":
            lines += [f"{key}:", *((step or " ") + inner for inner in draw(blocks(depth - 1)))]
        elif sort == "scalars":
            lines += [f"{key}:", *(f"{step}- {draw(st.sampled_from(VALUES))}" for _ in range(draw(st.integers(0, 3))))]
        else:
            lines.append(f"{key}:")
            for _ in range(draw(st.integers(1, 2))):
                first, *rest = draw(blocks(depth - 1))
                lines += [f"{step}- {first}", *(f"{step}  {inner}" for inner in rest)]
    return lines


@settings(max_examples=800, deadline=None)
@given(blocks())
def test_documents_as_they_are_written(lines: list[str]) -> None:
    assert_same("\n".join(lines) + "\n")


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=12),
    st.sampled_from(["a: {}\n", "a: '{}'\n", 'a: "{}"\n', "a:\n- {}\n", "a: |\n  {}\nb: c\n", "{}: a\n"]),
)
def test_any_text(text: str, form: str) -> None:
    assert_same(form.format(text))


def documents_of(files: list[Path]) -> list[bytes]:
    return [piece.raw for file in files for piece in _split(io.BytesIO(file.read_bytes()))]


FILES = [*HERE.rglob("fixtures/**/*.yaml"), *EXAMPLE.rglob("*.yaml")]


def test_real_manifests_are_decoded_alike() -> None:
    raws = documents_of(FILES)
    taken = sum(map(assert_same, raws))
    assert len(raws) > 200
    assert taken > len(raws) * 0.95, "what charts and people write is to be read fast"


def test_what_kubectl_writes_is_decoded_fast() -> None:
    assert all(map(assert_same, documents_of([HERE / "fixtures" / "kubectl" / "list.yaml"])))


def test_every_document_of_a_snapshot_is_decoded_fast() -> None:
    state = FileState(complete=True)
    state.load([str(EXAMPLE), *(str(file) for file in FILES if "-made" not in file.name)])
    out = io.StringIO()
    write_snapshot(state.cluster, out)
    slow = [raw for raw in documents_of_text(out.getvalue()) if not assert_same(raw)]
    assert slow == []


def documents_of_text(text: str) -> list[bytes]:
    return [piece.raw for piece in _split(io.BytesIO(text.encode()))]


def test_lines_that_stand_apart_are_joined_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document is taken apart block by block; where it is cut must not show."""
    raw = "".join(f"k{i}:\n- a: 'b\n    c'\n- |\n  d\n\n  e\n- f\n  g\n" for i in range(50)).encode()
    whole = decode_block_style(raw)
    assert whole is not None
    for size in (1, 7, 30, 100):
        monkeypatch.setattr(block_style, "_BLOCK", size)
        assert decode_block_style(raw) == whole


def test_what_is_remembered_is_bounded_and_belongs_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_style, "_remembered", 10)
    raw = "".join(f"k{i}: {{a: [b]}}\n" for i in range(100)).encode()
    first, second = decode_block_style(raw), decode_block_style(raw)
    assert first is not None
    first["k99"]["a"].append("c")
    assert second == decode_block_style(raw)
    assert len(block_style._lines) <= 10
