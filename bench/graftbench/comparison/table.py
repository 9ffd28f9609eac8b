"""A run's records as a table: one row a cell, for pandas and for the reports."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from graftbench.metrics.catalogue import EVERY_METRIC
from graftbench.records.provenance import is_known, origin_of
from graftbench.records.run import newest_records, records_file
from graftbench.records.selection import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import pandas as pd

    from graftbench.records.record import Record


_IDENTITY: dict[str, Callable[[Record], Any]] = {
    "id": FIELDS["cell"],
    **{name: FIELDS[name] for name in ("method", "family", "task", "source", "target", "resolution")},
    "data_budget": FIELDS["budget"],
    "compute_budget": FIELDS["compute"],
    **{name: FIELDS[name] for name in ("seed", "status")},
    "reason": lambda record: record.reason,
    "protocol": FIELDS["protocol"],
}
"""Column -> its value in a record."""
_SCORES = ("fid", "kid", "inception_score")
_COUNTS = ("n_generated", "n_reference")
_RESOURCES = {
    "fit_seconds": "float64",
    "fit_cpu_seconds": "float64",
    "images_seen": "Int64",
    "training_images_per_second": "float64",
    "sampling_images_per_second": "float64",
    "peak_memory_mib": "float64",
    "fit_memory_mib": "float64",
    "memory_kind": "",
    "energy_joules": "float64",
    "parameters_total": "Int64",
    "parameters_trained": "Int64",
    "flops_per_image": "float64",
    "flops": "float64",
    "other_cpu_share": "float64",
    "timing_shared": "boolean",
    "device": "",
    "calibration_seconds": "float64",
    "reserved_memory_mib": "float64",
    "device_memory_mib": "float64",
    "host_memory_mib": "float64",
    "sampling_memory_mib": "float64",
    "sampling_reserved_memory_mib": "float64",
    "sampling_device_memory_mib": "float64",
    "sampling_host_memory_mib": "float64",
    "joules_per_image": "float64",
    "joules_per_1000_samples": "float64",
    "warmup_seconds": "float64",
    "steady_images_per_second": "float64",
    "step_seconds_p50": "float64",
    "step_seconds_p90": "float64",
    "step_seconds_p99": "float64",
    "mfu": "float64",
    "peak_flops_per_second": "float64",
    "peak_flops_dtype": "",
    "sampler_bytes": "Int64",
    "stored_bytes": "Int64",
}
"""Field of the resources -> dtype of its column; empty for text."""
_MAKING = ("variant_of", "origin", "declared")


def columns(records: Iterable[Record]) -> list[str]:
    """Return the columns' names: identity, one a score (see `score_names`), counts, cost, who made the generator."""
    names = {score.name for record in records for score in record.scores}
    return [*_IDENTITY, *score_names(names), *_COUNTS, *_RESOURCES, *_MAKING]


def score_names(names: Iterable[str]) -> list[str]:
    """Return FID, KID and IS in any case; then the others of the catalogue in its order; then unknown ones by name."""
    names = set(names)
    extra = [name for name in EVERY_METRIC if name in names and name not in _SCORES]
    return [*_SCORES, *extra, *sorted(names - {*_SCORES, *extra})]


def row(record: Record) -> dict[str, Any]:
    """Return one cell as column -> value; None for what was not measured, is undefined or is no finite number."""
    values: dict[str, Any] = {name: value_of(record) for name, value_of in _IDENTITY.items()}
    values |= {score.name: score.value for score in record.scores}
    if record.scores:
        values["n_generated"] = max(score.n_generated for score in record.scores)
        values["n_reference"] = max(score.n_reference for score in record.scores)
    if record.resources is not None:
        values |= {name: getattr(record.resources, name) for name in _RESOURCES if is_known(record, name)}
    values |= {
        "variant_of": record.cell.variant_of,
        "origin": origin_of(record),
        "declared": " ".join(record.resources.declared if record.resources is not None else ()),
    }
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            values[name] = None
    return values


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row a cell, in the order of the records.

    Scores and measured costs are float64 with NaN where there is no value; counts are Int64 and `timing_shared` is
    boolean, with <NA> there.
    """
    import pandas as pd  # noqa: PLC0415 - `graftbench --help` must not pay for pandas

    names = columns(records)
    table = pd.DataFrame([row(record) for record in records], columns=pd.Index(names))
    scores = names[len(_IDENTITY) : names.index(_COUNTS[0])]
    types = dict.fromkeys(scores, "float64") | dict.fromkeys(_COUNTS, "Int64") | _RESOURCES
    return table.astype({name: dtype for name, dtype in types.items() if dtype})


def load(path: str | Path) -> pd.DataFrame:
    """Load the newest record of every cell of a run folder, or of a records.jsonl, one row a cell.

    Columns: id, method, family, task, source, target, resolution, data_budget, compute_budget, seed, status, reason,
    protocol; one for each score (fid, kid, inception_score, then the others that a record has, as in
    `graftbench.metrics.catalogue`; KID as it is, not ×10³); n_generated, n_reference (of the scores that need reference
    images); the cost as in `graftbench.records.record.Resources`, units in the names; variant_of (the method that a
    variant is one of, `samples` for images that were handed in), origin (empty, `command` or `submitted`) and declared
    (names of the costs that were declared and not measured here, a space between them). Failed cells are rows too: look
    at `status`.

    Raises:
        GraftbenchError: There is no run at that path, or a line of it is no record.
    """
    return frame(newest_records(records_file(path)))
