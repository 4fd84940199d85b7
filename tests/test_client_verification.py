"""`serve --client-ca` over real TLS: who shows no certificate, another CA's, or another's name, gets no answer."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.store import provide
from webhook.server import common_name

from .chart import CHART, rendered, run_helm
from .command import Command
from .test_chart import _helm, container, only
from .test_server import policy, review

__all__ = ["_helm"]
ROOT = Path(__file__).resolve().parents[1]


class Authority:
    """A CA for clients."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *more: x509.ExtensionType) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(days=1))
        )
        for extension in more:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self._key, hashes.SHA256())

    def client(self, name: str, folder: Path, usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH) -> Path:
        """A file with key and certificate of a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
        certificate = self._sign(subject, key, x509.ExtendedKeyUsage([usage]))
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = folder / f"{name or 'nameless'}-{os.urandom(3).hex()}.pem"
        file.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
        return file


class Served(NamedTuple):
    """A running `netadmit serve`, and what it wrote."""

    port: int
    metrics_port: int
    folder: Path
    log: list[dict[str, Any]]

    def trust(self, client: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        if client:
            context.load_cert_chain(client)
        return context

    async def ask(self, client: Path | None = None) -> tuple[int, str]:
        """An AdmissionReview over a connection of its own."""
        connector = aiohttp.TCPConnector(ssl=self.trust(client))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"https://localhost:{self.port}/validate", json=review(policy())) as answer,
        ):
            return answer.status, await answer.text()

    async def health(self, path: str) -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.metrics_port}{path}") as answer,
        ):
            return answer.status


@asynccontextmanager
async def serving(folder: Path, *arguments: str) -> AsyncIterator[Served]:
    state = folder / "state.yaml"
    state.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    command = ["serve", "--bind=127.0.0.1", "--port=0", "--metrics-port=0", f"--cluster={state}", "--drain-seconds=0"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "webhook.cli", *command, f"--cert-dir={folder}", *arguments),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    log: list[dict[str, Any]] = []

    async def follow(stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            log.append(json.loads(line))

    try:
        while not (log and log[-1]["message"] == "listening"):
            line = await asyncio.wait_for(process.stderr.readline(), 60)
            assert line, "it ended"
            log.append(json.loads(line))
        following = asyncio.create_task(follow(process.stderr))
        yield Served(log[-1]["port"], log[-1]["metricsPort"], folder, log)
    finally:
        process.terminate()
        await process.wait()
    await following


REFUSED = (aiohttp.ClientError, ssl.SSLError, ConnectionResetError)


async def test_only_a_certificate_of_the_ca_is_answered(tmp_path: Path) -> None:
    authority, other = Authority("clients"), Authority("clients")
    (tmp_path / "clients.crt").write_bytes(authority.pem)
    async with serving(tmp_path, f"--client-ca={tmp_path}/clients.crt") as served:
        with pytest.raises(REFUSED):
            await served.ask()
        with pytest.raises(REFUSED):
            await served.ask(other.client("kube-apiserver", tmp_path))
        with pytest.raises(REFUSED):
            await served.ask(authority.client("a-server", tmp_path, ExtendedKeyUsageOID.SERVER_AUTH))
        for name in ("kube-apiserver", "anybody", ""):
            status, text = await served.ask(authority.client(name, tmp_path))
            assert (status, json.loads(text)["response"]["allowed"]) == (200, True), name
        for path in ("/healthz", "/readyz"):
            assert await served.health(path) == 200, "kubelets have no certificate: health is on another port"
    assert not [entry for entry in served.log if "trace" in entry], "whoever comes without is no error of ours"


async def test_a_new_serving_certificate_lets_nobody_in_without_theirs(tmp_path: Path) -> None:
    authority = Authority("clients")
    (tmp_path / "clients.crt").write_bytes(authority.pem)
    client = authority.client("kube-apiserver", tmp_path)
    async with serving(tmp_path, f"--client-ca={tmp_path}/clients.crt") as served:
        assert (await served.ask(client))[0] == 200
        fresh = tmp_path / "fresh"
        provide(fresh, ["localhost"], datetime.now(UTC))
        for name in ("ca.crt", "tls.key", "tls.crt"):
            (fresh / name).rename(tmp_path / name)
        for _ in range(300):
            if "took up another certificate" in [entry["message"] for entry in served.log]:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail(f"the new certificate was not taken up: {served.log}")
        with pytest.raises(REFUSED):
            await served.ask()
        assert (await served.ask(client))[0] == 200


async def test_of_the_cas_certificates_only_the_named_ones(tmp_path: Path) -> None:
    authority = Authority("clients")
    (tmp_path / "clients.crt").write_bytes(Authority("retired").pem + authority.pem)
    named = ("--client-name=kube-apiserver", "--client-name=system:admission")
    async with serving(tmp_path, f"--client-ca={tmp_path}/clients.crt", *named) as served:
        for name in ("kube-apiserver", "system:admission"):
            assert (await served.ask(authority.client(name, tmp_path)))[0] == 200
        for name in ("anybody", "kube-apiserver2", ""):
            assert await served.ask(authority.client(name, tmp_path)) == (403, "netadmit: this client may not ask\n")
        with pytest.raises(REFUSED):
            await served.ask()
    said = [entry["message"] for entry in served.log if entry["level"] == "warning"]
    assert "a client was refused: its certificate names 'anybody'" in said


async def test_without_it_no_certificate_is_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert (await served.ask())[0] == 200


def test_what_is_no_ca_is_told_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Command(tmp_path, capfd, monkeypatch)
    serve = ("serve", "--cluster", run.write("state.yaml", "kind: Namespace\napiVersion: v1\nmetadata: {name: a}"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    run.write("broken.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
    for given, said in (
        ("missing.crt", "--client-ca missing.crt: No such file or directory"),
        (".", "--client-ca .: Is a directory"),
        (run.write("empty.crt", ""), "--client-ca empty.crt: holds no certificate in PEM"),
        (run.write("text.crt", "hello"), "--client-ca text.crt: holds no certificate in PEM"),
        ("broken.crt", "--client-ca broken.crt: holds no certificate in PEM"),
        ("binary", "--client-ca binary: holds no certificate in PEM"),
    ):
        outcome = run(*serve, "--client-ca", given)
        assert (outcome.code, outcome.err) == (2, f"netadmit: {said}\n"), given
    outcome = run(*serve, "--client-name", "kube-apiserver")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "--client-name needs --client-ca" in outcome.err


def test_a_common_name_is_found_wherever_it_stands() -> None:
    assert common_name(None) == common_name({}) == common_name({"subject": ()}) == ""
    subject = ((("organizationName", "o"),), (("organizationalUnitName", "u"), ("commonName", "n")))
    assert common_name({"subject": subject}) == "n"


def test_the_chart_hands_it_on() -> None:
    objects = rendered(f"--values={CHART}/ci/client-verification-values.yaml")
    one = container(objects)
    assert "--client-ca=/etc/netadmit-clients/ca.crt" in one["args"]
    assert one["args"].count("--client-name=kube-apiserver") == 1
    assert "--client-name=system:admission, prod" in one["args"], "as one argument"
    [volume] = [v for v in only(objects, "Deployment")["spec"]["template"]["spec"]["volumes"] if v["name"] == "clients"]
    assert volume["configMap"] == {"name": "admission-client-ca"}
    [mount] = [m for m in one["volumeMounts"] if m["name"] == "clients"]
    assert mount == {"name": "clients", "mountPath": "/etc/netadmit-clients", "readOnly": True}
    [test] = only(objects, "Pod")["spec"]["containers"]
    assert {"name": "CLIENTS_VERIFIED", "value": "true"} in test["env"]
    assert not [a for a in container(rendered())["args"] if a.startswith("--client")]
    refused = run_helm("template", "r", str(CHART), "--set=clientVerification.names={a}")
    assert "at '/clientVerification" in refused.stderr


async def test_helm_test_wants_the_refusal_where_clients_are_verified(tmp_path: Path) -> None:
    """Its script, run against the real thing: refused is a success with the value, and only with it."""
    [test] = only(rendered(), "Pod")["spec"]["containers"]
    (tmp_path / "clients.crt").write_bytes(Authority("clients").pem)

    async def succeeds(served: Served, **more: str) -> bool:
        env = (
            os.environ
            | more
            | {"URL": f"https://localhost:{served.port}/validate", "CA_FILE": str(tmp_path / "ca.crt")}
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", *test["args"]),
            env=env,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=None,
        )
        return await process.wait() == 0

    async with serving(tmp_path, f"--client-ca={tmp_path}/clients.crt") as served:
        assert await succeeds(served, CLIENTS_VERIFIED="true")
        assert not await succeeds(served)
    async with serving(tmp_path) as served:
        assert await succeeds(served)
        assert not await succeeds(served, CLIENTS_VERIFIED="true")
    assert not await succeeds(served, CLIENTS_VERIFIED="true"), "nobody there is no refusal"
