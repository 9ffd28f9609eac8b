"""Networks that were made elsewhere, as source models have them: built again from a description and tensors alone.

A generator is a TorchScript or `torch.export` program, whose bytes are one of its tensors, or what a builder makes: a
function of an installed package, or of a Python file whose text stands in the description. A denoising network is the
U-Net of a pipeline of diffusers. All look like this suite's own to the loops: z (B×latent) -> images in [−1, 1], and
(x_t, t) -> the noise in x_t.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from copy import deepcopy
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
import torch
from torch import Tensor, nn

from graftbench.contracts import PixelRange
from graftbench.errors import GraftbenchError
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.nn.unet import DenoisingUNet, DenoisingUNetSpec
from graftbench.training.diffusers_pipeline import counted_attention, make
from graftbench.training.generator_files import LIMITS, opened, own_chances

if TYPE_CHECKING:
    from collections.abc import Mapping

Form = Literal["TorchScript", "torch.export", "builder"]


class ForeignGeneratorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a generator from elsewhere is, beside its tensors.

    Attributes:
        form: A program, or made by a builder.
        resolution: Side of its images in pixels.
        shape: Shape of one z ~ N(0, I), without the batch; it gets a flat z in this shape.
        range: What its images' black and white are.
        builder: `package.module:function`, or `:function` of `code`; empty for a program.
        code: Text of the builder's file; empty where it is in a package.
        arguments: What the builder is called with, by name.
        draws: Whether it draws noise beside z from torch's global generators, which then start anew for every batch
            of samples; in training they run on.
    """

    form: Form
    resolution: int
    shape: list[int]
    range: PixelRange = "-1..1"
    builder: str = ""
    code: str = ""
    arguments: dict[str, Any] = {}
    draws: bool = False

    @property
    def latent(self) -> int:
        """Return the numbers in one z."""
        return math.prod(self.shape)


class ForeignGenerator(nn.Module):
    """z (B×latent) -> image in [−1, 1] (B×3×R×R), by a network from elsewhere.

    Args:
        spec: Its description.
        program: The bytes of a program, uint8; None where a builder makes it.

    Raises:
        GraftbenchError: It cannot be loaded or built.
    """

    program: Tensor

    def __init__(self, spec: ForeignGeneratorSpec, program: Tensor | None = None) -> None:
        super().__init__()
        self.spec = spec
        with torch.random.fork_rng(devices=[]):  # what initialises itself must not move the global generator
            if program is None:
                network = built(spec)
            else:
                form = "TorchScript" if spec.form == "TorchScript" else "torch.export"
                network = cast("nn.Module", opened(program.cpu().numpy().tobytes(), form, torch.device("cpu")))
                self.register_buffer("program", program)
        for parameter in network.parameters():  # a TorchScript module does not do it by itself
            parameter.requires_grad = True
        self.network = network

    def forward(self, z: Tensor) -> Tensor:
        """Map B×latent to B×3×R×R."""
        alone = self.spec.draws and not self.training
        with own_chances(z.device) if alone else nullcontext():
            images = self.network(z.reshape(len(z), *self.spec.shape))
        low, high = LIMITS[self.spec.range]
        if (low, high) != (-1.0, 1.0):
            images = (images - low) * (2 / (high - low)) - 1
        return images.expand(-1, 3, -1, -1)

    def train(self, mode: bool = True) -> ForeignGenerator:  # noqa: FBT001, FBT002 - as torch has it
        """Set the mode; an exported program has the one that it was exported in."""
        if self.spec.form != "torch.export":
            return super().train(mode)
        self.training = mode
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ForeignGenerator:
        """Copy the network; a program is opened again, for copies of TorchScript modules cannot be trained."""
        if self.spec.form == "builder":
            copy = self.__class__.__new__(self.__class__)
            memo[id(self)] = copy
            copy.__dict__ = deepcopy(self.__dict__, memo)
            return copy
        copy = ForeignGenerator(self.spec, self.program.clone())
        copy.load_state_dict(self.state_dict())
        for mine, other in zip(self.parameters(), copy.parameters(), strict=True):
            other.requires_grad = mine.requires_grad
        copy.to(self.program.device)
        return copy.train(self.training)


def built(spec: ForeignGeneratorSpec) -> nn.Module:
    """Call a builder.

    Raises:
        GraftbenchError: There is no such function, it fails, or what it returns is no network.
    """
    module_name, _, name = spec.builder.rpartition(":")
    try:
        if spec.code:
            module = ModuleType(f"graftbench_builder_{name}")
            exec(compile(spec.code, "<builder>", "exec"), vars(module))  # noqa: S102 - the user names the file to run it
        else:
            module = import_module(module_name)
        network = getattr(module, name)(**spec.arguments)
    except Exception as error:  # it is anyone's code
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise GraftbenchError(f"The builder '{spec.builder}' cannot be called ({reason}).") from error
    if not isinstance(network, nn.Module):
        raise GraftbenchError(
            f"The builder '{spec.builder}' returns {type(network).__name__}; expected a torch.nn.Module."
        )
    return network


# ---------------------------------------------------------------------------------------------- denoising networks


class TabulatedSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A noise schedule that is written out; otherwise as `graftbench.nn.schedule.ScheduleSpec`.

    Attributes:
        shares: ᾱ of each noise level, the first the least noisy.
    """

    shares: list[float]

    @property
    def steps(self) -> int:
        """Return T, the number of noise levels."""
        return len(self.shares)

    def alpha_bars(self) -> Tensor:
        """Return ᾱ: float64, T."""
        return torch.tensor(self.shares, dtype=torch.float64)


class ForeignUNetSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the U-Net of a pipeline of diffusers is, beside its tensors.

    Attributes:
        form: A pipeline of diffusers.
        resolution: Side of its images in pixels.
        config: The U-Net's configuration, its class included.
        schedule: The pipeline's noise levels.
        prediction: What it predicts.
    """

    form: Literal["diffusers"]
    resolution: int
    config: dict[str, Any]
    schedule: TabulatedSchedule
    prediction: Literal["epsilon", "sample", "v_prediction"] = "epsilon"


class ForeignUNet(nn.Module):
    """(x_t, t) -> the noise in x_t, by a U-Net of diffusers; its dropout is switched off.

    Raises:
        GraftbenchError: The package is missing.
    """

    alpha_bars: Tensor

    def __init__(self, spec: ForeignUNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.network = make(spec.config)
        self.register_buffer("alpha_bars", spec.schedule.alpha_bars().float(), persistent=False)
        for part in self.network.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Map B×3×R×R and int64 B to B×3×R×R."""
        with counted_attention(x.device):
            predicted = self.network(x, t).sample
        if self.spec.prediction == "epsilon":
            return predicted
        share = self.alpha_bars[t][:, None, None, None]
        if self.spec.prediction == "v_prediction":  # v = √ᾱ ε − √(1 − ᾱ) x_0 (arXiv 2202.00512, appendix D)
            return share.sqrt() * predicted + (1 - share).sqrt() * x
        return (x - share.sqrt() * predicted) / (1 - share).sqrt()


# --------------------------------------------------------------------------------------------- from a description


AnyGenerator = Generator | ForeignGenerator
AnyUNet = DenoisingUNet | ForeignUNet


def generator_of(description: str, tensors: Mapping[str, Tensor]) -> AnyGenerator:
    """Make a generator from its description (JSON) and its state dict.

    Raises:
        GraftbenchError: A network from elsewhere cannot be built.
        RuntimeError: Names or shapes of the tensors do not match.
    """
    generator: AnyGenerator
    if is_foreign(description):
        spec = msgspec.json.decode(description, type=ForeignGeneratorSpec)
        generator = ForeignGenerator(spec, tensors.get("program"))
    else:
        generator = Generator(msgspec.json.decode(description, type=GeneratorSpec))
    generator.load_state_dict(dict(tensors))
    return generator


def unet_of(description: str, tensors: Mapping[str, Tensor]) -> AnyUNet:
    """Make a denoising network from its description (JSON) and its state dict.

    Raises:
        GraftbenchError: A package is missing.
        RuntimeError: Names or shapes of the tensors do not match.
    """
    network: AnyUNet
    if is_foreign(description):
        network = ForeignUNet(msgspec.json.decode(description, type=ForeignUNetSpec))
    else:
        network = DenoisingUNet(msgspec.json.decode(description, type=DenoisingUNetSpec))
    network.load_state_dict(dict(tensors))
    return network


def is_foreign(description: str) -> bool:
    """Return whether a description (JSON) is that of a network from elsewhere: those say their form.

    Raises:
        msgspec.MsgspecError: It is no JSON object.
    """
    return "form" in msgspec.json.decode(description, type=dict)


# ------------------------------------------------------------------------------------------- what methods look into


def weighted_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the linear and convolutional layers by name, in the order of the network's definition."""
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    return {name: module for name, module in network.named_modules() if isinstance(module, kinds)}


def batch_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Return the batch norms of images, in the order of the network's definition."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def stages(generator: AnyGenerator, z: Tensor) -> list[Tensor]:
    """Return the outputs of a generator's stages, from the smallest side to the largest: B×C×H×W, with gradient.

    Of a network from elsewhere a stage is what its last layer of a side puts out, the image aside.
    """
    if isinstance(generator, Generator):
        x = generator.stem(z).unflatten(1, (-1, 4, 4))
        maps = [generator.stem_norm(x).relu()]
        for block in generator.blocks:
            maps.append(block(maps[-1]))
        return maps
    by_side: dict[int, Tensor] = {}

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[1] > 3 and output.shape[-1] > 1:
            by_side[output.shape[-1]] = output

    leaves = [module for module in generator.network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(keep) for module in leaves]
    try:
        generator(z)
    finally:
        for hook in hooks:
            hook.remove()
    return [by_side[side] for side in sorted(by_side)]
