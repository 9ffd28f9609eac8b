"""Icons of four designs, black on white, from the package mkdocs-material."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from graftbench.contracts import Domain, DomainImages
from graftbench.errors import unknown

from ._decode import RECIPE, package_files, rules, square
from ._icon_groups import group_of
from ._svg import drawn

if TYPE_CHECKING:
    from pathlib import Path

SETS = {
    "material": ("material",),
    "fontawesome": ("fontawesome/brands", "fontawesome/regular", "fontawesome/solid"),
    "simple": ("simple",),
    "octicons": ("octicons",),
}
"""Argument -> folders of the package."""

_PACKAGE = "material"
_OVERSAMPLING = 4
_SIZE = re.compile(r"-(\d+)$")
_RULE = "icons 1"


class Icons(Domain):
    """The SVG files of one set of icons."""

    name = "icons"
    title = "Icons of a set"
    description = (
        "Icons of one set, black on white: material (7,447, Material Design Icons), fontawesome (2,806, Font Awesome "
        "Free), simple (3,369, brands of Simple Icons), octicons (368, GitHub's)."
    )
    license = "Apache-2.0 (material), CC-BY-4.0 (fontawesome), CC0-1.0 (simple), MIT (octicons); brands are trademarks"
    attribution = (
        "Material Design Icons by Pictogrammers. Font Awesome Free by Fonticons, Inc., CC BY 4.0. Simple Icons by its "
        "contributors. Octicons, copyright GitHub Inc."
    )
    source = "Python package mkdocs-material (https://github.com/squidfunk/mkdocs-material), templates/.icons"
    takes_argument = "SET"

    def fingerprint(self) -> str:
        """Return the versions of the package that brings the icons and of what draws them.

        Raises:
            GraftbenchError: There is no such set, or the package is not installed.
        """
        files = _files(self.argument)
        return (
            f"mkdocs-material {version('mkdocs-material')}, {self.argument}, {len(files)} files, "
            f"resvg-py {version('resvg_py')} at {_OVERSAMPLING}×, "
            f"groups {rules('_icon_groups', '_lookalikes')}, {_RULE}, {RECIPE}"
        )

    def images(self, resolution: int) -> DomainImages:
        """Return all icons, black on white, drawn at four times the resolution and Lanczos-reduced; sorted by id.

        Raises:
            GraftbenchError: There is no such set, or the package is not installed.
        """
        files = _files(self.argument)
        pixels = np.empty((len(files), 3, resolution, resolution), np.uint8)
        for position, file in enumerate(files.values()):
            pixels[position] = square(drawn(file.read_text("utf-8"), _OVERSAMPLING * resolution), resolution)
        return DomainImages(list(files), [group_of(icon) for icon in files], pixels)


def _files(icons: str) -> dict[str, Path]:
    """Return id -> file, sorted by id: `account-box`, `solid/user`.

    Octicons draws an icon once for each size (`alert-16`, `alert-24`); the largest is taken, without the size.
    """
    if icons not in SETS:
        raise unknown("set of icons", icons, SETS)
    largest: dict[str, tuple[int, Path]] = {}
    for folder in SETS[icons]:
        prefix = f"{folder.partition('/')[2]}/" if "/" in folder else ""
        for file in package_files(_PACKAGE, f"templates/.icons/{folder}", "*.svg", extra="icons"):
            size = _SIZE.search(file.stem) if icons == "octicons" else None
            icon = prefix + (file.stem[: size.start()] if size else file.stem)
            pixels = int(size[1]) if size else 0
            largest[icon] = max(largest.get(icon, (-1, file)), (pixels, file))
    return {icon: file for icon, (_, file) in sorted(largest.items())}
