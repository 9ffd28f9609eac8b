"""One look for all figures: colours that survive colour blindness, fixed fonts, files that repeat byte for byte."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from graftbench.plotting import INK, LIGHT_PAPER, MUTED, NO_METADATA, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Bbox


def _lay_out(figure: Figure) -> None:
    """Place its parts once: matplotlib would do it again for every file, drawing all twice to no effect."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine(None)  # not "none": that leaves an engine for which savefig draws twice


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write STEM.svg, STEM.png and STEM.pdf without dates or program names. Call it inside `style`."""
    _lay_out(figure)
    paths = []
    for suffix, fields in NO_METADATA.items():
        path = stem.with_suffix(f".{suffix}")
        figure.savefig(path, format=suffix, metadata=fields, facecolor=LIGHT_PAPER)
        paths.append(path)
    return paths


# ------------------------------------------------------------------------------------------- figures for a paper

WIDTHS = {"1col": 3.4, "2col": 7.0}
"""Ending of the file's name -> inches: one column and both columns of a two-column page."""
PRINT_SIZE = 7.0
"""Points of the text in a figure that is printed at its own size."""
_WIDE = 5.0
"""Inches from which two panels stand side by side."""
_LETTER = 0.6
"""Mean width of a letter of DejaVu Sans, as a share of its size; names are rarely wider."""


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn at any width, or the reason why there is none.

    Attributes:
        stem: Name of its files without width and suffix.
        caption: What it shows; why it is not drawn where `draw` is None.
        notes: What is left out of it, and why: a sentence each.
        draw: Inches -> figure of that width; called inside `style`. None where there is nothing to draw.
    """

    stem: str
    caption: str
    notes: tuple[str, ...] = ()
    draw: Callable[[float], Figure] | None = None


def paper_panels(
    width: float,
    count: int,
    title: str,
    entries: Mapping[str, Look],
    *,
    lines: bool = False,
    hollow: Container[str] = (),
    key: str = "",
) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels under one title with one legend below; room for all of the legend's lines.

    Args:
        width: Inches; the height follows.
        count: Panels, side by side where the width has room for two.
        title: Broken into lines.
        entries: Name in the legend -> look.
        lines: Whether the panels have lines: then the legend has them, too.
        hollow: Names whose markers are not filled.
        key: What lines and marks mean that have no entry, above the entries.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415

    across = min(count, 2) if width > _WIDE else 1
    down = -(-count // across)
    heading = title_lines(title, width)
    handle = 2.8 if lines else 1.0
    columns = _legend_columns(width, entries, handle)
    legend_lines = -(-len(entries) // columns)
    keys = textwrap.wrap(key, int(72 * width / (_LETTER * PRINT_SIZE)))
    # A line is 1.2 of the letters' size, in the legend 1.5; 72 points are an inch.
    text = (1.2 * (PRINT_SIZE + 1) * len(heading) + 1.55 * PRINT_SIZE * (legend_lines + len(keys))) / 72
    figure = Figure(figsize=(width, 2.3 * down + text + 0.25), layout="constrained")
    figure.suptitle("\n".join(heading), fontsize=PRINT_SIZE + 1, x=0.01, ha="left", color=INK)
    panels = [figure.add_subplot(down, across, i + 1) for i in range(count)]
    for axes in panels:
        axes.set_title("")
    if entries:
        figure.legend(
            handles=[_handle(look, line=lines, filled=name not in hollow) for name, look in entries.items()],
            labels=list(entries),
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            handlelength=handle,
            columnspacing=1.2,
            title="\n".join(keys) or None,
            title_fontproperties={"size": PRINT_SIZE - 1},
            borderaxespad=0.2,
        )
    return figure, panels


def _legend_columns(width: float, entries: Mapping[str, Look], handle: float) -> int:
    widest = max(map(len, entries), default=1)
    # In the letters' size: the name, its handle, 0.8 between the two, 1.2 to the next column.
    entry = PRINT_SIZE * (_LETTER * widest + handle + 0.8 + 1.2)
    return max(1, min(len(entries), int(72 * (width - 0.1) / entry)))


def _handle(look: Look, *, line: bool, filled: bool) -> Line2D:
    from matplotlib.lines import Line2D  # noqa: PLC0415

    dashes, face, edge = look.dashes if line else "", look.color if filled else "none", 0.0 if filled else 0.8
    return Line2D([], [], color=look.color, ls=dashes, marker=look.marker, mfc=face, mew=edge, ms=4.0, lw=1.1)


def title_lines(title: str, width: float) -> list[str]:
    """Break the title into lines that a figure of so many inches has room for."""
    return textwrap.wrap(title, max(20, int(72 * width / (_LETTER * (PRINT_SIZE + 1))))) or [""]


def titled_figure(lines: Sequence[str], width: float, height: float) -> Figure:
    """Make a figure of so many inches with the lines of its title at the top left."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height))
    figure.text(0.05 / width, 1 - 0.07 / height, "\n".join(lines), va="top", fontsize=PRINT_SIZE + 1, color=INK)
    return figure


def number_axis(axis: Axis, values: Sequence[float], *, log_from: float = 6.0) -> bool:
    """Set scale, limits and ticks of one axis; logarithmic where all is positive and spans a factor of `log_from`.

    Returns:
        Whether it is logarithmic.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # noqa: PLC0415

    axes, is_x = axis.axes, axis is axis.axes.xaxis
    low, high = min(values), max(values)
    logarithmic = low > 0 and high / low > log_from
    if logarithmic:
        margin = (high / low) ** 0.09
        ends = (low / margin, high * margin)
        (axes.set_xscale if is_x else axes.set_yscale)("log")
        # Three ticks a decade need a short span, or their labels would meet.
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 200 else (1.0,)))
    else:
        margin = 0.09 * (high - low) or 0.1 * abs(high) or 1.0
        ends = (low - margin, high + margin)
        axis.set_major_locator(MaxNLocator(4 if is_x else 5))
    (axes.set_xlim if is_x else axes.set_ylim)(*ends)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: tick(value))
    return logarithmic


def tick(value: float) -> str:
    """Write a short number for an axis: `0.05`, `250`, `8k`, `1.5M`, a true minus sign."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit <= abs(value) < 1e15:
            return f"{value / unit:.3g}{letter}".replace("-", "\N{MINUS SIGN}")
    text = f"{value:.3g}"
    return ("0" if text in {"-0", "0"} else text).replace("-", "\N{MINUS SIGN}")


def label_points(
    axes: Axes,
    labels: Sequence[tuple[float, float, str, str]],
    points: Sequence[tuple[float, float]],
    lines: Sequence[Sequence[tuple[float, float]]] = (),
) -> None:
    """Write names beside points, each where it meets no other name and least else; this fixes the layout.

    Args:
        axes: Drawn, with its limits.
        labels: (x, y, name, colour), in data coordinates.
        points: All points that are drawn, in data coordinates.
        lines: Corners of lines that names should not cross, in data coordinates.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    _lay_out(figure)
    scale = figure.dpi / 72
    inside = _inset(axes.get_window_extent(), 3 * scale)
    markers = [_around(x, y, _MARKER * scale) for x, y in axes.transData.transform(points)] if points else []
    corners = [[(float(x), float(y)) for x, y in axes.transData.transform(line)] for line in lines if line]
    dots = [dot for line in corners for start, end in pairwise(line) for dot in _between(start, end)]
    boxes: list[tuple[float, float, float, float]] = []
    for x, y, name, color in sorted(labels, key=lambda label: (label[1], label[0], label[2])):
        at_x, at_y = axes.transData.transform((x, y))
        at = (float(at_x), float(at_y))
        text = axes.text(x, y, name, fontsize=PRINT_SIZE - 1)
        size = text.get_window_extent()
        text.remove()
        candidates = _candidates(at, size.width, size.height, scale)
        (dx, dy), box = min(candidates, key=lambda candidate: _cost(candidate[1], [*boxes, *markers], dots, inside))
        boxes.append(box)
        far = max(abs(dx), abs(dy)) > _NEAR + 1
        axes.annotate(
            name,
            (x, y),
            ((box[0] - at[0]) / scale, (box[1] - at[1]) / scale),
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize=PRINT_SIZE - 1,
            color=color,
            arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.5, "shrinkA": 0, "shrinkB": 2} if far else None,
            annotation_clip=False,
            zorder=6,
        )


def _between(start: tuple[float, float], end: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Yield the pixels of a straight line, about four apart."""
    count = max(1, int(max(abs(end[0] - start[0]), abs(end[1] - start[1])) / 4))
    for i in range(count + 1):
        yield start[0] + (end[0] - start[0]) * i / count, start[1] + (end[1] - start[1]) * i / count


_NEAR = 5.0
"""Points between a name and what it names."""
_MARKER = 4.0
"""Points from the middle of a marker in which no name may stand."""
_Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in pixels."""


def _candidates(
    at: tuple[float, float], width: float, height: float, scale: float
) -> Iterator[tuple[tuple[float, float], _Box]]:
    """Yield where a name may stand: right, left, above, below and askew of its point, near first. (offset, box)."""
    for reach in (_NEAR, 2.4 * _NEAR, 4.4 * _NEAR, 7 * _NEAR):
        for side_x, side_y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            dx, dy = side_x * reach, side_y * reach
            left = at[0] + dx * scale - width * (1 - side_x) / 2
            bottom = at[1] + dy * scale - height * (1 - side_y) / 2
            yield (dx, dy), (left, bottom, left + width, bottom + height)


def _inset(frame: Bbox, by: float) -> _Box:
    return frame.x0 + by, frame.y0 + by, frame.x1 - by, frame.y1 - by


def _around(x: float, y: float, reach: float) -> _Box:
    return x - reach, y - reach, x + reach, y + reach


def _cost(box: _Box, taken: Sequence[_Box], dots: Iterable[Sequence[float]], inside: _Box) -> tuple[int, int]:
    """Count the names and markers that it meets and ends of the panel that it leaves; then what it covers of a line."""
    left, bottom, right, top = box
    met = sum(left < x1 and x0 < right and bottom < y1 and y0 < top for x0, y0, x1, y1 in taken)
    beyond = (left < inside[0]) + (bottom < inside[1]) + (right > inside[2]) + (top > inside[3])
    covered = sum(left - 3 < x < right + 3 and bottom - 3 < y < top + 3 for x, y in dots)
    return met + beyond, covered
