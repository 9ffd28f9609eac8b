"""How numbers and verdicts are printed, the same in every format."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftbench.regression.measures import MEASURES

if TYPE_CHECKING:
    from graftbench.regression.results import Comparison, GateRow

MINUS = "−"


def label(row: GateRow) -> str:
    """`KID×10³ ↓` or `peak memory, MiB ↓`."""
    return MEASURES[row.measure].heading


def value(row: GateRow, which: float | None) -> str:
    """Three significant digits in the printed scale, all digits before the point; a dash for None."""
    return "—" if which is None else digits(which * MEASURES[row.measure].scale)


def digits(number: float) -> str:
    """`1,790`, `0.0513`, `−3.20`."""
    size = abs(number)
    text = f"{size:,.0f}" if size >= 100 or size == 0 else f"{size:.{max(0, 2 - math.floor(math.log10(size)))}f}"
    return (MINUS if number < 0 and text.strip("0.,") else "") + text


def change(row: GateRow) -> str:
    """How the value changed, as a share of the base, with the 95 % interval: `+12 % (+3.1 % to +22 %)`."""
    if row.change is None:
        return "—"
    better = MEASURES[row.measure].better
    if row.interval is None or row.interval[0] == row.interval[1]:
        return percent(row.change, better)
    low, high = row.interval if better < 0 else row.interval[::-1]
    return f"{percent(row.change, better)} ({percent(low, better)} to {percent(high, better)})"


def percent(worse: float, better: int) -> str:
    """Write a change relative to the mean of both sides, above zero worse, as a signed percentage of the base."""
    rise = -better * worse
    share = rise / (1 - rise / 2) if rise < 2 else math.inf  # base 1 - rise/2, new 1 + rise/2
    if share > 9.995:
        return "> +999 %"
    text = f"{abs(100 * share):.{0 if abs(share) >= 0.1 else 1}f}"
    sign = "" if not text.strip("0.") else "+" if share > 0 else MINUS
    return f"{sign}{text} %"


def summary(comparison: Comparison) -> str:
    """One sentence: what is found."""
    counts = [
        (len(comparison.of("regression")), "regression", "regressions"),
        (len(comparison.failing), "newly failing cell", "newly failing cells"),
        (len(comparison.vanished), "vanished cell", "vanished cells"),
        (len(comparison.of("improvement")), "improvement", "improvements"),
        (len(comparison.appeared), "new cell", "new cells"),
        (len(comparison.of("too few pairs")), "change that needs more pairs", "changes that need more pairs"),
    ]
    counted = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    cells = f"{comparison.pairs} pair{'' if comparison.pairs == 1 else 's'} of cells"
    return f"{', '.join(counted) if counted else 'No change beyond noise and thresholds'} ({cells})."


def method_note(comparison: Comparison) -> str:
    """How the verdicts were made."""
    test = {"student": "paired t test", "sign-flip": "exact sign-flip test"}[comparison.test]
    return (
        f"A regression is worse by more than its threshold and by a one-sided {test} at level {comparison.level:g}, p "
        "corrected by Holm over quality and over cost; in brackets the 95 % interval of the change. FLOPs and "
        "parameters are counted: their threshold decides alone."
    )
