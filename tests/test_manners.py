"""What is kept from people and what is never held against them: paths that say half, recreated objects, disclosure."""

import json
import re
from typing import Any

import pytest

from webhook.check import Disclosure
from webhook.config import Config
from webhook.model.cluster import Cluster
from webhook.model.objects import NETWORK_POLICY, Namespace, Pod
from webhook.model.parse import convert
from webhook.model.review import Request
from webhook.pipeline import Deletions, Judge
from webhook.server import FixedState, Service
from webhook.verdict import Action

from .test_server import Start, files, review, start  # noqa: F401 - fixtures

DEAD_AND_LOST = {
    "metadata": {"name": "np", "namespace": "shop"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "apj"}},
        "policyTypes": ["Ingress"],
        "egress": [{"ports": [{"port": 443}]}],
    },
}


def cluster() -> Cluster:
    records = [
        Namespace("shop", {"kubernetes.io/metadata.name": "shop"}),
        Pod("shop", "api-1", {"app": "api"}, phase="Running"),
        Pod("vault", "secret-7", {"app": "topsecret"}, phase="Running"),
    ]
    return Cluster.of(records, complete=True)


def policy(spec: dict[str, Any]) -> Any:
    return convert(NETWORK_POLICY, {"metadata": {"name": "np", "namespace": "shop"}, "spec": spec})


def request(operation: str, spec: dict[str, Any], *, dry_run: bool = False) -> Request:
    judged = policy(spec)
    new, old = (None, judged) if operation == "DELETE" else (judged, None)
    return Request(
        uid="1",
        operation=operation,
        kind=NETWORK_POLICY,
        namespace="shop",
        name="np",
        new=new,
        old=old,
        dry_run=dry_run,
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# --- /validate, /enforce, /advise


async def test_each_path_says_its_part(start: Start) -> None:  # noqa: F811
    server = await start(FixedState(cluster()))
    answers = {}
    for path in ("/validate", "/enforce", "/advise"):
        status, text = await server.post(review(DEAD_AND_LOST), path=path)
        assert status == 200
        answers[path] = json.loads(text)["response"]
    assert {path: answer["allowed"] for path, answer in answers.items()} == {
        "/validate": False,
        "/enforce": False,
        "/advise": True,
    }
    assert "warnings" not in answers["/enforce"]
    assert "[rules-without-policy-type]" in answers["/enforce"]["status"]["message"]
    assert [w.rpartition(" ")[2] for w in answers["/advise"]["warnings"]] == ["[selector-matches-nothing]"]
    assert [w.rpartition(" ")[2] for w in answers["/validate"]["warnings"]] == ["[selector-matches-nothing]"]


# --- what was deleted a short while ago

DEAD = {"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 443}]}]}
DEAD_OTHERWISE = {"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{"ports": [{"port": 443}]}]}


def actions(judge: Judge, asked: Request) -> list[Action]:
    return [r.action for r in judge.admit(asked, cluster()).verdict.rulings if r.check == "rules-without-policy-type"]


def test_an_object_made_anew_is_not_denied_for_what_it_had() -> None:
    judge = Judge(deletions=Deletions(Clock()))
    assert actions(judge, request("CREATE", DEAD)) == [Action.DENY]
    judge.admit(request("DELETE", DEAD), cluster())
    assert actions(judge, request("CREATE", DEAD)) == [Action.WARN]
    assert actions(judge, request("CREATE", DEAD_OTHERWISE)) == [Action.DENY], "another finding is a new one"


def test_ten_minutes_later_it_is_a_new_object() -> None:
    clock = Clock()
    judge = Judge(deletions=Deletions(clock))
    judge.admit(request("DELETE", DEAD), cluster())
    clock.now = 599.0
    assert actions(judge, request("CREATE", DEAD)) == [Action.WARN]
    clock.now = 601.0
    assert actions(judge, request("CREATE", DEAD)) == [Action.DENY]


def test_a_dry_run_deletes_nothing() -> None:
    judge = Judge(deletions=Deletions(Clock()))
    judge.admit(request("DELETE", DEAD, dry_run=True), cluster())
    assert actions(judge, request("CREATE", DEAD)) == [Action.DENY]


def test_a_deletion_that_another_replica_admitted_is_seen_by_the_watch() -> None:
    judge = Judge(deletions=Deletions(Clock()))
    state = FixedState(cluster())
    Service(judge, state)
    state.cluster.put(policy(DEAD))
    state.cluster.remove(NETWORK_POLICY, ("shop", "np"))
    assert actions(judge, request("CREATE", DEAD)) == [Action.WARN]


def test_the_memory_is_bounded() -> None:
    deletions = Deletions(Clock())
    for number in range(Deletions.MOST + 5):
        record = convert(NETWORK_POLICY, {"metadata": {"name": f"p{number}", "namespace": "shop"}, "spec": {}})
        deletions.remember(record)
    assert deletions.recent(NETWORK_POLICY, ("shop", "p4")) is None
    assert deletions.recent(NETWORK_POLICY, ("shop", "p5")) is not None


# --- disclosure


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {"matchLabels": {"app": "topsecret"}}},
        {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "topsecret"}}}]}]},
        {
            "podSelector": {},
            "ingress": [
                {
                    "from": [
                        {"namespaceSelector": {}},
                        {"podSelector": {"matchLabels": {"app": "topsecret"}}},
                    ]
                }
            ],
        },
        {
            "podSelector": {},
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "vaultt"}}}]}],
        },
        {
            "podSelector": {},
            "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "topsecre"}}}]}],
        },
    ],
)
def test_a_tenant_learns_no_names_of_other_namespaces(spec: dict[str, Any]) -> None:
    def told(disclose: Disclosure) -> list[str]:
        """The lines, and what reports say beside."""
        rulings = Judge(Config(disclose=disclose)).admit(request("CREATE", spec), cluster()).verdict.rulings
        return [f"{r.line} {r.finding.detail}" for r in rulings]

    everything = told(Disclosure.CLUSTER)
    assert any("vault" in line or "topsecret" in line for line in everything), "or there would be nothing to keep"
    written = json.dumps(spec)
    for line in told(Disclosure.NAMESPACE):
        names = [name for name in ("vault", "secret-7", "topsecret") if re.search(rf"\b{name}\b", line)]
        assert all(re.search(rf"\b{name}\b", written) for name in names), line
