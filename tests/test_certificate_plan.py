"""When certificates are issued, succeeded and changed over to: fake time, and replicas that do it all at once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.inspect import issued
from certs.issue import LEAF_LIFETIME
from certs.plan import OVERLAP, Life, Step, plan
from certs.publish import Held, PublishedCA, SharedCertificate, Trust, ca_of_secret
from certs.store import CERTIFICATE

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)
YEAR: Final = Life(START, START + 360 * DAY)


def later(life: Life, delay: timedelta) -> Life:
    return Life(life.begins + delay, life.ends + delay)


@pytest.mark.parametrize(
    ("present", "successor", "after", "step"),
    [
        (None, None, 0 * DAY, Step.ISSUE),
        (YEAR, None, 0 * DAY, Step.KEEP),
        (YEAR, None, 240 * DAY, Step.KEEP),
        (YEAR, None, 240 * DAY + timedelta(seconds=1), Step.STAGE),
        (YEAR, later(YEAR, 241 * DAY), 241 * DAY, Step.KEEP),
        (YEAR, later(YEAR, 241 * DAY), 241 * DAY + OVERLAP - timedelta(seconds=1), Step.KEEP),
        (YEAR, later(YEAR, 241 * DAY), 241 * DAY + OVERLAP, Step.PROMOTE),
        # A clock that jumps: a month, beyond the end, and back.
        (YEAR, None, (230 + 30) * DAY, Step.STAGE),
        (YEAR, later(YEAR, 241 * DAY), (241 + 30) * DAY, Step.PROMOTE),
        (YEAR, later(YEAR, 241 * DAY), 360 * DAY, Step.PROMOTE),
        (YEAR, None, 360 * DAY, Step.ISSUE),
        (YEAR, None, -30 * DAY, Step.KEEP),
        (YEAR, later(YEAR, 241 * DAY), 211 * DAY, Step.KEEP),
        # A cluster that was switched off for years.
        (YEAR, later(YEAR, 241 * DAY), 5000 * DAY, Step.ISSUE),
        # The Secret was spoilt: what nobody has served yet does not help.
        (None, later(YEAR, 241 * DAY), 242 * DAY, Step.ISSUE),
    ],
)
def test_plan(present: Life | None, successor: Life | None, after: timedelta, step: Step) -> None:
    assert plan(present, successor, START + after) is step


class Cluster:
    """The Secret, the webhook configuration, and a clock; between any two requests others may have their turn."""

    def __init__(self, folder: Path, replicas: int) -> None:
        self.now = START
        self.data: Mapping[str, bytes] = {}
        self.bundle = b""
        self.versions = [1, 1]
        self.folders = [folder / str(number) for number in range(replicas)]
        self.announced: dict[bytes, datetime] = {}
        self.replicas = [self._replica(one) for one in self.folders]

    def _replica(self, folder: Path) -> SharedCertificate:
        published = PublishedCA(self, "hook", partial(ca_of_secret, self, "tls"), sleep=lambda _: asyncio.sleep(0))
        return SharedCertificate(self, "tls", folder, ["localhost"], announce=published.publish, clock=lambda: self.now)

    async def read_secret(self, name: str) -> Held:
        await asyncio.sleep(0)
        return Held(self.data, str(self.versions[0]))

    async def write_secret(self, name: str, data: Mapping[str, bytes], version: str) -> bool:
        await asyncio.sleep(0)
        if version != str(self.versions[0]):
            return False
        self.data = data
        self.versions[0] += 1
        return True

    async def read_trust(self, name: str) -> Trust:
        await asyncio.sleep(0)
        return Trust([self.bundle], str(self.versions[1]))

    async def publish_ca(self, name: str, ca: bytes, version: str) -> bool:
        await asyncio.sleep(0)
        if version != str(self.versions[1]):
            return False
        self.bundle = ca
        self.versions[1] += 1
        trusted = [self._number(one) for one in x509.load_pem_x509_certificates(ca)]
        self.announced = {one: self.announced.get(one, self.now) for one in trusted}
        return True

    @staticmethod
    def _number(certificate: x509.Certificate) -> bytes:
        return certificate.serial_number.to_bytes(20, "big")

    def trusted_since(self, folder: Path) -> datetime | None:
        """Since when API servers trust what a replica serves."""
        served = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        authorities = x509.load_pem_x509_certificates(self.bundle)
        return next((self.announced[self._number(one)] for one in authorities if issued(one, served)), None)

    async def tend(self, which: set[int]) -> None:
        await asyncio.gather(*(self.replicas[number].tend() for number in which))


TURNS: Final = st.lists(
    st.tuples(
        st.sets(st.integers(0, 2), min_size=1),
        st.sampled_from([timedelta(minutes=1), OVERLAP, DAY, 30 * DAY, 90 * DAY]),
        st.sampled_from([None, None, None, b"", b"somebody else's"]),
    ),
    min_size=5,
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(turns=TURNS)
def test_what_a_replica_serves_is_always_trusted_and_was_before_it_was_served(
    turns: list[tuple[set[int], timedelta, bytes | None]],
) -> None:
    """Whichever replicas have their turn, however the clock jumps, whoever changes the webhook configuration."""

    async def play(folder: Path) -> None:
        cluster = Cluster(folder, 3)
        await cluster.tend({0, 1, 2})
        assert len({(one / CERTIFICATE).read_bytes() for one in cluster.folders}) == 1, (
            "one is first, the others follow"
        )
        for which, jump, spoilt in turns:
            before = {number: (cluster.folders[number] / CERTIFICATE).read_bytes() for number in which}
            cluster.now += jump
            if spoilt is not None:
                cluster.bundle, cluster.versions[1] = spoilt, cluster.versions[1] + 1
            await cluster.tend(which)
            for number, former in before.items():
                since = cluster.trusted_since(cluster.folders[number])
                assert since is not None, "what it serves is trusted, and what was changed is repaired"
                new = (cluster.folders[number] / CERTIFICATE).read_bytes()
                ended = x509.load_pem_x509_certificate(former).not_valid_after_utc <= cluster.now
                if new != former and not ended and spoilt is None:
                    assert cluster.now - since >= OVERLAP, "its CA has been published for long"
            present = x509.load_pem_x509_certificate(cluster.data[CERTIFICATE])
            assert present.not_valid_after_utc > cluster.now

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


async def test_a_year_of_minutes_has_one_change_of_certificates(tmp_path: Path) -> None:
    """Hours, to be quick: asked all the time, nothing is issued that need not be."""
    cluster = Cluster(tmp_path, 1)
    seen: list[bytes] = []
    while cluster.now < START + LEAF_LIFETIME:
        await cluster.tend({0})
        if not seen or seen[-1] != cluster.data[CERTIFICATE]:
            seen.append(cluster.data[CERTIFICATE])
        cluster.now += 12 * timedelta(hours=1)
    assert len(seen) == 2
