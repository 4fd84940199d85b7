"""Lists the checks, or explains one: why it matters, a bad and a good example, what to do."""

import argparse
import sys
from collections.abc import Iterator

import msgspec

from webhook.check import Check, Example, Level
from webhook.checks import all_checks
from webhook.cli import OK, UsageError
from webhook.config import Config
from webhook.model.selectors import nearest
from webhook.report.markdown import reference
from webhook.report.text import Paint

EXAMPLE = """examples:
  netadmit checks
  netadmit checks peers-or-not-and
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="the check to explain")
    parser.add_argument("-o", "--output", choices=("text", "json", "markdown"), default="text")


def run(args: argparse.Namespace) -> int:
    by_id = {check.id: check for check in all_checks()}
    if args.id is not None and args.id not in by_id:
        near = nearest(args.id, by_id)
        raise UsageError(f"there is no check {args.id!r}" + (f", did you mean {near!r}?" if near else ""))
    chosen = [by_id[args.id]] if args.id else list(by_id.values())
    if args.output == "json":
        described = [_describe(check) for check in chosen]
        document = described[0] if args.id else described
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
        return OK
    as_text = explain(chosen[0]) if args.id else _table(chosen)
    for line in reference(chosen) if args.output == "markdown" else as_text:
        print(line)
    return OK


def _describe(check: Check) -> dict[str, object]:
    return {
        "id": check.id,
        "level": str(check.level),
        "action": Config().action(check.id, check.level).value,
        "filesOnly": check.files_only,
        "summary": check.summary,
        "rationale": check.rationale,
        "remedy": check.remedy,
        "bad": [_example(e) for e in check.bad],
        "good": [_example(e) for e in check.good],
    }


def _example(example: Example) -> dict[str, str]:
    texts = {"cluster": example.cluster, "old": example.old, "object": example.object}
    return {"title": example.title, **{name: text.strip() for name, text in texts.items() if text.strip()}}


def _table(checks: list[Check]) -> Iterator[str]:
    paint = Paint(sys.stdout)
    width = max(len(check.id) for check in checks)
    colours = {Level.ERROR: "31", Level.WARNING: "33", Level.NOTE: "36"}
    for check in checks:
        action = Config().action(check.id, check.level).value
        where = "  (check only)" if check.files_only else ""
        level = paint(colours[check.level], f"{check.level!s:<7}")
        yield f"{paint('1', f'{check.id:<{width}}')}  {level}  {action:<6}  {check.summary}{where}"


def explain(check: Check) -> Iterator[str]:
    """The page of a check."""
    paint = Paint(sys.stdout)
    yield f"{paint('1', check.id)} ({check.level}): {check.summary}"
    yield ""
    yield check.rationale
    yield ""
    yield f"{paint('1;32', 'What to do')}: {check.remedy}"
    for word, colour, examples in (("Bad", "31", check.bad), ("Good", "32", check.good)):
        for example in examples[:1]:
            yield ""
            yield f"{paint(colour, word)}: {example.title}"
            yield from (f"    {line}" for line in _shown(example).splitlines())
    more = len(check.bad) + len(check.good) - 2
    if more > 0:
        yield ""
        yield paint("2", f"{more} more examples: netadmit checks {check.id} -o json")


def _shown(example: Example) -> str:
    return (example.object or example.old).strip()
