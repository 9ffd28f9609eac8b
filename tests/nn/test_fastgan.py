"""FastGAN's networks: shapes at all sides, gates and quarters by hand, and what the decoders teach."""

from __future__ import annotations

import pytest
import torch
from random_inputs import rng
from torch import nn

from graftbench.nn.build import seeded
from graftbench.nn.fastgan import (
    Excitation,
    FastDiscriminator,
    FastGenerator,
    FastGeneratorSpec,
    halved,
    quartered,
    reconstruction_loss,
)


@pytest.mark.parametrize(("side", "gates", "logits"), [(32, 1, 2), (64, 2, 50), (256, 4, 50)])
def test_shapes(side: int, gates: int, logits: int) -> None:
    """Images of the side; a gate from each map to that of eight times its side; logits of both views.

    Below 64 px the last map is 4×4 and a 4×4 convolution gives one logit a view, else 8×8 and 5×5.
    """
    generator = seeded(lambda: FastGenerator(FastGeneratorSpec(side, latent=8, channels=2)), rng())
    discriminator = seeded(lambda: FastDiscriminator(side, 4), rng(1)).eval()
    images = generator(torch.randn(2, 8, generator=rng(2)))
    assert images.shape == (2, 3, side, side)
    assert images.abs().max() <= 1
    assert len(generator.gates) == gates
    maps = discriminator.maps(images)
    assert maps.logits.shape == (2, logits)
    assert torch.equal(maps.logits, discriminator(images))
    assert maps.part.shape[-1] == 2 * maps.whole.shape[-1] == 2 * maps.small.shape[-1]
    for quarter in range(4):
        assert {image.shape for image in discriminator.redrawn(maps, quarter).values()} == {
            (2, 3, side // 2, side // 2)
        }


@pytest.mark.parametrize("side", [8, 16, 48])
def test_sides_that_it_cannot_make(side: int) -> None:
    """Sides below 32 and those that are no 4·2^k are refused."""
    with pytest.raises(ValueError, match=f"found {side}"):
        FastGeneratorSpec(side)


def test_excitation_by_hand() -> None:
    """With weights of 0 the gate is σ(0) = ½; with a coarse map of ones, and ones as weights, σ(swish(16))."""
    gate = Excitation(1, 1)
    high = torch.tensor([[[[2.0, -4.0]]]])
    low = torch.ones(1, 1, 4, 4)
    for parameter in gate.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(gate(low, high), high / 2)
    for parameter in gate.parameters():
        nn.init.ones_(parameter)
    swish = torch.tensor(16.0) * torch.tensor(16.0).sigmoid()
    torch.testing.assert_close(gate(low, high), high * swish.sigmoid())


def test_quarters_and_halves_by_hand() -> None:
    """Of 0…15 in rows of four: quarters from the upper left, and every second pixel of every second row."""
    x = torch.arange(16.0).view(1, 1, 4, 4)
    corners = [quartered(x, quarter).flatten().tolist() for quarter in range(4)]
    assert corners == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert halved(x).flatten().tolist() == [0, 2, 8, 10]


def test_reconstruction_by_hand() -> None:
    """Decoders that draw grey cost the mean absolute pixel of each of their targets: 1 + 1 + 1 of an image of ±1."""
    discriminator = seeded(lambda: FastDiscriminator(32, 4), rng())
    for decoder in discriminator.decoders.values():
        last = [part for part in decoder.modules() if isinstance(part, nn.Conv2d)][-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.get_parameter("bias"))
    real = torch.randint(0, 2, (2, 3, 32, 32), generator=rng()).float() * 2 - 1
    assert reconstruction_loss(discriminator, real, 0).item() == 3


@pytest.mark.slow
def test_reconstruction_teaches_maps_and_decoders() -> None:
    """Its gradient reaches decoders and maps, not the logits' layers; steps down it alone make it smaller."""
    discriminator = seeded(lambda: FastDiscriminator(32, 8), rng())
    real = torch.rand(4, 3, 32, 32, generator=rng()) * 2 - 1
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = reconstruction_loss(discriminator, real, 1)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    untouched = {name for name, p in discriminator.named_parameters() if p.grad is None}
    assert untouched == {
        name for name, _ in discriminator.named_parameters() if name.startswith(("head", "small_head"))
    }
    assert losses[-1] < 0.9 * losses[0]


def test_batches_do_not_mix() -> None:
    """An image's logits do not depend on the images beside it: real and generated ones come in one batch."""
    discriminator = seeded(lambda: FastDiscriminator(32, 4), rng()).eval()
    images = torch.rand(4, 3, 32, 32, generator=rng()) * 2 - 1
    torch.testing.assert_close(discriminator(images)[:2], discriminator(images[:2]), rtol=1e-4, atol=1e-5)
