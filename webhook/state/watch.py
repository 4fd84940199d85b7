"""The live state: list+watch of every kind that the checks read, decoded straight into a `Cluster`.

One reflector a resource streams its objects in (WatchList; pages of 500 where the server has none), follows the watch,
and begins anew when the server has forgotten where it was. What may not be read is known to be unknown, and of an
optional kind that is not served there is none; both are asked for again a few times an hour. Semantics as in
k8s.io/client-go tools/cache/reflector.go; why not an existing informer, and what this one must do: facts/production.md
1 and 4.

Everything here runs on one event loop and changes the cluster between reviews, never within one.
"""

import asyncio
import logging
import random
import re
import socket
import ssl
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import aiohttp
import msgspec
from msgspec import Raw, Struct, field

from webhook import __version__
from webhook.kube import CredentialsError
from webhook.model.cluster import Cluster, Completeness
from webhook.model.objects import (
    ADMIN_NETWORK_POLICY,
    ALIASES,
    ANTREA_CLUSTER_NETWORK_POLICY,
    ANTREA_NETWORK_POLICY,
    API_SERVICE,
    BASELINE_ADMIN_NETWORK_POLICY,
    CALICO_GLOBAL_NETWORK_POLICY,
    CALICO_NETWORK_POLICY,
    CILIUM_CLUSTERWIDE_NETWORK_POLICY,
    CILIUM_NETWORK_POLICY,
    CILIUM_NODE_CONFIG,
    CLUSTER_NETWORK,
    CLUSTER_NETWORK_POLICY,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_CLASS,
    JOB,
    MUTATING_WEBHOOKS,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    NODE_CLASS,
    OPTIONAL,
    POD,
    REPLICA_SET,
    ROLE_BINDING,
    SERVICE,
    SERVICE_CIDR,
    STATEFUL_SET,
    VALIDATING_WEBHOOKS,
    Key,
    Labels,
    Record,
)
from webhook.model.parse import DecodeError, decode

_log: Final = logging.getLogger("netadmit.state")


class Resource(Struct, frozen=True):
    """What one reflector follows: all objects of a kind, or the one that ``key`` names."""

    kind: str
    path: str
    fields: str = ""
    """The fieldSelector."""
    key: Key | None = None
    others: tuple[str, ...] = ()
    """Where else it may be, when it is not served at ``path``: other versions of the same shape."""

    @property
    def optional(self) -> bool:
        """Whether not being served is nothing strange, and means that there is none."""
        return self.kind in OPTIONAL

    @property
    def title(self) -> str:
        return self.kind if self.key is None else f"{self.kind} {'/'.join(self.key)}"


PLURALS: Final = {
    NAMESPACE: "namespaces",
    NODE: "nodes",
    SERVICE: "services",
    POD: "pods",
    DEPLOYMENT: "deployments",
    REPLICA_SET: "replicasets",
    STATEFUL_SET: "statefulsets",
    DAEMON_SET: "daemonsets",
    JOB: "jobs",
    CRON_JOB: "cronjobs",
    ENDPOINT_SLICE: "endpointslices",
    NETWORK_POLICY: "networkpolicies",
    INGRESS: "ingresses",
    INGRESS_CLASS: "ingressclasses",
    HTTP_ROUTE: "httproutes",
    SERVICE_CIDR: "servicecidrs",
    ADMIN_NETWORK_POLICY: "adminnetworkpolicies",
    BASELINE_ADMIN_NETWORK_POLICY: "baselineadminnetworkpolicies",
    CLUSTER_NETWORK_POLICY: "clusternetworkpolicies",
    CALICO_NETWORK_POLICY: "networkpolicies",
    CALICO_GLOBAL_NETWORK_POLICY: "globalnetworkpolicies",
    CILIUM_NETWORK_POLICY: "ciliumnetworkpolicies",
    CILIUM_CLUSTERWIDE_NETWORK_POLICY: "ciliumclusterwidenetworkpolicies",
    ANTREA_NETWORK_POLICY: "networkpolicies",
    ANTREA_CLUSTER_NETWORK_POLICY: "clusternetworkpolicies",
    CILIUM_NODE_CONFIG: "ciliumnodeconfigs",
    NODE_CLASS: "nodeclasses",
    CLUSTER_NETWORK: "clusternetworks",
    VALIDATING_WEBHOOKS: "validatingwebhookconfigurations",
    MUTATING_WEBHOOKS: "mutatingwebhookconfigurations",
    API_SERVICE: "apiservices",
    ROLE_BINDING: "rolebindings",
    CLUSTER_ROLE_BINDING: "clusterrolebindings",
}
_FIELDS: Final = {POD: "status.phase!=Succeeded,status.phase!=Failed"}
"""Finished pods have no network, and can be most of a cluster's (facts/production.md 3.15)."""
CONFIG_MAPS: Final[tuple[Key, ...]] = (
    ("kube-system", "cilium-config"),
    ("kube-system", "calico-config"),
    ("kube-system", "canal-config"),
    ("kube-system", "kube-flannel-cfg"),
    ("kube-flannel", "kube-flannel-cfg"),
    ("kube-system", "antrea-config"),
    ("kube-system", "amazon-vpc-cni"),
    ("kube-system", "azure-npm-config"),
    ("kube-system", "eni-config"),
    ("kube-system", "netd-config"),
    ("openshift-config-managed", "openshift-network-features"),
    ("kube-system", "coredns"),
    ("kube-system", "coredns-custom"),
    ("kube-system", "rke2-coredns-rke2-coredns"),
    ("kube-system", "kube-dns"),
    ("openshift-dns", "dns-default"),
)
"""The ConfigMaps that tell the CNI and the cluster domain.

Each has a watch of its own, though one for each namespace would need fewer connections: a watch by metadata.name is
granted by ``resourceNames``, a watch of kube-system's ConfigMaps would have to be granted, held and decoded whole
(k8s.io website docs/reference/access-authn-authz/rbac, "Referring to resources"). An idle watch costs 0.2 MiB here.
"""


def _path(kind: str, plural: str) -> str:
    version = kind.rpartition("/")[0]
    return f"/{'apis' if '/' in version else 'api'}/{version}/{plural}"


RESOURCES: Final[tuple[Resource, ...]] = (
    *(
        Resource(
            kind,
            _path(kind, plural),
            _FIELDS.get(kind, ""),
            others=tuple(_path(alias, plural) for alias, meant in ALIASES.items() if meant == kind),
        )
        for kind, plural in PLURALS.items()
    ),
    *(
        Resource(
            CONFIG_MAP, f"/api/v1/namespaces/{namespace}/configmaps", f"metadata.name={name}", key=(namespace, name)
        )
        for namespace, name in CONFIG_MAPS
    ),
)
ROLES: Final = Resource(CLUSTER_ROLE, _path(CLUSTER_ROLE, "clusterroles"))
"""Followed only when the configuration asks for it (``rbacHint``)."""


class Timing(Struct, frozen=True):
    """How long things may take, in seconds.

    Args:
        watch: the server is asked to end a watch after a time between these two, so that not all end together.
        grace: a watch that says nothing for its time and this much more is dead: the connection is given up.
        answer: the most that a page of a list may pause.
        backoff: the first pause after a failure, and the longest one; between them it doubles.
        denied: pauses before what may not be read is tried again, the last one repeated. The first are short because
            an API server that has just started denies everything for a moment.
        unserved: the same for an optional kind that is not served. All are shorter than
            ``stale``, because nothing is heard of it between them.
        stale: a kind of which nothing was heard for so long is only partly known.
    """

    watch: tuple[float, float] = (240.0, 300.0)
    grace: float = 30.0
    answer: float = 60.0
    backoff: tuple[float, float] = (1.0, 30.0)
    denied: tuple[float, ...] = (15.0, 60.0, 300.0)
    unserved: tuple[float, ...] = (15.0, 60.0, 240.0)
    stale: float = 300.0


class Access(Protocol):
    """How to reach the API server; `webhook.kube.Credentials` is one."""

    @property
    def server(self) -> str:
        """The base URL, without a slash at the end."""

    @property
    def server_hostname(self) -> str | None:
        """The name to expect in the server's certificate, where it is not the URL's."""

    @property
    def proxy(self) -> str | None:
        """The URL of an HTTP proxy to go through."""

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS settings for the next connection."""

    async def headers(self) -> Mapping[str, str]:
        """The headers that authenticate a request."""

    async def refresh(self) -> None:
        """Renews the credentials: the server has answered 401."""


class KindStatus(Struct, frozen=True):
    """What is known of a kind, for /readyz, metrics and the log.

    Args:
        completeness: what not finding an object means.
        synced: its first list is in, or it cannot be read, or is not served and need not be.
        objects: how many are held.
        age: seconds since the server last said anything about it (for ConfigMap: about the quietest); None before, and
            where nothing is followed.
        restarts: how often a list or watch failed.
        reason: why the kind, or a part of it, is not known; empty when it is complete.
    """

    kind: str
    completeness: Completeness
    synced: bool
    objects: int
    age: float | None
    restarts: int
    reason: str = ""


# --- the wire


class _Meta(Struct, frozen=True, rename="camel", gc=False):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Object(Struct, frozen=True, gc=False):
    metadata: _Meta = _Meta()


class _BookmarkMeta(Struct, frozen=True, rename="camel", gc=False):
    resource_version: str = ""
    annotations: Labels = {}


class _Bookmark(Struct, frozen=True, gc=False):
    metadata: _BookmarkMeta = _BookmarkMeta()


class _Event(Struct, frozen=True, gc=False):
    type: str
    object: Raw


class _ListMeta(Struct, frozen=True, rename="camel", gc=False):
    resource_version: str = ""
    more: str = field(default="", name="continue")


class _Page(Struct, frozen=True, gc=False):
    metadata: _ListMeta = _ListMeta()
    items: list[Raw] | None = None


class _Status(Struct, frozen=True, gc=False):
    message: str = ""
    code: int = 0


_OBJECT: Final = msgspec.json.Decoder(_Object)
_BOOKMARK: Final = msgspec.json.Decoder(_Bookmark)
_EVENT: Final = msgspec.json.Decoder(_Event)
_PAGE: Final = msgspec.json.Decoder(_Page)
_STATUS: Final = msgspec.json.Decoder(_Status)

_TLS_BUFFER: Final = 64 * 1024
"""asyncio holds 256 KiB for each TLS connection, whether anything comes or not (asyncio/sslproto.py): for 35 watches a
tenth of all memory. A TLS record has 16 KiB, so what comes fast is still read in few pieces."""
_INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"
_PAGE_SIZE: Final = 500
"""With ``resourceVersion=0`` a server would ignore it and send everything, so none is given (facts/production.md 4)."""
_BREATHER: Final = 100
"""After so many objects of a page the event loop has its turn: 2 ms at 20 us an object."""
_LONGEST_LINE: Final = 64 * 1024 * 1024
"""More than any object can have (etcd takes 1.5 MiB): what sends this is no API server."""
_HEALTHY: Final = 30.0
"""A watch that lasted so many seconds before it broke starts the pauses from the shortest again."""
_SHORT: Final = 1.0
"""A watch that ends in less, with nothing said, is a failure: client-go's VeryShortWatchError."""

_PATIENCE: Final = 3
"""After so many refusals the place where the watch should go on is doubted: etcd may have been restored from an older
state, and no server says so. So many failures are worth a line in the log, too: watches are cut all the time."""

_NOT_FOUND: Final = 404
_GONE: Final = 410
_BROKEN: Final = 500
_DENIED: Final = {403: "forbidden", _NOT_FOUND: "not served"}
_BUSY: Final = frozenset({401, 429, 503})
"""Answers that say nothing about the request itself."""
_NO_WATCH_LIST: Final = frozenset({400, 405, 406, 415, 422, 501})
"""Answers of servers that do not know ``sendInitialEvents``."""
_PASSING: Final = frozenset({401, _GONE, 429, 502, 503, 504, *_DENIED})
"""What has nothing to do with WatchList when it comes in the stream of one; all else there means: not here."""


class _RefusedError(Exception):
    """The server said no: by its answer's status, or by an ERROR event in a stream that began well."""

    def __init__(self, code: int, message: str, *, retry_after: float = 0.0, in_stream: bool = False) -> None:
        super().__init__(f"{code}: {message}" if message else str(code))
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.in_stream = in_stream


class _BrokenError(Exception):
    """The connection or what came over it is not what it should be."""


_FAILURES: Final = (
    _BrokenError,
    _RefusedError,
    CredentialsError,
    aiohttp.ClientError,
    msgspec.DecodeError,
    TimeoutError,
    OSError,
    UnicodeDecodeError,
)


class _Reflector:
    """Keeps the objects of one resource in the cluster as they are in the API server."""

    _streams_lists = True

    def __init__(self, state: "LiveState", resource: Resource) -> None:
        self.resource = resource
        self.synced = False
        self.denied = ""
        """Why it may not be read; empty when it may."""
        self.unserved = False
        """It is not served, and need not be: there is none."""
        self.stale = False
        self.heard: float | None = None
        """When the server last said anything about it."""
        self.restarts = 0
        self.problem = ""
        """What went wrong since it last went well."""
        self.undecodable: dict[Key, str] = {}
        self._state = state
        self._version = ""
        """Where the watch goes on; empty: list first."""
        self._failures = 0
        self._denials = 0
        self._paths = (resource.path, *resource.others)
        self._misses = 0
        """How many of them in a row were not served; the first is asked next."""
        self._connected_at = 0.0

    @property
    def followed(self) -> bool:
        """Whether news of it may come at any time."""
        return not self.denied and not self.unserved

    @property
    def settled(self) -> bool:
        return self.synced or bool(self.denied)

    @property
    def completeness(self) -> Completeness:
        if not self.synced:
            return Completeness.ABSENT
        return Completeness.PARTIAL if self.stale or self.undecodable else Completeness.COMPLETE

    @property
    def reason(self) -> str:
        """Why not everything is known; empty when it is."""
        if self.denied:
            return self.denied
        if not self.synced:
            return f"not synced yet: {self.problem}" if self.problem else "not synced yet"
        if self.stale:
            return f"nothing heard since {self.age:.0f} s: {self.problem}"
        if self.undecodable:
            (namespace, name), message = next(iter(self.undecodable.items()))
            where = f"{namespace}/{name}" if namespace else name
            return f"{len(self.undecodable)} not understood, as {where}: {message}"
        return ""

    @property
    def age(self) -> float | None:
        return None if self.heard is None else self._state.clock() - self.heard

    # --- the loop

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Follows the resource until cancelled."""
        while True:
            try:
                await self._follow(session)
                self._failures = 0
            except _FAILURES as error:
                pause = await self._after(error)
            except Exception as error:  # noqa: BLE001 - logged whole
                # A mistake of ours must not end the view of this kind for good.
                _log.exception("watch %s: unexpected", self.resource.title)
                self._version = ""
                pause = await self._after(error)
            else:
                continue
            if pause:
                await self._state.sleep(pause)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        """Lists if need be, then watches until the server ends the watch in good order."""
        if not self._version and self._streams_lists:
            await self._watch(session, {})
            return
        if not self._version:
            await self._list(session)
        await self._watch(session, None)

    async def _after(self, error: Exception) -> float:
        """Draws the consequences of a failure, and says how many seconds to wait."""
        if self.resource.optional and isinstance(error, _RefusedError) and error.code == _NOT_FOUND:
            return self._miss()
        self.restarts += 1
        self.problem = _line(error)
        if self._connected_at and self._state.clock() - self._connected_at >= _HEALTHY:
            self._failures = 0
        self._connected_at = 0.0
        self._failures += 1
        if not isinstance(error, _RefusedError):
            return self._pause()
        if error.code in _DENIED:
            return self._deny(f"{_DENIED[error.code]}: {self.problem}")
        if self._refuses_watch_list(error):
            _log.info("watch %s: no streamed list here, using pages: %s", self.resource.title, self.problem)
            self._streams_lists = False
            return 0.0
        if error.code == _GONE or (self._failures >= _PATIENCE and error.code not in _BUSY):
            self._version = ""
        if error.code == 401 and await self._renewed() and self._failures == 1:
            return 0.0
        if self.resource.optional and not self.synced and self._failures >= _PATIENCE and error.code >= _BROKEN:
            # An aggregated API whose server is down (Calico's) must not keep the whole state from being complete.
            return self._deny(f"not available: {self.problem}")
        return max(self._pause(), error.retry_after)

    async def _renewed(self) -> bool:
        try:
            await self._state.access.refresh()
        except CredentialsError as error:
            self.problem = _line(error)
            return False
        return True

    def _pause(self) -> float:
        if self.synced and not self.stale and (self.age or 0.0) > self._state.timing.stale:
            self.stale = True
            _log.warning("%s is stale: %s", self.resource.title, self.reason)
            self._state.settle(self.resource.kind)
        level = logging.DEBUG
        if self._failures == _PATIENCE and self._state.is_news(self.problem):
            level = logging.WARNING
        _log.log(level, "watch %s: failure %d: %s", self.resource.title, self._failures, self.problem)
        shortest, longest = self._state.timing.backoff
        return min(longest, shortest * 2.0 ** min(self._failures - 1, 16)) * _jitter(0.5, 1.0)

    def _refuses_watch_list(self, error: _RefusedError) -> bool:
        if self._version or not self._streams_lists:
            return False
        return error.code not in _PASSING if error.in_stream else error.code in _NO_WATCH_LIST

    def _deny(self, reason: str) -> float:
        """Forgets the objects: nobody will say any more when they change."""
        if not self.denied:
            _log.warning("%s cannot be read and counts as unknown: %s", self.resource.title, reason)
        self.denied, self.synced, self.stale, self.unserved, self._version = reason, False, False, False, ""
        self.undecodable = {}
        self._replace({})
        self._state.settle(self.resource.kind)
        return self._later(self._state.timing.denied)

    def _miss(self) -> float:
        """An optional kind is not served here: it may be under another version, or there is none."""
        self._paths = (*self._paths[1:], self._paths[0])
        self._misses += 1
        self._version, self._failures = "", 0
        if self._misses % len(self._paths):
            return 0.0
        self._contact()
        _log.debug("%s is not served", self.resource.title)
        self.denied, self.synced, self.unserved, self.problem = "", True, True, ""
        self.undecodable = {}
        self._replace({})
        self._state.settle(self.resource.kind)
        return self._later(self._state.timing.unserved)

    def _later(self, pauses: tuple[float, ...]) -> float:
        pause = pauses[min(self._denials, len(pauses) - 1)]
        self._denials += 1
        self._failures = 0
        return pause * _jitter(0.8, 1.2)

    def _contact(self) -> None:
        """The server spoke: what is held is as good as new."""
        self.heard = self._state.clock()
        if self.stale:
            self.stale = False
            _log.info("%s is fresh again", self.resource.title)
            self._state.settle(self.resource.kind)

    # --- requests

    async def _get(
        self, session: aiohttp.ClientSession, query: Mapping[str, str], silence: float
    ) -> aiohttp.ClientResponse:
        access = self._state.access
        if self.resource.fields:
            query = {**query, "fieldSelector": self.resource.fields}
        headers = await access.headers()
        response = await session.get(
            f"{access.server}{self._paths[0]}",
            params=query,
            headers=headers,
            ssl=access.ssl_context(),
            server_hostname=access.server_hostname,
            proxy=access.proxy,
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=10.0, sock_read=silence),
            allow_redirects=False,
        )
        if response.status != 200:
            async with response:
                raise await _refusal(response)
        self._connected_at, self._misses = self._state.clock(), 0
        return response

    async def _list(self, session: aiohttp.ClientSession) -> None:
        seen: dict[Key, Record] = {}
        undecodable: dict[Key, str] = {}
        query = {"limit": str(_PAGE_SIZE)}
        while True:
            async with await self._get(session, query, self._state.timing.answer) as response:
                page = _PAGE.decode(await response.read())
            self._contact()
            for number, raw in enumerate(page.items or (), start=1):
                self._collect(raw, seen, undecodable)
                if number % _BREATHER == 0:
                    await asyncio.sleep(0)
            if not page.metadata.more:
                break
            query = {**query, "continue": page.metadata.more}
        self._sync(seen, undecodable, page.metadata.resource_version)

    async def _watch(self, session: aiohttp.ClientSession, seen: dict[Key, Record] | None) -> None:
        """Follows one watch to its end. With `seen` (empty) its first events are the list, and are collected there."""
        timing = self._state.timing
        seconds = int(_jitter(*timing.watch))
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        if seen is None:
            query["resourceVersion"] = self._version
        else:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        undecodable: dict[Key, str] = {}
        began, events = self._state.clock(), 0
        async with await self._get(session, query, seconds + timing.grace) as response:
            self._contact()
            async for line in _lines(response.content):
                event = _EVENT.decode(line)
                events += 1
                self._contact()
                if event.type == "ERROR":
                    status = _STATUS.decode(event.object)
                    raise _RefusedError(status.code or 500, status.message, in_stream=True)
                if seen is None:
                    self._apply(event)
                elif event.type == "BOOKMARK":
                    meta = _BOOKMARK.decode(event.object).metadata
                    if meta.annotations.get(_INITIAL_EVENTS_END) == "true":
                        self._sync(seen, undecodable, meta.resource_version)
                        seen = None
                elif event.type == "DELETED":
                    key = _key(_OBJECT.decode(event.object).metadata)
                    seen.pop(key, None)
                    undecodable.pop(key, None)
                else:
                    self._collect(event.object, seen, undecodable)
        if seen is not None:
            raise _RefusedError(501, "the stream ended before the list did", in_stream=True)
        if not events and self._state.clock() - began < _SHORT:
            raise _BrokenError("the watch ended at once")

    # --- objects

    def _collect(self, raw: Raw, seen: dict[Key, Record], undecodable: dict[Key, str]) -> None:
        """Takes in an object of a list.

        The first list fills the cluster as it comes: nothing is complete yet. Later ones are held back until they are
        whole, and cost memory only for what has changed.
        """
        kind, cluster = self.resource.kind, self._state.cluster
        try:
            record = decode(kind, raw)
        except DecodeError as error:
            undecodable[self._not_understood(raw, error)] = str(error)
            return
        held = cluster.get(kind, record.key)
        if held == record:
            record = held
        elif not self.synced:
            cluster.put(record)
        seen[record.key] = record

    def _apply(self, event: _Event) -> None:
        """Takes in an event of a running watch."""
        kind, cluster = self.resource.kind, self._state.cluster
        meta = _OBJECT.decode(event.object).metadata
        key, understood = _key(meta), not self.undecodable
        if event.type in {"ADDED", "MODIFIED"}:
            try:
                record = decode(kind, event.object)
            except DecodeError as error:
                self._not_understood(event.object, error)
                self.undecodable[key] = str(error)
                cluster.remove(kind, key)
            else:
                self.undecodable.pop(key, None)
                # Most events change nothing that a check reads (heartbeats, probes): what is derived stays valid.
                if cluster.get(kind, key) != record:
                    cluster.put(record)
        elif event.type == "DELETED":
            self.undecodable.pop(key, None)
            cluster.remove(kind, key)
        self._version = meta.resource_version or self._version
        if understood == bool(self.undecodable):
            self._state.settle(kind)
        self._state.announce(kind)

    def _not_understood(self, raw: Raw, error: DecodeError) -> Key:
        """Logs, once an object, that it is not of its kind's shape."""
        key = _key(_OBJECT.decode(raw).metadata)
        if key not in self.undecodable:
            _log.warning("%s %s/%s is not understood, and left out: %s", self.resource.kind, *key, error)
        return key

    def _sync(self, seen: Mapping[Key, Record], undecodable: dict[Key, str], version: str) -> None:
        """A whole list is in: from now on the cluster holds exactly this."""
        if not version:
            raise _BrokenError("a list without resourceVersion")
        self._replace(seen)
        if self.denied:
            _log.info("%s can be read again", self.resource.title)
        self.undecodable, self._version = undecodable, version
        self.synced, self.denied, self.unserved, self._denials, self.problem = True, "", False, 0, ""
        _log.debug("%s synced: %d objects", self.resource.title, len(seen))
        self._state.settle(self.resource.kind)
        self._state.announce(self.resource.kind)

    def _replace(self, seen: Mapping[Key, Record]) -> None:
        kind, cluster, only = self.resource.kind, self._state.cluster, self.resource.key
        for key in [key for key in cluster.keys(kind) if key not in seen and only in {None, key}]:
            cluster.remove(kind, key)
        for key, record in seen.items():
            if cluster.get(kind, key) is not record:
                cluster.put(record)


class LiveState:
    """The cluster as the API server shows it, kept up to date by `run`.

    Args:
        access: how to reach the API server.
        resources: what to follow.
        timing: pauses and limits.
        clock: seconds, only ever compared with each other; the event loop's own clock by default.
        sleep: how to wait between attempts.

    Attributes:
        cluster: changed in place, by this object alone; a kind is complete in it once it is synced.
    """

    def __init__(
        self,
        access: Access,
        *,
        resources: Iterable[Resource] = RESOURCES,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.access = access
        self.timing = timing or Timing()
        self.clock = clock
        self.sleep = sleep
        self.cluster = Cluster()
        self._of: dict[str, list[_Reflector]] = {}
        for resource in resources:
            self._of.setdefault(resource.kind, []).append(_Reflector(self, resource))
        self._all_settled = asyncio.Event()
        self._said = ("", float("-inf"))
        self._changed: dict[str, float] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {kind: set() for kind in self._of}

    async def run(self) -> None:
        """Follows everything until it is cancelled; never ends by itself, and leaves no task or connection behind."""
        SSLProtocol.max_size = min(SSLProtocol.max_size, _TLS_BUFFER)
        connector = aiohttp.TCPConnector(limit=0, socket_factory=_socket)
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"netadmit/{__version__}",
        }
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session, asyncio.TaskGroup() as tasks:
            for reflectors in self._of.values():
                for reflector in reflectors:
                    tasks.create_task(reflector.run(session), name=f"watch {reflector.resource.title}")

    # --- what is known

    @property
    def synced(self) -> bool:
        """Whether the first list of every kind is in, or it is known that it cannot be read."""
        return self._all_settled.is_set()

    async def wait_synced(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the answer is a bool
        """Waits until `synced`, at most so many seconds; says whether it is."""
        try:
            await asyncio.wait_for(self._all_settled.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def status(self) -> list[KindStatus]:
        """What is known of every kind, in the order of `RESOURCES`."""
        return [
            KindStatus(
                kind=kind,
                completeness=self._completeness(kind),
                synced=all(r.settled for r in reflectors),
                objects=len(self.cluster.keys(kind)),
                age=max((age for r in reflectors if (age := r.age) is not None and r.followed), default=None),
                restarts=sum(r.restarts for r in reflectors),
                reason=self._reason(kind),
            )
            for kind, reflectors in self._of.items()
        ]

    @property
    def unknown(self) -> dict[str, str]:
        """The kinds of which something is not known, with the reason."""
        return {kind: reason for kind in self._of if (reason := self._reason(kind))}

    async def wait_newer(
        self,
        since: float,
        kinds: Iterable[str],
        timeout: float,  # noqa: ASYNC109 - the answer is a bool
    ) -> bool:
        """Waits until the API server has said anything about one of these kinds (CHECKS.md, conduct 6).

        Args:
            since: a time of the clock (the event loop's): what came before it does not count.
            kinds: `webhook.model.objects.KINDS`.
            timeout: seconds.

        Returns:
            True as soon as an event or bookmark that came after `since` is in the cluster; False when none came in
            time, or none can come because nothing of these kinds is followed.
        """
        followed = [kind for kind in kinds if any(r.followed for r in self._of.get(kind, ()))]
        if any(self._changed.get(kind, since) > since for kind in followed):
            return True
        if not followed:
            return False
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for kind in followed:
            self._waiting[kind].add(news)
        try:
            await asyncio.wait_for(news, timeout)
        except TimeoutError:
            return False
        finally:
            for kind in followed:
                self._waiting[kind].discard(news)
        return True

    # --- told by the reflectors

    def announce(self, kind: str) -> None:
        """An event or bookmark of the kind is in the cluster."""
        self._changed[kind] = self.clock()
        for news in self._waiting[kind]:
            if not news.done():
                news.set_result(None)

    def is_news(self, problem: str) -> bool:
        """Whether this was not said within a minute: in an outage every watch fails for the same reason."""
        said, at = self._said
        if problem == said and self.clock() - at < 60.0:
            return False
        self._said = problem, self.clock()
        return True

    def settle(self, kind: str) -> None:
        """Something about how much is known of the kind has changed."""
        self.cluster.know(kind, self._completeness(kind))
        if all(r.settled for reflectors in self._of.values() for r in reflectors):
            self._all_settled.set()

    def _completeness(self, kind: str) -> Completeness:
        known = {r.completeness for r in self._of[kind]}
        return known.pop() if len(known) == 1 else Completeness.PARTIAL

    def _reason(self, kind: str) -> str:
        """The reason of the first resource that has one; the kind's others mostly have the same."""
        reasons = [(r.resource, r.reason) for r in self._of[kind] if r.reason]
        if not reasons:
            return ""
        resource, reason = reasons[0]
        if resource.key is not None:
            reason = f"{'/'.join(resource.key)}: {reason}"
        return f"{reason} (and {len(reasons) - 1} more)" if len(reasons) > 1 else reason


def _key(meta: _Meta) -> Key:
    return meta.namespace, meta.name


def _jitter(least: float, most: float) -> float:
    return random.uniform(least, most)  # noqa: S311 - spreads load, keeps no secret


def _line(error: BaseException) -> str:
    """An error as one line, not too long: a proxy may answer with a page of HTML."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r" ssl:(<[^>]*>|\S+)", "", text)  # aiohttp names the SSLContext by its address in memory
    return text if len(text) <= 300 else f"{text[:297]}..."


async def _refusal(response: aiohttp.ClientResponse) -> _RefusedError:
    try:
        async with asyncio.timeout(10.0):
            message = _STATUS.decode(await response.content.read(64 * 1024)).message
    except (aiohttp.ClientError, msgspec.DecodeError, TimeoutError, UnicodeDecodeError):
        message = response.reason or ""  # a proxy's page, or nothing: the status says enough
    try:
        retry_after = min(max(float(response.headers.get("Retry-After", "0")), 0.0), 300.0)
    except ValueError:  # a date: the API server sends seconds
        retry_after = 0.0
    return _RefusedError(response.status, message, retry_after=retry_after)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream, however long: aiohttp's own readline gives up at 128 KiB (kopf#275)."""
    parts: list[bytes] = []
    length = 0
    async for chunk in content.iter_any():
        first, *others = chunk.split(b"\n")
        parts.append(first)
        length += len(first)
        if length > _LONGEST_LINE:
            raise _BrokenError(f"a line of more than {_LONGEST_LINE >> 20} MiB")
        for other in others:
            line = b"".join(parts)
            if line:
                yield line
            parts, length = [other], len(other)


def _socket(address: Any) -> socket.socket:
    """A socket on which a dead peer is noticed in about a minute, as client-go's: a watch may be silent for longer."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if (option := getattr(socket, name, None)) is not None:  # not on every platform
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
