"""Reading manifests: documents, positions, and that whatever cannot be read is said and never raised."""
# ruff: noqa: E501 - tables with a case a line

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webhook.model.manifest import DuplicateKey, InputError, Manifest, Position
from webhook.state import manifests, places, scalars, yaml_events
from webhook.state.manifests import read_manifests

HEAD = "apiVersion: v1\nkind: Thing\n"


def read(text: str | bytes) -> list[Manifest | InputError]:
    raw = text.encode() if isinstance(text, str) else text
    return list(read_manifests(["-"], stdin=io.BytesIO(raw)))


def one(text: str | bytes) -> Manifest:
    (manifest,) = read(text)
    assert isinstance(manifest, Manifest), manifest
    return manifest


def value(scalar: str) -> Any:
    return one(f"{HEAD}v: {scalar}\n").data["v"]


def problem(text: str | bytes) -> InputError:
    (error,) = (found for found in read(text) if isinstance(found, InputError))
    return error


def names(found: list[Manifest | InputError]) -> list[str]:
    return [one.data["metadata"]["name"] if isinstance(one, Manifest) else f"! {one}" for one in found]


class TestScalars:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("y", True), ("N", False), ("on", True), ("off", False), ("yes", True), ("yEs", "yEs"), ("~", None), ("", None),
            ("0o10", 8), ("010", 8), ("08", 8), ("1_000", 1000), ("0b11", 3), ("0x1F", 31), ("-0x1f", -31), ("1e3", 1000),
            ("237475e1", 2374750), ("1.5", 1.5), (".5", 0.5), ("1.0", 1), ("1e400", "1e400"), ("0b-1", -1), ("._5", "._5"),
            ("12:30", "12:30"), ("2001-01-01", "2001-01-01"), ("=", "="), ("<<", "<<"), ("1.1.1", "1.1.1"), ("0xg", "0xg"),
            ("9223372036854775807", 9223372036854775807), ("18446744073709551615", 1.8446744073709552e19), ("1" + "0" * 70, 1e70),
            ("'yes'", "yes"), ('"12"', "12"), ("!!str 12", "12"), ("!!int '12'", 12), ("!!float 3", 3), ("! '12'", "12"),
            ("!!binary aGk=", "hi"), ("!!binary /w==", "\ufffd"), ("!foo 12", "12"), ("!!timestamp 2001-01-01", "2001-01-01"),
        ],
    )  # fmt: skip
    def test_values_are_kubectls(self, written: str, meant: Any) -> None:
        got = value(written)
        assert (type(got), got) == (type(meant), meant)

    @pytest.mark.parametrize(
        ("written", "said"),
        [
            (".inf", "json: unsupported value: +Inf"),
            ("-.INF", "json: unsupported value: -Inf"),
            (".nan", "json: unsupported value: NaN"),
            ("!!int a", "cannot decode !!str `a` as a !!int"),
            ("!!float 18446744073709551615", "cannot decode !!int `18446744073709551615` as a !!float"),
            ("!!int 2001-01-01", "cannot decode !!timestamp `2001-01-01` as a !!int"),
            ("!!timestamp 2001-02-30", "cannot decode !!str `2001-02-30` as a !!timestamp"),
            ("!!binary '%'", "!!binary value contains invalid base64 data"),
            ("*x", "unknown anchor 'x' referenced"),
            ("&x [*x]", "anchor 'x' value contains itself"),
            ("{~: a}", "unsupported map key of type: nil, key: null"),
            ("{18446744073709551615: a}", "unsupported map key of type: uint64, key: 18446744073709551615"),
            ("{[a]: b}", "invalid map key: a mapping or a sequence"),
            ("[&x [a], {*x : b}]", "invalid map key: a mapping or a sequence"),
            ("{<<: 1}", "map merge requires map or sequence of maps as the value"),
            ('"a\\/b"', "not valid YAML: found unknown escape character \\/"),
        ],
    )
    def test_what_kubectl_refuses(self, written: str, said: str) -> None:
        error = problem(f"{HEAD}v: {written}\n")
        assert error.message == said
        assert error.position
        assert error.position.line == 3
        assert not error.notice

    @pytest.mark.parametrize(
        ("written", "key"),
        [
            ("1e3", "1000"), ("1.5", "1.5"), ("0.1", "0.1"), ("1234567.5", "1.2345675e+06"), ("1e21", "1e+21"), ("1e-5", "1e-05"),
            ("n", "false"), ("Y", "true"), ("0x10", "16"), (".inf", ".inf"), ("-.inf", "-.inf"), (".nan", ".nan"), ("1e39", ".inf"),
            ("-1e39", "-.inf"), ("-0.0", "-0"), ("2001-01-01", "2001-01-01"), ("'n'", "n"), ("!!str 1", "1"), ("16777217.0", "1.6777216e+07"),
        ],
    )  # fmt: skip
    def test_keys_become_strings(self, written: str, key: str) -> None:
        assert value(f"{{{written}: a}}") == {key: "a"}

    def test_what_is_remembered_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scalars, "_remembered", 0)
        assert value("[never-seen-before, {never-seen-key: 77.25}]") == ["never-seen-before", {"never-seen-key": 77.25}]
        assert "never-seen-before" not in scalars.plain_values
        assert "never-seen-key" not in scalars.plain_keys

    @given(st.text(alphabet="0123456789abexoXBOEFynNYtfs._-+:~<>= ", max_size=12))
    def test_every_plain_scalar_has_a_meaning(self, text: str) -> None:
        resolved = scalars.resolve(None, text)
        try:
            assert json.loads(json.dumps(scalars.as_json(resolved))) == scalars.as_json(resolved)
        except scalars.ScalarError:
            assert isinstance(resolved, float)


class TestMerges:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("b: &b {x: 1, z: 2}\nd: {<<: *b, z: 3}", {"x": 1, "z": 3}),
            ("b: &b {x: 1, z: 2}\nd: {z: 3, <<: *b}", {"x": 1, "z": 2}),
            ("b: &b {x: 1}\nc: &c {x: 2, w: 3}\nd: {<<: [*b, *c]}", {"x": 1, "w": 3}),
            ("d: {'<<': {x: 1}}", {"<<": {"x": 1}}),
            ("d: {!!merge <<: {x: 1}}", {"x": 1}),
            ("d: {&m <<: {x: 1}}", {"x": 1}),
            ("m: &m <<\nd: {*m : {x: 1}}", {"<<": {"x": 1}}),
        ],
    )
    def test_later_wins(self, text: str, expected: dict[str, Any]) -> None:
        manifest = one(f"{HEAD}{text}\n")
        assert manifest.data["d"] == expected
        assert manifest.duplicate_keys == ()

    def test_positions_follow_merges_and_aliases(self) -> None:
        manifest = one(f"{HEAD}b: &b\n  x: 1\nd:\n  <<: *b\n  z: 2\ne: *b\nf: {{<<: [{{p: 1}}, *b]}}\n")
        assert (
            manifest.locate(("d", "x")) == manifest.locate(("e", "x")) == manifest.locate(("f", "x")) == Position(4, 3)
        )
        assert manifest.locate(("d", "z")) == Position(7, 3)
        assert manifest.locate(("e",)) == Position(8, 1)

    def test_a_key_repeated_after_a_merge(self) -> None:
        manifest = one(f"{HEAD}d: {{<<: {{x: 1}}, x: 2, x: 3}}\nk: &k x\ne: {{*k : 1, x: 2}}\nf: {{x: 1, *k : 2}}\n")
        assert [duplicate.path for duplicate in manifest.duplicate_keys] == [("d", "x"), ("e", "x"), ("f", "x")]


class TestPositions:
    TEXT = """\
# a comment
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, labels: {"app.kubernetes.io/name": x}}
spec:
  ingress:
  - from:
    - podSelector: {}
    -   ipBlock:
          cidr: 10.0.0.0/8
    ports:
    - 80
    -
  ? complex
  : [é, 😀, z]
"""

    @pytest.mark.parametrize(
        ("path", "line", "column"),
        [
            ((), 2, 1),
            (("kind",), 3, 1),
            (("metadata", "labels", "app.kubernetes.io/name"), 4, 30),
            (("spec", "ingress"), 6, 3),
            (("spec", "ingress", 0), 7, 5),
            (("spec", "ingress", 0, "from", 0), 8, 7),
            (("spec", "ingress", 0, "from", 1), 9, 9),
            (("spec", "ingress", 0, "from", 1, "ipBlock", "cidr"), 10, 11),
            (("spec", "ingress", 0, "ports", 0), 12, 7),
            (("spec", "complex"), 14, 5),
            (("spec", "complex", 2), 15, 12),
            (("spec", "ingress", 0, "from", 5), 7, 5),
            (("spec", "ingress", 0, "from", 0, "podSelector", "matchLabels"), 8, 7),
            (("spec", "egress"), 5, 1),
            (("spec", 0), 5, 1),
            (("kind", "x"), 3, 1),
        ],
    )
    def test_yaml(self, path: tuple[str | int, ...], line: int, column: int) -> None:
        assert one(self.TEXT).locate(path) == Position(line, column)

    def test_lines_of_the_file(self) -> None:
        second = read(f"{HEAD}---\n{self.TEXT}")[1]
        assert isinstance(second, Manifest)
        place = second.locate(("spec", "complex"))
        assert place == Position(17, 5)
        assert second.line_text(17) == "  ? complex"
        assert second.line_text(1) == second.line_text(99) == ""
        assert second.line_text(4) == "# a comment"

    def test_json(self) -> None:
        text = '{"apiVersion": "v1",\n "kind": "Thing", "a": [1, {"b\\n": "}"}, [],\n  "x"], "c": {}}\n\n{"apiVersion": "v1", "kind": "K"}'
        first, second = read(text)
        assert isinstance(first, Manifest)
        assert isinstance(second, Manifest)
        assert (first.document, second.document) == (1, 2)
        assert first.locate(("a",)) == Position(2, 19)
        assert first.locate(("a", 1)) == Position(2, 28)
        assert first.locate(("a", 1, "b\n")) == Position(2, 29)
        assert first.locate(("a", 3)) == Position(3, 3)
        assert first.locate(("c", "d")) == Position(3, 9)
        assert second.locate(("kind",)) == Position(5, 22)
        assert second.line_text(5) == '{"apiVersion": "v1", "kind": "K"}'

    def test_carriage_returns(self) -> None:
        manifest = one("apiVersion: v1\r\nkind: Thing\r\nx:\r\n  z: 1\r\n")
        assert manifest.locate(("x", "z")) == Position(4, 3)
        assert manifest.line_text(4) == "  z: 1"

    def test_byte_order_marks(self) -> None:
        for text in (b"\xef\xbb\xbf" + HEAD.encode(), HEAD.encode("utf-16"), b"\xfe\xff" + HEAD.encode("utf-16-be")):
            assert one(text).locate(("apiVersion",)) == Position(1, 1)


class TestDuplicateKeys:
    def test_last_wins_and_both_places_are_known(self) -> None:
        manifest = one(f"{HEAD}a: 1\na: 2\nb: [{{c: 1, c: 2, c: 3}}]\n1: x\n'1': y\n")
        assert manifest.data["a"] == 2
        assert manifest.data["b"] == [{"c": 3}]
        assert manifest.duplicate_keys == (
            DuplicateKey(("a",), Position(3, 1), Position(4, 1)),
            DuplicateKey(("b", 0, "c"), Position(5, 6), Position(5, 18)),
            DuplicateKey(("1",), Position(6, 1), Position(7, 1)),
        )

    def test_json(self) -> None:
        manifest = one('{"apiVersion": "v1", "kind": "K", "a": {"b": [{"c": 1, "c": 2}]}}')
        assert [duplicate.path for duplicate in manifest.duplicate_keys] == [("a", "b", 0, "c")]

    def test_items_have_their_own(self) -> None:
        first, second = read(
            "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: A, kind: B}\n- {apiVersion: v1, kind: C}\n"
        )
        assert isinstance(first, Manifest)
        assert isinstance(second, Manifest)
        assert first.duplicate_keys == (DuplicateKey(("kind",), Position(4, 20), Position(4, 29)),)
        assert second.duplicate_keys == ()

    def test_a_lists_own_keys(self) -> None:
        error = problem("kind: List\napiVersion: v1\nitems: [{}]\nitems: []\n")
        assert (
            str(error)
            == "<stdin>:4:1 (document 1): items: the key is here twice (first in line 3); kubectl silently keeps the last"
        )
        assert error.line_text == "items: []"
        assert not error.notice


class TestDocuments:
    def test_numbers(self) -> None:
        found = read(f"# license\n---\n{HEAD}---\n# nothing\n---\n--- # comment\n{HEAD}---\n")
        assert [(one.document, one.locate(()).line) for one in found if isinstance(one, Manifest)] == [(1, 3), (4, 9)]

    def test_a_broken_document_does_not_hide_the_next(self) -> None:
        found = read(
            f"{HEAD}x: [\n---\n{HEAD}metadata: {{name: b}}\n--- oops\nthis is not looked at: [\n---\n{HEAD}metadata: {{name: c}}\n"
        )
        assert names(found) == [
            "! <stdin>:4:1 (document 1): not valid YAML: did not find expected node content (while parsing a flow node)",
            "b",
            "! <stdin>:8:1 (document 3): invalid Yaml document separator: oops",
            "c",
        ]

    def test_text_after_the_end_of_a_document(self) -> None:
        for rest in ("kind: A\n", "x: [\n", "}\n"):
            error = problem(f"{HEAD}...\n{rest}")
            assert error.notice
            assert error.position == Position(4, 1) or rest == "x: [\n"

    def test_lists(self) -> None:
        text = "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- {apiVersion: v2, kind: Other, metadata: {name: b}}\n- 5\n---\n"
        found = read(text + HEAD + "metadata: {name: c}\n")
        assert names(found) == [
            "a",
            "b",
            "! <stdin>:6:3 (document 1): items[2]: not a Kubernetes object (not a mapping), skipped",
            "c",
        ]
        assert [one.document for one in found] == [1, 1, 1, 2]
        first = found[0]
        assert isinstance(first, Manifest)
        assert (first.api_version, first.kind) == ("v1", "Pod")
        assert first.locate(("metadata", "name")) == Position(4, 14)
        assert first.locate(("spec",)) == Position(4, 3)

    def test_lists_in_lists(self) -> None:
        assert names(
            read(
                "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: PodList, items: [{metadata: {name: a}}]}]}"
            )
        ) == ["a"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n",
            "# only\n",
            "---\n",
            "---\n---\n",
            "null\n",
            "~",
            "apiVersion: v1\nkind: List\nitems: []\n",
            "\ufeff",
            "apiVersion: v1\nkind: List\n",
        ],
    )
    def test_nothing(self, text: str) -> None:
        assert read(text) == []

    def test_an_object_that_is_only_called_list(self) -> None:
        assert one("apiVersion: example.com/v1\nkind: AllowList\n").kind == "AllowList"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("foo", "not a mapping"),
            ("- a", "not a mapping"),
            ("replicas: 3", "no apiVersion and no kind"),
            ("kind: A", "no apiVersion"),
            ("kind: 1\napiVersion: v1", "no kind"),
            ("{}", "no apiVersion and no kind"),
            ("[1]", "not a mapping"),
        ],
    )
    def test_what_is_no_object_is_a_notice(self, text: str, said: str) -> None:
        error = problem(text)
        assert error.notice
        assert error.message == f"not a Kubernetes object ({said}), skipped"

    @pytest.mark.parametrize(
        ("text", "said", "line", "column"),
        [
            (b"a: \xff", "not UTF-8: byte 0xff", 1, 4),
            (b'{"\xc3\xa9": "\xff"}', "not UTF-8: byte 0xff", 1, 8),
            (b"x: y\na: \x00", "not valid YAML: control characters are not allowed: U+0000", 2, 4),
            (
                b"a:\n\tb: 1",
                "not valid YAML: found character that cannot start any token (a tab: YAML is indented with spaces)",
                2,
                1,
            ),
            (
                b"name: {{ .Release.Name }}\n",
                "invalid map key: a mapping or a sequence; a Helm template must be rendered first (helm template)",
                1,
                8,
            ),
            (b"%YAML 1.2\n---\n", "not valid YAML: did not find expected <document start>", 2, 1),
            (b"a: b\n c: d\n", "not valid YAML: mapping values are not allowed in this context", 2, 3),
            (b"{", "not valid JSON: Expecting property name enclosed in double quotes", 1, 2),
            (b'{"a": NaN', "not valid YAML: did not find expected ',' or '}'", 1, 10),
            (b'{"a": 1,\n"b": ]', "not valid JSON: Expecting value", 2, 6),
        ],
    )
    def test_what_cannot_be_read(self, text: bytes, said: str, line: int, column: int) -> None:
        found = read(text)
        if not isinstance(found[0], InputError) or found[0].notice:  # YAML in braces says more
            pytest.fail(str(found))
        assert found[0].message.startswith(said)
        assert found[0].position == Position(line, column)
        assert found[0].document == 1


class TestJson:
    def test_numbers_and_strings(self) -> None:
        text = '{"apiVersion":"v1","kind":"K","a":[1.0,1e3,0.5,9223372036854775808,-0],"s":"\\ud83d\\ude00\\ud800\\\\ud800"}'
        data = one(text).data
        assert [(type(item), item) for item in data["a"]] == [
            (int, 1),
            (int, 1000),
            (float, 0.5),
            (float, 9.223372036854775808e18),
            (int, 0),
        ]
        assert data["s"] == "😀\ufffd\\ud800"

    def test_lines_go_on_after_a_broken_one(self) -> None:
        good = '{"apiVersion":"v1","kind":"K","metadata":{"name":"%s"}}\n'
        found = read(good % "a" + '{"apiVersion": x}\n' + good % "b" + "rubbish")
        assert names(found) == [
            "a",
            "! <stdin>:2:16 (document 2): not valid JSON: Expecting value",
            "b",
            "! <stdin>:4:1 (document 4): not valid JSON: Expecting value",
        ]

    def test_yaml_in_braces(self) -> None:
        assert one("{apiVersion: v1, kind: K, a: yes}").data["a"] is True

    def test_with_separators(self) -> None:
        text = '{"apiVersion":"v1","kind":"K","metadata":{"name":"a"}}\n---\n{"apiVersion":"v1","kind":"K","metadata":{"name":"b"}}\n'
        assert names(read(text)) == ["a", "b"]
        assert names(read(f"---\n{text}")) == ["a", "b"]


class TestHostileInput:
    def test_laughs(self) -> None:
        text = HEAD + "a: &a [x,x,x,x,x,x,x,x,x]\n"
        text += "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
        assert problem(text).message == "document contains excessive aliasing"

    def test_laughs_in_merges(self) -> None:
        text = HEAD + "a: &a {x: [1, 2, 3, 4, 5, 6, 7, 8]}\n"
        text += "".join(
            f"{b}: &{b} {{p: *{a}, q: *{a}, r: *{a}, s: *{a}, t: *{a}, <<: *{a}}}\n"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        )
        assert problem(text).message == "document contains excessive aliasing"

    def test_ordinary_aliases(self) -> None:
        text = f"{HEAD}a: &a {{x: 1}}\nb: [{', '.join(['*a'] * 90)}]\n"
        assert len(one(text).data["b"]) == 90

    @pytest.mark.parametrize("text", ["[" * 600, "[" * 100_000, "{a: " * 600, "- " * 600, "[" * 600 + "]" * 600])
    def test_nesting(self, text: str) -> None:
        assert problem(f"{HEAD}v:\n  {text}\n").message == "nested deeper than 500 levels"

    @pytest.mark.parametrize("depth", [600, 100_000])
    def test_nesting_in_json(self, depth: int) -> None:
        text = f'{{"apiVersion":"v1","kind":"K","a":{"[" * depth}{"]" * depth}}}'
        assert problem(text).message == "nested deeper than 500 levels"

    def test_depth_that_is_read(self) -> None:
        assert isinstance(one(f"{HEAD}v: {'[' * 499}{']' * 499}\n"), Manifest)
        wide = f'{{"apiVersion":"v1","kind":"K","a":[{",".join(["[]"] * 600)}]}}'
        assert len(one(wide).data["a"]) == 600

    def test_messages_are_one_line_and_do_not_drive_the_terminal(self) -> None:
        assert problem(f'{HEAD}v: !!int "a\\e[31m\\n"\n').message == "cannot decode !!str `a\\x1b[31m\\n` as a !!int"

    def test_endless_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(manifests, "_largest", 1 << 20)
        monkeypatch.setattr(manifests, "_longest_block", 1 << 16)
        found = read(f"{HEAD}v: {'x' * (3 << 20)}\n---\n{HEAD}metadata: {{name: b}}\n")
        assert names(found) == ["! <stdin>:1:1 (document 1): larger than 1 MiB", "b"]

    @settings(max_examples=400, deadline=None)
    @given(st.binary(max_size=60))
    @example(b"---x\xff")
    @example(b"\xff\xfe\x00")
    @example(b"{}\xff")
    @example(b'{"a":"\\ud800"}')
    @example(b'!!int "a\n\n\x1b[31m"')
    def test_any_bytes(self, raw: bytes) -> None:
        never_raises(raw)

    @settings(max_examples=600, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                [HEAD, "---", "\n", "a", ": ", "- ", "  ", "{", "}", "[", "]", ",", "&x ", "*x", "<<", '"', "'", "|", "!!str ", "!!int ", "? ", "#",
                 "items:\n- ", "kind: List\n", '{"apiVersion":"v1","kind":"K"}', "...", "%YAML 1.1", "yes", ".inf", "1e3", "\t", "\r\n", "\ufeff", "é"]
            ),
            max_size=16,
        ).map("".join)
    )  # fmt: skip
    def test_almost_yaml(self, text: str) -> None:
        never_raises(text.encode())

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(),
            lambda of: st.lists(of) | st.dictionaries(st.text(), of),
            max_leaves=20,
        )
    )
    def test_json_is_read_as_json(self, inner: Any) -> None:
        data = {"apiVersion": "v1", "kind": "K", "inner": inner}
        assert one(json.dumps(data)).data == data
        assert one(json.dumps(data, ensure_ascii=False, indent=1).encode(errors="replace")).kind == "K"


def never_raises(raw: bytes) -> None:
    for found in read(raw):
        if isinstance(found, Manifest):
            place = found.locate(("metadata", "name"))
            assert found.locate(()).line <= place.line or found.duplicate_keys or "<<" in str(found.line_text)
            json.dumps(found.data)
        else:
            assert str(found).isprintable() or not found.message.isascii()
            assert str(found)


class TestFiles:
    def test_folders(self, tmp_path: Path) -> None:
        for name in ("b.yaml", "a/z.yml", "a/c.json", ".hidden.yaml", ".git/x.yaml", "notes.txt", "a/.x/y.yaml"):
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'{{"apiVersion": "v1", "kind": "K", "metadata": {{"name": "{name}"}}}}')
        assert names(list(read_manifests([str(tmp_path)]))) == ["b.yaml", "a/c.json", "a/z.yml"]
        assert names(list(read_manifests([str(tmp_path / "notes.txt"), str(tmp_path / ".hidden.yaml")]))) == [
            "notes.txt",
            ".hidden.yaml",
        ]

    def test_the_name_is_the_one_that_was_given(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "a.yaml").write_text(HEAD)
        found = [*read_manifests(["d", "./d", "d/a.yaml"])]
        assert [one.file for one in found] == ["d/a.yaml", "./d/a.yaml", "d/a.yaml"]

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "good.yaml").write_text(f"{HEAD}metadata: {{name: good}}")
        paths = [str(tmp_path / "nope.yaml"), str(tmp_path / "empty"), "a\0b", str(tmp_path / "good.yaml"), "-"]
        found = names(list(read_manifests(paths)))
        assert found == [
            f"! {tmp_path}/nope.yaml: cannot be read: No such file or directory",
            f"! {tmp_path}/empty: there is no .yaml, .yml or .json file in this folder",
            "! a\0b: cannot be read: embedded null byte",
            "good",
            "! <stdin>: there is no standard input to read",
        ]

    def test_a_folder_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(top: str, onerror: Any) -> Any:
            onerror(PermissionError(13, "Permission denied", top))
            return iter(())

        monkeypatch.setattr(manifests.os, "walk", denied)
        assert names(list(read_manifests([str(tmp_path)]))) == [f"! {tmp_path}: cannot be read: Permission denied"]

    def test_a_file_that_breaks_off(self) -> None:
        class Broken(io.BytesIO):
            def read1(self, _size: int | None = -1, /) -> bytes:
                if self.tell() > 40:
                    raise OSError(5, "Input/output error")
                return super().read1(30)

        found = list(read_manifests(["-"], stdin=Broken((HEAD + "---\n").encode() * 5)))
        assert [isinstance(one, Manifest) for one in found] == [True, False]
        assert str(found[-1]) == "<stdin>: cannot be read: Input/output error"

    def test_documents_come_one_by_one(self) -> None:
        """As soon as they are there, and no more is read than is needed."""
        ours, theirs = os.pipe()
        with os.fdopen(ours, "rb") as stream, os.fdopen(theirs, "wb", buffering=0) as writer:
            found = read_manifests(["-"], stdin=stream)
            for name in "abc":
                writer.write(f"{HEAD}metadata: {{name: {name}}}\n---\n".encode())
                assert names([next(found)]) == [name]
        stream = io.BytesIO(f"{HEAD}---\n".encode() * 100_000)
        next(read_manifests(["-"], stdin=stream))
        assert stream.tell() < 100_000


def test_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's own parser serves where libyaml is missing: the same data, places and errors."""
    text = f"{HEAD}a: [yes, 'yes', 1e3, &x {{b: 1}}, *x]\nc: {{<<: *x, d: |\n  e\n}}\n"
    text = f"{HEAD}a: [yes, 'yes', 1e3, &x {{b: 1}}, *x]\nc:\n  <<: *x\n  d: |\n    e\na: {{}}\n---\nx: [\n---\nx: \xff\x00\n"
    fast = read(text)
    monkeypatch.setattr(yaml_events, "_new_parser", yaml_events._PurePythonParser)
    slow = read(text)
    assert isinstance(fast[0], Manifest)
    assert isinstance(slow[0], Manifest)
    assert slow[0].data == fast[0].data
    assert slow[0].duplicate_keys == fast[0].duplicate_keys
    assert slow[0].locate(("c", "b")) == fast[0].locate(("c", "b"))
    assert [one.position for one in slow[1:] if isinstance(one, InputError)] == [
        one.position for one in fast[1:] if isinstance(one, InputError)
    ]


def test_reading_uses_no_recursion() -> None:
    limit = sys.getrecursionlimit()
    assert places.deepest < limit
