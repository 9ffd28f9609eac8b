"""CLIP's image encoders, from torch-fidelity's modules and OpenAI's files."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import torch
from torch_fidelity.feature_extractor_clip import build_model

from graftbench.extractors.base import Network
from graftbench.extractors.catalogue import CLIP
from graftbench.extractors.preprocessing import CLIP_MEAN, CLIP_STD, normalised, resized_as_tf1
from graftbench.extractors.state_dicts import misfit, read_script, read_state

if TYPE_CHECKING:
    from pathlib import Path


class ClipNetwork(Network):
    """Uint8 B×3×H×W of any size to image embeddings B×D; no logits.

    Embeddings are not normalised (as in torch-fidelity; CMMD normalises them). Images are resized to the encoder's size
    as TensorFlow 1 did. Weights are rounded to float16, the precision of the released files, and used in float32.

    References:
        Radford et al. 2021 (arXiv 2103.00020).
    """

    classes = 0

    def __init__(self, name: str, weights: Path) -> None:
        super().__init__()
        facts = CLIP[name]
        self.width, self.size, title = facts.width, facts.size, f"CLIP {facts.file}"
        # The first convolution tells the encoders apart.
        state = _visual(clip_state(weights))
        stem = state.get("visual.conv1.weight")
        if stem is None or tuple(stem.shape) != facts.stem:
            entry = "no entry 'visual.conv1.weight'" if stem is None else f"'visual.conv1.weight' {tuple(stem.shape)}"
            raise misfit(weights, title, f"it has {entry}, expected {facts.stem}")
        try:
            self.visual = build_model(state, torch.float32).visual
        except (RuntimeError, KeyError, IndexError, ValueError) as error:
            raise misfit(weights, title, error) from error
        width, size = self.visual.output_dim, self.visual.input_resolution
        if (width, size) != (facts.width, facts.size):
            expected = f"expected {facts.width} and {facts.size}"
            raise misfit(weights, title, f"it is {width} wide and for {size} pixels, {expected}")

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map uint8 B×3×H×W to embeddings B×D and logits B×0."""
        embedded = self.visual(normalised(resized_as_tf1(images, self.size), CLIP_MEAN, CLIP_STD))
        return embedded, embedded.new_empty(len(embedded), 0)


def clip_state(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of OpenAI's TorchScript archive, or of a plain state dict.

    OpenAI's files are TorchScript archives, which `weights_only=True` refuses. They are opened with `torch.jit.load`,
    as torch-fidelity does for local files: no Python objects are unpickled. Of the archive nothing but the tensors is
    kept; its `forward` is never called. A download is opened only after its hash has been found right.

    Raises:
        GraftbenchError: It is neither, or is damaged.
    """
    return dict(read_script(path).state_dict()) if _is_script(path) else read_state(path)


def _is_script(path: Path) -> bool:
    """Tell whether it is a TorchScript archive: a zip file with code in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _visual(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the image encoder's entries, and the text projection, which tells torch-fidelity the embedding's width."""
    visual = {name: value for name, value in state.items() if name.startswith("visual.")}
    projection = state.get("text_projection", visual.get("visual.proj"))
    return visual if projection is None else visual | {"text_projection": projection}
