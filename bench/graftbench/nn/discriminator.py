"""The discriminator that every GAN-family method shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from graftbench.nn.resolution import sides

if TYPE_CHECKING:
    from collections.abc import Callable


class DiscriminatorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of a discriminator.

    Attributes:
        resolution: Side of the images in pixels: 4·2^k, k ≥ 1.
        channels: Channels of the first block; they double with every halving of the side, up to `4·channels`.
        spectral_norm: Divide every weight by its largest singular value (Miyato et al., arXiv 1802.05957).
    """

    resolution: int = 32
    channels: int = 32
    spectral_norm: bool = True

    def __post_init__(self) -> None:
        sides(self.resolution)  # a ValueError that names the right ones

    @property
    def blocks(self) -> int:
        """Return the number of blocks: two a halving of the side."""
        return 2 * len(sides(self.resolution)[1:])


class Discriminator(nn.Module):
    """Image in [−1, 1] (B×3×R×R) -> logit (B). Positive means real.

    Per halving of the side a 4×4 stride-2 convolution and a 3×3 one, then a linear head: the layers of SNGAN's network
    (arXiv 1802.05957, table 3) in the order that spends nothing at full resolution, which halves a step on a CPU.
    Blocks are addressed by index: `blocks.0` is the one at the image.
    """

    def __init__(self, spec: DiscriminatorSpec) -> None:
        super().__init__()
        self.spec = spec
        wrap: Callable[[nn.Module], nn.Module] = spectral_norm if spec.spectral_norm else lambda module: module
        self.blocks = nn.ModuleList()
        inputs, outputs = 3, spec.channels
        for _ in sides(spec.resolution)[1:]:
            self.blocks.append(nn.Sequential(wrap(nn.Conv2d(inputs, outputs, 4, 2, padding=1)), nn.LeakyReLU(0.1)))
            self.blocks.append(nn.Sequential(wrap(nn.Conv2d(outputs, outputs, 3, padding=1)), nn.LeakyReLU(0.1)))
            inputs, outputs = outputs, min(outputs * 2, 4 * spec.channels)
        self.features = inputs * 16
        self.head = wrap(nn.Linear(self.features, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map B×3×R×R to B."""
        for block in self.blocks:
            x = block(x)
        return self.head(x.flatten(1)).squeeze(1)


def feature_maps(discriminator: Discriminator, x: Tensor) -> list[Tensor]:
    """Return the output of each block of the discriminator for images B×3×R×R, the one at the image first."""
    maps = []
    for block in discriminator.blocks:
        x = block(x)
        maps.append(x)
    return maps
