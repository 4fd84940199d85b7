"""The configuration file: which checks speak, how loudly, and where."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec
import yaml
from msgspec import Struct

from webhook.check import Disclosure, Level
from webhook.checks import check_ids
from webhook.model.selectors import nearest
from webhook.verdict import Action

API_VERSION: Final = "netadmit.io/v1"
STRICT: Final = frozenset(
    {"cni-does-not-enforce", "selector-matches-nothing", "service-selects-nothing", "peers-or-not-and"}
)
"""What ``profile: strict`` denies: warnings that rest on proof (CONTRACT.md, action)."""

Profile: TypeAlias = Literal["default", "strict"]


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names file and field."""


class Mode(StrEnum):
    """``warn`` turns every denial into a warning, ``off`` silences."""

    ENFORCE = "enforce"
    WARN = "warn"
    OFF = "off"


class CheckSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What is set for one check; a level given as text (``note``, ``warning``, ``error``)."""

    level: Literal["note", "warning", "error"] | None = None
    action: Action | None = None


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The configuration; the defaults are what runs without a file.

    Args:
        mode: for the whole cluster; a Namespace's label ``netadmit.io/mode`` overrides it there.
        profile: ``strict`` denies what rests on proof.
        enforce: ids of checks whose findings deny.
        checks: per check its level and action.
        disclose: what messages may say about other namespaces.
    """

    mode: Mode = Mode.ENFORCE
    profile: Profile = "default"
    enforce: tuple[str, ...] = ()
    checks: Mapping[str, CheckSettings] = {}
    disclose: Disclosure = Disclosure.NAMESPACE

    def level(self, check: str, level: Level) -> Level:
        """The level of a finding of this check; a note stays a note, whatever the check's level is set to."""
        settings = self.checks.get(check)
        if settings is None or settings.level is None or level is Level.NOTE:
            return level
        return Level[settings.level.upper()]

    def action(self, check: str, level: Level) -> Action:
        """What a finding of this level leads to, before mode and waivers."""
        settings = self.checks.get(check)
        if settings is not None and settings.action is not None:
            return settings.action
        if level is Level.NOTE:
            return Action.IGNORE
        raised = check in self.enforce or (self.profile == "strict" and check in STRICT)
        return Action.DENY if raised or level is Level.ERROR else Action.WARN


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
    if settings.get("mode") is False:
        settings["mode"] = Mode.OFF.value  # YAML 1.1 reads a bare off as false
    try:
        config = msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise ConfigError(f"{path.rstrip('`').lstrip('.') or 'the file'}: {message}") from None
    named = [(f"enforce[{i}]", check) for i, check in enumerate(config.enforce)]
    named += [(f"checks.{check}", check) for check in config.checks]
    for path, check in named:
        if check not in check_ids():
            near = nearest(check, check_ids())
            raise ConfigError(f"{path}: there is no check {check!r}" + (f", did you mean {near!r}?" if near else ""))
    return config
