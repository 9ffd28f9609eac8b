"""From features to metrics by name, each computed once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import zero_rows
from graftbench.metrics.catalogue import FILES, METRICS, SETS, resolve
from graftbench.metrics.classifier import c2st
from graftbench.metrics.copying import copies
from graftbench.metrics.diversity import cluster_occupancy, intra_cluster_distance, vendi_score
from graftbench.metrics.estimate import Estimate
from graftbench.metrics.features import Features
from graftbench.metrics.frechet import fid_inf
from graftbench.metrics.inception import inception_score
from graftbench.metrics.kernel import kid, kid_subsets
from graftbench.metrics.kernel_gaussian import cmmd
from graftbench.metrics.manifold import prdc_family
from graftbench.metrics.memorization import authpct, copying_z, mifid, train_distance_ratio
from graftbench.metrics.sides import Sides, count_of
from graftbench.metrics.sliced import mind
from graftbench.metrics.spectrum import high_frequency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import ModuleType

    from graftbench.metrics.covariance import Moments


def _high_frequency(sides: Sides) -> list[Estimate]:
    generated, reference = sides.features(sides.generated).powers, sides.features(sides.reference).powers
    assert generated is not None
    assert reference is not None
    return [high_frequency(generated, reference)]


_COMPUTE: tuple[tuple[tuple[str, ...], Callable[[Sides], Iterable[Estimate]]], ...] = (
    (("fid",), lambda s: [s.fid]),
    (("fid_inf",), lambda s: [fid_inf(s.x, s.matrix(s.reference), seed=s.seed)]),
    (("kid",), lambda s: [kid(s.x, s.y)]),
    (("kid_100x1000",), lambda s: [kid_subsets(s.x, s.y)]),
    (("inception_score",), lambda s: [inception_score(s.features(s.generated).logits)]),
    (
        ("precision", "recall", "f_score", "density", "coverage", "null_coverage"),
        lambda s: s.ball_scores.values(),
    ),
    (("high_frequency",), _high_frequency),
    (("cmmd",), lambda s: [cmmd(s.x, s.y)]),
    (("cmmd_biased",), lambda s: [cmmd(s.x, s.y, biased=True)]),
    (("mind",), lambda s: [mind(s.x, s.y, interval=s.with_interval, seed=s.seed)]),
    (("c2st_accuracy", "c2st_f1"), lambda s: c2st(s.x, s.y, seed=s.seed)),
    (("vendi_score",), lambda s: [vendi_score(s.x)]),
    (("copies",), lambda s: [copies(*(s.thumbnails(side) for side in (s.generated, s.reference, s.train)))]),
    (("train_distance_ratio",), lambda s: [train_distance_ratio(s.x, s.y, s.t)]),
    (("authpct",), lambda s: [authpct(s.x, s.t)]),
    (("copying_z",), lambda s: [copying_z(s.x, s.y, s.t, seed=s.seed)]),
    (("mifid",), lambda s: [mifid(s.x, s.y, s.t, distance=s.fid, interval=s.with_interval, seed=s.seed)]),
    (("intra_cluster_distance",), lambda s: [intra_cluster_distance(s.x, s.t)]),
    (("cluster_occupancy",), lambda s: [cluster_occupancy(s.x, s.t)]),
)
"""Names that are computed together, and the function from the sides to their estimates."""

MOMENTS_SUFFICE = frozenset({"fid"})
"""Metrics for which mean and covariance of the generated images are enough: their features need not be kept."""

_OF_DIRECTIONS = frozenset({"cmmd", "cmmd_biased"})
"""Metrics that compare directions of features and are no numbers where one of them is 0."""


def evaluate_features(
    generated: Features | Moments,
    reference: Features | Moments | None = None,
    *,
    metrics: Iterable[str] = ("default",),
    train: Features | None = None,
    intervals: bool = True,
    seed: int = 0,
) -> list[Estimate]:
    """Compute metrics of generated images from features, in the catalogue's order.

    Args:
        generated: Features of the generated images; moments suffice for `fid`.
        reference: Features of the real images, from the same extractor; moments suffice for `fid` and `fid_inf`.
        metrics: Names or sets of the catalogue.
        train: Features of the training images, for the metrics of memorisation. Real images that the generator was
            not trained on are needed beside them; the reference takes that part.
        intervals: Estimate the standard errors of FID, MiFID and MIND, which take ten to twenty times as long as their
            values. The other metrics have theirs for little.
        seed: Seed of subsets, directions and splits, where a metric draws any. `kid_100x1000` keeps torch-fidelity's.

    Returns:
        One estimate per metric. A metric for which something is not there is undefined, with what is missing as the
        reason.

    Raises:
        GraftbenchError: Unknown metric, a negative seed, widths that differ, or entries that are NaN or infinite.
    """
    if seed < 0:
        raise GraftbenchError(f"A seed is 0 or a positive integer; found {seed}.")
    names = resolve(metrics)
    sides = Sides(generated, reference, train, intervals, seed)
    lacking = {name: reason for name in names if (reason := _lacking(name, sides))}
    estimates = {name: _undefined(name, reason, sides) for name, reason in lacking.items()}
    wanted = [name for name in names if name not in lacking]

    # Files of metrics, and the families of balls for one pass over the distances.
    modules = {file.path: file.load() for name in wanted if (file := FILES.get(name))}
    families = [prdc_family()] if set(wanted) & set(SETS["prdc"]) else []
    families += [module.FAMILY for module in modules.values() if hasattr(module, "FAMILY")]
    sides = replace(sides, families=tuple(families))

    computes = [compute for computed, compute in _COMPUTE if set(computed) & set(wanted)]
    computes += [_compute_of(path, module) for path, module in modules.items()]
    for compute in computes:
        estimates |= {estimate.name: estimate for estimate in compute(sides) if estimate.name not in lacking}
    if missing := [name for name in names if name not in estimates]:
        raise GraftbenchError(f"{FILES[missing[0]].path} computes no '{missing[0]}', which its METRICS name.")
    return [estimates[name] for name in names]


def _compute_of(path: Path, module: ModuleType) -> Callable[[Sides], Iterable[Estimate]]:
    if not callable(getattr(module, "compute", None)):
        raise GraftbenchError(f"A file of metrics has a function `compute(sides)`; {path} has none.")
    return module.compute


def _lacking(name: str, sides: Sides) -> str:
    """Return the reason why a metric cannot be computed from what was given, or ""."""
    needs, generated, reference = METRICS[name].needs, sides.generated, sides.reference
    if "reference" in needs and reference is None:
        return "no reference images were given"
    if "train" in needs and sides.train is None:
        return "no training images were given"
    if not isinstance(generated, Features):
        alone = "of the generated images there are mean and covariance alone, no features"
        return "" if name in MOMENTS_SUFFICE else alone
    if "reference" in needs and not isinstance(reference, Features) and name not in {*MOMENTS_SUFFICE, "fid_inf"}:
        return "of the reference images there are mean and covariance alone, no features"
    if "logits" in needs and not generated.logits.shape[1]:
        return "the extractor has no classes"
    return _unfit(name, sides)


def _unfit(name: str, sides: Sides) -> str:
    """Return the reason why the features do not serve a metric, or ""."""
    if "factors" in METRICS[name].needs:
        return "features do not tell of which factors the images are made"
    sources = [(sides.generated, "generated"), (sides.reference, "reference")]
    for side, what in sources + [(sides.train, "training")] * ("train" in METRICS[name].needs):
        if not isinstance(side, Features):
            continue
        if "pixels" in METRICS[name].needs and side.powers is None:
            return f"of the {what} images there are features alone, no pixels"
        if "thumbnails" in METRICS[name].needs and side.thumbnails is None:
            return f"of the {what} images there are features alone, no thumbnails"
        if name in _OF_DIRECTIONS and (reason := zero_rows(side.pooled, what)):
            return reason  # CMMD would raise, and no metric have a value
    return ""


def _undefined(name: str, reason: str, sides: Sides) -> Estimate:
    needs = METRICS[name].needs
    return Estimate(
        name=name,
        undefined=reason,
        n_generated=count_of(sides.generated),
        n_reference=count_of(sides.reference) if "reference" in needs else 0,
        n_train=count_of(sides.train) if "train" in needs else 0,
    )
