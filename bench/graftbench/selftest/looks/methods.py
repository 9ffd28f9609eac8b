"""Every method for a few steps: its losses against the CPU's, twice the same, gone on from a checkpoint, saved.

What is drawn at random is drawn on the CPU, so the device differs in its rounding alone.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from graftbench.checks.fixtures import worlds
from graftbench.checks.method_subject import MethodSubject
from graftbench.checks.resuming import fit_on
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.selftest.finding import judged, skipped
from graftbench.selftest.rounding import FACTOR, REPEATS, UNIT_FLOAT32, RoundedProducts, allowance, unit_of
from graftbench.training.checkpoints import Checkpoints
from graftbench.training.samplers import load_sampler, save_sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from graftbench.checks.fixtures import World
    from graftbench.contracts import Method, Sampler
    from graftbench.selftest.finding import Bench, SelftestFinding

IMAGES, KILLED_AT = 12, 4
"""Three steps of four images; the fit that is killed ends after the first."""

QUICK = ("dcgan", "vae", "ddpm", "finetune", "gatys")
"""One of each loop: the methods of the short form, and those that are looked at in full where the device is a CPU."""

ROUNDING_STEPS = 64
"""A loss may be off by so many roundings of itself besides: it is a float32 mean that is summed in another order."""

LEVELS, PIXELS = 2, 0.999
"""Two samplers of one state on two devices draw the same picture if this share of all values is within so many
levels of 255: rounding to whole levels turns a difference in the last bits into one level, seldom two."""


def look(bench: Bench) -> Iterator[SelftestFinding]:
    """Look at every method whose needs are met."""
    with_source = worlds(bench.cache, bench.folder / "sources")
    for name, cls in registry.methods().classes.items():
        if bench.quick and name not in QUICK:
            continue
        if cls.adapter:
            yield skipped("methods", name, "it stands for a program or a model from elsewhere, which is not here")
            continue
        yield from _look_at(bench, cls, with_source)
    if bench.quick:
        rest = len(registry.methods().classes) - len(QUICK)
        yield skipped("methods", f"{rest} more methods", "the short form looks at one of each loop")


@dataclass(frozen=True)
class Course:
    """What a fit left: its losses at each point of the log, and samples."""

    curve: list[dict[str, float]]
    samples: torch.Tensor
    sampler: Sampler


def _look_at(bench: Bench, cls: type[Method], with_source: Callable[[int], World]) -> Iterator[SelftestFinding]:
    subject = MethodSubject(cls, with_source, bench.folder)
    if not subject.sides():
        yield skipped("methods", cls.name, "its defaults take none of the sides that are tried")
        return
    on_cpu = with_source(subject.side())
    on_device = replace(on_cpu, device=bench.device.torch_device)
    try:
        reference = course(on_cpu, cls, "float32")
    except GraftbenchError as error:
        yield skipped("methods", cls.name, f"its needs are not met here: {error}")
        return
    try:
        yield from _losses(bench, cls, on_cpu, on_device, reference)
        one = course(on_device, cls, "float32") if bench.device.is_gpu else reference
        # On a CPU the fit that is killed and goes on is the second one of most methods.
        if bench.device.is_gpu or cls.name in QUICK or not cls.resumable:
            yield _determinism(cls, one, course(on_device, cls, "float32"))
        yield from _checkpoints(bench, cls, on_device, one)
        yield _saved(bench, cls, one)
    except Exception as error:  # noqa: BLE001 - the other methods are looked at all the same
        words = str(error).splitlines() or [""]
        yield judged(
            "methods", cls.name, ok=False, found=f"{type(error).__name__}: {words[0][:300]}", expected="a fit that ends"
        )


def course(
    world: World, cls: type[Method], precision: str, within: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> Course:
    """Fit a method for three steps and draw seven samples.

    Args:
        world: Where the task is from.
        cls: The method.
        precision: `float32` or `bfloat16`, for a method that has the setting.
        within: Entered around the fit alone.
    """
    with within():
        fit = world.fit(cls, images=IMAGES, **_precision(cls, precision))
    return Course([losses for _, _, losses in fit.task.log.curve], drawn(fit.sampler, world), fit.sampler)


def _precision(cls: type[Method], precision: str) -> dict[str, Any]:
    return {"precision": precision} if "precision" in cls.Config.__struct_fields__ else {}


def drawn(sampler: Sampler, world: World) -> torch.Tensor:
    """Draw seven samples with a seed on the world's device."""
    return sampler.to(world.device).sample(7, torch.Generator().manual_seed(0))


def disturbed(world: World, cls: type[Method], unit: float) -> list[Course]:
    """Fit on the CPU with disturbed products, a few times."""
    rngs = [torch.Generator().manual_seed(1000 + repeat) for repeat in range(REPEATS)]
    return [course(world, cls, "float32", lambda rng=rng: RoundedProducts(unit, rng)) for rng in rngs]


def farthest(
    reference: list[dict[str, float]], other: list[dict[str, float]], around: list[list[dict[str, float]]]
) -> tuple[float, str]:
    """Return by how many times a loss exceeds what it may be off by, at the most, and which loss that is.

    Args:
        reference: Losses of the reference fit, a dict for each point of its log.
        other: Those of the fit under test.
        around: Those of the disturbed fits.

    Returns:
        At most 1 is within the bounds; infinity where points or names differ, or a loss is not finite.
    """
    if [set(losses) for losses in reference] != [set(losses) for losses in other]:
        return math.inf, "other losses, or more or fewer points"
    worst, where = 0.0, "no losses"
    for index, losses in enumerate(reference):
        for name, value in losses.items():
            spread = allowance(fit[index][name] - value for fit in around)
            allowed = spread + ROUNDING_STEPS * UNIT_FLOAT32 * max(1.0, abs(value))
            difference = abs(other[index][name] - value)
            excess = difference / allowed if math.isfinite(difference) else math.inf
            if excess >= worst:
                worst, where = excess, f"{name} at point {index + 1}: {other[index][name]:.6g} for {value:.6g}"
    return worst, where


def _losses(
    bench: Bench, cls: type[Method], on_cpu: World, on_device: World, reference: Course
) -> Iterator[SelftestFinding]:
    """Compare the losses in each precision with the CPU's in float32."""
    if not reference.curve:
        yield skipped("methods", f"{cls.name}: losses", "it has no losses")
        return
    precisions = ["float32", "bfloat16"] if "precision" in cls.Config.__struct_fields__ else ["float32"]
    for precision in precisions:
        if precision == "float32" and not bench.device.is_gpu:
            yield skipped("methods", f"{cls.name}: losses in float32", "the device is the CPU they are compared with")
            continue
        if not bench.device.is_gpu and cls.name not in (QUICK[:1] if bench.quick else QUICK):
            yield skipped("methods", f"{cls.name}: losses in {precision}", "on a CPU few methods stand for all")
            continue
        unit = unit_of(precision, is_gpu=bench.device.is_gpu)
        around = [fit.curve for fit in disturbed(on_cpu, cls, unit)]
        excess, where = farthest(reference.curve, course(on_device, cls, precision).curve, around)
        yield judged(
            "methods",
            f"{cls.name}: losses in {precision}",
            ok=excess <= 1,
            found=f"{excess:.2g} of what rounding allows ({where})",
            expected=f"at most 1: {FACTOR:g} times what disturbed products move them",
            excess=excess,
        )


def _determinism(cls: type[Method], one: Course, other: Course) -> SelftestFinding:
    """Compare two fits with one seed."""
    same = one.curve == other.curve and torch.equal(one.samples, other.samples)
    return judged(
        "methods",
        f"{cls.name}: one seed, twice",
        ok=same,
        found="the same to the bit" if same else f"other numbers: {one.curve[-1:]} and {other.curve[-1:]}",
        expected="the same losses and samples",
    )


def _checkpoints(bench: Bench, cls: type[Method], world: World, whole: Course) -> Iterator[SelftestFinding]:
    """Kill a fit after its first step, and go on; then show its checkpoint to a fit on another device."""
    if not cls.resumable:
        return
    path = bench.folder / f"{cls.name}.checkpoint.safetensors"
    path.unlink(missing_ok=True)
    settings = _precision(cls, "float32")
    fit_on(world, cls, path, kill_at=KILLED_AT, images=IMAGES, **settings)
    resumed, _, _ = fit_on(world, cls, path, images=IMAGES, **settings)
    assert resumed is not None
    a, b = drawn(resumed, world), whole.samples
    same = torch.equal(a, b)
    yield judged(
        "methods",
        f"{cls.name}: killed and gone on",
        ok=same,
        found="the samples of the undisturbed fit" if same else f"{int((a != b).sum())} of {a.numel()} values differ",
        expected="the samples of the undisturbed fit",
    )
    said: list[str] = []
    identity = {"method": cls.name, "device": "another"}
    refused = not Checkpoints(path, identity=identity, seconds=1, own={}, say=said.append).restore()
    yield judged(
        "methods",
        f"{cls.name}: a checkpoint of another device",
        ok=refused and any("another fit" in sentence for sentence in said),
        found=" ".join(said)[:200] or "it was loaded",
        expected="it is left alone, and that is said",
    )


def _saved(bench: Bench, cls: type[Method], made: Course) -> SelftestFinding:
    """Save the device's sampler and load it on the CPU."""
    path = bench.folder / f"{cls.name}.sampler.safetensors"
    save_sampler(made.sampler, path)
    loaded = load_sampler(path).sample(len(made.samples), torch.Generator().manual_seed(0))
    near = float(((loaded.int() - made.samples.int()).abs() <= LEVELS).float().mean())
    return judged(
        "methods",
        f"{cls.name}: its sampler on the CPU",
        ok=near >= PIXELS,
        found=f"{100 * near:.2f} % of all values within {LEVELS} levels",
        expected=f"at least {100 * PIXELS:.1f} %",
        share=near,
    )
