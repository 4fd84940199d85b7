"""Flows: what answers say of who may talk to whom (CONTRACT.md, names and shapes)."""

from msgspec import Struct


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
