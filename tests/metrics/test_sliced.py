"""MIND: closed forms with derived tolerances, laws, unequal sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.sliced import _matching, mind
from graftbench.metrics.sliced_error import _distances, _per_image, _potentials

RNG = np.random.default_rng


def value(x: np.ndarray, y: np.ndarray, **options: Any) -> float:
    """The value of a MIND that must be defined."""
    estimate = mind(x, y, **options)
    assert estimate.value is not None, estimate.undefined
    return estimate.value


def test_one_feature_by_hand() -> None:
    """In one dimension every direction is ±1: 3 times the mean squared difference of sorted values, here (1+1+4)/3."""
    x, y = np.array([[3.0], [0.0], [7.0]]), np.array([[1.0], [9.0], [4.0]])
    assert value(x, y, directions=5) == pytest.approx(3.0 * (1.0 + 1.0 + 4.0) / 3.0, rel=1e-12)


def test_unequal_sizes_by_hand() -> None:
    """{0, 6} against {0, 3, 6}: quantiles match 0–0 for ⅓, 0–3 and 6–3 for ⅙ each, 6–6 for ⅓: 3·(9/6 + 9/6) = 9."""
    x, y = np.array([[0.0], [6.0]]), np.array([[0.0], [3.0], [6.0]])
    assert value(x, y, directions=3) == pytest.approx(9.0, rel=1e-12)
    weights, left, right = _matching(2, 3)
    np.testing.assert_allclose(weights, [1 / 3, 1 / 6, 1 / 6, 1 / 3])
    assert (left.tolist(), right.tolist()) == ([0, 0, 1, 1], [0, 1, 1, 2])


def test_repeating_every_image_changes_nothing() -> None:
    """A set and the same set twice have one quantile function."""
    rng = RNG(0)
    x, y = rng.standard_normal((30, 6)), rng.standard_normal((20, 6)) + 0.4
    assert value(np.vstack([x, x]), y) == pytest.approx(value(x, y), rel=1e-10)
    assert value(x, np.vstack([x, x, x])) == pytest.approx(0.0, abs=1e-20)


def test_a_pure_shift_has_a_closed_form() -> None:
    """Moving every image by δ moves each projection by u·δ: 3D·mean (u·δ)², which is 3‖δ‖² over all directions.

    (u·δ)²D/‖δ‖² has variance 2(D−1)/(D+2) < 2: over 1000 directions the mean is within 4·√(2/1000) = 18 % of 1.
    """
    rng = RNG(1)
    x, delta = rng.standard_normal((50, 40)), rng.standard_normal(40)
    assert value(x + delta, x) == pytest.approx(3.0 * delta @ delta, rel=0.18)


def test_scaling_has_a_closed_form() -> None:
    """X and 2X: sorted projections differ by themselves, so MIND is 3D times their mean square: 3·mean ‖x‖².

    Directions average (u·x)² to ‖x‖²/D; 2000 of them leave less than 2 % of error where images point everywhere.
    """
    x = RNG(2).standard_normal((4000, 16))
    assert value(2.0 * x, x, directions=2000) == pytest.approx(3.0 * np.square(x).sum(axis=1).mean(), rel=0.02)


def test_laws() -> None:
    """Zero for equal sets, symmetric, blind to order and common shift, one number per seed, growing with a shift."""
    rng = RNG(3)
    x, y = rng.standard_normal((40, 10)), rng.standard_normal((25, 10)) + 0.5
    assert value(x, x[::-1]) == 0.0
    assert value(x, y) == pytest.approx(value(y, x), rel=1e-12)
    assert value(x[::-1] + 100.0, y + 100.0) == pytest.approx(value(x, y), rel=1e-9)
    assert value(x, y, seed=1) == value(x, y, seed=1) != value(x, y, seed=2)
    assert value(x, y) < value(x, y + 0.5) < value(x, y + 2.0)


def test_bad_input() -> None:
    """No image, no quantile; no direction, no projection; widths and NaN are checked."""
    assert "found 0 generated" in mind(np.ones((0, 3)), np.ones((5, 3))).undefined
    with pytest.raises(GraftbenchError, match="at least 1 direction; found 0"):
        mind(np.ones((4, 3)), np.ones((4, 3)), directions=0)
    with pytest.raises(GraftbenchError, match="3 wide and the reference features 2"):
        mind(np.ones((4, 3)), np.ones((4, 2)))
    with pytest.raises(GraftbenchError, match="NaN or infinite"):
        mind(np.full((4, 3), np.inf), np.ones((4, 3)))


def test_influences_are_derivatives() -> None:
    """Moving a little weight to one image changes the distance by its potential: 1e-6 by central differences.

    Between two jumps of the matching the distance is linear in the weights, so the differences are exact there.
    """
    rng = RNG(4)
    a, b = rng.standard_normal((3, 7)), rng.standard_normal((3, 5))
    order, sorted_b = np.argsort(a, axis=1), np.sort(b, axis=1)
    sorted_a = np.take_along_axis(a, order, axis=1)
    found = _per_image(_potentials(sorted_a, sorted_b), order)
    others = np.full((3, 5), 1 / 5)
    for i in range(7):
        step = 1e-4 * (np.eye(7)[i] - 1 / 7)
        ends = [_distances(sorted_a, sorted_b, (1 / 7 + sign * step)[order], others).mean() for sign in (1, -1)]
        assert found[i] == pytest.approx((ends[0] - ends[1]) / 2e-4, abs=1e-6)


def test_weighted_distance_of_equal_weights_is_the_distance() -> None:
    """Equal weights give the same number as the matching of ranks."""
    rng = RNG(5)
    a, b = np.sort(rng.standard_normal((4, 6)), axis=1), np.sort(rng.standard_normal((4, 9)), axis=1)
    weights, left, right = _matching(6, 9)
    expected = np.square(a[:, left] - b[:, right]) @ weights
    np.testing.assert_allclose(_distances(a, b, np.full((4, 6), 1 / 6), np.full((4, 9), 1 / 9)), expected, rtol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.5, 1.0), (0.0, 1.5)])
@pytest.mark.parametrize("sizes", [(50, 300, 64), (150, 150, 32)])
def test_interval_covers(sizes: tuple[int, int, int], shift: float, scale: float) -> None:
    """Equal, shifted and widened Gaussians: 92 to 98 % of 400 intervals (±1.1 %, 1 sd) hold the mean of MIND."""
    m, n, width = sizes
    spectrum, estimates = np.arange(1, width + 1) ** -0.5, []
    for seed in range(400):
        rng = RNG([seed, m])
        x = (scale * rng.standard_normal((m, width)) + shift) * spectrum
        estimates.append(mind(x, rng.standard_normal((n, width)) * spectrum, directions=200, interval=True))
    mean = np.mean([e.value for e in estimates if e.value is not None])
    held = [e.interval[0] <= mean <= e.interval[1] for e in estimates if e.interval is not None]
    assert len(held) == 400
    assert 0.92 <= np.mean(held) <= 0.98
