"""Scales of a weight's singular values, its singular vectors frozen.

Robb, Chu, Kumar, Huang: Few-Shot Adaptation of Generative Adversarial Networks, arXiv 2010.11943, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from collections.abc import Iterable

GAIN = 10.0
"""λ is stored divided by this. Adam moves every number by about its rate a step, whatever the number is for; the
published code has ten times the rate of this suite (2e-3), and λ is a number of the order of 1."""


class SingularScales(nn.Module):
    """W = U Σ Vᵀ -> U (λ Σ) Vᵀ, a parametrization of a weight; λ is 1 at first, one number for each singular value.

    A convolution's weight (C'×C×k×k) is taken as the matrix C'×(C·k·k), as the published code does in the configuration
    that its README trains (`flat`). Computed as W + U ((λ − 1) Σ) Vᵀ, so that nothing changes at λ = 1, to the bit.

    Args:
        weight: The weight, K×….

    Attributes:
        scale: λ, divided by GAIN.
        left: U Σ, K×R.
        right: Vᵀ, R×(the rest of the weight).
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        # On the CPU in float64: singular vectors of near values hang on the last bits, and devices differ in those.
        u, values, v = torch.linalg.svd(weight.detach().flatten(1).cpu().double(), full_matrices=False)
        self.register_buffer("left", (u * values).to(weight))
        self.register_buffer("right", v.to(weight))
        self.scale = nn.Parameter(torch.full_like(self.left[0], 1 / GAIN))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with its singular values scaled, in its own shape."""
        change = (self.left * (GAIN * self.scale - 1)) @ self.right
        return weight + change.view_as(weight)


def scale_singular_values(network: nn.Module, layers: Iterable[str]) -> None:
    """Freeze a network, and give the weights of the named layers scales of their singular values that are trained.

    Under a spectral norm the scales come first and the norm after them, so that the layer's bound holds. Either way
    they are the layer's `parametrizations.weight.0`.
    """
    network.requires_grad_(requires_grad=False)
    for name in layers:
        layer = network.get_submodule(name)
        if not parametrize.is_parametrized(layer, "weight"):
            scales = SingularScales(cast("Tensor", layer.weight))
            parametrize.register_parametrization(layer, "weight", scales)
            continue
        chain = cast("nn.ModuleDict", layer.parametrizations)["weight"]
        assert isinstance(chain, parametrize.ParametrizationList)
        chain.insert(0, SingularScales(cast("Tensor", chain.original)))
