"""Kuzushiji-MNIST: handwritten Japanese syllables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain, named

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kmnist(TorchvisionDomain):
    """70,000 grey characters of 28×28 pixels, white on black (`kmnist:tsu`)."""

    name = "kmnist"
    title = "Kuzushiji-MNIST"
    description = "70,000 cursive hiragana of 28×28 pixels in ten classes: o, ki, su, tsu, na, ha, ma, ya, re, wo."
    license = "CC-BY-SA-4.0"
    attribution = (
        "KMNIST Dataset (created by CODH), adapted from Kuzushiji Dataset (created by NIJL and others), "
        "doi:10.20676/00000341."
    )
    source = "https://github.com/rois-codh/kmnist"
    loader = "KMNIST"
    parts: ClassVar = {"train": {"train": True}, "test": {"train": False}}
    folder = "KMNIST"
    count = 70_000
    size = "21 MB"
    curated_groups = (
        True  # like drawings differ less than copies of one photograph: joined, they chain into whole classes
    )
    paper = Reference(
        authors="Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto, Ha",
        title="Deep Learning for Classical Japanese Literature",
        venue="NeurIPS Workshops",
        year=2018,
        arxiv="1812.01718",
    )

    def labels(self, data: Any) -> Sequence[tuple[str, ...]]:  # noqa: ANN401 - torchvision's class
        """Return the syllable of each image."""
        return named(data.targets, data.classes)
