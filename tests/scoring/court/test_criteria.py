"""Criteria of the sanity checks: curves that pass, and curves that fail each in its own way."""

from __future__ import annotations

from graftbench.scoring.court.criteria import (
    HIGH,
    LOW,
    covers_or_matches,
    falls,
    falls_early,
    is_bell,
    is_level,
    is_near,
    rises,
    settles,
)


def curve(*values: float) -> list[tuple[float, float]]:
    """Scores at x = 0, 1, 2 and so on."""
    return [(float(x), value) for x, value in enumerate(values)]


def test_a_bell_is_highest_in_the_middle_and_falls_on_both_sides() -> None:
    """One side that stays up, a peak elsewhere and ends above the rest fail."""
    assert not is_bell(curve(0.0, 0.5, 1.0, 0.5, 0.0), 2.0)
    assert "falls on a side" in is_bell(curve(0.0, 0.5, 1.0, 1.0, 0.95), 2.0)
    assert "not where the sets are equal" in is_bell(curve(0.0, 1.0, 0.7, 0.3, 0.0), 2.0)
    assert "rises again" in is_bell(curve(0.5, 0.0, 1.0, 0.0, 0.5), 2.0)
    assert not is_bell(curve(0.0, 0.5, 1.0, 0.2, 0.5), 2.0)  # one end at the bottom is enough


def test_falling_and_rising_mirror_each_other() -> None:
    """A curve falls exactly if its mirror image rises."""
    for values in ([1.0, 0.6, 0.0], [0.5, 0.5, 0.45], [0.5, 1.0, 0.0], [1.0, 0.0, 0.6]):
        assert bool(falls(curve(*values))) == bool(rises(curve(*reversed(values))))
    assert not falls(curve(1.0, 0.6, 0.0))
    assert not rises(curve(0.0, 0.6, 1.0))


def test_falling_early() -> None:
    """A curve that falls at its end alone does not."""
    assert not falls_early(curve(1.0, 0.8, 0.2), 1.0)
    assert "hardly" in falls_early(curve(1.0, 0.98, 0.2), 1.0)


def test_level_and_settled() -> None:
    """Level everywhere, or in the right half."""
    assert not is_level(curve(0.9, 0.91, 0.9, 0.92))
    assert is_level(curve(0.1, 0.5, 0.9, 0.9)) == "moves between 0.10 and 0.90"
    assert not settles(curve(0.1, 0.5, 0.9, 0.9))
    assert settles(curve(0.9, 0.9, 0.9, 0.7))


def test_values() -> None:
    """Within 0.05 of a target; a score of variety is near 1 or near 0."""
    assert not is_near(curve(0.96), 0.0, 1.0, "equal")
    assert is_near(curve(0.9), 0.0, 1.0, "equal") == "equal: 0.90 instead of 1"
    assert covers_or_matches(curve(0.97), 0.0, "wide") == HIGH
    assert covers_or_matches(curve(0.03), 0.0, "wide") == LOW
    assert "neither" in covers_or_matches(curve(0.5), 0.0, "wide")
