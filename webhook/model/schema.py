"""The fields of a NetworkPolicy and a Service with their types: what the API server's strict decoding lets through.

Sources: k8s.io/api networking/v1 and core/v1 types.go, apimachinery meta/v1 types.go (1.37), sigs.k8s.io/json.
"""

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

from webhook.model.manifest import FieldPath, format_path

_BOOLEANS: Final = "to YAML y, yes, on, n, no and off are booleans, too"


class FieldProblem(Struct, frozen=True):
    """What is wrong with one field; the message is the API server's, without the field's path before it."""

    path: FieldPath
    message: str
    remedy: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (format_path(self.path), self.message) if part)


class Plain(Struct, frozen=True):
    """A type that is no container, by Go's name; ``zero`` is what null means in a list or a map."""

    name: str
    zero: Any = None


class ListOf(Struct, frozen=True):
    """A list with elements of one type."""

    of: "Type"

    @property
    def name(self) -> str:
        return f"[]{self.of.name}"


class Fields(Struct, frozen=True):
    """An object with known fields."""

    name: str
    fields: dict[str, "Type"]


Type: TypeAlias = Plain | ListOf | Fields

STRING = Plain("string", "")
BOOL = Plain("bool", False)
INT32 = Plain("int32", 0)
INT64 = Plain("int64", 0)
INT_OR_STRING = Plain("intstr.IntOrString", 0)
TIME = Plain("v1.Time")
STRINGS = Plain("map[string]string")
RAW = Plain("v1.FieldsV1")

_OBJECT_META = Fields(
    "v1.ObjectMeta",
    {
        **dict.fromkeys(("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"), STRING),
        **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), INT64),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), TIME),
        **dict.fromkeys(("labels", "annotations"), STRINGS),
        "ownerReferences": ListOf(
            Fields(
                "v1.OwnerReference",
                {
                    **dict.fromkeys(("apiVersion", "kind", "name", "uid"), STRING),
                    **dict.fromkeys(("controller", "blockOwnerDeletion"), BOOL),
                },
            )
        ),
        "finalizers": ListOf(STRING),
        "managedFields": ListOf(
            Fields(
                "v1.ManagedFieldsEntry",
                {
                    **dict.fromkeys(("manager", "operation", "apiVersion", "fieldsType", "subresource"), STRING),
                    "time": TIME,
                    "fieldsV1": RAW,
                },
            )
        ),
    },
)

_LABEL_SELECTOR = Fields(
    "v1.LabelSelector",
    {
        "matchLabels": STRINGS,
        "matchExpressions": ListOf(
            Fields("v1.LabelSelectorRequirement", {"key": STRING, "operator": STRING, "values": ListOf(STRING)})
        ),
    },
)
_PEERS = ListOf(
    Fields(
        "v1.NetworkPolicyPeer",
        {
            "podSelector": _LABEL_SELECTOR,
            "namespaceSelector": _LABEL_SELECTOR,
            "ipBlock": Fields("v1.IPBlock", {"cidr": STRING, "except": ListOf(STRING)}),
        },
    )
)
_POLICY_PORTS = ListOf(
    Fields("v1.NetworkPolicyPort", {"protocol": STRING, "port": INT_OR_STRING, "endPort": INT32}),
)
NETWORK_POLICY = Fields(
    "v1.NetworkPolicy",
    {
        "apiVersion": STRING,
        "kind": STRING,
        "metadata": _OBJECT_META,
        "spec": Fields(
            "v1.NetworkPolicySpec",
            {
                "podSelector": _LABEL_SELECTOR,
                "ingress": ListOf(Fields("v1.NetworkPolicyIngressRule", {"ports": _POLICY_PORTS, "from": _PEERS})),
                "egress": ListOf(Fields("v1.NetworkPolicyEgressRule", {"ports": _POLICY_PORTS, "to": _PEERS})),
                "policyTypes": ListOf(STRING),
            },
        ),
    },
)

_CONDITION = Fields(
    "v1.Condition",
    {
        **dict.fromkeys(("type", "status", "reason", "message"), STRING),
        "observedGeneration": INT64,
        "lastTransitionTime": TIME,
    },
)
SERVICE = Fields(
    "v1.Service",
    {
        "apiVersion": STRING,
        "kind": STRING,
        "metadata": _OBJECT_META,
        "spec": Fields(
            "v1.ServiceSpec",
            {
                "ports": ListOf(
                    Fields(
                        "v1.ServicePort",
                        {
                            **dict.fromkeys(("name", "protocol", "appProtocol"), STRING),
                            **dict.fromkeys(("port", "nodePort"), INT32),
                            "targetPort": INT_OR_STRING,
                        },
                    )
                ),
                "selector": STRINGS,
                **dict.fromkeys(
                    (
                        "clusterIP",
                        "type",
                        "sessionAffinity",
                        "loadBalancerIP",
                        "externalName",
                        "externalTrafficPolicy",
                        "ipFamilyPolicy",
                        "loadBalancerClass",
                        "internalTrafficPolicy",
                        "trafficDistribution",
                    ),
                    STRING,
                ),
                **dict.fromkeys(
                    ("clusterIPs", "externalIPs", "loadBalancerSourceRanges", "ipFamilies"),
                    ListOf(STRING),
                ),
                **dict.fromkeys(("publishNotReadyAddresses", "allocateLoadBalancerNodePorts"), BOOL),
                "healthCheckNodePort": INT32,
                "sessionAffinityConfig": Fields(
                    "v1.SessionAffinityConfig",
                    {"clientIP": Fields("v1.ClientIPConfig", {"timeoutSeconds": INT32})},
                ),
            },
        ),
        "status": Fields(
            "v1.ServiceStatus",
            {
                "loadBalancer": Fields(
                    "v1.LoadBalancerStatus",
                    {
                        "ingress": ListOf(
                            Fields(
                                "v1.LoadBalancerIngress",
                                {
                                    **dict.fromkeys(("ip", "hostname", "ipMode"), STRING),
                                    "ports": ListOf(
                                        Fields("v1.PortStatus", {"port": INT32, "protocol": STRING, "error": STRING})
                                    ),
                                },
                            )
                        )
                    },
                ),
                "conditions": ListOf(_CONDITION),
            },
        ),
    },
)

_SCHEMAS = {("networking.k8s.io/v1", "NetworkPolicy"): NETWORK_POLICY, ("v1", "Service"): SERVICE}


class Decoding(Struct, frozen=True):
    """An object as the API server decodes it: known fields with the right type only, and what was left out."""

    data: dict[str, Any]
    unknown: tuple[FieldProblem, ...]
    mistyped: tuple[FieldProblem, ...]


def schema_of(data: Mapping[str, Any]) -> Fields | None:
    """The fields of the object's kind, or None when it is neither a NetworkPolicy nor a Service of the API."""
    return _SCHEMAS.get((str(data.get("apiVersion")), str(data.get("kind"))))


def decode(data: Mapping[str, Any]) -> Decoding | None:
    """Decodes a NetworkPolicy or Service strictly; None for other kinds.

    As in Go, null is an absent field, an empty element of a list, or an empty value of a map.
    """
    schema = schema_of(data)
    if schema is None:
        return None
    written = data if isinstance(data, dict) else dict(data)
    if _is_sound(schema, written):  # nearly all are: nothing to leave out, and no paths to write down
        return Decoding(written, (), ())
    walk = _Walk(schema)
    clean = walk.fields(schema, written, ())
    return Decoding(clean, tuple(walk.unknown), tuple(walk.mistyped))


def _is_sound(of: Type, value: Any) -> bool:
    """Whether all of a value is known, of the right type, and none of it null: decoding leaves it as it is."""
    sort = of.__class__
    if sort is Fields:
        if value.__class__ is not dict:
            return False
        known = of.fields  # type: ignore[union-attr]
        for name, inner in value.items():
            field = known.get(name)
            if field is STRING:
                if inner.__class__ is not str:
                    return False
            elif field is None or not _is_sound(field, inner):
                return False
        return True
    if sort is ListOf:
        if value.__class__ is not list:
            return False
        element = of.of  # type: ignore[union-attr]
        return False not in [_is_sound(element, inner) for inner in value]
    if of is STRINGS:
        return value.__class__ is dict and {*map(type, value.values())} <= {str}
    return value is not None and _fits(of, value)  # type: ignore[arg-type]


_MISTYPED: Any = object()
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[-+]\d\d:\d\d)", re.ASCII)


class _Walk:
    def __init__(self, root: Fields) -> None:
        self._root = root
        self.unknown: list[FieldProblem] = []
        self.mistyped: list[FieldProblem] = []

    def fields(self, schema: Fields, value: dict[str, Any], path: FieldPath) -> dict[str, Any]:
        clean: dict[str, Any] = {}
        for name, inner in value.items():
            of = schema.fields.get(name)
            if of is None:
                self.unknown.append(self._unknown(schema, name, inner, (*path, name)))
            elif inner is not None:
                decoded = self._value(of, inner, (*path, name))
                if decoded is not _MISTYPED:
                    clean[name] = decoded
        return clean

    def _value(self, of: Type, value: Any, path: FieldPath) -> Any:
        if isinstance(of, Fields):
            return self.fields(of, value, path) if isinstance(value, dict) else self._mistyped(of, value, path)
        if isinstance(of, ListOf):
            if not isinstance(value, list):
                return self._mistyped(of, value, path)
            elements = [self._element(of.of, element, (*path, number)) for number, element in enumerate(value)]
            return elements if _MISTYPED not in elements else _MISTYPED
        if of is STRINGS:
            if not isinstance(value, dict):
                return self._mistyped(of, value, path)
            entries = {key: self._element(STRING, entry, (*path, key)) for key, entry in value.items()}
            return {key: entry for key, entry in entries.items() if entry is not _MISTYPED}
        return value if _fits(of, value) else self._mistyped(of, value, path)

    def _element(self, of: Type, value: Any, path: FieldPath) -> Any:
        if value is None:
            return {} if isinstance(of, Fields) else of.zero if isinstance(of, Plain) else []
        return self._value(of, value, path)

    def _mistyped(self, of: Type, value: Any, path: FieldPath) -> Any:
        if of is TIME and isinstance(value, str):
            message, remedy = f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00"', "write 2006-01-02T15:04:05Z"
        else:
            kind = of.name if of is not INT_OR_STRING else "int32"
            message = f"cannot unmarshal {_json_type(value)} into a field of type {kind}"
            message += _in_words(of, value)
            remedy = _remedy(of, value)
        detail = _BOOLEANS if isinstance(value, bool) else ""
        self.mistyped.append(FieldProblem(path, message, remedy, detail))
        return _MISTYPED

    def _unknown(self, schema: Fields, name: str, value: Any, path: FieldPath) -> FieldProblem:
        return FieldProblem(path, f'unknown field "{format_path(path)}"', _meant(self._root, schema, name, value))


def _fits(of: Plain, value: Any) -> bool:
    if of is STRING:
        return isinstance(value, str)
    if of is BOOL:
        return isinstance(value, bool)
    if of is TIME:
        return isinstance(value, str) and bool(_RFC3339.fullmatch(value))
    if of is RAW or (of is INT_OR_STRING and isinstance(value, str)):
        return True
    bits = 63 if of is INT64 else 31
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << bits) <= value < 1 << bits


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return f"number {value}"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _in_words(of: Type, value: Any) -> str:
    if isinstance(value, bool):
        return f": this is the boolean {'true' if value else 'false'}"
    if of in (INT32, INT_OR_STRING) and isinstance(value, int):
        return ": the number is too large"
    return ""


def _remedy(of: Type, value: Any) -> str:
    if of is STRING and isinstance(value, (bool, int, float)):
        return "put the value in quotes"
    if of in (INT32, INT64, BOOL) and isinstance(value, str):
        return "write the value without quotes" if value.isdecimal() or value in ("true", "false") else ""
    if isinstance(of, ListOf) and not isinstance(value, list):
        return 'write a list: "- " before each element'
    if isinstance(of, Fields) and isinstance(value, list):
        return 'write one mapping, without "- "'
    return ""


def _meant(root: Fields, schema: Fields, name: str, value: Any) -> str:
    """What the author of an unknown field probably wanted."""
    folded = {known.lower(): known for known in schema.fields}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.7)
    if near:
        return f"write {folded[near[0]]}"
    if schema is _LABEL_SELECTOR and isinstance(value, (str, bool, int, float)):
        return f"write matchLabels: {{{name}: …}}"
    homes = _homes(root.name).get(name, [])
    return f"{name} is a field of {' and '.join(homes)}" if homes else ""


@functools.cache
def _homes(name: str) -> dict[str, list[str]]:
    root = next(schema for schema in _SCHEMAS.values() if schema.name == name)
    homes: dict[str, list[str]] = {}
    for path, field in _all_fields(root, ""):
        if path.startswith("spec"):
            homes.setdefault(field, []).append(path)
    return homes


def _all_fields(of: Type, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(of, ListOf):
        yield from _all_fields(of.of, f"{path}[]")
    elif isinstance(of, Fields):
        for name, inner in of.fields.items():
            yield path, name
            yield from _all_fields(inner, f"{path}.{name}" if path else name)
