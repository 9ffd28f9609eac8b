"""Write the numbers of a report. The names of scores are the metric catalogue's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftbench.metrics.catalogue import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.comparison.stats import SeedSummary

DASH = "—"
MINUS = "−"

_LARGE = 1e12
"""Size from which a number of a column is no longer written out."""

FID, KID, IS = (METRICS[name] for name in ("fid", "kid", "inception_score"))


def finite(value: float | None) -> float | None:
    """Return the value, or None if it is none or no finite number."""
    return None if value is None or not math.isfinite(value) else value


def decimals(values: Sequence[float]) -> int:
    """Choose decimals that give the median magnitude three significant digits, 0 to 5, for a whole column."""
    sizes = sorted(abs(value) for value in values if value)
    if not sizes:
        return 1
    return min(5, max(0, 2 - math.floor(math.log10(sizes[len(sizes) // 2]))))


def number(value: float | None, places: int) -> str:
    """Write fixed decimals, thousands set apart, a true minus; a dash for None; from 10¹² on as 1.23e+45."""
    if value is None:
        return DASH
    text = f"{value:z,.{places}f}" if abs(value) < _LARGE else f"{value:.2e}"
    return text.replace("-", MINUS)


def mean_sd(summary: SeedSummary | None, places: int) -> str:
    """Print `12.3 ± 0.4`; the mean alone where one value has no spread; a dash for None."""
    if summary is None:
        return DASH
    mean = number(summary.mean, places)
    return mean if summary.sd is None else f"{mean} ± {number(summary.sd, places)}"


def quantity(value: float | None) -> str:
    """Print three significant digits with a prefix: `1.23 M`, `45.6 k`, `789`, `0.0123`; a dash for None."""
    if value is None:
        return DASH
    if abs(value) >= 1e3 * _LARGE:
        return number(value, 0)
    for unit, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= unit and (unit > 1e3 or abs(value) >= 1e4):  # 1,234 reads better than 1.23 k
            return number(value / unit, _three_digits(value / unit)) + prefix
    return number(value, 0 if value == int(value) else _three_digits(value))


def _three_digits(value: float) -> int:
    return max(0, 2 - math.floor(math.log10(abs(value))))
