"""What the court computes of two sets of features, and what each score is for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from graftbench.metrics.catalogue import FILES, METRICS
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.manifold import ball_scores, prdc_family

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.metrics.features import Features

Role = Literal["fidelity", "diversity", "both", "distance", "count", "other"]

ROLES: dict[str, Role] = {
    **dict.fromkeys(("precision", "density", "clipped_density", "symmetric_precision"), "fidelity"),
    **dict.fromkeys(("recall", "coverage", "clipped_coverage", "symmetric_recall"), "diversity"),
    "f_score": "both",
    **dict.fromkeys(("vendi_score", "vendi_2", "vendi_inf", "rke"), "count"),
    **dict.fromkeys(("modes", "variant_pairs", "factor_kl"), "other"),
}
"""Metric -> what it says it measures: realism, variety, both as one share from 0 to 1; how far two sets are apart; a
number of different images; anything else."""

JUDGED = (
    *("fid", "kid", "inception_score", "precision", "recall", "f_score", "density", "coverage", "high_frequency"),
    *("clipped_density", "clipped_coverage", "symmetric_precision", "symmetric_recall"),
    *("mind", "c2st_accuracy", "vendi_score", "vendi_2", "vendi_inf", "rke"),
    *("copies", "train_distance_ratio", "authpct", "copying_z", "mifid", "fld"),
)
"""What is tried where nothing else is asked for. Not FID∞, KID 100×1000 and CMMD, which are other forms of these or
need more images than there are, and not null coverage, a constant."""


def role_of(metric: str) -> Role:
    """Return what a metric measures; of one that the court has not met, a distance where lower is better."""
    return ROLES.get(metric, "distance" if METRICS[metric].better < 0 else "other")


def values_of(
    generated: Features, reference: Features, train: Features | None, metrics: Iterable[str], *, seed: int = 0
) -> dict[str, float]:
    """Return metric -> value; NaN where it is undefined. No interval is estimated that takes long."""
    names = list(metrics)
    modules = {FILES[name].path: FILES[name].load() for name in names if name in FILES}
    families = [module.FAMILY for module in modules.values() if hasattr(module, "FAMILY")]
    shares = ball_scores(generated.pooled, reference.pooled, [prdc_family(), *families], splits=0)
    rest = [name for name in names if name not in shares]
    estimates = dict(shares)
    if rest:
        scored = evaluate_features(generated, reference, metrics=rest, train=train, intervals=False, seed=seed)
        estimates |= {estimate.name: estimate for estimate in scored}
    return {name: math.nan if (value := estimates[name].value) is None else value for name in names}


def of_features_alone(metrics: Sequence[str]) -> list[str]:
    """Return those of the metrics that two sets of features are enough for."""
    return [name for name in metrics if set(METRICS[name].needs) <= {"reference"}]
