"""What image-to-image methods share: the sampler that translates, the network that looks, relative errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_inputs import rng

from graftbench.errors import GraftbenchError
from graftbench.extractors.load import lite0_file
from graftbench.images import prepared
from graftbench.nn.build import seeded
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.nn.style import Stylizer, StylizerSpec
from graftbench.nn.translator import Translator, TranslatorSpec
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.samplers import ImageBankSampler, load_sampler, save_sampler, to_float, to_uint8
from graftbench.training.translation import (
    Backbone,
    TranslationConfig,
    TranslationSampler,
    check_stages,
    relative_error,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def emoji(shared_cache: Path) -> torch.Tensor:
    """Ten real images, no two alike: uint8 10×3×32×32."""
    images = prepared.load(registry.make_domain("twemoji"), "twemoji", 32, shared_cache)
    return torch.from_numpy(images.images("train")[:10])


def translator() -> Translator:
    """A small network with fresh weights."""
    return seeded(lambda: Translator(TranslatorSpec(channels=4, blocks=1)), rng())


def stylizer() -> Stylizer:
    """Likewise, of two images."""
    return seeded(lambda: Stylizer(StylizerSpec(depth=1, channels=4)), rng())


# --------------------------------------------------------------------------------------------------------- sampler


def test_contents_are_used_up_before_any_comes_again(emoji: torch.Tensor) -> None:
    """Samples are translations of the contents as an image bank draws them: ten of ten are ten different ones."""
    sampler = TranslationSampler(translator(), emoji)
    drawn = ImageBankSampler(emoji).sample(13, rng(3))
    assert len({image.numpy().tobytes() for image in drawn[:10]}) == 10
    with torch.no_grad():
        expected = to_uint8(sampler.network(to_float(drawn)))
    difference = (sampler.sample(13, rng(3)).int() - expected.int()).abs()
    assert difference.max() <= 1  # the batch's memory layout changes last bits, so a pixel may round the other way


def test_a_style_for_each_sample(emoji: torch.Tensor) -> None:
    """With one content and one style every sample is their one picture; with ten styles they differ."""
    alike = TranslationSampler(stylizer(), emoji[:1], styles=emoji[1:2]).sample(6, rng())
    assert all(torch.equal(image, alike[0]) for image in alike)
    network = stylizer().eval()
    with torch.no_grad():
        expected = to_uint8(network(to_float(emoji[:1]), to_float(emoji[1:2])))
    assert (alike[:1].int() - expected.int()).abs().max() <= 1
    different = TranslationSampler(stylizer(), emoji[:1], styles=emoji).sample(6, rng())
    assert len({image.numpy().tobytes() for image in different}) > 1


@pytest.mark.parametrize("styled", [False, True])
def test_it_comes_back_from_disk(emoji: torch.Tensor, tmp_path: Path, styled: bool) -> None:  # noqa: FBT001 - parametrised
    """Saved and loaded it draws the same pixels, and one seed draws the same again."""
    sampler = (
        TranslationSampler(stylizer(), emoji, styles=emoji[:3]) if styled else TranslationSampler(translator(), emoji)
    )
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    loaded = load_sampler(tmp_path / "sampler.safetensors")
    assert torch.equal(loaded.sample(140, rng(1)), sampler.sample(140, rng(1)))
    assert not torch.equal(sampler.sample(10, rng(1)), sampler.sample(10, rng(2)))


def test_a_saved_stylizer_brings_its_encoder(emoji: torch.Tensor) -> None:
    """The encoder's numbers are the file's, not those of whatever weights are installed."""
    sampler = TranslationSampler(stylizer(), emoji, styles=emoji)
    tensors, metadata = sampler.state()
    changed = {name: 2 * t if name == "network.encoder.stem.0.weight" else t for name, t in tensors.items()}
    again = TranslationSampler.from_state(changed, metadata)
    torch.testing.assert_close(
        again.network.state_dict()["encoder.stem.0.weight"], 2 * tensors["network.encoder.stem.0.weight"]
    )


def test_a_network_that_nobody_knows(emoji: torch.Tensor) -> None:
    """The message names those that are known."""
    tensors, metadata = TranslationSampler(translator(), emoji).state()
    with pytest.raises(GraftbenchError, match="translator"):
        TranslationSampler.from_state(tensors, metadata | {"network": "translater"})


def test_no_contents() -> None:
    """There is nothing to translate: said when the sampler is made."""
    with pytest.raises(GraftbenchError, match="no images"):
        TranslationSampler(translator(), torch.empty(0, 3, 32, 32, dtype=torch.uint8))


# ---------------------------------------------------------------------------------------------------------- looking


def test_backbone_returns_float32_maps(emoji: torch.Tensor) -> None:
    """In bfloat16 too, and those are the float32 ones to three digits: 8 bits of mantissa through a few layers."""
    task: Any = SimpleNamespace(device=torch.device("cpu"))
    exact, rounded = (Backbone(Lite0Blocks(lite0_file()), task, p) for p in ("float32", "bfloat16"))
    for a, b in zip(exact(to_float(emoji)), rounded(to_float(emoji)), strict=True):
        assert a.dtype == b.dtype == torch.float32
        assert relative_error(b, a) < 1e-3


def test_relative_error_by_hand() -> None:
    """0 for what is found, 1 for nothing, (1 + 4) / (4 + 16) for half of (2, 4); the same at any scale."""
    wanted = torch.tensor([2.0, 4.0])
    assert relative_error(wanted, wanted).item() == 0
    assert relative_error(torch.zeros(2), wanted).item() == 1
    assert relative_error(wanted / 2, wanted).item() == relative_error(50 * wanted, 100 * wanted).item() == 0.25
    assert relative_error(torch.zeros(2), torch.zeros(2)).item() == 0


# ----------------------------------------------------------------------------------------------------------- checks


@pytest.mark.parametrize("stages", [(4, [0]), (-1, [0]), (0, []), (0, [1, 4])])
def test_wrong_stages(stages: tuple[int, list[int]]) -> None:
    """The sentence says which there are."""
    with pytest.raises(ValueError, match=r"stages 0 to 3"):
        check_stages(*stages)


@pytest.mark.parametrize("lr", [0.0, -1.0, float("inf"), float("nan")])
def test_wrong_rate(lr: float) -> None:
    """A rate that is not positive and finite is refused."""
    with pytest.raises(GraftbenchError, match="lr must be positive and finite"):
        config_of(TranslationConfig, {"lr": lr}, "[parameters.cyclegan]")
