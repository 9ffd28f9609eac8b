"""A sieve for a layer's filters: some are held, some are pruned, the others are trained.

Zhao et al.: Exploring Incompatible Knowledge Transfer in Few-shot Image Generation, CVPR 2023 (arXiv 2304.07574). A
filter is what makes one output channel: one index of the weight's first dimension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from collections.abc import Mapping


class Sieve(nn.Module):
    """A parametrization of a weight: held filters are what they were when they were held, pruned ones are 0.

    Neither gets a gradient, and no optimiser's momentum moves what is computed with. The choice may change at any time;
    what was pruned stays so.

    Args:
        weight: The weight, K×….

    Attributes:
        held: Bool, K.
        pruned: Bool, K.
        anchor: What the held filters are, of the weight's shape.
    """

    held: Tensor
    pruned: Tensor
    anchor: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        for name in ("held", "pruned"):
            self.register_buffer(name, torch.zeros(len(weight), dtype=torch.bool, device=weight.device))
        self.register_buffer("anchor", weight.detach().clone())

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight as its filters are held, pruned or trained, K×…."""
        shape = (-1, *[1] * (weight.ndim - 1))
        kept = torch.where(self.held.view(shape), self.anchor, weight)
        return torch.where(self.pruned.view(shape), 0.0, kept)

    @torch.no_grad()
    def open(self, weight: Tensor) -> None:
        """Let every filter go as it is, pruned ones as 0: the weight becomes what was computed with."""
        weight.copy_(self(weight))
        self.anchor.copy_(weight)
        self.held.fill_(value=False)
        self.pruned.fill_(value=False)

    def close(self, held: Tensor, pruned: Tensor) -> None:
        """Hold and prune these filters: bool, K. What is both is pruned."""
        self.held.copy_(held)
        self.pruned.copy_(pruned)


def sift(layers: Mapping[str, nn.Module]) -> dict[str, Sieve]:
    """Put a sieve before the weights of layers, all filters free; return the sieves under the layers' names.

    Under a spectral norm the sieve comes first and the norm after it. Either way it is the layer's
    `parametrizations.weight.0`.
    """
    return {name: _sift(layer) for name, layer in layers.items()}


def _sift(layer: nn.Module) -> Sieve:
    if not parametrize.is_parametrized(layer, "weight"):
        sieve = Sieve(cast("Tensor", layer.weight))
        parametrize.register_parametrization(layer, "weight", sieve)
        return sieve
    chain = cast("nn.ModuleDict", layer.parametrizations)["weight"]
    assert isinstance(chain, parametrize.ParametrizationList)
    sieve = Sieve(cast("Tensor", chain.original))
    chain.insert(0, sieve)
    return sieve
