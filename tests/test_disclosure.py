"""What an answer may name, to whom: the rule in every check, and the tenant who tries to get around it by dry runs."""

import io
import json
from collections.abc import Collection
from typing import Any, NamedTuple

import pytest
import yaml
from msgspec.structs import replace

from webhook.check import Check, Context, Disclosure, Example, Finding, Listing, Operation
from webhook.checks import all_checks
from webhook.config import CheckSettings, Config, Mode
from webhook.model.cluster import Cluster
from webhook.model.objects import NAMESPACE, POD, SERVICE, VALIDATING_WEBHOOKS, NetworkPolicy, Record, Service
from webhook.model.parse import convert
from webhook.model.review import decode_review
from webhook.pipeline import Judge, Judgement
from webhook.server import answer
from webhook.state.files import FileState
from webhook.state.watch import PLURALS
from webhook.verdict import Action

from .test_checks import NOW, judged
from .test_server import review

NAMED = Config(disclose=Disclosure.REQUESTER)

# --- every check keeps to the rule


def said(
    check: Check, example: Example, disclosure: Disclosure, listable: Collection[Listing] = ()
) -> tuple[list[Finding], Collection[Listing]]:
    """What a check finds in an example, and what it would have named."""
    state = FileState(complete=not example.partial)
    state.load(["-"], stdin=io.BytesIO(example.cluster.encode()))
    new, old = judged(example.object), judged(example.old)
    ctx = Context(
        Operation.DELETE if new is None else Operation.UPDATE if old else Operation.CREATE,
        new or old,
        state.cluster,
        old=old,
        view=example.view,
        disclosure=disclosure,
        listable=listable,
        now=NOW,
    )
    return list(check.run(ctx)), ctx.wished


@pytest.mark.parametrize(
    ("check", "example"),
    [
        pytest.param(check, example, id=f"{check.id}: {example.title}")
        for check in all_checks()
        if not check.files_only
        for example in (*check.bad, *check.good)
    ],
)
def test_every_check_names_to_requesters_what_they_may_list(check: Check, example: Example) -> None:
    closed, wished_for_nobody = said(check, example, Disclosure.NAMESPACE)
    everything, _ = said(check, example, Disclosure.CLUSTER)
    found, wished = said(check, example, Disclosure.REQUESTER)
    assert found == closed
    assert not wished_for_nobody
    # Only the words differ: what is denied, waived or told first is the same whoever asks.
    assert [(f.path, f.level, f.value, f.proven, f.causes) for f in closed] == [
        (f.path, f.level, f.value, f.proven, f.causes) for f in everything
    ]
    for everywhere in (True, False):  # a right for all namespaces, or one for each
        told, missing, listable = found, wished, frozenset[Listing]()
        while missing:
            listable |= {Listing(w.kind, "" if everywhere else w.namespace) for w in missing}
            told, missing = said(check, example, Disclosure.REQUESTER, listable)
        assert [f.line for f in told] == [f.line for f in everything], "details are not for admissions"


# --- some, but not all


class Hidden(NamedTuple):
    """The names of what a tenant must not learn of; the rest of the world is the same."""

    namespace: str
    app: str
    port: int
    team: str


VAULT = Hidden("avaulta", "topsecret", 7070, "opsa")
ATTIC = Hidden("avaultc", "backstage", 9090, "opsc")
PODS_OF_PUBLIC = Listing(POD, "public")


def namespace(name: str, **labels: str) -> Record:
    labels["kubernetes.io/metadata.name"] = name
    return convert(NAMESPACE, {"metadata": {"name": name, "labels": labels}})


def pod(namespace: str, app: str, port: int, **labels: str) -> Record:
    owner = {"kind": "StatefulSet", "name": app, "controller": True, "apiVersion": "apps/v1"}
    metadata = {"name": f"{app}-0", "namespace": namespace, "labels": {"app": app, **labels}}
    return convert(
        POD,
        {
            "metadata": metadata | {"ownerReferences": [owner]},
            "spec": {"containers": [{"name": "c", "ports": [{"containerPort": port}]}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        },
    )


def service(namespace: str, name: str, **spec: Any) -> Record:
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": "2025-12-31T12:00:00Z"}
    return convert(SERVICE, {"metadata": metadata, "spec": spec})


def world(hidden: Hidden = VAULT, *more: Record) -> Cluster:
    """``shop``, whose tenant asks, ``public``, and a third namespace."""
    guard = {"name": "a.b.c", "clientConfig": {"service": {"name": "api", "namespace": "shop"}}}
    records = [
        namespace("shop"),
        pod("shop", "api", 8080),
        service("shop", "api", selector={"app": "api"}, ports=[{"port": 80, "targetPort": 8080}]),
        namespace("public", team="web"),
        pod("public", "web", 8081, tier="front"),
        pod("public", "client", 8082),
        namespace(hidden.namespace, team=hidden.team),
        pod(hidden.namespace, hidden.app, hidden.port, tier="back"),
        service(
            hidden.namespace, hidden.app, selector={"tier": "back"}, ports=[{"port": 80, "targetPort": hidden.port}]
        ),
        service(hidden.namespace, "to-shop", type="ExternalName", externalName="api.shop.svc.cluster.local"),
        service(hidden.namespace, f"{hidden.app}-lb", type="LoadBalancer", ports=[{"port": 80}]),
        convert(VALIDATING_WEBHOOKS, {"metadata": {"name": f"{hidden.app}-guard"}, "webhooks": [guard]}),
        *more,
    ]
    return Cluster.of(records, complete=True)


def policy(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "np", "namespace": "shop"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def judge(
    cluster: Cluster, body: dict[str, Any], listable: Collection[Listing] = (), config: Config = NAMED
) -> Judgement:
    request = decode_review(json.dumps(body).encode())
    return Judge(config, clock=lambda: NOW).admit(request, cluster, listable=frozenset(listable))


API: Any = {"matchLabels": {"app": "api"}}
ISOLATES = policy(podSelector=API, policyTypes=["Ingress"])
SELECTS_FAR = policy(podSelector={"matchLabels": {"tier": "front"}})


def test_of_two_other_namespaces_the_one_that_may_be_listed_is_named() -> None:
    def cut(*listable: Listing) -> str:
        line = judge(world(), review(ISOLATES, dryRun=True), listable).verdict.effects[0]
        return line.removeprefix("netpol shop/np: cuts ").removesuffix(" and the outside -> StatefulSet/api [effect]")

    assert cut() == "3 workloads in 2 other namespaces"
    # So many are named as there is room for in a line of 120 characters.
    assert (
        cut(PODS_OF_PUBLIC) == "public/StatefulSet/client, public/StatefulSet/web and 1 workload in another namespace"
    )
    everything = "avaulta/StatefulSet/topsecret and 2 more"
    assert cut(Listing(POD, "")) == cut(PODS_OF_PUBLIC, Listing(POD, "avaulta")) == everything


def test_namespaces_are_told_apart_in_words() -> None:
    new = judged(yaml.safe_dump(ISOLATES))
    names = ("a", "b", "c", "d")
    listable = {Listing(SERVICE, ""), *(Listing(POD, name) for name in names)}
    ctx = Context(Operation.CREATE, new, Cluster(), disclosure=Disclosure.REQUESTER, listable=listable)
    assert ctx.name_namespaces(["a"], POD) == "namespace a"
    assert ctx.name_namespaces(["x"], POD) == "another namespace"
    assert ctx.name_namespaces(["x", "a"], POD) == "namespace a and another namespace"
    assert ctx.name_namespaces(["x", "y", "b", "a"], POD) == "namespaces a, b and 2 other namespaces"
    assert ctx.name_namespaces(names, POD) == "namespaces a, b, c and 1 more"
    assert ctx.name_namespaces(["x", "shop"], POD) == "namespace shop and another namespace"
    assert ctx.name_namespaces(["x", "y"], SERVICE) == "namespaces x, y"
    assert ctx.name_namespaces(["a"], POD, SERVICE) == "namespace a"
    assert list(ctx.wished) == [Listing(POD, "x"), Listing(POD, "y")]
    assert not ctx.may_name(NAMESPACE, "")
    assert Listing(NAMESPACE, "") in ctx.wished, "what is in no namespace is not the own namespace's"


def test_only_what_is_said_is_wished_for() -> None:
    """Nobody is asked about what is never shown: notes, and what is ignored, waived, or in a silent mode."""
    body = review(SELECTS_FAR)
    assert judge(world(), body).wished == (PODS_OF_PUBLIC,)
    assert judge(world(), body, [PODS_OF_PUBLIC]).wished == ()
    assert judge(world(), body, config=Config()).wished == ()
    ignored = {"selector-matches-nothing": CheckSettings(action=Action.IGNORE)}
    for silent in (Config(disclose=Disclosure.REQUESTER, checks=ignored), replace(NAMED, mode=Mode.OFF)):
        assert judge(world(), body, config=silent).wished == ()
    waiver = {"annotations": {"netadmit.io/ignore.selector-matches-nothing": "to come"}}
    waived = SELECTS_FAR | {"metadata": SELECTS_FAR["metadata"] | waiver}
    assert judge(world(), review(waived)).wished == ()
    assert judge(world(), review(ISOLATES)).wished == (), "effects are for dry runs"
    assert judge(world(), review(policy(podSelector=API, ingress=[{}]), dryRun=True)).wished == ()


# --- the tenant who asks by dry runs


def peers(*peers: dict[str, Any], **rule: Any) -> dict[str, Any]:
    return policy(podSelector=API, ingress=[{"from": list(peers), **rule}])


BACK = {"matchLabels": {"tier": "back"}}
EXTERNAL = {"kind": "Service", "metadata": {"name": "x", "namespace": "shop"}}
PROBES = {
    "whom a policy cuts": review(ISOLATES),
    "whom it opens to": review(peers({"namespaceSelector": {}}), ISOLATES),
    "a selector that matches elsewhere": review(policy(podSelector=BACK)),
    "a Service's": review(EXTERNAL | {"spec": {"selector": BACK["matchLabels"], "ports": [{"port": 1}]}}),
    "a peer without its namespace": review(peers({"podSelector": BACK})),
    "two dashes": review(
        peers(
            {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}, {"podSelector": BACK}
        )
    ),
    "two dashes, of which one lets in the hidden": review(
        peers(
            {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
            {"podSelector": {"matchLabels": {"tier": "front"}}},
        )
    ),
    "a label nearly right": review(peers({"namespaceSelector": {"matchLabels": {"team": "opsb"}}})),
    "a name nearly right": review(
        peers(
            {
                "namespaceSelector": {
                    "matchExpressions": [
                        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "avaultb"]}
                    ]
                }
            }
        )
    ),
    "a Service's port": review(
        policy(
            podSelector=API,
            policyTypes=["Egress"],
            egress=[{"to": [{"namespaceSelector": {}, "podSelector": BACK}], "ports": [{"port": 80}]}],
        )
    ),
    "a port that has no name": review(
        policy(
            podSelector=API,
            policyTypes=["Egress"],
            egress=[{"to": [{"namespaceSelector": {}, "podSelector": BACK}], "ports": [{"port": "nearly"}]}],
        )
    ),
    "who names a Service": review(
        None, EXTERNAL | {"metadata": {"name": "api", "namespace": "shop"}, "spec": {"selector": API["matchLabels"]}}
    ),
    "an external name": review(
        EXTERNAL | {"spec": {"type": "ExternalName", "externalName": "to-shop.avaultb.svc.cluster.local"}}
    ),
    "a load balancer": review(EXTERNAL | {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}),
}


def whole(cluster: Cluster, body: dict[str, Any], listable: Collection[Listing] = (), config: Config = NAMED) -> bytes:
    """The answer to a dry run, byte for byte."""
    body = {**body, "request": body["request"] | {"dryRun": True}}
    return answer(decode_review(json.dumps(body).encode()), judge(cluster, body, listable, config))


ADMIN = frozenset(Listing(kind, "") for kind in PLURALS)


@pytest.mark.parametrize("listable", [(), (PODS_OF_PUBLIC,), (PODS_OF_PUBLIC, Listing(SERVICE, "public"))])
@pytest.mark.parametrize("probe", PROBES)
def test_a_tenant_finds_out_no_name_by_dry_runs(probe: str, listable: tuple[Listing, ...]) -> None:
    """Two clusters that differ in names alone, those of what may not be listed, answer alike byte for byte."""
    body = PROBES[probe]
    differ = whole(world(VAULT), body, ADMIN) != whole(world(ATTIC), body, ADMIN)
    assert differ or probe.startswith("two dashes"), (
        "or there would be nothing to keep"
    )  # its names are told in reports alone
    told = whole(world(VAULT), body, listable)
    assert told == whole(world(ATTIC), body, listable)
    # What has nothing to do with the question does not show, however much of it there is.
    beside = [namespace(f"cellar-{i}") for i in range(3)] + [service("cellar-1", "wine", ports=[{"port": 1}])]
    assert told == whole(world(VAULT, *beside), body, listable)
    if not listable:
        assert told == whole(world(VAULT), body, config=Config()), "as with disclose: namespace"


@pytest.mark.parametrize("config", [NAMED, Config()], ids=["requester", "namespace"])
@pytest.mark.parametrize("probe", PROBES)
def test_nor_from_what_reports_say_beside(probe: str, config: Config) -> None:
    """Reports are for all who may read them in the namespace: details of notes and warnings name nothing, either."""
    body = PROBES[probe]

    def admitted(hidden: Hidden, config: Config) -> list[tuple[str, str]]:
        return [(r.line, r.finding.detail) for r in judge(world(hidden), body, config=config).verdict.rulings]

    assert admitted(VAULT, config) == admitted(ATTIC, config)
    if probe.startswith("two dashes"):
        everything = Config(disclose=Disclosure.CLUSTER)
        assert admitted(VAULT, everything) != admitted(ATTIC, everything), "or there would be nothing to keep"
    record = decode_review(json.dumps(body).encode()).new
    if record is not None:  # it stays, and is judged in the background
        one, other = (
            [(r.line, r.finding.detail) for r in _audited(record, hidden, config).verdict.rulings]
            for hidden in (VAULT, ATTIC)
        )
        assert one == other


def _audited(record: NetworkPolicy | Service, hidden: Hidden, config: Config) -> Judgement:
    state = world(hidden, record)
    return Judge(config, clock=lambda: NOW).audit(record, state, disclosure=config.disclose)
