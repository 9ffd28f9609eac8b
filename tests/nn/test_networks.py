"""Generator and discriminator keep their shapes and ranges; making, counting and freezing do what they say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import pytest
import torch
from random_inputs import rng
from torch import nn

from graftbench.nn.build import count_parameters, freeze, place, seeded, train_unfrozen
from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.generator import Generator, GeneratorSpec

if TYPE_CHECKING:
    from torch.nn.utils.parametrize import ParametrizationList

RESOLUTIONS = (8, 16, 32, 64, 128)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_generator_shape_and_range(resolution: int) -> None:
    """The latent z becomes an image of the asked size in [−1, 1], after log2(R / 4) doublings of the side."""
    spec = GeneratorSpec(resolution=resolution, latent=5, channels=2)
    network = seeded(lambda: Generator(spec), rng())
    images = network(torch.randn(3, 5, generator=rng()))
    assert images.shape == (3, 3, resolution, resolution)
    assert images.abs().max() <= 1
    assert len(network.blocks) == int(math.log2(resolution / 4))


def test_generator_widths_double_towards_the_coarse_end() -> None:
    """Twice the channels at half the side, and no more than eight times those of the last stage."""
    assert GeneratorSpec(resolution=128, channels=16).stage_channels() == [128, 128, 128, 64, 32, 16]
    assert GeneratorSpec(resolution=8, channels=16).stage_channels() == [32, 16]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_discriminator_shape(resolution: int) -> None:
    """An image becomes one logit, after two blocks per halving of the side down to 4."""
    network = seeded(lambda: Discriminator(DiscriminatorSpec(resolution=resolution, channels=2)), rng())
    logits = network(torch.rand(3, 3, resolution, resolution, generator=rng()) * 2 - 1)
    assert logits.shape == (3,)
    assert len(network.blocks) == 2 * int(math.log2(resolution / 4))


@pytest.mark.parametrize("resolution", [-8, 0, 1, 4, 12, 31, 48, 100])
@pytest.mark.parametrize("spec", [GeneratorSpec, DiscriminatorSpec])
def test_wrong_resolution(spec: type[GeneratorSpec | DiscriminatorSpec], resolution: int) -> None:
    """A side that halving does not bring to 4 in one step or more is refused with what would be right."""
    with pytest.raises(ValueError, match=rf"resolution is 4·2\^k \(8, 16, 32, 64, …\); found {resolution}$"):
        spec(resolution=resolution)


def test_parameters_are_counted() -> None:
    """The generator's numbers, added up by hand for 8 px, 5 latent dimensions, 2 channels."""
    network = Generator(GeneratorSpec(resolution=8, latent=5, channels=2))
    stem, stem_norm, conv, norm, to_rgb = 5 * 4 * 16, 2 * 4, 4 * 2 * 9, 2 * 2, 2 * 3 * 9 + 3
    total = stem + stem_norm + conv + norm + to_rgb
    assert count_parameters([network]) == total
    freeze(network.blocks[0])
    assert count_parameters([network]) == total
    assert count_parameters([network, network.to_rgb], trained_only=True) == total - conv - norm + to_rgb


def test_seeded_weights_depend_on_the_generator_alone() -> None:
    """One seed, one network, whatever torch's global generator has been through; another seed, another network."""
    spec = DiscriminatorSpec(resolution=8, channels=2)
    networks = []
    for global_seed, seed in ((1, 7), (2, 7), (2, 8)):
        torch.manual_seed(global_seed)
        networks.append(seeded(lambda: Discriminator(spec), rng(seed)).state_dict())
    first, same, other = networks
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["blocks.0.0.parametrizations.weight.original"], next(iter(other.values())))


def test_seeded_leaves_the_global_generator_as_it_was() -> None:
    """Making a network draws nothing from torch's global generator, even when the making fails."""

    def fail() -> nn.Module:
        torch.rand(3)
        raise RuntimeError("no network")

    before = torch.get_rng_state()
    seeded(lambda: Generator(GeneratorSpec(resolution=8)), rng())
    with pytest.raises(RuntimeError, match="no network"):
        seeded(fail, rng())
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_networks_differ_along_one_generator() -> None:
    """Two networks made one after the other do not share their weights."""
    source = rng()
    first, second = (seeded(lambda: nn.Linear(4, 4), source) for _ in range(2))
    assert not torch.equal(first.weight, second.weight)


def test_spectral_norm_makes_the_largest_singular_value_one() -> None:
    """Every weight is divided by an estimate of its largest singular value that power iteration converges to.

    With v = Σ aᵢ vᵢ at the start and tan²θ = Σ_{i>1} aᵢ² / a₁², k iterations give s₁ ≥ estimate ≥
    s₁ / √(1 + tan²θ (s₂/s₁)^4k), so the divided weight's norm lies in [1, √(1 + tan²θ (s₂/s₁)^4k)]. The two half-steps
    of torch's last iteration only come closer. Rounding: float32 products over up to 1,152 numbers, 1e-4.
    """
    network = seeded(lambda: Discriminator(DiscriminatorSpec(resolution=16, channels=32)), rng())
    convolutions = [block.get_submodule("0") for block in network.blocks]
    layers = cast("list[nn.Linear]", [*convolutions, network.head])
    states = [spectral_start(layer) for layer in layers]
    iterations = 60
    network.train()
    with torch.no_grad():
        for _ in range(iterations):
            network(torch.zeros(1, 3, 16, 16))
        network.eval()
        for layer, (tangent2, ratio) in zip(layers, states, strict=True):
            norm = float(torch.linalg.matrix_norm(layer.weight.flatten(1).double(), 2))
            assert 1 - 1e-4 <= norm <= math.sqrt(1 + tangent2 * ratio ** (4 * (iterations - 1))) + 1e-4
            assert norm < 1.05


def spectral_start(layer: nn.Module) -> tuple[float, float]:
    """tan²θ of the layer's current v to the leading right singular vector, and s₂/s₁."""
    parametrization = cast("ParametrizationList", layer.get_submodule("parametrizations.weight"))
    weight = parametrization.original.detach().flatten(1).double()
    _, singular, right = torch.linalg.svd(weight, full_matrices=False)
    v = parametrization.get_submodule("0").get_buffer("_v").double()
    cosine2 = float((right[0] @ v / v.norm()).square())
    ratio = float(singular[1] / singular[0]) if len(singular) > 1 else 0.0
    return (1 - cosine2) / cosine2, ratio


def test_spectral_norm_can_be_left_out() -> None:
    """Without it the weights are plain ones."""
    network = Discriminator(DiscriminatorSpec(resolution=8, channels=2, spectral_norm=False))
    assert not any("parametrizations" in name for name in network.state_dict())


def test_train_unfrozen() -> None:
    """Frozen blocks are in eval mode with all that is inside them, the rest is in training mode."""
    network = Discriminator(DiscriminatorSpec(resolution=16, channels=2))
    for block in network.blocks[:2]:
        freeze(block)
    network.eval()
    train_unfrozen(network)
    assert network.training
    assert not any(part.training for block in network.blocks[:2] for part in block.modules())
    assert all(part.training for block in network.blocks[2:] for part in block.modules())
    assert all(part.training for part in network.head.modules())


def test_frozen_parts_do_not_move_in_a_forward_pass() -> None:
    """Neither spectral norm's vectors nor batch norm's statistics move where the parameters are frozen."""
    discriminator = seeded(lambda: Discriminator(DiscriminatorSpec(resolution=16, channels=2)), rng())
    generator = seeded(lambda: Generator(GeneratorSpec(resolution=16, channels=2)), rng())
    for network, x in ((discriminator, torch.rand(4, 3, 16, 16)), (generator, torch.randn(4, 128))):
        freeze(network.blocks[0])
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        train_unfrozen(network)
        network(x)
        moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
        assert not [name for name in moved if name.startswith("blocks.0.")]
        assert [name for name in moved if name.startswith("blocks.1.")]


def test_place_keeps_the_numbers() -> None:
    """Channels last is an order in memory: weights are the same, images to within float32 rounding (10⁻⁵)."""
    network = seeded(lambda: Generator(GeneratorSpec(resolution=16, channels=4)), rng()).eval()
    z = torch.randn(2, 128, generator=rng())
    before = network(z)
    place(network, torch.device("cpu"))
    conv = cast("nn.Conv2d", network.get_submodule("blocks.0.conv"))
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(network(z), before, atol=1e-5)
