"""Adversarial losses against numbers made by hand and against torch's cross-entropy."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from graftbench.errors import GraftbenchError
from graftbench.nn.losses import adversarial_loss


def test_hinge_by_hand() -> None:
    """Real 1, −2 and fake 0, 3: (0 + 3)/2 + (1 + 4)/2 = 4; the generator has −(0 + 3)/2."""
    loss = adversarial_loss("hinge")
    assert float(loss.discriminator(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 3.0]))) == 4
    assert float(loss.generator(torch.tensor([0.0, 3.0]))) == -1.5


def test_hinge_is_satisfied_beyond_the_margin() -> None:
    """Real above 1 and fake below −1 cost nothing and give no gradient."""
    real, fake = torch.tensor([1.5, 9.0], requires_grad=True), torch.tensor([-1.5, -9.0], requires_grad=True)
    loss = adversarial_loss("hinge").discriminator(real, fake)
    loss.backward()
    assert float(loss.detach()) == 0
    assert real.grad is not None
    assert fake.grad is not None
    assert not real.grad.any()
    assert not fake.grad.any()


def test_non_saturating_is_cross_entropy() -> None:
    """Real images have label 1, generated ones 0; the generator's loss has label 1 for generated ones."""
    real, fake = torch.randn(2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    loss = adversarial_loss("non-saturating")
    entropy = F.binary_cross_entropy_with_logits
    expected = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
    torch.testing.assert_close(loss.discriminator(real, fake), expected)
    torch.testing.assert_close(loss.generator(fake), entropy(fake, torch.ones_like(fake)))


def test_non_saturating_at_zero() -> None:
    """An undecided discriminator costs 2 ln 2, its generator ln 2."""
    zero = torch.zeros(3, dtype=torch.float64)
    loss = adversarial_loss("non-saturating")
    torch.testing.assert_close(loss.discriminator(zero, zero), 2 * torch.tensor(2.0, dtype=torch.float64).log())
    torch.testing.assert_close(loss.generator(zero), torch.tensor(2.0, dtype=torch.float64).log())


@pytest.mark.parametrize("name", ["hinge", "non-saturating"])
def test_direction(name: str) -> None:
    """The discriminator lowers its loss by raising real logits and lowering fake ones; the generator raises them."""
    real, fake = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    loss = adversarial_loss(name)
    for_real, for_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    (for_generator,) = torch.autograd.grad(loss.generator(fake), fake)
    assert for_real < 0 < for_fake
    assert for_generator < 0


def test_unknown_name() -> None:
    """The nearest name is offered."""
    with pytest.raises(GraftbenchError, match=r"Unknown adversarial loss 'hinges'\. Did you mean 'hinge'\?"):
        adversarial_loss("hinges")
