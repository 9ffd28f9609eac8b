"""Nearest training images: what each method's first images come nearest to in the eyes of the scoring network."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from .._tables.text import plural
from .budget_plots import BudgetView, budget_plots
from .sample_grid import TileRow, draw_tiles, missing_note, tiles_of
from .samples import COLUMNS, sheet_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image

    from .._tables.groups import Group, Row
    from .style import Plot

_COPY = 1e-4
"""Of other images' distances: a copy in a batch of another size is off by less (about 1e-6), another image by more."""
_TEXT = "distances"
"""Keyword of the PNG's text (`graftbench.execution.sheets.DISTANCES`; importing it would import torch)."""


@dataclass(frozen=True)
class NeighborStrip:
    """The nearest training images of one cell's first images.

    Attributes:
        label: Whose images.
        detail: With how many images it was fitted, and which seed.
        budget: Target training images.
        is_reference: Whether it is a reference row.
        image: 8 tiles wide: generated images, below each its nearest training images; None where there is none.
        absent: Why there is none.
        distances: Of each generated image to its nearest training images, ascending, in the extractor's own units;
            empty where the file does not say.
    """

    label: str
    detail: str
    budget: int
    is_reference: bool
    image: Image | None
    absent: str = ""
    distances: tuple[tuple[float, ...], ...] = ()

    @property
    def median(self) -> float | None:
        """Return the median distance to the nearest training image."""
        nearest = [row[0] for row in self.distances if row]
        return statistics.median(nearest) if nearest else None

    @property
    def far(self) -> str:
        """Print the median in three digits; `≈ 0` where it is nothing beside the distances to other training images."""
        if self.median is None:
            return ""
        largest = max(distance for row in self.distances for distance in row)
        return "≈ 0" if self.median <= _COPY * largest else f"= {self.median:.3g}"


def neighbor_strips(group: Group, folder: Path) -> list[NeighborStrip]:
    """Return methods by name and data budget, then reference rows likewise; each the lowest seed that has a sheet.

    `samples.spaced_png` makes a PNG for a page of an image.
    """
    rows = sorted(group.rows, key=lambda row: (row.is_reference, row.label, row.data_budget))
    return [neighbor_strip(row, folder) for row in rows]


def neighbor_strip(row: Row, folder: Path) -> NeighborStrip:
    """Return what a row's lowest seed that has a sheet comes nearest to, or why it has none."""
    absent = row.outcome if not row.records else ""
    for record in row.records:
        sheet, reason = sheet_of(record, folder, "neighbors")
        if sheet is not None:
            detail = f"{plural(row.data_budget, 'image')}, seed {record.cell.seed}"
            distances = _distances(sheet)
            return NeighborStrip(row.label, detail, row.data_budget, row.is_reference, sheet, distances=distances)
        absent = absent or reason
    return NeighborStrip(row.label, plural(row.data_budget, "image"), row.data_budget, row.is_reference, None, absent)


def _distances(sheet: Image) -> tuple[tuple[float, ...], ...]:
    try:
        return msgspec.json.decode(sheet.info.get(_TEXT, "[]"), type=tuple[tuple[float, ...], ...])[:COLUMNS]
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError):
        return ()  # the pictures can be shown without


# ------------------------------------------------------------------------------------------------------------ figure


def neighbor_plots(groups: Sequence[Group], folder: Path) -> list[Plot]:
    """Make one plot a group and data budget that has sheets of neighbours."""
    strips = {group.key: neighbor_strips(group, folder) for group in groups}
    reason = "no cell that ended well has a picture of its nearest training images"
    return budget_plots(groups, lambda view: _plot(view, strips[view.group.key]), "neighbors", reason)


def _plot(view: BudgetView, strips: Sequence[NeighborStrip]) -> Plot | None:
    strips = [strip for strip in strips if strip.budget == view.budget]
    rows = [row for strip in strips if (row := _tile_row(strip)) is not None]
    if not any(strip.image is not None and not strip.is_reference for strip in strips):
        return None
    caption = (
        "each method's first images (left in each block; nothing is picked) and the training images nearest "
        f"to them, the nearest first, by Euclidean distance of {view.group.protocol.extractor} features. d: median "
        "distance to the nearest over the first eight images, in the features' units; compare it with the oracle's, "
        "which is that of new real images, and the memorizer's, whose images are copies."
    )
    notes = missing_note({strip.label: strip.absent for strip in strips if strip.image is None})
    block = max(len(row.cells[0]) for row in rows) // COLUMNS  # one generated image and its neighbours
    headings = ["generated | nearest training images"]
    return view.plot(
        "neighbors", caption, notes, lambda width: draw_tiles(rows, headings, view.title, width, block=block)
    )


def _tile_row(strip: NeighborStrip) -> TileRow | None:
    if strip.image is None:
        return None
    down = [tiles_of(strip.image, i) for i in range(strip.image.height * COLUMNS // strip.image.width)]
    blocks = tuple(tile for column in zip(*down, strict=True) for tile in column)
    return TileRow(strip.label, (blocks,), f"d {strip.far}" if strip.far else "")
