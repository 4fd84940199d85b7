"""A port by a name that no container port of the pods concerned has."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.concerned import PortEntry, port_entries
from webhook.evidence import comes_before_its_pods, is_slip
from webhook.model.objects import POD, WORKLOADS, NetworkPolicy
from webhook.model.selectors import nearest


def run(ctx: Context) -> Iterator[Finding]:
    for entry in port_entries(ctx):
        if isinstance(entry.port, str) and entry.concerned.bearers:
            yield from _judge(ctx, entry, entry.port)


def _judge(ctx: Context, entry: PortEntry, name: str) -> Iterator[Finding]:
    without = [b for b in entry.concerned.bearers if not b.declares(name, entry.protocol)]
    if not without:
        return
    at = f"{entry.path}.port"
    lacking = f"no {entry.protocol} port {name}"
    if len(without) < len(entry.concerned.bearers):
        message = f"{entry.some(ctx, without)} {lacking}"
        yield Finding(at, message, level=Level.NOTE, value=entry.value, means=f"there {entry.effect}")
        return
    early = comes_before_its_pods(ctx, said_before=_said_before(ctx, entry)) and not (
        ctx.old is None and is_slip(name, nearest(name, _names(entry)))
    )
    certain = _stands(ctx, entry, name) and not _is_twin(ctx, entry, name)
    level = Level.WARNING if certain and not early else Level.NOTE
    if entry.concerned.protocols(name):  # under another protocol: FindPort wants both to be the same
        other = " and ".join(sorted(entry.concerned.protocols(name)))
        seen = f"{entry.who} {name} as {other}, not {entry.protocol}"
        remedy = f"write protocol: {other}"
        if not entry.told(ctx):
            seen, remedy = f"{entry.who} {name}, but not as {entry.protocol}", "write its protocol"
    else:
        seen, remedy = f"{entry.who} {lacking}", _instead(ctx, entry, name)
    yield Finding(at, seen, remedy, level, entry.value, means=entry.effect)


def _is_twin(ctx: Context, entry: PortEntry, name: str) -> bool:
    """Whether it is ``https`` beside an ``http`` that is there, or the other way round.

    Charts list both on purpose, and give their pods the second one where TLS is switched on.
    """
    if entry.concerned.protocols(name):
        return False
    twins = {f"{name}s", name.removesuffix("s")} - {name}
    ctx.spend(len(entry.rule.ports))
    listed = twins.intersection(p.port for p in entry.rule.ports if p.protocol == entry.protocol)
    return any(entry.concerned.numbers(twin, entry.protocol) for twin in listed)


def _said_before(ctx: Context, entry: PortEntry) -> bool:
    """Whether the policy had this entry before, for the same pods."""
    old = ctx.old
    if not isinstance(old, NetworkPolicy):
        return False
    rules = old.spec.ingress if entry.direction == "Ingress" else old.spec.egress
    if entry.direction == "Ingress" and old.spec.pod_selector != ctx.policy.spec.pod_selector:
        return False
    ctx.spend(sum(2 + len(rule.ports) + len(rule.peers) for rule in rules))
    return any(
        entry.written in rule.ports and (entry.direction == "Ingress" or rule.peers == entry.rule.peers)
        for rule in rules
    )


def _stands(ctx: Context, entry: PortEntry, name: str) -> bool:
    """Whether "none has it" can be said (CHECKS.md, conduct 7).

    Where not all pods are known it can of pods that were chosen by their labels: others with the same labels are of the
    same make. Of every pod of a namespace it cannot, unless a near name shows the slip.
    """
    if ctx.cluster.pods_known:
        return True
    selectors = (
        [ctx.policy.spec.pod_selector] if entry.direction == "Ingress" else [p.pod_selector for p in entry.rule.peers]
    )
    if all(s is not None and (s.match_labels or s.match_expressions) for s in selectors):
        return True
    ctx.unknown.add("pods: not all are known, so a named port that none of the known ones has was not judged")
    return nearest(name, _names(entry)) is not None


def _names(entry: PortEntry) -> list[str]:
    """The names of the ports that these pods do have, with the entry's protocol."""
    return sorted({p.name for b in entry.concerned.bearers for p in b.ports if p.name and p.protocol == entry.protocol})


def _instead(ctx: Context, entry: PortEntry, name: str) -> str:
    names = _names(entry)
    if not entry.told(ctx):
        return "name it in their containers' ports"
    if not names:
        return "write the number"
    near = nearest(name, names)
    return f"write {near or enumerate_some(names, 4).replace(', ', ' or ')}"


_CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
spec:
  containers: [{name: api, ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}]}]
  initContainers: [{name: proxy, restartPolicy: Always, ports: [{name: mesh, containerPort: 15006}]}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: dns, namespace: shop}
spec:
  template:
    metadata: {labels: {app: dns}}
    spec: {containers: [{name: dns, ports: [{name: dns, containerPort: 53, protocol: UDP}]}]}
"""
_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {selector}
  ingress: [{{ports: [{port}]}}]
"""


def _policy(port: str, selector: str = "{matchLabels: {app: api}}") -> str:
    return _POLICY.format(port=port, selector=selector)


CHECK = Check(
    id="named-port-unresolved",
    level=Level.WARNING,
    summary="a named port that the pods concerned do not have",
    rationale="A port by name means, for each destination pod, its container port of that name and protocol; for "
    "ingress the destinations are the policy's pods, for egress the peers'. A pod without such a port is matched by "
    "nothing and stays isolated, without a word from the API server (k8s.io/endpointslice utils.go FindPort; a "
    "sidecar's ports count). A Service's port name is another thing. While Helm upgrades a release, a port that is new in "
    "the policy is a note: the workloads come last. So is https beside an http that is there: charts list both.",
    remedy="Write the name as it stands under the containers' ports, with the same protocol, or the number.",
    run=run,
    judges=(NetworkPolicy.kind,),
    rests_on=(POD, *WORKLOADS),
    bad=(
        Example(
            title="a misspelt name",
            cluster=_CLUSTER,
            object=_policy("{port: htpp}"),
            says="its pod has no TCP port htpp: lets nothing in; write http",
        ),
        Example(
            title="a name that they do not have at all",
            cluster=_CLUSTER,
            object=_policy("{port: grpc}"),
            says="write http or mesh or metrics",
        ),
        Example(
            title="the name is there under another protocol",
            cluster=_CLUSTER,
            object=_policy("{port: dns, protocol: SCTP}", "{matchLabels: {app: dns}}"),
            says="its pod template has dns as UDP, not SCTP: lets nothing in; write protocol: UDP",
        ),
        Example(
            title="the name is looked for among the peers' ports, not the policy's own",
            cluster=_CLUSTER,
            object="""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dns, namespace: shop}
spec:
  podSelector: {matchLabels: {app: dns}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: dns, protocol: UDP}]}]
""",
            says="its peer pod has no UDP port dns: lets nothing out",
        ),
        Example(
            title="some of the pods lack it",
            cluster=_CLUSTER,
            object=_policy("{port: http}", "{}"),
            says="StatefulSet/dns has no TCP port http",
            level=Level.NOTE,
        ),
        Example(
            title="http and https on purpose, and these pods serve one of them",
            cluster=_CLUSTER,
            object=_policy("{port: http}, {port: https}"),
            says="its pod has no TCP port https",
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(title="they have it", cluster=_CLUSTER, object=_policy("{port: metrics}")),
        Example(title="a sidecar has it", cluster=_CLUSTER, object=_policy("{port: mesh}")),
        Example(
            title="no pod is concerned yet",
            cluster=_CLUSTER,
            object=_policy("{port: grpc}", "{matchLabels: {app: storefront}}"),
        ),
        Example(
            title="every pod of the namespace, of which not all are known",
            cluster=_CLUSTER,
            object=_policy("{port: grpc}", "{}"),
            view=View.CHECK,
            partial=True,
        ),
    ),
)
