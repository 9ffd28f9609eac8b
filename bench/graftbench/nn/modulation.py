"""Rank-one modulation of a layer's kernels: kernel k becomes W_k ⊙ (1 + v_k u), with one u for the layer.

Zhao et al., arXiv 2210.16559 (kernel modulation as in Abdollahzadeh et al., NeurIPS 2021). A kernel is what makes one
output channel: one index of the weight's first dimension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from collections.abc import Mapping

GAIN = 10.0
"""u and v are stored divided by this. Adam moves every number by about its rate a step, whatever the number is for; the
published code has ten times the rate of this suite (2e-3), and u and v are numbers of the order of 1."""

START = 1e-3
"""Standard deviation of v at the start, where u's is 1: no visible change, and a gradient for both (at v = 0 u would
have none). The published code has 1e-7 for both."""


class RankOneModulation(nn.Module):
    """A parametrization of a weight in which some kernels are held and modulated, and the others are free.

    Args:
        weight: The weight that is modulated: K×….
        generator: CPU generator from which u and v are drawn.

    Attributes:
        u: One number per weight of a kernel, divided by GAIN.
        v: One number per kernel, likewise.
        held: Bool, K: which kernels are modulated and get no gradient of their own; all of them at first. The others
            are as they are.
    """

    held: Tensor

    def __init__(self, weight: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        kernels, size = len(weight), weight[0].numel()
        self.u = nn.Parameter(torch.randn(size, generator=generator).div(GAIN).to(weight.device))
        self.v = nn.Parameter(torch.randn(kernels, generator=generator).mul(START / GAIN).to(weight.device))
        self.register_buffer("held", torch.ones(kernels, dtype=torch.bool, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with its held kernels modulated, K×…."""
        change = torch.outer(GAIN * self.v, GAIN * self.u).view_as(weight)
        held = self.held.view(-1, *[1] * (weight.ndim - 1))
        return torch.where(held, weight.detach() * (1 + change), weight)


def modulate(layers: Mapping[str, nn.Module], generator: torch.Generator) -> dict[str, RankOneModulation]:
    """Modulate the weights of layers, all kernels held; return the modulations under the layers' names.

    Under a spectral norm the modulation comes first and the norm after it, so that the layer's bound holds. Either way
    it is the layer's `parametrizations.weight.0`.
    """
    return {name: _modulate(layer, generator) for name, layer in layers.items()}


def _modulate(layer: nn.Module, generator: torch.Generator) -> RankOneModulation:
    if not parametrize.is_parametrized(layer, "weight"):
        modulation = RankOneModulation(cast("Tensor", layer.weight), generator)
        parametrize.register_parametrization(layer, "weight", modulation)
        return modulation
    chain = cast("nn.ModuleDict", layer.parametrizations)["weight"]
    assert isinstance(chain, parametrize.ParametrizationList)
    modulation = RankOneModulation(cast("Tensor", chain.original), generator)
    chain.insert(0, modulation)
    return modulation


def merged(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of the network without modulations: the modulated weights under their plain names.

    Meant for networks in which nothing else is parametrized. The network itself is left as it is.
    """
    state = {name: tensor for name, tensor in network.state_dict().items() if ".parametrizations." not in name}
    for name, layer in network.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            state[f"{name}.weight"] = cast("Tensor", layer.weight).detach()
    return state
