"""The look of the reports' figures, for figures of your own: colours, markers and text that go with them.

>>> from graftbench.plotting import looks, style
>>> looks(["finetune", "dcgan"])["dcgan"].marker
'v'

`budget_curves` draws quality against data budget with them: `docs/examples/paper_figure.py` is a paper's figure.
"""

from __future__ import annotations

import hashlib
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError, unknown
from graftbench.metrics.catalogue import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

INK, MUTED, GRID = "#1b1f24", "#5c6570", "#d5d9de"
LIGHT_PAPER, DARK_PAPER = "#ffffff", "#15181c"

PALETTE = ("#2e7579", "#800953", "#a245d9", "#2632ab", "#8b85b4", "#a74639", "#2ca470", "#b5820c")
"""Colours of methods on white. Contrast with the paper at least 3:1; every two at least 15 apart in OKLab (×100) for
normal sight, and at least 9 for full protanopia, deuteranopia and tritanopia (Machado et al. 2009). A test says so."""
DARK_PALETTE = ("#77b39e", "#de297b", "#d080e2", "#c1c6f8", "#6d65fe", "#f67d51", "#00ef9f", "#f3c530")
"""Colours of methods on dark paper, of like hue, under the same rules."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES = ("-", "--", "-.", ":")
_LAPS = {8: 1, 24: 4, 64: 8, 256: 32}
"""Methods at most -> laps of the palette that they share."""

_RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # matplotlib ships it, so it is everywhere the same
    "text.parse_math": False,  # a method may be called `a_b$`
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
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

NO_METADATA: dict[str, dict[str, None]] = {
    "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
    "png": {"Software": None},
    "pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
}
"""Format -> `savefig`'s metadata for files without dates or program names, equal byte for byte at every drawing."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one method, the same in every figure of a run.

    Attributes:
        index: Position in the palette.
        color: Colour on white paper, hexadecimal.
        marker: matplotlib marker; tells methods apart without colour.
        dashes: matplotlib line style; beyond eight methods colours come again with other markers and dashes.
    """

    index: int
    color: str
    marker: str
    dashes: str


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return label -> look. Give it all methods of a run but its reference rows to have the colours of its report.

    A method's name hashes to a colour and a lap; where that is taken it gets the next free one.

    Up to eight methods differ in colour, up to 64 in colour and marker, up to 256 in these and dashes. A lap is a look
    of each colour. There are more than are needed, so that hashes seldom meet: a method that comes or goes moves only
    those that had to make room, unless the number of laps changes with it.
    """
    names = sorted(set(labels))
    # Beyond the last of _LAPS looks come again anyway; half of the slots stay free, so that one is soon found.
    laps = next((laps for most, laps in _LAPS.items() if len(names) <= most), -(-2 * len(names) // len(PALETTE)))
    taken: dict[tuple[int, int], str] = {}
    for name in names:
        color, lap = _number(name) % len(PALETTE), _number(name) // len(PALETTE)
        wishes = (((color + i) % len(PALETTE), (lap + j) % laps) for i in range(len(PALETTE)) for j in range(laps))
        taken[next(slot for slot in wishes if slot not in taken)] = name
    by_name = {name: slot for slot, name in taken.items()}
    return {name: _look(*by_name[name]) for name in names}


def plain_look(label: str) -> Look:
    """Return the look that a label's hash gives it, whoever else has it: for methods that need not be told apart."""
    return _look(_number(label) % len(PALETTE), 0)


def _number(name: str) -> int:
    """Return 32 bits that depend on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def _look(index: int, lap: int) -> Look:
    # Three is prime to eight, so eight laps have eight markers; a marker that comes again has other dashes.
    marker = MARKERS[(index + 3 * lap) % len(MARKERS)]
    return Look(index, PALETTE[index], marker, DASHES[(lap + lap // len(MARKERS)) % len(DASHES)])


@contextmanager
def style(*, text_as_paths: bool = True, size: float = 9.0) -> Iterator[None]:
    """Draw and save inside this: matplotlib's own defaults, then ours, whatever the user's matplotlibrc says.

    Args:
        text_as_paths: SVG text as outlines, the same on every machine; False keeps it as text, that can be searched.
        size: Of the text, in points; titles have one more.
    """
    import matplotlib as mpl  # noqa: PLC0415 - a run without figures need not wait for it

    with mpl.rc_context(), warnings.catch_warnings():
        # A name may be an emoji: the font draws a box in its place, and the tables have the name.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        mpl.rcdefaults()
        settings: dict[Any, Any] = _RC | {"svg.fonttype": "path" if text_as_paths else "none"}
        settings |= {"font.size": size, "axes.titlesize": size + 1}
        mpl.rcParams.update(settings)
        yield


def budget_curves(axes: Axes, cells: pd.DataFrame, methods: Sequence[str] = (), metric: str = "kid") -> None:
    """Draw the mean over seeds against the number of training images, a line a method, 95 % intervals as bands.

    The intervals are Student's.

    Cells without a value are left out, and so are bands of one seed. Colours are those of the report of all methods
    in `cells` but reference rows.

    Args:
        axes: Drawn into; made inside `style()`.
        cells: As `graftbench.load` gives them, of one task and one protocol.
        methods: Which; all but reference rows if empty.
        metric: A score's name, as in `graftbench ls metrics`.

    Raises:
        GraftbenchError: Several tasks or protocols, an unknown metric or method (naming the nearest).
    """
    from graftbench.comparison.stats import mean, student_interval  # noqa: PLC0415 - scipy is for those who draw

    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    for column in ("task", "protocol", "compute_budget"):
        column_values = sorted(set(cells[column]))
        if len(column_values) != 1:
            raise GraftbenchError(f"Curves are of one {column}; found {', '.join(column_values) or 'none'}.")
    looks_of = looks(cells.loc[cells["family"] != "reference", "method"])
    for method in methods or looks_of:
        if method not in looks_of:
            raise unknown("method", method, looks_of)
        rows = cells[(cells["method"] == method) & cells[metric].notna()]
        seeds = {
            budget: (METRICS[metric].scale * rows.loc[rows["data_budget"] == budget, metric]).tolist()
            for budget in sorted({int(budget) for budget in rows["data_budget"]})
        }
        bands = {budget: band for budget, values in seeds.items() if (band := student_interval(values)) is not None}
        look = looks_of[method]
        means = [mean(values) for values in seeds.values()]
        axes.plot(list(seeds), means, look.dashes, color=look.color, marker=look.marker, ms=4, label=method)
        low, high = [band.low for band in bands.values()], [band.high for band in bands.values()]
        axes.fill_between(list(bands), low, high, color=look.color, alpha=0.2, lw=0)
    budgets = sorted({int(budget) for budget in cells["data_budget"]})
    axes.set(xscale="log", xlabel="target training images", ylabel=METRICS[metric].heading)
    axes.set_xticks(budgets, [f"{budget:,}" for budget in budgets])
    axes.minorticks_off()
