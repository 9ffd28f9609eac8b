"""FID and KID of images by a second extractor, beside the scores of the first: are they one network's taste?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.scoring.estimates import score_of
from graftbench.scoring.features import FeatureReader, split_of

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from graftbench.images.prepared import ImageSet
    from graftbench.records.cell_spec import Protocol
    from graftbench.records.record import Score


def second_scores(
    images: torch.Tensor, target: ImageSet, protocol: Protocol, *, cache: Path, device: str = "cpu", seed: int = 0
) -> list[Score]:
    """Return the scores of images by the protocol's second extractor; none without one.

    The images are those that the first has scored. Each score is named with the extractor's label (`kid.vgg16`), has an
    interval and a floor as one of the first has, and stands against the same split of the target.

    Args:
        images: uint8 n×3×H×W on the CPU.
        target: The target domain.
        protocol: How to score, resolved.
        cache: Cache folder.
        device: Where the extractor computes.
        seed: Of what a metric draws.
    """
    second = protocol.under_second
    if second is None:
        return []
    reader = FeatureReader(second, cache, device=device)
    reference = reader.cached(split_of(target, second.reference))
    generated = Features.of(*reader.extractor.features(images))
    floors = reader.floors_of_domain(target) if len(images) == second.n_generated else {}
    estimates = evaluate_features(generated, reference, metrics=second.metrics, seed=seed)
    return [
        score_of(
            estimate,
            second.label,
            name=f"{estimate.name}.{second.label}",
            floor=floors[estimate.name].value if estimate.name in floors else None,
        )
        for estimate in estimates
    ]
