"""Snapshots: when they are taken, what they hold, and that the fit minds nothing."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from made_cells import make_quick_cell
from PIL import Image
from safetensors.torch import load_file

from graftbench.budget import Meter
from graftbench.execution import cell
from graftbench.execution.job import CellJob
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.records.cell_spec import ComputeBudget, Protocol
from graftbench.records.record import CurvePoint, Record, Score, Snapshot, Status
from graftbench.scoring.score import Scored
from graftbench.scoring.snapshots import Snapshots, protocol_of
from graftbench.training.samplers import ImageBankSampler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.contracts import Sampler
    from graftbench.images.prepared import ImageSet

PROTOCOL = Protocol(size=32, resize="bicubic-antialias", n_generated=20, metrics=["fid", "kid", "authpct"])


class Clock:
    """Moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def bank(grey: int) -> ImageBankSampler:
    """A sampler of images of one grey, 3×2×2."""
    return ImageBankSampler(torch.full((10, 3, 2, 2), grey, dtype=torch.uint8))


def scored(clock: Clock) -> Callable[[Sampler], Scored]:
    """Scoring that takes 100 s and gives the first pixel as KID, and draws from torch's global generator."""

    def score(sampler: Sampler) -> Scored:
        images = sampler.sample(10, torch.Generator().manual_seed(0))
        clock.now += 100
        torch.rand(3)
        kid = Score(name="kid", value=float(images[0, 0, 0, 0]), n_generated=10, n_reference=5, protocol="x")
        return Scored([kid], images, 1.0)

    return score


@pytest.mark.slow
def test_one_at_each_share() -> None:
    """In steps of 10 of 100 images: each share at the first step that begins at or above it, none twice."""
    clock = Clock()
    meter = Meter(ComputeBudget(kimg=0.1), clock=clock)
    snapshots = Snapshots([0.05, 0.2, 0.75], scored(clock))
    taken = []
    for size in meter.batches(10):
        seen = meter.images_seen
        if snapshots.take(meter, lambda: bank(meter.images_seen)):
            taken.append(seen)
        clock.now += size
    assert taken == [10, 20, 80]
    assert [(shot.share, shot.images_seen) for shot in snapshots.taken] == [(0.05, 10), (0.2, 20), (0.75, 80)]
    assert [shot.seconds for shot in snapshots.taken] == [10.0, 20.0, 80.0]
    assert [shot.scores[0].value for shot in snapshots.taken] == [10, 20, 80]
    assert snapshots.kid == 80
    assert meter.seconds() == 100.0
    assert meter.paused_seconds == 300.0


def test_a_step_that_passes_two_shares() -> None:
    """Both get the scores of that moment, from one sampling; a share that only the last step passes gets none."""
    clock = Clock()
    meter = Meter(ComputeBudget(kimg=0.1), clock=clock)
    snapshots = Snapshots([0.1, 0.3, 0.9], scored(clock))
    for _ in meter.batches(50):
        snapshots.take(meter, lambda: bank(1))
    assert [(shot.share, shot.images_seen) for shot in snapshots.taken] == [(0.1, 50), (0.3, 50)]
    assert meter.paused_seconds == 100.0


def test_chances_of_the_process_are_left_alone() -> None:
    """Whatever is drawn from torch's global generator while a snapshot is taken is drawn again after it."""
    clock = Clock()
    meter = Meter(ComputeBudget(kimg=0.1), clock=clock)
    meter.spend(50)
    before = torch.random.get_rng_state()
    assert Snapshots([0.5], scored(clock)).take(meter, lambda: bank(1))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
def test_the_strip_has_a_row_for_each() -> None:
    """Eight images of 2×2 in two rows: 16×4 pixels, the first row of the first snapshot; none without a snapshot."""
    clock = Clock()
    meter = Meter(ComputeBudget(kimg=0.1), clock=clock)
    snapshots = Snapshots([0.1, 0.2], scored(clock))
    assert snapshots.strip() is None
    assert snapshots.kid is None
    for grey in (10, 20):
        meter.spend(10)
        snapshots.take(meter, lambda grey=grey: bank(grey))
    strip = snapshots.strip()
    assert strip is not None
    expected = np.repeat(np.array([10, 10, 20, 20], dtype=np.uint8), 16 * 3).reshape(4, 16, 3)
    assert np.array_equal(np.asarray(strip), expected)


def test_they_go_on_in_another_process() -> None:
    """What was taken is not taken again, and is in the strip and the record."""
    clock = Clock()
    meter = Meter(ComputeBudget(kimg=0.1), clock=clock)
    first = Snapshots([0.1, 0.2], scored(clock))
    meter.spend(10)
    first.take(meter, lambda: bank(1))
    later = Snapshots([0.1, 0.2], scored(clock))
    later.load_state_dict(first.state_dict())
    assert not later.take(meter, lambda: bank(2))
    assert later.taken == first.taken
    assert later.strip() == first.strip()


def test_metrics_of_a_snapshot() -> None:
    """The protocol's but those that look at training images; FID and KID in any case."""
    protocol = msgspec.structs.replace(PROTOCOL, metrics=["default", "memorization"])
    found = protocol_of(protocol)
    assert {"fid", "kid", "precision", "coverage"} <= set(found.metrics)
    assert "authpct" not in found.metrics
    assert msgspec.structs.replace(found, metrics=[]) == msgspec.structs.replace(protocol, metrics=[])
    alone = msgspec.structs.replace(PROTOCOL, metrics=["recall", "authpct"])
    assert protocol_of(alone).metrics == ["recall", "fid", "kid"]


# -------------------------------------------------------------------------------------------------------- a cell


@pytest.fixture(scope="module")
def target(shared_cache: Path) -> ImageSet:
    """OpenMoji at 32 px."""
    return prepared.load(registry.make_domain("openmoji"), "openmoji", 32, shared_cache)


@pytest.fixture
def run(target: ImageSet, shared_cache: Path, tmp_path: Path) -> Callable[..., tuple[Record, Path]]:
    """`run(name, method, **fields)`: a cell on eight steps, run in a folder of that name."""

    def make(name: str, method: str, **fields: Any) -> tuple[Record, Path]:
        small = {"batch_size": 4, "channels_generator": 4, "channels_discriminator": 4}
        spec = make_quick_cell(method, target, PROTOCOL, **(small if method == "dcgan" else {}))
        folder = tmp_path / name
        folder.mkdir()
        images = {"openmoji": str(target.entry)}
        job = CellJob(cell=spec, folder=str(folder), cache=str(shared_cache), images=images, **fields)
        record = cell.run_cell(job)
        assert record.status == Status.OK, record.reason
        return record, folder

    return make


@pytest.mark.slow
def test_a_cell_with_snapshots_is_the_cell_without(run: Callable[..., tuple[Record, Path]]) -> None:
    """Sampler and scores are the same to the bit; what is more is the learning curve, the strip and the progress."""
    (plain, bare), (watched, folder) = run("plain", "dcgan"), run("watched", "dcgan", snapshots=[0.25, 0.5, 0.75])
    one, other = (load_file(where / "sampler.safetensors") for where in (bare, folder))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert plain.scores == watched.scores
    assert plain.snapshots == []
    assert watched.artifacts.keys() - plain.artifacts.keys() == {"progress"}
    assert [(shot.share, shot.images_seen) for shot in watched.snapshots] == [(0.25, 8), (0.5, 16), (0.75, 24)]
    final = {score.name: score for score in watched.scores}
    for shot in watched.snapshots:
        assert {"fid", "kid"} <= {score.name for score in shot.scores} < set(final)
        assert all(score.full_name == final[score.name].full_name for score in shot.scores if not score.n_train)
        assert all(score.floor == final[score.name].floor for score in shot.scores)
    seconds = [shot.seconds for shot in watched.snapshots]
    assert watched.resources is not None
    assert 0 < seconds[0] < seconds[1] < seconds[2] < (watched.resources.fit_seconds or 0)
    assert watched.artifacts["progress"] == f"cells/{watched.id}/progress.png"
    with Image.open(folder / "progress.png") as strip:
        assert strip.size == (8 * 32, 3 * 32)
    said = json.loads((folder / "progress.json").read_bytes())
    assert said.keys() == {"share", "images_seen", "images_per_second", "kid", "phase", "curve", "snapshots"}
    assert msgspec.convert(said["curve"], list[CurvePoint]) == watched.curve
    assert msgspec.convert(said["snapshots"], list[Snapshot]) == watched.snapshots
    assert (said["share"], said["images_seen"], said["phase"]) == (1.0, 32, "score")
    assert said["kid"] == next(score.value for score in watched.snapshots[-1].scores if score.name == "kid")


@pytest.mark.slow
def test_scoring_does_not_count_as_fitting(
    run: Callable[..., tuple[Record, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot that takes two seconds and holds 256 MiB leaves time and peak of the fit as they are."""
    plain, _ = run("plain", "dcgan")
    score = cell._score

    def heavy(*arguments: Any, **others: Any) -> Scored:
        if not others.get("train"):
            torch.ones(256 * 2**20, dtype=torch.uint8)
            time.sleep(2)
        return score(*arguments, **others)

    monkeypatch.setattr(cell, "_score", heavy)
    watched, _ = run("watched", "dcgan", snapshots=[0.5])
    assert plain.resources is not None
    assert watched.resources is not None
    assert plain.resources.fit_seconds is not None
    assert watched.resources.fit_seconds is not None
    assert watched.resources.fit_seconds < plain.resources.fit_seconds + 2
    if watched.resources.peak_memory_mib and plain.resources.peak_memory_mib:
        assert watched.resources.peak_memory_mib < plain.resources.peak_memory_mib + 192


PICTURES = {"samples.png", "progress.png", "neighbors.png", "interpolation.png"}
"""What a cell with a latent space and snapshots leaves beside log and sampler."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keep", "files"), [("samples", PICTURES), ("nothing", set()), ("sampler", {"sampler.safetensors", *PICTURES})]
)
def test_what_is_kept(run: Callable[..., tuple[Record, Path]], keep: str, files: set[str]) -> None:
    """`nothing` leaves neither sampler nor pictures, `samples` no sampler; the record names what there is."""
    record, folder = run(keep, "dcgan", keep=keep, snapshots=[0.5])
    assert {file.name for file in folder.iterdir()} - {"progress.json"} == files
    named = {path.rpartition("/")[2] for path in record.artifacts.values()}
    assert named == files | {"log.txt"}
    assert len(record.snapshots) == 1


@pytest.mark.slow
def test_a_method_without_the_loop_has_none(run: Callable[..., tuple[Record, Path]]) -> None:
    """A reference row has no way, only an end."""
    record, folder = run("row", "gaussian", snapshots=[0.5], checkpoint_seconds=1e-9)
    assert record.snapshots == []
    assert "progress" not in record.artifacts
    assert not (folder / "checkpoint.safetensors").exists()


def test_progress_is_written_at_most_every_two_seconds(tmp_path: Path) -> None:
    """Asked every half second, it writes at 0, 2 and 4 s; at once when a snapshot is new. The curve's newest points."""
    clock, path, written = Clock(), tmp_path / "progress.json", []
    file, meter = cell.ProgressFile(path, clock), Meter(ComputeBudget(kimg=0.1), clock=clock)
    meter.grant(1)
    for _ in range(10):
        file.tell(meter, [], None)
        if path.exists():
            written.append((clock.now, json.loads(path.read_bytes())["images_per_second"]))
            path.unlink()
        clock.now += 0.5
        meter.spend(5)
    assert written == [(0.0, 0.0), (2.0, 10.0), (4.0, 10.0)]
    snapshots = Snapshots([], lambda _: pytest.fail("no snapshot is due"))
    kid = Score(name="kid", value=0.5, n_generated=8, n_reference=9, protocol="lite0@96")
    snapshots.taken.append(Snapshot(share=0.5, images_seen=40, seconds=4.0, scores=[kid]))
    curve = [(seen, seen / 10, {"generator": float(seen)}) for seen in range(1, 301)]
    file.tell(meter, curve, snapshots, at_once=True)
    found = json.loads(path.read_bytes())
    assert [point["images_seen"] for point in found.pop("curve")] == list(range(101, 301))
    assert msgspec.convert(found.pop("snapshots"), list[Snapshot]) == snapshots.taken
    assert found == {"share": 0.5, "images_seen": 50, "images_per_second": 10.0, "kid": 0.5, "phase": "fit"}
