"""Base against new: what got worse by more than noise and by more than anybody minds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError
from graftbench.regression import baselines
from graftbench.regression.judging import Judge
from graftbench.regression.matching import match
from graftbench.regression.options import DEFAULT_MEASURES, VERDICT_ORDER, GateOptions
from graftbench.regression.results import Comparison, FailedCell, GateRow, Verdict
from graftbench.regression.sides import read_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from graftbench.records.record import Record
    from graftbench.regression.matching import Pair
    from graftbench.regression.measures import Measure

__all__ = ["Comparison", "FailedCell", "GateOptions", "GateRow", "Verdict", "compare", "compare_runs"]


def compare_runs(
    base: str | Path,
    new: str | Path,
    *,
    folder: Path = baselines.FOLDER,
    selection: str = "",
    **options: Any,  # noqa: ANN401 - the fields of GateOptions, checked there
) -> Comparison:
    """Read two runs and judge the new one.

    Args:
        base: A run folder, a folder of repeats, a records.jsonl, or a baseline's name.
        new: Likewise.
        folder: Where baselines lie.
        selection: Which cells of both, as in `graftbench.records.selection`; empty for all.
        options: Fields of `GateOptions`.

    Raises:
        GraftbenchError: A side cannot be read, or see `compare`.
    """
    sides = [read_side(str(run), folder=folder, selection=selection) for run in (base, new)]
    return compare(
        sides[0].repeats,
        sides[1].repeats,
        GateOptions(**options),
        names=(sides[0].name, sides[1].name),
        notes=[*sides[0].warnings, *sides[1].warnings],
    )


def compare(
    base: Sequence[Sequence[Record]],
    new: Sequence[Sequence[Record]],
    options: GateOptions | None = None,
    *,
    names: tuple[str, str] = ("base", "new"),
    notes: Iterable[str] = (),
) -> Comparison:
    """Judge each measure of each method over the cells that both runs have.

    A regression is a change for the worse that is larger than the measure's threshold *and* that noise explains with a
    chance below the level, corrected by Holm over all rows of quality, and over all rows of cost. What is counted
    (FLOPs, parameters) has no noise: there the threshold decides alone.

    Args:
        base: Records of each repeat of the base.
        new: Likewise of the new run; the i-th repeats of both are taken to have run side by side.
        options: What counts as a regression.
        names: What the runs are called.
        notes: What a reader should know beforehand.

    Raises:
        GraftbenchError: Nothing to compare, other protocols or other images (see `matching.match`); no cell ended well
            on both sides and none is newly failing or mended; a measure that was asked for is nowhere measured.
    """
    options = options or GateOptions()
    matched = match(base, new)
    if not (matched.pairs or matched.failing or matched.mended or matched.vanished):
        raise GraftbenchError("No cell ended well, in the base or in the new run: there is nothing to compare.")
    judge = Judge(options, matched.pairs, matched.base)
    rows = judge.rows()
    if matched.pairs:
        if judge.unlooked and not judge.looked_at:
            advice = " A level that needs neither source nor floor is a KID×10³ (--until 485)."
            raise GraftbenchError(
                f"No fit can be held to a quality: {'; '.join(sorted(judge.unlooked))}."
                f"{advice if judge.lacks_levels else ''}"
            )
        _check_measured(rows, options.measures, len(matched.pairs))
    return Comparison(
        base=names[0],
        new=names[1],
        rows=sorted(rows, key=lambda row: VERDICT_ORDER.get(row.verdict, 3)),
        failing=[_failure(pair) for pair in matched.failing],
        vanished=[*matched.vanished, *judge.vanished],
        appeared=list(matched.appeared),
        mended=[str(pair) for pair in matched.mended],
        still_failing=[_failure(pair) for pair in matched.still_failing],
        notes=[*notes, *matched.notes, *judge.notes],
        level=options.level,
        test=options.test,
        pairs=len(matched.pairs),
    )


def _check_measured(rows: Sequence[GateRow], measures: Sequence[Measure], pairs: int) -> None:
    """Refuse to let pass what nobody has measured."""
    measured = {row.measure for row in rows}
    by_default = tuple(measures) == DEFAULT_MEASURES  # of those a run has what it has
    missing = [measure.name for measure in measures if measure.name not in measured and not by_default]
    if missing or not rows:
        cells = "The one pair of cells has" if pairs == 1 else f"The {pairs} pairs of cells have"
        raise GraftbenchError(
            f"{cells} no {' and no '.join(missing) or 'measure of the default ones'} on both sides, so nothing says "
            f"that it did not get worse. Measured: {', '.join(sorted(measured)) or 'nothing'}."
        )


def _failure(pair: Pair) -> FailedCell:
    failed = next(record for record in pair.new if record.status != "ok")
    return FailedCell(cell=str(pair), status=str(failed.status), reason=failed.reason)
