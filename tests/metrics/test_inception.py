"""Inception Score: closed forms, bounds and parity with torch-fidelity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftbench.errors import GraftbenchError
from graftbench.metrics.inception import inception_score

RNG = np.random.default_rng


@pytest.mark.parametrize("scale", [60.0, 1e4])
@pytest.mark.parametrize("splits", [1, 5])
def test_one_hot_logits_score_the_number_of_classes(scale: float, splits: int) -> None:
    """Certain predictions, every class equally often in each split: K = 7, also where a probability underflows to 0.

    exp(−60) < 1e-26 is what each one-hot prediction lacks of certainty.
    """
    logits = np.tile(scale * np.eye(7), (20, 1))
    estimate = inception_score(logits, splits=splits, shuffle_seed=None)
    assert estimate.value == pytest.approx(7.0, abs=1e-12)


def test_constant_logits_score_one() -> None:
    """The same prediction for every image says nothing: 1, with no spread."""
    estimate = inception_score(np.tile(RNG(0).standard_normal(10), (40, 1)))
    assert estimate.value == pytest.approx(1.0, abs=1e-12)
    assert estimate.standard_error == pytest.approx(0.0, abs=1e-12)


def test_two_classes_by_hand() -> None:
    """(0.9, 0.1) and (0.1, 0.9) average to (½, ½): exp(0.9 ln 1.8 + 0.1 ln 0.2)."""
    logits = np.log([[0.9, 0.1], [0.1, 0.9]])
    expected = 1.8**0.9 * 0.2**0.1
    assert inception_score(logits, splits=1).value == pytest.approx(expected, abs=1e-12)


def test_standard_error_is_that_of_the_mean_over_splits() -> None:
    """Two splits with the scores 2 and 1: mean 1.5, standard deviation (n−1) 1/√2, over √2: 0.5; spread (n) 0.5."""
    logits = 1e3 * np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    estimate = inception_score(logits, splits=2, shuffle_seed=None)
    assert (estimate.value, estimate.standard_error, estimate.spread) == pytest.approx((1.5, 0.5, 0.5), abs=1e-12)
    assert inception_score(logits, splits=1).standard_error is None


@given(st.integers(2, 30), st.integers(1, 8), st.floats(0.0, 50.0), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_bounds_and_invariances(n: int, classes: int, scale: float, seed: int) -> None:
    """From 1 to K; blind to the order of images (one split) and to a constant added to an image's logits.

    Sums of 8 terms below ln 8, and logits shifted by 3 near 200: the exponent rounds within 1e-12.
    """
    rng = RNG(seed)
    logits = scale * rng.standard_normal((n, classes))
    score = inception_score(logits, splits=1).value
    assert score is not None
    assert 1.0 - 1e-12 <= score <= classes + 1e-10
    assert inception_score(rng.permutation(logits), splits=1).value == pytest.approx(score, rel=1e-11)
    assert inception_score(logits + 3.0, splits=1, shuffle_seed=None).value == pytest.approx(score, rel=1e-11)


@pytest.mark.parametrize("n", [100, 237])
def test_parity_with_torch_fidelity(n: int) -> None:
    """The same mean and spread for the same float32 logits, with its shuffle and its uneven splits.

    Both compute in float64 from the same bits, so only the order of additions differs (1e-12); 1e-5 was asked for.
    """
    import torch
    from torch_fidelity import metric_isc

    logits = (3.0 * RNG(n).standard_normal((n, 50))).astype(np.float32)
    for seed in (2020, None):
        theirs = metric_isc.isc_features_to_metric(torch.from_numpy(logits), shuffle=seed is not None)
        ours = inception_score(logits, shuffle_seed=seed)
        assert ours.value == pytest.approx(theirs["inception_score_mean"], rel=1e-10)
        assert ours.spread == pytest.approx(theirs["inception_score_std"], rel=1e-8)


@pytest.mark.parametrize("n", [0, 1, 5, 19])
def test_too_few_images_are_undefined(n: int) -> None:
    """Below two images a split there is a reason and no nan; at two there is a value."""
    estimate = inception_score(np.zeros((n, 4)))
    assert estimate.value is None
    assert f"at least 20 images; found {n} generated" in estimate.undefined
    assert inception_score(np.zeros((20, 4))).value == pytest.approx(1.0)


def test_no_splits_is_an_error() -> None:
    """Zero splits is misuse, not an undefined score."""
    with pytest.raises(GraftbenchError, match="at least 1; found 0"):
        inception_score(np.zeros((20, 4)), splits=0)


@pytest.mark.parametrize("sharpness", [1.0, 4.0])
def test_interval_covers(sharpness: float) -> None:
    """Splits share no image, so Student's interval holds the mean score at this n: 500 repetitions, ±1 % (1 sd).

    Soft and sharp predictions over 20 classes of which some are frequent.
    """
    estimates = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        logits = sharpness * rng.standard_normal((200, 20)) + np.linspace(0.0, 1.0, 20)
        estimates.append(inception_score(logits))
    mean = np.mean([e.value for e in estimates if e.value is not None])
    held = [e.interval[0] <= mean <= e.interval[1] for e in estimates if e.interval is not None]
    assert len(held) == 500
    assert 0.92 <= np.mean(held) <= 0.98
