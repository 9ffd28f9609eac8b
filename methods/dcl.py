"""DCL: of each latent, the adapted image stays nearest to the source's image of that latent, in two networks' features.

Dual contrastive learning. In the generator's own feature maps, the adapted image of a latent must be told from those of
other latents by the source image that it belongs to: what made images different still does. In the discriminator's, it
must be nearer to that source image than to the target images: it may take their look and not become one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from graftbench.bounds import AtLeastTwo, NonNegative, Positive  # noqa: TC001 - msgspec reads them
from graftbench.nn.build import train_unfrozen
from graftbench.nn.discriminator import feature_maps
from graftbench.references import cited
from graftbench.training.adversarial import gaussian_latents

from ._relaxed_realism import DIFFERS, Players, RelaxedConfig, RelaxedMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.training.adversarial import GeneratorPass, GeneratorTerm


class Config(RelaxedConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Weights, temperature and batch of the two losses. They were written from memory of the paper, and not checked.

    Attributes:
        generator_contrast: λ₁, weight of the loss in the generator's features.
        discriminator_contrast: λ₂, weight of the loss in the discriminator's features.
        temperature: τ, by which cosine similarities are divided.
        contrast_batch: Latents that are compared with one another.
    """

    generator_contrast: NonNegative = 2.0
    discriminator_contrast: NonNegative = 0.5
    temperature: Positive = 0.07
    contrast_batch: AtLeastTwo = 4


class Dcl(RelaxedMethod):
    """Zhao, Ding, Huang, Cheung, CVPR 2022."""

    name = "dcl"
    title = "DCL (dual contrastive)"
    reference = cited("zhao2022closer")
    frozen = "a copy of the source generator, from whose images the adapted ones may not drift"
    differs = (
        f"{DIFFERS}; the training code is not published, only its networks: layers are drawn one a step for each loss, "
        "the second loss trains the generator alone, and the target images in it are those that the discriminator has "
        "just seen, unaugmented, for further ones would be paid from the budget; weights and temperature were not "
        "checked against the paper"
    )
    Config = Config

    def terms(self, players: Players) -> Sequence[GeneratorTerm]:
        """Return the two losses as one term, without those whose weight is 0."""
        config: Config = self.config
        return [_Contrast(config, players)] if config.generator_contrast or config.discriminator_contrast else []


class _Contrast:
    """Both losses on the same fresh latents, each at a layer drawn for the step."""

    def __init__(self, config: Config, players: Players) -> None:
        self._config, self._players = config, players

    def __call__(self, _: GeneratorPass) -> dict[str, Tensor]:
        config, players = self._config, self._players
        z = gaussian_latents(config.contrast_batch, players.generator, players.task)
        losses = {}
        if config.generator_contrast:
            kept, adapted = players.both_stages(z)
            layer = self._layer(len(kept))
            contrast = generator_contrast(adapted[layer], kept[layer], config.temperature)
            losses["generator contrast"] = config.generator_contrast * contrast
        if config.discriminator_contrast:
            contrast = discriminator_contrast(*self._judged(z), config.temperature)
            losses["discriminator contrast"] = config.discriminator_contrast * contrast
        return losses

    def _judged(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the discriminator's features of adapted, source and real images, at one layer."""
        players, judge = self._players, self._players.discriminator
        kept, adapted = players.both_images(z)
        judge.eval()  # looking must not move its spectral norm
        both = torch.cat([adapted, kept, players.real.images])
        maps = feature_maps(judge.image, both.contiguous(memory_format=torch.channels_last))
        train_unfrozen(judge)
        features = maps[self._layer(len(maps))]
        size = len(z)
        return features[:size], features[size : 2 * size], features[2 * size :]

    def _layer(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self._players.task.generator))


def generator_contrast(adapted: Tensor, source: Tensor, temperature: float) -> Tensor:
    """Return L_CL1 = −(1/N) Σ_i log [ f(a_i, s_i) / Σ_j f(a_i, s_j) ], f(a, s) = exp(cos(a, s)/τ).

    The paper's first contrastive loss: cross-entropy of choosing, for each adapted image, the source image of the same
    latent among those of all N latents. At a = s it is not 0, but small where images differ; log N where all are alike.

    Args:
        adapted: Features a of the adapted generator, N×….
        source: Features s of the source generator for the same latents, N×….
        temperature: τ.
    """
    similarities = cosines(adapted, source) / temperature
    return F.cross_entropy(similarities, torch.arange(len(similarities), device=similarities.device))


def discriminator_contrast(adapted: Tensor, source: Tensor, real: Tensor, temperature: float) -> Tensor:
    """Return L_CL2 = −(1/N) Σ_i log [ f(a_i, s_i) / (f(a_i, s_i) + Σ_j f(a_i, x_j)) ], f as in `generator_contrast`.

    The paper's second contrastive loss: the source image of the same latent is the positive, target images are the
    negatives.

    Args:
        adapted: The discriminator's features a of adapted images, N×….
        source: Its features s of the source's images for the same latents, N×….
        real: Its features x of target images, M×….
        temperature: τ.
    """
    positive = F.cosine_similarity(adapted.flatten(1), source.flatten(1))[:, None]
    similarities = torch.cat([positive, cosines(adapted, real)], dim=1) / temperature
    return F.cross_entropy(similarities, similarities.new_zeros(len(similarities), dtype=torch.long))


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosine similarity of each of N features to each of M others: N×…, M×… -> N×M."""
    return F.normalize(a.flatten(1), dim=1) @ F.normalize(b.flatten(1), dim=1).T
