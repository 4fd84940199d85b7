"""Connectivity and differences as text, Markdown, JSON and DOT; how the page behaves is in test_flow_page.py."""

import base64
import hashlib
import html as markup
import json
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.report.flows import dot, html, machine, markdown, sort_key, text

from .programs import program
from .worlds import Connectivity, Difference, Flow, change, world

HOSTILE = 'a"b\\/Kind/x`|</script>\n\x1b[31m\u202e&amp;\\'
WORKLOADS = (
    "monitoring/Deployment/prometheus",
    "payments/Deployment/api",
    "payments/Deployment/ledger",
    "payments/StatefulSet/db",
    "shop/Deployment/checkout",
    "shop/Deployment/web",
    "tools/Deployment/shell",
)
FLOWS = (
    Flow("monitoring/Deployment/prometheus", "payments/Deployment/api", ("TCP 9090",)),
    Flow("monitoring/Deployment/prometheus", "payments/Deployment/ledger", ("TCP 9090",)),
    Flow("payments/Deployment/api", "payments/Deployment/ledger", ("TCP 80", "TCP 443")),
    Flow("payments/Deployment/ledger", "payments/Deployment/api", ("TCP 80", "TCP 443")),
    Flow("payments/StatefulSet/db", "payments/Deployment/api", ("TCP 80", "TCP 443")),
    Flow("payments/StatefulSet/db", "payments/Deployment/ledger", ("TCP 80", "TCP 443")),
    Flow("shop/Deployment/checkout", "payments/Deployment/api", ("TCP 80", "TCP 443")),
    Flow("shop/Deployment/checkout", "payments/Deployment/ledger", ("TCP 80", "TCP 443")),
    Flow("shop/Deployment/checkout", "ip:10.0.0.0/8", ("all",)),
    Flow("monitoring/Deployment/prometheus", "tools/Deployment/shell", ("all",)),
)
STATE = Connectivity(FLOWS, ["tools/Deployment/shell", "shop/Deployment/web"], WORKLOADS)
CHANGE = Difference(
    [Flow("shop/Deployment/web", "payments/Deployment/api", ("TCP 8443",))],
    [
        Flow("shop/Deployment/web", "payments/Deployment/api", ("TCP 80", "TCP 443")),
        Flow("shop/Deployment/web", "ip:10.0.0.0/8", ("all",)),
    ],
)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_json_of_a_state() -> None:
    written = "".join(machine.connectivity(STATE))
    assert json.loads(written) == {
        "flows": [{"src": f.src, "dst": f.dst, "ports": list(f.ports)} for f in FLOWS],
        "open": ["tools/Deployment/shell", "shop/Deployment/web"],
    }
    assert '\n{"src": "shop/Deployment/checkout", "dst": "ip:10.0.0.0/8", "ports": ["all"]},\n' in written


def test_json_of_a_change() -> None:
    assert json.loads("".join(machine.difference(CHANGE))) == {
        "added": [{"src": "shop/Deployment/web", "dst": "payments/Deployment/api", "ports": ["TCP 8443"]}],
        "removed": [
            {"src": "shop/Deployment/web", "dst": "payments/Deployment/api", "ports": ["TCP 80", "TCP 443"]},
            {"src": "shop/Deployment/web", "dst": "ip:10.0.0.0/8", "ports": ["all"]},
        ],
    }


def test_json_of_nothing() -> None:
    assert json.loads("".join(machine.connectivity(Connectivity([])))) == {"flows": [], "open": []}
    assert json.loads("".join(machine.difference(Difference()))) == {"added": [], "removed": []}


def test_json_is_written_while_flows_come_and_fast() -> None:
    number = 100_000
    asked = 0

    def flows() -> Iterator[Flow]:
        nonlocal asked
        for asked in range(number):
            yield Flow(f"a/Pod/{asked % 1000}", f"b/Pod/{asked % 999}", ("TCP 80",))

    pieces = machine.connectivity(Connectivity(flows()))
    size = len(next(pieces) + next(pieces) + next(pieces))
    assert size
    assert asked < 10_000
    started = time.perf_counter()
    assert sum(map(len, pieces)) > 60 * (number - 10_000)
    assert time.perf_counter() - started < 1  # 0.05 s here, most of it for making the flows


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(), st.text(), st.lists(st.text(), max_size=3).map(tuple)), max_size=5))
def test_json_holds_any_name_and_is_ascii(flows: list[tuple[str, str, tuple[str, ...]]]) -> None:
    written = "".join(machine.connectivity(Connectivity([Flow(*flow) for flow in flows])))
    assert written.isascii()
    assert [(f["src"], f["dst"], tuple(f["ports"])) for f in json.loads(written)["flows"]] == flows


# --- text -------------------------------------------------------------------------------------------------------------


def test_text_of_a_state() -> None:
    assert (
        "".join(text.connectivity(STATE))
        == """\
payments: Deployment/api, Deployment/ledger are each reached on
  TCP 80, TCP 443  from payments: all 3 workloads
                   from shop/Deployment/checkout
  TCP 9090         from monitoring/Deployment/prometheus

tools/Deployment/shell is reached on
  all ports  from whatever no policy restricts (below), and any address
             from monitoring/Deployment/prometheus

ip:10.0.0.0/8 is reached on
  all ports  from shop/Deployment/checkout

nothing reaches:
  monitoring/Deployment/prometheus
  payments/StatefulSet/db
  shop/Deployment/checkout

no policy restricts (they reach each other, and any address reaches them and is reached):
  shop/Deployment/web
  tools/Deployment/shell

7 workloads in 4 namespaces: 10 flows, 2 unrestricted
"""
    )


def test_text_says_once_what_a_whole_cluster_may() -> None:
    flows = [Flow(src, "payments/StatefulSet/db", ("TCP 5432",)) for src in WORKLOADS if "/db" not in src]
    assert "  TCP 5432  from every workload\n" in text.connectivity(Connectivity(flows, (), WORKLOADS))


def test_text_counts_what_would_be_too_long() -> None:
    names = [f"shop/Deployment/w{number:03}" for number in range(300)]
    flows = [Flow(src, "a/Pod/db", ("TCP 5432",)) for src in names[:250]]
    told = "".join(text.connectivity(Connectivity(flows, (), [*names, "a/Pod/db"]), most=3))
    assert "  TCP 5432  from shop: Deployment/w000, Deployment/w001, Deployment/w002 and 247 more\n" in told


def test_text_with_all_pairs_says_nothing_of_what_is_left_out() -> None:
    every = [*FLOWS, Flow("tools/Deployment/shell", "shop/Deployment/web", ("all",))]
    assert "whatever no policy restricts" in "".join(text.connectivity(STATE))
    assert "whatever no policy restricts" not in "".join(
        text.connectivity(Connectivity(every, STATE.open, STATE.workloads))
    )


def test_text_of_a_large_state_stays_readable() -> None:
    large = world(50)
    told = "".join(text.connectivity(large)).splitlines()
    assert len(list(large.flows)) > 40_000
    assert len(told) < 1500
    assert max(map(len, told)) < 250


def test_text_of_a_change() -> None:
    assert (
        "".join(text.difference(CHANGE))
        == """\
- shop/Deployment/web -> payments/Deployment/api  TCP 80, TCP 443
+ shop/Deployment/web -> payments/Deployment/api  TCP 8443
- shop/Deployment/web -> ip:10.0.0.0/8            all ports

1 flow opened, 2 flows cut
"""
    )
    assert "".join(text.difference(Difference())) == "no flow is opened or cut\n"


def test_text_of_a_change_has_colours_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    told = "".join(text.difference(CHANGE))
    assert "\x1b[31m- shop" in told
    assert "\x1b[32m+ shop" in told


def test_text_of_a_large_change_puts_together_what_is_alike() -> None:
    flows = [Flow(f"shop/Deployment/w{n:03}", f"pay/Deployment/{d}", ("TCP 80",)) for n in range(250) for d in "ab"]
    assert (
        "".join(text.difference(Difference(flows), most=2))
        == """\
+ shop: Deployment/w000, Deployment/w001 and 248 more -> pay: Deployment/a, Deployment/b  TCP 80

500 flows opened, 0 flows cut
"""
    )


def test_no_name_drives_the_terminal() -> None:
    flow = Flow(HOSTILE, "a" * 5000, ("TCP 80",))
    for told in (
        "".join(text.connectivity(Connectivity([flow], [HOSTILE], [HOSTILE]))),
        "".join(text.difference(Difference([flow], [flow]))),
    ):
        assert told.replace("\n", "").isprintable()
        assert "\n�[31m" not in told
        assert len(told) < 2000


# --- Markdown ---------------------------------------------------------------------------------------------------------


def test_markdown_of_a_change() -> None:
    assert (
        "".join(markdown.difference(CHANGE))
        == """\
**1 flow opened, 2 flows cut.**

| | from | to | ports |
|---|---|---|---|
| 🟢 opens | `shop/Deployment/web` | `payments/Deployment/api` | TCP 8443 |
| 🔴 cuts | `shop/Deployment/web` | `payments/Deployment/api` | TCP 80, TCP 443 |
| 🔴 cuts | `shop/Deployment/web` | `ip:10.0.0.0/8` | all ports |
"""
    )
    assert "".join(markdown.difference(Difference())) == "**No flow is opened or cut.**\n"


def test_markdown_folds_what_is_long_and_shows_both_signs() -> None:
    told = "".join(markdown.difference(change(world(8), added=30, removed=15)))
    in_sight, folded = told.split("<details>")
    assert (in_sight.count("🟢 opens"), in_sight.count("🔴 cuts")) == (10, 10)
    assert folded.startswith("<summary>and 28 more</summary>\n\n| | from | to | ports |\n")
    assert (folded.count("🟢 opens"), folded.count("🔴 cuts")) == (23, 5)


def test_markdown_fits_a_comment_on_github() -> None:
    told = "".join(markdown.difference(change(world(50), added=3000, removed=2000)))
    assert 50_000 < len(told) < 65_536
    rows = told.count("🟢 opens") + told.count("🔴 cuts") - 20
    total = int(told.partition("<summary>and ")[2].partition(" more")[0].replace(",", ""))
    assert f"\nand {total - rows:,} more: `netadmit diff -o json`\n\n</details>\n" in told


def test_nothing_gets_out_of_a_cell() -> None:
    told = "".join(markdown.difference(Difference([Flow(HOSTILE, "shop/Deployment/web", ("TCP 80",))])))
    assert '| 🟢 opens | `` a"b\\/Kind/x`\\|</script>��[31m�&amp;\\ `` | `shop/Deployment/web` | TCP 80 |\n' in told


# --- DOT --------------------------------------------------------------------------------------------------------------


def drawn(pieces: Iterator[str], form: str = "plain") -> str:
    """What Graphviz makes of it."""
    done = subprocess.run(
        [program("dot"), f"-T{form}"], input="".join(pieces), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


def nodes(pieces: Iterator[str]) -> dict[str, str]:
    """The names and labels of the nodes that Graphviz reads."""
    found = json.loads(drawn(pieces, "json0"))
    return {o["name"]: o["label"] for o in found["objects"] if not o["name"].startswith("cluster_")}


def test_dot_of_a_state() -> None:
    written = "".join(dot.connectivity(STATE))
    assert nodes(iter([written])) == {name: "\\n".join(reversed(name.split("/")[1:])) for name in WORKLOADS} | {
        "ip:10.0.0.0/8": "ip:10.0.0.0/8"
    }
    read = json.loads(drawn(iter([written]), "json0"))
    assert [o["label"] for o in read["objects"] if o["name"].startswith("cluster_")] == [
        "monitoring",
        "payments",
        "shop",
        "tools",
        "outside addresses",
    ]
    names = [o["name"] for o in read["objects"]]
    assert {(names[e["tail"]], names[e["head"]], e["label"]) for e in read["edges"]} == {
        (f.src, f.dst, "all ports" if f.ports == ("all",) else ", ".join(f.ports)) for f in FLOWS
    }
    dashed = {o["name"] for o in read["objects"] if "dashed" in o.get("style", "")}
    assert dashed == set(STATE.open)


def test_dot_of_a_change() -> None:
    read = json.loads(drawn(dot.difference(CHANGE), "json0"))
    assert {(e["label"], e["style"], e["color"]) for e in read["edges"]} == {
        ("+ TCP 8443", "solid", "#1a7f37"),
        ("- TCP 80, TCP 443", "dashed", "#cf222e"),
        ("- all ports", "dashed", "#cf222e"),
    }
    assert read["label"] == "1 flow opened, 2 flows cut"


@pytest.mark.parametrize("strict", [0.1, 0.9])
def test_dot_of_a_large_state_draws_namespaces(strict: float) -> None:
    large = world(50, strict=strict, seed=4)
    read = json.loads(drawn(dot.connectivity(large), "json0"))
    assert len(read["objects"]) == 51
    assert len(read.get("edges", ())) <= 60
    assert "each namespace is one node" in read["label"]
    labels = [o["label"] for o in read["objects"]]
    assert any(" others" in label and "reached by " in label for label in labels)


def test_dot_says_how_much_is_not_drawn() -> None:
    read = json.loads(drawn(dot.difference(change(world(50), added=300, removed=300)), "json0"))
    assert len(read["edges"]) == 60
    assert "the 60 edges with the most flows are drawn, " in read["label"]


@settings(max_examples=25, deadline=None)
@given(st.text(), st.text())
def test_dot_takes_any_name(src: str, dst: str) -> None:
    read = json.loads(drawn(dot.difference(Difference([Flow(src, dst, ("all",))])), "json0"))
    assert len(read["edges"]) == 1


def test_dot_shows_names_as_they_are() -> None:
    name = 'a"b\\/Kind/x\\n&lt;<b>\\'
    assert nodes(dot.difference(Difference([Flow(name, name, ("all",))]))) == {
        'a"b\\\\/Kind/x\\\\n&lt;<b>\\\\': "x\\\\n&amp;lt;<b>\\\\\\nKind"
    }


def embedded(written: str) -> Any:
    return json.loads(written.partition('id="data">')[2].partition("</script>")[0])


def told(data: Any) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Every flow that the data of a page hold."""
    names = [f"ip:{own}" if ns is None else f"{ns}/{own}" if ns else own for ns, owns in data["groups"] for own in owns]
    flows = []
    for layer in data["layers"]:
        for src, *row in layer["rows"]:
            for ports, number in zip(row[::2], row[1::2], strict=True):
                runs = data["sets"][number]
                flows += [
                    (layer["sign"], names[src], names[dst], tuple(data["ports"][ports]))
                    for first, many in zip(runs[::2], runs[1::2], strict=True)
                    for dst in range(first, first + many)
                ]
    return sorted(flows)


# --- the page, as a file ----------------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_nothing_but_its_own_script_runs_in() -> None:
    written = "".join(html.connectivity(STATE))
    assert written.isascii()
    assert not re.search(r"https?://(?!www\.w3\.org/)|url\((?!#)|@import|\bfetch\(|innerHTML|eval\(", written)
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', written)
    assert policy
    directives = dict(part.split(" ", 1) for part in markup.unescape(policy[1]).split("; "))
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        (content,) = re.findall(rf"<{tag}(?: type=.module.)?>(.*?)</{tag}>", written, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert directives[name] == f"'sha256-{digest}'"


def test_60000_flows_are_small() -> None:
    large = world(50)
    written = "".join(html.connectivity(large))
    assert len(list(large.flows)) > 40_000
    assert len(written) < 200_000
    assert told(embedded(written)) == sorted(("", *flow) for flow in large.flows)


NAMES = st.text(max_size=6) | st.sampled_from(["a/Pod/x", "a/Pod/y", "b/Pod/x", "ip:10.0.0.0/8", "ip:::/0", HOSTILE])


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.tuples(NAMES, NAMES), st.sampled_from([("all",), ("TCP 80", "UDP 53")]), max_size=8))
def test_the_data_are_the_flows_whatever_the_names(flows: dict[tuple[str, str], tuple[str, ...]]) -> None:
    every = [Flow(src, dst, ports) for (src, dst), ports in flows.items()]
    written = "".join(html.difference(Difference(every, every[:2]), about=HOSTILE))
    assert written.isascii()
    assert written.count("</script") == 2
    data = embedded(written)
    assert data["about"] == HOSTILE

    expected = [("+", f.src, f.dst, f.ports) for f in every] + [("-", f.src, f.dst, f.ports) for f in every[:2]]
    got = told(data)
    assert len(got) == len(expected)
    assert sorted((sign, src.lstrip("/"), dst.lstrip("/"), ports) for sign, src, dst, ports in got) == sorted(
        (sign, src.lstrip("/"), dst.lstrip("/"), ports) for sign, src, dst, ports in expected
    )


# --- order ------------------------------------------------------------------------------------------------------------


def test_addresses_come_last_and_in_their_order() -> None:
    names = ["ip:::/0", "ip:10.0.0.0/8", "ip:9.0.0.0-9.0.0.7", "b/Pod/a", "a/Pod/z", "ip:odd", "odd"]
    assert sorted(names, key=sort_key) == [
        "odd",
        "a/Pod/z",
        "b/Pod/a",
        "ip:9.0.0.0-9.0.0.7",
        "ip:10.0.0.0/8",
        "ip:::/0",
        "ip:odd",
    ]
