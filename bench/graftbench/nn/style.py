"""Style as Gram matrices, or as means and deviations, of an ImageNet network's maps.

And the network that swaps the second kind, AdaIN between a frozen encoder and a decoder.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn

from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks

REDUCTION = (2, 2, 4, 8)
"""Sides of Lite0Blocks' input over sides of its maps."""

CHANNELS = (32, 16, 24, 40)
"""Channels of its maps."""

EPSILON = 1e-5
"""Added to a map's variance (the published code's value, `calc_mean_std`)."""


def gram(features: Tensor) -> Tensor:
    """Return Gram matrices F Fᵀ / (H·W) of features B×C×H×W: B×C×C, float32 unless the features are float64.

    Gatys et al., arXiv 1508.06576, equation 3, divided by the positions. Johnson et al. (arXiv 1603.08155, equation 3)
    divide by C·H·W; a loss relative to its target, as all of ours are, cannot tell.
    """
    flat = features.flatten(2)
    flat = flat if flat.dtype == torch.float64 else flat.float()
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each map of B×C×H×W over its positions, both B×C×1×1.

    Divided by H·W, not H·W − 1, as instance norm does (arXiv 1703.06868, equations 5 and 6); EPSILON is under the root.
    """
    variance, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)
    return mean, (variance + EPSILON).sqrt()


def adain(content: Tensor, style: Tensor) -> Tensor:
    """Give the content's maps the style's moments: σ(y) · (x − μ(x)) / σ(x) + μ(y) (arXiv 1703.06868, equation 8)."""
    (mean, deviation), (style_mean, style_deviation) = moments(content), moments(style)
    return style_deviation * (content - mean) / deviation + style_mean


def total_variation(images: Tensor) -> Tensor:
    """Sum the squared differences of neighbouring pixels, across and down; per number of B×C×H×W images.

    The squared form is Mahendran and Vedaldi's with β = 2 (arXiv 1412.0035, section 3), which Johnson et al. cite and
    their code has; they sum over the image.
    """
    down, across = images.diff(dim=2).square().sum(), images.diff(dim=3).square().sum()
    return (down + across) / images.numel()


class StylizerSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of an AdaIN network.

    Attributes:
        depth: Stage of Lite0Blocks whose maps get the style's moments.
        enlarge: The encoder sees the images enlarged so many times: 1 or 2.
        channels: Channels of the decoder's coarsest block; they halve with every doubling of the side.
    """

    depth: int = 2
    enlarge: int = 2
    channels: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.depth < Lite0Blocks.STAGES:
            raise ValueError(f"depth is a stage, 0 to {Lite0Blocks.STAGES - 1}; found {self.depth}")
        if self.enlarge not in (1, 2):
            raise ValueError(f"enlarge is 1 or 2; found {self.enlarge}")
        if self.channels < 1:
            raise ValueError(f"channels must be at least 1; found {self.channels}")

    @property
    def doublings(self) -> int:
        """Return how many times the decoder doubles the side."""
        return (REDUCTION[self.depth] // self.enlarge).bit_length() - 1


class Stylizer(nn.Module):
    """Content and style images in [−1, 1] (each B×3×R×R) -> the content in the style: decoder(AdaIN(f(c), f(s))).

    The encoder f is EfficientNet-Lite0 up to a stage, frozen; the decoder is 3×3 convolutions and nearest-neighbour
    doublings without a norm (arXiv 1703.06868, section 5.1, where padding is by reflection). Its last convolution is
    linear, as there: a tanh saturates at the white of icons before the decoder has learnt, and stays there. What leaves
    [−1, 1] is clipped when it is drawn.
    """

    def __init__(self, spec: StylizerSpec) -> None:
        super().__init__()
        self.spec = spec
        self.decoder = decoder(spec, CHANNELS[spec.depth])  # first: its chances do not hang on how the encoder is made
        self.encoder = Lite0Blocks(lite0_file(), enlarge=spec.enlarge)
        self.encoder.stages = self.encoder.stages[: spec.depth]

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Map content and style, B×3×R×R each, to B×3×R×R."""
        return self.decoder(adain(self.encoder(content)[-1], self.encoder(style)[-1]))


def decoder(spec: StylizerSpec, inputs: int) -> nn.Sequential:
    """Make the network from maps B×inputs×h×w to images B×3×R×R, about [−1, 1]."""
    width = spec.channels
    layers = [*_convolution(inputs, width), *_convolution(width, width)]
    for _ in range(spec.doublings):
        layers += [nn.Upsample(scale_factor=2, mode="nearest"), *_convolution(width, max(1, width // 2))]
        width = max(1, width // 2)
    return nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
