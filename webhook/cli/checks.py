"""Lists the checks, or explains one: why it matters, a bad and a good example, what to do.

With --effective it shows what a configuration makes of them, for the whole cluster and for single namespaces.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from webhook.check import Check, Example, Level
from webhook.checks import all_checks
from webhook.cli import OK, UsageError
from webhook.cli.check import configuration
from webhook.config import Config, Waivers
from webhook.model.objects import MODE_LABEL
from webhook.model.selectors import nearest
from webhook.report.markdown import reference
from webhook.report.paint import Paint
from webhook.report.played import said_by
from webhook.verdict import Action

EXAMPLE = """examples:
  netadmit checks
  netadmit checks peers-or-not-and
  netadmit checks --effective --config config.yaml --namespace shop
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="the check to explain")
    parser.add_argument("-o", "--output", choices=("text", "json", "markdown"), default="text")
    parser.add_argument("--effective", action="store_true", help="show what the configuration makes of the checks")
    parser.add_argument("--config", metavar="FILE", help="the configuration, as `netadmit serve` takes it")
    parser.add_argument("--namespace", metavar="NAME", default="", help="show what holds in this namespace")


def run(args: argparse.Namespace) -> int:
    if (args.config or args.namespace) and not args.effective:
        raise UsageError("--config and --namespace go with --effective")
    by_id = {check.id: check for check in all_checks()}
    if args.id is not None and args.id not in by_id:
        near = nearest(args.id, by_id)
        raise UsageError(f"there is no check {args.id!r}" + (f", did you mean {near!r}?" if near else ""))
    chosen = [by_id[args.id]] if args.id else list(by_id.values())
    if args.effective:
        return _show_effective(chosen, configuration(args), args)
    if args.output == "json":
        described = [_describe(check) for check in chosen]
        document = described[0] if args.id else described
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
        return OK
    as_text = explain(chosen[0]) if args.id else _table(chosen)
    for line in reference(chosen) if args.output == "markdown" else as_text:
        print(line)
    return OK


def _show_effective(checks: list[Check], config: Config, args: argparse.Namespace) -> int:
    """Shows level, action and waivers of every check as they hold, and the settings that lead there."""
    own = config.of(args.namespace)
    settings = config.settings_of(args.namespace)
    label = "" if settings and settings.mode else f" (a Namespace's label {MODE_LABEL} overrides it)"
    rows = [(c, level := own.level(c.id, c.level), own.action(c.id, level), own.waivers(c.id)) for c in checks]
    if args.output == "json":
        document = {
            "mode": own.mode,
            "profile": own.profile,
            "disclose": own.disclose,
            "checks": [
                {"id": check.id, "level": str(level), "action": action, "waivers": waivers}
                for check, level, action, waivers in rows
            ],
            "namespaces": [settings.match for settings in config.namespaces],
        }
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
        return OK
    print(f"mode {own.mode}{label}, profile {own.profile}, disclose {own.disclose}")
    width = max(len(check.id) for check in checks)
    for check, level, action, waivers in rows:
        print(f"{check.id:<{width}}  {level!s:<7}  {action:<6}  waived by: {_who(action, waivers)}")
    for each in config.namespaces if not args.namespace else ():
        print(f"set apart: namespaces {', '.join(each.match)} (--namespace NAME shows what holds there)")
    return OK


def _who(action: Action, waivers: Waivers) -> str:
    if waivers is Waivers.NONE:
        return "nobody"
    return "object or Namespace" if waivers is Waivers.OBJECT and action is not Action.DENY else "Namespace"


def _describe(check: Check) -> dict[str, object]:
    return {
        "id": check.id,
        "level": str(check.level),
        "action": Config().action(check.id, check.level).value,
        "filesOnly": check.files_only,
        "summary": check.summary,
        "rationale": check.rationale,
        "remedy": check.remedy,
        "bad": [_example(e) | {"says": [r.whole for r in said_by(check, e)]} for e in check.bad],
        "good": [_example(e) for e in check.good],
    }


def _example(example: Example) -> dict[str, Any]:
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
            for ruling in said_by(check, example) if word == "Bad" else ():
                yield f"{paint('1', 'Says')}: {ruling.whole}"
                if ruling.finding.detail:
                    yield f"    ({ruling.finding.detail})"
    more = len(check.bad) + len(check.good) - 2
    if more > 0:
        yield ""
        yield paint("2", f"{more} more examples: netadmit checks {check.id} -o json")


def _shown(example: Example) -> str:
    return (example.object or example.old).strip()
