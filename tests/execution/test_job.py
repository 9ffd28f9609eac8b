"""What a job's record keeps of the cell that was planned."""

from pathlib import Path

import msgspec
import pytest
from made_cells import make_cell

from graftbench.execution.job import LOG, log_tail, new_record
from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Status


def test_a_record_does_not_say_where_weights_lie() -> None:
    """Of their path it keeps the file's name, and the cell's id is what it was."""
    cell = make_cell(protocol=Protocol(weights="/home/somebody/nets/w.pth", weights_sha256="ab" * 32))
    record = new_record(cell, Status.OK, {})
    assert record.cell.protocol.weights == "w.pth"
    assert record.id == record.cell.id == cell.id
    assert b"somebody" not in msgspec.json.encode(record)


@pytest.mark.parametrize("characters", [20, 36, 42, 4000])
def test_the_end_of_a_log_has_no_folder(characters: int, tmp_path: Path) -> None:
    """Wherever it is cut off, also within a path."""
    (tmp_path / LOG).write_bytes(b"\xff start\nFile /home/somebody/nets/w.py, line 3")
    assert log_tail(tmp_path, characters) == "\ufffd start\nFile …/w.py, line 3"[-characters:]
    assert log_tail(tmp_path / "none", characters) == ""
