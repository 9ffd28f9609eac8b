"""What the scores are called, which way is better, and how they are printed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.record import Record
    from graftbench.stats import Summary

DASH = "—"
MINUS = "−"


@dataclass(frozen=True)
class Metric:
    """How a score is shown.

    Attributes:
        name: As in the records ("kid").
        label: As printed, the scale included ("KID×10³").
        better: -1 if lower is better, +1 if higher is, 0 if neither is known.
        scale: Factor from the record to print.
    """

    name: str
    label: str
    better: int = 0
    scale: float = 1.0

    @property
    def heading(self) -> str:
        """Label and arrow: "KID×10³ ↓"."""
        return f"{self.label} {'↓ ↑'[self.better + 1]}".strip()


FID = Metric("fid", "FID", better=-1)
KID = Metric("kid", "KID×10³", better=-1, scale=1000.0)
IS = Metric("inception_score", "IS", better=1)


def metrics_of(records: Iterable[Record]) -> tuple[Metric, ...]:
    """FID, KID, IS, then every other score of the records by name: a new metric gets its column by itself."""
    known = (FID, KID, IS)
    found = {score.name for record in records for score in record.scores} - {metric.name for metric in known}
    return (*known, *(Metric(name, name) for name in sorted(found)))


def finite(value: float | None) -> float | None:
    """The value, or None if it is none or no finite number."""
    return None if value is None or not math.isfinite(value) else value


def decimals(values: Sequence[float]) -> int:
    """Decimals that give the median magnitude three significant digits, 0 to 5. One number serves a whole column."""
    sizes = sorted(abs(value) for value in values if value)
    if not sizes:
        return 1
    return min(5, max(0, 2 - math.floor(math.log10(sizes[len(sizes) // 2]))))


def number(value: float | None, places: int) -> str:
    """A fixed number of decimals, thousands set apart, a true minus sign; a dash for None."""
    if value is None:
        return DASH
    text = f"{value:,.{places}f}"
    if not text.strip("-0.,"):  # no minus zero
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def mean_sd(summary: Summary | None, places: int) -> str:
    """`12.3 ± 0.4`; the mean alone where one value has no spread; a dash for None."""
    if summary is None:
        return DASH
    mean = number(summary.mean, places)
    return mean if summary.sd is None else f"{mean} ± {number(summary.sd, places)}"


def quantity(value: float | None) -> str:
    """Three significant digits with a prefix: `1.23 M`, `45.6 k`, `789`, `0.0123`; a dash for None."""
    if value is None:
        return DASH
    for unit, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= unit and (unit > 1e3 or abs(value) >= 1e4):  # 1,234 reads better than 1.23 k
            return number(value / unit, _three_digits(value / unit)) + prefix
    return number(value, 0 if value == int(value) else _three_digits(value))


def _three_digits(value: float) -> int:
    return max(0, 2 - math.floor(math.log10(abs(value))))
