"""Patches of a stained section of tissue (immunohistochemistry)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Domain

from ._patches import fingerprint, patches

if TYPE_CHECKING:
    from graftbench.contracts import DomainImages

_FILES = ("ihc.png",)


class Histology(Domain):
    """Patches of one section of tissue; blocks of 128×128 pixels are the groups (see `_patches`)."""

    name = "histology"
    title = "Histology"
    description = (
        "400 patches of 64×64 pixels of a section of colonic glands, stained brown (DAB) and blue (haematoxylin); "
        "split by region of the picture."
    )
    license = "no known copyright restrictions (as scikit-image states)"
    attribution = (
        "Colonic glands, FHL2 by DAB with haematoxylin counterstaining: Center for Microscopy And Molecular "
        "Imaging (CMMI)."
    )
    source = "Python package scikit-image (https://github.com/scikit-image/scikit-image), folder data"

    def fingerprint(self) -> str:
        """Version and contents of the pictures, and how they are cut and decoded."""
        return fingerprint(_FILES)

    def images(self, resolution: int) -> DomainImages:
        """All patches, Lanczos-resized from 64×64; flat ones are excluded.

        Raises:
            GraftbenchError: scikit-image is not installed or has no such pictures.
        """
        return patches(_FILES, resolution)
