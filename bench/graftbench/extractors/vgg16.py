"""VGG-16 as torch-fidelity uses it, with the logits that torch-fidelity cuts off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torchvision.models import vgg16

from graftbench.extractors.base import Network
from graftbench.extractors.preprocessing import IMAGENET_MEAN, IMAGENET_STD, normalised, resized_as_tf1
from graftbench.extractors.state_dicts import load_by_name, read_state

if TYPE_CHECKING:
    from pathlib import Path


class Vgg16Network(Network):
    """Uint8 B×3×H×W of any size to pooled B×4096 and logits B×1000.

    Pooled features are torch-fidelity's `fc2_relu`: the second fully connected layer after its ReLU, on images resized
    to 224×224 as TensorFlow 1 did. Logits are those of ImageNet's 1000 classes; torch-fidelity drops that layer and
    takes an "Inception Score" of the features instead, which is another number.

    References:
        Simonyan & Zisserman 2014 (arXiv 1409.1556).
    """

    width = 4096
    classes = 1000

    def __init__(self, weights: Path) -> None:
        super().__init__()
        with torch.device("meta"):  # its initialisation takes seconds, and is thrown away
            network = vgg16()
        load_by_name(network, read_state(weights), weights, "torchvision's VGG-16")
        network.eval().requires_grad_(requires_grad=False)
        self.trunk = torch.nn.Sequential(network.features, network.avgpool)
        self.layers, self.last = network.classifier[:-1], network.classifier[-1]
        self.trunk.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map uint8 B×3×H×W to pooled features B×4096 and logits B×1000."""
        pixels = normalised(resized_as_tf1(images, 224), IMAGENET_MEAN, IMAGENET_STD)
        maps = self.trunk(pixels.contiguous(memory_format=torch.channels_last))
        pooled = self.layers(maps.flatten(1))
        return pooled, self.last(pooled)
