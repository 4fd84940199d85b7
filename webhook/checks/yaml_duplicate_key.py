"""A mapping key written twice in one YAML mapping."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.model.manifest import format_path


def run(ctx: Context) -> Iterator[Finding]:
    if ctx.manifest is None:
        return
    for duplicate in ctx.manifest.duplicate_keys:
        key = duplicate.path[-1]
        path = format_path(duplicate.path)
        means = f"kubectl drops the first (line {duplicate.first.line})"
        yield Finding(
            path,
            f"{key} stands here twice",
            "merge the two",
            value=path,
            means=means,
            detail="nothing is said of it, not even by a dry run on the server",
        )


CHECK = Check(
    id="yaml-duplicate-key",
    level=Level.ERROR,
    summary="a key stands twice in one mapping",
    rationale="YAML forbids equal keys; kubectl keeps the last and drops the first silently, even with a server dry run "
    "and strict validation. A second `podSelector` or `ingress` replaces the first.",
    remedy="Merge the two, or delete the one that is not meant.",
    run=run,
    judges=(),
    files_only=True,
    bad=(
        Example(
            title="two egress blocks",
            object="""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  podSelector: {}
  egress:
    - ports: [{port: 443}]
  egress:
    - ports: [{port: 53, protocol: UDP}]
""",
            view=View.CHECK,
            says="egress stands here twice: kubectl drops the first (line 7)",
        ),
        Example(
            title="in any document",
            object="""
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data:
  level: debug
  level: info
""",
            view=View.CHECK,
            says="level stands here twice",
        ),
    ),
    good=(
        Example(
            title="equal keys in different mappings",
            object="""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  podSelector: {}
  egress:
    - ports: [{port: 443}]
    - ports: [{port: 53, protocol: UDP}]
""",
            view=View.CHECK,
        ),
    ),
)
