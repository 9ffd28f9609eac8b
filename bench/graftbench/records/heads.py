"""The heads of records: what resuming, planning and estimating need of them, without scores and curves.

A record holds some 12 KB, most of it scores and the training log. A head skips those while it reads: ten thousand take
a fraction of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import CellSpec  # noqa: TC001 - msgspec resolves it
from graftbench.records.record import FORMAT, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


class Software(msgspec.Struct, frozen=True, gc=False):
    """The software that a record was made with: that part of `environment.describe()`.

    Attributes:
        graftbench: Version.
        python: Version.
        packages: Distribution -> version, None where it was not installed.
    """

    graftbench: str = ""
    python: str = ""
    packages: dict[str, str | None] = {}

    @classmethod
    def of(cls, environment: dict[str, Any]) -> Software:
        """That of a record's `environment`; empty fields for what it does not say."""
        return msgspec.convert(environment, cls)


class Cost(msgspec.Struct, frozen=True, gc=False):
    """The part of a record's `resources` that estimates rest on; see `record.Resources`."""

    device: str
    fit_seconds: float | None
    peak_memory_mib: float | None = None


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record without scores, curve and log; the fields are those of `record.Record`."""

    id: str
    cell: CellSpec
    status: Status
    reason: str = ""
    resources: Cost | None = None
    environment: Software = Software()
    artifacts: dict[str, str] = {}
    finished_at: str = ""
    wall_seconds: float | None = None
    format: int = FORMAT


class _Version(msgspec.Struct):
    format: int = FORMAT


_DECODER = msgspec.json.Decoder(Head)


def heads(path: Path, say: Callable[[str], None] = lambda _: None) -> list[Head]:
    """The heads of a file's records in order; none if there is no file. Nothing is changed on the disk.

    As strict as `record.read`, except that what a head leaves out must be JSON but may say anything.

    Args:
        path: A `records.jsonl`.
        say: Told if the last line is unfinished; that line is left out.

    Raises:
        GraftbenchError: A whole line is no record, or was written by a newer version.
    """
    found: list[Head] = []
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return found
    decode = _DECODER.decode
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                say(
                    f"{path}: the last line is unfinished ({len(line)} bytes) and was left out; "
                    "the cell that it belonged to will run again."
                )
                break
            try:
                head = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
                if not line.strip():
                    continue
                raise _unreadable(path, number, line, error) from error
            if head.format > FORMAT:
                raise _newer(path, number, head.format)
            found.append(head)
    return found


def _unreadable(path: Path, number: int, line: bytes, error: Exception) -> GraftbenchError:
    """Why a line is no head: a newer version may have written it in other words."""
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


def newest(found: Iterable[Head]) -> dict[str, Head]:
    """Id -> the newest head of that id, in order of first appearance."""
    return {head.id: head for head in found}
