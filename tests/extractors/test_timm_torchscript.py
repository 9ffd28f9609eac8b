"""The open families: any model of timm and any TorchScript file."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graftbench.errors import GraftbenchError
from graftbench.extractors.load import check_input, describe, make_extractor, weights_file, weights_sha256

if TYPE_CHECKING:
    import torch

RESNET = "timm:resnet10t.c3_in1k"
BICUBIC, BILINEAR = "bicubic-antialias", "bilinear-antialias"


def timm_file(folder: Path, model: str) -> Path:
    """Random weights of a timm model, as timm saves them."""
    import timm
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(timm.create_model(model).state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


# ------------------------------------------------------------------------------------------------------------- timm


def test_timm_descriptions() -> None:
    """Width, classes, size and resize rule are the model's own; the first rule is the one it was trained with."""
    info = describe("timm:resnet18.a1_in1k")
    assert (info.width, info.classes, info.size, info.resizes[0]) == (512, 1000, 224, BICUBIC)
    assert (info.license, info.weights.split(",")[0]) == ("apache-2.0", "timm/resnet18.a1_in1k")
    assert describe("timm:resnet18").title == "resnet18.a1_in1k of timm"  # timm's default tag
    assert describe("timm:vgg11.tv_in1k").resizes == (BILINEAR, BICUBIC)
    assert (describe("timm:vit_small_patch14_dinov2.lvd142m").classes, describe("timm:vit_tiny_patch16_224").size) == (
        0,
        224,
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet19", "Unknown timm model 'resnet19' .* Did you mean 'timm:resnet1"),
        ("timm:resnet18.a1_in1", r"Unknown timm model .* Did you mean 'timm:resnet18.a1_in1k'\? timm \d"),
        ("timm:", "Unknown timm model ''"),
        ("timm:hf-hub:timm/resnet18", "Unknown timm model 'hf-hub:timm/resnet18'"),
    ],
)
def test_timm_unknown_names(name: str, message: str) -> None:
    """A name or tag that timm does not know: the nearest of timm's names, and where its list is."""
    with pytest.raises(GraftbenchError, match=message):
        describe(name)


@pytest.mark.slow
def test_timm_features_and_logits(emoji: torch.Tensor, tmp_path: Path) -> None:
    """Logits are the model's own of the resized and normalised images; the classifier turns the features into them.

    Channels-last reorders float32 sums of up to 4608 terms: 1e-5 of the largest entry.
    """
    import timm
    import torch
    from torchvision.transforms.functional import normalize

    from graftbench.extractors.preprocessing import resized

    torch.set_num_threads(1)
    path = timm_file(tmp_path, "resnet10t.c3_in1k")
    extractor = make_extractor(RESNET, size=96, resize=BILINEAR, weights=str(path), batch_size=2)
    pooled, logits = extractor.features(emoji[:3])
    plain: Any = timm.create_model("resnet10t.c3_in1k").eval()
    plain.load_state_dict(torch.load(path, weights_only=True))
    with torch.inference_mode():
        pixels = resized(emoji[:3], 96, BILINEAR) / 255.0
        expected = plain(normalize(pixels, list(plain.pretrained_cfg["mean"]), list(plain.pretrained_cfg["std"])))
        again = plain.get_classifier()(pooled)
    assert (pooled.shape, logits.shape) == ((3, describe(RESNET).width), (3, 1000))
    for found in (logits, again):
        assert float((found - expected).abs().max()) < 1e-5 * float(expected.abs().max())
    assert weights_sha256(RESNET, str(path)) != weights_sha256("lite0")


@pytest.mark.slow
def test_timm_fixed_size_can_be_overridden(emoji: torch.Tensor, tmp_path: Path) -> None:
    """A vision transformer for 224 pixels takes 64: its positions are resampled. It has no size that cuts patches."""
    name = "timm:vit_tiny_patch16_224"
    path = str(timm_file(tmp_path, "vit_tiny_patch16_224"))
    pooled, logits = make_extractor(name, size=64, resize=BICUBIC, weights=path).features(emoji[:2])
    assert (pooled.shape, logits.shape) == ((2, 192), (2, 1000))
    with pytest.raises(GraftbenchError, match=r"does not take images of 100 pixels \(no multiple of its patches of 16"):
        make_extractor(name, size=100, resize=BICUBIC, weights=path)
    with pytest.raises(GraftbenchError, match="32 or more; found 16"):
        check_input(name, size=16, resize=BICUBIC)
    with pytest.raises(GraftbenchError, match=r"takes a size in pixels, e\.g\. 224; found None"):
        check_input(name, size=None, resize=BICUBIC)


def test_timm_without_classifier(emoji: torch.Tensor, tmp_path: Path) -> None:
    """A model without classes gives logits of shape N×0."""
    name = "timm:test_vit2.r160_in1k"
    path = timm_file(tmp_path, "test_vit2.r160_in1k")
    extractor = make_extractor(name, size=160, resize=BICUBIC, weights=str(path))
    extractor.network.network.reset_classifier(0)  # type: ignore[union-attr]
    pooled, logits = extractor.features(emoji[:2])
    assert (len(pooled), logits.shape) == (2, (2, 0))


def test_timm_wrong_file(tmp_path: Path) -> None:
    """Another model's file is refused with the entry at fault."""
    path = timm_file(tmp_path, "test_vit.r160_in1k")
    with pytest.raises(GraftbenchError, match=r"weights.pth' does not fit timm's resnet10t: Missing.*conv1.0.weight"):
        make_extractor(RESNET, size=96, resize=BICUBIC, weights=str(path))


def test_timm_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub's cache comes first, then the hub; without a network the message says what to fetch and where it goes."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    from graftbench.extractors import timm as networks_timm

    asked: list[str] = []

    def offline(repo: str, file: str) -> str:
        asked.append(f"{repo}/{file}")
        raise LocalEntryNotFoundError("Please check your connection.")

    monkeypatch.delenv("GRAFTBENCH_WEIGHTS", raising=False)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(GraftbenchError, match="Please check your connection") as caught:
        weights_sha256(RESNET)
    message = str(caught.value)
    assert asked == ["timm/resnet10t.c3_in1k/model.safetensors"]
    assert "Get model.safetensors from https://huggingface.co/timm/resnet10t.c3_in1k" in message
    assert "as timm_resnet10t.c3_in1k{.pth,.pt,.safetensors} and name the folder in GRAFTBENCH_WEIGHTS" in message

    cached = tmp_path / "model.safetensors"
    cached.write_bytes(b"cached")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(cached))
    assert weights_file(RESNET) == cached
    assert networks_timm.hub_file(RESNET) == cached


# ------------------------------------------------------------------------------------------------------ TorchScript


def script_file(path: Path, network: torch.nn.Module) -> str:
    """A TorchScript file of a network; returns its extractor's name."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        torch.jit.script(network).save(str(path))
    return f"torchscript:{path}"


def modules() -> dict[str, Any]:
    """Small networks that take uint8 images. TorchScript reads their source, so they are compiled from a real file."""
    import importlib.util

    path = Path(__file__).with_name("script_networks.py")
    specification = importlib.util.spec_from_file_location("script_networks", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["script_networks"] = module
    specification.loader.exec_module(module)
    return vars(module)


def test_script_with_features_alone(emoji: torch.Tensor, tmp_path: Path) -> None:
    """StyleGAN's convention: `return_features=True` where the file knows it, uint8 images at their own size, N×D."""
    import torch

    name = script_file(tmp_path / "means.pt", modules()["Means"]())
    assert (describe(name).size, describe(name).resizes) == (None, ("extractor", BICUBIC, BILINEAR))
    extractor = make_extractor(name, size=None, resize="extractor", batch_size=2)
    pooled, logits = extractor.features(emoji[:3])
    assert (extractor.width, extractor.classes, logits.shape) == (3, 0, (3, 0))
    assert torch.allclose(pooled, emoji[:3].float().mean(dim=(2, 3)), rtol=1e-6)
    assert torch.equal(extractor.features(emoji[:3])[0], pooled)
    assert weights_file(name) == tmp_path / "means.pt"
    assert len(weights_sha256(name)) == 64


def test_script_with_logits_and_a_size(emoji: torch.Tensor, tmp_path: Path) -> None:
    """A pair N×D and N×K is features and logits; at a given size the file sees resized images, uint8 again."""
    import torch

    from graftbench.extractors.preprocessing import resized

    name = script_file(tmp_path / "rows.pt", modules()["Rows"]())
    pooled, logits = make_extractor(name, size=8, resize=BILINEAR).features(emoji[:2])
    expected = resized(emoji[:2], 8, BILINEAR).round()
    assert (pooled.shape, logits.shape) == ((2, 8), (2, 3))
    assert torch.allclose(pooled, expected.mean(dim=(1, 3)), rtol=1e-6)
    with pytest.raises(GraftbenchError, match=r"fails on uint8 images \(1, 3, 256, 256\).*give that as the protocol's"):
        make_extractor(name, size=None, resize="extractor")


def test_script_misuse(tmp_path: Path) -> None:
    """A missing file, no TorchScript, another output, a second file and a size without a rule: one sentence each."""
    with pytest.raises(GraftbenchError, match=r"The TorchScript file '/no/such.pt' .* is missing"):
        weights_file("torchscript:/no/such.pt")
    (tmp_path / "text.pt").write_text("no archive")
    with pytest.raises(GraftbenchError, match=r"text\.pt' cannot be read as TorchScript"):
        make_extractor(f"torchscript:{tmp_path / 'text.pt'}", size=None, resize="extractor")
    name = script_file(tmp_path / "maps.pt", modules()["Maps"]())
    with pytest.raises(
        GraftbenchError, match=r"returns float32 \(1, 3, 256, 256\) for 1 images; expected float features"
    ):
        make_extractor(name, size=None, resize="extractor")
    with pytest.raises(GraftbenchError, match=r"names its file itself; found the weights 'x\.pth' too"):
        make_extractor(name, size=None, resize="extractor", weights="x.pth")
    with pytest.raises(
        GraftbenchError, match=r"takes no size.*\(with a size, the rule is one of bicubic-antialias, bil"
    ):
        make_extractor(name, size=64, resize="extractor")
