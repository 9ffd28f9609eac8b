"""Checks of a method's fits: its budget, its sampler, its log, its chances, the task as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from graftbench.checks.check import Fault
from graftbench.checks.fixtures import BUDGET, IMAGES
from graftbench.checks.method_subject import form, rng, same_state
from graftbench.contracts import LatentSampler, Sampler, TranslatingSampler
from graftbench.training import samplers
from graftbench.training.samplers import load_sampler, save_sampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from graftbench.checks.fixtures import Fit
    from graftbench.checks.method_subject import MethodSubject


def fit(subject: MethodSubject, side_index: int = 0) -> Iterator[Fault]:
    """A fit on twelve images with a budget of ten ends and returns a sampler."""
    sampler = subject.fitted(subject.side(side_index)).sampler
    if not isinstance(sampler, Sampler):
        yield Fault(
            f"fit returned {'None' if sampler is None else f'a {type(sampler).__name__}'}",
            "a graftbench.contracts.Sampler",
            "return a sampler: GeneratorSampler, ImageBankSampler (graftbench.training.samplers), or a class of yours",
        )
    elif subject.cls.kinds[0] != "generate" and not isinstance(sampler, TranslatingSampler):
        yield Fault(
            f"fit returned a {type(sampler).__name__} for a task of the kind {subject.cls.kinds[0]}",
            "a graftbench.contracts.TranslatingSampler",
            "derive the sampler from TranslatingSampler and define `translate`",
        )


def budget(subject: MethodSubject, side_index: int = 0) -> Iterator[Fault]:
    """The budget is spent to the image and not beyond, and the first batch's arithmetic is counted.

    A reference row stands outside it: it sees each target image once, or none.
    """
    meter = subject.fitted(subject.side(side_index)).meter
    if subject.cls.family == "reference":
        if meter.images_seen not in (0, IMAGES):
            spent = f"{meter.images_seen} images were spent by a reference row"
            yield Fault(spent, f"0 or {IMAGES}", "call budget.spend(len(task.images)) once, or never")
        return
    loop = "loop with `for size in budget.batches(batch_size):` and show `size` images in each turn"
    if not meter.asked and not meter.images_seen:
        yield Fault("the fit never asked its budget, nor spent anything of it", f"{BUDGET} images shown", loop)
        return
    if meter.images_seen > BUDGET or (meter.asked and meter.images_seen != BUDGET):
        yield Fault(f"{meter.images_seen} images were shown", f"the budget's {BUDGET}, in batches of any size", loop)
    elif meter.asked and meter.grant(4):
        yield Fault("something of the budget was left", "a fit that goes on until nothing is granted", loop)
    if meter.asked and not meter.flops_per_image:
        yield Fault(
            "no arithmetic was counted in the first batch",
            "operations of torch within the first batch: budgets in gflops end by them",
            loop,
        )


def samples(subject: MethodSubject, side_index: int = 0) -> Iterator[Fault]:
    """Samples are uint8 n×3×R×R on the CPU, and one seed draws the same again, another seed others.

    A reference row may give one image alone, whatever the seed.
    """
    side = subject.side(side_index)
    sampler = subject.fitted(side).sampler
    drawn = sampler.sample(7, rng())
    yield from form(drawn, (7, 3, side, side), "sample(7, generator)")
    if not torch.equal(sampler.sample(7, rng()), drawn):
        yield Fault(
            "two draws with generators of one seed differ",
            "the same images for the same state of the generator",
            "draw every chance in `sample` from the generator that it is given, on the CPU",
        )
    is_constant = subject.cls.family == "reference" and bool((drawn == drawn[0]).all())
    if torch.equal(sampler.sample(7, rng(1)), drawn) and not is_constant:
        yield Fault(
            "two draws with generators of different seeds are the same",
            "other images for another state of the generator",
            "draw latents (or whatever an image depends on) from the generator that `sample` is given",
        )
    if isinstance(sampler, LatentSampler):
        latents = torch.randn(3, *sampler.latent_shape, generator=rng())
        yield from form(sampler.decode(latents), (3, 3, side, side), "decode of three latents")


def log(subject: MethodSubject) -> Iterator[Fault]:
    """Parameters that train are some of all; losses are finite, and their numbers of images grow up to the budget."""
    fitted = subject.fitted()
    log = fitted.task.log
    if not 0 <= log.parameters_trained <= log.parameters_total:
        yield Fault(
            f"{log.parameters_trained} of {log.parameters_total} parameters trained",
            "no more than there are",
            "let task.log.watch count them (graftbench.training.prepare calls it)",
        )
    seen = [images for images, _, _ in log.curve]
    if seen != sorted(set(seen)) or not all(0 < images <= BUDGET for images in seen):
        yield Fault(
            f"points of the curve at {seen} images",
            f"ascending, above 0 and up to the budget's {BUDGET}",
            "append (budget.images_seen, budget.seconds(), losses), or use graftbench.training.train",
        )
    wrong = [losses for _, seconds, losses in log.curve if seconds < 0 or not all(map(_finite, losses.values()))]
    if wrong:
        yield Fault(f"losses {wrong[0]} in the curve", "finite numbers", "raise Diverged where a loss is not finite")
    if fitted.meter.asked and subject.cls.family != "reference" and not log.curve:
        yield Fault(
            "the log has no curve",
            "losses at intervals, so that a reader sees what the training did",
            "graftbench.training.train writes it; else append (images seen, seconds, losses) to task.log.curve",
        )


def _finite(loss: float) -> bool:
    return bool(torch.isfinite(torch.tensor(loss)))


def left_alone(subject: MethodSubject) -> Iterator[Fault]:
    """A fit changes neither target nor source images, nor the pairs, nor the source model."""
    task, fresh = subject.fitted().task, subject.world(subject.side()).task(subject.cls)
    mend = "work on a copy (tensor.clone()), and avoid operations whose names end in _"
    tensors: dict[str, tuple[Tensor, Tensor]] = {"task.images": (task.images, fresh.images)}
    if subject.cls.needs_source_images:
        tensors["task.source_images"] = task.source_images, fresh.source_images
    if subject.cls.kinds[0] != "generate":
        for index, name in enumerate(("the inputs of task.pairs", "the truths of task.pairs")):
            tensors[name] = task.pairs[index], fresh.pairs[index]
    for name, (kept, expected) in tensors.items():
        if not torch.equal(kept, expected):
            yield Fault(f"{name} changed during the fit", "the images as they were", mend)
    if subject.cls.source_model:
        before = fresh.source_model.tensors
        changed = [key for key, tensor in task.source_model.tensors.items() if not torch.equal(tensor, before[key])]
        if changed:
            yield Fault(f"{changed[0]} of task.source_model changed", "the source model as it was", mend)


def comes_back(subject: MethodSubject, side_index: int = 0) -> Iterator[Fault]:
    """Saved as safetensors and loaded, a sampler draws the same images, pixel for pixel; at first more than at once."""
    sampler = subject.fitted(subject.side(side_index)).sampler
    path = subject.folder / f"sampler-{subject.cls.name}.safetensors"
    save_sampler(sampler, path)
    loaded = load_sampler(path)
    if type(loaded) is not type(sampler):
        yield Fault(
            f"a {type(sampler).__name__} came back as a {type(loaded).__name__}",
            "the same class",
            f"give {type(sampler).__name__} a `kind` of its own",
        )
    elif not same_state(loaded, sampler):
        yield Fault(
            "tensors or metadata differ when the sampler was saved and loaded",
            "the same numbers, to the bit",
            "let `state` and `from_state` be each other's inverse; metadata are texts",
        )
    n = 9 if side_index else samplers.BATCH + 2
    if not torch.equal(loaded.sample(n, rng()), sampler.sample(n, rng())):
        yield Fault(
            f"of {n} images drawn from the loaded sampler some differ",
            "the same images, pixel for pixel",
            "keep in `state` all that the images depend on; put networks into eval mode, channels last and float32 in "
            "`__init__` (graftbench.nn.build.place), and sample in batches of a fixed size",
        )


def one_image(subject: MethodSubject) -> Iterator[Fault]:
    """The smallest data budget there is does not break a method: one image, fewer than a batch."""
    sampler, side = subject.again(n=1, images=8).sampler, subject.side()
    yield from form(sampler.sample(2, rng()), (2, 3, side, side), "sample(2, generator) after a fit on one image")


def one_seed(subject: MethodSubject) -> Iterator[Fault]:
    """The same task seed gives the same sampler to the bit, whatever was drawn from torch's global generator before."""
    first = subject.fitted().sampler
    torch.manual_seed(12345)
    before = torch.random.get_rng_state()
    second = subject.again().sampler
    if same_state(first, second) and torch.equal(first.sample(9, rng()), second.sample(9, rng())):
        return
    drew = not torch.equal(torch.random.get_rng_state(), before)
    yield Fault(
        "two fits with one seed left different samplers"
        + (", and torch's global generator was drawn from" if drew else ""),
        "the same numbers, to the bit",
        "draw every chance from task.generator: pass generator=task.generator to torch.rand…, make networks within "
        "graftbench.nn.build.seeded, and leave dropout, `random` and `numpy.random` without a seed alone",
    )


def another_seed(subject: MethodSubject) -> Iterator[Fault]:
    """The task's generator is what a fit draws its chances from: another seed, another sampler."""
    first, other = subject.fitted().sampler, subject.fitted(seed=1).sampler
    if same_state(first, other) or torch.equal(first.sample(9, rng()), other.sample(9, rng())):
        yield Fault(
            "fits with two seeds left the same sampler or the same images",
            "fits that differ by chance, so that intervals over seeds mean something",
            "draw initial weights, batches and noise from task.generator, and set no seed",
        )


def translation(subject: MethodSubject) -> Iterator[Fault]:
    """An output has the truth's form and does not depend on the other inputs of its batch."""
    fitted, side = subject.fitted(), subject.side()
    assert isinstance(fitted.sampler, TranslatingSampler)
    inputs = fitted.task.pairs[0][:4]
    made = fitted.sampler.translate(inputs, rng())
    yield from form(made, (len(inputs), 3, side, side), f"translate of {len(inputs)} inputs")
    turned = fitted.sampler.translate(inputs.flip(0), rng()).flip(0)
    if made.shape == turned.shape and (turned.int() - made.int()).abs().max() > 1 and not _by_chance(fitted, inputs):
        yield Fault(
            "inputs in another order became other images",
            "each input's image, whatever stands beside it (to one grey level)",
            "put networks into eval mode: batch norm with a batch's own statistics mixes its images",
        )


def _by_chance(fitted: Fit, inputs: Tensor) -> bool:
    """Return whether a translation depends on the generator: then the order of inputs may matter."""
    assert isinstance(fitted.sampler, TranslatingSampler)
    return not torch.equal(fitted.sampler.translate(inputs, rng()), fitted.sampler.translate(inputs, rng(1)))
