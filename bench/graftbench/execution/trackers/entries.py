"""Records as trackers get them: names, numbers with their units, facts. Pure functions."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.execution.trackers.base import TrackedCell, TrackedPoint, TrackedResult
from graftbench.records.artifacts import artifact_file
from graftbench.records.cell_spec import CellSpec, without_path
from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from graftbench.execution.trackers.base import Value
    from graftbench.records.record import CurvePoint, Record, Score, Snapshot

_NOT_CONFIG = ("manifests", "parameters", "protocol", "task", "files", "compute_budget")
"""Fields of a cell that are written out one by one, or are hashes of files."""


def cell_of(spec: CellSpec, began: float, cell_id: str = "") -> TrackedCell:
    """Make the entry of a cell that has started.

    Args:
        spec: The cell.
        began: Seconds since 1970.
        cell_id: Its record's id; by default the spec's own. A record of an earlier version keeps the id it was given.
    """
    cell_id = cell_id or spec.id
    task = msgspec.structs.replace(
        spec.task, source=without_path(spec.task.source), target=without_path(spec.task.target)
    )
    protocol = spec.protocol.with_weights_at(lambda _: "")
    public = msgspec.structs.replace(spec, task=task, protocol=protocol)  # where files lie is nobody's business
    fields = msgspec.to_builtins(public)
    config = {name: value for name, value in fields.items() if name not in _NOT_CONFIG}
    protocol = {name: value for name, value in fields["protocol"].items() if name != "weights"}
    parameters = {name: _last_part(value) if name in spec.files else value for name, value in spec.parameters.items()}
    config |= {
        "cell": cell_id,
        "task": str(task),
        "source": task.source,
        "target": task.target,
        "resolution": task.resolution,
        "kind": task.kind,
        "compute_budget": str(spec.compute_budget),
        "protocol": protocol,
        "parameters": msgspec.to_builtins(parameters),
    }
    return TrackedCell(cell_id, str(public), spec.method, flat(config), began)


def _last_part(path: object) -> str:
    return str(path).replace("\\", "/").rstrip("/").rpartition("/")[2]


def began_of(record: Record) -> float:
    """Estimate when a recorded cell started, in seconds since 1970: no earlier than the record says."""
    cost = record.resources
    fit = cost.fit_seconds if cost and "fit_seconds" not in cost.declared else None
    last = record.curve[-1].seconds if record.curve else 0.0
    return max(0.0, _ended(record) - max(record.wall_seconds or 0.0, fit or 0.0, last))


def _ended(record: Record) -> float:
    try:
        return datetime.fromisoformat(record.finished_at).timestamp()
    except ValueError:
        return 0.0


def points_of(curve: Iterable[CurvePoint], snapshots: Iterable[Snapshot]) -> list[TrackedPoint]:
    """Return losses and snapshot scores by images seen; a loss that was not finite is left out."""
    points = [TrackedPoint(p.images_seen, p.seconds, _named("loss", p.losses)) for p in curve]
    points += [
        TrackedPoint(s.images_seen, s.seconds, _named("snapshot", {score.full_name: score.value for score in s.scores}))
        for s in snapshots
    ]
    return sorted((point for point in points if point.values), key=lambda point: point.images_seen)


def _named(kind: str, values: Mapping[str, float | None]) -> dict[str, float]:
    return {f"{kind}/{name}": value for name, value in values.items() if value is not None and math.isfinite(value)}


def result_of(record: Record, folder: Path) -> TrackedResult:
    """Make the entry of what a record says.

    Args:
        record: The record.
        folder: The run folder, in which its pictures lie.
    """
    resources = record.resources
    declared = set(resources.declared) if resources else set()
    costs = _costs(record)
    numbers = {name: value for score in record.scores for name, value in _score(score).items()}
    for name, value in costs.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[_cost_name(name, declared)] = float(value)
    files = {kind: artifact_file(record, kind, folder) for kind in record.artifacts}
    return TrackedResult(
        ok=record.status == Status.OK,
        status=str(record.status),
        reason=record.reason,
        numbers={name: value for name, value in numbers.items() if math.isfinite(value)},
        facts=_facts(record, costs, declared),
        tags=_tags(record, declared),
        images_seen=max([resources.images_seen if resources else 0, *(p.images_seen for p in record.curve)]),
        ended=_ended(record),
        pictures={kind: file for kind, file in files.items() if file is not None and file.suffix == ".png"},
        log_tail=record.log_tail,
    )


def flat(values: Mapping[str, Any]) -> dict[str, Value]:
    """Flatten nested names with dots (`parameters.lr`); lists become JSON; what is None or empty is left out."""
    flattened: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flattened |= {f"{name}.{inner}": part for inner, part in flat(value).items()}
        elif isinstance(value, str | bool | int | float):
            flattened |= {} if value == "" else {name: value}
        elif value is not None:
            flattened[name] = msgspec.json.encode(value).decode()
    return flattened


def _score(score: Score) -> dict[str, float]:
    """Return a score with its interval and floor, as far as they are known."""
    low, high = score.interval or (None, None)
    numbers = {"score": score.value, "interval_low": low, "interval_high": high, "floor": score.floor}
    return {f"{kind}/{score.full_name}": value for kind, value in numbers.items() if value is not None}


def _costs(record: Record) -> dict[str, Any]:
    costs: dict[str, Any] = {"wall_seconds": record.wall_seconds}
    if record.resources is not None:
        costs |= msgspec.structs.asdict(record.resources)
        declared = set(costs.pop("declared"))
        del costs["unmeasured"]
        if record.origin == "submitted":  # what nobody measured and nobody declared is not zero
            costs = {name: value for name, value in costs.items() if value or name in declared}
    return {name: value for name, value in costs.items() if value is not None}


def _cost_name(name: str, declared: set[str]) -> str:
    return f"cost_declared/{name}" if name in declared else f"cost/{name}"


def _facts(record: Record, costs: Mapping[str, Any], declared: set[str]) -> dict[str, Value]:
    words = {_cost_name(name, declared): value for name, value in costs.items() if isinstance(value, str | bool)}
    return flat(
        {
            "status": str(record.status),
            "reason": record.reason,
            "exit_code": record.exit_code if record.status != Status.OK else None,
            "origin": record.origin or "fitted",
            "declared": ", ".join(sorted(declared)),
            "leaks": record.leaks or None,
            "notes": " ".join(record.notes),
            "attempts": record.attempts,
            "finished_at": record.finished_at,
            "undefined": "; ".join(f"{score.name}: {score.undefined}" for score in record.scores if score.undefined),
            **words,
            "environment": record.environment,
        }
    )


def _tags(record: Record, declared: set[str]) -> list[str]:
    tags = [record.cell.family, str(record.status), record.origin]
    tags += ["costs declared"] if declared else []
    tags += ["leaks"] if record.leaks else []
    return [tag for tag in dict.fromkeys(tags) if tag]
