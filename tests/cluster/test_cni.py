"""SCENARIOS.md 12: the same policy on clusters with one CNI or another, as kubectl tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from webhook.model.objects import CONFIG_MAP, DAEMON_SET, DEPLOYMENT, NODE

from .control_plane import ControlPlane
from .installed_webhook import InstalledWebhook
from .objects import Object, seen

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "enforcement"
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "default-deny"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
LAST: Object = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "zzz", "namespace": "kube-system"},
    "spec": {"template": {"metadata": {"labels": {"app": "zzz"}}}},
}
"""Created behind all others: whoever has seen it has seen the status of the DaemonSets before it."""


def documents(name: str) -> list[Object]:
    return [d for d in yaml.safe_load_all((FIXTURES / f"{name}.yaml").read_text()) if d]


@pytest.fixture(scope="class")
def nodes_and_agents(webhook: InstalledWebhook) -> Iterator[None]:
    """Nodes, kube-proxy, CoreDNS, Multus …: what every cluster has besides its CNI. Those of k3s are k3s' own."""
    with seen(webhook, documents("base")):
        yield


def created(webhook: InstalledWebhook, namespace: str, cluster: str | list[Object]) -> tuple[str, list[str]]:
    """What kubectl says to a new policy on such a cluster, and what netadmit could not know."""
    with seen(webhook, [*(documents(cluster) if isinstance(cluster, str) else cluster), LAST]):
        done = webhook.plane.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(POLICY))
        assert done.stdout == "networkpolicy.networking.k8s.io/default-deny created\n"
        # it was said when it was created
        assert webhook.plane.kubectl("label", "-n", namespace, "networkpolicy/default-deny", "team=a").stderr == ""
        creation, update = webhook.decisions(namespace)
        assert (creation["operation"], update["operation"]) == ("CREATE", "UPDATE")
        return done.stderr, creation["unknown"]


def warning(namespace: str, says: str) -> str:
    return f"Warning: netpol {namespace}/default-deny: {says} [cni-does-not-enforce]\n"


def test_k3s_without_its_controller(webhook: InstalledWebhook, namespace: str) -> None:
    said = created(webhook, namespace, "k3s-disabled")
    says = "k3s runs with --disable-network-policy; drop the flag"
    assert said == (warning(namespace, says), [])


def test_k3s(webhook: InstalledWebhook, namespace: str) -> None:
    assert created(webhook, namespace, "k3s") == ("", [])


def test_k3s_without_its_controller_but_with_cilium(webhook: InstalledWebhook, namespace: str) -> None:
    assert created(webhook, namespace, "k3s-disabled-cilium") == ("", [])


@pytest.mark.usefixtures("nodes_and_agents")
class TestBesideTheUsualAgents:
    @pytest.mark.parametrize(
        ("cluster", "says"),
        [
            ("flannel", "flannel runs without netpol; set netpol.enabled"),
            ("weave-without-npc", "Weave Net runs without weave-npc; add that container"),
            ("cilium-never", "Cilium's enable-policy is never; set it to default"),
            ("cilium-audit", "Cilium's policy-audit-mode is true; set it to false"),
            ("kindnet-v20240513", "kindnet v20240513 has no policies; use kind v0.24+"),
            ("kube-router-proxy-only", "kube-router has --run-firewall=false; set it to true"),
            ("aws-off", "aws-node policy agent is off; set enableNetworkPolicy"),
            ("terway-off", 'Terway\'s disable_network_policy is true; set it to "false"'),
            ("aks-azure-cni", "Azure CNI has no policy engine; set --network-policy"),
            ("auto-mode-off", "enable-network-policy-controller is off; set it to true"),
        ],
    )
    def test_nothing_enforces(self, webhook: InstalledWebhook, namespace: str, cluster: str, says: str) -> None:
        said = created(webhook, namespace, cluster)
        assert said == (warning(namespace, says), [])

    @pytest.mark.parametrize(
        "cluster",
        [
            "calico-manifest",
            "calico-operator",
            "canal",
            "weave",
            "flannel-netpol",
            "flannel-calico-policy-only",
            "cilium",
            "kindnet-v20240813",
            "kube-router",
            "aws-on",
            "aks-cilium",
            "antrea",
            "azure-npm-lite",
            "cilium-chained-aws",
            "gke-legacy-calico",
            "kube-ovn",
            "terway",
        ],
    )
    def test_it_is_enforced(self, webhook: InstalledWebhook, namespace: str, cluster: str) -> None:
        assert created(webhook, namespace, cluster) == ("", [])

    @pytest.mark.parametrize(
        ("cluster", "why"),
        [
            ("nothing", "enforcement: no known engine was found"),
            ("flannel-nuage", "enforcement: whether Nuage enforces is not known here"),
            (
                "auto-mode-untold",
                "enforcement: EKS Auto Mode: enable-network-policy-controller of amazon-vpc-cni was not found",
            ),
        ],
    )
    def test_it_cannot_be_told(self, webhook: InstalledWebhook, namespace: str, cluster: str, why: str) -> None:
        assert created(webhook, namespace, cluster) == ("", [why])

    def test_what_the_cni_makes_of_a_field(self, webhook: InstalledWebhook, namespace: str) -> None:
        """Facts 1.5: Weave Net refuses a policy with a named port, and its pods stay open."""
        policy = {**POLICY, "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": "http"}, {"port": 8080}]}]}}
        with seen(webhook, [*documents("weave"), LAST]):
            done = webhook.plane.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(policy))
        assert done.stderr == (
            f"Warning: netpol {namespace}/default-deny: Weave Net refuses named ports; write the number "
            "[cni-ignores-field]\n"
        )

    def test_pods_where_no_agent_runs(self, webhook: InstalledWebhook, namespace: str) -> None:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "iis", "namespace": namespace, "labels": {"app": "iis"}},
            "spec": {"nodeName": "win-1"},
        }
        with seen(webhook, [*documents("calico-without-windows"), pod, LAST]):
            done = webhook.plane.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(POLICY))
        assert done.stderr == (
            f"Warning: netpol {namespace}/default-deny: its pod runs on Windows nodes, without Calico; move it "
            "[cni-covers-some-nodes]\n"
        )

    def test_who_may_read_policies_is_asked_only_when_wanted(
        self, webhook: InstalledWebhook, namespace: str, tmp_path: Path
    ) -> None:
        """An agent that no family knows, told by its ServiceAccount's rights (facts 1.0.7)."""
        del namespace
        plane = webhook.plane
        roles = [d for d in documents("unknown-cni-reads-policies") if d["kind"].startswith("ClusterRole")]
        others = [d for d in documents("unknown-cni-reads-policies") if d not in roles]
        config = tmp_path / "config.yaml"
        config.write_text("apiVersion: netadmit.io/v1\nkind: Config\nrbacHint: true\n")

        def told(*more: str) -> dict[str, object]:
            done = webhook.netadmit("enforcement", f"--kubeconfig={plane.kubeconfig}", "-o", "json", *more)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        with seen(webhook, [*others, LAST]):
            plane.kubectl("apply", "-f-", stdin=yaml.safe_dump_all(roles))
            try:
                assert told()["state"] == "unknown"
                known = told(f"--config={config}")
            finally:
                plane.kubectl("delete", "-f-", stdin=yaml.safe_dump_all(roles))
        assert (known["state"], known["engine"], known["confidence"]) == ("enforced", "acme-cni", "likely")

    def test_it_is_told_anew_when_the_cni_changes(self, webhook: InstalledWebhook, namespace: str) -> None:
        """An enforcer that is installed beside it, and removed: without a restart."""

        def said() -> str:
            return webhook.plane.kubectl(
                "create", "--dry-run=server", "-n", namespace, "-f", "-", stdin=json.dumps(POLICY)
            ).stderr

        with seen(webhook, [*documents("flannel"), LAST]):
            assert "flannel runs without netpol" in said()
            with seen(webhook, [*documents("kube-router"), {**LAST, "metadata": {**LAST["metadata"], "name": "zzzz"}}]):
                assert said() == ""
            assert "flannel runs without netpol" in said()

    def test_agents_that_do_not_run_yet_prove_nothing(self, webhook: InstalledWebhook, namespace: str) -> None:
        """A DaemonSet that was applied a moment ago says nothing about what will run."""
        nothing_yet = {"desiredNumberScheduled": 0, "numberReady": 0}
        fresh = [{**d, "status": nothing_yet} if d["kind"] == "DaemonSet" else d for d in documents("flannel")]
        assert created(webhook, namespace, fresh) == ("", ["enforcement: flannel has 0 of 0 pods ready"])


def test_no_trace_of_it_is_left(webhook: InstalledWebhook, control_plane: ControlPlane) -> None:
    """The tests of the other modules run on a cluster that has no CNI."""
    kinds = "nodes,daemonsets,deployments"
    assert control_plane.kubectl("get", kinds, "-A", "-o", "name").stdout == ""
    for kind in (NODE, DAEMON_SET, DEPLOYMENT, CONFIG_MAP):
        assert webhook.metric("netadmit_state_objects", kind=kind) == 0
