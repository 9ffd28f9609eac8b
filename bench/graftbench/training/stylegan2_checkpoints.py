"""Checkpoints of StyleGAN2 as source models: state dicts in the naming of NVlabs' PyTorch code, or of rosinality's.

Names, shapes and factors were read in both repositories (github.com/NVlabs/stylegan2-ada-pytorch,
github.com/rosinality/stylegan2-pytorch). Both keep weights of unit variance and scale them when they are used, as
`graftbench.nn.stylegan2` does, so that tensors are renamed and reshaped, and their numbers stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import torch

from graftbench.errors import GraftbenchError
from graftbench.nn.stylegan2 import StyleDiscriminator, StyleDiscriminatorSpec, StyleGenerator, StyleGeneratorSpec
from graftbench.training.samplers import below, read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from torch import Tensor

    from graftbench.nn.build import Net

State = dict[str, "Tensor"]

GENERATORS, DISCRIMINATORS = ("G_ema", "g_ema", "G", "g", "generator"), ("D", "d", "discriminator")
"""Entries of a file that hold a network, the averaged generator first."""

CONVERT = (
    "A .pkl of NVlabs runs code when it is read: where their repository is installed, write "
    'torch.save({"G_ema": G_ema.state_dict(), "D": D.state_dict()}, "model.pt") and name that file.'
)


class Rule(NamedTuple):
    """What becomes of a tensor's name.

    Attributes:
        pattern: Regular expression that the whole name matches.
        name: Its name here, made of the match; empty for a tensor that is not needed.
    """

    pattern: str
    name: Callable[[re.Match[str]], str]


def read_stylegan2(file: Path, resolution: int) -> dict[str, StyleGenerator | StyleDiscriminator]:
    """Read a generator and, where the file has one, a discriminator: under `generator` and `discriminator`.

    Args:
        file: `.pt`, `.pth` or `.safetensors`; of a state dict of state dicts the averaged generator is taken. No code
            in it is run.
        resolution: Side in pixels that both must have.

    Raises:
        GraftbenchError: It cannot be read so, its names are of neither naming, or it is of another configuration or
            resolution than configuration F at that side.
    """
    sections = _sections(_contents(file))
    networks: dict[str, StyleGenerator | StyleDiscriminator] = {"generator": _generator(sections["generator"])}
    if "discriminator" in sections:
        networks["discriminator"] = _discriminator(sections["discriminator"])
    for name, network in networks.items():
        if network.spec.resolution != resolution:
            raise GraftbenchError(f"Its {name} is of {network.spec.resolution} px; the task needs {resolution}.")
    return networks


# ------------------------------------------------------------------------------------------------------------- files


def _contents(file: Path) -> dict[str, object]:
    """Read a file without running code.

    Raises:
        GraftbenchError: It is no state dict.
    """
    if file.suffix == ".pkl":
        raise GraftbenchError(CONVERT)
    if file.suffix == ".safetensors":
        return dict(read_tensors(file)[0])
    try:
        contents = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle raises whatever it likes
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GraftbenchError(f"'{file.name}' cannot be read without running code: {reason}") from error
    if not isinstance(contents, dict):
        raise GraftbenchError(f"'{file.name}' holds {type(contents).__name__}; expected a state dict.")
    return {str(name): value for name, value in contents.items()}


def _sections(contents: dict[str, object]) -> dict[str, State]:
    """Return the state dicts of the networks by what they are; a file of tensors alone may hold the generator bare.

    Raises:
        GraftbenchError: There is no generator.
    """
    tensors = {name: value for name, value in contents.items() if isinstance(value, torch.Tensor)}
    sections: dict[str, State] = {}
    for role, names in (("generator", GENERATORS), ("discriminator", DISCRIMINATORS)):
        for name in names:
            entry = contents.get(name) or below(name, tensors)
            if isinstance(entry, dict) and entry and role not in sections:
                sections[role] = {str(key).removeprefix("module."): value for key, value in entry.items()}
    if "generator" not in sections and any(name.startswith(("synthesis.", "style.")) for name in tensors):
        sections["generator"] = tensors
    if "generator" not in sections:
        raise GraftbenchError(
            f"It has no generator: expected an entry {' or '.join(GENERATORS)}, or a generator's tensors as "
            f"synthesis.b4.conv1.weight (NVlabs) or conv1.conv.weight (rosinality); found {_some(contents)}."
        )
    return sections


# --------------------------------------------------------------------------------------------------------- generator

LAYER = {"conv.weight": "weight", "noise.weight": "noise_strength", "activate.bias": "bias", "bias": "bias"}
"""rosinality's names within a layer -> ours; those of the modulation aside."""


def _layer(rest: str) -> str:
    return LAYER.get(rest) or rest.replace("conv.modulation.", "affine.")


def _side(match: re.Match[str]) -> int:
    """Return the side of the block that rosinality's layer or noise map of a number belongs to."""
    return 8 << int(match[1]) // 2


NVLABS_GENERATOR = (
    Rule(r".*resample_filter|mapping\.w_avg", lambda _: ""),
    Rule(r"synthesis\.b4\.const", lambda _: "const"),
    Rule(r"(mapping|synthesis)\..*", lambda match: match[0]),
)

ROSINALITY_GENERATOR = (
    Rule(r".*\.kernel|latent_avg", lambda _: ""),
    Rule(r"input\.input", lambda _: "const"),
    Rule(r"style\.(\d+)\.(.*)", lambda match: f"mapping.fc{int(match[1]) - 1}.{match[2]}"),
    Rule(r"conv1\.(.*)", lambda match: f"synthesis.b4.conv1.{_layer(match[1])}"),
    Rule(r"to_rgb1\.(.*)", lambda match: f"synthesis.b4.torgb.{_layer(match[1])}"),
    Rule(r"convs\.(\d+)\.(.*)", lambda match: f"synthesis.b{_side(match)}.conv{int(match[1]) % 2}.{_layer(match[2])}"),
    Rule(r"to_rgbs\.(\d+)\.(.*)", lambda match: f"synthesis.b{8 << int(match[1])}.torgb.{_layer(match[2])}"),
    Rule(r"noises\.noise_0", lambda _: "synthesis.b4.conv1.noise_const"),
    Rule(r"noises\.noise_(\d+)", lambda match: _noise(int(match[1]) - 1)),
)


def _noise(index: int) -> str:
    return f"synthesis.b{8 << index // 2}.conv{index % 2}.noise_const"


def _generator(state: State) -> StyleGenerator:
    """Make the generator of a state dict.

    Raises:
        GraftbenchError: It is of another naming or configuration.
    """
    rosinality = any(name.startswith("style.") for name in state)
    state = _renamed(state, ROSINALITY_GENERATOR if rosinality else NVLABS_GENERATOR, "generator")
    widths = _widths(state, r"synthesis\.b(\d+)\.torgb\.weight", 1, "generator")
    depth = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in state)
    first = state.get("mapping.fc0.weight")
    if first is None:
        raise GraftbenchError(f"Its generator has no mapping; found {_some(state)}.")
    spec = StyleGeneratorSpec(widths=widths, latent=first.shape[1], style=first.shape[0], depth=depth)
    return _loaded(StyleGenerator(spec), state, "generator")


# ----------------------------------------------------------------------------------------------------- discriminator

NVLABS_DISCRIMINATOR = (
    Rule(r".*resample_filter", lambda _: ""),
    Rule(r"b\d+\.fromrgb\.(.*)", lambda match: f"fromrgb.{match[1]}"),
    Rule(r"b4\.(conv|fc|out)\.(.*)", lambda match: f"{match[1]}.{match[2]}"),
    Rule(r"b\d+\.(conv0|conv1|skip)\..*", lambda match: f"blocks.{match[0]}"),
)


def _rosinality_discriminator(state: State) -> tuple[Rule, ...]:
    """Return the rules for a discriminator, whose blocks are counted from the image on."""
    blocks = len({match[1] for name in state if (match := re.match(r"convs\.(\d+)\.skip\.", name))})

    def block(layer: str) -> Callable[[re.Match[str]], str]:
        return lambda match: f"blocks.b{(8 << blocks) >> int(match[1])}.{layer}"

    return (
        Rule(r".*\.kernel", lambda _: ""),
        Rule(r"convs\.0\.0\.weight", lambda _: "fromrgb.weight"),
        Rule(r"convs\.0\.1\.bias", lambda _: "fromrgb.bias"),
        Rule(r"convs\.(\d+)\.conv1\.0\.weight", block("conv0.weight")),
        Rule(r"convs\.(\d+)\.conv1\.1\.bias", block("conv0.bias")),
        Rule(r"convs\.(\d+)\.conv2\.1\.weight", block("conv1.weight")),
        Rule(r"convs\.(\d+)\.conv2\.2\.bias", block("conv1.bias")),
        Rule(r"convs\.(\d+)\.skip\.1\.weight", block("skip.weight")),
        Rule(r"final_conv\.0\.weight", lambda _: "conv.weight"),
        Rule(r"final_conv\.1\.bias", lambda _: "conv.bias"),
        Rule(r"final_linear\.0\.(.*)", lambda match: f"fc.{match[1]}"),
        Rule(r"final_linear\.1\.(.*)", lambda match: f"out.{match[1]}"),
    )


def _discriminator(state: State) -> StyleDiscriminator:
    """Make the discriminator of a state dict.

    Raises:
        GraftbenchError: It is of another naming or configuration.
    """
    rosinality = any(name.startswith("convs.") for name in state)
    state = _renamed(state, _rosinality_discriminator(state) if rosinality else NVLABS_DISCRIMINATOR, "discriminator")
    if "conv.weight" not in state:
        raise GraftbenchError(f"Its discriminator has no last convolution; found {_some(state)}.")
    by_side = {"blocks.b4.conv0.weight": state["conv.weight"]} | state
    spec = StyleDiscriminatorSpec(_widths(by_side, r"blocks\.b(\d+)\.conv0\.weight", 0, "discriminator"))
    return _loaded(StyleDiscriminator(spec), state, "discriminator")


# ------------------------------------------------------------------------------------------------------------ shared


def _renamed(state: State, rules: tuple[Rule, ...], role: str) -> State:
    """Return the tensors that are needed under our names.

    Raises:
        GraftbenchError: A name that no rule knows.
    """
    renamed: State = {}
    for name, tensor in state.items():
        match, rule = next(
            ((match, rule) for rule in rules if (match := re.fullmatch(rule.pattern, name))), (None, None)
        )
        if match is None or rule is None:
            raise GraftbenchError(
                f"Its {role} has '{name}': no name of NVlabs' or rosinality's code for StyleGAN2 of configuration F "
                "without labels."
            )
        if new := rule.name(match):
            renamed[new] = tensor.squeeze(0) if tensor.ndim == 5 else tensor  # rosinality's weights begin with a 1
    return renamed


def _widths(state: State, pattern: str, axis: int, role: str) -> list[int]:
    """Return the channels at 4×4, 8×8, … by an axis of the tensors that a pattern finds; its group is the side.

    Raises:
        GraftbenchError: A side between the smallest and the largest is missing.
    """
    found = {int(match[1]): t.shape[axis] for name, t in state.items() if (match := re.fullmatch(pattern, name))}
    expected = [4 << k for k in range(len(found))]
    if sorted(found) != expected or len(found) < 2:
        sides = ", ".join(map(str, sorted(found))) or "none"
        raise GraftbenchError(
            f"Its {role} has colours or blocks at the sides {sides}; expected 4, 8, 16, …: a generator with skips, a "
            "residual discriminator (configuration F)."
        )
    return [found[side] for side in expected]


def _loaded(network: Net, state: State, role: str) -> Net:
    """Load tensors, reshaped where the axes of length one alone differ.

    Raises:
        GraftbenchError: Names or shapes do not match.
    """
    own = network.state_dict()
    missing, more = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or more:
        lacks = f"it lacks {_some(missing)}" if missing else ""
        has = f"it has {_some(more)} beside it" if more else ""
        raise GraftbenchError(f"Its {role} is not of configuration F: {' and '.join(filter(None, (lacks, has)))}.")
    for name, tensor in own.items():
        if [n for n in state[name].shape if n > 1] != [n for n in tensor.shape if n > 1]:
            raise GraftbenchError(
                f"Its {role}'s '{name}' has the shape {list(state[name].shape)}; expected {list(tensor.shape)}."
            )
    network.load_state_dict({name: state[name].float().reshape(tensor.shape) for name, tensor in own.items()})
    return network


def _some(names: Iterable[str]) -> str:
    first = list(names)
    return (", ".join(first[:4]) + (", …" if first[4:] else "")) or "nothing"
