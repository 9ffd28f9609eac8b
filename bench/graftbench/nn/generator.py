"""The generator that every z→image method shares, and the VAE's decoder."""

from __future__ import annotations

import itertools

import msgspec
from torch import Tensor, nn

from graftbench.nn.resolution import sides


class GeneratorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of a generator.

    Attributes:
        resolution: Side of the images in pixels: 4·2^k, k ≥ 1.
        latent: Dimensions of z.
        channels: Channels of the last stage; every stage before has twice as many, up to `8·channels`.
    """

    resolution: int = 32
    latent: int = 128
    channels: int = 16

    def __post_init__(self) -> None:
        sides(self.resolution)  # a ValueError that names the right ones

    def stage_channels(self) -> list[int]:
        """Return the channels at 4×4, 8×8, …, resolution×resolution."""
        return [min(8, self.resolution // side) * self.channels for side in sides(self.resolution)]


class UpsamplingBlock(nn.Module):
    """Nearest-neighbour upsampling, 3×3 convolution, batch norm, ReLU.

    Resize-convolution instead of the 4×4 transposed convolution of DCGAN (arXiv 1511.06434): no checkerboard
    (Odena et al., Distill 2016).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C'×2H×2W."""
        return self.norm(self.conv(self.upsample(x))).relu()


class Generator(nn.Module):
    """z (B×latent) -> image in [−1, 1] (B×3×R×R). Blocks are addressed by index: `blocks.0` is the coarsest."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = spec.stage_channels()
        self.stem = nn.Linear(spec.latent, widths[0] * 16, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.blocks = nn.ModuleList(UpsamplingBlock(a, b) for a, b in itertools.pairwise(widths))
        self.to_rgb = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Map B×latent to B×3×R×R."""
        x = self.stem(z).unflatten(1, (-1, 4, 4))
        x = self.stem_norm(x).relu()
        for block in self.blocks:
            x = block(x)
        return self.to_rgb(x).tanh()
