"""MNIST: handwritten digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain

if TYPE_CHECKING:
    from collections.abc import Sequence


class Mnist(TorchvisionDomain):
    """70,000 grey digits of 28×28 pixels, white on black (`mnist:7`)."""

    name = "mnist"
    title = "MNIST"
    description = "70,000 handwritten digits of 28×28 pixels, white on black."
    license = "not stated by its authors (not checked); made from NIST's special databases 1 and 3"
    attribution = "MNIST by Yann LeCun, Corinna Cortes and Christopher Burges."
    source = "http://yann.lecun.com/exdb/mnist/"
    loader = "MNIST"
    folder = "MNIST"
    count = 70_000
    size = "12 MB"
    # Drawings that are alike differ less than copies of one photograph: joined, they chain into whole classes.
    curated_groups = True
    paper = Reference(
        authors="LeCun, Bottou, Bengio, Haffner",
        title="Gradient-Based Learning Applied to Document Recognition",
        venue="Proceedings of the IEEE",
        year=1998,
    )

    def labels(self, data: Any) -> Sequence[tuple[str, ...]]:  # noqa: ANN401 - torchvision's class
        """Return the digit of each image."""
        return [(str(int(target)),) for target in data.targets]
