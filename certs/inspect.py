"""Says what a folder's certificate is worth."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.store import CA, CERTIFICATE, KEY


class UnreadableError(ValueError):
    """A file that is no PEM certificate or key; the message names it."""


class Summary(NamedTuple):
    """What a certificate says; times are aware, UTC."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key_matches: bool
    trusted: bool


def summarize(folder: Path) -> Summary:
    """Reads a folder's certificate, key and CA.

    Raises:
        OSError: certificate or key cannot be read.
        UnreadableError: they are not what they should be.
    """
    leaf = _certificates(folder / CERTIFICATE)[0]
    try:
        key = load_pem_private_key((folder / KEY).read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise UnreadableError(f"{folder / KEY}: not a private key: {error}") from None
    authorities = _certificates(folder / CA) if (folder / CA).exists() else []
    return Summary(
        leaf.subject.rfc4514_string(),
        leaf.issuer.rfc4514_string(),
        names_of(leaf),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        key.public_key() == leaf.public_key(),
        any(issued(authority, leaf) for authority in authorities),
    )


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and addresses that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in found)


def issued(authority: x509.Certificate, leaf: x509.Certificate) -> bool:
    """Whether a certificate is signed by that CA."""
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError as error:
        raise UnreadableError(f"{file}: not a certificate: {error}") from None
