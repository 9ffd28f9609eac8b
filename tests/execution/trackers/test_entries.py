"""What trackers are told of a record: names, units, what was declared, what was not measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graftbench.execution.trackers.entries import began_of, cell_of, flat, points_of, result_of
from graftbench.records.cell_spec import TaskSpec
from graftbench.records.record import CurvePoint, Resources, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.records.cell_spec import CellSpec
    from graftbench.records.record import Record

NAME = "kid_n600_ref608_lite0@96"


def test_a_cell_has_a_readable_name_and_flat_parameters(spec: Callable[..., CellSpec]) -> None:
    """All that determines the result, each under a name of its own; hashes are left to the record."""
    cell = cell_of(spec(), 100.0)
    assert (cell.name, cell.method, cell.began) == ("finetune twemoji->openmoji@32 n=25 seed=0", "finetune", 100.0)
    config = dict(cell.config)
    assert config.pop("cell") == cell.id == spec().id
    assert config == {
        "method": "finetune",
        "family": "fine-tune",
        "task": "twemoji->openmoji@32",
        "source": "twemoji",
        "target": "openmoji",
        "resolution": 32,
        "kind": "generate",
        "data_budget": 25,
        "compute_budget": "8 kimg",
        "seed": 0,
        "parameters.lr": 0.002,
        "parameters.betas": "[0.0,0.99]",
        "parameters.augment": True,
        "protocol.extractor": "lite0",
        "protocol.size": 96,
        "protocol.resize": "bicubic-antialias",
        "protocol.n_generated": 600,
        "protocol.reference": "reference",
        "protocol.metrics": '["default","memorization","diversity"]',
    }


def test_paths_of_this_machine_are_told_to_nobody(spec: Callable[..., CellSpec]) -> None:
    """Of folders of images and of files in parameters the last part is left."""
    cell = cell_of(
        spec(
            task=TaskSpec("none", "folder:/home/me/cats", 32),
            parameters={"file": "/home/me/generator.pt", "command": "train /data"},
            files={"file": "00ff"},
        ),
        0.0,
    )
    assert cell.name == "finetune none->folder:cats@32 n=25 seed=0"
    assert cell.config["target"] == "folder:cats"
    assert cell.config["parameters.file"] == "generator.pt"
    assert "/home" not in str(cell)


def test_curves_are_points_over_images_seen(record: Callable[..., Record]) -> None:
    """Losses and snapshots in order; what was not finite is not there."""
    made = record()
    points = points_of(made.curve, made.snapshots)
    assert [(p.images_seen, p.seconds, dict(p.values)) for p in points] == [
        (2000, 4.0, {"loss/generator": 6.0}),
        (4000, 8.0, {"loss/generator": 4.0}),
        (4000, 8.0, {f"snapshot/{NAME}": 0.1}),
        (6000, 12.0, {"loss/generator": 2.0}),
        (8000, 16.0, {"loss/generator": 0.0}),
    ]
    nothing = CurvePoint(images_seen=1, seconds=1.0, losses={"a": float("nan"), "b": None})
    assert points_of([nothing], []) == []


def test_scores_go_by_their_full_names_and_costs_by_their_units(record: Callable[..., Record], tmp_path: Path) -> None:
    """With interval and floor; an undefined score has a reason and no number."""
    result = result_of(record(), tmp_path)
    assert result.numbers == pytest.approx(
        {
            f"score/{NAME}": 0.05,
            f"interval_low/{NAME}": 0.04,
            f"interval_high/{NAME}": 0.06,
            f"floor/{NAME}": 0.002,
            f"floor/{NAME.replace('kid', 'fid')}": 0.002,
            "cost/wall_seconds": 20.0,
            "cost/fit_seconds": 16.0,
            "cost/images_seen": 8000.0,
            "cost/peak_memory_mib": 512.5,
            "cost/parameters_total": 0.0,
            "cost/parameters_trained": 0.0,
        }
    )
    assert (result.ok, result.status, result.images_seen, result.pictures) == (True, "ok", 8000, {})
    assert result.facts["undefined"] == "fid: too few images"
    assert result.facts["cost/memory_kind"] == "resident"
    assert result.facts["environment.packages.torch"] == "2.14.1"
    assert "environment.gpu" not in result.facts
    assert list(result.tags) == ["fine-tune", "ok"]


def test_what_was_declared_does_not_stand_among_what_was_measured(
    record: Callable[..., Record], tmp_path: Path
) -> None:
    """Another name for the number, a tag, and the list of what was declared."""
    cost = Resources(device="A100", fit_seconds=300.0, images_seen=0, declared=["fit_seconds", "device"])
    result = result_of(record(resources=cost, origin="submitted", leaks=True), tmp_path)
    costs = {name: value for name, value in result.numbers.items() if name.startswith("cost")}
    assert costs == {"cost_declared/fit_seconds": 300.0, "cost/wall_seconds": 20.0}
    assert result.facts["cost_declared/device"] == "A100"
    assert result.facts["declared"] == "device, fit_seconds"
    assert result.facts["origin"] == "submitted"
    assert list(result.tags) == ["fine-tune", "ok", "submitted", "costs declared", "leaks"]


def test_a_failure_has_its_reason_and_the_end_of_its_log(record: Callable[..., Record], tmp_path: Path) -> None:
    """Failure is a row."""
    result = result_of(record(status=Status.OOM), tmp_path)
    assert (result.ok, result.status, result.reason) == (False, "oom", "ValueError: no")
    assert result.log_tail.endswith("ValueError: no")
    assert result.facts["exit_code"] == 1
    assert dict(result.numbers) == {"cost/wall_seconds": 20.0}


def test_pictures_are_those_that_are_there(run_folder: Path, record: Callable[..., Record]) -> None:
    """No sampler, no log, no picture that was cleaned away."""
    made = record()
    (run_folder / made.artifacts["neighbors"]).unlink()
    assert result_of(made, run_folder).pictures == {"samples": run_folder / made.artifacts["samples"]}


@pytest.mark.parametrize(
    ("changes", "began"),
    [
        ({}, 1767323045 - 20),
        ({"wall_seconds": None}, 1767323045 - 16),
        ({"wall_seconds": None, "resources": None, "curve": []}, 1767323045),
        ({"finished_at": "yesterday"}, 0),
        (
            {
                "wall_seconds": 2.0,
                "curve": [],
                "resources": Resources(device="", fit_seconds=300.0, images_seen=0, declared=["fit_seconds"]),
            },
            1767323045 - 2,
        ),
    ],
)
def test_a_record_knows_about_when_its_cell_began(record: Callable[..., Record], changes: dict, began: float) -> None:
    """By the executor's clock, else by what the fit took here; seconds that somebody declared passed elsewhere."""
    assert began_of(record(**changes)) == began


def test_nested_facts_are_flat() -> None:
    """Dots between names, lists as JSON; what is None or empty is left out, zero and False are not."""
    nested = {"a": {"b": {"c": 1}}, "none": None, "empty": "", "zero": 0, "no": False, "list": [1, "x"]}
    assert flat(nested) == {"a.b.c": 1, "zero": 0, "no": False, "list": '[1,"x"]'}
