"""Handwritten digits of scikit-learn: 8×8 pixels, enlarged."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from graftbench.contracts import Domain, DomainImages

from ._decode import RECIPE, package_files, rules, square
from ._lookalikes import DIGITS, joined

if TYPE_CHECKING:
    from pathlib import Path

_DARKEST = 16
"""Value of a pixel that is all ink."""

_RULE = "digits 1"


class Digits(Domain):
    """The 1,797 digits of `sklearn.datasets.load_digits`, in their order there."""

    name = "digits"
    title = "Handwritten digits"
    description = "1,797 digits by 13 writers, scanned at 8×8 pixels and 17 levels, black on white, enlarged."
    license = "CC-BY-4.0"
    attribution = (
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (test set), 1998, UCI Machine Learning "
        "Repository, doi:10.24432/C50P49, CC BY 4.0."
    )
    source = "Python package scikit-learn (https://github.com/scikit-learn/scikit-learn), digits.csv.gz"

    def fingerprint(self) -> str:
        """Return the SHA-256 of the table, and what enlarges it.

        Raises:
            GraftbenchError: scikit-learn is not installed.
        """
        return f"{hashlib.sha256(_file().read_bytes()).hexdigest()}, groups {rules('_lookalikes')}, {_RULE}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return all digits, black on white, Lanczos-resized from 8×8 pixels; ids are row and digit, `0007-is-7`.

        Who wrote a digit is not known; those that look alike are one group (`_lookalikes`).

        Raises:
            GraftbenchError: scikit-learn is not installed.
        """
        with gzip.open(_file(), "rt", encoding="ascii") as stream:  # a row a digit: 64 pixels from 0 to 16, what it is
            table = np.loadtxt(stream, delimiter=",").astype(np.int64)
        ids = [f"{row:04}-is-{digit}" for row, digit in enumerate(table[:, 64])]
        grey = (255 * (_DARKEST - table[:, :64].reshape(-1, 8, 8)) + _DARKEST // 2) // _DARKEST
        pixels = np.stack([square(Image.fromarray(image), resolution) for image in grey.astype(np.uint8)])
        alike = joined(DIGITS)
        return DomainImages(ids, [alike.get(digit, digit) for digit in ids], pixels)


def _file() -> Path:
    return package_files("sklearn", "datasets/data", "digits.csv.gz", extra="digits")[0]
