"""Scores against known truth: the variants of a domain's factors that generated images show, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from graftbench.images.prepared import SPLITS
from graftbench.metrics.estimate import Estimate
from graftbench.metrics.variants import factor_kl, modes, pair_labels, variant_pairs, variant_shares
from graftbench.records.record import NeglectedVariant, Truth
from graftbench.scoring.factor_classifier import factor_classifier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from graftbench.images.prepared import ImageSet
    from graftbench.scoring.factor_classifier import FactorClassifier

NEGLECTED = 10
"""So many of the variants that are not covered are named."""


@dataclass(frozen=True)
class TruthScores:
    """What known truth says of images.

    Attributes:
        estimates: One a metric.
        floors: Metric -> what as many real images score; none where there are fewer.
        truth: What the record keeps besides.
    """

    estimates: list[Estimate]
    floors: dict[str, Estimate]
    truth: Truth


def truth_scores(
    images: Tensor, target: ImageSet, metrics: Sequence[str], *, reference: str, cache: Path, seed: int = 0
) -> TruthScores:
    """Score images against the true factors of a split of their domain.

    Args:
        images: uint8 n×3×H×W on the CPU, at the domain's resolution.
        target: The domain; it knows its factors.
        metrics: Names of the catalogue that need factors.
        reference: The split.
        cache: Cache folder, for the classifier.
        seed: Of the bootstrap and of the draw of real images for the floor.
    """
    classifier = factor_classifier(target, cache)
    n, positions = len(images), target.positions(reference)
    if not classifier.accuracy:
        reasons = "; ".join(f"{factor}: {reason}" for factor, reason in classifier.left_out.items())
        why = f"no factor can be read well enough ({reasons})"
        undefined = [Estimate(name=name, undefined=why, n_generated=n, n_reference=len(positions)) for name in metrics]
        return TruthScores(undefined, {}, Truth(variants=0, left_out=classifier.left_out))

    # Coverage is held against the true labels; frequencies against those that the same reader finds in real images.
    true = classifier.labels(target, positions)
    read = classifier.read(torch.from_numpy(np.array(target.pixels[positions])))
    generated = classifier.read(images)
    estimates = [_estimate(name, generated, true, read, seed) for name in metrics]

    # The floor: as many real images, read by the same classifier.
    floors: dict[str, Estimate] = {}
    if (real := _real(target, reference, n)) is not None:
        labels = classifier.read(torch.from_numpy(np.array(target.pixels[real])))
        floors = {name: _estimate(name, labels, true, read, seed) for name in metrics}
    return TruthScores(estimates, floors, _truth(classifier, generated, true))


def _estimate(
    name: str, generated: NDArray[np.int64], true: NDArray[np.int64], read: NDArray[np.int64], seed: int
) -> Estimate:
    counted = {"modes": modes, "variant_pairs": variant_pairs}
    return counted[name](generated, true, seed) if name in counted else factor_kl(generated, read)


def _real(target: ImageSet, reference: str, n: int) -> NDArray[np.int64] | None:
    """Draw n real images outside the reference, those first that the classifier was not trained on; None of fewer."""
    rng = np.random.default_rng(0)
    splits = sorted((split for split in SPLITS if split != reference), key=lambda split: split == "train")
    positions = np.concatenate([rng.permutation(target.positions(split)) for split in splits])
    return np.sort(positions[:n]) if len(positions) >= n else None


def _truth(classifier: FactorClassifier, generated: NDArray[np.int64], true: NDArray[np.int64]) -> Truth:
    names, shares = list(classifier.variants), variant_shares(generated, true)
    neglected = [
        NeglectedVariant(
            factor=names[each.factor],
            variant=classifier.variants[names[each.factor]][each.variant],
            true_share=each.true,
            generated_share=each.generated,
        )
        for each in shares
        if not each.covered
    ]
    return Truth(
        variants=len(shares),
        pairs=len(variant_shares(*pair_labels(generated, true))) if len(names) > 1 else 0,
        accuracy=classifier.accuracy,
        shown=float((generated >= 0).mean()),
        left_out=classifier.left_out,
        neglected=neglected[:NEGLECTED],
    )
