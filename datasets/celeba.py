"""CelebA: faces of celebrities, aligned and cropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain

if TYPE_CHECKING:
    from collections.abc import Sequence


class CelebA(TorchvisionDomain):
    """202,599 aligned faces of 178×218 pixels, or those with one of 40 attributes (`celeba:eyeglasses`).

    The group is the person, so that no one is on two sides.
    """

    name = "celeba"
    title = "CelebFaces Attributes"
    description = (
        "202,599 aligned photographs (178×218 pixels, here the centre square) of 10,177 people, with 40 attributes."
    )
    license = "for non-commercial research only, by its agreement"
    attribution = (
        "CelebA by Ziwei Liu, Ping Luo, Xiaogang Wang and Xiaoou Tang, MMLAB, The Chinese University of Hong Kong."
    )
    source = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    loader = "CelebA"
    parts: ClassVar = {"all": {"split": "all", "target_type": "identity"}}
    folder = "celeba"
    count = 202_599
    size = "1.4 GB, with the package gdown"
    paper = Reference(
        authors="Liu, Luo, Wang, Tang",
        title="Deep Learning Face Attributes in the Wild",
        venue="ICCV",
        year=2015,
        arxiv="1411.7766",
    )

    def labels(self, data: Any) -> Sequence[tuple[str, ...]]:  # noqa: ANN401 - torchvision's class
        """Return the attributes that each image has."""
        return [tuple(n for n, has in zip(data.attr_names, row, strict=False) if has) for row in data.attr.tolist()]

    def group(self, data: Any, part: str, position: int) -> str:  # noqa: ANN401 - torchvision's class
        """Return the person."""
        del part
        return f"person {int(data.identity[position, 0])}"
