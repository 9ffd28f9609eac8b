"""What methods share that look through EfficientNet-Lite0, the network of the default extractor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Method
from graftbench.nn.lite0 import Lite0Blocks

if TYPE_CHECKING:
    from collections.abc import Collection


class Lite0Method(Method):
    """A method with EfficientNet-Lite0 as backbone or encoder."""

    @property
    def leaks(self) -> str:
        """Name the default extractor, whose network the method looks through."""
        return "lite0"


def check_layers(layers: Collection[int]) -> None:
    """Refuse layers that are no stages of the backbone, and none at all.

    Raises:
        ValueError: It says which there are.
    """
    if not layers or not set(layers) <= set(range(Lite0Blocks.STAGES)):
        raise ValueError(f"layers are stages 0 to {Lite0Blocks.STAGES - 1}, at least one; found {layers}")
