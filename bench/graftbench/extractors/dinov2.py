"""DINOv2's encoders as torch-fidelity uses them, from timm's modules and Meta's files.

torch-fidelity has torch.hub fetch and run the current code of Meta's repository, which neither works offline nor gives
the same network tomorrow. timm has the same network; what differs is undone here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import timm
import torch
import torch.nn.functional as F

from graftbench.extractors.base import Network
from graftbench.extractors.catalogue import DINOV2
from graftbench.extractors.preprocessing import IMAGENET_MEAN, IMAGENET_STD, normalised, resized_as_tf1
from graftbench.extractors.state_dicts import load_by_name, misfit, read_state

if TYPE_CHECKING:
    from pathlib import Path

_SIZE, _PATCH = 224, 14


class DinoNetwork(Network):
    """Uint8 B×3×H×W of any size to class tokens B×D after the last norm; no logits.

    Images are resized to 224×224 as TensorFlow 1 did: torch-fidelity's rule. FD-DINOv2 as published (arXiv 2306.04675)
    resizes with Pillow's bicubic filter instead.

    References:
        Oquab et al. 2023 (arXiv 2304.07193).
    """

    classes = 0

    def __init__(self, name: str, weights: Path) -> None:
        super().__init__()
        facts = DINOV2[name]
        self.width = facts.width
        with torch.device("meta"):  # its initialisation takes seconds, and is thrown away
            self.network: Any = timm.create_model(facts.architecture, pretrained=False, img_size=_SIZE)
        title = f"DINOv2 {facts.file}"
        state = _as_timm(read_state(weights))
        positions = state.get("pos_embed")
        if positions is None:
            raise misfit(weights, title, "it has no entry 'pos_embed'")
        patches = positions.shape[1] - 1 if positions.ndim == 3 else 0
        if patches < 1 or math.isqrt(patches) ** 2 != patches:
            raise misfit(weights, title, f"its 'pos_embed' is {tuple(positions.shape)}, expected (1, 1 + a square, D)")
        state["pos_embed"] = resampled_positions(positions, _SIZE // _PATCH)
        load_by_name(self.network, state, weights, title)
        self.network.eval().requires_grad_(requires_grad=False)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map uint8 B×3×H×W to class tokens B×D and logits B×0."""
        tokens = self.network(normalised(resized_as_tf1(images, _SIZE), IMAGENET_MEAN, IMAGENET_STD))
        return tokens, tokens.new_empty(len(tokens), 0)


def resampled_positions(positions: torch.Tensor, side: int) -> torch.Tensor:
    """Resample position embeddings 1×(1+n²)×D for n×n patches to side×side patches, as Meta's code does.

    Bicubic without antialiasing, with the scale (side + 0.1)/n: the 0.1 once kept rounding from losing a patch and is
    part of the features since. timm antialiases and has no offset, which gives other features.
    """
    grid = math.isqrt(positions.shape[1] - 1)
    if grid == side:
        return positions
    scale = (side + 0.1) / grid
    patches = positions[:, 1:].float().reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    patches = F.interpolate(patches, scale_factor=(scale, scale), mode="bicubic", antialias=False)
    return torch.cat((positions[:, :1].float(), patches.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)


def _as_timm(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the state under timm's names, without training's mask token; the giant's feed-forward layers differ."""
    return {
        name.replace(".mlp.w12.", ".mlp.fc1.").replace(".mlp.w3.", ".mlp.fc2."): value
        for name, value in state.items()
        if name != "mask_token"
    }
