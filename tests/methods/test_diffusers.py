"""Pipelines of the package diffusers: trained, sampled, kept and refused as that package would, with tiny real ones."""

from __future__ import annotations

import importlib
import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from random_inputs import rng

from graftbench.budget import Meter
from graftbench.contracts import Diverged
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.plugins.variants import Variant, class_of
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training.checkpoints import Checkpoints, GeneratorState
from graftbench.training.samplers import load_sampler, save_sampler, to_float

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.contracts import Method, Sampler, Task

diffusers = pytest.importorskip("diffusers")
CLS = registry.methods()["diffusers"]
part = importlib.import_module(CLS.__module__)
pipelines = importlib.import_module("graftbench.training.diffusers_pipeline")

PLAIN: dict[str, Any] = {
    "sample_size": 32,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 4,
    "add_attention": False,
}
"""A U-Net without attention."""

TINY = PLAIN | {"add_attention": True}
"""The same with one attention layer, at 16 px: 40,000 parameters."""

CHEAP = {"batch_size": 4, "sampling_steps": 3, "precision": "float32"}
MODES = pytest.mark.parametrize("mode", [{"train": "full"}, {"train": "lora", "rank": 4}], ids=["full", "lora"])


def write(folder: Path, *, schedule: dict[str, Any] | None = None, **unet: Any) -> str:
    """A pipeline with fresh weights, written as diffusers writes one; its folder as text."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = diffusers.UNet2DModel(**TINY | unet)
    diffusers.DDPMPipeline(network, diffusers.DDPMScheduler(**schedule or {})).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny pipeline that predicts the noise."""
    return write(tmp_path_factory.mktemp("pipelines") / "tiny")


@pytest.fixture
def copy(tiny: str, tmp_path: Path) -> Path:
    """A copy of the tiny pipeline, to be spoilt."""
    return shutil.copytree(tiny, tmp_path / "pipeline")


def edit(folder: Path, file: str, **changes: Any) -> None:
    """Change settings in a JSON file; None removes one."""
    path = folder / file
    settings = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}), "utf-8")


def method(model: str, **parameters: Any) -> Method:
    """The method with cheap settings."""
    return CLS(config_of(CLS.Config, CHEAP | {"model": model} | parameters, "parameters"))


def fit(world: Any, model: str, *, seed: int = 0, n: int = 12, images: int = 10, **parameters: Any) -> Any:
    """(sampler, task, meter) of a fit on n OpenMoji images."""
    task, meter = world(32).task(CLS, seed=seed, n=n), Meter(ComputeBudget(kimg=images / 1000))
    return method(model, **parameters).fit(task, meter), task, meter


def untouched(world: Any, model: str, **parameters: Any) -> Any:
    """The sampler of a fit whose rate is too small to move a weight."""
    return fit(world, model, images=4, learning_rate=1e-30, **parameters)[0]


def unet_of(model: str) -> Any:
    """The U-Net of a pipeline's files."""
    return pipelines.load(pipelines.find(model), torch.device("cpu")).unet


def same_state(a: Sampler, b: Sampler) -> bool:
    """Whether two samplers hold the same numbers, to the bit."""
    (tensors_a, metadata_a), (tensors_b, metadata_b) = a.state(), b.state()
    same = metadata_a == metadata_b and tensors_a.keys() == tensors_b.keys()
    return same and all(torch.equal(tensor, tensors_b[name]) for name, tensor in tensors_a.items())


def assert_same_images(found: torch.Tensor, expected: np.ndarray) -> None:
    """Uint8 n×3×H×W against what a pipeline gives as "np": float n×H×W×3 in [0, 1].

    The suite's weights lie channels last and a pipeline's do not, which changes the last bits of a convolution; a
    number next to the middle between two grey levels may then be rounded to the other one.
    """
    pixels = np.round(expected * 255).astype(int).transpose(0, 3, 1, 2)
    difference = np.abs(found.numpy().astype(int) - pixels)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
    assert found.float().std() > 20


# --------------------------------------------------------------------------------------------- as diffusers does it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheduler", "pipeline", "prediction"),
    [
        ("ddim", "DDIMPipeline", "epsilon"),
        ("ddim", "DDIMPipeline", "v_prediction"),
        ("ddpm", "DDPMPipeline", "sample"),
    ],
)
def test_samples_are_those_of_the_packages_pipeline(
    world: Callable[..., Any], tmp_path: Path, scheduler: str, pipeline: str, prediction: str
) -> None:
    """An untouched model draws what diffusers' own pipeline draws from the same seed."""
    model = write(tmp_path, schedule={"prediction_type": prediction})
    own = getattr(diffusers, pipeline).from_pretrained(model, use_safetensors=True)
    own.set_progress_bar_config(disable=True)
    expected = own(batch_size=5, generator=rng(3), num_inference_steps=6, output_type="np").images
    assert_same_images(untouched(world, model, scheduler=scheduler, sampling_steps=6).sample(5, rng(3)), expected)


@pytest.mark.slow
def test_the_spacing_of_levels_can_be_chosen(world: Callable[..., Any], tiny: str) -> None:
    """The model's own is `leading`, which begins below the highest level; `trailing` begins there."""
    samplers = {spacing: untouched(world, tiny, spacing=spacing) for spacing in ("", "leading", "trailing")}
    drawn = {spacing: sampler.sample(2, rng()) for spacing, sampler in samplers.items()}
    assert torch.equal(drawn[""], drawn["leading"])
    assert not torch.equal(drawn[""], drawn["trailing"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of diffusers' solver, which makes arrays of tensors
@pytest.mark.parametrize("scheduler", ["ddpm", "dpm-solver++"])
def test_another_scheduler_draws_other_images(world: Callable[..., Any], tiny: str, scheduler: str) -> None:
    """From the same seed, and the same again: a solver's memory of its last steps does not outlast a batch."""
    sampler = untouched(world, tiny, scheduler=scheduler)
    drawn = sampler.sample(3, rng())
    assert torch.equal(sampler.sample(3, rng()), drawn)
    assert not torch.equal(drawn, untouched(world, tiny).sample(3, rng()))


def test_target_of_each_kind_of_model() -> None:
    """At ᾱ = 0.36: ε, x, or 0.6 ε − 0.8 x; by hand."""
    x, noise, alpha_bar = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 10.0), torch.tensor([0.36])
    found = {kind: part.target_of(kind, x, noise, alpha_bar).item() for kind in ("epsilon", "sample", "v_prediction")}
    assert found == pytest.approx({"epsilon": 10.0, "sample": 2.0, "v_prediction": 0.6 * 10 - 0.8 * 2})


@pytest.mark.parametrize(
    ("prediction", "betas"), [("epsilon", "squaredcos_cap_v2"), ("v_prediction", "linear"), ("sample", "scaled_linear")]
)
def test_first_step_is_the_packages_loss(
    world: Callable[..., Any], tmp_path: Path, prediction: str, betas: str
) -> None:
    """The loss of the first step, from the package's own noise and targets.

    The chances are drawn in this order: images, levels, noise.
    """
    model = write(tmp_path, schedule={"prediction_type": prediction, "beta_schedule": betas})
    own = diffusers.DDPMPipeline.from_pretrained(model, use_safetensors=True)
    task = world(32).task(CLS)
    x = to_float(task.images[torch.randint(12, (4,), generator=task.generator)])
    t = torch.randint(1000, (4,), generator=task.generator)
    noise = torch.randn(x.shape, generator=task.generator)
    targets = {"epsilon": noise, "sample": x, "v_prediction": own.scheduler.get_velocity(x, noise, t)}
    with torch.no_grad():
        expected = F.mse_loss(own.unet(own.scheduler.add_noise(x, noise, t), t).sample, targets[prediction])
    losses = fit(world, model, images=4)[1].log.curve[0][2]
    assert losses == pytest.approx({"denoising": float(expected)}, rel=1e-5)


# ------------------------------------------------------------------------------------------------ what is trained


@pytest.mark.slow
@pytest.mark.parametrize("mode", [{"train": "full"}, {"train": "lora", "layers": "all"}], ids=["full", "lora"])
def test_training_lowers_the_loss(world: Callable[..., Any], tiny: str, mode: dict[str, Any]) -> None:
    """After 20 steps on real images the averaged U-Net's loss on them is well below the one it started with.

    Both are asked about the same noise at the same levels.
    """
    sampler, task, _ = fit(world, tiny, images=80, learning_rate=1e-2, **mode)
    x, t = to_float(task.images), torch.arange(40, 1000, 80)
    noise = torch.randn(x.shape, generator=rng())
    noisy = diffusers.DDPMScheduler().add_noise(x, noise, t)
    with torch.no_grad():
        losses = [float(F.mse_loss(unet(noisy, t).sample, noise)) for unet in (unet_of(tiny), sampler.unet)]
    assert losses[1] < 3 / 4 * losses[0]


def test_a_fit_that_goes_astray_is_stopped(world: Callable[..., Any], tiny: str) -> None:
    """A rate that no network bears ends as `diverged`, not as a row of noise."""
    with pytest.raises(Diverged, match="denoising loss"):
        fit(world, tiny, images=80, learning_rate=1e6)


def test_full_training_moves_every_parameter(world: Callable[..., Any], tiny: str) -> None:
    """And the record counts them all."""
    _, task, _ = fit(world, tiny)
    unet = task.log.networks["unet"]
    assert all(not torch.equal(p, task.log.before[f"unet.{name}"]) for name, p in unet.named_parameters())
    count = sum(p.numel() for p in unet.parameters())
    assert (task.log.parameters_trained, task.log.parameters_total) == (count, count)


@pytest.mark.parametrize("layers", ["attention", "all"])
def test_lora_moves_its_matrices_alone(world: Callable[..., Any], tiny: str, layers: str) -> None:
    """The U-Net's own weights keep every bit; each adapted layer has r·(rows + columns) numbers that move.

    Those of the four projections of its one attention layer, or of every matrix but the norms' and biases. A layer of
    3 rows or columns gets an update of rank 3.
    """
    _, task, _ = fit(world, tiny, train="lora", rank=4, layers=layers)
    network, before = task.log.networks["unet"], task.log.before
    moved = {name for name, p in network.named_parameters() if not torch.equal(p, before[f"unet.{name}"])}
    updates = {name for name, _ in network.named_parameters() if ".parametrizations.weight.0." in name}
    own = dict(unet_of(tiny).named_parameters())
    adapted = [name for name, p in own.items() if p.ndim > 1] if layers == "all" else part.PROJECTIONS
    assert moved == updates
    assert len(moved) == 2 * len(adapted)
    owners = {name.split(".parametrizations.")[0] for name in updates}
    shapes = [own[f"{owner}.weight"].flatten(1).shape for owner in owners]
    added = sum(min(4, *shape) * sum(shape) for shape in shapes)
    assert task.log.parameters_trained == added
    assert task.log.parameters_total == added + sum(p.numel() for p in own.values())


def test_a_variant_promises_what_moves(tiny: str) -> None:
    """The whole U-Net, or with LoRA its updates, named as the fit's log names them."""
    lora = class_of("ours", Variant(method="diffusers", parameters={"model": tiny, "train": "lora"}), CLS)
    full = class_of("ours", Variant(method="diffusers", parameters={"model": tiny}), CLS)
    assert (full.moves, lora.moves) == (("unet.*",), ("unet.*.parametrizations.weight.0.*",))
    assert (lora().config.train, lora().config.model) == ("lora", tiny)


@pytest.mark.parametrize("rank", [1, 3])
def test_lora_ends_in_a_plain_unet_of_low_rank_updates(world: Callable[..., Any], tiny: str, rank: int) -> None:
    """Same names and numbers as the model's U-Net; what differs has r singular values above rounding."""
    sampler, _, _ = fit(world, tiny, train="lora", rank=rank, learning_rate=1e-2)
    before, after = unet_of(tiny).state_dict(), sampler.unet.state_dict()
    assert type(sampler.unet) is diffusers.UNet2DModel
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".to_" in name and name.endswith("weight")}
    for name in changed:
        values = torch.linalg.svdvals(after[name].double() - before[name].double())
        # entries below 1 were rounded to float32: errors of up to 6e-8, and at most √(entries) times that in the norm
        noise = 6e-8 * before[name].numel() ** 0.5
        assert (values[rank:] <= noise).all(), name
        assert values[0] > 10 * noise, name


def test_alpha_scales_the_update(world: Callable[..., Any], tiny: str) -> None:
    """Left out it is the rank. Adam's first step moves `up` by the rate whatever the scale, so alpha doubles it."""
    name = "mid_block.attentions.0.to_v.weight"
    before = unet_of(tiny).state_dict()[name]

    def moved(**parameters: Any) -> torch.Tensor:
        sampler, _, _ = fit(world, tiny, train="lora", rank=2, images=4, ema_decay=0.0, **parameters)
        return sampler.unet.state_dict()[name] - before

    assert torch.equal(moved(), moved(alpha=2.0))
    torch.testing.assert_close(moved(alpha=4.0), 2 * moved(), rtol=1e-2, atol=1e-7)


def test_dropout_is_switched_off(world: Callable[..., Any], tmp_path: Path) -> None:
    """Its chances would come from torch's global generator; the record says so."""
    model = write(tmp_path, dropout=0.5)
    first, task, _ = fit(world, model)
    torch.manual_seed(99)
    assert same_state(fit(world, model)[0], first)
    assert any("dropout is switched off" in note for note in task.log.notes)


def test_attention_counts_towards_a_budget_in_flops(world: Callable[..., Any], tmp_path: Path, tiny: str) -> None:
    """A model without its attention layer is cheaper by more than the projections: the products are counted too.

    A projection C -> C over L positions takes 2·L·C² operations, three times that with its gradients; four of them,
    C = 16 and L = 256. The two products of an attention take 2·2·L²·C, three times.
    """
    _, _, without = fit(world, write(tmp_path, **PLAIN), images=4)
    _, _, meter = fit(world, tiny, images=4)
    projections, products = 4 * 2 * 256 * 16**2 * 3, 2 * 2 * 256**2 * 16 * 3
    assert meter.flops_per_image - without.flops_per_image == pytest.approx(projections + products, rel=0.01)


# ------------------------------------------------------------------------------------------ what every method keeps


@MODES
def test_contract(world: Callable[..., Any], tiny: str, tmp_path: Path, mode: dict[str, Any]) -> None:
    """What tests/methods/test_contract.py asks of every method that needs no parameters.

    The budget is spent to the image; samples are uint8 and one seed's are the same; saved and loaded the sampler draws
    the same images, more than it draws at once; one seed gives one fit, another seed another; images are left alone;
    and what is kept does not say where the model lay.
    """
    sampler, task, meter = fit(world, tiny, **mode)
    assert meter.images_seen == 10
    assert meter.flops_per_image
    samples = sampler.sample(33, rng())
    assert (samples.dtype, samples.shape, samples.device.type) == (torch.uint8, (33, 3, 32, 32), "cpu")
    assert not torch.equal(sampler.sample(2, rng(1)), sampler.sample(2, rng()))
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    loaded = load_sampler(tmp_path / "sampler.safetensors")
    assert same_state(loaded, sampler)
    assert torch.equal(loaded.sample(33, rng()), samples)
    torch.manual_seed(12345)
    assert same_state(fit(world, tiny, **mode)[0], sampler)
    assert not same_state(fit(world, tiny, seed=1, **mode)[0], sampler)
    assert torch.equal(task.images, world(32).task(CLS).images)
    assert tiny not in json.dumps(sampler.state()[1])


def test_torchs_global_generator_is_left_alone(world: Callable[..., Any], tiny: str, tmp_path: Path) -> None:
    """Fitting, saving and loading draw nothing from it."""
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    sampler, _, _ = fit(world, tiny, train="lora")
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    load_sampler(tmp_path / "sampler.safetensors")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_one_target_image_is_enough(world: Callable[..., Any], tiny: str) -> None:
    """The smallest data budget there is."""
    assert fit(world, tiny, n=1, images=8)[0].sample(2, rng()).shape == (2, 3, 32, 32)


class Killed(Exception):  # noqa: N818 - it stands for the end of a process
    """A fit was interrupted."""


def fit_on(world: Any, model: str, path: Path, *, kill_at: int | None, **parameters: Any) -> tuple[Sampler, Task]:
    """A fit with a snapshot and a checkpoint before every step but the first; killed at so many images seen."""
    task, meter = world(32).task(CLS), Meter(ComputeBudget(kimg=0.010))
    own = {"generator": GeneratorState(task.generator), "log": task.log, "meter": meter}
    checkpoints = Checkpoints(path, identity={}, seconds=1, own=own)

    def checkpoint(budget: Meter) -> None:
        if budget.images_seen:
            checkpoints.write()
        if kill_at is not None and budget.images_seen >= kill_at:
            raise Killed

    def snapshot(budget: Meter, sampler: Callable[[], Sampler]) -> None:
        if budget.images_seen:
            assert sampler().sample(2, rng(7)).shape == (2, 3, 32, 32)

    def resume(_: Meter) -> None:
        assert checkpoints.restore() == (kill_at is None)

    vars(task).update(keep=checkpoints.keep, resume=resume, snapshot=snapshot, checkpoint=checkpoint)
    return method(model, **parameters).fit(task, meter), task


@MODES
def test_a_killed_fit_goes_on(world: Callable[..., Any], tiny: str, tmp_path: Path, mode: dict[str, Any]) -> None:
    """Killed after two of three steps and gone on with, it leaves what it leaves undisturbed, to the bit.

    A checkpoint holds weights, their average and Adam's two moments; of LoRA it holds none of the model's weights.
    """
    path = tmp_path / "checkpoint.safetensors"
    with suppress(Killed):
        fit_on(world, tiny, path, kill_at=5, **mode)
    numbers, weights = path.stat().st_size / 4, sum(p.numel() for p in unet_of(tiny).parameters())
    assert numbers < weights if mode["train"] == "lora" else numbers > 4 * weights
    sampler, task = fit_on(world, tiny, path, kill_at=None, **mode)
    whole, undisturbed, _ = fit(world, tiny, **mode)
    assert CLS.resumable
    assert same_state(sampler, whole)
    points = [[(seen, losses) for seen, _, losses in log.curve] for log in (task.log, undisturbed.log)]
    assert points[0] == points[1]


# ------------------------------------------------------------------------------------------------ where a model lies


def test_an_older_pipeline_has_its_parts_without_folders(world: Callable[..., Any], tiny: str, copy: Path) -> None:
    """The first models of the hub have U-Net and scheduler beside model_index.json, as diffusers reads them too."""
    for folder in (copy / "unet", copy / "scheduler"):
        for file in folder.iterdir():
            file.rename(copy / file.name)
        folder.rmdir()
    assert torch.equal(untouched(world, str(copy)).sample(2, rng()), untouched(world, tiny).sample(2, rng()))


def test_older_names_of_attention_are_known(world: Callable[..., Any], tiny: str, copy: Path) -> None:
    """Files of those models call the projections query, key, value and proj_attn."""
    from safetensors.torch import load_file, save_file

    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    tensors = load_file(weights)
    for new, old in names.items():
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    save_file(tensors, weights, {"format": "pt"})
    assert torch.equal(untouched(world, str(copy)).sample(2, rng()), untouched(world, tiny).sample(2, rng()))


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local cache of the hub that holds owner/tiny at one commit."""
    from huggingface_hub import constants

    repository = tmp_path / "hub" / "models--owner--tiny"
    shutil.copytree(tiny, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT, "ascii")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("GRAFTBENCH_DOWNLOAD", raising=False)


@pytest.mark.usefixtures("hub")
def test_a_model_in_the_hubs_cache_needs_no_network(world: Callable[..., Any], tiny: str) -> None:
    """It is the same model, and the record names the commit; a commit can be asked for."""
    sampler, task, _ = fit(world, "owner/tiny")
    assert same_state(sampler, fit(world, tiny)[0])
    assert task.log.notes == [f"'owner/tiny' was used in revision {COMMIT}."]
    method("owner/tiny", revision=COMMIT).check(32)


@pytest.mark.usefixtures("hub")
def test_nothing_is_fetched_unasked() -> None:
    """A model or a revision that is not there is an error that says how to allow a download."""
    for model, revision in [("owner/other", ""), ("owner/tiny", "v2")]:
        with pytest.raises(GraftbenchError, match=r"There is no folder '.*; to fetch it, set GRAFTBENCH_DOWNLOAD=1"):
            method(model, revision=revision).check(32)


@pytest.mark.usefixtures("hub")
def test_a_download_is_of_one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is allowed, the hub is asked for what is read here and for no pickles; what it says is passed on."""
    import huggingface_hub

    asked: dict[str, Any] = {}

    def refuse(name: str, **how: Any) -> str:
        asked.update(how, name=name)
        raise OSError("no route to host")

    monkeypatch.setenv("GRAFTBENCH_DOWNLOAD", "1")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(GraftbenchError, match=r"the hub gave none \(OSError: no route to host\)\.$"):
        method("owner/tiny").check(32)
    assert asked["name"] == "owner/tiny"
    assert not asked["local_files_only"]
    wanted = huggingface_hub.utils.filter_repo_objects(
        [
            *("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "v1-5.safetensors"),
            *("unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.safetensors", "tokenizer/m.txt"),
            *("safety_checker/model.safetensors", "v1-5.ckpt", "text_encoder/pytorch_model.bin"),
        ],
        allow_patterns=asked["allow_patterns"],
        ignore_patterns=asked["ignore_patterns"],
    )
    assert sorted(wanted) == [
        *("model_index.json", "tokenizer/m.txt", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"),
    ]


# ------------------------------------------------------------------------------------------------- what is refused


def test_missing_package(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said when a run is planned, with the extra that brings it."""

    def absent(name: str) -> None:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(pipelines, "import_module", absent)
    with pytest.raises(GraftbenchError, match=r"needs the package diffusers: pip install 'graftbench\[diffusers\]'\.$"):
        method(tiny).check(32)


@pytest.mark.parametrize("model", ["../nowhere", "a/b/c", "./model"])
def test_a_folder_that_is_not_there(model: str) -> None:
    """What cannot be a name of the hub is a folder."""
    with pytest.raises(GraftbenchError, match=r"There is no folder '.*', and it is no name of the hub \(OWNER/NAME\)"):
        method(model).check(32)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    """It says what a pipeline has."""
    with pytest.raises(GraftbenchError, match=r"holds no pipeline of diffusers: it has no model_index\.json"):
        method(str(tmp_path)).check(32)


def test_a_revision_is_for_the_hub(tiny: str) -> None:
    """A folder has none."""
    with pytest.raises(GraftbenchError, match=r"is a folder: a revision \('main'\) is for names of the hub"):
        method(tiny, revision="main").check(32)


SPOILT = {
    "another class": (
        ("model_index.json", {"_class_name": "FluxPipeline"}),
        r"is a FluxPipeline; the method diffusers knows DDPMPipeline, DDIMPipeline, StableDiffusionPipeline\.$",
    ),
    "another U-Net": (
        ("unet/config.json", {"_class_name": "UNet1DModel"}),
        r"is a DDPMPipeline with a UNet1DModel; it can be fine-tuned with a UNet2DModel\.$",
    ),
    "no class": (("unet/config.json", {"_class_name": None}), r"config\.json names no class"),
    "grey": (("unet/config.json", {"in_channels": 1}), r"takes 1 channels and gives 3; expected 3 and 3 \(colours\)"),
    "learned variance": (("unet/config.json", {"out_channels": 6}), r"takes 3 channels and gives 6; expected 3 and 3"),
    "classes": (("unet/config.json", {"num_class_embeds": 10}), r"\(num_class_embeds\); images here have no classes"),
    "a flow": (
        ("scheduler/scheduler_config.json", {"_class_name": "FlowMatchEulerDiscreteScheduler", "beta_schedule": None}),
        r"FlowMatchEulerDiscreteScheduler, has no betas; .*denoising diffusion models",
    ),
    "other betas": (
        ("scheduler/scheduler_config.json", {"beta_schedule": "sigmoid"}),
        r"noise levels of '.*' do not go with DDIMScheduler: sigmoid",
    ),
    "another prediction": (
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}),
        r"predicts 'flow'; expected one of epsilon, sample, v_prediction\.$",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_pipeline_that_is_not_served(copy: Path, case: str) -> None:
    """It is refused when the run is planned, in words that name what was found and what is served."""
    (file, changes), message = SPOILT[case]
    edit(copy, file, **changes)
    with pytest.raises(GraftbenchError, match=message):
        method(str(copy)).check(32)


def test_a_configuration_that_is_no_json(copy: Path) -> None:
    """Its name is told."""
    (copy / "unet" / "config.json").write_text("{", "utf-8")
    with pytest.raises(GraftbenchError, match=r"config\.json cannot be read as JSON"):
        method(str(copy)).check(32)


def test_pickled_weights_are_not_loaded(copy: Path) -> None:
    """They are refused before anything is read of them, with the way out."""
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    message = r"no weights as safetensors in its part 'unet'; found diffusion_pytorch_model\.bin\. .*save_pretrained"
    with pytest.raises(GraftbenchError, match=message):
        method(str(copy)).check(32)


def test_damaged_weights(world: Callable[..., Any], copy: Path) -> None:
    """A file that is cut off is an error of the model, not of the suite."""
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(GraftbenchError, match=r"The part 'unet' of '.*' cannot be loaded: "):
        fit(world, str(copy))


def test_weights_that_lack_a_layer(world: Callable[..., Any], copy: Path) -> None:
    """The package would fill it with chance and only warn."""
    from safetensors.torch import load_file, save_file

    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    del tensors["conv_out.bias"]
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(GraftbenchError, match=r"lack 1 of its tensors, such as 'conv_out\.bias'\.$"):
        fit(world, str(copy))


@pytest.mark.parametrize("side", [30, 34])
def test_a_side_that_does_not_divide(tmp_path: Path, side: int) -> None:
    """A U-Net of three levels halves twice; what it cannot join again is refused."""
    down, up = ("DownBlock2D",) * 3, ("UpBlock2D",) * 3
    model = write(tmp_path, block_out_channels=(8, 8, 8), down_block_types=down, up_block_types=up)
    message = rf"at {side} px: its U-Net has 3 levels, so the side must be a multiple of 4\.$"
    with pytest.raises(GraftbenchError, match=message):
        method(model).check(side)
    method(model).check(side + 2)


def test_another_side_than_the_models_is_noted(world: Callable[..., Any], tmp_path: Path) -> None:
    """A U-Net on pixels takes every side that divides; that it was made for another is in the record."""
    sampler, task, _ = fit(world, write(tmp_path, sample_size=64))
    assert sampler.sample(1, rng()).shape == (1, 3, 32, 32)
    assert task.log.notes == ["The model was trained on images of 64 px; here they have 32."]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"prompt": "an emoji"}, r"takes no text; found the prompt 'an emoji'"),
        ({"sampling_steps": 1001}, r"at most the noise levels of '.*' \(1000\); found 1001"),
        ({"train": "lora", "rank": 17}, r"rank must be at most that of the largest adapted layer of '.*' \(16\)"),
    ],
)
def test_settings_that_do_not_go_with_the_model(tiny: str, parameters: dict[str, Any], message: str) -> None:
    """They fail when a run is planned."""
    with pytest.raises(GraftbenchError, match=message):
        method(tiny, **parameters).check(32)


def test_lora_of_a_model_without_attention(tmp_path: Path) -> None:
    """There is nothing to adapt; all layers can be."""
    model = write(tmp_path, **PLAIN)
    with pytest.raises(GraftbenchError, match=r"has no attention layers; set layers = \"all\"\.$"):
        method(model, train="lora").check(32)
    method(model, train="lora", layers="all").check(32)


@pytest.mark.parametrize(
    "parameters",
    [
        *({"model": ""}, {"rank": 0}, {"alpha": 0.0}, {"learning_rate": 0.0}, {"sampling_steps": 0}, {"train": "half"}),
        *({"scheduler": "euler"}, {"spacing": "even"}, {"batch_size": 1}, {"layers": "some"}),
    ],
)
def test_bad_settings(parameters: dict[str, Any]) -> None:
    """They fail when the suite is read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"model": "x"} | parameters, CLS.Config)


def test_a_model_must_be_named() -> None:
    """It is the one parameter without a default."""
    with pytest.raises(msgspec.ValidationError, match="model"):
        msgspec.convert({}, CLS.Config)


# ----------------------------------------------------------------------------- latents and a prompt (imports for 4 s)


@pytest.fixture(scope="session")
def painter(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny Stable Diffusion with fresh weights: two pixels per latent, and a vocabulary of letters."""
    import transformers

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    tokenizer = transformers.CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=8
    )
    text = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"vocab_size": len(words), "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
    across = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "cross_attention_dim": 8}
    across |= {"up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "attention_head_dim": 2, "sample_size": 16}
    levels = {"block_out_channels": (4, 8), "norm_num_groups": 4, "latent_channels": 4, "sample_size": 32}
    levels |= {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    chain = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = diffusers.StableDiffusionPipeline(
            vae=diffusers.AutoencoderKL(**levels),
            text_encoder=transformers.CLIPTextModel(transformers.CLIPTextConfig(**cast("Any", text))),
            tokenizer=tokenizer,
            unet=diffusers.UNet2DConditionModel(
                block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, **across
            ),
            scheduler=diffusers.PNDMScheduler(skip_prk_steps=True, set_alpha_to_one=False, **chain),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    folder = tmp_path_factory.mktemp("pipelines") / "painter"
    whole.save_pretrained(folder)
    return str(folder)


@pytest.mark.long
def test_a_prompted_model_draws_as_its_pipeline_does(world: Callable[..., Any], painter: str) -> None:
    """Without guidance, from the same first noise in latents; another prompt draws other images."""
    own = diffusers.StableDiffusionPipeline.from_pretrained(painter, safety_checker=None, use_safetensors=True)
    own.scheduler = diffusers.DDIMScheduler.from_config(own.scheduler.config)
    own.set_progress_bar_config(disable=True)
    settings = {"guidance_scale": 1.0, "num_inference_steps": 5, "output_type": "np", "height": 32, "width": 32}
    first = torch.randn(3, 4, 16, 16, generator=rng(3))
    expected = own(prompt=["a b"] * 3, latents=first, **settings).images
    sampler = untouched(world, painter, prompt="a b", sampling_steps=5)
    assert_same_images(sampler.sample(3, rng(3)), expected)
    assert not torch.equal(sampler.prompt, untouched(world, painter, prompt="c").prompt)


@pytest.mark.long
@MODES
def test_a_prompted_model_is_fitted(
    world: Callable[..., Any], painter: str, tmp_path: Path, mode: dict[str, Any]
) -> None:
    """Its U-Net moves, autoencoder and text encoder do not; all are counted; it is kept, and goes on, as others are."""
    sampler, task, meter = fit(world, painter, **mode)
    networks, before = task.log.networks, task.log.before
    moved = {
        name
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
        if not torch.equal(tensor, before[f"{name}.{key}"])
    }
    assert networks.keys() == {"unet", "vae", "text_encoder"}
    assert moved == {"unet"}
    trained = sum(p.numel() for p in networks["unet"].parameters() if p.requires_grad)
    total = sum(p.numel() for network in networks.values() for p in network.parameters())
    assert (task.log.parameters_trained, task.log.parameters_total) == (trained, total)
    assert meter.images_seen == 10
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    loaded = load_sampler(tmp_path / "sampler.safetensors")
    assert same_state(loaded, sampler)
    assert torch.equal(loaded.sample(5, rng()), sampler.sample(5, rng()))
    with suppress(Killed):
        fit_on(world, painter, tmp_path / "checkpoint.safetensors", kill_at=5, **mode)
    assert same_state(fit_on(world, painter, tmp_path / "checkpoint.safetensors", kill_at=None, **mode)[0], sampler)


@pytest.mark.long
def test_what_a_prompted_model_refuses(painter: str, tmp_path: Path) -> None:
    """A side that its autoencoder cannot halve, and parts without safetensors."""
    with pytest.raises(GraftbenchError, match=r"at 33 px: its autoencoder has 2 levels, .* a multiple of 2\.$"):
        method(painter).check(33)
    copied = shutil.copytree(painter, tmp_path / "painter")
    weights = copied / "text_encoder" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(GraftbenchError, match=r"in its part 'text_encoder'; found pytorch_model\.bin"):
        method(str(copied)).check(32)


# ------------------------------------------------------------------------------------------------- what it is good for


@pytest.mark.long
def test_what_was_learnt_before_helps(world: Callable[..., Any], tmp_path: Path) -> None:
    """A tiny model of Twemoji, fine-tuned on 25 OpenMoji images, denoises unseen ones better than a fresh model does.

    Both fits are the same but for their start. They are compared by the loss and not by KID, which tells blurred blobs
    apart from noise only after longer training than a test can take (see docs/diffusers.md).
    """
    shape = {"block_out_channels": (16, 32, 32), "norm_num_groups": 8}
    shape |= {"down_block_types": ("DownBlock2D",) * 3, "up_block_types": ("UpBlock2D",) * 3}
    fresh = write(tmp_path / "fresh", schedule={"prediction_type": "v_prediction"}, **shape)
    task = world(32).task(CLS)
    task.images = world(32).pixels(world(32).source, 1000)
    learnt = method(fresh, learning_rate=2e-3, batch_size=16).fit(task, Meter(ComputeBudget(kimg=4.0)))
    pretrained = shutil.copytree(fresh, tmp_path / "pretrained")
    cast("Any", learnt).unet.save_pretrained(pretrained / "unet")
    tuned, scratch = (
        fit(world, str(model), n=25, images=1000, learning_rate=5e-4, batch_size=16)[0] for model in (pretrained, fresh)
    )
    assert held_out_loss(world, tuned.unet) < 0.8 * held_out_loss(world, scratch.unet)


def held_out_loss(world: Any, unet: Any) -> float:
    """Mean squared error of the predicted velocity on 64 OpenMoji images that no fit has seen, at uniform levels."""
    x = to_float(world(32).pixels(world(32).target, 64, "validation"))
    t, noise = torch.arange(len(x)) * 15, torch.randn(x.shape, generator=rng(2))
    levels = diffusers.DDPMScheduler()
    with torch.no_grad():
        predicted = unet(levels.add_noise(x, noise, t), t).sample
    return float(F.mse_loss(predicted, levels.get_velocity(x, noise, t)))
