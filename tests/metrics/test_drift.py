"""Drift by hand, its law at 0, and its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.catalogue import SETS
from graftbench.metrics.drift import METRICS, drift, source_kid
from graftbench.metrics.kernel import kid
from graftbench.plugins.code_hash import OF_SAMPLERS

RNG = np.random.default_rng(0)


def test_drift_by_hand() -> None:
    """A right angle is 1/2, the opposite 1, the same direction 0 whatever its length: the mean is 1/2, the sd 1/2."""
    before = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 4.0]])
    after = np.array([[0.0, 5.0], [-1.0, 0.0], [6.0, 8.0]])
    found = drift(before, after)
    assert found.value == pytest.approx(0.5, rel=1e-15)
    assert found.standard_error == pytest.approx(0.5 / math.sqrt(3), rel=1e-15)
    assert found.interval == (0.0, 1.0)  # Student's of three reaches beyond both ends
    assert drift(after, before).value == found.value


def test_nothing_forgotten_is_exactly_0() -> None:
    """Equal features have drift 0 and an interval of 0, not what rounding of a cosine leaves."""
    features = RNG.normal(size=(50, 1280)).astype(np.float32)
    found = drift(features, features.copy())
    assert (found.value, found.standard_error, found.interval) == (0.0, 0.0, (0.0, 0.0))


def test_the_interval_covers_the_expectation() -> None:
    """Of rows turned by angles from N(0, 1) drift is (1 − e^(−1/2))/2 on average; 92 to 98 % of intervals hold it."""
    expected, hits = (1 - math.exp(-0.5)) / 2, 0
    for _ in range(400):
        angles = RNG.normal(size=60)
        turned = np.column_stack((np.cos(angles), np.sin(angles)))
        interval = drift(np.tile((1.0, 0.0), (60, 1)), turned).interval
        assert interval is not None
        hits += interval[0] <= expected <= interval[1]
    assert 0.92 <= hits / 400 <= 0.98


def test_what_has_no_drift_says_why() -> None:
    """No images, a feature vector of 0, and sides that do not go together."""
    assert drift(np.empty((0, 2)), np.empty((0, 2))).undefined == "Drift needs at least 1 images; found 0 generated"
    assert "1 of 2 source feature vectors are 0" in drift(np.array([[0.0, 0.0], [1.0, 0.0]]), np.ones((2, 2))).undefined
    assert drift(np.ones((1, 2)), np.ones((1, 2))).interval is None
    with pytest.raises(GraftbenchError, match="found 2 images after and 3 before"):
        drift(np.ones((3, 2)), np.ones((2, 2)))
    with pytest.raises(GraftbenchError, match="both must come from one extractor"):
        drift(np.ones((3, 4)), np.ones((3, 2)))


def test_the_kid_to_the_source_is_kid() -> None:
    """Under a name of its own, the rest of the estimate alike."""
    x, y = RNG.normal(size=(30, 8)), RNG.normal(size=(40, 8))
    found, expected = source_kid(x, y), kid(x, y)
    assert (found.name, found.value, found.interval) == ("source_kid", expected.value, expected.interval)


def test_the_set_is_what_cells_score() -> None:
    """The catalogue's set, the file's metrics, and what a cell replaces are the same names."""
    assert {metric.name for metric in METRICS} == set(SETS["forgetting"]) <= OF_SAMPLERS
