"""Emoji of the packages that Iconify publishes on npm: one JSON with all drawings, one that names them by code points.

The format: https://iconify.design/docs/types/iconify-json.html. `icons.json` has the body of each SVG, the size of the
square that it is drawn in, and aliases, which may be mirrored; `chars.json` maps code points to names of either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from graftbench.errors import GraftbenchError

from ._decode import RECIPE, square
from ._emoji import canonical
from ._emoji_domain import EmojiDomain
from ._node_modules import node_package
from ._svg import drawn

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_OVERSAMPLING = 4
_RULE = "iconify 1"
_DEFAULT_SIDE = 16
_NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


@dataclass(frozen=True)
class IconifyDrawing:
    """A drawing of a set.

    Attributes:
        svg: As an SVG of its own.
        mirrored: Whether it is to be mirrored left to right.
        upside_down: Whether it is to be mirrored top to bottom.
        quarter_turns: How often it is to be turned by 90° clockwise, after that.
    """

    svg: str
    mirrored: bool = False
    upside_down: bool = False
    quarter_turns: int = 0


class IconifyEmoji(EmojiDomain[IconifyDrawing]):
    """The emoji of one of Iconify's sets, drawn by resvg.

    Attributes:
        package: Name of the package on npm.
        drawn_twice: Emoji that this design draws as another one, by id, which are left out: equal pictures share a
            group, and the two would lie on one side of the split here and on two in the other designs.
    """

    package: ClassVar[str]
    drawn_twice: ClassVar[frozenset[str]] = frozenset()

    def distribution(self) -> str:
        """Return the package and its version."""
        return f"{self.package} {_read(self._folder / 'package.json').get('version', 'of no version')}"

    def recipe(self) -> str:
        """Return what draws and reduces the emoji, with versions."""
        return f"{_RULE}, resvg-py {version('resvg_py')} at {_OVERSAMPLING}×, {RECIPE}"

    def drawings(self) -> dict[str, IconifyDrawing]:
        """Return the drawing of each emoji that has code points.

        Raises:
            GraftbenchError: The package is not installed, or its files are not those of the format.
        """
        icons, names = _read(self._folder / "icons.json"), _read(self._folder / "chars.json")
        try:
            return {
                spelt: _drawing(icons, name)
                for spelt, name in names.items()
                if canonical(spelt) not in self.drawn_twice
            }
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise GraftbenchError(
                f"'{self._folder}' is no set in Iconify's format: {type(error).__name__} {error}. Install "
                f"{self.package} again."
            ) from error

    def picture(self, drawing: IconifyDrawing, resolution: int) -> NDArray[np.uint8]:
        """Draw one at four times the resolution and reduce it by Lanczos, as OpenMoji's are."""
        picture = drawn(drawing.svg, _OVERSAMPLING * resolution)
        if drawing.mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if drawing.upside_down:
            picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        return square(picture.rotate(-90 * drawing.quarter_turns), resolution)

    @cached_property
    def _folder(self) -> Path:
        return node_package(self.package)


def _read(file: Path) -> dict[str, Any]:
    """Read a file of the package.

    Raises:
        GraftbenchError: It is not there, or holds no object.
    """
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise GraftbenchError(
            f"'{file}' cannot be read as JSON ({error}); expected a file of Iconify's sets."
        ) from error
    if not isinstance(value, dict):
        raise GraftbenchError(
            f"'{file}' holds a {type(value).__name__}; expected an object, as Iconify's sets have it."
        )
    return value


def _drawing(icons: dict[str, Any], name: str) -> IconifyDrawing:
    """Return an icon, or an alias as its parent with what the alias changes; flips and turns add up.

    Raises:
        KeyError: There is neither.
    """
    chain = []
    while name not in icons["icons"]:
        if len(chain) > len(icons["aliases"]):
            raise KeyError(name)  # aliases in a circle
        chain.append(icons["aliases"][name])
        name = chain[-1]["parent"]
    chain.append(icons["icons"][name])
    # sizes: of the alias before its parent's, before the set's
    box = {
        "left": 0,
        "top": 0,
        "width": icons.get("width", _DEFAULT_SIDE),
        "height": icons.get("height", _DEFAULT_SIDE),
    }
    box |= {key: entry[key] for entry in reversed(chain) for key in box if key in entry}
    left, top, width, height = box.values()
    return IconifyDrawing(
        svg=f'<svg {_NAMESPACES} viewBox="{left} {top} {width} {height}">{chain[-1]["body"]}</svg>',
        mirrored=sum(bool(entry.get("hFlip")) for entry in chain) % 2 == 1,
        upside_down=sum(bool(entry.get("vFlip")) for entry in chain) % 2 == 1,
        quarter_turns=sum(int(entry.get("rotate", 0)) for entry in chain) % 4,
    )
