"""Rules for a direction that policyTypes leaves out."""

from collections.abc import Iterator

from webhook.check import Check, Context, Example, Finding, Level, View
from webhook.model.objects import NetworkPolicy, NetworkPolicyRule


def run(ctx: Context) -> Iterator[Finding]:
    spec = ctx.policy.spec
    if not spec.policy_types:  # defaulting lists every direction that has rules
        return
    if not set(spec.policy_types) <= {"Ingress", "Egress"}:  # `ingress` is refused: it may well be the missing one
        return
    directions: tuple[tuple[str, tuple[NetworkPolicyRule, ...]], ...] = (
        ("Ingress", spec.ingress),
        ("Egress", spec.egress),
    )
    for direction, dead in directions:
        if direction in spec.policy_types or not dead:
            continue
        # Rules are ORed: one `- {}` allows everything, as a direction that is not listed does; nothing is lost.
        if any(not rule.peers and not rule.ports for rule in dead):
            continue
        word = direction.lower()
        rules_do = f"{word} rule does" if len(dead) == 1 else f"{len(dead)} {word} rules do"
        yield Finding(
            f"spec.{word}",
            f"policyTypes lacks {direction}",
            f"add {direction}",
            value=word,
            means=f"its {rules_do} nothing",
            detail=f"{word} stays as open as without this policy",
        )


_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: api, namespace: shop}}
spec:
  podSelector: {{}}
  {rest}
"""

CHECK = Check(
    id="rules-without-policy-type",
    level=Level.ERROR,
    summary="rules for a direction that policyTypes leaves out are dead",
    rationale="A policy acts only in the directions that policyTypes lists. Rules for another one are accepted and "
    "ignored, silently: whoever wrote them believes that traffic is restricted, and it is open (API reference of "
    "NetworkPolicySpec.policyTypes; Calico logs it, the API server says nothing).",
    remedy="Add the direction to policyTypes, or delete its rules.",
    run=run,
    judges=(NetworkPolicy.kind,),
    bad=(
        Example(
            title="egress rules that do nothing",
            object=_POLICY.format(rest="policyTypes: [Ingress]\n  egress: [{ports: [{port: 443}]}]"),
            says="policyTypes lacks Egress: its egress rule does nothing; add Egress",
        ),
        Example(
            title="ingress rules that do nothing",
            object=_POLICY.format(
                rest="policyTypes: [Egress]\n  ingress: [{from: [{podSelector: {}}]}, {ports: [{port: 80}]}]"
            ),
            says="2 ingress rules do nothing",
        ),
    ),
    good=(
        Example(
            title="a direction that the API server refuses, which is refused-by-api's to say",
            object=_POLICY.format(rest="policyTypes: [ingress]\n  ingress: [{from: [{podSelector: {}}]}]"),
            view=View.CHECK,
        ),
        Example(
            title="both directions listed",
            object=_POLICY.format(rest="policyTypes: [Ingress, Egress]\n  egress: [{ports: [{port: 443}]}]"),
        ),
        Example(
            title="policyTypes left to the API server",
            object=_POLICY.format(rest="egress: [{ports: [{port: 443}]}]"),
        ),
        Example(
            title="the dead rule allows everything, as no rule does",
            object=_POLICY.format(rest="policyTypes: [Ingress]\n  egress: [{}]"),
        ),
    ),
)
