"""Credentials from kubeconfigs and from a pod's service account."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubernetes.config import incluster_config

from webhook import kube
from webhook.kube import Credentials, CredentialsError, load_credentials

SERVER = "https://cluster.example:6443"


def pair(name: str = "someone") -> tuple[bytes, bytes]:
    """A self-signed certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


CERTIFICATE, KEY = pair()


class Ticking:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def write(file: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None, **more: Any) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "here",
        **more,
    }
    file.write_text(json.dumps(config))
    return str(file)


def timed(credentials: Credentials) -> Ticking:
    clock = Ticking()
    credentials._clock = clock
    credentials._read_at = 0.0
    return clock


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a cluster: no variable and no home of the developer's is used."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_importing_the_module_does_not_import_kubernetes() -> None:
    code = "import sys, webhook.kube; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- kubeconfigs


async def test_a_token(tmp_path: Path) -> None:
    file = write(tmp_path / "config", {"token": "secret"}, {"server": f"{SERVER}/k8s/clusters/c-1/"})
    credentials = load_credentials(file)
    assert credentials.server == f"{SERVER}/k8s/clusters/c-1"
    assert credentials.context == "here"
    assert credentials.server_hostname is None
    assert credentials.proxy is None
    assert await credentials.headers() == {"Authorization": "Bearer secret"}
    tls = credentials.ssl_context()
    assert tls.check_hostname
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert credentials.ssl_context() is tls


async def test_a_token_file_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    credentials = load_credentials(write(tmp_path / "config", {"tokenFile": "token"}))  # relative to the kubeconfig
    clock = timed(credentials)
    assert await credentials.headers() == {"Authorization": "Bearer one"}
    (tmp_path / "token").write_text("two\n")
    clock.now = 59
    assert await credentials.headers() == {"Authorization": "Bearer one"}
    clock.now = 61
    assert await credentials.headers() == {"Authorization": "Bearer two"}


async def test_a_token_file_that_is_missing_for_a_moment(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    credentials = load_credentials(write(tmp_path / "config", {"tokenFile": str(token)}))
    clock = timed(credentials)
    token.unlink()
    clock.now = 61
    assert await credentials.headers() == {"Authorization": "Bearer one"}
    assert "credentials kept, they could not be renewed: kubeconfig" in caplog.text
    token.write_text("two")
    assert await credentials.headers() == {"Authorization": "Bearer one"}  # not at each request
    clock.now = 122
    assert await credentials.headers() == {"Authorization": "Bearer two"}


async def test_a_password(tmp_path: Path) -> None:
    credentials = load_credentials(write(tmp_path / "config", {"username": "me", "password": "pw"}))
    assert await credentials.headers() == {"Authorization": "Basic " + base64.b64encode(b"me:pw").decode()}


async def test_nobody(tmp_path: Path) -> None:
    file = write(tmp_path / "config", {}, contexts=[{"name": "here", "context": {"cluster": "c"}}], users=None)
    assert await load_credentials(file).headers() == {}


def certificate_files(folder: Path) -> dict[str, str]:
    (folder / "tls.crt").write_bytes(CERTIFICATE)
    (folder / "tls.key").write_bytes(KEY)
    return {"client-certificate": "tls.crt", "client-key": "tls.key"}


def certificate_data(_: Path) -> dict[str, str]:
    return {
        "client-certificate-data": base64.b64encode(CERTIFICATE).decode(),
        "client-key-data": base64.b64encode(KEY).decode(),
    }


@pytest.mark.parametrize("how", [certificate_files, certificate_data])
async def test_a_client_certificate_and_a_ca(tmp_path: Path, how: Any) -> None:
    ca = {"certificate-authority-data": base64.b64encode(CERTIFICATE).decode(), "tls-server-name": "api.internal"}
    credentials = load_credentials(write(tmp_path / "config", how(tmp_path), ca))
    assert await credentials.headers() == {}
    assert credentials.server_hostname == "api.internal"
    assert credentials.ssl_context().cert_store_stats()["x509"] == 1


async def test_certificates_that_change_give_a_new_context(tmp_path: Path) -> None:
    credentials = load_credentials(write(tmp_path / "config", certificate_files(tmp_path)))
    before = credentials.ssl_context()
    certificate, key = pair("another")
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    assert credentials.ssl_context() is not before


async def test_no_verification_when_told_so(tmp_path: Path) -> None:
    credentials = load_credentials(write(tmp_path / "config", {"token": "t"}, {"insecure-skip-tls-verify": True}))
    assert credentials.ssl_context().verify_mode is ssl.CERT_NONE


async def test_the_context_named_and_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "first", {"token": "one"})
    second = write(
        tmp_path / "second",
        {},
        clusters=[{"name": "d", "cluster": {"server": "https://other.example"}}],
        users=[{"name": "v", "user": {"token": "two"}}],
        contexts=[{"name": "there", "context": {"cluster": "d", "user": "v"}}],
    )
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([first, str(tmp_path / "missing"), second]))
    credentials = load_credentials(context="there")
    assert (credentials.server, credentials.context) == ("https://other.example", "there")
    assert await credentials.headers() == {"Authorization": "Bearer two"}


async def test_a_running_process_stays_in_its_context(tmp_path: Path) -> None:
    file = write(tmp_path / "config", {"token": "one"})
    credentials = load_credentials(file)
    changed: dict[str, Any] = {"current-context": "elsewhere"}
    write(tmp_path / "config", {"token": "two"}, **changed)  # kubectl config use-context
    await credentials.refresh()
    assert credentials.context == "here"
    assert await credentials.headers() == {"Authorization": "Bearer two"}


async def test_the_file_in_the_home_folder(tmp_path: Path) -> None:
    (tmp_path / "home/.kube").mkdir(parents=True)
    write(tmp_path / "home/.kube/config", {"token": "t"})
    assert load_credentials().context == "here"


@pytest.mark.parametrize(
    ("cluster", "environment", "expected"),
    [
        ({"proxy-url": "http://proxy.example:3128"}, {}, "http://proxy.example:3128"),
        ({}, {"HTTPS_PROXY": "http://env.example:3128"}, "http://env.example:3128"),
        ({}, {"HTTPS_PROXY": "http://env.example:3128", "NO_PROXY": "cluster.example"}, None),
        ({"server": "https://10.96.0.1"}, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
    ],
)
async def test_proxies(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cluster: dict[str, Any],
    environment: dict[str, str],
    expected: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_credentials(write(tmp_path / "config", {"token": "t"}, cluster)).proxy == expected


# --- exec plugins

PLUGIN = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
runs = folder / "runs"
count = int(runs.read_text()) + 1 if runs.exists() else 1
runs.write_text(str(count))
if (folder / "broken").exists():
    sys.exit("no session:\\nlog in first")
status = json.loads((folder / "status").read_text().replace("COUNT", str(count)))
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}}))
"""


class Plugin:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "plugin"
        self.program.write_text(PLUGIN.format(python=sys.executable, folder=str(folder)))
        self.program.chmod(0o755)

    def gives(self, minutes: float | None = None, **status: str) -> None:
        if minutes is not None:
            expires = datetime.now(UTC) + timedelta(minutes=minutes)
            status["expirationTimestamp"] = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
        (self.folder / "status").write_text(json.dumps(status))

    def breaks(self) -> None:
        (self.folder / "broken").touch()

    @property
    def runs(self) -> int:
        return int((self.folder / "runs").read_text())

    @property
    def kubeconfig(self) -> str:
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(self.program),
            "interactiveMode": "Never",
        }
        return write(self.folder / "config", {"exec": plugin})


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


async def test_a_plugin_is_asked_again_when_its_token_expires(plugin: Plugin) -> None:
    plugin.gives(token="tCOUNT", minutes=60)
    credentials = load_credentials(plugin.kubeconfig)
    clock = timed(credentials)
    clock.now = 1000
    assert await credentials.headers() == {"Authorization": "Bearer t1"}
    assert plugin.runs == 1
    plugin.gives(token="tCOUNT", minutes=1)
    await credentials.refresh()  # one that lasts a minute, from here on
    assert await credentials.headers() == {"Authorization": "Bearer t2"}
    clock.now = 1059  # not at each request, though kubernetes means five minutes before the end
    assert await credentials.headers() == {"Authorization": "Bearer t2"}
    clock.now = 1061
    assert set(map(str, await asyncio.gather(*(credentials.headers() for _ in range(20))))) == {
        "{'Authorization': 'Bearer t3'}"
    }
    assert plugin.runs == 3


async def test_a_plugin_is_asked_again_after_401_but_once_for_all(plugin: Plugin) -> None:
    plugin.gives(token="tCOUNT")
    credentials = load_credentials(plugin.kubeconfig)
    await asyncio.gather(*(credentials.refresh() for _ in range(25)))
    assert plugin.runs == 2
    assert await credentials.headers() == {"Authorization": "Bearer t2"}


async def test_a_plugin_that_gives_a_certificate(plugin: Plugin) -> None:
    plugin.gives(clientCertificateData=CERTIFICATE.decode(), clientKeyData=KEY.decode(), minutes=1)
    credentials = load_credentials(plugin.kubeconfig)
    before, clock = credentials.ssl_context(), timed(credentials)
    certificate, key = pair("renewed")
    plugin.gives(clientCertificateData=certificate.decode(), clientKeyData=key.decode(), minutes=60)
    clock.now = 61
    assert await credentials.headers() == {}
    assert credentials.ssl_context() is not before


async def test_a_plugin_that_fails_says_so_and_leaves_logging_alone(
    plugin: Plugin, caplog: pytest.LogCaptureFixture
) -> None:
    plugin.breaks()
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(
        CredentialsError,
        match=r"context here: the plugin .*plugin: exec: process returned 1. no session: log in first$",
    ):
        load_credentials(plugin.kubeconfig)
    assert logging.getLogger().handlers == handlers
    assert not logging.getLogger().filters
    assert not caplog.records


async def test_a_plugin_that_fails_later(plugin: Plugin) -> None:
    plugin.gives(token="t", minutes=1)
    credentials = load_credentials(plugin.kubeconfig)
    clock = timed(credentials)
    plugin.breaks()
    clock.now = 61
    assert await credentials.headers() == {"Authorization": "Bearer t"}
    with pytest.raises(CredentialsError, match="no session"):
        await credentials.refresh()
    await credentials.refresh()  # within ten seconds nobody is asked again
    assert plugin.runs == 3


async def test_a_plugin_that_is_not_there(plugin: Plugin) -> None:
    plugin.program.unlink()
    with pytest.raises(CredentialsError, match=r"the plugin .*plugin: .*No such file"):
        load_credentials(plugin.kubeconfig)


async def test_a_plugin_that_gives_nothing(plugin: Plugin) -> None:
    plugin.gives()
    with pytest.raises(CredentialsError, match="missing token or clientCertificateData"):
        load_credentials(plugin.kubeconfig)


def test_another_threads_errors_are_not_swallowed(caplog: pytest.LogCaptureFixture) -> None:
    with kube._root_errors() as said:
        logging.getLogger().warning("a warning")
        logging.getLogger().error("an error")
    assert said == ["an error"]
    assert caplog.messages == ["a warning"]


# --- what is wrong, in words


def test_no_cluster_at_all() -> None:
    with pytest.raises(CredentialsError, match=r"no cluster to ask: not in a pod, KUBECONFIG is not set and there is"):
        load_credentials()


def test_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(CredentialsError, match=f"^kubeconfig {missing}: no such file$"):
        load_credentials(str(missing))
    monkeypatch.setenv("KUBECONFIG", str(missing))
    with pytest.raises(CredentialsError, match="no such file"):
        load_credentials()


@pytest.mark.parametrize("text", ["", "a: [b", "just words", "[1, 2]", "clusters: 5", "contexts: [{}]", "\x00"])
def test_a_broken_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(CredentialsError, match=f"^kubeconfig {file}.+") as raised:
        load_credentials(str(file))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"current-context": ""}, "has no current context; choose one: here"),
        ({"current-context": "gone"}, "has no context 'gone'; it has: here"),
        ({"clusters": []}, "name c in"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "context here: its cluster has no server"),
        (
            {"clusters": [{"name": "c", "cluster": {"server": SERVER, "certificate-authority-data": "?"}}]},
            "context here: ",
        ),
        (
            {"clusters": [{"name": "c", "cluster": {"server": SERVER, "certificate-authority": "missing"}}]},
            "File does not exist",
        ),
        (
            {"clusters": [{"name": "c", "cluster": {"server": SERVER, "certificate-authority-data": "aGVsbG8="}}]},
            "cannot use its certificates",
        ),
        (
            {"clusters": [{"name": "c", "cluster": {"server": SERVER, "proxy-url": "socks5://p:1"}}]},
            "only http and https",
        ),
        ({"users": [{"name": "u", "user": {"token": "t", "as": "root"}}]}, "impersonation"),
        ({"users": [{"name": "u", "user": {"tokenFile": "missing"}}]}, "No such file"),
    ],
)
def test_what_is_wrong_in_a_file(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    file = write(tmp_path / "config", {"token": "t"}, **more)
    with pytest.raises(CredentialsError, match=message):
        load_credentials(file)


def test_an_unknown_context(tmp_path: Path) -> None:
    file = write(tmp_path / "config", {"token": "t"})
    with pytest.raises(CredentialsError, match=r"^kubeconfig .* has no context 'prod'; it has: here$"):
        load_credentials(file, "prod")


def test_an_encrypted_key_does_not_ask_the_terminal(tmp_path: Path) -> None:
    files = certificate_files(tmp_path)
    key = serialization.load_pem_private_key(KEY, None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    )
    (tmp_path / "tls.key").write_bytes(encrypted)
    with pytest.raises(CredentialsError, match="cannot use its certificates"):
        load_credentials(write(tmp_path / "config", files))


# --- in a pod


@pytest.fixture
def service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("one\n")
    (folder / "ca.crt").write_bytes(CERTIFICATE)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return folder


async def test_the_service_account_of_a_pod(service_account: Path) -> None:
    credentials = load_credentials()
    clock = timed(credentials)
    assert credentials.server == "https://[fd00::1]:443"
    assert credentials.context == "in-cluster"
    assert await credentials.headers() == {"Authorization": "bearer one"}
    (service_account / "token").write_text("two\n")
    clock.now = 61
    assert await credentials.headers() == {"Authorization": "bearer two"}
    (service_account / "token").write_text("three\n")
    await credentials.refresh()
    assert await credentials.headers() == {"Authorization": "bearer three"}


async def test_a_kubeconfig_goes_before_the_service_account(service_account: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "config", {"token": "t"})
    assert load_credentials(file).context == "here"
    (tmp_path / "home/.kube").mkdir(parents=True)
    write(tmp_path / "home/.kube/config", {"token": "t"})
    assert load_credentials().context == "in-cluster"
    assert load_credentials(context="here").context == "here"


def test_a_pod_without_a_token(service_account: Path) -> None:
    (service_account / "token").unlink()
    with pytest.raises(CredentialsError, match=r"in a pod, but its service account cannot be used: .*token"):
        load_credentials()


# --- requests


async def test_a_refusal_need_not_be_json_but_an_answer_must(tmp_path: Path) -> None:
    """Of a path that is none the API server says `404 page not found`, and a proxy before it has pages of its own."""

    async def answer(request: web.Request) -> web.Response:
        status = int(request.match_info["status"])
        return web.Response(status=status, text="not\nJSON" if status != 201 else request.headers["Accept"].join('""'))

    app = web.Application()
    app.router.add_get("/{status}", answer)
    async with TestServer(app) as server:
        cluster = {"server": str(server.make_url("")).rstrip("/")}
        credentials = load_credentials(write(tmp_path / "config", {"token": "t"}, cluster))
        assert await credentials.send("GET", "/404") == (404, "not\nJSON")
        assert await credentials.send("GET", "/201", accept="application/x") == (201, "application/x")
        with pytest.raises(ConnectionError, match=r"GET .*/200: "):
            await credentials.send("GET", "/200")
        api = kube.Writer(credentials, "netadmit")
        with pytest.raises(kube.RefusedError, match="GET /503: 503: not JSON") as refused:
            await api._ask("GET", "/503")
        assert refused.value.status == 503
