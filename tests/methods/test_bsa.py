"""BSA reconstructs the target images by γ, β and latents alone."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import source_networks
from graftbench.training.samplers import to_float

if TYPE_CHECKING:
    from collections.abc import Callable

bsa = importlib.import_module("graftbench.methods.bsa")


def test_latent_distance_by_hand() -> None:
    """Latents 0 and 4, draws 1, 3 and 10: nearest draws at 1 and 1; nearest latents at 1, 1 and 36. 1 + 38/3."""
    z, normal = torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [3.0], [10.0]])
    torch.testing.assert_close(bsa.latent_distance(z, normal), torch.tensor(1 + 38 / 3))


def test_latent_distance_is_cdist() -> None:
    """In 128 dimensions it is what torch.cdist gives; float64."""
    rng = torch.Generator().manual_seed(0)
    z, normal = (torch.randn(n, 128, generator=rng, dtype=torch.float64) for n in (4, 40))
    squared = torch.cdist(z, normal).square()
    expected = squared.min(dim=1).values.mean() + squared.min(dim=0).values.mean()
    torch.testing.assert_close(bsa.latent_distance(z, normal), expected)


def test_perceptual_loss_by_hand() -> None:
    """Maps (1, 3) for (1, −1) and 0 for 5: L1 of 2 relative to 1, and 5 relative to 5; their mean is 1.5."""
    found = [torch.tensor([1.0, 3.0]), torch.tensor([0.0])]
    wanted = [torch.tensor([1.0, -1.0]), torch.tensor([5.0])]
    assert bsa.perceptual_loss(found, wanted).item() == 1.5
    assert bsa.perceptual_loss(wanted, wanted).item() == 0
    larger = bsa.perceptual_loss([100 * found[0], found[1]], [100 * wanted[0], wanted[1]])
    assert larger.item() == 1.5  # a layer of larger numbers weighs no more


def test_statistics_change_by_hand() -> None:
    """Mean squares, summed over γ and β: (1² + 3²)/2 + 2² = 9."""
    start = {"gamma": torch.tensor([1.0, 1.0]), "beta": torch.tensor([0.0])}
    now = {"gamma": torch.tensor([2.0, 4.0]), "beta": torch.tensor([-2.0])}
    assert bsa.statistics_change(now, start).item() == 9


def test_feature_maps_are_the_discriminators(world: Callable[..., Any]) -> None:
    """The last of them, one a block, leads to the discriminator's logit."""
    task = world(32).task(registry.methods()["bsa"])
    judge = source_networks(task.source_model, 32)[1].eval()
    maps = bsa.feature_maps(judge, to_float(task.images))
    assert len(maps) == len(judge.blocks)
    torch.testing.assert_close(judge.head(maps[-1].flatten(1)).squeeze(1), judge(to_float(task.images)))


def test_only_scales_and_shifts_move(fitted: Callable[..., Any]) -> None:
    """γ and β of all four batch norms move; filters and running statistics are the source's to the bit."""
    fit = fitted("bsa")
    source, _ = source_networks(fit.task.source_model, 32)
    moved = {
        name
        for name, before in source.state_dict().items()
        if not torch.equal(fit.sampler.network.state_dict()[name], before)
    }
    norms = ["stem_norm", *(f"blocks.{i}.norm" for i in range(3))]
    assert moved == {f"{norm}.{part}" for norm in norms for part in ("weight", "bias")}
    assert fit.task.log.parameters_trained == 12 * 128 + sum(source.get_parameter(name).numel() for name in moved)


@pytest.mark.slow
def test_training_lowers_the_reconstruction(world: Callable[..., Any]) -> None:
    """Over 60 steps four images come nearer, in pixels and in features."""
    fit = world(32).fit("bsa", n=4, images=240, precision="float32")
    curve = [losses for _, _, losses in fit.task.log.curve]
    for name in ("pixels", "features"):
        assert curve[-1][name] < 0.9 * curve[0][name]


@pytest.mark.slow
def test_latents_come_to_fit_their_images(world: Callable[..., Any]) -> None:
    """After a fit an image's own latent gives it back better than another image's does."""
    fit = world(32).fit("bsa", n=4, images=400, precision="float32")
    latents, images = fit.task.log._networks["latents"].weight, to_float(fit.task.images)
    with torch.no_grad():
        found = fit.sampler.network(latents)
    own = F.l1_loss(found, images)
    assert all(own < F.l1_loss(found.roll(shift, dims=0), images) for shift in (1, 2, 3))


@pytest.mark.slow
def test_rates_drop(world: Callable[..., Any]) -> None:
    """With drops the same steps move γ and β less: rates of 1, 0.2, 0.04 and 0.008 for a quarter of the budget each."""
    source = source_networks(world(32).task(registry.methods()["bsa"]).source_model, 32)[0]
    before = source.stem_norm.weight.detach()
    moved = []
    for drops in (0, 3):
        fit = world(32).fit("bsa", images=80, lr_drops=drops, ema_decay=0.0)
        moved.append(float((fit.sampler.network.stem_norm.weight - before).norm()))
    assert moved[1] < 0.6 * moved[0]


@pytest.mark.parametrize(
    "parameters",
    [
        *({"lr": 0.0}, {"lr_latents": float("inf")}, {"lr_drops": -1}, {"latent_noise": -0.1}),
        *({"pixels": -1.0}, {"features": float("nan")}, {"latents": -1.0}, {"stay": -1.0}),
    ],
)
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=r"must be (positive|at least 0)"):
        config_of(registry.methods()["bsa"].Config, parameters, "[parameters.bsa]")
