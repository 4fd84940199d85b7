"""Flows: what answers say of who may talk to whom (CONTRACT.md, names and shapes)."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct


class Row(NamedTuple):
    """Flows from one endpoint, or from one range of addresses outside: a million of them are a thousand rows.

    Args:
        src: from where.
        to: to what, each with the ports.
    """

    src: str
    to: Sequence[tuple[str, tuple[str, ...]]]


class Flow(Struct, frozen=True, gc=False):
    """From one endpoint to another, on some ports.

    Args:
        src, dst: a workload, ``namespace/Kind/name``, or addresses: ``ip:10.0.0.0/8``, ``ip:10.0.0.1-10.0.0.9``.
        ports: ``all``, ``TCP``, ``TCP 80``, ``TCP 8000-8100``; never empty.
    """

    src: str
    dst: str
    ports: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.src} -> {self.dst} {', '.join(self.ports)}"
