"""Serves whatever certificate two files hold now, without closing a connection.

An `ssl.SSLContext` that serves must never be given unverified files: a pair that does not belong together leaves it
without any, and every later handshake fails (facts/production.md 1.4). So each pair gets a context of its own, and new
connections are moved to the newest good one.
"""

import asyncio
import logging
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

POLL_SECONDS: Final = 2.0
"""Files are read again, not watched: a watch of a mounted Secret works once, then it is dead (production.md 3.12)."""
_log: Final = logging.getLogger("netadmit.certificate")


class _Pair(NamedTuple):
    certificate: bytes
    key: bytes


class LiveCertificate:
    """A TLS context to listen with, whose certificate follows its files.

    Args:
        certificate, key: PEM files.
        load: makes a server's context of two files; it decides about everything but the certificate.
        failed: called each time that the files were found not to be usable.
        announce: called before a new pair is used: clients must trust it by then. While it raises OSError, the former
            pair stays.
        sleep: waits; a test's own makes time pass at once.

    Attributes:
        context: to listen with.

    Raises:
        OSError, ValueError: the files cannot be read, or do not belong together.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        load: Callable[[str, str], ssl.SSLContext],
        *,
        failed: Callable[[], object] = lambda: None,
        announce: Callable[[], Awaitable[object]] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._files = certificate, key
        self._load = load
        self._failed = failed
        self._announce = announce
        self._sleep = sleep
        self._pair = _read(certificate, key)
        self._current, self._expires = self._made_of(self._pair)
        self._doubt = ""
        self._said = ""
        self.context = self._current
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, listening: ssl.SSLContext) -> None:
        """Called by OpenSSL in every handshake, whether or not the client names a server."""
        del name, listening
        connection.context = self._current

    def expiry(self) -> float:
        """When the certificate in use ends, in seconds since 1970."""
        return self._expires.timestamp()

    async def follow(self) -> None:
        """Reads the files again and again, until it is cancelled."""
        while True:
            await self._sleep(POLL_SECONDS)
            await self.refresh()

    async def refresh(self) -> bool:
        """Reads the files once; says whether it has taken up something new.

        Files that are wrong count only when they are the same twice: the first time they may be half written.
        """
        try:
            pair = _read(*self._files)
            if pair == self._pair:
                self._doubt = self._said = ""
                return False
            context, expires = self._made_of(pair)
            if self._announce is not None:
                await self._announce()
        except (OSError, ValueError) as error:
            self._refuse(" ".join(str(error).split()))
            return False
        self._pair, self._current, self._expires = pair, context, expires
        self._doubt = self._said = ""
        _log.info("took up another certificate", extra={"fields": {"expires": expires.isoformat()}})
        return True

    def _refuse(self, problem: str) -> None:
        if problem != self._doubt:
            self._doubt = problem
            return
        self._failed()
        if problem != self._said:
            self._said = problem
            _log.error("the certificate files cannot be used, the former ones are served on: %s", problem)

    def _made_of(self, pair: _Pair) -> tuple[ssl.SSLContext, datetime]:
        """A context of exactly these bytes: the files may be others by the time that OpenSSL opens them."""
        leaf = x509.load_pem_x509_certificates(pair.certificate)[0]
        with tempfile.TemporaryDirectory(prefix="netadmit-") as scratch:
            names = [f"{scratch}/{field}.pem" for field in _Pair._fields]
            for name, content in zip(names, pair, strict=True):
                with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(content)
            return self._load(names[0], names[1]), leaf.not_valid_after_utc


def _read(certificate: Path, key: Path) -> _Pair:
    """Both files of one moment: a mounted Secret is replaced as a whole, by turning the link ``..data``."""
    folder, turned = certificate.parent, certificate.parent / "..data"
    if key.parent == folder and turned.is_symlink():
        folder = turned.resolve()
        certificate, key = folder / certificate.name, folder / key.name
    return _Pair(certificate.read_bytes(), key.read_bytes())
