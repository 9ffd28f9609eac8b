"""Write the tables of docs/statistics.md: how often the one paired test is wrong, and what it finds.

    python docs/paired_tests.py

Takes a minute. The noise is that of the committed records, whose methods differ in nothing but chance once each is
centred: what is found between two of them is a false alarm.
"""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from page_parts import fill
from scipy.special import stdtr

import graftbench
from graftbench.comparison.multiplicity import holm
from graftbench.comparison.paired import LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOCS = Path(__file__).parent
PAGE = DOCS / "statistics.md"
SEEDS = (2, 3, 5, 10)
DRAWS = 4000
FINE_TUNED, FROM_SCRATCH = ("finetune", "finetune-diffaugment", "freezed"), ("dcgan", "diffaugment", "vae")
NOISES = {
    "normal": "normal, each cell's own spread",
    "cells": "recorded residuals, cell by cell",
    "seeds": "recorded residuals, a seed's at all numbers of images together",
}

Logs = dict[str, "NDArray[np.float64]"]
"""Method -> centred logarithms of a score, shape (seeds, budgets), with the variance that they estimate."""


def recorded(run: str, metric: str = "kid") -> Logs:
    """Return the noise of each method of a committed run that competes."""
    cells = graftbench.load(DOCS / run)
    cells = cells[(cells["family"] != "reference") & (cells[metric] > 0)]
    noise = {}
    for method, of_method in cells.groupby("method"):
        table = of_method.pivot_table(index="seed", columns="data_budget", values=metric)
        logs = np.log(table.to_numpy())
        noise[str(method)] = (logs - logs.mean(axis=0)) * math.sqrt(len(logs) / (len(logs) - 1))
    return noise


def independent() -> Logs:
    """Return noise that is truly normal and independent, of which there are as few values as are recorded.

    What residuals of it give beyond the level is due to drawing five values again and again, and not to real noise.
    """
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 5, 3))
    return {str(i): (each - each.mean(axis=0)) * math.sqrt(5 / 4) for i, each in enumerate(values)}


def drawn(logs: NDArray[np.float64], seeds: int, noise: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the noise of a method's runs, shape (DRAWS, seeds, budgets)."""
    n, budgets = logs.shape
    if noise == "normal":
        return rng.standard_normal((DRAWS, seeds, budgets)) * np.sqrt((logs**2).mean(axis=0))
    if noise == "seeds":
        return logs[rng.integers(0, n, (DRAWS, seeds))]
    return logs[rng.integers(0, n, (DRAWS, seeds, budgets)), np.arange(budgets)]


def p_of(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two-sided p of the paired t test of each row, as `PairedDifferences.p` has it; 1 where all are 0."""
    n = differences.shape[1]
    mean, sd = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    t = np.divide(np.abs(mean), sd / math.sqrt(n), out=np.zeros_like(mean), where=sd > 0)
    p = np.minimum(1.0, 2 * stdtr(n - 1, -t))
    same = np.ptp(differences, axis=1) <= 1e-9 * np.abs(differences).max(axis=1)
    return np.where(same, np.where(mean == 0, 1.0, 0.5 ** (n - 1)), p)


def sign_flips_of(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two-sided p of the exact sign-flip test of each row of at most 10 differences."""
    n = differences.shape[1]
    signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    p = [(np.abs(signs @ row) >= abs(row.sum()) - 1e-12 * np.abs(row).sum()).mean() for row in differences]
    return np.array(p)


def false_alarms(logs: Logs, seeds: int, noise: str, *, pooled: bool, test: str = "student") -> float:
    """Return in % how often two methods that differ in nothing are told apart, over all pairs and data budgets."""
    rng = np.random.default_rng([seeds, len(noise), pooled])
    shares = []
    names = list(logs)
    pairs = combinations(names, 2) if len(names) < 10 else zip(names[::2], names[1::2], strict=True)
    for a, b in pairs:
        differences = drawn(logs[a], seeds, noise, rng) - drawn(logs[b], seeds, noise, rng)
        budgets = [differences.reshape(DRAWS, -1)] if pooled else list(np.moveaxis(differences, 2, 0))
        p = [sign_flips_of(each[:200]) if test == "sign-flip" else p_of(each) for each in budgets]
        shares.append(np.mean([each <= LEVEL for each in p]))
    return 100 * float(np.mean(shares))


def any_alarm(logs: Logs, seeds: int, noise: str) -> float:
    """Return in % how often any of the other methods is told from the first at one data budget, after Holm."""
    rng = np.random.default_rng([seeds, len(noise), 7])
    base, *others = (drawn(each, seeds, noise, rng) for each in logs.values())
    p = np.array([[p_of((each - base)[..., i]) for each in others] for i in range(base.shape[2])])
    return 100 * float(np.mean([holm(row).min() <= LEVEL for budget in p for row in budget.T]))


def least_found(logs: Logs, methods: tuple[str, ...], seeds: int, *, pooled: bool) -> float:
    """Return the least change in % for the worse that is found in 80 % of cases, one of these against its equal."""
    rng = np.random.default_rng([seeds, pooled, 9])
    differences = [drawn(logs[m], seeds, "normal", rng) - drawn(logs[m], seeds, "normal", rng) for m in methods]
    rows = [d.reshape(DRAWS, -1) if pooled else d[..., -1] for d in differences]  # else at most images
    low, high = 0.0, 8.0
    for _ in range(20):
        middle = (low + high) / 2
        share = np.mean([(p_of(row + middle) <= LEVEL) & (row.mean(axis=1) + middle > 0) for row in rows])
        low, high = (low, middle) if share >= 0.8 else (middle, high)
    return 100 * math.expm1(high)


def level_table() -> list[str]:
    """Return the rows of the table of false alarms."""
    heads = [f"{seeds} seeds" for seeds in SEEDS]
    lines = [f"| test | noise | {' | '.join(heads)} |", f"| --- | --- |{' ---: |' * len(SEEDS)}"]
    for metric in ("kid", "fid"):
        logs = recorded("results", metric)
        for noise, words in NOISES.items():
            for pooled in (False, True):
                name = f"{metric.upper()} of docs/results, {'all' if pooled else 'one number of'} images"
                shares = [f"{false_alarms(logs, seeds, noise, pooled=pooled):.1f}" for seeds in SEEDS]
                lines.append(f"| {name} | {words} | {' | '.join(shares)} |")
    for noise in ("cells", "seeds"):
        for pooled in (False, True):
            name = f"control: truly independent normal noise, {'all' if pooled else 'one number of'} images"
            shares = [f"{false_alarms(independent(), seeds, noise, pooled=pooled):.1f}" for seeds in SEEDS]
            lines.append(f"| {name} | five values a cell, drawn as above: {NOISES[noise]} | {' | '.join(shares)} |")
    logs = recorded("results")
    for noise, words in NOISES.items():
        shares = [f"{any_alarm(logs, seeds, noise):.1f}" for seeds in SEEDS]
        lines.append(f"| any of five methods after Holm, one number of images | {words} | {' | '.join(shares)} |")
    shares = [f"{false_alarms(logs, seeds, 'cells', pooled=False, test='sign-flip'):.1f}" for seeds in SEEDS]
    return [*lines, f"| sign flips, one number of images | {NOISES['cells']} | {' | '.join(shares)} |"]


def power_table() -> list[str]:
    """Return the rows of the table of what is found."""
    lines = [
        f"| score | methods | images | {' | '.join(f'{seeds} seeds' for seeds in SEEDS)} |",
        f"| --- | --- | --- |{' ---: |' * len(SEEDS)}",
    ]
    for metric in ("kid", "fid"):
        logs = recorded("results", metric)
        for words, methods in (("fine-tuned", FINE_TUNED), ("from scratch and VAE", FROM_SCRATCH)):
            for pooled in (False, True):
                least = [least_found(logs, methods, seeds, pooled=pooled) for seeds in SEEDS]
                numbers = [f"{value:.0f} %" if value < 999 else "> 999 %" for value in least]
                images = "10, 100 and 800" if pooled else "800"
                lines.append(f"| {metric.upper()} | {words} | {images} | {' | '.join(numbers)} |")
    return lines


def main() -> None:
    """Write both tables between their markers."""
    fill(PAGE, {"level": "\n".join(level_table()), "power": "\n".join(power_table())})


if __name__ == "__main__":
    main()
