"""A rule whose list of peers is empty: that is everyone, not nobody."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level, View, enumerate_some
from webhook.model.manifest import value_at
from webhook.model.objects import LAST_APPLIED, NetworkPolicy, NetworkPolicyRule
from webhook.written import Written, written_of


def run(ctx: Context) -> Iterator[Finding]:
    directions = ctx.policy.directions
    written: Written | None = None
    looked = False
    for path, rule in ctx.policy.rules():
        ctx.spend()
        ingress = path.startswith("spec.ingress")
        # `- {}` says in so many words that everything is let through; dead rules are rules-without-policy-type's.
        if rule.peers or not rule.ports or ("Ingress" if ingress else "Egress") not in directions:
            continue
        if not looked:
            written, looked = written_of(ctx), True
        word = "from" if ingress else "to"
        said = _said(written, path, word)
        # A port to anywhere is what most egress rules for DNS and for the outside are meant to be.
        if ingress or said:
            yield _finding(ctx, f"{path}.{word}", rule, word, said)


def _said(written: Written | None, path: str, word: str) -> str:
    """How the text writes an empty list of peers: ``from: []``, ``from: null``; empty where it leaves it out."""
    if written is None:
        return ""
    direction, _, index = path.removeprefix("spec.").rstrip("]").partition("[")
    rule = value_at(written.text, ("spec", direction, int(index)))
    if not isinstance(rule, dict) or word not in rule or rule[word]:
        return ""
    return f"{word}: {'null' if rule[word] is None else '[]'}"


def _finding(ctx: Context, path: str, rule: NetworkPolicyRule, word: str, said: str) -> Finding:
    ctx.spend(4 * len(rule.ports))
    ports = enumerate_some(
        [f"{p.protocol} {p.port or 'any'}{f'-{p.end_port}' if p.end_port else ''}" for p in rule.ports]
    )
    value = f"{word} {ports}"
    if word == "to":
        return Finding(path, f"{said} lets {ports} out to everywhere", "list peers", Level.NOTE, value)
    if not said:
        means = f"lets {ports} in from everyone, also from outside"
        return Finding(path, "no from", "", Level.NOTE, value, means=means)
    message = f"{said} lets everyone in, not nobody"
    detail = f"it lets {ports} in, also from outside the cluster"
    return Finding(path, message, "list peers, or drop it", value=value, detail=detail)


_TEXT = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop{more}}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  {rules}
"""


_POD = """
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
"""


def _policy(rules: str, more: str = "") -> str:
    return _TEXT.format(rules=rules, more=more)


def _applied(rule: str) -> str:
    """What kubectl apply sends for a policy with this rule, as JSON, and records."""
    spec = f'{{"podSelector":{{"matchLabels":{{"app":"api"}}}},"ingress":[{rule}]}}'
    recorded = (
        f'{{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{{"name":"api"}},"spec":{spec}}}'
    )
    return f", annotations: {{{LAST_APPLIED}: '{recorded}'}}"


_ALL_CLIENTS = "ingress: [{ports: [{port: 8080}]}]"

CHECK = Check(
    id="opens-to-everyone",
    level=Level.WARNING,
    summary="an empty list of peers lets everyone in",
    rationale="`from: []` looks like an empty list of those who are let in; it means everyone, clients outside the "
    "cluster included, and so does `from: null`, which templates write for a list that was left empty (API reference of "
    "NetworkPolicyIngressRule: empty or missing matches all sources). Decoding makes both the same as no `from` at all, "
    "by which people do mean everyone: so this is a warning only where the text is known, from a file or from what "
    "kubectl apply recorded in this request.",
    remedy="List the peers. To let in nobody, leave the rule out; to let in everyone, leave `from` out.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="an empty list in a file",
            cluster=_POD,
            object=_policy("ingress: [{from: [], ports: [{port: 8080}]}]"),
            view=View.CHECK,
            says="from: [] lets everyone in, not nobody; list peers, or drop it (it lets TCP 8080 in, also from outside",
        ),
        Example(
            title="a template that left nothing",
            cluster=_POD,
            object=_policy("ingress:\n    - from:\n      ports: [{port: 8080}]"),
            view=View.CHECK,
            says="from: null lets everyone in",
        ),
        Example(
            title="an empty list that kubectl apply recorded",
            cluster=_POD,
            object=_policy(_ALL_CLIENTS, _applied('{"from":[],"ports":[{"port":8080}]}')),
            says="from: [] lets everyone in",
        ),
        Example(
            title="nobody knows how it was written: a note",
            cluster=_POD,
            object=_policy(_ALL_CLIENTS),
            level=Level.NOTE,
            says="no from: lets TCP 8080 in from everyone",
        ),
        Example(
            title="no peers at all in a file: a note",
            cluster=_POD,
            object=_policy(_ALL_CLIENTS),
            view=View.CHECK,
            level=Level.NOTE,
        ),
        Example(
            title="egress to everywhere: a note",
            cluster=_POD,
            object=_policy("egress: [{to: [], ports: [{port: 443}]}]"),
            view=View.CHECK,
            level=Level.NOTE,
            says="to: [] lets TCP 443 out to everywhere",
        ),
    ),
    good=(
        Example(
            title="everything is let in, in so many words",
            cluster=_POD,
            object=_policy("ingress: [{}]"),
            view=View.CHECK,
        ),
        Example(title="nothing is let in", cluster=_POD, object=_policy("ingress: []"), view=View.CHECK),
        Example(
            title="a list of peers",
            cluster=_POD,
            object=_policy("ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}]}]"),
            view=View.CHECK,
        ),
        Example(
            title="DNS, wherever it is", cluster=_POD, object=_policy("egress: [{ports: [{port: 53, protocol: UDP}]}]")
        ),
        Example(
            title="what an earlier kubectl apply recorded",
            cluster=_POD,
            old=_policy("ingress: [{ports: [{port: 80}]}]", _applied('{"from":[],"ports":[{"port":80}]}')),
            object=_policy(_ALL_CLIENTS, _applied('{"from":[],"ports":[{"port":80}]}')),
        ),
    ),
)
