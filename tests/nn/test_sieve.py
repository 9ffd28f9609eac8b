"""A sieve holds, prunes and lets go of filters, whatever an optimiser does."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from random_inputs import rng
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from graftbench.nn.build import seeded
from graftbench.nn.sieve import Sieve, sift

if TYPE_CHECKING:
    from torch import Tensor


def marks(*values: int) -> Tensor:
    """Bool of 0 and 1."""
    return torch.tensor(values, dtype=torch.bool)


def test_by_hand() -> None:
    """Of three filters the first is held, the second pruned, the third free; what is both is pruned."""
    sieve = Sieve(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    moved = torch.tensor([[7.0, 7.0], [8.0, 8.0], [9.0, 9.0]])
    assert torch.equal(sieve(moved), moved)
    sieve.close(marks(1, 0, 0), marks(0, 1, 0))
    assert sieve(moved).tolist() == [[1.0, 2.0], [0.0, 0.0], [9.0, 9.0]]
    sieve.close(marks(1, 1, 0), marks(0, 1, 0))
    assert sieve(moved).tolist() == [[1.0, 2.0], [0.0, 0.0], [9.0, 9.0]]


def test_gradients_reach_free_filters_alone() -> None:
    """Held and pruned ones get none."""
    weight = torch.randn(3, 2, 2, 2, generator=rng(), requires_grad=True)
    sieve = Sieve(weight.detach())
    sieve.close(marks(1, 0, 0), marks(0, 1, 0))
    sieve(weight).square().sum().backward()
    assert weight.grad is not None
    assert weight.grad.flatten(1).any(dim=1).tolist() == [False, False, True]


def test_momentum_moves_no_held_filter() -> None:
    """Adam with a first moment goes on after a filter is held; what is computed with stays, and is what opens again."""
    weight = nn.Parameter(torch.randn(2, 3, generator=rng()))
    sieve = Sieve(weight)
    optimizer = torch.optim.Adam([weight], lr=0.1, betas=(0.9, 0.99))

    def step() -> None:
        optimizer.zero_grad()
        sieve(weight).square().sum().backward()
        optimizer.step()

    step()
    sieve.open(weight)
    sieve.close(marks(1, 0), marks(0, 0))
    before = sieve(weight).detach().clone()
    step()
    assert not torch.equal(weight[0], before[0])  # what lies behind the sieve
    assert torch.equal(sieve(weight)[0], before[0])
    assert not torch.equal(sieve(weight)[1], before[1])
    shown = sieve(weight).detach().clone()
    sieve.open(weight)
    assert torch.equal(weight, shown)
    assert torch.equal(sieve(weight), shown)


def test_sifted_layers_compute_the_same() -> None:
    """With all filters free nothing changes, to the bit; under a spectral norm the sieve comes first."""

    def make() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 4, 3), spectral_norm(nn.Conv2d(4, 2, 3)))

    network, sifted = seeded(make, rng()).eval(), seeded(make, rng()).eval()
    sieves = sift({"0": sifted[0], "1": sifted[1]})
    x = torch.randn(2, 3, 8, 8, generator=rng())
    assert torch.equal(network(x), sifted(x))
    for sieve in sieves.values():
        sieve.close(torch.zeros(len(sieve.held), dtype=torch.bool), torch.ones(len(sieve.held), dtype=torch.bool))
    pruned = cast("Tensor", sifted[0](x))
    assert torch.equal(pruned, sifted[0].get_parameter("bias")[:, None, None].expand_as(pruned))
