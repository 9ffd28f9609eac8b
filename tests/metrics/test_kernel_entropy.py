"""RKE: closed forms, known values, deletion, the bandwidth, and its interval by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from metric_examples import SETS

from graftbench.errors import GraftbenchError
from graftbench.metrics import kernel_entropy as module
from graftbench.metrics.kernel_entropy import bandwidth, rke

RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("same", 18.921828), ("shift", 16.315460), ("half", 34.736788), ("copies", 6.514162), ("ident", 17.691577)],
)
def test_known_values(kind: str, expected: float) -> None:
    """Computed apart from this code, at σ = 3. Half garbage scores highest: the score knows nothing of fidelity."""
    assert rke(SETS[kind], sigma=3.0).value == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("groups", [1, 2, 7])
def test_groups_are_counted(groups: int) -> None:
    """M equal groups of copies, far apart, score m; unequal ones 1/Σ share²: 16/10 for 3 to 1."""
    centres = 1000.0 * np.eye(groups, 8)
    assert rke(np.repeat(centres, 5, axis=0), sigma=1.0).value == pytest.approx(groups, rel=1e-12)
    assert rke(np.array([[0.0], [0.0], [0.0], [99.0]]), sigma=1.0).value == pytest.approx(1.6, rel=1e-12)


def test_by_hand() -> None:
    """Two images at distance 1, σ = 1: K² is 1 and e⁻¹, so 4/(2 + 2e⁻¹)."""
    assert rke(np.array([[0.0], [1.0]]), sigma=1.0).value == pytest.approx(2.0 / (1.0 + np.exp(-1.0)), rel=1e-14)


def test_the_error_is_the_jackknife(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a given σ: the score's logarithm recomputed without each image; in blocks of any size."""
    x = RNG(1).standard_normal((20, 3))
    logs = np.log([rke(np.delete(x, i, axis=0), sigma=2.0).value or 0.0 for i in range(20)])
    estimate = rke(x, sigma=2.0)
    assert estimate.standard_error == pytest.approx((estimate.value or 0.0) * np.sqrt(19 * logs.var()), rel=1e-9)
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert rke(x, sigma=2.0).value == pytest.approx(estimate.value, rel=1e-13)


def test_the_bandwidth_is_that_of_real_images() -> None:
    """Half their root mean square distance, with its error by the jackknife within 10 %; and the score is that at it.

    The jackknife of a mean of squares' logarithm and its delta method differ by the second order, about 1/n.
    """
    rng = RNG(2)
    x, y = rng.standard_normal((40, 5)), rng.standard_normal((60, 5))
    d2 = ((y[:, None] - y) ** 2).sum(axis=2)[np.triu_indices(60, 1)]
    sigma, error = bandwidth(y)
    assert sigma == pytest.approx(0.5 * np.sqrt(d2.mean()), rel=1e-12)
    logs = np.log([bandwidth(np.delete(y, i, axis=0))[0] for i in range(60)])
    assert error == pytest.approx(np.sqrt(59 * logs.var()), rel=0.1)
    with_real, given = rke(x, real=y), rke(x, sigma=sigma)
    assert with_real.value == given.value
    assert (with_real.standard_error or 0.0) > (given.standard_error or 0.0)
    assert with_real.n_reference == 60


def test_the_part_of_the_bandwidth_is_its_derivative() -> None:
    """The variance that real images add is (d log RKE/d log σ)² times that of log σ, by a central difference.

    A step of 1e-5 leaves an error of its square and rounding of 1e-16/1e-5.
    """
    rng = RNG(3)
    x, y = rng.standard_normal((40, 5)), rng.standard_normal((60, 5))
    sigma, error = bandwidth(y)
    up, down = (np.log(rke(x, sigma=sigma * np.exp(step)).value or 0.0) for step in (1e-5, -1e-5))
    value, alone = rke(x, real=y).value or 0.0, rke(x, sigma=sigma).standard_error or 0.0
    expected = np.hypot(alone, value * (up - down) / 2e-5 * error)
    assert rke(x, real=y).standard_error == pytest.approx(expected, rel=1e-6)


def test_without_a_score() -> None:
    """No image, no spread of the real images: undefined. One or two images: no error. A bad σ, NaN: an error."""
    ones, x = np.ones((4, 3)), RNG(0).standard_normal((4, 3))
    assert "found 0 generated" in rke(ones[:0], sigma=1.0).undefined
    assert "at least 2 reference images that differ" in rke(x, real=ones).undefined
    assert "at least 2 reference images that differ" in rke(x, real=x[:1]).undefined
    assert rke(ones, sigma=1.0).value == 1.0
    assert rke(x[:2], sigma=1.0).standard_error is None
    for sigma in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(GraftbenchError, match="found sigma ="):
            rke(x, sigma=sigma)
    for both in ({}, {"sigma": 1.0, "real": x}):
        with pytest.raises(GraftbenchError, match="one of them"):
            rke(x, **both)
    with pytest.raises(GraftbenchError, match="generated features hold NaN"):
        rke(x * np.nan, sigma=1.0)
    with pytest.raises(GraftbenchError, match="one extractor"):
        rke(x, real=x[:, :2])


@pytest.mark.parametrize(("m", "n", "width"), [(50, 50, 16), pytest.param(200, 100, 64, marks=pytest.mark.long)])
def test_the_interval_covers(m: int, n: int, width: int) -> None:
    """It holds the mean of fresh sets in 95 % of 300, within 4.5 standard errors; quick: of 100."""
    rng, repeats = RNG(m), 100 if m < 100 else 300
    estimates = [rke(rng.standard_normal((m, width)), real=rng.standard_normal((n, width))) for _ in range(repeats)]
    mean = np.mean([estimate.value or 0.0 for estimate in estimates])
    held = [e.interval is not None and bool(e.interval[0] <= mean <= e.interval[1]) for e in estimates]
    assert abs(np.mean(held) - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / repeats)
