"""The augmentations of ADA: each is applied to an image with probability p, so that they do not leak into samples.

Karras, Aittala, Hellsten, Laine, Lehtinen, Aila: Training Generative Adversarial Networks with Limited Data, NeurIPS
2020, arXiv 2006.06676, appendix B. Of its pipeline the groups pixel blitting, geometry and colour (those that the
paper settles on, "bgc"), with its strengths and in its order; one warp and one matrix of colours carry out all of
them. What differs: bilinear sampling without the paper's supersampling and wavelet filter (a cost that pays at
resolutions far above 64 px), and mirroring at the image's edge instead of at its last pixel's centre.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor


class Geometry(NamedTuple):
    """The changes of the positions of each image's pixels; B numbers each. Angles in radians, x right and y down.

    Attributes:
        flip: 1, or −1 to mirror left and right.
        quarter_turns: 0 to 3 turns of 90 degrees.
        shift: B×2 (x, y), in sides; multiples of one pixel.
        scale: Magnification.
        turn_before: Angle of a turn before the stretching.
        stretch: Magnification along x; its inverse is that along y.
        turn_after: Angle of a turn after it.
        drift: B×2 (x, y), in sides; any number.
    """

    flip: Tensor
    quarter_turns: Tensor
    shift: Tensor
    scale: Tensor
    turn_before: Tensor
    stretch: Tensor
    turn_after: Tensor
    drift: Tensor

    @classmethod
    def none(cls, n: int) -> Geometry:
        """Return the geometry that leaves n images as they are."""
        zero, one, nowhere = torch.zeros(n), torch.ones(n), torch.zeros(n, 2)
        return cls(one, zero, nowhere, one, zero, one, zero, nowhere)

    def matrix(self) -> Tensor:
        """Return B×3×3 float64: homogeneous positions (x, y, 1), in half sides from the centre, before -> after."""
        # cos and sin of quarter turns from a table: computed ones would be off by 1e-16 and blur what must be exact.
        quarter = torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=torch.float64)[self.quarter_turns.long()]
        one = torch.ones_like(self.scale)
        steps = (
            _scaling(self.flip, one),
            _turning(quarter[:, 0], quarter[:, 1]),
            _shifting(2 * self.shift),
            _scaling(self.scale, self.scale),
            _turning(self.turn_before.cos(), self.turn_before.sin()),
            _scaling(self.stretch, 1 / self.stretch),
            _turning(self.turn_after.cos(), self.turn_after.sin()),
            _shifting(2 * self.drift),
        )
        return _chain(steps, 3)


class Colour(NamedTuple):
    """The changes of the colours of each image; B numbers each. Values are in [−1, 1] before.

    Attributes:
        brightness: Summand of all channels.
        contrast: Factor of the values.
        luma_flip: 0, or 1 to reflect the greys (and them alone) about 0.
        hue: Angle of a turn about the axis of the greys, in radians.
        saturation: Factor of the distance from the axis of the greys.
    """

    brightness: Tensor
    contrast: Tensor
    luma_flip: Tensor
    hue: Tensor
    saturation: Tensor

    @classmethod
    def none(cls, n: int) -> Colour:
        """Return the colours that leave n images as they are."""
        zero, one = torch.zeros(n), torch.ones(n)
        return cls(zero, one, zero, zero, one)

    def matrix(self) -> Tensor:
        """Return B×4×4 float64: homogeneous colours (r, g, b, 1), before -> after."""
        along = torch.full((3, 3), 1 / 3, dtype=torch.float64)  # projection onto the greys
        across = torch.eye(3, dtype=torch.float64) - along
        # The cross product with the unit vector of the greys: a turn is along + cos·across + sin·cross (Rodrigues).
        cross = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(3)
        brightness, contrast, flip, hue, saturation = (each.double().view(-1, 1, 1) for each in self)
        steps = (
            _homogeneous(torch.eye(3, dtype=torch.float64).expand(len(flip), 3, 3), brightness.expand(-1, 3, 1)),
            _homogeneous(contrast * (along + across)),
            _homogeneous((1 - 2 * flip) * along + across),
            _homogeneous(along + hue.cos() * across + hue.sin() * cross),
            _homogeneous(along + saturation * across),
        )
        return _chain(steps, 4)


# ------------------------------------------------------------------------------------------------------- matrices


def _homogeneous(linear: Tensor, shift: Tensor | None = None) -> Tensor:
    """Embed B×k×k (and a shift B×k×1) in B×(k+1)×(k+1)."""
    batch, size, _ = linear.shape
    matrix = torch.eye(size + 1, dtype=torch.float64).repeat(batch, 1, 1)
    matrix[:, :size, :size] = linear
    if shift is not None:
        matrix[:, :size, size:] = shift
    return matrix


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return _homogeneous(torch.stack([x, y], dim=1).double().diag_embed())


def _turning(cos: Tensor, sin: Tensor) -> Tensor:
    return _homogeneous(torch.stack([cos, -sin, sin, cos], dim=1).double().unflatten(1, (2, 2)))


def _shifting(by: Tensor) -> Tensor:
    return _homogeneous(torch.eye(2, dtype=torch.float64).expand(len(by), 2, 2), by.double().unsqueeze(2))


def _chain(steps: tuple[Tensor, ...], size: int) -> Tensor:
    """Return the product in which the first step acts first."""
    product = torch.eye(size, dtype=torch.float64)
    for step in steps:
        product = step @ product
    return product


# ---------------------------------------------------------------------------------------------------------- draws


def draw_geometry(n: int, p: float, side: int, generator: torch.Generator) -> Geometry:
    """Draw each kind of change with probability p for each of n images, independently; strengths are the paper's.

    A turn happens before the stretching, after it, or both; either with probability 1 − √(1 − p), so that an image is
    turned with probability p (appendix B).
    """
    none, p_turn = Geometry.none(n), 1 - math.sqrt(1 - p)
    pixels = (side / 8 * (2 * torch.rand(n, 2, generator=generator) - 1)).round()
    return Geometry(
        flip=_where(p, 1 - 2 * torch.randint(0, 2, (n,), generator=generator), none.flip, generator),
        quarter_turns=_where(p, torch.randint(0, 4, (n,), generator=generator), none.quarter_turns, generator),
        shift=_where(p, pixels / side, none.shift, generator),
        scale=_where(p, _log_normal(n, 0.2, generator), none.scale, generator),
        turn_before=_where(p_turn, _angle(n, generator), none.turn_before, generator),
        stretch=_where(p, _log_normal(n, 0.2, generator), none.stretch, generator),
        turn_after=_where(p_turn, _angle(n, generator), none.turn_after, generator),
        drift=_where(p, 0.125 * torch.randn(n, 2, generator=generator), none.drift, generator),
    )


def draw_colour(n: int, p: float, generator: torch.Generator) -> Colour:
    """Draw each kind of change with probability p for each of n images, independently; strengths are the paper's."""
    none = Colour.none(n)
    return Colour(
        brightness=_where(p, 0.2 * torch.randn(n, generator=generator), none.brightness, generator),
        contrast=_where(p, _log_normal(n, 0.5, generator), none.contrast, generator),
        luma_flip=_where(p, torch.randint(0, 2, (n,), generator=generator), none.luma_flip, generator),
        hue=_where(p, _angle(n, generator), none.hue, generator),
        saturation=_where(p, _log_normal(n, 1.0, generator), none.saturation, generator),
    )


def _where(p: float, changed: Tensor, unchanged: Tensor, generator: torch.Generator) -> Tensor:
    """Take `changed` for about a share p of the batch, else `unchanged`."""
    chosen = torch.rand(len(changed), generator=generator) < p
    return torch.where(chosen.view(-1, *[1] * (changed.ndim - 1)), changed.to(unchanged.dtype), unchanged)


def _log_normal(n: int, octaves: float, generator: torch.Generator) -> Tensor:
    return torch.exp2(octaves * torch.randn(n, generator=generator))


def _angle(n: int, generator: torch.Generator) -> Tensor:
    return math.pi * (2 * torch.rand(n, generator=generator) - 1)


# ----------------------------------------------------------------------------------------------------- application


def warp(x: Tensor, geometry: Geometry) -> Tensor:
    """Move the pixels of B×C×S×S images: bilinear, mirrored at the edges; differentiable in x.

    Flips, quarter turns and shifts by pixels are exact: with S a power of two, so are all positions in float32.
    """
    side = x.shape[-1]
    inverse = torch.linalg.inv(geometry.matrix())[:, :2].to(x.device, x.dtype, non_blocking=True)
    # Not affine_grid: its positions come from linspace and are off by a rounding error, which would blur what is exact.
    centres = (2 * torch.arange(side, device=x.device, dtype=x.dtype) + 1) / side - 1
    from_x, from_y, constant = inverse[:, None, None].unbind(dim=-1)
    sources = from_x * centres[:, None] + from_y * centres[:, None, None] + constant
    return F.grid_sample(x, sources, mode="bilinear", padding_mode="reflection", align_corners=False)


def recolour(x: Tensor, colour: Colour) -> Tensor:
    """Change the colours of B×3×H×W images; differentiable in x. The values may leave [−1, 1], as in the paper."""
    matrix = colour.matrix()[:, :3].to(x.device, x.dtype, non_blocking=True)
    return torch.baddbmm(matrix[:, :, 3:], matrix[:, :, :3], x.flatten(2)).view_as(x)


class AdaptiveAugment:
    """The pipeline at a probability that whoever holds it may change between calls.

    Args:
        generator: CPU generator of all draws; at p = 0 nothing is drawn.

    Attributes:
        p: Probability of each kind of change, 0 to 1.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.p = 0.0
        self._generator = generator

    def __call__(self, x: Tensor) -> Tensor:
        """Augment B×3×S×S images in [−1, 1]; differentiable in x. At p = 0 it returns x itself."""
        if self.p == 0:
            return x
        moved = warp(x, draw_geometry(len(x), self.p, x.shape[-1], self._generator))
        return recolour(moved, draw_colour(len(x), self.p, self._generator))
