"""Patches of the Hubble eXtreme Deep Field: galaxies on black."""

from __future__ import annotations

from ._patches import PatchDomain


class Hubble(PatchDomain):
    """Patches of one picture of the sky; blocks of 128×128 pixels are the groups (see `_patches`)."""

    name = "hubble"
    title = "Hubble deep field"
    description = (
        "1,050 patches of 64×64 pixels of the Hubble eXtreme Deep Field: galaxies on black; "
        "split by region of the picture."
    )
    license = "public domain (NASA)"
    attribution = "Hubble eXtreme Deep Field: NASA, HubbleSite, public domain."
    files = ("hubble_deep_field.jpg",)
