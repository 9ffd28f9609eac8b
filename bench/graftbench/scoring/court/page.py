"""The results of the court as Markdown tables and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graftbench.metrics.catalogue import EVERY_METRIC, METRICS
from graftbench.plotting import NO_METADATA, style
from graftbench.scoring.court.failures import FAILURES, truth_of
from graftbench.scoring.court.values import role_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from graftbench.scoring.court.trial import CourtResults

NEEDED = 0.8
"""Share of draws in which a dose must be told."""

MUCH_PRAISE = 0.5
"""Share of draws beyond which a score is said to reward a failure."""

DOSE_LIMIT = 0.25
"""A score passes a failure that it tells from a dose of a quarter at least."""

_JUDGED_AT = 600


def judged_at(results: CourtResults) -> int:
    """Return the number of images at which verdicts are given: the largest up to 600 of which all doses were tried."""
    tried = [n for n in results.clean if n <= _JUDGED_AT and _is_whole(results, n)]
    return max(tried, default=max(results.clean, default=0))


def _is_whole(results: CourtResults, n: int) -> bool:
    keys = {key.split("/", 1)[1] for key in results.doses}
    return keys <= {key.split("/", 1)[1] for key in results.doses if key.startswith(f"{n}/")}


def doses_of(results: CourtResults) -> list[float]:
    """Return the doses that were tried, ascending."""
    return sorted({float(key.rsplit("/", 1)[1]) for key in results.doses})


def smallest_dose(results: CourtResults, metric: str, failure: str, n: int) -> str:
    """Return the smallest dose from which on a score tells every dose, `–` if it tells none, `rewards` if it errs."""
    readings = [(dose, results.doses.get(f"{n}/{failure}/{dose:g}", {}).get(metric)) for dose in doses_of(results)]
    if any(reading is None for _, reading in readings):
        return "?"
    told = ""
    for dose, reading in reversed(readings):
        assert reading is not None
        if reading[2] > MUCH_PRAISE:
            return "rewards"
        if reading[1] < NEEDED:
            break
        told = f"{dose:g}"
    praised = any(reading is not None and reading[2] > MUCH_PRAISE for _, reading in readings)
    return "rewards" if praised else told or "–"


def worst_bias(results: CourtResults, metric: str, n: int) -> tuple[float, str] | None:
    """Return the largest difference between a share's mean and the truth, and where; None for what is no share."""
    biases = []
    for failure in FAILURES:
        for dose in doses_of(results):
            reading = results.doses.get(f"{n}/{failure}/{dose:g}", {}).get(metric)
            truth = truth_of(metric, failure, dose, results.kept_shares)
            if reading is not None and truth is not None:
                biases.append((reading[0] - truth, f"{failure}, {dose:g}"))
    return max(biases, key=lambda each: abs(each[0])) if biases else None


def tables(results: CourtResults) -> str:
    """Return all tables as Markdown."""
    parts = (_verdicts, _sanity, _doses, _ranks, _reasons)
    return "\n\n".join(filter(None, (part(results) for part in parts)))


def verdict_rows(results: CourtResults) -> list[list[str]]:
    """Return the heading and a row per metric: checks passed, smallest doses, bias, rank agreement."""
    n = judged_at(results)
    rows = [["score", "checks", *FAILURES, "bias", "τ pairs", "τ factor KL"]]
    for metric in results.metrics:
        checks = [found[metric] for found in results.sanity.values() if metric in found]
        passed = f"{sum(not why for why in checks)} of {len(checks)}" if checks else ""
        bias = worst_bias(results, metric, n)
        taus = [results.ranks.get(truth, {}).get(metric) for truth in ("variant_pairs", "factor_kl")]
        doses = [smallest_dose(results, metric, failure, n) for failure in FAILURES]
        words = "" if bias is None else f"{bias[0]:+.2f} ({bias[1]})".replace("-", "−")
        rows.append([_label(metric), passed, *doses, words, *map(_tau, taus)])
    return rows


def _verdicts(results: CourtResults) -> str:
    n = judged_at(results)
    head = (
        f"Checks: sanity checks passed, of those that say something of the score. Failures: the smallest dose (share "
        f"of {n} images) from which on every dose is told in {100 * NEEDED:.0f} % of draws; – where none is, `rewards` "
        "where a dose reads as better in more than half of the draws. Bias: the largest difference of a share to the "
        "truth. τ: Kendall's, with the pairs that fitted generators cover and with their factor KL (95 % interval)."
    )
    return f"## Verdicts\n\n{head}\n\n{_markdown(verdict_rows(results))}"


def _sanity(results: CourtResults) -> str:
    tried = [name for name in results.metrics if any(name in found for found in results.sanity.values())]
    rows = [["check", *map(_label, tried)]]
    for check, found in results.sanity.items():
        rows.append([check, *("" if name not in found else "✗" if found[name] else "✓" for name in tried)])
    return f"## Sanity checks\n\n{_markdown(rows)}"


def _doses(results: CourtResults) -> str:
    sizes = sorted(n for n in results.clean if _is_whole(results, n))
    parts = []
    for failure, what in FAILURES.items():
        rows = [["score", *(f"{n:,} images" for n in sizes)]]
        rows += [[_label(m), *(smallest_dose(results, m, failure, n) for n in sizes)] for m in results.metrics]
        parts.append(f"### {failure[0].upper()}{failure[1:]}\n\n{what[0].upper()}{what[1:]}.\n\n{_markdown(rows)}")
    return "## Smallest doses told\n\n" + "\n\n".join(parts) if sizes else ""


def _ranks(results: CourtResults) -> str:
    if not any(results.ranks.values()):
        return ""
    names = list(dict.fromkeys(name for found in results.ranks.values() for name in found))
    rows = [["score", *(f"τ with {EVERY_METRIC[truth].label}" for truth in results.ranks)]]
    rows += [[_label(name), *(_tau(found.get(name)) for found in results.ranks.values())] for name in names]
    cells, tasks = next((each[3], each[4]) for found in results.ranks.values() for each in found.values())
    return f"## Ranks of fitted generators\n\n{cells} cells of {tasks} tasks.\n\n{_markdown(rows)}"


def _reasons(results: CourtResults) -> str:
    rows = [["check", "score", "why it fails"]]
    rows += [
        [check, _label(name), why.replace("|", "\\|")]
        for check, found in results.sanity.items()
        for name in results.metrics
        if (why := found.get(name))
    ]
    return f"## Why checks fail\n\n{_markdown(rows)}"


def _tau(found: tuple[float, float, float, int, int] | None) -> str:
    return "" if found is None else f"{found[0]:z.2f} ({found[1]:z.2f} to {found[2]:z.2f})".replace("-", "−")


def _label(metric: str) -> str:
    return EVERY_METRIC[metric].label.removesuffix("×10³").removesuffix(" %")


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines: Iterable[Sequence[str]] = (head, ["---"] * len(head), *body)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(results: CourtResults, out: Path) -> list[Path]:
    """Draw the figures: `told.svg`, which doses are told, and `shares.svg`, what shares read against the truth."""
    return [_draw_told(results, out / "told.svg"), _draw_shares(results, out / "shares.svg")]


def _draw_told(results: CourtResults, path: Path) -> Path:
    """Draw the share of draws in which each dose is told as worse (blue) or better (red), a panel per failure."""
    n, doses = judged_at(results), doses_of(results)
    with style():
        from matplotlib import pyplot as plt  # noqa: PLC0415 - after the style is set

        figure, panels = plt.subplots(1, len(FAILURES), figsize=(11, 0.24 * len(results.metrics) + 1.6), sharey=True)
        image = None
        for axes, failure in zip(panels, FAILURES, strict=True):
            shares = np.full((len(results.metrics), len(doses)), np.nan)
            for column, dose in enumerate(doses):
                found = results.doses.get(f"{n}/{failure}/{dose:g}", {})
                for row, metric in enumerate(results.metrics):
                    if reading := found.get(metric):
                        shares[row, column] = reading[1] - reading[2]
            image = axes.imshow(shares, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
            axes.grid(visible=False)
            axes.set_title(failure, fontsize=9)
            axes.set_xticks(range(len(doses)), [f"{100 * dose:g}" for dose in doses], fontsize=7)
        panels[0].set_yticks(range(len(results.metrics)), [_label(name) for name in results.metrics], fontsize=8)
        figure.supxlabel(f"% of {n} images that have the failure", fontsize=9)
        figure.tight_layout(rect=(0, 0, 0.92, 1))
        if image is not None:
            bar = figure.colorbar(image, cax=figure.add_axes((0.935, 0.2, 0.012, 0.6)), ticks=[-1, 0, 1])
            bar.ax.set_yticklabels(["read as\nbetter", "not told", "told as\nworse"], fontsize=7)
        figure.savefig(path, metadata=NO_METADATA["svg"])
        plt.close(figure)
    return path


def _draw_shares(results: CourtResults, path: Path) -> Path:
    """Draw mean scores of realism (above) and variety (below) against the dose, and the truth as a dashed line."""
    n, doses = judged_at(results), doses_of(results)
    with style():
        from matplotlib import pyplot as plt  # noqa: PLC0415 - after the style is set

        figure, panels = plt.subplots(2, len(FAILURES), figsize=(11, 4.6), sharex=True, sharey=True)
        for row, role in zip(panels, ("fidelity", "diversity"), strict=True):
            names = [name for name in results.metrics if role_of(name) == role]
            for axes, failure in zip(row, FAILURES, strict=True):
                for name, marker in zip(names, "osD^v", strict=False):
                    clean = results.clean.get(n, {}).get(name) or [np.nan]
                    readings = [results.doses.get(f"{n}/{failure}/{dose:g}", {}).get(name) for dose in doses]
                    read = [np.nan if reading is None else reading[0] for reading in readings]
                    label = METRICS[name].label
                    axes.plot([0, *doses], [np.mean(clean), *read], marker=marker, markersize=3.5, label=label)
                truth = (
                    [truth_of(names[0], failure, dose, results.kept_shares) for dose in (0, *doses)] if names else []
                )
                axes.plot([0, *doses][: len(truth)], truth, "--", color="black", linewidth=1, label="truth")
                axes.set_title(failure if role == "fidelity" else "", fontsize=9)
            row[0].set_ylabel(role)
            row[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=7, frameon=False)
        figure.supxlabel(f"share of {n} images that have the failure", fontsize=9)
        figure.tight_layout(rect=(0, 0, 0.99, 1))
        figure.savefig(path, metadata=NO_METADATA["svg"])
        plt.close(figure)
    return path
