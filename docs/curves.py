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
PANELS = (("kid_1000", "KID×10³ (lower is better)"), ("variants", "variants covered, of 39"))
KID_TICKS = (20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
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
    """Draw a row of panels for each number of images, a line for each method."""
    budgets = sorted(set(cells["images"]))
    looks_of = looks(cells["method"])
    with style():
        from matplotlib import pyplot as plt  # noqa: PLC0415 - after the style is set

        figure, panels = plt.subplots(len(budgets), len(PANELS), figsize=(10, 3 * len(budgets)), layout="constrained")
        for row, images in zip(panels.reshape(len(budgets), -1), budgets, strict=True):
            for axes, (column, title) in zip(row, PANELS, strict=True):
                for method, look in looks_of.items():
                    curve = cells.query("images == @images and method == @method").sort_values("kimg")
                    axes.plot(curve["kimg"], curve[column], color=look.color, marker=look.marker, label=method)
                axes.set(xscale="log", title=f"{images} images: {title}", xlabel="thousand images shown")
                axes.set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"])
                axes.minorticks_off()
            row[0].set_yscale("log")
            low, high = row[0].get_ylim()
            ticks = [each for each in KID_TICKS if low <= each <= high]
            row[0].set_yticks(ticks, [f"{each:,}" for each in ticks])
            row[0].minorticks_off()
        figure.legend(handles=panels.flat[0].get_lines(), loc="outside right center", frameon=False)
        figure.savefig(TABLE.with_suffix(".svg"), metadata=NO_METADATA["svg"])
        plt.close(figure)


if __name__ == "__main__":
    main()
