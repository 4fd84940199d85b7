"""Text for a terminal: counted, sized, and without what drives one."""

import unicodedata
from collections.abc import Iterable


def elide(text: str, most: int) -> str:
    """The text with its middle replaced by ``…`` where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    kept = max(most - 1, 0)
    tail = kept // 2
    return f"{text[: kept - tail]}…{text[len(text) - tail :]}" if kept else ""


def clean(text: str) -> str:
    """The text without what could drop it (control characters), move the cursor, or reverse the line (bidi marks)."""
    if text.isprintable() and text.isascii():
        return text
    return "".join("�" if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c for c in text)


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 pod``, ``3 pods``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def enumerate_some(names: Iterable[str], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    every = list(names)
    more = len(every) - most
    return ", ".join(every[:most]) + (f" and {more} more" if more > 0 else "")
