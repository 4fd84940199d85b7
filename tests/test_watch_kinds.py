"""What a change of a Namespace or a workload breaks: told where it is watched, never denied, silent where sound."""

import copy
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml

from bench.generate import SIZES, records
from webhook import pipeline
from webhook.aftermath import REVEALED
from webhook.audit import Auditor
from webhook.check import MOST_STEPS, Check, Context, Example, Finding, Listing, View
from webhook.checks import all_checks
from webhook.config import Config, ConfigError, json_schema, parse_config
from webhook.model.cluster import Cluster, Completeness, PodClass
from webhook.model.objects import (
    DAEMON_SET,
    DEPLOYMENT,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    REPLICA_SET,
    SERVICE,
    STATEFUL_SET,
    VALIDATING_WEBHOOKS,
    Namespace,
    Workload,
)
from webhook.model.review import WATCHABLE, Request, ReviewError, decode_review
from webhook.pipeline import Deletions, Judge, Judgement
from webhook.reach.diff import difference
from webhook.reach.flows import Flow
from webhook.reach.graph import Graph, graph_of
from webhook.server import FixedState
from webhook.state.files import FileState
from webhook.verdict import Action

from . import configurations
from .command import Command
from .test_checks import judged

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
ALL = ("Namespace", *WORKLOADS)
Object = dict[str, Any]


def config(**settings: Any) -> Config:
    written = {"watchKinds": list(ALL), "disclose": "cluster", **settings}
    return parse_config({"apiVersion": "netadmit.io/v1", "kind": "Config", **written})


def cluster(text: str, *, complete: bool = True) -> Cluster:
    state = FileState(complete=complete)
    state.load(["-"], stdin=io.BytesIO(text.encode()))
    assert not state.problems, state.problems
    return state.cluster


def review(new: Object | None, old: Object | None, **more: Any) -> bytes:
    shown = new or old
    assert shown is not None
    group, _, version = shown["apiVersion"].rpartition("/")
    metadata = shown["metadata"]
    request = {
        "uid": "1",
        "kind": {"group": group, "version": version, "kind": shown["kind"]},
        "operation": "UPDATE" if new and old else "CREATE" if new else "DELETE",
        "name": metadata["name"],
        "namespace": metadata.get("namespace", metadata["name"]),  # the API server has it so for Namespaces
        "object": new,
        "oldObject": old,
        "userInfo": {"username": "alice"},
        **more,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def admit(
    state: Cluster, new: str | Object | None, old: str | Object | None, *, judge: Judge | None = None, **more: Any
) -> Judgement:
    """What is said of a change; the state must be the same afterwards as before."""
    judge = judge or Judge(config())
    after, before = (yaml.safe_load(o) if isinstance(o, str) else o for o in (new or None, old or None))
    request = decode_review(review(after, before, **more), judge.config.watched)
    was = contents(state)
    judgement = judge.admit(request, state)
    assert contents(state) == was
    assert not state.hypothetical
    return judgement


def contents(state: Cluster) -> dict[str, object]:
    """All that a cluster holds, and every index of it; in whatever order."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return frozenset((plain(key), plain(inner)) for key, inner in value.items() if inner != {})
        if isinstance(value, PodClass):
            labels, added = frozenset(value.labels.items()), frozenset(value.open_keys.items())
            return value.namespace, labels, added, frozenset(value.pods), frozenset(value.templates)
        return value if isinstance(value, str | int | tuple | None) else id(value)

    passing = {"_revisions", "_names", "generation"}
    found = {name: plain(value) for name, value in vars(state).items() if name not in passing}
    return {**found, "names": list(state.namespace_names())}


def lines(judgement: Judgement) -> list[str]:
    assert not judgement.crashes, judgement.crashes
    assert not judgement.verdict.denied
    return judgement.verdict.warnings


# --- the cluster of most of these tests -------------------------------------------------------------------------------

SHOP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: clients, labels: {team: a, stage: live}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web, tier: front, access: "yes"}}
    spec: {containers: [{name: main, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-5d9f-x
  namespace: shop
  labels: {app: web, tier: front, access: "yes", pod-template-hash: 5d9f, injected: "true"}
  ownerReferences: [{kind: ReplicaSet, name: web-5d9f, controller: true}]
spec: {containers: [{name: main, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-5d9f, namespace: shop, ownerReferences: [{kind: Deployment, name: web, controller: true}]}
spec:
  template:
    metadata: {labels: {app: web, tier: front, access: "yes", pod-template-hash: 5d9f}}
    spec: {containers: [{name: main, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
spec: {containers: [{name: main, ports: [{name: pg, containerPort: 5432}]}]}
status: {phase: Running, podIP: 10.0.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: clients, labels: {app: caller}}
status: {phase: Running, podIP: 10.0.1.1}
"""
SERVICE_OF_FRONT = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {tier: front}, ports: [{port: 80, targetPort: http}]}
"""
FOR_TEAM_A = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}}], ports: [{port: pg}]}]
"""
FOR_ACCESS = FOR_TEAM_A.replace(
    "{namespaceSelector: {matchLabels: {team: a}}}", "{podSelector: {matchLabels: {access: 'yes'}}}"
)
OF_FRONT = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: front, namespace: shop}
spec:
  podSelector: {matchLabels: {tier: front}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: http}]}]
"""
DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""
ALLOW_ALL = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}
"""
ANOTHER = """
apiVersion: v1
kind: Pod
metadata: {name: another, namespace: shop, labels: {LABELS}}
spec: {containers: [{name: main, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running}
"""
MORE_OF_TEAM_A = "{apiVersion: v1, kind: Namespace, metadata: {name: more, labels: {team: a}}}"
EXTERNAL_NAME = """
apiVersion: v1
kind: Service
metadata: {name: rates, namespace: clients}
spec: {selector: {app: caller}}
---
apiVersion: v1
kind: Service
metadata: {name: rates, namespace: shop}
spec: {type: ExternalName, externalName: rates.clients.svc.cluster.local}
"""
WEBHOOK = """
apiVersion: v1
kind: Service
metadata: {name: hook, namespace: clients}
spec: {selector: {app: caller}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: rules}
webhooks: [{name: a.example.com, clientConfig: {service: {name: hook, namespace: clients}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: own, namespace: clients}
spec: {rules: [{backendRefs: [{name: hook, port: 80}]}]}
"""
IN_THE_MESH = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: callers, namespace: clients}
spec:
  podSelector: {matchLabels: {app: caller}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}]}]
"""
FOR_ACCESS_FROM_SHOP = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: caller, namespace: clients}
spec:
  podSelector: {matchLabels: {app: caller}}
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
          podSelector: {matchLabels: {access: "yes"}}
"""
TO_TEAM_A = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {matchLabels: {team: a}}}]}]
"""
CILIUM = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: theirs, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: APP}}, ingress: [{fromEntities: [all]}]}
"""
CLIENTS = "{apiVersion: v1, kind: Namespace, metadata: {name: clients, labels: {LABELS}}}"
TEAM_A = "team: a, stage: live"


def clients(labels: str = TEAM_A, more: str = "") -> Object:
    found: Object = yaml.safe_load(CLIENTS.replace("LABELS", labels))
    found["metadata"] |= yaml.safe_load(f"{{{more}}}")
    return found


WEB = "app: web, tier: front, access: 'yes'"


def web(
    labels: str = WEB, ports: str = "[{name: http, containerPort: 8080}]", spec: str = "", name: str = "web"
) -> Object:
    found: Object = yaml.safe_load(f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop}}
spec:
  template:
    metadata: {{labels: {{{labels}}}}}
    spec: {{containers: [{{name: main, ports: {ports}}}], {spec}}}
""")
    return found


def state(*more: str, complete: bool = True) -> Cluster:
    return cluster("\n---\n".join((SHOP, *more)), complete=complete)


# --- what is told -----------------------------------------------------------------------------------------------------

WITHOUT_TEAM = clients("stage: live")
WITHOUT_TIER = web("app: web, tier: frontend, access: 'yes'")
WITHOUT_ACCESS = web("app: web, tier: front")
KEEP_RULE = "keep it, or change the rule"
KEEP_SELECTOR = "keep it, or change the selector"
NO_POD = f"svc web selects no pod; {KEEP_SELECTOR} [service-selects-nothing]"
ITS_WEBHOOK = "its svc hook is still named by"
NO_NAMESPACE = "[namespace-not-found]"
NO_PEER = "[peer-matches-nothing]"
SHOP_DB = "ns clients: without team=a, netpol shop/db"
FRONT = "deploy shop/web: without tier=front, netpol front"
ASK = "keep it, or ask there"
CHANGE_FIRST = "change or delete that first [service-still-referenced]"


class Case(NamedTuple):
    """A change in a cluster, and the lines that it is told with; of what a check says in its own words only the id."""

    title: str
    there: tuple[str, ...]
    new: Object | None
    old: Object
    said: tuple[str, ...]


CASES = (
    Case(
        "a namespaceSelector matches no namespace any more",
        (FOR_TEAM_A,),
        WITHOUT_TEAM,
        clients(),
        (f"{SHOP_DB} lets nobody in; {KEEP_RULE} [namespace-not-found]",),
    ),
    Case(
        "so it is where no pod runs, too",
        (
            "{apiVersion: v1, kind: Namespace, metadata: {name: empty, labels: {team: b}}}",
            FOR_TEAM_A.replace("team: a", "team: b"),
        ),
        clients("team: c", "name: empty"),
        clients("team: b", "name: empty"),
        (f"ns empty: without team=b, netpol shop/db lets nobody in; {KEEP_RULE} [namespace-not-found]",),
    ),
    Case(
        "it matches others, but running pods lose each other",
        (FOR_TEAM_A, MORE_OF_TEAM_A),
        WITHOUT_TEAM,
        clients(),
        (f"{SHOP_DB} lets it in no more; {KEEP_RULE} [cuts-on-removal]",),
    ),
    Case(
        "by a label that must not be there",
        (FOR_TEAM_A.replace("{matchLabels: {team: a}}", "{matchExpressions: [{key: hold, operator: DoesNotExist}]}"),),
        clients(f"{TEAM_A}, hold: 'true'"),
        clients(),
        (f"ns clients: with hold=true, netpol shop/db lets it in no more; {KEEP_RULE} [cuts-on-removal]",),
    ),
    Case(
        "egress",
        (TO_TEAM_A,),
        WITHOUT_TEAM,
        clients(),
        (f"{SHOP_DB} lets nothing out; {KEEP_RULE} [namespace-not-found]",),
    ),
    Case(
        "which of several peers and rules it is",
        (FOR_TEAM_A.replace("{namespaceSelector", "{podSelector: {}}, {namespaceSelector"), OF_FRONT),
        WITHOUT_TEAM,
        clients(),
        (f"{SHOP_DB} lets nobody in by ingress[0].from[1]; {KEEP_RULE} {NO_NAMESPACE}",),
    ),
    Case(
        "a namespace that another's policy points at is deleted",
        (FOR_TEAM_A,),
        None,
        clients(),
        ("ns clients: without it, netpol shop/db lets nobody in; change or delete that rule [namespace-not-found]",),
    ),
    Case("an ExternalName leads into it", (EXTERNAL_NAME,), None, clients(), ("external-name-not-found",)),
    Case(
        "a webhook configuration names a Service in it",
        (WEBHOOK,),
        None,
        clients(),
        (f"ns clients: {ITS_WEBHOOK} ValidatingWebhookConfiguration rules; {CHANGE_FIRST}",),
    ),
    Case(
        "a Service's selector matches no template any more",
        (SERVICE_OF_FRONT,),
        WITHOUT_TIER,
        web(),
        (f"deploy shop/web: without tier=front, {NO_POD}",),
    ),
    Case(
        "a podSelector matches no template any more",
        (OF_FRONT,),
        WITHOUT_TIER,
        web(),
        (f"{FRONT} selects no pod; {KEEP_SELECTOR} [selector-matches-nothing]",),
    ),
    Case(
        "its podSelector matches others, and the pods become open",
        (OF_FRONT, ANOTHER.replace("LABELS", "tier: front")),
        WITHOUT_TIER,
        web(),
        (f"{FRONT} no longer selects it; {KEEP_SELECTOR} [opens-on-removal]",),
    ),
    Case(
        "they stay isolated, and nobody lets in those whom it did",
        (OF_FRONT, DENY, ANOTHER.replace("LABELS", "tier: front")),
        WITHOUT_TIER,
        web(),
        (f"{FRONT} no longer selects it; {KEEP_SELECTOR} [cuts-on-removal]",),
    ),
    Case(
        "a client loses the label that lets it in",
        (FOR_ACCESS,),
        WITHOUT_ACCESS,
        web(),
        (f"deploy shop/web: without access=yes, netpol db lets nobody in; {KEEP_RULE} [peer-matches-nothing]",),
    ),
    Case(
        "others have that label",
        (FOR_ACCESS, ANOTHER.replace("LABELS", "access: 'yes'")),
        WITHOUT_ACCESS,
        web(),
        (f"deploy shop/web: without access=yes, netpol db lets it in no more; {KEEP_RULE} [cuts-on-removal]",),
    ),
    Case(
        "a policy of another namespace lets it in",
        (FOR_ACCESS_FROM_SHOP,),
        WITHOUT_ACCESS,
        web(),
        (f"deploy shop/web: without access=yes, netpol clients/caller lets nobody in; {KEEP_RULE} {NO_PEER}",),
    ),
    Case(
        "a port that a Service and a policy name is renamed",
        (SERVICE_OF_FRONT, OF_FRONT),
        web(ports="[{name: web, containerPort: 8080}]"),
        web(),
        ("named-port-unresolved", "target-port-unresolved"),
    ),
    Case(
        "a number that a policy lets in moves",
        (OF_FRONT.replace("{port: http}", "{port: 80}"), SERVICE_OF_FRONT),
        web(),
        web(ports="[{name: http, containerPort: 80}]"),
        ("service-port-not-pod-port", "service-reachable-by-nobody"),
    ),
    Case(
        "pods go to the host network, where no policy is",
        (OF_FRONT,),
        web(spec="hostNetwork: true"),
        web(),
        ("host-network-selected",),
    ),
    Case(
        "a namespace joins an ambient mesh",
        (IN_THE_MESH,),
        clients(f"{TEAM_A}, istio.io/dataplane-mode: ambient"),
        clients(),
        ("ambient-mesh-port",),
    ),
)


def only_ids_where_asked(got: list[str], said: tuple[str, ...]) -> list[str]:
    return [line if " " in like else line.rpartition("[")[2].rstrip("]") for line, like in zip(got, said, strict=True)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_what_breaks_is_told(case: Case) -> None:
    got = lines(admit(state(*case.there), case.new, case.old))
    assert only_ids_where_asked(got, case.said) == list(case.said)
    assert all(len(line) <= 140 for line in got), "as short as the API asks, or nearly"


@pytest.mark.parametrize(("kind", "word"), [("StatefulSet", "sts"), ("DaemonSet", "ds")])
def test_what_holds_for_deployments_holds_for_the_others(kind: str, word: str) -> None:
    text, _, rest = SHOP.partition("apiVersion: apps/v1\nkind: ReplicaSet")
    text += rest.partition("---")[2]
    text = text.replace("kind: Deployment", f"kind: {kind}").replace("ReplicaSet, name: web-5d9f", f"{kind}, name: web")
    said = lines(
        admit(cluster(text + "---" + SERVICE_OF_FRONT), {**WITHOUT_TIER, "kind": kind}, {**web(), "kind": kind})
    )
    assert said == [f"{word} shop/web: without tier=front, {NO_POD}"]


# --- what is not ------------------------------------------------------------------------------------------------------

SECOND_SERVICE = SERVICE_OF_FRONT.replace("name: web", "name: frontend").replace("tier: front", "tier: frontend")


@pytest.mark.parametrize(
    ("there", "new", "old"),
    [
        pytest.param([FOR_TEAM_A], clients(f"{TEAM_A}, more: x"), clients(), id="a label is added to a namespace"),
        pytest.param([FOR_TEAM_A], clients("team: a"), clients(), id="it loses one that nobody asks for"),
        pytest.param(
            [FOR_TEAM_A.replace("{team: a}", "{stage: live}"), ALLOW_ALL],
            clients("team: a"),
            clients(),
            id="another policy still lets them in",
        ),
        pytest.param([FOR_TEAM_A], clients(TEAM_A, "annotations: {a: b}"), clients(), id="an annotation"),
        pytest.param(
            [FOR_TEAM_A], WITHOUT_TEAM, clients(TEAM_A, "deletionTimestamp: '2026-01-01T00:00:00Z'"), id="it goes"
        ),
        pytest.param(
            [FOR_TEAM_A, SERVICE_OF_FRONT], None, {**clients(), "metadata": {"name": "shop"}}, id="own policies go too"
        ),
        pytest.param([FOR_TEAM_A, MORE_OF_TEAM_A], None, clients(), id="a peer that matches others, too"),
        pytest.param([SERVICE_OF_FRONT, OF_FRONT], web(f"{WEB}, v: '2'"), web(), id="a label is added to a template"),
        pytest.param(
            [SERVICE_OF_FRONT, OF_FRONT], web("app: web, tier: front"), web(), id="it loses one that nobody asks for "
        ),
        pytest.param([SERVICE_OF_FRONT, OF_FRONT], web(), web(), id="rollout restart, another image, more replicas"),
        pytest.param(
            [SERVICE_OF_FRONT, OF_FRONT],
            web(ports="[{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}]"),
            web(),
            id="another port",
        ),
        pytest.param(
            [SERVICE_OF_FRONT, OF_FRONT],
            web(ports="[{name: http, containerPort: 9090}]"),
            web(),
            id="a named port moves",
        ),
        pytest.param(
            [SERVICE_OF_FRONT.replace("front", "frontend"), OF_FRONT.replace("tier: front", "tier: frontend")],
            WITHOUT_TIER,
            web(),
            id="Service and policy of the same release went before",
        ),
        pytest.param(
            [SERVICE_OF_FRONT, SECOND_SERVICE], WITHOUT_TIER, web(), id="a new Service is there, the old one goes last"
        ),
        pytest.param(
            [OF_FRONT, OF_FRONT.replace("name: front", "name: frontend").replace("tier: front", "tier: frontend")],
            WITHOUT_TIER,
            web(),
            id="a new policy is there, the old one goes last",
        ),
        pytest.param(
            [FOR_ACCESS.replace("[{podSelector", "[{podSelector: {matchLabels: {role: web}}}, {podSelector")],
            web("app: web, tier: front, role: web"),
            web(),
            id="the policy lists the new label beside the old one",
        ),
        pytest.param(
            [
                OF_FRONT,
                ANOTHER.replace("LABELS", "tier: front"),
                DENY,
                OF_FRONT.replace("name: front", "name: by-app").replace("tier: front", "app: web"),
            ],
            WITHOUT_TIER,
            web(),
            id="another policy lets in the same",
        ),
        pytest.param(
            [
                OF_FRONT.replace(
                    "ingress: [{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: http}]}]",
                    "ingress: [{}]",
                ),
                ANOTHER.replace("LABELS", "tier: front"),
            ],
            WITHOUT_TIER,
            web(),
            id="the policy let everybody in",
        ),
        pytest.param(
            [
                FOR_ACCESS.replace("[{podSelector", "[{podSelector: {matchLabels: {role: web}}}, {podSelector").replace(
                    "app: db", "app: later"
                )
            ],
            web("app: web, tier: front, role: web"),
            web(),
            id="so it does before its own pods are there",
        ),
        pytest.param(
            [
                FOR_ACCESS.replace(", ports: [{port: pg}]", ""),
                FOR_ACCESS.replace("name: db", "name: db-of-web").replace("access: 'yes'", "app: web"),
                ANOTHER.replace("LABELS", "access: 'yes'"),
            ],
            WITHOUT_ACCESS,
            web(),
            id="only ports are lost on which nobody listens",
        ),
        pytest.param(
            [
                FOR_ACCESS,
                ANOTHER.replace("LABELS", "access: 'yes'"),
                CILIUM.replace("app: APP", "access: 'yes'").replace("ingress", "egress").replace("fromE", "toE"),
            ],
            WITHOUT_ACCESS,
            web(),
            id="an engine's own policy may have held it back before",
        ),
        pytest.param([SERVICE_OF_FRONT], None, web(), id="a workload is deleted: its Service may follow"),
        pytest.param(
            [SERVICE_OF_FRONT],
            WITHOUT_TIER
            | {
                "metadata": {
                    **WITHOUT_TIER["metadata"],
                    "ownerReferences": [{"kind": "Shop", "name": "s", "controller": True}],
                }
            },
            web(),
            id="a controller's workload",
        ),
        pytest.param([SERVICE_OF_FRONT], WITHOUT_TIER, None, id="a workload is created"),
        pytest.param(
            [SERVICE_OF_FRONT, OF_FRONT],
            web("app: web, tier: front, access: 'yes', track: canary", name="canary"),
            web("app: web, tier: front, access: 'yes'", name="canary"),
            id="a canary",
        ),
        pytest.param(
            [SERVICE_OF_FRONT, OF_FRONT, web("app: web, tier: front", name="canary")],
            web("app: web, track: canary", name="canary"),
            web("app: web, tier: front", name="canary"),
            id="a canary leaves the Service to the others",
        ),
    ],
)
def test_what_is_sound_is_silent(there: list[str | Object], new: Object | None, old: Object | None) -> None:
    texts = [t if isinstance(t, str) else yaml.safe_dump(t) for t in there]
    assert lines(admit(state(*texts), new, old)) == []


def test_what_stood_before_is_no_news() -> None:
    """The Service has never had a port of that name; that it has one pod less is not its trouble."""
    wrong = SERVICE_OF_FRONT.replace("targetPort: http", "targetPort: web")
    assert lines(admit(state(wrong), web(ports="[{name: other, containerPort: 8080}]"), web())) == []
    nobody = FOR_TEAM_A.replace("team: a", "team: z")
    assert lines(admit(state(nobody), WITHOUT_TEAM, clients())) == []


def test_of_those_that_are_left_nothing_is_said() -> None:
    """The peers that stay have never had that port; what is lost is the one that had it."""
    to_front = OF_FRONT.replace("tier: front", "app: db").replace("policyTypes: [Ingress]", "policyTypes: [Egress]")
    to_front = to_front.replace(
        "ingress: [{from: [{podSelector: {matchLabels: {app: db",
        "egress: [{to: [{podSelector: {matchLabels: {tier: front",
    )
    without_port = ANOTHER.replace("LABELS", "tier: front").replace("name: http", "name: other")
    [line] = lines(admit(state(to_front, without_port), WITHOUT_TIER, web()))
    assert line.endswith("[cuts-on-removal]")


def test_pods_keep_what_others_gave_them() -> None:
    """A sidecar's port and label do not come from the template: they stay whatever becomes of it."""
    injected = SERVICE_OF_FRONT.replace("tier: front", "injected: 'true'").replace("http", "8080")
    assert lines(admit(state(injected), web("app: web"), web())) == []
    by_hash = SERVICE_OF_FRONT.replace("tier: front", "pod-template-hash: 5d9f").replace("http", "8080")
    assert lines(admit(state(by_hash), web("app: web"), web())) == []


@pytest.mark.parametrize("labels", [WEB, f"{WEB}, pod-template-hash: 5d9f"])
def test_in_files_pods_may_name_no_owner(labels: str) -> None:
    text = "\n---\n".join((SHOP.partition("apiVersion: v1\nkind: Pod")[0], SERVICE_OF_FRONT))
    there = cluster(text + "---" + ANOTHER.replace("LABELS", labels))
    assert len(lines(admit(there, WITHOUT_TIER, web()))) == 1
    there = cluster(text + "---" + ANOTHER.replace("LABELS", "app: other, tier: front"))
    assert lines(admit(there, WITHOUT_TIER, web())) == [], "it is another's"


def test_pods_in_the_middle_of_a_rollout_follow_as_well() -> None:
    late = SHOP.replace(
        'labels: {app: web, tier: front, access: "yes", pod-template-hash: 5d9f, injected',
        "labels: {app: web, tier: front, old: x, pod-template-hash: 5d9f, injected",
    )
    there = cluster(late + "---" + SERVICE_OF_FRONT)
    assert len(lines(admit(there, WITHOUT_TIER, web()))) == 1


def test_the_state_may_lag_behind() -> None:
    """The API server's own old object counts: it may know of a label that the watch has not seen yet."""
    late = cluster("\n---\n".join((SHOP.replace("{team: a, stage: live}", "{stage: live}"), FOR_TEAM_A)), complete=True)
    assert [line.partition(";")[0] for line in lines(admit(late, WITHOUT_TEAM, clients()))] == [
        "ns clients: without team=a, netpol shop/db lets nobody in"
    ]


def test_what_is_not_known() -> None:
    """What matched and does no more is evidence; that nobody else makes up for it takes all policies."""
    partial = state(FOR_TEAM_A, complete=False)
    assert [line.rpartition("[")[2] for line in lines(admit(partial, WITHOUT_TEAM, clients()))] == [
        "namespace-not-found]"
    ]
    partial = state(FOR_TEAM_A, MORE_OF_TEAM_A, complete=False)
    judgement = admit(partial, WITHOUT_TEAM, clients())
    assert lines(judgement) == []
    assert any("another one makes up for a lost label" in told for told in judgement.unknown)
    partial = state(OF_FRONT, ANOTHER.replace("LABELS", "tier: front"), complete=False)
    assert lines(admit(partial, WITHOUT_TIER, web())) == []


def test_nothing_is_opened_or_cut_where_nothing_is_enforced() -> None:
    there = state(FOR_TEAM_A, MORE_OF_TEAM_A, OF_FRONT, ANOTHER.replace("LABELS", "tier: front"))
    judge = Judge(config(enforcement="none"))
    assert lines(admit(there, WITHOUT_TEAM, clients(), judge=judge)) == []
    assert lines(admit(there, WITHOUT_TIER, web(), judge=judge)) == []


def test_where_an_engine_s_own_policies_decide_too_nothing_is_certain() -> None:
    cuts, opens = (FOR_TEAM_A, MORE_OF_TEAM_A), (OF_FRONT, ANOTHER.replace("LABELS", "tier: front"))
    for there, new, old, app in ((cuts, WITHOUT_TEAM, clients(), "db"), (opens, WITHOUT_TIER, web(), "web")):
        assert len(lines(admit(state(*there, CILIUM.replace("APP", "other")), new, old))) == 1
        judgement = admit(state(*there, CILIUM.replace("APP", app)), new, old)
        assert lines(judgement) == []
        assert any("whether a lost label opens or cuts anything was not judged" in told for told in judgement.unknown)


def test_nothing_is_said_before_the_state_has_been_read() -> None:
    request = decode_review(review(WITHOUT_TEAM, clients()), config().watched)
    judgement = Judge(config()).admit(request, state(FOR_TEAM_A), synced=False)
    assert judgement.verdict.warnings == []
    assert judgement.unknown == ("Namespace clients: the state has not been read yet",)


# --- what may be told to whom -----------------------------------------------------------------------------------------


def test_objects_of_other_namespaces_are_counted_but_not_named() -> None:
    others = [
        FOR_TEAM_A.replace("namespace: shop", f"namespace: {namespace}").replace("name: db", f"name: {name}")
        for namespace, name in (("secret-a", "one"), ("secret-a", "two"), ("secret-b", "three"))
    ]
    judge = Judge(config(disclose="namespace"))
    assert lines(admit(state(FOR_TEAM_A), WITHOUT_TEAM, clients(), judge=judge)) == [
        f"ns clients: without team=a, 1 policy in another namespace lets it in no more; {ASK} {NO_NAMESPACE}"
    ]
    assert lines(admit(state(*others), WITHOUT_TEAM, clients(), judge=judge)) == [
        f"ns clients: without team=a, 3 policies in 2 other namespaces let it in no more; {ASK} {NO_NAMESPACE}"
    ]
    [line] = lines(admit(state(EXTERNAL_NAME), None, clients(), judge=judge))
    assert line.startswith("ns clients: breaks 1 Service in another namespace: an ExternalName names a Service that ")
    assert line.endswith(" [external-name-not-found]")
    assert lines(admit(state(WEBHOOK), None, clients(), judge=judge)) == [
        f"ns clients: {ITS_WEBHOOK} a ValidatingWebhookConfiguration; {CHANGE_FIRST}"
    ]


def test_what_else_another_namespace_s_policy_selects_by_is_not_told() -> None:
    among = FOR_TEAM_A.replace(
        "{matchLabels: {team: a}}", "{matchExpressions: [{key: team, operator: In, values: [a, zzz]}]}"
    )
    apart = FOR_TEAM_A.replace(
        "{matchLabels: {team: a}}", "{matchExpressions: [{key: stage, operator: NotIn, values: [test, zzz]}]}"
    )
    live = clients()
    test = copy.deepcopy(live)
    test["metadata"]["labels"]["stage"] = "test"
    for policy, new, cause in ((among, WITHOUT_TEAM, "without team=a,"), (apart, test, "with stage=test,")):
        for disclose in ("namespace", "cluster"):
            judge = Judge(config(disclose=disclose))
            [line] = lines(admit(state(policy), new, live, judge=judge))
            assert line.startswith(f"ns clients: {cause} ")
            assert "zzz" not in line


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_no_name_of_another_namespace_is_told(case: Case) -> None:
    """The same changes, but with names in the other namespace that nobody would write by chance."""
    own = case.old["metadata"].get("namespace", case.old["metadata"]["name"])
    other = "shop" if own in ("clients", "empty") else "clients"
    text = "\n---\n".join((SHOP, *case.there))
    secret = text.replace(f"namespace: {other}", "namespace: zzz-hidden").replace(f"name: {other}", "name: zzz-hidden")
    for name in ("caller", "db", "rates"):
        secret = secret.replace(f"name: {name}, namespace: zzz-hidden", f"name: zzz-{name}, namespace: zzz-hidden")
    for disclose in ("namespace", "requester"):  # who may list nothing
        judgement = admit(cluster(secret), case.new, case.old, judge=Judge(config(disclose=disclose)))
        assert not judgement.crashes
        assert "zzz" not in "".join((*judgement.verdict.warnings, judgement.verdict.denial))


def test_a_requester_is_told_names_of_what_he_may_list() -> None:
    judge = Judge(config(disclose="requester"))
    there = state(FOR_TEAM_A, MORE_OF_TEAM_A)
    request = decode_review(review(WITHOUT_TEAM, clients()), judge.config.watched)
    counted = (
        f"ns clients: without team=a, 1 policy in another namespace lets it in no more; {ASK} [cuts-on-removal]",
    )
    named = (f"{SHOP_DB} lets it in no more; {KEEP_RULE} [cuts-on-removal]",)
    policies, pods = Listing(NETWORK_POLICY, "shop"), Listing(POD, "shop")
    for listable, said, wished in (
        ((), counted, {policies, pods}),
        ((policies,), counted, {pods}),  # what is said of a policy tells of the pods around it
        ((pods,), counted, {policies}),
        ((policies, pods), named, set()),
        ((Listing(NETWORK_POLICY, ""), Listing(POD, "")), named, set()),
        ((Listing(NETWORK_POLICY, "clients"), Listing(POD, "clients")), counted, {policies, pods}),
    ):
        judgement = judge.admit(request, there, listable=frozenset(listable))
        assert tuple(judgement.verdict.warnings) == said, listable
        assert set(judgement.wished) == wished, listable


def test_what_a_requester_may_list_of_the_cluster() -> None:
    judge = Judge(config(disclose="requester"))
    request = decode_review(review(None, clients()), judge.config.watched)
    told = judge.admit(request, state(WEBHOOK))
    assert told.verdict.warnings == [f"ns clients: {ITS_WEBHOOK} a ValidatingWebhookConfiguration; {CHANGE_FIRST}"]
    assert told.wished == (Listing(VALIDATING_WEBHOOKS, ""),)
    told = judge.admit(request, state(WEBHOOK), listable=frozenset(told.wished))
    assert told.verdict.warnings == [f"ns clients: {ITS_WEBHOOK} ValidatingWebhookConfiguration rules; {CHANGE_FIRST}"]
    assert told.wished == ()


# --- what it does to traffic ------------------------------------------------------------------------------------------


def effects(judgement: Judgement) -> list[str]:
    return [line.removesuffix(" [effect]") for line in lines(judgement) if line.endswith(" [effect]")]


def test_a_dry_run_of_a_person_tells_what_is_cut_and_freed() -> None:
    there = state(FOR_TEAM_A, MORE_OF_TEAM_A, OF_FRONT)
    cut = "ns clients: cuts Pod/caller -> shop/Pod/db-0 on TCP 5432"
    assert effects(admit(there, WITHOUT_TEAM, clients(), dryRun=True)) == [cut]
    assert effects(admit(there, WITHOUT_TEAM, clients())) == []
    always = Judge(config(effects="always"))
    assert effects(admit(there, WITHOUT_TEAM, clients(), judge=always)) == [cut]
    robot = {"username": "system:serviceaccount:argocd:controller"}
    assert effects(admit(there, WITHOUT_TEAM, clients(), dryRun=True, userInfo=robot)) == []
    assert effects(admit(there, WITHOUT_TIER, web(), dryRun=True)) == [
        "deploy shop/web: frees ingress of Deployment/web"
    ]
    assert effects(admit(there, clients(f"{TEAM_A}, more: x"), clients(), dryRun=True)) == []


def test_the_effects_keep_to_what_may_be_told() -> None:
    there = state(FOR_TEAM_A, MORE_OF_TEAM_A)
    untold = ["ns clients: cuts Pod/caller -> another namespace"]
    judge = Judge(config(disclose="namespace"))
    assert effects(admit(there, WITHOUT_TEAM, clients(), judge=judge, dryRun=True)) == untold
    judge = Judge(config(disclose="requester"))
    request = decode_review(review(WITHOUT_TEAM, clients(), dryRun=True), judge.config.watched)
    assert effects(judge.admit(request, there)) == untold
    listable = frozenset((Listing(POD, "shop"),))
    assert effects(judge.admit(request, there, listable=listable)) == [
        "ns clients: cuts Pod/caller -> shop/Pod/db-0 on TCP 5432"
    ]


def test_no_more_than_five_lines_about_traffic() -> None:
    dbs = [
        text.replace("app: db", f"app: db-{i}").replace("name: db", f"name: db-{i}")
        for i in range(7)
        for text in (
            FOR_TEAM_A,
            ANOTHER.replace("LABELS", "app: db").replace("name: another", "name: db").replace("http", "pg"),
        )
    ]
    said = effects(admit(state(*dbs, MORE_OF_TEAM_A), WITHOUT_TEAM, clients(), dryRun=True))
    assert len(said) == 6
    assert said[-1] == "ns clients: and 2 more"


def test_the_own_namespace_is_named() -> None:
    judge = Judge(config(disclose="namespace"))
    assert lines(admit(state(SERVICE_OF_FRONT), WITHOUT_TIER, web(), judge=judge)) == [
        f"deploy shop/web: without tier=front, {NO_POD}"
    ]
    assert lines(admit(state(FOR_ACCESS_FROM_SHOP), WITHOUT_ACCESS, web(), judge=judge)) == [
        f"deploy shop/web: without access=yes, 1 policy in another namespace lets it in no more; {ASK} {NO_PEER}"
    ]


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"enforce": [c.id for c in all_checks()]},
        {"profile": "strict"},
        {"checks": {c.id: {"action": "deny"} for c in all_checks()}},
        {"checks": {c.id: {"level": "error"} for c in all_checks()}},
        {"namespaces": [{"match": ["*"], "enforce": [c.id for c in all_checks()], "mode": "enforce"}]},
    ],
    ids=["enforce", "strict", "action", "level", "namespaces"],
)
def test_nothing_is_ever_denied(settings: dict[str, Any]) -> None:
    judge = Judge(config(**settings))
    for case in CASES:
        got = lines(admit(state(*case.there), case.new, case.old, judge=judge))
        assert only_ids_where_asked(got, case.said) == list(case.said), case.title


def test_a_check_that_is_ignored_stays_so() -> None:
    settings = {"checks": {"service-selects-nothing": {"action": "ignore"}}}
    assert lines(admit(state(SERVICE_OF_FRONT), WITHOUT_TIER, web(), judge=Judge(config(**settings)))) == []
    settings = {"namespaces": [{"match": ["shop"], **settings}]}
    assert lines(admit(state(SERVICE_OF_FRONT), WITHOUT_TIER, web(), judge=Judge(config(**settings)))) == []


def test_mode_off_silences() -> None:
    for off in (
        {"mode": "off"},
        {"namespaces": [{"match": ["clients"], "mode": "off"}]},  # where the change is made
        {"namespaces": [{"match": ["shop"], "mode": "off"}]},  # where the policy is
    ):
        assert lines(admit(state(FOR_TEAM_A), WITHOUT_TEAM, clients(), judge=Judge(config(**off)))) == [], off
    labelled = SHOP.replace("{name: shop}", "{name: shop, labels: {netadmit.io/mode: 'off'}}")
    assert lines(admit(cluster(f"{labelled}---{FOR_TEAM_A}"), WITHOUT_TEAM, clients())) == []
    switched = clients("stage: live, netadmit.io/mode: 'off'")
    assert lines(admit(state(FOR_TEAM_A), switched, clients())) == []
    warned = {"mode": "warn", "enforce": ["namespace-not-found"]}
    assert len(lines(admit(state(FOR_TEAM_A), WITHOUT_TEAM, clients(), judge=Judge(config(**warned))))) == 1


def test_waivers_of_the_dependent_and_of_its_namespace_count() -> None:
    waiver = "annotations: {netadmit.io/ignore.namespace-not-found: on purpose}"
    waived = FOR_TEAM_A.replace("namespace: shop}", f"namespace: shop, {waiver}}}")
    judgement = admit(state(waived), WITHOUT_TEAM, clients())
    assert lines(judgement) == []
    [ruling] = judgement.verdict.rulings
    assert (ruling.action, ruling.waived) == (Action.IGNORE, "on purpose")
    of_namespace = SHOP.replace("{name: shop}", f"{{name: shop, {waiver}}}")
    assert lines(admit(cluster(f"{of_namespace}---{FOR_TEAM_A}"), WITHOUT_TEAM, clients())) == []
    nobody = config(checks={"namespace-not-found": {"waivers": "none"}})
    assert len(lines(admit(state(waived), WITHOUT_TEAM, clients(), judge=Judge(nobody)))) == 1


def test_one_defect_one_voice() -> None:
    """That a policy selects nothing says that it isolates nobody, and lets in nobody."""
    [ruling] = admit(state(OF_FRONT), WITHOUT_TIER, web()).verdict.rulings
    assert ruling.check == "selector-matches-nothing"
    assert "no policy isolates ingress of 1 pod then" in ruling.finding.line
    assert ruling.finding.path == "spec.podSelector"
    assert ruling.object.kind == "Deployment"


@pytest.mark.parametrize(
    ("written", "kinds"),
    [
        (["Namespace"], {NAMESPACE}),
        (["namespaces", "NS"], {NAMESPACE}),
        (["v1/Namespace"], {NAMESPACE}),
        (["deploy", "statefulsets", "DaemonSet"], {DEPLOYMENT, STATEFUL_SET, DAEMON_SET}),
        (["deployments.apps", "apps/v1/StatefulSet", "apps/daemonset"], {DEPLOYMENT, STATEFUL_SET, DAEMON_SET}),
        (["workloads"], {DEPLOYMENT, STATEFUL_SET, DAEMON_SET}),
        (["Workloads", "sts", "ns"], set(WATCHABLE)),
        ([], set()),
    ],
)
def test_the_kinds_may_be_written_as_kubectl_has_them(written: list[str], kinds: set[str]) -> None:
    assert config(watchKinds=written).watched == kinds


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (["Namespace", "Deploymnt"], "watchKinds[1]: 'Deploymnt' cannot be watched, did you mean 'Deployment'?"),
        (["namespces"], "watchKinds[0]: 'namespces' cannot be watched, did you mean 'Namespace'?"),
        (["workload"], "did you mean 'workloads'?"),
        (
            ["Pod"],
            "watchKinds[0]: 'Pod' cannot be watched; these can: Namespace, Deployment, StatefulSet, DaemonSet, work",
        ),
        (["ReplicaSet"], "'ReplicaSet' cannot be watched"),
        ([""], "'' cannot be watched"),
        ([7], "watchKinds[0]: Expected `str`, got `int`"),
        ("Namespace", "watchKinds: Expected `array`, got `str`"),
        ({"Namespace": True}, "watchKinds: Expected `array`, got `object`"),
    ],
)
def test_other_kinds_are_refused(written: Any, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        config(watchKinds=written)
    assert said in str(error.value)


def test_the_schema_names_the_kinds() -> None:
    words = json_schema()["properties"]["watchKinds"]["items"]["enum"]
    assert words == [*ALL, "workloads"]
    for word in words:
        assert config(watchKinds=[word]).watched


# --- only where it is asked for ---------------------------------------------------------------------------------------


def test_nothing_is_watched_by_default() -> None:
    assert Config().watched == frozenset()
    unwatched = Judge(parse_config({"apiVersion": "netadmit.io/v1", "kind": "Config"}))
    for case in CASES:
        judgement = admit(state(*case.there), case.new, case.old, judge=unwatched)
        assert judgement == Judgement(judgement.verdict)
        assert judgement.verdict.rulings == ()


def test_only_the_named_kinds_are() -> None:
    judge = Judge(config(watchKinds=["StatefulSet"]))
    for case in CASES:
        assert lines(admit(state(*case.there), case.new, case.old, judge=judge)) == []


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.id)
def test_nothing_else_changes_by_it(check: Check) -> None:
    """The same is said of policies and Services, whether or not anything is watched."""

    def said(example: Example, judge: Judge) -> Judgement:
        found = FileState(complete=not example.partial)
        found.load(["-"], stdin=io.BytesIO(example.cluster.encode()))
        new, old = judged(example.object), judged(example.old)
        shown = new or old
        assert shown is not None
        operation = "DELETE" if new is None else "UPDATE" if old else "CREATE"
        named = {"kind": shown.kind, "namespace": shown.metadata.namespace, "name": shown.metadata.name}
        return judge.admit(Request(uid="1", operation=operation, new=new, old=old, **named), found.cluster)

    for example in (*check.bad, *check.good):
        if example.view is View.ADMISSION:
            assert said(example, Judge()) == said(example, Judge(Config(watch_kinds=ALL))), example.title


def test_the_checks_that_are_looked_at_again_exist() -> None:
    assert {c.id for c in all_checks()} >= REVEALED


# --- the request ------------------------------------------------------------------------------------------------------


def test_a_status_or_scale_is_not_looked_at() -> None:
    there = state(SERVICE_OF_FRONT)
    assert lines(admit(there, WITHOUT_TIER, web(), subResource="scale")) == []
    assert lines(admit(there, WITHOUT_TIER, web(), operation="CONNECT")) == []
    assert lines(admit(there, WITHOUT_TIER, web(), operation="CREATE")) == []


def test_names_may_stand_in_the_request_alone() -> None:
    """DELETECOLLECTION names nothing, and whoever writes a review by hand may leave out what is said twice."""
    there = state(FOR_TEAM_A, SERVICE_OF_FRONT)
    whole = lines(admit(there, None, clients()))
    assert lines(admit(there, None, clients(), name=None, namespace=None)) == whole != []
    new, old = copy.deepcopy(WITHOUT_TIER), web()
    whole = lines(admit(there, new, old))
    bare = [{**o, "metadata": {}} for o in (new, old)]
    request = json.loads(review(new, old))
    request["request"] |= {"object": bare[0], "oldObject": bare[1]}
    judge = Judge(config())
    assert (
        judge.admit(decode_review(json.dumps(request).encode(), judge.config.watched), there).verdict.warnings == whole
    )


def test_what_is_of_the_wrong_shape_is_named() -> None:
    wrong = {**web(), "spec": {"template": {"metadata": {"labels": {"app": 7}}}}}
    with pytest.raises(ReviewError, match=r"request\.object\.spec\.template\.metadata\.labels"):
        decode_review(review(wrong, web()), config().watched)
    assert decode_review(review(wrong, web())).shown is None, "nobody looks at it where it is not watched"


# --- the state stays as it is -----------------------------------------------------------------------------------------


def crashing(_: Context) -> Iterator[Finding]:
    raise RuntimeError("broken")
    yield


def test_a_check_that_crashes_leaves_the_state_and_the_others_alone() -> None:
    broken = [
        Check(**{f: getattr(c, f) for f in c.__struct_fields__} | {"run": crashing})
        if c.id == "target-port-unresolved"
        else c
        for c in all_checks()
    ]
    seen: list[str] = []
    judge = Judge(config(), broken, on_crash=lambda crash: seen.append(crash.check))
    there = state(SERVICE_OF_FRONT, OF_FRONT)
    judgement = admit(there, web(ports="[{name: web, containerPort: 8080}]"), web(), judge=judge)
    assert [r.check for r in judgement.verdict.rulings] == ["named-port-unresolved"]
    assert set(seen) == {"target-port-unresolved"}


def test_a_crash_beside_the_checks_denies_nothing_and_leaves_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Iterator[tuple[str, Finding]]:
        raise RuntimeError("broken")
        yield

    monkeypatch.setattr(pipeline.Survey, "losses", broken)
    judgement = admit(state(FOR_TEAM_A), WITHOUT_TEAM, clients())
    assert [crash.check for crash in judgement.crashes] == ["watchKinds"]
    assert judgement.verdict.warnings == []


def test_who_follows_the_state_hears_nothing_of_it() -> None:
    there = state(FOR_TEAM_A, SERVICE_OF_FRONT, WEBHOOK)
    auditor = Auditor(Judge(), FixedState(there))
    auditor.step()
    deletions = Deletions(lambda: 0.0)
    there.on_removed = deletions.remember
    lines(admit(there, None, clients()))
    lines(admit(there, WITHOUT_TIER, web()))
    assert auditor._stirred == {}
    assert not auditor._stirred_everywhere
    assert deletions.recent(SERVICE, ("clients", "hook")) is None
    assert not there.hypothetical


def test_the_graph_is_that_of_the_state_again() -> None:
    """Whoever asks next gets the same answers as in a cluster in which nobody has supposed anything."""
    texts = (FOR_TEAM_A, FOR_ACCESS, OF_FRONT, DENY, SERVICE_OF_FRONT, WEBHOOK)
    used, fresh = state(*texts), state(*texts)
    graph_of(used)
    for case in CASES:
        admit(used, case.new, case.old)
    for example in (FOR_TEAM_A, FOR_ACCESS, OF_FRONT, DENY, SERVICE_OF_FRONT):
        document = yaml.safe_load(example)
        request = decode_review(review(None, document))
        assert Judge().admit(request, used) == Judge().admit(request, fresh)
    was, now = graph_of(fresh), graph_of(used)
    assert {(c.namespace, frozenset(c.of.labels.items())) for c in was.cells.values()} == {
        (c.namespace, frozenset(c.of.labels.items())) for c in now.cells.values()
    }


def test_supposing_is_undone_in_any_order_and_nests() -> None:
    there = state(SERVICE_OF_FRONT)
    there.mention("clients")
    was = contents(there)
    labels = {"kubernetes.io/metadata.name": "new"}
    with there.supposing([Namespace("new", labels)], [(POD, ("shop", "db-0"))]):
        assert there.hypothetical
        assert there.namespace_exists("new")
        assert there.get(POD, ("shop", "db-0")) is None
        with there.supposing(without="clients"):
            assert there.namespace_exists("clients") is False
            assert there.get(POD, ("clients", "caller")) is None
        assert there.hypothetical
        assert there.namespace_exists("clients")
    assert contents(there) == was
    with pytest.raises(KeyError), there.supposing(without="shop"):
        raise KeyError
    assert contents(there) == was
    there.mention("mentioned")
    assert "mentioned" in there.namespace_names()
    with there.supposing(without="mentioned"):
        assert "mentioned" not in there.namespace_names()
    assert "mentioned" in there.namespace_names()
    revision = there.revision(POD)
    with there.supposing(list(there.pods)):
        assert there.revision(POD) == revision, "what is so already is no change"
    assert there.completeness(NETWORK_POLICY) is Completeness.COMPLETE


# --- large clusters ---------------------------------------------------------------------------------------------------


def test_what_very_many_depend_on_is_bounded() -> None:
    """Thousands of policies that all name one namespace's label: as many steps as any other admission, and said so."""
    there = state(*(FOR_TEAM_A.replace("name: db", f"name: db-{i}") for i in range(4_000)))
    judgement = Judge(config()).admit(decode_review(review(WITHOUT_TEAM, clients()), config().watched), there)
    said = judgement.verdict.warnings
    assert said
    assert sum(map(len, said)) <= 4096
    assert said[-1].startswith("netadmit: ")
    assert any("too much to look at" in told for told in judgement.unknown), judgement.unknown
    counted = Judge(config(disclose="namespace")).admit(
        decode_review(review(WITHOUT_TEAM, clients()), config().watched), there
    )
    assert len(counted.verdict.warnings) == 1


def test_what_cannot_be_looked_through_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MOST_STEPS", MOST_STEPS // 100_000)
    judgement = admit(state(FOR_TEAM_A), WITHOUT_TEAM, clients())
    assert judgement.verdict.warnings == []
    assert judgement.unknown == ("not all was looked through for what depends on Namespace clients",)


# --- the corpus -------------------------------------------------------------------------------------------------------


def with_pods(documents: list[Object]) -> list[Object]:
    """The objects, and two pods of every workload as its controller makes them."""
    made = []
    for number, document in enumerate(documents):
        if document["kind"] not in ("Deployment", "StatefulSet", "DaemonSet"):
            continue
        template, name = document["spec"]["template"], document["metadata"]["name"]
        owner = {"kind": document["kind"], "name": name, "controller": True}
        labels = dict(template["metadata"].get("labels", {}))
        if document["kind"] == "Deployment":
            owner |= {"kind": "ReplicaSet", "name": f"{name}-5d9f"}
            labels["pod-template-hash"] = "5d9f"
        for i in range(2):
            metadata = {"name": f"{owner['name']}-{i}", "namespace": document["metadata"].get("namespace", "default")}
            status = {
                "phase": "Running",
                "podIP": f"10.244.{number}.{i + 1}",
                "conditions": [{"type": "Ready", "status": "True"}],
            }
            made.append(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {**metadata, "labels": labels, "ownerReferences": [owner]},
                    "spec": copy.deepcopy(template.get("spec", {})),
                    "status": status,
                }
            )
    return [*documents, *made]


def running(name: str) -> tuple[Cluster, list[Object]]:
    """A configuration of the corpus, as it runs in its cluster; and its own objects."""
    own = [*configurations.read(name), *configurations.read(name, "made")]
    around = [d for d in yaml.safe_load_all(configurations.CLUSTER.read_text()) if d and d["kind"] != "Snapshot"]
    return cluster(yaml.safe_dump_all(with_pods([*around, *own]))), own


def changed(document: Object, change: Callable[[Object], object]) -> Object:
    found = copy.deepcopy(document)
    change(found)
    return found


def template(document: Object) -> Object:
    found: Object = document["spec"]["template"]
    return found


SOUND: dict[str, Callable[[Object], object]] = {
    "restart": lambda d: (
        template(d)["metadata"].setdefault("annotations", {}).update({"kubectl.kubernetes.io/restartedAt": "now"})
    ),
    "version": lambda d: template(d)["metadata"]["labels"].update(
        {"app.kubernetes.io/version": "9", "helm.sh/chart": "x-9"}
    ),
    "label": lambda d: template(d)["metadata"]["labels"].update({"team": "blue"}),
    "sidecar": lambda d: template(d)["spec"]["containers"].append(
        {"name": "proxy", "ports": [{"containerPort": 15090, "name": "http-envoy"}]}
    ),
}


@pytest.mark.parametrize("name", configurations.NAMES)
def test_sound_changes_of_sound_configurations_are_silent(name: str) -> None:
    there, own = running(name)
    for document in own:
        if document["kind"] == "Namespace":
            for labels in ({"pod-security.kubernetes.io/enforce": "baseline"}, {"istio-injection": "enabled"}):
                new = changed(document, lambda d, labels=labels: d["metadata"].setdefault("labels", {}).update(labels))
                assert lines(admit(there, new, document)) == []
        elif document["kind"] in ALL:
            for what, change in SOUND.items():
                assert lines(admit(there, changed(document, change), document)) == [], what


@pytest.mark.parametrize("name", configurations.NAMES)
def test_an_upgrade_in_helm_s_order_is_silent(name: str) -> None:
    """Policies and Services of the next version are there when its workloads come."""
    there, _ = running(name)
    new = configurations.upgraded(name)
    for record in cluster(yaml.safe_dump_all([d for d in new if d["kind"] in ("NetworkPolicy", "Service")])).services:
        there.put(record)
    for policy in cluster(yaml.safe_dump_all([d for d in new if d["kind"] == "NetworkPolicy"])).policies:
        there.put(policy)
    old = {(d["kind"], d["metadata"]["name"]): d for d in configurations.read(name)}
    for document in new:
        if document["kind"] in WORKLOADS:
            assert lines(admit(there, document, old[document["kind"], document["metadata"]["name"]])) == []


def test_silence_there_is_no_deafness() -> None:
    """A workload of each that loses a label by which a Service finds it: every time it is told."""
    told = 0
    for name in configurations.NAMES:
        there, own = running(name)
        for document in own:
            if document["kind"] not in WORKLOADS or "ownerReferences" in document["metadata"]:
                continue
            labels = template(document)["metadata"].get("labels", {})
            for service in there.services_in(document["metadata"].get("namespace", "default")):
                selector = service.spec.selector
                if not selector or not selector.items() <= labels.items():
                    continue
                key = next(iter(selector))
                new = changed(
                    document, lambda d, key=key: template(d)["metadata"]["labels"].update({key: "quite-other"})
                )
                said = lines(admit(there, new, document))
                others = [
                    p
                    for p in there.pods
                    if selector.items() <= p.labels.items() and not p.name.startswith(document["metadata"]["name"])
                ]
                if not others:
                    assert any("service-selects-nothing" in line for line in said), (
                        name,
                        document["metadata"]["name"],
                        said,
                    )
                    told += 1
    assert told >= 40


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def netadmit(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capfd, monkeypatch)


def test_review_looks_at_them_where_the_configuration_says_so(netadmit: Command) -> None:
    netadmit.write("state.yaml", SHOP, FOR_TEAM_A)
    netadmit.write("config.yaml", "{apiVersion: netadmit.io/v1, kind: Config, watchKinds: [namespaces]}")
    (netadmit.folder / "review.json").write_bytes(review(WITHOUT_TEAM, clients()))
    base = ("review", "review.json", "--cluster=state.yaml")
    assert "warnings" not in netadmit(*base).json["response"]
    watched = netadmit(*base, "--config=config.yaml")
    assert watched.json["response"]["allowed"] is True
    [line] = watched.json["response"]["warnings"]
    assert "1 policy in another namespace" in line
    assert watched.code == 0
    assert netadmit(*base, "--config=config.yaml", "--fail-on=warning").code == 1
    netadmit.write("config.yaml", "{apiVersion: netadmit.io/v1, kind: Config, watchKinds: [Namespaec]}")
    wrong = netadmit(*base, "--config=config.yaml")
    assert wrong.code == 2
    assert "watchKinds[0]: 'Namespaec' cannot be watched, did you mean 'Namespace'?" in wrong.err


def test_in_files_they_are_state_that_arrives(netadmit: Command) -> None:
    netadmit.write("all.yaml", SHOP, FOR_TEAM_A)
    netadmit.write("config.yaml", "{apiVersion: netadmit.io/v1, kind: Config, watchKinds: [Namespace, workloads]}")
    plain, watched = (netadmit("check", "all.yaml", "-o", "json", *more) for more in ((), ("--config=config.yaml",)))
    assert plain == watched


def test_a_generated_cluster_with_all_kinds_of_changes() -> None:
    """Hundreds of changes in one cluster, which is as it was afterwards."""
    there = Cluster.of(records(SIZES["S"]), complete=True)
    judge = Judge(config())
    was = contents(there)
    told = 0
    for workload in [*there.workloads(DEPLOYMENT, STATEFUL_SET, DAEMON_SET)]:
        for key in workload.labels:
            labels = {k: v for k, v in workload.labels.items() if k != key}
            judgement = judge.admit(asked(workload, msgspec.structs.replace(workload, labels=labels)), there)
            assert not judgement.crashes
            assert not judgement.verdict.denied
            told += bool(judgement.verdict.warnings)
    assert told > 20
    assert contents(there) == was


def test_what_is_said_to_be_cut_is_cut() -> None:
    """Told of every change of a label in a cluster as people have them, and asked of two clusters made anew."""
    there = Cluster.of(records(SIZES["S"]), complete=True)
    judge = Judge(config())
    checked = 0
    for workload in [*there.workloads(DEPLOYMENT, STATEFUL_SET)]:
        for key in workload.labels:
            after = msgspec.structs.replace(workload, labels={**workload.labels, key: "quite-other"})
            judgement = judge.admit(asked(workload, after), there)
            cuts = [
                r.finding.means.removeprefix("cuts ") for r in judgement.verdict.rulings if r.check == "cuts-on-removal"
            ]
            if not cuts:
                continue
            removed = {(flow.src, flow.dst): flow.ports for flow in lost_between(there, workload, after)}
            for cut in cuts:
                ends, _, ports = cut.partition(" and ")[0].partition(" on ")
                source, destination = (
                    end if end.count("/") > 1 else f"{workload.namespace}/{end}" for end in ends.split(" -> ")
                )
                if "the outside" in ends:
                    continue
                assert (source, destination) in removed, cut
                assert set(ports.split(", ")) & set(removed[source, destination]) or removed[source, destination] == [
                    "all"
                ]
                checked += 1
    assert checked > 10


def asked(before: Workload, after: Workload) -> Request:
    named = {"kind": before.kind, "namespace": before.namespace, "name": before.name}
    return Request(uid="1", operation="UPDATE", shown=before, becomes=after, **named)


def lost_between(there: Cluster, before: Workload, after: Workload) -> list[Flow]:
    """The flows that are lost, by `netadmit diff` of the state and a copy in which all pods have been made anew."""
    then = there.copy()
    then.put(after)
    for pod in list(then.pods):
        if pod.workload == before.workload:
            then.put(msgspec.structs.replace(pod, labels={**pod.labels, **after.labels}))
    for template in list(then.workloads(REPLICA_SET)):
        if template.workload == before.workload:
            then.remove(template.kind, template.key)
    return list(difference(Graph(there), Graph(then)).removed)
