"""Made-up records: runs of a few cells whose scores and costs a test sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made_cells import make_cell, make_scores

from graftbench.records.cell_spec import Protocol, TaskSpec
from graftbench.records.record import Record, Resources, Status
from graftbench.records.store import append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

PROTOCOL = Protocol(size=96, resize="bicubic-antialias", weights_sha256="57" * 32)
ENVIRONMENT = {
    "graftbench": "0.1.0",
    "commit": "a" * 40,
    "python": "3.11.7",
    "packages": {"torch": "2.11.0", "numpy": "2.4.6", "scipy": "1.17.1"},
    "cpu": {"model": "AMD EPYC", "cores_usable": 2},
    "threads": {"intra_op": 1, "inter_op": 2},
    "device": "cpu",
    "gpu": None,
    "memory_gib": 23.5,
}


class Make:
    """Makes records and runs of them."""

    @staticmethod
    def record(
        method: str = "finetune",
        seed: int = 0,
        images: int = 25,
        *,
        scores: Mapping[str, float | None] | None = None,
        cost: Mapping[str, Any] | None = None,
        family: str = "fine-tune",
        target: str = "openmoji",
        status: Status = Status.OK,
        parameters: Mapping[str, Any] | None = None,
        protocol: Protocol = PROTOCOL,
        manifests: Mapping[str, str] | None = None,
        environment: Mapping[str, Any] | None = None,
        code: str = "",
        finished_at: str = "2026-11-21T12:00:00+00:00",
    ) -> Record:
        """A cell with some scores and some cost."""
        cell = make_cell(
            method,
            seed,
            images,
            family=family,
            parameters=dict(parameters or {}),
            task=TaskSpec("twemoji", target, 32),
            protocol=protocol,
            manifests=dict(manifests or {}),
            code=code,
        )
        ended = status == Status.OK
        fields = {"device": "cpu", "fit_seconds": 10.0, "images_seen": 8000} | dict(cost or {})
        return Record(
            id=cell.id,
            cell=cell,
            status=status,
            reason="" if ended else "it broke",
            scores=make_scores(scores or {}, protocol.label) if ended else [],
            resources=Resources(**fields) if ended and cost is not None else None,
            environment=ENVIRONMENT | dict(environment or {}),
            finished_at=finished_at,
        )

    @staticmethod
    def run_of(method: str, name: str, values: Iterable[float | None], first: int = 0, **more: Any) -> list[Record]:
        """A cell a seed with these values of one score."""
        return [Make.record(method, first + i, scores={name: value}, **more) for i, value in enumerate(values)]

    @staticmethod
    def costs_of(method: str, name: str, values: Iterable[float], **more: Any) -> list[Record]:
        """A cell a seed with these values of one cost."""
        return [Make.record(method, seed, cost={name: value}, **more) for seed, value in enumerate(values)]

    @staticmethod
    def changed(item: Record, **fields: Any) -> Record:
        """The same record with other fields."""
        return msgspec.structs.replace(item, **fields)


@pytest.fixture
def make() -> type[Make]:
    """Makes records and runs of them."""
    return Make


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, Sequence[Record]], Path]:
    """Writes records into a run folder of that name."""

    def write(name: str, records: Sequence[Record]) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for item in records:
            append(folder / "records.jsonl", item)
        return folder

    return write
