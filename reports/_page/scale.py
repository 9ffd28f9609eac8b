"""Axes of the page's charts, in per cent: a chart may have any width, and its letters keep their size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._tables.numbers import MINUS

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG_FROM = 6.0
"""Ratio of largest to smallest value from which an axis is logarithmic."""
_REACH = 20.0
"""Factor by which marks may widen a logarithmic axis: what lies further off is pinned to its edge."""
_MARGIN = 4.0
"""Per cent of an axis that stay free at both ends."""
_TICKS = 5


@dataclass(frozen=True)
class Tick:
    """A number on an axis: where it stands, per cent from the low end, and its text."""

    percent: float
    text: str


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, which differ; both are positive where it is logarithmic."""

    low: float
    high: float
    logarithmic: bool = False

    def percent(self, value: float) -> float:
        """Return where a value stands, in per cent from the low end; beyond an end it is pinned to it."""
        low, high = self._at(self.low), self._at(self.high)
        at = low if self.logarithmic and value <= 0 else self._at(value)
        share = min(1.0, max(0.0, (at - low) / (high - low)))
        return round(_MARGIN + (100 - 2 * _MARGIN) * share, 2)

    def beyond(self, value: float) -> str:
        """Return `below`, `above`, or nothing for a value on the axis."""
        return "below" if value < self.low else "above" if value > self.high else ""

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Return round numbers on the axis, a few, each with its text."""
        numbers = self._round_logarithmic() if self.logarithmic else self._round()
        return tuple(Tick(self.percent(number), tick_text(number)) for number in numbers)

    def _at(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def _round(self) -> list[float]:
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]

    def _round_logarithmic(self) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            numbers = [
                f * 10.0**decade for decade in decades for f in factors if self.low <= f * 10.0**decade <= self.high
            ]
            if len(numbers) <= _TICKS + 2:
                break
        return numbers or [self.low, self.high]


def scale_of(values: Iterable[float], marks: Iterable[float] = (), *, from_zero: bool = False) -> Scale:
    """Span an axis over all values, and over marks that do not squeeze them.

    It is logarithmic where all values are positive and, with the marks, far apart. Marks that lie too far off for it
    are pinned to its edge by `Scale.percent`.

    Args:
        values: Of the methods; those of the marks count where there is none.
        marks: Of reference rows.
        from_zero: Whether the axis is linear and begins at zero.
    """
    marks = [mark for mark in marks if _is_drawn(mark)]
    own = [value for value in values if _is_drawn(value)] or marks or [0.0, 1.0]
    low, high = min(own), max(own)
    if from_zero:
        top = max([high, *marks])
        return Scale(min(0.0, low), top if top > 0 else 1.0)
    if low > 0:
        near = [value for value in (*own, *marks) if low / _REACH <= value <= high * _REACH]
        if max(near) / min(near) > _LOG_FROM:
            return Scale(min(near), max(near), logarithmic=True)
    reach = 1.5 * (high - low) or abs(high) or 1.0
    near = [low, high, *(mark for mark in marks if low - reach <= mark <= high + reach)]
    low, high = min(near), max(near)
    if low == high:
        return Scale(low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2)
    return Scale(low, high)


def _is_drawn(value: float) -> bool:
    """Return whether a value can stand on an axis: a larger one would leave no room for any other."""
    return math.isfinite(value) and abs(value) < 1e30


def _round_step(step: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, … from a step on."""
    decade = 10.0 ** math.floor(math.log10(step))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= step * (1 - 1e-9))


def tick_text(value: float) -> str:
    """Print a number of an axis: `2,000`, `0.5`, `3 M`."""
    size = abs(value)
    for unit, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if unit <= size < 1e15:
            return f"{value / unit:.3g}{prefix}".replace("-", MINUS)
    text = f"{value:,.0f}" if 100 <= size < 1e15 else f"{value:.3g}"
    return ("0" if text in {"-0", "0"} else text).replace("-", MINUS)
