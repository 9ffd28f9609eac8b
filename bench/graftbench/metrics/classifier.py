"""Classifier two-sample test: how well a linear classifier tells generated from real images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from graftbench.metrics.arrays import Array, pair, too_few
from graftbench.metrics.estimate import Estimate, wilson_bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.metrics.arrays import FeatureMatrix

LEAST = 10
"""Fewest images on a side: 5 to train on and 5 to be tested on."""


def c2st(generated: FeatureMatrix, real: FeatureMatrix, seed: int = 0) -> tuple[Estimate, Estimate]:
    """Return the held-out accuracy and F1 of a linear classifier of generated against real images.

    Both sides are shuffled and cut to equal numbers; a half of each trains the classifier, the rest tests it. The
    classifier is a logistic regression on features that are standardized with the training half's statistics. It
    minimizes Σ log-loss + ½‖w‖² with a free bias, scikit-learn's default strength (C = 1).

    The paper leaves the classifier open; a stronger one scores higher, so values compare only among themselves.

    Args:
        generated: Features M×D.
        real: Features N×D.
        seed: Seed of the two shuffles. The same seed gives the same numbers.

    Returns:
        `c2st_accuracy`: 0.5 where the sides cannot be told apart, 1 where always. `c2st_f1`: F1 of the class
        "generated", 2TP/(2TP+FP+FN). A decision value of exactly 0, as for constant features, counts as "real":
        accuracy 0.5 and F1 0. Standard errors and intervals are over the test images, given the trained classifier
        (that others trained on other images of the same sizes differ is not in them): Wilson's for the accuracy,
        Wilson's limits of the two rates combined by squares for F1. Undefined below 10 images on a side.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.

    References:
        Lopez-Paz & Oquab 2017 (arXiv 1610.06545), section 3; Zou & Donner 2008 for combining limits.
    """
    x, y = pair(generated, real)
    m, n = len(x), len(y)
    if reason := too_few(LEAST, m, n, "a classifier two-sample test"):
        undefined = Estimate(name="c2st_accuracy", undefined=reason, n_generated=m, n_reference=n)
        return undefined, replace(undefined, name="c2st_f1")
    # Halves of a random subset of each side: one to train on, one to be tested on.
    rng, size = np.random.default_rng(seed), min(m, n)
    x, y = x[rng.permutation(m)[:size]], y[rng.permutation(n)[:size]]
    half = size // 2
    classifier = _train(np.concatenate((x[:half], y[:half])), np.repeat([1.0, 0.0], half))
    hits, alarms = int((classifier(x[half:]) > 0.0).sum()), int((classifier(y[half:]) > 0.0).sum())
    counts = _Counts(hits, alarms, size - half)
    note = f"A random {size} images of each side: {half} to train on and {size - half} to be tested on."
    images = {"n_generated": m, "n_reference": n, "note": note}
    return replace(_accuracy(counts), **images), replace(_f1(counts), **images)


@dataclass(frozen=True)
class _Counts:
    """Counts of the test images that the classifier took to be generated.

    Attributes:
        hits: Generated images taken to be generated.
        alarms: Real images taken to be generated.
        tested: Test images of each side.
    """

    hits: int
    alarms: int
    tested: int


def _accuracy(counts: _Counts) -> Estimate:
    right, trials = counts.hits + counts.tested - counts.alarms, 2 * counts.tested
    share = right / trials
    return Estimate(
        name="c2st_accuracy",
        value=share,
        standard_error=float(np.sqrt(share * (1.0 - share) / trials)),
        interval=wilson_bounds(right, trials),
        method="Wilson",
        n_generated=counts.tested,
        n_reference=counts.tested,
    )


def _f1_of(hit_rate: float, alarm_rate: float) -> float:
    """Return F1 for as many generated as real images: TP = n·hit_rate, FP = n·alarm_rate, FN = n − TP."""
    return 2.0 * hit_rate / (1.0 + hit_rate + alarm_rate)


def _f1(counts: _Counts) -> Estimate:
    """Return F1 with the delta method's standard error, and an interval that stays one at rates of 0 and 1.

    F1 rises with the hit rate and falls with the alarm rate, which come from independent images; the distances to F1 at
    each rate's own Wilson limit are combined as the root of the sum of squares.
    """
    n = counts.tested
    hit, alarm = counts.hits / n, counts.alarms / n
    value, total = _f1_of(hit, alarm), 1.0 + hit + alarm
    by_hit, by_alarm = 2.0 * (1.0 + alarm) / total**2, -2.0 * hit / total**2
    variance = (by_hit**2 * hit * (1.0 - hit) + by_alarm**2 * alarm * (1.0 - alarm)) / n
    (hit_low, hit_high), (alarm_low, alarm_high) = wilson_bounds(counts.hits, n), wilson_bounds(counts.alarms, n)
    below = np.hypot(value - _f1_of(hit_low, alarm), value - _f1_of(hit, alarm_high))
    above = np.hypot(_f1_of(hit_high, alarm) - value, _f1_of(hit, alarm_low) - value)
    return Estimate(
        name="c2st_f1",
        value=value,
        standard_error=float(np.sqrt(variance)),
        interval=(max(0.0, value - float(below)), min(1.0, value + float(above))),
        method="Wilson limits combined",
        n_generated=n,
        n_reference=n,
    )


def _train(x: Array, labels: Array) -> Callable[[Array], Array]:
    """Fit a logistic regression on standardized features, to the minimum of the whole convex problem.

    Args:
        x: N×D.
        labels: N times 0 or 1, which is "generated".

    Returns:
        The function from features to decision values; above 0 is "generated".
    """
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    # A feature that is constant on the training half tells nothing; what rounding leaves of it must not be blown up.
    varies = deviation > 1e-12 * np.abs(x).max(axis=0)
    scale = np.zeros_like(deviation)
    scale[varies] = 1.0 / deviation[varies]
    z = (x - mean) * scale
    weights, bias = _logistic(z, labels)
    scaled = weights * scale
    return lambda x: (x - mean) @ scaled + bias


def _logistic(z: Array, labels: Array) -> tuple[Array, float]:
    """Return the weights (D) and the bias that minimize Σ log-loss + ½‖w‖² for N×D features.

    For N < D the weights lie in the span of the rows. Coordinates along the eigenvectors of the Gram matrix z·zᵀ, as
    orthonormal directions of that span, leave ‖w‖ as it is and turn N×D features into at most N×N ones.
    """
    n, width = z.shape
    if n >= width:
        return _minimize(z, labels)
    values, vectors = np.linalg.eigh(z @ z.T)
    some = values > n * np.finfo(np.float64).eps * max(values[-1], np.finfo(np.float64).tiny)
    roots = np.sqrt(values[some])
    inside, bias = _minimize(vectors[:, some] * roots, labels)
    return z.T @ (vectors[:, some] @ (inside / roots)), bias


def _minimize(z: Array, labels: Array) -> tuple[Array, float]:
    signs = 2.0 * labels - 1.0

    def loss(parameters: Array) -> tuple[float, Array]:
        weights, bias = parameters[:-1], parameters[-1]
        margins = signs * (z @ weights + bias)
        slopes = -signs * expit(-margins)
        value = float(np.logaddexp(0.0, -margins).sum() + 0.5 * weights @ weights)
        return value, np.append(z.T @ slopes + weights, slopes.sum())

    start = np.zeros(z.shape[1] + 1)
    minimum = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 0.0, "gtol": 1e-8})
    return minimum.x[:-1], float(minimum.x[-1])
