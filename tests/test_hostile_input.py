"""What nobody sends who means well: answered or refused clearly, the server alive, time and memory bounded.

The API server lets objects of 3 MiB through, and whoever reaches the port may send 8 (facts/admission-contract.md 4.3).
"""

import asyncio
import http.client
import io
import json
import logging
import os
import random
import re
import resource
import ssl
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.generate import SIZES, objects, policy
from certs.store import provide
from webhook import precedence
from webhook.check import MOST_STEPS, Check, Context, Finding, Level
from webhook.checks import all_checks
from webhook.cli import main
from webhook.cli.serve import _JSONFormatter
from webhook.model.cluster import Cluster
from webhook.model.objects import DAEMON_SET, NETWORK_POLICY, SERVICE, Container, Pod, Workload
from webhook.model.parse import convert
from webhook.model.review import _PLAIN_CIDR, ReviewError, _without_leading_zeros, decode_review
from webhook.pipeline import Judge, Judgement
from webhook.server import LARGEST_BODY, FixedState, Listeners, Service, server_tls
from webhook.state import manifests

HERE = Path(__file__).parents[1]
SECONDS = 5.0
"""Of processor time: each of these takes about half a second here, and took minutes before steps were counted."""
UID = "705ab4f5-6393-11e8-b7cc-42010a800002"
HOSTILE = "a\x1b[2J\x1b]0;owned\x07\r\nb\x00\x85\x9b45m\u202e\u2066\u2028c\x1b[45m"


# --- the server -------------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    status: int
    text: str

    @property
    def response(self) -> dict[str, Any]:
        assert self.status == 200, self.text
        answer = json.loads(self.text)
        assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        response: dict[str, Any] = answer["response"]
        assert isinstance(response["allowed"], bool)
        warnings = response.get("warnings", [])
        assert all(len(w) <= 256 and is_plain(w) for w in warnings)
        assert sum(map(len, warnings)) <= 4096
        return response


class Running:
    """The real server in a thread of its own, over the state of a cluster as people have them."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        files = provide(folder, ["localhost", "127.0.0.1"], datetime.now(UTC))
        self.trusted = ssl.create_default_context(cafile=files.ca)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        tls = server_tls(str(files.certificate), str(files.key))
        self.listeners = Listeners(Service(Judge(), FixedState(cluster)), tls)
        opened = asyncio.run_coroutine_threadsafe(self.listeners.open("127.0.0.1", 0, 0), self.loop)
        self.port, self.metrics_port = opened.result(10)
        self.connection = self.connect()

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.trusted, timeout=30)

    def post(self, body: bytes, path: str = "/validate?timeout=10s") -> Answer:
        self.connection.request("POST", path, body, {"Content-Type": "application/json"})
        with self.connection.getresponse() as response:
            return Answer(response.status, response.read().decode())

    def ask(self, body: Any) -> dict[str, Any]:
        response = self.post(json.dumps(body).encode()).response
        assert response["uid"] == UID
        return response

    def get(self, path: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=30)
        try:
            connection.request("GET", path)
            with connection.getresponse() as response:
                return Answer(response.status, response.read().decode())
        finally:
            connection.close()

    def alive(self) -> None:
        assert self.get("/healthz") == (200, "ok\n")
        self.ask(review(sound()))

    def close(self) -> None:
        self.connection.close()
        asyncio.run_coroutine_threadsafe(self.listeners.close(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)
        self.loop.close()


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster.of((convert(f"{o['apiVersion']}/{o['kind']}", o) for o in objects(SIZES["M"])), complete=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("certs"), cluster)
    yield running
    running.close()


@pytest.fixture(autouse=True)
def no_errors_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO)
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR] == []


def review(new: Any = None, old: Any = None, **more: Any) -> dict[str, Any]:
    kind = (new or old)["kind"]
    request = {
        "uid": UID,
        "kind": {"group": "networking.k8s.io" if kind == "NetworkPolicy" else "", "version": "v1", "kind": kind},
        "operation": "UPDATE" if new and old else "CREATE" if new else "DELETE",
        "name": "api",
        "namespace": "team-001",
        "object": new,
        "oldObject": old,
        "userInfo": {"username": "mallory"},
        "dryRun": False,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request | more}


def an_object(kind: str, spec: Any, **metadata: Any) -> dict[str, Any]:
    version = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "v1"
    metadata = {"name": "api", "namespace": "team-001"} | metadata
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def a_policy(spec: Any, **metadata: Any) -> dict[str, Any]:
    return an_object("NetworkPolicy", {"podSelector": {"matchLabels": {"tier": "api"}}} | spec, **metadata)


def sound() -> dict[str, Any]:
    return a_policy({"policyTypes": ["Ingress"]})


def is_plain(text: str) -> bool:
    return not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in text)


# --- objects of megabytes ---------------------------------------------------------------------------------------------

VALUES = [f"{'x' * 36}{i:06}" for i in range(100_000)]


def peers(each: Callable[[int], Any], number: int) -> dict[str, Any]:
    return a_policy({"ingress": [{"from": [each(i) for i in range(number)]}]})


def terms(each: Callable[[int], Any], number: int) -> dict[str, Any]:
    return a_policy({"podSelector": {"matchExpressions": [each(i) for i in range(number)]}})


def ports(each: Callable[[int], Any], number: int = 50_000) -> dict[str, Any]:
    return a_policy({"podSelector": {}, "ingress": [{"ports": [each(i) for i in range(number)]}]})


def a_service(each: Callable[[int], Any], number: int = 60_000) -> dict[str, Any]:
    return an_object("Service", {"selector": {"tier": "api"}, "ports": [each(i) for i in range(number)]})


def labelled(value: str, key: str = "tier") -> dict[str, Any]:
    return {"matchLabels": {key: value}}


def of_key(key: str, operator: str, values: Iterable[str] = ()) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


LARGE: dict[str, Callable[[], dict[str, Any]]] = {
    "100,000 values": lambda: terms(lambda _: of_key("tier", "In", VALUES), 1),
    "100,000 values that are refused": lambda: terms(lambda _: of_key("tier", "NotIn", VALUES), 1),
    "100,000 values in a peer": lambda: peers(
        lambda _: {"podSelector": {"matchExpressions": [of_key("tier", "In", VALUES)]}}, 1
    ),
    "100,000 names of namespaces": lambda: peers(
        lambda _: {
            "namespaceSelector": {
                "matchExpressions": [of_key("kubernetes.io/metadata.name", "In", [*VALUES, "team-001"])]
            }
        },
        1,
    ),
    "100,000 names that are nearly there": lambda: peers(
        lambda _: {
            "namespaceSelector": {
                "matchExpressions": [
                    of_key("kubernetes.io/metadata.name", "In", ["team-001", *(f"taem-{i}" for i in range(100_000))])
                ]
            }
        },
        1,
    ),
    "60,000 terms of one key": lambda: terms(lambda i: of_key("tier", "In", ("api", f"a{i}")), 60_000),
    "60,000 terms that exclude each other late": lambda: terms(
        lambda i: of_key("tier", "In", {"a", "b", "c"} - {"abc"[i % 3]}), 60_000
    ),
    "60,000 terms of as many keys": lambda: terms(lambda i: of_key(f"k{i}", "DoesNotExist"), 60_000),
    "150,000 labels": lambda: a_policy({"podSelector": {"matchLabels": {f"k{i}": "api" for i in range(150_000)}}}),
    "50,000 peers": lambda: peers(lambda i: {"podSelector": labelled(f"apy{i}")}, 50_000),
    "80,000 misspelt peers": lambda: peers(lambda _: {"podSelector": labelled("fronted")}, 80_000),
    "50,000 misspelt peers of every namespace": lambda: peers(
        lambda i: {"namespaceSelector": {}, "podSelector": labelled(f"frontedd{i}")}, 50_000
    ),
    "80,000 peers that are everybody": lambda: peers(lambda _: {"namespaceSelector": {}, "podSelector": {}}, 80_000),
    "30,000 peers by what is not there": lambda: peers(
        lambda i: {
            "namespaceSelector": {"matchExpressions": [of_key(f"t{i}", "DoesNotExist")]},
            "podSelector": {"matchExpressions": [of_key(f"t{i}", "DoesNotExist")]},
        },
        30_000,
    ),
    "50,000 namespaces that are nearly there": lambda: peers(
        lambda i: {"namespaceSelector": labelled(f"taem-{i:05}", "team")}, 50_000
    ),
    "50,000 halves of one peer": lambda: peers(
        lambda i: {"podSelector": labelled(f"k{i}")} if i % 2 else {"namespaceSelector": {}}, 50_000
    ),
    "40,000 rules": lambda: a_policy(
        {"ingress": [{"from": [{"podSelector": labelled("fronted")}], "ports": [{"port": 8081}]}] * 40_000}
    ),
    "30,000 egress rules to everybody": lambda: a_policy(
        {
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [{"podSelector": {}, "namespaceSelector": {"matchExpressions": [of_key("team", "Exists")]}}],
                    "ports": [{"port": 8081, "protocol": "UDP"}],
                }
            ]
            * 30_000,
        }
    ),
    "100,000 ipBlocks with excepts": lambda: peers(
        lambda i: {
            "ipBlock": {"cidr": f"10.{i >> 8 & 255}.{i & 255}.0/24", "except": [f"10.{i >> 8 & 255}.{i & 255}.7/32"]}
        },
        100_000,
    ),
    "150,000 excepts": lambda: peers(
        lambda _: {
            "ipBlock": {"cidr": "::/0", "except": [f"fd00:{i >> 16:x}:{i & 65535:x}::/64" for i in range(150_000)]}
        },
        1,
    ),
    "50,000 ports of every pod": lambda: ports(lambda i: {"port": 1 + i % 65535}),
    "50,000 ports under another protocol": lambda: ports(lambda _: {"port": 8080, "protocol": "UDP"}),
    "50,000 named ports": lambda: ports(lambda i: {"port": f"n{i}"}),
    "50,000 times DNS over TCP": lambda: ports(lambda _: {"port": 53, "protocol": "TCP"}),
    "megabytes of labels and annotations": lambda: a_policy(
        {},
        labels={f"l{i}": "x" * 60 for i in range(25_000)},
        annotations={f"netadmit.io/ignore.{i}": "x" * 60 for i in range(20_000)}
        | {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"a": "x" * 1_500_000})},
    ),
    "a last-applied text of unknown fields": lambda: an_object(
        "NetworkPolicy",
        {"podSelector": {}, "policyTypes": ["Ingress"]},
        annotations={
            "kubectl.kubernetes.io/last-applied-configuration": json.dumps(
                an_object(
                    "NetworkPolicy",
                    {"podSelector": {}, "policyTypes": ["Ingress"]} | {f"ingres{i}": [] for i in range(3_800)},
                )
            )
        },
    ),
    "a Service of 60,000 named ports": lambda: a_service(
        lambda i: {"name": f"p{i}", "port": 1 + i % 65535, "targetPort": f"t{i}"}
    ),
    "a Service of 60,000 ports": lambda: a_service(
        lambda i: {"name": f"p{i}", "port": 1 + i % 65535, "protocol": "UDP", "targetPort": 8080}
    ),
    "a Service that selects 70,000 labels": lambda: an_object(
        "Service", {"selector": {"tier": "api"} | {f"k{i}": "x" * 55 for i in range(70_000)}, "ports": [{"port": 80}]}
    ),
    "an ExternalName of megabytes": lambda: an_object(
        "Service", {"type": "ExternalName", "externalName": "a." * 2_000_000 + "svc"}
    ),
    "a label of megabytes": lambda: a_policy({"podSelector": labelled("\x1b[31mé" * 500_000)}),
    "a name of megabytes": lambda: a_policy({}, name="x" * 5_000_000),
}  # fmt: skip


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_an_object_of_megabytes_is_answered_in_time(server: Running, make: Callable[[], dict[str, Any]]) -> None:
    body = json.dumps(review(make())).encode()
    if len(body) > LARGEST_BODY:
        pytest.fail(f"{len(body)} bytes: the server does not even read it")
    start = time.process_time()
    response = server.post(body).response
    spent = time.process_time() - start
    assert response["uid"] == UID
    assert response["allowed"] is True
    assert spent < SECONDS
    server.alive()


def test_the_update_of_an_object_of_megabytes(server: Running) -> None:
    one, other = (peers(lambda i, c=c: {"podSelector": labelled(f"{c}{i}")}, 40_000) for c in "ab")
    start = time.process_time()
    response = server.ask(review(one, other))
    assert response["allowed"] is True
    assert time.process_time() - start < SECONDS
    response = server.ask(review(None, one))
    assert response["allowed"] is True


def test_health_is_answered_while_large_objects_are_judged(server: Running) -> None:
    body = json.dumps(review(LARGE["50,000 peers"]())).encode()
    done = threading.Event()
    answers: list[Answer] = []

    def attack() -> None:
        connection = server.connect()
        for _ in range(3):
            connection.request("POST", "/validate?timeout=10s", body)
            with connection.getresponse() as response:
                answers.append(Answer(response.status, response.read().decode()))
        connection.close()
        done.set()

    thread = threading.Thread(target=attack)
    thread.start()
    asked = 0
    while not done.wait(0.05):
        assert server.get("/healthz") == (200, "ok\n")
        server.ask(review(sound()))
        asked += 1
    thread.join()
    assert asked
    assert [a.response["allowed"] for a in answers] == [True] * 3


# --- what a limit must not do -----------------------------------------------------------------------------------------


def judged(cluster: Cluster, new: Any, old: Any = None, **more: Any) -> Judgement:
    return Judge().admit(decode_review(json.dumps(review(new, old, **more)).encode()), cluster)


def test_thousands_of_ports_in_policies_on_each_other_are_too_much_to_say_what_they_do() -> None:
    """What keeps the traffic of 300 kinds of pods apart, port by port, took minutes: now it takes as many steps as
    any other admission."""

    def of_many_ports(number: int, selector: dict[str, Any]) -> dict[str, Any]:
        ports = [{"port": port} for port in random.Random(number).sample(range(1, 65_536), 3_000)]
        rule = {"ports": ports, "from": [{"namespaceSelector": {}}]}
        spec = {"podSelector": selector, "ingress": [rule], "egress": [{"ports": ports, "to": rule["from"]}]}
        return a_policy(spec | {"policyTypes": ["Ingress", "Egress"]}, name=f"ports-{number}")

    def some(number: int) -> dict[str, Any]:
        values = [f"app-{i}" for i in range(300) if (i * 7919 + number * 104_729) % 3]
        return {"matchExpressions": [{"key": "app", "operator": "In", "values": values}]}

    pods = [
        Pod("team-001", f"app-{i}", {"app": f"app-{i}"}, phase="Running", ips=(f"10.0.{i // 200}.{i % 200 + 1}",))
        for i in range(300)
    ]
    there = [convert(NETWORK_POLICY, of_many_ports(i, some(i))) for i in range(10)]
    state, start = Cluster.of([*pods, *there], complete=True), time.process_time()
    judgement = judged(state, of_many_ports(99, {}), dryRun=True, userInfo={"username": "jane"})
    assert time.process_time() - start < SECONDS
    assert judgement.crashes == ()
    assert "NetworkPolicy team-001/api is too large to say what it does to traffic" in judgement.unknown


def test_what_was_found_before_the_limit_is_said_and_the_rest_is_said_to_be_unknown(server: Running) -> None:
    spec = {"ingress": [{"from": [{"podSelector": labelled("fronted")}] + [{"podSelector": labelled("x")}] * 50_000}]}
    response = server.ask(review(a_policy(spec)))
    assert "[peer-matches-nothing]" in response["warnings"][0]
    unknown = response["auditAnnotations"]["unknown"]
    assert "NetworkPolicy team-001/api is too large to be judged in full" in unknown
    assert "peer-matches-nothing" in unknown


def test_a_large_object_is_still_denied_for_what_is_plain(server: Running) -> None:
    spec = {"policyTypes": ["Ingress"], "egress": [{"to": [{"podSelector": labelled("x")}] * 50_000}]}
    response = server.ask(review(a_policy(spec)))
    assert response["allowed"] is False
    assert "[rules-without-policy-type]" in response["status"]["message"]
    never = {"podSelector": labelled("api") | {"matchExpressions": [of_key("tier", "DoesNotExist")]}}
    response = server.ask(review(a_policy(never | {"ingress": [{"from": [{"podSelector": labelled("x")}] * 50_000}]})))
    assert response["allowed"] is False
    assert "[selector-can-never-match]" in response["status"]["message"]


def test_objects_as_people_have_them_are_judged_in_full(cluster: Cluster) -> None:
    chance = random.Random(3)
    names = [f"team-{i:03}" for i in range(50)]
    for i in range(200):
        new = policy(chance, "team-001", f"p{i}", names)
        assert judged(cluster, new).unknown == ()
    generous = {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": {}, "podSelector": labelled(f"frontend-{i}")}],
                "ports": [{"port": 8000 + j, "protocol": "TCP"} for j in range(15)],
            }
            for i in range(20)
        ],
        "egress": [{"to": [{"ipBlock": {"cidr": f"10.{i >> 8}.{i & 255}.0/24"}} for i in range(5_000)]}],
    }
    assert judged(cluster, a_policy(generous)).unknown == ()


def test_each_check_has_steps_left_whatever_the_others_spend() -> None:
    def greedy(ctx: Context) -> Iterator[Finding]:
        while True:
            ctx.spend()

    def plain(ctx: Context) -> Iterator[Finding]:
        ctx.spend(1_000)
        yield Finding("spec", "seen")

    def check(number: int, run: Callable[[Context], Iterator[Finding]]) -> Check:
        return Check(
            id=f"check-{number}",
            level=Level.ERROR,
            summary="s",
            rationale="r",
            remedy="r",
            run=run,
            judges=(NETWORK_POLICY, SERVICE),
        )

    checks = [check(i, greedy) for i in range(6)]
    request = decode_review(json.dumps(review(sound())).encode())
    judgement = Judge(checks=[*checks, check(6, plain)]).admit(request, Cluster())
    assert [r.check for r in judgement.verdict.rulings] == ["check-6"]
    [unknown] = judgement.unknown
    assert unknown.endswith("check-0, check-1, check-2, check-3, check-4, check-5 gave up")


def test_an_update_of_what_was_too_large_to_judge_is_not_denied() -> None:
    """Nobody knows whether the old object had the same fault: a change that makes nothing worse is never denied."""

    def counting(ctx: Context) -> Iterator[Finding]:
        size = len(ctx.policy.spec.ingress)
        ctx.spend(size * MOST_STEPS)
        yield Finding("spec", "seen", value=str(size))

    check = Check(
        id="counts", level=Level.ERROR, summary="s", rationale="r", remedy="r", run=counting, judges=(NETWORK_POLICY,)
    )
    small, large = a_policy({}), a_policy({"ingress": [{}]})

    def allowed(new: Any, old: Any) -> bool:
        request = decode_review(json.dumps(review(new, old)).encode())
        return not Judge(checks=[check]).admit(request, Cluster()).verdict.denied

    assert not allowed(small, None)
    assert allowed(large, None)
    assert allowed(small, large)


def test_the_size_of_other_objects_is_counted_as_well(cluster: Cluster) -> None:
    """Whoever may make policies may make a thousand large ones, and with them every review of a small one slow."""
    crowded = Cluster.of([Pod("team-001", "api-1", {"tier": "api"}), *cluster.pods], complete=True)
    for i in range(20):
        large = ports(lambda j: {"port": 1 + j % 65535, "protocol": "SCTP"}, 5_000)
        large["metadata"]["name"] = f"large-{i}"
        crowded.put(convert(NETWORK_POLICY, large))
    start = time.process_time()
    judgement = judged(crowded, a_policy({"ingress": [{"ports": [{"port": 8080, "protocol": "UDP"}] * 50}]}))
    assert time.process_time() - start < SECONDS
    assert not judgement.verdict.denied


_CHAINS = (precedence._WHOLE_OBJECT, precedence._ONE_RULE, precedence._ONE_PORT, precedence._SERVICE)
_IDS = sorted({id_ for chain in _CHAINS for ids in chain for id_ in ids} - {precedence.EVERYTHING_ELSE} | {"other"})
_PATHS = [
    *("spec", "spec.podSelector", "metadata.namespace", "spec.ports[0].port"),
    *(f"spec.ingress[{i}].{rest}" for i in range(2) for rest in ("from[0]", "ports[0].port", "ports[1].port")),
]


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_IDS), st.sampled_from(_PATHS), st.sampled_from(list(Level))), max_size=8))
def test_precedence_in_one_pass_is_as_precedence_pair_by_pair(said: list[tuple[str, str, Level]]) -> None:
    def statements() -> list[Any]:
        return [
            precedence.Statement.of(
                Check(id=id_, level=level, summary="", rationale="", remedy="", run=lambda _: iter(()), judges=()),
                Finding(path, "m"),
                level,
            )
            for id_, path, level in said
        ]

    fast, slow = statements(), statements()
    precedence.silence(fast)
    _silence_pair_by_pair(slow)
    assert [(s.silenced, s.also) for s in fast] == [(s.silenced, s.also) for s in slow]


def _silence_pair_by_pair(said: list[Any]) -> None:
    def along(chain: Any, explains: Callable[[Any, Any], bool]) -> None:
        for i, causes in enumerate(chain[:-1]):
            later = frozenset().union(*chain[i + 1 :])
            earlier = frozenset().union(*chain[: i + 1])
            for cause in said:
                for other in said:
                    if (
                        not cause.silenced
                        and cause.check.id in causes
                        and (other.check.id in later or ("*" in later and other.check.id not in earlier))
                        and not other.silenced
                        and other.check.id not in precedence._NEVER_SILENCED
                        and other.finding.path != "metadata.namespace"
                        and other.level <= cause.level
                        and explains(cause, other)
                    ):
                        other.silenced = True
                        cause.also += [e for e in (other.check.id, *other.also) if e not in cause.also]

    along(precedence._OWN_NAMESPACE, lambda c, _: c.finding.path == "metadata.namespace")
    along(precedence._WHOLE_OBJECT, lambda c, o: not c.rule or c.rule == o.rule)
    along(precedence._ONE_RULE, lambda c, o: bool(c.rule) and c.rule == o.rule)
    along(precedence._ONE_PORT, lambda c, o: bool(c.port) and c.port == o.port)
    along(precedence._SERVICE, lambda c, o: not c.port or c.port == o.port)


@settings(derandomize=True, max_examples=500, deadline=None)
@given(
    st.lists(st.sampled_from(["", "0", "1", "01", "255", "256", "f", "ffff", "12345", "::"]), max_size=9),
    st.sampled_from([".", ":"]),
    st.sampled_from(["0", "8", "08", "32", "33", "64", "128", "129", ""]),
)
def test_what_is_quickly_taken_for_a_cidr_is_one(parts: list[str], between: str, length: str) -> None:
    address = between.join(parts)
    if _PLAIN_CIDR.fullmatch(f"{address}/{length}"):
        ip_network(f"{_without_leading_zeros(address)}/{length}", strict=False)


@pytest.mark.parametrize(
    "cidr", ["10.0.0.0/8", "0.0.0.0/0", "192.168.001.000/24", "::/0", "fd00::1:2/128", "1:2:3:4:5:6:7:8/64", "::1/1"]
)
def test_usual_cidrs_are_taken_quickly(cidr: str) -> None:
    assert _PLAIN_CIDR.fullmatch(cidr)


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_refusal_does_not_repeat_megabytes(server: Running) -> None:
    answer = server.post(json.dumps(review(a_policy({"policyTypes": ["\x1b" * 500_000]}))).encode())
    assert answer.status == 400
    assert answer.text.startswith("netadmit: request.object.spec.policyTypes[0]: ")
    assert len(answer.text) < 1_200
    assert is_plain(answer.text.strip())
    server.alive()


def test_bodies_that_stop_in_the_middle_and_rubbish_before_http(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps(review(sound())).encode()
    for sent in (
        b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + body,
        b"POST /validate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /validate HTTP/1.1\r\n" + b"X: y\r\n" * 100_000,
        b"\x00\xff" * 10_000,
    ):
        connection = server.connect()
        connection.connect()
        try:
            connection.sock.sendall(sent)
            connection.sock.settimeout(0.2)
            while received := connection.sock.recv(65536):
                assert not received.startswith(b"HTTP/1.1 5")
        except OSError:
            pass  # refused before all was sent, or waited for
        finally:
            connection.close()
    server.alive()
    refused = [r for r in caplog.records if r.name == "netadmit.http"]
    assert refused
    assert all(r.levelno == logging.WARNING and r.exc_info is None for r in refused)


# --- fuzzing ----------------------------------------------------------------------------------------------------------

_texts = st.text(max_size=20) | st.sampled_from([HOSTILE, "", "tier", "api", "In", "TCP", "x" * 5_000, "10.0.0.0/8"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)
_VALID = [
    review(
        a_policy(
            {
                "policyTypes": ["Ingress", "Egress"],
                "podSelector": labelled("api") | {"matchExpressions": [of_key("app", "NotIn", ["x", "y"])]},
                "ingress": [
                    {
                        "from": [
                            {"podSelector": labelled("fronted"), "namespaceSelector": labelled("team-002", "team")},
                            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                        ],
                        "ports": [{"port": 8080, "protocol": "TCP", "endPort": 8090}, {"port": "http"}],
                    }
                ],
                "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 53}]}],
            },
            labels={"a": "b"},
            annotations={"netadmit.io/ignore.peer-matches-nothing": "because"},
        )
    ),
    review(a_policy({"ingress": []}), a_policy({"ingress": [{}]})),
    review(None, a_policy({"ingress": [{}]})),
    review(a_service(lambda i: {"name": f"p{i}", "port": 80 + i, "targetPort": ["http", 8080, 9][i]}, 3)),
    review(an_object("Service", {"type": "ExternalName", "externalName": "api.team-002.svc.cluster.local"})),
]  # fmt: skip


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from _places(each, (*path, key))


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A valid review, with some fields dropped, replaced, repeated or buried."""
    data = json.loads(json.dumps(draw(st.sampled_from(_VALID))))
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(list(_places(data)) or [()]))
        if not path:
            break
        holder = data
        for part in path[:-1]:
            holder = holder[part]
        match draw(st.sampled_from(["drop", "replace", "repeat", "bury", "huge"])):
            case "drop":
                del holder[path[-1]]
            case "replace":
                holder[path[-1]] = draw(_json)
            case "repeat":
                holder[path[-1]] = [holder[path[-1]]] * draw(st.integers(0, 50))
            case "bury":
                for _ in range(draw(st.integers(1, 400))):
                    holder[path[-1]] = {"spec": holder[path[-1]]}
            case "huge":
                holder[path[-1]] = draw(st.sampled_from([10**30, -1, 1e300, "é\u202e" * 20_000, [[]] * 5_000]))
    return json.dumps(data).encode()


@settings(derandomize=True, max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)
@given(st.binary(max_size=200) | _json.map(lambda value: json.dumps(value).encode()) | _mutated() | _mutated())
def test_whatever_is_sent_is_answered_or_refused(server: Running, body: bytes) -> None:
    answer = server.post(body)
    assert answer.status in (200, 400), answer
    assert "Traceback" not in answer.text
    if answer.status == 200:
        response = answer.response
        assert response["uid"] == json.loads(body)["request"]["uid"]
        assert all(is_plain(line) for line in response.get("status", {}).get("message", "").split("\n"))
    else:
        assert answer.text.startswith("netadmit: ")
        assert len(answer.text) < 1_200


def test_after_the_fuzzing_nothing_crashed(server: Running) -> None:
    server.alive()
    _, metrics = server.get("/metrics")
    crashes = [line for line in metrics.splitlines() if line.startswith("netadmit_check_crashes_total{")]
    assert [line for line in crashes if not line.endswith(" 0.0")] == []


# --- names that drive a terminal --------------------------------------------------------------------------------------


def hostile_objects() -> list[dict[str, Any]]:
    """Every text that a message may quote, hostile."""
    spec = {
        "podSelector": {"matchLabels": {HOSTILE: HOSTILE}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"podSelector": labelled(HOSTILE)},
                    {"namespaceSelector": labelled(HOSTILE, "kubernetes.io/metadata.name")},
                ],
                "ports": [{"port": HOSTILE}],
            }
        ],
        "egress": [{}, {"ports": [{"port": 443}]}],
    }
    never = labelled(HOSTILE) | {"matchExpressions": [of_key("tier", "NotIn", [HOSTILE])]}
    service = {"selector": {HOSTILE: HOSTILE}, "ports": [{"port": 80, "name": HOSTILE, "targetPort": HOSTILE}]}
    return [
        a_policy(spec, name=HOSTILE),
        a_policy({"podSelector": never}, name=HOSTILE, annotations={f"netadmit.io/ignore.{HOSTILE}": HOSTILE}),
        an_object("Service", service, name=HOSTILE, namespace=HOSTILE),
        an_object("Service", service | {"selector": {"tier": "api"}}, name=HOSTILE),
        an_object("Service", {"type": "ExternalName", "externalName": f"{HOSTILE}.team-001.svc.cluster.local"}),
    ]


@pytest.mark.parametrize("number", range(5))
def test_hostile_names_in_answers_and_log_lines(server: Running, number: int, caplog: pytest.LogCaptureFixture) -> None:
    new = hostile_objects()[number]
    more = {"name": HOSTILE, "userInfo": {"username": HOSTILE}}
    for body in (review(new, **more), review(new, new, **more), review(None, new, **more)):
        response = server.ask(body)
        assert all(is_plain(line) for line in response.get("status", {}).get("message", "").split("\n"))
        assert all(is_plain(value) for value in response.get("auditAnnotations", {}).values())
    lines = [_JSONFormatter().format(r) for r in caplog.records if r.name.startswith("netadmit")]
    assert len(lines) == 3
    assert all(line.isascii() and line.isprintable() and json.loads(line) for line in lines)


def test_a_log_line_stays_short(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    new = peers(lambda _: {"podSelector": labelled("fronted")}, 3_000)
    server.ask(review(new, name="x" * 1_000_000, userInfo={"username": "y" * 1_000_000}))
    [record] = [r for r in caplog.records if r.name == "netadmit.decision"]
    line = _JSONFormatter().format(record)
    assert len(line) < 30_000
    entry = json.loads(line)
    assert len(entry["findings"]) == 100
    assert entry["findingsInAll"] > 100


_OUR_COLOURS = re.compile(r"\x1b\[(?:0|1|2|34|1;3[1236])m")


def assert_drives_no_terminal(text: str) -> None:
    for line in _OUR_COLOURS.sub("", text).split("\n"):
        assert is_plain(line), line


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*argv: str, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(list(argv))
        captured = capsysbinary.readouterr()
        return Outcome(code, captured.out.decode(), captured.err.decode())

    return call


@pytest.mark.parametrize("colour", ["FORCE_COLOR", "NO_COLOR"])
def test_no_foreign_escape_reaches_the_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colour: str
) -> None:
    monkeypatch.setenv(colour, "1")
    monkeypatch.delenv("NO_COLOR" if colour == "FORCE_COLOR" else "FORCE_COLOR", raising=False)
    folder = tmp_path / "a\x1b[45m\u202eb"
    folder.mkdir()
    agent = {"name": HOSTILE, "image": f"quay.io/calico/node:{HOSTILE}"}
    state = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOSTILE, "labels": {HOSTILE: HOSTILE}}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": HOSTILE, "namespace": "team-001", "labels": {"tier": "api", HOSTILE: f"{HOSTILE}x"}},
            "spec": {"containers": [{"ports": [{"containerPort": 8080, "name": f"{HOSTILE}x"}]}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": HOSTILE, "namespace": "kube-system", "labels": {"k8s-app": "calico-node"}},
            "spec": {"template": {"metadata": {"labels": {"k8s-app": "calico-node"}}, "spec": {"containers": [agent]}}},
        },
    ]
    every: list[Any] = [*state, *hostile_objects()]
    every.append({"apiVersion": "v1", "kind": HOSTILE, "metadata": {"name": HOSTILE}})
    every.append(a_policy({"podSelector": {HOSTILE: HOSTILE}, HOSTILE: [], "policyTypes": [HOSTILE]}, name=HOSTILE))
    (folder / "objects.json").write_text("\n".join(json.dumps(one) for one in every))
    escaped = HOSTILE.encode("unicode_escape").decode().replace("'", "")
    (folder / "broken.yaml").write_text(f'"{escaped}": [\n---\u202e {escaped}\n---\nkind: \x1b[45m\n---\n- a\u202e\n')
    (folder / "state.json").write_text("\n".join(json.dumps(one) for one in state))
    waived = a_policy({"ingress": [{"from": [{"podSelector": labelled("x")}]}]}, name=HOSTILE)
    waived["metadata"]["annotations"] = {"netadmit.io/ignore.peer-matches-nothing": HOSTILE}
    (folder / "waived.json").write_text(json.dumps(waived))
    for argv in (
        ["check", str(folder), "--notes"],
        ["check", str(folder), "--notes", "--cluster", str(folder / "state.json"), "--complete"],
        ["audit", "--cluster", str(folder), "--notes", "--complete"],
        ["enforcement", "--cluster", str(folder)],
        ["check", str(folder / "missing\x1b[45m")],
        ["review", str(folder / "broken.yaml")],
        ["check", "x", "--config", str(folder / "broken.yaml")],
    ):
        outcome = run(*argv)
        assert outcome.out + outcome.err, argv
        assert_drives_no_terminal(outcome.out)
        assert_drives_no_terminal(outcome.err)
        assert "Traceback" not in outcome.err


@pytest.mark.parametrize("number", range(5))
def test_hostile_names_in_a_review_from_a_file(run: Run, number: int) -> None:
    outcome = run("review", stdin=json.dumps(review(hostile_objects()[number], name=HOSTILE)).encode())
    response = json.loads(outcome.out)["response"]
    assert all(is_plain(line) and len(line) <= 256 for line in response.get("warnings", []))
    assert_drives_no_terminal(outcome.err)


def test_a_report_shows_no_megabytes(run: Run, tmp_path: Path) -> None:
    """One line of JSON is a file's usual form, and a caret far to the right helps nobody."""
    wrong = {"ingress": [{"ports": [{"port": 70_000 + i} for i in range(2_000)]}]}
    file = tmp_path / "one-line.json"
    file.write_text(json.dumps(a_policy(wrong)))
    outcome = run("check", str(file))
    assert outcome.code == 1
    assert max(map(len, outcome.out.splitlines())) < 300
    lines = outcome.out.splitlines()
    carets = [i for i, line in enumerate(lines) if "^" in line and not line.strip(" |^")]
    assert len(carets) == 2_000
    for i in carets:
        start, end = lines[i].index("^"), lines[i].rindex("^")
        assert lines[i - 1][start : end + 1] == '"port"'
    file.write_text(json.dumps(a_policy({"podSelector": labelled("x" * 3_000_000)})))
    outcome = run("check", str(file))
    assert len(outcome.out) < 5_000


# --- files ------------------------------------------------------------------------------------------------------------


class Process(NamedTuple):
    code: int
    out: str
    err: str
    mebibytes: float
    seconds: float


def netadmit(*argv: str, stdin: Path | None = None) -> Process:
    """Runs the command in a process of its own, and says what it took."""
    # Not ru_maxrss: that begins with the memory of the process that started this one.
    report = (
        "import re, sys, time\nfrom pathlib import Path\nfrom webhook.cli import main\ncode = main(sys.argv[1:])\n"
        "sys.stdout.flush()\npeak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]\n"
        "print(f'\\n{int(peak) / 1024} {time.process_time()}', file=sys.stderr)\nsys.exit(code)\n"
    )
    with (stdin or Path(os.devnull)).open("rb") as given:
        done = subprocess.run(
            [sys.executable, "-c", report, *argv],
            stdin=given,
            capture_output=True,
            text=True,
            check=False,
            cwd=HERE,
            timeout=120,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
        )
    assert "Traceback" not in done.stderr, done.stderr[-2_000:]
    err, _, used = done.stderr.rstrip("\n").rpartition("\n")
    mebibytes, seconds = map(float, used.split())
    return Process(done.returncode, done.stdout, err, mebibytes, seconds)


_HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x, namespace: shop}\nspec:\n"
_LAUGHS = "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]" for i in range(12))
BOMBS: dict[str, Callable[[], str]] = {
    "a billion laughs": lambda: f"apiVersion: v1\nkind: ConfigMap\na: &a [{', '.join(['lol'] * 10)}]\n{_LAUGHS}\n",
    "laughs inside a policy": lambda: (
        f"{_HEAD}  podSelector: {{}}\n  a: &a [lol, lol]\n  " + _LAUGHS.replace("\n", "\n  ")
    ),
    "an alias to itself": lambda: f"{_HEAD}  podSelector: &a {{matchLabels: *a}}\n",
    "100,000 sequences in each other": lambda: "a: " + "[" * 100_000 + "]" * 100_000,
    "3,000 mappings in each other": lambda: "\n".join(" " * i + "a:" for i in range(3_000)),
    "100,000 arrays in each other": lambda: '{"apiVersion": "v1", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "only opening brackets": lambda: '{"a":' * 300_000,
    "question marks": lambda: "? " * 20_000,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_yaml_bombs_and_abysses_are_refused(tmp_path: Path, text: Callable[[], str]) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text(text() + f"\n---\n{_HEAD}  podSelector: {{matchLabels: {{a: yes}}}}\n")
    outcome = netadmit("check", str(file))
    assert outcome.code == 2, outcome
    assert "bomb.yaml:" in outcome.err
    assert "this is the boolean true" in outcome.out, "what follows is read all the same"
    assert outcome.mebibytes < 300
    assert outcome.seconds < 20


def test_a_stream_of_100_000_documents(tmp_path: Path) -> None:
    file = tmp_path / "stream.yaml"
    with file.open("w") as stream:
        for i in range(100_000):
            if i % 8:
                stream.write(f"---\n# document {i}\n")
            else:
                stream.write(
                    f"---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
                    f"metadata: {{name: p{i}, namespace: shop}}\n"
                    "spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}\n"
                )
    outcome = netadmit("check", "-", stdin=file)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("12500 objects: nothing to say")
    assert outcome.mebibytes < 300
    assert outcome.seconds < 60


def test_documents_that_are_all_broken_are_each_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("---\nkind: [\n" * 10_000)
    outcome = netadmit("check", str(file))
    assert outcome.code == 2
    assert outcome.err.count("(document ") == 10_000
    assert outcome.mebibytes < 300


def test_a_list_whose_items_all_have_a_key_twice(run: Run, tmp_path: Path) -> None:
    item = "- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: a{0}}}, data: {{a: b, a: c, b: d, b: e}}}}\n"
    file = tmp_path / "list.yaml"
    file.write_text("apiVersion: v1\nkind: List\nitems:\n" + "".join(item.format(i) for i in range(1_500)))
    start = time.process_time()
    outcome = run("check", str(file), "-o", "json")
    assert time.process_time() - start < 15
    found = json.loads(outcome.out)["findings"]
    assert [(f["path"], f["source"]["line"]) for f in found] == [
        (path, line) for line in range(4, 1_504) for path in ("data.a", "data.b")
    ]


def test_places_in_a_document_that_is_deep_and_wide(run: Run, tmp_path: Path) -> None:
    deep = 480
    file = tmp_path / "deep.yaml"
    file.write_text(f"{_HEAD}  podSelector: {{}}\n  x: {'[' * deep}{', '.join('a' * 100_000)}{']' * deep}\n")
    start = time.process_time()
    outcome = run("check", str(file))
    assert time.process_time() - start < 15
    assert "deep.yaml:6:3: " in outcome.out


def test_a_scalar_of_megabytes(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    file.write_text(f"{_HEAD}  podSelector: {{matchLabels: {{app: '{'x' * 10_000_000}'}}}}\n")
    outcome = netadmit("check", str(file))
    assert outcome.code == 1
    assert len(outcome.out) < 10_000
    assert outcome.mebibytes < 300


def test_many_short_lines_do_not_weigh_more_than_their_text(tmp_path: Path) -> None:
    file = tmp_path / "yes.yaml"
    file.write_bytes(b"y\n" * 1_000_000)
    outcome = netadmit("check", str(file))
    assert outcome.code == 2
    assert "not a mapping" in outcome.err
    assert outcome.mebibytes < 150


class Endless(io.RawIOBase):
    """Standard input that goes on, until somebody has read too much of it."""

    def __init__(self, line: bytes, most: int) -> None:
        self.line = line
        self.left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.left <= 0:
            return 0
        number = min(len(buffer), len(self.line))
        buffer[:number] = self.line[:number]
        self.left -= number
        return number


@pytest.mark.parametrize("line", [b"y\n", b"\x00" * 65536, b"a: b\n", b'{"a": "', "\ufeffy\n".encode("utf-16-le")])
def test_endless_input_is_not_kept(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(manifests, "_largest", 1 << 14)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [found] = manifests.read_manifests(["-"], stdin=io.BufferedReader(Endless(line, 1 << 20)))
    assert "larger than 0 MiB" in str(found)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_fifo_is_read_to_its_end(run: Run, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    text = f"{_HEAD}  podSelector: {{}}\n"
    writer = threading.Thread(target=fifo.write_text, args=(text,))
    writer.start()
    outcome = run("check", str(fifo))
    writer.join(10)
    assert outcome.code == 0
    assert outcome.out.startswith("1 object: ")


def test_folders_with_loops_and_misleading_names(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    (folder / "sub" / "folder.yaml").mkdir(parents=True)
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "self.yaml").symlink_to(folder / "self.yaml")
    (folder / "dangling.yaml").symlink_to(folder / "nowhere")
    (folder / "sub" / "folder.yaml" / "policy.yaml").write_text(f"{_HEAD}  podSelector: {{}}\n")
    (folder / "link.yaml").symlink_to(folder / "sub" / "folder.yaml" / "policy.yaml")
    outcome = run("check", str(folder))
    assert outcome.code == 2
    assert "self.yaml: cannot be read" in outcome.err
    assert "dangling.yaml: cannot be read" in outcome.err
    assert outcome.out.startswith("2 objects: ")
    assert len(outcome.err.splitlines()) == 2


def test_a_review_of_megabytes_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "review.json"
    file.write_text(json.dumps(review(LARGE["50,000 peers"]())))
    outcome = netadmit("review", str(file))
    assert outcome.code == 0
    assert json.loads(outcome.out)["response"]["allowed"] is True
    assert outcome.mebibytes < 400


def test_every_error_of_a_review_is_one_line() -> None:
    for text in (HOSTILE, "x" * 1_000_000):
        with pytest.raises(ReviewError) as caught:
            decode_review(json.dumps(review(sound(), operation=text)).encode())
        assert is_plain(str(caught.value))
        assert len(str(caught.value)) < 1_100


def test_the_checks_spend_what_they_look_at() -> None:
    """A check that nobody remembered to count would be seen here: more of everything must cost it more steps."""
    crowd = Cluster.of((Pod("team-001", f"p{i}", {"tier": f"t{i}"}) for i in range(50)), complete=True)
    npc = Container("weave-npc", "weaveworks/weave-npc:2.8.1")
    crowd.put(Workload(kind=DAEMON_SET, namespace="kube-system", name="weave-net", labels={}, containers=(npc,)))
    peer = {"namespaceSelector": {}, "podSelector": {}}
    rule = {"from": [peer, {"podSelector": labelled("x")}], "ports": [{"port": 80}, {"port": "http"}]}
    free = {"cni-does-not-enforce", "rules-without-policy-type", "opens-on-removal"}
    # What costs them most is the pods that are selected, or a text that is not there.
    fixed = {
        "ambient-mesh-port",
        "cuts-api-server",  # this and dns-blocked look at egress: tests/test_traffic_checks.py
        "cuts-ingress-backend",
        "cuts-on-removal",
        "cuts-service",
        "cuts-webhook",
        "dns-blocked",
        "host-network-selected",
        "policy-redundant",
        "selector-matches-nothing",
        "selects-whole-namespace-by-accident",
    }
    free |= {"cni-covers-some-nodes", "other-policy-apis"}  # they look at pods, whatever the rules are
    for check in all_checks():
        if NETWORK_POLICY not in check.judges or check.files_only or check.id in free:
            continue
        spent = []
        for many in (1, 50):
            new = a_policy({"podSelector": {}, "ingress": [rule] * many})
            old = a_policy({"podSelector": {}, "ingress": [rule] * many, "policyTypes": ["Ingress"]})
            request = decode_review(json.dumps(review(new, old)).encode())
            assert request.new is not None
            ctx = Context(check.operations[0], request.new, crowd, old=request.old)
            list(check.run(ctx))
            spent.append(MOST_STEPS - ctx.steps)
        if check.id not in fixed:
            assert spent[1] > 5 * spent[0] > 0, check.id
