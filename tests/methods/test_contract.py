"""What every registered method keeps to. A new method is tested here without a line being added.

The parametrisation runs over the registry; settings and source models come from this folder's conftest.
"""

from __future__ import annotations

import ast
import importlib
from typing import TYPE_CHECKING, Any, get_args

import pytest
import torch

from graftbench import registry, training
from graftbench.contracts import Family, FitLog, Method, Sampler, SourceNeed
from graftbench.samplers import load_sampler, save_sampler
from graftbench.training import source_networks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from torch import nn

METHODS = registry.methods().classes
TRAINED = {name: cls for name, cls in METHODS.items() if cls.family != "reference"}
EVERY_METHOD = pytest.mark.parametrize("name", METHODS)
EVERY_TRAINED_METHOD = pytest.mark.parametrize("name", TRAINED)
BOTH_RESOLUTIONS = pytest.mark.parametrize("resolution", [32, 64])

GROUND = {
    *("budget", "contracts", "environment", "errors", "record", "resources", "samplers", "stats", "training"),
    *("metrics", "nn"),
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
    """The method `freezed` is methods/freezed.py, module graftbench.methods.freezed: one public class, no more."""
    cls = METHODS[name]
    assert cls.__module__ == f"graftbench.methods.{name}"
    assert registry.file_of(cls).parts[-2:] == ("methods", f"{name}.py")
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
    """Saved and loaded, a sampler draws the same images, pixel for pixel."""
    sampler = fitted(name, resolution).sampler
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    loaded = load_sampler(tmp_path / "sampler.safetensors")
    assert type(loaded) is type(sampler)
    assert same_state(loaded, sampler)
    assert torch.equal(loaded.sample(130, rng()), sampler.sample(130, rng()))


@EVERY_METHOD
def test_one_target_image_is_enough(world: Callable[..., Any], name: str) -> None:
    """The smallest data budget there is does not break a method."""
    assert world(32).fit(name, n=1, images=8).sampler.sample(2, rng()).shape == (2, 3, 32, 32)


def test_a_method_that_looks_further_is_caught(world: Callable[..., Any]) -> None:
    """The task used here offers what the contract names; asking for more, or by `hasattr`, fails the test.

    A method that declares no source model is offered none, and only reference rows are offered held-out images.
    """
    scratch, reference = world(32).task(METHODS["dcgan"]), world(32).task(METHODS["source"])
    assert {"target", "reference", "validation", "held_out", "source_model"}.isdisjoint(vars(scratch))
    assert set(vars(reference)) - set(vars(scratch)) == {"source_model", "held_out"}
    with pytest.raises(AssertionError, match="asked its task for 'held_out'"):
        hasattr(scratch, "held_out")
    with pytest.raises(AssertionError, match="asked its task for 'source_model'"):
        _ = scratch.source_model


# ----------------------------------------------------------------------------------------------- frozen and moved


@pytest.mark.parametrize("name", [name for name, cls in TRAINED.items() if cls.source_model == "gan"])
def test_frozen_and_moved(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What is frozen keeps the source model's numbers, buffers included; each trained parameter and its buffers move.

    Frozen is what wants no gradient. A buffer belongs to the innermost block that has parameters: batch norm's
    statistics to batch norm, the vectors of a spectral norm to its weight.
    """
    networks: list[nn.Module] = []
    make_step = training._adversarial_step

    def record(task: Any, config: Any, generator: nn.Module, discriminator: nn.Module) -> Any:
        networks[:] = generator, discriminator
        return make_step(task, config, generator, discriminator)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(training, "_adversarial_step", record)
    fit = world(32).fit(name)
    started = source_networks(fit.task.source_model, 32)
    assert networks, f"{name} does not train on the shared loop: extend this test"
    frozen = 0
    for network, start in zip(networks, started, strict=True):
        for module_name, module in network.named_modules():
            moves = any(p.requires_grad for p in nearest_parameters(network, module_name))
            frozen += sum(not p.requires_grad for p in module.parameters(recurse=False))
            for own, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                if own in ("_u", "_v") and tensor.numel() == 1:
                    continue  # the direction of a vector of one number is ±1, whatever the weight does
                before = start.get_submodule(module_name).state_dict()[own]
                trains = tensor.requires_grad if own in dict(module.named_parameters(recurse=False)) else moves
                assert torch.equal(tensor, before) != trains, f"{module_name}.{own}"
    assert (frozen > 0) == (METHODS[name].frozen != "nothing")


def nearest_parameters(network: nn.Module, name: str) -> list[nn.Parameter]:
    """The parameters of a module, or of the innermost module around it that has any."""
    while not (found := list(network.get_submodule(name).parameters())):
        name = name.rpartition(".")[0]
    return found
