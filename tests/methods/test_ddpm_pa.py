"""DDPM-PA: similarities and details of the images that predictions imply, by hand; and the terms reach the fit."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_inputs import rng

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.diffusion import DiffusionConfig, clean_image, diffuse, sampler_of, source_unet

if TYPE_CHECKING:
    from collections.abc import Callable

pa = importlib.import_module("graftbench.methods.ddpm_pa")
CLS = registry.methods()["ddpm-pa"]


def images(n: int, seed: int = 0) -> torch.Tensor:
    """Float64 n×3×4×4 in [−1, 1]."""
    return torch.randn(n, 3, 4, 4, generator=rng(seed), dtype=torch.float64).tanh()


# ------------------------------------------------------------------------------------------------------------ terms


def test_implied_image() -> None:
    """The true noise leads back to the image, at any level; another prediction is clipped to black and white."""
    x, noise = images(2), torch.randn(2, 3, 4, 4, generator=rng(1), dtype=torch.float64)
    share = torch.tensor([0.36, 0.01], dtype=torch.float64)
    noisy = diffuse(x, noise, share)
    torch.testing.assert_close(clean_image(noisy, noise, share), x)
    assert clean_image(noisy, noise + 9, share).min() == -1


def test_high_frequencies() -> None:
    """Of a square 1 2 / 3 8: LH = (−1 + 2 − 3 + 8)/2 = 3, HL = (−1 − 2 + 3 + 8)/2 = 4, HH = (1 − 2 − 3 + 8)/2 = 2."""
    square = torch.tensor([[[[1.0, 2, 0.5, 0.5], [3, 8, 0.5, 0.5]]]])
    assert pa.high_frequencies(square).tolist() == [[[[9.0, 0.0]]]]


def test_similarities_by_hand() -> None:
    """Three images at 0°, 60° and 90°: cosines 1/2, 0 and √3/2, and the softmax over two others is a logistic."""
    angles = torch.tensor([0.0, 60, 90], dtype=torch.float64).deg2rad()
    log_p = pa.log_similarities(torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [2], [3]]))
    pairs = [(0.5, 0.0), (0.5, math.sqrt(3) / 2), (0.0, math.sqrt(3) / 2)]
    expected = torch.tensor([[1 / (1 + math.exp(b - a)), 1 / (1 + math.exp(a - b))] for a, b in pairs]).double()
    torch.testing.assert_close(log_p.exp(), expected)


def test_divergence_by_hand() -> None:
    """Σ_i Σ_j p log(p / q), with p the adapted model's and q the source's; 0 between a batch and itself."""
    source, adapted = images(4), images(4, seed=1)
    p, q = pa.log_similarities(adapted).exp(), pa.log_similarities(source).exp()
    torch.testing.assert_close(pa.pairwise_loss(source, adapted), (p * (p / q).log()).sum())
    assert float(pa.pairwise_loss(source, source)) == pytest.approx(0, abs=1e-12)


def test_similarities_see_no_rotation() -> None:
    """An orthogonal map of all images, and other lengths, leave their cosines and so the loss at 0."""
    source = images(5).flatten(1)
    rotation, _ = torch.linalg.qr(torch.randn(48, 48, generator=rng(1), dtype=torch.float64))
    lengths = torch.rand(5, 1, generator=rng(2), dtype=torch.float64) + 0.5
    assert float(pa.pairwise_loss(source, lengths * source @ rotation)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("size", [1, 2])
def test_nothing_to_compare_with(size: int) -> None:
    """One image has no other, and of two each has one other: nothing can differ, and there is no gradient."""
    adapted = images(size).requires_grad_()
    loss = pa.pairwise_loss(images(size, seed=1), adapted)
    loss.backward()
    assert loss.item() == 0
    assert adapted.grad is not None
    assert not adapted.grad.any()


# -------------------------------------------------------------------------------------------------------------- fit


def test_starts_at_the_source_model(world: Callable[..., Any]) -> None:
    """With a rate too small to move a weight it draws the source model's images, and nothing is unlike the source."""
    fit = world(32).fit("ddpm-pa", lr=1e-30, sampling_steps=5)
    source = source_unet(world(32).source_model("diffusion"), 32)
    expected = sampler_of(source, DiffusionConfig(sampling_steps=5)).sample(5, rng())
    assert torch.equal(fit.sampler.sample(5, rng()), expected)
    losses = fit.task.log.curve[0][2]
    assert losses["similarity"] == pytest.approx(0, abs=1e-6)
    assert losses["details"] == pytest.approx(0, abs=1e-6)
    assert losses["target_details"] > 0


def test_without_its_terms_it_is_the_fine_tune(world: Callable[..., Any]) -> None:
    """At weights of 0 the fit is that of `ddpm-finetune`, to the bit."""
    none = {"similarity": 0.0, "details": 0.0, "target_details": 0.0}
    ours, plain = world(32).fit("ddpm-pa", **none), world(32).fit("ddpm-finetune")
    state = plain.sampler.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in ours.sampler.network.state_dict().items())
    assert set(ours.task.log.curve[-1][2]) == {"denoising"}


@pytest.mark.slow
def test_terms_change_the_fit(world: Callable[..., Any]) -> None:
    """Each term alone stands in the log under its name, and leads elsewhere than the plain fine-tune."""
    plain = world(32).fit("ddpm-finetune").sampler.network.to_rgb.weight
    none = {"similarity": 0.0, "details": 0.0, "target_details": 0.0}
    for name in none:
        fit = world(32).fit("ddpm-pa", **(none | {name: 1.0}))
        assert set(fit.task.log.curve[-1][2]) == {"denoising", name}
        assert not torch.equal(fit.sampler.network.to_rgb.weight, plain)


def test_source_copy_rests(world: Callable[..., Any]) -> None:
    """The copy that is compared with is named, counted and left as it is."""
    fit = world(32).fit("ddpm-pa")
    source = source_unet(world(32).source_model("diffusion"), 32).state_dict()
    copy = fit.task.log.networks["source_unet"]
    assert all(torch.equal(tensor, source[name]) for name, tensor in copy.state_dict().items())
    assert fit.task.log.parameters_total == 2 * fit.task.log.parameters_trained


@pytest.mark.parametrize("parameters", [{"similarity": -0.1}, {"details": -1.0}, {"target_details": math.inf}])
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=rf"{next(iter(parameters))} must be at least 0"):
        config_of(CLS.Config, parameters, "[parameters.ddpm-pa]")
