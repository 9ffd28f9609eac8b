"""Patches of four colour photographs: a portrait, a cat, a cup of coffee, a rocket's launch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Domain

from ._patches import fingerprint, patches

if TYPE_CHECKING:
    from graftbench.contracts import DomainImages

_FILES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


class Photos(Domain):
    """Patches of four colour photographs; blocks of 128×128 pixels are the groups (see `_patches`)."""

    name = "photos"
    title = "Photographs"
    description = (
        "1,224 patches of 64×64 pixels of colour photographs: a portrait, a cat, a cup of coffee, a rocket's launch; "
        "split by region of the picture."
    )
    license = "CC0-1.0 and public domain"
    attribution = (
        "Eileen Collins: NASA, public domain. Chelsea: Stefan van der Walt, CC0. Coffee: Rachel Michetti, "
        "courtesy of Pikolo Espresso Bar, CC0. Launch of DSCOVR: SpaceX, public domain."
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
