"""Style transfer takes the style on, keeps the content, and pays for each image."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from graftbench.budget import Meter
from graftbench.errors import GraftbenchError
from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training import TrainingLog
from graftbench.training.samplers import to_float
from graftbench.training.translation import Backbone

if TYPE_CHECKING:
    from collections.abc import Callable

gatys = importlib.import_module("graftbench.methods.gatys")


def stylised(world: Any, seed: int = 0, **parameters: Any) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """A fit on one batch of eight, its images and the source images that they began as, in the same order."""
    settings = {"steps": 12, "batch_size": 8} | parameters
    fit = world(32).fit("gatys", seed=seed, images=8 * settings["steps"], **settings)
    source = fit.task.source_images
    began = source[torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))[:8]]
    return fit, fit.sampler.images, began


@pytest.mark.slow
def test_style_is_taken_on_and_content_kept(world: Callable[..., Any]) -> None:
    """Style's distance falls from 1 to below 0.6 in the default 25 steps (measured: 0.54).

    Content's distance, 1 where no feature is left, stays below 0.3 (measured: 0.19), and each image stays nearest to
    the source image it began as.
    """
    fit, images, began = stylised(world, steps=25)
    losses = [losses for _, _, losses in fit.task.log.curve]
    assert losses[0] == pytest.approx({"content": 0, "style": 1}, abs=1e-6)
    assert losses[-1]["style"] < 0.6
    assert max(loss["content"] for loss in losses) < 0.3
    network = Lite0Blocks(lite0_file(), enlarge=2)
    with torch.no_grad():
        found, sources = (network(to_float(x))[3].flatten(1) for x in (images, fit.task.source_images))
    nearest = torch.cdist(found, sources).argmin(dim=1)
    assert torch.equal(fit.task.source_images[nearest], began)
    assert not torch.equal(images, began)


def test_without_style_nothing_changes(world: Callable[..., Any]) -> None:
    """An image is its own best content: with no weight on style the gradient is 0 and the images stay."""
    _, images, began = stylised(world, style_weight=0.0, steps=2)
    assert torch.equal(images, began)


@pytest.mark.slow
def test_an_image_does_not_depend_on_its_neighbours(world: Callable[..., Any]) -> None:
    """Its pixels after three steps are the same alone and in a batch with others of other losses.

    In float64, on any CPU: kernels add up a batch of one in another order, and Adam's first steps are the rate times
    the gradient's sign, so a gradient of the size of its rounding error moves a pixel by up to 2 · 0.03 a step. In
    float64 that error is some 1e-13 of a gradient (1e3 terms of 1e-16), so the median pixel agrees to far below 1e-9.
    """
    task = world(32).task(registry.methods()["gatys"])
    contents, styles = to_float(task.source_images[:4]).double(), to_float(task.images[:4]).double()
    config = gatys.Config(steps=3, batch_size=4, precision="float32")
    backbone = Backbone(Lite0Blocks(lite0_file(), enlarge=2).double(), task, "float32")

    def painted(rows: slice) -> torch.Tensor:
        canvas = gatys.Canvas(backbone, contents[rows], styles[rows], config)
        meter = Meter(ComputeBudget(kimg=0.1))
        assert canvas.paint(iter([4, 4, 4]), TrainingLog(task, meter))
        return canvas.pixels.detach()

    together = painted(slice(0, 4))
    for row in range(4):
        alone, among = painted(slice(row, row + 1))[0], together[row]
        moved = (among - contents[row]).abs()
        assert moved.max() > 0.05
        assert (alone - among).abs().median() < 1e-9
        assert (alone - among).abs().mean() < 1e-4 * moved.mean()


@pytest.mark.slow
@pytest.mark.parametrize("canvases", [1, 3])
def test_the_meter_counts_all_arithmetic(world: Callable[..., Any], canvases: int) -> None:
    """What torch counts over the whole fit is what the meter says: the steps, and two looks at the start of each image.

    The looks are 2 of 2 + 3 · 4 passes, some 15 % here: a meter without them would be far off.
    """
    with FlopCounterMode(display=False) as counter:
        fit = world(32).fit("gatys", images=canvases * 8 * 4, steps=4, batch_size=8)
    assert fit.meter.images_seen == canvases * 8 * 4
    assert fit.meter.flops_per_image * fit.meter.images_seen == pytest.approx(counter.get_total_flops(), rel=1e-9)


def test_the_backbone_is_frozen(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the backbone moves over a fit, and nothing in it is trained."""
    networks: list[Lite0Blocks] = []

    class Recorded(Lite0Blocks):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            networks.append(self)

    monkeypatch.setattr(gatys, "Lite0Blocks", Recorded)
    fit = world(32).fit("gatys")
    fresh = Lite0Blocks(lite0_file(), enlarge=2).state_dict()
    (network,) = networks
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in network.state_dict().items())
    assert fit.task.log.parameters_trained == 0
    assert fit.task.log.parameters_total == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("images", "finished"), [(8, 4), (15, 4), (16, 8), (17, 8)])
def test_an_image_costs_its_steps(world: Callable[..., Any], images: int, finished: int) -> None:
    """Two steps on a batch of four cost eight images of the budget; a batch that was not finished is dropped."""
    fit = world(32).fit("gatys", images=images)
    assert len(fit.sampler.images) == finished
    assert fit.meter.images_seen == images
    assert fit.task.log.notes == [f"The budget paid for {finished} stylised images; the sampler replays them."]


def test_budget_for_nothing(world: Callable[..., Any]) -> None:
    """A budget that does not finish the first batch is an error that says what it would have taken."""
    with pytest.raises(GraftbenchError, match=r"0\.007 kimg ended before the first 4 images had their 2 steps"):
        world(32).fit("gatys", images=7)


@pytest.mark.slow
def test_source_images_come_round_again(world: Callable[..., Any]) -> None:
    """Where the budget outlasts the 40 source images, each is used once before any is used again."""
    fit = world(32).fit("gatys", images=48, steps=1, style_weight=0.0)
    bank = fit.sampler.images
    assert len(bank) == 48
    sources = fit.task.source_images
    order = [int((sources == image).flatten(1).all(dim=1).nonzero()[0]) for image in bank]
    assert sorted(order[:40]) == list(range(40))
    assert len(set(order[40:])) == 8


def test_content_that_is_its_own_style(world: Callable[..., Any]) -> None:
    """A style loss that is 0 at the start has nothing to be measured by; it stays 0 and the fit goes on."""
    cls = registry.methods()["gatys"]
    task = world(32).task(cls, n=1)
    task.source_images = task.images
    method = cls(config_of(cls.Config, {"steps": 2, "batch_size": 4}, "gatys"))
    sampler = method.fit(task, Meter(ComputeBudget(kimg=0.008)))
    expected = task.images.expand(4, -1, -1, -1)
    assert torch.equal(sampler.sample(4, torch.Generator().manual_seed(0)), expected)


@pytest.mark.parametrize(
    "parameters",
    [
        *({"steps": 0}, {"batch_size": 0}, {"enlarge": 0}, {"lr": 0}, {"lr": float("nan")}, {"style_weight": -1.0}),
        *({"content_layer": 4}, {"style_layers": []}, {"style_layers": [0, -1]}),
    ],
)
def test_bad_parameters(parameters: dict[str, Any]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=r"must be positive|stages 0 to 3|at least [01]"):
        config_of(registry.methods()["gatys"].Config, parameters, "[parameters.gatys]")
