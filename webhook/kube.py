"""Credentials for the API server, and what is written to it: `kubernetes` is imported here alone, inside functions.

Its import costs 21 MiB and about a second beside aiohttp (no submodule is lighter: the package's ``__init__`` imports
them all), so nothing that works on files alone may pay for it.

What `kubernetes` 37.0.2 leaves undone is done here: a ``tokenFile`` of a kubeconfig is read once and never again, an
exec plugin that fails is logged on the root logger and otherwise ignored, client certificates of a plugin never expire,
and a token file's line break ends up in the header.
"""

import asyncio
import base64
import contextlib
import json
import logging
import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from msgspec import Struct

if TYPE_CHECKING:
    from certs.publish import Held, Trust

IN_CLUSTER: Final = "in-cluster"
_log: Final = logging.getLogger("netadmit.kube")
_REREAD_SECONDS: Final = 60.0
"""As client-go's token source and kubernetes' in-cluster loader: a bound token is rotated long before it expires."""
_FORCED_SECONDS: Final = 10.0
"""The least time between two refreshes that a 401 asked for: thirty watches are refused at once, for one reason."""
_SEND_SECONDS: Final = 15.0
_MERGE: Final = "application/merge-patch+json"
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAGE: Final = 500
_LONGEST_REFUSAL: Final = 1000
"""Bytes of a refusal that is no JSON."""
_VALIDATING: Final = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_EXPIRY_MARGIN: Final = timedelta(minutes=5)


class CredentialsError(Exception):
    """No way to the API server: no or a broken kubeconfig, an unknown context, a plugin that failed.

    The message is one line for the person who started the command.
    """


class _Loaded(Struct, frozen=True):
    """What one reading of the configuration gave."""

    config: Any
    """`kubernetes.client.Configuration`"""
    context: str
    changes: bool
    """Whether what it was read from is replaced while we run: token files and the old auth providers."""
    expires: datetime | None = None


class Credentials:
    """How to reach one API server, and as whom; made by `load_credentials`.

    Attributes:
        server: the base URL, without a slash at the end; it may have a path.
        context: the kubeconfig's context, or ``in-cluster``: to be printed, so that nobody asks a wrong cluster.
        server_hostname: the name to expect in the server's certificate where it is not the URL's (tls-server-name).
        proxy: the HTTP proxy to go through, of the kubeconfig (proxy-url) or of the environment.
    """

    def __init__(self, load: Callable[[], _Loaded], clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._lock = asyncio.Lock()
        self._loaded = load()
        self._read_at = clock()
        self._forced_at = float("-inf")
        self._tls: tuple[object, ssl.SSLContext] | None = None
        config = self._loaded.config
        self.server: str = config.host.rstrip("/")
        self.context: str = self._loaded.context
        self.server_hostname: str | None = config.tls_server_name or None
        self.proxy: str | None = _proxy(config)
        self.ssl_context()  # says now what is wrong with the certificates

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS settings: CA, client certificate, insecure-skip-tls-verify.

        Cheap to call for each connection: it is made anew only when one of the files has changed.

        Raises:
            CredentialsError: a certificate or key cannot be read.
        """
        config = self._loaded.config
        try:
            made_of = (config.verify_ssl, *map(_fingerprint, (config.ssl_ca_cert, config.cert_file, config.key_file)))
            if self._tls is not None and self._tls[0] == made_of:
                return self._tls[1]
            context = ssl.create_default_context(cafile=config.ssl_ca_cert)
            if not config.verify_ssl:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if config.cert_file:
                # A password, though wrong: without one OpenSSL would ask the terminal, for ever.
                context.load_cert_chain(config.cert_file, config.key_file, password="")
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise CredentialsError(f"context {self.context}: cannot use its certificates: {_line(error)}") from error
        self._tls = made_of, context
        return context

    async def headers(self) -> Mapping[str, str]:
        """The headers that authenticate a request, fresh: tokens are read again every minute, plugins asked on expiry.

        What cannot be renewed is used on: it mostly still holds, and the server says when it does not.
        """
        if self._due():
            async with self._lock:
                if self._due():
                    try:
                        await self._reload()
                    except CredentialsError as error:
                        _log.warning("credentials kept, they could not be renewed: %s", error)
        return self._headers()

    async def refresh(self) -> None:
        """Reads everything again, and asks a plugin again: for a caller who was answered 401.

        Many callers at once cost one reading.

        Raises:
            CredentialsError: they could not be renewed.
        """
        async with self._lock:
            if self._clock() - self._forced_at >= _FORCED_SECONDS:
                self._forced_at = self._clock()
                await self._reload()

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        *,
        accept: str = "application/json",
    ) -> tuple[int, Any]:
        """One request, through what the kubeconfig says of TLS and proxies; in a thread, and not for what is frequent.

        Returns:
            The status, and the decoded answer; of a refusal perhaps a text.

        Raises:
            OSError: there is no answer, or none in JSON.
        """
        form = {"Content-Type": content_type, "Accept": accept}
        status, answer = await asyncio.to_thread(self._send, method, path, body, {**await self.headers(), **form})
        if status == 401:
            with contextlib.suppress(CredentialsError):
                await self.refresh()
                headers = {**await self.headers(), **form}
                status, answer = await asyncio.to_thread(self._send, method, path, body, headers)
        return status, answer

    def _send(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> tuple[int, Any]:
        from kubernetes.client.rest import RESTClientObject  # noqa: PLC0415 - heavy
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            client = RESTClientObject(self._loaded.config)
            with contextlib.closing(client):
                answer = client.pool_manager.request(
                    method,
                    self.server + path,
                    body=None if body is None else json.dumps(body).encode(),
                    headers=headers,
                    timeout=_SEND_SECONDS,
                    retries=False,
                )
            return int(answer.status), _decoded(answer.status, answer.data)
        except (HTTPError, ValueError) as error:
            raise ConnectionError(f"{method} {self.server}{path}: {_line(error)}") from error

    def _due(self) -> bool:
        if self._clock() - self._read_at < _REREAD_SECONDS:
            return False
        expires = self._loaded.expires
        return self._loaded.changes or (expires is not None and expires - _EXPIRY_MARGIN <= datetime.now(UTC))

    async def _reload(self) -> None:
        try:
            # In a thread: a plugin may ask a server, or a person.
            self._loaded = await asyncio.to_thread(self._load)
        finally:
            self._read_at = self._clock()  # also when it failed: a plugin that fails is not asked at each request

    def _headers(self) -> Mapping[str, str]:
        # Not get_api_key_with_prefix: it calls kubernetes' own refresh, which would run a plugin in the event loop.
        keys = self._loaded.config.api_key
        value = keys.get("BearerToken") or keys.get("authorization")
        return {"Authorization": value.strip()} if value else {}


_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_NO_NAMESPACE: Final = re.compile(r'namespaces "[^"]+" not found$')


class RefusedError(PermissionError):
    """The API server answered with an error.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def namespace_ends(self) -> bool:
        """Whether the object's namespace is being deleted or is gone: nothing is taken there, and nobody will miss it.

        Source: k8s.io/apiserver pkg/admission/plugin/namespace/lifecycle/admission.go.
        """
        if self.status == _NOT_FOUND:
            return _NO_NAMESPACE.search(str(self)) is not None
        return self.status == _FORBIDDEN and "because it is being terminated" in str(self)


class LeaseRecord(Struct, frozen=True):
    """What a Lease says.

    Args:
        holder: who holds it; empty when nobody does.
        duration: seconds after which it has run out, if it is not renewed.
        acquired: since when, RFC 3339 with microseconds.
        renewed: when it was last renewed, likewise.
        transitions: how often the holder has changed.
        version: the resourceVersion; empty in what is to be written for the first time.
    """

    holder: str = ""
    duration: int = 0
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0
    version: str = ""


class Writer:
    """All that netadmit writes: `certs.publish.API` for its certificates, and the APIs of `webhook.events`,
    `webhook.lease` and `webhook.policy_reports`.

    Args:
        credentials: as whom.
        namespace: of the Secrets and Leases.
    """

    def __init__(self, credentials: Credentials, namespace: str) -> None:
        self._credentials = credentials
        self._secrets = f"/api/v1/namespaces/{namespace}/secrets"
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    async def read_secret(self, name: str) -> "Held":
        """What a Secret holds.

        Raises:
            OSError: it is not there, or may not be read.
        """
        from certs.publish import Held  # noqa: PLC0415 - cryptography is for the server alone

        secret = await self._ask("GET", f"{self._secrets}/{name}")
        data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        return Held(data, secret["metadata"]["resourceVersion"])

    async def write_secret(self, name: str, data: Mapping[str, bytes], version: str) -> bool:
        """Replaces a Secret's content, if it still is of this version; says whether it was.

        Raises:
            OSError: it is not there, or may not be written.
        """
        path = f"{self._secrets}/{name}"
        secret = await self._ask("GET", path)
        if secret["metadata"]["resourceVersion"] != version:
            return False
        # The whole object goes back: labels, and what Helm notes about it, stay.
        secret["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
        status, answer = await self._credentials.send("PUT", path, secret)
        if status != 409:
            _expect("PUT", path, status, answer)
        return status != 409

    async def read_trust(self, name: str) -> "Trust":
        """The CAs that API servers trust, one bundle a webhook of a ValidatingWebhookConfiguration.

        Raises:
            OSError: the configuration is not there, or may not be read.
        """
        from certs.publish import Trust  # noqa: PLC0415 - cryptography is for the server alone

        found = await self._ask("GET", f"{_VALIDATING}/{name}")
        bundles = [base64.b64decode(w["clientConfig"].get("caBundle") or "") for w in found.get("webhooks") or ()]
        return Trust(bundles, found["metadata"]["resourceVersion"])

    async def publish_ca(self, name: str, ca: bytes, version: str) -> bool:
        """Makes the CA the one that API servers trust for all webhooks of a ValidatingWebhookConfiguration.

        Returns:
            Whether it was still of this version; else nothing was written.

        Raises:
            OSError: the configuration is not there, or may not be written.
        """
        path = f"{_VALIDATING}/{name}"
        found = await self._ask("GET", path)
        if found["metadata"]["resourceVersion"] != version:
            return False
        bundle = base64.b64encode(ca).decode()
        # A patch that names the version it was made for is refused with 409 when there is another one by now.
        patch = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
        patch += [
            {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": bundle}
            for number in range(len(found.get("webhooks") or ()))
        ]
        status, answer = await self._credentials.send("PATCH", path, patch, "application/json-patch+json")
        if status != 409:
            _expect("PATCH", path, status, answer)
        return status != 409

    async def create_event(self, namespace: str, event: dict[str, Any]) -> bool:
        """Makes an Event; says whether there was none of this name.

        Raises:
            OSError: it may not be written.
        """
        path = f"/api/v1/namespaces/{namespace}/events"
        status, answer = await self._credentials.send("POST", path, event)
        if status != 409:
            _expect("POST", path, status, answer)
        return status != 409

    async def patch_event(self, namespace: str, name: str, change: dict[str, Any]) -> bool:
        """Changes fields of an Event; says whether it still is there.

        Raises:
            OSError: it may not be written.
        """
        path = f"/api/v1/namespaces/{namespace}/events/{name}"
        status, answer = await self._credentials.send("PATCH", path, change, _MERGE)
        if status != 404:
            _expect("PATCH", path, status, answer)
        return status != 404

    async def read_lease(self, name: str) -> LeaseRecord | None:
        """What a Lease says; None when it is not there.

        Raises:
            OSError: it may not be read.
        """
        path = f"{self._leases}/{name}"
        status, answer = await self._credentials.send("GET", path)
        if status == 404:
            return None
        _expect("GET", path, status, answer)
        return _lease_record(answer)

    async def write_lease(self, name: str, record: LeaseRecord) -> LeaseRecord | None:
        """Writes a Lease, if it still is of the record's version; without a version, if there is none of this name.

        Returns:
            What it says now; None when somebody else was first.

        Raises:
            OSError: it may not be written.
        """
        spec = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.duration,
            "acquireTime": record.acquired,
            "renewTime": record.renewed,
            "leaseTransitions": record.transitions,
        }
        if record.version:
            method, path, content_type = "PATCH", f"{self._leases}/{name}", _MERGE
            metadata = {"resourceVersion": record.version}
        else:
            method, path, content_type = "POST", self._leases, "application/json"
            metadata = {"name": name}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        status, answer = await self._credentials.send(method, path, body, content_type)
        if status == 409:
            return None
        _expect(method, path, status, answer)
        return _lease_record(answer)

    async def serves(self, group_version: str, plural: str) -> bool:
        """Whether the API server has such a resource.

        Raises:
            OSError: it did not say.
        """
        path = f"/apis/{group_version}"
        status, answer = await self._credentials.send("GET", path)
        if status == 404:
            return False
        _expect("GET", path, status, answer)
        return any(resource["name"] == plural for resource in answer["resources"])

    async def list_managed(self, group_version: str, plural: str, manager: str) -> list[tuple[str, str]]:
        """Namespaces and names of what carries this manager's label, in all namespaces.

        Raises:
            OSError: they may not be listed.
        """
        first = f"/apis/{group_version}/{plural}?labelSelector=app.kubernetes.io/managed-by%3D{manager}&limit={_PAGE}"
        found, path = [], first
        while True:
            status, answer = await self._credentials.send("GET", path, accept=_METADATA)
            _expect("GET", path, status, answer)
            found += [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in answer["items"] or ()]
            more = answer["metadata"].get("continue")
            if not more:
                return found
            path = f"{first}&continue={quote(more, safe='')}"

    async def apply(self, plural: str, body: dict[str, Any]) -> None:
        """Makes an object be so, whether it is there or not: server-side apply, of what netadmit alone manages.

        Raises:
            OSError: it may not be written.
        """
        metadata = body["metadata"]
        path = f"/apis/{body['apiVersion']}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"
        await self._ask("PATCH", f"{path}?fieldManager=netadmit&force=true", body, "application/apply-patch+yaml")

    async def delete(self, group_version: str, plural: str, namespace: str, name: str) -> None:
        """Sees to it that an object is not there.

        Raises:
            OSError: it may not be deleted.
        """
        path = f"/apis/{group_version}/namespaces/{namespace}/{plural}/{name}"
        status, answer = await self._credentials.send("DELETE", path)
        if status != 404:
            _expect("DELETE", path, status, answer)

    async def webhook_uid(self, name: str) -> str:
        """The uid of a ValidatingWebhookConfiguration; empty when there is none of this name.

        Raises:
            OSError: it may not be read.
        """
        path = f"{_VALIDATING}/{name}"
        status, answer = await self._credentials.send("GET", path)
        if status == _NOT_FOUND:
            return ""
        _expect("GET", path, status, answer)
        return str(answer["metadata"]["uid"])

    async def _ask(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        status, answer = await self._credentials.send(method, path, body, content_type)
        _expect(method, path, status, answer)
        return answer


def _lease_record(lease: Any) -> LeaseRecord:
    spec = lease.get("spec") or {}
    return LeaseRecord(
        spec.get("holderIdentity") or "",
        spec.get("leaseDurationSeconds") or 0,
        spec.get("acquireTime") or "",
        spec.get("renewTime") or "",
        spec.get("leaseTransitions") or 0,
        lease["metadata"]["resourceVersion"],
    )


def _decoded(status: int, data: bytes) -> Any:
    """JSON, but for what says what is wrong: `404 page not found` of a path that is none, or a proxy's page."""
    try:
        return json.loads(data or b"null")
    except ValueError:
        if status < 400:
            raise
        return data[:_LONGEST_REFUSAL].decode(errors="replace")


def _expect(method: str, path: str, status: int, answer: Any) -> None:
    if status >= 400:
        said = answer.get("message") if isinstance(answer, dict) else answer
        raise RefusedError(f"{method} {path}: {status}: {_line(said)}", status)


def load_credentials(kubeconfig: str | None = None, context: str | None = None) -> Credentials:
    """Finds the API server and who we are there. Blocks: it imports `kubernetes`, and may run an exec plugin.

    Args:
        kubeconfig: the file to read (several with the platform's path separator, as in KUBECONFIG).
        context: the context in it; the current one by default.

    Without both: KUBECONFIG, then the pod's service account, then ``~/.kube/config``.
    Source of the order: sigs.k8s.io/controller-runtime pkg/client/config GetConfigWithContext.

    Raises:
        CredentialsError: nothing of this is there, or it is broken.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG")
    default = str(Path("~/.kube/config").expanduser())
    if not named and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return Credentials(_load_in_cluster)
    files = named or default
    if not any(Path(file).expanduser().exists() for file in files.split(os.pathsep) if file):
        if named:
            raise CredentialsError(f"kubeconfig {files}: no such file")
        raise CredentialsError(
            f"no cluster to ask: not in a pod, KUBECONFIG is not set and there is no {default}; "
            "name a kubeconfig with --kubeconfig, or files with --cluster"
        )
    # The context is settled once: a `kubectl config use-context` elsewhere must not move a running process.
    settled = _settle_context(files, context)
    return Credentials(lambda: _load_kubeconfig(files, settled))


def _load_in_cluster() -> _Loaded:
    from kubernetes.client import Configuration  # noqa: PLC0415 - heavy
    from kubernetes.config import ConfigException, load_incluster_config  # noqa: PLC0415

    config = Configuration()
    try:
        load_incluster_config(config)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"in a pod, but its service account cannot be used: {_line(error)}") from error
    return _Loaded(config, IN_CLUSTER, changes=True)


def _merged(files: str) -> Any:
    """The files as `kubernetes` merges them, with a persister: a provider's refreshed tokens must be written back."""
    from kubernetes.config import kube_config  # noqa: PLC0415 - heavy

    try:
        merger = kube_config.KubeConfigMerger(files)  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever a misshapen file makes it raise
        raise CredentialsError(f"kubeconfig {files}: {_line(error)}") from error
    return merger


def _settle_context(files: str, context: str | None) -> str:
    merged = _merged(files).config
    try:
        names = [str(entry["name"]) for entry in merged.value["contexts"]]
        chosen = context or merged.safe_get("current-context")
    except Exception as error:
        raise CredentialsError(f"kubeconfig {files}: {_line(error)}") from error
    if not chosen:
        raise CredentialsError(f"kubeconfig {files} has no current context; choose one: {', '.join(names) or 'none'}")
    if chosen not in names:
        raise CredentialsError(f"kubeconfig {files} has no context {chosen!r}; it has: {', '.join(names) or 'none'}")
    return str(chosen)


def _load_kubeconfig(files: str, context: str) -> _Loaded:
    from kubernetes.client import Configuration  # noqa: PLC0415 - heavy
    from kubernetes.config import kube_config  # noqa: PLC0415

    merger = _merged(files)
    config = Configuration()
    try:
        loader = kube_config.KubeConfigLoader(  # type: ignore[no-untyped-call]
            merger.config, active_context=context, config_base_path=None, config_persister=merger.save_changes
        )
        with _root_errors() as said:
            loader.load_and_set(config)  # type: ignore[no-untyped-call]
        entry = merger.config["contexts"].get_with_name(context)["context"]
        users, name = merger.config.safe_get("users"), entry.safe_get("user")
        user = merger.config["users"].get_with_name(name)["user"].value if users and name else {}
    except Exception as error:  # whatever a misshapen file makes it raise
        raise CredentialsError(f"kubeconfig {files}, context {context}: {_line(error)}") from error
    where = f"kubeconfig {files}, context {context}"
    if not getattr(loader, "host", ""):
        raise CredentialsError(f"{where}: its cluster has no server")
    if "exec" in user and (said or not (config.api_key or config.cert_file)):
        command = user["exec"].get("command", "")
        raise CredentialsError(f"{where}: the plugin {command}: {_line(said[0] if said else 'gave no credentials')}")
    if impersonated := user.get("as"):
        # kubernetes ignores it, and would act with more rights than the file means to give.
        raise CredentialsError(f"{where}: impersonation (as: {impersonated}) is not supported")
    return _Loaded(
        config,
        context,
        changes=bool(user.get("tokenFile") or user.get("auth-provider")),
        expires=getattr(loader, "expiry", None),
    )


@contextlib.contextmanager
def _root_errors() -> Iterator[list[str]]:
    """Collects what this thread logs on the root logger: there, and nowhere else, kubernetes says why a plugin failed.

    A handler is there for the time, because `logging.error` installs one on standard error when there is none.
    """
    said: list[str] = []
    root, thread, handler = logging.getLogger(), threading.get_ident(), logging.NullHandler()

    def collect(record: logging.LogRecord) -> bool:
        if record.thread != thread or record.levelno < logging.ERROR:
            return True
        said.append(record.getMessage())
        return False

    root.addFilter(collect)
    root.addHandler(handler)
    try:
        yield said
    finally:
        root.removeHandler(handler)
        root.removeFilter(collect)


def _proxy(config: Any) -> str | None:
    from kubernetes.client.rest import should_bypass_proxies  # noqa: PLC0415 - heavy

    if not config.proxy or should_bypass_proxies(config.host, config.no_proxy or ""):
        return None
    proxy = str(config.proxy)
    if not proxy.startswith(("http://", "https://")):
        raise CredentialsError(f"the proxy {proxy}: only http and https proxies are supported")
    return proxy


def _fingerprint(file: str | None) -> tuple[object, ...]:
    if not file:
        return ()
    status = Path(file).stat()
    return file, status.st_mtime_ns, status.st_size, status.st_ino


def _line(error: object) -> str:
    """An error as one line: YAML's and the plugins' messages have several."""
    return " ".join(str(error).split()) or type(error).__name__
