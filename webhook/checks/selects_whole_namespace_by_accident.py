"""Fields that the API server dropped, so that a policy selects every pod, or has fewer rules than its text."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.model.manifest import format_path, value_at
from webhook.model.objects import NetworkPolicy, NetworkPolicySpec
from webhook.model.schema import FieldProblem
from webhook.written import written_of

_DROPPED: Final = "the API server drops what it does not know, without a word, unless the client asks it to be strict"


def run(ctx: Context) -> Iterator[Finding]:
    written = written_of(ctx)
    if written is None:
        return
    dropped = [problem for problem in written.decoding.unknown if problem.path[0] == "spec"]
    if not dropped and not value_at(written.text, ("spec",)):
        means = "it selects every pod here, lets nobody in"
        yield Finding("spec", "its spec is empty", level=Level.NOTE, value="spec", means=means)
    level = Level.ERROR if ctx.view is View.CHECK else Level.WARNING
    for problem in dropped:
        if meaning := _meaning(problem, written.stored.spec):
            field = format_path(problem.path)
            shown = field.removeprefix("spec.")
            remedy = _remedy(problem, written.text)
            yield Finding(field, f"{shown} is no field", remedy, level, field, means=meaning, detail=_DROPPED)


def _meaning(problem: FieldProblem, stored: NetworkPolicySpec) -> str:
    """What the policy does without the field; empty where nothing that it does became different by much."""
    parent = problem.path[1] if len(problem.path) > 2 else ""
    if parent in ("ingress", "egress"):
        return "it is dropped"
    everything = not stored.pod_selector.match_labels and not stored.pod_selector.match_expressions
    if parent == "podSelector":
        return "every pod is selected" if everything else ""
    # A field of spec itself: a rule list or the selector, by a name that the API does not have.
    lost = str(problem.path[1]).lower()
    if everything and "selector" in lost:
        return "every pod is selected"
    return "its rules are dropped" if lost.startswith(("ing", "eg", "rule")) else ""


def _remedy(problem: FieldProblem, text: Mapping[str, Any]) -> str:
    value = value_at(text, problem.path)
    if problem.path[1:-1] == ("podSelector",) and isinstance(value, str):
        return f"write matchLabels: {{{problem.path[-1]}: {value}}}"
    return problem.remedy


_APPLIED: Final = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api
  namespace: shop
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{{"name":"api"}},"spec":{text}}}
spec: {spec}
"""


def _applied(text: str, spec: str) -> str:
    return _APPLIED.format(text=text, spec=spec)


_ALL: Final = "{podSelector: {}, policyTypes: [Ingress]}"

CHECK = Check(
    id="selects-whole-namespace-by-accident",
    level=Level.ERROR,
    summary="fields were dropped, and what is left selects every pod or has fewer rules",
    rationale="`podSelector: {app: api}` lacks matchLabels, and `ingres:` is no field. Clients that do not validate "
    "strictly (kubectl with --validate=false, many operators and libraries) get such an object accepted: the API server "
    "drops what it does not know, and what is left isolates every pod of the namespace. What reaches a webhook shows no "
    "trace of it; the text that kubectl apply records does.",
    remedy="Write labels under matchLabels, and every field as kubectl explain networkpolicy.spec has it.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="labels straight under podSelector",
            object=_applied('{"podSelector":{"app":"api"}}', _ALL),
            says="podSelector.app is no field: every pod is selected; write matchLabels: {app: api}",
            level=Level.WARNING,
        ),
        Example(
            title="a rule list by a name that the API does not have",
            object=_applied(
                '{"podSelector":{"matchLabels":{"app":"api"}},"ingres":[{"from":[{"podSelector":{}}]}]}',
                "{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}",
            ),
            says="ingres is no field: its rules are dropped; write ingress",
            level=Level.WARNING,
        ),
        Example(
            title="a rule that lost its peers",
            object=_applied(
                '{"podSelector":{},"ingress":[{"form":[{"podSelector":{}}]}]}',
                "{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}",
            ),
            says="ingress[0].form is no field: it is dropped; write from",
            level=Level.WARNING,
        ),
        Example(
            title="an empty spec, in so many words",
            object="""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec: {}
""",
            view=View.CHECK,
            level=Level.NOTE,
        ),
    ),
    good=(
        Example(
            title="every pod is what the text says",
            object=_applied('{"podSelector":{}}', _ALL),
        ),
        Example(
            title="the text was recorded by an earlier request",
            old=_applied('{"podSelector":{"app":"api"}}', _ALL),
            object=_applied('{"podSelector":{"app":"api"}}', "{podSelector: {}, policyTypes: [Ingress, Egress]}"),
        ),
        Example(
            title="the object is not what its text decodes to",
            object=_applied('{"podSelector":{"app":"api"}}', "{podSelector: {matchLabels: {app: api}}}"),
        ),
        Example(
            title="the text is no JSON",
            object=_applied('{"podSelector":', _ALL),
        ),
    ),
)
