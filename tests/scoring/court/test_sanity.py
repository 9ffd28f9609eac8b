"""Sanity checks: all fifteen, on scores whose answer is known."""

from __future__ import annotations

import numpy as np

from graftbench.scoring.court import sanity
from graftbench.scoring.court.sanity import CHECKS, QUICK, SanitySize, run_check
from graftbench.scoring.court.values import JUDGED, of_features_alone

BY_NAME = {check.name: check for check in CHECKS}


def test_there_are_fifteen() -> None:
    """Those of Räisä et al., each with a name and a sentence of its own."""
    assert len(CHECKS) == len(BY_NAME) == len({check.asks for check in CHECKS}) == 15


def test_distances_see_a_shift() -> None:
    """FID and KID of a shifted Gaussian rise on both sides; that is the first check."""
    assert run_check(BY_NAME["Gaussian mean difference"], ["fid", "kid"], QUICK, 0) == {"fid": "", "kid": ""}


def test_symmetric_precision_repairs_precision_on_spheres() -> None:
    """In 128 dimensions all of a smaller sphere lies in balls of the larger: precision says 1 there, and fails."""
    size = SanitySize(images=300, points=5, dimensions=(2,))
    verdicts = run_check(BY_NAME["hypersphere surface"], ["precision", "symmetric_precision"], size, 0)
    assert verdicts["precision"]
    assert "sets far apart" not in verdicts["symmetric_precision"]


def test_metrics_that_a_check_says_nothing_of_are_left_out() -> None:
    """Those of pixels, classes or training images, and numbers of images where variety is not asked for."""
    assert "authpct" not in of_features_alone(JUDGED)
    assert run_check(BY_NAME["scaling one dimension"], ["vendi_score", "authpct", "high_frequency"], QUICK, 0) == {}


def test_the_volume_that_cubes_share_is_a_fifth() -> None:
    """Of 20,000 points each about a fifth lies in the other cube, in every number of dimensions: 5 standard errors."""
    size = SanitySize(images=20_000, sizes=(20_000,), dimensions=(0, 1, 2))
    for _, _, real, made in sanity._cubes(np.random.default_rng(0), size, both=True):
        inside = ((made >= 0.0) & (made <= 1.0)).all(axis=1)
        assert abs(inside.mean() - 0.2) < 5 * np.sqrt(0.16 / len(real))
