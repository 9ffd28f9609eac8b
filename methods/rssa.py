"""RSSA: the adapted image of a latent keeps the spatial structure of the source's image of that latent.

Two losses on the feature maps of both generators. Which positions of a map are alike must not change
(self-correlation); and which positions of one image correspond to which of another, disturbed a little, must not either
(disturbance correlation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from graftbench.bounds import AtLeastTwo, NonNegative, Share  # noqa: TC001 - msgspec reads them
from graftbench.references import cited
from graftbench.training.adversarial import gaussian_latents

from ._relaxed_realism import DIFFERS, Players, RelaxedConfig, RelaxedMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.training.adversarial import GeneratorPass, GeneratorTerm


class Config(RelaxedConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Weights and batch of the two losses; defaults are the published code's unless said.

    Attributes:
        self_correlation: Weight of the self-correlation consistency, summed over maps.
        disturbance_correlation: Weight of the disturbance correlation consistency, summed over maps. The code has 0.4
            on every sixth step; here it is a sixth of that on every step.
        correlation_batch: Latents that are compared with one another.
        disturbance: d, the share of z_k = (1 − d) z + d ε_k that is each latent's own. The code computes such latents
            with 0.15 and then takes the ε_k alone: 1 is what it does.
        correlation_side: Maps of a larger side are averaged down to it before positions are compared. (The code halves
            maps and cuts them into windows: a map of side s has s⁴ pairs of positions.)
    """

    self_correlation: NonNegative = 0.8
    disturbance_correlation: NonNegative = 0.4 / 6
    correlation_batch: AtLeastTwo = 4
    disturbance: Share = 0.15
    correlation_side: AtLeastTwo = 16


class Rssa(RelaxedMethod):
    """Xiao, Li, Wang, Zha, Huang, CVPR 2022."""

    name = "rssa"
    title = "RSSA (spatial structure)"
    reference = cited("xiao2022few")
    frozen = "a copy of the source generator, whose spatial structure is kept"
    differs = (
        f"{DIFFERS}; maps are compared whole, averaged down to 16×16 where they are larger, instead of in windows; the "
        "second loss acts on every step with a sixth of its weight instead of on every sixth; no compression of the "
        "latent space, which mixes a projection onto inverted target images into the fine layers of StyleGAN2's W+: "
        "these generators have one z for all layers, and inverting the images would cost more than a small budget"
    )
    Config = Config

    def terms(self, players: Players) -> Sequence[GeneratorTerm]:
        """Return the two losses as one term, without those whose weight is 0."""
        config: Config = self.config
        return [_Structure(config, players)] if config.self_correlation or config.disturbance_correlation else []


class _Structure:
    """Both losses, each on fresh latents, summed over the maps that the published code looks at."""

    def __init__(self, config: Config, players: Players) -> None:
        self._config, self._players = config, players

    def __call__(self, _: GeneratorPass) -> dict[str, Tensor]:
        config, resolution = self._config, self._players.task.resolution
        losses = {}
        if config.self_correlation:
            pairs = [pair for pair in self._maps(self._latents()) if pair[0].shape[-1] >= resolution // 4]
            loss = torch.stack([self_correlation_loss(*self._positions(pair)) for pair in pairs]).sum()
            losses["self-correlation"] = config.self_correlation * loss
        if config.disturbance_correlation:
            disturbed = config.disturbance * self._latents() + (1 - config.disturbance) * self._latents()[:1]
            pairs = [pair for pair in self._maps(disturbed) if pair[0].shape[-1] <= resolution // 2]
            loss = torch.stack([disturbance_correlation_loss(*self._positions(pair)) for pair in pairs]).sum()
            losses["disturbance correlation"] = config.disturbance_correlation * loss
        return losses

    def _latents(self) -> Tensor:
        return gaussian_latents(self._config.correlation_batch, self._players.generator, self._players.task)

    def _maps(self, z: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return, per stage, the source generator's map and the trained one's."""
        return list(zip(*self._players.both_stages(z), strict=True))

    def _positions(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        source, adapted = pair
        return positions(source, self._config.correlation_side), positions(adapted, self._config.correlation_side)


def positions(features: Tensor, side: int) -> Tensor:
    """Return the feature of each position, of length 1, averaged over squares where the map is larger than `side`.

    Args:
        features: B×C×H×H.
        side: Largest side that is compared.

    Returns:
        B×P×C, P = min(side, H)².
    """
    unit = F.normalize(features, dim=1)
    return F.adaptive_avg_pool2d(unit, min(side, features.shape[-1])).flatten(2).transpose(1, 2)


def self_correlation_loss(source: Tensor, adapted: Tensor) -> Tensor:
    """Return the smooth L1 distance of C^s and C^t, C_xy = cos(f(x), f(y)): the paper's L_scc of one map.

    A mean over samples and pairs of positions x, y of one image.

    Args:
        source: Features of unit length of the source generator's map, B×P×C.
        adapted: Those of the adapted one's for the same latents, B×P×C.
    """
    return F.smooth_l1_loss(adapted @ adapted.transpose(1, 2), source @ source.transpose(1, 2))


def disturbance_correlation_loss(source: Tensor, adapted: Tensor) -> Tensor:
    """Return Σ_y |P^s_xy − P^t_xy|, P_xy = softmax_y cos(f_j(x), f_k(y)): the paper's L_dcc of one map.

    A mean over positions x and over pairs of images j < k: where position x of image j is found again in image k.

    Args:
        source: Features of unit length of the source generator's map, B×P×C, B ≥ 2.
        adapted: Those of the adapted one's for the same latents, B×P×C.
    """
    first, second = torch.triu_indices(len(source), len(source), offset=1, device=source.device)
    found = (adapted[first] @ adapted[second].transpose(1, 2)).softmax(dim=2)
    kept = (source[first] @ source[second].transpose(1, 2)).softmax(dim=2)
    return (found - kept).abs().sum(dim=2).mean()
