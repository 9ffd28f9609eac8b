"""Diagonal Fisher information: how much a likelihood minds each weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.func import functional_call, grad, vmap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

CHUNK = 16
"""Samples whose gradients are held at once: each is as large as the parameters."""


def diagonal_fisher(
    loss: Callable[[dict[str, Tensor], Tensor], Tensor], parameters: Mapping[str, Tensor], samples: Tensor
) -> dict[str, Tensor]:
    """Return F_i = E[(∂ log p / ∂θ_i)²], the mean over samples of each one's squared gradient.

    Not the square of the mean gradient, which is near 0 wherever a training has converged. The likelihood is given by
    its negative logarithm: the square is the same.

    Args:
        loss: (parameters, a batch of one sample) -> −log p of that sample, 0-dimensional; without randomness, and the
            sample's alone: batch norm in eval mode.
        parameters: Name -> tensor at which the information is taken.
        samples: N×…

    Returns:
        Name -> tensor of the parameter's shape, ≥ 0, without gradient.
    """
    at = {name: parameter.detach() for name, parameter in parameters.items()}
    per_sample = vmap(grad(lambda theta, sample: loss(theta, sample[None])), in_dims=(None, 0))
    totals: dict[str, Tensor] = {name: tensor.new_zeros(tensor.shape) for name, tensor in at.items()}
    for part in samples.split(CHUNK):
        for name, gradients in per_sample(at, part).items():
            totals[name] += gradients.square().sum(dim=0)
    return {name: total / len(samples) for name, total in totals.items()}


def with_parameters(network: nn.Module, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return what the network would return for x if it had these parameters (those that are not named stay)."""
    return functional_call(network, parameters, (x,))
