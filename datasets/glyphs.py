"""Glyphs of the fonts that matplotlib brings, paired across fonts by code point."""

from __future__ import annotations

import unicodedata
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from graftbench.contracts import Domain, DomainImages
from graftbench.errors import unknown

from ._decode import RECIPE, package_files, rules, square
from ._glyph_groups import group_of

if TYPE_CHECKING:
    from pathlib import Path

FONTS = {
    "dejavu-sans": "DejaVuSans",
    "dejavu-sans-bold": "DejaVuSans-Bold",
    "dejavu-sans-oblique": "DejaVuSans-Oblique",
    "dejavu-sans-bold-oblique": "DejaVuSans-BoldOblique",
    "dejavu-serif": "DejaVuSerif",
    "dejavu-serif-bold": "DejaVuSerif-Bold",
    "dejavu-serif-italic": "DejaVuSerif-Italic",
    "dejavu-serif-bold-italic": "DejaVuSerif-BoldItalic",
    "dejavu-mono": "DejaVuSansMono",
    "dejavu-mono-bold": "DejaVuSansMono-Bold",
    "dejavu-mono-oblique": "DejaVuSansMono-Oblique",
    "dejavu-mono-bold-oblique": "DejaVuSansMono-BoldOblique",
    "stix": "STIXGeneral",
    "stix-bold": "STIXGeneralBol",
    "stix-italic": "STIXGeneralItalic",
    "stix-bold-italic": "STIXGeneralBolIta",
    "cm-roman": "cmr10",
    "cm-bold": "cmb10",
    "cm-italic": "cmti10",
    "cm-sans": "cmss10",
    "cm-typewriter": "cmtt10",
    "cm-math": "cmmi10",
    "cm-symbols": "cmsy10",
}
"""Argument -> file in matplotlib's folder of TrueType fonts. STIX's sizes and private symbols are left out."""

EM = 0.7
"""Size of the font (its em) as a share of the image's side; accented capitals just fit."""

BASELINE = 0.74
"""Where the baseline lies, from the top, as a share of the image's side; the same for all glyphs."""

_OVERSAMPLING = 4
_LEAST_SIDE = 128
"""Glyphs are drawn on at least this side, in pixels: below it FreeType's hinting moves stems visibly."""

_UNITS = 1000
"""Size in pixels at which it is measured whether a glyph lies inside the image: the same at every resolution."""

_LETTERS = {"Delta": "Δ", "Omega": "Ω", "mu": "μ"}
"""Names that Adobe's Glyph List takes for signs (increment, ohm, micro), in fonts that mean the Greek letters."""

_RULE = "glyphs 1"


class _Glyph(NamedTuple):
    """A glyph to be drawn.

    Attributes:
        point: The code point that it stands for.
        drawn: The character that the font keeps it under.
    """

    point: int
    drawn: str


class Glyphs(Domain):
    """One image for each code point of a font that is a letter, number, punctuation mark or symbol."""

    name = "glyphs"
    title = "Glyphs of a font"
    description = (
        "The glyphs of one font, black on white: DejaVu Sans (5,549), Serif (3,247) and Mono (3,197), STIX (3,165), "
        "Computer Modern (84 to 126), upright, bold, oblique. One code point has one id and one split in all fonts."
    )
    license = "Bitstream-Vera and public domain (DejaVu); OFL-1.1 (STIX); BaKoMa Fonts Licence (Computer Modern)"
    attribution = (
        "DejaVu: Bitstream, Inc., Tavmjong Bah, the DejaVu authors. STIX: the STI Pub Companies, MicroPress, Elsevier. "
        "Computer Modern: Donald Knuth, in TrueType by Basil K. Malyshev (BaKoMa)."
    )
    source = "Python package matplotlib (https://github.com/matplotlib/matplotlib), mpl-data/fonts/ttf"
    takes_argument = "FONT"

    def fingerprint(self) -> str:
        """Return the versions of matplotlib, of Pillow and of the FreeType in it, the font, and the rule of drawing.

        Raises:
            GraftbenchError: There is no such font, or it is not installed.
        """
        return (
            f"matplotlib {version('matplotlib')}, {_file(self.argument).name}, "
            f"FreeType {features.version('freetype2')} at {_OVERSAMPLING}×, "
            f"Unicode {unicodedata.unidata_version}, groups {rules('_glyph_groups', '_lookalikes')}, {_RULE}, {RECIPE}"
        )

    def images(self, resolution: int) -> DomainImages:
        """Return all glyphs, black on white, drawn at 4 times the resolution and reduced by Lanczos; by code point.

        All glyphs of a font have one size and one baseline, and stand in the middle by their advance width. What does
        not lie inside the image then (wide ligatures, tall brackets) is in `excluded`. Blanks, combining marks,
        control characters and private or unassigned code points are none of the domain's.

        Raises:
            GraftbenchError: There is no such font, or it is not installed.
        """
        file = _file(self.argument)
        glyphs, excluded = _inside(file)
        side = max(_OVERSAMPLING * resolution, _LEAST_SIDE)
        font = _font(file, round(EM * side))
        pixels = np.empty((len(glyphs), 3, resolution, resolution), np.uint8)
        for position, glyph in enumerate(glyphs):
            pixels[position] = square(_draw(font, glyph.drawn, side), resolution)
        points = [glyph.point for glyph in glyphs]
        return DomainImages([_id(point) for point in points], [group_of(point) for point in points], pixels, excluded)


def _draw(font: ImageFont.FreeTypeFont, character: str, side: int) -> Image.Image:
    """Draw a character in the middle of a white square by its advance width, on the baseline."""
    picture = Image.new("L", (side, side), 255)
    margin = (side - font.getlength(character)) / 2
    ImageDraw.Draw(picture).text((round(margin), round(BASELINE * side)), character, fill=0, font=font, anchor="ls")
    return picture


def _inside(file: Path) -> tuple[list[_Glyph], dict[str, str]]:
    """Return the glyphs that have ink and lie inside the image, and why others are left out."""
    font = _font(file, _UNITS)
    side = _UNITS / EM
    glyphs, excluded = [], {}
    for glyph in _glyphs(file):
        left, top, right, bottom = font.getbbox(glyph.drawn, anchor="ls")
        if right <= left or bottom <= top:
            continue
        across = (side - font.getlength(glyph.drawn)) / 2
        if min(across + left, BASELINE * side + top) < 0 or max(across + right, BASELINE * side + bottom) > side:
            excluded[_id(glyph.point)] = "reaches beyond the image at the size that all glyphs of the font have"
        else:
            glyphs.append(glyph)
    return glyphs, excluded


def _glyphs(file: Path) -> list[_Glyph]:
    """Return what a font has for visible, assigned, public code points; sorted by code point.

    The TrueType forms of Computer Modern keep their glyphs under codes of TeX's: there the code point follows from the
    glyph's name by Adobe's Glyph List.
    """
    from fontTools.agl import toUnicode  # noqa: PLC0415 - only who draws needs it
    from fontTools.ttLib import TTFont  # noqa: PLC0415

    with TTFont(file, lazy=True) as font:
        names: dict[int, str] = font.getBestCmap() or {}
    if file.stem.startswith("cm"):
        texts = {_LETTERS.get(name) or toUnicode(name): chr(code) for code, name in names.items()}
        glyphs = [_Glyph(ord(text), drawn) for text, drawn in texts.items() if len(text) == 1]
    else:
        glyphs = [_Glyph(code, chr(code)) for code, name in names.items() if name != ".notdef"]
    return sorted(glyph for glyph in glyphs if unicodedata.category(chr(glyph.point))[0] in "LNPS")


def _font(file: Path, size: int) -> ImageFont.FreeTypeFont:
    """Load a font at a size in pixels, laid out glyph by glyph: no library of the system takes part."""
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)


def _file(font: str) -> Path:
    if font not in FONTS:
        raise unknown("font", font, FONTS)
    return package_files("matplotlib", "mpl-data/fonts/ttf", f"{FONTS[font]}.ttf")[0]


def _id(point: int) -> str:
    return f"U+{point:04X}"
