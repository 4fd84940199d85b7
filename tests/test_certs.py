"""Certificates as issued: what OpenSSL and Go's verifier demand of a webhook's serving certificate."""

import ipaddress
import os
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.issue import CA_LIFETIME, LEAF_LIFETIME, KeyPair, issue_ca, issue_leaf
from certs.store import CA, CERTIFICATE, KEY, provide, write

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ["netadmit.netadmit.svc", "netadmit.netadmit.svc.cluster.local", "localhost", "127.0.0.1", "::1"]


@pytest.fixture(scope="module")
def ca() -> KeyPair:
    return issue_ca(NOW)


@pytest.fixture(scope="module")
def leaf(ca: KeyPair) -> KeyPair:
    return issue_leaf(ca, NAMES, NOW)


def verify(leaf: KeyPair, ca: KeyPair, name: str, at: datetime = NOW) -> None:
    subject: x509.DNSName | x509.IPAddress
    try:
        subject = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    verifier = PolicyBuilder().store(Store([ca.x509])).time(at).build_server_verifier(subject)
    verifier.verify(leaf.x509, [])


@pytest.mark.parametrize("name", NAMES)
def test_the_chain_is_accepted_for_every_name(leaf: KeyPair, ca: KeyPair, name: str) -> None:
    verify(leaf, ca, name)


def test_what_must_not_be_accepted_is_not(leaf: KeyPair, ca: KeyPair) -> None:
    for name in ("netadmit.other.svc", "example.com", "127.0.0.2"):
        with pytest.raises(VerificationError):
            verify(leaf, ca, name)
    with pytest.raises(VerificationError):
        verify(leaf, issue_ca(NOW), "localhost")
    for moment in (NOW - timedelta(hours=1), NOW + LEAF_LIFETIME + timedelta(seconds=1)):
        with pytest.raises(VerificationError):
            verify(leaf, ca, "localhost", moment)
    with pytest.raises(VerificationError):
        verify(issue_leaf(leaf, ["localhost"], NOW), leaf, "localhost")  # a serving certificate signs nothing


def test_it_is_valid_a_little_before_it_was_issued(leaf: KeyPair, ca: KeyPair) -> None:
    verify(leaf, ca, "localhost", NOW - timedelta(minutes=4))


def test_keys_are_ecdsa_p256(leaf: KeyPair, ca: KeyPair) -> None:
    for pair in (leaf, ca):
        key = load_pem_private_key(pair.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == pair.x509.public_key()
        assert x509.load_pem_x509_certificate(pair.certificate) == pair.x509
    assert leaf.key != ca.key


def test_the_names_are_subject_alternative_names(leaf: KeyPair) -> None:
    names = leaf.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES[:3]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(name) for name in NAMES[3:]]


def test_it_may_serve_and_nothing_else(leaf: KeyPair, ca: KeyPair) -> None:
    usage = leaf.x509.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    extended = leaf.x509.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not leaf.x509.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    constraints = ca.x509.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert ca.x509.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_lifetimes_and_serial_numbers(leaf: KeyPair, ca: KeyPair) -> None:
    assert ca.x509.not_valid_after_utc == NOW + CA_LIFETIME
    assert leaf.x509.not_valid_after_utc == NOW + LEAF_LIFETIME
    assert leaf.x509.serial_number != ca.x509.serial_number
    assert issue_leaf(ca, ["localhost"], NOW).x509.serial_number != leaf.x509.serial_number


def test_a_leaf_does_not_outlive_its_ca() -> None:
    short = issue_ca(NOW, timedelta(days=1))
    assert issue_leaf(short, ["localhost"], NOW).x509.not_valid_after_utc == short.x509.not_valid_after_utc


def test_names_beyond_ascii_are_written_as_dns_has_them(ca: KeyPair) -> None:
    pair = issue_leaf(ca, ["bücher.example"], NOW)
    verify(pair, ca, "xn--bcher-kva.example")


def test_a_certificate_needs_a_name(ca: KeyPair) -> None:
    with pytest.raises(ValueError, match="at least one name"):
        issue_leaf(ca, [], NOW)


# --- files ------------------------------------------------------------------------------------------------------------


def test_an_empty_folder_gets_all_three_and_the_key_is_the_owners(tmp_path: Path) -> None:
    before = os.umask(0)  # the mode must not rest on it
    try:
        files = provide(tmp_path / "not" / "there", NAMES, NOW)
    finally:
        os.umask(before)
    assert files.issued
    assert {path.name for path in files.certificate.parent.iterdir()} == {CERTIFICATE, KEY, CA}
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.certificate.stat().st_mode) == stat.S_IMODE(files.ca.stat().st_mode) == 0o644
    assert b"PRIVATE KEY" not in files.ca.read_bytes() + files.certificate.read_bytes()


def test_what_is_there_is_used(tmp_path: Path) -> None:
    first = provide(tmp_path, ["localhost"], NOW)
    content = [path.read_bytes() for path in first[:3]]
    again = provide(tmp_path, ["other"], NOW + timedelta(days=1))
    assert again == first._replace(issued=False)
    assert [path.read_bytes() for path in again[:3]] == content
    first.ca.unlink()  # a mounted Secret of cert-manager may leave it out
    assert not provide(tmp_path, ["other"], NOW).issued


@pytest.mark.parametrize(("kept", "missing"), [(CERTIFICATE, KEY), (KEY, CERTIFICATE)])
def test_half_a_pair_is_an_error_that_names_the_other_half(tmp_path: Path, kept: str, missing: str) -> None:
    provide(tmp_path, ["localhost"], NOW)
    (tmp_path / missing).unlink()
    before = (tmp_path / kept).read_bytes()
    with pytest.raises(FileNotFoundError, match="must both be there, or neither") as error:
        provide(tmp_path, ["localhost"], NOW)
    assert error.value.filename == str(tmp_path / missing)
    assert (tmp_path / kept).read_bytes() == before


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        provide(tmp_path / "file" / "deeper", ["localhost"], NOW)


def test_leftovers_of_a_crash_do_not_hinder(tmp_path: Path, ca: KeyPair, leaf: KeyPair) -> None:
    (tmp_path / f".{KEY}.new").write_text("half a key, readable by all")
    (tmp_path / f".{KEY}.new").chmod(0o666)
    write(tmp_path, leaf, ca.certificate)
    assert (tmp_path / KEY).read_bytes() == leaf.key
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".*"))


# --- as TLS has it ----------------------------------------------------------------------------------------------------


def handshake(files: Path, client: ssl.SSLContext, name: str) -> str | None:
    """The TLS version of a handshake with a server that has these files."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files / CERTIFICATE, files / KEY)
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as tls:
                tls.recv(1)
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with here, client.wrap_socket(here, server_hostname=name) as tls:
            return tls.version()
    finally:
        here.close()
        thread.join()


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_ca_connects_by_every_name(tmp_path: Path, name: str) -> None:
    files = provide(tmp_path, NAMES, NOW)
    trusting = ssl.create_default_context(cafile=files.ca)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of Python 3.13
    assert trusting.check_hostname
    assert handshake(tmp_path, trusting, name) == "TLSv1.3"


def test_a_client_does_not_connect_by_another_name_or_without_the_ca(tmp_path: Path) -> None:
    files = provide(tmp_path, NAMES, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(tmp_path, ssl.create_default_context(cafile=files.ca), "netadmit.other.svc")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, ssl.create_default_context(), "localhost")
