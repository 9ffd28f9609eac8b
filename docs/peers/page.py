"""Write the table of docs/peers.md and the grid of samples.

    python docs/peers/page.py runs/peers   # of a finished run of suite.toml
    python docs/peers/page.py drawn        # of commands that were run one by one
    python docs/peers/page.py              # of what was read before

In the second form `drawn/NAME-SECONDS` has the command's folders `out` and `samples`, which are scored here as a run
scores them. What is read is kept in docs/peers/results.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

import graftbench

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from page_parts import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).parent
PAGE, RESULTS, GRID = FOLDER.parent / "peers.md", FOLDER / "results.json", FOLDER / "samples.png"
REFERENCE = "domain:avatars:toon-head@32/reference"
SCORES = ("kid", "fid", "precision", "recall")
SIDE, COLUMNS, LABEL = 64, 16, 190

Row = dict[str, Any]


def row(name: str, training: Path, scores: dict[str, Any], sheet: Image.Image) -> Row:
    """Put together what the program said of its training, the scores, and its first samples."""
    what, _, seconds = name.rpartition("-")
    said = json.loads(training.read_text("utf-8"))
    told = {key: said[key] for key in ("settings", "training_cpu_seconds", "images_seen", "parameters_total")}
    return {"name": what, "seconds": int(seconds), **told, "scores": scores, "sheet": sheet}


def of_run(run: Path) -> list[Row]:
    """Read the finished cells of a run; the first sixteen samples are the upper two rows of its sheets of eight."""
    rows = []
    for line in (run / "records.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        if record["status"] == "ok":
            cell = run / "cells" / record["id"]
            scores = {score["name"]: score["value"] for score in record["scores"] if score["name"] in SCORES}
            sheet = Image.open(cell / "samples.png").convert("RGB")
            images = [
                sheet.crop((32 * (i % 8), 32 * (i // 8), 32 * (i % 8) + 32, 32 * (i // 8) + 32)) for i in range(16)
            ]
            rows.append(row(record["cell"]["method"], cell / "output" / "training.json", scores, strip(images)))
    return rows


def of_drawn(folder: Path) -> list[Row]:
    """Score what commands have drawn into folders."""
    rows = []
    for cell in sorted(path.parent.parent for path in folder.glob("*/out/training.json")):
        found = graftbench.evaluate(cell / "samples", REFERENCE, metrics=SCORES, intervals=False, floors=False)
        scores = {name: found[name].value for name in SCORES}
        images = [Image.open(file) for file in sorted((cell / "samples").glob("*.png"))[:COLUMNS]]
        rows.append(row(cell.name, cell / "out" / "training.json", scores, strip(images)))
    return rows


def strip(images: Sequence[Image.Image]) -> Image.Image:
    """Put images side by side, enlarged without smoothing."""
    picture = Image.new("RGB", (COLUMNS * SIDE, SIDE))
    for index, image in enumerate(images):
        picture.paste(image.resize((SIDE, SIDE), Image.Resampling.NEAREST), (index * SIDE, 0))
    return picture


def grid(rows: list[Row]) -> Image.Image:
    """Put each row's samples beside its name."""
    height = SIDE + 4
    picture = Image.new("RGB", (LABEL + COLUMNS * SIDE, height * len(rows)), "white")
    draw = ImageDraw.Draw(picture)
    for index, of in enumerate(rows):
        draw.text((4, index * height + SIDE // 2 - 6), f"{of['seconds']} s  {of['name']}", fill="black")
        picture.paste(of["sheet"], (LABEL, index * height))
    return picture


def table(rows: list[Row]) -> str:
    """Write a line for each row."""
    lines = [
        "| CPU s | what | numbers | images shown | KID×10³ | FID | precision | recall |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for of in rows:
        s, name = of["scores"], of["name"]
        what = f"`{name.removeprefix('our-')}`" if name.startswith("our-") else f"**{name}**"
        lines.append(
            f"| {of['training_cpu_seconds']:.0f} | {what} | {of['parameters_total'] / 1e6:.2f} M "
            f"| {of['images_seen']:,} | {1000 * s['kid']:,.0f} | {s['fid']:,.0f} | {s['precision']:.2f} "
            f"| {s['recall']:.2f} |"
        )
    return "\n".join(lines)


def order(of: Row) -> tuple[int, float]:
    """Return what rows are sorted by: the mark, then KID."""
    return of["seconds"], of["scores"]["kid"]


def main() -> None:
    """Read what is named, then write file, grid and page; the lowest KID of each mark first.

    Rows of an earlier reading stay in file and page; the grid has those that are read now.
    """
    folders = [Path(name) for name in sys.argv[1:]]
    if folders:
        rows = [
            of for folder in folders for of in (of_run if (folder / "records.jsonl").is_file() else of_drawn)(folder)
        ]
        rows.sort(key=order)
        grid(rows).save(GRID)
        known = {(of["name"], of["seconds"]): of for of in json.loads(RESULTS.read_text("utf-8"))}
        for of in rows:
            known[of["name"], of["seconds"]] = {key: value for key, value in of.items() if key != "sheet"}
        RESULTS.write_text(json.dumps(sorted(known.values(), key=order), indent=1) + "\n", "utf-8")
    lines = table(json.loads(RESULTS.read_text("utf-8")))
    fill(PAGE, {"table": lines})


if __name__ == "__main__":
    main()
