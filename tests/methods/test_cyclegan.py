"""CycleGAN's losses against a step written out, its pool of past images, its rate, its checks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_inputs import rng
from torch import nn

from graftbench.budget import Meter
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training import TrainingLog
from graftbench.training.samplers import to_float

if TYPE_CHECKING:
    from collections.abc import Callable

cyclegan = importlib.import_module("graftbench.methods.cyclegan")


def new_cycle(world: Any, kimg: float = 0.04, **parameters: Any) -> tuple[Any, Any, Meter]:
    """The step of a fit that has not begun, its task and its meter."""
    task, meter = world(32).task(registry.methods()["cyclegan"]), Meter(ComputeBudget(kimg=kimg))
    small = {"channels": 4, "channels_discriminator": 4, "blocks": 1, "precision": "float32"}
    return cyclegan.Cycle(task, meter, cyclegan.Config(**small | parameters)), task, meter


def test_the_translators_losses_are_the_papers(world: Callable[..., Any]) -> None:
    """Each network run by itself: (D(G(x)) − 1)², |F(G(x)) − x|, |G(y) − y|, and the same the other way round.

    Spectral norm is out of training mode, where every pass would move it. Float32 and other batches: 1e-4.
    """
    cycle, task, _ = new_cycle(world)
    cycle.judge_target.eval()
    cycle.judge_source.eval()
    x, y = to_float(task.source_images[:3]), to_float(task.images[:3])
    with torch.no_grad():
        there, back = cycle.there(x), cycle.back(y)
        adversarial = (cycle.judge_target(there) - 1).square().mean() + (cycle.judge_source(back) - 1).square().mean()
        around = (cycle.back(there) - x).abs().mean() + (cycle.there(back) - y).abs().mean()
        identity = (cycle.there(y) - y).abs().mean() + (cycle.back(x) - x).abs().mean()
    losses, to_target, to_source = cycle._translate(x, y)
    expected = {"generator": adversarial, "cycle": around, "identity": identity}
    for name, value in expected.items():
        torch.testing.assert_close(losses[name].detach(), value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(to_target.detach(), there, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(to_source.detach(), back, rtol=1e-4, atol=1e-4)


def test_the_discriminators_loss_is_half_the_least_squares(world: Callable[..., Any]) -> None:
    """½ Σ over both of mean (D(real) − 1)² + mean D(fake)²; the pools are empty and show what comes."""
    cycle, task, _ = new_cycle(world)
    cycle.judge_target.eval()
    cycle.judge_source.eval()
    x, y = to_float(task.source_images[:3]), to_float(task.images[:3])
    fake_y, fake_x = y.flip(3), x.flip(3)
    with torch.no_grad():
        sides = ((cycle.judge_target, y, fake_y), (cycle.judge_source, x, fake_x))
        each = [(judge(real) - 1).square().mean() + judge(fake).square().mean() for judge, real, fake in sides]
    found = cycle._judge(x, y, fake_y, fake_x)
    torch.testing.assert_close(found.detach(), 0.5 * (each[0] + each[1]), rtol=1e-4, atol=1e-5)


class Same(nn.Module):
    """A translator that leaves images as they are, but for a weight that is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Its input."""
        return x + self.weight


def test_who_changes_nothing_comes_home(world: Callable[..., Any]) -> None:
    """With identity translators the cycle and the identity loss are 0; the discriminators' opinion remains."""
    cycle, task, _ = new_cycle(world)
    cycle.there, cycle.back = Same(), Same()
    losses, to_target, _ = cycle._translate(to_float(task.source_images[:2]), to_float(task.images[:2]))
    assert losses["cycle"].item() == losses["identity"].item() == 0
    assert losses["generator"].item() > 0
    assert torch.equal(to_target.detach(), to_float(task.source_images[:2]))


def test_a_step_moves_each_side_with_its_own_optimiser(world: Callable[..., Any]) -> None:
    """The translators' step leaves the discriminators' weights alone, and the other way round."""
    cycle, task, _ = new_cycle(world)
    x, y = to_float(task.source_images[:2]), to_float(task.images[:2])

    def weights(*networks: nn.Module) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for network in networks for p in network.parameters()])

    translators, judges = (cycle.there, cycle.back), (cycle.judge_target, cycle.judge_source)
    before = weights(*translators), weights(*judges)
    _, to_target, to_source = cycle._translate(x, y)
    after = weights(*translators), weights(*judges)
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    cycle._judge(x, y, to_target.detach(), to_source.detach())
    assert torch.equal(weights(*translators), after[0])
    assert not torch.equal(weights(*judges), after[1])


def test_the_rate_falls_over_the_end_of_the_budget(world: Callable[..., Any]) -> None:
    """Whole until half of the budget is spent, a half when a quarter is left, 0 at its end."""
    assert [cyclegan.falling(share, 0.5) for share in (0, 0.5, 0.75, 1)] == [1, 1, 0.5, 0]
    assert [cyclegan.falling(share, 0.0) for share in (0, 0.5, 1)] == [1, 1, 1]
    assert cyclegan.falling(0.25, 1.0) == 0.75
    cycle, task, meter = new_cycle(world, kimg=0.016)
    log, rates = TrainingLog(task, meter), []
    for size in meter.batches(4):
        cycle(size, log)
        rates.append([adam.param_groups[0]["lr"] for adam in (cycle._adam_t, cycle._adam_j)])
    assert rates == [[2e-4, 2e-4], [2e-4, 2e-4], [2e-4, 2e-4], [1e-4, 1e-4]]


def numbered(*numbers: int) -> torch.Tensor:
    """One-pixel images that are told apart by their value."""
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1)


def test_the_pool_shows_everything_until_it_is_full() -> None:
    """The first images come out as they went in; a pool of 0 does so for ever."""
    pool, none = cyclegan.Pool(4, rng()), cyclegan.Pool(0, rng())
    assert torch.equal(pool.exchange(numbered(0, 1, 2)), numbered(0, 1, 2))
    assert pool.exchange(numbered(3))[0].item() == 3
    for start in range(0, 20, 2):
        assert torch.equal(none.exchange(numbered(start, start + 1)), numbered(start, start + 1))


def test_half_of_what_comes_is_exchanged_for_the_past() -> None:
    """Of 2,000 images 1,000 ± 4 · √500 = 90 are swapped for older ones, and none comes out twice."""
    pool, out = cyclegan.Pool(50, rng()), []
    pool.exchange(numbered(*range(50)))
    for start in range(50, 2050, 20):
        batch = numbered(*range(start, start + 20))
        out.append(pool.exchange(batch).flatten() - batch.flatten())
        assert len(pool._images) == 50
    age = torch.cat(out)
    assert (age <= 0).all()
    assert abs(int((age < 0).sum()) - 1000) < 90
    later = torch.cat(out[10:]) + torch.arange(250, 2050)
    assert len(later.unique()) == len(later)


def test_more_halvings_than_there_are() -> None:
    """The sentence says how many there are."""
    cls = registry.methods()["cyclegan"]
    with pytest.raises(GraftbenchError, match=r"^halvings is 1 to 3 at 32 px; found 4\.$"):
        cls(config_of(cls.Config, {"halvings": 4}, "cyclegan")).check(32)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"halvings": 0}, "halvings must be at least 1; found 0"),
        ({"pool": -1}, "pool must be at least 0"),
        ({"decay_share": 1.1}, "decay_share must be in"),
        ({"cycle_weight": -1.0}, "cycle_weight must be at least 0 and finite"),
        ({"blocks": -1}, "blocks must be at least 0"),
        ({"halvings": 0}, "halvings must be at least 1"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(registry.methods()["cyclegan"].Config, parameters, "[parameters.cyclegan]")
