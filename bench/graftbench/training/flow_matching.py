"""Flow matching: straight paths from noise to images, the step that every flow method shares, and the solver.

A path leads from noise x_0 ~ N(0, I) to an image x_1 (Lipman et al., arXiv 2210.02747, whose time this is; Liu et al.,
arXiv 2209.03003). Time runs the other way than in `graftbench.training.diffusion`: t = 0 is noise, t = 1 the image.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.bounds import AtLeastTwo, Count, Positive, ShareBelowOne
from graftbench.contracts import DenoisingSampler
from graftbench.nn.build import place, seeded
from graftbench.nn.precision import Precision, autocast, resolve
from graftbench.nn.unet import UNetSpec, VelocityUNet
from graftbench.nn.upload import upload
from graftbench.training.loop import (
    Batches,
    TrainingConfig,
    adam,
    descend,
    load_prefixed,
    prepare,
    source_spec,
    train,
    trained,
)
from graftbench.training.samplers import to_float, to_uint8

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import SourceModel, Task
    from graftbench.training.loop import TrainingLog

BATCH = 32
"""Images that are drawn at once: fixed, for the batch size changes the last bits of a convolution."""

Times = Literal["uniform", "logit-normal"]

Solver = Literal["euler", "heun"]


class FlowConfig(TrainingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of every flow method.

    What chose the defaults is in docs/recipes.md.

    Attributes:
        batch_size: Images per step. In a budget of images, half of the other methods' batch is twice the steps.
        ema_decay: The average's ramp (nn/ema.py) makes it short in a short fit; after 10,000 steps it is over 1,000.
        precision: float32 unless asked for, as for diffusion, whose U-Net this is.
        lr: Adam's rate.
        channels: Channels of the U-Net at full resolution, a multiple of 16; those of the source model where one is
            given, and this is then ignored.
        times: How the times of a batch are drawn: `uniform` in [0, 1], or `logit-normal` (arXiv 2403.03206, section
            3.1, with location 0 and scale 1), which draws the middle more often than the ends.
        sampling_steps: Steps of the solver per image.
        solver: `heun` asks the network twice a step, `euler` once.
    """

    batch_size: AtLeastTwo = 16
    ema_decay: ShareBelowOne = 0.999
    precision: Precision = "float32"
    lr: Positive = 2e-3
    channels: Count = 16
    times: Times = "logit-normal"
    sampling_steps: Count = 12
    solver: Solver = "heun"

    def __post_init__(self) -> None:
        UNetSpec(channels=self.channels)  # a ValueError that says what is wrong


def between(noise: Tensor, images: Tensor, t: Tensor) -> Tensor:
    """Return x_t = (1 − t) x_0 + t x_1 (arXiv 2210.02747, eq. 22 with σ_min = 0): B×… twice and B -> B×…."""
    share = t.view(-1, *[1] * (images.ndim - 1))
    return (1 - share) * noise + share * images


def draw_times(n: int, times: Times, generator: torch.Generator) -> Tensor:
    """Draw n times in [0, 1], float32 on the CPU: uniform, or the logistic function of a standard normal."""
    if times == "uniform":
        return torch.rand(n, generator=generator)
    return torch.randn(n, generator=generator).sigmoid()


def fit_flow(
    task: Task,
    budget: Meter,
    config: FlowConfig,
    unet: VelocityUNet,
    *,
    plain: Callable[[VelocityUNet], VelocityUNet] = lambda unet: unet,
) -> FlowSampler:
    """Minimise ‖(x_1 − x_0) − v_θ(x_t, t)‖² over the task's images until the budget is spent.

    Conditional flow matching (arXiv 2210.02747, eq. 23 with σ_min = 0; arXiv 2209.03003, eq. 1): x_0 is fresh noise,
    x_1 an image, t a time of `config.times`; the mean over the numbers of an image, not their sum.

    Args:
        task: Images, device, randomness, log.
        budget: Ends the loop.
        config: Rate, EMA, times, how images are drawn.
        unet: Trained in place where it wants gradients.
        plain: Makes a network without parametrisations of an averaged one that has some, and leaves that as it is.

    Returns:
        A sampler that follows the averaged velocity.

    Raises:
        Diverged: A loss is not finite or has exploded.
    """
    prepare(task, unet=unet)
    optimizer = adam(trained(unet), lr=config.lr, beta1=0.9, beta2=0.999)
    task.keep(adam=optimizer)
    dtype, batches = resolve(config.precision, task.device), Batches(task.images, task.generator)

    def step(size: int, log: TrainingLog) -> bool:
        x = batches.draw(size)
        t = upload(draw_times(size, config.times, task.generator), task.device)
        noise = upload(torch.randn(x.shape, generator=task.generator), task.device)
        with autocast(dtype, task.device):
            velocity = unet(between(noise, x, t), t)
        loss = F.mse_loss(velocity, x - noise)
        descend(optimizer, loss)
        log.add(velocity=loss)
        return True

    # no log.look: a step generates nothing that could have collapsed
    return train(task, budget, config, step, unet, sampler=lambda average: flow_sampler(plain(average), config))


def new_velocity(task: Task, config: FlowConfig) -> VelocityUNet:
    """Make a U-Net with fresh weights, from the task's generator of randomness."""
    return seeded(lambda: VelocityUNet(UNetSpec(task.resolution, channels=config.channels)), task.generator)


def source_velocity(model: SourceModel, resolution: int) -> VelocityUNet:
    """Load the averaged U-Net of a source model of kind `flow`.

    Raises:
        GraftbenchError: The model is of another kind, resolution or architecture.
    """
    unet = VelocityUNet(source_spec(model, "velocity", UNetSpec, resolution))
    load_prefixed(unet, model, "velocity")
    return unet


def train_source(task: Task, budget: Meter, config: FlowConfig) -> dict[str, nn.Module]:
    """Train a source model of kind `flow`: the averaged U-Net."""
    return {"velocity": fit_flow(task, budget, config, new_velocity(task, config)).network}


def source_sampler(model: SourceModel, resolution: int) -> FlowSampler:
    """Make a sampler of the untransferred U-Net, with the default settings of sampling.

    Raises:
        GraftbenchError: The model is of another kind, resolution or architecture.
    """
    return flow_sampler(source_velocity(model, resolution), FlowConfig())


Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x_t: B×…, t: float32 B) -> the velocity there, of the shape of x_t."""


def follow(velocity: Velocity, x: Tensor, *, steps: int, solver: Solver) -> Tensor:
    """Solve dx/dt = v(x, t) from t = 0 to 1 in equal steps.

    Euler: x ← x + h v(x, t). Heun: v is averaged over the step's start and over where Euler's step ends
    (arXiv 2206.00364, algorithm 1, with this ODE).

    Args:
        velocity: v.
        x: x_0: B×….
        steps: How many.
        solver: Which.
    """
    edges = torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()
    for now, after in itertools.pairwise(edges):
        slope = velocity(x, torch.full((len(x),), now, device=x.device))
        if solver == "heun":
            end = velocity(x + (after - now) * slope, torch.full((len(x),), after, device=x.device))
            slope = (slope + end) / 2
        x = x + (after - now) * slope
    return x


class FlowSampler(DenoisingSampler):
    """x_0 ~ N(0, I), taken to t = 1 along the velocity of a U-Net in eval mode and float32, weights channels last."""

    kind: ClassVar[str] = "flow"
    predicts: ClassVar[Literal["noise", "velocity"]] = "velocity"

    def __init__(self, network: VelocityUNet, *, steps: int, solver: Solver) -> None:
        self.network = place(network.eval(), next(network.parameters()).device)
        self.steps = steps
        self.solver: Solver = solver

    def to(self, device: torch.device) -> FlowSampler:
        """Compute on `device` from now on."""
        self.network = self.network.to(device)
        return self

    @torch.inference_mode()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n images: uint8 n×3×H×W on the CPU. All noise is drawn on the CPU, one seed one noise on any device."""
        side, device = self.network.spec.resolution, next(self.network.parameters()).device
        images = torch.empty(n, 3, side, side, dtype=torch.uint8)
        for part in images.split(BATCH):
            x = torch.randn(part.shape, generator=generator).to(device, memory_format=torch.channels_last)
            part.copy_(to_uint8(follow(self.network, x, steps=self.steps, solver=self.solver)))
        return images

    @torch.inference_mode()
    def prediction_errors(self, images: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Return ‖(x_1 − x_0) − v_θ(x_t, t)‖² per number of each image."""
        device, errors = next(self.network.parameters()).device, torch.empty(len(images))
        for part in torch.arange(len(images)).split(BATCH):
            x, x0, t = (each.to(device) for each in (to_float(images[part]), noise[part], times[part]))
            errors[part] = (self.network(between(x0, x, t), t) - (x - x0)).square().flatten(1).mean(dim=1).cpu()
        return errors

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the U-Net's state dict, its architecture, and how images are drawn."""
        spec = msgspec.json.encode(self.network.spec).decode()
        return dict(self.network.state_dict()), {"spec": spec, "steps": str(self.steps), "solver": self.solver}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], metadata: dict[str, str]) -> FlowSampler:
        """Build the architecture and load the weights."""
        network = VelocityUNet(msgspec.json.decode(metadata["spec"], type=UNetSpec))
        network.load_state_dict(tensors)
        solver = msgspec.convert(metadata["solver"], Solver)
        return cls(network, steps=int(metadata["steps"]), solver=solver)


def flow_sampler(unet: VelocityUNet, config: FlowConfig) -> FlowSampler:
    """Make a sampler with a config's settings."""
    return FlowSampler(unet, steps=config.sampling_steps, solver=config.solver)
