"""Scores that are read together: which panel shows which, in which order, and how to read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.metrics.catalogue import EVERY_METRIC, Metric, is_by_second, metric_named

from .numbers import FID, IS, KID, finite, number
from .text import listing, one_line

if TYPE_CHECKING:
    from .groups import Group


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Columns of one table.

    Attributes:
        title: Its heading; empty for the headline, which comes first and is never left out.
        metrics: One a column.
        reading: How to read it, a few sentences; empty for the headline.
        ranked: Whether its best is marked, and which way is better, where a metric has a direction.
    """

    title: str = ""
    metrics: tuple[Metric, ...]
    reading: str = ""
    ranked: bool = True

    @property
    def is_headline(self) -> bool:
        """Return whether it is the first table, the one with cost and seeds."""
        return not self.title

    @property
    def headings(self) -> tuple[str, ...]:
        """Return the headings of its columns; without arrows where nothing is ranked."""
        return tuple(metric.heading if self.ranked else metric.label for metric in self.metrics)


@dataclass(frozen=True)
class Layout:
    """A panel below the headline: its heading, its metrics in order, and whether its best is marked."""

    title: str
    names: tuple[str, ...]
    ranked: bool = True


HEADLINE = (FID, KID, IS)
LAYOUT = (
    Layout("Fidelity to content", ("psnr", "ssim", "feature_distance")),
    Layout(
        "Fidelity and diversity",
        (
            *("precision", "recall", "f_score", "density", "coverage", "null_coverage", "high_frequency"),
            *("vendi_score", "intra_cluster_distance", "cluster_occupancy"),
        ),
    ),
    Layout("Known truth", ("modes", "variant_pairs", "factor_kl")),
    Layout("Forgetting", ("drift", "source_kid")),
    Layout("Held-out loss", ()),
    Layout("Memorisation", ("copies", "train_distance_ratio", "authpct", "copying_z", "mifid"), ranked=False),
    Layout(
        "Other distances",
        ("fid_inf", "kid_100x1000", "cmmd", "cmmd_biased", "mind", "c2st_accuracy", "c2st_f1"),
    ),
)
"""The panels below the headline. A metric of the catalogue that stands in none goes with the unknown ones."""
OTHER = "Other scores"
SECOND = "By the second extractor"

READINGS = {
    "psnr": "PSNR, SSIM and feature distance compare each image with the one that its input was made of, or that has "
    "its id; a blurred compromise can win them and lose KID.",
    "precision": "Precision falls where generated images look unlike the reference.",
    "recall": "Recall falls where a part of the reference is not generated.",
    "density": "Density is about 1 for equal distributions and can exceed it.",
    "high_frequency": "High frequencies: 1 is as sharp as the reference, below is blurred, above is noisy.",
    "vendi_score": "Vendi is the effective number of different images among the generated ones.",
    "cluster_occupancy": "Occupancy falls where generated images crowd around few of the training images.",
    "factor_kl": "Factor KL is 0 where every variant is made as often as it is real; that images are few keeps it at "
    "what the floor says.",
    "drift": "Drift: 0 is the untransferred source; what has drifted less at the same KID has kept more of it.",
    "source_kid": "KID to source: the lower, the more the images still are like the source domain.",
    "denoising_loss": "Denoising loss: error of the noise that a diffusion model predicts in held-out images, with the "
    "averaged weights that it samples with; compare networks of one schedule only.",
    "velocity_loss": "Velocity loss: error of the velocity that a flow predicts there, likewise; not to be compared "
    "with a denoising loss. A loss says nothing of the sampler: it can fall while KID rises.",
    "copies": "Copies: training images among the generated ones, also cropped, moved, mirrored or recoloured, beyond "
    "what new real images show by chance.",
    "train_distance_ratio": "Train distance: 1 is as far off as new real images are, towards 0 are copies.",
    "authpct": "AuthPct: new real images have what the floor says, not 100; only values far below it speak of copying.",
    "copying_z": "C_T: around 0 for new real images, far below 0 for copies, far above 0 for images further off than "
    "new ones; it grows with the numbers of images.",
    "mifid": "MiFID is FID, made larger where generated images lie close to training images.",
    "fid_inf": "FID∞ removes the bias of few generated images, not that of few reference images.",
    "c2st_accuracy": "C2ST: at an accuracy of 0.5 a linear classifier cannot tell generated from reference images, at "
    "1 it always can.",
}
"""Metric -> what a reader must know before comparing. `coverage` and `modes` have sentences of their own."""
_NOT_RANKED = "Nothing is ranked here: to be far from the training images is no merit by itself."
_BY_SECOND = (
    "The same images, seen by another network: an order that only one network sees may be its taste. A method that was "
    "trained with the first network competes here, and one that was trained with the second does not."
)
_NOT_KNOWN = "Not in the catalogue of metrics, so printed as recorded, without a direction: {}."


def panels(group: Group) -> tuple[Panel, ...]:
    """Return the headline, then every panel of which the group has a score, then scores that stand in none."""
    names_with_scores = set(group.scores)
    null_coverage = _null_coverage(group)
    readings = READINGS | {"coverage": null_coverage, "modes": _modes(group)}
    hidden = {"null_coverage"} if null_coverage else set()
    below: list[Panel] = []
    for layout in LAYOUT:
        names = [name for name in names_of(layout) if name in names_with_scores - hidden]
        if names:
            sentences = [readings.get(name, "") for name in names] + ([] if layout.ranked else [_NOT_RANKED])
            below.append(
                Panel(
                    title=layout.title,
                    metrics=tuple(EVERY_METRIC[name] for name in names),
                    reading=" ".join(filter(None, sentences)),
                    ranked=layout.ranked,
                )
            )
    second = _second(names_with_scores)
    shown = [*(names_of(layout) for layout in LAYOUT), *([metric.name for metric in panel.metrics] for panel in second)]
    placed = {metric.name for metric in HEADLINE}.union(*shown)
    asked = tuple(metric for metric in HEADLINE if metric.name in names_with_scores)
    return (Panel(metrics=asked or HEADLINE), *second, *below, *_others(names_with_scores - placed))


def _second(names: set[str]) -> list[Panel]:
    """Return the panel of the second extractor's scores; none without one."""
    by_second = [metric for name in sorted(names) if is_by_second(name) and (metric := metric_named(name)) is not None]
    return [Panel(title=SECOND, metrics=tuple(by_second), reading=_BY_SECOND)] if by_second else []


def names_of(layout: Layout) -> tuple[str, ...]:
    """Return a panel's metrics, and behind them those whose own file puts them there."""
    return (*layout.names, *(name for name, metric in EVERY_METRIC.items() if metric.panel == layout.title))


def _others(names: set[str]) -> list[Panel]:
    if not names:
        return []
    unknown = sorted(names - EVERY_METRIC.keys())
    metrics = [metric for name, metric in EVERY_METRIC.items() if name in names]
    metrics += [Metric(name=name, label=name, title="not in the catalogue of metrics", better=0) for name in unknown]
    return [Panel(title=OTHER, metrics=tuple(metrics), reading=_NOT_KNOWN.format(listing(unknown)) if unknown else "")]


def _null_coverage(group: Group) -> str:
    """Say beside coverage, in place of a column, the null coverage if it is one: it depends on numbers of images alone.

    Empty where there is no coverage to stand beside, or where cells differ or have none: then it stays a column.
    """
    if "coverage" not in group.scores:
        return ""
    values = [finite(score.value) for score in group.scores.get("null_coverage", ())]
    printed = {number(value, 3) for value in values if value is not None}
    if len(printed) != 1 or None in values:
        return ""
    return (
        f"Coverage: equal distributions have {printed.pop()} at these numbers of images (null coverage); the nearer to "
        "1 that is, the less coverage tells."
    )


def _modes(group: Group) -> str:
    """Say of how many variants `modes` are covered, of which factors, and which factors could not be read."""
    truths = [record.truth for row in group.rows for record in row.ok if record.truth and record.truth.accuracy]
    if not truths:
        return ""
    truth = truths[0]
    left_out = f"; not read well enough: {listing([*map(one_line, truth.left_out)])}" if truth.left_out else ""
    factors = f"{len(truth.accuracy)} factors ({listing([*map(one_line, truth.accuracy)])}{left_out})"
    pairs = f" Pairs: of {truth.pairs} pairs of variants, likewise; copies cover few of them." if truth.pairs else ""
    return (
        f"Modes: of {truth.variants} variants of {factors}, how many are made at least a quarter as often as in truth."
        f"{pairs}"
    )


def floors(group: Group) -> dict[str, tuple[float, float]]:
    """Return score -> lowest and highest floor of the group's cells, as printed: what as many real images score."""
    scales = {name: metric.scale if (metric := metric_named(name)) else 1.0 for name in group.floors}
    return {name: (low * scales[name], high * scales[name]) for name, (low, high) in group.floors.items()}
