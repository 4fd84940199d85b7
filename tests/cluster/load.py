"""Admissions without a pause, each compared with what the answer has to be."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from typing import NamedTuple

from .control_plane import ControlPlane
from .installed_webhook import eventually

KNOWN = {"[selector-matches-nothing]", "[opens-on-removal]", "[effect]"}
"""What a policy may be answered with; the effect of a dry run is news as long as no other policy has had it."""
_DENIAL = "[rules-without-policy-type]"
_UNREACHED = "failed calling webhook"


def policies(namespace: str) -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"


def policy(name: str, namespace: str, app: str) -> dict[str, object]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"]},
    }


def dead_rules(name: str, namespace: str) -> dict[str, object]:
    """A policy that is denied: its egress rules do nothing."""
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 443}]}]}
    return {**policy(name, namespace, "web"), "spec": spec}


class Expected(NamedTuple):
    """What answers have to be, as far as it can be known: None says that either will do.

    Attributes:
        denied: what is dead is denied; otherwise it is warned of.
        warned: what is wrong is warned of; otherwise not a word is said of that.
    """

    denied: bool | None = True
    warned: bool | None = True

    def and_then(self, other: Expected) -> Expected:
        """Of an answer to what was asked while the one held, and given while the other did."""
        return Expected(*(mine if mine == its else None for mine, its in zip(self, other, strict=True)))


class Appliers:
    """Threads that apply policies without a pause: right ones, wrong ones that warn, and some that are denied.

    Args:
        plane: asked, over one connection a thread.
        namespace: has a pod with app=web, and none with app=wep.
        threads: how many.
        prefix: of the names.
        expected: what answers have to be; the test changes it as it changes what netadmit can know.
        away: whether the API server itself may be away; what it did not answer, or answered about itself, is counted
            apart.
    """

    def __init__(
        self,
        plane: ControlPlane,
        namespace: str,
        *,
        threads: int = 4,
        prefix: str = "p",
        expected: Expected = Expected(),  # noqa: B008 - it cannot be changed
        away: bool = False,
    ) -> None:
        self._plane = plane
        self._namespace = namespace
        self._prefix = prefix
        self.expected = expected
        self._away = away
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self.done = 0
        self.unanswered = 0
        self.failures: list[str] = []
        """The webhook was not reached."""
        self.misjudged: list[str] = []
        """It was, and said something else than it should."""
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def problems(self) -> list[str]:
        return self.failures + self.misjudged

    def _work(self, number: int) -> None:
        turn, connection = 0, self._connect()
        while not self._ending.is_set():
            turn += 1
            try:
                self._apply(connection, number, turn)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    if self._away:
                        self.unanswered += 1
                    else:
                        self.done += 1
                        self.failures.append(repr(error))
                self._ending.wait(0.05)
                connection = self._connect()
        connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self._plane.port, timeout=30, context=self._plane.ssl_context)

    def _apply(self, connection: http.client.HTTPSConnection, number: int, turn: int) -> None:
        """One apply: created or changed, for real or not."""
        wrong, dead = turn % 2 == 0, turn % 5 == 0
        dry = dead or turn % 3 == 0
        name = f"{self._prefix}-{number}-{turn % 7}"
        if dead:  # never stored: what an object had already is not denied
            made = dead_rules(f"{self._prefix}-dead-{number}", self._namespace)
        else:
            made = policy(name, self._namespace, "wep" if wrong else "web")
        shown: Mapping[str, str] = made["metadata"]  # type: ignore[assignment]
        url = f"{policies(self._namespace)}/{shown['name']}?fieldManager=test&force=true{'&dryRun=All' if dry else ''}"
        headers = {"Content-Type": "application/apply-patch+yaml", "Authorization": f"Bearer {self._token}"}
        before = self.expected
        connection.request("PATCH", url, json.dumps(made), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        warnings = [line.rstrip('"') for line in answer.headers.get_all("Warning") or []]
        said = {line.rpartition(" ")[2] for line in warnings}
        with self._lock:
            if _UNREACHED in text or "failed to call webhook" in text:
                self.failures.append(f"{answer.status}: {text}")
            elif self._away and answer.status in (401, 403, 429, 500, 503, 504) and _DENIAL not in text:
                self.unanswered += 1  # it is stopping, or starting
                return
            elif problem := _misjudged(
                before.and_then(self.expected), answer.status, text, said, wrong=wrong, dead=dead
            ):
                self.misjudged.append(problem)
            self.done += 1

    @property
    def _token(self) -> str:
        return str(self._plane.user("admin").token)

    def go_on(self, number: int = 20, seconds: float = 120) -> None:
        """Waits for some more of them."""
        goal = self.done + number
        eventually(lambda: self.done >= goal, f"{number} more applies", seconds)

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


def _misjudged(expected: Expected, status: int, text: str, said: set[str], *, wrong: bool, dead: bool) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if dead:
        denied = status == 403 and _DENIAL in text
        told = denied or (status in (200, 201) and _DENIAL in said)
        if told and expected.denied in (None, denied):
            return ""
        return f"dead, and {'' if expected.denied else 'not '}to be denied: {status}: {sorted(said)} {text[:300]}"
    if status not in (200, 201):
        return f"{status}: {text[:300]}"
    # Whether a change also opens a pod depends on the other threads' policies.
    warned = "[selector-matches-nothing]" in said
    if said <= KNOWN and (warned == (wrong and expected.warned) or (wrong and expected.warned is None)):
        return ""
    return f"{'wrong' if wrong else 'right'}, {expected}: {sorted(said)}"
