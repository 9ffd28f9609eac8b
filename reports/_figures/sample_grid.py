"""Samples for a paper: methods down, data budgets across, real images first. Also how rows of tiles are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.plotting import INK, MUTED

from .._tables.groups import titles
from .._tables.text import listing, one_line, plural, short
from .samples import COLUMNS, strips
from .style import PRINT_SIZE, Plot, title_lines, titled_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from .._tables.groups import Group
    from .samples import SampleStrip

    Pixels = npt.NDArray[np.uint8]

_TILE = 0.36
"""Inches of a tile where there is room; as few of them are shown as it takes to come near."""
_TALLEST = 9.0
"""Inches of a figure with its caption on a page: tiles are smaller where rows are many."""


@dataclass(frozen=True)
class TileRow:
    """One row of a figure of tiles.

    Attributes:
        name: At its left.
        cells: One a column: tiles R×R×3, uint8, in order; none where there are none.
        detail: Under the name, small.
    """

    name: str
    cells: tuple[tuple[Pixels, ...], ...]
    detail: str = ""


def tiles_of(image: Image, row: int = 0) -> tuple[Pixels, ...]:
    """Cut a row of a sheet into its eight tiles."""
    side = image.width // COLUMNS
    pixels = np.asarray(image)[row * side : (row + 1) * side]
    return tuple(pixels[:, i * side : (i + 1) * side] for i in range(COLUMNS))


def grid_plots(groups: Sequence[Group], folder: Path) -> list[Plot]:
    """Make one plot a group that has samples."""
    plots = [plot for group in groups if (plot := _plot(group, groups, folder)) is not None]
    return plots or [Plot("samples", "no cell that ended well has a sheet of samples")]


def _plot(group: Group, groups: Sequence[Group], folder: Path) -> Plot | None:
    group_strips = strips(group, folder)
    if not any(strip.image is not None and not strip.is_reference for strip in group_strips):
        return None
    budgets = sorted({strip.budget for strip in group_strips if not strip.is_reference})
    title = one_line(titles(groups)[group.key])
    rows = _rows(group_strips, budgets)
    headings = [f"n = {budget}" for budget in budgets]
    caption = (
        f"{title}: the first samples of each method's lowest seed by number n of target images, nothing is picked; "
        "methods with latents of one shape got the same latents. Real images and reference rows stand in the first "
        "column, of the smallest data budget."
    )
    notes = [
        f"{strip.label}, {plural(strip.budget, 'target image')}: {strip.absent}."
        for strip in group_strips
        if strip.image is None and not strip.is_reference
    ]
    stem = "samples" if len(groups) == 1 else f"samples-{group.key}"
    return Plot(stem, caption, tuple(notes), lambda width: draw_tiles(rows, headings, title, width))


def _rows(group_strips: Sequence[SampleStrip], budgets: Sequence[int]) -> list[TileRow]:
    """Arrange real images, methods by name, other reference rows: a cell a data budget."""
    cells: dict[str, dict[int, tuple[Pixels, ...]]] = {}
    for strip in group_strips:
        column = budgets[0] if strip.is_reference else strip.budget
        cells.setdefault(strip.label, {})[column] = () if strip.image is None else tiles_of(strip.image)
    return [TileRow(label, tuple(row.get(budget, ()) for budget in budgets)) for label, row in cells.items()]


# ----------------------------------------------------------------------------------------------------------- drawing


def draw_tiles(rows: Sequence[TileRow], headings: Sequence[str], title: str, width: float, *, block: int = 1) -> Figure:
    """Draw a figure of rows of tiles. All pictures are one image of their own pixels: nothing is resampled here.

    Args:
        rows: At least one, with as many cells as there are headings.
        headings: Of the columns; empty texts for none.
        title: Broken into lines.
        width: Inches; the height follows.
        block: Tiles that belong together: as many whole blocks are shown as a column has room for, at least one.
    """
    lines = title_lines(title, width)
    names = 0.14 + 0.6 * PRINT_SIZE / 72 * min(24, max(len(one_line(row.name)) for row in rows))
    names = min(names, 0.39 * width)
    top = 0.1 + 0.16 * len(lines) + (0.18 if any(headings) else 0.05)
    # A tile is smaller in blocks, so that one column holds two of four.
    tile = min(_TILE if block == 1 else 0.82 * _TILE, (_TALLEST - top) / len(rows) / 1.1)
    count = _tiles_a_cell(rows, (width - names) / len(headings), tile, block)
    picture, lefts = _picture(rows, count, block)
    across = width - names - 0.05
    # Few tiles are not blown up: what they leave stays white.
    scale = min(across / picture.shape[1], 1.15 * _TILE / _side(rows), (_TALLEST - top) / picture.shape[0])
    drawn = (scale * picture.shape[1], scale * picture.shape[0])
    height = top + drawn[1] + 0.06
    figure = titled_figure(lines, width, height)
    axes = figure.add_axes((names / width, 0.06 / height, drawn[0] / width, drawn[1] / height))
    axes.set_axis_off()
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    for left, text in zip(lefts, headings, strict=True):
        x, y = (names + scale * left) / width, 1 - (top - 0.05) / height
        figure.text(x, y, text, ha="left", va="bottom", color=MUTED)
    _write_names(figure, rows, names)
    return figure


def _tiles_a_cell(rows: Sequence[TileRow], column: float, tile: float, block: int) -> int:
    most = max((len(cell) for row in rows for cell in row.cells), default=block)
    fit = int(column / (1.08 * tile)) // block * block
    return max(block, min(most, fit))


def _side(rows: Sequence[TileRow]) -> int:
    return next((tile.shape[0] for row in rows for cell in row.cells for tile in cell), 32)


def _picture(rows: Sequence[TileRow], count: int, block: int) -> tuple[Pixels, list[int]]:
    """Paste all tiles on white with seams; return also where each column begins, in pixels."""
    side = _side(rows)
    seam, gap = max(1, side // 16), max(2, side // 3)
    step = side + seam
    wide = count * step - seam + (count // block - 1) * gap * (block > 1)
    columns = max(len(row.cells) for row in rows)
    lefts = [i * (wide + gap) for i in range(columns)]
    deep = side + max(2, side // 10)
    picture = np.full((len(rows) * deep - (deep - side), lefts[-1] + wide, 3), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        for left, cell in zip(lefts, row.cells, strict=True):
            for j, tile in enumerate(cell[:count]):
                x = left + j * step + (j // block) * gap * (block > 1)
                picture[i * deep : i * deep + side, x : x + side] = tile
    return picture, lefts


def _write_names(figure: Figure, rows: Sequence[TileRow], inches: float) -> None:
    """Write names beside the rows, small where the rows are low."""
    width = figure.get_size_inches()[0]
    box = figure.axes[0].get_position()
    each = box.height / len(rows)
    room = each * figure.get_size_inches()[1] * 72
    size = min(PRINT_SIZE, room * 0.8)
    letters = int(72 * (inches - 0.1) / (0.6 * size))
    for i, row in enumerate(rows):
        middle = box.y1 - (i + 0.5) * each
        two = bool(row.detail) and room > 2.4 * size
        lift = 0.5 * size / (72 * figure.get_size_inches()[1]) if two else 0.0
        figure.text(0.05 / width, middle + lift, short(row.name, letters), va="center", fontsize=size, color=INK)
        if two:
            figure.text(0.05 / width, middle - 1.4 * lift, row.detail, va="center", fontsize=size - 1.5, color=MUTED)


def missing_note(absent: dict[str, str]) -> list[str]:
    """Write a sentence for each reason: which rows have no picture. Label -> reason."""
    reasons: dict[str, list[str]] = {}
    for label, reason in absent.items():
        reasons.setdefault(reason, []).append(label)
    return [f"Not drawn, because {reason}: {listing(labels)}." for reason, labels in reasons.items()]
