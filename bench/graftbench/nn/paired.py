"""Networks that learn from pairs: two U-Nets, one whose encoder is a frozen classifier, and a judge of pairs."""

from __future__ import annotations

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.nn.style import CHANNELS

SLOPE = 0.2
"""Of the leaky ReLUs (Isola et al., arXiv 1611.07004, section 6.1)."""

WIDEST = 8
"""A layer has at most so many times the channels of the first (section 6.1: 64 to 512)."""


class PairedUNetSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of a U-Net.

    Attributes:
        resolution: Side of what it makes: 2^k, at least 8.
        channels: Channels of the first layer; they double with every halving of the side, up to 8 times.
    """

    resolution: int
    channels: int = 32

    def __post_init__(self) -> None:
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise ValueError(f"resolution is 8, 16, 32, …; found {self.resolution}")
        if self.channels < 1:
            raise ValueError(f"channels must be at least 1; found {self.channels}")

    @property
    def widths(self) -> list[int]:
        """Return the channels after each halving; the last map is 2×2."""
        halvings = self.resolution.bit_length() - 2
        return [self.channels * min(2**k, WIDEST) for k in range(halvings)]


class PairedUNet(nn.Module):
    """Image in [−1, 1] (B×3×h×w) -> image in [−1, 1] (B×3×R×R); a smaller input is enlarged first (bicubic).

    Isola et al., arXiv 1611.07004, section 3.2.1 and 6.1.1: 4×4 convolutions of stride 2 down and transposed ones up,
    batch norm but for the first layer, each map joined to the one of its size on the way up. The paper goes down to
    1×1, where batch norm in batches of one is zero, and drops half of the innermost features also when it is sampled;
    here the last map is 2×2 and nothing is dropped, so that one input has one answer.
    """

    def __init__(self, spec: PairedUNetSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = spec.widths
        ins = [3, *widths[:-1]]
        self.down = nn.ModuleList(_down(i, o, norm=k > 0) for k, (i, o) in enumerate(zip(ins, widths, strict=True)))
        joined = [widths[-1], *(2 * width for width in widths[-2::-1])]
        self.up = nn.ModuleList(_up(i, o) for i, o in zip(joined[:-1], widths[-2::-1], strict=True))
        self.to_rgb = nn.ConvTranspose2d(joined[-1], 3, 4, 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×3×h×w to B×3×R×R."""
        x = enlarged(x, self.spec.resolution)
        maps: list[Tensor] = []
        for layer in self.down:
            x = layer(x)
            maps.append(x)
        for layer, skipped in zip(self.up, maps[-2::-1], strict=True):
            x = torch.cat([layer(x), skipped], dim=1)
        return self.to_rgb(F.relu(x)).tanh()


class FrozenUNetSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of a U-Net on a frozen encoder.

    Attributes:
        resolution: Side of what it makes: 2^k, at least 8.
        channels: Channels of the last layer before the image; they double with every halving of the side.
    """

    resolution: int
    channels: int = 32

    def __post_init__(self) -> None:
        PairedUNetSpec(self.resolution, self.channels)


class FrozenUNet(nn.Module):
    """As `PairedUNet`, but the way down is EfficientNet-Lite0, frozen, which sees the input twice as large.

    Its maps are then R, R, R/2 and R/4 wide: the finest has every pixel of the input. The way up is trained: a 3×3
    convolution of each map's size, nearest-neighbour doublings between them. Maps differ in scale, so each gets a batch
    norm without weights (He et al., arXiv 2111.06377, A.1, for linear probes).
    """

    def __init__(self, spec: FrozenUNetSpec) -> None:
        super().__init__()
        self.spec = spec
        c = spec.channels
        # The decoder first: its chances do not hang on how the encoder is made.
        self.decoder = nn.ModuleDict(
            {
                "coarse": _convolution(CHANNELS[3], 4 * c),
                "middle": _convolution(4 * c + CHANNELS[2], 2 * c),
                "fine": _convolution(2 * c + CHANNELS[1] + CHANNELS[0], c),
                "to_rgb": nn.Conv2d(c, 3, 3, padding=1),
            }
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, affine=False) for channels in CHANNELS)
        self.encoder = Lite0Blocks(lite0_file(), enlarge=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×3×h×w to B×3×R×R."""
        with torch.no_grad():
            maps = self.encoder(enlarged(x, self.spec.resolution))
        stem, fine, middle, coarse = (norm(features) for norm, features in zip(self.norms, maps, strict=True))
        y = F.interpolate(self.decoder["coarse"](coarse), scale_factor=2)
        y = F.interpolate(self.decoder["middle"](torch.cat([y, middle], dim=1)), scale_factor=2)
        y = self.decoder["fine"](torch.cat([y, fine, stem], dim=1))
        return self.decoder["to_rgb"](y).tanh()


def enlarged(x: Tensor, side: int) -> Tensor:
    """Enlarge B×3×h×w to B×3×side×side by Keys' cubic filter with a = −1/2, as Pillow and MATLAB; side = h: untouched.

    Torch takes a = −3/4 unless `antialias` is set, which for enlarging changes nothing else.
    """
    if x.shape[-1] == side:
        return x
    # One layout in memory, for another one may change the last bits.
    x = x.contiguous(memory_format=torch.contiguous_format)
    return F.interpolate(x, size=(side, side), mode="bicubic", antialias=True)


class PairJudge(nn.Module):
    """Input and image (each B×3×R×R in [−1, 1]) -> one logit per patch (B×h×w). Positive means a true pair.

    Isola et al., arXiv 1611.07004, section 6.1.2: 4×4 convolutions, batch norm but for the first. With one halving
    patches are 16 px wide (the paper's 16×16 discriminator), with two 34, with three 70 (its default at 256 px).
    """

    def __init__(self, channels: int, halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(6, channels, 4, 2, padding=1), nn.LeakyReLU(SLOPE)]
        width = channels
        for layer in range(1, halvings + 1):
            wider = min(2 * width, WIDEST * channels)
            stride = 2 if layer < halvings else 1
            layers += [nn.Conv2d(width, wider, 4, stride, padding=1, bias=False), nn.BatchNorm2d(wider)]
            layers += [nn.LeakyReLU(SLOPE)]
            width = wider
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, padding=1))

    def forward(self, condition: Tensor, image: Tensor) -> Tensor:
        """Return the logits of B pairs."""
        return self.layers(torch.cat([condition, image], dim=1)).squeeze(1)


def _down(inputs: int, outputs: int, *, norm: bool) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 4, 2, padding=1, bias=not norm)
    return nn.Sequential(convolution, *([nn.BatchNorm2d(outputs)] if norm else []), nn.LeakyReLU(SLOPE))


def _up(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(outputs))


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
