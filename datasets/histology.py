"""Patches of a stained section of tissue (immunohistochemistry)."""

from __future__ import annotations

from ._patches import PatchDomain


class Histology(PatchDomain):
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
    files = ("ihc.png",)
