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
"""What takes less costs nothing: hundreds of times what most reviews take."""
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

    async def wait(self, namespace: str, until: float) -> bool:
        """Waits for a turn; whoever gets it does what is to be done without waiting, and charges it.

        Args:
            namespace: of the object.
            until: by the clock.

        Returns:
            Whether there is one before that.
        """
        while (free_at := self._free_at.get(namespace, 0.0)) > (now := self._clock()):
            if free_at >= until:
                return False
            await self._sleep(free_at - now)  # of those who wait for it, the first to wake makes the others wait again
        return True

    def charge(self, namespace: str, seconds: float) -> None:
        """Takes note of how long something of a namespace has taken until now."""
        if seconds < NOTICEABLE_SECONDS:
            return
        now = self._clock()
        if len(self._free_at) >= _MOST_KNOWN:
            self._free_at = {name: at for name, at in self._free_at.items() if at > now}
        self._free_at[namespace] = max(self._free_at.get(namespace, now), now) + min(seconds, LONGEST_REST)
