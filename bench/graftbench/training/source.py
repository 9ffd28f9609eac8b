"""Source models: trained at most once, cached under what they are, shipped where they are small.

A source model is found by its recipe: in the cache folder, then among those that come with the package; if it is in
neither, it is trained and cached. The first of several processes that need one trains it, the others wait.

One that was made elsewhere (`graftbench.training.source_import`) has a recipe too: what it is, and how the
discriminator that it lacks is fitted.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union

import msgspec

from graftbench.bounds import Count, Positive, Seed
from graftbench.cache import atomic_file, locked
from graftbench.contracts import FitLog, PixelRange, SourceModel, Task
from graftbench.digests import content_digest, is_damaged
from graftbench.errors import GraftbenchError, unknown
from graftbench.records.cell_spec import ComputeBudget, content_hash
from graftbench.resources.determinism import portable_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from torch import nn

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Stateful
    from graftbench.images.prepared import ImageSet
    from graftbench.training.checkpoints import Checkpoints

RECIPE_VERSION = 1
"""Raised when the meaning of a recipe or a default of the loop changes: older models are then not taken for new."""


class ForeignSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a source model from elsewhere is: part of its recipe, and so of the id of every cell that starts from it.

    Attributes:
        sha256: Of the file, or of the builder's file and the weights.
        form: `TorchScript`, `torch.export`, `builder`, `diffusers`, `StyleGAN2`, or `graftbench` for a source model of
            this suite's.
        latent: Shape of one z, without the batch; empty where the file says it.
        range: What its images' black and white are.
        builder: What makes the network; empty for a file.
        arguments: What the builder is called with.
    """

    sha256: str
    form: str
    latent: list[int] = []
    range: PixelRange = "-1..1"
    builder: str = ""
    arguments: dict[str, Any] = {}


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """All that determines a source model.

    Attributes:
        kind: `gan`: generator and discriminator; `vae`: encoder and decoder; `diffusion`: a denoising network;
            `flow`: a velocity network; `stylegan2`: generator and discriminator of StyleGAN2.
        domain: Name of the source domain.
        resolution: Side in pixels.
        manifest: Hash of the domain's ids, splits and pixels; the training split is what is learnt.
        kimg: Thousands of images shown; 0 where nothing is trained.
        seed: Seed of initialisation and training.
        parameters: Settings that differ from the kind's defaults. A new setting thus leaves old recipes valid.
        version: Of the recipe's meaning; raised when a default changes.
        determinism: As in `Protocol`, of a model that is trained for a suite; unset for the package's.
        foreign: What was made elsewhere, if anything; `domain` is then its known name or its form, there is no
            manifest, and `kimg` is the budget of the discriminator that is fitted on its own samples.
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
    foreign: ForeignSource | None = None

    @property
    def id(self) -> str:
        """Return `gan-twemoji-32-` and 12 hexadecimal digits of the recipe's hash."""
        digest = content_hash(self.fields())[:12]
        name = "".join(c if c.isalnum() else "_" for c in self.domain)
        return f"{self.kind}-{name}-{self.resolution}-{digest}"

    def fields(self) -> dict[str, Any]:
        """Return the fields as plain values, without `foreign` where there is nothing: older recipes have none."""
        fields = msgspec.to_builtins(self)
        return fields if self.foreign else {name: value for name, value in fields.items() if name != "foreign"}


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
    # torch is needed from here on
    from graftbench.training import adversarial, autoencoding, diffusion, flow_matching, stylegan2  # noqa: PLC0415

    kinds = {
        "gan": Kind(adversarial.AdversarialConfig, adversarial.train_source, adversarial.source_sampler),
        "vae": Kind(autoencoding.VaeConfig, autoencoding.train_source, autoencoding.source_sampler),
        "diffusion": Kind(diffusion.DiffusionConfig, diffusion.train_source, diffusion.source_sampler),
        "flow": Kind(flow_matching.FlowConfig, flow_matching.train_source, flow_matching.source_sampler),
        "stylegan2": Kind(stylegan2.StyleGanConfig, stylegan2.train_source, stylegan2.source_sampler),
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
    recipe = Recipe(
        kind=kind,
        domain=images.domain,
        resolution=images.resolution,
        manifest=images.manifest,
        kimg=float(spec.kimg),
        seed=spec.seed,
        parameters=changed_settings(kind, spec.parameters),
    )
    if portable and packaged(recipe) is None:
        own = changed_settings(kind, spec.parameters, portable=True)
        return msgspec.structs.replace(recipe, parameters=own, determinism="portable")
    return recipe


def changed_settings(kind: str, parameters: dict[str, Any], *, portable: bool = False) -> dict[str, Any]:
    """Return the settings of a kind's training that differ from its defaults.

    Args:
        kind: Kind of source model.
        parameters: As the suite gives them.
        portable: Whether to change those on which the CPU's instruction set has a bearing.

    Raises:
        GraftbenchError: A kind that nobody trains, or an unknown parameter.
    """
    from graftbench.plugins.config import config_of  # noqa: PLC0415 - torch is needed from here on

    struct = kind_of(kind).config
    settings = msgspec.to_builtins(config_of(struct, parameters, f"[source_models.{kind}.parameters]"))
    settings, defaults = portable_parameters(settings) if portable else settings, msgspec.to_builtins(struct())
    return {name: value for name, value in settings.items() if value != defaults[name]}


def shipped_provenance() -> list[dict[str, Any]]:
    """Return the provenance of the models that come with the package, by id; each has its recipe."""
    folder = files("graftbench.training.source_models")
    texts = [file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".json")]
    return sorted(map(json.loads, texts), key=lambda facts: facts["id"])


def shipped_recipe(kind: str, images: ImageSet) -> Recipe | None:
    """Return the recipe of the model of a kind on a domain that comes with the package, of several the longest one."""
    recipes = (msgspec.convert(facts["recipe"], Recipe) for facts in shipped_provenance())
    fitting = [r for r in recipes if (r.kind, r.resolution, r.manifest) == (kind, images.resolution, images.manifest)]
    return max(fitting, key=lambda recipe: recipe.kimg, default=None)


def training_seconds(recipe: Recipe) -> float | None:
    """Return how long a training may take: as long an image and pixel as that of a shipped model of its kind took.

    Of several the one of the nearest side counts, of those the longest one. None where no model of the kind is shipped.
    """
    timed = [(msgspec.convert(facts["recipe"], Recipe), float(facts["fit_seconds"])) for facts in shipped_provenance()]
    alike = [(other, seconds) for other, seconds in timed if other.kind == recipe.kind and seconds > 0]
    if not alike:
        return None
    other, seconds = min(
        alike, key=lambda pair: (abs(math.log2(pair[0].resolution / recipe.resolution)), -pair[0].kimg)
    )
    return seconds * recipe.kimg / other.kimg * (recipe.resolution / other.resolution) ** 2


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
    shipped = Path(str(files("graftbench.training.source_models"))) / f"{recipe.id}.safetensors"
    facts = next((facts for facts in shipped_provenance() if facts["id"] == recipe.id), None)
    if facts is None or not shipped.is_file():
        return None
    if content_digest(shipped).hex() != facts["sha256"]:
        raise GraftbenchError(f"{shipped} is damaged: its provenance has another SHA-256. Reinstall graftbench.")
    return shipped


Material = Union["ImageSet", Path]
"""What a source model is made from: the source domain's images, or the imported file of what was made elsewhere."""


def is_sound(file: Path) -> bool:
    """Return whether a file exists, can be read and fits its seal."""
    try:
        return file.is_file() and not is_damaged(file)
    except OSError:
        return False


def obtain(
    recipe: Recipe, material: Material, cache: Path, *, device: str = "cpu", say: Callable[[str], None] = lambda _: None
) -> Path:
    """Return the model's file; train the model if no file exists.

    Args:
        recipe: Which model.
        material: The source domain at the recipe's resolution, or what was imported.
        cache: Cache folder.
        device: Where to train, if need be.
        say: Told before, during and after a training.
    """
    existing = find(recipe, cache)
    if existing is not None:
        return existing
    target = cached(recipe, cache)
    with locked(target.with_suffix(".lock")):
        if not is_sound(target):
            say(f"{announced(recipe)} on {device}; this is done once")
            report = TrainingReport(recipe.id, say)
            train(recipe, material, target, device=device, tell=lambda budget: report.hear(budget.share()))
            say(f"trained source model {recipe.id}")
    return target


def announced(recipe: Recipe) -> str:
    """Return what is about to be trained, in words."""
    if recipe.foreign is None:
        return f"training source model {recipe.id} ({recipe.kimg:g} kimg)"
    if recipe.kimg:
        return f"fitting a discriminator to the samples of source model {recipe.id} ({recipe.kimg:g} kimg)"
    return f"importing source model {recipe.id}"


REPORT_SECONDS = 10.0
"""A training is reported at most this often."""


class TrainingReport:
    """Says how far a source model's training is, and how long it still takes: at tenths of its budget.

    Args:
        name: Of the source model.
        say: Told a sentence.
        clock: Seconds that never jump.
    """

    def __init__(self, name: str, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._say, self._clock = name, say, clock
        self._first: tuple[float, float] | None = None
        self._next_share, self._next_time = 0.0, 0.0

    def hear(self, share: float) -> None:
        """Take note of the share of the budget that is spent, 0 to 1, and say it where it is time."""
        now = self._clock()
        if self._first is None:  # a training that is gone on with does not begin at 0
            self._first = now, share
            self._next_share, self._next_time = share + 0.01, now + REPORT_SECONDS
        began, first = self._first
        if share < self._next_share or now < self._next_time or share >= 1:
            return
        seconds = (1 - share) * (now - began) / (share - first)
        remaining = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
        self._say(f"source model {self._name}: {share:.0%} trained, about {remaining} left")
        self._next_share, self._next_time = math.floor(share * 10 + 1) / 10, now + REPORT_SECONDS


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
    tell: Callable[[Meter], None] = lambda _: None

    def snapshot(self, budget: Meter, sampler: Callable[[], Sampler]) -> None:
        """Report the progress; nothing is scored on the way."""
        del sampler
        self.tell(budget)

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
    material: Material,
    target: Path,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 60,
    tell: Callable[[Meter], None] = lambda _: None,
) -> FitLog:
    """Train a recipe and write its networks and their architectures to `target` (safetensors).

    Of a model from elsewhere only the discriminator is trained, where it has none: beside a generator that is thrown
    away, on its own samples as if they were the source domain.

    Args:
        recipe: Which model.
        material: The source domain, or what was imported.
        target: Where the model goes.
        device: Where to train.
        checkpoint: File of a checkpoint that is written this often, and gone on from if it is there; None for none.
        checkpoint_seconds: How often.
        tell: Called with the budget before every step.
    """
    import torch  # noqa: PLC0415

    from graftbench.budget import Meter  # noqa: PLC0415
    from graftbench.training.checkpoints import Checkpoints, GeneratorState, Unusable  # noqa: PLC0415
    from graftbench.training.samplers import read_tensors, write_tensors  # noqa: PLC0415

    def fit() -> tuple[_SourceTask, dict[str, nn.Module]]:
        chances = torch.Generator().manual_seed(recipe.seed)
        task = _SourceTask(recipe.resolution, torch.device(device), chances, pixels.to(device), tell=tell)
        meter = Meter(ComputeBudget(kimg=recipe.kimg))
        if checkpoint is not None:
            task.checkpoints = Checkpoints(
                checkpoint,
                identity={"source_model": recipe.id, "device": task.device.type, "torch": torch.__version__},
                seconds=checkpoint_seconds,
                device=task.device,
                own={"generator": GeneratorState(chances), "log": task.log, "meter": meter},
            )
        return task, kind.train(task, meter, msgspec.convert(recipe.parameters, kind.config))

    torch.set_num_threads(1)
    kind, log = kind_of(recipe.kind), FitLog()
    tensors, metadata = read_tensors(material) if isinstance(material, Path) else ({}, {})
    if recipe.kimg:
        pixels = _pixels(recipe, material)
        try:
            task, networks = fit()
        except Unusable as error:
            assert checkpoint is not None
            print(f"The checkpoint does not go with the training, which starts anew: {error}.", file=sys.stderr)  # noqa: T201 - the job's log
            checkpoint.unlink()
            task, networks = fit()
        log = task.log
        new_tensors, new_metadata = stored({name: net for name, net in networks.items() if name not in metadata})
        tensors, metadata = tensors | new_tensors, metadata | new_metadata
    metadata |= {"id": recipe.id, "recipe": encoded(recipe)}
    with atomic_file(target) as part:
        write_tensors(tensors, part, metadata)
    return log


def encoded(recipe: Recipe) -> str:
    """Return a recipe as JSON, as files hold it."""
    return msgspec.json.encode(recipe.fields(), order="sorted").decode()


def stored(networks: Mapping[str, nn.Module]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors of networks under their names' prefixes, and their descriptions by name."""
    tensors = {
        f"{prefix}.{name}": tensor.detach().cpu().contiguous()
        for prefix, network in networks.items()
        for name, tensor in network.state_dict().items()
    }
    return tensors, {name: msgspec.json.encode(network.spec).decode() for name, network in networks.items()}


OWN_SAMPLES = 4096
"""Images of a generator from elsewhere on which a discriminator is fitted, at most; fewer where its budget is less."""


def _pixels(recipe: Recipe, material: Material) -> torch.Tensor:
    """Return what is learnt: the source domain's training split, or a generator's own samples; uint8 N×3×H×W."""
    import torch  # noqa: PLC0415

    from graftbench.training.samplers import read_tensors  # noqa: PLC0415

    if not isinstance(material, Path):
        return torch.from_numpy(material.images("train").copy())
    sampler = kind_of(recipe.kind).sampler(SourceModel(recipe.id, *read_tensors(material)), recipe.resolution)
    n = min(OWN_SAMPLES, math.ceil(1000 * recipe.kimg))
    return sampler.sample(n, torch.Generator().manual_seed(recipe.seed))


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


PARTS: dict[str, str] = {
    "network": "a network that can be trained",
    "layers": "linear and convolutional layers by name",
    "norms": "batch norms",
    "stages": "feature maps of several sides",
    "blocks": "this suite's own architecture",
}
"""`SourcePart` in words."""


def lacking(needs: Sequence[str], parts: Sequence[str], name: str) -> str:
    """Return why what needs these parts cannot start from a source model that has those; empty if it can."""
    missing = [PARTS.get(part, part) for part in needs if part not in parts]
    if not missing:
        return ""
    offered = ", ".join(PARTS[part] for part in parts)
    return f"it needs {' and '.join(missing)} of its source model, and {name} offers {offered}"


DEFAULT_KIMG: float = 256
"""Thousands of images that a source model is shown where the suite says nothing."""


class SourceModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the suite's source models of one kind are trained where none is cached or shipped, or which one is taken.

    One that was made elsewhere is named by `name`, `file` or `builder`, and stands for the source of every task.

    Attributes:
        kimg: Thousands of source images shown.
        seed: Seed of initialisation and training.
        parameters: Settings of the kind's training (`AdversarialConfig`, `VaeConfig`, `DiffusionConfig`,
            `FlowConfig`, `StyleGanConfig`).
        name: A generator of a package that is known here: `gan-face-generate`.
        file: A TorchScript or `torch.export` file, a source model that `graftbench source train` exported, or the
            folder of a pipeline of diffusers (kind `diffusion`); a state dict of StyleGAN2 (kind `stylegan2`).
        builder: What makes a generator's network: `package.module:function`, or `FILE.py:function`, a file that imports
            installed packages alone. Loading it runs its code.
        weights: The builder's weights: a state dict as safetensors or as `torch.save` writes it, which is read without
            running anything; `package:FILE` for a file of an installed package.
        key: Entry of the weights that holds the state dict, where it is not all of them.
        arguments: What the builder is called with.
        latent: Shape of one z ~ N(0, I), without the batch.
        range: What its images' black and white are.
        license: Its licence, for the record.
        discriminator_kimg: Budget, in thousands of its own samples, of the discriminator that is fitted to a generator
            that has none.
        folder: Where relative paths begin; the suite file's folder, filled in when it is read.
    """

    kimg: Positive = DEFAULT_KIMG
    seed: Seed = 0
    parameters: dict[str, Any] = {}
    name: str = ""
    file: str = ""
    builder: str = ""
    weights: str = ""
    key: str = ""
    arguments: dict[str, Any] = {}
    latent: list[Count] = []
    range: PixelRange = "-1..1"
    license: str = ""
    discriminator_kimg: Positive = 16
    folder: str = ""

    def __post_init__(self) -> None:
        named = [field for field in ("name", "file", "builder") if getattr(self, field)]
        if len(named) > 1:
            raise ValueError(f"a source model from elsewhere is named once; found {' and '.join(named)}")
        if bool(self.builder) != bool(self.weights):
            raise ValueError("`builder` and `weights` go together: a network and its state dict")
        if not named and (self.latent or self.license or self.arguments or self.key):
            raise ValueError(
                "latent, license, arguments and key belong to a source model that name, file or builder names"
            )
        if named and self.kimg != DEFAULT_KIMG:
            raise ValueError("kimg is that of a training here; one from elsewhere has `discriminator_kimg`")

    @property
    def foreign(self) -> bool:
        """Return whether it was made elsewhere."""
        return bool(self.label)

    @property
    def label(self) -> str:
        """Return how one from elsewhere is named in the suite; empty for one that is trained here."""
        return self.name or self.file or self.builder
