"""The shapes that a score's curve must have in a sanity check, with the tolerances of Räisä et al. 2025.

A curve is a list of points (x, score), in ascending order of x; scores are 1 where all is well and 0 where nothing is.
Each criterion returns "" where the curve passes, else the reason in words. A score of variety may mean one of two
things ("does it cover the real images?" and "is it as varied as they are?"); criteria that tell them apart return
`HIGH` or `LOW`, and a check is failed by a score that is now the one, now the other.
"""

from __future__ import annotations

from typing import TypeAlias

Curve: TypeAlias = "list[tuple[float, float]]"

NEAR = 0.05
"""By how much a score may miss 0, 1 or a line."""

STEP = 0.2
"""By how much it must differ between where all is well and where nothing is."""

SLACK = 0.1
"""By how much it may be beyond its values at the ends."""

HIGH, LOW = "high", "low"


def is_near(curve: Curve, x: float, target: float, what: str) -> str:
    """Ask for a score near the target at x."""
    value = at(curve, x)
    return "" if abs(value - target) <= NEAR else f"{what}: {value:.2f} instead of {target:g}"


def covers_or_matches(curve: Curve, x: float, what: str) -> str:
    """Ask for a score near 1 (it covers) or near 0 (it does not match)."""
    value = at(curve, x)
    if abs(value - 1.0) <= NEAR:
        return HIGH
    return LOW if abs(value) <= NEAR else f"{what}: {value:.2f}, neither 0 nor 1"


def is_bell(curve: Curve, middle: float) -> str:
    """Ask for the highest score in the middle, and much lower ones at both ends."""
    peak, left, right = at(curve, middle), curve[0][1], curve[-1][1]
    values = [value for _, value in curve]
    if max(values) - peak > SLACK:
        return f"highest ({max(values):.2f}) not where the sets are equal ({peak:.2f})"
    if min(peak - left, peak - right) < STEP:
        return f"hardly falls on a side: {left:.2f}, {peak:.2f}, {right:.2f}"
    return "" if min(left, right) - min(values) <= SLACK else "rises again towards an end"


def falls(curve: Curve) -> str:
    """Ask for a high score at the left end and a low one at the right."""
    values, left, right = [value for _, value in curve], curve[0][1], curve[-1][1]
    if left - right < STEP:
        return f"does not fall: {left:.2f} to {right:.2f}"
    if max(values) - left > SLACK:
        return f"rises above its start ({left:.2f}) to {max(values):.2f}"
    return "" if right - min(values) <= SLACK else f"rises again at its end ({right:.2f} from {min(values):.2f})"


def rises(curve: Curve) -> str:
    """Ask for a low score at the left end and a high one at the right."""
    values, left, right = [value for _, value in curve], curve[0][1], curve[-1][1]
    if right - left < STEP:
        return f"does not rise: {left:.2f} to {right:.2f}"
    if max(values) - right > SLACK:
        return f"falls at its end ({right:.2f} from {max(values):.2f})"
    return "" if left - min(values) <= SLACK else f"falls below its start ({left:.2f}) to {min(values):.2f}"


def falls_early(curve: Curve, x: float) -> str:
    """Ask for a falling score that has fallen by a tenth at x already."""
    if reason := falls(curve):
        return reason
    start, value = curve[0][1], at(curve, x)
    return "" if start - value >= SLACK else f"has hardly fallen ({start:.2f} to {value:.2f}) at {x:g}"


def is_level(curve: Curve) -> str:
    """Ask for a score that does not move."""
    values = [value for _, value in curve]
    return "" if max(values) - min(values) <= NEAR else f"moves between {min(values):.2f} and {max(values):.2f}"


def settles(curve: Curve) -> str:
    """Ask for a score that moves no more in the right half of the curve."""
    return is_level(curve[len(curve) // 2 :])


def at(curve: Curve, x: float) -> float:
    """Return the score at the point nearest to x."""
    return min(curve, key=lambda point: abs(point[0] - x))[1]
