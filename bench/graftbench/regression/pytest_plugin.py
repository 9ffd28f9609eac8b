"""A pytest plugin: a project's own tests say `assert_no_regression("finetune", task=..., budget=25)`.

pytest imports this file at every start, so it imports nothing but pytest's names; what compares runs (numpy, scipy,
never torch) is imported by the first assertion. There is no `assert` here to be rewritten (PYTEST_DONT_REWRITE).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.records.record import Record
    from graftbench.regression.gate import Comparison, GateRow
    from graftbench.regression.sides import Side

MOST_CELLS = 20
"""Cells that a message names."""

_SIDES = {
    "base": "graftbench: what is compared with: a run folder, a folder of repeats, a records.jsonl, a baseline's name",
    "new": "graftbench: what is judged, likewise",
    "baselines": "graftbench: folder of the named baselines",
}


class RegressionWarning(UserWarning):
    """Something may be worse, and there are too few pairs of cells to say so."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--graftbench-base`, `--graftbench-new`, `--graftbench-baselines`, and settings of those names."""
    group = parser.getgroup("graftbench", "regressions of generators")
    for name, text in _SIDES.items():
        group.addoption(f"--graftbench-{name}", metavar="PATH" if name == "baselines" else "RUN", help=text)
        parser.addini(f"graftbench_{name}", text, type="string", default="")


def _setting(config: pytest.Config, name: str) -> str:
    """Return the option, else the setting; empty for neither. Paths in the settings begin at the project's root."""
    option = config.getoption(f"--graftbench-{name}")
    if option:
        return str(option)
    value = str(config.getini(f"graftbench_{name}"))
    path = config.rootpath / value
    return str(path) if value and path.exists() else value


@pytest.fixture(scope="session")
def assert_no_regression(request: pytest.FixtureRequest) -> AssertNoRegression:
    """Compare a selection of two runs' cells; the runs are read once a session.

    The test is skipped where neither run is named, and is an error where one is missing or cannot be read.
    """
    base, new, folder = (_setting(request.config, name) for name in _SIDES)
    if not base and not new:
        pytest.skip("no runs to compare: --graftbench-base and --graftbench-new (or graftbench_base, graftbench_new)")
    if not base or not new:
        given, missing = ("base", "new") if base else ("new", "base")
        pytest.fail(
            f"--graftbench-{given} is '{base or new}', and there is no --graftbench-{missing} to compare it with "
            f"(nor a setting graftbench_{missing}).",
            pytrace=False,
        )
    from graftbench.errors import GraftbenchError  # noqa: PLC0415 - pytest's start pays for nothing of it
    from graftbench.regression.sides import read_side  # noqa: PLC0415 - likewise

    baselines = Path(folder) if folder else request.config.rootpath / "baselines"
    try:
        return AssertNoRegression(read_side(base, folder=baselines), read_side(new, folder=baselines))
    except GraftbenchError as error:
        pytest.fail(str(error), pytrace=False)


class AssertNoRegression:
    """The function that the fixture returns.

    Attributes:
        base: The run that is compared with.
        new: The run that is judged.
    """

    def __init__(self, base: Side, new: Side) -> None:
        self.base, self.new = base, new

    def __call__(
        self,
        *methods: str,
        task: str | None = None,
        budget: int | None = None,
        metric: str | Sequence[str] = (),
        level: float = 0.05,
        by: Literal["method", "task", "budget"] = "method",
        test: Literal["student", "sign-flip"] = "student",
        few_seeds: Literal["pass", "gate"] = "pass",
        costs: Literal["same-machine", "calibrated", "any"] = "same-machine",
        shared_timings: bool = False,
        until: str = "50%",
        same_training: bool = False,
    ) -> Comparison:
        """Fail the test where these cells got worse, newly fail or are gone; return the comparison otherwise.

        The test fails, too, where the base has no such cells, or where nobody measured what `metric` names; it is
        skipped where nothing can be compared (costs of other hardware alone, or cells that fail on both sides).
        The level holds for one call: methods of one call are corrected together, those of several calls are not.

        Args:
            *methods: Names; none for all of the base.
            task: One task as text (`twemoji->openmoji@32`); None for all.
            budget: One number of training images; None for all.
            metric: What is gated, with thresholds if other than the default: "kid=15%,fid".
            level: Chance of a false alarm over all rows of quality, and over all of cost.
            by: What is judged as one: all cells of a method, its cells on a task, or those of a budget on a task.
            test: Paired t test, or the exact sign-flip test.
            few_seeds: Of a change for the worse beyond its threshold, with too few pairs to tell it from noise: `pass`
                with a RegressionWarning, or `gate` by the threshold alone.
            costs: As in `graftbench compare`.
            shared_timings: Compare wall times too that were taken while other processes used the machine.
            until: As in `graftbench compare`.
            same_training: As in `graftbench compare`.
        """
        __tracebackhide__ = True
        from graftbench.errors import GraftbenchError  # noqa: PLC0415 - pytest's start pays for nothing of it
        from graftbench.regression.gate import compare  # noqa: PLC0415 - likewise
        from graftbench.regression.measures import parse_measures  # noqa: PLC0415 - likewise
        from graftbench.regression.options import GateOptions  # noqa: PLC0415 - likewise
        from graftbench.regression.until_quality import parse_quality  # noqa: PLC0415 - likewise

        try:
            options = GateOptions(
                measures=parse_measures([metric] if isinstance(metric, str) else metric),
                level=level,
                by=by,
                test=test,
                few_seeds=few_seeds,
                costs=costs,
                shared=shared_timings,
                until=parse_quality(until),
                same_training=same_training,
            )
            base, new = self._chosen({"method": methods, "task": _one(task), "budget": _one(budget)})
            notes = [*self.base.warnings, *self.new.warnings]
            comparison = compare(base, new, options, names=(self.base.name, self.new.name), notes=notes)
        except GraftbenchError as error:
            pytest.fail(str(error))
        open_rows = [row for row in comparison.of("too few pairs") if row.change is not None and row.change > 0]
        message = failure(comparison)
        if message:
            pytest.fail(message)
        if all(row.verdict == "not compared" for row in comparison.rows):
            reasons = dict.fromkeys(row.reason for row in comparison.rows)
            pytest.skip(f"nothing could be compared: {'; '.join(reasons) or 'no cell ended well on both sides'}")
        if open_rows:
            lines = "\n".join(_row(row) for row in open_rows)
            warnings.warn(f"too few pairs of cells to tell:\n{lines}", RegressionWarning, stacklevel=2)
        return comparison

    def _chosen(self, chosen: dict[str, tuple[object, ...]]) -> tuple[list[list[Record]], list[list[Record]]]:
        """Choose the cells of both sides; every name must occur in the base, and some cell of it have all of them."""
        from graftbench.errors import GraftbenchError, unknown  # noqa: PLC0415 - pytest's start pays for nothing of it

        base, new = ([_select(run, chosen) for run in side.repeats] for side in (self.base, self.new))
        all_records = [record for run in self.base.repeats for record in run]
        for field, values in chosen.items():
            in_base = {str(_field(record, field)) for record in all_records}
            for value in values:
                if str(value) not in in_base:
                    raise unknown(field, str(value), in_base, where=f"in the base '{self.base.name}'")
        condition = ", ".join(f"{field} {' or '.join(map(str, values))}" for field, values in chosen.items() if values)
        if all_records and not any(base):
            raise GraftbenchError(f"No cell of the base '{self.base.name}' has {condition}, though each occurs in it.")
        if any(base) and not any(new):
            cells = _listed(sorted({_name(record) for run in base for record in run}))
            raise GraftbenchError(f"'{self.new.name}' has no cell of {condition or 'any kind'}; vanished:\n{cells}")
        return base, new


def _one(value: object | None) -> tuple[object, ...]:
    return () if value is None else (value,)


def _field(record: Record, field: str) -> object:
    cell = record.cell
    return {"method": cell.method, "task": str(cell.task), "budget": cell.data_budget}[field]


def _select(run: Iterable[Record], chosen: dict[str, tuple[object, ...]]) -> list[Record]:
    limits = [(field, values) for field, values in chosen.items() if values]
    return [record for record in run if all(_field(record, field) in values for field, values in limits)]


def _name(record: Record) -> str:
    cell = record.cell
    return f"{cell.method} {cell.task} n={cell.data_budget} seed={cell.seed}"


def failure(comparison: Comparison) -> str:
    """Say what failed, one line each; empty for nothing."""
    sections = (
        ("worse", [_row(row).strip() for row in comparison.of("regression")]),
        ("newly failing", list(map(str, comparison.failing))),
        ("vanished", comparison.vanished),
    )
    texts = [f"{title}:\n{_listed(cells)}" for title, cells in sections if cells]
    if not texts:
        return ""
    return "\n".join([f"{comparison.new} against {comparison.base}", *texts, *comparison.notes])


def _row(row: GateRow) -> str:
    from graftbench.regression.formats._words import label, sentence  # noqa: PLC0415 - as above

    pairs = f"{row.pairs} pair{'' if row.pairs == 1 else 's'}"
    return f"  {row.subject}: {label(row)}: {sentence(row)}; threshold {100 * row.threshold:g} %, {pairs}; {row.reason}"


def _listed(cells: Sequence[str]) -> str:
    from graftbench.regression.formats._words import cut  # noqa: PLC0415 - as above

    return "\n".join(cut(cells, MOST_CELLS))
