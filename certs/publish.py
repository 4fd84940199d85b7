"""One certificate for all replicas, and its CA told to the API server.

The Secret is made by whoever installs, and empty; the first replica that finds it so issues into it. A certificate that
grows old gets a successor of a new CA in the same Secret: every replica sees to it that API servers trust both CAs, and
only after that does the successor become the certificate (`certs.plan`). The API is reached through a Protocol: this
package knows nothing of how.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from certs.inspect import issued
from certs.issue import BACKDATED, issue_ca, issue_leaf
from certs.plan import Life, Step, plan
from certs.store import CA, CERTIFICATE, KEY, place

NEXT_CERTIFICATE: Final = "next-tls.crt"
NEXT_KEY: Final = "next-tls.key"
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


class Trust(NamedTuple):
    """The CAs that a webhook configuration names, one bundle a webhook, and the version to overwrite."""

    bundles: Sequence[bytes]
    version: str


class API(Protocol):
    """The part of the Kubernetes API that is needed; `webhook.kube.Writer` is one."""

    async def read_secret(self, name: str) -> Held:
        """Raises OSError."""

    async def write_secret(self, name: str, data: Mapping[str, bytes], version: str) -> bool:
        """Writes if it is still this version; says whether it was. Raises OSError."""

    async def read_trust(self, name: str) -> Trust:
        """Raises OSError."""

    async def publish_ca(self, name: str, ca: bytes, version: str) -> bool:
        """Writes the CA for every webhook, if it is still this version; says whether it was. Raises OSError."""


class SharedCertificate:
    """The certificate in a Secret, copied into a folder; issued when there is none, and succeeded when it grows old.

    Args:
        api: holds the Secret.
        secret: its name.
        folder: where the files are served from.
        names: for an issued certificate.
        announce: makes API servers trust the CAs that the Secret holds; a successor is not used before.
        clock: an aware time.
    """

    def __init__(
        self,
        api: API,
        secret: str,
        folder: Path,
        names: Sequence[str],
        *,
        announce: Callable[[], Awaitable[object]] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._secret = secret
        self._folder = folder
        self._names = names
        self._announce = announce
        self._clock = clock

    async def tend(self) -> None:
        """Does all that is due: in the Secret, at the API servers, and in the folder.

        Raises:
            OSError: the API or the folder cannot be used.
        """
        await self.fetch()
        if self._announce is not None:
            await self._announce()
        await self._settle((Step.ISSUE, Step.STAGE, Step.PROMOTE))

    async def fetch(self) -> None:
        """Brings the folder to what the Secret holds; issues, but never changes over to a successor.

        Raises:
            OSError: the API or the folder cannot be used.
        """
        await self._settle((Step.ISSUE, Step.STAGE))

    async def confirm(self) -> None:
        """Makes sure that the folder's files may be served: they are the Secret's, and API servers trust their CA.

        Raises:
            OSError: they were others (and are the Secret's now), or the API or the folder cannot be used.
        """
        found = _contents(self._folder, (CA, KEY, CERTIFICATE))
        await self.fetch()
        if _contents(self._folder, found) != found:
            raise FileExistsError(17, "its files were not those of the Secret, and are now", str(self._folder))
        if self._announce is not None:
            await self._announce()

    async def _settle(self, steps: Collection[Step]) -> None:
        for _ in range(_TRIES):
            held = await self._api.read_secret(self._secret)
            step = due(held.data, self._clock())
            if step not in steps:
                break
            # Of replicas that do this at once, one is first; the others read what it wrote.
            if await self._api.write_secret(self._secret, self._after(step, held.data), held.version):
                _log.info("certificate: %s", step.value, extra={"fields": {"secret": self._secret}})
        else:
            raise TimeoutError(f"Secret {self._secret}: others change it all the time")
        wanted = {name: held.data[name] for name in (CA, KEY, CERTIFICATE) if name in held.data}
        if len(wanted) == 3 and wanted != _contents(self._folder, wanted):
            place(self._folder, wanted)

    def _after(self, step: Step, data: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """What the Secret holds once a step is done."""
        if step is Step.PROMOTE:  # the CAs stay as they are: replicas still serve what the former one has signed
            return {CERTIFICATE: data[NEXT_CERTIFICATE], KEY: data[NEXT_KEY], CA: data[CA]}
        now = self._clock()
        authority = issue_ca(now)
        leaf = issue_leaf(authority, self._names, now)
        if step is Step.STAGE:
            trusted = _issuers(data) + authority.certificate
            return {**data, CA: trusted, NEXT_CERTIFICATE: leaf.certificate, NEXT_KEY: leaf.key}
        # Others, and this one, may still serve what was there; the Secret may have been emptied to get another one.
        former = _issuers(data) or _issuers(_contents(self._folder, (CA, CERTIFICATE)))
        return {CERTIFICATE: leaf.certificate, KEY: leaf.key, CA: authority.certificate + former}


class PublishedCA:
    """A CA that API servers are told of, and again whenever somebody has changed it.

    Args:
        api: tells them.
        configuration: the webhook configuration's name.
        ca: what is to be trusted, PEM; asked after the configuration was read, so that of two replicas, one of which
            knows a newer CA, the other never has the last word.
        sleep: waits.

    Attributes:
        done: whether it has been seen to be published.
    """

    def __init__(
        self,
        api: API,
        configuration: str,
        ca: Callable[[], Awaitable[bytes]],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._configuration = configuration
        self._ca = ca
        self._sleep = sleep
        self.done = False

    async def publish(self) -> None:
        """Writes it where another one stands, and waits until API servers know it.

        Raises:
            OSError: the API cannot be used, or there is no CA.
        """
        for _ in range(_TRIES):
            trust = await self._api.read_trust(self._configuration)
            ca = await self._ca()
            if all(bundle == ca for bundle in trust.bundles):
                break
            if await self._api.publish_ca(self._configuration, ca, trust.version):
                _log.info("published the CA", extra={"fields": {"webhookConfiguration": self._configuration}})
                await self._sleep(_TAKEN_UP_SECONDS)
                break
        else:
            raise TimeoutError(f"webhook configuration {self._configuration}: others change it all the time")
        self.done = True


async def ca_of_secret(api: API, secret: str) -> bytes:
    """The CAs to be trusted, of a Secret that all replicas share.

    Raises:
        OSError: it cannot be read, or holds none.
    """
    found = (await api.read_secret(secret)).data.get(CA, b"")
    if not _parsed(found):
        raise FileNotFoundError(2, "no CA in the Secret", secret)
    return found


async def ca_of_folder(folder: Path) -> bytes:
    """The CAs to be trusted, of a folder. Raises OSError."""
    return (folder / CA).read_bytes()


def due(data: Mapping[str, bytes], now: datetime) -> Step:
    """What is due about the certificate that a Secret holds."""
    return plan(_life(data, CERTIFICATE, KEY), _life(data, NEXT_CERTIFICATE, NEXT_KEY), now)


def _life(data: Mapping[str, bytes], certificate: str, key: str) -> Life | None:
    """When it was issued, and when it ends; None when it cannot be used: no key of its own, or no CA that signed it."""
    leaves, authorities = _parsed(data.get(certificate, b"")), _parsed(data.get(CA, b""))
    if not leaves or not any(issued(authority, leaves[0]) for authority in authorities):
        return None
    try:
        if load_pem_private_key(data.get(key, b""), None).public_key() != leaves[0].public_key():
            return None
    except (ValueError, TypeError):
        return None
    return Life(leaves[0].not_valid_before_utc + BACKDATED, leaves[0].not_valid_after_utc)


def _issuers(data: Mapping[str, bytes]) -> bytes:
    """Of the CAs, the one that has signed the certificate; those before it are not served any more."""
    leaves = _parsed(data.get(CERTIFICATE, b""))
    found = [one for one in _parsed(data.get(CA, b"")) if leaves and issued(one, leaves[0])]
    return b"".join(one.public_bytes(Encoding.PEM) for one in found[:1])


def _contents(folder: Path, names: Collection[str]) -> Mapping[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


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
