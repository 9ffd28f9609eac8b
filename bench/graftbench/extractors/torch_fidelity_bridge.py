"""`lite0` as a feature extractor of torch-fidelity, so that both tools can score with one network."""

from __future__ import annotations

from typing import Any

import torch
from torch_fidelity import FeatureExtractorBase, register_feature_extractor
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from graftbench.errors import GraftbenchError
from graftbench.extractors.lite0 import Lite0Network
from graftbench.extractors.load import lite0_file

_LAYERS = ("1280", "logits")


class _Lite0(FeatureExtractorBase):
    """torch-fidelity's interface: uint8 B×3×H×W in, a tuple in the order of the requested layers out."""

    side = 96

    def __init__(self, name: str, features_list: list[str], **options: Any) -> None:  # noqa: ANN401 - theirs
        super().__init__(name, features_list)
        self.network = Lite0Network(
            lite0_file(options.get("feature_extractor_weights_path") or ""), self.side, "bicubic-antialias"
        )

    def forward(self, input: torch.Tensor) -> tuple[torch.Tensor, ...]:  # noqa: A002 - the base class's name
        layers = dict(zip(_LAYERS, self.network(input), strict=True))
        return tuple(layers[name] for name in self.features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return _LAYERS

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "logits" if metric == "isc" else "1280"

    @staticmethod
    def can_be_compiled() -> bool:
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> torch.Tensor:
        return torch.zeros(1, 3, 32, 32, dtype=torch.uint8)


def register_lite0(size: int = 96) -> str:
    """Register `lite0` for images resized to size×size; return the name for `calculate_metrics(feature_extractor=…)`.

    Registering again changes nothing.

    Raises:
        GraftbenchError: The size is below 32.
    """
    if size < 32:
        raise GraftbenchError(f"The extractor 'lite0' needs a size of 32 or more; found {size}.")
    name = f"graftbench-lite0-{size}"
    if name not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(name, type(f"Lite0At{size}", (_Lite0,), {"side": size}))
    return name
