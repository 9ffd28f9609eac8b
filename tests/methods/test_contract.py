"""What every registered method keeps to. A new method is tested here without a line being added.

The parametrisation runs over the registry; settings and source models come from this folder's conftest.
"""

from __future__ import annotations

import ast
import importlib
from contextlib import suppress
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, get_args

import pytest
import torch

from graftbench import registry
from graftbench.budget import Meter
from graftbench.checkpoint import Checkpoints, GeneratorState
from graftbench.contracts import Family, FitLog, Method, Sampler, SourceNeed
from graftbench.record import ComputeBudget
from graftbench.samplers import load_sampler, save_sampler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from torch import nn

    from graftbench.contracts import Stateful, Task

METHODS = registry.methods().classes
TRAINED = {name: cls for name, cls in METHODS.items() if cls.family != "reference"}
EVERY_METHOD = pytest.mark.parametrize("name", METHODS)
EVERY_TRAINED_METHOD = pytest.mark.parametrize("name", TRAINED)
BOTH_RESOLUTIONS = pytest.mark.parametrize("resolution", [32, 64])

GROUND = {
    *("budget", "contracts", "environment", "errors", "record", "resources", "samplers", "stats"),
    *("training", "adversarial", "autoencoding", "diffusion", "translation", "paired", "metrics", "nn"),
}
"""What a method's file may import of the core: the floors beneath it. None of them leads to a domain's images."""


def rng(seed: int = 0) -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(seed)


def same_state(a: Sampler, b: Sampler) -> bool:
    """Whether two samplers hold the same numbers, to the bit."""
    (tensors_a, metadata_a), (tensors_b, metadata_b) = a.state(), b.state()
    if metadata_a != metadata_b or tensors_a.keys() != tensors_b.keys():
        return False
    return all(torch.equal(tensor, tensors_b[name]) for name, tensor in tensors_a.items())


# ------------------------------------------------------------------------------------------------------- metadata


def test_nothing_is_broken() -> None:
    """Every file in methods/ imports, and each defines one method or none."""
    assert registry.methods().broken == {}
    files = [registry.file_of(cls) for cls in METHODS.values()]
    assert len(set(files)) == len(files)


@EVERY_METHOD
def test_metadata(name: str) -> None:
    """What README, docs and bibliography are made from is there and in its place."""
    cls = METHODS[name]
    assert cls.name == name == name.lower()
    assert cls.family in get_args(Family)
    assert cls.source_model in get_args(SourceNeed)
    for text in (cls.title, cls.trains, cls.frozen, cls.differs):
        assert text == text.strip() != ""
        assert not text.endswith(".")
    assert cls.reference.authors
    assert cls.reference.title
    assert 1900 < cls.reference.year <= 2100
    assert bool(cls.reference.code) == bool(cls.reference.code_license)
    assert cls.__doc__


@EVERY_METHOD
def test_file(name: str) -> None:
    """The method `freeze-g` is methods/freeze_g.py, module graftbench.methods.freeze_g: one public class, no more."""
    cls = METHODS[name]
    file = name.replace("-", "_")
    assert cls.__module__ == f"graftbench.methods.{file}"
    assert registry.file_of(cls).parts[-2:] == ("methods", f"{file}.py")
    module = importlib.import_module(cls.__module__)
    assert module.__doc__
    assert [value for value in vars(module).values() if is_own_method(value, module)] == [cls]


def is_own_method(value: object, module: ModuleType) -> bool:
    """Whether a module's attribute is a method that the module defines."""
    return isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__


@EVERY_METHOD
def test_config(name: str) -> None:
    """The configuration's defaults construct, are frozen, and unknown parameters are errors."""
    cls = METHODS[name]
    config = cls.Config()
    assert config.__struct_config__.frozen
    assert config.__struct_config__.forbid_unknown_fields
    assert cls().config == config


@EVERY_METHOD
def test_imports_stay_on_their_floor(name: str) -> None:
    """Nothing that could load a domain is imported: the core's ground floors, and neighbours that begin with `_`."""
    for node in ast.walk(ast.parse(registry.file_of(METHODS[name]).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert (node.module or node.names[0].name).startswith("_")
            continue
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else names
        for module in names:
            package, _, rest = module.partition(".")
            assert package != "graftbench" or rest.partition(".")[0] in GROUND, module


# ----------------------------------------------------------------------------------------------------------- fits


@EVERY_METHOD
@BOTH_RESOLUTIONS
def test_samples(fitted: Callable[..., Any], name: str, resolution: int) -> None:
    """Samples are uint8 n×3×R×R on the CPU, finite in number, and one seed draws the same again."""
    sampler = fitted(name, resolution).sampler
    samples = sampler.sample(7, rng())
    assert samples.dtype == torch.uint8
    assert samples.shape == (7, 3, resolution, resolution)
    assert samples.device.type == "cpu"
    assert torch.equal(sampler.sample(7, rng()), samples)
    assert not torch.equal(sampler.sample(7, rng(1)), samples)


@EVERY_TRAINED_METHOD
@BOTH_RESOLUTIONS
def test_budget_is_spent_to_the_image(fitted: Callable[..., Any], name: str, resolution: int) -> None:
    """A budget of 10 images in batches of 4 shows 10, and the first batch's arithmetic is counted."""
    meter = fitted(name, resolution).meter
    assert meter.images_seen == 10
    assert meter.flops_per_image
    assert meter.grant(4) == 0


@pytest.mark.parametrize("name", sorted(METHODS.keys() - TRAINED.keys()))
def test_reference_rows_spend_no_more_than_they_look_at(fitted: Callable[..., Any], name: str) -> None:
    """A reference row stands outside the compute budget: it sees each target image once, or none."""
    assert fitted(name).meter.images_seen in (0, 12)


@EVERY_METHOD
def test_log(fitted: Callable[..., Any], name: str) -> None:
    """What moves is part of what there is; losses are finite and their images grow up to the budget."""
    log: FitLog = fitted(name).task.log
    assert 0 <= log.parameters_trained <= log.parameters_total
    seen = [images for images, _, _ in log.curve]
    assert seen == sorted(set(seen))
    assert all(0 < images <= 10 for images in seen)
    for _, seconds, losses in log.curve:
        assert seconds >= 0
        assert all(torch.isfinite(torch.tensor(loss)) for loss in losses.values())
    if name in TRAINED:
        assert log.curve


@EVERY_METHOD
def test_the_tasks_images_are_left_alone(world: Callable[..., Any], fitted: Callable[..., Any], name: str) -> None:
    """A fit changes neither target nor source images, nor the source model."""
    task, fresh = fitted(name).task, world(32).task(METHODS[name])
    assert torch.equal(task.images, fresh.images)
    if METHODS[name].needs_source_images:
        assert torch.equal(task.source_images, fresh.source_images)
    if METHODS[name].source_model:
        before = fresh.source_model.tensors
        assert all(torch.equal(tensor, before[key]) for key, tensor in task.source_model.tensors.items())


@EVERY_METHOD
def test_one_seed_one_fit(world: Callable[..., Any], fitted: Callable[..., Any], name: str) -> None:
    """The same task seed gives the same sampler to the bit, whatever torch's global generator has been through."""
    first = fitted(name).sampler
    torch.manual_seed(12345)
    second = world(32).fit(name).sampler
    assert same_state(first, second)
    assert torch.equal(first.sample(9, rng()), second.sample(9, rng()))


@EVERY_TRAINED_METHOD
def test_another_seed_another_fit(fitted: Callable[..., Any], name: str) -> None:
    """The task's generator is what a fit draws its chances from."""
    first, other = fitted(name).sampler, fitted(name, 32, 1).sampler
    assert not same_state(first, other)
    assert not torch.equal(first.sample(9, rng()), other.sample(9, rng()))


@EVERY_METHOD
@BOTH_RESOLUTIONS
def test_sampler_comes_back(fitted: Callable[..., Any], tmp_path: Path, name: str, resolution: int) -> None:
    """Saved and loaded, a sampler draws the same images, pixel for pixel; at 32 px more than it draws at once."""
    sampler = fitted(name, resolution).sampler
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    loaded = load_sampler(tmp_path / "sampler.safetensors")
    assert type(loaded) is type(sampler)
    assert same_state(loaded, sampler)
    n = 130 if resolution == 32 else 9
    assert torch.equal(loaded.sample(n, rng()), sampler.sample(n, rng()))


@EVERY_METHOD
def test_one_target_image_is_enough(world: Callable[..., Any], name: str) -> None:
    """The smallest data budget there is does not break a method."""
    assert world(32).fit(name, n=1, images=8).sampler.sample(2, rng()).shape == (2, 3, 32, 32)


def test_a_method_that_looks_further_is_caught(world: Callable[..., Any]) -> None:
    """The task used here offers what the contract names; asking for more, or by `hasattr`, fails the test.

    A method that declares no source model or source images is offered none, and only reference rows are offered
    held-out images.
    """
    scratch, reference = world(32).task(METHODS["dcgan"]), world(32).task(METHODS["source"])
    hidden = {"target", "reference", "validation", "held_out", "source_model", "source_images"}
    assert hidden.isdisjoint(vars(scratch))
    assert set(vars(reference)) - set(vars(scratch)) == {"source_model", "held_out"}
    with pytest.raises(AssertionError, match="asked its task for 'held_out'"):
        hasattr(scratch, "held_out")
    with pytest.raises(AssertionError, match="asked its task for 'source_model'"):
        _ = scratch.source_model


# --------------------------------------------------------------------------------------- interrupted and gone on


class Killed(Exception):  # noqa: N818 - it stands for the end of a process
    """A fit was interrupted."""


def fit_on(
    world: Any, name: str, path: Path, *, kill_at: int | None = None, images: int = 10, **parameters: Any
) -> tuple[Sampler | None, Task, Meter]:
    """A fit that takes a snapshot and writes a checkpoint before every step but the first, and may be killed after it.

    Args:
        world: Where the task is from.
        name: The method.
        path: Its checkpoint, from which it goes on if there is one.
        kill_at: Images seen, from which on it is killed.
        images: Budget.
        **parameters: Settings of the method.
    """
    method = world.method(name, **parameters)
    task, meter = world.task(type(method)), Meter(ComputeBudget(kimg=images / 1000))
    own: dict[str, Stateful] = {"generator": GeneratorState(task.generator), "log": task.log, "meter": meter}
    checkpoints = Checkpoints(path, identity={"method": name}, seconds=1, own=own)

    def checkpoint(budget: Meter) -> None:
        if budget.images_seen:
            with budget.paused():
                checkpoints.write()
        if kill_at is not None and budget.images_seen >= kill_at:
            raise Killed

    def snapshot(budget: Meter, sampler: Callable[[], Sampler]) -> None:
        if budget.images_seen:
            assert sampler().sample(2, rng(7)).shape == (2, 3, 32, 32)

    def resume(_: Meter) -> None:
        assert checkpoints.restore() == (kill_at is None)

    vars(task).update(keep=checkpoints.keep, resume=resume, snapshot=snapshot, checkpoint=checkpoint)
    with suppress(Killed):
        return method.fit(task, meter), task, meter
    return None, task, meter


@EVERY_TRAINED_METHOD
def test_a_killed_fit_goes_on(world: Callable[..., Any], fitted: Callable[..., Any], tmp_path: Path, name: str) -> None:
    """Killed after two of three steps and gone on with elsewhere, a fit leaves what it leaves undisturbed, to the bit.

    Snapshots on the way change nothing either: the undisturbed fit has none. A method that cannot go on says so.
    """
    path = tmp_path / "checkpoint.safetensors"
    unfinished, _, _ = fit_on(world(32), name, path, kill_at=5)
    assert path.exists() == METHODS[name].resumable
    if not METHODS[name].resumable:
        return
    assert unfinished is None
    sampler, task, meter = fit_on(world(32), name, path)
    whole = fitted(name)
    assert sampler is not None
    assert same_state(sampler, whole.sampler)
    assert (meter.images_seen, meter.flops_per_image) == (10, whole.meter.flops_per_image)
    points = [[(seen, losses) for seen, _, losses in log.curve] for log in (task.log, whole.task.log)]
    assert points[0] == points[1]
    assert task.log.notes == whole.task.log.notes
    counts = [(log.parameters_total, log.parameters_trained) for log in (task.log, whole.task.log)]
    assert counts[0] == counts[1]


REMEMBERED = {
    "a probability that adapts": ("ada", {"interval": 2, "target": -1.0}, 13),
    "a probability whose signs are half collected": ("ada", {"interval": 2, "target": -1.0}, 9),
    "a generator's turn": ("wgan-gp", {"discriminator_steps": 3}, 13),
    "full pools": ("cyclegan", {"pool": 3}, 9),
    "a rate that falls": ("bsa", {}, 13),
    "parents before the first generation": ("egan", {"discriminator_steps": 2, "population": 2}, 1),
    "a population": ("egan", {"discriminator_steps": 2, "population": 2, "crossover": True}, 13),
    "the first stage": ("minegan", {"mining_share": 0.7}, 9),
    "a second stage": ("minegan", {"mining_share": 0.2}, 13),
    "probing": ("adam", {"probing": 0.7, "fisher_samples": 2}, 9),
    "information before it is measured": ("ewc", {"fisher_samples": 2}, 1),
}
"""What three steps of four images do not reach: method, settings, images seen when it is killed."""


@pytest.mark.parametrize("case", REMEMBERED)
def test_what_a_method_remembers_goes_on(world: Callable[..., Any], tmp_path: Path, case: str) -> None:
    """Six steps, killed at a moment when the method's own memory matters: the rest is what it would have been."""
    name, parameters, kill_at = REMEMBERED[case]
    path = tmp_path / "checkpoint.safetensors"
    assert fit_on(world(32), name, path, kill_at=kill_at, images=24, **parameters)[0] is None
    sampler, task, _ = fit_on(world(32), name, path, images=24, **parameters)
    whole = world(32).fit(name, images=24, **parameters)
    assert sampler is not None
    assert same_state(sampler, whole.sampler)
    assert task.log.notes == whole.task.log.notes


# ----------------------------------------------------------------------------------------------- frozen and moved


@EVERY_METHOD
@BOTH_RESOLUTIONS
def test_what_is_promised_moves_and_nothing_else(fitted: Callable[..., Any], name: str, resolution: int) -> None:
    """Exactly the parameters that `moves` names change; frozen ones keep every bit, and so do their modules' buffers.

    A buffer belongs to the innermost module that has parameters: batch norm's statistics to batch norm, the vectors
    of a spectral norm to its weight. Buffers of what moves may change, those of what rests may not.
    """
    log, promise = fitted(name, resolution).task.log, METHODS[name].moves
    moved, astray = set(), []
    for prefix, network in log.networks.items():
        parameters = dict(network.named_parameters())
        for key, tensor in network.state_dict().items():
            full = f"{prefix}.{key}"
            changed = not torch.equal(tensor, log.before[full])
            if key in parameters:
                moved |= {full} if changed else set()
                assert torch.isfinite(tensor).all(), full
            elif changed and not any(promised(f"{prefix}.{p}", promise) for p in nearest_parameters(network, key)):
                astray.append(full)
    named = {f"{prefix}.{key}" for prefix, network in log.networks.items() for key, _ in network.named_parameters()}
    assert astray == []
    assert sorted(moved) == sorted(key for key in named if promised(key, promise))
    assert all(any(fnmatch(key, pattern) for key in named) for pattern in promise)
    if name in TRAINED:
        assert log.networks
        assert METHODS[name].frozen == "nothing" or named - moved
        assert METHODS[name].frozen != "nothing" or moved == named


def promised(key: str, patterns: tuple[str, ...]) -> bool:
    """Whether a parameter's name is among those that move."""
    return any(fnmatch(key, pattern) for pattern in patterns)


def nearest_parameters(network: nn.Module, key: str) -> list[str]:
    """The names of the parameters of the innermost module around a buffer that has any."""
    owner = key.rpartition(".")[0]
    while not (found := [name for name, _ in network.get_submodule(owner).named_parameters()]):
        owner = owner.rpartition(".")[0]
    return [f"{owner}.{name}" if owner else name for name in found]


@EVERY_TRAINED_METHOD
def test_parameters_are_counted(fitted: Callable[..., Any], name: str) -> None:
    """The record's counts are those of the networks that took part and of what moved."""
    log, promise = fitted(name).task.log, METHODS[name].moves
    sizes = {f"{n}.{key}": p.numel() for n, net in log.networks.items() for key, p in net.named_parameters()}
    assert log.parameters_total == sum(sizes.values())
    assert log.parameters_trained == sum(size for key, size in sizes.items() if promised(key, promise))
