"""Ways through the latent space: images between two latents, a row a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._tables.text import listing
from .curves import heading, stem
from .sample_grid import TileRow, draw_tiles, missing_note, tiles_of
from .samples import COLUMNS, sheet_of
from .style import WIDTHS, Plot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from PIL.Image import Image

    from .._tables.groups import Group, Row
    from .sample_grid import Pixels

_NONE = "the record names no sheet"


def interpolation_sheet(row: Row, folder: Path) -> tuple[Image | None, str]:
    """Four ways of eight steps, of the row's lowest seed that has them; else why there are none.

    `_samples.spaced_png` makes a PNG for a page of it.
    """
    why = row.outcome if not row.records else ""
    for record in row.records:
        sheet, reason = sheet_of(record, folder, "interpolation")
        if sheet is not None:
            return sheet, ""
        if reason == _NONE and "samples" in record.artifacts:
            reason = "it has no latent space or was run before there were such pictures"
        why = why or reason
    return None, why


def interpolation_plots(found: Sequence[Group], folder: Path) -> list[Plot]:
    """One plot a group and data budget in which a method has such a picture."""
    plots = [
        plot for group in found for budget in group.budgets if (plot := _plot(group, budget, found, folder)) is not None
    ]
    return plots or [Plot("interpolation", "no cell that ended well has a picture of ways through its latent space")]


def _plot(group: Group, budget: int, found: Sequence[Group], folder: Path) -> Plot | None:
    of_budget = [row for row in group.rows if row.data_budget == budget]
    sheets: dict[str, Image] = {}
    absent: dict[str, str] = {}
    for row in sorted(of_budget, key=lambda row: (row.is_reference, row.label)):
        sheet, why = interpolation_sheet(row, folder)
        if sheet is None:
            absent[row.label] = why
        else:
            sheets[row.label] = sheet
    if not sheets.keys() - {row.label for row in group.references}:
        return None
    title = heading(group, budget, found)

    def draw(width: float) -> Figure:
        ways = 2 if width >= WIDTHS["2col"] else 1
        rows = [TileRow(label, tuple(_way(sheet, i) for i in range(ways))) for label, sheet in sheets.items()]
        return draw_tiles(rows, [""] * ways, title, width, block=COLUMNS)

    caption = (
        f"{title}: spherical interpolation in {COLUMNS} steps between two latents, both ends included; methods with "
        "latents of one shape got the same latents. Nothing is picked. A method that has learnt images by heart jumps "
        f"from one to the next (Radford et al. 2016, arXiv 1511.06434, section 6.1). Shown: {listing(list(sheets))}."
    )
    return Plot(stem("interpolation", group, budget, found), caption, tuple(missing_note(absent)), draw)


def _way(sheet: Image, row: int) -> tuple[Pixels, ...]:
    """One row of a sheet; the first where it has fewer."""
    return tiles_of(sheet, row if (row + 1) * sheet.width // COLUMNS <= sheet.height else 0)
