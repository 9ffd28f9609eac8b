"""history.jsonl: what each run came to, one line a run, only ever appended to."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from filelock import lock_descriptor

from graftbench.comparison.protocols import scoring_fields
from graftbench.comparison.stats import mean, standard_deviation
from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import content_hash
from graftbench.records.domain_names import with_printed_names
from graftbench.records.provenance import is_declared
from graftbench.records.record import Status
from graftbench.regression import machines
from graftbench.regression.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from graftbench.records.record import Record
    from graftbench.records.run import Run

FILE = "history.jsonl"
FORMAT = 1
"""Version of the lines. A reader refuses a newer one; what a line lacks takes its default."""
NOT_RECORDED = "not recorded"


class SeriesKey(NamedTuple):
    """Key of a series; cells that differ in the seed alone share it.

    Attributes:
        method: The method's name, with the parameters that tell it from its variants if the run has several.
        task: As text, folders without their path.
        data_budget: Target training images.
        compute_budget: As text.
    """

    method: str
    task: str
    data_budget: int
    compute_budget: str

    @property
    def text(self) -> str:
        """Return `finetune|twemoji->openmoji@32|25|16 kimg`, as in the file."""
        method, task = (part.replace("|", "¦") for part in (self.method, self.task))
        return f"{method}|{task}|{self.data_budget}|{self.compute_budget}"

    @property
    def title(self) -> str:
        """Return `finetune twemoji->openmoji@32 n=25, 16 kimg`, as printed."""
        return f"{self.method} {self.task} n={self.data_budget}, {self.compute_budget}"

    @classmethod
    def parse(cls, text: str) -> SeriesKey:
        """Read the key of a text as in the file.

        Raises:
            GraftbenchError: It has other than four parts, or a data budget that is no number.
        """
        parts = text.split("|")
        if len(parts) != 4 or not parts[2].isdecimal():
            raise GraftbenchError(f"'{text}' names no series; expected 'method|task|data budget|compute budget'.")
        return cls(parts[0], parts[1], int(parts[2]), parts[3])


class Value(msgspec.Struct, frozen=True):
    """A measure over the seeds of a run.

    Attributes:
        mean: Arithmetic mean.
        sd: Sample standard deviation; None of one seed.
        n: Number of seeds.
    """

    mean: float
    sd: float | None
    n: int


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Summary of a run: one line of history.jsonl.

    Attributes:
        run: The suite's name.
        commit: Of the code that ran.
        date: UTC, ISO 8601, to the second; orders the history.
        hardware: Keys of `graftbench.regression.machines.HARDWARE` -> value; several values with commas.
        protocol: Hash of what scores depend on in the protocol.
        images: Task -> hash of the ids, splits and pixels of its domains.
        cells: Number of cells.
        failed: Those that did not end well; they are in no series.
        series: `SeriesKey.text` -> name of the measure -> value.
        format: Version of this line.
    """

    run: str
    commit: str
    date: str
    hardware: dict[str, str]
    protocol: str
    images: dict[str, str] = {}
    cells: int = 0
    failed: int = 0
    series: dict[str, dict[str, Value]]
    format: int = FORMAT

    @property
    def machine(self) -> str:
        """Return the hardware in words, as far as recorded: `processor AMD EPYC, usable cores 2, device cpu`."""
        facts = {key: value for key, value in self.hardware.items() if value != NOT_RECORDED}
        return ", ".join(f"{machines.HARDWARE.get(key, key)} {value}" for key, value in facts.items())


@dataclass(frozen=True)
class HistoryAddition:
    """Result of `add`.

    Attributes:
        sentence: What to tell.
        written: Whether there is a new line.
    """

    sentence: str
    written: bool


# ----------------------------------------------------------------------------------------------------- run -> entry


def entry_of(run: Run, *, commit: str = "", date: str = "") -> tuple[HistoryEntry, list[str]]:
    """Make a line of the history of a run, and sentences on what was left out of it.

    Wall times of cells that shared the machine with other processes are left out: they are upper bounds.

    Args:
        run: The run (`graftbench.records.run.read_run`), or a baseline.
        commit: Of the code that ran; empty for the one in the records.
        date: ISO 8601, taken as UTC where it names no zone; empty for when the newest record was finished.

    Raises:
        GraftbenchError: No record ended well; there is no commit or there are several; the date is none; the records
            are of several protocols.
    """
    named = with_printed_names(run.records, bare=True)  # so that lines of earlier versions go on
    good = [record for record in named if record.status == Status.OK]
    if not good:
        raise GraftbenchError(f"No cell of '{run.name}' ended well: there is nothing to track.")
    protocols = {content_hash(scoring_fields(record.cell.protocol)): record.cell.protocol.label for record in good}
    if len(protocols) > 1:
        raise GraftbenchError(
            f"The records of '{run.name}' were scored under {len(protocols)} protocols "
            f"({', '.join(sorted(protocols.values()))}); a line of the history has one. Add the runs one by one."
        )
    images = {
        str(record.cell.task): {(key.name, key.manifest) for key in record.cell.domains if key.manifest}
        for record in good
    }
    entry = HistoryEntry(
        run=run.name,
        commit=commit.strip() or _commit(run.records),
        date=_date(date) if date else _finished(run.records),
        hardware={key: _fact(good, key) for key in machines.HARDWARE},
        protocol=next(iter(protocols))[:16],
        images={task: content_hash(sorted(manifests))[:16] for task, manifests in images.items()},
        cells=len(run.records),
        failed=len(run.records) - len(good),
        series=_series(good),
    )
    return entry, _notes(entry, good)


def _commit(records: Iterable[Record]) -> str:
    commits = sorted({str(record.environment.get("commit") or "") for record in records})
    if len(commits) == 1 and commits[0]:
        return commits[0]
    listed = ", ".join(commit or "none" for commit in commits)
    raise GraftbenchError(f"A line of the history has one commit; the records name {listed}. Say which: --commit SHA.")


def _date(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise GraftbenchError(f"'{text}' is no date; expected ISO 8601: 2026-01-31, or 2026-01-31T12:00Z.") from None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _finished(records: Iterable[Record]) -> str:
    dates = [_date(record.finished_at) for record in records if record.finished_at]
    if not dates:
        raise GraftbenchError("No record says when it was finished. Say the date with --date ISO.")
    return max(dates)


def _fact(records: Iterable[Record], key: str) -> str:
    """Return the values of a key of the environment, `gpu.name`, over all records."""
    values = [machines.recorded(record.environment, key) for record in records]
    return ", ".join(sorted({NOT_RECORDED if value is None else str(value) for value in values}))


def _series(records: Sequence[Record]) -> dict[str, dict[str, Value]]:
    labels = _labels(records)
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        cell = record.cell
        key = SeriesKey(labels[record.id], str(cell.task), cell.data_budget, str(cell.compute_budget))
        groups[key.text].append(record)
    return {key: _values(group) for key, group in groups.items()}


def _values(records: Sequence[Record]) -> dict[str, Value]:
    values = {}
    for name, measure in MEASURES.items():
        measured = [record for record in records if not is_declared(record, name)]
        if measure.timed:
            measured = [record for record in measured if not machines.shared([record])]
        numbers = [number for record in measured if (number := measure.of(record)) is not None]
        if name in {"parameters_total", "parameters_trained"}:
            numbers = [number for number in numbers if number]
        if numbers:
            values[name] = Value(mean(numbers), standard_deviation(numbers), len(numbers))
    return values


def _labels(records: Iterable[Record]) -> dict[str, str]:
    """Return record's id -> its method, with the parameters in which the variants of this run differ."""
    methods: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        methods[record.cell.method].append(record)
    labels = {}
    for method, group in methods.items():
        sets = [record.cell.shown_parameters for record in group]
        names = [name for name in sets[0] if any(parameters.get(name) != sets[0][name] for parameters in sets)]
        for record in group:
            telling = ", ".join(f"{name}={record.cell.shown_parameters.get(name)!r}" for name in names)
            labels[record.id] = f"{method} ({telling})" if telling else method
    return labels


def _notes(entry: HistoryEntry, good: Sequence[Record]) -> list[str]:
    notes = []
    if any(record.environment.get("dirty") for record in good):
        notes.append(f"Files were changed since commit {short(entry.commit)} when it ran: the commit does not say all.")
    if entry.failed:
        notes.append(f"{entry.failed} of {entry.cells} cells did not end well and are in no series.")
    shared = sum(machines.shared([record]) for record in good)
    if shared:
        notes.append(f"Wall times of {shared} cells are left out: other processes used the machine.")
    if any(record.resources is not None and record.resources.declared for record in good):
        notes.append("Costs that were declared and not measured are left out.")
    return notes


def short(commit: str) -> str:
    """Return the first ten characters."""
    return commit[:10]


# ------------------------------------------------------------------------------------------------------------- file


def add(folder: Path, entry: HistoryEntry, *, replace: bool = False) -> HistoryAddition:
    """Append a line and wait until it is on the disk; the folder is made if need be.

    Other processes that add to the same history wait. A line that is there already is not written again.

    Args:
        folder: Where history.jsonl is or will be.
        entry: What to add.
        replace: Whether it may take the place of values of the same commit on the same hardware. The old line stays
            in the file; readers take the newest value of each series.

    Raises:
        GraftbenchError: The commit has values on that hardware already, the folder is a file, or the history cannot be
            read.
        OSError: The disk is full or the file cannot be written; the lines before are untouched.
    """
    if folder.is_file():
        raise GraftbenchError(f"'{folder}' is a file; the history is a folder with {FILE} in it.")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    line = msgspec.json.encode(entry) + b"\n"
    with path.open("a+b") as file:
        lock_descriptor(file.fileno())
        torn = _cut_torn_line(path, file)
        same = [old for old in _entries(path)[0] if (old.commit, old.hardware) == (entry.commit, entry.hardware)]
        overlapping = [old for old in same if not old.series.keys().isdisjoint(entry.series)]
        if overlapping and _content(overlapping[-1]) == _content(entry):
            return HistoryAddition(
                f"{path} has this run of commit {short(entry.commit)}; nothing was added.", written=False
            )
        if overlapping and not replace:
            raise GraftbenchError(
                f"{path} has other values of commit {entry.commit} on this hardware ({overlapping[-1].date}, "
                f"'{overlapping[-1].run}'). To take the new ones instead, add --replace."
            )
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    added = f"{len(entry.series)} series of commit {short(entry.commit)}, {entry.date}"
    outcome = "take the place of the old ones in" if overlapping else "were added to"
    return HistoryAddition(f"{torn} {added} {outcome} {path}.".strip(), written=True)


def _content(entry: HistoryEntry) -> str:
    fields = msgspec.to_builtins(entry)
    return content_hash({name: value for name, value in fields.items() if name not in {"format", "run"}})


def _cut_torn_line(path: Path, file: BinaryIO) -> str:
    """Move an unfinished last line, left by a killed writer, to PATH.torn; return a sentence if there was one."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end == len(data):
        return ""
    with path.with_suffix(path.suffix + ".torn").open("ab") as torn:
        torn.write(data[end:] + b"\n")
    file.truncate(end)
    return f"An unfinished last line of {len(data) - end} bytes was moved to {path.name}.torn."


def read(folder: Path) -> tuple[list[HistoryEntry], list[str]]:
    """Return all lines of a history by date (of equal dates, as in the file), and a warning for an unfinished one.

    Args:
        folder: The folder of a history, or its history.jsonl. Nothing in it is changed.

    Returns:
        The lines, without series that a later line of the same commit and hardware replaces.

    Raises:
        GraftbenchError: There is no history, or a whole line is none or was written by a newer version.
    """
    path = folder if folder.is_file() else folder / FILE
    if not path.is_file():
        raise GraftbenchError(f"There is no history at '{path}'. `graftbench track add RUN --history DIR` starts one.")
    entries, warnings = _entries(path)
    return sorted(_without_replaced(entries), key=lambda entry: entry.date), warnings


def _without_replaced(entries: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """Leave each series in the last line of its commit and hardware that has it; keep the order of the file."""
    seen: set[tuple[str, str, str]] = set()
    newest = []
    for entry in reversed(entries):
        keys = {text: (entry.commit, entry.machine, text) for text in entry.series}
        series = {text: values for text, values in entry.series.items() if keys[text] not in seen}
        seen.update(keys.values())
        if series or not entry.series:
            newest.append(msgspec.structs.replace(entry, series=series))
    return newest[::-1]


def _entries(path: Path) -> tuple[list[HistoryEntry], list[str]]:
    """Read the lines of a file in its order."""
    *lines, last = path.read_bytes().split(b"\n")
    warnings = [f"{path}: the last line is unfinished ({len(last)} bytes) and was left out."] if last else []
    decoder = msgspec.json.Decoder(HistoryEntry)
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entries.append(_decoded(line, decoder))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise GraftbenchError(
                f"{path}, line {number} is no run ({error}). Nothing was changed; remove that line to go on."
            ) from error
        except GraftbenchError as error:
            raise GraftbenchError(f"{path}, line {number}: {error}") from error
    return entries, warnings


class _LineFormat(msgspec.Struct):
    format: int = FORMAT


def _decoded(line: bytes, decoder: msgspec.json.Decoder[HistoryEntry]) -> HistoryEntry:
    version = msgspec.json.decode(line, type=_LineFormat).format
    if version > FORMAT:
        raise GraftbenchError(
            f"history format {version} is newer than this version of graftbench reads ({FORMAT}). Upgrade graftbench."
        )
    return decoder.decode(line)
