"""Source models that were made elsewhere: read, checked by drawing samples, and stored as source models are.

What is imported is one safetensors file in the cache, named by the hash of all that it came from. Everything later
(workers on other machines too) needs that file alone, and the package of a builder that is in one.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import torch

from graftbench.cache import atomic_file, locked
from graftbench.contracts import Diverged, SourceModel
from graftbench.digests import content_digest, digest_of_path
from graftbench.errors import GraftbenchError, unknown
from graftbench.records.cell_spec import content_hash
from graftbench.training import diffusers_pipeline
from graftbench.training.foreign import (
    ForeignGenerator,
    ForeignGeneratorSpec,
    ForeignUNet,
    ForeignUNetSpec,
    TabulatedSchedule,
    batch_norms,
    stages,
    weighted_layers,
)
from graftbench.training.generator_files import check_numbers, images_of, kind_of
from graftbench.training.loop import GREY_LEVEL
from graftbench.training.samplers import read_tensors, write_tensors
from graftbench.training.source import ForeignSource, Recipe, SourceModelSpec, changed_settings, stored
from graftbench.training.source import kind_of as source_kind
from graftbench.training.source_catalogue import KNOWN, OWN_PARTS
from graftbench.training.stylegan2_checkpoints import read_stylegan2

if TYPE_CHECKING:
    from torch import nn

    from graftbench.nn.stylegan2 import StyleGeneratorSpec
    from graftbench.training.foreign import Form

CHECKED = 8
"""Samples that are drawn of a generator before it is taken."""

KINDS = {
    "diffusers": ("diffusion",),
    "graftbench": ("gan", "vae", "diffusion", "flow", "stylegan2"),
    "StyleGAN2": ("stylegan2",),
}
"""Form of a file -> the kinds that it may be of; `gan` for the others."""

OTHER_BATCH = 3
"""A batch of another size, which it must take too: training and sampling have their own."""


class SourceOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Origin of a source model, for those who read about it; no part of its identity.

    Attributes:
        label: Its known name and version, or the name of its file or builder.
        license: Its licence, as the suite or this package says; empty if nobody does.
        source: Address, or empty.
    """

    label: str
    license: str = ""
    source: str = ""


@dataclass(frozen=True)
class ImportedSource:
    """A source model from elsewhere that was read and checked.

    Attributes:
        recipe: Its recipe, the discriminator's fit included.
        file: What was imported, in the cache.
        parts: What methods may look into (`SourcePart`).
        origin: Where it is from.
    """

    recipe: Recipe
    file: Path
    parts: tuple[str, ...]
    origin: SourceOrigin

    @property
    def note(self) -> str:
        """Return a sentence for the records of cells that start from it."""
        foreign = self.recipe.foreign
        assert foreign is not None
        what = f"It starts from '{self.origin.label}' ({foreign.form}, sha256 {foreign.sha256[:12]})"
        if foreign.latent:
            what += f", z of shape {foreign.latent}, images in {foreign.range}"
        return f"{what}; licence: {self.origin.license or 'not stated'}."


@dataclass(frozen=True)
class _Located:
    """The files of a source model from elsewhere; nothing of it is loaded yet."""

    foreign: ForeignSource
    name: str
    origin: SourceOrigin
    spec: SourceModelSpec
    file: Path
    code: str = ""


def import_source(spec: SourceModelSpec, kind: str, resolution: int, cache: Path) -> ImportedSource:
    """Find a source model from elsewhere and check it; what was imported before is not loaded again.

    Args:
        spec: Names it.
        kind: Kind of source model that it stands for.
        resolution: Side of the task's images in pixels.
        cache: Cache folder.

    Raises:
        GraftbenchError: It is not there, not installed, of no known form or of another kind; or what it makes is not as
            declared: not images, of another size, range or latent, not finite, one image for every latent.
    """
    try:
        locate = _located_known if spec.name else _located_builder if spec.builder else _located_file
        located = locate(spec, kind)
        digest = content_hash([kind, resolution, msgspec.to_builtins(located.foreign)])[:12]
        file = cache / "source_models" / f"imported-{kind}-{resolution}-{digest}.safetensors"
        with locked(file.with_suffix(".lock")):
            if not file.is_file():
                _store(located, kind, resolution, file)
        _, metadata = read_tensors(file)
    except GraftbenchError as error:
        raise GraftbenchError(f"[source_models.{kind}] '{spec.label}': {error}") from error
    fitted = kind in ("gan", "stylegan2") and "discriminator" not in metadata
    recipe = Recipe(
        kind=kind,
        domain=located.name,
        resolution=resolution,
        manifest="",
        kimg=float(spec.discriminator_kimg) if fitted else 0.0,
        seed=spec.seed if fitted else 0,
        parameters=changed_settings(kind, {"loss": "non-saturating"} | spec.parameters) if fitted else {},
        foreign=located.foreign,
    )
    return ImportedSource(recipe, file, tuple(msgspec.json.decode(metadata["parts"])), located.origin)


# ---------------------------------------------------------------------------------------------- where it lies


def _located_known(spec: SourceModelSpec, kind: str) -> _Located:
    """Find the package of a known name.

    Raises:
        GraftbenchError: The name is unknown, or its package is not installed.
    """
    if spec.name not in KNOWN:
        raise unknown("source model", spec.name, KNOWN, where="(or name one by `file` or `builder`)")
    package = KNOWN[spec.name]
    if kind != package.kind:
        raise GraftbenchError(f"It is a source model of the kind '{package.kind}'; found it under '{kind}'.")
    try:
        version = importlib.metadata.version(package.distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise GraftbenchError(f"Its package is not installed: {package.install}") from error
    located = _located_builder(package.spec, kind)
    origin = SourceOrigin(label=f"{spec.name} {version}", license=package.spec.license, source=package.source)
    return _Located(located.foreign, spec.name, origin, package.spec, located.file)


def _located_builder(spec: SourceModelSpec, kind: str) -> _Located:
    """Find the weights and, where it is a file, the code of a builder.

    Raises:
        GraftbenchError: One of them is missing, or the latent is.
    """
    if kind != "gan":
        raise GraftbenchError(f"A builder makes a generator, for the kind 'gan'; found it under '{kind}'.")
    module, colon, function = spec.builder.rpartition(":")
    if not (colon and module and function.isidentifier()):
        raise GraftbenchError("A builder is written package.module:function, or FILE.py:function.")
    _check_latent(spec)
    weights = _packaged(spec.weights) or Path(spec.folder, spec.weights).expanduser()
    if not weights.is_file():
        raise GraftbenchError(f"Its weights '{spec.weights}' are no file (looked at {weights}).")
    code = ""
    if module.endswith(".py"):
        file = Path(spec.folder, module).expanduser()
        try:
            code = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise GraftbenchError(f"The builder's file '{module}' cannot be read: {error}.") from error
    builder = f":{function}" if code else spec.builder
    parts = [content_digest(weights).hex(), spec.key, hashlib.sha256(code.encode()).hexdigest() if code else ""]
    foreign = ForeignSource(
        sha256=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
        form="builder",
        latent=spec.latent,
        range=spec.range,
        builder=builder,
        arguments=spec.arguments,
    )
    origin = SourceOrigin(label=f"{Path(module).name}:{function}", license=spec.license)
    return _Located(foreign, "builder", origin, spec, weights, code=code)


def _packaged(name: str) -> Path | None:
    """Return the path of `package:FILE`, a file of an installed package; None for another form.

    Raises:
        GraftbenchError: The package is not installed.
    """
    package, colon, file = name.partition(":")
    if not colon or not package.isidentifier():
        return None
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise GraftbenchError(f"The package '{package}' is not installed; its weights '{file}' are in it.")
    return Path(next(iter(spec.submodule_search_locations)), file)


def _located_file(spec: SourceModelSpec, kind: str) -> _Located:
    """Find a file or a pipeline's folder, and say what form it has.

    Raises:
        GraftbenchError: It is missing, of no known form, or not for this kind; or the latent is missing.
    """
    file = Path(spec.folder, spec.file).expanduser()
    if not file.exists():
        raise GraftbenchError(f"There is no such file (looked at {file}).")
    form = _form_of(file, kind)
    kinds = KINDS.get(form, ("gan",))
    if kind not in kinds:
        raise GraftbenchError(f"What is there ({form}) is a source model of the kind '{kinds[0]}'; found it under it.")
    program = form in ("TorchScript", "torch.export")
    if program:
        _check_latent(spec)
    foreign = ForeignSource(
        sha256=digest_of_path(str(file)),
        form=form,
        latent=spec.latent if program else [],
        range=spec.range if program else "-1..1",
    )
    name = form.replace(".", "_").lower()
    return _Located(foreign, name, SourceOrigin(label=file.name, license=spec.license), spec, file)


def _form_of(file: Path, kind: str) -> str:
    if file.is_dir():
        return "diffusers"
    if kind == "stylegan2" and not (file.suffix == ".safetensors" and "recipe" in read_tensors(file)[1]):
        return "StyleGAN2"
    if file.suffix != ".safetensors":
        return kind_of(file)
    _, metadata = read_tensors(file)
    if "recipe" not in metadata:
        raise GraftbenchError(
            "It has weights and no architecture, and is no source model that `graftbench source train` exported: name "
            'its network too, with builder = "FILE.py:function" and this file as weights.'
        )
    return "graftbench"


def _check_latent(spec: SourceModelSpec) -> None:
    if not spec.latent:
        raise GraftbenchError("It needs `latent`, the shape of one z, as latent = [128] or latent = [100, 1, 1].")


# ---------------------------------------------------------------------------------------------- reading and checking


def _store(located: _Located, kind: str, resolution: int, target: Path) -> None:
    """Load what was located, check it, and write it as source models are written.

    Raises:
        GraftbenchError: It cannot be loaded, or what it makes is not as declared.
    """
    if located.foreign.form == "graftbench":
        tensors, metadata = read_tensors(located.file)
        source_kind(kind).sampler(SourceModel("", tensors, metadata), resolution)
        metadata = {name: text for name, text in metadata.items() if name not in ("id", "recipe")}
        parts = msgspec.json.decode(metadata.get("parts", "null")) or list(OWN_PARTS)
    elif located.foreign.form == "StyleGAN2":
        networks = read_stylegan2(located.file, resolution)
        _check_drawn(networks["generator"].eval())
        (tensors, metadata), parts = stored(networks), ["network"]
    elif located.foreign.form == "diffusers":
        unet = pipeline_unet(located.file, resolution)
        (tensors, metadata), parts = stored({"unet": unet}), ["network"]
    else:
        generator = check_generator(_generator(located, resolution), resolution)
        (tensors, metadata), parts = stored({"generator": generator}), list(parts_of(generator))
    with atomic_file(target) as part:
        write_tensors(tensors, part, metadata | {"parts": msgspec.json.encode(parts).decode()})


def _generator(located: _Located, resolution: int) -> ForeignGenerator:
    """Load a generator, in evaluation mode.

    Raises:
        GraftbenchError: It cannot be loaded.
    """
    foreign = located.foreign
    spec = ForeignGeneratorSpec(
        form=cast("Form", foreign.form),
        resolution=resolution,
        shape=foreign.latent,
        range=foreign.range,
        builder=foreign.builder,
        code=located.code,
        arguments=foreign.arguments,
    )
    if foreign.form != "builder":
        program = torch.frombuffer(bytearray(located.file.read_bytes()), dtype=torch.uint8)
        generator = ForeignGenerator(spec, program)
    else:
        generator = ForeignGenerator(spec)
        try:
            generator.network.load_state_dict(state_dict(located.file, located.spec.key))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise GraftbenchError(f"Its weights are not those of what the builder makes: {reason}") from error
    return generator.eval()


def state_dict(file: Path, key: str = "") -> dict[str, torch.Tensor]:
    """Read a state dict: safetensors, or what `torch.save` writes, of which no code is run.

    Args:
        file: Where it is.
        key: Entry that holds it; of a file that holds one dictionary alone, that one.

    Raises:
        GraftbenchError: It cannot be read so, or holds something else.
    """
    if file.suffix == ".safetensors":
        return read_tensors(file)[0]
    try:
        contents = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle raises whatever it likes
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GraftbenchError(f"Its weights '{file.name}' cannot be read without running code: {reason}") from error
    entries = {str(name): value for name, value in contents.items()} if isinstance(contents, dict) else {}
    if key and key not in entries:
        raise unknown("key", key, entries, where=f"of '{file.name}'")
    dictionaries = [name for name, value in entries.items() if isinstance(value, dict)]
    if not key and len(dictionaries) == 1:
        key = dictionaries[0]
    state = entries[key] if key else entries
    if not isinstance(state, dict) or not state or not all(isinstance(t, torch.Tensor) for t in state.values()):
        names = ", ".join(list(entries)[:5]) or type(contents).__name__
        raise GraftbenchError(
            f"'{file.name}' holds no state dict, or `key` must say which entry is one; it has {names}."
        )
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _check_drawn(generator: nn.Module) -> None:
    """Draw samples of a generator of this suite's networks whose weights are from elsewhere.

    Raises:
        GraftbenchError: They are not finite, or one image.
    """
    with torch.inference_mode():
        latent = cast("StyleGeneratorSpec", generator.spec).latent
        images = generator(torch.randn(CHECKED, latent, generator=torch.Generator().manual_seed(0)))
    if not images.isfinite().all():
        raise GraftbenchError("It makes images with numbers that are not finite.")
    _check_variety(images)


def _check_variety(images: torch.Tensor) -> None:
    if float(images.std(dim=0).max()) < GREY_LEVEL:
        raise GraftbenchError(f"It is no generator: {CHECKED} latents gave {CHECKED} times the same image.")


def check_generator(generator: ForeignGenerator, resolution: int) -> ForeignGenerator:
    """Draw samples of a generator in evaluation mode and compare them with what is declared.

    Returns:
        The generator, whose description says whether it draws noise of its own.

    Raises:
        GraftbenchError: It takes no such latents, makes no images, or others than declared, or cannot be trained.
    """
    spec = generator.spec
    z = torch.randn(CHECKED, spec.latent, generator=torch.Generator().manual_seed(0))
    images = _raw(generator, z)
    # What it makes: size, range, finite numbers.
    height, width = images.shape[2:]
    if (height, width) != (resolution, resolution):
        raise GraftbenchError(f"It makes images of {width}×{height}; the task needs {resolution}×{resolution}.")
    try:
        check_numbers(images, spec.range)
    except Diverged as error:
        raise GraftbenchError("It makes images with numbers that are not finite.") from error
    if spec.range == "-1..1" and float(images.min()) >= 0:
        raise GraftbenchError(
            f"No number of {CHECKED} images is below 0 (from {float(images.min()):.4g} to {float(images.max()):.4g}); "
            'expected -1..1. Write range = "0..1"?'
        )
    # Whether it is a generator: another image for another latent, whatever the batch.
    _check_variety(images)
    _raw(generator, z[:OTHER_BATCH])
    if not _can_be_trained(generator, z[:OTHER_BATCH]):
        raise GraftbenchError(
            "It cannot be trained: no weight gets a gradient. Export the module with its parameters, not frozen and "
            "not under torch.no_grad."
        )
    if torch.equal(images, _raw(generator, z)):
        return generator
    noisy = ForeignGenerator(msgspec.structs.replace(spec, draws=True), getattr(generator, "program", None))
    noisy.load_state_dict(generator.state_dict())
    return noisy.eval()


def _raw(generator: ForeignGenerator, z: torch.Tensor) -> torch.Tensor:
    """Return what the network itself makes of latents: float32 B×C×H×W, C 1 or 3.

    Raises:
        GraftbenchError: It does not take them, or makes something else.
    """
    shaped = z.reshape(len(z), *generator.spec.shape)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.seed()
        try:
            output = generator.network(shaped)
        except Exception as error:  # it is anyone's code
            last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise GraftbenchError(
                f"It does not take latents of shape {tuple(shaped.shape)} (a batch, and `latent`): {last}"
            ) from error
    return images_of(output, len(z))


def _can_be_trained(generator: ForeignGenerator, z: torch.Tensor) -> bool:
    parameters, images = list(generator.parameters()), generator(z)
    if not (parameters and images.requires_grad):
        return False
    gradients = torch.autograd.grad(images.square().mean(), parameters, allow_unused=True)
    return any(gradient is not None for gradient in gradients)


def parts_of(generator: ForeignGenerator) -> list[str]:
    """Return what methods may look into (`SourcePart`), as a network of modules offers it; a program is a function."""
    parts = ["network"]
    if generator.spec.form != "builder":
        return parts
    parts += ["layers"] if weighted_layers(generator) else []
    parts += ["norms"] if batch_norms(generator) else []
    with torch.no_grad():
        several = len(stages(generator, torch.zeros(2, generator.spec.latent))) > 1
    return [*parts, "stages"] if several else parts


# ---------------------------------------------------------------------------------------------- pipelines of diffusers


def pipeline_unet(folder: Path, resolution: int) -> ForeignUNet:
    """Load the U-Net of a pipeline that works on pixels, with the pipeline's noise levels.

    Raises:
        GraftbenchError: There is no such pipeline, it works on latents, does not take this side, or cannot be read;
            or what it samples is not finite.
    """
    pipeline = diffusers_pipeline.find(str(folder))
    if pipeline.vae is not None:
        raise GraftbenchError("It works on an autoencoder's latents; fine-tune it with the method `diffusers` instead.")
    pipeline.check(resolution)
    if pipeline.trained_side not in (None, resolution):
        raise GraftbenchError(f"It makes images of {pipeline.trained_side} px; the task needs {resolution}.")
    schedule = {key: value for key, value in pipeline.scheduler.items() if not key.startswith("_")}
    levels = diffusers_pipeline.package("diffusers").DDIMScheduler.from_config(schedule).alphas_cumprod
    spec = ForeignUNetSpec(
        form="diffusers",
        resolution=resolution,
        config={key: value for key, value in pipeline.unet.items() if key == "_class_name" or not key.startswith("_")},
        schedule=TabulatedSchedule(levels.double().tolist()),
        prediction=pipeline.scheduler.get("prediction_type", "epsilon"),
    )
    unet = ForeignUNet(spec)
    loaded = diffusers_pipeline.load(pipeline, torch.device("cpu")).unet
    unet.network.load_state_dict(loaded.state_dict())
    _check_unet(unet, resolution)
    return unet


def _check_unet(unet: ForeignUNet, resolution: int) -> None:
    """Refuse a U-Net whose predictions are not finite.

    Raises:
        GraftbenchError: They are not.
    """
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, resolution, resolution, generator=rng)
    with torch.no_grad():
        noise = unet.eval()(x, torch.tensor([0, len(unet.alpha_bars) - 1]))
    if not bool(noise.isfinite().all()):
        raise GraftbenchError("It predicts noise with numbers that are not finite.")
