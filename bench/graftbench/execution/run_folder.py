"""A run's folder: the lock for its one writer, its suite and records, and the folders of jobs and cells.

    suite.toml  records.jsonl  code.json  planned.json  local.toml  .lock
    cells/<id>/           the artifacts of a recorded cell
    work/<key>-<digits>/  a job's own folder while it runs; nobody else knows its name

A job's folder becomes `cells/<id>` when its record is on the disk. The next driver settles what a killed one left in
`work/`: a result is recorded, a fit resumes from a checkpoint, the rest is removed.

Where this machine keeps a suite's images stands in `local.toml`: whoever publishes a run leaves that file out.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import tomli_w
from filelock import lock_descriptor

from graftbench.errors import GraftbenchError
from graftbench.execution.job import JOB, PROGRESS, RESULT, SCRATCH
from graftbench.records import store
from graftbench.records.artifacts import CELLS
from graftbench.records.domain_names import PrintedNames, public_task
from graftbench.records.heads import Head
from graftbench.records.record import Record
from graftbench.suites.matrix import renamed_suite
from graftbench.suites.suite import LOCAL, Suite, parse_suite, parse_task, paths_beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SUITE, RECORDS, LOCK, PLANNED = "suite.toml", "records.jsonl", ".lock", "planned.json"

_LOCAL_NOTE = "# Where this machine keeps the images. Leave this file out when you publish the folder.\n"


_JOB_FOLDER = re.compile(r"(?P<key>.+)-[0-9a-f]{8}")


class RunFolder:
    """A run's folder.

    Args:
        path: Where it is, or will be.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.records = self.path / RECORDS

    def cell(self, cell_id: str) -> Path:
        """Return the folder of a recorded cell's artifacts."""
        return self.path / CELLS / cell_id

    # ------------------------------------------------------------------------------------------------ who may write

    @contextmanager
    def claimed(self, name: str) -> Iterator[None]:
        """Hold the folder for one driver.

        Args:
            name: The suite's name.

        Raises:
            GraftbenchError: It cannot be written, holds something else, or another driver works in it.
        """
        path = self.path
        if path.exists() and not path.is_dir():
            raise GraftbenchError(f"The output '{path}' is a file; a run needs a folder.")
        try:
            foreign = path.is_dir() and any(path.iterdir()) and not (path / SUITE).exists()
            if foreign and not (path / LOCK).exists():
                raise GraftbenchError(f"The output folder '{path}' is not empty and holds no run; choose another.")
        except OSError as error:
            raise GraftbenchError(f"The output folder '{path}' cannot be read: {error.strerror}.") from error
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / LOCK).open("a+")
        except OSError as error:
            raise GraftbenchError(f"The output folder '{path}' cannot be written: {error.strerror}.") from error
        with lock:
            self._lock(lock.fileno())
            if (path / SUITE).exists() and (held := self.suite().name) != name:
                raise GraftbenchError(f"'{path}' holds a run of suite '{held}', not '{name}'. Choose another --out.")
            yield

    def _lock(self, descriptor: int) -> None:
        if not lock_descriptor(descriptor, blocking=False):
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            in_brackets = f" ({holder})" if holder else ""
            raise GraftbenchError(
                f"Another run is working in '{self.path}'{in_brackets}; wait for it or choose another folder."
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)

    # ----------------------------------------------------------------------------------------------------- the suite

    def suite(self) -> Suite:
        """Read the suite as it was resolved when the folder was last run; one with paths gets the records' names.

        Raises:
            GraftbenchError: It cannot be read, or is no suite.
        """
        path = self.path / SUITE
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise GraftbenchError(f"'{path}' cannot be read ({getattr(error, 'strerror', None) or error}).") from error
        suite = parse_suite(text, str(path))
        suite = msgspec.structs.replace(suite, domains=suite.domains | paths_beside(path))
        if all(public_task(parse_task(task)) == str(parse_task(task)) for task in suite.tasks):
            return suite
        cells = [head.cell for head in store.read(self.records, Head)[0]]
        return renamed_suite(suite, PrintedNames(cells).of_suite(cells))

    def check_protocol(self, suite: Suite) -> None:
        """Refuse a suite under another protocol than the folder's.

        Raises:
            GraftbenchError: It names the field that differs.
        """
        if not (self.path / SUITE).exists():
            return
        protocols = (each.protocol.with_weights_at(lambda _: "") for each in (self.suite(), suite))
        before, after = map(msgspec.to_builtins, protocols)
        for name in dict.fromkeys((*before, *after)):
            old, new = before.get(name), after.get(name)
            if old != new:
                raise GraftbenchError(
                    f"'{self.path}' holds a run under another protocol ({name}: {old!r} there, {new!r} now); "
                    "numbers of two protocols do not compare. Choose another --out."
                )

    def write_suite(self, suite: Suite) -> None:
        """Write the suite as resolved; where this machine keeps its images stands in a file of its own."""
        fields = _without_none(msgspec.to_builtins(suite))
        del fields["folder"]
        domains = fields.pop("domains")
        if domains:
            self._write(LOCAL, f"{_LOCAL_NOTE}{tomli_w.dumps({'domains': domains})}")
        else:
            (self.path / LOCAL).unlink(missing_ok=True)
        self._write(SUITE, tomli_w.dumps(fields))

    def _write(self, name: str, text: str) -> None:
        part = self.path / f"{name}.part"
        part.write_text(text, "utf-8")
        part.replace(self.path / name)

    def planned(self) -> set[str]:
        """Return the ids of the cells that the suite had when it was last run; none if that was not noted."""
        try:
            return set(msgspec.json.decode((self.path / PLANNED).read_bytes(), type=list[str]))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return set()

    def note_planned(self, ids: Iterable[str]) -> None:
        """Note the ids of the suite's cells, for `clean`."""
        self._write(PLANNED, msgspec.json.encode(sorted(ids)).decode())

    # -------------------------------------------------------------------------------------------------------- jobs

    def work(self, key: str) -> Path:
        """Make an empty folder for a job, and return its absolute path: other jobs do not know its name."""
        folder = self.path.resolve() / "work" / f"{key}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        return folder

    def left_behind(self) -> Iterator[tuple[str, Path]]:
        """Yield (key, folder) of the jobs that an earlier driver did not see to the end.

        What is no job's folder (a link, a file, a name that `work` does not give) is somebody else's and left alone.

        Raises:
            GraftbenchError: The folder cannot be read.
        """
        work = self.path.resolve() / "work"
        try:
            paths = sorted(work.iterdir()) if work.is_dir() else []
        except OSError as error:
            raise GraftbenchError(f"'{work}' cannot be read ({error.strerror}).") from error
        for path in paths:
            name = _JOB_FOLDER.fullmatch(path.name)
            if name is not None and path.is_dir() and not path.is_symlink():
                yield name["key"], path

    def keep(self, record: Record, folder: Path) -> Record:
        """Append a record, then move its job's folder to where artifacts are kept.

        A driver that is killed in between leaves a result that is recorded already; `settle` handles that.

        Returns:
            The record as written: with the hashes of its artifacts.

        Raises:
            GraftbenchError: The record cannot be written; the job's own result stays and is taken next time.
        """
        files = {kind: folder / Path(path).name for kind, path in record.artifacts.items()}
        hashes = {kind: sha256(file) for kind, file in files.items() if file.is_file()}
        record = msgspec.structs.replace(record, artifact_hashes=hashes)
        try:
            store.append(self.records, record)
        except OSError as error:
            raise GraftbenchError(
                f"'{self.records}' cannot be written ({error.strerror}). Nothing recorded is lost; make room and run "
                "the same command again."
            ) from error
        self._move(record.id, folder)
        return record

    def damaged(self, record: Record) -> list[str]:
        """Return the artifacts of a cell that another process has changed."""
        return [
            record.artifacts[kind]
            for kind, digest in record.artifact_hashes.items()
            if (file := self.path / record.artifacts[kind]).is_file() and sha256(file) != digest
        ]

    def _move(self, cell_id: str, folder: Path) -> None:
        if not folder.exists():
            return
        clear(folder)
        target = self.cell(cell_id)
        target.parent.mkdir(exist_ok=True)
        remove(target)  # of an earlier attempt
        folder.rename(target)

    def settle(self, recorded: dict[str, str]) -> tuple[list[tuple[Record, Path]], dict[str, Path]]:
        """Settle what an earlier driver left in `work/`.

        Args:
            recorded: Cell id -> `finished_at` of its newest record.

        Returns:
            The results that were not recorded, each with its folder; and key -> folder of jobs with a checkpoint.
        """
        results, unfinished = [], {}
        for key, folder in self.left_behind():
            record = read_result(folder, key)
            if record is not None and recorded.get(key) == record.finished_at:
                self._move(key, folder)
            elif record is not None:
                results.append((record, folder))
            elif any(folder.glob("checkpoint*")):
                if key in unfinished:
                    shutil.rmtree(unfinished[key])
                unfinished[key] = folder
            else:
                shutil.rmtree(folder)
        return results, unfinished


def read_result(folder: Path, cell_id: str) -> Record | None:
    """Read the record that a cell's process left; None where it left none, half of one, or that of another cell."""
    try:
        record = msgspec.json.decode((folder / RESULT).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
    return record if record.id == cell_id == record.cell.id else None


def sha256(file: Path) -> str:
    """Return the SHA-256 (hex) of a file's contents."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def clear(folder: Path) -> None:
    """Remove from a job's folder the files that only its process needed."""
    temporary = [folder / name for name in (RESULT, JOB, PROGRESS, SCRATCH)]
    for file in [*temporary, *folder.glob("checkpoint*"), *folder.glob("*.part")]:
        remove(file)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists; of a link, the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _without_none(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Drop every key whose value is None: TOML has no null, and a missing key takes its default."""
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return [_without_none(part) for part in value] if isinstance(value, list) else value
