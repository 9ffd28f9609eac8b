"""What every registered method keeps to. A new method is tested here without a line being added.

The rules are those of `graftbench.checks.method`, which `graftbench check` holds anyone's plugin to; the
parametrisation runs over the registry. What holds in this repository alone is stated here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest

from graftbench.checks.method import CHECKS
from graftbench.checks.method_subject import same_state
from graftbench.checks.method_text import is_own
from graftbench.checks.resuming import fit_on
from graftbench.plugins import registry
from graftbench.training import diffusion, flow_matching, samplers, translation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.checks.check import Check
    from graftbench.checks.method_subject import MethodSubject

DIVERGING = ("dcgan", "vae", "ddpm", "cyclegan")
"""One of each loop: of the others `divergence` is looked at where there is time."""

FITTED_AGAIN = (*DIVERGING, "gatys", "lora", "pix2pix", "projected", "gaussian", "source")
"""One of each kind of network or sampler: of the others one fit is looked at, and more of them where there is time."""

MORE_FITS = ("one seed, one fit", "another seed, another fit", "one image", "killed and gone on with")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let samplers make eight images at once, so that ten need several batches."""
    for module in (samplers, translation, diffusion, flow_matching):
        monkeypatch.setattr(module, "BATCH", 8)


def late(name: str, check: Check[MethodSubject]) -> bool:
    """Return whether a check waits for `make test-all`."""
    again = check.name in MORE_FITS or check.name.endswith("at a second size")
    return (again and name not in FITTED_AGAIN) or (check.name == "divergence" and name not in DIVERGING)


METHODS = registry.methods().classes
TRAINED = {name: cls for name, cls in METHODS.items() if cls.family != "reference" and not cls.adapter}
EVERY_METHOD = pytest.mark.parametrize("name", METHODS)
APPLYING = [
    pytest.param(name, check, id=f"{name}-{check.name}", marks=pytest.mark.slow if late(name, check) else ())
    for check in CHECKS
    for name, cls in METHODS.items()
    if not check.unless(cls)
]


@pytest.mark.parametrize(("name", "check"), APPLYING)
def test_contract(subject: Callable[[str], MethodSubject], name: str, check: Check[MethodSubject]) -> None:
    """Every rule that applies to a method is kept; the rule is the docstring of the check's function."""
    assert list(check.look(subject(name))) == []


def test_every_method_is_held_to_every_rule_of_its_family() -> None:
    """None slips through by a reason not to apply: of trained methods all rules hold but for three that depend."""
    optional = {"killed and gone on with", "translation", "divergence"}
    everything = {check.name for check in CHECKS} - optional
    for name, cls in TRAINED.items():
        if not cls.origin:
            assert {check.name for check in CHECKS if not check.unless(cls)} >= everything, name


# ---------------------------------------------------------------------------------------------- in this repository


def test_nothing_is_broken() -> None:
    """Every file in methods/ imports, and each defines one method or none."""
    assert registry.methods().broken == {}
    files = [registry.file_of(cls) for cls in METHODS.values()]
    assert len(set(files)) == len(files)


@EVERY_METHOD
def test_file(name: str) -> None:
    """The method `freeze-g` is methods/freeze_g.py, module graftbench.methods.freeze_g: one public class, no more."""
    cls = METHODS[name]
    file = name.replace("-", "_")
    assert cls.name == name
    assert cls.__module__ == f"graftbench.methods.{file}"
    assert registry.file_of(cls).parts[-2:] == ("methods", f"{file}.py")
    module = importlib.import_module(cls.__module__)
    assert module.__doc__
    assert [value for value in vars(module).values() if is_own(value, module)] == [cls]


@pytest.mark.parametrize("name", TRAINED)
def test_budgets_and_logs_of_trainings(fitted: Callable[..., Any], name: str) -> None:
    """Ours ask the meter for every batch, name their networks and leave a curve: none has a loop of its own."""
    if TRAINED[name].origin:
        return
    for resolution in (32, 64) if name in FITTED_AGAIN else (32,):
        fit = fitted(name, resolution)
        assert fit.meter.images_seen == 10
        assert fit.meter.flops_per_image
        assert fit.task.log.networks
        assert fit.task.log.curve


@pytest.mark.parametrize("name", [name for name, cls in TRAINED.items() if not cls.resumable and not cls.origin])
def test_what_cannot_go_on_says_so(world: Callable[..., Any], tmp_path: Path, name: str) -> None:
    """Ours write checkpoints where they promise that a fit can go on from them, and nowhere else."""
    path = tmp_path / "checkpoint.safetensors"
    assert fit_on(world(32), name, path, kill_at=5)[0] is not None
    assert not path.exists()


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
    "a warm-up": ("rick", {"warm_up": 0.7, "fisher_samples": 2}, 9),
    "filters that were chosen": ("rick", {"fisher_samples": 2, "pruned": 0.1}, 13),
    "information before it is measured": ("ewc", {"fisher_samples": 2}, 1),
}
"""What three steps of four images do not reach: method, settings, images seen when it is killed."""


@pytest.mark.slow
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
