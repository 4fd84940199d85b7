"""What is to be done about a certificate, and when. Pure: times go in, a step comes out.

Times are compared with the wall clock whenever somebody asks, and nothing is timed ahead: a machine that was suspended
for a month finds out when it wakes up (facts/production.md 2, cert-manager's poll).
"""

from datetime import datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple

OVERLAP: Final = timedelta(minutes=10)
"""How long a CA is published before anything that it has signed is served: every API server has heard of it by then."""


class Life(NamedTuple):
    """From when to when a certificate is good; aware times."""

    begins: datetime
    ends: datetime


class Step(Enum):
    """What is due."""

    KEEP = "keep"
    """Nothing, now."""
    ISSUE = "issue"
    """There is none that anybody would trust: another one is issued and served at once."""
    STAGE = "stage"
    """It grows old: its successor is issued, of a CA that is published beside the present one; nobody serves it yet."""
    PROMOTE = "promote"
    """The successor's CA has been published for long enough: it is served."""


def plan(present: Life | None, successor: Life | None, now: datetime) -> Step:
    """Says what is due.

    Args:
        present: the certificate in use; None when there is none that can be used.
        successor: the one that is staged, beginning when it was; None when there is none that can be used.
        now: an aware time.
    """
    if successor is not None and now >= successor.ends:
        successor = None
    if present is None:
        return Step.ISSUE
    if now >= present.ends:
        return Step.ISSUE if successor is None else Step.PROMOTE
    if successor is not None:
        return Step.PROMOTE if now - successor.begins >= OVERLAP else Step.KEEP
    # Two thirds, as cert-manager and kubelet have it: what is left is time to notice that renewing does not work.
    return Step.STAGE if present.ends - now < (present.ends - present.begins) / 3 else Step.KEEP
