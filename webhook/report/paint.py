"""Colours on a terminal."""

import os
from typing import TextIO


class Paint:
    """Colours text on a terminal that wants colours, and leaves it alone elsewhere.

    Source: no-color.org; FORCE_COLOR as GitHub Actions and others set it.
    """

    def __init__(self, stream: TextIO) -> None:
        if os.environ.get("NO_COLOR"):
            self.on = False
        else:
            self.on = bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")

    def __call__(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text
