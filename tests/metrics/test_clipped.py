"""Clipped density and coverage: known values, deletion, laws, calibration, and intervals by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_examples import SETS, reference

from graftbench.errors import GraftbenchError
from graftbench.metrics import distances, manifold
from graftbench.metrics.clipped import clipped_coverage, clipped_density, clipped_family, expected_filling
from graftbench.metrics.manifold import ball_scores, prdc, prdc_family
from graftbench.metrics.symmetric import symmetric_family

RNG = np.random.default_rng


def before_the_cut(x: np.ndarray, y: np.ndarray, k: int = 5) -> dict[str, float]:
    """Both scores as they are before values above 1 become 1."""
    return {name: score.value for name, score in manifold._scores(x, y, [clipped_family(k)]).items()}


def density_definition(x: np.ndarray, y: np.ndarray, k: int, cap: float | None = None) -> float:
    """The formula from whole distance matrices; `cap` is the median radius if it is not to be taken from y."""
    between, within = distance(x, y), distance(y, y)
    np.fill_diagonal(within, np.inf)
    radii = np.sort(within, axis=1)[:, k - 1]
    radii = np.minimum(radii, np.median(radii) if cap is None else cap)
    made, real = (np.minimum(1.0, (d <= radii).sum(axis=1) / k).mean() for d in (between, within))
    return float(made / real)


def filling_definition(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """The mean over real images of the share of k places that generated images in the ball take."""
    within = distance(y, y)
    np.fill_diagonal(within, np.inf)
    radii = np.sort(within, axis=1)[:, k - 1]
    return float((np.minimum((distance(x, y) <= radii).sum(axis=0), k) / k).mean())


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All Euclidean distances, from differences."""
    return np.sqrt(((a[:, None] - b) ** 2).sum(axis=2))


@pytest.mark.parametrize(
    ("kind", "density", "coverage"),
    [
        ("same", 0.990085, 0.885270),
        ("shift", 0.677762, 0.482515),
        ("half", 0.524788, 0.490029),
        ("copies", 1.189802, 0.235237),
        ("ident", 1.321530, 4.0),
    ],
)
def test_known_values(kind: str, density: float, coverage: float) -> None:
    """Computed apart from this code, by the definitions here; an image on a ball's surface is inside, as for `prdc`.

    Where half of the generated images are garbage both read about one half. For identical sets all balls are full, as
    any number of images would leave them: 4 is where the search for that number ends.
    """
    x, y = SETS[kind], reference()
    assert before_the_cut(x, y) == pytest.approx({"clipped_density": density, "clipped_coverage": coverage}, abs=5e-7)
    assert density_definition(x, y, 5) == pytest.approx(density, abs=5e-7)
    assert clipped_density(x, y, splits=0).value == pytest.approx(min(density, 1.0), abs=5e-7)
    assert clipped_coverage(x, y, splits=0).value == pytest.approx(min(coverage, 1.0), abs=5e-7)


def test_by_hand() -> None:
    """On a line, k = 1, real at 0, 1, 3 and generated at −½, 2, 6.

    Radii are 1, 1, 2, their median 1: balls [−1,1], [0,2], [2,4]. They hold −½ and 2, so generated images have ⅔; of
    the real ones 1 lies in the ball of 0 and 0 in that of 1, 3 in none: ⅔. The balls without the cap are [−1,1], [0,2]
    and [1,5] and hold one image each: filled. Of m real images each ball is filled with 1 − Π(N−i)/(N+m−i), which is
    ⅔ < 1 at m = 4 and never 1.
    """
    x, y = np.array([[-0.5], [2.0], [6.0]]), np.array([[0.0], [1.0], [3.0]])
    assert before_the_cut(x, y, k=1)["clipped_density"] == pytest.approx(1.0, abs=1e-15)
    assert clipped_coverage(x, y, k=1, splits=0).value == 1.0
    assert filling_definition(x, y, 1) == 1.0


@given(
    st.integers(2, 12),
    st.integers(3, 12),
    st.integers(1, 4),
    st.sampled_from(["normal", "lattice"]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=30, deadline=None)
def test_values_and_every_leave_one_out_value(m: int, n: int, k: int, kind: str, seed: int) -> None:
    """What the definitions give for all images and with each one deleted, the median radius kept; with ties, values."""
    rng = RNG(seed)
    n = max(n, k + 2)
    x, y = rng.standard_normal((m, 2)), rng.standard_normal((n, 2)) * 1.3 + 0.3
    if kind == "lattice":
        x, y = np.rint(x), np.rint(y)
    scores = manifold._scores(x, y, [clipped_family(k)])
    density, coverage = scores["clipped_density"], scores["clipped_coverage"]
    assert density.value == pytest.approx(density_definition(x, y, k), rel=1e-12)
    filled = np.interp(filling_definition(x, y, k), expected_filling(4 * m, n, k), np.arange(4 * m + 1) / m)
    assert coverage.value == pytest.approx(filled, rel=1e-9)
    if (
        kind == "lattice" or n == k + 2 or density.without_real is None
    ):  # ties, the last neighbour, or balls that hold nothing
        return
    within = distance(y, y)
    np.fill_diagonal(within, np.inf)
    cap = float(np.median(np.sort(within, axis=1)[:, k - 1]))
    without_x, without_y = [np.delete(x, i, axis=0) for i in range(m)], [np.delete(y, j, axis=0) for j in range(n)]
    assert density.without_generated == pytest.approx([density_definition(each, y, k, cap) for each in without_x])
    assert density.without_real == pytest.approx([density_definition(x, each, k, cap) for each in without_y])
    fillings = [filling_definition(each, y, k) for each in without_x]
    table, shares = expected_filling(4 * (m - 1), n, k), np.arange(4 * (m - 1) + 1) / (m - 1)
    assert coverage.without_generated == pytest.approx(np.interp(fillings, table, shares))
    fillings = [filling_definition(x, each, k) for each in without_y]
    table, shares = expected_filling(4 * m, n - 1, k), np.arange(4 * m + 1) / m
    assert coverage.without_real == pytest.approx(np.interp(fillings, table, shares))


def test_expected_filling_is_the_mean() -> None:
    """Its ends, a closed form for k = 1, and a simulation within 4.5 of its standard errors."""
    table = expected_filling(25, 60, 5)
    assert table[0] == 0.0
    assert (np.diff(table) > 0.0).all()
    # k = 1: the ball is empty with the probability of `null_coverage`, (N−1)/(N−1+m).
    m = np.arange(9)
    assert expected_filling(8, 12, 1) == pytest.approx(1.0 - 11 / (11 + m), rel=1e-12)
    rng = RNG(1)
    drawn = np.array([filling_definition(rng.random((25, 1)), rng.random((60, 1)), 5) for _ in range(400)])
    assert abs(drawn.mean() - table[25]) < 4.5 * drawn.std() / np.sqrt(drawn.size)


def test_a_share_of_garbage_is_read_off() -> None:
    """With a share of images far away both scores fall by that share; coverage does not. Mean of 10 pairs of sets."""
    rng = RNG(2)
    pairs = [(rng.standard_normal((200, 8)), rng.standard_normal((300, 8))) for _ in range(10)]
    garbage = {bad: np.where(np.arange(200)[:, None] < bad, 50.0, 0.0) for bad in (0, 60, 120)}
    shares = {
        bad: np.mean([list(before_the_cut(x + far, y).values()) for x, y in pairs], axis=0)
        for bad, far in garbage.items()
    }
    assert shares[60] == pytest.approx(0.7 * shares[0], abs=0.05)
    assert shares[120] == pytest.approx(0.4 * shares[0], abs=0.05)
    assert shares[0] == pytest.approx([1.0, 1.0], abs=0.12)


def test_an_outlier_has_no_large_ball() -> None:
    """One real image far off has a ball that holds all of the garbage around it: density counts it, this does not."""
    rng = RNG(3)
    y = np.vstack((rng.standard_normal((99, 4)), np.full((1, 4), 60.0)))
    x = rng.standard_normal((50, 4)) + 30.0
    assert prdc(x, y, splits=0)["density"].value == pytest.approx(0.2)
    assert before_the_cut(x, y)["clipped_density"] == 0.0


def test_identical_features() -> None:
    """All distances and radii are 0, every image is inside: both are 1, whatever the blocks; none is undefined."""
    ones = np.ones((20, 3))
    for score in (clipped_density, clipped_coverage):
        estimate = score(ones, ones[:15], splits=3)
        assert (estimate.value, estimate.undefined) == (1.0, "")


def test_blocks_and_company_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in blocks of any size, and beside other families, whose own scores stay as they are."""
    rng = RNG(4)
    x, y = rng.standard_normal((70, 5)), rng.standard_normal((53, 5)) + 0.5
    whole, six = ball_scores(x, y, [clipped_family()], splits=3), prdc(x, y, splits=3)
    assert ball_scores(x, y, [prdc_family(), clipped_family()], splits=3) == six | whole
    for block in (16, 53):
        monkeypatch.setattr(distances, "_BLOCK", block)
        monkeypatch.setattr(manifold, "_ENTRIES", block)
        assert ball_scores(x, y, [clipped_family()], splits=3) == whole


def test_bad_input() -> None:
    """Too few images are a reason, k below 1 and NaN an error."""
    ones = np.ones((9, 3))
    for score in (clipped_density, clipped_coverage):
        assert (
            "neighbour 5 of each reference image needs at least 6 images; found 5 ref"
            in score(ones, ones[:5]).undefined
        )
        assert "found 0 generated" in score(ones[:0], ones).undefined
        with pytest.raises(GraftbenchError, match="found k = 0"):
            score(ones, ones, k=0)
        with pytest.raises(GraftbenchError, match="generated features hold NaN"):
            score(ones * np.nan, ones)


def coverages(repeats: int, m: int, n: int, width: int, *, shift: float, splits: int = 50) -> dict[str, float]:
    """Share of the intervals that hold the mean of fresh sets, for the scores here and in `symmetric`."""
    rng, drawn = RNG([m, n, width]), []
    for seed in range(repeats):
        x, y = rng.standard_normal((m, width)), rng.standard_normal((n, width))
        x[:, 0] += shift
        drawn.append(ball_scores(x, y, [clipped_family(), symmetric_family()], splits=splits, seed=seed))
    held = {}
    for name in drawn[0]:
        mean = np.mean([estimates[name].value or 0.0 for estimates in drawn])
        inside = [(e := estimates[name].interval) is not None and bool(e[0] <= mean <= e[1]) for estimates in drawn]
        held[name] = float(np.mean(inside))
    return held


def test_intervals_quick() -> None:
    """50 repetitions: each interval holds the mean in at least 80 %, four standard deviations below 94 %."""
    for name, held in coverages(50, 30, 30, 8, shift=1.0, splits=8).items():
        assert held >= 0.80, name


@pytest.mark.long
@pytest.mark.parametrize(
    ("m", "n", "width", "shift"),
    [
        (60, 60, 16, 1.0),
        (50, 50, 16, 0.0),
        (50, 50, 64, 3.0),
        (200, 200, 2, 0.0),
        (200, 200, 16, 0.0),
        (300, 30, 16, 0.0),
    ],
)
def test_intervals_hold_their_level(m: int, n: int, width: int, shift: float) -> None:
    """The nominal 95 % interval holds the mean of fresh samples in 90 to 98 % of 300, give or take chance (1.5 %)."""
    for name, held in coverages(300, m, n, width, shift=shift).items():
        assert 0.87 <= held <= 1.0, (name, held)
