"""Patches of a photograph of the back of an eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Domain

from ._patches import fingerprint, patches

if TYPE_CHECKING:
    from graftbench.contracts import DomainImages

_FILES = ("retina.jpg",)


class Retina(Domain):
    """Patches of one photograph of a retina; blocks of 128×128 pixels are the groups (see `_patches`)."""

    name = "retina"
    title = "Retina"
    description = (
        "2,477 patches of 64×64 pixels of a photograph of the back of a healthy eye; split by region of the picture."
    )
    license = "CC0-1.0"
    attribution = "Fundus photograph of a normal left eye: Mikael Häggström, 2014, doi:10.15347/wjm/2014.008, CC0."
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
