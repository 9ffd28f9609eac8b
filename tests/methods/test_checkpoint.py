"""Generators in files: the same images as the network they were made of, and clear words for what is no generator."""

from __future__ import annotations

import pickle
import shutil
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from random_inputs import rng
from safetensors.torch import save_file
from torch import Tensor, nn

import graftbench
from graftbench.contracts import Diverged, FitLog, LatentSampler, SourceModel
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.records.costs import checked_costs
from graftbench.records.record import Resources
from graftbench.resources.monitor import with_told
from graftbench.training.adversarial import source_networks
from graftbench.training.samplers import GeneratorSampler, load_sampler, read_tensors, save_sampler

if TYPE_CHECKING:
    from graftbench.contracts import Task

Checkpoint = registry.methods()["checkpoint"]

SHIPPED = Path(graftbench.__file__).parent / "training" / "source_models" / "gan-twemoji-32-421463a0edc5.safetensors"

LATENT = 6


@dataclass
class Offered:
    """What a fit looks at."""

    resolution: int = 16
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    log: FitLog = field(default_factory=FitLog)


class Linear(nn.Module):
    """z -> images of 16×16 between −1 and 1, by a fixed matrix; `form` says what becomes of them."""

    def __init__(self, form: str = "", channels: int = 3) -> None:
        super().__init__()
        matrix = torch.randn(LATENT, channels * 16 * 16, generator=torch.Generator().manual_seed(3))
        self.weight = nn.Parameter(matrix, requires_grad=False)
        self.form, self.channels = form, channels

    def forward(self, z: Tensor) -> Any:  # noqa: D102
        x = (z.to(self.weight.dtype) @ self.weight).tanh().unflatten(1, (self.channels, 16, 16))
        forms = {
            "0..1": lambda: (x + 1) / 2,
            "0..255": lambda: ((x + 1) * 127.5).round().to(torch.uint8),
            "beyond": lambda: x * 1.2,
            "nan": lambda: x / 0,
            "pair": lambda: (x, z),
            "flat": lambda: x.flatten(1),
            "noisy": lambda: x * 0.5 + 0.1 * torch.rand_like(x),
        }
        return forms[self.form]() if self.form else x


def traced(module: nn.Module, file: Path, batch: int = 8, dtype: torch.dtype = torch.float32) -> Path:
    """As TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: it grows old
        script: Any = torch.jit.trace(module, torch.zeros(batch, LATENT, dtype=dtype), check_trace=False)
        script.save(str(file))
    return file


def exported(module: nn.Module, file: Path, batch: int = 8) -> Path:
    """As `torch.export` writes it, for this batch alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        torch.export.save(torch.export.export(module, (torch.zeros(batch, LATENT),)), file)
    return file


def fitted(file: Path, task: Offered | None = None, **parameters: Any) -> LatentSampler:
    """Check and fit, as a run does."""
    given = {"file": str(file), "latent": [LATENT], "batch": 8} | parameters
    method = Checkpoint(config_of(Checkpoint.Config, given, "[variants.x]"))
    task = task or Offered()
    method.check(task.resolution)
    return cast("LatentSampler", method.fit(cast("Task", task), cast("Any", None)))


@pytest.mark.long
@pytest.mark.parametrize("ending", ["pt", "pt2"])
def test_it_draws_what_the_network_draws(tmp_path: Path, ending: str) -> None:
    """The shipped source model in a file draws, to the bit, what the reference row `source` draws; loaded too."""
    tensors, metadata = read_tensors(SHIPPED)
    generator, _ = source_networks(SourceModel(metadata["id"], tensors, metadata), 32)
    row = GeneratorSampler(generator)
    latents, file = torch.zeros(128, *row.latent_shape), tmp_path / f"g.{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if ending == "pt":
            script: Any = torch.jit.trace(row.network, latents)
            script.save(str(file))
        else:
            torch.export.save(torch.export.export(row.network, (latents,)), file)
    task = Offered(resolution=32)
    sampler = fitted(file, task, latent=list(row.latent_shape), batch=128)
    assert task.log.parameters_total == sum(p.numel() for p in generator.parameters())
    assert torch.equal(sampler.sample(300, rng()), row.sample(300, rng()))
    save_sampler(sampler, tmp_path / "s.safetensors")
    file.unlink()
    assert torch.equal(load_sampler(tmp_path / "s.safetensors").sample(150, rng()), row.sample(150, rng()))


@pytest.mark.slow
@pytest.mark.parametrize("write", [traced, exported])
def test_ranges_grey_and_numbers(tmp_path: Path, write: Any) -> None:
    """A range is a way to write the same images; one channel is grey; no latent changes what others become."""
    plain = fitted(write(Linear(), tmp_path / "a"))
    images = plain.sample(20, rng())
    assert images.shape == (20, 3, 16, 16)
    assert images.dtype == torch.uint8
    assert plain.latent_shape == (LATENT,)
    latents = torch.randn(5, LATENT, generator=rng())
    assert torch.equal(plain.decode(latents)[3:4], plain.decode(latents[3:4]))
    halves = fitted(write(Linear("0..1"), tmp_path / "b"), range="0..1").sample(20, rng())
    assert torch.equal(halves, images)
    whole = fitted(write(Linear("0..255"), tmp_path / "c"), range="0..255").sample(20, rng())
    assert (whole.int() - images.int()).abs().max() <= 1
    grey = fitted(write(Linear(channels=1), tmp_path / "d")).sample(3, rng())
    assert torch.equal(grey[:, 0], grey[:, 2])


def test_chances_of_its_own_are_fixed(tmp_path: Path) -> None:
    """A generator that draws noise draws the same for the same latents, whatever torch's global generator is at."""
    sampler = fitted(traced(Linear("noisy"), tmp_path / "g.pt"))
    before = torch.random.get_rng_state()
    first = sampler.sample(9, rng())
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(77)
    assert torch.equal(sampler.sample(9, rng()), first)


def test_half_precision(tmp_path: Path) -> None:
    """A model in bfloat16 that takes latents in bfloat16."""
    file = traced(Linear().to(torch.bfloat16), tmp_path / "g.pt", dtype=torch.bfloat16)
    assert fitted(file, dtype="bfloat16").sample(3, rng()).shape == (3, 3, 16, 16)


def test_a_little_beyond_the_range_is_clipped_and_noted(tmp_path: Path) -> None:
    """As published code does that has no tanh at the end."""
    task = Offered()
    fitted(traced(Linear("beyond"), tmp_path / "g.pt"), task)
    assert any("were beyond -1..1 and were clipped" in note for note in task.log.notes)


@pytest.mark.parametrize(
    ("form", "parameters", "message"),
    [
        ("", {"range": "0..1"}, r"numbers from -1 to 1; expected 0\.\.1\. Write range = \"-1\.\.1\"\?"),
        ("0..255", {}, r"from 0 to 255; expected -1\.\.1\. Write range = \"0\.\.255\"\?"),
        ("0..1", {"range": "0..255"}, r"expected 0\.\.255\. Write range = \"0\.\.1\"\?"),
        ("pair", {}, "returns tuple; expected one tensor"),
        ("flat", {}, r"makes \(8, 768\) of 8 latents; expected \(8, 3, side, side\)"),
        ("", {"latent": [7]}, r"does not take torch\.float32 latents of shape \(8, 7\)"),
    ],
)
def test_what_it_makes_is_looked_at(tmp_path: Path, form: str, parameters: dict[str, Any], message: str) -> None:
    """Another range, shape or latent is refused before anything is scored, with what was found."""
    with pytest.raises(GraftbenchError, match=message):
        fitted(traced(Linear(form), tmp_path / "g.pt"), **parameters)


def test_a_range_that_may_be_wrong_is_noted(tmp_path: Path) -> None:
    """Images between 0 and 1 are between −1 and 1 too, and would come out grey."""
    task = Offered()
    fitted(traced(Linear("0..1"), tmp_path / "g.pt"), task)
    assert any('is their range "0..1"' in note for note in task.log.notes)


def test_another_size_and_another_batch(tmp_path: Path) -> None:
    """Nothing is resized; a batch that the program was not exported for is named."""
    with pytest.raises(GraftbenchError, match="images of 16×16; the task's are 32×32"):
        fitted(traced(Linear(), tmp_path / "g.pt"), Offered(resolution=32))
    with pytest.raises(GraftbenchError, match=r"does not take .* of shape \(9, 6\) \(batch and `latent`\)"):
        fitted(exported(Linear(), tmp_path / "g.pt2"), batch=9)


def test_numbers_that_are_none_have_diverged(tmp_path: Path) -> None:
    """The cell's status says so."""
    with pytest.raises(Diverged, match="not finite"):
        fitted(traced(Linear("nan"), tmp_path / "g.pt"))


def test_files_that_are_no_generator(tmp_path: Path) -> None:
    """Each is called what it is, and how to write one stands beside it; nothing is unpickled."""
    torch.save(Linear().state_dict(), tmp_path / "state.pt")
    torch.save(Linear(), tmp_path / "module.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"a": 1}))
    save_file({"a": torch.zeros(2)}, tmp_path / "weights.safetensors")
    (tmp_path / "garbage.pt").write_bytes(b"\0" * 99)
    (tmp_path / "empty.pt").touch()
    shutil.make_archive(str(tmp_path / "other"), "zip", SHIPPED.parent, "__init__.py")
    for name, message in {
        "state.pt": "'state.pt' is what torch.save writes .a state dict has no architecture.*torch.export.save",
        "module.pt": "a pickled module runs whatever it likes",
        "old.pt": "is a pickle",
        "weights.safetensors": "a safetensors file, which has weights and no architecture",
        "garbage.pt": "a file of another kind, and neither",
        "empty.pt": "is empty, and neither",
        "other.zip": "a zip file of other things",
        "nothing.pt": "does not exist",
        "": "is a folder",
    }.items():
        with pytest.raises(GraftbenchError, match=message):
            fitted(tmp_path / name)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """One whose weights are cut off."""
    file = traced(Linear(), tmp_path / "g.pt")
    data = file.read_bytes()
    at = data.index(b"PK\x03\x04", 100) + 200
    file.write_bytes(data[:at] + bytes(300) + data[at + 300 :])
    with pytest.raises(GraftbenchError, match="cannot be loaded as TorchScript"):
        fitted(file)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"latent": []}, "the shape of one z"),
        ({"latent": [0]}, r"latent\[0\] must be at least 1; found 0"),
        ({"range": "0..2"}, "range must be '-1..1', '0..1' or '0..255'; found the text '0..2'"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"costs": {"fit_second": 3}}, "Did you mean 'fit_seconds'"),
    ],
)
def test_parameters_are_looked_at(parameters: dict[str, Any], message: str) -> None:
    """Before a file is."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(Checkpoint.Config, {"file": "g.pt", "latent": [LATENT]} | parameters, "[variants.x]")


def test_costs_are_those_declared(tmp_path: Path) -> None:
    """What loading took is no cost of the generator; what is declared is marked, what is not is not known."""
    task = Offered()
    fitted(traced(Linear(), tmp_path / "g.pt"), task, costs={"fit_seconds": 5400, "device": "A100"})
    loaded = Resources(device="cpu", fit_seconds=0.2, images_seen=0, peak_memory_mib=300.0, memory_kind="resident")
    declared = checked_costs(task.log.declared, "here")
    found = with_told(loaded, measured=task.log.measured, declared=declared)
    assert (found.fit_seconds, found.device, found.peak_memory_mib) == (5400, "A100", None)
    assert found.declared == ["device", "fit_seconds"]
