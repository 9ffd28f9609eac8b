"""Pretrained pipelines as the package diffusers saves them: where one lies, what it is, and its networks.

A pipeline is a folder with `model_index.json` and one folder per part (`unet`, `scheduler`, …), each with its
configuration as JSON and its weights as safetensors; some older ones have the parts of a U-Net without a folder of
their own, which diffusers reads too. The package itself is imported where its networks are made, and not before.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from graftbench.errors import GraftbenchError
from graftbench.nn.build import freeze, place

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import nn

DOWNLOAD_VARIABLE = "GRAFTBENCH_DOWNLOAD"
"""As for data sets: models have up to gigabytes, so that planning a suite must never begin to fetch them."""

UNETS = {
    "DDPMPipeline": "UNet2DModel",
    "DDIMPipeline": "UNet2DModel",
    "StableDiffusionPipeline": "UNet2DConditionModel",
}
"""Pipelines that can be fine-tuned -> the class of their U-Net."""

PARTS = ("unet", "scheduler", "vae", "text_encoder", "tokenizer")
"""What is fetched and read of a pipeline; safety checkers and the like are left alone."""

_CONFIGS = {"scheduler": "scheduler_config.json"}
"""Names of the parts' configurations where they are not config.json."""

_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")

_CONDITIONS = ("num_class_embeds", "class_embed_type", "addition_embed_type", "encoder_hid_dim_type")
"""Settings of a U-Net that make it ask for more than a noise level and, at most, a prompt."""


def package(name: str) -> Any:  # noqa: ANN401 - an optional package
    """Import an optional package by its name, which may also be the name of a file in this folder.

    Raises:
        GraftbenchError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise GraftbenchError(
            f"The method diffusers needs the package {name}: pip install 'graftbench[diffusers]'."
        ) from error


@dataclass(frozen=True)
class Pipeline:
    """A pipeline that was found and can be fine-tuned; its weights are not read yet.

    Attributes:
        name: What the user called it: a folder, or a name of the hub.
        folder: Where it lies.
        revision: The commit it was fetched in; empty for a folder of the user's.
        unet: Configuration of its U-Net.
        scheduler: Configuration of its noise levels.
        vae: Configuration of its autoencoder; None where it works on pixels.
    """

    name: str
    folder: Path
    revision: str
    unet: dict[str, Any]
    scheduler: dict[str, Any]
    vae: dict[str, Any] | None

    @property
    def trained_side(self) -> int | None:
        """Return the side in pixels of the images it was trained on, where it says so and they are square."""
        size = self.unet.get("sample_size")
        sides = set(size) if isinstance(size, list) else {size}
        side = sides.pop()
        return side * self.latent_factor if isinstance(side, int) and not sides else None

    @property
    def latent_factor(self) -> int:
        """Return the pixels per latent along a side: an autoencoder halves between its levels; 1 without one."""
        return 1 if self.vae is None else 2 ** (len(self.vae["block_out_channels"]) - 1)

    def part(self, name: str) -> Path:
        """Return the folder of a part; the pipeline's own where the part has none."""
        folder = self.folder / name
        return folder if folder.is_dir() else self.folder

    def check(self, resolution: int) -> None:
        """Refuse sides that the networks cannot take.

        A U-Net on pixels halves the side between its levels and joins each level to the one of its way down: the side
        is a multiple of 2^(levels − 1). One on latents fits its levels to odd sides itself; its autoencoder does not.

        Raises:
            GraftbenchError: The side does not divide.
        """
        what, config = ("U-Net", self.unet) if self.vae is None else ("autoencoder", self.vae)
        levels = len(config["block_out_channels"])
        step = 2 ** (levels - 1)
        if resolution % step:
            raise GraftbenchError(
                f"'{self.name}' cannot be fitted at {resolution} px: its {what} has {levels} levels, so the side must "
                f"be a multiple of {step}."
            )


# ------------------------------------------------------------------------------------------------ finding a pipeline


def find(model: str, revision: str = "") -> Pipeline:
    """Find a pipeline in a folder, in the hub's local cache, or, where the user allowed it, on the hub.

    Args:
        model: A folder, or a name of the hub.
        revision: Branch, tag or commit of the hub; the default branch if empty.

    Raises:
        GraftbenchError: There is none, or it is none that can be fine-tuned.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision:
            raise GraftbenchError(f"'{model}' is a folder: a revision ('{revision}') is for names of the hub.")
        return _described(model, folder, "")
    folder = _from_hub(model, revision)
    return _described(model, folder, folder.name)


_DOWNLOADED = {
    "allow_patterns": [
        *("model_index.json", "config.json", "scheduler_config.json", "diffusion_pytorch_model*.safetensors*"),
        *(f"{part}/*.{ending}" for part in PARTS for ending in ("json", "txt", "safetensors")),
    ],
    "ignore_patterns": ["*.fp16.*", "*.non_ema.*"],
}
"""Of all the formats and precisions that a model is offered in, the one that is read here."""


def _from_hub(model: str, revision: str) -> Path:
    """Return the snapshot of a model, in a folder that is named after its commit."""
    if not _HUB_NAME.fullmatch(model):
        raise GraftbenchError(f"There is no folder '{model}', and it is no name of the hub (OWNER/NAME).")
    allowed = os.environ.get(DOWNLOAD_VARIABLE) == "1"
    hub = package("huggingface_hub")
    try:
        return Path(
            hub.snapshot_download(model, revision=revision or None, local_files_only=not allowed, **_DOWNLOADED)
        )
    except Exception as error:  # the hub's client raises errors of several packages
        how = "the hub gave none" if allowed else f"to fetch it, set {DOWNLOAD_VARIABLE}=1 and run the same again"
        why = f" ({type(error).__name__}: {' '.join(str(error).split())})" if allowed else ""
        of = f" in revision '{revision}'" if revision else ""
        raise GraftbenchError(
            f"There is no folder '{model}', and the hub's local cache has no model of this name{of}; {how}{why}."
        ) from error


def _described(name: str, folder: Path, revision: str) -> Pipeline:
    kind = str(_json(name, folder / "model_index.json", "what pipeline.save_pretrained(FOLDER) writes")["_class_name"])
    if kind not in UNETS:
        raise GraftbenchError(f"'{name}' is a {kind}; the method diffusers knows {', '.join(UNETS)}.")
    latents = UNETS[kind] == "UNet2DConditionModel"
    bare = Pipeline(name, folder, revision, {}, {}, None)
    unet, scheduler = _config(bare, "unet"), _config(bare, "scheduler")
    pipeline = Pipeline(name, folder, revision, unet, scheduler, _config(bare, "vae") if latents else None)
    _check_unet(pipeline, kind)
    _check_schedule(pipeline)
    for part in ("unet", "vae", "text_encoder") if latents else ("unet",):
        _check_weights(name, pipeline.part(part))
    return pipeline


def _config(pipeline: Pipeline, part: str) -> dict[str, Any]:
    file = pipeline.part(part) / _CONFIGS.get(part, "config.json")
    return _json(pipeline.name, file, f"the configuration of its part '{part}'")


def _json(name: str, file: Path, what: str) -> dict[str, Any]:
    """Read a configuration, which is a JSON object that names its class."""
    try:
        config = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise GraftbenchError(f"'{name}' holds no pipeline of diffusers: it has no {file.name} ({what}).") from error
    except (OSError, ValueError) as error:
        raise GraftbenchError(f"'{name}': {file.name} cannot be read as JSON ({error}).") from error
    if not isinstance(config, dict) or "_class_name" not in config:
        raise GraftbenchError(f"'{name}': {file.name} names no class, so it is not {what}.")
    return config


def _check_unet(pipeline: Pipeline, kind: str) -> None:
    unet = pipeline.unet
    if unet["_class_name"] != UNETS[kind]:
        raise GraftbenchError(
            f"'{pipeline.name}' is a {kind} with a {unet['_class_name']}; it can be fine-tuned with a {UNETS[kind]}."
        )
    channels = (unet.get("in_channels", 3), unet.get("out_channels", 3))
    needed = 3 if pipeline.vae is None else pipeline.vae.get("latent_channels", 4)
    if channels != (needed, needed):
        raise GraftbenchError(
            f"The U-Net of '{pipeline.name}' takes {channels[0]} channels and gives {channels[1]}; expected {needed} "
            f"and {needed} ({'colours' if pipeline.vae is None else 'the latents of its autoencoder'})."
        )
    if conditions := [key for key in _CONDITIONS if unet.get(key) is not None]:
        raise GraftbenchError(
            f"The U-Net of '{pipeline.name}' is conditioned on more than noise levels and one prompt "
            f"({', '.join(conditions)}); images here have no classes."
        )


def _check_schedule(pipeline: Pipeline) -> None:
    """Refuse noise levels that are no chain of betas: flows and σ-parametrised models have none."""
    config = pipeline.scheduler
    if "beta_schedule" not in config and config.get("trained_betas") is None:
        raise GraftbenchError(
            f"The scheduler of '{pipeline.name}', {config['_class_name']}, has no betas; the method diffusers trains "
            "denoising diffusion models (DDPMScheduler, DDIMScheduler and those made from their settings)."
        )
    kinds = ("epsilon", "sample", "v_prediction")
    if (kind := config.get("prediction_type", "epsilon")) not in kinds:
        raise GraftbenchError(f"'{pipeline.name}' predicts '{kind}'; expected one of {', '.join(kinds)}.")


def _check_weights(name: str, folder: Path) -> None:
    """Refuse weights that are not safetensors: a pickle runs whatever code its author put into it."""
    files = sorted(file.name for file in folder.iterdir() if file.is_file())
    if any(re.fullmatch(r"(diffusion_pytorch_)?model\.safetensors(\.index\.json)?", file) for file in files):
        return
    weights = [file for file in files if file.endswith((".bin", ".pt", ".pth", ".ckpt", ".safetensors"))]
    raise GraftbenchError(
        f"'{name}' has no weights as safetensors in its part '{folder.name}'; found {', '.join(weights) or 'none'}. "
        "Pickled weights are not loaded: open the pipeline with diffusers where you trust it, and write it anew with "
        "pipeline.save_pretrained(FOLDER)."
    )


# ------------------------------------------------------------------------------------------------------- networks


@dataclass(frozen=True)
class Networks:
    """What a pipeline computes with, in float32 on one device; all but the U-Net is frozen.

    Attributes:
        unet: Predicts noise, image or velocity.
        vae: Pixels <-> latents; None where the U-Net works on pixels.
        text_encoder: What encoded the prompt; None where there is no prompt.
        prompt: The prompt's encoding, 1×L×D, or None.
    """

    unet: nn.Module
    vae: nn.Module | None = None
    text_encoder: nn.Module | None = None
    prompt: torch.Tensor | None = None

    @property
    def frozen(self) -> dict[str, nn.Module]:
        """Return the networks that take part and do not move, by name."""
        parts = {"vae": self.vae, "text_encoder": self.text_encoder}
        return {name: network for name, network in parts.items() if network is not None}


def import_networks(pipeline: Pipeline) -> None:
    """Import the classes of a pipeline's networks: seconds, once a process, and no cost of a fit (as torch's is none).

    Raises:
        GraftbenchError: A package is missing.
    """
    for config in (pipeline.unet, pipeline.vae):
        if config is not None:
            getattr(package("diffusers"), config["_class_name"])
    if pipeline.vae is not None:
        package("transformers").CLIPTextModel  # noqa: B018 - the package imports what is asked for


def make(config: dict[str, Any]) -> nn.Module:
    """Make a network of diffusers with fresh weights from its configuration (`_class_name` included).

    Its first weights come from torch's global generator, which is left as it was.

    Raises:
        GraftbenchError: The package is missing.
    """
    cls = getattr(package("diffusers"), config["_class_name"])
    with torch.random.fork_rng(devices=[]):
        return cls.from_config(config)


def load(pipeline: Pipeline, device: torch.device, prompt: str = "") -> Networks:
    """Read the weights of a pipeline's networks.

    Args:
        pipeline: Where they are.
        device: Where the networks are put.
        prompt: What a pipeline with a text encoder is told, always.

    Raises:
        GraftbenchError: They are damaged or of another architecture; a package is missing.
    """
    unet = _loaded(pipeline, "unet", pipeline.unet).to(device)
    if pipeline.vae is None:
        return Networks(unet)
    text_encoder, encoded = _encoded(pipeline, prompt)
    vae = freeze(place(_loaded(pipeline, "vae", pipeline.vae), device))
    return Networks(unet, vae, freeze(text_encoder), encoded.to(device))


def _loaded(pipeline: Pipeline, part: str, config: dict[str, Any]) -> nn.Module:
    """Load a network with its weights: diffusers reads them, for it knows the older names of layers."""
    cls = getattr(package("diffusers"), config["_class_name"])
    how = {"use_safetensors": True, "local_files_only": True, "torch_dtype": torch.float32, "low_cpu_mem_usage": False}
    try:
        with torch.random.fork_rng(devices=[]):
            network, info = cls.from_pretrained(pipeline.part(part), output_loading_info=True, **how)
    except Exception as error:  # of diffusers, safetensors (from Rust) and torch
        reason = " ".join(str(error).split())
        raise GraftbenchError(f"The part '{part}' of '{pipeline.name}' cannot be loaded: {reason}") from error
    if missing := sorted(info["missing_keys"]):
        raise GraftbenchError(
            f"The weights of the part '{part}' of '{pipeline.name}' lack {len(missing)} of its tensors, such as "
            f"'{missing[0]}'."
        )
    return network


def _encoded(pipeline: Pipeline, prompt: str) -> tuple[nn.Module, torch.Tensor]:
    """Load the text encoder and encode a prompt: 1×L×D, as StableDiffusionPipeline encodes it."""
    library = package("transformers")
    try:
        with torch.random.fork_rng(devices=[]):
            tokenizer = library.CLIPTokenizer.from_pretrained(pipeline.part("tokenizer"), local_files_only=True)
            encoder = library.CLIPTextModel.from_pretrained(
                pipeline.part("text_encoder"), local_files_only=True, use_safetensors=True
            ).float()
    except Exception as error:  # as above
        reason = " ".join(str(error).split())
        raise GraftbenchError(f"The text encoder of '{pipeline.name}' cannot be loaded: {reason}") from error
    length = tokenizer.model_max_length
    tokens = tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return encoder, encoder(tokens.input_ids)[0].clone()


def counted_attention(device: torch.device) -> AbstractContextManager[object]:
    """Compute attention on a CPU as plain products: torch's counter misses the fused one (see nn/unet.py)."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
