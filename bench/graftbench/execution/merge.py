"""Joins run folders that come from shards or from several machines into one.

The merged folder is a run folder like any other: reports read it, and `graftbench run` goes on in it. Nothing is lost:
every line of every run is kept, ordered so that the line that counts stands last among those of its id. The records do
not depend on the order in which runs are named, and merging again what was merged changes no byte.
"""

from __future__ import annotations

import fcntl  # not filelock: it has no shared lock on a plain file that may be read-only
import os
import shutil
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.cache import atomic_file
from graftbench.errors import GraftbenchError
from graftbench.execution.run_folder import LOCK, PLANNED, RECORDS, SUITE, RunFolder, remove
from graftbench.records import store
from graftbench.records.artifacts import own_folder
from graftbench.records.domain_names import PrintedNames, public_task, with_printed_names
from graftbench.records.record import Record, Status
from graftbench.records.repeats import Duplicate, compared
from graftbench.suites.matrix import Place, place_of, places, renamed_suite, united_suite
from graftbench.suites.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CODE = "code.json"
TORN = f"{RECORDS}.torn"
"""File of unfinished lines."""


@dataclass(frozen=True)
class Merged:
    """The outcome of a merge.

    Attributes:
        folder: The merged folder.
        total: Cells of the suite.
        present: Those that have a record.
        statuses: Status -> number of ids whose record ended so, ids of other cells included.
        copied: Folders of artifacts that were copied now.
        duplicates: Cells that several runs have run.
        notes: What else is worth knowing, in sentences.
    """

    folder: Path
    total: int
    present: int
    statuses: dict[str, int]
    copied: int
    duplicates: list[Duplicate]
    notes: list[str]

    @property
    def missing(self) -> int:
        """Return the number of cells of the suite that no run has."""
        return self.total - self.present


@dataclass
class _Run:
    """A run folder that has been read.

    Attributes:
        lines: Whole lines of records.jsonl in order, each with its record.
        torn: Unfinished lines.
        last: Id -> its last line and record: what the folder `cells/<id>` belongs to.
    """

    folder: RunFolder
    suite: Suite
    lines: list[tuple[bytes, Record]] = field(default_factory=list)
    torn: set[bytes] = field(default_factory=set)
    last: dict[str, tuple[bytes, Record]] = field(default_factory=dict)


def merge(runs: Sequence[Path], out: Path, *, link: bool = False) -> Merged:
    """Join run folders.

    Of the records of one cell an `ok` one counts, else the newest by `finished_at`. If `out` holds a run already,
    merged or not, it takes part as one of the runs.

    Args:
        runs: Run folders; they are not changed.
        out: Where to merge them: a new or empty folder, or a run folder that is none of `runs`.
        link: Make hard links to artifacts instead of copies, where the file system can.

    Raises:
        GraftbenchError: The runs do not belong together, a driver works in one of them, one is damaged, or `out` cannot
            be used. Nothing was written but, at worst, artifacts that the next merge replaces.
    """
    sources = list({run.resolve(): run for run in runs}.values())
    if not sources:
        raise GraftbenchError("There is nothing to merge: name at least one run folder.")
    _check_out(sources, out)
    with ExitStack() as held:
        for run in sources:
            held.enter_context(_undisturbed(run))
        parts = [out, *sources] if (out / SUITE).exists() else sources
        suites = [RunFolder(run).suite() for run in parts]
        united_suite(suites, [str(run) for run in parts])  # refused before a folder is made
        held.enter_context(RunFolder(out).claimed(suites[0].name))
        read = [_read(run) for run in parts]
        try:
            return _write(read, out, link=link)
        except OSError as error:
            raise GraftbenchError(
                f"'{out}' cannot be written ({error.strerror or error}). The runs are as they were; make room and "
                "merge again."
            ) from error


def _check_out(sources: Sequence[Path], out: Path) -> None:
    """Refuse an output folder whose making would change a run."""
    for run in sources:
        if out.resolve().is_relative_to(run.resolve()):
            raise GraftbenchError(
                f"The output '{out}' is the run '{run}' or lies in it; runs are not changed: name another folder."
            )
        if not (run / SUITE).is_file():
            raise GraftbenchError(f"'{run}' is no run folder: it holds no {SUITE}.")


@contextmanager
def _undisturbed(run: Path) -> Iterator[None]:
    """Hold a run's lock, shared and without writing: no driver works in it, and none can begin.

    Raises:
        GraftbenchError: A driver works in it.
    """
    path = run / LOCK
    if not path.exists():  # a copy of a run, or an old one: no driver has it
        yield
        return
    try:
        lock = path.open("rb")
    except OSError as error:
        raise GraftbenchError(f"The run folder '{run}' cannot be read: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            raise GraftbenchError(
                f"A run is working in '{run}' at this moment; merge it when that has ended."
            ) from error
        yield


@dataclass(frozen=True)
class Joining:
    """Comparison of a run with a file of records that somebody sent.

    Attributes:
        records: The newest record of every cell in the file, under printed names.
        duplicates: Cells that the run has too, compared.
        notes: What else is worth knowing, in sentences.
    """

    records: list[Record]
    duplicates: list[Duplicate]
    notes: list[str]


def check_sent(sent: Path, own: Path) -> Joining:
    """Check records that somebody sent as `merge` checks a run, against a run; nothing is written.

    A file goes by the resolved suite.toml beside it. A file without one goes by what its records say of the suite:
    their protocols and compute budgets.

    Args:
        sent: A file of records.
        own: The run's records.jsonl.

    Raises:
        GraftbenchError: A whole line is no record, a file has none, or the two do not belong together.
    """
    (records, notes), (own_records, _) = store.read(sent), store.read(own)
    for file, read in ((sent, records), (own, own_records)):
        if not read:
            raise GraftbenchError(f"'{file}' holds no records.")
    suites = _resolved_suite(own) or _suites_of(own_records, ())
    sent_suites = _resolved_suite(sent) or _suites_of(records, suites)
    own_name = str(own.parent if own.name == RECORDS else own)
    names = [*([own_name] * len(suites)), *([str(sent)] * len(sent_suites))]
    _, remarks = united_suite([*suites, *sent_suites], names)
    newest, own_newest = store.latest(records), store.latest(own_records)
    duplicates = [compared([own_newest[key], record]) for key, record in newest.items() if key in own_newest]
    return Joining(with_printed_names(list(newest.values())), duplicates, [*notes, *remarks])


def _resolved_suite(records: Path) -> list[Suite]:
    """Return the suite of the run folder in which records lie; none where they lie elsewhere."""
    if records.name != RECORDS or not (records.parent / SUITE).is_file():
        return []
    suite = RunFolder(records.parent).suite()
    return [suite] if suite.cells else []  # a suite file that no run has resolved leaves the protocol open


def _suites_of(records: Sequence[Record], like: Sequence[Suite]) -> list[Suite]:
    """Return what records say of their suite, one a protocol; what they do not say is as in the suites `like`."""
    cells = [record.cell for record in records]
    budgets_of_like = like[0].compute_budgets if like else []
    compute_budgets = list(dict.fromkeys(cell.compute_budget for cell in cells))
    within = all(budget in budgets_of_like for budget in compute_budgets)
    first = like[0] if like else Suite(name="", tasks=[], methods=[], data_budgets=[], compute_budget=[])
    seen = msgspec.structs.replace(
        first,
        tasks=list(dict.fromkeys(public_task(cell.task) for cell in cells)),
        methods=list(dict.fromkeys(cell.method for cell in cells)),
        data_budgets=sorted({cell.data_budget for cell in cells}),
        seeds=sorted({cell.seed for cell in cells}),
        compute_budget=first.compute_budget if within and like else compute_budgets,
        domains={},
    )
    protocols = {msgspec.json.encode(cell.protocol): cell.protocol for cell in cells}
    return [msgspec.structs.replace(seen, protocol=protocol) for protocol in protocols.values()]


# ------------------------------------------------------------------------------------------------------------- reading


def _read(path: Path) -> _Run:
    """Read a run folder.

    Raises:
        GraftbenchError: A whole line is no record, or the suite cannot be read.
    """
    run = _Run(RunFolder(path), RunFolder(path).suite())
    records, _ = store.read(run.folder.records)
    set_aside = path / TORN
    try:
        data = run.folder.records.read_bytes() if run.folder.records.exists() else b""
        earlier_torn = set_aside.read_bytes().split(b"\n") if set_aside.exists() else []
    except OSError as error:
        raise _unreadable(error, path) from error
    *lines, unfinished = data.split(b"\n")
    run.lines = list(zip((line for line in lines if line.strip()), records, strict=True))
    run.last = {record.id: (line, record) for line, record in run.lines}
    run.torn = {line for line in (*earlier_torn, unfinished) if line.strip()}
    return run


def _unreadable(error: OSError, path: Path) -> GraftbenchError:
    return GraftbenchError(
        f"'{error.filename or path}' cannot be read ({error.strerror or error}). The runs are as they were."
    )


def _when(record: Record) -> datetime:
    """Return when a record was finished; the earliest time where that cannot be read."""
    try:
        finished = datetime.fromisoformat(record.finished_at)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return finished if finished.tzinfo else finished.replace(tzinfo=UTC)


# ------------------------------------------------------------------------------------------------------------- writing


def _write(runs: Sequence[_Run], out: Path, *, link: bool) -> Merged:
    """Write the merged folder: artifacts first, the suite last."""
    names = [str(run.folder.path) for run in runs]
    printed = PrintedNames(record.cell for run in runs for _, record in run.lines)
    suites = [renamed_suite(run.suite, printed.of_suite(record.cell for _, record in run.lines)) for run in runs]
    suite, notes = united_suite(suites, names)
    codes, code_notes = _codes(runs, names)

    ordered = _ordered(runs)
    winners = [lines[-1] for lines in ordered]
    records = [record for _, record in winners]
    torn = sorted(set().union(*(run.torn for run in runs)))

    # Write.
    copied, without_artifacts = _artifacts(runs, winners, out, link=link)
    _write_file(out / RECORDS, b"".join(line + b"\n" for lines in ordered for line, _ in lines))
    if torn:
        _write_file(out / TORN, b"".join(line + b"\n" for line in torn))
    if codes:
        _write_file(out / CODE, msgspec.json.format(msgspec.json.encode(codes, order="sorted"), indent=1) + b"\n")
    RunFolder(out).write_suite(suite)
    if all((run.folder.path / PLANNED).exists() for run in runs):
        RunFolder(out).note_planned(set().union(*(run.folder.planned() for run in runs)))

    # Sum up.
    suite_places = places(suite)
    cell_places = [place_of(printed.cell(record.cell)) for record in records]
    present = suite_places.intersection(cell_places)
    return Merged(
        folder=out,
        total=len(suite_places),
        present=len(present),
        statuses={status: n for status in map(str, Status) if (n := sum(r.status == status for r in records))},
        copied=copied,
        duplicates=_duplicates(runs),
        notes=[*notes, *code_notes, *_remarks(cell_places, suite_places, len(torn), without_artifacts)],
    )


def _ordered(runs: Sequence[_Run]) -> list[list[tuple[bytes, Record]]]:
    """Return the lines of each id, the one that counts last: one that is `ok`, then the latest, then by the text."""
    by_id: dict[str, dict[bytes, Record]] = {}
    for run in runs:
        for line, record in run.lines:
            by_id.setdefault(record.id, {})[line] = record
    ordered = [
        sorted(lines.items(), key=lambda item: (item[1].status == Status.OK, _when(item[1]), item[0]))
        for lines in by_id.values()
    ]
    return sorted(ordered, key=lambda lines: (_when(lines[-1][1]), lines[-1][1].id))


def _write_file(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all; one that holds this already is left alone."""
    if path.exists() and path.read_bytes() == data:
        return
    try:
        with atomic_file(path) as part:
            part.write_bytes(data)
    except GraftbenchError as error:  # it speaks of the cache
        raise error.__cause__ or error from None


def _codes(runs: Sequence[_Run], names: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Join the runs' code.json: code hash -> file -> SHA-256; and sentences on those that cannot be read."""
    joined: dict[str, Any] = {}
    notes = []
    for run, name in zip(runs, names, strict=True):
        path = run.folder.path / CODE
        try:
            codes = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            continue
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            notes.append(f"The {CODE} of '{name}' cannot be read ({error}) and was left out.")
            continue
        for code, files in codes.items():
            known_files = joined.setdefault(code, files)
            if known_files != files:  # a hash is one set of contents; names of files may differ
                joined[code] = min(known_files, files, key=lambda value: msgspec.json.encode(value, order="sorted"))
    return joined, notes


def _remarks(cell_places: Sequence[Place], suite_places: set[Place], torn: int, without_artifacts: int) -> list[str]:
    """Return what else is worth knowing about the merged records, in sentences."""
    remarks = []
    if torn:
        lines = "line was" if torn == 1 else "lines were"
        remarks.append(f"{torn} unfinished {lines} set aside in {TORN}; the cells that they belonged to run again.")
    if foreign := sum(place not in suite_places for place in cell_places):
        remarks.append(f"{foreign} records are of cells that the suite does not have (any more); they are kept.")
    versions = Counter(cell_places)
    if several := sum(count > 1 for count in versions.values()):
        remarks.append(
            f"{several} cells were run in more than one version (other code, data or parameters); all versions are "
            "kept, and `graftbench plan` says which are the current ones."
        )
    if without_artifacts:
        remarks.append(f"The artifacts of {without_artifacts} records are in none of the runs.")
    return remarks


# ------------------------------------------------------------------------------------------------------------ artifacts


def _artifacts(
    runs: Sequence[_Run], winners: Sequence[tuple[bytes, Record]], out: Path, *, link: bool
) -> tuple[int, int]:
    """Copy the artifacts of the records that count into `out`.

    A folder `cells/<id>` belongs to the last line of its id in its run. Where several runs have the record that counts,
    the fullest folder is taken, and that of `out` before others.

    Returns:
        Folders that were copied, and records whose artifacts are in none of the runs.
    """
    for part in (out / "cells").glob(".*.part"):
        shutil.rmtree(part)  # of a merge that was killed
    copied = without_artifacts = 0
    for line, record in winners:
        owners = [run.folder for run in runs if record.id in run.last and run.last[record.id][0] == line]
        try:
            folders = [cell for owner in owners if own_folder(cell := owner.cell(record.id)) is not None]
            counts = {folder: _count_files(folder) for folder in folders}
        except OSError as error:
            raise _unreadable(error, runs[0].folder.path) from error
        target = RunFolder(out).cell(record.id)
        if not any(counts.values()):
            without_artifacts += bool(record.artifacts)
            remove(target)  # of another record of this cell
            continue
        best = max(counts, key=lambda folder: (counts[folder], folder == target))
        if best != target:
            _copy(best, target, link=link)
            copied += 1
    return copied, without_artifacts


def _count_files(folder: Path) -> int:
    def fail(error: OSError) -> None:
        raise error

    return sum(len(files) for _, _, files in os.walk(folder, onerror=fail))


def _copy(source: Path, target: Path, *, link: bool) -> None:
    """Copy a folder over another. Links in it stay links: what they point at is not the run's."""
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copytree(source, part, symlinks=True, copy_function=_link if link else shutil.copy2)
    except shutil.Error as error:  # of all files that could not be copied; no word of its own says why
        file, _, reason = error.args[0][0]
        sentence = f"'{file}' cannot be copied to '{target}' ({reason}). The runs are as they were."
        raise GraftbenchError(sentence) from error
    remove(target)
    part.rename(target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target, follow_symlinks=False)


def _duplicates(runs: Sequence[_Run]) -> list[Duplicate]:
    """Compare the newest records of the cells that several runs have run."""
    newest: dict[str, dict[bytes, Record]] = {}
    for run in runs:
        for cell_id, (line, record) in run.last.items():
            newest.setdefault(cell_id, {})[line] = record
    return [compared(list(records.values())) for records in newest.values() if len(records) > 1]
