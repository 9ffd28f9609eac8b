"""StyleGAN2's layers against their definitions: kernels of each image, filters, gains, deviations."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from random_inputs import rng

from graftbench.nn.build import seeded
from graftbench.nn.stylegan2 import (
    MAPPING_RATE,
    ScaledConvolution,
    ScaledLinear,
    StyleDiscriminator,
    StyleDiscriminatorSpec,
    StyleGenerator,
    StyleGeneratorSpec,
    activated,
    blurred,
    doubled,
    modulated_convolution,
    stage_widths,
    with_deviation,
)

SPEC = StyleGeneratorSpec(widths=[8, 6, 4], latent=5, style=7, depth=2)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Float64 numbers, N(0, 1)."""
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


# -------------------------------------------------------------------------------------------------- modulated kernels


def test_modulated_convolution_by_hand() -> None:
    """One pixel, two channels in, one out, a 1×1 kernel: (3·2·1 + 4·½·2) / √((3·2)² + (4·½)²) = 10 / √40."""
    x = torch.tensor([1.0, 2.0], dtype=torch.float64).view(1, 2, 1, 1)
    weight = torch.tensor([3.0, 4.0], dtype=torch.float64).view(1, 2, 1, 1)
    styles = torch.tensor([[2.0, 0.5]], dtype=torch.float64)
    assert float(modulated_convolution(x, weight, styles, demodulate=False)) == pytest.approx(10)
    assert float(modulated_convolution(x, weight, styles)) == pytest.approx(10 / math.sqrt(40))


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("double", [True, False])
def test_each_image_has_kernels_of_its_own(*, demodulate: bool, double: bool) -> None:
    """It is one grouped convolution with kernels s_i w_oi, each divided by its norm (equations 1 and 3)."""
    x, weight, styles = normal(2, 3, 4, 4), normal(5, 3, 3, 3, seed=1), normal(2, 3, seed=2)
    kernels = weight * styles[:, None, :, None, None]
    if demodulate:
        kernels = kernels / (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    if double:
        grouped = kernels.transpose(1, 2).reshape(2 * 3, 5, 3, 3)
        wide = F.conv_transpose2d(x.reshape(1, 6, 4, 4), grouped, stride=2, groups=2).view(2, 5, 9, 9)
        taps = torch.tensor([1, 3, 3, 1], dtype=torch.float64)
        filters = (torch.outer(taps, taps) / 16).expand(5, 1, 4, 4)
        expected = F.conv2d(wide, filters, padding=1, groups=5)
    else:
        expected = F.conv2d(x.reshape(1, 6, 4, 4), kernels.view(10, 3, 3, 3), padding=1, groups=2).view(2, 5, 4, 4)
    found = modulated_convolution(x, weight, styles, demodulate=demodulate, double=double)
    torch.testing.assert_close(found, expected)


def test_demodulation_gives_unit_variance() -> None:
    """Of white noise whatever the styles: the expected square of an output is 1, inside the border.

    To five standard errors of the mean of 4·16·30² squares, of which those within two pixels are correlated (×9).
    """
    x, weight = normal(4, 8, 32, 32), normal(16, 8, 3, 3, seed=1)
    styles = 1 + 3 * normal(4, 8, seed=2).abs()
    inside = modulated_convolution(x, weight, styles)[:, :, 1:-1, 1:-1]
    assert float(inside.square().mean()) == pytest.approx(1, abs=5 * math.sqrt(2 * 9 / inside.numel()))


# ----------------------------------------------------------------------------------------------------------- filters


def test_doubled_keeps_a_constant() -> None:
    """Away from the border; upfirdn2d of zeros between pixels, padded by two and one, with weights that add up to 4."""
    x = normal(1, 2, 5, 5)
    spread = torch.zeros(1, 2, 10, 10, dtype=torch.float64)
    spread[:, :, ::2, ::2] = x
    taps = torch.tensor([1, 3, 3, 1], dtype=torch.float64)
    filters = (torch.outer(taps, taps) / 16).expand(2, 1, 4, 4)
    expected = F.conv2d(F.pad(spread, (2, 1, 2, 1)), filters, groups=2)
    torch.testing.assert_close(doubled(x), expected)
    flat = doubled(torch.full((1, 1, 6, 6), 0.7, dtype=torch.float64))[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(flat, torch.full_like(flat, 0.7))


def test_blurred_pixel() -> None:
    """A single pixel becomes the filter (1, 3, 3, 1)² / 64."""
    x = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    x[0, 0, 3, 3] = 64
    taps = torch.tensor([1, 3, 3, 1], dtype=torch.float64)
    torch.testing.assert_close(blurred(x, padding=0)[0, 0], torch.outer(taps, taps))


# ------------------------------------------------------------------------------------------------ equalised learning


def test_gains() -> None:
    """Weights are of unit variance and scaled when used: a sum of n squares of weights is about n / gain²."""
    linear = seeded(lambda: ScaledLinear(400, 50, rate=MAPPING_RATE), rng())
    assert linear.weight.std().item() == pytest.approx(1 / MAPPING_RATE, rel=0.05)
    x = torch.randn(3, 400, generator=rng(1))
    torch.testing.assert_close(linear(x), x @ linear.weight.T * MAPPING_RATE / 20)
    convolution = seeded(lambda: ScaledConvolution(16, 8, 3), rng())
    images = torch.randn(2, 16, 4, 4, generator=rng(1))
    expected = F.leaky_relu(F.conv2d(images, convolution.weight / 12, padding=1), 0.2) * math.sqrt(2)
    torch.testing.assert_close(convolution(images), expected)


def test_activation() -> None:
    """√2 · x above zero, √2 · x / 5 below."""
    x = torch.tensor([1.0, -1.0])
    torch.testing.assert_close(activated(x), torch.tensor([math.sqrt(2), -math.sqrt(2) / 5]))


@pytest.mark.parametrize(
    ("resolution", "channels", "widths"),
    [
        (256, 128, [512, 512, 512, 512, 512, 256, 128]),  # configuration F: base 32,768
        (256, 64, [512, 512, 512, 512, 256, 128, 64]),  # the code's `auto` at 256 px: base 16,384
        (32, 16, [128, 64, 32, 16]),
        (8, 600, [600, 600]),
    ],
)
def test_widths(resolution: int, channels: int, widths: list[int]) -> None:
    """min(base / side, 512), but never fewer than at full resolution."""
    assert stage_widths(resolution, channels) == widths


# ---------------------------------------------------------------------------------------------------------- networks


def test_shapes_and_chances() -> None:
    """All chance is in z: with the noise's numbers behind it, and without them each layer's own map."""
    generator = seeded(lambda: StyleGenerator(SPEC), rng())
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.constant_(parameter, 0.5)
    z = torch.randn(3, 5, generator=rng(1))
    fixed = generator(z)
    assert fixed.shape == (3, 3, 16, 16)
    assert torch.equal(fixed, generator(z))
    assert SPEC.resolution == 16
    assert SPEC.noise_sides == [4, 8, 8, 16, 16]
    noise = torch.randn(3, 4**2 + 2 * 8**2 + 2 * 16**2, generator=rng(2))
    drawn = generator(torch.cat([z, noise], 1))
    assert not torch.allclose(drawn, fixed)
    maps = [generator.synthesis[f"b{side}"][name].noise_const for side, name in ((4, "conv1"), (8, "conv0"))]  # type: ignore[index]
    own = torch.cat([tensor.flatten() for name, tensor in generator.named_buffers() if name.endswith("noise_const")])
    assert torch.equal(own[:80], torch.cat([part.flatten() for part in maps]))
    torch.testing.assert_close(generator(torch.cat([z, own.expand(3, -1)], 1)), fixed)


def test_length_of_z_does_not_count() -> None:
    """The mapping brings z to length √latent first."""
    generator = seeded(lambda: StyleGenerator(SPEC), rng())
    z = torch.randn(3, 5, generator=rng(1))
    torch.testing.assert_close(generator(7 * z), generator(z))


def test_styles_of_layers() -> None:
    """One style for all is the same style for each; the last one colours the image alone."""
    generator = seeded(lambda: StyleGenerator(SPEC), rng()).double()
    w = normal(2, 7)
    each = w[:, None].repeat(1, 6, 1)
    torch.testing.assert_close(generator.synthesized(each), generator.synthesized(w))
    each.requires_grad_()
    slopes = torch.autograd.grad(generator.synthesized(each).square().sum(), each)[0]
    assert (slopes.abs().sum((0, 2)) > 0).all()


def test_deviation_by_hand() -> None:
    """Groups of four neighbours: a group of equal images has (about) none, one of ±1 has 1."""
    x = torch.ones(8, 2, 4, 4)
    x[4:6] = -1
    channel = with_deviation(x)[:, 2]
    torch.testing.assert_close(channel[:4], torch.full((4, 4, 4), 1e-4))
    torch.testing.assert_close(channel[4:], torch.ones(4, 4, 4))


@pytest.mark.parametrize("half", [1, 2, 3, 4, 5, 6, 7, 8])
def test_deviation_keeps_real_and_generated_apart(half: int) -> None:
    """In a batch of as many of either, real images are judged as if the generated ones were others."""
    real, fake = torch.randn(half, 2, 4, 4, generator=rng()), torch.randn(2, half, 2, 4, 4, generator=rng(1))
    first, second = (with_deviation(torch.cat([real, images]))[:half] for images in fake)
    assert torch.equal(first, second)


def test_discriminator_judges_each_group() -> None:
    """One logit an image, of images of its side; another image changes those of its own group alone."""
    judge = seeded(lambda: StyleDiscriminator(StyleDiscriminatorSpec([8, 6, 4])), rng())
    x = torch.randn(8, 3, 16, 16, generator=rng(1))
    other = x.clone()
    other[7] = 0
    logits, changed = judge(x), judge(other)
    assert logits.shape == (8,)
    torch.testing.assert_close(logits[:4], changed[:4])
    assert not torch.allclose(logits[4:7], changed[4:7], atol=1e-6, rtol=0)


def test_bad_widths() -> None:
    """What is no architecture is refused with what was found."""
    with pytest.raises(ValueError, match=r"at least two widths.*found \[8\]"):
        StyleGeneratorSpec(widths=[8])
    with pytest.raises(ValueError, match=r"found \[8, 0\]"):
        StyleDiscriminatorSpec(widths=[8, 0])
    with pytest.raises(ValueError, match="found 24"):
        stage_widths(24, 16)
