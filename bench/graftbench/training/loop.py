"""The loop that every trained method shares: batches until the budget is spent, an average, a log, an end in time.

What a step does belongs to the families (`adversarial`, `autoencoding`, `diffusion`, `flow_matching`) and to
the methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import torch

from graftbench.bounds import AtLeastTwo, ShareBelowOne
from graftbench.contracts import Diverged, Sampler
from graftbench.errors import GraftbenchError
from graftbench.nn.build import place, train_unfrozen
from graftbench.nn.ema import Ema
from graftbench.nn.precision import Precision
from graftbench.nn.upload import upload
from graftbench.training.samplers import below, to_float

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor, nn

    from graftbench.budget import Meter
    from graftbench.contracts import SourceModel, Task

Net = TypeVar("Net", bound="nn.Module")
Made = TypeVar("Made", bound=Sampler)

LOG_POINTS = 50
"""Points of a training log."""

EXPLOSION = 1e6
"""A loss this many times larger than at the start of a training (and than 1) has exploded."""

GREY_LEVEL = 2 / 255
"""One step of an 8-bit pixel in [−1, 1]."""

COLLAPSE_BATCH = 4
"""Fewer images than these say nothing about a collapse."""


class TrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of every trained method.

    Attributes:
        batch_size: Images per step.
        ema_decay: Decay of the averaged network per step, with a ramp (see nn/ema.py).
        precision: `auto` (bfloat16 where the hardware has it), `float32` or `bfloat16`.
    """

    batch_size: AtLeastTwo = 32
    ema_decay: ShareBelowOne = 0.998
    precision: Precision = "auto"


def train(
    task: Task, budget: Meter, config: TrainingConfig, step: Step, network: Net, *, sampler: Callable[[Net], Made]
) -> Made:
    """Take steps until the budget is spent.

    Between steps the task may take snapshots and write checkpoints. The loop keeps its own average and log; networks
    are kept by `prepare`, stages by `staged`, and what else a step changes must be kept where it is made
    (`Task.keep`): optimisers, and a method's own memory.

    Args:
        task: Whose log is written.
        budget: Ends the loop.
        config: Batch size and decay of the average.
        step: Takes a step on so many images, tells the log its losses, and says whether `network` moved.
        network: What is averaged over the steps that moved it.
        sampler: Makes a sampler of the averaged copy, which is in eval mode; called for every snapshot too, so it
            leaves what is trained as it is.

    Returns:
        The sampler.

    Raises:
        Diverged: A loss is not finite or has exploded, or the output collapsed.
    """
    note_small_budget(task, config.batch_size)
    ema = Ema(network, decay=config.ema_decay)
    log = TrainingLog(task, budget)
    task.keep(average=ema, losses=log)
    task.resume(budget)
    for size in budget.batches(config.batch_size):
        task.snapshot(budget, lambda: sampler(ema.model))
        task.checkpoint(budget)
        if step(size, log):
            ema.update(network)
    log.write()
    return sampler(ema.model)


def staged(task: Task, budget: Meter, stages: Sequence[tuple[float, Callable[[], Step]]]) -> Staged:
    """Make a step that changes with the share of the budget that is spent.

    Args:
        task: Keeps the stage.
        budget: Whose share decides.
        stages: (share at which the stage ends, maker of its step), in order. A maker is called when its stage begins,
            so it may freeze, copy or measure what the stage before has left. The last stage lasts to the end. A fit
            that goes on from a checkpoint calls the makers again up to the stage it was in, before any state is
            loaded: what a maker measures must lie in what is kept, so that the loaded state replaces it.
    """
    step = Staged(budget, stages)
    task.keep(stages=step)
    return step


class Staged:
    """A step that changes with the share of the budget that is spent; made by `staged`."""

    def __init__(self, budget: Meter, stages: Sequence[tuple[float, Callable[[], Step]]]) -> None:
        self._budget, self._stages = budget, list(stages)
        self._made: list[int] = []
        self._stage = 0
        self._current: Step | None = None

    def __call__(self, size: int, log: TrainingLog) -> bool:
        """Take a step of the stage that the budget is in."""
        while self._stage < len(self._stages) - 1 and self._budget.share() >= self._stages[self._stage][0]:
            self._stage, self._current = self._stage + 1, None
        return (self._current or self._make())(size, log)

    def _make(self) -> Step:
        self._made.append(self._stage)
        self._current = self._stages[self._stage][1]()
        return self._current

    def rebuild(self, state: dict[str, Any]) -> None:
        """Call those makers again that had been called."""
        for self._stage in state["made"]:
            self._make()

    def state_dict(self) -> dict[str, Any]:
        """Return the stages that were begun; stages that were skipped are not among them."""
        return {"made": list(self._made)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Check that `rebuild` has begun the same stages; nothing else is left to do."""
        assert state["made"] == self._made


def prepare(task: Task, **networks: nn.Module) -> None:
    """Bring networks to the task's device, their unfrozen parts into training mode, and their names into the log.

    Whatever takes part is named, frozen backbones too: the record counts parameters, what moved is tested by name, and
    checkpoints keep it.
    """
    for network in networks.values():
        place(network, task.device)
        train_unfrozen(network)
    task.log.watch(**networks)
    task.keep(**{f"network.{name}": network for name, network in networks.items()})


def adam(weights: Iterable[nn.Parameter], *, lr: float, beta1: float, beta2: float) -> torch.optim.Adam:
    """Make Adam as all methods here use it: one call for all tensors, a quarter of the time of `foreach`."""
    return torch.optim.Adam(list(weights), lr=lr, betas=(float(beta1), float(beta2)), fused=True)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step down the loss. Only the optimiser's own weights get gradients."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    loss.backward(inputs=weights)
    optimizer.step()


def trained(*modules: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that move."""
    return [p for module in modules for p in module.parameters() if p.requires_grad]


def load_prefixed(network: nn.Module, model: SourceModel, prefix: str) -> None:
    """Load the tensors `prefix.*` of a source model into a network.

    Raises:
        GraftbenchError: Names or shapes do not match.
    """
    try:
        network.load_state_dict(below(prefix, model.tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())  # torch's message has lines and tabs
        raise GraftbenchError(f"Source model {model.id} is of another architecture ({prefix}): {reason}") from error


Spec = TypeVar("Spec", bound=msgspec.Struct)


def source_spec(model: SourceModel, name: str, kind: type[Spec], resolution: int) -> Spec:
    """Return the architecture of one network of a source model, as its metadata describes it.

    Raises:
        GraftbenchError: It has no such network, or one of another resolution.
    """
    try:
        spec = msgspec.json.decode(model.metadata[name], type=kind)
    except (KeyError, msgspec.MsgspecError) as error:
        networks = ", ".join(sorted(model.metadata.keys() - {"id", "recipe", "origin", "parts"})) or "nothing"
        raise GraftbenchError(
            f"Source model {model.id} does not describe a network '{name}'; it describes {networks}."
        ) from error
    side = getattr(spec, "resolution", resolution)
    if side != resolution:
        raise GraftbenchError(f"Source model {model.id} is of {side} px ({name}); the task needs {resolution}.")
    return spec


class Batches:
    """Draws batches of training images with replacement and turns them into [−1, 1]."""

    def __init__(self, images: Tensor, generator: torch.Generator) -> None:
        self._images, self._generator = images, generator

    def draw(self, n: int) -> Tensor:
        """Draw n images: float32 n×3×H×W in [−1, 1]."""
        choice = torch.randint(len(self._images), (n,), generator=self._generator)
        return to_float(self._images[upload(choice, self._images.device)])


class TrainingLog:
    """Averages losses and writes about LOG_POINTS points over the budget; ends a training that went astray.

    Losses stay on the device and are read only when a point is written: no synchronisation per step.
    """

    def __init__(self, task: Task, budget: Meter) -> None:
        self._log, self._budget = task.log, budget
        self._losses: dict[str, list[tuple[int, Tensor]]] = {}
        self._first: dict[str, float] = {}
        self._points_due = 0
        self._step = 0
        self._look_due = True
        self._collapsed_at: int | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what was added since the last point, and what is remembered of divergence and collapse."""
        losses = {
            name: {"steps": [step for step, _ in entries], "values": torch.stack([loss for _, loss in entries])}
            for name, entries in self._losses.items()
        }
        names = ("first", "points_due", "step", "look_due", "collapsed_at")
        return {"losses": losses} | {name: getattr(self, f"_{name}") for name in names}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state; the points that were written are in the task's log."""
        for name, value in state.items():
            setattr(self, f"_{name}", value)
        self._losses = {
            name: list(zip(entries["steps"], entries["values"].unbind(), strict=True))
            for name, entries in state["losses"].items()
        }

    def add(self, **losses: Tensor) -> None:
        """Add one step's losses (0-dimensional tensors).

        The meter counts a batch when its step is over, so a point that is due is written before the next step's losses
        are added: its losses are those of the images it names.

        Raises:
            Diverged: A loss is not finite, or has exploded.
        """
        due = int(self._budget.share() * LOG_POINTS)
        if due > self._points_due:
            self.write()
            self._points_due = due
        self._step += 1
        for name, loss in losses.items():
            self._losses.setdefault(name, []).append((self._step, loss.detach().float()))

    def look(self, images: Tensor) -> None:
        """Check a batch that was just generated (B×3×H×W in [−1, 1]) for collapse, once per point.

        Raises:
            Diverged: Twice in a row no pixel varied by a grey level over the batch: the output is one image.
        """
        if not self._look_due or len(images) < COLLAPSE_BATCH:
            return
        self._look_due = False
        if images.detach().float().std(dim=0).max() >= GREY_LEVEL:
            self._collapsed_at = None
        elif self._collapsed_at is None:
            self._collapsed_at = self._step + 1
        else:
            raise Diverged(f"the output collapsed at step {self._collapsed_at}: all images of a batch are one image")

    def write(self) -> None:
        """Write a point: each loss's mean over the steps since the last point that had it.

        Raises:
            Diverged: A loss is not finite, or has exploded.
        """
        if not self._losses:
            return
        means = {name: self._mean(name, entries) for name, entries in self._losses.items()}
        self._log.curve.append((self._budget.images_seen, self._budget.seconds(), means))
        self._losses = {}
        self._look_due = True

    def _mean(self, name: str, entries: list[tuple[int, Tensor]]) -> float:
        values = torch.stack([loss for _, loss in entries]).double().cpu()
        bound = EXPLOSION * max(1.0, abs(self._first.setdefault(name, float(values[0]))))
        astray = (~(values.abs() <= bound)).nonzero()  # NaN is not below any bound
        if len(astray):
            index = int(astray[0])
            step, value = entries[index][0], float(values[index])
            verb = "exploded to" if math.isfinite(value) else "is"
            raise Diverged(f"the {name} loss {verb} {value:.3g} at step {step} ({self._budget.images_seen} images)")
        return float(values.mean())


Step = Callable[[int, TrainingLog], bool]
"""Takes a step on so many images, tells the log its losses, and says whether the averaged network moved."""


def check_between(name: str, value: int, least: int, most: int, resolution: int) -> None:
    """Refuse a whole number that images of a side do not allow.

    Args:
        name: Of the parameter.
        value: Its value.
        least: The least value at this side.
        most: The greatest.
        resolution: The side in pixels.

    Raises:
        GraftbenchError: It is less or more; it says what it may be.
    """
    if not least <= value <= most:
        raise GraftbenchError(f"{name} is {least} to {most} at {resolution} px; found {value}.")


def note_small_budget(task: Task, batch_size: int) -> None:
    """Note in the record that a batch holds more images than there are, where it does."""
    n = len(task.images)
    if batch_size > n:
        task.log.notes.append(f"Batches of {batch_size} were drawn with replacement from {n} images.")
