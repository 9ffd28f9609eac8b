"""FID: closed forms, laws, rank-deficient cases and parity with torch-fidelity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftbench.errors import GraftbenchError
from graftbench.metrics.covariance import Moments, moments
from graftbench.metrics.frechet import fid, fid_inf, frechet_distance

RNG = np.random.default_rng


def value(generated: object, real: object) -> float:
    """The value of an FID that must be defined."""
    estimate = fid(generated, real)  # type: ignore[arg-type]
    assert estimate.value is not None, estimate.undefined
    return estimate.value


def test_one_dimension_by_hand() -> None:
    """{−1, 1} has mean 0 and variance 2, {1, 5} mean 3 and variance 8: FID = 9 + (√8 − √2)² = 11."""
    assert value(np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])) == pytest.approx(11.0, abs=1e-12)


def test_diagonal_covariances_by_hand() -> None:
    """Points ±aᵢeᵢ have the covariance diag(2aᵢ²/(2D−1)); commuting covariances leave Σ(σᵢ−τᵢ)² and the shift."""
    a, b, shift = np.array([1.0, 2.0, 5.0]), np.array([3.0, 2.0, 0.5]), np.array([1.0, -2.0, 0.0])
    first = np.vstack([np.diag(a), -np.diag(a)])
    second = np.vstack([np.diag(b), -np.diag(b)]) + shift
    assert value(first, second) == pytest.approx(5.0 + 2.0 / 5.0 * np.square(a - b).sum(), abs=1e-12)


def test_rank_one_by_hand() -> None:
    """Two images on each side in five dimensions: ±e₁ and ±2e₁ give (2√2 − √2)² = 2; ±e₁ and ±e₂ give 2 + 2."""
    e = np.eye(5)
    first, double, other = (np.vstack([row, -row]) for row in (e[0], 2.0 * e[0], e[1]))
    assert value(first, double) == pytest.approx(2.0, abs=1e-12)
    assert value(first, other) == pytest.approx(4.0, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=8, max_size=8))
def test_closed_form_of_two_dimensions(entries: list[float]) -> None:
    """In 2-D, tr (Σ₁Σ₂)^½ = √(tr Σ₁Σ₂ + 2√(det Σ₁ det Σ₂)), also where the two do not commute.

    The singular values carry eps·‖A‖‖B‖ ≤ 2e-16·36; the closed form's inner root can lose half the digits where a
    determinant vanishes: √(2e-16·36²) < 1e-6.
    """

    def det(matrix: np.ndarray) -> float:
        return float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])

    a, b = np.array(entries).reshape(2, 2, 2)
    first, second = a.T @ a, b.T @ b
    root = np.trace(first @ second) + 2.0 * abs(det(a) * det(b))
    expected = np.trace(first) + np.trace(second) - 2.0 * np.sqrt(max(0.0, root))
    zero = np.zeros(2)
    assert frechet_distance(Moments(zero, a, 9), Moments(zero, b, 9)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("m", "n"), [(12, 20), (12, 90), (90, 12), (90, 120)])
def test_by_definition_in_every_rank(m: int, n: int) -> None:
    """All four combinations of few and many images agree with the definition, computed by dense square roots.

    The reference is the nuclear norm of Σ₁^½Σ₂^½ by SVD, with each root taken from the SVD of the data, D = 40. Where
    both have full rank the Gram side's eigenvalues carry eps·λmax² and hence less than 1e-13 relative for this
    condition (λmax/λmin < 1e3); the sums of 40 terms add their rounding: 1e-9 holds with room.
    """
    rng = RNG(m + n)
    x, y = rng.standard_normal((m, 40)) * np.linspace(0.5, 2, 40), rng.standard_normal((n, 40)) + 0.3

    def half(data: np.ndarray) -> np.ndarray:
        _, s, v = np.linalg.svd((data - data.mean(axis=0)) / np.sqrt(len(data) - 1), full_matrices=False)
        return (v.T * s) @ v

    a, b = half(x), half(y)
    expected = np.square(x.mean(axis=0) - y.mean(axis=0)).sum() + np.square(a).sum() + np.square(b).sum()
    expected -= 2.0 * np.linalg.svd(a @ b, compute_uv=False).sum()
    assert value(x, y) == pytest.approx(expected, rel=1e-9)


def test_parity_with_torch_fidelity_at_full_rank() -> None:
    """The same number as torch-fidelity on features of full rank.

    Its eigenvalues of the product Σ₁Σ₂ (not symmetric) carry eps·κ·λmax² with κ of the eigenvectors below 1e3 here, so
    about 1e-10 relative on the sum; 1e-6 is the agreement asked for.
    """
    import torch
    from torch_fidelity import metric_fid

    rng = RNG(0)
    x, y = rng.standard_normal((400, 64)), rng.standard_normal((300, 64)) * 1.3 + 0.2
    stats = (metric_fid.fid_features_to_statistics(torch.from_numpy(side)) for side in (x, y))
    theirs = metric_fid.fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert value(x, y) == pytest.approx(theirs, rel=1e-6)


@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 12), st.floats(0.1, 10.0), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_laws(m: int, n: int, width: int, scale: float, seed: int) -> None:
    """Symmetric, blind to the order of images, to rotation and to a common shift; quadratic in the scale; ≥ 0.

    Tolerance: entries below 60, traces below 12·3600, each operation within 1e-15 of that times N·D < 400; where both
    sides have full rank a tiny eigenvalue adds at most √eps·λmax·D = 2e-8·λmax·D.
    """
    rng = RNG(seed)
    x, y = rng.standard_normal((m, width)) * scale, rng.standard_normal((n, width)) + 1.0
    rotation = np.linalg.qr(rng.standard_normal((width, width)))[0]
    base = value(x, y)
    close = pytest.approx(base, rel=1e-7, abs=1e-6 * scale**2)
    assert base >= 0.0
    assert value(y, x) == close
    assert value(rng.permutation(x), y) == close
    assert value(x @ rotation, y @ rotation) == close
    assert value(x + 5.0, y + 5.0) == close
    assert value(2.0 * x, 2.0 * y) / 4.0 == close


@pytest.mark.parametrize(("n", "width"), [(20, 50), (200, 50)])
def test_identical_images_score_zero(n: int, width: int) -> None:
    """A set against itself: 0 to rounding on the rank-deficient side, to √eps·D·λmax at full rank, never negative."""
    x = RNG(1).standard_normal((n, width)) * np.geomspace(1.0, 1e-3, width)
    assert 0.0 <= value(x, x) < (1e-12 if n < width else 1e-6)


def test_shift_is_added_exactly() -> None:
    """Shifting one side by s from equality adds s²: monotone in the distance of the means."""
    x = RNG(2).standard_normal((30, 6))
    scores = [value(x + shift * np.eye(6)[0], x) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert scores == pytest.approx([0.0, 0.25, 1.0, 4.0], abs=1e-6)


def test_replayed_images_keep_their_precision() -> None:
    """Ten images replayed sixty times (a memoriser) have rank 9 among 600 rows; the zeros must not add up.

    FID of the replayed set differs from that of the ten only by the factor 600·9/(10·599) of the covariance, which is
    applied here to the ten images' root. Agreement to 1e-9 fails if 590 zero singular values are taken as √eps.
    """
    rng = RNG(3)
    ten, real = rng.standard_normal((10, 640)), rng.standard_normal((620, 640))
    base = moments(ten)
    scaled = Moments(base.mean, base.root * np.sqrt(600 * 9 / (10 * 599)), 600)
    expected = frechet_distance(scaled, moments(real))
    assert value(np.tile(ten, (60, 1)), real) == pytest.approx(expected, rel=1e-9)


def test_dead_features_at_full_count() -> None:
    """Constant features among more images than features make Σ singular: they change nothing (no Cholesky failure)."""
    rng = RNG(4)
    x, y = rng.standard_normal((80, 6)), rng.standard_normal((90, 6)) * 2.0
    dead_x, dead_y = (np.hstack([side, np.full((len(side), 3), 0.25)]) for side in (x, y))
    assert value(dead_x, dead_y) == pytest.approx(value(x, y), rel=1e-9)


@pytest.mark.parametrize(("m", "n"), [(3, 4), (30, 40), (3, 40)])
def test_constant_features_leave_the_shift(m: int, n: int) -> None:
    """All images alike on each side: no variance, the squared distance of the two points remains."""
    assert value(np.zeros((m, 5)), np.full((n, 5), 2.0)) == pytest.approx(20.0, abs=1e-12)


def test_the_line_of_fid_inf_begins_where_it_is_straight() -> None:
    """FID of 320 against N(0, I) of 32 features is about 1; FID∞ is 0.02 on average, and by a line from N/10 −0.3.

    Both in 100 draws, each intercept with a standard deviation of 0.1: the mean of 20 has one of 0.02.
    """
    exact = Moments(np.zeros(32), np.eye(32), 10**6)
    draws = [RNG(seed).standard_normal((320, 32)) for seed in range(20)]
    assert np.mean([value(draw, exact) for draw in draws]) == pytest.approx(0.97, abs=0.05)
    intercepts = [fid_inf(draw, exact).value for draw in draws]
    assert np.mean([number for number in intercepts if number is not None]) == pytest.approx(0, abs=0.08)


@pytest.mark.parametrize(("n", "defined"), [(64, False), (65, True)])
def test_fid_inf_needs_more_than_two_images_a_feature(n: int, defined: bool) -> None:  # noqa: FBT001 - a case's outcome
    """Half of them must have full rank."""
    estimate = fid_inf(RNG(8).standard_normal((n, 32)), RNG(9).standard_normal((80, 32)))
    assert (estimate.value is not None) == defined
    assert ("it needs more than 64; found 64" in estimate.undefined) == (not defined)


def test_moments_serve_again() -> None:
    """Cached moments of the reference give the same number as its features, on both sides of D."""
    rng = RNG(6)
    for n in (10, 60):
        x, y = rng.standard_normal((15, 20)), rng.standard_normal((n, 20))
        assert value(x, moments(y)) == value(x, y)
        assert fid(x, moments(y)).n_reference == n


def test_moments_are_those_of_numpy() -> None:
    """The root's square is numpy.cov, whichever way it was made."""
    for n in (7, 70):
        x = RNG(n).standard_normal((n, 10))
        found = moments(x)
        assert found.root.T @ found.root == pytest.approx(np.cov(x, rowvar=False), abs=1e-12)
        assert found.variance == pytest.approx(np.cov(x, rowvar=False).trace(), abs=1e-12)


@pytest.mark.parametrize(("m", "n"), [(1, 5), (5, 1), (0, 5), (0, 0)])
def test_too_few_images_are_undefined(m: int, n: int) -> None:
    """One image has no covariance: no value, and a reason that counts the images."""
    estimate = fid(np.ones((m, 3)), np.ones((n, 3)))
    assert estimate.value is None
    assert "at least 2 images" in estimate.undefined
    assert (estimate.n_generated, estimate.n_reference) == (m, n)
    assert (f"{m} generated" in estimate.undefined) == (m < 2)


def test_misuse_is_named() -> None:
    """Different widths and moments of one image are errors that say what was found."""
    with pytest.raises(GraftbenchError, match="4 wide and the reference features 5"):
        fid(np.ones((3, 4)), np.ones((3, 5)))
    with pytest.raises(GraftbenchError, match="4 wide and the reference features 5"):
        fid(np.ones((3, 4)), moments(np.ones((3, 5))))
    with pytest.raises(GraftbenchError, match="at least 2 images"):
        moments(np.ones((1, 4)))
