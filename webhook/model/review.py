"""AdmissionReview v1 on the wire: the only module that knows its shape.

Sources: k8s.io/api admission/v1 types.go; what the API server sends and tolerates: facts/admission-contract.md 4.3 f.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType, field

from webhook.model.objects import (
    NETWORK_POLICY,
    SERVICE,
    APIStruct,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    ObjectMeta,
    Service,
)
from webhook.model.parse import DecodeError, decode

JUDGED: Final = (NETWORK_POLICY, SERVICE)
"""The kinds that are judged."""
_OPERATIONS: Final = ("CREATE", "UPDATE", "DELETE", "CONNECT")
_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


class ReviewError(ValueError):
    """A request body that is no AdmissionReview that can be judged; the message names the field."""


class _GroupVersionKind(APIStruct, frozen=True):
    group: str = ""
    version: str = ""
    kind: str = ""


class _UserInfo(APIStruct, frozen=True):
    username: str = ""


class _WireRequest(APIStruct, frozen=True):
    uid: str
    operation: str
    kind: _GroupVersionKind = _GroupVersionKind()
    sub_resource: str | None = None
    name: str | None = None
    namespace: str | None = None
    user_info: _UserInfo | None = None
    dry_run: bool | None = None
    new: Raw = field(default=Raw(), name="object")
    old: Raw = field(default=Raw(), name="oldObject")


class _WireReview(APIStruct, frozen=True):
    api_version: str = ""
    kind: str = ""
    request: _WireRequest | None = None


_DECODER: Final = msgspec.json.Decoder(_WireReview)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One admission request.

    Args:
        uid: the API server's number of the request; comes back in the response.
        operation: CREATE, UPDATE, DELETE or CONNECT.
        kind: ``apiVersion/kind`` of the object.
        namespace, name: of the object; the name may be empty (DELETECOLLECTION of an unreadable object).
        user: who asks.
        dry_run: nothing will be stored; allocated values are placeholders (facts 3.4).
        new: the object as it will be; None on DELETE, or when its kind is not judged.
        old: the object as it is; None on CREATE, or when it cannot be decoded.
        deleting: the object has a deletionTimestamp.
        metadata_only: an UPDATE that changes no field of the spec.
    """

    uid: str
    operation: str
    kind: str
    namespace: str
    name: str
    user: str = ""
    dry_run: bool = False
    new: NetworkPolicy | Service | None = None
    old: NetworkPolicy | Service | None = None
    deleting: bool = False
    metadata_only: bool = False


def decode_review(body: bytes) -> Request:
    """Decodes an AdmissionReview.

    Args:
        body: the request's body, JSON.

    Raises:
        ReviewError: it is no AdmissionReview v1 with a request, or its object is not of the shape of its kind.
    """
    try:
        review = _DECODER.decode(body)
    except UnicodeDecodeError as error:
        raise ReviewError(f"not UTF-8: {error.reason} at byte {_first_broken_byte(body)}") from None
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise ReviewError(f"{path.rstrip('`')}: {message}" if path else f"not an AdmissionReview: {message}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ReviewError(f"not JSON: {error}") from None
    if review.kind != "AdmissionReview":
        raise ReviewError(f"kind: {review.kind or 'missing'!r}, expected 'AdmissionReview'")
    if review.api_version != "admission.k8s.io/v1":
        raise ReviewError(f"apiVersion: {review.api_version or 'missing'!r}, expected 'admission.k8s.io/v1'")
    wire = review.request
    if wire is None:
        raise ReviewError("request: missing")
    if not wire.uid:
        raise ReviewError("request.uid: missing")
    if wire.operation not in _OPERATIONS:
        raise ReviewError(f"request.operation: {wire.operation!r}, expected one of {', '.join(_OPERATIONS)}")
    return _request(wire)


def _first_broken_byte(body: bytes) -> int:
    """Where a body stops being UTF-8: msgspec counts within one string only."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _request(wire: _WireRequest) -> Request:
    gvk = wire.kind
    kind = f"{gvk.group}/{gvk.version}/{gvk.kind}" if gvk.group else f"{gvk.version}/{gvk.kind}"
    new = old = None
    if kind in JUDGED and not wire.sub_resource:
        new = _object(kind, wire.new, "request.object")
        try:
            old = _object(kind, wire.old, "request.oldObject")
        except ReviewError:
            # What is stored may be older than today's rules; it must stay possible to mend or delete it.
            old = None
        if wire.operation != "DELETE" and new is None:
            raise ReviewError("request.object: missing")
    shown = new or old
    metadata = shown.metadata if shown else ObjectMeta()
    namespace = wire.namespace or metadata.namespace
    name = wire.name or metadata.name or metadata.generate_name
    return Request(
        uid=wire.uid,
        operation=wire.operation,
        kind=kind,
        namespace=namespace,
        name=name,
        user=wire.user_info.username if wire.user_info else "",
        dry_run=bool(wire.dry_run),
        new=named(new, namespace, name) if new else None,
        old=named(old, namespace, name) if old else None,
        deleting=metadata.deletion_timestamp is not None,
        metadata_only=new is not None and old is not None and new.spec == old.spec,
    )


def named(judged: NetworkPolicy | Service, namespace: str, name: str) -> NetworkPolicy | Service:
    """The object with the namespace and name of its request: a generated name is not in its metadata."""
    if judged.key == (namespace, name):
        return judged
    metadata = msgspec.structs.replace(judged.metadata, namespace=namespace, name=name)
    return msgspec.structs.replace(judged, metadata=metadata)


def _object(kind: str, raw: Raw, where: str) -> NetworkPolicy | Service | None:
    if bytes(raw) in (b"", b"null"):
        return None
    try:
        record = decode(kind, raw)
    except DecodeError as error:
        raise ReviewError(f"{where}{'.' + error.path if error.path else ''}: {error.message}") from None
    if isinstance(record, NetworkPolicy):
        for path, problem in impossible(record):
            raise ReviewError(f"{where}.{path}: {problem}")
        return record
    return record if isinstance(record, Service) else None


def impossible(policy: NetworkPolicy) -> Sequence[tuple[str, str]]:
    """What no version of the API server lets into a NetworkPolicy: judging it would be guessing.

    Deliberately lenient: what some version accepts (host bits in a CIDR) or grandfathers is not here.
    """
    problems = [
        (f"spec.policyTypes[{i}]", f"{kind!r}, expected Ingress or Egress")
        for i, kind in enumerate(policy.spec.policy_types)
        if kind not in ("Ingress", "Egress")
    ]
    problems += _operators("spec.podSelector", policy.spec.pod_selector)
    for path, rule in policy.rules():
        for i, port in enumerate(rule.ports):
            for name, number in (("port", port.port), ("endPort", port.end_port)):
                if isinstance(number, int) and not 1 <= number <= 65535:
                    problems.append((f"{path}.ports[{i}].{name}", f"{number}, must be between 1 and 65535"))
    for path, peer in policy.peers():
        problems += _peer(path, peer)
    return problems


def _operators(path: str, selector: LabelSelector | None) -> list[tuple[str, str]]:
    return [
        (f"{path}.matchExpressions[{i}].operator", f"{e.operator!r}, expected one of {', '.join(_OPERATORS)}")
        for i, e in enumerate(selector.match_expressions if selector else ())
        if e.operator not in _OPERATORS
    ]


def _peer(path: str, peer: NetworkPolicyPeer) -> list[tuple[str, str]]:
    problems = _operators(f"{path}.podSelector", peer.pod_selector)
    problems += _operators(f"{path}.namespaceSelector", peer.namespace_selector)
    if peer.ip_block:
        for name, cidr in (("cidr", peer.ip_block.cidr), *(("except", e) for e in peer.ip_block.excepted)):
            # Old servers accept leading zeros and host bits; only the shape is certain.
            address, slash, length = cidr.partition("/")
            try:
                ip_network(f"{_without_leading_zeros(address)}/{length}" if slash else "", strict=False)
            except ValueError:
                problems.append((f"{path}.ipBlock.{name}", f"{cidr!r} is not a CIDR"))
    return problems


def _without_leading_zeros(address: str) -> str:
    return ".".join(part.lstrip("0") or "0" for part in address.split(".")) if "." in address else address


# --- the answer --------------------------------------------------------------------------------------------------


class _Status(APIStruct, frozen=True):
    code: int
    reason: str
    message: str


class _Response(APIStruct, frozen=True, omit_defaults=True):
    uid: str
    allowed: bool
    status: _Status | UnsetType = UNSET
    warnings: tuple[str, ...] = ()
    audit_annotations: Mapping[str, str] = {}


class _Answer(APIStruct, frozen=True):
    api_version: str
    kind: str
    response: _Response


def encode_answer(
    uid: str, denial: str = "", warnings: Sequence[str] = (), audit: Mapping[str, str] | None = None
) -> bytes:
    """Encodes the answered AdmissionReview.

    Args:
        uid: the request's.
        denial: every reason, one a line; empty when the request is allowed.
        warnings: as kubectl shall print them.
        audit: annotations for the API server's audit log; keys of letters, digits and dashes.
    """
    status = _Status(code=403, reason="Forbidden", message=denial) if denial else UNSET
    response = _Response(
        uid=uid, allowed=not denial, status=status, warnings=tuple(warnings), audit_annotations=audit or {}
    )
    return msgspec.json.encode(_Answer("admission.k8s.io/v1", "AdmissionReview", response))
