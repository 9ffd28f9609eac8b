"""Memorisation: cases by hand, brute force, what new images score in theory, and who is caught."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc

from graftbench.errors import GraftbenchError
from graftbench.metrics import memorization
from graftbench.metrics.covariance import moments
from graftbench.metrics.frechet import fid
from graftbench.metrics.memorization import authpct, copying_z, k_means, mifid, train_distance_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from graftbench.metrics.estimate import Estimate

RNG = np.random.default_rng


def column(*values: float) -> np.ndarray:
    """One-dimensional features."""
    return np.array(values)[:, None]


def value(estimate: Estimate) -> float:
    """The value of an estimate that must be defined."""
    assert estimate.value is not None, estimate.undefined
    return estimate.value


def bounds(estimate: Estimate) -> tuple[float, float]:
    """The interval of an estimate that must have one."""
    assert estimate.interval is not None
    return estimate.interval


def coverage(estimates: Iterable[Estimate], true: float | None = None) -> float:
    """Share of the intervals that hold the true value, or else the mean of the estimates."""
    found = list(estimates)
    mean = float(np.mean([value(e) for e in found])) if true is None else true
    return float(np.mean([bounds(e)[0] <= mean <= bounds(e)[1] for e in found]))


def sets(noise: float, *, copies: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """300 generated, 150 held-out and 100 training images in 16 dimensions: copies of the last, or new ones."""
    rng = RNG(20)
    train, held_out = rng.standard_normal((100, 16)), rng.standard_normal((150, 16))
    generated = rng.standard_normal((300, 16))
    if copies:
        generated = train[rng.integers(100, size=300)] + noise * generated
    return generated, held_out, train


# ------------------------------------------------------------------------------------------------ who is caught


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-3])
def test_a_memorizer_is_caught_by_every_metric(noise: float) -> None:
    """Training images drawn with replacement, exact or with a little noise."""
    generated, held_out, train = sets(noise, copies=True)
    ratio = train_distance_ratio(generated, held_out, train)
    assert value(ratio) <= 2 * noise
    assert bounds(ratio)[1] < 0.02
    assert value(authpct(generated, train)) == 0.0
    assert bounds(authpct(generated, train))[1] < 1.5
    z = copying_z(generated, held_out, train)
    assert value(z) < -5.0
    assert bounds(z)[1] < -3.0
    informed = mifid(generated, held_out, train)
    if noise < 1e-6:
        assert informed.value is None
        assert "every generated image is a copy" in informed.undefined
    else:
        assert value(informed) > 1000 * value(fid(generated, held_out))


def test_new_images_are_caught_by_none() -> None:
    """A sample from the training images' own distribution; the seed is fixed, as 5 % of all intervals miss."""
    generated, held_out, train = sets(0.0, copies=False)
    low, high = bounds(train_distance_ratio(generated, held_out, train))
    assert low < 1.0 < high
    z = copying_z(generated, held_out, train)
    assert -3.0 < value(z) < 3.0
    assert bounds(z)[0] < 0.0 < bounds(z)[1]
    assert bounds(authpct(generated, train))[0] > 33.0
    assert value(mifid(generated, held_out, train)) == value(fid(generated, held_out))


# ------------------------------------------------------------------------------------------------ ratio


def test_ratio_by_hand() -> None:
    """Distances {1, 3} and {2, 6} to the only training image: 2/4, with the error √(2/2/16 + (8/2/16)/4) = √(1/8)."""
    estimate = train_distance_ratio(column(1.0, -3.0), column(2.0, 6.0), column(0.0))
    assert estimate.value == pytest.approx(0.5, abs=1e-15)
    assert estimate.standard_error == pytest.approx(np.sqrt(1 / 8), abs=1e-15)
    assert (estimate.n_generated, estimate.n_reference, estimate.n_train) == (2, 2, 1)


def test_ratio_of_exact_copies_keeps_a_doubt() -> None:
    """20 of 20 copies: the upper end is Wilson's for the share of images that are none, 3.84/23.84."""
    estimate = train_distance_ratio(np.zeros((20, 2)), RNG(0).standard_normal((20, 2)), np.zeros((3, 2)))
    assert (estimate.value, estimate.standard_error) == (0.0, 0.0)
    assert bounds(estimate) == (0.0, pytest.approx(3.8415 / 23.8415, abs=1e-5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("m", "n"), [pytest.param(5, 5, marks=pytest.mark.long), (20, 20), pytest.param(200, 50, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("copied", [0.0, 0.5, 0.95])
def test_ratio_covers(m: int, n: int, copied: float) -> None:
    """The interval holds the ratio of expected distances, for a generator that copies none, half or nearly all.

    1000 repetitions: a coverage of 0.95 is seen within 0.031 (4.5 standard errors). It may be larger where nearly all
    are copies, and at 5 images it falls to 0.93.
    """
    rng, train = RNG(m), RNG(1).standard_normal((10, 4))

    def draw(count: int) -> np.ndarray:
        images = rng.standard_normal((count, 4))
        copies = rng.random(count) < copied
        images[copies] = train[rng.integers(10, size=int(copies.sum()))]
        return images

    far = np.linalg.norm(rng.standard_normal((100_000, 1, 4)) - train, axis=2).min(axis=1).mean()
    far_too = np.linalg.norm(rng.standard_normal((100_000, 1, 4)) - train, axis=2).min(axis=1).mean()
    true = float((1.0 - copied) * far / far_too)
    found = coverage((train_distance_ratio(draw(m), rng.standard_normal((n, 4)), train) for _ in range(1000)), true)
    assert 0.95 - 0.031 - 0.02 * (m == 5) < found < (0.981 if copied < 0.9 else 1.001)


# ------------------------------------------------------------------------------------------------ AuthPct


def test_authpct_by_hand() -> None:
    """Training images 0, 1, 3 are 1, 1, 2 from their neighbours; −1.5 and 6 are further off, −1 is just as far."""
    estimate = authpct(column(0.25, -1.0, -1.5, 4.0, 6.0), column(0.0, 1.0, 3.0))
    assert estimate.value == 40.0
    assert bounds(estimate) == pytest.approx((11.762, 76.928), abs=1e-3)  # Wilson's for 2 of 5, as published in tables


def test_a_copy_of_a_duplicate_is_a_copy() -> None:
    """Both distances are 0 for a copy of an image that the training set holds twice; 0.1 beside it is no copy."""
    assert authpct(column(0.0, 0.1), column(0.0, 0.0, 5.0)).value == 50.0


def authentic_share(draw: Callable[[int], np.ndarray], train: int, repeats: int) -> float:
    """Share of authentic images, each against training images of its own."""
    found = 0.0
    for _ in range(repeats):
        images = draw(train + 1)
        found += value(authpct(images[:1], images[1:])) / 100.0
    return found / repeats


@pytest.mark.slow
@pytest.mark.parametrize("case", ["normal in 3-D", "heavy-tailed in 2-D", "circle"])
def test_authpct_of_new_images(case: str) -> None:
    """New images score 1/3 on average where that is exact.

    Among three points of any continuous distribution just one pair is mutually nearest, so that 2/3 of all points are;
    and on a line or a circle a gap is smaller than both neighbouring gaps with probability 1/3, for any number of
    points. 1000 repetitions: 4.5 standard errors are 4.5·√(2/9/1000) = 0.067.
    """
    rng = RNG(3)

    def circle(count: int) -> np.ndarray:
        angles = rng.uniform(0.0, 2.0 * np.pi, count)
        return np.column_stack((np.cos(angles), np.sin(angles)))

    draw, train = {
        "normal in 3-D": (lambda count: rng.standard_normal((count, 3)), 2),
        "heavy-tailed in 2-D": (lambda count: rng.standard_cauchy((count, 2)), 2),
        "circle": (circle, 12),
    }[case]
    assert authentic_share(draw, train, 1000) == pytest.approx(1 / 3, abs=0.067)


@pytest.mark.long
def test_authpct_of_new_images_in_the_plane() -> None:
    """On a surface 1 − 1/(2 − I_¾(3/2, ½)) = 37.8 % are authentic, more than the line's 33.3 %.

    Points on a sphere, which has no border. 20,000 repetitions: 4.5·√(0.235/20,000) = 0.0155.
    """
    rng = RNG(4)

    def sphere(count: int) -> np.ndarray:
        points = rng.standard_normal((count, 3))
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    expected = 1.0 - 1.0 / (2.0 - betainc(1.5, 0.5, 0.75))
    assert expected == pytest.approx(0.3785, abs=1e-4)
    assert authentic_share(sphere, 60, 20_000) == pytest.approx(expected, abs=0.0155)


# ------------------------------------------------------------------------------------------------ C_T


def slow_z(a: np.ndarray, b: np.ndarray) -> float:
    """Mann–Whitney z by pairs, with the variance of the ranks as they are (which is the tie correction)."""
    m, n = len(a), len(b)
    u = sum(float(i > j) + 0.5 * float(i == j) for i in a for j in b)
    everything = np.concatenate((a, b))
    ranks = np.array([sum(everything < i) + (sum(everything == i) + 1) / 2 for i in everything])
    # The sum of m of N ranks drawn without replacement: m·n/N times their unbiased variance.
    variance = m * n / (m + n) * ranks.var(ddof=1)
    return float((u - m * n / 2) / np.sqrt(variance))


def slow_c_t(a: np.ndarray, cell_a: np.ndarray, b: np.ndarray, cell_b: np.ndarray, cells: list[int]) -> float:
    """The weighted mean, cell by cell."""
    weights = np.array([np.mean(cell_b == c) for c in cells])
    scores = np.array([slow_z(a[cell_a == c], b[cell_b == c]) for c in cells])
    return float(weights @ scores / weights.sum())


@pytest.mark.parametrize("steps", [2.0, 1e12])
@pytest.mark.parametrize("cells", [1, 3])
def test_c_t_is_the_papers_and_its_error_the_jackknife(steps: float, cells: int) -> None:
    """Value and standard error equal the definition and its recomputation without each image.

    Features on a line: multiples of ½, whose distances are exact and often tied, or all different ones. Sums of fewer
    than 40·30 pairs round within 1e-10.
    """
    rng = RNG(cells)
    train = np.arange(12.0)[:, None] * 8.0
    x, y = (np.round(rng.uniform(-4.0, 92.0, (size, 1)) * steps) / steps for size in (40, 30))
    estimate = copying_z(x, y, train, cells=cells, least=2)
    centres = k_means(train, cells, 0)
    a, b = np.abs(x - train.T).min(axis=1), np.abs(y - train.T).min(axis=1)
    cell_a, cell_b = np.abs(x - centres.T).argmin(axis=1), np.abs(y - centres.T).argmin(axis=1)
    kept = [c for c in range(cells) if min(sum(cell_a == c), sum(cell_b == c)) >= 2]
    assert estimate.value == pytest.approx(slow_c_t(a, cell_a, b, cell_b, kept), abs=1e-10)
    without_a = [
        slow_c_t(np.delete(a, i), np.delete(cell_a, i), b, cell_b, kept) for i in np.flatnonzero(np.isin(cell_a, kept))
    ]
    without_b = [
        slow_c_t(a, cell_a, np.delete(b, i), np.delete(cell_b, i), kept) for i in np.flatnonzero(np.isin(cell_b, kept))
    ]
    variance = sum((len(left) - 1) * np.var(left) for left in (without_a, without_b))
    assert estimate.standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_c_t_agrees_with_scipy() -> None:
    """One cell: the z behind scipy's asymptotic p-value without continuity correction."""
    from scipy.special import ndtri
    from scipy.stats import mannwhitneyu

    rng = RNG(5)
    x, y = 0.9 * rng.standard_normal((60, 3)), rng.standard_normal((45, 3))
    distances = [np.linalg.norm(side, axis=1) for side in (x, y)]  # the training set is the origin
    p = mannwhitneyu(*distances, alternative="less", method="asymptotic", use_continuity=False).pvalue
    assert copying_z(x, y, np.zeros((1, 3))).value == pytest.approx(ndtri(p), abs=1e-9)


def test_c_t_leaves_small_cells_out_and_says_so() -> None:
    """A far cell with 3 generated images does not count; with all images there, nothing is left."""
    rng = RNG(6)
    train = np.concatenate((rng.standard_normal((30, 2)), rng.standard_normal((30, 2)) + 100.0))
    near, far = rng.standard_normal((50, 2)), rng.standard_normal((50, 2)) + 100.0
    held_out = rng.standard_normal((50, 2))
    estimate = copying_z(np.concatenate((near, far[:3])), held_out, train, cells=2)
    assert "1 of 2 cells left out" in estimate.note
    assert estimate.value == pytest.approx(value(copying_z(near, held_out, train[:30], cells=1)), abs=1e-12)
    nothing = copying_z(far, near, train, cells=2)
    assert nothing.value is None
    assert "none of 2 cells has 10 generated and 10 held-out images" in nothing.undefined


def test_c_t_of_equal_distances_is_undefined() -> None:
    """Nothing ranks images that are all equally far from the training set."""
    estimate = copying_z(np.ones((20, 2)), np.ones((20, 2)), np.zeros((5, 2)))
    assert estimate.value is None
    assert "all distances to the training set are equal" in estimate.undefined


@pytest.mark.slow
@pytest.mark.parametrize(
    ("m", "n", "cells"),
    [
        (20, 20, 1),
        pytest.param(200, 50, 1, marks=pytest.mark.long),
        pytest.param(200, 100, 3, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("copied", [0.0, 0.5])
def test_c_t_covers(m: int, n: int, cells: int, copied: float) -> None:
    """The interval holds the mean score at these sizes, also where the score's deviation is far from 1.

    600 repetitions: a coverage of 0.95 is seen within 0.04 (4.5 standard errors).
    """
    rng, train = RNG(m + n), RNG(1).standard_normal((60, 3))
    found = []
    for _ in range(600):
        x = rng.standard_normal((m, 3))
        copies = rng.random(m) < copied
        x[copies] = train[rng.integers(60, size=int(copies.sum()))]
        found.append(copying_z(x, rng.standard_normal((n, 3)), train, cells=cells, least=5))
    assert 0.91 < coverage(found) < 0.985
    if not copied and cells == 1:
        spread = np.std([value(e) for e in found])  # 1, within 4.5/√(2·600) = 0.13
        assert spread == pytest.approx(1.0, abs=0.13)


def test_k_means() -> None:
    """Separate groups are found; equal points make fewer centres; a seed gives the same centres."""
    rng = RNG(8)
    points = np.concatenate([rng.standard_normal((20, 2)) * 0.1 + 10.0 * c for c in range(3)])
    for seed in range(5):
        centres = k_means(points, 3, seed)
        assert sorted(centres[:, 0]) == pytest.approx([points[20 * c : 20 * c + 20, 0].mean() for c in range(3)])
        assert np.array_equal(centres, k_means(points, 3, seed))
    assert len(k_means(np.repeat(column(1.0, 2.0), 5, axis=0), 4, 0)) == 2


# ------------------------------------------------------------------------------------------------ MiFID


def test_mifid_by_hand() -> None:
    """Both generated images lie at ±60° of the only training image's direction: FID over 1 − ½, whatever the sign."""
    half, root = 0.5, np.sqrt(0.75)
    generated, real = np.array([[half, root], [-half, root]]), np.array([[0.0, 0.0], [0.0, 2.0]])
    distance = value(fid(generated, real))
    assert value(mifid(generated, real, np.array([[3.0, 0.0]]))) == distance
    assert value(mifid(generated, real, np.array([[3.0, 0.0]]), threshold=0.6)) == pytest.approx(distance / 0.5)


def test_mifid_is_the_papers() -> None:
    """FID over the mean of least cosine distances, one pair at a time; moments serve as the reference too."""
    rng = RNG(9)
    generated, real, train = (rng.standard_normal((size, 5)) + 2.0 for size in (12, 15, 7))
    total = 0.0
    for g in generated:
        total += min(1.0 - abs(g @ t) / (np.linalg.norm(g) * np.linalg.norm(t)) for t in train)
    expected = value(fid(generated, real)) / (total / 12)
    assert mifid(generated, real, train, threshold=1.0).value == pytest.approx(expected, rel=1e-12)
    assert mifid(generated, moments(real), train, threshold=1.0).value == pytest.approx(expected, rel=1e-12)


def test_mifid_asks_the_generated_images() -> None:
    """Copies of a single training image are caught, though most training images have no copy near them."""
    rng = RNG(10)
    train, real = rng.standard_normal((50, 16)), rng.standard_normal((50, 16))
    generated = train[:1] + 1e-3 * rng.standard_normal((50, 16))
    assert value(mifid(generated, real, train)) > 1e5 * value(fid(generated, real))


def test_mifid_without_directions() -> None:
    """A feature vector of zeros has no cosine: undefined, with the side."""
    some = RNG(0).standard_normal((4, 3))
    assert "1 of 5 generated feature" in mifid(np.vstack((some, np.zeros(3))), some, some + 1.0).undefined
    assert "2 of 2 training feature" in mifid(some, some, np.zeros((2, 3))).undefined


# ------------------------------------------------------------------------------------------------ laws and errors


@pytest.mark.slow
@given(st.integers(10, 25), st.integers(10, 25), st.integers(3, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_laws(m: int, n: int, shots: int, seed: int) -> None:
    """Blind to the order of images; distances also to rotation, shift and scale, cosines to rotation and scale.

    Rounding of 1e-15 relative does not turn the order of two random distances.
    """
    rng = RNG(seed)
    x, y, t = (rng.standard_normal((size, 4)) for size in (m, n, shots))
    rotation = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    shuffled = tuple(rng.permutation(side) for side in (x, y, t))
    moved = tuple(3.0 * side @ rotation + 5.0 for side in (x, y, t))
    turned = tuple(3.0 * side @ rotation for side in (x, y, t))
    for a, b, c in (shuffled, moved):
        for base, other in (
            (train_distance_ratio(x, y, t), train_distance_ratio(a, b, c)),
            (authpct(x, t), authpct(a, c)),
            (copying_z(x, y, t), copying_z(a, b, c)),
        ):
            assert other.value == pytest.approx(base.value, rel=1e-9, abs=1e-9)
            assert bounds(other) == pytest.approx(bounds(base), rel=1e-8, abs=1e-8)
    base = value(mifid(x, y, t))
    assert value(mifid(*shuffled)) == pytest.approx(base, rel=1e-8)
    assert value(mifid(*turned)) == pytest.approx(9.0 * base, rel=1e-8)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk over row blocks of cosines finds the same gaps."""
    rng = RNG(11)
    x, t = rng.standard_normal((37, 5)), rng.standard_normal((11, 5))
    whole = memorization._cosine_gaps(x, t)
    monkeypatch.setattr(memorization, "_BLOCK", 8)
    assert memorization._cosine_gaps(x, t) == pytest.approx(whole, abs=1e-15)


def test_small_counts() -> None:
    """Too few images: undefined with what was needed and found."""
    one, two, many = np.ones((1, 2)), RNG(0).standard_normal((2, 2)), RNG(1).standard_normal((30, 2))
    none = np.ones((0, 2))
    assert "2 images; found 1 generated" in train_distance_ratio(one, two, two).undefined
    assert "1 training images; found 0" in train_distance_ratio(two, two, none).undefined
    assert "mean distance is 0" in train_distance_ratio(two, many[:3], many).undefined
    assert "2 training images; found 1" in authpct(two, one).undefined
    assert "found 0 generated" in authpct(none, two).undefined
    assert "10 images; found 2 reference" in copying_z(many, two, many).undefined
    assert "40 training images; found 30" in copying_z(many, many, many, cells=40).undefined
    assert "2 images; found 1 generated" in mifid(one, two, two).undefined
    assert "1 training images; found 0" in mifid(two, two, none).undefined
    assert train_distance_ratio(two, two + 1.0, one).interval is not None


def test_bad_input() -> None:
    """Widths that differ and senseless parameters are errors."""
    two, three = np.ones((20, 2)), np.ones((20, 3))
    for call in (
        lambda: train_distance_ratio(two, two, three),
        lambda: authpct(two, three),
        lambda: copying_z(two, two, three),
        lambda: mifid(two, two, three),
    ):
        with pytest.raises(GraftbenchError, match="2 wide and the training features 3"):
            call()
    for call in (
        lambda: train_distance_ratio(two, three, two),
        lambda: copying_z(two, three, two),
        lambda: mifid(two, three, two),
    ):
        with pytest.raises(GraftbenchError, match="2 wide and the reference features 3"):
            call()
    with pytest.raises(GraftbenchError, match="found 0 cells of 10"):
        copying_z(two, two, two, cells=0)
    with pytest.raises(GraftbenchError, match="found 0"):
        mifid(two, two, two, threshold=0.0)
    with pytest.raises(GraftbenchError, match="training features hold NaN"):
        authpct(two, np.full((3, 2), np.nan))


def near_copies(seed: int, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Generated images that lie about training images, the farther the larger the noise; reference and training."""
    rng, spectrum = np.random.default_rng([seed, 7]), np.arange(1, 33) ** -0.5
    fixed = np.random.default_rng(99).standard_normal((20, 32)) * spectrum
    copies = fixed[rng.integers(0, 20, 40)] + noise * rng.standard_normal((40, 32)) * spectrum
    return copies, rng.standard_normal((50, 32)) * spectrum, fixed


SLOW = pytest.mark.long


@pytest.mark.slow
@pytest.mark.parametrize("noise", [pytest.param(0.1, marks=SLOW), pytest.param(0.3, marks=SLOW), 1.0])
def test_mifid_interval_covers(noise: float) -> None:
    """With the penalty (mean cosine distances of 0.006 and 0.05) and without, 95 % intervals hold the mean of MiFID.

    200 repetitions, ±1.5 % (1 sd).
    """
    estimates = [mifid(*near_copies(seed, noise), interval=True) for seed in range(200)]
    mean = np.mean([e.value for e in estimates if e.value is not None])
    held = [e.interval[0] <= mean <= e.interval[1] for e in estimates if e.interval is not None]
    assert len(held) > 190
    assert 0.92 <= np.mean(held) <= 0.98


def test_mifid_has_no_interval_where_it_jumps() -> None:
    """Where the sample cannot tell on which side of the threshold it is, there is no interval, and that is said."""
    x, y, t = near_copies(0, 0.3)
    m = float((mifid(x, y, t).note or "0").split(" is ")[1].rstrip("."))
    found = mifid(x, y, t, threshold=m * 1.01, interval=True)
    assert found.interval is None
    assert "no interval" in found.note


def test_mifid_without_penalty_has_the_interval_of_fid() -> None:
    """Where the divisor is 1, MiFID is FID, error and all."""
    x, y, t = near_copies(0, 2.0)
    found, plain = mifid(x, y, t, interval=True), fid(x, y, interval=True)
    assert (found.value, found.standard_error, found.interval) == (plain.value, plain.standard_error, plain.interval)
