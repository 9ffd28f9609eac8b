"""VGG-16, CLIP and DINOv2: torch-fidelity's features from random weights in the official formats, and wrong files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from graftbench.errors import GraftbenchError
from graftbench.extractors.load import describe, make_extractor

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from graftbench.extractors.base import Extractor

OWN: dict[str, Any] = {"size": None, "resize": "extractor"}


def made(name: str, weights: Path, **options: Any) -> Extractor:
    """An extractor with its own resize rule from a file, on one thread."""
    import torch

    torch.set_num_threads(1)
    return make_extractor(name, **OWN, weights=str(weights), **options)


# ------------------------------------------------------------------------------------------------------------- CLIP

WORDS = 32  # width of the stand-in text encoder's tokens; only the embedding's width counts


def clip_visual(size: int, patch: int, width: int, layers: int, embedding: int) -> Any:
    """torch-fidelity's CLIP vision transformer with random weights."""
    import torch
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CLIPVisual(embedding, size, layers, width, patch)
    network.requires_grad_(requires_grad=False)
    return network.eval()


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript archive like OpenAI's ViT-B/32, of 2 layers instead of 12, with a text projection."""
    import torch

    class Archive(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual: Any = clip_visual(224, 32, 768, 2, 512).visual
            self.text_projection = torch.nn.Parameter(torch.zeros(WORDS, 512), requires_grad=False)
            self.logit_scale = torch.nn.Parameter(torch.zeros(()), requires_grad=False)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.visual(image)

    path = tmp_path_factory.mktemp("clip") / "ViT-B-32.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        traced: Any = torch.jit.trace(Archive().half().float(), torch.zeros(1, 3, 224, 224))
        traced.save(str(path))
    return path


@pytest.mark.slow
def test_clip_is_torch_fidelitys(clip_file: Path, emoji: torch.Tensor) -> None:
    """The archive gives torch-fidelity's own embeddings and no logits; a plain state dict of it gives the same bits.

    Only the order of at most 3072 float32 additions could differ: 1e-5 of the largest entry.
    """
    import torch
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

    from graftbench.extractors.clip import clip_state

    extractor = made("clip-vit-b-32", clip_file)
    pooled, logits = extractor.features(emoji[:3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        theirs = FeatureExtractorCLIP("clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(clip_file))
    with torch.inference_mode():
        (expected,) = theirs(emoji[:3])
    assert (pooled.shape, logits.shape) == ((3, describe("clip-vit-b-32").width), (3, 0))
    assert float((pooled - expected).abs().max()) < 1e-5 * float(expected.abs().max())

    plain = clip_file.with_suffix(".pth")
    torch.save(clip_state(clip_file), plain)
    assert torch.equal(made("clip-vit-b-32", plain).features(emoji[:3])[0], pooled)


@pytest.mark.slow
def test_clip_files_of_other_encoders(clip_file: Path, tmp_path: Path) -> None:
    """Another encoder's file, no CLIP at all, a missing entry and a truncated archive are each named."""
    import torch

    from graftbench.extractors.clip import clip_state

    with pytest.raises(
        GraftbenchError,
        match=r"fit CLIP ViT-B-16: it has 'visual.conv1.weight' \(768, 3, 32, 32\), expected \(768, 3, 16",
    ):
        made("clip-vit-b-16", clip_file)
    state = clip_state(clip_file)
    path = tmp_path / "clip.pth"
    torch.save({"fc.weight": torch.zeros(2)}, path)
    with pytest.raises(GraftbenchError, match=r"does not fit CLIP ViT-B-32: it has no entry 'visual.conv1.weight'"):
        made("clip-vit-b-32", path)
    torch.save({name: value for name, value in state.items() if name != "visual.ln_post.bias"}, path)
    with pytest.raises(GraftbenchError, match=r"does not fit CLIP ViT-B-32: Missing key.*visual.ln_post.bias"):
        made("clip-vit-b-32", path)
    torch.save(state | {"visual.positional_embedding": torch.zeros(17, 768)}, path)
    with pytest.raises(GraftbenchError, match="it is 512 wide and for 128 pixels, expected 512 and 224"):
        made("clip-vit-b-32", path)
    path.write_bytes(clip_file.read_bytes()[:10_000])
    with pytest.raises(GraftbenchError, match="cannot be read as a PyTorch state dict"):
        made("clip-vit-b-32", path)


# ------------------------------------------------------------------------------------------------------------ DINOv2


@pytest.fixture(scope="module")
def dino_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in Meta's format: timm's names but for the mask token, and positions for 37×37 patches."""
    import timm
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=518)
        state = network.state_dict() | {"mask_token": torch.zeros(1, 384)}
        for name in ("cls_token", "pos_embed"):
            state[name] = 0.5 * torch.randn_like(state[name])
        state |= {name: torch.ones_like(value) for name, value in state.items() if name.endswith(".gamma")}
    path = tmp_path_factory.mktemp("dino") / "dinov2_vits14_pretrain.pth"
    torch.save(state, path)
    return path


@pytest.mark.slow
def test_dino_from_metas_file(dino_file: Path, emoji: torch.Tensor) -> None:
    """Class tokens after the last norm: width 384, no logits, independent of the batch and different for each image.

    After a layer norm with weight 1 and bias 0 each token has mean 0 and variance 1. Batches of 1 and 2 differ by
    float32 rounding in 12 layers of values of order one.
    """
    import torch

    pooled, logits = made("dinov2-vit-s-14", dino_file, batch_size=2).features(emoji[:2])
    assert (pooled.shape, logits.shape) == ((2, 384), (2, 0))
    assert torch.allclose(pooled.mean(dim=1), torch.zeros(2), atol=1e-5)
    assert torch.allclose(pooled.var(dim=1, correction=0), torch.ones(2), atol=1e-3)
    assert float((pooled[0] - pooled[1]).abs().max()) > 0.01
    single, _ = made("dinov2-vit-s-14", dino_file, batch_size=1).features(emoji[:2])
    assert torch.allclose(single, pooled, atol=2e-5)


def test_dino_positions_are_metas() -> None:
    """Positions are resampled bicubically at scale (16 + 0.1)/37 without antialiasing, by hand at one patch.

    The centre of target patch i lies at (i + 0.5)·37/16.1 − 0.5 in the source grid; the four weights are the cubic
    convolution with a = −0.75 (that of torch). A function of the column alone is resampled in the column alone.
    """
    import math

    import torch

    from graftbench.extractors.dinov2 import resampled_positions

    values = torch.sin(torch.arange(37.0))
    grid = values.repeat(37, 1).reshape(1, 37 * 37, 1)
    found = resampled_positions(torch.cat((torch.full((1, 1, 1), 7.0), grid), dim=1), 16)
    assert found.shape == (1, 257, 1)
    assert float(found[0, 0, 0]) == 7.0
    place = 5.5 * 37 / 16.1 - 0.5
    whole = math.floor(place)

    def kernel(x: float) -> float:
        x, a = abs(x), -0.75
        if x <= 1.0:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a

    expected = sum(kernel(place - i) * math.sin(i) for i in range(whole - 1, whole + 3))
    assert float(found[0, 1 + 16 * 3 + 5, 0]) == pytest.approx(expected, abs=1e-5)
    assert resampled_positions(found, 16) is found


def test_dino_giants_names() -> None:
    """The giant's feed-forward layers, which Meta and timm name differently, end up under timm's names, all of them."""
    import timm
    import torch

    from graftbench.extractors.dinov2 import _as_timm

    with torch.device("meta"):
        own = timm.create_model("vit_giant_patch14_dinov2", pretrained=False).state_dict()
    theirs = {name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): value for name, value in own.items()}
    assert "blocks.0.mlp.w12.weight" in theirs
    assert set(_as_timm(theirs | {"mask_token": torch.zeros(1)})) == set(own)


@pytest.mark.slow
def test_dino_wrong_files(dino_file: Path, tmp_path: Path) -> None:
    """Another width, other contents, a missing and an extra entry are each named."""
    import torch

    with pytest.raises(
        GraftbenchError, match=r"fit DINOv2 dinov2_vitb14: its '\w+' is \(1, 1, 384\), expected \(1, 1, 768"
    ):
        made("dinov2-vit-b-14", dino_file)
    good = torch.load(dino_file, weights_only=True)
    path = tmp_path / "dino.pth"
    for state, message in (
        ({"fc.weight": torch.zeros(2)}, "it has no entry 'pos_embed'"),
        (good | {"pos_embed": torch.zeros(1, 7, 384)}, r"its 'pos_embed' is \(1, 7, 384\), expected"),
        ({name: value for name, value in good.items() if name != "norm.bias"}, "it has no entry 'norm.bias'"),
        (
            good | {"register_tokens": torch.zeros(1, 4, 384)},
            "it has the entry 'register_tokens', which the network has",
        ),
    ):
        torch.save(state, path)
        with pytest.raises(GraftbenchError, match=message):
            made("dinov2-vit-s-14", path)


# ------------------------------------------------------------------------------------------------------------- VGG-16


@pytest.mark.long
def test_vgg_is_torch_fidelitys(emoji: torch.Tensor, tmp_path: Path) -> None:
    """Pooled features are torch-fidelity's `fc2_relu`, logits the last layer of them; safetensors give the same bits.

    Sums of up to 25088 float32 terms in 15 layers round within 1e-5 of the largest entry.
    """
    import torch
    from safetensors.torch import save_file
    from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
    from torchvision.models import vgg16

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = vgg16()
    path = tmp_path / "vgg16.pth"
    torch.save(network.state_dict(), path)
    pooled, logits = made("vgg16", path).features(emoji[:2])
    theirs = FeatureExtractorVGG16("vgg16", ["fc2_relu"], str(path))
    with torch.inference_mode():
        (expected,) = theirs(emoji[:2])
        classes = network.classifier[-1](expected)
    assert (pooled.shape, logits.shape) == ((2, 4096), (2, 1000))
    for ours, other in ((pooled, expected), (logits, classes)):
        assert float((ours - other).abs().max()) < 1e-5 * float(other.abs().max())
    save_file(network.state_dict(), tmp_path / "vgg16.safetensors")
    assert torch.equal(made("vgg16", tmp_path / "vgg16.safetensors").features(emoji[:2])[0], pooled)


def test_vgg_wrong_files(tmp_path: Path) -> None:
    """Other contents and a damaged safetensors file are named."""
    import torch

    torch.save({"features.0.weight": torch.zeros(2, 3)}, tmp_path / "vgg16.pth")
    with pytest.raises(GraftbenchError, match=r"VGG-16: its 'features.0.weight' is \(2, 3\), expected \(64, 3, 3, 3\)"):
        made("vgg16", tmp_path / "vgg16.pth")
    (tmp_path / "vgg16.safetensors").write_bytes(b"half")
    with pytest.raises(GraftbenchError, match=r"vgg16.safetensors' cannot be read as a PyTorch state dict"):
        made("vgg16", tmp_path / "vgg16.safetensors")
