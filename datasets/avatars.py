"""Avatars: heads drawn from named factors by DiceBear, one style a domain; as many as are asked for."""

from __future__ import annotations

import hashlib
import json
import zlib
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from graftbench.contracts import Domain, DomainImages, Item
from graftbench.errors import GraftbenchError, unknown
from graftbench.images.preparation import gathered

from ._decode import RECIPE, package_files
from ._options import options
from ._svg import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicebear import Style
    from PIL.Image import Image

STYLES = {
    "micah": "CC-BY-4.0, Micah Lanier",
    "open-peeps": "CC0-1.0, Pablo Stanley",
    "personas": "CC-BY-4.0, Draftbit",
    "toon-head": "CC-BY-4.0, Johan Melin",
    "adventurer": "CC-BY-4.0, Lisa Wischofsky",
    "big-ears": "CC-BY-4.0, The Visual Team",
    "big-smile": "CC-BY-4.0, Ashley Seo",
    "miniavs": "CC-BY-4.0, Webpixels",
    "dylan": "CC-BY-4.0, Natalia Spivak",
    "lorelei": "CC0-1.0, Lisa Wischofsky",
    "notionists": "CC0-1.0, Zoish",
    "croodles": "CC-BY-4.0, Vijay Verma",
    "cutouts": "CC0-1.0, DiceBear",
    "cameo": "CC0-1.0, DiceBear",
    "pixel-art": "CC0-1.0, DiceBear",
    "voxel-art": "CC0-1.0, DiceBear",
    "critters": "CC0-1.0, DiceBear",
    "moods": "CC0-1.0, DiceBear",
    "line-face": "CC0-1.0, DiceBear",
    "fun-emoji": "CC-BY-4.0, Davis Uche",
}
"""Argument -> licence and designer. All are heads; of DiceBear's other styles some are no heads, some lack a licence
with a name, and some (`-neutral`) are the faces of these without a head."""

DEFAULT_IMAGES = 5000

_PACKAGE = "dicebear_styles"
_MOST_IMAGES = 1_000_000
_OVERSAMPLING = 2
_RULE = "avatars 1"


class Avatars(Domain):
    """Avatars of one style, drawn from the seeds s000000, s000001 and so on."""

    name = "avatars"
    title = "Avatars of a style"
    description = (
        f"Aligned heads in one of {len(STYLES)} styles, drawn from named factors (hair, eyes, mouth, skin, glasses) "
        f"whose distribution is known: {', '.join(STYLES)}. {DEFAULT_IMAGES:,} images, or as many as "
        "`?images=` says."
    )
    license = "CC0-1.0 or CC-BY-4.0, by style; `graftbench.datasets.avatars.STYLES` and NOTICE say which"
    attribution = "DiceBear (MIT); designs: " + "; ".join(f"{style} ({terms})" for style, terms in STYLES.items()) + "."
    source = "Python packages dicebear-styles and dicebear-core (https://github.com/dicebear/dicebear)"
    takes_argument = "STYLE[?images=N]"

    def fingerprint(self) -> str:
        """Return the versions of the packages that describe and draw the avatars, the style and the count.

        Raises:
            GraftbenchError: There is no such style, the count is none, or the packages are not installed.
        """
        style, count = _asked(self.argument)
        _definition(style)
        return (
            f"dicebear-styles {version('dicebear-styles')}, dicebear-core {version('dicebear-core')}, "
            f"resvg-py {version('resvg_py')} at {_OVERSAMPLING}×, {style}, {count} images, {_RULE}, {RECIPE}"
        )

    def images(self, resolution: int) -> DomainImages:
        """Draw all avatars on white at twice the resolution, Lanczos-reduced; sorted by seed.

        Raises:
            GraftbenchError: See `items`.
        """
        return gathered(self.items(resolution), resolution, f"avatars of '{self.argument}'")

    def items(self, resolution: int) -> Sequence[Item]:
        """Return the avatars one by one, with their factors. Equal factors make one group.

        Raises:
            GraftbenchError: There is no such style, the count is none, the packages are not installed, or the
                installed dicebear-core does not understand the style's definition.
        """
        style, count = _asked(self.argument)
        definition = _style(style)
        return [_item(definition, f"s{number:06d}", _OVERSAMPLING * resolution) for number in range(count)]


def _item(style: Style, seed: str, side: int) -> Item:
    """Describe an avatar. Its drawing is kept, packed, for to describe it takes as long as to render it."""
    from dicebear import Avatar  # noqa: PLC0415 - only who draws needs it

    avatar = Avatar(style, {"seed": seed}).to_json()
    factors = _factors(avatar["options"])
    group = hashlib.sha256(json.dumps(factors).encode("ascii")).hexdigest()[:16]
    return Item(seed, group, partial(_drawn, zlib.compress(avatar["svg"].encode("utf-8"), 1), side), factors)


def _factors(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the variants of an avatar's components and the colours that are drawn: `hair`, `hair color`, … -> variant.

    What an avatar does not have (a head without glasses) is not in it.
    """
    variants = {key.removesuffix("Variant"): value for key, value in options.items() if key.endswith("Variant")}
    colors = {
        f"{key.removesuffix('Color')} color": "+".join(value)
        for key, value in options.items()
        if key.endswith("Color") and value
    }
    return dict(sorted({**variants, **colors}.items()))


def _drawn(packed_svg: bytes, side: int) -> Image:
    return drawn(zlib.decompress(packed_svg).decode("utf-8"), side)


def _asked(argument: str) -> tuple[str, int]:
    """Split STYLE?images=N into the style and the count.

    Raises:
        GraftbenchError: There is no such style or option, or the count is none.
    """
    style, values = options(argument, ("images",))
    if style not in STYLES:
        raise unknown("style of avatars", style, STYLES)
    text = values.get("images", str(DEFAULT_IMAGES))
    count = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MOST_IMAGES)) else 0
    if not 1 <= count <= _MOST_IMAGES:
        raise GraftbenchError(
            f"The number of images in 'avatars:{argument}' is '{text}'; expected 1 to {_MOST_IMAGES:,}."
        )
    return style, count


def _definition(style: str) -> dict[str, Any]:
    """Read a style's JSON.

    Raises:
        GraftbenchError: The package is not installed.
    """
    (file,) = package_files(_PACKAGE, ".", f"{style}.json")
    return json.loads(file.read_text("utf-8"))


def _style(name: str) -> Style:
    """Build a style.

    Raises:
        GraftbenchError: dicebear-core does not understand its definition, which may follow a newer schema.
    """
    from dicebear import Style, StyleValidationError  # noqa: PLC0415 - only who draws needs it

    try:
        return Style(_definition(name))
    except StyleValidationError as error:
        raise GraftbenchError(
            f"dicebear-core {version('dicebear-core')} does not understand the style '{name}' of dicebear-styles "
            f"{version('dicebear-styles')}: {error}. Install versions that were released together."
        ) from error
