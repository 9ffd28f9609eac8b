"""DDPM-PA: a diffusion model is fine-tuned, and the images it implies keep the source model's distances and details.

At every step both networks denoise the same noisy target images at once. What the adapted one makes of a batch must be
as alike, image by image, as what the source makes of it, as a whole and in its high frequencies; and the high
frequencies of each must be those of the target image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F

from graftbench.bounds import NonNegative
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze
from graftbench.nn.precision import autocast, resolve
from graftbench.references import cited
from graftbench.training import prepare
from graftbench.training.diffusion import DiffusionConfig, clean_image, fit_diffusion, source_unet

if TYPE_CHECKING:
    from torch import Tensor

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.diffusion import DenoisingPass
    from graftbench.training.foreign import AnyUNet


class Config(DiffusionConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Weights of the terms beside diffusion's settings; a term of weight 0 is not computed.

    The defaults lie within the paper's ranges as remembered (0.1 to 1 for the first two, 0.01 to 0.08 for the last);
    they were not checked against it, and no trial chose them.

    Attributes:
        similarity: λ₂, weight of the images' similarities.
        details: λ₃, likewise of their high frequencies.
        target_details: λ₄, weight of the distance to the target image's high frequencies.
    """

    similarity: NonNegative = 0.5
    details: NonNegative = 0.5
    target_details: NonNegative = 0.05


class DdpmPa(Method):
    """Zhu, Ma, Chen, Yuan, 2022: DDPM pairwise adaptation."""

    name = "ddpm-pa"
    family: ClassVar[Family] = "fine-tune"
    title = "DDPM-PA"
    reference = cited("zhu2022few")
    trains = "the U-Net, from the source model's averaged weights"
    frozen = "a copy of the source U-Net, whose similarities are kept"
    differs = (
        "the shared small U-Net, which visits 25 noise levels per image, and the rate of the training from scratch, as "
        "in `ddpm-finetune`; no variational term, for the variances are fixed; the images that a prediction implies "
        "are clipped to black and white, because the cosine schedule's last levels would divide errors by 5e-5"
    )
    source_model: ClassVar[SourceNeed] = "diffusion"
    source_parts = ("network",)
    resumable = True
    moves = ("unet.*",)
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Minimise L_simple + λ₂ L_img + λ₃ L_hf + λ₄ L_hfmse on the target images, from the source U-Net on."""
        source, unet = (source_unet(task.source_model, task.resolution) for _ in range(2))
        freeze(source)
        prepare(task, source_unet=source)
        return fit_diffusion(task, budget, self.config, unet, terms=[_Pairs(task, self.config, source)])


class _Pairs:
    """The terms on the images x̃_0 that both networks' predictions imply."""

    def __init__(self, task: Task, config: Config, source: AnyUNet) -> None:
        self._config, self._source = config, source
        self._device, self._dtype = task.device, resolve(config.precision, task.device)

    def __call__(self, computed: DenoisingPass) -> dict[str, Tensor]:
        weights = {"similarity": self._config.similarity, "details": self._config.details}
        adapted = clean_image(computed.noisy, computed.noise, computed.alpha_bar)
        terms: dict[str, Tensor] = {}
        if any(weights.values()):
            with torch.no_grad(), autocast(self._dtype, self._device):
                noise = self._source(computed.noisy, computed.t)
            kept = clean_image(computed.noisy, noise, computed.alpha_bar)
            divergences = {
                "similarity": lambda: pairwise_loss(kept, adapted),
                "details": lambda: pairwise_loss(high_frequencies(kept), high_frequencies(adapted)),
            }
            terms = {name: weight * divergences[name]() for name, weight in weights.items() if weight}
        if self._config.target_details:
            distance = F.mse_loss(high_frequencies(adapted), high_frequencies(computed.images))
            terms["target_details"] = self._config.target_details * distance
        return terms


def high_frequencies(images: Tensor) -> Tensor:
    """Return LH + HL + HH of the Haar transform: B×C×H×W -> B×C×H/2×W/2 (the paper's hf).

    With L = (1, 1)/√2 and H = (−1, 1)/√2, of each square of pixels a b / c d the three are (−a + b − c + d)/2,
    (−a − b + c + d)/2 and (a − b − c + d)/2: together (3d − a − b − c)/2.
    """
    a, b = images[..., ::2, ::2], images[..., ::2, 1::2]
    c, d = images[..., 1::2, ::2], images[..., 1::2, 1::2]
    return (3 * d - a - b - c) / 2


def pairwise_loss(source: Tensor, adapted: Tensor) -> Tensor:
    """Return Σ_i KL(p_i^adapted ‖ p_i^source), p_i the softmax of image i's cosine similarities to the batch's others.

    The paper's L_img, and L_hf where the high frequencies of images are given. 0 for a batch of one.

    Args:
        source: Of the source model, B×….
        adapted: Of the adapted one for the same noisy images.
    """
    if len(source) < 2:
        return adapted.sum() * 0
    ours, theirs = log_similarities(adapted), log_similarities(source)
    return F.kl_div(theirs, ours, reduction="sum", log_target=True)


def log_similarities(images: Tensor) -> Tensor:
    """Return log p: B×… -> B×(B − 1), rows of log-softmax over the other images."""
    unit = F.normalize(images.flatten(1), dim=1)
    size = len(unit)
    others = ~torch.eye(size, dtype=torch.bool, device=unit.device)
    return (unit @ unit.T)[others].view(size, size - 1).log_softmax(dim=1)
