"""The append-only file of records: one line a cell, synced to the disk, safe to kill at any time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import SAMPLES, CellSpec

if TYPE_CHECKING:
    from pathlib import Path
from graftbench.records.record import FORMAT, Record


def _cut_torn_line(path: Path) -> str | None:
    """Move an unfinished last line, left by a killed writer, to PATH.torn. Returns a sentence if there was one."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end == len(data):
        return None
    with path.with_suffix(path.suffix + ".torn").open("ab") as torn:
        torn.write(data[end:] + b"\n")
    os.truncate(path, end)
    return f"{path} ended in an unfinished line of {len(data) - end} bytes; it was moved to {path.name}.torn."


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


def read(path: Path) -> tuple[list[Record], list[str]]:
    """All records of a file in order, and a warning for an unfinished last line.

    Reading changes nothing on the disk; the next `append` moves the unfinished line aside.

    Raises:
        GraftbenchError: A whole line is no record, or was written by a newer version.
    """
    if not path.exists():
        return [], []
    records: list[Record] = []
    warnings: list[str] = []
    lines = path.read_bytes().split(b"\n")
    last = lines.pop()
    if last:
        warnings.append(
            f"{path}: the last line is unfinished ({len(last)} bytes) and was left out; "
            "the cell that it belonged to will run again."
        )
    decoder = msgspec.json.Decoder(Record)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            version = msgspec.json.decode(line, type=_Version).format
            if version > FORMAT:
                raise GraftbenchError(
                    f"{path}, line {number}: record format {version} is newer than this version of graftbench reads "
                    f"({FORMAT}). Upgrade graftbench, or read the run with the version that made it."
                )
            records.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise GraftbenchError(
                f"{path}, line {number} is no record ({error}). Nothing was changed; remove that line to go on."
            ) from error
    return records, warnings


class _Version(msgspec.Struct):
    format: int = FORMAT


def latest(records: list[Record]) -> dict[str, Record]:
    """Id -> the newest record of that id, in order of first appearance.

    Of images that were handed in for one cell again and again the newest count, other pixels though they are.
    """
    newest: dict[object, Record] = {}
    for record in records:
        newest[_place(record.cell) if record.cell.variant_of == SAMPLES else record.id] = record
    return {record.id: record for record in newest.values()}


def _place(cell: CellSpec) -> tuple[object, ...]:
    return cell.method, str(cell.task), cell.data_budget, cell.seed, str(cell.compute_budget)
