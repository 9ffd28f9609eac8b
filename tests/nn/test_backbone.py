"""Backbones by name: real loaders on files in the released layouts; the same maps as the libraries' own networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_inputs import rng
from torch import Tensor, nn

from graftbench.errors import GraftbenchError
from graftbench.extractors.load import lite0_file
from graftbench.nn.backbone import (
    TORCHVISION_NAMES,
    FeatureMaps,
    _last_of_each,
    _walk,
    backbone_file,
    check_backbone,
    leaking_extractor,
)
from graftbench.nn.build import seeded
from graftbench.nn.lite0 import Lite0Blocks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IMAGENET_MEAN, IMAGENET_STD = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def images(side: int = 64, n: int = 2) -> Tensor:
    """Noise in [−1, 1]."""
    return torch.rand(n, 3, side, side, generator=rng()) * 2 - 1


def as_imagenet(x: Tensor) -> Tensor:
    """Images in [−1, 1] as torchvision's networks want them."""
    return ((x + 1) / 2 - IMAGENET_MEAN) / IMAGENET_STD


def saved(make: Callable[[], nn.Module], path: Path) -> nn.Module:
    """A network with random weights in evaluation mode, its state dict in a file."""
    network = seeded(make, rng()).eval()
    torch.save(network.state_dict(), path)
    return network


def resnet18() -> nn.Module:
    """The network of torchvision."""
    from torchvision import models

    return models.resnet18()


# ----------------------------------------------------------------------------------------------------------- lite0


def test_lite0() -> None:
    """The documented maps; where `Lite0Blocks` shows the same stages, the same numbers (batch norm folded: 1e-3)."""
    network = FeatureMaps("lite0")
    maps = network(images())
    assert (network.channels, network.reductions) == ((16, 24, 40, 112, 320), (2, 4, 8, 16, 32))
    assert [tuple(m.shape) for m in maps] == [
        (2, 16, 32, 32),
        (2, 24, 16, 16),
        (2, 40, 8, 8),
        (2, 112, 4, 4),
        (2, 320, 2, 2),
    ]
    for found, expected in zip(maps[:3], Lite0Blocks(lite0_file())(images())[1:], strict=True):
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_enlarging() -> None:
    """A side enlarges smaller images by bilinear interpolation, and leaves images of that side as they are."""
    network, plain = FeatureMaps("lite0", side=64), FeatureMaps("lite0")
    enlarged = torch.nn.functional.interpolate(images(32), scale_factor=2, mode="bilinear")
    for found, expected in zip(network(images(32)), plain(enlarged), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(network(images()), plain(images()), strict=True))


def test_frozen() -> None:
    """A pass, backwards too, moves no parameter and no buffer; pixels get a gradient, weights do not."""
    network = FeatureMaps("lite0", side=64)
    before = {name: tensor.clone() for name, tensor in [*network.named_parameters(), *network.named_buffers()]}
    pixels = images(32).requires_grad_()
    network(pixels)[-1].square().sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.any()
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    assert not any(part.training for part in network.network.modules())
    after = dict([*network.named_parameters(), *network.named_buffers()])
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


# ----------------------------------------------------------------------------------------------------- torchvision


def test_torchvision_residual(tmp_path: Path) -> None:
    """Maps of ResNet-18 are those of torchvision's own extractor, at the last layer of each size (float32, 1e-4)."""
    from torchvision.models.feature_extraction import create_feature_extractor

    own = saved(resnet18, tmp_path / "r.pth")
    network = FeatureMaps("torchvision:resnet18", weights=str(tmp_path / "r.pth"))
    assert (network.channels, network.reductions) == ((64, 64, 128, 256, 512), (2, 4, 8, 16, 32))
    expected = create_feature_extractor(own, ["relu", "layer1", "layer2", "layer3", "layer4"])(as_imagenet(images()))
    for found, wanted in zip(network(images()), expected.values(), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_torchvision_vgg(tmp_path: Path) -> None:
    """VGG-16 from a file in the released layout: its last activation before each pooling, and the last pooling's."""
    from torchvision import models

    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in models.vgg16().state_dict().items()}
    # The classifier's half gigabyte is cut off when it has been read: one stored number stands for it.
    state = {
        name: torch.zeros(1).expand(shape) if "classifier" in name else torch.randn(shape, generator=rng()) / 30
        for name, shape in shapes.items()
    }
    torch.save(state, tmp_path / "vgg16.pth")
    network = FeatureMaps("torchvision:vgg16", weights=str(tmp_path / "vgg16.pth"))
    assert (network.channels, network.reductions) == ((64, 128, 256, 512, 512, 512), (1, 2, 4, 8, 16, 32))
    with torch.device("meta"):
        features = models.vgg16().features
    features.load_state_dict({k[9:]: v for k, v in state.items() if k.startswith("features.")}, assign=True)
    x, expected = as_imagenet(images(32)), []
    for index, layer in enumerate(features.children()):
        if isinstance(layer, nn.MaxPool2d):
            expected.append(x.clone())
        x = layer(x)
        assert index < 31
    for found, wanted in zip(network(images(32)), [*expected, x], strict=True):
        torch.testing.assert_close(found, wanted.detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in TORCHVISION_NAMES if "vgg" not in name])
def test_torchvision_networks_are_chains(name: str) -> None:
    """All but VGG reach 1/32 of the image's side, on the way every halving from 1/4 on. Nothing has memory here."""
    from torchvision import models

    with torch.device("meta"):
        parts = dict(models.get_model(name).named_children())
        keys = list(parts)
        end = keys.index("avgpool") if "avgpool" in parts else 1
        chain = list(parts["features"].children()) if "features" in parts else [parts[key] for key in keys[:end]]
        sides, channels = _walk(chain)
    taps = _last_of_each(sides)
    assert [sides[tap] for tap in taps][-4:] == [16, 8, 4, 2]
    assert all(channels[tap] >= 16 for tap in taps)


def test_batch_counts_may_be_missing(tmp_path: Path) -> None:
    """Older files of torchvision have none; nothing here reads them."""
    own = saved(resnet18, tmp_path / "r.pth")
    old = {name: tensor for name, tensor in own.state_dict().items() if "num_batches_tracked" not in name}
    torch.save(old, tmp_path / "old.pth")
    new, older = (FeatureMaps("torchvision:resnet18", weights=str(tmp_path / file)) for file in ("r.pth", "old.pth"))
    assert torch.equal(new(images(32))[-1], older(images(32))[-1])


# ------------------------------------------------------------------------------------------------------------ timm


def test_timm(tmp_path: Path) -> None:
    """Maps are timm's own `features_only` ones, after the model's own mean and deviation (float32, 1e-4)."""
    import timm

    saved(lambda: timm.create_model("resnet10t"), tmp_path / "t.pth")
    network = FeatureMaps("timm:resnet10t", weights=str(tmp_path / "t.pth"))
    overlay: Any = {"state_dict": torch.load(tmp_path / "t.pth", weights_only=True)}
    own = timm.create_model("resnet10t", pretrained=True, pretrained_cfg_overlay=overlay, features_only=True).eval()
    assert (network.channels, network.reductions) == ((64, 64, 128, 256, 512), (2, 4, 8, 16, 32))
    for found, wanted in zip(network(images()), own(as_imagenet(images())), strict=True):
        torch.testing.assert_close(found, wanted.detach(), atol=1e-4, rtol=1e-4)


def test_timm_of_one_size(tmp_path: Path) -> None:
    """A transformer takes one size: its own, or the side it is asked for. Its maps are of one size, so there is one."""
    import timm

    saved(lambda: timm.create_model("vit_tiny_patch16_224"), tmp_path / "t.pth")
    own = FeatureMaps("timm:vit_tiny_patch16_224", weights=str(tmp_path / "t.pth"))
    asked = FeatureMaps("timm:vit_tiny_patch16_224", weights=str(tmp_path / "t.pth"), side=64)
    assert (own.side, asked.side, asked.reductions) == (224, 64, (16,))
    assert [tuple(m.shape) for m in own(images(32))] == [(2, 192, 14, 14)]
    assert [tuple(m.shape) for m in asked(images(32))] == [(2, 192, 4, 4)]


# -------------------------------------------------------------------------------------------- names, files, errors


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lite1", r"^Unknown backbone 'lite1'\. Did you mean 'lite0'\?"),
        ("torchvision:vgg-16", r"^Unknown backbone 'torchvision:vgg-16'\. Did you mean 'torchvision:vgg16'\?"),
        ("timm:NAME", r"^Unknown backbone 'timm:NAME'"),
        ("timm:resnet18x", r"^Unknown timm model 'resnet18x'.* Did you mean 'timm:resnet18'\?"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    """The nearest name is given, before anything is loaded."""
    with pytest.raises(GraftbenchError, match=message):
        check_backbone(name)


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:resnet10t"])
def test_wrong_files(tmp_path: Path, name: str) -> None:
    """A file that is missing, or lacks an entry, or has one too many, is named, with the entry."""
    import timm

    with pytest.raises(GraftbenchError, match=rf"none\.pth' for the backbone '{name}' is missing"):
        FeatureMaps(name, weights=str(tmp_path / "none.pth"))
    network = seeded(resnet18 if "torchvision" in name else lambda: timm.create_model("resnet10t"), rng())
    state = network.state_dict()
    file = tmp_path / "w.pth"
    torch.save({key: tensor for key, tensor in state.items() if key != "layer2.0.conv1.weight"}, file)
    with pytest.raises(GraftbenchError, match=r"w\.pth' does not fit .*layer2\.0\.conv1\.weight"):
        FeatureMaps(name, weights=str(file))
    torch.save(state | {"another.weight": torch.zeros(1)}, file)
    with pytest.raises(GraftbenchError, match=r"w\.pth' does not fit .*another\.weight"):
        FeatureMaps(name, weights=str(file))


@pytest.mark.parametrize("name", ["torchvision:vgg16", "timm:resnet10t"])
def test_no_way_to_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The sentence says where they were looked for, where they are to be had, and how a file is given."""

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(
        GraftbenchError, match=r"could not be downloaded .*no network.* https://.*parameter `weights`\.$"
    ):
        backbone_file(name)


def test_the_folder_of_weights_comes_before_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in GRAFTBENCH_WEIGHTS, named after the backbone; the parameter comes before that."""
    first, second = tmp_path / "torchvision_vgg16.pth", tmp_path / "mine.pth"
    first.touch()
    second.touch()
    monkeypatch.setenv("GRAFTBENCH_WEIGHTS", str(tmp_path))
    assert backbone_file("torchvision:vgg16") == first
    assert backbone_file("torchvision:vgg16", str(second)) == second


@pytest.mark.parametrize(
    ("name", "extractor"),
    [
        ("lite0", "lite0"),
        ("timm:tf_efficientnet_lite0.in1k", "lite0"),
        ("timm:resnet18", "timm:resnet18"),
        ("torchvision:vgg16", "vgg16"),
        ("torchvision:resnet18", ""),
    ],
)
def test_leaking_extractor(name: str, extractor: str) -> None:
    """The extractor whose network the backbone is."""
    assert leaking_extractor(name) == extractor
