"""DCL's two contrastive losses: what they compare, what they are at nothing, and whom they move."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

dcl = importlib.import_module("graftbench.methods.dcl")


def test_generator_contrast_by_hand() -> None:
    """Adapted (1, 0) and (0, 1), source (2, 0) and (3, 0), τ = ½: cosines [[1, 1], [0, 0]].

    The first latent's two candidates are alike, and so are the second's: log 2 each. With the second source at (0, 5)
    the cosines are the identity, and each costs log(1 + exp(−2)).
    """
    adapted = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    alike = dcl.generator_contrast(adapted, torch.tensor([[2.0, 0.0], [3.0, 0.0]]), 0.5)
    assert alike.item() == pytest.approx(math.log(2))
    told = dcl.generator_contrast(adapted, torch.tensor([[2.0, 0.0], [0.0, 5.0]]), 0.5)
    assert told.item() == pytest.approx(math.log1p(math.exp(-2)))
    swapped = dcl.generator_contrast(adapted, torch.tensor([[0.0, 5.0], [2.0, 0.0]]), 0.5)
    assert swapped.item() == pytest.approx(math.log1p(math.exp(2)))


def test_discriminator_contrast_by_hand() -> None:
    """Adapted (1, 0), source (1, 0), real (0, 1) and (−1, 0), τ = 1: −log(e / (e + 1 + e⁻¹))."""
    adapted, real = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    e = math.e
    near = dcl.discriminator_contrast(adapted, adapted, real, 1.0)
    assert near.item() == pytest.approx(-math.log(e / (e + 1 + 1 / e)))
    # An adapted image that is a target image costs more than one that is its source image.
    copied = dcl.discriminator_contrast(real[:1], adapted, real, 1.0)
    assert copied.item() == pytest.approx(-math.log(1 / (1 + e + 1)))


def test_lengths_and_orders_do_not_matter() -> None:
    """Features may be of any length; the order of latents and that of target images changes nothing."""
    rng = torch.Generator().manual_seed(0)
    adapted, source = (torch.randn(4, 2, 3, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    real = torch.randn(5, 2, 3, 3, generator=rng, dtype=torch.float64)
    first, second = dcl.generator_contrast(adapted, source, 0.1), dcl.discriminator_contrast(adapted, source, real, 0.1)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(dcl.generator_contrast(7 * adapted[order], 0.1 * source[order], 0.1), first)
    torch.testing.assert_close(dcl.discriminator_contrast(adapted[order], source[order], 3 * real.flip(0), 0.1), second)


def term_of(pair: Any, **settings: Any) -> Any:
    """The term with such settings, after the discriminator was shown four real images."""
    pair.real.draw(4)
    return dcl._Contrast(dcl.Config(**settings), pair)


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_each_loss_alone(players: Callable[..., Any], name: str) -> None:
    """A loss whose weight is 0 is not there; the other flows into the generator, and not into the source.

    Neither the discriminator's buffers nor its mode are changed by looking.
    """
    pair = players("dcl", disturbance=0.5)
    other = {"generator": "discriminator", "discriminator": "generator"}[name]
    pair.discriminator.train()
    before = {key: tensor.clone() for key, tensor in pair.discriminator.state_dict().items()}
    losses = term_of(pair, **{f"{other}_contrast": 0.0})(None)
    assert list(losses) == [f"{name} contrast"]
    losses[f"{name} contrast"].backward()
    assert any(p.grad is not None and p.grad.any() for p in pair.generator.parameters())
    assert all(p.grad is None for p in pair.source.parameters())
    assert pair.discriminator.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in pair.discriminator.state_dict().items())


@pytest.mark.slow
def test_terms_lead_back_to_the_source(players: Callable[..., Any]) -> None:
    """Steps down the generator's contrast alone tell a disturbed generator's latents apart again."""
    pair = players("dcl", disturbance=1.0)
    z = torch.randn(16, 128, generator=torch.Generator().manual_seed(1))

    def losses() -> float:
        with torch.no_grad():
            stages = zip(*pair.both_stages(z), strict=True)
            return sum(dcl.generator_contrast(found, kept, 0.07).item() for kept, found in stages)

    before = losses()
    term = term_of(pair, discriminator_contrast=0.0, contrast_batch=16)
    optimizer = torch.optim.Adam(pair.generator.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        term(None)["generator contrast"].backward()
        optimizer.step()
    assert losses() < 0.8 * before


def test_log_names_the_losses(fitted: Callable[..., Any]) -> None:
    """Both losses stand in the log."""
    names = {"discriminator", "generator", "generator contrast", "discriminator contrast"}
    assert names == set(fitted("dcl").task.log.curve[-1][2])


@pytest.mark.parametrize(
    "parameters",
    [
        *({"generator_contrast": -1.0}, {"discriminator_contrast": float("inf")}, {"contrast_batch": 1}),
        *({"temperature": 0.0}, {"temperature": float("nan")}, {"anchor_share": 1.5}),
    ],
)
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=r"must be (at least|positive|in \[0, 1\])"):
        config_of(registry.methods()["dcl"].Config, parameters, "[parameters.dcl]")
