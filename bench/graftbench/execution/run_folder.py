"""A run's folder: who may write in it, where a job works, where what it left is kept.

    suite.toml  records.jsonl  code.json  .lock
    cells/<id>/           what a recorded cell left
    work/<key>-<digits>/  a job's own folder while it runs; nobody else knows its name

A job's folder becomes `cells/<id>` when its record is on the disk. What a killed driver left in `work/` is looked
through by the next one: a result is recorded, a checkpoint is gone on from, the rest is cleared away.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import tomli_w
from filelock import lock_descriptor

from graftbench.errors import GraftbenchError
from graftbench.execution.job import PROGRESS, RESULT, SCRATCH
from graftbench.records import store
from graftbench.records.record import Record
from graftbench.suites.suite import Suite, parse_suite

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE, RECORDS, LOCK = "suite.toml", "records.jsonl", ".lock"
JOB = "job.json"


class RunFolder:
    """A run's folder.

    Args:
        path: Where it is, or will be.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.records = self.path / RECORDS

    def cell(self, cell_id: str) -> Path:
        """Where what a recorded cell left is kept."""
        return self.path / "cells" / cell_id

    # ------------------------------------------------------------------------------------------------ who may write

    @contextmanager
    def claimed(self, name: str) -> Iterator[None]:
        """Hold the folder for one driver.

        Args:
            name: The suite's.

        Raises:
            GraftbenchError: It cannot be written, holds something else, or another driver works in it.
        """
        path = self.path
        if path.exists() and not path.is_dir():
            raise GraftbenchError(f"The output '{path}' is a file; a run needs a folder.")
        foreign = path.is_dir() and any(path.iterdir()) and not (path / SUITE).exists()
        if foreign and not (path / LOCK).exists():
            raise GraftbenchError(f"The output folder '{path}' is not empty and holds no run; choose another.")
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / LOCK).open("a+")
        except OSError as error:
            raise GraftbenchError(f"The output folder '{path}' cannot be written: {error.strerror}.") from error
        with lock:
            self._lock(lock.fileno())
            if (path / SUITE).exists() and (there := self.suite()).name != name:
                raise GraftbenchError(
                    f"'{path}' holds a run of suite '{there.name}', not '{name}'. Choose another --out."
                )
            yield

    def _lock(self, descriptor: int) -> None:
        if not lock_descriptor(descriptor, blocking=False):
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            who = f" ({holder})" if holder else ""
            raise GraftbenchError(
                f"Another run is working in '{self.path}'{who}; wait for it or choose another folder."
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)

    # ----------------------------------------------------------------------------------------------------- the suite

    def suite(self) -> Suite:
        """The suite as resolved when the folder was last run."""
        path = self.path / SUITE
        return parse_suite(path.read_text("utf-8"), str(path))

    def check_protocol(self, suite: Suite) -> None:
        """Refuse a suite under another protocol than the folder's.

        Raises:
            GraftbenchError: It names what differs.
        """
        if not (self.path / SUITE).exists():
            return
        here = msgspec.structs.replace(suite.protocol, weights="")
        there = msgspec.structs.replace(self.suite().protocol, weights="")
        for name in here.__struct_fields__:
            old, new = getattr(there, name), getattr(here, name)
            if old != new:
                raise GraftbenchError(
                    f"'{self.path}' holds a run under another protocol ({name}: {old!r} there, {new!r} now); "
                    "numbers of two protocols do not compare. Choose another --out."
                )

    def write_suite(self, suite: Suite) -> None:
        """Keep the suite as resolved."""
        part = self.path / f"{SUITE}.part"
        part.write_text(tomli_w.dumps(_without_none(msgspec.to_builtins(suite))), "utf-8")
        part.replace(self.path / SUITE)

    # -------------------------------------------------------------------------------------------------------- jobs

    def work(self, key: str) -> Path:
        """A new, empty folder for a job, absolute. Other jobs do not know its name, and so do not write into it."""
        folder = self.path.resolve() / "work" / f"{key}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        return folder

    def left_behind(self) -> Iterator[tuple[str, Path]]:
        """(Key, folder) of the jobs that a driver before did not see to the end."""
        with suppress(FileNotFoundError):
            for folder in sorted((self.path.resolve() / "work").iterdir()):
                yield folder.name.rpartition("-")[0], folder

    def keep(self, record: Record, folder: Path) -> Record:
        """Append a record, then move what its job left to where it is kept.

        A driver that is killed in between leaves a result that is recorded already; `settle` finds that.

        Returns:
            The record as it was written: with the hashes of its artifacts.

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
        """Artifacts of a cell that are not what it left: something else has written there."""
        return [
            record.artifacts[kind]
            for kind, digest in record.artifact_hashes.items()
            if (file := self.path / record.artifacts[kind]).is_file() and sha256(file) != digest
        ]

    def _move(self, cell_id: str, folder: Path) -> None:
        if not folder.exists():
            return
        clear(folder)
        kept = self.cell(cell_id)
        kept.parent.mkdir(exist_ok=True)
        if kept.exists():
            shutil.rmtree(kept)  # what an earlier try left
        folder.rename(kept)

    def settle(self, recorded: dict[str, str]) -> tuple[list[tuple[Record, Path]], dict[str, Path]]:
        """Look through what a driver before left in `work/`.

        Args:
            recorded: Cell id -> `finished_at` of its newest record.

        Returns:
            Results that nobody recorded, each with its folder; and key -> folder of jobs that left a checkpoint.
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
    """The record that a cell's process left, or None: it left none, half of one, or that of another cell."""
    try:
        record = msgspec.json.decode((folder / RESULT).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
    return record if record.id == cell_id == record.cell.id else None


def sha256(file: Path) -> str:
    """Of a file's contents."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def clear(folder: Path) -> None:
    """Remove from a job's folder what only its run needed."""
    done = [folder / name for name in (RESULT, JOB, PROGRESS, SCRATCH)]
    for file in [*done, *folder.glob("checkpoint*"), *folder.glob("*.part")]:
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)


def _without_none(value: object) -> dict:
    """TOML has no null; what is left out takes its default."""
    assert isinstance(value, dict)
    return {key: _each_without_none(part) for key, part in value.items() if part is not None}


def _each_without_none(value: object) -> object:
    if isinstance(value, list):
        return [_each_without_none(part) for part in value]
    return _without_none(value) if isinstance(value, dict) else value
