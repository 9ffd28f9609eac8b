"""SNGAN is the hinge loss on a discriminator whose layers have spectral norm 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.slow
def test_it_is_the_baseline_with_another_loss(world: Callable[..., Any]) -> None:
    """With dcgan's loss it is dcgan, to the bit, and the other way round."""
    for name, loss, other in (("sngan", "non-saturating", "dcgan"), ("dcgan", "hinge", "sngan")):
        found, expected = (world(32).fit(*fit).sampler.state()[0] for fit in ((name,), (other,)))
        assert any(not torch.equal(found[key], expected[key]) for key in expected)
        found = world(32).fit(name, loss=loss).sampler.state()[0]
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_first_losses(world: Callable[..., Any]) -> None:
    """Fresh logits are near 0: the discriminator's loss is E(1 − D(x)) + E(1 + D(Gz)), about 2; the generator's is 0.

    Layers of norm 1 and inputs in [−1, 1] keep fresh logits small; 0.5 is a generous bound of them.
    """
    _, _, losses = world(32).fit("sngan", images=4).task.log.curve[0]
    assert losses["discriminator"] == pytest.approx(2, abs=0.5)
    assert losses["generator"] == pytest.approx(0, abs=0.5)


def test_layers_have_spectral_norm_one(fitted: Callable[..., Any]) -> None:
    """Of every layer of the trained discriminator, the weight as a matrix of outputs by the rest.

    One power iteration a pass follows the largest singular value from below, so the norm is 1 or a little above;
    torch starts with 15, after which a random matrix of these sizes is within a fifth.
    """
    discriminator = fitted("sngan").task.log.networks["discriminator"]
    layers = [layer for layer in discriminator.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == 7
    for layer in layers:
        norm = float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2))
        assert 0.999 < norm < 1.2
