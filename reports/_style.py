"""One look for all figures: colours that survive colour blindness, fixed fonts, files that repeat byte for byte."""

from __future__ import annotations

import hashlib
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1b1f24", "#5c6570", "#d5d9de"
DARK_INK, DARK_MUTED, DARK_GRID = "#e6e8eb", "#a3abb5", "#3a4048"
LIGHT_PAPER, DARK_PAPER = "#ffffff", "#15181c"

PALETTE = ("#2e7579", "#800953", "#a245d9", "#2632ab", "#8b85b4", "#a74639", "#2ca470", "#b5820c")
"""Colours of methods on white. Contrast with the paper at least 3:1; every two at least 15 apart in OKLab (×100) for
normal sight, and at least 9 for full protanopia, deuteranopia and tritanopia (Machado et al. 2009). A test says so."""
DARK_PALETTE = ("#77b39e", "#de297b", "#d080e2", "#c1c6f8", "#6d65fe", "#f67d51", "#00ef9f", "#f3c530")
"""The same on dark paper, of like hue, under the same rules."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES = ("-", "--", "-.", ":")

_VARIABLES = dict(
    zip(
        (*PALETTE, INK, MUTED, GRID),
        (*(f"var(--c{i})" for i in range(len(PALETTE))), "currentColor", "var(--muted)", "var(--grid)"),
        strict=True,
    )
)

_RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # matplotlib ships it, so it is everywhere the same
    "font.size": 9.0,
    "text.parse_math": False,  # a method may be called `a_b$`
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.hashsalt": "graftbench",  # element ids are hashes with this salt instead of random numbers
    "pdf.fonttype": 42,  # TrueType, embedded: what publishers ask for
    "pdf.compression": 6,
    "savefig.dpi": 160.0,
}


@dataclass(frozen=True)
class Look:
    """How one method is drawn, in every figure of a run.

    Attributes:
        index: Position in the palette.
        color: Colour on white paper, hexadecimal.
        marker: matplotlib marker; tells methods apart without colour.
        dashes: matplotlib line style; beyond eight methods colours come again with other dashes.
    """

    index: int
    color: str
    marker: str
    dashes: str


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Label -> look. A method asks for the colour that its name hashes to and takes the next free one.

    So a method keeps its colour in every figure of a run, and mostly from run to run.
    """
    taken: dict[int, str] = {}
    names = sorted(set(labels))
    for name in names:
        start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % len(PALETTE)
        lap = len(taken) // len(PALETTE) * len(PALETTE)
        slot = next(s for i in range(len(PALETTE)) if (s := lap + (start + i) % len(PALETTE)) not in taken)
        taken[slot] = name
    by_name = {name: slot for slot, name in taken.items()}
    return {name: _look(by_name[name]) for name in names}


def _look(slot: int) -> Look:
    index, lap = slot % len(PALETTE), slot // len(PALETTE)
    return Look(index, PALETTE[index], MARKERS[index], DASHES[lap % len(DASHES)])


@contextmanager
def style(*, text_as_paths: bool = True) -> Iterator[None]:
    """Draw and save inside this: matplotlib's own defaults, then ours, whatever the user's matplotlibrc says.

    Args:
        text_as_paths: SVG text as outlines, the same on every machine; False keeps it as text, for a page.
    """
    import matplotlib as mpl  # noqa: PLC0415 - a run without figures need not wait for it

    with mpl.rc_context():
        mpl.rcdefaults()
        settings: dict[Any, Any] = _RC | {"svg.fonttype": "path" if text_as_paths else "none"}
        mpl.rcParams.update(settings)
        yield


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write STEM.svg, STEM.png and STEM.pdf without dates or program names. Call it inside `style`."""
    metadata: dict[str, dict[str, None]] = {
        "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
        "png": {"Software": None},
        "pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
    }
    paths = []
    for suffix, fields in metadata.items():
        path = stem.with_suffix(f".{suffix}")
        figure.savefig(path, format=suffix, metadata=fields, facecolor=LIGHT_PAPER)
        paths.append(path)
    return paths


def inline_svg(figure: Figure, prefix: str, label: str) -> str:
    """The figure as an <svg> element for a page: no fixed size, colours as CSS variables, ids unique by `prefix`.

    Args:
        figure: Drawn inside `style(text_as_paths=False)`.
        prefix: Letters, digits and hyphens; each figure of a page has its own.
        label: What a screen reader says in its place; escaped here.
    """
    from markupsafe import escape  # noqa: PLC0415 - only the page needs it

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    width, height = (72 * side for side in figure.get_size_inches())
    head = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width:g} {height:g}">'
    return re.sub(r"<svg\b[^>]*>", lambda _: head, svg, count=1).strip()
