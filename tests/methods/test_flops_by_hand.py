"""The operations that a fit counts against those of its layers, added up by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.nn.style import gram
from graftbench.training.adversarial import new_networks

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.checks.fixtures import World


def layers(network: nn.Module, *inputs: torch.Tensor) -> list[float]:
    """Operations of each layer for one image: 2 · weights · places, a multiply-add being two."""
    counts: list[float] = []

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        counts.append(2.0 * module.weight.numel() * out[0, 0].numel())

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(*inputs)
    return counts


def test_dcgan_by_hand(world: Callable[[int], World]) -> None:
    """An image of the budget is two passes of the generator and three of the discriminator, with their gradients.

    Gradients to a layer's weights, and to its input, cost what the layer does; the first layers' inputs want none, but
    those of the images that the generator is judged by, of which the weights want none.
    """
    task = world(32).task(type(world(32).method("dcgan")))
    generator, discriminator = new_networks(task, world(32).method("dcgan").config)
    g, d = layers(generator, torch.randn(2, generator.spec.latent)), layers(discriminator, torch.randn(2, 3, 32, 32))
    by_hand = sum(g) * (1 + 1 + 2) - g[0] + 2 * (3 * sum(d) - d[0]) + 2 * sum(d)
    counted = world(32).fit("dcgan").meter.flops_per_image
    assert counted == pytest.approx(by_hand)


def test_gatys_by_hand(world: Callable[[int], World]) -> None:
    """A step on an image is the backbone forward and back to the pixels, Gram matrices, and gradients to both factors.

    What a canvas looks at first (content, style and its Gram matrices) is spread over its steps.
    """
    method = world(32).method("gatys")
    config = method.config
    network = Lite0Blocks(lite0_file(), enlarge=config.enlarge).requires_grad_(requires_grad=False)
    picture = torch.randn(2, 3, 32, 32)
    backbone = sum(layers(network, picture))
    maps = [network(picture)[layer] for layer in config.style_layers]
    grams = sum(2.0 * m.shape[1] ** 2 * m[0, 0].numel() for m in maps)
    assert gram(maps[0]).shape[1:] == (maps[0].shape[1],) * 2
    by_hand = 2 * backbone + 3 * grams + (2 * backbone + grams) / config.steps
    counted = world(32).fit("gatys").meter.flops_per_image
    assert counted == pytest.approx(by_hand)
