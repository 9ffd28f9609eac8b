"""R1 and path lengths where they are known; the sampler and the source model come back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch
from random_inputs import rng
from torch import nn

from graftbench.contracts import SourceModel
from graftbench.errors import GraftbenchError
from graftbench.nn.build import seeded
from graftbench.nn.stylegan2 import StyleDiscriminator, StyleDiscriminatorSpec, StyleGenerator, StyleGeneratorSpec
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import DiscriminatorPass, GeneratorPass
from graftbench.training.samplers import load_sampler, save_sampler
from graftbench.training.source import stored
from graftbench.training.stylegan2 import (
    LazyPathLength,
    LazyR1,
    StyleGanConfig,
    StyleGanSampler,
    path_lengths,
    source_sampler,
    source_style_networks,
)

if TYPE_CHECKING:
    from pathlib import Path

GENERATOR = StyleGeneratorSpec(widths=[6, 4], latent=5, style=7, depth=2)


class Linear(nn.Module):
    """D(x) = a · x: its gradient is a at every image."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(3, 4, 4, generator=rng()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map B×3×4×4 to B."""
        return (self.a * x).sum((1, 2, 3))


def batch(images: torch.Tensor) -> DiscriminatorPass:
    """A pass over real images."""
    nothing = torch.zeros(len(images))
    return DiscriminatorPass(images, images, nothing, nothing, ())


def test_r1_of_a_linear_discriminator() -> None:
    """γ/2 · ‖a‖² times the interval, with the gradient γ · a times the interval."""
    linear = Linear()
    loss = LazyR1(linear, gamma=3.0, every=4)(batch(torch.randn(5, 3, 4, 4, generator=rng(1))))["r1"]
    torch.testing.assert_close(loss, 1.5 * 4 * linear.a.square().sum())
    (slope,) = torch.autograd.grad(loss, linear.a)
    torch.testing.assert_close(slope, 3.0 * 4 * linear.a.detach())


def test_r1_is_lazy_and_goes_on() -> None:
    """It is due at the first of every three steps, also where a count was loaded."""
    term, images = LazyR1(Linear(), gamma=1.0, every=3), batch(torch.zeros(2, 3, 4, 4))
    due = [bool(term(images)) for _ in range(4)]
    assert due == [True, False, False, True]
    other = LazyR1(Linear(), gamma=1.0, every=3)
    other.load_state_dict(term.state_dict())
    assert [bool(other(images)) for _ in range(3)] == [False, False, True]


def test_path_lengths_are_those_of_the_jacobian() -> None:
    """‖J_wᵀ y‖ over the styles of all layers, by the Jacobian of one image, root of the mean over layers."""
    generator = seeded(lambda: StyleGenerator(GENERATOR), rng()).double()
    z = torch.randn(1, 5, generator=rng(1), dtype=torch.float64)
    (length,) = path_lengths(generator, z, rng(2))
    layers = len(GENERATOR.noise_sides) + 1
    styles = generator.mapped(z)[:, None].repeat(1, layers, 1).detach()
    jacobian: Any = torch.autograd.functional.jacobian(generator.synthesized, styles)
    y = torch.randn(1, 3, 8, 8, generator=rng(2)).double() / 8
    pulled = torch.einsum("bchw,bchwnls->ls", y, jacobian)
    torch.testing.assert_close(length, (pulled.square().sum() / layers).sqrt())


def test_path_length_penalty_remembers_its_mean() -> None:
    """The first mean is a hundredth of the first length (it starts at 0); state and step come back."""
    generator = seeded(lambda: StyleGenerator(GENERATOR), rng())
    term = LazyPathLength(generator, 2.0, 4, rng(1))
    z = torch.randn(4, 5, generator=rng(2))
    lengths = path_lengths(generator, z[:2], rng(1)).detach()
    found = term(GeneratorPass(z, z, z, ()))
    mean = 0.01 * float(lengths.mean())
    expected = 2 * 4 * float((lengths - mean).square().mean())
    assert float(found["path length"].detach()) == pytest.approx(expected, rel=1e-4)
    other = LazyPathLength(generator, 2.0, 4, rng(1))
    other.load_state_dict(term.state_dict())
    assert float(other.state_dict()["mean"]) == pytest.approx(mean, rel=1e-5)
    assert other(GeneratorPass(z, z, z, ())) == {}


# ------------------------------------------------------------------------------------------- sampler and source model


def networks() -> tuple[StyleGenerator, StyleDiscriminator]:
    """Small networks at 8 px."""
    judge = StyleDiscriminatorSpec([6, 4])
    return seeded(lambda: StyleGenerator(GENERATOR), rng()), seeded(lambda: StyleDiscriminator(judge), rng(1))


def source_model() -> SourceModel:
    """A source model that holds both."""
    generator, discriminator = networks()
    tensors, metadata = stored({"generator": generator, "discriminator": discriminator})
    return SourceModel("stylegan2-x", tensors, metadata | {"id": "stylegan2-x"})


def test_sampler(tmp_path: Path) -> None:
    """One seed one set of images, also after saving and loading; its latents are those of z alone."""
    sampler = StyleGanSampler(networks()[0])  # pyright: ignore[reportArgumentType]
    assert sampler.latent_shape == (5,)
    images = sampler.sample(6, rng())
    assert images.shape == (6, 3, 8, 8)
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    loaded = load_sampler(tmp_path / "sampler.safetensors")
    assert isinstance(loaded, StyleGanSampler)
    assert torch.equal(loaded.sample(6, rng()), images)


def test_source_model_comes_back() -> None:
    """Weights and architecture are those of the model; its sampler draws what the generator makes."""
    model, (generator, discriminator) = source_model(), networks()
    for made, loaded in zip((generator, discriminator), source_style_networks(model, 8), strict=True):
        assert loaded.spec == made.spec
        assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in made.state_dict().items())
    expected = StyleGanSampler(generator).sample(3, rng())  # pyright: ignore[reportArgumentType]
    assert torch.equal(source_sampler(model, 8).sample(3, rng()), expected)


def test_source_model_of_another_kind_or_side() -> None:
    """A DCGAN's generator is none; nor is one of another side."""
    with pytest.raises(GraftbenchError, match=r"is of 8 px \(discriminator\); the task needs 16"):
        source_style_networks(source_model(), 16)
    other = {"id": "gan-x", "generator": msgspec.json.encode({"resolution": 8}).decode()}
    with pytest.raises(GraftbenchError, match="does not describe a network 'generator'"):
        source_sampler(SourceModel("gan-x", {}, other), 8)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"r1": -1.0}, "r1 must be at least 0"),
        ({"r1_every": 0}, "r1_every must be at least 1"),
        ({"path_length": math.nan}, "path_length"),
        ({"widest": 0}, "widest must be at least 1"),
        ({"loss": "hing"}, "hinge"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(StyleGanConfig, parameters, "[parameters.stylegan2]")
