"""Runs for the checks of reports: numbers from a formula, statuses of every kind, names that are markup."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
from PIL import Image

from graftbench.records.cell_spec import CellSpec, ComputeBudget, Protocol, TaskSpec
from graftbench.records.record import Record, Resources, Score, Snapshot, Status
from graftbench.records.store import append

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MARKUP = "<script>alert(1)</script>"
"""A method's name that no report may take for its own markup."""

SOMEWHERE = "/home/someone"
"""Home folder on the machine that made the records: no report may print it."""

FAMILIES = {
    "dcgan": "scratch",
    "finetune": "fine-tune",
    "vae": "vae",
    **dict.fromkeys(("oracle", "memorizer", "source"), "reference"),
}
KID = {"dcgan": 0.092, "finetune": 0.041, "vae": 0.12, "oracle": -0.00005, "memorizer": 0.004, "source": 0.3}
"""Method -> KID with 25 images; it falls with the third root of their number."""

PROTOCOL = Protocol(size=96, resize="bicubic-antialias")
IMAGES_BUDGET, TIME_BUDGET = ComputeBudget(kimg=30), ComputeBudget(seconds=60)

TILE, COLUMNS, ROWS = 32, 8, 4


def record(
    method: str = "finetune",
    *,
    budget: int = 25,
    seed: int = 0,
    status: Status = Status.OK,
    compute: ComputeBudget = IMAGES_BUDGET,
    protocol: Protocol = PROTOCOL,
) -> Record:
    """Make one plausible record."""
    cell = CellSpec(
        method=method,
        family=FAMILIES.get(method, "fine-tune"),
        parameters={},
        task=TaskSpec("twemoji", "openmoji", TILE),
        data_budget=budget,
        compute_budget=compute,
        seed=seed,
        protocol=protocol,
    )
    example = Record(
        id=cell.id,
        cell=cell,
        status=status,
        environment={"graftbench": "0.1.0", "executable": f"{SOMEWHERE}/bin/python"},
        finished_at=f"2026-01-02T03:{budget % 60:02d}:{seed:02d}Z",
    )
    if status != Status.OK:
        tail = f'Traceback:\n  File "{SOMEWHERE}/training.py", line 7\nit stopped'
        return msgspec.structs.replace(example, reason=f"The fit ended as {status}.", exit_code=1, log_tail=tail)
    return msgspec.structs.replace(
        example,
        scores=_scores(KID.get(method, 0.05) * (25 / budget) ** (1 / 3) + 0.001 * seed, protocol),
        resources=_resources(seed),
        artifacts={"samples": f"cells/{cell.id}/samples.png"},
    )


def _scores(kid: float, protocol: Protocol) -> list[Score]:
    values = {"fid": 18 + 1900 * abs(kid), "kid": kid, "inception_score": 6.5 - 20 * abs(kid)}
    return [
        Score(
            name=name,
            value=value,
            standard_error=0.05 * abs(value),
            interval=(value - 0.1 * abs(value), value + 0.1 * abs(value)),
            method="jackknife",
            floor=0.9 * value,
            n_generated=600,
            n_reference=0 if name == "inception_score" else 620,
            protocol=protocol.label,
        )
        for name, value in values.items()
    ]


def _resources(seed: int) -> Resources:
    return Resources(
        device="cpu",
        fit_seconds=40.0 + seed,
        images_seen=30_000,
        training_images_per_second=750.0 - seed,
        sampling_images_per_second=2300.0,
        peak_memory_mib=840.0 + seed,
        memory_kind="resident",
        parameters_total=1_900_000,
        parameters_trained=1_900_000,
        flops_per_image=4.1e8,
    )


# ----------------------------------------------------------------------------------------------------------- cases


def whole() -> list[Record]:
    """Make records of six methods, two data budgets, two compute budgets, two seeds; one cell diverged.

    Fits that are not references were looked at half way.
    """
    records = [
        record(method, budget=budget, seed=seed, compute=compute)
        for compute in (IMAGES_BUDGET, TIME_BUDGET)
        for method in FAMILIES
        for budget in (25, 400)
        for seed in (0, 1)
    ]
    records = [one if one.cell.family == "reference" else _looked_at(one) for one in records]
    lost = next(one for one in reversed(records) if one.cell.method == "dcgan")
    diverged = record("dcgan", budget=400, seed=1, compute=TIME_BUDGET, status=Status.DIVERGED)
    return [*(one for one in records if one is not lost), diverged]


def _looked_at(ended: Record) -> Record:
    """Add a snapshot half way, where the KID was twice that of the end."""
    scores = _scores(2 * KID[ended.cell.method], ended.cell.protocol)
    snapshot = Snapshot(share=0.5, images_seen=15_000, seconds=20.0, scores=scores)
    return msgspec.structs.replace(ended, snapshots=[snapshot])


def one_cell() -> list[Record]:
    """Make a record of one method, task, budget and seed."""
    return [record()]


def one_seed() -> list[Record]:
    """Make records of two methods and a reference row."""
    return [record(name) for name in ("finetune", "vae", "oracle")]


def only_references() -> list[Record]:
    """Make records among which no method competes."""
    return [record(name) for name in ("oracle", "memorizer")]


def all_failed() -> list[Record]:
    """Make a record of every way to end badly, nothing else."""
    bad = [status for status in Status if status != Status.OK]
    return [record("dcgan", seed=seed, status=status) for seed, status in enumerate(bad)]


def one_failed() -> list[Record]:
    """Make records in which all cells of one of two methods failed."""
    return [
        *(record("vae", seed=seed) for seed in (0, 1)),
        *(record("dcgan", seed=seed, status=Status.OOM) for seed in (0, 1)),
    ]


def undefined_scores() -> list[Record]:
    """Make records of cells that ended well without one number to show for it."""
    records = []
    for name in ("finetune", "vae"):
        ended = record(name)
        empty = [msgspec.structs.replace(score, value=None, undefined="too few images") for score in ended.scores]
        records.append(msgspec.structs.replace(ended, scores=empty, resources=None))
    return [*records, msgspec.structs.replace(record("dcgan"), scores=[])]


def infinite_numbers() -> list[Record]:
    """Make errors, intervals, floors and costs that are no numbers: other programs write records, too."""
    records = []
    for name in ("finetune", "vae", "memorizer"):
        ended = record(name)
        wild = [
            msgspec.structs.replace(
                score, standard_error=math.inf, interval=(-math.inf, math.inf), floor=math.nan, value=score.value
            )
            for score in ended.scores
        ]
        cost = Resources(device="cpu", fit_seconds=math.inf, images_seen=0, peak_memory_mib=math.nan)
        records.append(msgspec.structs.replace(ended, scores=wild, resources=cost))
    return records


def unknown_scores() -> list[Record]:
    """Make scores of a metric that only a plugin knows, with a name that is markup."""
    scores = [Score(name=f"own{MARKUP}|_$", value=0.5, n_generated=9, n_reference=0, protocol="x")]
    return [msgspec.structs.replace(record(name), scores=scores) for name in ("finetune", "vae")]


def strange_names() -> list[Record]:
    """Give methods names of markup, tabs, terminal colours, emoji and more: names are printed, not obeyed."""
    names = [MARKUP, r"a_b%c\d{e}$", "long " * 100, "tab\tand\x1b[31mred", "\u202eoverride", "🦊", "|a|", "=1+1"]
    records = [record(name, seed=seed) for name in names for seed in (0, 1)]
    return [*records, record(MARKUP, budget=100, status=Status.ERROR)]


def two_protocols() -> list[Record]:
    """Make records of two protocols, whose numbers do not compare."""
    other = Protocol(size=48, resize="bicubic-antialias")
    return [record(name, protocol=protocol) for protocol in (PROTOCOL, other) for name in ("finetune", "vae")]


CASES: dict[str, Callable[[], list[Record]]] = {
    case.__name__.replace("_", " "): case
    for case in (
        *(one_cell, one_seed, only_references, all_failed, one_failed, undefined_scores, infinite_numbers),
        *(unknown_scores, strange_names, two_protocols),
    )
}
"""Runs that a report must be able to render, beside one that went well."""


def write_run(folder: Path, records: Sequence[Record]) -> Path:
    """Write a run folder with sample sheets: suite.toml, records.jsonl, cells/."""
    folder.mkdir(parents=True)
    (folder / "suite.toml").write_text(f'name = "checked"\ncells = {len(records)}\n', "utf-8")
    for one in records:
        append(folder / "records.jsonl", one)
    write_sheets(folder, records)
    return folder


def write_sheets(folder: Path, records: Sequence[Record]) -> None:
    """Write the sample sheets of these records: each of one colour, which follows from the cell's id."""
    for one in records:
        if "samples" in one.artifacts:
            sheet = folder / one.artifacts["samples"]
            sheet.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (COLUMNS * TILE, ROWS * TILE), f"#{one.id[:6]}").save(sheet)
