"""Ways through the latent space: images between two latents, a row a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._tables.text import listing
from .budget_plots import BudgetView, budget_plots
from .sample_grid import TileRow, draw_tiles, missing_note, tiles_of
from .samples import COLUMNS, sheet_of
from .style import WIDTHS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from PIL.Image import Image

    from .._tables.groups import Group, Row
    from .style import Plot

_NONE = "the record names no sheet"


def interpolation_sheet(row: Row, folder: Path) -> tuple[Image | None, str]:
    """Load four ways of eight steps, of the row's lowest seed that has them; else say why there are none.

    `samples.spaced_png` makes a PNG for a page of it.
    """
    absent = row.outcome if not row.records else ""
    for record in row.records:
        sheet, reason = sheet_of(record, folder, "interpolation")
        if sheet is not None:
            return sheet, ""
        if reason == _NONE and "samples" in record.artifacts:
            reason = "it has no latent space or was run before there were such pictures"
        absent = absent or reason
    return None, absent


def interpolation_plots(groups: Sequence[Group], folder: Path) -> list[Plot]:
    """Make one plot a group and data budget in which a method has such a picture."""
    reason = "no cell that ended well has a picture of ways through its latent space"
    return budget_plots(groups, lambda view: _plot(view, folder), "interpolation", reason)


def _plot(view: BudgetView, folder: Path) -> Plot | None:
    rows = sorted(view.rows, key=lambda row: row.is_reference)
    pictures = {row.label: interpolation_sheet(row, folder) for row in rows}
    sheets = {label: sheet for label, (sheet, _) in pictures.items() if sheet is not None}
    absent = {label: reason for label, (sheet, reason) in pictures.items() if sheet is None}
    if not any(row.label in sheets for row in view.methods):
        return None

    def draw(width: float) -> Figure:
        ways = 2 if width >= WIDTHS["2col"] else 1
        rows = []
        for label, sheet in sheets.items():
            count = sheet.height * COLUMNS // sheet.width
            rows.append(TileRow(label, tuple(tiles_of(sheet, i if i < count else 0) for i in range(ways))))
        return draw_tiles(rows, [""] * ways, view.title, width, block=COLUMNS)

    caption = (
        f"spherical interpolation in {COLUMNS} steps between two latents, both ends included; methods with "
        "latents of one shape got the same latents. Nothing is picked. A method that has learnt images by heart jumps "
        f"from one to the next (Radford et al. 2016, arXiv 1511.06434, section 6.1). Shown: {listing(list(sheets))}."
    )
    return view.plot("interpolation", caption, missing_note(absent), draw)
