"""CDC keeps similarities between samples, and asks for whole images at the anchors alone."""

from __future__ import annotations

import importlib
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import source_networks
from graftbench.training.foreign import stages

if TYPE_CHECKING:
    from collections.abc import Callable

cdc = importlib.import_module("graftbench.methods.cdc")


def test_similarities_by_hand() -> None:
    """Of (1, 0), (2, 0) and (0, 3) the cosines are 1, 0, 0: rows softmax(1, 0), softmax(1, 0) and softmax(0, 0)."""
    found = cdc.similarities(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])).exp()
    e = torch.e
    torch.testing.assert_close(
        found, torch.tensor([[e, 1.0], [e, 1.0], [1.0, 1.0]]) / torch.tensor([[e + 1], [e + 1], [2.0]])
    )


def test_consistency_by_hand() -> None:
    """KL(source ‖ adapted), over three samples and two others each, is torch.distributions' on softmaxes of cosines.

    Source cosines as above; the adapted directions are (1, 0), (1, 0), (−1, 0): 1, −1, −1.
    """
    source = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    adapted = torch.tensor([[1.0, 0.0], [3.0, 0.0], [-5.0, 0.0]])
    p = Categorical(logits=torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]))
    q = Categorical(logits=torch.tensor([[1.0, -1.0], [1.0, -1.0], [-1.0, -1.0]]))
    torch.testing.assert_close(cdc.consistency_loss(source, adapted), kl_divergence(p, q).mean() / 2)
    assert not torch.isclose(kl_divergence(p, q).mean(), kl_divergence(q, p).mean())  # the direction is told apart


def test_consistency_minds_neither_length_nor_rotation() -> None:
    """Cosines are blind to the length of features and to an orthogonal map of all of them."""
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(5, 6, generator=rng, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=rng, dtype=torch.float64))
    lengths = torch.rand(5, 1, generator=rng, dtype=torch.float64) + 0.5
    found = cdc.consistency_loss(features, lengths * features @ rotation)
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-12, rtol=0)


@pytest.mark.parametrize("size", [1, 2])
def test_nothing_to_compare_with(size: int) -> None:
    """One sample has no other, and of two each has one other: nothing can differ, and there is no gradient."""
    adapted = torch.randn(size, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = cdc.consistency_loss(torch.ones(size, 4), adapted)
    loss.backward()
    assert loss.item() == 0
    assert adapted.grad is not None
    assert not adapted.grad.any()


@pytest.mark.slow
@pytest.mark.parametrize("resolution", [32, 64])
def test_activations_lead_to_the_image(world: Callable[..., Any], resolution: int) -> None:
    """The last stage gives the generator's image; a copy's stages have no distance from its own."""
    source = world(resolution).task(registry.methods()["cdc"]).source_model
    generator = source_networks(source, resolution)[0].eval()
    z = torch.randn(3, 128, generator=torch.Generator().manual_seed(0))
    maps = stages(generator, z)
    assert [stage.shape[-1] for stage in maps] == [4 * 2**i for i in range(len(maps))]
    assert torch.equal(generator.to_rgb(maps[-1]).tanh(), generator(z))
    for stage, same in zip(maps, stages(deepcopy(generator), z), strict=True):
        assert cdc.consistency_loss(stage, same).item() == 0


@pytest.mark.slow
def test_term_leads_back_to_the_source(players: Callable[..., Any]) -> None:
    """Steps down the term alone bring a disturbed generator's similarities nearer to the source's, all blocks together.

    The disturbance is as large as the weights. The term's own mode of batch norm is not left behind.
    """
    pair = players("cdc", disturbance=1.0)
    z = torch.randn(16, 128, generator=torch.Generator().manual_seed(1))

    def distances() -> list[float]:
        with torch.no_grad():
            return [cdc.consistency_loss(kept, found).item() for kept, found in zip(*pair.both_stages(z), strict=True)]

    before = distances()
    term = cdc._Consistency(cdc.Config(consistency=1.0, consistency_batch=16), pair)
    optimizer = torch.optim.Adam(pair.generator.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        term(None)["consistency"].backward()
        optimizer.step()
        assert pair.generator.training
    after = distances()
    assert before[0] == 0
    assert sum(after) < 0.7 * sum(before), (before, after)


def test_log_names_the_term(fitted: Callable[..., Any]) -> None:
    """The consistency term stands in the log, and not where its weight is 0."""
    assert {"discriminator", "generator", "consistency"} == set(fitted("cdc").task.log.curve[-1][2])


@pytest.mark.parametrize(
    "parameters",
    [
        *({"consistency": -1.0}, {"consistency_batch": 1}, {"anchor_share": 1.5}, {"anchor_share": -0.5}),
        *({"anchor_spread": float("nan")}, {"patch_block": -1}),
    ],
)
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=r"must be (at least|in \[0, 1\])"):
        config_of(registry.methods()["cdc"].Config, parameters, "[parameters.cdc]")


@pytest.mark.parametrize(("block", "resolution", "last"), [(6, 32, 5), (8, 64, 7)])
def test_no_such_block(block: int, resolution: int, last: int) -> None:
    """A block that the discriminator has not at this side is refused before anything is trained."""
    cls = registry.methods()["cdc"]
    method = cls(config_of(cls.Config, {"patch_block": block}, "cdc"))
    with pytest.raises(GraftbenchError, match=rf"^patch_block is 0 to {last} at {resolution} px; found {block}\.$"):
        method.check(resolution)
