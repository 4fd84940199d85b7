"""netadmit as `netadmit` starts it, with three things that a test needs and nobody else.

Its Secret is looked at every second instead of every minute; the clock that certificates are renewed by is ahead of the
machine's by as many seconds as a file says; and one check crashes on objects whose name begins with ``crash-``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

import certs.publish
import webhook.cli.serve
import webhook.pipeline
from webhook.check import Check, Context, Finding
from webhook.checks import all_checks
from webhook.cli import main

CLOCK = "NETADMIT_TEST_CLOCK"
CRASHING = "peers-or-not-and"


def _now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(Path(os.environ[CLOCK]).read_text()))


def _crashing(check: Check) -> Check:
    def run(ctx: Context) -> Iterator[Finding]:
        if ctx.judged is not None and ctx.judged.metadata.name.startswith("crash-"):
            raise RuntimeError("made to crash")
        yield from check.run(ctx)

    return msgspec.structs.replace(check, run=run)


def _checks() -> tuple[Check, ...]:
    return tuple(_crashing(check) if check.id == CRASHING else check for check in all_checks())


if __name__ == "__main__":
    certs.publish.AGAIN_SECONDS = 1.0  # type: ignore[misc]
    webhook.cli.serve.SharedCertificate = partial(certs.publish.SharedCertificate, clock=_now)  # type: ignore[assignment,misc]
    webhook.pipeline.all_checks = _checks
    sys.exit(main(sys.argv[1:]))
