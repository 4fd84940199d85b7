"""What a person types after ``curl`` in a pod, taken apart: a name, ``name:port``, an address, a URL."""

import re
from typing import Final

from msgspec import Struct

from webhook.model.objects import Protocol
from webhook.reach.cidr import IPV6, parse_address
from webhook.reach.ports import HIGHEST, PROTOCOLS

SCHEMES: Final = {
    "http": 80,
    "https": 443,
    "ws": 80,
    "wss": 443,
    "grpc": 443,
    "grpcs": 443,
    "ftp": 21,
    "ldap": 389,
    "ldaps": 636,
    "amqp": 5672,
    "amqps": 5671,
    "mongodb": 27017,
    "mysql": 3306,
    "nats": 4222,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
}
"""The port that a URL means when it gives none.

Sources: RFC 9110 4.2, RFC 6455 3, github.com/grpc/grpc doc/naming.md; IANA's register of service names and ports.
"""
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_LONGEST: Final = 253
"""Of a host name (RFC 1035 2.3.4)."""


class TypedError(ValueError):
    """What was typed leads nowhere; the message names it and says what is wrong."""


class Typed(Struct, frozen=True):
    """What was typed.

    Args:
        host: a name in lower case, or an address; a last dot, which switches the search path off, is kept.
        port: None where none was given.
        protocol: UDP or SCTP only where that was written.
    """

    host: str
    port: int | None = None
    protocol: Protocol = "TCP"

    @property
    def is_address(self) -> bool:
        return parse_address(self.host) is not None

    @property
    def is_loopback(self) -> bool:
        """Whether it means the pod itself (RFC 6761 6.3, RFC 1122 3.2.1.3, RFC 4291 2.5.3)."""
        number = parse_address(self.host)
        if number is None:
            return self.host.removesuffix(".") == "localhost"
        return number >> 24 == 127 or number == IPV6 + 1


def is_exact(text: str) -> bool:
    """Whether it is one of the exact forms: ``ip:ADDRESS``, ``namespace/name``, ``namespace/Kind/name``."""
    return text.startswith("ip:") or ("/" in text and ":" not in text.partition("/")[0])


def parse_typed(text: str) -> Typed:
    """Takes apart what is none of the exact forms.

    Raises:
        TypedError: it is no name, address or URL, or of a scheme whose port is not known.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return _host_and_port(text, text)
    if not _SCHEME.fullmatch(scheme):
        raise TypedError(f"{text}: expected a URL as http://name:port")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    found = _host_and_port(authority, text)
    if found.port is not None:
        return found
    port = SCHEMES.get(scheme.lower())
    if port is None:
        raise TypedError(f"{text}: which port {scheme}:// means is not known; write {scheme}://{authority}:PORT")
    return Typed(found.host, port)


def _host_and_port(authority: str, text: str) -> Typed:
    """``name``, ``name:80``, ``name:53/UDP``, ``10.0.0.1:80``, ``[fd00::1]:80``, ``fd00::1``; a path is left out."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", authority)
    if bracketed is not None:
        host, port = bracketed.group(1), bracketed.group(2)
        if ":" not in host or parse_address(host) is None:
            raise TypedError(f"{text}: {host} is no IPv6 address")
    elif authority.count(":") > 1 and parse_address(authority) is not None:
        host, port = authority, None
    else:
        host, colon, after = authority.partition(":")
        port = after if colon else None
    host = host.lower()
    _check_host(host, text)
    if port is None:
        return Typed(host)
    number, _, tail = port.partition("/")
    protocol = tail.upper()
    return Typed(host, _number(number, text), protocol if protocol in PROTOCOLS else "TCP")


def _check_host(host: str, text: str) -> None:
    if not host:
        raise TypedError(f"{text or 'an empty text'}: expected a name, an address, a URL, or namespace/name")
    if parse_address(host) is not None:
        return
    name = host.removesuffix(".")
    if len(name) > _LONGEST:
        raise TypedError(f"{text}: names have at most {_LONGEST} characters")
    where = "" if text.lower() == host else f"{text}: "
    if re.fullmatch(r"[0-9.]+", name):
        raise TypedError(f"{where}{host} is no address")
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise TypedError(f"{where}{host} is no host name")


def _number(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= HIGHEST):
        raise TypedError(f"{where}: port {text or 'missing'}: expected a number between 1 and {HIGHEST}")
    return int(text)


def parse_port(text: str) -> tuple[int, Protocol]:
    """``8080``, ``8080/TCP``, ``53/udp``.

    Raises:
        TypedError: it is none.
    """
    number, slash, protocol = text.partition("/")
    if slash and protocol.upper() not in PROTOCOLS:
        raise TypedError(f"{text}: protocol {protocol}: expected {', '.join(PROTOCOLS)}, as in 53/UDP")
    return _number(number, text), protocol.upper() if slash else "TCP"
