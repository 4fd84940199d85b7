"""The command line, run within the tests' own process."""

import io
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from webhook.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Stdin:
    """Standard input with bytes in it."""

    def __init__(self, content: str) -> None:
        self.buffer = io.BytesIO(content.encode())


class Command:
    """Runs `netadmit` in a folder of its own, without a terminal and without a cluster."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._capfd = capfd
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)
        for name in ("NO_COLOR", "FORCE_COLOR", "KUBECONFIG"):
            monkeypatch.delenv(name, raising=False)

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        self._monkeypatch.setattr(sys, "stdin", Stdin(stdin))
        try:
            code = main(arguments)
        except SystemExit as exit_:  # argparse
            code = exit_.code if isinstance(exit_.code, int) else 0
        captured = self._capfd.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Outcome(code, captured.out, captured.err)

    def write(self, name: str, *documents: str) -> str:
        """Writes a file of these documents; gives its name."""
        (self.folder / name).write_text("\n---\n".join(documents))
        return name
