"""SVHN: digits of house numbers in street views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain

if TYPE_CHECKING:
    from collections.abc import Sequence


class Svhn(TorchvisionDomain):
    """99,289 colour crops of 32×32 pixels around one digit (`svhn:7`); the half million of `extra` are left out.

    Neighbouring digits of one house number are in each other's crops, and the files do not say which: crops of one
    number that are not near-duplicates can lie on two sides.
    """

    name = "svhn"
    title = "Street View House Numbers"
    description = "99,289 digits of house numbers, cropped to 32×32 pixels, with parts of the digits beside them."
    license = "for non-commercial use, as its page says (not checked)"
    attribution = "SVHN by Yuval Netzer, Tao Wang, Adam Coates, Alessandro Bissacco, Bo Wu and Andrew Ng."
    source = "http://ufldl.stanford.edu/housenumbers/"
    loader = "SVHN"
    parts: ClassVar = {"train": {"split": "train"}, "test": {"split": "test"}}
    folder = "svhn"
    below = "svhn"
    count = 99_289
    size = "250 MB"
    paper = Reference(
        authors="Netzer, Wang, Coates, Bissacco, Wu, Ng",
        title="Reading Digits in Natural Images with Unsupervised Feature Learning",
        venue="NIPS Workshops",
        year=2011,
    )

    def labels(self, data: Any) -> Sequence[tuple[str, ...]]:  # noqa: ANN401 - torchvision's class
        """Return the digit in the middle of each image."""
        return [(str(int(label)),) for label in data.labels]
