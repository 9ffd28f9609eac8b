"""Sampling a U-Net of the package diffusers with one of the package's schedulers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import torch

from graftbench.contracts import Sampler
from graftbench.nn.build import freeze, place
from graftbench.training.diffusers_pipeline import make, package
from graftbench.training.samplers import below, to_uint8

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 32
"""Images that are denoised at once: fixed, for the batch size changes the last bits of a convolution."""

LATENT_BATCH = 4
"""The same where there is an autoencoder: decoding one image of 512 px takes gigabytes."""

SCHEDULERS = {"ddim": "DDIMScheduler", "ddpm": "DDPMScheduler", "dpm-solver++": "DPMSolverMultistepScheduler"}
"""What a config may ask for -> the class of diffusers."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How images are drawn.

    Attributes:
        scheduler: Class of diffusers.
        config: Its configuration.
        steps: Denoising steps.
        side: Of the images, in pixels.
        factor: Pixels per latent, along a side; 1 where the U-Net works on pixels.
    """

    scheduler: str
    config: dict[str, Any]
    steps: int
    side: int
    factor: int = 1


def scheduler_of(name: str, config: dict[str, Any]) -> Any:  # noqa: ANN401 - an optional package
    """Make a fresh scheduler of diffusers: some remember their last steps.

    Raises:
        NotImplementedError: The class does not know the betas that the configuration names.
    """
    return getattr(package("diffusers"), name).from_config(config)


def predict(unet: nn.Module, x: Tensor, t: Tensor, prompt: Tensor | None) -> Tensor:
    """Run the U-Net on x (B×C×H×W) at the noise levels t (B, or one for all) under the prompt (1×L×D)."""
    if prompt is None:
        return unet(x, t).sample
    return unet(x, t, encoder_hidden_states=prompt.expand(len(x), -1, -1)).sample


def encode(vae: Any, images: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ANN401 - an optional package
    """Draw latents of images (B×3×H×W in [−1, 1]) from the autoencoder's posterior, scaled as the U-Net has them.

    The autoencoder is frozen: no gradient is kept.
    """
    with torch.no_grad():
        return vae.encode(images).latent_dist.sample(generator) * vae.config.scaling_factor


class DiffusersSampler(Sampler):
    """x_T ~ N(0, I), denoised by a U-Net in eval mode and float32, and decoded where it works on latents.

    The weights lie channels last (see GeneratorSampler).
    """

    kind: ClassVar[str] = "diffusers"

    def __init__(
        self, unet: nn.Module, sampling: Sampling, vae: nn.Module | None = None, prompt: Tensor | None = None
    ) -> None:
        self.unet, self.sampling, self.prompt = freeze(unet), sampling, prompt
        self.vae: Any = None if vae is None else freeze(vae)
        self.to(next(unet.parameters()).device)

    def to(self, device: torch.device) -> DiffusersSampler:
        """Compute on `device` from now on."""
        place(self.unet, device)
        if self.vae is not None:
            place(self.vae, device)
        self.prompt = None if self.prompt is None else self.prompt.to(device)
        return self

    @torch.inference_mode()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n images: uint8 n×3×H×W on the CPU. All noise is drawn on the CPU, one seed one noise on any device."""
        images = torch.empty(n, 3, self.sampling.side, self.sampling.side, dtype=torch.uint8)
        for part in images.split(BATCH if self.vae is None else LATENT_BATCH):
            part.copy_(to_uint8(self._decoded(self._denoised(len(part), generator))))
        return images

    def _denoised(self, n: int, generator: torch.Generator) -> Tensor:
        config: Any = self.unet.config
        side, device = self.sampling.side // self.sampling.factor, next(self.unet.parameters()).device
        x = torch.randn(n, config.in_channels, side, side, generator=generator)
        x = x.to(device, memory_format=torch.channels_last)
        scheduler = scheduler_of(self.sampling.scheduler, self.sampling.config)
        scheduler.set_timesteps(self.sampling.steps)
        for t in scheduler.timesteps:
            predicted = predict(self.unet, scheduler.scale_model_input(x, t), t, self.prompt)
            x = scheduler.step(predicted, t, x, generator=generator).prev_sample
        return x

    def _decoded(self, x: Tensor) -> Tensor:
        return x if self.vae is None else self.vae.decode(x / self.vae.config.scaling_factor).sample

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the networks' tensors, their configurations, and how they are sampled."""
        tensors = {f"unet.{name}": tensor for name, tensor in self.unet.state_dict().items()}
        metadata = {"unet": _json(self.unet), "sampling": msgspec.json.encode(self.sampling).decode()}
        if self.vae is not None:
            tensors |= {f"vae.{name}": tensor for name, tensor in self.vae.state_dict().items()}
            metadata["vae"] = _json(self.vae)
        if self.prompt is not None:
            tensors["prompt"] = self.prompt
        return tensors, metadata

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], metadata: dict[str, str]) -> DiffusersSampler:
        """Build the architectures and load the weights.

        Raises:
            GraftbenchError: The package diffusers is missing.
        """
        networks: dict[str, nn.Module] = {}
        for part in ("unet", "vae"):
            if part in metadata:
                networks[part] = make(msgspec.json.decode(metadata[part]))
                networks[part].load_state_dict(below(part, tensors))
        sampling = msgspec.json.decode(metadata["sampling"], type=Sampling)
        return cls(networks["unet"], sampling, networks.get("vae"), tensors.get("prompt"))


def _json(network: Any) -> str:  # noqa: ANN401 - an optional package
    """Return a network's class and settings, without the versions and paths of its origin."""
    settings = {key: value for key, value in network.config.items() if not key.startswith("_")}
    return msgspec.json.encode({"_class_name": type(network).__name__, **settings}, order="sorted").decode()
