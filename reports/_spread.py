"""Names beside the ends of lines, moved apart where they would meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def spread(heights: Sequence[float], gap: float, top: float = 1.0) -> list[float]:
    """Move ascending heights as little as one sweep allows, at least `gap` apart, within 0 to `top` if they fit."""
    gap = min(gap, top / max(1, len(heights) - 1))
    moved: list[float] = []
    for height in heights:
        moved.append(height if not moved else max(height, moved[-1] + gap))
    ceiling = top
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved
