"""Low-rank updates: the formula by hand, the layers they amount to, the start, and merging."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_inputs import rng
from torch import Tensor, nn

from graftbench.errors import GraftbenchError
from graftbench.nn.build import seeded
from graftbench.nn.ema import Ema
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.nn.lowrank import LowRank, Magnitude, add_low_rank, merge

RANKS = {"stem": 4, "blocks.0.conv": 2, "to_rgb": 3}


def plain() -> Generator:
    """A small generator at 8 px; one seed, one network."""
    return seeded(lambda: Generator(GeneratorSpec(resolution=8, latent=8, channels=4)), rng()).eval()


def adapted(*, moved: bool) -> Generator:
    """The same with updates, at their start or somewhere."""
    network = seeded(lambda: add_low_rank(plain(), RANKS, alpha=6.0), rng(1))
    if moved:
        for part in network.modules():
            if isinstance(part, LowRank):
                nn.init.normal_(part.up, generator=rng(2))
    return network


def latents() -> Tensor:
    """Five latents."""
    return torch.randn(5, 8, generator=rng(3))


def test_by_hand() -> None:
    """W + (α/r)·up·down with r = 1, α = 2: [[1, 0], [0, 1]] + 2·(1, 2)ᵀ(3, 4)."""
    update = LowRank(torch.Size([2, 2]), rank=1, alpha=2.0)
    with torch.no_grad():
        update.up.copy_(torch.tensor([[1.0], [2.0]]))
        update.down.copy_(torch.tensor([[3.0, 4.0]]))
    assert update(torch.eye(2)).tolist() == [[7.0, 8.0], [12.0, 17.0]]


def test_of_a_convolution_it_is_two_convolutions() -> None:
    """conv(x; W + s·up·down) = conv(x; W) + s·conv1×1(conv(x; down); up), float32: 1e-5."""
    convolution = nn.Conv2d(5, 6, 3, padding=1)
    x, weight = torch.randn(2, 5, 7, 7, generator=rng()), convolution.weight.detach().clone()
    add_low_rank(convolution, {"": 2}, alpha=3.0)
    update = convolution.get_submodule("parametrizations.weight.0")
    assert isinstance(update, LowRank)
    nn.init.normal_(update.up, generator=rng(1))
    inner = F.conv2d(x, update.down.view(2, 5, 3, 3), padding=1)
    expected = F.conv2d(x, weight, convolution.bias, padding=1) + 1.5 * F.conv2d(inner, update.up[:, :, None, None])
    torch.testing.assert_close(convolution(x), expected, atol=1e-5, rtol=1e-5)


def test_the_start_is_the_network_itself() -> None:
    """`up` is 0, so nothing has changed, to the bit; `down` has the deviation 1/r."""
    network = adapted(moved=False)
    assert torch.equal(network(latents()), plain()(latents()))
    down = seeded(lambda: LowRank(torch.Size([8, 20_000]), rank=5, alpha=1.0), rng()).down
    # 100,000 numbers: the deviation's standard error is 0.2/√200,000 = 4.5e-4; five of them.
    assert float(down.detach().std()) == pytest.approx(0.2, abs=2.3e-3)


def test_only_the_updates_are_trained() -> None:
    """r·(outputs + the rest of the weight) numbers a layer, and nothing else wants a gradient."""
    network = adapted(moved=False)
    trained = {name: p.numel() for name, p in network.named_parameters() if p.requires_grad}
    assert all(".parametrizations.weight.0." in name for name in trained)
    # At 8 px with 4 channels the stem is 128×8, the block's convolution 4×(8·9), the last layer 3×(4·9).
    assert sum(trained.values()) == 4 * (128 + 8) + 2 * (4 + 72) + 3 * (3 + 36)


def test_merged() -> None:
    """The plain network computes what the adapted one does (float32, 1e-6), and the adapted one stays as it was."""
    network = adapted(moved=True)
    before = network(latents())
    with torch.device("meta"):
        empty = Generator(network.spec)
    merged = merge(network, empty).eval()
    assert not any(p.requires_grad for p in merged.parameters())
    assert not any("parametrizations" in name for name in merged.state_dict())
    torch.testing.assert_close(merged(latents()), before, atol=1e-6, rtol=0)
    assert torch.equal(network(latents()), before)
    assert not torch.allclose(before, plain()(latents()), atol=1e-2)


def test_averages_of_it_can_be_merged() -> None:
    """The moving average copies a parametrised network; merging the copy leaves the original at work."""
    network = adapted(moved=True)
    average = Ema(network, decay=0.5)
    average.update(network)
    merged = merge(average.model, Generator(network.spec)).eval()
    torch.testing.assert_close(merged(latents()), network(latents()), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("name", "rank", "most"), [("to_rgb", 4, 3), ("stem", 9, 8), ("blocks.0.conv", 5, 4)])
def test_a_rank_that_is_none(name: str, rank: int, most: int) -> None:
    """The sentence names the layer and the rank that its matrix has."""
    with pytest.raises(GraftbenchError, match=rf"update of '{name}' .* has a rank of at most {most}; found {rank}\.$"):
        add_low_rank(plain(), {name: rank}, alpha=1.0)


# ------------------------------------------------------------------------------------------------- lengths of DoRA


def test_length_by_hand() -> None:
    """Rows (3, 4) and (0, 2) have lengths 5 and 2; with m = (10, 1) the weight (6, 8), (1, 0) becomes (6, 8), (1, 0)·1.

    And (3, 4), (0, 2) themselves become twice and half as long.
    """
    length = Magnitude(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    assert length.magnitude.tolist() == [5.0, 2.0]
    with torch.no_grad():
        length.magnitude.copy_(torch.tensor([10.0, 1.0]))
    assert length(torch.tensor([[6.0, 8.0], [1.0, 0.0]])).tolist() == [[6.0, 8.0], [1.0, 0.0]]
    assert length(torch.tensor([[3.0, 4.0], [0.0, 2.0]])).tolist() == [[6.0, 8.0], [0.0, 1.0]]


def test_length_of_a_convolution() -> None:
    """It is over all that leads to an output channel; an output that nothing leads to stays at 0."""
    weight = torch.randn(3, 2, 3, 3, generator=rng())
    weight[1] = 0
    length = Magnitude(weight)
    assert torch.equal(length(weight), weight)
    scaled = length(7 * weight)
    torch.testing.assert_close(scaled, weight)


def test_the_norm_is_a_constant_of_the_gradient() -> None:
    """d(m v/‖v‖)/dv is m/‖v‖ times the identity, not less the part along v; d/dm is v/‖v‖."""
    length = Magnitude(torch.tensor([[3.0, 4.0]]))
    v = torch.tensor([[0.6, 0.8]], requires_grad=True)
    (length(v) * torch.tensor([[1.0, 2.0]])).sum().backward()
    assert v.grad is not None
    assert length.magnitude.grad is not None
    torch.testing.assert_close(v.grad, torch.tensor([[5.0, 10.0]]))
    torch.testing.assert_close(length.magnitude.grad, torch.tensor([0.6 + 1.6]))
