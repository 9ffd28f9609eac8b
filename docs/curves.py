"""Draw docs/recipes/curves.svg: how KID and covered variants change with training, from docs/recipes/curves.csv.

    python docs/curves.py [RUN…]

Runs with snapshots are added to the table first: a row for each method, number of images and kimg.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from graftbench.plotting import NO_METADATA, looks, style
from graftbench.records.run import read_runs

TABLE = Path(__file__).with_name("recipes") / "curves.csv"
PANELS = (("kid_1000", "KID×10³"), ("variants", "variants, of 39"))
KID_TICKS = (20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
KIMG = (2, 4, 8, 16, 32, 64)
GROUPS = {
    "GANs from scratch": ("dcgan", "diffaugment", "ada", "fastgan", "lecam", "sngan", "wgan-gp"),
    "GANs, fine-tuned": (
        "finetune",
        "finetune-diffaugment",
        "freezed",
        "freeze-g",
        "minegan",
        "fsgan",
        "bsa",
        "lora",
        "dora",
    ),
    "GANs, held near the source": ("ewc", "cdc", "rssa", "dcl", "adam", "rick"),
    "VAEs and flows": ("vae", "vae-finetune", "flow", "flow-finetune", "flow-difffit"),
}
KEY = ["method", "images", "kimg"]


def main() -> None:
    """Add the rows of the runs that are named, and draw."""
    cells = pd.read_csv(TABLE)
    if paths := [Path(name) for name in sys.argv[1:]]:
        cells = pd.concat([cells, rows_of(paths)]).drop_duplicates(KEY, keep="last").sort_values(KEY)
        cells.to_csv(TABLE, index=False)
    draw(cells)


def rows_of(paths: list[Path]) -> pd.DataFrame:
    """Return the scores of all snapshots and ends of some runs' trainings."""
    rows = []
    for record in read_runs(paths).records:
        images, end = record.cell.data_budget, record.cell.compute_budget.kimg
        scored = [(round(snapshot.images_seen / 1000), snapshot.scores) for snapshot in record.snapshots]
        for kimg, scores in [*scored, (round(end or 0), record.scores)]:
            values = {score.name: score.value for score in scores}
            if (kid := values.get("kid")) is not None:
                counts = (values.get("modes"), values.get("variant_pairs"))
                rows.append((record.cell.method, images, kimg, round(1000 * kid), *counts))
    return pd.DataFrame(rows, columns=[*KEY, "kid_1000", "variants", "pairs"])


def draw(cells: pd.DataFrame) -> None:
    """Draw a column of panels for each group of methods: two for each number of images, a line for each method."""
    rows = [(images, *panel) for images in sorted(set(cells["images"])) for panel in PANELS]
    with style():
        from matplotlib import pyplot as plt  # noqa: PLC0415 - after the style is set

        figure, grid = plt.subplots(
            len(rows), len(GROUPS), figsize=(13, 11), sharex=True, sharey="row", layout="constrained"
        )
        for (images, column, title), panels in zip(rows, grid, strict=True):
            for axes, (group, methods) in zip(panels, GROUPS.items(), strict=True):
                for method, look in looks(methods).items():
                    curve = cells.query("images == @images and method == @method").sort_values("kimg")
                    axes.plot(curve["kimg"], curve[column], color=look.color, marker=look.marker, label=method)
                axes.set_xscale("log")
                axes.set_xticks(KIMG, [str(kimg) for kimg in KIMG])
                if axes in grid[0]:
                    axes.set_title(group)
                if axes in grid[-1]:
                    axes.set_xlabel("thousand images shown")
            panels[0].set_ylabel(f"{images} images: {title}")
            if column == "kid_1000":
                panels[0].set_yscale("log")
                panels[0].set_yticks(KID_TICKS, [f"{kid:,}" for kid in KID_TICKS])
            for axes in panels:
                axes.minorticks_off()
        for axes in grid[-1]:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2, frameon=False)
        figure.savefig(TABLE.with_suffix(".svg"), metadata=NO_METADATA["svg"])
        plt.close(figure)


if __name__ == "__main__":
    main()
