"""200 applies while certificates are replaced and connections are cut: not one of them fails, or is judged wrongly.

netadmit reaches the API server through a relay, whose connections are cut; the webhook fails closed, so that every
admission that is lost is seen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from certs.issue import issue_ca, issue_leaf
from certs.store import CERTIFICATE, KEY, place, write
from webhook.model.objects import KINDS, NAMESPACE, NETWORK_POLICY, POD
from webhook.state.watch import RESOURCES

from .control_plane import ControlPlane
from .installed_webhook import InstalledWebhook, eventually, served
from .load import Appliers, policies, policy
from .objects import seen
from .relay import Relay

APPLIES = 200
CONNECTIONS = sum(not resource.optional for resource in RESOURCES)
"""What is followed in every cluster; each has a connection of its own."""
CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: NAMESPACE, labels: {app: web}}
spec: {containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
"""


class Enduring(InstalledWebhook):
    """netadmit with a certificate of a CA that the test keeps, and a relay before its API server."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        super().__init__(plane, folder)
        self.relay = Relay("127.0.0.1", 0, plane.port)
        self.certificates = folder / "tls"
        self._ca = issue_ca(datetime.now(UTC))
        self.issued = [self.renew()]

    def _let_read(self) -> None:
        super()._let_read()
        config = json.loads(self.kubeconfig.read_text())
        config["clusters"][0]["cluster"] |= {
            "server": f"https://127.0.0.1:{self.relay.port}",
            "tls-server-name": "localhost",
        }
        self.kubeconfig.write_text(json.dumps(config))

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.relay.close()

    def renew(self) -> int:
        """Puts another certificate into its folder; returns its number."""
        leaf = issue_leaf(self._ca, self._names(), datetime.now(UTC))
        write(self.certificates, leaf, self._ca.certificate)
        return leaf.x509.serial_number

    def mismatch(self) -> None:
        """Puts a certificate and the key of another one there."""
        one, other = (issue_leaf(self._ca, self._names(), datetime.now(UTC)) for _ in range(2))
        place(self.certificates, {KEY: other.key, CERTIFICATE: one.certificate})

    def _names(self) -> list[str]:
        return [f"netadmit.{self.namespace}.svc", self.address]

    def served(self) -> int:
        """The number of the certificate that a new connection is shown, whom the CA has to have signed."""
        return served(self.address, self._ca.certificate)

    def connected(self) -> bool:
        """Whether it follows everything."""
        return self.relay.open >= CONNECTIONS and all(
            self.metric("netadmit_state_synced", kind=kind) and self.metric("netadmit_state_complete", kind=kind)
            for kind in KINDS
        )

    def has_refused(self) -> bool:
        """Whether it has found certificate files that cannot be used."""
        return self.metric("netadmit_certificate_reload_failures_total") > 0

    def restarts(self) -> float:
        return sum(self.metric("netadmit_watch_restarts_total", kind=kind) for kind in KINDS)


@pytest.fixture
def enduring(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Enduring]:
    if sys.platform != "linux":
        pytest.skip("only Linux lets processes listen in all of 127.0.0.0/8")
    with Enduring(control_plane, tmp_path) as installed:
        installed.switch_on()
        yield installed
        installed.switch_off()


def test_no_admission_fails_while_certificates_change_and_watches_are_cut(enduring: Enduring, namespace: str) -> None:
    plane, relay = enduring.plane, enduring.relay
    eventually(enduring.connected, "it follows everything", 30)
    assert enduring.served() == enduring.issued[0]
    with seen(enduring, CLUSTER.replace("NAMESPACE", namespace)):
        applying = Appliers(plane, namespace)
        try:
            for number in range(3):
                before = enduring.restarts()
                assert relay.cut() >= CONNECTIONS
                if number < 2:
                    enduring.issued.append(enduring.renew())
                    eventually(lambda: enduring.served() == enduring.issued[-1], "the new certificate is served", 30)
                    enduring.reconnect()
                else:
                    enduring.mismatch()
                    eventually(enduring.has_refused, "the pair that does not match is found out", 30)
                    enduring.reconnect()
                    assert enduring.served() == enduring.issued[-1]
                applying.go_on()
                eventually(lambda before=before: enduring.restarts() > before, "the cut was noticed", 30)
                eventually(enduring.connected, "it follows everything again", 60)
            applying.go_on(max(20, APPLIES - applying.done))
        finally:
            applying.end()
        assert applying.problems == []
        assert applying.done >= APPLIES
        assert len(set(enduring.issued)) == 3
        assert relay.open >= CONNECTIONS

        # What happened meanwhile, and what happens now, is known.
        enduring.catch_up([NETWORK_POLICY, POD])
        late = plane.create_namespace()
        try:
            plane.run_pod(late, "api-1", "10.250.0.1", labels={"app": "api"})
            enduring.catch_up([NAMESPACE, POD])
            said = [
                plane.request("POST", f"{policies(late)}?dryRun=All", policy("api", late, app)).warnings
                for app in ("api", "apii")
            ]
            assert {line.rpartition(" ")[2] for line in said[0]} == {"[effect]"}, "it isolates the pod, as it says"
            assert "write app: api [selector-matches-nothing]" in said[1][0]
        finally:
            plane.delete_namespace(late)
    crashed = [entry for entry in enduring.log() if "trace" in entry]
    assert crashed == [], yaml.safe_dump(crashed)
