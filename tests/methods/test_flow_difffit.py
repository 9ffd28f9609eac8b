"""DiffFit: biases, norms and factors learn, nothing else; the factors are merged."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from graftbench.nn.lowrank import merge
from graftbench.nn.unet import UNetSpec, VelocityUNet
from graftbench.plugins import registry
from graftbench.training.flow_matching import source_velocity

if TYPE_CHECKING:
    from collections.abc import Callable

difffit = importlib.import_module("graftbench.methods.flow_difffit")
CLS = registry.methods()["flow-difffit"]


def changed(fit: Any) -> set[str]:
    """Names of the tensors of the sampler's network that are not the source model's."""
    source = source_velocity(fit.task.source_model, 32).state_dict()
    tuned = fit.sampler.network.state_dict()
    assert tuned.keys() == source.keys()
    return {name for name, tensor in tuned.items() if not torch.equal(tensor, source[name])}


def test_factor_by_hand() -> None:
    """Output channel c is multiplied by γ_c; at its start the weight is as it was."""
    factors = difffit.ChannelFactors(2)
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.equal(factors(weight), weight)
    with torch.no_grad():
        factors.factors.copy_(torch.tensor([2.0, -1.0]))
    assert factors(weight).tolist() == [[2.0, 4.0], [-3.0, -4.0]]
    assert factors(torch.ones(2, 1, 3, 3)).flatten(1).tolist() == [[2.0] * 9, [-1.0] * 9]


@pytest.mark.slow
def test_what_moves(world: Callable[..., Any]) -> None:
    """Biases, norms, and the last weight of each block, in which its factors are merged."""
    moved = changed(world(32).fit("flow-difffit"))
    network = VelocityUNet(UNetSpec())
    norms = {f"{name}.weight" for name, part in network.named_modules() if isinstance(part, nn.GroupNorm)}
    biases = {name for name in network.state_dict() if name.endswith(".bias")}
    lasts = {name for name in network.state_dict() if name.endswith("conv2.weight")} | {"attention.out.weight"}
    assert moved == norms | biases | lasts


@pytest.mark.slow
@pytest.mark.parametrize(("norms", "scales"), [(True, False), (False, True), (False, False)])
def test_parts_that_can_be_left_out(world: Callable[..., Any], *, norms: bool, scales: bool) -> None:
    """Without norms and factors it is BitFit: biases alone."""
    moved = changed(world(32).fit("flow-difffit", norms=norms, scales=scales))
    assert any(name.endswith("norm1.weight") for name in moved) == norms
    assert any(name.endswith("conv2.weight") for name in moved) == scales
    assert any(name.endswith(".bias") for name in moved)


def test_factors_scale_what_a_block_adds(world: Callable[..., Any]) -> None:
    """A merged weight is the source's, times one number for each output channel, to float32's rounding."""
    fit = world(32).fit("flow-difffit")
    source = source_velocity(fit.task.source_model, 32).middle1.conv2.weight.detach()
    tuned = fit.sampler.network.middle1.conv2.weight.detach()
    factors = (tuned * source).flatten(1).sum(dim=1) / source.square().flatten(1).sum(dim=1)
    torch.testing.assert_close(tuned, factors.view(-1, 1, 1, 1) * source)
    assert (factors != 1).any()


def test_merged_network_predicts_the_same() -> None:
    """With factors and without parametrisations: the same velocity, float32."""
    unet = VelocityUNet(UNetSpec(8))
    difffit.thaw(unet, norms=True, scales=True)
    with torch.no_grad():
        for part in unet.modules():
            if isinstance(part, difffit.ChannelFactors):
                nn.init.uniform_(part.get_parameter("factors"), 0.5, 2, generator=torch.Generator().manual_seed(0))
        unet.to_rgb.weight.fill_(0.1)
    x, t = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0.2, 0.9])
    plain = merge(unet, VelocityUNet(UNetSpec(8)))
    with torch.no_grad():
        torch.testing.assert_close(plain(x, t), unet(x, t))


def test_few_numbers_are_trained(world: Callable[..., Any]) -> None:
    """A hundredth of the network: biases, norms' scales, and a factor for each output channel of a block."""
    log = world(32).fit("flow-difffit").task.log
    assert log.parameters_trained < log.parameters_total / 50
