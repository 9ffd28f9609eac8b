"""SVG drawings as pictures, by resvg."""

from __future__ import annotations

import re
from io import BytesIO

from PIL import Image

_VIEW_BOX = re.compile(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"')


def drawn(svg: str, side: int) -> Image.Image:
    """Draw an SVG in the middle of a transparent square that its longer side fills: RGBA side×side.

    No fonts are looked for: what a drawing shows must not depend on the machine.

    Raises:
        ValueError: The drawing does not state its size (viewBox).
    """
    from resvg_py import svg_to_bytes  # noqa: PLC0415 - only who draws needs the renderer

    box = _VIEW_BOX.search(svg)
    if box is None:
        raise ValueError("the drawing has no viewBox")
    width, height = (float(size) for size in box.groups())
    scale = side / max(width, height)
    inner = max(round(scale * width), 1), max(round(scale * height), 1)
    png = svg_to_bytes(svg_string=svg, width=inner[0], height=inner[1], skip_system_fonts=True)
    picture = Image.open(BytesIO(png)).convert("RGBA")
    if picture.size == (side, side):
        return picture
    over = Image.new("RGBA", (side, side))
    over.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return over
