"""Runs with rows that others made: scores are gated as any other, costs that nobody measured here are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.records.run import Run
from graftbench.regression import baselines
from graftbench.regression.gate import compare
from graftbench.regression.history.history import entry_of
from graftbench.regression.measures import MEASURES
from graftbench.regression.options import GateOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graftbench.records.record import Record
    from graftbench.regression.results import Comparison

FITTED = {"fit_seconds": 10.0, "peak_memory_mib": 500.0, "parameters_total": 7}


def told(make: Any, seconds: float, kid: float = 0.1, seeds: int = 5, **fields: Any) -> list[Record]:
    """Images that were handed in, a seed each, with declared seconds and parameters."""
    cost = {"fit_seconds": seconds, "parameters_total": round(seconds), "images_seen": 0, "device": "A100"}
    cost["declared"] = ["device", "fit_seconds", "parameters_total"]
    made = [make.record("ours", seed, scores={"kid": kid + seed / 100}, cost=cost, **fields) for seed in range(seeds)]
    return [submitted(record, f"{kid}") for record in made]


def submitted(record: Record, images: str = "") -> Record:
    """The record as one of images that were handed in: other pixels are another cell."""
    files = {"samples": f"{images}{record.cell.seed}"}
    cell = msgspec.structs.replace(record.cell, variant_of="samples", files=files, parameters={})
    return msgspec.structs.replace(record, cell=cell, id=cell.id, origin="submitted")


def fitted(make: Any, kid: float = 0.1, seeds: int = 5) -> list[Record]:
    """The same method as the suite fits it."""
    return [
        make.record("ours", seed, scores={"kid": kid + seed / 100}, cost=FITTED, parameters={"lr": 0.1})
        for seed in range(seeds)
    ]


def judged(base: Sequence[Record], new: Sequence[Record], *names: str) -> Comparison:
    """By the measures of these names; KID, seconds and parameters where none is named."""
    names = names or ("kid", "fit_seconds", "parameters_total")
    return compare([base], [new], GateOptions(measures=tuple(MEASURES[name] for name in names)))


def verdicts(found: Comparison) -> dict[str, str]:
    """Measure -> verdict."""
    return {row.measure: row.verdict for row in found.rows}


def test_declared_costs_are_left_out_with_a_note(make: Any) -> None:
    """Ten times the declared hours and parameters are no regression; a score that got worse is one."""
    found = judged(told(make, 100), told(make, 1000, kid=0.3))
    assert verdicts(found) == {
        "kid": "regression",
        "fit_seconds": "not compared",
        "parameters_total": "not compared",
    }
    assert {row.reason for row in found.of("not compared")} == {"declared or made elsewhere, not measured"}
    (note,) = [note for note in found.notes if "declared" in note]
    assert note.endswith("are left out: ours: fit; ours: parameters.")


def test_a_declared_seed_leaves_the_measured_ones_compared(make: Any) -> None:
    """Of five seeds one is declared on one side: four pairs."""
    base = [make.record("a", seed, cost=FITTED) for seed in range(5)]
    slow = [make.record("a", seed, cost=FITTED | {"fit_seconds": 20.0 + seed / 9}) for seed in range(4)]
    new = [*slow, make.record("a", 4, cost=FITTED | {"fit_seconds": 1.0, "declared": ["fit_seconds"]})]
    (row,) = judged(base, new, "fit_seconds").rows
    assert (row.verdict, row.pairs) == ("regression", 4)


def test_submitted_on_one_side_and_fitted_on_the_other(make: Any) -> None:
    """Scores are compared by place, costs are not, and one sentence says so in place of the parameters."""
    for base, new, where in (
        (fitted(make), told(make, 5, kid=0.3), "new run"),
        (told(make, 5), fitted(make, kid=0.3), "base"),
    ):
        found = judged(base, new)
        assert verdicts(found)["kid"] == "regression"
        assert {verdicts(found)[name] for name in ("fit_seconds", "parameters_total")} == {"not compared"}
        assert f"ours was made elsewhere in the {where}: scores are compared, costs are not." in found.notes
        assert not [note for note in found.notes if "Parameters" in note or "Source models" in note]


def test_what_loading_took_is_no_cost_of_a_fit(make: Any) -> None:
    """A checkpoint's measured costs beside those of a fit: not compared; beside another loading: compared."""
    loaded = [submitted(make.record("ours", seed, cost=FITTED | {"fit_seconds": 0.2})) for seed in range(5)]
    assert verdicts(judged(fitted(make), loaded, "peak_memory_mib")) == {"peak_memory_mib": "not compared"}
    assert verdicts(judged(loaded, loaded, "peak_memory_mib")) == {"peak_memory_mib": "unchanged"}


def test_nothing_said_is_nothing_compared(make: Any) -> None:
    """A count of 0 of what others made is no number; without any cost the scores alone are judged."""
    silent = [submitted(make.record("ours", seed, scores={"kid": 0.1 + seed / 100}, cost={})) for seed in range(5)]
    found = compare([silent], [silent])
    assert "parameters_total" not in verdicts(judged(silent, silent, "kid"))
    assert MEASURES["parameters_total"].of(silent[0]) is None
    assert verdicts(found)["kid"] == "unchanged"


def test_a_baseline_keeps_who_made_it(make: Any, written: Callable[..., Path], tmp_path: Path) -> None:
    """Saved and read again, the cells are submitted ones and their costs declared."""
    baselines.save("b", written("run", told(make, 100)), tmp_path / "kept")
    _, records = baselines.load("b", tmp_path / "kept")
    assert {record.origin for record in records} == {"submitted"}
    assert verdicts(judged(records, told(make, 1000)))["fit_seconds"] == "not compared"


def test_a_history_has_no_declared_costs(make: Any) -> None:
    """A line keeps the scores, leaves the declared out and says so."""
    entry, notes = entry_of(Run(name="r", records=told(make, 100), folder=Path()))
    (series,) = entry.series.values()
    assert set(series) == {"kid"}
    assert "Costs that were declared and not measured are left out." in notes
