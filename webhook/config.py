"""The configuration file: which checks speak, how loudly, and where."""

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
import yaml
from msgspec import Struct

from webhook.check import Disclosure, Level
from webhook.checks import check_ids
from webhook.enforcement import Pin
from webhook.model.manifest import Manifest, format_path
from webhook.model.review import WATCHABLE
from webhook.model.selectors import nearest
from webhook.state.manifests import read_manifests
from webhook.verdict import Action

API_VERSION: Final = "netadmit.io/v1"
STRICT: Final = frozenset(
    {
        "cni-does-not-enforce",
        "external-name-not-found",
        "named-port-unresolved",
        "peers-or-not-and",
        "selector-matches-nothing",
        "service-selects-nothing",
        "target-port-unresolved",
    }
)
"""What ``profile: strict`` denies: warnings that rest on proof (CONTRACT.md, action)."""

Profile: TypeAlias = Literal["default", "strict"]
WATCHED: Final[Mapping[str, str]] = {kind.rpartition("/")[2]: kind for kind in WATCHABLE}
"""The kinds that ``watchKinds`` may name, by the words they are written with."""
ALL_WORKLOADS: Final = "workloads"
_SHORT: Final = {"Namespace": "ns", "Deployment": "deploy", "StatefulSet": "sts", "DaemonSet": "ds"}
"""As kubectl has them (`kubectl api-resources`)."""


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names file and field."""


class Mode(StrEnum):
    """``warn`` turns every denial into a warning, ``off`` silences."""

    ENFORCE = "enforce"
    WARN = "warn"
    OFF = "off"


class Effects(StrEnum):
    """When the answer says what a policy does to traffic: to people who try it with a dry run, always, or never."""

    DRY_RUN = "dry-run"
    ALWAYS = "always"
    OFF = "off"


class Events(StrEnum):
    """Whether Events are written on what is denied and on what findings stand against."""

    ON = "on"
    OFF = "off"


class Reports(StrEnum):
    """Whether a report is kept of each namespace: where the API server has an API for them, or never."""

    AUTO = "auto"
    OFF = "off"


class Waivers(StrEnum):
    """Who may waive a check's warnings: whoever writes the object, only who may annotate its Namespace, or nobody.

    A denial is waived by the Namespace only, and by nobody where it says none.
    """

    OBJECT = "object"
    NAMESPACE = "namespace"
    NONE = "none"


class CheckSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What is set for one check."""

    level: Literal["note", "warning", "error"] | None = None
    action: Action | None = None
    waivers: Waivers | None = None


class NamespaceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is set for some namespaces; what is left out is as for the whole cluster.

    Args:
        match: names, or patterns with ``*`` and ``?``.
    """

    match: tuple[str, ...]
    mode: Mode | None = None
    profile: Profile | None = None
    enforce: tuple[str, ...] | None = None
    checks: Mapping[str, CheckSettings] = {}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The configuration; the defaults are what runs without a file.

    Args:
        mode: for the whole cluster; a Namespace's label ``netadmit.io/mode`` overrides it there.
        profile: ``strict`` denies what rests on proof.
        enforce: ids of checks whose findings deny.
        checks: per check its level, action, and who may waive it.
        namespaces: for single namespaces; the first that matches holds, and its mode stands above the label.
        disclose: what messages may say about other namespaces; what others than the requester read (Events, reports)
            says with ``requester`` no more than with ``namespace``.
        effects: when answers say what a policy does to traffic.
        settle: seconds after which what is there is judged again with all that belongs to it.
        enforcement: whether the cluster enforces NetworkPolicies, where its operator knows better than what is found.
        rbac_hint: also look at who may read NetworkPolicies, to know of agents that are not known by name.
        events: whether Events tell of denials and of findings.
        reports: whether a report is kept of each namespace.
        watch_kinds: the words of kinds whose changes are told to break a policy or a Service (`WATCHED`).
    """

    mode: Mode = Mode.ENFORCE
    profile: Profile = "default"
    enforce: tuple[str, ...] = ()
    checks: Mapping[str, CheckSettings] = {}
    namespaces: tuple[NamespaceSettings, ...] = ()
    disclose: Disclosure = Disclosure.NAMESPACE
    effects: Effects = Effects.DRY_RUN
    settle: Annotated[int, msgspec.Meta(ge=0)] = 300
    enforcement: Pin = Pin.AUTO
    rbac_hint: bool = False
    events: Events = Events.ON
    reports: Reports = Reports.AUTO
    watch_kinds: tuple[str, ...] = ()

    @property
    def watched(self) -> frozenset[str]:
        """The kinds that are watched, as ``apiVersion/kind``."""
        return frozenset(WATCHED[word] for word in self.watch_kinds)

    def settings_of(self, namespace: str) -> NamespaceSettings | None:
        """What is set for this namespace alone."""
        return next((s for s in self.namespaces if any(fnmatchcase(namespace, p) for p in s.match)), None)

    def of(self, namespace: str) -> "Config":
        """The configuration as it holds in one namespace."""
        own = self.settings_of(namespace)
        if own is None:
            return self
        return msgspec.structs.replace(
            self,
            mode=own.mode or self.mode,
            profile=own.profile or self.profile,
            enforce=self.enforce if own.enforce is None else own.enforce,
            checks={**self.checks, **{check: _over(s, self.checks.get(check)) for check, s in own.checks.items()}},
        )

    def level(self, check: str, level: Level) -> Level:
        """The level of a finding of this check; a note stays a note, whatever the check's level is set to."""
        settings = self.checks.get(check)
        if settings is None or settings.level is None or level is Level.NOTE:
            return level
        return Level[settings.level.upper()]

    def action(self, check: str, level: Level, *, proven: bool = True) -> Action:
        """What a finding of this level leads to, before mode and waivers; ``proven``: it rests on evidence."""
        settings = self.checks.get(check)
        if settings is not None and settings.action is not None:
            return settings.action
        if level is Level.NOTE:
            return Action.IGNORE
        raised = check in self.enforce or (self.profile == "strict" and proven and check in STRICT)
        return Action.DENY if raised or level is Level.ERROR else Action.WARN

    def waivers(self, check: str) -> Waivers:
        """Who may waive this check's warnings."""
        settings = self.checks.get(check)
        return Waivers.OBJECT if settings is None or settings.waivers is None else settings.waivers


def _over(settings: CheckSettings, below: CheckSettings | None) -> CheckSettings:
    if below is None:
        return settings
    return CheckSettings(
        settings.level or below.level, settings.action or below.action, settings.waivers or below.waivers
    )


def load_config(path: str) -> Config:
    """Reads a configuration file.

    Raises:
        ConfigError: it cannot be read, is no such configuration, or names a check that does not exist.
    """
    try:
        data = yaml.safe_load(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # PyYAML's constructors raise ValueError bare
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    for item in read_manifests([path]):
        for repeated in item.duplicate_keys if isinstance(item, Manifest) else ():
            raise ConfigError(f"{path}:{repeated.last.line}: {format_path(repeated.path)}: stands here twice")
    try:
        return parse_config(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_config(data: Any) -> Config:
    """Makes a configuration of parsed YAML.

    Raises:
        ConfigError: with the field's path.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"expected a mapping with apiVersion: {API_VERSION} and kind: Config")
    for key, expected in (("apiVersion", API_VERSION), ("kind", "Config")):
        if data.get(key) != expected:
            raise ConfigError(f"{key}: {data.get(key)!r}, expected {expected!r}")
    settings = {k: v for k, v in data.items() if k not in ("apiVersion", "kind")}
    for holder in (settings, *_mappings(settings.get("namespaces"))):
        _spell_switches(holder)
    if isinstance(settings.get("watchKinds"), list):
        settings["watchKinds"] = _spell_kinds(settings["watchKinds"])
    try:
        config = msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise ConfigError(f"{path.rstrip('`').lstrip('.') or 'the file'}: {message}") from None
    named = [(f"enforce[{i}]", check) for i, check in enumerate(config.enforce)]
    named += [(f"checks.{check}", check) for check in config.checks]
    for i, own in enumerate(config.namespaces):
        named += [(f"namespaces[{i}].enforce[{j}]", check) for j, check in enumerate(own.enforce or ())]
        named += [(f"namespaces[{i}].checks.{check}", check) for check in own.checks]
    for path, check in named:
        if check not in check_ids():
            near = nearest(check, check_ids())
            raise ConfigError(f"{path}: there is no check {check!r}" + (f", did you mean {near!r}?" if near else ""))
    return config


def _spell_switches(settings: dict[str, Any]) -> None:
    """Turns YAML 1.1's ``on`` and ``off`` back into the words."""
    for switch in ("mode", "effects", "events", "reports"):
        if isinstance(settings.get(switch), bool):
            settings[switch] = "on" if settings[switch] else "off"


def _spell_kinds(written: list[Any]) -> list[Any]:
    """The words of `WATCHED` for kinds as users of kubectl name them: ``deploy``, ``deployments.apps`` …

    Raises:
        ConfigError: a text that names none of them.
    """
    spellings = {ALL_WORKLOADS: tuple(word for word in WATCHED if word != "Namespace")}
    for word, kind in WATCHED.items():
        group, _, version = kind.rpartition("/")[0].rpartition("/")
        plural = f"{word.lower()}s"
        names = [word.lower(), plural, _SHORT[word], f"{version}/{word.lower()}", kind.lower()]
        names += [f"{plural}.{group}", f"{plural}.{version}.{group}", f"{group}/{word.lower()}"] if group else []
        spellings |= dict.fromkeys(names, (word,))
    found: dict[Any, None] = {}
    for i, name in enumerate(written):
        if not isinstance(name, str):
            return written  # of the wrong type: what checks all types says so
        words = spellings.get(name.lower())
        if words is None:
            known = (*WATCHED, ALL_WORKLOADS)
            near = nearest(name, (*known, *spellings))
            meant = f", did you mean {near if near in known else spellings[near][0]!r}?" if near else ""
            raise ConfigError(f"watchKinds[{i}]: {name!r} cannot be watched{meant}; these can: {', '.join(known)}")
        found |= dict.fromkeys(words)
    return list(found)


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def json_schema() -> dict[str, Any]:
    """The JSON schema of the configuration file (docs/config.schema.json)."""
    (reference,), components = msgspec.json.schema_components([Config], ref_template="#/$defs/{name}")
    root = components.pop(reference["$ref"].rpartition("/")[2])
    ids = sorted(check_ids())
    for holder in (root, components[NamespaceSettings.__name__]):
        properties = holder["properties"]
        properties["checks"]["propertyNames"] = {"enum": ids}
        for item in (properties["enforce"], *properties["enforce"].get("anyOf", ())):
            if "items" in item:
                item["items"] = {"enum": ids}
    root["properties"]["watchKinds"]["items"] = {"enum": [*WATCHED, ALL_WORKLOADS]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": "netadmit's configuration",
        "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"const": "Config"}, **root["properties"]},
        "required": ["apiVersion", "kind"],
        "$defs": components,
    }
