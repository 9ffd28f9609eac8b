"""FreezeD freezes the blocks at the image, as many as asked, and says so in its counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.training.adversarial import source_networks

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("frozen_blocks", [0, 1, 3, 6])
def test_lower_blocks_are_held(world: Callable[..., Any], frozen_blocks: int) -> None:
    """Of six blocks the first k, counted from the image, are not trained; the head and the generator always are."""
    fit = world(32).fit("freezed", frozen_blocks=frozen_blocks)
    generator, discriminator = source_networks(fit.task.source_model, 32)
    held = sum(p.numel() for block in discriminator.blocks[:frozen_blocks] for p in block.parameters())
    total = sum(p.numel() for network in (generator, discriminator) for p in network.parameters())
    assert fit.task.log.parameters_total == total
    assert fit.task.log.parameters_trained == total - held


@pytest.mark.parametrize("frozen_blocks", [-1, 7])
def test_more_blocks_than_there_are(frozen_blocks: int) -> None:
    """The sentence says how many there are; it is said when a run is planned."""
    cls = registry.methods()["freezed"]
    method = cls(cls.Config(frozen_blocks=frozen_blocks))
    with pytest.raises(GraftbenchError, match=rf"^frozen_blocks is 0 to 6 at 32 px; found {frozen_blocks}\.$"):
        method.check(32)
    cls(cls.Config(frozen_blocks=7)).check(64)
