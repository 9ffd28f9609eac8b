"""The held-out loss by hand, its interval, and what has none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.catalogue import SETS
from graftbench.metrics.denoising import METRICS, held_out_loss
from graftbench.plugins.code_hash import OF_SAMPLERS


def test_it_is_the_mean_over_images_and_times() -> None:
    """Images with means 1, 2 and 6 have the loss 3 and the standard error √(7/3)."""
    found = held_out_loss(np.array([[0.0, 2.0], [2.0, 2.0], [4.0, 8.0]]))
    assert found.value == 3.0
    assert found.standard_error == pytest.approx(math.sqrt(7 / 3), rel=1e-15)
    assert found.interval is not None
    assert found.interval[0] == 0.0  # Student's of three reaches below
    assert found.n_reference == 3


def test_the_interval_covers_the_expectation() -> None:
    """Of errors χ²₁ over eight times the expectation is 1; 92 to 98 % of intervals of 60 images hold it."""
    random, hits = np.random.default_rng(3), 0
    for _ in range(400):
        interval = held_out_loss(np.square(random.normal(size=(60, 8)))).interval
        assert interval is not None
        hits += interval[0] <= 1.0 <= interval[1]
    assert 0.92 <= hits / 400 <= 0.98


def test_what_has_no_loss_says_why() -> None:
    """No image; one image has a value alone; errors that are not finite are refused."""
    assert held_out_loss(np.empty((0, 8))).undefined == "A held-out loss needs an image"
    assert held_out_loss(np.ones((1, 8))).interval is None
    with pytest.raises(GraftbenchError, match="errors"):
        held_out_loss(np.array([[np.nan, 1.0]]))


def test_the_set_is_what_cells_replace() -> None:
    """Both metrics are in the set `denoising`, and are scored from the sampler."""
    assert {metric.name for metric in METRICS} == set(SETS["denoising"]) <= OF_SAMPLERS
