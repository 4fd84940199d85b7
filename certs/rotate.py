"""Replaces a folder's certificate by one of a new CA, with both CAs trusted meanwhile."""

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.inspect import UnreadableError, names_of
from certs.issue import issue_ca, issue_leaf
from certs.store import CA, CERTIFICATE, write


def rotate(folder: Path, now: datetime) -> None:
    """Issues a new CA and certificate for the names of the present one.

    The former CA stays in ``ca.crt`` behind the new one, so that whoever trusts that file trusts both certificates
    while the new one is being taken up; the one before it is dropped.

    Raises:
        OSError: the folder holds no certificate, or cannot be written.
        UnreadableError: what it holds is no certificate.
    """
    try:
        present = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        former = x509.load_pem_x509_certificates((folder / CA).read_bytes())[:1] if (folder / CA).exists() else []
    except ValueError as error:
        raise UnreadableError(f"{folder}: not a certificate: {error}") from None
    ca = issue_ca(now)
    bundle = ca.certificate + b"".join(one.public_bytes(Encoding.PEM) for one in former)
    write(folder, issue_leaf(ca, names_of(present), now), bundle)
