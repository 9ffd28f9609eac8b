"""The rows that stand beside every table: held-out, training and source images, white, the source model as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from made_cells import make_cell
from random_inputs import rng

from graftbench.budget import Meter
from graftbench.errors import GraftbenchError
from graftbench.execution.cell_task import CellTask
from graftbench.execution.job import CellJob
from graftbench.images.subsets import nested_subset
from graftbench.plugins import registry
from graftbench.records.cell_spec import ComputeBudget

if TYPE_CHECKING:
    from collections.abc import Callable


def images_of(tensor: torch.Tensor) -> set[bytes]:
    """Images as a set of their pixels."""
    return {image.numpy().tobytes() for image in tensor}


def cell_task(world: Any, *, family: str, n: int) -> CellTask:
    """The task that the suite makes for a cell with n target images."""
    cell = make_cell("oracle", images=n, family=family)
    train = world.target.positions("train")
    chosen = [train[i] for i in nested_subset([world.target.ids[i] for i in train], n, 0)]
    return CellTask(
        resolution=32,
        device=torch.device("cpu"),
        generator=rng(),
        target=world.target,
        chosen=chosen,
        job=CellJob(cell=cell, folder="", cache=""),
    )


def test_memorizer_replays_its_training_images(world: Callable[..., Any]) -> None:
    """Twelve draws are the twelve training images, each once."""
    fit = world(32).fit("memorizer", n=12)
    assert images_of(fit.sampler.sample(12, rng())) == images_of(fit.task.images)


def test_oracle_replays_held_out_images(world: Callable[..., Any]) -> None:
    """It draws what is held out and says how many images that are."""
    fit = world(32).fit("oracle")
    assert images_of(fit.sampler.sample(20, rng())) == images_of(fit.task.held_out)
    assert fit.task.log.notes == ["20 real images outside the data budget and the reference split."]


@pytest.mark.parametrize("n", [25, 400])
def test_oracle_sees_neither_data_budget_nor_reference(world: Callable[..., Any], n: int) -> None:
    """In a cell, what is held out is all of train and validation but the data budget's images."""
    task = cell_task(world(32), family="reference", n=n)
    oracle = registry.methods()["oracle"]()
    sampler = oracle.fit(task, Meter(ComputeBudget(kimg=1)))
    target = world(32).target
    held_out = len(target.positions("train")) + len(target.positions("validation")) - n
    drawn = images_of(sampler.sample(held_out, rng()))
    assert drawn == images_of(task.held_out)
    assert drawn.isdisjoint(images_of(torch.from_numpy(target.images("reference"))))
    assert sorted([*task.chosen, *held_positions(task)]) == sorted(
        [*target.positions("train"), *target.positions("validation")]
    )


def held_positions(task: CellTask) -> list[int]:
    """The positions whose images `held_out` holds, in order, by comparing pixels in order."""
    pixels, positions = task.target.pixels, iter(range(len(task.target.pixels)))
    chosen = set(task.chosen)
    return [
        next(i for i in positions if i not in chosen and (pixels[i] == image).all()) for image in task.held_out.numpy()
    ]


def test_only_reference_rows_see_held_out_images(world: Callable[..., Any]) -> None:
    """Another family that asks is refused, by name."""
    with pytest.raises(GraftbenchError, match=r"^Method 'oracle' may not look at held-out images\.$"):
        _ = cell_task(world(32), family="scratch", n=25).held_out


def test_oracle_is_a_reference_row() -> None:
    """It could not get its images in any other family."""
    assert registry.methods()["oracle"].family == "reference"


def test_source_is_the_source_generator(world: Callable[..., Any]) -> None:
    """Every number of the sampler's network is the source model's; target images and seed change nothing."""
    first, second = world(32).fit("source"), world(32).fit("source", n=1, seed=5)
    state = first.sampler.network.state_dict()
    assert {f"generator.{name}" for name in state} == {
        name for name in first.task.source_model.tensors if name.startswith("generator.")
    }
    assert all(torch.equal(t, first.task.source_model.tensors[f"generator.{name}"]) for name, t in state.items())
    assert torch.equal(first.sampler.sample(5, rng()), second.sampler.sample(5, rng()))
    assert first.task.log.parameters_trained == 0


def test_blank_is_white_whatever_it_is_shown(world: Callable[..., Any]) -> None:
    """Every level is 255, for any number of images; the task is asked for its resolution alone."""
    cls = registry.methods()["blank"]
    task = world(32).task(cls)
    assert set(cls.kinds) == {"generate"}
    assert not cls.needs_source_images
    assert not cls.source_model
    del task.images, task.generator
    drawn = cls().fit(task, Meter(ComputeBudget(kimg=1))).sample(7, rng())
    assert torch.equal(drawn, torch.full((7, 3, 32, 32), 255, dtype=torch.uint8))


def test_source_images_are_the_training_split_of_the_source(world: Callable[..., Any]) -> None:
    """In a cell as many draws as there are images are these, each once; one more is one of them again."""
    task, source = cell_task(world(32), family="reference", n=12), world(32).source
    training = torch.from_numpy(source.images("train"))
    vars(task)["source_images"] = training  # as the cell's task offers them
    sampler = registry.methods()["source-images"]().fit(task, Meter(ComputeBudget(kimg=1)))
    drawn = sampler.sample(len(training) + 1, rng())
    assert sorted(image.numpy().tobytes() for image in drawn[:-1]) == sorted(i.numpy().tobytes() for i in training)
    assert images_of(drawn[-1:]) < images_of(training)
    assert images_of(training).isdisjoint(images_of(torch.from_numpy(source.images("reference"))))
