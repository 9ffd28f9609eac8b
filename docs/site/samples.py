"""Draw docs/quick/samples.png: a strip of samples per method, in order of rank, below real images.

    python docs/site/samples.py runs/quick

Takes the folder of a run of the suite `quick`: its cells hold the samples, which docs/quick does not.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from short_results import Group, groups_in_order, groups_of, text

from graftbench.records.run import read_run

if TYPE_CHECKING:
    from graftbench.records.run import Run

PICTURE = Path(__file__).parents[1] / "quick" / "samples.png"


def drawn(run: Run) -> tuple[Group, int]:
    """Return the group and the data budget that the picture is of: the first task, with the fewest images."""
    group = groups_in_order(run)[0]
    return group, group.method_budgets[0]


def picture(link: str, run: Run) -> str:
    """Write the picture and its caption as Markdown.

    Args:
        link: Where the picture lies, as seen from the page.
        run: What it is of.
    """
    group, budget = drawn(run)
    task, images = text.markdown(groups_of.named(group.task)), text.plural(budget, "training image")
    return (
        f"![Samples of {task} with {images}: real images, the source, then each method by rank]({link})\n\n"
        f"*{task} with {images}: real images, the generator before the transfer, then each method in order of "
        "KID×10³. The first eight samples of the lowest seed; nothing is picked.*"
    )


def main(folder: str) -> None:
    """Draw the picture from a run folder."""
    figures = import_module("graftbench.reports._figures.samples")
    run = read_run(Path(folder))
    group, budget = drawn(run)
    strips = figures.ranked_strips(group, budget, run.folder)
    figures.grid_image([(f"{group.title}, {text.plural(budget, 'image')}", strips)]).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
