"""Patches of three grey textures: a brick wall, grass, gravel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Domain

from ._patches import fingerprint, patches

if TYPE_CHECKING:
    from graftbench.contracts import DomainImages

_FILES = ("brick.png", "grass.png", "gravel.png")


class Textures(Domain):
    """Patches of three grey textures; blocks of 128×128 pixels are the groups (see `_patches`)."""

    name = "textures"
    title = "Textures"
    description = (
        "1,200 patches of 64×64 pixels of grey textures: a brick wall, grass, gravel; split by region of the picture."
    )
    license = "CC0-1.0"
    attribution = (
        "Brick (Bricks25) and gravel (Gravel04): CC0Textures. Grass (Grass 01): linolafett on DeviantArt. All CC0."
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
