"""Source models: trained at most once, cached under what they are, shipped where they are small.

A source model is found by its recipe: in the cache folder, then among those that come with the package; if it is in
neither, it is trained and cached. The first of several processes that need one trains it, the others wait.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from graftbench.bounds import Positive, Seed
from graftbench.cache import atomic_file, locked
from graftbench.contracts import FitLog, SourceModel, Task
from graftbench.digests import content_digest, is_damaged
from graftbench.errors import GraftbenchError, unknown
from graftbench.records.cell_spec import ComputeBudget, content_hash
from graftbench.resources.determinism import portable_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch
    from torch import nn

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Stateful
    from graftbench.images.prepared import ImageSet
    from graftbench.training.checkpoints import Checkpoints

RECIPE_VERSION = 1
"""Raised when the meaning of a recipe or a default of the loop changes: older models are then not taken for new."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """All that determines a source model.

    Attributes:
        kind: `gan`: generator and discriminator; `vae`: encoder and decoder; `diffusion`: a denoising network.
        domain: Name of the source domain.
        resolution: Side in pixels.
        manifest: Hash of the domain's ids, splits and pixels; the training split is what is learnt.
        kimg: Thousands of images shown.
        seed: Seed of initialisation and training.
        parameters: Settings that differ from the kind's defaults. A new setting thus leaves old recipes valid.
        version: Of the recipe's meaning; raised when a default changes.
        determinism: As in `Protocol`, of a model that is trained for a suite; unset for the package's.
    """

    kind: str
    domain: str
    resolution: int
    manifest: str
    kimg: float
    seed: int
    parameters: dict[str, Any]
    version: int = RECIPE_VERSION
    determinism: Literal["portable"] | msgspec.UnsetType = msgspec.UNSET

    @property
    def id(self) -> str:
        """Return `gan-twemoji-32-` and 12 hexadecimal digits of the recipe's hash."""
        digest = content_hash(msgspec.to_builtins(self))[:12]
        name = "".join(c if c.isalnum() else "_" for c in self.domain)
        return f"{self.kind}-{name}-{self.resolution}-{digest}"


class Kind(NamedTuple):
    """How source models of a kind are made and used.

    Attributes:
        config: Settings of the training.
        train: (task, budget, config) -> name -> trained network, each with its architecture in `spec`.
        sampler: (model, resolution) -> the untransferred model as a sampler; a GraftbenchError where it does not fit.
    """

    config: type[msgspec.Struct]
    train: Callable[[Task, Meter, Any], dict[str, nn.Module]]
    sampler: Callable[[SourceModel, int], Sampler]


def kind_of(name: str) -> Kind:
    """Return a kind of source model by name.

    Raises:
        GraftbenchError: A kind that nobody trains.
    """
    from graftbench.training import adversarial, autoencoding, diffusion  # noqa: PLC0415 - torch is needed from here on

    kinds = {
        "gan": Kind(adversarial.AdversarialConfig, adversarial.train_source, adversarial.source_sampler),
        "vae": Kind(autoencoding.VaeConfig, autoencoding.train_source, autoencoding.source_sampler),
        "diffusion": Kind(diffusion.DiffusionConfig, diffusion.train_source, diffusion.source_sampler),
    }
    if name not in kinds:
        raise unknown("kind of source model", name, kinds)
    return kinds[name]


def recipe_for(spec: SourceModelSpec, kind: str, images: ImageSet, *, portable: bool = False) -> Recipe:
    """Return the recipe of a suite's source model on a domain.

    Args:
        spec: What the suite says of models of that kind.
        kind: Which kind.
        images: The domain.
        portable: Whether it is to be trained under `determinism = "portable"`. One that comes with the package is the
            same everywhere, and stays what it is.

    Raises:
        GraftbenchError: A kind that nobody trains, or an unknown parameter.
    """
    from graftbench.plugins.config import config_of  # noqa: PLC0415 - torch is needed from here on

    struct = kind_of(kind).config
    config = config_of(struct, spec.parameters, f"[source_models.{kind}.parameters]")
    settings, defaults = msgspec.to_builtins(config), msgspec.to_builtins(struct())

    def changed(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in settings.items() if value != defaults[name]}

    recipe = Recipe(
        kind=kind,
        domain=images.domain,
        resolution=images.resolution,
        manifest=images.manifest,
        kimg=float(spec.kimg),
        seed=spec.seed,
        parameters=changed(settings),
    )
    if portable and packaged(recipe) is None:
        own = changed(portable_parameters(settings))
        return msgspec.structs.replace(recipe, parameters=own, determinism="portable")
    return recipe


def find(recipe: Recipe, cache: Path) -> Path | None:
    """Return the model's file in the cache or in the package, or None; a damaged one of the cache is made again.

    Raises:
        GraftbenchError: That of the package is damaged.
    """
    file = cached(recipe, cache)
    return file if is_sound(file) else packaged(recipe)


def packaged(recipe: Recipe) -> Path | None:
    """Return the model's file in the package, or None.

    Raises:
        GraftbenchError: It is damaged.
    """
    for provenance in files("graftbench.training.source_models").iterdir():
        if not provenance.name.endswith(".json"):
            continue
        facts, shipped = json.loads(provenance.read_text("utf-8")), Path(str(provenance)).with_suffix(".safetensors")
        if facts["id"] != recipe.id or not shipped.is_file():
            continue
        if content_digest(shipped).hex() != facts["sha256"]:
            raise GraftbenchError(f"{shipped} is damaged: {provenance.name} has another SHA-256. Reinstall graftbench.")
        return shipped
    return None


def is_sound(file: Path) -> bool:
    """Return whether a file exists, can be read and fits its seal."""
    try:
        return file.is_file() and not is_damaged(file)
    except OSError:
        return False


def obtain(
    recipe: Recipe, images: ImageSet, cache: Path, *, device: str = "cpu", say: Callable[[str], None] = lambda _: None
) -> Path:
    """Return the model's file; train the model if no file exists.

    Args:
        recipe: Which model.
        images: The source domain at the recipe's resolution.
        cache: Cache folder.
        device: Where to train, if need be.
        say: Told before and after a training.
    """
    existing = find(recipe, cache)
    if existing is not None:
        return existing
    target = cached(recipe, cache)
    with locked(target.with_suffix(".lock")):
        if not is_sound(target):
            say(f"training source model {recipe.id} ({recipe.kimg:g} kimg on {device}); this is done once")
            train(recipe, images, target, device=device)
            say(f"trained source model {recipe.id}")
    return target


def cached(recipe: Recipe, cache: Path) -> Path:
    """Return the path of a model's file in the cache, whether it exists or not."""
    return cache / "source_models" / f"{recipe.id}.safetensors"


def load(path: Path, recipe_id: str) -> SourceModel:
    """Read a source model.

    Raises:
        GraftbenchError: The file is missing, damaged, or another model.
    """
    from graftbench.training.samplers import read_tensors  # noqa: PLC0415

    tensors, metadata = read_tensors(path)
    if metadata.get("id") != recipe_id:
        raise GraftbenchError(f"{path} holds source model '{metadata.get('id')}'; expected '{recipe_id}'.")
    return SourceModel(recipe_id, tensors, metadata)


def digest_of(model: SourceModel) -> str:
    """Return the SHA-256 (hex) over a model's tensors: names, types, shapes and numbers.

    The file's own digest would not do: safetensors writes the texts in its header in any order.
    """
    import torch  # noqa: PLC0415

    digest = hashlib.sha256()
    for name, tensor in sorted(model.tensors.items()):
        numbers = tensor.detach().cpu().contiguous().flatten()
        head = content_hash([name, str(tensor.dtype), list(tensor.shape)])
        digest.update(bytes.fromhex(head) + numbers.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@dataclass
class _SourceTask(Task):
    """A source model's training seen as a task: the images are the source domain's training split."""

    resolution: int
    device: torch.device
    generator: torch.Generator
    pixels: torch.Tensor
    log: FitLog = field(default_factory=FitLog)
    checkpoints: Checkpoints | None = None

    def keep(self, **parts: Stateful) -> None:
        """Name the parts that checkpoints hold."""
        if self.checkpoints is not None:
            self.checkpoints.keep(**parts)

    def resume(self, budget: Meter) -> None:
        """Resume from the checkpoint beside the target, if it exists."""
        del budget
        if self.checkpoints is not None:
            self.checkpoints.restore()

    def checkpoint(self, budget: Meter) -> None:
        """Write a checkpoint where one is due."""
        if self.checkpoints is not None and budget.images_seen and self.checkpoints.due():
            with budget.paused():
                self.checkpoints.write()

    @property
    def images(self) -> torch.Tensor:
        """Return the training split: uint8 N×3×H×W on the device."""
        return self.pixels

    @property
    def source_images(self) -> torch.Tensor:
        """Raise an error: there are none."""
        raise GraftbenchError("A source model's training has no source images.")

    @property
    def source_model(self) -> SourceModel:
        """Raise an error: there is none."""
        raise GraftbenchError("A source model's training starts from nothing.")


def train(
    recipe: Recipe,
    images: ImageSet,
    target: Path,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 60,
) -> FitLog:
    """Train a recipe and write its networks and their architectures to `target` (safetensors).

    Args:
        recipe: Which model.
        images: The source domain.
        target: Where the model goes.
        device: Where to train.
        checkpoint: File of a checkpoint that is written this often, and gone on from if it is there; None for none.
        checkpoint_seconds: How often.
    """
    import torch  # noqa: PLC0415

    from graftbench.budget import Meter  # noqa: PLC0415
    from graftbench.training.checkpoints import Unusable  # noqa: PLC0415
    from graftbench.training.samplers import write_tensors  # noqa: PLC0415

    def fit() -> tuple[_SourceTask, dict[str, nn.Module]]:
        task = _task(recipe, images, device)
        meter = Meter(ComputeBudget(kimg=recipe.kimg))
        if checkpoint is not None:
            task.checkpoints = _checkpoints(recipe, task, meter, checkpoint, checkpoint_seconds)
        return task, kind.train(task, meter, msgspec.convert(recipe.parameters, kind.config))

    torch.set_num_threads(1)
    kind = kind_of(recipe.kind)
    try:
        task, networks = fit()
    except Unusable as error:
        assert checkpoint is not None
        print(f"The checkpoint does not go with the training, which starts anew: {error}.", file=sys.stderr)  # noqa: T201 - the job's log
        checkpoint.unlink()
        task, networks = fit()
    tensors = {
        f"{prefix}.{name}": tensor.detach().cpu().contiguous()
        for prefix, network in networks.items()
        for name, tensor in network.state_dict().items()
    }
    metadata = {"id": recipe.id, "recipe": msgspec.json.encode(recipe, order="sorted").decode()}
    metadata |= {name: msgspec.json.encode(network.spec).decode() for name, network in networks.items()}
    with atomic_file(target) as part:
        write_tensors(tensors, part, metadata)
    return task.log


def _task(recipe: Recipe, images: ImageSet, device: str) -> _SourceTask:
    import torch  # noqa: PLC0415

    return _SourceTask(
        resolution=recipe.resolution,
        device=torch.device(device),
        generator=torch.Generator().manual_seed(recipe.seed),
        pixels=torch.from_numpy(images.images("train").copy()).to(device),
    )


def _checkpoints(recipe: Recipe, task: _SourceTask, meter: Meter, file: Path, seconds: float) -> Checkpoints:
    import torch  # noqa: PLC0415

    from graftbench.training.checkpoints import Checkpoints, GeneratorState  # noqa: PLC0415

    return Checkpoints(
        file,
        identity={"source_model": recipe.id, "device": task.device.type, "torch": torch.__version__},
        seconds=seconds,
        device=task.device,
        own={"generator": GeneratorState(task.generator), "log": task.log, "meter": meter},
    )


def verify(path: Path, recipe: Recipe) -> Sampler:
    """Load the model as a sampler: proof that the file is what the recipe says, before anything is trained on it.

    Raises:
        GraftbenchError: The file is damaged, another model, or of another resolution or architecture.
    """
    model = load(path, recipe.id)
    try:
        return kind_of(recipe.kind).sampler(model, recipe.resolution)
    except GraftbenchError as error:
        raise GraftbenchError(f"{error} It was read from {path}; remove it, and it is made anew.") from error


class SourceModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the suite's source models of one kind are trained where none is cached or shipped.

    Attributes:
        kimg: Thousands of source images shown.
        seed: Seed of initialisation and training.
        parameters: Settings of the kind's training (`AdversarialConfig`, `VaeConfig`, `DiffusionConfig`).
    """

    kimg: Positive = 256
    seed: Seed = 0
    parameters: dict[str, Any] = {}
