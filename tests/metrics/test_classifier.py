"""Classifier two-sample test: the optimum, who is told apart, and what the intervals hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import expit, ndtr

from graftbench.errors import GraftbenchError
from graftbench.metrics import classifier
from graftbench.metrics.classifier import c2st

if TYPE_CHECKING:
    from graftbench.metrics.estimate import Estimate

RNG = np.random.default_rng


def values(pair: tuple[Estimate, Estimate]) -> tuple[float, float]:
    """Accuracy and F1 that must be defined."""
    accuracy, f1 = pair
    assert accuracy.value is not None, accuracy.undefined
    assert f1.value is not None, f1.undefined
    return accuracy.value, f1.value


def newton(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Minimum of Σ log-loss + ½‖w‖² by Newton's method on D+1 parameters, the bias last."""
    design = np.column_stack((z, np.ones(len(z))))
    penalty = np.append(np.ones(z.shape[1]), 0.0)
    found = np.zeros(design.shape[1])
    for _ in range(50):
        p = expit(design @ found)
        gradient = design.T @ (p - labels) + penalty * found
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + np.diag(penalty)
        found -= np.linalg.solve(hessian, gradient)
    return found


@pytest.mark.parametrize(("n", "width"), [(40, 3), (20, 19), (20, 60)])
def test_the_minimum_is_newtons(n: int, width: int) -> None:
    """Weights and bias agree with Newton's method, for fewer and for more features than images.

    L-BFGS stops at gradients of 1e-8, or where the loss (about 10) no longer changes: 1e-15 of it, the root of which is
    the accuracy of the weights, 1e-7.
    """
    rng = RNG(n + width)
    z, labels = rng.standard_normal((n, width)), np.repeat([1.0, 0.0], n // 2)
    z[: n // 2] += 0.4
    weights, bias = classifier._logistic(z, labels)
    assert np.append(weights, bias) == pytest.approx(newton(z, labels), abs=1e-6)


def test_separate_sides_are_told_apart() -> None:
    """Far apart: accuracy and F1 are 1 on every test image, with Wilson's doubt of 30 images, resp. 15 a side."""
    rng = RNG(0)
    accuracy, f1 = c2st(rng.standard_normal((30, 4)) + 50.0, rng.standard_normal((30, 4)))
    assert (accuracy.value, f1.value, accuracy.standard_error, f1.standard_error) == (1.0, 1.0, 0.0, 0.0)
    assert accuracy.interval == pytest.approx((30 / 33.8415, 1.0), abs=1e-5)
    assert f1.interval is not None
    assert 0.75 < f1.interval[0] < f1.interval[1]
    assert f1.interval[1] == pytest.approx(1.0, abs=1e-12)


def test_one_distribution_cannot_be_told_apart() -> None:
    """The same distribution: both intervals hold ½, with more features than images too (fixed seeds)."""
    for width in (3, 300):
        accuracy, _ = c2st(RNG(1).standard_normal((200, width)), RNG(2).standard_normal((250, width)))
        assert accuracy.interval is not None
        assert accuracy.interval[0] < 0.5 < accuracy.interval[1]
        assert accuracy.n_generated == 200
        assert accuracy.n_reference == 250
        assert "200 images of each side: 100 to train on" in accuracy.note


def test_better_told_apart_the_further_they_are() -> None:
    """Accuracy rises with the shift, towards that of the best rule, Φ(shift/2) for unit variance in one dimension."""
    rng = RNG(3)
    x, y = rng.standard_normal((4000, 1)), rng.standard_normal((4000, 1))
    found = [values(c2st(x + shift, y))[0] for shift in (0.0, 1.0, 2.0, 4.0)]
    # 4000 test images: 4.5 standard errors are at most 4.5·0.5/√4000 = 0.036.
    assert found == pytest.approx(ndtr(np.array([0.0, 0.5, 1.0, 2.0])), abs=0.036)


def test_scores_by_hand() -> None:
    """30 hits and 10 alarms among 40 a side: accuracy 60/80, F1 60/(60+10+10); nothing called generated: ½ and 0."""
    counts = classifier._Counts(hits=30, alarms=10, tested=40)
    assert classifier._accuracy(counts).value == 0.75
    f1 = classifier._f1(counts)
    assert f1.value == 0.75
    # By the delta method: (2·1.25/2²)²·(3/16)/40 + (2·0.75/2²)²·(3/16)/40.
    assert f1.standard_error == pytest.approx(np.sqrt((0.625**2 + 0.375**2) * 3 / 16 / 40), rel=1e-12)
    nothing = classifier._Counts(hits=0, alarms=0, tested=40)
    assert (classifier._accuracy(nothing).value, classifier._f1(nothing).value) == (0.5, 0.0)


@pytest.mark.parametrize(("hit", "alarm"), [(0.5, 0.5), (0.75, 0.3), (0.97, 0.02)])
@pytest.mark.parametrize("tested", [10, 100])
def test_intervals_cover(hit: float, alarm: float, tested: int) -> None:
    """For a classifier with these rates both intervals hold the true score at least about 95 times in 100.

    2000 repetitions: 0.95 is seen within 0.022 (4.5 standard errors). Counts of 10 images are coarse: coverage then
    swings from 0.92 to 1, as of every interval of a share.
    """
    rng = RNG(tested)
    true_accuracy, true_f1 = (1.0 + hit - alarm) / 2.0, classifier._f1_of(hit, alarm)
    inside = np.zeros(2)
    for hits, alarms in zip(rng.binomial(tested, hit, 2000), rng.binomial(tested, alarm, 2000), strict=True):
        counts = classifier._Counts(int(hits), int(alarms), tested)
        for i, (estimate, true) in enumerate(
            ((classifier._accuracy(counts), true_accuracy), (classifier._f1(counts), true_f1))
        ):
            assert estimate.interval is not None
            inside[i] += estimate.interval[0] <= true <= estimate.interval[1]
    assert (inside / 2000 > (0.90 if tested == 10 else 0.928)).all()
    assert (inside / 2000 < (1.0 if min(1 - hit, alarm) < 0.1 or tested == 10 else 0.972)).all()


def test_constant_features() -> None:
    """Nothing to learn from: accuracy ½ and F1 0. One that tells nothing beside one that tells all: 1."""
    constant = np.full((40, 3), 0.1)  # no power of two: the mean of 20 rounds
    assert values(c2st(constant, constant)) == (0.5, 0.0)
    told = constant.copy()
    told[:, 1] = RNG(4).uniform(1.0, 2.0, 40)
    real = constant.copy()
    real[:, 1] = RNG(5).uniform(-2.0, -1.0, 40)
    assert values(c2st(told, real)) == (1.0, 1.0)
    assert values(c2st(constant + 1.0, constant)) == (1.0, 1.0)


def test_blind_to_units_and_repeatable() -> None:
    """Units and origins of the features change nothing; a seed gives its numbers again, another one others."""
    rng = RNG(6)
    x, y = rng.standard_normal((60, 8)) + 0.3, rng.standard_normal((50, 8))
    scale, origin = rng.uniform(0.01, 100.0, 8), rng.standard_normal(8)
    base = c2st(x, y, seed=1)
    assert c2st(x, y, seed=1) == base
    assert values(c2st(x * scale + origin, y * scale + origin, seed=1)) == values(base)
    assert len({values(c2st(x, y, seed=seed)) for seed in range(6)}) > 1


def test_bad_input() -> None:
    """9 images on a side are too few; widths that differ are an error."""
    for estimate in c2st(np.ones((9, 2)), np.ones((30, 2))):
        assert estimate.value is None
        assert "at least 10 images; found 9 generated" in estimate.undefined
    assert values(c2st(RNG(0).standard_normal((10, 2)), RNG(1).standard_normal((10, 2))))[0] <= 1.0
    with pytest.raises(GraftbenchError, match="2 wide and the reference features 3"):
        c2st(np.ones((20, 2)), np.ones((20, 3)))
