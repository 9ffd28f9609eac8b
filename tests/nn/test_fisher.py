"""Diagonal Fisher information against closed forms and a plain loop."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_inputs import noise64
from torch import Tensor, nn

from graftbench.nn.fisher import CHUNK, diagonal_fisher, with_parameters


@pytest.mark.parametrize("samples", [1, CHUNK, 2 * CHUNK + 3])
def test_linear_generator_logistic_discriminator(samples: int) -> None:
    """G(z) = Wz, p = sigmoid(a·G(z)): ∂ −log p/∂W_ij = −sigmoid(−a·Wz) a_i z_j, so F_ij = a_i² E[sigmoid(−a·Wz)² z_j²].

    Float64, the same formula in another order: the default tolerance of 1e-7.
    """
    weight, direction, z = noise64(3, 5), noise64(3, seed=1), noise64(samples, 5, seed=2)

    def loss(parameters: dict[str, Tensor], sample: Tensor) -> Tensor:
        return F.softplus(-(sample @ parameters["w"].T @ direction)).mean()

    found = diagonal_fisher(loss, {"w": weight}, z)["w"]
    doubt = torch.sigmoid(-(z @ weight.T @ direction))
    expected = direction.square()[:, None] * (doubt[:, None] * z).square().mean(dim=0)
    torch.testing.assert_close(found, expected)


def test_not_the_square_of_the_mean() -> None:
    """Gradients 1 and −1 have the mean 0 and the information 1."""
    fisher = diagonal_fisher(
        lambda parameters, sample: (parameters["w"] * sample).sum(),
        {"w": torch.zeros(1)},
        torch.tensor([[1.0], [-1.0]]),
    )
    assert fisher["w"].item() == 1


def test_is_a_loop_over_single_samples() -> None:
    """On a small network with batch norm in eval mode it is what backward, one sample at a time, gives."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1)).double().eval()
    samples = noise64(20, 4)
    found = diagonal_fisher(
        lambda parameters, sample: F.softplus(-with_parameters(network, parameters, sample)).mean(),
        dict(network.named_parameters()),
        samples,
    )
    gradients = [
        torch.autograd.grad(F.softplus(-network(x)).mean(), list(network.parameters())) for x in samples.split(1)
    ]
    expected = [torch.stack(column).square().mean(dim=0) for column in zip(*gradients, strict=True)]
    assert list(found) == [name for name, _ in network.named_parameters()]
    for value, wanted in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(value, wanted)
        assert not value.requires_grad


def test_only_what_is_asked_for() -> None:
    """Parameters that are not named stay the network's own and get no information."""
    network = nn.Linear(2, 1).double()
    bias = dict(network.named_parameters())["bias"]
    found = diagonal_fisher(
        lambda parameters, sample: with_parameters(network, parameters, sample).sum(), {"bias": bias}, noise64(3, 2)
    )
    torch.testing.assert_close(found, {"bias": torch.ones(1, dtype=torch.float64)})
