"""The truth about reading and refusing: each case is put to the real kubectl and the real kube-apiserver too."""
# ruff: noqa: E501 - tables with a case a line

import io
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.refusals import ACCEPTED, REFUSED, UNKNOWN, decoded, read
from webhook.model.manifest import Manifest, format_path
from webhook.model.validation import refused
from webhook.state.manifests import read_manifests

from .control_plane import ControlPlane

HEAD = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n"


def kubectl_reads(plane: ControlPlane, text: bytes | str) -> tuple[list[Any], str]:
    """The objects as kubectl would send them (`label --local` asks no server), and what it complained about."""
    binary = plane.binaries / "kubectl"
    given = text.encode() if isinstance(text, str) else text
    command = [str(binary), "label", "--local", "-f", "-", "-o", "json", "kubectl-read-this=y"]
    result = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)
    objects, rest = [], result.stdout.decode().strip()
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        del value["metadata"]["labels"]["kubectl-read-this"]
        objects.append(value)
        rest = rest[end:].strip()
    return objects, result.stderr.decode() if result.returncode else ""


def we_read(text: bytes | str) -> tuple[list[Any], str]:
    given = text.encode() if isinstance(text, str) else text
    objects, complaints = [], []
    for one in read_manifests(["-"], stdin=io.BytesIO(given)):
        if isinstance(one, Manifest):
            value = json.loads(json.dumps(one.data))
            value.setdefault("metadata", {}).setdefault("labels", {})
            objects.append(value)
        elif not one.notice:
            complaints.append(str(one))
    return objects, "\n".join(complaints)


def exactly(value: Any) -> str:
    """1, 1.0, true and "1" are different things here; what does not fit 64 bits is a float, however it is written."""
    again = json.loads(
        json.dumps(value), parse_int=lambda text: int(text) if -(1 << 63) <= int(text) < 1 << 63 else float(text)
    )
    return json.dumps(again, sort_keys=True)


SCALARS = """
y Y yes Yes YES n N no No NO true True TRUE false False FALSE on On ON off Off OFF yEs tRUE oN nO t f T F
~ null Null NULL nULL None nil
0 1 -1 +1 00 007 010 -010 08 09 0777 0o10 0O17 0o8 0x1F 0X1f -0x1f 0xg 0b11 0B11 -0b11 0b12 0b-1 0b+1 -0b-1 +0b11 1_000
1_ _1 1__0 0x_1F 0_1 -_1 +_ + -- -a +a 1- 1-2 1a a1 12e 0b 0x 0o 9223372036854775807 9223372036854775808
-9223372036854775808 -9223372036854775809 18446744073709551615 18446744073709551616 123456789012345678901234567890
0xffffffffffffffff 0x8000000000000000 -0x8000000000000000 0x10000000000000000 01777777777777777777777
1.0 1. .5 -.5 +.5 . .. ... .a 1e3 1E3 1e+3 1e-3 237475e1 1.5e3 1.5e-10 1e21 1e20 1e19 1e18 1e22 1.e5 1e 1e+ e3 .e3 .1_5
1_2.5e1_0 1_0.5 0.1 100.25 -0.0 0.0 -0 1e400 -1e400 .1e400 1e-400 3.0 5e-324 1.7976931348623157e308 0.30000000000000004
1.1.1 1,000 1e3.5 .5.5 9007199254740993 9007199254740993.0 123456789.125 1e5 1e6 1234567.0 0x1p4 0x.8p1 .0x1 1_.5 ._5 .5_
12:30 1:20:30 190:20:30 12:30:45.5 2001-01-01 2001-1-1 2001-13-01 2001-01-01T10:00:00Z 2001-12-14t21:59:43.10-05:00
2001-01 20010101 10.0.0.1 10.0.0.0/8 80/tcp = << == <<< < > a<< .inf.x inf nan Infinity .infinity
a:b a:b:c http://x/y?z=1&a=b a#b a&b a*b a!b a@b a%b a|b ^ $x \\ \\n é 日本 😀 a\u00a0b
""".split()  # noqa: SIM905 - as one would type them
REFUSED_SCALARS = [".inf", ".Inf", ".INF", "+.inf", "-.inf", ".nan", ".NaN", ".NAN"]
WRITTEN = [  # values that need their own spelling
    '""', "''", "'yes'", '"12"', '"a\\tb\\u00e9\\x41\\/\\e\\0"', "'it''s'", '"\\U0001F600"', "'2001-01-01'", '"~"', '"null"', '"="',
    "!!str yes", "!!str 12", "!!str", "!!str ~", "!!str 2001-01-01", "!!int 12", "!!int '12'", '!!int "0x10"', "!!float 3",
    "!!float 3.5", "!!float 0x10", "!!bool yes", '!!bool "true"', "!!null ''", "!!null ~", "!!null null", "!!timestamp 2001-01-01",
    "!!timestamp '2001-01-01'", "!!binary aGVsbG8=", "!!binary 'aGVsbG8='", "! 12", "! '12'", "! yes", "!foo 12", "!foo bar",
    "!!custom 1", "!<tag:yaml.org,2002:str> 1", "!!map {}", "!!seq []", "!!set {a, b}", "!!omap [a: 1]", "!!merge x", "!!int {}",
    "|\n  block\n  yes\n", ">\n  folded\n  yes\n", "|-\n  12\n", ">-\n  12\n", "|+\n  x\n\n", "|2\n    x\n", "plain\n  over\n  lines",
    '"quoted\n  over lines"', "[a, yes, 1e3, {b: c}, ]", "{a: 1, b: [x], c: , d}", "[]", "{}", "{a: b, }", "[a: 1]", "[{a}]", "{a,b}",
    "[http://x/y, a:b]", "{u: http://x:80/y}", "{a:b}", "{a:b: c}", '{"a":b}', '{"a":1,"b":[2]}', "[a, [b, [c]]]", "{? a : b}",
    "&x y", "&x 1e3", "[&x y, *x]", "[&x {a: 1}, *x]", "[&x 1, &x 2, *x]", "{? &k key : 1, b: *k}", "{&k key: 1, *k : 2}",
    "{&k 1e3: 1, b: *k}", "&x", "[&x , *x]", "[!!str , a]", "- a\n", "\n- a\n- b", "\n- - a\n  - b", "\n-\n  a: 1\n- \n", "\n  ? a\n  : b",
    "\n  ? a\n", "\n  # comment\n  a: 1 # more", "a #b", "'a' #b", "[a #b\n  ]", '"a" ', "a ", "\ta", "a\tb", "a\t# c", "{a:\t1}",
    "a\u2028b", "a\u0085b", '"a\u2028b"', "'\u00a0'", "[a,b]", "[ a , b ]", "-a", "- a: 1\n  b: 2", "?a", ":a", "::", "a:", "[:a]",
    "%a", "@a", "`a`", "*a", "&a", "|", ">", "!", "!!", "'", '"', "[", "]", "{", "}", ",", "a]", "a}", "a,b", "a: b", "a: b: c", "-", "?", ":",
    '"\\q"', '"\\ud83d"', '"\\ud83d\\ude00"', "!!int a", "!!int 1.5", "!!int", "!!float a", "!!float .inf", "!!float 18446744073709551615",
    "!!bool 1", "!!bool a", "!!null a", "!!timestamp a", "!!binary '%%'", "!!binary aGVsbG8", "!!binary /w==", "!x! y", "!<> y", "*nope",
    "&a [*a]", "&a {b: *a}", "\x00", "\x07", "a\x7f", "\ufeff", "a\ufeff", "\ufffe", "!!int 2001-01-01", "!!float 2001-01-01", "!!bool 'yes'",
    "{a: 1, a: 2}", "{1: a, '1': b}"[:0] + "{1: a}", "{1e3: a}", "{1.5: a}", "{0.1: a}", "{1234567.5: a}", "{1e21: a}", "{1e-5: a}",
    "{yes: a}", "{n: a}", "{.inf: a}", "{-.inf: a}", "{.nan: a}", "{010: a}", "{0x10: a}", "{2001-01-01: a}", "{'yes': a}", "{=: a}",
    "{~: a}", "{null: a}", "{: a}", "{'': a}", "{18446744073709551615: a}", "{9223372036854775807: a}", "{[a]: b}", "{{a: b}: c}",
    "{!!str 1: a}", "{!!binary YQ==: b}", "{!!int '1': a}", "{1.0: a}", "{1e400: a}", "{-0.0: a}", "{16777217.0: a}", "{1e39: a}",
]  # fmt: skip
MERGES = [
    "base: &b {x: 1, y: 2}\nd: {<<: *b, y: 3}",
    "base: &b {x: 1, y: 2}\nd: {y: 3, <<: *b}",
    "base: &b {x: 1}\nc: &c {x: 2, z: 3}\nd: {<<: [*b, *c]}",
    "d: {<<: {x: 1}, x: 2}",
    "d: {<<: [{x: 1}, {x: 2}]}",
    "d: {'<<': {x: 1}}",
    "d: {!!merge <<: {x: 1}}",
    "d: {! '<<': {x: 1}}",
    "d: {!!str <<: {x: 1}}",
    "d: {<<: 1}",
    "d: {<<: ~}",
    "d: {<<: [1]}",
    "d: {<<: []}",
    "l: &l [{x: 1}]\nd: {<<: *l}",
    "l: &l [{x: 1}]\nd: {<<: [*l]}",
    "b: &b {x: 1}\nc: &c {<<: *b, y: 2}\nd: {<<: *c, z: 3}",
    "b: &b {x: 1}\nd: {<<: *b, <<: {y: 2}}",
    "m: &m <<\nd: {*m : {x: 1}}",
    "d: {&m <<: {x: 1}}",
    "d: <<",
    "b: &b {x: {k: 1}}\nd: {<<: *b}\ne: *b",
]
STREAMS = {
    "two documents": f"{HEAD}---\n{HEAD}x: 1\n",
    "leading separator": f"---\n{HEAD}",
    "empty documents": f"---\n---\n# only this\n---\n{HEAD}---\n",
    "separator with a comment": f"{HEAD}--- # next\n{HEAD}",
    "separator with blanks": f"{HEAD}---   \t\n{HEAD}",
    "carriage returns": f"{HEAD}---\n{HEAD}".replace("\n", "\r\n"),
    "null": f"null\n---\n{HEAD}",
    "byte order mark": b"\xef\xbb\xbf" + HEAD.encode(),
    "UTF-16": HEAD.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + HEAD.encode("utf-16-be"),
    "document end": f"{HEAD}...\n---\n{HEAD}",
    "text after a document's end is ignored": f"{HEAD}...\nfoo: bar\n",
    "duplicate keys": f"{HEAD}x: 1\nx: 2\ny: {{a: 1, a: [2]}}\n",
    "list": "apiVersion: v1\nkind: List\nitems:\n- " + HEAD.strip().replace("\n", "\n  ") + "\n",
    "typed list": "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n",
    "JSON": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "a": 1.0, "b": 1e3, "c": [null, true], "d": 1.5}',
    "JSON numbers": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "a": [9223372036854775807,'
    " 9223372036854775808, -0, -0.0, 1E2, 0.1, 1e-7, 1e25]}",
    "JSON lines": '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}\n'
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}\n',
    "JSON side by side": '{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}{"apiVersion":"v1","kind":"B","metadata":{"name":"b"}}',
    "JSON then YAML": f'{{"apiVersion":"v1","kind":"A","metadata":{{"name":"a"}}}}\n---\n{HEAD}',
    "JSON strings": '{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"s":"\\ud83d\\ude00\\/\\u00e9\\n\\ud800x"}',
    "JSON duplicates": '{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"s":1,"s":2}',
    "JSON indented with tabs": '{\n\t"apiVersion":"v1",\n\t"kind":"A",\n\t"metadata":{"name":"a"}\n}\n',
    "YAML in braces": "{apiVersion: v1, kind: A, metadata: {name: a}, x: yes}",
    "JSON with a comma too many": '{"apiVersion":"v1","kind":"A","metadata":{"name":"a",},}',
    "tabs between": f"{HEAD}x:\t1\n",
    "not indented list": f"{HEAD}x:\n- a\n- b: c\n  d: e\n",
    "anchors across": f"{HEAD}x: &a [1]\ny: *a\nz: [*a, *a]\n",
    "comment at the end": f"{HEAD}# end",
    "no newline at the end": f"{HEAD}x: y",
    "version directive": f"---\n%YAML 1.1\n---\n{HEAD}",
    "explicit long key": f"{HEAD}? {'k' * 1100}\n: 1\n",
}
REFUSED_STREAMS = {
    "long quoted key": f"{HEAD}'{'k' * 1100}': 1\n",
    "long key": f"{HEAD}{'k' * 1100}: 1\n",
    "key without space": f"{HEAD}x:y\n",
    "separator with text": f"{HEAD}--- x\n{HEAD}",
    "directive first": f"%YAML 1.1\n---\n{HEAD}",
    "tag directive": f"%TAG ! x:\n---\n{HEAD}",
    "tab as indentation": f"{HEAD}x:\n\ty: 1\n",
    "unfinished": f"{HEAD}x: [1\n",
    "text behind": f"{HEAD}x: 'a' b\n",
    "wrong indentation": f"{HEAD}x:\n    a: 1\n  b: 2\n",
    "laughs": HEAD
    + "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
    "contains itself": f"{HEAD}x: &x {{y: *x}}\n",
    "JSON with rubbish": '{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}} x',
    "JSON with NaN": '{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"x":NaN}'.replace("NaN}", ".nan}"),
    "control character": f'{HEAD}x: "\x01"\n',
}


KNOWN_DIFFERENCES = ["[a:]", "{a:}", "[a:, b]"]
"""yaml.v2 takes a colon at the end of a plain scalar in brackets for text; libyaml says where it stumbled."""


class TestReading:
    @pytest.mark.parametrize("value", KNOWN_DIFFERENCES)
    def test_known_differences(self, control_plane: ControlPlane, value: str) -> None:
        text = f"{HEAD}v: {value}\n"
        assert not kubectl_reads(control_plane, text)[1]
        assert "found unexpected ':'" in we_read(text)[1]

    def test_scalars(self, control_plane: ControlPlane) -> None:
        text = "".join(f"{HEAD}v: {scalar}\n---\n" for scalar in SCALARS)
        theirs, complaint = kubectl_reads(control_plane, text)
        assert not complaint
        ours, _ = we_read(text)
        assert len(ours) == len(theirs) == len(SCALARS)
        pairs = zip(SCALARS, ours, theirs, strict=True)
        assert [(word, a.get("v"), b.get("v")) for word, a, b in pairs if exactly(a) != exactly(b)] == []

    @pytest.mark.parametrize("value", [*REFUSED_SCALARS, *WRITTEN])
    def test_values(self, control_plane: ControlPlane, value: str) -> None:
        same(control_plane, f"{HEAD}v: {value}\n")

    @pytest.mark.parametrize("text", MERGES)
    def test_merges(self, control_plane: ControlPlane, text: str) -> None:
        same(control_plane, f"{HEAD}{text}\n")

    @pytest.mark.parametrize("name", [*STREAMS])
    def test_streams(self, control_plane: ControlPlane, name: str) -> None:
        assert not same(control_plane, STREAMS[name])

    @pytest.mark.parametrize("name", [*REFUSED_STREAMS])
    def test_refused_streams(self, control_plane: ControlPlane, name: str) -> None:
        assert same(control_plane, REFUSED_STREAMS[name])


def same(plane: ControlPlane, text: str | bytes) -> str:
    """Both read the same, or both complain; kubectl stops there, we read on."""
    theirs, their_complaint = kubectl_reads(plane, text)
    ours, our_complaint = we_read(text)
    assert bool(our_complaint) == bool(their_complaint), (our_complaint, their_complaint, ours)
    assert [exactly(one) for one in ours[: len(theirs)]] == [exactly(one) for one in theirs]
    assert their_complaint or len(ours) == len(theirs)
    return our_complaint


def the_server_answers(
    plane: ControlPlane, namespace: str, data: dict[str, Any]
) -> tuple[int, list[tuple[str, str]], str]:
    """The status, the fields that are refused with what is said about each, and the whole message."""
    group = "/apis/networking.k8s.io/v1" if data["kind"] == "NetworkPolicy" else "/api/v1"
    plural = "networkpolicies" if data["kind"] == "NetworkPolicy" else "services"
    path = f"{group}/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation=Strict"
    answer = plane.request("POST", path, data, check=False)
    causes = (answer.body.get("details") or {}).get("causes") or []
    said = answer.body.get("message", "")
    return answer.status, [(cause["field"], cause["message"]) for cause in causes if "field" in cause], said


class TestRefusing:
    @pytest.mark.parametrize("name", [*REFUSED])
    def test_refused(self, control_plane: ControlPlane, policy_namespace: str, name: str) -> None:
        data = read(REFUSED[name][0])
        status, causes, said = the_server_answers(control_plane, policy_namespace, data)
        ours = refused(data)
        if any("cannot unmarshal" in one.message or "parsing time" in one.message for one in ours):
            assert status == 400, (said, ours)
            return
        assert status == 422, (said, ours)
        if name in OTHER_WORDS:
            return
        assert sorted(one.message for one in ours) == sorted(message for _, message in causes)
        for field, message in causes:
            at = [format_path(one.path).lower() for one in ours if one.message == message]
            assert any(path.startswith(PLURALS.get(field, field).lower()) for path in at), (field, message, ours)

    @pytest.mark.parametrize("name", [*ACCEPTED])
    def test_accepted(self, control_plane: ControlPlane, policy_namespace: str, name: str) -> None:
        data = read(ACCEPTED[name])
        assert the_server_answers(control_plane, policy_namespace, data)[0] == 201
        assert refused(data) == []
        assert decoded(data).unknown == ()

    @pytest.mark.parametrize("name", [*UNKNOWN])
    def test_unknown(self, control_plane: ControlPlane, policy_namespace: str, name: str) -> None:
        data = read(UNKNOWN[name][0])
        status, _, said = the_server_answers(control_plane, policy_namespace, data)
        assert status == 400
        for problem in decoded(data).unknown:
            assert problem.message in said
        assert said.count("unknown field") == len(decoded(data).unknown)


OTHER_WORDS = {
    "the same node port twice": "allocating, the server says that the first of the two has taken the number",
    "SingleStack with two addresses": "the server adds that IPv6 is not configured on this cluster",
}

PLURALS = {"spec.clusterIPs": "spec.clusterIP", "spec.clusterIPs[0]": "spec.clusterIP"}
"""The server has filled clusterIPs from clusterIP by then; we point at what was written."""


@pytest.fixture(scope="module")
def policy_namespace(control_plane: ControlPlane) -> Iterator[str]:
    name = control_plane.create_namespace()
    yield name
    control_plane.delete_namespace(name)
