"""A line on the terminal while reading takes long; silent where standard error is no terminal."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

_T = TypeVar("_T")
_PATIENCE: Final = 0.5
"""Seconds before anything is shown: most reading is over by then."""
_PERIOD: Final = 0.1
_WIDTH: Final = 24


class Progress:
    """Shows how far something is; gone without a trace when it is done.

    Args:
        what: what is being done, as ``reading the cluster``.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = False
        self._next = time.monotonic() + _PATIENCE if sys.stderr.isatty() else float("inf")

    def show(self, text: str, fraction: float | None = None) -> None:
        """Says how far it is; ``fraction``, where it is known, from 0 to 1."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PERIOD
        self._shown = True
        bar = ""
        if fraction is not None:
            full = round(_WIDTH * min(max(fraction, 0.0), 1.0))
            bar = f"[{'█' * full}{'·' * (_WIDTH - full)}] "
        sys.stderr.write(f"\r\x1b[K{self._what} {bar}{text}")
        sys.stderr.flush()

    def done(self) -> None:
        """Takes the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def counted(items: Iterable[_T], what: str) -> Iterator[_T]:
    """The items, while their number is shown."""
    progress = Progress(what)
    try:
        for number, item in enumerate(items, 1):
            progress.show(f"{number:,} objects")
            yield item
    finally:
        progress.done()
