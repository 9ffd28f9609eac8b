"""FSGAN adapts singular values, and ends in a plain generator with the source's singular vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import source_networks

if TYPE_CHECKING:
    from collections.abc import Callable


def test_singular_vectors_stay(fitted: Callable[..., Any]) -> None:
    """U and V of the source diagonalise every adapted weight: what is off the diagonal is float32's rounding.

    Entries are below 1 and errors of up to 6e-8 each; the spectral norm of n such is at most √n times that.
    """
    fit = fitted("fsgan")
    source = source_networks(fit.task.source_model, 32)[0].state_dict()
    tuned = fit.sampler.network.state_dict()
    assert source.keys() == tuned.keys()
    for name in [name for name, weight in source.items() if weight.ndim > 1]:
        u, values, v = torch.linalg.svd(source[name].double().flatten(1), full_matrices=False)
        rotated = u.T @ tuned[name].double().flatten(1) @ v.T
        change = rotated.diagonal() - values
        noise = 6e-8 * tuned[name].numel() ** 0.5
        assert (rotated - torch.diag(rotated.diagonal())).abs().max() < 10 * noise, name
        assert change.abs().max() > 10 * noise, name


def test_what_rests(fitted: Callable[..., Any]) -> None:
    """Biases and batch norms, statistics included, are the source model's to the bit."""
    fit = fitted("fsgan")
    source = source_networks(fit.task.source_model, 32)[0].state_dict()
    tuned = fit.sampler.network.state_dict()
    held = [name for name, weight in source.items() if weight.ndim < 2]
    assert any("running_mean" in name for name in held)
    assert all(torch.equal(tuned[name], source[name]) for name in held)


def test_norms_move_if_asked(world: Callable[..., Any]) -> None:
    """Then their scales, shifts and statistics follow the target, and the record counts them beside the λ.

    A layer has as many singular values as the smaller side of its matrix.
    """
    fit = world(32).fit("fsgan", norms=True)
    networks = source_networks(fit.task.source_model, 32)
    norms = [name for name, part in networks[0].named_modules() if isinstance(part, nn.BatchNorm2d)]
    for name in norms:
        before, after = networks[0].get_submodule(name), fit.sampler.network.get_submodule(name)
        assert not any(torch.equal(tensor, after.state_dict()[key]) for key, tensor in before.state_dict().items())
    matrices = [p.flatten(1).shape for network in networks for p in network.parameters() if p.ndim > 1]
    scales = sum(p.numel() for name in norms for p in networks[0].get_submodule(name).parameters())
    assert fit.task.log.parameters_trained == sum(map(min, matrices)) + scales


def test_bad_parameters() -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError):
        config_of(registry.methods()["fsgan"].Config, {"norms": "yes"}, "[parameters.fsgan]")
