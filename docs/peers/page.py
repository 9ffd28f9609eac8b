"""Write the table of docs/peers.md and the grid of samples from finished runs.

    python docs/peers/page.py runs/peers ...

What is read of the runs is kept in docs/peers/results.json; without runs the page is written from that file.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent
PAGE, RESULTS, GRID = FOLDER.parent / "peers.md", FOLDER / "results.json", FOLDER / "samples.png"
SCORES = ("kid", "fid", "precision", "recall", "modes", "variant_pairs")
SCALE, LABEL = 2, 190


def rows_of(run: Path) -> list[dict[str, Any]]:
    """Read the newest record of each finished cell of a run, with what its program said of its training."""
    rows = []
    for line in (run / "records.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        if record["status"] != "ok":
            continue
        name, _, seconds = record["cell"]["method"].rpartition("-")
        scores = {score["name"]: score["value"] for score in record["scores"] if score["name"] in SCORES}
        training = json.loads((run / "cells" / record["id"] / "output" / "training.json").read_text("utf-8"))
        rows.append(
            {"name": name, "seconds": int(seconds), "seed": record["cell"]["seed"], "id": record["id"]}
            | {key: training[key] for key in ("settings", "training_cpu_seconds", "images_seen", "parameters_total")}
            | {"all_cpu_seconds": record["resources"]["fit_cpu_seconds"], "scores": scores}
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Write the rows of each mark, the lowest KID first."""
    lines = [
        "| CPU s | what | numbers | images shown | KID×10³ | FID | precision | recall | variants | pairs |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        s = row["scores"]
        lines.append(
            f"| {row['training_cpu_seconds']:.0f} | {label(row)} | {row['parameters_total'] / 1e6:.2f} M "
            f"| {row['images_seen']:,} | {1000 * s['kid']:,.0f} | {s['fid']:,.0f} | {s['precision']:.2f} "
            f"| {s['recall']:.2f} | {s['modes']:.0f} | {s['variant_pairs']:.0f} |"
        )
    return "\n".join(lines)


def label(row: dict[str, Any]) -> str:
    """Name a row as the page does: ours as methods, packages in bold."""
    name = row["name"]
    seed = f", seed {row['seed']}" if row["seed"] else ""
    return f"`{name.removeprefix('our-')}`{seed}" if name.startswith("our-") else f"**{name}**{seed}"


def grid(rows: list[dict[str, Any]], sheets: dict[str, Path]) -> Image.Image:
    """Put the upper two rows of each cell's sheet of samples side by side, enlarged, under its name."""
    side, height = 32 * SCALE, 32 * SCALE + 4
    picture = Image.new("RGB", (LABEL + 16 * side, height * len(rows)), "white")
    draw = ImageDraw.Draw(picture)
    for index, row in enumerate(rows):
        sheet = Image.open(sheets[row["id"]]).convert("RGB")
        draw.text((4, index * height + side // 2 - 6), f"{row['seconds']} s  {row['name']}", fill="black")
        for half in (0, 1):
            part = sheet.crop((0, 32 * half, 256, 32 * half + 32))
            picture.paste(
                part.resize((8 * side, side), Image.Resampling.NEAREST), (LABEL + 8 * side * half, index * height)
            )
    return picture


def main() -> None:
    """Read the runs that are named, then write file, grid and page."""
    runs = [Path(name) for name in sys.argv[1:]]
    if runs:
        found = [row for run in runs for row in rows_of(run)]
        found.sort(key=lambda row: (row["seconds"], row["seed"], row["scores"]["kid"]))
        sheets = {row["id"]: run / "cells" / row["id"] / "samples.png" for run in runs for row in rows_of(run)}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        grid(found, sheets).save(GRID)
    rows = json.loads(RESULTS.read_text("utf-8"))
    text = re.sub(
        r"(<!-- table -->\n).*?(<!-- end -->)", rf"\g<1>\n{table(rows)}\n\n\2", PAGE.read_text("utf-8"), flags=re.DOTALL
    )
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
