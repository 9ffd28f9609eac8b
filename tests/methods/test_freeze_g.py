"""FreezeG freezes the early layers, as many as asked, and one latent keeps the source image's coarse features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.nn.build import place
from graftbench.plugins import registry
from graftbench.training.adversarial import source_networks

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from graftbench.nn.generator import Generator

FreezeG = registry.methods()["freeze-g"]


def coarse(generator: Generator, z: Tensor, blocks: int) -> Tensor:
    """What the stem and the first blocks make of z."""
    x = generator.stem_norm(generator.stem(z).unflatten(1, (-1, 4, 4))).relu()
    for block in generator.blocks[:blocks]:
        x = block(x)
    return x


@pytest.mark.parametrize("frozen_blocks", [0, 1, 3])
def test_early_layers_are_held(world: Callable[..., Any], frozen_blocks: int) -> None:
    """The stem and the first k of three blocks are not trained; the last layer and the discriminator always are."""
    fit = world(32).fit("freeze-g", frozen_blocks=frozen_blocks)
    generator, discriminator = source_networks(fit.task.source_model, 32)
    early = [generator.stem, generator.stem_norm, *generator.blocks[:frozen_blocks]]
    held = sum(p.numel() for part in early for p in part.parameters())
    total = sum(p.numel() for network in (generator, discriminator) for p in network.parameters())
    assert fit.task.log.parameters_total == total
    assert fit.task.log.parameters_trained == total - held


def test_a_latent_keeps_its_coarse_features(world: Callable[..., Any]) -> None:
    """To the bit, batch norm's statistics included: up to 8×8 the two generators are one network; behind it not."""
    fit = world(32).fit("freeze-g")
    source = place(source_networks(fit.task.source_model, 32)[0].eval(), torch.device("cpu"))
    z = torch.randn(5, source.spec.latent, generator=torch.Generator().manual_seed(0))
    tuned = fit.sampler.network
    with torch.no_grad():
        torch.testing.assert_close(coarse(tuned, z, 1), coarse(source, z, 1), rtol=0, atol=0)
        assert not torch.equal(coarse(tuned, z, 2), coarse(source, z, 2))


@pytest.mark.parametrize(("resolution", "frozen_blocks", "most"), [(32, -1, 3), (32, 4, 3), (64, 5, 4)])
def test_more_blocks_than_there_are(resolution: int, frozen_blocks: int, most: int) -> None:
    """The sentence says how many there are, when a run is planned."""
    method = FreezeG(FreezeG.Config(frozen_blocks=frozen_blocks))
    sentence = rf"^frozen_blocks is 0 to {most} at {resolution} px; found {frozen_blocks}\.$"
    with pytest.raises(GraftbenchError, match=sentence):
        method.check(resolution)


@pytest.mark.parametrize("resolution", [8, 32, 64])
def test_the_default_suits_every_resolution(resolution: int) -> None:
    """At 8 px there is one block, and it can be frozen."""
    FreezeG().check(resolution)
