"""The Inception v3 of the original FID, from torch-fidelity's modules and weights."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from graftbench.extractors.base import Network
from graftbench.extractors.fold import fold_batch_norm
from graftbench.extractors.preprocessing import resized_as_tf1
from graftbench.extractors.state_dicts import misfit, read_state

if TYPE_CHECKING:
    from pathlib import Path


class InceptionNetwork(Network):
    """Uint8 B×3×H×W of any size to pooled B×2048 and logits B×1008.

    The logits are those without bias, from which the Inception Score is computed by convention. Images are resized to
    299×299 as TensorFlow 1 did.

    The modules are torch-fidelity's, applied in its order. Batch norm is folded into the convolutions and memory is
    channels-last, which doubles the CPU's throughput. Features differ from torch-fidelity's own pass by no more than
    that pass differs from float64's.
    """

    width = 2048
    classes = 1008

    def __init__(self, weights: Path) -> None:
        super().__init__()
        # torch-fidelity unpickles whatever the file holds. It gets a copy in memory of what was read as tensors alone.
        copy = io.BytesIO()
        torch.save(read_state(weights), copy)
        copy.seek(0)
        try:
            network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], copy)
        except RuntimeError as error:
            raise misfit(weights, "torch-fidelity's Inception v3", error) from error
        self.trunk = torch.nn.Sequential(*(module for name, module in network.named_children() if name != "fc"))
        self.classifier = network.fc.weight
        fold_batch_norm(self.trunk)
        self.trunk.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map uint8 B×3×H×W to pooled features B×2048 and logits B×1008."""
        pixels = resized_as_tf1(images, FeatureExtractorInceptionV3.INPUT_IMAGE_SIZE).sub_(128.0).div_(128.0)
        pooled = self.trunk(pixels.contiguous(memory_format=torch.channels_last)).flatten(1)
        return pooled, pooled @ self.classifier.T
