"""Certificates that change while they are served: no connection ends, and nothing wrong is ever taken up."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.inspect import issued
from certs.issue import CA_LIFETIME, LEAF_LIFETIME, KeyPair, issue_ca, issue_leaf
from certs.plan import OVERLAP, Step
from certs.publish import (
    AGAIN_SECONDS,
    NEXT_CERTIFICATE,
    NEXT_KEY,
    Held,
    PublishedCA,
    SharedCertificate,
    Trust,
    achieve,
    ca_of_folder,
    ca_of_secret,
    due,
    keep,
)
from certs.rotate import rotate
from certs.source import LiveCertificate
from certs.store import CA, CERTIFICATE, KEY, place, provide
from webhook.cli import main
from webhook.cli.serve import _UntilNews
from webhook.kube import Writer
from webhook.model.objects import VALIDATING_WEBHOOKS
from webhook.server import server_tls

NAMES = ["localhost", "127.0.0.1"]
NOW = datetime.now(UTC)
AUTHORITY = issue_ca(NOW)


def leaf(days: int = 90) -> KeyPair:
    return issue_leaf(AUTHORITY, NAMES, NOW, timedelta(days=days))


def lay(folder: Path, pair: KeyPair) -> None:
    place(folder, {CA: AUTHORITY.certificate, KEY: pair.key, CERTIFICATE: pair.certificate})


def live(folder: Path, **more: Any) -> LiveCertificate:
    return LiveCertificate(folder / CERTIFICATE, folder / KEY, server_tls, **more)


@asynccontextmanager
async def listening(context: ssl.SSLContext) -> AsyncIterator[str]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="yes")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def served(url: str, *, server_name: str = "localhost") -> int:
    """The serial number of the certificate that a new connection gets."""
    trust = ssl.create_default_context(cadata=AUTHORITY.certificate.decode())
    trust.check_hostname = bool(server_name)
    port = int(url.rstrip("/").rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=server_name)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(der).serial_number


# --- taking up --------------------------------------------------------------------------------------------------------


async def test_a_new_pair_is_served_and_the_connections_live_on(tmp_path: Path) -> None:
    first, second = leaf(), leaf(30)
    lay(tmp_path, first)
    certificate = live(tmp_path)
    trust = ssl.create_default_context(cadata=AUTHORITY.certificate.decode())
    connections = 0

    async def opened(*_: object) -> None:
        nonlocal connections
        connections += 1

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(opened)
    async with (
        listening(certificate.context) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), trace_configs=[trace]) as session,
    ):
        assert await served(url) == first.x509.serial_number
        assert await (await session.get(url)).text() == "yes"
        lay(tmp_path, second)
        assert await served(url) == first.x509.serial_number, "nothing changes before the files were read"
        assert await certificate.refresh()
        assert await served(url) == second.x509.serial_number
        assert await served(url, server_name="") == second.x509.serial_number, "also to a client that names no server"
        assert await (await session.get(url)).text() == "yes"
    assert connections == 1
    assert certificate.expiry() == second.x509.not_valid_after_utc.timestamp()
    assert not await certificate.refresh()


async def test_no_request_fails_while_the_files_change_twenty_times(tmp_path: Path) -> None:
    lay(tmp_path, leaf())
    certificate = live(tmp_path, sleep=lambda _: asyncio.sleep(0))
    trust = ssl.create_default_context(cadata=AUTHORITY.certificate.decode())
    answered, taken_up = 0, set()

    async def ask(session: aiohttp.ClientSession, url: str, *, close: bool) -> None:
        nonlocal answered
        while True:
            async with session.get(url, headers={"Connection": "close"} if close else {}) as response:
                assert await response.text() == "yes"
            answered += 1

    async with (
        listening(certificate.context) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session,
    ):
        working = [asyncio.create_task(ask(session, url, close=bool(n % 2))) for n in range(8)]
        following = asyncio.create_task(certificate.follow())
        for days in range(10, 30):
            before, pair = answered, leaf(days)
            lay(tmp_path, pair)
            async with asyncio.timeout(10):
                while certificate.expiry() != pair.x509.not_valid_after_utc.timestamp() or answered < before + 20:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            taken_up.add(await served(url))
        for task in (*working, following):
            assert not task.done(), task
            task.cancel()
        await asyncio.gather(*working, following, return_exceptions=True)
    assert len(taken_up) == 20
    assert answered >= 400


async def test_a_mounted_secret_is_read_as_one(tmp_path: Path) -> None:
    """As kubelet lays it: the files are links through ``..data``, which is turned to a new folder."""
    pairs = [leaf(days) for days in (10, 20)]
    for number, pair in enumerate(pairs):
        lay(tmp_path / f"..{number}", pair)
    (tmp_path / "..data").symlink_to("..0")
    for name in (CERTIFICATE, KEY):
        (tmp_path / name).symlink_to(f"..data/{name}")
    certificate = live(tmp_path)
    (tmp_path / "..new").symlink_to("..1")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert await certificate.refresh()
    assert certificate.expiry() == pairs[1].x509.not_valid_after_utc.timestamp()


# --- refusing ---------------------------------------------------------------------------------------------------------


def _other_key(folder: Path) -> None:
    place(folder, {CERTIFICATE: leaf().certificate})


def _no_key(folder: Path) -> None:
    (folder / KEY).unlink()


def _half_written(folder: Path) -> None:
    content = leaf().certificate
    place(folder, {CERTIFICATE: content[: len(content) // 2]})


def _empty(folder: Path) -> None:
    place(folder, {CERTIFICATE: b"", KEY: b""})


def _broken_chain(folder: Path) -> None:
    pair = leaf()
    junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    place(folder, {KEY: pair.key, CERTIFICATE: pair.certificate + junk})


def _encrypted_key(folder: Path) -> None:
    pair = leaf()
    locked = pair.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    place(folder, {KEY: locked, CERTIFICATE: pair.certificate})


@pytest.mark.parametrize("spoil", [_other_key, _no_key, _half_written, _empty, _broken_chain, _encrypted_key])
async def test_what_is_wrong_is_never_served(
    tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    first, last = leaf(), leaf(30)
    lay(tmp_path, first)
    failures: list[None] = []
    certificate = live(tmp_path, failed=lambda: failures.append(None))
    async with listening(certificate.context) as url:
        spoil(tmp_path)
        assert not await certificate.refresh()
        assert not failures, "it may be half written"
        for count in (1, 2, 3):
            assert not await certificate.refresh()
            assert len(failures) == count
            assert await served(url) == first.x509.serial_number
        assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
        lay(tmp_path, last)
        assert await certificate.refresh()
        assert await served(url) == last.x509.serial_number
        spoil(tmp_path)
        assert not await certificate.refresh()
        assert not await certificate.refresh()
        assert len(failures) == 4
        assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 2


async def test_a_pair_is_served_only_once_its_ca_is_published(tmp_path: Path) -> None:
    reachable = False
    told: list[bool] = []

    async def announce() -> None:
        told.append(reachable)
        if not reachable:
            raise ConnectionError("no API server")

    lay(tmp_path, leaf())
    certificate = live(tmp_path, announce=announce)
    before = certificate.expiry()
    lay(tmp_path, leaf(30))
    assert not await certificate.refresh()
    assert certificate.expiry() == before
    reachable = True
    assert await certificate.refresh()
    assert certificate.expiry() < before
    assert told == [False, True]


def test_wrong_files_at_the_start_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay(tmp_path, leaf())
    _other_key(tmp_path)
    (tmp_path / "empty.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")
    assert main(["serve", f"--cert-dir={tmp_path}", f"--cluster={tmp_path / 'empty.yaml'}"]) == 2
    said = capsys.readouterr().err
    assert f"--cert-dir {tmp_path}: " in said
    assert "Traceback" not in said


def test_publishing_needs_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--publish-ca=netadmit", f"--cluster={tmp_path}"]) == 2
    assert "need a live cluster" in capsys.readouterr().err


# --- sharing and publishing -------------------------------------------------------------------------------------------


class Kubernetes:
    """A Secret and a webhook configuration, with what other replicas do in between."""

    def __init__(self) -> None:
        self.data: Mapping[str, bytes] = {}
        self.version = 1
        self.bundle = b""
        self.published = 1
        self.faster: list[Mapping[str, bytes]] = []

    async def read_secret(self, name: str) -> Held:
        assert name == "tls"
        return Held(self.data, str(self.version))

    async def write_secret(self, name: str, data: Mapping[str, bytes], version: str) -> bool:
        assert name == "tls"
        if self.faster:
            self.data, self.version = self.faster.pop(), self.version + 1
        if version != str(self.version):
            return False
        self.data, self.version = data, self.version + 1
        return True

    async def read_trust(self, name: str) -> Trust:
        assert name == "netadmit"
        return Trust([self.bundle, self.bundle], f"{self.published}")

    async def publish_ca(self, name: str, ca: bytes, version: str) -> bool:
        assert name == "netadmit"
        if version != str(self.published):
            return False
        self.bundle, self.published = ca, self.published + 1
        return True


def replica(kubernetes: Kubernetes, folder: Path, now: datetime = NOW, **more: Any) -> SharedCertificate:
    return SharedCertificate(kubernetes, "tls", folder, NAMES, clock=lambda: now, **more)


def announcer(kubernetes: Kubernetes) -> PublishedCA:
    return PublishedCA(
        kubernetes, "netadmit", partial(ca_of_secret, kubernetes, "tls"), sleep=lambda _: asyncio.sleep(0)
    )


async def test_all_replicas_have_one_certificate(tmp_path: Path) -> None:
    kubernetes = Kubernetes()
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        await replica(kubernetes, folder).fetch()
    assert {(folder / CERTIFICATE).read_bytes() for folder in folders} == {kubernetes.data[CERTIFICATE]}
    assert {(folder / KEY).read_bytes() for folder in folders} == {kubernetes.data[KEY]}
    assert (folders[0] / KEY).stat().st_mode & 0o777 == 0o600
    assert kubernetes.version == 2, "written once"


async def test_who_is_slower_takes_what_the_faster_wrote(tmp_path: Path) -> None:
    other = Kubernetes()
    await replica(other, tmp_path / "other").fetch()
    kubernetes = Kubernetes()
    kubernetes.faster = [other.data]
    await replica(kubernetes, tmp_path / "own").fetch()
    assert (tmp_path / "own" / CERTIFICATE).read_bytes() == other.data[CERTIFICATE]


async def test_an_old_certificate_has_a_successor_whose_ca_is_trusted_before_it_is_served(tmp_path: Path) -> None:
    kubernetes = Kubernetes()
    announce = announcer(kubernetes).publish
    await replica(kubernetes, tmp_path, announce=announce).tend()
    former = kubernetes.data
    assert kubernetes.bundle == former[CA]
    await replica(kubernetes, tmp_path, NOW + LEAF_LIFETIME * 0.6, announce=announce).tend()
    assert kubernetes.data is former
    later = NOW + LEAF_LIFETIME * 0.7
    await replica(kubernetes, tmp_path, later, announce=announce).tend()
    staged = kubernetes.data
    assert {name: staged[name] for name in (CERTIFICATE, KEY)} == {name: former[name] for name in (CERTIFICATE, KEY)}
    assert (
        signed_by(kubernetes.bundle, former[CERTIFICATE]) == signed_by(kubernetes.bundle, staged[NEXT_CERTIFICATE]) == 1
    )
    assert (tmp_path / CERTIFICATE).read_bytes() == former[CERTIFICATE], "nobody serves it yet"
    await replica(kubernetes, tmp_path, later + OVERLAP / 2, announce=announce).tend()
    assert kubernetes.data is staged
    published = kubernetes.published
    await replica(kubernetes, tmp_path, later + OVERLAP, announce=announce).tend()
    assert kubernetes.data == {CERTIFICATE: staged[NEXT_CERTIFICATE], KEY: staged[NEXT_KEY], CA: staged[CA]}
    assert (tmp_path / CERTIFICATE).read_bytes() == staged[NEXT_CERTIFICATE]
    assert kubernetes.published == published, "the API server's connections live on: it hears of no other CA"
    for turn in (1, 2):
        await replica(kubernetes, tmp_path, later + turn * LEAF_LIFETIME * 0.7, announce=announce).tend()
        assert len(x509.load_pem_x509_certificates(kubernetes.data[CA])) == 2, "the one before is dropped"
        await replica(kubernetes, tmp_path, later + turn * LEAF_LIFETIME * 0.7 + OVERLAP, announce=announce).tend()


def signed_by(bundle: bytes, certificate: bytes) -> int:
    leaf = x509.load_pem_x509_certificate(certificate)
    return sum(issued(authority, leaf) for authority in x509.load_pem_x509_certificates(bundle))


async def test_a_successor_waits_until_its_ca_can_be_published(tmp_path: Path) -> None:
    kubernetes = Kubernetes()
    await replica(kubernetes, tmp_path, announce=announcer(kubernetes).publish).tend()

    async def refused() -> None:
        raise PermissionError("403")

    later = NOW + LEAF_LIFETIME * 0.7
    for now in (later, later + OVERLAP, later + 2 * OVERLAP):
        with pytest.raises(PermissionError):
            await replica(kubernetes, tmp_path, now, announce=refused).tend()
    assert NEXT_CERTIFICATE in kubernetes.data
    assert (tmp_path / CERTIFICATE).read_bytes() == kubernetes.data[CERTIFICATE]
    await replica(kubernetes, tmp_path, later + 2 * OVERLAP, announce=announcer(kubernetes).publish).tend()
    assert NEXT_CERTIFICATE not in kubernetes.data


async def test_who_knows_only_the_former_ca_does_not_have_the_last_word(tmp_path: Path) -> None:
    """One replica reads the Secret, another one writes it and publishes, and only then does the first one publish."""
    kubernetes = Kubernetes()
    other = replica(kubernetes, tmp_path / "other", NOW + LEAF_LIFETIME * 0.7, announce=announcer(kubernetes).publish)
    asked = 0

    async def slow() -> bytes:
        nonlocal asked
        asked += 1
        known = await ca_of_secret(kubernetes, "tls")
        if asked == 1:
            await other.tend()
        return known

    await replica(kubernetes, tmp_path / "first").fetch()
    await PublishedCA(kubernetes, "netadmit", slow, sleep=lambda _: asyncio.sleep(0)).publish()
    assert asked == 2
    assert kubernetes.bundle == kubernetes.data[CA]
    assert len(x509.load_pem_x509_certificates(kubernetes.bundle)) == 2


async def test_an_emptied_secret_gets_another_certificate_and_what_was_served_stays_trusted(tmp_path: Path) -> None:
    kubernetes = Kubernetes()
    announce = announcer(kubernetes).publish
    await replica(kubernetes, tmp_path, announce=announce).tend()
    former = kubernetes.data
    kubernetes.data = {}
    await replica(kubernetes, tmp_path, announce=announce).tend()
    assert kubernetes.data[CERTIFICATE] != former[CERTIFICATE]
    assert signed_by(kubernetes.bundle, former[CERTIFICATE]) == 1
    assert signed_by(kubernetes.bundle, kubernetes.data[CERTIFICATE]) == 1
    with pytest.raises(FileNotFoundError, match="no CA in the Secret"):
        await ca_of_secret(Kubernetes(), "tls")


async def test_files_that_are_not_those_of_the_secret_are_replaced(tmp_path: Path) -> None:
    kubernetes = Kubernetes()
    await replica(kubernetes, tmp_path).fetch()
    for name in (CERTIFICATE, KEY, CA):
        (tmp_path / name).write_bytes(b"?")
        await replica(kubernetes, tmp_path).fetch()
        assert (tmp_path / name).read_bytes() == kubernetes.data[name]


async def test_only_the_certificate_of_the_secret_is_taken_up(tmp_path: Path) -> None:
    """`netadmit certs rotate` in the folder of a replica: API servers would not trust what it makes."""
    kubernetes = Kubernetes()
    shared = replica(kubernetes, tmp_path, announce=announcer(kubernetes).publish)
    await shared.tend()
    certificate = live(tmp_path, announce=shared.confirm)
    before = certificate.expiry()
    rotate(tmp_path, NOW + timedelta(days=1))
    assert not await certificate.refresh()
    assert not await certificate.refresh()
    assert certificate.expiry() == before
    assert (tmp_path / CERTIFICATE).read_bytes() == kubernetes.data[CERTIFICATE]
    kubernetes.data = {}
    await shared.tend()
    assert await certificate.refresh()


def test_what_is_due() -> None:
    pair = leaf(90)
    good = {CERTIFICATE: pair.certificate, KEY: pair.key, CA: AUTHORITY.certificate}
    assert due(good, NOW) is Step.KEEP
    assert due(good, NOW + timedelta(days=59)) is Step.KEEP
    assert due(good, NOW + timedelta(days=61)) is Step.STAGE
    for key in good:
        assert due({**good, key: b""}, NOW) is Step.ISSUE
    assert due({**good, CERTIFICATE: b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----"}, NOW) is Step.ISSUE
    assert due({**good, KEY: leaf().key}, NOW) is Step.ISSUE, "a key of another one"
    assert due({**good, CA: issue_ca(NOW).certificate}, NOW) is Step.ISSUE, "a CA that did not sign it"
    assert CA_LIFETIME > LEAF_LIFETIME


async def test_a_rotated_folder_is_published_before_it_is_served(tmp_path: Path) -> None:
    """`netadmit certs rotate` beside a running server."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    provide(tmp_path, NAMES, NOW)
    kubernetes = Kubernetes()
    published = PublishedCA(kubernetes, "netadmit", partial(ca_of_folder, tmp_path), sleep=sleep)
    assert not published.done
    await published.publish()
    assert published.done
    assert kubernetes.bundle == (tmp_path / CA).read_bytes()
    certificate = live(tmp_path, announce=published.publish)
    rotate(tmp_path, NOW)
    assert await certificate.refresh()
    assert len(x509.load_pem_x509_certificates(kubernetes.bundle)) == 2
    assert len(waited) == 2, "time for API servers to hear of it"
    await published.publish()
    assert len(waited) == 2


async def test_failures_are_tried_again_and_each_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    problems = iter(["no route", "no route", "403: no", None, None, "no route", None])
    paused: list[float] = []

    async def do() -> None:
        if problem := next(problems):
            raise OSError(problem)

    async def sleep(seconds: float) -> None:
        paused.append(seconds)

    await achieve("cannot publish", do, sleep=sleep)
    assert paused == [1, 2, 4]
    assert [r.getMessage() for r in caplog.records] == [
        "cannot publish; trying again: no route",
        "cannot publish; trying again: 403: no",
    ]
    with pytest.raises(RuntimeError):  # the end of the list
        await keep("cannot publish", do, sleep=sleep)
    assert paused[3:] == [AGAIN_SECONDS, 1, AGAIN_SECONDS]


class News:
    """In the place of a state: whether there are news, or nothing is followed at all."""

    def __init__(self, *came: bool) -> None:
        self.came = [*came]
        self.since: list[float] = []

    async def wait_newer(self, since: float, kinds: Iterable[str], timeout: float) -> bool:  # noqa: ASYNC109
        assert list(kinds) == [VALIDATING_WEBHOOKS]
        self.since.append(since)
        return self.came.pop(0)


async def test_news_of_webhook_configurations_end_the_pause_but_not_within_a_second() -> None:
    clock = asyncio.get_running_loop().time
    state = News(True, False)
    wait = _UntilNews(state)  # type: ignore[arg-type]
    began = clock()
    await wait(60)
    first = clock()
    assert 1 <= first - began < 20
    await wait(1.2)
    assert clock() - first >= 1.2, "nothing is followed: all of it"
    assert state.since[0] < 0, "what came before the first wait counts"
    assert began + 1 <= state.since[1] <= first, "and what came after the last one"


# --- the API ----------------------------------------------------------------------------------------------------------


class Answers:
    """In the place of `webhook.kube.Credentials`."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self._answers = [*answers]
        self.asked: list[tuple[str, str, Any, str]] = []

    async def send(self, method: str, path: str, body: Any = None, content_type: str = "") -> tuple[int, Any]:
        self.asked.append((method, path, json.loads(json.dumps(body)), content_type))
        return self._answers.pop(0)


def writer(*answers: tuple[int, Any]) -> tuple[Writer, Answers]:
    credentials = Answers(*answers)
    return Writer(credentials, "netadmit"), credentials  # type: ignore[arg-type]


def secret(version: str = "7", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": "tls", "resourceVersion": version, "labels": {"a": "b"}}, "data": data}


async def test_a_secret_is_written_as_a_whole() -> None:
    api, asked = writer((200, secret()), (200, secret()), (200, {}))
    held = await api.read_secret("tls")
    assert held == Held({}, "7")
    assert await api.write_secret("tls", {"tls.crt": b"x"}, held.version)
    method, path, body, _ = asked.asked[-1]
    assert (method, path) == ("PUT", "/api/v1/namespaces/netadmit/secrets/tls")
    assert body == secret(**{"tls.crt": base64.b64encode(b"x").decode()})


async def test_a_secret_that_somebody_else_has_written_is_left() -> None:
    api, asked = writer((200, secret("8")))
    assert not await api.write_secret("tls", {"tls.crt": b"x"}, "7")
    assert len(asked.asked) == 1
    api, _ = writer((200, secret("7")), (409, {"message": "conflict"}))
    assert not await api.write_secret("tls", {"tls.crt": b"x"}, "7")


def configuration(version: str = "7") -> dict[str, Any]:
    webhooks = [{"name": "a.b.c", "clientConfig": {"caBundle": "Y2E="}}, {"name": "d.e.f", "clientConfig": {}}]
    return {"metadata": {"name": "netadmit", "resourceVersion": version}, "webhooks": webhooks}


async def test_a_ca_is_written_for_every_webhook_of_the_version_that_was_read() -> None:
    bundle = base64.b64encode(b"new").decode()
    api, asked = writer((200, configuration()), (200, configuration()), (200, {}))
    trust = await api.read_trust("netadmit")
    assert trust == Trust([b"ca", b""], "7")
    assert await api.publish_ca("netadmit", b"new", trust.version)
    method, _, patch, content_type = asked.asked[-1]
    assert (method, content_type) == ("PATCH", "application/json-patch+json")
    assert patch == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle},
        {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": bundle},
    ]
    api, asked = writer((200, configuration("8")))
    assert not await api.publish_ca("netadmit", b"new", "7")
    assert len(asked.asked) == 1
    api, _ = writer((200, configuration()), (409, {"message": "conflict"}))
    assert not await api.publish_ca("netadmit", b"new", "7")


async def test_a_refusal_says_what_was_refused() -> None:
    api, _ = writer((403, {"message": "secrets is\nforbidden"}))
    with pytest.raises(
        PermissionError, match=r"GET /api/v1/namespaces/netadmit/secrets/tls: 403: secrets is forbidden"
    ):
        await api.read_secret("tls")
