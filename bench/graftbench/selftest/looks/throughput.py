"""How fast the suite's loop is: beside the same step without the loop, compiled, as a CUDA graph, and a plain DCGAN."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from graftbench.checks.fixtures import worlds
from graftbench.execution.timed_meter import ObservedMeter
from graftbench.plugins import registry
from graftbench.records.cell_spec import ComputeBudget
from graftbench.resources.calibration import peak_flops_per_second
from graftbench.resources.steps import StepTimes
from graftbench.selftest.finding import judged, measured, skipped
from graftbench.selftest.plain_dcgan import LATENT, PlainDcgan
from graftbench.training.adversarial import AdversarialConfig, Adversary, new_networks
from graftbench.training.loop import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graftbench.checks.fixtures import World
    from graftbench.contracts import Task
    from graftbench.resources.steps import StepSummary
    from graftbench.selftest.finding import Bench, SelftestFinding

BATCH = 32

ATTEMPTS = 3

LEAST_SHARE = 0.8
"""The loop averages weights, keeps a log and asks its budget; more than a fifth of a step it must not take."""


class NoLog:
    """Takes the losses of a step and does nothing."""

    def add(self, **losses: torch.Tensor) -> None:
        """Forget them."""

    def look(self, images: torch.Tensor) -> None:
        """Look away."""


def look(bench: Bench) -> Iterator[SelftestFinding]:
    """Time the steps of `dcgan` in each way; every number is that of the steady state."""
    count = 8 if bench.quick else 30 if not bench.device.is_gpu else 300
    world = replace(worlds(bench.cache, bench.folder / "sources")(32), device=bench.device.torch_device)

    # The suite's loop, and its step alone; another process may slow either of them, so there are a few attempts.
    attempts = 0
    while True:
        flops, loop = _loop(bench, world, count)
        bare = _timed(bench, _bare_step(world), count)
        share, attempts = bare.p50 / loop.p50, attempts + 1
        if share >= LEAST_SHARE or attempts >= ATTEMPTS:
            break
    yield judged(
        "throughput",
        "the suite's loop beside its step alone",
        ok=share >= LEAST_SHARE,
        found=f"steps of {1e3 * loop.p50:.2f} and {1e3 * bare.p50:.2f} ms (medians): {100 * share:.0f} % of the speed",
        expected=f"at least {100 * LEAST_SHARE:.0f} %, once in {ATTEMPTS} attempts",
        loop_images_per_second=loop.images_per_second,
        bare_images_per_second=bare.images_per_second,
    )
    peak = peak_flops_per_second(bench.device.name)
    yield measured(
        "throughput",
        "arithmetic of the loop",
        f"{flops * loop.images_per_second / 1e9:.1f} GFLOP/s of {peak / 1e9:.1f} that a product in float32 reaches",
        flops_per_image=flops,
        mfu=flops * loop.images_per_second / peak,
    )

    # Compiled.
    yield from _compiled(bench, world, count)

    # The plain one: other networks, so the arithmetic is what compares.
    plain = PlainDcgan(bench.device.torch_device)
    real, z = _plain_inputs(bench.device.torch_device)
    with FlopCounterMode(display=False) as counter:
        plain.step(real, z)
    per_image = counter.get_total_flops() / BATCH
    timed = _timed(bench, lambda: plain.step(real, z), count)
    yield measured(
        "throughput",
        "a DCGAN written plainly",
        f"{_rate(timed)}, {per_image * timed.images_per_second / 1e9:.1f} GFLOP/s "
        f"(the suite's: {flops * loop.images_per_second / 1e9:.1f})",
        images_per_second=timed.images_per_second,
        flops_per_image=per_image,
    )
    yield from _graph(bench, count)


def _rate(summary: StepSummary) -> str:
    return f"{summary.images_per_second:.0f} images/s"


def _loop(bench: Bench, world: World, count: int) -> tuple[float, StepSummary]:
    """Fit `dcgan` for so many steps; return the operations an image and the times."""
    cls = registry.methods()["dcgan"]
    steps = StepTimes(bench.device.name)
    meter = ObservedMeter(ComputeBudget(kimg=count * BATCH / 1000), [steps])
    cls(cls.Config(batch_size=BATCH)).fit(world.task(cls), meter)
    return meter.flops_per_image or 0.0, _known(steps)


def _bare_step(world: World) -> Callable[[], Any]:
    """Return the step of `dcgan` without loop, average, log and budget."""
    step = _adversary(world.task(registry.methods()["dcgan"]))
    log: Any = NoLog()
    return lambda: step(BATCH, log)


def _adversary(task: Task) -> Adversary:
    config = AdversarialConfig(batch_size=BATCH, loss="non-saturating")
    generator, discriminator = new_networks(task, config)
    prepare(task, generator=generator, discriminator=discriminator)
    return Adversary(task, config, generator, discriminator)


def _compiled(bench: Bench, world: World, count: int) -> Iterator[SelftestFinding]:
    """Time the step with both networks compiled."""
    name = "the step alone, compiled"
    if not bench.device.is_gpu:
        yield skipped("throughput", name, "compiling the step for a CPU takes minutes")
        return
    if bench.quick:
        yield skipped("throughput", name, "not in the short form: compiling takes longer than it")
        return
    step = _adversary(world.task(registry.methods()["dcgan"]))
    for network in (step.generator, step.discriminator):
        network.compile()
    log: Any = NoLog()
    summary = _timed(bench, lambda: step(BATCH, log), count)
    yield measured(
        "throughput",
        name,
        f"{_rate(summary)}; compiling {summary.warmup_seconds:.1f} s",
        images_per_second=summary.images_per_second,
        warmup_seconds=summary.warmup_seconds,
    )


def _graph(bench: Bench, count: int) -> Iterator[SelftestFinding]:
    """Time the plain DCGAN as a CUDA graph: a step that is recorded once and replayed.

    The suite's own step draws its randomness on the CPU, so that one seed is one fit on any device: it cannot be
    recorded.
    """
    name = "a DCGAN written plainly, as a CUDA graph"
    if not bench.device.is_gpu:
        yield skipped("throughput", name, "the device is a CPU")
        return
    device = bench.device.torch_device
    torch.cuda.set_device(device)  # graphs are recorded on the present device
    plain = PlainDcgan(device, capturable=True)
    real, z = _plain_inputs(device)
    aside = torch.cuda.Stream(device)
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):  # what is recorded must have run before, on a stream of its own
        for _ in range(3):
            plain.step(real, z)
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        plain.step(real, z)
    summary = _timed(bench, graph.replay, count)
    yield measured("throughput", name, _rate(summary), images_per_second=summary.images_per_second)


def _plain_inputs(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    real = torch.rand(BATCH, 3, 32, 32, generator=generator) * 2 - 1
    return real.to(device), torch.randn(BATCH, LATENT, 1, 1, generator=generator).to(device)


def _timed(bench: Bench, step: Callable[[], Any], count: int) -> StepSummary:
    times = StepTimes(bench.device.name)
    for _ in range(count):
        times.begin()
        step()
        times.end(BATCH)
    return _known(times)


def _known(times: StepTimes) -> StepSummary:
    summary = times.summary()
    assert summary is not None
    return summary
