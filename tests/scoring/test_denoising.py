"""The held-out loss of networks whose error is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np
import pytest
import torch
from random_inputs import rng
from torch import nn

from graftbench.images.prepared import ImageSet
from graftbench.metrics.denoising import PARTS
from graftbench.nn.unet import DenoisingUNetSpec, UNetSpec, VelocityUNet
from graftbench.records.cell_spec import Protocol
from graftbench.scoring.denoising import NOISE_SEED, denoising_scores, held_out_errors
from graftbench.scoring.protocol import resolve_protocol
from graftbench.training.diffusion import DiffusionSampler
from graftbench.training.flow_matching import FlowSampler
from graftbench.training.samplers import ImageBankSampler

if TYPE_CHECKING:
    from graftbench.nn.unet import DenoisingUNet

PROTOCOL = resolve_protocol(Protocol(size=32, n_generated=6, metrics=["denoising"]))


def silent(network: VelocityUNet) -> VelocityUNet:
    """The network with all weights 0: it predicts 0 everywhere."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    return network


def images(n: int) -> torch.Tensor:
    """Random images: uint8 n×3×16×16."""
    return torch.randint(256, (n, 3, 16, 16), dtype=torch.uint8, generator=rng(0))


def noise_of(n: int) -> list[torch.Tensor]:
    """The noise of each part of the time, as every network gets it."""
    generator = torch.Generator().manual_seed(NOISE_SEED)
    return [torch.randn(n, 3, 16, 16, generator=generator) for _ in range(PARTS)]


class Knows(nn.Module):
    """A network that knows the only image, and so the noise in what it is shown: ε = (x_t − √ᾱ x_0)/√(1 − ᾱ).

    Of an image that it does not know it says that there is no noise.
    """

    alpha_bars: torch.Tensor

    def __init__(self, image: torch.Tensor | None) -> None:
        super().__init__()
        self.spec, self.levels = DenoisingUNetSpec(16), []
        self.image = None if image is None else image.float() / 127.5 - 1
        self.register_buffer("alpha_bars", self.spec.schedule.alpha_bars().float())

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return the noise."""
        self.levels += t.tolist()
        share = self.alpha_bars[t].view(-1, 1, 1, 1)
        return torch.zeros_like(x) if self.image is None else (x - share.sqrt() * self.image) / (1 - share).sqrt()


def test_a_diffusion_model_that_sees_no_noise_errs_by_all_of_it() -> None:
    """A network that predicts 0 has the error ε² in each part of the time, of more images than a batch."""
    errors = held_out_errors(DiffusionSampler(cast("DenoisingUNet", Knows(None)), steps=2, eta=0.0), images(40))
    expected = torch.stack([noise.square().mean(dim=(1, 2, 3)) for noise in noise_of(40)], dim=1)
    np.testing.assert_allclose(errors, expected.numpy(), rtol=1e-6)


def test_a_flow_that_stands_still_errs_by_the_whole_way() -> None:
    """A velocity of 0 has the error (x₁ − x₀)²."""
    network = silent(VelocityUNet(UNetSpec(16)))
    errors = held_out_errors(FlowSampler(network, steps=2, solver="euler"), images(3))
    x = images(3).float() / 127.5 - 1
    expected = torch.stack([(x - noise).square().mean(dim=(1, 2, 3)) for noise in noise_of(3)], dim=1)
    np.testing.assert_allclose(errors, expected.numpy(), rtol=1e-6)


def test_who_knows_the_image_does_not_err() -> None:
    """The loss is 0 up to rounding, at the levels in the middle of eight parts of a thousand."""
    network = Knows(images(1))
    errors = held_out_errors(DiffusionSampler(cast("DenoisingUNet", network), steps=2, eta=0.0), images(1))
    assert errors.max() < 1e-8
    assert network.levels == [62, 187, 312, 437, 562, 687, 812, 937]


def domain() -> ImageSet:
    """Ten images of 16 px, the last four of them the reference."""
    ids = tuple("abcdefghij")
    return ImageSet("noise", 16, ids, ids, ("train",) * 6 + ("reference",) * 4, images(10).numpy(), "noise")


def test_each_network_has_the_loss_of_what_it_predicts() -> None:
    """The mean over the reference; the other loss, and both of a method without a network, say why there is none."""
    flow = FlowSampler(silent(VelocityUNet(UNetSpec(16))), steps=2, solver="euler")
    noise_loss, velocity_loss = denoising_scores(flow, domain(), PROTOCOL)
    assert (noise_loss.name, velocity_loss.name) == ("denoising_loss", "velocity_loss")
    assert noise_loss.undefined == "the method has no network that predicts the noise in an image"
    assert velocity_loss.value == pytest.approx(held_out_errors(flow, images(10)[6:]).mean(), rel=1e-12)
    assert velocity_loss.n_reference == 4
    bank = denoising_scores(ImageBankSampler(images(1)), domain(), PROTOCOL)
    assert [score.value for score in bank] == [None, None]


def test_what_was_not_asked_for_is_not_scored() -> None:
    """One of both alone, or none."""
    flow = FlowSampler(silent(VelocityUNet(UNetSpec(16))), steps=2, solver="euler")
    for metrics in (["kid"], ["kid", "velocity_loss"]):
        scores = denoising_scores(flow, domain(), msgspec.structs.replace(PROTOCOL, metrics=metrics))
        assert [score.name for score in scores] == metrics[1:]
