"""Projected GAN: what is looked through stays as it was, other backbones work alike, and leaks are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.nn.backbone import FeatureMaps
from graftbench.nn.build import count_parameters, seeded
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training import adversarial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Projected = registry.methods()["projected"]


@pytest.mark.slow
def test_what_it_looks_through_stays(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fit the backbone is the file's, and the projections are their start, to the bit; the heads moved."""
    started: list[dict[str, torch.Tensor]] = []
    networks: list[torch.nn.Module] = []
    prepare = adversarial.prepare

    def record(task: Any, **parts: torch.nn.Module) -> None:
        prepare(task, **parts)
        networks.append(parts["discriminator"])
        started.append({name: tensor.clone() for name, tensor in parts["discriminator"].state_dict().items()})

    monkeypatch.setattr(adversarial, "prepare", record)
    world(32).fit("projected")
    (start,), end = started, networks[0].state_dict()
    for name, tensor in end.items():
        frozen = name.startswith(("backbone.", "projections."))
        one_number = name.endswith(("._u", "._v")) and tensor.numel() == 1  # a direction of ±1
        assert frozen == torch.equal(tensor, start[name]) or one_number, name
    fresh = FeatureMaps("lite0").state_dict()
    assert all(torch.equal(end[f"backbone.{name}"], tensor) for name, tensor in fresh.items())


@pytest.mark.slow
def test_the_record_counts_what_is_frozen(world: Callable[..., Any]) -> None:
    """Backbone and projections are in the total and not among what is trained."""
    log = world(32).fit("projected", projection_channels=8).task.log
    generator = Generator(GeneratorSpec(resolution=32, channels=16))
    backbone, channels = count_parameters([FeatureMaps("lite0")]), [8, 16, 32, 64]
    across_channels = sum(c * (1 + given) for c, given in zip(channels, (24, 40, 112, 320), strict=True))
    across_scales = sum(out * (1 + c) for c, out in zip(channels, (8, 8, 16, 32), strict=True))
    assert log.parameters_total - log.parameters_trained == backbone + across_channels + across_scales
    # Heads at 64 px: 8→8→16→32→1, 8→16→32→1, 16→32→1, 32→1, all 4×4; the last ones without bias.
    halving = [(8, 8), (8, 16), (16, 32), (8, 16), (16, 32), (16, 32)]
    heads = sum(16 * a * b + b for a, b in halving) + 4 * 16 * 32
    assert log.parameters_trained == count_parameters([generator]) + heads


@pytest.mark.slow
def test_another_backbone(world: Callable[..., Any], tmp_path: Path) -> None:
    """ResNet-18 of torchvision, from a file: the same loop, other eyes."""
    from torchvision import models

    network = seeded(models.resnet18, torch.Generator().manual_seed(0))
    torch.save(network.state_dict(), tmp_path / "r.pth")
    settings = {"backbone": "torchvision:resnet18", "weights": str(tmp_path / "r.pth"), "projection_channels": 4}
    fit = world(32).fit("projected", **settings)
    assert fit.method.leaks == ""
    assert fit.meter.images_seen == 10
    assert fit.sampler.sample(2, torch.Generator()).shape == (2, 3, 32, 32)


@pytest.mark.parametrize(
    ("backbone", "extractor"), [("lite0", "lite0"), ("torchvision:vgg16", "vgg16"), ("torchvision:resnet18", "")]
)
def test_leaks(backbone: str, extractor: str) -> None:
    """Scores under the extractor that is the method's own backbone are marked."""
    assert Projected(Projected.Config(backbone=backbone)).leaks == extractor


def test_missing_weights_are_told_when_a_run_is_planned(tmp_path: Path) -> None:
    """Before anything is trained, with the file's name."""
    method = Projected(Projected.Config(backbone="torchvision:vgg16", weights=str(tmp_path / "none.pth")))
    with pytest.raises(GraftbenchError, match=r"none\.pth' for the backbone 'torchvision:vgg16' is missing"):
        method.check(32)
    Projected().check(32)


def test_an_unknown_backbone() -> None:
    """The nearest name is given, when a run is planned."""
    with pytest.raises(GraftbenchError, match=r"Did you mean 'torchvision:vgg19'\?"):
        msgspec.convert({"backbone": "torchvision:vgg_19"}, Projected.Config)


@pytest.mark.parametrize("parameters", [{"backbone_side": 16}, {"projection_channels": 0}])
def test_bad_settings(parameters: dict[str, Any]) -> None:
    """They fail when a run is planned."""
    with pytest.raises(GraftbenchError, match=r"must be at least"):
        config_of(Projected.Config, parameters, "[parameters.projected]")
