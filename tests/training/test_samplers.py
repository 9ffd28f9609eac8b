"""Samplers draw what they say, round to the right grey levels, and come back from disk as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from random_inputs import rng
from safetensors.torch import save_file

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.nn.build import seeded
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.plugins import registry
from graftbench.training.samplers import (
    BATCH,
    GeneratorSampler,
    ImageBankSampler,
    PcaGaussianSampler,
    PcaMixtureSampler,
    load_sampler,
    principal_components,
    save_sampler,
    to_float,
    to_uint8,
)

if TYPE_CHECKING:
    from pathlib import Path


def small_generator() -> Generator:
    """A generator of 8 px images."""
    return seeded(lambda: Generator(GeneratorSpec(resolution=8, latent=6, channels=4)), rng())


def vivid_generator() -> Generator:
    """A generator of 32 px images whose pixels fill the range, as trained ones do."""
    network = seeded(lambda: Generator(GeneratorSpec(resolution=32)), rng())
    for parameter in network.parameters():
        parameter.data *= 3
    for _ in range(10):
        network(torch.randn(32, 128, generator=rng()))
    return network.eval()


@pytest.fixture(scope="module")
def emoji(shared_cache: Path) -> torch.Tensor:
    """Ten real images, no two alike: uint8 10×3×32×32."""
    images = prepared.load(registry.make_domain("twemoji"), "twemoji", 32, shared_cache)
    return torch.from_numpy(images.images("train")[:10])


def test_every_grey_level_survives() -> None:
    """0…255 -> [−1, 1] -> 0…255 is the identity, and the ends are −1 and 1."""
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    floats = to_float(levels)
    assert floats.dtype == torch.float32
    assert (float(floats.min()), float(floats.max())) == (-1, 1)
    assert torch.equal(to_uint8(floats), levels)


def test_rounding_is_to_nearest_and_clipped() -> None:
    """A level's neighbourhood of less than half a level belongs to it; what lies outside [−1, 1] is clipped."""
    levels = torch.arange(256, dtype=torch.float64)
    for offset in (-0.49, 0.49):
        images = ((levels + offset) / 127.5 - 1).float()
        assert torch.equal(to_uint8(images).double(), levels)
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def positions(samples: torch.Tensor, bank: torch.Tensor) -> list[int]:
    """Which image of the bank each sample is; fails where it is none or two."""
    return [int((bank == sample).flatten(1).all(dim=1).nonzero().item()) for sample in samples]


def test_bank_is_used_up_before_anything_repeats(emoji: torch.Tensor) -> None:
    """Of 25 draws from 10 images, each run of ten holds every image once, and the last five are different."""
    drawn = positions(ImageBankSampler(emoji).sample(25, rng()), emoji)
    assert sorted(drawn[:10]) == sorted(drawn[10:20]) == list(range(10))
    assert drawn[:10] != drawn[10:20]
    assert len(set(drawn[20:])) == 5


@pytest.mark.parametrize("n", [0, 1, 10, 11])
def test_bank_draws_as_many_as_asked(emoji: torch.Tensor, n: int) -> None:
    """None, one, all, one more than all."""
    assert ImageBankSampler(emoji).sample(n, rng()).shape == (n, 3, 32, 32)


def test_empty_bank() -> None:
    """A bank without images is refused when it is made, not when it is drawn from."""
    with pytest.raises(GraftbenchError, match="no images"):
        ImageBankSampler(torch.empty(0, 3, 8, 8, dtype=torch.uint8))


def test_generator_sampler_decodes_noise() -> None:
    """Samples are the network's images of N(0, I) noise from the given generator, over several batches."""
    network = small_generator()
    n = 2 * BATCH + 3
    samples = GeneratorSampler(network).sample(n, rng(4))
    noise = torch.randn(n, 6, generator=rng(4))
    with torch.no_grad():
        expected = to_uint8(torch.cat([network(part) for part in noise.split(BATCH)]))
    assert torch.equal(samples, expected)


def test_generator_sampler_moves_nothing() -> None:
    """Drawing leaves batch norm's statistics alone: a second draw from the same seed is the same."""
    sampler = GeneratorSampler(small_generator().train())
    first = sampler.sample(5, rng())
    sampler.sample(50, rng(1))
    assert torch.equal(sampler.sample(5, rng()), first)


def test_generator_comes_back_to_the_bit(tmp_path: Path) -> None:
    """Whatever order in memory the weights had when they were saved, samples after loading are the same."""
    for order in (torch.contiguous_format, torch.channels_last):
        network = vivid_generator()
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=order)
        sampler = GeneratorSampler(network)
        save_sampler(sampler, tmp_path / "sampler.safetensors")
        loaded = load_sampler(tmp_path / "sampler.safetensors")
        samples = sampler.sample(200, rng())
        assert samples.float().std() > 64  # contrasts, so that a difference in the last bits would show
        assert torch.equal(loaded.sample(200, rng()), samples)


def test_pca_sampler_by_hand() -> None:
    """Samples are mean + Σ σ_k ε_k v_k, rounded: one component along the first pixel, in steps of a grey level."""
    mean = torch.zeros(3, 1, 2)
    component = torch.tensor([[1.0, 0, 0, 0, 0, 0]])
    sampler = PcaGaussianSampler(mean, component, torch.tensor([0.1]))
    samples = sampler.sample(7, rng(2))
    epsilon = torch.randn(7, 1, generator=rng(2))
    assert torch.equal(samples.flatten(1)[:, :1], to_uint8(0.1 * epsilon))
    assert (samples.flatten(1)[:, 1:] == 128).all()


@pytest.mark.parametrize(("kept", "found"), [(3, 3), (50, 9)])
def test_principal_components(emoji: torch.Tensor, kept: int, found: int) -> None:
    """Components are orthonormal, coordinates are the images' projections, and all of them give the images back.

    Ten images span nine directions. Float32: a sum over 3,072 products of unit vectors is off by at most 3,072·2⁻²⁴;
    sums over 3,072 pixels in [−1, 1], an eighth of a grey level: 1e-3.
    """
    mean, components, coordinates = principal_components(emoji, kept)
    x = (to_float(emoji) - mean).flatten(1)
    assert components.shape == (found, 3 * 32 * 32)
    torch.testing.assert_close(components @ components.T, torch.eye(found), atol=3072 * 2**-24, rtol=0)
    torch.testing.assert_close(x @ components.T, coordinates, atol=1e-3, rtol=1e-4)
    assert (coordinates.norm(dim=0).diff() <= 0).all()
    if kept > found:
        torch.testing.assert_close(coordinates @ components, x, atol=1e-3, rtol=0)


def test_principal_components_keep_their_signs(emoji: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SVD that returns some singular vectors with the other sign gives the same components and coordinates."""
    expected = principal_components(emoji, 9)
    svd = torch.linalg.svd

    def flipped(matrix: torch.Tensor, *, full_matrices: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        u, s, v = svd(matrix, full_matrices=full_matrices)
        signs = torch.where(torch.arange(len(s)) % 3 == 0, -1.0, 1.0)
        return u * signs, s, v * signs[:, None]

    monkeypatch.setattr(torch.linalg, "svd", flipped)
    for part, again in zip(expected, principal_components(emoji, 9), strict=True):
        assert torch.equal(part, again)


def small_mixture(weights: list[float]) -> PcaMixtureSampler:
    """Clusters at 0.5, 0, −0.5 (and so on) along the first pixel of 3×1×2 images, of standard deviation 0.01."""
    centres = 0.5 - 0.5 * torch.arange(len(weights)).view(-1, 1)
    component = torch.tensor([[1.0, 0, 0, 0, 0, 0]])
    return PcaMixtureSampler(
        torch.zeros(3, 1, 2), component, torch.tensor(weights), centres, torch.full((len(weights), 1), 0.01)
    )


def test_mixture_draws_clusters_by_weight() -> None:
    """Of 10,000 draws each cluster gets its share, within five standard errors; one of weight 0 gets none."""
    n = 10_000
    first = small_mixture([0.2, 0.0, 0.8]).sample(n, rng()).flatten(1)[:, 0].float() / 127.5 - 1
    share = float((first > 0.25).float().mean())
    assert abs(share - 0.2) < 5 * (0.2 * 0.8 / n) ** 0.5
    assert not (first.abs() < 0.25).any()
    assert abs(float(first[first > 0.25].mean()) - 0.5) < 0.004  # half a grey level


def test_mixture_of_one_is_its_gaussian() -> None:
    """The same noise gives the same images."""
    mean, component, scales = torch.zeros(3, 1, 2), torch.tensor([[0.0, 1, 0, 0, 0, 0]]), torch.tensor([0.3])
    gaussian = PcaGaussianSampler(mean, component, scales)
    mixture = PcaMixtureSampler(mean, component, torch.ones(1), torch.zeros(1, 1), scales[None])
    assert torch.equal(mixture.sample(20, rng(1)), gaussian.sample(20, rng(1)))


def test_mixture_comes_back(tmp_path: Path) -> None:
    """Saved and loaded, a mixture draws the same images; without its weights the file is a damaged one."""
    sampler = small_mixture([0.5, 0.5])
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    loaded = load_sampler(tmp_path / "sampler.safetensors")
    assert isinstance(loaded, PcaMixtureSampler)
    assert torch.equal(loaded.sample(50, rng()), sampler.sample(50, rng()))
    tensors = {name: tensor for name, tensor in sampler.state()[0].items() if name != "weights"}
    save_file(tensors, tmp_path / "damaged.safetensors", {"sampler": "pca-mixture"})
    with pytest.raises(GraftbenchError, match=r"damaged\.safetensors is a damaged sampler of kind 'pca-mixture'"):
        load_sampler(tmp_path / "damaged.safetensors")


def test_no_sampler(tmp_path: Path) -> None:
    """Safetensors that are something else are refused by what they lack."""
    file = tmp_path / "weights.safetensors"
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(GraftbenchError, match=r"weights\.safetensors is no sampler"):
        load_sampler(file)


def test_unknown_kind(tmp_path: Path) -> None:
    """The nearest kind is offered."""
    file = tmp_path / "sampler.safetensors"
    save_file({"x": torch.zeros(1)}, file, {"sampler": "generatr"})
    with pytest.raises(GraftbenchError, match=r"Unknown kind of sampler 'generatr' in .*Did you mean 'generator'\?"):
        load_sampler(file)


@pytest.mark.parametrize("keep", [0, 5, 200])
def test_damaged_file(tmp_path: Path, keep: int) -> None:
    """A file cut short is refused with its name."""
    file = tmp_path / "sampler.safetensors"
    save_sampler(GeneratorSampler(small_generator()), file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(GraftbenchError, match=r"sampler\.safetensors cannot be read as safetensors"):
        load_sampler(file)


def test_missing_file(tmp_path: Path) -> None:
    """So is one that is not there."""
    with pytest.raises(GraftbenchError, match=r"gone\.safetensors cannot be read"):
        load_sampler(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("damage", ["tensor missing", "spec missing", "spec of another resolution", "spec garbled"])
def test_sampler_that_does_not_fit_together(tmp_path: Path, damage: str) -> None:
    """Tensors and metadata that contradict each other are a damaged file, not a crash."""
    tensors, metadata = GeneratorSampler(small_generator()).state()
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    if damage == "tensor missing":
        del tensors["to_rgb.bias"]
    elif damage == "spec missing":
        del metadata["spec"]
    else:
        other = "{" if damage == "spec garbled" else metadata["spec"].replace("8", "16")
        metadata["spec"] = other
    file = tmp_path / "sampler.safetensors"
    save_file(tensors, file, metadata | {"sampler": "generator"})
    with pytest.raises(GraftbenchError, match=r"sampler\.safetensors .*damaged"):
        load_sampler(file)
