"""AdmissionReview v1 on the wire: the only module that knows its shape.

Sources: k8s.io/api admission/v1 types.go; what the API server sends and tolerates: facts/admission-contract.md 4.3 f.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType, field

from webhook.model.objects import (
    DAEMON_SET,
    DEPLOYMENT,
    NAME_LABEL,
    NAMESPACE,
    NETWORK_POLICY,
    SERVICE,
    STATEFUL_SET,
    APIStruct,
    IPBlock,
    LabelSelector,
    Namespace,
    NetworkPolicy,
    NetworkPolicyRule,
    ObjectMeta,
    Record,
    Service,
    Workload,
)
from webhook.model.parse import DecodeError, decode

JUDGED: Final = (NETWORK_POLICY, SERVICE)
"""The kinds that are judged."""
WATCHABLE: Final = (NAMESPACE, DEPLOYMENT, STATEFUL_SET, DAEMON_SET)
"""The kinds of which can be asked what their changes do to those that are judged (configuration: ``watchKinds``).

Not Pods, ReplicaSets, Jobs: controllers make and change these, and nobody reads what is said to a controller; nor
CronJobs, whose pods come and go by themselves, so that nothing that runs tells what they need.
"""
_OPERATIONS: Final = ("CREATE", "UPDATE", "DELETE", "CONNECT")
_BYTE: Final = r"0*(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_WORDS: Final = r"(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,5})?"
_WORD: Final = r"[0-9a-fA-F]{1,4}"
_PLAIN_CIDR: Final = re.compile(
    rf"{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}/(?:3[0-2]|[12]?[0-9])"
    rf"|(?:{_WORD}(?::{_WORD}){{7}}|(?=(?:[0-9a-fA-F]*:){{2,7}}[0-9a-fA-F]*/){_WORDS}::{_WORDS})"
    r"/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9])"
)
"""Certainly a CIDR; there are other ways to write one."""
_LONGEST_ERROR: Final = 1000
"""Characters: what it quotes may have megabytes."""
_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


class ReviewError(ValueError):
    """A request body that is no AdmissionReview that can be judged; the message names the field."""

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= _LONGEST_ERROR else f"{message[:_LONGEST_ERROR]}…")


class _GroupVersionKind(APIStruct, frozen=True):
    group: str = ""
    version: str = ""
    kind: str = ""


class _UserInfo(APIStruct, frozen=True):
    username: str = ""
    uid: str | None = None
    groups: tuple[str, ...] | None = None
    extra: Mapping[str, tuple[str, ...] | None] | None = None


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


class Requester(msgspec.Struct, frozen=True):
    """Who asks, as authorizers know them (k8s.io/api authentication/v1 UserInfo).

    Args:
        user: the name.
        uid: the number, where the authenticator gives one.
        groups: what they belong to.
        extra: what else the authenticator says of them, by key.
    """

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One admission request.

    Args:
        uid: the API server's number of the request; comes back in the response.
        operation: CREATE, UPDATE, DELETE or CONNECT.
        kind: ``apiVersion/kind`` of the object.
        namespace, name: of the object; the name may be empty (DELETECOLLECTION of an unreadable object).
        requester: who asks.
        dry_run: nothing will be stored; allocated values are placeholders (facts 3.4).
        new: the object as it will be; None on DELETE, or when its kind is not judged.
        old: the object as it is; None on CREATE, or when it cannot be decoded.
        deleting: the object has a deletionTimestamp.
        metadata_only: an UPDATE that changes no field of the spec.
        shown: of a kind that is watched, the object as it is.
        becomes: the same as it will be; None on DELETE.
    """

    uid: str
    operation: str
    kind: str
    namespace: str
    name: str
    requester: Requester = Requester()
    dry_run: bool = False
    new: NetworkPolicy | Service | None = None
    old: NetworkPolicy | Service | None = None
    deleting: bool = False
    metadata_only: bool = False
    shown: Namespace | Workload | None = None
    becomes: Namespace | Workload | None = None

    @property
    def user(self) -> str:
        """The name of who asks."""
        return self.requester.user


class Envelope(msgspec.Struct, frozen=True):
    """An AdmissionReview of which the objects are still as they came: cheap, whatever is in it.

    Args:
        namespace: of the object; empty where it has none.
    """

    wire: _WireRequest

    @property
    def namespace(self) -> str:
        return self.wire.namespace or ""

    def decode(self, watched: Collection[str] = ()) -> Request:
        """Decodes the objects, too.

        Args:
            watched: the kinds beside those that are judged whose objects are looked at (`WATCHABLE`).

        Raises:
            ReviewError: they are not of the shape of their kind.
        """
        return _request(self.wire, watched)


def decode_review(body: bytes, watched: Collection[str] = ()) -> Request:
    """Decodes an AdmissionReview.

    Args:
        body: the request's body, JSON.
        watched: the kinds beside those that are judged whose objects are looked at (`WATCHABLE`).

    Raises:
        ReviewError: it is no AdmissionReview v1 with a request, or its object is not of the shape of its kind.
    """
    return open_review(body).decode(watched)


def open_review(body: bytes) -> Envelope:
    """Decodes an AdmissionReview, but for the objects in it.

    Args:
        body: the request's body, JSON.

    Raises:
        ReviewError: it is no AdmissionReview v1 with a request.
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
    return Envelope(wire)


def _first_broken_byte(body: bytes) -> int:
    """Where a body stops being UTF-8: msgspec counts within one string only."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _request(wire: _WireRequest, watched: Collection[str]) -> Request:
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
    judged = new or old
    metadata = judged.metadata if judged else ObjectMeta()
    namespace = wire.namespace or metadata.namespace
    name = wire.name or metadata.name or metadata.generate_name
    shown = becomes = None
    if kind in watched and not wire.sub_resource:
        shown = _watched(kind, wire.old, "request.oldObject", namespace, name)
        becomes = _watched(kind, wire.new, "request.object", namespace, name)
        found = shown or becomes
        namespace, name = found.key if found is not None and not name else (namespace, name)
    return Request(
        uid=wire.uid,
        operation=wire.operation,
        kind=kind,
        namespace=namespace,
        name=name,
        requester=_requester(wire.user_info) if wire.user_info else Requester(),
        dry_run=bool(wire.dry_run),
        new=named(new, namespace, name) if new else None,
        old=named(old, namespace, name) if old else None,
        deleting=metadata.deletion_timestamp is not None,
        metadata_only=new is not None and old is not None and new.spec == old.spec,
        shown=shown,
        becomes=becomes,
    )


def _requester(info: _UserInfo) -> Requester:
    extra = tuple((key, values or ()) for key, values in (info.extra or {}).items())
    return Requester(info.username, info.uid or "", info.groups or (), extra)


def named(judged: NetworkPolicy | Service, namespace: str, name: str) -> NetworkPolicy | Service:
    """The object with the namespace and name of its request: a generated name is not in its metadata."""
    if judged.key == (namespace, name):
        return judged
    metadata = msgspec.structs.replace(judged.metadata, namespace=namespace, name=name)
    return msgspec.structs.replace(judged, metadata=metadata)


def _record(kind: str, raw: Raw, where: str) -> Record | None:
    if bytes(raw) in (b"", b"null"):
        return None
    try:
        return decode(kind, raw)
    except DecodeError as error:
        raise ReviewError(f"{where}{'.' + error.path if error.path else ''}: {error.message}") from None


def _watched(kind: str, raw: Raw, where: str, namespace: str, name: str) -> Namespace | Workload | None:
    """The object, with the namespace and name of its request where it names none itself."""
    record = _record(kind, raw, where)
    if isinstance(record, Namespace):
        name = record.name or name
        return msgspec.structs.replace(record, name=name, labels={**record.labels, NAME_LABEL: name})
    if isinstance(record, Workload):
        return msgspec.structs.replace(record, namespace=record.namespace or namespace, name=record.name or name)
    return None


def _object(kind: str, raw: Raw, where: str) -> NetworkPolicy | Service | None:
    record = _record(kind, raw, where)
    if isinstance(record, NetworkPolicy):
        for path, problem in impossible(record):
            raise ReviewError(f"{where}.{path}: {problem}")
        return record
    return record if isinstance(record, Service) else None


def impossible(policy: NetworkPolicy) -> Iterator[tuple[str, str]]:
    """What no version of the API server lets into a NetworkPolicy: judging it would be guessing.

    Deliberately lenient: what some version accepts (host bits in a CIDR) or grandfathers is not here.
    """
    if not _certainly_possible(policy):
        yield from _impossible(policy)


def _certainly_possible(policy: NetworkPolicy) -> bool:
    """Whether there is nothing that must be looked at closely: of 100,000 peers no field path is made for nothing."""
    spec, is_cidr = policy.spec, _PLAIN_CIDR.fullmatch
    rules: list[NetworkPolicyRule] = [*spec.ingress, *spec.egress]
    if spec.pod_selector.match_expressions or not {"Ingress", "Egress"}.issuperset(spec.policy_types):
        return False
    for rule in rules:
        if rule.ports:
            return False
        for peer in rule.peers:
            block = peer.ip_block
            if block is not None and not (is_cidr(block.cidr) and all(map(is_cidr, block.excepted))):
                return False
            for selector in (peer.pod_selector, peer.namespace_selector):
                if selector is not None and any(e.operator not in _OPERATORS for e in selector.match_expressions):
                    return False
    return True


def _impossible(policy: NetworkPolicy) -> Iterator[tuple[str, str]]:
    for i, kind in enumerate(policy.spec.policy_types):
        if kind not in ("Ingress", "Egress"):
            yield f"spec.policyTypes[{i}]", f"{kind!r}, expected Ingress or Egress"
    yield from _operators("spec.podSelector", policy.spec.pod_selector)
    for path, rule in policy.rules():
        yield from _ports(path, rule)
    for path, peer in policy.peers():
        if peer.ip_block:
            yield from _addresses(f"{path}.ipBlock", peer.ip_block)
        if peer.pod_selector:
            yield from _operators(f"{path}.podSelector", peer.pod_selector)
        if peer.namespace_selector:
            yield from _operators(f"{path}.namespaceSelector", peer.namespace_selector)


def _ports(path: str, rule: NetworkPolicyRule) -> Iterator[tuple[str, str]]:
    for i, port in enumerate(rule.ports):
        for name, number in (("port", port.port), ("endPort", port.end_port)):
            if isinstance(number, int) and not 1 <= number <= 65535:
                yield f"{path}.ports[{i}].{name}", f"{number}, must be between 1 and 65535"


def _operators(path: str, selector: LabelSelector) -> Iterator[tuple[str, str]]:
    for i, e in enumerate(selector.match_expressions):
        if e.operator not in _OPERATORS:
            yield f"{path}.matchExpressions[{i}].operator", f"{e.operator!r}, expected one of {', '.join(_OPERATORS)}"


def _addresses(path: str, block: IPBlock) -> Iterator[tuple[str, str]]:
    for name, cidr in (("cidr", block.cidr), *(("except", e) for e in block.excepted)):
        if _PLAIN_CIDR.fullmatch(cidr):  # a policy may have 300,000, and this is twenty times faster
            continue
        # Old servers accept leading zeros and host bits; only the shape is certain.
        address, slash, length = cidr.partition("/")
        try:
            ip_network(f"{_without_leading_zeros(address)}/{length}" if slash else "", strict=False)
        except ValueError:
            yield f"{path}.{name}", f"{cidr!r} is not a CIDR"


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
