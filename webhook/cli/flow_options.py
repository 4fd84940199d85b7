"""What the commands about flows have in common."""

import argparse
import sys
from importlib import import_module
from typing import Any

from webhook.model.cluster import Cluster
from webhook.model.objects import ENGINE_POLICIES, NAMESPACE, NETWORK_POLICY, OTHER_CONTROLLERS, POD, WORKLOADS
from webhook.terminal import clean, enumerate_some

FORMS = {"text": "text", "json": "machine", "markdown": "markdown", "dot": "dot", "html": "html"}
"""The modules of `webhook.report.flows` by the name of their form."""


def say_what_is_empty(cluster: Cluster) -> None:
    """Says which kinds are taken as empty because nothing of them is there (CONTRACT.md, completeness)."""
    missing = []
    if not any(cluster.keys(kind) for kind in (POD, *WORKLOADS, *OTHER_CONTROLLERS)):
        missing.append("pods and workloads")
    if not cluster.keys(NETWORK_POLICY):
        missing.append("NetworkPolicies")
    if not cluster.keys(NAMESPACE):
        missing.append("Namespaces (each is taken to have its name as its only label)")
    for kind in missing:
        sys.stderr.write(f"netadmit: there are no {kind} in this state\n")


def say_what_is_not_counted(*clusters: Cluster) -> None:
    """Says which policies in engines' own APIs decide, too, and are not in the answer; none where their engine is not.

    Where the engine runs and they were not read, that is said, too.
    """
    from webhook.enforcement import enforcement_of  # noqa: PLC0415 - `--help` does without
    from webhook.other_policies import plural, title  # noqa: PLC0415

    carried_out = [enforcement_of(cluster).engine_policies for cluster in clusters]
    for kind in ENGINE_POLICIES:
        names: dict[str, None] = {}
        unread = False
        for cluster, told in zip(clusters, carried_out, strict=True):
            if told.get(kind) is not False:
                names.update(("/".join(filter(None, key)), None) for key in sorted(cluster.keys(kind)))
                unread |= told.get(kind) is True and not cluster.complete(kind)
        if names:
            them = title(kind) if len(names) == 1 else plural([kind])
            do = "it allows or denies" if len(names) == 1 else "they allow or deny"
            sys.stderr.write(
                f"netadmit: not counted: {them} {clean(enumerate_some(names))}; what {do} is not in the answer\n"
            )
        elif unread:
            sys.stderr.write(f"netadmit: {plural([kind])} are not known: none is counted\n")


def named_state(args: argparse.Namespace) -> str:
    """The state that the options name, in a few words."""
    if args.cluster:
        return ", ".join(args.cluster)
    return f"the live cluster of context {args.context}" if args.context else "the live cluster"


def write_pieces(form: str, what: str, found: Any, about: str) -> None:
    """Writes what was found in the form that was asked for, piece by piece.

    Args:
        form: one of `FORMS`.
        what: ``connectivity`` or ``difference``.
        found: what the form's function of that name takes.
        about: which state that is; a page is often looked at by somebody else than who made it.
    """
    write = getattr(import_module(f"webhook.report.flows.{FORMS[form]}"), what)
    for piece in write(found, about=about) if form == "html" else write(found):
        sys.stdout.write(piece)
