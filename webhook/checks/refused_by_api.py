"""What the API server would refuse, said before anybody asks it."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.model.manifest import format_path
from webhook.model.validation import refused


def run(ctx: Context) -> Iterator[Finding]:
    if ctx.manifest is None:
        return
    for problem in refused(ctx.manifest.data, ctx.decoding):
        path = format_path(problem.path)
        yield Finding(path, problem.message, problem.remedy, value=path, detail=problem.detail)


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {{}}
  ingress:
    - {rule}
"""

CHECK = Check(
    id="refused-by-api",
    level=Level.ERROR,
    summary="the API server would refuse this NetworkPolicy or Service",
    rationale="What the API server refuses is found out in a pipeline's last step, one mistake at a time. This says all "
    "of it from the file alone, in the API server's words (k8s.io/kubernetes pkg/apis/networking/validation and "
    "pkg/apis/core/validation, 1.37).",
    remedy="Write the field as the message says.",
    run=run,
    judges=(),
    files_only=True,
    bad=(
        Example(
            title="a boolean where a label's text belongs: YAML reads yes as true",
            object=_POLICY.format(rule="{from: [{podSelector: {matchLabels: {access: yes}}}]}"),
            view=View.CHECK,
            says="this is the boolean true",
        ),
        Example(
            title="a port that does not exist",
            object=_POLICY.format(rule="{ports: [{port: 65536}]}"),
            view=View.CHECK,
            says="must be between 1 and 65535, inclusive",
        ),
        Example(
            title="an address with host bits",
            object=_POLICY.format(rule="{from: [{ipBlock: {cidr: 10.0.0.1/8}}]}"),
            view=View.CHECK,
            says="10.0.0.0/8",
        ),
        Example(
            title="a Service with two unnamed ports",
            object="""
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {ports: [{port: 80}, {port: 443}]}
""",
            view=View.CHECK,
            says="Required value",
        ),
    ),
    good=(
        Example(
            title="quoted, in range, aligned",
            object=_POLICY.format(
                rule='{from: [{podSelector: {matchLabels: {access: "yes"}}}, {ipBlock: {cidr: 10.0.0.0/8}}],'
                " ports: [{port: 8000, endPort: 8100}]}"
            ),
            view=View.CHECK,
        ),
    ),
)
