"""Feature likelihood divergence: closed forms of the fit, what copies and garbage score, and its interval."""

from __future__ import annotations

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics import likelihood as module
from graftbench.metrics.likelihood import SMALLEST_VARIANCE, fld

RNG = np.random.default_rng


def value(generated: np.ndarray, real: np.ndarray, train: np.ndarray) -> float:
    """The score of sets for which it is defined."""
    estimate = fld(generated, real, train)
    assert estimate.value is not None, estimate.undefined
    return estimate.value


def log_density(y: np.ndarray, centres: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Log p of an equal mixture, one Gaussian at a time."""
    total = np.zeros(len(y))
    for centre, variance in zip(centres, variances, strict=True):
        d2 = ((y - centre) ** 2).sum(axis=1)
        total += np.exp(-d2 / (2 * variance)) / (2 * np.pi * variance) ** (y.shape[1] / 2)
    return np.log(total / len(centres))


def test_the_fit_of_one_centre_is_a_mean() -> None:
    """One Gaussian's likeliest variance is the mean squared distance over D; one centre for each far group likewise."""
    images = np.array([[3.0, 4.0], [0.0, 1.0]])
    assert module._MixtureFit(np.zeros((1, 2)), images).variances == pytest.approx([(25 + 1) / 4])
    groups = np.vstack((images, images + 1000.0))
    centres = np.array([[0.0, 0.0], [1000.0, 1000.0]])
    assert module._MixtureFit(centres, groups).variances == pytest.approx([6.5, 6.5], rel=1e-9)


def test_no_other_variances_are_likelier() -> None:
    """Along every variance the training images' log-likelihood has its maximum where EM ends, up to its tolerance."""
    rng = RNG(1)
    centres, images = rng.standard_normal((6, 3)), rng.standard_normal((40, 3))
    fitted = module._MixtureFit(centres, images).variances
    best = log_density(images, centres, fitted).mean()
    for j in range(6):
        for factor in (0.7, 1.4):
            other = np.where(np.arange(6) == j, factor * fitted, fitted)
            assert log_density(images, centres, other).mean() < best + 3 * module._TOLERANCE * 100


def test_the_score_is_its_definition() -> None:
    """From standardised features, the two mixtures' log-densities one Gaussian at a time."""
    rng = RNG(2)
    x, y, t = (rng.standard_normal((n, 3)) * [1.0, 10.0, 0.1] + 4.0 for n in (12, 15, 20))
    a, b, c = ((z - t.mean(axis=0)) / t.std(axis=0) for z in (x, y, t))
    order = np.random.default_rng(0).permutation(20)
    made, ideal = module._MixtureFit(a, c), module._MixtureFit(c[order[:10]], c[order[10:]])
    gap = log_density(b, ideal.centres, ideal.variances) - log_density(b, made.centres, made.variances)
    assert value(x, y, t) == pytest.approx(100.0 / 3.0 * gap.mean(), rel=1e-9)


def test_new_images_score_0_and_copies_do_not() -> None:
    """As many new images as half of the training set has: 0 on average over 20 draws, within 4.5 standard errors.

    All of them copies of training images: above 1000. Half of them: little worse than the other half alone is.
    """
    rng = RNG(3)
    drawn = [
        value(rng.standard_normal((60, 8)), rng.standard_normal((200, 8)), rng.standard_normal((120, 8)))
        for _ in range(20)
    ]
    assert abs(np.mean(drawn)) < 4.5 * np.std(drawn) / np.sqrt(20)
    y, t, new = rng.standard_normal((200, 8)), rng.standard_normal((120, 8)), rng.standard_normal((60, 8))
    assert value(t, y, t) > 1000.0
    half_copied = value(np.vstack((t[:60], new)), y, t)
    assert value(new, y, t) < half_copied < value(new, y, t) + 100.0 / 8.0 * np.log(2.0) + 3.0


def test_worse_images_score_more() -> None:
    """Shifted, and half of them garbage: above as many good ones."""
    rng = RNG(4)
    x, y, t = (rng.standard_normal((n, 8)) for n in (100, 200, 120))
    good = value(x, y, t)
    assert value(x + 0.7, y, t) > good + 3.0
    assert value(np.vstack((x[:50], x[50:] + 50.0)), y, t) > good + 3.0


def test_leaving_out_a_centre() -> None:
    """The mean log-density without each centre is that of the smaller mixture, a share of nearly 1 included."""
    rng = RNG(5)
    fit = module._MixtureFit(rng.standard_normal((9, 4)), rng.standard_normal((30, 4)))
    y = np.vstack((rng.standard_normal((20, 4)), fit.centres[:1] + 1e-9))
    fit.variances[0] = SMALLEST_VARIANCE
    logs, without = fit.log_densities(y)
    assert logs == pytest.approx(log_density(y, fit.centres, fit.variances), rel=1e-9)
    keep = ~np.eye(9, dtype=bool)
    expected = [log_density(y, fit.centres[each], fit.variances[each]).mean() for each in keep]
    assert without == pytest.approx(np.array(expected), rel=1e-9)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances a few images at a time, kept or taken anew in each step: the same up to the order of sums."""
    rng = RNG(6)
    x, y, t = (rng.standard_normal((n, 5)) for n in (30, 25, 40))
    whole = fld(x, y, t)
    monkeypatch.setattr(module, "_ENTRIES", 100)
    for kept in (0, 2**25):
        monkeypatch.setattr(module, "_KEPT_ENTRIES", kept)
        other = fld(x, y, t)
        assert other.value == pytest.approx(whole.value, rel=1e-9)
        assert other.standard_error == pytest.approx(whole.standard_error, rel=1e-9)


def test_units_and_constant_features_do_not_matter() -> None:
    """Each feature may be shifted and scaled; one in which no training image differs is left out."""
    rng = RNG(7)
    x, y, t = (rng.standard_normal((n, 4)) for n in (30, 25, 40))
    expected = value(x, y, t)
    scale, shift = np.array([1e-3, 5.0, 1.0, 1e4]), np.array([3.0, 0.0, -7.0, 1e3])
    assert value(x * scale + shift, y * scale + shift, t * scale + shift) == pytest.approx(expected, rel=1e-6)
    padded = [np.column_stack((z, np.ones(len(z)))) for z in (x, y, t)]
    assert value(*padded) == pytest.approx(expected, rel=1e-9)


def test_far_centres_have_numbers() -> None:
    """Garbage so far off that no density is left in float64 still gives a finite score and error."""
    rng = RNG(8)
    x, y, t = rng.standard_normal((20, 4)) + 1e6, rng.standard_normal((20, 4)), rng.standard_normal((20, 4))
    estimate = fld(x, y, t)
    assert estimate.value is not None
    assert estimate.value > 100.0
    assert estimate.standard_error is not None
    assert np.isfinite(estimate.standard_error)


def test_without_a_score() -> None:
    """Too few images on a side, training images without spread: the reason. NaN and other widths: an error."""
    x = RNG(0).standard_normal((9, 3))
    assert "found 0 generated" in fld(x[:0], x, x).undefined
    assert "at least 2 reference images; found 1" in fld(x, x[:1], x).undefined
    assert "at least 4 training images, two in each half; found 3" in fld(x, x, x[:3]).undefined
    assert "no scale" in fld(x, x, np.ones((9, 3))).undefined
    assert fld(x[:1], x, x).standard_error is None
    with pytest.raises(GraftbenchError, match="training features hold NaN"):
        fld(x, x, x * np.nan)
    with pytest.raises(GraftbenchError, match="3 wide and the training features 2"):
        fld(x, x, x[:, :2])


@pytest.mark.parametrize(
    ("m", "n", "t", "width"), [(50, 50, 40, 16), pytest.param(200, 200, 100, 64, marks=pytest.mark.long)]
)
def test_the_interval_covers(m: int, n: int, t: int, width: int) -> None:
    """It holds the mean of fresh sets, the training images as they are, in at least 92 %: the jackknife is too wide.

    0.92 is seen within 4.5 standard errors of 100 (quick: 60) repetitions; the squared error is 0.7 to 2 times true.
    """
    rng, repeats = RNG(m), 60 if m < 100 else 100
    train = rng.standard_normal((t, width))
    estimates = [
        fld(rng.standard_normal((m, width)) + 0.3, rng.standard_normal((n, width)), train) for _ in range(repeats)
    ]
    values = np.array([estimate.value for estimate in estimates])
    errors = np.array([estimate.standard_error for estimate in estimates])
    held = [e.interval is not None and bool(e.interval[0] <= values.mean() <= e.interval[1]) for e in estimates]
    assert np.mean(held) > 0.92 - 4.5 * np.sqrt(0.92 * 0.08 / repeats)
    assert 0.7 < np.square(errors).mean() / values.var() < 2.0
