"""A run folder with records of every sort, made by hand, and the environment of packages that must not phone home."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made_cells import make_cell
from PIL import Image

from graftbench.records import store
from graftbench.records.record import CurvePoint, Record, Resources, Score, Snapshot, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.records.cell_spec import CellSpec

KID = "kid_n600_ref608_lite0@96"


@pytest.fixture(autouse=True)
def _nobody_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer has set up for the real services does not count here."""
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_DIR", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def _kid(value: float | None) -> Score:
    return Score(
        name="kid",
        value=value,
        undefined="" if value is not None else "too few images",
        interval=None if value is None else (value - 0.01, value + 0.01),
        floor=0.002,
        n_generated=600,
        n_reference=608,
        protocol="lite0@96",
    )


@pytest.fixture
def spec() -> Callable[..., CellSpec]:
    """Makes cells."""
    parameters = {"lr": 0.002, "betas": [0.0, 0.99], "augment": True, "freeze": None}
    return functools.partial(make_cell, parameters=parameters)


@pytest.fixture
def record(spec: Callable[..., CellSpec]) -> Callable[..., Record]:
    """Makes records: with scores, cost, curve and pictures, or failed."""

    def make(cell: CellSpec | None = None, status: Status = Status.OK, **changes: Any) -> Record:
        cell = cell or spec()
        fields: dict[str, Any] = {
            "id": cell.id,
            "cell": cell,
            "status": status,
            "finished_at": "2026-01-02T03:04:05+00:00",
            "wall_seconds": 20.0,
            "environment": {"python": "3.11.9", "packages": {"torch": "2.14.1"}, "gpu": None},
            "artifacts": {"log": f"cells/{cell.id}/log.txt"},
        }
        if status == Status.OK:
            fields |= {
                "scores": [_kid(0.05), msgspec.structs.replace(_kid(None), name="fid")],
                "resources": Resources(
                    device="cpu",
                    fit_seconds=16.0,
                    images_seen=8000,
                    peak_memory_mib=512.5,
                    memory_kind="resident",
                ),
                "curve": [
                    CurvePoint(images_seen=n, seconds=n / 500, losses={"generator": 8 - n / 1000, "penalty": None})
                    for n in (2000, 4000, 6000, 8000)
                ],
                "snapshots": [Snapshot(share=0.5, images_seen=4000, seconds=8.0, scores=[_kid(0.1)])],
                "artifacts": {
                    "log": f"cells/{cell.id}/log.txt",
                    "sampler": f"cells/{cell.id}/sampler.safetensors",
                    "samples": f"cells/{cell.id}/samples.png",
                    "neighbors": f"cells/{cell.id}/neighbors.png",
                },
            }
        else:
            fields |= {"reason": "ValueError: no", "exit_code": 1, "log_tail": "Traceback\nValueError: no"}
        return Record(**(fields | changes))

    return make


@pytest.fixture
def keep() -> Callable[[Path, Record], Record]:
    """Puts a record and its pictures into a run folder, as the driver does."""

    def put(run: Path, record: Record) -> Record:
        folder = run / "cells" / record.id
        folder.mkdir(parents=True, exist_ok=True)
        for path in record.artifacts.values():
            if path.endswith(".png"):
                Image.new("RGB", (48, 24), (200, 100, 0)).save(run / path)
        store.append(run / "records.jsonl", record)
        return record

    return put


@pytest.fixture
def run_folder(
    tmp_path: Path,
    spec: Callable[..., CellSpec],
    record: Callable[..., Record],
    keep: Callable[[Path, Record], Record],
) -> Path:
    """A run of three cells: one that is fine, one that failed, one whose images were handed in."""
    run = tmp_path / "nightly"
    run.mkdir()
    (run / "suite.toml").write_text('name = "tiny"\ncells = 3\n')
    keep(run, record())
    keep(run, record(spec("dcgan", 1), Status.ERROR))
    cost = Resources(device="", fit_seconds=300.0, images_seen=0, declared=["fit_seconds"])
    keep(run, record(spec("theirs"), resources=cost, origin="submitted", curve=[], snapshots=[], leaks=True))
    return run
