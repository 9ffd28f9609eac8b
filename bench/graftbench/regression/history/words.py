"""Describe a series in words and numbers, for the table and for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graftbench.regression.history.series import LevelChange, Series
    from graftbench.regression.measures import Measure


def number(measure: Measure, value: float) -> str:
    """Write in the printed unit, with four significant digits; thousands with commas: `0.03124`, `1,234,567`."""
    scaled = value * measure.scale + 0.0  # no minus zero
    return f"{scaled:,.0f}" if abs(scaled) >= 1000 else f"{scaled:.4g}"


def share(worse: float) -> str:
    """Write a share that is above zero for the worse: `12 % worse`, `3.4 % better`."""
    percent = 100 * abs(worse)
    return f"{percent:.{0 if percent >= 9.95 else 1}f} % {'worse' if worse > 0 else 'better'}"


def step(measure: Measure, change: LevelChange) -> str:
    """Write `15 % worse at 0123456789..abcdef0123 (0.02 → 0.0232)`."""
    levels = f"{number(measure, change.step.before)} → {number(measure, change.step.after)}"
    between = "1 run between has no value" if change.skipped == 1 else f"{change.skipped} runs between have no value"
    skipped = f"; {between}" if change.skipped else ""
    return f"{share(change.worse)} at {change.commits} ({levels}{skipped})"


def drift(series: Series) -> str:
    """Write `drifts: 12 % worse over 40 runs`; empty if it does not."""
    if series.drift is None:
        return ""
    return f"drifts: {share(series.drift_worse)} over {len(series.points)} runs"


def changes(series: Series) -> list[str]:
    """Write the drift, then the steps, the newest first; of too few runs how far the latest is from the first."""
    if series.too_few:
        runs = series.segmentation.n
        return [f"too few runs to judge: {share(series.raw_change)} from the first to the latest"] if runs > 1 else []
    drifts = [drift(series)] if series.drift is not None else []
    return drifts + [step(series.measure, change) for change in reversed(series.steps)]
