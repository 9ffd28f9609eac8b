"""A step of `dcgan` against the training loop that PyTorch's DCGAN example documents."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graftbench.budget import Meter
from graftbench.nn.build import train_unfrozen
from graftbench.plugins import registry
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training import TrainingLog
from graftbench.training.adversarial import AdversarialConfig, Adversary, new_networks

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from graftbench.nn.discriminator import Discriminator
    from graftbench.nn.generator import Generator


def example_step(
    generator: Generator, discriminator: Discriminator, real: Tensor, noises: tuple[Tensor, Tensor], lr: float
) -> tuple[Tensor, Tensor]:
    """What pytorch/examples/dcgan does, after its description.

    Binary cross-entropy on sigmoid outputs; the discriminator's gradients of the real batch (label 1) and of the
    generated batch (label 0) add up before its step; then the generator's step with label 1 through the discriminator
    that has just moved. The one change: fresh noise for the generator's step, as here, where the example uses the
    same noise twice; and one pass of the discriminator over both batches, for its spectral norm moves with each pass.
    """
    entropy, betas = nn.BCELoss(), (0.0, 0.99)
    adam_d = torch.optim.Adam(discriminator.parameters(), lr=lr, betas=betas)
    adam_g = torch.optim.Adam(generator.parameters(), lr=lr, betas=betas)
    fake = generator(noises[0]).detach()
    outputs = torch.sigmoid(discriminator(torch.cat([real, fake])))
    error_real = entropy(outputs[: len(real)], torch.ones(len(real), dtype=real.dtype))
    error_fake = entropy(outputs[len(real) :], torch.zeros(len(real), dtype=real.dtype))
    adam_d.zero_grad()
    error_real.backward(retain_graph=True)
    error_fake.backward()
    adam_d.step()
    outputs = torch.sigmoid(discriminator(generator(noises[1])))
    error_generator = entropy(outputs, torch.ones(len(real), dtype=real.dtype))
    adam_g.zero_grad()
    error_generator.backward(inputs=list(generator.parameters()))
    adam_g.step()
    return (error_real + error_fake).detach(), error_generator.detach()


def test_a_step_is_the_examples(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same weights, images and noise: the same losses, and the same weights after the step.

    In float64, on any CPU: a weight's first step by Adam is lr·g/(|g| + ε), so the sign of a gradient of the size of
    its rounding error decides a whole step. In float32 that error is 1e-7 of the largest of its thousands of terms, and
    some of 205,724 gradients are as small; in float64 it is 1e-16 of it. Weights are compared where |g| > 1e-9, and
    there differ by at most lr · 1e-16 · 1e3 terms / 1e-9 = 2e-7 (lr 2e-3).
    """
    method = registry.methods()["dcgan"]
    config = AdversarialConfig(loss="non-saturating", precision="float32", batch_size=8)
    task = world(32).task(method)
    generator, discriminator = new_networks(task, config)
    for network in (generator, discriminator):
        train_unfrozen(network.double())
    theirs = deepcopy((generator, discriminator))
    real = world(32).pixels(world(32).target, 8).double() / 127.5 - 1
    first, second = torch.randn(2, 8, 128, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    waiting = iter((first, second))
    ours = Adversary(task, config, generator, discriminator, real=lambda _: real, latents=lambda _: next(waiting))
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # the step rounds to float32 after autocast
    losses = ours.discriminator_step(8) | ours.generator_step(8, TrainingLog(task, Meter(ComputeBudget(kimg=1))))
    expected = example_step(*theirs, real, (first, second), config.lr_generator)
    torch.testing.assert_close(losses["discriminator"], expected[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(losses["generator"], expected[1], rtol=1e-9, atol=0)
    for network, other in zip((generator, discriminator), theirs, strict=True):
        for parameter, reference in zip(network.parameters(), other.parameters(), strict=True):
            assert reference.grad is not None
            sure = reference.grad.abs() > 1e-9
            torch.testing.assert_close(parameter[sure], reference[sure], rtol=0, atol=2e-7)
