"""Patches of three grey textures: a brick wall, grass, gravel."""

from __future__ import annotations

from ._patches import PatchDomain


class Textures(PatchDomain):
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
    files = ("brick.png", "grass.png", "gravel.png")
