"""The U-Net keeps its shapes; its parts are their formulas; every parameter learns."""

from __future__ import annotations

import math

import msgspec
import pytest
import torch
import torch.nn.functional as F
from random_inputs import noise, rng
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from graftbench.nn.build import count_parameters, seeded
from graftbench.nn.schedule import ScheduleSpec
from graftbench.nn.unet import (
    Attention,
    DenoisingUNet,
    DenoisingUNetSpec,
    ResidualBlock,
    UNetSpec,
    VelocityUNet,
    time_embedding,
)


def awake(spec: DenoisingUNetSpec) -> DenoisingUNet:
    """A U-Net whose last convolution is not zero."""
    unet = seeded(lambda: DenoisingUNet(spec), rng())
    nn.init.normal_(unet.to_rgb.weight, std=0.1, generator=rng(1))
    return unet


@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128])
def test_shape(resolution: int) -> None:
    """Images and their noise levels give noise of the images' shape, at 8 px too, where nothing is halved."""
    unet = awake(DenoisingUNetSpec(resolution))
    assert unet(noise(2, 3, resolution, resolution), torch.tensor([0, 999])).shape == (2, 3, resolution, resolution)
    assert len(unet.halve) == int(math.log2(resolution / 8))


def test_widths_double_towards_the_coarse_end() -> None:
    """Twice the channels at half the side, from the image's down to 8, and no more than `widest` times the first."""
    assert DenoisingUNetSpec(64, channels=16, widest=4).widths() == [16, 32, 64, 64]
    assert DenoisingUNetSpec(8, channels=32).widths() == [32]


def test_size() -> None:
    """The default at 32 px is about half a million parameters, 1/80 of the paper's CIFAR network."""
    assert 0.4e6 < count_parameters([DenoisingUNet(DenoisingUNetSpec(32))]) < 0.5e6


def test_fresh_prediction() -> None:
    """The layers begin at zero, so the first prediction is √(1 − ᾱ) x: all noise at the last level, none at the first.

    ᾱ of the linear schedule's first level is 1 − 1e-4, so its share of x is 0.01.
    """
    unet = seeded(lambda: DenoisingUNet(DenoisingUNetSpec(8, schedule=ScheduleSpec("linear"))), rng())
    x = noise(2, 3, 8, 8)
    assert not unet.layers(x, torch.tensor([0, 999])).any()
    first, last = unet(x, torch.tensor([0, 999]))
    torch.testing.assert_close(first, 0.01 * x[0], rtol=1e-3, atol=0.0)
    torch.testing.assert_close(last, x[1], rtol=1e-4, atol=0.0)


def test_layers_predict_the_velocity() -> None:
    """Where the layers are right about v = √ᾱ ε − √(1 − ᾱ) x_0, the network is right about ε, at every level."""
    unet = DenoisingUNet(DenoisingUNetSpec(8))
    clean, true = noise(5, 3, 8, 8), noise(5, 3, 8, 8, seed=1)
    t = torch.tensor([0, 250, 500, 750, 999])
    share = unet.alpha_bars[t][:, None, None, None]
    unet.layers = lambda x, t: share.sqrt() * true - (1 - share).sqrt() * clean  # noqa: ARG005 - as it is called
    torch.testing.assert_close(unet(share.sqrt() * clean + (1 - share).sqrt() * true, t), true)


def test_velocity_is_what_the_layers_say() -> None:
    """A velocity network is the same layers, asked at 1000 t; the weights of one go into the other by name."""
    denoising = awake(DenoisingUNetSpec(8))
    velocity = VelocityUNet(UNetSpec(8))
    velocity.load_state_dict(denoising.state_dict())
    x = noise(2, 3, 8, 8)
    found = velocity(x, torch.tensor([0.0, 0.25]))
    torch.testing.assert_close(found, denoising.layers(x, torch.tensor([0, 250])))


def test_fresh_velocity_is_zero() -> None:
    """The last convolution begins at zero."""
    assert not VelocityUNet(UNetSpec(8))(noise(2, 3, 8, 8), torch.tensor([0.0, 1.0])).any()


def test_every_parameter_learns() -> None:
    """Three steps of Adam move everything, though the last layer starts at zero and hides the others in the first."""
    unet = seeded(lambda: DenoisingUNet(DenoisingUNetSpec(32)), rng())
    before = {name: parameter.detach().clone() for name, parameter in unet.named_parameters()}
    optimizer = torch.optim.Adam(unet.parameters(), lr=1e-3)
    for step in range(3):
        optimizer.zero_grad()
        target = noise(4, 3, 32, 32, seed=step)
        F.mse_loss(unet(noise(4, 3, 32, 32, seed=9), torch.tensor([0, 300, 600, 999])), target).backward()
        optimizer.step()
    assert [name for name, parameter in unet.named_parameters() if torch.equal(parameter, before[name])] == []


def test_images_of_a_batch_keep_apart() -> None:
    """What is predicted for an image depends neither on its neighbours nor on its place.

    Tolerance: convolutions of one and of three images add up in another order, float32.
    """
    unet, x, t = awake(DenoisingUNetSpec(16)).eval(), noise(3, 3, 16, 16), torch.tensor([10, 500, 900])
    together = unet(x, t)
    for i in range(3):
        torch.testing.assert_close(unet(x[i : i + 1], t[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(unet(x.flip(0), t.flip(0)).flip(0), together, rtol=1e-4, atol=1e-5)


def test_level_matters() -> None:
    """The same image at another noise level gets another prediction from the layers."""
    unet, x = awake(DenoisingUNetSpec(8)), noise(1, 3, 8, 8)
    assert not torch.allclose(unet.layers(x, torch.tensor([100])), unet.layers(x, torch.tensor([101])), atol=1e-6)


def test_time_embedding() -> None:
    """Four dimensions hold sin t, sin(t/10000), cos t, cos(t/10000)."""
    found = time_embedding(torch.tensor([0, 3]), 4)
    expected = [[0.0, 0.0, 1.0, 1.0], [math.sin(3), math.sin(3e-4), math.cos(3), math.cos(3e-4)]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_residual_block() -> None:
    """The input plus the two convolutions' output, each behind norm and SiLU, the time added between them."""
    block, x, e = seeded(lambda: ResidualBlock(16, 16, 5), rng()), noise(2, 16, 4, 4), noise(2, 5)
    h = block.conv1(F.silu(block.norm1(x))) + (e @ block.time.weight.T + block.time.bias)[:, :, None, None]
    torch.testing.assert_close(block(x, e), x + block.conv2(F.silu(block.norm2(h))))


def test_attention() -> None:
    """It is torch's scaled dot-product attention over the positions, around which the input is added."""
    layer, x = seeded(lambda: Attention(16), rng()), noise(2, 16, 4, 4)
    q, k, v = (layer.norm(x).flatten(2).mT @ layer.qkv.weight.T).chunk(3, dim=2)
    mixed = layer.out(F.scaled_dot_product_attention(q, k, v))
    torch.testing.assert_close(layer(x), x + mixed.mT.reshape(2, 16, 4, 4), rtol=1e-4, atol=1e-5)


def test_attention_has_no_places() -> None:
    """Shuffled positions come out shuffled alike: what attends knows no place but by what the convolutions say."""
    layer, x = seeded(lambda: Attention(16), rng()), noise(1, 16, 4, 4)
    order = torch.randperm(16, generator=rng(1))
    shuffled = layer(x.flatten(2)[:, :, order].unflatten(2, (4, 4)))
    torch.testing.assert_close(shuffled.flatten(2), layer(x).flatten(2)[:, :, order], rtol=1e-4, atol=1e-5)


def test_attention_is_counted() -> None:
    """Its arithmetic is in torch's count, on which a budget in FLOPs rests: 2·P·C·4C + 2·2·P²·C for P positions."""
    layer, x = Attention(16), noise(1, 16, 8, 8)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * 64 * 16 * 64 + 2 * 2 * 64 * 64 * 16


@pytest.mark.parametrize("resolution", [4, 12, 48])
def test_wrong_resolution(resolution: int) -> None:
    """A side that halving does not bring to 8 is refused with what would be right."""
    with pytest.raises(ValueError, match=rf"4·2\^k \(8, 16, 32, 64, …\); found {resolution}$"):
        DenoisingUNetSpec(resolution)


@pytest.mark.parametrize("channels", [0, -16, 8, 24])
def test_wrong_channels(channels: int) -> None:
    """A group of one channel would cancel the bias before it and the time, which then never move."""
    with pytest.raises(ValueError, match=f"a multiple of 16; found {channels}$"):
        DenoisingUNetSpec(channels=channels)


@pytest.mark.parametrize("wrong", ["widest", "blocks"])
def test_wrong_size(wrong: str) -> None:
    """At least one block, and no less than the first width."""
    with pytest.raises(ValueError, match="widest and blocks must be positive"):
        msgspec.structs.replace(DenoisingUNetSpec(), **{wrong: 0})
