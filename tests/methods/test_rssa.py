"""RSSA's two losses: what they compare, what they are blind to, and whom they move."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

rssa = importlib.import_module("graftbench.methods.rssa")


def test_positions_by_hand() -> None:
    """A map of (3, 4) and (0, 2), each twice over: lengths drop out, and two by two are averaged to one.

    Row by row, the 2×2 positions are (0.6, 0.8), (0, 1), (0.6, 0.8), (0, 1).
    """
    features = torch.tensor([[[[3.0, 0.0], [3.0, 0.0]], [[4.0, 2.0], [4.0, 2.0]]]])
    torch.testing.assert_close(rssa.positions(features, 2), torch.tensor([[[0.6, 0.8], [0.0, 1.0]] * 2]))
    torch.testing.assert_close(rssa.positions(features, 1), torch.tensor([[[0.3, 0.9]]]))
    assert torch.equal(rssa.positions(torch.zeros(1, 2, 2, 2), 2), torch.zeros(1, 4, 2))


def test_self_correlation_by_hand() -> None:
    """Two positions that are alike in the source (cosine 1) and at right angles in the adapted map (cosine 0).

    Of four pairs of positions the two off the diagonal differ by 1: smooth L1 of 1 is ½, so the mean is ¼. Opposite
    positions differ by 2, of which it is 1½: ¾.
    """
    source = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    crossed, opposite = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    assert rssa.self_correlation_loss(source, crossed).item() == 0.25
    assert rssa.self_correlation_loss(source, opposite).item() == 0.75
    assert rssa.self_correlation_loss(source, source).item() == 0


def test_disturbance_correlation_by_hand() -> None:
    """One pair of images of two positions: the first finds itself again with cosines (1, 0), in the adapted (0, 1).

    Softmaxes (e, 1)/(e + 1) and (1, e)/(e + 1): their L1 distance is 2 (e − 1)/(e + 1), the same for both positions.
    """
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    image, other = torch.stack([first, second]), torch.stack([second, first])
    source, adapted = torch.stack([image, image]), torch.stack([image, other])
    distance = rssa.disturbance_correlation_loss(source, adapted)
    assert distance.item() == pytest.approx(2 * (math.e - 1) / (math.e + 1))
    assert rssa.disturbance_correlation_loss(source, source).item() == 0
    # Of three images, a third that is the first again: pairs (1, 2) and (2, 3) differ as above, (1, 3) not at all.
    three = rssa.disturbance_correlation_loss(torch.stack([image] * 3), torch.stack([image, other, image]))
    assert three.item() == pytest.approx(distance.item() * 2 / 3)


@pytest.mark.parametrize("loss", ["self_correlation_loss", "disturbance_correlation_loss"])
def test_a_rotation_of_all_features_is_no_change(loss: str) -> None:
    """Structure is in cosines: an orthogonal map of the channels, the same at all positions, costs nothing."""
    rng = torch.Generator().manual_seed(0)
    features = rssa.positions(torch.randn(3, 6, 4, 4, generator=rng, dtype=torch.float64), 4)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=rng, dtype=torch.float64))
    found: Tensor = getattr(rssa, loss)(features, features @ rotation)
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-12, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kept", "name"), [("self_correlation", "self-correlation"), ("disturbance_correlation", "disturbance correlation")]
)
def test_each_loss_alone(players: Callable[..., Any], kept: str, name: str) -> None:
    """A loss whose weight is 0 is not there; the other flows into the generator, not into the source, and leads back.

    On the same latents in every step. At the source's own weights it is 0.
    """
    weights = {"self_correlation": 0.0, "disturbance_correlation": 0.0} | {kept: 1.0}
    assert rssa._Structure(rssa.Config(**weights), players("rssa"))(None)[name].item() == 0
    pair = players("rssa", disturbance=1.0)
    term = rssa._Structure(rssa.Config(**weights), pair)
    optimizer = torch.optim.Adam(pair.generator.parameters(), lr=1e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        pair.task.generator.manual_seed(0)
        values = term(None)
        assert list(values) == [name]
        values[name].backward()
        optimizer.step()
        losses.append(values[name].item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is None for p in pair.source.parameters())


def test_disturbed_latents_lie_near_one_another(players: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """With d = 0 all latents of a batch are one, with d = 1 each is its own."""
    pair = players("rssa")
    for disturbance, alike in ((0.0, True), (1.0, False)):
        seen: list[Tensor] = []
        config = rssa.Config(self_correlation=0.0, disturbance=disturbance)
        term = rssa._Structure(config, pair)
        maps = term._maps
        monkeypatch.setattr(term, "_maps", lambda z, maps=maps, seen=seen: seen.append(z) or maps(z))
        term(None)
        (z,) = seen
        assert z.shape == (4, 128)
        assert torch.allclose(z[0], z[1]) == alike


def test_log_names_the_losses(fitted: Callable[..., Any]) -> None:
    """Both losses stand in the log."""
    names = {"discriminator", "generator", "self-correlation", "disturbance correlation"}
    assert names == set(fitted("rssa").task.log.curve[-1][2])


@pytest.mark.parametrize(
    "parameters",
    [
        *({"self_correlation": -1.0}, {"disturbance_correlation": float("inf")}, {"correlation_batch": 1}),
        *({"disturbance": 1.5}, {"disturbance": float("nan")}, {"correlation_side": 1}),
    ],
)
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=r"must be (at least|in \[0, 1\])"):
        config_of(registry.methods()["rssa"].Config, parameters, "[parameters.rssa]")
