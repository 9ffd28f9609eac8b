"""Learning progress as pictures: the same samples of each method on the way, methods down, shares of the fit across."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.plotting import INK, MUTED

from .._tables.text import listing, short
from .budget_plots import BudgetView, budget_plots
from .style import PRINT_SIZE, title_lines, titled_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graftbench.records.record import Record

    from .._tables.groups import Group, Row
    from .style import Plot

_TILES = 8
"""Samples a share in a cell's picture."""
_NAMES = 1.0
"""Inches for the names of the methods."""
_SMALLEST = 0.28
"""Inches that a sample must have at least; fewer of a share are shown where it would not."""


@dataclass(frozen=True)
class SnapshotStrip:
    """Contents of one cell's picture.

    Attributes:
        label: Whose.
        seed: Of the cell.
        shares: Share of the compute budget -> 8 samples side by side, uint8 side×8·side×3.
    """

    label: str
    seed: int
    shares: dict[float, npt.NDArray[np.uint8]]


def progress_plots(groups: Sequence[Group], folder: Path) -> list[Plot]:
    """Make one plot a group and data budget that has pictures of snapshots."""
    reason = "no cell that ended well has a picture of its snapshots"
    return budget_plots(groups, lambda view: _plot(view, folder), "progress", reason)


def _plot(view: BudgetView, folder: Path) -> Plot | None:
    pictures = {row.label: _strip(row, folder) for row in view.methods}
    strips = [strip for strip, _ in pictures.values() if strip is not None]
    if not strips:
        return None
    notes = [f"{label}: {reason}." for label, (strip, reason) in pictures.items() if strip is None and reason]
    if none := [label for label, (strip, reason) in pictures.items() if strip is None and not reason]:
        notes.append(f"No picture: {listing(none)}.")
    seeds = sorted({strip.seed for strip in strips})
    caption = (
        "samples of the averaged generator after shares of its compute budget, of the same random "
        f"numbers in each column; the first ones, nothing is picked. Seed {listing([str(seed) for seed in seeds])}, "
        "the lowest that has a picture."
    )
    return view.plot("progress", caption, notes, lambda width: _draw(strips, view.title, width))


def _strip(row: Row, folder: Path) -> tuple[SnapshotStrip | None, str]:
    """Load the picture of the lowest seed that has one; else say why it cannot be shown, empty where none is named."""
    absent = ""
    for record in row.ok:
        if "progress" not in record.artifacts or not record.snapshots:
            continue
        shares, absent = _read(record, folder)
        if shares:
            return SnapshotStrip(row.label, record.cell.seed, shares), ""
    return None, absent


def _read(record: Record, folder: Path) -> tuple[dict[float, npt.NDArray[np.uint8]], str]:
    import PIL.Image  # noqa: PLC0415 - a list of reports needs no pictures

    path = (folder / record.artifacts["progress"]).resolve()
    if not path.is_relative_to(folder.resolve()):
        return {}, "the record names a picture outside the run folder"
    if not path.is_file():
        return {}, "its picture is missing"
    side, count = record.cell.task.resolution, len(record.snapshots)
    try:
        with PIL.Image.open(path) as picture:
            if picture.size != (_TILES * side, count * side):
                return {}, f"its picture is {picture.width}×{picture.height} px, not {_TILES * side}×{count * side}"
            pixels = np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, PIL.Image.DecompressionBombError):
        return {}, "its picture cannot be read"
    shares = [snapshot.share for snapshot in record.snapshots]
    return {share: pixels[i * side : (i + 1) * side] for i, share in enumerate(shares)}, ""


def _draw(strips: Sequence[SnapshotStrip], title: str, width: float) -> Figure:
    shares = sorted({share for strip in strips for share in strip.shares})
    room = (width - _NAMES - 0.05) / len(shares)
    tiles = next((n for n in (8, 4, 2) if room / n >= _SMALLEST), 1)
    side = (room - 0.05) / tiles
    lines = title_lines(title, width)
    top = 0.1 + 0.16 * len(lines) + 0.2
    height = top + len(strips) * (side + 0.05)
    figure = titled_figure(lines, width, height)
    letters = int(72 * (_NAMES - 0.1) / (0.6 * PRINT_SIZE))
    for i, strip in enumerate(strips):
        bottom = height - top - (i + 1) * (side + 0.05) + 0.05
        middle = (bottom + side / 2) / height
        figure.text(0.05 / width, middle, short(strip.label, letters), va="center", color=INK)
        for j, share in enumerate(shares):
            left = _NAMES + j * room
            box = (left / width, bottom / height, tiles * side / width, side / height)
            _draw_share(figure.add_axes(box), strip.shares.get(share), tiles)
            if i == 0:
                name, x = f"{100 * share:g} %", (left + tiles * side / 2) / width
                figure.text(x, 1 - (top - 0.06) / height, name, ha="center", va="bottom", color=MUTED)
    return figure


def _draw_share(axes: Axes, pixels: npt.NDArray[np.uint8] | None, tiles: int) -> None:
    axes.set_axis_off()
    if pixels is None:
        axes.text(0.5, 0.5, "—", ha="center", va="center", color=MUTED)
        return
    axes.imshow(pixels[:, : tiles * len(pixels)], interpolation="nearest", aspect="auto")
