"""Scales of singular values: the formula by hand, the start, what moves, and the spectral norm after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from random_inputs import rng
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from graftbench.nn.build import seeded
from graftbench.nn.lowrank import merge
from graftbench.nn.singular import GAIN, SingularScales, scale_singular_values

if TYPE_CHECKING:
    from torch import Tensor


def set_to(scales: SingularScales, values: list[float]) -> None:
    """Give λ these values, GAIN undone."""
    with torch.no_grad():
        scales.scale.copy_(torch.tensor(values) / GAIN)


def test_by_hand() -> None:
    """Of diag(3, 2), λ = (2, ½) makes diag(6, 1)."""
    weight = torch.diag(torch.tensor([3.0, 2.0]))
    scales = SingularScales(weight)
    set_to(scales, [2.0, 0.5])
    torch.testing.assert_close(scales(weight), torch.diag(torch.tensor([6.0, 1.0])))


def test_singular_values_are_scaled_and_vectors_stay() -> None:
    """A convolution's weight as C'×(C·k·k): values are λ times the old ones, left and right spaces the old ones.

    Float32 of a 5×18 matrix: 1e-5.
    """
    weight = torch.randn(5, 2, 3, 3, generator=rng())
    scales = SingularScales(weight)
    factors = [0.9, 1.1, 1.0, 1.2, 0.5]
    set_to(scales, factors)
    u, values, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    expected = u @ torch.diag(values * torch.tensor(factors)) @ v
    torch.testing.assert_close(scales(weight).flatten(1), expected, rtol=1e-5, atol=1e-5)


def test_nothing_changes_at_first() -> None:
    """Convolutions and linear layers, with and without a spectral norm: the outputs are those before, to the bit.

    1/GAIN·GAIN is 1 in float32.
    """

    def make() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 4, 3), spectral_norm(nn.Conv2d(4, 2, 3)), nn.Flatten(), nn.Linear(32, 2))

    network, scaled = seeded(make, rng()).eval(), seeded(make, rng()).eval()
    scale_singular_values(scaled, ["0", "1", "3"])
    x = torch.randn(2, 3, 8, 8, generator=rng())
    assert torch.equal(network(x), scaled(x))


def test_scales_alone_are_trained() -> None:
    """All λ have a gradient, and nothing else has; there is one for each singular value."""
    network = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 1), spectral_norm(nn.Conv2d(4, 2, 1))), rng())
    scale_singular_values(network, ["0", "1"])
    network(torch.randn(2, 3, 4, 4, generator=rng())).square().sum().backward()
    trained = {name: p for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert list(trained) == ["0.parametrizations.weight.0.scale", "1.parametrizations.weight.0.scale"]
    assert [len(p) for p in trained.values()] == [3, 2]


def test_spectral_norm_comes_last() -> None:
    """Scaled or not, the weight's largest singular value is 1 where the power iteration has converged."""
    layer = seeded(lambda: spectral_norm(nn.Linear(6, 4), n_power_iterations=50), rng())
    scale_singular_values(layer, [""])
    scales = cast("nn.ModuleDict", layer.parametrizations)["weight"][0]  # pyright: ignore[reportIndexIssue]
    set_to(scales, [3.0, 0.1, 2.0, 0.5])
    weight = cast("Tensor", layer.weight).detach()
    torch.testing.assert_close(torch.linalg.matrix_norm(weight, ord=2), torch.tensor(1.0), rtol=1e-3, atol=0)


def test_merged_is_a_plain_network() -> None:
    """What the scaled network computes, the plain one computes with merged weights."""
    plain, scaled = (seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3)), rng()) for _ in range(2))
    scale_singular_values(scaled, ["0"])
    set_to(cast("SingularScales", scaled.get_submodule("0.parametrizations.weight.0")), [2.0, 0.5, 1.0, 3.0])
    x = torch.randn(2, 3, 8, 8, generator=rng())
    before = plain(x)
    assert torch.equal(merge(scaled, plain)(x), scaled(x))
    assert not torch.allclose(before, scaled(x))
