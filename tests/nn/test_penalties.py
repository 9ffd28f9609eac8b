"""Gradient penalties against critics whose gradients are known, and against torch.func."""

from __future__ import annotations

import pytest
import torch
from random_inputs import noise64, rng
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils.flop_counter import FlopCounterMode

from graftbench.nn.build import seeded
from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.penalties import gradient_norms, interpolates, lipschitz_penalty


class Linear(nn.Module):
    """⟨w, x⟩ with every weight `each`: over 3×4×4 pixels the norm of w is each·√48."""

    def __init__(self, each: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 4, 4), each, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """B×3×4×4 -> B."""
        return (x * self.weight).sum(dim=(1, 2, 3))


class Quadratic(nn.Module):
    """½‖x‖², whose gradient is x."""

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W -> B."""
        return x.square().sum(dim=(1, 2, 3)) / 2


@pytest.mark.parametrize("norm", [0.0, 0.25, 1.0, 3.0])
def test_linear_critic(norm: float) -> None:
    """A linear critic with ‖w‖ = k has gradient w everywhere: the penalty is (k − 1)², below 1 and above.

    Tolerance: the norm of 48 numbers rounds in float64 by less than 48 · 1.1e-16 of itself.
    """
    critic = Linear(norm / 48**0.5)
    for scale in (0, 1, 100):
        value = lipschitz_penalty(critic, noise64(5, 3, 4, 4) * scale)
        assert float(value.detach()) == pytest.approx((norm - 1) ** 2, abs=1e-13)


def test_gradient_of_the_linear_case() -> None:
    """d(k − 1)²/dw = 2 (k − 1) w / k: weights are pulled towards norm 1 and not turned."""
    critic = Linear(0.5)
    lipschitz_penalty(critic, noise64(5, 3, 4, 4)).backward()
    k = 0.5 * 48**0.5
    assert critic.weight.grad is not None
    torch.testing.assert_close(critic.weight.grad, 2 * (k - 1) / k * critic.weight.detach())


def test_descent() -> None:
    """Down the penalty with a rate of ¼, the distance of ‖w‖ from 1 halves with every step.

    k ← k − ¼ · 2 (k − 1) = 1 + (k − 1)/2.
    """
    critic = Linear(9 / 48**0.5)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.25)
    for expected in (5, 3, 2):
        optimizer.zero_grad()
        lipschitz_penalty(critic, noise64(2, 3, 4, 4)).backward()
        optimizer.step()
        assert float(critic.weight.detach().norm()) == pytest.approx(expected)


def test_flat_critic() -> None:
    """Where the gradient is 0 its norm has no derivative: the penalty is 1 and its gradient 0, not NaN."""
    critic = Linear(0.0)
    value = lipschitz_penalty(critic, noise64(2, 3, 4, 4))
    value.backward()
    assert float(value.detach()) == 1
    assert critic.weight.grad is not None
    assert not critic.weight.grad.any()


def test_one_norm_per_image() -> None:
    """Of ½‖x‖² the gradient at x is x: each image has its own norm, over all its pixels and channels."""
    x = noise64(6, 3, 5, 5)
    torch.testing.assert_close(gradient_norms(Quadratic(), x), x.flatten(1).norm(dim=1))


def test_mean_of_squares_not_square_of_mean() -> None:
    """Images of norm 0 and 2 cost 1 each, though their mean norm is 1."""
    x = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    x[1] = 1  # norm √4 = 2
    x[0, 0, 0, 0] = 1e-9  # next to 0: the norm has no derivative at 0 itself
    assert float(lipschitz_penalty(Quadratic(), x).detach()) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("resolution", [8, 32])
def test_parity_with_torch_func(resolution: int) -> None:
    """On the suite's own critic: value and gradients as torch.func computes them image by image."""
    critic = seeded(lambda: Discriminator(DiscriminatorSpec(resolution, 4, spectral_norm=False)), rng()).double()
    x = noise64(3, 3, resolution, resolution, seed=1)
    weights: dict[str, Tensor] = dict(critic.named_parameters())

    def of_one(image: Tensor, weights: dict[str, Tensor]) -> Tensor:
        return functional_call(critic, weights, (image[None],))[0]

    def reference(weights: dict[str, Tensor]) -> Tensor:
        gradients = vmap(grad(of_one), in_dims=(0, None))(x, weights)
        return ((gradients.square().sum(dim=(1, 2, 3)).sqrt() - 1) ** 2).mean()

    value = lipschitz_penalty(critic, x)
    torch.testing.assert_close(value, reference(weights))
    value.backward()
    for name, expected in grad(reference)(weights).items():
        found = weights[name].grad
        torch.testing.assert_close(torch.zeros_like(expected) if found is None else found, expected)


def test_images_are_left_alone() -> None:
    """The images get no gradient and do not begin to want one."""
    x = noise64(2, 3, 4, 4)
    lipschitz_penalty(Linear(1.0), x).backward()
    assert not x.requires_grad
    assert x.grad is None


def test_under_the_flop_counter() -> None:
    """The first batch of a fit runs under torch's counter, which refuses some inputs; its passes are counted."""
    critic = seeded(lambda: Discriminator(DiscriminatorSpec(8, 4, spectral_norm=False)), rng())
    with FlopCounterMode(display=False) as counter:
        lipschitz_penalty(critic, torch.ones(2, 3, 8, 8)).backward()
    assert counter.get_total_flops() > 0


def test_interpolates_by_hand() -> None:
    """Real 1 and fake −1 give 2ε − 1: one ε per image, the uniform draw of the generator."""
    points = interpolates(torch.ones(5, 3, 2, 2), -torch.ones(5, 3, 2, 2), rng(7))
    share = torch.rand(5, 1, 1, 1, generator=rng(7))
    torch.testing.assert_close(points, (2 * share - 1).expand(5, 3, 2, 2))


def test_interpolates_lie_between_partners() -> None:
    """Each point is on the line from its generated image to the real one beside it; many of them fill the line."""
    real, fake = noise64(500, 3, 2, 2, seed=1), noise64(500, 3, 2, 2, seed=2)
    along = (interpolates(real, fake, rng()) - fake) / (real - fake)
    share = along[:, :1, :1, :1]
    torch.testing.assert_close(along, share.expand_as(along))
    assert 0 <= share.min() < 0.05
    assert 0.95 < share.max() <= 1
