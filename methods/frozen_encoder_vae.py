"""A VAE whose encoder is a frozen classifier: only a linear head on its maps, and the decoder, are trained.

What a classifier has learnt on a million photographs is carried into generation; the data budget pays for the decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.bounds import Count
from graftbench.extractors.load import lite0_file
from graftbench.nn.build import seeded
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.references import cited
from graftbench.training.autoencoding import VaeConfig, fit_vae, gaussian_parameters, new_decoder

from ._lite0 import Lite0Method, check_layers

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Family, Sampler, Task

CHANNELS = (32, 16, 24, 40)
"""Of the backbone's maps."""


class Config(VaeConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of the backbone the head reads.

    Attributes:
        layers: Stages of the backbone (0 is the stem).
        grid: Each map is averaged over a grid of this side.
        enlarge: The backbone sees the images enlarged so many times (bilinear).
    """

    layers: tuple[int, ...] = (0, 1, 2, 3)
    grid: Count = 4
    enlarge: Count = 1

    def __post_init__(self) -> None:
        check_layers(self.layers)


class FrozenEncoder(nn.Module):
    """Image (B×3×R×R) -> mean and log-variance of q(z|x), each B×latent, by a linear map of frozen features."""

    def __init__(self, backbone: Lite0Blocks, config: Config) -> None:
        super().__init__()
        self.backbone = backbone
        self.layers = config.layers
        self.grid = config.grid
        channels = sum(CHANNELS[layer] for layer in config.layers)
        # Maps differ in scale; a linear probe wants them alike (He et al., arXiv 2111.06377, A.1: no affine part).
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.head = nn.Linear(channels * config.grid**2, 2 * config.latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean, and the log-variance kept within ±10."""
        with torch.no_grad():
            maps = self.backbone(x)
            pooled = [F.adaptive_avg_pool2d(maps[layer], self.grid) for layer in self.layers]
        return gaussian_parameters(self.head(self.norm(torch.cat(pooled, dim=1)).flatten(1)))


class FrozenEncoderVae(Lite0Method):
    """The encoder as in Zheng, Ma, Tong, Xie, 2025, for a decoder that is drawn from directly."""

    name = "frozen-encoder-vae"
    family: ClassVar[Family] = "frozen"
    title = "VAE, frozen classifier as encoder"
    reference = cited("zheng2025diffusion")
    trains = "a linear head for mean and log-variance, and the decoder, from fresh weights"
    frozen = "the ImageNet backbone EfficientNet-Lite0 that encodes"
    differs = (
        "a small classifier's maps and a Gaussian head instead of DINOv2's tokens, and a KL term instead of a diffusion"
        " model on the latents, so that images can be drawn at a small budget; no adversarial or perceptual "
        "term; latents as in `vae`"
    )
    resumable = True
    moves = ("encoder.head.*", "decoder.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Maximise the ELBO over head and decoder."""
        decoder = new_decoder(task, self.config)
        backbone = Lite0Blocks(lite0_file(), enlarge=self.config.enlarge)
        encoder = seeded(lambda: FrozenEncoder(backbone, self.config), task.generator)
        return fit_vae(task, budget, self.config, encoder, decoder)
