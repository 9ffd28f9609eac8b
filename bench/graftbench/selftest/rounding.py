"""How far rounding alone may move a loss: Monte Carlo arithmetic.

A fit is repeated on the CPU with each factor of each product of matrices (and of each convolution) disturbed at random
by as much as the arithmetic under test rounds it. How far the losses then move is how far they may be off: the
conditioning of the network, of its gradients and of the optimiser's steps is in it, and needs no bound on paper.
D. S. Parker, "Monte Carlo Arithmetic: exploiting randomness in floating-point arithmetic", UCLA CSD-970002, 1997.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

if TYPE_CHECKING:
    from collections.abc import Iterable

UNIT_FLOAT32, UNIT_TF32, UNIT_BFLOAT16 = 2.0**-24, 2.0**-11, 2.0**-8
"""Unit roundoffs: half the gap above 1, of 24, 11 and 8 significant bits."""

REPEATS = 6
"""Disturbed fits."""

FACTOR = 12.0
"""A loss may be off by so many times the root mean square of the disturbed fits' deviations. Were all of them normal
with one spread, the ratio would be Student's t of 6 degrees of freedom, which exceeds 12 with probability 2·10⁻⁵."""

_aten = torch.ops.aten
PRODUCTS = frozenset({_aten.mm, _aten.addmm, _aten.bmm, _aten.baddbmm, _aten.convolution, _aten.convolution_backward})
"""Operations whose factors a GPU rounds, forward and backward."""


class RoundedProducts(TorchDispatchMode):
    """Disturbs the factors of products within its `with` block, and their results, by up to their rounding.

    Args:
        unit: Unit roundoff of the factors. Sums are taken to be float32: of K terms their error is about √K·2⁻²⁴
            (Higham & Mary, SIAM J. Sci. Comput. 41, 2019), which is added.
        generator: Of the disturbances.
    """

    def __init__(self, unit: float, generator: torch.Generator) -> None:
        super().__init__()
        self._unit, self._generator = unit, generator

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Call the operation with disturbed factors."""
        del types
        if func.overloadpacket not in PRODUCTS:
            return func(*args, **(kwargs or {}))
        scale = self._unit + UNIT_FLOAT32 * math.sqrt(summed_terms(func, args))

        def disturbed(value: Any) -> Any:  # noqa: ANN401 - a tensor, or another argument
            if not isinstance(value, torch.Tensor) or not value.is_floating_point():
                return value
            noise = torch.rand(value.shape, generator=self._generator).mul_(2).sub_(1)
            return value * (1 + scale * noise).to(value.dtype)

        return tree_map(disturbed, func(*tree_map(disturbed, args), **(kwargs or {})))


def summed_terms(func: Any, args: Any) -> int:  # noqa: ANN401 - an operation and its arguments
    """Return how many products an operation sums for one number of its result, at the most."""
    tensors = [value for value in args if isinstance(value, torch.Tensor)]
    if func.overloadpacket is _aten.convolution:
        return tensors[1][0].numel()
    if func.overloadpacket is _aten.convolution_backward:
        gradient, _, weight = tensors[:3]  # of the weight: over images and places; of the input: over outputs
        return max(gradient.numel() // gradient.shape[1], weight.numel() // weight.shape[1])
    return tensors[-2].shape[-1]


def allowance(deviations: Iterable[float]) -> float:
    """Return how far a number may be off, from the deviations of the disturbed repeats."""
    squares = [deviation**2 for deviation in deviations]
    return FACTOR * math.sqrt(sum(squares) / len(squares))


def unit_of(precision: str, *, is_gpu: bool) -> float:
    """Return the unit roundoff of the factors of products in a precision on a device, under this process's settings."""
    if precision == "bfloat16":
        return UNIT_BFLOAT16
    tf32 = is_gpu and (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)
    return UNIT_TF32 if tf32 else UNIT_FLOAT32
