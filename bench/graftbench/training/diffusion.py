"""Denoising diffusion: the forward process, the step that every diffusion method shares, and the sampler."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.bounds import Count, Positive, Share
from graftbench.contracts import DenoisingSampler
from graftbench.nn.build import place, seeded
from graftbench.nn.precision import Precision, autocast, resolve
from graftbench.nn.schedule import ScheduleName, ScheduleSpec
from graftbench.nn.unet import DenoisingUNet, DenoisingUNetSpec
from graftbench.nn.upload import upload
from graftbench.training.foreign import ForeignUNet, ForeignUNetSpec, is_foreign, unet_of
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
    from graftbench.training.foreign import AnyUNet
    from graftbench.training.loop import TrainingLog

BATCH = 32
"""Images that are denoised at once: fixed, for the batch size changes the last bits of a convolution."""


class DiffusionConfig(TrainingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of every diffusion method.

    Attributes:
        precision: As everywhere; float32 unless asked for, because bfloat16 does not pay at 16 channels on a CPU: group
            norm, attention and the conversions between take more than the convolutions gain (116 against 95 ms a step
            of 32 images at 32 px, measured).
        lr: Adam's rate. The paper's 2e-4 is for 36 M parameters and 800,000 steps; of 1e-3, 2e-3 and 4e-3 the higher
            one leaves the smaller loss after 250 steps; 2e-3 is a compromise with a source model's 10,000.
        schedule: `cosine` or `linear` (nn/schedule.py). At small sides the linear one leaves too little of an image
            in most of its levels (arXiv 2102.09672, section 3.2).
        timesteps: Noise levels T (the paper's 1000).
        channels: Channels of the U-Net at full resolution, a multiple of 16. Schedule, levels and channels are those of
            the source model where one is given, and these three are then ignored.
        sampling_steps: Denoising steps per image, at most T. arXiv 2010.02502 measures 10 to 1000 (table 1).
        eta: Share of the ancestral noise when sampling: 1 is DDPM, 0 is DDIM, deterministic given x_T. In few
            steps a network trained for long does better without the noise (arXiv 2010.02502, table 1); here, after 250
            steps the two score alike, after 750 (Twemoji, Fréchet distance 1486 against 1549) it is better with it.
    """

    precision: Precision = "float32"
    lr: Positive = 2e-3
    schedule: ScheduleName = "cosine"
    timesteps: Count = 1000
    channels: Count = 16
    sampling_steps: Count = 25
    eta: Share = 1.0

    def __post_init__(self) -> None:
        if self.sampling_steps > self.timesteps:
            raise ValueError(
                f"sampling_steps must be at most timesteps ({self.timesteps}); found {self.sampling_steps}"
            )
        DenoisingUNetSpec(channels=self.channels)  # a ValueError that says what is wrong


def diffuse(x: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε (arXiv 2006.11239, eq. 4): B×3×H×W twice and B -> B×3×H×W."""
    share = alpha_bar[:, None, None, None]
    return share.sqrt() * x + (1 - share).sqrt() * noise


@dataclass(frozen=True)
class DenoisingPass:
    """What a step on a batch has computed, for terms of a method's own.

    Attributes:
        images: x_0, B×3×H×W in [−1, 1].
        noisy: x_t.
        t: Noise levels, int64 B.
        alpha_bar: ᾱ_t, B.
        noise: The noise predicted in x_t, with gradient.
    """

    images: Tensor
    noisy: Tensor
    t: Tensor
    alpha_bar: Tensor
    noise: Tensor


DenoisingTerm = Callable[[DenoisingPass], dict[str, Tensor]]
"""What a step computed -> weighted losses that are added, by name."""


def clean_image(noisy: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return x̃_0 = (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t, the image that a prediction of the noise implies, clipped to [−1, 1].

    arXiv 2006.11239, eq. 15; the clipping is that of its published code: B×3×H×W twice and B -> B×3×H×W.
    """
    share = alpha_bar[:, None, None, None]
    return ((noisy - (1 - share).sqrt() * noise) / share.sqrt()).clamp(-1, 1)


def fit_diffusion(
    task: Task, budget: Meter, config: DiffusionConfig, unet: AnyUNet, *, terms: Sequence[DenoisingTerm] = ()
) -> DiffusionSampler:
    """Minimise ‖ε − ε_θ(x_t, t)‖² over the task's images until the budget is spent.

    L_simple of arXiv 2006.11239 (eq. 14): t is uniform, every noise level weighs the same; the mean over the numbers
    of an image, not their sum.

    Args:
        task: Images, device, randomness, log.
        budget: Ends the loop.
        config: Rate, EMA, how the sampler denoises. The schedule is the network's.
        unet: Trained in place where it wants gradients.
        terms: Losses of a method's own, added to it.

    Returns:
        A sampler that denoises with averaged weights.

    Raises:
        Diverged: A loss is not finite or has exploded.
    """
    prepare(task, unet=unet)
    optimizer = adam(trained(unet), lr=config.lr, beta1=0.9, beta2=0.999)
    task.keep(adam=optimizer)
    dtype, batches = resolve(config.precision, task.device), Batches(task.images, task.generator)

    def step(size: int, log: TrainingLog) -> bool:
        x = batches.draw(size)
        t = upload(torch.randint(len(unet.alpha_bars), (size,), generator=task.generator), task.device)
        noise = upload(torch.randn(x.shape, generator=task.generator), task.device)
        alpha_bar = unet.alpha_bars[t]
        noisy = diffuse(x, noise, alpha_bar)
        with autocast(dtype, task.device):
            predicted = unet(noisy, t)
        losses = {"denoising": F.mse_loss(predicted, noise)}
        computed = DenoisingPass(x, noisy, t, alpha_bar, predicted)
        for term in terms:
            losses |= term(computed)
        descend(optimizer, torch.stack(list(losses.values())).sum())
        log.add(**losses)
        return True

    # no log.look: a step generates nothing that could have collapsed
    return train(task, budget, config, step, unet, sampler=lambda average: sampler_of(average, config))


def new_unet(task: Task, config: DiffusionConfig) -> DenoisingUNet:
    """Make a U-Net with fresh weights, from the task's generator of randomness."""
    schedule = ScheduleSpec(config.schedule, config.timesteps)
    spec = DenoisingUNetSpec(task.resolution, channels=config.channels, schedule=schedule)
    return seeded(lambda: DenoisingUNet(spec), task.generator)


def source_unet(model: SourceModel, resolution: int) -> AnyUNet:
    """Load the averaged U-Net of a source model, or that of a pipeline from elsewhere.

    Raises:
        GraftbenchError: The model is of another resolution or architecture, or a package is missing.
    """
    kind = ForeignUNetSpec if is_foreign(model.metadata.get("unet", "{}")) else DenoisingUNetSpec
    spec = source_spec(model, "unet", kind, resolution)
    unet = DenoisingUNet(spec) if isinstance(spec, DenoisingUNetSpec) else ForeignUNet(spec)
    load_prefixed(unet, model, "unet")
    return unet


def train_source(task: Task, budget: Meter, config: DiffusionConfig) -> dict[str, nn.Module]:
    """Train a source model of kind `diffusion`: the averaged U-Net."""
    return {"unet": fit_diffusion(task, budget, config, new_unet(task, config)).network}


def source_sampler(model: SourceModel, resolution: int) -> DiffusionSampler:
    """Make a sampler of the untransferred U-Net, with the default settings of sampling.

    Raises:
        GraftbenchError: The model is of another resolution or architecture.
    """
    return sampler_of(source_unet(model, resolution), DiffusionConfig())


Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(x_t: B×…, t: int64 B) -> the noise in x_t, of its shape."""


def visited(timesteps: int, steps: int) -> list[int]:
    """Return the noise levels at which a sampler denoises: `steps` of them, evenly spaced from T − 1 down to 0.

    Both ends are visited. The spacing of arXiv 2010.02502 (multiples of T/steps) begins at a lower level than the
    noise it is given has (arXiv 2305.08891, section 3.3).
    """
    return [round(t) for t in torch.linspace(timesteps - 1, 0, steps, dtype=torch.float64).tolist()]


def ddim_step(x: Tensor, noise: Tensor, now: float, after: float, eta: float) -> tuple[Tensor, float]:
    """Return mean and standard deviation of x at the next lower noise level (arXiv 2010.02502, eq. 12 and 16).

    The clean image that the prediction implies is clipped to [−1, 1], as in the published code of arXiv 2006.11239,
    and the noise is recomputed from it.

    Args:
        x: Images at noise level `now`.
        noise: The noise predicted in them.
        now: ᾱ of x.
        after: ᾱ of the next level; 1 is the clean image.
        eta: 0: no new noise. 1: as much as the posterior q(x_{t−1} | x_t, x_0) has (DDPM's smaller σ²).
    """
    clean = ((x - math.sqrt(1 - now) * noise) / math.sqrt(now)).clamp(-1, 1)
    noise = (x - math.sqrt(now) * clean) / math.sqrt(1 - now)
    sigma = eta * math.sqrt((1 - after) / (1 - now) * (1 - now / after))
    return math.sqrt(after) * clean + math.sqrt(max(0.0, 1 - after - sigma**2)) * noise, sigma


def denoise(
    network: Denoiser, alpha_bars: Tensor, x: Tensor, *, steps: int, eta: float, generator: torch.Generator
) -> Tensor:
    """Take pure noise to images in `steps` steps.

    Args:
        network: Predicts the noise.
        alpha_bars: ᾱ of every noise level that the network knows, T.
        x: x_T ~ N(0, I): B×3×H×W.
        steps: How many of the levels are visited.
        eta: Share of the ancestral noise.
        generator: On the CPU; draws that noise.
    """
    times = visited(len(alpha_bars), steps)
    levels = [*alpha_bars[times].tolist(), 1.0]
    for t, (now, after) in zip(times, itertools.pairwise(levels), strict=True):
        x, sigma = ddim_step(x, network(x, torch.full((len(x),), t, device=x.device)), now, after, eta)
        if sigma > 0:
            x = x + sigma * torch.randn(x.shape, generator=generator).to(x)
    return x


class DiffusionSampler(DenoisingSampler):
    """x_T ~ N(0, I), denoised by a U-Net in eval mode and float32; its weights lie channels last (GeneratorSampler)."""

    kind: ClassVar[str] = "diffusion"
    predicts: ClassVar[Literal["noise", "velocity"]] = "noise"

    def __init__(self, network: AnyUNet, *, steps: int, eta: float) -> None:
        self.network = place(network.eval(), network.alpha_bars.device)
        self.steps, self.eta = steps, eta

    def to(self, device: torch.device) -> DiffusionSampler:
        """Compute on `device` from now on."""
        self.network = self.network.to(device)
        return self

    @torch.inference_mode()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n images: uint8 n×3×H×W on the CPU. All noise is drawn on the CPU, one seed one noise on any device."""
        spec, device = self.network.spec, self.network.alpha_bars.device
        images = torch.empty(n, 3, spec.resolution, spec.resolution, dtype=torch.uint8)
        alpha_bars = spec.schedule.alpha_bars()  # float64: the network's own are rounded
        for part in images.split(BATCH):
            x = torch.randn(part.shape, generator=generator).to(device, memory_format=torch.channels_last)
            x = denoise(self.network, alpha_bars, x, steps=self.steps, eta=self.eta, generator=generator)
            part.copy_(to_uint8(x))
        return images

    @torch.inference_mode()
    def prediction_errors(self, images: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Return ‖ε − ε_θ(x_t, t)‖² per number of each image, at level ⌊time · T⌋."""
        alpha_bars, errors = self.network.alpha_bars, torch.empty(len(images))
        for part in torch.arange(len(images)).split(BATCH):
            x, e, share = (each.to(alpha_bars.device) for each in (to_float(images[part]), noise[part], times[part]))
            t = (share * len(alpha_bars)).long()
            errors[part] = (self.network(diffuse(x, e, alpha_bars[t]), t) - e).square().flatten(1).mean(dim=1).cpu()
        return errors

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the U-Net's state dict, its architecture and schedule, and how it is sampled."""
        spec = msgspec.json.encode(self.network.spec).decode()
        return dict(self.network.state_dict()), {"spec": spec, "steps": str(self.steps), "eta": repr(self.eta)}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], metadata: dict[str, str]) -> DiffusionSampler:
        """Build the architecture and load the weights."""
        return cls(unet_of(metadata["spec"], tensors), steps=int(metadata["steps"]), eta=float(metadata["eta"]))


def sampler_of(unet: AnyUNet, config: DiffusionConfig) -> DiffusionSampler:
    """Make a sampler with a config's settings; a network of fewer levels than `sampling_steps` visits them all."""
    return DiffusionSampler(unet, steps=min(config.sampling_steps, unet.spec.schedule.steps), eta=config.eta)
