"""One cell of a run, found by its id, with the suite that makes it again. Imports neither torch nor NumPy."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import tomli_w

from graftbench.records.artifacts import artifact_file
from graftbench.records.cell_spec import SAMPLES
from graftbench.records.provenance import FOREIGN, origin_of
from graftbench.records.record import Status
from graftbench.records.run import SUITE
from graftbench.records.selection import find_cell

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.records.record import Record
    from graftbench.records.run import Run

LOG_LINES = 20
_LOG_BYTES = 64 * 1024
_FROM_SUITE = ("source_models", "limits", "snapshots", "checkpoint_seconds")
"""Keys of a suite that its records do not hold: how source models are made, and the limits of a cell."""


@dataclass(frozen=True)
class Artifact:
    """A file that a cell left.

    Attributes:
        kind: `samples`, `sampler`, `log`, `progress`.
        path: Relative to the run folder.
        there: Whether it is still there, in the cell's own folder.
    """

    kind: str
    path: str
    there: bool


@dataclass(frozen=True)
class CellView:
    """A cell as one reads it.

    Attributes:
        record: All that was recorded.
        artifacts: What it left, in the record's order.
        log: The end of its log, at most 20 lines; empty where there is none.
        suite: TOML text of a suite whose only cell this is.
        command: Shell commands that write this suite and run it.
        caveats: Sentences on what the command cannot promise.
    """

    record: Record
    artifacts: tuple[Artifact, ...]
    log: str
    suite: str
    command: str
    caveats: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the record's fields (`log_tail` as `log`), artifacts with `there`, and how to make the cell again."""
        fields = msgspec.to_builtins(self.record)
        del fields["log_tail"]
        artifacts = [vars(artifact) for artifact in self.artifacts]
        again = {"suite": self.suite, "command": self.command, "caveats": list(self.caveats)}
        return fields | {"artifacts": artifacts, "log": self.log, "reproduce": again}


def view_cell(run: Run, cell: str) -> CellView:
    """Look a cell of a run up.

    Args:
        run: As `graftbench.records.run.read_run` gives it.
        cell: The first digits of the cell's id, or a selection that leaves it alone.

    Raises:
        GraftbenchError: No cell or several; see `find_cell`.
    """
    record = find_cell(run.records, cell)
    suite = one_cell_suite(record, run.folder)
    artifacts = tuple(
        Artifact(kind, path, artifact_file(record, kind, run.folder) is not None)
        for kind, path in record.artifacts.items()
    )
    return CellView(
        record=record,
        artifacts=artifacts,
        log=_log_end(record, run.folder),
        suite=suite,
        command=_command(record, suite),
        caveats=tuple(_caveats(record, run.folder)),
    )


def one_cell_suite(record: Record, folder: Path) -> str:
    """Write a suite (TOML) of this cell alone: the record's parameters and protocol, the rest from the run's suite."""
    cell = record.cell
    suite: dict[str, Any] = {
        "name": f"cell-{record.id}",
        "title": str(cell),
        "tasks": [str(cell.task)],
        "methods": [cell.method],
        "data_budgets": [cell.data_budget],
        "seeds": [cell.seed],
        "compute_budget": msgspec.to_builtins(cell.compute_budget),
        "protocol": msgspec.to_builtins(cell.protocol),
        **_method_of(record, folder),
    }
    suite |= {name: value for name, value in _run_suite(folder).items() if name in _FROM_SUITE}
    toml = tomli_w.dumps(_without_none(suite))
    # What cannot be printed stands in strings and quoted keys alone. It is written as TOML's escapes: what is pasted
    # must be what is seen, and steer no terminal.
    return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in toml)


def _method_of(record: Record, folder: Path) -> dict[str, Any]:
    """Return what the suite says of the method: parameters, a variant, or where the submitted images lie."""
    cell = record.cell
    if cell.variant_of == SAMPLES:
        return {"methods": [], "samples": _handed_in(record, folder)}
    if cell.variant_of:
        variant = {"method": cell.variant_of, "family": cell.family, "parameters": cell.parameters}
        return {"variants": {cell.method: variant}}
    return {"parameters": {cell.method: cell.parameters} if cell.parameters else {}}


def _handed_in(record: Record, folder: Path) -> list[dict[str, Any]]:
    """Return the run's entry for the cell's images; empty where its suite has none."""
    cell = record.cell
    budget = _without_none(msgspec.to_builtins(cell.compute_budget))
    own = {"method": cell.method, "task": str(cell.task), "data_budget": cell.data_budget}
    own |= {"seed": cell.seed, "compute_budget": budget}
    defaults = {"seed": 0, "compute_budget": budget}
    entries = _run_suite(folder).get("samples")
    tables = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [table for table in tables if own.items() <= (defaults | table).items()][-1:]


def _run_suite(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((folder / SUITE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _without_none(value: Any) -> Any:  # noqa: ANN401 - TOML's values; TOML has no null, and a key left out is None
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return [_without_none(part) for part in value] if isinstance(value, list) else value


def _command(record: Record, suite: str) -> str:
    """Write a here-document, then the run: on the kind of device, and with the threads, that the record tells of."""
    name = f"cell-{record.id}"
    end = "END"
    while end in suite.splitlines():
        end += "_"
    environment_threads = record.environment.get("threads")
    threads = environment_threads.get("intra_op") if isinstance(environment_threads, dict) else None
    words = ["graftbench", "run", f"{name}.toml", "--out", name, "--jobs", "1"]
    words += ["--threads", str(threads)] if threads else []
    if device := record.environment.get("device"):
        words += ["--device", "cpu" if device == "cpu" else "cuda:0"]
    return f"cat > {shlex.quote(name)}.toml <<'{end}'\n{suite}{end}\n{shlex.join(words)}"


def _caveats(record: Record, folder: Path) -> list[str]:
    caveats = []
    commit, version = record.environment.get("commit"), record.environment.get("graftbench")
    if version or commit:
        made = f"graftbench {version or 'of an unknown version'}" + (f", commit {commit}" if commit else "")
        caveats.append(f"Made by {made}; the cell has this id under the same code and images only.")
    if record.environment.get("dirty"):
        caveats.append("The checkout had changes that were not committed.")
    if record.cell.source_model and "source_models" not in _run_suite(folder):
        caveats.append(
            f"The run's {SUITE} does not say how the source model {record.cell.source_model} was made: "
            "the defaults must do."
        )
    if lost := [name for name, value in record.cell.parameters.items() if value is None]:
        caveats.append(f"TOML cannot say none: the default of {', '.join(lost)} counts.")
    if record.cell.variant_of == SAMPLES:
        missing = "" if _handed_in(record, folder) else f", which the run's {SUITE} does not name"
        caveats.append(f"Scored here, made elsewhere: it needs the images that were handed in{missing}.")
    elif record.cell.files:
        caveats.append(f"Files or folders are needed as they were, at the same paths: {', '.join(record.cell.files)}.")
    if origin_of(record) == FOREIGN:
        caveats.append("It starts the programs that its parameters name: read them before you run it.")
    if record.cell.protocol.weights:
        caveats.append("The extractor's weights are a local file: `weights` has to say where it lies.")
    return caveats


def _log_end(record: Record, folder: Path) -> str:
    """Return the record's own end of the log, which failed cells have, else that of the log's file."""
    text = record.log_tail
    if not text and record.status == Status.OK and (log := artifact_file(record, "log", folder)):
        try:
            with log.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - _LOG_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
    return "\n".join(text.rstrip().splitlines()[-LOG_LINES:])
