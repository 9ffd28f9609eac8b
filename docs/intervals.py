"""Write the table of docs/metrics.md that says how often the intervals of the newer scores hold.

    python docs/intervals.py

Takes three minutes. Features are drawn from known distributions. What a score is on average at these numbers of images
is the mean over further draws, of which no intervals are taken; coverage is the share of the intervals that hold it.
The training images are the same in all draws.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from page_parts import fill

from graftbench.metrics import fld, rke, vendi
from graftbench.metrics.clipped import clipped_family
from graftbench.metrics.manifold import ball_scores
from graftbench.metrics.symmetric import symmetric_family

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from graftbench.metrics import Estimate

    Features = NDArray[np.float64]

PAGE = Path(__file__).with_name("metrics.md")
WIDTH, SIZES, REPEATS, TRUTHS, TRAIN = 16, (50, 200), 150, 450, 100
NAMES = {
    "clipped_density": "clipped density",
    "clipped_coverage": "clipped coverage",
    "symmetric_precision": "symmetric precision",
    "symmetric_recall": "symmetric recall",
    "vendi_2": "Vendi (order 2)",
    "vendi_inf": "Vendi (order ∞)",
    "rke": "RKE",
    "fld": "FLD",
}


def real(rng: np.random.Generator, n: int) -> Features:
    """Four clusters of unequal size, as a domain with kinds of images has."""
    return rng.standard_normal((n, WIDTH)) + 2.0 * np.eye(4, WIDTH)[rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])]


KINDS: dict[str, Callable[[np.random.Generator, int], Features]] = {
    "equal": real,
    "shifted": lambda rng, n: real(rng, n) + 0.5 * np.eye(1, WIDTH, WIDTH - 1),
    "shrunken": lambda rng, n: 0.85 * real(rng, n),
}


def estimates(x: Features, y: Features, train: Features, *, intervals: bool, seed: int) -> dict[str, Estimate]:
    """Return all scores of one pair of sets."""
    families = [clipped_family(), symmetric_family()]
    return ball_scores(x, y, families, splits=50 if intervals else 0, seed=seed) | {
        "vendi_2": vendi(x, order=2.0),
        "vendi_inf": vendi(x, order=math.inf),
        "rke": rke(x, real=y),
        "fld": fld(x, y, train),
    }


def coverages(kind: str, n: int) -> dict[str, tuple[float, float]]:
    """Return score -> its mean, and the share of intervals that hold it, of n images against n others."""
    rng = np.random.default_rng((list(KINDS).index(kind), n))
    train = real(rng, TRAIN)
    found: list[dict[str, Estimate]] = []
    values: list[list[float | None]] = []
    for repeat in range(REPEATS + TRUTHS):
        x, y, measured = KINDS[kind](rng, n), real(rng, n), repeat < REPEATS
        drawn = estimates(x, y, train, intervals=measured, seed=repeat)
        if measured:
            found.append(drawn)
        else:
            values.append([drawn[name].value for name in NAMES])
    means = dict(zip(NAMES, np.array(values, dtype=float).mean(axis=0).tolist(), strict=True))
    return {name: (mean, held([each[name] for each in found], mean)) for name, mean in means.items()}


def held(drawn: list[Estimate], mean: float) -> float:
    """Return the share of intervals that hold the mean."""
    bounds = [each.interval or (math.nan, math.nan) for each in drawn]
    return float(np.mean([low <= mean <= high for low, high in bounds]))


def main() -> None:
    """Write the table between its markers."""
    columns = [(kind, n) for n in SIZES for kind in KINDS]
    found = {column: coverages(*column) for column in columns}
    lines = [
        f"| score | {' | '.join(f'{kind}, {n}' for kind, n in columns)} |",
        "| --- |" + " --- |" * len(columns),
    ]
    for name, label in NAMES.items():
        cells = (f"{100 * found[column][name][1]:.1f} ({found[column][name][0]:.3g})" for column in columns)
        lines.append(f"| {label} | {' | '.join(cells)} |")
    fill(PAGE, {"intervals": "\n".join(lines)})


if __name__ == "__main__":
    main()
