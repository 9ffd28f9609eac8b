"""Fine-tuning a VAE starts where the source model ended, and is the same training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.plugins import registry
from graftbench.training.autoencoding import gaussian_kl, optimal_sigma_nll, source_autoencoder, source_sampler

if TYPE_CHECKING:
    from collections.abc import Callable


def test_starts_from_the_source_model(world: Callable[..., Any]) -> None:
    """At a rate of 1e-30 no weight moves: what is left is the source's decoder, batch norm's statistics apart.

    The Gaussian of the posteriors is that of the target's images.
    """
    fit = world(32).fit("vae-finetune", lr=1e-30, precision="float32")
    source = source_sampler(fit.task.source_model, 32).state()[0]
    tuned = fit.sampler.state()[0]
    assert source.keys() == tuned.keys()
    for name, tensor in tuned.items():
        moves = "running" in name or "num_batches" in name or name.startswith("mapping.")
        assert torch.equal(tensor, source[name]) != moves, name


def test_its_first_losses_are_the_source_models(world: Callable[..., Any]) -> None:
    """The first batch costs what the source's encoder and decoder, in training mode, make of it (float32: 1e-4).

    No chance is drawn for weights: the images are the first that are drawn, then the noise.
    """
    fit = world(32).fit("vae-finetune", images=4, precision="float32")
    task = world(32).task(registry.methods()["vae-finetune"])
    encoder, decoder = source_autoencoder(task.source_model, 32)
    x = task.images[torch.randint(12, (4,), generator=task.generator)].float() / 127.5 - 1
    with torch.no_grad():
        mean, log_variance = encoder(x)
        z = mean + torch.randn(4, 128, generator=task.generator) * (log_variance / 2).exp()
        expected = {
            "reconstruction": float(optimal_sigma_nll(decoder.train()(z), x)),
            "kl": float(gaussian_kl(mean, log_variance)),
        }
    assert fit.task.log.curve[0][2] == pytest.approx(expected, rel=1e-4)


def test_latent_and_channels_are_the_source_models(world: Callable[..., Any]) -> None:
    """What the source model fixes is not changed by a setting."""
    sampler = world(32).fit("vae-finetune", latent=3, channels=5).sampler
    assert (sampler.network.spec.latent, sampler.network.spec.channels) == (128, 16)
