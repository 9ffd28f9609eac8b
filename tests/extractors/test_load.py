"""Extractors: weights, preprocessing, determinism, torch-fidelity's interface, and errors."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.extractors import load
from graftbench.extractors.catalogue import CLIP, DINOV2, DOWNLOADS, INCEPTION_FILE, INCEPTION_SHA256, Download
from graftbench.extractors.load import (
    describe,
    extractor_names,
    make_extractor,
    weights_file,
    weights_sha256,
)
from graftbench.extractors.weights import torch_hub
from graftbench.metrics import fid, inception_score, kid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from graftbench.extractors.base import Extractor

LITE0 = {"size": 96, "resize": "bicubic-antialias"}
INCEPTION: dict[str, Any] = {"size": None, "resize": "extractor"}


def test_names_and_descriptions() -> None:
    """All of torch-fidelity's extractors are there under its names, ours first, patterns last, each described."""
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    theirs = [name for name in FEATURE_EXTRACTORS_REGISTRY if not name.startswith("graftbench-")]
    assert extractor_names() == ["lite0", "lite2", *theirs, "timm:NAME", "torchscript:PATH"]
    for name in extractor_names():
        info = describe(name)
        assert info.name == name
        assert all((info.title, info.resizes, info.weights, info.license))
    for name in theirs:
        assert (describe(name).size, describe(name).resizes) == (None, ("extractor",))
    assert (describe("lite0").size, describe("lite0").resizes[0]) == (96, "bicubic-antialias")


def test_addresses_are_torch_fidelitys() -> None:
    """Files, addresses and hashes of what is downloaded are those of torch-fidelity, torchvision and timm."""
    from timm.models import get_pretrained_cfg
    from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS
    from torch_fidelity.feature_extractor_dinov2 import MODEL_METADATA as DINO_METADATA
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    from torchvision.models import VGG16_Weights

    assert DOWNLOADS["inception-v3-compat"].url == URL_INCEPTION_V3
    assert DOWNLOADS["vgg16"].url == VGG16_Weights.IMAGENET1K_V1.url
    assert DOWNLOADS["vgg16"].url.endswith(f"-{DOWNLOADS['vgg16'].sha256[:8]}.pth")
    assert {name: DOWNLOADS[name].url for name in CLIP} == MODEL_URLS
    assert {name: DOWNLOADS[name].sha256 for name in CLIP} == {k: v["hash"] for k, v in MODEL_METADATA.items()}
    assert {name: facts.file for name, facts in DINOV2.items()} == DINO_METADATA
    for name, facts in DINOV2.items():
        released = get_pretrained_cfg(f"{facts.architecture}.lvd142m")
        assert released is not None
        assert released.url == DOWNLOADS[name].url
    assert all(len(download.sha256) == 64 for download in DOWNLOADS.values())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lite", LITE0, "Unknown extractor 'lite'. Did you mean 'lite"),
        ("lite0", {"size": 96, "resize": "bicubic"}, "Did you mean 'bicubic-antialias'"),
        ("lite0", {"size": None, "resize": "bicubic-antialias"}, "takes a size in pixels, e.g. 96; found None"),
        ("lite0", {"size": 16, "resize": "bicubic-antialias"}, "size of 32 or more; found 16"),
        ("lite0", LITE0 | {"batch_size": 0}, "batch size must be at least 1; found 0"),
        ("lite0", LITE0 | {"weights": "/no/such.pth"}, "'/no/such.pth' for the extractor 'lite0' is missing"),
        ("inception-v3-compat", {"size": 96, "resize": "extractor"}, "takes no size.*found 96"),
        ("clip-vit-b32", INCEPTION, "Unknown extractor 'clip-vit-b32'. Did you mean 'clip-vit-b-32'"),
        ("vgg16", {"size": 224, "resize": "bicubic-antialias"}, "Unknown resize rule of the extractor 'vgg16'"),
        ("timm:NAME", LITE0, "stands for a family of extractors: replace NAME"),
        ("torchscript:PATH", INCEPTION, "stands for a family of extractors: replace PATH"),
        (
            "inception-v3-compat",
            INCEPTION | {"weights": "/no/such.pth"},
            "'/no/such.pth' for the extractor 'inc.* is missing",
        ),
    ],
)
def test_misuse_is_named(name: str, options: dict[str, Any], message: str) -> None:
    """Unknown names, unfit sizes and missing files are one sentence each, with the nearest valid name."""
    with pytest.raises(GraftbenchError, match=message):
        make_extractor(name, **options)


def test_weights_hash() -> None:
    """A package's file has the hash that its own name begins with; a given path is hashed itself."""
    path = load.lite0_file()
    assert path.stem.rpartition("-")[2] == weights_sha256("lite0")[:8]
    assert weights_sha256("lite0", str(path)) == weights_sha256("lite0")
    with pytest.raises(GraftbenchError, match="Unknown extractor"):
        weights_sha256("lite1")


def test_the_folder_of_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`GRAFTBENCH_WEIGHTS/<name>.pth`, `.pt` or `.safetensors` is used, hashed, and beaten by the protocol's file.

    `:` and `/` in a name become `_`. A folder without the extractor's file changes nothing; a path that is no folder is
    an error.
    """
    monkeypatch.setenv("GRAFTBENCH_WEIGHTS", str(tmp_path))
    packaged = load.lite0_file()
    assert packaged.parent != tmp_path
    assert weights_sha256("dinov2-vit-s-14") == DOWNLOADS["dinov2-vit-s-14"].sha256
    for name, file in (
        ("lite0", "lite0.pth"),
        ("vgg16", "vgg16.pt"),
        ("dinov2-vit-s-14", "dinov2-vit-s-14.safetensors"),
        ("timm:resnet18.a1_in1k", "timm_resnet18.a1_in1k.safetensors"),
    ):
        (tmp_path / file).write_text(name)
        assert weights_file(name) == tmp_path / file
        assert weights_sha256(name) == hashlib.sha256(name.encode()).hexdigest()
        assert weights_file(name, str(packaged)) == packaged
    monkeypatch.setenv("GRAFTBENCH_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(
        GraftbenchError, match=r"GRAFTBENCH_WEIGHTS must name a folder of weights files; '.*none' is none"
    ):
        weights_sha256("vgg16")


# ----------------------------------------------------------------------------------------------------------- lite0


@pytest.mark.parametrize(("name", "size"), [("lite0", 96), ("lite0", 160), ("lite2", 128), ("lite2", 160)])
def test_they_recognise_a_football(load_emoji: Callable[[str], torch.Tensor], name: str, size: int) -> None:
    """Weights, their order, colour order and scaling are right: Twemoji's football is ImageNet's soccer ball, 805."""
    _, logits = make_extractor(name, size=size, resize="bicubic-antialias").features(load_emoji("26bd")[None])
    assert int(logits.argmax()) == 805


def test_lite0_shapes_and_types(lite0: Extractor, emoji: torch.Tensor) -> None:
    """Float32 N×1280 and N×1000, finite, ordinary tensors; logits are the classifier's of those very features."""
    import torch

    pooled, logits = lite0.features(emoji[:5])
    assert (pooled.shape, logits.shape, pooled.dtype, logits.dtype) == (
        (5, 1280),
        (5, 1000),
        torch.float32,
        torch.float32,
    )
    assert not pooled.is_inference()
    network: Any = lite0.network
    classifier = network.network.classifier
    assert torch.allclose(classifier(pooled), logits, atol=1e-4)


def test_lite0_passes_once(lite0: Extractor, emoji: torch.Tensor) -> None:
    """Features and logits come from one forward pass over each batch: 70 images in batches of 16 are five calls."""
    calls: list[int] = []
    network: Any = lite0.network
    stem = network.network.conv_stem
    hook = stem.register_forward_hook(lambda _module, inputs, _output: calls.append(len(inputs[0])))
    try:
        lite0.features(emoji[:70])
    finally:
        hook.remove()
    assert calls == [16, 16, 16, 16, 6]


def test_equal_images_are_read_once(lite0: Extractor, emoji: torch.Tensor) -> None:
    """Of 12 images that are 3, the network reads 3; each image has its own's features, in the images' order."""
    import torch

    calls: list[int] = []
    network: Any = lite0.network
    hook = network.network.conv_stem.register_forward_hook(
        lambda _module, inputs, _output: calls.append(len(inputs[0]))
    )
    order = [2, 0, 0, 1, 2, 2, 1, 0, 0, 0, 1, 2]
    try:
        pooled, logits = lite0.features(emoji[order])
    finally:
        hook.remove()
    assert calls == [3]
    alone = lite0.features(emoji[[2, 0, 1]])
    rows = [[2, 0, 1].index(i) for i in order]
    assert torch.equal(pooled, alone[0][rows])
    assert torch.equal(logits, alone[1][rows])


def test_lite0_is_deterministic(lite0: Extractor, emoji: torch.Tensor) -> None:
    """The same images give the same bits."""
    import torch

    first, second = lite0.features(emoji[:40]), lite0.features(emoji[:40])
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.slow
def test_lite0_does_not_depend_on_the_batch(lite0: Extractor, emoji: torch.Tensor) -> None:
    """Any batch size and any neighbours give the same features.

    About 50 layers of float32 sums of up to 1000 terms round within 1e-6 of activations of at most 6: 1e-4 is generous,
    and a batch-dependent layer (batch statistics) would differ by order one.
    """
    import torch

    pooled, logits = lite0.features(emoji[:40])
    for batch_size in (1, 7):
        other = make_extractor("lite0", **LITE0, batch_size=batch_size).features(emoji[:40])
        assert torch.allclose(other[0], pooled, rtol=0, atol=1e-4)
        assert torch.allclose(other[1], logits, rtol=0, atol=2e-4)
    flipped = lite0.features(emoji[:40].flip(0))
    assert torch.allclose(flipped[0].flip(0), pooled, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("rule", "filter_name"), [("bicubic-antialias", "BICUBIC"), ("bilinear-antialias", "BILINEAR")]
)
@pytest.mark.parametrize("size", [32, 96])
def test_resize_is_pillows(emoji: torch.Tensor, size: int, rule: str, filter_name: str) -> None:
    """Down to 32 and up to 96 the resize equals Pillow's on float planes, clamped to 0 to 255.

    Both sum at most 100 products of weights (float32, 6e-8) and values up to 255: 255·1e-6 each, 5e-3 in all.
    """
    from PIL import Image

    from graftbench.extractors.preprocessing import resized

    ours = resized(emoji[:3], size, rule).numpy()
    for image, found in zip(emoji[:3].numpy(), ours, strict=True):
        for plane, result in zip(image, found, strict=True):
            theirs = Image.fromarray(plane.astype(np.float32)).resize((size, size), Image.Resampling[filter_name])
            assert np.abs(np.clip(np.asarray(theirs), 0, 255) - result).max() < 5e-3


def test_resize_to_the_same_size_changes_nothing(emoji: torch.Tensor) -> None:
    """Images that already have the size reach the network as they are."""
    import torch

    from graftbench.extractors.preprocessing import resized

    assert torch.equal(resized(emoji[:2], 72, "bicubic-antialias"), emoji[:2].float())


@pytest.mark.slow
def test_folded_lite0_scores_the_same(lite0: Extractor, emoji: torch.Tensor) -> None:
    """FID, KID and IS move by less than 1e-4 relative against plain float32: contiguous, batch norm as it is.

    Features of at most 6 move by 5e-5; the scores average over 120 images. Measured: 3e-7, 1.3e-6 and 1e-7.
    """
    import timm
    import torch

    from graftbench.extractors.preprocessing import resized
    from graftbench.extractors.state_dicts import load_by_position, read_state

    plain: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    load_by_position(plain, read_state(load.lite0_file()), load.lite0_file())
    plain.eval()
    parts = []
    with torch.inference_mode():
        for batch in emoji.split(40):
            maps = plain.forward_features((resized(batch, 96, "bicubic-antialias") - 127.0) / 128.0)
            parts.append((plain.forward_head(maps, pre_logits=True), plain.forward_head(maps)))
    reference = tuple(torch.cat(part) for part in zip(*parts, strict=True))
    found = lite0.features(emoji)
    assert torch.allclose(found[0], reference[0], rtol=0, atol=1e-4)
    assert scores(*found) == pytest.approx(scores(*reference), rel=1e-4)


def scores(pooled: torch.Tensor, logits: torch.Tensor) -> list[float]:
    """FID and KID of the first half of the images against the second, and IS of the first."""
    half = len(pooled) // 2
    estimates = (
        fid(pooled[:half], pooled[half:]),
        kid(pooled[:half], pooled[half:]),
        inception_score(logits[:half], splits=2),
    )
    return [float(estimate.value or 0.0) for estimate in estimates]


def test_bad_images(lite0: Extractor) -> None:
    """Floats, grey images and single images are refused by name; no images give no features."""
    import torch

    for images, found in (
        (torch.zeros(2, 3, 8, 8), r"found float32 \(2, 3, 8, 8\)"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), r"found uint8 \(2, 1, 8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), r"found uint8 \(3, 8, 8\)"),
    ):
        with pytest.raises(GraftbenchError, match=found):
            lite0.features(images)
    with pytest.raises(GraftbenchError, match=r"without pixels: \(2, 3, 0, 8\)"):
        lite0.features(torch.zeros(2, 3, 0, 8, dtype=torch.uint8))
    pooled, logits = lite0.features(torch.zeros(0, 3, 8, 8, dtype=torch.uint8))
    assert (pooled.shape, logits.shape) == ((0, 1280), (0, 1000))


def test_precision_settings_come_back(lite0: Extractor, emoji: torch.Tensor) -> None:
    """A caller's permission for TF32 products neither reaches the extractor nor gets lost."""
    import torch

    torch.set_float32_matmul_precision("high")
    try:
        lite0.features(emoji[:1])
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.slow
def test_wrong_weights_are_named(tmp_path: Path) -> None:
    """No PyTorch file, a truncated one, a list, a missing entry, a wrong shape or order: one sentence each."""
    import torch

    good = torch.load(load.lite0_file(), weights_only=True)
    path = tmp_path / "weights.pth"

    def refused(message: str) -> None:
        with pytest.raises(GraftbenchError, match=message):
            make_extractor("lite0", **LITE0, weights=str(path))

    path.write_text("<html>not found</html>")
    refused("weights.pth' cannot be read as a PyTorch state dict")
    path.write_bytes(load.lite0_file().read_bytes()[:100_000])
    refused("weights.pth' cannot be read as a PyTorch state dict")
    torch.save([1, 2], path)
    refused("holds a list; expected a dict of tensors")
    torch.save(dict(list(good.items())[:-1]), path)
    refused("has 295 entries; the network has 296")
    torch.save(good | {"_fc.weight": torch.zeros(10, 1280)}, path)
    refused(r"'_fc.weight' \(10, 1280\) stands where 'classifier.weight' \(1000, 1280\) is expected")
    entries = list(good.items())
    entries[1], entries[2] = entries[2], entries[1]  # weight and bias of one layer: equal shapes
    torch.save(dict(entries), path)
    refused("'_bn0.bias' .* stands where 'bn1.weight'")


def test_a_weights_file_never_runs_code(tmp_path: Path) -> None:
    """A pickle that would call a function on loading is refused, and the function is not called."""
    import torch

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"weight": Trap()}, tmp_path / "trap.pth")
    for name, options in (
        ("lite0", LITE0),
        ("inception-v3-compat", INCEPTION),
        ("vgg16", INCEPTION),
        ("clip-vit-b-32", INCEPTION),
        ("dinov2-vit-s-14", INCEPTION),
        ("timm:resnet18", {"size": 224, "resize": "bicubic-antialias"}),
    ):
        with pytest.raises(GraftbenchError, match="cannot be read"):
            make_extractor(name, **options, weights=str(tmp_path / "trap.pth"))
    assert not (tmp_path / "sprung").exists()


# ------------------------------------------------------------------------------------------------------- inception


@pytest.mark.slow
def test_inception_from_a_file(lively_inception: Path, emoji: torch.Tensor) -> None:
    """A local file gives torch-fidelity's own features and unbiased logits, whatever the batch."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.set_num_threads(1)
    extractor = make_extractor("inception-v3-compat", **INCEPTION, weights=str(lively_inception), batch_size=2)
    pooled, logits = extractor.features(emoji[:3])
    theirs = FeatureExtractorInceptionV3("x", ["2048", "logits_unbiased"], str(lively_inception))
    with torch.inference_mode():
        expected = theirs(emoji[:3])
    assert pooled.shape == (3, describe("inception-v3-compat").width)
    assert logits.shape == (3, describe("inception-v3-compat").classes)
    # Random layers amplify rounding: torch-fidelity's own pass is 1e-4 of the largest entry from float64's.
    for ours, theirs_too in zip((pooled, logits), expected, strict=True):
        assert float((ours - theirs_too).abs().max()) < 3e-4 * float(theirs_too.abs().max())
    assert weights_sha256("inception-v3-compat", str(lively_inception)) != INCEPTION_SHA256


def test_tensorflows_resize_is_torch_fidelitys() -> None:
    """Bit for bit, up and down, for oblong images and single pixels."""
    import torch
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    from graftbench.extractors.preprocessing import resized_as_tf1

    for height, width in ((1, 1), (5, 9), (72, 72), (224, 299), (640, 301)):
        images = torch.from_numpy(np.random.default_rng(height).integers(0, 256, (2, 3, height, width), dtype=np.uint8))
        for size in (224, 299):
            theirs = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(size, size), align_corners=False)
            assert torch.equal(resized_as_tf1(images, size), theirs)


@pytest.fixture(scope="module")
def lively_inception(random_inception: Path, emoji: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights whose batch norms know the images' statistics.

    Freshly initialised, each layer shrinks what it gets, and features end near 1e-7: no metric tells images apart.
    """
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("x", ["2048"], str(random_inception)).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the running statistics are the mean over the batches
    with torch.no_grad():
        network(emoji[:8])
    network.fc.weight *= 20.0  # class probabilities that differ
    path = tmp_path_factory.mktemp("inception") / "lively.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.long
def test_fast_inception_scores_the_same(lively_inception: Path, emoji: torch.Tensor) -> None:
    """FID, KID and IS of 120 real images move by less than 1e-4 relative against torch-fidelity's own forward pass.

    Random layers amplify rounding: torch-fidelity's own features are 1e-4 of the largest from float64's, and so are
    ours. The scores average over 60 images and more.
    """
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.set_num_threads(1)
    found = make_extractor("inception-v3-compat", **INCEPTION, weights=str(lively_inception)).features(emoji[:120])
    theirs = FeatureExtractorInceptionV3("x", ["2048", "logits_unbiased"], str(lively_inception))
    with torch.inference_mode():
        parts = [theirs(batch) for batch in emoji[:120].split(20)]
    reference = tuple(torch.cat(part) for part in zip(*parts, strict=True))
    assert float(reference[0].std()) > 0.1
    for ours, other in zip(found, reference, strict=True):
        assert float((ours - other).abs().max()) < 3e-4 * float(other.abs().max())
    assert scores(*found) == pytest.approx(scores(*reference), rel=1e-4)


def test_inception_with_the_wrong_file() -> None:
    """Another network's weights are refused with the file's name."""
    with pytest.raises(
        GraftbenchError, match=r"efficientnet-lite0-57934424.pth' does not fit torch-fidelity's Inception"
    ):
        make_extractor("inception-v3-compat", **INCEPTION, weights=str(load.lite0_file()))


@pytest.mark.parametrize("name", ["inception-v3-compat", "vgg16", "clip-vit-b-32", "dinov2-vit-s-14"])
def test_no_file_and_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """The message says where the file belongs, from where, and what else can be done. The hash is known even so."""
    import torch

    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("GRAFTBENCH_WEIGHTS", raising=False)
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(GraftbenchError, match="no route to host") as caught:
        make_extractor(name, **INCEPTION)
    message = str(caught.value)
    assert str(tmp_path / "hub" / "checkpoints" / DOWNLOADS[name].file) in message
    assert DOWNLOADS[name].url in message
    assert f"{name}{{.pth,.pt,.safetensors}} and name the folder in GRAFTBENCH_WEIGHTS" in message
    assert "`weights`" in message
    assert weights_sha256(name) == DOWNLOADS[name].sha256


def test_inception_download_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the network serves under the right name is refused if its content is another, and nothing stays behind."""
    served = tmp_path / "served.pth"
    served.write_bytes(b"another file")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(DOWNLOADS, "inception-v3-compat", Download(INCEPTION_FILE, served.as_uri(), INCEPTION_SHA256))
    with pytest.raises(GraftbenchError, match="invalid hash value"):
        make_extractor("inception-v3-compat", **INCEPTION)
    assert list((tmp_path / "home" / "hub" / "checkpoints").iterdir()) == []


def test_inception_damaged_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A truncated download from before is recognised by its hash, and the message names the file to delete."""
    import torch

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / INCEPTION_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    assert str(torch_hub()) == torch.hub.get_dir()
    with pytest.raises(GraftbenchError, match=r"is damaged \(4 bytes.*delete it"):
        make_extractor("inception-v3-compat", **INCEPTION)
