"""How results are printed: what was measured, what the budget is (DESIGN.md, budgets), and whether it was kept."""

_WIDE = 58


def title(text: str) -> None:
    print(f"\n{text}", flush=True)


def line(what: str, measured: str, budget: str = "", *, kept: bool = True) -> None:
    """Prints one result.

    Args:
        what: was measured.
        measured: the result, with its unit.
        budget: what it may be; empty where there is none.
        kept: whether it is.
    """
    verdict = f"   budget {budget}   {'ok' if kept else 'OVER'}" if budget else ""
    print(f"  {what:{_WIDE}} {measured:>28}{verdict}", flush=True)


def at_most(what: str, value: float, most: float, unit: str = "×", *, beside: str = "") -> None:
    """Prints a result that may be at most so much; ``beside`` is said before it."""
    line(what, f"{beside}{_number(value)} {unit}", f"≤ {most:,g} {unit}", kept=value <= most)


def at_least(what: str, value: float, least: float, unit: str = "×", *, beside: str = "") -> None:
    """Prints a result that must be at least so much; ``beside`` is said before it."""
    line(what, f"{beside}{_number(value)} {unit}", f"≥ {least:,g} {unit}", kept=value >= least)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
