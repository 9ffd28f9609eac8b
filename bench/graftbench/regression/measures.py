"""Measures of the gate: each with its direction and the change that matters in practice."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from graftbench.errors import GraftbenchError, unknown
from graftbench.metrics.catalogue import METRICS
from graftbench.records.provenance import known_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graftbench.records.record import Record

QUALITY_THRESHOLD = 0.10
"""Default for scores: about what five seeds of a fine-tuned model tell apart; docs/regressions.md has the figures."""
THRESHOLDS = {"fid": 0.05}
"""FID moves less than half as much as KID where both see the same change: 5 % of it are about 10 % of KID."""
MEMORIZATION = ("train_distance_ratio", "authpct")
"""Scores that are near training images where they are low: no table ranks by them, but a fall is a step to copying."""
SPREADS = {
    "train_distance_ratio": 0.07,
    "authpct": 0.04,
    "kid": 0.27,
    "fid": 0.10,
    "inception_score": 0.26,
    "precision": 0.41,
    "recall": 0.69,
    "coverage": 0.60,
    "vendi_score": 0.19,
    "fit_seconds": 0.13,
    "sampling_images_per_second": 0.18,
    "peak_memory_mib": 0.003,
}
"""`Measure.spread`, √2 times a cell's standard deviation of logarithms."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a cell that a gate can watch.

    Attributes:
        name: A score's name (`kid`) or a field of `graftbench.records.record.Resources` (`peak_memory_mib`).
        label: As printed, without the unit.
        kind: `quality` for scores; `cost` for what depends on the machine; `work` for what is counted and is the same
            on every machine (FLOPs, parameters).
        better: -1 if lower is better, +1 if higher is.
        threshold: What nobody minds; 0.1 is a factor of 1.1, for the worse or for the better.
        unit: Of the value as printed; empty for none.
        scale: Factor from the value to what is printed.
        timed: Whether other processes on the machine can change it.
        spread: Standard deviation of one pair's relative change between runs that differ in their seeds, as published
            (docs/results/records.jsonl, root mean square over methods and budgets): for where there is but one pair.
        read: Reads the value from a record, where it is neither a score nor a field of the resources.
    """

    name: str
    label: str
    kind: Literal["quality", "cost", "work"]
    better: Literal[-1, 1]
    threshold: float
    unit: str = ""
    scale: float = 1.0
    timed: bool = False
    spread: float | None = None
    read: Callable[[Record], float | None] | None = None

    @property
    def bound(self) -> float:
        """Return the threshold as the logarithm of a ratio."""
        return math.log1p(self.threshold)

    @property
    def heading(self) -> str:
        """Return label, unit and arrow: `peak memory, MiB ↓`."""
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.label}{unit} {'↓' if self.better < 0 else '↑'}"

    def of(self, record: Record) -> float | None:
        """Return the value in a record; None where it is undefined, was not measured or is no finite number."""
        if self.read is not None:
            value = self.read(record)
        elif self.kind == "quality":
            score = record.score(self.name)
            value = None if score is None else score.value
        else:
            value = known_cost(record, self.name)
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _cost(
    name: str, label: str, unit: str, threshold: float, *, better: Literal[-1, 1] = -1, timed: bool = False
) -> Measure:
    return Measure(
        name=name,
        label=label,
        kind="cost",
        better=better,
        threshold=threshold,
        unit=unit,
        timed=timed,
        spread=SPREADS.get(name),
    )


_COSTS = (
    _cost("fit_seconds", "fit", "s", 0.10, timed=True),
    _cost("fit_cpu_seconds", "fit, CPU time", "s", 0.10),
    _cost("training_images_per_second", "training", "images/s", 0.10, better=1, timed=True),
    _cost("sampling_images_per_second", "sampling", "images/s", 0.15, better=1, timed=True),
    _cost("peak_memory_mib", "peak memory", "MiB", 0.05),
    _cost("reserved_memory_mib", "reserved memory", "MiB", 0.05),
    _cost("device_memory_mib", "memory by the driver", "MiB", 0.05),
    _cost("host_memory_mib", "host memory", "MiB", 0.05),
    _cost("steady_images_per_second", "training, steady", "images/s", 0.10, better=1, timed=True),
    _cost("energy_joules", "energy", "J", 0.10, timed=True),
)
_WORK = tuple(
    Measure(name=name, label=label, kind="work", better=-1, threshold=0.01, unit=unit, scale=scale)
    for name, label, unit, scale in (
        ("flops_per_image", "arithmetic per image", "GFLOP", 1e-9),
        ("parameters_total", "parameters", "", 1.0),
        ("parameters_trained", "trained parameters", "", 1.0),
        ("stored_bytes", "to be stored", "MB", 1e-6),
    )
)


_QUALITY = tuple(
    Measure(
        name=metric.name,
        label=metric.label,
        kind="quality",
        better=-1 if metric.better < 0 else 1,  # of memorisation, 1
        threshold=THRESHOLDS.get(metric.name, QUALITY_THRESHOLD),
        scale=metric.scale,
        spread=SPREADS.get(metric.name),
    )
    for metric in METRICS.values()
    if metric.better or metric.name in MEMORIZATION
)

MEASURES: dict[str, Measure] = {measure.name: measure for measure in (*_QUALITY, *_COSTS, *_WORK)}
"""Name -> what can be gated: every score with a direction, memorisation, and the cost."""

REACHES = "reaches_quality"
IMAGES_TO_QUALITY = "images_to_quality"

UNTIL: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        _cost("seconds_to_quality", "fit until the quality", "s", 0.10, timed=True),
        _cost("joules_to_quality", "energy until the quality", "J", 0.10, timed=True),
        Measure(name=IMAGES_TO_QUALITY, label="images until the quality", kind="quality", better=-1, threshold=0.10),
        Measure(name=REACHES, label="fits that reach the quality", kind="quality", better=1, threshold=0.0),
    )
}
"""Name -> what can be gated of runs whose fits were looked at on the way (`graftbench.regression.until_quality`)."""

GATED = MEASURES | UNTIL
"""Name -> all that can be gated."""

DEFAULT = (
    "kid",
    "fid",
    "train_distance_ratio",
    "fit_seconds",
    "fit_cpu_seconds",
    "sampling_images_per_second",
    "peak_memory_mib",
    "energy_joules",
    "flops_per_image",
)
"""Measures that are gated where none are named."""


def parse_measures(texts: Iterable[str], known: Mapping[str, Measure] = GATED) -> tuple[Measure, ...]:
    """Parse `kid`, `kid=15%` or `kid=0.15`, several in one text with commas; none at all: the default ones.

    Raises:
        GraftbenchError: An unknown measure (naming the nearest), a threshold that is no number or not in 0 to 10, or a
            measure that is named twice.
    """
    measures: dict[str, Measure] = {}
    for item in (part.strip() for text in texts for part in text.split(",")):
        name, equals, threshold = item.partition("=")
        if name not in known:
            raise unknown("measure", name, known)
        if name in measures:
            raise GraftbenchError(f"Measure '{name}' is named twice.")
        measure = known[name]
        measures[name] = replace(measure, threshold=_threshold(item, threshold)) if equals else measure
    return tuple(measures.values()) or tuple(MEASURES[name] for name in DEFAULT)


def _threshold(item: str, text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 10:
        raise GraftbenchError(f"'{item}': a threshold is a share like 10% or 0.1, from 0 to 1000%; found '{text}'.")
    return value
