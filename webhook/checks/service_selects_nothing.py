"""A Service whose selector matches no pod and no template."""

import re
from collections.abc import Iterator
from typing import Final

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.evidence import nothing_selected, slip_in_selector
from webhook.model.objects import POD, WORKLOADS, Service

_ROLES: Final = frozenset(
    {
        *("leader", "follower", "master", "slave", "primary", "secondary", "replica", "active", "passive", "standby"),
        *("writer", "reader"),
    }
)
"""What pods say of themselves once they know."""


def run(ctx: Context) -> Iterator[Finding]:
    spec = ctx.service.spec
    # Without a selector the endpoints are somebody else's; an ExternalName has none (endpointslice_controller.go).
    if spec.type == "ExternalName" or not spec.selector:
        return
    selector = ctx.compile_labels(spec.selector)
    here = {ctx.namespace}
    if ctx.select(selector, here):
        return
    if slip := slip_in_selector(ctx, selector, "spec.selector"):
        yield slip
        return
    if isinstance(ctx.old, Service) and ctx.old.spec.selector and ctx.old.spec.type != "ExternalName":
        was = ctx.compile_labels(ctx.old.spec.selector)
        if ctx.select(was, here):
            what = f"selector {selector} matches no pod"
            yield Finding("spec.selector", what, "compare labels", value=str(selector), means=f"the old {was} did")
            return
    nothing = nothing_selected(ctx, selector, "spec.selector", "leads nowhere", is_expected=lambda: _is_one_of_two(ctx))
    if nothing is not None:
        yield nothing


def _is_one_of_two(ctx: Context) -> bool:
    """Whether it and another Service are apart by one role only, which their common workload does not set.

    One leads to the active and the other to the standby, one to the leader and the other to every pod: the pods label
    themselves as they run, and it may be that none leads yet.
    """
    own = ctx.service.spec.selector
    if len(own) < 2:
        return False
    for other in ctx.cluster.services_in(ctx.namespace):
        theirs = other.spec.selector
        ctx.spend(1 + len(theirs))
        apart = [key for key in own if theirs.get(key) != own[key]]
        if len(apart) != 1 or not theirs or theirs.keys() - own.keys():
            continue
        (key,) = apart
        if not (_is_role(key, own[key]) or _is_role(key, theirs.get(key, ""))):
            continue
        rest = ctx.compile_labels({k: v for k, v in own.items() if k != key})
        templates = [t for c in ctx.select(rest, {ctx.namespace}) for t in c.templates.values()]
        ctx.spend(len(templates))
        if len({t.workload for t in templates}) == 1 and all(key not in t.labels for t in templates):
            return True
    return False


def _is_role(key: str, value: str) -> bool:
    """``role: primary``, ``vault-active: "true"``."""
    words = re.split(r"[^a-z]+", key.lower()) if value in {"true", "false"} else [value.lower()]
    return not _ROLES.isdisjoint(words)


_PODS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {template: {metadata: {labels: {app: api, tier: back}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: batch-1, namespace: jobs, labels: {app: batch}}
"""
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: api, namespace: shop}}
spec: {{selector: {{{labels}}}, ports: [{{port: 80}}]}}
"""
_LABELLED = _SERVICE.replace("metadata: {{", "metadata: {{labels: {{app.kubernetes.io/managed-by: Helm}}, ")

CHECK = Check(
    id="service-selects-nothing",
    level=Level.WARNING,
    summary="a Service's selector matches no pod and no pod template",
    rationale="A Service sends traffic to the pods that carry every label of its selector. One that matches nothing has "
    "no endpoints: connections are refused or hang. While a chart is being installed, Services arrive before their "
    "Deployments: so on CREATE this needs evidence of a mistake, and so does an UPDATE that leaves the spec alone, or the "
    "selector of what Helm rendered. Of two Services for one workload that differ in one role, which the pods give "
    "themselves (active and standby; the leader and all), it is a note.",
    remedy="Compare the selector with the labels of the pods: kubectl get pods --show-labels.",
    run=run,
    judges=(Service.kind,),
    rests_on=(POD, *WORKLOADS),
    bad=(
        Example(
            title="a misspelt value",
            cluster=_PODS,
            object=_SERVICE.format(labels="app: apii"),
            says="selector app=apii matches no pod: 1 pod template has app=api; write app: api",
        ),
        Example(
            title="one label too many",
            cluster=_PODS,
            object=_SERVICE.format(labels="app: api, tier: bakc"),
            says="write tier: back",
        ),
        Example(
            title="a misspelt label of the pods: their Deployment is called otherwise",
            cluster=_PODS.replace("app: api", "app: apii"),
            object=_SERVICE.format(labels="app: api"),
            says="selector app=api matches no pod: 1 pod template has app=apii; write app: apii",
        ),
        Example(
            title="pods of another namespace",
            cluster=_PODS,
            object=_SERVICE.format(labels="app: batch"),
            says="selector app=batch: no pod here, 1 in namespace jobs; use -n jobs",
        ),
        Example(
            title="an update that loses its pods",
            cluster=_PODS,
            old=_SERVICE.format(labels="app: api"),
            object=_SERVICE.format(labels="app: storefront"),
            says="the old app=api did",
        ),
        Example(
            title="a complete state in which nothing matches",
            cluster=_PODS,
            object=_SERVICE.format(labels="app: storefront, tier: back"),
            view=View.CHECK,
            says="leads nowhere; compare labels (no pod has app=storefront)",
        ),
        Example(
            title="an update of its ports, while it matches nothing",
            cluster=_PODS,
            old=_SERVICE.format(labels="app: storefront"),
            object=_SERVICE.format(labels="app: storefront").replace("port: 80", "port: 8080"),
            says="leads nowhere; compare labels",
        ),
        Example(
            title="an update of its labels alone, while it matches nothing: a note",
            cluster=_PODS,
            old=_SERVICE.format(labels="app: api, leader: 'true'"),
            object=_LABELLED.format(labels="app: api, leader: 'true'"),
            level=Level.NOTE,
        ),
        Example(
            title="Helm updates the ports of a Service whose pods label themselves: a note",
            cluster=_PODS,
            old=_LABELLED.format(labels="app: api, leader: 'true'"),
            object=_LABELLED.format(labels="app: api, leader: 'true'").replace("port: 80", "port: 8080"),
            level=Level.NOTE,
        ),
        Example(
            title="one for the leader and one for the rest, of pods that label themselves: a note",
            cluster=_PODS
            + "---"
            + _SERVICE.format(labels="app: api, role: replica").replace("name: api,", "name: api-ro,"),
            object=_SERVICE.format(labels="app: api, role: leader"),
            view=View.CHECK,
            level=Level.NOTE,
        ),
        Example(
            title="one for the leader and one for all, of pods that label themselves: a note",
            cluster=_PODS + "---" + _SERVICE.format(labels="app: api").replace("name: api,", "name: api-all,"),
            object=_SERVICE.format(labels="app: api, operator: leader"),
            view=View.CHECK,
            level=Level.NOTE,
        ),
        Example(
            title="one label too many, beside a Service that has it right",
            cluster=_PODS + "---" + _SERVICE.format(labels="app: api").replace("name: api,", "name: api-all,"),
            object=_SERVICE.format(labels="app: api, layer: edge"),
            view=View.CHECK,
            says="leads nowhere",
        ),
        Example(
            title="two Services for parts of one Deployment, whose template names no part",
            cluster=_PODS
            + "---"
            + _SERVICE.format(labels="app: api, part: admin").replace("name: api,", "name: api-admin,"),
            object=_SERVICE.format(labels="app: api, part: shop"),
            view=View.CHECK,
            says="leads nowhere; compare labels (no pod has part=shop)",
        ),
        Example(
            title="a label of yes or no that no template has, beside a Service for all pods",
            cluster=_PODS + "---" + _SERVICE.format(labels="app: api").replace("name: api,", "name: api-all,"),
            object=_SERVICE.format(labels="app: api, metrics: 'true'"),
            view=View.CHECK,
            says="leads nowhere; compare labels (no pod has metrics=true)",
        ),
        Example(
            title="sent before its Deployment: a note, judged again later",
            cluster=_PODS,
            object=_SERVICE.format(labels="app: storefront"),
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="a template matches", cluster=_PODS, object=_SERVICE.format(labels="app: api")),
        Example(
            title="without a selector",
            cluster=_PODS,
            object="""
apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: shop}
spec: {ports: [{port: 5432}]}
""",
        ),
        Example(
            title="a second release of the same chart, sent before its pods",
            cluster=_PODS.replace("app: api", "app.kubernetes.io/name: api, app.kubernetes.io/instance: blue"),
            object=_SERVICE.format(labels="app.kubernetes.io/name: api, app.kubernetes.io/instance: blu"),
            view=View.ADMISSION,
            partial=True,
        ),
        Example(
            title="another application, whose name is near to that of one that is there",
            cluster=_PODS,
            object=_SERVICE.format(labels="app: apis").replace("name: api,", "name: apis-headless,"),
            partial=True,
        ),
        Example(
            title="the same chart in a second namespace",
            cluster=_PODS,
            object="""
apiVersion: v1
kind: Service
metadata: {name: batch, namespace: shop, labels: {app.kubernetes.io/managed-by: Helm}}
spec: {selector: {app: batch}, ports: [{port: 80}]}
""",
            partial=True,
        ),
        Example(
            title="what an operator made, whose pods are yet to come",
            cluster=_PODS,
            object="""
apiVersion: v1
kind: Service
metadata:
  name: batch-operated
  namespace: shop
  ownerReferences: [{apiVersion: example.com/v1, kind: Batch, name: batch, uid: "1", controller: true}]
spec: {selector: {app: batch}, ports: [{port: 80}]}
""",
            partial=True,
        ),
    ),
)
