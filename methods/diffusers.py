"""Fine-tune a pretrained pipeline of the package diffusers: all of its U-Net, or low-rank updates of it.

The pipeline is a folder on disk or a model of the Hugging Face hub; its own noise levels and kind of prediction stay.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.bounds import AtLeastTwo, Count, Positive
from graftbench.contracts import Family, Method
from graftbench.errors import GraftbenchError
from graftbench.nn.build import place, seeded, train_unfrozen
from graftbench.nn.lowrank import add_low_rank
from graftbench.nn.precision import autocast, resolve
from graftbench.nn.upload import upload
from graftbench.references import cited
from graftbench.training import Batches, TrainingConfig, adam, descend, prepare, train, trained
from graftbench.training.diffusers_pipeline import counted_attention, find, import_networks, load, make, package
from graftbench.training.diffusion import diffuse

from ._diffusers_sampler import SCHEDULERS, DiffusersSampler, Sampling, encode, predict, scheduler_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training import Step, TrainingLog
    from graftbench.training.diffusers_pipeline import Networks, Pipeline

PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
"""The four matrices of an attention layer: what the LoRA scripts of diffusers adapt."""


class Config(TrainingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings beside the shared loop's.

    Attributes:
        model: Folder that `pipeline.save_pretrained` wrote, or a name of the hub (OWNER/NAME).
        revision: Branch, tag or commit of the hub. Give the commit: a branch may move.
        train: `full` (the whole U-Net) or `lora` (low-rank updates of it).
        rank: r of the updates; a layer of a lower rank gets its own. diffusers' LoRA scripts take 4, with networks a
            thousand times as large as those that fit small images.
        alpha: The updates are scaled by alpha/rank; rank itself if left out, as in diffusers' scripts.
        layers: What gets an update: `attention` (the four projections of each attention layer, as in diffusers'
            scripts) or `all` (every linear and convolutional layer). A U-Net for small images has little attention.
        learning_rate: Adam's, with β = (0.9, 0.999). 1e-4 is the default of diffusers' scripts, for full fine-tuning
            (unconditional and text-to-image) and LoRA alike.
        batch_size: Images per step (16 in those scripts).
        sampling_steps: Denoising steps per image, at most the model's noise levels (50 is diffusers' default).
        scheduler: `ddim` (deterministic given the first noise), `ddpm` (ancestral) or `dpm-solver++`, each with the
            model's own settings.
        spacing: Which levels are visited: `leading`, `trailing` or `linspace` (arXiv 2305.08891, table 2); the
            model's own if empty.
        prompt: What a model with a text encoder is told, in training and in sampling, without guidance. Others take
            none.
    """

    model: str
    revision: str = ""
    train: Literal["full", "lora"] = "full"
    rank: Count = 8
    alpha: Positive | None = None
    layers: Literal["attention", "all"] = "attention"
    learning_rate: Positive = 1e-4
    batch_size: AtLeastTwo = 16
    sampling_steps: Count = 50
    scheduler: Literal["ddim", "ddpm", "dpm-solver++"] = "ddim"
    spacing: Literal["", "leading", "trailing", "linspace"] = ""
    prompt: str = ""

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must be a folder or a name of the hub; found an empty text")


class Diffusers(Method):
    """A pipeline of von Platen and others' package, trained on as its own scripts do it (`examples/`)."""

    name = "diffusers"
    family: ClassVar[Family] = "fine-tune"
    title = "Adapter: a pretrained pipeline of diffusers"
    reference = cited("vonplaten2022diffusers")
    trains = "the U-Net of a pretrained pipeline, or low-rank updates of it"
    frozen = "autoencoder and text encoder, where the pipeline has them; with LoRA the U-Net's own weights too"
    differs = (
        "the suite's loop (average, budget, no warm-up, no clipping of gradients, no weight decay, no dropout: all "
        "chances come from the cell's seed); one fixed prompt and no guidance where the pipeline takes text"
    )
    resumable = True
    moves = ("unet.*",)
    adapter: ClassVar[bool] = True
    paths: ClassVar[tuple[str, ...]] = ("model",)
    Config = Config

    def __init_subclass__(cls) -> None:
        """Promise for a variant with low-rank updates that they alone move."""
        super().__init_subclass__()
        if cls.defaults.get("train") == "lora":
            cls.moves = ("unet.*.parametrizations.weight.0.*",)

    def check(self, resolution: int) -> None:
        """Refuse what cannot be fitted, without reading weights.

        Raises:
            GraftbenchError: A package is missing; there is no such model, or none that can be fine-tuned; the side of
                the images, the steps, the prompt or the layers do not go with it.
        """
        self._checked_pipeline(resolution)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Minimise the model's own loss at uniform noise levels: ‖target − f(x_t, t)‖², the mean over all numbers.

        Raises:
            GraftbenchError: As in `check`, or the weights cannot be read.
        """
        with budget.paused():
            pipeline = self._checked_pipeline(task.resolution)
            import_networks(pipeline)
        sampling = self._sampling(pipeline, task.resolution)
        networks = load(pipeline, task.device, self.config.prompt)
        note_origin(task, pipeline)
        without_dropout(task, networks.unet)
        unet = self._prepared(task, networks.unet)
        task.log.watch(**networks.frozen)

        def sampler(average: nn.Module) -> DiffusersSampler:
            return DiffusersSampler(unet.plain(average), sampling, networks.vae, networks.prompt)

        step = self._step(task, unet.network, networks, sampling.config)
        return train(task, budget, self.config, step, unet.averaged, sampler=sampler)

    def _checked_pipeline(self, resolution: int) -> Pipeline:
        """Find the pipeline and check all settings against it."""
        config: Config = self.config
        package("diffusers")
        pipeline = find(config.model, config.revision)
        pipeline.check(resolution)
        self._sampling(pipeline, resolution)
        if config.prompt and pipeline.vae is None:
            raise GraftbenchError(f"'{pipeline.name}' takes no text; found the prompt '{config.prompt}'.")
        if pipeline.vae is not None:
            package("transformers")
        if config.train == "lora":
            with torch.device("meta"):  # shapes alone
                self._ranks(make(pipeline.unet), pipeline.name)
        return pipeline

    def _sampling(self, pipeline: Pipeline, side: int) -> Sampling:
        """Return how images are drawn, with the model's own noise levels and kind of prediction."""
        config: Config = self.config
        schedule = {key: value for key, value in pipeline.scheduler.items() if not key.startswith("_")}
        schedule |= {"timestep_spacing": config.spacing} if config.spacing else {}
        name = SCHEDULERS[config.scheduler]
        levels = schedule.get("num_train_timesteps", 1000)
        if config.sampling_steps > levels:
            raise GraftbenchError(
                f"sampling_steps must be at most the noise levels of '{pipeline.name}' ({levels}); found "
                f"{config.sampling_steps}."
            )
        try:
            scheduler_of(name, schedule)
            noise_levels(schedule)
        except NotImplementedError as error:
            raise GraftbenchError(f"The noise levels of '{pipeline.name}' do not go with {name}: {error}.") from error
        return Sampling(
            scheduler=name, config=schedule, steps=config.sampling_steps, side=side, factor=pipeline.latent_factor
        )

    def _ranks(self, unet: nn.Module, name: str) -> dict[str, int]:
        """Return layer -> rank of its update."""
        config: Config = self.config
        most = {
            layer: min(part.weight.shape[0], part.weight[0].numel())
            for layer, part in unet.named_modules()
            if isinstance(part, nn.Linear | nn.Conv2d) and (config.layers == "all" or layer.endswith(PROJECTIONS))
        }
        if not most:
            raise GraftbenchError(f"The U-Net of '{name}' has no attention layers; set layers = \"all\".")
        if config.rank > max(most.values()):
            raise GraftbenchError(
                f"rank must be at most that of the largest adapted layer of '{name}' ({max(most.values())}); found "
                f"{config.rank}."
            )
        return {layer: min(config.rank, limit) for layer, limit in most.items()}

    def _prepared(self, task: Task, unet: nn.Module) -> Trained:
        """Prepare what is trained of the U-Net: placed, logged and kept for checkpoints.

        Of low-rank updates only they are averaged and kept in checkpoints: the rest is as the model's files have it.
        """
        if self.config.train == "full":
            prepare(task, unet=unet)
            return Trained(unet, unet, lambda average: average)
        ranks = self._ranks(unet, self.config.model)
        adapted = sharing(place(unet, task.device))
        seeded(lambda: add_low_rank(adapted, ranks, self.config.alpha or self.config.rank), task.generator)
        train_unfrozen(place(adapted, task.device))
        task.log.watch(unet=adapted)
        updates = nn.ModuleList(update_of(adapted, layer) for layer in ranks)
        task.keep(updates=updates)
        return Trained(
            adapted, updates, lambda average: merged(unet, dict(zip(ranks, average.children(), strict=True)))
        )

    def _step(self, task: Task, unet: nn.Module, networks: Networks, schedule: dict[str, Any]) -> Step:
        """Make a step of the shared loop, which trains `unet` with the frozen networks of `networks`."""
        config: Config = self.config
        vae, prompt = networks.vae, networks.prompt
        alpha_bars = noise_levels(schedule).to(task.device)
        kind = schedule.get("prediction_type", "epsilon")
        optimizer = adam(trained(unet), lr=config.learning_rate, beta1=0.9, beta2=0.999)
        task.keep(adam=optimizer)
        dtype, batches = resolve(config.precision, task.device), Batches(task.images, task.generator)

        def step(size: int, log: TrainingLog) -> bool:
            x = batches.draw(size)
            x = x if vae is None else encode(vae, x, task.generator)
            t = upload(torch.randint(len(alpha_bars), (size,), generator=task.generator), task.device)
            noise = upload(torch.randn(x.shape, generator=task.generator), task.device)
            with autocast(dtype, task.device), counted_attention(task.device):
                predicted = predict(unet, diffuse(x, noise, alpha_bars[t]), t, prompt)
            loss = F.mse_loss(predicted.float(), target_of(kind, x, noise, alpha_bars[t]))
            descend(optimizer, loss)
            log.add(denoising=loss)
            return True

        return step


def noise_levels(schedule: dict[str, Any]) -> Tensor:
    """Return ᾱ of every noise level that a model knows, T, as diffusers computes them from the model's settings.

    Raises:
        NotImplementedError: It does not know the betas.
    """
    return scheduler_of("DDIMScheduler", schedule).alphas_cumprod


def target_of(kind: str, x: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return what a model is to predict from √ᾱ x + √(1 − ᾱ) ε: ε, x, or v = √ᾱ ε − √(1 − ᾱ) x.

    Salimans, Ho: Progressive Distillation for Fast Sampling of Diffusion Models, arXiv 2202.00512, appendix D.

    Args:
        kind: `epsilon`, `sample` or `v_prediction`.
        x: B×C×H×W.
        noise: ε, of the same shape.
        alpha_bar: ᾱ, B.
    """
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return x
    share = alpha_bar[:, None, None, None]
    return share.sqrt() * noise - (1 - share).sqrt() * x


def note_origin(task: Task, pipeline: Pipeline) -> None:
    """Note in the record which commit of the hub was used, and whether the model knows images of another side."""
    if pipeline.revision:
        task.log.notes.append(f"'{pipeline.name}' was used in revision {pipeline.revision}.")
    if pipeline.trained_side not in (None, task.resolution):
        task.log.notes.append(
            f"The model was trained on images of {pipeline.trained_side} px; here they have {task.resolution}."
        )


def without_dropout(task: Task, unet: nn.Module) -> None:
    """Switch dropout off: its chances would come from torch's global generator."""
    layers = [part for part in unet.modules() if isinstance(part, nn.Dropout) and part.p > 0]
    for layer in layers:
        layer.p = 0.0
    if layers:
        task.log.notes.append("The model's dropout is switched off: all chances come from the cell's seed.")


@dataclass(frozen=True)
class Trained:
    """A U-Net in training.

    Attributes:
        network: What computes.
        averaged: The part of it that moves, which the loop averages.
        plain: Makes of an average a U-Net as diffusers knows it; what is trained stays as it is.
    """

    network: nn.Module
    averaged: nn.Module
    plain: Callable[[nn.Module], nn.Module]


def sharing(network: nn.Module) -> nn.Module:
    """Copy a network's modules, but let the copy have the same parameters, not equal ones."""
    return deepcopy(network, {id(parameter): parameter for parameter in network.parameters()})


def update_of(adapted: nn.Module, layer: str) -> nn.Module:
    """Return the low-rank update of a layer."""
    module: Any = adapted.get_submodule(layer)
    return module.parametrizations.weight[0]


@torch.no_grad()
def merged(unet: nn.Module, updates: dict[str, nn.Module]) -> nn.Module:
    """Copy a plain U-Net and add these updates to its layers."""
    plain = deepcopy(unet)
    for layer, update in updates.items():
        weight: Any = plain.get_submodule(layer).weight
        weight.copy_(update(weight))
    return plain
