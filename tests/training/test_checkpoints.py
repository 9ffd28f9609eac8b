"""Checkpoints: what goes in comes out, what is torn or another fit's is left alone, and a killed cell goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_cells import make_quick_cell
from safetensors.torch import load_file

from graftbench.execution import cell
from graftbench.execution.job import CellJob, write_whole
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.records.cell_spec import ComputeBudget, Protocol
from graftbench.records.record import Record, Status
from graftbench.training.checkpoints import FILE, Checkpoints, GeneratorState, Unusable, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.images.prepared import ImageSet

# ------------------------------------------------------------------------------------------------------- the file


def again(state: Any) -> Any:
    """A state through the file's form and back."""
    tensors, text = pack(state)
    return unpack(tensors, text)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
STATES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=12,
)


@pytest.mark.slow
@given(STATES)
def test_what_goes_in_comes_out(state: object) -> None:
    """Dicts with names or numbers as keys, lists, tuples, numbers to the last bit, strings."""
    assert again(state) == state
    assert repr(again(state)) == repr(state)  # -0.0, and True is not 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.uint8])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4, 5), (2, 1, 3, 3)])
def test_tensors_come_back_as_they_were(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Numbers, type, shape, and the order in memory: channels last, transposed; a tensor may be there twice."""
    tensor = (10 * torch.rand(shape, generator=torch.Generator().manual_seed(0))).to(dtype)
    kinds = [tensor, tensor, tensor.T if tensor.dim() == 2 else tensor.flip(-1) if tensor.dim() else tensor]
    if tensor.dim() == 4:
        kinds.append(tensor.contiguous(memory_format=torch.channels_last))
    for before, after in zip(kinds, again(kinds), strict=True):
        assert after.dtype == before.dtype
        assert after.shape == before.shape
        assert after.stride() == before.stride()
        assert torch.equal(after, before)


def test_tensors_with_gaps_come_back_without() -> None:
    """Every other column, and one row repeated: the numbers are the same."""
    whole = torch.arange(12.0).view(3, 4)
    for view in (whole[:, ::2], whole[:1].expand(5, 4)):
        assert torch.equal(again(view), view)


@pytest.mark.parametrize(("state", "says"), [({1.5: 0}, r"keys.*1\.5"), ({"a": [object()]}, "object"), (b"x", "bytes")])
def test_other_things_are_refused(state: object, says: str) -> None:
    """A state that could not be read back is not written."""
    with pytest.raises(TypeError, match=says):
        pack(state)


class Part:
    """Holds a tensor."""

    def __init__(self, value: float, size: int = 3) -> None:
        self.tensor = torch.full((size,), value)

    def state_dict(self) -> dict[str, Any]:
        """It."""
        return {"tensor": self.tensor}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Copy it."""
        self.tensor.copy_(state["tensor"])


def checkpoints(path: Path, *, own: Part | None = None, said: list[str] | None = None, **other: Any) -> Checkpoints:
    """Of a fit with one part that is always kept."""
    settings: dict[str, Any] = {"identity": {"cell": "a"}, "seconds": 1.0, "own": {"own": own or Part(0)}} | other
    return Checkpoints(path, say=(said if said is not None else []).append, **settings)


def written(path: Path) -> Path:
    """A checkpoint with two parts of 1 and 2."""
    one = checkpoints(path, own=Part(1))
    one.keep(network=Part(2))
    one.write()
    return path


def test_parts_are_restored_by_name(tmp_path: Path) -> None:
    """What was written is loaded into what has the same name; how often it was gone on from is counted."""
    path = written(tmp_path / FILE)
    own, network = Part(0), Part(0)
    for times in (1, 2, 3):
        later = checkpoints(path, own=own)
        later.keep(network=Part(9))
        later.keep(network=network)
        assert later.restore()
        assert (own.tensor[0], network.tensor[0]) == (1, 2)
        assert later.resumed == times
        later.write()


def test_no_file_nothing_restored(tmp_path: Path) -> None:
    """A fit that begins has nothing to say about it."""
    said: list[str] = []
    assert not checkpoints(tmp_path / FILE, said=said).restore()
    assert said == []


def test_a_torn_file_is_left_alone(tmp_path: Path) -> None:
    """Cut anywhere, or filled with zeros: nothing is loaded, and the log says so."""
    whole = written(tmp_path / FILE).read_bytes()
    broken = [whole[:n] for n in range(0, len(whole), 37)] + [whole[:-1], bytes(len(whole)), b"\xff" * 100]
    for data in broken:
        (tmp_path / FILE).write_bytes(data)
        own, said = Part(0), list[str]()
        assert not checkpoints(tmp_path / FILE, own=own, said=said).restore()
        assert own.tensor[0] == 0
        assert "is damaged" in said[0] or "cannot be read" in said[0]


def test_a_flipped_bit_starts_the_fit_anew(tmp_path: Path) -> None:
    """In a tensor, in the state or in the header: nothing is loaded, and the log says so."""
    whole = written(tmp_path / FILE).read_bytes()
    for i in range(0, len(whole), 11):
        (tmp_path / FILE).write_bytes(whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :])
        own, said = Part(0), list[str]()
        assert not checkpoints(tmp_path / FILE, own=own, said=said).restore()
        assert own.tensor[0] == 0
        assert "left alone" in said[0]


@pytest.mark.parametrize("name", [FILE, f"{FILE}.part"])
def test_a_folder_of_its_name_costs_checkpoints_alone(name: str, tmp_path: Path) -> None:
    """The fit is healthy: it goes on without, the log says so once, and the folder stays."""
    (tmp_path / name / "deep").mkdir(parents=True)
    said: list[str] = []
    later = checkpoints(tmp_path / FILE, said=said, clock=iter(range(100)).__next__)
    assert not later.restore()
    before = len(said)
    later.write()
    assert "cannot be written (Is a directory)" in said[before]
    assert not later.due()
    assert (tmp_path / name / "deep").is_dir()


def test_another_fits_file_is_left_alone(tmp_path: Path) -> None:
    """Another cell, another code, another torch: not gone on from, and the log says whose it is."""
    path, said = written(tmp_path / FILE), list[str]()
    assert not checkpoints(path, identity={"cell": "b"}, said=said).restore()
    assert "of another fit" in said[0]
    assert "'a'" in said[0]


@pytest.mark.parametrize(
    ("parts", "says"),
    [({}, "it holds network; the fit keeps $"), ({"net": Part(0)}, "keeps net"), ({"network": Part(0, 5)}, "size")],
)
def test_a_file_that_does_not_fit_is_unusable(tmp_path: Path, parts: dict[str, Part], says: str) -> None:
    """A part too many or too few, or of another size: an error, for some parts may have been loaded already."""
    later = checkpoints(written(tmp_path / FILE))
    later.keep(**parts)
    with pytest.raises(Unusable, match=says):
        later.restore()


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while it is written leaves the one before."""
    path = written(tmp_path / FILE)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints(path, own=Part(7)).write()
    assert path.read_bytes() == before


def test_when_one_is_due(tmp_path: Path) -> None:
    """Every five seconds since the start or the last one; never where 0 was asked for."""
    now = [100.0]
    some = checkpoints(tmp_path / FILE, seconds=5.0, clock=lambda: now[0])
    never = checkpoints(tmp_path / FILE, seconds=0, clock=lambda: now[0])
    due = []
    for _ in range(12):
        now[0] += 1
        due.append(some.due())
        if due[-1]:
            some.write()
        assert not never.due()
    assert due == [False, False, False, False, True] * 2 + [False, False]


def test_a_generator_goes_on() -> None:
    """The draws after it was loaded are those that would have come."""
    generator, other = torch.Generator().manual_seed(3), torch.Generator()
    torch.rand(5, generator=generator)
    state = again(GeneratorState(generator).state_dict())
    GeneratorState(other).load_state_dict(state)
    assert torch.equal(torch.rand(5, generator=generator), torch.rand(5, generator=other))


# -------------------------------------------------------------------------------------------------------- a cell


@pytest.fixture(scope="module")
def target(shared_cache: Path) -> ImageSet:
    """OpenMoji at 32 px."""
    return prepared.load(registry.make_domain("openmoji"), "openmoji", 32, shared_cache)


@pytest.fixture
def job(target: ImageSet, shared_cache: Path, tmp_path: Path) -> Callable[..., CellJob]:
    """`job(name, **fields)`: a cell of a GAN from scratch on eight steps, in a folder of that name."""
    spec = make_quick_cell(
        "lecam",
        target,
        Protocol(size=32, resize="bicubic-antialias", n_generated=20, metrics=["fid", "kid"]),
        batch_size=4,
        channels_generator=4,
        channels_discriminator=4,
    )

    def make(name: str, **fields: Any) -> CellJob:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        kimg = fields.pop("kimg", None)
        chosen = spec if kimg is None else msgspec.structs.replace(spec, compute_budget=ComputeBudget(kimg=kimg))
        images = {"openmoji": str(target.entry)}
        return CellJob(cell=chosen, folder=str(folder), cache=str(shared_cache), images=images, **fields)

    return make


def run_killed(monkeypatch: pytest.MonkeyPatch, job: CellJob, *, writes: int) -> None:
    """Run a cell that dies right after so many checkpoints, as Ctrl-C would end it: no record is made."""
    count = [0]
    write = Checkpoints.write

    def wrapped(self: Checkpoints) -> None:
        write(self)
        count[0] += 1
        if count[0] == writes:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "write", wrapped)
        with pytest.raises(KeyboardInterrupt):
            cell.run_cell(job)


def same_result(one: Record, other: Record, folders: tuple[Path, Path]) -> bool:
    """Whether two records tell of the same fit, but for wall times, and left the same tensors."""
    samplers = [load_file(folder / "sampler.safetensors") for folder in folders]
    curves = [[(point.images_seen, point.losses) for point in record.curve] for record in (one, other)]
    shots = [[(shot.share, shot.images_seen, shot.scores) for shot in record.snapshots] for record in (one, other)]
    assert one.resources is not None
    assert other.resources is not None
    return (
        all(torch.equal(tensor, samplers[1][name]) for name, tensor in samplers[0].items())
        and (one.scores, curves[0], shots[0]) == (other.scores, curves[1], shots[1])
        and one.resources.images_seen == other.resources.images_seen
        and one.resources.flops_per_image == other.resources.flops_per_image
    )


ALWAYS = 1e-9
"""Seconds after which a checkpoint is due at every step."""


@pytest.mark.slow
def test_a_killed_cell_goes_on(job: Callable[..., CellJob], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Killed twice, a cell leaves what an undisturbed one leaves, snapshots too, and its record says how often."""
    undisturbed = cell.run_cell(job("whole", snapshots=[0.25, 0.75]))
    assert undisturbed.status == Status.OK
    assert not (tmp_path / "whole" / FILE).exists()
    disturbed = job("killed", snapshots=[0.25, 0.75], checkpoint_seconds=ALWAYS)
    for _ in range(2):
        run_killed(monkeypatch, disturbed, writes=3)
    record = cell.run_cell(disturbed)
    assert same_result(undisturbed, record, (tmp_path / "whole", tmp_path / "killed"))
    assert (tmp_path / "whole/progress.png").read_bytes() == (tmp_path / "killed/progress.png").read_bytes()
    note = "The fit went on 2 times from a checkpoint, in another process."
    assert record.notes == [*undisturbed.notes, note]


@pytest.mark.long
def test_a_torn_checkpoint_costs_only_time(
    job: Callable[..., CellJob], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Cut in half, or of other parts than the fit has: it starts anew, says so, and the result is whole."""
    whole = cell.run_cell(job("whole"))
    disturbed = job("killed", checkpoint_seconds=ALWAYS)
    path = tmp_path / "killed" / FILE
    run_killed(monkeypatch, disturbed, writes=3)
    good = path.read_bytes()
    identity = {"cell": disturbed.cell.id, "device": "cpu", "torch": torch.__version__}
    other = Checkpoints(path, identity=identity, seconds=1, own={})
    other.write()
    for data, says in ((good[: len(good) // 2], "is damaged"), (path.read_bytes(), "does not go with the fit")):
        path.write_bytes(data)
        record = cell.run_cell(disturbed)
        assert same_result(whole, record, (tmp_path / "whole", tmp_path / "killed"))
        assert record.notes == whole.notes
        assert says in capfd.readouterr().err


def test_a_full_disk_is_not_the_cells_result(job: Callable[..., CellJob], monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that cannot be written for want of space ends the run, as any other file would."""

    def full(_: Checkpoints) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoints, "write", full)
    with pytest.raises(OSError, match="No space"):
        cell.run_cell(job("full", checkpoint_seconds=ALWAYS))


@pytest.mark.long
def test_a_cells_process_is_killed_for_real(job: Callable[..., CellJob], tmp_path: Path) -> None:
    """SIGKILL at some moment after the first checkpoint; the next process in the folder goes on."""
    work = {"kimg": 0.8, "checkpoint_seconds": 0.2}
    whole, killed = job("whole", **work), job("killed", **work)
    for one in (whole, killed):
        write_whole(Path(one.folder) / "job.json", one)
    command = [sys.executable, "-m", "graftbench.execution.worker"]
    with subprocess.Popen([*command, f"{killed.folder}/job.json"], stderr=subprocess.DEVNULL) as process:
        give_up = time.monotonic() + 60
        while not (tmp_path / "killed" / FILE).exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    records = []
    for one in (whole, killed):
        subprocess.run([*command, f"{one.folder}/job.json"], check=True, capture_output=True)
        records.append(msgspec.json.decode((Path(one.folder) / "result.json").read_bytes(), type=Record))
    assert same_result(records[0], records[1], (tmp_path / "whole", tmp_path / "killed"))
    assert records[1].notes == [*records[0].notes, "The fit went on once from a checkpoint, in another process."]
