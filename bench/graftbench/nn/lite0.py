"""EfficientNet-Lite0's feature maps, for methods that look through an ImageNet backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from graftbench.extractors.state_dicts import load_by_position, read_state

if TYPE_CHECKING:
    from pathlib import Path


class Lite0Blocks(nn.Module):
    """Images in [−1, 1] (B×3×H×W) -> feature maps of the stem and three stages; frozen, in eval mode.

    At 32 px, not enlarged: 32×16×16, 16×16×16, 24×8×8, 40×4×4. The input rule of the weights, (x − 127)/128 on
    0…255, is (x − 127.5)/127.5 to within half a grey level.
    """

    STAGES: ClassVar[int] = 4

    def __init__(self, weights: Path, *, enlarge: int = 1) -> None:
        super().__init__()
        import timm  # noqa: PLC0415 - two seconds that listing methods and planning a run need not wait for

        self.enlarge = nn.Upsample(scale_factor=enlarge, mode="bilinear") if enlarge > 1 else nn.Identity()
        with torch.random.fork_rng(devices=[]):  # weights that are drawn first and replaced at once
            network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        load_by_position(network, read_state(weights), weights)
        network.eval().requires_grad_(requires_grad=False)
        self.stem = nn.Sequential(network.get_submodule("conv_stem"), network.get_submodule("bn1"))
        stages = network.get_submodule("blocks").children()
        self.stages = nn.ModuleList(stage for stage, _ in zip(stages, range(self.STAGES - 1), strict=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps, finest first."""
        maps = [self.stem(self.enlarge(x).contiguous(memory_format=torch.channels_last))]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps
