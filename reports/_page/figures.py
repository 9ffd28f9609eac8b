"""The page's pictures: figures as SVG, strips of samples as data URIs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.plotting import style

from .._figures.cost import cost_panel, measured
from .._figures.quality import PANELS, group_looks, not_drawn, quality_panel
from .._figures.samples import SampleStrip, spaced_png
from .._figures.style import inline_svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.plotting import Look

    from .._tables.groups import Group


@dataclass(frozen=True)
class Figure:
    """An inline figure.

    Attributes:
        svg: The element, already safe to print as it is.
        metric: Name of the score that it shows; empty for a cost.
        notes: Sentences under it.
    """

    svg: str
    metric: str = ""
    notes: tuple[str, ...] = ()


MOST_DRAWN = 64
"""Most methods of one group that the page draws: so many differ in colour and marker, and a line each can be read."""


def figures(groups: Sequence[Group]) -> tuple[dict[str, tuple[Figure, ...]], dict[str, tuple[Figure, ...]]]:
    """Draw quality and cost by the key of the group; nothing for a group of more than `MOST_DRAWN` methods."""
    palette = group_looks(groups)
    quality: dict[str, tuple[Figure, ...]] = {}
    costs: dict[str, tuple[Figure, ...]] = {}
    with style(text_as_paths=False):
        for i, group in enumerate(groups, start=1):
            drawn = not too_many(group)
            quality[group.key] = _quality_figures(group, palette, i) if drawn else ()
            costs[group.key] = _cost_figures(group, palette, i) if drawn else ()
    return quality, costs


def too_many(group: Group) -> str:
    """Say why a group has no figures; empty where it has."""
    count = len({row.label for row in group.methods})
    return f"Not drawn: {count:,} methods are more than one figure can tell apart." if count > MOST_DRAWN else ""


def _quality_figures(group: Group, palette: dict[str, Look], i: int) -> tuple[Figure, ...]:
    says = "against target training images, one line a method; the numbers are in the table of scores above."
    return tuple(
        Figure(
            inline_svg(quality_panel(group, metric, palette), f"g{i}-{metric.name}", f"{metric.label} {says}"),
            metric.name,
            tuple(not_drawn(group, metric)),
        )
        for metric in PANELS
    )


def _cost_figures(group: Group, palette: dict[str, Look], i: int) -> tuple[Figure, ...]:
    says = "the numbers are in the table of costs below."
    return tuple(
        Figure(
            inline_svg(
                cost_panel(group, cost, palette),
                f"g{i}-{cost.name.replace('_', '-')}",
                f"Bars, one a method: {cost.heading}; {says}",
            )
        )
        for cost in measured(group)
    )


def data_uri(strip: SampleStrip) -> str:
    """Return the strip as a PNG within the page; empty where there is no picture."""
    if strip.image is None:
        return ""
    return "data:image/png;base64," + base64.b64encode(spaced_png(strip.image)).decode()
