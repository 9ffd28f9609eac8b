"""What the two emoji domains share: which emoji are in, and which belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SKIN_TONES = frozenset({"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"})
JOINER = "200d"
PRESENTATION = "fe0f"


def plain(names: Iterable[str]) -> list[str]:
    """Code point sequences without skin tones and without joined ones, sorted: about 1,700 of 4,000.

    Variants of one emoji are near-duplicates; they would lie on both sides of a split or weigh double. Code points for
    private use are left out as well: OpenMoji keeps 363 pictures there that are no emoji (brands, interface symbols).
    """
    return sorted(name for name in names if _is_plain(name.lower().split("-")))


def _is_plain(points: list[str]) -> bool:
    return not (SKIN_TONES | {JOINER}) & set(points) and not any(0xE000 <= int(p, 16) <= 0xF8FF for p in points)


def group(name: str) -> str:
    """The code points without presentation selectors: the two forms of one emoji share it."""
    return "-".join(point for point in name.lower().split("-") if point != PRESENTATION)
