"""Write datasets/_lookalikes.py: which groups of the built-in domains look alike and are joined.

    python docs/lookalikes.py

Takes some minutes; needs the extras `icons` and `digits`. To be run again when a package brings new drawings.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

RESOLUTION = 32
NEAR = 0.04
"""Squared distance of two images, as a share of the larger one's energy about its mean, that counts as none."""

_CHUNK = 1024
_WIDTH = 110
_HEADER = '''"""Which groups of the built-in domains look alike; written by docs/lookalikes.py, not by hand.

Two groups are joined where an image of one and an image of the other, at {resolution} pixels a side and in grey, have
a squared distance of at most {percent:g} % of the larger one's energy about its mean; for glyphs in at least one font.
Made with {versions}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def joined(classes: Iterable[str]) -> dict[str, str]:
    """Group -> the first group of its class, for all groups of all classes."""
    return {{group: line.split()[0] for line in classes for group in line.split()}}

'''


def main() -> None:
    """Look at all built-in drawings and write the file."""
    glyphs = import_module("graftbench.datasets._glyph_groups")
    icons = import_module("graftbench.datasets._icon_groups")
    fonts = [f"glyphs:{font}" for font in import_module("graftbench.datasets.glyphs").FONTS]
    sets = [f"icons:{icons}" for icons in import_module("graftbench.datasets.icons").SETS]
    packages = ("matplotlib", "pillow", "mkdocs-material", "resvg_py", "scikit-learn")
    text = _HEADER.format(
        resolution=RESOLUTION,
        percent=100 * NEAR,
        versions=", ".join(f"{package} {version(package)}" for package in packages),
    )
    by_point: list[set[tuple[str, str]]] = [
        alike(*_read([font], lambda name: glyphs.base_of(int(name.removeprefix("U+"), base=16)))) for font in fonts
    ]
    text += _table("GLYPHS", "Forms of code points (`_glyph_groups.base_of`).", set().union(*by_point))
    text += _table("ICONS", "What icons show (`_icon_groups.base_of`).", alike(*_read(sets, icons.base_of)))
    text += _table("DIGITS", "Handwritten digits, by id.", alike(*_read(["digits"], str)))
    (Path(__file__).parents[1] / "datasets" / "_lookalikes.py").write_text(text.rstrip() + "\n", "utf-8")


def alike(images: NDArray[np.float32], groups: list[str]) -> set[tuple[str, str]]:
    """Return the pairs of different groups of which two images are nearly equal.

    Args:
        images: N×D, each with mean 0.
        groups: One name per image.
    """
    names, number = np.unique(groups, return_inverse=True)
    energy = np.square(images).sum(1)
    pairs: set[tuple[str, str]] = set()
    for start in range(0, len(images), _CHUNK):
        part = slice(start, start + _CHUNK)
        squared = energy[part, None] + energy - 2 * images[part] @ images.T
        near = squared <= NEAR * np.maximum(energy[part, None], energy)
        near &= number[part, None] < number
        pairs |= {
            (str(names[number[i + start]]), str(names[number[j]])) for i, j in zip(*np.nonzero(near), strict=True)
        }
    return pairs


def _read(domains: list[str], base_of: Callable[[str], str]) -> tuple[NDArray[np.float32], list[str]]:
    """Read all images of domains in grey about their means, and the groups of their ids before anything is joined."""
    ids: list[str] = []
    images: list[NDArray[np.float32]] = []
    for name in domains:
        prepared = make_domain(name).images(RESOLUTION)
        flat = prepared.pixels.mean(1, dtype=np.float32).reshape(len(prepared.ids), -1)
        images.append(flat - flat.mean(1, keepdims=True))
        ids += prepared.ids
    return np.concatenate(images), [base_of(name) for name in ids]


def _classes(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return what hangs together by pairs, each class and all of them in order."""
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        while parent.setdefault(group, group) != group:
            group = parent[group]
        return group

    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    classes: dict[str, list[str]] = {}
    for group in sorted(parent):
        classes.setdefault(root(group), []).append(group)
    return sorted(classes.values())


def _table(name: str, what: str, pairs: set[tuple[str, str]]) -> str:
    """Write a tuple of classes; a long class has several lines that begin with the same group."""
    lines: list[str] = []
    for first, *rest in _classes(pairs):
        line = first
        for other in rest:
            if len(line) + len(other) >= _WIDTH:
                lines.append(line)
                line = first
            line += f" {other}"
        lines.append(line)
    return f"\n{name} = (\n" + "".join(f'    "{line}",\n' for line in lines) + f')\n"""{what}"""\n\n'


if __name__ == "__main__":
    main()
