"""Relative errors of feature maps, by hand and with the shipped backbone."""

from __future__ import annotations

import pytest
import torch

from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.nn.perceptual import feature_errors


def pyramid(x: torch.Tensor) -> list[torch.Tensor]:
    """The images, their double, and zeros: three maps whose errors are known."""
    return [x, 2 * x, 0 * x]


def test_by_hand() -> None:
    """Targets 1 and 3, images 2 and 3: error ½, power 5, so 0.1; the scale of a map does not show."""
    x, target = torch.tensor([2.0, 3.0]).view(1, 1, 1, 2), torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    torch.testing.assert_close(feature_errors(pyramid, [0, 1], x, target), torch.tensor([0.1, 0.1]))
    assert feature_errors(pyramid, [2], x, target).tolist() == [0]  # 0 of 0, not NaN


def test_order_and_choice_of_layers() -> None:
    """The errors come in the order asked for."""
    x, target = torch.ones(1, 1, 2, 2), 2 * torch.ones(1, 1, 2, 2)
    assert feature_errors(pyramid, [2, 0], x, target).tolist() == [0, 0.25]


def test_gradient_stays_out_of_the_target() -> None:
    """The gradient of x is 2 (x − t) / Σ t², that of the target none."""
    x = torch.tensor([[2.0, 5.0]], requires_grad=True)
    target = torch.tensor([[1.0, 3.0]], requires_grad=True)
    feature_errors(pyramid, [0], x, target).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[0.2, 0.4]]))
    assert target.grad is None


@pytest.mark.parametrize("layers", [[0], [0, 1, 2, 3]])
def test_backbone(layers: list[int]) -> None:
    """An image is 0 away from itself and further from noise than from a faint noise on it; pixels get gradients."""
    rng = torch.Generator().manual_seed(0)
    network = Lite0Blocks(lite0_file())
    x, noise = (torch.rand(2, 3, 32, 32, generator=rng) * 2 - 1 for _ in range(2))
    assert not feature_errors(network, layers, x, x).any()
    near = (0.99 * x + 0.01 * noise).requires_grad_()
    error = feature_errors(network, layers, near, x)
    assert error.shape == (len(layers),)
    assert (error > 0).all()
    assert (error < feature_errors(network, layers, noise, x)).all()
    error.sum().backward()
    assert near.grad is not None
    assert near.grad.flatten(1).any(dim=1).all()
