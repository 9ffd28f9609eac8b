"""Images that are there again are counted, whatever batch they came in."""

from __future__ import annotations

import numpy as np
import pytest

from graftbench.scoring.repeats import count_distinct, count_shared


def _rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 64)).astype(np.float32)


def test_counts_by_hand() -> None:
    """Of a, b, a, a, c three are distinct; three of them are among a and d."""
    a, b, c, d = _rows(4)
    rows = np.stack([a, b, a, a, c])
    assert count_distinct(rows) == 3
    assert count_shared(rows, np.stack([d, a])) == 3
    assert count_shared(np.stack([d, a]), rows) == 1


def test_a_collapsed_set_is_one_image() -> None:
    """A thousand equal rows; no rows at all are none."""
    assert count_distinct(np.repeat(_rows(1), 1000, axis=0)) == 1
    assert count_distinct(np.empty((0, 64), np.float32)) == 0
    assert count_shared(_rows(3), np.empty((0, 64), np.float32)) == 0


@pytest.mark.parametrize(("change", "equal"), [(2e-6, True), (1e-3, False)])
def test_rounding_is_no_difference(change: float, equal: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """What another batch does to the last bits leaves an image what it is; a thousandth of its length does not."""
    rows = _rows(200)
    other = rows * (1 + change * np.sign(_rows(200, seed=1)))
    assert count_shared(rows, other.astype(np.float32)) == (200 if equal else 0)
