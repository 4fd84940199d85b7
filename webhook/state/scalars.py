"""What a YAML scalar means to kubectl: the rules of go.yaml.in/yaml/v2 ``resolve.go``, then of JSON.

YAML 1.1 as yaml.v2 reads it is neither PyYAML's YAML 1.1 nor YAML 1.2: ``y`` is true, ``12:30`` a string,
``0o10`` eight, ``1e3`` a number. sigs.k8s.io/yaml then writes JSON, in which ``1e3`` has become 1000 and ``.inf``
cannot be written.
"""

import base64
import binascii
import datetime as dt
import re
import struct
from collections.abc import Mapping
from typing import Any

_type_prefix = "tag:yaml.org,2002:"

STR = _type_prefix + "str"
BOOL = _type_prefix + "bool"
INT = _type_prefix + "int"
FLOAT = _type_prefix + "float"
NULL = _type_prefix + "null"
TIMESTAMP = _type_prefix + "timestamp"
BINARY = _type_prefix + "binary"
MERGE = _type_prefix + "merge"

Scalar = str | int | float | bool | None

WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
"""Plain scalars with a meaning of their own (resolveMap); what else begins with a letter is a string."""
_HINTED = frozenset("yYnNtTfFoO~+-.0123456789")
"""Anything else in front makes a plain scalar a string at once (resolveTable)."""

_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))", re.ASCII)
_STRANGE_BINARY = re.compile(r"0b([-+][01]+)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_POINT_FLOAT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?", re.ASCII)
_CLOCK = r"(\d\d?):(\d\d?):(\d\d?)(?:[.,]\d+)?"
_TIMESTAMP = re.compile(rf"(\d{{4}})-(\d\d?)-(\d\d?)(?:[Tt]{_CLOCK}(?:Z|[-+]\d\d:\d\d)|[ ]{_CLOCK})?", re.ASCII)
_RESOLVABLE = frozenset((STR, BOOL, INT, FLOAT, NULL, TIMESTAMP))
_INT64 = 1 << 63
_UINT64 = 1 << 64


class ScalarError(ValueError):
    """A scalar that kubectl refuses, in its words."""


def resolve(tag: str | None, text: str) -> Scalar:
    """The value of a scalar that is plain or has a tag, as yaml.v2 gives it (floats not yet turned into JSON).

    Raises ScalarError where the text is not what the tag says. Source: yaml.v2 resolve.go and decode.go (scalar).
    """
    if tag is None:
        return _untagged(text)
    if tag == BINARY:
        return _binary(text)
    if tag == STR or tag not in _RESOLVABLE:
        return text
    if tag == TIMESTAMP:
        if not _is_timestamp(text):
            raise _mismatch(_untagged(text), text, tag)
        return text
    value = _untagged(text)
    if _is_timestamp(text):
        raise _mismatch(text, text, tag)
    if _tag_of(value) == tag:
        return value
    if tag == FLOAT and type(value) is int and -_INT64 <= value < _INT64:
        return float(value)
    raise _mismatch(value, text, tag)


def as_json(value: Scalar) -> Scalar:
    """The value after sigs.k8s.io/yaml has written it as JSON and kubectl has read that: what the API server is sent.

    Raises ScalarError for infinities and NaN. Source: encoding/json (floats), sigs.k8s.io/json (convertNumber).
    """
    if type(value) is float:
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN is what differs from itself
            name = "NaN" if value != value else ("+Inf" if value > 0 else "-Inf")  # noqa: PLR0124
            raise ScalarError(f"json: unsupported value: {name}")
        return int(value) if value.is_integer() and abs(value) < _INT64 else value
    if type(value) is int and not -_INT64 <= value < _INT64:
        return float(value)
    return value


def as_key(value: Scalar) -> str:
    """The JSON key that a YAML key becomes.

    Raises ScalarError for null and for integers beyond 64 bits. Source: sigs.k8s.io/yaml convertToJSONableObject.
    """
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int and -_INT64 <= value < _INT64:
        return str(value)
    if type(value) is float:
        return _short_float(value)
    name = "nil" if value is None else "uint64"
    raise ScalarError(f"unsupported map key of type: {name}, key: {'null' if value is None else value}")


def _untagged(text: str) -> Scalar:
    first = text[:1]
    if first and first not in _HINTED:
        return text
    if text in WORDS:
        return WORDS[text]
    if first == ".":
        return _finite(text.replace("_", ""), text) if _POINT_FLOAT.fullmatch(text) else text
    if first not in "+-0123456789":
        return text
    plain = text.replace("_", "")
    found = _INTEGER.fullmatch(plain)
    if found:
        sign, hexadecimal, binary, octal, decimal = found.groups()
        digits, base = next(
            (d, b) for d, b in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)) if d is not None
        )
        if len(digits) <= 64:  # longer ones do not fit anyway (leading zeros apart), and int() would be slow
            number = int(sign + digits, base)
            if -_INT64 <= number < (_INT64 if sign else _UINT64):
                return number
    if _FLOAT.fullmatch(plain):
        return _finite(plain, text)
    strange = _STRANGE_BINARY.fullmatch(plain)
    return int(strange[1], 2) if strange and len(strange[1]) < 64 else text


def _finite(plain: str, text: str) -> Scalar:
    number = float(plain)
    return text if number in (float("inf"), float("-inf")) else number  # strconv.ParseFloat: out of range


def _is_timestamp(text: str) -> bool:
    found = _TIMESTAMP.fullmatch(text)
    if not found:
        return False
    year, month, day, *clock = (int(part) for part in found.groups() if part)
    hour, minute, second = clock or (0, 0, 0)
    try:
        dt.datetime(max(year, 1), month, day, hour, minute, second)  # noqa: DTZ001 - only whether there is such a time
    except ValueError:
        return False
    return True


def _binary(text: str) -> str:
    try:
        raw = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise ScalarError("!!binary value contains invalid base64 data") from None
    return raw.decode(errors="replace")


def _tag_of(value: Scalar) -> str:
    return {str: STR, bool: BOOL, int: INT, float: FLOAT, type(None): NULL}[type(value)]


def _mismatch(value: Scalar, text: str, tag: str) -> ScalarError:
    found = TIMESTAMP if _is_timestamp(text) else _tag_of(value)
    shown = text if len(text) <= 60 else f"{text[:60]}…"
    return ScalarError(f"cannot decode {_short(found)} `{shown}` as a {_short(tag)}")


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_type_prefix)


def _short_float(value: float) -> str:
    """strconv.FormatFloat(value, 'g', -1, 32): the shortest digits that give the same 32-bit float."""
    try:
        single = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        single = float("inf") if value > 0 else float("-inf")
    if single != single:  # noqa: PLR0124
        return ".nan"
    if single in (float("inf"), float("-inf")):
        return ".inf" if single > 0 else "-.inf"
    if single == 0:
        return "-0" if str(single)[0] == "-" else "0"
    digits = next(
        text
        for text in (f"{single:.{n}e}" for n in range(17))
        if struct.pack("f", float(text)) == struct.pack("f", single)
    )
    mantissa, _, exponent = digits.partition("e")
    power = int(exponent)
    if power < -4 or power >= 6:
        return f"{mantissa}e{power:+03d}"
    return f"{float(digits):.{max(0, len(mantissa.lstrip('-').replace('.', '')) - 1 - power)}f}"


# --- meanings that are remembered

_remembered = 20_000
"""Plain scalars whose meaning is kept; beyond that they are resolved anew (memory stays bounded)."""
_longest_remembered = 128


class _Keys(dict[str, str]):
    """The JSON keys that plain YAML keys become; most are themselves."""

    def __missing__(self, text: str) -> str:
        key = as_key(resolve(None, text))
        if len(self) < _remembered and len(text) < _longest_remembered:
            self[text] = key
        return key


class _Values(dict[str, Any]):
    """The JSON values of plain scalars; equal strings become one object."""

    def __missing__(self, text: str) -> Any:
        value = as_json(resolve(None, text))
        if len(self) < _remembered and len(text) < _longest_remembered:
            self[text] = value
        return value


plain_keys: Mapping[str, str] = _Keys()
"""The JSON key that a plain YAML key becomes; looking it up may raise ScalarError."""
plain_values: Mapping[str, Any] = _Values()
"""The JSON value of a plain YAML scalar; looking it up may raise ScalarError."""
