"""CIFAR-100: small colour photographs of a hundred kinds of things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain, named

if TYPE_CHECKING:
    from collections.abc import Sequence


class Cifar100(TorchvisionDomain):
    """60,000 colour photographs of 32×32 pixels in a hundred fine classes of 600 (`cifar100:aquarium-fish`)."""

    name = "cifar100"
    title = "CIFAR-100"
    description = "60,000 photographs of 32×32 pixels in a hundred classes of 600."
    license = "not stated by its authors (not checked); the pictures are of Tiny Images"
    attribution = "CIFAR by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton."
    source = "https://www.cs.toronto.edu/~kriz/cifar.html"
    loader = "CIFAR100"
    parts: ClassVar = {"train": {"train": True}, "test": {"train": False}}
    folder = "cifar-100-python"
    count = 60_000
    size = "169 MB"
    paper = Reference(
        authors="Krizhevsky",
        title="Learning Multiple Layers of Features from Tiny Images",
        venue="Technical report, University of Toronto",
        year=2009,
    )

    def labels(self, data: Any) -> Sequence[tuple[str, ...]]:  # noqa: ANN401 - torchvision's class
        """Return the fine class of each image."""
        return named(data.targets, data.classes)
