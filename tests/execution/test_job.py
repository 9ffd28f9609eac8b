"""What a job's record keeps of the cell that was planned."""

import msgspec
from made_cells import make_cell

from graftbench.execution.job import new_record
from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Status


def test_a_record_does_not_say_where_weights_lie() -> None:
    """Of their path it keeps the file's name, and the cell's id is what it was."""
    cell = make_cell(protocol=Protocol(weights="/home/somebody/nets/w.pth", weights_sha256="ab" * 32))
    record = new_record(cell, Status.OK, {})
    assert record.cell.protocol.weights == "w.pth"
    assert record.id == record.cell.id == cell.id
    assert b"somebody" not in msgspec.json.encode(record)
