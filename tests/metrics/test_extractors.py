"""Extractors: weights, preprocessing, determinism, torch-fidelity's interface, and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics import extractors
from graftbench.metrics.extractors import (
    INCEPTION_FILE,
    INCEPTION_SHA256,
    describe,
    extractor_names,
    make_extractor,
    register_lite0,
    weights_sha256,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from graftbench.metrics.networks import Extractor

LITE0 = {"size": 96, "resize": "bicubic-antialias"}
INCEPTION: dict[str, Any] = {"size": None, "resize": "extractor"}


def test_names_and_descriptions() -> None:
    """Every name has a description whose defaults `make_extractor` accepts."""
    assert extractor_names() == ["lite0", "inception-v3-compat"]
    for name in extractor_names():
        assert describe(name).name == name
    assert (describe("lite0").size, describe("lite0").resizes[0]) == (96, "bicubic-antialias")
    assert (describe("inception-v3-compat").size, describe("inception-v3-compat").resizes) == (None, ("extractor",))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lite", LITE0, "Unknown extractor 'lite'. Did you mean 'lite0'"),
        ("lite0", {"size": 96, "resize": "bicubic"}, "Did you mean 'bicubic-antialias'"),
        ("lite0", {"size": None, "resize": "bicubic-antialias"}, "takes a size in pixels, e.g. 96; found None"),
        ("lite0", {"size": 16, "resize": "bicubic-antialias"}, "size of 32 or more; found 16"),
        ("lite0", LITE0 | {"batch_size": 0}, "batch size must be at least 1; found 0"),
        ("lite0", LITE0 | {"weights": "/no/such.pth"}, "'/no/such.pth' for the extractor 'lite0' is missing"),
        ("inception-v3-compat", {"size": 96, "resize": "extractor"}, "takes no size.*found 96"),
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
    """The package's file has the hash that its own name begins with; a given path is hashed itself."""
    path = extractors.lite0_file()
    assert path.stem.rpartition("-")[2] == weights_sha256("lite0")[:8]
    assert weights_sha256("lite0", str(path)) == weights_sha256("lite0")
    with pytest.raises(GraftbenchError, match="Unknown extractor"):
        weights_sha256("lite1")


# ----------------------------------------------------------------------------------------------------------- lite0


@pytest.mark.parametrize("size", [96, 160])
def test_lite0_recognises_a_football(load_emoji: Callable[[str], torch.Tensor], size: int) -> None:
    """Weights, their order, colour order and scaling are right: Twemoji's football is ImageNet's soccer ball, 805."""
    _, logits = make_extractor("lite0", size=size, resize="bicubic-antialias").features(load_emoji("26bd")[None])
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
    classifier = lite0.network.network.classifier  # type: ignore[attr-defined]
    assert torch.allclose(classifier(pooled), logits, atol=1e-4)


def test_lite0_passes_once(lite0: Extractor, emoji: torch.Tensor) -> None:
    """Features and logits come from one forward pass over each batch: 70 images in batches of 32 are three calls."""
    calls: list[int] = []
    stem = lite0.network.network.conv_stem  # type: ignore[attr-defined]
    hook = stem.register_forward_hook(lambda _module, inputs, _output: calls.append(len(inputs[0])))
    try:
        lite0.features(emoji[:70])
    finally:
        hook.remove()
    assert calls == [32, 32, 6]


def test_lite0_is_deterministic(lite0: Extractor, emoji: torch.Tensor) -> None:
    """The same images give the same bits."""
    import torch

    first, second = lite0.features(emoji[:40]), lite0.features(emoji[:40])
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


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

    from graftbench.metrics.networks import resized

    ours = resized(emoji[:3], size, rule).numpy()
    for image, found in zip(emoji[:3].numpy(), ours, strict=True):
        for plane, result in zip(image, found, strict=True):
            theirs = Image.fromarray(plane.astype(np.float32)).resize((size, size), Image.Resampling[filter_name])
            assert np.abs(np.clip(np.asarray(theirs), 0, 255) - result).max() < 5e-3


def test_resize_to_the_same_size_changes_nothing(emoji: torch.Tensor) -> None:
    """Images that already have the size reach the network as they are."""
    import torch

    from graftbench.metrics.networks import resized

    assert torch.equal(resized(emoji[:2], 72, "bicubic-antialias"), emoji[:2].float())


def test_lite0_bad_images(lite0: Extractor) -> None:
    """Floats, grey images and single images are refused by name; no images give no features."""
    import torch

    for images, found in (
        (torch.zeros(2, 3, 8, 8), r"found float32 \(2, 3, 8, 8\)"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), r"found uint8 \(2, 1, 8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), r"found uint8 \(3, 8, 8\)"),
    ):
        with pytest.raises(GraftbenchError, match=found):
            lite0.features(images)
    pooled, logits = lite0.features(torch.zeros(0, 3, 8, 8, dtype=torch.uint8))
    assert (pooled.shape, logits.shape) == ((0, 1280), (0, 1000))


def test_wrong_weights_are_named(tmp_path: Path) -> None:
    """No PyTorch file, a truncated one, a list, a missing entry, a wrong shape or order: one sentence each."""
    import torch

    good = torch.load(extractors.lite0_file(), weights_only=True)
    path = tmp_path / "weights.pth"

    def refused(message: str) -> None:
        with pytest.raises(GraftbenchError, match=message):
            make_extractor("lite0", **LITE0, weights=str(path))

    path.write_text("<html>not found</html>")
    refused("weights.pth' cannot be read as a PyTorch state dict")
    path.write_bytes(extractors.lite0_file().read_bytes()[:100_000])
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
    for name, options in (("lite0", LITE0), ("inception-v3-compat", INCEPTION)):
        with pytest.raises(GraftbenchError, match="cannot be read"):
            make_extractor(name, **options, weights=str(tmp_path / "trap.pth"))
    assert not (tmp_path / "sprung").exists()


# -------------------------------------------------------------------------------------------------- torch-fidelity


def test_torch_fidelity_scores_with_lite0(emoji: torch.Tensor, lite0: Extractor) -> None:
    """`calculate_metrics` with the registered extractor gives our scores on the same images.

    Its KID runs in float32 (2e-5 to 3e-4 relative). Its FID of 24 images against 1280 features takes roots of
    eigenvalues that are zero but for rounding: up to 1234 of √(1e-16·λmax²); our own number is exact, so 1e-3 relative.
    """
    import torch_fidelity
    from torch.utils.data import Dataset

    from graftbench.metrics import fid, inception_score, kid_subsets

    class Images(Dataset):
        def __init__(self, images: torch.Tensor) -> None:
            self.images = images

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> torch.Tensor:
            return self.images[index]

    name = register_lite0(96)
    assert register_lite0(96) == name == "graftbench-lite0-96"
    first, second = emoji[:24], emoji[24:48]
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(first), input2=Images(second), feature_extractor=name, cuda=False, batch_size=8,
        fid=True, kid=True, isc=True, isc_splits=2, kid_subsets=5, kid_subset_size=20, save_cpu_ram=True, cache=False,
        verbose=False,
    )  # fmt: skip
    (x, logits), (y, _) = lite0.features(first), lite0.features(second)
    assert fid(x, y).value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)
    assert kid_subsets(x, y, 5, 20).value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)
    assert inception_score(logits, splits=2).value == pytest.approx(theirs["inception_score_mean"], rel=1e-5)
    with pytest.raises(GraftbenchError, match="32 or more; found 8"):
        register_lite0(8)


# ------------------------------------------------------------------------------------------------------- inception


def test_inception_from_a_file(random_inception: Path, emoji: torch.Tensor) -> None:
    """A local file gives torch-fidelity's own features and unbiased logits, in one pass."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.set_num_threads(1)
    extractor = make_extractor("inception-v3-compat", **INCEPTION, weights=str(random_inception), batch_size=2)
    pooled, logits = extractor.features(emoji[:3])
    theirs = FeatureExtractorInceptionV3("x", ["2048", "logits_unbiased"], str(random_inception))
    with torch.inference_mode():
        expected = theirs(emoji[:3])
    assert pooled.shape == (3, describe("inception-v3-compat").width)
    assert logits.shape == (3, describe("inception-v3-compat").classes)
    # Batches of 2 and 1 against one of 3: float32 rounding of activations below 1, about 100 layers.
    assert torch.allclose(pooled, expected[0], rtol=1e-3, atol=1e-5)
    assert torch.allclose(logits, expected[1], rtol=1e-3, atol=1e-5)
    assert weights_sha256("inception-v3-compat", str(random_inception)) != INCEPTION_SHA256


def test_inception_with_the_wrong_file() -> None:
    """Another network's weights are refused with the file's name."""
    with pytest.raises(
        GraftbenchError, match=r"efficientnet-lite0-57934424.pth' does not fit torch-fidelity's Inception"
    ):
        make_extractor("inception-v3-compat", **INCEPTION, weights=str(extractors.lite0_file()))


def test_inception_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No file and no network: the message says where the file belongs, from where, and what else can be done."""
    import torch

    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(GraftbenchError, match="no route to host") as caught:
        make_extractor("inception-v3-compat", **INCEPTION)
    message = str(caught.value)
    assert str(tmp_path / "hub" / "checkpoints" / INCEPTION_FILE) in message
    assert "torch-fidelity/releases" in message
    assert "`weights`" in message


def test_inception_download_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the network serves under the right name is refused if its content is another, and nothing stays behind."""
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    served = tmp_path / "served.pth"
    served.write_bytes(b"another file")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(theirs, "URL_INCEPTION_V3", served.as_uri())
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
    assert str(extractors._torch_hub()) == torch.hub.get_dir()
    with pytest.raises(GraftbenchError, match=r"is damaged \(4 bytes.*delete it"):
        make_extractor("inception-v3-compat", **INCEPTION)
