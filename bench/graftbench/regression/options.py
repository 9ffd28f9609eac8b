"""The options of the regression gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from graftbench.comparison.paired import LEVEL, Test
from graftbench.errors import GraftbenchError, unknown
from graftbench.regression.measures import DEFAULT, MEASURES, Measure
from graftbench.regression.until_quality import HALF_WAY, Quality

By = Literal["method", "task", "budget"]


FewSeeds = Literal["pass", "gate"]


CostRule = Literal["same-machine", "calibrated", "any"]


DEFAULT_MEASURES = tuple(MEASURES[name] for name in DEFAULT)


VERDICT_ORDER = {"regression": 0, "improvement": 1, "too few pairs": 2, "not compared": 4}


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """Options of the gate: what counts as a regression.

    Attributes:
        measures: What is gated, each with its threshold. Of the default ones those count that the runs have; what is
            asked for must be there.
        level: Of all tests of one kind (quality, cost) together, by Holm's correction.
        by: What is judged as one: all cells of a method, its cells on one task, or those of one data budget on it.
        test: `student` (paired t) or `sign-flip` (exact, needs more pairs).
        few_seeds: Where a change is beyond the threshold, and pairs are too few to tell it from noise: `pass` says so;
            `gate` judges by the threshold alone.
        costs: Costs of other hardware: not compared (`same-machine`), divided by the calibration kernel's time
            (`calibrated`), or compared all the same (`any`).
        shared: Whether wall times count that were taken while other processes used the machine.
        until: The quality until which `seconds_to_quality` and its like count.
        same_training: Whether a new run that reaches it with significantly fewer images than the base is a regression:
            it is another training, and no faster implementation of the same (MLPerf's rule).
    """

    measures: tuple[Measure, ...] = DEFAULT_MEASURES
    level: float = LEVEL
    by: By = "method"
    test: Test = "student"
    few_seeds: FewSeeds = "pass"
    costs: CostRule = "same-machine"
    shared: bool = False
    until: Quality = HALF_WAY
    same_training: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.level <= 0.5:
            raise GraftbenchError(f"The level of a gate lies above 0 and is at most 0.5; found {self.level}.")
        for kind, value, choices in (
            ("unit of judgement", self.by, By),
            ("test", self.test, Test),
            ("rule for few seeds", self.few_seeds, FewSeeds),
            ("rule for costs", self.costs, CostRule),
        ):
            if value not in get_args(choices):
                raise unknown(kind, value, get_args(choices))
