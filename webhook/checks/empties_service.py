"""An update that leaves a Service that had endpoints with none."""

from collections.abc import Collection, Iterator

from webhook.backends import endpoints, matched
from webhook.check import Check, Context, Example, Finding, Level, Operation, count
from webhook.model.cluster import Cluster
from webhook.model.objects import POD, Labels, Pod, Service
from webhook.model.selectors import describe, equality_selector


def run(ctx: Context) -> Iterator[Finding]:
    old, new = ctx.old, ctx.service
    if not isinstance(old, Service) or new.spec.type == "ExternalName" or old.spec == new.spec:
        return
    had = endpoints(old, matched(ctx, old))
    if not had:
        return
    lost = count(len(had), "endpoint")
    if not new.spec.selector:
        if not _filled_by_others(ctx.cluster, old, had):
            yield Finding(
                "spec.selector",
                "its selector is gone",
                f"put back {_as_yaml(old.spec.selector)}",
                means=f"its {lost} {'stays' if len(had) == 1 else 'stay'}, no new pod is found",
            )
        return
    classes = matched(ctx, new)
    if endpoints(new, classes):
        return
    if not ctx.cluster.complete(POD):
        ctx.unknown.add("pods: not all are known, so whether a Service loses its endpoints was not judged")
        return
    if old.spec.selector == new.spec.selector:
        path, remedy = "spec.publishNotReadyAddresses", "leave it on"
        which = "publishNotReadyAddresses off, no pod"
    else:
        now, before = new.spec.selector, old.spec.selector
        changed = {k: v for k, v in now.items() if before.get(k) != v} or now
        path, which = "spec.selector", f"no pod with {equality_selector(changed)}"
        remedy = f"keep {_as_yaml({k: v for k, v in before.items() if now.get(k) != v} or before)}"
    pods = [p for c in classes for p in c.pods.values()]
    yield Finding(
        path,
        f"{which} {'is ready' if pods else 'runs yet' if classes else 'is there'}",
        remedy if classes else "",
        value=describe(new.spec.selector),
        means=f"it loses its {lost}",
        detail=f"of {count(len(pods), 'pod')} with {equality_selector(new.spec.selector)} none is ready"
        if pods
        else "",
    )


def _filled_by_others(cluster: Cluster, service: Service, had: Collection[Pod]) -> bool:
    """Whether somebody fills the Service with addresses that are not its pods': then the selector may go."""
    known = {ip for pod in had for ip in pod.ips}
    return any(not known.issuperset(found.addresses) for found in cluster.slices_of(*service.key))


def _as_yaml(labels: Labels) -> str:
    return ", ".join(f"{k}: {v}" for k, v in labels.items())


_PODS = """
apiVersion: v1
kind: Pod
metadata: {name: blue-0, namespace: shop, labels: {app: web, slot: blue}}
status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: green-0, namespace: shop, labels: {app: web, slot: green}}
status: {phase: Running, podIP: 10.0.0.2, conditions: [{type: Ready, status: "False"}]}
"""
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{{selector}ports: [{{port: 80}}]{more}}}
"""
_BLUE = _SERVICE.format(selector="selector: {app: web, slot: blue}, ", more="")
_GREEN = _SERVICE.format(selector="selector: {app: web, slot: green}, ", more="")

CHECK = Check(
    id="empties-service",
    level=Level.WARNING,
    summary="an update takes all of a Service's endpoints away",
    rationale="From the moment of such an update, connections to the Service fail, though it worked before: the new "
    "selector matches only pods that are not ready, or none that runs yet. Without its selector a Service keeps the "
    "endpoints it has, and loses them one by one as pods are replaced, because nothing updates them any more "
    "(k8s.io/kubernetes pkg/controller/endpointslice syncService).",
    remedy="Wait until the pods of the new selector are ready, then switch.",
    run=run,
    judges=(Service.kind,),
    operations=(Operation.UPDATE,),
    bad=(
        Example(
            title="switched to pods that are not ready",
            cluster=_PODS,
            old=_BLUE,
            object=_GREEN,
            says="no pod with slot=green is ready: it loses its 1 endpoint; keep slot: blue (of 1 pod with app=web,slot=green "
            "none is ready)",
        ),
        Example(
            title="the selector is lost",
            cluster=_PODS,
            old=_BLUE,
            object=_SERVICE.format(selector="", more=""),
            says="its selector is gone: its 1 endpoint stays, no new pod is found; put back app: web, slot: blue",
        ),
        Example(
            title="pods that are not ready are no longer published",
            cluster=_PODS,
            old=_SERVICE.format(selector="selector: {slot: green}, ", more=", publishNotReadyAddresses: true"),
            object=_SERVICE.format(selector="selector: {slot: green}, ", more=""),
            says="publishNotReadyAddresses off, no pod is ready: it loses its 1 endpoint; leave it on",
        ),
    ),
    good=(
        Example(title="switched to pods that are ready", cluster=_PODS, old=_GREEN, object=_BLUE),
        Example(
            title="switched before any was ready",
            cluster=_PODS.replace('"True"', '"False"'),
            old=_BLUE,
            object=_GREEN,
        ),
        Example(title="not all pods are known", cluster=_PODS, old=_BLUE, object=_GREEN, partial=True),
    ),
)
