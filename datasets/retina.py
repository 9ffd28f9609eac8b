"""Patches of a photograph of the back of an eye."""

from __future__ import annotations

from ._patches import PatchDomain


class Retina(PatchDomain):
    """Patches of one photograph of a retina; blocks of 128×128 pixels are the groups (see `_patches`)."""

    name = "retina"
    title = "Retina"
    description = (
        "2,477 patches of 64×64 pixels of a photograph of the back of a healthy eye; split by region of the picture."
    )
    license = "CC0-1.0"
    attribution = "Fundus photograph of a normal left eye: Mikael Häggström, 2014, doi:10.15347/wjm/2014.008, CC0."
    files = ("retina.jpg",)
