"""Measure the bytes that must be stored of an adapted generator for someone who has the source model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_SIDE = 2048
"""Matrices both of whose sides are longer are not tried for a low rank: that would take minutes."""


def tensor_bytes(tensors: Mapping[str, torch.Tensor]) -> int:
    """Return the bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def stored_bytes(sampler: Mapping[str, torch.Tensor], source: Mapping[str, torch.Tensor]) -> int:
    """Return the bytes that a sampler adds to a source model.

    A tensor that the source model holds under the same name (its first part, the network's, aside) costs nothing. One
    that differs by a matrix of rank r costs the two factors, r·(rows + columns) numbers, or itself if that is less.
    Compression, and fewer bits, are not counted.

    Args:
        sampler: Name -> tensor, as `Sampler.state` gives them.
        source: Name -> tensor, as `SourceModel.tensors` holds them.
    """
    by_name: dict[tuple[str, torch.Size], list[torch.Tensor]] = {}
    for name, tensor in source.items():
        by_name.setdefault((_without_network(name), tensor.shape), []).append(tensor)
    total = 0
    for name, tensor in sampler.items():
        keys = dict.fromkeys([name, _without_network(name)])
        old_tensors = [old for key in keys for old in by_name.get((key, tensor.shape), [])]
        total += min((_difference_bytes(tensor, old) for old in old_tensors), default=tensor_bytes({name: tensor}))
    return total


def _without_network(name: str) -> str:
    return name.partition(".")[2]


def _difference_bytes(new: torch.Tensor, old: torch.Tensor) -> int:
    """Return the bytes of the smaller of a tensor and the factors of its difference to another."""
    new, old = new.detach().cpu(), old.detach().cpu()
    whole = new.numel() * new.element_size()
    if torch.equal(new, old):
        return 0
    if new.ndim < 2 or not new.is_floating_point() or new.dtype != old.dtype:
        return whole
    difference = (new.double() - old.double()).flatten(1)
    rows, columns = difference.shape
    if min(rows, columns) > MOST_SIDE:
        return whole
    # Adding the update rounds each weight by up to u·|w|: a random matrix of entries that size has singular values of
    # up to u·|w|·(√rows + √columns) (Davidson & Szarek 2001, theorem II.13), and three times that is no rank.
    rounding = torch.finfo(new.dtype).eps / 2 * float(new.abs().max())
    noise = 3 * rounding * (math.sqrt(rows) + math.sqrt(columns))
    rank = int((torch.linalg.svdvals(difference) > noise).sum())
    return min(whole, rank * (rows + columns) * new.element_size())
