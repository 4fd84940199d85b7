"""Every check netadmit ships, one file each; found by walking this folder."""

import pkgutil
from functools import cache
from importlib import import_module

from webhook.check import Check


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check, by id.

    Raises:
        ValueError: a file whose name is not its check's id.
    """
    found = []
    for module in pkgutil.iter_modules(__path__):
        check: Check = import_module(f"{__name__}.{module.name}").CHECK
        if check.id != module.name.replace("_", "-"):
            raise ValueError(f"webhook/checks/{module.name}.py holds the check {check.id!r}")
        found.append(check)
    return tuple(sorted(found, key=lambda c: c.id))


@cache
def check_ids() -> frozenset[str]:
    """The ids of `all_checks`."""
    return frozenset(check.id for check in all_checks())
