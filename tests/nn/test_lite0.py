"""The ImageNet backbone that methods look through: shapes, and that nothing in it moves."""

from __future__ import annotations

import pytest
import torch

from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks


@pytest.mark.parametrize("enlarge", [1, 2])
def test_maps(enlarge: int) -> None:
    """The documented channels and sides at 32 px; enlarging the image enlarges the maps alike."""
    network = Lite0Blocks(lite0_file(), enlarge=enlarge)
    maps = network(torch.rand(2, 3, 32, 32) * 2 - 1)
    assert len(maps) == Lite0Blocks.STAGES
    shapes = [(32, 16), (16, 16), (24, 8), (40, 4)]
    assert [tuple(m.shape) for m in maps] == [(2, c, s * enlarge, s * enlarge) for c, s in shapes]


def test_frozen() -> None:
    """A pass, backwards too, moves no parameter and no buffer, and pixels get a gradient."""
    network = Lite0Blocks(lite0_file())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pixels = torch.zeros(2, 3, 16, 16, requires_grad=True)
    network(pixels)[-1].square().sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.any()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_an_image_does_not_depend_on_its_batch() -> None:
    """In eval mode batch norm takes its own statistics: one image alone has the same maps (float32, 1e-4)."""
    network = Lite0Blocks(lite0_file())
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for together, alone in zip(network(images), network(images[:1]), strict=True):
        torch.testing.assert_close(together[:1], alone, atol=1e-4, rtol=1e-4)
