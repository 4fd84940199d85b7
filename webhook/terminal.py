"""Text that fits a terminal: sized, and without what drives one."""

import unicodedata


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
