"""The reference of checks as Markdown: docs/checks.md is made of it, and a test compares."""

from collections.abc import Iterator, Sequence

from webhook.check import Check, Example, Operation, View
from webhook.config import Config
from webhook.report.played import said_by


def reference(checks: Sequence[Check]) -> Iterator[str]:
    """The page, line by line."""
    yield "# Checks"
    yield ""
    yield "Made by `make docs` from the checks themselves; every example is a test. `netadmit checks ID` prints one."
    yield ""
    yield "| id | level | by default | what |"
    yield "|---|---|---|---|"
    for check in checks:
        action = Config().action(check.id, check.level).value
        where = ", in `check` only" if check.files_only else ""
        yield f"| [{check.id}](#{check.id}) | {check.level} | {action}{where} | {check.summary} |"
    for check in checks:
        yield ""
        yield f"## {check.id}"
        yield ""
        yield from explained(check, playing=True)


def explained(check: Check, *, playing: bool = False) -> Iterator[str]:
    """Why a check speaks, what to do, and its examples, line by line.

    Args:
        check: the check.
        playing: with what it says of them, which takes some milliseconds each.
    """
    yield check.rationale
    yield ""
    yield f"**What to do.** {check.remedy}"
    for title, examples in (("Speaks", check.bad), ("Silent", check.good)):
        for example in examples:
            yield ""
            yield f"{title}: {example.title}{_circumstances(example)}"
            yield from _blocks(example)
            if playing and example in check.bad:
                yield from _said(check, example)


def _said(check: Check, example: Example) -> Iterator[str]:
    yield ""
    yield "```text"
    for ruling in said_by(check, example):
        yield ruling.line
        if ruling.finding.means and ruling.finding.means not in ruling.line:
            yield f"  = means: {ruling.finding.means}"
        if ruling.finding.detail:
            yield f"  = more: {ruling.finding.detail}"
    yield "```"


def _circumstances(example: Example) -> str:
    told = []
    if example.level is not None:
        told.append(f"a {example.level}")
    if example.old:
        told.append("an update" if example.object else "a deletion")
    elif example.view is View.ADMISSION:
        told.append(f"on {Operation.CREATE}")
    if example.partial:
        told.append("not everything is known")
    return f" ({', '.join(told)})" if told else ""


def _blocks(example: Example) -> Iterator[str]:
    for comment, text in (("in the cluster", example.cluster), ("before", example.old), ("applied", example.object)):
        if text.strip():
            yield ""
            yield "```yaml"
            yield f"# {comment}"
            yield text.strip()
            yield "```"
