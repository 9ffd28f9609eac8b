"""StyleGAN2's networks: a mapping to styles, a generator whose kernels styles scale, a residual discriminator.

Karras, Laine, Aittala, Hellsten, Lehtinen, Aila: Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020
(arXiv 1912.04958). Layers, gains and the names of their tensors are those of the authors' PyTorch code
(github.com/NVlabs/stylegan2-ada-pytorch, configuration F: skips in the generator, residual discriminator), so that its
weights fit; widths are free. Left out of it: labels, mixing of styles, half precision and what clamps it.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, cast

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.nn.resolution import sides

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOPE = 0.2
"""Of leaky ReLUs."""

GAIN = math.sqrt(2)
"""Behind every leaky ReLU: it keeps the variance of a normal input up to a tenth."""

MAPPING_RATE = 0.01
"""Factor on the learning rate of the mapping: its weights are stored divided by it."""

TINY = 1e-8
"""Under every root."""

TAPS = (1, 3, 3, 1)
"""The low-pass filter of all changes of the side, across and down."""

GROUP = 4
"""Images over which the discriminator's deviation is taken, at most."""

WIDEST = 512
"""Channels at most, as published."""


def stage_widths(resolution: int, channels: int, widest: int = WIDEST) -> list[int]:
    """Return the channels at 4×4, 8×8, …: they double with every halving of the side, up to `widest`.

    The published rule min(base / side, 512) with base = channels · resolution; configuration F has base 32,768.

    Args:
        resolution: Side of the images in pixels.
        channels: Those at full resolution.
        widest: The most.

    Raises:
        ValueError: The resolution is no 4·2^k with k ≥ 1.
    """
    return [min(channels * resolution // side, max(widest, channels)) for side in sides(resolution)]


class StyleGeneratorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of a StyleGAN2 generator.

    Attributes:
        widths: Channels at 4×4, 8×8, …; as many as there are sides.
        latent: Dimensions of z.
        style: Dimensions of w.
        depth: Layers of the mapping.
    """

    widths: list[int]
    latent: int = 512
    style: int = 512
    depth: int = 8

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(*self.widths, self.latent, self.style, self.depth) < 1:
            raise ValueError(
                "a StyleGAN2 generator has at least two widths, all of them, latent, style and depth at least 1; "
                f"found {self.widths}, {self.latent}, {self.style}, {self.depth}"
            )

    @property
    def resolution(self) -> int:
        """Return the side of the images in pixels."""
        return 2 << len(self.widths)

    @property
    def noise_sides(self) -> list[int]:
        """Return the sides of the noise maps, in the order of the layers: 4, 8, 8, 16, 16, …."""
        return [4, *(side for side in sides(self.resolution)[1:] for _ in range(2))]


class StyleDiscriminatorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of a StyleGAN2 discriminator.

    Attributes:
        widths: Channels at 4×4, 8×8, …; as many as there are sides.
    """

    widths: list[int]

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"a StyleGAN2 discriminator has at least two widths, all at least 1; found {self.widths}")

    @property
    def resolution(self) -> int:
        """Return the side of the images in pixels."""
        return 2 << len(self.widths)


# ---------------------------------------------------------------------------------------------------------- filters


def low_pass(x: Tensor, gain: float) -> Tensor:
    """Make the filter of TAPS for each channel of B×C×H×W, its weights adding up to `gain`: C×1×4×4."""
    taps = torch.tensor(TAPS, dtype=x.dtype, device=x.device)
    return torch.outer(taps, taps).mul(gain / sum(TAPS) ** 2).expand(x.shape[1], 1, -1, -1)


def blurred(x: Tensor, *, padding: int, stride: int = 1, gain: float = 1) -> Tensor:
    """Filter B×C×H×W, of which every `stride`-th row and column is kept: upfirdn2d without the first half."""
    return F.conv2d(x, low_pass(x, gain), stride=stride, padding=padding, groups=x.shape[1])


def doubled(x: Tensor) -> Tensor:
    """Double the side of B×C×H×W: zeros between all pixels, then the filter, its weights adding up to 4."""
    return F.conv_transpose2d(x, low_pass(x, 4), stride=2, padding=1, groups=x.shape[1])


# ----------------------------------------------------------------------------------------------------------- layers


def activated(x: Tensor) -> Tensor:
    """Return the leaky ReLU times GAIN."""
    return F.leaky_relu(x, SLOPE) * GAIN


class ScaledLinear(nn.Module):
    """x -> x Wᵀ rate / √inputs + rate · b, with W ~ N(0, 1) / rate: the equalised learning rate (arXiv 1710.10196)."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0, rate: float = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias)))
        self.gain, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        """Map B×inputs to B×outputs."""
        return F.linear(x, self.weight * self.gain, self.bias * self.rate)


class ScaledConvolution(nn.Module):
    """A convolution of odd side k with W ~ N(0, 1), scaled by 1 / √(inputs · k²); it may halve the side, after a blur.

    Attributes:
        bias: None where `activate` is false: the way past a block has none.
    """

    def __init__(self, inputs: int, outputs: int, side: int, *, halve: bool = False, activate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.gain, self.side, self.halve = 1 / math.sqrt(inputs * side**2), side, halve

    def forward(self, x: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×outputs×H×W, or half of H and W."""
        weight = self.weight * self.gain
        if not self.halve:
            x = F.conv2d(x, weight, self.bias, padding=self.side // 2)
        elif self.side == 1:
            x = F.conv2d(blurred(x, padding=1, stride=2), weight, self.bias)
        else:
            x = F.conv2d(blurred(x, padding=2), weight, self.bias, stride=2)
        return x if self.bias is None else activated(x)


def modulated_convolution(
    x: Tensor, weight: Tensor, styles: Tensor, *, demodulate: bool = True, double: bool = False
) -> Tensor:
    """Convolve each image with kernels of its own: w'_oi = s_i w_oi, divided by the norm of w'_o (equations 1 and 3).

    Computed without those kernels, by scaling what goes in and out: Σ_i (s_i w_oi) ∗ x_i = Σ_i w_oi ∗ (s_i x_i).
    The other form, one grouped convolution with B·outputs kernels, is the same function.

    Args:
        x: B×inputs×H×W.
        weight: outputs×inputs×k×k, k odd.
        styles: s, B×inputs.
        demodulate: Whether to divide by the norm.
        double: Whether to double the side, by a transposed convolution and a blur.

    Returns:
        B×outputs×H×W, or twice H and W.
    """
    x = x * styles[:, :, None, None].to(x.dtype)
    if double:
        x = blurred(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), padding=1, gain=4)
    else:
        x = F.conv2d(x, weight, padding=weight.shape[2] // 2)
    if not demodulate:
        return x
    energies = weight.square().sum((2, 3)) * styles.square()[:, None]  # B×outputs×inputs
    return x * energies.sum(2).add(TINY).rsqrt()[:, :, None, None].to(x.dtype)


class StyledConvolution(nn.Module):
    """A modulated 3×3 convolution, noise of one strength for all channels, bias and leaky ReLU."""

    noise_const: Tensor

    def __init__(self, inputs: int, outputs: int, style: int, side: int, *, double: bool) -> None:
        super().__init__()
        self.affine = ScaledLinear(style, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(side, side))
        self.doubles = double

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """Map B×inputs×H×W, styles B×style and noise B×1×H'×W' (its own where None) to B×outputs×H'×W'."""
        x = modulated_convolution(x, self.weight, self.affine(w), double=self.doubles)
        noise = self.noise_const if noise is None else noise
        return activated(x + noise * self.noise_strength + self.bias[:, None, None])


class ToRgb(nn.Module):
    """A modulated 1×1 convolution to colours, not demodulated."""

    def __init__(self, inputs: int, style: int) -> None:
        super().__init__()
        self.affine = ScaledLinear(style, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.gain = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map B×inputs×H×W and B×style to B×3×H×W."""
        x = modulated_convolution(x, self.weight, self.affine(w) * self.gain, demodulate=False)
        return x + self.bias[:, None, None]


# --------------------------------------------------------------------------------------------------------- generator


class StyleGenerator(nn.Module):
    """z (B×latent) -> image (B×3×R×R), black and white at −1 and 1 but not bounded by them.

    Behind its latent z may have the numbers of all noise maps (`spec.noise_sides`), so that all chance is an argument;
    without them each layer adds its own fixed map.
    """

    def __init__(self, spec: StyleGeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        inputs = [spec.latent, *[spec.style] * (spec.depth - 1)]
        self.mapping = nn.ModuleDict(
            {f"fc{index}": ScaledLinear(n, spec.style, rate=MAPPING_RATE) for index, n in enumerate(inputs)}
        )
        self.const = nn.Parameter(torch.randn(spec.widths[0], 4, 4))
        self.synthesis = nn.ModuleDict()
        before = spec.widths[0]
        for side, width in zip(sides(spec.resolution), spec.widths, strict=True):
            block = nn.ModuleDict()
            if side > 4:
                block["conv0"] = StyledConvolution(before, width, spec.style, side, double=True)
            block["conv1"] = StyledConvolution(width, width, spec.style, side, double=False)
            block["torgb"] = ToRgb(width, spec.style)
            self.synthesis[f"b{side}"], before = block, width

    def forward(self, z: Tensor) -> Tensor:
        """Map B×latent, or B×(latent + noise), to B×3×R×R."""
        latent, noise = z[:, : self.spec.latent], z[:, self.spec.latent :]
        return self.synthesized(self.mapped(latent), self.noise_maps(noise) if noise.shape[1] else None)

    def mapped(self, z: Tensor) -> Tensor:
        """Map z, B×latent, brought to length √latent, to styles w, B×style."""
        x = z * z.square().mean(1, keepdim=True).add(TINY).rsqrt()
        for layer in self.mapping.values():
            x = activated(layer(x))
        return x

    def noise_maps(self, numbers: Tensor) -> list[Tensor]:
        """Cut B×Σ side² numbers into the maps of the layers, B×1×side×side."""
        parts = numbers.split([side**2 for side in self.spec.noise_sides], dim=1)
        return [part.view(-1, 1, side, side) for part, side in zip(parts, self.spec.noise_sides, strict=True)]

    def synthesized(self, w: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Make images B×3×R×R of styles: B×style, or B×layers×style with one for each layer.

        A block's colours share the style of the next block's first layer, as published.
        """
        layers = len(self.spec.noise_sides)
        styles = list(w.unbind(1)) if w.ndim == 3 else [w] * (layers + 1)
        maps: Sequence[Tensor | None] = noise or [None] * layers
        x = self.const.repeat(len(w), 1, 1, 1)  # a copy: torch's FLOP counter refuses views of weights
        image, index = None, 0
        for block in self.synthesis.values():
            block = cast("nn.ModuleDict", block)
            for name in ("conv0", "conv1"):
                if name in block:
                    x = block[name](x, styles[index], maps[index])
                    index += 1
            colours = block["torgb"](x, styles[index])
            image = colours if image is None else doubled(image) + colours
        assert image is not None
        return image


# ----------------------------------------------------------------------------------------------------- discriminator


class HalvingBlock(nn.Module):
    """Two 3×3 convolutions to half the side beside a 1×1 one, their sum over √2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = ScaledConvolution(inputs, inputs, 3)
        self.conv1 = ScaledConvolution(inputs, outputs, 3, halve=True)
        self.skip = ScaledConvolution(inputs, outputs, 1, halve=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×outputs×H/2×W/2."""
        return (self.conv1(self.conv0(x)) + self.skip(x)) / math.sqrt(2)


def with_deviation(x: Tensor) -> Tensor:
    """Add a channel with the deviation over small groups of images, one number a group: B×C×H×W to B×(C+1)×H×W.

    A group is of neighbours in the batch, GROUP or the next fewer of which the batch holds a multiple of two groups:
    so none has real and generated images of a batch that holds as many of either, in its halves.
    """
    size = next((size for size in range(GROUP, 1, -1) if len(x) % (2 * size) == 0), 1)
    groups = x.unflatten(0, (-1, size))
    deviation = groups.var(1, correction=0).add(TINY).sqrt().mean((1, 2, 3))
    channel = deviation.repeat_interleave(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, channel.to(x.dtype)], dim=1)


class StyleDiscriminator(nn.Module):
    """Image in [−1, 1] (B×3×R×R) -> logit (B). Positive means real."""

    def __init__(self, spec: StyleDiscriminatorSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = spec.widths[::-1]
        self.fromrgb = ScaledConvolution(3, widths[0], 1)
        halved = sides(spec.resolution)[:0:-1]
        self.blocks = nn.ModuleDict(
            {f"b{side}": HalvingBlock(*pair) for side, pair in zip(halved, itertools.pairwise(widths), strict=True)}
        )
        last = widths[-1]
        self.conv = ScaledConvolution(last + 1, last, 3)
        self.fc = ScaledLinear(last * 16, last)
        self.out = ScaledLinear(last, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×3×R×R to B."""
        x = self.fromrgb(x)
        for block in self.blocks.values():
            x = block(x)
        x = self.conv(with_deviation(x)).flatten(1)
        return self.out(activated(self.fc(x))).squeeze(1)
