"""Patches of the Hubble eXtreme Deep Field: galaxies on black."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Domain

from ._patches import fingerprint, patches

if TYPE_CHECKING:
    from graftbench.contracts import DomainImages

_FILES = ("hubble_deep_field.jpg",)


class Hubble(Domain):
    """Patches of one picture of the sky; blocks of 128×128 pixels are the groups (see `_patches`)."""

    name = "hubble"
    title = "Hubble deep field"
    description = (
        "1,050 patches of 64×64 pixels of the Hubble eXtreme Deep Field: galaxies on black; "
        "split by region of the picture."
    )
    license = "public domain (NASA)"
    attribution = "Hubble eXtreme Deep Field: NASA, HubbleSite, public domain."
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
