"""The U-Net of diffusion and of flow matching: it predicts the noise in an image, or the velocity towards the data."""

from __future__ import annotations

import itertools
import math

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.nn.resolution import sides
from graftbench.nn.schedule import ScheduleSpec

GROUPS = 8
"""Groups of a group norm."""


class UNetSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of a U-Net.

    Attributes:
        resolution: Side of the images in pixels: 4·2^k, k ≥ 1.
        channels: Channels at full resolution, a multiple of 16; twice as many at half the side, and so on down to
            8×8, up to `widest`·channels.
        widest: See `channels`.
        blocks: Residual blocks per side, on the way down and on the way up.
        attention: Whether the 8×8 positions attend to each other.
    """

    resolution: int = 32
    channels: int = 16
    widest: int = 4
    blocks: int = 1
    attention: bool = True

    def __post_init__(self) -> None:
        sides(self.resolution)  # a ValueError that names the right ones
        if self.channels < 1 or self.channels % (2 * GROUPS):
            raise ValueError(f"channels must be a multiple of {2 * GROUPS}; found {self.channels}")
        if min(self.widest, self.blocks) < 1:
            raise ValueError("widest and blocks must be positive")

    def widths(self) -> list[int]:
        """Return the channels at the sides resolution, resolution/2, …, 8."""
        levels = len(sides(self.resolution)) - 1
        return [min(2**level, self.widest) * self.channels for level in range(levels)]


class DenoisingUNetSpec(UNetSpec, frozen=True, forbid_unknown_fields=True):
    """Architecture of a denoising network, and the process whose steps it counts.

    Attributes:
        schedule: The noise levels that the network's `t` numbers.
    """

    schedule: ScheduleSpec = ScheduleSpec()


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))) + W e))), e the embedded time (arXiv 2006.11239, appendix B)."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(embedding, outputs)
        self.norm2 = nn.GroupNorm(GROUPS, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map B×C×H×W and B×E to B×C'×H×W."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time(embedding)[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


def residual_blocks(inputs: int, outputs: int, count: int, embedding: int) -> nn.ModuleList:
    """Make `count` residual blocks, the first from `inputs` to `outputs` channels."""
    ends = [inputs] + [outputs] * count
    return nn.ModuleList(ResidualBlock(a, b, embedding) for a, b in itertools.pairwise(ends))


def through(blocks: nn.Module, h: Tensor, embedding: Tensor) -> Tensor:
    """Apply one residual block after the other."""
    for block in blocks.children():
        h = block(h, embedding)
    return h


class Attention(nn.Module):
    """x + W softmax(QKᵀ / √C) V over the positions, one head.

    Plain products: torch's FLOP counter counts nothing for scaled_dot_product_attention on a CPU, and a compute
    budget may be one of FLOPs. No bias in Q, K, V: that of K cancels in the softmax and would never move.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C×H×W."""
        positions = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(positions).chunk(3, dim=2)
        weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[2])).softmax(dim=2).to(v.dtype)
        return x + self.out(weights @ v).transpose(1, 2).unflatten(2, x.shape[2:])


def time_embedding(t: Tensor, dimensions: int) -> Tensor:
    """Return sines and cosines of t at `dimensions`/2 frequencies from 1 to 1/10000 (arXiv 1706.03762, section 3.5).

    B, of any type -> float32 B×dimensions.
    """
    half = dimensions // 2
    frequencies = torch.exp(torch.arange(half, device=t.device) * (-math.log(10_000) / (half - 1)))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class UNet(nn.Module):
    """(images B×3×R×R, times B) -> B×3×R×R: the layers alone, without a meaning of what they predict.

    The last convolution starts at zero, and the output with it.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        widths, embedding = spec.widths(), 4 * spec.channels
        finest, coarsest = widths[0], widths[-1]
        self.time = nn.Sequential(nn.Linear(2 * finest, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.stem = nn.Conv2d(3, finest, 3, padding=1)
        self.down = nn.ModuleList(
            residual_blocks(a, b, spec.blocks, embedding) for a, b in itertools.pairwise([finest, *widths])
        )
        self.halve = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.middle1 = ResidualBlock(coarsest, coarsest, embedding)
        self.attention = Attention(coarsest) if spec.attention else nn.Identity()
        self.middle2 = ResidualBlock(coarsest, coarsest, embedding)
        below = [*widths[1:], coarsest]
        self.up = nn.ModuleList(
            residual_blocks(a + b, b, spec.blocks, embedding) for a, b in zip(below, widths, strict=True)
        )
        self.norm = nn.GroupNorm(GROUPS, finest)
        self.to_rgb = nn.Conv2d(finest, 3, 3, padding=1)
        for parameter in self.to_rgb.parameters():
            nn.init.zeros_(parameter)

    def layers(self, x: Tensor, t: Tensor) -> Tensor:
        """Map B×3×R×R and times B, whole or not, of the order of 0 … 1000, to B×3×R×R."""
        e = F.silu(self.time(time_embedding(t, 2 * self.stem.out_channels)))
        h, skips = self.stem(x), []
        for level, blocks in enumerate(self.down):
            if level:
                h = self.halve[level - 1](h)
            h = through(blocks, h, e)
            skips.append(h)
        h = self.middle2(self.attention(self.middle1(h, e)), e)
        for level in reversed(range(len(skips))):
            h = through(self.up[level], torch.cat([h, skips[level]], dim=1), e)
            if level:
                h = F.interpolate(h, scale_factor=2.0, mode="nearest")
        return self.to_rgb(F.silu(self.norm(h)))


class DenoisingUNet(UNet):
    """(noisy images x_t: B×3×R×R, noise level t: B) -> the noise in them, float32 B×3×R×R.

    ε_θ(x_t, t) = √(1 − ᾱ_t) x_t + √ᾱ_t F_θ(x_t, t). The layers F thus predict v = √ᾱ_t ε − √(1 − ᾱ_t) x_0
    (arXiv 2202.00512, section 4; the network of arXiv 2006.11239 predicts ε itself). With it the clean image that
    follows from a prediction, √ᾱ_t x_t − √(1 − ᾱ_t) F, is no noisier at a high noise level than F's error; through ε
    that error is divided by √ᾱ_t, and images stay noise until thousands of steps have made it small.
    """

    alpha_bars: Tensor

    def __init__(self, spec: DenoisingUNetSpec) -> None:
        super().__init__(spec)
        self.spec = spec
        self.register_buffer("alpha_bars", spec.schedule.alpha_bars().float(), persistent=False)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Map B×3×R×R and int64 B (0 … T−1) to B×3×R×R."""
        share = self.alpha_bars[t][:, None, None, None]
        return (1 - share).sqrt() * x + share.sqrt() * self.layers(x, t).float()


class VelocityUNet(UNet):
    """(x_t: B×3×R×R, time t in [0, 1]: B) -> the velocity there, float32 B×3×R×R.

    The layers are given 1000 t, so that their embedding sees the range that it was made for.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__(spec)
        self.spec = spec

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Map B×3×R×R and float32 B to B×3×R×R."""
        return self.layers(x, 1000 * t).float()
