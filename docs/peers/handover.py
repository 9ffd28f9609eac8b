"""What both programs are told and what they leave: options, PNG files, costs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor


class Given(argparse.Namespace):
    """What was asked for.

    Attributes:
        name: The package, or the method.
        data: Folder of training images, PNG.
        samples: Folder for generated images.
        out: Folder for what is said of the training.
        size: Side of the images in pixels.
        n: How many images to draw.
        seed: Of all chances.
        seconds: CPU seconds of training.
        settings: A name in SETTINGS.
        parameters: Parameters of a method, as JSON.
        source: Name of a source model.
        marks: CPU seconds with commas between, at which a package draws on the way.
    """

    name: str
    data: Path
    samples: Path
    out: Path
    size: int
    n: int
    seed: int
    seconds: float
    settings: str
    parameters: str
    source: str
    marks: str


def given_options(**more: str) -> Given:
    """Read the options, with further ones and their defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    for name in ("data", "samples", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("size", "n", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    for name, default in more.items():
        parser.add_argument(f"--{name}", default=default)
    return parser.parse_args(namespace=Given())


def folders_of_mark(given: Given, seconds: float) -> Given:
    """Make the folders of a mark on the way, `../NAME-SECONDS/{out,samples}` from `out`; the end has those given."""
    if seconds == given.seconds:
        return given
    cell = given.out.resolve().parent.with_name(f"{given.name}-{seconds:g}")
    options = Given(**vars(given) | {"out": cell / "out", "samples": cell / "samples"})
    for folder in (options.out, options.samples):
        folder.mkdir(parents=True, exist_ok=True)
    return options


def write_images(images: Tensor, folder: Path) -> None:
    """Write images, uint8 n×3×H×W, as numbered PNG files."""
    for number, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image).save(folder / f"{number:05d}.png")


def write_report(
    given: Given, settings: dict[str, Any], *, training_cpu_seconds: float, images_seen: int, parameters_total: int
) -> None:
    """Write what was done: `costs.json` for the suite, `training.json` for a reader."""
    costs = {"images_seen": images_seen, "parameters_total": parameters_total}
    spent = round(training_cpu_seconds, 1)
    report = {"name": given.name, "settings": settings, "training_cpu_seconds": spent} | costs
    (given.out / "costs.json").write_text(json.dumps(costs), "utf-8")
    (given.out / "training.json").write_text(json.dumps(report), "utf-8")
    print(json.dumps(report))  # noqa: T201 - the cell's log
