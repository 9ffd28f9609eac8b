"""KID: brute force, unbiasedness, the standard error by simulation, and parity with torch-fidelity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftbench.errors import GraftbenchError
from graftbench.metrics import kernel, mmd
from graftbench.metrics.kernel import kid, kid_subsets

RNG = np.random.default_rng


def value(generated: np.ndarray, real: np.ndarray) -> float:
    """The value of a KID that must be defined."""
    estimate = kid(generated, real)
    assert estimate.value is not None, estimate.undefined
    return estimate.value


def brute_force(x: np.ndarray, y: np.ndarray) -> float:
    """The definition, one pair at a time."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((sum(a[i] * b[i] for i in range(len(a))) / len(a) + 1.0) ** 3)

    m, n = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    yy = sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return xx + yy - 2.0 * sum(k(a, b) for a in x for b in y) / (m * n)


def test_by_hand() -> None:
    """X = {0, 2}, Y = {1, 1} in 1-D: k is 1 within X, 8 within Y, and 1 or 27 across: 1 + 8 − 2·(1+1+27+27)/4 = −19."""
    assert value(np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])) == pytest.approx(-19.0, abs=1e-12)


@pytest.mark.parametrize(("m", "n", "width"), [(2, 2, 1), (2, 7, 3), (5, 3, 2), (6, 9, 4)])
def test_brute_force_at_unequal_sizes(m: int, n: int, width: int) -> None:
    """The matrix form equals the double loop; sums of fewer than 100 terms below 1e4 round within 1e-10."""
    rng = RNG(m * n)
    x, y = rng.standard_normal((m, width)), rng.standard_normal((n, width)) + 1.0
    assert value(x, y) == pytest.approx(brute_force(x, y), abs=1e-10)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Value, error and subset score are the same when the kernel matrix is walked in blocks of any size.

    Only the order of at most 70² additions differs: 1e-12 relative to sums of order one.
    """
    rng = RNG(0)
    x, y = rng.standard_normal((70, 5)), rng.standard_normal((53, 5)) + 0.3
    whole, subsets = kid(x, y), kid_subsets(x, y, subsets=7, subset_size=20)
    for block in (1, 16, 53):
        monkeypatch.setattr(kernel, "BLOCK", block)
        monkeypatch.setattr(mmd, "BLOCK", block)
        parts, parts_subsets = kid(x, y), kid_subsets(x, y, subsets=7, subset_size=20)
        assert (parts.value, parts.standard_error) == pytest.approx((whole.value, whole.standard_error), rel=1e-10)
        assert (parts_subsets.value, parts_subsets.spread) == pytest.approx((subsets.value, subsets.spread), rel=1e-10)


@given(st.integers(4, 20), st.integers(4, 20), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_laws(m: int, n: int, width: int, seed: int) -> None:
    """Symmetric, and blind to the order of images and to rotation, in value and in standard error.

    Kernel entries stay below (36/1+1)³ = 5e4; with squares of them the error's variance carries 1e-16·3e9, of which
    the root is below 1e-3 in the worst case and far below it relative to the errors of such samples.
    """
    rng = RNG(seed)
    x, y = rng.standard_normal((m, width)), rng.standard_normal((n, width)) + 0.5
    rotation = np.linalg.qr(rng.standard_normal((width, width)))[0]
    base = kid(x, y)
    for other in (kid(y, x), kid(rng.permutation(x), rng.permutation(y)), kid(x @ rotation, y @ rotation)):
        assert other.value == pytest.approx(base.value, rel=1e-9, abs=1e-9)
        assert other.standard_error == pytest.approx(base.standard_error, rel=1e-5, abs=1e-6)


def test_monotone_under_shift() -> None:
    """The further one side is shifted, the larger the score."""
    rng = RNG(1)
    x, y = rng.standard_normal((200, 8)), rng.standard_normal((200, 8))
    scores = [value(x + shift, y) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert scores == sorted(scores)
    assert scores[1] > 10 * abs(scores[0])


POOL_X = RNG(10).standard_normal((6, 3))
POOL_Y = RNG(11).standard_normal((5, 3)) + 0.6


def draws(repeats: int, m: int, n: int, *, same: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """KID and its squared standard error for samples drawn with replacement from finite pools."""
    rng = RNG(seed)
    second = POOL_X if same else POOL_Y
    found = [kid(POOL_X[rng.integers(6, size=m)], second[rng.integers(len(second), size=n)]) for _ in range(repeats)]
    return np.array([e.value for e in found]), np.array([e.standard_error for e in found]) ** 2


def true_mmd(*, same: bool) -> float:
    """MMD² of the two uniform distributions on the pools, every pair enumerated."""
    second = POOL_X if same else POOL_Y
    k = kernel.polynomial_kernel
    return float(k(POOL_X, POOL_X).mean() + k(second, second).mean() - 2.0 * k(POOL_X, second).mean())


@pytest.mark.parametrize(("m", "n", "same"), [(5, 9, False), (2, 3, False), (20, 12, True)])
def test_unbiased(m: int, n: int, same: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """The mean of 2000 repetitions lies within 4.5 of its standard errors of the enumerated truth (p < 1e-5)."""
    rng = RNG(m)
    second = POOL_X if same else POOL_Y
    values = np.array(
        [value(POOL_X[rng.integers(6, size=m)], second[rng.integers(len(second), size=n)]) for _ in range(2000)]
    )
    assert abs(values.mean() - true_mmd(same=same)) < 4.5 * values.std() / np.sqrt(2000)


def relative_noise(values: np.ndarray, squared_errors: np.ndarray) -> float:
    """Relative standard error of (mean squared error) / (variance of values), from the sample's own moments.

    A sample variance of R values has the relative variance (κ−1)/R with κ the kurtosis; a mean has var/(R·mean²).
    """
    centred = values - values.mean()
    kurtosis = (centred**4).mean() / (centred**2).mean() ** 2
    return float(np.sqrt((kurtosis - 1 + squared_errors.var() / squared_errors.mean() ** 2) / len(values)))


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n"), [(10, 25), (60, 40)])
def test_standard_error_is_the_true_one(m: int, n: int) -> None:
    """Different distributions: the mean squared standard error is the variance over 3000 fresh samples.

    At 4.5 standard errors of the ratio, which are computed from the sample (about 4 %, so the test tells 18 %).
    """
    values, squared = draws(3000, m, n, same=False, seed=m)
    assert squared.mean() / values.var() == pytest.approx(1.0, abs=4.5 * relative_noise(values, squared))


@pytest.mark.slow
def test_standard_error_does_not_vanish_for_equal_distributions() -> None:
    """Equal distributions, where first-order theory says 0: at least the true variance, and below twice that.

    With V the second-order variance, the first-order estimate is then 2V·(Σwz² − 1) with normal z and weights w that
    sum to 1, cut off at 0. That adds most for a single weight: 2V·E(z²−1)⁺ = 4V·φ(1) = 0.968 V.
    """
    values, squared = draws(3000, 60, 40, same=True, seed=7)
    noise = 4.5 * relative_noise(values, squared)
    assert 1.0 - noise < squared.mean() / values.var() < 1.968 + noise


@pytest.mark.slow
def test_standard_error_is_nearly_exact_for_many_dimensions() -> None:
    """Equal distributions that vary in 64 directions: the cut adds little, far less than a jackknife's 2."""
    rng = RNG(8)
    found = [kid(rng.standard_normal((60, 64)), rng.standard_normal((40, 64))) for _ in range(1500)]
    values, squared = (np.array([getattr(e, name) for e in found]) for name in ("value", "standard_error"))
    squared = squared**2
    noise = 4.5 * relative_noise(values, squared)
    assert 1.0 - noise < squared.mean() / values.var() < 1.3 + noise


def test_parity_with_torch_fidelity_subsets() -> None:
    """The same subsets and the same mean and spread as torch-fidelity on float64 features, and on float32 to 1e-5.

    In float64 only the order of 100² additions of terms near 1 differs: 1e-12. In float32 torch-fidelity itself rounds
    each kernel entry to 6e-8; averaged over 10⁴ entries that is below 1e-8 absolute, of a score of about 0.1.
    """
    import torch
    from torch_fidelity import metric_kid

    rng = RNG(3)
    x, y = rng.standard_normal((230, 24)), rng.standard_normal((180, 24)) + 0.4
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 1e-5)):
        a, b = x.astype(dtype), y.astype(dtype)
        theirs = metric_kid.kid_features_to_metric(
            torch.from_numpy(a), torch.from_numpy(b), kid_subsets=20, kid_subset_size=100, rng_seed=2020, verbose=False
        )
        ours = kid_subsets(a, b, subsets=20, subset_size=100)
        assert ours.name == "kid_20x100"
        assert ours.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=tolerance)
        assert ours.spread == pytest.approx(theirs["kernel_inception_distance_std"], rel=10 * tolerance)
        assert ours.standard_error is None


def test_one_subset_of_everything_is_the_full_statistic() -> None:
    """With subsets as large as the set, each is the whole set: the subset protocol is then the full U-statistic."""
    rng = RNG(4)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((30, 4))
    assert kid_subsets(x, y, subsets=3, subset_size=30).value == pytest.approx(value(x, y), abs=1e-12)


def test_constant_features() -> None:
    """Sides of identical images: the cubes' difference is exact, and nothing varies, so the error is 0.

    k is 1 within zeros, (1+1)³ = 8 within ones and 1 across: 1 + 8 − 2 = 7.
    """
    estimate = kid(np.zeros((6, 3)), np.ones((9, 3)))
    assert estimate.value == pytest.approx(7.0, abs=1e-12)
    assert estimate.standard_error == pytest.approx(0.0, abs=1e-7)
    assert value(np.ones((6, 3)), np.ones((9, 3))) == pytest.approx(0.0, abs=1e-12)


def test_small_counts() -> None:
    """One image: undefined with a reason. Two or three: a value without a standard error. Four: both."""
    lonely = kid(np.ones((1, 3)), np.ones((4, 3)))
    assert lonely.value is None
    assert "at least 2 images; found 1 generated" in lonely.undefined
    for n in (2, 3):
        few = kid(RNG(n).standard_normal((n, 3)), RNG(9).standard_normal((8, 3)))
        assert few.value is not None
        assert few.standard_error is None
    assert kid(RNG(4).standard_normal((4, 3)), RNG(9).standard_normal((8, 3))).standard_error is not None


def test_subsets_bad_input() -> None:
    """Fewer images than a subset: undefined, with both counts. A subset of one image: an error."""
    estimate = kid_subsets(np.ones((30, 3)), np.ones((20, 3)), subset_size=50)
    assert estimate.value is None
    assert "at least 50 images; found 30 generated and 20 reference" in estimate.undefined
    with pytest.raises(GraftbenchError, match="at least 1 subset of at least 2 images"):
        kid_subsets(np.ones((30, 3)), np.ones((20, 3)), subset_size=1)
    with pytest.raises(GraftbenchError, match="3 wide and the reference features 4"):
        kid(np.ones((30, 3)), np.ones((20, 4)))
