"""What tests of the reports share: parts of the reports folder, records on other tasks, what a figure shows."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

import msgspec

from graftbench import plotting
from graftbench.records.cell_spec import TaskSpec
from graftbench.records.record import Record
from graftbench.records.run import Run

Make: TypeAlias = Callable[..., Record]
"""Makes a record: the fixture `record`."""
MakeRun: TypeAlias = Callable[..., Run]
"""Makes a run of records: the fixture `a_run`."""

MACHADO = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB."""


def part(name: str) -> Any:
    """Return a module of the reports folder."""
    return import_module(f"graftbench.reports.{name}")


def on(record: Record, target: str, resolution: int = 32) -> Record:
    """Return a record as one of another target domain."""
    cell = msgspec.structs.replace(record.cell, task=TaskSpec("twemoji", target, resolution))
    return msgspec.structs.replace(record, cell=cell, id=cell.id)


def measured_on(record: Record, device: str) -> Record:
    """Return a record as one of a fit on another device."""
    assert record.resources is not None
    return msgspec.structs.replace(record, resources=msgspec.structs.replace(record.resources, device=device))


def text_of_plot(plot: Any, width: float = 7.0) -> set[str]:
    """Return all text of a plot."""
    with plotting.style(size=part("_figures.style").PRINT_SIZE):
        return text_of_figure(plot.draw(width))


def text_of_figure(figure: Any) -> set[str]:
    """Return all text of a matplotlib figure, a line each. Call it inside `plotting.style`."""
    from matplotlib.text import Text

    figure.draw_without_rendering()  # the labels of the ticks are written then
    texts = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    return {line.strip() for text in texts for line in text.splitlines()}


def sides_of(plot: Any, width: float) -> tuple[float, float]:
    """Return where the leftmost and the rightmost ink of a plot lies, in inches."""
    with plotting.style(size=part("_figures.style").PRINT_SIZE):
        figure = plot.draw(width)
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
    return box.x0, box.x1
