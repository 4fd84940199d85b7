"""A waiver annotation that waives nothing."""

from collections.abc import Iterator, Mapping

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.model.manifest import format_path
from webhook.model.objects import WAIVER_PREFIX
from webhook.model.selectors import nearest


def run(ctx: Context) -> Iterator[Finding]:
    if ctx.manifest is None:
        return
    metadata = ctx.manifest.data.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    for key, reason in annotations.items() if isinstance(annotations, Mapping) else ():
        if not isinstance(key, str) or not key.startswith(WAIVER_PREFIX):
            continue
        path = format_path(("metadata", "annotations", key))
        check = key.removeprefix(WAIVER_PREFIX)
        if check not in ctx.check_ids:
            near = nearest(check, ctx.check_ids)
            remedy = f"write {WAIVER_PREFIX}{near}" if near else "netadmit checks lists them"
            yield Finding(path, f"there is no check {check}", remedy, value=check, means="this waives nothing")
        elif not str(reason or "").strip():
            message = f"the waiver of {check} has no reason"
            yield Finding(path, message, "say why it is right here", value=check, means="this waives nothing")


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api
  namespace: shop
  annotations: {{netadmit.io/ignore.{waiver}}}
spec: {{podSelector: {{}}}}
"""

CHECK = Check(
    id="waiver-unknown",
    level=Level.WARNING,
    summary="a waiver names no check, or gives no reason",
    rationale="`netadmit.io/ignore.<check-id>: <reason>` waives one check. With a misspelt id, or without a reason, it "
    "waives nothing, and nobody would notice.",
    remedy="Write the id as `netadmit checks` lists it, and a reason that the next reader understands.",
    run=run,
    judges=(),
    files_only=True,
    bad=(
        Example(
            title="a misspelt id",
            object=_POLICY.format(waiver="peer-matches-nothin: clients come later"),
            view=View.CHECK,
            says="write netadmit.io/ignore.peer-matches-nothing",
        ),
        Example(
            title="no reason",
            object=_POLICY.format(waiver='peer-matches-nothing: ""'),
            view=View.CHECK,
            says="has no reason: this waives nothing",
        ),
    ),
    good=(
        Example(
            title="a known check and a reason",
            object=_POLICY.format(waiver="peer-matches-nothing: clients come later"),
            view=View.CHECK,
        ),
    ),
)
