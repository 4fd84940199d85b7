"""A Service whose selector matches pods of several workloads that are not the same thing."""

from collections.abc import Iterator, Sequence
from typing import Final

from webhook.backends import VARIANTS, Backend, backends, find_port, headless
from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.model.objects import Labels, Service, ServicePort

_APP_LABELS: Final = ("app.kubernetes.io/name", "app", "k8s-app", "name")
"""What an application is called (kubernetes.io/docs/concepts/overview/working-with-objects/common-labels, and before)."""
_PART_LABELS: Final = ("app.kubernetes.io/component", "component", "tier", "role")
"""Which part of an application it is."""
_NOT_CHOSEN: Final = ("pod-template-hash", "controller-revision-hash", "pod-template-generation", "chart", "heritage")
"""Labels that controllers and Helm add: no selector should name them."""


def run(ctx: Context) -> Iterator[Finding]:
    if headless(ctx.service.spec):
        return  # gossip and peer discovery span workloads on purpose
    behind = [b for b in backends(ctx) if b.takes_traffic]
    if len(behind) < 2:
        return
    ports = len(ctx.service.spec.ports)
    for port in ctx.service.spec.ports:
        ctx.spend(len(behind) * (4 + (2 * ports if isinstance(port.target_port, str) else 0)))
        if found := _by_port(ctx.service.spec.ports, port, behind):
            odd, outcome = found
            yield _finding(ctx, behind, odd, outcome)
            return
    meant = max(behind, key=lambda b: (b.name == ctx.service.metadata.name, not b.passing, len(b.pods)))
    if odd := [b for b in behind if _different_apps(meant, b)]:
        yield _finding(ctx, behind, odd, "another app")


def _finding(ctx: Context, behind: Sequence[Backend], odd: Sequence[Backend], outcome: str) -> Finding:
    selector = ctx.compile_labels(ctx.service.spec.selector)
    rest = [b for b in behind if b not in odd]
    return Finding(
        "spec.selector",
        f"selector matches {enumerate_some(map(str, odd), 2)}, too",
        _remedy(ctx, rest, odd),
        value=str(selector),
        means=outcome,
        detail=f"{selector} is meant for {enumerate_some(map(str, rest), 2)}",
    )


def _remedy(ctx: Context, rest: Sequence[Backend], odd: Sequence[Backend]) -> str:
    """The label that tells those apart, where there is one."""
    common = dict(rest[0].labels)
    for backend in rest[1:]:
        common = {k: v for k, v in common.items() if backend.labels.get(k) == v}
    telling = [
        (key not in (*_PART_LABELS, *_APP_LABELS), key)
        for key, value in common.items()
        if key not in _NOT_CHOSEN
        and not key.startswith("helm.sh/")
        and key not in ctx.service.spec.selector
        and all(b.labels.get(key) != value for b in odd)
    ]
    if not telling:
        return "add a label that it lacks"
    _, key = min(telling)
    return f"add {key}: {common[key]}"


def _by_port(
    ports: Sequence[ServicePort], port: ServicePort, behind: Sequence[Backend]
) -> tuple[Sequence[Backend], str] | None:
    """The workloads that cannot serve a port as the others do, and what comes of it."""
    target = port.target_port or port.port
    if isinstance(target, int):
        having = [b for b in behind if any(p.number == target for p in b.declared)]
        odd = [b for b in behind if b not in having and _lacks(b, having)] if having else []
        return (odd, f"no port {target} there") if odd else None
    named = {b: b.numbers(target, port.protocol) for b in behind}
    having = [b for b in behind if named[b]]
    odd = [b for b in behind if not named[b] and not _serves(b, ports) and not b.passing and _all_apart(b, having)]
    if having and odd:
        return odd, f"no port named {target} there"
    if having:
        meant = max(having, key=lambda b: len(b.pods))
        odd = [b for b in having if named[b] != named[meant] and _apart(b, meant)]
        if odd:
            return odd, f"{target} is {enumerate_some(map(str, sorted(named[odd[0]])))} there"
    return None


def _lacks(backend: Backend, having: Sequence[Backend]) -> bool:
    """Whether a workload that does not declare a number certainly does not serve it.

    It declares others; or none at all, and is told apart from all that declare it as another part of the application.
    """
    return bool(backend.declared) or backend.kind in {"Job", "CronJob"} or _all_apart(backend, having)


def _serves(backend: Backend, ports: Sequence[ServicePort]) -> bool:
    """Whether it has any of the Service's named ports: by names, one Service may well lead to several workloads."""
    return any(
        isinstance(p.target_port, str) and any(find_port(m, p.target_port, p.protocol) for m in backend.members)
        for p in ports
    )


def _all_apart(backend: Backend, others: Sequence[Backend]) -> bool:
    return all(_apart(backend, other) for other in others)


def _apart(one: Backend, other: Backend) -> bool:
    """Whether labels say that these are two parts of an application, or two applications."""
    for key in (*_PART_LABELS, *_APP_LABELS):
        here, there = one.labels.get(key), other.labels.get(key)
        if here is not None and there is not None:
            if _unlike(here, there):
                return True
        elif key in _PART_LABELS and (said := here or there) is not None and _essence(said):
            return True
    return False


def _different_apps(one: Backend, other: Backend) -> bool:
    """Whether no label says that these are the same application, and one says that they are two."""
    here, there = _apps(one.labels), _apps(other.labels)
    shared = here.keys() & there.keys()
    if any(here[key] == there[key] for key in shared):
        return False
    return any(_unlike(here[key], there[key]) for key in shared)


def _apps(labels: Labels) -> dict[str, str]:
    return {key: labels[key] for key in _APP_LABELS if key in labels}


def _unlike(one: str, other: str) -> bool:
    """Whether two values differ in more than the words that tell versions apart: ``web-v1`` is like ``web-canary``."""
    if one == other:
        return False
    here, there = _essence(one), _essence(other)
    return bool(here) and bool(there) and here != there


def _essence(value: str) -> list[str]:
    words = value.lower().replace("_", "-").replace(".", "-").split("-")
    return [w for w in words if len(w) > 1 and w not in VARIANTS and not w.removeprefix("v").isdigit()]


def _workload(name: str, labels: str, ports: str, kind: str = "Deployment") -> str:
    group = "batch/v1" if kind == "Job" else "apps/v1"
    return f"""
apiVersion: {group}
kind: {kind}
metadata: {{name: {name}, namespace: shop}}
spec:
  template:
    metadata: {{labels: {{{labels}}}}}
    spec: {{containers: [{{name: main, image: {name}, ports: [{ports}]}}]}}
"""


_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{selector: {{{selector}}}, ports: [{{{port}}}]{more}}}
"""
_HTTP = "{name: http, containerPort: 8080}"
_WEB_AND_WORKER = (
    _workload("web", "app: shop, tier: web", _HTTP) + "---" + _workload("worker", "app: shop, tier: worker", "")
)

CHECK = Check(
    id="service-spans-workloads",
    level=Level.WARNING,
    summary="a Service's selector matches workloads that are not the same thing",
    rationale="A Service takes every pod that carries its labels. Where a selector is too wide, a part of the "
    "connections goes to pods that do not serve that port, or are another application: they fail now and then, which "
    "is hard to find. Several workloads of one application with the same ports (canary, blue-green), and headless "
    "Services, by which peers find each other, are meant so.",
    remedy="Select a label that only the pods that are meant have; app.kubernetes.io/component is made for it.",
    run=run,
    judges=(Service.kind,),
    bad=(
        Example(
            title="a worker that carries the same app label",
            cluster=_WEB_AND_WORKER,
            object=_SERVICE.format(selector="app: shop", port="port: 80, targetPort: 8080", more=""),
            says="selector matches Deployment worker, too: no port 8080 there; add tier: web (app=shop is meant for "
            "Deployment web)",
        ),
        Example(
            title="a worker without the named port",
            cluster=_WEB_AND_WORKER,
            object=_SERVICE.format(selector="app: shop", port="port: 80, targetPort: http", more=""),
            says="no port named http there",
        ),
        Example(
            title="other ports",
            cluster=_workload("web", "app: shop", _HTTP)
            + "---"
            + _workload("cache", "app: shop", "{containerPort: 6379}", "StatefulSet"),
            object=_SERVICE.format(selector="app: shop", port="port: 80, targetPort: 8080", more=""),
            view=View.CHECK,
            says="StatefulSet cache, too: no port 8080 there; add a label that it lacks",
        ),
        Example(
            title="a Job that carries the labels of the Deployment",
            cluster=_workload("web", "app: shop", _HTTP) + "---" + _workload("migrate", "app: shop", "", "Job"),
            object=_SERVICE.format(selector="app: shop", port="port: 80, targetPort: 8080", more=""),
            says="Job migrate, too",
        ),
        Example(
            title="two applications",
            cluster=_workload("orders", "app: orders, team: blue", _HTTP)
            + "---"
            + _workload("web", "app: storefront, team: blue", _HTTP),
            object=_SERVICE.format(selector="team: blue", port="port: 80, targetPort: 8080", more=""),
            says="Deployment orders, too: another app; add app: storefront",
        ),
    ),
    good=(
        Example(
            title="a canary",
            cluster=_workload("web", "app: shop, track: stable", _HTTP)
            + "---"
            + _workload("web-canary", "app: shop, track: canary", _HTTP),
            object=_SERVICE.format(selector="app: shop", port="port: 80, targetPort: 8080", more=""),
        ),
        Example(
            title="blue and green, named so in their app labels",
            cluster=_workload("web-blue", "app: web-blue, serves: shop", _HTTP)
            + "---"
            + _workload("web-green", "app: web-green, serves: shop", _HTTP),
            object=_SERVICE.format(selector="serves: shop", port="port: 80, targetPort: http", more=""),
        ),
        Example(
            title="a primary and its replicas serve the same port",
            cluster=_workload("db-primary", "app: db, role: primary", "{containerPort: 5432}", "StatefulSet")
            + "---"
            + _workload("db-read", "app: db, role: read", "{containerPort: 5432}", "StatefulSet"),
            object=_SERVICE.format(selector="app: db", port="port: 5432", more=""),
        ),
        Example(
            title="a headless Service by which the parts find each other",
            cluster=_WEB_AND_WORKER,
            object=_SERVICE.format(selector="app: shop", port="port: 7946", more=", clusterIP: None"),
        ),
        Example(
            title="by its names, one Service leads to two workloads",
            cluster=_workload("web", "app: shop, tier: web", _HTTP)
            + "---"
            + _workload("admin", "app: shop, tier: admin", "{name: admin, containerPort: 9000}"),
            object=_SERVICE.format(
                selector="app: shop",
                port="name: http, port: 80, targetPort: http}, {name: admin, port: 81, targetPort: admin",
                more="",
            ),
        ),
    ),
)
