"""A discriminator that looks through a frozen network: random projections of its maps, one small head for each.

Sauer, Chitta, Müller, Geiger: Projected GANs Converge Faster, NeurIPS 2021, arXiv 2111.01007, section 3; sizes as in
the published code (github.com/autonomousvision/projected-gan, MIT).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from graftbench.nn.build import freeze

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.nn.backbone import FeatureMaps

HEADS = 4
"""Maps that are looked at, the coarsest ones (of the usual networks 1/4, 1/8, 1/16, 1/32 of the image's side)."""

STOP = 8
"""A head halves its map until its side is below this: 224 px end at 7, as in the published code, 64 px at 4."""

KERNEL = 4
"""Side of a head's last convolution."""


class Projections(nn.Module):
    """Cross-channel and cross-scale mixing by random convolutions that are never trained.

    Maps C_i×S_i×S_i, finest first -> maps of twice the side. Each is mixed by a 1×1 convolution to c, 2c, 4c, …
    channels; then, from the coarsest up, a map is added to what came from below, mixed to half its channels by another
    one (all but the finest, which keeps c), and enlarged to the next map's side (bilinear).

    The published code enlarges first and convolves then; a 1×1 convolution commutes with an interpolation whose weights
    add up to one, and costs a quarter this way round. Weights are torch's default draw, as in that code.
    """

    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        mixed = [channels * 2**level for level in range(len(inputs))]
        self.outputs = [channels, *mixed[:-1]]
        self.channel = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(inputs, mixed, strict=True))
        self.scale = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(mixed, self.outputs, strict=True))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Map feature maps to projected ones; finest first, in and out."""
        x, projected = None, []
        sides = [2 * maps[0].shape[-1], *(map_.shape[-1] for map_ in maps[:-1])]
        for side, map_, channel, scale in reversed(list(zip(sides, maps, self.channel, self.scale, strict=True))):
            mixed = channel(map_)
            x = scale(mixed if x is None else mixed + x)
            x = F.interpolate(x, (side, side), mode="bilinear", align_corners=True)
            projected.append(x)
        return projected[::-1]


def head(side: int, level: int, channels: int) -> nn.Sequential:
    """Make a map (side×side) -> logits: 4×4 stride-2 convolutions until the side is below STOP, then one to a channel.

    Args:
        side: Side of the projected map.
        level: Which map it is, 0 the finest: every head has c, c, 2c, 4c, 8c channels at the same reductions.
        channels: c.
    """
    layers: list[nn.Module] = []
    while side >= STOP:
        shape = [channels * max(1, 2 ** (at - 1)) for at in (level, level + 1)]
        layers += [spectral_norm(nn.Conv2d(shape[0], shape[1], 4, 2, padding=1)), nn.LeakyReLU(0.2)]
        side, level = side // 2, level + 1
    last = nn.Conv2d(channels * max(1, 2 ** (level - 1)), 1, min(KERNEL, side), bias=False)
    return nn.Sequential(*layers, spectral_norm(last), nn.Flatten())


class ProjectedDiscriminator(nn.Module):
    """Images in [−1, 1] (B×3×R×R) -> logits (B×K, those of all heads side by side). Positive means real.

    Trained are the heads (`heads.0` is at the finest map); `backbone` and `projections` are frozen.

    Args:
        backbone: Frozen feature maps.
        side: Side in pixels of the images that the backbone sees.
        channels: c, the channels of the finest projected map (published code: 64).
    """

    def __init__(self, backbone: FeatureMaps, side: int, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        inputs = backbone.channels[-HEADS:]
        self.projections = Projections(inputs, channels)
        freeze(self.projections)
        with torch.no_grad():
            maps = self.projections(backbone(torch.zeros(1, 3, side, side))[-HEADS:])
        self.heads = nn.ModuleList(head(map_.shape[-1], level, channels) for level, map_ in enumerate(maps))

    def forward(self, x: Tensor) -> Tensor:
        """Map B×3×R×R to B×K."""
        maps = self.projections(self.backbone(x)[-HEADS:])
        return torch.cat([judge(map_) for judge, map_ in zip(self.heads, maps, strict=True)], dim=1)
