"""Why a cell is new, changed, failed or done: every field of a cell, one at a time."""

from __future__ import annotations

import msgspec
import pytest
from made_cells import make_cell

from graftbench.records.cell_spec import CellSpec, ComputeBudget, Protocol, TaskSpec
from graftbench.records.heads import Head, Software
from graftbench.records.record import Status
from graftbench.suites.status import State, differences, explain

HERE = Software(graftbench="0.1.0", python="3.11.7", packages={"torch": "2.11.0", "timm": "1.0.20"})
CODE = {
    "old": {"graftbench/training.py": "a", "graftbench/cell.py": "b", "graftbench/gone.py": "c"},
    "new": {"graftbench/training.py": "A", "graftbench/cell.py": "b", "graftbench/added.py": "d"},
}
CELL = make_cell(
    "dcgan",
    family="scratch",
    parameters={"lr": 0.002, "ema": 0.99},
    task=TaskSpec("folder:/data/cats", "openmoji", 32),
    protocol=Protocol(weights_sha256="1" * 64, weights="/there/weights.pth"),
    source_model="gan-twemoji-32-000",
    manifests={"folder:/data/cats": "m", "openmoji": "n"},
    code="old",
)


def head(cell: CellSpec, status: Status = Status.OK, reason: str = "", software: Software = HERE) -> Head:
    """A record of a cell."""
    return Head(id=cell.id, cell=cell, status=status, reason=reason, environment=software)


def edited(**changes: object) -> CellSpec:
    """The cell with other fields."""
    return msgspec.structs.replace(CELL, **changes)


def protocol(**changes: object) -> CellSpec:
    """The cell under another protocol."""
    return edited(protocol=msgspec.structs.replace(CELL.protocol, **changes))


@pytest.mark.parametrize(
    ("new", "kind", "phrase"),
    [
        (edited(parameters={"lr": 0.003, "ema": 0.99}), "parameters", "parameters (lr 0.002 -> 0.003)"),
        (edited(parameters={"lr": 0.002, "clip": None}), "parameters", "(clip is new: none, ema is gone: 0.99)"),
        (edited(manifests={"folder:/data/cats": "m", "openmoji": "N"}), "data", "data (the images of openmoji)"),
        (edited(manifests={"openmoji": "n"}), "data", "data (the images of folder:cats)"),
        (edited(source_model="gan-b"), "source model", "source model gan-twemoji-32-000 -> gan-b"),
        (edited(source_model=""), "source model", "source model gan-twemoji-32-000 -> none"),
        (edited(family="pretrained"), "family", "family scratch -> pretrained"),
        (protocol(n_generated=700), "protocol", "protocol (n_generated 600 -> 700)"),
        (protocol(weights_sha256="2" * 64), "protocol", "weights_sha256 111111111111 -> 222222222222"),
        (protocol(metrics=["default", "kid"]), "protocol", "metrics +kid -memorization -diversity"),
        (
            edited(code="new"),
            "code",
            "code (graftbench/training.py, graftbench/added.py is new, graftbench/gone.py is gone)",
        ),
        (edited(code="unheard"), "code", "code (files not known)"),
    ],
)
def test_each_field_is_named_with_both_values(new: CellSpec, kind: str, phrase: str) -> None:
    """A cell in another's place says what makes it another, and nothing else."""
    assert new.id != CELL.id
    (row,) = explain([new], [new.id], [head(CELL)], here=HERE, code=CODE).rows
    assert (row.state, row.kinds, row.runs) == (State.CHANGED, (kind,), True)
    assert phrase in row.why
    assert ";" not in row.why


def test_several_differences_stand_side_by_side() -> None:
    """What the user set comes before what was edited."""
    new = edited(parameters={"lr": 0.003, "ema": 0.99}, code="unheard")
    assert list(differences(CELL, new, CODE)) == ["parameters", "code"]


@pytest.mark.parametrize("name", CELL.__struct_fields__)
def test_no_field_of_a_cell_is_forgotten(name: str) -> None:
    """Whatever changes the id either moves the cell to another place or is among the differences."""
    other = {
        "task": TaskSpec("twemoji", "openmoji", 32),
        "compute_budget": ComputeBudget(kimg=9),
        "parameters": {"lr": 1},
        "protocol": Protocol(size=17),
        "manifests": {},
        "data_budget": 99,
        "seed": 99,
    }
    new = edited(**{name: other.get(name, "other")})
    assert new.id != CELL.id
    (row,) = explain([new], [new.id], [head(CELL)], here=HERE, code={}).rows
    place = ("method", "task", "data_budget", "compute_budget", "seed")
    assert (row.state == State.NEW) == (name in place)
    assert bool(row.why) == (name not in place)


def test_where_files_lie_makes_no_difference() -> None:
    """The same domain and weights under other paths are the same cell, and in the same place."""
    moved = edited(
        task=TaskSpec("folder:/elsewhere/cats", "openmoji", 32),
        manifests={"folder:/elsewhere/cats": "m", "openmoji": "n"},
        protocol=msgspec.structs.replace(CELL.protocol, weights="/here/weights.pth"),
    )
    assert moved.id == CELL.id
    assert differences(CELL, moved, CODE) == {}
    changed = msgspec.structs.replace(moved, code="new")
    (row,) = explain([changed], [changed.id], [head(CELL)], here=HERE, code=CODE).rows
    assert row.kinds == ("code",)


def test_the_newest_record_in_the_place_is_compared() -> None:
    """Two parameters were tried before: the later one is what the new cell departs from."""
    first, second, new = (edited(parameters={"lr": lr, "ema": 0.99}) for lr in (0.001, 0.002, 0.003))
    (row,) = explain([new], [new.id], [head(first), head(second)], here=HERE, code=CODE).rows
    assert row.why == "parameters (lr 0.002 -> 0.003)"


def test_a_failed_cell_says_how_to_run_it_again() -> None:
    """Its newest record counts; a status that is run again anyway says so."""
    records = [head(CELL), head(CELL, Status.TIMEOUT, "killed after\nthe limit of 600 s")]
    (row,) = explain([CELL], [CELL.id], records, here=HERE, code=CODE).rows
    assert (row.state, row.runs, row.group) == (State.FAILED, False, "timeout (--retry timeout runs it again)")
    assert row.why == "timeout: killed after the limit of 600 s (--retry timeout runs it again)"
    (row,) = explain([CELL], [CELL.id], records, here=HERE, code=CODE, again={Status.TIMEOUT}).rows
    assert row.runs
    assert "runs again by itself" in row.why


def test_a_cell_of_other_software_is_done_with_a_remark() -> None:
    """What differs is named with both versions; what the record does not name is no difference."""
    older = Software(graftbench="0.0.9", python="3.11.7", packages={"torch": "2.10.0", "timm": None, "unheard": "1"})
    cells = [CELL, edited(seed=1), edited(seed=2)]
    records = [head(CELL, software=older), head(cells[1]), head(cells[2], software=Software())]
    found = explain(cells, [cell.id for cell in cells], records, here=HERE, code=CODE)
    assert [row.state for row in found.rows] == ["done"] * 3
    remark = "made with graftbench 0.0.9 (0.1.0 here), torch 2.10.0 (2.11.0 here), timm missing (1.0.20 here)"
    assert [row.why for row in found.rows] == [remark, "", ""]
    assert found.other_software == {remark: 1}


def test_records_of_other_cells_are_counted() -> None:
    """Every line that belongs to no cell of the suite, superseded ones too; those of other shards are no others."""
    cells = [edited(seed=seed) for seed in range(3)]
    records = [head(cell) for cell in [*cells, edited(seed=7), edited(seed=7)]]
    ids = [cell.id for cell in cells]
    assert explain(cells, ids, records, here=HERE, code=CODE).others == 2
    assert explain(cells[:1], ids[:1], records, here=HERE, code=CODE, suite_ids=ids).others == 2
