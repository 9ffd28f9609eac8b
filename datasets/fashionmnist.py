"""Fashion-MNIST: small grey pictures of clothes. Debian has them as a package: then nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.contracts import Reference
from graftbench.errors import GraftbenchError

from ._idx import read_part
from ._torchvision import TorchvisionDomain

if TYPE_CHECKING:
    from collections.abc import Mapping

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Folder into which the package dataset-fashion-mnist of Debian and Ubuntu puts the set."""

_NAMES = {"train": "train", "test": "t10k"}
"""Part of torchvision -> how the set's files call it."""
_KINDS = ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz")
_SIDE = 28
_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
"""The set's classes, by number."""


class FashionMnist(TorchvisionDomain):
    """70,000 grey articles of 28×28 pixels on black (`fashionmnist:t-shirt-top`).

    Read from the files of Debian's package where these are installed, else from the folder of data sets. Pictures, ids,
    groups and so splits are the same.
    """

    name = "fashionmnist"
    title = "Fashion-MNIST"
    description = "70,000 articles of clothing of 28×28 pixels, grey on black, in ten classes."
    license = "MIT"
    attribution = "Fashion-MNIST, copyright 2017 Zalando SE."
    source = "https://github.com/zalandoresearch/fashion-mnist"
    loader = "FashionMNIST"
    folder = "FashionMNIST"
    count = 70_000
    size = "30 MB"
    # Drawings that are alike differ less than copies of one photograph: joined, they chain into whole classes.
    curated_groups = True
    paper = Reference(
        authors="Xiao, Rasul, Vollgraf",
        title="Fashion-MNIST: A Novel Image Dataset for Benchmarking Machine Learning Algorithms",
        venue="arXiv",
        year=2017,
        arxiv="1708.07747",
    )

    def location(self) -> Path:
        """Return Debian's folder where it has all four files, else the set's in the folder of data sets."""
        has_all = all(file.is_file() for files in self._debian_files().values() for file in files)
        return DEBIAN_FOLDER if has_all else super().location()

    def _files(self) -> list[Path]:
        if self.location() == DEBIAN_FOLDER:
            return [file for files in self._debian_files().values() for file in files]
        return super()._files()

    def _open(self, part: str, *, download: bool) -> Any:  # noqa: ANN401 - as in the base
        if self.location() != DEBIAN_FOLDER:
            return super()._open(part, download=download)
        return read_part(*self._debian_files()[part], classes=_CLASSES, side=_SIDE)

    def _absent(self, why: str) -> GraftbenchError:
        error = super()._absent(why)
        return GraftbenchError(
            f"{error} On Debian and Ubuntu `apt install dataset-fashion-mnist` brings them, to {DEBIAN_FOLDER}."
        )

    @staticmethod
    def _debian_files() -> Mapping[str, tuple[Path, Path]]:
        """Return part -> the files of its pictures and of its labels."""
        return {
            part: (DEBIAN_FOLDER / f"{name}-{_KINDS[0]}", DEBIAN_FOLDER / f"{name}-{_KINDS[1]}")
            for part, name in _NAMES.items()
        }
