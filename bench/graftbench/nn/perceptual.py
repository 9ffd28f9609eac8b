"""Distances of images in the feature maps of a frozen network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

SMALLEST_POWER = 1e-8
"""Least mean square by which an error is divided: a map that is 0 for all targets must not make it infinite."""


def feature_errors(
    network: Callable[[Tensor], Sequence[Tensor]], layers: Sequence[int], x: Tensor, target: Tensor
) -> Tensor:
    """Return the relative squared error of each feature map: mean (φ(x) − φ(t))² / mean φ(t)², over batch and map.

    The feature loss of Gatys et al. (arXiv 1508.06576, eq. 1), Johnson et al. (arXiv 1603.08155, eq. 2) and Hou et al.
    (arXiv 1610.00291) is the numerator, up to a constant. The denominator is ours: maps of different networks and
    depths differ in scale by orders of magnitude, and a relative error has none. No gradient flows into the target.

    Args:
        network: Images B×3×H×W -> feature maps, for example `nn.lite0.Lite0Blocks`.
        layers: Which of the maps.
        x: Images that are trained on, B×3×H×W.
        target: Images that they should look like, B×3×H×W.

    Returns:
        One number per layer, float32.
    """
    with torch.no_grad():
        goals = network(target)
    maps = network(x)
    pairs = [(maps[layer].float(), goals[layer].detach().float()) for layer in layers]
    return torch.stack([(y - t).square().mean() / t.square().mean().clamp(min=SMALLEST_POWER) for y, t in pairs])
