"""Drift: how much of the source a generator forgot, by the same latents before and after its transfer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import checked, pair, too_few, unit_rows, zero_rows
from graftbench.metrics.catalogue import Metric
from graftbench.metrics.estimate import Estimate, student_bounds
from graftbench.metrics.kernel import kid

if TYPE_CHECKING:
    from graftbench.metrics.arrays import FeatureMatrix
    from graftbench.metrics.sides import Sides

METRICS = (
    Metric(
        "drift",
        "drift",
        "how far the features of a latent's image moved by the transfer, (1 − cosine)/2; 0: nothing was forgotten",
        better=0,
        needs=(),
        sets=("forgetting",),
        text="**Drift.** The mean of (1 − cos(f(S(z)), f(A(z))))/2 over the latents z of the scored images, S the "
        "source model, A the adapted generator, f the protocol's extractor: what each latent's image was, and "
        "what it became. The untransferred `source` has exactly 0; features after a ReLU have no negative "
        "entries, so at most 0.5. Neither way is better: a transfer to a far domain must move, and what moves "
        "less at the same KID has kept more. Undefined without a source model, and where the latent is "
        "another: a mapping before the generator that the source has not (`minegan`, VAEs), another way of "
        "sampling, images that were handed in.",
    ),
    Metric(
        "source_kid",
        "KID×10³ to source",
        "KID of the generated images against the source domain's reference images; low: still like the source",
        better=0,
        scale=1000.0,
        needs=(),
        sets=("forgetting",),
        text="**KID to source.** KID of the generated images against the reference split of the *source* domain, "
        "beside drift in the set `forgetting`: `source` has what the source model reached there. Undefined for methods "
        "from scratch, which had nothing to forget, and where a task has no source domain.",
    ),
)

ALONE = "of images alone nobody knows from which source model they come: cells of a run know it"


def drift(source: FeatureMatrix, adapted: FeatureMatrix) -> Estimate:
    """Return the mean over rows of (1 − cos)/2 between what a latent's image was and what it became.

    Computed as ‖s/|s| − a/|a|‖²/4 in float64, so that equal rows have exactly 0.

    Args:
        source: Features of the source model's images N×D.
        adapted: Features of the adapted generator's images of the same latents, row by row, N×D.

    Returns:
        A value from 0 to 1, with Student's interval over the latents from two on. Undefined without rows, and where a
        row is 0.

    Raises:
        GraftbenchError: The shapes differ, or entries are NaN or infinite.
    """
    after, before = pair(adapted, source, "source")
    n = len(after)
    if n != len(before):
        raise GraftbenchError(f"Drift compares image by image; found {n} images after and {len(before)} before.")
    if reason := too_few(1, n, None, "Drift") or zero_rows(before, "source") or zero_rows(after, "adapted"):
        return Estimate(name="drift", undefined=reason, n_generated=n)
    moved = ((unit_rows(after) - unit_rows(before)) ** 2).sum(axis=1) / 4
    value = float(moved.mean())
    if n < 2:
        return Estimate(name="drift", value=value, n_generated=n)
    error = float(moved.std(ddof=1)) / math.sqrt(n)
    interval = student_bounds(value, error, n - 1, low=0.0, high=1.0)
    return Estimate(
        name="drift", value=value, standard_error=error, interval=interval, method="Student over latents", n_generated=n
    )


def source_kid(generated: FeatureMatrix, source: FeatureMatrix) -> Estimate:
    """Return KID of generated images against real images of the source domain."""
    return replace(kid(generated, source), name="source_kid")


def compute(sides: Sides) -> list[Estimate]:
    """Say that features alone do not tell what was forgotten; cells replace both (`scoring.drift`)."""
    n = len(checked(sides.x, "generated features"))
    return [Estimate(name=metric.name, undefined=ALONE, n_generated=n) for metric in METRICS]
