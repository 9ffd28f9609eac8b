"""Both public namings lead to one network; what does not fit is refused with what was found and expected.

No public checkpoint can be had here: state dicts are made with the names and shapes of both repositories' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from random_inputs import rng
from safetensors.torch import save_file

from graftbench.errors import GraftbenchError
from graftbench.nn.stylegan2 import StyleDiscriminator, StyleDiscriminatorSpec, StyleGenerator, StyleGeneratorSpec
from graftbench.training.source import SourceModelSpec, obtain
from graftbench.training.source import load as load_source
from graftbench.training.source_import import import_source
from graftbench.training.stylegan2 import source_sampler, source_style_networks
from graftbench.training.stylegan2_checkpoints import read_stylegan2

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.nn.build import Net
    from graftbench.nn.stylegan2 import StyledConvolution, ToRgb

State = dict[str, torch.Tensor]

WIDTHS = [8, 6, 4]
"""At 4, 8 and 16 px."""


@pytest.fixture(scope="module")
def generator() -> StyleGenerator:
    """A generator whose every tensor is drawn, noise strengths and biases too."""
    return drawn(StyleGenerator(StyleGeneratorSpec(widths=WIDTHS, latent=5, style=5, depth=2)))


@pytest.fixture(scope="module")
def discriminator() -> StyleDiscriminator:
    """A discriminator, likewise."""
    return drawn(StyleDiscriminator(StyleDiscriminatorSpec(WIDTHS)))


def drawn(network: Net) -> Net:
    """Draw every tensor from N(0, 1), those of the mapping, which are used at a hundredth, from N(0, 100²)."""
    chances = rng()
    network.load_state_dict(
        {
            name: torch.randn(tensor.shape, generator=chances) * (100 if name.startswith("mapping") else 1)
            for name, tensor in network.state_dict().items()
        }
    )
    return network


# ------------------------------------------------------------------------------------- the namings, from their code


def nvlabs_generator(generator: StyleGenerator) -> State:
    """`Generator` of training/networks.py: mapping.fcI, synthesis.bSIDE.conv0/conv1/torgb, with buffers of filters."""
    state = {"synthesis.b4.const": generator.const, "mapping.w_avg": torch.zeros(5)}
    state |= {name: tensor for name, tensor in generator.state_dict().items() if name != "const"}
    for side in (4, 8, 16):
        state[f"synthesis.b{side}.resample_filter"] = torch.ones(4, 4)
        state[f"synthesis.b{side}.conv1.resample_filter"] = torch.ones(4, 4)
    return state


def rosinality_layer(layer: StyledConvolution, name: str) -> State:
    """`StyledConv` of model.py."""
    return {
        f"{name}.conv.weight": layer.weight[None],
        f"{name}.conv.modulation.weight": layer.affine.weight,
        f"{name}.conv.modulation.bias": layer.affine.bias,
        f"{name}.noise.weight": layer.noise_strength[None],
        f"{name}.activate.bias": layer.bias,
    }


def rosinality_colours(layer: ToRgb, name: str) -> State:
    """`ToRGB` of model.py."""
    return {
        f"{name}.conv.weight": layer.weight[None],
        f"{name}.conv.modulation.weight": layer.affine.weight,
        f"{name}.conv.modulation.bias": layer.affine.bias,
        f"{name}.bias": layer.bias.view(1, 3, 1, 1),
    }


def rosinality_generator(generator: StyleGenerator) -> State:
    """`Generator` of model.py: style.I (0 has no tensors), input, conv1, to_rgb1, convs.I, to_rgbs.I, noises."""
    blocks: dict[str, dict[str, StyledConvolution]] = generator.synthesis  # pyright: ignore[reportAssignmentType]
    colours: dict[str, dict[str, ToRgb]] = generator.synthesis  # pyright: ignore[reportAssignmentType]
    state = {"input.input": generator.const[None]}
    for index, layer in enumerate(generator.mapping.values(), start=1):
        state |= {f"style.{index}.{name}": tensor for name, tensor in layer.state_dict().items()}
    state |= rosinality_layer(blocks["b4"]["conv1"], "conv1") | rosinality_colours(colours["b4"]["torgb"], "to_rgb1")
    state["noises.noise_0"] = blocks["b4"]["conv1"].noise_const[None, None]
    for number, side in enumerate((8, 16)):
        for part in (0, 1):
            layer, index = blocks[f"b{side}"][f"conv{part}"], 2 * number + part
            state |= rosinality_layer(layer, f"convs.{index}")
            state[f"noises.noise_{index + 1}"] = layer.noise_const[None, None]
        state[f"convs.{2 * number}.conv.blur.kernel"] = torch.ones(4, 4)
        state[f"to_rgbs.{number}.upsample.kernel"] = torch.ones(4, 4)
        state |= rosinality_colours(colours[f"b{side}"]["torgb"], f"to_rgbs.{number}")
    return state


def nvlabs_discriminator(discriminator: StyleDiscriminator) -> State:
    """`Discriminator` of training/networks.py: b16.fromrgb, bSIDE.conv0/conv1/skip, b4.conv/fc/out."""
    state = {}
    for name, tensor in discriminator.state_dict().items():
        head = name.partition(".")[0]
        prefix = {"fromrgb": "b16.", "blocks": ""}.get(head, "b4.")
        state[prefix + name.removeprefix("blocks.")] = tensor
    return state | {"b16.resample_filter": torch.ones(4, 4), "b8.skip.resample_filter": torch.ones(4, 4)}


def rosinality_discriminator(discriminator: StyleDiscriminator) -> State:
    """`Discriminator` of model.py: convs.0 from colours, then a residual block a side, final_conv, final_linear."""
    own = discriminator.state_dict()
    state = {"convs.0.0.weight": own["fromrgb.weight"], "convs.0.1.bias": own["fromrgb.bias"]}
    for index, side in enumerate((16, 8), start=1):
        block = f"blocks.b{side}"
        state |= {
            f"convs.{index}.conv1.0.weight": own[f"{block}.conv0.weight"],
            f"convs.{index}.conv1.1.bias": own[f"{block}.conv0.bias"],
            f"convs.{index}.conv2.0.kernel": torch.ones(4, 4),
            f"convs.{index}.conv2.1.weight": own[f"{block}.conv1.weight"],
            f"convs.{index}.conv2.2.bias": own[f"{block}.conv1.bias"],
            f"convs.{index}.skip.0.kernel": torch.ones(4, 4),
            f"convs.{index}.skip.1.weight": own[f"{block}.skip.weight"],
        }
    state |= {"final_conv.0.weight": own["conv.weight"], "final_conv.1.bias": own["conv.bias"]}
    for index, name in enumerate(("fc", "out")):
        state |= {f"final_linear.{index}.{part}": own[f"{name}.{part}"] for part in ("weight", "bias")}
    return state


# ------------------------------------------------------------------------------------------------------------ reading


def test_both_namings_are_one_network(
    tmp_path: Path, generator: StyleGenerator, discriminator: StyleDiscriminator
) -> None:
    """Tensor by tensor, from .pt and .safetensors, averaged generator first; the description is read off the shapes."""
    files = [tmp_path / name for name in ("nvlabs.pt", "rosinality.pt", "flat.safetensors", "bare.pt")]
    other = {name: torch.zeros_like(tensor) for name, tensor in nvlabs_generator(generator).items()}
    judged = nvlabs_discriminator(discriminator)
    torch.save({"G": other, "G_ema": nvlabs_generator(generator), "D": judged}, files[0])
    ros = {"g_ema": rosinality_generator(generator), "d": rosinality_discriminator(discriminator)}
    torch.save(ros | {"latent_avg": torch.zeros(5)}, files[1])
    parts = {"G_ema": nvlabs_generator(generator), "D": judged}
    flat = {f"{name}.{key}": tensor for name, state in parts.items() for key, tensor in state.items()}
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in flat.items()}, files[2])
    torch.save(rosinality_generator(generator), files[3])
    for file in files:
        networks = read_stylegan2(file, 16)
        assert networks.keys() == ({"generator"} if file.name == "bare.pt" else {"generator", "discriminator"})
        for name, network in networks.items():
            expected = {"generator": generator, "discriminator": discriminator}[name]
            assert network.spec == expected.spec
            for key, tensor in expected.state_dict().items():
                assert torch.equal(network.state_dict()[key], tensor), (file.name, name, key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"mapping.embed.weight": torch.zeros(5, 10)},
            r"is not of configuration F: it has mapping.embed.weight beside",
        ),
        ({"synthesis.b8.skip.weight": torch.zeros(6, 8, 1, 1)}, r"it has synthesis.b8.skip.weight beside it"),
        ({"synthesis.b8.torgb.weight": None}, r"at the sides 4, 16; expected 4, 8, 16"),
        ({"synthesis.b8.conv0.bias": None}, r"it lacks synthesis.b8.conv0.bias"),
        (
            {"synthesis.b16.torgb.bias": torch.zeros(1)},
            r"'synthesis.b16.torgb.bias' has the shape \[1\]; expected \[3\]",
        ),
        ({"mapping.fc0.weight": None}, r"has no mapping; found"),
        ({"encoder.weight": torch.zeros(1)}, r"has 'encoder.weight': no name of NVlabs' or rosinality's"),
    ],
)
def test_other_configurations(
    tmp_path: Path, generator: StyleGenerator, change: dict[str, torch.Tensor | None], message: str
) -> None:
    """Labels, residual generators, those without colours on the way, and what is missing or of another shape."""
    state = {name: tensor for name, tensor in (nvlabs_generator(generator) | change).items() if tensor is not None}
    torch.save({"G_ema": state}, tmp_path / "model.pt")
    with pytest.raises(GraftbenchError, match=message):
        read_stylegan2(tmp_path / "model.pt", 16)


def test_other_resolutions(tmp_path: Path, generator: StyleGenerator, discriminator: StyleDiscriminator) -> None:
    """It says which side was found and which is needed."""
    torch.save({"G_ema": nvlabs_generator(generator), "D": nvlabs_discriminator(discriminator)}, tmp_path / "model.pt")
    with pytest.raises(GraftbenchError, match=r"^Its generator is of 16 px; the task needs 32\.$"):
        read_stylegan2(tmp_path / "model.pt", 32)


def test_files_that_run_code_or_hold_nothing(tmp_path: Path) -> None:
    """A .pkl is refused with how to convert it, whatever is in it; so is any other pickle, and what is no generator."""
    (tmp_path / "ffhq.pkl").write_bytes(b"anything")
    with pytest.raises(GraftbenchError, match=r"A \.pkl of NVlabs runs code .* torch\.save"):
        read_stylegan2(tmp_path / "ffhq.pkl", 16)
    torch.save({"G_ema": rng}, tmp_path / "code.pt")
    with pytest.raises(GraftbenchError, match=r"'code\.pt' cannot be read without running code"):
        read_stylegan2(tmp_path / "code.pt", 16)
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(GraftbenchError, match=r"has no generator: expected .*G_ema.*; found weights"):
        read_stylegan2(tmp_path / "other.pt", 16)


# ---------------------------------------------------------------------------------------------------- as source model


def test_import(tmp_path: Path, generator: StyleGenerator, discriminator: StyleDiscriminator) -> None:
    """Named by a suite it is a source model with both networks: nothing is trained, and its samples are its own."""
    torch.save({"G_ema": nvlabs_generator(generator), "D": nvlabs_discriminator(discriminator)}, tmp_path / "model.pt")
    spec = SourceModelSpec(file=str(tmp_path / "model.pt"), license="theirs")
    imported = import_source(spec, "stylegan2", 16, tmp_path)
    assert imported.recipe.kimg == 0
    assert imported.parts == ("network",)
    assert "StyleGAN2" in imported.note
    model = load_source(obtain(imported.recipe, imported.file, tmp_path), imported.recipe.id)
    loaded, judge = source_style_networks(model, 16)
    assert torch.equal(loaded.const, generator.const)
    assert torch.equal(judge.out.weight, discriminator.out.weight)
    assert source_sampler(model, 16).sample(2, rng()).shape == (2, 3, 16, 16)


def test_import_without_a_discriminator(tmp_path: Path, generator: StyleGenerator) -> None:
    """One is fitted to the generator's own samples, as beside every generator that has none."""
    torch.save(nvlabs_generator(generator), tmp_path / "model.pt")
    parameters = {"batch_size": 4, "channels_generator": 2, "channels_discriminator": 2, "widest": 4}
    spec = SourceModelSpec(file=str(tmp_path / "model.pt"), discriminator_kimg=0.008, parameters=parameters)
    imported = import_source(spec, "stylegan2", 16, tmp_path)
    assert imported.recipe.kimg == 0.008
    model = load_source(obtain(imported.recipe, imported.file, tmp_path), imported.recipe.id)
    loaded, judge = source_style_networks(model, 16)
    assert torch.equal(loaded.const, generator.const)
    assert judge.spec.widths == [4, 4, 2]


def test_import_under_another_kind(tmp_path: Path, generator: StyleGenerator) -> None:
    """A state dict is no program: under `gan` it is refused."""
    torch.save(nvlabs_generator(generator), tmp_path / "model.pt")
    with pytest.raises(GraftbenchError):
        import_source(SourceModelSpec(file=str(tmp_path / "model.pt"), latent=[5]), "gan", 16, tmp_path)


def test_constant_generator(tmp_path: Path, generator: StyleGenerator) -> None:
    """One image for every latent is no generator."""
    state = {name: torch.zeros_like(t) for name, t in nvlabs_generator(generator).items()}
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(GraftbenchError, match="8 latents gave 8 times the same image"):
        import_source(SourceModelSpec(file=str(tmp_path / "model.pt")), "stylegan2", 16, tmp_path)
