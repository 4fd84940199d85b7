"""Keeps certificates in a folder, under the names that Kubernetes gives the keys of a TLS Secret."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from certs.issue import KeyPair, issue_ca, issue_leaf

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
CA: Final = "ca.crt"


class Files(NamedTuple):
    """Where the serving certificate, its key, and the CA that clients must trust stand (the CA may be elsewhere)."""

    certificate: Path
    key: Path
    ca: Path
    issued: bool
    """Whether they were issued just now."""


def provide(folder: Path, names: Sequence[str], now: datetime) -> Files:
    """The certificate files of a folder; issues them where there are none.

    The CA's key is not kept: whoever could read it could be any webhook of the cluster.

    Args:
        folder: made when it is not there.
        names: DNS names and IP addresses for a newly issued certificate.
        now: an aware time.

    Raises:
        OSError: the folder cannot be read or written, or holds one of certificate and key without the other.
    """
    files = Files(folder / CERTIFICATE, folder / KEY, folder / CA, issued=False)
    there = [path.exists() for path in (files.certificate, files.key)]
    if all(there):
        return files
    if any(there):
        missing = files.key if there[0] else files.certificate
        raise FileNotFoundError(2, "certificate and key must both be there, or neither", str(missing))
    ca = issue_ca(now)
    write(folder, issue_leaf(ca, names, now), ca.certificate)
    return files._replace(issued=True)


def write(folder: Path, leaf: KeyPair, ca: bytes) -> None:
    """Writes certificate, key and CA; each file appears whole, the key readable by its owner alone.

    Raises:
        OSError: the folder cannot be written.
    """
    place(folder, {CA: ca, KEY: leaf.key, CERTIFICATE: leaf.certificate})


def place(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files, in this order; each appears whole, the key readable by its owner alone.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        draft = folder / f".{name}.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if name == KEY else 0o644), "wb"
        ) as file:
            file.write(content)
        draft.replace(folder / name)
