"""Held-out loss of networks that take noise out of images: what they were trained for, on images they never saw."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftbench.metrics.arrays import checked
from graftbench.metrics.catalogue import Metric
from graftbench.metrics.estimate import Estimate, student_bounds

if TYPE_CHECKING:
    from graftbench.metrics.arrays import Array
    from graftbench.metrics.sides import Sides

METRICS = (
    Metric(
        "denoising_loss",
        "denoising loss",
        "squared error of the noise that a diffusion model predicts in held-out images",
        better=-1,
        needs=(),
        paper="2006.11239",
        sets=("denoising",),
        panel="Held-out loss",
        text="**Denoising loss.** ‖ε − ε_θ(x_t, t)‖² per number of an image, for each image of the reference split at "
        "the middles of eight equal parts of the time, then the mean: the training loss of a diffusion model on images "
        "that it never saw. The noise is the same for all methods and seeds. It falls smoothly where KID jumps, and "
        "rises when a fit begins to learn its images by heart; it says nothing of the sampler. Compare networks of one "
        "schedule only. The interval is Student's over the images. Undefined for all other methods.",
    ),
    Metric(
        "velocity_loss",
        "velocity loss",
        "squared error of the velocity that a flow model predicts in held-out images",
        better=-1,
        needs=(),
        paper="2210.02747",
        sets=("denoising",),
        panel="Held-out loss",
        text="**Velocity loss.** The same for flow matching: ‖(x₁ − x₀) − v_θ(x_t, t)‖². Its numbers do not compare "
        "with those of the denoising loss: they are errors of another prediction.",
    ),
)

ALONE = "of images alone nobody knows what the network that made them was trained to predict: cells of a run know it"

PARTS = 8
"""So many equal parts of the time; the error is taken in the middle of each."""


def held_out_loss(errors: Array, name: str = "denoising_loss") -> Estimate:
    """Return the mean of squared errors over images and times.

    Args:
        errors: Squared error of each image at each time, N×T.
        name: Of the estimate.

    Returns:
        A value with Student's interval over the images, from two on; undefined without images.

    Raises:
        GraftbenchError: Entries are NaN or infinite.
    """
    means = checked(errors, "errors").mean(axis=1)
    n = len(means)
    if not n:
        return Estimate(name=name, undefined="A held-out loss needs an image", n_generated=0, n_reference=0)
    value = float(means.mean())
    if n < 2:
        return Estimate(name=name, value=value, n_generated=0, n_reference=n)
    error = float(means.std(ddof=1)) / math.sqrt(n)
    interval = student_bounds(value, error, n - 1, low=0.0, high=math.inf)
    return Estimate(
        name=name,
        value=value,
        standard_error=error,
        interval=interval,
        method="Student over images",
        n_generated=0,
        n_reference=n,
    )


def compute(sides: Sides) -> list[Estimate]:
    """Say that features alone do not tell how a network predicts; cells replace both (`scoring.denoising`)."""
    n = len(checked(sides.x, "generated features"))
    return [Estimate(name=metric.name, undefined=ALONE, n_generated=n) for metric in METRICS]
