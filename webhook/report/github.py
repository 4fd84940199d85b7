"""What GitHub Actions shows beside the lines of a pull request: workflow commands, one a finding.

Source: docs.github.com, workflow commands for GitHub Actions, and how actions/toolkit writes them: ``%``, line breaks,
and in properties ``:`` and ``,``, are escaped, as else a name could end the command or begin another.
"""

from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from webhook.check import Level
from webhook.model.manifest import Position
from webhook.report.results import STDIN, Results, in_file_order, words_of
from webhook.report.text import summary
from webhook.terminal import clean, elide
from webhook.verdict import Action

_COMMANDS: Final = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
_LONGEST: Final = 1000
"""Characters of a message: a selector may list thousands of values."""


def annotations(results: Results, *, notes: bool = False) -> Iterator[str]:
    """The report, line by line; what is denied is an error, whatever its level.

    Args:
        results: what was found.
        notes: show notes as well; else they are only counted.
    """
    for problem in results.problems:
        if not problem.notice:
            yield _command("error", "cannot be read", words_of(problem), problem.file, problem.position)
    for result in in_file_order(results.findings):
        ruling = result.ruling
        denied = ruling.action is Action.DENY
        if ruling.level > Level.NOTE or notes or denied:
            yield _command(
                "error" if denied else _COMMANDS[ruling.level],
                f"{ruling.object} [{ruling.check}]",
                ruling.finding.story,
                result.manifest.file if result.manifest else "",
                result.position,
            )
    yield from summary(results, notes=notes).splitlines()


def _command(name: str, title: str, message: str, file: str, position: Position | None) -> str:
    properties: dict[str, str | int] = {}
    if file not in {"", STDIN}:
        properties["file"] = PurePath(file).as_posix()  # ./a.yaml is not found in a pull request
        if position:
            properties |= {"line": position.line, "col": position.column}
    properties["title"] = title
    told = ",".join(f"{key}={_property(clean(str(value)))}" for key, value in properties.items())
    return f"::{name} {told}::{_data(clean(elide(message, _LONGEST)))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
