"""A change of the latents before a generator: MineGAN's miner, and the Gaussian of a VAE's posteriors."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from graftbench.nn.generator import Generator, GeneratorSpec


class Miner(nn.Module):
    """z -> z' of as many dimensions: two linear layers with a ReLU between, as in the published code.

    Wang et al., CVPR 2020 (arXiv 1912.05270).

    At the start z' = z exactly: relu(z) − relu(−z), which is why there are twice as many hidden units as dimensions.
    The published code has as many and starts at random; its generators normalise their latents, ours do not, and
    random layers would hand them latents of a quarter of the length that they were trained on.
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        identity = torch.eye(latent)
        self.expand = _linear(torch.cat([identity, -identity]))
        self.merge = _linear(torch.cat([identity, -identity], dim=1))

    def forward(self, z: Tensor) -> Tensor:
        """Map B×latent to B×latent."""
        return self.merge(self.expand(z).relu())


def _linear(weight: Tensor) -> nn.Linear:
    """Make x -> weight · x, with a bias of 0 that can be trained; nothing is drawn at random."""
    layer = cast("nn.Linear", nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0]))
    layer.load_state_dict({"weight": weight, "bias": torch.zeros(len(weight))})
    return layer


class LatentGaussianSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dimensions of z."""

    latent: int


class LatentGaussian(nn.Module):
    """z ~ N(0, I) -> N(mean, factor·factorᵀ); the identity until it is given another mean and factor."""

    mean: Tensor
    factor: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.spec = LatentGaussianSpec(latent)
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("factor", torch.eye(latent))

    def forward(self, z: Tensor) -> Tensor:
        """Map B×latent to B×latent."""
        return self.mean + z @ self.factor.T


class MappedGenerator(nn.Module):
    """z -> generator(mapping(z)), B×3×R×R in [−1, 1]."""

    def __init__(self, mapping: nn.Module, generator: nn.Module) -> None:
        super().__init__()
        self.mapping, self.generator = mapping, generator

    @property
    def spec(self) -> GeneratorSpec:
        """Return the generator's specification; the latents of both have as many dimensions."""
        return cast("Generator", self.generator).spec

    def forward(self, z: Tensor) -> Tensor:
        """Map B×latent to B×3×R×R."""
        return self.generator(self.mapping(z))
