"""Write numbers and verdicts, the same way in every format."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftbench.comparison import paired
from graftbench.regression.measures import GATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.regression.results import Comparison, GateRow

MINUS = "−"


def label(row: GateRow) -> str:
    """Return `KID×10³ ↓` or `peak memory, MiB ↓`."""
    return GATED[row.measure].heading


def value(row: GateRow, number: float | None) -> str:
    """Write three significant digits in the printed scale, all digits before the point; a dash for None."""
    return "—" if number is None else digits(number * GATED[row.measure].scale)


def digits(number: float) -> str:
    """Write `1,790`, `0.0513`, `−3.20`; below a thousandth `3e-07`, so that columns stay narrow."""
    size = abs(number)
    if 0 < size < 1e-3:
        text = f"{size:.0e}"
    elif 0 < size < 100:
        text = f"{size:.{max(0, 2 - math.floor(math.log10(size)))}f}"
    else:
        text = f"{size:,.0f}"
    return (MINUS if number < 0 and text.strip("0.,") else "") + text


def numbers(row: GateRow) -> tuple[str, str, str, str]:
    """Return base, new value, change and number of pairs, as tables have them."""
    return value(row, row.base), value(row, row.new), change(row), str(row.pairs or "—")


def sentence(row: GateRow) -> str:
    """Return `0.0513 before, 0.0600 now, +17 %`."""
    return f"{value(row, row.base)} before, {value(row, row.new)} now, {change(row)}"


def cut(cells: Sequence[str], most: int, bullet: str = "  ") -> list[str]:
    """Return the first cells of a list, a line each, then how many more there are."""
    more = [f"{bullet}… and {len(cells) - most:,} more"] if len(cells) > most else []
    return [*(f"{bullet}{cell}" for cell in cells[:most]), *more]


def change(row: GateRow) -> str:
    """Say how the value changed, as a share of the base, with the 95 % interval: `+12 % (+3.1 % to +22 %)`."""
    if row.change is None:
        return "—"
    better = GATED[row.measure].better
    if row.interval is None or row.interval[0] == row.interval[1]:
        return percent(row.change, better)
    low, high = row.interval if better < 0 else row.interval[::-1]
    return f"{percent(row.change, better)} ({percent(low, better)} to {percent(high, better)})"


def percent(worse: float, better: int) -> str:
    """Write the logarithm of a ratio, above zero worse, as a signed percentage of the base."""
    return paired.percent(-better * worse)


def summary(comparison: Comparison) -> str:
    """Return in one sentence what is found."""
    counts = [
        (len(comparison.of("regression")), "regression", "regressions"),
        (len(comparison.failing), "newly failing cell", "newly failing cells"),
        (len(comparison.vanished), "vanished cell", "vanished cells"),
        (len(comparison.of("improvement")), "improvement", "improvements"),
        (len(comparison.appeared), "new cell", "new cells"),
        (len(comparison.of("too few pairs")), "change that needs more pairs", "changes that need more pairs"),
    ]
    counted = [f"{count} {singular if count == 1 else plural}" for count, singular, plural in counts if count]
    cells = f"{comparison.pairs} pair{'' if comparison.pairs == 1 else 's'} of cells"
    if comparison.nothing_compared:
        return f"{'; '.join(['Nothing was compared', *filter(None, [', '.join(counted)])])} ({cells})."
    return f"{', '.join(counted) if counted else 'No change beyond noise and thresholds'} ({cells})."


def method_note(comparison: Comparison) -> str:
    """Say how the verdicts were made."""
    test = {"student": "paired t test", "sign-flip": "exact sign-flip test"}[comparison.test]
    return (
        f"A regression is worse by more than its threshold and by a two-sided {test} at level {comparison.level:g}, p "
        "corrected by Holm over quality and over cost; in brackets the 95 % interval of the change. FLOPs and "
        "parameters are counted: their threshold decides alone."
    )
