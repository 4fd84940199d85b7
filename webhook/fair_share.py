"""Keeps one namespace from taking the time of all.

The API server takes policies of 100,000 peers, and one thread judges them. Whoever has taken long at a stretch leaves
as long to others before the next object of the same namespace is looked at: what comes from another namespace meanwhile
finds at most one long judgement before it, however many wait.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

NOTICEABLE_SECONDS: Final = 0.02
"""What takes less of a processor costs nothing: hundreds of times what most reviews take."""
MOST_BYTES: Final = 64 << 20
"""Of bodies that wait for their turn: the pod's memory has an end."""
LONGEST_REST: Final = 0.5
"""Seconds; failing closed, the same object is asked about twice at the same time, and within 3 s."""
_MOST_KNOWN: Final = 256


class FairShare:
    """Says whose turn it is; judging itself is synchronous, so that between two turns all else is done.

    Args:
        clock: seconds, only ever compared with each other.
        sleep: waits.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._free_at: dict[str, float] = {}
        self._waiting = 0

    async def wait(self, namespace: str, size: int, until: float) -> bool:
        """Waits for a turn; whoever gets it does what is to be done without waiting, and charges it.

        Args:
            namespace: of the object.
            size: bytes that are kept meanwhile.
            until: by the clock.

        Returns:
            Whether there is one before that, and room to wait for it.
        """
        while (free_at := self._free_at.get(namespace, 0.0)) > (now := self._clock()):
            if free_at >= until or self._waiting + size > MOST_BYTES:
                return False
            self._waiting += size
            try:  # of those who wait for the same turn, the first to wake makes the others wait again
                await self._sleep(free_at - now)
            finally:
                self._waiting -= size
        return True

    def charge(self, namespace: str, seconds: float, effort: float) -> None:
        """Takes note of what something of a namespace has cost until now.

        Args:
            namespace: of the object.
            seconds: how long all others had to wait for it.
            effort: seconds of a processor; on a machine that is short of them, what is small may take long, too.
        """
        if effort < NOTICEABLE_SECONDS:
            return
        now = self._clock()
        if len(self._free_at) >= _MOST_KNOWN:
            self._free_at = {name: at for name, at in self._free_at.items() if at > now}
        self._free_at[namespace] = max(self._free_at.get(namespace, now), now) + min(seconds, LONGEST_REST)
