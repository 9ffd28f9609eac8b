"""Diversity: closed forms, brute force, and coverage of the intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_examples import SETS

from graftbench.errors import GraftbenchError
from graftbench.metrics import diversity
from graftbench.metrics.diversity import cluster_occupancy, intra_cluster_distance, vendi, vendi_score

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.metrics.estimate import Estimate

RNG = np.random.default_rng


def value(estimate: Estimate) -> float:
    """The value of an estimate that must be defined."""
    assert estimate.value is not None, estimate.undefined
    return estimate.value


def coverage(estimates: list[Estimate]) -> float:
    """Share of the intervals that hold the mean of the estimates."""
    mean = np.mean([value(e) for e in estimates])
    inside = [e.interval is not None and bool(e.interval[0] <= mean <= e.interval[1]) for e in estimates]
    return sum(inside) / len(inside)


# ------------------------------------------------------------------------------------------------ Vendi


@pytest.mark.parametrize("n", [1, 2, 3, 20, 150])
def test_vendi_of_orthogonal_and_of_identical_images(n: int) -> None:
    """Orthogonal images score n, whatever their lengths; identical ones 1, on either side of n = D."""
    lengths = RNG(n).uniform(0.1, 9.0, (n, 1))
    assert vendi_score(np.eye(n) * lengths).value == pytest.approx(n, rel=1e-12)
    for width in (1, 3, 200):
        same = vendi_score(np.full((n, width), 0.7) * lengths)
        assert same.value == pytest.approx(1.0, abs=1e-10)
        assert same.standard_error is None or same.standard_error < 1e-9


def test_vendi_by_hand() -> None:
    """Three images along one axis and one along another: the eigenvalues are ¾ and ¼; two groups of equal size: 2."""
    estimate = vendi_score(np.array([[1.0, 0.0], [5.0, 0.0], [2.0, 0.0], [0.0, 3.0]]))
    assert estimate.value == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)), rel=1e-14)
    assert vendi_score(np.kron(np.eye(2), np.ones((5, 3)))).value == pytest.approx(2.0, rel=1e-13)


@given(st.integers(2, 14), st.integers(1, 14), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_vendi_is_the_papers(n: int, width: int, seed: int) -> None:
    """The entropy of the whole n×n matrix, and blind to order, rotation and the length of each image's features.

    Eigenvalues round to 1e-16; −λ·log λ of such a one is 4e-15.
    """
    rng = RNG(seed)
    x = rng.standard_normal((n, width)) + 0.5
    unit = [row / np.sqrt(row @ row) for row in x]
    kernel = np.array([[a @ b for b in unit] for a in unit])
    eigenvalues = np.linalg.eigvals(kernel / n).real.clip(min=1e-300)
    expected = np.exp(-(eigenvalues * np.log(eigenvalues)).sum())
    rotation = np.linalg.qr(rng.standard_normal((width, width)))[0]
    for other in (x, rng.permutation(x), x @ rotation, x * rng.uniform(0.1, 10.0, (n, 1))):
        assert vendi_score(other).value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "width"), [(12, 5), (12, 30)])
def test_influence_is_the_derivative(n: int, width: int) -> None:
    """The closed form equals the central difference of the entropy by each image's weight, up to a constant.

    A step of 1e-5 leaves an error of its square, about 1e-9 for weights near 0.1, and rounding of 1e-15/1e-5.
    """
    u = RNG(n).standard_normal((n, width)) + 0.3
    u /= np.linalg.norm(u, axis=1, keepdims=True)

    def entropy(weights: np.ndarray) -> float:
        root = np.sqrt(weights)
        return diversity._entropy(np.linalg.eigvalsh(root[:, None] * (u @ u.T) * root))

    step, slopes = 1e-5, []
    for i in range(n):
        move = step * (np.arange(n) == i)
        slopes.append((entropy(np.full(n, 1 / n) + move) - entropy(np.full(n, 1 / n) - move)) / (2 * step))
    influence = diversity._influence(u)[1]
    assert influence - influence.mean() == pytest.approx(np.array(slopes) - np.mean(slopes), abs=1e-6)


def test_vendi_error_is_the_jackknife() -> None:
    """Up to 100 images: the score's logarithm recomputed without each image."""
    x = RNG(1).standard_normal((15, 6)) + 1.0
    logs = np.log([value(vendi_score(np.delete(x, i, axis=0))) for i in range(15)])
    estimate = vendi_score(x)
    assert estimate.method == "jackknife"
    assert estimate.standard_error == pytest.approx(value(estimate) * np.sqrt(14 * logs.var()), rel=1e-9)


def test_both_errors_meet_at_100_images() -> None:
    """The infinitesimal jackknife takes over where it agrees with the jackknife within 10 %."""
    x = RNG(2).standard_normal((100, 10)) / np.arange(1, 11) + 0.2
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    infinitesimal = diversity._influence(unit)[1].std(ddof=1) / 10.0
    assert infinitesimal == pytest.approx(diversity._jackknife_error(unit), rel=0.1)
    assert vendi_score(np.vstack((x, x[:1]))).method == "infinitesimal jackknife"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("same", (15.368379, 14.793765, 9.996181)),
        ("shift", (12.940702, 9.590821, 3.934105)),
        ("half", (6.849844, 3.336999, 1.879744)),
        ("copies", (7.419166, 6.391122, 3.979854)),
        ("ident", (15.662883, 15.347601, 11.683999)),
    ],
)
def test_vendi_of_other_orders(kind: str, expected: tuple[float, float, float]) -> None:
    """Orders 1, 2 and ∞ as computed apart from this code; near order 1 the score is that of order 1."""
    found = [vendi(SETS[kind], order=order) for order in (1.0, 2.0, np.inf)]
    assert [value(estimate) for estimate in found] == pytest.approx(expected, abs=5e-7)
    assert [estimate.name for estimate in found] == ["vendi_score", "vendi_2", "vendi_inf"]
    assert found[0] == vendi_score(SETS[kind])
    assert value(vendi(SETS[kind], order=1.0 + 1e-7)) == pytest.approx(value(found[0]), rel=1e-5)


@pytest.mark.parametrize("order", [0.5, 2.0, 7.0, np.inf])
def test_vendi_of_any_order_by_hand(order: float) -> None:
    """Eigenvalues ¾ and ¼: (¾^q + ¼^q)^(1/(1−q)), 4/3 for order ∞; equal groups count as many in any order."""
    x = np.array([[1.0, 0.0], [5.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    expected = 4 / 3 if np.isinf(order) else (0.75**order + 0.25**order) ** (1.0 / (1.0 - order))
    assert vendi(x, order=order).value == pytest.approx(expected, rel=1e-13)
    assert vendi(np.kron(np.eye(3), np.ones((5, 3))), order=order).value == pytest.approx(3.0, rel=1e-12)


@pytest.mark.parametrize("order", [0.5, 2.0, np.inf])
@pytest.mark.parametrize(("n", "width"), [(12, 5), (12, 30)])
def test_influence_is_the_derivative_in_any_order(order: float, n: int, width: int) -> None:
    """As for order 1: a central difference by each image's weight, up to a constant."""
    u = RNG(n).standard_normal((n, width)) + 0.3
    u /= np.linalg.norm(u, axis=1, keepdims=True)

    def entropy(weights: np.ndarray) -> float:
        root = np.sqrt(weights)
        return diversity._entropy(np.linalg.eigvalsh(root[:, None] * (u @ u.T) * root), order)

    step, slopes = 1e-5, []
    for i in range(n):
        move = step * (np.arange(n) == i)
        slopes.append((entropy(np.full(n, 1 / n) + move) - entropy(np.full(n, 1 / n) - move)) / (2 * step))
    influence = diversity._influence(u, order)[1]
    assert influence - influence.mean() == pytest.approx(np.array(slopes) - np.mean(slopes), abs=1e-6)


def test_an_order_is_above_0() -> None:
    """Of order 0 it would count eigenvalues that rounding alone tells from 0."""
    for order in (0.0, -1.0, np.nan):
        with pytest.raises(GraftbenchError, match="above 0, or infinite; found"):
            vendi(np.eye(3), order=order)


def spectrum(rng: np.random.Generator, n: int) -> np.ndarray:
    """Gaussian features whose deviations fall as 1/rank around a common mean."""
    return 0.3 + rng.standard_normal((n, 32)) / np.arange(1, 33)


def rectified(rng: np.random.Generator, n: int) -> np.ndarray:
    """Features after a ReLU, from 8 factors."""
    return np.maximum(0.0, rng.standard_normal((n, 8)) @ RNG(3).standard_normal((8, 40)) + 0.5)


def grouped(rng: np.random.Generator, n: int) -> np.ndarray:
    """Five clusters of unequal size."""
    centres = 2.0 * RNG(4).standard_normal((5, 20))
    return centres[rng.choice(5, n, p=[0.5, 0.3, 0.1, 0.07, 0.03])] + 0.3 * rng.standard_normal((n, 20))


@pytest.mark.parametrize("draw", [spectrum, rectified, grouped])
@pytest.mark.parametrize(
    ("n", "repeats"),
    [(30, 200), pytest.param(120, 600, marks=pytest.mark.long), pytest.param(400, 400, marks=pytest.mark.long)],
)
def test_vendi_covers(draw: Callable[[np.random.Generator, int], np.ndarray], n: int, repeats: int) -> None:
    """The interval holds the mean score at this n, which is far below the score of infinitely many images.

    A coverage of 0.95 is seen within 4.5 standard errors; at 30 images the jackknife reaches from 0.93 to 0.99.
    """
    rng = RNG(n)
    found = coverage([vendi_score(draw(rng, n)) for _ in range(repeats)])
    noise = 4.5 * np.sqrt(0.95 * 0.05 / repeats)
    assert 0.93 - noise < found <= 1.0 if n == 30 else abs(found - 0.95) < noise


@pytest.mark.parametrize("order", [2.0, np.inf])
@pytest.mark.parametrize(("n", "repeats"), [(120, 60), pytest.param(400, 400, marks=pytest.mark.long)])
def test_vendi_of_other_orders_covers(order: float, n: int, repeats: int) -> None:
    """The interval holds the mean score at this n, of rectified features: 95 % within 4.5 standard errors."""
    rng = RNG(n)
    found = coverage([vendi(rectified(rng, n), order=order) for _ in range(repeats)])
    assert abs(found - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / repeats)


def test_vendi_without_a_score() -> None:
    """No image, and a feature vector of zeros: undefined. One or two images: a value without an error."""
    assert "1 images; found 0 generated" in vendi_score(np.ones((0, 3))).undefined
    assert "1 of 2 generated feature vectors are 0" in vendi_score(np.array([[1.0, 0.0], [0.0, 0.0]])).undefined
    assert vendi_score(np.ones((1, 3))) == vendi_score(2.0 * np.ones((1, 3)))
    assert vendi_score(RNG(0).standard_normal((2, 3))).standard_error is None
    assert vendi_score(RNG(0).standard_normal((3, 3))).standard_error is not None
    with pytest.raises(GraftbenchError, match="NaN"):
        vendi_score(np.full((3, 3), np.nan))


# ------------------------------------------------------------------------------------------------ clusters


def slow_intra(x: np.ndarray, train: np.ndarray) -> float:
    """The definition, one pair at a time."""
    owner = [int(np.argmin([np.linalg.norm(image - shot) for shot in train])) for image in x]
    total = 0.0
    for shot in range(len(train)):
        members = [image for image, own in zip(x, owner, strict=True) if own == shot]
        pairs = [np.linalg.norm(a - b) for i, a in enumerate(members) for b in members[:i]]
        total += float(np.mean(pairs)) if pairs else 0.0
    return total / len(train)


def test_intra_by_hand() -> None:
    """Clusters {0, 1, 3} (distances 1, 2, 3: mean 2) and {10} (no pair: 0): 1; both training images are occupied."""
    x, train = np.array([[0.0], [1.0], [3.0], [10.0]]), np.array([[0.0], [11.0]])
    assert intra_cluster_distance(x, train).value == pytest.approx(1.0, abs=1e-14)
    assert cluster_occupancy(x, train).value == 1.0


def test_collapse_does_not_win() -> None:
    """Two well-kept clusters score above the same images all gathered at one of them."""
    rng = RNG(5)
    train = np.array([[0.0, 0.0], [100.0, 0.0]])
    x = rng.standard_normal((40, 2))
    both = np.where(np.arange(40)[:, None] < 20, x, x + train[1])
    assert intra_cluster_distance(x, train).value == pytest.approx(slow_intra(x, train[:1]) / 2, rel=1e-12)
    assert value(intra_cluster_distance(both, train)) > 1.5 * value(intra_cluster_distance(x, train))
    assert (cluster_occupancy(both, train).value, cluster_occupancy(x, train).value) == (1.0, 0.5)


@given(st.integers(1, 5), st.integers(2, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_intra_laws(shots: int, each: int, width: int, seed: int) -> None:
    """Equals the loop; blind to order, rotation and shift; scales with the features. Occupancy is blind to all."""
    rng = RNG(seed)
    x, train = rng.standard_normal((shots * each, width)), rng.standard_normal((shots, width))
    expected, occupied = slow_intra(x, train), value(cluster_occupancy(x, train))
    rotation = np.linalg.qr(rng.standard_normal((width, width)))[0]
    for a, b, scale in (
        (x, train, 1.0),
        (rng.permutation(x), rng.permutation(train), 1.0),
        (3.0 * x @ rotation + 5.0, 3.0 * train @ rotation + 5.0, 3.0),
    ):
        assert intra_cluster_distance(a, b).value == pytest.approx(scale * expected, rel=1e-9, abs=1e-12)
        assert cluster_occupancy(a, b).value == occupied


def test_mean_without_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean pair distances without each image are those of the smaller sets, in blocks of any size."""
    x = RNG(6).standard_normal((23, 3))
    for block in (5, 1024):
        monkeypatch.setattr(diversity, "_BLOCK", block)
        mean, without = diversity._mean_pair_distance(x)
        assert mean == pytest.approx(slow_intra(x, x[:1]), rel=1e-12)
        expected = [slow_intra(np.delete(x, i, axis=0), x[:1]) for i in range(23)]
        assert without == pytest.approx(np.array(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("shots", "each", "repeats"),
    [
        (4, 2, 600),
        pytest.param(10, 5, 600, marks=pytest.mark.long),
        pytest.param(10, 100, 800, marks=pytest.mark.long),
        pytest.param(20, 20, 800, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("uneven", [0.0, 1.0])
def test_intra_and_occupancy_cover(shots: int, each: int, repeats: int, uneven: float) -> None:
    """Both intervals hold the mean at this n: nearly exactly with many images, too often (0.93 to 1) with few.

    Clusters have the probabilities 1/rank^uneven. A coverage of 0.93 is seen above 0.89 (600 repetitions, 4.5 standard
    errors).
    """
    rng, train = RNG(shots * each), RNG(7).standard_normal((shots, 3))
    p = np.arange(1.0, shots + 1.0) ** -uneven
    distances, shares = [], []
    for _ in range(repeats):
        x = train[rng.choice(shots, shots * each, p=p / p.sum())] + 0.3 * rng.standard_normal((shots * each, 3))
        distances.append(intra_cluster_distance(x, train))
        shares.append(cluster_occupancy(x, train))
    distances = [e for e in distances if e.interval is not None]  # none where no cluster has 3 images
    assert len(distances) > 0.9 * repeats
    assert coverage(distances) > 0.89
    assert coverage(shares) > 0.89
    if each == 100:
        assert coverage(distances) < 0.985


def test_occupancy_by_hand() -> None:
    """4 of 5 training images own 1, 1, 2 and 3 of 7 images.

    Leaving one out lowers the share by 1/5 for two of seven: the variance is 6/7·(2·(1/5)² − (2/5)²/7). The interval is
    the common part of Wilson's for 4 of 5 (0.376, 0.964) and 0.8 ± 1.96·√3/5 (0.121, 1.479).
    """
    train = np.arange(5.0)[:, None] * 10.0
    x = np.array([[0.0], [10.0], [20.0], [20.0], [30.0], [30.0], [30.0]])
    estimate = cluster_occupancy(x, train)
    assert (estimate.value, estimate.n_generated, estimate.n_train) == (0.8, 7, 5)
    assert estimate.standard_error == pytest.approx(np.sqrt(6 / 7 * (2 / 25 - 4 / 25 / 7)), rel=1e-12)
    assert estimate.interval == pytest.approx((0.3755, 0.9638), abs=1e-4)


def test_degenerate_clusters() -> None:
    """Copies of the training images: distance 0 with the error 0. Pairs everywhere: no error can be told."""
    train = RNG(8).standard_normal((3, 2))
    copies = intra_cluster_distance(np.repeat(train, 4, axis=0), train)
    assert (copies.value, copies.standard_error, copies.interval) == (0.0, 0.0, (0.0, 0.0))
    pairs = intra_cluster_distance(np.repeat(train, 2, axis=0) + 1e-3 * RNG(9).standard_normal((6, 2)), train)
    assert pairs.value is not None
    assert (pairs.standard_error, pairs.interval, pairs.method) == (None, None, "")


def test_cluster_counts_and_widths() -> None:
    """Too few images, no training image: undefined. Widths that differ: an error."""
    two, none = RNG(0).standard_normal((2, 3)), np.ones((0, 3))
    assert "4 images; found 2 generated" in intra_cluster_distance(two, two).undefined
    assert "1 training image; found 0" in intra_cluster_distance(two, none).undefined
    assert "1 training image; found 0" in cluster_occupancy(two, none).undefined
    assert "1 images; found 0 generated" in cluster_occupancy(none, two).undefined
    for metric in (intra_cluster_distance, cluster_occupancy):
        with pytest.raises(GraftbenchError, match="3 wide and the training features 2"):
            metric(two, np.ones((2, 2)))
