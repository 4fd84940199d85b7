"""The HTTPS server over real sockets: what kube-apiserver gets, whatever it sends."""

import asyncio
import io
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from certs.store import Files, provide
from webhook.check import Check, Context, Finding, Level
from webhook.checks import all_checks
from webhook.cli.serve import _JSONFormatter, persist
from webhook.config import Config
from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    CILIUM_CLUSTERWIDE_NETWORK_POLICY,
    NETWORK_POLICY,
    POD,
    SERVICE,
    Namespace,
    Pod,
    Record,
)
from webhook.model.parse import convert
from webhook.pipeline import Judge
from webhook.server import (
    KEEP_ALIVE_SECONDS,
    LARGEST_BODY,
    PATIENCE_SECONDS,
    FixedState,
    Listeners,
    Service,
    parse_timeout,
    server_tls,
)
from webhook.state.watch import KindStatus

SHOP = Namespace("shop", {"kubernetes.io/metadata.name": "shop"})
API = Pod("shop", "api-1", {"app": "api"})


def cluster(*pods: Pod) -> Cluster:
    return Cluster.of([SHOP, *pods], complete=True)


def policy(spec: Any = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "api", "namespace": "shop"} | metadata,
        "spec": {"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Ingress"]} if spec is None else spec,
    }


DEAD_RULES = policy(
    {"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 443}]}]}
)
MISSPELT = policy({"podSelector": {"matchLabels": {"app": "apii"}}, "policyTypes": ["Ingress"]})
_GROUPS = {"NetworkPolicy": "networking.k8s.io"}
_NETWORK_POLICY = {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"}
_CILIUM = {"group": "cilium.io", "version": "v2", "kind": "CiliumNetworkPolicy"}
_LOST = {"kind": "Service", "metadata": {"name": "x", "namespace": "shop"}, "spec": {"selector": {"app": "apii"}}}


def review(new: Any = None, old: Any = None, operation: str = "", **more: Any) -> dict[str, Any]:
    shown = new or old or {}
    metadata = shown.get("metadata", {}) if isinstance(shown, dict) else {}
    kind = shown.get("kind", "NetworkPolicy") if isinstance(shown, dict) else "NetworkPolicy"
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": _GROUPS.get(kind, ""), "version": "v1", "kind": kind},
        "operation": operation or ("UPDATE" if new and old else "CREATE" if new else "DELETE"),
        "name": metadata.get("name"),
        "namespace": metadata.get("namespace"),
        "object": new,
        "oldObject": old,
        "userInfo": {"username": "alice"},
        "dryRun": False,
    } | more
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


class Scripted:
    """A state whose news come when the test says, on a clock that stands still otherwise."""

    def __init__(self, cluster: Cluster, *news: tuple[float, Callable[[Cluster], None]], synced: bool = True) -> None:
        self.cluster = cluster
        self.synced = synced
        self.now = 100.0
        self.news = list(news)
        self.waits: list[tuple[float, frozenset[str], float]] = []

    def clock(self) -> float:
        return self.now

    def status(self) -> list[KindStatus]:
        return [
            KindStatus("v1/Pod", Completeness.COMPLETE if self.synced else Completeness.ABSENT, self.synced, 3, 0.5, 2),
            KindStatus(
                "v1/Node", Completeness.ABSENT, synced=True, objects=0, age=None, restarts=7, reason="forbidden"
            ),
        ]

    async def wait_newer(self, since: float, kinds: Iterable[str], timeout: float) -> bool:  # noqa: ASYNC109
        self.waits.append((since, frozenset(kinds), timeout))
        assert timeout > 0
        if self.news and self.news[0][0] <= timeout:
            after, change = self.news.pop(0)
            self.now += after
            change(self.cluster)
            return True
        self.now += timeout
        return False


class Server:
    """A running server and a client that trusts its CA."""

    def __init__(self, service: Service, session: aiohttp.ClientSession, port: int, metrics_port: int) -> None:
        self.service = service
        self.session = session
        self.port = port
        self.metrics_port = metrics_port
        self.listeners: Listeners

    async def post(self, body: Any, query: str = "?timeout=10s", path: str = "/validate") -> tuple[int, str]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"https://localhost:{self.port}{path}{query}"
        async with self.session.post(url, data=io.BytesIO(data)) as http:
            return http.status, await http.text()

    async def ask(self, body: Any, query: str = "?timeout=10s") -> dict[str, Any]:
        status, text = await self.post(body, query)
        assert status == 200, text
        answer = json.loads(text)
        assert answer["apiVersion"] == "admission.k8s.io/v1"
        assert answer["kind"] == "AdmissionReview"
        assert set(answer) == {"apiVersion", "kind", "response"}
        assert answer["response"]["uid"] == "705ab4f5-6393-11e8-b7cc-42010a800002"
        response: dict[str, Any] = answer["response"]
        return response

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"http://127.0.0.1:{self.metrics_port}{path}") as http:
            return http.status, await http.text()

    async def alive(self) -> None:
        assert (await self.ask(review(policy())))["allowed"] is True


Start = Callable[..., Awaitable[Server]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return provide(tmp_path_factory.mktemp("certs"), ["localhost", "127.0.0.1"], datetime.now(UTC))


@pytest.fixture
async def start(files: Files) -> AsyncIterator[Start]:
    running: list[Server] = []

    async def begin(
        state: Any = None, *, checks: Iterable[Check] | None = None, config: Config | None = None
    ) -> Server:
        state = state if state is not None else FixedState(cluster(API))
        judge = Judge(config, None if checks is None else tuple(checks))
        clock = {"clock": state.clock} if isinstance(state, Scripted) else {}
        service = Service(judge, state, **clock)
        listeners = Listeners(service, server_tls(str(files.certificate), str(files.key)))
        ports = await listeners.open("127.0.0.1", 0, 0)
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=files.ca))
        server = Server(service, aiohttp.ClientSession(connector=connector), *ports)
        server.listeners = listeners
        running.append(server)
        return server

    yield begin
    for server in running:
        await server.session.close()
        await server.listeners.close()


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_a_sound_policy_is_allowed_without_a_word(start: Start) -> None:
    response = await (await start()).ask(review(policy()))
    assert response["allowed"] is True
    assert "warnings" not in response
    assert "status" not in response


async def test_a_warning_names_object_and_check(start: Start) -> None:
    response = await (await start()).ask(review(MISSPELT))
    assert response["allowed"] is True
    [warning] = response["warnings"]
    assert warning == (
        "netpol shop/api: podSelector app=apii matches no pod: 1 pod has app=api; write app: api "
        "[selector-matches-nothing]"
    )
    assert response["auditAnnotations"]["findings"] == "selector-matches-nothing"


async def test_what_other_policies_may_allow_is_not_warned_of(start: Start) -> None:
    """Cilium joins its own policies with NetworkPolicies: whether a pod may ask for names is not known then."""
    dns = [
        convert("v1/Pod", {"metadata": {"name": "dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}}),
        convert(
            "v1/Service",
            {
                "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                "spec": {"selector": {"k8s-app": "kube-dns"}, "ports": [{"port": 53, "protocol": "UDP"}]},
            },
        ),
    ]
    every = {"endpointSelector": {}, "egress": [{"toEntities": ["cluster"]}]}
    allows = convert(CILIUM_CLUSTERWIDE_NETWORK_POLICY, {"metadata": {"name": "dns"}, "spec": every})
    https = {"podSelector": {"matchLabels": {"app": "api"}}, "egress": [{"ports": [{"port": 443}]}]}
    https["policyTypes"] = ["Egress"]
    state = Cluster.of([SHOP, API, *dns], complete=True)
    server = await start(FixedState(state))
    [warning] = (await server.ask(review(policy(https))))["warnings"]
    assert warning.endswith("[dns-blocked]")
    state.put(allows)
    assert "warnings" not in await server.ask(review(policy(https)))
    [line] = (await server.ask(review(policy(https), dryRun=True)))["warnings"][:1]
    assert line.endswith(" shop/api: by NetworkPolicies alone: 1 other policy of Cilium not counted [effect]")
    state.remove(CILIUM_CLUSTERWIDE_NETWORK_POLICY, ("", "dns"))
    assert (await server.ask(review(policy(https))))["warnings"] == [warning]


async def test_a_denial_has_the_shape_that_kubectl_prints_well(start: Start) -> None:
    response = await (await start()).ask(review(DEAD_RULES))
    assert response["allowed"] is False
    assert response["status"] == {
        "code": 403,
        "reason": "Forbidden",
        "message": "netpol shop/api: policyTypes lacks Egress: its egress rule does nothing; add Egress "
        "[rules-without-policy-type]",
    }


async def test_every_reason_is_in_the_message_and_warnings_come_along(start: Start) -> None:
    spec = {
        "podSelector": {
            "matchLabels": {"app": "api"},
            "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}],
        },
        "policyTypes": ["Ingress"],
        "egress": [{"ports": [{"port": 443}]}],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "ap"}}}]}],
    }
    response = await (await start()).ask(review(policy(spec)))
    lines = response["status"]["message"].splitlines()
    assert len(lines) == 2
    assert {line.rpartition(" ")[2] for line in lines} == {"[selector-can-never-match]", "[rules-without-policy-type]"}


async def test_the_generated_name_is_the_requests(start: Start) -> None:
    server = await start()
    generated = MISSPELT | {"metadata": {"generateName": "api-", "namespace": "shop"}}
    response = await server.ask(review(generated, name="api-x7b2k", namespace="shop"))
    assert response["warnings"][0].startswith("netpol shop/api-x7b2k: ")
    response = await server.ask(review(generated, name=None, namespace="shop"))
    assert response["warnings"][0].startswith("netpol shop/api-: ")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(review({"kind": "Pod", "metadata": {"name": "x", "namespace": "shop"}, "spec": 5}), id="a Pod"),
        pytest.param(
            review(
                {"kind": "ServiceProxyOptions", "apiVersion": "v1"},
                operation="CONNECT",
                subResource="proxy",
                name="api:80",
                namespace="shop",
            ),
            id="CONNECT on services/proxy",
        ),
        pytest.param(
            review(operation="CONNECT", kind={"group": "", "version": "v1", "kind": "Service"}, subResource="proxy"),
            id="CONNECT on a Service",
        ),
        pytest.param(
            review(
                _LOST,
                subResource="status",
                operation="UPDATE",
            ),
            id="services/status",
        ),
        pytest.param(review(None, MISSPELT), id="DELETE"),
        pytest.param(review(None, MISSPELT, name=None), id="DELETE of a collection: without a name"),
        pytest.param(review(None, DEAD_RULES | {"spec": {"podSelector": 7}}), id="DELETE of what cannot be decoded"),
        pytest.param(review(operation="DELETE", kind=_NETWORK_POLICY), id="DELETE without oldObject"),
        pytest.param(review({"kind": "CiliumNetworkPolicy"}, kind=_CILIUM), id="another group"),
    ],
)
async def test_what_is_not_judged_is_allowed_without_a_word(start: Start, body: dict[str, Any]) -> None:
    response = await (await start()).ask(body)
    assert response == {"uid": body["request"]["uid"], "allowed": True}


async def test_an_update_whose_old_object_cannot_be_decoded_is_judged_by_the_new_one(start: Start) -> None:
    server = await start()
    broken = policy({"podSelector": GT})
    assert (await server.ask(review(policy(), broken)))["allowed"] is True
    assert (await server.ask(review(DEAD_RULES, broken)))["allowed"] is False


async def test_a_deletion_without_a_name_is_told_by_the_old_objects_and_never_denied(start: Start) -> None:
    response = await (await start()).ask(review(None, policy(), name=None))
    assert response["allowed"] is True
    assert response["warnings"][0].startswith("netpol shop/api: ")


async def test_unknown_and_null_fields_of_the_request_do_not_matter(start: Start) -> None:
    body = review(
        policy(), options={"kind": "CreateOptions"}, resource=None, dryRun=None, userInfo=None, subResource=""
    )
    assert (await (await start()).ask(body))["allowed"] is True


async def test_the_body_of_a_large_update_is_read(start: Start) -> None:
    ports = [{"port": 1 + i % 65535, "protocol": "TCP"} for i in range(65_000)]
    large = policy({"podSelector": {"matchLabels": {"app": "api"}}, "ingress": [{"ports": ports}]})
    body = json.dumps(review(large, large)).encode()
    assert 4_500_000 < len(body) < LARGEST_BODY
    assert (await (await start()).ask(body))["allowed"] is True


async def test_a_body_beyond_the_limit_is_refused(start: Start) -> None:
    server = await start()
    status, _ = await server.post(b'{"padding": "' + b"x" * LARGEST_BODY + b'"}')
    assert status == 413
    await server.alive()


# --- bad input --------------------------------------------------------------------------------------------------------

DEEP = 100_000
GT = {"matchExpressions": [{"key": "a", "operator": "Gt"}]}


def spec_of(text: str) -> bytes:
    return json.dumps(review(policy(12345))).replace("12345", text).encode()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (json.dumps(review(policy())).encode()[:-9], "not JSON"),
        (b"[]", "not an AdmissionReview: Expected `object`, got `array`"),
        (b"null", "not an AdmissionReview"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (json.dumps(review(policy())).encode().replace(b"alice", b"al\xffce"), "not UTF-8: invalid start byte at "),
        (b'{"a":' * DEEP, "not JSON"),
        (spec_of('{"podSelector": ' + "[" * DEEP + "]" * DEEP + "}"), "not JSON"),
        (
            spec_of('{"podSelector": ' + '{"a":' * 900 + "1" + "}" * 900 + ', "ingress": null, "egress": 1}'),
            "request.object",
        ),
        ({"apiVersion": "v1", "kind": "Pod"}, "kind: 'Pod', expected 'AdmissionReview'"),
        ({}, "kind: 'missing', expected 'AdmissionReview'"),
        (review(policy()) | {"apiVersion": "admission.k8s.io/v1beta1"}, "apiVersion: 'admission.k8s.io/v1beta1', exp"),
        ({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}, "request: missing"),
        ({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {}}, "required field `uid`"),
        (review(policy(), uid=""), "request.uid: missing"),
        (review(policy(), uid=None), "request.uid: Expected `str`, got `null`"),
        (review(policy(), operation="PATCH"), "request.operation: 'PATCH', expected one of CREATE"),
        (review(operation="CREATE"), "request.object: missing"),
        (review(policy(7)), "request.object.spec: Expected `object`, got `int`"),
        (review(policy({"podSelector": []})), "request.object.spec.podSelector: Expected `object`, got `array`"),
        (review(policy({"podSelector": {"matchLabels": {"a": True}}})), "request.object.spec.podSelector.matchLabels"),
        (
            review(policy({"ingress": [{}, {"from": [{"podSelector": 1}]}]})),
            "request.object.spec.ingress[1].from[0].podSelector: Expected `object",
        ),
        (
            review(policy({"podSelector": {"matchExpressions": [{"key": "a", "operator": "in"}]}})),
            "request.object.spec.podSelector.matchExpressions[0].operator: 'in', expected one of In, NotIn",
        ),
        (
            review(policy({"egress": [{"to": [{"namespaceSelector": GT}]}]})),
            "request.object.spec.egress[0].to[0].namespaceSelector.matchExpressions[0].operator: 'Gt'",
        ),
        (
            review(policy({"ingress": [{"ports": [{"port": 70000}]}]})),
            "request.object.spec.ingress[0].ports[0].port: 70000, must be between 1 and 65535",
        ),
        (
            review(policy({"ingress": [{"ports": [{"port": 1, "endPort": 0}]}]})),
            "request.object.spec.ingress[0].ports[0].endPort: 0, must be between",
        ),
        (
            review(policy({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]})),
            "request.object.spec.ingress[0].from[0].ipBlock.cidr: '10.0.0.0' is not a CIDR",
        ),
        (review(policy({"policyTypes": ["ingress"]})), "request.object.spec.policyTypes[0]: 'ingress', expected"),
    ],
)
async def test_bad_input_is_refused_with_the_reason_and_nothing_breaks(
    start: Start, body: Any, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start()
    status, text = await server.post(body)
    assert status == 400, text
    assert text.startswith("netadmit: ")
    assert says in text
    assert "Traceback" not in text
    await server.alive()
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]
    _, metrics = await server.get("/metrics")
    assert 'netadmit_admission_reviews_total{decision="refused",kind="",operation=""} 1.0' in metrics


async def test_the_place_of_a_broken_byte_is_told_in_the_body(start: Start) -> None:
    body = json.dumps(review(policy())).encode().replace(b"alice", b"al\xffce")
    _, text = await (await start()).post(body)
    assert f"at byte {body.index(0xFF)}" in text


async def test_other_paths_and_methods(start: Start) -> None:
    server = await start()
    assert (await server.post(review(policy()), path="/other"))[0] == 404
    async with server.session.get(f"https://localhost:{server.port}/validate") as http:
        assert http.status == 405
    async with server.session.get(f"https://localhost:{server.port}/metrics") as http:
        assert http.status == 404
    assert await server.get("/healthz") == (200, "ok\n")


# --- connections ------------------------------------------------------------------------------------------------------


async def raw_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, str]:
    body = json.dumps(review(policy())).encode()
    head = f"POST /validate?timeout=3s HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    assert status == "HTTP/1.1 200 OK"
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    await reader.readexactly(int(headers["content-length"]))
    return headers


async def test_a_connection_is_used_again_and_closed_while_draining(start: Start, files: Files) -> None:
    server = await start()
    trusted = ssl.create_default_context(cafile=files.ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusted, server_hostname="localhost")
    for _ in range(3):
        assert "connection" not in await raw_request(reader, writer)
    server.service.draining = True
    assert (await raw_request(reader, writer))["connection"] == "close"
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert (await server.get("/readyz"))[0] == 503
    await server.alive()  # what still arrives is answered


async def test_closing_answers_what_is_under_way(start: Start) -> None:
    server = await start()
    closing = asyncio.create_task(server.listeners.close(drain_seconds=0.2))
    await asyncio.sleep(0.05)
    assert server.service.draining
    await server.alive()
    await closing
    with pytest.raises(aiohttp.ClientConnectorError):
        await server.post(review(policy()))


async def test_idle_connections_outlive_those_of_gos_client(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    real = web.AppRunner

    def runner(app: web.Application, **options: Any) -> web.AppRunner:
        given.append(options)
        return real(app, **options)

    monkeypatch.setattr(web, "AppRunner", runner)
    await start()
    assert KEEP_ALIVE_SECONDS > 90
    assert [options["keepalive_timeout"] for options in given] == [KEEP_ALIVE_SECONDS] * 2
    assert all(options["handler_cancellation"] for options in given)


def test_tls_begins_at_1_2(files: Files) -> None:
    assert server_tls(str(files.certificate), str(files.key)).minimum_version == ssl.TLSVersion.TLSv1_2


async def test_old_tls_unknown_cas_and_other_names_are_refused(start: Start, files: Files) -> None:
    server = await start()

    async def connect(context: ssl.SSLContext, name: str = "localhost") -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname=name)
        writer.close()
        await writer.wait_closed()

    await connect(ssl.create_default_context(cafile=files.ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(ssl.create_default_context(cafile=files.ca), "netadmit.example")
    await server.alive()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3s", 3.0),
        ("30s", 30.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("0s", 0.0),
        ("", 10.0),
        ("3", 10.0),
        ("s", 10.0),
        ("-3s", 10.0),
        ("3s ", 10.0),
        ("3 s", 10.0),
        ("1e3s", 10.0),
        ("nan", 10.0),
    ],
)
def test_the_timeout_is_read_as_go_writes_it(text: str, seconds: float) -> None:
    assert parse_timeout(text) == seconds


# --- state that is not there yet --------------------------------------------------------------------------------------


async def test_before_the_state_is_read_nothing_is_denied_and_readyz_names_what_is_waited_for(start: Start) -> None:
    server = await start(Scripted(cluster(API), synced=False))
    response = await server.ask(review(DEAD_RULES))
    assert response["allowed"] is True
    status, text = await server.get("/readyz")
    assert status == 503
    said = json.loads(text)
    enforcement = said.pop("enforcement")
    assert said == {"ready": False, "lacking": [], "waiting": ["v1/Pod"], "unknown": {"v1/Node": "forbidden"}}
    assert enforcement == {
        "state": "unknown",
        "engine": "",
        "reason": "no known engine was found",
    }


async def test_before_the_state_is_read_absence_proves_nothing(start: Start) -> None:
    # The misspelt pod was read already; the right one may be on the next page of the list.
    state = Scripted(Cluster.of([SHOP, API]), synced=False)
    response = await (await start(state)).ask(review(MISSPELT))
    assert response["allowed"] is True
    assert "warnings" not in response


async def test_ready_with_the_state_read(start: Start) -> None:
    status, text = await (await start(Scripted(cluster(API)))).get("/readyz")
    assert status == 200
    assert json.loads(text)["ready"] is True


async def test_not_ready_before_tls_can_be_served(start: Start, files: Files) -> None:
    """With the very failure of facts/production.md 1.4: a context that is left without a usable pair."""
    server = await start()
    assert (await server.get("/readyz"))[0] == 200
    for context, lacking in (
        (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ["a TLS connection to itself: "]),
        (server_tls(str(files.certificate), str(files.key)), []),
    ):
        listeners = Listeners(server.service, context)
        await listeners.open("127.0.0.1", 0, 0)
        try:
            status, text = await server.get("/readyz")
            assert status == (503 if lacking else 200)
            said = json.loads(text)["lacking"]
            assert len(said) == len(lacking)
            assert all(line.startswith(start) for line, start in zip(said, lacking, strict=True)), said
        finally:
            for runner in listeners._runners:
                await runner.cleanup()
    assert (await server.get("/readyz"))[0] == 503, "nobody listens there any more"


async def test_not_ready_before_what_is_awaited(start: Start) -> None:
    server = await start()
    published = False
    server.service.awaited["the CA to be published"] = lambda: published
    status, text = await server.get("/readyz")
    assert (status, json.loads(text)["lacking"]) == (503, ["the CA to be published"])
    await server.alive()
    published = True
    assert (await server.get("/readyz"))[0] == 200


# --- patience ---------------------------------------------------------------------------------------------------------


def appear(cluster: Cluster) -> None:
    cluster.put(Pod("shop", "apii-1", {"app": "apii"}))


def unrelated(cluster: Cluster) -> None:
    cluster.put(Pod("shop", "other", {"app": "other"}))


async def test_a_warning_about_absence_waits_and_goes_when_the_pod_arrives(start: Start) -> None:
    state = Scripted(cluster(API), (0.03, unrelated), (0.04, appear))
    response = await (await start(state)).ask(review(MISSPELT))
    assert "warnings" not in response
    assert [round(wait[2], 3) for wait in state.waits] == [0.15, 0.12]
    assert POD in state.waits[0][1]
    assert state.waits[0][0] == 100.0


async def test_a_warning_about_absence_is_given_when_nothing_comes(start: Start) -> None:
    state = Scripted(cluster(API))
    response = await (await start(state)).ask(review(MISSPELT))
    assert "selector-matches-nothing" in response["warnings"][0]
    assert state.now == pytest.approx(100.0 + PATIENCE_SECONDS)


async def test_a_wait_never_outlasts_the_deadline(start: Start) -> None:
    state = Scripted(cluster(API))
    server = await start(state)
    await server.ask(review(MISSPELT), "?timeout=300ms")
    assert state.now == pytest.approx(100.1)
    await server.ask(review(MISSPELT), "?timeout=200ms")
    assert state.now == pytest.approx(100.1)
    assert len(state.waits) == 1


async def test_news_that_never_end_do_not_hold_the_answer(start: Start) -> None:
    state = Scripted(cluster(API), *[(0.01, unrelated)] * 1000)
    response = await (await start(state)).ask(review(MISSPELT))
    assert response["warnings"]
    assert state.now == pytest.approx(100.0 + PATIENCE_SECONDS, abs=0.011)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(review(MISSPELT, policy()), id="UPDATE"),
        pytest.param(review(policy({"podSelector": {"matchLabels": {"app": "storefront"}}})), id="a note"),
        pytest.param(review(policy()), id="nothing to say"),
        pytest.param(review(DEAD_RULES), id="a finding that rests on the object alone"),
        pytest.param(review(None, MISSPELT), id="DELETE"),
    ],
)
async def test_nothing_else_waits(start: Start, body: dict[str, Any]) -> None:
    state = Scripted(cluster(API))
    await (await start(state)).ask(body)
    assert state.waits == []


async def test_the_and_or_trap_rests_on_absence_too(start: Start) -> None:
    other = Namespace("clients", {"kubernetes.io/metadata.name": "clients"})
    there: list[Record] = [other, Pod("clients", "one", {"access": "yes"}), Pod("clients", "two", {"access": "no"})]
    spec = {
        "podSelector": {"matchLabels": {"app": "api"}},
        "ingress": [
            {
                "from": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "clients"}}},
                    {"podSelector": {"matchLabels": {"access": "yes"}}},
                ]
            }
        ],
    }
    state = Scripted(Cluster.of([SHOP, API, *there], complete=True))
    response = await (await start(state)).ask(review(policy(spec)))
    assert "peers-or-not-and" in response["warnings"][0]
    state = Scripted(
        Cluster.of([SHOP, API, *there], complete=True),
        (0.01, lambda c: c.put(Pod("shop", "client", {"access": "yes"}))),
    )
    assert "warnings" not in await (await start(state)).ask(review(policy(spec)))


# --- crashes ----------------------------------------------------------------------------------------------------------


def crash(_: Context) -> Iterator[Finding]:
    yield Finding("spec", "said before the crash")
    raise ZeroDivisionError("by a bug")


def checks_with_a_crash() -> list[Check]:
    broken = Check(
        id="always-crashes",
        level=Level.ERROR,
        summary="crashes",
        rationale="A bug.",
        remedy="Mend it.",
        run=crash,
        judges=(NETWORK_POLICY, SERVICE),
    )
    return [broken, *all_checks()]


async def test_a_crashing_check_denies_nothing_and_silences_nobody(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start(checks=checks_with_a_crash())
    assert (await server.ask(review(policy())))["allowed"] is True
    response = await server.ask(review(DEAD_RULES))
    assert response["allowed"] is False
    assert "always-crashes" not in response["status"]["message"]
    assert "[rules-without-policy-type]" in response["status"]["message"]
    _, metrics = await server.get("/metrics")
    assert 'netadmit_check_crashes_total{check="always-crashes"} 2.0' in metrics
    traced = [r.exc_info is not None for r in caplog.records if "always-crashes crashed" in r.getMessage()]
    assert traced == [True, False]
    entry = json.loads(_JSONFormatter().format(next(r for r in caplog.records if r.exc_info)))
    assert "ZeroDivisionError: by a bug" in entry["trace"]


# --- metrics and log --------------------------------------------------------------------------------------------------


async def test_metrics_count_what_was_answered_and_how_much_is_known(start: Start) -> None:
    server = await start(Scripted(cluster(API)), config=Config())
    await server.ask(review(policy()))
    await server.ask(review(MISSPELT))
    await server.ask(review(DEAD_RULES))
    await server.ask(review({"kind": "Pod", "metadata": {"name": "x", "namespace": "shop"}}))
    waived = MISSPELT | {
        "metadata": {
            "name": "api",
            "namespace": "shop",
            "annotations": {"netadmit.io/ignore.selector-matches-nothing": "made by an operator"},
        }
    }
    assert "warnings" not in await server.ask(review(waived))
    status, text = await server.get("/metrics")
    assert status == 200
    for decision, kind, number in (
        ("allowed", NETWORK_POLICY, 2),
        ("warned", NETWORK_POLICY, 1),
        ("denied", NETWORK_POLICY, 1),
        ("allowed", "other", 1),
    ):
        labels = f'decision="{decision}",kind="{kind}",operation="CREATE"'
        assert f"netadmit_admission_reviews_total{{{labels}}} {number}.0" in text.splitlines()
    for line in (
        'netadmit_findings_total{action="deny",check="rules-without-policy-type"} 1.0',
        'netadmit_findings_total{action="warn",check="selector-matches-nothing"} 1.0',
        'netadmit_waived_total{check="selector-matches-nothing"} 1.0',
        "netadmit_admission_review_duration_seconds_count 5.0",
        'netadmit_state_synced{kind="v1/Pod"} 1.0',
        'netadmit_state_complete{kind="v1/Pod"} 1.0',
        'netadmit_state_complete{kind="v1/Node"} 0.0',
        'netadmit_state_objects{kind="v1/Pod"} 3.0',
        'netadmit_state_age_seconds{kind="v1/Pod"} 0.5',
        'netadmit_watch_restarts_total{kind="v1/Node"} 7.0',
    ):
        assert line in text.splitlines()


async def test_a_decision_is_one_line_of_json_whatever_the_names_are(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "netadmit.decision")
    hostile = 'a\n\x1b[2J\u202e"}\u2028\x00é' + "x" * 500
    server = await start()
    body = review(MISSPELT, name=hostile, userInfo={"username": hostile})
    response = await server.ask(body)
    assert all(line.isprintable() and len(line) <= 256 for line in response["warnings"])
    assert response["warnings"][0].endswith(" [selector-matches-nothing]")
    [record] = [r for r in caplog.records if r.name == "netadmit.decision"]
    text = _JSONFormatter().format(record)
    assert text.isascii()
    assert text.isprintable()
    entry = json.loads(text)
    assert entry["message"] == "warned"
    assert entry["uid"] == body["request"]["uid"]
    assert entry["name"] == entry["user"] == hostile
    assert entry["operation"] == "CREATE"
    assert entry["findings"] == [
        {
            "check": "selector-matches-nothing",
            "level": "warning",
            "action": "warn",
            "path": "spec.podSelector.matchLabels.app",
        }
    ]


async def test_many_requests_at_once(start: Start) -> None:
    server = await start()
    bodies = [review([policy(), MISSPELT, DEAD_RULES][i % 3], uid=f"uid-{i}") for i in range(60)]

    async def ask(body: dict[str, Any]) -> tuple[str, bool]:
        status, text = await server.post(body)
        assert status == 200
        response = json.loads(text)["response"]
        return response["uid"], response["allowed"]

    answers = await asyncio.gather(*map(ask, bodies))
    assert answers == [(f"uid-{i}", i % 3 != 2) for i in range(60)]


def test_the_certificate_must_belong_to_the_key(tmp_path: Path, files: Files) -> None:
    other = provide(tmp_path, ["localhost"], datetime.now(UTC))
    with pytest.raises(OSError):  # noqa: PT011 - ssl says it in its own words
        server_tls(str(files.certificate), str(other.key))


async def test_work_in_the_background_that_crashes_is_told_of_and_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    begun, slept = [], []

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise TypeError("'NoneType' object is not iterable")

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await persist("reports", work, sleep=sleep)
    assert (begun, slept) == ([0, 1, 2], [30.0, 30.0])
    assert caplog.messages == ["reports crashed in the background; it is begun anew in 30 s"] * 2
    assert "TypeError" in caplog.text, "with a trace"


# --- what is watched --------------------------------------------------------------------------------------------------

_CLIENTS = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clients", "labels": {"team": "a"}}}
_UNLABELLED = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clients"}}
_FOR_TEAM_A = policy(
    {
        "podSelector": {"matchLabels": {"app": "api"}},
        "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}],
    }
)
_WATCHING = Config(watch_kinds=("Namespace",), enforce=("namespace-not-found",))


def _with_clients() -> Cluster:
    labels = {"kubernetes.io/metadata.name": "clients", "team": "a"}
    return Cluster.of([SHOP, API, Namespace("clients", labels), convert(NETWORK_POLICY, _FOR_TEAM_A)], complete=True)


async def test_a_namespace_s_change_is_answered_where_it_is_watched(start: Start) -> None:
    server = await start(FixedState(_with_clients()), config=_WATCHING)
    body = review(_UNLABELLED, _CLIENTS, namespace="clients")
    line = "ns clients: without team=a, 1 policy in another namespace lets it in no more; keep it, or ask there"
    for path, said in (("/validate", True), ("/advise", True), ("/enforce", False)):
        status, text = await server.post(body, path=path)
        assert status == 200
        response = json.loads(text)["response"]
        assert response["allowed"] is True, "whatever is enforced"
        assert response.get("warnings", []) == ([f"{line} [namespace-not-found]"] if said else [])
    _, metrics = await server.get("/metrics")
    assert 'netadmit_admission_reviews_total{decision="warned",kind="v1/Namespace",operation="UPDATE"} 2.0' in metrics
    assert 'netadmit_admission_reviews_total{decision="allowed",kind="v1/Namespace",operation="UPDATE"} 1.0' in metrics


async def test_it_is_allowed_unseen_where_it_is_not(start: Start) -> None:
    server = await start(FixedState(_with_clients()))
    for body in (
        review(_UNLABELLED, _CLIENTS),
        review({**_CLIENTS, "metadata": {"name": "clients", "labels": 7}}, _CLIENTS),
    ):
        assert await server.ask(body) == {"uid": body["request"]["uid"], "allowed": True}
    _, metrics = await server.get("/metrics")
    assert 'netadmit_admission_reviews_total{decision="allowed",kind="other",operation="UPDATE"} 2.0' in metrics


async def test_a_watched_object_of_the_wrong_shape_is_refused_by_name(start: Start) -> None:
    server = await start(FixedState(_with_clients()), config=_WATCHING)
    status, text = await server.post(review({**_CLIENTS, "metadata": {"name": "clients", "labels": 7}}, _CLIENTS))
    assert status == 400
    assert "request.object.metadata.labels" in text
    await server.alive()


async def test_a_policy_that_was_sent_a_moment_before_is_waited_for(start: Start) -> None:
    changed = convert(NETWORK_POLICY, policy({"podSelector": {"matchLabels": {"app": "api"}}, "ingress": [{}]}))
    state = Scripted(_with_clients(), (0.02, lambda c: c.put(changed)))
    server = await start(state, config=_WATCHING)
    assert "warnings" not in await server.ask(review(_UNLABELLED, _CLIENTS))
    [(_, kinds, _)] = state.waits
    assert kinds == {SERVICE, NETWORK_POLICY}
    state = Scripted(_with_clients())
    server = await start(state, config=_WATCHING)
    assert len((await server.ask(review(_UNLABELLED, _CLIENTS)))["warnings"]) == 1
    assert [timeout for _, _, timeout in state.waits] == [pytest.approx(PATIENCE_SECONDS)]
    added = {**_CLIENTS, "metadata": {"name": "clients", "labels": {"team": "a", "more": "x"}}}
    state = Scripted(_with_clients())
    server = await start(state, config=_WATCHING)
    assert "warnings" not in await server.ask(review(added, _CLIENTS))
    assert state.waits == []
