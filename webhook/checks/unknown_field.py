"""A field that the API does not have."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.model.manifest import format_path


def run(ctx: Context) -> Iterator[Finding]:
    for problem in ctx.decoding.unknown if ctx.decoding else ():
        path = format_path(problem.path)
        means, detail = "kubectl refuses it", "other clients have it dropped without a word"
        yield Finding(path, problem.message, problem.remedy, value=path, means=means, detail=detail)


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {selector}
  policyTypes: [Ingress]
"""

CHECK = Check(
    id="unknown-field",
    level=Level.ERROR,
    summary="a field that the API does not have",
    rationale="kubectl refuses unknown fields; other clients (and kubectl with --validate=false) send them, and the API "
    "server drops them: `podSelector: {app: x}` becomes an empty selector, which isolates every pod of the namespace, "
    "and `ingres:` becomes no rule at all.",
    remedy="Write the field as the API reference spells it, at its place: kubectl explain networkpolicy.spec --recursive.",
    run=run,
    judges=(),
    files_only=True,
    bad=(
        Example(
            title="labels straight under podSelector",
            object=_POLICY.format(selector="{app: api}"),
            view=View.CHECK,
            says='unknown field "spec.podSelector.app"',
        ),
        Example(
            title="a misspelt field",
            object=_POLICY.format(selector="{matchLables: {app: api}}"),
            view=View.CHECK,
            says="matchLabels",
        ),
    ),
    good=(
        Example(
            title="every field is there",
            object=_POLICY.format(selector="{matchLabels: {app: api}}"),
            view=View.CHECK,
        ),
    ),
)
