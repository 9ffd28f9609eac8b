"""Low-rank updates of frozen weights, and merging them into a plain network.

Hu et al.: LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685, section 4.1; `Magnitude` is DoRA's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graftbench.nn.build import Net


class LowRank(nn.Module):
    """W -> W + (α/r)·up·down, a parametrisation of a weight: `up` is outputs×r, `down` r×(the rest of the weight).

    A convolution's weight (C'×C×k×k) is taken as the matrix C'×(C·k·k): a k×k convolution to r channels, then a 1×1
    one (as cloneofsimo's lora does it; Microsoft's loralib reshapes (C'·k)×(r·k) times (r·k)×(C·k) instead).

    `up` starts at 0, so the network starts as it was. `down` is drawn from N(0, 1/r²), as in cloneofsimo's lora; the
    paper says Gaussian and gives no deviation, loralib draws Kaiming-uniform. With α = r, Adam's first steps then move
    a weight about as far as full fine-tuning at the same rate does: each of the r numbers in a row of `up` moves by the
    rate, times an entry of `down` of size 1/r.

    Args:
        shape: Shape of the weight.
        rank: r.
        alpha: α.
    """

    def __init__(self, shape: torch.Size, rank: int, alpha: float) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.zeros(shape[0], rank))
        self.down = nn.Parameter(torch.randn(rank, shape[1:].numel()) / rank)
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with its update, in its own shape."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


class Magnitude(nn.Module):
    """V -> m V / ‖V‖ for each output, a parametrisation of a weight: its length is m, its direction that of V.

    Liu et al.: DoRA, arXiv 2402.09353, eq. 5, where V is a frozen weight with its low-rank update; the norm is taken
    over all that leads to an output, as in NVIDIA's published code. It counts as a constant in the gradient (section
    4.3, eq. 11).

    m starts at the weight's own length, so the network starts as it was.

    Args:
        weight: The weight, outputs×….
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.magnitude = nn.Parameter(lengths(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight of that length and V's direction, in V's shape."""
        scale = self.magnitude / lengths(weight)
        return weight * scale.view(-1, *[1] * (weight.ndim - 1))


def lengths(weight: Tensor) -> Tensor:
    """Return the Euclidean norm of each output's weights, without gradient; that of none is as good as 0: outputs."""
    return weight.detach().flatten(1).norm(dim=1).clamp_min(torch.finfo(weight.dtype).tiny)


def add_low_rank(network: Net, ranks: Mapping[str, int], alpha: float) -> Net:
    """Freeze a network, and give the weights of the named modules a low-rank update that is trained.

    The update's initial numbers come from torch's global generator: call it through `graftbench.nn.build.seeded`.

    Args:
        network: Changed in place.
        ranks: Module's name -> rank of its update.
        alpha: α: every update is scaled by α over its rank.

    Returns:
        `network`.

    Raises:
        GraftbenchError: A rank is above that of the weight's matrix.
    """
    network.requires_grad_(requires_grad=False)
    for name, rank in ranks.items():
        module = network.get_submodule(name)
        shape = cast("Tensor", module.weight).shape
        if rank > (most := min(shape[0], shape[1:].numel())):
            raise GraftbenchError(
                f"The low-rank update of '{name}' ({shape[0]}×{shape[1:].numel()}) has a rank of at most {most}; "
                f"found {rank}."
            )
        parametrize.register_parametrization(module, "weight", LowRank(shape, rank, alpha))
    return network


@torch.no_grad()
def merge(network: nn.Module, plain: Net) -> Net:
    """Copy what a parametrised network computes with into the same network without parametrisations.

    Args:
        network: Stays as it is.
        plain: Takes the weights and buffers, on their device; its names are `network`'s without parametrisations. It
            may be on the meta device, where making it draws no numbers.

    Returns:
        `plain`, which wants no gradient.
    """
    state = {}
    for name in plain.state_dict():
        module, _, leaf = name.rpartition(".")
        state[name] = getattr(network.get_submodule(module), leaf).detach().clone()
    plain.load_state_dict(state, assign=True)
    return plain.requires_grad_(requires_grad=False)
