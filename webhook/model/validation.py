"""What kube-apiserver refuses about a NetworkPolicy or a Service, in its own words, without asking it.

Sources (1.37): kubernetes pkg/apis/networking/validation/validation.go, pkg/apis/core/validation/validation.go
(validateService), pkg/apis/*/v1/defaults.go, pkg/registry/core/service/storage/alloc.go; apimachinery
pkg/api/validation/objectmeta.go, pkg/apis/meta/v1/validation, pkg/api/validate/content, pkg/util/validation. What
depends on the cluster (address and port ranges, what is taken, dual-stack) is left out.
"""

import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from webhook.model.manifest import FieldPath
from webhook.model.schema import NETWORK_POLICY, Decoding, FieldProblem, decode, schema_of

Problems: TypeAlias = Iterator[FieldProblem]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_OUR_GROUPS = {"NetworkPolicy": ("networking.k8s.io/", "networking/", "extensions/"), "Service": ("core/",)}
_API_VERSIONS = {"NetworkPolicy": "networking.k8s.io/v1", "Service": "v1"}


def refused(data: Mapping[str, Any], decoding: Decoding | None = None) -> list[FieldProblem]:
    """All that the API server of Kubernetes 1.36 and later refuses about a new object; empty when it accepts it.

    ``data`` is the object as it was written, before any defaulting. Other kinds than NetworkPolicy and Service are
    never refused. Unknown fields are not in it (`Decoding.unknown`): they depend on how the object is sent. A
    missing namespace is no problem, kubectl fills it in. ``decoding`` is what `decode` made of it, where that is known.
    """
    schema = schema_of(data)
    if schema is None:
        return list(_api_version(data))
    decoding = decoding or decode(data)
    if decoding is None:  # pragma: no cover - what has a schema can be decoded
        return []
    found = [*_object_meta(decoding.data, is_policy=schema is NETWORK_POLICY)]
    spec = decoding.data.get("spec", {})
    found += _policy_spec(spec) if schema is NETWORK_POLICY else _service(decoding.data, spec)
    if not decoding.mistyped:
        return found
    wrong = [problem.path for problem in decoding.mistyped]  # what follows from a field that was left out is no news
    return [*decoding.mistyped, *(one for one in found if not any(_overlap(one.path, path) for path in wrong))]


def _overlap(one: FieldPath, other: FieldPath) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _api_version(data: Mapping[str, Any]) -> Problems:
    kind, version = str(data.get("kind")), str(data.get("apiVersion"))
    right = _API_VERSIONS.get(kind)
    if right and version != right and (version.startswith(_OUR_GROUPS[kind]) or re.fullmatch(r"v\d\w*", version)):
        yield FieldProblem(("apiVersion",), f'no matches for kind "{kind}" in version "{version}"', f"write {right}")


# --- the words of the API server (apimachinery pkg/util/validation/field/errors.go) -----------------------------------


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _invalid(path: FieldPath, value: Any, detail: str, remedy: str = "") -> FieldProblem:
    return FieldProblem(path, f"Invalid value: {_json(value)}: {detail}", remedy)


def _required(path: FieldPath, detail: str = "") -> FieldProblem:
    return FieldProblem(path, f"Required value: {detail}" if detail else "Required value")


def _forbidden(path: FieldPath, detail: str) -> FieldProblem:
    return FieldProblem(path, f"Forbidden: {detail}")


def _duplicate(path: FieldPath, value: Any) -> FieldProblem:
    return FieldProblem(path, f"Duplicate value: {_json(value)}")


def _one_of(path: FieldPath, value: str, supported: Iterable[str]) -> Problems:
    """NotSupported, with the right spelling when only that is wrong."""
    known = list(supported)
    if value not in known:
        detail = ", ".join(_json(one) for one in known)
        right = next((one for one in known if one.lower() == value.lower()), "")
        remedy = f"write {right}" if right else ""
        yield FieldProblem(path, f"Unsupported value: {_json(value)}: supported values: {detail}", remedy)


def _each(path: FieldPath, value: Any, details: Iterable[str]) -> Problems:
    for detail in details:
        yield _invalid(path, value, detail)


def _once(details: Callable[..., Iterator[str]]) -> Callable[..., Sequence[str]]:
    """What is wrong with a text, found out once: the same names and labels are in every file."""

    @functools.lru_cache(maxsize=4096)
    def found(*args: str) -> Sequence[str]:
        return tuple(details(*args))

    return found


# --- names, labels, annotations (apimachinery pkg/api/validate/content, pkg/util/validation) --------------------------

_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_LABEL_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_LABEL_KEY})?"
_LONGEST_ANNOTATIONS = 256 << 10

_LABEL_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_STANDARD_FINALIZERS = frozenset(("kubernetes", "orphan", "foregroundDeletion"))


def _regex_error(text: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {shown}regex used for validation is '{pattern}')"


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


@_once
def _dns_label(value: str) -> Iterator[str]:
    if _size(value) > 63:
        yield "must be no more than 63 characters"
    if not re.fullmatch(_DNS_LABEL, value):
        if re.fullmatch(_DNS_SUBDOMAIN, value):
            yield "must not contain dots"
        else:
            yield _regex_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
                "and end with an alphanumeric character",
                _DNS_LABEL,
                "my-name",
                "123-abc",
            )


@_once
def _dns_subdomain(value: str, unit: str = "characters") -> Iterator[str]:
    if _size(value) > 253:
        yield f"must be no more than 253 {unit}"
    if not re.fullmatch(_DNS_SUBDOMAIN, value):
        yield _regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character",
            _DNS_SUBDOMAIN,
            "example.com",
        )


@_once
def _label_key(value: str) -> Iterator[str]:
    """A qualified name: ``name`` or ``prefix.example/name``."""
    examples = ("MyName", "my.name", "123-abc")
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        yield (
            f"a valid label key {_regex_error(_LABEL_TEXT, _LABEL_KEY, *examples)}"
            " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
        return
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash:
        yield from (f"prefix part {message}" for message in _dns_subdomain(prefix, "bytes"))
    if not name:
        yield "name part must be non-empty"
    elif _size(name) > 63:
        yield "name part must be no more than 63 bytes"
    if not re.fullmatch(_LABEL_KEY, name):
        yield f"name part {_regex_error(_LABEL_TEXT, _LABEL_KEY, *examples)}"


@_once
def _label_value(value: str) -> Iterator[str]:
    if _size(value) > 63:
        yield "must be no more than 63 bytes"
    if not re.fullmatch(_LABEL_VALUE, value):
        text = f"a valid label must be an empty string or {_LABEL_TEXT.removeprefix('must ')}"
        yield _regex_error(text, _LABEL_VALUE, "MyValue", "my_value", "12345")


def _labels(labels: Mapping[str, str], path: FieldPath) -> Problems:
    for key, value in labels.items():
        if _label_key(key) or _label_value(value):
            yield from _each((*path, key), key, _label_key(key))
            yield from _each((*path, key), value, _label_value(value))


def _object_meta(data: Mapping[str, Any], *, is_policy: bool) -> Problems:
    meta = data.get("metadata", {})
    check = _dns_subdomain if is_policy else _dns_label
    prefix, name = meta.get("generateName", ""), meta.get("name", "")
    if prefix:
        # A dash at the end is what the random suffix follows (NameIsDNSSubdomain with prefix).
        masked = prefix[:-2] + "a" if len(prefix) > 1 and prefix.endswith("-") else prefix
        # Masking hides the letter before the dash, as there; the name that is made up shows it.
        wrong = [*check(masked)] or ([*check(f"{prefix[:58]}12345")] if not name else [])
        yield from _each(("metadata", "generateName"), prefix, wrong)
    if name:
        yield from _each(("metadata", "name"), name, check(name))
    elif not prefix:
        yield _required(("metadata", "name"), "name or generateName is required")
    namespace = meta.get("namespace", "")
    if namespace:
        yield from _each(("metadata", "namespace"), namespace, _dns_label(namespace))
    yield from _labels(meta.get("labels", {}), ("metadata", "labels"))
    annotations = meta.get("annotations", {})
    for key in annotations:
        yield from _each(("metadata", "annotations", key), key, _label_key(key.lower()))
    if sum(_size(key) + _size(value) for key, value in annotations.items()) > _LONGEST_ANNOTATIONS:
        detail = f"Too long: may not be more than {_LONGEST_ANNOTATIONS} bytes"
        yield FieldProblem(("metadata", "annotations"), detail)
    yield from _owners(meta.get("ownerReferences", ()))
    yield from _finalizers(meta.get("finalizers", ()))


def _owners(owners: Iterable[Mapping[str, Any]]) -> Problems:
    controllers = []
    for number, owner in enumerate(owners):
        path: FieldPath = ("metadata", "ownerReferences", number)
        version = owner.get("apiVersion", "")
        if version and (version.count("/") > 1 or version.endswith("/")):
            yield _invalid((*path, "apiVersion"), version, "must be <group>/<version> or <version>")
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                yield _required((*path, name), "must not be empty")
        if (version, owner.get("kind")) == ("v1", "Event"):
            yield _invalid(path, dict(owner), "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind', '')}/{owner.get('name', '')}")
    for second in controllers[1:]:
        detail = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0]} and {second}"
        )
        yield _invalid(("metadata", "ownerReferences"), list(owners), detail)


def _finalizers(finalizers: Iterable[str]) -> Problems:
    found = list(finalizers)
    for number, finalizer in enumerate(found):
        path: FieldPath = ("metadata", "finalizers", number)
        yield from _each(path, finalizer, _label_key(finalizer))
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            yield _invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified")
    if {"orphan", "foregroundDeletion"} <= set(found):
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        yield _invalid(("metadata", "finalizers"), found, detail)


# --- ports ------------------------------------------------------------------------------------------------------------


def _port_number(path: FieldPath, value: int) -> Problems:
    if not 1 <= value <= 65535:
        yield _invalid(path, value, "must be between 1 and 65535, inclusive")


def _port_name(path: FieldPath, value: str) -> Problems:
    if _size(value) > 15:
        yield _invalid(path, value, "must be no more than 15 characters")
    if not re.fullmatch("[-a-z0-9]+", value):
        yield _invalid(path, value, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        remedy = "write the number without quotes" if value.isdecimal() else ""
        yield _invalid(path, value, "must contain at least one letter (a-z)", remedy)
    if "--" in value:
        yield _invalid(path, value, "must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        yield _invalid(path, value, "must not begin or end with a hyphen")


def _port(path: FieldPath, value: int | str) -> Problems:
    return _port_name(path, value) if isinstance(value, str) else _port_number(path, value)


# --- addresses (apimachinery pkg/util/validation/ip.go) ---------------------------------------------------------------


def _sloppy_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as Go 1.16 read it: leading zeros are decimal (net.ParseIPSloppy)."""
    return _address(re.sub(r"[0-9a-fA-F]+", lambda found: found[0].lstrip("0") or "0", text))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if "%" in text or "/" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@functools.lru_cache(maxsize=4096)
def _sloppy_network(text: str) -> Network | None:
    address_text, _, bits = text.partition("/")
    address = _sloppy_address(address_text)
    if address is None or not re.fullmatch("[0-9]{1,7}", bits) or int(bits) > address.max_prefixlen:
        return None
    return ipaddress.ip_network((address, int(bits)), strict=False)


def _is_mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def _ip(path: FieldPath, text: str) -> Problems:
    address = _sloppy_address(text)
    if address is None:
        yield _invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
    elif _address(text) is None:
        yield _invalid(path, text, "must not have leading 0s", f"write {address}")
    elif _is_mapped(address):
        yield _invalid(path, text, "must not be an IPv4-mapped IPv6 address")


def _cidr(path: FieldPath, text: str) -> Problems:
    if wrong := _wrong_cidr(text):
        yield _invalid(path, text, *wrong)


@functools.lru_cache(maxsize=4096)
def _wrong_cidr(text: str) -> tuple[str, ...]:
    """What is wrong with a range, and perhaps what to write; nothing where it is right."""
    network = _sloppy_network(text)
    if network is None:
        remedy = f"write {text}/{address.max_prefixlen}" if (address := _address(text)) else ""
        return "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)", remedy
    address_text, _, bits = text.partition("/")
    address = _address(address_text)
    if address is None or (len(bits) > 1 and bits.startswith("0")):
        return "must not have leading 0s in IP or prefix length", f"write {network}"
    if _is_mapped(address):
        return ("must not have an IPv4-mapped IPv6 address",)
    if address != network.network_address:
        one = f"{address}/{address.max_prefixlen}"
        return "must not have bits set beyond the prefix length", f"write {network} or {one}"
    return ()


def _external_ip(path: FieldPath, text: str) -> Problems:
    problems = [*_ip(path, text)]
    yield from problems
    address = _address(text)
    if problems or address is None:
        return
    if address.is_unspecified:
        yield _invalid(path, text, f"may not be unspecified ({text})")
    if address.is_loopback:
        yield _invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        yield _invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if any(address in multicast for multicast in _LINK_LOCAL_MULTICAST):
        yield _invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


_LINK_LOCAL_MULTICAST: tuple[Network, ...] = (
    ipaddress.IPv4Network("224.0.0.0/24"),
    *(ipaddress.IPv6Network(f"ff{flags:x}2::/16") for flags in range(16)),
)


# --- NetworkPolicy (pkg/apis/networking/validation/validation.go) -----------------------------------------------------


def _policy_spec(spec: Mapping[str, Any]) -> Problems:
    yield from _selector(spec.get("podSelector", {}), ("spec", "podSelector"))
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(spec.get(direction, ())):
            path: FieldPath = ("spec", direction, number)
            for at, port in enumerate(rule.get("ports", ())):
                yield from _policy_port(port, (*path, "ports", at))
            for at, peer in enumerate(rule.get(side, ())):
                yield from _peer(peer, (*path, side, at))
    types = spec.get("policyTypes", [])
    if len(types) > 2:
        yield _invalid(("spec", "policyTypes"), types, "may not specify more than two policyTypes")
        return
    for number, policy_type in enumerate(types):
        if policy_type not in _DIRECTIONS:
            yield from _one_of(("spec", "policyTypes", number), policy_type, _DIRECTIONS)


def _selector(selector: Mapping[str, Any], path: FieldPath) -> Problems:
    if "matchLabels" in selector:
        yield from _labels(selector["matchLabels"], (*path, "matchLabels"))
    for number, term in enumerate(selector.get("matchExpressions", ())):
        at: FieldPath = (*path, "matchExpressions", number)
        operator, values = term.get("operator", ""), term.get("values", [])
        if operator in ("In", "NotIn"):
            if not values:
                yield _required((*at, "values"), "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield _forbidden((*at, "values"), detail)
        else:
            remedy = "write In, NotIn, Exists or DoesNotExist"
            yield _invalid((*at, "operator"), operator, "not a valid selector operator", remedy)
        yield from _each((*at, "key"), term.get("key", ""), _label_key(term.get("key", "")))
        for index, value in enumerate(values):
            yield from _each((*at, "values", index), value, _label_value(value))


_PROTOCOLS = ("TCP", "UDP", "SCTP")
_DIRECTIONS = ("Ingress", "Egress")
_LAST_PORT = 65535


def _policy_port(port: Mapping[str, Any], path: FieldPath) -> Problems:
    if port.get("protocol", "TCP") not in _PROTOCOLS:
        yield from _one_of((*path, "protocol"), port["protocol"], _PROTOCOLS)
    number, end = port.get("port"), port.get("endPort")
    end_path: FieldPath = (*path, "endPort")
    if end is not None and not isinstance(number, int):
        why = "is not specified" if number is None else "is non-numeric"
        yield _invalid(end_path, end, f"may not be specified when `port` {why}")
    if number is not None and not (isinstance(number, int) and 1 <= number <= _LAST_PORT):
        yield from _port((*path, "port"), number)
    if isinstance(number, int) and end is not None:
        if end < number:
            yield _invalid(end_path, end, "must be greater than or equal to `port`")
        yield from _port_number(end_path, end)


def _peer(peer: Mapping[str, Any], path: FieldPath) -> Problems:
    for name in ("podSelector", "namespaceSelector"):
        if name in peer:
            yield from _selector(peer[name], (*path, name))
    if "ipBlock" in peer:
        yield from _ip_block(peer["ipBlock"], (*path, "ipBlock"))
    if not peer:
        yield _required(path, "must specify a peer")
    elif len(peer) > 1 and "ipBlock" in peer:
        yield _forbidden(path, "may not specify both ipBlock and another peer")


def _ip_block(block: Mapping[str, Any], path: FieldPath) -> Problems:
    cidr = block.get("cidr", "")
    if not cidr:
        yield _required((*path, "cidr"))
        return
    yield from _cidr((*path, "cidr"), cidr)
    network = _sloppy_network(cidr)
    if network is None:
        return
    for number, text in enumerate(block.get("except", ())):
        at: FieldPath = (*path, "except", number)
        yield from _cidr(at, text)
        hole = _sloppy_network(text)
        if hole is None:
            continue
        inside = hole.version == network.version and hole.network_address in network
        if not inside or network.prefixlen >= hole.prefixlen:
            yield _invalid(at, text, "must be a strict subset of `cidr`")


# --- Service (pkg/apis/core/validation/validation.go, validateService) ------------------------------------------------

_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"


def _service(data: Mapping[str, Any], spec: Mapping[str, Any]) -> Problems:
    annotations = data.get("metadata", {}).get("annotations", {})
    if _HINTS in annotations and _MODE in annotations and annotations[_HINTS] != annotations[_MODE]:
        detail = f"must match annotations[{_HINTS}] when both are specified"
        yield _invalid(("metadata", "annotations", _MODE), annotations[_MODE], detail)
    kind = spec.get("type") or "ClusterIP"
    yield from _one_of(("spec", "type"), kind, ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"))
    addresses = _cluster_ips(spec)
    headless = addresses == ["None"]
    if not spec.get("ports") and not headless and kind != "ExternalName":
        yield _required(("spec", "ports"))
    if headless and kind in ("LoadBalancer", "NodePort"):
        path = ("spec", "clusterIPs", 0) if spec.get("clusterIPs") else ("spec", "clusterIP")
        yield _invalid(path, "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        yield from _external_name(spec)
    else:
        yield from _cluster_ip_fields(spec, addresses)
    yield from _service_ports(spec.get("ports", []), kind)
    yield from _labels(spec.get("selector", {}), ("spec", "selector"))
    yield from _affinity(spec)
    for number, address in enumerate(spec.get("externalIPs", ())):
        yield from _external_ip(("spec", "externalIPs", number), address)
    yield from _load_balancer(spec, annotations, kind)
    yield from _traffic(spec, kind)


def _cluster_ips(spec: Mapping[str, Any]) -> list[str]:
    """Both fields as one list: the server fills the plural from the singular (normalizeClusterIPs)."""
    one, several = spec.get("clusterIP", ""), list(spec.get("clusterIPs", ()))
    return several or ([one] if one else [])


def _external_name(spec: Mapping[str, Any]) -> Problems:
    for name in ("clusterIPs", "clusterIP"):
        if spec.get(name):
            yield _forbidden(("spec", name), "may not be set for ExternalName services")
            break
    if spec.get("ipFamilies"):
        yield _forbidden(("spec", "ipFamilies"), "may not be set for ExternalName services")
    if "ipFamilyPolicy" in spec:
        yield _forbidden(("spec", "ipFamilyPolicy"), "may not be set for ExternalName services")
    name = spec.get("externalName", "").removesuffix(".")
    if name:
        yield from _each(("spec", "externalName"), name, _dns_subdomain(name))
    else:
        yield _required(("spec", "externalName"))


def _cluster_ip_fields(spec: Mapping[str, Any], addresses: list[str]) -> Problems:
    """ValidateServiceClusterIPsRelatedFields, and what alloc.go says about SingleStack."""
    path: FieldPath = ("spec", "clusterIPs")
    one, families = spec.get("clusterIP", ""), spec.get("ipFamilies", [])
    if one and addresses[0] != one:
        yield _invalid(path, addresses, "first value must match `clusterIP`")
    if not one and addresses:
        yield _invalid(path, addresses, "must be empty when `clusterIP` is not specified")
    yield from _family_fields(spec, families)
    plural = bool(spec.get("clusterIPs"))
    wrong = [*_address_list(addresses, path if plural else ("spec", "clusterIP"), plural=plural)]
    yield from wrong
    if len(addresses) > 2:
        yield _invalid(path, addresses, "may only hold up to 2 values")
    if wrong:
        return
    yield from _families_of_addresses(addresses, families, path)
    if spec.get("ipFamilyPolicy") == "SingleStack":
        for what, several in (("cluster IPs", addresses), ("IP families", families)):
            if len(several) == 2:
                detail = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                yield _invalid(("spec", "ipFamilyPolicy"), "SingleStack", detail)


def _family_fields(spec: Mapping[str, Any], families: list[str]) -> Problems:
    for number, family in enumerate(families):
        yield from _one_of(("spec", "ipFamilies", number), family, ("IPv4", "IPv6"))
        if family in families[:number]:
            yield _duplicate(("spec", "ipFamilies", number), family)
    if "ipFamilyPolicy" in spec:
        supported = ("PreferDualStack", "RequireDualStack", "SingleStack")
        yield from _one_of(("spec", "ipFamilyPolicy"), spec["ipFamilyPolicy"], supported)


def _address_list(addresses: list[str], path: FieldPath, *, plural: bool) -> Problems:
    if addresses[:1] == ["None"] and len(addresses) > 1:
        yield _invalid(path, addresses, "'None' must be the first and only value")
    for number, address in enumerate(addresses):
        if number or address != "None":
            yield from _ip((*path, number) if plural else path, address)


def _families_of_addresses(addresses: list[str], families: list[str], path: FieldPath) -> Problems:
    if addresses == ["None"]:
        return
    versions = [f"IPv{address.version}" for text in addresses if (address := _address(text))]
    if len(versions) > 1 and len(set(versions)) == 1:
        yield _invalid(path, addresses, "may specify no more than one IP for each IP family")
    for number, (family, version) in enumerate(zip(families, versions, strict=False)):
        if family in ("IPv4", "IPv6") and family != version:
            detail = f"expected an {family} value as indicated by `ipFamilies[{number}]`"
            yield _invalid((*path, number), addresses[number], detail)


def _service_ports(ports: list[dict[str, Any]], kind: str) -> Problems:
    names: set[str] = set()
    node_ports: set[tuple[str, int]] = set()
    numbers: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        path: FieldPath = ("spec", "ports", index)
        name, number, node_port = port.get("name", ""), port.get("port", 0), port.get("nodePort", 0)
        protocol = port.get("protocol") or "TCP"
        if name:
            yield from _each((*path, "name"), name, _dns_label(name))
            if name in names:
                yield _duplicate((*path, "name"), name)
            names.add(name)
        elif len(ports) > 1:
            yield _required((*path, "name"))
        yield from _port_number((*path, "port"), number)
        yield from _one_of((*path, "protocol"), protocol, ("SCTP", "TCP", "UDP"))
        if port.get("targetPort"):  # 0 and "" are the port's number
            yield from _port((*path, "targetPort"), port["targetPort"])
        if "appProtocol" in port:
            yield from _each((*path, "appProtocol"), port["appProtocol"], _label_key(port["appProtocol"]))
        if node_port:
            yield from _node_port((*path, "nodePort"), node_port, kind)
            if (protocol, node_port) in node_ports:
                yield _duplicate((*path, "nodePort"), node_port)
            node_ports.add((protocol, node_port))
        if (protocol, number) in numbers:
            key = {
                "Name": "",
                "Protocol": protocol,
                "AppProtocol": None,
                "Port": number,
                "TargetPort": 0,
                "NodePort": 0,
            }
            yield _duplicate(path, key)
        numbers.add((protocol, number))


def _node_port(path: FieldPath, number: int, kind: str) -> Problems:
    if kind == "ClusterIP":
        yield _forbidden(path, "may not be used when `type` is 'ClusterIP'")
    elif kind != "ExternalName" and not 1 <= number <= 65535:  # which of the others are in range is the cluster's
        yield _invalid(path, number, "provided port is not in the valid range")


def _affinity(spec: Mapping[str, Any]) -> Problems:
    """The defaults have filled what is missing, and dropped the configuration of no affinity."""
    affinity = spec.get("sessionAffinity") or "None"
    yield from _one_of(("spec", "sessionAffinity"), affinity, ("ClientIP", "None"))
    if affinity == "ClientIP":
        seconds = spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds")
        if seconds is not None and not 0 < seconds <= 86400:
            path = ("spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds")
            yield _invalid(path, seconds, "must be greater than 0 and less than 86400")


def _load_balancer(spec: Mapping[str, Any], annotations: Mapping[str, str], kind: str) -> Problems:
    ranges = spec.get("loadBalancerSourceRanges", ())
    path: FieldPath = ("spec", "loadBalancerSourceRanges")
    texts: list[tuple[FieldPath, str]] = [((*path, number), text) for number, text in enumerate(ranges)]
    if not ranges and _SOURCE_RANGES in annotations:
        path = ("metadata", "annotations", _SOURCE_RANGES)
        listed = annotations[_SOURCE_RANGES].strip()
        texts = [(path, text) for text in listed.split(",")] if listed else []
    if (ranges or _SOURCE_RANGES in annotations) and kind != "LoadBalancer":
        yield _forbidden(path, _ONLY_LOAD_BALANCER)
    for at, text in texts:
        yield from _cidr(at, text.strip())
    if kind == "LoadBalancer":
        if "loadBalancerClass" in spec:
            name = spec["loadBalancerClass"]
            yield from _each(("spec", "loadBalancerClass"), name, _label_key(name))
    else:
        for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if field in spec:
                yield _forbidden(("spec", field), _ONLY_LOAD_BALANCER)


def _traffic(spec: Mapping[str, Any], kind: str) -> Problems:
    path: FieldPath = ("spec", "externalTrafficPolicy")
    external = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))
    policy = spec.get("externalTrafficPolicy", "")
    if policy and not external:
        yield _invalid(path, policy, "may only be set for externally-accessible services")
    elif policy:
        yield from _one_of(path, policy, ("Cluster", "Local"))
    health = spec.get("healthCheckNodePort", 0)
    if health:
        path = ("spec", "healthCheckNodePort")
        if kind == "LoadBalancer" and policy == "Local":
            yield from _port_number(path, health)
        else:
            detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            yield _invalid(path, health, detail)
    supported: dict[str, tuple[str, ...]] = {
        "internalTrafficPolicy": ("Cluster", "Local"),
        "trafficDistribution": ("PreferClose", "PreferSameZone", "PreferSameNode"),
    }
    for name, values in supported.items():
        if name in spec:
            yield from _one_of(("spec", name), spec[name], values)
