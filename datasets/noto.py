"""Noto Emoji: drawings with soft shading, which fill their square."""

from __future__ import annotations

from ._iconify import IconifyEmoji


class Noto(IconifyEmoji):
    """The drawings of the npm package @iconify-json/noto."""

    name = "noto"
    title = "Noto Emoji"
    description = (
        "1,439 emoji of Google's design, shaded and without outlines, without skin tones, ZWJ sequences and regions' "
        "flags. Kinds: faces, animals, food, symbols, flags."
    )
    license = "Apache-2.0"
    attribution = "Noto Emoji, copyright Google Inc., Apache License 2.0; packaged by Iconify."
    source = "npm package @iconify-json/noto (https://github.com/googlefonts/noto-emoji)"
    package = "@iconify-json/noto"
