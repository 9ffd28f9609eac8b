"""quality and cost as .svg, .png and .pdf, and samples.png."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Report, Run

from ._cost import cost_figure
from ._groups import groups, titles
from ._quality import group_looks, quality_figure
from ._samples import grid_image, strips
from ._style import save, style

if TYPE_CHECKING:
    from pathlib import Path


class Figures(Report):
    """KID and FID against training images, cost per method, and a grid of samples.

    A method has one colour and one marker throughout. The axes span the methods; a reference row that lies beyond is
    named at the edge with its value. Fonts are embedded, dates left out.
    """

    name = "figures"
    title = "Figures (SVG, PNG, PDF)"

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write quality.*, cost.* and samples.png."""
        found = groups(run)
        with style():
            paths = save(quality_figure(found), out / "quality")
            paths += save(cost_figure(found, group_looks(found)), out / "cost")
        names = titles(found)
        samples = out / "samples.png"
        grid_image([(names[group.key], strips(group, run.folder)) for group in found]).save(samples)
        return [*paths, samples]
