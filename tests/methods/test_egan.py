"""E-GAN: fitness by hand, the fittest survive, equal chances, and `dcgan` where there is nothing to choose."""

from __future__ import annotations

import gc
import importlib
import math
import weakref
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from graftbench.errors import GraftbenchError
from graftbench.nn.losses import adversarial_loss
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training import prepare
from graftbench.training.adversarial import new_networks

if TYPE_CHECKING:
    from collections.abc import Callable

egan = importlib.import_module("graftbench.methods.egan")

MUTATIONS = ["minimax", "non-saturating", "least-squares"]


def judge(weight: list[float], bias: float = 0.0) -> nn.Module:
    """A discriminator of 1×1 images: logit = w · x + b."""
    linear = nn.Linear(3, 1)
    linear.load_state_dict({"weight": torch.tensor([weight]), "bias": torch.tensor([bias])})
    return nn.Sequential(nn.Flatten(), linear, nn.Flatten(0))


def dots(*colours: list[float]) -> Tensor:
    """Images of one pixel."""
    return torch.tensor(colours)[:, :, None, None]


def score(discriminator: nn.Module, real: Tensor, fake: Tensor, gamma: float) -> float:
    """The fitness against a discriminator with cross-entropy."""
    return float(egan.fitness(discriminator, adversarial_loss("non-saturating"), real, fake, gamma))


def evolution(world: Callable[..., Any], **parameters: Any) -> Any:
    """An evolution whose discriminator has taken one step."""
    cls = registry.methods()["egan"]
    config: Any = config_of(cls.Config, {"batch_size": 4, "precision": "float32", **parameters}, "here")
    task = world(32).task(cls)
    networks = [new_networks(task, config) for _ in range(config.population)]
    for generator, discriminator in networks:
        prepare(task, generator=generator, discriminator=discriminator)
    found = egan.Evolution(task, config, [generator for generator, _ in networks], networks[0][1])
    found._adversary.discriminator_step(4, found._offspring)
    return found


def scripted(monkeypatch: pytest.MonkeyPatch, *scores: float) -> None:
    """Let fitness give these scores, one child after the other."""
    waiting = iter(scores)
    monkeypatch.setattr(egan, "fitness", lambda *_: torch.tensor(next(waiting)))


# ---------------------------------------------------------------------------------------------------------- fitness


def test_fitness_of_an_undecided_discriminator() -> None:
    """Logits 0: Fq = ½; the gradient is ½ (mean fake − mean real) = (−½, 0, ½) and 0 for the bias, so Fd = ½ ln 2."""
    real, fake = dots([1.0, 0.0, 0.0], [1.0, 0.0, 0.0]), dots([0.0, 0.0, 0.5], [0.0, 0.0, 1.5])
    assert score(judge([0.0, 0.0, 0.0]), real, fake, 0.0) == 0.5
    assert score(judge([0.0, 0.0, 0.0]), real, fake, 2.0) == pytest.approx(0.5 + math.log(2), rel=1e-6)


def test_fitness_by_hand() -> None:
    """Logits 1 (real) and −2 (fake): Fq = σ(−2); ∂/∂w = −σ(−1) x_real + σ(−2) x_fake, ∂/∂b = −σ(−1) + σ(−2)."""

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    real, fake = dots([1.0, 0.0, 0.0]), dots([0.0, -1.0, 0.0])
    gradient = (-sigmoid(-1), -sigmoid(-2), -sigmoid(-1) + sigmoid(-2))
    expected = sigmoid(-2) - 0.3 * math.log(math.hypot(*gradient))
    assert score(judge([1.0, 2.0, 5.0]), real, fake, 0.3) == pytest.approx(expected, rel=1e-6)


def test_gamma_zero_is_quality() -> None:
    """Without diversity the score is the mean probability of being real, whatever the real images are."""
    fake = dots([0.0, 1.0, 0.0], [0.0, -1.0, 0.0])
    for real in (dots([1.0, 0.0, 0.0], [0.0, 0.0, 0.0]), dots([9.0, 0.0, 0.0], [0.0, 0.0, 1.0])):
        assert score(judge([1.0, 3.0, 0.0]), real, fake, 0.0) == pytest.approx(0.5, rel=1e-6)  # σ(3) + σ(−3) = 1


def test_nothing_to_learn_is_finite() -> None:
    """Generated images that are the real ones leave no gradient: a very diverse child, not a division by zero."""
    same = dots([1.0, 2.0, 3.0])
    assert math.isfinite(score(judge([0.0, 0.0, 0.0]), same, same, 1.0))
    assert score(judge([0.0, 0.0, 0.0]), same, same, 0.0) == 0.5


def test_measuring_moves_nothing(world: Callable[..., Any]) -> None:
    """Weights, gradients and the spectral norm's vectors of the discriminator are those from before."""
    found = evolution(world)
    before = deepcopy(found.discriminator.state_dict())
    child = found._mutated(found.parents[0], "minimax", 4, found._chance.get_state())
    before_score = deepcopy(found.discriminator.state_dict())
    found._score(child, 4, found._chance.get_state())
    after = found.discriminator.state_dict()
    assert all(torch.equal(tensor, before_score[key]) for key, tensor in after.items())
    assert any(not torch.equal(tensor, before[key]) for key, tensor in after.items())  # as every generator step does
    assert all(module.training for module in found.discriminator.modules())
    assert all(parameter.grad is None for parameter in found.discriminator.parameters())


# -------------------------------------------------------------------------------------------------------- selection


def test_the_fittest() -> None:
    """Highest first; the earlier of two equals; what is no number only when nothing else is left."""
    scores = [torch.tensor(x) for x in (0.1, math.nan, 0.7, 0.7, -math.inf)]
    assert egan.fittest(scores, 3) == [2, 3, 0]
    assert egan.fittest(scores[:2], 1) == [0]
    assert egan.fittest(scores[1:2], 1) == [0]


def test_the_best_children_are_the_next_parents(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six children of two parents the fifth and the second live on; the champion has the fifth's weights."""
    found, born = evolution(world, population=2), []
    mutate = found._mutated
    monkeypatch.setattr(found, "_mutated", lambda *given: born.append(mutate(*given)) or born[-1])
    scripted(monkeypatch, 0.1, 0.5, math.nan, 0.3, 0.9, 0.2)
    losses = found.generation(4)
    assert [one.origin for one in born] == MUTATIONS * 2
    assert found.parents[0] is born[4]
    assert found.parents[1] is born[1]
    assert losses["generator"] is born[4].loss
    assert {key: float(value) for key, value in losses.items() if "share" in key} == {
        "minimax share": 0.0,
        "non-saturating share": 1.0,
        "least-squares share": 0.0,
    }
    weights = born[4].generator.state_dict()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in found.champion.state_dict().items())


def test_children_meet_the_same_chances(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Children of one parent start from the same images, and chance goes on as after an only child."""
    ends = []
    for mutations in (MUTATIONS, MUTATIONS[:2]):
        found, born = evolution(world, mutations=mutations, augment="color,translation"), []
        mutate = found._mutated
        monkeypatch.setattr(found, "_mutated", lambda *given, make=mutate, to=born: to.append(make(*given)) or to[-1])
        found.generation(4)
        assert len(born) == len(mutations)
        assert all(torch.equal(one.images, born[0].images) for one in born)
        weights = [one.generator.to_rgb.weight for one in born]
        assert not torch.equal(weights[0], weights[1])
        ends.append(found._chance.get_state())
    assert torch.equal(*ends)


def test_parents_are_left_as_they_are(world: Callable[..., Any]) -> None:
    """A mutation moves the child and its Adam, not the parent's."""
    found = evolution(world)
    found.generation(4)
    parent = found.parents[0]
    before = deepcopy((parent.generator.state_dict(), parent.adam.state_dict()["state"]))
    child = found._mutated(parent, "least-squares", 4, found._chance.get_state())
    assert all(torch.equal(tensor, before[0][key]) for key, tensor in parent.generator.state_dict().items())
    for index, moments in parent.adam.state_dict()["state"].items():
        assert all(torch.equal(value, before[1][index][key]) for key, value in moments.items())
        assert float(child.adam.state_dict()["state"][index]["step"]) == float(moments["step"]) + 1 == 2


@pytest.mark.parametrize(("size", "expected"), [(1, [1]), (4, [1, 1, 2]), (6, [2, 2, 2])])
def test_every_parent_is_shown(
    world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, size: int, expected: list[int]
) -> None:
    """The discriminator's generated images come from all parents in equal parts."""
    found, counts = evolution(world, population=3), []
    draw = found._images
    monkeypatch.setattr(found, "_images", lambda generator, n: counts.append(n) or draw(generator, n))
    assert len(found._offspring(size)) == size
    assert counts == expected


@pytest.mark.slow
def test_memory_does_not_grow(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all children of four generations only the parents of the next are alive, with their optimisers."""
    found, born = evolution(world, population=2, crossover=True), []
    mutate = found._mutated

    def registered(*given: Any) -> Any:
        child = mutate(*given)
        born.extend([weakref.ref(child.generator), weakref.ref(child.adam)])
        return child

    monkeypatch.setattr(found, "_mutated", registered)
    scores = [0.9, 0.8, 0.1, 0.1, 0.1, 0.1, 0.0]
    scripted(monkeypatch, *scores * 4)
    for _ in range(4):
        found.generation(4)
    gc.collect()
    assert len(born) == 4 * 6 * 2
    assert sum(thing() is not None for thing in born) == 2 * 2


def test_crossover_is_the_mean(world: Callable[..., Any]) -> None:
    """Weights, batch-norm statistics and Adam's moments lie halfway; counters are the first one's."""
    found = evolution(world, population=2)
    first, second = (found._mutated(one, "minimax", 4, found._chance.get_state()) for one in found.parents)
    child = egan.crossed(first, second)
    states = [one.generator.state_dict() for one in (first, second, child)]
    for key, tensor in states[2].items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (states[0][key] + states[1][key]) / 2)
        else:
            assert torch.equal(tensor, states[0][key])
    moments = [one.adam.state_dict()["state"][0]["exp_avg_sq"] for one in (first, second, child)]
    torch.testing.assert_close(moments[2], (moments[0] + moments[1]) / 2)
    assert child.origin == "crossover"


def test_crossover_competes(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The child of the two fittest is one child more: it survives if it is the fittest."""
    found = evolution(world, crossover=True)
    scripted(monkeypatch, 0.1, 0.2, 0.3, 0.4)
    assert float(found.generation(4)["crossover share"]) == 1
    scripted(monkeypatch, 0.1, 0.2, 0.3, 0.0)
    assert float(found.generation(4)["crossover share"]) == 0


# ------------------------------------------------------------------------------------------------------------- fits


def test_an_only_child_is_dcgan(world: Callable[..., Any]) -> None:
    """One parent, one mutation, one discriminator step: `dcgan` to the bit."""
    at = world(32)
    ours = at.fit("egan", mutations=["non-saturating"], discriminator_steps=1, images=12)
    theirs = at.fit("dcgan", images=12)
    expected = theirs.sampler.state()[0]
    assert all(torch.equal(tensor, expected[key]) for key, tensor in ours.sampler.state()[0].items())
    for (_, _, found), (_, _, losses) in zip(ours.task.log.curve, theirs.task.log.curve, strict=True):
        assert {key: found[key] for key in losses} == losses


def test_a_generation_in_the_first_step(world: Callable[..., Any]) -> None:
    """The first step's arithmetic is counted while fitness takes its gradients."""
    fit = world(32).fit("egan", discriminator_steps=1)
    assert fit.meter.flops_per_image > 0
    assert all("generator" in losses for _, _, losses in fit.task.log.curve)


def test_population_and_crossover_fit(world: Callable[..., Any]) -> None:
    """A population with crossover trains within its budget, and the shares of what survives add up to 1."""
    fit = world(32).fit("egan", population=2, crossover=True, discriminator_steps=2, images=18)
    assert fit.meter.images_seen == 18
    shares = [[losses[key] for key in losses if key.endswith("share")] for _, _, losses in fit.task.log.curve]
    assert [len(point) for point in shares] == [0, 4, 0, 4, 0]  # a generation every second step
    assert all(sum(point) == pytest.approx(1) for point in shares if point)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"mutations": []}, "at least one loss"),
        ({"mutations": ["minimax", "minimax"]}, "each once"),
        ({"mutations": ["minmax"]}, "Did you mean 'minimax'"),
        ({"population": 0}, "population must be at least 1; found 0"),
        ({"gamma": -1.0}, "gamma must be at least 0 and finite"),
        ({"gamma": float("nan")}, "gamma must be at least 0 and finite"),
        ({"mutations": ["minimax"], "crossover": True}, "crossover needs two children"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], sentence: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=sentence):
        config_of(registry.methods()["egan"].Config, parameters, "[parameters.egan]")
