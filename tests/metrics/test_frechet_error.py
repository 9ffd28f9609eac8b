"""FID's standard error: derivatives checked by differences, coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from graftbench.metrics.covariance import Moments, moments
from graftbench.metrics.frechet import fid, frechet_distance
from graftbench.metrics.frechet_error import (
    STEP,
    _distance_at,
    _evaluation,
    _influences,
    _Products,
    _Rows,
    _singular,
    corrected,
    fid_variance,
    rows_instead_of_root,
    signs,
)

RNG = np.random.default_rng


def gaussians(
    n_generated: int, n_reference: int, width: int, seed: int, *, shift: float = 0.0, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian samples whose variances decay as 1/i, as those of networks' features do; one is moved."""
    rng, spectrum = RNG(seed), np.arange(1, width + 1) ** -0.5
    x = (rng.standard_normal((n_generated, width)) * scale + shift) * spectrum
    return x, rng.standard_normal((n_reference, width)) * spectrum


def weighted_fid(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """FID with weights on the first side, by its definition."""
    mean = w @ x
    root = (x - mean) * np.sqrt(w * len(x) / (len(x) - 1))[:, None]
    return frechet_distance(Moments(mean, root, len(x)), moments(y))


@pytest.mark.parametrize(("n", "m", "width"), [(12, 9, 30), (9, 40, 20), (60, 50, 8), (60, 5, 8)])
def test_influences_are_derivatives(n: int, m: int, width: int) -> None:
    """Moving a little weight to one image changes FID by its influence, for every combination of ranks.

    Central differences with a step of 1e-4: their error is the third derivative's, 1e-8 relative to influences of
    order 10, and the square roots of the nearly empty directions add 1e-5.
    """
    x, y = gaussians(n, m, width, seed=n, shift=0.3, scale=1.4)
    side, other = _Rows.of(x), _Rows.of(y)
    u, s, _ = _singular(side.root @ other.root.T)
    found = _influences(side, 2.0 * (side.mean - other.mean), u, s)
    h, uniform = 1e-4, np.full(n, 1.0 / n)
    for i in (0, n // 2, n - 1):
        step = h * (np.eye(n)[i] - uniform)
        slope = (weighted_fid(x, y, uniform + step) - weighted_fid(x, y, uniform - step)) / (2.0 * h)
        assert found[i] == pytest.approx(slope, rel=1e-3, abs=1e-3)
    assert found.sum() == pytest.approx(0.0, abs=1e-9)


def test_one_feature_by_hand() -> None:
    """In one dimension FID = (μ₁−μ₂)² + (σ₁−σ₂)²: the influence of x is 2(μ₁−μ₂)a + (1−σ₂/σ₁)(a²·n/(n−1) − σ₁²)."""
    x, y = np.array([[0.0], [1.0], [5.0], [2.0]]), np.array([[1.0], [7.0], [3.0]])
    side, other = _Rows.of(x), _Rows.of(y)
    u, s, _ = _singular(side.root @ other.root.T)
    a, first, second = x[:, 0] - 2.0, x.std(ddof=1), y.std(ddof=1)
    shift = 2.0 - 11.0 / 3.0
    expected = 2.0 * shift * a + (1.0 - second / first) * (a**2 * 4.0 / 3.0 - first**2)
    np.testing.assert_allclose(_influences(side, np.array([2.0 * shift]), u, s), expected, atol=1e-12)


def test_second_order_of_a_quadratic() -> None:
    """For FID = ‖mean₁ − μ‖² alone (one side fixed, both without spread in common) V₂ is known.

    With images on a sphere in D dimensions far from a fixed point-like reference, FID = ‖mean−μ‖² + tr Σ₁, whose second
    order is zero: ‖mean‖² and tr Σ₁ take their pair terms from one another up to 1/(n−1).
    """
    x = RNG(0).standard_normal((40, 6))
    reference = Moments(np.zeros(6), np.zeros((1, 6)), 100)
    first = _Rows.of(x)
    at, influences = _evaluation(first, reference), np.sqrt(39.0) * 2.0 * (first.rows @ first.mean)
    influences += 40.0 * np.square(first.rows).sum(axis=1)
    rng = RNG(0)
    found = corrected(
        [influences - influences.mean()], at, at(np.ones(40), np.ones(0)), lambda: (STEP * signs(40, rng), np.empty(0))
    )
    jackknife = float(np.square(influences - influences.mean()).sum()) / 40**2
    assert found.value == pytest.approx(jackknife, rel=2e-3)
    assert fid_variance(x, reference).value == pytest.approx(jackknife, rel=2e-3)


def test_symmetric_and_blind_to_order() -> None:
    """The sides' roles and the order of the images do not matter, up to the directions that are drawn for V₂.

    V₂, known to 0.47 of itself, is a tenth of the variance here.
    """
    x, y = gaussians(40, 30, 50, seed=1, shift=0.5)
    one, other = fid_variance(x, y), fid_variance(y, x)
    assert one.degrees == pytest.approx(other.degrees, rel=1e-9)
    assert one.value == pytest.approx(other.value, rel=0.3)
    assert fid_variance(x[::-1], y, seed=5).value == pytest.approx(one.value, rel=0.3)
    assert fid_variance(x, y, seed=5).value == fid_variance(x, y, seed=5).value


def test_no_variance_without_differences() -> None:
    """Images that are all alike have a variance of 0, and FID an interval of no width."""
    estimate = fid(np.ones((5, 3)), np.zeros((4, 3)), interval=True)
    assert estimate.value == pytest.approx(3.0)
    assert estimate.standard_error == 0.0
    assert estimate.interval == (estimate.value, estimate.value)


def test_a_fixed_reference_counts_out() -> None:
    """Against moments only the generated images vary: less variance than against images, and it is said."""
    x, y = gaussians(30, 30, 40, seed=2)
    free, fixed = fid(x, y, interval=True), fid(x, moments(y), interval=True)
    assert free.standard_error is not None
    assert fixed.standard_error is not None
    assert fixed.value == pytest.approx(free.value, rel=1e-12)
    assert fixed.standard_error < free.standard_error
    assert (free.method, fixed.method) == ("jackknife", "jackknife, reference fixed")


def coverage(repetitions: int, *sizes: int, shift: float = 0.0, scale: float = 1.0) -> float:
    """Share of nominal 95 % intervals that hold the mean of FID at these sizes."""
    estimates = [
        fid(*gaussians(*sizes, seed=seed, shift=shift, scale=scale), interval=True) for seed in range(repetitions)
    ]
    mean = np.mean([e.value for e in estimates if e.value is not None])
    return float(np.mean([e.interval[0] <= mean <= e.interval[1] for e in estimates if e.interval is not None]))


MOVES = [pytest.param(0.0, 1.0, id="equal"), pytest.param(0.5, 1.0, id="shifted"), pytest.param(0.0, 1.5, id="wider")]


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "scale"), MOVES)
def test_coverage(shift: float, scale: float) -> None:
    """40 against 60 images of 64 features: 95 % intervals cover. 200 repetitions know coverage to ±1.5 % (1 sd)."""
    assert 0.92 <= coverage(200, 40, 60, 64, shift=shift, scale=scale) <= 0.98


@pytest.mark.long
@pytest.mark.parametrize(("shift", "scale"), MOVES)
@pytest.mark.parametrize("sizes", [(20, 20, 64), (200, 200, 64), (200, 150, 256), (50, 400, 256), (600, 600, 64)])
def test_coverage_far_and_wide(sizes: tuple[int, int, int], shift: float, scale: float) -> None:
    """Below and above full rank, with equal and unequal numbers: 92 to 98 % of 600 intervals (±0.9 %, 1 sd)."""
    assert 0.92 <= coverage(600, *sizes, shift=shift, scale=scale) <= 0.98


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("m", [15, 60])
def test_products_taken_once_change_nothing(*, fixed: bool, m: int) -> None:
    """FID at any weights from products taken once is FID by its definition, also where a side outnumbers the features.

    The tolerance of 1e-7 is for the roots of small eigenvalues.
    """
    x, y = gaussians(20, m, 40, seed=4, shift=0.3)
    first, second = _Rows.of(x), moments(y) if fixed else _Rows.of(y)
    rng = RNG(0)
    factors, others = (1.0 + rng.uniform(-0.5, 0.5, n) for n in (20, m))
    factors, others = factors / factors.mean(), others / others.mean()
    once = _Products(first, second).distance_at(factors, others)
    assert once == pytest.approx(_distance_at(first, second, factors, others), rel=1e-7)
    whole = _Products(first, second).distance_at(np.ones(20), np.ones(m))
    assert whole == pytest.approx(fid(x, y).value, rel=1e-6)


@pytest.mark.parametrize("count", [12, 30, 41])
def test_rows_of_both_sides_stand_for_a_root(count: int) -> None:
    """Against 12, 30 or 41 images of 20 features, 8 images score and vary as by the roots of the covariances.

    Up to twice as many images as features their rows are multiplied as they are, from 41 on a root is taken; one
    feature is constant, so that the covariance of many has none by Cholesky. Both ways round alike, to the digits of a
    sum of 20 square roots of rounded eigenvalues.
    """
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(8, 20)), rng.normal(0.3, 1.5, size=(count, 20))
    x[:, 4] = y[:, 4] = 1.0
    assert rows_instead_of_root(x, y) == (count <= 40)
    by_roots = frechet_distance(moments(x), moments(y))
    assert fid(x, y).value == pytest.approx(by_roots, rel=1e-9)
    assert fid(y, x).value == pytest.approx(by_roots, rel=1e-9)
    first, second = _Rows.of(x), _Rows.of(y)
    whole = _Rows.of(x, whole=True), _Rows.of(y, whole=True)
    u, s, v = _singular(first.root @ second.root.T)
    u_whole, s_whole, v_whole = _singular(whole[0].root @ whole[1].root.T)
    shift = 2.0 * (first.mean - second.mean)
    assert _influences(whole[0], shift, u_whole, s_whole) == pytest.approx(_influences(first, shift, u, s), rel=1e-6)
    assert _influences(whole[1], -shift, v_whole, s_whole) == pytest.approx(_influences(second, -shift, v, s), rel=1e-6)
