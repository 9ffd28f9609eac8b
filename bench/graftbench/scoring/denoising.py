"""The loss of networks that take noise out of images, on the reference split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from graftbench.contracts import DenoisingSampler
from graftbench.metrics.denoising import METRICS, PARTS, held_out_loss
from graftbench.metrics.estimate import Estimate
from graftbench.scoring.estimates import score_of

if TYPE_CHECKING:
    from graftbench.contracts import Sampler
    from graftbench.images.prepared import ImageSet
    from graftbench.metrics.arrays import Array
    from graftbench.records.cell_spec import Protocol
    from graftbench.records.record import Score

NOISE_SEED = 0
"""One noise for every network, so that their losses differ by the networks alone."""

LOSS_OF = {"noise": "denoising_loss", "velocity": "velocity_loss"}
"""What a network predicts -> the name of its loss."""


def denoising_scores(sampler: Sampler, target: ImageSet, protocol: Protocol) -> list[Score]:
    """Return what the protocol asks for of `denoising_loss` and `velocity_loss`.

    Args:
        sampler: Of the fitted network.
        target: The target domain; its reference split is what the network has not seen.
        protocol: Its metrics and its reference.
    """
    asked = [metric.name for metric in METRICS if metric.name in protocol.metrics]
    own = LOSS_OF[sampler.predicts] if isinstance(sampler, DenoisingSampler) else ""
    estimates = []
    for name in asked:
        if name == own and isinstance(sampler, DenoisingSampler):
            images = torch.from_numpy(target.pixels[target.positions(protocol.reference)])
            estimates.append(held_out_loss(held_out_errors(sampler, images), name))
        else:
            predicted = next(each for each, loss in LOSS_OF.items() if loss == name)
            reason = f"the method has no network that predicts the {predicted} in an image"
            estimates.append(Estimate(name=name, undefined=reason, n_generated=0))
    return [score_of(estimate, protocol.label) for estimate in estimates]


def held_out_errors(sampler: DenoisingSampler, images: torch.Tensor) -> Array:
    """Return the squared error of each image, uint8 N×3×H×W, in the middle of each part of the time: N×`PARTS`."""
    generator = torch.Generator().manual_seed(NOISE_SEED)
    errors = np.empty((len(images), PARTS))
    for part in range(PARTS):
        noise = torch.randn(images.shape, generator=generator)
        times = torch.full((len(images),), (part + 0.5) / PARTS)
        errors[:, part] = sampler.prediction_errors(images, times, noise).double().numpy()
    return errors
