"""One certificate for all replicas, and its CA told to the API server.

The Secret is made by whoever installs, and empty; the first replica that finds it so issues into it. The API is reached
through a Protocol: this package knows nothing of how.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issue import issue_ca, issue_leaf
from certs.store import CA, CERTIFICATE, KEY, place

AGAIN_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 30.0
_TAKEN_UP_SECONDS: Final = 3.0
"""API servers read a changed webhook configuration from a watch: give it time to arrive."""
_TRIES: Final = 5
_log: Final = logging.getLogger("netadmit.certificate")


class Held(NamedTuple):
    """What a Secret holds, and the version to overwrite."""

    data: Mapping[str, bytes]
    version: str


class API(Protocol):
    """The part of the Kubernetes API that is needed; `webhook.kube.Writer` is one."""

    async def read_secret(self, name: str) -> Held:
        """Raises OSError."""

    async def write_secret(self, name: str, data: Mapping[str, bytes], version: str) -> bool:
        """Writes if it is still this version; says whether it was. Raises OSError."""

    async def publish_ca(self, name: str, ca: bytes) -> bool:
        """Writes the CA into a webhook configuration; says whether it was another. Raises OSError."""


class SharedCertificate:
    """The certificate in a Secret, copied into a folder; issued when there is none, and anew when it grows old.

    Args:
        api: holds the Secret.
        secret: its name.
        folder: where the files are served from.
        names: for an issued certificate.
        clock: an aware time.
    """

    def __init__(
        self,
        api: API,
        secret: str,
        folder: Path,
        names: Sequence[str],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._secret = secret
        self._folder = folder
        self._names = names
        self._clock = clock

    async def fetch(self) -> None:
        """Brings the folder to what the Secret holds.

        Raises:
            OSError: the API or the folder cannot be used.
        """
        for _ in range(_TRIES):
            held = await self._api.read_secret(self._secret)
            if not due(held.data, self._clock()):
                break
            # Of replicas that do this at once, one is first; the others read what it wrote.
            if await self._api.write_secret(self._secret, self._issue(held.data), held.version):
                _log.info("issued a certificate", extra={"fields": {"secret": self._secret}})
        else:
            raise TimeoutError(f"Secret {self._secret}: others change it all the time")
        there = self._folder / CERTIFICATE
        if not there.exists() or there.read_bytes() != held.data[CERTIFICATE]:
            place(self._folder, {name: held.data[name] for name in (CA, KEY, CERTIFICATE)})

    def _issue(self, former: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """A new CA and certificate; the former CA stays trusted while replicas still serve what it has signed."""
        now = self._clock()
        ca = issue_ca(now)
        leaf = issue_leaf(ca, self._names, now)
        trusted = ca.certificate + b"".join(one.public_bytes(Encoding.PEM) for one in _parsed(former.get(CA, b""))[:1])
        return {CERTIFICATE: leaf.certificate, KEY: leaf.key, CA: trusted}


class PublishedCA:
    """The CA in a folder, told to the API server.

    Args:
        api: tells it.
        configuration: the webhook configuration's name.
        folder: has the CA.
        sleep: waits.
    """

    def __init__(
        self,
        api: API,
        configuration: str,
        folder: Path,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._configuration = configuration
        self._file = folder / CA
        self._sleep = sleep

    async def publish(self) -> None:
        """Writes it where another one stands, and waits until API servers know it.

        Raises:
            OSError: the API cannot be used, or there is no CA.
        """
        if await self._api.publish_ca(self._configuration, self._file.read_bytes()):
            _log.info("published the CA", extra={"fields": {"webhookConfiguration": self._configuration}})
            await self._sleep(_TAKEN_UP_SECONDS)


def due(data: Mapping[str, bytes], now: datetime) -> bool:
    """Whether a certificate must be issued: none is there, or only a third of its life is left."""
    leaf = _parsed(data.get(CERTIFICATE, b""))
    if not leaf or not data.get(KEY) or not _parsed(data.get(CA, b"")):
        return True
    life = leaf[0].not_valid_after_utc - leaf[0].not_valid_before_utc
    return leaf[0].not_valid_after_utc - now < life / 3


async def achieve(
    what: str, do: Callable[[], Awaitable[object]], *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> None:
    """Does something that may fail with OSError until it succeeds; logs each reason once."""
    pause, said = 1.0, ""
    while True:
        try:
            await do()
        except OSError as error:
            problem = " ".join(str(error).split())
            if problem != said:
                _log.warning("%s; trying again: %s", what, problem)
            said = problem
        else:
            return
        await sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def keep(
    what: str, do: Callable[[], Awaitable[object]], *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> None:
    """Does it now and every minute, until it is cancelled: others may undo it."""
    while True:
        await achieve(what, do, sleep=sleep)
        await sleep(AGAIN_SECONDS)


def _parsed(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return []
