"""Fluent Emoji, flat: drawings of few plain colours without outlines, in Microsoft's design."""

from __future__ import annotations

from typing import ClassVar

from ._iconify import IconifyEmoji


class FluentEmoji(IconifyEmoji):
    """The drawings of the npm package @iconify-json/fluent-emoji-flat."""

    name = "fluent-emoji"
    title = "Fluent Emoji, flat"
    description = (
        "1,380 emoji of Microsoft's flat design, without outlines, skin tones, ZWJ sequences and regions' flags. "
        "Kinds: faces, animals, food, symbols, flags."
    )
    license = "MIT"
    attribution = "Fluent Emoji, copyright Microsoft Corporation, MIT License; packaged by Iconify."
    source = "npm package @iconify-json/fluent-emoji-flat (https://github.com/microsoft/fluentui-emoji)"
    package = "@iconify-json/fluent-emoji-flat"
    drawn_twice: ClassVar[frozenset[str]] = frozenset(
        {"1f533", "1f63a"}
    )  # a button drawn as a square, a grinning cat as the cat's face
