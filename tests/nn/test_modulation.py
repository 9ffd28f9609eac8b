"""Rank-one modulation of kernels."""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import pytest
import torch
from random_inputs import rng
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from graftbench.nn.build import seeded
from graftbench.nn.modulation import GAIN, START, RankOneModulation, merged, modulate


def set_to(modulation: RankOneModulation, v: list[float], u: list[float]) -> None:
    """Give v and u these values, GAIN undone."""
    with torch.no_grad():
        modulation.v.copy_(torch.tensor(v) / GAIN)
        modulation.u.copy_(torch.tensor(u) / GAIN)


def test_by_hand() -> None:
    """W_k ⊙ (1 + v_k u): of two kernels (1, 2) and (3, 4), v = (1, −1), u = (1, ½); the second is free."""
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    modulation = RankOneModulation(weight, rng())
    set_to(modulation, [1.0, -1.0], [1.0, 0.5])
    torch.testing.assert_close(modulation(weight), torch.tensor([[2.0, 3.0], [0.0, 2.0]]))
    modulation.held.copy_(torch.tensor([True, False]))
    torch.testing.assert_close(modulation(weight), torch.tensor([[2.0, 3.0], [3.0, 4.0]]))


def test_gradients_go_to_one_place() -> None:
    """A held kernel has a gradient in v alone, a free one in itself alone; u hears of held ones only."""
    weight = torch.randn(4, 3, 2, 2, generator=rng(), requires_grad=True)
    modulation = RankOneModulation(weight.detach(), rng(1))
    modulation.held.copy_(torch.tensor([True, False, True, False]))
    modulation(weight).square().sum().backward()
    assert weight.grad is not None
    assert modulation.v.grad is not None
    assert modulation.u.grad is not None
    assert weight.grad.flatten(1).any(dim=1).tolist() == [False, True, False, True]
    assert modulation.v.grad.bool().tolist() == [True, False, True, False]
    assert modulation.u.grad.all()


def test_change_has_rank_one() -> None:
    """Change divided by weight is a matrix of rank one: its second singular value is rounding.

    The quotient of a change of order v·u ≈ 1 and float32 rounding of the weights' product gives 1e-6 of the first.
    """
    weight = torch.randn(6, 5, 3, 3, generator=rng()) + 3
    modulation = RankOneModulation(weight, rng(1))
    set_to(modulation, [1.0, -2.0, 0.5, 3.0, 1.5, -1.0], torch.randn(45, generator=rng(2)).tolist())
    quotient = ((modulation(weight) - weight) / weight).flatten(1).double()
    first, second, *_ = torch.linalg.svdvals(quotient)
    assert second < 1e-5 * first


@pytest.mark.parametrize("make", [lambda: nn.Linear(7, 5), lambda: nn.Conv2d(4, 5, 3)])
def test_nothing_changes_at_first(make: type[nn.Module]) -> None:
    """A fresh modulation changes no weight by more than a few thousandths of it, and is the generator's alone."""
    layer = seeded(make, rng())
    before = layer.get_parameter("weight").detach().clone()
    modulation = modulate({"layer": layer}, rng())["layer"]
    change = (cast("Tensor", layer.weight) / before - 1).abs()
    assert 0 < change.max() < START * 4.5**2  # |v| and |u| beyond 4.5 σ once in 150,000 draws
    assert torch.equal(modulation.v, RankOneModulation(before, rng()).v)


def test_spectral_norm_comes_last() -> None:
    """Modulated or not, the weight's largest singular value is 1 where the power iteration has converged."""
    layer = seeded(lambda: spectral_norm(nn.Linear(6, 4), n_power_iterations=50), rng())
    modulation = modulate({"layer": layer}, rng())["layer"]
    set_to(modulation, [3.0, -1.0, 2.0, 0.5], [1.0, 2.0, -1.0, 0.5, 3.0, 1.0])
    weight = cast("Tensor", layer.weight).detach()
    torch.testing.assert_close(torch.linalg.matrix_norm(weight, ord=2), torch.tensor(1.0), rtol=1e-3, atol=0)
    original = layer.get_parameter("parametrizations.weight.original").detach()
    changed = modulation(original).detach()
    torch.testing.assert_close(weight, changed / torch.linalg.matrix_norm(changed, ord=2), rtol=1e-3, atol=1e-4)


def test_merged_is_the_plain_network() -> None:
    """The state loads into a network without modulations, which then computes the same; the modulated one stays."""

    def make() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)).eval()

    network, plain = seeded(make, rng()), seeded(make, rng(1))
    modulations = modulate({"0": network[0], "2": network[2]}, rng())
    set_to(modulations["0"], [1.0, -1.0, 2.0, 0.3], torch.randn(27, generator=rng()).tolist())
    copied = deepcopy(network)
    plain.load_state_dict(merged(copied))
    x: Tensor = torch.randn(2, 3, 8, 8, generator=rng())
    assert torch.equal(plain(x), network(x))
    assert torch.equal(copied(x), network(x))
    assert is_parametrized(network[0], "weight")
