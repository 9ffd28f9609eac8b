"""Gram matrices, moments and their exchange against numbers made by hand; the network that exchanges them."""

from __future__ import annotations

import pytest
import torch
from random_inputs import rng

from graftbench.nn.build import seeded
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.nn.style import (
    CHANNELS,
    EPSILON,
    REDUCTION,
    Stylizer,
    StylizerSpec,
    adain,
    decoder,
    gram,
    moments,
    total_variation,
)


def features(*shape: int, seed: int = 0) -> torch.Tensor:
    """Float64 features with a mean and a deviation of their own per map."""
    maps = torch.randn(*shape, generator=rng(seed), dtype=torch.float64)
    scale = 1 + torch.arange(shape[1], dtype=torch.float64)[:, None, None]
    return scale * maps + scale.sqrt()


def test_gram_by_hand() -> None:
    """Features (1, 2) and (3, 4) over two positions: [[5, 11], [11, 25]] / 2."""
    assert gram(torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])).tolist() == [[[2.5, 5.5], [5.5, 12.5]]]


def test_gram_is_the_mean_product() -> None:
    """It is Σ_yx F_c F_d / (H·W) per image, and does not know where in the image anything is."""
    maps = features(3, 4, 5, 6)
    expected = torch.einsum("bcyx,bdyx->bcd", maps, maps) / 30
    torch.testing.assert_close(gram(maps), expected)
    torch.testing.assert_close(gram(maps.flip(2, 3)), expected)


def test_gram_of_half_precision_is_summed_in_float32() -> None:
    """300 positions of 1 sum to 300, which bfloat16 cannot count to; their mean is 1."""
    maps = torch.ones(1, 1, 15, 20, dtype=torch.bfloat16)
    assert gram(maps).dtype == torch.float32
    assert gram(maps).item() == 1


def test_moments_by_hand() -> None:
    """Of 0, 2, 4, 6: mean 3, variance 20/4 = 5 (not 20/3)."""
    mean, deviation = moments(torch.tensor([0.0, 2.0, 4.0, 6.0], dtype=torch.float64).view(1, 1, 2, 2))
    assert mean.item() == 3
    assert deviation.item() == pytest.approx((5 + EPSILON) ** 0.5, rel=1e-15)


def test_adain_has_the_styles_moments() -> None:
    """Mean exactly; deviation but for ε: σ_y √(v/(v + ε)), v the content's variance."""
    content, style = features(2, 3, 4, 4), 5 * features(2, 3, 6, 7, seed=1) - 2
    mean, deviation = moments(adain(content, style))
    wanted_mean, wanted_deviation = moments(style)
    torch.testing.assert_close(mean, wanted_mean)
    variance = content.var(dim=(2, 3), correction=0, keepdim=True)
    shrunk = (wanted_deviation * (variance / (variance + EPSILON)).sqrt()).square() + EPSILON
    torch.testing.assert_close(deviation, shrunk.sqrt())


def test_adain_of_an_image_in_its_own_style() -> None:
    """It is that image, flat maps (no variance) included."""
    maps = features(2, 3, 4, 4)
    maps[:, 0] = 7
    torch.testing.assert_close(adain(maps, maps), maps)


def test_adain_does_not_see_the_contents_own_moments() -> None:
    """2x − 3 in a style is x in that style, but for ε (relative 1e-5 of variances of 1 and more)."""
    content, style = features(1, 3, 8, 8), features(1, 3, 8, 8, seed=1)
    torch.testing.assert_close(adain(2 * content - 3, style), adain(content, style), rtol=1e-4, atol=1e-4)


def test_total_variation_by_hand() -> None:
    """Of [[0, 1], [3, 5]]: down 3² + 4², across 1² + 2², over four numbers; nothing for a flat image."""
    image = torch.tensor([[0.0, 1.0], [3.0, 5.0]]).view(1, 1, 2, 2)
    assert total_variation(image).item() == 30 / 4
    assert total_variation(torch.full((2, 3, 4, 4), 0.3)).item() == 0


def test_the_table_of_maps() -> None:
    """Channels and reductions are those of EfficientNet-Lite0's blocks."""
    encoder = Stylizer(StylizerSpec(depth=3, enlarge=1)).encoder
    maps = encoder(torch.zeros(1, 3, 32, 32))
    assert len(maps) == Lite0Blocks.STAGES
    assert tuple(m.shape[1] for m in maps) == CHANNELS
    assert tuple(32 // m.shape[2] for m in maps) == REDUCTION


@pytest.mark.parametrize("resolution", [8, 32, 64])
@pytest.mark.parametrize(("depth", "enlarge"), [(0, 1), (0, 2), (2, 2), (3, 1)])
def test_stylizer_shape(resolution: int, depth: int, enlarge: int) -> None:
    """The decoder doubles what the encoder has halved, whatever the depth."""
    spec = StylizerSpec(depth=depth, enlarge=enlarge, channels=4)
    images = torch.rand(2, 3, resolution, resolution, generator=rng()) * 2 - 1
    made = decoder(spec, CHANNELS[depth])(Stylizer(spec).encoder(images)[-1])
    assert made.shape == images.shape
    assert made.isfinite().all()


def test_stylizer_is_the_decoded_exchange() -> None:
    """Content and style go in in this order; the encoder is cut off at its depth and wants no gradient."""
    network = seeded(lambda: Stylizer(StylizerSpec(depth=1)), rng())
    content, style = torch.rand(2, 2, 3, 16, 16, generator=rng()) * 2 - 1
    wanted = adain(network.encoder(content)[1], network.encoder(style)[1])
    torch.testing.assert_close(network(content, style), network.decoder(wanted))
    assert len(network.encoder(content)) == 2
    assert not any(p.requires_grad for p in network.encoder.parameters())
    assert all(p.requires_grad for p in network.decoder.parameters())


@pytest.mark.parametrize("parameters", [{"depth": -1}, {"depth": 4}, {"enlarge": 0}, {"enlarge": 4}, {"channels": 0}])
def test_wrong_stylizer(parameters: dict[str, int]) -> None:
    """The sentence names the parameter and what it found."""
    ((name, value),) = parameters.items()
    with pytest.raises(ValueError, match=rf"^{name} .*found {value}$"):
        StylizerSpec(**parameters)
