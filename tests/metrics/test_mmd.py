"""The discrepancy's interval: the quadratic that it solves, its limits, and its coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graftbench.metrics.kernel import kid, polynomial_kernel
from graftbench.metrics.mmd import DiscrepancyVariance, discrepancy

RNG = np.random.default_rng


@given(st.floats(0.01, 10), st.floats(0, 10), st.floats(-5, 50), st.floats(1, 4))
@example(1.0, 2.0, -3.0, 2.0)  # no θ ≥ 0 is near enough
def test_bounds_are_where_the_estimate_is_just_believable(s: float, c: float, estimate: float, q: float) -> None:
    """At both ends the estimate is exactly q standard deviations away, the variance being that of the end itself."""
    variance = DiscrepancyVariance(s, c)
    for end in variance.bounds(estimate, q):
        assert (estimate - end) ** 2 == pytest.approx(q**2 * variance.at(end), rel=1e-6, abs=1e-9)


def test_bounds_without_first_order_are_symmetric() -> None:
    """With a variance that does not depend on θ, the interval is estimate ± q·sd."""
    assert DiscrepancyVariance(4.0, 0.0).bounds(1.0, 1.5) == pytest.approx((-2.0, 4.0))


def test_a_linear_kernel_has_a_known_discrepancy() -> None:
    """k(x,y) = x·y gives ‖E x − E y‖², here 5²: within four of its own standard errors, which are nearly exact.

    Variance of the squared distance of means to first order: 4·25·(1/m + 1/n).
    """
    m, n, values, errors = 80, 120, [], []
    for seed in range(200):
        rng = RNG(seed)
        found = discrepancy(
            rng.standard_normal((m, 2)) + np.array([3.0, 4.0]), rng.standard_normal((n, 2)), lambda a, b: a @ b.T, 0.0
        )
        assert found.variance is not None
        values.append(found.unbiased)
        errors.append(math.sqrt(found.variance.at(found.unbiased)))
    expected = math.sqrt(4.0 * 25.0 * (1 / m + 1 / n))
    assert np.mean(values) == pytest.approx(25.0, abs=4.0 * expected / math.sqrt(200))
    assert np.mean(errors) == pytest.approx(expected, rel=0.05)


def test_under_equality_the_variance_is_the_second_order_alone() -> None:
    """For equal distributions and a linear kernel in D dimensions, Var = 2D(1/m + 1/n)² to first order in 1/n."""
    m, n, width = 100, 100, 10
    found = [
        discrepancy(
            RNG(seed).standard_normal((m, width)),
            RNG([seed]).standard_normal((n, width)) * -1.0,
            lambda a, b: a @ b.T,
            0.0,
        ).variance
        for seed in range(30)
    ]
    expected = 2.0 * width * (1 / m + 1 / n) ** 2
    assert np.mean([v.second_order for v in found if v is not None]) == pytest.approx(expected, rel=0.1)


def pair(seed: int, m: int, n: int, width: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian samples with variances that decay as 1/i, one moved in every direction by `shift` of its sd."""
    rng, spectrum = RNG([seed, m, int(1000 * shift)]), np.arange(1, width + 1) ** -0.5
    return (rng.standard_normal((m, width)) + shift) * spectrum, rng.standard_normal((n, width)) * spectrum


def polynomial_truth(width: int, shift: float) -> float:
    """KID of the two distributions from six pairs of 4,000 images: its error is a tenth of those tested, or less."""
    pairs = [pair(10_000 + i, 4000, 4000, width, shift) for i in range(6)]
    return float(np.mean([discrepancy(x, y, polynomial_kernel, 1.0).unbiased for x, y in pairs]))


def coverage(repetitions: int, sizes: tuple[int, int, int], shift: float, truth: float) -> float:
    """Share of KID's nominal 95 % intervals that hold the true value."""
    intervals = [kid(*pair(seed, *sizes, shift)).interval for seed in range(repetitions)]
    return float(np.mean([i is not None and i[0] <= truth <= i[1] for i in intervals]))


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_coverage(shift: float) -> None:
    """40 against 60 images: intervals hold the true KID, 0 where both are equal. 500 repetitions, ±1 % (1 sd)."""
    truth = polynomial_truth(32, shift) if shift else 0.0
    assert 0.92 <= coverage(500, (40, 60, 32), shift, truth) <= 0.98


@pytest.mark.long
@pytest.mark.parametrize("shift", [0.0, 0.15, 0.3, 0.6, 1.5])
@pytest.mark.parametrize("sizes", [(12, 60, 64), (20, 300, 256), (200, 200, 64)])
def test_coverage_far_and_wide(sizes: tuple[int, int, int], shift: float) -> None:
    """Few and many images, near to equality and far from it: 92 to 98 % of 1000 intervals (±0.7 %, 1 sd)."""
    truth = polynomial_truth(sizes[2], shift) if shift else 0.0
    assert 0.92 <= coverage(1000, sizes, shift, truth) <= 0.98
