"""pix2pix and pix2pix-frozen: what learning from pairs comes to, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_inputs import rng

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.paired import PairedConfig
from graftbench.training.samplers import load_sampler, save_sampler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOTH = pytest.mark.parametrize("name", ["pix2pix", "pix2pix-frozen"])


def error(sampler: Any, task: Any) -> float:
    """Mean absolute error on the task's own pairs, in grey levels."""
    inputs, truths = task.pairs
    return float((sampler.translate(inputs, rng()).float() - truths.float()).abs().mean())


@pytest.mark.slow
@BOTH
def test_it_learns_its_pairs(world: Callable[..., Any], name: str) -> None:
    """Thirty steps on four pairs halve the error that three steps leave."""
    settings = {"batch_size": 4, "channels": 8, "channels_judge": 4, "ema_decay": 0.9, "lr": 5e-3}
    short, long = (world(32).fit(name, n=4, images=n, **settings) for n in (12, 120))
    assert error(long.sampler, long.task) < 0.5 * error(short.sampler, short.task)


@BOTH
def test_one_input_has_one_answer(fitted: Callable[..., Any], tmp_path: Path, name: str) -> None:
    """Whatever the generator and the rest of the batch: the order of inputs is the order of answers.

    Memory layout of another batch changes last bits, so a pixel may round the other way.
    """
    fit = fitted(name)
    inputs = fit.task.pairs[0]
    made = fit.sampler.translate(inputs, rng())
    assert torch.equal(fit.sampler.translate(inputs, rng(1)), made)
    turned = fit.sampler.translate(inputs.flip(0), rng()).flip(0)
    assert (turned.int() - made.int()).abs().max() <= 1
    save_sampler(fit.sampler, tmp_path / "sampler.safetensors")
    loaded: Any = load_sampler(tmp_path / "sampler.safetensors")
    assert torch.equal(loaded.translate(inputs, rng()), made)


@BOTH
def test_patches_that_do_not_fit_are_refused(name: str) -> None:
    """Three halvings of 16 px leave no patch: said when the run is planned."""
    method = registry.methods()[name](PairedConfig(halvings=3))
    method.check(32)
    with pytest.raises(GraftbenchError, match="halvings is 1 to 2 at 16 px; found 3"):
        method.check(16)


@pytest.mark.parametrize("wrong", [{"l1_weight": -1.0}, {"channels": 0}, {"halvings": 0}, {"lr": 0.0}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    """Before anything is trained."""
    with pytest.raises(GraftbenchError, match=f"{next(iter(wrong))} must be"):
        config_of(PairedConfig, wrong, "[parameters.pix2pix]")


def test_the_frozen_one_leaks() -> None:
    """It looks at the default extractor's network; the other at none."""
    methods = registry.methods()
    assert (methods["pix2pix-frozen"]().leaks, methods["pix2pix"]().leaks) == ("lite0", "")
