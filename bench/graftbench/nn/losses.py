"""Adversarial losses, one pair of functions each. Logits: positive means real."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch.nn.functional as F

from graftbench.errors import unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class AdversarialLoss(NamedTuple):
    """discriminator(real logits, fake logits) and generator(fake logits), each a mean over the batch."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def _saturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def _critic_generator(fake: Tensor) -> Tensor:
    return -fake.mean()


_LOSSES = {
    # Goodfellow et al., arXiv 1406.2661, section 3: −log D(x) − log(1 − D(Gz)); generator −log D(Gz).
    "non-saturating": AdversarialLoss(_saturating_discriminator, lambda fake: F.softplus(-fake).mean()),
    # The same section, equation 1: the generator descends log(1 − D(Gz)) = −softplus(logit).
    "minimax": AdversarialLoss(_saturating_discriminator, lambda fake: -F.softplus(fake).mean()),
    # Lim & Ye, arXiv 1705.02894; Miyato et al., arXiv 1802.05957, eq. 16 and 17.
    "hinge": AdversarialLoss(lambda real, fake: (1 - real).relu().mean() + (1 + fake).relu().mean(), _critic_generator),
    # Arjovsky et al., arXiv 1701.07875, equation 2: a critic that something else keeps Lipschitz (nn/penalties.py).
    "wasserstein": AdversarialLoss(lambda real, fake: fake.mean() - real.mean(), _critic_generator),
    # Mao et al., arXiv 1611.04076, equation 9, without its factors of one half.
    "least-squares": AdversarialLoss(
        lambda real, fake: (real - 1).square().mean() + fake.square().mean(), lambda fake: (fake - 1).square().mean()
    ),
}


def adversarial_loss(name: str) -> AdversarialLoss:
    """Return the loss of that name.

    Raises:
        GraftbenchError: An unknown name; the message names the nearest.
    """
    if name not in _LOSSES:
        raise unknown("adversarial loss", name, _LOSSES)
    return _LOSSES[name]
