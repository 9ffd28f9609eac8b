"""CMMD: closed forms, laws, and the authors' biased estimator."""

from __future__ import annotations

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.kernel_gaussian import cmmd

RNG = np.random.default_rng


def test_two_points_by_hand() -> None:
    """Two copies of e₁ against two of −e₁: within, k = 1; between, ‖x−y‖² = 4 and k = exp(−4/200)."""
    x = np.tile([1.0, 0.0], (2, 1))
    expected = 1000.0 * (2.0 - 2.0 * np.exp(-4.0 / 200.0))
    assert cmmd(x, -x).value == pytest.approx(expected, rel=1e-12)
    assert cmmd(x, -x, biased=True).value == pytest.approx(expected, rel=1e-12)  # no spread: no bias


def naive(x: np.ndarray, y: np.ndarray, *, biased: bool) -> float:
    """The definition with two loops' worth of kernel matrices."""
    x, y = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-np.square(a[:, None] - b[None]).sum(axis=2) / 200.0)

    xx, yy, m, n = kernel(x, x), kernel(y, y), len(x), len(y)
    unbiased = (xx.sum() - m) / (m * (m - 1)) + (yy.sum() - n) / (n * (n - 1))
    within = xx.mean() + yy.mean() if biased else unbiased
    return 1000.0 * float(within - 2.0 * kernel(x, y).mean())


@pytest.mark.parametrize("biased", [False, True])
def test_agrees_with_the_definition(*, biased: bool) -> None:
    """Both estimators, unequal sizes, rows of any length: 1e-9 absolute of kernels near 1, times 1000."""
    rng = RNG(0)
    x, y = rng.standard_normal((23, 7)) + 0.5, 3.0 * rng.standard_normal((31, 7))
    assert cmmd(x, y, biased=biased).value == pytest.approx(naive(x, y, biased=biased), abs=1e-9)


def test_length_does_not_matter_and_order_neither() -> None:
    """Embeddings are directions: scaling each by another factor changes nothing, nor does their order."""
    rng = RNG(1)
    x, y = rng.standard_normal((20, 5)), rng.standard_normal((15, 5)) + 1.0
    scaled = (x * rng.uniform(0.1, 10.0, (20, 1)))[::-1]
    assert cmmd(scaled, y).value == pytest.approx(cmmd(x, y).value, abs=1e-10)


def test_unbiased_about_zero_where_the_biased_is_not() -> None:
    """Halves of one distribution: the U-statistic is 0 within its interval; the V-statistic is 2/n·(1−E k)·1000."""
    rng = RNG(2)
    x, y = rng.standard_normal((100, 32)), rng.standard_normal((100, 32))
    unbiased = cmmd(x, y)
    assert unbiased.interval is not None
    assert unbiased.interval[0] < 0.0 < unbiased.interval[1]
    expected_bias = 1000.0 * 2.0 / 100.0 * (1.0 - np.exp(-2.0 / 200.0))  # random directions: ‖x−y‖² = 2 on average
    bias = (cmmd(x, y, biased=True).value or 0.0) - (unbiased.value or 0.0)
    assert bias == pytest.approx(expected_bias, rel=0.05)


def test_grows_with_the_shift() -> None:
    """The farther the mean direction is moved, the larger."""
    rng = RNG(3)
    x, y = rng.standard_normal((60, 8)), rng.standard_normal((60, 8))
    values = [cmmd(x + shift, y).value or 0.0 for shift in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values)


def test_coverage() -> None:
    """95 % intervals hold 0 for equal distributions, and the mean for others: 400 repetitions, ±1.1 % (1 sd)."""
    for shift in (0.0, 0.7):
        held, values = [], []
        for seed in range(400):
            rng = RNG([seed, int(10 * shift)])
            estimate = cmmd(rng.standard_normal((40, 12)) + shift, rng.standard_normal((60, 12)))
            held.append(estimate.interval)
            values.append(estimate.value or 0.0)
        mean = np.mean(values) if shift else 0.0
        share = np.mean([bounds is not None and bounds[0] <= mean <= bounds[1] for bounds in held])
        assert 0.92 <= share <= 0.98


def test_bad_input() -> None:
    """One image has no pair; a zero embedding has no direction; widths are compared."""
    assert cmmd(np.ones((1, 3)), np.ones((5, 3))).undefined.startswith("an unbiased kernel distance needs at least 2")
    with pytest.raises(GraftbenchError, match="row 1 of the generated features is zero"):
        cmmd(np.array([[1.0, 0.0], [0.0, 0.0]]), np.ones((3, 2)))
    with pytest.raises(GraftbenchError, match="3 wide and the reference features 2"):
        cmmd(np.ones((4, 3)), np.ones((4, 2)))
