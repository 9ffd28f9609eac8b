"""The adversarial loop: what moves when, what it logs, when it gives up, and what it refuses before it begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch
import torch.nn.functional as F

from graftbench.budget import Meter
from graftbench.contracts import Diverged, FitLog, Sampler, SourceModel, Task
from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.nn.build import freeze
from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training import Batches, TrainingConfig, TrainingLog, adam, descend, prepare, staged, train
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial, new_networks, source_networks
from graftbench.training.samplers import GeneratorSampler, to_float

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn


@dataclass
class SmallTask(Task):
    """Real images at a small side; nothing else is offered."""

    pixels: Tensor
    resolution: int = 8
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    log: FitLog = field(default_factory=FitLog)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    @property
    def images(self) -> Tensor:
        """The training images."""
        return self.pixels

    @property
    def source_images(self) -> Tensor:
        """Not offered."""
        raise AssertionError("the loop asked for source images")

    @property
    def source_model(self) -> SourceModel:
        """Not offered."""
        raise AssertionError("the loop asked for a source model")


@pytest.fixture(scope="module")
def emoji(shared_cache: Path) -> Tensor:
    """Forty real images: uint8 40×3×32×32."""
    images = prepared.load(registry.make_domain("twemoji"), "twemoji", 32, shared_cache)
    return torch.from_numpy(images.images("train")[:40])


@pytest.fixture(scope="module")
def small(emoji: Tensor) -> Tensor:
    """The same reduced to 8×8 by averaging."""
    return F.avg_pool2d(emoji.float(), 4).round().to(torch.uint8)


SMALL: dict[str, Any] = {
    "batch_size": 4,
    "channels_generator": 4,
    "channels_discriminator": 4,
    "precision": "float32",
    "loss": "non-saturating",
}


def small_config(**parameters: object) -> AdversarialConfig:
    """Settings that make a step take a millisecond."""
    return msgspec.convert(SMALL | parameters, AdversarialConfig)


def meter(images: int) -> Meter:
    """A budget of so many images."""
    return Meter(ComputeBudget(kimg=images / 1000))


def fit(
    task: Task, images: int, config: AdversarialConfig, networks: tuple[Generator, Discriminator] | None = None
) -> tuple[Generator, Discriminator, GeneratorSampler]:
    """Run the loop on fresh networks, or on those given."""
    generator, discriminator = networks or new_networks(task, config)
    sampler = fit_adversarial(task, meter(images), config, generator, discriminator)
    return generator, discriminator, sampler


def parameters(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's parameters."""
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two sets of parameters are the same to the bit."""
    return all(torch.equal(a[name], b[name]) for name in a)


# ------------------------------------------------------------------------------------------------- what moves when


def test_generator_moves_every_fifth_step(small: Tensor) -> None:
    """With five discriminator steps per generator step, the generator's weights change after batches 5 and 10 only."""
    config = small_config(discriminator_steps=5)
    task = SmallTask(small)
    start = parameters(new_networks(task, config)[0])
    after = {}
    for batches in (4, 5, 9, 10):
        generator, _, _ = fit(SmallTask(small), 4 * batches, config)
        after[batches] = parameters(generator)
    assert equal(after[4], start)
    assert not equal(after[5], start)
    assert equal(after[9], after[5])
    assert not equal(after[10], after[9])


def test_generator_moves_every_step_by_default(small: Tensor) -> None:
    """One generator step for each of the discriminator's."""
    start = parameters(new_networks(SmallTask(small), small_config())[0])
    generator, _, _ = fit(SmallTask(small), 4, small_config())
    assert not equal(parameters(generator), start)


@pytest.mark.parametrize("images", [1, 3, 4, 6, 9])
def test_last_batch_may_be_partial(small: Tensor, images: int) -> None:
    """The budget is spent to the image, even where a single one is left for the last step."""
    task, budget = SmallTask(small), meter(images)
    fit_adversarial(task, budget, small_config(), *new_networks(task, small_config()))
    assert budget.images_seen == images
    assert task.log.curve[-1][0] == images


def test_one_step_by_hand(small: Tensor) -> None:
    """The first discriminator step is Adam's on softplus(−D(x)) + softplus(D(Gz)), written out once more here.

    With β₁ = 0 Adam's first step is lr·g / (|g| + ε √(1 − β₂) / √(1 − β₂)) = lr·g / (|g| + ε).
    """
    config = small_config(discriminator_steps=2)  # the generator rests
    task, twin = SmallTask(small), SmallTask(small)
    generator, judge = new_networks(twin, config)
    generator.train()
    judge.train()
    noise = torch.randn(4, 128, generator=twin.generator)
    with torch.no_grad():
        fake = generator(noise)
    real = to_float(small[torch.randint(len(small), (4,), generator=twin.generator)])
    logits = judge(torch.cat([real, fake]))
    (F.softplus(-logits[:4]).mean() + F.softplus(logits[4:]).mean()).backward()
    _, discriminator, _ = fit(task, 4, config)
    for name, moved in discriminator.named_parameters():
        before = judge.get_parameter(name)
        assert before.grad is not None
        expected = before.detach() - config.lr_discriminator * before.grad / (before.grad.abs() + 1e-8)
        # Where a gradient is of the size of its rounding error, so is its sign: compare where it is not.
        sure = before.grad.abs() > 1e-5
        assert sure.float().mean() > 0.5
        torch.testing.assert_close(moved.detach()[sure], expected[sure], rtol=0, atol=2e-6)


def test_frozen_parts_stay(small: Tensor) -> None:
    """Frozen blocks keep parameters and buffers to the bit; every other parameter moves; the counts say so."""
    task, config = SmallTask(small), small_config()
    generator, discriminator = new_networks(task, config)
    freeze(discriminator.blocks[0])
    freeze(generator.blocks[0])
    before = {
        n: {k: v.clone() for k, v in net.state_dict().items()} for n, net in enumerate((generator, discriminator))
    }
    fit(task, 12, config, (generator, discriminator))
    for n, net in enumerate((generator, discriminator)):
        for name, tensor in net.state_dict().items():
            if name.startswith("blocks.0."):
                assert torch.equal(tensor, before[n][name]), name
        for name, parameter in net.named_parameters():
            if not name.startswith("blocks.0."):
                assert not torch.equal(parameter, before[n][name]), name
    held = sum(p.numel() for net in (generator, discriminator) for p in net.blocks[0].parameters())
    assert task.log.parameters_total - task.log.parameters_trained == held


def test_one_seed_one_fit(small: Tensor) -> None:
    """The task's seed decides everything; torch's global generator decides nothing."""
    config = small_config(augment="color,translation,cutout")
    states = []
    for global_seed, seed in ((1, 0), (2, 0), (2, 1)):
        torch.manual_seed(global_seed)
        states.append(parameters(fit(SmallTask(small, seed=seed), 20, config)[0]))
    assert equal(states[0], states[1])
    assert not equal(states[0], states[2])


@pytest.mark.slow
def test_bfloat16_is_close_to_float32(emoji: Tensor) -> None:
    """The losses of the first three steps agree within the rounding of bfloat16.

    bfloat16 rounds to 2⁻⁹ relative, and a logit passes 7 layers here. Fresh networks give logits of size 0.2 at most;
    the losses have slope 1 at most in each of one or two logits. So a loss is off by at most about
    2 · 7 · 2⁻⁹ · 0.2 = 0.005. Measured over four seeds and two widths: 0.0014.
    """
    curves = []
    for precision in ("float32", "bfloat16"):
        task = SmallTask(emoji, resolution=32)
        wider = {"channels_generator": 16, "channels_discriminator": 32}
        fit(task, 24, small_config(batch_size=8, precision=precision, **wider))
        curves.append([losses for _, _, losses in task.log.curve])
    assert len(curves[0]) == len(curves[1]) == 3
    for single, half in zip(*curves, strict=True):
        for name in ("discriminator", "generator"):
            assert abs(single[name] - half[name]) < 2 * 7 * 2**-9 * 0.2
    assert curves[0] != curves[1]


def test_batches_are_drawn_from_the_images(small: Tensor) -> None:
    """Every image drawn is a training image in [−1, 1], with replacement, evenly."""
    batches = Batches(small[:5], torch.Generator().manual_seed(0))
    drawn = batches.draw(2000)
    reals = to_float(small[:5])
    matches = (drawn[:, None] == reals[None]).flatten(2).all(dim=2)
    assert (matches.sum(dim=1) == 1).all()
    # Binomial(2000, 1/5): five standard deviations are 5 √(2000 · 0.16) = 89.
    assert (matches.sum(dim=0) - 400).abs().max() < 90


# -------------------------------------------------------------------------------------------------------- the log


def test_curve_has_about_fifty_points(small: Tensor) -> None:
    """Fifty points where there are more steps than that, evenly spread, the last one at the whole budget."""
    for steps in (60, 75):
        task = SmallTask(small)
        fit(task, 4 * steps, small_config())
        seen = [images for images, _, _ in task.log.curve]
        assert 45 <= len(seen) <= 50
        gaps = [later - earlier for earlier, later in zip([0, *seen], seen, strict=False)]
        assert min(gaps) > 0
        assert max(gaps) <= 4 * (steps // 50 + 1)
        assert seen[-1] == 4 * steps
        seconds = [second for _, second, _ in task.log.curve]
        assert seconds == sorted(seconds)


def test_short_fit_logs_every_step(small: Tensor) -> None:
    """With fewer steps than points, each step is a point at the number of images seen after it."""
    task = SmallTask(small)
    fit(task, 22, small_config())
    assert [images for images, _, _ in task.log.curve] == [4, 8, 12, 16, 20, 22]


def test_losses_are_averaged_over_their_own_steps(small: Tensor) -> None:
    """A loss that only every second step has is averaged over the steps that have it."""
    task, budget = SmallTask(small), meter(400)
    log = TrainingLog(task, budget)
    log.add(discriminator=torch.tensor(1.0))
    log.add(discriminator=torch.tensor(3.0), generator=torch.tensor(5.0))
    log.write()
    assert task.log.curve[-1][2] == {"discriminator": 2.0, "generator": 5.0}
    log.add(discriminator=torch.tensor(7.0))
    log.write()
    assert task.log.curve[-1][2] == {"discriminator": 7.0}


def test_nothing_added_nothing_written(small: Tensor) -> None:
    """A second write without a step in between leaves no point."""
    task = SmallTask(small)
    log = TrainingLog(task, meter(8))
    log.write()
    log.add(loss=torch.tensor(1.0))
    log.write()
    log.write()
    assert len(task.log.curve) == 1


def test_small_budget_is_noted(small: Tensor) -> None:
    """Batches larger than the data budget are said in the record; as large as it they are not."""
    for n, notes in ((3, ["Batches of 4 were drawn with replacement from 3 images."]), (4, [])):
        task = SmallTask(small[:n])
        fit(task, 8, small_config())
        assert task.log.notes == notes


# -------------------------------------------------------------------------------------------------- giving it up


def test_nan_weights_are_divergence(small: Tensor) -> None:
    """A network that holds a NaN makes losses that are none; the sentence says which and when."""
    task = SmallTask(small)
    generator, discriminator = new_networks(task, small_config())
    with torch.no_grad():
        discriminator.head.get_parameter("parametrizations.weight.original")[0, 0] = float("nan")
    with pytest.raises(Diverged, match=r"^the discriminator loss is nan at step 1 \(4 images\)$"):
        fit(task, 40, small_config(), (generator, discriminator))


@pytest.mark.parametrize("rate", ["lr_generator", "lr_discriminator"])
def test_exploding_learning_rate_is_divergence(small: Tensor, rate: str) -> None:
    """A rate of 1e30 leaves the finite numbers, explodes or collapses: each is said in a sentence with the step."""
    said = (
        r"^the (discriminator|generator) loss (is nan|is inf|exploded to).* at step \d|^the output collapsed at step \d"
    )
    with pytest.raises(Diverged, match=said):
        fit(SmallTask(small), 80, small_config(**{rate: 1e30}))


def test_collapse_is_divergence(small: Tensor) -> None:
    """A generator whose output does not depend on z is no model, however finite its losses."""
    task = SmallTask(small)
    generator, discriminator = new_networks(task, small_config())
    freeze(generator.to_rgb)
    torch.nn.init.zeros_(generator.to_rgb.weight)
    with pytest.raises(Diverged, match=r"^the output collapsed at step 1: all images of a batch are one image$"):
        fit(task, 12, small_config(), (generator, discriminator))


def test_a_fresh_generator_has_not_collapsed(emoji: Tensor) -> None:
    """Two steps from fresh weights at 128 px are too few to learn anything, and that is no collapse.

    The averaged generator's batch-norm statistics are hardly begun then and flatten its output; the generator in
    training is what is looked at.
    """
    task = SmallTask(F.interpolate(emoji.float(), 128).to(torch.uint8), resolution=128)
    fit(task, 8, small_config())


def looked(task: SmallTask, *batches: Tensor) -> None:
    """A log that looks at these batches, each at another point."""
    log = TrainingLog(task, meter(100))
    for batch in batches:
        log.look(batch)
        log.add(loss=torch.zeros(()))
        log.write()


def test_one_flat_batch_is_chance_two_are_a_collapse(small: Tensor) -> None:
    """Only two points in a row whose batches are one image are a collapse, and the first of them is named."""
    flat, varied = torch.zeros(8, 3, 4, 4), torch.zeros(8, 3, 4, 4)
    varied[0, 0, 0, 0] = 0.1  # one pixel of one image: standard deviation 0.1 / √8 = 0.035, above 2/255
    looked(SmallTask(small), flat, varied, flat)
    with pytest.raises(Diverged, match="collapsed at step 2"):
        looked(SmallTask(small), varied, flat, flat)
    looked(SmallTask(small), flat[:3], flat[:3])  # three images say nothing


def test_an_exploding_loss_is_divergence(small: Tensor) -> None:
    """A million times the first value ends the fit at the step that reached it; large values as such do not."""
    log = TrainingLog(SmallTask(small), meter(100))
    for value in (-3e4, 2e9):
        log.add(loss=torch.tensor(value))
    log.write()
    for value in (1.0, 5e10):
        log.add(loss=torch.tensor(value))
    with pytest.raises(Diverged, match=r"^the loss loss exploded to 5e\+10 at step 4 \(0 images\)$"):
        log.write()


# --------------------------------------------------------------------------------------------------------- stages


def test_stages_follow_the_share_of_the_budget(small: Tensor) -> None:
    """A stage's step is made when the stage begins, at the share of the budget that the stage before ends with."""
    budget, made, taken = meter(100), [], []

    def stage(name: str) -> Any:
        def make() -> Any:
            made.append((name, budget.images_seen))
            return lambda size, _log: taken.append((name, size)) is None

        return make

    step = staged(SmallTask(small), budget, [(0.25, stage("first")), (0.6, stage("second")), (1.0, stage("third"))])
    log = TrainingLog(SmallTask(small), budget)
    for size in budget.batches(10):
        assert step(size, log)
    assert made == [("first", 0), ("second", 30), ("third", 60)]
    assert [name for name, _ in taken] == ["first"] * 3 + ["second"] * 3 + ["third"] * 4


def test_a_stage_may_be_empty(small: Tensor) -> None:
    """A stage that ends before it begins is passed over."""
    budget = meter(4)
    step = staged(
        SmallTask(small), budget, [(0.0, lambda: pytest.fail("begun")), (1.0, lambda: lambda _size, _log: True)]
    )
    for size in budget.batches(4):
        step(size, TrainingLog(SmallTask(small), budget))


# ------------------------------------------------------------------------------------------------------- the loop


class Held(Sampler):
    """Holds a network and draws nothing."""

    kind = "held"

    def __init__(self, network: torch.nn.Linear) -> None:
        self.network = network

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Not asked for."""
        raise AssertionError((n, generator))

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Likewise."""
        raise AssertionError

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], metadata: dict[str, str]) -> Held:
        """Likewise."""
        raise AssertionError((tensors, metadata))


def test_the_average_follows_only_the_steps_that_moved(small: Tensor) -> None:
    """θ̄ after four steps of which the second and fourth moved θ to 1 and 2, by hand.

    The ramp gives β₀ = 1/10 and β₁ = 2/11: θ̄ = 0.9 · 1 = 0.9, then 2/11 · 0.9 + 9/11 · 2 = 1.8.
    """
    network, task, budget = torch.nn.Linear(1, 1, bias=False), SmallTask(small), meter(16)
    torch.nn.init.zeros_(network.weight)

    def step(_size: int, _log: TrainingLog) -> bool:
        moves = budget.images_seen in (4, 12)
        with torch.no_grad():
            network.weight += float(moves)
        return moves

    averaged = train(task, budget, TrainingConfig(batch_size=4), step, network, sampler=Held).network
    assert float(averaged.weight.detach()) == pytest.approx(1.8, rel=1e-6)
    assert not averaged.training
    assert budget.images_seen == 16


def test_descend_reaches_only_its_own_weights() -> None:
    """A loss through two networks gives gradients to the optimiser's network alone."""
    ours, theirs = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    before = parameters(ours)
    descend(adam(ours.parameters(), lr=0.1, beta1=0, beta2=0.9), theirs(ours(torch.ones(3, 2))).sum())
    assert not equal(before, parameters(ours))
    assert all(parameter.grad is None for parameter in theirs.parameters())


def test_preparing_counts_by_name(small: Tensor) -> None:
    """The log counts every network once, by name, and what thaws in a later stage as trained."""
    task = SmallTask(small)
    moving, resting = torch.nn.Linear(3, 2), freeze(torch.nn.Linear(5, 1))
    prepare(task, moving=moving, resting=resting)
    assert (task.log.parameters_total, task.log.parameters_trained) == (8 + 6, 8)
    assert moving.training
    assert not resting.training
    freeze(moving)
    resting.requires_grad_(requires_grad=True)
    prepare(task, moving=moving, resting=resting)
    assert (task.log.parameters_total, task.log.parameters_trained) == (14, 14)


# ------------------------------------------------------------------------------------- what is refused beforehand


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("loss", "hinges", r"Unknown adversarial loss 'hinges'.*Did you mean 'hinge'"),
        ("augment", "colour", r"Unknown augmentation 'colour'.*Did you mean 'color'"),
        ("augmnt", "color", r"Unknown key 'augmnt'.*Did you mean 'augment'"),
        (
            "precision",
            "float16",
            "precision must be 'auto', 'bfloat16' or 'float32'; found the text 'float16'",
        ),
        ("batch_size", 1, "batch_size must be at least 2"),
        ("batch_size", 2.5, "batch_size must be a whole number; found the number 2.5"),
        ("ema_decay", 1.0, r"ema_decay must be in \[0, 1\)"),
        ("ema_decay", float("nan"), r"ema_decay must be in \[0, 1\)"),
        ("lr_generator", 0.0, "must be positive"),
        ("lr_discriminator", float("nan"), "must be positive"),
        ("lr_discriminator", float("inf"), "must be positive"),
        ("beta1", 1.0, r"beta1 must be in \[0, 1\)"),
        ("beta2", -0.1, r"beta2 must be in \[0, 1\)"),
        ("discriminator_steps", 0, "discriminator_steps must be at least 1"),
        ("channels_generator", 0, "channels_generator must be at least 1"),
        ("channels_discriminator", -4, "channels_discriminator must be at least 1"),
    ],
)
def test_bad_parameters(name: str, value: object, says: str) -> None:
    """A suite's parameter that cannot work is refused when the suite is read, naming it."""
    with pytest.raises(GraftbenchError, match=says):
        config_of(AdversarialConfig, {name: value}, "[parameters.dcgan]")


def test_whole_numbers_serve_as_rates(small: Tensor) -> None:
    """`beta1 = 0` in a suite is 0.0; torch's Adam wants floats and gets them."""
    config = config_of(AdversarialConfig, SMALL | {"beta1": 0}, "[parameters.dcgan]")
    assert isinstance(config, AdversarialConfig)
    fit(SmallTask(small), 4, config)


def source_model(generator: Generator, discriminator: Discriminator, **metadata: str) -> SourceModel:
    """A source model of the two networks."""
    networks = {"generator": generator, "discriminator": discriminator}
    tensors = {f"{prefix}.{k}": v for prefix, network in networks.items() for k, v in network.state_dict().items()}
    specs = {prefix: msgspec.json.encode(network.spec).decode() for prefix, network in networks.items()}
    return SourceModel("gan-emoji-8-0", tensors, specs | metadata)


@pytest.fixture
def model() -> SourceModel:
    """A small source model at 8 px."""
    return source_model(
        Generator(GeneratorSpec(resolution=8, channels=4)), Discriminator(DiscriminatorSpec(resolution=8, channels=4))
    )


def test_source_networks_are_the_models(model: SourceModel) -> None:
    """Both networks come back with every tensor as it was."""
    for network, prefix in zip(source_networks(model, 8), ("generator", "discriminator"), strict=True):
        state = network.state_dict()
        assert {f"{prefix}.{name}" for name in state} == {name for name in model.tensors if name.startswith(prefix)}
        assert all(torch.equal(tensor, model.tensors[f"{prefix}.{name}"]) for name, tensor in state.items())


def test_source_networks_are_copies(model: SourceModel) -> None:
    """Training the networks leaves the source model alone: the next cell of the same process starts from it too."""
    before = {name: tensor.clone() for name, tensor in model.tensors.items()}
    for network in source_networks(model, 8):
        for parameter in network.parameters():
            parameter.data.add_(1)
    assert equal(before, model.tensors)


def test_source_model_of_another_resolution(model: SourceModel) -> None:
    """The sentence says which resolution was found and which is needed."""
    with pytest.raises(GraftbenchError, match=r"gan-emoji-8-0 is of 8 px \(generator\); the task needs 16\.$"):
        source_networks(model, 16)


def test_source_model_whose_networks_disagree() -> None:
    """A discriminator for another resolution is found before the first batch breaks on it."""
    odd = source_model(
        Generator(GeneratorSpec(resolution=8, channels=4)), Discriminator(DiscriminatorSpec(resolution=16, channels=4))
    )
    with pytest.raises(GraftbenchError, match=r"gan-emoji-8-0 is of 16 px \(discriminator\); the task needs 8\.$"):
        source_networks(odd, 8)


@pytest.mark.parametrize("prefix", ["generator", "discriminator"])
def test_source_model_of_another_architecture(model: SourceModel, prefix: str) -> None:
    """Tensors that do not fit the architecture that the metadata states are refused, naming the network."""
    wider = {name: value.replace('"channels":4', '"channels":8') for name, value in model.metadata.items()}
    odd = SourceModel(model.id, model.tensors, model.metadata | {prefix: wider[prefix]})
    with pytest.raises(GraftbenchError, match=rf"gan-emoji-8-0 is of another architecture \({prefix}\)"):
        source_networks(odd, 8)


@pytest.mark.parametrize(
    "metadata", [{"generator": "{"}, {"generator": '{"depth":3}'}, {"generator": '{"resolution":9}'}]
)
def test_source_model_that_describes_nothing(model: SourceModel, metadata: dict[str, str]) -> None:
    """Metadata that are garbled, unknown or impossible are refused."""
    odd = SourceModel(model.id, model.tensors, model.metadata | metadata)
    with pytest.raises(GraftbenchError, match="gan-emoji-8-0 does not describe a network 'generator'"):
        source_networks(odd, 8)


def test_source_model_without_a_discriminator(model: SourceModel) -> None:
    """A VAE's file offered to a GAN is refused likewise."""
    metadata = {"generator": model.metadata["generator"]}
    with pytest.raises(GraftbenchError, match="does not describe a network 'discriminator'; it describes generator"):
        source_networks(SourceModel(model.id, model.tensors, metadata), 8)
