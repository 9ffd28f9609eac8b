"""Adversarial losses against numbers made by hand and against torch's cross-entropy."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from graftbench.errors import GraftbenchError
from graftbench.nn.losses import adversarial_loss

LOGISTIC = ("minimax", "non-saturating")


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


def test_minimax_is_the_log_of_the_probability_of_generated() -> None:
    """The generator descends log(1 − D(Gz)) with D = sigmoid of the logit; the discriminator's loss is unchanged.

    Logits to ±15: beyond them 1 − sigmoid, the reference, loses its digits.
    """
    real, fake = torch.linspace(-15, 15, 61, dtype=torch.float64), torch.linspace(-15, 15, 31, dtype=torch.float64)
    minimax, non_saturating = adversarial_loss("minimax"), adversarial_loss("non-saturating")
    torch.testing.assert_close(minimax.generator(fake), (1 - fake.sigmoid()).log().mean())
    assert torch.equal(minimax.discriminator(real, fake), non_saturating.discriminator(real, fake))


def test_minimax_saturates() -> None:
    """Where the discriminator is sure, minimax has no gradient left (sigmoid of −20) and non-saturating has all."""
    fake = torch.tensor([-20.0], dtype=torch.float64, requires_grad=True)
    slopes = [torch.autograd.grad(adversarial_loss(name).generator(fake), fake)[0] for name in LOGISTIC]
    torch.testing.assert_close(torch.cat(slopes), torch.tensor([-20.0, 20.0], dtype=torch.float64).sigmoid().neg())


def test_wasserstein_by_hand() -> None:
    """Real 1, −2 and fake 0, 3: mean fake 1.5 − mean real −0.5 = 2; the generator has −1.5."""
    loss = adversarial_loss("wasserstein")
    assert float(loss.discriminator(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 3.0]))) == 2
    assert float(loss.generator(torch.tensor([0.0, 3.0]))) == -1.5


def test_wasserstein_knows_differences_only() -> None:
    """A constant added to all outputs of a critic changes nothing, and twice the outputs cost twice as much."""
    real, fake = torch.randn(2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = adversarial_loss("wasserstein").discriminator
    torch.testing.assert_close(loss(real + 7, fake + 7), loss(real, fake))
    torch.testing.assert_close(loss(2 * real, 2 * fake), 2 * loss(real, fake))


def test_least_squares_by_hand() -> None:
    """Real 1, −2 and fake 0, 3: (0 + 9)/2 + (0 + 9)/2 = 9; the generator has (1 + 4)/2."""
    loss = adversarial_loss("least-squares")
    assert float(loss.discriminator(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 3.0]))) == 9
    assert float(loss.generator(torch.tensor([0.0, 3.0]))) == 2.5


def test_least_squares_rests_at_its_labels() -> None:
    """Real at 1 and fake at 0 cost the discriminator nothing, fake at 1 nothing the generator; beyond them it costs."""
    one, zero, two = torch.ones(3), torch.zeros(3), torch.full((3,), 2.0)
    loss = adversarial_loss("least-squares")
    assert float(loss.discriminator(one, zero)) == 0
    assert float(loss.generator(one)) == 0
    assert float(loss.generator(two)) == 1


@pytest.mark.parametrize("name", ["hinge", "non-saturating", "minimax", "wasserstein", "least-squares"])
def test_direction(name: str) -> None:
    """The discriminator lowers its loss by raising real logits and lowering fake ones; the generator raises them."""
    real, fake = torch.full((1,), 0.5, requires_grad=True), torch.full((1,), 0.5, requires_grad=True)
    loss = adversarial_loss(name)
    for_real, for_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    (for_generator,) = torch.autograd.grad(loss.generator(fake), fake)
    assert for_real < 0 < for_fake
    assert for_generator < 0


def test_unknown_name() -> None:
    """The nearest name is offered."""
    with pytest.raises(GraftbenchError, match=r"Unknown adversarial loss 'hinges'\. Did you mean 'hinge'\?"):
        adversarial_loss("hinges")
