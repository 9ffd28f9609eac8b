"""Named baselines: the records of a run under a name, small enough to be committed beside the code.

A baseline is a folder NAME with `records.jsonl` (of each record what a comparison reads: the cell, how it ended, the
values of its scores, its cost, and the machine) and `baseline.json` (when and of what it was made).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.comparison.time_to_quality import METRIC
from graftbench.errors import GraftbenchError, unknown
from graftbench.records import store
from graftbench.records.record import Status
from graftbench.records.run import RECORDS, read_run
from graftbench.regression import machines
from graftbench.regression.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.records.record import Record
    from graftbench.records.run import Run

FOLDER = Path("baselines")
"""Default folder of baselines: beside the code that is tested."""
ABOUT = "baseline.json"
FORMAT = 1
"""Version of baseline.json; records.jsonl has its own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Description of a baseline.

    Attributes:
        name: Its name.
        suite: The run's name.
        saved_at: UTC, ISO 8601.
        cells: Number of records.
        failed: How many of them did not end well.
        commits: Commits of graftbench that made them.
        finished_at: When the last cell ended.
        format: Version of this file.
    """

    name: str
    suite: str
    saved_at: str
    cells: int
    failed: int
    commits: list[str]
    finished_at: str
    format: int = FORMAT


def save(
    name: str, run: Path, folder: Path = FOLDER, *, replace: bool = False, now: datetime | None = None
) -> Baseline:
    """Keep a run's records under a name.

    Args:
        name: Letters, digits, `.`, `_` and `-`.
        run: A run folder, or a records.jsonl.
        folder: Where baselines lie; made if it is not there.
        replace: Whether a baseline of that name may be replaced; the old one is there until the new one is whole.
        now: The time that is noted; None: the clock's.

    Raises:
        GraftbenchError: A bad name, a name that is taken, no run there, a run without a cell that ended well, or one
            with an unfinished last line (the cell that it belonged to would be missing from every later comparison).
    """
    if not _NAME.fullmatch(name):
        raise GraftbenchError(f"A baseline's name is letters, digits, '.', '_' and '-'; found '{name}'.")
    target = folder / name
    if target.exists() and not replace:
        raise GraftbenchError(f"There is a baseline '{name}' in '{folder}' already; --replace puts the new one there.")
    read = _read_whole(run)
    about = Baseline(
        name=name,
        suite=read.name,
        saved_at=(now or datetime.now(UTC)).isoformat(timespec="seconds"),
        cells=len(read.records),
        failed=sum(record.status != Status.OK for record in read.records),
        commits=sorted({str(record.environment.get("commit") or "unknown") for record in read.records}),
        finished_at=max(record.finished_at for record in read.records),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".saving-"))
        try:
            _write(temporary, about, read.records)
            _swap(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise GraftbenchError(f"The baseline cannot be written to '{target}': {error}.") from error
    return about


def _read_whole(path: Path) -> Run:
    """Read a run that can be a baseline.

    Raises:
        GraftbenchError: There is none, its last line is unfinished, or no cell ended well.
    """
    run = read_run(path)
    file = path / RECORDS if path.is_dir() else path
    if file.stat().st_size and not file.read_bytes().endswith(b"\n"):
        raise GraftbenchError(
            f"'{file}' ends in an unfinished line: its cell would be missing from every later comparison. "
            "graftbench run with the same suite goes on where it stopped."
        )
    if not any(record.status == Status.OK for record in run.records):
        raise GraftbenchError(
            f"'{path}' holds {len(run.records)} records, none of a cell that ended well: such a baseline would let "
            "everything pass."
        )
    return run


def _write(folder: Path, about: Baseline, records: Sequence[Record]) -> None:
    lines = [msgspec.json.encode(_slim(record)) for record in records]
    (folder / RECORDS).write_bytes(b"\n".join(lines) + b"\n")
    (folder / ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(about)) + b"\n")
    folder.chmod(0o755)  # mkdtemp's is for its owner alone; a baseline is committed and shared


def _swap(new: Path, target: Path) -> None:
    """Put a folder where another may be; after a crash in between `_folder` still finds the old one."""
    old = _replaced(target)
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.replace(old)
    new.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def _replaced(target: Path) -> Path:
    return target.with_name(f".replaced-{target.name}")


def _folder(name: str, folder: Path) -> Path:
    """Return where a baseline lies: under its name, or aside if a crash kept its successor from taking its place."""
    target = folder / name
    return target if target.exists() or not _replaced(target).exists() else _replaced(target)


_SCORE = ("name", "value", "undefined", "n_generated", "n_reference", "protocol")
_ENVIRONMENT = tuple(dict.fromkeys((*machines.HARDWARE, *machines.ARITHMETIC, *machines.SOFTWARE)))


def _slim(record: Record) -> dict[str, Any]:
    """Keep what comparisons read of a record; what is left out has the record format's defaults when it is read."""
    fields = msgspec.to_builtins(record)
    slim = {key: fields[key] for key in ("id", "cell", "status", "reason", "resources", "finished_at", "format")}
    slim |= {"origin": record.origin} if record.origin else {}
    scores = (score for score in fields["scores"] if score["name"] in MEASURES)
    slim["scores"] = [_score(score, "floor") if score["name"] == METRIC else _score(score) for score in scores]
    slim["snapshots"] = [
        shot | {"scores": [_score(score) for score in shot["scores"] if score["name"] == METRIC]}
        for shot in fields["snapshots"]
    ]
    slim["environment"] = _picked(record.environment)
    return slim


def _score(score: dict[str, Any], *more: str) -> dict[str, Any]:
    return {key: score[key] for key in (*_SCORE, *more) if score[key] not in ("", None)} | {"value": score["value"]}


def _picked(environment: dict[str, Any]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for key in _ENVIRONMENT:
        value: Any = environment
        *outer, last = key.split(".")
        for part in outer:
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, dict) and last in value:
            into = picked
            for part in outer:
                into = into.setdefault(part, {})
            into[last] = value[last]
    return picked


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of the baselines in a folder, whether they can be read or not."""
    if not folder.is_dir():
        return []
    folder_names = {path.parent.name.removeprefix(".replaced-") for path in folder.glob(f"*/{ABOUT}")}
    return sorted(name for name in folder_names if _NAME.fullmatch(name))


def listed(folder: Path = FOLDER) -> list[Baseline]:
    """List the baselines of a folder by name; none where the folder does not exist.

    Raises:
        GraftbenchError: One cannot be read.
    """
    return [about(_folder(name, folder)) for name in names(folder)]


def about(path: Path) -> Baseline:
    """Read what a baseline's folder tells of it.

    Raises:
        GraftbenchError: It cannot be read, or was written by a newer version.
    """
    file = path / ABOUT
    try:
        data = file.read_bytes()
        version = msgspec.json.decode(data, type=dict).get("format", 0)
        if version != FORMAT:
            raise GraftbenchError(
                f"'{file}' has format {version}; this version of graftbench reads {FORMAT}. Use the version that "
                f"made it, or save the baseline again: graftbench baseline save {path.name} RUN --replace"
            )
        return msgspec.json.decode(data, type=Baseline)
    except (OSError, msgspec.MsgspecError) as error:
        raise GraftbenchError(
            f"'{file}' cannot be read as a baseline ({error}). Save it again: "
            f"graftbench baseline save {path.name} RUN --replace"
        ) from error


def remove(name: str, folder: Path = FOLDER) -> None:
    """Delete a baseline.

    Raises:
        GraftbenchError: There is none of that name (naming the nearest).
    """
    _check_exists(name, folder)
    for path in (folder / name, _replaced(folder / name)):
        shutil.rmtree(path, ignore_errors=True)


def load(name: str, folder: Path = FOLDER) -> tuple[Baseline, list[Record]]:
    """Load a baseline and its records.

    Raises:
        GraftbenchError: There is none of that name, it cannot be read, or it holds fewer records than it says.
    """
    _check_exists(name, folder)
    saved = about(_folder(name, folder))
    records, _ = store.read(_folder(name, folder) / RECORDS)
    if len(records) != saved.cells:
        raise GraftbenchError(
            f"Baseline '{name}' says it holds {saved.cells} records; found {len(records)}. Save it again from its run."
        )
    return saved, records


def _check_exists(name: str, folder: Path) -> None:
    baselines = names(folder)
    if name not in baselines:
        raise unknown("baseline", name, baselines, where=f"in '{folder}'")
