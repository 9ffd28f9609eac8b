"""The append-only file of records: one line a cell, synced to the disk, safe to kill at any time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.records.artifacts import is_cell_id, is_own_path
from graftbench.records.cell_spec import SAMPLES
from graftbench.records.heads import Head
from graftbench.records.record import FORMAT, HASHED_FORMAT, Record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Kept = TypeVar("Kept", Record, Head)
"""A record, or its head."""


def _cut_torn_line(path: Path) -> str | None:
    """Move an unfinished last line, left by a killed writer, to PATH.torn; return a sentence if there was one."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end == len(data):
        return None
    with path.with_suffix(path.suffix + ".torn").open("ab") as torn:
        torn.write(data[end:] + b"\n")
    os.truncate(path, end)
    return f"{path} ended in an unfinished line of {len(data) - end} bytes; it was moved to {path.name}.torn."


_BEGINNINGS = (b"{", b"\0")
"""How a file of records begins whose only line was never finished: like a record, or with what a crash left behind."""


def append(path: Path, record: Record) -> None:
    """Append one record as one line and wait until it is on the disk.

    Raises:
        OSError: The disk is full or the file cannot be written; the lines before are untouched.
    """
    if path.exists():
        _cut_torn_line(path)
    line = msgspec.json.encode(record) + b"\n"
    with path.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path, kind: type[Kept] = Record) -> tuple[list[Kept], list[str]]:
    """Read the records of a file in order; none if there is no file. Nothing is changed on the disk.

    Args:
        path: A `records.jsonl`.
        kind: `Record`, or `Head` for a record without scores and curves: ten thousand take a fraction of a second. What
            a head leaves out must be JSON but may say anything.

    Returns:
        The records, and a warning if the last line is unfinished: it is left out, and the next `append` moves it aside.

    Raises:
        GraftbenchError: The file cannot be read, or a whole line is no record, was written by a newer version, has an
            id that is not its cell's, or names files outside its cell's folder.
    """
    records: list[Kept] = []
    decode = msgspec.json.Decoder(kind).decode
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return records, []
    except OSError as error:
        raise GraftbenchError(f"'{path}' cannot be read ({error.strerror}).") from error
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n") and (number > 1 or line.startswith(_BEGINNINGS)):
                warning = (
                    f"{path}: the last line is unfinished ({len(line)} bytes) and was left out; "
                    "the cell that it belonged to will run again."
                )
                return records, [warning]
            if not line.strip():
                continue
            try:
                record = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
                raise _unreadable(path, number, line, error) from error
            if record.format > FORMAT:
                raise _newer(path, number, record.format)
            if fault := _fault(record):
                raise GraftbenchError(
                    f"{path}, line {number} is refused: {fault}. Nothing was changed; remove that line to go on."
                )
            records.append(record)
    return records, []


def _fault(record: Record | Head) -> str:
    """Return what a record says that none of ours would; empty for a sound one.

    Ids become names of folders that are read, replaced and removed, and artifacts names of files that are shown, sent
    and removed. The id of a record older than HASHED_FORMAT has its form alone.
    """
    if not is_cell_id(record.id):
        return f"its id is {_shown(record.id)}; expected 16 hexadecimal digits"
    if record.format >= HASHED_FORMAT and (cell_id := record.cell.id) != record.id:
        return f"its id is {record.id}, but its cell has the id {cell_id}: one of the two was edited"
    for kind, file in record.artifacts.items():
        if not is_own_path(file, record.id):
            return f"its artifact {_shown(kind)} is {_shown(file)}; expected a file of 'cells/{record.id}'"
    return ""


def _shown(text: str) -> str:
    """Quote the beginning of a text that may be anything."""
    return ascii(text[:80])


class _Version(msgspec.Struct):
    format: int = FORMAT


def _unreadable(path: Path, number: int, line: bytes, error: Exception) -> GraftbenchError:
    """Say why a line is no record: a newer version may have written it in other words."""
    try:
        version = msgspec.json.decode(line, type=_Version).format
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        version = 0
    if version > FORMAT:
        return _newer(path, number, version)
    return GraftbenchError(
        f"{path}, line {number} is no record ({error}). Nothing was changed; remove that line to go on."
    )


def _newer(path: Path, number: int, version: int) -> GraftbenchError:
    return GraftbenchError(
        f"{path}, line {number}: record format {version} is newer than this version of graftbench reads ({FORMAT}). "
        "Upgrade graftbench, or read the run with the version that made it."
    )


def latest(records: Iterable[Kept]) -> dict[str, Kept]:
    """Return id -> the newest record of that id, in order of first appearance.

    Of images that were submitted for one cell again and again the newest count, other pixels though they are.
    """
    newest: dict[object, Kept] = {}
    for record in records:
        key: object = record.id
        if (cell := record.cell).variant_of == SAMPLES:
            key = cell.method, cell.task.kind, cell.domains, cell.data_budget, cell.seed, str(cell.compute_budget)
        newest[key] = record
    return {record.id: record for record in newest.values()}
