"""Patches of four colour photographs: a portrait, a cat, a cup of coffee, a rocket's launch."""

from __future__ import annotations

from ._patches import PatchDomain


class Photos(PatchDomain):
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
    files = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
