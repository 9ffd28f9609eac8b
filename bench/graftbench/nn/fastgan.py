"""FastGAN's networks: a generator whose coarse maps gate its fine ones, a discriminator that must be able to redraw.

Liu, Zhu, Song, Elgammal: Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis, ICLR
2021 (arXiv 2101.04775), sections 3.1 and 3.2. Layers as in the published code unless said, widths as in this suite's
own networks.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from graftbench.nn.resolution import sides

if TYPE_CHECKING:
    from collections.abc import Callable

    Wrap = Callable[[nn.Module], nn.Module]

SPAN = 8
"""A map is gated by the one of an eighth (in the generator) or of eight times (in the discriminator) its side. The
published generator spans 16, with which an image of 32 px has no gate."""

HALVINGS = 3
"""Of a side that is divided by SPAN."""

JUDGED_SIDE = 8
"""Side of the discriminator's last map; 4 for images of 32 px."""

SLOPE = 0.2
"""Of the discriminator's leaky ReLUs."""


class FastGeneratorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of a FastGAN generator.

    Attributes:
        resolution: Side of the images in pixels: 4·2^k, k ≥ 3.
        latent: Dimensions of z (published code: 256).
        channels: Channels of the last stage; every stage before has twice as many, up to `8·channels`.
    """

    resolution: int = 32
    latent: int = 128
    channels: int = 16

    def __post_init__(self) -> None:
        if len(sides(self.resolution)) < 4:
            raise ValueError(f"FastGAN's images have at least 32 px; found {self.resolution}")

    def stage_channels(self) -> list[int]:
        """Return the channels at 4×4, 8×8, …, resolution×resolution."""
        return [min(8, self.resolution // side) * self.channels for side in sides(self.resolution)]


class Excitation(nn.Module):
    """Skip-layer excitation: y = x_high · σ(W₂ swish(W₁ pool_4×4(x_low))), a factor for each channel (equation 1).

    W₁ is a 4×4 convolution of the pooled map, W₂ a 1×1 one; neither has a bias.
    """

    def __init__(self, low: int, high: int, wrap: Wrap = lambda layer: layer) -> None:
        super().__init__()
        squeeze, excite = wrap(nn.Conv2d(low, high, 4, bias=False)), wrap(nn.Conv2d(high, high, 1, bias=False))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(4), squeeze, nn.SiLU(), excite, nn.Sigmoid())

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Map B×C×h×h and B×C'×H×H to B×C'×H×H."""
        return high * self.gate(low)


def gated_convolution(inputs: int, outputs: int, wrap: Wrap = lambda layer: layer) -> list[nn.Module]:
    """Make a 3×3 convolution to twice the outputs, batch norm, and a gated linear unit."""
    return [wrap(nn.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=False)), nn.BatchNorm2d(2 * outputs), nn.GLU(dim=1)]


class FastGenerator(nn.Module):
    """z (B×latent) -> image in [−1, 1] (B×3×R×R). Stages to 8, 32, 128 px have two convolutions, the others one."""

    def __init__(self, spec: FastGeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = spec.stage_channels()
        self.stem = nn.Sequential(
            nn.Linear(spec.latent, 2 * widths[0] * 16, bias=False),
            nn.Unflatten(1, (-1, 4, 4)),
            nn.BatchNorm2d(2 * widths[0]),
            nn.GLU(dim=1),
        )
        self.blocks = nn.ModuleList()
        for level, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            second = gated_convolution(outputs, outputs) if level % 2 == 0 else []
            self.blocks.append(nn.Sequential(nn.Upsample(scale_factor=2), *gated_convolution(inputs, outputs), *second))
        self.gates = nn.ModuleDict(
            {str(i): Excitation(widths[i - HALVINGS], widths[i]) for i in range(HALVINGS, len(widths))}
        )
        self.to_rgb = nn.Conv2d(widths[-1], 3, 3, padding=1, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """Map B×latent to B×3×R×R."""
        maps = [self.stem(z)]
        for level, block in enumerate(self.blocks, start=1):
            x = block(maps[-1])
            gated = str(level) in self.gates
            maps.append(self.gates[str(level)](maps[level - HALVINGS], x) if gated else x)
        return self.to_rgb(maps[-1]).tanh()


# ---------------------------------------------------------------------------------------------------- discriminator


class DownBlock(nn.Module):
    """The mean of two ways to half the side: a 4×4 stride-2 and a 3×3 convolution, and an average and a 1×1 one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, padding=1)),
            nn.LeakyReLU(SLOPE),
            spectral_norm(nn.Conv2d(outputs, outputs, 3, padding=1)),
            nn.LeakyReLU(SLOPE),
        )
        self.direct = nn.Sequential(nn.AvgPool2d(2), spectral_norm(nn.Conv2d(inputs, outputs, 1)), nn.LeakyReLU(SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×H×H to B×C'×H/2×H/2."""
        return (self.main(x) + self.direct(x)) / 2


class RealismMaps(NamedTuple):
    """What the discriminator makes of images: maps from which they can be redrawn, and logits.

    Attributes:
        logits: B×K.
        whole: Its last map of the image, B×C×s×s.
        part: The map before, B×C'×2s×2s: a quarter of it shows a quarter of the image.
        small: Its last map of the image at half its side, B×C'×s×s.
    """

    logits: Tensor
    whole: Tensor
    part: Tensor
    small: Tensor


class FastDiscriminator(nn.Module):
    """Image in [−1, 1] (B×3×R×R) -> logits (B×K): of the image, and of the image at half its side. Positive means real.

    Decoders redraw images of R/2×R/2 from its maps (`redrawn`).

    Args:
        resolution: R ≥ 32.
        channels: Channels of the first map; they double with every halving of the side, up to `4·channels`.
    """

    def __init__(self, resolution: int, channels: int) -> None:
        super().__init__()
        last = min(JUDGED_SIDE, resolution // SPAN)
        reached = [side for side in reversed(sides(resolution)) if side >= last]
        widths = [min(4, 2**level) * channels for level in range(len(reached))]
        self.from_rgb = nn.Sequential(spectral_norm(nn.Conv2d(3, channels, 3, padding=1)), nn.LeakyReLU(SLOPE))
        self.blocks = nn.ModuleList(DownBlock(a, b) for a, b in itertools.pairwise(widths))
        self.gates = nn.ModuleDict(
            {str(i): Excitation(widths[i - HALVINGS], widths[i], spectral_norm) for i in range(HALVINGS, len(widths))}
        )
        self.head = nn.Sequential(
            spectral_norm(nn.Conv2d(widths[-1], widths[-1] // 2, 1)),
            nn.LeakyReLU(SLOPE),
            spectral_norm(nn.Conv2d(widths[-1] // 2, 1, 4, bias=False)),
        )
        small: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise([3, *widths[1:-1]]):
            small += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, padding=1)), nn.LeakyReLU(SLOPE)]
        self.small = nn.Sequential(*small)
        self.small_head = spectral_norm(nn.Conv2d(widths[-2], 1, 4, bias=False))
        enlargements = (resolution // 2 // last).bit_length() - 1
        self.decoders = nn.ModuleDict(
            {
                name: decoder(inputs, enlargements, channels)
                for name, inputs in (("whole", widths[-1]), ("part", widths[-2]), ("small", widths[-2]))
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map B×3×R×R to B×K."""
        return self.maps(x).logits

    def maps(self, x: Tensor) -> RealismMaps:
        """Return logits and the maps that `redrawn` starts from, of images B×3×R×R."""
        maps = [self.from_rgb(x)]
        for level, block in enumerate(self.blocks, start=1):
            map_ = block(maps[-1])
            gated = str(level) in self.gates
            maps.append(self.gates[str(level)](maps[level - HALVINGS], map_) if gated else map_)
        small = self.small(halved(x))
        logits = torch.cat([self.head(maps[-1]).flatten(1), self.small_head(small).flatten(1)], dim=1)
        return RealismMaps(logits, maps[-1], maps[-2], small)

    def redrawn(self, maps: RealismMaps, quarter: int) -> dict[str, Tensor]:
        """Return images of R/2×R/2: from the last map, from a quarter (0 to 3) of the map before, from `small`."""
        sources = {"whole": maps.whole, "part": quartered(maps.part, quarter), "small": maps.small}
        return {name: self.decoders[name](source) for name, source in sources.items()}


def decoder(inputs: int, enlargements: int, channels: int) -> nn.Sequential:
    """Make a map B×C×s×s -> an image of 2^enlargements times the side in [−1, 1]."""
    layers: list[nn.Module] = []
    widths = [inputs, *(min(4, 2**left) * channels for left in reversed(range(enlargements)))]
    for a, b in itertools.pairwise(widths):
        layers += [nn.Upsample(scale_factor=2), *gated_convolution(a, b)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 3, padding=1), nn.Tanh())


def halved(x: Tensor) -> Tensor:
    """Return images at half their side: of every four pixels the first, as in the published code."""
    return x[:, :, ::2, ::2]


def quartered(x: Tensor, quarter: int) -> Tensor:
    """Return a quarter of a map or image: 0 and 1 the upper ones from the left, 2 and 3 the lower."""
    half = x.shape[-1] // 2
    top, left = half * (quarter // 2), half * (quarter % 2)
    return x[:, :, top : top + half, left : left + half]


def reconstruction_loss(discriminator: FastDiscriminator, real: Tensor, quarter: int) -> Tensor:
    """Return Σ E|decoded map − image| over the three decoders: the paper's equation 3, per pixel and channel.

    Args:
        discriminator: Whose maps and decoders learn by it.
        real: Real images as the discriminator sees them, B×3×R×R.
        quarter: Which quarter of the image `part` redraws.
    """
    redrawn = discriminator.redrawn(discriminator.maps(real), quarter)
    targets = {"whole": halved(real), "part": quartered(real, quarter), "small": halved(real)}
    return torch.stack([F.l1_loss(image.float(), targets[name]) for name, image in redrawn.items()]).sum()
