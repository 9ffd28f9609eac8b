"""Any model of timm: its facts, its weights, and the network."""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from timm.models import get_pretrained_cfg

from graftbench.errors import GraftbenchError
from graftbench.extractors.base import Network
from graftbench.extractors.catalogue import PILLOW_RULES, ExtractorInfo
from graftbench.extractors.preprocessing import normalised, resized
from graftbench.extractors.state_dicts import misfit, read_state
from graftbench.extractors.weights import advice, checkpoint

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

UNUSABLE = (RuntimeError, AssertionError, ValueError, TypeError, NotImplementedError, AttributeError, IndexError)
"""Errors of timm's models at sizes, options or weights that they cannot take."""


def config(name: str) -> PretrainedCfg:
    """Return the configuration of `timm:NAME`, tag included; without a tag, timm's default one.

    Raises:
        GraftbenchError: timm has no such model; the nearest name is given.
    """
    model = name.removeprefix("timm:")
    try:
        facts = get_pretrained_cfg(model, allow_unregistered=False)
    except RuntimeError:
        facts = None
    if facts is None or not timm.is_model(model):
        near = get_close_matches(model, [*timm.list_models(pretrained=True), *timm.list_models()], n=1, cutoff=0.5)
        hint = f" Did you mean 'timm:{near[0]}'?" if near else ""
        raise GraftbenchError(
            f"Unknown timm model '{model}' in the extractor '{name}'.{hint} timm {timm.__version__} has "
            f"{len(timm.list_models(pretrained=True))} with weights; timm.list_models(pretrained=True) names them."
        )
    return facts


def info(name: str) -> ExtractorInfo:
    """Return the facts about `timm:NAME`.

    The resize rules are bicubic or bilinear with antialiasing, first the one that the model was trained with. The whole
    image is resized to the model's square; timm's own evaluation cuts out the centre and loses what lies at the edge.

    Raises:
        GraftbenchError: timm has no such model.
    """
    facts = config(name)
    model = _skeleton(name)
    rules = PILLOW_RULES[::-1] if facts.interpolation == "bilinear" else PILLOW_RULES
    source = facts.hf_hub_id or facts.url
    return ExtractorInfo(
        name=name,
        title=f"{facts.architecture}{f'.{facts.tag}' if facts.tag else ''} of timm",
        width=getattr(model, "head_hidden_size", None) or model.num_features,
        classes=model.num_classes,
        size=facts.input_size[-1],
        resizes=rules,
        weights=f"{source}, downloaded on first use" if source else "none released: give a file",
        license=facts.license or "not stated by timm: see the model's page",
    )


def _skeleton(name: str) -> Any:  # noqa: ANN401 - timm's models share no class that has these attributes
    """Make the model without memory for its weights, or with it where its construction needs numbers."""
    try:
        with torch.device("meta"):
            return _create(name)
    except UNUSABLE:
        return _create(name)


def _create(name: str, **options: Any) -> Any:  # noqa: ANN401 - timm's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's notes on names that were mapped to new ones
        return timm.create_model(name.removeprefix("timm:"), **options)


def load(name: str, weights: Path, **options: Any) -> Any:  # noqa: ANN401 - timm's
    """Make a model with its weights. timm gets the state dict as read: it converts and checks it, and opens no file.

    Raises:
        GraftbenchError: The file cannot be read, or does not fit the model.
    """
    state = read_state(weights)
    try:
        network = _create(name, pretrained=True, pretrained_cfg_overlay={"state_dict": state}, **options)
    except UNUSABLE as error:
        raise misfit(weights, f"timm's {config(name).architecture}", error) from error
    network.pretrained_cfg.pop("state_dict", None)  # it would keep a second copy of the weights
    return network


class TimmNetwork(Network):
    """Uint8 B×3×H×W to pooled B×D and logits B×K (K is 0 for models without a classifier).

    Pooled features are what the model's classifier sees (timm's `forward_head(…, pre_logits=True)`). Input is
    normalised with the mean and standard deviation of the model's configuration.

    Args:
        name: `timm:NAME`.
        weights: A state dict in the format that timm releases for the model, or that of the model's authors where timm
            converts it.
        size: Side in pixels.
        resize: One of `info(name).resizes`.

    Raises:
        GraftbenchError: The file does not fit the model, or the model does not take the size.
    """

    def __init__(self, name: str, weights: Path, size: int, resize: str) -> None:
        super().__init__()
        facts = config(name)
        self.size, self.resize, self.mean, self.std = size, resize, facts.mean, facts.std
        default = facts.input_size[-1]
        self._check_size(name, size, default)
        options = {"img_size": size} if facts.fixed_input_size and size != default else {}
        self.network = load(name, weights, **options)
        self.network.eval().requires_grad_(requires_grad=False)
        self.network.to(memory_format=torch.channels_last)
        with torch.inference_mode():
            pooled, logits = self(torch.zeros(1, 3, size, size, dtype=torch.uint8))
        self.width, self.classes = pooled.shape[1], logits.shape[1]

    @staticmethod
    def _check_size(name: str, size: int, default: int) -> None:
        """Try the size on a model without weights, before anything is loaded."""
        if size == default:
            return
        try:
            fixed = config(name).fixed_input_size
            with torch.device("meta"):
                model = _create(name, **({"img_size": size} if fixed else {})).eval()
                model.forward_features(torch.zeros(1, 3, size, size))
            patch = max(getattr(getattr(model, "patch_embed", None), "patch_size", (1,)))
            if size % patch:
                raise ValueError(f"no multiple of its patches of {patch}: the edge would be cut off")
        except UNUSABLE as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise GraftbenchError(
                f"The extractor '{name}' does not take images of {size} pixels ({reason}); its own size is {default}."
            ) from error

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map uint8 B×3×H×W to pooled features B×D and logits B×K."""
        pixels = normalised(resized(images, self.size, self.resize), self.mean, self.std)
        maps = self.network.forward_features(pixels.contiguous(memory_format=torch.channels_last))
        pooled = self.network.forward_head(maps, pre_logits=True).flatten(1)
        if not self.network.num_classes:
            return pooled, pooled.new_empty(len(pooled), 0)
        return pooled, self.network.forward_head(maps)


def hub_file(name: str) -> Path:
    """Return the released weights of `timm:NAME`, from the Hugging Face hub's cache or downloaded.

    Raises:
        GraftbenchError: No weights are released, or they cannot be downloaded.
    """
    facts = config(name)
    if not facts.hf_hub_id:
        if not isinstance(facts.url, str) or not facts.url:
            raise GraftbenchError(f"timm has no weights for '{name}'; having a file, {advice(name)}.")
        return checkpoint(name, facts.url)
    from huggingface_hub import hf_hub_download, try_to_load_from_cache  # noqa: PLC0415 - slow, and only for this

    files = [facts.hf_hub_filename] if facts.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    for file in files:
        if isinstance(cached := try_to_load_from_cache(facts.hf_hub_id, file), str):
            return Path(cached)
    reasons = []
    for file in files:
        try:
            return Path(hf_hub_download(facts.hf_hub_id, file))
        except (OSError, ValueError, RuntimeError) as error:  # no network, no such file, or the hub is switched off
            reasons.append(f"{file}: {str(error).strip().partition(chr(10))[0]}")
            if type(error).__name__ == "LocalEntryNotFoundError":
                break  # no network: another name will not be found either
    raise GraftbenchError(
        f"The weights of '{name}' are not in the hub's cache and could not be downloaded ({'; '.join(reasons)}). "
        f"Get {files[0]} from https://huggingface.co/{facts.hf_hub_id}; then {advice(name)}."
    )
