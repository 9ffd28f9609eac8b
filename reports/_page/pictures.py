"""The page's pictures of samples as data URIs: with the nearest training images while there is room for them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._figures.neighbors import neighbor_strip
from .._figures.samples import COLUMNS, sample_strip, spaced_png
from .._tables.text import plural

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from .._tables.groups import Row

MOST_NEIGHBOR_BYTES = 1_500_000
"""Of pictures with nearest training images on a page; of further rows the samples alone are shown."""
LARGEST_TILE = 64
"""Pixels of a sample's side on the page; larger ones are made smaller."""


@dataclass(frozen=True)
class Picture:
    """Eight samples of a row, below each its nearest training images where `rows` is more than one.

    Attributes:
        uri: PNG within the page; empty where there is none.
        absent: Why there is none.
        alt: What a screen reader says in its place.
        side: Pixels of a tile.
        seam: Pixels between tiles.
        rows: Rows of tiles; 0 without a picture.
        distances: JSON: of each sample the distances to its nearest training images; empty where they are unknown.
    """

    uri: str
    absent: str = ""
    alt: str = ""
    side: int = 0
    seam: int = 0
    rows: int = 0
    distances: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels of the first row, the samples themselves."""
        return COLUMNS * (self.side + self.seam) - self.seam, self.side


@dataclass
class Pictures:
    """Makes pictures of rows, and counts what those with neighbours weigh.

    Attributes:
        folder: The run's.
        neighbor_bytes: Of the pictures with nearest training images so far.
        without: How many rows have such a sheet that the page has no room for.
    """

    folder: Path
    neighbor_bytes: int = 0
    without: int = 0
    _made: dict[tuple[str, ...], Picture] = field(default_factory=dict)

    def of(self, row: Row) -> Picture:
        """Return the picture of a row's lowest seed."""
        key = tuple(record.id for record in row.records)
        if key not in self._made:
            self._made[key] = self._make(row)
        return self._made[key]

    def _make(self, row: Row) -> Picture:
        detail = f"{plural(row.data_budget, 'training image')}"
        nearest = neighbor_strip(row, self.folder)
        if nearest.image is not None:
            picture = _picture(
                nearest.image, f"8 samples of {row.label}, {nearest.detail}", json.dumps(nearest.distances)
            )
            if self.neighbor_bytes + len(picture.uri) <= MOST_NEIGHBOR_BYTES:
                self.neighbor_bytes += len(picture.uri)
                return picture
            self.without += 1
        strip = sample_strip(row, self.folder)
        if strip.image is None:
            return Picture("", strip.absent)
        return _picture(strip.image, f"8 samples of {row.label}, {strip.detail or detail}")


def _picture(image: Image, alt: str, distances: str = "") -> Picture:
    import PIL.Image  # noqa: PLC0415 - a list of reports needs no pictures

    side = image.width // COLUMNS
    rows = image.height // side
    if side > LARGEST_TILE:
        size = (COLUMNS * LARGEST_TILE, rows * LARGEST_TILE)
        image, side = image.resize(size, PIL.Image.Resampling.LANCZOS), LARGEST_TILE
    uri = "data:image/png;base64," + base64.b64encode(spaced_png(image)).decode()
    return Picture(uri, "", alt, side, max(1, side // 16), rows, distances if rows > 1 else "")
